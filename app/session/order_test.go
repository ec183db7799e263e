package session_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/app/session"
)

// byServer makes an account without a cookie route.
func byServer(s *server) {
	s.route.Kind, s.route.Routes, s.route.Session = "vonage", []recording.Route{recording.RouteServer}, nil
	s.route.Actions, s.route.PauseMeans = []recording.Action{recording.DoNotRecord, recording.Pause, recording.Resume}, recording.Pause
}

// byBoth adds a server route to the cookie's.
func byBoth(s *server) {
	s.route.Routes = append(s.route.Routes, recording.RouteServer)
	s.route.Actions, s.route.PauseMeans = []recording.Action{recording.DoNotRecord, recording.Pause, recording.Resume}, recording.Pause
}

// attempt is what the server makes of an order. Its clock is a second ahead of any browser's.
func attempt(o session.Order, outcome recording.Outcome) recording.Attempt {
	now := time.Now().UTC().Add(time.Second)
	a := recording.Attempt{ID: o.ID, Action: o.Action, Agent: "bill@acme.example", Platform: "acme", Route: recording.RouteServer, Origin: o.Origin,
		Reason: o.Reason, Outcome: outcome, RequestedAt: now, State: o.Action.Transitional()}
	if outcome != recording.Pending {
		a.DecidedAt, a.State = &now, o.Action.Effect()
		a.Evidence = &recording.Evidence{Kind: recording.Reported}
	}
	return a
}

// answers makes the server carry every order out.
func answers(outcome recording.Outcome) func(context.Context, session.Order) (recording.Attempt, error) {
	return func(_ context.Context, o session.Order) (recording.Attempt, error) { return attempt(o, outcome), nil }
}

func refuses(status int, code string) func(context.Context, session.Order) (recording.Attempt, error) {
	return func(context.Context, session.Order) (recording.Attempt, error) {
		return recording.Attempt{}, &session.Problem{Status: status, Code: code, Detail: "because"}
	}
}

// ordered is what the server was asked for, without repetitions.
func (s *server) ordered() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, o := range s.orders {
		if !seen[o.ID] {
			all = append(all, strings.TrimSpace(string(o.Action)+" "+o.Reason))
		}
		seen[o.ID] = true
	}
	return all
}

func TestByTheServer(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*browser, *server)
		do      func(*tab)
		ordered []string // of the server
		did     []string // by the browser
		last    string
		state   recording.State
	}{
		{"a pause", nil, func(t *tab) { t.Pause() }, []string{"pause"}, nil, "pause confirmed reported", recording.Paused},
		{"a resume", nil, func(t *tab) { t.Resume() }, []string{"resume"}, nil, "resume confirmed reported", recording.Recording},
		{"the customer's refusal", nil, func(t *tab) { t.Decline() }, []string{"do_not_record"}, nil, "do_not_record confirmed reported", recording.Declined},
		{"a double click", nil, func(t *tab) { t.Pause(); t.Pause(); wait(300 * time.Millisecond); t.Pause() }, []string{"pause"}, nil, "pause confirmed reported", recording.Paused},
		{"while it is under way", func(_ *browser, s *server) { s.act = nil }, func(t *tab) { t.Pause(); wait(4 * time.Second); t.Pause() },
			[]string{"pause"}, nil, "pause ", recording.Pausing},
		{"taken, and the effect not seen", func(_ *browser, s *server) {
			s.act = func(_ context.Context, o session.Order) (recording.Attempt, error) {
				a := attempt(o, recording.Pending)
				a.Outcome = recording.Accepted
				return a, nil
			}
		}, func(t *tab) { t.Pause() }, []string{"pause"}, nil, "pause accepted", recording.Pausing},
		{"offline", func(b *browser, _ *server) { b.offline = true }, func(t *tab) { t.Pause() }, nil, nil, "pause failed offline", recording.StateUnknown},
		{"signed out", func(_ *browser, s *server) { s.act = refuses(401, "unauthenticated") }, func(t *tab) { t.Pause() }, []string{"pause"}, nil, "pause failed", recording.StateUnknown},
		{"refused", func(_ *browser, s *server) { s.act = refuses(422, "unsupported_action") }, func(t *tab) { t.Resume() }, []string{"resume"}, nil, "resume failed", recording.StateUnknown},
		{"by a frame where both can", func(_ *browser, s *server) { s.route.Routes = nil; cookie(s); byBoth(s) }, func(t *tab) { t.Pause(); t.load() },
			nil, []string{"frame pause"}, "pause sent frame_load", recording.StateUnknown},
		{"the order of the routes", func(_ *browser, s *server) { cookie(s); byBoth(s); slices.Reverse(s.route.Routes) }, func(t *tab) { t.Pause() },
			[]string{"pause"}, nil, "pause confirmed reported", recording.Paused},
		{"a refusal is the server's where both can pause", func(_ *browser, s *server) { cookie(s); byBoth(s) }, func(t *tab) { t.Decline() },
			[]string{"do_not_record"}, nil, "do_not_record confirmed reported", recording.Declined},
		{"a refusal where there is only a cookie", func(_ *browser, s *server) { cookie(s) }, func(t *tab) { t.Decline(); t.load() },
			nil, []string{"frame pause"}, "pause sent frame_load", recording.StateUnknown},
		{"a blocked window", func(b *browser, s *server) { cookie(s); byBoth(s); b.cookies, b.blocked = session.CookiesBlocked, true }, func(t *tab) { t.Pause() },
			[]string{"pause"}, []string{"blocked pause"}, "pause confirmed reported", recording.Paused},
		{"a blocked window for a resume", func(b *browser, s *server) { cookie(s); byBoth(s); b.cookies, b.blocked = session.CookiesBlocked, true }, func(t *tab) { t.Resume() },
			[]string{"resume"}, []string{"blocked resume"}, "resume confirmed reported", recording.Recording},
		{"a policy that refuses frames", func(_ *browser, s *server) { cookie(s); byBoth(s) },
			func(t *tab) {
				t.Pause()
				t.signal(session.Signal{Refused: true, Policy: "frame-src 'self'", Directive: "frame-src"})
			}, []string{"pause"}, []string{"frame pause"}, "pause confirmed reported", recording.Paused},
		{"a resume's window that a person closes goes nowhere", func(b *browser, s *server) {
			cookie(s)
			byBoth(s)
			b.cookies, s.slow = session.CookiesBlocked, time.Second
		},
			func(t *tab) { t.Resume(); t.b.windows[0].Close(); wait(2 * time.Second) }, nil, []string{"window resume"}, "resume failed popup_closed", recording.StateUnknown},
		{"without a cookie route the server's away is no reason for a frame", func(_ *browser, s *server) { s.act = away }, func(t *tab) { t.Pause(); wait(4 * time.Second) },
			[]string{"pause"}, nil, "pause ", recording.Pausing},
		{"the server is away, and a frame isn't", func(_ *browser, s *server) { cookie(s); byBoth(s); slices.Reverse(s.route.Routes); s.act = away },
			func(t *tab) { t.Pause(); synctest.Wait(); t.load() }, []string{"pause"}, []string{"frame pause"}, "pause sent frame_load", recording.StateUnknown},
		{"a resume isn't fired where the server is away", func(_ *browser, s *server) { cookie(s); byBoth(s); slices.Reverse(s.route.Routes); s.act = away },
			func(t *tab) { t.Resume(); wait(4 * time.Second) }, []string{"resume"}, nil, "resume ", recording.Resuming},
		{"combined: a resume", func(_ *browser, s *server) { cookie(s); byBoth(s); s.route.Combine = true }, func(t *tab) { t.Resume() },
			[]string{"resume"}, nil, "resume confirmed reported", recording.Recording},
		{"combined: a pause waits for the server's word", func(_ *browser, s *server) { cookie(s); byBoth(s); s.route.Combine = true }, func(t *tab) { t.Pause(); t.load() },
			nil, []string{"frame pause"}, "pause ", recording.Pausing},
		{"combined: what was seen, if no word comes", func(_ *browser, s *server) { cookie(s); byBoth(s); s.route.Combine = true }, func(t *tab) { t.Pause(); t.load(); wait(20 * time.Second) },
			nil, []string{"frame pause"}, "pause sent frame_load", recording.StateUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				byServer(s)
				s.act = answers(recording.Confirmed)
				if tt.prepare != nil {
					tt.prepare(b, s)
				}
				tab := open(t, b, s)
				tt.do(tab)
				synctest.Wait()
				if got := s.ordered(); !slices.Equal(got, tt.ordered) {
					t.Errorf("the server was asked for %q, want %q", got, tt.ordered)
				}
				if got := b.did(); !slices.Equal(got, tt.did) {
					t.Errorf("the browser did %q, want %q", got, tt.did)
				}
				if tab.last() != tt.last {
					t.Errorf("the last attempt is %q, want %q", tab.last(), tt.last)
				}
				if got := tab.shown().Snapshot.State; got != tt.state {
					t.Errorf("state %q, want %q", got, tt.state)
				}
				if len(b.store) > 0 && len(tt.did) == 0 {
					t.Errorf("kept %q: the server route has nothing to announce", b.store)
				}
			})
		})
	}
}

// cookie gives an account its cookie route back.
func cookie(s *server) {
	route := newServer().route
	s.route.Kind, s.route.Routes, s.route.Session, s.route.Actions = route.Kind, route.Routes, route.Session, nil
}

func away(context.Context, session.Order) (recording.Attempt, error) {
	return recording.Attempt{}, errDown
}

// TestAnOrderIsSentAgainAsItself: the server does it once, whatever arrived of the tries.
func TestAnOrderIsSentAgainAsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		byServer(s)
		s.act = away
		tab := open(t, b, s)
		tab.Pause()
		wait(3 * time.Second)
		if tab.last() != "pause " || tab.shown().Notice == "" {
			t.Errorf("the last attempt is %q, the notice %q", tab.last(), tab.shown().Notice)
		}
		tries := len(s.orders)
		if tries < 2 {
			t.Fatalf("%d tries in three seconds", tries)
		}
		tab.set(func(_ *browser, s *server) { s.act = answers(recording.Confirmed) })
		tab.Pause() // the agent presses again: it is the same press, and tried at once
		synctest.Wait()
		if tab.last() != "pause confirmed reported" || tab.shown().Notice != "" {
			t.Errorf("the last attempt is %q, the notice %q", tab.last(), tab.shown().Notice)
		}
		for _, o := range s.orders {
			if o != s.orders[0] {
				t.Errorf("%+v and %+v", o, s.orders[0])
			}
		}
	})
}

// TestAnOrderThatIsNotHeardOfIsSentAgain: a connection may hang without a word.
func TestAnOrderThatIsNotHeardOfIsSentAgain(t *testing.T) {
	for _, taken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			byServer(s)
			tab := open(t, newBrowser(), s)
			tab.Pause()
			synctest.Wait()
			if taken { // as the stream says
				a := attempt(s.orders[0], recording.Pending)
				s.stream(session.Event{Attempt: &a})
			}
			wait(8 * time.Second)
			if again := len(s.orders) > 1; again == taken {
				t.Errorf("taken: %v, sent again: %v", taken, again)
			}
		})
	}
}

func TestWhatBecameOfAnOrderIsAsked(t *testing.T) {
	tests := []struct {
		name   string
		found  recording.Outcome // by the server, once it can be asked; nothing if empty
		last   string
		state  recording.State
		detail string
	}{
		{"it arrived and worked", recording.Confirmed, "pause confirmed reported", recording.Paused, ""},
		{"it arrived, and it isn't known", recording.Unknown, "pause unknown reported", recording.StateUnknown, ""},
		{"it never arrived", "", "pause failed", recording.StateUnknown, "never reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				byServer(s)
				s.act = away
				tab := open(t, newBrowser(), s)
				tab.set(func(_ *browser, s *server) { s.down = true })
				s.stream(session.Event{Lost: true})
				tab.Pause()
				wait(30 * time.Second)
				if tab.last() != "pause unknown silence" {
					t.Fatalf("after its time: %q", tab.last())
				}
				sent := len(s.orders)
				wait(5 * time.Minute)
				if len(s.orders) != sent {
					t.Error("a pause was sent long after it was asked for")
				}
				tab.set(func(_ *browser, s *server) {
					s.down = false
					if tt.found != "" {
						a := attempt(s.orders[0], tt.found)
						if tt.found == recording.Unknown {
							a.State = recording.StateUnknown
						}
						s.attempts[a.ID] = a
					}
				})
				s.stream(session.Event{Snapshot: s.snapshot()})
				synctest.Wait()
				if tab.last() != tt.last || tab.shown().Snapshot.State != tt.state || !strings.Contains(tab.shown().Attempts[0].Detail, tt.detail) {
					t.Errorf("%q, state %q, %q", tab.last(), tab.shown().Snapshot.State, tab.shown().Attempts[0].Detail)
				}
				asked := s.asked
				wait(time.Hour)
				if s.asked != asked {
					t.Error("it is asked for ever")
				}
			})
		})
	}
}

// TestTheNewestOrderWins: an older one's late answer, with a later time of the server's, doesn't come above it.
func TestTheNewestOrderWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		byServer(s)
		answer := map[recording.Action]chan recording.Outcome{recording.Pause: make(chan recording.Outcome), recording.Resume: make(chan recording.Outcome)}
		s.act = func(ctx context.Context, o session.Order) (recording.Attempt, error) {
			select {
			case outcome := <-answer[o.Action]:
				return attempt(o, outcome), nil
			case <-ctx.Done():
				return recording.Attempt{}, ctx.Err()
			}
		}
		tab := open(t, newBrowser(), s)
		tab.Pause()
		wait(time.Second)
		tab.Resume()
		answer[recording.Pause] <- recording.Confirmed
		synctest.Wait()
		if v := tab.shown(); v.Attempts[0].Action != recording.Resume || v.Snapshot.State != recording.Resuming {
			t.Errorf("%q, state %q", tab.last(), v.Snapshot.State)
		}
		if w := panel.Say(tab.shown()); w.State.OffTape() {
			t.Errorf("shown as %q", w.Headline)
		}
		// Nor does the snapshot that the pause left.
		a, _ := find(tab, recording.Pause)
		a.RequestedAt = a.RequestedAt.Add(time.Minute)
		snapshot := s.snapshot()
		snapshot.State, snapshot.Attempt = recording.Paused, &a
		s.stream(session.Event{Snapshot: snapshot})
		if v := tab.shown(); v.Snapshot.State != recording.Resuming || panel.Say(v).State.OffTape() {
			t.Errorf("state %q", v.Snapshot.State)
		}
		answer[recording.Resume] <- recording.Confirmed
		synctest.Wait()
		if tab.last() != "resume confirmed reported" || tab.shown().Snapshot.State != recording.Recording {
			t.Errorf("%q, state %q", tab.last(), tab.shown().Snapshot.State)
		}
	})
}

func find(t *tab, action recording.Action) (recording.Attempt, bool) {
	for _, a := range t.shown().Attempts {
		if a.Action == action {
			return a, true
		}
	}
	return recording.Attempt{}, false
}

// TestAnOvertakenOrderIsNotSentAgain: no older attempt is retried after a newer one exists.
func TestAnOvertakenOrderIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		byServer(s)
		s.act = away
		tab := open(t, newBrowser(), s)
		tab.Resume()
		wait(time.Second)
		tab.Pause()
		sent := 0
		for _, o := range s.orders {
			if o.Action == recording.Resume {
				sent++
			}
		}
		tab.set(func(_ *browser, s *server) { s.act = answers(recording.Confirmed) })
		wait(time.Minute)
		for _, o := range s.orders {
			if o.Action == recording.Resume {
				sent--
			}
		}
		if sent != 0 {
			t.Error("the resume was sent after the pause")
		}
		if a, _ := find(tab, recording.Resume); a.Outcome != recording.Failed {
			t.Errorf("the resume is %q; the server never had it", a.Outcome)
		}
	})
}

// TestAPauseOfTheServerFollowsAResumeOfTheBrowser: neither sees the other's request, so the pause is asked for once more.
func TestAPauseOfTheServerFollowsAResumeOfTheBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBrowser(), newServer()
		byBoth(s)
		b.cookies, s.act = session.CookiesBlocked, answers(recording.Confirmed)
		tab := open(t, b, s)
		tab.Resume()
		synctest.Wait()
		tab.set(func(b *browser, _ *server) { b.blocked = true })
		tab.Pause()
		synctest.Wait()
		if got := s.ordered(); !slices.Equal(got, []string{"pause"}) {
			t.Fatalf("the server was asked for %q", got)
		}
		b.windows[0].Close()
		wait(time.Second)
		if got := s.ordered(); !slices.Equal(got, []string{"pause", "pause"}) {
			t.Errorf("the server was asked for %q", got)
		}
	})
}

func TestAResumeByTheServerThatCantBeWrittenDownWaitsForTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		byServer(s)
		s.act = refuses(503, "log_unavailable")
		tab := open(t, newBrowser(), s)
		tab.Resume()
		synctest.Wait()
		if tab.last() != "resume failed" || !tab.shown().CanResumeWithoutRecord {
			t.Fatalf("%q, %v", tab.last(), tab.shown().CanResumeWithoutRecord)
		}
		tab.set(func(_ *browser, s *server) { s.act = answers(recording.Confirmed) })
		tab.ResumeWithoutRecord()
		synctest.Wait()
		if tab.last() != "resume confirmed reported" || !s.orders[len(s.orders)-1].WithoutRecord || s.orders[0].WithoutRecord {
			t.Errorf("%q, %+v", tab.last(), s.orders)
		}
	})
}

// TestACombinedPauseIsTheServersToConfirm: the browser's half says at most what it saw.
func TestACombinedPauseIsTheServersToConfirm(t *testing.T) {
	for _, outcome := range []recording.Outcome{recording.Confirmed, recording.NoCall, recording.Denied, recording.Unknown} {
		t.Run(string(outcome), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				byBoth(s)
				s.route.Combine = true
				tab := open(t, b, s)
				tab.Pause()
				tab.load()
				if tab.shown().Attempts[0].Settled() {
					t.Fatalf("settled as %q before the server's word", tab.shown().Attempts[0].Outcome)
				}
				if got := s.heard(); !slices.Equal(got, []string{"announce pause", "report sent frame_load"}) {
					t.Errorf("the server heard %q", got)
				}
				a, now := tab.shown().Attempts[0], time.Now().UTC()
				a.Outcome, a.DecidedAt, a.Evidence = outcome, &now, &recording.Evidence{Kind: recording.Reported}
				s.stream(session.Event{Attempt: &a})
				if want := "pause " + string(outcome) + " reported"; tab.last() != want {
					t.Errorf("%q, want %q", tab.last(), want)
				}
				wait(time.Minute)
				if want := "pause " + string(outcome) + " reported"; tab.last() != want {
					t.Errorf("a minute later %q, want %q", tab.last(), want)
				}
				if !b.frames[0].removed || len(b.store) > 0 {
					t.Errorf("left: frame %v, store %q", !b.frames[0].removed, b.store)
				}
			})
		})
	}
}

func TestReadinessOfTheServerRoute(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*browser, *server)
		ready   bool
		says    string
	}{
		{"by the server alone", func(_ *browser, s *server) { byServer(s) }, true, ""},
		{"a pause is a mask", func(_ *browser, s *server) { byServer(s); s.route.PauseMeans = recording.Mask }, true, "masks"},
		{"a pause is a stop", func(_ *browser, s *server) { byServer(s); s.route.PauseMeans = recording.Stop }, true, "stops"},
		{"a route that can't pause", func(_ *browser, s *server) { byServer(s); s.route.Actions = nil }, false, "administrator"},
		{"what is in the browser's way is in nobody's, where the server can", func(b *browser, s *server) { byBoth(s); b.reach = session.Unreached }, true, "instead"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBrowser(), newServer()
				tt.prepare(b, s)
				tab := open(t, b, s)
				r := tab.shown().Readiness
				if !r.Checked || r.Ready != tt.ready || !strings.Contains(strings.Join(append(r.Because, r.Notes...), " "), tt.says) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}
