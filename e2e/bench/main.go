// Command bench measures what an agent waits for, from click to arrival at the platform, against the platform document's own
// JavaScript sample as the rival, and what the panel's page costs, against go-app's own hello: in one run, in one browser,
// over TLS, at a round trip of 50 ms. It prints the figures and holds them against the bars; a missed bar is exit code 1.
//
// How it is fair. Every sample has a browser context of its own, with no connection and no cache. A click is a real mouse
// click, timed by the timestamp that the browser gives the event, so that all a page does with it counts; the arrival is the
// platform's clock, which is the same machine's. The rival and we have the same moment of rest before each click. The
// samples take turns, in a changing order. The link delays, and does nothing else.
//
// It drives the built binary; of the server it imports nothing but the builder's flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"offrecord/e2e/bench/figures"
	"offrecord/web/site/build/program"
)

// The bars.
const (
	warmOfFirst    = 0.35
	warmOfSecond   = 1.05
	coldOfFirst    = 1.05
	mountedOfHello = 1.30
	focusOfFirst   = 0.50
	loaderBytes    = 5000
	loaderWork     = 100
)

var errMissed = errors.New("a bar was missed")

func main() {
	var o options
	flag.IntVar(&o.samples, "n", 20, "samples of each kind")
	flag.DurationVar(&o.rtt, "rtt", 50*time.Millisecond, "round trip of each link")
	flag.StringVar(&o.root, "root", ".", "the module's root")
	flag.StringVar(&o.binary, "offrecord", "", "the companion's binary (default bin/offrecord under the root)")
	flag.Parse()
	o.keep = filepath.Join(o.root, "bin", "bench")
	if o.binary == "" {
		o.binary = filepath.Join(o.root, "bin", "offrecord")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, o, os.Stdout, os.Stderr); {
	case errors.Is(err, errMissed):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, o options, out, log io.Writer) error {
	if o.samples < 1 {
		return errors.New("-n: at least one sample")
	}
	h := &harness{log: log}
	var r *result
	err := h.run(func() {
		fmt.Fprintln(log, "preparing: hello, the simulator, the companion, the browser")
		w := newWorld(ctx, h, o)
		fmt.Fprintf(out, "%s\n\n", w.about(o))
		r = w.measure(ctx, o.samples, func(done int) { fmt.Fprintf(log, "\rround %d of %d", done, o.samples) })
		fmt.Fprintln(log)
	})
	if err != nil {
		return err
	}
	return r.report(out, o)
}

// report prints the figures and returns errMissed if a bar was missed.
func (r *result) report(out io.Writer, o options) error {
	tables := []figures.Table{
		{Title: fmt.Sprintf("Click → arrival at the platform (nothing can be quicker than half a round trip, %v)", o.rtt/2), Unit: "ms", Rows: []figures.Row{
			{Name: "the document's sample, first request", Series: r.rivalFirst, Digits: 1},
			{Name: "the document's sample, second request", Series: r.rivalSecond, Digits: 1},
			{Name: "the panel, cold (no warm-up)", Series: r.cold, Digits: 1},
			{Name: "the panel, warm", Series: r.warm, Digits: 1},
			{Name: "a card field in another company's page: its focus", Series: r.focus, Digits: 1},
		}},
		{Title: "Since navigation (empty cache, new connections)", Unit: "ms", Rows: []figures.Row{
			{Name: "the panel: first contentful paint", Series: r.paint},
			{Name: "the panel: click at first paint", Series: r.earlyClick},
			{Name: "the panel: that click's arrival at the platform", Series: r.earlyEffect},
			{Name: "the panel: mounted", Series: r.mounted},
			{Name: "go-app's hello: first contentful paint", Series: r.helloPaint},
			{Name: "go-app's hello: mounted", Series: r.helloMounted},
		}},
		{Title: "Over the wire (headers and compressed bodies)", Unit: "bytes", Rows: []figures.Row{
			{Name: "the panel: everything", Series: r.bytes},
			{Name: "the panel: the program", Series: r.wasm},
			{Name: "go-app's hello: everything", Series: r.helloBytes},
			{Name: "go-app's hello: the program", Series: r.helloWasm},
			{Name: "the loader in another company's page", Series: r.loader},
		}},
		{Title: "The main thread of another company's page, from its beginning until the panel in it is ready", Unit: "ms", Rows: []figures.Row{
			{Name: "bare", Series: r.bareWork, Digits: 1},
			{Name: "with the loader", Series: r.embedWork, Digits: 1},
		}},
	}
	for _, t := range tables {
		if err := t.Write(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	const medians = "of medians"
	missed, err := figures.WriteBars(out, []figures.Bar{
		{Name: "warm / the sample's first", Got: r.warm.Median() / r.rivalFirst.Median(), Most: warmOfFirst, Digits: 3, Note: medians},
		{Name: "warm / the sample's second", Got: r.warm.Median() / r.rivalSecond.Median(), Most: warmOfSecond, Digits: 3, Note: medians},
		{Name: "cold / the sample's first", Got: r.cold.Median() / r.rivalFirst.Median(), Most: coldOfFirst, Digits: 3, Note: medians},
		{Name: "clicks at first paint with their effect, once", Got: float64(r.once), Least: float64(o.samples), Note: fmt.Sprintf("of %d", o.samples)},
		{Name: "mounted / go-app's hello", Got: r.mounted.Median() / r.helloMounted.Median(), Most: mountedOfHello, Digits: 3, Note: medians},
		{Name: "focus in another company's page / the sample's first", Got: r.focus.Median() / r.rivalFirst.Median(), Most: focusOfFirst, Digits: 3, Note: medians},
		{Name: "the loader, bytes over the wire", Got: r.loader.Median(), Most: loaderBytes, Digits: 0, Note: "4096 and its headers"},
		{Name: "the loader's work on the main thread, ms", Got: r.embedWork.Median() - r.bareWork.Median(), Most: loaderWork, Digits: 1, Note: "beyond the bare page"},
		{Name: "pages of another company that shifted no more than bare", Got: float64(r.still()), Least: float64(len(r.embedShift)), Note: fmt.Sprintf("of %d", len(r.embedShift))},
		{Name: "the program, MB over the wire", Got: r.wasm.Median() / 1e6, Most: program.Gate / 1e6, Digits: 3, Note: fmt.Sprintf("hello: %.2f", r.helloWasm.Median()/1e6)},
	})
	if err != nil {
		return err
	}
	if missed > 0 {
		return errMissed
	}
	return nil
}
