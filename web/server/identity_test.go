package server_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"offrecord/web/config"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/server"
)

// TestTheProviderIsChecked: one line says whether the identity provider answers, and why not.
func TestTheProviderIsChecked(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	provider := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}
	at := httptest.NewServer(provider)
	defer at.Close()
	provider.SetIssuer(at.URL)
	gone := httptest.NewServer(nil)
	gone.Close()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, issuer string
		verdict      platform.Verdict
		says         string
	}{
		{"it answers", at.URL, platform.Good, "tried by the first sign-in"},
		{"another issuer's address", strings.Replace(at.URL, "127.0.0.1", "localhost", 1), platform.Bad, "write the issuer exactly as it does"},
		{"another path", at.URL + "/realm", platform.Bad, "no discovery document"},
		{"nobody there", gone.URL, platform.Bad, "the connection was refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(configuration, "identity:", "public_url: http://panel.localhost:1\nidentity:", 1)
			text = strings.Replace(text, "demo: true", "oidc: {issuer: '"+tt.issuer+"', client_id: x, client_secret_file: '"+file+"'}", 1)
			c, err := config.Parse([]byte(text), config.Environment{Getenv: func(string) (string, bool) { return canary, true }})
			if err != nil {
				t.Fatal(err)
			}
			found, err := server.Check(t.Context(), c, upstream.Options{})
			if err != nil || len(found) == 0 {
				t.Fatal(found, err)
			}
			if f := found[0]; f.Platform != "identity" || f.Kind != "oidc" || f.Credential != "issuer" || f.Verdict != tt.verdict || !strings.Contains(f.Detail, tt.says) || !strings.HasSuffix(f.Detail, ".") {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestTheWebhookIsChecked: a message that is about no alert arrives, signed, or the check says why alerts wouldn't.
func TestTheWebhookIsChecked(t *testing.T) {
	hook, err := standardwebhooks.NewWebhook(hookKey)
	if err != nil {
		t.Fatal(err)
	}
	status := http.StatusNoContent
	var got []string
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = hook.Verify(body, r.Header)
		}
		if err != nil {
			t.Error(err)
		}
		got = append(got, string(body))
		w.WriteHeader(status)
	}))
	defer at.Close()
	check := func() []server.Checked {
		t.Helper()
		text := configuration + "alerts: {webhook: '" + at.URL + "/secret-path', secret: '${HOOK_KEY}'}\naudit: {checkpoint_webhook: '" + at.URL + "', checkpoint_secret: '${HOOK_KEY}'}\nstore: sqlite:log.db\n"
		c, err := config.Parse([]byte(text), config.Environment{Dir: t.TempDir(), Getenv: func(name string) (string, bool) {
			if name == "HOOK_KEY" {
				return hookKey, true
			}
			return canary, true
		}})
		if err != nil {
			t.Fatal(err)
		}
		found, err := server.Check(t.Context(), c, upstream.Options{})
		if err != nil || len(found) < 2 || strings.Contains(fmt.Sprint(found), "secret-path") || strings.Contains(fmt.Sprint(found), hookKey) {
			t.Fatal(found, err)
		}
		return found
	}
	found := check()
	if f := found[0]; f.Platform != "alerts" || f.Kind != "webhook" || f.Verdict != platform.Good || len(got) != 1 || !strings.Contains(got[0], `"type":"check"`) {
		t.Errorf("%+v, and the webhook got %q", f, got)
	}
	if f := found[1]; f.Platform != "audit" || f.Verdict != platform.NotCheckable || !strings.HasSuffix(f.Detail, ".") {
		t.Errorf("%+v", f)
	}
	for _, status = range []int{301, 401, 410, 500} {
		if f := check()[0]; f.Verdict != platform.Bad || !strings.Contains(f.Detail, fmt.Sprint(status)) || !strings.HasSuffix(f.Detail, ".") {
			t.Errorf("%d: %+v", status, f)
		}
	}
	at.Close()
	if f := check()[0]; f.Verdict != platform.Bad || !strings.Contains(f.Detail, "refused") {
		t.Errorf("nobody there: %+v", f)
	}
}
