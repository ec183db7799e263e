package panel

import (
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v9/pkg/app"
)

// clock is a label and the time that has run since a moment, or is left until one. It is a component of its own so that a
// second's tick draws nothing but its own text. The fields are exported for go-app, which copies them when the panel is drawn
// anew.
type clock struct {
	app.Compo

	Label, Suffix, Note string
	From, Now           time.Time // both by the clock that made the view
	Taken               time.Time // when the view arrived, by the browser's clock; zero: the clock stands
	Due                 bool      // From is when something is due, and still to come or over
	Still               bool      // the words alone
}

// clockOf counts to the end of an open pause's time; else from the state's beginning; where the state isn't present, from the
// last word about it.
func clockOf(v View, l limit, taken time.Time) app.UI {
	place := v.Now.Location()
	s := v.Snapshot
	switch {
	case v.Native != Mounted && v.Native != NativeBefore && !s.AsOf.IsZero():
		return &clock{Label: "at " + clockTime(s.AsOf, place), Still: true}
	case !present(v) && !s.AsOf.IsZero():
		return &clock{Label: "last word", Suffix: " ago", From: s.AsOf, Now: v.Now, Taken: taken}
	case l.due != unlimited && v.Native != Mounted: // nothing moves it
		return &clock{Label: l.when(place), Note: l.Note, Still: true}
	case l.due != unlimited && present(v):
		return &clock{Label: l.Label, Note: l.Note, From: l.From, Now: v.Now, Taken: taken, Due: true}
	case present(v) && !s.Since.IsZero():
		return &clock{Label: "since " + clockTime(s.Since, place), From: s.Since, Now: v.Now, Taken: taken}
	}
	return &clock{Still: true}
}

// OnMount ticks until the clock is dismounted.
func (c *clock) OnMount(ctx app.Context) {
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				ctx.Dispatch(func(app.Context) {})
			}
		}
	}()
}

// Render draws the text as it is now.
func (c *clock) Render() app.UI { return c.draw() }

func (c *clock) draw() app.UI {
	run := ""
	if !c.Still {
		d := c.Now.Sub(c.From)
		if !c.Taken.IsZero() {
			d += time.Since(c.Taken)
		}
		if c.Due && d < 0 { // the last second is shown as one, and its end as none
			d = time.Second - 1 - d
		}
		run = elapsed(d) + c.Suffix
		if c.Due {
			run = strings.TrimPrefix(run, "0")
		}
	}
	return el("p", "clock").Role("timer").Aria("live", "off").Body(
		el("span", "since").Text(c.Label),
		el("span", "run").Text(run),
		el("span", "note").Text(c.Note),
	)
}
