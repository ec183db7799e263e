package server

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// TestEnough reads back no further than the dispatcher needs, and never past what may hold a pause.
func TestEnough(t *testing.T) {
	type press struct {
		action recording.Action
		origin recording.Origin
	}
	byHand := []press{{recording.Pause, recording.Hand}, {recording.Resume, recording.Hand}}
	byTrigger := []press{{recording.Pause, "trigger:card"}, {recording.Resume, "trigger:card"}}
	for _, tt := range []struct {
		name  string
		first []press
		then  []press
		times int
		want  int // attempts that are read
	}{
		{"few", nil, byHand, 10, 20},
		{"a long day by hand", nil, byHand, 500, 65},
		{"a hold from the morning, and triggers since", byHand[:1], byTrigger, 500, 1001},
		{"a hold from the morning, and the hand since", []press{{recording.Pause, "trigger:form"}}, byHand, 500, 65},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := slices.Clone(tt.first)
			for range tt.times {
				all = append(all, tt.then...)
			}
			var entries []audit.Entry
			at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
			for _, p := range all {
				a := recording.Attempt{ID: uuid.NewString(), Action: p.action, Agent: "bill@acme.example", Platform: "acme", Route: recording.RouteServer, Origin: p.origin, RequestedAt: at}
				for _, outcome := range []recording.Outcome{recording.Pending, recording.Confirmed} {
					at = at.Add(time.Second)
					if a.Outcome = outcome; outcome == recording.Confirmed {
						decided := at
						a.DecidedAt = &decided
					}
					r, err := audit.OfAttempt(a)
					if err != nil {
						t.Fatal(err)
					}
					entries = append(entries, audit.Entry{Seq: int64(len(entries) + 1), Record: r})
				}
			}
			var newestFirst iter.Seq2[audit.Entry, error] = func(yield func(audit.Entry, error) bool) {
				for _, e := range slices.Backward(entries) {
					if !yield(e, nil) {
						return
					}
				}
			}
			got, err := enough(newestFirst)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 2*tt.want || got[len(got)-1].Seq != int64(len(entries)) || !slices.IsSortedFunc(got, func(a, b audit.Entry) int { return int(a.Seq - b.Seq) }) {
				t.Errorf("%d records of %d were read, want %d", len(got), len(entries), 2*tt.want)
			}
		})
	}
}
