package session

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"offrecord/app/recording"
)

// Retries of what the server has to be told: soon, because its other tabs and its log wait for it, and then seldom.
const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
	// keepFor is how long the server takes an attempt that was kept (it refuses older ones).
	keepFor = 24 * time.Hour
)

// kept is what the server has to be told of one attempt. It survives the page.
type kept struct {
	Announcement Announcement `json:"announcement"`
	Announced    bool         `json:"announced"`
	Reports      []Report     `json:"reports,omitempty"` // not yet acknowledged, oldest first
	Settled      bool         `json:"settled"`           // no report will follow, but for the agent's own word

	more  chan struct{} // there is something new to tell
	again bool          // it was announced a second time, because the server had forgotten it
}

func announcement(a recording.Attempt) Announcement {
	return Announcement{ID: a.ID, Action: a.Action, Transport: a.Transport, Reason: a.Reason, Call: a.Call, Origin: a.Origin, RequestedAt: a.RequestedAt}
}

// keyPrefix is where this agent's attempts are kept; another agent at the same browser has others.
func (c *Controller) keyPrefix() string { return "offrecord-attempt:" + c.view.Agent + ":" }

// announce tells the server of an attempt, now if it can, else when it can.
func (c *Controller) announce(s *shot, withoutRecord bool) {
	k := c.keep(s.attempt, false)
	k.Announcement.WithoutRecord = withoutRecord
	c.save(k)
}

// report tells the server what became of an attempt, after its announcement.
func (c *Controller) report(a recording.Attempt) {
	k := c.kept[a.ID]
	if k == nil {
		_, ours := c.shots[a.ID]
		k = c.keep(a, a.Route == recording.RouteServer || !ours && a.Outcome == recording.Attested)
	}
	k.Reports = append(k.Reports, Report{Outcome: a.Outcome, Evidence: a.Evidence})
	k.Settled = true
	c.save(k)
	select {
	case k.more <- struct{}{}:
	default:
	}
}

// keep starts to tell the server of an attempt.
func (c *Controller) keep(a recording.Attempt, announced bool) *kept {
	if k := c.kept[a.ID]; k != nil {
		return k
	}
	k := &kept{Announcement: announcement(a), Announced: announced, more: make(chan struct{}, 1)}
	c.kept[a.ID] = k
	c.save(k)
	go c.deliver(c.ctx, k)
	return k
}

func (c *Controller) save(k *kept) {
	if text, err := json.Marshal(k); err == nil {
		c.browser.Keep(c.keyPrefix()+k.Announcement.ID, string(text))
	}
}

// recover takes up what an earlier page couldn't tell. It reports nothing of its own: what that page saw last is in the
// store, and an attempt without a report becomes unknown at the server's own deadline.
func (c *Controller) recover() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, text := range c.browser.Kept(c.keyPrefix()) {
		var k kept
		id := strings.TrimPrefix(key, c.keyPrefix())
		if err := json.Unmarshal([]byte(text), &k); err != nil || k.Announcement.ID != id || c.clock.now().Sub(k.Announcement.RequestedAt) > keepFor {
			c.browser.Forget(key)
			continue
		}
		if c.kept[id] != nil {
			continue
		}
		k.more = make(chan struct{}, 1)
		k.Settled = true
		c.kept[id] = &k
		go c.deliver(c.ctx, &k)
	}
}

// deliver tells the server of one attempt until nothing is left to tell.
func (c *Controller) deliver(ctx context.Context, k *kept) {
	wait := retryFirst
	for {
		c.mu.Lock()
		body, announced, settled, wake := k.Announcement, k.Announced, k.Settled, c.wake
		var report *Report // nil while it is yet to be announced, too
		if announced && len(k.Reports) > 0 {
			report = &k.Reports[0]
		}
		if announced && report == nil && settled {
			delete(c.kept, k.Announcement.ID)
			c.browser.Forget(c.keyPrefix() + k.Announcement.ID)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if announced && report == nil {
			select {
			case <-ctx.Done():
				return
			case <-k.more:
			}
			continue
		}
		err := c.tellServer(ctx, k, body, report)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			wait = retryFirst
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
			wait = retryFirst
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		}
	}
}

// tellServer makes one try. Its error is one that may pass; what the server refuses for good is given up.
func (c *Controller) tellServer(ctx context.Context, k *kept, body Announcement, report *Report) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var told recording.Attempt
	var err error
	announcing := report == nil
	if announcing {
		told, err = c.server.Announce(ctx, body)
	} else {
		err = c.server.Report(ctx, body.ID, *report)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.show()
	var problem *Problem
	refused := errors.As(err, &problem) && !problem.passing()
	if refused && !announcing && problem.Status == 404 && !k.again && body.Transport != "" { // the server route announces nothing
		k.Announced, k.again = false, true
		return nil
	}
	if err != nil && !refused {
		c.notice = "Not recorded yet: offrecord's server can't be reached. It is kept and sent again."
		if problem != nil && problem.Status == 401 {
			c.notice = "Not recorded yet: you are signed out. Sign in again."
		}
		return err
	}
	c.notice = ""
	switch {
	case announcing && refused:
		c.notice = "This could not be recorded: " + problem.Error()
		k.Announced, k.Settled, k.Reports = true, true, nil
	case announcing:
		k.Announced = true
		if told.Settled() || c.shots[told.ID] != nil {
			c.hearOf(told)
		}
	default:
		k.Reports = k.Reports[1:]
	}
	c.save(k)
	return nil
}

// retry makes everyone who waits to be heard by the server try at once.
func (c *Controller) retry() {
	close(c.wake)
	c.wake = make(chan struct{})
}
