package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/secret"
)

// Evidence is what the recordings show, as the handlers need it.
type Evidence struct {
	Store *evidence.Store
	// Checker listens to recordings; nil where no platform's can be asked for.
	Checker *evidence.Checker
	// Platforms are all of the configuration, and whether they can be checked.
	Platforms []evidence.ReportPlatform
	// Chats are the archives of chats, each once; none where no platform's can be asked for.
	Chats []Chats
	// SearchTime is how long a search through chats may go on; 25 s if 0.
	SearchTime time.Duration
	// Key signs reports: the audit log's.
	Key secret.String

	mu   sync.Mutex
	read map[string]time.Time // by who and what: one reading is many requests
}

var (
	errNoEvidence = &problem{http.StatusServiceUnavailable, codeLogUnavailable, "This server keeps no log, so there are no pauses to look for in recordings. Ask who runs it to configure a store."}
	errNoItem     = &problem{http.StatusNotFound, codeInvalid, "There is no such evidence. It may be older than what is kept."}
	errNoArchive  = &problem{http.StatusUnprocessableEntity, codeUnsupportedAction, "No platform's recordings can be asked for: that takes 8x8, and its data_token_file in the configuration."}
)

// evidenceError makes a problem of what the evidence's packages say.
func (a *API) evidenceError(r *request, err error) error {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p
	}
	switch {
	case errors.Is(err, evidence.ErrNotFound):
		return errNoItem
	case errors.Is(err, evidence.ErrBusy):
		return &problem{http.StatusConflict, codeInvalid, "A run through the recordings is under way. Wait until it has ended, then try again."}
	case errors.Is(err, evidence.ErrGone):
		return &problem{http.StatusNotFound, codeInvalid, "The archive doesn't have this recording any more."}
	}
	a.Log.Error("evidence failed", "request_id", r.id, "error", err)
	return &problem{http.StatusServiceUnavailable, codeInternal, "That didn't work. Try again; if it stays, tell who runs this server the request's id."}
}

// shownMost bounds the rows of the page, and the default of the API.
const shownMost = 500

// period reads from and to: RFC 3339, or a day in UTC, which as to is included.
func period(query url.Values, from, to time.Time) (time.Time, time.Time, error) {
	for key, at := range map[string]*time.Time{"from": &from, "to": &to} {
		text := query.Get(key)
		if text == "" {
			continue
		}
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			if *at = day; key == "to" {
				*at = day.AddDate(0, 0, 1)
			}
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
			return from, to, invalid(key + " must be a day such as 2026-11-21, or a time in RFC 3339 such as 2026-11-21T10:00:00Z.")
		}
		*at = t.UTC()
	}
	if !from.Before(to) {
		return from, to, invalid("from must come before to.")
	}
	return from, to, nil
}

// today is the beginning of the day in UTC.
func today() time.Time { return time.Now().UTC().Truncate(24 * time.Hour) }

// choice reads what of the evidence is asked for.
func (a *API) choice(r *request, days int, also ...string) (evidence.Choice, error) {
	query := r.URL.Query()
	for key := range query {
		if !slices.Contains([]string{"from", "to", "agent", "verdict", "kind"}, key) && !slices.Contains(also, key) {
			return evidence.Choice{}, invalid("The address takes " + strings.Join(append([]string{"from", "to", "agent", "verdict", "kind"}, also...), ", ") + " only.")
		}
	}
	c := evidence.Choice{Verdict: evidence.Verdict(query.Get("verdict")), Kind: evidence.ItemKind(query.Get("kind"))}
	var err error
	if c.From, c.To, err = period(query, today().AddDate(0, 0, 1-days), today().AddDate(0, 0, 1)); err != nil {
		return c, err
	}
	if c.Verdict != "" && !slices.Contains(evidence.Verdicts(), c.Verdict) {
		return c, invalid("verdict must be one of the verdicts; /api/v1/openapi.json lists them.")
	}
	if c.Kind != "" && !slices.Contains(kinds, c.Kind) {
		return c, invalid("kind must be pause, silence or focus.")
	}
	if c.Agent = strings.TrimSpace(query.Get("agent")); c.Agent != "" {
		if who, ok := a.Directory.Find(c.Agent); ok {
			c.Agent = who.Email
		}
	}
	return c, nil
}

var kinds = []evidence.ItemKind{evidence.OfWindow, evidence.OfSilence, evidence.OfFocus}

// evidenceList is GET /api/v1/evidence, oldest first.
func (a *API) evidenceList(w http.ResponseWriter, r *request) error {
	if a.Evidence == nil {
		return errNoEvidence
	}
	c, err := a.choice(r, 7, "limit")
	if err != nil {
		return err
	}
	c.Limit = shownMost
	if text := r.URL.Query().Get("limit"); text != "" {
		if c.Limit, err = strconv.Atoi(text); err != nil || c.Limit < 1 || c.Limit > 5000 {
			return invalid("limit must be a number from 1 to 5000.")
		}
	}
	if a.note(r, audit.Record{Kind: audit.AuditRead, Detail: audit.NewText(r.Pattern)}) != nil {
		return errNotNoted
	}
	items, err := a.Evidence.Store.Items(r.Context(), c)
	if err != nil {
		return a.evidenceError(r, err)
	}
	out := struct {
		From      time.Time                 `json:"from"`
		To        time.Time                 `json:"to"`
		Screen    string                    `json:"screen"`
		Platforms []evidence.ReportPlatform `json:"platforms"`
		Items     []evidence.View           `json:"items"`
		More      bool                      `json:"more"`
	}{c.From, c.To, "not checked", a.Evidence.Platforms, []evidence.View{}, len(items) == c.Limit}
	for _, x := range items {
		out.Items = append(out.Items, x.View())
	}
	return answer(w, http.StatusOK, out)
}

var errNotNoted = &problem{http.StatusServiceUnavailable, codeLogUnavailable, "The log can't be written, so that this was read can't be either. Try again soon."}

// evidenceRuns is GET /api/v1/evidence/runs, newest first.
func (a *API) evidenceRuns(w http.ResponseWriter, r *request) error {
	if a.Evidence == nil {
		return errNoEvidence
	}
	runs, err := a.runs(r.Context(), 50)
	if err != nil {
		return a.evidenceError(r, err)
	}
	return answer(w, http.StatusOK, map[string]any{"items": runs})
}

// runs are the newest ones; of the one under way here it is known how far it is.
func (a *API) runs(ctx context.Context, limit int) ([]evidence.Run, error) {
	runs, err := a.Evidence.Store.Runs(ctx, limit)
	if err != nil || a.Evidence.Checker == nil {
		return runs, err
	}
	for i := range runs {
		if r := &runs[i]; r.Silenced(time.Now()) {
			r.State, r.Problems = evidence.Failed, append(r.Problems, "It was interrupted.")
		}
	}
	if now, ok := a.Evidence.Checker.Current(); ok {
		for i := range runs {
			if runs[i].ID == now.ID && runs[i].State == evidence.Running {
				runs[i] = now
			}
		}
	}
	return runs, nil
}

// evidenceRun is POST /api/v1/evidence/runs.
func (a *API) evidenceRun(w http.ResponseWriter, r *request) error {
	var body struct {
		From  string `json:"from"`
		To    string `json:"to"`
		Every bool   `json:"every"`
		Again *bool  `json:"again"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	run, err := a.startRun(r, url.Values{"from": {body.From}, "to": {body.To}}, body.Every, body.Again == nil || *body.Again)
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, run)
}

// evidenceRunForm is POST /evidence, the page's button.
func (a *API) evidenceRunForm(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	if _, err := a.startRun(r, r.PostForm, r.PostForm.Get("every") != "", true); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/evidence?"+url.Values{"from": {r.PostForm.Get("from")}, "to": {r.PostForm.Get("to")}}.Encode(), http.StatusSeeOther)
	return nil
}

func (a *API) startRun(r *request, query url.Values, every, again bool) (evidence.Run, error) {
	switch {
	case a.Evidence == nil:
		return evidence.Run{}, errNoEvidence
	case a.Evidence.Checker == nil:
		return evidence.Run{}, errNoArchive
	}
	from, to, err := period(query, today().AddDate(0, 0, -1), time.Now().UTC())
	if err != nil {
		return evidence.Run{}, err
	}
	q := evidence.Request{From: from, To: to, Cause: "button", By: r.principal.Email, Every: every, Again: again}
	if err := q.Check(); err != nil {
		return evidence.Run{}, invalid("The run can't be made: " + err.Error() + ".")
	}
	run, err := a.Evidence.Checker.Start(r.Context(), q)
	if err != nil {
		return run, a.evidenceError(r, err)
	}
	return run, nil
}

// evidenceReport is GET /api/v1/evidence/report: the signed report of a period, as a page or as JSON.
func (a *API) evidenceReport(w http.ResponseWriter, r *request) error {
	if a.Evidence == nil {
		return errNoEvidence
	}
	c, err := a.choice(r, 7, "format")
	if err != nil {
		return err
	}
	format := cmp.Or(r.URL.Query().Get("format"), "json")
	if format != "json" && format != "html" {
		return invalid("format must be json or html.")
	}
	if a.note(r, audit.Record{Kind: audit.AuditRead, Detail: audit.NewText("evidence report, " + format)}) != nil {
		return errNotNoted
	}
	items, err := a.evidenceItems(r, c)
	if err != nil {
		return a.evidenceError(r, err)
	}
	report := evidence.NewReport(c.From, c.To, time.Now(), r.principal.Email, a.Version, a.Evidence.Platforms, items)
	make, kind := report.JSON, "application/json"
	if format == "html" {
		make, kind = report.HTML, "text/html; charset=utf-8"
	}
	body, err := make(a.Evidence.Key)
	if err != nil {
		return a.evidenceError(r, err)
	}
	w.Header().Set("Content-Type", kind)
	// A file, to be kept and to be opened from the disk: its page has styles of its own, which the policy here wouldn't allow.
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="offrecord-evidence-%s-%s.%s"`, c.From.Format("20060102"), c.To.Add(-time.Second).Format("20060102"), format))
	_, err = w.Write(body)
	return err
}

// itemsMost bounds what one answer is made of: an item takes some kilobytes, and memory is the pauses', too.
const itemsMost = 20_000

// evidenceItems are the items of a choice, if they aren't too many.
func (a *API) evidenceItems(r *request, c evidence.Choice) ([]evidence.Item, error) {
	c.Limit = itemsMost + 1
	items, err := a.Evidence.Store.Items(r.Context(), c)
	if len(items) > itemsMost {
		return nil, invalid(fmt.Sprintf("There are more than %d findings in this period. Choose a shorter one, an agent or a verdict.", itemsMost))
	}
	return items, err
}

// readFor is how long it counts as one reading.
const readFor = 10 * time.Minute

// noteReading writes down that somebody reads something. What follows soon is the same reading: a page that loads itself again, a
// player's ranges.
func (a *API) noteReading(r *request, what string, record audit.Record) error {
	e, key, now := a.Evidence, r.principal.Email+" "+what, time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.read == nil {
		e.read = map[string]time.Time{}
	}
	maps.DeleteFunc(e.read, func(_ string, at time.Time) bool { return now.Sub(at) > readFor })
	if _, going := e.read[key]; going {
		return nil
	}
	record.Kind = audit.AuditRead
	if a.note(r, record) != nil {
		return errNotNoted
	}
	e.read[key] = now
	return nil
}
