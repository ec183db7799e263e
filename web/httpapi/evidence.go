package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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
	"offrecord/web/evidence/silence"
	"offrecord/web/secret"
	"offrecord/web/site"
)

// Evidence is what the recordings show, as the handlers need it.
type Evidence struct {
	Store *evidence.Store
	// Checker listens to recordings; nil where no platform's can be asked for.
	Checker *evidence.Checker
	// Platforms are all of the configuration, and whether they can be checked.
	Platforms []evidence.ReportPlatform
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
	if _, err := a.startRun(r, r.PostForm, false, true); err != nil {
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

// evidencePage is GET /evidence.
func (a *API) evidencePage(w http.ResponseWriter, r *request) error {
	page := site.EvidencePage{Nav: a.nav(r, "/evidence"), Who: r.principal.Email}
	if a.Evidence == nil {
		return errNoEvidence
	}
	c, err := a.choice(r, 7, "month")
	if err != nil {
		return err
	}
	if a.note(r, audit.Record{Kind: audit.AuditRead, Detail: audit.NewText(r.Pattern)}) != nil {
		return errNotNoted
	}
	items, err := a.evidenceItems(r, c)
	if err != nil {
		return a.evidenceError(r, err)
	}
	runs, err := a.runs(r.Context(), 5)
	if err != nil {
		return a.evidenceError(r, err)
	}
	last := c.To.Add(-time.Second)
	page.From, page.To, page.Agent = c.From.Format(time.DateOnly), last.Format(time.DateOnly), c.Agent
	for _, v := range evidence.Verdicts() {
		page.Verdicts = append(page.Verdicts, site.EvidenceOption{Value: string(v), Title: v.Title(), Chosen: v == c.Verdict})
	}
	for _, k := range kinds {
		page.Kinds = append(page.Kinds, site.EvidenceOption{Value: string(k), Title: kindTitle(k), Chosen: k == c.Kind})
	}
	counts := map[evidence.Verdict]int{}
	for _, x := range slices.Backward(items) { // newest first
		counts[x.Verdict]++
		if len(page.Rows) < shownMost {
			page.Rows = append(page.Rows, evidenceRow(x))
		}
	}
	page.More = len(items) > shownMost
	page.Counts = evidenceCounts(counts, true)
	if page.Calendar, err = a.calendar(r, c); err != nil {
		return err
	}
	query := r.URL.Query()
	query.Del("month")
	query.Set("from", page.From)
	query.Set("to", page.To)
	for format, to := range map[string]*string{"html": &page.HTML, "json": &page.JSON} {
		query.Set("format", format)
		*to = "/api/v1/evidence/report?" + query.Encode()
	}
	page.CanRun = a.Evidence.Checker != nil
	for _, x := range runs {
		page.Running = page.Running || x.State == evidence.Running
		page.Runs = append(page.Runs, evidenceRun(x))
	}
	for _, p := range a.Evidence.Platforms {
		page.Platforms = append(page.Platforms, site.EvidencePlatform{Name: p.Name, Kind: p.Kind, Note: p.Note, Checkable: p.Checkable})
	}
	return a.page(w, http.StatusOK, "", page)
}

func kindTitle(k evidence.ItemKind) string {
	switch k {
	case evidence.OfWindow:
		return "Pauses"
	case evidence.OfSilence:
		return "Silences without a pause"
	}
	return "Card fields without a pause"
}

// evidenceCounts are those of the verdicts, the worst first; all of them, or those that there are any of.
func evidenceCounts(counts map[evidence.Verdict]int, all bool) (out []site.EvidenceCount) {
	for _, v := range evidence.Verdicts() {
		if n := counts[v]; n > 0 || all {
			out = append(out, site.EvidenceCount{Verdict: string(v), Sign: v.Sign(), Title: v.Title(), N: n})
		}
	}
	return out
}

func evidenceRow(x evidence.Item) site.EvidenceRow {
	row := site.EvidenceRow{ID: x.ID, When: x.At.UTC().Format("2006-01-02 15:04:05"), Agent: x.Agent, Platform: x.Platform, Kind: string(x.Kind), Verdict: string(x.Verdict),
		Sign: x.Verdict.Sign(), Title: x.Verdict.Title(), Reason: x.Reason}
	if x.Certainty != "" {
		row.Certainty = string(x.Certainty) + " pause"
	}
	if !x.To.Earliest.IsZero() {
		row.Seconds = fmt.Sprintf("%.1f s", x.To.Earliest.Sub(x.From.Latest).Seconds())
	}
	if !x.DeletedAt.IsZero() {
		row.Deleted = "recording deleted " + x.DeletedAt.UTC().Format("2006-01-02 15:04")
	}
	return row
}

func evidenceRun(x evidence.Run) site.EvidenceRun {
	run := site.EvidenceRun{When: x.Began.UTC().Format("2006-01-02 15:04"), Cause: x.Cause, Period: x.From.UTC().Format("2006-01-02 15:04") + " to " + x.To.UTC().Format("2006-01-02 15:04")}
	if x.By != "" {
		run.Cause += " by " + x.By
	}
	run.State = map[evidence.RunState]string{evidence.Running: "under way", evidence.Done: "done", evidence.Failed: "failed"}[x.State]
	found := []string{fmt.Sprintf("%d pauses, %d recordings", x.Windows, x.Recordings)}
	for _, c := range evidenceCounts(x.Verdicts, false) {
		found = append(found, fmt.Sprintf("%d %s", c.N, strings.ToLower(c.Title)))
	}
	if x.Known > 0 {
		found = append(found, fmt.Sprintf("%d known before", x.Known))
	}
	run.Found = strings.Join(found, ", ") + "."
	if n := len(x.Problems); n > 0 {
		run.Found += " " + strings.TrimSuffix(x.Problems[0], ".") + "."
		if n > 1 {
			run.Found += fmt.Sprintf(" And %d more problems.", n-1)
		}
	}
	return run
}

// calendar is the month that is asked for, or the one in which the period ends.
func (a *API) calendar(r *request, c evidence.Choice) (cal site.EvidenceCalendar, err error) {
	month := c.To.Add(-time.Second)
	if text := r.URL.Query().Get("month"); text != "" {
		if month, err = time.Parse("2006-01", text); err != nil {
			return cal, invalid("month must be one such as 2026-11.")
		}
	}
	first := time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
	next := first.AddDate(0, 1, 0)
	days, err := a.Evidence.Store.Days(r.Context(), first, next)
	if err != nil {
		return cal, a.evidenceError(r, err)
	}
	byDay := map[string]map[evidence.Verdict]int{}
	for _, d := range days {
		byDay[d.Day] = d.Verdicts
	}
	turn := func(to time.Time) string {
		query := r.URL.Query()
		query.Set("month", to.Format("2006-01"))
		return "/evidence?" + query.Encode()
	}
	cal.Title, cal.Earlier = first.Format("January 2006"), turn(first.AddDate(0, -1, 0))
	if !next.After(today()) {
		cal.Later = turn(next)
	}
	week := make([]site.EvidenceDay, 7)
	at := (int(first.Weekday()) + 6) % 7 // Monday is the first
	for day := first; day.Before(next); day = day.AddDate(0, 0, 1) {
		d := site.EvidenceDay{Day: day.Day(), Chosen: !day.Before(c.From.Truncate(24*time.Hour)) && day.Before(c.To)}
		if counts := byDay[day.Format(time.DateOnly)]; len(counts) > 0 {
			d.Counts = evidenceCounts(counts, false)
			d.Address = "/evidence?" + url.Values{"from": {day.Format(time.DateOnly)}, "to": {day.Format(time.DateOnly)}}.Encode()
			said := []string{day.Format("2 January 2006")}
			for _, n := range d.Counts {
				said = append(said, fmt.Sprintf("%d %s", n.N, strings.ToLower(n.Title)))
			}
			d.Said = strings.Join(said, ", ")
		}
		week[at] = d
		if at++; at == 7 {
			cal.Weeks, week, at = append(cal.Weeks, week), make([]site.EvidenceDay, 7), 0
		}
	}
	if at > 0 {
		cal.Weeks = append(cal.Weeks, week)
	}
	return cal, nil
}

// item finds the item of a page, and the recording's others.
func (a *API) item(r *request) (x evidence.Item, all []evidence.Item, tape *evidence.Tape, err error) {
	if a.Evidence == nil {
		return x, nil, nil, errNoEvidence
	}
	if x, err = a.Evidence.Store.Item(r.Context(), r.PathValue("id")); err != nil {
		return x, nil, nil, a.evidenceError(r, err)
	}
	if x.Recording.Name == "" {
		return x, []evidence.Item{x}, nil, nil
	}
	if all, err = a.Evidence.Store.OfRecording(r.Context(), x.Platform, x.Recording.Name); err != nil {
		return x, nil, nil, a.evidenceError(r, err)
	}
	t, err := a.Evidence.Store.Tape(r.Context(), x.Platform, x.Recording.Name)
	switch {
	case err == nil:
		tape = &t
	case !errors.Is(err, evidence.ErrNotFound):
		return x, nil, nil, a.evidenceError(r, err)
	}
	return x, all, tape, nil
}

// evidenceCall is GET /evidence/{id}: one call, with everything that was found in its recording.
func (a *API) evidenceCall(w http.ResponseWriter, r *request) error {
	x, all, tape, err := a.item(r)
	if err != nil {
		return err
	}
	about := audit.Record{Agent: audit.NewID(x.Agent), Platform: audit.NewText(x.Platform), Call: audit.NewID(x.Recording.Name), Detail: audit.NewText(r.Pattern)}
	if err := a.noteReading(r, "page "+x.ID, about); err != nil {
		return err
	}
	page := site.EvidenceCallPage{Nav: a.nav(r, "/evidence/"), Who: r.principal.Email, Agent: x.Agent + " · " + x.Platform, Title: "Call of " + x.At.UTC().Format("2 January 2006, 15:04 UTC")}
	if !x.DeletedAt.IsZero() {
		page.Deleted = "The recording was deleted on " + moment(x.DeletedAt) + ". What was found in it is kept."
	}
	here := "/evidence/" + x.ID
	if rec := x.Recording; rec.Name != "" {
		page.Facts = append(page.Facts, [2]string{"Recording", rec.Name}, [2]string{"Began", rec.Start.UTC().Format("2006-01-02 15:04:05 UTC")}, [2]string{"Length", fmt.Sprintf("%d s by the archive", rec.Duration/time.Second)})
		for _, f := range [][2]string{{"Channel", rec.Channel}, {"Number", rec.Phone}, {"Queue", rec.Queue}} {
			if f[1] != "" {
				page.Facts = append(page.Facts, f)
			}
		}
	}
	if tape != nil {
		page.Facts = append(page.Facts, [2]string{"Sound", tape.Format}, [2]string{"Length of the sound", clock(tape.Duration)}, [2]string{"Clocks", clocks(*tape)})
		if len(tape.Damage) > 0 {
			page.Facts = append(page.Facts, [2]string{"Damage", strings.Join(tape.Damage, "; ")})
		}
		page.Whole = wholeWave(*tape, all)
		for _, s := range tape.Silences {
			page.Tape = append(page.Tape, silenceRow(s))
		}
		if x.DeletedAt.IsZero() && a.Evidence.Checker != nil {
			page.Audio, page.AudioNote = here+"/audio", "Playing it is written into the log."
			if len(evidence.Leaky(all)) > 0 {
				page.AudioNote = "What leaked is silenced by the server before it is played, with the whole pause around it: nobody hears it again. " + page.AudioNote
			}
			page.Delete = here + "/delete"
		}
	}
	page.Facts = append(page.Facts, [2]string{"Screen recording", "not checked"})
	for i, y := range all {
		page.Findings = append(page.Findings, finding(y, tape, y.ID == x.ID && len(all) > 1, i))
	}
	return a.page(w, http.StatusOK, "", page)
}

func clocks(t evidence.Tape) string {
	if t.Edges == 0 {
		return fmt.Sprintf("not found in this tape; open by ±%d ms", uncertainty(t.Shift).Milliseconds())
	}
	return fmt.Sprintf("by %d of the tape's own edges; open by ±%d ms", t.Edges, uncertainty(t.Shift).Milliseconds())
}

func uncertainty(r evidence.Range) time.Duration { return (r.Most - r.Least) / 2 }

// clock is a time on a tape.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(time.Millisecond)
	return fmt.Sprintf("%s%d:%02d.%03d", sign, d/time.Minute, d%time.Minute/time.Second, d%time.Second/time.Millisecond)
}

func silenceRow(s silence.Silence) site.EvidenceStretch {
	row := site.EvidenceStretch{From: clock(s.From), To: clock(s.To), At: s.From.Seconds(), What: "silence", Level: "digital silence"}
	if s.DBFS != 0 {
		row.Level = fmt.Sprintf("%.0f dBFS", s.DBFS)
	}
	if s.Digital.Length() > 0 && s.DBFS != 0 {
		row.What = fmt.Sprintf("silence, digital from %s to %s", clock(s.Digital.From), clock(s.Digital.To))
	}
	return row
}

// marks are what is drawn over a tape's levels.
func marks(items []evidence.Item, tape evidence.Tape, labelled bool) (all []evidence.Mark) {
	for _, s := range tape.Silences {
		all = append(all, evidence.Mark{Span: s.Span, Kind: "silence"})
	}
	for i, x := range items {
		label := ""
		if labelled {
			label = fmt.Sprintf("%d %s", i+1, x.Verdict.Sign())
		}
		switch x.Kind {
		case evidence.OfWindow:
			all = append(all, evidence.Mark{Span: x.Window, Kind: "pause", Label: label})
			if x.Checked.Length() > 0 {
				all = append(all, evidence.Mark{Span: x.Checked, Kind: "checked"})
			}
		case evidence.OfSilence:
			all = append(all, evidence.Mark{Span: x.Window, Kind: "other", Label: label})
		}
		for _, s := range x.Sounds {
			kind := "other"
			if s.Leak && x.Verdict == evidence.Audible {
				kind = "leak"
			}
			all = append(all, evidence.Mark{Span: s.Span, Kind: kind, Channel: s.Channel})
		}
		for _, at := range x.Attempts {
			on, _ := tape.At(at.RequestedAt)
			all = append(all, evidence.Mark{Span: silence.Span{From: on, To: on}, Kind: "attempt"})
		}
	}
	return all
}

func wholeWave(tape evidence.Tape, items []evidence.Item) *site.EvidenceWave {
	over := silence.Span{To: tape.Duration}
	return &site.EvidenceWave{ID: "whole", Picture: evidence.Draw(over, tape.Envelopes, tape.Part, marks(items, tape, true)), Seconds: over.To.Seconds(),
		About: fmt.Sprintf("How loud the recording is over its %s, with the pauses and what was found. The tables below say the same.", clock(tape.Duration))}
}

// finding is an item in words and pictures.
func finding(x evidence.Item, tape *evidence.Tape, here bool, i int) site.EvidenceFinding {
	f := site.EvidenceFinding{EvidenceRow: evidenceRow(x), Here: here}
	f.Title = fmt.Sprintf("%d. %s", i+1, x.Verdict.Title())
	if x.Window.Length() > 0 {
		f.Facts = append(f.Facts, [2]string{"On the tape", clock(x.Window.From) + " to " + clock(x.Window.To)}, [2]string{"Clocks", fmt.Sprintf("open by ±%d ms", x.Uncertainty.Milliseconds())})
	}
	if x.Kind == evidence.OfWindow && x.Recording.Name != "" {
		said := "nothing"
		if x.Checked.Length() > 0 {
			said = clock(x.Checked.From) + " to " + clock(x.Checked.To)
		}
		f.Facts = append(f.Facts, [2]string{"Checked", said})
	}
	for c, g := range x.Grounds {
		name := "Silence"
		if len(x.Grounds) > 1 {
			name = fmt.Sprintf("Silence of channel %d", c+1)
		}
		f.Facts = append(f.Facts, [2]string{name, fmt.Sprintf("%s; heard from %.0f dBFS on", strings.ReplaceAll(string(g.Kind), "_", " "), g.Threshold)})
	}
	for _, s := range x.Sounds {
		leak := s.Leak && x.Verdict == evidence.Audible
		what := strings.ReplaceAll(string(s.Kind), "_", " ")
		if leak {
			what = "leak: " + what
		}
		f.Sounds = append(f.Sounds, site.EvidenceStretch{From: clock(s.From), To: clock(s.To), At: s.From.Seconds(), What: what, Channel: strconv.Itoa(s.Channel), Leak: leak,
			Level: fmt.Sprintf("%.0f dBFS, %.0f dB over the floor", s.Peak, s.Over)})
	}
	for _, at := range x.Attempts {
		row := site.EvidenceAttempt{When: at.RequestedAt.UTC().Format("15:04:05.000"), Action: string(at.Action), Origin: string(at.Origin), Outcome: string(at.Outcome), Seq: strconv.FormatInt(at.Seq, 10)}
		if tape != nil {
			on, open := tape.At(at.RequestedAt)
			row.Tape = fmt.Sprintf("%s ±%d ms", clock(on), open.Milliseconds())
		}
		f.Attempts = append(f.Attempts, row)
	}
	if c := x.Close; c != nil && tape != nil && len(c.Levels) > 0 {
		over := silence.Span{From: c.From, To: c.From + time.Duration(len(c.Levels[0]))*c.Part}
		f.Close = &site.EvidenceWave{ID: strconv.Itoa(i), Picture: evidence.Draw(over, c.Levels, c.Part, marks([]evidence.Item{x}, *tape, false)), From: over.From.Seconds(), Seconds: over.Length().Seconds(),
			About: fmt.Sprintf("The same in detail, from %s to %s.", clock(over.From), clock(over.To))}
	}
	return f
}

// readFor is how long it counts as one reading.
const readFor = 10 * time.Minute

// evidenceAudio is GET /evidence/{id}/audio: the recording as it comes from the archive, with what leaked silenced. The archive's
// credentials stay here.
func (a *API) evidenceAudio(w http.ResponseWriter, r *request) error {
	x, all, tape, err := a.item(r)
	switch {
	case err != nil:
		return err
	case tape == nil || a.Evidence.Checker == nil || !x.DeletedAt.IsZero():
		return &problem{http.StatusNotFound, codeInvalid, "This recording can't be played: it was deleted, or what leaks in it couldn't be silenced."}
	}
	platform, ok := a.Evidence.Checker.Platform(x.Platform)
	if !ok {
		return errNoItem
	}
	about := audit.Record{Agent: audit.NewID(x.Agent), Platform: audit.NewText(x.Platform), Call: audit.NewID(x.Recording.Name), Detail: audit.NewText("recording played")}
	if err := a.noteReading(r, "sound "+x.Platform+" "+x.Recording.Name, about); err != nil {
		return err
	}
	stream, err := platform.Archive.Open(r.Context(), x.Recording.Name)
	if err != nil {
		return a.evidenceError(r, err)
	}
	defer stream.Close()
	size := int64(-1)
	if s, ok := stream.(interface{ Size() int64 }); ok {
		size = s.Size()
	}
	muted, err := evidence.Mute(stream, evidence.Leaky(all))
	if err != nil {
		return a.evidenceError(r, err)
	}
	h := w.Header()
	h.Set("Content-Type", "audio/wav")
	h.Set("Content-Disposition", "inline")
	from, to, part := byteRange(r.Header.Get("Range"), size)
	switch {
	case size < 0:
		h.Set("Accept-Ranges", "none")
	case part && from >= size:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil
	default:
		h.Set("Accept-Ranges", "bytes")
		h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	}
	if part {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, size))
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.CopyN(io.Discard, muted, from); err != nil {
		return a.brokeOff(r, err)
	}
	var body io.Reader = muted
	if size >= 0 {
		body = io.LimitReader(muted, to-from)
	}
	if _, err := io.Copy(w, body); err != nil && r.Context().Err() == nil {
		return a.brokeOff(r, err)
	}
	return nil
}

// brokeOff ends an answer that can't be completed, so that it doesn't look like a whole one.
func (a *API) brokeOff(r *request, err error) error {
	a.Log.Warn("a recording broke off", "request_id", r.id, "error", err)
	panic(http.ErrAbortHandler)
}

// byteRange reads a range of one part; what it doesn't understand is the whole (RFC 9110, 14.2).
func byteRange(header string, size int64) (from, to int64, part bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || size < 0 || strings.Contains(spec, ",") {
		return 0, size, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 {
			return 0, size, false
		}
		return max(size-n, 0), size, true
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, size, false
	}
	to = size
	if last != "" {
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < from {
			return 0, size, false
		}
		to = min(end+1, size)
	}
	return from, to, true
}

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

// evidenceDeletePage is GET /evidence/{id}/delete: the first step, which asks.
func (a *API) evidenceDeletePage(w http.ResponseWriter, r *request) error {
	return a.askDeletion(w, r, http.StatusOK, "")
}

func (a *API) askDeletion(w http.ResponseWriter, r *request, status int, notice string) error {
	x, _, tape, err := a.item(r)
	if err != nil {
		return err
	}
	if tape == nil || a.Evidence.Checker == nil || !x.DeletedAt.IsZero() {
		return &problem{http.StatusNotFound, codeInvalid, "There is no recording to delete: it was deleted already, or never found."}
	}
	return a.page(w, status, "", site.EvidenceDeletePage{Nav: a.nav(r, "/evidence/"), Name: x.Recording.Name, Back: "/evidence/" + x.ID, Notice: notice,
		About: fmt.Sprintf("The recording of %s, %s, %d s.", cmp.Or(x.Agent, x.Recording.AgentID), moment(x.Recording.Start), x.Recording.Duration/time.Second)})
}

// evidenceDelete is POST /evidence/{id}/delete: the second step, with the recording's name.
func (a *API) evidenceDelete(w http.ResponseWriter, r *request) error {
	x, _, tape, err := a.item(r)
	if err != nil {
		return err
	}
	if err := form(r); err != nil {
		return err
	}
	if tape == nil || a.Evidence.Checker == nil || !x.DeletedAt.IsZero() {
		return &problem{http.StatusNotFound, codeInvalid, "There is no recording to delete: it was deleted already, or never found."}
	}
	err = a.Evidence.Checker.Delete(context.WithoutCancel(r.Context()), x.Platform, x.Recording.Name, strings.TrimSpace(r.PostForm.Get("name")), func(record audit.Record) error {
		record.By = audit.NewID(r.principal.Email)
		return a.note(r, record)
	})
	switch {
	case errors.Is(err, evidence.ErrName):
		return a.askDeletion(w, r, http.StatusUnprocessableEntity, "That isn't the recording's name. Nothing was deleted.")
	case errors.Is(err, evidence.ErrNotFound):
		return errNoItem
	case err != nil:
		a.Log.Error("a recording couldn't be deleted", "request_id", r.id, "error", err)
		return &problem{http.StatusBadGateway, codeInternal, "It isn't known whether the recording was deleted: look for it in 8x8's own screen. The log says that it was tried."}
	}
	http.Redirect(w, r.Request, "/evidence/"+x.ID, http.StatusSeeOther)
	return nil
}
