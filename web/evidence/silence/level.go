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

// meter makes levels of all channels' samples.
type meter struct {
	rate     int
	channels int
	frame    int64 // the number of the frame being filled
	n, want  int   // samples of each channel in it
	sum, sq  []int64
	full     float64      // of a frame at full scale
	packed   *[256]uint64 // of each byte: its square, and in the lower bits itself
	*scale
}

func newMeter(rate, channels int) *meter {
	m := &meter{rate: rate, channels: channels, sum: make([]int64, channels), sq: make([]int64, channels), scale: newScale()}
	m.want = m.length()
	m.full = m.whole(m.want)
	return m
}

// A square takes 30 bits and a sample, made positive, 16: so many of them fit beside each other without touching.
const (
	packBits  = 25
	packMost  = 256
	packShift = 1 << 15
)

// pack prepares for samples of one byte each, which the table tells.
func (m *meter) pack(table *[256]int16) {
	m.packed = new([256]uint64)
	for b, v := range table {
		m.packed[b] = uint64(int64(v)*int64(v))<<packBits | uint64(int64(v)+packShift)
	}
}

// length is how many samples of a channel the frame has: at 11,025 a second, 110 or 111.
func (m *meter) length() int {
	rate := int64(m.rate)
	return int((m.frame+1)*rate/int64(perSecond) - m.frame*rate/int64(perSecond))
}

// add appends the levels that the samples complete, to each channel's. The samples of a frame stand next to each other.
func (m *meter) add(samples []int16, levels [][]Level) {
	for len(samples) > 0 {
		n := min(m.want-m.n, len(samples)/m.channels)
		part := samples[:n*m.channels]
		samples = samples[len(part):]
		switch m.channels {
		case 1:
			m.sums(part)
		case 2:
			m.sums2(part)
		default:
			for i, v := range part {
				x := int64(v)
				m.sum[i%m.channels] += x
				m.sq[i%m.channels] += x * x
			}
		}
		m.counted(n, levels)
	}
}

// addBytes is add for samples of one byte, after pack.
func (m *meter) addBytes(raw []byte, levels [][]Level) {
	for len(raw) > 0 {
		n := min(m.want-m.n, len(raw)/m.channels)
		part := raw[:n*m.channels]
		raw = raw[len(part):]
		for len(part) > 0 {
			some := part[:min(packMost*m.channels, len(part))]
			part = part[len(some):]
			switch m.channels {
			case 1:
				m.unpack(0, len(some), m.bytes(some))
			case 2:
				left, right := m.bytes2(some)
				m.unpack(0, len(some)/2, left)
				m.unpack(1, len(some)/2, right)
			default:
				for i, b := range some {
					m.unpack(i%m.channels, 1, m.packed[b])
				}
			}
		}
		m.counted(n, levels)
	}
}

// bytes adds up to packMost samples up.
func (m *meter) bytes(raw []byte) (sum uint64) {
	t := m.packed
	var a, b, c, d uint64
	for ; len(raw) >= 4; raw = raw[4:] {
		p := (*[4]byte)(raw)
		a += t[p[0]]
		b += t[p[1]]
		c += t[p[2]]
		d += t[p[3]]
	}
	for _, v := range raw {
		a += t[v]
	}
	return a + b + c + d
}

// bytes2 does the same for two channels.
func (m *meter) bytes2(raw []byte) (left, right uint64) {
	t := m.packed
	var a, b, c, d uint64
	for ; len(raw) >= 4; raw = raw[4:] {
		p := (*[4]byte)(raw)
		a += t[p[0]]
		b += t[p[1]]
		c += t[p[2]]
		d += t[p[3]]
	}
	for i := 0; i+1 < len(raw); i += 2 {
		a += t[raw[i]]
		b += t[raw[i+1]]
	}
	return a + c, b + d
}

// unpack counts n samples of a channel that were added up.
func (m *meter) unpack(c, n int, sum uint64) {
	m.sum[c] += int64(sum&(1<<packBits-1)) - int64(n)*packShift
	m.sq[c] += int64(sum >> packBits)
}

// counted says that n samples of each channel were added up, and appends the levels of a frame that is complete.
func (m *meter) counted(n int, levels [][]Level) {
	if m.n += n; m.n < m.want {
		return
	}
	for c := range levels {
		levels[c] = append(levels[c], m.level(m.sum[c], m.sq[c], m.n, m.full))
		m.sum[c], m.sq[c] = 0, 0
	}
	m.n = 0
	m.frame++
	if want := m.length(); want != m.want {
		m.want, m.full = want, m.whole(want)
	}
}

// sums adds the samples of one channel up, and their squares. It is most of the work of listening, hence eight at a time.
func (m *meter) sums(samples []int16) {
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
	m.sum[0] += s + t
	m.sq[0] += a + b
}

// sums2 does the same for two channels.
func (m *meter) sums2(samples []int16) {
	var s, t, a, b int64
	for ; len(samples) >= 8; samples = samples[8:] {
		p := (*[8]int16)(samples)
		x0, y0, x1, y1 := int64(p[0]), int64(p[1]), int64(p[2]), int64(p[3])
		x2, y2, x3, y3 := int64(p[4]), int64(p[5]), int64(p[6]), int64(p[7])
		s += x0 + x1 + x2 + x3
		t += y0 + y1 + y2 + y3
		a += x0*x0 + x1*x1 + x2*x2 + x3*x3
		b += y0*y0 + y1*y1 + y2*y2 + y3*y3
	}
	for i := 0; i+1 < len(samples); i += 2 {
		x, y := int64(samples[i]), int64(samples[i+1])
		s += x
		t += y
		a += x * x
		b += y * y
	}
	m.sum[0] += s
	m.sum[1] += t
	m.sq[0] += a
	m.sq[1] += b
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

// fullLog is the logarithm of a square wave's power at full scale, 32768².
const fullLog = 30

// log is the binary logarithm of a number above 0, to a hundredth.
func (s *scale) log(x float64) float64 {
	bits := math.Float64bits(x)
	return float64(int(bits>>52)-1023) + s[bits>>46&63]
}

// whole is the logarithm of what level holds a frame of n samples against: n² times the full scale.
func (s *scale) whole(n int) float64 { return 2*s.log(float64(n)) + fullLog }

// level is that of n samples with this sum and this sum of squares.
func (s *scale) level(sum, sq int64, n int, whole float64) Level {
	spread := sq*int64(n) - sum*sum // n² times the variance, without rounding
	if spread <= 0 {
		return Digital
	}
	const octave = 2 * 3.010299957 // a doubling of the power, in half decibels
	return Level(min(max(int(255.5+octave*(s.log(float64(spread))-whole)), 1), 255))
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
