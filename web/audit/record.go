package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"offrecord/app/recording"
	"offrecord/web/cardnumber"
)

// Kind says what a record tells of. The set is closed: Append refuses any other.
type Kind string

// The kinds. PCI DSS 4.0.1 asks for those of access to the log itself (10.2.1.3), of sign-ins (10.2.1.4), of the log's own
// start and stop (10.2.1.6) and of deletions (10.2.1.7).
const (
	AttemptBegun   Kind = "attempt_begun"   // written before anything is sent
	AttemptSeen    Kind = "attempt_seen"    // an outcome that may still change
	AttemptDecided Kind = "attempt_decided" // a final outcome; the agent's own word may follow as another
	Extension      Kind = "extension"       // an agent keeps a pause beyond its time
	Call           Kind = "call"            // the CRM said that a call started, ended or was transferred
	SignIn         Kind = "sign_in"         // Outcome denied: it was refused
	SignOut        Kind = "sign_out"
	Refused        Kind = "refused" // a request that was turned down
	ConfigLoaded   Kind = "config_loaded"
	LinkChanged    Kind = "link_changed" // a signed link was made or revoked
	Deletion       Kind = "deletion"
	GuardPassed    Kind = "guard_passed" // an agent opened guarded fields although the recording wasn't known to be paused
	AuditRead      Kind = "audit_read"   // somebody read or exported the log, or read what it is about: a recording, a chat
	Alert          Kind = "alert"
	AlertAcked     Kind = "alert_acknowledged"
	LogStarted     Kind = "log_started"  // by the log itself
	LogStopped     Kind = "log_stopped"  // by the log itself
	Retention      Kind = "retention"    // by the log itself: Count records were pruned
	SpoolMerged    Kind = "spool_merged" // by the log itself: the Count records before it come from the spool
)

var kinds = []Kind{AttemptBegun, AttemptSeen, AttemptDecided, Extension, Call, SignIn, SignOut, Refused, ConfigLoaded, LinkChanged,
	Deletion, GuardPassed, AuditRead, Alert, AlertAcked, LogStarted, LogStopped, Retention, SpoolMerged}

// Role is what a person may do.
type Role string

// The roles; the empty one is a request that nobody has signed in for, or the server itself.
const (
	Agent      Role = "agent"
	Supervisor Role = "supervisor"
	Admin      Role = "admin"
)

// Client is the class of the program that asked. The whole user agent string isn't kept: it is the caller's free text.
type Client string

// The classes.
const (
	Chromium    Client = "chromium"
	Firefox     Client = "firefox"
	Safari      Client = "safari"
	OtherClient Client = "other"
	Server      Client = "server" // offrecord itself
)

// Classify returns the class of a User-Agent header.
func Classify(userAgent string) Client {
	switch {
	case strings.Contains(userAgent, "Firefox/"):
		return Firefox
	case strings.Contains(userAgent, "Chrome/"):
		return Chromium
	case strings.Contains(userAgent, "Safari/"):
		return Safari
	}
	return OtherClient
}

// maxText and maxID bound a Text and an ID, in characters and bytes. An email address has at most 254 bytes (RFC 5321).
const (
	maxText = 200
	maxID   = 254
)

// Text is a short text that went through NewText; there is no other way to make one.
type Text struct{ s string }

// NewText makes a text of s: one line of at most 200 characters, with anything that may be a card number replaced by
// "[card number removed]". It masks rather than refuses, because a record that isn't written is the greater loss.
func NewText(s string) Text {
	s = strings.TrimSpace(cardnumber.Mask(oneLine(s[:min(len(s), 4<<10)]))) // a number that the cut leaves incomplete is none
	if utf8.RuneCountInString(s) > maxText {
		s = strings.TrimSpace(string([]rune(s)[:maxText-1])) + "…"
	}
	return Text{s}
}

// String returns the text.
func (t Text) String() string { return t.s }

// ID names a person, a network address or a call. The log stores it as it is, or keyed-hashed: by setting, and always if
// it may be a card number, so that a call is still told from another.
type ID struct{ s string }

// NewID makes an identifier of s: one line of at most 254 bytes.
func NewID(s string) ID {
	s = strings.TrimSpace(oneLine(s))
	if len(s) > maxID {
		s = strings.ToValidUTF8(s[:maxID], "")
	}
	return ID{s}
}

// String returns the identifier: of a record that was read back, in the form that is stored.
func (i ID) String() string { return i.s }

// oneLine replaces what isn't printable, so that no text forges a second line or hides another.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r): // bidirectional overrides, zero widths
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// Record is one event, with the fields that PCI DSS 4.0.1 requirement 10.2.2 asks for: who, what, when, whether it worked,
// from where, and on what. No field takes free text, bytes or a secret: card data can't reach the log by type.
type Record struct {
	Kind Kind
	// Time is when it happened, kept to the microsecond. Append sets it if it is zero.
	Time time.Time
	// Agent is whose recording or session it is about, by email.
	Agent ID
	// By is who acted, where that isn't Agent: a supervisor who resumes for one.
	By   ID
	Role Role
	// Peer is the network address that asked.
	Peer     ID
	Client   Client
	Platform Text // its name in the configuration
	Call     ID
	Attempt  uuid.UUID

	Action         recording.Action
	SentAs         recording.Action // what the platform was told, where that isn't Action
	Route          recording.Route
	Transport      recording.Transport
	Origin         recording.Origin
	Outcome        recording.Outcome
	State          recording.State
	Evidence       *recording.Evidence
	Reason         Text
	Detail         Text
	PlatformStatus Text
	// Request is the id that the answer to the person carried, too.
	Request      Text
	RequestedAt  time.Time
	AutoResumeAt time.Time
	Count        int64
}

// OfAttempt returns the record of an attempt as it now stands: begun while nothing is known of it, else seen or, once it is
// settled, decided. The caller adds who asked from where.
func OfAttempt(a recording.Attempt) (Record, error) {
	id, err := uuid.Parse(a.ID)
	if err != nil {
		return Record{}, fmt.Errorf("attempt id: %w", err)
	}
	r := Record{Kind: AttemptSeen, Agent: NewID(a.Agent), By: NewID(a.By), Platform: NewText(a.Platform), Call: NewID(a.Call), Attempt: id,
		Action: a.Action, SentAs: a.SentAs, Route: a.Route, Transport: a.Transport, Origin: a.Origin, Outcome: a.Outcome, State: a.State, Evidence: a.Evidence,
		Reason: NewText(a.Reason), Detail: NewText(a.Detail), PlatformStatus: NewText(a.PlatformStatus), RequestedAt: a.RequestedAt}
	if a.AutoResumeAt != nil {
		r.AutoResumeAt = *a.AutoResumeAt
	}
	switch {
	case a.Settled():
		r.Kind, r.Time = AttemptDecided, *a.DecidedAt
	case a.Outcome == recording.Pending:
		r.Kind = AttemptBegun
	}
	return r, nil
}

// AsAttempt is the attempt that the record tells of, as it stood then; false if the record isn't about one.
func (r Record) AsAttempt() (recording.Attempt, bool) {
	switch r.Kind {
	case AttemptBegun, AttemptSeen, AttemptDecided:
	default:
		return recording.Attempt{}, false
	}
	a := recording.Attempt{ID: r.Attempt.String(), Action: r.Action, SentAs: r.SentAs, By: r.By.s, Agent: r.Agent.s, Platform: r.Platform.s, Call: r.Call.s, Route: r.Route,
		Transport: r.Transport, Origin: r.Origin, Reason: r.Reason.s, Outcome: r.Outcome, Evidence: r.Evidence, State: r.State, Detail: r.Detail.s,
		PlatformStatus: r.PlatformStatus.s, RequestedAt: r.RequestedAt}
	if r.Kind == AttemptDecided {
		a.DecidedAt = &r.Time
	}
	if !r.AutoResumeAt.IsZero() {
		a.AutoResumeAt = &r.AutoResumeAt
	}
	return a, true
}

// Entry is a record as the log holds it. Its JSON is the stored bytes.
type Entry struct {
	// Seq is its number, from 1. It is 0 while the record is still in the spool.
	Seq int64
	Record
	body []byte
}

// MarshalJSON implements json.Marshaler.
func (e Entry) MarshalJSON() ([]byte, error) { return e.body, nil }

// line is the stored form of a record: encoding/json writes its fields in this order and without spaces, so that a record
// has one encoding only. It never loses or changes a field; a new one is added at the end.
type line struct {
	Seq            int64               `json:"seq,omitempty"`
	Prev           tlog.Hash           `json:"prev,omitzero"` // the RFC 6962 leaf hash of the record before
	Kind           Kind                `json:"kind"`
	Time           string              `json:"time"`
	Agent          string              `json:"agent,omitempty"`
	By             string              `json:"by,omitempty"`
	Role           Role                `json:"role,omitempty"`
	Peer           string              `json:"peer,omitempty"`
	Client         Client              `json:"client,omitempty"`
	Platform       string              `json:"platform,omitempty"`
	Call           string              `json:"call,omitempty"`
	Attempt        string              `json:"attempt,omitempty"`
	Action         recording.Action    `json:"action,omitempty"`
	Route          recording.Route     `json:"route,omitempty"`
	Transport      recording.Transport `json:"transport,omitempty"`
	Origin         recording.Origin    `json:"origin,omitempty"`
	Outcome        recording.Outcome   `json:"outcome,omitempty"`
	State          recording.State     `json:"state,omitempty"`
	Evidence       *recording.Evidence `json:"evidence,omitempty"`
	Reason         string              `json:"reason,omitempty"`
	Detail         string              `json:"detail,omitempty"`
	PlatformStatus string              `json:"platform_status,omitempty"`
	Request        string              `json:"request_id,omitempty"`
	RequestedAt    string              `json:"requested_at,omitempty"`
	AutoResumeAt   string              `json:"auto_resume_at,omitempty"`
	Count          int64               `json:"count,omitempty"`
	SentAs         recording.Action    `json:"sent_as,omitempty"`
}

// stamp is RFC 3339 in UTC with a fixed width, so that times sort as texts do.
const stamp = "2006-01-02T15:04:05.000000Z"

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stamp)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(stamp, s)
}

// seal makes the stored form of a record: checked, with its identifiers in the form that is stored. Seq and Prev are left
// to the one who knows its place.
func (r Record) seal(identify func(string) string) (line, error) {
	if err := r.check(); err != nil {
		return line{}, fmt.Errorf("audit record: %w", err)
	}
	l := line{Kind: r.Kind, Time: formatTime(r.Time), Agent: identify(r.Agent.s), By: identify(r.By.s), Role: r.Role, Peer: identify(r.Peer.s),
		Client: r.Client, Platform: r.Platform.s, Call: identify(r.Call.s), Action: r.Action, Route: r.Route, Transport: r.Transport,
		Origin: recording.Origin(NewText(string(r.Origin)).s), Outcome: r.Outcome, State: r.State, Evidence: r.Evidence, Reason: r.Reason.s,
		Detail: r.Detail.s, PlatformStatus: r.PlatformStatus.s, Request: r.Request.s, RequestedAt: formatTime(r.RequestedAt),
		AutoResumeAt: formatTime(r.AutoResumeAt), Count: r.Count, SentAs: r.SentAs}
	if r.Attempt != uuid.Nil {
		l.Attempt = r.Attempt.String()
	}
	return l, nil
}

// check refuses a value outside its closed set: the sets are what keeps free text out.
func (r Record) check() error {
	if !slices.Contains(kinds, r.Kind) {
		return fmt.Errorf("unknown kind %q", r.Kind)
	}
	if _, isAttempt := r.AsAttempt(); isAttempt && (r.Attempt == uuid.Nil || r.Action == "") {
		return fmt.Errorf("%s needs an attempt's id and action", r.Kind)
	}
	for _, t := range []time.Time{r.Time, r.RequestedAt, r.AutoResumeAt} {
		if y := t.UTC().Year(); y < 1 || y > 9999 {
			return fmt.Errorf("the year %d can't be written", y)
		}
	}
	if r.Evidence != nil && !oneOf(r.Evidence.Kind, recording.FrameLoad, recording.PopupClosed, recording.PopupOpen, recording.CSP, recording.Blocked, recording.Held,
		recording.Offline, recording.Status, recording.Word, recording.Reported, recording.ReadBack, recording.Silence) {
		return fmt.Errorf("unknown evidence %q", r.Evidence.Kind)
	}
	for _, a := range []recording.Action{r.Action, r.SentAs} {
		if a == "" {
			continue
		}
		if _, err := recording.ParseAction(string(a)); err != nil {
			return err
		}
	}
	if r.Outcome != recording.Pending {
		if _, err := recording.ParseOutcome(string(r.Outcome)); err != nil {
			return err
		}
	}
	switch {
	case !oneOf(r.Role, "", Agent, Supervisor, Admin):
		return fmt.Errorf("unknown role %q", r.Role)
	case !oneOf(r.Client, "", Chromium, Firefox, Safari, OtherClient, Server):
		return fmt.Errorf("unknown client %q", r.Client)
	case !oneOf(r.Route, "", recording.RouteSession, recording.RouteServer):
		return fmt.Errorf("unknown route %q", r.Route)
	case !oneOf(r.Transport, "", recording.TransportAuto, recording.TransportIframe, recording.TransportPopup):
		return fmt.Errorf("unknown transport %q", r.Transport)
	case !oneOf(r.State, "", recording.Recording, recording.Pausing, recording.Paused, recording.Resuming, recording.Stopped, recording.Declined,
		recording.StateUnknown, recording.Idle):
		return fmt.Errorf("unknown state %q", r.State)
	}
	return nil
}

func oneOf[T comparable](v T, set ...T) bool { return slices.Contains(set, v) }

func (l line) encode() ([]byte, error) {
	body, err := json.Marshal(l)
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("it has %d bytes, at most %d are allowed", len(body), maxBody)
	}
	return body, err
}

// maxBody bounds a stored record, so that a reader can bound its lines.
const maxBody = 16 << 10

// decodeLine reads a stored record, strictly: bytes that aren't the one encoding of what they say are refused.
func decodeLine(body []byte) (line, error) {
	var l line
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return line{}, fmt.Errorf("not a record: %w", err)
	}
	if again, err := l.encode(); err != nil || !bytes.Equal(again, body) {
		return line{}, errors.New("not in its canonical form")
	}
	if !slices.Contains(kinds, l.Kind) || l.Time == "" {
		return line{}, fmt.Errorf("no kind or no time: kind %q, time %q", l.Kind, l.Time)
	}
	if _, err := l.record(); err != nil {
		return line{}, err
	}
	return l, nil
}

func (l line) record() (Record, error) {
	r := Record{Kind: l.Kind, Agent: ID{l.Agent}, By: ID{l.By}, Role: l.Role, Peer: ID{l.Peer}, Client: l.Client, Platform: Text{l.Platform},
		Call: ID{l.Call}, Action: l.Action, Route: l.Route, Transport: l.Transport, Origin: l.Origin, Outcome: l.Outcome, State: l.State,
		Evidence: l.Evidence, Reason: Text{l.Reason}, Detail: Text{l.Detail}, PlatformStatus: Text{l.PlatformStatus}, Request: Text{l.Request}, Count: l.Count,
		SentAs: l.SentAs}
	var err error
	if l.Attempt != "" {
		if r.Attempt, err = uuid.Parse(l.Attempt); err != nil {
			return Record{}, fmt.Errorf("attempt: %w", err)
		}
	}
	for _, t := range []struct {
		from string
		to   *time.Time
	}{{l.Time, &r.Time}, {l.RequestedAt, &r.RequestedAt}, {l.AutoResumeAt, &r.AutoResumeAt}} {
		if *t.to, err = parseTime(t.from); err != nil {
			return Record{}, err
		}
	}
	return r, nil
}

// entry reads a record from the store, where what was written is what is read; verifying is another matter.
func entry(seq int64, body []byte) (Entry, error) {
	var l line
	if err := json.Unmarshal(body, &l); err != nil {
		return Entry{}, fmt.Errorf("audit record %d: %w", seq, err)
	}
	r, err := l.record()
	if err != nil {
		return Entry{}, fmt.Errorf("audit record %d: %w", seq, err)
	}
	return Entry{Seq: seq, Record: r, body: body}, nil
}
