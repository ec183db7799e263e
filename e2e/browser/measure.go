package browser

import (
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// Counters is what a page holds on to.
type Counters struct {
	Documents, Nodes, Listeners int64
	Heap                        int64 // bytes of JavaScript, after a collection
}

// Counters collects the page's garbage and counts what is left. The program's own memory is asked of the program.
func (tab *Tab) Counters() Counters {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	fail := func(err error) {
		tab.t.Helper()
		if err != nil {
			tab.t.Fatalf("measuring the page: %v", err)
		}
	}
	_, err := chromedp.Call(ctx, heapprofiler.CollectGarbage, cdp.Empty{})
	fail(err)
	_, err = chromedp.Call(ctx, performance.Enable, performance.EnableParams{})
	fail(err)
	metrics, err := chromedp.Call(ctx, performance.GetMetrics, cdp.Empty{})
	fail(err)
	dom, err := chromedp.Call(ctx, memory.GetDOMCounters, cdp.Empty{})
	fail(err)
	counters := Counters{Documents: dom.Documents, Nodes: dom.Nodes, Listeners: dom.JsEventListeners}
	for _, m := range metrics.Metrics {
		if m.Name == "JSHeapUsedSize" {
			counters.Heap = int64(m.Value)
		}
	}
	return counters
}
