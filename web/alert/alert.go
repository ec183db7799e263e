// Package alert keeps the faults of the control that need a person: a pause that failed, one that is over its time, a log that
// can't be written. An alert is told at once, and again, further and further apart, until a supervisor acknowledges it or
// the fault is over by itself. It survives a restart.
//
// Whoever raises an alert never waits: not for the store, not for the webhook, not for the log. Nothing here acts on a
// recording, and nothing decides that something is a fault; that is for those who raise.
package alert

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/cardnumber"
)

// repeats are the times between one telling of an alert and the next: after the last of them it stays at that.
var repeats = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour}

func pause(repeated int) time.Duration { return repeats[min(repeated, len(repeats)-1)] }

const (
	// openMost bounds the alerts that wait for a person. Who hasn't seen two thousand won't see one more; that there were more is
	// logged.
	openMost = 2000
	// openEach bounds those of one agent, who could else drown all others' by asking for what fails.
	openEach = 200
	// remembered is how long an acknowledged alert about an attempt keeps the same from being raised again. Longer than any
	// attempt is heard of.
	remembered = 7 * 24 * time.Hour
	// newsMost is how far a watcher may lag behind.
	newsMost = 256
	// maxText bounds an alert's sentence, in bytes.
	maxText = 1000
)

// ErrNotFound means that there is no alert of this id.
var ErrNotFound = errors.New("there is no such alert")

// What says what happened to an alert.
type What string

// What happens to alerts.
const (
	Raised       What = "raised"
	Repeated     What = "repeated"
	Acknowledged What = "acknowledged"
	Settled      What = "settled" // the fault is over
)

// Options are what Alerts are made of. DB is required, with the tables of web/store.
type Options struct {
	DB  *sql.DB
	Log *slog.Logger
	// Post tries once to deliver a message to the webhook; nil: there is none. Its error may be a *webhook.Error.
	Post func(ctx context.Context, id string, message []byte) error
	// Link is where a person sees the alerts.
	Link string
	// Heard is told of each raise, repeat, acknowledgement and end, once; for an acknowledgement with the request's context. It
	// may not wait.
	Heard func(context.Context, What, recording.Alert)
	// Tried is told what became of each try to deliver.
	Tried func(result string)
	// Pruned is told how many old alerts were deleted.
	Pruned func(n int64)
	// Retention is how long an alert is kept that needs nobody any more; 0: for ever.
	Retention time.Duration
}

// Alerts is safe for concurrent use.
type Alerts struct {
	o Options

	mu       sync.Mutex
	standing map[fault]*entry  // those whose fault isn't over, acknowledged or not
	open     map[fault]*entry  // those of them that wait for a person
	byID     map[string]*entry // the standing ones and those that aren't saved or delivered yet
	unheard  []news
	lost     int // raised beyond openMost since the last look
	watchers []chan *recording.Alert
	post     outbox

	saving sync.Mutex    // held over a write, so that an older state never follows a newer one
	failed bool          // the store couldn't be written
	wake   chan struct{} // something is to be saved, said or timed
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// fault is what one alert at a time is about: an attempt, or else an agent's account, a platform, or the server itself.
type fault struct {
	kind                     recording.AlertKind
	attempt, platform, agent string
}

func faultOf(a recording.Alert) fault {
	if a.Attempt != "" {
		return fault{kind: a.Kind, attempt: a.Attempt}
	}
	return fault{kind: a.Kind, platform: a.Platform, agent: a.Agent}
}

// entry is an alert with what is kept of it beside.
type entry struct {
	recording.Alert
	next            time.Time // when it is told again
	told, delivered int       // messages made of it, and the last one that the webhook took
	changed         time.Time
	edits, saved    int // changes, and how many of them are in the store
}

func (e *entry) unsaved() bool { return e.saved < e.edits }

// news is one thing to be said of an alert.
type news struct {
	ctx   context.Context
	what  What
	alert recording.Alert
}

// Open reads what a former run left and starts. What was due while nothing ran is told at once, and once.
func Open(ctx context.Context, o Options) (*Alerts, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Heard == nil {
		o.Heard = func(context.Context, What, recording.Alert) {}
	}
	if o.Tried == nil {
		o.Tried = func(string) {}
	}
	if o.Pruned == nil {
		o.Pruned = func(int64) {}
	}
	s := &Alerts{o: o, standing: map[fault]*entry{}, open: map[fault]*entry{}, byID: map[string]*entry{}, wake: make(chan struct{}, 1), post: outbox{wake: make(chan struct{}, 1)}}
	if err := s.load(ctx, time.Now().UTC()); err != nil {
		return nil, err
	}
	s.repeat(time.Now())
	ctx, s.cancel = context.WithCancel(context.Background())
	s.done.Go(func() { s.keep(ctx) })
	if o.Post != nil {
		s.done.Go(func() { s.deliver(ctx) })
	}
	return s, nil
}

// Close saves what is left and stops. What the webhook hasn't taken is delivered by the next run.
func (s *Alerts) Close() {
	s.cancel()
	s.done.Wait()
}

// Raise says that there is a fault. ID and RaisedAt may be left out. A fault that is known already stays one alert; a standing
// one (not of an attempt) that is raised in other words has changed, and is told again soon, or anew if it was acknowledged.
func (s *Alerts) Raise(a recording.Alert) {
	a = clean(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.standing[faultOf(a)]; ok {
		if a.Text == e.Text || e.Attempt != "" {
			return
		}
		if e.Open() {
			e.Text = a.Text
			if soon := time.Now().Add(repeats[0]); soon.Before(e.next) {
				e.next = soon
			}
			s.changed(e)
			s.show(e.Alert)
			return
		}
		// It was acknowledged as something else.
		s.over(e)
		s.post.remove(e)
		e.delivered = e.told
		s.changed(e)
	}
	if len(s.open) >= openMost || a.Agent != "" && s.openOf(a.Agent) >= openEach {
		s.lost++
		s.nudge()
		return
	}
	e := &entry{Alert: a, next: time.Now().Add(pause(0))}
	s.standing[faultOf(a)], s.open[faultOf(a)], s.byID[a.ID] = e, e, e
	s.tell(context.Background(), Raised, e)
}

// openOf is how many alerts of an agent wait for a person. The lock is held.
func (s *Alerts) openOf(agent string) (n int) {
	for _, e := range s.open {
		if e.Agent == agent {
			n++
		}
	}
	return n
}

// Settle says that the fault is over which such an alert is about: its kind and its attempt, or else its platform and agent,
// are looked at. It is told once, and no more. It is no mistake if there is none.
func (s *Alerts) Settle(a recording.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.standing[faultOf(clean(a))]; ok {
		s.over(e)
		s.tell(context.Background(), Settled, e)
	}
}

// over ends an alert. The lock is held.
func (s *Alerts) over(e *entry) {
	now := time.Now().UTC()
	e.SettledAt = &now
	delete(s.standing, faultOf(e.Alert))
	delete(s.open, faultOf(e.Alert))
}

// Ack records that someone has taken an alert in hand: it isn't told any more. One that needs nobody any more is returned as
// it is. It holds from now on; should the store fail for longer than this run, the next one tells the alert again.
func (s *Alerts) Ack(ctx context.Context, id, by string) (recording.Alert, error) {
	s.mu.Lock()
	e, ok := s.byID[id]
	if !ok {
		s.mu.Unlock()
		return s.stored(ctx, id)
	}
	if e.Open() {
		now := time.Now().UTC()
		e.AckedAt, e.AckedBy = &now, by
		delete(s.open, faultOf(e.Alert))
		s.tell(context.WithoutCancel(ctx), Acknowledged, e)
	}
	a := e.Alert
	s.mu.Unlock()
	if s.save(context.WithoutCancel(ctx)) != nil { // who acknowledges waits for it
		s.nudge()
	}
	return a, nil
}

// Unacknowledged are the alerts that wait for a person, oldest first: of an agent, or all if agent is empty.
func (s *Alerts) Unacknowledged(agent string) []recording.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []recording.Alert
	for _, e := range s.open {
		if agent == "" || e.Agent == agent {
			all = append(all, e.Alert)
		}
	}
	slices.SortFunc(all, func(a, b recording.Alert) int { return -newestFirst(a, b) })
	return all
}

// newestFirst orders alerts as the store's index does.
func newestFirst(a, b recording.Alert) int {
	return cmp.Or(b.RaisedAt.Compare(a.RaisedAt), strings.Compare(b.ID, a.ID))
}

// Count is how many alerts of a kind wait for a person.
func (s *Alerts) Count(kind recording.AlertKind) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.open {
		if f.kind == kind {
			n++
		}
	}
	return n
}

// Watch delivers every alert as it stands after each change; it is everyone's, to read only. Whoever falls behind has its channel
// closed.
func (s *Alerts) Watch() (<-chan *recording.Alert, func()) {
	w := make(chan *recording.Alert, newsMost)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, w)
	return w, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drop(w)
	}
}

func (s *Alerts) drop(w chan *recording.Alert) {
	if i := slices.Index(s.watchers, w); i >= 0 {
		s.watchers = slices.Delete(s.watchers, i, i+1)
		close(w)
	}
}

// show tells the watchers. The lock is held.
func (s *Alerts) show(a recording.Alert) {
	for _, w := range slices.Clone(s.watchers) {
		select {
		case w <- &a:
		default:
			s.drop(w)
		}
	}
}

// tell makes a message of what happened, for all who are to hear of it. The lock is held.
func (s *Alerts) tell(ctx context.Context, what What, e *entry) {
	e.told++
	if s.o.Post == nil {
		e.delivered = e.told
	} else {
		s.post.add(e)
	}
	s.unheard = append(s.unheard, news{ctx, what, e.Alert})
	s.show(e.Alert)
	s.changed(e)
}

// changed has an entry saved. The lock is held.
func (s *Alerts) changed(e *entry) {
	e.changed = time.Now().UTC()
	e.edits++
	s.nudge()
}

func (s *Alerts) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

const (
	// saveAgain is how long the store is left alone after it failed.
	saveAgain = 5 * time.Second
	// pruneEvery is how often old alerts are looked for.
	pruneEvery = 24 * time.Hour
)

// keep repeats what is due, saves what changed, and says what happened, until the end.
func (s *Alerts) keep(ctx context.Context) {
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	s.prune(ctx)
	for {
		next := s.repeat(time.Now())
		s.say()
		if err := s.save(ctx); err != nil {
			next = min(next, saveAgain)
		}
		timer := time.NewTimer(next)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-prune.C:
			s.prune(ctx)
		case <-ctx.Done():
			timer.Stop()
			last, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			s.say()
			s.save(last)
			return
		}
		timer.Stop()
	}
}

// repeat tells what is due once more, and returns how long nothing else is.
func (s *Alerts) repeat(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := pruneEvery
	for _, e := range s.open {
		if !e.next.After(now) {
			e.Repeated++
			e.next = now.Add(pause(e.Repeated))
			s.tell(context.Background(), Repeated, e)
		}
		next = min(next, e.next.Sub(now))
	}
	return next
}

// say writes what happened to the server's log and to whoever hears of it.
func (s *Alerts) say() {
	s.mu.Lock()
	unheard, lost := s.unheard, s.lost
	s.unheard, s.lost = nil, 0
	s.mu.Unlock()
	for _, n := range unheard {
		a, level := n.alert, slog.LevelInfo
		if a.Open() {
			level = slog.LevelError
		}
		s.o.Log.LogAttrs(n.ctx, level, "alert "+string(n.what), slog.String("alert", a.ID), slog.String("kind", string(a.Kind)), slog.String("agent", a.Agent),
			slog.String("platform", a.Platform), slog.String("call", a.Call), slog.String("attempt", a.Attempt), slog.String("text", a.Text),
			slog.Time("raised_at", a.RaisedAt), slog.Int("repeated", a.Repeated), slog.String("acked_by", a.AckedBy))
		s.o.Heard(n.ctx, n.what, a)
	}
	if lost > 0 {
		s.o.Log.Error("there are too many open alerts for more: acknowledge what is in hand", "not_raised", lost, "open", openMost)
	}
}

// clean fills in what was left out and takes away what may not be kept or sent on: card numbers and second lines.
func clean(a recording.Alert) recording.Alert {
	if a.ID == "" {
		a.ID = uuid.NewString()
	}
	if a.RaisedAt.IsZero() {
		a.RaisedAt = time.Now()
	}
	a.RaisedAt = a.RaisedAt.UTC().Truncate(time.Microsecond)
	a.Repeated, a.AckedAt, a.AckedBy, a.SettledAt = 0, nil, "", nil
	a.Agent, a.Platform, a.Attempt = line(a.Agent), line(a.Platform), line(a.Attempt)
	a.Call, a.Text = cardnumber.Mask(line(a.Call)), cardnumber.Mask(line(a.Text))
	return a
}

// line makes a bounded single line of a text.
func line(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r): // bidirectional overrides, zero widths
			return -1
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), maxText)], "")))
}
