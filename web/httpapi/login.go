package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
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

// errNoWay says that a way to log in isn't configured.
var errNoWay = &problem{http.StatusNotFound, codeInvalid, "There is no such way to log in here."}

// begin logs someone in by what the request holds, and returns the new session's token.
func (a *API) begin(w http.ResponseWriter, r *request, by identity.Way) (token string, err error) {
	way, ok := a.Logins[by]
	if !ok {
		return "", errNoWay
	}
	vouched, err := way.Authenticate(r.Request)
	if err != nil {
		err = a.turnedAway(r, by, vouched.Email, err)
	} else {
		token, err = a.admit(r, by, vouched)
	}
	if err != nil {
		return "", a.missed(w, r, err)
	}
	return token, nil
}

// turnedAway is the problem of a log-in that failed; why is for the log.
func (a *API) turnedAway(r *request, by identity.Way, email string, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return err
	case errors.Is(err, identity.ErrRefused):
		a.Log.Warn("a log-in was refused", "way", by, "request_id", r.id, "error", err)
		a.noteSignIn(r, by, email, true)
		return &problem{http.StatusUnauthorized, codeUnauthenticated, "The log-in was refused. Try again, or ask who runs this server."}
	case errors.Is(err, identity.ErrAway):
		a.Log.Error("a log-in can't be judged", "way", by, "request_id", r.id, "error", err)
		return &problem{http.StatusServiceUnavailable, codeInternal, "Nobody can log in this way now. Try again in a moment; if it stays, tell who runs this server."}
	}
	return invalid("The log-in couldn't be read; /api/v1/openapi.json describes it.")
}

// admit begins the session of someone who is vouched for, if the directory knows them.
func (a *API) admit(r *request, by identity.Way, vouched identity.Vouched) (string, error) {
	who, ok := a.Directory.Find(vouched.Email)
	if !ok {
		a.noteSignIn(r, by, vouched.Email, true)
		return "", &problem{http.StatusUnauthorized, codeUnauthenticated, "This address isn't known here. Check it, or ask who runs this server to add it."}
	}
	if vouched.Platform != "" && vouched.Platform != who.Platform {
		a.noteSignIn(r, by, vouched.Email, true)
		return "", &problem{http.StatusUnauthorized, codeUnauthenticated, "This log-in is for another platform than this agent's. Ask who runs the page that you came from."}
	}
	var presented string
	if cookie, err := r.Cookie(a.cookieName()); err == nil && !by.Framed() {
		presented = cookie.Value
	}
	r.principal = who
	a.noteSignIn(r, by, who.Email, false)
	return a.Sessions.Begin(identity.SignIn{Email: who.Email, Way: by, Subject: vouched.Subject, SID: vouched.SID, Since: vouched.Since}, presented), nil
}

// bearer answers a log-in of the API.
func bearer(w http.ResponseWriter, token string, life time.Duration) error {
	return answer(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}{token, "Bearer", int(life / time.Second)})
}

// loginDemo is POST /api/v1/login/demo.
func (a *API) loginDemo(w http.ResponseWriter, r *request) error {
	token, err := a.begin(w, r, identity.ByDemo)
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(token, identity.MaxAge))
	return bearer(w, token, identity.MaxAge)
}

// loginEmbed is POST /api/v1/login/embed: a CRM's token. It sets no cookie; a frame asks for one that is its own.
func (a *API) loginEmbed(w http.ResponseWriter, r *request) error {
	token, err := a.begin(w, r, identity.ByEmbed)
	if err != nil {
		return err
	}
	return bearer(w, token, identity.ByEmbed.Idle())
}

// loginForm is POST /login/demo, for browsers without the program.
func (a *API) loginForm(w http.ResponseWriter, r *request) error {
	token, err := a.begin(w, r, identity.ByDemo)
	if err != nil {
		return a.loginFailed(w, r, err)
	}
	a.enter(w, r, token, r.PostForm.Get("return"))
	return nil
}

// loginFailed shows the log-in page again, with what to do.
func (a *API) loginFailed(w http.ResponseWriter, r *request, err error) error {
	switch p := asProblem(err); p.status {
	case http.StatusUnauthorized, http.StatusBadRequest, http.StatusServiceUnavailable:
		return a.showLogin(w, r, p.status, p.detail)
	}
	return err
}

// enter sets the session's cookie and leads on.
func (a *API) enter(w http.ResponseWriter, r *request, token, to string) {
	http.SetCookie(w, a.cookie(token, identity.MaxAge))
	http.Redirect(w, r.Request, returnTo(to), http.StatusSeeOther)
}

func (a *API) loginPage(w http.ResponseWriter, r *request) error {
	return a.showLogin(w, r, http.StatusOK, "")
}

// offered is how many agents a demo's log-in page lists.
const offered = 12

func (a *API) showLogin(w http.ResponseWriter, r *request, status int, notice string) error {
	page := site.LoginPage{Notice: notice, Return: returnTo(cmp.Or(r.URL.Query().Get("return"), r.PostForm.Get("return")))}
	if a.Provider != nil {
		page.Provider = a.Provider.Host()
	}
	_, page.CRM = a.Logins[identity.ByEmbed]
	page.Proxy = len(a.Ambient) > 0
	if _, demo := a.Logins[identity.ByDemo]; demo {
		for _, p := range a.Directory.All() {
			if page.More = len(page.Agents) == offered; !page.More {
				page.Agents = append(page.Agents, site.LoginAgent{Email: p.Email, Platform: p.Platform, Role: string(p.Role)})
			}
		}
	}
	return a.page(w, status, "", page)
}

// loginPath is the log-in page's address, for who is to be led on from there.
func loginPath(to string) string {
	if to = returnTo(to); to == "/" {
		return "/login"
	}
	return "/login?" + url.Values{"return": {to}}.Encode()
}

// logout is POST /api/v1/logout. It is no error to be logged out already.
func (a *API) logout(w http.ResponseWriter, r *request) error {
	a.end(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logoutForm is POST /logout.
func (a *API) logoutForm(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	a.end(w, r)
	http.Redirect(w, r.Request, loginPath(r.PostForm.Get("return")), http.StatusSeeOther)
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
