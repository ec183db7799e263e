package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/zaf/g711"
)

// chunk is one chunk of a file, padded as the format asks.
func chunk(id string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func format(codec Codec, channels, rate, bits int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, uint16(codec))
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(rate*channels*bits/8))
	b = le.AppendUint16(b, uint16(channels*bits/8))
	return le.AppendUint16(b, uint16(bits))
}

func extensibleFormat(codec Codec, channels, rate, bits int) []byte {
	b := format(extensible, channels, rate, bits)
	b = append(b, 22, 0, byte(bits), 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(codec))
	return append(b, guid...)
}

func file(chunks ...[]byte) []byte {
	body := slices.Concat(chunks...)
	return slices.Concat([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(len(body)+4)), []byte("WAVE"), body)
}

// sizedData is a data chunk whose size says something else than it has.
func sizedData(size uint32, body []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte("data"), size), body...)
}

func encode(codec Codec, bits int, v int16) []byte {
	switch {
	case codec == MuLaw:
		return []byte{g711.EncodeUlawFrame(v)}
	case codec == ALaw:
		return []byte{g711.EncodeAlawFrame(v)}
	case bits == 8:
		return []byte{byte(v>>8) + 128}
	}
	return append(make([]byte, bits/8-2), byte(v), byte(v>>8))
}

func readAll(t *testing.T, r io.Reader) (samples [][]int16, w *Reader) {
	t.Helper()
	w, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	samples = make([][]int16, w.Format().Channels)
	for {
		block, err := w.Next()
		if err == io.EOF {
			return samples, w
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range block {
			samples[i%len(samples)] = append(samples[i%len(samples)], v)
		}
	}
}

func TestCodecs(t *testing.T) {
	const frames = 20_000 // more than a block
	for _, codec := range []struct {
		codec Codec
		bits  int
		near  float64 // how far a sample may be off
	}{{PCM, 8, 256}, {PCM, 16, 0}, {PCM, 24, 0}, {PCM, 32, 0}, {MuLaw, 8, 1024}, {ALaw, 8, 1024}} {
		for _, channels := range []int{1, 2, 3} {
			for name, head := range map[string]func(Codec, int, int, int) []byte{"plain": format, "extensible": extensibleFormat} {
				var body []byte
				wave := func(c, i int) int16 { return int16(20000 * math.Sin(float64(i*(c+1))/50)) }
				for i := range frames {
					for c := range channels {
						body = append(body, encode(codec.codec, codec.bits, wave(c, i))...)
					}
				}
				samples, w := readAll(t, iotest.HalfReader(bytes.NewReader(file(chunk("fmt ", head(codec.codec, channels, 11025, codec.bits)), chunk("data", body)))))
				if want := (Format{codec.codec, channels, 11025, codec.bits}); w.Format() != want {
					t.Fatalf("%s: the format is %v, expected %v", name, w.Format(), want)
				}
				if w.Frames() != frames || len(w.Damage()) > 0 {
					t.Fatalf("%s %v: %d frames, damage %v", name, w.Format(), w.Frames(), w.Damage())
				}
				for c := range channels {
					for i, v := range samples[c] {
						if math.Abs(float64(v)-float64(wave(c, i))) > codec.near {
							t.Fatalf("%s %v: channel %d, sample %d is %d, expected %d", name, w.Format(), c, i, v, wave(c, i))
						}
					}
				}
			}
		}
	}
}

func TestOddFiles(t *testing.T) {
	pcm := chunk("fmt ", format(PCM, 1, 8000, 16))
	pcm8 := chunk("fmt ", format(PCM, 1, 8000, 8))
	sound := make([]byte, 200)
	list := chunk("LIST", []byte("INFOISFT\x05\x00\x00\x00Lavf\x00\x00"))
	long := func(size uint64) []byte {
		b := binary.LittleEndian.AppendUint64(nil, 0)
		return chunk("ds64", append(binary.LittleEndian.AppendUint64(b, size), make([]byte, 12)...))
	}
	rf64 := func(chunks ...[]byte) []byte { return append([]byte("RF64"), file(chunks...)[4:]...) }
	for _, test := range []struct {
		name     string
		file     []byte
		frames   int64
		promised int64 // -1: the header doesn't say
		damage   []Damage
	}{
		{"as it should be", file(pcm, chunk("data", sound)), 100, 100, nil},
		{"comments around the sound", file(list, pcm, chunk("fact", make([]byte, 4)), list, chunk("data", sound), list), 100, 100, nil},
		{"an odd chunk", file(chunk("bext", make([]byte, 7)), pcm, chunk("data", sound)), 100, 100, nil},
		{"an odd chunk that isn't padded", file(append([]byte("bext\x03\x00\x00\x00"), 1, 2, 3), pcm, chunk("data", sound)), 100, 100, nil},
		{"odd sound, padded", file(pcm8, chunk("data", sound[:99]), list), 99, 99, nil},
		{"odd sound at the end, not padded", file(pcm8, sizedData(99, sound[:99])), 99, 99, nil},
		{"streamed: size 0xFFFFFFFF", file(pcm, sizedData(0xFFFFFFFF, sound)), 100, -1, nil},
		{"streamed: size 0x7FFFFFFF", file(pcm, sizedData(0x7FFFFFFF, sound)), 100, -1, nil},
		{"streamed: size 0", file(pcm, sizedData(0, sound)), 100, -1, nil},
		{"streamed and torn", file(pcm, sizedData(0, sound[:199])), 99, -1, []Damage{Torn}},
		{"empty", file(pcm, chunk("data", nil)), 0, 0, nil},
		{"empty, with a comment", file(pcm, chunk("data", nil), list), 0, 0, nil},
		{"cut short", file(pcm, sizedData(400, sound)), 100, 200, []Damage{Truncated}},
		{"cut within a sample", file(pcm, sizedData(400, sound[:101])), 50, 200, []Damage{Truncated, Torn}},
		{"a size that is no whole number of samples", file(pcm, sizedData(99, sound[:99]), []byte{0}, list), 49, 49, []Damage{Torn}},
		{"longer than its header says", file(pcm, sizedData(100, sound)), 50, 50, []Damage{Trailing}},
		{"a few bytes too long", file(pcm, chunk("data", sound), []byte{1, 2, 3}), 100, 100, []Damage{Trailing}},
		{"two stretches of sound", file(pcm, chunk("data", sound), chunk("data", sound)), 100, 100, []Damage{Again}},
		{"a comment cut short", file(pcm, chunk("data", sound), []byte("LIST\xff\x00\x00\x00abc")), 100, 100, nil},
		{"RF64", rf64(long(200), pcm, sizedData(0xFFFFFFFF, sound), list), 100, 100, nil},
		{"RF64 cut short", rf64(long(1<<40), pcm, sizedData(0xFFFFFFFF, sound)), 100, 1 << 39, []Damage{Truncated}},
		{"RF64 that promises more than there can be", rf64(long(1<<63+5), pcm, sizedData(0xFFFFFFFF, sound)), 100, 1 << 61, []Damage{Truncated}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, w := readAll(t, iotest.OneByteReader(bytes.NewReader(test.file)))
			promised, ok := w.Promised()
			if !ok {
				promised = -1
			}
			if w.Frames() != test.frames || promised != test.promised || !slices.Equal(w.Damage(), test.damage) {
				t.Errorf("%d frames of %d, damage %q; expected %d of %d, %q", w.Frames(), promised, w.Damage(), test.frames, test.promised, test.damage)
			}
			if got := string(test.file[w.Offset()-8 : w.Offset()-4]); got != "data" {
				t.Errorf("the sound begins after %q", got)
			}
		})
	}
}

func TestNotRead(t *testing.T) {
	pcm, sound := chunk("fmt ", format(PCM, 1, 8000, 16)), chunk("data", make([]byte, 20))
	damaged := file(chunk("fmt ", format(PCM, 2, 8000, 16)), sound)
	damaged[32] = 3 // the frame's size
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "this isn't a WAV file"},
		{"a page", []byte("<!doctype html><title>Log in</title>"), "this isn't a WAV file"},
		{"another RIFF", []byte("RIFF\x10\x00\x00\x00AVI LIST....."), "this isn't a WAV file"},
		{"no sound", file(pcm), "the file is damaged: it ends before its sound begins"},
		{"no format", file(sound), "the file is damaged: its sound comes before its format"},
		{"cut in its format", file(pcm)[:20], "the file is damaged: it ends before its sound begins"},
		{"a short format", file(chunk("fmt ", make([]byte, 14)), sound), "the file is damaged: its format takes 14 bytes"},
		{"another codec", file(chunk("fmt ", format(0x31, 1, 8000, 0)), sound), "recordings of this kind aren't read: GSM 6.10"},
		{"an unknown codec", file(chunk("fmt ", format(0x1234, 1, 8000, 8)), sound), "recordings of this kind aren't read: codec 0x1234"},
		{"extensible without a codec", file(chunk("fmt ", append(format(extensible, 1, 8000, 16), make([]byte, 24)...)), sound), "recordings of this kind aren't read: an extensible format without a codec's number"},
		{"12 bits", file(chunk("fmt ", format(PCM, 1, 8000, 12)), sound), "recordings of this kind aren't read: PCM with 12 bits a sample"},
		{"no channel", file(chunk("fmt ", format(PCM, 0, 8000, 16)), sound), "recordings of this kind aren't read: 0 channels"},
		{"too fast", file(chunk("fmt ", format(PCM, 1, 1<<30, 16)), sound), "recordings of this kind aren't read: 1073741824 samples a second"},
		{"frames of another size", damaged, "the file is damaged: its format says that a frame has 3 bytes, and PCM 16 bit, 8 kHz, 2 channels has 4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := NewReader(bytes.NewReader(test.file)); err == nil || err.Error() != test.want {
				t.Errorf("the error is %v, expected %s", err, test.want)
			}
		})
	}
}

// A stream that breaks is another thing than a file that ends.
func TestBrokenStream(t *testing.T) {
	whole := file(chunk("fmt ", format(PCM, 1, 8000, 16)), chunk("data", make([]byte, 200_000)))
	for _, cause := range []error{errors.New("connection reset"), io.ErrUnexpectedEOF} {
		for _, at := range []int{3, 30, 100_000} {
			broken := io.MultiReader(bytes.NewReader(whole[:at]), iotest.ErrReader(cause))
			w, err := NewReader(broken)
			for err == nil {
				_, err = w.Next()
			}
			if !errors.Is(err, cause) {
				t.Errorf("broken at %d: %v, expected %v", at, err, cause)
			}
		}
	}
}

// endless is a header and then sound without end.
type endless struct{ head []byte }

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.head)
	e.head = e.head[n:]
	if n == 0 {
		n = len(b)
	}
	return n, nil
}

func TestMemory(t *testing.T) {
	w, err := NewReader(&endless{file(chunk("fmt ", format(PCM, 2, 48000, 16)), sizedData(0, []byte{1, 2, 3, 4}))})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for w.Frames() < 48000*600 {
		if _, err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("ten minutes took %d bytes of memory", grown)
	}
}

func FuzzReader(f *testing.F) {
	for _, codec := range []Codec{PCM, MuLaw, ALaw} {
		f.Add(file(chunk("LIST", []byte("abc")), chunk("fmt ", format(codec, 1, 8000, 8)), chunk("data", make([]byte, 33)), chunk("LIST", []byte("x"))))
	}
	f.Add(file(chunk("fmt ", extensibleFormat(PCM, 2, 48000, 24)), sizedData(0xFFFFFFFF, make([]byte, 60))))
	f.Add(file(chunk("fmt ", format(PCM, 1, 8000, 16)), sizedData(0, make([]byte, 60))))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		frames := int64(0)
		for {
			block, err := w.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("a file that ends gave %v", err)
			}
			if len(block) == 0 || len(block)%w.Format().Channels != 0 {
				t.Fatalf("%d samples of %d channels", len(block), w.Format().Channels)
			}
			frames += int64(len(block) / w.Format().Channels)
		}
		if frames != w.Frames() || w.Offset()+frames*int64(w.Format().Align()) > int64(len(b)) {
			t.Fatalf("%d frames (%d counted) of %d bytes from %d in a file of %d", w.Frames(), frames, w.Format().Align(), w.Offset(), len(b))
		}
		if promised, ok := w.Promised(); ok && frames < promised && !slices.Contains(w.Damage(), Truncated) {
			t.Fatalf("%d of %d frames, and it isn't said", frames, promised)
		}
	})
}
