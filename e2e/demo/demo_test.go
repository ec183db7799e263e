package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

// In these tests the companion is this test binary, told by its arguments: `serve --config FILE`.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		os.Exit(fakeCompanion(os.Args[3], os.Getenv("FAKE_COMPANION")))
	}
	os.Exit(m.Run())
}

// settings are what the fake needs of the configuration, and the tests check.
type settings struct {
	Listen    string
	PublicURL string `yaml:"public_url"`
	Identity  struct{ Demo bool }
	Platforms []struct {
		Kind            string
		BaseURL         string `yaml:"base_url"`
		ActionTokenFile string `yaml:"action_token_file"`
	}
}

func fakeCompanion(path, how string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 2
	}
	var s settings
	if err := yaml.Unmarshal(text, &s); err != nil || !s.Identity.Demo {
		return 2
	}
	if how == "refuse" {
		fmt.Fprintln(os.Stderr, "I can't.")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return 1
	}
	var asked atomic.Int32
	answered := make(chan struct{}, 1)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle && asked.Load() == 3 {
				answered <- struct{}{}
			}
		},
	}
	go server.Serve(ln)
	fmt.Printf("good morning\nlistening http://%s\n", ln.Addr())
	if how == "die" {
		<-answered
		return 1
	}
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "a clean end")
	return 0
}

// text is a buffer that the demo and the test share.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	var stderr text
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-v", "-offrecord", self(t)}, in, &stderr)
		in.Close()
	}()
	open := map[string]string{}
	for lines := bufio.NewScanner(out); len(open) < 2 && lines.Scan(); {
		name, url, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			t.Errorf("the line %q isn't a name and a URL", lines.Text())
		}
		open[name] = url
	}
	if !strings.HasPrefix(open["panel"], "http://panel.localhost:") || !strings.HasPrefix(open["agent-workspace"], "http://agui.localhost:") {
		t.Fatalf("to open: %v; it said\n%s", open, &stderr)
	}

	files, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(files) != 1 {
		t.Fatalf("in the temporary place: %v %v", files, err)
	}
	config, err := os.ReadFile(os.Getenv("TMPDIR") + "/" + files[0].Name() + "/offrecord.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var s settings
	if err := yaml.Unmarshal(config, &s); err != nil {
		t.Fatal(err)
	}
	if s.PublicURL+"/" != open["panel"] || s.Platforms[0].BaseURL+"/" != open["agent-workspace"] || s.Platforms[0].Kind != "8x8" {
		t.Errorf("the configuration doesn't fit %v:\n%s", open, config)
	}
	token, err := os.ReadFile(s.Platforms[0].ActionTokenFile)
	if err != nil || bytes.Contains(config, bytes.TrimSpace(token)) {
		t.Errorf("the token is in the configuration, or nowhere: %v", err)
	}

	// The simulator answers under its own name.
	at := strings.Replace(open["agent-workspace"], "agui.localhost", "127.0.0.1", 1)
	resp, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Contains(page, []byte("Log in as Bill")) {
		t.Errorf("the simulator's first page: %v\n%s", err, page)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("the demo ended with %v", err)
	}
	if !strings.Contains(stderr.String(), "a clean end") || !strings.Contains(stderr.String(), "good morning") {
		t.Errorf("it said\n%s", &stderr)
	}
	if files, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(files) != 0 {
		t.Errorf("it left %v behind (%v)", files, err)
	}
}

func TestWhatGoesWrongIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for name, tt := range map[string]struct {
		args []string
		fake string
		want string
	}{
		"no binary":                     {[]string{"-offrecord", "/nowhere/offrecord"}, "", "make build"},
		"the companion refuses":         {[]string{"-offrecord", self(t)}, "refuse", "ended while starting"},
		"the companion dies":            {[]string{"-offrecord", self(t)}, "die", "ended by itself"},
		"the companion's port is taken": {[]string{"-port", port}, "", "taken"},
		"the simulator's port is taken": {[]string{"-simulator-port", port}, "", "taken"},
		"an unknown flag":               {[]string{"-nonsense"}, "", errUsage.Error()},
		"help":                          {[]string{"-help"}, "", flag.ErrHelp.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FAKE_COMPANION", tt.fake)
			var stderr text
			if err := run(t.Context(), tt.args, io.Discard, &stderr); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q; it said\n%s", err, tt.want, &stderr)
			}
			if tt.fake == "refuse" && !strings.Contains(stderr.String(), "I can't.") {
				t.Errorf("the companion's own words are lost:\n%s", &stderr)
			}
		})
	}
}

func TestInterruptedWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-offrecord", self(t)}, io.Discard, io.Discard); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}

func TestPick(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	if got, err := pick(0, port); err != nil || got == port {
		t.Errorf("picked %d, %v, although it is taken", got, err)
	}
	if _, err := pick(port, 1); err == nil {
		t.Error("a taken port was picked because it was wanted")
	}
}
