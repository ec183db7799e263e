package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"offrecord/e2e/browser"
	"offrecord/e2e/delay"
	"offrecord/e2e/sim/agui"
)

// world is what is measured, each site behind a link of its own: the companion, the platform's simulator, a CRM that has
// pasted the platform's sample, and go-app's hello.
type world struct {
	h   *harness
	net *browser.Net
	sim *agui.Simulator
	tab *browser.Tab // the browser's first; every visit is beside it

	panel, platform, crm, hello, shop *url.URL

	agents []agui.Agent // one for each visit, so that no visit finds what another left
}

// options are the command line.
type options struct {
	samples int
	rtt     time.Duration
	binary  string
	root    string
	keep    string // where hello's program is kept
}

func newWorld(ctx context.Context, h *harness, o options) *world {
	w := &world{h: h, net: browser.NewNet(h)}
	for i := range o.samples * visitsWithAgent {
		id := fmt.Sprintf("agent%03d", i+1)
		w.agents = append(w.agents, agui.Agent{ID: id, Email: id + "@acme.example"})
	}
	wasm, err := buildHello(ctx, o.root, o.keep)
	if err != nil {
		h.Fatal(err)
	}
	hello, err := helloSite(ctx, o.root, wasm)
	if err != nil {
		h.Fatal(err)
	}
	w.sim = agui.New(agui.Config{Agents: w.agents})
	h.Cleanup(w.sim.Close)
	w.platform = w.serve("vcc-na4.eightbyeight.test", o.rtt, w.sim)
	w.crm = w.serve("crm.example.test", o.rtt, crm(w.platform, w.sim.ActionToken()))
	w.hello = w.serve("hello.goapp.test", o.rtt, hello)
	var listens string
	w.panel = w.link("panel.offrecord.test", o.rtt, func() string { return listens })
	w.shop = w.serve("shop.larch.test", o.rtt, shop(w.panel))
	listens = startCompanion(h, w.net, o.binary, w.panel, w.platform, w.shop, w.sim.ActionToken(), w.agents)

	// Chrome's own default for third-party cookies; where they are blocked the rival does nothing at all.
	b := browser.Launch(h, w.net, browser.ThirdPartyAllowed, browser.Unwatched())
	w.tab = b.Tab(h)
	return w
}

// about says what the figures were measured with.
func (w *world) about(o options) string {
	ctx, cancel := context.WithTimeout(w.tab.Ctx, patience)
	defer cancel()
	version, err := chromedp.CallBrowser(ctx, cdpbrowser.GetVersion, cdp.Empty{})
	if err != nil {
		w.h.Fatalf("asking for the browser's version: %v", err)
	}
	return fmt.Sprintf("%d samples of each kind, round trip %v, %s, %d processors", o.samples, o.rtt, version.Product, runtime.NumCPU())
}

// serve serves a site over TLS at the far end of a link.
func (w *world) serve(name string, rtt time.Duration, site http.Handler) *url.URL {
	srv := w.net.Serve(w.h, name, site)
	return w.link(name, rtt, srv.Listener.Addr().String)
}

func (w *world) link(name string, rtt time.Duration, upstream func() string) *url.URL {
	link, err := delay.New(rtt/2, upstream)
	if err != nil {
		w.h.Fatal(err)
	}
	w.h.Cleanup(func() { _ = link.Close() })
	_, port, err := net.SplitHostPort(link.Addr())
	if err != nil {
		w.h.Fatal(err)
	}
	return &url.URL{Scheme: "https", Host: name + ":" + port}
}

// crm is a page of another company that has the platform's sample in it.
func crm(platform *url.URL, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := pages.ReadFile("pages/crm.html")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		page = bytes.ReplaceAll(page, []byte("https://vcc-instance.8x8.com"), []byte(platform.String()))
		page = bytes.ReplaceAll(page, []byte("ACTION-TOKEN"), []byte(token))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
}
