package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// says fails the test unless the panel shows each of the sentences.
func says(t *testing.T, tab *browser.Tab, sentences ...string) {
	t.Helper()
	for _, sentence := range sentences {
		if text := tab.Text("main"); !strings.Contains(text, sentence) {
			t.Errorf("the panel doesn't say %q:\n%s", sentence, text)
		}
	}
}

// A pause that can't have left the browser is failed, and one of which that isn't known isn't.
func TestPauseThatCannotLeave(t *testing.T) {
	t.Parallel() // much of it is waiting
	t.Run("the page's policy refuses frames of the platform", func(t *testing.T) {
		d := &desk{name: "bill"}
		s := newStage(t, d)
		f := newFront(t, s)
		f.rewrite(func(_ string, h http.Header) { // a proxy that knows better
			if policy := h.Get("Content-Security-Policy"); strings.Contains(policy, "frame-src") {
				h.Set("Content-Security-Policy", strings.Replace(policy, "frame-src 'self' "+d.url, "frame-src 'self'", 1))
			}
		})
		b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
		d.signIn(t, b.Tab(t))
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		tab.Allow("frame-src")
		s.openPanel(t, tab, d)
		tab.Click("button", "Pause recording")
		if got := settled(tab, "Pause"); got != recording.Failed {
			t.Errorf("shown as %s, want failed", got)
		}
		says(t, tab, "This page's security policy held the request back. Nothing was sent.", "Do not take the card yet", "Tell your administrator")
		d.only(t, 0, "a request that a policy held back")

		// Now it is known that frames are refused, and a window isn't a frame.
		pressApart(tab)
		popup := tab.Popup(func() { tab.Click("button", "Pause recording") })
		popup.WaitClosed()
		tab.WaitOutcome(string(recording.Accepted))
		d.only(t, 1, "the next press, by a window")
		if d.sim.Recording(d.agent()) {
			t.Error("the tape runs on")
		}
	})

	t.Run("the page's policy, before the program", func(t *testing.T) {
		d := &desk{name: "bill"}
		s := newStage(t, d)
		f := newFront(t, s)
		f.rewrite(func(_ string, h http.Header) {
			if policy := h.Get("Content-Security-Policy"); strings.Contains(policy, "frame-src") {
				h.Set("Content-Security-Policy", strings.ReplaceAll(policy, "'self' "+d.url, "'self'"))
			}
		})
		b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
		d.signIn(t, b.Tab(t))
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		tab.Allow("frame-src|form-action|connect-src|Fetch API cannot load")
		letGo := f.withhold(".wasm")
		s.logIn(t, tab, d)
		tab.Click("button", "Pause recording")
		tab.Until(`document.querySelector('.attempt .outcome')?.innerText !== 'Waiting' && document.querySelector('.attempt')`)
		if got := tab.WaitOutcome(decided...); got != string(recording.Failed) {
			t.Errorf("shown as %s, and it never left", got)
		}
		says(t, tab, "This page's security policy held the request back. Nothing was sent.")
		letGo()
		d.only(t, 0, "a native request that a policy held back")
	})

	t.Run("the platform's name doesn't resolve", func(t *testing.T) {
		d := &desk{name: "bill", base: "https://vcc-gone.example"}
		s := newStage(t, d)
		b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
		tab := b.Tab(t)
		tab.Allow("ERR_NAME_NOT_RESOLVED")
		tab.Allow("chrome-error:")
		s.openPanel(t, tab, d)
		says(t, tab, "Not ready, because", "The platform doesn't answer this computer.")
		tab.Click("button", "Pause recording")
		if got := settled(tab, "Pause"); got != recording.Unknown && got != recording.Failed {
			t.Errorf("shown as %s, and it never left", got)
		}
		says(t, tab, "Do not take the card yet")
	})

	t.Run("the platform goes away", func(t *testing.T) {
		d := &desk{name: "bill"}
		s := newStage(t, d)
		b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
		d.signIn(t, b.Tab(t))
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		tab.Allow("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_SOCKET_NOT_CONNECTED")
		s.openPanel(t, tab, d)
		says(t, tab, "Ready")
		d.gone()
		tab.Click("button", "Pause recording")
		if got := settled(tab, "Pause"); got != recording.Unknown {
			t.Errorf("the first is shown as %s: that the platform is gone is known only afterwards, so want unknown", got)
		}
		tab.Until(`document.querySelector('.readiness').innerText.includes("doesn't answer this computer")`)
		pressApart(tab)
		tab.Click("button", "Pause recording")
		tab.WaitOutcome(string(recording.Failed))
		says(t, tab, "This computer does not reach 8x8. Nothing was sent.", "Check the network or the VPN", "Do not take the card yet")
		d.only(t, 0, "two presses without a platform")
	})

	t.Run("the browser blocks the window", func(t *testing.T) {
		d := &desk{name: "bill"}
		s := newStage(t, d)
		b := browser.Launch(t, s.net, browser.ThirdPartyBlocked)
		d.signIn(t, b.Tab(t))
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		s.openPanel(t, tab, d)
		// A press that no hand made.
		browser.Eval[bool](tab, `(document.querySelector('[data-control=pause]').form.requestSubmit(), true)`)
		if got := settled(tab, "Pause"); got != recording.Failed {
			t.Errorf("shown as %s, want failed", got)
		}
		says(t, tab, "The browser blocked the small window. Nothing was sent.", "Allow pop-up", "Not ready, because")
		d.only(t, 0, "a blocked window")
		pressApart(tab)
		tab.Popup(func() { tab.Click("button", "Pause recording") }).WaitClosed()
		tab.WaitOutcome(string(recording.Accepted))
		d.only(t, 1, "a hand's press after it")
	})
}

// pressApart waits until a press of the same button isn't part of a double click.
func pressApart(tab *browser.Tab) {
	browser.Eval[bool](tab, `new Promise(done => setTimeout(() => done(true), 650))`)
}

// What a window shows, and what may be said of it.
func TestWindows(t *testing.T) {
	t.Parallel()
	d := &desk{name: "bill"}
	s := newStage(t, d)
	b := browser.Launch(t, s.net, browser.ThirdPartyBlocked)
	d.signIn(t, b.Tab(t))

	t.Run("a person closes it", func(t *testing.T) {
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		s.openPanel(t, tab, d)
		d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{Drop: agui.DropBefore, Before: time.Minute})
		popup := tab.Popup(func() { tab.Click("button", "Pause recording") })
		d.await(t, "the request", func() bool { return len(d.controls()) == 1 })
		popup.Close()
		// It looks like a window that closed itself. What may be said is that it isn't known.
		if got := settled(tab, "Pause"); got != recording.Accepted {
			t.Errorf("shown as %s", got)
		}
		tab.WaitState(string(recording.StateUnknown))
		says(t, tab, "Do not take the card yet", "It does not say whether it paused")
		if !d.sim.Recording(d.agent()) {
			t.Error("the platform acted, which it can't have")
		}
		d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{})
	})

	t.Run("it stays open, with the platform's refusal", func(t *testing.T) {
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		s.openPanel(t, tab, d)
		d.sim.Expire(d.agent())
		popup := tab.Popup(func() { tab.Click("button", "Pause recording") })
		tab.WaitOutcome(string(recording.Unknown), string(recording.Denied))
		says(t, tab, "The small window is still open.", "may or may not have worked", "Do not take the card yet")
		if !popup.Open() {
			t.Fatal("the window was closed, and with it what the platform said")
		}
		popup.Tab().Until(`document.body.innerText.includes("There is no Agent Workspace session")`)
		popup.Close()
	})
}

// Without a network nothing is sent, and the panel says so and claims nothing.
func TestOffline(t *testing.T) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			d := &desk{name: "bill"}
			s := newStage(t, d)
			b := browser.Launch(t, s.net, world)
			d.signIn(t, b.Tab(t))
			tab := b.Tab(t)
			allowPlatformNoise(tab)
			tab.Allow("ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED|ERR_NETWORK_IO_SUSPENDED")
			s.openPanel(t, tab, d)
			tab.Offline(true)
			tab.Until(`document.querySelector('.headline').innerText === 'Offline'`)
			for _, action := range []string{"Pause", "Resume"} {
				tab.Click("button", action+" recording")
				if got := settled(tab, action); got != recording.Failed {
					t.Errorf("%s offline is shown as %s, want failed", action, got)
				}
				says(t, tab, "This computer has no network. Nothing was sent.")
			}
			tab.WaitState(string(recording.StateUnknown))
			if tab.Popups() != 0 {
				t.Error("a window opened")
			}
			d.only(t, 0, "two presses offline")
			tab.Offline(false)
			tab.Until(`document.querySelector('.headline').innerText !== 'Offline'`)
			tab.Until(`!document.querySelector('.line').innerText.includes('Reconnecting')`)
			tab.Until(`!localStorage.length || !Object.keys(localStorage).some(k => k.startsWith('offrecord-attempt:'))`)
			d.only(t, 0, "back online")
			pressApart(tab)
			tab.Click("button", "Pause recording")
			d.only(t, 1, "a press after it")
			d.await(t, "the pause", func() bool { return !d.sim.Recording(d.agent()) })
			listed := attempts(tab)
			if len(listed) < 3 || listed[1].Outcome != recording.Failed || listed[2].Outcome != recording.Failed {
				t.Errorf("the server was told %v", listed)
			}
		})
	}
}

// attempts is what the server has on record, newest first.
func attempts(tab *browser.Tab) []recording.Attempt {
	return browser.Eval[struct{ Items []recording.Attempt }](tab, `fetch('/api/v1/attempts').then(r => r.json()).then(list => ({Items: list.items}))`).Items
}

// Our own server away: a pause goes all the same and is told later, a resume doesn't unless it is asked for once more.
func TestServerAway(t *testing.T) {
	t.Parallel()
	d := &desk{name: "bill"}
	s := newStage(t, d)
	f := newFront(t, s)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	tab.Allow(panelName) // our own server's absence
	tab.Allow("Failed to load resource: net::ERR_")
	s.openPanel(t, tab, d)
	call(tab, "c1", "started")
	call(tab, "c1", "ended")
	tab.WaitState(string(recording.Idle))

	f.gone()
	tab.WaitState(string(recording.StateUnknown))
	says(t, tab, "Reconnecting. The last word was: no call.")
	tab.Until(`/^00:0[1-9] ago$/.test(document.querySelector('.hero.live .run').innerText)`) // and how old that is

	pressed := time.Now()
	tab.Click("button", "Pause recording")
	d.only(t, 1, "a pause without our server")
	if d.sim.Recording(d.agent()) {
		t.Error("the tape runs on")
	}
	settled(tab, "Pause")
	tab.Until(`document.querySelector('.notice').innerText.includes('Not recorded yet')`)
	says(t, tab, "It is kept and sent again")

	tab.Click("button", "Resume recording")
	tab.Until(`document.querySelector('[data-control=resume-without-record]')`)
	says(t, tab, "The resume was not sent", "It couldn't be written down first")
	if text := tab.Text("main"); strings.Contains(text, "small window") {
		t.Errorf("the panel blames a window that nobody needed:\n%s", text)
	}
	d.only(t, 1, "a resume that can't be written down")
	tab.Click("button", "Resume without record")
	d.only(t, 2, "a resume without record")
	d.await(t, "the resume", func() bool { return d.sim.Recording(d.agent()) })
	settled(tab, "Resume")

	back := time.Now()
	f.back()
	tab.Until(`!Object.keys(localStorage).some(k => k.startsWith('offrecord-attempt:'))`)
	tab.Until(`!document.querySelector('.line').innerText.includes('Reconnecting')`)
	tab.Until(`!document.querySelector('.notice').innerText`)
	d.only(t, 2, "the server's return")
	var got []string
	for _, a := range attempts(tab) {
		got = append(got, fmt.Sprintf("%s %s", a.Action, a.Outcome))
		if a.RequestedAt.Before(pressed.Add(-2*time.Second)) || a.RequestedAt.After(back) {
			t.Errorf("%s was asked for at %s on record, which isn't between %s and %s", a.Action, a.RequestedAt, pressed, back)
		}
	}
	// They are told side by side: the resume that didn't go may come when the one that did is known already.
	if all := strings.Join(got, ", "); all != "resume sent, resume failed, pause sent" && all != "resume sent, resume superseded, pause sent" {
		t.Errorf("on record: %s", all)
	}
	without := 0
	for _, body := range f.bodies("/api/v1/attempts") {
		var a struct {
			Action        recording.Action
			WithoutRecord bool `json:"without_record"`
		}
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			t.Errorf("an announcement: %v", err)
		}
		if a.WithoutRecord {
			without++
			if a.Action != recording.Resume {
				t.Errorf("a %s without record", a.Action)
			}
		}
	}
	if without == 0 {
		t.Error("the announcement doesn't say that the resume went without record")
	}
}

// A server that is started anew logs nobody out, and is told what was kept in the browser meanwhile. Who is logged out is told
// so, and what was kept goes once its agent is back, by whatever page.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	d := &desk{name: "bill"}
	s := newStage(t, d)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	d.signIn(t, b.Tab(t))
	tab, idle := b.Tab(t), b.Tab(t)
	for _, tab := range []*browser.Tab{tab, idle} {
		allowPlatformNoise(tab)
		tab.Allow(panelName)
		tab.Allow("Failed to load resource: net::ERR_|status of 401")
		s.openPanel(t, tab, d)
	}
	told := func(presses int) {
		t.Helper()
		tab.Until(`!Object.keys(localStorage).some(k => k.startsWith('offrecord-attempt:'))`)
		listed := attempts(tab)
		if len(listed) != presses {
			t.Fatalf("on record: %+v, want %d pauses", listed, presses)
		}
		if a := listed[0]; a.Action != recording.Pause || a.Outcome != recording.Sent || a.RequestedAt.After(time.Now()) {
			t.Errorf("on record: %+v", a)
		}
		d.only(t, presses, "all of it")
	}
	s.stop(t)
	tab.Click("button", "Pause recording")
	d.only(t, 1, "a pause without our server")
	settled(tab, "Pause")
	s.again(t)
	told(1)
	idle.Until(`document.querySelector('.panel').dataset.link === 'live' && document.querySelector('.attempt .action')?.innerText === 'Pause'`)

	idle.Click("button", "Log out")
	tab.Until(`document.querySelector('.notice').innerText.includes('You are signed out')`)
	pressApart(tab)
	tab.Click("button", "Pause recording")
	d.only(t, 2, "a pause of who is logged out")
	settled(tab, "Pause")
	tab.Until(`document.querySelector('.notice').innerText.includes('Not recorded yet: you are signed out')`)
	if kept := browser.Eval[string](tab, `JSON.stringify(localStorage)`); !strings.Contains(kept, "offrecord-attempt:") || strings.Contains(kept, d.sim.ActionToken()) {
		t.Errorf("kept: %s", kept)
	}
	s.openPanel(t, tab, d) // the old page is gone, and so is everything in memory
	tab.Until(`document.querySelector('.attempt .action')?.innerText === 'Pause'`)
	told(2)
}

// call tells the server of a call, as a CRM would.
func call(tab *browser.Tab, id, event string) {
	if status := browser.Eval[int](tab, fmt.Sprintf(`fetch('/api/v1/calls', {method: 'POST', headers: {'Content-Type': 'application/json'},
		body: JSON.stringify({call: %q, event: %q})}).then(r => r.status)`, id, event)); status != http.StatusOK {
		panic(fmt.Sprintf("POST /api/v1/calls answered %d", status))
	}
}
