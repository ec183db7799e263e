package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"offrecord/web/audit"
	"offrecord/web/identity"
	"offrecord/web/site"
)

// The panel in another company's page: the loader that such a page includes, and the widget that the loader frames.
//
// A frame of another site gets the ordinary session cookie from no browser, and would not be given it: a cookie that goes
// with every request of a foreign page is what SameSite=Lax keeps away. So the widget's own session is a cookie of its own,
// kept apart by the browser for each site that embeds it (Partitioned). Where a browser has no such cookies, the widget holds
// its session's token in memory.

// widgetCookieName is the cookie of a session that was begun in a frame.
func (a *API) widgetCookieName() string { return a.cookieName() + "-widget" }

// widgetCookie is that cookie. Browsers take it over plain http on loopback, although it is Secure.
func (a *API) widgetCookie(token string) *http.Cookie {
	c := a.cookie(token, identity.MaxAge)
	c.Name, c.Secure, c.SameSite, c.Partitioned = a.widgetCookieName(), true, http.SameSiteNoneMode, true
	return c
}

// widgetPage is GET /widget. Who isn't known is shown how to sign in: the page that frames it may do that, too.
func (a *API) widgetPage(w http.ResponseWriter, r *request) error {
	page := site.WidgetPage{Origins: strings.Join(a.EmbedOrigins, " ")}
	if asks := r.URL.Query().Get("origin"); asks == a.home(r) || asks == a.here(r) { // the sample of /setup
		page.Origins, page.Previewed = asks, true
	}
	var platform string
	if p, known := a.Platforms[r.principal.Platform]; known {
		if want := r.URL.Query().Get("platform"); want != "" && want != p.Name {
			page.Notice = "You are signed in for " + p.Name + ", and this page is about " + shorten(want) + ". Sign in as somebody else, or ask who runs this page."
		} else {
			v := a.view(r)
			platform, page.Panel, page.View = a.origin[p.Name], a.draw(v), v
		}
	} else if r.principal.Email != "" {
		page.Notice = "You are signed in as " + r.principal.Email + ", and you have no recording of your own here."
	}
	if page.Panel == "" { // who signs in here gets the panel in this very page, whose policy can't change
		platform = strings.Join(slices.Compact(slices.Sorted(maps.Values(a.origin))), " ")
	}
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // a page with Cross-Origin-Embedder-Policy may frame it, too
	return a.page(w, http.StatusOK, platform, page)
}

func shorten(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}

// ancestors are the origins that may frame the widget; a page of our own sees to itself.
func (a *API) ancestors(page site.WidgetPage) string {
	switch {
	case page.Previewed:
		return "'self'"
	case len(a.EmbedOrigins) == 0:
		return "'none'"
	}
	return strings.Join(a.EmbedOrigins, " ")
}

// widgetWho is GET /widget/session: whose session the cookies of this frame are. That they are nobody's is no error.
func (a *API) widgetWho(w http.ResponseWriter, r *request) error {
	return answer(w, http.StatusOK, map[string]string{"email": r.principal.Email})
}

// widgetSession is POST /widget/session: a widget that has logged in asks for its session as a cookie, so that the next page
// of the CRM begins with it.
func (a *API) widgetSession(w http.ResponseWriter, r *request) error {
	if r.token == "" || r.byCookie {
		return invalid("This is for the token that a log-in answered with.")
	}
	http.SetCookie(w, a.widgetCookie(r.token))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// widgetLogout is POST /widget/logout: the widget's session ends, and no other.
func (a *API) widgetLogout(w http.ResponseWriter, r *request) error {
	if r.principal.Email != "" {
		a.note(r, audit.Record{Kind: audit.SignOut})
	}
	a.Sessions.End(r.token)
	gone := a.widgetCookie("")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// widgetPass is POST /widget/pass: an agent opens guarded fields although the recording isn't known to be paused. It is
// written down, with the agent's reason, before the answer.
func (a *API) widgetPass(w http.ResponseWriter, r *request) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if strings.TrimSpace(body.Reason) == "" || len(body.Reason) > 200 {
		return invalid("Say why, in one short line.")
	}
	state := a.Dispatcher.Snapshot(r.agent())
	record := audit.Record{Kind: audit.GuardPassed, Reason: audit.NewText(body.Reason), Call: audit.NewID(state.Call), Detail: audit.NewText("while the state was " + string(state.State))}
	if err := a.note(r, record); err != nil {
		return &problem{http.StatusServiceUnavailable, codeLogUnavailable, "It couldn't be written down. Try again."}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// embedded are the files at addresses that never change, because other companies' pages name them.
var embedded = []string{"v1.js", "v1.d.ts"}

// embedFile is GET /embed/{name}. Any page may load it; there is nothing in it that isn't public.
func (a *API) embedFile(w http.ResponseWriter, r *request) error {
	name := r.PathValue("name")
	if !slices.Contains(embedded, name) || a.Site.URL(name) == "" {
		return &problem{http.StatusNotFound, codeInvalid, "There is nothing at this address. The loader is at /embed/v1.js."}
	}
	h := w.Header()
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*")
	a.Site.ServeLatest(w, r.Request, name)
	return nil
}
