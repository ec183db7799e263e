package evidence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// Log is the audit log, as far as this package reads it.
type Log interface {
	Query(context.Context, audit.Filter) (audit.Page, error)
}

// Agent is someone whose pauses are looked for.
type Agent struct {
	Email    string
	Logged   string // the address as the log has it, where that isn't Email: a keyed hash
	Platform string
	ID       string // the platform's own id, which its recordings carry
}

// Attempt is one attempt in or around a window, as the log has it.
type Attempt struct {
	recording.Attempt
	Seq int64 // its record in the log
}

// Window is a stretch of an agent's call that was to be silent: from a pause's effect to its resume's.
type Window struct {
	Agent Agent
	Call  string
	// Pause is the id of the attempt that began it, Certainty the outcome of the best known pause in it.
	Pause     string
	Certainty recording.Outcome
	From      Bounds
	// To is when it ended; zero if only the call's end did, or nothing is known to have.
	To Bounds
	// Until is when it was over at the latest, where To is zero: the call was known to have ended, or the next one was paused.
	Until    time.Time
	Attempts []Attempt
}

// Focus is a press that a trigger made for a card field and that came to nothing.
type Focus struct {
	Agent   Agent
	Attempt Attempt
	At      time.Time
}

// reach is how far before and after a period the log is read: a pause before it may last into it, and its resume come after.
const reach = 12 * time.Hour

// sessionEarly is how much earlier than announced a pause by the browser may have been: it is fired and announced in the same
// moment, and the announcement takes its time.
const sessionEarly = time.Second

// Windows reads the log and returns a platform's windows that began in a period, and the card fields that had the focus without a
// pause. agents are those that the platform has now; one who isn't among them any more has no id.
func Windows(ctx context.Context, log Log, platform string, agents []Agent, from, to time.Time) (windows []Window, focus []Focus, err error) {
	agents = slices.Clone(agents)
	byLogged := map[string]Agent{}
	for _, a := range agents {
		byLogged[a.Email] = a // also of the time before addresses were hashed
		byLogged[cmp.Or(a.Logged, a.Email)] = a
	}
	type line struct {
		attempts map[string]*Attempt
		ends     []time.Time
	}
	lines := map[string]*line{}
	for _, kind := range []audit.Kind{audit.AttemptDecided, audit.Call} {
		f := audit.Filter{Kind: kind, From: from.Add(-reach), To: to.Add(reach), Limit: 1000}
		for {
			page, err := log.Query(ctx, f)
			if err != nil {
				return nil, nil, fmt.Errorf("reading the pauses: %w", err)
			}
			for _, e := range page.Items {
				who, ok := byLogged[e.Agent.String()]
				if !ok {
					if e.Platform.String() != platform {
						continue
					}
					who = Agent{Email: e.Agent.String(), Platform: platform}
					byLogged[who.Email], agents = who, append(agents, who)
				}
				l := lines[who.Email]
				if l == nil {
					l = &line{attempts: map[string]*Attempt{}}
					lines[who.Email] = l
				}
				if e.Kind == audit.Call {
					if e.Detail.String() == "ended" {
						l.ends = append(l.ends, e.Time)
					}
					continue
				}
				a, ok := e.AsAttempt()
				if !ok || a.Platform != who.Platform {
					continue
				}
				a.Agent = who.Email
				if known := l.attempts[a.ID]; known == nil || better(a, known.Attempt) {
					l.attempts[a.ID] = &Attempt{a, e.Seq}
				}
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
	}
	for _, who := range agents {
		l := lines[who.Email]
		if l == nil {
			continue
		}
		all := make([]Attempt, 0, len(l.attempts))
		for _, a := range l.attempts {
			all = append(all, *a)
		}
		slices.SortFunc(all, func(a, b Attempt) int {
			return cmp.Or(a.RequestedAt.Compare(b.RequestedAt), cmp.Compare(a.Seq, b.Seq))
		})
		slices.SortFunc(l.ends, time.Time.Compare)
		w, f := windowsOf(who, all, l.ends)
		windows, focus = append(windows, w...), append(focus, f...)
	}
	began := func(t time.Time) bool { return !t.Before(from) && t.Before(to) }
	windows = slices.DeleteFunc(windows, func(w Window) bool { return !began(w.From.Latest) })
	focus = slices.DeleteFunc(focus, func(f Focus) bool { return !began(f.At) })
	slices.SortStableFunc(windows, func(a, b Window) int { return a.From.Latest.Compare(b.From.Latest) })
	slices.SortStableFunc(focus, func(a, b Focus) int { return a.At.Compare(b.At) })
	return windows, focus, nil
}

// better reports whether one record of an attempt says more than another: the agent's word comes after the outcome and adds to
// it, but where something was seen that stays.
func better(a, than recording.Attempt) bool {
	return rank(a.Outcome) > rank(than.Outcome) || rank(a.Outcome) == rank(than.Outcome) && a.DecidedAt.Before(*than.DecidedAt)
}

// rank orders outcomes by how well they say that the action had its effect; 0 is known not to have had it.
func rank(o recording.Outcome) int {
	switch o {
	case recording.Confirmed:
		return 5
	case recording.Attested:
		return 4
	case recording.Accepted:
		return 3
	case recording.Sent:
		return 2
	case recording.Unknown:
		return 1
	}
	return 0
}

// effect is when an attempt that may have had its effect had it.
func effect(a Attempt) Bounds {
	b := Bounds{a.RequestedAt, *a.DecidedAt}
	if e := a.Evidence; e != nil && a.Route == recording.RouteSession && slices.Contains(answered, e.Kind) {
		// The browser saw the end of it before the server heard so.
		if seen := a.RequestedAt.Add(time.Duration(e.AfterMS+1) * time.Millisecond); seen.Before(b.Latest) {
			b.Latest = seen
		}
	}
	if a.Route == recording.RouteSession && a.Action.Silences() {
		b.Earliest = b.Earliest.Add(-sessionEarly)
	}
	if b.Latest.Before(b.Earliest) {
		b.Latest = b.Earliest
	}
	return b
}

// answered are the kinds of evidence of a browser that come with the platform's answer.
var answered = []recording.EvidenceKind{recording.FrameLoad, recording.PopupClosed, recording.Status}

// windowsOf goes through one agent's attempts in the order in which they were asked for.
func windowsOf(who Agent, all []Attempt, ends []time.Time) (windows []Window, focus []Focus) {
	var open, last *Window // last is over, and nothing was paused since
	shut := func() {
		if open != nil {
			windows = append(windows, *open)
			last, open = &windows[len(windows)-1], nil
		}
	}
	for _, a := range all {
		for len(ends) > 0 && !ends[0].After(a.RequestedAt) {
			if open != nil && ends[0].After(open.From.Latest) {
				open.Until = ends[0]
				shut()
			}
			last, ends = nil, ends[1:]
		}
		works := rank(a.Outcome) > 0
		switch {
		case a.Action.Silences() && works && open == nil:
			open, last = &Window{Agent: who, Call: a.Call, Pause: a.ID, Certainty: a.Outcome, From: effect(a), Attempts: []Attempt{a}}, nil
		case a.Action.Silences() && works:
			// Asked for again: from the better known one on it is surely paused, from the first one on it may be.
			if rank(a.Outcome) > rank(open.Certainty) {
				open.Certainty, open.From.Latest = a.Outcome, effect(a).Latest
			}
			open.Attempts = append(open.Attempts, a)
		case open != nil && !a.Action.Silences() && (works || a.Outcome == recording.NoCall):
			open.Attempts = append(open.Attempts, a)
			if open.To = effect(a); a.Outcome == recording.NoCall {
				open.To, open.Until = Bounds{}, *a.DecidedAt
			}
			shut()
		case open != nil:
			open.Attempts = append(open.Attempts, a)
		case last != nil && !a.Action.Silences() && works && !last.To.Latest.IsZero():
			// Asked for again, so the first one may not have worked.
			last.To.Latest = effect(a).Latest
			last.Attempts = append(last.Attempts, a)
		case a.Action.Silences():
			if strings.HasPrefix(string(a.Origin), "trigger:") && a.Outcome != recording.Superseded {
				focus = append(focus, Focus{who, a, a.RequestedAt})
			}
		}
	}
	if open != nil {
		for _, end := range ends {
			if end.After(open.From.Latest) {
				open.Until = end
				break
			}
		}
		shut()
	}
	// A pause that soon worked after all.
	focus = slices.DeleteFunc(focus, func(f Focus) bool {
		return slices.ContainsFunc(windows, func(w Window) bool {
			return !w.From.Latest.Before(f.At) && w.From.Latest.Sub(f.At) < soon
		})
	})
	return windows, focus
}

// soon is how long after a trigger's press that failed a pause still counts as its own.
const soon = 5 * time.Second
