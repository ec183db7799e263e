package dispatch

import (
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"offrecord/app/recording"
)

// Request is an announcement of an attempt by the session route. It is comparable: the same id with an equal request is the
// same attempt.
type Request struct {
	ID        string // a UUID in its canonical form
	Action    recording.Action
	Transport recording.Transport
	Origin    recording.Origin // Hand if empty
	Reason    string
	Call      string
	// RequestedAt is the browser's time in RFC 3339, for an attempt that was kept while the server was away; empty for now.
	RequestedAt string
	// WithoutRecord says that a resume goes, or went, although it can't be written down: the agent asked for that after a
	// refusal.
	WithoutRecord bool
	// For is how long a pause is to last at most; 0: as long as the account lets it.
	For time.Duration
}

const (
	maxReason = 200 // bytes
	maxCall   = 128 // bytes
	// maxKept is how long a browser may keep an announcement.
	maxKept = 24 * time.Hour
	// maxAhead is how far a browser's clock may run ahead of ours; within it the time is taken for now.
	maxAhead = 5 * time.Minute
)

var trigger = regexp.MustCompile(`^trigger:[a-z0-9][a-z0-9._-]{0,63}$`)

func (r Request) check(now time.Time) (Request, error) {
	if r.Action != recording.Pause && r.Action != recording.Resume {
		return r, InvalidError("action must be pause or resume.")
	}
	if r.Transport != recording.TransportIframe && r.Transport != recording.TransportPopup {
		return r, InvalidError("transport must be iframe or popup.")
	}
	if r.Origin == "" {
		r.Origin = recording.Hand
	}
	if err := checkCommon(r.ID, r.Origin, r.Call, r.Reason); err != nil {
		return r, err
	}
	if r.RequestedAt != "" {
		at, err := time.Parse(time.RFC3339Nano, r.RequestedAt)
		switch {
		case err != nil:
			return r, InvalidError("requested_at must be a time as RFC 3339 writes it.")
		case at.After(now.Add(maxAhead)):
			return r, InvalidError("requested_at is in the future: set this computer's clock.")
		case at.Before(now.Add(-maxKept)):
			return r, InvalidError("requested_at is more than 24 hours ago: it can't be recorded any more.")
		}
	}
	return r, nil
}

// attempt is the attempt that a checked request asks for.
func (r Request) attempt(agent Agent, now time.Time) recording.Attempt {
	at := now
	if kept, err := time.Parse(time.RFC3339Nano, r.RequestedAt); err == nil && kept.Before(now) {
		at = kept.UTC()
	}
	return recording.Attempt{ID: r.ID, Action: r.Action, Agent: agent.Email, Platform: agent.Platform, Call: r.Call, Route: recording.RouteSession,
		Transport: r.Transport, Origin: r.Origin, Reason: r.Reason, RequestedAt: at}
}

// IsID reports whether s is a UUID in its canonical form.
func IsID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// NewID is an id for an attempt whose asker brought none.
func NewID() string { return uuid.NewString() }

func checkText(name, text string, limit int) error {
	if len(text) > limit {
		return InvalidError(fmt.Sprintf("%s is too long: at most %d bytes.", name, limit))
	}
	if !utf8.ValidString(text) {
		return InvalidError(name + " must be valid UTF-8.")
	}
	for _, r := range text {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return InvalidError(name + " must be one line of plain text.")
		}
	}
	return nil
}

// Report is what a browser saw of an attempt.
type Report struct {
	Outcome  recording.Outcome
	Evidence *recording.Evidence // nil only with Attested
}

// reportable are the outcomes that a browser may report, DESIGN's list.
var reportable = []recording.Outcome{recording.Sent, recording.Accepted, recording.Failed, recording.Denied, recording.Unknown, recording.Attested}

// seen are the kinds of evidence that a browser can have.
var seen = []recording.EvidenceKind{recording.FrameLoad, recording.PopupClosed, recording.PopupOpen, recording.CSP, recording.Blocked, recording.Held, recording.Offline,
	recording.Status, recording.Silence}

func (r Report) check() error {
	if r.Outcome == recording.Confirmed {
		return ErrNotYours
	}
	if !slices.Contains(reportable, r.Outcome) {
		return InvalidError("outcome must be sent, accepted, failed, denied, unknown or attested.")
	}
	e := r.Evidence
	if e == nil {
		if r.Outcome == recording.Attested {
			return nil
		}
		return InvalidError("evidence is missing: say what was seen.")
	}
	if !slices.Contains(seen, e.Kind) && (e.Kind != recording.Word || r.Outcome != recording.Attested) {
		return InvalidError("evidence.kind is unknown: use frame_load, popup_closed, popup_open, csp, blocked, held, offline, status or silence.")
	}
	if e.AfterMS < 0 || time.Duration(e.AfterMS)*time.Millisecond > maxKept {
		return InvalidError("evidence.after_ms must be the milliseconds from the request to what was seen.")
	}
	if e.HTTPStatus != 0 && (e.HTTPStatus < 100 || e.HTTPStatus > 599) {
		return InvalidError("evidence.http_status must be an HTTP status code.")
	}
	// A frame's load fires for every answer and for none, so it supports nothing beyond sent.
	if r.Outcome == recording.Accepted && e.Kind != recording.PopupClosed && (e.Kind != recording.Status || e.HTTPStatus/100 != 2) {
		return InvalidError("accepted needs a popup that closed itself or a 2xx status that was read.")
	}
	return nil
}

// evidence is what is kept: an agent's word is nothing that a browser saw.
func (r Report) evidence() *recording.Evidence {
	if r.Outcome != recording.Attested {
		return r.Evidence
	}
	word := recording.Evidence{Kind: recording.Word}
	if r.Evidence != nil {
		word.AfterMS = r.Evidence.AfterMS
	}
	return &word
}

// detail is the sentence that a person reads.
func (r Report) detail(action recording.Action) string {
	var kind recording.EvidenceKind
	if r.Evidence != nil {
		kind = r.Evidence.Kind
	}
	switch r.Outcome {
	case recording.Attested:
		return "The agent says it was done in the platform's own screen."
	case recording.Sent:
		return "The request left the browser; whether it worked can't be seen."
	case recording.Accepted:
		return fmt.Sprintf("The platform took the %s; it doesn't say whether it worked.", action)
	case recording.Denied:
		return "The platform refused: log in to it again in this browser."
	case recording.Failed:
		switch kind {
		case recording.CSP:
			return "This page's security policy kept the request from leaving: ask who runs this server."
		case recording.Blocked:
			return "The browser blocked the small window: allow pop-ups for this site."
		case recording.Held:
			return "The panel held it back, so nothing was sent."
		case recording.PopupClosed:
			return "The small window was closed before anything was sent."
		case recording.FrameLoad:
			return "This computer didn't reach the platform, so nothing was sent."
		case recording.Offline:
			return "This computer was offline, so nothing was sent."
		}
		return "It is known not to have worked."
	}
	switch kind {
	case recording.PopupOpen:
		return "The platform's window stayed open: read there what it says."
	case recording.FrameLoad:
		return "The platform couldn't be reached just afterwards."
	case recording.CSP:
		return "The platform pointed to another page: look whether the agent is signed in to it."
	case recording.Silence:
		return "Nothing was heard of it in time."
	}
	return "Look in the platform's own screen."
}
