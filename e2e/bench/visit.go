package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/sim/agui"
)

const (
	// patience is how long one step may take before the run is given up.
	patience = 30 * time.Second
	// settling is what a person leaves between a page that stands and the pointer on a button, and between two clicks. It is
	// the same for the rival and for us, and lets what a page does at its start come to rest.
	settling = 500 * time.Millisecond
	// clockSlack is how far the page's clock and ours may be apart. They are one machine's; more means that one was set.
	clockSlack = 20 * time.Millisecond
)

// visit is one page in a fresh browser context: without a cache, without connections, with the cookies of an agent who has
// logged in to the platform and to the companion.
type visit struct {
	ctx   context.Context
	world *world
	agent agui.Agent
	mark  int // the ledger's end before it

	clicks int // so far

	mu     sync.Mutex
	bytes  map[network.RequestID]float64
	kinds  map[network.RequestID]string
	paints chan struct{}
}

// visit makes the context and lets use do the rest.
func (w *world) visit(agent agui.Agent, use func(*visit)) {
	ctx, cancel := chromedp.NewContext(w.tab.Ctx, chromedp.WithNewBrowserContext())
	defer func() { // one visit's end may not weigh on the next one's beginning
		bounded, done := context.WithTimeout(ctx, patience)
		defer done()
		_ = chromedp.Cancel(bounded)
		cancel()
	}()
	v := &visit{
		ctx: ctx, world: w, agent: agent, mark: w.sim.Mark(),
		bytes: map[network.RequestID]float64{}, kinds: map[network.RequestID]string{}, paints: make(chan struct{}, 1),
	}
	if err := chromedp.Do(ctx); err != nil { // binds the tab's life to ctx: no deadline
		w.h.Fatalf("opening a fresh browser context: %v", err)
	}
	if err := chromedp.Listen(ctx, v.hear); err != nil {
		w.h.Fatalf("listening to the tab: %v", err)
	}
	observe, err := pages.ReadFile("pages/observe.js")
	if err != nil {
		w.h.Fatal(err)
	}
	v.do("preparing the tab",
		call(network.Enable, network.EnableParams{}),
		call(runtime.AddBinding, runtime.AddBindingParams{Name: "offrecordPainted"}),
		call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: string(observe)}),
		chromedp.EmulateViewport(1024, 768))
	if agent.ID != "" {
		v.login()
	}
	use(v)
}

// login gives the browser the cookies of someone who has logged in to the platform and to the companion a while ago, and of
// whose browser the log-in page knew that it allows third-party cookies. No connection is opened for it.
func (v *visit) login() {
	w := v.world
	ctx, cancel := v.limited()
	defer cancel()
	ours, err := login(ctx, w.net.Client(), w.panel, v.agent.Email)
	if err != nil {
		w.h.Fatal(err)
	}
	world := &http.Cookie{Name: "__Host-offrecord_tpc", Value: "allowed", Secure: true, SameSite: http.SameSiteLaxMode}
	v.do("setting cookies", call(network.SetCookies, network.SetCookiesParams{Cookies: []*network.CookieParam{
		cookie(w.platform, w.sim.Login(v.agent.ID)), cookie(w.panel, ours), cookie(w.panel, world),
	}}))
	w.sim.StartCall(v.agent.ID)
}

func cookie(site *url.URL, c *http.Cookie) *network.CookieParam {
	p := &network.CookieParam{Name: c.Name, Value: c.Value, URL: site.String(), Path: "/", Secure: c.Secure, HTTPOnly: c.HttpOnly}
	switch c.SameSite {
	case http.SameSiteNoneMode:
		p.SameSite = network.CookieSameSiteNone
	case http.SameSiteLaxMode:
		p.SameSite = network.CookieSameSiteLax
	}
	return p
}

func (v *visit) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(v.ctx, patience)
}

func (v *visit) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	ctx, cancel := v.limited()
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		v.world.h.Fatalf("%s: %v", what, err)
	}
}

// call is a command of the protocol as an action.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// hear runs in the tab's reading loop.
func (v *visit) hear(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *network.EventResponseReceived:
		v.kinds[e.RequestID] = e.Response.MimeType
	case *network.EventLoadingFinished:
		v.bytes[e.RequestID] = e.EncodedDataLength
	case *runtime.EventBindingCalled:
		select {
		case v.paints <- struct{}{}:
		default:
		}
	case *fetch.EventRequestPaused:
		go v.unwarm(e)
	}
}

// received is how many bytes came over the wire, headers and coded bodies, and how many of them were WebAssembly.
func (v *visit) received() (all, wasm float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, n := range v.bytes {
		all += n
		if v.kinds[id] == "application/wasm" {
			wasm += n
		}
	}
	return all, wasm
}

// neverWarm keeps the program from learning of an address to warm, so that the page is as one whose warm-up wasn't done.
func (v *visit) neverWarm() {
	v.do("holding the warm-up back", call(fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{
		{URLPattern: "*/api/v1/route", RequestStage: fetch.RequestStageResponse},
	}}))
}

func (v *visit) unwarm(e *fetch.EventRequestPaused) {
	ctx, cancel := v.limited()
	defer cancel()
	err := func() error {
		got, err := chromedp.Call(ctx, fetch.GetResponseBody, fetch.GetResponseBodyParams{RequestID: e.RequestID})
		if err != nil {
			return err
		}
		var route map[string]any
		if err := json.Unmarshal(got.Body, &route); err != nil {
			return err
		}
		session, ok := route["session"].(map[string]any)
		if !ok {
			return errors.New("it has no session route")
		}
		delete(session, "warm_url")
		cold, err := json.Marshal(route)
		if err != nil {
			return err
		}
		_, err = chromedp.Call(ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{
			RequestID: e.RequestID, ResponseCode: e.ResponseStatusCode, ResponseHeaders: e.ResponseHeaders, Body: cold,
		})
		return err
	}()
	if err != nil && v.ctx.Err() == nil {
		v.world.h.Logf("taking the address to warm out of the route: %v", err) // the page then waits in vain, and the run ends
	}
}

// eval is the value of an expression; a promise is waited for.
func eval[T any](v *visit, expression string) T {
	ctx, cancel := v.limited()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		v.world.h.Fatalf("evaluating %s: %v", expression, err)
	}
	return value
}

// until waits for an expression to become true. It looks as often as the page draws.
func (v *visit) until(expression string) {
	if !eval[bool](v, fmt.Sprintf(`new Promise(done => {
		const end = performance.now() + %d;
		const look = () => {
			const is = !!(%s);
			if (is || performance.now() > end) done(is); else setTimeout(look, 15);
		};
		look();
	})`, patience.Milliseconds()*9/10, expression)) {
		v.world.h.Fatalf("waited in vain until %s, at %s", expression, eval[string](v, "location.href + ' ' + document.body.innerText"))
	}
}

// point is a place in the page.
type point struct{ X, Y float64 }

func (v *visit) find(selector string) point {
	return eval[point](v, fmt.Sprintf(`(() => {
		const r = document.querySelector(%q).getBoundingClientRect();
		return {X: r.x + r.width / 2, Y: r.y + r.height / 2};
	})()`, selector))
}

// rest moves the pointer to a place and lets a person's moment pass.
func (v *visit) rest(at point) {
	v.do("moving the pointer", chromedp.MouseEvent(chromedp.MouseMoved, at.X, at.Y))
	time.Sleep(settling)
}

// click clicks with the mouse and returns when the browser took the click: the time that the page's click event carries.
func (v *visit) click(at point) time.Time {
	begun := time.Now()
	v.do("clicking", chromedp.MouseClickXY(at.X, at.Y))
	ended := time.Now()
	v.until(fmt.Sprintf("offrecordBench.clicks.length > %d", v.clicks))
	clicked := epoch(eval[float64](v, fmt.Sprintf("offrecordBench.clicks[%d]", v.clicks)))
	v.clicks++
	if clicked.Before(begun.Add(-clockSlack)) || clicked.After(ended.Add(clockSlack)) {
		v.world.h.Fatalf("the page says that it was clicked at %v, which was done between %v and %v: was the clock set?", clicked, begun, ended)
	}
	return clicked
}

// epoch is a time that a page gives: milliseconds since 1970, with a fraction.
func epoch(ms float64) time.Time { return time.UnixMicro(int64(ms * 1000)) }

// arrival waits for the agent's request for the action and returns it.
func (v *visit) arrival(action recording.Action) agui.Request {
	ctx, cancel := v.limited()
	defer cancel()
	var found []agui.Request
	err := v.world.sim.WaitFor(ctx, func() bool {
		found = v.world.sim.Requests(agui.Filter{Path: agui.ControlPath, Action: action, Agent: v.agent.ID, After: v.mark})
		return len(found) > 0 && found[0].Status != 0
	})
	if err != nil {
		v.world.h.Fatalf("waiting for the %s to arrive: %v", action, err)
	}
	if wants := action == recording.Resume; v.world.sim.Recording(v.agent.ID) != wants {
		v.world.h.Fatalf("the %s arrived and had no effect: is the cookie missing? %+v", action, found[0])
	}
	return found[0]
}

// reached is how many requests of frames the platform has had of this visit.
func (v *visit) reached() int {
	n := 0
	for _, r := range v.world.sim.Requests(agui.Filter{After: v.mark}) {
		if r.Dest == "iframe" && r.Status != 0 {
			n++
		}
	}
	return n
}
