// Package httpapi is the server as browsers and CRMs see it: the JSON API, the pages, the native forms and the event stream.
//
// It translates between HTTP and the packages that know things (identity, dispatch, platform); it decides nothing about a
// recording. A platform's token leaves it in two places only: GET /api/v1/route, and the Location of a native form's answer.
package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/identity"
	"offrecord/web/link"
	"offrecord/web/platform"
	"offrecord/web/site"
)

// Platform is a platform of the configuration, as far as this package needs it.
type Platform struct {
	Name string
	Kind string
	// Routes are in order of preference.
	Routes []recording.Route
	// Session is the session route; nil where the platform has none.
	Session platform.Sessioner
	// Ability is what the server route can do; the zero value where the platform has none.
	Ability platform.Ability
	// Combine says that a pause goes by both routes, as one attempt, and everything else by the server.
	Combine        bool
	AttemptTimeout time.Duration
}

// byServer reports whether an action that the agent asks for without naming a route goes by the server route.
func (p Platform) byServer(action recording.Action) bool {
	switch {
	case !p.Ability.Can(action):
		return false
	case p.Session == nil, action != recording.Pause && action != recording.Resume:
		return true
	case p.Combine:
		return action != recording.Pause
	}
	return len(p.Routes) > 0 && p.Routes[0] == recording.RouteServer
}

// Options are what an API is made of. All but the marked ones are required.
type Options struct {
	Log     *slog.Logger
	Version string
	// Secure says that browsers come by https.
	Secure     bool
	Directory  *identity.Directory
	Sessions   *identity.Sessions
	Platforms  map[string]Platform
	Dispatcher *dispatch.Dispatcher
	Site       *site.Site
	// Panel draws a view as the program's own components do.
	Panel func(panel.View) string
	// Logins are the ways to log in at /api/v1/login/{name}, and by form at /login/{name}.
	Logins map[string]identity.Authenticator
	// Ambient are the ways that need no log-in, asked in order when a request brings no session; optional.
	Ambient []identity.Authenticator
	// Probe answers below /probe/, where a page finds out which cookies the browser sends; optional.
	Probe http.Handler
	// Host says whether a request's Host (without its port) is one of this server's names; optional. Where a log-in needs no
	// secret, a page whose own name was pointed at this machine (DNS rebinding) must not pass for ours.
	Host func(string) bool
	// Ready says why the server can't serve yet; optional.
	Ready func() error
	// Links are the signed one-click links; optional: without them there are none.
	Links *link.Links
	// PublicURL is the origin that browsers find the server at; empty: the one they ask by.
	PublicURL string
	// Audit is the log of who asked for what; optional: without it there is none.
	Audit Audit
	// TrustedProxies may say by X-Forwarded-For where a request comes from; optional.
	TrustedProxies []netip.Prefix
	// Observe is told of every answer, by route and not by address; optional.
	Observe func(route string, status int, took time.Duration)
}

// API is the handler of the public listener.
type API struct {
	Options
	mux    *http.ServeMux
	pages  *site.Pages
	cross  *http.CrossOriginProtection
	boot   string // tells this run's event ids from another's
	done   chan struct{}
	finish sync.Once
	origin map[string]string // by platform: its session route's origin, for the page's policy
}

// New builds the handler.
func New(o Options) (*API, error) {
	pages, err := site.NewPages(o.Site)
	if err != nil {
		return nil, err
	}
	if o.Observe == nil {
		o.Observe = func(string, int, time.Duration) {}
	}
	if o.Host == nil {
		o.Host = func(string) bool { return true }
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	a := &API{Options: o, mux: http.NewServeMux(), pages: pages, cross: http.NewCrossOriginProtection(), boot: newRequestID()[:8],
		done: make(chan struct{}), origin: map[string]string{}}
	for name, p := range o.Platforms {
		if p.Session == nil {
			continue
		}
		u, err := url.Parse(p.Session.SessionRoute().URL)
		if err != nil {
			return nil, fmt.Errorf("the session route of %s has no valid address", name)
		}
		a.origin[name] = u.Scheme + "://" + u.Host
	}
	a.register()
	return a, nil
}

// Close ends the event streams, so that a server's Shutdown isn't kept waiting by open panels.
func (a *API) Close() { a.finish.Do(func() { close(a.done) }) }

// access says who may call a route.
type access int

const (
	anyone      access = iota
	signedIn           // anyone with a session
	agents             // with a session, and a platform to act on
	supervisors        // with a session, and a role above the agents'
)

// route is one line of the table.
type route struct {
	method  string
	pattern string // a ServeMux path
	who     access
	// page is a route that answers a person: its problems are pages, and without a session it leads to the log-in.
	page bool
	// within bounds how long the answer may take to be written: answerTime if 0; below 0 the handler sees to it.
	within time.Duration
	handle func(*API, http.ResponseWriter, *request) error
}

// table is everything that the public listener serves.
func table() []route {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	return []route{
		{method: get, pattern: "/{$}", who: signedIn, page: true, handle: (*API).panelPage},
		{method: get, pattern: "/login", who: anyone, page: true, handle: (*API).loginPage},
		{method: post, pattern: "/login/{method}", who: anyone, page: true, handle: (*API).loginForm},
		{method: post, pattern: "/logout", who: anyone, page: true, handle: (*API).logoutForm},
		{method: get, pattern: "/panel", who: agents, page: true, handle: (*API).panelFragment},
		{method: get, pattern: "/status", who: agents, page: true, handle: (*API).statusPage},
		{method: post, pattern: "/native/pause", who: agents, page: true, within: actTime, handle: (*API).nativePause},
		{method: post, pattern: "/native/resume", who: agents, page: true, within: actTime, handle: (*API).nativeResume},
		{method: post, pattern: "/native/attest", who: agents, page: true, handle: (*API).nativeAttest},
		{method: get, pattern: "/native/decline", who: agents, page: true, handle: (*API).declinePage},
		{method: post, pattern: "/native/decline", who: agents, page: true, within: actTime, handle: (*API).nativeDecline},

		{method: get, pattern: "/act", who: agents, page: true, handle: (*API).actPage},
		{method: post, pattern: "/act", who: agents, page: true, within: actTime, handle: (*API).actForm},
		{method: post, pattern: "/act/link", who: agents, page: true, within: actTime, handle: (*API).actLink},
		{method: get, pattern: "/act/said", who: agents, handle: (*API).actSaid},

		{method: get, pattern: "/api/v1/me", who: signedIn, handle: (*API).me},
		{method: post, pattern: "/api/v1/login/{method}", who: anyone, handle: (*API).login},
		{method: post, pattern: "/api/v1/logout", who: anyone, handle: (*API).logout},
		{method: get, pattern: "/api/v1/route", who: agents, handle: (*API).route},
		{method: get, pattern: "/api/v1/state", who: agents, handle: (*API).state},
		{method: get, pattern: "/api/v1/events", who: agents, within: -1, handle: (*API).events},
		{method: post, pattern: "/api/v1/attempts", who: agents, handle: (*API).announce},
		{method: get, pattern: "/api/v1/attempts", who: agents, handle: (*API).attempts},
		{method: get, pattern: "/api/v1/attempts/{id}", who: agents, handle: (*API).attempt},
		{method: post, pattern: "/api/v1/attempts/{id}/outcome", who: agents, handle: (*API).outcome},
		{method: post, pattern: "/api/v1/actions", who: signedIn, within: actTime, handle: (*API).act},
		{method: post, pattern: "/api/v1/calls", who: agents, handle: (*API).call},
		{method: get, pattern: "/api/v1/audit", who: supervisors, handle: (*API).audit},
		{method: get, pattern: "/api/v1/audit.csv", who: supervisors, within: assetTime, handle: (*API).auditCSV},
		{method: get, pattern: "/api/v1/links", who: agents, handle: (*API).links},
		{method: post, pattern: "/api/v1/links", who: agents, handle: (*API).makeLink},
		{method: del, pattern: "/api/v1/links/{id}", who: signedIn, handle: (*API).revokeLink},
		{method: get, pattern: "/api/v1/openapi.json", who: anyone, handle: (*API).openAPI},

		{method: get, pattern: site.Prefix + "{name}", who: anyone, within: assetTime, handle: (*API).asset},
		{method: get, pattern: "/favicon.ico", who: anyone, handle: (*API).icon},
		{method: get, pattern: "/probe/", who: anyone, handle: (*API).probe},
		{method: get, pattern: "/healthz", who: anyone, handle: (*API).healthy},
		{method: get, pattern: "/readyz", who: anyone, handle: (*API).ready},
	}
}

// register mounts the table, and for each path an answer to the methods that it doesn't have.
func (a *API) register() {
	allowed := map[string][]string{}
	for _, r := range table() {
		a.mux.Handle(r.method+" "+r.pattern, a.serve(r))
		allowed[r.pattern] = append(allowed[r.pattern], r.method)
		if r.method == http.MethodGet {
			allowed[r.pattern] = append(allowed[r.pattern], http.MethodHead)
		}
	}
	for pattern, methods := range allowed {
		allow := strings.Join(methods, ", ")
		a.mux.Handle(pattern, a.serve(route{pattern: pattern, handle: func(_ *API, w http.ResponseWriter, _ *request) error {
			w.Header().Set("Allow", allow)
			return &problem{status: http.StatusMethodNotAllowed, code: codeInvalid, detail: "This address takes " + allow + " only."}
		}}))
	}
	if _, taken := allowed["/"]; !taken {
		a.mux.Handle("/", a.serve(route{pattern: "(none)", page: true, handle: func(*API, http.ResponseWriter, *request) error {
			return &problem{status: http.StatusNotFound, code: codeInvalid, detail: "There is nothing at this address."}
		}}))
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// agent is who acts on which platform. It may be called on a route for agents only.
func (r *request) agent() dispatch.Agent {
	return agentOf(r.principal)
}

func agentOf(p identity.Principal) dispatch.Agent {
	return dispatch.Agent{Email: p.Email, Platform: p.Platform, ID: p.AgentID}
}
