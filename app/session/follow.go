package session

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
)

// fetchRoute asks how the platform is reached, until the server has answered once.
func (c *Controller) fetchRoute(ctx context.Context) {
	wait := retryFirst
	for first := true; ; first = false {
		err := c.askRoute(ctx)
		if first {
			close(c.routed)
		}
		var problem *Problem
		if err == nil || ctx.Err() != nil || errors.As(err, &problem) && !problem.passing() {
			return
		}
		c.mu.Lock()
		wake := c.wake
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		}
	}
}

func (c *Controller) askRoute(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	route, err := c.server.Route(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.show()
	var problem *Problem
	switch {
	case err == nil:
		c.route, c.noRoute = &route, ""
		if c.running {
			c.prepare()
		}
	case c.route != nil: // what is known stays good
	case errors.As(err, &problem) && problem.Status == 401:
		c.noRoute = "You are signed out. Sign in again."
	case errors.As(err, &problem) && !problem.passing():
		c.noRoute = problem.Error()
	default:
		c.noRoute = "offrecord's server can't be reached, so the way to the platform isn't known. Check the network."
	}
	return err
}

// silence is how long a stream may say nothing before it is taken for dead. The server's beat comes each five seconds; a
// connection that a network dropped without a word shows no other sign.
const silence = 12 * time.Second

// follow hears the server's stream and opens it anew when it ended.
func (c *Controller) follow(ctx context.Context) {
	wait := retryFirst
	listen := time.NewTicker(silence / 6)
	defer listen.Stop()
	for {
		ended := make(chan struct{}, 1)
		opened := time.Now()
		stop := c.server.Events(func(e Event) {
			if e.Ended {
				select {
				case ended <- struct{}{}:
				default:
				}
			}
			c.happened(ctx, e)
		})
		again := false
		for over := false; !over; {
			select {
			case <-ctx.Done():
				stop()
				return
			case <-c.reopen:
				again, over = true, true
			case <-listen.C:
				again = c.fellSilent()
				over = again
			case <-ended:
				over = true
			}
		}
		stop()
		if again {
			continue
		}
		if time.Since(opened) > retryMost {
			wait = retryFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		}
	}
}

// fellSilent reports whether the stream is live by name only. From then on it isn't.
func (c *Controller) fellSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live || !c.silent() {
		return false
	}
	c.live = false
	c.show()
	return true
}

// silent reports whether nothing was heard for long: by the monotonic clock, which may stand while the computer sleeps, or by
// the one on the wall.
func (c *Controller) silent() bool {
	return time.Since(c.heardAt) >= silence || time.Now().Round(0).Sub(c.heardAt.Round(0)) >= silence
}

// slept takes back what was known, and asks anew.
func (c *Controller) slept() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = false
	c.anew()
	c.show()
}

// anew asks for a new stream.
func (c *Controller) anew() {
	select {
	case c.reopen <- struct{}{}:
	default:
	}
}

// happened is one event of the stream.
func (c *Controller) happened(ctx context.Context, e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heardAt = time.Now()
	if !e.Beat.IsZero() {
		c.clock.set(e.Beat)
		return
	}
	defer c.show()
	switch {
	case e.Lost, e.Ended:
		c.live = false
		if e.Ended {
			go c.whyEnded(ctx)
		}
	case e.Snapshot != nil:
		call := c.view.Snapshot.Call
		if !e.Snapshot.AsOf.IsZero() {
			c.clock.set(e.Snapshot.AsOf)
		}
		c.view.Snapshot = *e.Snapshot
		if a := e.Snapshot.Attempt; a != nil {
			c.hearOf(*a)
		}
		if e.Snapshot.Call != "" && e.Snapshot.Call != call {
			c.warm(intentGap)
		}
		if !c.live {
			again := c.heard
			if !again {
				close(c.told)
			}
			c.live, c.heard, c.notice = true, true, ""
			c.view.Stream++
			c.retry()
			go c.refresh(ctx, again)
		}
	case e.Attempt != nil:
		c.hearOf(*e.Attempt)
	}
}

// whyEnded says so if the stream was refused because nobody is signed in any more: a stream's end has no reason of its own.
func (c *Controller) whyEnded(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := c.server.Attempts(ctx, 1)
	var problem *Problem
	if !errors.As(err, &problem) || problem.Status != 401 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live && c.notice == "" {
		c.notice = "You are signed out, so nothing is heard here. Sign in again."
		c.show()
	}
}

// hearOf takes what the server says of an attempt. What it has decided about one of ours ends ours.
func (c *Controller) hearOf(a recording.Attempt) {
	if a.Settled() {
		c.said[a.ID] = true
	}
	if s := c.shots[a.ID]; s != nil {
		if s.taken = true; !a.Settled() {
			if a.Route == recording.RouteServer || c.combined(a) { // it may be on its way: accepted, and not seen yet
				c.learn(a)
			}
			return
		}
		c.learn(a)
		c.finish(s)
		if k := c.kept[a.ID]; k != nil {
			k.Settled = true
			select {
			case k.more <- struct{}{}:
			default:
			}
		}
		return
	}
	c.learn(a)
}

// refresh fetches what the stream doesn't repeat: the list of attempts, and after a break the route, whose token may be new.
func (c *Controller) refresh(ctx context.Context, route bool) {
	asked, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if attempts, err := c.server.Attempts(asked, listed); err == nil {
		c.mu.Lock()
		for _, a := range attempts {
			c.hearOf(a)
		}
		c.show()
		c.mu.Unlock()
	}
	if route {
		c.askRoute(ctx)
	}
}

// tell tells the other tabs of an attempt; hear is told by them. They may be another agent's.
func (c *Controller) tell(a recording.Attempt) {
	if text, err := json.Marshal(a); err == nil {
		c.browser.Tell(string(text))
	}
}

func (c *Controller) hear(message string) {
	var a recording.Attempt
	if err := json.Unmarshal([]byte(message), &a); err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.ID == "" || a.Agent != c.view.Agent || a.Platform != c.view.Platform || a.Outcome == recording.Confirmed || c.shots[a.ID] != nil ||
		c.said[a.ID] && a.Outcome != recording.Attested {
		return // another tab can't know of an effect either, nor better than the server: that is the server's to say
	}
	c.learn(a)
	c.show()
}

// changed looks again at what the browser says of itself.
func (c *Controller) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.online
	c.cookies = c.browser.Cookies()
	switch c.online = c.browser.Online(); {
	case !c.online:
		c.live = false
	case !was:
		c.anew() // a stream may have died without a word
		c.retry()
		c.probe(nil)
		c.warm(intentGap)
	case c.browser.Visible():
		if c.live && c.silent() { // nobody looked, and a hidden page's timers are seldom called
			c.live = false
			c.anew()
		}
		c.warm(idleGap)
	}
	c.show()
}

// draw is what may be shown now.
func (c *Controller) draw() panel.View {
	v := c.view
	v.Native = panel.Mounted
	v.Now = c.stamp()
	v.Snapshot = c.overlay()
	v.Attempts = slices.Clone(c.attempts[:min(listed, len(c.attempts))])
	v.CanResumeWithoutRecord = c.noRecord
	v.Notice = c.notice
	if v.Notice == "" {
		v.Notice = c.detour
	}
	if c.route != nil {
		v.CanDecline = c.route.serves(recording.DoNotRecord) || c.route.carries(recording.Pause)
		v.PauseMeans = c.route.PauseMeans
	}
	v.Readiness = c.readiness()
	switch {
	case !c.browser.Online():
		v.Link = panel.OfflineLink
	case c.live:
		v.Link = panel.Live
	case c.heard:
		v.Link = panel.Reconnecting
	default:
		v.Link = panel.Connecting
	}
	return v
}

// overlay is the server's snapshot, and above it what is known here and not yet there: attempts newer than the snapshot's,
// or further on. Of those that this browser fired nothing better than unknown can come, because it never sees an effect.
func (c *Controller) overlay() recording.Snapshot {
	s := c.view.Snapshot
	for i := len(c.attempts) - 1; i >= 0; i-- { // oldest first
		a := c.attempts[i]
		if c.said[a.ID] && a.Settled() && !s.AsOf.Before(*a.DecidedAt) {
			continue // the snapshot has it, in the place that the server gave it
		}
		newer := s.Attempt == nil || s.Attempt.ID != a.ID && c.after(a, *s.Attempt)
		further := s.Attempt != nil && s.Attempt.ID == a.ID && a.Settled() && !s.Attempt.Settled()
		if !newer && !further {
			continue
		}
		before := s.State
		s.Attempt = &a
		since := a.RequestedAt
		if a.DecidedAt != nil {
			since = *a.DecidedAt
		}
		switch {
		case a.Outcome == recording.Superseded:
			continue
		case a.Outcome.KeepsState():
			if further { // the snapshot still counts it
				s.State = a.State
				s.Holds = slices.DeleteFunc(slices.Clone(s.Holds), func(h recording.Hold) bool { return h.Since.Equal(a.RequestedAt) })
			}
			continue
		case !a.Settled() && (c.shots[a.ID] != nil || c.stamp().Sub(a.RequestedAt) < c.timeout()):
			s.State = a.Action.Transitional()
		case a.Settled() && a.Route == recording.RouteServer && a.State != "": // the server's own word
			s.State = a.State
		case a.Outcome == recording.Confirmed:
			s.State = a.Effect()
		default:
			s.State = recording.StateUnknown
		}
		if s.State != before {
			s.Since = since
		}
		holds := recording.Holds(s.Holds)
		if !a.Action.Silences() { // its end is on the way
			s.Pause, s.AutoResumeAt = "", nil
		}
		switch {
		case s.State == recording.Declined:
			s.Holds = nil
		case a.Action.Silences():
			s.Holds = holds.Add(recording.Hold{Origin: a.Origin, Since: a.RequestedAt, Reason: a.Reason})
		default:
			s.Holds = holds.Release(a.Origin)
		}
	}
	return s
}

// after reports whether a was asked for after b. Both are usually in the list, whose order doesn't depend on clocks.
func (c *Controller) after(a, b recording.Attempt) bool {
	place := func(x recording.Attempt) int {
		return slices.IndexFunc(c.attempts, func(y recording.Attempt) bool { return x.ID == y.ID })
	}
	if i, j := place(a), place(b); i >= 0 && j >= 0 {
		return i < j
	}
	return a.RequestedAt.After(b.RequestedAt)
}

// readiness is whether a pause can be expected to reach the platform.
func (c *Controller) readiness() panel.Readiness {
	r := panel.Readiness{Checked: c.route != nil && c.heard && c.asked || c.noRoute != "" || !c.browser.Online()}
	because := func(sentence string) { r.Because = append(r.Because, sentence) }
	if !c.browser.Online() {
		because("This computer is offline. Check the network.")
	}
	note := func(sentence string) { r.Notes = append(r.Notes, sentence) }
	route, why := c.session()
	hindered := because // what is in this browser's way
	if c.route.serves(recording.Pause) {
		hindered = func(sentence string) { note(sentence + " Until then offrecord's server is asked instead.") }
		switch c.route.PauseMeans {
		case recording.Mask:
			note("A pause masks the recording: it goes on without what is said and shown.")
		case recording.Stop:
			note("A pause stops the recording; a resume starts it again.")
		}
	} else if route == nil && (c.noRoute != "" || c.route != nil) {
		because(why)
	}
	if why := c.view.Snapshot.NotReadyBecause; c.heard && why != "" {
		if c.view.Snapshot.Ready {
			note(why) // something is amiss that keeps no pause from going
		} else {
			because(why)
		}
	}
	if route != nil {
		if c.reach == Unreached && c.browser.Online() {
			hindered("The platform doesn't answer this computer. Check the network or the VPN.")
		}
		if c.transport() == recording.TransportPopup {
			if c.noPopup {
				hindered("The browser blocked the small window. Allow pop-ups for this page.")
			}
			note("A small window opens for a moment at each press.")
		} else if c.cookies == CookiesBlocked {
			because("This browser keeps back the platform's cookie. Ask your administrator to allow pop-ups as the transport.")
		}
		note("Whether you are signed in to the platform can't be seen from here.")
	}
	r.Ready = r.Checked && len(r.Because) == 0
	return r
}
