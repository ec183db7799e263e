package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// attempts writes a log with this many attempts of an hour, as a companion would have, each begun and decided.
func attempts(count, agents int) func(context.Context, string) error {
	return func(ctx context.Context, dir string) (err error) {
		key, err := audit.LoadKey(filepath.Join(dir, "offrecord.key"), "offrecord")
		if err != nil {
			return err
		}
		log, err := audit.Open(ctx, audit.Config{Store: filepath.Join(dir, "offrecord.db"), Spool: filepath.Join(dir, "offrecord.spool"), Key: key, CheckpointEvery: time.Hour})
		if err != nil {
			return err
		}
		defer func() {
			if closed := log.Close(); err == nil {
				err = closed
			}
		}()
		began := time.Now().Add(-time.Hour)
		work, failed := make(chan int), make(chan error, 1)
		var writers sync.WaitGroup
		for range 128 {
			writers.Go(func() {
				for i := range work {
					at := began.Add(time.Duration(float64(time.Hour) * float64(i) / float64(count)))
					a := recording.Attempt{ID: uuid.NewString(), Action: recording.Pause, Agent: fmt.Sprintf("agent%04d@acme.example", i%agents), Platform: "acme",
						Route: recording.RouteServer, Origin: recording.Hand, RequestedAt: at}
					if i/agents%2 == 1 {
						a.Action = recording.Resume
					}
					for _, outcome := range []recording.Outcome{recording.Pending, recording.Confirmed} {
						if a.Outcome = outcome; outcome != recording.Pending {
							decided := at.Add(40 * time.Millisecond)
							a.DecidedAt, a.State = &decided, a.Effect()
						}
						r, err := audit.OfAttempt(a)
						if outcome == recording.Pending {
							r.Time = at // as if it had been written then: a start reads the newest first
						}
						if err == nil {
							_, err = log.Append(ctx, r)
						}
						if err != nil {
							select {
							case failed <- err:
							default:
							}
						}
					}
				}
			})
		}
		for i := range count {
			work <- i
		}
		close(work)
		writers.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}

// opening measures, in milliseconds, what an agent's panel asks for when it is opened: its page, and the state on its stream. It
// says how many bytes the page has, too.
func (f *floor) opening(ctx context.Context, agent int) (took float64, bytes int64, err error) {
	bearer, began := f.bearers[agent%len(f.bearers)], time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/", nil)
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	page, err := f.client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	bytes, err = io.Copy(io.Discard, page.Body)
	page.Body.Close()
	if err != nil || page.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("a panel's page: %s, %w", page.Status, err)
	}
	s, err := f.panel(ctx, bearer)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	return float64(time.Since(began)) / float64(time.Millisecond), bytes, nil
}
