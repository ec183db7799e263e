package evidence

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"offrecord/web/evidence/silence"
	"offrecord/web/evidence/wav"
)

// Muted passes a recording on with some stretches silenced: what leaked doesn't leave the server a second time.
type Muted struct {
	in     *bufio.Reader
	format wav.Format
	at     int64      // bytes passed on
	sound  int64      // where the sound begins
	mute   [][2]int64 // of bytes, in order
}

// headMost bounds a file's head: what comes before its sound.
const headMost = 64 << 10

// Mute silences stretches of a recording. What can't be decoded can't be silenced, and is refused.
func Mute(recording io.Reader, spans []silence.Span) (*Muted, error) {
	m := &Muted{in: bufio.NewReaderSize(recording, headMost)}
	head, err := m.in.Peek(headMost)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading the recording: %w", err)
	}
	w, err := wav.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil, fmt.Errorf("the recording can't be silenced where it leaks: %w", err)
	}
	m.format, m.sound = w.Format(), w.Offset()
	byteAt := func(t time.Duration) int64 {
		rate := int64(m.format.Rate)
		frame := int64(t/time.Second)*rate + int64(t%time.Second)*rate/int64(time.Second)
		return m.sound + frame*int64(m.format.Align())
	}
	for _, s := range spans {
		if s.To > s.From && s.To > 0 {
			m.mute = append(m.mute, [2]int64{byteAt(max(s.From, 0)), byteAt(s.To) + int64(m.format.Align())})
		}
	}
	slices.SortFunc(m.mute, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	return m, nil
}

// Read implements io.Reader.
func (m *Muted) Read(b []byte) (int, error) {
	n, err := m.in.Read(b)
	from, to := m.at, m.at+int64(n)
	m.at = to
	quiet := m.nothing()
	for _, s := range m.mute {
		a, z := max(s[0], from), min(s[1], to)
		for i := a; i < z; i++ {
			b[i-from] = quiet
		}
	}
	return n, err
}

// nothing is the byte that a silent sample is made of.
func (m *Muted) nothing() byte {
	switch {
	case m.format.Codec == wav.MuLaw:
		return 0xFF
	case m.format.Codec == wav.ALaw:
		return 0xD5
	case m.format.Bits == 8:
		return 0x80
	}
	return 0
}

// muting is how much more than a window is silenced before and after.
const muting = 250 * time.Millisecond

// Leaky are the stretches of a recording that nobody should hear: the pauses that aren't shown to be silent, wherever they may
// lie.
func Leaky(items []Item) (spans []silence.Span) {
	for _, x := range items {
		if x.Kind == OfWindow && x.Verdict != Silent && x.May.Length() > 0 {
			spans = append(spans, silence.Span{From: x.May.From - muting, To: x.May.To + muting})
		}
	}
	return spans
}
