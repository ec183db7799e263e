package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// finding is one of axe's, of a rule that a page breaks.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		Target         []any
		HTML           string
		FailureSummary string
	}
}

// checker runs axe-core over pages, and counts what it looked at.
type checker struct {
	axe     string
	checked int
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatal("there is no axe-core here: run `make needs`, which installs it")
	}
	return &checker{axe: string(source)}
}

// check fails the test for what is serious or worse in the page as it stands.
func (c *checker) check(t *testing.T, tab *browser.Tab, what string) {
	t.Helper()
	c.run(t, tab, what, `{}`)
}

func (c *checker) run(t *testing.T, tab *browser.Tab, what, options string) {
	t.Helper()
	c.checked++
	if shown := browser.Eval[string](tab, `[...document.querySelectorAll('[hidden]')].filter(e => getComputedStyle(e).display !== 'none').map(e => e.outerHTML.slice(0, 100)).join()`); shown != "" {
		t.Errorf("%s: what is hidden is shown: %s", what, shown)
	}
	if !browser.Eval[bool](tab, `!!window.axe`) {
		browser.Eval[bool](tab, c.axe+`;true`)
	}
	found := browser.Eval[[]finding](tab, `axe.run(document, {resultTypes: ['violations'], iframes: false, ...`+options+`}).then(r => r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help,
		Nodes: v.nodes.map(n => ({Target: n.target, HTML: n.html.slice(0, 200), FailureSummary: n.failureSummary}))})))`)
	for _, f := range found {
		if f.ID == "meta-refresh" && strings.HasPrefix(what, "/status") {
			continue // what it is for: where there are no scripts, nothing else can keep it true
		}
		if f.Impact == "serious" || f.Impact == "critical" {
			text, _ := json.MarshalIndent(f.Nodes, "", " ")
			t.Errorf("%s: %s (%s): %s\n%.1500s", what, f.ID, f.Impact, f.Help, text)
		}
	}
}

// both checks a page in the light, and its colours in the dark, too.
func (c *checker) both(t *testing.T, tab *browser.Tab, what string) {
	t.Helper()
	const scheme, motion = "prefers-color-scheme", "prefers-reduced-motion"
	tab.Prefer(scheme, "light", motion, "reduce")
	c.check(t, tab, what+", light")
	tab.Prefer(scheme, "dark", motion, "reduce")
	c.run(t, tab, what+", dark", `{runOnly: ['color-contrast']}`)
}

// enterAs gives the browser the session of somebody who has logged in.
func (o *office) enterAs(t *testing.T, tab *browser.Tab, email string) {
	t.Helper()
	answer, err := o.net.Client().Post(o.url+"/api/v1/login/demo", "application/json", strings.NewReader(fmt.Sprintf(`{"email": %q}`, email)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("logging in as %s: %s", email, answer.Status)
	}
	tab.SetCookie(o.url, answer.Cookies()[0])
}

// forget ends everybody's session in the browser.
func forget(tab *browser.Tab) {
	tab.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

// pages are the addresses of the pages, by the table's pattern; a page that isn't here fails the test. The empty address is one
// that is part of others, or has none of its own.
var pages = map[string]struct{ path, who string }{
	"/{$}": {"/", "bill"}, "/login": {"/login", ""}, "/login/oidc": {}, "/login/oidc/callback": {"/login/oidc/callback", ""},
	"/login/popup": {"/login/popup?challenge=" + strings.Repeat("A", 43), ""}, "confirmPath": {"/login/popup/confirm", "bill"},
	"/panel": {}, "/status": {"/status", "bill"}, "/native/decline": {"/native/decline", "bill"},
	"/alerts": {"/alerts", "sam"}, "/evidence": {"/evidence", "sam"}, "/evidence/{id}": {"/evidence/x", "sam"}, "/evidence/{id}/audio": {},
	"/evidence/{id}/delete": {"/evidence/x/delete", "sam"}, "/evidence/chats": {"/evidence/chats", "sam"},
	"/evidence/chats/{id}/delete": {"/evidence/chats/x/delete", "sam"},
	"/act":                        {"/act?action=resume&reason=card", "bill"}, "/act/here": {"/act/here?action=resume", "bill"},
	"/setup": {"/setup", "ann"}, "/setup/sample": {"/setup/sample?guard=confirmed", "ann"}, "/helper": {"/helper", "bill"}, "/widget": {"/widget", ""},
}

// No page and no state of one has a serious finding of axe-core's, in the light and in the dark. The pages are those of the
// server's own table.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, false)
	c := newChecker(t)
	b := browser.Launch(t, o.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow(`status of 40\d|status of 422|status of 503`) // pages of what isn't there are pages, too
	tab.Viewport(1024, 900)

	source, err := os.ReadFile("../web/httpapi/httpapi.go")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for _, m := range regexp.MustCompile(`\{method: get, pattern: (?:"([^"]+)"|(\w+)),[^}]*page: true`).FindAllStringSubmatch(string(source), -1) {
		patterns = append(patterns, m[1]+m[2])
	}
	if len(patterns) < 10 {
		t.Fatalf("the table has %d pages", len(patterns))
	}
	slices.Sort(patterns)
	who := ""
	for _, pattern := range patterns {
		page, known := pages[pattern]
		if !known {
			t.Errorf("nothing here opens %s", pattern)
			continue
		}
		if page.path == "" {
			continue
		}
		if page.who != who {
			forget(tab)
			if who = page.who; who != "" {
				o.enterAs(t, tab, who+"@acme.example")
			}
		}
		tab.Open(o.url + page.path)
		if page.path == "/" {
			tab.Wait(`html[data-program=running]`)
		}
		c.both(t, tab, page.path)
	}

	// The panel's states.
	forget(tab)
	o.enterAs(t, tab, o.d.email())
	tab.Open(o.url + "/")
	tab.Wait(`html[data-program=running]`)
	tab.Wait(`.readiness:not(.checking)`)
	tab.Click("button", "Pause recording")
	tab.WaitState("paused")
	c.both(t, tab, "the panel, paused")
	tab.Click("button", "Customer declined recording")
	c.check(t, tab, "the panel, asking")
	tab.Click("button", "Resume recording")
	tab.WaitState("recording")
	c.both(t, tab, "the panel, recording")
	o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{Status: http.StatusUnauthorized})
	tab.Click("button", "Pause recording")
	tab.WaitOutcome("denied")
	c.both(t, tab, "the panel, denied")
	o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{Drop: agui.DropAfter})
	tab.Click("button", "Resume recording") // a second pause so soon would be taken for the same press
	tab.WaitOutcome("unknown")
	c.both(t, tab, "the panel, not known")
	o.d.sim.SetFault(recording.RouteServer, o.d.agent(), agui.Fault{})
	tab.Viewport(320, 640)
	c.check(t, tab, "the panel at 320 px")

	// Without scripts one thing says what is so, and says it whole; nothing is there that only a script could work.
	still := b.Tab(t)
	still.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	for _, width := range []int64{320, 1440} {
		still.Viewport(width, 900)
		still.Open(o.url + "/")
		if got := browser.Eval[string](still, `[...document.querySelectorAll('.hero, .status, .settings, .readiness')].filter(e => e.checkVisibility({visibilityProperty: true})).map(e => e.className).join()`); got != "status" {
			t.Errorf("without scripts, %d px wide, there are: %s", width, got)
		}
		if got := browser.Eval[string](still, `(f => (f.contentDocument.querySelector('.headline').innerText + (f.contentDocument.documentElement.scrollHeight > f.clientHeight ? ', cut off' : '') + (f.getBoundingClientRect().bottom > document.querySelector('.actions').getBoundingClientRect().top ? ', below the presses' : '')))(document.querySelector('.status'))`); got != "Resume not confirmed" {
			t.Errorf("without scripts, %d px wide, it says: %s", width, got)
		}
	}

	// A link, followed; the setup page with its test made and a link.
	tab.Viewport(1024, 900)
	tab.Open(o.url + "/act?action=pause&reason=card")
	tab.Click("button", "Pause recording")
	tab.Until(`document.querySelector('main').dataset.settled`)
	c.both(t, tab, "a link, followed")
	tab.Open(o.url + "/setup")
	tab.Click("button", "Make a link")
	tab.Until(`document.querySelectorAll('.links li').length`)
	tab.Click("button", "Test this browser")
	tab.Until(`document.querySelector('.verdict').innerText`)
	c.both(t, tab, "setup, tested")

	tab.Open(o.url + "/widget?origin=" + o.url)
	tab.Wait(`html[data-program=running]`)
	browser.Eval[bool](tab, `(document.querySelector('.guard').hidden = document.querySelector('.guard form').hidden = false, true)`)
	c.both(t, tab, "the widget, with the way past")

	// The widget, and what the loader puts into a page of another company.
	crm := b.Tab(t)
	crm.Open(o.crm + "/checkout?guard&panel=float")
	frame := crm.Frame(o.url + "/widget")
	frame.Wait(`[data-widget=in]`)
	c.check(t, frame, "the widget, signed out")
	crm.Until(`document.querySelector('offrecord-guard')`)
	c.both(t, crm, "the CRM's page, with its fields shut")
	crm.Open(o.crm + "/")
	c.check(t, crm, "the CRM's first page")
	t.Logf("axe-core looked at %d pages and states", c.checked)
}
