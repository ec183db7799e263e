package center

import (
	"fmt"
	"strings"
	"time"
)

// Request is one request as it arrived, and what was answered. No header, query or body is kept.
type Request struct {
	Seq      int // its place in the ledger, from 1; requests and effects share the count
	At       time.Time
	Endpoint string // which of the platform's calls it was, for example "action"
	Method   string
	Path     string
	Agent    string // whom it was for, if that was understood
	Asked    string // what it asked of the tape, in the platform's word
	Status   int    // 0 while it is being answered, and for one that never was
	Answered time.Time
	Dropped  bool // the connection was cut instead of a whole answer
}

// EffectKind is something that really happened to a call or its tape.
type EffectKind string

// The effects. A request that changes nothing has none.
const (
	CallStarted EffectKind = "call started"
	CallEnded   EffectKind = "call ended"
	TapeRunning EffectKind = "tape running"
	TapeBlank   EffectKind = "tape blank"
	TapeOff     EffectKind = "tape off"
	Declined    EffectKind = "declined"
)

// Effect is one effect.
type Effect struct {
	Seq     int
	At      time.Time
	Agent   string
	Call    string
	Kind    EffectKind
	Request int // the Seq of the request that caused it; 0 if a test or a person did
}

// Filter picks requests. A zero field picks all.
type Filter struct {
	Endpoint string
	Agent    string
	Asked    string
	Status   int
	After    int // only those with a higher Seq
}

func (f Filter) picks(r Request) bool {
	return (f.Endpoint == "" || r.Endpoint == f.Endpoint) && (f.Agent == "" || r.Agent == f.Agent) &&
		(f.Asked == "" || r.Asked == f.Asked) && (f.Status == 0 || r.Status == f.Status) && r.Seq > f.After
}

// ledger is everything that came and happened, in its order. It is guarded by the center's lock.
type ledger struct {
	seq      int
	requests []*Request
	effects  []Effect
}

// Requests returns the requests that the filter picks, in the order of their arrival.
func (c *Center) Requests(f Filter) []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	var picked []Request
	for _, r := range c.ledger.requests {
		if f.picks(*r) {
			picked = append(picked, *r)
		}
	}
	return picked
}

// Effects returns what happened to an agent's calls, or to all if agent is empty.
func (c *Center) Effects(agent string) []Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	var picked []Effect
	for _, e := range c.ledger.effects {
		if agent == "" || e.Agent == agent {
			picked = append(picked, e)
		}
	}
	return picked
}

// Mark is the Seq of the ledger's last entry, for Filter.After.
func (c *Center) Mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.seq
}

// String is the ledger as text, one entry a line, for a failed test.
func (c *Center) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := make([]string, c.ledger.seq)
	const clock = "15:04:05.000"
	for _, r := range c.ledger.requests {
		status := fmt.Sprint(r.Status)
		switch {
		case r.Dropped:
			status = "dropped"
		case r.Answered.IsZero():
			status = "open"
		}
		lines[r.Seq-1] = fmt.Sprintf("%4d %s %s %s %s agent=%s asked=%s status=%s", r.Seq, r.At.Format(clock), r.Endpoint, r.Method, r.Path, r.Agent, r.Asked, status)
	}
	for _, e := range c.ledger.effects {
		lines[e.Seq-1] = fmt.Sprintf("%4d %s %s agent=%s call=%s by=%d", e.Seq, e.At.Format(clock), e.Kind, e.Agent, e.Call, e.Request)
	}
	return strings.Join(lines, "\n")
}

// effect enters an effect. The lock is held.
func (c *Center) effect(agent, call string, kind EffectKind, at time.Time, request int) {
	c.ledger.seq++
	c.ledger.effects = append(c.ledger.effects, Effect{Seq: c.ledger.seq, At: at, Agent: agent, Call: call, Kind: kind, Request: request})
	c.notify()
}
