package silence

import (
	"context"
	"io"
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
	hop    float64 // between two tunes, in frames
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
	for blocks := 0; ; blocks++ {
		samples, err := w.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		l.add(samples)
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
	regions  []Region
	next     int // the region that comes or runs
	at       int // frames that are complete in all channels
	sample   int64
	segments segmenter
}

type channel struct {
	meter  meter
	levels []Level // of the block
	ear    *ear
	all    histogram // outside the regions
	within histogram // in them
	sketch []Level
	part   int // frames in one part of the sketch
	filled int // of the last one
}

func newListener(f wav.Format, closely []Span) *listener {
	l := &listener{channels: make([]channel, f.Channels), segments: newSegmenter()}
	shared, levels := newTables(), newScale()
	for i := range l.channels {
		l.channels[i] = channel{meter: newMeter(f.Rate, levels), ear: newEar(f.Rate, shared), part: 1}
	}
	closely = slices.Clone(closely)
	slices.SortFunc(closely, func(a, b Span) int { return int(a.From - b.From) })
	room := regionsMost
	for _, s := range closely {
		s.From = max(s.From.Truncate(Frame), 0)
		if n := len(l.regions); n > 0 && s.From <= l.regions[n-1].To {
			l.regions[n-1].To = max(l.regions[n-1].To, s.To)
			continue
		}
		if s.To > s.From {
			l.regions = append(l.regions, Region{Span: s, Channels: make([]Close, f.Channels)})
		}
	}
	for i := range l.regions {
		s := &l.regions[i].Span
		s.To = min(s.To, s.From+time.Duration(room)*Frame)
		room -= frames(s.Length())
		for c := range l.regions[i].Channels {
			l.regions[i].Channels[c].hop = l.channels[c].ear.hop()
		}
	}
	return l
}

func frames(d time.Duration) int { return int(d / Frame) }

func (l *listener) add(samples [][]int16) {
	l.hear(samples)
	done := 0
	for i := range l.channels {
		c := &l.channels[i]
		c.levels = c.meter.add(samples[i], c.levels[:0])
		done = len(c.levels) // the same for each
		c.draw()
	}
	for k := range done {
		frame := l.at + k
		for l.next < len(l.regions) && frame >= frames(l.regions[l.next].To) {
			l.next++
		}
		within := l.next < len(l.regions) && frame >= frames(l.regions[l.next].From)
		loudest := Digital
		for i := range l.channels {
			c := &l.channels[i]
			v := c.levels[k]
			loudest = max(loudest, v)
			if within {
				c.within.add(v)
				r := &l.regions[l.next].Channels[i]
				r.Levels = append(r.Levels, v)
			} else {
				c.all.add(v)
			}
		}
		l.segments.add(loudest, within)
	}
	l.at += done
}

// hear gives the ears the samples that lie in a region.
func (l *listener) hear(samples [][]int16) {
	if len(l.regions) == 0 {
		return
	}
	rate := int64(l.channels[0].meter.rate)
	from, to := l.sample, l.sample+int64(len(samples[0]))
	l.sample = to
	for i := l.next; i < len(l.regions); i++ {
		r := &l.regions[i]
		first, last := int64(frames(r.From))*rate/int64(perSecond), int64(frames(r.To))*rate/int64(perSecond)
		if first >= to {
			return
		}
		a, b := max(first, from), min(last, to)
		if a >= b {
			continue
		}
		for c := range l.channels {
			if a == first {
				l.channels[c].ear.reset()
			}
			r.Channels[c].tunes = l.channels[c].ear.add(samples[c][a-from:b-from], r.Channels[c].tunes)
		}
	}
}

// draw adds the block's levels to the envelope, and halves its detail when it is full.
func (c *channel) draw() {
	for _, v := range c.levels {
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
