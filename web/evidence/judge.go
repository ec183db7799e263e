package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"offrecord/web/evidence/silence"
	"offrecord/web/evidence/wav"
)

// Sound is something heard in a window, in times on the tape.
type Sound struct {
	silence.Span
	Channel int          `json:"channel"` // from 1
	Kind    silence.Kind `json:"kind"`
	Peak    float64      `json:"peak_dbfs"`
	Mean    float64      `json:"mean_dbfs"`
	Over    float64      `json:"over_floor_db"` // the peak over the floor
	Hertz   float64      `json:"hertz,omitempty"`
	// Leak says that it may be what somebody said or keyed in.
	Leak bool `json:"leak"`
}

// Ground is what a channel's silence in a window is made of.
type Ground struct {
	Kind      silence.GroundKind `json:"kind"`
	Floor     float64            `json:"floor_dbfs"`
	Threshold float64            `json:"threshold_dbfs"` // from where on something counts as heard
	Hertz     float64            `json:"hertz,omitempty"`
}

// Finding is a verdict with all that it rests on. Times on the tape are from its beginning.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"` // one sentence
	// Window is where on the tape the window lies by the middle of what is known of the clocks, and Uncertainty how far that
	// may be off, to either side.
	Window      silence.Span  `json:"window"`
	Uncertainty time.Duration `json:"uncertainty"`
	// Checked is the part of the tape that lies in the window whatever the clocks: nothing outside it was judged.
	Checked silence.Span `json:"checked"`
	Edges   int          `json:"edges"` // how many of the tape's own edges the clocks' difference was taken from
	Grounds []Ground     `json:"grounds,omitempty"`
	Sounds  []Sound      `json:"sounds,omitempty"`
	// Floating says that there is a leak wherever the window lies within what is known of the clocks, but not where exactly.
	Floating bool `json:"floating,omitempty"`
}

// Leaks are the sounds that make it audible.
func (f Finding) Leaks() []Sound {
	if f.Verdict != Audible {
		return nil
	}
	var leaks []Sound
	for _, s := range f.Sounds {
		if s.Leak {
			leaks = append(leaks, s)
		}
	}
	return leaks
}

const (
	// guard is left out at both ends of what is checked: two frames, in which a switch may click.
	guard = 30 * time.Millisecond
	// leastChecked is the shortest stretch that can be judged.
	leastChecked = 300 * time.Millisecond
	// leastLeak is how much of a sound has to lie in what is checked.
	leastLeak = 30 * time.Millisecond
	// covering is how long another sound may be that is as loud as speech and could hide some.
	covering = 300 * time.Millisecond
)

// judge says what the tape shows of a window. zeros says that other pauses on the tape hold nothing at all.
func judge(t *silence.Tape, p placed, a Alignment, zeros bool) Finding {
	f := Finding{Uncertainty: a.width() / 2, Edges: a.Edges, Verdict: NotCheckable}
	end := t.Duration
	// From the latest the pause took effect to the earliest the resume did: what the log claims, with the shift still open.
	claim := func(shift time.Duration) silence.Span {
		s := silence.Span{From: p.from.most + shift, To: end}
		if !p.open {
			s.To = p.to.least + shift
		}
		s.From = max(s.From, 0)
		return s
	}
	length := claim(a.middle()).Length()
	f.Window = claim(a.middle())
	f.Checked = silence.Span{From: claim(a.Most).From + guard, To: claim(a.Least).To - guard}
	f.Checked.From = max(f.Checked.From, guard) // a pause that began before the recording
	if p.open {
		f.Checked.To = end - guard
	}
	cut := slices.Contains(t.Damage, wav.Truncated) || slices.Contains(t.Damage, wav.Trailing) || slices.Contains(t.Damage, wav.Torn) || slices.Contains(t.Damage, wav.Again)
	switch {
	case f.Checked.From >= end:
		f.Checked = silence.Span{}
		f.Reason = "The recording's sound ends before the pause."
		if cut {
			f.Reason = fmt.Sprintf("The recording is damaged (%s), and what can be read ends before the pause.", damage(t.Damage))
		}
		return f
	case f.Checked.To > end && cut:
		f.Reason = fmt.Sprintf("The recording is damaged (%s), and what can be read ends within the pause.", damage(t.Damage))
		f.Checked.To = end
		return f
	}
	f.Checked.To = min(f.Checked.To, end)
	if length < leastChecked {
		f.Checked.To = max(f.Checked.To, f.Checked.From)
		f.Reason = fmt.Sprintf("It lasted %s only, too short to be told from its surroundings.", millis(length))
		return f
	}
	r := p.region
	if r == nil || len(r.Channels[0].Levels) == 0 {
		f.Reason = "The recording's sound ends before the pause."
		return f
	}

	// What lies beneath is judged where the window is quietest, so that a leak can't pass for the ground.
	quietest := quietestShift(r, claim, a.Range)
	ground := claim(quietest)
	var leaks []silence.Span
	masked, music := false, false
	var cover *Sound
	from, to := int((ground.From-r.From+guard)/silence.Frame), int((ground.To-r.From-guard)/silence.Frame)
	grounds := make([]silence.Ground, len(r.Channels))
	for c := range grounds {
		grounds[c] = t.Ground(r, c, from, to)
		zeros = zeros || grounds[c].Kind == silence.Nothing
	}
	for c, g := range grounds {
		if zeros && g.Kind == silence.Unsteady {
			g = t.Bare(c) // a leak that fills the pause would pass for what lies beneath
		}
		f.Grounds = append(f.Grounds, Ground{g.Kind, g.Floor.DBFS(), g.On.DBFS(), round(g.Hertz)})
		masked = masked || g.Masked
		all := r.Sounds(c, g)
		for _, h := range all {
			leak := h.Kind == silence.Sound || h.Kind == silence.Touch
			if leak {
				if clear := beside(h.Span, all); clear.Length() >= leastLeak {
					h.Span = clear
					leaks = append(leaks, h.Span)
				} else {
					leak, h.Kind = false, silence.Music
				}
			}
			s := Sound{Span: h.Span, Channel: c + 1, Kind: h.Kind, Peak: h.Peak.DBFS(), Mean: h.Mean.DBFS(), Over: h.Peak.DBFS() - g.Floor.DBFS(), Hertz: round(h.Hertz), Leak: leak}
			// Heard where it may lie in the window: what lies outside for sure is no news.
			may := silence.Span{From: claim(a.Least).From + guard, To: claim(a.Most).To - guard}
			in := s.Overlap(f.Checked).Length()
			if s.Leak && in < leastLeak {
				s.Leak = false
			}
			if s.Overlap(may).Length() < leastLeak {
				continue
			}
			if in > 0 {
				music = music || s.Kind == silence.Music
				if !leak && in >= covering && int(h.Mean) > int(t.Channels[c].Speech)-hiding(h.Kind) && t.Channels[c].Speech != 0 {
					cover = &s
				}
			}
			f.Sounds = append(f.Sounds, s)
		}
	}
	slices.SortStableFunc(f.Sounds, func(a, b Sound) int { return int(a.From - b.From) })

	if slices.ContainsFunc(f.Sounds, func(s Sound) bool { return s.Leak }) {
		f.Verdict = Audible
		// Beyond the checked part a sound isn't shown as a leak's.
		for i := range f.Sounds {
			if s := &f.Sounds[i]; s.Leak {
				s.Span = s.Overlap(f.Checked)
			}
		}
		f.Reason = "It is heard " + where(f) + "."
		return f
	}
	if always(leaks, claim, a.Range) {
		f.Verdict, f.Floating = Audible, true
		// Shown where it most likely is: by the middle of what is known of the clocks.
		for i := range f.Sounds {
			s := &f.Sounds[i]
			if in := s.Overlap(f.Window); (s.Kind == silence.Sound || s.Kind == silence.Touch) && in.Length() >= leastLeak {
				s.Span, s.Leak = in, true
			}
		}
		f.Reason = fmt.Sprintf("Nothing near it is silent for as long as the pause was, so something is heard wherever exactly it lies, which the clocks leave open by ±%s.", millis(f.Uncertainty))
		if f.Checked.Length() < leastChecked {
			f.Checked = silence.Span{}
		}
		return f
	}
	f.Sounds = slices.DeleteFunc(f.Sounds, func(s Sound) bool { return s.Overlap(f.Checked).Length() < leastLeak })
	switch {
	case f.Checked.Length() < leastChecked || f.Checked.Length() < length/2:
		f.Checked.To = max(f.Checked.To, f.Checked.From)
		f.Reason = fmt.Sprintf("The clocks leave ±%s open, which is too much for a pause of %s.", millis(f.Uncertainty), millis(length))
	case masked:
		f.Reason = fmt.Sprintf("%s lies over it: speech could hide beneath.", capital(loudGround(f.Grounds)))
	case music:
		f.Reason = "Music is heard in it: speech could hide beneath. The recording ran on, or the platform plays it."
	case cover != nil:
		f.Reason = fmt.Sprintf("%s of %s is heard in it for %s: speech could hide beneath.", capital(noun(cover.Kind, cover.Hertz)), decibel(cover.Mean), millis(cover.Length()))
	default:
		f.Verdict = Silent
		f.Reason = silentReason(f)
	}
	return f
}

// hiding is how far below a tape's speech a sound that isn't a leak has to be, in half decibels, or it could hide some: beneath
// a noise as loud as itself speech is no more than 3 dB, which a noise's own swing may be; in a tone it shows 11 dB below.
func hiding(k silence.Kind) int {
	if k == silence.Noise {
		return 20
	}
	return 12
}

// beside is what of a sound isn't next to music, whose beginning and end can't be told exactly.
func beside(s silence.Span, all []silence.Heard) silence.Span {
	const near = 300 * time.Millisecond
	for _, h := range all {
		if h.Kind != silence.Music {
			continue
		}
		if h.From <= s.From {
			s.From = max(s.From, h.To+near)
		} else {
			s.To = min(s.To, h.From-near)
		}
	}
	return s
}

// quietestShift is the shift with which least is heard in the window.
func quietestShift(r *silence.Region, claim func(time.Duration) silence.Span, known Range) time.Duration {
	// The sum of all channels' levels up to each frame.
	sums := make([]int64, 1, len(r.Channels[0].Levels)+1)
	for i := range r.Channels[0].Levels {
		sum := sums[i]
		for c := range r.Channels {
			v := int64(r.Channels[c].Levels[i])
			sum += v * v // a few loud frames count for more than many that are a little louder
		}
		sums = append(sums, sum)
	}
	at := func(d time.Duration) int { return min(max(int((d-r.From)/silence.Frame), 0), len(sums)-1) }
	best, least := known.middle(), int64(-1)
	step := max(silence.Frame, known.width()/2000)
	for shift := known.Least; shift <= known.Most; shift += step {
		s := claim(shift)
		if from, to := at(s.From), at(s.To); from < to {
			if sum := (sums[to] - sums[from]) * 1000 / int64(to-from); least < 0 || sum < least {
				best, least = shift, sum
			}
		}
	}
	return best
}

// always reports whether something leaks into the window with every shift that is possible.
func always(leaks []silence.Span, claim func(time.Duration) silence.Span, known Range) bool {
	if len(leaks) == 0 {
		return false
	}
	for shift := known.Least; shift <= known.Most; shift += silence.Frame {
		w := claim(shift)
		w.From, w.To = w.From+guard, w.To-guard
		if !slices.ContainsFunc(leaks, func(l silence.Span) bool { return l.Overlap(w).Length() >= leastLeak }) {
			return false
		}
	}
	return true
}

func silentReason(f Finding) string {
	all := true
	for _, g := range f.Grounds {
		all = all && g.Kind == silence.Nothing
	}
	var parts []string
	switch {
	case all:
		parts = append(parts, "Digital silence")
	default:
		for i, g := range f.Grounds {
			what := ground(g)
			if len(f.Grounds) > 1 {
				what += fmt.Sprintf(" in channel %d", i+1)
			}
			parts = append(parts, what)
		}
		parts[0] = capital(parts[0])
	}
	said := strings.Join(parts, ", ")
	var others []string
	for _, s := range f.Sounds {
		if !s.Leak {
			others = append(others, fmt.Sprintf("%s at %s", noun(s.Kind, s.Hertz), clock(s.From)))
		}
	}
	if len(others) > 3 {
		others = append(others[:3], "and more")
	}
	if len(others) > 0 {
		said += "; " + strings.Join(others, ", ")
	}
	said += "."
	if slices.ContainsFunc(f.Grounds, func(g Ground) bool { return g.Kind == silence.Line }) {
		said += " It is the noise of the line itself: nothing was said, but the tape can't show that it was paused."
	}
	return said
}

func ground(g Ground) string {
	switch g.Kind {
	case silence.Nothing:
		return "digital silence"
	case silence.Comfort:
		return "a steady noise of " + decibel(g.Floor)
	case silence.Line:
		return "the line's noise of " + decibel(g.Floor)
	case silence.Melody:
		return "music of " + decibel(g.Floor)
	case silence.Hum:
		return fmt.Sprintf("a tone of %.0f Hz and %s", g.Hertz, decibel(g.Floor))
	}
	return "nothing above " + decibel(g.Threshold)
}

func loudGround(all []Ground) string {
	loudest := all[0]
	for _, g := range all {
		if g.Floor > loudest.Floor {
			loudest = g
		}
	}
	return ground(loudest)
}

func noun(k silence.Kind, hertz float64) string {
	switch k {
	case silence.Touch:
		return "touch tones"
	case silence.Tone:
		return fmt.Sprintf("a tone of %.0f Hz", hertz)
	case silence.Music:
		return "music"
	case silence.Noise:
		return "a steady noise"
	}
	return "sound"
}

// where lists the leaks for a person.
func where(f Finding) string {
	var parts []string
	loudest := Sound{Peak: -200}
	total := time.Duration(0)
	for _, s := range f.Leaks() {
		total += s.Length()
		if s.Peak > loudest.Peak {
			loudest = s
		}
		if len(parts) < 3 {
			what := ""
			if s.Kind == silence.Touch {
				what = " (touch tones)"
			}
			parts = append(parts, fmt.Sprintf("from %s to %s%s", clock(s.From), clock(s.To), what))
		}
	}
	if n := len(f.Leaks()); n > len(parts) {
		parts = append(parts, fmt.Sprintf("and %d more times", n-len(parts)))
	}
	return fmt.Sprintf("%s, %s in all, at most %s, %.0f dB over the floor", strings.Join(parts, ", "), millis(total), decibel(loudest.Peak), loudest.Over)
}

func damage(all []wav.Damage) string {
	var said []string
	for _, d := range all {
		said = append(said, d.String())
	}
	return strings.Join(said, "; ")
}

// clock is a time on a tape: minutes, seconds and milliseconds.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(time.Millisecond)
	return fmt.Sprintf("%s%d:%02d.%03d", sign, d/time.Minute, d%time.Minute/time.Second, d%time.Second/time.Millisecond)
}

func millis(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

func decibel(x float64) string { return fmt.Sprintf("%.0f dBFS", x) }

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func round(x float64) float64 { return float64(int(x + 0.5)) }
