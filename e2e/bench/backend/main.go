// Command backend measures what the server adds to an action: the same load, from the same generator in the same run, first
// to the platform's simulator directly and then through the companion to it, in turns. It also measures what the log costs,
// how soon many panels agree, and what a long log makes of a panel's opening. It prints the figures and holds them against
// the bars; a missed bar is exit code 1.
//
// How it is fair. The companion is the built binary, a process of its own, with its log and its adapters as they are, and
// every action is a whole one: POST /api/v1/actions with an agent's own bearer, answered with what the platform did. The
// simulator runs in the generator's process, for both alike. Actions are sent by a clock and timed from when they were due,
// so that a stall is everybody's who waited behind it. The number of actions is fixed, so it ends by itself; nothing leaves
// loopback.
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
	"runtime"
	"strings"
	"time"

	"offrecord/e2e/bench/figures"
)

// The bars.
const (
	addedMost = 3    // what the companion may add to the p99, in milliseconds
	agreeMost = 200  // what all panels of an agent may take to agree, in milliseconds
	flatMost  = 1.10 // what opening a panel may cost with a long log, against a short one
	fullMost  = 1.25 // the same against a log that is as good as empty, and so is the page
)

const (
	panelsOfOne = 100 // panels of one agent
	rushing     = 64  // agents who act as fast as they are answered
)

type options struct {
	binary string
	rate   int // actions a second
	rounds int
	each   time.Duration // of a round, of each kind
	agents int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "offrecord", filepath.Join("bin", "offrecord"), "the companion's binary")
	flag.IntVar(&o.rate, "rate", 500, "actions a second")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; each is one of the platform alone and one through the companion")
	flag.DurationVar(&o.each, "each", 5*time.Second, "length of each half of a round")
	flag.IntVar(&o.agents, "agents", 1000, "agents, and open panels")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	missed, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(2)
	case missed > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (missed int, err error) {
	if o.rate < 1 || o.rounds < 1 || o.agents < 1 || o.each < time.Second {
		return 0, errors.New("-rate, -rounds and -agents are at least 1, -each at least 1s")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var bars []figures.Bar
	for _, part := range []func(context.Context, options, io.Writer) ([]figures.Bar, error){added, durable, opened} {
		more, err := part(ctx, o, out)
		if err != nil {
			return 0, err
		}
		bars = append(bars, more...)
	}
	return figures.WriteBars(out, bars)
}

// added is what the companion adds to an action, and what its open panels take and hear.
func added(ctx context.Context, o options, out io.Writer) ([]figures.Bar, error) {
	f, err := newFloor(ctx, plan{binary: o.binary, agents: o.agents, log: true})
	if err != nil {
		return nil, err
	}
	defer f.close()

	var direct, through load
	for range o.rounds {
		if err := f.press(ctx, o, f.directly, &direct); err != nil {
			return nil, fmt.Errorf("pressing at the platform: %w", err)
		}
		if err := f.press(ctx, o, f.byCompanion, &through); err != nil {
			return nil, fmt.Errorf("pressing through the companion: %w", err)
		}
	}
	memory, err := f.panels(ctx)
	if err != nil {
		return nil, err
	}
	heard, err := f.everyPanel(ctx, panelsOfOne, 200)
	if err != nil {
		return nil, err
	}

	fmt.Fprintf(out, "%d actions of each kind at %d a second by %d agents, %d processors, %s\n\n", len(direct.took), o.rate, o.agents, runtime.NumCPU(), loadAverage())
	fmt.Fprintf(out, "ms                     n      done/s   p50    p90    p99    max\n")
	for _, l := range []struct {
		name string
		*load
	}{{"the platform alone", &direct}, {"through the companion", &through}} {
		fmt.Fprintf(out, "%-21s  %5d  %6.0f  %5.2f  %5.2f  %5.2f  %5.1f\n", l.name, len(l.took), float64(len(l.took))/l.spent.Seconds(), l.at(.5), l.at(.9), l.at(.99), l.at(1))
	}
	if through.refused != nil {
		fmt.Fprintf(out, "\nrefused: %v\n", through.refused)
	}
	fmt.Fprintf(out, "\nMemory of the companion, MiB: %s\n\n", memory)
	err = figures.Table{Title: fmt.Sprintf("From an action's request until the last of %d panels of its agent has heard the outcome", panelsOfOne), Unit: "ms",
		Rows: []figures.Row{{Name: "all panels", Series: heard, Digits: 2}}}.Write(out)
	fmt.Fprintln(out)
	return []figures.Bar{
		{Name: "added p99, ms", Got: through.at(.99) - direct.at(.99), Most: addedMost, Digits: 2, Note: fmt.Sprintf("added p50: %.2f", through.at(.5)-direct.at(.5))},
		{Name: "actions confirmed", Got: float64(through.good), Least: float64(len(through.took)), Note: fmt.Sprintf("of %d", len(through.took))},
		{Name: fmt.Sprintf("every one of %d panels, p95, ms", panelsOfOne), Got: heard.P95(), Most: agreeMost, Digits: 1},
	}, err
}

// durable is what the log costs: the same companion without one is the rival.
func durable(ctx context.Context, o options, out io.Writer) ([]figures.Bar, error) {
	var with, without figures.Series
	floors := map[bool]*floor{}
	for _, log := range []bool{true, false} {
		f, err := newFloor(ctx, plan{binary: o.binary, agents: rushing, log: log})
		if err != nil {
			return nil, err
		}
		defer f.close()
		floors[log] = f
	}
	for range o.rounds {
		for log, to := range map[bool]*figures.Series{true: &with, false: &without} {
			rate, err := floors[log].rush(ctx, rushing, o.each)
			if err != nil {
				return nil, err
			}
			*to = append(*to, rate)
		}
	}
	err := figures.Table{Title: fmt.Sprintf("Actions a second, %d agents one after the other, as fast as they are answered", rushing), Unit: "1/s",
		Rows: []figures.Row{{Name: "the log on a disk", Series: with}, {Name: "no log", Series: without}}}.Write(out)
	fmt.Fprintf(out, "with the log / without: %.2f\n\n", with.Median()/without.Median())
	return nil, err
}

// opened is what opening a panel costs, by the length of the log. The companions take turns, panel by panel.
//
// With ten attempts most agents have none, and their pages are half as long; from a few thousand on each agent's list is full, and
// only the log differs. So how flat it is shows between the longer two.
func opened(ctx context.Context, o options, out io.Writer) ([]figures.Bar, error) {
	const times = 1000
	table := figures.Table{Title: "Opening a panel (its page and the first state), by the attempts in the log", Unit: "ms"}
	var floors []*floor
	for _, count := range []int{10, 10_000, 1_000_000} {
		var started time.Time
		fill := attempts(count, rushing)
		f, err := newFloor(ctx, plan{binary: o.binary, agents: rushing, log: true, fill: func(ctx context.Context, dir string) error {
			err := fill(ctx, dir)
			started = time.Now()
			return err
		}})
		if err != nil {
			return nil, err
		}
		defer f.close()
		floors = append(floors, f)
		table.Rows = append(table.Rows, figures.Row{Name: fmt.Sprintf("%d attempts, ready after %.1f s", count, time.Since(started).Seconds()), Digits: 2})
	}
	bytes := make([]int64, len(floors))
	for i := range times + 2*rushing { // each agent's first two are the start's
		for j := range floors {
			at := (i + j) % len(floors) // nobody is always first
			took, page, err := floors[at].opening(ctx, i)
			if err != nil {
				return nil, err
			}
			if i >= 2*rushing {
				table.Rows[at].Series = append(table.Rows[at].Series, took)
				bytes[at] += page
			}
		}
	}
	for i := range table.Rows {
		table.Rows[i].Name += fmt.Sprintf(", a page of %.1f KB", float64(bytes[i])/times/1000)
	}
	err := table.Write(out)
	fmt.Fprintln(out)
	ten, some, many := table.Rows[0].Series.Median(), table.Rows[1].Series.Median(), table.Rows[2].Series.Median()
	return []figures.Bar{
		{Name: "opening a panel, a million attempts / ten thousand", Got: many / some, Most: flatMost, Digits: 2, Note: "pages of one length"},
		{Name: "opening a panel, a million attempts / ten", Got: many / ten, Most: fullMost, Digits: 2, Note: "and a full page for an empty one"},
	}, err
}

// loadAverage says how busy the machine is with other things, too.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return "load average " + strings.Join(strings.Fields(string(text))[:min(3, len(strings.Fields(string(text))))], " ")
}
