package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"offrecord/app/panel"
	"offrecord/app/recording"
)

const (
	// doubleClick is the time in which a second press of the same button is the same press.
	doubleClick = 600 * time.Millisecond
	// defaultTimeout is the time an attempt has until nothing more is expected of it, where the server names none.
	defaultTimeout = 15 * time.Second
	// elsewhereTimeout bounds how long an attempt of another tab counts as under way: that tab may be gone, and a pause
	// that waits for it is worse than one that is sent twice.
	elsewhereTimeout = 5 * time.Second
	// announceTimeout is the time a resume waits to be written down before it isn't sent.
	announceTimeout = 5 * time.Second
	// requestTimeout is for every other request to our own server.
	requestTimeout = 10 * time.Second
	// listed is how many attempts the panel is given.
	listed = 20
)

// Controller is one panel's program.
type Controller struct {
	browser Browser
	server  Server
	ctx     context.Context // ends with Run
	routed  chan struct{}   // closed at the first answer, good or bad, to the question for the route
	told    chan struct{}   // closed at the first snapshot on the stream
	reopen  chan struct{}   // asks for a new stream

	mu       sync.Mutex
	view     panel.View          // as the server last said, without what is known here
	attempts []recording.Attempt // newest first: the server's, those of other tabs, and this one's
	said     map[string]bool     // those of which the server has said what became of them
	shots    map[string]*shot    // under way in this tab
	kept     map[string]*kept    // to be told to the server
	pressed  map[recording.Action]time.Time
	extended time.Time // when the open pause was last asked to be kept
	route    *Route
	noRoute  string // why the server gave no route
	clock    clock
	online   bool
	cookies  Cookies // as the browser said last: to ask it takes a press a moment
	live     bool
	heard    bool      // the server, on the stream, at least once
	heardAt  time.Time // the last time, by the monotonic clock
	reach    Reach
	asked    bool   // a probe has ended, well or badly
	answered bool   // the platform answered a probe at least once: the probe can be believed
	noFrames bool   // a policy refuses frames of the platform
	noPopup  bool   // the browser refused the last window
	noRecord bool   // a resume was refused because it couldn't be written down first
	notice   string // what couldn't be recorded
	detour   string // why the newest press took another route than the first
	wake     chan struct{}
	running  bool // Run was called
	warmed   warmth
	watchers map[int]func(panel.View)
	watcher  int
}

// New returns the controller of a panel that the server drew from initial.
func New(browser Browser, server Server, initial panel.View) *Controller {
	c := &Controller{
		browser: browser, server: server, view: initial,
		routed: make(chan struct{}), told: make(chan struct{}), reopen: make(chan struct{}, 1),
		said:  map[string]bool{},
		shots: map[string]*shot{}, kept: map[string]*kept{},
		pressed: map[recording.Action]time.Time{},
		wake:    make(chan struct{}), watchers: map[int]func(panel.View){},
		ctx:    context.Background(),
		online: browser.Online(), cookies: browser.Cookies(),
	}
	for _, a := range slices.Backward(initial.Attempts) {
		c.hearOf(a)
	}
	if a := initial.Snapshot.Attempt; a != nil {
		c.hearOf(*a)
	}
	if !initial.Now.IsZero() {
		c.clock.set(initial.Now)
	}
	return c
}

// Ask asks how the platform is reached until that is answered or ctx is done. From then on a press has its effect; all else
// is Run's, and can wait until the panel stands.
func (c *Controller) Ask(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	c.fetchRoute(ctx)
}

// Run follows the server and keeps the route warm until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	stop := c.browser.Listen(Listener{Heard: c.hear, Changed: c.changed, Slept: c.slept})
	defer stop()
	c.recover()
	c.mu.Lock()
	c.cookies = c.browser.Cookies() // which may have been found out before anyone listened
	if c.running = true; c.route != nil {
		c.prepare()
	}
	c.mu.Unlock()
	var work sync.WaitGroup
	work.Go(func() { c.follow(ctx) })
	work.Go(func() { c.keepWarm(ctx) })
	work.Wait()
}

// Routed is closed once the server has said, or failed to say, how the platform is reached. Until then a native button does
// more than a press here could.
func (c *Controller) Routed() <-chan struct{} { return c.routed }

// Told is closed once the stream has said how things stand. A native press made before it is in that, and not in the first
// view.
func (c *Controller) Told() <-chan struct{} { return c.told }

// Pause implements panel.Controller.
func (c *Controller) Pause() { c.press(recording.Pause, "", false) }

// Resume implements panel.Controller.
func (c *Controller) Resume() { c.press(recording.Resume, "", false) }

// ResumeWithoutRecord implements panel.Controller.
func (c *Controller) ResumeWithoutRecord() { c.press(recording.Resume, "", true) }

// declined is the reason of a pause that stands for the customer's refusal.
const declined = "customer declined"

// Decline implements panel.Controller. Where there is no server route the refusal is a pause that says why.
func (c *Controller) Decline() {
	c.mu.Lock()
	serves := c.route.serves(recording.DoNotRecord)
	c.mu.Unlock()
	if serves {
		c.press(recording.DoNotRecord, "", false)
	} else {
		c.press(recording.Pause, declined, false)
	}
}

// Attest implements panel.Controller: the newest pause was made by the agent in the platform's own screen.
func (c *Controller) Attest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.attempts, func(a recording.Attempt) bool { return a.Action.Silences() })
	if i < 0 || c.attempts[i].Outcome == recording.Confirmed || c.attempts[i].Outcome == recording.Attested {
		return
	}
	a := c.attempts[i]
	now := c.now()
	if s := c.shots[a.ID]; s != nil {
		c.finish(s)
	}
	a.Outcome, a.DecidedAt, a.Detail = recording.Attested, &now, ""
	a.Evidence = &recording.Evidence{Kind: recording.Word, AfterMS: int(now.Sub(a.RequestedAt) / time.Millisecond)}
	c.learn(a)
	delete(c.said, a.ID) // the server has yet to hear of it
	c.report(a)
	c.tell(a)
	c.show()
}

// Extend implements panel.Controller. A double click asks once.
func (c *Controller) Extend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := c.view.Snapshot.Pause
	if pause == "" || !c.extended.IsZero() && time.Since(c.extended) < doubleClick {
		return
	}
	c.extended = time.Now()
	was := c.view.Snapshot.AutoResumeAt // at the press: the stream may tell of it before the answer does
	go func() {
		ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
		defer cancel()
		snapshot, err := c.server.Extend(ctx, pause)
		c.mu.Lock()
		defer c.mu.Unlock()
		defer c.show()
		var problem *Problem
		switch {
		case err == nil:
			c.notice = ""
			if was != nil && snapshot.AutoResumeAt != nil && was.Equal(*snapshot.AutoResumeAt) {
				c.notice = "It is kept already. Press again when that time has begun."
			}
			if !snapshot.AsOf.Before(c.view.Snapshot.AsOf) { // the stream may have been quicker
				c.view.Snapshot = snapshot
			}
		case errors.As(err, &problem) && problem.Detail != "":
			c.notice = "The time was not extended: " + problem.Detail
		default:
			c.notice = "The time was not extended: offrecord's server can't be reached. Press Keep paused again."
		}
	}()
}

// Intent implements panel.Controller.
func (c *Controller) Intent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warm(intentGap)
}

// Watch implements panel.Controller. show may not call the controller.
func (c *Controller) Watch(show func(panel.View)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watcher++
	id := c.watcher
	c.watchers[id] = show
	show(c.draw())
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

// show draws for everyone who watches. The caller holds the lock, so that no older view comes after a newer one.
func (c *Controller) show() {
	if len(c.watchers) == 0 {
		return
	}
	view := c.draw()
	for _, show := range c.watchers {
		show(view)
	}
}

// clock is the server's, as far as it was told. In between it goes by the browser's monotonic clock, because the one on the
// wall may be set, and be wrong.
type clock struct{ server, taken time.Time }

func (c *clock) set(server time.Time) { c.server, c.taken = server.Round(0), time.Now() }

func (c *clock) now() time.Time {
	if c.taken.IsZero() {
		return time.Now().UTC().Round(0)
	}
	return c.server.Add(time.Since(c.taken)).UTC()
}

// now is the server's clock as far as it is known, and never before an attempt that is known already: the newest intention
// has to be the newest on the server, too.
func (c *Controller) now() time.Time {
	now := c.clock.now()
	if len(c.attempts) > 0 && !now.After(c.attempts[0].RequestedAt) {
		now = c.attempts[0].RequestedAt.Add(time.Millisecond)
	}
	return now
}

// learn puts what is known of an attempt in its place. A settled attempt isn't unsettled by older news, and none changes its
// place: the server stamps an order when it arrives, which may be after a newer press here.
func (c *Controller) learn(a recording.Attempt) {
	if i := slices.IndexFunc(c.attempts, func(x recording.Attempt) bool { return x.ID == a.ID }); i >= 0 {
		if was := c.attempts[i]; !was.Settled() || a.Settled() {
			a.RequestedAt = was.RequestedAt
			if held(was) && held(a) && was.Detail != "" { // only who held it back knows why
				a.Detail = was.Detail
			}
			c.attempts[i] = a
		}
		return
	}
	at, _ := slices.BinarySearchFunc(c.attempts, a, func(x, y recording.Attempt) int {
		return cmp.Or(y.RequestedAt.Compare(x.RequestedAt), 1)
	})
	c.attempts = slices.Insert(c.attempts, at, a)
	if len(c.attempts) > 2*listed {
		for _, old := range c.attempts[2*listed:] {
			delete(c.said, old.ID)
		}
		c.attempts = slices.Delete(c.attempts, 2*listed, len(c.attempts))
	}
}

func held(a recording.Attempt) bool {
	return a.Settled() && a.Outcome == recording.Failed && a.Evidence != nil && a.Evidence.Kind == recording.Held
}

// newest reports whether no attempt was asked for after id.
func (c *Controller) newest(id string) bool { return len(c.attempts) > 0 && c.attempts[0].ID == id }

// repeats reports whether a press asks for what is under way already, here or in another tab.
func (c *Controller) repeats(action recording.Action, reason string) bool {
	if len(c.attempts) == 0 {
		return time.Since(c.pressed[action]) < doubleClick
	}
	a := c.attempts[0]
	if a.Action != action || a.Reason != reason {
		return false
	}
	if time.Since(c.pressed[action]) < doubleClick {
		return true
	}
	if a.Settled() {
		return false
	}
	if _, ours := c.shots[a.ID]; ours {
		return true
	}
	age := c.clock.now().Sub(a.RequestedAt)
	return age < min(elsewhereTimeout, c.timeout())
}

func (c *Controller) timeout() time.Duration {
	if c.route != nil && c.route.AttemptTimeoutMS > 0 {
		// A little less than the server's own, which hears nothing: what this browser saw is to come before that.
		return time.Duration(c.route.AttemptTimeoutMS) * time.Millisecond * 19 / 20
	}
	return defaultTimeout
}

// transport is how the session route is taken now. It is known without asking anyone, because a window opens only inside
// the press.
func (c *Controller) transport() recording.Transport {
	if c.route != nil && c.route.Session != nil {
		switch t := c.route.Session.Transport; t {
		case recording.TransportIframe, recording.TransportPopup:
			return t
		}
	}
	if c.noFrames || c.cookies == CookiesBlocked {
		return recording.TransportPopup
	}
	return recording.TransportIframe
}

// session is the session route, or a sentence that says why there is none.
func (c *Controller) session() (*SessionRoute, string) {
	switch {
	case c.noRoute != "":
		return nil, c.noRoute
	case c.route == nil:
		return nil, "offrecord doesn't know yet how to reach the platform. Reload the page."
	case !c.route.carries(recording.Pause):
		return nil, "This account's platform can't be reached from the browser. Ask your administrator."
	}
	return c.route.Session, ""
}

// way is the route that an action takes: the first of the account's that can carry it. Where the two are combined a pause is
// fired here and a resume goes by the server.
func (c *Controller) way(action recording.Action) recording.Route {
	switch r := c.route; {
	case r == nil || !r.serves(action):
		return recording.RouteSession
	case !r.carries(action):
		return recording.RouteServer
	case r.Combine && action.Silences():
		return recording.RouteSession
	case r.Combine:
		return recording.RouteServer
	default:
		return r.Routes[0]
	}
}

// press is what a button asks for.
func (c *Controller) press(action recording.Action, reason string, unrecorded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.show()
	if !unrecorded && c.repeats(action, reason) {
		c.retry() // of what the server hasn't heard
		return
	}
	c.pressed[action] = time.Now()
	c.noRecord, c.notice, c.detour = false, "", ""
	c.begin(c.way(action), asked{action: action, origin: recording.Hand, reason: reason}, unrecorded)
	c.warmed.used()
}

// begin starts an attempt. By the session route a pause fires before anything else is done, and a resume is written down
// first; the server route's order does both at once.
func (c *Controller) begin(route recording.Route, by asked, unrecorded bool) *shot {
	action := by.action
	shown := c.overlay()
	s := &shot{
		begun:  time.Now(),
		before: shown.State,
		last:   by.last,
		attempt: recording.Attempt{
			ID: uuid.NewString(), Action: action, Agent: c.view.Agent, Platform: c.view.Platform, Call: shown.Call,
			Route: route, Origin: by.origin, Reason: by.reason, RequestedAt: c.now(),
		},
	}
	c.outdate(action)
	c.chase(s)
	c.shots[s.attempt.ID] = s
	switch {
	case route == recording.RouteServer:
		c.learn(s.attempt)
		c.order(s, unrecorded)
	case action.Silences() || unrecorded:
		s.attempt.Transport = c.transport()
		c.learn(s.attempt)
		c.fire(s)
		c.announce(s, unrecorded)
	default:
		s.attempt.Transport = c.transport()
		c.learn(s.attempt)
		c.announceFirst(s)
	}
	if known, ok := c.known(s.attempt.ID); ok {
		c.tell(known)
	}
	return s
}

// asked is what an attempt is made for.
type asked struct {
	action recording.Action
	origin recording.Origin
	reason string
	// last: it is asked for by this way because the other one failed, so there is none left.
	last bool
}

// askedFor is what an attempt was made for, to ask for it once more.
func askedFor(a recording.Attempt) asked {
	return asked{action: a.Action, origin: a.Origin, reason: a.Reason}
}

func (c *Controller) known(id string) (recording.Attempt, bool) {
	i := slices.IndexFunc(c.attempts, func(a recording.Attempt) bool { return a.ID == id })
	if i < 0 {
		return recording.Attempt{}, false
	}
	return c.attempts[i], true
}
