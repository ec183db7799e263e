// Package session is the browser's half of offrecord without the browser: it decides how a press reaches the platform, what
// may be said of it afterwards, and what the server is told. It implements panel.Controller.
//
// Everything it needs of a browser and of the server is behind the interfaces Browser and Server, which package wasm
// implements; so every rule here runs in an ordinary test. It may not import net/http or syscall/js, and it never claims an
// effect: of the session route at most "accepted" is known.
package session

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"offrecord/app/recording"
)

// Browser is what the program asks of the browser. No callback is ever called before the method that took it has returned.
type Browser interface {
	// Frame sends a request by a hidden frame, at once, and tells what is seen of it until remove is called.
	Frame(Target, func(Signal)) (remove func())
	// Window opens a small empty window for an action. It works only inside a press. It is nil when the browser refuses.
	Window(recording.Action) Window
	// Warm opens a connection with the host of url in the pool that Frame uses.
	Warm(url string)
	// Reach asks whether the host of url answers at all.
	Reach(url string, told func(Reach))
	// Online is false only when the browser knows that there is no network.
	Online() bool
	// Visible reports whether the page can be seen.
	Visible() bool
	// Cookies is what is known of third-party cookies.
	Cookies() Cookies
	// Keep, Forget and Kept are a store that survives the page. Nothing secret is kept.
	Keep(key, value string)
	Forget(key string)
	Kept(prefix string) map[string]string
	// Tell tells the other tabs; Listen hears them, and the changes of Online, Visible and Cookies.
	Tell(message string)
	Listen(Listener) (stop func())
}

// Listener is told of what happens to the page. Heard is a message of another tab; Changed says that Online, Visible or
// Cookies may answer differently now; Slept that the page was, or may have been, asleep: what it knew is old, and its stream
// may be dead without knowing it.
type Listener struct {
	Heard   func(message string)
	Changed func()
	Slept   func()
}

// Window is a popup.
type Window interface {
	Go(Target) error
	// Closed turns true when the window is gone. A page that closed itself, a person who closed it and a page whose opener
	// policy cut it off look the same.
	Closed() bool
	Close()
}

// Target is one request to the platform: a GET of URL, or a POST of Fields to it.
type Target struct {
	URL    string
	Post   bool
	Fields url.Values
}

// Signal is what a hidden frame shows.
type Signal struct {
	// Refused is false for the frame's load event, which fires for every answer and for none.
	Refused bool
	// Policy and Directive are those of a securitypolicyviolation that named the platform.
	Policy, Directive string
}

// Reach is whether the platform's host answers.
type Reach int

// A probe that ended in time proves that the host answers or that it didn't; one that was too slow proves nothing.
const (
	ReachUnknown Reach = iota
	Reached
	Unreached
)

// Cookies says whether the browser sends third-party cookies.
type Cookies int

// The cookie worlds.
const (
	CookiesUnknown Cookies = iota
	CookiesAllowed
	CookiesBlocked
)

// Server is the API of offrecord. Its errors are *Problem where the server answered one.
type Server interface {
	Route(context.Context) (Route, error)
	Attempts(ctx context.Context, limit int) ([]recording.Attempt, error)
	Announce(context.Context, Announcement) (recording.Attempt, error)
	Report(ctx context.Context, id string, r Report) error
	// Act asks for an action by the server route. Asking again with the same order is asking once.
	Act(context.Context, Order) (recording.Attempt, error)
	// Attempt is one of the agent's own attempts as it stands now.
	Attempt(ctx context.Context, id string) (recording.Attempt, error)
	// Extend asks for more time for the open pause that began with the attempt of this id.
	Extend(ctx context.Context, pause string) (recording.Snapshot, error)
	// Events follows GET /api/v1/events until stop is called.
	Events(func(Event)) (stop func())
}

// Event is one thing heard on the stream, or that nothing will be heard.
type Event struct {
	Snapshot *recording.Snapshot
	Attempt  *recording.Attempt
	// Beat is the server's clock, where it has no other news. A stream on which nothing comes for long is dead.
	Beat time.Time
	// Lost says that the stream broke and is being mended; Ended that it won't be and has to be opened anew.
	Lost, Ended bool
}

// Problem is an answer that says no.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return fmt.Sprintf("the server answered %d", p.Status)
}

// passing reports whether the same request may succeed later.
func (p *Problem) passing() bool {
	return p.Status >= 500 || p.Status == 401 || p.Status == 408 || p.Status == 425 || p.Status == 429
}

// Route is GET /api/v1/route.
type Route struct {
	Platform         string            `json:"platform"`
	Kind             string            `json:"kind"`
	Routes           []recording.Route `json:"routes"`
	Session          *SessionRoute     `json:"session"`
	AttemptTimeoutMS int               `json:"attempt_timeout_ms"`
	// Combine: a pause that the browser fires is confirmed by the server, which was told of it; a resume goes by the server.
	Combine bool `json:"combine"`
	// Actions are what the server route can do; empty without one. PauseMeans is what a pause is sent as: pause, mask or stop.
	Actions    []recording.Action `json:"actions"`
	PauseMeans recording.Action   `json:"pause_means"`
}

// serves reports whether the server route can do the action.
func (r *Route) serves(action recording.Action) bool {
	return r != nil && slices.Contains(r.Routes, recording.RouteServer) && slices.Contains(r.Actions, action)
}

// carries reports whether the session route can do the action: a cookie pauses and resumes, and no more.
func (r *Route) carries(action recording.Action) bool {
	return r != nil && r.Session != nil && slices.Contains(r.Routes, recording.RouteSession) && (action == recording.Pause || action == recording.Resume)
}

// SessionRoute is how the platform is reached with its own cookie.
type SessionRoute struct {
	URL       string              `json:"url"`
	Token     Token               `json:"token"`
	Method    string              `json:"method"` // GET or POST
	Transport recording.Transport `json:"transport"`
	WarmURL   string              `json:"warm_url"`
}

// target is the request that asks for an action.
func (r SessionRoute) target(a recording.Action) (Target, error) {
	fields := url.Values{"action": {string(a)}, "token": {string(r.Token)}}
	if r.Method == "POST" {
		return Target{URL: r.URL, Post: true, Fields: fields}, nil
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return Target{}, fmt.Errorf("the platform's address: %w", err)
	}
	u.RawQuery = fields.Encode()
	return Target{URL: u.String()}, nil
}

// Token is the platform's action token. It is held in memory only, and no format prints it.
type Token string

// Format implements fmt.Formatter for every verb.
func (Token) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// Announcement is the body of POST /api/v1/attempts. Every try sends the same one, so that the server knows it again.
type Announcement struct {
	ID          string              `json:"id"`
	Action      recording.Action    `json:"action"`
	Transport   recording.Transport `json:"transport"`
	Reason      string              `json:"reason,omitempty"`
	Call        string              `json:"call,omitempty"`
	Origin      recording.Origin    `json:"origin"`
	RequestedAt time.Time           `json:"requested_at"`
	// WithoutRecord says that the agent chose to resume although it couldn't be written down.
	WithoutRecord bool `json:"without_record,omitempty"`
}

// Report is the body of POST /api/v1/attempts/{id}/outcome.
type Report struct {
	Outcome  recording.Outcome   `json:"outcome"`
	Evidence *recording.Evidence `json:"evidence,omitempty"`
}

// Order is the body of POST /api/v1/actions. Every try sends the same one, so that the server does it once.
type Order struct {
	ID     string           `json:"id"`
	Action recording.Action `json:"action"`
	Reason string           `json:"reason,omitempty"`
	Call   string           `json:"call,omitempty"`
	Origin recording.Origin `json:"origin"`
	// WithoutRecord says that the agent chose to resume although it can't be written down.
	WithoutRecord bool `json:"without_record,omitempty"`
}
