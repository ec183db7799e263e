package main

import (
	"context"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/bench/figures"
	"offrecord/e2e/sim/agui"
)

// visitsWithAgent is how many visits of a round need an agent of their own.
const visitsWithAgent = 5

// pauseButton is the panel's, drawn by the server and by the program alike.
const pauseButton = `form[data-native-form="pause"] button`

// result is everything measured; times are in milliseconds.
type result struct {
	rivalFirst, rivalSecond figures.Series // click → arrival
	cold, warm              figures.Series // click → arrival

	paint, earlyClick, earlyEffect, mounted figures.Series // since navigation
	helloPaint, helloMounted                figures.Series
	bytes, wasm, helloBytes, helloWasm      figures.Series
	bareWork, embedWork                     figures.Series // of the main thread of another company's page
	bareShift, embedShift                   figures.Series // its layout shift
	loader, focus                           figures.Series // bytes; focus → arrival
	once                                    int            // clicks at first paint that had their effect once
}

// measure makes rounds of one sample each, so that a machine that slows down slows both sides down.
func (w *world) measure(ctx context.Context, rounds int, progress func(done int)) *result {
	r := &result{}
	agents := w.agents
	next := func() (a agui.Agent) {
		a, agents = agents[0], agents[1:]
		return a
	}
	pause := w.pausePlace()
	for i := range rounds {
		samples := []func(){
			func() { w.visit(next(), func(v *visit) { v.rival(r) }) },
			func() { w.visit(next(), func(v *visit) { v.warm(r) }) },
			func() { w.visit(agui.Agent{}, func(v *visit) { v.hello(r) }) },
			func() { w.visit(next(), func(v *visit) { v.cold(r) }) },
			func() { w.visit(next(), func(v *visit) { v.early(r, pause) }) },
			func() { w.visit(agui.Agent{}, func(v *visit) { v.measureWork(); v.bare(r) }) },
			func() { w.visit(next(), func(v *visit) { v.measureWork(); v.logInToWidget(); v.embed(r) }) },
		}
		for j := range samples { // nobody is always first
			if ctx.Err() != nil {
				w.h.Fatal("interrupted")
			}
			samples[(i+j)%len(samples)]()
		}
		progress(i + 1)
	}
	return r
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// rival is the sample's first and second request.
func (v *visit) rival(r *result) {
	v.open(v.world.crm.String())
	v.untouched()
	at := v.find("#pause")
	v.rest(at)
	r.rivalFirst = append(r.rivalFirst, v.clickToArrival(at, recording.Pause))
	v.until("!document.querySelector('iframe')") // the sample has seen its answer
	at = v.find("#resume")
	v.rest(at)
	r.rivalSecond = append(r.rivalSecond, v.clickToArrival(at, recording.Resume))
}

// warm is the panel as an agent finds it: the program runs, and has warmed its route. The page's own figures are taken here.
func (v *visit) warm(r *result) {
	v.open(v.world.panel.String())
	v.until("document.documentElement.dataset.program === 'running' && offrecordBench.paint && offrecordBench.mounted")
	r.paint = append(r.paint, eval[float64](v, "offrecordBench.paint"))
	r.mounted = append(r.mounted, eval[float64](v, "offrecordBench.mounted"))
	ctx, cancel := v.limited()
	defer cancel()
	if err := v.world.sim.WaitFor(ctx, func() bool { return v.reached() > 0 }); err != nil {
		v.world.h.Fatalf("waiting for the warm-up: %v", err)
	}
	at := v.find(pauseButton)
	v.rest(at)
	all, wasm := v.received()
	r.bytes, r.wasm = append(r.bytes, all), append(r.wasm, wasm)
	r.warm = append(r.warm, v.clickToArrival(at, recording.Pause))
}

// cold is the same panel without its warm-up.
func (v *visit) cold(r *result) {
	v.neverWarm()
	v.open(v.world.panel.String())
	v.until("document.documentElement.dataset.program === 'running'")
	v.do("letting go of the route", call(fetch.Disable, cdp.Empty{}))
	at := v.find(pauseButton)
	v.rest(at)
	v.untouched()
	r.cold = append(r.cold, v.clickToArrival(at, recording.Pause))
}

// early clicks as soon as there is something to be seen, long before the program runs.
func (v *visit) early(r *result, at point) {
	ctx, cancel := v.limited()
	defer cancel()
	v.do("opening the panel", call(page.Navigate, page.NavigateParams{URL: v.world.panel.String()}))
	select {
	case <-v.paints:
	case <-ctx.Done():
		v.world.h.Fatal("the panel was never painted")
	}
	clicked := v.click(at)
	came := v.arrival(recording.Pause)
	start := epoch(eval[float64](v, "performance.timeOrigin"))
	r.earlyClick = append(r.earlyClick, ms(clicked.Sub(start)))
	r.earlyEffect = append(r.earlyEffect, ms(came.At.Sub(start)))
	// The program comes after the click, and may not send it again.
	v.until("document.documentElement.dataset.program === 'running'")
	time.Sleep(settling)
	if len(v.world.sim.Requests(agui.Filter{Path: agui.ControlPath, Agent: v.agent.ID})) == 1 {
		r.once++
	}
}

// hello is go-app's.
func (v *visit) hello(r *result) {
	v.open(v.world.hello.String())
	v.until("offrecordBench.mounted && offrecordBench.paint")
	r.helloPaint = append(r.helloPaint, eval[float64](v, "offrecordBench.paint"))
	r.helloMounted = append(r.helloMounted, eval[float64](v, "offrecordBench.mounted"))
	time.Sleep(settling)
	all, wasm := v.received()
	r.helloBytes, r.helloWasm = append(r.helloBytes, all), append(r.helloWasm, wasm)
}

// pausePlace is where the panel's button is in this window, before the program runs. It is needed before it can be asked for.
func (w *world) pausePlace() (at point) {
	agent := w.agents[len(w.agents)-1] // the last visit's: looking leaves nothing behind
	w.visit(agent, func(v *visit) {
		v.open(w.panel.String())
		at = v.find(pauseButton)
	})
	return at
}

func (v *visit) open(address string) { v.do("opening "+address, chromedp.Navigate(address)) }

// clickToArrival is the benchmark's one figure, in milliseconds.
func (v *visit) clickToArrival(at point, action recording.Action) float64 {
	clicked := v.click(at)
	return ms(v.arrival(action).At.Sub(clicked))
}

// untouched ends the run if anything of the page has reached the platform, by whatever way: the sample wouldn't be cold.
func (v *visit) untouched() {
	if before := v.world.sim.Requests(agui.Filter{After: v.mark}); len(before) > 0 {
		v.world.h.Fatalf("%d requests reached the platform before the first click:\n%s", len(before), v.world.sim)
	}
}
