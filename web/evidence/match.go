package evidence

import (
	"time"
)

// matching is how far a recording's times may be from the log's.
const matching = Clocks + time.Second

// settling is how long after a pause its recording may take to come into the archive.
const settling = time.Hour

// among are the recordings in which a window lies: the agent's own, around the time at which it began, and what it lasted into. Of
// two that meet there, as when a call follows on the other, the one that surely holds the beginning counts.
func among(w *Window, all []Recording) (in []Recording) {
	var sure, may []Recording
	begin, end := w.From.Latest, w.To.Earliest
	if end.IsZero() {
		end = w.Until
	}
	for _, r := range all {
		if r.AgentID != w.Agent.ID {
			continue
		}
		switch {
		case begin.After(r.Start.Add(time.Second)) && begin.Before(r.End().Add(-time.Second)):
			sure = append(sure, r)
		case begin.Before(r.Start) && !end.IsZero() && end.After(r.Start.Add(matching)):
			sure = append(sure, r) // it lasted into the next one
		case begin.After(r.Start.Add(-matching)) && begin.Before(r.End().Add(matching)):
			may = append(may, r)
		}
	}
	if len(sure) > 0 {
		return sure
	}
	return may
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
