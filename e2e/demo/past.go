package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/e2e/sim/archive"
	"offrecord/web/audit"
)

// pastPauses is how many there are at most: to listen to their recordings takes a moment.
const pastPauses = 12

// past writes Ada's pauses of the last hours into the companion's log, before it starts: there are recordings of them, which can
// be listened to. Two of them leak. One had no effect although 8x8 said so, and one took effect late.
func past(ctx context.Context, dir string, calls []archive.Call) error {
	var records []audit.Record
	press := func(c archive.Call, action recording.Action, effect time.Time) error {
		decided := effect.Add(40 * time.Millisecond)
		r, err := audit.OfAttempt(recording.Attempt{ID: uuid.NewString(), Action: action, Agent: ada.Email, Platform: "acme-server", Call: c.ID, Route: recording.RouteServer, Origin: recording.Hand,
			Reason: "card", Outcome: recording.Confirmed, Evidence: &recording.Evidence{Kind: recording.Reported, AfterMS: 100}, RequestedAt: effect.Add(-60 * time.Millisecond), DecidedAt: &decided})
		records = append(records, r)
		return err
	}
	with := 0
	for i, c := range calls {
		if c.Agent != ada.ID || with == pastPauses {
			continue
		}
		pause := archive.Interval{From: c.Started.Add(c.Ended.Sub(c.Started) / 3)}
		pause.To = pause.From.Add(9 * time.Second)
		switch {
		case with == 4: // without effect
			if len(c.Silent) > 0 {
				continue
			}
		case len(c.Silent) == 0 || i%2 == 0:
			continue
		case with == 8:
			pause = archive.Interval{From: c.Silent[0].From.Add(-2500 * time.Millisecond), To: c.Silent[0].To} // late
		default:
			pause = c.Silent[0]
		}
		with++
		if err := press(c, recording.Pause, pause.From); err != nil {
			return err
		}
		if err := press(c, recording.Resume, pause.To); err != nil {
			return err
		}
	}
	key, err := audit.LoadKey(filepath.Join(dir, "offrecord.key"), panelName)
	if err != nil {
		return err
	}
	return audit.Note(ctx, audit.Config{Store: filepath.Join(dir, "offrecord.db"), Key: key}, records...)
}
