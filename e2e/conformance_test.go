package e2e_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/center"
	simcxone "offrecord/e2e/sim/cxone"
	simvonage "offrecord/e2e/sim/vonage"
	"offrecord/web/platform"
	"offrecord/web/platform/cxone"
	"offrecord/web/platform/eightbyeight"
	"offrecord/web/platform/kinds"
	"offrecord/web/platform/upstream"
	"offrecord/web/platform/vonage"
	"offrecord/web/secret"
)

// Every kind of platform passes the same tests, against its simulator. What is asserted is the truth of outcomes: the ledger
// judges each confirmed, and what is said not to have been done must not have been done.

// fault is a way for a platform to misbehave that every simulator knows. The zero value is none.
type fault string

const (
	limited      fault = "429"
	failing      fault = "500"
	failedActing fault = "500 after acting"
	resetBefore  fault = "reset before acting"
	resetAfter   fault = "reset after acting"
	cutBody      fault = "cut body"
	garbled      fault = "garbled body"
	empty        fault = "empty body"
	huge         fault = "10 MB body"
	hanging      fault = "no answer"
	redirecting  fault = "redirect"
	pretending   fault = "accepted, nothing done"
	noContent    fault = "204"
)

// rig is a platform of one kind: its simulator and its server route.
type rig struct {
	kind   string
	open   func(t *testing.T, kind string, wrong bool, o upstream.Options) platform.Server // wrong: with wrong credentials
	target platform.Target
	start  func()
	end    func()
	silent func() bool // whether the tape of the agent's call is off the record, by the ledger
	// tapeChanges counts what happened to the tapes, actions the requests that asked for it.
	tapeChanges, actions func() int
	// set makes the platform misbehave towards actions. It reports whether the simulator can do that. The one thing that a
	// client of 8x8 can't notice isn't tried: an answer that says success and lies.
	set func(f fault, elsewhere string) bool
	// unlocked waits until nothing is being carried out any more; false if ctx ends first.
	unlocked func(context.Context) bool
	unknown  recording.Outcome // of an agent that the platform doesn't know
	secrets  []string
	declined recording.State // what a customer's refusal comes to
}

func (r rig) server(t *testing.T) platform.Server {
	return r.open(t, r.kind, false, upstream.Options{})
}

func serve(t *testing.T, h http.Handler, stop func()) *url.URL {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	t.Cleanup(stop) // first
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "platform.localhost:" + u.Port()
	return u
}

// opens is a rig's open that fills the kind's settings, through the registry.
func opens[Settings any](fill func(wrong bool) Settings) func(*testing.T, string, bool, upstream.Options) platform.Server {
	return func(t *testing.T, kind string, wrong bool, o upstream.Options) platform.Server {
		t.Helper()
		k, err := kinds.Named(kind)
		if err != nil {
			t.Fatal(err)
		}
		server, err := k.Open(func(into any) error {
			*into.(*Settings) = fill(wrong)
			return nil
		}, o)
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
}

func eightByEightRig(t *testing.T) rig {
	sim := agui.New(agui.Config{PlainLoopback: true, Agents: []agui.Agent{{ID: "bill", Email: "bill@acme.example"}}})
	base := serve(t, sim, sim.Close)
	return rig{
		kind: "8x8",
		open: opens(func(wrong bool) eightbyeight.Settings {
			token := sim.ActionToken()
			if wrong {
				token = "wrong-canary"
			}
			return eightbyeight.Settings{BaseURL: base, Tenant: "acme01", ActionToken: secret.New(token)}
		}),
		target: platform.Target{Agent: "bill@acme.example", AgentID: "bill"},
		start:  func() { sim.StartCall("bill") },
		end:    func() { sim.EndCall("bill") },
		silent: func() bool { return !sim.Recording("bill") },
		tapeChanges: func() int {
			return len(slices.DeleteFunc(sim.Effects(""), func(e agui.Effect) bool { return e.Kind != agui.Paused && e.Kind != agui.Resumed }))
		},
		actions: func() int { return len(sim.Requests(agui.Filter{Method: http.MethodPut})) },
		set: func(f fault, _ string) bool {
			as, ok := map[fault]agui.Fault{
				"": {}, limited: {Status: http.StatusTooManyRequests}, failing: {Status: 500}, failedActing: {Status: 500, ActAnyway: true},
				resetBefore: {Drop: agui.DropBefore}, resetAfter: {Drop: agui.DropAfter}, garbled: {Body: agui.BodyGarbled}, empty: {Body: agui.BodyEmpty},
				huge: {Body: agui.BodyHuge}, hanging: {After: time.Minute}, noContent: {Status: http.StatusNoContent},
			}[f]
			sim.SetFault(recording.RouteServer, "", as)
			return ok
		},
		unlocked: func(context.Context) bool { return false }, // it has no locks
		unknown:  recording.NotFound,
		secrets:  []string{sim.ActionToken(), "wrong-canary"},
		declined: recording.Paused,
	}
}

// centerRig is what the rigs of the token APIs share.
func centerRig(c *center.Center, agent string) rig {
	return rig{
		target: platform.Target{Agent: "someone@acme.example", AgentID: agent},
		start:  func() { c.Start(agent) },
		end:    func() { c.End(agent) },
		silent: func() bool {
			call, ok := c.Live(agent)
			return ok && call.Now() != center.Running
		},
		unlocked: func(ctx context.Context) bool {
			return c.WaitFor(ctx, func() bool {
				call, ok := c.Live(agent)
				return !ok || !c.Busy(call.ID)
			}) == nil
		},
		tapeChanges: func() int {
			return len(slices.DeleteFunc(c.Effects(""), func(e center.Effect) bool { return !strings.HasPrefix(string(e.Kind), "tape ") }))
		},
		actions: func() int { return len(c.Requests(center.Filter{Endpoint: "action"})) },
		set: func(f fault, elsewhere string) bool {
			as, ok := map[fault]center.Fault{
				"": {}, limited: {Status: http.StatusTooManyRequests, RetryAfter: "2"}, failing: {Status: 500}, failedActing: {Status: 500, ActAnyway: true},
				resetBefore: {Drop: center.DropBefore}, resetAfter: {Drop: center.DropAfter}, cutBody: {Drop: center.DropBody},
				garbled: {Body: center.BodyGarbled}, empty: {Body: center.BodyEmpty}, huge: {Body: center.BodyHuge},
				hanging: {Hang: true, ActAnyway: true}, redirecting: {Status: http.StatusTemporaryRedirect, Location: elsewhere}, pretending: {Pretend: true},
				noContent: {Status: http.StatusNoContent, ActAnyway: true},
			}[f]
			c.SetFault("action", as)
			return ok
		},
	}
}

func vonageRig(t *testing.T) rig {
	sim := simvonage.New(simvonage.Config{Lag: 30 * time.Millisecond})
	base := serve(t, sim, sim.Close)
	r := centerRig(sim.Center, "462")
	r.kind, r.unknown, r.declined = "vonage", recording.NotFound, recording.Paused
	r.secrets = []string{sim.ClientSecret(), "wrong-canary"}
	r.open = opens(func(wrong bool) vonage.Settings {
		key := sim.ClientSecret()
		if wrong {
			key = "wrong-canary"
		}
		return vonage.Settings{BaseURL: base, Account: "a1b2c3d4e5", ClientID: "client-1", ClientSecret: secret.New(key)}
	})
	return r
}

func cxoneRig(pauseWith, api string) func(t *testing.T) rig {
	return func(t *testing.T) rig {
		sim := simcxone.New(simcxone.Config{Lag: 30 * time.Millisecond})
		base := serve(t, sim, sim.Close)
		r := centerRig(sim.Center, "1234567")
		r.kind, r.unknown, r.declined = "cxone", recording.NoCall, recording.Declined
		r.secrets = []string{sim.AccessKeySecret(), "wrong-canary"}
		r.open = opens(func(wrong bool) cxone.Settings {
			key := sim.AccessKeySecret()
			if wrong {
				key = "wrong-canary"
			}
			return cxone.Settings{BaseURL: base, TokenURL: base.JoinPath("authentication", "v1", "token", "access-key"),
				AccessKeyID: "key-1", AccessKeySecret: secret.New(key), PauseWith: pauseWith, API: api}
		})
		return r
	}
}

// carry does what a dispatcher does without most of its retries: it tries once, and again only while the call is locked, and
// then reads until the effect shows or the time is up.
func carry(t *testing.T, r rig, s platform.Server, q platform.Request) (platform.Result, recording.Outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	before := r.tapeChanges()
	began := time.Now()
	result := s.Act(ctx, q)
	for result.Outcome == recording.Locked && r.unlocked(ctx) {
		result = s.Act(ctx, q)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("%s took %s, beyond its deadline", q.Action, took)
	}
	outcome := result.Outcome
	if able := s.Ability(); able.Reads && (outcome == recording.Accepted || outcome == recording.Unknown) {
		target := q.Target
		if target.Call == "" {
			target.Call = result.Call
		}
		reading, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer stop()
		for tick := time.NewTicker(10 * time.Millisecond); reading.Err() == nil; {
			if able.Shows(q.Action, s.Read(reading, target).State) {
				tick.Stop()
				outcome = recording.Confirmed
				break
			}
			select {
			case <-tick.C:
			case <-reading.Done():
			}
		}
	}
	if outcome == recording.Confirmed && r.silent() != q.Action.Silences() {
		t.Errorf("%s is said to be confirmed, but the ledger says otherwise", q.Action)
	}
	if outcome.KeepsState() && r.tapeChanges() != before {
		t.Errorf("%s is said to be %s, but the ledger says that it had an effect", q.Action, outcome)
	}
	if result.Detail == "" || !strings.HasSuffix(result.Detail, ".") {
		t.Errorf("%s: no sentence for a person: %q", outcome, result.Detail)
	}
	for _, leak := range r.secrets {
		for _, text := range []string{result.Detail, result.Said, errorText(result.Err)} {
			if strings.Contains(text, leak) {
				t.Errorf("a secret is in %q", text)
			}
		}
	}
	return result, outcome
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestEveryKindOfPlatformTellsTheTruth(t *testing.T) {
	var elsewhere atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(func() {
		trap.Close()
		if n := elsewhere.Load(); n > 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})

	rigs := map[string]func(*testing.T) rig{
		"8x8": eightByEightRig, "vonage": vonageRig,
		"cxone mask": cxoneRig(cxone.PauseMask, cxone.APIv1), "cxone stop": cxoneRig(cxone.PauseStop, cxone.APIv1),
		"cxone document form": cxoneRig(cxone.PauseMask, cxone.APIDocument),
	}
	for name, open := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Run("pause, resume, twice each", func(t *testing.T) {
				r := open(t)
				s := r.server(t)
				r.start()
				var before recording.State
				for _, action := range []recording.Action{recording.Pause, recording.Pause, recording.Resume, recording.Resume} {
					result, outcome := carry(t, r, s, platform.Request{Target: r.target, Action: action, Before: before})
					if outcome != recording.Confirmed {
						t.Fatalf("%s: %s, %s", action, outcome, result.Detail)
					}
					before = result.Before // kept, as a dispatcher does
					if r.silent() != (action == recording.Pause) {
						t.Fatalf("after %s the tape is silent: %v", action, r.silent())
					}
				}
				if n := r.tapeChanges(); n != 2 {
					t.Errorf("%d changes of the tape, not 2", n)
				}
			})

			t.Run("the customer declines", func(t *testing.T) {
				r := open(t)
				s := r.server(t)
				r.start()
				if _, outcome := carry(t, r, s, platform.Request{Target: r.target, Action: recording.DoNotRecord}); outcome != recording.Confirmed {
					t.Errorf("outcome %s", outcome)
				}
				if got := s.Ability().Effect(recording.DoNotRecord); got != r.declined {
					t.Errorf("it comes to %s, not %s", got, r.declined)
				}
			})

			t.Run("no call", func(t *testing.T) {
				r := open(t)
				s := r.server(t)
				for range 2 { // never had one; had one
					if _, outcome := carry(t, r, s, platform.Request{Target: r.target, Action: recording.Pause}); outcome != recording.NoCall {
						t.Errorf("outcome %s", outcome)
					}
					if state := s.Read(t.Context(), r.target).State; state.OffTape() || state == recording.Recording {
						t.Errorf("without a call the state is read as %s", state)
					}
					r.start()
					r.end()
				}
			})

			t.Run("wrong credentials", func(t *testing.T) {
				r := open(t)
				r.start()
				s := r.open(t, r.kind, true, upstream.Options{})
				result, outcome := carry(t, r, s, platform.Request{Target: r.target, Action: recording.Pause})
				if outcome != recording.Denied || result.Retry != platform.Never {
					t.Errorf("outcome %s, retry %s", outcome, result.Retry)
				}
			})

			t.Run("unknown agent", func(t *testing.T) {
				r := open(t)
				s := r.server(t)
				r.start()
				target := platform.Target{Agent: "nobody@acme.example", AgentID: "nobody"}
				if _, outcome := carry(t, r, s, platform.Request{Target: target, Action: recording.Pause}); outcome != r.unknown {
					t.Errorf("outcome %s, not %s", outcome, r.unknown)
				}
			})

			t.Run("nobody listens", func(t *testing.T) {
				r := open(t)
				r.start()
				gone := httptest.NewServer(http.NotFoundHandler())
				gone.Close()
				s := r.open(t, r.kind, false, upstream.Options{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, gone.Listener.Addr().String())
				}})
				result, outcome := carry(t, r, s, platform.Request{Target: r.target, Action: recording.Pause})
				if outcome != recording.Failed || result.Retry != platform.DidNotAct {
					t.Errorf("outcome %s, retry %s", outcome, result.Retry)
				}
			})

			t.Run("check", func(t *testing.T) {
				r := open(t)
				r.start()
				for _, f := range r.server(t).Check(t.Context()) {
					if f.Verdict == platform.Bad || f.Detail == "" {
						t.Errorf("%s: %s, %s", f.Credential, f.Verdict, f.Detail)
					}
				}
				findings := r.open(t, r.kind, true, upstream.Options{}).Check(t.Context())
				if findings[0].Verdict != platform.Bad {
					t.Errorf("a wrong %s is %s: %s", findings[0].Credential, findings[0].Verdict, findings[0].Detail)
				}
				if r.tapeChanges() > 0 {
					t.Error("a check touched a recording")
				}
			})

			tests := []struct {
				fault   fault
				outcome []recording.Outcome // of the try
				retry   platform.Retry
			}{
				{limited, []recording.Outcome{recording.Failed}, platform.DidNotAct},
				{failing, []recording.Outcome{recording.Unknown}, platform.Harmless},
				{failedActing, []recording.Outcome{recording.Unknown}, platform.Harmless},
				{resetBefore, []recording.Outcome{recording.Unknown}, platform.Harmless},
				{resetAfter, []recording.Outcome{recording.Unknown}, platform.Harmless},
				{cutBody, []recording.Outcome{recording.Accepted}, platform.Never},
				{garbled, []recording.Outcome{recording.Accepted}, platform.Never},
				{empty, []recording.Outcome{recording.Accepted}, platform.Never},
				{huge, []recording.Outcome{recording.Accepted}, platform.Never},
				{noContent, []recording.Outcome{recording.Accepted}, platform.Never},
				{hanging, []recording.Outcome{recording.Unknown}, platform.Harmless},
				{redirecting, []recording.Outcome{recording.Failed}, platform.Never},
				{pretending, []recording.Outcome{recording.Accepted}, platform.Never},
			}
			for _, tt := range tests {
				t.Run(string(tt.fault), func(t *testing.T) {
					t.Parallel() // most of it is waiting
					r := open(t)
					s := r.server(t)
					r.start()
					if !r.set(tt.fault, trap.URL) {
						return // not this simulator's
					}
					asked := r.actions()
					result, outcome := carry(t, r, s, platform.Request{Target: r.target, Action: recording.Pause})
					if !slices.Contains(tt.outcome, result.Outcome) || result.Retry != tt.retry {
						t.Errorf("outcome %s, retry %s: %s", result.Outcome, result.Retry, result.Detail)
					}
					if outcome == recording.Confirmed && tt.fault == pretending {
						t.Error("confirmed, although nothing was done")
					}
					if n := r.actions() - asked; n != 1 {
						t.Errorf("the action was sent %d times", n)
					}
					// The platform is well again: the same is asked again and done.
					r.set("", "")
					again := platform.Request{Target: r.target, Action: recording.Pause, Before: result.Before}
					if _, outcome := carry(t, r, s, again); outcome != recording.Confirmed {
						t.Errorf("afterwards: %s", outcome)
					}
				})
			}
		})
	}
}

func TestTheKindsAreThoseOfTheDesign(t *testing.T) {
	var names []string
	for _, k := range kinds.All() {
		names = append(names, k.Name)
	}
	if want := []string{"8x8", "vonage", "cxone"}; !slices.Equal(names, want) {
		t.Errorf("kinds %q", names)
	}
}
