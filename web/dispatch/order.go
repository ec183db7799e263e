package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"offrecord/app/recording"
	"offrecord/web/cardnumber"
	"offrecord/web/platform"
)

// ErrUnsupported means that the platform's account, or its server route, doesn't take the action. Nothing was sent.
var ErrUnsupported = errors.New("this account can't do that by the server")

// Upstream is one account's server route.
type Upstream struct {
	Server platform.Server
	// Try bounds one request to the platform, Attempt all that is done for one attempt.
	Try, Attempt time.Duration
	// Combine makes a pause of the session route be carried out by the server too: the browser fires, the server confirms.
	Combine bool
}

// Order is one action to be carried out by the server route. It is comparable: the same id with an equal order is the same
// attempt.
type Order struct {
	ID     string // a UUID in its canonical form
	Action recording.Action
	Origin recording.Origin // Hand if empty
	Reason string
	Call   string
	// Media is what a start records, where the platform lets one choose.
	Media string
	// For is how long a pause is to last at most; 0: as long as the account lets it.
	For time.Duration
	// WithoutRecord lets a resume go although it can't be written down: the agent asked for that after a refusal.
	WithoutRecord bool
	// By is the supervisor who asks for the agent; empty for the agent itself.
	By string
}

func (o Order) check() (Order, error) {
	if o.Origin == "" {
		o.Origin = recording.Hand
	}
	if _, err := recording.ParseAction(string(o.Action)); err != nil {
		return o, InvalidError("action is unknown: use pause, resume, start, stop, mask, unmask or do_not_record.")
	}
	switch o.Media {
	case "", "voice", "voiceAndScreen":
	default:
		return o, InvalidError("media must be voice or voiceAndScreen.")
	}
	return o, checkCommon(o.ID, o.Origin, o.Call, o.Reason)
}

func (o Order) attempt(agent Agent, does recording.Action, now time.Time) recording.Attempt {
	a := recording.Attempt{ID: o.ID, Action: o.Action, Agent: agent.Email, By: o.By, Platform: agent.Platform, Call: o.Call, Route: recording.RouteServer,
		Origin: o.Origin, Reason: o.Reason, RequestedAt: now}
	if does != o.Action {
		a.SentAs = does
	}
	return a
}

// answerIn is how long Act waits, after the platform's answer, for it to become an effect.
const answerIn = 1500 * time.Millisecond

// Act carries out an action by the server route. It reports whether the attempt is new; the same id with an equal order is
// the same attempt, and nothing is sent again. It returns when the attempt is decided, within 2 s of the platform's answer,
// or at the attempt's deadline, whichever comes first; what follows is told to the watchers.
//
// A pause is sent at once; writing it down holds it back for a quarter of a second at most. Anything else is written down
// first, and refused with ErrLog if that fails, unless the agent asked for it without a record.
func (d *Dispatcher) Act(ctx context.Context, agent Agent, order Order) (recording.Attempt, bool, error) {
	order, err := order.check()
	if err != nil {
		return recording.Attempt{}, false, err
	}
	up, ok := d.options.Upstream(agent.Platform)
	if !ok || !up.Server.Ability().Can(order.Action) {
		return recording.Attempt{}, false, ErrUnsupported
	}
	l := d.line(agent)
	l.mu.Lock()
	if known, ok := l.entries[order.ID]; ok {
		l.mu.Unlock()
		if known.body != nil && known.body != order { // a restored one came with a body that is no longer known
			return recording.Attempt{}, false, ErrIDReused
		}
		a, err := d.again(ctx, agent, order.ID, known)
		return a, false, err
	}
	e := newEntry(order, order.WithoutRecord)
	l.entries[order.ID] = e
	attempt := order.attempt(agent, up.Server.Ability().Does[order.Action], l.stamp(d.now()))
	if attempt.Call == "" {
		attempt.Call = l.timeline.Call()
	}
	d.limit(e, &attempt, order.For)
	if attempt.Action.Silences() {
		attempt = d.take(l, e, attempt)
		l.mu.Unlock()
		written := make(chan struct{})
		go func() {
			defer close(written)
			if err := d.begin(ctx, attempt); err != nil {
				d.unlogged(l, e, attempt)
			}
			close(e.begun)
		}()
		held := time.NewTimer(pauseLog)
		select {
		case <-written:
		case <-held.C:
		}
		held.Stop()
	} else {
		l.mu.Unlock()
		if err := d.begin(ctx, attempt); err != nil && !order.WithoutRecord {
			return recording.Attempt{}, false, d.refuse(l, order.ID, e)
		} else if err != nil {
			e.unlogged = true
		}
		l.mu.Lock()
		attempt = d.take(l, e, attempt)
		l.mu.Unlock()
		close(e.begun)
	}
	if !attempt.Settled() {
		d.start(l, e, attempt, up, order.Media)
	}
	a, err := d.again(ctx, agent, order.ID, e)
	return a, true, err
}

// pauseLog is how long the log may hold back a pause.
const pauseLog = 250 * time.Millisecond

// again waits for an entry's answer and returns the attempt as it stands then.
func (d *Dispatcher) again(ctx context.Context, agent Agent, id string, e *entry) (recording.Attempt, error) {
	select {
	case <-e.answered:
	case <-ctx.Done():
		return recording.Attempt{}, ctx.Err()
	}
	if e.err != nil {
		return recording.Attempt{}, e.err
	}
	return d.Attempt(agent, id)
}

// refuse forgets an attempt that couldn't be written down, so that its id may be used again.
func (d *Dispatcher) refuse(l *line, id string, e *entry) error {
	l.mu.Lock()
	delete(l.entries, id)
	l.mu.Unlock()
	e.err = ErrLog
	close(e.begun)
	e.answer()
	return ErrLog
}

// checkCommon checks what every request for an attempt has.
func checkCommon(id string, origin recording.Origin, call, reason string) error {
	if !IsID(id) {
		return InvalidError("id must be a UUID in lower case, such as crypto.randomUUID() makes.")
	}
	if origin != recording.Hand && origin != recording.Link && !trigger.MatchString(string(origin)) {
		return InvalidError("origin must be hand, link, or trigger: and a name.")
	}
	if err := checkText("call", call, maxCall); err != nil {
		return err
	}
	if err := checkText("reason", reason, maxReason); err != nil {
		return err
	}
	if len(cardnumber.Find(reason)) > 0 {
		return InvalidError("reason looks as if it held a card number: leave card data out of it.")
	}
	return nil
}

// said is the platform's name for a sentence where the kind isn't known here.
func said(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(" It said last: %s.", s)
}
