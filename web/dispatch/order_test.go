package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
)

// way is how the fake platform meets one request.
type way struct {
	before, after time.Duration // until it acts, and from then until it answers
	lag           time.Duration // from its acting until the effect
	fate          fate
}

type fate int

const (
	works   fate = iota
	refuses      // answers that it did not act
	dropped      // the connection ends before it acted, and that is known
	lost         // the connection ends, and it acted
	broken       // 500, and it did not act
	fates
)

// tape is a platform with one agent, in virtual time. Its effects come when they come, whatever became of the request.
type tape struct {
	reads bool // the effect is read back; else the answer names it
	names bool // answers and readings name the call

	mu      sync.Mutex
	call    string // the agent's; empty for none
	deaf    bool   // it can't be read just now
	ways    []way  // one a request; the last for all that follow
	silent  bool
	changes []change
	acted   []recording.Action
	asked   int
}

type change struct {
	at     time.Time
	silent bool
}

func (p *tape) Ability() platform.Ability {
	a := platform.Ability{Does: map[recording.Action]recording.Action{recording.Pause: recording.Pause, recording.Resume: recording.Resume},
		Finds: platform.ByAgent, Verifies: platform.ByAnswer}
	if p.reads {
		a.Verifies, a.Reads = platform.ByReading, true
	}
	a.CallKnown = p.names
	return a
}

// turn puts the agent on another call, which is recorded.
func (p *tape) turn(call string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call = call
	if p.silent {
		p.silent = false
		p.changes = append(p.changes, change{time.Now(), false})
	}
}

// named is the call, if the platform names it.
func (p *tape) named() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names {
		return p.call
	}
	return ""
}

func (p *tape) next() way {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.ways[min(p.asked, len(p.ways)-1)]
	p.asked++
	return w
}

func (p *tape) Act(ctx context.Context, r platform.Request) platform.Result {
	w := p.next()
	if w.fate == dropped {
		return platform.Result{Outcome: recording.Failed, Retry: platform.DidNotAct, Err: errors.New("dropped")}
	}
	acted := make(chan struct{})
	time.AfterFunc(w.before, func() {
		defer close(acted)
		switch {
		case w.fate != works && w.fate != lost:
		case w.lag == 0:
			p.set(r.Action)
		default:
			time.AfterFunc(w.lag, func() { p.set(r.Action) })
		}
	})
	gone := platform.Result{Outcome: recording.Unknown, Retry: platform.Harmless, Err: context.DeadlineExceeded}
	select {
	case <-ctx.Done():
		return gone
	case <-acted:
	}
	wait := time.NewTimer(w.after)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return gone
	case <-wait.C:
	}
	switch w.fate {
	case refuses:
		return platform.Result{Outcome: recording.Denied, HTTPStatus: 401}
	case lost:
		return platform.Result{Outcome: recording.Unknown, Retry: platform.Harmless, Err: errors.New("reset")}
	case broken:
		return platform.Result{Outcome: recording.Unknown, HTTPStatus: 500, Retry: platform.Harmless}
	}
	if p.reads {
		return platform.Result{Outcome: recording.Accepted, HTTPStatus: 202, Call: p.named()}
	}
	return platform.Result{Outcome: recording.Confirmed, HTTPStatus: 200, Call: p.named()}
}

func (p *tape) set(a recording.Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acted = append(p.acted, a)
	if p.silent != a.Silences() {
		p.silent = a.Silences()
		p.changes = append(p.changes, change{time.Now(), p.silent})
	}
}

func (p *tape) Read(context.Context, platform.Target) platform.Reading {
	call := p.named()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.deaf:
		return platform.Reading{State: recording.StateUnknown, Retry: platform.DidNotAct, Err: errors.New("no answer")}
	case p.names && p.call == "":
		return platform.Reading{State: recording.Idle, Said: "no call"}
	case p.silent:
		return platform.Reading{State: recording.Paused, Call: call, Said: "Paused"}
	}
	return platform.Reading{State: recording.Recording, Call: call, Said: "Started"}
}

func (p *tape) Check(context.Context) []platform.Finding { return nil }

func (p *tape) Asked() int { p.mu.Lock(); defer p.mu.Unlock(); return p.asked }

func (p *tape) Silent() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.silent }

var vera = dispatch.Agent{Email: "vera@acme.example", Platform: "acme", ID: "462"}

func upstream(p platform.Server) dispatch.Options {
	return dispatch.Options{Upstream: func(string) (dispatch.Upstream, bool) {
		return dispatch.Upstream{Server: p, Try: 5 * time.Second, Attempt: 15 * time.Second}, true
	}}
}

// order asks for an action and doesn't wait for what becomes of it.
func order(d *dispatch.Dispatcher, action recording.Action) string {
	id := dispatch.NewID()
	go d.Act(context.Background(), vera, dispatch.Order{ID: id, Action: action})
	return id
}

func TestAnAttemptIsAnsweredWithWhatThePlatformSays(t *testing.T) {
	tests := []struct {
		name  string
		reads bool
		ways  []way
		want  recording.Outcome
		state recording.State
		in    time.Duration // at the latest
		asked int
	}{
		{"the answer names the effect", false, []way{{before: time.Second}}, recording.Confirmed, recording.Paused, time.Second, 1},
		{"read back", true, []way{{lag: 500 * time.Millisecond}}, recording.Confirmed, recording.Paused, 2 * time.Second, 1},
		{"read back too late for the answer", true, []way{{lag: 8 * time.Second}}, recording.Accepted, recording.Pausing, 2 * time.Second, 1},
		{"refused", false, []way{{fate: refuses}}, recording.Denied, recording.StateUnknown, time.Second, 1},
		{"dropped, and sent again", false, []way{{fate: dropped}, {fate: dropped}, {}}, recording.Confirmed, recording.Paused, time.Second, 3},
		{"lost, and sent again", false, []way{{fate: lost}, {}}, recording.Confirmed, recording.Paused, time.Second, 2},
		{"lost, and then refused: it may have worked", false, []way{{fate: lost}, {fate: refuses}}, recording.Unknown, recording.StateUnknown, time.Second, 2},
		{"never an answer", false, []way{{before: time.Hour}}, recording.Unknown, recording.StateUnknown, 15 * time.Second, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &tape{reads: tt.reads, ways: tt.ways}
				d := dispatch.New(upstream(p))
				defer d.Close()
				began := time.Now()
				a, isNew, err := d.Act(t.Context(), vera, dispatch.Order{ID: dispatch.NewID(), Action: recording.Pause})
				if err != nil || !isNew {
					t.Fatalf("new %v, %v", isNew, err)
				}
				if took := time.Since(began); took > tt.in {
					t.Errorf("answered after %s, want %s at the latest", took, tt.in)
				}
				if a.Outcome != tt.want || d.Snapshot(vera).State != tt.state {
					t.Errorf("%q and %q, want %q and %q: %s", a.Outcome, d.Snapshot(vera).State, tt.want, tt.state, a.Detail)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if tt.asked >= 0 && p.asked != tt.asked {
					t.Errorf("the platform was asked %d times, want %d", p.asked, tt.asked)
				}
			})
		})
	}
}

func TestTheSameOrderIsTheSameAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{ways: []way{{before: time.Second}}}
		d := dispatch.New(upstream(p))
		defer d.Close()
		o := dispatch.Order{ID: dispatch.NewID(), Action: recording.Pause}
		go d.Act(t.Context(), vera, o)
		synctest.Wait()
		a, isNew, err := d.Act(t.Context(), vera, o)
		if isNew || err != nil || a.Outcome != recording.Confirmed {
			t.Errorf("new %v, %q, %v", isNew, a.Outcome, err)
		}
		o.Reason = "card"
		if _, _, err := d.Act(t.Context(), vera, o); !errors.Is(err, dispatch.ErrIDReused) {
			t.Errorf("another body: %v", err)
		}
		if p.Asked() != 1 {
			t.Errorf("the platform was asked %d times", p.Asked())
		}
	})
}

func TestAPauseNeverWaitsForAResumeAndGoesOnceMoreAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{ways: []way{{before: 3 * time.Second}, {}, {}}}
		d := dispatch.New(upstream(p))
		defer d.Close()
		order(d, recording.Resume)
		time.Sleep(time.Second)
		order(d, recording.Pause)
		synctest.Wait()
		if p.Asked() != 2 {
			t.Fatalf("the pause waited: %d requests", p.Asked())
		}
		if s := d.Snapshot(vera).State; s != recording.Pausing {
			t.Errorf("%q while the resume is under way", s)
		}
		time.Sleep(5 * time.Second)
		if s := d.Snapshot(vera).State; s != recording.Paused || p.Asked() != 3 || !p.Silent() {
			t.Errorf("%q after %d requests, silent: %v", s, p.Asked(), p.Silent())
		}
	})
}

func TestAResumeWaitsForAnOlderPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{ways: []way{{before: 2 * time.Second}, {}}}
		d := dispatch.New(upstream(p))
		defer d.Close()
		order(d, recording.Pause)
		time.Sleep(time.Second)
		order(d, recording.Resume)
		synctest.Wait()
		if p.Asked() != 1 {
			t.Fatalf("the resume overtook the pause: %d requests", p.Asked())
		}
		time.Sleep(5 * time.Second)
		if s := d.Snapshot(vera).State; s != recording.Recording || p.Silent() {
			t.Errorf("%q, silent: %v", s, p.Silent())
		}
	})
}

func TestAPauseGoesThroughAnOpenBreakerAndAResumeDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{ways: []way{{fate: broken}}}
		d := dispatch.New(upstream(p))
		defer d.Close()
		for range 4 {
			d.Act(t.Context(), vera, dispatch.Order{ID: dispatch.NewID(), Action: recording.Pause})
		}
		if !d.BreakerOpen("acme") {
			t.Fatal("the breaker is closed")
		}
		p.mu.Lock()
		p.ways, p.asked = []way{{}}, 0
		p.mu.Unlock()
		began := time.Now()
		if a, _, _ := d.Act(t.Context(), vera, dispatch.Order{ID: dispatch.NewID(), Action: recording.Pause}); a.Outcome != recording.Confirmed || time.Since(began) > 0 {
			t.Errorf("%q after %s: %s", a.Outcome, time.Since(began), a.Detail)
		}
		other := dispatch.Agent{Email: "vic@acme.example", Platform: "acme"} // vera's lost pauses may still arrive
		if a, _, _ := d.Act(t.Context(), other, dispatch.Order{ID: dispatch.NewID(), Action: recording.Resume}); a.Outcome != recording.Confirmed {
			t.Errorf("the breaker doesn't recover: %q: %s", a.Outcome, a.Detail)
		}
	})
}

// life is one process: what it asks and writes after its death is lost; what it had asked before isn't.
type life struct {
	*tape
	book *book
	slow time.Duration // until an attempt is written down
	mu   sync.Mutex
	dead bool
}

func (l *life) kill() { l.mu.Lock(); defer l.mu.Unlock(); l.dead = true }

func (l *life) ended() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.dead }

func (l *life) Act(ctx context.Context, r platform.Request) platform.Result {
	if l.ended() {
		return platform.Result{Outcome: recording.Failed}
	}
	return l.tape.Act(ctx, r)
}

func (l *life) Begin(ctx context.Context, a recording.Attempt) error {
	select {
	case <-time.After(l.slow):
		return l.write(a)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *life) Complete(_ context.Context, a recording.Attempt) error { return l.write(a) }

func (l *life) Note(_ context.Context, n dispatch.Note) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errors.New("dead")
	}
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	l.book.notes = append(l.book.notes, n)
	return nil
}

func (l *life) write(a recording.Attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errors.New("dead")
	}
	l.book.write(a)
	return nil
}

// book is a journal that outlives its writer, with each record by itself.
type book struct {
	mu       sync.Mutex
	attempts []recording.Attempt
	notes    []dispatch.Note
}

func (b *book) write(a recording.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts = append(b.attempts, a)
}

// told keeps that a pause was said to be over its time, as who keeps the alerts does.
func (b *book) told(a recording.Alert) {
	if a.Kind == recording.AlertOverdue {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.notes = append(b.notes, dispatch.Note{At: time.Now(), Agent: a.Agent, Platform: a.Platform, Pause: a.Attempt, Told: true})
	}
}

func (b *book) read() ([]recording.Attempt, []dispatch.Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.attempts), slices.Clone(b.notes)
}

// TestThePlatformEndsAsTheAgentLastWantedOrItIsSaidToBeUnknown runs random intentions, and restarts by kill, against a
// platform that delays, loses and refuses them, in virtual time. At no moment may the panel call the tape silent while it runs.
func TestThePlatformEndsAsTheAgentLastWantedOrItIsSaidToBeUnknown(t *testing.T) {
	known, unknown, asked := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		duration := func(name string, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most/time.Millisecond)).Draw(rt, name)) * time.Millisecond
		}
		p := &tape{reads: rapid.Bool().Draw(rt, "reads"), names: rapid.Bool().Draw(rt, "names"), call: "c1"}
		limit := dispatch.Limit{Max: duration("limit", 12*time.Second)}
		for range rapid.IntRange(1, 12).Draw(rt, "ways") {
			w := way{before: duration("before", 7*time.Second), after: duration("after", 3*time.Second), fate: fate(rapid.IntRange(0, int(fates)-1).Draw(rt, "fate"))}
			if rapid.Bool().Draw(rt, "quick") {
				w = way{}
			}
			if p.reads {
				w.lag = duration("lag", 2*time.Second)
			}
			p.ways = append(p.ways, w)
		}
		type wish struct {
			after  time.Duration
			action recording.Action // empty: the server is killed and started anew
		}
		var wishes []wish
		for range rapid.IntRange(1, 10).Draw(rt, "wishes") {
			wishes = append(wishes, wish{time.Millisecond + duration("wait", 6*time.Second), rapid.SampledFrom([]recording.Action{recording.Pause, recording.Resume, recording.Pause, recording.Resume, ""}).Draw(rt, "action")})
		}
		var failure string
		synctest.Test(t, func(t *testing.T) {
			type said struct {
				at    time.Time
				state recording.State
			}
			var mu sync.Mutex
			var saids []said
			var watching sync.WaitGroup
			journal := new(book)
			begin := func() (*dispatch.Dispatcher, *life) {
				l := &life{tape: p, book: journal}
				o := upstream(l)
				o.Journal, o.Limit = l, func(string) dispatch.Limit { return limit }
				d := dispatch.New(o)
				attempts, notes := journal.read()
				d.Restore(attempts, notes, func(string) (dispatch.Agent, bool) { return vera, true })
				w := d.Watch(vera, 0)
				watching.Go(func() {
					for e := range w.Events() {
						mu.Lock()
						if e.State != nil && !l.ended() {
							saids = append(saids, said{time.Now(), e.State.State})
						}
						mu.Unlock()
					}
				})
				return d, l
			}
			d, l := begin()
			want := recording.Action("")
			for _, w := range wishes {
				time.Sleep(w.after)
				if w.action != "" {
					want = w.action
					order(d, w.action)
					continue
				}
				l.kill()
				go d.Close()
				mu.Lock()
				saids = append(saids, said{time.Now(), recording.StateUnknown}) // the panel says that it is reconnecting
				mu.Unlock()
				d, l = begin()
			}
			time.Sleep(time.Minute)
			last := d.Snapshot(vera).State
			switch {
			case last == recording.Paused && !p.Silent(), last == recording.Recording && p.Silent():
				failure = fmt.Sprintf("it ends with %q, silent: %v", last, p.Silent())
			case last != recording.StateUnknown && p.Silent() != want.Silences() && last != recording.Recording && last != recording.Paused:
				failure = fmt.Sprintf("it ends with %q after %s, silent: %v", last, want, p.Silent())
			}
			d.Close()
			watching.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			// What was said, against what was true, at every moment that either changed.
			truth := func(at time.Time) bool {
				silent := false
				for _, c := range p.changes {
					if c.at.After(at) {
						break
					}
					silent = c.silent || c.at.Equal(at) // within one instant, what came first can't be told
				}
				return silent
			}
			for i, s := range saids {
				if !s.state.OffTape() {
					continue
				}
				until := time.Now()
				if i+1 < len(saids) {
					until = saids[i+1].at
				}
				if !truth(s.at) {
					failure = fmt.Sprintf("%q was said at %s while the tape ran", s.state, s.at)
				}
				for _, c := range p.changes {
					if !c.silent && c.at.After(s.at) && c.at.Before(until) {
						failure = fmt.Sprintf("the tape ran again at %s, and %q was said until %s", c.at, s.state, until)
					}
				}
			}
			for _, a := range d.Attempts(vera, 100) {
				if !a.Settled() {
					failure = fmt.Sprintf("%s is still undecided: %q", a.Action, a.Outcome)
				}
			}
			if failure != "" {
				for _, a := range d.Attempts(vera, 100) {
					failure += fmt.Sprintf("\n%s %s %q decided %v: %s", a.RequestedAt.Format("05.000"), a.Action, a.Outcome, a.DecidedAt, a.Detail)
				}
				failure += fmt.Sprintf("\nchanges %v\nsaid %v", p.changes, saids)
			}
			if last == recording.StateUnknown {
				unknown++
			} else {
				known++
			}
			asked += p.asked
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
	t.Logf("%d histories ended with a known state, %d with one said to be unknown; the platform was asked %d times", known, unknown, asked)
}

// crowd is a platform whose other agents' resumes take their time.
type crowd struct {
	*tape
	takes time.Duration
	mu    sync.Mutex
	sent  []recording.Action // for vera
}

func (p *crowd) Act(ctx context.Context, r platform.Request) platform.Result {
	if r.Agent != vera.Email {
		time.Sleep(p.takes)
		return platform.Result{Outcome: recording.Confirmed, HTTPStatus: 200}
	}
	p.mu.Lock()
	p.sent = append(p.sent, r.Action)
	p.mu.Unlock()
	return p.tape.Act(ctx, r)
}

func TestAResumeThatWaitedInACrowdIsNotSentAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &crowd{tape: &tape{ways: []way{{}}}, takes: 4 * time.Second}
		d := dispatch.New(upstream(p))
		defer d.Close()
		for i := range 64 {
			other := dispatch.Agent{Email: fmt.Sprintf("%d@acme.example", i), Platform: vera.Platform}
			go d.Act(context.Background(), other, dispatch.Order{ID: dispatch.NewID(), Action: recording.Resume})
		}
		synctest.Wait()
		resume := order(d, recording.Resume)
		time.Sleep(time.Second)
		order(d, recording.Pause)
		time.Sleep(20 * time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		if slices.Contains(p.sent, recording.Resume) {
			t.Errorf("sent %v", p.sent)
		}
		if a, err := d.Attempt(vera, resume); err != nil || a.Outcome != recording.Superseded || !a.Unsent() {
			t.Errorf("the resume came to %s (%v), unsent %v", a.Outcome, err, a.Unsent())
		}
		if s := d.Snapshot(vera); s.State != recording.Paused {
			t.Errorf("the state is %s", s.State)
		}
	})
}
