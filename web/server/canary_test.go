package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/config"
	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/platform/upstream"
	"offrecord/web/server"
)

// canaries are every secret that the server holds or is given, by the environment variable it comes from; the bearers come
// from the platforms.
var canaries = map[string]string{
	"ACTION_TOKEN": "canary-1-action-token", "CLIENT_SECRET": "canary-2-client-secret", "ACCESS_KEY": "canary-3-access-key-secret", "APP_SECRET": "canary-4-app-secret",
	"bearer": "canary-5-bearer", "DATA_TOKEN": "canary-6-data-token", "HOOK_SECRET": "whsec_Y2FuYXJ5LTctd2ViaG9vay1rZXktb2YtdGhpcnR5LXR3bw==", "EMBED_SECRET": "canary-8-embed-key-of-32-bytes-or-more",
}

const misled = `
listen: 127.0.0.1:0
metrics_listen: 127.0.0.1:0
identity: {demo: true, embed_jwt: {issuer: 'https://crm.example.com', audience: offrecord, secret: '${EMBED_SECRET}'}}
alerts: {webhook: 'URL/hook', secret: '${HOOK_SECRET}'}
platforms:
  - {name: acme, kind: 8x8, base_url: 'URL', tenant: acme01, action_token: '${ACTION_TOKEN}', data_token: '${DATA_TOKEN}', routes: [server], timeouts: {try: 100ms, attempt: 150ms}}
  - {name: form, kind: vonage, base_url: 'URL', account: a1, client_id: id, client_secret: '${CLIENT_SECRET}', timeouts: {try: 100ms, attempt: 150ms}}
  - {name: basic, kind: vonage, base_url: 'URL', account: a1, client_id: id, client_secret: '${CLIENT_SECRET}', token_auth: basic, timeouts: {try: 100ms, attempt: 150ms}}
  - {name: key, kind: cxone, base_url: 'URL', token_url: 'URL/token/access-key', access_key_id: id, access_key_secret: '${ACCESS_KEY}', timeouts: {try: 100ms, attempt: 150ms}}
  - {name: grant, kind: cxone, base_url: 'URL', token_url: 'URL/token/password', access_key_id: id, access_key_secret: '${ACCESS_KEY}',
     token_form: password, client_id: app, client_secret: '${APP_SECRET}', timeouts: {try: 100ms, attempt: 150ms}}
agents:
  - {email: a@acme.example, role: supervisor, platform: acme, agent_id: a}
  - {email: f@acme.example, platform: form, agent_id: f}
  - {email: b@acme.example, platform: basic, agent_id: b}
  - {email: k@acme.example, platform: key, agent_id: k}
  - {email: g@acme.example, platform: grant, agent_id: g}
`

// parrot is a platform that says back whatever secret it was told, everywhere it can.
type parrot struct {
	mu     sync.Mutex
	status int  // of every answer but the tokens'; 0: no HTTP at all
	token  int  // of the tokens'
	shape  bool // a body that has the right shape, with the secrets in it
}

func (p *parrot) be(status, token int, shape bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.token, p.shape = status, token, shape
}

func (p *parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	status, shape, isToken := p.status, p.shape, strings.Contains(r.URL.Path, "/token")
	if isToken {
		status = p.token
	}
	p.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	_, password, _ := r.BasicAuth()
	heard := strings.Join([]string{r.Header.Get("Authorization"), password, string(body)}, " ")
	if status == 0 {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			fmt.Fprintf(conn, "%s\r\nX: %s\r\n\r\n", strings.ReplaceAll(heard, "\n", " "), heard)
			conn.Close()
		}
		return
	}
	line := strings.ReplaceAll(heard, "\n", " ")
	for _, name := range []string{"Retry-After", "WWW-Authenticate", "X-Error", "Date"} {
		w.Header().Set(name, line)
	}
	w.Header().Set("Location", "https://elsewhere.example/?"+line)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	quoted, _ := json.Marshal(heard)
	switch {
	case isToken && status == 200 && shape:
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600,"scope":%s}`, canaries["bearer"], quoted)
	case isToken:
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":%s,"error_uri":%s}`, quoted, quoted)
	case shape:
		fmt.Fprintf(w, `{"status":%s,"message":%s,"currentCallGuid":%s,"recordingStatus":%s,"recordingStatusToAgent":%s,"statusReason":%s,"contactId":%s}`,
			quoted, quoted, quoted, quoted, quoted, quoted, quoted)
	default:
		io.WriteString(w, heard)
	}
}

// diary is a journal that keeps what it is given.
type diary struct{ logs }

func (d *diary) Begin(_ context.Context, a recording.Attempt) error {
	return json.NewEncoder(d).Encode(a)
}

func (d *diary) Complete(_ context.Context, a recording.Attempt) error {
	return json.NewEncoder(d).Encode(a)
}

func (d *diary) Note(_ context.Context, n dispatch.Note) error {
	return json.NewEncoder(d).Encode(n)
}

// TestSecretsStayPut has platforms say back every secret that they were told, in every way, and looks for them in all that
// the server gives away.
func TestSecretsStayPut(t *testing.T) {
	platform := new(parrot)
	behind := httptest.NewUnstartedServer(platform)
	behind.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	behind.Start()
	defer behind.Close()
	c, err := config.Parse([]byte(strings.ReplaceAll(misled, "URL", behind.URL)), config.Environment{Getenv: func(name string) (string, bool) {
		secret, ok := canaries[name]
		return secret, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	log, journal := new(logs), new(diary)
	m := &server.Main{Config: c, Version: "test", Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Journal: journal}
	if err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Close()

	secrets := map[string]string{}
	for name, secret := range canaries {
		secrets[name] = secret
	}
	for _, pair := range []string{"acme01:" + canaries["ACTION_TOKEN"], "id:" + canaries["CLIENT_SECRET"], "app:" + canaries["APP_SECRET"]} {
		secrets["the header of "+pair[:3]] = base64.StdEncoding.EncodeToString([]byte(pair))
	}
	clean := func(where, text string) {
		t.Helper()
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s:\n%.500s", where, name, text)
			}
		}
	}
	ask := func(bearer, method, path, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, m.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Content-Type", "application/json")
		if strings.HasPrefix(path, "/native/") || strings.HasPrefix(path, "/act") {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var all bytes.Buffer
		answer.Header.Write(&all)
		io.Copy(&all, answer.Body)
		if answer.StatusCode >= 500 && answer.StatusCode != http.StatusServiceUnavailable { // here is no log to read
			t.Errorf("%s %s: %d %s", method, path, answer.StatusCode, &all)
		}
		return all.String()
	}
	agents := map[string]string{} // by address, its session
	for _, a := range c.Agents {
		_, body, _ := strings.Cut(ask("", "POST", "/api/v1/login/demo", `{"email":"`+a.Email+`"}`), `"access_token":"`)
		agents[a.Email], _, _ = strings.Cut(body, `"`)
	}

	told := map[string]string{"token": "canary-9-embed-token"} // what is handed out or presented: nobody else may be told
	outcomes := map[string]bool{}
	round := func(status, token int, shape bool) {
		platform.be(status, token, shape)
		var asking sync.WaitGroup
		for email, bearer := range agents {
			asking.Go(func() {
				for _, body := range []string{`"action":"pause"`, `"action":"resume","call":"c1"`} {
					answer := ask(bearer, "POST", "/api/v1/actions", `{"id":"`+uuid.NewString()+`",`+body+`}`)
					clean(fmt.Sprintf("%s's answer to %s at %d", email, body, status), answer)
				}
			})
		}
		asking.Wait()
	}
	for _, token := range []int{0, 302, 400, 401, 403, 429, 500, 200} { // once there is a token, none is asked for
		round(200, token, true)
		found, err := server.Check(t.Context(), c, upstream.Options{})
		clean(fmt.Sprintf("the check with tokens at %d", token), fmt.Sprint(found, err))
	}
	for _, status := range []int{0, 200, 202, 302, 307, 400, 401, 403, 404, 409, 422, 425, 429, 500, 504} {
		round(status, 200, true)
		if status == 200 || status == 400 || status == 500 {
			round(status, 200, false)
		}
		found, err := server.Check(t.Context(), c, upstream.Options{})
		clean(fmt.Sprintf("the check at %d", status), fmt.Sprint(found, err))
	}
	for email, bearer := range agents {
		_, made, _ := strings.Cut(ask(bearer, "POST", "/api/v1/links", `{"purpose":"card"}`), "#")
		fragment, _, ok := strings.Cut(made, `"`)
		if !ok {
			t.Fatalf("%s has no link", email)
		}
		for _, path := range []string{"/native/pause", "/native/resume", "/native/attest", "/native/decline", "/act", "/act/link"} {
			clean(email+"'s "+path, ask(bearer, "POST", path, "confirmed=yes&action=pause&link="+fragment))
		}
		clean(email+"'s log-in by a CRM", ask(bearer, "POST", "/api/v1/login/embed", `{"token":"e30.`+told["token"]+`.x"}`))
		for _, r := range httpapi.Routes() {
			if path := strings.NewReplacer("{$}", "", "{id}", uuid.NewString(), "{name}", "v1.js", "/next", "/next?wait=1ms").Replace(r.Pattern); r.Method == http.MethodGet && path != "/api/v1/events" {
				clean(email+"'s "+path, ask(bearer, "GET", path, ""))
			}
		}
		_, signature, _ := strings.Cut(fragment, ".")
		told["the link of "+email], told["the session of "+email] = signature, bearer
		var list struct{ Items []recording.Attempt }
		_, items, _ := strings.Cut(ask(bearer, "GET", "/api/v1/attempts?limit=500", ""), "{")
		if err := json.Unmarshal([]byte("{"+items), &list); err != nil {
			t.Fatal(err)
		}
		for _, a := range list.Items {
			outcomes[string(a.Outcome)] = true
		}
	}
	metrics, err := http.Get(m.MetricsURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	counted, _ := io.ReadAll(metrics.Body)
	for name, secret := range told {
		secrets[name] = secret
	}
	clean("the metrics", string(counted))
	clean("the log", log.String())
	clean("the journal", journal.String())
	clean("the server", fmt.Sprintf("%v %+v %#v", m, m.Config, m.Config.Platforms))

	// What was to be seen: the platforms were really asked, in all ways, and counted without names.
	for _, want := range []string{"unknown", "failed", "denied", "no_call"} {
		if !outcomes[want] {
			t.Errorf("no attempt was %s: %v", want, outcomes)
		}
	}
	for _, want := range []string{`offrecord_attempts_total{action="pause",outcome="denied",platform="acme",route="server"}`,
		`offrecord_platform_request_duration_seconds_count{platform="acme",request="act",status="200"}`,
		`offrecord_platform_request_duration_seconds_count{platform="form",request="token",status="401"}`,
		`offrecord_platform_request_duration_seconds_count{platform="form",request="read",status="none"}`,
		`offrecord_platform_breaker_open{platform="grant"}`} {
		if !strings.Contains(string(counted), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(string(counted), "@") || strings.Contains(string(counted), `"a"`) {
		t.Error("the metrics name an agent")
	}
}
