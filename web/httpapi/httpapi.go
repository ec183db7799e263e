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
	// Logins are the ways to log in at /api/v1/login/{name}: demo, by form at /login/demo, too, and embed.
	Logins map[identity.Way]identity.Authenticator
	// Provider signs people in at /login/oidc; optional.
	Provider Provider
	// Ambient are the ways that need no log-in, asked in order where a request brings no bearer; optional.
	Ambient []identity.Authenticator
	// Probe answers below /probe/, where a page finds out which cookies the browser sends; optional.
	Probe http.Handler
	// Host says whether a request's Host (without its port) is one of this server's names; optional. Where a log-in needs no
	// secret, a page whose own name was pointed at this machine (DNS rebinding) must not pass for ours.
	Host func(string) bool
	// Links are the signed one-click links; optional: without them there are none.
	Links *link.Links
	// EmbedOrigins are the origins whose pages may frame the widget; none by default.
	EmbedOrigins []string
	// PublicURL is the origin that browsers find the server at; empty: the one they ask by.
	PublicURL string
	// Alerts are the faults that need a person; optional: without them there are none.
	Alerts Alerts
	// Evidence is what the recordings show; optional: without it there is none.
	Evidence *Evidence
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
	mux     *http.ServeMux
	nowhere http.Handler // answers what no route is for
	pages   *site.Pages
	cross   *http.CrossOriginProtection
	boot    string // tells this run's event ids from another's
	sealer  *identity.Sealer
	handed  *identity.Handovers
	done    chan struct{}
	finish  sync.Once
	limits  *limits
	helpers helpers
	origin  map[string]string // by platform: its session route's origin, for the page's policy
	pageFor map[string]access // the pages that there are, and for whom
	// searching is held by who searches the chats.
	searching chan struct{}
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
	if o.Alerts == nil {
		o.Alerts = noAlerts{}
	}
	a := &API{Options: o, mux: http.NewServeMux(), pages: pages, cross: http.NewCrossOriginProtection(), boot: newRequestID()[:8],
		sealer: identity.NewSealer(), handed: identity.NewHandovers(),
		done: make(chan struct{}), limits: newLimits(), origin: map[string]string{}, pageFor: map[string]access{}, searching: make(chan struct{}, 1)}
	if a.EmbedOrigins, err = canonical(o.EmbedOrigins); err != nil {
		return nil, fmt.Errorf("who may frame the widget: %w", err)
	}
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
	watchers           // agents, and supervisors, who may have no platform
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
	// free is a route that a pause, or knowing of one, needs: it is asked for as often as anyone likes.
	free   bool
	handle func(*API, http.ResponseWriter, *request) error
}

// table is everything that the public listener serves.
func table() []route {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	return []route{
		{method: get, pattern: "/{$}", who: signedIn, free: true, page: true, handle: (*API).panelPage},
		{method: get, pattern: "/login", who: anyone, page: true, handle: (*API).loginPage},
		{method: post, pattern: "/login/demo", who: anyone, page: true, handle: (*API).loginForm},
		{method: get, pattern: "/login/oidc", who: anyone, page: true, handle: (*API).oidcBegin},
		{method: get, pattern: "/login/oidc/callback", who: anyone, page: true, handle: (*API).oidcFinish},
		{method: post, pattern: "/login/oidc/backchannel", who: anyone, handle: (*API).oidcLogout},
		{method: get, pattern: "/login/popup", who: anyone, page: true, handle: (*API).popupPage},
		{method: post, pattern: "/login/popup", who: anyone, handle: (*API).popupBegin},
		{method: get, pattern: confirmPath, who: signedIn, page: true, handle: (*API).popupAsk},
		{method: post, pattern: confirmPath, who: signedIn, page: true, handle: (*API).popupGive},
		{method: post, pattern: "/logout", who: anyone, page: true, handle: (*API).logoutForm},
		{method: get, pattern: "/panel", who: agents, free: true, page: true, handle: (*API).panelFragment},
		{method: get, pattern: "/status", who: agents, free: true, page: true, handle: (*API).statusPage},
		{method: post, pattern: "/native/pause", who: agents, free: true, page: true, within: actTime, handle: (*API).nativePause},
		{method: post, pattern: "/native/resume", who: agents, free: true, page: true, within: actTime, handle: (*API).nativeResume},
		{method: post, pattern: "/native/attest", who: agents, free: true, page: true, handle: (*API).nativeAttest},
		{method: post, pattern: "/native/extend", who: agents, free: true, page: true, handle: (*API).nativeExtend},
		{method: get, pattern: "/native/decline", who: agents, free: true, page: true, handle: (*API).declinePage},
		{method: post, pattern: "/native/decline", who: agents, free: true, page: true, within: actTime, handle: (*API).nativeDecline},

		{method: get, pattern: "/alerts", who: supervisors, page: true, handle: (*API).alertsPage},
		{method: post, pattern: "/alerts", who: supervisors, page: true, handle: (*API).alertsForm},
		{method: get, pattern: "/evidence", who: supervisors, page: true, handle: (*API).evidencePage},
		{method: post, pattern: "/evidence", who: supervisors, page: true, handle: (*API).evidenceRunForm},
		{method: get, pattern: "/evidence/chats", who: supervisors, page: true, within: time.Minute, handle: (*API).evidenceChats},
		{method: get, pattern: "/evidence/chats/{id}/delete", who: supervisors, page: true, handle: (*API).evidenceChatAsk},
		{method: post, pattern: "/evidence/chats/{id}/delete", who: supervisors, page: true, within: actTime, handle: (*API).evidenceChatDelete},
		{method: get, pattern: "/evidence/{id}", who: supervisors, page: true, handle: (*API).evidenceCall},
		{method: get, pattern: "/evidence/{id}/audio", who: supervisors, page: true, within: assetTime, handle: (*API).evidenceAudio},
		{method: get, pattern: "/evidence/{id}/delete", who: supervisors, page: true, handle: (*API).evidenceDeletePage},
		{method: post, pattern: "/evidence/{id}/delete", who: supervisors, page: true, within: actTime, handle: (*API).evidenceDelete},
		{method: get, pattern: "/act", who: agents, free: true, page: true, handle: (*API).actPage},
		{method: post, pattern: "/act", who: agents, free: true, page: true, within: actTime, handle: (*API).actForm},
		{method: post, pattern: "/act/link", who: agents, free: true, page: true, within: actTime, handle: (*API).actLink},
		{method: get, pattern: "/act/said", who: agents, free: true, handle: (*API).actSaid},

		{method: get, pattern: "/api/v1/me", who: signedIn, handle: (*API).me},
		{method: post, pattern: "/api/v1/login/demo", who: anyone, handle: (*API).loginDemo},
		{method: post, pattern: "/api/v1/login/embed", who: anyone, handle: (*API).loginEmbed},
		{method: post, pattern: "/api/v1/login/popup", who: anyone, handle: (*API).loginPopup},
		{method: post, pattern: "/api/v1/logout", who: anyone, handle: (*API).logout},
		{method: get, pattern: "/api/v1/route", who: agents, free: true, handle: (*API).route},
		{method: get, pattern: "/api/v1/state", who: agents, free: true, handle: (*API).state},
		{method: get, pattern: "/api/v1/events", who: watchers, free: true, within: -1, handle: (*API).events},
		{method: post, pattern: "/api/v1/attempts", who: agents, free: true, handle: (*API).announce},
		{method: get, pattern: "/api/v1/attempts", who: agents, handle: (*API).attempts},
		{method: get, pattern: "/api/v1/attempts/{id}", who: agents, handle: (*API).attempt},
		{method: post, pattern: "/api/v1/attempts/{id}/outcome", who: agents, free: true, handle: (*API).outcome},
		{method: post, pattern: "/api/v1/actions", who: signedIn, free: true, within: actTime, handle: (*API).act},
		{method: post, pattern: "/api/v1/pauses/{id}/extend", who: agents, free: true, handle: (*API).extend},
		{method: post, pattern: "/api/v1/calls", who: agents, free: true, handle: (*API).call},
		{method: get, pattern: "/api/v1/audit", who: supervisors, handle: (*API).audit},
		{method: get, pattern: "/api/v1/audit.csv", who: supervisors, within: assetTime, handle: (*API).auditCSV},
		{method: get, pattern: "/api/v1/alerts", who: supervisors, handle: (*API).alerts},
		{method: post, pattern: "/api/v1/alerts/{id}/ack", who: supervisors, handle: (*API).acknowledge},
		{method: get, pattern: "/api/v1/evidence", who: supervisors, handle: (*API).evidenceList},
		{method: get, pattern: "/api/v1/evidence/runs", who: supervisors, handle: (*API).evidenceRuns},
		{method: post, pattern: "/api/v1/evidence/runs", who: supervisors, handle: (*API).evidenceRun},
		{method: get, pattern: "/api/v1/evidence/report", who: supervisors, handle: (*API).evidenceReport},
		{method: get, pattern: "/api/v1/links", who: agents, handle: (*API).links},
		{method: post, pattern: "/api/v1/links", who: agents, handle: (*API).makeLink},
		{method: del, pattern: "/api/v1/links/{id}", who: signedIn, handle: (*API).revokeLink},
		{method: get, pattern: "/api/v1/openapi.json", who: anyone, handle: (*API).openAPI},

		{method: get, pattern: "/setup", who: watchers, page: true, handle: (*API).setupPage},
		{method: get, pattern: "/setup/sample", who: supervisors, page: true, handle: (*API).samplePage},
		{method: get, pattern: "/helper", who: agents, free: true, page: true, handle: (*API).helperPage},
		{method: post, pattern: "/helper/next", who: agents, free: true, within: time.Minute, handle: (*API).helperNext},
		{method: post, pattern: "/helper/take", who: agents, free: true, handle: (*API).helperTake},
		{method: get, pattern: "/widget/helper", who: agents, free: true, handle: (*API).helperOpen},
		{method: post, pattern: "/widget/helper", who: agents, free: true, handle: (*API).helperAsk},
		{method: get, pattern: "/act/here", who: anyone, free: true, page: true, handle: (*API).herePage},
		{method: get, pattern: "/widget", who: anyone, free: true, page: true, handle: (*API).widgetPage},
		{method: get, pattern: "/widget/session", who: anyone, free: true, handle: (*API).widgetWho},
		{method: post, pattern: "/widget/session", who: signedIn, handle: (*API).widgetSession},
		{method: post, pattern: "/widget/logout", who: anyone, handle: (*API).widgetLogout},
		{method: post, pattern: "/widget/pass", who: agents, handle: (*API).widgetPass},
		{method: get, pattern: "/embed/{name}", who: anyone, free: true, handle: (*API).embedFile},

		{method: get, pattern: site.Prefix + "{name}", who: anyone, free: true, within: assetTime, handle: (*API).asset},
		{method: get, pattern: "/favicon.ico", who: anyone, free: true, handle: (*API).icon},
		{method: get, pattern: "/probe/", who: anyone, free: true, handle: (*API).probe},
		{method: get, pattern: "/healthz", who: anyone, free: true, handle: (*API).healthy},
		{method: get, pattern: "/readyz", who: anyone, free: true, handle: (*API).ready},
	}
}

// Route is a line of the table, for who tries them all.
type Route struct {
	Method, Pattern string // a ServeMux pattern
	Open            bool   // for anyone, with a session or without
	Page            bool   // for a person
	Free            bool   // never rate-limited
}

// Routes lists everything that the public listener serves.
func Routes() (all []Route) {
	for _, r := range table() {
		all = append(all, Route{r.method, r.pattern, r.who == anyone, r.page, r.free})
	}
	return all
}

// register mounts the table, and for each path an answer to the methods that it doesn't have.
func (a *API) register() {
	allowed := map[string][]string{}
	for _, r := range table() {
		a.mux.Handle(r.method+" "+r.pattern, a.serve(r))
		if r.page && r.method == http.MethodGet {
			a.pageFor[r.pattern] = r.who
		}
		allowed[r.pattern] = append(allowed[r.pattern], r.method)
		if r.method == http.MethodGet {
			allowed[r.pattern] = append(allowed[r.pattern], http.MethodHead)
		}
	}
	// Without methods, a path may lie within another's, as /evidence/chats does within /evidence/{id}: so they have a mux of their own.
	others := http.NewServeMux()
	for pattern, methods := range allowed {
		allow := strings.Join(methods, ", ")
		others.Handle(pattern, a.serve(route{pattern: pattern, handle: func(_ *API, w http.ResponseWriter, _ *request) error {
			w.Header().Set("Allow", allow)
			return &problem{status: http.StatusMethodNotAllowed, code: codeInvalid, detail: "This address takes " + allow + " only."}
		}}))
	}
	a.nowhere = a.serve(route{pattern: "(none)", page: true, handle: func(*API, http.ResponseWriter, *request) error {
		return &problem{status: http.StatusNotFound, code: codeInvalid, detail: "There is nothing at this address."}
	}})
	others.Handle("/", a.nowhere)
	a.mux.Handle("/", others)
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.headers(w) // the mux answers some requests by itself
	if !clean(r.URL) {
		a.nowhere.ServeHTTP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// agent is who acts on which platform. It may be called on a route for agents only.
func (r *request) agent() dispatch.Agent {
	return agentOf(r.principal)
}

func agentOf(p identity.Principal) dispatch.Agent {
	return dispatch.Agent{Email: p.Email, Platform: p.Platform, ID: p.AgentID}
}
