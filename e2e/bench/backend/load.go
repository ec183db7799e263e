package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"offrecord/e2e/bench/figures"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// load is what came of a number of actions.
type load struct {
	mu    sync.Mutex
	took  figures.Series // ms since each was due
	good  int
	spent time.Duration

	refused *refusal // the last
}

// at is the smallest value that a share of the values doesn't exceed.
func (l *load) at(share float64) float64 {
	if len(l.took) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(l.took))
	return sorted[int(math.Ceil(share*float64(len(sorted))))-1]
}

// verb is what an agent's n-th press asks for.
func verb(n int) string {
	if n%2 == 0 {
		return "pause"
	}
	return "resume"
}

// directly asks the platform, as the companion's adapter does.
func (f *floor) directly(ctx context.Context, agent, n int) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/api/tstats/rccontrol/%s/%s/agentId/%s", f.platform.URL, verb(n), f.sim.Tenant(), f.agents[agent]), nil)
	if err != nil {
		return false, err
	}
	r.SetBasicAuth(f.sim.Tenant(), f.sim.ActionToken())
	resp, err := f.client.Do(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode == http.StatusOK && bytes.Contains(text, []byte("success")), err
}

// byCompanion asks the companion.
func (f *floor) byCompanion(ctx context.Context, agent, n int) (bool, error) {
	var attempt struct {
		Outcome string `json:"outcome"`
	}
	err := f.ask(ctx, http.MethodPost, f.url+"/api/v1/actions", f.bearers[agent], map[string]string{"id": uuid.NewString(), "action": verb(n)}, &attempt)
	return attempt.Outcome == "confirmed", err
}

// press sends a round's actions when they are due, whether or not those before were answered, and waits for all.
func (f *floor) press(ctx context.Context, o options, act func(context.Context, int, int) (bool, error), to *load) error {
	count := int(o.each.Seconds() * float64(o.rate))
	gap := time.Second / time.Duration(o.rate)
	began := time.Now()
	var all sync.WaitGroup
	var first error
	for i := range count {
		due := began.Add(time.Duration(i) * gap)
		time.Sleep(time.Until(due))
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			good, err := act(ctx, i%o.agents, i/o.agents)
			took := float64(time.Since(due)) / float64(time.Millisecond)
			to.mu.Lock()
			defer to.mu.Unlock()
			to.took = append(to.took, took)
			if good {
				to.good++
			}
			// A refusal is an answer, and not a good one.
			if refused := (*refusal)(nil); errors.As(err, &refused) {
				to.refused = refused
			} else if err != nil && first == nil {
				first = err
			}
		})
	}
	all.Wait()
	to.spent += time.Since(began)
	return errors.Join(first, ctx.Err())
}

// rush has workers act one after the other for a while, as fast as they are answered, and says how many actions a second that
// makes. Each worker is an agent of its own.
func (f *floor) rush(ctx context.Context, workers int, each time.Duration) (float64, error) {
	began := time.Now()
	var done atomic.Int64
	var first atomic.Value
	var all sync.WaitGroup
	for agent := range min(workers, len(f.bearers)) {
		all.Go(func() {
			for n := 0; time.Since(began) < each; n++ {
				good, err := f.byCompanion(ctx, agent, n)
				if err == nil && !good {
					err = errors.New("an action wasn't confirmed")
				}
				if err != nil {
					first.CompareAndSwap(nil, err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err, failed := first.Load().(error); failed {
		return 0, err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}
