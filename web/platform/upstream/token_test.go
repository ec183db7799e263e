package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"offrecord/web/platform/upstream"
)

// wire is a platform without a network: a token endpoint at /token, and an API that takes the newest token only.
type wire struct {
	mu       sync.Mutex
	issued   int
	expires  string        // the body's expires_in, as it is written
	delay    time.Duration // of the token endpoint
	answer   func() (int, string)
	revoked  bool // the API refuses every token
	requests int
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	if r.URL.Path == "/token" {
		select {
		case <-time.After(w.delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.issued++
		if w.answer != nil {
			return answer(w.answer())
		}
		return answer(200, fmt.Sprintf(`{"access_token":"t%d","token_type":"Bearer","expires_in":%s}`, w.issued, w.expires))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	if w.revoked || r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", w.issued) {
		return answer(401, "")
	}
	return answer(200, "{}")
}

func tokens(t *testing.T, w *wire) *upstream.Tokens {
	c := client(t, upstream.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return w }}, "https://platform.example")
	return upstream.NewTokens(c, &clientcredentials.Config{ClientID: "id", ClientSecret: canary, TokenURL: "https://platform.example/token", AuthStyle: oauth2.AuthStyleInParams})
}

func call(ctx context.Context, tk *upstream.Tokens) (upstream.Response, error) {
	return tk.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, "https://platform.example/act", nil)
	})
}

func TestATokenIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	for _, tt := range []struct {
		expires string
		kept    time.Duration
	}{
		{"3600", 59 * time.Minute}, {"240", 3 * time.Minute}, {"40", 30 * time.Second}, {"\"3600\"", 59 * time.Minute},
		{"null", 4 * time.Minute}, {"999999999", 24*time.Hour - time.Minute},
	} {
		t.Run(tt.expires, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{expires: tt.expires}
				tk := tokens(t, w)
				first, err := tk.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.kept - time.Second)
				if again, err := tk.Token(t.Context()); err != nil || again != first {
					t.Errorf("a second before, it is %q, %v", again, err)
				}
				time.Sleep(time.Second)
				if again, err := tk.Token(t.Context()); err != nil || again == first {
					t.Errorf("then it is still %q, %v", again, err)
				}
			})
		})
	}
}

func TestOneFetchHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{expires: "3600", delay: time.Second}
		tk := tokens(t, w)
		// The first caller gives up long before the token is there: the others get it all the same.
		early, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			var e *upstream.TokenError
			if _, err := tk.Token(early); !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || e.Denied {
				t.Errorf("the impatient caller got %v", err)
			}
		})
		synctest.Wait()
		for range 500 {
			wg.Go(func() {
				if resp, err := call(t.Context(), tk); err != nil || resp.Status != 200 {
					t.Errorf("status %d, %v", resp.Status, err)
				}
			})
		}
		wg.Wait()
		if w.issued != 1 {
			t.Errorf("%d fetches", w.issued)
		}
	})
}

func TestAfter401OneNewTokenAndOneSecondTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{expires: "3600"}
		tk := tokens(t, w)
		if _, err := call(t.Context(), tk); err != nil {
			t.Fatal(err)
		}
		w.issued++ // the token has been replaced behind our back
		var wg sync.WaitGroup
		w.delay = time.Second
		for range 50 {
			wg.Go(func() {
				if resp, err := call(t.Context(), tk); err != nil || resp.Status != 200 {
					t.Errorf("status %d, %v", resp.Status, err)
				}
			})
		}
		wg.Wait()
		if w.issued != 3 {
			t.Errorf("%d tokens for 50 callers", w.issued-2)
		}
		w.revoked, w.requests, w.issued = true, 0, 3
		resp, err := call(t.Context(), tk)
		if err != nil || resp.Status != 401 || w.requests != 2 || w.issued != 4 {
			t.Errorf("status %d, %v, %d requests, %d fetches", resp.Status, err, w.requests, w.issued-3)
		}
	})
}

func TestTokenErrorsTellNoSecret(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		denied bool
	}{
		{"refused", 401, `{"error":"invalid_client","error_description":"secret ` + canary + ` is wrong"}`, true},
		{"refused, too", 400, canary, true},
		{"error with 200", 200, `{"error":"invalid_client","error_description":"` + canary + `"}`, false},
		{"no token", 200, `{"secret":"` + canary + `"}`, false},
		{"nonsense", 200, canary, false},
		{"XML", 200, "<token>" + canary + "</token>", false},
		{"empty", 200, "", false},
		{"huge", 200, strings.Repeat(" ", 10<<20) + `{"access_token":"` + canary + `"}`, false},
		{"down", 503, canary, false},
		{"redirect", 302, canary, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tk := tokens(t, &wire{answer: func() (int, string) { return tt.status, tt.body }})
			_, err := call(t.Context(), tk)
			var e *upstream.TokenError
			if !errors.As(err, &e) || e.Denied != tt.denied {
				t.Fatalf("%T %v", err, err)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, e), upstream.Failure("X", err).Detail} {
				if strings.Contains(text, canary) {
					t.Errorf("a secret is in %q", text)
				}
			}
		})
	}
}

func TestATokenThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{expires: "3600", delay: time.Hour}
		began := time.Now()
		_, err := tokens(t, w).Token(t.Context())
		if took := time.Since(began); err == nil || took != upstream.FetchLimit {
			t.Errorf("%v after %s", err, took)
		}
	})
}
