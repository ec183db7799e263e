package server

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// TestWhatOfTheLogIsAnAlert has a log get into trouble, worse, and well again, in virtual time.
func TestWhatOfTheLogIsAnAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now audit.Status
		open, refreshed := map[recording.AlertKind]string{}, 0
		g := guard{
			status:  func() audit.Status { mu.Lock(); defer mu.Unlock(); return now },
			raise:   func(a recording.Alert) { mu.Lock(); defer mu.Unlock(); open[a.Kind] = a.Text },
			settle:  func(a recording.Alert) { mu.Lock(); defer mu.Unlock(); delete(open, a.Kind) },
			refresh: func() { refreshed++ },
		}
		changed := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.run(ctx, changed)
		is := func(s audit.Status, after time.Duration, want ...string) {
			t.Helper()
			mu.Lock()
			now = s
			mu.Unlock()
			select {
			case changed <- struct{}{}:
			default:
			}
			time.Sleep(after)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(open) != len(want) {
				t.Errorf("open: %v", open)
			}
			for _, text := range want {
				found := false
				for _, says := range open {
					found = found || strings.Contains(says, text)
				}
				if !found {
					t.Errorf("nothing says %q: %v", text, open)
				}
			}
		}
		broken := errors.New("disk full")
		is(audit.Status{}, time.Hour)
		is(audit.Status{Store: broken}, time.Second)
		is(audit.Status{}, time.Second) // it was locked for a moment
		is(audit.Status{Store: broken}, asideAfter-time.Millisecond)
		is(audit.Status{Store: broken}, time.Second, "kept in the spool")
		is(audit.Status{Store: broken, Checkpoint: broken}, time.Hour, "kept in the spool")
		is(audit.Status{Store: broken, Spool: broken}, 0, "can't be written at all")
		is(audit.Status{Checkpoint: broken}, 0)
		is(audit.Status{Checkpoint: broken}, checkpointLate-time.Minute)
		is(audit.Status{}, 0)
		is(audit.Status{Checkpoint: broken}, checkpointLate-time.Second)
		is(audit.Status{Checkpoint: broken}, time.Second, "cut wouldn't show it")
		is(audit.Status{Checkpoint: broken, Store: broken}, time.Minute, "cut wouldn't show it", "kept in the spool")
		is(audit.Status{}, 0)
		if refreshed != 7 {
			t.Errorf("panels were refreshed %d times", refreshed)
		}
	})
}
