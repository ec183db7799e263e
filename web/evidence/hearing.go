package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"offrecord/web/evidence/silence"
	"offrecord/web/evidence/wav"
)

// hearing is one recording with the windows that may lie in it.
type hearing struct {
	recording Recording
	windows   []*Window
	placed    []placed
	tape      *silence.Tape
	err       error // why it couldn't be listened to
	lasting   bool  // and that looking again won't help
	alignment Alignment
	findings  []Finding // of each window
}

// around is how much of the tape before and after a window is listened to closely, besides what the clocks leave open: the
// edges of the silence have to be seen.
const around = 2 * time.Second

// closely are the stretches of the tape in which the windows may lie.
func (h *hearing) closely() (spans []silence.Span) {
	h.placed = nil
	for _, w := range h.windows {
		p := place(w, h.recording)
		s := p.span(anything, h.recording.Duration+Clocks)
		h.placed = append(h.placed, p)
		spans = append(spans, silence.Span{From: s.From - around, To: s.To + around})
	}
	return spans
}

// listen reads the recording. An error that is the archive's or the stream's is returned: it may be better later. What is wrong
// with the file itself is kept for the verdict.
func (h *hearing) listen(ctx context.Context, stream io.Reader, between func()) error {
	tape, err := silence.Listen(ctx, stream, h.closely(), between)
	if err != nil {
		if h.err = fault(err); h.err != nil {
			return nil
		}
		return err
	}
	h.tape = tape
	for i := range h.placed {
		p := &h.placed[i]
		s := p.span(anything, tape.Duration)
		for k := range tape.Regions {
			if r := &tape.Regions[k]; r.Overlap(s).Length() > 0 {
				p.region = r
				break
			}
		}
	}
	h.alignment = align(tape, h.placed, anything)
	return nil
}

// fault is what is wrong with a file, nil if the error is the stream's.
func fault(err error) error {
	var unsupported wav.UnsupportedError
	var damaged wav.DamagedError
	if errors.Is(err, wav.ErrNotWAV) || errors.As(err, &unsupported) || errors.As(err, &damaged) {
		return err
	}
	return nil
}

// conclude judges all windows of all hearings, after what their recordings say together of the platform's clock.
func conclude(all []*hearing) {
	var strong []Range
	for _, h := range all {
		if h.tape != nil && h.alignment.Strong {
			strong = append(strong, h.alignment.Range)
		}
	}
	common, known := agree(strong)
	for _, h := range all {
		if h.tape != nil && known {
			h.alignment = align(h.tape, h.placed, common)
		}
		h.findings = nil
		zeros := h.tape != nil && h.zeros()
		for i := range h.windows {
			if h.tape == nil {
				h.findings = append(h.findings, Finding{Verdict: NotCheckable, Reason: fmt.Sprintf("The recording can't be read: %s.", h.err)})
				continue
			}
			h.findings = append(h.findings, judge(h.tape, h.placed[i], h.alignment, zeros))
		}
	}
}

// zeros reports whether one of the pauses is seen to hold nothing at all: then the others do, too.
func (h *hearing) zeros() bool {
	return slices.ContainsFunc(h.placed, func(p placed) bool {
		return p.region != nil && slices.ContainsFunc(p.region.Plateaus(), func(x silence.Plateau) bool {
			return x.Level == silence.Digital && x.Overlap(p.span(h.alignment.Range, h.tape.Duration)).Length() >= leastChecked
		})
	})
}
