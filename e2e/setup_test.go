package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// openSetup opens the setup page of the desk's agent, who is logged in.
func (o *office) openSetup(t *testing.T, tab *browser.Tab) {
	t.Helper()
	o.logIn(t, tab, o.d)
	tab.Open(o.url + "/setup")
	tab.Until(`document.cookie.includes("offrecord_tpc=")`)
}

// bookmarks are the bookmarks that act, by name, as they stand in the page.
func bookmarks(tab *browser.Tab) map[string]string {
	tab.Click("button", "Let it pause at once")
	tab.Until(`document.querySelector('[data-mark]').href.includes('bookmark%23')`)
	return browser.Eval[map[string]string](tab, `Object.fromEntries([...document.querySelectorAll('[data-mark]')].map(a => [a.innerText, decodeURIComponent(a.href)]))`)
}

// press runs a bookmark in a page, as its click does: with a person's event, and past the page's policy.
func press(tab *browser.Tab, bookmark string) {
	tab.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		said, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: bookmark[len("javascript:"):], UserGesture: new(true)})
		if err == nil && said.ExceptionDetails != nil {
			err = errors.New(said.ExceptionDetails.Text + " " + said.ExceptionDetails.Exception.Description)
		}
		return err
	}))
}

// The self-test says Ready, or the thing to mend.
func TestSetup(t *testing.T) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			o := newOffice(t, byCookie, false)
			b := browser.Launch(t, o.net, world)
			tab := b.Tab(t)
			o.openSetup(t, tab)
			tab.Click("button", "Test this browser")
			tab.Until(`document.querySelector('.verdict').innerText === 'Ready'`)

			// A link, made, shown, and revoked; the bookmark's own one, too.
			tab.Click("button", "Let it pause at once")
			tab.Wait(`button[aria-label="Revoke the link Bookmark"]`)
			tab.Click("button", "Make a link")
			tab.Until(`document.querySelectorAll('.links li').length === 2`)
			tab.Click("button", "Revoke the link Card")
			tab.Until(`document.querySelectorAll('.links li').length === 1`)
			tab.Click("button", "Revoke the link Bookmark")
			tab.Until(`document.querySelectorAll('.links li').length === 0 && !document.querySelector('[data-mark]').href.includes('%23')`)

			// What isn't right is named.
			o.stop(t)
			tab.Allow(`ERR_CONNECTION_REFUSED|Failed to load resource`)
			tab.Click("button", "Test this browser")
			tab.Until(`document.querySelector('.verdict').innerText.startsWith('Not ready: ')`)
		})
	}
}

// A bookmark on the platform's own page reads the answer there; on any other page it opens the window of a link; on a page of a
// strict policy it works all the same. It carries no token.
func TestBookmarks(t *testing.T) { everywhere(t, pressBookmarks) }

func pressBookmarks(t *testing.T, world browser.Cookies) {
	o := newOffice(t, byCookie, true)
	b := browser.Launch(t, o.net, world)
	setup, workspace := b.Tab(t), b.Tab(t)
	o.openSetup(t, setup)
	marks := bookmarks(setup)
	for name, code := range marks {
		if strings.Contains(code, o.d.sim.ActionToken()) || strings.Contains(code, "token") {
			t.Errorf("the bookmark %s carries a token", name)
		}
	}
	allowPlatformNoise(workspace)
	o.d.signIn(t, workspace)
	workspace.Open(o.d.url + agui.WorkspacePath)

	keepOpened(workspace)

	// On Agent Workspace: the answer is read.
	popup := workspace.Popup(func() { press(workspace, marks["Pause recording"]) })
	o.awaitTape(t, false, "the pause from Agent Workspace")
	window := popup.Tab()
	window.Until(`document.querySelector('main').dataset.settled === 'accepted'`)
	popup.WaitClosed()
	workspace.Until(`opened.closed`)
	// What it refuses is read, too; a resume asks first.
	o.d.sim.SetFault(recording.RouteSession, o.d.agent(), agui.Fault{Status: http.StatusInternalServerError})
	workspace.Allow(`status of 500`)
	popup = workspace.Popup(func() { press(workspace, marks["Resume recording"]) })
	window = popup.Tab()
	window.Click("button", "Resume recording")
	window.Until(`document.querySelector('main').dataset.settled === 'unknown'`)
	o.d.sim.SetFault(recording.RouteSession, o.d.agent(), agui.Fault{})
	if o.recording() {
		t.Error("the tape runs")
	}
	window.Click("button", "Resume recording")
	o.awaitTape(t, true, "the resume from Agent Workspace")
	window.Until(`document.querySelector('main').dataset.settled === 'accepted'`)
	for _, r := range o.d.controls() {
		if r.Site != "same-origin" {
			t.Errorf("a request of a bookmark on the platform's page came as %s", r.Site)
		}
	}

	// Elsewhere, under a strict policy: the window of a link. It pauses; a resume has its button.
	crm := b.Tab(t)
	allowPlatformNoise(crm)
	crm.Open(o.crm + "/checkout?plain")
	keepOpened(crm)
	popup = crm.Popup(func() { press(crm, marks["Pause recording"]) })
	o.awaitTape(t, false, "the pause from the CRM's page")
	if world == browser.ThirdPartyBlocked {
		popup.WaitClosed() // it became the platform's
	} else {
		popup.Tab().Until(`document.querySelector('main').dataset.settled === 'sent'`)
		popup.Close()
		popup.WaitClosed()
	}
	crm.Until(`opened.closed`)
	popup = crm.Popup(func() { press(crm, marks["Resume recording"]) })
	window = popup.Tab()
	window.Wait(`form[data-act]`)
	if o.recording() {
		t.Error("an address resumed by itself")
	}
	window.Click("button", "Resume recording")
	o.awaitTape(t, true, "the resume from the CRM's page")

	// On a page that lies about being the platform's there is nothing to be had.
	crm = b.Tab(t)
	crm.Allow(`postMessage|does not match the recipient`)
	crm.Open(o.crm + "/?plain")
	browser.Eval[bool](crm, `(window.got = [], addEventListener('message', e => got.push(e.data)), true)`)
	popup = crm.Popup(func() {
		press(crm, "javascript:window.w = open('"+o.url+"/act/here?action=pause', 'x', 'popup,width=400,height=400')")
	})
	window = popup.Tab()
	window.Wait(`form[data-act]`) // it went on to the page of a link
	if n := browser.Eval[int](crm, `got.length`); n != 0 {
		t.Errorf("another page was told %d things", n)
	}
	if !o.recording() {
		t.Error("another page paused")
	}
}

// keepOpened keeps the window that the page opens. For a moment after it is gone, the page still reaches it by its name, and a
// press that came as quickly as a test's would open none.
func keepOpened(tab *browser.Tab) {
	browser.Eval[bool](tab, `(window.open = (open => (...how) => window.opened = open.apply(window, how))(window.open), true)`)
}

// Where the server asks the platform, a bookmark's window acts, and closes when it is so.
func TestABookmarkThatIsConfirmed(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, browser.ThirdPartyBlocked)
	setup, crm := b.Tab(t), b.Tab(t)
	o.openSetup(t, setup)
	marks := bookmarks(setup)
	crm.Open(o.crm + "/checkout?plain")
	popup := crm.Popup(func() { press(crm, marks["Pause recording"]) })
	popup.WaitClosed()
	if o.recording() {
		t.Error("the tape runs")
	}
}

// Who runs the CRM sees the script that is chosen at work, and needs no recording for it.
func TestTheScriptOnASamplePage(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, false)
	b := browser.Launch(t, o.net, browser.ThirdPartyBlocked)
	tab := b.Tab(t)
	tab.Viewport(1024, 900)
	o.enterAs(t, tab, "ann@acme.example")
	tab.Open(o.url + "/setup")
	browser.Eval[bool](tab, `(document.querySelector('.sample').scrollIntoView(), true)`)
	const panel, number = `document.querySelector('.sample').contentDocument?.querySelector('offrecord-panel')`, `document.querySelector('.sample').contentDocument?.querySelector('[autocomplete=cc-number]')`
	tab.Until(panel + `?.shadowRoot?.querySelector('iframe')?.contentDocument?.documentElement.dataset.program === 'running'`)
	if browser.Eval[bool](tab, number+`.inert`) {
		t.Error("the field is shut, and no guard was chosen")
	}
	tab.Click("checkbox", "Keep card fields shut until the recording is paused")
	tab.Click("checkbox", "As a pill that can be moved")
	tab.Until(number + `?.inert && ` + panel + `.hasAttribute('float')`)
	if got := browser.Eval[string](tab, `document.getElementById('snippet').value`); !strings.Contains(got, "data-guard='confirmed'") || !strings.Contains(got, "<offrecord-panel float>") || !strings.Contains(got, "data-platform='bill'") {
		t.Errorf("the script is %s", got)
	}

	tab.Open("about:blank") // the widget asks on, and would be refused
	forget(tab)
	o.enterAs(t, tab, "sam@acme.example") // who has no platform
	tab.Open(o.url + "/setup")
	browser.Eval[bool](tab, `(document.querySelector('.sample').scrollIntoView(), true)`)
	tab.Until(panel + `?.shadowRoot?.querySelector('iframe')?.contentDocument?.body.innerText.includes('you have no recording of your own here')`)
	if tab.Has("button", "Test this browser") != 0 {
		t.Error("who has no recording is asked to test the browser for it")
	}
}

// A helper window that may open windows lets triggers pause without a click.
func TestHelper(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byCookie, true)
	f := newFront(t, o.stage)
	o.setUp()
	b := browser.Launch(t, o.net, browser.ThirdPartyBlocked, browser.Preference("profile.default_content_setting_values.popups", 1))
	o.d.signIn(t, b.Tab(t))
	helper := b.Tab(t)
	allowPlatformNoise(helper)
	o.logIn(t, helper, o.d)
	helper.Open(o.url + "/helper")
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	frame := o.open(t, tab, "/checkout?guard=accepted")
	frame.Wait(`html[data-helper]`)
	if got := browser.Eval[string](tab, `offrecord('pause').then(r => r.outcome, e => e.code)`); got != "accepted" {
		t.Errorf("by the helper the pause is %s", got)
	}
	if o.recording() {
		t.Error("the tape runs")
	}
	tab.Until(`!document.getElementById('number').inert`)
	if got := browser.Eval[string](tab, `offrecord('resume').then(r => r.outcome, e => e.code)`); got != "accepted" {
		t.Errorf("by the helper the resume is %s", got)
	}
	if !o.recording() {
		t.Error("the tape is silent")
	}

	// A helper whose network went away without a word: the wish is given to nobody, and goes the other way at once, by a window
	// of the page's own. What comes through to the helper later is late.
	tab.Allow(`status of 404.*/widget/helper`)
	letGo := f.withhold("/helper/take")
	if got := browser.Eval[string](tab, `offrecord('pause').then(r => r.outcome, e => e.code)`); got != "accepted" {
		t.Errorf("by a helper that can't be heard the pause is %s", got)
	}
	letGo()
	if n := browser.Eval[int](helper, `document.querySelectorAll('.links li').length`); n != 2 || o.recording() {
		t.Errorf("the helper did %d things, and the tape runs: %v", n, o.recording())
	}
	frame.Wait(`html[data-helper]`)
	if got := browser.Eval[string](tab, `offrecord('resume').then(r => r.outcome, e => e.code)`); got != "accepted" {
		t.Errorf("by a helper that is heard again the resume is %s", got)
	}
	helper.Until(`document.querySelectorAll('.links li').length === 3`)
	helper.Open("about:blank")

	// One that may open nothing finds it out once, and then isn't asked any more: who has the person's own event is told so.
	shy := browser.Launch(t, o.net, browser.ThirdPartyBlocked)
	helper = shy.Tab(t)
	o.logIn(t, helper, o.d)
	helper.Open(o.url + "/helper")
	tab = shy.Tab(t)
	frame = o.open(t, tab, "/checkout")
	frame.Wait(`html[data-helper]`)
	if got := browser.Eval[string](tab, `offrecord('pause').then(r => r.outcome, e => e.code)`); got != "failed" {
		t.Errorf("by a helper that may open nothing the pause is %s", got)
	}
	frame.Wait(`html:not([data-helper])`)
	if !strings.Contains(helper.Text(".verdict"), "blocked") {
		t.Errorf("the helper says %s", helper.Text(".verdict"))
	}
}
