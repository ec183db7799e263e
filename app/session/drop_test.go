package session_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/app/session"
)

// breakage is how a connection with our server ends.
type breakage string

const (
	refused   breakage = "refused"   // every request fails at once, and the stream says that it broke
	mute      breakage = "mute"      // nothing comes or goes, and nobody says so; what was on its way goes on afterwards
	unplugged breakage = "unplugged" // refused, and the browser knows
)

// Of the far side: half a round trip, and what the platform takes.
const (
	halfTrip      = 20 * time.Millisecond
	platformTakes = 300 * time.Millisecond
)

// far is offrecord's server as its own timeline has it, at the end of a connection that breaks.
type far struct {
	route session.Route

	mu      sync.Mutex
	line    recording.Timeline
	broken  breakage
	changed chan struct{} // closed when broken changes
	streams map[*stream]bool
	settled map[string]chan struct{}
}

// stream is an event stream: what is said on it comes in order, or is lost with it.
type stream struct {
	told  func(session.Event)
	open  bool // the browser has it, and it isn't lost
	queue []session.Event
	more  chan struct{}
}

// say puts events on their way. The caller holds the lock.
func (s *stream) say(events ...session.Event) {
	if !s.open {
		return
	}
	s.queue = append(s.queue, events...)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func newFar(route session.Route) *far {
	return &far{route: route, changed: make(chan struct{}), streams: map[*stream]bool{}, settled: map[string]chan struct{}{}}
}

func (f *far) set(b breakage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = b
	close(f.changed)
	f.changed = make(chan struct{})
	for s := range f.streams {
		switch {
		case b == "" && !s.open:
			s.open = true
			s.say(session.Event{Snapshot: f.snapshot()})
		case b != "" && b != mute && s.open:
			s.open, s.queue = false, nil
			go s.told(session.Event{Lost: true})
		}
	}
}

// cross is one way over the connection.
func (f *far) cross(ctx context.Context) error {
	for arrival := time.Now().Add(halfTrip); ; {
		f.mu.Lock()
		broken, changed := f.broken, f.changed
		f.mu.Unlock()
		left := time.Until(arrival)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case broken == mute:
			left = time.Hour
		case broken != "":
			return errDown
		case left <= 0:
			return nil
		}
		select {
		case <-time.After(left):
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// publish tells all streams of an attempt. The caller holds the lock.
func (f *far) publish(a recording.Attempt) {
	for s := range f.streams {
		s.say(session.Event{Attempt: &a}, session.Event{Snapshot: f.snapshot()})
	}
}

// deliver brings what is said on a stream to the browser, until ctx is done.
func (f *far) deliver(ctx context.Context, s *stream) {
	beat := time.NewTicker(5 * time.Second)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			f.mu.Lock()
			s.say(session.Event{Beat: time.Now()})
			f.mu.Unlock()
		case <-s.more:
		}
		f.mu.Lock()
		queue := s.queue
		s.queue = nil
		f.mu.Unlock()
		if len(queue) == 0 || f.cross(ctx) != nil {
			continue
		}
		for _, e := range queue {
			f.mu.Lock()
			open := f.streams[s] && s.open
			f.mu.Unlock()
			if open {
				s.told(e)
			}
		}
	}
}

// snapshot is what the server knows. The caller holds the lock.
func (f *far) snapshot() *recording.Snapshot {
	s := &recording.Snapshot{Agent: "bill@acme.example", Platform: "acme", AsOf: time.Now().UTC(), Holds: f.line.Holds(), Ready: true}
	s.State, s.Since = f.line.State()
	if a, ok := f.line.Newest(); ok {
		s.Attempt = &a
	}
	return s
}

// decide settles an attempt. The caller holds the lock.
func (f *far) decide(id string, outcome recording.Outcome, kind recording.EvidenceKind) recording.Attempt {
	a, err := f.line.Decide(id, outcome, &recording.Evidence{Kind: kind}, "", time.Now().UTC(), true)
	if err != nil {
		return a
	}
	close(f.settled[id])
	f.publish(a)
	return a
}

// take puts an attempt into the line, once.
func (f *far) take(a recording.Attempt, settle time.Duration, outcome recording.Outcome, kind recording.EvidenceKind) <-chan struct{} {
	if known, ok := f.settled[a.ID]; ok {
		return known
	}
	a.Agent, a.Platform = "bill@acme.example", "acme"
	a, _ = f.line.Add(a)
	f.settled[a.ID] = make(chan struct{})
	f.publish(a)
	time.AfterFunc(settle, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.decide(a.ID, outcome, kind)
	})
	return f.settled[a.ID]
}

func (f *far) Act(ctx context.Context, o session.Order) (recording.Attempt, error) {
	if err := f.cross(ctx); err != nil {
		return recording.Attempt{}, err
	}
	f.mu.Lock()
	settled := f.take(recording.Attempt{ID: o.ID, Action: o.Action, Route: recording.RouteServer, Origin: o.Origin, Reason: o.Reason, RequestedAt: time.Now().UTC()},
		platformTakes, recording.Confirmed, recording.Reported)
	changed := f.changed
	f.mu.Unlock()
	for waiting := true; waiting; { // a connection that is reset takes the answer with it
		select {
		case <-settled:
			waiting = false
		case <-ctx.Done():
			return recording.Attempt{}, ctx.Err()
		case <-changed:
			f.mu.Lock()
			broken := f.broken
			changed = f.changed
			f.mu.Unlock()
			if broken != "" && broken != mute {
				return recording.Attempt{}, errDown
			}
		}
	}
	return f.ask(ctx, o.ID)
}

func (f *far) ask(ctx context.Context, id string) (recording.Attempt, error) {
	f.mu.Lock()
	a, ok := f.line.Attempt(id)
	f.mu.Unlock()
	if err := f.cross(ctx); err != nil {
		return recording.Attempt{}, err
	}
	if !ok {
		return a, &session.Problem{Status: 404, Code: "invalid"}
	}
	return a, nil
}

func (f *far) Attempt(ctx context.Context, id string) (recording.Attempt, error) {
	if err := f.cross(ctx); err != nil {
		return recording.Attempt{}, err
	}
	return f.ask(ctx, id)
}

func (f *far) Attempts(ctx context.Context, _ int) ([]recording.Attempt, error) {
	if err := f.cross(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	all := f.line.Attempts()
	f.mu.Unlock()
	return all, f.cross(ctx)
}

func (f *far) Announce(ctx context.Context, a session.Announcement) (recording.Attempt, error) {
	if err := f.cross(ctx); err != nil {
		return recording.Attempt{}, err
	}
	f.mu.Lock()
	attempt := recording.Attempt{ID: a.ID, Action: a.Action, Route: recording.RouteSession, Transport: a.Transport, Origin: a.Origin, RequestedAt: a.RequestedAt}
	if f.route.Combine {
		f.take(attempt, platformTakes, recording.Confirmed, recording.Reported)
	} else {
		f.take(attempt, 15*time.Second, recording.Unknown, recording.Silence)
	}
	f.mu.Unlock()
	return f.ask(ctx, a.ID)
}

func (f *far) Report(ctx context.Context, id string, r session.Report) error {
	if err := f.cross(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	_, ok := f.settled[id]
	if ok && !f.route.Combine { // else the server's word is still to come, or was said
		f.decide(id, r.Outcome, r.Evidence.Kind)
	}
	f.mu.Unlock()
	if !ok {
		return &session.Problem{Status: 404, Code: "invalid"}
	}
	return f.cross(ctx)
}

func (f *far) Route(ctx context.Context) (session.Route, error) { return f.route, f.cross(ctx) }

func (f *far) Extend(context.Context, string) (recording.Snapshot, error) { panic("not asked here") }

func (f *far) Events(told func(session.Event)) (stop func()) {
	s := &stream{told: told, more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams[s] = true
	if f.broken == "" || f.broken == mute {
		s.open = true
		s.say(session.Event{Snapshot: f.snapshot()})
	} else {
		go told(session.Event{Lost: true})
	}
	go f.deliver(ctx, s)
	return sync.OnceFunc(func() {
		cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.streams, s)
	})
}

// TestAConnectionThatDropsAroundAPress: wherever a connection breaks, and however, the panel ends at what the server knows
// when it is back, and a further press ends as one that nothing disturbed.
func TestAConnectionThatDropsAroundAPress(t *testing.T) {
	accounts := map[string]func(*server){
		"by the server alone": byServer,
		"by the server, or else the browser": func(s *server) {
			byBoth(s)
			s.route.Routes = []recording.Route{recording.RouteServer, recording.RouteSession}
		},
		"by the browser, or else the server": byBoth,
		"by the browser alone":               func(*server) {},
		"by both":                            func(s *server) { byBoth(s); s.route.Combine = true },
	}
	// Since the press; the request arrives after 20 ms, the platform has acted after 320, and its answer is back after 340.
	points := []time.Duration{-time.Second, 10 * time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond, 330 * time.Millisecond, 350 * time.Millisecond}
	lengths := []time.Duration{15 * time.Millisecond, 200 * time.Millisecond, 3 * time.Second, 9 * time.Second, 25 * time.Second, 2 * time.Minute}
	for account, prepare := range accounts {
		for _, how := range []breakage{refused, mute, unplugged} {
			for _, point := range points {
				for _, length := range lengths {
					t.Run(fmt.Sprintf("%s/%s at %s for %s", account, how, point, length), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							dummy := newServer()
							prepare(dummy)
							b, f := newBrowser(), newFar(dummy.route)
							b.loads = 30 * time.Millisecond
							tab := openAt(t, b, f, f.snapshot())
							wait(time.Second)
							drop := func() {
								b.set(func() { b.offline = how == unplugged })
								f.set(how)
								b.listener.Changed()
							}
							if point < 0 {
								drop()
								wait(-point)
								tab.Pause()
							} else {
								tab.Pause()
								wait(point)
								drop()
							}
							wait(length)
							b.set(func() { b.offline = false })
							f.set("")
							b.listener.Changed()
							wait(time.Minute)
							f.agrees(t, tab)
							f.mu.Lock()
							made := len(f.line.Attempts())
							f.mu.Unlock()
							if made > 2 || len(b.did()) > 2 {
								t.Errorf("one press became %d attempts; the browser did %q", made, b.did())
							}
							tab.Pause()
							wait(time.Minute)
							f.agrees(t, tab)
							if want := f.undisturbed(); tab.shown().Snapshot.State != want {
								t.Errorf("a press after it ends at %q, want %q", tab.shown().Snapshot.State, want)
							}
						})
					})
				}
			}
		}
	}
}

// undisturbed is the state after a pause on an account where nothing goes wrong.
func (f *far) undisturbed() recording.State {
	if f.route.Routes[0] == recording.RouteServer || f.route.Combine {
		return recording.Paused
	}
	return recording.StateUnknown
}

// agrees holds the panel against the server.
func (f *far) agrees(t *testing.T, tab *tab) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	v := tab.shown()
	anew := v // as a panel that is opened now has it, but for what never reached the server
	anew.Snapshot, anew.Attempts = *f.snapshot(), f.line.Attempts()
	if a := v.Attempts[0]; f.settled[a.ID] == nil {
		anew.Attempts = slices.Insert(anew.Attempts, 0, a)
		if a.Outcome != recording.Failed {
			t.Errorf("it never reached the server: %+v", a)
		}
	}
	if got, want := panel.Say(v), panel.Say(anew); v.Link != panel.Live || v.Snapshot.State != anew.Snapshot.State || got.State != want.State || got.Outcome != want.Outcome {
		t.Errorf("shown: %s, %q, as %q, %q; a panel opened now has %q, %q, %q", v.Link, v.Snapshot.State, got.Headline, got.Outcome, anew.Snapshot.State, want.Headline, want.Outcome)
	}
	shown := map[string]recording.Attempt{}
	for _, a := range v.Attempts {
		shown[a.ID] = a
		if !a.Settled() {
			t.Errorf("still waited for: %+v", a)
		}
	}
	for _, a := range f.line.Attempts() {
		if shown[a.ID].Outcome != a.Outcome {
			t.Errorf("shown as %q: %+v", shown[a.ID].Outcome, a)
		}
	}
	if t.Failed() {
		for _, a := range v.Attempts {
			t.Logf("shown: %s by %s at %s: %q, %s", a.Action, a.Route, a.RequestedAt.Format("05.000"), a.Outcome, a.Detail)
		}
		for _, a := range f.line.Attempts() {
			t.Logf("known: %s by %s at %s: %q", a.Action, a.Route, a.RequestedAt.Format("05.000"), a.Outcome)
		}
	}
}
