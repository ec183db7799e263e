// Command backend measures what the server adds to an action: the same load, from the same generator in the same run, first
// to the platform's simulator directly and then through the companion to it, in turns. It prints the figures and holds the
// added p99 against the bar; a missed bar is exit code 1.
//
// How it is fair. The companion is the built binary, a process of its own, with its log and its adapters as they are, and
// every action is a whole one: POST /api/v1/actions with an agent's own bearer, answered with what the platform did. The
// simulator runs in the generator's process, for both alike. Actions are sent by a clock and timed from when they were due,
// so that a stall is everybody's who waited behind it. The number of actions is fixed, so it ends by itself; nothing leaves
// loopback.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"offrecord/e2e/bench/figures"
	"offrecord/e2e/sim/agui"
)

// addedMost is the bar: what the companion may add to the p99, in milliseconds.
const addedMost = 3

type options struct {
	binary string
	rate   int // actions a second
	rounds int
	each   time.Duration // of a round, of each kind
	agents int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "offrecord", filepath.Join("bin", "offrecord"), "the companion's binary")
	flag.IntVar(&o.rate, "rate", 500, "actions a second")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; each is one of the platform alone and one through the companion")
	flag.DurationVar(&o.each, "each", 5*time.Second, "length of each half of a round")
	flag.IntVar(&o.agents, "agents", 1000, "agents, and open panels")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	missed, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(2)
	case missed > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (missed int, err error) {
	if o.rate < 1 || o.rounds < 1 || o.agents < 1 || o.each < time.Second {
		return 0, errors.New("-rate, -rounds and -agents are at least 1, -each at least 1s")
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	f, err := newFloor(ctx, o)
	if err != nil {
		return 0, err
	}
	defer f.close()

	var direct, through load
	for range o.rounds {
		if err := f.press(ctx, o, f.directly, &direct); err != nil {
			return 0, fmt.Errorf("pressing at the platform: %w", err)
		}
		if err := f.press(ctx, o, f.byCompanion, &through); err != nil {
			return 0, fmt.Errorf("pressing through the companion: %w", err)
		}
	}
	memory, err := f.panels(ctx)
	if err != nil {
		return 0, err
	}

	fmt.Fprintf(out, "%d actions of each kind at %d a second by %d agents, %d processors, %s\n\n", len(direct.took), o.rate, o.agents, runtime.NumCPU(), loadAverage())
	fmt.Fprintf(out, "ms                     n      done/s   p50    p90    p99    max\n")
	for _, l := range []struct {
		name string
		*load
	}{{"the platform alone", &direct}, {"through the companion", &through}} {
		fmt.Fprintf(out, "%-21s  %5d  %6.0f  %5.2f  %5.2f  %5.2f  %5.1f\n", l.name, len(l.took), float64(len(l.took))/l.spent.Seconds(), l.at(.5), l.at(.9), l.at(.99), l.at(1))
	}
	if through.refused != nil {
		fmt.Fprintf(out, "\nrefused: %v\n", through.refused)
	}
	fmt.Fprintf(out, "\nMemory of the companion, MiB: %s\n\n", memory)
	return figures.WriteBars(out, []figures.Bar{
		{Name: "added p99, ms", Got: through.at(.99) - direct.at(.99), Most: addedMost, Digits: 2, Note: fmt.Sprintf("added p50: %.2f", through.at(.5)-direct.at(.5))},
		{Name: "actions confirmed", Got: float64(through.good), Least: float64(len(through.took)), Note: fmt.Sprintf("of %d", len(through.took))},
	})
}

// loadAverage says how busy the machine is with other things, too.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return "load average " + strings.Join(strings.Fields(string(text))[:min(3, len(strings.Fields(string(text))))], " ")
}

// load is what came of a number of actions.
type load struct {
	mu    sync.Mutex
	took  figures.Series // ms since each was due
	good  int
	spent time.Duration

	refused *refusal // the last
}

// at is the smallest value that a share of the values doesn't exceed.
func (l *load) at(share float64) float64 {
	if len(l.took) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(l.took))
	return sorted[int(math.Ceil(share*float64(len(sorted))))-1]
}

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

func newFloor(ctx context.Context, o options) (f *floor, err error) {
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
	text, err := yaml.Marshal(object{
		"listen": "127.0.0.1:0", "metrics_listen": metrics, "store": "sqlite:" + filepath.Join(f.dir, "offrecord.db"), "identity": object{"demo": true},
		"platforms": []object{{"name": "acme", "kind": "8x8", "base_url": f.platform.URL, "tenant": f.sim.Tenant(), "action_token": "${TOKEN}", "routes": []string{"server"}}},
		"agents":    config,
	})
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

// verb is what an agent's n-th press asks for.
func verb(n int) string {
	if n%2 == 0 {
		return "pause"
	}
	return "resume"
}

// directly asks the platform, as the companion's adapter does.
func (f *floor) directly(ctx context.Context, agent, n int) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/api/tstats/rccontrol/%s/%s/agentId/%s", f.platform.URL, verb(n), f.sim.Tenant(), f.agents[agent]), nil)
	if err != nil {
		return false, err
	}
	r.SetBasicAuth(f.sim.Tenant(), f.sim.ActionToken())
	resp, err := f.client.Do(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode == http.StatusOK && bytes.Contains(text, []byte("success")), err
}

// byCompanion asks the companion.
func (f *floor) byCompanion(ctx context.Context, agent, n int) (bool, error) {
	var attempt struct {
		Outcome string `json:"outcome"`
	}
	err := f.ask(ctx, http.MethodPost, f.url+"/api/v1/actions", f.bearers[agent], map[string]string{"id": uuid.NewString(), "action": verb(n)}, &attempt)
	return attempt.Outcome == "confirmed", err
}

// press sends a round's actions when they are due, whether or not those before were answered, and waits for all.
func (f *floor) press(ctx context.Context, o options, act func(context.Context, int, int) (bool, error), to *load) error {
	count := int(o.each.Seconds() * float64(o.rate))
	gap := time.Second / time.Duration(o.rate)
	began := time.Now()
	var all sync.WaitGroup
	var first error
	for i := range count {
		due := began.Add(time.Duration(i) * gap)
		time.Sleep(time.Until(due))
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			good, err := act(ctx, i%o.agents, i/o.agents)
			took := float64(time.Since(due)) / float64(time.Millisecond)
			to.mu.Lock()
			defer to.mu.Unlock()
			to.took = append(to.took, took)
			if good {
				to.good++
			}
			// A refusal is an answer, and not a good one.
			if refused := (*refusal)(nil); errors.As(err, &refused) {
				to.refused = refused
			} else if err != nil && first == nil {
				first = err
			}
		})
	}
	all.Wait()
	to.spent += time.Since(began)
	return errors.Join(first, ctx.Err())
}

// panels opens every agent's event stream, waits for the state on each, and says what that takes of memory.
func (f *floor) panels(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := f.memory(ctx)
	if err != nil {
		return "", err
	}
	var open []io.Closer
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for _, bearer := range f.bearers {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/api/v1/events", nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := f.client.Do(r)
		if err != nil {
			return "", fmt.Errorf("opening a panel's stream: %w", err)
		}
		open = append(open, resp.Body)
		for lines := bufio.NewScanner(resp.Body); ; {
			if !lines.Scan() {
				return "", errors.New("a panel's stream ended before the state came")
			}
			if lines.Text() == "event: state" {
				break
			}
		}
	}
	with, err := f.memory(ctx)
	if err != nil {
		return "", err
	}
	thousand := float64(len(f.bearers)) / 1000
	return fmt.Sprintf("%.1f before, %.1f with %d panels open: %.1f a thousand (resident %.1f and %.1f)",
		before.inUse, with.inUse, len(f.bearers), (with.inUse-before.inUse)/thousand, before.resident, with.resident), nil
}

// use is the memory of the companion, in MiB, after it has collected its garbage.
type use struct{ inUse, resident float64 }

func (f *floor) memory(ctx context.Context) (use, error) {
	for _, path := range []string{"/debug/pprof/heap?gc=1", "/metrics"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.metrics+path, nil)
		if err != nil {
			return use{}, err
		}
		resp, err := f.client.Do(r)
		if err != nil {
			return use{}, fmt.Errorf("asking for the companion's memory: %w", err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || path != "/metrics" {
			continue
		}
		var u use
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			bytes, _ := strconv.ParseFloat(value, 64)
			switch name {
			case "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes":
				u.inUse += bytes / (1 << 20)
			case "process_resident_memory_bytes":
				u.resident = bytes / (1 << 20)
			}
		}
		return u, nil
	}
	return use{}, errors.New("the companion doesn't tell of its memory")
}
