package dispatch

import (
	"context"
	"slices"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/platform"
)

// restarted is the sentence for what was under way when the server ended.
const restarted = "The server was restarted before its outcome was known."

// Restore takes up where a server that ended left off. attempts are what its journal holds of them, a begun one and each of its
// outcomes by itself, in the order in which they were written; notes are what else it was told; and agent says who an address
// is now. It is called once, before anything is asked for.
//
// What was undecided is decided now, once. Of the session route the browser may still report until the attempt's deadline.
// Of the server route the platform's state is read before anything is sent again; where it can't be read, a pause is
// repeated, and a resume never is: card data on the tape is worse than a long silence. An attempt that isn't its agent's
// newest is never sent again. A pause whose time is up by now, by the wall clock, is dealt with at once: there is no other
// clock that outlives a process.
func (d *Dispatcher) Restore(attempts []recording.Attempt, notes []Note, agent func(email string) (Agent, bool)) {
	open := map[string]bool{} // attempts whose outcome isn't in the journal
	for _, e := range inOrder(attempts, notes) {
		who, ok := agent(e.agent)
		if !ok || who.Platform != e.platform {
			continue // an agent who is no longer configured, or works elsewhere
		}
		l := d.line(who)
		l.mu.Lock()
		if e.at.After(l.stamped) {
			l.stamped = e.at
		}
		switch {
		case e.note != nil:
			d.replay(l, *e.note)
		case !e.attempt.Settled():
			open[e.attempt.ID] = true
			d.relive(l, *e.attempt)
		default:
			delete(open, e.attempt.ID)
			d.restate(l, *e.attempt)
		}
		l.mu.Unlock()
	}
	for _, l := range d.all() {
		l.mu.Lock()
		w := l.timeline.Window()
		for _, a := range l.timeline.Attempts() {
			if e := l.entries[a.ID]; a.Settled() {
				e.answer()
				if open[a.ID] { // by something that came after it
					d.complete(l, e, a)
				} else { // its alert may have been lost with the server; one that is known is no second one
					e.restarted = strings.HasPrefix(a.Detail, restarted)
					d.fault(e, a)
				}
			}
			if x, ok := mayStillAct(a, d.now()); ok {
				l.loose = append(l.loose, x)
			}
			if a.AutoResumeAt != nil && a.ID != w.Pause {
				d.options.Fixed(recording.Alert{Kind: recording.AlertOverdue, Attempt: a.ID})
			}
		}
		for _, id := range l.undecided() {
			a, _ := l.timeline.Attempt(id)
			d.takeUp(l, a)
		}
		if e := l.timed(w); e != nil && e.dealt {
			d.tell(l, w, "it wasn't safe to do that unattended") // who keeps the alerts knows that it is the same one
		}
		if l.stamped.After(d.now()) {
			d.options.Log.Warn("the clock was set back since the last run: what was to end then may last longer", "agent", l.agent.Email)
		}
		d.arm(l)
		l.mu.Unlock()
	}
}

// past is one thing that a journal tells of.
type past struct {
	at              time.Time
	agent, platform string
	attempt         *recording.Attempt
	note            *Note
}

// inOrder makes one history of what a journal tells of: each attempt when it was asked for, and again at each of its outcomes.
func inOrder(attempts []recording.Attempt, notes []Note) []past {
	begun := map[string]bool{}
	var all []past
	for _, a := range attempts {
		if !begun[a.ID] {
			begun[a.ID] = true
			asked := a
			asked.Outcome, asked.DecidedAt, asked.Evidence, asked.Detail, asked.PlatformStatus = recording.Pending, nil, nil, "", ""
			all = append(all, past{a.RequestedAt, a.Agent, a.Platform, &asked, nil})
		}
		if a.Settled() {
			at := *a.DecidedAt
			if at.Before(a.RequestedAt) { // the clock was set back meanwhile
				at = a.RequestedAt
			}
			all = append(all, past{at, a.Agent, a.Platform, &a, nil})
		}
	}
	for _, n := range notes {
		all = append(all, past{n.At, n.Agent, n.Platform, nil, &n})
	}
	slices.SortStableFunc(all, func(a, b past) int { return a.at.Compare(b.at) })
	return all
}

// relive puts an attempt of a former run in its place. The line is locked.
func (d *Dispatcher) relive(l *line, a recording.Attempt) {
	e := newEntry(nil, true)
	close(e.begun)
	l.entries[a.ID] = e
	if a.AutoResumeAt != nil {
		e.expire(*a.AutoResumeAt, d.left(*a.AutoResumeAt, a.RequestedAt))
	}
	l.timeline.Add(a)
	l.watched = l.timeline.Window().Pause
	l.forget()
}

// restate gives an attempt of a former run the outcome that it had. The line is locked.
func (d *Dispatcher) restate(l *line, a recording.Attempt) {
	if _, err := l.timeline.Decide(a.ID, a.Outcome, a.Evidence, a.Detail, *a.DecidedAt, true); err != nil {
		return // it was settled by then
	}
	l.timeline.Amend(a.ID, func(now *recording.Attempt) {
		a.State = now.State
		*now = a
	})
	if e := l.entries[a.ID]; a.AutoResumeAt != nil && !a.AutoResumeAt.Equal(e.dueAt) && e.nth == 0 { // it began with the agent's word
		e.expire(*a.AutoResumeAt, d.left(*a.AutoResumeAt, *a.DecidedAt))
	}
}

// replay takes what a journal was told besides attempts. The line is locked.
func (d *Dispatcher) replay(l *line, n Note) {
	switch {
	case n.Event != "" && !n.Hashed:
		l.hear(n, l.timeline.Call())
	case n.Event != "":
		if n.Event == CallStarted && n.Call == l.hashed {
			return
		}
		l.hear(n, l.hashed)
		switch {
		case n.Event != CallEnded:
			l.hashed = n.Call
			l.timeline.ForgetCall()
		case n.Call == l.hashed:
			l.hashed = ""
		}
	case l.entries[n.Pause] == nil:
	case n.Told:
		l.entries[n.Pause].dealt = true
	default:
		if e := l.entries[n.Pause]; n.Nth > e.nth {
			e.nth, e.dueAt, e.dealt = n.Nth, n.Until, false
			e.due = time.Now().Add(d.left(n.Until, n.At))
		}
	}
}

// left is how much of a time is left that began at a moment; no more than there was, should the clock have been set back.
func (d *Dispatcher) left(until, from time.Time) time.Duration {
	return min(until.Sub(d.now()), until.Sub(from))
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
		within := d.options.AttemptTimeout(a.Platform)
		if left := min(within, a.RequestedAt.Add(within).Sub(d.now())); left > 0 {
			e.deadline = time.AfterFunc(left, func() { d.expire(l, a.ID) })
			return
		}
		e.restarted = true
		d.decide(l, a.ID, recording.Unknown, &recording.Evidence{Kind: recording.Silence}, restarted)
		return
	}
	e.restarted = true
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
		c.settle(verdict{outcome: recording.Confirmed, evidence: recording.Evidence{Kind: recording.ReadBack, AfterMS: ms(time.Since(began))}, said: reading.Said, call: reading.Call})
	case c.attempt.Action.Silences():
		c.run(ctx)
	default:
		c.options.Log.Error("a resume was under way when the server ended; it isn't sent again", "attempt", c.attempt.ID, "platform", c.agent.Platform)
		c.settle(verdict{outcome: recording.Unknown, evidence: recording.Evidence{Kind: recording.Silence}, said: reading.Said, detail: restarted + " Press again if it should be done."})
	}
}
