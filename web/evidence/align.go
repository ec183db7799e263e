package evidence

import (
	"slices"
	"time"

	"offrecord/web/evidence/silence"
)

// Two clocks and a start in whole seconds lie between the log and the tape: a moment t of the log is on the tape at t minus the
// recording's start plus a shift. The shift is the platform's clock minus ours, minus what the start was cut by; it is the same
// for all windows of a recording, and within one second for all recordings of a platform at about the same time.
//
// It is found from the tape's own silences: a pause makes one whose edges lie as far apart as the log says. What is known of
// it is never a number but a range, and every verdict carries it.

// Range is what is known of a shift.
type Range struct{ Least, Most time.Duration }

func (r Range) width() time.Duration  { return r.Most - r.Least }
func (r Range) middle() time.Duration { return r.Least + r.width()/2 }

func (r Range) overlap(o Range) (Range, bool) {
	both := Range{max(r.Least, o.Least), min(r.Most, o.Most)}
	return both, both.Least <= both.Most
}

// Clocks is how far the platform's clock may be from ours at most, before anything is known of it. Both are kept by NTP where
// all is well.
const Clocks = 5 * time.Second

// anything is the range of a shift of which nothing is known.
var anything = Range{-Clocks - time.Second, Clocks + time.Second/2}

const (
	// slack is how far an edge on the tape may be from the effect that the log bounds: the frames, the recorder's own steps, and
	// its sample clock, which is up to 50 millionths off.
	slack = 60 * time.Millisecond
	// differs is how far from the line's noise a pause's own silence has to be to be told from it, in half decibels.
	differs = 12
	// wholeLeast is the shortest noise whose length alone says that it is a pause.
	wholeLeast = 3 * time.Second
	// pairLeast is the shortest window that is looked for among the line's own silences.
	pairLeast = 1500 * time.Millisecond
	// loose is the widest range that edges which contradict each other may give.
	loose = 3 * time.Second
	// sparse is the part of a tape that may be digital silence outside its pauses for one to be telling.
	sparse = 0.02
)

// Alignment is what is known of one recording's shift, and from what.
type Alignment struct {
	Range
	Edges  int  // of how many edges of windows it is the shift
	Strong bool // by edges that only a pause makes, and by nothing that contradicts them
}

// placed is a window over its recording: its bounds as they would be on the tape with a shift of zero.
type placed struct {
	*Window
	from, to bounds
	open     bool // it lasts until the tape ends
	region   *silence.Region
}

type bounds struct{ least, most time.Duration }

func place(w *Window, r Recording) placed {
	on := func(b Bounds) bounds { return bounds{b.Earliest.Sub(r.Start), b.Latest.Sub(r.Start)} }
	p := placed{Window: w, from: on(w.From), open: w.To.Latest.IsZero()}
	if !p.open {
		p.to = on(w.To)
	}
	return p
}

// span is where on the tape the window may lie.
func (p placed) span(shift Range, tape time.Duration) silence.Span {
	s := silence.Span{From: p.from.least + shift.Least, To: tape}
	if !p.open {
		s.To = min(p.to.most+shift.Most, tape)
	}
	return s
}

// edge is an edge of a silence on the tape that may be a window's: it fits with the shifts in a range. That it is the window's
// very own can't be known, because a leak next to it moves it: but a pause's silence lies within the pause, so a beginning
// bounds the shift from above, and an end from below.
type edge struct {
	window int
	kind   edgeKind
	fits   Range
	bound  time.Duration
}

type edgeKind int

const (
	begins edgeKind = iota
	ends
)

// align finds the shift of a recording within what is known of it.
func align(t *silence.Tape, windows []placed, known Range) Alignment {
	nothing := Alignment{Range: known}
	best, second, edges := weighed{}, weighed{}, []edge(nil)
	for _, alike := range kinds(t, windows) {
		var of []edge
		whole := false // one of them is as long as its window
		for _, f := range alike {
			fits := fitting(f.window, windows[f.window], f.Plateau, t, known)
			of = append(of, fits...)
			whole = whole || len(fits) == 2 && f.Length() >= wholeLeast
		}
		if alike[0].Level != silence.Digital {
			// A voice's own rests and held vowels may match an edge by chance; not nearly all of them, and no long one both.
			if b, _ := weigh(of); b.count*10 < 16*len(windows) || b.count < 4 && !whole {
				continue
			}
		}
		if b, s := weigh(of); b.count > best.count {
			best, second, edges = b, s, of
		} else if b.count > second.count {
			second = b
		}
	}
	if len(edges) == 0 {
		return within(windows, known)
	}
	switch {
	case best.count >= 2 && second.count < best.count:
		return Alignment{Range: bounded(edges, best.fits, known), Edges: best.count, Strong: best.strong}
	case best.count >= 2:
		// Two shifts explain as much: both are possible.
		r := Range{min(best.fits.Least, second.fits.Least), max(best.fits.Most, second.fits.Most)}
		if r.width() <= loose {
			return Alignment{Range: r, Edges: best.count}
		}
		return nothing
	}
	// The edges contradict each other, as when a pause came late: any of them may be right.
	r := edges[0].fits
	for _, e := range edges[1:] {
		r = Range{min(r.Least, e.fits.Least), max(r.Most, e.fits.Most)}
	}
	if slices.ContainsFunc(edges, func(e edge) bool { return e.kind == begins }) && slices.ContainsFunc(edges, func(e edge) bool { return e.kind == ends }) &&
		r.width() <= loose {
		return Alignment{Range: r, Edges: 1}
	}
	return nothing
}

// bounded is what the edges that fit allow, if leaks may lie next to them.
func bounded(edges []edge, fits, known Range) Range {
	r := Range{1 << 62, -1 << 62}
	least, most := time.Duration(-1<<62), time.Duration(1<<62)
	for _, e := range edges {
		if _, ok := e.fits.overlap(fits); !ok {
			continue
		}
		r = Range{min(r.Least, e.fits.Least), max(r.Most, e.fits.Most)}
		if e.kind == begins {
			most = min(most, e.bound)
		} else {
			least = max(least, e.bound)
		}
	}
	r = Range{max(r.Least, least), min(r.Most, most)}
	if r.Least > r.Most { // they contradict each other a little: a time in the log isn't what it is taken for
		r = Range{r.Most, r.Least}
	}
	r, _ = Range{min(r.Least, fits.Least), max(r.Most, fits.Most)}.overlap(known)
	return r
}

// fitting are the shifts with which the edges of a silence that only a pause makes are the window's.
func fitting(i int, p placed, plateau silence.Plateau, t *silence.Tape, known Range) (edges []edge) {
	fit := func(at time.Duration, b bounds) (Range, bool) {
		return Range{at - b.most - slack, at - b.least + slack}.overlap(known)
	}
	if from, ok := fit(plateau.From, p.from); ok && plateau.From > 0 && !plateau.AfterTone {
		edges = append(edges, edge{i, begins, from, plateau.From - p.from.least + slack})
		if p.open && t.Duration-plateau.To < 300*time.Millisecond {
			edges = append(edges, edge{i, ends, from, from.Least})
		}
	}
	if p.open || plateau.BeforeTone {
		return edges
	}
	if to, ok := fit(plateau.To, p.to); ok {
		edges = append(edges, edge{i, ends, to, plateau.To - p.to.most - slack})
	}
	return edges
}

// nearby is a plateau in the region of a window.
type nearby struct {
	silence.Plateau
	window int
}

// kinds are the plateaus that only a pause can have made, in groups of about one level: pauses sound alike. A digital silence
// counts where the tape has few of them; a noise counts where the line's own is another.
func kinds(t *silence.Tape, windows []placed) [][]nearby {
	var digital, noise []nearby
	for i, p := range windows {
		if p.region == nil {
			continue
		}
		for _, plateau := range p.region.Plateaus() {
			if plateau.Level == silence.Digital {
				digital = append(digital, nearby{plateau, i})
			} else {
				noise = append(noise, nearby{plateau, i})
			}
		}
	}
	var all [][]nearby
	part, speech := 0.0, silence.Level(0)
	for _, c := range t.Channels {
		part, speech = max(part, c.Digital), max(speech, c.Speech)
	}
	if len(digital) > 0 && part < sparse && t.Nothings <= 4*len(windows)+4 {
		all = append(all, digital)
	}
	slices.SortStableFunc(noise, func(a, b nearby) int { return int(a.Level) - int(b.Level) })
	var groups [][]nearby
	for i, n := range noise {
		if int(n.Level) > int(speech)-30 {
			break // a vowel that is held
		}
		if i == 0 || int(n.Level)-int(noise[i-1].Level) >= differs {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], n)
	}
	for _, g := range groups {
		if len(groups) > 1 || apart(t, g) {
			all = append(all, g)
		}
	}
	return all
}

// apart reports whether the line's noise is known, from where nothing was paused, and is another than these.
func apart(t *silence.Tape, alike []nearby) bool {
	for _, c := range t.Channels {
		if !c.Apart || int(alike[0].Level) < int(c.Floor)+differs && int(alike[len(alike)-1].Level) > int(c.Floor)-differs {
			return false
		}
	}
	return true
}

// within is what silences of the line's own noise say: who was silent already when a pause began makes its silence longer, so no
// more is known than that each window lies in one. That there is a shift with which nearly all do is no chance.
func within(windows []placed, known Range) Alignment {
	nothing := Alignment{Range: known}
	const least = 3
	var fits [][]Range // of each window
	var at []time.Duration
	for _, p := range windows {
		if p.region == nil || p.open || p.to.least-p.from.most < pairLeast {
			continue
		}
		var one []Range
		for _, plateau := range p.region.Plateaus() {
			if f, ok := (Range{plateau.From - p.from.most - slack, plateau.To - p.to.least + slack}).overlap(known); ok {
				one = append(one, f)
				at = append(at, f.Least, f.Most)
			}
		}
		fits = append(fits, one)
	}
	if len(fits) < least {
		return nothing
	}
	in, most := make([]int, len(at)), 0
	for i, shift := range at {
		for _, one := range fits {
			if slices.ContainsFunc(one, func(f Range) bool { return f.Least <= shift && shift <= f.Most }) {
				in[i]++
			}
		}
		most = max(most, in[i])
	}
	if most < len(fits)-len(fits)/5 { // one in five may leak
		return nothing
	}
	r := Range{1 << 62, -1 << 62}
	for i, shift := range at {
		if in[i] >= most-1-len(fits)/4 { // what leaks at an edge would pull the shift away from it
			r = Range{min(r.Least, shift), max(r.Most, shift)}
		}
	}
	if r.width() > known.width()/2 {
		return nothing
	}
	return Alignment{Range: r, Edges: 2 * len(fits)}
}

// weighed is a range of shifts that explains so many edges.
type weighed struct {
	fits   Range
	count  int
	strong bool
}

// weigh returns the range that explains most edges, and the one that, apart from it, explains most.
func weigh(edges []edge) (best, second weighed) {
	var at []time.Duration
	for _, e := range edges {
		at = append(at, e.fits.Least, e.fits.Most)
	}
	slices.Sort(at)
	at = slices.Compact(at)
	var all []weighed
	for i := range at {
		points := []time.Duration{at[i]}
		if i+1 < len(at) {
			points = append(points, at[i]+(at[i+1]-at[i])/2)
		}
		for _, p := range points {
			w := explain(edges, p)
			if n := len(all); n > 0 && all[n-1].count == w.count && all[n-1].fits.Most >= w.fits.Least {
				all[n-1].fits.Most = max(all[n-1].fits.Most, w.fits.Most)
				all[n-1].fits.Least = min(all[n-1].fits.Least, w.fits.Least)
				continue
			}
			all = append(all, w)
		}
	}
	for _, w := range all {
		if w.count > best.count {
			best = w
		}
	}
	for _, w := range all {
		if _, touches := w.fits.overlap(best.fits); !touches && w.count > second.count {
			second = w
		}
	}
	if best.count > 2 {
		// One of them may be another's: a leak has edges, too.
		for grown := true; grown; {
			grown = false
			for _, w := range all {
				if both, touches := w.fits.overlap(best.fits); touches && w.count == best.count-1 && both != w.fits {
					best.fits = Range{min(w.fits.Least, best.fits.Least), max(w.fits.Most, best.fits.Most)}
					grown = true
				}
			}
		}
	}
	return best, second
}

// explain is what a shift explains, and the range in which the same edges fit.
func explain(edges []edge, shift time.Duration) weighed {
	w := weighed{fits: Range{-1 << 62, 1 << 62}}
	type end struct {
		window int
		kind   edgeKind
	}
	seen := map[end]bool{}
	for _, e := range edges {
		if shift < e.fits.Least || shift > e.fits.Most {
			continue
		}
		w.fits, _ = w.fits.overlap(e.fits)
		if k := (end{e.window, e.kind}); !seen[k] {
			seen[k] = true
			w.count++
		}
	}
	for k := range seen {
		w.strong = w.strong || k.kind == begins && seen[end{k.window, ends}]
	}
	return w
}

// agree is what the alignments of a platform's recordings say of any other recording's shift: it lies within a second of each
// of theirs, because starts are in whole seconds and the clocks the same.
func agree(strong []Range) (Range, bool) {
	const few, second = 3, time.Second
	room := 200 * time.Millisecond
	if len(strong) == 0 {
		return Range{}, false
	}
	if len(strong) < few {
		room = time.Second // they may be wrong together
	}
	// Those that lie within a second of most others; a false one doesn't.
	var keep []Range
	for _, a := range strong {
		near := 0
		for _, b := range strong {
			if d := a.middle() - b.middle(); d < second+room && d > -second-room {
				near++
			}
		}
		if near*10 >= 8*len(strong) {
			keep = append(keep, a)
		}
	}
	if len(keep)*10 < 8*len(strong) {
		return Range{}, false
	}
	r := anything
	lowest, highest := time.Duration(1<<62), time.Duration(-1<<62)
	for _, a := range keep {
		lowest, highest = min(lowest, a.Most), max(highest, a.Least)
	}
	if highest-lowest > second+room { // the starts aren't what we take them for
		return Range{}, false
	}
	return r.overlap(Range{highest - second - room, lowest + second + room})
}
