package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/platform"
)

// An open pause ends by itself, or is said to be over its time. An unattended resume is dangerous, so it is sent only if all
// of these hold, and else there is an alert:
//
//   - the account resumes by itself, and the server can;
//   - no hold is live but those whose time is up: of all that was asked for since the pause was opened, each is a pause whose
//     own time was up by then and whose fate is known. A pause asked for later, by whichever origin, prolongs nothing and
//     forbids it; so does a resume that failed, which is a newer intention;
//   - the call is known to be the one that was paused: the platform names it, the same at the pause and just before the resume;
//     where it names none, the CRM named it before the pause and has said nothing since;
//   - it is less than ten seconds late;
//   - it was written down.
//
// It is an attempt like any other, with an id that follows from the pause and its end: two starts can't make two of it. What was
// told once isn't resumed any more.

const (
	// overdueMost is how late an unattended resume may be. Later than that, nobody can say what is being spoken.
	overdueMost = 10 * time.Second
	// keptGrace is how long a pause that was kept in the browser until its time was up waits for the resume that was kept with it.
	keptGrace = 2 * time.Second
	// reasonMax is the reason of a resume at the end of a pause's time.
	reasonMax = "max_pause"
)

// What becomes of a pause at the end of its time.
const (
	AtMaxAlert  = "alert"
	AtMaxResume = "resume"
)

// Limit is how long an account's pauses may last. Its zero value is no limit.
type Limit struct {
	// Max is the longest that a pause may last; 0: for ever, unless it says itself for how long.
	Max time.Duration
	// AtMax is what happens then: AtMaxAlert; AtMaxResume; or "" for a resume where the platform itself names the call, and
	// else an alert.
	AtMax string
	// Extensions is how often an agent may keep paused, each time for Max.
	Extensions int
}

// ErrNoPause means that the agent has no such pause.
var ErrNoPause = errors.New("there is no such pause of yours")

// RefusedError is something that can't be done as things stand. Its text is for a person.
type RefusedError string

func (e RefusedError) Error() string { return string(e) }

// limit gives a pause its time: as long as it asks for, and no longer than the account lets it. The customer's refusal has none.
func (d *Dispatcher) limit(e *entry, a *recording.Attempt, length time.Duration) {
	if most := d.options.Limit(a.Platform).Max; most > 0 && (length == 0 || length > most) {
		length = most
	}
	if length == 0 || !a.Action.Silences() || a.Declines() {
		return
	}
	at := a.RequestedAt.Add(length)
	a.AutoResumeAt = &at
	e.expire(at, min(at.Sub(d.now()), length)) // a clock that was set back adds nothing
	if !e.due.After(time.Now()) {
		e.due = time.Now().Add(keptGrace)
	}
}

// expire sets a pause's end, which is in so long.
func (e *entry) expire(at time.Time, in time.Duration) {
	e.ends, e.dueAt = time.Now().Add(in), at
	e.due = e.ends
}

// begins gives a pause that was made by the agent's own word its time from now on. The line is locked.
func (d *Dispatcher) begins(l *line, e *entry, a recording.Attempt) {
	if a.AutoResumeAt == nil {
		return
	}
	length := a.AutoResumeAt.Sub(a.RequestedAt)
	at := d.now().Truncate(time.Microsecond).Add(length)
	e.expire(at, length)
	l.timeline.Amend(a.ID, func(a *recording.Attempt) { a.AutoResumeAt = &at })
}

// timed is the entry of what opened a pause; nil if the pause has no time, or none is open. The line is locked.
func (l *line) timed(w recording.Window) *entry {
	if e := l.entries[w.Pause]; e != nil && !e.due.IsZero() && !w.Declined {
		return e
	}
	return nil
}

// measure says in a snapshot how long the open pause lasts. The line is locked.
func (d *Dispatcher) measure(l *line, s *recording.Snapshot) {
	w := l.timeline.Window()
	s.Pause = w.Pause
	e := l.timed(w)
	if e == nil {
		return
	}
	s.ExtensionsLeft = max(0, d.options.Limit(l.agent.Platform).Extensions-e.nth)
	at := e.dueAt
	switch d.judge(l, w, e).do {
	case resume:
		s.AtMaxPause = recording.Resume
		fallthrough
	case later, alarm:
		s.AutoResumeAt = &at
	}
}

// Extend keeps an open pause for longer than its time, by the account's max_pause from when it would have ended; from now, if it
// is over its time. Asked again before the time so won begins to run, it is the same extension. It stands even if it can't be
// written down: the opposite would end a pause that somebody needs.
func (d *Dispatcher) Extend(ctx context.Context, agent Agent, pause string) (recording.Snapshot, error) {
	l := d.line(agent)
	l.mu.Lock()
	w := l.timeline.Window()
	e := l.timed(w)
	limit := d.options.Limit(agent.Platform)
	if w.Pause != pause || pause == "" {
		a, known := l.timeline.Attempt(pause)
		l.mu.Unlock()
		if !known || !a.Action.Silences() {
			return recording.Snapshot{}, ErrNoPause
		}
		return recording.Snapshot{}, RefusedError("This pause isn't open any more. Pause again if you need to.")
	}
	refused := ""
	switch {
	case e == nil:
		refused = "This pause has no time limit, so it needs none added. Resume when you are done."
	case time.Until(e.due) > limit.Max && e.nth > 0:
		now := d.snapshot(l)
		l.mu.Unlock()
		return now, nil
	case e.nth >= limit.Extensions:
		refused = "This pause was kept as often as your account allows. Resume as soon as the card is done."
	}
	if refused != "" {
		l.mu.Unlock()
		return recording.Snapshot{}, RefusedError(refused)
	}
	now, at := time.Now(), l.stamp(d.now())
	if e.due.Before(now) {
		e.due = now
	}
	if e.dueAt.Before(at) {
		e.dueAt = at
	}
	e.due, e.dueAt, e.nth, e.dealt = e.due.Add(limit.Max), e.dueAt.Add(limit.Max), e.nth+1, false
	d.fix(l)
	n := Note{At: at, Agent: agent.Email, Platform: agent.Platform, Pause: pause, Until: e.dueAt, Nth: e.nth}
	d.publishState(l)
	s := d.snapshot(l)
	l.mu.Unlock()
	d.note(ctx, n)
	return s, nil
}

// ending is what is to be done about an open pause at the end of its time.
type ending int

const (
	nothing ending = iota // it isn't at its end, or that was dealt with
	later                 // something of it isn't decided yet
	alarm                 // it may not be ended by itself
	resume
)

// judgement is an ending, and why.
type judgement struct {
	do   ending
	why  string // a half sentence after "because", with alarm
	call string // the call that was paused, with resume
	up   Upstream
}

// judge applies the rules to the open pause at its end, but for how late it is. Before that it says what would become of it if
// nothing happened until then. The line is locked.
func (d *Dispatcher) judge(l *line, w recording.Window, e *entry) judgement {
	because := func(why string) judgement { return judgement{do: alarm, why: why} }
	if e.dealt {
		return judgement{}
	}
	if a, ok := l.timeline.Attempt(endingID(w.Pause, e.dueAt)); ok {
		if !a.Unsent() {
			return judgement{}
		}
		return because("something came in between")
	}
	atMax := d.options.Limit(l.agent.Platform).AtMax
	up, ok := d.options.Upstream(l.agent.Platform)
	if !ok || !up.Server.Ability().Can(recording.Resume) {
		return because("on this account only the agent can resume")
	}
	able := up.Server.Ability()
	switch {
	case atMax == AtMaxAlert, atMax == "" && !able.CallKnown:
		return because("this account doesn't resume by itself")
	case w.Contradicted:
		return because("a resume was asked for and didn't work")
	case w.Moved:
		return because("the call changed")
	}
	call, undecided, whole := "", false, false
	for _, a := range l.timeline.Attempts() {
		x := l.entries[a.ID]
		switch {
		case !a.Action.Silences(): // a failed one contradicts
		case a.Declines():
			return because("the customer may have declined to be recorded")
		case x == nil || x.ends.IsZero() || x.ends.After(e.due):
			return because("it was paused again since")
		case !a.Settled():
			undecided = true
		case a.Unsent(), a.Outcome.KeepsState() && a.Outcome != recording.Superseded: // nothing was paused by it
		case a.Outcome == recording.NoCall, a.Call == "", call != "" && a.Call != call:
			return because("it isn't known that the call is the same")
		case effectOf(a) != able.Does[recording.Pause]:
			return because("it was paused in another way than a resume undoes")
		default:
			call = a.Call
		}
		if whole = a.ID == w.Pause; whole {
			break
		}
	}
	switch {
	case undecided:
		return judgement{do: later}
	case !whole || call == "" || !able.CallKnown && call != l.timeline.Call():
		return because("it isn't known that the call is the same")
	case able.ResumeNeeds != "" && (l.stopped.state != able.ResumeNeeds || l.stopped.call != call):
		return because("it isn't known that this call was recorded before the pause")
	}
	return judgement{do: resume, call: call, up: up}
}

// effectOf is what a pause was sent as.
func effectOf(a recording.Attempt) recording.Action {
	if a.SentAs != "" {
		return a.SentAs
	}
	return a.Action
}

// late is how late the end of a pause's time is, by whichever clock says more: the monotonic one doesn't see a machine asleep.
func (d *Dispatcher) late(e *entry) time.Duration {
	return max(time.Since(e.due), d.now().Sub(e.dueAt))
}

// endings is the name space of the ids of attempts at the end of a pause's time.
var endings = uuid.MustParse("5b0c9a64-2f0e-4c0d-9c0f-0d6a6e3b8f17")

// endingID is the id of the one attempt that there may be at such an end.
func endingID(pause string, due time.Time) string {
	return uuid.NewSHA1(endings, fmt.Appendf(nil, "%s %d", pause, due.UnixMicro())).String()
}

// arm sets the alarm for the end of the open pause's time, after every change. The line is locked.
func (d *Dispatcher) arm(l *line) {
	w := l.timeline.Window()
	if l.alerted != "" && l.alerted != w.Pause && len(l.undecided()) == 0 {
		d.fix(l)
	}
	e := l.timed(w)
	set := e != nil && !l.quiet && !l.ending
	var wait time.Duration
	if set {
		l.watched = w.Pause
		if wait = time.Until(e.due); wait <= 0 {
			j := d.judge(l, w, e)
			if set = j.do != nothing; j.do == later {
				wait += overdueMost
			}
		}
	}
	if !set {
		if l.alarm != nil {
			l.alarm.Stop()
		}
		return
	}
	if l.alarm == nil {
		l.alarm = time.AfterFunc(wait, func() { d.ring(l) })
		return
	}
	l.alarm.Reset(wait)
}

// ring decides what becomes of the open pause, if it is at its end.
func (d *Dispatcher) ring(l *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.timeline.Window()
	e := l.timed(w)
	if e == nil || l.quiet || l.ending {
		return
	}
	switch j := d.decideEnd(l, w, e); j.do {
	case resume:
		l.ending = true
		due := e.due
		d.carrying.Go(func() { d.end(l, e, due, j) })
	case later:
		d.arm(l)
	case nothing: // too early, or it was dealt with
		if time.Now().Before(e.due) {
			d.arm(l)
		}
	}
}

// decideEnd judges the open pause now, and raises the alert if that is what is to be done. The line is locked.
func (d *Dispatcher) decideEnd(l *line, w recording.Window, e *entry) judgement {
	if time.Now().Before(e.due) {
		return judgement{}
	}
	j := d.judge(l, w, e)
	if (j.do == resume || j.do == later) && d.late(e) >= overdueMost {
		j = judgement{do: alarm, why: "it is too late to do that unattended"}
	}
	if j.do == alarm {
		d.overdue(l, w, e, j.why)
	}
	return j
}

// overdue says that the open pause is over its time. The line is locked.
func (d *Dispatcher) overdue(l *line, w recording.Window, e *entry, why string) {
	e.dealt = true
	d.tell(l, w, why)
	d.publishState(l)
}

// tell raises the alert of the open pause. The line is locked.
func (d *Dispatcher) tell(l *line, w recording.Window, why string) {
	l.alerted = w.Pause
	a, _ := l.timeline.Attempt(w.Pause)
	d.options.Alert(recording.Alert{Kind: recording.AlertOverdue, Agent: l.agent.Email, Platform: l.agent.Platform, Call: a.Call, Attempt: w.Pause,
		Text: "A pause is over its time and wasn't ended by itself, because " + why + ". Resume as soon as no card is being read."})
}

// fix says that the pause which was over its time is over, or was given more. The line is locked.
func (d *Dispatcher) fix(l *line) {
	if l.alerted != "" {
		d.options.Fixed(recording.Alert{Kind: recording.AlertOverdue, Attempt: l.alerted})
		l.alerted = ""
	}
}

// end resumes at the end of a pause's time, which was due then: it finds out whether the call is the same, writes the attempt
// down, and sends it if nothing has changed meanwhile.
func (d *Dispatcher) end(l *line, e *entry, due time.Time, j judgement) {
	why := ""
	if j.up.Server.Ability().CallKnown {
		ctx, cancel := context.WithDeadline(d.ctx, due.Add(overdueMost))
		why = d.otherCall(ctx, l, j)
		cancel()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() {
		l.ending = false
		d.arm(l)
	}()
	if l.quiet || !e.due.Equal(due) {
		return // the next run's; or it was extended
	}
	w := l.timeline.Window()
	if l.timed(w) != e {
		return
	}
	if j = d.decideEnd(l, w, e); j.do != resume {
		return
	}
	if why != "" {
		d.overdue(l, w, e, why)
		return
	}
	a := recording.Attempt{ID: endingID(w.Pause, e.dueAt), Action: recording.Resume, Agent: l.agent.Email, Platform: l.agent.Platform, Call: j.call,
		Route: recording.RouteServer, Origin: recording.Timer, Reason: reasonMax, RequestedAt: l.stamp(d.now())}
	if does := j.up.Server.Ability().Does[recording.Resume]; does != recording.Resume {
		a.SentAs = does
	}
	x := newEntry(nil, false)
	l.entries[a.ID] = x
	l.mu.Unlock()
	err := d.begin(context.Background(), a)
	l.mu.Lock()
	close(x.begun)
	if err != nil {
		delete(l.entries, a.ID)
		if l.timed(l.timeline.Window()) == e && e.due.Equal(due) {
			d.overdue(l, l.timeline.Window(), e, "it couldn't be written down first")
		}
		return
	}
	w = l.timeline.Window()
	if l.timed(w) != e || !e.due.Equal(due) || d.judge(l, w, e).do != resume || d.late(e) >= overdueMost {
		now := d.now()
		a.Outcome, a.DecidedAt, a.Detail = recording.Superseded, &now, "Something came in between, or it was too late, so this was not carried out."
	}
	if a = d.take(l, x, a); !a.Settled() {
		d.carry(&carrier{line: l, entry: x, up: j.up, attempt: a, latest: due.Add(overdueMost)})
	}
}

// otherCall reads which call the agent is on, and says why it isn't the one that was paused; empty if it is.
func (d *Dispatcher) otherCall(ctx context.Context, l *line, j judgement) string {
	c := &carrier{Dispatcher: d, line: l, up: j.up, attempt: recording.Attempt{Action: recording.Resume}, agent: l.agent, guard: d.guard(l.agent.Platform)}
	switch reading := c.lookUp(ctx); {
	case reading.State == recording.Idle:
		return "the platform sees no call any more"
	case reading.State == recording.Declined:
		return "the customer declined to be recorded"
	case reading.Call == "":
		return "the platform doesn't say which call it is now"
	case reading.Call != j.call:
		return "the call isn't the same any more"
	}
	return ""
}

// lookUp reads which call the agent is on, whatever call was meant, and how it is recorded. A reading that failed is repeated
// until the context ends.
func (c *carrier) lookUp(ctx context.Context) platform.Reading {
	for gap := pollFirst; ; gap = min(2*gap, pollMost) {
		reading := c.read(ctx, platform.Target{Agent: c.agent.Email, AgentID: c.agent.ID})
		if reading.Err == nil || reading.Retry == platform.Never {
			return reading
		}
		wait := time.NewTimer(max(gap, min(reading.RetryAfter, 5*time.Second)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return reading
		}
	}
}

// proves reports whether a platform can ever say that a pause worked.
func (d *Dispatcher) proves(name string) bool {
	up, ok := d.options.Upstream(name)
	return ok && up.Server.Ability().Verifies != platform.Unverified
}

// fault raises the alert of an attempt that didn't come out well. An account that can't confirm anything is one standing fault,
// and not one for each attempt. That there is no call, or that nothing is ever recorded of this agent, is none.
func (d *Dispatcher) fault(e *entry, a recording.Attempt) {
	alert := recording.Alert{Agent: a.Agent, Platform: a.Platform, Call: a.Call, Attempt: a.ID}
	unheard := a.Outcome == recording.Unknown && a.Route == recording.RouteSession && (a.Evidence == nil || a.Evidence.Kind == recording.Silence)
	switch {
	case (a.Outcome == recording.Sent || a.Outcome == recording.Accepted || unheard) && !d.proves(a.Platform):
		alert = recording.Alert{Kind: recording.AlertNoProof, Platform: a.Platform,
			Text: "On this account nobody says whether a pause worked, so its agents have to look in the platform's own screen each time. Set up a route that confirms, if there is one."}
	case a.Outcome == recording.Unknown && e.restarted:
		alert.Kind = recording.AlertRestart
		alert.Text = fmt.Sprintf("The server ended while a %s was under way, and it isn't known what became of it. Look in the platform's own screen.", named(a.Action))
	case a.Outcome == recording.Unknown:
		alert.Kind = recording.AlertUnknown
		alert.Text = fmt.Sprintf("A %s may or may not have worked. %s", named(a.Action), a.Detail)
	case a.Outcome.KeepsState() && a.Outcome != recording.Superseded && a.Outcome != recording.NotEnabled:
		alert.Kind = recording.AlertFailed
		alert.Text = fmt.Sprintf("A %s didn't work. %s", named(a.Action), a.Detail)
	default:
		return
	}
	d.options.Alert(alert)
}

// named is an action in a sentence.
func named(a recording.Action) string {
	if a == recording.DoNotRecord {
		return "customer's refusal"
	}
	return string(a)
}
