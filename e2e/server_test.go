package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/center"
	simcxone "offrecord/e2e/sim/cxone"
	simvonage "offrecord/e2e/sim/vonage"
	"offrecord/web/platform/upstream"
)

// Each platform that the server acts on, paused and resumed from its panel. The ledger judges what the panel shows.

// post is one agent whose platform the server reaches, as a desk is one whose platform the browser reaches.
type post struct {
	desk     // its name, for logging in; and with combine its simulator
	platform string
	token    string // the platform's secret
	begin    func() // a call
	end      func()
	audible  func(time.Time) bool
	asked    func() []string // what the platform was asked for, in its own words
	ledger   interface {
		fmt.Stringer
		WaitFor(context.Context, func() bool) error
	}
	pretend func(bool)      // to accept and to do nothing; nil where a client can't notice that
	paused  recording.State // what a pause comes to
	pause   string          // what it is asked for as
	// declined is what the customer's refusal comes to, and decline what it is asked for as.
	declined recording.State
	decline  string
	combine  bool
}

func (p *post) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.ledger.WaitFor(ctx, ok); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// posts are the platforms, over TLS; each opens in a net of its own.
func posts() map[string]func(*testing.T, *browser.Net) *post {
	eightByEight := func(combine bool) func(*testing.T, *browser.Net) *post {
		return func(t *testing.T, n *browser.Net) *post {
			const id = "bill"
			p := &post{desk: desk{name: id}, paused: recording.Paused, pause: "pause", declined: recording.Paused, decline: "pause", combine: combine}
			p.sim = agui.New(agui.Config{Agents: []agui.Agent{{ID: id, Email: p.email(), Name: id}}})
			p.url = n.ServeHTTP1(t, platformName, p.sim).URL
			t.Cleanup(p.sim.Close)
			p.token, p.ledger = p.sim.ActionToken(), p.sim
			p.begin, p.end = func() { p.sim.StartCall(id) }, func() { p.sim.EndCall(id) }
			p.audible = p.recordedAt
			p.asked = func() (all []string) {
				for _, r := range p.sim.Requests(agui.Filter{Method: http.MethodPut}) {
					all = append(all, string(r.Action))
				}
				return all
			}
			routes := "routes: [server]"
			if combine {
				routes = "routes: [session, server], combine: true"
			}
			p.platform = fmt.Sprintf("kind: 8x8, base_url: %q, tenant: %s, action_token: \"${TOKEN}\", %s", p.url, p.sim.Tenant(), routes)
			return p
		}
	}
	cxone := func(pauseWith, pause string, paused recording.State) func(*testing.T, *browser.Net) *post {
		return func(t *testing.T, n *browser.Net) *post {
			const id = "1234567"
			sim := simcxone.New(simcxone.Config{Lag: 100 * time.Millisecond, Agents: []center.Agent{{ID: id}}})
			url := n.ServeHTTP1(t, "api.cxone.test", sim).URL
			p := centerPost(t, sim.Center, id)
			p.name, p.token, p.paused, p.pause, p.declined, p.decline = "nico", sim.AccessKeySecret(), paused, pause, recording.Declined, "do-not-record"
			p.platform = fmt.Sprintf("kind: cxone, base_url: %q, token_url: %q, access_key_id: key-1, access_key_secret: \"${TOKEN}\", pause_with: %s",
				url, url+simcxone.AccessKeyPath, pauseWith)
			return p
		}
	}
	return map[string]func(*testing.T, *browser.Net) *post{
		"8x8 by the server": eightByEight(false),
		"8x8 combined":      eightByEight(true),
		"vonage": func(t *testing.T, n *browser.Net) *post {
			const id = "462"
			sim := simvonage.New(simvonage.Config{Lag: 100 * time.Millisecond, Agents: []center.Agent{{ID: id}}})
			url := n.ServeHTTP1(t, "emea.vonage.test", sim).URL
			p := centerPost(t, sim.Center, id)
			p.name, p.token, p.paused, p.pause, p.declined, p.decline = "vera", sim.ClientSecret(), recording.Paused, "Paused", recording.Paused, "Paused"
			p.platform = fmt.Sprintf("kind: vonage, base_url: %q, account: a1b2c3d4e5, client_id: client-1, client_secret: \"${TOKEN}\"", url)
			return p
		},
		"cxone, pausing by mask": cxone("mask", "mask", recording.Paused),
		"cxone, pausing by stop": cxone("stop", "stop-recording-on-demand", recording.Stopped),
	}
}

func centerPost(t *testing.T, c *center.Center, id string) *post {
	t.Cleanup(c.Close)
	return &post{
		ledger: c, begin: func() { c.Start(id) }, end: func() { c.End(id) },
		pretend: func(on bool) { c.SetFault("action", center.Fault{Pretend: on}) },
		audible: func(at time.Time) bool {
			call, ok := c.Last(id)
			return ok && slices.ContainsFunc(call.Tape, func(i center.Interval) bool {
				return i.Tape == center.Running && !at.Before(i.From) && (i.To.IsZero() && call.Live() || at.Before(i.To))
			})
		},
		asked: func() (all []string) {
			for _, r := range c.Requests(center.Filter{Endpoint: "action"}) {
				all = append(all, r.Asked)
			}
			return all
		},
	}
}

// agentID is the agent's own id at the platform.
func (p *post) agentID() string {
	return map[string]string{"bill": "bill", "vera": "462", "nico": "1234567"}[p.name]
}

// newServerStage starts the companion with one post.
func newServerStage(t *testing.T, open func(*testing.T, *browser.Net) *post) (*stage, *post) {
	t.Helper()
	s := &stage{net: browser.NewNet(t), desks: map[string]*desk{}, log: new(logBuffer)}
	p := open(t, s.net)
	// The companion trusts what the browser trusts, and finds the platforms' names on this machine.
	trust := s.net.Client().Transport.(*http.Transport)
	s.upstream = upstream.Options{RootCAs: trust.TLSClientConfig.RootCAs, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return trust.DialContext(ctx, network, address)
	}}
	s.start(t, fmt.Sprintf("  - {name: %s, %s, timeouts: {try: 2s, attempt: 8s}}\n", p.name, p.platform),
		fmt.Sprintf("  - {email: %s, role: agent, platform: %s, agent_id: %q}\n", p.email(), p.name, p.agentID()),
		map[string]string{"TOKEN": p.token})
	return s, p
}

// press presses and returns what the panel shows once the platform's word is known. The press before is decided already.
func (p *post) press(tab *browser.Tab, button string) recording.Outcome {
	pressApart(tab)
	browser.Eval[int](tab, `window.pressed = document.querySelectorAll('.attempt').length`)
	tab.Click("button", button)
	tab.Until(`document.querySelectorAll('.attempt').length > window.pressed`)
	// Taken isn't done: while it is accepted, the platform is asked on.
	return recording.Outcome(tab.WaitOutcome(slices.DeleteFunc(slices.Clone(decided), func(o string) bool { return o == string(recording.Accepted) })...))
}

func TestEachPlatformByTheServer(t *testing.T) {
	for name, open := range posts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			s, p := newServerStage(t, open)
			b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
			if p.combine {
				p.signIn(t, b.Tab(t))
				p.end()
			}
			tab := b.Tab(t)
			if p.combine {
				allowPlatformNoise(tab)
			}
			seen := testify(t, tab, &p.desk)
			s.openPanel(t, tab, &p.desk)
			says(t, tab, "Ready")

			if got := p.press(tab, "Pause recording"); got != recording.NoCall {
				t.Errorf("without a call: %s", got)
			}
			tab.WaitState(string(recording.Idle))

			p.begin()
			if p.pretend != nil {
				p.pretend(true)
				if got := p.press(tab, "Pause recording"); got != recording.Unknown {
					t.Errorf("a platform that accepts and does nothing: %s, want unknown", got)
				}
				says(t, tab, "Do not take the card yet")
				p.pretend(false)
			}

			asked := len(p.asked())
			if got := p.press(tab, "Pause recording"); got != recording.Confirmed {
				t.Errorf("the pause: %s\n%s", got, tab.Text("main"))
			}
			if got := tab.WaitState(string(p.paused), string(recording.Paused)); got != string(p.paused) {
				t.Errorf("after the pause the state is %s, want %s", got, p.paused)
			}
			if got := p.asked()[asked:]; !slices.Equal(got, []string{p.pause}) {
				t.Errorf("the platform was asked for %q, want %q once", got, p.pause)
			}
			if p.audible(time.Now()) {
				t.Error("paused, and the tape runs")
			}

			if got := p.press(tab, "Resume recording"); got != recording.Confirmed {
				t.Errorf("the resume: %s\n%s", got, tab.Text("main"))
			}
			tab.WaitState(string(recording.Recording))
			if !p.audible(time.Now()) {
				t.Error("resumed, and the tape is silent")
			}

			asked = len(p.asked())
			pressApart(tab)
			tab.Click("button", "Customer declined recording")
			pressApart(tab)
			tab.Click("button", "Yes, the customer declined")
			p.await(t, "the refusal", func() bool { return len(p.asked()) > asked && !p.audible(time.Now()) })
			tab.WaitState(string(p.declined))
			tab.WaitOutcome(string(recording.Confirmed))
			if got := p.asked()[asked:]; !slices.Equal(got, []string{p.decline}) {
				t.Errorf("the platform was asked for %q, want %q once", got, p.decline)
			}
			if p.declined == recording.Declined {
				asked = len(p.asked())
				pressApart(tab)
				tab.Click("button", "Resume recording")
				tab.WaitOutcome(string(recording.Failed))
				says(t, tab, "The customer declined to be recorded")
				if len(p.asked()) > asked || p.audible(time.Now()) {
					t.Errorf("it reached the platform: %q", p.asked()[asked:])
				}
			}

			for _, c := range seen.claims() {
				says := recording.State(c.State).OffTape() || strings.HasPrefix(strings.ToLower(c.Headline), "paused") ||
					c.Outcome == string(recording.Confirmed) && c.State != string(recording.Recording)
				if says && p.audible(c.at()) {
					t.Errorf("shown while the tape ran: %+v", c)
				}
			}
			if strings.Contains(s.log.String(), p.token) {
				t.Error("the companion's log has the platform's secret")
			}
			if t.Failed() {
				t.Logf("the ledger:\n%s", p.ledger)
			}
		})
	}
}
