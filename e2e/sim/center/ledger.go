package center

import (
	"fmt"
	"time"

	"offrecord/e2e/sim/ledger"
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

// Effect is something that really happened to a call or its tape.
type Effect = ledger.Effect

// What happens to a call and its tape here.
const (
	CallStarted                   = ledger.CallStarted
	CallEnded                     = ledger.CallEnded
	TapeRunning ledger.EffectKind = "tape running"
	TapeBlank   ledger.EffectKind = "tape blank"
	TapeOff     ledger.EffectKind = "tape off"
	Declined    ledger.EffectKind = "declined"
)

// Filter picks requests. A zero field picks all.
type Filter struct {
	Endpoint string
	Agent    string
	Asked    string
	Status   int
	After    int // only those with a higher Seq
}

// Picks reports whether the filter picks the request.
func (f Filter) Picks(r Request) bool {
	return (f.Endpoint == "" || r.Endpoint == f.Endpoint) && (f.Agent == "" || r.Agent == f.Agent) &&
		(f.Asked == "" || r.Asked == f.Asked) && (f.Status == 0 || r.Status == f.Status) && r.Seq > f.After
}

func (r Request) String() string {
	return fmt.Sprintf("%s %s %s %s agent=%s asked=%s status=%s", r.At.Format(ledger.Clock), r.Endpoint, r.Method, r.Path, r.Agent, r.Asked,
		ledger.Status(r.Status, !r.Answered.IsZero(), r.Dropped))
}

func (c *Center) effect(agent, call string, kind ledger.EffectKind, at time.Time, request int) {
	c.Note(Effect{At: at, Agent: agent, Call: call, Kind: kind, Request: request})
}
