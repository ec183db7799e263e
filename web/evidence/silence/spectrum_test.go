package silence

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"strconv"
	"testing"
)

// The fast transform is the slow one.
func TestSpectrum(t *testing.T) {
	e := newEar(8000, newTables())
	r := rand.New(rand.NewPCG(1, 1))
	for i := range e.block {
		e.block[i] = float32(r.NormFloat64() * 1000)
	}
	e.spectrum(0)
	for k := range e.power {
		sum := complex128(0)
		for i, v := range e.block {
			sum += complex(float64(v*e.window[i]), 0) * cmplx.Exp(complex(0, -2*math.Pi*float64(i*k)/blockSize))
		}
		want := real(sum)*real(sum) + imag(sum)*imag(sum)
		if got := float64(e.power[k]); math.Abs(got-want) > 1e-3*want+1 {
			t.Errorf("bin %d has %g, expected %g", k, got, want)
		}
	}
}

func BenchmarkEar(b *testing.B) {
	e := newEar(8000, newTables())
	r := rand.New(rand.NewPCG(1, 1))
	for i := range e.block {
		e.block[i] = float32(r.NormFloat64() * 1000)
	}
	for b.Loop() {
		e.listen()
	}
}

func BenchmarkMeter(b *testing.B) {
	for _, channels := range []int{1, 2} {
		b.Run(strconv.Itoa(channels), func(b *testing.B) {
			m := newMeter(8000, channels)
			samples := make([]int16, 8000)
			for i := range samples {
				samples[i] = int16(i * 7)
			}
			levels := make([][]Level, channels)
			b.SetBytes(16000)
			for b.Loop() {
				for c := range levels {
					levels[c] = levels[c][:0]
				}
				m.add(samples, levels)
			}
		})
	}
}
