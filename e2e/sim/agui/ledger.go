package agui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"offrecord/app/recording"
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

// EffectKind is something that really happened to a call or its tape.
type EffectKind string

// The effects. A request that changes nothing has none.
const (
	CallStarted EffectKind = "call started"
	CallEnded   EffectKind = "call ended"
	Paused      EffectKind = "paused"
	Resumed     EffectKind = "resumed"
)

// Effect is one effect.
type Effect struct {
	Seq     int
	At      time.Time
	Agent   string
	Call    string
	Kind    EffectKind
	Request int // the Seq of the request that caused it; 0 if a test did
}

// Filter picks requests. A zero field picks all; the tape's own requests are Path: ControlPath.
type Filter struct {
	Path   string // exact, or a beginning if it ends in a slash
	Action recording.Action
	Agent  string
	Method string
	Status int
	After  int // only those with a higher Seq
}

func (f Filter) picks(r Request) bool {
	return (f.Path == "" || r.Path == f.Path || strings.HasSuffix(f.Path, "/") && strings.HasPrefix(r.Path, f.Path)) &&
		(f.Action == "" || r.Action == f.Action) &&
		(f.Agent == "" || r.Agent == f.Agent) &&
		(f.Method == "" || r.Method == f.Method) &&
		(f.Status == 0 || r.Status == f.Status) &&
		r.Seq > f.After
}

// ledger is everything that came and happened, in its order. It is guarded by the simulator's lock.
type ledger struct {
	seq      int
	requests []Request
	effects  []Effect
}

// Requests returns the requests that the filter picks, in the order of their arrival.
func (s *Simulator) Requests(f Filter) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var picked []Request
	for _, r := range s.ledger.requests {
		if f.picks(r) {
			picked = append(picked, r)
		}
	}
	return picked
}

// Effects returns what happened at an agent's desk, or at all desks if agent is empty.
func (s *Simulator) Effects(agent string) []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	var picked []Effect
	for _, e := range s.ledger.effects {
		if agent == "" || e.Agent == agent {
			picked = append(picked, e)
		}
	}
	return picked
}

// Mark is the Seq of the ledger's last entry, for Filter.After.
func (s *Simulator) Mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.seq
}

// WaitFor blocks until ok says true, asking it now and after every change of the ledger, the calls and the sessions. ok may
// call any of the simulator's methods. If ctx ends first, the error carries the ledger as text.
func (s *Simulator) WaitFor(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed // before ok is asked, so that no change in between is missed
		s.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the ledger: %w\n%s", context.Cause(ctx), s)
		}
	}
}

// String is the ledger as text, one entry a line, for a failed test.
func (s *Simulator) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := make([]string, s.ledger.seq)
	const clock = "15:04:05.000"
	for _, r := range s.ledger.requests {
		status := fmt.Sprint(r.Status)
		switch {
		case r.Dropped:
			status = "dropped"
		case r.Answered.IsZero():
			status = "open"
		}
		lines[r.Seq-1] = fmt.Sprintf("%4d %s %s %s action=%s agent=%s cookie=%t via=%s site=%s status=%s",
			r.Seq, r.At.Format(clock), r.Method, r.Path, r.Action, r.Agent, r.Cookie, r.Via(), r.Site, status)
	}
	for _, e := range s.ledger.effects {
		lines[e.Seq-1] = fmt.Sprintf("%4d %s %s agent=%s call=%s by=%d",
			e.Seq, e.At.Format(clock), e.Kind, e.Agent, e.Call, e.Request)
	}
	return strings.Join(lines, "\n")
}

// notify wakes who waits for a change. The lock is held.
func (s *Simulator) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// begin enters a request into the ledger and returns its Seq.
func (s *Simulator) begin(r *http.Request) int {
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
	s.ledger.seq++
	q.Seq = s.ledger.seq
	s.ledger.requests = append(s.ledger.requests, q)
	s.notify()
	return q.Seq
}

// note completes an entry with what the handler understood of the request.
func (s *Simulator) note(seq int, action recording.Action, agent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.request(seq)
	q.Action, q.Agent = action, agent
	s.notify()
}

func (s *Simulator) finish(seq, status int, dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.request(seq)
	q.Answered, q.Status, q.Dropped = time.Now(), status, dropped
	s.notify()
}

// request returns the entry with the Seq. The lock is held.
func (s *Simulator) request(seq int) *Request {
	i, _ := slices.BinarySearchFunc(s.ledger.requests, seq, func(r Request, seq int) int { return r.Seq - seq })
	return &s.ledger.requests[i]
}

// effect enters an effect. The lock is held.
func (s *Simulator) effect(agent, call string, kind EffectKind, at time.Time, request int) {
	s.ledger.seq++
	s.ledger.effects = append(s.ledger.effects, Effect{Seq: s.ledger.seq, At: at, Agent: agent, Call: call, Kind: kind, Request: request})
	s.notify()
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

type seqKey struct{}

func withSeq(ctx context.Context, seq int) context.Context {
	return context.WithValue(ctx, seqKey{}, seq)
}

func seqOf(r *http.Request) int { return r.Context().Value(seqKey{}).(int) }
