// Package center is what the simulated contact centers with a token API share: agents with their calls and tapes, a ledger
// that is the judge of the tests, faults that can be set while it runs, and a page that shows it all to a person.
//
// It knows no platform's API. Like them it is as strict as the documents and never kinder, and may not import anything of
// the companion but the vocabulary: a judge that shares the code of the judged proves nothing.
package center

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"offrecord/e2e/sim/ledger"
)

// Agent is one who takes calls.
type Agent struct {
	ID    string
	Email string
	Name  string // what the page calls the agent; default ID
}

// Tape is what a call's recording does.
type Tape string

// The states of a tape. Only Running keeps what is said.
const (
	Running Tape = "running"
	Blank   Tape = "blank" // paused or masked: it goes on, with nothing on it
	Off     Tape = "off"   // stopped, or never begun
)

// Interval is a stretch of a tape.
type Interval struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"` // zero for the one that goes on
	Tape Tape      `json:"tape"`
}

// Call is one call and its tape.
type Call struct {
	ID       string     `json:"id"`
	Agent    string     `json:"agent"`
	Internal bool       `json:"internal,omitempty"` // between agents; some platforms won't change its recording
	Started  time.Time  `json:"started"`
	Ended    time.Time  `json:"ended,omitzero"`
	Declined bool       `json:"declined,omitempty"` // the customer won't be recorded, for the rest of the contact
	Reason   string     `json:"reason"`             // why the tape is as it is, in the platform's word
	Tape     []Interval `json:"tape"`

	due []change
}

// Now is the tape's present state.
func (c Call) Now() Tape { return c.Tape[len(c.Tape)-1].Tape }

// Live reports whether the call goes on.
func (c Call) Live() bool { return c.Ended.IsZero() }

// change is what a request will do to a tape, later.
type change struct {
	at      time.Time
	request int
	to      Change
}

// Change is what a request does to a call.
type Change struct {
	Tape    Tape
	Reason  string
	Decline bool
}

// Config is how a center is set up.
type Config struct {
	Name     string // for the page, for example "Contact center B"
	Agents   []Agent
	Reason   string // the reason of a tape that runs from the start of its call
	Secrets  []string
	PanelURL string // the panel, if the page is to lead there
	// Endpoints are the names that faults can be set for, in the page's order.
	Endpoints []string
}

// Center is the shared part of a simulator. Its methods may be called from any goroutine.
type Center struct {
	*ledger.Ledger[Request, Filter]
	config Config
	closed chan struct{}

	mu      sync.Mutex
	calls   []*Call
	faults  map[string]Fault
	records map[string]bool // an agent's next calls are recorded; true unless set
}

// New makes a center.
func New(config Config) *Center {
	c := &Center{config: config, closed: make(chan struct{}), faults: map[string]Fault{}, records: map[string]bool{}}
	c.Ledger = ledger.New[Request, Filter](&c.mu)
	return c
}

// Close lets go of every request that hangs.
func (c *Center) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
}

// Agents are the center's agents.
func (c *Center) Agents() []Agent { return slices.Clone(c.config.Agents) }

// Knows reports whether there is an agent with this id.
func (c *Center) Knows(agent string) bool {
	return slices.ContainsFunc(c.config.Agents, func(a Agent) bool { return a.ID == agent })
}

// Start begins a call of an agent, ends the one before it, and returns the new one. Its tape runs, unless Record said that
// the agent isn't recorded.
func (c *Center) Start(agent string) Call { return c.start(agent, false) }

// StartInternal begins a call between agents.
func (c *Center) StartInternal(agent string) Call { return c.start(agent, true) }

func (c *Center) start(agent string, internal bool) Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Knows(agent) {
		panic("no such agent: " + agent)
	}
	now := time.Now()
	c.end(agent, now)
	call := &Call{ID: guid(), Agent: agent, Internal: internal, Started: now, Reason: c.config.Reason, Tape: []Interval{{From: now, Tape: Running}}}
	if records, ok := c.records[agent]; ok && !records {
		call.Tape[0].Tape, call.Reason = Off, ""
	}
	c.calls = append(c.calls, call)
	c.effect(agent, call.ID, CallStarted, now, 0)
	return call.clone()
}

// End ends the agent's call, if there is one.
func (c *Center) End(agent string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(agent, time.Now())
}

func (c *Center) end(agent string, now time.Time) {
	if call := c.live(agent); call != nil {
		c.settle(call, now)
		call.Ended, call.Tape[len(call.Tape)-1].To, call.due = now, now, nil
		c.effect(agent, call.ID, CallEnded, now, 0)
	}
}

// Record sets whether the agent's next calls are recorded from their start.
func (c *Center) Record(agent string, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records[agent] = yes
	c.Notify()
}

// Live is the agent's call that goes on.
func (c *Center) Live(agent string) (Call, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call := c.live(agent); call != nil {
		c.settle(call, time.Now())
		return call.clone(), true
	}
	return Call{}, false
}

// Last is the agent's newest call, over or not.
func (c *Center) Last(agent string) (Call, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range slices.Backward(c.calls) {
		if call.Agent == agent {
			c.settle(call, time.Now())
			return call.clone(), true
		}
	}
	return Call{}, false
}

// Call is the call with an id.
func (c *Center) Call(id string) (Call, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call := c.find(id); call != nil {
		c.settle(call, time.Now())
		return call.clone(), true
	}
	return Call{}, false
}

// Busy reports whether a request is still being carried out on the call.
func (c *Center) Busy(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.find(id)
	if call == nil {
		return false
	}
	c.settle(call, time.Now())
	return len(call.due) > 0
}

// apply changes a call's tape after the lag.
func (c *Center) apply(id string, to Change, lag time.Duration, request int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.find(id)
	if call == nil || !call.Live() {
		return
	}
	at := time.Now().Add(lag)
	if n := len(call.due); n > 0 && call.due[n-1].at.After(at) {
		at = call.due[n-1].at // in their order
	}
	call.due = append(call.due, change{at, request, to})
	if lag <= 0 {
		c.settle(call, time.Now())
		return
	}
	time.AfterFunc(time.Until(at), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(call, time.Now())
	})
}

// settle carries out what is due. The lock is held.
func (c *Center) settle(call *Call, now time.Time) {
	for len(call.due) > 0 && !call.due[0].at.After(now) && call.Live() {
		d := call.due[0]
		call.due = call.due[1:]
		last := &call.Tape[len(call.Tape)-1]
		call.Reason = d.to.Reason
		if d.to.Decline && !call.Declined {
			call.Declined = true
			c.effect(call.Agent, call.ID, Declined, d.at, d.request)
		}
		if last.Tape == d.to.Tape {
			c.Notify()
			continue
		}
		last.To = d.at
		call.Tape = append(call.Tape, Interval{From: d.at, Tape: d.to.Tape})
		kind := map[Tape]ledger.EffectKind{Running: TapeRunning, Blank: TapeBlank, Off: TapeOff}[d.to.Tape]
		c.effect(call.Agent, call.ID, kind, d.at, d.request)
	}
}

func (c *Center) live(agent string) *Call {
	for _, call := range slices.Backward(c.calls) {
		if call.Agent == agent && call.Live() {
			return call
		}
	}
	return nil
}

func (c *Center) find(id string) *Call {
	for _, call := range c.calls {
		if call.ID == id {
			return call
		}
	}
	return nil
}

func (c *Call) clone() Call {
	clone := *c
	clone.Tape, clone.due = slices.Clone(c.Tape), nil
	return clone
}

// clean keeps secrets out of the ledger wherever a client may have put them.
func (c *Center) clean(text string) string {
	for _, s := range c.config.Secrets {
		text = strings.ReplaceAll(text, s, "[redacted]")
	}
	return text
}

// Secret is a random secret.
func Secret() string { return rand.Text() }

// guid is a random id in the form of a UUID.
func guid() string {
	var b [16]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
