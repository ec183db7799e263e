package httpapi

import (
	"errors"
	"net/http"
	"time"

	"offrecord/web/audit"
	"offrecord/web/identity"
	"offrecord/web/site"
)

// cookieName is the session cookie's. The prefix makes browsers insist on Secure, no Domain and Path=/ (RFC 6265bis); plain
// http, which is for loopback only, can't have it.
func (a *API) cookieName() string {
	if a.Secure {
		return "__Host-offrecord"
	}
	return "offrecord"
}

func (a *API) cookie(token string, age time.Duration) *http.Cookie {
	seconds := int(age / time.Second)
	if token == "" {
		seconds = -1
	}
	return &http.Cookie{Name: a.cookieName(), Value: token, Path: "/", MaxAge: seconds, Secure: a.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// begin logs someone in and returns the new session's token.
func (a *API) begin(r *request) (string, error) {
	way, ok := a.Logins[r.PathValue("method")]
	if !ok {
		return "", &problem{http.StatusNotFound, codeInvalid, "There is no such way to log in here."}
	}
	email, err := way.Authenticate(r.Request)
	if err != nil {
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			return "", err
		case errors.Is(err, identity.ErrRefused):
			a.noteSignIn(r, email, true)
			return "", &problem{http.StatusUnauthorized, codeUnauthenticated, "The log-in was refused. Try again, or ask who runs this server."}
		}
		return "", invalid("The log-in couldn't be read; /api/v1/openapi.json describes it.")
	}
	who, ok := a.Directory.Find(email)
	if !ok {
		a.noteSignIn(r, email, true)
		return "", &problem{http.StatusUnauthorized, codeUnauthenticated, "This address isn't known here. Check it, or ask who runs this server to add it."}
	}
	var presented string
	if cookie, err := r.Cookie(a.cookieName()); err == nil {
		presented = cookie.Value
	}
	r.principal = who
	a.noteSignIn(r, who.Email, false)
	return a.Sessions.Begin(identity.SignIn{Email: who.Email, Way: identity.Way(r.PathValue("method"))}, presented), nil
}

// login is POST /api/v1/login/{method}.
func (a *API) login(w http.ResponseWriter, r *request) error {
	token, err := a.begin(r)
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(token, identity.MaxAge))
	return answer(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}{token, "Bearer", int(identity.MaxAge / time.Second)})
}

// loginForm is POST /login/{method}, for browsers without the program.
func (a *API) loginForm(w http.ResponseWriter, r *request) error {
	token, err := a.begin(r)
	if err != nil {
		if p := asProblem(err); p.status == http.StatusUnauthorized || p.status == http.StatusBadRequest {
			return a.showLogin(w, r, p.status, p.detail)
		}
		return err
	}
	http.SetCookie(w, a.cookie(token, identity.MaxAge))
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}

func (a *API) loginPage(w http.ResponseWriter, r *request) error {
	return a.showLogin(w, r, http.StatusOK, "")
}

// offered is how many agents a demo's log-in page lists.
const offered = 12

func (a *API) showLogin(w http.ResponseWriter, _ *request, status int, notice string) error {
	page := site.LoginPage{Notice: notice}
	if _, demo := a.Logins["demo"]; demo {
		for _, p := range a.Directory.All() {
			if page.More = len(page.Agents) == offered; !page.More {
				page.Agents = append(page.Agents, site.LoginAgent{Email: p.Email, Platform: p.Platform, Role: string(p.Role)})
			}
		}
	}
	return a.page(w, status, "", page)
}

// logout is POST /api/v1/logout. It is no error to be logged out already.
func (a *API) logout(w http.ResponseWriter, r *request) error {
	a.end(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logoutForm is POST /logout.
func (a *API) logoutForm(w http.ResponseWriter, r *request) error {
	a.end(w, r)
	http.Redirect(w, r.Request, "/login", http.StatusSeeOther)
	return nil
}

func (a *API) end(w http.ResponseWriter, r *request) {
	if r.principal.Email != "" {
		a.note(r, audit.Record{Kind: audit.SignOut})
	}
	if err := a.Sessions.End(r.token); err != nil {
		a.Log.Error("a log-out isn't durable yet", "request_id", r.id, "error", err)
	}
	http.SetCookie(w, a.cookie("", 0))
}

func (a *API) me(w http.ResponseWriter, r *request) error {
	return answer(w, http.StatusOK, r.principal)
}
