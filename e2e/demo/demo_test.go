package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
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
		Kind                string
		BaseURL             string `yaml:"base_url"`
		ActionTokenFile     string `yaml:"action_token_file"`
		ClientSecretFile    string `yaml:"client_secret_file"`
		AccessKeySecretFile string `yaml:"access_key_secret_file"`
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

// get reads a page by its *.localhost name, which not every machine's resolver knows.
func get(t *testing.T, address string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}}
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", address, resp.Status, err)
	}
	return string(page)
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
	for lines := bufio.NewScanner(out); len(open) < 5 && lines.Scan(); {
		name, url, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			t.Errorf("the line %q isn't a name and a URL", lines.Text())
		}
		open[name] = url
	}
	for name, at := range map[string]string{"panel": panelName, "agent-workspace": workspaceName, "vonage": vonageName, "cxone": cxoneName, "crm": crmName} {
		if !strings.HasPrefix(open[name], "http://"+at+":") {
			t.Fatalf("to open: %v; it said\n%s", open, &stderr)
		}
	}

	files, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(files) != 1 {
		t.Fatalf("in the temporary place: %v %v", files, err)
	}
	dir := filepath.Join(os.Getenv("TMPDIR"), files[0].Name())
	config, err := os.ReadFile(filepath.Join(dir, "offrecord.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var s settings
	if err := yaml.Unmarshal(config, &s); err != nil {
		t.Fatal(err)
	}
	if s.PublicURL+"/" != open["panel"] {
		t.Errorf("the configuration doesn't fit %v:\n%s", open, config)
	}
	kinds := map[string]int{}
	for _, p := range s.Platforms {
		kinds[p.Kind]++
		name := map[string]string{"8x8": "agent-workspace", "vonage": "vonage", "cxone": "cxone"}[p.Kind]
		if p.BaseURL+"/" != open[name] {
			t.Errorf("the platform %+v isn't one of %v", p, open)
		}
		secret, err := os.ReadFile(filepath.Join(dir, p.ActionTokenFile+p.ClientSecretFile+p.AccessKeySecretFile))
		if err != nil || bytes.Contains(config, bytes.TrimSpace(secret)) {
			t.Errorf("a secret is in the configuration, or nowhere: %v", err)
		}
	}
	if !maps.Equal(kinds, map[string]int{"8x8": 2, "vonage": 1, "cxone": 1}) {
		t.Errorf("the platforms: %v", kinds)
	}

	// Each simulator answers under its own name, with a call where the agent can't begin one by logging in.
	for name, want := range map[string]string{"agent-workspace": "Log in as Bill", "vonage": "Vonage", "cxone": "NICE CXone", "crm": "Larch"} {
		if page := get(t, open[name]); !strings.Contains(page, want) || !strings.Contains(page, "simulator") {
			t.Errorf("the first page of %s:\n%s", name, page)
		}
	}
	for _, name := range []string{"vonage", "cxone"} {
		if state := get(t, open[name]+"sim/state"); !strings.Contains(state, `"tape":"running"`) {
			t.Errorf("%s has no call: %s", name, state)
		}
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
		"the simulators' port is taken": {[]string{"-simulator-port", port}, "", "taken"},
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
