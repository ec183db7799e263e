package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A Tab is one page as a test uses it. Its methods fail the test that it was made for when they can't do what they say.
type Tab struct {
	Ctx context.Context // for chromedp's own actions; it has no deadline

	b    *Browser
	t    testing.TB
	root target.ID // the tab of the test that this is, or that it came from
}

// Tab opens an empty tab, in a window of its own so that it is never in the background, in the browser's one profile. When
// t ends, the tab is judged and closed: every error that it, a popup or a frame logged and that [Tab.Allow] doesn't know
// fails t, and a failed t leaves a picture, the DOM and the console behind.
func (b *Browser) Tab(t testing.TB) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	tab := &Tab{Ctx: ctx, b: b, t: t}
	if err := chromedp.Do(ctx); err != nil { // binds the tab's life to ctx: no deadline
		cancel()
		t.Fatalf("opening a tab: %v", err)
	}
	tab.root = tab.id()
	b.mu.Lock()
	b.tabs[tab.root] = true
	b.mu.Unlock()
	if err := chromedp.Listen(ctx, b.hear(tab.root)); err != nil {
		cancel()
		t.Fatalf("listening to a tab: %v", err)
	}
	t.Cleanup(func() {
		tab.judge()
		cancel()
	})
	return tab
}

// Allow declares console errors, exceptions or policy violations that the test provokes; pattern is matched against
// [Message.String].
func (tab *Tab) Allow(pattern string) {
	tab.t.Helper()
	p, err := regexp.Compile(pattern)
	if err != nil {
		tab.t.Fatalf("a pattern of what to allow: %v", err)
	}
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	if tab.b.log.allowed == nil {
		tab.b.log.allowed = map[testing.TB][]*regexp.Regexp{}
	}
	tab.b.log.allowed[tab.t] = append(tab.b.log.allowed[tab.t], p)
}

// Messages is what the tab, and what it opened and framed, has logged.
func (tab *Tab) Messages() []Message {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	var mine []Message
	for _, m := range tab.b.log.messages {
		if m.of == tab.root {
			mine = append(mine, m)
		}
	}
	return mine
}

// WaitMessage waits until something is logged that contains part.
func (tab *Tab) WaitMessage(part string) Message {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	for {
		for _, m := range tab.Messages() {
			if strings.Contains(m.String(), part) {
				return m
			}
		}
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](frame, await)); err != nil {
			tab.t.Fatalf("waited in vain for %q in the console", part)
		}
	}
}

// judge fails the test for what was logged and not allowed.
func (tab *Tab) judge() {
	// What the page has logged so far arrives before the answer to a later call.
	ctx, cancel := tab.limited()
	defer cancel()
	_ = chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void]("0")) // a page that is gone has said all it will

	tab.b.mu.Lock()
	delete(tab.b.tabs, tab.root)
	all, unexpected := tab.b.log.judge(tab.t, tab.b.tabs)
	tab.b.mu.Unlock()
	for _, m := range unexpected {
		tab.t.Errorf("the browser's console, unexpected: %s", m)
	}
	if tab.t.Failed() {
		tab.leave(all)
	}
}

func (tab *Tab) id() target.ID { return chromedp.FromContext(tab.Ctx).Target.TargetID }

// limited is the tab's context for one step.
func (tab *Tab) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(tab.Ctx, patience)
}

// Do runs chromedp's actions, each with its own deadline.
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	for _, action := range actions {
		ctx, cancel := tab.limited()
		err := chromedp.Do(ctx, action)
		cancel()
		if err != nil {
			tab.t.Fatalf("in the browser: %v", err)
		}
	}
}

// Open navigates to the address and waits for the page to load.
func (tab *Tab) Open(url string) {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		tab.t.Fatalf("opening %s: %v", url, err)
	}
}

// Go navigates to the address and waits for nothing but that the server has answered.
func (tab *Tab) Go(url string) {
	tab.t.Helper()
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		answer, err := cdp.Call(ctx, target, cdpage.Navigate, cdpage.NavigateParams{URL: url})
		if err == nil && answer.ErrorText != "" {
			err = errors.New(answer.ErrorText)
		}
		return err
	}))
}

// SetCookie puts a cookie that a server at the address would set into the browser, as new as can be.
func (tab *Tab) SetCookie(address string, c *http.Cookie) {
	tab.t.Helper()
	params := network.SetCookieParams{Name: c.Name, Value: c.Value, URL: address, Path: c.Path, Secure: new(c.Secure), HTTPOnly: new(c.HttpOnly)}
	switch c.SameSite {
	case http.SameSiteNoneMode:
		params.SameSite = network.CookieSameSiteNone
	case http.SameSiteLaxMode:
		params.SameSite = network.CookieSameSiteLax
	}
	if c.MaxAge > 0 {
		params.Expires = cdp.TimeSinceEpoch(time.Now().Unix() + int64(c.MaxAge))
	}
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.SetCookie, params)
		return err
	}))
}

// Cookies are what the browser would send to the address, of those that it has for the tab.
func (tab *Tab) Cookies(address string) []*http.Cookie {
	tab.t.Helper()
	var cookies []*http.Cookie
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		answer, err := cdp.Call(ctx, target, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
		if err != nil {
			return err
		}
		for _, c := range answer.Cookies {
			cookies = append(cookies, &http.Cookie{Name: c.Name, Value: c.Value, Secure: c.Secure, HttpOnly: c.HTTPOnly, Partitioned: c.PartitionKey != nil})
		}
		return nil
	}))
	return cookies
}

// Before runs a script in every page that the tab opens from now on, before the page's own.
func (tab *Tab) Before(script string) {
	tab.t.Helper()
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdpage.AddScriptToEvaluateOnNewDocument, cdpage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// Hear calls told with every text that the tab's pages, from the next one on, give to the function of this name, in order and
// before a later step of the test is answered. told runs in chromedp's reading loop and may not call the browser.
func (tab *Tab) Hear(name string, told func(text string)) {
	tab.t.Helper()
	if err := chromedp.Listen(tab.Ctx, func(ev any) {
		if called, ok := ev.(*runtime.EventBindingCalled); ok && called.Name == name {
			told(called.Payload)
		}
	}); err != nil {
		tab.t.Fatalf("listening to a tab: %v", err)
	}
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, runtime.AddBinding, runtime.AddBindingParams{Name: name})
		return err
	}))
}

// Eval is the value of a JavaScript expression; a promise is waited for.
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, await))
	if err != nil {
		tab.t.Fatalf("evaluating %s: %v", expression, err)
	}
	return value
}

func await(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }

// glance looks again and again, in the page, for up to half a second. A page that navigates takes the glance with it; one that has
// just begun may lack what is looked at, so an error counts only if it is the last word.
const glance = `new Promise((done, fail) => {
	const end = performance.now() + 500;
	const look = () => {
		let value, wrong;
		try { value = %s; } catch (error) { wrong = error; }
		if (value) done(true); else if (performance.now() < end) setTimeout(look, 10); else if (wrong) fail(wrong); else done(false);
	};
	look();
})`

// Until waits for a JavaScript expression to become true, through navigations and reloads.
func (tab *Tab) Until(expression string) {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(glance, "("+expression+")"), await))
		var moved *cdproto.Error // the document that was asked has gone
		switch {
		case ok:
			return
		case ctx.Err() != nil:
			tab.t.Fatalf("waited in vain until %s", expression)
		case err != nil && !errors.As(err, &moved):
			tab.t.Fatalf("waiting until %s: %v", expression, err)
		}
	}
}

// Wait waits for an element that matches the CSS selector.
func (tab *Tab) Wait(selector string) {
	tab.t.Helper()
	tab.Until("document.querySelector(" + quote(selector) + ")")
}

// WaitState waits for the panel to be in one of the states, and says which.
func (tab *Tab) WaitState(states ...string) string {
	tab.t.Helper()
	return tab.waitAttribute("data-state", states)
}

// WaitOutcome waits for the last attempt to have one of the outcomes, and says which.
func (tab *Tab) WaitOutcome(outcomes ...string) string {
	tab.t.Helper()
	return tab.waitAttribute("data-outcome", outcomes)
}

func (tab *Tab) waitAttribute(name string, values []string) string {
	tab.t.Helper()
	var selectors []string
	for _, v := range values {
		selectors = append(selectors, fmt.Sprintf("[%s=%s]", name, quote(v)))
	}
	tab.Wait(strings.Join(selectors, ","))
	return Eval[string](tab, fmt.Sprintf("document.querySelector('[%s]').getAttribute('%[1]s')", name))
}

// Text is the text that a person sees in the first element that matches.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return Eval[string](tab, "document.querySelector("+quote(selector)+").innerText")
}

// Click clicks the one element with this role and accessible name with the mouse, where a person would: it waits for it to
// be there, scrolls to it, and refuses to click when something else covers it.
func (tab *Tab) Click(role, name string) {
	tab.t.Helper()
	x, y := tab.find(role, name)
	tab.Do(chromedp.MouseClickXY(x, y))
}

// DoubleClick clicks twice with the mouse, as fast as no hand can.
func (tab *Tab) DoubleClick(role, name string) {
	tab.t.Helper()
	x, y := tab.find(role, name)
	tab.Do(chromedp.MouseClickXY(x, y), chromedp.MouseClickXY(x, y, chromedp.ClickCount(2)))
}

// Press moves the mouse to the element and presses the button down without letting go; the answer does.
func (tab *Tab) Press(role, name string) (release func()) {
	tab.t.Helper()
	x, y := tab.find(role, name)
	tab.Do(chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	return func() {
		tab.t.Helper()
		tab.Do(chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	}
}

// Focus moves the keyboard's focus to the element with this role and accessible name.
func (tab *Tab) Focus(role, name string) {
	tab.t.Helper()
	tab.located(role, name, func(ctx context.Context, node cdp.BackendNodeID) error {
		_, err := chromedp.Call(ctx, dom.Focus, dom.FocusParams{BackendNodeID: node})
		return err
	})
}

// Has reports how many elements there are now with this role and accessible name.
func (tab *Tab) Has(role, name string) int {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	nodes, err := query(ctx, role, name)
	if err != nil {
		tab.t.Fatalf("looking for the %s %q: %v", role, name, err)
	}
	return len(nodes)
}

func (tab *Tab) find(role, name string) (x, y float64) {
	tab.t.Helper()
	tab.located(role, name, func(ctx context.Context, node cdp.BackendNodeID) (err error) {
		x, y, err = centre(ctx, node)
		return err
	})
	return x, y
}

// located calls use with the one element of this role and name, again and again until it succeeds: pages redraw.
func (tab *Tab) located(role, name string, use func(context.Context, cdp.BackendNodeID) error) {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	for {
		nodes, err := query(ctx, role, name)
		if err == nil && len(nodes) != 1 {
			err = fmt.Errorf("there are %d of them", len(nodes))
		}
		if err == nil {
			err = use(ctx, nodes[0])
		}
		if err == nil {
			return
		}
		if _, ferr := chromedp.Run(ctx, chromedp.Evaluate[bool](frame, await)); ferr != nil && ctx.Err() != nil {
			tab.t.Fatalf("the %s %q can't be used: %v", role, name, err)
		}
	}
}

// frame lets the page draw once before it is looked at again.
const frame = `new Promise(done => { requestAnimationFrame(() => done(true)); setTimeout(() => done(true), 50) })`

// query asks the accessibility tree of the page, and of the frames of its own site.
func query(ctx context.Context, role, name string) ([]cdp.BackendNodeID, error) {
	doc, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: "document"})
	if err != nil {
		return nil, err
	}
	found, err := chromedp.Call(ctx, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{
		ObjectID: doc.Result.ObjectID, Role: role, AccessibleName: name,
	})
	if err != nil {
		return nil, err
	}
	var nodes []cdp.BackendNodeID
	for _, n := range found.Nodes {
		if !n.Ignored {
			nodes = append(nodes, n.BackendDOMNodeID)
		}
	}
	return nodes, nil
}

// centre scrolls to the element and returns its middle, if a click there would reach it.
func centre(ctx context.Context, node cdp.BackendNodeID) (x, y float64, err error) {
	object, err := chromedp.Call(ctx, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node})
	if err != nil {
		return 0, 0, err
	}
	res, err := chromedp.Call(ctx, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
		ObjectID: object.Object.ObjectID,
		FunctionDeclaration: `function() {
			this.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
			const r = this.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
			const hit = document.elementFromPoint(x, y);
			const covered = this.contains(hit) ? "" : hit ? hit.outerHTML.slice(0, 200) : "nothing";
			return {x, y, covered, disabled: !!this.disabled};
		}`,
		ReturnByValue: new(true),
	})
	if err != nil {
		return 0, 0, err
	}
	var at struct {
		X, Y     float64
		Covered  string
		Disabled bool
	}
	if err := json.Unmarshal(res.Result.Value, &at); err != nil {
		return 0, 0, fmt.Errorf("reading where it is: %w", err)
	}
	switch {
	case at.Disabled:
		return 0, 0, errors.New("it is disabled")
	case at.Covered != "":
		return 0, 0, fmt.Errorf("a click would reach something else: %s", at.Covered)
	}
	return at.X, at.Y, nil
}

// Offline takes the network from the tab, and from the popups and frames there are, or gives it back. What opens later has
// the network.
func (tab *Tab) Offline(offline bool) {
	tab.t.Helper()
	for _, ctx := range append([]context.Context{tab.Ctx}, tab.b.attached()...) {
		if err := emulate(ctx, offline); err != nil && ctx == tab.Ctx {
			tab.t.Fatalf("taking the tab offline: %v", err)
		}
	}
}

func emulate(ctx context.Context, offline bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// What the page is told (navigator.onLine and its events), and what its requests meet, are two switches.
	state := network.OverrideNetworkStateParams{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1}
	if _, err := chromedp.Call(ctx, network.OverrideNetworkState, state); err != nil {
		return err
	}
	conditions := []*network.Conditions{}
	if offline {
		conditions = append(conditions, &network.Conditions{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1})
	}
	_, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: conditions})
	return err
}

// Viewport makes the page this large, in CSS pixels.
func (tab *Tab) Viewport(width, height int64) {
	tab.t.Helper()
	tab.Do(chromedp.EmulateViewport(width, height))
}

// Prefer sets what the person prefers, as CSS media features: Prefer("prefers-color-scheme", "dark",
// "prefers-reduced-motion", "reduce"). Without arguments, nothing is preferred any more.
func (tab *Tab) Prefer(pairs ...string) {
	tab.t.Helper()
	var features []*emulation.MediaFeature
	for i := 0; i+1 < len(pairs); i += 2 {
		features = append(features, &emulation.MediaFeature{Name: pairs[i], Value: pairs[i+1]})
	}
	tab.Do(chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// quote makes a JavaScript (and CSS) string of s.
func quote(s string) string {
	data, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	return string(data)
}
