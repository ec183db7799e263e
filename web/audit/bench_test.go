package audit

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"offrecord/app/recording"
)

// BenchmarkAppend is durable records per second: one writer is what a lone pause waits, 64 what a busy floor gets.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := open(b, testConfig(b))
			b.ResetTimer()
			var wg sync.WaitGroup
			work := make(chan struct{})
			for range writers {
				wg.Go(func() {
					for range work {
						put(b, l, begun("bill@acme.example", noon))
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkAppendToSpool is the same while the store can't be written.
func BenchmarkAppendToSpool(b *testing.B) {
	c := testConfig(b)
	l := open(b, c)
	err := l.do(context.Background(), func(context.Context) error {
		l.retryAt = time.Now().Add(time.Hour)
		l.setStatus(func(s *Status) { s.Store = os.ErrPermission })
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		put(b, l, begun("bill@acme.example", noon))
	}
}

// BenchmarkQuery is what opening a panel costs, by the length of the log: OFFRECORD_BENCH_MILLION adds a million records.
func BenchmarkQuery(b *testing.B) {
	sizes := []int{10, 10_000}
	if os.Getenv("OFFRECORD_BENCH_MILLION") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, size := range sizes {
		l := open(b, testConfig(b))
		fill(b, l, size)
		filters := []struct {
			name string
			f    Filter
		}{
			{"agent", Filter{Agent: "agent50@acme.example"}},
			{"agent and outcome", Filter{Agent: "agent50@acme.example", Outcome: recording.Failed}},
			{"all", Filter{}},
			{"between", Filter{From: noon.Add(time.Duration(size/2) * time.Second), To: noon.Add(time.Duration(size/2+1000) * time.Second)}},
		}
		for _, f := range filters {
			b.Run(fmt.Sprintf("records=%d/%s", size, f.name), func(b *testing.B) {
				for b.Loop() {
					if _, err := l.Query(context.Background(), f.f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("records=%d/undecided", size), func(b *testing.B) {
			for b.Loop() {
				collect(b, l.Undecided(context.Background()))
			}
		})
		b.Run(fmt.Sprintf("records=%d/verify", size), func(b *testing.B) {
			for b.Loop() {
				verify(b, l)
			}
		})
	}
}

// fill writes records as the log does, without a wait for each.
func fill(b *testing.B, l *Log, size int) {
	b.Helper()
	err := l.do(context.Background(), func(ctx context.Context) error {
		for from := 0; from < size; from += 10_000 {
			var lines []line
			for i := from; i < min(size, from+10_000); i++ {
				o := recording.Confirmed
				if i%50 == 0 {
					o = recording.Failed
				}
				r := decided(begun(fmt.Sprintf("agent%d@acme.example", i%100), noon.Add(time.Duration(i)*time.Second)), o)
				sealed, err := r.seal(l.identify)
				if err != nil {
					return err
				}
				lines = append(lines, sealed)
			}
			if _, err := l.store.append(ctx, newBatch(), lines, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
