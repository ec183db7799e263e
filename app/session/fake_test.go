package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/app/session"
)

// browser is a browser that writes down what it is asked for.
type browser struct {
	mu       sync.Mutex
	log      []string // "frame pause", "window resume", "go resume", "warm", in order
	offline  bool
	hidden   bool
	cookies  session.Cookies
	blocked  bool // windows
	reach    session.Reach
	loads    time.Duration // after which each frame fires load; 0: when the test says so
	reached  int           // how often it was asked whether the platform answers
	frames   []*frame
	windows  []*window
	store    map[string]string
	listener session.Listener
	others   []*browser // tabs of the same browser
}

type frame struct {
	target  session.Target
	tell    func(session.Signal)
	removed bool
}

type window struct {
	b      *browser
	action recording.Action
	target *session.Target
	closed bool
}

func newBrowser() *browser {
	return &browser{cookies: session.CookiesAllowed, reach: session.Reached, store: map[string]string{}}
}

func (b *browser) note(format string, args ...any) {
	b.log = append(b.log, fmt.Sprintf(format, args...))
}

func actionOf(t session.Target) string {
	if t.Post {
		return t.Fields.Get("action")
	}
	_, rest, _ := strings.Cut(t.URL, "action=")
	action, _, _ := strings.Cut(rest, "&")
	return action
}

func (b *browser) Frame(t session.Target, tell func(session.Signal)) func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("frame %s", actionOf(t))
	f := &frame{target: t, tell: tell}
	b.frames = append(b.frames, f)
	if b.loads > 0 {
		time.AfterFunc(b.loads, func() { tell(session.Signal{}) })
	}
	return func() { f.removed = true }
}

func (b *browser) Window(a recording.Action) session.Window {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blocked {
		b.note("blocked %s", a)
		return nil
	}
	b.note("window %s", a)
	w := &window{b: b, action: a}
	b.windows = append(b.windows, w)
	return w
}

func (w *window) Go(t session.Target) error {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	w.b.note("go %s", actionOf(t))
	w.target = &t
	return nil
}

func (w *window) Closed() bool {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	return w.closed
}

func (w *window) Close() {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	w.closed = true
}

func (b *browser) Warm(string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("warm")
}

func (b *browser) Reach(_ string, told func(session.Reach)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reached++
	go told(b.reach)
}

func (b *browser) Online() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.offline
}

func (b *browser) Visible() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.hidden
}

func (b *browser) Cookies() session.Cookies {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cookies
}

func (b *browser) Keep(key, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store[key] = value
}

func (b *browser) Forget(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.store, key)
}

func (b *browser) Kept(prefix string) map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := maps.Clone(b.store)
	maps.DeleteFunc(kept, func(k, _ string) bool { return !strings.HasPrefix(k, prefix) })
	return kept
}

func (b *browser) Tell(message string) {
	for _, other := range b.others {
		go other.listener.Heard(message)
	}
}

func (b *browser) Listen(l session.Listener) func() {
	b.listener = l
	return func() {}
}

// set changes the browser.
func (b *browser) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// did is what was sent, without the warming.
func (b *browser) did() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.log), func(s string) bool { return s == "warm" })
}

func (b *browser) count(what string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.log {
		if s == what {
			n++
		}
	}
	return n
}

// server is offrecord's own, as far as a browser sees it.
type server struct {
	mu        sync.Mutex
	route     session.Route
	down      bool          // nothing answers
	slow      time.Duration // before an announcement is answered
	refusal   *session.Problem
	outcome   recording.Outcome // of every new attempt
	said      []string          // "announce pause", "report sent frame_load"
	attempts  map[string]recording.Attempt
	bodies    map[string]session.Announcement
	forgets   bool // has lost what it was told
	act       func(context.Context, session.Order) (recording.Attempt, error)
	orders    []session.Order // in the order in which they arrived
	asked     int             // how often what became of one
	stream    func(session.Event)
	streams   int  // opened so far
	mute      bool // the stream is dead without knowing it
	extended  *recording.Snapshot
	meanwhile func()        // called while an extension is asked for
	behind    time.Duration // its clock, against this computer's
}

func newServer() *server {
	return &server{
		route: session.Route{Platform: "acme", Kind: "8x8", Routes: []recording.Route{recording.RouteSession}, AttemptTimeoutMS: 15000,
			Session: &session.SessionRoute{URL: "https://vcc.example/AGUI/controlRecording.php", Token: "t0k&n", Method: "GET", Transport: recording.TransportAuto,
				WarmURL: "https://vcc.example/favicon.ico"}},
		attempts: map[string]recording.Attempt{}, bodies: map[string]session.Announcement{},
	}
}

var errDown = errors.New("failed to fetch")

func (s *server) Route(context.Context) (session.Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return session.Route{}, errDown
	}
	return s.route, nil
}

func (s *server) Attempts(context.Context, int) ([]recording.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != nil && s.refusal.Status == 401 {
		return nil, s.refusal
	}
	return slices.Collect(maps.Values(s.attempts)), nil
}

func (s *server) Announce(ctx context.Context, a session.Announcement) (recording.Attempt, error) {
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return recording.Attempt{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return recording.Attempt{}, errDown
	}
	if s.refusal != nil {
		return recording.Attempt{}, s.refusal
	}
	if before, again := s.bodies[a.ID]; again && before != a {
		return recording.Attempt{}, &session.Problem{Status: 409, Code: "id_reused"}
	}
	s.said = append(s.said, "announce "+string(a.Action))
	s.bodies[a.ID] = a
	s.attempts[a.ID] = recording.Attempt{ID: a.ID, Action: a.Action, Agent: "bill@acme.example", Platform: "acme", Transport: a.Transport,
		Origin: a.Origin, RequestedAt: a.RequestedAt, Outcome: s.outcome}
	return s.attempts[a.ID], nil
}

func (s *server) Report(_ context.Context, id string, r session.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if s.forgets {
		s.forgets = false
		return &session.Problem{Status: 404}
	}
	said := "report " + string(r.Outcome)
	if r.Evidence != nil {
		said += " " + string(r.Evidence.Kind)
	}
	s.said = append(s.said, said)
	return nil
}

func (s *server) Act(ctx context.Context, o session.Order) (recording.Attempt, error) {
	s.mu.Lock()
	s.orders = append(s.orders, o)
	act := s.act
	s.mu.Unlock()
	if act == nil {
		<-ctx.Done()
		return recording.Attempt{}, ctx.Err()
	}
	return act(ctx, o)
}

func (s *server) Attempt(_ context.Context, id string) (recording.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.down {
		return recording.Attempt{}, errDown
	}
	if a, ok := s.attempts[id]; ok {
		return a, nil
	}
	return recording.Attempt{}, &session.Problem{Status: 404, Code: "invalid"}
}

func (s *server) Extend(_ context.Context, pause string) (recording.Snapshot, error) {
	if s.meanwhile != nil {
		s.meanwhile()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, "extend "+pause)
	if s.down {
		return recording.Snapshot{}, errDown
	}
	if s.refusal != nil {
		return recording.Snapshot{}, s.refusal
	}
	return *s.extended, nil
}

func (s *server) Events(told func(session.Event)) func() {
	s.mu.Lock()
	s.stream = told
	s.streams++
	down := s.down
	s.mu.Unlock()
	if down {
		go told(session.Event{Lost: true, Ended: true})
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		told(session.Event{Snapshot: s.snapshot()})
		beat := time.NewTicker(5 * time.Second)
		defer beat.Stop()
		for {
			select {
			case <-done:
				return
			case <-beat.C:
				s.mu.Lock()
				mute := s.mute
				s.mu.Unlock()
				if !mute {
					told(session.Event{Beat: s.clock()})
				}
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

func (s *server) snapshot() *recording.Snapshot {
	return &recording.Snapshot{Agent: "bill@acme.example", Platform: "acme", State: recording.StateUnknown, AsOf: s.clock(), Ready: true}
}

func (s *server) clock() time.Time { return time.Now().UTC().Add(-s.behind) }

func (s *server) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said)
}

// tab is a controller with its surroundings, ready for a press.
type tab struct {
	*session.Controller
	b *browser
	s *server

	mu sync.Mutex
	v  panel.View // the last one shown
}

// shown is the view as it is now.
func (t *tab) shown() panel.View {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.v
}

// set changes the surroundings.
func (t *tab) set(change func(*browser, *server)) {
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	change(t.b, t.s)
}

// open runs a controller for the length of the test's bubble. With it every wait ends: the clock is the bubble's.
func open(t *testing.T, b *browser, s *server) *tab {
	t.Helper()
	tab := openAt(t, b, s, s.snapshot())
	tab.s = s
	return tab
}

func openAt(t *testing.T, b *browser, s session.Server, drawn *recording.Snapshot) *tab {
	t.Helper()
	v := panel.View{Agent: "bill@acme.example", Platform: "acme", PlatformKind: "8x8", Link: panel.Live, Snapshot: *drawn, Now: drawn.AsOf}
	tab := &tab{Controller: session.New(b, s, v), b: b}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		var work sync.WaitGroup
		work.Go(func() { tab.Ask(ctx) })
		work.Go(func() { tab.Run(ctx) })
		work.Wait()
		close(done)
	}()
	stop := tab.Watch(func(v panel.View) {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		tab.v = v
	})
	t.Cleanup(func() {
		stop()
		cancel()
		<-done
	})
	synctest.Wait()
	return tab
}

// wait lets d pass and everything settle.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// load makes the newest frame fire load.
func (t *tab) load() { t.signal(session.Signal{}) }

func (t *tab) signal(sig session.Signal) {
	t.b.frames[len(t.b.frames)-1].tell(sig)
	synctest.Wait()
}

// last is the newest attempt's outcome and evidence, as the panel shows it.
func (t *tab) last() string {
	attempts := t.shown().Attempts
	if len(attempts) == 0 {
		return ""
	}
	a := attempts[0]
	said := string(a.Action) + " " + string(a.Outcome)
	if a.Evidence != nil {
		said += " " + string(a.Evidence.Kind)
	}
	return said
}
