package server_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"offrecord/app/recording"
	"offrecord/web/alert"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/platform/upstream"
	"offrecord/web/server"
)

const hookKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

// hook is a webhook's other end, over TLS.
type hook struct {
	*httptest.Server
	mu   sync.Mutex
	took []alert.Message
	raw  strings.Builder
}

func newHook(t *testing.T) *hook {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(hookKey)
	if err != nil {
		t.Fatal(err)
	}
	h := new(hook)
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m alert.Message
		if err != nil || verifier.Verify(body, r.Header) != nil || json.Unmarshal(body, &m) != nil || r.URL.Path != "/secret-path" {
			t.Errorf("not ours: %s %v %s", r.URL, r.Header, body)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.took = append(h.took, m)
		h.raw.Write(body)
	}))
	t.Cleanup(h.Close)
	return h
}

// await waits until the receiver has taken so many messages.
func (h *hook) await(t *testing.T, n int) []alert.Message {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		took := append([]alert.Message{}, h.took...)
		h.mu.Unlock()
		if len(took) >= n {
			return took
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages, not %d: %+v", len(took), n, took)
		}
	}
}

// TestAFaultIsToldToAll has an agent's pause fail, and looks at everybody who is to hear of it.
func TestAFaultIsToldToAll(t *testing.T) {
	h, dir := newHook(t), t.TempDir()
	roots := x509.NewCertPool()
	roots.AddCert(h.Certificate())
	text := strings.Replace(configuration, "agents:", "agents:\n  - {email: sam@acme.example, role: supervisor}", 1) +
		fmt.Sprintf("public_url: http://panel.localhost:8080\nstore: sqlite:log.db\nalerts: {webhook: '%s/secret-path', secret: '${HOOK}'}\n", h.URL)
	c, err := config.Parse([]byte(text), config.Environment{Dir: dir, Getenv: func(name string) (string, bool) {
		return map[string]string{"TOKEN": canary, "HOOK": hookKey}[name], true
	}})
	if err != nil {
		t.Fatal(err)
	}
	run := func() (*server.Main, *logs) {
		t.Helper()
		log := new(logs)
		m := &server.Main{Config: c, Version: "test", Log: slog.New(slog.NewJSONHandler(log, nil)), Upstream: upstream.Options{RootCAs: roots}}
		if err := m.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return m, log
	}
	m, log := run()
	bill, sam := signIn(t, m, "bill@acme.example"), signIn(t, m, "sam@acme.example")
	bill.must(201, "POST", "/api/v1/attempts", `{"id":"`+firstID+`","action":"pause","transport":"popup","reason":"card"}`)
	bill.must(200, "POST", "/api/v1/attempts/"+firstID+"/outcome", `{"outcome":"failed","evidence":{"kind":"blocked","after_ms":5}}`)

	told := h.await(t, 1)[0]
	if told.Type != "alert.raised" || told.Data.Attempt != firstID || !strings.Contains(told.Text, "bill@acme.example on acme: ") || told.Data.Link != "http://panel.localhost:8080/alerts" {
		t.Errorf("the webhook was told %+v", told)
	}
	if s := bill.state(); len(s.Alerts) != 1 || s.Alerts[0].ID != told.Data.ID {
		t.Errorf("the agent's state: %+v", s)
	}
	counted := metricsOf(t, m)
	for _, want := range []string{`offrecord_alerts_open{kind="attempt_failed"} 1`, `offrecord_alerts_raised_total{kind="attempt_failed"} 1`, `offrecord_alerts_open{kind="log"} 0`} {
		if !strings.Contains(counted, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	sam.must(200, "POST", "/api/v1/alerts/"+told.Data.ID+"/ack", "")
	if acked := h.await(t, 2)[1]; acked.Type != "alert.acknowledged" || acked.Data.AckedBy != "sam@acme.example" {
		t.Errorf("then %+v", acked)
	}
	if s := bill.state(); len(s.Alerts) != 0 {
		t.Errorf("acknowledged: %+v", s)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, `"level":"ERROR","msg":"alert raised","alert":"`+told.Data.ID) || !strings.Contains(text, `"msg":"alert acknowledged"`) {
		t.Errorf("the server's log: %s", text)
	}

	// The next run knows it, and tells nobody again.
	m, again := run()
	bill = signIn(t, m, "bill@acme.example")
	if s := bill.state(); len(s.Alerts) != 0 {
		t.Errorf("after a restart: %+v", s)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if len(h.took) != 2 {
		t.Errorf("the webhook took %d messages", len(h.took))
	}
	for where, text := range map[string]string{"the log": log.String() + again.String(), "the webhook": h.raw.String(), "the metrics": counted} {
		for _, secret := range []string{canary, hookKey, "secret-path"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", where, secret)
			}
		}
	}

	r, err := audit.OpenReader(filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page, err := r.Query(t.Context(), audit.Filter{Attempt: firstID})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[audit.Kind]audit.Record{}
	for _, e := range page.Items {
		kinds[e.Kind] = e.Record
	}
	if raised := kinds[audit.Alert]; raised.Agent.String() != "bill@acme.example" || raised.Client != audit.Server || !strings.Contains(raised.Detail.String(), "attempt_failed "+told.Data.ID) {
		t.Errorf("the record of the alert: %+v", raised)
	}
	if acked := kinds[audit.AlertAcked]; acked.By.String() != "sam@acme.example" || acked.Role != audit.Supervisor || acked.Peer.String() != "127.0.0.1" || acked.Agent.String() != "bill@acme.example" {
		t.Errorf("the record of its acknowledgement: %+v", acked)
	}
}

func metricsOf(t *testing.T, m *server.Main) string {
	t.Helper()
	answer, err := http.Get(m.MetricsURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, header := range []string{"Content-Security-Policy", "Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options", "Cross-Origin-Resource-Policy", "Cache-Control"} {
		if answer.Header.Get(header) == "" {
			t.Errorf("the metrics come without %s", header)
		}
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAnAccountThatCannotConfirmIsOneAlert: one a platform, and not one for each pause.
func TestAnAccountThatCannotConfirmIsOneAlert(t *testing.T) {
	m, _ := start(t, strings.Replace(strings.Replace(configuration, "agents:", "agents:\n  - {email: sam@acme.example, role: supervisor}", 1), "    tenant:", "    routes: [session]\n    tenant:", 1), "")
	bill, sam := signIn(t, m, "bill@acme.example"), signIn(t, m, "sam@acme.example")
	bill.pause(firstID)
	bill.pause(secondID)
	var page struct{ Items []recording.Alert }
	if err := json.Unmarshal([]byte(sam.must(200, "GET", "/api/v1/alerts?open=true", "")), &page); err != nil || len(page.Items) != 1 || page.Items[0].Kind != recording.AlertNoProof {
		t.Errorf("%+v, %v", page, err)
	}
	if s := bill.state(); len(s.Alerts) != 0 {
		t.Errorf("it isn't the agent's: %+v", s.Alerts)
	}
}
