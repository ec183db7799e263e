package evidence

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Night is when a server goes through the last days by itself.
type Night struct {
	At time.Duration // after midnight, UTC; negative for no nights
	// Every says that recordings without a pause are listened to, too.
	Every bool
}

const (
	// spread is how much later than Night.At a run may begin, so that many servers don't ask at once.
	spread = 15 * time.Minute
	// back is how far back a night looks: what wasn't in the archive the night before.
	back = 72 * time.Hour
	// furthest is how far back it looks after a time without a server.
	furthest = 31 * 24 * time.Hour
	// settled is how old a pause has to be for a night to look at it.
	settled = settling
	// late is how long after a night that was missed, because no server ran, it is made up for.
	late = 5 * time.Minute
)

// Nightly goes on with a run that a former process left, tells of leaks that a command found, and then goes through the last
// days once a night, until Close.
func (c *Checker) Nightly(n Night) {
	c.waiting.Go(func() {
		c.goOn()
		for n.At >= 0 {
			wait := c.untilNight(n)
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
				c.night(n)
			case <-c.ctx.Done():
				timer.Stop()
				return
			}
		}
	})
}

// goOn takes up what a former process left.
func (c *Checker) goOn() {
	c.alert(c.ctx)
	run, ok, err := c.Store.interrupted(c.ctx)
	if err != nil || !ok || !c.running.TryLock() {
		return
	}
	defer c.running.Unlock()
	q := Request{From: run.From, To: run.To, Cause: run.Cause, By: run.By, Every: run.Every}
	if run, err = c.begin(c.ctx, q, run); err == nil {
		_, err = c.do(c.ctx, run, q)
	}
	if err != nil && c.ctx.Err() == nil {
		c.Log.Error("a run that was interrupted couldn't be gone on with", "run", run.ID, "error", err)
	}
}

// untilNight is how long it is until the next night, or until one that was missed is made up for.
func (c *Checker) untilNight(n Night) time.Duration {
	now := c.Now().UTC()
	next := now.Truncate(24 * time.Hour).Add(n.At)
	last := next
	if !next.After(now) {
		next = next.Add(24 * time.Hour)
	} else {
		last = last.Add(-24 * time.Hour)
	}
	if began, err := c.Store.lastNight(c.ctx); err == nil && !began.IsZero() && began.Before(last) {
		return late
	}
	return next.Sub(now) + rand.N(spread)
}

func (c *Checker) night(n Night) {
	now := c.Now()
	from := now.Add(-back)
	if last, err := c.Store.lastNight(c.ctx); err == nil && !last.IsZero() && last.Before(now.Add(-24*time.Hour)) {
		from = last.Add(-back) // no server ran since
		if most := now.Add(-furthest); from.Before(most) {
			from = most
		}
	}
	run, err := c.Run(c.ctx, Request{From: from, To: now.Add(-settled), Cause: "night", Every: n.Every})
	switch {
	case c.ctx.Err() != nil:
	case errors.Is(err, ErrBusy):
		c.Log.Warn("the nightly run through the recordings was left out: another one is under way")
	case err != nil:
		c.Log.Error("the nightly run through the recordings failed", "run", run.ID, "error", err)
	default:
		c.Log.Info("went through the recordings", "run", run.ID, "pauses", run.Windows, "recordings", run.Recordings, "audible", run.Verdicts[Audible], "problems", len(run.Problems))
	}
	if c.Retention > 0 {
		if err := c.Store.prune(c.ctx, now.Add(-c.Retention)); err != nil && c.ctx.Err() == nil {
			c.Log.Error("old evidence can't be removed", "error", err)
		}
	}
}

// lastNight is when the last nightly run began; zero if none ever did.
func (s *Store) lastNight(ctx context.Context) (time.Time, error) {
	var began string
	err := s.db.QueryRowContext(ctx, `SELECT coalesce(max(began), '') FROM evidence_run WHERE cause = 'night'`).Scan(&began)
	return parse(began), err
}
