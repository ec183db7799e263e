package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
platforms: [{name: acme, kind: 8x8, base_url: 'http://agui.localhost:1', tenant: acme01, action_token_file: token, combine: true}]
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
		{"a good file", []string{"check", "--config", right}, 0, "acme (8x8): settings are good; credentials are not checkable", ""},
		{"its warnings", []string{"check", "--config", right}, 0, "line 3: combine isn't supported", ""},
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
