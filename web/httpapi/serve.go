package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"offrecord/web/identity"
	"offrecord/web/site"
)

const (
	// maxBody bounds what a request may send, in bytes.
	maxBody = 64 << 10
	// answerTime bounds how long an answer may take to be written.
	answerTime = 30 * time.Second
	// actTime is an action's: longer than any attempt may take, which is 2 minutes.
	actTime = 3 * time.Minute
	// assetTime is an asset's: the program takes a while on a slow line.
	assetTime = 10 * time.Minute
)

// request is a request with what was found out about it.
type request struct {
	*http.Request
	id        string
	principal identity.Principal
	token     string // the session's, if there is one
	byCookie  bool
	stranger  bool // a proxy vouches for someone whom the directory doesn't know

	refusalNoted bool
}

// serve wraps a route in everything that holds for all of them.
func (a *API) serve(rt route) http.Handler {
	name := strings.TrimSpace(rt.method + " " + rt.pattern)
	return http.HandlerFunc(func(plain http.ResponseWriter, httpRequest *http.Request) {
		began := time.Now()
		r := &request{Request: httpRequest, id: newRequestID()}
		w := &recorder{ResponseWriter: plain}
		w.Header().Set("X-Request-Id", r.id)
		if rt.within >= 0 {
			http.NewResponseController(plain).SetWriteDeadline(began.Add(cmp.Or(rt.within, answerTime))) // not every writer can
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		aborted := false
		defer func() {
			took := time.Since(began)
			a.Observe(name, w.status, took)
			level := slog.LevelInfo
			if w.status >= 500 {
				level = slog.LevelError
			}
			// The route and not the address: an address may hold what must not be logged.
			a.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "answered", slog.String("route", name), slog.Int("status", w.status), slog.Duration("took", took),
				slog.String("request_id", r.id), slog.String("agent", r.principal.Email), slog.String("from", a.from(r)))
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				aborted = true
				return
			}
			a.Log.Error("a handler panicked", "route", name, "request_id", r.id, "cause", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
			if w.status != 0 {
				aborted = true // half an answer must not look like a whole one
				return
			}
			a.fail(w, r, rt, errInternal)
		}()
		if err := a.handle(rt, w, r); err != nil {
			if w.status != 0 {
				a.Log.Warn("an answer broke off", "route", name, "request_id", r.id, "error", err)
				return
			}
			a.fail(w, r, rt, err)
		}
	})
}

// handle finds out who asks, checks that they may, and calls the route's handler.
func (a *API) handle(rt route, w http.ResponseWriter, r *request) error {
	if a.inPopup(r) {
		w.Header().Set("Cross-Origin-Opener-Policy", "unsafe-none")
	}
	if err := fits(r); err != nil {
		return err
	}
	if !a.Host(hostOf(r.Host)) {
		return &problem{status: http.StatusMisdirectedRequest, code: codeForbidden, detail: "This server isn't known by that name. Open it by the address that it printed, or set public_url."}
	}
	if err := a.identify(r); err != nil {
		return err
	}
	if err := a.sameOrigin(rt, r); err != nil {
		return err
	}
	if rt.who != anyone && r.principal.Email == "" {
		if err := a.pay(w, r, door); err != nil {
			return err
		}
		if r.stranger {
			return errStranger
		}
		return errUnauthenticated
	}
	if err := a.pay(w, r, rt.limit()); err != nil {
		return err
	}
	if err := a.may(r.principal, rt.who); err != nil {
		return err
	}
	if rt.within < 0 {
		release, err := a.stream(w, r)
		if err != nil {
			return err
		}
		defer release()
	}
	r.Request = r.WithContext(context.WithValue(r.Context(), askerKey{}, a.asker(r)))
	return rt.handle(a, w, r)
}

// may is nil if someone who is known may call a route that is for those.
func (a *API) may(p identity.Principal, who access) error {
	_, acts := a.Platforms[p.Platform]
	switch {
	case who == agents && !acts, who == watchers && !acts && !p.Role.Supervises():
		return errNoPlatform
	case who == supervisors && !p.Role.Supervises():
		return errNotSupervisor
	}
	return nil
}

// identify finds out who asks: by bearer, which nothing else makes up for; by what a proxy says, which is said anew with each
// request and so outranks a cookie; by the session's cookie; and by the widget's.
func (a *API) identify(r *request) error {
	if token, ok := bearerOf(r); ok {
		if p, ok := a.Sessions.Use(token); ok {
			r.principal, r.token = p, token
		}
		return nil
	}
	for _, way := range a.Ambient {
		vouched, err := way.Authenticate(r.Request)
		switch {
		case errors.Is(err, identity.ErrUntrusted):
			a.Log.Warn("a header that says who someone is came from somebody who may not say so, and is ignored", "request_id", r.id, "peer", r.RemoteAddr)
			continue
		case errors.Is(err, identity.ErrNoCredentials):
			continue
		case err != nil:
			a.Log.Warn("what a proxy says of someone was refused", "request_id", r.id, "error", err)
			return errUnauthenticated
		}
		r.byCookie = true // sent by itself, like a cookie
		var known bool
		if r.principal, known = a.Directory.Find(vouched.Email); !known {
			r.stranger = true
		}
		return nil
	}
	for _, name := range []string{a.cookieName(), a.widgetCookieName()} {
		cookie, err := r.Cookie(name)
		if err != nil || name == a.widgetCookieName() && !ofWidget(r) {
			continue
		}
		r.byCookie = true
		if p, ok := a.Sessions.Use(cookie.Value); ok {
			r.principal, r.token = p, cookie.Value
			return nil
		}
	}
	return nil
}

// bearerOf is the token that a program sends, and whether it sends one. Credentials of another kind are none of ours: a browser
// sends them by itself to a server behind a proxy that once asked for them.
func bearerOf(r *request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, strings.EqualFold(scheme, "Bearer")
}

// ofWidget reports whether the widget's cookie counts: where the widget itself asks, or is loaded. The browser sends it along
// with whatever the page around the widget asks of us as well.
func ofWidget(r *request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" ||
		r.Method == http.MethodGet && r.URL.Path == "/widget" && r.Header.Get("Sec-Fetch-Dest") == "iframe"
}

// sameOrigin refuses what another site makes a browser send. A bearer isn't sent by itself, so it needs no such check.
//
// Of what is for who is known, another site may have a browser open a page, as every link does, and nothing else: it can't
// frame it, load it as a picture or a script, or ask for it and look how long that takes.
func (a *API) sameOrigin(rt route, r *request) error {
	if _, ok := bearerOf(r); ok {
		return nil
	}
	crossed := &problem{status: http.StatusForbidden, code: codeForbidden, detail: "This request came from another site. Open the panel and try there."}
	if err := a.cross.Check(r.Request); err != nil {
		return crossed
	}
	from, toOpen := foreign(r)
	if from && rt.who != anyone && !(rt.page && toOpen) {
		return crossed
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	// What CrossOriginProtection lets pass: a request with neither header, which it takes for a program's and which may be an
	// old browser's; and one whose Origin names our host by plain http, where a browser doesn't say Sec-Fetch-Site.
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site == "" && origin == "" && (r.byCookie || rt.begins()) && !preflighted(r) {
		return crossed
	}
	if site == "" && a.Secure && strings.HasPrefix(strings.ToLower(origin), "http:") {
		return crossed
	}
	return nil
}

// preflighted reports whether a browser would have asked us first before it let another site send this (Fetch, "CORS-safelisted
// request-header"): no form sends JSON. So it comes from our own page or from a program.
func preflighted(r *request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// begins reports whether a browser may get a session from the route. Another site must not log it in as somebody else.
func (rt route) begins() bool {
	return rt.who == anyone && rt.method == http.MethodPost && strings.Contains(rt.pattern, "/login/") && !strings.HasSuffix(rt.pattern, "/backchannel")
}

func hostOf(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return hostPort
}

// from is the address that a request comes from, as far as a trusted proxy's word goes.
func (a *API) from(r *request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	at := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && a.trusted(at); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		at = next.Unmap()
	}
	return at.String()
}

func (a *API) trusted(ip netip.Addr) bool {
	for _, network := range a.TrustedProxies {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// Shut sets the headers of an answer that is no page: nothing may be made of it, framed, kept or sent on.
func Shut(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'") // an icon is asked for with everything
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", permissions)
	h.Set("Cache-Control", "no-store")
}

// headers are on every answer; a handler may replace them.
func (a *API) headers(w http.ResponseWriter) {
	Shut(w.Header())
	if a.Secure {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// permissions takes away what a browser could give a page and no page of ours asks for.
const permissions = "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), encrypted-media=(), geolocation=(), gyroscope=(), hid=(), identity-credentials-get=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-create=(), serial=(), usb=(), xr-spatial-tracking=()"

// pagePolicy is the policy of a page of ours: own scripts and styles, and where one is given the platform's origin for the
// session route. A form's answer is a redirect to the platform, so the platform is among the forms' targets.
//
// No page may make script of a text (Trusted Types). The two that the program runs on have its loader's two policies, which
// take the program's own drawings, and the server's own drawing of the panel.
func pagePolicy(platform, ancestors string, page any) string {
	if platform != "" {
		platform = " " + platform
	}
	wasm, trusted, media := "", "'none'", ""
	switch page.(type) {
	case site.PanelPage, site.WidgetPage:
		wasm, trusted = " 'wasm-unsafe-eval'", "default offrecord"
	case site.EvidenceCallPage:
		media = "; media-src 'self'"
	}
	return "default-src 'none'; script-src 'self'" + wasm + media + "; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'" + platform +
		"; frame-src 'self'" + platform + "; form-action 'self'" + platform + "; worker-src 'none'; base-uri 'none'; frame-ancestors " + ancestors +
		"; require-trusted-types-for 'script'; trusted-types " + trusted
}

// newRequestID is of letters, for the most part: what looks like a card number is masked in the log, and an id of mere digits may.
func newRequestID() string { return strings.ToLower(rand.Text()) }

// recorder remembers an answer's status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
