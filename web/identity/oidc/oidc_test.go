package oidc_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"golang.org/x/oauth2"

	"offrecord/web/identity"
	"offrecord/web/identity/oidc"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const (
	issuer       = "https://id.example"
	callback     = "https://offrecord.example/login/oidc/callback"
	clientSecret = "canary-client-secret"
)

type object = map[string]any

// provider is an OpenID Connect provider: go-oidc's own for discovery, keys and signing, and the token endpoint that it
// leaves out. It is reached without a network.
type provider struct {
	oidctest.Server
	key *rsa.PrivateKey
	kid string

	mu       sync.Mutex
	codes    map[string]grant
	asked    map[string]int          // requests, by path
	discover func(object)            // changes the discovery document
	answer   func(object)            // changes the token endpoint's answer
	away     func(path string) error // for that path, there is nobody
	userinfo object
}

// grant is what a code stands for.
type grant struct{ challenge, token string }

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{codes: map[string]grant{}, asked: map[string]int{}, discover: func(object) {}, answer: func(object) {}, away: func(string) error { return nil }}
	p.SetIssuer(issuer)
	p.rotate(t, "first")
	return p
}

// rotate takes a new key and forgets the one before.
func (p *provider) rotate(t testing.TB, kid string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.key, p.kid = key, kid
	p.PublicKeys = []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: kid, Algorithm: "RS256"}}
}

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "id.example" {
		return nil, errors.New("a request to " + r.URL.Host)
	}
	p.mu.Lock()
	p.asked[r.URL.Path]++
	err := p.away(r.URL.Path)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	switch r.URL.Path {
	case "/token":
		p.token(w, r)
	case "/userinfo":
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(p.userinfo)
	case "/.well-known/openid-configuration":
		p.Server.ServeHTTP(w, r)
		var document object
		json.Unmarshal(w.Body.Bytes(), &document)
		p.discover(document)
		w = httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(document)
	default:
		p.Server.ServeHTTP(w, r)
	}
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// token is the token endpoint (RFC 6749, 4.1.3; RFC 7636, 4.6).
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	id, password, _ := r.BasicAuth()
	p.mu.Lock()
	g, known := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	p.mu.Unlock()
	body, status := object{"access_token": "at", "token_type": "Bearer", "id_token": g.token}, http.StatusOK
	if !known || id != "offrecord" || password != clientSecret || r.PostForm.Get("redirect_uri") != callback ||
		oauth2.S256ChallengeFromVerifier(r.PostForm.Get("code_verifier")) != g.challenge {
		body, status = object{"error": "invalid_grant", "error_description": "canary-description"}, http.StatusBadRequest
	}
	p.answer(body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func (p *provider) client(t testing.TB) (*oidc.Client, *bytes.Buffer) {
	t.Helper()
	log, used := new(bytes.Buffer), map[string]bool{}
	return oidc.New(oidc.Config{
		Issuer: issuer, ClientID: "offrecord", Secret: secret.New(clientSecret), Redirect: callback,
		Upstream: upstream.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return p }},
		Log:      slog.New(slog.NewTextHandler(log, nil)),
		Once: func(_ context.Context, of, id string, _ time.Time) (bool, error) {
			first := !used[of+id]
			used[of+id] = true
			return first, nil
		},
	}), log
}

// sign signs claims as the provider does.
func (p *provider) sign(claims object) string {
	raw, _ := json.Marshal(claims)
	return oidctest.SignIDToken(p.key, p.kid, "RS256", string(raw))
}

// flow is a sign-in that has come to the provider.
type flow struct {
	carried string
	asked   url.Values // what the browser came to the provider with
	claims  object     // of the ID token that it would give
}

func begin(t testing.TB, c *oidc.Client) flow {
	t.Helper()
	address, name, carried, err := c.Begin(t.Context(), "/act?action=pause")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme+"://"+u.Host+u.Path != issuer+"/auth" {
		t.Fatalf("%s, %v", address, err)
	}
	q := u.Query()
	for name, want := range map[string]string{"response_type": "code", "client_id": "offrecord", "redirect_uri": callback, "scope": "openid email", "code_challenge_method": "S256"} {
		if q.Get(name) != want {
			t.Errorf("%s is %q", name, q.Get(name))
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 43 || strings.Contains(carried, q.Get(name)) {
			t.Errorf("%s is %q", name, q.Get(name))
		}
	}
	if name != oidc.Name(q.Get("state")) {
		t.Errorf("its name is %q", name)
	}
	now := time.Now().Unix()
	return flow{carried, q, object{"iss": issuer, "aud": "offrecord", "sub": "b1", "sid": "s1", "email": "bill@acme.example", "email_verified": true, "iat": now, "exp": now + 300, "nonce": q.Get("nonce")}}
}

// back is what the provider sends the browser back with, for a code of this token.
func (p *provider) back(f flow, token string) url.Values {
	code := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code] = grant{f.asked.Get("code_challenge"), token}
	return url.Values{"state": {f.asked.Get("state")}, "code": {code}}
}

func TestASignIn(t *testing.T) {
	p := newProvider(t)
	c, log := p.client(t)
	f := begin(t, c)
	answer := p.back(f, p.sign(f.claims))
	who, next, err := c.Finish(t.Context(), f.carried, answer)
	if err != nil || who != (identity.Vouched{Email: "bill@acme.example", Subject: "b1", SID: "s1"}) || next != "/act?action=pause" {
		t.Fatalf("%+v %q %v", who, next, err)
	}
	// It is over with that.
	if _, _, err := c.Finish(t.Context(), f.carried, answer); !errors.Is(err, identity.ErrRefused) {
		t.Errorf("again: %v", err)
	}
	if p.asked["/token"] != 1 {
		t.Errorf("%d codes were exchanged", p.asked["/token"])
	}
	// The provider changes its keys: the next sign-in is as good.
	p.rotate(t, "second")
	f = begin(t, c)
	if _, _, err := c.Finish(t.Context(), f.carried, p.back(f, p.sign(f.claims))); err != nil {
		t.Errorf("after it changed its keys: %v", err)
	}
	if p.asked["/.well-known/openid-configuration"] != 1 || p.asked["/keys"] != 2 {
		t.Errorf("asked %v", p.asked)
	}
	if c.Host() != "id.example" {
		t.Errorf("its name is %q", c.Host())
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log: %s", log)
	}
}

// A provider's document may say how the client has to show its secret; nothing is tried twice, a code is good once.
func TestTheSecretIsShownAsTheProviderWants(t *testing.T) {
	for _, tt := range []struct {
		methods []string
		good    bool
	}{{nil, true}, {[]string{"client_secret_basic", "client_secret_post"}, true}, {[]string{"client_secret_post"}, false}, {[]string{"private_key_jwt"}, true}} {
		p := newProvider(t)
		p.discover = func(d object) { d["token_endpoint_auth_methods_supported"] = tt.methods }
		c, _ := p.client(t)
		f := begin(t, c)
		_, _, err := c.Finish(t.Context(), f.carried, p.back(f, p.sign(f.claims)))
		if (err == nil) != tt.good || p.asked["/token"] != 1 { // the test's endpoint takes it in the header only
			t.Errorf("%v: %v, asked %d times", tt.methods, err, p.asked["/token"])
		}
	}
}

func TestWhatDoesNotSignIn(t *testing.T) {
	p := newProvider(t)
	p.discover = func(d object) { d["userinfo_endpoint"] = issuer + "/userinfo" }
	p.userinfo = object{"sub": "b1", "email": "bill@acme.example", "email_verified": true}
	other := newProvider(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*provider, flow) string {
		return func(p *provider, f flow) string {
			claims := maps.Clone(f.claims)
			if value == nil {
				delete(claims, name)
			} else {
				claims[name] = value
			}
			return p.sign(claims)
		}
	}
	hash := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	now := time.Now().Unix()
	tests := []struct {
		name   string
		token  func(*provider, flow) string
		change func(f *flow, answer url.Values)
		good   bool
	}{
		{name: "as it should be", good: true},
		{name: "the answer's own issuer", change: func(_ *flow, a url.Values) { a.Set("iss", issuer) }, good: true},
		{name: "verified, in words", token: claim("email_verified", "true"), good: true},
		{name: "verified isn't said", token: claim("email_verified", nil), good: true},
		{name: "a thin token, with userinfo", token: claim("email", nil), good: true},
		{name: "several audiences, given to us", token: func(p *provider, f flow) string {
			claims := maps.Clone(f.claims)
			claims["aud"], claims["azp"] = []string{"other", "offrecord"}, "offrecord"
			return p.sign(claims)
		}, good: true},
		{name: "the access token's hash", token: claim("at_hash", hash("at")), good: true},

		{name: "another state", change: func(_ *flow, a url.Values) { a.Set("state", rand.Text()) }},
		{name: "no state", change: func(_ *flow, a url.Values) { a.Del("state") }},
		{name: "two states", change: func(_ *flow, a url.Values) { a.Add("state", "x") }},
		{name: "another browser", change: func(f *flow, _ url.Values) { f.carried = "" }},
		{name: "another browser's flow", change: func(f *flow, _ url.Values) {
			c, _ := p.client(t)
			f.carried = begin(t, c).carried
		}},
		{name: "a changed flow", change: func(f *flow, _ url.Values) { f.carried = "A" + f.carried[1:] }},
		{name: "no code", change: func(_ *flow, a url.Values) { a.Del("code") }},
		{name: "two codes", change: func(_ *flow, a url.Values) { a.Add("code", "x") }},
		{name: "a made-up code", change: func(_ *flow, a url.Values) { a.Set("code", "made-up") }},
		{name: "another flow's code", change: func(_ *flow, a url.Values) { // PKCE
			a.Set("code", p.back(flow{asked: url.Values{"code_challenge": {"x"}}}, "x").Get("code"))
		}},
		{name: "an answer of another provider", change: func(_ *flow, a url.Values) { a.Set("iss", "https://evil.example") }},
		{name: "a refusal", change: func(_ *flow, a url.Values) { a.Set("error", "access_denied") }},
		{name: "a refusal and a code", change: func(_ *flow, a url.Values) { a.Set("error", "canary-error") }},

		{name: "another nonce", token: claim("nonce", "x")},
		{name: "no nonce", token: claim("nonce", nil)},
		{name: "another issuer", token: claim("iss", "https://evil.example")},
		{name: "an issuer with a slash", token: claim("iss", issuer+"/")},
		{name: "another audience", token: claim("aud", "other")},
		{name: "given to another client", token: claim("azp", "other")},
		{name: "several audiences, given to nobody", token: claim("aud", []string{"other", "offrecord"})},
		{name: "expired", token: claim("exp", now-1)},
		{name: "without end", token: claim("exp", nil)},
		{name: "not yet good", token: claim("nbf", now+3600)},
		{name: "of nobody", token: claim("sub", nil)},
		{name: "another access token's hash", token: claim("at_hash", hash("other"))},
		{name: "not verified", token: claim("email_verified", false)},
		{name: "not verified, in words", token: claim("email_verified", "false")},
		{name: "an email that is a list", token: claim("email", []string{"bill@acme.example"})},

		{name: "another provider's key", token: func(_ *provider, f flow) string { return other.sign(f.claims) }},
		{name: "another kind of key", token: func(p *provider, f flow) string {
			raw, _ := json.Marshal(f.claims)
			return oidctest.SignIDToken(ec, p.kid, "ES256", string(raw))
		}},
		{name: "no signature", token: func(_ *provider, f flow) string { return encode(object{"alg": "none"}) + "." + encode(f.claims) + "." }},
		{name: "no signature, said to be ours", token: func(p *provider, f flow) string {
			return encode(object{"alg": "RS256", "kid": p.kid}) + "." + encode(f.claims) + "."
		}},
		{name: "the public key as a secret", token: func(p *provider, f flow) string {
			der, _ := x509.MarshalPKIXPublicKey(p.key.Public())
			input := encode(object{"alg": "HS256", "kid": p.kid}) + "." + encode(f.claims)
			m := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			io.WriteString(m, input)
			return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
		}},
		{name: "our secret", token: func(p *provider, f flow) string { // a client's secret is no key of the provider's
			input := encode(object{"alg": "HS256"}) + "." + encode(f.claims)
			m := hmac.New(sha256.New, []byte(clientSecret))
			io.WriteString(m, input)
			return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
		}},
		{name: "crit", token: func(p *provider, f flow) string {
			input := encode(object{"alg": "RS256", "kid": p.kid, "crit": []string{"x"}, "x": 1}) + "." + encode(f.claims)
			sum := sha256.Sum256([]byte(input))
			signature, _ := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
			return input + "." + base64.RawURLEncoding.EncodeToString(signature)
		}},
		{name: "nonsense", token: func(*provider, flow) string { return "a.b.c" }},
		{name: "nothing", token: func(*provider, flow) string { return "" }},
	}
	c, log := p.client(t)
	refused := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := begin(t, c)
			token := tt.token
			if token == nil {
				token = func(p *provider, f flow) string { return p.sign(f.claims) }
			}
			answer := p.back(f, token(p, f))
			if tt.change != nil {
				tt.change(&f, answer)
			}
			who, _, err := c.Finish(t.Context(), f.carried, answer)
			if tt.good {
				if err != nil || who.Email != "bill@acme.example" {
					t.Errorf("%+v, %v", who, err)
				}
				return
			}
			refused++
			if !errors.Is(err, identity.ErrRefused) {
				t.Errorf("%+v, %v", who, err)
			} else if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats what came: %v", err)
			}
		})
	}
	for name, info := range map[string]object{"somebody else's userinfo": {"sub": "b2", "email": "bill@acme.example"}, "a userinfo that isn't verified": {"sub": "b1", "email": "bill@acme.example", "email_verified": false},
		"a userinfo without an address": {"sub": "b1"}} {
		p.userinfo = info
		f := begin(t, c)
		delete(f.claims, "email")
		if who, _, err := c.Finish(t.Context(), f.carried, p.back(f, p.sign(f.claims))); !errors.Is(err, identity.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		refused++
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log: %s", log)
	}
	t.Logf("%d sign-ins refused", refused)
}

func encode(v any) string {
	raw, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestASignInTakesItsTime(t *testing.T) {
	p := newProvider(t)
	synctest.Test(t, func(t *testing.T) {
		c, _ := p.client(t)
		f, late := begin(t, c), begin(t, c)
		time.Sleep(oidc.FlowTime - time.Second)
		f.claims["exp"] = time.Now().Add(time.Minute).Unix()
		if _, _, err := c.Finish(t.Context(), f.carried, p.back(f, p.sign(f.claims))); err != nil {
			t.Errorf("within its time: %v", err)
		}
		time.Sleep(time.Second)
		late.claims["exp"] = time.Now().Add(time.Minute).Unix()
		if _, _, err := c.Finish(t.Context(), late.carried, p.back(late, p.sign(late.claims))); !errors.Is(err, identity.ErrRefused) {
			t.Errorf("after its time: %v", err)
		}
	})
}

func TestAProviderThatIsAway(t *testing.T) {
	p := newProvider(t)
	synctest.Test(t, func(t *testing.T) {
		c, log := p.client(t)
		var away atomic.Bool
		away.Store(true)
		p.away = func(string) error {
			if away.Load() {
				return errors.New("canary-network")
			}
			return nil
		}
		if err := c.Check(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
		if _, _, _, err := c.Begin(t.Context(), "/"); !errors.Is(err, identity.ErrAway) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() { c.Find(ctx); close(done) }()
		time.Sleep(10 * time.Minute)
		p.mu.Lock()
		looks := p.asked["/.well-known/openid-configuration"]
		p.mu.Unlock()
		if looks < 12 || looks > 25 {
			t.Errorf("%d looks in ten minutes", looks)
		}
		away.Store(false)
		time.Sleep(time.Minute)
		select {
		case <-done:
		default:
			t.Error("it isn't found")
		}
		f := begin(t, c)
		away.Store(true)
		if _, _, err := c.Finish(t.Context(), f.carried, p.back(f, p.sign(f.claims))); !errors.Is(err, identity.ErrAway) {
			t.Errorf("gone in the midst of a sign-in: %v", err)
		}
		if strings.Contains(log.String(), "canary") {
			t.Errorf("the log: %s", log)
		}
	})
}

// A provider that takes the request and says nothing costs each who waits no more than its time.
func TestAProviderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := oidc.New(oidc.Config{Issuer: issuer, ClientID: "offrecord", Log: slog.New(slog.DiscardHandler), Upstream: upstream.Options{Wrap: func(http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}}})
		began := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, _, _, err := c.Begin(t.Context(), "/"); !errors.Is(err, identity.ErrAway) {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("ten who wait, waited %v", took)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAProviderThatCannotBeUsed(t *testing.T) {
	tests := []struct {
		name   string
		change func(object)
		says   string
	}{
		{"another issuer", func(d object) { d["issuer"] = "https://evil.example" }, "names another issuer"},
		{"a slash more", func(d object) { d["issuer"] = issuer + "/" }, "names another issuer"},
		{"codes in the open", func(d object) { d["token_endpoint"] = "http://id.example/token" }, "token_endpoint isn't an https address"},
		{"people in the open", func(d object) { d["authorization_endpoint"] = "http://id.example/auth" }, "authorization_endpoint isn't"},
		{"keys in the open", func(d object) { d["jwks_uri"] = "http://id.example/keys" }, "jwks_uri isn't"},
		{"a script for a page", func(d object) { d["authorization_endpoint"] = "javascript:alert(1)" }, "authorization_endpoint isn't"},
		{"no keys", func(d object) { delete(d, "jwks_uri") }, "jwks_uri isn't"},
		{"only secrets", func(d object) { d["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }, "no algorithm"},
		{"algorithms that are none", func(d object) { d["id_token_signing_alg_values_supported"] = 7 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t)
			p.discover = tt.change
			c, _ := p.client(t)
			if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
	p := newProvider(t)
	p.discover = func(d object) { delete(d, "id_token_signing_alg_values_supported") }
	if c, _ := p.client(t); c.Check(t.Context()) != nil {
		t.Error("a provider that names no algorithm signs with RS256")
	}
}

func TestLogOutByTheProvider(t *testing.T) {
	p := newProvider(t)
	c, _ := p.client(t)
	now := time.Now().Unix()
	event := object{"http://schemas.openid.net/event/backchannel-logout": object{}}
	good := func(changes object) object {
		claims := object{"iss": issuer, "aud": "offrecord", "iat": now, "exp": now + 120, "jti": rand.Text(), "sid": "s1", "sub": "b1", "events": event}
		for name, value := range changes {
			if value == nil {
				delete(claims, name)
			} else {
				claims[name] = value
			}
		}
		return claims
	}
	tests := []struct {
		name         string
		claims       object
		subject, sid string // both empty: refused
	}{
		{"one session", good(nil), "b1", "s1"},
		{"all of somebody's", good(object{"sid": nil}), "b1", ""},
		{"one session of nobody said", good(object{"sub": nil}), "", "s1"},
		{"of nobody", good(object{"sub": nil, "sid": nil}), "", ""},
		{"another issuer", good(object{"iss": "https://evil.example"}), "", ""},
		{"another audience", good(object{"aud": "other"}), "", ""},
		{"over", good(object{"exp": now - 1}), "", ""},
		{"without end", good(object{"exp": nil}), "", ""},
		{"of the future", good(object{"iat": now + 120}), "", ""},
		{"old", good(object{"iat": now - 3600}), "", ""},
		{"without beginning", good(object{"iat": nil}), "", ""},
		{"without a name", good(object{"jti": nil}), "", ""},
		{"no events", good(object{"events": nil}), "", ""},
		{"another event", good(object{"events": object{"http://schemas.openid.net/event/other": object{}}}), "", ""},
		{"a nonce", good(object{"nonce": "x"}), "", ""},
		{"an empty nonce", good(object{"nonce": ""}), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := p.sign(tt.claims)
			subject, sid, err := c.LogOut(t.Context(), token)
			if subject != tt.subject || sid != tt.sid || (err == nil) != (tt.subject+tt.sid != "") || err != nil && !errors.Is(err, identity.ErrRefused) {
				t.Errorf("%q %q %v", subject, sid, err)
			}
			if err != nil {
				return
			}
			if _, _, err := c.LogOut(t.Context(), token); !errors.Is(err, identity.ErrRefused) {
				t.Errorf("again: %v", err)
			}
		})
	}
	f := begin(t, c)
	for name, token := range map[string]string{"an ID token": p.sign(f.claims), "unsigned": encode(object{"alg": "none"}) + "." + encode(good(nil)) + ".", "another's": newProvider(t).sign(good(nil)), "nonsense": "x"} {
		if _, _, err := c.LogOut(t.Context(), token); !errors.Is(err, identity.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.away = func(string) error { return errors.New("no network") }
	away, _ := p.client(t)
	if _, _, err := away.LogOut(t.Context(), p.sign(good(nil))); !errors.Is(err, identity.ErrAway) {
		t.Errorf("without its provider: %v", err)
	}
}
