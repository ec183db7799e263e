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

func part(x float64) uint8 { return uint8(min(max(x*255, 0), 255)) }

const (
	blockSize = 256 // samples of a block at 8 kHz: 32 ms
	hopSize   = 128
	faint     = 255 - 70*decibels // below -70 dBFS nothing is named
	toneRate  = 8000
)

// ear makes tunes of one channel's samples, brought down to 8 kHz.
type ear struct {
	rate    int // of the samples, and
	lower   int // of what it hears
	phase   int
	box, n  int // the average that is being made
	block   [blockSize]float64
	filled  int
	window  *[blockSize]float64
	twiddle *[blockSize / 2]complex128
	work    [blockSize]complex128
	power   [blockSize / 2]float64
}

func newEar(rate int) *ear {
	e := &ear{rate: rate, lower: min(rate, toneRate), window: new([blockSize]float64), twiddle: new([blockSize / 2]complex128)}
	for i := range e.window {
		e.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/blockSize) // Hann
	}
	for i := range e.twiddle {
		e.twiddle[i] = cmplx.Exp(complex(0, -2*math.Pi*float64(i)/blockSize))
	}
	return e
}

// reset forgets what was heard: the next samples don't follow on the last ones.
func (e *ear) reset() { e.phase, e.box, e.n, e.filled = 0, 0, 0, 0 }

// add appends a tune for each block that the samples complete.
func (e *ear) add(samples []int16, tunes []tune) []tune {
	for _, v := range samples {
		e.box += int(v)
		e.n++
		if e.phase += e.lower; e.phase < e.rate {
			continue
		}
		e.phase -= e.rate
		e.block[e.filled] = float64(e.box) / float64(e.n)
		e.box, e.n = 0, 0
		if e.filled++; e.filled == blockSize {
			tunes = append(tunes, e.listen())
			copy(e.block[:], e.block[hopSize:])
			e.filled = blockSize - hopSize
		}
	}
	return tunes
}

// hop is the time between two tunes, in frames.
func (e *ear) hop() float64 { return hopSize / float64(e.lower) * float64(perSecond) }

func (e *ear) listen() tune {
	mean := 0.0
	for _, v := range e.block {
		mean += v
	}
	mean /= blockSize
	sq := 0.0
	for i, v := range e.block {
		sq += (v - mean) * (v - mean)
		e.work[i] = complex((v-mean)*e.window[i], 0)
	}
	t := tune{level: Digital}
	if sq == 0 {
		return t
	}
	t.level = LevelOf(10 * math.Log10(sq/blockSize/(1<<30)))
	if t.level < faint {
		return t
	}
	e.transform()
	total := 0.0
	const from = 4 // 125 Hz: below it there is hum
	for i := range e.power {
		re, im := real(e.work[i]), imag(e.work[i])
		e.power[i] = re*re + im*im
		if i >= from {
			total += e.power[i]
		}
	}
	if total == 0 {
		return t
	}
	left := e.power
	sum := 0.0
	var parts [5]float64
	var pitches [2]float64
	for k := range parts {
		best := from
		for i := from; i < len(left)-1; i++ {
			if left[i] > left[best] {
				best = i
			}
		}
		for i := max(best-2, from); i <= min(best+2, len(left)-1); i++ { // a Hann window's main lobe
			sum += left[i]
			left[i] = 0
		}
		parts[k] = sum / total
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

// hertz is where a peak is, between the bins (a parabola through the logarithms).
func (e *ear) hertz(i int) float64 {
	at := float64(i)
	if i > 0 && i < len(e.power)-1 {
		a, b, c := math.Log(e.power[i-1]+1e-9), math.Log(e.power[i]+1e-9), math.Log(e.power[i+1]+1e-9)
		if bend := a - 2*b + c; bend < 0 {
			at += 0.5 * (a - c) / bend
		}
	}
	return at * float64(e.lower) / blockSize
}

// transform is the discrete Fourier transform of work, in place.
func (e *ear) transform() {
	const shift = 64 - 8 // of 256
	for i := range e.work {
		if j := int(bits.Reverse64(uint64(i)) >> shift); j > i {
			e.work[i], e.work[j] = e.work[j], e.work[i]
		}
	}
	for half := 1; half < blockSize; half *= 2 {
		step := blockSize / (2 * half)
		for i := 0; i < blockSize; i += 2 * half {
			for k := range half {
				a, b := e.work[i+k], e.work[i+k+half]*e.twiddle[k*step]
				e.work[i+k], e.work[i+k+half] = a+b, a-b
			}
		}
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
