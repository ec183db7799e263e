// Package truth makes recordings of which everything is known: speech-like sound in two voices, the noise of a line, pauses that
// begin and end at known samples, and leaks into them of known length and loudness. Tests and benchmarks hold what is heard
// against it; the product doesn't use it.
package truth

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/zaf/g711"

	"offrecord/web/evidence/wav"
)

// Fill is what a platform puts in the place of paused sound.
type Fill int

// The fills.
const (
	Digital Fill = iota // zeros
	Comfort             // a steady noise of Pause.Level
	Line                // the line's own noise goes on, and nobody speaks
	Beeps               // zeros, with a tone of 1400 Hz for 200 ms each two seconds
	Music               // chords of Pause.Level
	Hold                // a tone of 425 Hz and Pause.Level
	None                // the pause has no effect: everything is heard
)

// Pause is a stretch of the tape that was paused.
type Pause struct {
	From, To time.Duration
	Fill     Fill
	Level    float64 // dBFS, of Comfort, Music and Hold
}

// Leak is a stretch within a pause in which somebody is heard.
type Leak struct {
	At, For time.Duration
	Level   float64 // dBFS, of its whole length
	Channel int
	Keys    string // touch tones instead of a voice
}

// Scene is one recording.
type Scene struct {
	Seed     uint64
	Format   wav.Format
	Length   time.Duration
	Noise    float64 // the line's noise, dBFS
	Speech   float64 // the voices while they speak, dBFS
	Pauses   []Pause // in order
	Leaks    []Leak
	Streamed bool // the header doesn't know the length
}

// Span is a stretch of a recording.
type Span struct{ From, To time.Duration }

// Speech is where somebody speaks, as it would be without pauses: at least as loud as the line's noise and 2 dB, and as the noise
// and 16 dB. Between the two it depends on the ear whether it is heard.
type Speech struct{ Faint, Clear []Span }

// Reader streams the recording's bytes. Its memory doesn't depend on the recording's length, unless spoken is asked for.
func (s Scene) Reader(spoken *Speech) io.Reader {
	random := rand.New(rand.NewPCG(s.Seed, 7))
	p := &player{Scene: s, random: random, frames: frames(s.Length, s.Format.Rate), spoken: spoken}
	for c := range s.Format.Channels {
		p.lines = append(p.lines, &noise{random: rand.New(rand.NewPCG(s.Seed, uint64(100+c))), smooth: 0.3 + 0.4*random.Float64(), level: gain(s.Noise)})
	}
	p.lines = append(p.lines, &noise{random: rand.New(rand.NewPCG(s.Seed, 99)), smooth: 0.3, level: 1})
	for i := range 2 {
		p.voices = append(p.voices, newVoice(rand.New(rand.NewPCG(s.Seed, uint64(200+i))), s.Format.Rate, gain(s.Speech), i))
	}
	for _, l := range s.Leaks {
		p.leaks = append(p.leaks, burst{frames(l.At, s.Format.Rate), l.Channel, p.burst(l)})
	}
	p.heard = [2]float64{math.Pow(gain(s.Noise+2), 2), math.Pow(gain(s.Noise+16), 2)}
	for _, x := range s.Pauses {
		p.fills = append(p.fills, gain(x.Level))
		p.pauses = append(p.pauses, [2]int64{frames(x.From, s.Format.Rate), frames(x.To, s.Format.Rate)})
	}
	p.out = p.header()
	return p
}

func frames(d time.Duration, rate int) int64 {
	return int64(d/time.Second)*int64(rate) + int64(d%time.Second)*int64(rate)/int64(time.Second)
}

func gain(dBFS float64) float64 { return math.Pow(10, dBFS/20) }

// burst is a leak's samples.
type burst struct {
	at      int64
	channel int
	samples []float64
}

type player struct {
	Scene
	random *rand.Rand
	frames int64
	at     int64
	out    []byte
	lines  []*noise // one a channel, and one for fills
	voices []*voice
	leaks  []burst
	pauses [][2]int64
	next   int       // the pause that runs or comes
	fills  []float64 // the gains of the pauses' levels
	spoken *Speech
	power  [2]float64 // of the voices in the frame of 10 ms that is being made
	n      int
	heard  [2]float64 // from which power on a voice is faint, and clear
	open   [2]bool
}

func (p *player) header() []byte {
	le, f := binary.LittleEndian, p.Format
	size := uint32(min(p.frames*int64(f.Align()), math.MaxUint32-1))
	if p.Streamed || p.frames*int64(f.Align()) >= math.MaxUint32-1 {
		size = math.MaxUint32
	}
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	b = append(b, "WAVEfmt "...)
	le.PutUint32(b[4:], uint32(min(uint64(size)+36, math.MaxUint32)))
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, uint16(f.Codec))
	b = le.AppendUint16(b, uint16(f.Channels))
	b = le.AppendUint32(b, uint32(f.Rate))
	b = le.AppendUint32(b, uint32(f.Rate*f.Align()))
	b = le.AppendUint16(b, uint16(f.Align()))
	b = le.AppendUint16(b, uint16(f.Bits))
	return le.AppendUint32(append(b, "data"...), size)
}

// Read implements io.Reader.
func (p *player) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if len(p.out) == 0 {
			if p.at >= p.frames {
				return n, io.EOF
			}
			p.play()
		}
		k := copy(b[n:], p.out)
		p.out, n = p.out[k:], n+k
	}
	return n, nil
}

// play makes the next few samples.
func (p *player) play() {
	n := min(p.frames-p.at, 1024)
	out := p.out[:0]
	for i := range n {
		at := p.at + i
		var said [2]float64
		for v, voice := range p.voices {
			said[v] = voice.next()
		}
		if p.spoken != nil {
			p.note(said, at)
		}
		pause := p.pause(at)
		for c := range p.Format.Channels {
			line := p.lines[c].next()
			x := said[0] + said[1]
			if p.Format.Channels > 1 {
				x = said[c%2] + 0.01*said[1-c%2]
			}
			x += line
			if pause >= 0 {
				x = p.fill(pause, c, at, x, line)
			}
			for i := range p.leaks {
				if l := &p.leaks[i]; l.channel == c && at >= l.at && at-l.at < int64(len(l.samples)) {
					x += l.samples[at-l.at]
				}
			}
			out = p.encode(out, x)
		}
	}
	p.at += n
	p.out = out
}

// note writes down where the voices are heard over the line, in frames of 10 ms.
func (p *player) note(said [2]float64, at int64) {
	if p.Format.Channels == 1 {
		said = [2]float64{said[0] + said[1]}
	}
	p.power[0] += said[0] * said[0]
	p.power[1] += said[1] * said[1]
	if p.n++; p.n < p.Format.Rate/100 {
		return
	}
	power, from := max(p.power[0], p.power[1])/float64(p.n), p.Format.Duration(at+1-int64(p.n))
	for i, spans := range []*[]Span{&p.spoken.Faint, &p.spoken.Clear} {
		heard := power > p.heard[i]
		if heard && !p.open[i] {
			*spans = append(*spans, Span{from, p.Length})
		} else if !heard && p.open[i] {
			(*spans)[len(*spans)-1].To = from
		}
		p.open[i] = heard
	}
	p.power, p.n = [2]float64{}, 0
}

// pause is the pause in which a frame lies, -1 if it lies in none. They come in order, as the frames do.
func (p *player) pause(at int64) int {
	for p.next < len(p.pauses) && at >= p.pauses[p.next][1] {
		p.next++
	}
	if p.next < len(p.pauses) && at >= p.pauses[p.next][0] {
		return p.next
	}
	return -1
}

// chords are what is played: the pitches of four chords, in hertz.
var chords = [4][4]float64{{261.6, 329.6, 392, 523.3}, {220, 261.6, 329.6, 440}, {349.2, 440, 523.3, 698.5}, {392, 493.9, 587.3, 784}}

func (p *player) fill(i, channel int, at int64, x, line float64) float64 {
	t := float64(at) / float64(p.Format.Rate)
	switch p.Pauses[i].Fill {
	case Comfort:
		if channel == 0 {
			return p.lines[len(p.lines)-1].next() * p.fills[i]
		}
		return p.lines[channel].raw() * p.fills[i]
	case Line:
		return line
	case Beeps:
		if math.Mod(t, 2) < 0.2 {
			return 0.1 * math.Sin(2*math.Pi*1400*t)
		}
	case Music:
		sum := 0.0
		for k, f := range chords[int(t/2)%4] {
			sum += math.Sin(2*math.Pi*f*t+float64(k)) + 0.3*math.Sin(4*math.Pi*f*t)
		}
		return sum * p.fills[i] / 1.5 * (0.7 + 0.3*math.Exp(-2*math.Mod(t, 0.5)))
	case Hold:
		return math.Sqrt2 * p.fills[i] * math.Sin(2*math.Pi*425*t)
	case None:
		return x
	}
	return 0
}

func (p *player) encode(out []byte, x float64) []byte {
	v := int16(min(max(math.Round(x*32767), -32768), 32767))
	switch {
	case p.Format.Codec == wav.MuLaw:
		return append(out, g711.EncodeUlawFrame(v))
	case p.Format.Codec == wav.ALaw:
		return append(out, g711.EncodeAlawFrame(v))
	case p.Format.Bits == 8:
		return append(out, byte(min(max(math.Round(x*127), -128), 127)+128))
	case p.Format.Bits == 24:
		out = append(out, 0)
	}
	return append(out, byte(v), byte(v>>8))
}

// touch are the keys' two tones (ITU-T Q.23).
var touch = map[rune][2]float64{'1': {697, 1209}, '2': {697, 1336}, '3': {697, 1477}, '4': {770, 1209}, '5': {770, 1336}, '6': {770, 1477},
	'7': {852, 1209}, '8': {852, 1336}, '9': {852, 1477}, '0': {941, 1336}}

// burst is a leak's samples: syllables without a gap, or keys, at the level of the leak over their whole length.
func (p *player) burst(l Leak) []float64 {
	out := make([]float64, frames(l.For, p.Format.Rate))
	rate := float64(p.Format.Rate)
	if l.Keys != "" {
		for i := range out {
			t := float64(i) / rate
			k := int(t / 0.16)
			if k >= len(l.Keys) || math.Mod(t, 0.16) > 0.08 {
				continue
			}
			f := touch[rune(l.Keys[k])]
			out[i] = math.Sin(2*math.Pi*f[0]*t) + math.Sin(2*math.Pi*f[1]*t)
		}
	} else {
		for at := 0; at < len(out); {
			n := min(int((0.12+0.1*p.random.Float64())*rate), len(out)-at)
			s := syllable(p.random, p.Format.Rate, n, 120, 0.005)
			at += copy(out[at:], s)
		}
	}
	scale(out, gain(l.Level))
	return out
}

// scale brings samples to a root mean square.
func scale(x []float64, to float64) {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	if sum == 0 {
		return
	}
	by := to / math.Sqrt(sum/float64(len(x)))
	for i := range x {
		x[i] *= by
	}
}

// noise is white noise through a low pass, at a level.
type noise struct {
	random        *rand.Rand
	smooth, level float64
	state, even   float64
}

func (n *noise) raw() float64 {
	// Nearly normal, by the sum of four.
	u := n.random.Uint64()
	white := (float64(u&0xFFFF) + float64(u>>16&0xFFFF) + float64(u>>32&0xFFFF) + float64(u>>48) - 2*65535) / 65536 * math.Sqrt(3)
	if n.even == 0 {
		n.even = math.Sqrt((1 + n.smooth) / (1 - n.smooth)) // the low pass takes that from the power
	}
	n.state += (1 - n.smooth) * (white - n.state)
	return n.state * n.even
}

func (n *noise) next() float64 { return n.raw() * n.level }

// voice speaks in turns: syllables in words in sentences, with pauses between them.
type voice struct {
	random *rand.Rand
	rate   int
	level  float64
	pitch  float64
	buffer []float64
	at     int
	quiet  int // samples of quiet before the next syllable
	words  int // left in the sentence
	left   int // syllables left in the word
}

func newVoice(random *rand.Rand, rate int, level float64, which int) *voice {
	v := &voice{random: random, rate: rate, level: level, pitch: []float64{115, 205}[which]}
	v.quiet = v.time(0.1, 3*float64(which)+0.5)
	return v
}

func (v *voice) time(from, to float64) int {
	return int((from + (to-from)*v.random.Float64()) * float64(v.rate))
}

func (v *voice) next() float64 {
	if v.quiet > 0 {
		v.quiet--
		return 0
	}
	if v.at == len(v.buffer) {
		v.compose()
	}
	x := v.buffer[v.at]
	if v.at++; v.at == len(v.buffer) {
		v.rest()
	}
	return x
}

func (v *voice) compose() {
	if v.left == 0 {
		v.left = 1 + v.random.IntN(4)
		if v.words == 0 {
			v.words = 3 + v.random.IntN(9)
		}
	}
	v.left--
	v.buffer = syllable(v.random, v.rate, v.time(0.11, 0.26), v.pitch, 0.012)
	v.at = 0
	scale(v.buffer, v.level*gain(6*v.random.Float64()-3))
}

// rest is the quiet after a syllable.
func (v *voice) rest() {
	switch {
	case v.left > 0:
		v.quiet = v.time(0, 0.03)
	default:
		if v.words--; v.words > 0 {
			v.quiet = v.time(0.04, 0.2)
		} else if v.random.IntN(8) == 0 {
			v.quiet = v.time(2, 7) // somebody looks for something
		} else {
			v.quiet = v.time(0.6, 4) // the other one speaks
		}
	}
}

// syllable is so many samples of a vowel between consonants: pulses or noise through three formants, with an attack of so many
// seconds.
func syllable(random *rand.Rand, rate, n int, pitch, attack float64) []float64 {
	out := make([]float64, n)
	if n == 0 {
		return out
	}
	fs := float64(rate)
	formants := [3]float64{300 + 500*random.Float64(), 900 + 1300*random.Float64(), 2400 + 700*random.Float64()}
	type resonator struct{ a, b, y1, y2 float64 }
	var filters [3]resonator
	for i, f := range formants {
		r := math.Exp(-math.Pi * (60 + 60*float64(i)) / fs)
		filters[i] = resonator{a: 2 * r * math.Cos(2*math.Pi*min(f, 0.45*fs)/fs), b: -r * r}
	}
	hiss := n / 4 // the consonant
	if random.IntN(3) == 0 {
		hiss = 0
	}
	pitch *= 0.9 + 0.2*random.Float64()
	glide := 0.8 + 0.4*random.Float64()
	phase, rise, fall := 0.0, max(int(attack*fs), 1), max(int(3*attack*fs), 1)
	for i := range out {
		x := 0.0
		if i < hiss {
			x = (random.Float64() - 0.5) * 0.6
		} else {
			phase += pitch * (1 + (glide-1)*float64(i)/float64(n)) / fs
			if phase >= 1 {
				phase--
				x = 1
			}
			x += (random.Float64() - 0.5) * 0.02
		}
		sum := 0.0
		for k := range filters {
			f := &filters[k]
			y := x + f.a*f.y1 + f.b*f.y2
			f.y2, f.y1 = f.y1, y
			sum += y / float64(int(1)<<k)
		}
		sum *= min(1, float64(i+1)/float64(rise), float64(n-i)/float64(fall))
		out[i] = sum
	}
	if hiss > 0 { // 14 dB below its vowel
		scale(out[hiss:], 1)
		scale(out[:hiss], 0.2)
	}
	return out
}
