package session

import (
	"context"
	"errors"
	"time"

	"offrecord/app/recording"
)

// popupLook is how often a popup is looked at. It closed 60 to 100 ms after its request where that was measured.
const popupLook = 25 * time.Millisecond

// shot is an attempt under way in this tab.
type shot struct {
	attempt recording.Attempt
	before  recording.State // what was shown when it was asked for
	begun   time.Time       // by the monotonic clock
	fired   bool
	after   *shot              // an older, opposite shot in flight: this one is fired once more when that has settled
	chased  bool               // a pause was asked of the server while this resume was in flight: it is asked once more when this has settled
	dropped bool               // it was given up, and not for want of a way
	last    bool               // no other way is left if this one fails
	taken   bool               // the server knows of it
	seenAs  *recording.Attempt // what this browser saw of it, where the server's word is still to come
	window  Window
	remove  func()      // of the frame
	timer   *time.Timer // of the deadline
	seen    int         // counts the frames and windows, so that a signal of an earlier one is known as such
}

// end lets go of everything the shot holds of the browser. A popup that is open stays open: it shows the platform's page.
func (s *shot) end() {
	s.seen++
	if s.remove != nil {
		s.remove()
		s.remove = nil
	}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// outdate gives up what hasn't left yet and is no longer wanted.
func (c *Controller) outdate(by recording.Action) {
	for _, s := range c.shots {
		if !s.fired && s.attempt.Action != by {
			c.drop(s, "A newer press came before it was sent.")
		}
	}
}

// drop settles a shot that was never sent.
func (c *Controller) drop(s *shot, why string) {
	if s.window != nil {
		s.window.Close()
	}
	s.dropped = true
	c.settle(s, recording.Failed, recording.Held, why)
}

// chase remembers a pause that is asked for while an older resume is in flight, where the server can't put them in order
// because it doesn't see both.
func (c *Controller) chase(pause *shot) {
	if !pause.attempt.Action.Silences() {
		return
	}
	for _, s := range c.shots {
		switch {
		case !s.fired || s.attempt.Action.Silences():
		case pause.attempt.Route == recording.RouteSession && (s.attempt.Route == recording.RouteSession || !c.route.Combine):
			pause.after = s
		case pause.attempt.Route == recording.RouteServer && s.attempt.Route == recording.RouteSession:
			s.chased = true
		}
	}
}

// fire sends a shot now. It is called inside the press, or, for a resume, when the server has written it down.
func (c *Controller) fire(s *shot) {
	route, why := c.session()
	if route == nil {
		c.settle(s, recording.Failed, recording.Held, why)
		return
	}
	target, err := route.target(s.attempt.Action)
	if err != nil {
		c.settle(s, recording.Failed, recording.Held, err.Error())
		return
	}
	if !c.browser.Online() {
		c.settle(s, recording.Failed, recording.Offline, "This computer is offline. Nothing was sent.")
		return
	}
	s.seen++
	shot := s.seen
	if s.attempt.Transport == recording.TransportPopup {
		if s.window == nil && !c.open(s) {
			return
		}
		if s.window.Closed() {
			s.dropped = !s.attempt.Action.Silences() // by a person, who may have thought better of it
			c.settle(s, recording.Failed, recording.PopupClosed, "The small window was closed before anything was sent.")
			return
		}
		if err := s.window.Go(target); err != nil {
			c.settle(s, recording.Failed, recording.Held, "The small window couldn't be used. Nothing was sent.")
			return
		}
		go c.look(s, shot, s.window)
	} else {
		s.remove = c.browser.Frame(target, func(sig Signal) { c.saw(s, shot, target, sig) })
	}
	s.fired = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(c.timeout(), func() { c.expire(s, shot) })
}

// open opens the shot's window, or settles the shot.
func (c *Controller) open(s *shot) bool {
	s.window = c.browser.Window(s.attempt.Action)
	c.noPopup = s.window == nil
	if c.noPopup {
		c.settle(s, recording.Failed, recording.Blocked, "The browser blocked the small window. Allow pop-ups for this page, then press again.")
	}
	return !c.noPopup
}

// look watches a window until it is gone or no longer of interest.
func (c *Controller) look(s *shot, seen int, w Window) {
	tick := time.NewTicker(popupLook)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		if s.seen != seen {
			c.mu.Unlock()
			return
		}
		if w.Closed() {
			c.settle(s, recording.Accepted, recording.PopupClosed, "")
			c.show()
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// saw is what a frame shows.
func (c *Controller) saw(s *shot, seen int, target Target, sig Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.seen != seen {
		return
	}
	if sig.Refused {
		if refusedBeforeSending(sig.Policy, sig.Directive, target.URL) {
			c.noFrames = true
			c.settle(s, recording.Failed, recording.CSP, "This page isn't allowed to reach the platform. Nothing was sent: ask your administrator.")
		} else {
			// It left, and the platform pointed somewhere else, most likely to its log-in page.
			c.settle(s, recording.Unknown, recording.CSP, "The platform pointed to another page. Look whether you are signed in to it.")
		}
		c.show()
		return
	}
	// load fires for every answer, and for no answer at all: whether the host can be reached is all that can be added.
	before, answered := c.reach, c.answered
	c.probe(func(after Reach) {
		if s.seen != seen {
			return
		}
		switch {
		case after != Unreached:
			c.settle(s, recording.Sent, recording.FrameLoad, "")
		case before == Unreached && answered: // the probe can be believed
			c.settle(s, recording.Failed, recording.FrameLoad, "The platform can't be reached from this computer. Nothing was sent.")
		default:
			c.settle(s, recording.Unknown, recording.FrameLoad, "The platform couldn't be reached just afterwards.")
		}
	})
}

// probe asks whether the platform answers; then is called with the lock held.
func (c *Controller) probe(then func(Reach)) {
	route, _ := c.session()
	if route == nil || route.WarmURL == "" {
		go c.probed(ReachUnknown, then)
		return
	}
	c.browser.Reach(route.WarmURL, func(r Reach) { c.probed(r, then) })
}

func (c *Controller) probed(r Reach, then func(Reach)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reach, c.asked = r, true
	c.answered = c.answered || r == Reached
	if then != nil {
		then(r)
	}
	c.show()
}

// expire is a shot's deadline.
func (c *Controller) expire(s *shot, seen int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.seen != seen {
		return
	}
	switch {
	case s.seenAs != nil: // nothing came from the server, so this is all that is known
		a := *s.seenAs
		c.learn(a)
		c.tell(a)
		c.finish(s)
	case s.attempt.Route == recording.RouteServer:
		c.settle(s, recording.Unknown, recording.Silence, "offrecord's server said nothing in time.")
		go c.inquire(s.attempt.ID)
	case s.attempt.Transport == recording.TransportPopup:
		c.settle(s, recording.Unknown, recording.PopupOpen, "The small window is still open. Read what the platform says in it.")
	default:
		c.settle(s, recording.Unknown, recording.Silence, "The platform didn't answer in time.")
	}
	c.show()
}

// settle says what became of a shot, and does what waited for it. Of a pause that the server confirms it is only what the
// browser saw.
func (c *Controller) settle(s *shot, outcome recording.Outcome, kind recording.EvidenceKind, detail string) {
	if c.shots[s.attempt.ID] != s {
		return
	}
	late := kind == recording.Silence || kind == recording.PopupOpen
	if s.after != nil && s.fired && !late {
		return // it goes once more when the older resume has settled, and that is what counts
	}
	now := c.stamp()
	a := s.attempt
	a.Outcome, a.DecidedAt, a.Detail = outcome, &now, detail
	if kind != "" {
		a.Evidence = &recording.Evidence{Kind: kind, AfterMS: int(time.Since(s.begun) / time.Millisecond)}
	}
	a.State = recording.StateUnknown
	if outcome.KeepsState() {
		a.State = s.before
	}
	if a.Route == recording.RouteSession {
		c.report(a)
	}
	if !late && !s.dropped && c.combined(a) {
		s.end()
		s.seenAs = &a
		seen := s.seen
		s.timer = time.AfterFunc(time.Until(s.begun.Add(c.timeout()+answerGrace)), func() { c.expire(s, seen) })
		return
	}
	s.attempt = a
	c.learn(a)
	c.tell(a)
	c.finish(s)
	if outcome == recording.Failed && !s.dropped {
		c.fallOver(s)
	}
}

// combined reports whether the server confirms what this browser fired.
func (c *Controller) combined(a recording.Attempt) bool {
	return a.Route == recording.RouteSession && a.Action.Silences() && c.route.serves(a.Action) && c.route.Combine
}

// fallOver asks the server for what certainly didn't leave the browser, as long as nobody pressed anything since.
func (c *Controller) fallOver(s *shot) {
	a := s.attempt
	if a.Route == recording.RouteSession && c.newest(a.ID) && c.browser.Online() && c.route.serves(a.Action) {
		c.detour = "This browser could not send it. offrecord's server was asked instead."
		by := askedFor(a)
		by.last = true
		c.begin(recording.RouteServer, by, false)
	}
}

// finish takes a shot off the list and fires what waited for it.
func (c *Controller) finish(s *shot) {
	s.end()
	delete(c.shots, s.attempt.ID)
	for _, waiting := range c.shots {
		if waiting.after == s {
			c.again(waiting)
		}
	}
	if newest := c.attempts[0]; s.chased && newest.Action.Silences() && newest.Route == recording.RouteServer {
		c.begin(recording.RouteServer, askedFor(newest), false)
	}
}

// stamp is the time of a decision.
func (c *Controller) stamp() time.Time { return c.clock.now() }

// again fires a pause once more, because an older resume may have reached the platform after it.
func (c *Controller) again(s *shot) {
	s.after = nil
	if s.remove != nil {
		s.remove()
		s.remove = nil
	}
	if !c.newest(s.attempt.ID) {
		s.seen++
		c.settle(s, recording.Unknown, recording.Silence, "A newer press came before it was known.")
		return
	}
	s.window = nil // the first one is closed, or shows the agent the platform's page
	if s.attempt.Transport == recording.TransportPopup {
		if s.window = c.browser.Window(s.attempt.Action); s.window == nil {
			c.settle(s, recording.Unknown, recording.Blocked, "A resume was still under way. Press Pause recording once more.")
			return
		}
	}
	c.fire(s)
}

// announceFirst sends a resume once the server has written it down. Its window is opened now, because later it couldn't be.
func (c *Controller) announceFirst(s *shot) {
	if !c.browser.Online() {
		c.settle(s, recording.Failed, recording.Offline, "This computer is offline. Nothing was sent.")
		return
	}
	if route, why := c.session(); route == nil {
		c.settle(s, recording.Failed, recording.Held, why)
		return
	}
	if s.attempt.Transport == recording.TransportPopup && !c.open(s) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(c.ctx, announceTimeout)
		defer cancel()
		told, err := c.server.Announce(ctx, announcement(s.attempt))
		c.mu.Lock()
		defer c.mu.Unlock()
		defer c.show()
		if c.shots[s.attempt.ID] != s { // a newer press came; what the server was told is settled by its report
			return
		}
		switch problem := (*Problem)(nil); {
		case err == nil && told.Outcome == recording.Superseded:
			if s.window != nil {
				s.window.Close()
			}
			c.learn(told)
			c.tell(told)
			c.finish(s)
		case err == nil:
			c.keep(s.attempt, true)
			s.begun = time.Now()
			c.fire(s)
		case errors.As(err, &problem) && !problem.passing():
			c.drop(s, problem.Error())
		default:
			c.noRecord = true
			c.drop(s, "It couldn't be written down first, so it wasn't sent.")
		}
	}()
}
