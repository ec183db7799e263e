package dispatch

import (
	"context"
	"regexp"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"offrecord/app/recording"
	"offrecord/web/platform"
)

const (
	// lateness is how long a request whose fate is unknown may still have its effect. Until then, what the platform answers
	// to a newer, opposite one may be undone behind our back.
	lateness = 15 * time.Second
	// calm is how long a reading must show the same before it is believed while such a request is about.
	calm = 3 * time.Second
	// pollFirst and pollMost are the gaps between two readings.
	pollFirst = 100 * time.Millisecond
	pollMost  = time.Second
	// retryFirst and retryMost are the gaps between two tries.
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
	// abreast is how many resumes and readings a platform is sent at once. A pause is never counted.
	abreast = 64
)

// guard is what protects a platform, and us from it. It never stands in a pause's way.
type guard struct {
	breaker  circuitbreaker.CircuitBreaker[any]
	bulkhead bulkhead.Bulkhead[any]
}

func newGuard(changed func(circuitbreaker.StateChangedEvent)) *guard {
	return &guard{
		// Ten failures within half a minute open it; after five seconds one request finds out.
		breaker:  circuitbreaker.NewBuilder[any]().WithFailureThresholdPeriod(10, 30*time.Second).WithDelay(5 * time.Second).OnStateChanged(changed).Build(),
		bulkhead: bulkhead.New[any](abreast),
	}
}

func (d *Dispatcher) guard(platform string) *guard {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, ok := d.guards[platform]
	if !ok {
		g = newGuard(func(circuitbreaker.StateChangedEvent) { d.refreshSoon() })
		d.guards[platform] = g
	}
	return g
}

// BreakerOpen reports whether a platform is failing so often that only pauses are sent to it.
func (d *Dispatcher) BreakerOpen(platform string) bool { return d.guard(platform).breaker.IsOpen() }

// flight is a request to the platform that is under way, from before it is sent until its fate is known as well as it will
// ever be.
type flight struct {
	id       string
	silences bool
	done     chan struct{}
}

// loose is a request that may still act, until a time.
type loose struct {
	silences bool
	until    time.Time
	// lost says that its fate isn't known at all; else the platform took it, and its effect wasn't seen to come.
	lost bool
}

// carrier carries out one attempt.
type carrier struct {
	*Dispatcher
	line    *line
	entry   *entry
	up      Upstream
	media   string
	attempt recording.Attempt
	agent   Agent
	guard   *guard
	// maybe is set once a try may have acted without saying so.
	maybe bool
	// changed is set once a reading showed something else before it showed the effect. Without that, the effect may have been
	// there already, and the request may be still on its way.
	changed bool
	// latest is when nothing of it may be sent any more; zero for no such time.
	latest time.Time
}

// start carries an attempt out in the background.
func (d *Dispatcher) start(l *line, e *entry, a recording.Attempt, up Upstream, media string) {
	d.carry(&carrier{line: l, entry: e, up: up, media: media, attempt: a})
}

// carry has a carrier do its work in the background.
func (d *Dispatcher) carry(c *carrier) {
	c.Dispatcher, c.agent, c.guard = d, c.line.agent, d.guard(c.line.agent.Platform)
	d.carrying.Go(func() {
		ctx, cancel := context.WithTimeout(d.ctx, c.up.Attempt)
		defer cancel()
		c.run(ctx)
		c.entry.answer()
	})
}

// verdict is what came of an attempt.
type verdict struct {
	outcome  recording.Outcome
	evidence recording.Evidence
	detail   string
	said     string
	call     string // of which the effect was read
}

func (c *carrier) run(ctx context.Context) {
	began := time.Now()
	// A pause goes at once; anything else waits until an older, opposite request is out of the way, so that it can't be
	// overtaken by it.
	if !c.attempt.Action.Silences() {
		for _, rival := range c.rivals() {
			select {
			case <-rival.done:
			case <-ctx.Done():
			}
		}
		if refusal := c.refusal(ctx); refusal != "" {
			c.settle(verdict{outcome: recording.Failed, detail: refusal, evidence: recording.Evidence{Kind: recording.Blocked}})
			return
		}
		if c.strayed(ctx) {
			c.overtaken(false)
			return
		}
	}
	for sent := false; ; sent = true {
		flight, rivals := c.launch()
		if flight == nil {
			c.overtaken(sent || c.maybe)
			return
		}
		v := c.once(ctx, began, flight)
		for _, rival := range rivals {
			select {
			case <-rival.done:
			case <-ctx.Done():
			}
		}
		// An older resume may have reached the platform after this pause: it goes once more.
		if len(rivals) == 0 || !c.attempt.Action.Silences() {
			c.settle(v)
			return
		}
		if ctx.Err() != nil {
			c.settle(verdict{outcome: recording.Unknown, evidence: v.evidence, said: v.said,
				detail: "An earlier resume was still under way, so the pause may have been undone. Pause once more."})
			return
		}
		c.maybe = c.maybe || !v.outcome.KeepsState()
	}
}

// once sends the action, with its retries, and waits for its effect as far as the platform tells of it.
func (c *carrier) once(ctx context.Context, began time.Time, f *flight) verdict {
	result := c.tries(ctx)
	if result.Outcome == recording.Superseded {
		c.line.land(f, c.maybe, c.maybe)
		return c.superseded(c.maybe)
	}
	v := verdict{outcome: result.Outcome, evidence: result.Evidence(time.Since(began)), detail: result.Detail, said: result.Said}
	c.heard(result)
	ability := c.up.Server.Ability()
	contested, _ := c.line.contested(f.silences)
	switch {
	case v.outcome == recording.Accepted && ability.Verifies == platform.ByReading:
		v = c.poll(ctx, began, result, v)
	case v.outcome == recording.Confirmed && contested:
		if !ability.Reads {
			v.outcome, v.detail = recording.Unknown, "An earlier, opposite request may still arrive. Look in the platform's own screen."
			break
		}
		v = c.poll(ctx, began, result, v)
	case c.maybe && (v.outcome.KeepsState() || v.outcome == recording.NoCall && f.silences):
		v.outcome = recording.Unknown
		v.detail = "An earlier try may have worked. " + v.detail
	}
	late := c.maybe
	switch v.outcome {
	case recording.Accepted, recording.Unknown, recording.Superseded:
		late = true
	case recording.Confirmed:
		late = late || v.evidence.Kind == recording.ReadBack && !c.changed
	}
	c.line.land(f, late, c.maybe)
	return v
}

// tries sends the action until it was answered, it can't help, a newer intention came, or time is up. Only what certainly
// did not act, or acts the same if repeated, is sent again.
func (c *carrier) tries(ctx context.Context) platform.Result {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	c.line.onNewer(c.attempt.ID, stop)
	var last platform.Result
	policy := retrypolicy.NewBuilder[platform.Result]().
		HandleIf(func(r platform.Result, _ error) bool {
			if r.RetryAfter > 0 {
				if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < r.RetryAfter {
					return false
				}
			}
			// What nobody attends to is sent again only where it certainly did not act.
			return (r.Retry == platform.DidNotAct || r.Retry == platform.Harmless && c.attempt.Origin != recording.Timer) && !c.moot()
		}).
		WithMaxRetries(-1).
		WithBackoff(retryFirst, retryMost).
		WithJitterFactor(.25).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[platform.Result]) time.Duration {
			if after := exec.LastResult().RetryAfter; after > 0 {
				return after
			}
			return -1 // the backoff's
		}).
		ReturnLastFailure().
		Build()
	failsafe.With(policy).WithContext(waiting).Get(func() (platform.Result, error) {
		if last.Outcome != recording.Pending && (c.moot() || c.strayed(ctx)) {
			return platform.Result{}, nil // something came in between while this one waited for its next try
		}
		last = c.try(ctx)
		c.line.heardOfStop(c.attempt, c.up.Server.Ability(), last)
		if last.Outcome == recording.Unknown {
			c.maybe = true
		}
		return last, nil
	})
	if last.Outcome == recording.Pending { // time was up before the first try
		last = platform.Result{Outcome: recording.Failed, Detail: "There was no time left to send it."}
	}
	return last
}

// try sends the action once.
func (c *carrier) try(ctx context.Context) platform.Result {
	ctx, cancel := context.WithTimeout(ctx, c.up.Try)
	defer cancel()
	if !c.attempt.Action.Silences() {
		if !c.stand(ctx) {
			return platform.Result{Outcome: recording.Failed, Detail: "Too much is being asked of the platform at once. Try again.", Retry: platform.DidNotAct}
		}
		defer c.guard.bulkhead.ReleasePermit()
		if c.moot() { // by what came while it stood in line
			return platform.Result{Outcome: recording.Superseded}
		}
		if !c.guard.breaker.TryAcquirePermit() {
			return platform.Result{Outcome: recording.Failed, Detail: "The platform hasn't been answering. Try again in a moment.", Retry: platform.DidNotAct,
				RetryAfter: max(c.guard.breaker.RemainingDelay(), retryFirst)}
		}
	}
	request := platform.Request{Target: c.target(), Action: c.attempt.Action, Media: c.media}
	if !request.Action.Silences() {
		request.Before = c.line.before()
	}
	result := c.up.Server.Act(ctx, request)
	if failing(result) {
		c.guard.breaker.RecordFailure()
	} else {
		c.guard.breaker.RecordSuccess()
	}
	if result.Err != nil {
		c.options.Log.Warn("the platform's answer", "platform", c.agent.Platform, "attempt", c.attempt.ID, "action", c.attempt.Action, "outcome", result.Outcome, "error", result.Err)
	}
	return result
}

// stand stands in line at the platform. What nobody attends to doesn't: the call is looked at just before, and again before each
// further try.
func (c *carrier) stand(ctx context.Context) bool {
	if c.attempt.Origin == recording.Timer {
		return c.guard.bulkhead.TryAcquirePermit()
	}
	return c.guard.bulkhead.AcquirePermit(ctx) == nil
}

// failing reports whether a result says that the platform itself isn't well.
func failing(r platform.Result) bool {
	return r.HTTPStatus >= 500 || r.HTTPStatus == 0 && r.Err != nil
}

func (c *carrier) target() platform.Target {
	return platform.Target{Agent: c.agent.Email, AgentID: c.agent.ID, Call: c.line.call(c.attempt.ID)}
}

// callID is what a platform may call a call: its ids are UUIDs or numbers.
var callID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// onCall takes the call's id from the platform, which knows best; but not after a start, when it needn't be the call of then. The
// line is locked.
func (c *carrier) onCall(call string) {
	if callID.MatchString(call) && !c.entry.restarted { // a platform may say anything there
		c.line.timeline.Amend(c.attempt.ID, func(a *recording.Attempt) { a.Call = call })
	}
}

// heard takes what a result says besides its outcome.
func (c *carrier) heard(r platform.Result) {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	c.onCall(r.Call)
	// The platform has answered: whoever asked is told within answerIn, whatever comes of it.
	if c.entry.patience == nil {
		c.entry.patience = time.AfterFunc(answerIn, c.entry.answer)
	}
}

// poll reads the status until it shows the effect, a newer intention came, or time is up.
func (c *carrier) poll(ctx context.Context, began time.Time, result platform.Result, v verdict) verdict {
	c.progress(verdict{outcome: recording.Accepted, evidence: v.evidence, detail: v.detail, said: v.said})
	ability := c.up.Server.Ability()
	gap, shownSince := pollFirst, time.Time{}
	last := ""
	for {
		wait := time.NewTimer(gap)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return verdict{outcome: recording.Unknown, evidence: recording.Evidence{Kind: recording.Silence, AfterMS: ms(time.Since(began))}, said: last,
				detail: "The platform took it, and didn't show the effect in time." + said(last)}
		}
		if !c.newest() {
			return verdict{outcome: recording.Superseded, evidence: v.evidence, said: v.said, detail: "A newer action came before the effect was seen."}
		}
		gap = min(gap*8/5, pollMost)
		target := c.target()
		if callID.MatchString(result.Call) {
			target.Call = result.Call
		}
		reading := c.read(ctx, target)
		if reading.Said != "" {
			last = reading.Said
		}
		switch {
		case ability.Shows(c.attempt.Action, reading.State):
			if shownSince.IsZero() {
				shownSince = time.Now()
			}
			if contested, lost := c.line.contested(c.attempt.Action.Silences()); lost || contested && time.Since(shownSince) < calm {
				continue // an earlier, opposite request may still be on its way
			}
			return verdict{outcome: recording.Confirmed, evidence: recording.Evidence{Kind: recording.ReadBack, AfterMS: ms(time.Since(began))}, said: reading.Said,
				detail: reading.Detail, call: reading.Call}
		case reading.Retry == platform.Never && reading.Err != nil:
			return verdict{outcome: recording.Unknown, evidence: v.evidence, said: last, detail: "The platform took it, and its status can't be read. " + reading.Detail}
		}
		shownSince = time.Time{}
		c.changed = c.changed || reading.Err == nil && reading.State != recording.StateUnknown
		gap = max(gap, min(reading.RetryAfter, 5*time.Second))
	}
}

func (c *carrier) read(ctx context.Context, target platform.Target) platform.Reading {
	ctx, cancel := context.WithTimeout(ctx, c.up.Try)
	defer cancel()
	if !c.attempt.Action.Silences() {
		if err := c.guard.bulkhead.AcquirePermit(ctx); err != nil {
			return platform.Reading{State: recording.StateUnknown, Retry: platform.DidNotAct, Err: err}
		}
		defer c.guard.bulkhead.ReleasePermit()
	}
	return c.up.Server.Read(ctx, target)
}

// refusal says why something that isn't a pause can't be done now; empty if it can.
func (c *carrier) refusal(ctx context.Context) string {
	c.line.mu.Lock()
	declined := c.line.timeline.StateBefore(c.attempt.ID) == recording.Declined
	c.line.mu.Unlock()
	if declined {
		return "The customer declined to be recorded. This contact can't be recorded any more."
	}
	needs := c.up.Server.Ability().ResumeNeeds
	if c.attempt.Action != recording.Resume || needs == "" {
		return ""
	}
	// The resume would start a recording, so the call has to be the one that was stopped.
	ctx, cancel := context.WithTimeout(ctx, c.up.Try)
	defer cancel()
	reading := c.lookUp(ctx)
	c.line.mu.Lock()
	was := c.line.stopped
	c.line.mu.Unlock()
	switch {
	case was.state != needs:
		return "It isn't known that this call was recorded before the pause, so it isn't started again. Start the recording if it should be."
	case reading.Call == "" || was.call == "":
		return "It isn't known which call this is, so the recording isn't started again. Start the recording if it should be."
	case reading.Call != was.call:
		return "This isn't the call that was paused, so its recording isn't started. Start the recording if it should be."
	}
	return ""
}

// moot reports whether nothing of it may be sent any more: a newer intention came, or its latest time; or, but for a pause, the
// call it was for is over.
func (c *carrier) moot() bool {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	return c.over()
}

// over is moot with the line locked.
func (c *carrier) over() bool {
	a, _ := c.line.timeline.Attempt(c.attempt.ID)
	return !c.line.timeline.IsNewest(a.ID) || !c.latest.IsZero() && !time.Now().Before(c.latest) || a.Settled() && !a.Action.Silences()
}

// strayed reports whether the agent isn't known to be on the call any more that an unattended resume is for.
func (c *carrier) strayed(ctx context.Context) bool {
	if c.attempt.Origin != recording.Timer || !c.up.Server.Ability().CallKnown {
		return false
	}
	ctx, cancel := context.WithDeadline(ctx, c.latest)
	defer cancel()
	return c.lookUp(ctx).Call != c.attempt.Call || c.moot()
}

// newest reports whether no newer intention exists.
func (c *carrier) newest() bool {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	return c.line.timeline.IsNewest(c.attempt.ID)
}

// launch puts a request of this attempt on its way, unless a newer intention exists, and says which older, opposite ones are
// under way. It is one step, so that no newer request can be sent unseen in between.
func (c *carrier) launch() (*flight, []*flight) {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	if c.over() {
		return nil, nil
	}
	f := &flight{id: c.attempt.ID, silences: c.attempt.Action.Silences(), done: make(chan struct{})}
	rivals := c.opposite()
	c.line.flights = append(c.line.flights, f)
	return f, rivals
}

// overtaken settles an attempt that something newer came before; sent says that it had been sent already.
func (c *carrier) overtaken(sent bool) { c.settle(c.superseded(sent)) }

func (c *carrier) superseded(sent bool) verdict {
	v := verdict{outcome: recording.Superseded, detail: "A newer action came first, so this one was not carried out."}
	switch {
	case !sent && c.attempt.Origin == recording.Timer:
		v.detail = "Something came in between, or it was too late, so this was not carried out."
	case sent:
		v.detail, v.evidence = "A newer action came before its effect was known.", recording.Evidence{Kind: recording.Silence}
	}
	return v
}

// rivals are the older, opposite requests that are under way.
func (c *carrier) rivals() []*flight {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	return c.opposite()
}

// opposite is rivals with the line locked.
func (c *carrier) opposite() []*flight {
	var all []*flight
	for _, f := range c.line.flights {
		if f.silences != c.attempt.Action.Silences() && c.line.timeline.Precedes(f.id, c.attempt.ID) {
			all = append(all, f)
		}
	}
	return all
}

// progress tells what is known so far.
func (c *carrier) progress(v verdict) {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	if a, err := c.line.timeline.Decide(c.attempt.ID, v.outcome, &v.evidence, v.detail, time.Now().UTC(), false); err == nil {
		c.line.timeline.Amend(a.ID, func(a *recording.Attempt) { a.PlatformStatus = v.said })
		a, _ = c.line.timeline.Attempt(a.ID)
		c.publish(c.line, a)
	}
}

// settle says what became of the attempt.
func (c *carrier) settle(v verdict) {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	c.line.timeline.Amend(c.attempt.ID, func(a *recording.Attempt) { a.PlatformStatus = v.said })
	c.onCall(v.call)
	evidence := &v.evidence
	if v.evidence.Kind == "" {
		evidence = nil
	}
	if c.attempt.Route == recording.RouteSession {
		c.combine(v, evidence)
		return
	}
	c.decide(c.line, c.attempt.ID, v.outcome, evidence, v.detail)
	if v.outcome == recording.Confirmed && !c.attempt.Action.Silences() {
		c.line.stopped = stopped{}
	}
}

// combine joins the server's verdict with what the browser saw of the same pause. The line is locked.
func (c *carrier) combine(v verdict, evidence *recording.Evidence) {
	e := c.entry
	e.carried = &v
	refused := v.outcome == recording.NoCall || v.outcome.KeepsState() && v.outcome != recording.Failed && v.outcome != recording.Superseded
	switch {
	case v.outcome == recording.Confirmed:
		c.decide(c.line, c.attempt.ID, v.outcome, evidence, v.detail)
	case refused && e.seen != nil && e.seen.Outcome == recording.Accepted && e.seen.Evidence.Kind == recording.Status:
		c.decide(c.line, c.attempt.ID, recording.Unknown, evidence,
			"The browser's request was taken and the server's was refused: the browser may be signed in to the platform as somebody else. "+v.detail)
	case refused:
		c.decide(c.line, c.attempt.ID, v.outcome, evidence, v.detail)
	case e.seen != nil:
		c.join(c.line, c.attempt, v, *e.seen)
	}
	// Else the browser's report, or the deadline, has the last word.
}

// join settles a combined pause of which the server has nothing definite to say by what the browser saw. The line is locked.
func (d *Dispatcher) join(l *line, a recording.Attempt, v verdict, r Report) (recording.Attempt, error) {
	if v.outcome == recording.Unknown && r.Outcome.KeepsState() {
		return d.decide(l, a.ID, recording.Unknown, &v.evidence, "The browser couldn't, and what the server asked for may have worked. "+v.detail)
	}
	return d.decide(l, a.ID, r.Outcome, r.evidence(), r.detail(a.Action))
}

func ms(d time.Duration) int { return int(d / time.Millisecond) }

// What a line knows of requests under way. Those that say so are called with the line locked.

// land ends a flight; late says that it may still act, and lost that its fate isn't known at all.
func (l *line) land(f *flight, late, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, x := range l.flights {
		if x == f {
			l.flights = append(l.flights[:i:i], l.flights[i+1:]...)
			break
		}
	}
	now := time.Now()
	kept := l.loose[:0:0]
	for _, x := range l.loose {
		if now.Before(x.until) {
			kept = append(kept, x)
		}
	}
	if late {
		kept = append(kept, loose{f.silences, now.Add(lateness), lost})
	}
	l.loose = kept
	close(f.done)
}

// contested reports whether an opposite request may still act, and whether it is one whose fate isn't known at all.
func (l *line) contested(silences bool) (contested, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, x := range l.loose {
		if x.silences != silences && now.Before(x.until) {
			contested, lost = true, lost || x.lost
		}
	}
	return contested, lost
}

// call is the call an attempt is for.
func (l *line) call(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, _ := l.timeline.Attempt(id)
	return a.Call
}

// stopped is what was recorded before our own stop, and of which call. It is bound to the call, because a call may end without
// our hearing of it, and the next one may be none that is to be recorded.
type stopped struct {
	state recording.State
	call  string
}

// heardOfStop takes what was recorded before a pause that stops. A further pause of the same call finds our own stop, so the
// first word on a call stays.
func (l *line) heardOfStop(a recording.Attempt, able platform.Ability, r platform.Result) {
	if able.ResumeNeeds == "" || a.Action != recording.Pause {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known := r.Before != "" && r.Before != recording.StateUnknown && r.Before != recording.Idle && callID.MatchString(r.Call)
	switch {
	case r.Outcome == recording.NoCall:
		l.stopped = stopped{}
	case known && r.Call != l.stopped.call:
		l.stopped = stopped{r.Before, r.Call}
	}
}

// before is what was recorded before our own stop.
func (l *line) before() recording.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped.state
}

// onNewer calls stop when a newer intention than id comes.
func (l *line) onNewer(id string, stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		e.overtaken = stop
	}
	if !l.timeline.IsNewest(id) {
		stop()
	}
}
