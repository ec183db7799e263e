package evidence

import (
	"fmt"
	"strings"
	"time"

	"offrecord/web/evidence/silence"
)

// Closeup is a stretch of a tape in detail.
type Closeup struct {
	From   time.Duration     `json:"from"`
	Part   time.Duration     `json:"part"` // what each level stands for
	Levels [][]silence.Level `json:"levels"`
}

const (
	closeupAround = 3 * time.Second // before and after the window
	closeupMost   = 1200            // levels of a channel
)

// closeup is the neighbourhood of a window, from what was listened to closely.
func closeup(r *silence.Region, may silence.Span) *Closeup {
	if r == nil {
		return nil
	}
	s := silence.Span{From: may.From - closeupAround, To: may.To + closeupAround}.Overlap(r.Span)
	n := int(s.Length() / silence.Frame)
	if n <= 0 {
		return nil
	}
	each := (n + closeupMost - 1) / closeupMost
	c := &Closeup{From: s.From, Part: time.Duration(each) * silence.Frame}
	first := int((s.From - r.From) / silence.Frame)
	for i := range r.Channels {
		all := r.Channels[i].Levels
		var out []silence.Level
		for at := first; at < min(first+n, len(all)); at += each {
			loudest := silence.Digital
			for _, l := range all[at:min(at+each, first+n, len(all))] {
				loudest = max(loudest, l)
			}
			out = append(out, loudest)
		}
		c.Levels = append(c.Levels, out)
	}
	return c
}

// Wave is a picture of how loud a stretch of a tape is, in units of its own.
type Wave struct {
	Width, Height int
	Top, Bottom   int // of the lanes
	Lanes         []Lane
	Bands         []Band
	Ticks         []Tick
}

// Lane is one channel: how loud it is from moment to moment.
type Lane struct {
	Y, Height, Middle int
	Path              string // of an SVG
	Name              string // empty where there is one only
}

// Band is a marked stretch.
type Band struct {
	Kind    string // pause, checked, silence, leak, other, attempt
	X, W    float64
	Y, H    int
	Label   string
	LabelAt float64
}

// Tick is a moment on the time axis.
type Tick struct {
	X    float64
	Text string
}

// The picture's measures.
const (
	waveWidth = 960
	laneHigh  = 88
	headHigh  = 22 // for labels
	axisHigh  = 24
	quietDraw = -72 // dBFS, at which nothing is drawn any more
)

// Mark is a stretch to be marked in a picture.
type Mark struct {
	silence.Span
	Kind    string
	Channel int // from 1; 0 for all
	Label   string
}

// Draw makes the picture of a stretch from the levels of its channels, each of which stands for part.
func Draw(over silence.Span, levels [][]silence.Level, part time.Duration, marks []Mark) Wave {
	w := Wave{Width: waveWidth, Top: headHigh, Bottom: headHigh + len(levels)*laneHigh}
	w.Height = w.Bottom + axisHigh
	length := max(over.Length(), time.Millisecond)
	x := func(t time.Duration) float64 {
		at := float64(t-over.From) / float64(length) * waveWidth
		return float64(int(min(max(at, 0), waveWidth)*100)) / 100
	}
	for c, all := range levels {
		lane := Lane{Y: headHigh + c*laneHigh, Height: laneHigh}
		lane.Middle = lane.Y + laneHigh/2
		if len(levels) > 1 {
			lane.Name = fmt.Sprintf("channel %d", c+1)
		}
		lane.Path = path(all, part, length, lane.Middle)
		w.Lanes = append(w.Lanes, lane)
	}
	for _, m := range marks {
		s := m.Overlap(over)
		if m.To < over.From || m.From > over.To {
			continue
		}
		b := Band{Kind: m.Kind, X: x(s.From), Y: w.Top, H: w.Bottom - w.Top, Label: m.Label}
		b.W = max(x(s.To)-b.X, 1)
		if m.Channel > 0 && m.Channel <= len(w.Lanes) {
			b.Y, b.H = w.Lanes[m.Channel-1].Y, laneHigh
		}
		b.LabelAt = min(max(b.X, 8), waveWidth-8)
		w.Bands = append(w.Bands, b)
	}
	for _, at := range ticks(over) {
		t := Tick{X: x(at)}
		if t.X < waveWidth-44 {
			t.Text = tick(at, length)
		}
		w.Ticks = append(w.Ticks, t)
	}
	return w
}

// path draws bars from a middle line, as many as there is room for; a level of nothing is a point on the line.
func path(all []silence.Level, part, length time.Duration, middle int) string {
	var b strings.Builder
	bars := min(int(length/part)+1, waveWidth/2)
	for k := range bars {
		from := int(time.Duration(k) * length / time.Duration(bars) / part)
		to := max(int(time.Duration(k+1)*length/time.Duration(bars)/part), from+1)
		loudest := silence.Digital
		for _, l := range all[min(from, len(all)):min(to, len(all))] {
			loudest = max(loudest, l)
		}
		high := 0.0
		if loudest != silence.Digital {
			high = max((loudest.DBFS()-quietDraw)/-quietDraw, 0) * (laneHigh/2 - 4)
		}
		at := (float64(k) + 0.5) / float64(bars) * waveWidth
		fmt.Fprintf(&b, "M%.1f %.1fV%.1f", at, float64(middle)-max(high, 0.4), float64(middle)+max(high, 0.4))
	}
	return b.String()
}

// ticks are about eight round moments.
func ticks(over silence.Span) (all []time.Duration) {
	step := 100 * time.Millisecond
	for _, s := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute,
		2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour} {
		if over.Length()/step <= 9 {
			break
		}
		step = s
	}
	for at := (over.From + step - 1) / step * step; at <= over.To; at += step {
		all = append(all, at)
	}
	return all
}

func tick(t, length time.Duration) string {
	s := fmt.Sprintf("%d:%02d", t/time.Minute, t%time.Minute/time.Second)
	if length < 9*time.Second {
		s += fmt.Sprintf(".%d", t%time.Second/(100*time.Millisecond))
	}
	return s
}
