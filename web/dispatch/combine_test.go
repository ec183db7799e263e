package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
)

// TestTheServerConfirmsWhatTheBrowserFired holds the two halves of a combined pause against one another.
func TestTheServerConfirmsWhatTheBrowserFired(t *testing.T) {
	closed := dispatch.Report{Outcome: recording.Accepted, Evidence: &recording.Evidence{Kind: recording.PopupClosed, AfterMS: 60}}
	read := dispatch.Report{Outcome: recording.Accepted, Evidence: &recording.Evidence{Kind: recording.Status, HTTPStatus: 200}}
	load := dispatch.Report{Outcome: recording.Sent, Evidence: &recording.Evidence{Kind: recording.FrameLoad, AfterMS: 60}}
	blocked := dispatch.Report{Outcome: recording.Failed, Evidence: &recording.Evidence{Kind: recording.Blocked}}
	tests := []struct {
		name   string
		server platform.Result
		slow   bool // the server's answer comes after the browser's report
		report *dispatch.Report
		want   recording.Outcome
	}{
		{"confirmed", platform.Result{Outcome: recording.Confirmed}, false, &load, recording.Confirmed},
		{"confirmed, after the browser's word", platform.Result{Outcome: recording.Confirmed}, true, &load, recording.Confirmed},
		{"confirmed, though the browser could send nothing", platform.Result{Outcome: recording.Confirmed}, true, &blocked, recording.Confirmed},
		{"no call outranks a window that closed", platform.Result{Outcome: recording.NoCall}, true, &closed, recording.NoCall},
		{"a refusal outranks a window that closed", platform.Result{Outcome: recording.Denied}, true, &closed, recording.Denied},
		{"no call against a status that was read", platform.Result{Outcome: recording.NoCall}, true, &read, recording.Unknown},
		{"the server couldn't ask: the browser's word", platform.Result{Outcome: recording.Failed}, false, &load, recording.Sent},
		{"the server couldn't ask: the browser's word came first", platform.Result{Outcome: recording.Failed}, true, &closed, recording.Accepted},
		{"neither could do anything", platform.Result{Outcome: recording.Failed}, true, &blocked, recording.Failed},
		{"the server may have, and the browser couldn't", platform.Result{Outcome: recording.Unknown}, true, &blocked, recording.Unknown},
		{"nothing from the browser", platform.Result{Outcome: recording.Unknown}, false, nil, recording.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &scripted{result: tt.server}
				if tt.slow {
					p.delay = 2 * time.Second
				}
				d := dispatch.New(dispatch.Options{Upstream: func(string) (dispatch.Upstream, bool) {
					return dispatch.Upstream{Server: p, Try: 5 * time.Second, Attempt: 15 * time.Second, Combine: true}, true
				}})
				defer d.Close()
				id := dispatch.NewID()
				a, _, err := d.Announce(t.Context(), vera, dispatch.Request{ID: id, Action: recording.Pause, Transport: recording.TransportIframe})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if tt.report != nil {
					if a, err = d.Report(t.Context(), vera, id, *tt.report); err != nil {
						t.Fatal(err)
					}
					if tt.slow && a.Settled() {
						t.Errorf("settled as %q before the server had its say", a.Outcome)
					}
				}
				time.Sleep(20 * time.Second)
				if a, _ = d.Attempt(vera, id); a.Outcome != tt.want || !a.Settled() {
					t.Errorf("%q (settled: %v), want %q: %s", a.Outcome, a.Settled(), tt.want, a.Detail)
				}
				if s := d.Snapshot(vera).State; s.OffTape() != (tt.want == recording.Confirmed) {
					t.Errorf("%q after %q", s, a.Outcome)
				}
			})
		})
	}
}

// scripted is a platform that always gives the same result.
type scripted struct {
	tape
	result platform.Result
	delay  time.Duration
}

func (s *scripted) Act(ctx context.Context, _ platform.Request) platform.Result {
	wait := time.NewTimer(s.delay)
	defer wait.Stop()
	select {
	case <-wait.C:
		return s.result
	case <-ctx.Done():
		return platform.Result{Outcome: recording.Unknown}
	}
}
