package agui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/sim/ledger"
)

// Request is one request as it arrived, and what was answered. The token is never kept, nor any query string.
type Request struct {
	Seq    int       // its place in the ledger, from 1; requests and effects share the count
	At     time.Time // when its headers had arrived
	Method string
	Path   string
	Action recording.Action // what it asked of the tape, if that was understood
	Agent  string           // whose session or address it carried; empty if none that is known
	Cookie bool             // a session cookie came along, valid or not

	Referer string // without its query
	Origin  string
	// The Sec-Fetch headers; empty for a client that is no browser.
	Site, Mode, Dest, User, StorageAccess string

	Status   int       // 0 while it is being answered, and for one that never was
	Answered time.Time // zero while it is being answered
	Dropped  bool      // the connection was cut instead of an answer
}

// Via is how a browser came to send a request.
type Via string

// The ways. A popup and a tab can't be told apart.
const (
	ViaWindow Via = "window" // a top-level navigation: a popup or a tab
	ViaFrame  Via = "frame"
	ViaScript Via = "script" // fetch, EventSource, an image…
	ViaOther  Via = "other"  // not a browser, or one without Sec-Fetch-Dest
)

// Via tells by Sec-Fetch-Dest how the request came about.
func (r Request) Via() Via {
	switch r.Dest {
	case "document":
		return ViaWindow
	case "iframe", "frame":
		return ViaFrame
	case "":
		return ViaOther
	}
	return ViaScript
}

// Effect is something that really happened to a call or its tape.
type Effect = ledger.Effect

// What happens to a call and its tape here.
const (
	CallStarted                   = ledger.CallStarted
	CallEnded                     = ledger.CallEnded
	Paused      ledger.EffectKind = "paused"
	Resumed     ledger.EffectKind = "resumed"
)

// Filter picks requests. A zero field picks all; the tape's own requests are Path: ControlPath.
type Filter struct {
	Path   string // exact, or a beginning if it ends in a slash
	Action recording.Action
	Agent  string
	Method string
	Status int
	After  int // only those with a higher Seq
}

// Picks reports whether the filter picks the request.
func (f Filter) Picks(r Request) bool {
	return (f.Path == "" || r.Path == f.Path || strings.HasSuffix(f.Path, "/") && strings.HasPrefix(r.Path, f.Path)) &&
		(f.Action == "" || r.Action == f.Action) &&
		(f.Agent == "" || r.Agent == f.Agent) &&
		(f.Method == "" || r.Method == f.Method) &&
		(f.Status == 0 || r.Status == f.Status) &&
		r.Seq > f.After
}

func (r Request) String() string {
	return fmt.Sprintf("%s %s %s action=%s agent=%s cookie=%t via=%s site=%s status=%s", r.At.Format(ledger.Clock), r.Method, r.Path,
		r.Action, r.Agent, r.Cookie, r.Via(), r.Site, ledger.Status(r.Status, !r.Answered.IsZero(), r.Dropped))
}

// begin enters a request into the ledger.
func (s *Simulator) begin(r *http.Request) *Request {
	q := Request{
		At: time.Now(), Method: r.Method, Path: s.clean(r.URL.Path),
		Referer: s.clean(withoutQuery(r.Referer())), Origin: r.Header.Get("Origin"),
		Site: r.Header.Get("Sec-Fetch-Site"), Mode: r.Header.Get("Sec-Fetch-Mode"), Dest: r.Header.Get("Sec-Fetch-Dest"),
		User: r.Header.Get("Sec-Fetch-User"), StorageAccess: r.Header.Get("Sec-Fetch-Storage-Access"),
	}
	_, err := r.Cookie(Cookie)
	q.Cookie = err == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	q.Agent = s.sessionAgent(r)
	return s.Enter(func(seq int) Request { q.Seq = seq; return q })
}

// note completes the request's entry with what the handler understood of it.
func (s *Simulator) note(r *http.Request, action recording.Action, agent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := entry(r)
	q.Action, q.Agent = action, agent
	s.Notify()
}

func (s *Simulator) finish(q *Request, status int, dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.Answered, q.Status, q.Dropped = time.Now(), status, dropped
	s.Notify()
}

func (s *Simulator) effect(agent, call string, kind ledger.EffectKind, at time.Time, request int) {
	s.Note(Effect{At: at, Agent: agent, Call: call, Kind: kind, Request: request})
}

// clean keeps the token out of the ledger wherever a client may have put it.
func (s *Simulator) clean(text string) string {
	return strings.ReplaceAll(text, s.config.ActionToken, "[redacted]")
}

func withoutQuery(referer string) string {
	u, err := url.Parse(referer)
	if err != nil {
		return "[not a URL]"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}

type entryKey struct{}

func withEntry(ctx context.Context, q *Request) context.Context {
	return context.WithValue(ctx, entryKey{}, q)
}

// entry is the request's place in the ledger. What it holds is guarded by the simulator's lock, but for its Seq.
func entry(r *http.Request) *Request { return r.Context().Value(entryKey{}).(*Request) }

func seqOf(r *http.Request) int { return entry(r).Seq }
