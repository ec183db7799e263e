package main

import (
	"bytes"
	"net/http"
	"net/url"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
)

// widgetCookie is the session of a frame in another site's page; the browser keeps it apart for each such site.
const widgetCookie = "__Host-offrecord-widget"

// shop is another company's page, bare or with the loader in it as the README has it.
func shop(panel *url.URL) http.Handler {
	serve := func(loader string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			page, err := pages.ReadFile("pages/shop.html")
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(bytes.ReplaceAll(page, []byte("<!-- LOADER -->"), []byte(loader)))
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bare", serve(""))
	mux.HandleFunc("GET /embedded", serve(`<script async src="`+panel.String()+`/embed/v1.js" data-pause-on='[autocomplete^="cc-"]'></script>`))
	return mux
}

// bare is the page without the loader, left alone for as long as the other.
func (v *visit) bare(r *result) {
	v.open(v.world.shop.JoinPath("bare").String())
	time.Sleep(embedded)
	r.bareWork = append(r.bareWork, v.work())
	r.bareShift = append(r.bareShift, eval[float64](v, "offrecordBench.shift"))
}

// embedded is how long an embedded page is left alone: its panel is then ready, and has warmed its route.
const embedded = 3 * time.Second

// embed is the page with the loader: what it costs the page, and how soon a pause leaves it.
func (v *visit) embed(r *result) {
	v.open(v.world.shop.JoinPath("embedded").String())
	began := time.Now()
	ctx, cancel := v.limited()
	defer cancel()
	if err := v.world.sim.WaitFor(ctx, func() bool { return v.reached() > 0 }); err != nil {
		v.world.h.Fatalf("waiting for the embedded panel to warm its route: %v", err)
	}
	time.Sleep(time.Until(began.Add(embedded)))
	r.embedWork = append(r.embedWork, v.work())
	r.embedShift = append(r.embedShift, eval[float64](v, "offrecordBench.shift"))
	r.loader = append(r.loader, v.receivedAs("text/javascript"))
	at := v.find("#number")
	v.rest(at)
	v.do("clicking the field", chromedp.MouseClickXY(at.X, at.Y))
	came := v.arrival(recording.Pause)
	r.focus = append(r.focus, ms(came.At.Sub(epoch(eval[float64](v, "offrecordBench.entered")))))
}

// still counts the pages whose layout shifted no more with the loader than the bare page's.
func (r *result) still() (n int) {
	for _, shift := range r.embedShift {
		if shift <= r.bareShift.Median() {
			n++
		}
	}
	return n
}

// work is what the page's main thread has done since its beginning, in milliseconds.
func (v *visit) work() float64 {
	ctx, cancel := v.limited()
	defer cancel()
	metrics, err := chromedp.Call(ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		v.world.h.Fatalf("asking for the page's work: %v", err)
	}
	for _, m := range metrics.Metrics {
		if m.Name == "TaskDuration" {
			return m.Value * 1000
		}
	}
	v.world.h.Fatal("the browser doesn't say what the page's work was")
	return 0
}

// receivedAs is how many bytes of a kind came over the wire to the page itself: its frames of other sites are counted elsewhere.
func (v *visit) receivedAs(kind string) (sum float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, n := range v.bytes {
		if v.kinds[id] == kind {
			sum += n
		}
	}
	return sum
}

// logInToWidget gives the browser the session of a panel in the shop's page.
func (v *visit) logInToWidget() {
	w := v.world
	ctx, cancel := v.limited()
	defer cancel()
	ours, err := login(ctx, w.net.Client(), w.panel, v.agent.Email)
	if err != nil {
		w.h.Fatal(err)
	}
	c := cookie(w.panel, &http.Cookie{Name: widgetCookie, Value: ours.Value, Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
	c.PartitionKey = &network.CookiePartitionKey{TopLevelSite: w.shop.Scheme + "://" + site(w.shop.Hostname()), HasCrossSiteAncestor: true}
	v.do("setting the widget's cookie", call(network.SetCookies, network.SetCookiesParams{Cookies: []*network.CookieParam{c}}))
}

// measureWork makes the browser count the page's work from its beginning.
func (v *visit) measureWork() {
	v.do("measuring the page's work", call(performance.Enable, performance.EnableParams{}))
}

// site is the registrable name of a host under .test, its last two labels.
func site(host string) string {
	dots := 0
	for i := len(host) - 1; i >= 0; i-- {
		if host[i] == '.' {
			if dots++; dots == 2 {
				return host[i+1:]
			}
		}
	}
	return host
}
