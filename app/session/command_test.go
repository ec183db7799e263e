package session_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

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
