package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("canary-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "offrecord.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const working = `listen: 127.0.0.1:0
identity: {demo: true}
platforms: [{name: acme, kind: 8x8, base_url: 'http://agui.localhost:1', tenant: acme01, action_token_file: token, max_pause: 3m}]
agents: [{email: bill@acme.example, platform: acme}]
`

func TestExitCodes(t *testing.T) {
	right, wrong := write(t, working), write(t, "listne: x\n")
	tests := []struct {
		name            string
		args            []string
		status          int
		out, complaints string
	}{
		{"version", []string{"version"}, 0, "offrecord ", ""},
		{"help", []string{"--help"}, 0, "Usage: offrecord", ""},
		{"nothing", nil, 2, "", "expected"},
		{"an unknown command", []string{"fly"}, 2, "", "fly"},
		{"no configuration named", []string{"serve"}, 2, "", "--config"},
		{"no such file", []string{"check", "--config", "/nowhere.yaml"}, 2, "", "nowhere.yaml"},
		{"a bad file", []string{"check", "--config", wrong}, 2, "", `line 1: The key "listne"`},
		{"serving a bad file", []string{"serve", "--config", wrong}, 2, "", `line 1: The key "listne"`},
		{"a good file", []string{"check", "--config", right}, 0, "acme (8x8): action_token: not checkable: 8x8 couldn't be asked", ""},
		{"its warnings", []string{"check", "--config", right}, 0, "There is no store", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, complaints bytes.Buffer
			if status := run(t.Context(), tt.args, &out, &complaints); status != tt.status {
				t.Errorf("status %d: %s", status, &complaints)
			}
			if !strings.Contains(out.String(), tt.out) || !strings.Contains(complaints.String(), tt.complaints) {
				t.Errorf("out %q, complaints %q", &out, &complaints)
			}
			if strings.Contains(out.String()+complaints.String(), "canary") {
				t.Error("the token was printed")
			}
		})
	}
}

// TestCheck asks platforms that judge credentials in different ways; none of them may be asked to touch a recording.
func TestCheck(t *testing.T) {
	const token = `{"access_token":"canary-bearer","token_type":"Bearer","expires_in":3600}`
	basic := func(password string) func(*http.Request) int { // a platform that lets one password in
		return func(r *http.Request) int {
			if _, given, _ := r.BasicAuth(); given != password {
				return 401
			}
			return 404
		}
	}
	always := func(status int) func(*http.Request) int { return func(*http.Request) int { return status } }
	acme := `  - {name: acme, kind: 8x8, base_url: 'URL', tenant: acme01, action_token_file: token}`
	emea := `  - {name: emea, kind: vonage, base_url: 'URL', account: a1, client_id: id, client_secret_file: token}`
	cx := `  - {name: cx, kind: cxone, base_url: 'URL', token_url: 'URL/authentication/v1/token/access-key', access_key_id: id, access_key_secret_file: token}`
	tests := []struct {
		name, platform string
		tokens, rest   func(*http.Request) int // the answer's status of the token endpoint and of everything else
		status         int
		lines          []string
	}{
		{"8x8 knows the token", acme, nil, basic("canary-token"), 0, []string{"acme (8x8): action_token: good: 8x8 takes"}},
		{"8x8 doesn't", acme, nil, basic("another"), 1, []string{"acme (8x8): action_token: bad: 8x8 refuses"}},
		{"8x8 doesn't look", acme, nil, always(404), 0, []string{"acme (8x8): action_token: not checkable: 8x8 answers a made-up action without looking"}},
		{"8x8 is ill", acme, nil, always(500), 0, []string{"acme (8x8): action_token: not checkable: 8x8 answered HTTP 500"}},
		{"8x8 by the browser only", strings.Replace(acme, "tenant:", "routes: [session], tenant:", 1), nil, basic("another"), 1, []string{"acme (8x8): action_token: bad"}},
		{"8x8's other token", strings.Replace(acme, "tenant:", "data_token_file: token, tenant:", 1), nil, basic("canary-token"), 0,
			[]string{"acme (8x8): action_token: good", "acme (8x8): data_token: not checkable"}},
		{"Vonage gives a token", emea, always(200), always(404), 0, []string{"emea (vonage): client_secret: good", "emea (vonage): account: not checkable"}},
		{"Vonage gives none", emea, always(401), always(404), 1, []string{"emea (vonage): client_secret: bad: Vonage refuses", "emea (vonage): account: not checkable: It can't be checked without a token"}},
		{"Vonage is ill", emea, always(503), always(404), 0, []string{"emea (vonage): client_secret: not checkable", "emea (vonage): account: not checkable"}},
		{"Vonage keeps its agents to itself", emea, always(200), always(403), 1, []string{"emea (vonage): client_secret: good", "emea (vonage): account: bad"}},
		{"CXone gives a token", cx, always(200), always(404), 0, []string{"cx (cxone): access_key_secret: good", "cx (cxone): permission: not checkable: CXone let the access key ask"}},
		{"CXone gives none", cx, always(401), always(404), 1, []string{"cx (cxone): access_key_secret: bad", "cx (cxone): permission: not checkable"}},
		{"CXone lacks the permission", cx, always(200), always(403), 1, []string{"cx (cxone): access_key_secret: good", "cx (cxone): permission: bad: CXone refuses the API"}},
		{"CXone without the status call", strings.Replace(cx, "access_key_id:", "status: off, access_key_id:", 1), always(200), always(403), 0,
			[]string{"cx (cxone): access_key_secret: good", "cx (cxone): permission: not checkable: Without the status call"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.tokens != nil && strings.Contains(r.URL.Path, "/token") {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(tt.tokens(r))
					io.WriteString(w, token)
					return
				}
				if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/rccontrol/check/") || !strings.Contains(r.URL.String(), "offrecord-check-") {
					t.Errorf("asked for %s %s", r.Method, r.URL)
				}
				w.WriteHeader(tt.rest(r))
			}))
			defer platform.Close()
			file := write(t, "listen: 127.0.0.1:0\nidentity: {demo: true}\nplatforms:\n"+strings.ReplaceAll(tt.platform, "URL", platform.URL)+
				"\nagents: [{email: bill@acme.example, role: supervisor}]\n")
			var out, complaints bytes.Buffer
			if status := run(t.Context(), []string{"check", "--config", file}, &out, &complaints); status != tt.status || complaints.Len() > 0 {
				t.Errorf("status %d: %s", status, &complaints)
			}
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out.String()), "\n"), func(line string) bool { return strings.HasPrefix(line, file) }) // a warning
			if len(lines) != len(tt.lines) {
				t.Fatalf("%d lines:\n%s", len(lines), &out)
			}
			for i, want := range tt.lines {
				if !strings.HasPrefix(lines[i], want) || !strings.HasSuffix(lines[i], ".") {
					t.Errorf("%q, want %q", lines[i], want)
				}
			}
			if strings.Contains(out.String(), "canary") {
				t.Error("a secret was printed")
			}
		})
	}
}

func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	read, written := io.Pipe()
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"serve", "--config", write(t, working)}, written, io.Discard) }()
	line, err := bufio.NewReader(read).ReadString('\n')
	at, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	answer, err := http.Get(at + "/readyz")
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	stop()
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}
