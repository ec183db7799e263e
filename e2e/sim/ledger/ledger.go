// Package ledger is what the platforms' simulators judge by: every request as it arrived, and everything that really happened
// to a call or its tape, in one order. Tests ask it, never the panel, whether a recording is paused.
package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// EffectKind is something that really happened to a call or its tape.
type EffectKind string

// Every platform has calls; what can become of a tape, each simulator says for itself.
const (
	CallStarted EffectKind = "call started"
	CallEnded   EffectKind = "call ended"
)

// Effect is one effect. A request that changes nothing has none.
type Effect struct {
	Seq     int // its place in the ledger, from 1; requests and effects share the count
	At      time.Time
	Agent   string
	Call    string
	Kind    EffectKind
	Request int // the Seq of the request that caused it; 0 if a test or a person did
}

func (e Effect) String() string {
	return fmt.Sprintf("%s agent=%s call=%s by=%d", e.Kind, e.Agent, e.Call, e.Request)
}

// Clock is how a ledger's text writes times.
const Clock = "15:04:05.000"

// Status is the end of a request's line: how it was answered.
func Status(status int, answered, dropped bool) string {
	switch {
	case dropped:
		return "dropped"
	case !answered:
		return "open"
	}
	return fmt.Sprint(status)
}

// Ledger keeps requests of the type R, which a filter of the type F picks. Its simulator's lock guards it: the methods that
// ask take the lock, the ones that write want it held.
type Ledger[R fmt.Stringer, F interface{ Picks(R) bool }] struct {
	mu       *sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	lines    []func() string
	requests []*R
	effects  []Effect
}

// New is an empty ledger under a simulator's lock.
func New[R fmt.Stringer, F interface{ Picks(R) bool }](mu *sync.Mutex) *Ledger[R, F] {
	return &Ledger[R, F]{mu: mu, changed: make(chan struct{})}
}

// Requests returns the requests that the filter picks, in the order of their arrival.
func (l *Ledger[R, F]) Requests(f F) []R {
	l.mu.Lock()
	defer l.mu.Unlock()
	var picked []R
	for _, r := range l.requests {
		if f.Picks(*r) {
			picked = append(picked, *r)
		}
	}
	return picked
}

// Effects returns what happened at an agent's desk, or at all desks if agent is empty.
func (l *Ledger[R, F]) Effects(agent string) []Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	var picked []Effect
	for _, e := range l.effects {
		if agent == "" || e.Agent == agent {
			picked = append(picked, e)
		}
	}
	return picked
}

// Mark is the Seq of the last entry, for a filter that asks for what comes after.
func (l *Ledger[R, F]) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// WaitFor blocks until ok says true, asking it now and after every change of the ledger and of what its simulator said by
// Notify. ok may call any of the simulator's methods. If ctx ends first, the error carries the ledger as text.
func (l *Ledger[R, F]) WaitFor(ctx context.Context, ok func() bool) error {
	for {
		changed := l.Changed() // before ok is asked, so that no change in between is missed
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the ledger: %w\n%s", context.Cause(ctx), l)
		}
	}
}

// Changed is closed at the next change.
func (l *Ledger[R, F]) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// String is the ledger as text, one entry a line, for a failed test.
func (l *Ledger[R, F]) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for i, line := range l.lines {
		fmt.Fprintf(&text, "%4d %s\n", i+1, line())
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// Notify wakes who waits for a change. The lock is held.
func (l *Ledger[R, F]) Notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Enter enters a request as it arrives, given its Seq. What is learnt of it later is written into what Enter returns, and told
// by Notify. The lock is held.
func (l *Ledger[R, F]) Enter(arrived func(seq int) R) *R {
	r := arrived(len(l.lines) + 1)
	l.requests = append(l.requests, &r)
	l.lines = append(l.lines, func() string { return r.String() })
	l.Notify()
	return &r
}

// Note enters an effect and gives it its Seq. The lock is held.
func (l *Ledger[R, F]) Note(e Effect) {
	e.Seq = len(l.lines) + 1
	l.effects = append(l.effects, e)
	l.lines = append(l.lines, func() string { return e.At.Format(Clock) + " " + e.String() })
	l.Notify()
}

// Newest is what the simulator's page shows: the newest requests that pass, at most n, newest first, each with the last thing that
// it did. The lock is held.
func (l *Ledger[R, F]) Newest(n int, passes func(R) bool, seq func(R) int) (requests []R, did []EffectKind) {
	effects := map[int]EffectKind{}
	for _, e := range l.effects {
		effects[e.Request] = e.Kind
	}
	for _, r := range slices.Backward(l.requests) {
		if len(requests) == n {
			break
		}
		if passes(*r) {
			requests, did = append(requests, *r), append(did, effects[seq(*r)])
		}
	}
	return requests, did
}

// Drawn is the end of a tape, as much as a simulator's page has room for: to tells when a stretch ended, and is zero for the
// one that goes on. A page that is told of all of a long call after every request weighs on the very requests that a test
// counts and measures.
func Drawn[I any](tape []I, to func(I) time.Time, now time.Time) []I {
	const strip = 30 * time.Second // a strip shows 24 s
	for i, stretch := range tape {
		if end := to(stretch); end.IsZero() || now.Sub(end) < strip {
			return slices.Clone(tape[i:])
		}
	}
	return nil
}
