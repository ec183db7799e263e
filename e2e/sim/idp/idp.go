// Package idp is an OpenID Connect provider, for the stories in which people sign in with one: a log-in page for people, the
// authorization code flow with PKCE for the companion, and the back channel by which it tells of a log-out.
//
// Discovery, keys and signatures are go-oidc's own test server's; what that leaves out is here, and asks of a client what the
// standards tell a provider to ask. It may import nothing of offrecord.
package idp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"golang.org/x/oauth2"
)

// Client is who may ask for sign-ins.
type Client struct {
	ID, Secret string
	Redirect   string // where its users are sent back
	Logout     string // where it is told of log-outs
}

// Provider is a handler of the provider's origin. Set it up before it is asked.
type Provider struct {
	Client Client
	// People are the addresses of those who can log in here.
	People []string
	// Opener is the policy that cuts the tie of a window to who opened it, as large providers send it; empty for none.
	Opener string

	server oidctest.Server
	issuer string

	mu       sync.Mutex
	key      *rsa.PrivateKey
	kid      string
	sessions map[string]session // by cookie
	codes    map[string]grant
	asked    map[string]int
}

// session is somebody's at the provider. Its name is in what the provider signs.
type session struct{ email, sid string }

// grant is what a code stands for.
type grant struct {
	session
	nonce, challenge string
	made             time.Time
}

// New makes a provider, with a key, that is found at issuer.
func New(issuer string) (*Provider, error) {
	p := &Provider{issuer: issuer, sessions: map[string]session{}, codes: map[string]grant{}, asked: map[string]int{}}
	p.server.SetIssuer(issuer)
	return p, p.Rotate()
}

// Rotate takes a new key and forgets the one before.
func (p *Provider) Rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("making the provider's key: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.kid = key, rand.Text()
	p.server.PublicKeys = []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: p.kid, Algorithm: oidc.RS256}}
	return nil
}

// Asked is how often a path was asked for.
func (p *Provider) Asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

const cookie = "idp_session"

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked[r.URL.Path]++
	p.mu.Unlock()
	if p.Opener != "" {
		w.Header().Set("Cross-Origin-Opener-Policy", p.Opener)
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /auth":
		p.authorize(w, r)
	case "POST /auth":
		p.login(w, r)
	case "POST /token":
		p.token(w, r)
	default:
		p.mu.Lock()
		answer := httptest.NewRecorder()
		p.server.ServeHTTP(answer, r)
		p.mu.Unlock()
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in</title><link rel="icon" href="data:,">
<h1>Who are you?</h1>{{range .People}}<form method="post" action="/auth?{{$.Query}}"><button name="email" value="{{.}}">{{.}}</button></form>{{end}}
<form method="post" action="/auth?{{.Query}}"><button name="email" value="">I don't want to</button></form>`))

// authorize is the authorization endpoint (OpenID Connect Core 1.0, 3.1.2; RFC 7636, 4.3).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != p.Client.ID || q.Get("redirect_uri") != p.Client.Redirect {
		http.Error(w, "This client isn't known, or not there.", http.StatusBadRequest) // and nobody is sent anywhere
		return
	}
	for name, want := range map[string]string{"response_type": "code", "code_challenge_method": "S256"} {
		if q.Get(name) != want {
			p.refuse(w, r, "invalid_request")
			return
		}
	}
	if !strings.Contains(" "+q.Get("scope")+" ", " openid ") || q.Get("state") == "" || q.Get("nonce") == "" || q.Get("code_challenge") == "" {
		p.refuse(w, r, "invalid_request")
		return
	}
	if c, err := r.Cookie(cookie); err == nil {
		p.mu.Lock()
		s, known := p.sessions[c.Value]
		p.mu.Unlock()
		if known {
			p.back(w, r, s)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html")
	page.Execute(w, map[string]any{"People": p.People, "Query": template.URL(r.URL.RawQuery)})
}

// login is the log-in page's form.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	email := r.PostFormValue("email")
	if email == "" {
		p.refuse(w, r, "access_denied")
		return
	}
	s, value := session{email, rand.Text()}, rand.Text()
	p.mu.Lock()
	p.sessions[value] = s
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	p.back(w, r, s)
}

func (p *Provider) back(w http.ResponseWriter, r *http.Request, s session) {
	q, code := r.URL.Query(), rand.Text()
	p.mu.Lock()
	p.codes[code] = grant{s, q.Get("nonce"), q.Get("code_challenge"), time.Now()}
	p.mu.Unlock()
	p.send(w, r, url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.issuer}})
}

func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, code string) {
	p.send(w, r, url.Values{"error": {code}, "state": {r.URL.Query().Get("state")}, "iss": {p.issuer}})
}

func (p *Provider) send(w http.ResponseWriter, r *http.Request, answer url.Values) {
	http.Redirect(w, r, p.Client.Redirect+"?"+answer.Encode(), http.StatusFound)
}

// subject is the name under which the companion knows somebody: no address, and the same each time.
func subject(email string) string { return "subject of " + email }

// token is the token endpoint (RFC 6749, 4.1.3; RFC 7636, 4.6). A code is good once and for a minute.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	p.mu.Lock()
	code := r.PostFormValue("code")
	g, known := p.codes[code]
	delete(p.codes, code)
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	fail := func(status int, why string) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": why})
	}
	switch {
	case id != p.Client.ID || secret != p.Client.Secret:
		fail(http.StatusUnauthorized, "invalid_client")
		return
	case r.PostFormValue("grant_type") != "authorization_code":
		fail(http.StatusBadRequest, "unsupported_grant_type")
		return
	case !known, time.Since(g.made) > time.Minute, r.PostFormValue("redirect_uri") != p.Client.Redirect,
		oauth2.S256ChallengeFromVerifier(r.PostFormValue("code_verifier")) != g.challenge:
		fail(http.StatusBadRequest, "invalid_grant")
		return
	}
	now := time.Now()
	json.NewEncoder(w).Encode(map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 60, "id_token": p.sign(map[string]any{
		"iss": p.issuer, "aud": p.Client.ID, "sub": subject(g.email), "sid": g.sid, "email": g.email, "email_verified": true, "nonce": g.nonce,
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "auth_time": now.Unix()})})
}

func (p *Provider) sign(claims map[string]any) string {
	text, _ := json.Marshal(claims)
	p.mu.Lock()
	defer p.mu.Unlock()
	return oidctest.SignIDToken(p.key, p.kid, oidc.RS256, string(text))
}

// LogOut ends somebody's sessions and tells the client of each (OpenID Connect Back-Channel Logout 1.0). It returns the tokens
// that the client took.
func (p *Provider) LogOut(ctx context.Context, by *http.Client, email string) (taken []string, err error) {
	p.mu.Lock()
	var ended []session
	for value, s := range p.sessions {
		if s.email == email {
			ended = append(ended, s)
			delete(p.sessions, value)
		}
	}
	p.mu.Unlock()
	for _, s := range ended {
		now := time.Now()
		token := p.sign(map[string]any{"iss": p.issuer, "aud": p.Client.ID, "sub": subject(s.email), "sid": s.sid, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
		status, err := p.Tell(ctx, by, token)
		if err != nil {
			return taken, err
		}
		if status != http.StatusOK {
			return taken, fmt.Errorf("the client answered a log-out token with %d", status)
		}
		taken = append(taken, token)
	}
	return taken, nil
}

// Tell brings a log-out token to the client.
func (p *Provider) Tell(ctx context.Context, by *http.Client, token string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Client.Logout, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := by.Do(r)
	if err != nil {
		return 0, fmt.Errorf("telling the client of a log-out: %w", err)
	}
	return answer.StatusCode, answer.Body.Close()
}
