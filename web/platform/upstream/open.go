package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// maxOpen is how much of an answer an Open client reads, in bytes: a provider's keys with their certificates.
const maxOpen = 1 << 20

// Open makes a client for a configured service that names its further addresses itself, as OpenID Connect's discovery does:
// it talks to any https address, and to http ones on loopback, with this package's other guards.
func Open(o Options) *http.Client {
	dial := o.Dial
	if dial == nil {
		dial = dialer(nil)
	}
	var trip http.RoundTripper = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, loopback(address))
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: MaxBody,
	}
	if o.Wrap != nil {
		trip = o.Wrap(trip)
	}
	return &http.Client{
		Transport:     open{trip},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errPlain = errors.New("the address has to be https (plain http is for loopback only)")

type open struct{ next http.RoundTripper }

func (c open) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !isLoopback(r.URL.Hostname()) {
		return nil, errPlain
	}
	answer, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxOpen), answer.Body}
	return answer, nil
}

// Reason is why an exchange of an Open client had no answer, in our own words.
func Reason(err error) error {
	if errors.Is(err, errPlain) {
		return errPlain
	}
	return reason(err)
}
