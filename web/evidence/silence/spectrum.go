package silence

import (
	"math"
	"math/bits"
	"math/cmplx"
)

// A tune is what a block of sound is like, as far as it tells a tone, a touch tone or music from speech. Parts of the power are
// of 255.
type tune struct {
	pitch          uint16 // of the strongest peak, in tenths of a hertz up to 6.5 kHz
	one, two, five uint8  // the parts in the strongest peak, in the two and in the five strongest
	key            byte   // the touch-tone key, 0 if it is none
	level          Level
	peaks          [3]uint8 // where the strongest peaks are, in steps of 31 Hz
}

func part(x float32) uint8 { return uint8(min(max(x*255, 0), 255)) }

const (
	blockSize = 256 // samples of a block at 8 kHz: 32 ms
	hopSize   = 128
	faint     = 255 - 70*decibels // below -70 dBFS nothing is named
	toneRate  = 8000
)

// ear makes tunes of one channel's samples at 8 kHz, or at less where the tape has less.
type ear struct {
	rate   int
	block  [blockSize]float32
	filled int
	power  [blockSize / 2]float32
	work   [half]complex64
	*tables
}

const half = blockSize / 2

// tables are what all ears share.
type tables struct {
	window  [blockSize]float32
	twiddle [half / 2]complex64 // of the transform of half as many complex samples
	parting [half]complex64     // of taking its result apart
	order   [half]uint8
}

func newTables() *tables {
	t := new(tables)
	for i := range t.window {
		t.window[i] = float32(0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/blockSize)) // Hann
	}
	for i := range t.twiddle {
		t.twiddle[i] = complex64(cmplx.Exp(complex(0, -2*math.Pi*float64(i)/half)))
	}
	for i := range t.parting {
		t.parting[i] = complex64(cmplx.Exp(complex(0, -2*math.Pi*float64(i)/blockSize)))
		t.order[i] = bits.Reverse8(uint8(i)) >> 1
	}
	return t
}

func newEar(rate int, t *tables) *ear { return &ear{rate: min(rate, toneRate), tables: t} }

// add appends a tune for each block that the samples complete.
func (e *ear) add(samples []int16, tunes []tune) []tune {
	for len(samples) > 0 {
		n := min(blockSize-e.filled, len(samples))
		for i, v := range samples[:n] {
			e.block[e.filled+i] = float32(v)
		}
		samples = samples[n:]
		if e.filled += n; e.filled == blockSize {
			tunes = append(tunes, e.listen())
			copy(e.block[:], e.block[hopSize:])
			e.filled = blockSize - hopSize
		}
	}
	return tunes
}

// hop is the time between two tunes, in frames.
func (e *ear) hop() float64 { return hopSize / float64(e.rate) * float64(perSecond) }

// thinner brings one channel's samples down to 8 kHz, by averages.
type thinner struct {
	rate, lower int
	phase       int
	box, n      int // the average that is being made
}

// reset forgets what was heard: the next samples don't follow on the last ones.
func (t *thinner) reset() { t.phase, t.box, t.n = 0, 0, 0 }

// thin appends what samples come to of which every so many, from the first on, is the channel's. Those of one byte mean what the
// table says.
func thin[T int16 | byte](t *thinner, samples []T, every int, table *[256]int16, to []int16) []int16 {
	value := func(v T) int16 {
		if table != nil {
			return table[byte(v)]
		}
		return int16(v)
	}
	if t.rate == t.lower {
		for i := 0; i < len(samples); i += every {
			to = append(to, value(samples[i]))
		}
		return to
	}
	for i := 0; i < len(samples); i += every {
		t.box += int(value(samples[i]))
		t.n++
		if t.phase += t.lower; t.phase < t.rate {
			continue
		}
		t.phase -= t.rate
		to = append(to, int16(t.box/t.n))
		t.box, t.n = 0, 0
	}
	return to
}

func (e *ear) listen() tune {
	if first := e.block[0]; first == e.block[blockSize/3] && first == e.block[blockSize-1] && e.same() {
		return tune{level: Digital}
	}
	sum, sq := float32(0), float32(0)
	for _, v := range &e.block {
		sum += v
		sq += v * v
	}
	mean := sum / blockSize
	t := tune{level: Digital}
	if sq -= sum * mean; sq <= 0 {
		return t
	}
	t.level = LevelOf(10 * math.Log10(float64(sq)/blockSize/(1<<30)))
	if t.level < faint {
		return t
	}
	e.spectrum(mean)
	total := float32(0)
	const from = 4 // 125 Hz: below it there is hum
	for _, p := range e.power[from:] {
		total += p
	}
	if total == 0 {
		return t
	}
	left := e.power
	of := float32(0)
	var parts [5]float32
	var pitches [2]float64
	for k := range parts {
		best, most := from, float32(-1)
		for i, p := range left[:half-1] {
			if p > most && i >= from {
				best, most = i, p
			}
		}
		for i := max(best-2, from); i <= min(best+2, half-1); i++ { // a Hann window's main lobe
			of += left[i]
			left[i] = 0
		}
		parts[k] = of / total
		if k < len(t.peaks) {
			t.peaks[k] = uint8(best)
		}
		if k < len(pitches) {
			pitches[k] = e.hertz(best)
		}
	}
	t.one, t.two, t.five = part(parts[0]), part(parts[1]), part(parts[4])
	t.pitch = uint16(min(pitches[0]*10, math.MaxUint16))
	// Receivers take 1.5 % off and refuse 3.5 % (ITU-T Q.24), and the weaker tone up to 8 dB down.
	if parts[1] > 0.8 && parts[1]-parts[0] > 0.1 {
		t.key = touch(min(pitches[0], pitches[1]), max(pitches[0], pitches[1]))
	}
	return t
}

// same reports whether the block holds nothing at all.
func (e *ear) same() bool {
	for _, v := range &e.block {
		if v != e.block[0] {
			return false
		}
	}
	return true
}

// hertz is where a peak is, between the bins (a parabola through the logarithms).
func (e *ear) hertz(i int) float64 {
	at := float64(i)
	if i > 0 && i < half-1 {
		log := func(i int) float64 { return math.Log(float64(e.power[i]) + 1e-9) }
		a, b, c := log(i-1), log(i), log(i+1)
		if bend := a - 2*b + c; bend < 0 {
			at += 0.5 * (a - c) / bend
		}
	}
	return at * float64(e.rate) / blockSize
}

// spectrum makes the power spectrum of the block: a transform of the even samples as real and the odd ones as imaginary parts,
// taken apart afterwards.
func (e *ear) spectrum(mean float32) {
	w := &e.work
	for i := range w {
		w[e.order[i]&(half-1)] = complex((e.block[2*i]-mean)*e.window[2*i], (e.block[2*i+1]-mean)*e.window[2*i+1])
	}
	for size := 1; size < half; size *= 2 {
		step := half / (2 * size)
		for i := 0; i < half; i += 2 * size {
			low, high := w[i:i+size], w[i+size:i+2*size]
			for k, at := 0, 0; k < len(low) && k < len(high); k, at = k+1, at+step {
				t := e.twiddle[at&(half/2-1)]
				h := high[k]
				re := real(h)*real(t) - imag(h)*imag(t)
				im := real(h)*imag(t) + imag(h)*real(t)
				l := low[k]
				low[k], high[k] = complex(real(l)+re, imag(l)+im), complex(real(l)-re, imag(l)-im)
			}
		}
	}
	for i := range e.power {
		a, b := w[i], w[(half-i)&(half-1)]
		even := complex((real(a)+real(b))/2, (imag(a)-imag(b))/2)
		odd := complex((imag(a)+imag(b))/2, (real(b)-real(a))/2)
		t := e.parting[i]
		re := real(even) + real(odd)*real(t) - imag(odd)*imag(t)
		im := imag(even) + real(odd)*imag(t) + imag(odd)*real(t)
		e.power[i] = re*re + im*im
	}
}

// The touch tones' frequencies (ITU-T Q.23), and their keys by row and column.
var (
	rows    = [4]float64{697, 770, 852, 941}
	columns = [4]float64{1209, 1336, 1477, 1633}
)

const keys = "123A456B789C*0#D"

// touch is the key of these two tones; 0 if it is none.
func touch(low, high float64) byte {
	row, column := nearest(rows, low), nearest(columns, high)
	if row < 0 || column < 0 {
		return 0
	}
	return keys[4*row+column]
}

func nearest(tones [4]float64, at float64) int {
	for i, tone := range tones {
		if math.Abs(at/tone-1) < 0.022 {
			return i
		}
	}
	return -1
}
