package dispatch_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
)

func TestARestartReadsFirstRepeatsAPauseAndNeverAResume(t *testing.T) {
	tests := []struct {
		name   string
		reads  bool
		silent bool // the tape, when the server comes back
		action recording.Action
		want   recording.Outcome
		asked  int
	}{
		{"a pause that had its effect is read", true, true, recording.Pause, recording.Confirmed, 0},
		{"a pause that hadn't is repeated", true, false, recording.Pause, recording.Confirmed, 1},
		{"a pause that can't be read is repeated", false, false, recording.Pause, recording.Confirmed, 1},
		{"a resume that had its effect is read", true, false, recording.Resume, recording.Confirmed, 0},
		{"a resume that hadn't isn't repeated", true, true, recording.Resume, recording.Unknown, 0},
		{"a resume that can't be read isn't repeated", false, true, recording.Resume, recording.Unknown, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &tape{reads: tt.reads, silent: tt.silent, ways: []way{{before: time.Millisecond, lag: time.Second}}}
				o := upstream(p)
				var told []recording.AlertKind
				o.Alert = func(a recording.Alert) { told = append(told, a.Kind) }
				d := dispatch.New(o)
				defer d.Close()
				id := dispatch.NewID()
				d.Restore([]recording.Attempt{{ID: id, Action: tt.action, Agent: vera.Email, Platform: vera.Platform, Route: recording.RouteServer, Origin: recording.Hand,
					RequestedAt: time.Now().Add(-time.Minute)}}, nil, func(string) (dispatch.Agent, bool) { return vera, true })
				if s := d.Snapshot(vera).State; s.OffTape() {
					t.Errorf("%q before anything was read", s)
				}
				time.Sleep(20 * time.Second)
				a, err := d.Attempt(vera, id)
				if err != nil || a.Outcome != tt.want {
					t.Errorf("%q, want %q: %s %v", a.Outcome, tt.want, a.Detail, err)
				}
				if p.Asked() != tt.asked {
					t.Errorf("the platform was asked %d times, want %d", p.Asked(), tt.asked)
				}
				if (tt.want == recording.Unknown) != slices.Equal(told, []recording.AlertKind{recording.AlertRestart}) || tt.want != recording.Unknown && len(told) > 0 {
					t.Errorf("alerts %v", told)
				}
				if s := d.Snapshot(vera).State; s.OffTape() && !p.Silent() {
					t.Errorf("%q while the tape runs", s)
				}
			})
		})
	}
}

func TestARestartKeepsTheStateTheHoldsAndTheIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{silent: true, ways: []way{{}}}
		d := dispatch.New(upstream(p))
		defer d.Close()
		decided := time.Now()
		old := recording.Attempt{ID: dispatch.NewID(), Action: recording.Resume, Agent: vera.Email, Platform: vera.Platform, Route: recording.RouteServer,
			Origin: recording.Hand, RequestedAt: decided.Add(-time.Hour)} // undecided, and not the newest
		paused := old
		paused.ID, paused.Action, paused.RequestedAt, paused.DecidedAt, paused.Outcome = dispatch.NewID(), recording.Pause, decided.Add(-time.Minute), &decided, recording.Confirmed
		elsewhere := paused
		elsewhere.ID, elsewhere.Agent = dispatch.NewID(), "gone@acme.example"
		d.Restore([]recording.Attempt{old, elsewhere, paused}, nil, func(email string) (dispatch.Agent, bool) { return vera, email == vera.Email })
		s := d.Snapshot(vera)
		if s.State != recording.Paused || len(s.Holds) != 1 {
			t.Errorf("%q, held by %v", s.State, s.Holds)
		}
		if a, _ := d.Attempt(vera, old.ID); a.Outcome != recording.Unknown {
			t.Errorf("an old resume: %q", a.Outcome)
		}
		a, isNew, err := d.Act(t.Context(), vera, dispatch.Order{ID: paused.ID, Action: recording.Pause})
		if isNew || err != nil || a.Outcome != recording.Confirmed {
			t.Errorf("the same id again: new %v, %q, %v", isNew, a.Outcome, err)
		}
		if p.Asked() != 0 {
			t.Errorf("the platform was asked %d times", p.Asked())
		}
	})
}

// house is an account whose server is killed and started anew on the same journal.
type house struct {
	*floor
	book *book
	life *life
}

// start begins another life, without asking the former one.
func (h *house) start(t *testing.T, change func(*floor, *dispatch.Options)) {
	if h.life != nil {
		h.life.kill()
	}
	tape, told := (*tape)(nil), []recording.Alert(nil)
	if h.floor != nil {
		tape, told = h.tape, h.told
	}
	h.floor = opened(t, func(f *floor, o *dispatch.Options) {
		if tape != nil {
			f.tape = tape
		}
		f.told = told
		h.life = &life{tape: f.tape, book: h.book}
		life, alert := h.life, o.Alert
		o.Journal = life
		o.Alert = func(a recording.Alert) {
			if !life.ended() {
				alert(a)
				h.book.told(a)
			}
		}
		o.Upstream = upstream(h.life).Upstream
		if change != nil {
			change(f, o)
		}
	})
	attempts, notes := h.book.read()
	h.Restore(attempts, notes, func(email string) (dispatch.Agent, bool) { return vera, email == vera.Email })
}

func TestWhatWasDueIsDecidedOnceAfterARestart(t *testing.T) {
	const limit = 3 * time.Minute
	crm := func(f *floor, _ *dispatch.Options) {
		if f.limit.AtMax = dispatch.AtMaxResume; f.tape.names { // which a former life may be reading
			f.tape.names = false
		}
	}
	tests := []struct {
		name   string
		change func(*floor, *dispatch.Options)
		do     func(*floor, recording.Attempt) // in the first life, a minute after the pause
		away   time.Duration                   // from the pause to the second start
		skew   time.Duration                   // of the clock, from the second start
		at     time.Duration                   // from the pause to the resume or alert
		why    string                          // what the alert says; empty: it resumes, "-": nothing happens
	}{
		{name: "not due yet", away: 2 * time.Minute, at: limit},
		{name: "due a moment ago", away: limit + 9*time.Second, at: limit + 9*time.Second},
		{name: "due for too long", away: limit + 10*time.Second + time.Millisecond, at: limit + 10*time.Second, why: "too late"},
		{name: "due for days", away: 72 * time.Hour, at: 72 * time.Hour, why: "too late"},
		{name: "kept paused", do: func(f *floor, a recording.Attempt) { f.extend(a.ID) }, away: limit + time.Minute, at: 2 * limit},
		{name: "kept paused, due a moment ago", do: func(f *floor, a recording.Attempt) { f.extend(a.ID) }, away: 2*limit + time.Second, at: 2*limit + time.Second},
		{name: "the call changed", do: func(f *floor, _ recording.Attempt) { f.heard("c2", dispatch.CallStarted) }, away: 2 * time.Minute, at: limit, why: "the call changed"},
		{name: "the call ended", do: func(f *floor, _ recording.Attempt) { f.heard("c1", dispatch.CallEnded) }, away: 2 * time.Minute, at: limit, why: "-"},
		{name: "another call by now", do: func(f *floor, _ recording.Attempt) { f.tape.turn("c2") }, away: 2 * time.Minute, at: limit, why: "isn't the same"},
		{name: "the CRM named the call", change: crm, away: 2 * time.Minute, at: limit},
		{name: "and then another", change: crm, do: func(f *floor, _ recording.Attempt) { f.heard("c2", dispatch.CallStarted) }, away: 2 * time.Minute, at: limit, why: "the call changed"},
		{name: "paused again", do: func(f *floor, _ recording.Attempt) { f.pause() }, away: 2 * time.Minute, at: limit, why: "paused again"},
		{name: "a trigger, too", do: func(f *floor, _ recording.Attempt) {
			f.act(dispatch.Order{Action: recording.Pause, Origin: "trigger:card"})
		}, away: 2 * time.Minute, at: limit, why: "paused again"},
		{name: "resumed by hand", do: func(f *floor, _ recording.Attempt) { f.act(dispatch.Order{Action: recording.Resume}) }, away: 2 * time.Minute, at: limit, why: "-"},
		{name: "declined", do: func(f *floor, _ recording.Attempt) {
			f.act(dispatch.Order{Action: recording.Pause, Reason: recording.ReasonDeclined})
		}, away: 2 * time.Minute, at: limit, why: "-"},
		{name: "the clock was set back", away: 2 * time.Minute, skew: -time.Hour, at: 2*time.Minute + limit},
		{name: "the clock was set ahead", away: 2 * time.Minute, skew: time.Hour, at: 2 * time.Minute, why: "too late"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &house{book: new(book)}
				h.start(t, tt.change)
				began := time.Now()
				h.heard("c1", dispatch.CallStarted)
				a := h.pause()
				time.Sleep(time.Minute)
				if tt.do != nil {
					tt.do(h.floor, a)
				}
				before := h.Snapshot(vera)
				synctest.Wait() // what is known is written down
				h.life.kill()
				time.Sleep(time.Until(began.Add(tt.away)))
				change := func(f *floor, o *dispatch.Options) {
					f.skew = tt.skew
					if tt.change != nil {
						tt.change(f, o)
					}
				}
				h.start(t, change)
				if s := h.Snapshot(vera); tt.away < limit && tt.skew <= 0 {
					if s.State != before.State || s.Pause != before.Pause || s.ExtensionsLeft != before.ExtensionsLeft || len(s.Holds) != len(before.Holds) ||
						s.Call != before.Call || s.AtMaxPause != before.AtMaxPause || (s.AutoResumeAt == nil) != (before.AutoResumeAt == nil) ||
						s.AutoResumeAt != nil && !s.AutoResumeAt.Equal(*before.AutoResumeAt) || len(s.Notices) != len(before.Notices) {
						t.Errorf("after the restart %+v\nbefore it %+v", s, before)
					}
				}
				time.Sleep(time.Until(began.Add(tt.at)) - time.Millisecond)
				if synctest.Wait(); tt.away < tt.at && (h.resumed() != nil || len(h.alerts()) > 0) {
					t.Fatalf("before its time: %+v %v", h.resumed(), h.alerts())
				}
				time.Sleep(time.Second)
				check := func(why string) {
					t.Helper()
					r, alerts := h.resumed(), h.alerts()
					switch {
					case tt.why == "" && (r == nil || r.Outcome != recording.Confirmed || len(alerts) > 0 || h.tape.Silent()),
						tt.why == "-" && (r != nil || len(alerts) > 0),
						tt.why != "" && tt.why != "-" && (r != nil || len(alerts) != 1 || alerts[0] != recording.AlertOverdue || !strings.Contains(h.told[0].Text, why)):
						t.Errorf("%+v, alerts %+v", r, h.told)
					}
				}
				check(tt.why)
				asked := h.tape.Asked()
				if tt.why != "" && tt.why != "-" {
					h.told = nil // who keeps alerts knows that it is the same one
				}
				h.start(t, change)
				time.Sleep(time.Hour)
				if tt.skew == 0 {
					check("") // once more is no more
				}
				if h.tape.Asked() != asked {
					t.Error("a further start sent something")
				}
			})
		})
	}
}

// TestAKillInTheMiddleOfTheEnd kills the server after the unattended resume was written down, before and after it was sent.
func TestAKillInTheMiddleOfTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		way   way
		after time.Duration // from the end of the pause's time to the kill
		want  recording.Outcome
		alert recording.AlertKind
	}{
		"it was on its way, and arrives":  {way{before: 2 * time.Second}, time.Second, recording.Confirmed, ""},
		"it was on its way, and is lost":  {way{before: 2 * time.Second, fate: broken}, time.Second, recording.Unknown, recording.AlertRestart},
		"it was done, and isn't answered": {way{after: 2 * time.Second}, time.Second, recording.Confirmed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &house{book: new(book)}
				h.start(t, nil)
				h.tape.reads = true
				a := h.pause()
				h.tape.mu.Lock()
				h.tape.ways, h.tape.asked = []way{tt.way}, 0
				h.tape.mu.Unlock()
				time.Sleep(time.Until(a.AutoResumeAt.Add(tt.after)))
				if h.tape.Asked() != 1 {
					t.Fatal("it wasn't sent")
				}
				h.life.kill()
				time.Sleep(3 * time.Second)
				h.start(t, nil)
				time.Sleep(time.Minute)
				r := h.resumed()
				if r == nil || r.Outcome != tt.want || h.tape.Asked() != 1 {
					t.Errorf("%+v, sent %d times", r, h.tape.Asked())
				}
				if got := h.alerts(); tt.alert == "" && len(got) > 0 || tt.alert != "" && !slices.Equal(got, []recording.AlertKind{tt.alert}) {
					t.Errorf("%v", got)
				}
			})
		})
	}
}

// TestAPauseThatAStartRepeatsIsOfNoKnownCall kills the server before it has written down what became of a pause. The next run
// makes sure that it is paused, be it another call by now; whether it is, it doesn't know.
func TestAPauseThatAStartRepeatsIsOfNoKnownCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{book: new(book)}
		h.start(t, nil)
		h.tape.mu.Lock()
		h.tape.reads, h.tape.ways = true, []way{{lag: time.Second}}
		h.tape.mu.Unlock()
		order(h.Dispatcher, recording.Pause)
		time.Sleep(500 * time.Millisecond)
		h.life.kill()
		time.Sleep(time.Second)
		h.tape.turn("c2")
		for range 2 { // as little after a further start
			h.start(t, nil)
			time.Sleep(30 * time.Second)
			if s := h.Snapshot(vera); s.State != recording.Paused || !h.tape.Silent() || s.Attempt.Call != "" || s.AtMaxPause != "" {
				t.Fatalf("%+v", s)
			}
		}
		time.Sleep(3 * time.Minute)
		if h.resumed() != nil || !slices.Contains(h.alerts(), recording.AlertOverdue) {
			t.Errorf("%+v %v", h.resumed(), h.alerts())
		}
	})
}

// TestACallThatIsKeptAsAHash restores from a journal that has no more of a call: what happened is as before, and that the call
// is the same isn't known.
func TestACallThatIsKeptAsAHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			events []dispatch.Note // after the pause
			open   bool
			moved  bool
		}{
			"the same call":          {[]dispatch.Note{{Call: "hmac:1", Event: dispatch.CallStarted}}, true, false},
			"another call":           {[]dispatch.Note{{Call: "hmac:2", Event: dispatch.CallStarted}}, true, true},
			"its end":                {[]dispatch.Note{{Call: "hmac:1", Event: dispatch.CallEnded}}, false, false},
			"another's end":          {[]dispatch.Note{{Call: "hmac:2", Event: dispatch.CallEnded}}, true, false},
			"a transfer":             {[]dispatch.Note{{Call: "hmac:1", Event: dispatch.CallTransferred}}, true, true},
			"its end, and a new one": {[]dispatch.Note{{Call: "hmac:1", Event: dispatch.CallEnded}, {Call: "hmac:2", Event: dispatch.CallStarted}}, false, false},
		} {
			f := opened(t, nil)
			began := time.Now().Add(-time.Minute)
			due := began.Add(3 * time.Minute)
			a := recording.Attempt{ID: dispatch.NewID(), Action: recording.Pause, Agent: vera.Email, Platform: vera.Platform, Route: recording.RouteServer, Origin: recording.Hand,
				RequestedAt: began, AutoResumeAt: &due}
			decided := a
			decided.Outcome, decided.DecidedAt = recording.Confirmed, new(began.Add(time.Second))
			notes := []dispatch.Note{{At: began.Add(-time.Second), Call: "hmac:1", Event: dispatch.CallStarted}}
			for i, n := range tt.events {
				n.At = began.Add(time.Duration(2+i) * time.Second)
				notes = append(notes, n)
			}
			for i := range notes {
				notes[i].Hashed, notes[i].Agent, notes[i].Platform = true, vera.Email, vera.Platform
			}
			f.Restore([]recording.Attempt{a, decided}, notes, func(string) (dispatch.Agent, bool) { return vera, true })
			s := f.Snapshot(vera)
			if s.Call != "" || s.Attempt.Call != "" || (s.Pause != "") != tt.open || (len(s.Notices) > 0) != tt.moved {
				t.Errorf("%s: %+v", name, s)
			}
			time.Sleep(5 * time.Minute)
			if f.resumed() != nil || slices.Contains(f.alerts(), recording.AlertOverdue) != tt.open {
				t.Errorf("%s: %v %v", name, f.resumed(), f.alerts())
			}
		}
	})
}
