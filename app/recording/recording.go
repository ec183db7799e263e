// Package recording is the vocabulary and the rules of a recording that is paused and resumed: actions, outcomes, states,
// holds, and the timeline that derives what may be said of an agent's recording from what was asked and what was seen.
//
// The browser's program and the server share it, so that both tell the same truth. It has no side effects, no clock of its
// own and no knowledge of any platform; it may not import anything outside the standard library.
package recording

import (
	"fmt"
	"time"
)

// Action is what an agent asks for. Every action is idempotent: asking twice has the effect of asking once, so a repeated
// request (a browser repeats one when a connection drops) can never turn a pause into a resume.
type Action string

// The actions. Pause and Resume exist on every platform; the others only where the platform has them.
const (
	Pause       Action = "pause"
	Resume      Action = "resume"
	Start       Action = "start"         // NICE CXone start-recording-on-demand
	Stop        Action = "stop"          // NICE CXone stop-recording-on-demand
	Mask        Action = "mask"          // NICE CXone mask: the tape goes on, its content is blanked
	Unmask      Action = "unmask"        // NICE CXone unmask
	DoNotRecord Action = "do_not_record" // the customer declined; can't be undone for this contact
)

// ParseAction returns the action called s, or an error that lists what there is.
func ParseAction(s string) (Action, error) {
	switch a := Action(s); a {
	case Pause, Resume, Start, Stop, Mask, Unmask, DoNotRecord:
		return a, nil
	}
	return "", fmt.Errorf("unknown action %q: use pause, resume, start, stop, mask, unmask or do_not_record", s)
}

// Silences reports whether the action is meant to keep what follows off the recording.
func (a Action) Silences() bool {
	return a == Pause || a == Stop || a == Mask || a == DoNotRecord
}

// Transitional is the state while the action is under way.
func (a Action) Transitional() State {
	if a.Silences() {
		return Pausing
	}
	return Resuming
}

// Effect is the state once the platform has reported the action's effect.
func (a Action) Effect() State {
	switch a {
	case Pause, Mask:
		return Paused
	case Stop:
		return Stopped
	case DoNotRecord:
		return Declined
	default:
		return Recording
	}
}

// Outcome is what is known of an attempt. The zero value means that nothing is known yet.
type Outcome string

// The outcomes. Only Confirmed says that the platform reported the effect; none of the others may be shown as paused.
const (
	Pending    Outcome = ""            // asked for, nothing known yet
	Confirmed  Outcome = "confirmed"   // the platform reported the effect
	Accepted   Outcome = "accepted"    // the platform took the request; the effect wasn't seen
	Sent       Outcome = "sent"        // it left the browser; nothing else can be known
	NoCall     Outcome = "no_call"     // there was no active call to act on
	NotEnabled Outcome = "not_enabled" // recording isn't enabled for this agent
	Locked     Outcome = "locked"      // the call was locked by an earlier request until the deadline
	Denied     Outcome = "denied"      // the platform refused the credentials or the session
	NotFound   Outcome = "not_found"   // the platform doesn't know this agent
	Failed     Outcome = "failed"      // known not to have worked
	Unknown    Outcome = "unknown"     // may or may not have worked
	Superseded Outcome = "superseded"  // a newer intention, or a live hold, made it moot
	Attested   Outcome = "attested"    // the agent says it was done in the platform's own screen
)

// ParseOutcome returns the outcome called s. The empty string isn't one.
func ParseOutcome(s string) (Outcome, error) {
	switch o := Outcome(s); o {
	case Confirmed, Accepted, Sent, NoCall, NotEnabled, Locked, Denied, NotFound, Failed, Unknown, Superseded, Attested:
		return o, nil
	}
	return "", fmt.Errorf("unknown outcome %q", s)
}

// KeepsState reports whether the outcome is known to have changed nothing on the platform.
func (o Outcome) KeepsState() bool {
	switch o {
	case Failed, Denied, Locked, NotFound, NotEnabled, Superseded:
		return true
	}
	return false
}

// State is an agent's recording as far as it is known.
type State string

// The states. Paused, Stopped, Declined and Recording are only ever reached by a Confirmed outcome.
const (
	Recording    State = "recording"
	Pausing      State = "pausing"
	Paused       State = "paused"
	Resuming     State = "resuming"
	Stopped      State = "stopped"
	Declined     State = "declined"
	StateUnknown State = "unknown"
	Idle         State = "idle" // no call
)

// OffTape reports whether the state says that the platform itself reported the tape as silent.
func (s State) OffTape() bool { return s == Paused || s == Stopped || s == Declined }

// Route is how an action reaches the platform.
type Route string

// The routes.
const (
	RouteSession Route = "session" // from the agent's own browser, with the platform's cookie
	RouteServer  Route = "server"  // from the backend, with the platform's API
)

// Transport is how the session route carries an action. The server route has none.
type Transport string

// The transports.
const (
	TransportAuto   Transport = "auto"   // a setting, never an attempt's: choose by what is known of the browser
	TransportIframe Transport = "iframe" // a hidden frame: its load proves nothing
	TransportPopup  Transport = "popup"  // a small window: that it closed itself is the only signal there is
)

// EvidenceKind names what was seen that supports an outcome.
type EvidenceKind string

// What a browser can see of the session route, and what the server route sees.
const (
	FrameLoad   EvidenceKind = "frame_load"   // a hidden frame fired load, which happens for every answer and for none
	PopupClosed EvidenceKind = "popup_closed" // the popup's closed became true
	PopupOpen   EvidenceKind = "popup_open"   // the popup was still open when its time was up
	CSP         EvidenceKind = "csp"          // a securitypolicyviolation named the platform: nothing was sent
	Blocked     EvidenceKind = "blocked"      // the browser refused to open the popup
	Held        EvidenceKind = "held"         // the panel held it back itself, so nothing was sent
	Offline     EvidenceKind = "offline"      // the browser had no network
	Status      EvidenceKind = "status"       // an HTTP status was readable
	Word        EvidenceKind = "word"         // the agent's own word, for attested
	Reported    EvidenceKind = "reported"     // the platform's own answer named the effect
	ReadBack    EvidenceKind = "read_back"    // the platform's status was read after the action
	Silence     EvidenceKind = "silence"      // nothing was heard by the deadline
)

// Evidence is what was seen of an attempt.
type Evidence struct {
	Kind EvidenceKind `json:"kind"`
	// AfterMS is the time from the request to the observation, in milliseconds.
	AfterMS int `json:"after_ms"`
	// HTTPStatus is the status code, where one was readable.
	HTTPStatus int `json:"http_status,omitempty"`
}

// Origin says who holds a pause: the agent's hand, a trigger ("trigger:card-field") or a link.
type Origin string

// The origins that need no further name. A trigger's origin is "trigger:" and its name.
const (
	Hand Origin = "hand"
	Link Origin = "link"
	// Timer is the server itself, which resumes at the end of a pause's time. Nobody asks in its name.
	Timer Origin = "timer"
)

// ReasonDeclined is the reason of a pause that stands for the customer's refusal, where there is nothing stronger: it has no
// time.
const ReasonDeclined = "customer declined"

// Attempt is one action asked for once. Its JSON is the one of the public API.
type Attempt struct {
	ID             string     `json:"id"` // a UUID, made by who asks
	Action         Action     `json:"action"`
	SentAs         Action     `json:"sent_as,omitempty"` // what the platform was told, where that isn't Action: a pause may be a mask
	By             string     `json:"by,omitempty"`      // the supervisor who asked, where it wasn't the agent
	Agent          string     `json:"agent"`             // the agent's email address
	Platform       string     `json:"platform"`          // the platform's name in the configuration
	Call           string     `json:"call,omitempty"`
	Route          Route      `json:"route"`
	Transport      Transport  `json:"transport,omitempty"`
	Origin         Origin     `json:"origin"`
	Reason         string     `json:"reason,omitempty"`
	Outcome        Outcome    `json:"outcome"`
	Evidence       *Evidence  `json:"evidence,omitempty"`
	State          State      `json:"state"`            // the agent's state as this attempt left it
	Detail         string     `json:"detail,omitempty"` // one sentence for a person
	PlatformStatus string     `json:"platform_status,omitempty"`
	RequestedAt    time.Time  `json:"requested_at"`
	DecidedAt      *time.Time `json:"decided_at,omitempty"` // nil while the outcome may still change
	// AutoResumeAt is when a pause's own time is up; nil if it has none. The open pause's time may be another: that of the
	// pause that opened it, with its extensions.
	AutoResumeAt *time.Time `json:"auto_resume_at,omitempty"`
}

// Declines reports whether the attempt is the customer's refusal to be recorded, as a pause where there is nothing stronger.
func (a Attempt) Declines() bool {
	return a.Action == DoNotRecord || a.Action == Pause && a.Reason == ReasonDeclined
}

// Unsent reports whether it was called off before anything of it went to the platform.
func (a Attempt) Unsent() bool { return a.Outcome == Superseded && a.Evidence == nil }

// Effect is the state once the platform has reported that the attempt had its effect.
func (a Attempt) Effect() State {
	if a.SentAs != "" {
		return a.SentAs.Effect()
	}
	return a.Action.Effect()
}

// Settled reports whether the attempt's outcome is final.
func (a Attempt) Settled() bool { return a.DecidedAt != nil }

// Snapshot is what is known of one agent's recording at one moment. Its JSON is GET /api/v1/state and the SSE event "state".
type Snapshot struct {
	Agent    string    `json:"agent"`
	Platform string    `json:"platform"`
	Call     string    `json:"call,omitempty"`
	State    State     `json:"state"`
	Since    time.Time `json:"since"` // when the state began; zero if nothing ever happened
	AsOf     time.Time `json:"as_of"` // the server's clock when it said so
	// Attempt is the newest attempt, nil before the first.
	Attempt *Attempt `json:"attempt"`
	Holds   []Hold   `json:"holds"`
	// Ready is what the server knows of its own half; the browser adds cookies and popups.
	Ready           bool   `json:"ready"`
	NotReadyBecause string `json:"not_ready_because,omitempty"`
	// AutoResumeAt is when the open pause has lasted as long as it may; nil without a limit, and once it is over or was dealt with.
	AutoResumeAt   *time.Time `json:"auto_resume_at,omitempty"`
	ExtensionsLeft int        `json:"extensions_left"`
	// Pause is the attempt that began the open pause, for POST /api/v1/pauses/{id}/extend; empty where none is open.
	Pause string `json:"pause,omitempty"`
	// AtMaxPause is what happens at AutoResumeAt, as far as it is known now: Resume, or empty for an alert.
	AtMaxPause Action `json:"at_max_pause,omitempty"`
	// Notices are what the agent must know besides the state, the most important first.
	Notices []Notice `json:"notices,omitempty"`
	// Alerts are those about this agent's recording that nobody has acknowledged, oldest first.
	Alerts []Alert `json:"alerts,omitempty"`
}

// NoticeCode names a notice for a machine.
type NoticeCode string

// The notices.
const (
	CallChanged    NoticeCode = "call_changed"    // the call changed while it was paused: this call may be recording
	LogSpooled     NoticeCode = "log_spooled"     // the audit log's store can't be written; records are kept aside
	LogUnavailable NoticeCode = "log_unavailable" // nothing can be written down: a resume needs "without record"
	PlatformAway   NoticeCode = "platform_away"   // the platform isn't answering; a pause is sent all the same
	CannotConfirm  NoticeCode = "cannot_confirm"  // this account's route can never say whether a pause worked
)

// Notice is one standing sentence for the agent.
type Notice struct {
	Code NoticeCode `json:"code"`
	Text string     `json:"text"` // with what to do
}

// AlertKind says which fault of the control an alert is about.
type AlertKind string

// The kinds of alerts.
const (
	AlertFailed  AlertKind = "attempt_failed"  // a pause or resume is known not to have worked
	AlertUnknown AlertKind = "attempt_unknown" // it may or may not have worked
	AlertOverdue AlertKind = "pause_overdue"   // a pause is over its time and wasn't resumed
	AlertRestart AlertKind = "restart"         // what was under way when the server ended isn't known
	AlertLog     AlertKind = "log"             // the audit log can't be written
	AlertNoProof AlertKind = "cannot_confirm"  // a platform's only route can never confirm: one standing alert a platform
	AlertLeak    AlertKind = "leak"            // a recording is audible where it was to be silent
	// AlertCheckpoint says that the log's checkpoints haven't reached where they are to be kept for long: a cut log wouldn't show.
	AlertCheckpoint AlertKind = "checkpoint"
)

// Alert is a fault of the control that needs a person. Its JSON is an item of GET /api/v1/alerts and the SSE event "alert".
type Alert struct {
	ID       string    `json:"id"` // a UUID
	Kind     AlertKind `json:"kind"`
	Agent    string    `json:"agent,omitempty"` // whose recording; empty where it is nobody's alone
	Platform string    `json:"platform,omitempty"`
	Call     string    `json:"call,omitempty"`
	Attempt  string    `json:"attempt,omitempty"`
	Text     string    `json:"text"` // one sentence with what to do
	RaisedAt time.Time `json:"raised_at"`
	// Repeated is how often it was told again since. It grows louder with it.
	Repeated int        `json:"repeated"`
	AckedAt  *time.Time `json:"acked_at,omitempty"`
	AckedBy  string     `json:"acked_by,omitempty"`
	// SettledAt is when the fault was over by itself, acknowledged or not.
	SettledAt *time.Time `json:"settled_at,omitempty"`
}

// Open reports whether it still waits for a person.
func (a Alert) Open() bool { return a.AckedAt == nil && a.SettledAt == nil }
