package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"

	"offrecord/e2e/sim/cxone"
)

// How long the companion may take.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// configText is a configuration as one would write it, with each secret in a file of its own.
const configText = `# Made by the demo, gone when it ends.
listen: 127.0.0.1:{{.Port}}
public_url: {{.Panel}}
store: sqlite:offrecord.db
embed_origins: [{{.CRM}}]
identity:
  demo: true
  embed_jwt: {issuer: {{.CRM}}, audience: {{.Audience}}, secret_file: crm-secret}
platforms:
  - name: acme
    kind: 8x8
    base_url: {{.Workspace}}
    tenant: {{.Tenant}}
    action_token_file: action-token
    data_token_file: data-token
    routes: [session]
    max_pause: 3m
    max_extensions: 1
  - name: acme-server # the same tenant, by the server
    kind: 8x8
    base_url: {{.Workspace}}
    tenant: {{.Tenant}}
    action_token_file: action-token
    data_token_file: data-token
    routes: [server]
    max_pause: 3m
    max_extensions: 1
  - name: emea
    kind: vonage
    base_url: {{.Vonage}}
    account: {{.Account}}
    client_id: {{.ClientID}}
    client_secret_file: vonage-secret
    max_pause: 3m
    max_extensions: 1
  - name: cx
    kind: cxone
    base_url: {{.CXone}}
    token_url: {{.CXone}}{{.AccessKeyPath}}
    access_key_id: {{.AccessKeyID}}
    access_key_secret_file: cxone-secret
    max_pause: 3m
    max_extensions: 1
agents:
  - {email: {{.Bill.Email}}, role: agent, platform: acme, agent_id: {{.Bill.ID}}}
  - {email: {{.Becky.Email}}, role: agent, platform: acme-server, agent_id: {{.Becky.ID}}}
  - {email: {{.Ada.Email}}, role: agent, platform: acme-server, agent_id: {{.Ada.ID}}}
  - {email: {{.Vera.Email}}, role: agent, platform: emea, agent_id: "{{.Vera.ID}}"}
  - {email: {{.Nico.Email}}, role: agent, platform: cx, agent_id: "{{.Nico.ID}}"}
  - {email: {{.Supervisor}}, role: supervisor, platform: acme}
`

// writeConfig writes the configuration and the platforms' secrets into dir, for their owner only, and returns the
// configuration's path. platform makes a platform's address of its name.
func writeConfig(dir string, port int, panel string, platform func(string) string, p platforms) (string, error) {
	var text bytes.Buffer
	if err := template.Must(template.New("").Parse(configText)).Execute(&text, map[string]any{
		"Port": port, "Panel": panel, "Workspace": platform(workspaceName), "Vonage": platform(vonageName), "CXone": platform(cxoneName), "CRM": platform(crmName), "Audience": audience,
		"Tenant": tenant, "Account": account, "ClientID": clientID, "AccessKeyID": accessKeyID, "AccessKeyPath": cxone.AccessKeyPath,
		"Bill": bill, "Becky": becky, "Ada": ada, "Vera": vera, "Nico": nico, "Supervisor": supervisor,
	}); err != nil {
		return "", err
	}
	config := filepath.Join(dir, "offrecord.yaml")
	problems := []error{os.WriteFile(config, text.Bytes(), 0o600)}
	for name, secret := range map[string]string{
		"action-token": p.workspace.ActionToken(), "data-token": p.archive.DataToken(), "vonage-secret": p.vonage.ClientSecret(), "cxone-secret": p.cxone.AccessKeySecret(), "crm-secret": p.crmSecret,
	} {
		problems = append(problems, os.WriteFile(filepath.Join(dir, name), []byte(secret+"\n"), 0o600))
	}
	return config, errors.Join(problems...)
}

// companion is the offrecord server as a child.
type companion struct {
	cmd    *exec.Cmd
	lines  chan string   // what it printed to stdout, for ready
	exited chan struct{} // closed when it has ended
	err    error         // how; read it after exited
}

// startCompanion starts the binary in the configuration's directory, where whatever it keeps goes with the demo. Its log goes
// to log. It has a process group of its own: a Ctrl-C in the terminal is for the demo, which
// then asks the companion to stop, once.
func startCompanion(binary, config string, log io.Writer) (*companion, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("finding the companion: %w", err)
	}
	cmd := exec.Command(binary, "serve", "--config", config)
	cmd.Dir = filepath.Dir(config)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no companion at %s: build it with make build", binary)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the companion: %w", err)
	}
	c := &companion{cmd: cmd, lines: make(chan string, 1), exited: make(chan struct{})}
	go func() {
		defer close(c.exited)
		for said := bufio.NewScanner(stdout); said.Scan(); {
			if at, ok := strings.CutPrefix(said.Text(), "listening "); ok {
				select {
				case c.lines <- at:
				default:
				}
				continue
			}
			fmt.Fprintln(log, said.Text())
		}
		c.err = cmd.Wait()
	}()
	return c, nil
}

// ready waits until the companion listens and says that it is ready.
func (c *companion) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the companion wasn't ready after %v", startTimeout))
	defer cancel()
	var at string
	select {
	case at = <-c.lines:
	case <-c.exited:
		return fmt.Errorf("the companion ended while starting: %w", c.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(at, "/")+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("the companion said that it listens at %q: %w", at, err)
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-c.exited:
			return fmt.Errorf("the companion ended while starting: %w", c.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop asks the companion to end and waits for it. Its having ended already is no error here: run has told of that.
func (c *companion) stop() error {
	select {
	case <-c.exited:
		return nil
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the companion: %w", err)
	}
	select {
	case <-c.exited:
		status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if ok && status.Signal() == syscall.SIGTERM {
			return nil // asked before it listened to signals
		}
		if c.err != nil {
			return fmt.Errorf("the companion didn't end well: %w", c.err)
		}
		return nil
	case <-time.After(stopTimeout):
		c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("the companion didn't end within %v and was killed", stopTimeout)
	}
}

// tail keeps the end of what was written to it, to be shown if the companion fails.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailSize is how much a tail keeps, in bytes.
const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = slices.Delete(t.text, 0, over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
