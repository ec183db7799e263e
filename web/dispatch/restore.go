package dispatch

import (
	"context"
	"time"

	"offrecord/app/recording"
	"offrecord/web/platform"
)

// restarted is the sentence for what was under way when the server ended.
const restarted = "The server was restarted before its outcome was known."

// Restore takes up where a server that ended left off: attempts are what its journal holds, oldest first, and agent says who
// an address is now. It is called once, before anything is asked for.
//
// What was undecided is decided now, once. Of the session route the browser may still report until the attempt's deadline.
// Of the server route the platform's state is read before anything is sent again; where it can't be read, a pause is
// repeated, and a resume never is: card data on the tape is worse than a long silence. An attempt that isn't its agent's
// newest is never sent again.
func (d *Dispatcher) Restore(attempts []recording.Attempt, agent func(email string) (Agent, bool)) {
	for _, a := range attempts {
		who, ok := agent(a.Agent)
		if !ok || who.Platform != a.Platform {
			continue // an agent who is no longer configured, or works elsewhere
		}
		l := d.line(who)
		l.mu.Lock()
		if _, ok := l.timeline.Attempt(a.ID); !ok {
			e := newEntry(nil, true)
			close(e.begun)
			if a.Settled() {
				e.answer()
			}
			l.entries[a.ID] = e
			l.timeline.Add(a)
			l.forget()
			if x, ok := mayStillAct(a, time.Now()); ok {
				l.loose = append(l.loose, x)
			}
		}
		l.mu.Unlock()
	}
	d.mu.Lock()
	lines := make([]*line, 0, len(d.lines))
	for _, l := range d.lines {
		lines = append(lines, l)
	}
	d.mu.Unlock()
	for _, l := range lines {
		l.mu.Lock()
		for _, a := range l.timeline.Attempts() {
			if !a.Settled() {
				d.takeUp(l, a)
			}
		}
		l.mu.Unlock()
	}
}

// mayStillAct is what a restored attempt may have on its way to the platform. How it was decided isn't enough to tell: a try of
// it that was lost with the server, or with the one before, may still arrive.
func mayStillAct(a recording.Attempt, now time.Time) (loose, bool) {
	x := loose{silences: a.Action.Silences(), until: now.Add(lateness), lost: true}
	if a.Settled() {
		x.until = a.DecidedAt.Add(lateness)
	}
	return x, a.Route == recording.RouteServer && x.until.After(now)
}

// takeUp goes on with an attempt that was undecided. The line is locked.
func (d *Dispatcher) takeUp(l *line, a recording.Attempt) {
	e := l.entries[a.ID]
	if a.Route == recording.RouteSession {
		if left := time.Until(a.RequestedAt.Add(d.options.AttemptTimeout(a.Platform))); left > 0 {
			e.deadline = time.AfterFunc(left, func() { d.expire(l, a.ID) })
			return
		}
		d.decide(l, a.ID, recording.Unknown, &recording.Evidence{Kind: recording.Silence}, restarted)
		return
	}
	up, ok := d.options.Upstream(a.Platform)
	again := ok && l.timeline.IsNewest(a.ID) && up.Server.Ability().Can(a.Action)
	if !again || !a.Action.Silences() && !up.Server.Ability().Reads {
		d.options.Log.Error("an action was under way when the server ended, and its outcome isn't known", "attempt", a.ID, "action", a.Action, "platform", a.Platform)
		d.decide(l, a.ID, recording.Unknown, &recording.Evidence{Kind: recording.Silence}, restarted)
		return
	}
	c := &carrier{Dispatcher: d, line: l, entry: e, up: up, attempt: a, agent: l.agent, guard: d.guard(a.Platform), maybe: true}
	d.carrying.Go(func() {
		ctx, cancel := context.WithTimeout(d.ctx, up.Attempt)
		defer cancel()
		c.find(ctx)
		e.answer()
	})
}

// find reads what became of an attempt that was under way when the server ended, and goes on accordingly.
func (c *carrier) find(ctx context.Context) {
	began := time.Now()
	ability := c.up.Server.Ability()
	var reading platform.Reading
	for gap := pollFirst; ability.Reads; gap = min(2*gap, pollMost) {
		reading = c.read(ctx, c.target())
		if reading.Err == nil || reading.Retry == platform.Never {
			break
		}
		wait := time.NewTimer(gap)
		select {
		case <-wait.C:
			continue
		case <-ctx.Done():
			wait.Stop()
		}
		break
	}
	contested, _ := c.line.contested(c.attempt.Action.Silences())
	switch {
	case reading.State != "" && ability.Shows(c.attempt.Action, reading.State) && !contested:
		c.settle(verdict{outcome: recording.Confirmed, evidence: recording.Evidence{Kind: recording.ReadBack, AfterMS: ms(time.Since(began))}, said: reading.Said})
	case c.attempt.Action.Silences():
		c.run(ctx)
	default:
		c.options.Log.Error("a resume was under way when the server ended; it isn't sent again", "attempt", c.attempt.ID, "platform", c.agent.Platform)
		c.settle(verdict{outcome: recording.Unknown, evidence: recording.Evidence{Kind: recording.Silence}, said: reading.Said, detail: restarted + " Press again if it should be done."})
	}
}
