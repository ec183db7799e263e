package e2e_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"offrecord/e2e/browser"
)

// held is what a page holds on to, how large its program's memory has become, which never shrinks, and how long a cycle took.
type held struct {
	browser.Counters
	Wasm  int64
	Cycle time.Duration
}

// keepMemory keeps the program's memory where a test finds it.
const keepMemory = `WebAssembly.instantiate = (start => async (...args) => {
	const made = await start(...args);
	window.memory = (made.instance ?? made).exports.mem;
	return made;
})(WebAssembly.instantiate);`

// cycle presses Pause and Resume n times, each when the one before is over, and resolves when the last one is.
const cycle = `(async n => {
	const attempt = () => document.querySelector('.attempt');
	const over = action => attempt()?.querySelector('.action').innerText === action && attempt().querySelector('.outcome').innerText !== 'Waiting';
	for (let i = 0; i < n; i++) for (const action of ['Pause', 'Resume']) {
		document.querySelector('[data-control=' + action.toLowerCase() + ']').click();
		for (const until = performance.now() + 10000; !over(action);) {
			if (performance.now() > until) throw new Error(action + ' ' + i + ' is not over');
			await new Promise(next => setTimeout(next, 2));
		}
		if (attempt().querySelector('.outcome').innerText !== '%s') throw new Error(attempt().innerText);
	}
	return true;
})(%d)`

// Pausing and resuming all day leaves nothing behind. What the program no longer needs is let go when its own collector runs,
// every fifty cycles or so; so the least that the page holds is compared, in the first half of the run and in the second.
//
// A thousand cycles take minutes, so the everyday run is shorter: OFFRECORD_CYCLES=1000 is the whole. Windows take three times as
// long, and a run as short as a day's would find nothing in them, so they are the long run's alone.
func TestCyclesLeaveNothing(t *testing.T) {
	t.Parallel()
	cycles, err := strconv.Atoi(os.Getenv("OFFRECORD_CYCLES"))
	long := err == nil
	if !long {
		cycles = 120
	}
	t.Run("frames", func(t *testing.T) { leavesNothing(t, cycles, "Sent, not confirmed", browser.ThirdPartyAllowed) })
	if long {
		// The presses are the page's own, to be many; a window opens without a person's where the browser lets it.
		t.Run("windows", func(t *testing.T) {
			leavesNothing(t, cycles, "Taken, not confirmed", browser.ThirdPartyBlocked, browser.Flag("disable-popup-blocking", true))
		})
	}
}

func leavesNothing(t *testing.T, cycles int, end string, cookies browser.Cookies, options ...browser.Option) {
	d := &desk{name: "bill"}
	s := newStage(t, d)
	b := browser.Launch(t, s.net, cookies, append(options, browser.Unwatched())...)
	d.signIn(t, b.Tab(t))
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	tab.Before(keepMemory)
	s.openPanel(t, tab, d)

	pressed := 0
	run := func(n int) held {
		t.Helper()
		const batch = 2 // so that no step takes long, on a busy machine either
		least := held{browser.Counters{Documents: math.MaxInt64, Nodes: math.MaxInt64, Listeners: math.MaxInt64, Heap: math.MaxInt64}, 0, 0}
		var cycles time.Duration
		for left := n; left > 0; left -= batch {
			start := time.Now()
			browser.Eval[bool](tab, fmt.Sprintf(cycle, end, min(left, batch)))
			cycles += time.Since(start)
			pressed += 2 * min(left, batch)
			now := tab.Counters()
			least.Documents, least.Nodes = min(least.Documents, now.Documents), min(least.Nodes, now.Nodes)
			least.Listeners, least.Heap = min(least.Listeners, now.Listeners), min(least.Heap, now.Heap)
		}
		least.Wasm = browser.Eval[int64](tab, `window.memory.buffer.byteLength`)
		least.Cycle = cycles / time.Duration(n)
		return least
	}
	run(20) // what is kept on purpose, such as the last attempts, has its size after a while
	first := run(cycles / 2)
	second := run(cycles / 2)
	tab.Until(`document.querySelectorAll('#transport [data-warm]').length <= 1 && !document.querySelector('#transport iframe:not([name^=offrecord-native], [data-ready], [data-warm])')`)
	tab.Until(`!Object.keys(localStorage).some(k => k.startsWith('offrecord-attempt:'))`)
	d.only(t, pressed, "every press")
	if !d.sim.Recording(d.agent()) {
		t.Error("the tape doesn't run after the last resume")
	}

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tfirst half\tsecond half\tmay grow by\t")
	for _, row := range []struct {
		name          string
		first, second int64
		most          int64
	}{
		{"documents", first.Documents, second.Documents, 2},
		{"DOM nodes", first.Nodes, second.Nodes, 60},
		{"listeners", first.Listeners, second.Listeners, 4},
		{"JavaScript heap, bytes", first.Heap, second.Heap, 512 << 10},
		{"wasm memory, bytes", first.Wasm, second.Wasm, 0},
	} {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", row.name, row.first, row.second, row.most)
		if row.second-row.first > row.most {
			t.Errorf("%s grew from %d to %d in %d cycles", row.name, row.first, row.second, cycles)
		}
	}
	fmt.Fprintf(w, "a cycle, ms\t%d\t%d\t\t\n", first.Cycle.Milliseconds(), second.Cycle.Milliseconds())
	w.Flush()
	t.Logf("the least that was held in each half of %d cycles of pause and resume, and a cycle's time in the mean:\n%s", cycles, &table)
}
