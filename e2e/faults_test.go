package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"offrecord/app/recording"
	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/center"
	simcxone "offrecord/e2e/sim/cxone"
	simvonage "offrecord/e2e/sim/vonage"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
	"offrecord/web/platform/cxone"
	"offrecord/web/platform/eightbyeight"
	"offrecord/web/platform/upstream"
	"offrecord/web/platform/vonage"
	"offrecord/web/secret"
)

// What goes wrong between us and a platform, on each of the ways that lead there. The real dispatcher and adapters go through
// Toxiproxy to the simulators, whose ledgers judge what was said.

// leg is one of the ways to a platform, each through a proxy of its own.
type leg string

const (
	tokenLeg  leg = "token"
	lookUpLeg leg = "look-up" // the action's way, for a platform that has to find the call first
	actionLeg leg = "action"
	pollLeg   leg = "poll"
)

// The times of a platform in these tests. A late answer comes after its try was given up, and within the attempt.
const (
	faultTry     = time.Second
	faultAttempt = 6 * time.Second // longer than the calm that a resume soon after a pause is held against
	lateBy       = 1600 * time.Millisecond
	// faultSlack is what a busy machine may add to a deadline.
	faultSlack = 2 * time.Second
)

// toxic is what a proxy does to the bytes of one direction.
type toxic struct {
	name, kind, stream, attribute string
	value                         int64
	// harmless says that it keeps nothing from working.
	harmless bool
}

const (
	towards = "upstream"
	back    = "downstream"
)

func toxins() []toxic {
	return []toxic{
		{"latency, within a try", "latency", back, "latency", 40, true},
		{"latency, a late answer", "latency", back, "latency", lateBy.Milliseconds(), false},
		{"latency, a late request", "latency", towards, "latency", lateBy.Milliseconds(), false},
		{"reset, before the request", "reset_peer", towards, "timeout", 0, false},
		{"reset, before the answer", "reset_peer", back, "timeout", 0, false},
		{"slow close", "slow_close", back, "delay", lateBy.Milliseconds(), true},
		{"cut in the request", "limit_data", towards, "bytes", 40, false},
		{"cut in the answer's head", "limit_data", back, "bytes", 40, false},
		{"cut in the answer's body", "limit_data", back, "bytes", 0, false}, // the head's length is measured
	}
}

// field is a platform with its simulator, for several agents, whose legs go through proxies.
type field struct {
	name   string
	legs   []leg
	agents []string
	sim    func(t *testing.T) *ground
}

// ground is a field's simulator.
type ground struct {
	sim    *httptest.Server
	open   func(via map[leg]*url.URL, o upstream.Options) (act, read platform.Server, err error)
	start  func(agent string) (call string)
	silent func(agent string) bool
	// changed counts the times that an agent's tape fell silent and ran again.
	changed func(agent string) (silenced, ran int)
	ledger  fmt.Stringer
	// still waits until nothing is being carried out.
	still func(context.Context) error
}

// How many agents press under a fault, and how many there are for afterwards.
const (
	agentsPressing = 4
	agentsAfter    = 40
)

func fields() []field {
	var ids []string
	for i := range agentsPressing + agentsAfter {
		ids = append(ids, strconv.Itoa(101+i))
	}
	stop := func(pauseWith string) func(*testing.T) *ground {
		return func(t *testing.T) *ground {
			sim := simcxone.New(simcxone.Config{Lag: 30 * time.Millisecond, Agents: centerAgents(ids)})
			g := centerGround(t, sim.Center, httptest.NewServer(sim))
			g.open = func(via map[leg]*url.URL, o upstream.Options) (act, read platform.Server, err error) {
				set := cxone.Settings{BaseURL: via[actionLeg], TokenURL: via[tokenLeg].JoinPath(simcxone.AccessKeyPath),
					AccessKeyID: "key-1", AccessKeySecret: secret.New(sim.AccessKeySecret()), PauseWith: pauseWith}
				if act, err = cxone.New(set, o); err != nil {
					return nil, nil, err
				}
				set.BaseURL = via[pollLeg]
				read, err = cxone.New(set, o)
				return act, read, err
			}
			return g
		}
	}
	return []field{
		{name: "8x8", legs: []leg{actionLeg}, agents: ids, sim: func(t *testing.T) *ground {
			var people []agui.Agent
			for _, id := range ids {
				people = append(people, agui.Agent{ID: id, Email: id + "@acme.example"})
			}
			sim := agui.New(agui.Config{PlainLoopback: true, Agents: people})
			srv := httptest.NewServer(sim)
			t.Cleanup(srv.Close)
			t.Cleanup(sim.Close)
			return &ground{
				sim: srv,
				open: func(via map[leg]*url.URL, o upstream.Options) (act, read platform.Server, err error) {
					act, err = eightbyeight.New(eightbyeight.Settings{BaseURL: via[actionLeg], Tenant: sim.Tenant(), ActionToken: secret.New(sim.ActionToken())}, o)
					return act, act, err
				},
				start:  func(agent string) string { return sim.StartCall(agent).ID },
				silent: func(agent string) bool { return !sim.Recording(agent) },
				changed: func(agent string) (silenced, ran int) {
					for _, e := range sim.Effects(agent) {
						switch e.Kind {
						case agui.Paused:
							silenced++
						case agui.Resumed:
							ran++
						}
					}
					return silenced, ran
				},
				ledger: sim,
				still: func(ctx context.Context) error {
					return sim.WaitFor(ctx, func() bool {
						return !slices.ContainsFunc(sim.Requests(agui.Filter{}), func(r agui.Request) bool { return r.Answered.IsZero() && !r.Dropped })
					})
				},
			}
		}},
		{name: "vonage", legs: []leg{tokenLeg, lookUpLeg, actionLeg, pollLeg}, agents: ids, sim: func(t *testing.T) *ground {
			sim := simvonage.New(simvonage.Config{Lag: 30 * time.Millisecond, Agents: centerAgents(ids)})
			g := centerGround(t, sim.Center, httptest.NewServer(sim))
			g.open = func(via map[leg]*url.URL, o upstream.Options) (act, read platform.Server, err error) {
				set := vonage.Settings{BaseURL: via[actionLeg], TokenURL: via[tokenLeg].JoinPath(simvonage.TokenPath), Account: "a1b2c3d4e5",
					ClientID: "client-1", ClientSecret: secret.New(sim.ClientSecret())}
				if act, err = vonage.New(set, o); err != nil {
					return nil, nil, err
				}
				set.BaseURL = via[pollLeg]
				read, err = vonage.New(set, o)
				return act, read, err
			}
			return g
		}},
		{name: "cxone mask", legs: []leg{tokenLeg, actionLeg, pollLeg}, agents: ids, sim: stop(cxone.PauseMask)},
		{name: "cxone stop", legs: []leg{tokenLeg, actionLeg, pollLeg}, agents: ids, sim: stop(cxone.PauseStop)},
	}
}

func centerAgents(ids []string) (out []center.Agent) {
	for _, id := range ids {
		out = append(out, center.Agent{ID: id, Email: id + "@acme.example"})
	}
	return out
}

func centerGround(t *testing.T, c *center.Center, srv *httptest.Server) *ground {
	t.Cleanup(srv.Close)
	t.Cleanup(c.Close)
	return &ground{
		sim:   srv,
		start: func(agent string) string { return c.Start(agent).ID },
		silent: func(agent string) bool {
			call, ok := c.Live(agent)
			return ok && call.Now() != center.Running
		},
		changed: func(agent string) (silenced, ran int) {
			for _, e := range c.Effects(agent) {
				switch e.Kind {
				case center.TapeBlank, center.TapeOff:
					silenced++
				case center.TapeRunning:
					ran++
				}
			}
			return silenced, ran
		},
		ledger: c,
		still: func(ctx context.Context) error {
			return c.WaitFor(ctx, func() bool {
				for _, a := range c.Agents() {
					if call, ok := c.Live(a.ID); ok && c.Busy(call.ID) {
						return false
					}
				}
				return !slices.ContainsFunc(c.Requests(center.Filter{}), func(r center.Request) bool { return r.Answered.IsZero() && !r.Dropped })
			})
		},
	}
}

// split acts by one way and reads by another.
type split struct {
	platform.Server
	reader platform.Server
}

func (s split) Read(ctx context.Context, t platform.Target) platform.Reading {
	return s.reader.Read(ctx, t)
}

// found is what came of one row of the table.
type found struct {
	pauses, resumes map[recording.Outcome]int
	slowest         time.Duration
	opened          bool
	again           time.Duration // from the fault's end to a confirmed resume
}

func TestFaultsOnTheWayToThePlatform(t *testing.T) {
	t.Parallel()
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	type row struct {
		field field
		leg   leg
		toxic toxic
		found found
	}
	var rows []*row
	heads := map[string]map[leg]int64{}
	for _, f := range fields() {
		heads[f.name] = answerHeads(t, f)
		for _, l := range f.legs {
			for _, x := range toxins() {
				rows = append(rows, &row{field: f, leg: l, toxic: x})
			}
		}
	}
	// Most of a row is waiting for deadlines, so many go side by side whatever the processors.
	abreast := make(chan struct{}, 64)
	var all sync.WaitGroup
	for _, r := range rows {
		all.Go(func() {
			abreast <- struct{}{}
			defer func() { <-abreast }()
			t.Run(fmt.Sprintf("%s, %s, %s", r.field.name, r.leg, r.toxic.name), func(t *testing.T) {
				r.found = tryFault(t, proxies, r.field, r.leg, r.toxic, heads[r.field.name])
			})
		})
	}
	all.Wait()

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "platform\tleg\tfault\tpauses\tresumes\tslowest\tbreaker\twell again after")
	opened, hindered := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		breaker := "closed"
		if r.found.opened {
			breaker, opened[r.field.name] = "opened", true
		}
		if r.found.pauses[recording.Confirmed] < agentsPressing {
			hindered[r.field.name+" "+string(r.leg)] = true
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f s\t%s\t%.1f s\n", r.field.name, r.leg, r.toxic.name, counts(r.found.pauses), counts(r.found.resumes),
			r.found.slowest.Seconds(), breaker, r.found.again.Seconds())
	}
	w.Flush()
	t.Logf("%d rows, %d agents each; no outcome may say more than the ledger\n%s", len(rows), agentsPressing, &table)
	for _, f := range fields() {
		if !opened[f.name] {
			t.Errorf("no fault opened the breaker of %s, so its recovery isn't shown", f.name)
		}
		for _, l := range f.legs {
			if !hindered[f.name+" "+string(l)] {
				t.Errorf("no fault of the %s leg kept a pause of %s from being confirmed: it isn't on the way", l, f.name)
			}
		}
	}
}

func counts(outcomes map[recording.Outcome]int) string {
	var all []string
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		all = append(all, fmt.Sprintf("%d %s", outcomes[o], o))
	}
	return strings.Join(all, ", ")
}

// tryFault lets agents pause and resume while a leg misbehaves, and another afterwards.
func tryFault(t *testing.T, proxies *toxiproxy.ApiServer, f field, l leg, x toxic, heads map[leg]int64) found {
	g := f.sim(t)
	through := map[leg]*toxiproxy.Proxy{}
	via := map[leg]*url.URL{}
	for _, way := range []leg{tokenLeg, actionLeg, pollLeg} {
		p := toxiproxy.NewProxy(proxies, t.Name()+string(way), "127.0.0.1:0", g.sim.Listener.Addr().String())
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Stop)
		through[way], via[way] = p, &url.URL{Scheme: "http", Host: p.Listen}
	}
	act, read, err := g.open(via, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := dispatch.New(dispatch.Options{Upstream: func(string) (dispatch.Upstream, bool) {
		return dispatch.Upstream{Server: split{act, read}, Try: faultTry, Attempt: faultAttempt}, true
	}})
	t.Cleanup(d.Close)
	calls := map[string]string{}
	for _, agent := range f.agents {
		calls[agent] = g.start(agent)
	}
	way := l
	if way == lookUpLeg {
		way = actionLeg
	}
	value := x.value
	if x.attribute == "bytes" && value == 0 {
		value = heads[way] + 4
	}
	wrong := fmt.Sprintf(`{"name": "fault", "type": %q, "stream": %q, "attributes": {%q: %d}}`, x.kind, x.stream, x.attribute, value)
	if _, err := through[way].Toxics.AddToxicJson(strings.NewReader(wrong)); err != nil {
		t.Fatal(err)
	}

	press := func(agent string, action recording.Action) (recording.Attempt, time.Duration) {
		who := dispatch.Agent{Email: agent + "@acme.example", Platform: "acme", ID: agent}
		order := dispatch.Order{ID: uuid.NewString(), Action: action}
		if f.name == "vonage" && l != lookUpLeg {
			order.Call = calls[agent] // as a CRM names it
		}
		news := d.Watch(who, 0)
		defer news.Stop()
		began := time.Now()
		a, _, err := d.Act(t.Context(), who, order)
		if err != nil {
			t.Errorf("%s: %v", action, err)
			return a, 0
		}
		if took := time.Since(began); took > faultAttempt+faultSlack {
			t.Errorf("%s was answered after %s, beyond the attempt's deadline", action, took)
		}
		for !a.Settled() {
			e := <-news.Events()
			if e.Attempt != nil && e.Attempt.ID == order.ID {
				a = *e.Attempt
			}
		}
		took := time.Since(began)
		if took > faultAttempt+faultSlack {
			t.Errorf("%s was decided after %s, beyond the attempt's deadline", action, took)
		}
		if a.Outcome == recording.Confirmed && g.silent(agent) != action.Silences() {
			t.Errorf("%s of %s is said to be confirmed, and the ledger says otherwise", action, agent)
		}
		return a, took
	}
	out := found{pauses: map[recording.Outcome]int{}, resumes: map[recording.Outcome]int{}}
	var mu sync.Mutex
	var pressing sync.WaitGroup
	said := map[string][2]recording.Outcome{}
	for _, agent := range f.agents[:agentsPressing] {
		pressing.Go(func() {
			pause, first := press(agent, recording.Pause)
			resume, second := press(agent, recording.Resume)
			mu.Lock()
			defer mu.Unlock()
			out.pauses[pause.Outcome]++
			out.resumes[resume.Outcome]++
			out.slowest = max(out.slowest, first, second)
			said[agent] = [2]recording.Outcome{pause.Outcome, resume.Outcome}
		})
	}
	pressing.Wait()
	// Of a resume so soon after a pause more is asked: its effect has to last for a while, and one late reading begins that anew.
	if x.harmless && out.pauses[recording.Confirmed] != agentsPressing {
		t.Errorf("nothing kept the pauses from working: %v", out.pauses)
	}
	out.opened = d.BreakerOpen("acme")

	// The way is well again. What was still on it arrives now.
	through[way].Toxics.ResetToxics(t.Context())
	well := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for _, fresh := range f.agents[agentsPressing:] {
		if a, _ := press(fresh, recording.Pause); a.Outcome != recording.Confirmed { // whatever the breaker
			t.Errorf("afterwards a pause is %s: %s", a.Outcome, a.Detail)
		}
		var resume recording.Attempt
		if resume, _ = press(fresh, recording.Resume); resume.Outcome == recording.Confirmed {
			break
		}
		if time.Since(well) > patience {
			t.Errorf("afterwards a resume is %s: %s", resume.Outcome, resume.Detail)
			break
		}
		<-tick.C
	}
	out.again = time.Since(well)
	if d.BreakerOpen("acme") {
		t.Error("the breaker is open although the platform works")
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.still(ctx); err != nil {
		t.Error(err)
	}
	for _, agent := range f.agents[:agentsPressing] {
		silenced, ran := g.changed(agent)
		if said[agent][0].KeepsState() && silenced > 0 {
			t.Errorf("the pause of %s is said to be %s, and it worked", agent, said[agent][0])
		}
		if said[agent][1].KeepsState() && ran > 0 {
			t.Errorf("the resume of %s is said to be %s, and it worked", agent, said[agent][1])
		}
		switch state := d.Snapshot(dispatch.Agent{Email: agent + "@acme.example", Platform: "acme", ID: agent}).State; {
		case state.OffTape() && !g.silent(agent), state == recording.Recording && g.silent(agent):
			t.Errorf("in the end %s is said to be %s, and the tape is %s", agent, state, tape(g.silent(agent)))
		}
	}
	if t.Failed() {
		t.Logf("the ledger:\n%s", g.ledger)
	}
	return out
}

// answerHeads measures how long the heads of a platform's good answers are, the shortest on each way.
func answerHeads(t *testing.T, f field) map[leg]int64 {
	t.Helper()
	g := f.sim(t)
	via, legs := map[leg]*url.URL{}, map[string]leg{}
	for i, way := range []leg{tokenLeg, actionLeg, pollLeg} {
		via[way] = &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", i+1)}
		legs[via[way].Host] = way
	}
	heads := map[leg]int64{}
	act, read, err := g.open(via, upstream.Options{Dial: func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, g.sim.Listener.Addr().String())
		return &measured{Conn: conn, head: func(n int64) {
			if way := legs[address]; heads[way] == 0 || n < heads[way] {
				heads[way] = n
			}
		}}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	target := platform.Target{Agent: f.agents[0] + "@acme.example", AgentID: f.agents[0], Call: g.start(f.agents[0])}
	if result := act.Act(t.Context(), platform.Request{Target: target, Action: recording.Pause}); result.Outcome == recording.Failed {
		t.Fatal(result.Detail)
	}
	read.Read(t.Context(), target)
	return heads
}

// measured tells the length of each answer's head, which comes in one piece here.
type measured struct {
	net.Conn
	head func(int64)
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if i := bytes.Index(p[:n], []byte("\r\n\r\n")); i >= 0 {
		m.head(int64(i + 4))
	}
	return n, err
}
