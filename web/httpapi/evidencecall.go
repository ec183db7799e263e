package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/evidence/silence"
	"offrecord/web/site"
)

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
