package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
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

// office is a stage whose desk works in a CRM.
type office struct {
	*stage
	d   *desk
	crm string // its origin
	pay string
	app *crm.CRM
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
		s.more = fmt.Sprintf("embed_origins: [%q]\n", o.crm)
		if signs {
			s.identity = fmt.Sprintf(", embed_jwt: {issuer: %q, audience: offrecord, secret_file: %q}", o.crm, file)
		}
	}, o.d)
	o.app = crm.New(crm.Config{Offrecord: o.url, Origin: o.crm, Payment: o.pay, Secret: secret, Audience: "offrecord",
		Agents: []crm.Agent{{Email: o.d.email(), Platform: o.d.name, About: "8x8"}}})
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
addEventListener('focusin', e => { if (e.target.matches?.('[autocomplete^="cc-"]')) (window.entered ||= []).push(performance.timeOrigin + e.timeStamp); }, true);`

type typed struct {
	At    float64
	Field string
}

// keys types as fast as the browser takes it.
func keys(tab *browser.Tab, text string) { tab.Do(chromedp.KeyEvent(text)) }

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

// clickIn clicks with the mouse on an element of the panel's frame.
func clickIn(tab, frame *browser.Tab, selector string) {
	browser.Eval[bool](tab, `(`+panelFrame+`.scrollIntoView({block: 'start', behavior: 'instant'}), true)`)
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
			o.open(t, tab, "/checkout?guard&resume-after=200ms")
			if !browser.Eval[bool](tab, `[...document.querySelectorAll('[autocomplete^="cc-"]')].every(field => field.inert)`) {
				t.Fatal("a card field is open before anything was paused")
			}
			ways := []struct {
				name  string
				field string
				enter func()
				slow  time.Duration
			}{
				{"the mouse", "number", func() { click(tab, "#number") }, 0},
				{"its label", "code", func() { click(tab, "label[for=code]") }, 0},
				{"the Tab key", "number", func() { click(tab, "#cc-name"); keys(tab, kb.Tab) }, 0},
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
				keys(tab, "4111")
				tab.Until(`document.activeElement.id === '` + way.field + `' && !document.activeElement.inert`)
				keys(tab, "1111")
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
			t.Logf("focus to silent tape: %.0f ms; a fast typist's first digit comes after 100 ms", o.pausedAt(1)-entered)

			// Two fields are one hold.
			frame.WaitState("paused")
			keys(tab, "4111111111111111"+kb.Tab)
			tab.Until(`document.activeElement.id === 'expiry'`)
			keys(tab, "0130"+kb.Tab)
			tab.Until(`document.activeElement.id === 'code'`)
			counts(1, 0, "two fields")
			keys(tab, "123"+kb.Tab)
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
			keys(tab, kb.Tab)
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
