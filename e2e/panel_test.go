package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// visible is what a person reads of the panel, in the plain page too.
func visible(tab *browser.Tab) string { return tab.Text("main.panel") }

// Where the program can't run, the plain panel stays, says so, acts, and never shows an old word as present.
func TestPlainPanel(t *testing.T) {
	t.Parallel() // much of it is waiting
	const broken = `Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('refused', 'SecurityError'); }});`
	for _, tt := range []struct {
		name    string
		options []browser.Option
		script  string // run before the page's own
		reason  string
		says    string
	}{
		// As with an enterprise's policy against compiling scripts (DefaultJavaScriptJitSetting), which takes WebAssembly away.
		{"WebAssembly is refused", []browser.Option{browser.Flag("js-flags", "--jitless")}, "", "no-wasm", "This browser refuses WebAssembly."},
		// A browser's own setting refuses the cookies of the site as well, and with them the session; only an embedded page meets this.
		{"storage is refused", nil, broken, "no-storage", "This browser refuses storage for this page."},
		{"the program can't be loaded", nil, "", "load", "The panel's program could not be loaded."},
	} {
		for _, world := range browser.Worlds() {
			t.Run(tt.name+", "+world.String(), func(t *testing.T) {
				d := &desk{name: "bill"}
				s := newStage(t, d)
				f := newFront(t, s)
				if tt.reason == "load" {
					f.refuse(".wasm")
				}
				b := browser.Launch(t, s.net, world, tt.options...)
				d.signIn(t, b.Tab(t))
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				if tt.script != "" {
					tab.Before(tt.script)
				}
				if tt.reason == "load" {
					tab.Allow("wasm")
				}
				s.logIn(t, tab, d)
				tab.Wait(`html[data-program=refused]`)
				tab.Wait(`.panel[data-native="` + tt.reason + `"]`)
				if text := visible(tab); !strings.Contains(text, tt.says) {
					t.Errorf("the page doesn't say %q:\n%s", tt.says, text)
				}
				plainActs(t, tab, d, 0)

				// Without the server the last word is old, and the page says so by itself.
				tab.Allow(panelName)
				f.gone()
				tab.Until(`document.querySelector('main').innerText.includes('Reconnecting. The last word was:')`)
				tab.Until(`/\b00:\d\d ago$/.test(document.querySelector('.frozen .clock').innerText)`)
				if text := visible(tab); !strings.Contains(text, "Not known") || strings.Contains(text, "Resume not confirmed\n") {
					t.Errorf("without the server the plain page says:\n%s", text)
				}
			})
		}
	}
}

// plainActs presses both buttons of a plain panel, on which before control requests have been made.
func plainActs(t *testing.T, tab *browser.Tab, d *desk, before int) {
	t.Helper()
	tab.Click("button", "Pause recording")
	d.only(t, before+1, "a pause by the plain panel")
	if d.sim.Recording(d.agent()) {
		t.Error("the tape runs on")
	}
	settled(tab, "Pause")
	tab.Until(`document.querySelector('main').innerText.includes('Pause not confirmed')`) // as long as the server is heard
	if text := visible(tab); !strings.Contains(text, "Do not take the card yet") || strings.Contains(text, "\nPaused\n") {
		t.Errorf("after a pause the plain page says:\n%s", text)
	}
	tab.Click("button", "Resume recording")
	d.only(t, before+2, "a resume by the plain panel")
	d.await(t, "the resume", func() bool { return d.sim.Recording(d.agent()) })
	settled(tab, "Resume")
	tab.Until(`document.querySelector('main').innerText.includes('Resume not confirmed')`)
}

// A program that ends gives the page back to its plain buttons.
func TestProgramEnds(t *testing.T) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			d := &desk{name: "bill"}
			s := newStage(t, d)
			b := browser.Launch(t, s.net, world)
			d.signIn(t, b.Tab(t))
			tab := b.Tab(t)
			allowPlatformNoise(tab)
			tab.Allow("broken for the test|panic|goroutine|offrecord|exit code|wasm")
			s.openPanel(t, tab, d)
			call(tab, "c1", "started")
			call(tab, "c1", "ended")
			tab.WaitState(string(recording.Idle))

			// go-app draws by methods that can't fail; here one does, in the middle of what the next event makes it draw.
			browser.Eval[bool](tab, `(Element.prototype.setAttribute = () => { throw new Error('broken for the test'); }, true)`)
			call(tab, "c2", "started")
			tab.Wait(`html[data-program=ended]`)
			tab.Wait(`.panel[data-native=ended]`)
			text := visible(tab)
			if !strings.Contains(text, "The panel's program ended. The buttons work") {
				t.Errorf("the page doesn't say so:\n%s", text)
			}
			if strings.Contains(text, "No call\n") || !strings.Contains(text, "Not known") {
				t.Errorf("an old word is shown as present:\n%s", text)
			}
			plainActs(t, tab, d, 0)
		})
	}
}

// The end of a call ends its pause: there is nothing to hold any more, and nothing of it is said of the next call.
func TestCallEndsWhilePaused(t *testing.T) {
	t.Parallel() // much of it is waiting
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			d := &desk{name: "bill"}
			s := newStage(t, d)
			b := browser.Launch(t, s.net, world)
			d.signIn(t, b.Tab(t))
			tab := b.Tab(t)
			allowPlatformNoise(tab)
			s.openPanel(t, tab, d)
			call(tab, "c1", "started")
			tab.Click("button", "Pause recording")
			settled(tab, "Pause")
			tab.Wait(`.primary[data-control=resume]`) // a hold makes Resume the next thing to do
			d.sim.EndCall(d.agent())
			call(tab, "c1", "ended")
			tab.WaitState(string(recording.Idle))
			calm := func() {
				t.Helper()
				tab.Wait(`.primary[data-control=pause]`)
				says(t, tab, "Pause before you take the card")
				if text := visible(tab); strings.Contains(text, "I paused it there") || strings.Contains(text, "Do not take the card yet") {
					t.Errorf("the alarm goes on:\n%s", text)
				}
				if got := browser.Eval[int](tab, `fetch('/api/v1/state').then(r => r.json()).then(s => s.holds.length)`); got != 0 {
					t.Errorf("%d holds are left", got)
				}
			}
			says(t, tab, "No call")
			calm()
			d.sim.StartCall(d.agent())
			call(tab, "c2", "started")
			tab.WaitState(string(recording.StateUnknown))
			calm()
			d.only(t, 1, "the end of a call")
		})
	}
}

// The agent's own word is kept as that: it ends the alarm, and looks like no pause.
func TestAttest(t *testing.T) {
	d := &desk{name: "bill"}
	s := newStage(t, d)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	s.openPanel(t, tab, d)
	d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{Pretend: true})
	tab.Click("button", "Pause recording")
	settled(tab, "Pause")
	tab.Click("button", "I paused it there")
	tab.WaitOutcome(string(recording.Attested))
	tab.WaitState(string(recording.StateUnknown))
	says(t, tab, "Your word only", "8x8 has not said so", "Look at 8x8 before the card")
	if text := visible(tab); strings.Contains(text, "Do not take the card yet") || strings.Contains(text, "You can take the card") {
		t.Errorf("after the agent's word the panel says:\n%s", text)
	}
	if browser.Eval[bool](tab, `!!document.querySelector('.hero.paused, .hero.stopped, .hero.declined')`) {
		t.Error("the agent's word looks like a pause")
	}
	if got := browser.Eval[string](tab, `document.activeElement.id`); got != "state" {
		t.Errorf("the button that had the focus is gone; the focus is on %q and not on the state", got)
	}
	tab.Until(`fetch('/api/v1/attempts').then(r => r.json()).then(list => list.items[0].outcome === 'attested')`)
	d.only(t, 1, "an agent's word")

	// The judge of all this would notice: each way of saying it wrongly is counted.
	seen := s.watch(t, tab, d)
	if lies := seen.lies(); len(lies) != 0 {
		t.Fatalf("shown while the tape ran: %+v", lies)
	}
	seen.forget()
	for _, lie := range []string{
		`root.dataset.state = 'paused'`, `root.dataset.state = 'stopped'`, `root.dataset.state = 'declined'`, `root.dataset.outcome = 'confirmed'`,
		`words('.headline').nodeValue = 'Paused'`, `words('.card').nodeValue = 'You can take the card'`, `document.title = '⚠ Paused, over its time · offrecord'`,
	} {
		browser.Eval[bool](tab, `(async root => {
			const words = of => root.querySelector(of).firstChild, look = () => new Promise(done => setTimeout(done));
			const {state, outcome} = root.dataset, headline = words('.headline').nodeValue, card = words('.card').nodeValue, title = document.title;
			`+lie+`;
			await look();
			Object.assign(root.dataset, {state, outcome});
			words('.headline').nodeValue = headline; words('.card').nodeValue = card; document.title = title;
			await look();
			return true;
		})(document.querySelector('main.panel'))`)
		if len(seen.lies()) == 0 {
			t.Errorf("%s is no false claim: %+v", lie, seen.claims())
		}
		seen.forget()
	}
	tab.Open(s.url + "/") // to be seen once more, as it is
}

// The token is where it has to be and nowhere else: not in what we serve, not in the page's elements, its stores or cookies.
func TestTokenStaysPut(t *testing.T) {
	t.Parallel() // much of it is waiting
	for _, world := range browser.Worlds() {
		for _, method := range []string{"GET", "POST"} {
			t.Run(world.String()+" "+method, func(t *testing.T) {
				d := &desk{name: "bill", method: method}
				s := newStage(t, d)
				f := newFront(t, s)
				b := browser.Launch(t, s.net, world)
				d.signIn(t, b.Tab(t))
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				letGo := f.withhold(".wasm")
				s.logIn(t, tab, d)
				d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{Before: 700 * time.Millisecond})
				look := func(when string) {
					t.Helper()
					everything := browser.Eval[string](tab, `(async () => [
						document.documentElement.outerHTML, JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie,
						location.href, window.name, document.title, JSON.stringify(history.state), (await caches.keys()).join(), JSON.stringify(await indexedDB.databases()),
						await (await fetch('/')).text(), await (await fetch('/panel')).text(), await (await fetch('/status')).text(),
						JSON.stringify(await (await fetch('/api/v1/attempts')).json()), JSON.stringify(await (await fetch('/api/v1/state')).json()),
						[...document.querySelectorAll('input, textarea')].map(e => e.value).join(),
					].join('\n'))()`)
					ctx, cancel := context.WithTimeout(tab.Ctx, patience)
					defer cancel()
					jar, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{s.url}})
					if err != nil {
						t.Fatal(err)
					}
					for _, c := range jar.Cookies {
						everything += "\n" + c.Name + "=" + c.Value
					}
					for _, form := range []string{d.sim.ActionToken(), url.QueryEscape(d.sim.ActionToken())} {
						if at := strings.Index(everything, form); at >= 0 {
							t.Errorf("%s, the token is in: …%s", when, strings.ReplaceAll(everything[max(0, at-200):min(len(everything), at+len(form)+40)], form, "[the token]"))
						}
					}
				}
				look("before anything")
				tab.Click("button", "Pause recording")
				d.await(t, "the native press", func() bool { return len(d.controls()) == 1 })
				look("while a native press is under way")
				letGo()
				tab.Wait(`html[data-program=running]`)
				settled(tab, "Pause")
				tab.Click("button", "Resume recording")
				d.await(t, "the press", func() bool { return len(d.controls()) == 2 })
				look("while a press is under way")
				settled(tab, "Resume")
				look("afterwards")
			})
		}
	}
}

// By keyboard alone, narrow, dark and still: what a person needs is there.
func TestKeyboardAndScreens(t *testing.T) {
	t.Parallel()
	d := &desk{name: "bill"}
	s := newStage(t, d)
	f := newFront(t, s)
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	letGo := f.withhold(".wasm")
	s.logIn(t, tab, d)

	presses := 0
	keyboard := func(when string) {
		t.Helper()
		// From the page's beginning, by Tab alone.
		browser.Eval[bool](tab, `(e => { e.tabIndex = -1; e.focus(); e.removeAttribute('tabindex'); return true; })(document.querySelector('.brand'))`)
		for _, step := range []struct{ control, action, key string }{{"pause", "Pause", kb.Enter}, {"resume", "Resume", " "}} {
			tab.Do(chromedp.KeyEvent(kb.Tab))
			if got := browser.Eval[string](tab, `document.activeElement.dataset.control ?? document.activeElement.outerHTML`); got != step.control {
				t.Fatalf("%s, Tab leads to %s and not to %s", when, got, step.control)
			}
			if !browser.Eval[bool](tab, `document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
				t.Errorf("%s, the focus on %s can't be seen", when, step.control)
			}
			tab.Do(chromedp.KeyEvent(step.key))
			presses++
			d.only(t, presses, fmt.Sprintf("%s, %s by a key", when, step.action))
			settled(tab, step.action)
			if got := browser.Eval[string](tab, `document.activeElement.dataset.control ?? 'elsewhere'`); got != step.control {
				t.Errorf("%s, after the key the focus is %s", when, got)
			}
			tab.Until(`document.querySelector('[role=status]').innerText.includes('` + step.action + ` not confirmed')`)
		}
	}
	keyboard("before the program")
	letGo()
	tab.Wait(`html[data-program=running]`)
	pressApart(tab)
	keyboard("with the program")

	// The alarm has the most to show.
	tab.Click("button", "Pause recording")
	settled(tab, "Pause")
	for role, names := range map[string][]string{"button": {"Pause recording", "Resume recording", "I paused it there", "Log out"}, "status": {""}, "main": {""}} {
		for _, name := range names {
			if n := tab.Has(role, name); n != 1 {
				t.Errorf("there are %d of the %s %q", n, role, name)
			}
		}
	}
	if got := browser.Eval[int](tab, `document.querySelectorAll('[role=status]').length`); got != 1 {
		t.Errorf("%d live regions", got)
	}
	for _, preference := range [][]string{nil, {"prefers-color-scheme", "dark"}, {"prefers-reduced-motion", "reduce"}, {"prefers-color-scheme", "dark", "forced-colors", "active"}} {
		tab.Prefer(preference...)
		for _, width := range []int64{320, 600, 1024} {
			tab.Viewport(width, 640)
			if over := browser.Eval[int](tab, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%v, %d px wide: %d px too much", preference, width, over)
			}
			if small := browser.Eval[string](tab, `[...document.querySelectorAll('.actions button')].map(b => b.getBoundingClientRect()).filter(r => r.height < 44 || r.width < 44 || r.left < 0 || r.right > innerWidth).map(r => JSON.stringify(r)).join()`); small != "" {
				t.Errorf("%v, %d px wide: buttons too small or outside: %s", preference, width, small)
			}
		}
	}
	ground := func(scheme string) string {
		tab.Prefer("prefers-color-scheme", scheme)
		return browser.Eval[string](tab, `getComputedStyle(document.body).backgroundColor`)
	}
	if ground("light") == ground("dark") {
		t.Error("dark looks like light")
	}
	tab.Prefer("prefers-reduced-motion", "reduce")
	d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{Before: 1200 * time.Millisecond})
	tab.Click("button", "Resume recording")
	tab.WaitState(string(recording.Resuming))
	if moving := browser.Eval[int](tab, `document.getAnimations().filter(a => a.playState === 'running' && a.effect.getComputedTiming().duration > 1).length`); moving != 0 {
		t.Errorf("%d things move for a person who wants none to", moving)
	}
	settled(tab, "Resume")
	tab.Prefer()

	// All that the page asked for is ours, or the platform's own page; and no worker stands between it and the server.
	if strangers := browser.Eval[string](tab, `(async () => [...performance.getEntriesByType('resource').map(e => new URL(e.name).origin).filter(o => o !== location.origin && o !== '`+d.url+`'),
		...(await navigator.serviceWorker.getRegistrations()).map(r => r.scope)].join())()`); strangers != "" {
		t.Errorf("the page doesn't stand alone: %s", strangers)
	}
}
