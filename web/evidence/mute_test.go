package evidence

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"offrecord/web/evidence/silence"
	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
)

// What is muted is digital silence, to the sample, and nothing else is touched.
func TestMute(t *testing.T) {
	for _, f := range []wav.Format{{Codec: wav.PCM, Bits: 16, Channels: 2, Rate: 8000}, {Codec: wav.PCM, Bits: 8, Channels: 1, Rate: 11025}, {Codec: wav.PCM, Bits: 24, Channels: 1, Rate: 16000},
		{Codec: wav.MuLaw, Bits: 8, Channels: 2, Rate: 8000}, {Codec: wav.ALaw, Bits: 8, Channels: 1, Rate: 8000}} {
		scene := truth.Scene{Seed: 5, Format: f, Length: 4 * time.Second, Noise: -40, Speech: -20}
		whole, err := io.ReadAll(scene.Reader(nil))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Mute(iotest.HalfReader(bytes.NewReader(whole)), []silence.Span{{From: 3 * time.Second, To: time.Minute}, {From: time.Second, To: 1500 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		muted, err := io.ReadAll(m)
		if err != nil || len(muted) != len(whole) {
			t.Fatalf("%v: %d bytes of %d, %v", f, len(muted), len(whole), err)
		}
		w, err := wav.NewReader(bytes.NewReader(muted))
		if err != nil {
			t.Fatal(err)
		}
		original, _ := wav.NewReader(bytes.NewReader(whole))
		at := int64(0)
		for {
			block, err := w.Next()
			before, _ := original.Next()
			if err == io.EOF {
				break
			}
			for i, v := range block {
				ms := (at + int64(i/f.Channels)) * 1000 / int64(f.Rate)
				in := ms >= 1000 && ms < 1500 || ms >= 3000
				// A-law has no zero: its least step is 8.
				if in && (v > 8 || v < -8) || !in && ms != 1500 && v != before[i] {
					t.Fatalf("%v: at %d ms a sample is %d and was %d", f, ms, v, before[i])
				}
			}
			at += int64(len(block) / f.Channels)
		}
	}
	if _, err := Mute(bytes.NewReader([]byte("<html>")), nil); err == nil {
		t.Error("what isn't a recording is passed on")
	}
}
