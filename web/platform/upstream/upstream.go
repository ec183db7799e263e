// Package upstream is the one way out, to the platforms and to webhooks: HTTP with its guards, paths that can't be led astray, and tokens.
//
// A client talks to the addresses it was made with and to nothing else: requests and dials to any other are refused,
// redirects aren't followed, and the environment's proxies aren't used (a proxy would see where calls go and would have to
// be dialled although nobody configured it). A name that leads to an address that no service has isn't dialled either.
// Connections are HTTP/1.1 with TLS 1.2 or newer: with one shared HTTP/2 connection, one agent's stall would be everybody's.
// Time limits come from the context. What an error says never holds a credential or anything that the other side wrote.
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// MaxBody is how much of an answer is read, in bytes, where Options don't say. No platform's answer to an action comes near it.
const MaxBody = 64 << 10

// Options are what all platforms' clients share.
type Options struct {
	// RootCAs are who may sign a platform's certificate; nil: the system's.
	RootCAs *x509.CertPool
	// Wrap puts something around each exchange, for example metrics; nil: nothing. It sees the Authorization header.
	Wrap func(http.RoundTripper) http.RoundTripper
	// MaxBody is how much of an answer is read, in bytes; 0: the constant of that name.
	MaxBody int64
	// Dial replaces the dialling of an address that is allowed already; nil: the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client talks to the addresses it was made with.
type Client struct {
	http *http.Client
	most int64
}

// New makes a client for the schemes, hosts and ports of the given addresses. Each has to be https, or http on loopback.
func New(o Options, to ...*url.URL) (*Client, error) {
	origins, dials := map[string]bool{}, map[string]bool{}
	for _, u := range to {
		if err := CheckURL(u); err != nil {
			return nil, err
		}
		origins[origin(u)] = true
		dials[hostPort(u)] = true
	}
	dial := o.Dial
	if dial == nil {
		dial = dialer(nil)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !dials[strings.ToLower(address)] {
				return nil, errElsewhere
			}
			conn, err := dial(ctx, network, loopback(address))
			if err != nil {
				return nil, err
			}
			return &counted{Conn: conn}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 only
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: MaxBody,
		DisableCompression:     true,
	}
	var trip http.RoundTripper = transport
	if o.Wrap != nil {
		trip = o.Wrap(trip)
	}
	most := cmp.Or(o.MaxBody, MaxBody)
	return &Client{most: most, http: &http.Client{
		Transport:     &guard{origins: origins, most: most, next: trip},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Response is an answer.
type Response struct {
	Status int
	Header http.Header
	// Body is at most as long as the client's MaxBody.
	Body []byte
	// Whole is false if the body was longer or broke off; what it says can't be trusted then.
	Whole bool
}

// RetryAfter is how long the platform asked us to wait (RFC 9110, section 10.2.3: seconds or a date); 0 if it didn't. More
// than an hour is taken for an hour.
func (r Response) RetryAfter() time.Duration { return retryAfter(r.Header) }

func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	s, err := strconv.ParseUint(v, 10, 64)
	switch at, notDate := http.ParseTime(v); {
	case err == nil:
		return time.Duration(min(s, 3600)) * time.Second
	case errors.Is(err, strconv.ErrRange):
		return time.Hour
	case notDate == nil:
		now := time.Now()
		if said, err := http.ParseTime(h.Get("Date")); err == nil {
			now = said // the two dates are of the same clock
		}
		return min(max(at.Sub(now), 0), time.Hour)
	}
	return 0
}

// Do sends one request and reads the answer. An error is always an *Error. The standard library repeats a request by itself
// only if it was written to a connection that the other side had closed already, before a byte of it left.
func (c *Client) Do(req *http.Request) (Response, error) {
	resp, err := c.Stream(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.most+1))
	r := Response{Status: resp.StatusCode, Header: resp.Header, Body: body, Whole: err == nil}
	if int64(len(body)) > c.most {
		r.Body, r.Whole = body[:c.most], false
	}
	return r, nil
}

// Stream is Do for an answer that is too long to be kept: the caller reads its body, which ends after the client's MaxBody
// and one byte more, and closes it. Broken says why a read failed.
func (c *Client) Stream(req *http.Request) (*http.Response, error) {
	var sent writes
	trace := &httptrace.ClientTrace{GotConn: sent.got}
	resp, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return nil, &Error{Sent: sent.any(), Err: reason(err)}
	}
	return resp, nil
}

// Broken is the error of reading a streamed body, in our own words.
func Broken(err error) error { return reason(err) }

// Error is an exchange that had no answer.
type Error struct {
	// Sent is false if it is certain that nothing of the request left.
	Sent bool
	// Err is the reason, in our own words.
	Err error
}

func (e *Error) Error() string {
	if e.Sent {
		return "no answer: " + e.Err.Error()
	}
	return "nothing was sent: " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Reasons of an Error. The context's own errors are the other two.
var (
	errElsewhere   = errors.New("the address isn't a configured one")
	errResolve     = errors.New("the host's name can't be resolved")
	errMisled      = errors.New("the host's name leads to an address that no service has")
	errRefused     = errors.New("the connection was refused")
	errReset       = errors.New("the connection was reset")
	errClosed      = errors.New("the connection was closed")
	errCertificate = errors.New("the host's certificate isn't trusted")
	errTimeout     = errors.New("it took too long")
	errProtocol    = errors.New("the exchange broke")
)

// reason puts an error into our own words, because those of net/http may quote what the other side wrote.
func reason(err error) error {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, errElsewhere):
		return errElsewhere
	case errors.Is(err, errMisled):
		return errMisled
	case errors.As(err, &dns):
		return errResolve
	case errors.As(err, &cert):
		return errCertificate
	case errors.Is(err, syscall.ECONNREFUSED):
		return errRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	case errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	}
	return errProtocol
}

// CheckURL refuses an address that isn't https or, on loopback, http, or that holds more than a host and a path.
func CheckURL(u *url.URL) error {
	switch {
	case u == nil || u.Hostname() == "":
		return errors.New("the address has no host: write it like https://host")
	case u.User != nil:
		return fmt.Errorf("the address of %s holds a user name or password: use the settings for credentials", u.Hostname())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("the address of %s may hold a path, but no query or fragment", u.Hostname())
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("the address of %s has to be https (plain http is for loopback only)", u.Hostname())
}

// isLoopback reports whether a host never leaves this machine: 127.0.0.0/8, ::1, localhost and the names below it (RFC 6761).
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// loopback turns the names at and below localhost into 127.0.0.1, because not every system's resolver knows them.
func loopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && isLoopback(host) {
		if _, err := netip.ParseAddr(host); err != nil {
			return net.JoinHostPort("127.0.0.1", port)
		}
	}
	return address
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

func origin(u *url.URL) string { return u.Scheme + "://" + hostPort(u) }

// guard lets requests pass that go to a configured address, and bounds what is read of the answer.
type guard struct {
	origins map[string]bool
	most    int64
	next    http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if !g.origins[origin(req.URL)] || req.Host != "" && !strings.EqualFold(req.Host, req.URL.Host) {
		return nil, errElsewhere
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, g.most+1), resp.Body}
	return resp, nil
}

// counted knows how many bytes were handed to the network.
type counted struct {
	net.Conn
	written atomic.Int64
}

// Write counts a byte before it is handed over and takes it back if nothing was: a write that is under way counts as sent.
func (c *counted) Write(p []byte) (int, error) {
	c.written.Add(1)
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n) - 1)
	return n, err
}

// writes tells whether a request wrote to any of the connections it was given.
type writes struct {
	mu    sync.Mutex
	conns []*counted
	start []int64
}

func (w *writes) got(info httptrace.GotConnInfo) {
	conn := info.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := conn.(*counted); ok {
		w.conns, w.start = append(w.conns, c), append(w.start, c.written.Load())
		return
	}
	w.conns, w.start = append(w.conns, nil), append(w.start, 0) // not ours: assume the worst
}

func (w *writes) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.conns, func(c *counted) bool {
		return c == nil || c.written.Load() > w.start[slices.Index(w.conns, c)]
	})
}
