package main

import (
	"bufio"
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
	"time"
)

// How long the companion may take.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// configText is a configuration as one would write it, with the token in a file of its own.
const configText = `# Made by the demo, gone when it ends.
listen: 127.0.0.1:%d
public_url: %s
identity:
  demo: true
platforms:
  - name: acme
    kind: 8x8
    base_url: %s
    tenant: %s
    action_token_file: %q
    routes: [session]
agents:
  - {email: %s, role: agent, platform: acme, agent_id: %s}
  - {email: %s, role: supervisor, platform: acme}
`

// writeConfig writes the configuration and the token into dir, for their owner only, and returns the configuration's path.
func writeConfig(dir string, port int, panel, workspace, token string) (string, error) {
	tokenFile, config := filepath.Join(dir, "action-token"), filepath.Join(dir, "offrecord.yaml")
	text := fmt.Sprintf(configText, port, panel, workspace, tenant, tokenFile,
		agentEmail, agentID, supervisor)
	return config, errors.Join(
		os.WriteFile(tokenFile, []byte(token+"\n"), 0o600),
		os.WriteFile(config, []byte(text), 0o600))
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
