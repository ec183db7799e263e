package webhook_test

import (
	"context"
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

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
	"offrecord/web/webhook"
)

const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

// canary is in a receiver's address and in all that it says.
const canary = "canary-19b7"

// receiver is a webhook's other end, over TLS on loopback, and the sender to it.
func receiver(t *testing.T, h http.HandlerFunc) (*webhook.Sender, *httptest.Server) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return sender(t, srv.URL+"/"+canary, upstream.Options{RootCAs: roots}), srv
}

func sender(t *testing.T, to string, o upstream.Options) *webhook.Sender {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	s, err := webhook.New(u, secret.New(key), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestAMessageIsVerified(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := standardwebhooks.NewWebhookRaw([]byte("another key of enough bytes"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	s, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || verifier.Verify(body, r.Header) != nil || other.Verify(body, r.Header) == nil {
			t.Errorf("%q %v isn't verified by the key, or by another: %v", body, r.Header, err)
		}
		if verifier.Verify(append(body, ' '), r.Header) == nil {
			t.Error("a changed body is verified")
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		ids = append(ids, r.Header.Get("webhook-id"))
		w.WriteHeader(http.StatusNoContent)
	})
	for range 2 {
		if err := s.Send(t.Context(), "a.1", []byte(`{"type":"x"}`)); err != nil {
			t.Error(err)
		}
	}
	if strings.Join(ids, " ") != "a.1 a.1" {
		t.Errorf("the ids: %q", ids)
	}
}

func TestWhatReceiversDo(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	over := make(chan struct{})
	defer close(over)
	tests := []struct {
		name   string
		h      http.HandlerFunc
		result webhook.Result
		after  time.Duration
	}{
		{"takes it", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, webhook.Delivered, 0},
		{"talks without end", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				io.WriteString(w, strings.Repeat(canary, 1<<10))
			}
		}, webhook.Delivered, 0},
		{"breaks", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); io.WriteString(w, canary) }, webhook.Failing, 0},
		{"is away for a while", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "7"); w.WriteHeader(503) }, webhook.Failing, 7 * time.Second},
		{"has too much", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "90"); w.WriteHeader(429) }, webhook.Limited, 90 * time.Second},
		{"asks for ages", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999999")
			w.WriteHeader(429)
		}, webhook.Limited, time.Hour},
		{"is gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, webhook.Gone, 0},
		{"doesn't like it", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); io.WriteString(w, canary) }, webhook.Refused, 0},
		{"redirects elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/"+canary, http.StatusTemporaryRedirect)
		}, webhook.Redirected, 0},
		{"redirects to itself", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/"+canary {
				elsewhere.Add(1)
			}
			http.Redirect(w, r, "/other", http.StatusPermanentRedirect)
		}, webhook.Redirected, 0},
		{"cuts the line", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, webhook.Unreachable, 0},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-over:
			}
		}, webhook.Unreachable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, srv := receiver(t, tt.h)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // for the one that hangs
			defer cancel()
			err := s.Send(ctx, "a.1", []byte(`{}`))
			if got := webhook.ResultOf(err); got != tt.result {
				t.Errorf("%s: %v", got, err)
			}
			if err == nil {
				return
			}
			var e *webhook.Error
			if !errors.As(err, &e) || e.RetryAfter != tt.after {
				t.Errorf("to be left alone for %v: %v", e.RetryAfter, err)
			}
			for _, secret := range []string{canary, key[6:20], srv.URL, "127.0.0.1"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q holds %s", err, secret)
				}
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestNobodyElseIsTold(t *testing.T) {
	_, srv := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("an unknown certificate was trusted") })
	if err := sender(t, srv.URL, upstream.Options{}).Send(t.Context(), "a.1", []byte(`{}`)); webhook.ResultOf(err) != webhook.Unreachable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	if err := sender(t, "http://"+at, upstream.Options{}).Send(t.Context(), "a.1", []byte(`{}`)); webhook.ResultOf(err) != webhook.Unreachable {
		t.Errorf("nobody there: %v", err)
	}
	for address, ok := range map[string]bool{"https://hooks.example.com/a": true, "http://localhost:1/a": true, "http://hooks.example.com/a": false, "https://me:pw@hooks.example.com": false, "https://hooks.example.com/?a=b": false, "ftp://x": false} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := webhook.New(u, secret.New(key), upstream.Options{}); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestKeys(t *testing.T) {
	for text, ok := range map[string]bool{
		key: true, "whsec_" + strings.Repeat("QUJD", 8): true, "": false, "whsec_": false, key[6:]: false, "whsec_QUJD": false,
		"whsec_" + strings.Repeat("QUJD", 22): false, "whsec_" + strings.Repeat("!", 40): false, "a password of my own that is long": false,
	} {
		err := webhook.CheckKey(secret.New(text))
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && len(text) > 8 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("%q is repeated", text)
		}
	}
}
