package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/evidence/silence"
	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
)

// world is a platform and a companion whose clocks differ, and recordings of which everything is known.
type world struct {
	seed    uint64
	random  *rand.Rand
	offset  time.Duration // the platform's clock minus ours
	rounded bool          // starts are rounded, not cut
	wide    bool          // recordings of more than 8 kHz
	calls   []*call
}

// call is one recording, and what the log says of it.
type call struct {
	scene    truth.Scene
	spoken   truth.Speech
	began    time.Time // by our clock
	skew     float64   // of the recorder's sample clock
	attempts []Attempt
	hearing  hearing
	shift    time.Duration // the true one
}

var fillNames = map[truth.Fill]string{truth.Digital: "digital", truth.Comfort: "comfort noise", truth.Line: "line noise", truth.Beeps: "beeps", truth.Music: "music", truth.None: "no effect", truth.Hold: "hold tone"}

// leakLengths are those that are tried, in milliseconds.
var leakLengths = []int{50, 100, 150, 200, 300, 500, 1000, 2000}

func newWorld(seed uint64, calls int) *world {
	w := &world{seed: seed, random: rand.New(rand.NewPCG(seed, 1))}
	w.offset = time.Duration((w.random.Float64()*8 - 4) * float64(time.Second))
	w.rounded = w.random.IntN(3) == 0
	w.wide = w.random.IntN(10) == 0
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	if w.wide {
		calls /= 3
	}
	for i := range calls {
		at = at.Add(time.Duration(w.random.Int64N(int64(time.Minute))))
		c := w.newCall(uint64(i), at)
		at = at.Add(c.scene.Length)
		w.calls = append(w.calls, c)
	}
	return w
}

func (w *world) seconds(from, to float64) time.Duration {
	return time.Duration((from + (to-from)*w.random.Float64()) * float64(time.Second))
}

func (w *world) newCall(n uint64, began time.Time) *call {
	r := w.random
	formats := []wav.Format{{Codec: wav.PCM, Bits: 16}, {Codec: wav.PCM, Bits: 16}, {Codec: wav.MuLaw, Bits: 8}, {Codec: wav.MuLaw, Bits: 8}, {Codec: wav.ALaw, Bits: 8}, {Codec: wav.PCM, Bits: 8}}
	f := formats[r.IntN(len(formats))]
	f.Rate, f.Channels = 8000, 1+r.IntN(2)
	if w.wide {
		f.Rate = []int{11025, 16000, 22050, 44100, 48000}[r.IntN(5)]
	}
	c := &call{began: began, skew: (r.Float64() - 0.5) * 1e-4}
	c.scene = truth.Scene{Seed: w.seed*1000 + n, Format: f, Noise: -68 + 18*r.Float64(), Speech: -26 + 8*r.Float64(), Streamed: r.IntN(4) == 0}
	if f.Codec == wav.PCM && f.Bits == 8 {
		c.scene.Noise = -52 + 4*r.Float64() // its own steps are louder than a good line
	}
	fills := []truth.Fill{truth.Digital, truth.Digital, truth.Digital, truth.Comfort, truth.Comfort, truth.Line, truth.Beeps, truth.Music, truth.None}
	fill := fills[r.IntN(len(fills))]
	floor := map[bool]float64{true: -48, false: -72}[f.Codec == wav.PCM && f.Bits == 8]
	if f.Codec == wav.PCM && f.Bits != 8 {
		floor = -78
	}
	at := w.seconds(3, 8)
	if r.IntN(3) == 0 {
		at = w.seconds(14, 20) // enough before it to know the line by
	}
	for range 1 + r.IntN(8) {
		p := truth.Pause{From: at, To: at + w.seconds(2, 7), Fill: fill}
		switch fill {
		case truth.Comfort:
			p.Level = max(-75+20*r.Float64(), floor)
			floor = max(floor, p.Level)
		case truth.Line:
			floor = max(floor, c.scene.Noise)
		case truth.Music:
			p.Level = -24
		}
		c.scene.Pauses = append(c.scene.Pauses, p)
		if fill != truth.Music && fill != truth.None && r.IntN(4) == 0 {
			length := time.Duration(leakLengths[r.IntN(len(leakLengths))]) * time.Millisecond
			leakAt := p.From + time.Duration(r.Float64()*float64(p.To-p.From-length))
			if beep := leakAt.Truncate(2 * time.Second); fill == truth.Beeps && length < 1500*time.Millisecond {
				leakAt = beep + 300*time.Millisecond + time.Duration(r.Float64()*float64(1600*time.Millisecond-length)) // between two beeps
			}
			if leakAt >= p.From && leakAt+length <= p.To {
				l := truth.Leak{At: leakAt, For: length, Level: floor + 12 + 15*r.Float64(), Channel: r.IntN(f.Channels)}
				if r.IntN(8) == 0 && length >= 200*time.Millisecond {
					l.Keys = strings.Repeat("4539148803", 2)
				}
				c.scene.Leaks = append(c.scene.Leaks, l)
			}
		}
		w.press(c, p)
		at = p.To + w.seconds(1, 4)
	}
	c.scene.Length = at + w.seconds(0, 3)
	start := c.began.Add(w.offset)
	listed := start.Truncate(time.Second)
	if w.rounded {
		listed = start.Round(time.Second)
	}
	c.shift = listed.Sub(start) * -1 // what the listed start lacks
	c.shift = w.offset - start.Sub(listed)
	c.hearing.recording = Recording{Name: fmt.Sprintf("R%d.wav", n), AgentID: "bill", Start: listed, Duration: c.scene.Length.Round(time.Second)}
	windows, _ := windowsOf(Agent{Email: "bill@acme.example", ID: "bill"}, c.attempts, nil)
	for i := range windows {
		c.hearing.windows = append(c.hearing.windows, &windows[i])
	}
	return c
}

// press writes down a pause and a resume, whose effects are on the tape where p says.
func (w *world) press(c *call, p truth.Pause) {
	for _, x := range []struct {
		action recording.Action
		at     time.Duration
	}{{recording.Pause, p.From}, {recording.Resume, p.To}} {
		effect := c.began.Add(time.Duration(float64(x.at) / (1 + c.skew)))
		asked, decided := effect.Add(-w.seconds(0.02, 0.4)), effect.Add(w.seconds(0.005, 0.3))
		c.attempts = append(c.attempts, Attempt{recording.Attempt{ID: uuid.NewString(), Action: x.action, Outcome: recording.Confirmed, RequestedAt: asked, DecidedAt: &decided,
			Route: recording.RouteServer, Evidence: &recording.Evidence{Kind: recording.Reported, AfterMS: int(decided.Sub(asked).Milliseconds())}}, int64(len(c.attempts) + 1)})
	}
}

func (w *world) listen(t *testing.T) {
	var all []*hearing
	for _, c := range w.calls {
		spoken := &c.spoken
		if !c.edged() {
			spoken = nil
		}
		if err := c.hearing.listen(t.Context(), c.scene.Reader(spoken), nil); err != nil {
			t.Errorf("listening: %v", err)
		}
		all = append(all, &c.hearing)
	}
	conclude(all)
}

// score is what is counted.
type score struct {
	windows, clean       int
	falseLeaks           int
	unchecked            int // clean windows that were not checkable
	found, lost, outside map[int]int
	loudest              int // leaks of 300 ms and more that were lost
	strayed              int // alignments that don't hold the true shift
	aligned, alignments  int
	width                []time.Duration
	edges                []time.Duration // how far the tape's own edges are off
	sounds, falseSounds  int
	failed, failedFound  int // pauses without effect
	masked               int
	notes                []string
	byFill               map[string]int
}

func newScore() *score {
	return &score{found: map[int]int{}, lost: map[int]int{}, outside: map[int]int{}, byFill: map[string]int{}}
}

func (s *score) add(o *score) {
	for _, x := range [][2]*int{{&s.windows, &o.windows}, {&s.clean, &o.clean}, {&s.falseLeaks, &o.falseLeaks}, {&s.unchecked, &o.unchecked}, {&s.loudest, &o.loudest}, {&s.strayed, &o.strayed},
		{&s.aligned, &o.aligned}, {&s.alignments, &o.alignments}, {&s.sounds, &o.sounds}, {&s.falseSounds, &o.falseSounds}, {&s.failed, &o.failed}, {&s.failedFound, &o.failedFound}, {&s.masked, &o.masked}} {
		*x[0] += *x[1]
	}
	for _, x := range [][2]map[int]int{{s.found, o.found}, {s.lost, o.lost}, {s.outside, o.outside}} {
		for k, v := range x[1] {
			x[0][k] += v
		}
	}
	for k, v := range o.byFill {
		s.byFill[k] += v
	}
	s.width, s.edges, s.notes = append(s.width, o.width...), append(s.edges, o.edges...), append(s.notes, o.notes...)
}

func (s *score) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (w *world) judge(s *score) {
	for n, c := range w.calls {
		h := &c.hearing
		s.alignments++
		if h.alignment.Edges > 0 {
			s.aligned++
			s.width = append(s.width, h.alignment.width())
		}
		if c.shift < h.alignment.Least || c.shift > h.alignment.Most {
			s.strayed++
			s.note("seed %d call %d (%v, %s): the shift is %v, not in %v to %v (%d edges)", w.seed, n, c.scene.Format, fillNames[c.scene.Pauses[0].Fill], c.shift, h.alignment.Least, h.alignment.Most, h.alignment.Edges)
		}
		w.edges(s, n, c)
		for i, f := range h.findings {
			pause := c.scene.Pauses[i]
			s.windows++
			what := func(said string, args ...any) {
				s.note("seed %d call %d window %d (%v, %s, speech %.0f, noise %.0f, pause %v to %v): %s; %s %q; checked %v to %v ±%v, sounds %+v, grounds %+v", w.seed, n, i, c.scene.Format, fillNames[pause.Fill],
					c.scene.Speech, c.scene.Noise, pause.From, pause.To, fmt.Sprintf(said, args...), f.Verdict, f.Reason, f.Checked.From, f.Checked.To, f.Uncertainty, f.Sounds, f.Grounds)
			}
			var leaks []truth.Leak
			for _, l := range c.scene.Leaks {
				if l.At >= pause.From && l.At < pause.To {
					leaks = append(leaks, l)
				}
			}
			switch {
			case pause.Fill == truth.None:
				s.failed++
				s.byFill["no effect "+string(f.Verdict)]++
				if f.Verdict == Audible {
					s.failedFound++
				}
				continue
			case len(leaks) == 0:
				s.clean++
				s.byFill[fillNames[pause.Fill]+" "+string(f.Verdict)]++
				switch f.Verdict {
				case Audible:
					s.falseLeaks++
					what("a false leak")
				case NotCheckable:
					s.unchecked++
				}
				continue
			}
			const near = 100 * time.Millisecond // a tone that is cut into may be heard with it
			l := leaks[0]
			leak := silence.Span{From: l.At, To: l.At + l.For}
			ms := int(l.For.Milliseconds())
			switch in := f.Checked.Overlap(leak).Length(); {
			case f.Verdict == Audible:
				s.found[ms]++
				hit := f.Floating
				for _, x := range f.Leaks() {
					s.sounds++
					if (leak.From-x.To > near || x.From-leak.To > near) && !f.Floating {
						s.falseSounds++
						what("a sound that isn't there, the leak is from %v for %v", l.At, l.For)
					} else {
						hit = true
					}
				}
				if !hit {
					what("another leak than the one there is")
				}
			case f.Verdict == NotCheckable, in < min(l.For*8/10, 300*time.Millisecond):
				s.outside[ms]++
			default:
				s.lost[ms]++
				if ms >= 300 {
					s.loudest++
				}
				what("the leak at %v of %v and %.1f dBFS isn't found", l.At, l.For, l.Level)
			}
		}
	}
}

// edged reports whether the edges of the tape's silences are known: those of zeros, and what is said around them.
func (c *call) edged() bool {
	return c.scene.Pauses[0].Fill == truth.Digital && len(c.scene.Leaks) == 0
}

// edges holds the tape's own silences against the truth: where nobody speaks, or the tape was paused.
func (w *world) edges(s *score, n int, c *call) {
	if !c.edged() {
		return
	}
	for _, p := range c.scene.Pauses {
		// The silence around the pause: to the end of what was said before, and the beginning of what was said after.
		around := func(spoken []truth.Span, least time.Duration) silence.Span {
			want := silence.Span{From: 0, To: c.scene.Length}
			for _, sp := range spoken {
				for _, part := range audible(sp, c.scene.Pauses) {
					if part.To <= p.From && part.To-part.From >= least {
						want.From = max(want.From, part.To)
					}
					if part.From >= p.To && part.To-part.From >= least {
						want.To = min(want.To, part.From)
					}
				}
			}
			return want
		}
		short, long := around(c.spoken.Faint, 0), around(c.spoken.Clear, 2*silence.Frame) // less may be a sliver that a pause left
		found := silence.Span{From: -time.Minute}
		for _, x := range c.hearing.tape.Silences {
			if x.From < p.To && x.To > p.From {
				if found.From < 0 {
					found.From = x.From
				}
				found.To = x.To
			}
		}
		for k, d := range []time.Duration{max(long.From-found.From, found.From-short.From, 0), max(found.To-long.To, short.To-found.To, 0)} {
			s.edges = append(s.edges, d)
			if d > 50*time.Millisecond {
				s.note("seed %d call %d (%v, noise %.0f, speech %.0f): edge %d of the silence around %v to %v (%v to %v, %v to %v) is %v off: %v", w.seed, n, c.scene.Format, c.scene.Noise, c.scene.Speech, k, p.From, p.To,
					long.From, short.From, short.To, long.To, d, found)
			}
		}
	}
}

// audible is what of a stretch of speech isn't paused.
func audible(sp truth.Span, pauses []truth.Pause) (parts []truth.Span) {
	parts = []truth.Span{sp}
	for _, p := range pauses {
		var left []truth.Span
		for _, x := range parts {
			if x.From < p.From {
				left = append(left, truth.Span{From: x.From, To: min(x.To, p.From)})
			}
			if x.To > p.To {
				left = append(left, truth.Span{From: max(x.From, p.To), To: x.To})
			}
		}
		parts = left
	}
	return parts
}

// TestGroundTruth holds the verdicts against recordings of which everything is known. OFFRECORD_TRUTH_WORLDS makes it longer,
// OFFRECORD_TRUTH_SEED chooses the first seed.
func TestGroundTruth(t *testing.T) {
	worlds, seed := number("OFFRECORD_TRUTH_WORLDS", 0), number("OFFRECORD_TRUTH_SEED", int(rand.Uint32N(1<<30)))
	const leastClean = 1000
	total := newScore()
	var mu sync.Mutex
	enough := func(i int) bool {
		mu.Lock()
		defer mu.Unlock()
		return worlds > 0 && i >= worlds || worlds == 0 && total.clean >= leastClean
	}
	next := make(chan int)
	var working sync.WaitGroup
	for range runtime.NumCPU() {
		working.Go(func() {
			for i := range next {
				w := newWorld(uint64(seed+i), 8)
				w.listen(t)
				s := newScore()
				w.judge(s)
				mu.Lock()
				total.add(s)
				mu.Unlock()
			}
		})
	}
	for i := 0; !enough(i); i++ {
		next <- i
	}
	close(next)
	working.Wait()

	t.Logf("seed %d: %d windows, %d of them clean: %d false leaks, %d not checkable %v", seed, total.windows, total.clean, total.falseLeaks, total.unchecked, total.byFill)
	t.Logf("pauses without effect: %d of %d audible", total.failedFound, total.failed)
	found := 0
	for _, ms := range leakLengths {
		f, l := total.found[ms], total.lost[ms]
		found += f
		t.Logf("leaks of %4d ms: %3d found, %2d missed, %2d nearer to an edge than the uncertainty or not checkable; recall %.1f %%", ms, f, l, total.outside[ms], 100*float64(f)/math.Max(float64(f+l), 1))
	}
	t.Logf("precision: %.2f %% of windows called audible, %.2f %% of the sounds in them", 100*float64(found+total.failedFound)/float64(found+total.failedFound+total.falseLeaks), 100-100*float64(total.falseSounds)/math.Max(float64(total.sounds), 1))
	slices.Sort(total.width)
	slices.Sort(total.edges)
	at := func(d []time.Duration, q float64) time.Duration {
		if len(d) == 0 {
			return 0
		}
		return d[int(q*float64(len(d)-1))]
	}
	t.Logf("alignment: %d of %d recordings by their own edges, ±%v in the median, ±%v at most in nine of ten; the true shift lies outside in %d", total.aligned, total.alignments, at(total.width, 0.5)/2, at(total.width, 0.9)/2, total.strayed)
	t.Logf("edges of silences: %d, off by %v in the median, %v in 99 of 100, %v at most", len(total.edges), at(total.edges, 0.5), at(total.edges, 0.99), at(total.edges, 1))
	// A shift that is off by more than is said makes no wrong verdict by itself; few are allowed.
	failed := total.falseLeaks > 0 || total.loudest > 0 || total.strayed*200 > total.alignments || at(total.edges, 1) > 50*time.Millisecond
	for _, n := range total.notes[:min(len(total.notes), 25)] {
		if failed {
			t.Error(n)
		} else {
			t.Log(n)
		}
	}
	// The others are short, and so near to a natural silence that it may be theirs.
	if total.failedFound*100 < 80*total.failed {
		t.Errorf("of %d pauses without effect %d were called audible", total.failed, total.failedFound)
	}
}

// TestWorldsThatWereWrong goes through worlds that a long run once found something in.
func TestWorldsThatWereWrong(t *testing.T) {
	for seed, what := range map[uint64]string{
		706607766: "a leak over all of a pause in one channel, which passed for what lies beneath",
	} {
		w, s := newWorld(seed, 8), newScore()
		w.listen(t)
		w.judge(s)
		if s.falseLeaks > 0 || s.loudest > 0 {
			t.Errorf("%s: %d false leaks, %d missed\n%s", what, s.falseLeaks, s.loudest, strings.Join(s.notes, "\n"))
		}
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
