package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"offrecord/web/audit"
	"offrecord/web/identity"
	"offrecord/web/identity/oidc"
)

// Provider is an OpenID Connect provider's client, as the handlers need it.
type Provider interface {
	// Host is the provider's name, for people.
	Host() string
	// Begin starts a sign-in that leads to an address of ours: where to send the browser, the flow's name, and what the
	// browser is to bring back.
	Begin(ctx context.Context, next string) (address, name, carried string, err error)
	// Finish ends it with the provider's answer: who it is, and where to lead on.
	Finish(ctx context.Context, carried string, answer url.Values) (who identity.Vouched, next string, err error)
	// LogOut verifies the provider's word that somebody has logged out.
	LogOut(ctx context.Context, token string) (subject, sid string, err error)
}

// flowCookie carries what a browser has to bring back to where it is in the midst of signing in. Lax, because the way back
// begins at another site.
func (a *API) flowCookie(name, value string) *http.Cookie {
	c := a.cookie(value, oidc.FlowTime)
	c.Name += "-" + name
	return c
}

// oidcBegin is GET /login/oidc: off to the provider. A link on another site may lead here; what comes of it is a sign-in of
// whoever follows it, as themselves.
func (a *API) oidcBegin(w http.ResponseWriter, r *request) error {
	if a.Provider == nil {
		return errNoWay
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	address, name, carried, err := a.Provider.Begin(r.Context(), returnTo(r.URL.Query().Get("return")))
	if err != nil {
		return a.loginFailed(w, r, a.turnedAway(r, identity.ByOIDC, "", err))
	}
	http.SetCookie(w, a.flowCookie(name, carried))
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// oidcFinish is GET /login/oidc/callback: back from the provider.
func (a *API) oidcFinish(w http.ResponseWriter, r *request) error {
	if a.Provider == nil {
		return errNoWay
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	answer := r.URL.Query()
	var carried string
	name := oidc.Name(answer.Get("state"))
	if cookie, err := r.Cookie(a.flowCookie(name, "").Name); err == nil {
		carried = cookie.Value
		http.SetCookie(w, a.flowCookie(name, ""))
	}
	vouched, next, err := a.Provider.Finish(r.Context(), carried, answer)
	if err != nil {
		err = a.turnedAway(r, identity.ByOIDC, vouched.Email, err)
		if asProblem(err).status == http.StatusUnauthorized {
			err = &problem{http.StatusUnauthorized, codeUnauthenticated, "The log-in didn't come to its end: it was cancelled, took too long, or was begun in another browser. Log in again."}
		}
		r.Form, r.PostForm = url.Values{}, url.Values{"return": {next}}
		return a.loginFailed(w, r, err)
	}
	token, err := a.admit(r, identity.ByOIDC, vouched)
	if err != nil {
		return a.loginFailed(w, r, err)
	}
	a.enter(w, r, token, next)
	return nil
}

// oidcLogout is POST /login/oidc/backchannel: the provider's server says that somebody has logged out there (OpenID Connect
// Back-Channel Logout 1.0, 2.5 to 2.8).
func (a *API) oidcLogout(w http.ResponseWriter, r *request) error {
	if a.Provider == nil {
		return errNoWay
	}
	if err := form(r); err != nil {
		return err
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 {
		return invalid("Send one logout_token in a form.")
	}
	subject, sid, err := a.Provider.LogOut(r.Context(), tokens[0])
	switch {
	case errors.Is(err, identity.ErrRefused):
		a.Log.Warn("a log-out by the provider was refused", "request_id", r.id, "error", err)
		return invalid("The logout_token isn't good.")
	case err != nil:
		return a.turnedAway(r, identity.ByOIDC, "", err)
	}
	whose, err := a.Sessions.EndOf(subject, sid)
	for _, email := range whose {
		a.note(r, audit.Record{Kind: audit.SignOut, Agent: audit.NewID(email), Detail: audit.NewText("at the provider")})
	}
	if err != nil {
		return fmt.Errorf("ending the sessions of a log-out by the provider: %w", err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
