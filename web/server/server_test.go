package server_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/config"
	"offrecord/web/server"
)

// certificate writes a certificate for 127.0.0.1 and its key into a new directory.
func certificate(t *testing.T) (dir string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, roots = t.TempDir(), x509.NewCertPool()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	return dir, roots
}

func TestTLS(t *testing.T) {
	dir, roots := certificate(t)
	m, _ := start(t, strings.Replace(configuration, "identity:", "tls: {cert_file: cert.pem, key_file: key.pem}\nidentity:", 1), dir)
	if !strings.HasPrefix(m.URL(), "https://127.0.0.1:") {
		t.Fatalf("at %s", m.URL())
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	answer, err := client.Post(m.URL()+"/api/v1/login/demo", "application/json", strings.NewReader(`{"email":"bill@acme.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	cookies := answer.Cookies()
	if answer.ProtoMajor != 2 || len(cookies) != 1 || cookies[0].Name != "__Host-offrecord" || !cookies[0].Secure || answer.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %v %v", answer.Proto, cookies, answer.Header)
	}
}

func TestOpenPanelsDoNotKeepTheServer(t *testing.T) {
	m, _ := start(t, configuration, "")
	answer, err := http.Post(m.URL()+"/api/v1/login/demo", "application/json", strings.NewReader(`{"email":"bill@acme.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", m.URL()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(answer.Cookies()[0])
	stream, err := http.DefaultClient.Do(r)
	if err != nil || stream.StatusCode != 200 {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	began := time.Now()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := io.ReadAll(stream.Body); err != nil {
		t.Errorf("the stream broke off instead of ending: %v", err)
	}
}

// TestAnActionUnderWayIsRecordedAndAnswered ends the server while a platform is silent.
func TestAnActionUnderWayIsRecordedAndAnswered(t *testing.T) {
	t.Parallel()
	asked, over := make(chan struct{}, 1), make(chan struct{})
	platform := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	defer platform.Close()
	defer close(over)
	c, err := config.Parse([]byte(strings.Replace(strings.Replace(configuration, "http://agui.localhost:1", platform.URL, 1), "    tenant:", "    routes: [server]\n    timeouts: {try: 20s, attempt: 20s}\n    tenant:", 1)),
		config.Environment{Getenv: func(string) (string, bool) { return canary, true }})
	if err != nil {
		t.Fatal(err)
	}
	journal := new(diary)
	m := &server.Main{Config: c, Version: "test", Journal: journal}
	if err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(m.URL()+"/api/v1/login/demo", "application/json", strings.NewReader(`{"email":"bill@acme.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", m.URL()+"/api/v1/actions", strings.NewReader(`{"id":"0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d","action":"pause"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(answer.Cookies()[0])
	r.Header.Set("Content-Type", "application/json")
	done := make(chan string, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			done <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		done <- string(text)
	}()
	<-asked
	began := time.Now()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 9500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if text := <-done; !strings.Contains(text, `"outcome":"unknown"`) {
		t.Errorf("the answer: %s", text)
	}
	if text := journal.String(); !strings.Contains(text, `"outcome":"unknown"`) {
		t.Errorf("the journal: %s", text)
	}
}

func TestADemoIsNotReachedByAnothersName(t *testing.T) {
	m, log := start(t, strings.Replace(configuration, "identity:", "public_url: https://trial.offrecord.example\nidentity:", 1), "")
	if text := log.String(); !strings.Contains(text, `"level":"WARN"`) || !strings.Contains(text, "DANGER: demo") || !strings.Contains(text, `"configuration_line":5`) {
		t.Errorf("a demo under a public name isn't warned of: %s", text)
	}
	for host, status := range map[string]int{"panel.localhost:8080": 200, "trial.offrecord.example": 200, "TRIAL.offrecord.example:443": 200, "rebound.evil.example": 421} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", m.URL()+"/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("%s: %d", host, answer.StatusCode)
		}
	}
}

const canary = "canary-0f9d2c71-token"

const configuration = `
listen: 127.0.0.1:0
metrics_listen: 127.0.0.1:0
identity: {demo: true}
platforms:
  - name: acme
    kind: 8x8
    base_url: http://agui.localhost:1
    tenant: acme01
    action_token: ${TOKEN}
agents:
  - {email: bill@acme.example, role: agent, platform: acme, agent_id: bill}
`

// logs is a buffer that a running server may write to.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func start(t *testing.T, text, dir string) (*server.Main, *logs) {
	t.Helper()
	c, err := config.Parse([]byte(text), config.Environment{Dir: dir, Getenv: func(name string) (string, bool) { return canary, name == "TOKEN" }})
	if err != nil {
		t.Fatal(err)
	}
	log := new(logs)
	m := &server.Main{Config: c, Version: "test", Log: slog.New(slog.NewJSONHandler(log, nil))}
	if err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, log
}

// TestTheWholePath goes the way of a browser: log-in, page, route, an announced attempt and its outcome, the native form,
// and the stream that tells of all of it.
func TestTheWholePath(t *testing.T) {
	m, log := start(t, configuration, "")
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, path, contentType, body string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, m.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept", "text/html, */*")
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(text)
	}
	const form, asJSON = "application/x-www-form-urlencoded", "application/json"

	if answer, _ := do("GET", "/", "", ""); answer.StatusCode != 303 || answer.Header.Get("Location") != "/login" {
		t.Fatalf("without a session: %d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	if answer, text := do("POST", "/login/demo", form, "email=bill%40acme.example"); answer.StatusCode != 303 || answer.Header.Get("Location") != "/" {
		t.Fatalf("log-in: %d %s", answer.StatusCode, text)
	}
	answer, page := do("GET", "/", "", "")
	if answer.StatusCode != 200 || !strings.Contains(page, "Pause recording") || !strings.Contains(page, `id="view"`) {
		t.Fatalf("the page: %d %s", answer.StatusCode, page)
	}
	if strings.Contains(page, canary) {
		t.Error("the token is in the page")
	}
	if policy := answer.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-src 'self' http://agui.localhost:1;") {
		t.Errorf("the policy: %s", policy)
	}

	stream, err := http.NewRequestWithContext(t.Context(), "GET", m.URL()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	events, err := client.Do(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	next := func(name string) string {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == "event: "+name && lines.Scan() {
				return strings.TrimPrefix(lines.Text(), "data: ")
			}
		}
		t.Fatalf("the stream ended before an event %s: %v", name, lines.Err())
		return ""
	}
	next("state")

	answer, text := do("GET", "/api/v1/route", "", "")
	if answer.StatusCode != 200 || !strings.Contains(text, canary) || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the route: %d", answer.StatusCode)
	}
	id := "0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d"
	announcement := `{"id":"` + id + `","action":"pause","transport":"iframe","reason":"card"}`
	if answer, text = do("POST", "/api/v1/attempts", asJSON, announcement); answer.StatusCode != 201 {
		t.Fatalf("announced: %d %s", answer.StatusCode, text)
	}
	var snapshot recording.Snapshot
	next("attempt")
	if err := json.Unmarshal([]byte(next("state")), &snapshot); err != nil || snapshot.State != recording.Pausing {
		t.Fatalf("state %q, %v", snapshot.State, err)
	}
	if answer, text = do("POST", "/api/v1/attempts/"+id+"/outcome", asJSON, `{"outcome":"sent","evidence":{"kind":"frame_load","after_ms":80}}`); answer.StatusCode != 200 {
		t.Fatalf("outcome: %d %s", answer.StatusCode, text)
	}
	next("attempt")
	if err := json.Unmarshal([]byte(next("state")), &snapshot); err != nil || snapshot.State != recording.StateUnknown {
		t.Fatalf("state %q, %v", snapshot.State, err)
	}

	answer, text = do("POST", "/native/resume", form, "transport=popup")
	if answer.StatusCode != 303 || strings.Contains(text, canary) {
		t.Fatalf("the native resume: %d %s", answer.StatusCode, text)
	}
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || to.Host != "agui.localhost:1" || to.Query().Get("action") != "resume" || to.Query().Get("token") != canary {
		t.Fatalf("the native resume went elsewhere")
	}
	if answer.Header.Get("Referrer-Policy") != "no-referrer" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("the native answer may leak or be kept")
	}
	if strings.Contains(log.String(), canary) {
		t.Error("the token is in the log")
	}

	metrics, err := http.Get(m.MetricsURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	counted, _ := io.ReadAll(metrics.Body)
	if !strings.Contains(string(counted), `offrecord_attempts_total{action="pause",outcome="sent",platform="acme",route="session"} 1`) {
		t.Error("the attempt isn't counted")
	}
}
