package evidence

import (
	"strings"
	"testing"
	"time"

	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
)

// What is said of a pause by what its tape is like: what isn't speech is named, and what is damaged is told and not guessed.
func TestWhatIsSaid(t *testing.T) {
	mono := wav.Format{Codec: wav.PCM, Bits: 16, Rate: 8000, Channels: 1}
	stereo := wav.Format{Codec: wav.ALaw, Bits: 8, Rate: 8000, Channels: 2}
	// cut leaves so many seconds of a mono file.
	cut := func(seconds int) func([]byte) []byte {
		return func(b []byte) []byte { return b[:44+seconds*16000] }
	}
	tests := []struct {
		name    string
		fill    truth.Fill
		level   float64
		format  wav.Format
		leak    truth.Leak
		change  func([]byte) []byte
		verdict Verdict
		reason  string // a part of it
	}{
		{"zeros", truth.Digital, 0, mono, truth.Leak{}, nil, Silent, "Digital silence."},
		{"zeros in both channels", truth.Digital, 0, stereo, truth.Leak{}, nil, Silent, "Digital silence."},
		{"comfort noise", truth.Comfort, -50, mono, truth.Leak{}, nil, Silent, "A steady noise of -50 dBFS"},
		{"the line's own noise", truth.Line, 0, mono, truth.Leak{}, nil, Silent, "but the tape can't show that it was paused"},
		{"beeps", truth.Beeps, 0, mono, truth.Leak{}, nil, Silent, "a tone of 1400 Hz at 0:"},
		{"a hold tone", truth.Hold, -50, mono, truth.Leak{}, nil, Silent, "A tone of 425 Hz and -50 dBFS"},
		{"a loud hold tone", truth.Hold, -15, mono, truth.Leak{}, nil, NotCheckable, "speech could hide beneath"},
		{"a loud noise", truth.Comfort, -24, mono, truth.Leak{}, nil, NotCheckable, "steady noise of -24 dBFS is heard in it for"},
		{"music", truth.Music, -24, mono, truth.Leak{}, nil, NotCheckable, "Music of -26 dBFS lies over it: speech could hide beneath"},
		{"everything", truth.None, 0, mono, truth.Leak{}, nil, Audible, "heard"},
		{"a word", truth.Digital, 0, mono, truth.Leak{At: 24 * time.Second, For: 300 * time.Millisecond, Level: -40}, nil, Audible, "It is heard from 0:2"},
		{"a word over comfort noise", truth.Comfort, -60, mono, truth.Leak{At: 24 * time.Second, For: 300 * time.Millisecond, Level: -45}, nil, Audible, "dB over the floor"},
		{"keys", truth.Digital, 0, mono, truth.Leak{At: 23 * time.Second, For: 1600 * time.Millisecond, Level: -30, Keys: "4539148803"}, nil, Audible, "(touch tones)"},
		{"a word in the second channel", truth.Digital, 0, stereo, truth.Leak{At: 24 * time.Second, For: 300 * time.Millisecond, Level: -40, Channel: 1}, nil, Audible, "It is heard from 0:2"},
		{"a low voice over all of it", truth.Digital, 0, mono, truth.Leak{At: 20 * time.Second, For: 8 * time.Second, Level: -64}, nil, Audible, "It is heard from 0:2"},

		{"cut before the pause", truth.Digital, 0, mono, truth.Leak{}, cut(12), NotCheckable, "damaged (the file ends before its own header says), and what can be read ends before the pause"},
		{"cut within it", truth.Digital, 0, mono, truth.Leak{}, cut(25), NotCheckable, "what can be read ends within the pause"},
		{"cut after it", truth.Digital, 0, mono, truth.Leak{}, cut(52), Silent, "Digital silence."},
		{"cut before its sound", truth.Digital, 0, mono, truth.Leak{}, func(b []byte) []byte { return b[:30] }, NotCheckable, "The recording can't be read: the file is damaged"},
		{"nothing", truth.Digital, 0, mono, truth.Leak{}, func([]byte) []byte { return nil }, NotCheckable, "The recording can't be read: this isn't a WAV file"},
		{"a page", truth.Digital, 0, mono, truth.Leak{}, func([]byte) []byte { return []byte("<!doctype html><p>Log in") }, NotCheckable, "this isn't a WAV file"},
		{"another codec", truth.Digital, 0, mono, truth.Leak{}, func(b []byte) []byte { b[20] = 0x55; return b }, NotCheckable, "aren't read: MP3"},
		{"a header that contradicts itself", truth.Digital, 0, mono, truth.Leak{}, func(b []byte) []byte { b[32] = 7; return b }, NotCheckable, "damaged"},
	}
	// All on one day, of which those that are in order say how the clocks differ.
	d := newDesk(t)
	d.shelf.change = map[string]func([]byte) []byte{}
	for i, test := range tests {
		var leaks []truth.Leak
		if test.leak.For > 0 {
			leaks = []truth.Leak{test.leak}
		}
		d.call(t, test.name, time.Duration(i)*10*time.Minute+300*time.Millisecond, test.fill, leaks, [2]float64{20, 28}, [2]float64{40, 46})
		s := d.shelf.scenes[test.name]
		s.Format = test.format
		for k := range s.Pauses {
			s.Pauses[k].Level = test.level
		}
		d.shelf.scenes[test.name], d.shelf.change[test.name] = s, test.change
	}
	d.run(t)
	items := d.items(t)
	if len(items) != 2*len(tests) {
		t.Fatalf("%d findings for %d pauses", len(items), 2*len(tests))
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := items[2*i]
			if x.Recording.Name != test.name || x.Verdict != test.verdict || !strings.Contains(x.Reason, test.reason) {
				t.Fatalf("%s is %s: %s; expected %s: …%s…", x.Recording.Name, x.Verdict, x.Reason, test.verdict, test.reason)
			}
			for _, l := range x.Leaks() {
				if test.leak.For > 0 && l.Channel != test.leak.Channel+1 {
					t.Errorf("it is heard in channel %d", l.Channel)
				}
			}
		})
	}
}
