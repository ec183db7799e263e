// Package oidc signs people in with an OpenID Connect provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC
// 7636), and the provider's back-channel log-out (OpenID Connect Back-Channel Logout 1.0).
//
// It talks to the provider and to nobody else, keeps no session, and knows no pages but those that a sign-in may lead to. What
// it says of a failure may be logged: it holds nothing that could be used.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"offrecord/web/identity"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const (
	// FlowTime is how long a sign-in may take, from its start to its return.
	FlowTime = 10 * time.Minute
	// exchangeTime bounds each exchange with the provider.
	exchangeTime = 10 * time.Second
	// The wait between looks for a provider that is away.
	firstRetry, lastRetry = time.Second, time.Minute
	// logoutTime is how old a log-out token may be, and logoutSkew how far the provider's clock may be ahead.
	logoutTime, logoutSkew = 10 * time.Minute, time.Minute
	// maxSpent bounds the memory of used flows; the provider knows its used codes, too.
	maxSpent = 50_000
)

// algorithms are those that a provider's key can verify and nobody else can make. go-oidc takes of them what the provider
// says to use.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// Config is what a Client needs. All is required but Upstream.
type Config struct {
	Issuer   string
	ClientID string
	Secret   secret.String
	// Redirect is our callback's address, as the provider knows it.
	Redirect string
	Upstream upstream.Options
	Log      *slog.Logger
	// Once reports whether a token is used for the first time.
	Once func(ctx context.Context, of, id string, until time.Time) (bool, error)
}

// Client is one provider's client.
type Client struct {
	Config
	http   *http.Client
	sealer *identity.Sealer

	looks singleflight.Group

	mu    sync.Mutex
	found *provider
	spent map[[sha256.Size]byte]time.Time
}

// provider is what discovery told.
type provider struct {
	*oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// New makes a client. It asks nobody yet.
func New(c Config) *Client {
	client := upstream.Open(c.Upstream)
	client.Timeout = exchangeTime // go-oidc fetches keys without one
	return &Client{Config: c, http: client, sealer: identity.NewSealer(), spent: map[[sha256.Size]byte]time.Time{}}
}

// Host is the provider's name, for people.
func (c *Client) Host() string {
	if u, err := url.Parse(c.Issuer); err == nil {
		return u.Hostname()
	}
	return ""
}

// Find looks for the provider until it is found or ctx ends.
func (c *Client) Find(ctx context.Context) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		_, err := c.provider(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		c.Log.Warn("the identity provider doesn't answer: nobody can sign in with it until it does", "error", err, "retry", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Check reports whether the provider answers, and as one that can be used.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.provider(ctx)
	return err
}

// provider is the provider as it was found, or what a look for it finds, for all who wait.
func (c *Client) provider(ctx context.Context) (*provider, error) {
	c.mu.Lock()
	found := c.found
	c.mu.Unlock()
	if found != nil {
		return found, nil
	}
	look := c.looks.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(oidc.ClientContext(context.Background(), c.http), exchangeTime)
		defer cancel()
		found, err := c.discover(ctx)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.found = found
		c.mu.Unlock()
		return found, nil
	})
	select {
	case seen := <-look:
		if seen.Err != nil {
			return nil, seen.Err
		}
		return seen.Val.(*provider), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Client) discover(ctx context.Context) (*provider, error) {
	p, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		var other *oidc.IssuerMismatchError
		if errors.As(err, &other) {
			return nil, errors.New("its discovery document names another issuer: write the issuer exactly as it does")
		}
		if answered(err) {
			return nil, errors.New("it serves no discovery document below the issuer's address")
		}
		return nil, fmt.Errorf("looking for its discovery document: %w", upstream.Reason(err))
	}
	var more struct {
		Keys string   `json:"jwks_uri"`
		Auth []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, errors.New("its discovery document can't be read")
	}
	endpoint := p.Endpoint()
	for what, address := range map[string]string{"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL, "jwks_uri": more.Keys} {
		u, err := url.Parse(address)
		if err == nil {
			u.RawQuery = "" // an endpoint may have one
			err = upstream.CheckURL(u)
		}
		if err != nil {
			return nil, fmt.Errorf("its discovery document's %s isn't an https address", what)
		}
	}
	// Said outright, because the library would try both with a code that is good once.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(more.Auth) > 0 && !slices.Contains(more.Auth, "client_secret_basic") && slices.Contains(more.Auth, "client_secret_post") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	var advertised struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := p.Claims(&advertised); err != nil {
		return nil, errors.New("its discovery document can't be read")
	}
	taken := slices.DeleteFunc(slices.Clone(advertised.Algorithms), func(a string) bool { return !slices.Contains(algorithms, a) })
	if len(taken) == 0 {
		if len(advertised.Algorithms) > 0 {
			return nil, errors.New("it signs with no algorithm that can be verified by a public key")
		}
		taken = []string{oidc.RS256}
	}
	return &provider{
		Provider: p,
		oauth: oauth2.Config{ClientID: c.ClientID, ClientSecret: c.Secret.Reveal(), Endpoint: endpoint, RedirectURL: c.Redirect,
			Scopes: []string{oidc.ScopeOpenID, oidc.ScopeEmail}},
		// The keys are fetched when they are needed, long after this context.
		verifier: p.VerifierContext(oidc.ClientContext(context.Background(), c.http), &oidc.Config{ClientID: c.ClientID, SupportedSigningAlgs: taken}),
	}, nil
}

// answered reports whether an error came after an answer: then what the network says is no reason.
func answered(err error) bool {
	var network *url.Error
	return !errors.As(err, &network)
}

// flow is a sign-in under way. The browser carries it, sealed, so that only the browser that began can end it.
type flow struct {
	State, Nonce, Verifier, Next string
}

const purpose = "oidc"

// Begin starts a sign-in that is to lead to next afterwards. It returns the provider's address to go to, a name for the flow
// and what the browser has to bring back with it. The error is ErrAway's.
func (c *Client) Begin(ctx context.Context, next string) (address, name, carried string, err error) {
	p, err := c.provider(ctx)
	if err != nil {
		return "", "", "", fmt.Errorf("%w: %w", identity.ErrAway, err)
	}
	f := flow{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Next: next}
	if carried, err = c.sealer.Seal(purpose, f, FlowTime); err != nil {
		return "", "", "", err
	}
	return p.oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), Name(f.State), carried, nil
}

func random() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// Name is the name of the flow whose state the provider gave back: a browser may have several.
func Name(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func refuse(why string) error { return fmt.Errorf("%w: %s", identity.ErrRefused, why) }

// Finish ends a sign-in with what the provider sent the browser back with, and what the browser carried. It returns who it is
// and where to go. Errors are ErrRefused and ErrAway.
func (c *Client) Finish(ctx context.Context, carried string, answer url.Values) (who identity.Vouched, next string, err error) {
	var f flow
	state := answer.Get("state")
	if carried == "" || !c.sealer.Open(purpose, carried, &f) {
		return who, "", refuse("this browser didn't begin it, or too long ago")
	}
	if subtle.ConstantTimeCompare([]byte(state), []byte(f.State)) != 1 {
		return who, "", refuse("state is another")
	}
	if !c.spend(f.State) {
		return who, f.Next, refuse("it was ended before")
	}
	// RFC 9207: an answer of another provider than the one that was asked.
	if issuer := answer.Get("iss"); issuer != "" && issuer != c.Issuer {
		return who, f.Next, refuse("iss is another")
	}
	if answer.Has("error") {
		return who, f.Next, refuse("the provider says " + known(answer.Get("error")))
	}
	code := answer.Get("code")
	if code == "" || len(answer["code"]) > 1 || len(answer["state"]) > 1 {
		return who, f.Next, refuse("there is no code")
	}
	p, err := c.provider(ctx)
	if err != nil {
		return who, f.Next, fmt.Errorf("%w: %w", identity.ErrAway, err)
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), exchangeTime)
	defer cancel()
	tokens, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		var said *oauth2.RetrieveError
		if errors.As(err, &said) && said.Response != nil && said.Response.StatusCode < 500 {
			return who, f.Next, refuse("the provider doesn't take the code: " + known(said.ErrorCode))
		}
		return who, f.Next, fmt.Errorf("%w: exchanging the code: %w", identity.ErrAway, upstream.Reason(err))
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return who, f.Next, refuse("there is no ID token")
	}
	who, err = c.judge(ctx, p, raw, f.Nonce, tokens)
	return who, f.Next, err
}

// spend reports whether a flow is ended for the first time.
func (c *Client) spend(state string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	key := sha256.Sum256([]byte(state))
	if until, spent := c.spent[key]; spent && now.Before(until) {
		return false
	}
	if len(c.spent) >= maxSpent {
		clear(c.spent)
	}
	for old, until := range c.spent {
		if !now.Before(until) {
			delete(c.spent, old)
		}
	}
	c.spent[key] = now.Add(FlowTime)
	return true
}

// said is what an ID token or the provider's userinfo says.
type said struct {
	Email    string `json:"email"`
	Verified any    `json:"email_verified"` // a text with some providers
	Party    string `json:"azp"`
	SID      string `json:"sid"`
}

// judge verifies an ID token (OpenID Connect Core 1.0, 3.1.3.7) and takes the address from it, or from userinfo where the
// provider keeps its ID tokens thin.
func (c *Client) judge(ctx context.Context, p *provider, raw, nonce string, tokens *oauth2.Token) (who identity.Vouched, err error) {
	token, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return who, refuse("its ID token isn't good: " + bound(err.Error()))
	}
	var claims said
	switch err := token.Claims(&claims); {
	case err != nil:
		return who, refuse("its ID token's claims can't be read")
	case token.Subject == "":
		return who, refuse("its ID token is of nobody")
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return who, refuse("nonce is another")
	case len(token.Audience) > 1 && claims.Party == "", claims.Party != "" && claims.Party != c.ClientID:
		return who, refuse("its ID token was given to another client")
	case token.AccessTokenHash != "" && token.VerifyAccessToken(tokens.AccessToken) != nil:
		return who, refuse("its access token isn't the ID token's")
	}
	if claims.Email == "" && p.UserInfoEndpoint() != "" {
		info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		if err != nil {
			return who, refuse("its ID token has no email, and userinfo can't be read")
		}
		var more said
		if info.Subject != token.Subject || info.Claims(&more) != nil {
			return who, refuse("its userinfo is somebody else's")
		}
		claims.Email, claims.Verified = more.Email, more.Verified
	}
	who = identity.Vouched{Email: claims.Email, Subject: token.Subject, SID: claims.SID}
	switch {
	case claims.Email == "":
		return who, refuse("the provider gives no email: allow the client the scope email")
	case claims.Verified == false, claims.Verified == "false":
		return who, refuse("the provider says that the email isn't verified")
	}
	return who, nil
}

// LogOut verifies a log-out token that came by the back channel, and returns whose sessions it ends. Errors are ErrRefused and
// ErrAway.
func (c *Client) LogOut(ctx context.Context, raw string) (subject, sid string, err error) {
	p, err := c.provider(ctx)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", identity.ErrAway, err)
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	token, err := p.verifier.VerifyLogout(ctx, raw) // iss, aud, exp, events, no nonce, and a sub or sid
	if err != nil {
		return "", "", refuse("the log-out token isn't good: " + bound(err.Error()))
	}
	now := time.Now()
	switch {
	case token.IssuedAt.After(now.Add(logoutSkew)):
		return "", "", refuse("the log-out token's iat is in the future")
	case token.IssuedAt.Before(now.Add(-logoutTime)):
		return "", "", refuse("the log-out token is too old")
	}
	first, err := c.Once(ctx, "log-out "+c.Issuer, token.TokenID, token.IssuedAt.Add(logoutTime+logoutSkew))
	switch {
	case err != nil: // Who is logged out once too often signs in again.
		c.Log.Error("a log-out token is taken although it isn't known whether it came before", "error", err)
	case !first:
		return "", "", refuse("the log-out token came before")
	}
	return token.Subject, token.SessionID, nil
}

// known is an error's code of the protocols; what else the other side wrote isn't repeated.
func known(code string) string {
	if slices.Contains([]string{"access_denied", "invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type",
		"server_error", "temporarily_unavailable", "interaction_required", "login_required", "consent_required", "account_selection_required"}, code) {
		return code
	}
	return "something else"
}

func bound(text string) string {
	quoted, _ := json.Marshal(text) // one line
	if len(quoted) > 200 {
		quoted = quoted[:200]
	}
	return string(quoted)
}
