// Package silence listens to a recording: how loud each channel is every 10 milliseconds, where it is silent, and in the
// stretches that matter what the silence is made of and what is heard above it.
//
// It reads a tape once, from a stream, in memory that doesn't grow with the tape's length. It knows samples and times on the
// tape, and nothing of pauses, logs or clocks.
package silence

import (
	"math"
	"time"
)

// Level is how loud a frame is, in steps of half a decibel: 0 is digital silence (every sample the same), 1 is -127 dBFS,
// 255 is 0 dBFS. 0 dBFS is the power of a square wave at full scale. A frame's mean is left out: a constant offset isn't heard.
type Level uint8

// Digital is the level of a frame that holds nothing at all.
const Digital Level = 0

// LevelOf is the level nearest to so many dBFS.
func LevelOf(dBFS float64) Level {
	return Level(min(max(math.Round(255+2*dBFS), 1), 255))
}

// DBFS is the level in decibels; digital silence is told as -127.5.
func (l Level) DBFS() float64 { return (float64(l) - 255) / 2 }

// decibels is a difference of levels.
const decibels = 2

// Frame is the time that one level stands for.
const Frame = 10 * time.Millisecond

// perSecond is how many frames there are in a second.
const perSecond = int(time.Second / Frame)

// meter makes levels of one channel's samples.
type meter struct {
	rate    int
	frame   int64 // the number of the frame being filled
	n, want int   // samples in it
	sum, sq int64
	*scale
}

func newMeter(rate int, s *scale) meter {
	m := meter{rate: rate, scale: s}
	m.want = m.length()
	return m
}

// length is how many samples the frame has: at 11,025 a second, 110 or 111.
func (m *meter) length() int {
	rate := int64(m.rate)
	return int((m.frame+1)*rate/int64(perSecond) - m.frame*rate/int64(perSecond))
}

// add appends the levels that the samples complete.
func (m *meter) add(samples []int16, levels []Level) []Level {
	for len(samples) > 0 {
		part := samples[:min(m.want-m.n, len(samples))]
		samples = samples[len(part):]
		sum, sq := sums(part)
		sum, sq = m.sum+sum, m.sq+sq
		if m.n += len(part); m.n < m.want {
			m.sum, m.sq = sum, sq
			break
		}
		levels = append(levels, m.level(sum, sq, m.n))
		m.n, m.sum, m.sq = 0, 0, 0
		m.frame++
		m.want = m.length()
	}
	return levels
}

// sums are the sum of the samples and that of their squares. It is most of the work of listening, hence eight at a time.
func sums(samples []int16) (sum, sq int64) {
	var s, t, a, b int64
	for ; len(samples) >= 8; samples = samples[8:] {
		p := (*[8]int16)(samples)
		x0, x1, x2, x3 := int64(p[0]), int64(p[1]), int64(p[2]), int64(p[3])
		x4, x5, x6, x7 := int64(p[4]), int64(p[5]), int64(p[6]), int64(p[7])
		s += x0 + x1 + x2 + x3
		t += x4 + x5 + x6 + x7
		a += x0*x0 + x1*x1 + x2*x2 + x3*x3
		b += x4*x4 + x5*x5 + x6*x6 + x7*x7
	}
	for _, v := range samples {
		x := int64(v)
		s += x
		a += x * x
	}
	return s + t, a + b
}

// scale turns powers into levels: the logarithm of the mantissa's first six bits is looked up.
type scale [64]float64

func newScale() *scale {
	var s scale
	for i := range s {
		s[i] = math.Log2(1 + (float64(i)+0.5)/64)
	}
	return &s
}

// level is that of n samples with this sum and this sum of squares.
func (s *scale) level(sum, sq int64, n int) Level {
	spread := sq*int64(n) - sum*sum // n² times the variance, without rounding
	if spread <= 0 {
		return Digital
	}
	const full = 1 << 30 // a square wave's power, 32768²
	bits := math.Float64bits(float64(spread) / (float64(n) * float64(n) * full))
	log := float64(int(bits>>52)-1023) + s[bits>>46&63]
	const octave = 2 * 3.010299957 // a doubling of the power, in half decibels
	return Level(min(max(int(255.5+octave*log), 1), 255))
}

// Levels are counted by how often each was met.
type histogram struct {
	count [256]int64
	total int64
}

func (h *histogram) add(l Level) { h.count[l]++; h.total++ }

// age makes what was met count less.
func (h *histogram) age() {
	h.total = 0
	for i := range h.count {
		h.count[i] -= h.count[i] / 8
		h.total += h.count[i]
	}
}

// sounding is how many frames weren't digital silence.
func (h *histogram) sounding() int64 { return h.total - h.count[Digital] }

// quantile is the level that a part q of the frames that aren't digital silence doesn't exceed.
func (h *histogram) quantile(q float64) Level {
	left := int64(q * float64(h.sounding()))
	for l := 1; l < len(h.count); l++ {
		if left -= h.count[l]; left < 0 {
			return Level(l)
		}
	}
	return 255
}
