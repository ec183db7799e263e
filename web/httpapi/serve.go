package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
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

	refusalNoted bool
}

// serve wraps a route in everything that holds for all of them.
func (a *API) serve(rt route) http.Handler {
	name := strings.TrimSpace(rt.method + " " + rt.pattern)
	return http.HandlerFunc(func(plain http.ResponseWriter, httpRequest *http.Request) {
		began := time.Now()
		r := &request{Request: httpRequest, id: newRequestID()}
		w := &recorder{ResponseWriter: plain}
		a.headers(w, r)
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
	if !a.Host(hostOf(r.Host)) {
		return &problem{status: http.StatusMisdirectedRequest, code: codeForbidden, detail: "This server isn't known by that name. Open it by the address that it printed, or set public_url."}
	}
	if err := a.identify(r); err != nil {
		return err
	}
	if err := a.sameOrigin(r); err != nil {
		return err
	}
	if rt.who != anyone && r.principal.Email == "" {
		return errUnauthenticated
	}
	if rt.who == agents {
		if _, ok := a.Platforms[r.principal.Platform]; !ok {
			return errNoPlatform
		}
	}
	if rt.who == supervisors && !r.principal.Role.Supervises() {
		return errNotSupervisor
	}
	r.Request = r.WithContext(context.WithValue(r.Context(), askerKey{}, a.asker(r)))
	return rt.handle(a, w, r)
}

// identify finds the session by bearer or cookie, and else asks the ambient ways. A bearer that is no good isn't made up for
// by a cookie.
func (a *API) identify(r *request) error {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "Bearer") {
			if p, ok := a.Sessions.Use(token); ok {
				r.principal, r.token = p, token
			}
		}
		return nil
	}
	if cookie, err := r.Cookie(a.cookieName()); err == nil {
		r.byCookie = true
		if p, ok := a.Sessions.Use(cookie.Value); ok {
			r.principal, r.token = p, cookie.Value
			return nil
		}
	}
	for _, way := range a.Ambient {
		email, err := way.Authenticate(r.Request)
		if errors.Is(err, identity.ErrNoCredentials) {
			continue
		}
		if err != nil {
			return errUnauthenticated
		}
		r.byCookie = true // sent by itself, like a cookie
		r.principal, _ = a.Directory.Find(email)
		return nil
	}
	return nil
}

// sameOrigin refuses what another site makes a browser send. A bearer isn't sent by itself, so it needs no such check.
func (a *API) sameOrigin(r *request) error {
	if r.Header.Get("Authorization") != "" {
		return nil
	}
	crossed := &problem{status: http.StatusForbidden, code: codeForbidden, detail: "This request came from another site. Open the panel and try there."}
	if err := a.cross.Check(r.Request); err != nil {
		return crossed
	}
	// CrossOriginProtection takes a request with neither header for a program's. One with a cookie may be an old browser's.
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if r.byCookie && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" && !preflighted(r) {
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

// headers are on every answer; a handler may replace them.
func (a *API) headers(w http.ResponseWriter, r *request) {
	h := w.Header()
	h.Set("X-Request-Id", r.id)
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'") // an icon is asked for with everything
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=(), browsing-topics=()")
	h.Set("Cache-Control", "no-store")
	if a.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// pagePolicy is the policy of a page of ours: own scripts and styles, and where one is given the platform's origin for the
// session route. A form's answer is a redirect to the platform, so the platform is among the forms' targets.
func pagePolicy(platform, ancestors string) string {
	if platform != "" {
		platform = " " + platform
	}
	return "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'" + platform +
		"; frame-src 'self'" + platform + "; form-action 'self'" + platform + "; base-uri 'none'; frame-ancestors " + ancestors
}

func newRequestID() string {
	var bits [16]byte
	rand.Read(bits[:]) // never fails
	return hex.EncodeToString(bits[:])
}

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
