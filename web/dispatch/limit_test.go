package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
)

// floor is an account with a limit, and everything that is heard of it.
type floor struct {
	t     *testing.T
	tape  *tape
	limit dispatch.Limit
	log   journal
	*dispatch.Dispatcher

	mu    sync.Mutex
	skew  time.Duration // of the wall clock
	told  []recording.Alert
	fixed []recording.Alert
}

// opened is a floor whose platform names the call; change may make another of it.
func opened(t *testing.T, change func(*floor, *dispatch.Options)) *floor {
	f := &floor{t: t, tape: &tape{names: true, call: "c1", ways: []way{{}}}, limit: dispatch.Limit{Max: 3 * time.Minute, Extensions: 1}}
	o := upstream(f.tape)
	o.Journal = &f.log
	o.Alert = func(a recording.Alert) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told = append(f.told, a)
	}
	o.Fixed = func(a recording.Alert) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fixed = append(f.fixed, a)
	}
	o.Now = func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return time.Now().Add(f.skew)
	}
	if change != nil {
		change(f, &o)
	}
	o.Limit = func(string) dispatch.Limit { return f.limit }
	f.Dispatcher = dispatch.New(o)
	t.Cleanup(f.Close)
	return f
}

func (f *floor) set(skew time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skew = skew
}

// alerts are the alerts raised so far, as kind and the last digits of the attempt.
func (f *floor) alerts() (kinds []recording.AlertKind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.told {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

func (f *floor) act(o dispatch.Order) recording.Attempt {
	f.t.Helper()
	if o.ID == "" {
		o.ID = dispatch.NewID()
	}
	a, _, err := f.Act(f.t.Context(), vera, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *floor) pause() recording.Attempt {
	f.t.Helper()
	return f.act(dispatch.Order{Action: recording.Pause})
}

func (f *floor) heard(call string, event dispatch.CallEvent) {
	f.t.Helper()
	if err := f.SetCall(f.t.Context(), vera, call, event); err != nil {
		f.t.Fatal(err)
	}
}

// resumed is the attempt at the end of a pause's time, if there was one.
func (f *floor) resumed() *recording.Attempt {
	for _, a := range f.Attempts(vera, 100) {
		if a.Origin == recording.Timer {
			return &a
		}
	}
	return nil
}

func TestAPauseEndsByItselfWhereThatIsSafe(t *testing.T) {
	const limit = 3 * time.Minute
	crm := func(f *floor, _ *dispatch.Options) { f.tape.names, f.limit.AtMax = false, dispatch.AtMaxResume }
	tests := []struct {
		name   string
		change func(*floor, *dispatch.Options)
		before func(*floor) // the pause; nil for a plain one
		within func(*floor) // a minute after it
		why    string       // what the alert says; empty: it resumes, "-": nothing happens
	}{
		{name: "the platform names the call"},
		{name: "and is told to", change: func(f *floor, _ *dispatch.Options) { f.limit.AtMax = dispatch.AtMaxResume }},
		{name: "the effect is read back", change: func(f *floor, _ *dispatch.Options) { f.tape.reads = true }},
		{name: "this account is to alert", change: func(f *floor, _ *dispatch.Options) { f.limit.AtMax = dispatch.AtMaxAlert }, why: "doesn't resume by itself"},
		{name: "the platform doesn't name the call", change: func(f *floor, _ *dispatch.Options) { f.tape.names = false },
			before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() }, why: "doesn't resume by itself"},
		{name: "the CRM does", change: crm, before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() }},
		{name: "nobody does", change: crm, why: "isn't known that the call is the same"},
		{name: "only the pause does", change: crm, before: func(f *floor) { f.act(dispatch.Order{Action: recording.Pause, Call: "c1"}) }, why: "isn't known that the call is the same"},
		{name: "the CRM says it again", change: crm, before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() },
			within: func(f *floor) { f.heard("c1", dispatch.CallStarted) }},
		{name: "the CRM says something else", change: crm, before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() },
			within: func(f *floor) { f.heard("c2", dispatch.CallStarted) }, why: "the call changed"},
		{name: "the CRM says something else, and the first again", change: crm, before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() },
			within: func(f *floor) { f.heard("c2", dispatch.CallStarted); f.heard("c1", dispatch.CallStarted) }, why: "the call changed"},
		{name: "the same call was transferred", change: crm, before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() },
			within: func(f *floor) { f.heard("c1", dispatch.CallTransferred) }, why: "the call changed"},
		{name: "the CRM says that it ended", before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() },
			within: func(f *floor) { f.heard("c1", dispatch.CallEnded) }, why: "-"},
		{name: "the CRM says that another one ended", before: func(f *floor) { f.heard("c1", dispatch.CallStarted); f.pause() },
			within: func(f *floor) { f.heard("c0", dispatch.CallEnded) }},
		{name: "another call, unheard", within: func(f *floor) { f.tape.turn("c2") }, why: "isn't the same any more"},
		{name: "no call any more, unheard", within: func(f *floor) { f.tape.turn("") }, why: "sees no call"},
		{name: "it can't be read which call it is", within: func(f *floor) { f.tape.mu.Lock(); f.tape.deaf = true; f.tape.mu.Unlock() }, why: "too late"},
		{name: "the hand pauses once more", within: func(f *floor) { f.pause() }, why: "paused again"},
		{name: "a trigger pauses, too", within: func(f *floor) { f.act(dispatch.Order{Action: recording.Pause, Origin: "trigger:card"}) }, why: "paused again"},
		{name: "a link pauses, too, for less", within: func(f *floor) {
			f.act(dispatch.Order{Action: recording.Pause, Origin: recording.Link, For: time.Minute})
		}},
		{name: "a trigger paused, and released", within: func(f *floor) {
			f.act(dispatch.Order{Action: recording.Pause, Origin: "trigger:card", For: time.Second})
			f.act(dispatch.Order{Action: recording.Resume, Origin: "trigger:card"})
		}},
		{name: "a trigger's pause", before: func(f *floor) { f.act(dispatch.Order{Action: recording.Pause, Origin: "trigger:card"}) }},
		{name: "a link's pause", before: func(f *floor) { f.act(dispatch.Order{Action: recording.Pause, Origin: recording.Link}) }},
		{name: "a pause that failed, later", within: func(f *floor) {
			f.tape.mu.Lock()
			f.tape.ways = []way{{}, {fate: refuses}, {}}
			f.tape.mu.Unlock()
			f.pause()
		}, why: "paused again"},
		{name: "the hand resumed", within: func(f *floor) { f.act(dispatch.Order{Action: recording.Resume}) }, why: "-"},
		{name: "the hand's resume failed", within: func(f *floor) {
			f.tape.mu.Lock()
			f.tape.ways = []way{{}, {fate: refuses}}
			f.tape.mu.Unlock()
			f.act(dispatch.Order{Action: recording.Resume})
		}, why: "didn't work"},
		{name: "the log can't be written", within: func(f *floor) { f.log.fail(errors.New("disk full")) }, why: "written down"},
		{name: "the pause itself may not have worked", before: func(f *floor) {
			f.tape.mu.Lock()
			f.tape.ways = []way{{before: time.Hour}, {before: time.Hour}, {before: time.Hour}, {}}
			f.tape.mu.Unlock()
			f.pause()
		}, why: "isn't known that the call is the same"},
		{name: "it was kept in the browser", before: func(f *floor) {
			if _, _, err := f.Announce(f.t.Context(), vera, dispatch.Request{ID: dispatch.NewID(), Action: recording.Pause, Transport: recording.TransportIframe}); err != nil {
				f.t.Fatal(err)
			}
		}, why: "isn't known that the call is the same"},
		{name: "there is no server route", change: func(_ *floor, o *dispatch.Options) {
			o.Upstream = func(string) (dispatch.Upstream, bool) { return dispatch.Upstream{}, false }
		}, before: func(f *floor) {
			if _, _, err := f.Announce(f.t.Context(), vera, dispatch.Request{ID: dispatch.NewID(), Action: recording.Pause, Transport: recording.TransportIframe}); err != nil {
				f.t.Fatal(err)
			}
		}, why: "only the agent can resume"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, tt.change)
				began := time.Now()
				if tt.before != nil {
					tt.before(f)
				} else {
					f.pause()
				}
				s := f.Snapshot(vera)
				if s.AutoResumeAt == nil || !s.AutoResumeAt.Equal(began.Add(limit)) && s.AutoResumeAt.Sub(began.Add(limit)) > time.Millisecond || s.Pause != s.Attempt.ID || s.ExtensionsLeft != 1 {
					t.Fatalf("the open pause: %v, %q, %d left", s.AutoResumeAt, s.Pause, s.ExtensionsLeft)
				}
				due := *s.AutoResumeAt
				if s.Attempt.AutoResumeAt == nil || !s.Attempt.AutoResumeAt.Equal(due) {
					t.Errorf("the attempt's own time: %v", s.Attempt.AutoResumeAt)
				}
				time.Sleep(time.Minute)
				if tt.within != nil {
					tt.within(f)
				}
				expected := f.Snapshot(vera).AtMaxPause
				if s := f.Snapshot(vera); tt.why != "-" && (s.AutoResumeAt == nil || !s.AutoResumeAt.Equal(due)) {
					t.Errorf("its end moved to %v", s.AutoResumeAt)
				}
				told := len(f.alerts())
				time.Sleep(time.Until(due) - time.Millisecond)
				synctest.Wait()
				if f.resumed() != nil || len(f.alerts()) != told {
					t.Fatalf("before its time: %v, %v", f.resumed(), f.alerts())
				}
				time.Sleep(time.Millisecond + 10*time.Second)
				synctest.Wait()
				a, alerts := f.resumed(), f.told[told:]
				switch {
				case tt.why == "":
					if a == nil || a.Outcome != recording.Confirmed || a.RequestedAt.Sub(due) > time.Millisecond || a.Reason != "max_pause" || a.Call != "c1" || a.Route != recording.RouteServer {
						t.Errorf("the resume: %+v", a)
					}
					if len(alerts) != 0 || expected != recording.Resume {
						t.Errorf("alerts %v, %q was expected", alerts, expected)
					}
					if s := f.Snapshot(vera); s.State != recording.Recording || s.AutoResumeAt != nil || s.Pause != "" || f.tape.Silent() {
						t.Errorf("afterwards: %+v", s)
					}
				case tt.why == "-":
					if a != nil || len(alerts) != 0 {
						t.Errorf("%+v, %v", a, alerts)
					}
					if s := f.Snapshot(vera); s.AutoResumeAt != nil || s.Pause != "" {
						t.Errorf("afterwards: %+v", s)
					}
				default:
					if a != nil {
						t.Errorf("it resumed: %+v", a)
					}
					if len(alerts) != 1 || alerts[0].Kind != recording.AlertOverdue || alerts[0].Attempt != s.Pause || alerts[0].Agent != vera.Email || !strings.Contains(alerts[0].Text, tt.why) {
						t.Errorf("alerts %+v, want one with %q", alerts, tt.why)
					}
					if s := f.Snapshot(vera); s.AutoResumeAt != nil || s.Pause == "" || len(s.Holds) == 0 {
						t.Errorf("afterwards: %+v", s)
					}
				}
				time.Sleep(time.Hour) // it is decided once
				if again := f.told[told:]; len(again) != len(alerts) {
					t.Errorf("told again: %v", again)
				}
			})
		})
	}
}

func (f *floor) extend(pause string) (recording.Snapshot, error) {
	return f.Extend(f.t.Context(), vera, pause)
}

func TestAPauseMayBeForLessAndNeverForMore(t *testing.T) {
	tests := []struct {
		name   string
		most   time.Duration
		asked  time.Duration
		action recording.Action
		want   time.Duration // 0: no time at all
	}{
		{"nothing", 3 * time.Minute, 0, recording.Pause, 3 * time.Minute},
		{"less", 3 * time.Minute, time.Minute, recording.Pause, time.Minute},
		{"more", 3 * time.Minute, time.Hour, recording.Pause, 3 * time.Minute},
		{"where there is no limit", 0, time.Minute, recording.Pause, time.Minute},
		{"nothing where there is no limit", 0, 0, recording.Pause, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, func(f *floor, _ *dispatch.Options) { f.limit = dispatch.Limit{Max: tt.most} })
				a := f.act(dispatch.Order{Action: tt.action, For: tt.asked})
				b, _, err := f.Announce(t.Context(), bill, dispatch.Request{ID: dispatch.NewID(), Action: tt.action, For: tt.asked, Transport: recording.TransportIframe})
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range []recording.Attempt{a, b} {
					if (a.AutoResumeAt == nil) != (tt.want == 0) || a.AutoResumeAt != nil && a.AutoResumeAt.Sub(a.RequestedAt) != tt.want {
						t.Errorf("by the %s route it ends at %v, asked for at %v", a.Route, a.AutoResumeAt, a.RequestedAt)
					}
				}
				time.Sleep(2 * time.Hour)
				if (f.resumed() == nil) != (tt.want == 0) {
					t.Errorf("resumed: %v", f.resumed())
				}
			})
		})
	}
}

// TestInACrowdTheCallIsLookedAtAgain has the platform busy with others when a pause ends, and the call change meanwhile.
func TestInACrowdTheCallIsLookedAtAgain(t *testing.T) {
	for _, turns := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &slowToRead{crowd: &crowd{takes: 4 * time.Second}}
			f := opened(t, func(f *floor, o *dispatch.Options) {
				p.crowd.tape = f.tape
				o.Upstream = upstream(p).Upstream
			})
			due := *f.pause().AutoResumeAt
			time.Sleep(time.Until(due) - time.Millisecond)
			other := func(n int) {
				who := dispatch.Agent{Email: fmt.Sprintf("%d@acme.example", n), Platform: vera.Platform}
				f.Act(context.Background(), who, dispatch.Order{ID: dispatch.NewID(), Action: recording.Resume})
			}
			for n := range 63 { // one place is left, for the two looks,
				go other(n)
			}
			time.AfterFunc(75*time.Millisecond, func() { other(63) }) // and the next in line has it after the second
			time.Sleep(2 * time.Second)
			if turns {
				f.tape.turn("c2")
			}
			time.Sleep(10 * time.Second)
			r := f.resumed()
			if did := slices.Contains(f.acts(), recording.Resume); did == turns || r == nil || turns == (r.Outcome == recording.Confirmed) {
				t.Errorf("turned %v: %+v, done %v", turns, r, f.acts())
			}
		})
	}
}

// slowToRead takes its time over a reading.
type slowToRead struct{ *crowd }

func (p *slowToRead) Read(ctx context.Context, t platform.Target) platform.Reading {
	time.Sleep(50 * time.Millisecond)
	return p.crowd.Read(ctx, t)
}

// acts are what the platform did.
func (f *floor) acts() []recording.Action {
	f.tape.mu.Lock()
	defer f.tape.mu.Unlock()
	return slices.Clone(f.tape.acted)
}

// TestAClosedBrowserEndsNothing has everyone who looks on go away.
func TestAClosedBrowserEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := opened(t, nil)
		tabs := []*dispatch.Watcher{f.Watch(vera, 0), f.Watch(vera, 0)}
		due := *f.pause().AutoResumeAt
		for _, tab := range tabs {
			tab.Stop()
		}
		time.Sleep(time.Until(due) - time.Second)
		if s := (<-f.Watch(vera, 0).Events()).State; s.State != recording.Paused || !s.AutoResumeAt.Equal(due) || s.AtMaxPause != recording.Resume {
			t.Errorf("who comes back sees %+v", s)
		}
		time.Sleep(2 * time.Second)
		if f.resumed() == nil {
			t.Error("its time didn't go on")
		}
	})
}

func TestTheCustomersRefusalHasNoTime(t *testing.T) {
	for name, decline := range map[string]func(*floor){
		"do not record": func(f *floor) { f.act(dispatch.Order{Action: recording.DoNotRecord}) },
		"a pause that says so": func(f *floor) {
			r := dispatch.Request{ID: dispatch.NewID(), Action: recording.Pause, Transport: recording.TransportIframe, Reason: recording.ReasonDeclined}
			if _, _, err := f.Announce(f.t.Context(), vera, r); err != nil {
				f.t.Fatal(err)
			}
		},
		"after a pause": func(f *floor) { f.pause(); f.act(dispatch.Order{Action: recording.DoNotRecord}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, func(f *floor, o *dispatch.Options) {
					o.Upstream = func(string) (dispatch.Upstream, bool) {
						return dispatch.Upstream{Server: declining{f.tape}, Try: 5 * time.Second, Attempt: 15 * time.Second}, true
					}
				})
				decline(f)
				if s := f.Snapshot(vera); s.AutoResumeAt != nil || s.AtMaxPause != "" || s.ExtensionsLeft != 0 || len(s.Holds) == 0 {
					t.Errorf("%+v", s)
				}
				time.Sleep(time.Hour)
				if f.resumed() != nil || slices.Contains(f.alerts(), recording.AlertOverdue) {
					t.Errorf("%v %v", f.resumed(), f.alerts())
				}
				if _, err := f.extend(f.Snapshot(vera).Pause); err == nil {
					t.Error("it can be given more time")
				}
			})
		})
	}
}

// declining is a platform with nothing stronger than a pause.
type declining struct{ *tape }

func (p declining) Ability() platform.Ability {
	a := p.tape.Ability()
	a.Does[recording.DoNotRecord] = recording.Pause
	return a
}

func TestKeepPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := opened(t, func(f *floor, _ *dispatch.Options) { f.limit.Extensions = 2 })
		var refused dispatch.RefusedError
		a := f.pause()
		due := *a.AutoResumeAt
		for _, id := range []string{"", "nonsense", dispatch.NewID()} {
			if _, err := f.extend(id); !errors.Is(err, dispatch.ErrNoPause) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if _, err := f.Extend(t.Context(), bill, a.ID); !errors.Is(err, dispatch.ErrNoPause) {
			t.Errorf("another agent's: %v", err)
		}
		time.Sleep(time.Minute)
		for range 3 { // a double click is one press
			s, err := f.extend(a.ID)
			if err != nil || s.ExtensionsLeft != 1 || !s.AutoResumeAt.Equal(due.Add(3*time.Minute)) || s.Pause != a.ID {
				t.Fatalf("%+v, %v", s, err)
			}
		}
		time.Sleep(4 * time.Minute)
		if f.resumed() != nil {
			t.Fatal("it ended at its first end")
		}
		s, err := f.extend(a.ID)
		if err != nil || s.ExtensionsLeft != 0 || !s.AutoResumeAt.Equal(due.Add(6*time.Minute)) {
			t.Fatalf("%+v, %v", s, err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := f.extend(a.ID); !errors.As(err, &refused) || !strings.Contains(refused.Error(), "as often as") {
			t.Errorf("a third time: %v", err)
		}
		time.Sleep(time.Until(due.Add(6*time.Minute)) - time.Millisecond)
		synctest.Wait()
		if f.resumed() != nil {
			t.Fatal("too early")
		}
		time.Sleep(time.Second)
		if r := f.resumed(); r == nil || r.Outcome != recording.Confirmed {
			t.Errorf("%+v", r)
		}
		if _, err := f.extend(a.ID); !errors.As(err, &refused) || !strings.Contains(refused.Error(), "isn't open") {
			t.Errorf("one that is over: %v", err)
		}
		if got := f.log.written(); slices.Index(got, "extension 1 of "+a.ID[35:]) < 0 || slices.Index(got, "extension 2 of "+a.ID[35:]) < 0 {
			t.Errorf("written %q", got)
		}
	})
}

func TestKeepPausedAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := opened(t, func(f *floor, _ *dispatch.Options) { f.limit.AtMax = dispatch.AtMaxAlert })
		a := f.pause()
		time.Sleep(5 * time.Minute)
		if !slices.Equal(f.alerts(), []recording.AlertKind{recording.AlertOverdue}) || len(f.fixed) != 0 {
			t.Fatalf("%v %v", f.alerts(), f.fixed)
		}
		s, err := f.extend(a.ID)
		if err != nil || s.AutoResumeAt == nil || time.Until(*s.AutoResumeAt) != 3*time.Minute || len(f.fixed) != 1 || f.fixed[0].Attempt != a.ID {
			t.Fatalf("%+v, %v, %v", s, err, f.fixed)
		}
		time.Sleep(4 * time.Minute)
		if len(f.alerts()) != 2 {
			t.Errorf("%v", f.alerts())
		}
		f.act(dispatch.Order{Action: recording.Resume})
		if len(f.fixed) != 2 {
			t.Errorf("the resume ended it, and it isn't said: %v", f.fixed)
		}
	})
}

// TestBeingOvertakenAtTheEnd has the agent press, and the CRM speak, while the resume is being written down.
func TestBeingOvertakenAtTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(*floor, string)
		alert bool // at once
	}{
		"kept paused":     {func(f *floor, pause string) { f.extend(pause) }, false},
		"paused again":    {func(f *floor, _ string) { order(f.Dispatcher, recording.Pause) }, true},
		"another call":    {func(f *floor, _ string) { f.heard("c2", dispatch.CallStarted) }, true},
		"the call's end":  {func(f *floor, _ string) { f.heard("c1", dispatch.CallEnded) }, false},
		"resumed by hand": {func(f *floor, _ string) { f.log.slow(0); order(f.Dispatcher, recording.Resume) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, nil)
				f.heard("c1", dispatch.CallStarted)
				a := f.pause()
				time.Sleep(3*time.Minute - time.Second)
				f.log.slow(800 * time.Millisecond) // as the resume is written down
				time.Sleep(time.Second + 400*time.Millisecond)
				tt.do(f, a.ID)
				time.Sleep(5 * time.Second)
				r := f.resumed()
				if r == nil || !r.Unsent() || !r.Settled() {
					t.Fatalf("%+v", r)
				}
				if slices.Contains(f.alerts(), recording.AlertOverdue) != tt.alert {
					t.Errorf("%v", f.alerts())
				}
				if name == "kept paused" {
					if s := f.Snapshot(vera); s.State != recording.Paused || s.AutoResumeAt == nil {
						t.Fatalf("%+v", s)
					}
					time.Sleep(4 * time.Minute)
					if s := f.Snapshot(vera); s.State != recording.Recording || s.Attempt.Origin != recording.Timer {
						t.Errorf("%+v", s)
					}
				}
			})
		})
	}
}

func (j *journal) slow(by time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wait = by
}

func TestAnUnattendedResumeIsSentOnceAndInTime(t *testing.T) {
	tests := []struct {
		name  string
		ways  []way // of the resume and its retries
		want  recording.Outcome
		sends int // at most
		alert recording.AlertKind
	}{
		{"refused", []way{{fate: refuses}}, recording.Denied, 1, recording.AlertFailed},
		{"lost", []way{{fate: lost}, {}}, recording.Unknown, 1, recording.AlertUnknown},
		{"broken", []way{{fate: broken}, {}}, recording.Unknown, 1, recording.AlertUnknown},
		{"dropped, and then not", []way{{fate: dropped}, {}}, recording.Confirmed, 2, ""},
		{"dropped for too long", []way{{fate: dropped}}, recording.Failed, -1, recording.AlertFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, nil)
				a := f.pause()
				f.tape.mu.Lock()
				f.tape.ways, f.tape.asked = tt.ways, 0
				f.tape.mu.Unlock()
				time.Sleep(4 * time.Minute)
				r := f.resumed()
				if r == nil || r.Outcome != tt.want {
					t.Fatalf("%+v", r)
				}
				if tt.sends > 0 && f.tape.Asked() > tt.sends {
					t.Errorf("sent %d times", f.tape.Asked())
				}
				if r.DecidedAt.Sub(*a.AutoResumeAt) > 13*time.Second {
					t.Errorf("decided %s after its time", r.DecidedAt.Sub(*a.AutoResumeAt))
				}
				if got := f.alerts(); tt.alert == "" && len(got) > 0 || tt.alert != "" && !slices.Equal(got, []recording.AlertKind{tt.alert}) {
					t.Errorf("alerts %v", got)
				}
				if s := f.Snapshot(vera); s.AutoResumeAt != nil {
					t.Errorf("it is due again at %v", s.AutoResumeAt)
				}
			})
		})
	}
}

func TestAClockThatIsSetHurriesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		skew  time.Duration
		alert bool
	}{
		"back": {-time.Hour, false}, "a little ahead": {5 * time.Second, false}, "far ahead": {2*time.Minute + 30*time.Second, true}, "days ahead": {72 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, nil)
				f.heard("c1", dispatch.CallStarted)
				f.pause()
				time.Sleep(time.Minute)
				f.set(tt.skew)
				f.Refresh()
				time.Sleep(2*time.Minute - time.Millisecond)
				synctest.Wait()
				if f.resumed() != nil || len(f.alerts()) > 0 {
					t.Fatalf("before its time: %v %v", f.resumed(), f.alerts())
				}
				time.Sleep(time.Second)
				if (f.resumed() == nil) != tt.alert || slices.Contains(f.alerts(), recording.AlertOverdue) != tt.alert {
					t.Errorf("%v %v", f.resumed(), f.alerts())
				}
			})
		})
	}
}

// TestWhatComesLastIsTheNewestWhateverTheClockSays sets the clock back between presses.
func TestWhatComesLastIsTheNewestWhateverTheClockSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := opened(t, nil)
		f.act(dispatch.Order{Action: recording.Resume})
		f.heard("c1", dispatch.CallStarted)
		f.set(-time.Hour)
		if a := f.pause(); a.Outcome != recording.Confirmed {
			t.Fatalf("%q: %s", a.Outcome, a.Detail)
		}
		if s := f.Snapshot(vera); s.State != recording.Paused || s.Attempt.Action != recording.Pause {
			t.Errorf("%+v", s)
		}
		f.heard("c2", dispatch.CallStarted)
		if s := f.Snapshot(vera); s.State != recording.StateUnknown || len(s.Holds) != 1 {
			t.Errorf("another call: %+v", s)
		}
		if a := f.act(dispatch.Order{Action: recording.Resume}); a.Outcome != recording.Confirmed || f.Snapshot(vera).State != recording.Recording {
			t.Errorf("%q, %q", a.Outcome, f.Snapshot(vera).State)
		}
	})
}

func TestTheAgentsWordBeginsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := opened(t, func(f *floor, _ *dispatch.Options) { f.tape.ways = []way{{fate: refuses}} })
		a := f.pause()
		if s := f.Snapshot(vera); s.AutoResumeAt != nil || s.Pause != "" {
			t.Fatalf("a pause that failed: %+v", s)
		}
		time.Sleep(10 * time.Minute)
		f.Attest(t.Context(), vera)
		s := f.Snapshot(vera)
		if s.AutoResumeAt == nil || time.Until(*s.AutoResumeAt) != 3*time.Minute || s.Pause != a.ID || !s.Attempt.AutoResumeAt.Equal(*s.AutoResumeAt) {
			t.Fatalf("%+v", s)
		}
		time.Sleep(4 * time.Minute)
		if f.resumed() != nil || !slices.Contains(f.alerts(), recording.AlertOverdue) {
			t.Errorf("%v %v", f.resumed(), f.alerts())
		}
	})
}

func TestACallThatChangesWhileItIsPausedIsSaidOutLoud(t *testing.T) {
	moved := func(f *floor) bool {
		return slices.ContainsFunc(f.Snapshot(vera).Notices, func(n recording.Notice) bool {
			return n.Code == recording.CallChanged && strings.HasPrefix(n.Text, "This call may be recording.")
		})
	}
	for name, tt := range map[string]struct {
		event dispatch.CallEvent
		call  string
		then  func(*floor)
		said  bool
	}{
		"until a pause":                {dispatch.CallStarted, "c2", func(f *floor) { f.pause() }, false},
		"not until a pause that fails": {dispatch.CallStarted, "c2", func(f *floor) { f.tape.ways = []way{{fate: refuses}}; f.pause() }, true},
		"until a resume":               {dispatch.CallStarted, "c2", func(f *floor) { f.act(dispatch.Order{Action: recording.Resume}) }, false},
		"until the call's end":         {dispatch.CallStarted, "c2", func(f *floor) { f.heard("c2", dispatch.CallEnded) }, false},
		"not until a word":             {dispatch.CallStarted, "c2", func(f *floor) { f.heard("c2", dispatch.CallStarted) }, true},
		"transferred":                  {dispatch.CallTransferred, "c2", func(*floor) {}, true},
		"transferred under its id":     {dispatch.CallTransferred, "c1", func(*floor) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, nil)
				f.heard("c1", dispatch.CallStarted)
				f.pause()
				if moved(f) {
					t.Fatal("it is said of the call that was paused")
				}
				time.Sleep(time.Second)
				f.heard(tt.call, tt.event)
				if s := f.Snapshot(vera); !moved(f) || len(s.Holds) != 1 || s.State != recording.StateUnknown || s.Pause == "" {
					t.Fatalf("%+v", s)
				}
				time.Sleep(time.Second)
				tt.then(f)
				if moved(f) != tt.said {
					t.Errorf("said: %v", moved(f))
				}
			})
		})
	}
}

func TestWhichFaultsAreTold(t *testing.T) {
	session := func(_ *floor, o *dispatch.Options) {
		o.Upstream = func(string) (dispatch.Upstream, bool) { return dispatch.Upstream{}, false }
	}
	report := func(reports ...dispatch.Report) func(*floor) {
		return func(f *floor) {
			for range 3 { // pauses
				id := dispatch.NewID()
				if _, _, err := f.Announce(f.t.Context(), vera, dispatch.Request{ID: id, Action: recording.Pause, Transport: recording.TransportPopup}); err != nil {
					f.t.Fatal(err)
				}
				for _, r := range reports {
					if _, err := f.Report(f.t.Context(), vera, id, r); err != nil {
						f.t.Fatal(err)
					}
				}
				time.Sleep(20 * time.Second)
			}
		}
	}
	ways := func(w ...way) func(*floor) {
		return func(f *floor) { f.tape.ways = w; f.pause() }
	}
	for name, tt := range map[string]struct {
		change func(*floor, *dispatch.Options)
		do     func(*floor)
		want   []recording.AlertKind
		mute   bool // the agents are told that nothing is ever confirmed
	}{
		"all is well":                        {nil, ways(way{}), nil, false},
		"refused":                            {nil, ways(way{fate: refuses}), []recording.AlertKind{recording.AlertFailed}, false},
		"never an answer":                    {nil, ways(way{before: time.Hour}), []recording.AlertKind{recording.AlertUnknown}, false},
		"sent, where nothing proves":         {session, report(saw(recording.Sent, recording.FrameLoad)), slices.Repeat([]recording.AlertKind{recording.AlertNoProof}, 3), true},
		"accepted, the same":                 {session, report(saw(recording.Accepted, recording.PopupClosed)), slices.Repeat([]recording.AlertKind{recording.AlertNoProof}, 3), true},
		"silence, the same":                  {session, report(), slices.Repeat([]recording.AlertKind{recording.AlertNoProof}, 3), true},
		"a window that stayed open":          {session, report(saw(recording.Unknown, recording.PopupOpen)), slices.Repeat([]recording.AlertKind{recording.AlertUnknown}, 3), true},
		"a window that was blocked":          {session, report(saw(recording.Failed, recording.Blocked)), slices.Repeat([]recording.AlertKind{recording.AlertFailed}, 3), true},
		"sent, where the server could prove": {nil, report(saw(recording.Sent, recording.FrameLoad)), nil, false},
		"silence, where the server could":    {nil, report(), slices.Repeat([]recording.AlertKind{recording.AlertUnknown}, 3), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := opened(t, func(f *floor, o *dispatch.Options) {
					f.limit = dispatch.Limit{}
					if tt.change != nil {
						tt.change(f, o)
					}
				})
				tt.do(f)
				if got := f.alerts(); !slices.Equal(got, tt.want) {
					t.Errorf("%v, want %v", got, tt.want)
				}
				for _, a := range f.told {
					standing := a.Kind == recording.AlertNoProof
					if a.Platform != vera.Platform || a.Text == "" || (a.Attempt == "") != standing || (a.Agent == "") != standing {
						t.Errorf("%+v", a)
					}
				}
				mute := slices.ContainsFunc(f.Snapshot(vera).Notices, func(n recording.Notice) bool { return n.Code == recording.CannotConfirm })
				if mute != tt.mute {
					t.Errorf("said that nothing is confirmed: %v", mute)
				}
			})
		})
	}
}

func TestOpenPanelsHearOfWhatTheDispatcherIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notices []recording.Notice
		var alerts []recording.Alert
		f := opened(t, func(_ *floor, o *dispatch.Options) {
			o.Notices = func(string) []recording.Notice { return notices }
			o.Alerts = func(string) []recording.Alert { return alerts }
		})
		w := f.Watch(vera, 0)
		<-w.Events()
		notices, alerts = []recording.Notice{{Code: recording.LogSpooled, Text: "."}}, []recording.Alert{{ID: "1"}}
		f.Refresh()
		if s := (<-w.Events()).State; len(s.Notices) != 1 || len(s.Alerts) != 1 {
			t.Errorf("%+v", s)
		}
		f.tape.ways = []way{{fate: broken}} // until the breaker opens, of which the panel hears by itself
		for !f.BreakerOpen("acme") {
			f.pause()
		}
		synctest.Wait()
		for len(w.Events()) > 1 {
			<-w.Events()
		}
		last := (<-w.Events()).Seq
		time.Sleep(time.Minute)
		f.tape.ways, f.tape.asked = []way{{}}, 0
		f.act(dispatch.Order{Action: recording.Resume})
		synctest.Wait()
		news := 0
		for len(w.Events()) > 0 {
			if e := <-w.Events(); e.Seq > last && e.State != nil {
				news++
			}
		}
		if news < 3 { // asked for, decided, and the breaker's two states at least once
			t.Errorf("%d pieces of news", news)
		}
	})
}
