package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// only waits until n control requests have been answered, and fails if there are more: what a page sends twice it sends at
// once.
func (d *desk) only(t *testing.T, n int, why string) {
	t.Helper()
	d.await(t, why, func() bool {
		answered := 0
		for _, r := range d.controls() {
			if !r.Answered.IsZero() {
				answered++
			}
		}
		return answered >= n
	})
	if got := len(d.controls()); got != n {
		t.Fatalf("%s: %d control requests reached the platform, want %d\n%s", why, got, n, d.sim)
	}
}

// running is data-program: loading, running, ended or refused.
func running(tab *browser.Tab) string {
	return browser.Eval[string](tab, `document.documentElement.dataset.program ?? 'none'`)
}

// settled waits until the panel shows the newest attempt as one of this action that is over, and says how.
func settled(tab *browser.Tab, action string) recording.Outcome {
	tab.Until(`document.querySelector('.attempt .action')?.innerText === '` + action + `' && document.querySelector('.attempt .outcome').innerText !== 'Waiting'`)
	return recording.Outcome(tab.WaitOutcome(decided...))
}

// A press before the program, one that it is mounted under, and one right after it: each acts exactly once.
func TestPressAroundTheMount(t *testing.T) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			d := &desk{name: "bill"}
			s := newStage(t, d)
			f := newFront(t, s)
			b := browser.Launch(t, s.net, world)
			d.signIn(t, b.Tab(t))

			t.Run("before and right after", func(t *testing.T) {
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				letGo := f.withhold(".wasm")
				before := len(d.controls())
				s.logIn(t, tab, d)
				tab.Until(`performance.getEntriesByName('first-contentful-paint').length`)
				tab.Click("button", "Pause recording")
				d.only(t, before+1, "a press at first paint")
				if d.sim.Recording(d.agent()) {
					t.Error("the tape runs on")
				}
				tab.Focus("button", "Resume recording")
				if p := running(tab); p != "loading" {
					t.Fatalf("the program is %s: that was no press before it", p)
				}
				letGo()
				tab.Wait(`html[data-program=running]`)
				if got := browser.Eval[string](tab, `document.activeElement.dataset.control ?? document.activeElement.outerHTML`); got != "resume" {
					t.Errorf("the focus was on Resume; after the mount it is on %s", got)
				}
				settled(tab, "Pause")
				d.only(t, before+1, "a native press, after the mount")
				tab.Click("button", "Resume recording")
				d.only(t, before+2, "a press right after the mount")
				d.await(t, "the resume", func() bool { return d.sim.Recording(d.agent()) })
				settled(tab, "Resume")
			})

			t.Run("across", func(t *testing.T) {
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				letGo := f.withhold(".wasm")
				before := len(d.controls())
				s.logIn(t, tab, d)
				tab.Until(`window.offrecordQuiet`)
				browser.Eval[bool](tab, `(window.offrecordQuiet = (quiet => () => { window.asked = true; return quiet(); })(window.offrecordQuiet), true)`)
				release := tab.Press("button", "Pause recording")
				letGo()
				tab.Until(`window.asked`) // the program is there, and waits for the button
				if p := running(tab); p != "loading" {
					t.Fatalf("the program is %s while a button is held down", p)
				}
				release()
				d.only(t, before+1, "a press that began before the program was there")
				tab.Wait(`html[data-program=running]`)
				settled(tab, "Pause")
				tab.Click("button", "Resume recording")
				d.only(t, before+2, "a resume after it")
				settled(tab, "Resume")
			})
		})
	}
}

// A page whose scripts haven't come yet has buttons that act: they are forms, and the server knows from the log-in page's probe
// whether a frame would carry the platform's cookie.
func TestPressWithoutAnyScript(t *testing.T) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) { pressWithoutAnyScript(t, world) })
	}
}

func pressWithoutAnyScript(t *testing.T, world browser.Cookies) {
	d := &desk{name: "bill"}
	s := newStage(t, d)
	f := newFront(t, s)
	b := browser.Launch(t, s.net, world)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	s.logIn(t, tab, d) // its page finds out which cookies this browser sends
	tab.Wait(`html[data-program=running]`)
	letGo, letProgramGo := f.withhold("/assets/boot."), f.withhold(".wasm")
	tab.Go(s.url + "/")
	// The tree that screen readers get waits for the page's scripts; a hand doesn't.
	tab.Until(`performance.getEntriesByName('first-contentful-paint').length`) // nobody presses what isn't drawn, and where it is comes with the style
	at := browser.Eval[[]float64](tab, `(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('[data-control=pause]').getBoundingClientRect())`)
	tab.Do(chromedp.MouseClickXY(at[0], at[1]))
	d.only(t, 1, "a press before any script")
	if d.sim.Recording(d.agent()) {
		t.Error("the tape runs on")
	}
	if p := running(tab); p != "none" {
		t.Errorf("the boot script ran: the program is %s", p)
	}
	letGo()
	// The script that comes too late for the press tells of it, before there is a program.
	tab.Until(`document.querySelector('.attempt .action')?.innerText === 'Pause'`)
	if world == browser.ThirdPartyAllowed {
		if got := settled(tab, "Pause"); got != recording.Sent {
			t.Errorf("a press before any script is %s", got)
		}
	}
	if p := running(tab); p != "loading" {
		t.Errorf("the program is %s", p)
	}
	letProgramGo()
	tab.Wait(`html[data-program=running]`)
	tab.Until(`document.querySelector('.attempt .action')?.innerText === 'Pause'`)
	d.only(t, 1, "the same press, after the mount")
	tab.Open(s.url + "/setup")
	browser.Eval[bool](tab, "(setTimeout(() => history.back()), true)")
	tab.Wait(`html[data-program=running]`)
	d.only(t, 1, "the same press, back from another page")
}

// What was pressed is in no history of the browser's: Back sends nothing again, neither within the page nor to it.
func TestBackSendsNothing(t *testing.T) {
	t.Parallel()                                      // much of it is waiting
	d := &desk{name: "bill", method: http.MethodPost} // the program's; a native press is always sent on by a GET
	s := newStage(t, d)
	f := newFront(t, s)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	letGo := f.withhold(".wasm")
	s.logIn(t, tab, d)
	presses := 0
	press := func(how string) {
		t.Helper()
		steps := browser.Eval[int](tab, "history.length")
		for _, action := range []string{"Resume", "Pause", "Resume"} { // to send a resume again would be the worst
			pressApart(tab)
			tab.Click("button", action+" recording")
			presses++
			d.only(t, presses, how)
			settled(tab, action)
		}
		if got := browser.Eval[int](tab, "history.length"); got != steps {
			t.Errorf("%s: three presses are %d steps of Back", how, got-steps)
		}
	}
	back := func(how, program string) {
		t.Helper()
		tab.Open(s.url + "/setup")
		browser.Eval[bool](tab, "(setTimeout(() => history.back()), true)")
		tab.Wait(`html[data-program=` + program + `]`)
		tab.Until(`document.readyState === 'complete' && document.querySelectorAll('.attempt').length > 2`)
		d.only(t, presses, "back to "+how)
	}
	press("native presses")
	back("native presses", "loading")
	letGo()
	tab.Wait(`html[data-program=running]`)
	tab.Wait(`.readiness:not(.checking)`)
	press("the program's presses")
	back("the program's presses", "running")
}

// Two clicks of one hand are one press, and the platform hears of it once.
func TestDoubleClick(t *testing.T) {
	t.Parallel() // much of it is waiting
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			d := &desk{name: "bill"}
			s := newStage(t, d)
			f := newFront(t, s)
			b := browser.Launch(t, s.net, world)
			d.signIn(t, b.Tab(t))
			tab := b.Tab(t)
			allowPlatformNoise(tab)
			letGo := f.withhold(".wasm")
			s.logIn(t, tab, d)

			tab.DoubleClick("button", "Pause recording")
			d.only(t, 1, "a double click on a native button")
			letGo()
			tab.Wait(`html[data-program=running]`)
			settled(tab, "Pause")

			tab.DoubleClick("button", "Resume recording")
			d.only(t, 2, "a double click on the mounted panel")
			settled(tab, "Resume")
			tab.DoubleClick("button", "Pause recording")
			d.only(t, 3, "another double click on the mounted panel")
			settled(tab, "Pause")
			d.only(t, 3, "all of them")
			if got := browser.Eval[int](tab, `document.querySelectorAll('.attempt').length`); got != 3 {
				t.Errorf("the panel lists %d attempts, want 3", got)
			}
		})
	}
}

// A second tab sees what the first one does, asks for nothing that is under way, and may ask again when it is over.
func TestTwoTabs(t *testing.T) {
	t.Parallel() // much of it is waiting
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			d := &desk{name: "bill"}
			s := newStage(t, d)
			b := browser.Launch(t, s.net, world)
			d.signIn(t, b.Tab(t))
			one, two := b.Tab(t), b.Tab(t)
			for _, tab := range []*browser.Tab{one, two} {
				allowPlatformNoise(tab)
				s.openPanel(t, tab, d)
			}
			d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{Before: 1500 * time.Millisecond})
			one.Click("button", "Pause recording")
			two.WaitState(string(recording.Pausing))
			two.Click("button", "Pause recording") // of what is under way
			if two.Popups() != 0 {
				t.Error("the second tab opened a window")
			}
			d.only(t, 1, "a pause in two tabs")
			d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{})
			for _, tab := range []*browser.Tab{one, two} {
				settled(tab, "Pause")
				tab.WaitState(string(recording.StateUnknown))
			}
			d.only(t, 1, "a pause in two tabs, once it is over")

			two.Click("button", "Pause recording")
			d.only(t, 2, "a pause in the second tab, after the first one's")
			settled(two, "Pause")
			one.Until(`document.querySelectorAll('.attempt').length === 2`)
			one.Click("button", "Resume recording")
			d.await(t, "the resume", func() bool { return d.sim.Recording(d.agent()) })
			settled(two, "Resume")
			d.only(t, 3, "all of it")
		})
	}
}
