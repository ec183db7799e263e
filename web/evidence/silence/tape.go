package silence

import (
	"cmp"
	"context"
	"io"
	"math"
	"slices"
	"time"

	"offrecord/web/evidence/wav"
)

// Span is a stretch of a tape.
type Span struct {
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
}

// Length is how long it is; 0 for one that ends before it begins.
func (s Span) Length() time.Duration { return max(s.To-s.From, 0) }

// Overlap is what two spans have in common.
func (s Span) Overlap(o Span) Span { return Span{max(s.From, o.From), min(s.To, o.To)} }

// Silence is a stretch in which no channel is heard.
type Silence struct {
	Span
	// Digital is the longest part of it that holds nothing at all: no line and no room sounds like that.
	Digital Span `json:"digital"`
	// DBFS is how loud it is on average where it isn't digital; 0 where all of it is.
	DBFS float64 `json:"dbfs,omitempty"`
}

// Tape is what was heard of a recording.
type Tape struct {
	Format   wav.Format    `json:"-"`
	Duration time.Duration `json:"duration"` // of what was read
	Promised time.Duration `json:"promised"` // what the header says; 0 if nothing
	Damage   []wav.Damage  `json:"damage,omitempty"`
	// Silences are those of at least LeastSilence in the regions, and of at least LeastElsewhere; in a tape with very many, the
	// longest.
	Silences []Silence `json:"silences,omitempty"`
	Channels []Channel `json:"-"`
	// Nothings is how many stretches of digital silence there are, in all channels at once.
	Nothings int `json:"nothings"`
	// Regions are the stretches that were listened to closely, in order.
	Regions []Region `json:"-"`
}

// Channel is one channel over the whole tape.
type Channel struct {
	// Floor is the level that a tenth of the sounding frames outside the regions stays below, Speech the one that a twentieth
	// exceeds; both 0 if there is too little to tell. In a tape that has little outside, the regions are counted in.
	Floor, Speech Level
	// Apart says that there is enough outside the regions.
	Apart bool
	// Digital is the part of the frames outside the regions that are digital silence.
	Digital float64
	// Envelope is the loudest level in each of the equal parts of the tape, the last of them perhaps shorter; Part is their
	// length.
	Envelope []Level
	Part     time.Duration
}

// Region is a stretch that was listened to closely.
type Region struct {
	Span     // on whole frames
	Channels []Close
}

// Close is one channel of a region: a level each 10 ms, and what it sounds like.
type Close struct {
	Levels []Level
	tunes  []tune
	first  int     // the frame at which they begin
	hop    float64 // between two tunes, in frames
	kept   []int16 // samples, until they are listened to
	pieces bool    // they were, as far as they had come
}

const (
	// LeastSilence is the shortest silence that is told in a region.
	LeastSilence = 300 * time.Millisecond
	// LeastElsewhere is the shortest that is told elsewhere: between sentences there are many.
	LeastElsewhere = 2 * time.Second
	// most bounds the silences that are kept.
	most = 2000
	// parts bounds an envelope.
	parts = 2048
	// longest is longer than any tape.
	longest = 1000 * time.Hour
	// regionsMost bounds what is listened to closely, in frames: four hours.
	regionsMost = 4 * 3600 * perSecond
)

// Listen reads a recording from its beginning to its end, closely in the spans. between is called now and then, so that a
// server can leave the processor to others; nil is allowed. Of a stream that breaks off, the error is the stream's.
func Listen(ctx context.Context, r io.Reader, closely []Span, between func()) (*Tape, error) {
	w, err := wav.NewReader(r)
	if err != nil {
		return nil, err
	}
	l := newListener(w.Format(), closely)
	table := w.Table()
	if table != nil {
		l.meter.pack(table)
	}
	for blocks := 0; ; blocks++ {
		if table != nil {
			var raw []byte
			if raw, err = w.NextBytes(); err == nil {
				keep(l, raw, table)
				l.meter.addBytes(raw, l.levels)
			}
		} else {
			var samples []int16
			if samples, err = w.Next(); err == nil {
				keep(l, samples, nil)
				l.meter.add(samples, l.levels)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		l.count()
		if blocks%16 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if between != nil {
				between()
			}
		}
	}
	t := l.end()
	t.Format, t.Duration, t.Damage = w.Format(), w.Duration(), w.Damage()
	if frames, ok := w.Promised(); ok {
		t.Promised = t.Format.Duration(frames)
	}
	return t, nil
}

// listener is a tape being listened to.
type listener struct {
	channels []channel
	meter    *meter
	levels   [][]Level // of the block, by channel
	ears     []*ear
	spare    [][]int16 // for samples of regions to come
	regions  []Region
	next     int // the region that comes or runs
	at       int // frames that are complete
	sample   int64
	segments segmenter
}

type channel struct {
	thin   thinner
	all    histogram // outside the regions
	within histogram // in them
	sketch []Level
	part   int // frames in one part of the sketch
	filled int // of the last one
}

func newListener(f wav.Format, closely []Span) *listener {
	l := &listener{channels: make([]channel, f.Channels), meter: newMeter(f.Rate, f.Channels), levels: make([][]Level, f.Channels), segments: newSegmenter()}
	shared := newTables()
	for i := range l.channels {
		l.ears = append(l.ears, newEar(f.Rate, shared))
		l.channels[i] = channel{thin: thinner{rate: f.Rate, lower: l.ears[i].rate}, part: 1}
	}
	closely = slices.Clone(closely)
	slices.SortFunc(closely, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	room := regionsMost
	for _, s := range closely {
		s.From = max(s.From.Truncate(Frame), 0)
		if n := len(l.regions); n > 0 && s.From <= l.regions[n-1].To {
			l.regions[n-1].To = max(l.regions[n-1].To, s.To)
			continue
		}
		if s.To > s.From && s.From < longest {
			l.regions = append(l.regions, Region{Span: s, Channels: make([]Close, f.Channels)})
		}
	}
	for i := range l.regions {
		s := &l.regions[i].Span
		s.To = min(s.To, s.From+time.Duration(room)*Frame)
		room -= frames(s.Length())
		for c := range l.regions[i].Channels {
			l.regions[i].Channels[c].hop = l.ears[c].hop()
		}
	}
	return l
}

func frames(d time.Duration) int { return int(d / Frame) }

// count takes the levels that the meter has made.
func (l *listener) count() {
	for c := range l.channels {
		l.channels[c].draw(l.levels[c])
	}
	for k := range l.levels[0] {
		frame := l.at + k
		for l.next < len(l.regions) && frame >= frames(l.regions[l.next].To) {
			l.leave()
		}
		within := l.next < len(l.regions) && frame >= frames(l.regions[l.next].From)
		loudest := Digital
		for c := range l.channels {
			v := l.levels[c][k]
			loudest = max(loudest, v)
			if within {
				l.channels[c].within.add(v)
				r := &l.regions[l.next].Channels[c]
				r.Levels = append(r.Levels, v)
			} else {
				l.channels[c].all.add(v)
			}
		}
		l.segments.add(loudest, within)
	}
	l.at += len(l.levels[0])
	for c := range l.levels {
		l.levels[c] = l.levels[c][:0]
	}
}

// bounds are a region's first sample and the one after its last.
func (l *listener) bounds(i int) (first, last int64) {
	rate := int64(l.meter.rate)
	return int64(frames(l.regions[i].From)) * rate / int64(perSecond), int64(frames(l.regions[i].To)) * rate / int64(perSecond)
}

// keep keeps the samples that lie in regions until those are over.
func keep[T int16 | byte](l *listener, samples []T, table *[256]int16) {
	if len(l.regions) == 0 {
		return
	}
	channels := len(l.channels)
	from, to := l.sample, l.sample+int64(len(samples)/channels)
	l.sample = to
	for i := l.next; i < len(l.regions); i++ {
		first, last := l.bounds(i)
		if first >= to {
			return
		}
		a, b := max(first, from), min(last, to)
		if a >= b {
			continue
		}
		part := samples[(a-from)*int64(channels) : (b-from)*int64(channels)]
		for c := range l.channels {
			x, r := &l.channels[c], &l.regions[i].Channels[c]
			if a == first {
				x.thin.reset()
				if n := len(l.spare); n > 0 {
					r.kept, l.spare = l.spare[n-1][:0], l.spare[:n-1]
				}
				r.kept = slices.Grow(r.kept, min(frames(l.regions[i].Length())/perSecond+1, keptMost)*l.ears[c].rate)
			}
			r.kept = thin(&x.thin, part[c:], channels, table, r.kept)
			if len(r.kept) > (keptMost-20)*l.ears[c].rate {
				r.name(l.ears[c], 0, math.MaxInt/l.ears[c].rate) // so long a stretch is heard piece by piece
			}
		}
	}
}

// keptMost bounds the samples that are kept, in seconds.
const keptMost = 150

// leave ends the region that runs: what may have to be named in it is listened to, and its samples are forgotten.
func (l *listener) leave() {
	r := &l.regions[l.next]
	from, to := r.unnamed()
	for c := range r.Channels {
		r.Channels[c].name(l.ears[c], from, to)
		l.spare, r.Channels[c].kept = append(l.spare, r.Channels[c].kept), nil
	}
	l.next++
}

// unnamed is the part of a region, in frames, whose sounds have to be told apart: around its digital silences, if it has long ones,
// because they are the pause; else all of it.
func (r *Region) unnamed() (from, to int) {
	from, to = -1, 0
	run := 0
	levels := r.loudest()
	for i := 0; i <= len(levels); i++ {
		if i < len(levels) && levels[i] == Digital {
			run++
			continue
		}
		if run >= leastPlateau {
			if from < 0 {
				from = i - run
			}
			to = i
		}
		run = 0
	}
	if from < 0 {
		return 0, len(levels)
	}
	return max(from-2*perSecond, 0), min(to+2*perSecond, len(levels))
}

// name listens to what is kept, as far as it lies in the frames from a to b.
func (c *Close) name(e *ear, a, b int) {
	if len(c.kept) == 0 {
		return
	}
	if c.pieces {
		c.tunes = e.add(c.kept, c.tunes)
	} else {
		at := func(frame int) int { return min(frame*e.rate/perSecond, len(c.kept)) }
		e.filled = 0
		c.first, c.tunes = a, e.add(c.kept[at(a):at(b)], make([]tune, 0, (at(b)-at(a))/hopSize+1))
	}
	c.kept, c.pieces = c.kept[:0], true
}

// draw adds the block's levels to the envelope, and halves its detail when it is full.
func (c *channel) draw(levels []Level) {
	for _, v := range levels {
		if c.filled == 0 {
			if len(c.sketch) == parts {
				for i := range parts / 2 {
					c.sketch[i] = max(c.sketch[2*i], c.sketch[2*i+1])
				}
				c.sketch = c.sketch[:parts/2]
				c.part *= 2
			}
			c.sketch = append(c.sketch, v)
		} else if last := &c.sketch[len(c.sketch)-1]; v > *last {
			*last = v
		}
		if c.filled++; c.filled == c.part {
			c.filled = 0
		}
	}
}

func (l *listener) end() *Tape {
	for l.next < len(l.regions) {
		l.leave()
	}
	t := &Tape{Silences: l.segments.end(), Nothings: l.segments.nothings, Regions: l.regions}
	for i := range l.channels {
		c := &l.channels[i]
		from := c.all
		digital := float64(from.count[Digital]) / float64(max(from.total, 1))
		apart := from.sounding() >= int64(3*perSecond)
		if !apart {
			for v, n := range c.within.count {
				from.count[v] += n
			}
			from.total += c.within.total
		}
		out := Channel{Envelope: c.sketch, Part: time.Duration(c.part) * Frame, Digital: digital, Apart: apart}
		if from.sounding() >= int64(perSecond) {
			out.Floor, out.Speech = from.quantile(0.10), from.quantile(0.95)
		}
		t.Channels = append(t.Channels, out)
	}
	for i := range t.Regions {
		r := &t.Regions[i]
		r.To = r.From + time.Duration(len(r.Channels[0].Levels))*Frame // a tape may end before
	}
	return t
}

// segmenter finds the silences of the loudest channel's levels. What is silent is decided block by block, from what was heard
// lately, so that nothing has to be kept.
type segmenter struct {
	block     []Level
	within    []bool
	lately    histogram
	first     int // the frame number of the block's first level
	open      bool
	from      int // of the open silence
	loud      int // frames above the threshold that may yet end it
	last      int // the first of them
	touched   bool
	sum       int64
	sounding  int
	digital   [2]int // the open silence's longest digital run
	run       [2]int // the one that may run now
	found     []Silence
	nothings  int
	nothing   int // frames of digital silence in a row
	threshold Level
}

const blockFrames = 30 * 100

func newSegmenter() segmenter {
	return segmenter{block: make([]Level, 0, blockFrames), within: make([]bool, 0, blockFrames)}
}

func (s *segmenter) add(v Level, within bool) {
	if v != Digital {
		s.nothing = 0
	} else if s.nothing++; s.nothing == 5 {
		s.nothings++
	}
	s.block, s.within = append(s.block, v), append(s.within, within)
	if len(s.block) == blockFrames {
		s.flush()
	}
}

// Thresholds of silence over a whole tape.
const (
	overFloor   = 10 * decibels // above what is quietest: a third of a second in a block
	underSpeech = 12 * decibels // and at least so much below what is loud
)

func (s *segmenter) flush() {
	s.lately.age()
	for _, v := range s.block {
		s.lately.add(v)
	}
	s.threshold = LevelOf(-60)
	if s.lately.sounding() >= int64(perSecond) {
		floor, loud := s.lately.quantile(0.01), s.lately.quantile(0.95)
		s.threshold = max(min(floor+overFloor, max(loud, underSpeech+1)-underSpeech), LevelOf(-72))
	}
	for k, v := range s.block {
		s.step(s.first+k, v, s.within[k])
	}
	s.first += len(s.block)
	s.block, s.within = s.block[:0], s.within[:0]
}

func (s *segmenter) step(frame int, v Level, within bool) {
	if v >= s.threshold {
		if !s.open {
			return
		}
		if s.loud == 0 {
			s.last = frame
		}
		if s.loud++; s.loud >= 2 { // a single loud frame is a click
			s.close(s.last)
		}
		return
	}
	if !s.open {
		s.open, s.from, s.touched, s.sum, s.sounding = true, frame, false, 0, 0
		s.digital, s.run = [2]int{}, [2]int{frame, frame}
	}
	s.loud = 0
	s.touched = s.touched || within
	if v == Digital {
		if frame-s.run[1] > 2 { // two frames of a codec's unrest don't end it
			s.run[0] = frame
		}
		s.run[1] = frame + 1
		if s.run[1]-s.run[0] > s.digital[1]-s.digital[0] {
			s.digital = s.run
		}
		return
	}
	s.sum += int64(v)
	s.sounding++
}

func (s *segmenter) close(at int) {
	s.open, s.loud = false, 0
	length := time.Duration(at-s.from) * Frame
	if length < LeastSilence || !s.touched && length < LeastElsewhere {
		return
	}
	found := Silence{Span: Span{time.Duration(s.from) * Frame, time.Duration(at) * Frame}}
	if d := s.digital; d[1]-d[0] >= 5 {
		found.Digital = Span{time.Duration(d[0]) * Frame, time.Duration(d[1]) * Frame}
	}
	if s.sounding > 0 {
		found.DBFS = Level(s.sum / int64(s.sounding)).DBFS()
	}
	if len(s.found) == most {
		shortest := 0
		for i := range s.found {
			if s.found[i].Length() < s.found[shortest].Length() {
				shortest = i
			}
		}
		if s.found[shortest].Length() >= length {
			return
		}
		s.found = slices.Delete(s.found, shortest, shortest+1)
	}
	s.found = append(s.found, found)
}

func (s *segmenter) end() []Silence {
	s.flush()
	if s.open {
		s.close(s.first)
	}
	return s.found
}
