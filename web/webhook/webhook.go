// Package webhook delivers messages to one configured address, signed by the Standard Webhooks scheme
// (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md): the header webhook-id is the message's own and
// the same at each try, so that a receiver can drop what it has; webhook-timestamp is the try's; webhook-signature is over
// both and the body.
//
// It makes one try and says what came of it; when to try again is for who has the message. It goes to the configured host
// and nowhere else, follows no redirect, and reads little (web/platform/upstream). No error holds the address, the key, or
// anything that the receiver wrote: a webhook's address is often a secret itself.
package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

// tryTime bounds one try. The scheme advises 15 to 30 seconds where many receivers share a sender; here one has it to itself.
const tryTime = 10 * time.Second

// keyPrefix begins a key's text. What follows is base64 of 24 to 64 random bytes.
const keyPrefix = "whsec_"

// CheckKey refuses a text that is no key of the scheme.
func CheckKey(key secret.String) error {
	encoded, ok := strings.CutPrefix(key.Reveal(), keyPrefix)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) < 24 || len(raw) > 64 {
		return errors.New("a webhook's key is whsec_ and base64 of 24 to 64 random bytes")
	}
	return nil
}

// Result says what became of a try, for counting.
type Result string

// The results.
const (
	Delivered   Result = "delivered"   // any 2xx
	Refused     Result = "refused"     // a 4xx: the receiver, or the key or address here, is to be mended
	Redirected  Result = "redirected"  // a 3xx: the address is to be mended
	Limited     Result = "limited"     // 429: too many
	Gone        Result = "gone"        // 410: by the scheme, nothing is to be sent there any more
	Failing     Result = "failing"     // a 5xx
	Unreachable Result = "unreachable" // no answer
)

// Error is why a message wasn't delivered.
type Error struct {
	Result Result
	// RetryAfter is how long the receiver asked to be left alone; 0 if it didn't.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string { return "the webhook " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Sender delivers to one address.
type Sender struct {
	to     *url.URL
	client *upstream.Client
	key    *standardwebhooks.Webhook
}

// New makes a sender. The address has to be https, or http on loopback.
func New(to *url.URL, key secret.String, o upstream.Options) (*Sender, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	signer, err := standardwebhooks.NewWebhook(key.Reveal())
	if err != nil {
		return nil, errors.New("the webhook's key can't be used")
	}
	client, err := upstream.New(o, to)
	if err != nil {
		return nil, fmt.Errorf("a webhook: %w", err)
	}
	return &Sender{to, client, signer}, nil
}

// Close closes the idle connections.
func (s *Sender) Close() { s.client.Close() }

// Send tries once to deliver a JSON message. The error is an *Error.
func (s *Sender) Send(ctx context.Context, id string, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	now := time.Now()
	signature, err := s.key.Sign(id, now, message)
	if err != nil {
		return &Error{Result: Unreachable, Err: errors.New("couldn't be signed for")}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to.String(), bytes.NewReader(message))
	if err != nil {
		return &Error{Result: Unreachable, Err: errors.New("couldn't be asked")}
	}
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"offrecord"},
		// Canonical as Go sends them; the names of HTTP's headers have no case.
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookID):        {id},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookTimestamp): {strconv.FormatInt(now.Unix(), 10)},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookSignature): {signature},
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return &Error{Result: Unreachable, Err: fmt.Errorf("didn't answer (%w)", err)}
	}
	if result := judge(answer.Status); result != Delivered {
		return &Error{Result: result, RetryAfter: answer.RetryAfter(), Err: fmt.Errorf("answered %s", platform.StatusText(answer.Status))}
	}
	return nil
}

func judge(status int) Result {
	switch {
	case status >= 200 && status < 300:
		return Delivered
	case status >= 300 && status < 400:
		return Redirected
	case status == http.StatusGone:
		return Gone
	case status == http.StatusTooManyRequests:
		return Limited
	case status >= 500:
		return Failing
	}
	return Refused
}

// ResultOf is what became of a try that ended with an error, or with none.
func ResultOf(err error) Result {
	var e *Error
	switch {
	case err == nil:
		return Delivered
	case errors.As(err, &e):
		return e.Result
	}
	return Unreachable
}
