package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"offrecord/e2e/sim/agui"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// floor is the companion with its agents, and their platform.
type floor struct {
	sim       *agui.Simulator
	platform  *httptest.Server
	client    *http.Client
	companion *exec.Cmd
	url       string
	metrics   string
	ended     chan struct{}
	dir       string
	agents    []string
	bearers   []string
}

// plan is what one floor has, and another hasn't.
type plan struct {
	binary string
	agents int
	log    bool                                        // the companion writes its log to a disk
	fill   func(ctx context.Context, dir string) error // makes what the log holds already; optional
}

func newFloor(ctx context.Context, o plan) (f *floor, err error) {
	f = &floor{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4096, MaxConnsPerHost: 0}}}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	var people []agui.Agent
	type object = map[string]any
	var config []object
	for i := range o.agents {
		id := fmt.Sprintf("agent%04d", i)
		f.agents = append(f.agents, id)
		people = append(people, agui.Agent{ID: id, Email: id + "@acme.example"})
		config = append(config, object{"email": id + "@acme.example", "role": "agent", "platform": "acme", "agent_id": id})
	}
	f.sim = agui.New(agui.Config{PlainLoopback: true, Agents: people})
	for _, id := range f.agents {
		f.sim.StartCall(id)
	}
	f.platform = httptest.NewServer(f.sim)
	if f.dir, err = os.MkdirTemp("", "offrecord-backend-"); err != nil {
		return f, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return f, err
	}
	metrics := free.Addr().String()
	free.Close()
	f.metrics = "http://" + metrics
	settings := object{
		"listen": "127.0.0.1:0", "metrics_listen": metrics, "identity": object{"demo": true},
		"platforms": []object{{"name": "acme", "kind": "8x8", "base_url": f.platform.URL, "tenant": f.sim.Tenant(), "action_token": "${TOKEN}", "routes": []string{"server"}}},
		"agents":    config,
	}
	if o.log {
		settings["store"] = "sqlite:" + filepath.Join(f.dir, "offrecord.db")
	}
	if o.fill != nil {
		if err := o.fill(ctx, f.dir); err != nil {
			return f, err
		}
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return f, err
	}
	file := filepath.Join(f.dir, "offrecord.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return f, err
	}
	if err := f.start(o.binary, file); err != nil {
		return f, err
	}
	for _, id := range f.agents {
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := f.ask(ctx, http.MethodPost, f.url+"/api/v1/login/demo", "", object{"email": id + "@acme.example"}, &answer); err != nil {
			return f, fmt.Errorf("logging in: %w", err)
		}
		f.bearers = append(f.bearers, answer.Token)
	}
	return f, nil
}

func (f *floor) start(binary, config string) error {
	log, err := os.Create(filepath.Join(f.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(binary, "serve", "--config", config)
	cmd.Dir, cmd.Stderr, cmd.Env = f.dir, log, append(os.Environ(), "TOKEN="+f.sim.ActionToken())
	if cmd.Path, err = filepath.Abs(binary); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no companion at %s: build it with make build", binary)
	}
	if err != nil {
		return fmt.Errorf("starting the companion: %w", err)
	}
	f.companion, f.ended = cmd, make(chan struct{})
	said := bufio.NewReader(out)
	line, _ := said.ReadString('\n')
	go func() {
		defer close(f.ended)
		io.Copy(io.Discard, said)
		cmd.Wait()
	}()
	address, listens := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !listens {
		complaint, _ := os.ReadFile(log.Name())
		return fmt.Errorf("the companion doesn't listen; it said %q and\n%s", line, complaint)
	}
	f.url = address
	return nil
}

func (f *floor) close() {
	if f.ended != nil {
		f.companion.Process.Signal(syscall.SIGTERM)
		select {
		case <-f.ended:
		case <-time.After(10 * time.Second):
			f.companion.Process.Kill()
			<-f.ended
		}
	}
	if f.platform != nil {
		f.sim.Close()
		f.platform.CloseClientConnections()
		f.platform.Close()
	}
	if f.dir != "" {
		os.RemoveAll(f.dir)
	}
}

// ask sends a request and decodes the answer.
func (f *floor) ask(ctx context.Context, method, url, bearer string, body, answer any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, sent)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := f.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return &refusal{resp.StatusCode, string(text)}
	}
	return json.Unmarshal(text, answer)
}

// refusal is an answer that isn't 200.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), r.text)
}
