package silence

import (
	"slices"
	"time"

	"offrecord/web/evidence/wav"
)

// GroundKind says what a silence is made of.
type GroundKind string

// The kinds.
const (
	Nothing  GroundKind = "digital_silence" // samples that are all the same
	Comfort  GroundKind = "noise"           // a steady noise that isn't the line's
	Line     GroundKind = "line_noise"      // the same noise as between the words elsewhere on the tape
	Hum      GroundKind = "tone"            // a steady tone
	Melody   GroundKind = "music"           // told from a noise only where speech could hide beneath it
	Unsteady GroundKind = "unsteady"        // nothing steady lies beneath
)

// Ground is what lies beneath in a stretch of one channel, and from where on something is heard above it.
type Ground struct {
	Kind  GroundKind
	Floor Level // the level of what lies beneath, and at least what the codec can tell from nothing
	// On is the level at which a sound begins, Off the one at which it is over.
	On, Off Level
	Hertz   float64 // of a tone
	// Masked says that speech as loud as elsewhere on the tape could hide beneath it.
	Masked bool
}

// The thresholds of sounds, in levels. A leak is looked for at 12 dB over the floor: 10 dB leave room for the floor's own
// swing, which over 10 ms of noise is about 1 dB.
const (
	onset  = 10 * decibels
	offset = 6 * decibels
	// masking is how far below the tape's speech a sound must begin, or speech could hide.
	masking = 6 * decibels
	// steadiness is how far the levels of a steady noise lie apart, between their tenth and their fortieth percentile.
	steadiness = 4 * decibels
)

// quietest is what each codec can tell from digital silence: some steps of its own.
func quietest(f wav.Format) Level {
	switch {
	case f.Codec == wav.PCM && f.Bits == 8:
		return LevelOf(-48) // half a step of 256
	case f.Codec == wav.PCM:
		return LevelOf(-78)
	}
	return LevelOf(-72) // half a step of 16, A-law's smallest
}

// Ground judges the stretch of channel c of the tape that lies in the region's frames from a to b.
func (t *Tape) Ground(r *Region, c, a, b int) Ground {
	a, b = max(a, 0), min(b, len(r.Channels[c].Levels))
	g := Ground{Kind: Unsteady}
	floor := t.Channels[c].Floor
	if a < b {
		levels := slices.Clone(r.Channels[c].Levels[a:b])
		slices.Sort(levels)
		at := func(part int) Level { return levels[(len(levels)-1)*part/100] }
		switch {
		case at(15) == Digital:
			g.Kind = Nothing
		case at(40)-at(10) <= steadiness:
			g.Kind, g.Floor = Comfort, at(25)
			if floor != 0 && diff(g.Floor, floor) <= 3*decibels {
				g.Kind = Line
			}
			if hertz, ok := r.Channels[c].tone(a, b, 60); ok {
				g.Kind, g.Hertz = Hum, hertz
			}
		default:
			if g.Floor = at(10); floor != 0 {
				g.Floor = min(g.Floor, floor)
			}
		}
	}
	g = t.over(g, c)
	if a < b && g.Masked && g.Kind != Hum && r.Channels[c].mostly(Music, a, b) {
		g.Kind = Melody
	}
	return g
}

// Bare is the ground of channel c where nothing lies beneath: all that isn't nothing is heard.
func (t *Tape) Bare(c int) Ground { return t.over(Ground{Kind: Unsteady}, c) }

// over works out what is heard above a floor.
func (t *Tape) over(g Ground, c int) Ground {
	g.Floor = max(g.Floor, quietest(t.Format))
	g.On, g.Off = saturate(g.Floor, onset), saturate(g.Floor, offset)
	speech := t.Channels[c].Speech
	g.Masked = speech != 0 && int(g.On) > int(speech)-masking
	return g
}

func diff(a, b Level) Level { return max(a, b) - min(a, b) }

func saturate(l Level, by int) Level { return Level(min(int(l)+by, 255)) }

// Kind says what a sound is.
type Kind string

// The kinds. Only Sound and Touch may be what a caller says or keys in.
const (
	Sound Kind = "sound"      // it may be speech: whatever isn't known to be something else
	Touch Kind = "touch_tone" // a telephone's keys
	Tone  Kind = "tone"
	Music Kind = "music"
	Noise Kind = "noise" // steady
)

// Heard is a sound above the ground.
type Heard struct {
	Span
	Kind Kind
	// Peak is its loudest level, Mean that of its frames above the threshold.
	Peak, Mean Level
	Hertz      float64 // of a tone
}

const (
	leastSound = 3   // frames at or above On: fewer are a click
	joined     = 20  // frames of quiet that don't part two sounds of one kind
	longNoise  = 100 // frames from which on a steady noise is no part of speech
	longMusic  = 300
)

// Sounds are what is heard above the ground in channel c of the region, in order, in times on the tape.
func (r *Region) Sounds(c int, g Ground) []Heard {
	channel := &r.Channels[c]
	named := channel.named()
	var found []Heard
	for _, run := range channel.runs(0, len(channel.Levels), g.On, g.Off) {
		// Each stretch of the run that is of one kind.
		for a := run[0]; a < run[1]; {
			b := a + 1
			for b < run[1] && named[b].kind == named[a].kind {
				b++
			}
			if h, ok := channel.sound(a, b, named[a], g.On); ok {
				h.From += r.From
				h.To += r.From
				found = append(found, h)
			}
			a = b
		}
	}
	return join(found)
}

// sound is the stretch from a to b, if it is loud for long enough to be more than a click.
func (c *Close) sound(a, b int, n name, on Level) (Heard, bool) {
	h := Heard{Span: Span{time.Duration(a) * Frame, time.Duration(b) * Frame}, Kind: n.kind, Hertz: n.hertz}
	sum, loud := 0, 0
	for _, v := range c.Levels[a:b] {
		h.Peak = max(h.Peak, v)
		sum += int(v)
		if v >= on {
			loud++
		}
	}
	h.Mean = Level(sum / (b - a))
	return h, loud >= leastSound
}

// runs are the stretches from a to b that reach on, as far as they don't fall below off.
func (c *Close) runs(a, b int, on, off Level) (found [][2]int) {
	for i := a; i < b; i++ {
		if c.Levels[i] < off {
			continue
		}
		from, loud := i, 0
		for ; i < b && c.Levels[i] >= off; i++ {
			if c.Levels[i] >= on {
				loud++
			}
		}
		if loud >= leastSound {
			found = append(found, [2]int{from, i})
		}
	}
	return found
}

// name is what a frame is part of.
type name struct {
	kind  Kind
	hertz float64
}

// named says of each frame what it is part of, whatever its level: Sound unless it is known to be something else. What is named
// never lies within a stretch of Sound by chance: each other kind needs more of the same around it.
func (c *Close) named() []name {
	all := make([]name, len(c.Levels))
	for i := range all {
		all[i].kind = Sound
	}
	mark := func(a, b int, n name) {
		for i := max(a, 0); i < min(b, len(all)); i++ {
			all[i] = n
		}
	}
	for _, p := range plateaus(c.Levels, longNoise) {
		if c.toneless(p[0], p[1]) {
			mark(p[0], p[1], name{kind: Noise})
		}
	}
	c.music(mark)
	c.tones(mark)
	c.touches(mark)
	return all
}

// mostly reports whether more than half of the frames from a to b are of a kind.
func (c *Close) mostly(k Kind, a, b int) bool {
	of := 0
	for _, n := range c.named()[a:b] {
		if n.kind == k {
			of++
		}
	}
	return 2*of > b-a
}

// join makes one of sounds of one kind that follow closely.
func join(all []Heard) (joint []Heard) {
	last := map[Kind]int{}
	for _, h := range all {
		if i, ok := last[h.Kind]; ok && h.From-joint[i].To <= joined*Frame && (h.Kind != Tone || abs(h.Hertz-joint[i].Hertz) < 20) {
			j := &joint[i]
			x, y := float64(frames(j.Length())), float64(frames(h.Length()))
			j.Mean = Level((float64(j.Mean)*x + float64(h.Mean)*y) / (x + y))
			j.To, j.Peak = max(j.To, h.To), max(j.Peak, h.Peak)
			continue
		}
		last[h.Kind] = len(joint)
		joint = append(joint, h)
	}
	return joint
}

func abs(x float64) float64 { return max(x, -x) }

// heard are the tunes of blocks whose middle lies in the frames from a to b.
func (c *Close) heard(a, b int) []tune {
	if c.hop == 0 {
		return nil
	}
	const middle = blockSize / hopSize / 2 // in hops
	first, last := int(float64(a-c.first)/c.hop)-middle+1, int(float64(b-c.first)/c.hop)-middle
	first, last = max(first, 0), min(last, len(c.tunes))
	if first >= last {
		return nil
	}
	return c.tunes[first:last]
}

// frame is the frame at which a tune's block begins.
func (c *Close) frame(tune int) int { return c.first + int(float64(tune)*c.hop) }

// touches marks the keys of a telephone: twice the same in a row, and what lies between a key and the next.
func (c *Close) touches(mark func(a, b int, n name)) {
	end := -1 << 30
	for i := 1; i < len(c.tunes); i++ {
		if k := c.tunes[i].key; k == 0 || c.tunes[i-1].key != k {
			continue
		}
		a, b := c.frame(i-1), c.frame(i+2)
		if a-end < joined {
			a = end
		}
		mark(a, b, name{kind: Touch})
		end = b
	}
}

// tones marks tones that keep one pitch and one loudness for a tenth of a second. A voice does neither, and hums low.
func (c *Close) tones(mark func(a, b int, n name)) {
	const least = 7                                                                    // tunes, of 16 ms each
	pure := func(t tune) bool { return t.one >= 237 && t.key == 0 && t.pitch >= 3000 } // 93 %
	for i := 0; i < len(c.tunes); {
		if !pure(c.tunes[i]) {
			i++
			continue
		}
		j := i + 1
		// Against the one in the middle: the first and the last block reach beyond the tone.
		for j < len(c.tunes) && pure(c.tunes[j]) && near(c.tunes[j].pitch, c.tunes[(i+j)/2].pitch) {
			j++
		}
		if j-i >= least && c.even(i+2, j-2) {
			mark(c.frame(i), c.frame(j+1)+1, name{Tone, float64(c.tunes[(i+j)/2].pitch) / 10})
		}
		i = j
	}
}

// even reports whether the tunes from a to b are about equally loud.
func (c *Close) even(a, b int) bool {
	low, high := Level(255), Level(0)
	for _, t := range c.tunes[a:b] {
		low, high = min(low, t.level), max(high, t.level)
	}
	return high-low <= 2*decibels
}

// near reports whether two pitches are one, within half a percent.
func near(a, b uint16) bool { return int(a)*200 < int(b)*201 && int(a)*201 > int(b)*200 }

// music marks where the same few pitches are heard on and on, about equally loud, as in chords that are held: in most of two
// seconds around. Speech moves. Music with gaps passes for a sound that may be speech: better that than the other way round.
func (c *Close) music(mark func(a, b int, n name)) {
	if len(c.tunes) == 0 {
		return
	}
	const back = 10 // 160 ms: a voice's syllable is another by then
	wide := int(float64(perSecond) / c.hop)
	// How many tunes up to each are tonal, and held.
	tonal, held := make([]int, len(c.tunes)+1), make([]int, len(c.tunes)+1)
	for i, t := range c.tunes {
		tonal[i+1], held[i+1] = tonal[i], held[i]
		if t.five < 166 { // 65 %
			continue
		}
		tonal[i+1]++
		if i < back {
			continue
		}
		kept := 0
		for _, p := range t.peaks {
			for _, q := range c.tunes[i-back].peaks {
				if diff(Level(p), Level(q)) <= 1 {
					kept++
					break
				}
			}
		}
		if kept >= 2 {
			held[i+1]++
		}
	}
	for i := range c.tunes {
		a, b := max(i-wide, 0), min(i+wide, len(c.tunes))
		if n := b - a; n > wide && (tonal[b]-tonal[a])*100 >= 90*n && (held[b]-held[a])*100 >= 75*n && c.sustained(c.frame(a), c.frame(b)) {
			mark(c.frame(a), c.frame(b), name{kind: Music}) // what little isn't held belongs to it, or nobody can tell
		}
	}
}

// tone reports whether percent of a stretch is one tone, and which. Speech has tones of one pitch for a moment only, and none
// but a hum that is low.
func (c *Close) tone(a, b int, percent int) (hertz float64, ok bool) {
	tunes := c.heard(a, b)
	if len(tunes) < 3 {
		return 0, false
	}
	pitches := make([]int, 0, len(tunes))
	for _, t := range tunes {
		if t.one >= 216 && t.key == 0 { // 85 %
			pitches = append(pitches, int(t.pitch))
		}
	}
	if len(pitches) == 0 {
		return 0, false
	}
	slices.Sort(pitches)
	middle := pitches[len(pitches)/2]
	same := 0
	for _, p := range pitches {
		if p*100 > middle*99 && p*100 < middle*101 {
			same++
		}
	}
	return float64(middle) / 10, middle >= 3000 && same*100 >= percent*len(tunes)
}

// toneless reports whether next to nothing in a stretch has a pitch, as in noise.
func (c *Close) toneless(a, b int) bool {
	tunes := c.heard(a, b)
	without := 0
	for _, t := range tunes {
		if t.five < 178 { // 70 %
			without++
		}
	}
	return len(tunes) > 0 && without*100 >= 85*len(tunes)
}

// sustained reports whether a stretch has no syllables: a voice falls between them, by more than 5 dB even where it drones.
func (c *Close) sustained(a, b int) bool {
	levels := slices.Clone(c.Levels[a:min(b, len(c.Levels))])
	if len(levels) == 0 {
		return false
	}
	slices.Sort(levels)
	return levels[len(levels)*9/10]-levels[len(levels)/10] <= 5*decibels
}

// Plateau is a stretch of a region in which all channels together keep one low level: what a pause looks like on a tape.
type Plateau struct {
	Span
	Level Level
	// AfterTone and BeforeTone say that a tone bounds it, which may be the platform's own: then that end isn't the silence's.
	AfterTone, BeforeTone bool
}

// leastPlateau is the shortest that is told, in frames.
const leastPlateau = 30

// Plateaus are those of a region, in order. They end where the level leaves their own by more than 4 dB for more than 30 ms.
func (r *Region) Plateaus() (found []Plateau) {
	levels, toned := r.loudest(), r.toned()
	at := func(i int) bool { return i >= 0 && i < len(toned) && toned[i] }
	for _, p := range plateaus(levels, leastPlateau) {
		sum := 0
		for _, v := range levels[p[0]:p[1]] {
			sum += int(v)
		}
		l := Level(sum / (p[1] - p[0]))
		if levels[p[0]] == Digital {
			l = Digital
		}
		found = append(found, Plateau{Span{r.From + time.Duration(p[0])*Frame, r.From + time.Duration(p[1])*Frame}, l, at(p[0] - 4), at(p[1] + 3)})
	}
	return found
}

// plateaus are the stretches of at least so many frames that keep one level.
func plateaus(levels []Level, least int) (found [][2]int) {
	const band, unrest = 4 * decibels, 3
	for i := 0; i < len(levels); {
		sum, n, away := int(levels[i]), 1, 0
		j := i + 1
		for ; j < len(levels) && away < unrest; j++ {
			mean := Level(sum / n)
			near := diff(levels[j], mean) <= band
			if mean == Digital || levels[j] == Digital {
				near = levels[j] == mean
			}
			if !near {
				away++
				continue
			}
			away = 0
			sum, n = sum+int(levels[j]), n+1
			if n > 50 { // follow slowly
				sum, n = sum-sum/n, n-1
			}
		}
		if end := j - away; end-i >= least {
			found = append(found, [2]int{i, end})
			i = end
			continue
		}
		i++
	}
	return found
}

// toned reports of each frame whether it is part of a tone in some channel.
func (r *Region) toned() []bool {
	toned := make([]bool, len(r.Channels[0].Levels))
	mark := func(a, b int, _ name) {
		for i := max(a, 0); i < min(b, len(toned)); i++ {
			toned[i] = true
		}
	}
	for c := range r.Channels {
		r.Channels[c].tones(mark)
	}
	return toned
}

// loudest is the level of the loudest channel in each frame.
func (r *Region) loudest() []Level {
	levels := slices.Clone(r.Channels[0].Levels)
	for _, c := range r.Channels[1:] {
		for i, v := range c.Levels {
			levels[i] = max(levels[i], v)
		}
	}
	return levels
}
