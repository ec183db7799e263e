package silence

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
)

// tape is a file of PCM 16 bit, mono, made by a function of the time in seconds, at full scale 1.
func tape(rate int, length time.Duration, sound func(t float64) float64) []byte {
	n := int(length.Seconds() * float64(rate))
	le := binary.LittleEndian
	b := append([]byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"), 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0)
	le.PutUint32(b[24:], uint32(rate))
	le.PutUint32(b[28:], uint32(2*rate))
	b = le.AppendUint32(append(b, "data"...), uint32(2*n))
	for i := range n {
		b = le.AppendUint16(b, uint16(int16(math.Round(sound(float64(i)/float64(rate))*32767))))
	}
	return b
}

func listen(t *testing.T, file []byte, closely ...Span) *Tape {
	t.Helper()
	tape, err := Listen(t.Context(), bytes.NewReader(file), closely, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tape
}

func sine(hertz, amplitude float64) func(float64) float64 {
	return func(t float64) float64 { return amplitude * math.Sin(2*math.Pi*hertz*t) }
}

func TestLevels(t *testing.T) {
	for _, test := range []struct {
		name  string
		sound func(float64) float64
		want  float64
	}{
		{"nothing", func(float64) float64 { return 0 }, Digital.DBFS()},
		{"an offset isn't heard", func(float64) float64 { return 0.25 }, Digital.DBFS()},
		{"a sine at full scale", sine(1000, 1), -3},
		{"a sine 40 dB lower", sine(1000, 0.01), -43},
		{"the same with an offset", func(t float64) float64 { return 0.2 + sine(1000, 0.01)(t) }, -43},
		{"a square wave", func(t float64) float64 { return math.Copysign(1, sine(500, 1)(t+1e-6)) }, 0},
	} {
		for _, rate := range []int{8000, 11025, 48000} {
			tape := listen(t, tape(rate, time.Second, test.sound), Span{0, time.Second})
			levels := tape.Regions[0].Channels[0].Levels
			if len(levels) != 100 {
				t.Errorf("%s at %d: %d levels", test.name, rate, len(levels))
			}
			for i, l := range levels {
				if math.Abs(l.DBFS()-test.want) > 0.6 {
					t.Errorf("%s at %d: frame %d is %.1f dBFS, expected %.1f", test.name, rate, i, l.DBFS(), test.want)
					break
				}
			}
		}
	}
	for _, l := range []Level{1, 100, 255} {
		if LevelOf(l.DBFS()) != l {
			t.Errorf("%d is %.1f dBFS, which is %d", l, l.DBFS(), LevelOf(l.DBFS()))
		}
	}
	if LevelOf(20) != 255 || LevelOf(-500) != 1 {
		t.Error("what is beyond the scale isn't at its end")
	}
}

// kindsOf is how many frames above -60 dBFS are of each kind.
func kindsOf(t *testing.T, file io.Reader) map[Kind]int {
	t.Helper()
	tape, err := Listen(t.Context(), file, []Span{{0, time.Hour}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, all := &tape.Regions[0].Channels[0], map[Kind]int{}
	for i, n := range c.named() {
		if c.Levels[i] > LevelOf(-60) {
			all[n.kind]++
		}
	}
	return all
}

// What is known not to be speech is named; speech never is.
func TestNames(t *testing.T) {
	scene := func(rate int, fill truth.Fill) truth.Scene {
		return truth.Scene{Seed: uint64(rate), Format: wav.Format{Codec: wav.PCM, Bits: 16, Rate: rate, Channels: 1}, Length: 20 * time.Second, Noise: -75, Speech: -22,
			Pauses: []truth.Pause{{From: 0, To: 20 * time.Second, Fill: fill, Level: -24}}}
	}
	for _, rate := range []int{8000, 11025, 16000, 44100} {
		for fill, want := range map[truth.Fill]Kind{truth.None: Sound, truth.Music: Music, truth.Beeps: Tone} {
			got := kindsOf(t, scene(rate, fill).Reader(nil))
			of := 0
			for _, n := range got {
				of += n
			}
			if of == 0 || got[want]*100 < 98*of {
				t.Errorf("%d Hz: of %d frames of %s, %v", rate, of, want, got)
			}
		}
		keys := scene(rate, truth.Digital)
		keys.Leaks = []truth.Leak{{At: time.Second, For: 1600 * time.Millisecond, Level: -20, Keys: "4539148803"}}
		if got := kindsOf(t, keys.Reader(nil)); got[Touch]*100 < 95*(got[Touch]+got[Sound]+got[Tone]) || got[Touch] == 0 {
			t.Errorf("%d Hz: touch tones are heard as %v", rate, got)
		}
	}
	noise := truth.Scene{Seed: 1, Format: wav.Format{Codec: wav.PCM, Bits: 16, Rate: 8000, Channels: 1}, Length: 10 * time.Second, Noise: -40, Speech: -90}
	if got := kindsOf(t, noise.Reader(nil)); got[Noise]*100 < 98*(got[Noise]+got[Sound]) {
		t.Errorf("a steady noise is heard as %v", got)
	}
	if got := kindsOf(t, bytes.NewReader(tape(8000, 5*time.Second, sine(440, 0.1)))); got[Tone] < 490 {
		t.Errorf("a steady tone is heard as %v", got)
	}
	hum := func(t float64) float64 { return 0.1*math.Sin(2*math.Pi*120*t) + 0.05*math.Sin(2*math.Pi*240*t) }
	if got := kindsOf(t, bytes.NewReader(tape(8000, time.Second, hum))); got[Tone] > 0 || got[Music] > 0 {
		t.Errorf("somebody who hums is heard as %v", got)
	}
}

// The ground of a pause, by what it is filled with, and what is heard above it.
func TestGround(t *testing.T) {
	pcm := wav.Format{Codec: wav.PCM, Bits: 16, Rate: 8000, Channels: 1}
	pause := truth.Pause{From: 20 * time.Second, To: 30 * time.Second, Level: -60}
	for _, test := range []struct {
		fill   truth.Fill
		format wav.Format
		kind   GroundKind
		floor  float64
	}{
		{truth.Digital, pcm, Nothing, -78},
		{truth.Digital, wav.Format{Codec: wav.MuLaw, Bits: 8, Rate: 8000, Channels: 1}, Nothing, -72},
		{truth.Digital, wav.Format{Codec: wav.PCM, Bits: 8, Rate: 8000, Channels: 1}, Nothing, -48},
		{truth.Comfort, pcm, Comfort, -60},
		{truth.Line, pcm, Line, -50},
		{truth.None, pcm, Unsteady, -50},
	} {
		pause.Fill = test.fill
		s := truth.Scene{Seed: 3, Format: test.format, Length: 40 * time.Second, Noise: -50, Speech: -20, Pauses: []truth.Pause{pause}}
		tape, err := Listen(t.Context(), s.Reader(nil), []Span{{18 * time.Second, 32 * time.Second}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		g := tape.Ground(&tape.Regions[0], 0, 210, 1190)
		if g.Kind != test.kind || math.Abs(g.Floor.DBFS()-test.floor) > 2.5 || g.Masked {
			t.Errorf("fill %d, %v: %s at %.1f dBFS, masked %v; expected %s at %.1f", test.fill, test.format, g.Kind, g.Floor.DBFS(), g.Masked, test.kind, test.floor)
		}
	}
	// A loud noise: speech could hide beneath.
	pause.Fill, pause.Level = truth.Comfort, -30
	s := truth.Scene{Seed: 3, Format: pcm, Length: 40 * time.Second, Noise: -50, Speech: -26, Pauses: []truth.Pause{pause}}
	tape, err := Listen(t.Context(), s.Reader(nil), []Span{{18 * time.Second, 32 * time.Second}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if g := tape.Ground(&tape.Regions[0], 0, 210, 1190); !g.Masked {
		t.Errorf("a noise of %.1f dBFS doesn't mask speech of %.1f", g.Floor.DBFS(), tape.Channels[0].Speech.DBFS())
	}
}

// The silences of a tape: their edges, what they are made of, and that a click doesn't end one.
func TestSilences(t *testing.T) {
	sound := func(t float64) float64 {
		switch {
		case t < 2, t >= 6 && t < 8, t >= 12:
			return sine(300, 0.1)(t)
		case t >= 4 && t < 4.008: // a click
			return 0.1
		case t >= 8 && t < 12: // a noise of sorts, about 74 dB down
			return 0.0003 * math.Sin(float64(int(t*8000)*7919%1000))
		}
		return 0
	}
	got := listen(t, tape(8000, 15*time.Second, sound), Span{0, 15 * time.Second}).Silences
	if len(got) != 2 {
		t.Fatalf("silences %v", got)
	}
	for i, want := range []Span{{2 * time.Second, 6 * time.Second}, {8 * time.Second, 12 * time.Second}} {
		if d := got[i].From - want.From; d < -20*time.Millisecond || d > 20*time.Millisecond {
			t.Errorf("silence %d begins at %v", i, got[i].From)
		}
		if d := got[i].To - want.To; d < -20*time.Millisecond || d > 20*time.Millisecond {
			t.Errorf("silence %d ends at %v", i, got[i].To)
		}
	}
	if got[0].Digital.Length() < 1900*time.Millisecond || got[1].Digital.Length() != 0 || math.Abs(got[1].DBFS+73) > 4 {
		t.Errorf("digital %v and %v, %.1f dBFS", got[0].Digital, got[1].Digital, got[1].DBFS)
	}
}

// Ten hours take the memory of one minute.
func TestMemory(t *testing.T) {
	used := func(length time.Duration) uint64 {
		s := truth.Scene{Seed: 1, Format: wav.Format{Codec: wav.MuLaw, Bits: 8, Rate: 8000, Channels: 1}, Length: time.Minute, Noise: -60, Speech: -20, Streamed: true}
		minute, err := io.ReadAll(s.Reader(nil))
		if err != nil {
			t.Fatal(err)
		}
		r := &again{head: minute[:44], body: minute[44:], left: int64(length / time.Second * 8000)}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tape, err := Listen(t.Context(), r, []Span{{20 * time.Second, 50 * time.Second}}, nil)
		runtime.ReadMemStats(&after)
		if err != nil || tape.Duration != length {
			t.Fatalf("%v of %v, %v", tape.Duration, length, err)
		}
		if n := len(tape.Channels[0].Envelope); n > parts || time.Duration(n)*tape.Channels[0].Part < length {
			t.Errorf("an envelope of %d parts of %v", n, tape.Channels[0].Part)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	minute, hours := used(time.Minute), used(10*time.Hour)
	if hours > minute+512<<10 {
		t.Errorf("ten hours take %d bytes, a minute %d", hours, minute)
	}
}

// again plays the same minute over and over.
type again struct {
	head, body []byte
	at         int
	left       int64
}

func (a *again) Read(b []byte) (int, error) {
	if len(a.head) > 0 {
		n := copy(b, a.head)
		a.head = a.head[n:]
		return n, nil
	}
	if a.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), a.left)], a.body[a.at:])
	a.at = (a.at + n) % len(a.body)
	a.left -= int64(n)
	return n, nil
}

// Listening ends with its context, and a stream that breaks isn't a tape that ends.
func TestBreaks(t *testing.T) {
	file := tape(8000, time.Minute, sine(300, 0.1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Listen(ctx, bytes.NewReader(file), nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with its context over: %v", err)
	}
	cut := listen(t, file[:len(file)/2], Span{10 * time.Second, 50 * time.Second})
	if !slices.Contains(cut.Damage, wav.Truncated) || cut.Promised != time.Minute || cut.Duration >= 31*time.Second {
		t.Errorf("half a file: %v of %v, damage %v", cut.Duration, cut.Promised, cut.Damage)
	}
	if r := cut.Regions[0]; r.To > cut.Duration {
		t.Errorf("a region reaches to %v, beyond the end at %v", r.To, cut.Duration)
	}
}

func FuzzListen(f *testing.F) {
	f.Add(tape(8000, 100*time.Millisecond, sine(440, 0.1)), int64(10), int64(90))
	f.Add(tape(11025, 50*time.Millisecond, func(float64) float64 { return 0 }), int64(-10), int64(1<<40))
	f.Fuzz(func(t *testing.T, file []byte, from, to int64) {
		tape, err := Listen(t.Context(), bytes.NewReader(file), []Span{{time.Duration(from) * time.Millisecond, time.Duration(to) * time.Millisecond}, {0, 50 * time.Millisecond}}, nil)
		if err != nil {
			return
		}
		for i := range tape.Regions {
			r := &tape.Regions[i]
			r.Plateaus()
			for c := range r.Channels {
				g := tape.Ground(r, c, 0, len(r.Channels[c].Levels))
				for _, s := range r.Sounds(c, g) {
					if s.To < s.From || s.From < r.From || s.To > r.To {
						t.Fatalf("a sound %v in the region %v", s.Span, r.Span)
					}
				}
			}
		}
		for _, s := range tape.Silences {
			if s.To <= s.From || s.To > tape.Duration+Frame {
				t.Fatalf("a silence %v on a tape of %v", s.Span, tape.Duration)
			}
		}
	})
}
