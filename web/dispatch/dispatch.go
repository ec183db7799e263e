// Package dispatch keeps the server's truth about each agent's recording: what was asked for, what was seen of it, what holds
// it paused, and who is watching. It carries out the server route's actions in the order of the agent's intentions.
//
// It decides nothing about a state itself (app/recording does), knows no platform by name (web/platform's interface is all it
// sees) and talks to no browser.
package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"offrecord/app/recording"
)

// Errors that a caller tells apart.
var (
	// ErrIDReused means that this id was announced before with another body.
	ErrIDReused = errors.New("this id was used for another attempt; take a new one")
	// ErrNotFound means that the agent has no such attempt, or not any more.
	ErrNotFound = errors.New("there is no such attempt of yours")
	// ErrNotYours means that a browser claimed what only a platform may say.
	ErrNotYours = errors.New("a browser can't confirm an effect; only the platform can")
	// ErrLog means that a resume wasn't accepted because it couldn't be written down first.
	ErrLog = errors.New("the attempt couldn't be written down, so nothing was done")
)

// InvalidError is a request that can't be accepted. Its text is for a person and repeats nothing that was sent.
type InvalidError string

func (e InvalidError) Error() string { return string(e) }

// Journal is where attempts are written down. Begin returns once the attempt would survive a crash; Complete follows when it
// is settled, or when the agent's own word is added to it. Note is told of all else that a start has to know.
type Journal interface {
	Begin(context.Context, recording.Attempt) error
	Complete(context.Context, recording.Attempt) error
	Note(context.Context, Note) error
}

// Note is what a journal keeps besides attempts: what was said of a call (Event is set); or that a pause was given more time, or
// was said to be over its time (Pause is set).
type Note struct {
	At       time.Time // by which it takes its place among the attempts
	Agent    string    // the email address
	Platform string

	Call  string
	Event CallEvent
	// Hashed says that Call is only good to tell one call from another: the journal keeps no more of it.
	Hashed bool

	Pause string    // the attempt that opened the pause
	Until time.Time // its new end
	Nth   int       // which of its extensions it is
	// Told says that the pause was said to be over its time. A dispatcher isn't the one to write that down: who keeps the alerts
	// does.
	Told bool
}

// Nowhere is a Journal that keeps nothing.
type Nowhere struct{}

// Begin implements Journal.
func (Nowhere) Begin(context.Context, recording.Attempt) error { return nil }

// Complete implements Journal.
func (Nowhere) Complete(context.Context, recording.Attempt) error { return nil }

// Note implements Journal.
func (Nowhere) Note(context.Context, Note) error { return nil }

// Agent is one agent and the platform whose recording is meant.
type Agent struct {
	Email    string
	Platform string
	// ID is the platform's own id of the agent; may be empty where the platform finds agents by email.
	ID string
}

const (
	// logTimeout bounds the wait for the journal: a pause is never held back by our own log for longer.
	logTimeout = time.Second
	// maxPending is how many undecided attempts an agent may have. A pause is never refused for it: the oldest gives way.
	maxPending = 256
)

// Options are what a Dispatcher needs. The zero value of each is usable.
type Options struct {
	Journal Journal
	Log     *slog.Logger
	// AttemptTimeout is how long a platform's attempt may stay undecided; nil means 15 seconds for each.
	AttemptTimeout func(platform string) time.Duration
	// Ready says whether the server's half of a platform is ready, and if not why, in one sentence.
	Ready func(platform string) (bool, string)
	// Upstream is a platform's server route, false where it has none.
	Upstream func(platform string) (Upstream, bool)
	// Settled is told of every attempt that is decided, for counting.
	Settled func(recording.Attempt)
	// Limit is how long a platform's pauses may last.
	Limit func(platform string) Limit
	// Alert is told of every fault of the control, and Fixed that a pause which was over its time is no longer. They may neither
	// wait nor call the dispatcher.
	Alert, Fixed func(recording.Alert)
	// Alerts are those about an agent's recording that wait for a person, oldest first, and Notices what the agents of a platform
	// must know. Refresh says that they changed.
	Alerts  func(agent string) []recording.Alert
	Notices func(platform string) []recording.Notice
	// Now is the wall clock. It stamps what is written down; how long something takes is measured without it, so that a clock
	// that is set hurries nothing.
	Now func() time.Time
}

// Dispatcher is safe for concurrent use.
type Dispatcher struct {
	options Options
	mu      sync.Mutex
	lines   map[string]*line
	closed  bool
	guards  map[string]*guard
	writing tasks // outcomes on their way to the journal

	refreshing atomic.Bool // a Refresh is about to begin

	ctx      context.Context // of everything that is carried out
	cancel   context.CancelFunc
	carrying tasks
}

// New returns a Dispatcher that knows nothing yet.
func New(o Options) *Dispatcher {
	if o.Journal == nil {
		o.Journal = Nowhere{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AttemptTimeout == nil {
		o.AttemptTimeout = func(string) time.Duration { return 15 * time.Second }
	}
	if o.Ready == nil {
		o.Ready = func(string) (bool, string) { return true, "" }
	}
	if o.Settled == nil {
		o.Settled = func(recording.Attempt) {}
	}
	if o.Limit == nil {
		o.Limit = func(string) Limit { return Limit{} }
	}
	if o.Alert == nil {
		o.Alert = func(recording.Alert) {}
	}
	if o.Fixed == nil {
		o.Fixed = func(recording.Alert) {}
	}
	if o.Alerts == nil {
		o.Alerts = func(string) []recording.Alert { return nil }
	}
	if o.Notices == nil {
		o.Notices = func(string) []recording.Notice { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Upstream == nil {
		o.Upstream = func(string) (Upstream, bool) { return Upstream{}, false }
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Dispatcher{options: o, lines: map[string]*line{}, guards: map[string]*guard{}, ctx: ctx, cancel: cancel}
}

// line is one agent's.
type line struct {
	agent    Agent
	mu       sync.Mutex
	timeline recording.Timeline
	entries  map[string]*entry // by attempt id
	closed   bool
	watchers []*Watcher
	recent   []Event // attempts, for who comes back; oldest first
	seq      uint64

	flights []*flight // requests to the platform under way
	loose   []loose   // requests that ended without their fate being known
	stopped stopped   // what was recorded before our own stop

	stamped time.Time   // the newest stamp
	alarm   *time.Timer // at the end of the open pause's time; nil before the first
	watched string      // the pause that it is set for
	ending  bool        // it is being found out whether the open pause may be ended
	quiet   bool        // the alarm doesn't ring any more
	alerted string      // the pause that was said to be over its time and is open still
	hashed  string      // the call as a journal keeps it that keeps hashes; while it is replayed
}

// stamp is the time for what is asked now: the clock's, and later than all before on this line even if the clock was set
// back, because what came last is the newest intention. The line is locked.
func (l *line) stamp(now time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond) // the log keeps no more
	if !now.After(l.stamped) {
		now = l.stamped.Add(time.Microsecond)
	}
	l.stamped = now
	return now
}

// entry is what is kept of an attempt besides the timeline's part.
type entry struct {
	body     any           // the Request or Order it came with
	forced   bool          // the agent wants it without a record
	begun    chan struct{} // closed once the attempt was written down, or couldn't be
	written  chan struct{} // closed once everything up to the newest outcome was handed to the journal
	err      error         // why it was refused; read after begun
	deadline *time.Timer   // nil while it isn't taken, for one that was settled when it came, and on the server route
	unlogged bool

	answered  chan struct{} // closed when whoever ordered it is to be answered
	answering sync.Once
	overtaken func()      // ends the waits of its carrier, because a newer intention came
	patience  *time.Timer // until it is answered, after the platform's answer
	seen      *Report     // what the browser saw of a pause that the server carries out too
	combined  bool        // the server carries it out too
	carried   *verdict    // what the server had to say
	restarted bool        // it was under way when the server ended

	// Of a pause that has a time, by the monotonic clock:
	ends time.Time // when its own time is up; zero for never
	due  time.Time // when the open pause's is, if this one opened it
	// dueAt is due as the wall clock had it when it was written down; nth how often it was extended; dealt says that somebody was
	// told.
	dueAt time.Time
	nth   int
	dealt bool
}

func newEntry(body any, forced bool) *entry {
	begun := make(chan struct{})
	return &entry{body: body, forced: forced, begun: begun, written: begun, // an outcome never comes before its attempt
		answered: make(chan struct{})}
}

func (e *entry) answer() { e.answering.Do(func() { close(e.answered) }) }

func (d *Dispatcher) line(a Agent) *line {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.lines[a.Email]
	if !ok {
		l = &line{agent: a, entries: map[string]*entry{}, closed: d.closed, quiet: d.closed}
		d.lines[a.Email] = l
	}
	return l
}

// Announce records that an attempt is being made. It reports whether the attempt is new. The same id with the same request
// is the same attempt, as it stands now; nothing is recorded twice.
//
// A pause is taken at once and only then written down, and if that fails it says so and stands: the browser has fired it
// already. A resume is written down first, and refused with ErrLog if that fails, unless the agent asked for it without a
// record. A resume that comes back Superseded is not to be carried out.
func (d *Dispatcher) Announce(ctx context.Context, agent Agent, request Request) (recording.Attempt, bool, error) {
	now := d.now()
	request, err := request.check(now)
	if err != nil {
		return recording.Attempt{}, false, err
	}
	l := d.line(agent)
	l.mu.Lock()
	if known, ok := l.entries[request.ID]; ok {
		l.mu.Unlock()
		if known.body != nil && known.body != request { // a restored one came with a body that is no longer known
			return recording.Attempt{}, false, ErrIDReused
		}
		select {
		case <-known.begun:
		case <-ctx.Done():
			return recording.Attempt{}, false, ctx.Err()
		}
		if known.err != nil {
			return recording.Attempt{}, false, known.err
		}
		a, err := d.Attempt(agent, request.ID)
		return a, false, err
	}
	e := newEntry(request, request.WithoutRecord)
	l.entries[request.ID] = e
	attempt := request.attempt(agent, now)
	if attempt.RequestedAt.Equal(now) { // else it was kept in the browser, and takes its place
		attempt.RequestedAt = l.stamp(now)
	}
	if attempt.Call == "" {
		attempt.Call = l.timeline.Call()
	}
	d.limit(e, &attempt, request.For)
	if request.Action.Silences() {
		up, ok := d.options.Upstream(agent.Platform)
		e.combined = ok && up.Combine && up.Server.Ability().Can(request.Action)
		attempt = d.take(l, e, attempt)
		l.mu.Unlock()
		if e.combined && !attempt.Settled() {
			d.start(l, e, attempt, up, "")
		}
		if err := d.begin(ctx, attempt); err != nil {
			attempt = d.unlogged(l, e, attempt)
		}
		close(e.begun)
		return attempt, true, nil
	}
	l.mu.Unlock()
	err = d.begin(ctx, attempt)
	if err != nil && !request.WithoutRecord {
		return recording.Attempt{}, false, d.refuse(l, request.ID, e)
	}
	l.mu.Lock()
	attempt = d.take(l, e, attempt)
	l.mu.Unlock()
	if err != nil {
		attempt = d.unlogged(l, e, attempt)
	}
	close(e.begun)
	return attempt, true, nil
}

// take puts an attempt into the timeline, starts its deadline and tells the watchers. The line is locked.
func (d *Dispatcher) take(l *line, e *entry, attempt recording.Attempt) recording.Attempt {
	attempt, _ = l.timeline.Add(attempt)
	for id, older := range l.entries {
		if older.overtaken != nil && !l.timeline.IsNewest(id) {
			older.overtaken()
		}
	}
	if !attempt.Settled() && !attempt.Action.Silences() && !l.timeline.IsNewest(attempt.ID) && !e.forced {
		// Something newer came while this one was being written down. It may be a pause that is on its way already. A resume
		// without record was carried out before we were told, so it can't be called off.
		attempt, _ = l.timeline.Decide(attempt.ID, recording.Superseded, nil, "A newer action came first, so this one was not carried out.", d.now(), true)
	}
	if attempt.Settled() {
		d.complete(l, e, attempt)
	} else if attempt.Route == recording.RouteSession {
		e.deadline = time.AfterFunc(d.options.AttemptTimeout(l.agent.Platform), func() { d.expire(l, attempt.ID) })
	}
	d.giveWay(l)
	l.forget()
	d.publish(l, attempt)
	return attempt
}

// giveWay settles the oldest undecided attempts where there are too many. The line is locked.
func (d *Dispatcher) giveWay(l *line) {
	pending := l.undecided()
	for _, id := range pending[min(len(pending), maxPending):] {
		d.decide(l, id, recording.Unknown, &recording.Evidence{Kind: recording.Silence}, "Many newer actions came before anything was heard of this one.")
	}
}

// forget drops the entries of attempts that the timeline no longer keeps. The line is locked.
func (l *line) forget() {
	kept := l.timeline.Attempts()
	if len(l.entries) <= 2*len(kept) {
		return
	}
	ids := make(map[string]bool, len(kept))
	ids[l.watched] = true
	for _, a := range kept {
		ids[a.ID] = true
	}
	for id, e := range l.entries {
		select {
		case <-e.begun:
			if !ids[id] {
				delete(l.entries, id)
			}
		default: // still being written down
		}
	}
}

func (d *Dispatcher) begin(ctx context.Context, a recording.Attempt) error {
	// Whoever asked may be gone by now; what was asked for stays.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
	defer cancel()
	err := d.options.Journal.Begin(ctx, a)
	if err != nil {
		d.options.Log.Error("an attempt couldn't be written down", "action", a.Action, "attempt", a.ID, "error", err)
	}
	return err
}

const notWritten = "This couldn't be written to the log; it was done all the same."

// unlogged marks an attempt that stands without a record.
func (d *Dispatcher) unlogged(l *line, e *entry, attempt recording.Attempt) recording.Attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.unlogged = true
	if now, ok := l.timeline.Attempt(attempt.ID); ok && !now.Settled() {
		attempt, _ = l.timeline.Decide(attempt.ID, now.Outcome, now.Evidence, notWritten, d.now(), false)
		d.publish(l, attempt)
	}
	return attempt
}

// expire settles an attempt of which nothing was heard.
func (d *Dispatcher) expire(l *line, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return // whoever reads the journal next finds it undecided
	}
	after := int(d.options.AttemptTimeout(l.agent.Platform) / time.Millisecond)
	d.decide(l, id, recording.Unknown, &recording.Evidence{Kind: recording.Silence, AfterMS: after}, "Nothing was heard of it in time: it may or may not have worked.")
}

// decide settles an attempt, writes that down and tells the watchers. The line is locked.
func (d *Dispatcher) decide(l *line, id string, outcome recording.Outcome, evidence *recording.Evidence, detail string) (recording.Attempt, error) {
	e := l.entries[id]
	if e.unlogged {
		detail += " " + notWritten
	}
	if before, ok := l.timeline.Attempt(id); ok && outcome == recording.Attested && (before.Outcome.KeepsState() || before.Outcome == recording.NoCall) {
		d.begins(l, e, before) // only now there is a pause
	}
	a, err := l.timeline.Decide(id, outcome, evidence, detail, d.now(), true)
	if err != nil {
		return a, err
	}
	d.complete(l, e, a)
	d.publish(l, a)
	return a, nil
}

// complete writes an outcome down, one after the other for each attempt, and nobody waits: the outcome is known, and the log
// may be slow. The line is locked.
func (d *Dispatcher) complete(l *line, e *entry, a recording.Attempt) {
	d.options.Settled(a)
	d.fault(e, a)
	e.answer()
	for _, t := range []*time.Timer{e.deadline, e.patience} {
		if t != nil {
			t.Stop()
		}
	}
	before, written := e.written, make(chan struct{})
	e.written = written
	d.writing.Go(func() {
		defer close(written)
		<-before
		ctx, cancel := context.WithTimeout(context.Background(), logTimeout)
		defer cancel()
		if err := d.options.Journal.Complete(ctx, a); err != nil {
			d.options.Log.Error("an outcome couldn't be written down", "attempt", a.ID, "outcome", a.Outcome, "error", err)
		}
	})
}

// Report records what a browser saw of an attempt of the session route. On an attempt that is settled only the agent's own
// word (attested) changes anything; else the attempt is returned as it stands.
func (d *Dispatcher) Report(_ context.Context, agent Agent, id string, report Report) (recording.Attempt, error) {
	if err := report.check(); err != nil {
		return recording.Attempt{}, err
	}
	l := d.line(agent)
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.timeline.Attempt(id)
	if !ok {
		return recording.Attempt{}, ErrNotFound
	}
	if a.Route != recording.RouteSession && report.Outcome != recording.Attested {
		return recording.Attempt{}, ErrNotYours
	}
	if e := l.entries[id]; e.combined && !a.Settled() && report.Outcome != recording.Attested {
		if e.carried != nil {
			return d.join(l, a, *e.carried, report)
		}
		// The server is asking the platform: what the browser saw isn't the last word.
		e.seen = &report
		a, err := l.timeline.Decide(id, report.Outcome, report.evidence(), report.detail(a.Action), d.now(), false)
		d.publish(l, a)
		return a, err
	}
	decided, err := d.decide(l, id, report.Outcome, report.evidence(), report.detail(a.Action))
	if errors.Is(err, recording.ErrSettled) {
		return a, nil
	}
	return decided, err
}

// Attest adds the agent's own word, "I paused it there", to the newest pause that isn't confirmed. It reports whether there
// was one.
func (d *Dispatcher) Attest(_ context.Context, agent Agent) (recording.Attempt, bool) {
	l := d.line(agent)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.timeline.Attempts() {
		if !a.Action.Silences() {
			continue
		}
		report := Report{Outcome: recording.Attested}
		a, err := d.decide(l, a.ID, report.Outcome, report.evidence(), report.detail(a.Action))
		return a, err == nil
	}
	return recording.Attempt{}, false
}

// CallEvent is what a CRM knows of a call.
type CallEvent string

// The events of a call.
const (
	CallStarted     CallEvent = "started"
	CallEnded       CallEvent = "ended"
	CallTransferred CallEvent = "transferred"
)

// SetCall records what became of a call. The end of a call that isn't the current one changes nothing.
func (d *Dispatcher) SetCall(ctx context.Context, agent Agent, call string, event CallEvent) error {
	if err := checkText("call", call, maxCall); err != nil {
		return err
	}
	if call == "" {
		return InvalidError("call is missing: send the call's id.")
	}
	switch event {
	case CallStarted, CallTransferred, CallEnded:
	default:
		return InvalidError("event is unknown: use started, ended or transferred.")
	}
	l := d.line(agent)
	l.mu.Lock()
	note := Note{At: l.stamp(d.now()), Agent: agent.Email, Platform: agent.Platform, Call: call, Event: event}
	undecided := l.undecided()
	l.hear(note, l.timeline.Call())
	for _, id := range undecided {
		if a, ok := l.timeline.Attempt(id); ok && a.Settled() {
			d.complete(l, l.entries[id], a)
			l.remember(a)
		}
	}
	d.publishState(l)
	l.mu.Unlock()
	d.note(ctx, note)
	return nil
}

// undecided are the ids of the attempts that aren't settled. The line is locked.
func (l *line) undecided() (ids []string) {
	for _, a := range l.timeline.Attempts() {
		if !a.Settled() {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// hear takes what was said of a call; now is the call that the agent is on. The line is locked.
func (l *line) hear(n Note, now string) {
	switch {
	case n.Event != CallEnded:
		l.timeline.SetCall(n.Call, n.Event == CallTransferred, n.At)
	case now == "" || now == n.Call:
		l.timeline.SetCall("", false, n.At)
	}
}

// note has something written down that doesn't wait for it: it stands either way.
func (d *Dispatcher) note(ctx context.Context, n Note) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
	defer cancel()
	if err := d.options.Journal.Note(ctx, n); err != nil {
		d.options.Log.Error("what was said of a call or a pause couldn't be written down", "event", n.Event, "pause", n.Pause, "error", err)
	}
}

// Snapshot is what is known now.
func (d *Dispatcher) Snapshot(agent Agent) recording.Snapshot {
	l := d.line(agent)
	l.mu.Lock()
	defer l.mu.Unlock()
	return d.snapshot(l)
}

// snapshot is Snapshot with the line locked.
func (d *Dispatcher) snapshot(l *line) recording.Snapshot {
	s := recording.Snapshot{Agent: l.agent.Email, Platform: l.agent.Platform, Call: l.timeline.Call(), Holds: l.timeline.Holds(), AsOf: d.now(),
		Alerts: d.options.Alerts(l.agent.Email)}
	if s.Holds == nil {
		s.Holds = recording.Holds{} // [] and not null
	}
	s.State, s.Since = l.timeline.State()
	if newest, ok := l.timeline.Newest(); ok {
		s.Attempt = &newest
	}
	s.Ready, s.NotReadyBecause = d.options.Ready(l.agent.Platform)
	if l.timeline.CallMoved() {
		s.Notices = append(s.Notices, recording.Notice{Code: recording.CallChanged, Text: "This call may be recording. Pause again, or look in the platform's own screen."})
	}
	s.Notices = append(s.Notices, d.options.Notices(l.agent.Platform)...)
	if !d.proves(l.agent.Platform) {
		s.Notices = append(s.Notices, recording.Notice{Code: recording.CannotConfirm,
			Text: "On this account nobody says whether a pause worked. Look in the platform's own screen before you take the card."})
	}
	d.measure(l, &s)
	return s
}

// Refresh tells all watchers how things stand: something changed of what the dispatcher doesn't know itself, such as alerts or
// the log's health.
func (d *Dispatcher) Refresh() {
	for _, l := range d.all() {
		l.mu.Lock()
		if len(l.watchers) > 0 {
			d.publishState(l)
		}
		l.mu.Unlock()
	}
}

// refreshSoon is Refresh for those who can't wait for it. What comes at once is told once.
func (d *Dispatcher) refreshSoon() {
	if d.refreshing.CompareAndSwap(false, true) {
		d.writing.Go(func() {
			d.refreshing.Store(false)
			d.Refresh()
		})
	}
}

func (d *Dispatcher) all() []*line {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.lines))
}

// now is the wall clock.
func (d *Dispatcher) now() time.Time { return d.options.Now().UTC() }

// Attempts are the agent's kept attempts, newest first, at most limit.
func (d *Dispatcher) Attempts(agent Agent, limit int) []recording.Attempt {
	l := d.line(agent)
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.timeline.Attempts()
	return slices.Clip(all[:min(len(all), max(limit, 0))])
}

// Attempt is one of the agent's own attempts as it stands now.
func (d *Dispatcher) Attempt(agent Agent, id string) (recording.Attempt, error) {
	l := d.line(agent)
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.timeline.Attempt(id)
	if !ok {
		return recording.Attempt{}, ErrNotFound
	}
	return a, nil
}

// closing is how long Close lets what the server carries out go on.
const closing = 5 * time.Second

// Close lets what the server carries out end, or records that its fate is unknown; then it ends every watcher's stream and
// waits for the outcomes that are on their way to the journal. Nothing may be asked for any more. What a browser hasn't
// reported stays undecided.
func (d *Dispatcher) Close() {
	for _, l := range d.all() {
		l.mu.Lock()
		l.quiet = true // what is due from now on is the next run's
		l.mu.Unlock()
	}
	grace := time.AfterFunc(closing, d.cancel)
	d.carrying.Wait()
	grace.Stop()
	d.cancel()
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	for _, l := range d.all() {
		l.mu.Lock()
		l.closed, l.quiet = true, true
		if l.alarm != nil {
			l.alarm.Stop()
		}
		for _, w := range l.watchers {
			close(w.events)
		}
		l.watchers = nil
		for _, e := range l.entries {
			if e.deadline != nil {
				e.deadline.Stop()
			}
		}
		l.mu.Unlock()
	}
	d.writing.Wait()
}
