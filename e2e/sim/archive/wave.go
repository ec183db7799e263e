package archive

import (
	"encoding/binary"
	"io"
	"math"
	"time"
)

// Codec is how the samples of a recording are written.
type Codec string

// The codecs.
const (
	PCM16 Codec = "" // 16 bits, linear
	MuLaw Codec = "mulaw"
)

// rate is the frames a second of every recording: telephone quality.
const rate = 8000

func frame(d time.Duration) int64 { return int64(math.Round(d.Seconds() * rate)) }

// length is how long so many frames last.
func length(frames int64) time.Duration { return time.Duration(frames) * time.Second / rate }

// span is a stretch of a tape in frames; to isn't part of it.
type span struct{ from, to int64 }

// wave is the WAV file of a recording. Its bytes are worked out as they are read, from any place on: each sample depends on
// the seed and its own number alone.
type wave struct {
	codec    Codec
	channels int
	frames   int64
	silent   []span
	seed     uint64
	header   []byte
}

func newWave(r *recording) *wave {
	w := &wave{codec: r.codec, channels: r.channels, frames: frame(r.length), silent: r.silent, seed: r.seed}
	w.header = w.head()
	return w
}

// width is a sample's size in bytes.
func (w *wave) width() int64 {
	if w.codec == MuLaw {
		return 1
	}
	return 2
}

// size is the file's, in bytes.
func (w *wave) size() int64 { return int64(len(w.header)) + w.frames*int64(w.channels)*w.width() }

// head is what comes before the samples (Microsoft's RIFF specification; a codec other than PCM has an extension and a fact).
func (w *wave) head() []byte {
	le, format, extension := binary.LittleEndian, uint16(1), []byte(nil)
	var fact []byte
	if w.codec == MuLaw {
		format, extension = 7, []byte{0, 0}
		fact = le.AppendUint32(append([]byte("fact"), 4, 0, 0, 0), uint32(w.frames))
	}
	block := uint16(int64(w.channels) * w.width())
	f := le.AppendUint16(nil, format)
	f = le.AppendUint16(f, uint16(w.channels))
	f = le.AppendUint32(f, rate)
	f = le.AppendUint32(f, rate*uint32(block))
	f = le.AppendUint16(f, block)
	f = append(le.AppendUint16(f, uint16(8*w.width())), extension...)
	data := uint32(w.frames * int64(block))
	h := le.AppendUint32([]byte("RIFF"), uint32(4+8+len(f)+len(fact)+8)+data)
	h = append(h, "WAVEfmt "...)
	h = append(le.AppendUint32(h, uint32(len(f))), f...)
	h = append(append(h, fact...), "data"...)
	return le.AppendUint32(h, data)
}

// ReadAt implements io.ReaderAt.
func (w *wave) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(w.header)) {
		n = copy(p, w.header[off:])
		off += int64(n)
	}
	end := w.size()
	if off >= end && n < len(p) {
		return n, io.EOF
	}
	want := p[n:min(int64(len(p)), int64(n)+end-off)]
	block := int64(w.channels) * w.width()
	at := off - int64(len(w.header))
	first := at / block
	frames := (at+int64(len(want))-1)/block - first + 1
	copy(want, w.encode(first, frames)[at-first*block:])
	n += len(want)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (w *wave) encode(first, frames int64) []byte {
	out := make([]byte, 0, frames*int64(w.channels)*w.width())
	put := func(v int16) {
		if w.codec == MuLaw {
			out = append(out, mulaw(v))
		} else {
			out = binary.LittleEndian.AppendUint16(out, uint16(v))
		}
	}
	agent, customer := newVoice(w.seed, 0), newVoice(w.seed, 1)
	for i := first; i < first+frames; i++ {
		if w.silentAt(i) {
			for range w.channels {
				put(0)
			}
			continue
		}
		a, c := agent.at(i), customer.at(i)
		if w.channels == 1 {
			put(clip(a + c))
			continue
		}
		put(clip(a))
		put(clip(c))
		for range w.channels - 2 {
			put(0)
		}
	}
	return out
}

func (w *wave) silentAt(i int64) bool {
	for _, s := range w.silent {
		if i >= s.from && i < s.to {
			return true
		}
	}
	return false
}

func clip(v float64) int16 { return int16(max(-32768, min(32767, math.Round(v)))) }

// voice is a person who talks. It isn't speech, but has what a detector of speech goes by: a pitch with harmonics under moving
// formants, about five syllables a second, hiss, breaths between sentences, and the line's own noise all the time. The two of a
// call take turns.
type voice struct {
	seed  uint64
	who   uint64
	pitch float64 // Hz

	syllable int64 // whose numbers follow
	now      [2]shape
	breath   [2]bool // no word in this syllable, in the next
}

type shape struct {
	loud, hiss float64
	partial    [partials]float64
}

const (
	partials     = 10
	syllableLen  = rate / 5
	turnLen      = 13 // syllables
	sentenceLen  = 7
	loudness     = 6000.0 // of full scale 32768: about -15 dBFS
	lineNoise    = 20.0   // about -64 dBFS
	sineTableLen = 1 << 12
)

var sineTable = func() (t [sineTableLen]float64) {
	for i := range t {
		t[i] = math.Sin(2 * math.Pi * float64(i) / sineTableLen)
	}
	return t
}()

func newVoice(seed, who uint64) *voice {
	return &voice{seed: seed, who: who, pitch: []float64{115, 190}[who] * (0.9 + 0.2*unit(hash(seed, who))), syllable: -1}
}

// at is the sample of a frame.
func (v *voice) at(i int64) float64 {
	k := i / syllableLen
	if k != v.syllable {
		v.syllable = k
		for j := range v.now {
			v.now[j], v.breath[j] = v.shape(k+int64(j)), v.quiet(k+int64(j))
		}
	}
	noise := 2*unit(hash(v.seed, v.who, uint64(i)))*lineNoise - lineNoise
	if v.breath[0] {
		return noise
	}
	x := float64(i%syllableLen) / syllableLen
	envelope := 0.3 + 0.7*sine(x/2) // never silent inside a sentence
	if v.breath[1] && x > 0.75 {
		envelope *= (1 - x) * 4 // no click at its end
	}
	mix := func(a, b float64) float64 { return a + (b-a)*x }
	t := float64(i) / rate
	phase := v.pitch*t + 0.8*sine(0.7*t) // in turns, with a slow melody
	sum := mix(v.now[0].hiss, v.now[1].hiss) * noise / lineNoise
	for h := range partials {
		sum += mix(v.now[0].partial[h], v.now[1].partial[h]) * sine(phase*float64(h+1))
	}
	return noise + loudness*mix(v.now[0].loud, v.now[1].loud)*envelope*sum
}

// sine is of an angle in turns.
func sine(turns float64) float64 {
	_, part := math.Modf(turns)
	return sineTable[int(part*sineTableLen)&(sineTableLen-1)]
}

// shape is how a syllable sounds.
func (v *voice) shape(k int64) shape {
	h := func(n uint64) float64 { return unit(hash(v.seed, v.who, 1<<32+uint64(k), n)) }
	s := shape{loud: 0.5 + 0.5*h(0), hiss: 0.15 * h(1) * h(1)}
	first, second := 300+500*h(2), 900+1400*h(3) // Hz
	total := 0.0
	for n := range partials {
		f := v.pitch * float64(n+1)
		near := func(formant, width float64) float64 { d := (f - formant) / width; return 1 / (1 + d*d) }
		s.partial[n] = near(first, 150) + 0.6*near(second, 250) + 0.05
		total += s.partial[n]
	}
	for n := range s.partial {
		s.partial[n] *= 1.6 / total
	}
	return s
}

// quiet says that a syllable is one of the other's turn, or a breath. Somebody talks in nearly all of them.
func (v *voice) quiet(k int64) bool {
	turn := k / turnLen
	talks := hash(v.seed, 7, uint64(turn))%10 < 6 // the agent
	if v.who == 1 {
		talks = !talks
	}
	return !talks || k%sentenceLen == sentenceLen-1 && hash(v.seed, 9, uint64(k))%3 == 0
}

// hash mixes numbers into one that looks random (splitmix64).
func hash(numbers ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, n := range numbers {
		h ^= n
		h += 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// unit is a hash as a number from 0 to 1.
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// mulaw writes a sample by ITU-T G.711.
func mulaw(v int16) byte {
	const bias, most = 0x84, 32635
	sign, x := byte(0), int(v)
	if x < 0 {
		sign, x = 0x80, -x
	}
	x = min(x, most) + bias
	exponent := 7
	for mask := 0x4000; exponent > 0 && x&mask == 0; mask >>= 1 {
		exponent--
	}
	return ^(sign | byte(exponent)<<4 | byte(x>>(exponent+3))&0x0f)
}
