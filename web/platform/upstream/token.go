package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// Limits of tokens.
const (
	// Early is how long before its end a token isn't used any more: as long as a request with it might take, generously. A
	// token that lives shorter than four times that is given up after three quarters of its life.
	Early = time.Minute
	// FetchLimit is how long one fetch of a token may take, whoever waits for it.
	FetchLimit = 10 * time.Second
	// unsaid is the life of a token whose answer doesn't say it (RFC 6749, section 5.1, only recommends that it does).
	unsaid = 5 * time.Minute
	// longest is the life that is believed at most.
	longest = 24 * time.Hour
)

// Source asks a platform for a new token. clientcredentials.Config is one.
type Source interface {
	Token(context.Context) (*oauth2.Token, error)
}

// SourceFunc is a Source that is a function.
type SourceFunc func(context.Context) (*oauth2.Token, error)

// Token implements Source.
func (f SourceFunc) Token(ctx context.Context) (*oauth2.Token, error) { return f(ctx) }

// Tokens keeps the token of one account until shortly before it ends, and fetches a new one when it is asked for: once,
// however many wait for it. Its ends are counted by the monotonic clock, from before the fetch, so a jump of the wall clock
// neither keeps a dead token nor throws a good one away; what still goes wrong (a suspended machine, a revoked token) is
// the platform's 401, and Do's second try.
type Tokens struct {
	client *Client
	source Source
	fetch  singleflight.Group

	mu    sync.Mutex
	token string
	until time.Time
}

// NewTokens keeps the tokens of a source, which are fetched through the client.
func NewTokens(c *Client, s Source) *Tokens { return &Tokens{client: c, source: s} }

// TokenError is a token that couldn't be had. Nothing was sent with it.
type TokenError struct {
	// Denied is true if the platform refused the credentials (RFC 6749, section 5.2, and what platforms make of it).
	Denied bool
	// Status is the answer's HTTP status; 0 if there was none.
	Status int
	// RetryAfter is how long the platform asked us to wait; 0 if it didn't.
	RetryAfter time.Duration
	// Err is the reason, in our own words.
	Err error
}

func (e *TokenError) Error() string { return "get a token: " + e.Err.Error() }

func (e *TokenError) Unwrap() error { return e.Err }

// Token returns a token that is good for a while, fetching it if need be. An error is a *TokenError.
func (t *Tokens) Token(ctx context.Context) (string, error) {
	t.mu.Lock()
	if t.token != "" && time.Now().Before(t.until) {
		defer t.mu.Unlock()
		return t.token, nil
	}
	t.mu.Unlock()
	// The fetch isn't any one caller's: the first one's deadline must not be the others'.
	done := t.fetch.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FetchLimit)
		defer cancel()
		return t.renew(ctx)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", &TokenError{Err: reason(ctx.Err())}
	}
}

func (t *Tokens) renew(ctx context.Context) (string, error) {
	asked := time.Now()
	token, err := t.source.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client.http))
	if err != nil {
		return "", tokenError(err)
	}
	life := time.Duration(min(token.ExpiresIn, int64(longest/time.Second))) * time.Second
	if token.ExpiresIn == 0 && !token.Expiry.IsZero() { // a form-encoded answer: the library has just added it to the clock
		life = min(time.Until(token.Expiry), longest)
	}
	if token.ExpiresIn == 0 && token.Expiry.IsZero() {
		life = unsaid
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token, t.until = token.AccessToken, asked.Add(life-min(Early, life/4))
	return token.AccessToken, nil
}

// drop forgets a token that the platform refused, unless a newer one has taken its place.
func (t *Tokens) drop(refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == refused {
		t.token = ""
	}
}

// Do sends the request that build makes, with a token, and once more with a new token if the answer is 401: the platform
// refused the first, so it didn't act. An error is an *Error, a *TokenError or build's own.
func (t *Tokens) Do(ctx context.Context, build func(context.Context) (*http.Request, error)) (Response, error) {
	for again := false; ; again = true {
		token, err := t.Token(ctx)
		if err != nil {
			return Response{}, err
		}
		req, err := build(ctx)
		if err != nil {
			return Response{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := t.client.Do(req)
		if err != nil || resp.Status != http.StatusUnauthorized {
			return resp, err
		}
		t.drop(token)
		if again {
			return resp, nil
		}
	}
}

// StatusError is an answer of a token endpoint that isn't a token.
type StatusError struct {
	Response Response
}

func (e *StatusError) Error() string { return "the answer was " + http.StatusText(e.Response.Status) }

// tokenError keeps what is safe of an error: the library's own quotes the answer, which may quote the credentials.
func tokenError(err error) error {
	var answer *oauth2.RetrieveError
	var status *StatusError
	var sent *Error
	var broken *url.Error
	e := &TokenError{Err: ErrNoToken}
	switch {
	case errors.As(err, &answer) && answer.Response != nil:
		e.Status, e.RetryAfter = answer.Response.StatusCode, retryAfter(answer.Response.Header)
	case errors.As(err, &status):
		e.Status, e.RetryAfter = status.Response.Status, status.Response.RetryAfter()
	case errors.As(err, &sent):
		e.Err = sent.Err
	case errors.As(err, &broken):
		e.Err = reason(err)
	}
	switch e.Status {
	case 0:
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		e.Denied, e.Err = true, errDenied
	default:
		e.Err = &StatusError{Response{Status: e.Status}}
	}
	return e
}

var (
	// ErrNoToken is a good answer of a token endpoint that holds no token.
	ErrNoToken = errors.New("the answer holds no token")
	errDenied  = errors.New("the credentials were refused")
)
