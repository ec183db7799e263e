package server

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/config"
)

func TestWhatIsSaidOfTheLog(t *testing.T) {
	broken := errors.New("disk full")
	for _, tt := range []struct {
		name           string
		status         audit.Status
		written, ready bool
		says           string
	}{
		{"well", audit.Status{}, true, true, ""},
		{"a checkpoint that didn't arrive", audit.Status{Checkpoint: broken}, true, true, ""},
		{"no store", audit.Status{Store: broken}, true, true, "kept aside"},
		{"nothing", audit.Status{Store: broken, Spool: broken}, false, false, "Resume without record"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			written, says := notice(tt.status)
			if written != tt.written || !strings.Contains(says, tt.says) || (says == "") != (tt.says == "") || (ready(tt.status) == nil) != tt.ready {
				t.Errorf("written %v, %q, ready %v", written, says, ready(tt.status))
			}
		})
	}
}

// TestAnOutcomeIsNotLostToASlowLog gives the log no time for an outcome.
func TestAnOutcomeIsNotLostToASlowLog(t *testing.T) {
	dir := t.TempDir()
	c := &config.Config{StoreFile: filepath.Join(dir, "log.db"), Spool: filepath.Join(dir, "log.spool"), Audit: config.Audit{SigningKeyFile: filepath.Join(dir, "log.key")}}
	j, err := openJournal(t.Context(), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := recording.Attempt{ID: uuid.NewString(), Action: recording.Pause, Agent: "bill@acme.example", Platform: "acme", Route: recording.RouteSession,
		Origin: recording.Hand, RequestedAt: time.Now()}
	if err := j.Begin(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a.Outcome, a.DecidedAt = recording.Sent, &now
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for j.Complete(over, a) == nil { // either of two things that can happen
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := audit.OpenReader(c.StoreFile)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page, err := r.Query(t.Context(), audit.Filter{Outcome: recording.Sent})
	if err != nil || len(page.Items) == 0 {
		t.Errorf("%d outcomes, %v", len(page.Items), err)
	}
}
