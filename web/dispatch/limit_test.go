package dispatch_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
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

// acts are what the platform was asked to do.
func (f *floor) acts() []recording.Action {
	f.tape.mu.Lock()
	defer f.tape.mu.Unlock()
	return slices.Clone(f.tape.acted)
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
