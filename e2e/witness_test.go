package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// The witness hears all that a panel shows, as it is shown, and the judge holds it against the ledger. Every story whose platform
// is reached by the browser's own session has both: nothing that it brings about can be known there, so nothing may be claimed.

// claim is what a tab's panel showed from a time on; all of it is empty where the tab had no panel.
type claim struct {
	At                              float64 // Unix time in milliseconds, finer than a browser's Date
	State, Outcome, Headline, Title string
	Card                            bool // it says that the card can be taken
}

func (c claim) at() time.Time { return time.UnixMicro(int64(c.At * 1000)) }

// bold reports whether it can be read, by whatever part of the panel, as: what was asked for is done, the tape is silent.
func (c claim) bold() bool {
	paused := func(words string) bool {
		return strings.HasPrefix(strings.ToLower(strings.TrimPrefix(words, "⚠ ")), "paused")
	}
	return recording.State(c.State).OffTape() || c.Outcome == string(recording.Confirmed) || paused(c.Headline) || paused(c.Title) || c.Card
}

// tellClaims makes a page tell what its panel shows, by the function offrecordShows.
const tellClaims = `(() => {
	if (window !== top) return;
	let last;
	const look = () => {
		const root = document.querySelector('main.panel');
		const shown = root ? {State: root.dataset.state, Outcome: root.dataset.outcome, Headline: root.querySelector('.headline')?.textContent ?? '',
			Title: document.title, Card: [...root.querySelectorAll('.card')].some(e => e.textContent.includes('You can take the card'))} : {};
		const now = JSON.stringify(shown);
		if (now !== last) offrecordShows(JSON.stringify({At: performance.timeOrigin + performance.now(), ...shown}));
		last = now;
	};
	look();
	new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
})()`

// A witness is of one tab.
type witness struct {
	desk *desk

	mu    sync.Mutex
	shown []claim
	ended time.Time // zero as long as somebody looks
}

// testify makes a witness of the tab, from its next page on. It has seen all until t ends.
func testify(t testing.TB, tab *browser.Tab, d *desk) *witness {
	t.Helper()
	w := &witness{desk: d}
	tab.Hear("offrecordShows", func(text string) {
		var c claim
		err := json.Unmarshal([]byte(text), &c)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			c.Headline = "paused? " + err.Error() // which no test passes by
		}
		w.shown = append(w.shown, c)
	})
	tab.Before(tellClaims)
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = time.Now()
	})
	return w
}

// claims is what has been shown.
func (w *witness) claims() []claim {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.shown)
}

// lies are the bold claims during which, at any moment, what was said was on a tape.
func (w *witness) lies() (lies []claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range w.shown {
		until := w.ended
		if i+1 < len(w.shown) {
			until = w.shown[i+1].at()
		} else if until.IsZero() {
			until = time.Now()
		}
		if c.bold() && w.desk.recordedBetween(c.at(), until) {
			lies = append(lies, c)
		}
	}
	return lies
}

// forget takes back what was shown, for a test that made it up.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = nil
}

// recordedAt is whether what was said at t is on a tape, by the ledger.
func (d *desk) recordedAt(t time.Time) bool {
	return slices.ContainsFunc(d.sim.Calls(d.agent()), func(c agui.Call) bool { return c.Audible(t) })
}

// recordedBetween is whether anything that was said between the two is on a tape, by the ledger.
func (d *desk) recordedBetween(from, to time.Time) bool {
	for _, c := range d.sim.Calls(d.agent()) {
		for _, i := range c.Tape {
			if !i.Silent && i.From.Before(to) && (i.To.IsZero() || from.Before(i.To)) {
				return true
			}
		}
	}
	return false
}
