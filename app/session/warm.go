package session

import (
	"context"
	"time"

	"offrecord/app/recording"
)

// The bounds of warming: it is there so that a pause doesn't wait for a handshake, and is not to be noticed by the platform.
const (
	// intentGap: servers keep an idle connection for five seconds at the least (Apache's default), so pointing at a button
	// again within four finds it still open.
	intentGap = 4 * time.Second
	// idleGap: most proxies keep an idle connection for a minute or more (nginx's default is 75 s).
	idleGap = 50 * time.Second
	// idleMost: after a quarter of an hour without a press or a call's start nobody is about to press; the pointer warms then.
	idleMost = 18
)

// warmth is what was warmed when.
type warmth struct {
	last time.Time
	idle int // times in a row without use
}

func (w *warmth) used() { w.idle = 0; w.last = time.Now() } // a press uses the connection itself

// warm warms the route unless that was done within gap. A popup's connections are the platform's own, in a pool that
// nothing here can warm.
func (c *Controller) warm(gap time.Duration) bool {
	route, _ := c.session()
	if route == nil || route.WarmURL == "" || c.transport() != recording.TransportIframe || !c.browser.Online() ||
		!c.warmed.last.IsZero() && time.Since(c.warmed.last) < gap {
		return false
	}
	c.warmed.last = time.Now()
	if gap != idleGap {
		c.warmed.idle = 0
	}
	c.browser.Warm(route.WarmURL)
	return true
}

// prepare makes the first press as quick as the next ones. The way to the platform is known.
func (c *Controller) prepare() {
	c.probe(nil)
	c.warm(0)
	c.rehearse()
}

// rehearse pauses on an empty stage, because browsers compile a function when it runs for the first time: a few milliseconds
// that a press needn't wait for.
func (c *Controller) rehearse() {
	if c.way(recording.Pause) != recording.RouteSession || c.transport() != recording.TransportIframe {
		return
	}
	double := New(stage{c.browser}, understudy{}, c.view)
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nothing is to be delivered
	double.ctx, double.route = ctx, c.route
	double.Pause()
	double.mu.Lock()
	defer double.mu.Unlock()
	for _, s := range double.shots {
		s.end()
	}
}

// stage is the browser as it is, in which nothing is done.
type stage struct{ Browser }

func (stage) Frame(Target, func(Signal)) (remove func()) { return func() {} }
func (stage) Window(recording.Action) Window             { return nil }
func (stage) Keep(_, _ string)                           {}
func (stage) Forget(string)                              {}
func (stage) Tell(string)                                {}

// understudy is a server that is told nothing.
type understudy struct{ Server }

func (understudy) Announce(ctx context.Context, _ Announcement) (recording.Attempt, error) {
	return recording.Attempt{}, context.Cause(ctx)
}

// keepWarm warms the route after idle, while the page can be seen and not for ever.
func (c *Controller) keepWarm(ctx context.Context) {
	tick := time.NewTicker(idleGap)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		if c.browser.Visible() && c.warmed.idle < idleMost {
			c.warmed.idle++
			c.warm(idleGap)
			if c.reach != Reached { // tell when it answers again
				c.probe(nil)
			}
		}
		c.mu.Unlock()
	}
}
