package e2e_test

import (
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
)

// What is noticed of the panel, and done with it, without looking at its page.

func TestSigns(t *testing.T) {
	for name, story := range map[string]func(*testing.T){
		"keys": shortcuts,
		"the window on top, " + browser.ThirdPartyAllowed.String(): func(t *testing.T) { windowOnTop(t, browser.ThirdPartyAllowed) },
		"the window on top, " + browser.ThirdPartyBlocked.String(): func(t *testing.T) { windowOnTop(t, browser.ThirdPartyBlocked) },
		"the tab":         whatTheTabShows,
		"a refused press": refusedPress,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			story(t)
		})
	}
}

// shortcuts: two modifiers and a letter press, in a plain panel and in the program's, once for each time, and not for who wants none.
func shortcuts(t *testing.T) {
	d := &desk{name: "bill"}
	s := newStage(t, d)
	f := newFront(t, s)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	letGo := f.withhold(".wasm")
	s.logIn(t, tab, d)
	key := func(key, code string, modifiers int64, repeated bool) {
		t.Helper()
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
			again := repeated && kind == input.DispatchKeyEventTypeKeyDown
			if _, err := chromedp.Call(tab.Ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: key, Code: code, Modifiers: modifiers,
				AutoRepeat: &again}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const alt, ctrl, shift = 1, 2, 8
	presses := 0
	once := func(when, key_, code, action string) {
		t.Helper()
		key(key_, code, alt|shift, false)
		presses++
		d.only(t, presses, when)
		settled(tab, action)
	}
	tab.Wait(`[data-control=pause][aria-keyshortcuts="Alt+Shift+P"]`)
	tab.Wait(`[data-control=resume][aria-keyshortcuts="Alt+Shift+R"]`)
	once("before the program", "P", "KeyP", "Pause")
	letGo()
	tab.Wait(`html[data-program=running]`)
	tab.Wait(`[data-control=pause][aria-keyshortcuts="Alt+Shift+P"]`)
	once("with the program", "R", "KeyR", "Resume")
	once("on a Mac, where the keys write a sign", "∏", "KeyP", "Pause")
	once("on a keyboard whose letters lie elsewhere", "R", "KeyO", "Resume")

	pressApart(tab)
	key("P", "KeyP", alt|shift, true)
	key("P", "KeyP", shift, false)
	key("p", "KeyP", alt, false)
	key("P", "KeyP", alt|shift|ctrl, false)
	key("∏", "KeyO", alt|shift, false)
	tab.Click("checkbox", "Alt+Shift+P pauses, Alt+Shift+R resumes, on this page")
	tab.Wait(`[data-control=pause]:not([aria-keyshortcuts])`)
	key("P", "KeyP", alt|shift, false)
	tab.Open(s.url + "/")
	tab.Wait(`html[data-program=running]`)
	key("P", "KeyP", alt|shift, false) // the choice is kept
	tab.Click("checkbox", "Alt+Shift+P pauses, Alt+Shift+R resumes, on this page")
	d.only(t, presses, "keys that aren't meant")
	once("wanted again", "P", "KeyP", "Pause")
}

// refusedPress: a press that the server refuses says so in the panel, although nobody sees the frame that it went into.
func refusedPress(t *testing.T) {
	d := &desk{name: "bill"}
	s := newStage(t, d)
	f := newFront(t, s)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow(`status of 401`)
	letGo := f.withhold(".wasm")
	defer letGo()
	s.logIn(t, tab, d)
	tab.Wait(`html[data-program=loading]`)
	forget(tab)
	tab.Click("button", "Pause recording")
	tab.Until(`document.querySelector('#panel-root .notice').textContent === 'Nothing was sent. You are not logged in, or not any more. Log in again.'`)
	d.only(t, 0, "a refused press")
}

// windowOnTop shows what the panel shows and presses what the panel presses, a platform's small window included.
func windowOnTop(t *testing.T, world browser.Cookies) {
	d := &desk{name: "bill"}
	s := newStage(t, d)
	b := browser.Launch(t, s.net, world)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	s.openPanel(t, tab, d)
	top := tab.Popup(func() { tab.Click("button", "Keep on top") })
	small := top.Tab()
	for i, action := range []string{"Pause", "Resume"} {
		if got := small.Text(".primary:not([hidden])"); got != action+" recording" {
			t.Errorf("the next thing to press is %q", got)
		}
		small.Click("button", action+" recording")
		d.only(t, i+1, action+" in the window on top")
		d.await(t, action, func() bool { return d.sim.Recording(d.agent()) == (i == 1) })
		if got := settled(tab, action); got != recording.Sent && got != recording.Accepted {
			t.Errorf("%s is shown as %s", action, got)
		}
		small.Until(`document.querySelector('.headline').textContent === '` + action + ` not confirmed'`)
		small.Until(`document.title.includes('` + action + ` not confirmed')`)
	}
	if n := browser.Eval[int](small, `document.querySelectorAll('[role=status], [role=alert], [id]').length`); n != 0 {
		t.Errorf("%d things would be said twice", n)
	}
	tab.Click("button", "Close the window on top")
	top.WaitClosed()
	tab.Wait(`[name=top]`)
}

// whatTheTabShows: a title that begins with the state, and an icon of its own for each.
func whatTheTabShows(t *testing.T) {
	s, p := newServerStage(t, posts()["8x8 by the server"])
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow(panelName)
	tab.Allow(`Failed to load resource: net::ERR_`)
	s.openPanel(t, tab, &p.desk)
	shows := func(title, sign string) {
		t.Helper()
		tab.Until(`document.title === '` + title + ` · offrecord'`)
		if got := icon(tab); got != sign {
			t.Errorf("%s: the icon is %s, want %s", title, got, sign)
		}
		if status := browser.Eval[int](tab, `fetch(document.querySelector('link[rel=icon]').href).then(r => r.status)`); status != 200 {
			t.Errorf("%s: the icon isn't there: %d", title, status)
		}
	}
	shows("Not known", "state-unknown")
	p.begin()
	p.press(tab, "Pause recording")
	shows("Paused", "state-paused")
	p.press(tab, "Resume recording")
	shows("Recording", "state-recording")
	call(tab, "c1", "started")
	p.press(tab, "Pause recording")
	shows("Paused", "state-paused")
	call(tab, "c2", "transferred")
	shows("⚠ This call may be recording", "state-alarm")
	says(t, tab, "This call may be recording.", "Do not take the card yet")
	call(tab, "c2", "ended")
	shows("No call", "state-idle")
	s.stop(t)
	tab.Until(`document.title === 'Not known · offrecord'`)
	if got := icon(tab); got != "state-unknown" {
		t.Errorf("without the server the icon is %s", got)
	}
	s.again(t)
	shows("No call", "state-idle")
}
