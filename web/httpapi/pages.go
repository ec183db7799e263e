package httpapi

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"mime"
	"net/http"
	"strings"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/site"
)

// page writes a page of ours. platform is the origin that its session route may reach, if any.
func (a *API) page(w http.ResponseWriter, status int, platform string, page any) error {
	ancestors := "'none'"
	switch page := page.(type) {
	case site.StatusPage: // the panel's page shows it where there are no scripts
		ancestors = "'self'"
	case site.MessagePage: // a press in a hidden frame was refused: the page around it, which may be a widget, is to see that
		ancestors = strings.TrimSpace("'self' " + strings.Join(a.EmbedOrigins, " "))
	case site.SamplePage: // of /setup
		ancestors = "'self'"
	case site.WidgetPage:
		ancestors = a.ancestors(page)
	}
	var body bytes.Buffer
	if err := a.pages.Write(&body, page); err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", pagePolicy(platform, ancestors, page))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The frame that carries a press has another name each time: on the way back to a page the browser fills the frame of the same
	// name with what it had, and would send that press again.
	_, err := w.Write(bytes.ReplaceAll(body.Bytes(), []byte(`"offrecord-native"`), []byte(`"offrecord-native-`+rand.Text()[:10]+`"`)))
	return err
}

func (a *API) message(w http.ResponseWriter, _ *request, status int, page site.MessagePage) error {
	return a.page(w, status, "", page)
}

// view is everything the panel shows of an agent.
func (a *API) view(r *request) panel.View {
	agent := r.agent()
	p := a.Platforms[agent.Platform]
	return panel.View{
		Agent:        agent.Email,
		Platform:     agent.Platform,
		PlatformKind: p.Kind,
		CanDecline:   p.Session != nil || p.Ability.Can(recording.DoNotRecord),
		PauseMeans:   p.Ability.Does[recording.Pause],
		Snapshot:     a.Dispatcher.Snapshot(agent),
		Attempts:     a.Dispatcher.Attempts(agent, 20),
		Link:         panel.Live,
		Native:       panel.NativeBefore,
		NativePopup:  a.nativePopup(r, p),
		Now:          time.Now().UTC(),
	}
}

// nativePopup reports whether a native form has to open a window: as configured, or because this browser, as far as its last
// probe found, keeps a frame's cookies back.
func (a *API) nativePopup(r *request, p Platform) bool {
	if p.Session == nil || len(p.Routes) > 0 && p.Routes[0] != recording.RouteSession {
		return false
	}
	switch p.Session.SessionRoute().Transport {
	case recording.TransportPopup:
		return true
	case recording.TransportIframe:
		return false
	}
	name := "offrecord_tpc"
	if a.Secure {
		name = "__Host-" + name // no sister host can set it
	}
	cookie, err := r.Cookie(name)
	return err == nil && cookie.Value == "blocked"
}

func (a *API) draw(v panel.View) template.HTML {
	return template.HTML(a.Panel(v)) // the components escape; a view's text goes into text nodes only
}

// panelPage is GET /.
func (a *API) panelPage(w http.ResponseWriter, r *request) error {
	if _, ok := a.Platforms[r.principal.Platform]; !ok {
		if r.principal.Role.Supervises() {
			http.Redirect(w, r.Request, "/alerts", http.StatusSeeOther)
			return nil
		}
		return a.page(w, http.StatusOK, "", site.MessagePage{Title: "No recording of yours", Text: "You are logged in as " + r.principal.Email +
			", and you have no platform here. Log in as an agent to pause a recording."})
	}
	v := a.view(r)
	elsewhere, _ := foreign(r)
	return a.page(w, http.StatusOK, a.origin[r.principal.Platform], site.PanelPage{Panel: a.draw(v), View: v, Elsewhere: elsewhere, Nav: a.nav(r, "/")})
}

// panelFragment is GET /panel: the panel alone, for a page whose program doesn't run.
func (a *API) panelFragment(w http.ResponseWriter, r *request) error {
	v := a.view(r)
	v.Readiness = plainReadiness(v, a.Platforms[v.Platform].byServer(recording.Pause))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := w.Write([]byte(a.Panel(v)))
	return err
}

// plainReadiness is what the server knows of its own half; the browser's half is looked at by the program alone.
func plainReadiness(v panel.View, byServer bool) panel.Readiness {
	r := panel.Readiness{Checked: true, Ready: v.Snapshot.Ready}
	switch why := v.Snapshot.NotReadyBecause; {
	case why == "":
	case r.Ready:
		r.Notes = append(r.Notes, why)
	default:
		r.Because = append(r.Because, why)
	}
	if v.NativePopup {
		r.Notes = append(r.Notes, "A small window opens for a moment at each press.")
	}
	if !byServer {
		r.Notes = append(r.Notes, "What this browser does with a press isn't checked here. /setup has a test.")
	}
	return r
}

// statusPage is GET /status, for browsers without scripts: it loads itself again.
func (a *API) statusPage(w http.ResponseWriter, r *request) error {
	v := a.view(r)
	page := site.StatusPage{Words: panel.Say(v), At: v.Now.Format("15:04:05 UTC")}
	page.Due, page.Warning = panel.Due(v)
	return a.page(w, http.StatusOK, "", page)
}

func (a *API) nativePause(w http.ResponseWriter, r *request) error {
	return a.native(w, r, recording.Pause)
}

func (a *API) nativeResume(w http.ResponseWriter, r *request) error {
	return a.native(w, r, recording.Resume)
}

// native carries a form's action out, by the server where that is its route. Else it records the attempt and sends the frame
// or popup on to the platform, so that the token is in an answer's Location and never in a page. A form that comes again with
// its id, because a second click cancelled the first answer, is the same attempt and gets the same answer.
func (a *API) native(w http.ResponseWriter, r *request, action recording.Action) error {
	if err := form(r); err != nil {
		return err
	}
	order := dispatch.Order{ID: r.PostForm.Get("id"), Action: action, Reason: r.PostForm.Get("reason"), WithoutRecord: r.PostForm.Get("without_record") == "yes"}
	served, _, err := a.carry(w, r, order, recording.Transport(r.PostForm.Get("transport")))
	if err != nil || !served {
		return err
	}
	return a.carriedOut(w, r)
}

// carry has the server carry an order out and reports that it did; or it records a session attempt and answers with the way
// to the platform.
func (a *API) carry(w http.ResponseWriter, r *request, order dispatch.Order, by recording.Transport) (served bool, attempt recording.Attempt, err error) {
	p := a.Platforms[r.principal.Platform]
	if order.ID == "" {
		order.ID = dispatch.NewID()
	}
	if p.byServer(order.Action) {
		attempt, err = a.order(w, r, r.principal, order)
		return true, attempt, err
	}
	if _, err := a.session(r); err != nil {
		return false, attempt, err
	}
	request := dispatch.Request{ID: order.ID, Action: order.Action, Transport: by, Origin: order.Origin, Reason: order.Reason, Call: order.Call, WithoutRecord: order.WithoutRecord}
	if request.Transport == "" {
		request.Transport = recording.TransportIframe
	}
	location, err := p.Session.SessionURL(order.Action)
	if err != nil {
		return false, attempt, &problem{http.StatusUnprocessableEntity, codeUnsupportedAction, "Your platform can't do this from the browser."}
	}
	attempt, fresh, err := a.Dispatcher.Announce(r.Context(), r.agent(), request)
	if err != nil {
		return false, attempt, err
	}
	if attempt.Outcome == recording.Superseded || (!fresh && a.overtaken(r, attempt)) {
		return false, attempt, a.message(w, r, http.StatusOK, site.MessagePage{Title: "Not sent", Text: "Something newer, or another hold, made this moot. Nothing was sent."})
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
	return false, attempt, nil
}

// carriedOut answers a form whose action went by the server. A hidden frame needs nothing, the panel follows the server; a
// window of its own says what is known.
func (a *API) carriedOut(w http.ResponseWriter, r *request) error {
	if r.Header.Get("Sec-Fetch-Dest") == "iframe" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	say := panel.Say(a.view(r))
	return a.message(w, r, http.StatusOK, site.MessagePage{Title: say.Headline, Text: strings.TrimSpace(say.Card + " " + say.Line)})
}

// declinePage is GET /native/decline: what "Customer declined recording" would do, and the button that does it.
func (a *API) declinePage(w http.ResponseWriter, r *request) error {
	p := a.Platforms[r.principal.Platform]
	page := site.DeclinePage{ID: dispatch.NewID(), Action: "/native/decline", Target: "_self",
		Text: "Your platform has nothing stronger than a pause. The recording is paused without a time limit, and what was recorded so far is kept. Don't resume on this call."}
	switch {
	case p.Ability.Does[recording.DoNotRecord] == recording.DoNotRecord:
		page.Text = "This contact won't be recorded any more: not after a transfer either, and it can't be undone. What was recorded so far is kept."
	case p.Ability.Can(recording.DoNotRecord):
	default: // by the browser, which takes the platform's answer in a window of its own
		page.Action, page.Target, page.Reason = "/native/pause", "offrecord-pause", "customer declined"
	}
	return a.page(w, http.StatusOK, a.origin[p.Name], page)
}

// nativeDecline is POST /native/decline: the panel's button asks first, the page's acts.
func (a *API) nativeDecline(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	if !a.Platforms[r.principal.Platform].byServer(recording.DoNotRecord) || r.PostForm.Get("confirmed") != "yes" {
		return a.declinePage(w, r)
	}
	id := r.PostForm.Get("id")
	if id == "" {
		id = dispatch.NewID()
	}
	if _, err := a.order(w, r, r.principal, dispatch.Order{ID: id, Action: recording.DoNotRecord, Reason: "customer declined"}); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}

// overtaken reports whether a form that came again is to be left alone: a resume after which something newer was asked for.
func (a *API) overtaken(r *request, attempt recording.Attempt) bool {
	newest := a.Dispatcher.Attempts(r.agent(), 1)
	return !attempt.Action.Silences() && len(newest) > 0 && newest[0].ID != attempt.ID
}

// nativeAttest is POST /native/attest: "I paused it there".
func (a *API) nativeAttest(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	a.Dispatcher.Attest(r.Context(), r.agent()) // nothing to attest is no mistake of the agent's
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}

// form reads a form's fields. A body of another kind is no form without fields: what comes with one is from no page of ours.
func form(r *request) error {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if kind, _, err := mime.ParseMediaType(kind); err != nil || kind != "application/x-www-form-urlencoded" {
			return &problem{http.StatusUnsupportedMediaType, codeInvalid, "Send the form as application/x-www-form-urlencoded."}
		}
	}
	if err := r.ParseForm(); err != nil {
		if p := asProblem(err); p != errInternal {
			return p
		}
		return invalid("The form couldn't be read.")
	}
	return nil
}

func (a *API) asset(w http.ResponseWriter, r *request) error {
	if !a.Site.Has(r.PathValue("name")) {
		return &problem{http.StatusNotFound, codeInvalid, "There is no such asset. Load the page again."}
	}
	a.Site.ServeHTTP(w, r.Request)
	return nil
}

// icon is GET /favicon.ico, which browsers ask for beside whatever names no icon of its own.
func (a *API) icon(w http.ResponseWriter, r *request) error {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	at := a.Site.URL("icon.svg")
	if at == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r.Request, at, http.StatusFound)
	return nil
}

func (a *API) probe(w http.ResponseWriter, r *request) error {
	if a.Probe == nil {
		return &problem{http.StatusNotFound, codeInvalid, "There is nothing at this address."}
	}
	a.Probe.ServeHTTP(w, r.Request)
	return nil
}

func (a *API) healthy(w http.ResponseWriter, _ *request) error {
	return answer(w, http.StatusOK, map[string]string{"status": "ok", "version": a.Version})
}

// ready is GET /readyz. A log that can't be written, or a platform that is away, is no reason to send agents elsewhere: a pause
// still goes, and the panel, the alerts and the metrics say what is wrong. A server that is about to end is one.
func (a *API) ready(w http.ResponseWriter, _ *request) error {
	select {
	case <-a.done:
		return &problem{http.StatusServiceUnavailable, codeInternal, "The server is shutting down. Try again in a moment."}
	default:
		return answer(w, http.StatusOK, map[string]string{"status": "ready"})
	}
}

//go:embed openapi.json
var openapi []byte

func (a *API) openAPI(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(openapi)
	return err
}
