package agui

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/sim/archive"
)

// Call is one call (8x8 says transaction) and its tape.
type Call struct {
	ID       string
	Agent    string
	Started  time.Time
	Ended    time.Time // zero while it is active
	Recorded bool      // false for a call that is not recorded at all: it has no tape
	Tape     []Interval
}

// Interval is a stretch of a tape. The platform records on while a tape is silent, so a tape is as long as its call.
type Interval struct {
	From   time.Time
	To     time.Time // zero for the one that runs now
	Silent bool      // paused: nothing that was said is on it
}

// Active reports whether the call hasn't ended.
func (c Call) Active() bool { return c.Ended.IsZero() }

// Audible reports whether what was said at t is on the tape.
func (c Call) Audible(t time.Time) bool {
	for _, i := range c.Tape {
		if !i.Silent && !t.Before(i.From) && (i.To.IsZero() || t.Before(i.To)) {
			return true
		}
	}
	return false
}

// running reports whether the call is active and what is said now is on its tape.
func (c Call) running() bool {
	return c.Active() && c.Recorded && !c.Tape[len(c.Tape)-1].Silent
}

// StartCall starts a call at the agent's desk, with its tape running if the agent's calls are recorded. A call that is
// active already goes on; it is then the one returned.
func (s *Simulator) StartCall(agent string) Call { return s.startCall(agent, 0) }

// EndCall ends the agent's active call, and its tape, paused or not. Without a call it does nothing.
func (s *Simulator) EndCall(agent string) { s.endCall(agent, 0) }

// Record sets whether the agent's calls are recorded, from the next call on. They are by default.
func (s *Simulator) Record(agent string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.desk(agent).plain = !on
	s.Notify()
}

// Pause silences the agent's tape, as a press in the platform's own screen does. It reports whether that changed anything.
func (s *Simulator) Pause(agent string) bool { return s.act(agent, recording.Pause, 0).changed }

// Resume makes the agent's tape run again, as a press in the platform's own screen does.
func (s *Simulator) Resume(agent string) bool { return s.act(agent, recording.Resume, 0).changed }

// Recording reports whether what the agent says now is on a tape. It is the truth that every claim is held against.
func (s *Simulator) Recording(agent string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.desk(agent).active()
	return c != nil && c.running()
}

// Calls returns the agent's calls with their tapes, oldest first.
func (s *Simulator) Calls(agent string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.desk(agent).calls)
	for i := range calls {
		calls[i].Tape = slices.Clone(calls[i].Tape)
	}
	return calls
}

func (s *Simulator) startCall(agent string, request int) Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.desk(agent)
	if c := d.active(); c != nil {
		return *c
	}
	s.lastCall++
	c := Call{ID: strconv.Itoa(s.lastCall), Agent: agent, Started: time.Now(), Recorded: !d.plain}
	if c.Recorded {
		c.Tape = []Interval{{From: c.Started}}
	}
	d.calls = append(d.calls, c)
	s.effect(agent, c.ID, CallStarted, c.Started, request)
	return c
}

func (s *Simulator) endCall(agent string, request int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.desk(agent).active()
	if c == nil {
		return
	}
	c.Ended = time.Now()
	if c.Recorded {
		c.Tape[len(c.Tape)-1].To = c.Ended
		if s.config.Archive != nil {
			s.config.Archive.Keep(c.kept())
		}
	}
	s.effect(agent, c.ID, CallEnded, c.Ended, request)
}

// kept is the call as the archive files it.
func (c Call) kept() archive.Call {
	kept := archive.Call{ID: c.ID, Agent: c.Agent, Started: c.Started, Ended: c.Ended}
	for _, i := range c.Tape {
		if i.Silent {
			kept.Silent = append(kept.Silent, archive.Interval{From: i.From, To: i.To})
		}
	}
	return kept
}

// acted is what became of an action.
type acted struct {
	call     bool // there was an active call
	recorded bool // which is recorded
	changed  bool // and whose tape changed
}

// act carries out a pause or a resume. Without an active transaction, or one that is recorded, it is ignored.
func (s *Simulator) act(agent string, action recording.Action, request int) acted {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.desk(agent).active()
	if c == nil {
		return acted{}
	}
	if !c.Recorded {
		return acted{call: true}
	}
	silent := action == recording.Pause
	last := &c.Tape[len(c.Tape)-1]
	if last.Silent == silent {
		return acted{call: true, recorded: true}
	}
	now := time.Now()
	last.To = now
	c.Tape = append(c.Tape, Interval{From: now, Silent: silent})
	kind := Resumed
	if silent {
		kind = Paused
	}
	s.effect(agent, c.ID, kind, now, request)
	return acted{call: true, recorded: true, changed: true}
}

// look is what act would find, without acting.
func (s *Simulator) look(agent string) acted {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.desk(agent).active()
	return acted{call: c != nil, recorded: c != nil && c.Recorded, changed: c != nil && c.Recorded}
}

// desk returns the agent's desk; an agent that doesn't exist is a mistake of the test. The lock is held.
func (s *Simulator) desk(agent string) *desk {
	d := s.desks[agent]
	if d == nil {
		panic(fmt.Sprintf("agui: there is no agent %q", agent))
	}
	return d
}

// active returns the call that hasn't ended, or nil.
func (d *desk) active() *Call {
	if n := len(d.calls); n > 0 && d.calls[n-1].Active() {
		return &d.calls[n-1]
	}
	return nil
}
