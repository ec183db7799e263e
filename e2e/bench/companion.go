package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// startCompanion starts the built binary for the agents, with a certificate for the host of its public address, to be embedded by one origin, and returns
// the address that it listens on, host:port. It is asked to end when the benchmark does.
func startCompanion(h *harness, net *browser.Net, binary string, public, platform, embedder *url.URL, token string, agents []agui.Agent) string {
	dir := h.TempDir()
	keep := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			h.Fatalf("writing the companion's %s: %v", name, err)
		}
		return file
	}
	cert := net.TLS(h, public.Hostname()).Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		h.Fatalf("writing the companion's key: %v", err)
	}
	type object = map[string]any
	var people []object
	for _, a := range agents {
		people = append(people, object{"email": a.Email, "role": "agent", "platform": "acme", "agent_id": a.ID})
	}
	config, err := yaml.Marshal(object{
		"listen": "127.0.0.1:0",
		"tls": object{
			"cert_file": keep("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
			"key_file":  keep("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		},
		"store":         "sqlite:" + filepath.Join(dir, "offrecord.db"),
		"identity":      object{"demo": true},
		"embed_origins": []string{embedder.String()},
		"platforms": []object{{
			"name": "acme", "kind": "8x8", "base_url": platform.String(), "tenant": "acme01",
			"action_token_file": keep("token", []byte(token)), "routes": []string{"session"},
		}},
		"agents": people,
	})
	if err != nil {
		h.Fatalf("writing the companion's configuration: %v", err)
	}

	cmd := exec.Command(binary, "serve", "--config", keep("offrecord.yaml", config))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		h.Fatalf("making the companion's log: %v", err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, os.ErrNotExist) {
		h.Fatalf("there is no companion at %s: build it with make build", binary)
	}
	if err != nil {
		h.Fatalf("starting the companion: %v", err)
	}
	said := bufio.NewReader(out)
	line, _ := said.ReadString('\n') // at the end of the stream it is not what is looked for
	ended := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, said)
		ended <- cmd.Wait()
	}()
	h.Cleanup(func() {
		defer log.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	address, listens := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	at, err := url.Parse(address)
	if !listens || err != nil {
		complaint, _ := os.ReadFile(log.Name())
		h.Fatalf("the companion doesn't listen; it said %q and\n%s", line, complaint)
	}
	return at.Host
}

// login logs the agent in at the companion, and returns the session's cookie.
func login(ctx context.Context, client *http.Client, companion *url.URL, email string) (*http.Cookie, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, companion.JoinPath("api/v1/login/demo").String(),
		strings.NewReader(fmt.Sprintf("{\"email\":%q}", email)))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	defer resp.Body.Close()
	if cookies := resp.Cookies(); resp.StatusCode == http.StatusOK && len(cookies) == 1 {
		return cookies[0], nil
	}
	return nil, fmt.Errorf("logging in: the companion answered %s", resp.Status)
}
