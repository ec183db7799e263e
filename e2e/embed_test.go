package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/crm"
	"offrecord/web/platform/upstream"
)

// The panel in another company's page. The CRM, the payment company, the panel and the platform are four registrable names.
const (
	crmName     = "shop.larch.test"
	paymentName = "pay.cardhouse.test"
)

// everywhere tells a story in each of the browser's worlds, side by side.
func everywhere(t *testing.T, story func(*testing.T, browser.Cookies)) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			t.Parallel()
			story(t, world)
		})
	}
}

// office is a stage whose desk works in a CRM.
type office struct {
	*stage
	d   *desk
	crm string // its origin
	pay string
	app *crm.CRM
	// setUp makes the CRM anew, for a companion at another address.
	setUp func()
}

// byServer and byCookie are how the desk's platform is reached.
const (
	byServer = "[server]"
	byCookie = "[session]"
)

// newOffice starts it. With a secret the CRM's server says who its agents are, else they sign in by themselves.
func newOffice(t *testing.T, routes string, signs bool) *office {
	t.Helper()
	o := &office{d: &desk{name: "bill", routes: routes}}
	var secret, file string
	if signs {
		secret, file = "a secret of at least thirty-two bytes", filepath.Join(t.TempDir(), "embed-secret")
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.stage = newStageWith(t, func(s *stage) {
		o.crm = s.net.Serve(t, crmName, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { o.app.ServeHTTP(w, r) })).URL
		o.pay = s.net.Serve(t, paymentName, crm.Payment(o.crm)).URL
		trust := s.net.Client().Transport.(*http.Transport)
		s.upstream = upstream.Options{RootCAs: trust.TLSClientConfig.RootCAs, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return trust.DialContext(ctx, network, address)
		}}
		s.people = "  - {email: sam@acme.example, role: supervisor}\n  - {email: ann@acme.example, role: admin, platform: bill}\n"
		s.more = fmt.Sprintf("embed_origins: [%q]\n", o.crm)
		if signs {
			s.identity = fmt.Sprintf(", embed_jwt: {issuer: %q, audience: offrecord, secret_file: %q}", o.crm, file)
		}
	}, o.d)
	o.setUp = func() {
		o.app = crm.New(crm.Config{Offrecord: o.url, Origin: o.crm, Payment: o.pay, Secret: secret, Audience: "offrecord",
			Agents: []crm.Agent{{Email: o.d.email(), Platform: o.d.name, About: "8x8"}}})
	}
	o.setUp()
	o.d.sim.StartCall(o.d.agent())
	return o
}

// open opens a page of the CRM and waits until its panel knows whether it is ready. It returns the panel's frame.
func (o *office) open(t *testing.T, tab *browser.Tab, path string) *browser.Tab {
	t.Helper()
	tab.Open(o.crm + path)
	frame := tab.Frame(o.url + "/widget")
	frame.Wait(`html[data-program=running]`)
	frame.Until(`document.querySelector('.readiness:not(.checking)')`)
	return frame
}

// watchInput notes when something is typed into which field, by the page's clock, before any script of the page.
const watchInput = `addEventListener('input', e => { (window.typed ||= []).push({At: performance.timeOrigin + e.timeStamp, Field: e.target.id}); }, true);
addEventListener('focusin', e => { asked = 0; if (e.target.matches?.('[autocomplete^="cc-"]')) (window.entered ||= []).push(performance.timeOrigin + e.timeStamp); }, true);
let asked = 0; // what the loader asks for has an id
const id = crypto.randomUUID;
crypto.randomUUID = () => (asked++, id.call(crypto));
addEventListener('focusin', e => { if (e.target.matches?.('[autocomplete^="cc-"]')) (window.atOnce ||= []).push(asked > 0); });`

// holdTimers keeps the patience of what is asked for until impatient is called.
const holdTimers = `{ const timer = setTimeout; window.late = []; window.setTimeout = (fn, ms, ...args) => ms === 1e4 ? late.push(() => fn(...args)) : timer(fn, ms, ...args); }`

// impatient ends the patience of a promise that the page keeps under a name, and says what it was rejected with.
func impatient(tab *browser.Tab, promise string) string {
	return browser.Eval[string](tab, `(late.splice(0).forEach(end => end()), `+promise+`.then(r => r.outcome, error => error instanceof Error && error.message ? error.code : 'no Error'))`)
}

// pill is what the loader's own button says, be it shown or not.
const pill = `document.querySelector('offrecord-panel').shadowRoot.querySelector('button').textContent`

type typed struct {
	At    float64
	Field string
}

// strike types as fast as the browser takes it.
func strike(tab *browser.Tab, text string) { tab.Do(chromedp.KeyEvent(text)) }

// middle is where an element of the page is.
func middle(tab *browser.Tab, expression string) (x, y float64) {
	at := browser.Eval[[]float64](tab, `(r => [r.x + r.width / 2, r.y + r.height / 2])((`+expression+`).getBoundingClientRect())`)
	return at[0], at[1]
}

// click clicks with the mouse in the middle of an element, or of what covers it.
func click(tab *browser.Tab, selector string) {
	browser.Eval[bool](tab, `(document.querySelector('`+selector+`').scrollIntoView({block: 'center', behavior: 'instant'}), true)`)
	x, y := middle(tab, `document.querySelector('`+selector+`')`)
	tab.Do(chromedp.MouseClickXY(x, y))
}

// panelFrame is the panel's frame in a page of the CRM.
const panelFrame = `document.querySelector('offrecord-panel').shadowRoot.querySelector('iframe')`

// clickIn clicks with the mouse on an element of the panel's frame. The page isn't scrolled for it: browsers ignore clicks into
// a foreign frame that has just moved.
func clickIn(tab, frame *browser.Tab, selector string) {
	left := browser.Eval[[]float64](tab, `(r => [r.x, r.y])(`+panelFrame+`.getBoundingClientRect())`)
	x, y := middle(frame, `document.querySelector('`+selector+`')`)
	tab.Do(chromedp.MouseClickXY(left[0]+x, left[1]+y))
}

func (o *office) recording() bool { return o.d.sim.Recording(o.d.agent()) }

func (o *office) awaitTape(t *testing.T, recording bool, why string) {
	t.Helper()
	o.d.await(t, why, func() bool { return o.recording() == recording })
}

// asked is how often the platform was asked to pause and to resume.
func (o *office) asked() (pauses, resumes int) {
	return len(o.d.sim.Requests(agui.Filter{Action: recording.Pause})), len(o.d.sim.Requests(agui.Filter{Action: recording.Resume}))
}

// pausedAt is when the tape fell silent for the n-th time, from 1, by the page's clock.
func (o *office) pausedAt(n int) float64 {
	for _, e := range o.d.sim.Effects(o.d.agent()) {
		if e.Kind == agui.Paused {
			if n--; n == 0 {
				return float64(e.At.UnixMicro()) / 1000
			}
		}
	}
	return 0
}

// With the guard, no digit reaches a card field before the platform's own ledger says that the tape is silent: by the mouse, by
// the label, by the Tab key, with a platform that is slow, and again after a resume.
func TestGuard(t *testing.T) {
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			o := newOffice(t, byServer, true)
			b := browser.Launch(t, o.net, world)
			tab := b.Tab(t)
			tab.Before(watchInput)
			frame := o.open(t, tab, "/checkout?guard&resume-after=200ms")
			if !browser.Eval[bool](tab, `[...document.querySelectorAll('[autocomplete^="cc-"]')].every(field => field.inert)`) {
				t.Fatal("a card field is open before anything was paused")
			}
			if got := browser.Eval[string](tab, `document.querySelector('offrecord-guard').shadowRoot.querySelector('button').textContent`); got != "Waiting for the pause" {
				t.Errorf("a shut field says %q", got)
			}
			// A field becomes one, as where a framework uses an element again for another; and the page can't open one.
			if !browser.Eval[bool](tab, `new Promise(done => { note.autocomplete = 'cc-number'; number.inert = false; setTimeout(() => { done(note.inert && number.inert); note.autocomplete = 'off'; }); })`) {
				t.Error("a field that became a card field is open")
			}
			tab.Until(`!document.getElementById('note').inert`)
			ways := []struct {
				name  string
				field string
				enter func()
				slow  time.Duration
			}{
				{"the mouse", "number", func() { click(tab, "#number") }, 0},
				{"its label", "code", func() { click(tab, "label[for=code]") }, 0},
				{"the Tab key", "number", func() { click(tab, "#cc-name"); strike(tab, kb.Tab) }, 0},
				{"the Tab key, backwards", "code", func() {
					click(tab, "#note")
					tab.Do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
				}, 0},
				{"the mouse, and a slow platform", "expiry", func() { click(tab, "#expiry") }, 300 * time.Millisecond},
			}
			for i, way := range ways {
				o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{Before: way.slow})
				before := browser.Eval[int](tab, `(window.typed ??= []).length`)
				way.enter()
				strike(tab, "4111")
				tab.Until(`document.activeElement.id === '` + way.field + `' && !document.activeElement.inert`)
				strike(tab, "1111")
				tab.Until(fmt.Sprintf(`window.typed.length >= %d`, before+4))
				silent := o.pausedAt(i + 1)
				for _, key := range browser.Eval[[]typed](tab, fmt.Sprintf(`window.typed.slice(%d)`, before)) {
					if key.Field != way.field || silent == 0 || key.At < silent {
						t.Errorf("by %s: a digit in %s at %.1f, and the tape was silent from %.1f", way.name, key.Field, key.At, silent)
					}
				}
				click(tab, "#note")
				o.awaitTape(t, true, "the resume after "+way.name)
				tab.Until(`document.getElementById('number').inert`)
			}

			// A field that is open already, by the hand's own pause, isn't taken from under the hands by the trigger's.
			o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{})
			browser.Eval[bool](frame, `(document.querySelector('[data-control=pause]').click(), true)`)
			tab.Until(`!document.getElementById('number').inert`)
			browser.Eval[bool](tab, `(document.getElementById('number').value = '', true)`)
			click(tab, "#number")
			strike(tab, "4111111111111111")
			if got := browser.Eval[string](tab, `document.getElementById('number').value`); got != "4111111111111111" {
				t.Errorf("of 16 digits in an open field %q arrived", got)
			}
			// Without a panel nobody knows, and another one is asked.
			click(tab, "#note")
			tab.Until(`!sessionStorage.getItem('offrecord-panel').includes('field')`)
			if !browser.Eval[bool](tab, `(window.panel = document.querySelector('offrecord-panel'), panel.remove(), number.inert)`) {
				t.Error("a field is open, and nobody knows of the recording")
			}
			browser.Eval[bool](tab, `(document.querySelector('.beside').append(panel), true)`)
			tab.Until(`!document.getElementById('number').inert`)
			browser.Eval[bool](tab, `(document.querySelector('.beside').append(window.second = document.createElement('offrecord-panel')), true)`)
			tab.Until(`second.shadowRoot.querySelector('button').className === 'paused'`)
			browser.Eval[bool](tab, `(panel.remove(), true)`)
			tab.Until(`!document.getElementById('number').inert`)
			if got := browser.Eval[string](tab, `offrecord('ready').then(r => r.state, e => e.code)`); got != "paused" {
				t.Errorf("the panel that is left is %s", got)
			}
		})
	}
}

// Without the guard, the pause races the typist. What is promised is that it leaves in the task of the focus.
func TestFocusPauses(t *testing.T) {
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			o := newOffice(t, byServer, true)
			b := browser.Launch(t, o.net, world)
			tab := b.Tab(t)
			tab.Before(watchInput)
			frame := o.open(t, tab, "/checkout?resume-after=200ms&panel=float")
			counts := func(pauses, resumes int, why string) {
				t.Helper()
				if p, r := o.asked(); p != pauses || r != resumes {
					t.Errorf("%s: the platform was asked to pause %d times and to resume %d times, want %d and %d", why, p, r, pauses, resumes)
				}
			}
			tab.Click("textbox", "Card number")
			o.awaitTape(t, false, "the pause")
			entered := browser.Eval[float64](tab, `window.entered[0]`)
			if !browser.Eval[bool](tab, `window.atOnce[0]`) {
				t.Error("the pause left after the task of the focus")
			}
			t.Logf("focus to silent tape: %.0f ms; a fast typist's first digit comes after 100 ms", o.pausedAt(1)-entered)

			// Two fields are one hold.
			frame.WaitState("paused")
			strike(tab, "4111111111111111"+kb.Tab)
			tab.Until(`document.activeElement.id === 'expiry'`)
			strike(tab, "0130"+kb.Tab)
			tab.Until(`document.activeElement.id === 'code'`)
			counts(1, 0, "two fields")
			strike(tab, "123"+kb.Tab)
			o.awaitTape(t, true, "the resume after the last field")
			counts(1, 1, "left")

			// The agent overrides: a resume by hand ends the hold, and the next field pauses anew.
			frame.WaitState("recording")
			click(tab, "#number")
			o.awaitTape(t, false, "the second pause")
			frame.WaitState("paused")
			browser.Eval[bool](frame, `(document.querySelector('[data-control=resume]').click(), true)`)
			o.awaitTape(t, true, "the resume by hand")
			frame.WaitState("recording")
			strike(tab, kb.Tab)
			o.awaitTape(t, false, "the pause of the next field")

			// A pause by hand outlasts the field.
			frame.WaitState("paused")
			browser.Eval[bool](frame, `(document.querySelector('[data-control=pause]').click(), true)`)
			o.d.await(t, "the pause by hand", func() bool { p, _ := o.asked(); return p == 4 })
			frame.WaitOutcome("confirmed")
			click(tab, "#note")
			frame.Wait(`.attempt.superseded`)
			if o.recording() {
				t.Error("a trigger ended the hand's pause")
			}
		})
	}
}

// A page that is quicker than the loader, and one whose panel hears nothing any more.
func TestEarlyAndDeaf(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	f := newFront(t, o.stage)
	o.setUp()
	b := browser.Launch(t, o.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow(panelName) // its address, when it is gone
	tab.Allow(`Failed to load resource: net::ERR_`)
	tab.Before(holdTimers)

	// What is asked for before the loader is there, and before its panel is, waits for them.
	loader, widget := f.withhold("/embed/v1.js"), f.withhold("/widget")
	tab.Go(o.crm + "/checkout?guard&resume-after=200ms")
	tab.Until(`window.offrecord?.q`) // the CRM has said who works here
	browser.Eval[bool](tab, `(window.early = offrecord('pause', {reason: 'early', name: 'early'}), true)`)
	loader()
	tab.Until(`offrecord.v && document.getElementById('number').inert`)
	widget()
	if got := browser.Eval[string](tab, `early.then(r => r.outcome, e => e.code)`); got != "confirmed" {
		t.Errorf("a pause that was asked for early is %s", got)
	}
	o.awaitTape(t, false, "the early pause")
	frame := tab.Frame(o.url + "/widget")
	tab.Until(`!document.getElementById('number').inert`)

	// An answer that doesn't come is a timeout, and no claim that nothing was sent.
	letGo := f.withhold("/api/v1/actions")
	browser.Eval[bool](tab, `(window.slow = offrecord('pause', {name: 'slow'}), true)`)
	frame.WaitState("pausing")
	if got := impatient(tab, "slow"); got != "timeout" {
		t.Errorf("a pause that nobody answered is %s", got)
	}
	letGo()
	frame.WaitState("paused")

	// An open field stays open under the hands of who is in it when the connection is lost, and shuts when it is left: the call
	// may be another by then.
	click(tab, "#number")
	tab.Until(`document.activeElement.id === 'number'`)
	frame.Until(`document.querySelectorAll('.attempt.confirmed').length === 3`)
	f.gone()
	tab.Until(pill + ` === '? Not known'`)
	strike(tab, "4111")
	if got := browser.Eval[string](tab, `document.getElementById('number').value`); got != "4111" {
		t.Errorf("without a connection, of four digits in an open field %q arrived", got)
	}
	click(tab, "#note")
	tab.Until(`document.getElementById('number').inert`)
	f.back()
	tab.Until(`!document.getElementById('number').inert`)
	if o.recording() {
		t.Error("the field is open, and the tape runs")
	}
}

// What a page does to its own fields, and what becomes of a page, ends no hold that isn't its own.
func TestHoldsOfPages(t *testing.T) { everywhere(t, holdByPages) }

func holdByPages(t *testing.T, world browser.Cookies) {
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, world)
	tab := b.Tab(t)
	const quick = "resume-after=200ms&panel=float"

	// Drawn anew under the hands: the focus comes back, and nothing is asked for.
	frame := o.open(t, tab, "/app?"+quick+"&pause-path=/app/pay")
	browser.Eval[bool](tab, `(larch.go('/app/pay'), true)`)
	o.awaitTape(t, false, "the pause of the payment step")
	tab.Click("textbox", "Card number")
	frame.Until(`document.querySelectorAll('.attempt.confirmed').length >= 2`) // the field holds, too
	before, _ := o.asked()
	for range 3 {
		browser.Eval[bool](tab, `(larch.again(), true)`)
	}
	strike(tab, "4111")
	tab.Until(`document.activeElement.id === 'number' && document.activeElement.value === '4111'`)
	// The step is left: both of its holds go, one after the other.
	browser.Eval[bool](tab, `(larch.go('/app/thanks'), true)`)
	o.awaitTape(t, true, "the resume after the payment step")
	if pauses, _ := o.asked(); pauses != before {
		t.Errorf("drawing anew asked for %d pauses", pauses-before)
	}

	// The form loads the next page. That goes on with the tab's hold, and gives it back.
	frame = o.open(t, tab, "/checkout?"+quick)
	frame.WaitState("recording")
	tab.Click("textbox", "Card number")
	o.awaitTape(t, false, "the pause of the checkout")
	strike(tab, "4111\r")
	tab.Until(`location.pathname === '/done'`)
	o.awaitTape(t, true, "the resume by the next page")

	// A form that is submitted pauses on the way; the next page gives that back.
	o.open(t, tab, "/checkout?pause-on=.none&pause-submit=form&resume-after=200ms&panel=float")
	before, _ = o.asked()
	click(tab, ".pay")
	tab.Until(`location.pathname === '/done'`)
	o.d.await(t, "the pause of a submission", func() bool { n, _ := o.asked(); return n > before })
	o.awaitTape(t, true, "the resume after it")

	// An alt-tab takes the focus from the window, and ends nothing.
	frame = o.open(t, tab, "/checkout?"+quick)
	tab.Click("textbox", "Card number")
	o.awaitTape(t, false, "the pause before an alt-tab")
	_, resumed := o.asked()
	browser.Eval[bool](tab, `new Promise(done => { document.hasFocus = () => false; document.activeElement.blur(); dispatchEvent(new Event('blur')); setTimeout(done, 900, true); })`)
	if _, now := o.asked(); now != resumed {
		t.Error("an alt-tab released the hold")
	}
	// Back in another field the trigger's hold goes; a resume that doesn't work is asked for again, since nobody would press it.
	o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{Status: http.StatusBadRequest})
	browser.Eval[bool](tab, `(delete document.hasFocus, dispatchEvent(new Event('focus')), true)`)
	frame.WaitOutcome("failed")
	o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{})
	o.awaitTape(t, true, "the resume after coming back to another field")
	frame.WaitState("recording")

	// Two tabs: the one that is left doesn't end what the other holds. A tab that is gone ends nothing.
	other := b.Tab(t)
	o.open(t, tab, "/checkout?"+quick)
	frame = o.open(t, other, "/checkout?"+quick)
	tab.Click("textbox", "Card number")
	o.awaitTape(t, false, "the pause of the first tab")
	other.Click("textbox", "Card number")
	frame.Until(`[...document.querySelectorAll('.attempt')].filter(a => a.classList.contains('confirmed')).length >= 2`)
	other.Click("textbox", "Note")
	frame.Wait(`.attempt.superseded`)
	if o.recording() {
		t.Error("a tab ended the other's hold")
	}
	tab.Open("about:blank")
	other.Click("textbox", "Card number")
	other.Click("textbox", "Note")
	frame.Until(`document.querySelectorAll('.attempt.superseded').length >= 2`)
	if o.recording() {
		t.Error("a page that is gone ended its hold")
	}
}

// A payment company's frame counts by its having the focus, and the guard shuts it as a whole.
func TestPaymentFrame(t *testing.T) { everywhere(t, payInAFrame) }

func payInAFrame(t *testing.T, world browser.Cookies) {
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, world)
	tab := b.Tab(t)
	o.open(t, tab, "/hosted?guard&resume-after=200ms")
	tab.Frame(o.pay + "/frame").Before(watchInput)
	tab.Until(`document.querySelector('.payment').inert`)
	x, y := middle(tab, `document.querySelector('.payment')`)
	tab.Do(chromedp.MouseClickXY(x, y))
	tab.Until(`!document.querySelector('.payment').inert && document.activeElement.name === 'payment-card'`)
	if o.recording() {
		t.Error("the frame is open, and the tape runs")
	}
	click(tab, "#note")
	o.awaitTape(t, true, "the resume after the frame")

	o.open(t, tab, "/hosted?resume-after=200ms") // without the guard
	x, y = middle(tab, `document.querySelector('.payment')`)
	tab.Do(chromedp.MouseClickXY(x, y-50)) // its card number
	o.awaitTape(t, false, "the pause of a focused frame")
	click(tab, "#note")
	o.awaitTape(t, true, "the resume after it")
	// From frame to frame, of which the page hears nothing.
	clickIn(tab, tab.Frame(o.url+"/widget"), ".hero.live .headline")
	tab.Until(`document.activeElement.localName === 'offrecord-panel'`)
	tab.Do(chromedp.MouseClickXY(x, y-50))
	o.awaitTape(t, false, "the pause of a frame after another")
}

// Nothing of offrecord's reads what is in a field: whoever asks for a value is found by the script that it asks from.
func TestValuesAreNeverRead(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Before(watchInput + `
	const reads = window.reads = [];
	const note = what => { const stack = new Error().stack; if (stack.includes('/embed/v1.js')) reads.push(what + ' ' + stack); };
	const watch = (of, name) => {
		const was = Object.getOwnPropertyDescriptor(of, name);
		if (was.get) Object.defineProperty(of, name, {...was, get() { if (!this.closest?.('offrecord-panel,offrecord-guard') && this.localName !== 'button') note(name); return was.get.call(this); }});
		else Object.defineProperty(of, name, {...was, value(...args) { note(name); return was.value.apply(this, args); }});
	};
	for (const of of [HTMLInputElement, HTMLTextAreaElement, HTMLSelectElement]) watch(of.prototype, 'value');
	for (const name of ['valueAsNumber', 'valueAsDate', 'files', 'selectionStart', 'selectionEnd', 'list']) watch(HTMLInputElement.prototype, name);
	watch(Node.prototype, 'textContent'); watch(Element.prototype, 'innerHTML'); watch(Element.prototype, 'outerHTML'); watch(HTMLElement.prototype, 'innerText');
	watch(InputEvent.prototype, 'data'); watch(InputEvent.prototype, 'dataTransfer'); watch(KeyboardEvent.prototype, 'key'); watch(KeyboardEvent.prototype, 'code'); watch(KeyboardEvent.prototype, 'keyCode'); watch(ClipboardEvent.prototype, 'clipboardData');
	watch(Document.prototype, 'getSelection');
	const Form = window.FormData; window.FormData = class extends Form { constructor(...a) { note('FormData'); super(...a); } };
	const get = HTMLFormElement.prototype, elements = Object.getOwnPropertyDescriptor(get, 'elements'); Object.defineProperty(get, 'elements', {...elements, get() { note('elements'); return elements.get.call(this); }});
 `)
	o.open(t, tab, "/checkout?guard&resume-after=200ms")
	click(tab, "#number")
	tab.Until(`document.activeElement.id === 'number' && !document.activeElement.inert`)
	strike(tab, "4111111111111111"+kb.Tab+"0130"+kb.Tab+"123"+kb.Tab)
	o.awaitTape(t, true, "the resume")
	tab.Until(`document.getElementById('number').inert`)
	if reads := browser.Eval[[]string](tab, `window.reads`); len(reads) > 0 {
		t.Errorf("%d reads: %.600s", len(reads), reads[0])
	}
	if n := browser.Eval[int](tab, `window.typed.length`); n < 23 {
		t.Errorf("only %d digits were typed, so little was watched", n)
	}
	// That who reads is found.
	if n := browser.Eval[int](tab, `(number.value, new FormData(number.form), window.reads.length)
//# sourceURL=https://x/embed/v1.js`); n < 2 {
		t.Errorf("of two reads %d were found", n)
	}
}

// What the page's own script can ask for, what it is told, and that nothing stays of it.
func TestTheInterface(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow(`status of 400.*/api/v1/calls`)             // asked for on purpose
	o.open(t, tab, "/checkout?panel=none&pause-on=.none") // the loader adds a pill
	type told struct {
		State, Outcome string
		Confirmed      bool
	}
	browser.Eval[bool](tab, `(window.heard = [], document.addEventListener('offrecord:change', e => heard.push(e.detail)), window.seen = [], offrecord('on', 'change', window.fn = d => seen.push(d)), true)`)
	if got := browser.Eval[told](tab, `offrecord('pause', {reason: 'card'})`); got != (told{"paused", "confirmed", true}) {
		t.Errorf("pause: %+v", got)
	}
	o.awaitTape(t, false, "the pause from code")
	if got := browser.Eval[told](tab, `offrecord('resume')`); got != (told{"recording", "confirmed", true}) {
		t.Errorf("resume: %+v", got)
	}
	tab.Until(`heard.at(-1)?.state === 'recording' && heard.some(d => d.state === 'paused' && d.confirmed && d.at > 0) && seen.length === heard.length`)
	if got := browser.Eval[told](tab, `offrecord('resume')`); got.Outcome != "superseded" {
		t.Errorf("a resume of nothing: %+v", got)
	}
	for call, want := range map[string]string{
		`offrecord('toggle')`: "invalid", `offrecord('pause', {name: 'No Name'})`: "invalid", `offrecord('call', {call: 'x', event: 'begun'})`: "invalid",
	} {
		if got := browser.Eval[string](tab, call+`.then(() => 'no error', error => error instanceof Error && error.message ? error.code : 'no Error')`); got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
	browser.Eval[bool](tab, `offrecord('call', {call: 'c-1', event: 'started'}).then(() => true)`)
	if got := browser.Eval[string](tab, `offrecord('ready').then(r => r.state)`); got != "unknown" { // of a new call nothing is known
		t.Errorf("ready: %s", got)
	}
	browser.Eval[bool](tab, `(offrecord('off', 'change', fn), true)`)

	// Twice is once.
	browser.Eval[bool](tab, `(window.first = offrecord, true)`)
	const include = `new Promise(done => { const s = document.createElement('script'); s.src = '%s/embed/v1.js'; s.onload = () => done(true); document.head.append(s); })`
	browser.Eval[bool](tab, fmt.Sprintf(include, o.url))
	if !browser.Eval[bool](tab, `offrecord === first && document.querySelectorAll('offrecord-panel').length === 1`) {
		t.Error("a second inclusion did something")
	}
	browser.Eval[bool](tab, `offrecord('destroy').then(() => true)`)
	if got := browser.Eval[string](tab, `[typeof offrecord, document.querySelectorAll('offrecord-panel,offrecord-guard').length, frames.length].join()`); got != "undefined,0,0" {
		t.Errorf("after destroy: %s", got)
	}

	// A pill goes where it is put, by hand and by keys, and is found there on the next page.
	o.open(t, tab, "/checkout?panel=float")
	const place = `(r => [Math.round(innerWidth - r.right), Math.round(innerHeight - r.bottom)].join())(document.querySelector('offrecord-panel').shadowRoot.querySelector('button').getBoundingClientRect())`
	if got := browser.Eval[string](tab, place); got != "16,16" {
		t.Errorf("the pill begins at %s", got)
	}
	x, y := middle(tab, `document.querySelector('offrecord-panel').shadowRoot.querySelector('button')`)
	tab.Do(chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(chromedp.MouseMoved, x-150, y-60, chromedp.ButtonLeft), chromedp.MouseEvent(chromedp.MouseMoved, x-300, y-120, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, x-300, y-120, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	if got := browser.Eval[string](tab, place+` + ' ' + document.querySelector('offrecord-panel').hasAttribute('open')`); got != "316,136 false" {
		t.Errorf("the pill was put to 316,136, and is at %s", got)
	}
	browser.Eval[bool](tab, `(document.querySelector('offrecord-panel').shadowRoot.querySelector('button').focus(), true)`)
	strike(tab, kb.ArrowLeft+kb.ArrowUp)
	o.open(t, tab, "/done?panel=float")
	if got := browser.Eval[string](tab, place); got != "332,152" {
		t.Errorf("on the next page the pill is at %s", got)
	}

	// It stays in view in a window that becomes small, and so does the panel that it opens; another button than the first moves nothing.
	tab.Viewport(320, 480)
	tab.Until(`(r => r.left >= 0 && r.top >= 0)(document.querySelector('offrecord-panel').getBoundingClientRect())`)
	browser.Eval[bool](tab, `(document.querySelector('offrecord-panel').shadowRoot.querySelector('button').click(), true)`)
	tab.Until(`(r => r.left >= 0 && r.top >= 0 && r.height > 300)(document.querySelector('offrecord-panel').getBoundingClientRect())`)
	browser.Eval[bool](tab, `(document.querySelector('offrecord-panel').shadowRoot.querySelector('button').click(), true)`)
	at := browser.Eval[string](tab, place)
	x, y = middle(tab, `document.querySelector('offrecord-panel').shadowRoot.querySelector('button')`)
	tab.Do(chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonRight, chromedp.ClickCount(1)), chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonRight, chromedp.ClickCount(1)),
		chromedp.MouseEvent(chromedp.MouseMoved, x-20, y-20))
	if got := browser.Eval[string](tab, place); got != at {
		t.Errorf("a pointer that presses nothing moved the pill from %s to %s", at, got)
	}
	tab.Viewport(1024, 768)

	// In its place the panel is as tall as its content, and takes the page's colours. An element that is drawn anew is a new panel.
	o.open(t, tab, "/checkout")
	browser.Eval[bool](tab, `(() => {
		const el = document.querySelector('offrecord-panel'), around = el.parentNode;
		el.remove();
		const again = document.createElement('offrecord-panel');
		again.style.setProperty('--offrecord-act', '#123456');
		again.style.setProperty('--offrecord-focus', 'url(https://evil.test/x)');
		around.append(again);
		return true;
	})()`)
	if got := browser.Eval[string](tab, `offrecord('ready').then(() => 'ready', e => e.code)`); got != "ready" {
		t.Errorf("a new element is %s", got)
	}
	frame := tab.Frame(o.url + "/widget")
	frame.Until(`getComputedStyle(document.documentElement).getPropertyValue('--act') === '#123456'`)
	if got := browser.Eval[string](frame, `document.documentElement.style.getPropertyValue('--focus')`); got != "" {
		t.Errorf("the page could say %s", got)
	}
	tab.Until(fmt.Sprintf(`parseInt(%s.style.height) > 200`, panelFrame))
	if got := browser.Eval[int](frame, `document.documentElement.scrollHeight - innerHeight`); got > 0 {
		t.Errorf("the panel's content is %d px taller than its frame", got)
	}

	// The page as it was, with guard and triggers.
	o.open(t, tab, "/checkout?guard")
	tab.Until(`document.getElementById('number').inert`)
	browser.Eval[bool](tab, `offrecord('destroy').then(() => true)`)
	after := browser.Eval[string](tab, `document.body.outerHTML.replace(/ data-recording="\w*"/, '').replace(/<aside.*?<.aside>\n/s, '')`)
	tab.Open(o.crm + "/checkout?guard&plain")
	if bare := browser.Eval[string](tab, `document.body.outerHTML.replace('&amp;plain=', '')`); bare != after {
		t.Errorf("destroy left the page otherwise:\n%s\nit was\n%s", after, bare)
	}
	// A pill of the page's own, and no ear is left: a card field that gets the focus asks for nothing.
	o.open(t, tab, "/checkout?guard&panel=float")
	browser.Eval[bool](tab, `offrecord('destroy').then(() => true)`)
	after = browser.Eval[string](tab, `document.body.outerHTML.replace(/ data-recording="\w*"/, '').replace('<offrecord-panel float=""></offrecord-panel>\n', '')`)
	pauses, _ := o.asked()
	click(tab, "#number")
	tab.Until(`document.activeElement.id === 'number'`)
	tab.Open(o.crm + "/checkout?guard&panel=float&plain")
	if bare := browser.Eval[string](tab, `document.body.outerHTML.replace('&amp;plain=', '')`); bare != after {
		t.Errorf("destroy left the page otherwise:\n%s\nit was\n%s", after, bare)
	}
	// And it can come back.
	o.open(t, tab, "/checkout?guard")
	browser.Eval[bool](tab, `offrecord('destroy').then(() => true)`)
	browser.Eval[bool](tab, fmt.Sprintf(include, o.url))
	if got := browser.Eval[string](tab, `offrecord('ready').then(() => 'ready')`); got != "ready" {
		t.Errorf("after it came back: %s", got)
	}
	if got, _ := o.asked(); got != pauses {
		t.Errorf("after destroy the page asked for %d pauses", got-pauses)
	}
}

// Who signs in without the CRM's word does so in a window of its own.
func TestSignInByWindow(t *testing.T) {
	t.Parallel()
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			o := newOffice(t, byServer, false)
			b := browser.Launch(t, o.net, world)
			tab := b.Tab(t)
			tab.Before(holdTimers)
			tab.Open(o.crm + "/checkout")
			frame := tab.Frame(o.url + "/widget")
			frame.Until(`document.querySelector('[data-widget=in]') && window.offrecordSignIn`)
			tab.Until(pill + ` === 'Sign in to offrecord'`)
			browser.Eval[bool](tab, `(window.asked = offrecord('pause'), true)`)
			if got := impatient(tab, "asked"); got != "not_signed_in" {
				t.Errorf("a pause that nobody is signed in for is %s", got)
			}
			var window *browser.Tab
			popup := tab.Popup(func() { clickIn(tab, frame, "[data-widget=in]") })
			window = popup.Tab()
			window.Click("button", o.d.email()+" "+o.d.name)
			window.Wait(`form[action="/login/popup/confirm"] button[type=submit]`)
			browser.Eval[bool](window, `(document.querySelector('form[action="/login/popup/confirm"] button[type=submit]').click(), true)`)
			frame.Wait(`html[data-program=running]`)
			popup.WaitClosed()
			tab.Click("textbox", "Card number")
			o.awaitTape(t, false, "the pause after signing in")
			// The next page of the CRM begins signed in.
			frame = o.open(t, tab, "/checkout")
			if got := frame.Text(".whose .agent"); got != o.d.email() {
				t.Errorf("the next page's panel is %s's", got)
			}
		})
	}
}

// A page that may not frame the panel gets nothing of it, nor does a frame beside it.
func TestHostilePages(t *testing.T) { everywhere(t, beHostile) }

func beHostile(t *testing.T, world browser.Cookies) {
	o := newOffice(t, byServer, true)
	evil := o.net.Serve(t, "evil.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<!doctype html><title>evil</title><link rel=icon href="data:,"><script>window.got = []; addEventListener('message', e => got.push(e.data));</script>
<script src="%s/embed/v1.js" data-pause-on="input"></script><offrecord-panel></offrecord-panel><input id=number>
<iframe id=raw src="%[1]s/widget?origin=%[2]s"></iframe>`, o.url, o.crm)
	})).URL
	b := browser.Launch(t, o.net, world)
	tab := b.Tab(t)
	tab.Allow(`frame-ancestors|Framing|frame because`)
	o.open(t, tab, "/checkout?guard&resume-after=200ms") // the agent is signed in, in this browser
	hostile := b.Tab(t)
	hostile.Allow(`frame-ancestors|Framing|frame because|postMessage`)
	hostile.Before(`{ const timer = setTimeout; window.setTimeout = (fn, ms, ...args) => timer(fn, Math.min(ms, 500), ...args); }`) // its patience is short
	hostile.Open(evil)
	hostile.WaitMessage("frame-ancestors")
	browser.Eval[bool](hostile, `(document.querySelector('input').focus(), Array.from({length: frames.length}, (_, i) => frames[i]).forEach((f, i) => { for (const type of ['hello', 'pause', 'resume']) f.postMessage({source: 'offrecord', v: 1, id: 'x' + i + type, type, payload: {trigger: 'field', theme: {}}}, '*'); }), true)`)
	if got := browser.Eval[string](hostile, `offrecord('pause').then(() => 'paused', error => error.code)`); got != "unavailable" {
		t.Errorf("a page that may not frame the panel was answered %s", got)
	}
	if got := browser.Eval[int](hostile, `got.length`); got != 0 {
		t.Errorf("it heard %d messages", got)
	}

	// A frame in the CRM's own page, which may not speak for the panel nor to it.
	tab = b.Tab(t)
	o.open(t, tab, "/hosted?guard")
	payment := tab.Frame(o.pay + "/frame")
	browser.Eval[bool](payment, `(() => {
		const forged = (type, payload) => ({source: 'offrecord', v: 1, id: crypto.randomUUID(), type, payload});
		parent.postMessage(forged('status', {state: 'paused', outcome: 'confirmed', action: 'pause', live: true, held: 1, signed_in: true}), '*');
		parent.postMessage(forged('pass', {}), '*');
		for (let i = 0; i < parent.frames.length; i++) for (const type of ['pause', 'resume', 'identify', 'call']) {
			parent.frames[i].postMessage(forged(type, {trigger: 'field', token: 'x', call: 'x', event: 'ended'}), '*');
		}
		return true;
	})()`)
	// What was sent before is heard before what follows.
	browser.Eval[string](tab, `offrecord('ready').then(r => r.state)`)
	if !browser.Eval[bool](tab, `document.querySelector('.payment').inert`) {
		t.Error("a frame opened the guard")
	}
	if p, r := o.asked(); p != 0 || r != 0 {
		t.Errorf("the platform was asked to pause %d times and to resume %d times", p, r)
	}
}

// A page in a sandboxed frame works with the flags that the README names.
func TestSandboxedPage(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Open(o.crm + "/sandboxed?guard&resume-after=200ms")
	frame := tab.Frame(o.url + "/widget")
	frame.Wait(`html[data-program=running]`)
	frame.Until(`document.querySelector('.readiness:not(.checking)')`)
	inner := `document.querySelector('iframe').contentDocument`
	left := browser.Eval[[]float64](tab, `(r => [r.x, r.y])(document.querySelector('iframe').getBoundingClientRect())`)
	x, y := middle(tab, inner+`.getElementById('number')`)
	tab.Do(chromedp.MouseClickXY(left[0]+x, left[1]+y))
	tab.Until(inner + `.activeElement.id === 'number' && !` + inner + `.activeElement.inert`)
	if o.recording() {
		t.Error("the field is open, and the tape runs")
	}
}

// By the browser's own cookie: in a hidden frame where that carries it, else in the window that opens in the person's own event.
// Nothing is confirmed there, so the administrator says what is good enough.
func TestTriggersByCookie(t *testing.T) {
	t.Parallel()
	t.Run("a frame", func(t *testing.T) {
		o := newOffice(t, byCookie, true)
		b := browser.Launch(t, o.net, browser.ThirdPartyAllowed)
		o.d.signIn(t, b.Tab(t))
		tab := b.Tab(t)
		allowPlatformNoise(tab)
		o.open(t, tab, "/checkout?guard=sent&resume-after=200ms")
		click(tab, "#number")
		tab.Until(`document.activeElement.id === 'number' && !document.activeElement.inert`)
		if o.recording() {
			t.Error("the field is open, and the tape runs")
		}
		click(tab, "#note")
		o.awaitTape(t, true, "the resume")

		// Where "sent" isn't good enough, nothing opens but by the way past, which is written down.
		frame := o.open(t, tab, "/checkout?guard&resume-after=200ms")
		click(tab, "#number")
		o.awaitTape(t, false, "the pause")
		click(tab, "#note") // who goes on to another field holds nothing any more
		o.awaitTape(t, true, "the resume after a field that stayed shut")
		click(tab, "#number")
		o.awaitTape(t, false, "the second pause")
		frame.Until(`!document.querySelector('.guard').hidden`)
		if !browser.Eval[bool](tab, `document.getElementById('number').inert`) {
			t.Error("a pause of which nobody knows opened the guard")
		}
		browser.Eval[bool](frame, `(document.querySelector('[data-widget=pass]').click(), true)`)
		frame.Until(`document.activeElement.name === 'reason'`)
		browser.Eval[bool](frame, `(document.querySelector('.guard form').elements.reason.value = 'the line is bad', document.querySelector('.guard form').requestSubmit(), true)`)
		tab.Until(`document.activeElement.id === 'number' && !document.activeElement.inert`)
	})
	t.Run("a window", func(t *testing.T) {
		o := newOffice(t, byCookie, true)
		b := browser.Launch(t, o.net, browser.ThirdPartyBlocked)
		o.d.signIn(t, b.Tab(t))
		o.logIn(t, b.Tab(t), o.d) // the window is a page of our own
		tab := b.Tab(t)
		tab.Before(watchInput)
		allowPlatformNoise(tab)
		o.open(t, tab, "/checkout?guard=accepted&resume-after=200ms")
		// Without a person's event the browser opens no window: it is failed, and the field stays shut.
		browser.Eval[string](tab, `offrecord('ready').then(r => r.state)`)
		if got := browser.Eval[string](tab, `offrecord('pause').then(r => r.outcome, e => e.code)`); got != "failed" {
			t.Errorf("without an event the pause is %s", got)
		}
		if p, _ := o.asked(); p != 0 || !browser.Eval[bool](tab, `document.getElementById('number').inert`) {
			t.Error("a pause that wasn't sent opened the guard")
		}
		popup := tab.Popup(func() { click(tab, "#number") })
		popup.WaitClosed()
		tab.Until(`document.activeElement.id === 'number' && !document.activeElement.inert`)
		if o.recording() {
			t.Error("the field is open, and the tape runs")
		}
		strike(tab, "4111")
		tab.Until(`window.typed?.length === 4`)
		for _, r := range o.d.controls() {
			if r.Via() != agui.ViaWindow {
				t.Errorf("the platform was reached by %s", r.Via())
			}
		}
	})
}

// The loader's types are those that a strict compiler takes for the page's script, and they refuse what the loader refuses.
func TestTypes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, from := range map[string]string{"v1.d.ts": "../web/site/static/embed/v1.d.ts", "sample.ts": "testdata/embed/sample.ts"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	compiler, err := filepath.Abs("node_modules/typescript/bin/tsc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(compiler); err != nil {
		t.Fatal("there is no TypeScript compiler here: run `make needs`, which installs it")
	}
	cmd := exec.CommandContext(t.Context(), "node", compiler, "--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom", "sample.ts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A browser that keeps no cookies apart for each site leaves the session to the frame's memory: requests and the stream carry
// it, and a press that is quicker than the program is made when the program is there.
func TestWithoutACookie(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	f := newFront(t, o.stage)
	f.rewrite(func(path string, h http.Header) {
		if path == "/widget/session" {
			h.Del("Set-Cookie")
		}
	})
	o.setUp()
	b := browser.Launch(t, o.net, browser.ThirdPartyBlocked)
	tab := b.Tab(t)
	letGo := f.withhold(".wasm")
	tab.Open(o.crm + "/checkout?guard&resume-after=200ms")
	frame := tab.Frame(o.url + "/widget")
	frame.Wait(`[data-control=pause]`)
	browser.Eval[bool](frame, `(document.querySelector('[data-control=pause]').click(), true)`)
	letGo()
	o.awaitTape(t, false, "a press before the program")
	frame.WaitState("paused")
	tab.Until(`!document.getElementById('number').inert`)
	browser.Eval[bool](frame, `(document.querySelector('[data-control=resume]').click(), true)`)
	o.awaitTape(t, true, "the resume")
	tab.Until(`document.getElementById('number').inert`)
	click(tab, "#number")
	tab.Until(`document.activeElement.id === 'number' && !document.activeElement.inert`)
	if o.recording() {
		t.Error("the field is open, and the tape runs")
	}
	if got := browser.Eval[string](frame, `new Promise(done => { const r = new XMLHttpRequest(); r.onload = () => done(r.responseText.trim()); r.open('GET', '/widget/session'); r.send(); })`); got != `{"email":""}` {
		t.Errorf("a request without the token is %s's", got)
	}
}
