package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"offrecord/e2e/bench/figures"
)

// panels opens every agent's event stream, waits for the state on each, and says what that takes of memory.
func (f *floor) panels(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := f.memory(ctx)
	if err != nil {
		return "", err
	}
	var open []*stream
	defer func() {
		for _, s := range open {
			s.Close()
		}
	}()
	for _, bearer := range f.bearers {
		s, err := f.panel(ctx, bearer)
		if err != nil {
			return "", err
		}
		open = append(open, s)
	}
	with, err := f.memory(ctx)
	if err != nil {
		return "", err
	}
	thousand := float64(len(f.bearers)) / 1000
	return fmt.Sprintf("%.1f before, %.1f with %d panels open: %.1f a thousand (resident %.1f and %.1f)",
		before.inUse, with.inUse, len(f.bearers), (with.inUse-before.inUse)/thousand, before.resident, with.resident), nil
}

// use is the memory of the companion, in MiB, after it has collected its garbage.
type use struct{ inUse, resident float64 }

func (f *floor) memory(ctx context.Context) (use, error) {
	for _, path := range []string{"/debug/pprof/heap?gc=1", "/metrics"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.metrics+path, nil)
		if err != nil {
			return use{}, err
		}
		resp, err := f.client.Do(r)
		if err != nil {
			return use{}, fmt.Errorf("asking for the companion's memory: %w", err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || path != "/metrics" {
			continue
		}
		var u use
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			bytes, _ := strconv.ParseFloat(value, 64)
			switch name {
			case "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes":
				u.inUse += bytes / (1 << 20)
			case "process_resident_memory_bytes":
				u.resident = bytes / (1 << 20)
			}
		}
		return u, nil
	}
	return use{}, errors.New("the companion doesn't tell of its memory")
}

// stream is an open panel's: its events, one after the other.
type stream struct {
	io.Closer
	lines *bufio.Scanner
}

// panel opens a panel's stream and waits for the state, with which every stream begins.
func (f *floor) panel(ctx context.Context, bearer string) (*stream, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/api/v1/events", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := f.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("opening a panel's stream: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		resp.Body.Close()
		return nil, fmt.Errorf("opening a panel's stream: %s %s", resp.Status, text)
	}
	s := &stream{resp.Body, bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, 1<<20)
	if !s.until(func(event, _ string) bool { return event == "state" }) {
		return nil, errors.Join(errors.New("a panel's stream ended before the state came"), s.Close())
	}
	return s, nil
}

// until reads on to the first event that is meant.
func (s *stream) until(meant func(event, data string) bool) bool {
	var event string
	for s.lines.Scan() {
		line := s.lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		} else if data, ok := strings.CutPrefix(line, "data: "); ok && meant(event, data) {
			return true
		}
	}
	return false
}

// everyPanel has an agent act again and again while it has many panels open, and measures in milliseconds from the request
// being sent until the last of them has heard of its outcome.
func (f *floor) everyPanel(ctx context.Context, panels, actions int) (all figures.Series, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type heard struct {
		id string
		at time.Time
	}
	told := make(chan heard, panels*actions)
	for range panels {
		s, err := f.panel(ctx, f.bearers[0])
		if err != nil {
			return nil, err
		}
		defer s.Close()
		go s.until(func(event, data string) bool {
			var a struct {
				ID        string     `json:"id"`
				DecidedAt *time.Time `json:"decided_at"`
			}
			if event == "attempt" && json.Unmarshal([]byte(data), &a) == nil && a.DecidedAt != nil {
				told <- heard{a.ID, time.Now()}
			}
			return false
		})
	}
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for n := range actions {
		id, began := uuid.NewString(), time.Now()
		if err := f.ask(ctx, http.MethodPost, f.url+"/api/v1/actions", f.bearers[0], map[string]string{"id": id, "action": verb(n)}, new(any)); err != nil {
			return nil, err
		}
		for left := panels; left > 0; {
			select {
			case h := <-told:
				if h.id != id {
					continue
				}
				if left--; left == 0 {
					all = append(all, float64(h.at.Sub(began))/float64(time.Millisecond))
				}
			case <-patience.C:
				return nil, fmt.Errorf("%d of %d panels never heard of an action", left, panels)
			}
		}
	}
	return all, nil
}
