// Package probe finds out whether a browser sends third-party cookies, on this server's own origin and at top level.
//
// The page puts Handler's frame into itself, sandboxed without allow-same-origin. A sandboxed document belongs to no site,
// so what it requests is third-party even where it comes from the same host: measured in Chromium 156, over https and over
// http on a loopback name, its requests carry a SameSite=None cookie and "Sec-Fetch-Storage-Access: active" where third-party
// cookies are allowed, and no cookie and "inactive" where they are blocked. The frame's script is that request, and the
// server writes the answer into it.
//
// The handler keeps nothing and reads nothing but its own cookie. It sets its own security headers, which nobody may
// tighten: the frame has to be framed by our own pages, and its script is a cross-site request.
package probe

import (
	"fmt"
	"net/http"
	"strings"
)

const (
	// Prefix is where the handler is mounted; its cookie is sent nowhere else.
	Prefix = "/probe/"

	cookie = "offrecord_probe"
)

// Handler answers below Prefix: /probe/frame and /probe/said.js. The frame may stand in our own pages, and in those of ours
// that the pages of the origins frame.
func Handler(origins ...string) http.Handler {
	mux := http.NewServeMux()
	ancestors := strings.Join(append([]string{"'self'"}, origins...), " ")
	mux.HandleFunc("GET "+Prefix+"frame", func(w http.ResponseWriter, _ *http.Request) { frame(w, ancestors) })
	mux.HandleFunc("GET "+Prefix+"said.js", said)
	return mux
}

// frame sets the cookie. In our own page its own request is first-party, so the cookie is always taken; in another site's, it
// is taken where it would be sent.
func frame(w http.ResponseWriter, ancestors string) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: "1", Path: Prefix, MaxAge: 60, Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
	headers(w, "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "+ancestors+"; sandbox allow-scripts; require-trusted-types-for 'script'; trusted-types 'none'")
	fmt.Fprint(w, `<!doctype html><title>Cookie probe</title><script src="`+Prefix+`said.js"></script>`)
}

// said is the third-party request, and tells the page about itself. Only a browser that says so is taken to allow
// third-party cookies: Firefox and Safari don't send the header, and partition what they would send.
func said(w http.ResponseWriter, r *http.Request) {
	world := "blocked"
	if _, err := r.Cookie(cookie); err == nil && r.Header.Get("Sec-Fetch-Storage-Access") == "active" {
		world = "allowed"
	}
	headers(w, "text/javascript; charset=utf-8")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	// The frame has no origin to name, and the answer is no secret; the page checks who sent it.
	fmt.Fprintf(w, "parent.postMessage({offrecord: 'third-party-cookies', world: %q}, '*')\n", world)
}

func headers(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Del("X-Frame-Options")
	h.Del("Cross-Origin-Opener-Policy")
}
