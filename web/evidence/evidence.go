// Package evidence proves from the recordings themselves that pauses worked, or shows where they didn't.
//
// It takes the pause windows from the audit log, finds the recording of each in the platform's archive, lays the log's times
// over the tape and listens. What it says of a window is one of four words: silent, audible, no recording, not checkable; and
// with each of them how sure that is. It claims nothing about what lies nearer to an edge than the two clocks can be told
// apart, nothing about screen recordings, and nothing about what was said. It reads the log and never writes what happened
// into it by itself; it deletes nothing that a supervisor didn't confirm by name.
package evidence

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Archive is a platform's archive of recordings, as far as this package needs it.
type Archive interface {
	// List yields the recordings that began in a stretch of the platform's time.
	List(ctx context.Context, from, to time.Time) iter.Seq2[Recording, error]
	// Open streams a recording. ErrGone means that the archive doesn't have it, though it may have listed it.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Delete deletes a recording for good, and returns nil once the archive doesn't have it any more.
	Delete(ctx context.Context, name string) error
}

// ErrGone is a recording that the archive doesn't have, or not any more.
var ErrGone = errors.New("the recording isn't in the archive")

// Recording is what an archive says of one recording.
type Recording struct {
	Name        string        `json:"name"` // S20071220/R2007122003163601000.wav
	AgentID     string        `json:"agent_id"`
	Channel     string        `json:"channel,omitempty"` // the number that was called, or #virtual_outbound#, #virtual_daa#
	Phone       string        `json:"phone,omitempty"`
	Queue       string        `json:"queue,omitempty"`
	Transaction string        `json:"transaction,omitempty"`
	Start       time.Time     `json:"start"`    // in whole seconds
	Duration    time.Duration `json:"duration"` // in whole seconds
}

// End is about when it ended.
func (r Recording) End() time.Time { return r.Start.Add(r.Duration) }

// Verdict is what the tape says of a window.
type Verdict string

// The verdicts. The other kinds of findings have Unexplained and NoPause.
const (
	Silent       Verdict = "silent"        // nothing that may be speech is heard in what was checked
	Audible      Verdict = "audible"       // a leak
	NoRecording  Verdict = "no_recording"  // the archive has none of that agent and time
	NotCheckable Verdict = "not_checkable" // the reason says why
	Unexplained  Verdict = "unexplained"   // a silence that no pause explains
	NoPause      Verdict = "no_pause"      // a card field had the focus, and no pause took effect
)

// Bounds are the earliest and the latest moment at which something took effect, by the log's clock.
type Bounds struct {
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest"`
}
