package agui

import (
	"net/http"
	"time"

	"offrecord/app/recording"
)

// Fault is how the simulator misbehaves towards an action. The zero value is the platform at its best.
type Fault struct {
	// Pretend answers as if it had acted, and leaves the tape as it is.
	Pretend bool
	// Before is waited before acting, After between acting and answering. Neither ends when the client goes away.
	Before, After time.Duration
	// Drop cuts the connection instead of answering.
	Drop Drop
	// Status is answered instead of what is due: 204 after acting, 302 to the log-in page and any other without acting.
	Status int
	// ActAnyway makes a Status that wouldn't act do so all the same: a 500 that worked.
	ActAnyway bool
	// COOP sends Cross-Origin-Opener-Policy: same-origin, which takes the popup away from its opener.
	COOP bool
	// Body is the form of the API's 200 answers, Words what they say instead of the documented status. The session route
	// has neither.
	Body  Body
	Words string
	// Times is how many requests meet the fault before it is gone; 0 is until it is set anew.
	Times int
}

// Drop is when a connection is cut.
type Drop string

// The moments. After acting, the client can't tell it from before.
const (
	DropBefore Drop = "before acting"
	DropAfter  Drop = "after acting"
)

// Body is the form of the API's answers, which 8x8's document leaves open.
type Body string

// The forms. BodyHuge is 10 MB of blanks and then the status.
const (
	BodyXML     Body = ""
	BodyJSON    Body = "json"
	BodyText    Body = "text"
	BodyEmpty   Body = "empty"
	BodyGarbled Body = "garbled"
	BodyHuge    Body = "huge"
)

type faultKey struct {
	route recording.Route
	agent string
}

// SetFault sets how the agent's requests on a route are met from now on; the zero Fault ends it. An empty agent stands for
// all who have none of their own, and for requests that come without a session.
func (s *Simulator) SetFault(route recording.Route, agent string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if agent != "" {
		s.desk(agent)
	}
	if f == (Fault{}) {
		delete(s.faults, faultKey{route, agent})
	} else {
		s.faults[faultKey{route, agent}] = f
	}
	s.Notify()
}

// meet returns the fault that a request meets, and counts it.
func (s *Simulator) meet(route recording.Route, agent string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := faultKey{route, agent}
	f, ok := s.faults[key]
	if !ok {
		key.agent = ""
		f, ok = s.faults[key]
	}
	if ok && f.Times > 0 {
		left := f
		if left.Times--; left.Times == 0 {
			delete(s.faults, key)
		} else {
			s.faults[key] = left
		}
		s.Notify()
	}
	return f
}

// acts reports whether the fault lets an action reach the tape.
func (f Fault) acts() bool {
	switch {
	case f.Pretend:
		return false
	case f.Status == 0 || f.Status == http.StatusNoContent:
		return true
	}
	return f.ActAnyway
}

// cut drops the connection: net/http closes it (HTTP/1.1) or resets the stream (HTTP/2).
func cut() { panic(http.ErrAbortHandler) }

// preset is a fault that a person can choose on the workspace page.
type preset struct {
	Name, Label string
	Fault       Fault
}

func presets() []preset {
	return []preset{
		{"none", "work as it should", Fault{}},
		{"pretend", "answer success, go on recording", Fault{Pretend: true}},
		{"slow", "act at once, answer 4 s later", Fault{After: 4 * time.Second}},
		{"late", "act 4 s later", Fault{Before: 4 * time.Second}},
		{"drop", "drop the connection before acting", Fault{Drop: DropBefore}},
		{"drop-after", "act, then drop the connection", Fault{Drop: DropAfter}},
		{"no-content", "act, answer 204", Fault{Status: http.StatusNoContent}},
		{"coop", "take the popup from its opener (COOP)", Fault{COOP: true}},
		{"redirect", "send to the log-in page", Fault{Status: http.StatusFound}},
		{"error", "answer 500", Fault{Status: http.StatusInternalServerError}},
	}
}
