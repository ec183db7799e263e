package session_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/app/session"
)

const field recording.Origin = "trigger:field.1a2b"

func TestACommandKeepsItsOrigin(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*browser, *server)
		do      func(*testing.T, *tab)
		did     []string // by the browser
		orders  int      // to the server
	}{
		{"by a frame", nil, func(t *testing.T, tab *tab) {
			command(t, tab, recording.Pause, "")
			tab.load()
		}, []string{"frame pause"}, 0},
		{"asked for twice", nil, func(t *testing.T, tab *tab) {
			if first, second := command(t, tab, recording.Pause, ""), command(t, tab, recording.Pause, ""); first != second {
				t.Errorf("two attempts: %s and %s", first, second)
			}
		}, []string{"frame pause"}, 0},
		{"beside the hand's own", nil, func(t *testing.T, tab *tab) {
			tab.Pause()
			command(t, tab, recording.Pause, "")
		}, []string{"frame pause", "frame pause"}, 0},
		{"a resume of what it holds", nil, func(t *testing.T, tab *tab) {
			command(t, tab, recording.Pause, "")
			tab.load()
			command(t, tab, recording.Resume, "")
			synctest.Wait()
		}, []string{"frame pause", "frame resume"}, 0},
		{"a resume without a hold", nil, func(t *testing.T, tab *tab) {
			tab.Pause()
			command(t, tab, recording.Resume, session.NothingHeld)
		}, []string{"frame pause"}, 0},
		{"where a window is needed", func(b *browser, _ *server) { b.cookies = session.CookiesBlocked }, func(t *testing.T, tab *tab) {
			command(t, tab, recording.Pause, session.NeedsWindow)
		}, nil, 0},
		{"where a window is needed and the server can", func(b *browser, s *server) {
			b.cookies = session.CookiesBlocked
			byBoth(s)
			s.route.Combine = false
		}, func(t *testing.T, tab *tab) { command(t, tab, recording.Pause, ""); synctest.Wait() }, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				if tt.prepare != nil {
					tt.prepare(b, s)
				}
				tab := open(t, b, s)
				tt.do(t, tab)
				wait(time.Millisecond)
				if got := b.did(); !slices.Equal(got, tt.did) {
					t.Errorf("the browser did %q, want %q", got, tt.did)
				}
				if got := len(s.ordered()); got != tt.orders {
					t.Errorf("%d orders, want %d", got, tt.orders)
				}
				for _, a := range tab.shown().Attempts {
					if a.Reason == "card field" && a.Origin != field {
						t.Errorf("%s has the origin %s", a.Action, a.Origin)
					}
				}
			})
		})
	}
}

// command asks for an action as a trigger and checks how it was taken.
func command(t *testing.T, tab *tab, action recording.Action, want session.Refusal) string {
	t.Helper()
	id, refused := tab.Command(action, field, "card field")
	if refused != want || (id == "") != (want != "") {
		t.Errorf("%s: attempt %q, refused %q, want %q", action, id, refused, want)
	}
	return id
}

func TestThePageAroundIsToldNoMoreThanThePanelShows(t *testing.T) {
	paused := func(s *server) *recording.Snapshot {
		snapshot, now := s.snapshot(), time.Now()
		a := recording.Attempt{ID: "3f0e5c1a-5b5e-4b0b-9a55-0a2f6a1c7d10", Action: recording.Pause, Outcome: recording.Confirmed, Origin: field, RequestedAt: now, DecidedAt: &now, Call: "c1"}
		snapshot.State, snapshot.Since, snapshot.Call, snapshot.Attempt = recording.Paused, now, "c1", &a
		snapshot.Holds = recording.Holds{{Origin: field, Since: now}}
		return snapshot
	}
	tests := []struct {
		name    string
		then    func(*server, *recording.Snapshot)
		state   recording.State
		outcome recording.Outcome
	}{
		{"paused", func(*server, *recording.Snapshot) {}, recording.Paused, recording.Confirmed},
		{"and the stream was lost", func(s *server, _ *recording.Snapshot) { s.stream(session.Event{Lost: true}) }, recording.StateUnknown, recording.Pending},
		{"and another call began", func(s *server, x *recording.Snapshot) {
			x.Call, x.State = "c2", recording.StateUnknown
			s.stream(session.Event{Snapshot: x})
		}, recording.StateUnknown, recording.Pending},
		{"and the call was passed on", func(s *server, x *recording.Snapshot) {
			x.State, x.Notices = recording.StateUnknown, []recording.Notice{{Code: recording.CallChanged}}
			s.stream(session.Event{Snapshot: x})
		}, recording.StateUnknown, recording.Pending},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				tab := open(t, newBrowser(), s)
				var told session.Told
				defer tab.Controller.Tell(func(x session.Told) { told = x })()
				x := paused(s)
				s.stream(session.Event{Snapshot: x})
				synctest.Wait()
				then := *x
				tt.then(s, &then)
				synctest.Wait()
				if told.State != tt.state || told.Outcome != tt.outcome {
					t.Errorf("told %s by an outcome of %q, want %s and %q; the panel shows %s", told.State, told.Outcome, tt.state, tt.outcome, panel.Say(tab.shown()).State)
				}
			})
		})
	}
}
