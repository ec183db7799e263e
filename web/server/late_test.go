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
		name   string
		status audit.Status
		code   recording.NoticeCode
		says   string
	}{
		{"well", audit.Status{}, "", ""},
		{"a checkpoint that didn't arrive", audit.Status{Checkpoint: broken}, "", ""},
		{"no store", audit.Status{Store: broken}, recording.LogSpooled, "kept aside"},
		{"nothing", audit.Status{Store: broken, Spool: broken}, recording.LogUnavailable, "Resume without record"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := notices(tt.status)
			if (tt.code == "") != (len(all) == 0) {
				t.Errorf("%v", all)
			}
			for _, n := range all {
				if n.Code != tt.code || !strings.Contains(n.Text, tt.says) {
					t.Errorf("%+v", n)
				}
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
