package session_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/app/session"
)

const policy = "default-src 'none'; frame-src 'self' https://vcc.example; form-action 'self'"

func TestWhatIsSentAndWhatIsSaid(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*browser, *server)
		do      func(*tab)
		did     []string // by the browser
		told    []string // to the server
		last    string
		state   recording.State
	}{
		{"a pause by a frame", nil, func(t *tab) { t.Pause(); t.load() },
			[]string{"frame pause"}, []string{"announce pause", "report sent frame_load"}, "pause sent frame_load", recording.StateUnknown},
		{"a resume by a frame is announced first", nil, func(t *tab) { t.Resume(); synctest.Wait(); t.load() },
			[]string{"frame resume"}, []string{"announce resume", "report sent frame_load"}, "resume sent frame_load", recording.StateUnknown},
		{"while it is under way", nil, func(t *tab) { t.Pause() },
			[]string{"frame pause"}, []string{"announce pause"}, "pause ", recording.Pausing},
		{"nothing is seen", nil, func(t *tab) { t.Pause(); wait(16 * time.Second) },
			[]string{"frame pause"}, []string{"announce pause", "report unknown silence"}, "pause unknown silence", recording.StateUnknown},
		{"a popup where third-party cookies are blocked", func(b *browser, _ *server) { b.cookies = session.CookiesBlocked },
			func(t *tab) { t.Pause(); wait(70 * time.Millisecond); t.b.windows[0].Close(); wait(time.Second) },
			[]string{"window pause", "go pause"}, []string{"announce pause", "report accepted popup_closed"}, "pause accepted popup_closed", recording.StateUnknown},
		{"a popup that stays open", func(_ *browser, s *server) { s.route.Session.Transport = recording.TransportPopup },
			func(t *tab) { t.Pause(); wait(16 * time.Second) },
			[]string{"window pause", "go pause"}, []string{"announce pause", "report unknown popup_open"}, "pause unknown popup_open", recording.StateUnknown},
		{"a popup that the browser blocks", func(b *browser, s *server) { b.blocked, s.route.Session.Transport = true, recording.TransportPopup },
			func(t *tab) { t.Pause(); synctest.Wait() },
			[]string{"blocked pause"}, []string{"announce pause", "report failed blocked"}, "pause failed blocked", recording.StateUnknown},
		{"a resume's popup opens in the press and goes when it is written down", func(b *browser, s *server) { b.cookies, s.slow = session.CookiesBlocked, time.Second },
			func(t *tab) { t.Resume(); wait(2 * time.Second); t.b.windows[0].Close(); wait(time.Second) },
			[]string{"window resume", "go resume"}, []string{"announce resume", "report accepted popup_closed"}, "resume accepted popup_closed", recording.StateUnknown},
		{"a resume's popup that a person closes before it is sent", func(b *browser, s *server) { b.cookies, s.slow = session.CookiesBlocked, time.Second },
			func(t *tab) { t.Resume(); t.b.windows[0].Close(); wait(2 * time.Second) },
			[]string{"window resume"}, []string{"announce resume", "report failed popup_closed"}, "resume failed popup_closed", recording.StateUnknown},
		{"offline", func(b *browser, _ *server) { b.offline = true }, func(t *tab) { t.Pause(); synctest.Wait() },
			nil, []string{"announce pause", "report failed offline"}, "pause failed offline", recording.StateUnknown},
		{"a policy that refuses the platform", nil,
			func(t *tab) {
				t.Pause()
				t.signal(session.Signal{Refused: true, Policy: "frame-src 'self'", Directive: "frame-src"})
				t.load()
			},
			[]string{"frame pause"}, []string{"announce pause", "report failed csp"}, "pause failed csp", recording.StateUnknown},
		{"a policy that refuses where the platform pointed to", nil,
			func(t *tab) {
				t.Pause()
				t.signal(session.Signal{Refused: true, Policy: policy, Directive: "frame-src"})
			},
			[]string{"frame pause"}, []string{"announce pause", "report unknown csp"}, "pause unknown csp", recording.StateUnknown},
		{"unreachable before and after, after it was reached once", nil,
			func(t *tab) {
				t.set(func(b *browser, _ *server) { b.reach = session.Unreached })
				t.Pause()
				t.load()
				wait(time.Second)
				t.Pause()
				t.load()
			},
			[]string{"frame pause", "frame pause"}, []string{"announce pause", "report unknown frame_load", "announce pause", "report failed frame_load"}, "pause failed frame_load", recording.StateUnknown},
		{"a probe that never worked proves nothing, and neither does the load", func(b *browser, _ *server) { b.reach = session.Unreached }, func(t *tab) { t.Pause(); t.load() },
			[]string{"frame pause"}, []string{"announce pause", "report unknown frame_load"}, "pause unknown frame_load", recording.StateUnknown},
		{"a double click", nil, func(t *tab) { t.Pause(); t.Pause(); t.load(); wait(300 * time.Millisecond); t.Pause() },
			[]string{"frame pause"}, []string{"announce pause", "report sent frame_load"}, "pause sent frame_load", recording.StateUnknown},
		{"a second press later is a second pause", nil, func(t *tab) { t.Pause(); t.load(); wait(time.Second); t.Pause(); t.load() },
			[]string{"frame pause", "frame pause"}, []string{"announce pause", "report sent frame_load", "announce pause", "report sent frame_load"}, "pause sent frame_load", recording.StateUnknown},
		{"a resume that another hold makes moot", func(_ *browser, s *server) { s.outcome = recording.Superseded }, func(t *tab) { t.Resume(); synctest.Wait() },
			nil, []string{"announce resume"}, "resume superseded", recording.StateUnknown},
		{"a resume that is not yet written down when a pause is pressed isn't sent", func(_ *browser, s *server) { s.slow = time.Second },
			func(t *tab) { t.Resume(); wait(100 * time.Millisecond); t.Pause(); t.load(); wait(3 * time.Second) },
			[]string{"frame pause"}, []string{"announce resume", "announce resume", "announce pause", "report failed held", "report sent frame_load"}, "pause sent frame_load", recording.StateUnknown},
		{"attested", nil, func(t *tab) { t.Pause(); t.load(); t.Attest(); synctest.Wait() },
			[]string{"frame pause"}, []string{"announce pause", "report sent frame_load", "report attested word"}, "pause attested word", recording.StateUnknown},
		{"an account without a session route", func(_ *browser, s *server) { s.route.Session = nil }, func(t *tab) { t.Pause(); synctest.Wait() },
			nil, []string{"announce pause", "report failed held"}, "pause failed held", recording.StateUnknown},
		{"the server forgot an attempt that it was told of", func(_ *browser, s *server) { s.forgets = true }, func(t *tab) { t.Pause(); t.load() },
			[]string{"frame pause"}, []string{"announce pause", "announce pause", "report sent frame_load"}, "pause sent frame_load", recording.StateUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				if tt.prepare != nil {
					tt.prepare(b, s)
				}
				tab := open(t, b, s)
				tt.do(tab)
				wait(time.Millisecond)
				if got := b.did(); !slices.Equal(got, tt.did) {
					t.Errorf("the browser did %q, want %q", got, tt.did)
				}
				got, want := s.heard(), slices.Clone(tt.told)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("the server heard %q, want %q", got, want)
				}
				if tab.last() != tt.last {
					t.Errorf("the last attempt is %q, want %q", tab.last(), tt.last)
				}
				if tab.shown().Snapshot.State != tt.state {
					t.Errorf("state %q, want %q", tab.shown().Snapshot.State, tt.state)
				}
			})
		})
	}
}

func TestAPauseIsKeptUntilTheServerHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		tab.set(func(_ *browser, s *server) { s.down = true })
		s.stream(session.Event{Lost: true})
		tab.Pause()
		tab.load()
		asked := tab.shown().Attempts[0].RequestedAt
		wait(time.Minute)
		if tab.shown().Link != panel.Reconnecting || tab.shown().Notice == "" {
			t.Errorf("link %q, notice %q", tab.shown().Link, tab.shown().Notice)
		}
		if len(b.store) != 1 {
			t.Fatalf("%d attempts are kept", len(b.store))
		}
		for key, text := range b.store {
			if strings.Contains(key+text, "t0k") {
				t.Error("the token is kept")
			}
		}

		// The page goes, and another takes up what it left.
		tab = open(t, &browser{cookies: session.CookiesAllowed, store: b.store}, newServer())
		wait(time.Minute)
		if got := tab.s.heard(); !slices.Equal(got, []string{"announce pause", "report sent frame_load"}) {
			t.Errorf("the server heard %q", got)
		}
		for _, a := range tab.s.bodies {
			if !a.RequestedAt.Equal(asked) {
				t.Errorf("announced as asked for at %s, was %s", a.RequestedAt, asked)
			}
		}
		if len(tab.b.store) != 0 || len(tab.b.did()) != 0 {
			t.Errorf("kept %q, did %q", tab.b.store, tab.b.did())
		}
	})
}

// What is kept is as old as the server's clock has it, whatever the computer's says.
func TestAWrongClockDropsNothing(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 30 * time.Hour, -30 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b, s := newBrowser(), newServer()
			s.behind = ahead
			tab := open(t, b, s)
			tab.set(func(_ *browser, s *server) { s.down = true })
			tab.Pause()
			tab.load()
			wait(time.Second)
			if len(b.store) != 1 {
				t.Fatalf("%d attempts are kept", len(b.store))
			}
			s = newServer()
			s.behind = ahead
			open(t, &browser{cookies: session.CookiesAllowed, store: b.store}, s)
			wait(time.Minute)
			if got := s.heard(); !slices.Equal(got, []string{"announce pause", "report sent frame_load"}) {
				t.Errorf("%s ahead: the server heard %q", ahead, got)
			}
		})
	}
}

// Only who held a press back knows why, and the server's word for it doesn't take that away.
func TestWhyAPressWasHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.route.Session = nil
		tab := open(t, newBrowser(), s)
		tab.Pause()
		synctest.Wait()
		a := tab.shown().Attempts[0]
		why := a.Detail
		later := a.DecidedAt.Add(time.Second)
		a.DecidedAt, a.Detail = &later, "The panel held it back, so nothing was sent."
		snapshot := s.snapshot()
		snapshot.Attempt = &a
		s.stream(session.Event{Attempt: &a})
		s.stream(session.Event{Snapshot: snapshot})
		if w := panel.Say(tab.shown()); why == "" || !slices.Contains(w.Advice, why) || strings.Contains(w.Line, "window") {
			t.Errorf("%q, and what to do: %q; it was because %q", w.Line, w.Advice, why)
		}
	})
}

func TestAStreamThatIsRefusedSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t, newBrowser(), newServer())
		tab.set(func(_ *browser, s *server) { s.refusal = &session.Problem{Status: 401, Code: "unauthenticated"} })
		tab.s.stream(session.Event{Lost: true, Ended: true})
		synctest.Wait()
		if v := tab.shown(); v.Link != panel.Reconnecting || !strings.Contains(v.Notice, "Sign in again") {
			t.Errorf("link %q, notice %q", v.Link, v.Notice)
		}
		tab.set(func(_ *browser, s *server) { s.refusal = nil })
		tab.s.stream(session.Event{Snapshot: tab.s.snapshot()})
		synctest.Wait()
		if v := tab.shown(); v.Link != panel.Live || v.Notice != "" {
			t.Errorf("back again: link %q, notice %q", v.Link, v.Notice)
		}
	})
}

func TestAReconnectionDeliversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t, newBrowser(), newServer())
		tab.set(func(_ *browser, s *server) { s.down = true })
		tab.s.stream(session.Event{Lost: true})
		tab.Pause()
		wait(20 * time.Second) // deep in the backoff
		tab.set(func(_ *browser, s *server) { s.down = false })
		tab.s.stream(session.Event{Snapshot: tab.s.snapshot()})
		synctest.Wait()
		if got := tab.s.heard(); len(got) == 0 || got[0] != "announce pause" {
			t.Errorf("the server heard %q", got)
		}
	})
}

func TestAResumeThatCantBeWrittenDownWaitsForTheAgent(t *testing.T) {
	for _, transport := range []recording.Transport{recording.TransportIframe, recording.TransportPopup} {
		t.Run(string(transport), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				s.route.Session.Transport = transport
				tab := open(t, b, s)
				tab.set(func(_ *browser, s *server) { s.refusal = &session.Problem{Status: 503, Code: "log_unavailable"} })
				tab.Resume()
				synctest.Wait()
				if slices.Contains(b.did(), "frame resume") || slices.Contains(b.did(), "go resume") {
					t.Fatalf("it was sent: %q", b.did())
				}
				if !tab.shown().CanResumeWithoutRecord || tab.shown().Attempts[0].Outcome != recording.Failed {
					t.Fatalf("%+v", tab.shown().Attempts[0])
				}
				for _, w := range b.windows {
					if !w.closed {
						t.Error("the empty window was left open")
					}
				}
				tab.ResumeWithoutRecord()
				synctest.Wait()
				if did := b.did(); did[len(did)-1] != "frame resume" && did[len(did)-1] != "go resume" {
					t.Errorf("the browser did %q", did)
				}
				if tab.shown().CanResumeWithoutRecord {
					t.Error("the question is still asked")
				}
				tab.set(func(_ *browser, s *server) { s.refusal = nil })
				wait(time.Minute)
				flagged := 0
				for _, a := range s.bodies {
					if a.WithoutRecord {
						flagged++
					}
				}
				if flagged != 1 {
					t.Errorf("%d attempts are announced as without record", flagged)
				}
			})
		})
	}
}

func TestAPauseGoesOnceMoreAfterAnOlderResume(t *testing.T) {
	t.Run("by frames", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tab := open(t, newBrowser(), newServer())
			tab.Resume()
			synctest.Wait()
			tab.Pause()
			tab.load() // of the pause
			if tab.shown().Attempts[0].Settled() {
				t.Errorf("settled as %q while the resume is under way", tab.shown().Attempts[0].Outcome)
			}
			tab.b.frames[0].tell(session.Signal{})
			synctest.Wait()
			if did := tab.b.did(); !slices.Equal(did, []string{"frame resume", "frame pause", "frame pause"}) {
				t.Errorf("the browser did %q", did)
			}
			tab.load()
			if tab.last() != "pause sent frame_load" {
				t.Errorf("the last attempt is %q", tab.last())
			}
			for i, f := range tab.b.frames {
				if !f.removed {
					t.Errorf("frame %d is left", i)
				}
			}
		})
	})
	t.Run("by popups, where the second one is blocked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, s := newBrowser(), newServer()
			b.cookies = session.CookiesBlocked
			tab := open(t, b, s)
			tab.Resume()
			synctest.Wait()
			tab.Pause()
			tab.set(func(b *browser, _ *server) { b.blocked = true }) // no press, no window
			b.windows[1].Close()
			wait(100 * time.Millisecond)
			b.windows[0].Close()
			wait(100 * time.Millisecond)
			if tab.last() != "pause unknown blocked" {
				t.Errorf("the last attempt is %q", tab.last())
			}
		})
	})
	t.Run("but not over a newer resume", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tab := open(t, newBrowser(), newServer())
			tab.Resume()
			synctest.Wait()
			tab.Pause()
			wait(time.Second)
			tab.Resume()
			synctest.Wait()
			tab.b.frames[0].tell(session.Signal{})
			synctest.Wait()
			if did := tab.b.did(); !slices.Equal(did, []string{"frame resume", "frame pause", "frame resume"}) {
				t.Errorf("the browser did %q", did)
			}
		})
	})
}

func TestTheServersWordWinsWhileItIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t, newBrowser(), newServer())
		tab.Pause()
		id := tab.shown().Attempts[0].ID
		decided := time.Now().UTC()
		a := tab.shown().Attempts[0]
		a.Outcome, a.DecidedAt = recording.Confirmed, &decided
		snapshot := tab.s.snapshot()
		snapshot.State, snapshot.Attempt = recording.Paused, &a
		tab.s.stream(session.Event{Snapshot: snapshot})
		if tab.shown().Snapshot.State != recording.Paused || tab.shown().Attempts[0].ID != id {
			t.Errorf("state %q", tab.shown().Snapshot.State)
		}
		if !tab.b.frames[0].removed {
			t.Error("the frame is left")
		}
		// What happens here afterwards is above it.
		wait(time.Second)
		tab.Resume()
		if tab.shown().Snapshot.State != recording.Resuming {
			t.Errorf("state %q after a press", tab.shown().Snapshot.State)
		}
	})
}

func TestAnotherTabDoesNotSendAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		one, two := newBrowser(), newBrowser()
		one.others, two.others = []*browser{two}, []*browser{one}
		first, second := open(t, one, s), open(t, two, s)
		first.Pause()
		synctest.Wait()
		if second.shown().Snapshot.State != recording.Pausing {
			t.Errorf("the other tab shows %q", second.shown().Snapshot.State)
		}
		second.Pause()
		if did := two.did(); len(did) != 0 {
			t.Errorf("the other tab did %q", did)
		}
		wait(6 * time.Second) // the first tab may be gone: a pause doesn't wait for it
		second.Pause()
		if did := two.did(); !slices.Equal(did, []string{"frame pause"}) {
			t.Errorf("the other tab did %q", did)
		}
	})
}

func TestAPeerCantClaimAnEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t, newBrowser(), newServer())
		for _, message := range []string{
			`{"id":"x","action":"pause","agent":"bill@acme.example","platform":"acme","outcome":"confirmed","requested_at":"2030-01-01T00:00:00Z","decided_at":"2030-01-01T00:00:00Z"}`,
			`{"id":"x","action":"pause","agent":"jo@acme.example","platform":"acme","requested_at":"2030-01-01T00:00:00Z"}`,
			`nonsense`,
		} {
			tab.b.listener.Heard(message)
			if len(tab.shown().Attempts) != 0 {
				t.Errorf("%s was taken for true", message)
			}
		}
	})
}

// What another tab gave up waiting for isn't unknown where the server has said what became of it.
func TestAPeerCantTakeBackTheServersWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		tab := open(t, newBrowser(), s)
		decided := time.Now().UTC()
		a := recording.Attempt{ID: "x", Action: recording.Pause, Agent: "bill@acme.example", Platform: "acme", Route: recording.RouteServer,
			Outcome: recording.Confirmed, State: recording.Paused, RequestedAt: decided, DecidedAt: &decided}
		snapshot := s.snapshot()
		snapshot.State, snapshot.Attempt = recording.Paused, &a
		s.stream(session.Event{Attempt: &a})
		s.stream(session.Event{Snapshot: snapshot})
		for outcome, want := range map[recording.Outcome]recording.State{recording.Unknown: recording.Paused, recording.Sent: recording.Paused} {
			late, later := a, decided.Add(time.Minute)
			late.Outcome, late.DecidedAt, late.State = outcome, &later, recording.StateUnknown
			text, err := json.Marshal(late)
			if err != nil {
				t.Fatal(err)
			}
			tab.b.listener.Heard(string(text))
			if v := tab.shown(); panel.Say(v).State != want || v.Attempts[0].Outcome != recording.Confirmed {
				t.Errorf("%s: shown as %q", outcome, panel.Say(v).Headline)
			}
		}
	})
}

// A server and a platform that can't be reached, on a computer that believes to be online, are no reason to ask both in turn.
func TestNothingIsAskedInCircles(t *testing.T) {
	for name, prepare := range map[string]func(*server){
		"the server first":  func(s *server) { byBoth(s); slices.Reverse(s.route.Routes) },
		"the browser first": byBoth,
		"both at once":      func(s *server) { byBoth(s); s.route.Combine = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				prepare(s)
				b.loads, s.act = 5*time.Millisecond, away
				tab := open(t, b, s)
				wait(time.Second) // the platform answered
				tab.set(func(b *browser, s *server) { b.reach, s.down = session.Unreached, true })
				for range 2 { // at the second press it is known that the platform doesn't
					tab.Pause()
					wait(time.Minute)
				}
				if did, ordered := b.did(), s.ordered(); len(did) > 3 || len(ordered) > 4 {
					t.Errorf("two presses: the browser did %d times something, and %d orders were made", len(did), len(ordered))
				}
				tab.set(func(_ *browser, s *server) { s.down, s.act = false, answers(recording.Confirmed) })
				s.stream(session.Event{Snapshot: s.snapshot()})
				tab.Pause()
				wait(time.Minute)
			})
		})
	}
}

func TestReadiness(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*browser, *server)
		ready   bool
		because string // part of a sentence
	}{
		{"all good", nil, true, ""},
		{"offline", func(b *browser, _ *server) { b.offline = true }, false, "offline"},
		{"the platform doesn't answer", func(b *browser, _ *server) { b.reach = session.Unreached }, false, "doesn't answer"},
		{"frames alone where cookies are blocked", func(b *browser, s *server) {
			b.cookies, s.route.Session.Transport = session.CookiesBlocked, recording.TransportIframe
		}, false, "cookie"},
		{"popups where cookies are blocked", func(b *browser, _ *server) { b.cookies = session.CookiesBlocked }, true, ""},
		{"no session route", func(_ *browser, s *server) { s.route.Session = nil }, false, "browser"},
		{"the server is away", func(_ *browser, s *server) { s.down = true }, false, "server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				if tt.prepare != nil {
					tt.prepare(b, s)
				}
				tab := open(t, b, s)
				r := tab.shown().Readiness
				if !r.Checked || r.Ready != tt.ready || !strings.Contains(strings.Join(r.Because, " "), tt.because) || r.Ready != (len(r.Because) == 0) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestWarmingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t, newBrowser(), newServer())
		if n := tab.b.count("warm"); n != 1 {
			t.Errorf("warmed %d times when the panel opened", n)
		}
		for range 20 { // the pointer moves in and out
			tab.Intent()
			wait(100 * time.Millisecond)
		}
		if n := tab.b.count("warm"); n != 1 {
			t.Errorf("warmed %d times in two seconds", n)
		}
		wait(8 * time.Hour)
		if n := tab.b.count("warm"); n > 20 {
			t.Errorf("warmed %d times in a shift without a press", n)
		}
		if n := tab.b.reached; n != 1 {
			t.Errorf("the platform, which answers, was asked %d times whether it does", n)
		}
		before := tab.b.count("warm")
		snapshot := tab.s.snapshot()
		snapshot.Call = "c1"
		tab.s.stream(session.Event{Snapshot: snapshot})
		if n := tab.b.count("warm"); n != before+1 {
			t.Errorf("a call's start warmed %d times", n-before)
		}
		tab.set(func(b *browser, _ *server) { b.hidden = true })
		before = tab.b.count("warm")
		wait(time.Hour)
		if n := tab.b.count("warm"); n != before {
			t.Errorf("warmed %d times where nobody can see the page", n-before)
		}
	})
}

func TestAThousandCyclesLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := open(t, newBrowser(), newServer())
		for i := range 1000 {
			tab.Pause()
			tab.load()
			wait(time.Second)
			tab.Resume()
			synctest.Wait()
			tab.load()
			wait(time.Second)
			if n := len(tab.shown().Attempts); n > 20 {
				t.Fatalf("cycle %d: %d attempts in the view", i, n)
			}
		}
		for i, f := range tab.b.frames {
			if !f.removed {
				t.Fatalf("frame %d is left", i)
			}
		}
		if len(tab.b.frames) != 2000 || len(tab.b.store) != 0 {
			t.Errorf("%d frames, %d attempts kept", len(tab.b.frames), len(tab.b.store))
		}
	})
}

func TestNoFormatPrintsTheToken(t *testing.T) {
	route := session.SessionRoute{Token: "s3cret"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, route); strings.Contains(got, "s3cret") || strings.Contains(got, "733363726574") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// A page that slept shows nothing as present until the server has said so on a new stream.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		if v := tab.shown(); v.Link != panel.Live || v.Stream != 1 {
			t.Fatalf("at first: %s, stream %d", v.Link, v.Stream)
		}
		tab.set(func(_ *browser, s *server) { s.down = true })
		b.listener.Slept()
		if v := tab.shown(); v.Link != panel.Reconnecting {
			t.Errorf("just woken it is %s", v.Link)
		}
		wait(10 * time.Second)
		if v := tab.shown(); v.Link != panel.Reconnecting {
			t.Errorf("without the server it is %s", v.Link)
		}
		tab.set(func(_ *browser, s *server) { s.down = false })
		wait(time.Minute)
		if v := tab.shown(); v.Link != panel.Live || v.Stream != 2 {
			t.Errorf("with the server it is %s, stream %d", v.Link, v.Stream)
		}
		opened := s.streams
		b.listener.Slept()
		b.listener.Slept()
		wait(time.Second)
		if v := tab.shown(); v.Link != panel.Live || v.Stream < 3 || s.streams == opened {
			t.Errorf("after another sleep: %s, stream %d, %d streams opened", v.Link, v.Stream, s.streams-opened)
		}
	})
}

// A connection that a network dropped without a word is noticed by its silence, and one that only has no news isn't.
func TestAStreamThatFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		wait(10 * time.Minute)
		if v := tab.shown(); v.Link != panel.Live || s.streams != 1 {
			t.Fatalf("a quiet one: %s after %d streams", v.Link, s.streams)
		}
		tab.set(func(_ *browser, s *server) { s.mute, s.down = true, true })
		wait(15 * time.Second)
		if v := tab.shown(); v.Link != panel.Reconnecting {
			t.Errorf("a dead one is %s", v.Link)
		}
		tab.set(func(_ *browser, s *server) { s.mute, s.down = false, false })
		wait(time.Minute)
		if v := tab.shown(); v.Link != panel.Live {
			t.Errorf("its successor is %s", v.Link)
		}
	})
}

func TestKeepPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		tab.Extend() // nothing is open
		wait(time.Second)
		due := time.Now().Add(time.Minute).UTC()
		paused := func(left int, at time.Time) *recording.Snapshot {
			snapshot := *s.snapshot()
			snapshot.State, snapshot.Pause, snapshot.ExtensionsLeft, snapshot.AutoResumeAt = recording.Paused, "p1", left, &at
			return &snapshot
		}
		s.stream(session.Event{Snapshot: paused(2, due)})
		later := due.Add(time.Minute)
		s.extended = paused(1, later)
		s.extended.AsOf = time.Now().Add(time.Second)
		tab.Extend()
		tab.Extend() // the second click of a double click
		wait(time.Second)
		if got := s.heard(); !slices.Equal(got, []string{"extend p1"}) {
			t.Errorf("asked: %q", got)
		}
		if v := tab.shown(); !v.Snapshot.AutoResumeAt.Equal(later) || v.Snapshot.ExtensionsLeft != 1 {
			t.Errorf("shown: until %s, %d left", v.Snapshot.AutoResumeAt, v.Snapshot.ExtensionsLeft)
		}
		for problem, want := range map[*session.Problem]string{
			{Status: 409, Detail: "It was kept as often as your account allows."}: "The time was not extended: It was kept as often as your account allows.",
			{Status: 502}: "The time was not extended: offrecord's server can't be reached. Press Keep paused again.",
		} {
			tab.set(func(_ *browser, s *server) { s.refusal = problem })
			tab.Extend()
			wait(time.Second)
			if got := tab.shown().Notice; got != want {
				t.Errorf("%d: %q", problem.Status, got)
			}
		}
		tab.set(func(_ *browser, s *server) { s.refusal = nil })
		s.extended.AsOf = time.Now()
		tab.Extend()
		wait(time.Second)
		if got := tab.shown().Notice; !strings.HasPrefix(got, "It is kept already.") {
			t.Errorf("kept twice: %q", got)
		}
		s.extended.AsOf = time.Now().Add(-time.Hour) // the stream was quicker
		even := later.Add(time.Minute)
		s.extended.AutoResumeAt = &even
		s.extended.ExtensionsLeft = 7
		tab.Extend()
		wait(time.Second)
		if v := tab.shown(); v.Snapshot.ExtensionsLeft == 7 || v.Notice != "" {
			t.Errorf("shown: %d left, %q", v.Snapshot.ExtensionsLeft, v.Notice)
		}
		s.extended = paused(0, even.Add(time.Minute))
		s.meanwhile = func() { s.stream(session.Event{Snapshot: s.extended}) } // it tells of this very press
		tab.Extend()
		wait(time.Second)
		if v := tab.shown(); v.Snapshot.ExtensionsLeft != 0 || v.Notice != "" {
			t.Errorf("the stream was quicker, and the panel shows %d left, and says %q", v.Snapshot.ExtensionsLeft, v.Notice)
		}
	})
}

// What nobody looked at for long is no present word when somebody does, even if no timer was called meanwhile.
func TestComingBackToAPanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		wait(6 * time.Second) // a beat came a second ago
		tab.set(func(_ *browser, s *server) { s.mute, s.down = true, true })
		wait(10500 * time.Millisecond)
		b.listener.Changed()
		if v := tab.shown(); v.Link != panel.Live {
			t.Errorf("a moment too early it is %s", v.Link)
		}
		wait(600 * time.Millisecond)
		if v := tab.shown(); v.Link != panel.Live {
			t.Fatalf("a timer was called, and it is %s", v.Link)
		}
		b.listener.Changed()
		if v := tab.shown(); v.Link != panel.Reconnecting {
			t.Errorf("seen again it is %s", v.Link)
		}
	})
}

// What is counted is the server's time, from its last word on, whatever the computer's clock says.
func TestTheServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		ahead := time.Now().Add(26 * time.Hour)
		snapshot := s.snapshot()
		snapshot.AsOf = ahead
		s.stream(session.Event{Snapshot: snapshot})
		wait(3 * time.Second)
		tab.Intent() // draws nothing
		tab.Pause()
		if got := tab.shown(); got.Now.Sub(ahead) != 3*time.Second || got.Attempts[0].RequestedAt.Sub(ahead) != 3*time.Second {
			t.Errorf("now is %s after the server's word, the press %s", got.Now.Sub(ahead), got.Attempts[0].RequestedAt.Sub(ahead))
		}
		s.stream(session.Event{Beat: ahead.Add(time.Minute)})
		tab.Resume()
		if got := tab.shown().Attempts[0].RequestedAt.Sub(ahead); got != time.Minute {
			t.Errorf("after a beat the press is %s after the server's word", got)
		}
	})
}

// What is pressed here ends a countdown here: nothing is due any more that the agent has just asked for.
func TestAPressEndsTheCountdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		tab := open(t, b, s)
		snapshot, due := s.snapshot(), time.Now().Add(time.Minute)
		snapshot.State, snapshot.Pause, snapshot.AutoResumeAt = recording.Paused, "p1", &due
		s.stream(session.Event{Snapshot: snapshot})
		wait(time.Second)
		tab.Resume()
		if v := tab.shown(); v.Snapshot.AutoResumeAt != nil || v.Snapshot.Pause != "" {
			t.Errorf("a resume is on its way, and it is due at %v", v.Snapshot.AutoResumeAt)
		}
		wait(time.Second)
	})
}
