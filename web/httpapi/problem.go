package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"offrecord/web/dispatch"
	"offrecord/web/site"
)

// code is a problem's stable name.
type code string

// The codes, as the design names them; internal is ours alone to mend.
const (
	codeUnauthenticated   code = "unauthenticated"
	codeForbidden         code = "forbidden"
	codeInvalid           code = "invalid"
	codeIDReused          code = "id_reused"
	codeUnsupportedAction code = "unsupported_action"
	codeNotYoursToSay     code = "not_yours_to_say"
	codeLogUnavailable    code = "log_unavailable"
	codeRateLimited       code = "rate_limited"
	codeInternal          code = "internal"
)

// What a frame that waits for its sign-in is told; no problems.
const (
	codePending   code = "pending"
	codeNeedsCode code = "code_needed"
	codeWrongCode code = "code_wrong"
)

// problem is an answer that isn't what was asked for (RFC 9457). Its detail is a sentence for a person, and repeats nothing
// that was sent.
type problem struct {
	status int
	code   code
	detail string
}

func (p *problem) Error() string { return string(p.code) + ": " + p.detail }

var (
	errUnauthenticated = &problem{http.StatusUnauthorized, codeUnauthenticated, "You are not logged in, or not any more. Log in again."}
	errStranger        = &problem{http.StatusUnauthorized, codeUnauthenticated, "You are signed in at your company, and your address isn't known here. Ask who runs this server to add it."}
	errNoPlatform      = &problem{http.StatusForbidden, codeForbidden, "You have no platform, so there is no recording of yours. Ask who runs this server to add one."}
	errNotSupervisor   = &problem{http.StatusForbidden, codeForbidden, "This is for supervisors. Ask one, or ask who runs this server for the role."}
	errInternal        = &problem{http.StatusInternalServerError, codeInternal, "Something went wrong on our side. Try again; if it stays, tell who runs this server the request's id."}
)

func invalid(detail string) error { return &problem{http.StatusBadRequest, codeInvalid, detail} }

// asProblem finds the problem behind an error; what isn't known is our own fault and shows nothing.
func asProblem(err error) *problem {
	var p *problem
	var wrong dispatch.InvalidError
	var refused dispatch.RefusedError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wrong):
		return &problem{http.StatusBadRequest, codeInvalid, wrong.Error()}
	case errors.As(err, &refused):
		return &problem{http.StatusConflict, codeInvalid, refused.Error()}
	case errors.Is(err, dispatch.ErrNoPause):
		return &problem{http.StatusNotFound, codeInvalid, "There is no such pause of yours."}
	case errors.As(err, &large):
		return &problem{http.StatusRequestEntityTooLarge, codeInvalid, "The request is too large: at most 64 KiB."}
	case errors.Is(err, dispatch.ErrIDReused):
		return &problem{http.StatusConflict, codeIDReused, "This id was used for another attempt. Take a new one."}
	case errors.Is(err, dispatch.ErrUnsupported):
		return &problem{http.StatusUnprocessableEntity, codeUnsupportedAction, "Your platform can't do this by the server; GET /api/v1/route says what it can. Nothing was sent."}
	case errors.Is(err, dispatch.ErrNotFound):
		return &problem{http.StatusNotFound, codeInvalid, "There is no such attempt of yours."}
	case errors.Is(err, dispatch.ErrNotYours):
		return &problem{http.StatusUnprocessableEntity, codeNotYoursToSay, "A browser can't confirm an effect. Only the platform can."}
	case errors.Is(err, dispatch.ErrLog):
		return &problem{http.StatusServiceUnavailable, codeLogUnavailable, "The log can't be written, so nothing was done. Try again, or resume without record."}
	}
	return errInternal
}

// fail answers with an error's problem: as a page on a page's route, else as a problem document.
func (a *API) fail(w http.ResponseWriter, r *request, rt route, err error) {
	p := asProblem(err)
	if p == errInternal && err != error(errInternal) {
		a.Log.Error("a request failed", "route", rt.pattern, "request_id", r.id, "error", err)
	}
	if !(p == errUnauthenticated && rt.page && r.Method == http.MethodGet) { // who isn't logged in yet was refused nothing
		a.refused(r, rt, p)
	}
	if rt.page {
		if p == errUnauthenticated && r.Method == http.MethodGet && (rt.pattern == "/{$}" || rt.pattern == confirmPath) {
			http.Redirect(w, r.Request, loginPath(r.URL.Path), http.StatusSeeOther)
			return
		}
		if p == errUnauthenticated && r.Method == http.MethodGet && rt.pattern != "/act" && returnTo(rt.pattern) == rt.pattern && takesHTML(r.Header.Get("Accept")) {
			http.Redirect(w, r.Request, loginPath(rt.pattern), http.StatusSeeOther)
			return
		}
		if p == errUnauthenticated && r.Method == http.MethodGet && rt.pattern == "/act" && takesHTML(r.Header.Get("Accept")) {
			a.logInToAct(w, r)
			return
		}
		if !strings.HasPrefix(r.URL.Path, "/api/") && takesHTML(r.Header.Get("Accept")) {
			a.message(w, r, p.status, site.MessagePage{Title: headline(p.status), Text: p.detail, RequestID: r.id, LogIn: p.status == http.StatusUnauthorized})
			return
		}
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="offrecord"`)
	}
	body := struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      code   `json:"code"`
		RequestID string `json:"request_id"`
	}{"about:blank", http.StatusText(p.status), p.status, p.detail, p.code, r.id}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	json.NewEncoder(w).Encode(body) // who asked may be gone
}

// headline is a status for a person.
func headline(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "You are not logged in"
	case status == http.StatusForbidden:
		return "That isn't for you"
	case status == http.StatusNotFound:
		return "Nothing is here"
	case status == http.StatusTooManyRequests:
		return "Too much at once"
	case status >= http.StatusInternalServerError:
		return "Something went wrong"
	}
	return "That didn't work"
}

func takesHTML(accept string) bool {
	return strings.Contains(accept, "text/html") || strings.Contains(accept, "*/*")
}

// answer writes a JSON body.
func answer(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}

// read reads a JSON body into a struct and refuses keys that it doesn't have.
func read(r *request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{http.StatusUnsupportedMediaType, codeInvalid, "Send the body as application/json."}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return invalid("The body isn't the JSON object that is expected here; /api/v1/openapi.json describes it.")
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("The body must be one JSON object and nothing after it.")
	}
	return nil
}
