package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/site"
)

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
	if err := a.noteReading(r, "period "+r.URL.RawQuery, audit.Record{Detail: audit.NewText(r.Pattern)}); err != nil {
		return err
	}
	counts, err := a.Evidence.Store.Counts(r.Context(), c)
	if err != nil {
		return a.evidenceError(r, err)
	}
	c.Newest, c.Limit = true, shownMost+1
	items, err := a.Evidence.Store.Items(r.Context(), c)
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
	page.More = len(items) > shownMost
	for _, x := range items[:min(len(items), shownMost)] {
		page.Rows = append(page.Rows, evidenceRow(x))
	}
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
		if x.State == evidence.Running {
			page.Running = fmt.Sprintf("A run is under way: %d recordings so far.", x.Recordings)
		}
		page.Runs = append(page.Runs, evidenceRun(x))
	}
	page.Platforms = a.evidencePlatforms()
	return a.page(w, http.StatusOK, "", page)
}

func (a *API) evidencePlatforms() (all []site.EvidencePlatform) {
	for _, p := range a.Evidence.Platforms {
		all = append(all, site.EvidencePlatform{Name: p.Name, Kind: p.Kind, Note: p.Note, Checkable: p.Checkable})
	}
	return all
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
