package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/evidence/silence"
)

// ItemKind says what an item is about.
type ItemKind string

// The kinds.
const (
	OfWindow  ItemKind = "pause"   // a pause of the log, and what the tape shows of it
	OfSilence ItemKind = "silence" // a silence of the tape, and no pause of the log
	OfFocus   ItemKind = "focus"   // a card field that had the focus, and no pause that worked
)

// Item is one finding, as it is kept.
type Item struct {
	ID       string    `json:"id"`
	Subject  string    `json:"subject"` // the attempt that it is about; of a silence its own id
	Kind     ItemKind  `json:"kind"`
	Platform string    `json:"platform"`
	Agent    string    `json:"agent"` // an email address
	Call     string    `json:"call,omitempty"`
	At       time.Time `json:"at"` // by our clock: when the pause was known to be in effect, the silence began, the field had the focus
	// Certainty is the outcome of the pause; From and To are when it took effect and was over.
	Certainty recording.Outcome `json:"certainty,omitempty"`
	From      Bounds            `json:"from,omitzero"`
	To        Bounds            `json:"to,omitzero"` // zero if only the call's end ended it
	Attempts  []Attempt         `json:"attempts,omitempty"`
	Recording Recording         `json:"recording,omitzero"`
	Finding
	// May is where on the tape the window may lie at all.
	May   silence.Span `json:"may,omitzero"`
	Close *Closeup     `json:"close,omitempty"`
	// Final says that looking again would find the same.
	Final     bool      `json:"final"`
	Run       string    `json:"run"`
	CheckedAt time.Time `json:"checked_at"`
	AlertedAt time.Time `json:"alerted_at,omitzero"`
	DeletedAt time.Time `json:"deleted_at,omitzero"` // when its recording was deleted
}

// identify gives an item an id that is the same when the same is found again.
func (i *Item) identify() {
	about := []string{string(i.Kind), i.Platform, i.Subject, i.Recording.Name}
	if i.Kind == OfSilence {
		about[2] = i.Window.From.String()
	}
	sum := sha256.Sum256([]byte(strings.Join(about, "\x00")))
	i.ID = hex.EncodeToString(sum[:10])
	if i.Kind == OfSilence {
		i.Subject = i.ID
	}
}

// Tape is a recording that was listened to, as it is kept.
type Tape struct {
	Platform  string            `json:"platform"`
	Agent     string            `json:"agent"`
	Recording Recording         `json:"recording"`
	Format    string            `json:"format"`
	Duration  time.Duration     `json:"duration"`
	Damage    []string          `json:"damage,omitempty"`
	Silences  []silence.Silence `json:"silences,omitempty"`
	Floors    []float64         `json:"floors,omitempty"` // of each channel, dBFS
	Shift     Range             `json:"shift"`            // of the clocks
	Edges     int               `json:"edges"`
	Part      time.Duration     `json:"part"` // of the envelope
	CheckedAt time.Time         `json:"checked_at"`
	Envelopes [][]silence.Level `json:"-"`
}

// At is a moment of our clock on the tape, with what is known of the clocks.
func (t Tape) At(at time.Time) (on, uncertainty time.Duration) {
	return at.Sub(t.Recording.Start) + t.Shift.middle(), t.Shift.width() / 2
}

// item is what became of a window with one recording.
func (h *hearing) item(i int, platform string) Item {
	w, p := h.windows[i], h.placed[i]
	x := windowItem(w, platform)
	x.Recording, x.Finding = h.recording, h.findings[i]
	x.Final = true
	if h.tape != nil {
		x.May = p.span(h.alignment.Range, h.tape.Duration)
		x.Close = closeup(p.region, x.May)
	}
	x.identify()
	return x
}

func windowItem(w *Window, platform string) Item {
	return Item{Kind: OfWindow, Subject: w.Pause, Platform: platform, Agent: w.Agent.Email, Call: w.Call, At: w.From.Latest, Certainty: w.Certainty,
		From: w.From, To: w.To, Attempts: w.Attempts}
}

// record is what is kept of the recording.
func (h *hearing) record(platform, agent string) Tape {
	t := Tape{Platform: platform, Agent: agent, Recording: h.recording, Format: h.tape.Format.String(), Duration: h.tape.Duration, Silences: h.tape.Silences,
		Shift: h.alignment.Range, Edges: h.alignment.Edges}
	for _, d := range h.tape.Damage {
		t.Damage = append(t.Damage, d.String())
	}
	for _, c := range h.tape.Channels {
		t.Floors = append(t.Floors, c.Floor.DBFS())
		t.Envelopes, t.Part = append(t.Envelopes, c.Envelope), c.Part
	}
	return t
}

// Silences that no pause explains are told from these lengths on. People are silent for long, too; a line never is altogether.
const (
	longSilence    = 15 * time.Second
	digitalSilence = 2 * time.Second
)

// unexplained are the tape's long silences that lie in none of the windows.
func (h *hearing) unexplained(platform, agent string) (items []Item) {
	// Where the gaps between the words are digital silence, too, it tells nothing.
	telling := h.tape.Nothings <= 4*len(h.windows)+8
	for _, s := range h.tape.Silences {
		part, what := s.Span, fmt.Sprintf("%s of silence", millis(s.Length()))
		switch {
		case telling && s.Digital.Length() >= digitalSilence:
			part, what = s.Digital, fmt.Sprintf("%s of digital silence", millis(s.Digital.Length()))
		case s.Length() < longSilence:
			continue
		}
		if slices.ContainsFunc(h.placed, func(p placed) bool { return p.span(h.alignment.Range, h.tape.Duration).Overlap(part).Length() > 0 }) {
			continue
		}
		at := h.recording.Start.Add(part.From - h.alignment.middle())
		x := Item{Kind: OfSilence, Platform: platform, Agent: agent, At: at, Recording: h.recording, Final: true, May: part,
			Finding: Finding{Verdict: Unexplained, Window: part, Checked: part, Uncertainty: h.alignment.width() / 2, Edges: h.alignment.Edges,
				Reason: what + " that no pause of the log explains: it may have been paused in the platform's own screen, or the caller was on hold."}}
		x.identify()
		items = append(items, x)
	}
	return items
}
