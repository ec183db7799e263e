package dispatch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
)

func TestARestartReadsFirstRepeatsAPauseAndNeverAResume(t *testing.T) {
	tests := []struct {
		name   string
		reads  bool
		silent bool // the tape, when the server comes back
		action recording.Action
		want   recording.Outcome
		asked  int
	}{
		{"a pause that had its effect is read", true, true, recording.Pause, recording.Confirmed, 0},
		{"a pause that hadn't is repeated", true, false, recording.Pause, recording.Confirmed, 1},
		{"a pause that can't be read is repeated", false, false, recording.Pause, recording.Confirmed, 1},
		{"a resume that had its effect is read", true, false, recording.Resume, recording.Confirmed, 0},
		{"a resume that hadn't isn't repeated", true, true, recording.Resume, recording.Unknown, 0},
		{"a resume that can't be read isn't repeated", false, true, recording.Resume, recording.Unknown, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &tape{reads: tt.reads, silent: tt.silent, ways: []way{{lag: time.Second}}}
				d := dispatch.New(upstream(p))
				defer d.Close()
				id := dispatch.NewID()
				d.Restore([]recording.Attempt{{ID: id, Action: tt.action, Agent: vera.Email, Platform: vera.Platform, Route: recording.RouteServer, Origin: recording.Hand,
					RequestedAt: time.Now().Add(-time.Minute)}}, nil, func(string) (dispatch.Agent, bool) { return vera, true })
				if s := d.Snapshot(vera).State; s.OffTape() {
					t.Errorf("%q before anything was read", s)
				}
				time.Sleep(20 * time.Second)
				a, err := d.Attempt(vera, id)
				if err != nil || a.Outcome != tt.want {
					t.Errorf("%q, want %q: %s %v", a.Outcome, tt.want, a.Detail, err)
				}
				if p.Asked() != tt.asked {
					t.Errorf("the platform was asked %d times, want %d", p.Asked(), tt.asked)
				}
				if s := d.Snapshot(vera).State; s.OffTape() && !p.Silent() {
					t.Errorf("%q while the tape runs", s)
				}
			})
		})
	}
}

func TestARestartKeepsTheStateTheHoldsAndTheIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{silent: true, ways: []way{{}}}
		d := dispatch.New(upstream(p))
		defer d.Close()
		decided := time.Now()
		old := recording.Attempt{ID: dispatch.NewID(), Action: recording.Resume, Agent: vera.Email, Platform: vera.Platform, Route: recording.RouteServer,
			Origin: recording.Hand, RequestedAt: decided.Add(-time.Hour)} // undecided, and not the newest
		paused := old
		paused.ID, paused.Action, paused.RequestedAt, paused.DecidedAt, paused.Outcome = dispatch.NewID(), recording.Pause, decided.Add(-time.Minute), &decided, recording.Confirmed
		elsewhere := paused
		elsewhere.ID, elsewhere.Agent = dispatch.NewID(), "gone@acme.example"
		d.Restore([]recording.Attempt{old, elsewhere, paused}, nil, func(email string) (dispatch.Agent, bool) { return vera, email == vera.Email })
		s := d.Snapshot(vera)
		if s.State != recording.Paused || len(s.Holds) != 1 {
			t.Errorf("%q, held by %v", s.State, s.Holds)
		}
		if a, _ := d.Attempt(vera, old.ID); a.Outcome != recording.Unknown {
			t.Errorf("an old resume: %q", a.Outcome)
		}
		a, isNew, err := d.Act(t.Context(), vera, dispatch.Order{ID: paused.ID, Action: recording.Pause})
		if isNew || err != nil || a.Outcome != recording.Confirmed {
			t.Errorf("the same id again: new %v, %q, %v", isNew, a.Outcome, err)
		}
		if p.Asked() != 0 {
			t.Errorf("the platform was asked %d times", p.Asked())
		}
	})
}
