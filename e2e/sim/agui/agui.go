// Package agui simulates the part of 8x8 Contact Center that an agent's recording depends on: Agent Workspace with its
// session cookie and calls, controlRecording.php, and the basic-auth rccontrol API, all acting on the same tapes.
//
// It is the judge of the tests: its ledger says what arrived and what became of the tape, whatever a widget claims. So it is
// as strict as the platform's documents ("Contact Center Recording Control API", both editions) and never kinder; where they
// are silent it does what is hardest for a client, or has a setting. It imitates no vendor's branding, and it may not import
// anything of the companion but the vocabulary: a judge that shares the code of the judged proves nothing.
//
//	sim := agui.New(agui.Config{})
//	srv := httptest.NewTLSServer(sim)
//	defer srv.Close()
//	defer sim.Close() // first: it ends the pages' event streams, which srv.Close would wait for
package agui

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"offrecord/e2e/sim/archive"
	"offrecord/e2e/sim/ledger"
)

// The simulator's addresses that others need to know.
const (
	LoginPath     = "/AGUI/login.php"
	WorkspacePath = "/AGUI/"
	ControlPath   = "/AGUI/controlRecording.php"
	FaviconPath   = "/favicon.ico"
	// APIPath is followed by /{pause|resume}/{tenant}/{agentId|email}/{id}.
	APIPath = "/api/tstats/rccontrol"
)

// Cookie is the name of the session cookie, as seen in the wild.
const Cookie = "wpj_agui"

// Agent is one who logs in.
type Agent struct {
	ID    string // the "agent object id" of the API, for example bill
	Email string
	Name  string // what the pages call the agent; default ID
}

// Config is how a tenant is set up. The zero value is a tenant acme01 with the agent bill, on https only.
type Config struct {
	Tenant string
	// ActionToken is the tenant's Action Request Token; a random one by default.
	ActionToken string
	Agents      []Agent
	// SameSite of the session cookie. The zero value is None, as seen in the wild; http.SameSiteDefaultMode leaves the
	// attribute out.
	SameSite http.SameSite
	// XFrameOptions is sent by controlRecording.php beside "frame-ancestors 'self'", if it isn't empty. Nobody has seen
	// whether the platform sends it.
	XFrameOptions string
	// PlainLoopback allows plain http under loopback names, for a demo without certificates.
	PlainLoopback bool
	// CallAtLogin starts a call when an agent without one logs in, to save a newcomer a click.
	CallAtLogin bool
	// NothingIfAlready makes the API answer "nothing to be modified" to a pause of a paused tape, and to a resume of a
	// running one. The documents leave open whether it does; by default it answers success.
	NothingIfAlready bool
	// Archive keeps the recordings of calls that have ended, and answers below archive.Path; nil for none.
	Archive *archive.Archive
	// PanelURL is where the pages send a person next; empty for none.
	PanelURL string
}

// Simulator is one tenant. It is an http.Handler, and safe for concurrent use.
type Simulator struct {
	*ledger.Ledger[Request, Filter]
	config Config
	mux    *http.ServeMux
	pages  *template.Template
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	desks    map[string]*desk // by agent id
	sessions map[string]string
	faults   map[faultKey]Fault
	lastCall int
}

// desk is one agent's place of work. The tape is the last call's.
type desk struct {
	agent Agent
	plain bool // calls aren't recorded
	calls []Call
}

// New sets up a tenant. It panics if two agents have the same id.
func New(config Config) *Simulator {
	if config.Tenant == "" {
		config.Tenant = "acme01"
	}
	if config.ActionToken == "" {
		config.ActionToken = randomHex()
	}
	if config.SameSite == 0 {
		config.SameSite = http.SameSiteNoneMode
	}
	config.Agents = slices.Clone(config.Agents)
	if len(config.Agents) == 0 {
		config.Agents = []Agent{{ID: "bill", Email: "bill@acme.example", Name: "Bill"}}
	}
	s := &Simulator{
		config:   config,
		pages:    parsePages(),
		closed:   make(chan struct{}),
		desks:    map[string]*desk{},
		sessions: map[string]string{},
		faults:   map[faultKey]Fault{},
	}
	s.Ledger = ledger.New[Request, Filter](&s.mu)
	for i := range s.config.Agents {
		a := &s.config.Agents[i]
		if a.Name == "" {
			a.Name = a.ID
		}
		if s.desks[a.ID] != nil {
			panic(fmt.Sprintf("agui: two agents have the id %q", a.ID))
		}
		s.desks[a.ID] = &desk{agent: *a}
	}
	s.mux = s.routes()
	return s
}

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+ControlPath, s.control)
	mux.HandleFunc("POST "+ControlPath, s.control)
	mux.HandleFunc("PUT "+APIPath+"/{action}/{tenant}/{by}/{id}", s.api)
	mux.HandleFunc("GET "+FaviconPath, favicon)
	if s.config.Archive != nil {
		mux.Handle(archive.Path, s.config.Archive)
	}

	// The pages' own forms take no orders from another site; controlRecording.php does, as the platform's does.
	own := http.NewCrossOriginProtection()
	page := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, own.Handler(h)) }
	page("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, WorkspacePath, http.StatusSeeOther) })
	page("GET "+LoginPath, s.loginPage)
	page("POST "+LoginPath, s.login)
	page("POST /AGUI/logout.php", s.logout)
	page("GET "+WorkspacePath+"{$}", s.workspace)
	page("GET /AGUI/events", s.events)
	page("POST /AGUI/desk", s.deskForm)
	page("GET /AGUI/workspace.css", asset("workspace.css"))
	page("GET /AGUI/workspace.js", asset("workspace.js"))
	return mux
}

// Close ends the event streams and cuts every delay short. Requests that come later are still answered.
func (s *Simulator) Close() { s.once.Do(func() { close(s.closed) }) }

// ActionToken is the tenant's Action Request Token.
func (s *Simulator) ActionToken() string { return s.config.ActionToken }

// Tenant is the tenant's name, and the user of the API.
func (s *Simulator) Tenant() string { return s.config.Tenant }

// ServeHTTP implements http.Handler. Every request is put into the ledger, the refused ones too.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry := s.begin(r)
	answer := &statusWriter{ResponseWriter: w}
	answered := false
	defer func() { s.finish(entry, answer.status, !answered) }() // a dropped connection leaves by a panic
	switch {
	case r.TLS == nil && !(s.config.PlainLoopback && loopback(r)):
		s.page(answer, http.StatusForbidden, "message", message{
			Title: "HTTPS only", Text: "This platform takes requests by HTTPS only."})
	default:
		s.mux.ServeHTTP(answer, r.WithContext(withEntry(r.Context(), entry)))
	}
	answered = true
}

// loopback reports whether the request came from this machine to a name that can't be another's.
func loopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// wait lets d pass, or less if the simulator is closed. It doesn't end with the request: what has reached the platform is
// carried out, whether or not the browser is still there to hear of it.
func (s *Simulator) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closed:
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func randomHex() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
