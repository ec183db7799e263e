package upstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offrecord/web/platform/upstream"
)

const canary = "canary-7d1e"

func address(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func client(t testing.TB, o upstream.Options, to ...string) *upstream.Client {
	t.Helper()
	var urls []*url.URL
	for _, s := range to {
		urls = append(urls, address(t, s))
	}
	c, err := upstream.New(o, urls...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// put sends a request with credentials.
func put(ctx context.Context, c *upstream.Client, to string) (upstream.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, nil)
	if err != nil {
		return upstream.Response{}, err
	}
	req.SetBasicAuth("tenant", canary)
	return c.Do(req)
}

// sent returns the error's Sent, and fails if it isn't an *upstream.Error or tells a secret.
func sent(t *testing.T, err error) bool {
	t.Helper()
	var e *upstream.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %T: %v", err, err)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("a secret is in %q", err)
	}
	return e.Sent
}

func TestARedirectIsAnAnswerAndIsNotFollowed(t *testing.T) {
	var reached atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer elsewhere.Close()
	srv := httptest.NewServer(nil)
	defer srv.Close()
	for _, to := range []string{elsewhere.URL, srv.URL + "/other"} {
		srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/other" {
				reached.Add(1)
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		resp, err := put(t.Context(), client(t, upstream.Options{}, srv.URL), srv.URL)
		if err != nil || resp.Status != http.StatusTemporaryRedirect {
			t.Errorf("status %d, %v", resp.Status, err)
		}
	}
	if reached.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

func TestOnlyConfiguredAddressesAreTalkedTo(t *testing.T) {
	var reached atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer srv.Close()
	t.Setenv("HTTP_PROXY", srv.URL)
	t.Setenv("HTTPS_PROXY", srv.URL)
	c := client(t, upstream.Options{}, "https://platform.example", "http://127.0.0.1:1")
	for _, to := range []string{srv.URL, "http://platform.example", "https://platform.example:8443", "https://platform.example.evil.example", "http://127.0.0.1:2"} {
		if _, err := put(t.Context(), c, to); sent(t, err) {
			t.Errorf("%s: something was sent", to)
		}
	}
	if _, err := put(t.Context(), c, "http://127.0.0.1:1"); sent(t, err) { // would be taken by the proxy
		t.Error("something was sent to a proxy")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	if _, err := c.Do(req); sent(t, err) {
		t.Error("another Host was sent")
	}
	if reached.Load() > 0 {
		t.Error("an address that isn't configured was reached")
	}
}

func TestNamesBelowLocalhostNeedNoResolver(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	defer srv.Close()
	to := "http://vcc.agui.localhost:" + address(t, srv.URL).Port()
	resp, err := put(t.Context(), client(t, upstream.Options{}, to), to)
	if err != nil || string(resp.Body) != address(t, to).Host {
		t.Errorf("%q, %v", resp.Body, err)
	}
}

func TestWhichAddressesAreTaken(t *testing.T) {
	for s, good := range map[string]bool{
		"https://vcc-na4.8x8.com": true, "https://host:8443/prefix": true, "http://127.0.0.1:1": true, "http://[::1]:1": true, "http://localhost:1": true, "http://a.localhost": true,
		"http://vcc-na4.8x8.com": false, "http://10.0.0.1": false, "http://localhost.evil.example": false, "https://user:" + canary + "@host": false,
		"https://host?x=" + canary: false, "https://host#x": false, "ftp://host": false, "https://": false, "host": false, "mailto:x@host": false,
	} {
		err := upstream.CheckURL(address(t, s))
		if (err == nil) != good {
			t.Errorf("%s: %v", s, err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("a secret is in %q", err)
		}
	}
	if upstream.CheckURL(nil) == nil {
		t.Error("no address is taken")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge":
			for range 10 << 4 {
				w.Write(make([]byte, 64<<10))
			}
		case "/most":
			w.Write(make([]byte, upstream.MaxBody))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "some")
		}
	}))
	defer srv.Close()
	c := client(t, upstream.Options{}, srv.URL)
	for path, want := range map[string]struct {
		size  int
		whole bool
	}{"/huge": {upstream.MaxBody, false}, "/most": {upstream.MaxBody, true}, "/cut": {4, false}, "/empty": {0, true}} {
		resp, err := put(t.Context(), c, srv.URL+path)
		if err != nil || len(resp.Body) != want.size || resp.Whole != want.whole {
			t.Errorf("%s: %d bytes, whole %v, %v", path, len(resp.Body), resp.Whole, err)
		}
	}
}

// broken serves connections one after another with what breaks them.
func broken(t *testing.T, break_ func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			break_(conn)
		}
	}()
	return "http://" + ln.Addr().String()
}

func TestAnErrorSaysWhetherAnythingWasSent(t *testing.T) {
	read := func(conn net.Conn) { conn.Read(make([]byte, 4096)) }
	tests := []struct {
		name string
		to   func(*testing.T) string
		sent bool
	}{
		{"nobody listens", func(t *testing.T) string {
			srv := httptest.NewServer(nil)
			srv.Close()
			return srv.URL
		}, false},
		{"TLS to one who doesn't speak it", func(t *testing.T) string {
			return strings.Replace(broken(t, func(c net.Conn) { read(c); io.WriteString(c, "no TLS "+canary); c.Close() }), "http:", "https:", 1)
		}, false},
		{"a certificate that isn't trusted", func(t *testing.T) string {
			srv := httptest.NewUnstartedServer(nil)
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.StartTLS()
			t.Cleanup(srv.Close)
			return srv.URL
		}, false},
		{"closed after the request", func(t *testing.T) string {
			return broken(t, func(c net.Conn) { read(c); c.Close() })
		}, true},
		{"reset after the request", func(t *testing.T) string {
			return broken(t, func(c net.Conn) { read(c); c.(*net.TCPConn).SetLinger(0); c.Close() })
		}, true},
		{"an answer that isn't HTTP, with what we sent", func(t *testing.T) string {
			return broken(t, func(c net.Conn) { read(c); io.WriteString(c, canary+"\r\n\r\n"); c.Close() })
		}, true},
		{"a name that doesn't exist", func(*testing.T) string { return "https://nowhere.invalid" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := tt.to(t)
			_, err := put(t.Context(), client(t, upstream.Options{}, to), to)
			if got := sent(t, err); got != tt.sent {
				t.Errorf("sent %v: %v", got, err)
			}
		})
	}

	t.Run("the deadline after sending", func(t *testing.T) {
		arrived := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() }))
		defer srv.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-arrived; cancel(nil) }()
		_, err := put(ctx, client(t, upstream.Options{}, srv.URL), srv.URL)
		if !sent(t, err) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("the deadline while dialling", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := upstream.Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		if _, err := put(ctx, client(t, o, "https://platform.example"), "https://platform.example"); sent(t, err) {
			t.Error(err)
		}
	})
	t.Run("a connection that the platform had closed", func(t *testing.T) {
		// A PUT isn't repeated by itself: what was written to the dying connection may have arrived.
		var served atomic.Int32
		to := broken(t, func(c net.Conn) {
			read(c)
			if served.Add(1) == 1 {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				read(c)
			}
			c.Close()
		})
		c := client(t, upstream.Options{}, to)
		if _, err := put(t.Context(), c, to); err != nil {
			t.Fatal(err)
		}
		_, err := put(t.Context(), c, to)
		if !sent(t, err) || served.Load() != 1 {
			t.Errorf("%v after %d connections", err, served.Load())
		}
	})
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	resp, err := put(t.Context(), client(t, upstream.Options{RootCAs: roots}, srv.URL), srv.URL)
	if err != nil || string(resp.Body) != "HTTP/1.1" {
		t.Errorf("%q, %v", resp.Body, err)
	}
	old := httptest.NewUnstartedServer(nil)
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	if _, err := put(t.Context(), client(t, upstream.Options{RootCAs: roots}, old.URL), old.URL); sent(t, err) {
		t.Error("something was sent by TLS 1.1")
	}
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, " 7 ": 7 * time.Second, "0": 0, "99999": time.Hour, "99999999999999999999999": time.Hour, "-1": 0, "soon": 0, "1.5": 0,
		"Sat, 21 Nov 2026 09:00:05 GMT": 5 * time.Second, "Sat, 21 Nov 2026 08:00:00 GMT": 0, "Sat, 21 Nov 2126 08:00:00 GMT": time.Hour,
	} {
		h := http.Header{"Date": {"Sat, 21 Nov 2026 09:00:00 GMT"}}
		h.Set("Retry-After", text)
		if got := (upstream.Response{Header: h}).RetryAfter(); got != want {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
}

func TestJoin(t *testing.T) {
	base := address(t, "https://host/pre%2Ffix/")
	for _, tt := range []struct {
		segments []string
		want     string // empty: refused
	}{
		{[]string{"api", "jo@acme.example"}, "https://host/pre%2Ffix/api/jo@acme.example"},
		{[]string{"a+b@x"}, "https://host/pre%2Ffix/a%2Bb@x"},
		{[]string{"a/b"}, "https://host/pre%2Ffix/a%2Fb"},
		{[]string{"../x"}, "https://host/pre%2Ffix/..%2Fx"},
		{[]string{"a?b#c;d%2e"}, "https://host/pre%2Ffix/a%3Fb%23c%3Bd%252e"},
		{[]string{"%2e%2e"}, "https://host/pre%2Ffix/%252e%252e"},
		{[]string{"..."}, "https://host/pre%2Ffix/..."},
		{[]string{"ä b"}, "https://host/pre%2Ffix/%C3%A4%20b"},
		{[]string{""}, ""}, {[]string{"."}, ""}, {[]string{".."}, ""}, {[]string{"a", "..", "b"}, ""}, {[]string{"a\nb"}, ""}, {[]string{"a\x00"}, ""}, {[]string{"\xff"}, ""},
	} {
		u, err := upstream.Join(base, tt.segments...)
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%q was taken: %s", tt.segments, u)
		case tt.want != "" && (err != nil || u.String() != tt.want):
			t.Errorf("%q: %v, %v", tt.segments, u, err)
		}
	}
}

// FuzzJoin holds that a segment stays one segment, of the same text, whatever a server makes of the path.
func FuzzJoin(f *testing.F) {
	for _, s := range []string{"bill", "jo@acme.example", "..", ".", "", "a/../b", "%2e%2e", "..%2f", "a\\b", "a;b", "a?b#c", "+", "\x00", "\u2025", "．．"} {
		f.Add(s)
	}
	base, err := url.Parse("https://host/api")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := upstream.Join(base, s, "end")
		if err != nil {
			return
		}
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("%q: %v", u, err)
		}
		if again.Host != "host" || again.RawQuery != "" || again.Fragment != "" || again.User != nil {
			t.Fatalf("%q led out of the path: %s", s, again)
		}
		parts := strings.Split(again.EscapedPath(), "/")
		if len(parts) != 4 || parts[1] != "api" || parts[3] != "end" {
			t.Fatalf("%q made the path %q", s, parts)
		}
		if back, err := url.PathUnescape(parts[2]); err != nil || back != s {
			t.Fatalf("%q became %q, %v", s, back, err)
		}
		if clean := again.JoinPath(); clean.EscapedPath() != again.EscapedPath() {
			t.Fatalf("%q is cleaned to %s", s, clean)
		}
	})
}
