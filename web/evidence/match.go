package evidence

import (
	"strings"
	"time"
)

// matching is how far a recording's times may be from the log's.
const matching = Clocks + time.Second

// settling is how long after a pause its recording may take to come into the archive.
const settling = time.Hour

// among are the recordings in which a window lies: the agent's own, around the time at which it began, and what it lasted into. Of
// two that meet there, as when a call follows on the other, the one counts that the log's call names, else the one that surely
// holds the beginning.
func among(w *Window, all []Recording) []Recording {
	var named, sure, may, into []Recording
	begin, end := w.From.Latest, w.To.Earliest
	if end.IsZero() {
		end = w.Until
	}
	for _, r := range all {
		if r.AgentID != w.Agent.ID {
			continue
		}
		near := begin.After(r.Start.Add(-matching)) && begin.Before(r.End().Add(matching))
		switch {
		case near && names(w.Call, r):
			named = append(named, r)
		case begin.After(r.Start.Add(time.Second)) && begin.Before(r.End().Add(-time.Second)):
			sure = append(sure, r)
		case begin.Before(r.Start) && !end.IsZero() && end.After(r.Start.Add(matching)):
			into = append(into, r)
		case near:
			may = append(may, r)
		}
	}
	for _, in := range [][]Recording{named, sure} {
		if len(in) > 0 {
			return append(in, into...)
		}
	}
	return append(may, into...)
}

// names reports whether a call's id in the log is the recording's own: what a CRM calls a call by may be the platform's transaction,
// or the other side's number, however that is written.
func names(call string, r Recording) bool {
	const least = 7 // digits: fewer are anything
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, s)
	}
	a, b := digits(call), digits(r.Phone)
	return call != "" && call == r.Transaction || min(len(a), len(b)) >= least && (strings.HasSuffix(a, b) || strings.HasSuffix(b, a))
}

// during is the recording in which a moment lies, if there is one.
func during(agent Agent, at time.Time, all []Recording) (Recording, bool) {
	for _, r := range all {
		if r.AgentID == agent.ID && at.After(r.Start.Add(-time.Second)) && at.Before(r.End().Add(time.Second)) {
			return r, true
		}
	}
	return Recording{}, false
}
