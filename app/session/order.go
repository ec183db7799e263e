package session

import (
	"context"
	"errors"
	"time"

	"offrecord/app/recording"
)

const (
	// answerGrace is what the server may take beyond an attempt's deadline, which is counted from its arrival there.
	answerGrace = 2 * time.Second
	// orderTry is how long the server may leave an order without showing, in an answer or on the stream, that it has it.
	orderTry = 5 * time.Second
	// orderFirst is the time from an order that didn't get through to the same one again.
	orderFirst = 500 * time.Millisecond

	serverAway = "offrecord's server can't be reached. It is asked again until it answers."
)

// order asks for an action by the server route, and asks again, under the same id, as long as the server can't be reached,
// the time isn't up and nobody pressed anything since.
func (c *Controller) order(s *shot, unrecorded bool) {
	if !c.browser.Online() {
		c.settle(s, recording.Failed, recording.Offline, "This computer is offline. Nothing was sent.")
		return
	}
	s.fired = true
	seen := s.seen
	s.timer = time.AfterFunc(c.timeout()+answerGrace, func() { c.expire(s, seen) })
	a := s.attempt
	go c.ask(s, Order{ID: a.ID, Action: a.Action, Reason: a.Reason, Call: a.Call, Origin: a.Origin, WithoutRecord: unrecorded})
}

func (c *Controller) ask(s *shot, order Order) {
	for wait := orderFirst; ; wait = min(2*wait, retryMost) {
		c.mu.Lock()
		wake := c.wake
		c.mu.Unlock()
		told, err := c.try(s, order)
		if c.answer(s, told, err) {
			return
		}
		select {
		case <-c.ctx.Done():
			return
		case <-wake:
		case <-time.After(wait):
		}
		c.mu.Lock()
		again := c.shots[order.ID] == s && c.newest(order.ID)
		if !again && c.shots[order.ID] == s {
			go c.inquire(order.ID)
		}
		c.mu.Unlock()
		if !again {
			return
		}
	}
}

// try asks once. It is given up when the time for a sign of the server is over and there was none.
func (c *Controller) try(s *shot, order Order) (recording.Attempt, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout()+answerGrace)
	defer cancel()
	sign := time.AfterFunc(orderTry, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !s.taken {
			cancel()
		}
	})
	defer sign.Stop()
	return c.server.Act(ctx, order)
}

// answer takes what came of one try. It reports whether the order needn't be sent again.
func (c *Controller) answer(s *shot, told recording.Attempt, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil || c.shots[s.attempt.ID] != s {
		return true
	}
	defer c.show()
	problem := (*Problem)(nil)
	switch {
	case err == nil:
		if c.detour == serverAway {
			c.detour = ""
		}
		c.hearOf(told)
		return true
	case errors.As(err, &problem) && problem.Code == "log_unavailable":
		c.noRecord = !s.attempt.Action.Silences()
		c.settle(s, recording.Failed, "", "It couldn't be written down first, so it wasn't sent.")
		return true
	case problem != nil && problem.Status == 401:
		c.settle(s, recording.Failed, "", "You are signed out. Sign in again.")
		return true
	case problem != nil && problem.Status != 409 && !problem.passing(): // 409: something was sent under this id
		c.settle(s, recording.Failed, "", problem.Error())
		return true
	}
	if !s.taken {
		c.detour = serverAway
		c.byBrowser(s)
	}
	return false
}

// byBrowser fires a pause from here, too, where the server can't be reached: a pause doesn't wait for it.
func (c *Controller) byBrowser(s *shot) {
	a := s.attempt
	if !s.last && c.newest(a.ID) && a.Action.Silences() && c.route.carries(recording.Pause) && c.transport() == recording.TransportIframe {
		c.detour = "offrecord's server can't be reached. This browser asked the platform itself."
		by := asked{action: recording.Pause, origin: a.Origin, reason: a.Reason}
		if a.Action == recording.DoNotRecord {
			by.reason = declined
		}
		c.begin(recording.RouteSession, by, false)
	}
}

// inquire asks the server what became of an order that may have reached it, until it says so.
func (c *Controller) inquire(id string) {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		c.mu.Lock()
		wake := c.wake
		known, ok := c.known(id)
		c.mu.Unlock()
		if !ok || c.ctx.Err() != nil || known.Settled() && known.Outcome != recording.Unknown {
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
		told, err := c.server.Attempt(ctx, id)
		cancel()
		if c.learned(id, told, err) {
			return
		}
		select {
		case <-c.ctx.Done():
			return
		case <-wake:
		case <-time.After(wait):
		}
	}
}

// learned takes the server's answer to an inquiry. It reports whether that is the last word.
func (c *Controller) learned(id string, told recording.Attempt, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.show()
	problem := (*Problem)(nil)
	switch {
	case err == nil:
		c.hearOf(told)
		return told.Settled()
	case errors.As(err, &problem) && problem.Status == 404 && problem.Code != "": // not a proxy's
		known, ok := c.known(id)
		if !ok {
			return true
		}
		now := c.stamp()
		known.Outcome, known.DecidedAt, known.Evidence = recording.Failed, &now, nil
		known.Detail = "It never reached offrecord's server, so nothing was sent."
		known.State = c.view.Snapshot.State
		if s := c.shots[id]; s != nil {
			known.State = s.before
		}
		c.hearOf(known)
		return true
	}
	return errors.As(err, &problem) && !problem.passing()
}
