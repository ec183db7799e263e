package panel

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
)

var (
	noon     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	states   = []recording.State{recording.Recording, recording.Pausing, recording.Paused, recording.Resuming, recording.Stopped, recording.Declined, recording.StateUnknown, recording.Idle, "", "paused "}
	actions  = []recording.Action{recording.Pause, recording.Resume, recording.Start, recording.Stop, recording.Mask, recording.Unmask, recording.DoNotRecord, ""}
	outcomes = []recording.Outcome{recording.Pending, recording.Confirmed, recording.Accepted, recording.Sent, recording.NoCall, recording.NotEnabled, recording.Locked,
		recording.Denied, recording.NotFound, recording.Failed, recording.Unknown, recording.Superseded, recording.Attested, "paused"}
	kinds = []recording.EvidenceKind{"", recording.FrameLoad, recording.PopupClosed, recording.PopupOpen, recording.CSP, recording.Blocked, recording.Offline,
		recording.Status, recording.Word, recording.Reported, recording.ReadBack, recording.Silence, "paused"}
	links   = []Link{Live, Connecting, Reconnecting, OfflineLink, "", "paused"}
	natives = []Native{Mounted, NativeBefore, NativeNoWasm, NativeStorage, NativeLoad, NativeEnded}
)

// every calls f with a view for each combination of what the words depend on. The newest attempt is of every action; before
// it is a pause with every outcome, so that a silencing attempt is the newest of its sort and not the newest of all, too.
func every(f func(v View, silencing recording.Outcome)) {
	decided := noon.Add(-time.Second)
	for _, state := range states {
		for _, action := range actions {
			for _, outcome := range outcomes {
				for _, older := range []recording.Outcome{recording.Confirmed, recording.Sent, recording.Attested, recording.Failed} {
					for _, kind := range kinds {
						for flags := range 8 {
							a := recording.Attempt{ID: "2", Action: action, Outcome: outcome, RequestedAt: noon.Add(-2 * time.Second), Evidence: &recording.Evidence{Kind: kind, HTTPStatus: 500}}
							if flags&1 != 0 {
								a.DecidedAt = &decided
							}
							b := recording.Attempt{ID: "1", Action: recording.Pause, Outcome: older, RequestedAt: noon.Add(-time.Minute), DecidedAt: &decided}
							v := View{PlatformKind: "8x8", Link: Live, Now: noon, Attempts: []recording.Attempt{a, b},
								Snapshot: recording.Snapshot{State: state, Since: noon.Add(-3 * time.Second), AsOf: noon, Attempt: &a}}
							if flags&2 != 0 {
								v.Snapshot.Holds = []recording.Hold{{Origin: recording.Hand}}
							}
							if flags&4 != 0 {
								v.Snapshot.Call, a.Call, v.Attempts[0].Call = "c2", "c1", "c1"
							}
							silencing := older
							if action.Silences() {
								silencing = outcome
							}
							f(v, silencing)
							if kind != "" { // what isn't live doesn't depend on the evidence
								continue
							}
							for _, link := range links[1:] {
								w := v
								w.Link = link
								f(w, silencing)
							}
							for _, native := range natives[1:] {
								w := v
								w.Native = native
								f(w, silencing)
							}
						}
					}
				}
			}
		}
	}
}

var (
	// claim finds what could be read as: the tape is silent.
	claim = regexp.MustCompile(`(?i)paused|stopped|masked|silent|silenced|not recorded|off the record|muted|you can take`)
	// notAClaim is what may be said at any time: that it isn't known, whose word it is, or an instruction.
	notAClaim = []string{
		"does not say whether it paused", "does not say whether it stopped", "does not say whether it masked", "does not say whether it unmasked",
		"You said that you paused it in", "You said that you stopped it in", "You said that you masked it in", "You said that you unmasked it in",
		"isn't shown as paused there", "When you see that it shows paused",
	}
)

func claims(s string) bool {
	for _, phrase := range notAClaim {
		s = strings.ReplaceAll(s, phrase, "")
	}
	return claim.MatchString(s)
}

// all is every sentence of the panel's own that it shows for a view.
func all(v View) []string {
	w := Say(v)
	out := append([]string{w.Headline, w.Line, w.Card}, w.Advice...)
	out = append(out, w.Steps...)
	for _, a := range v.Attempts {
		out = append(out, actionName(a.Action), outcomeName(a.Outcome), outcomeSentence(a, platformName(v.PlatformKind)))
	}
	return out
}

func TestNothingIsCalledPausedUnlessThePlatformConfirmedIt(t *testing.T) {
	views, claimed := 0, 0
	found := map[string]bool{} // what claims said of a sentence: there are few of them
	every(func(v View, silencing recording.Outcome) {
		views++
		w := Say(v)
		may := v.Snapshot.State.OffTape() && silencing == recording.Confirmed
		now := may && v.Link == Live && (v.Native == Mounted || v.Native == NativeBefore)
		if w.State.OffTape() {
			claimed++
		}
		if w.State.OffTape() != now {
			t.Fatalf("shown as %q, may be: %v, for %+v", w.State, now, v)
		}
		if (w.Card == cardMay) != now {
			t.Fatalf("%q, may be: %v, for %+v", w.Card, now, v)
		}
		if now {
			return
		}
		for _, s := range all(v) {
			if may { // the last word, told as one
				s = strings.ReplaceAll(s, "The last word was: "+lastWord(v.Snapshot.State), "")
			}
			claim, asked := found[s]
			if !asked {
				claim = claims(s)
				found[s] = claim
			}
			if claim {
				t.Fatalf("%q for %+v, attempt %+v", s, v, v.Attempts[0])
			}
		}
	})
	t.Logf("%d views, %d of them shown as paused, stopped or declined, 0 of those unconfirmed", views, claimed)
	if claimed == 0 {
		t.Error("none may be called paused: the test shows nothing")
	}
}

func TestTheClaimIsFound(t *testing.T) {
	for _, s := range []string{"Paused", "8x8 reports that the recording is paused.", "It is stopped.", "You can take the card", "The tape is silent"} {
		if !claims(s) {
			t.Errorf("%q isn't taken for a claim", s)
		}
	}
}

func TestAPauseThatIsNotKnownToHaveWorkedAlarms(t *testing.T) {
	every(func(v View, _ recording.Outcome) {
		w := Say(v)
		last := v.Attempts[0]
		current := last.Call == v.Snapshot.Call
		wanted := len(v.Snapshot.Holds) > 0 || current && last.Action.Silences() && v.Snapshot.State != recording.Idle
		attested := present(v) && current && last.Action.Silences() && last.Outcome == recording.Attested && w.State == recording.StateUnknown
		if wanted && !w.State.OffTape() && !attested && !w.Alarm {
			t.Fatalf("no alarm for %+v", v)
		}
		if w.Alarm != (w.Card == cardNotYet) || w.Alarm != (len(w.Steps) > 0) {
			t.Fatalf("alarm %v, but %q and %d steps", w.Alarm, w.Card, len(w.Steps))
		}
		if attested && (w.Card == cardMay || w.State.OffTape()) {
			t.Fatalf("the agent's word is shown as the platform's: %+v", w)
		}
	})
}

func TestWordsFit(t *testing.T) {
	every(func(v View, _ recording.Outcome) {
		w := Say(v)
		if len(w.Headline) > 24 || len(w.Card) > 32 || len(w.Line) > 115 {
			t.Fatalf("too long for the place kept for it: %q, %q, %q", w.Headline, w.Card, w.Line)
		}
		for _, s := range append(all(v), nativeSentence(v.Native)) {
			if strings.Contains(s, "  ") || s != strings.TrimSpace(s) {
				t.Fatalf("spacing: %q", s)
			}
		}
	})
}

func TestWords(t *testing.T) {
	decided := noon
	attempt := func(action recording.Action, outcome recording.Outcome, kind recording.EvidenceKind) []recording.Attempt {
		a := recording.Attempt{ID: "1", Action: action, Outcome: outcome, Evidence: &recording.Evidence{Kind: kind}, RequestedAt: noon, DecidedAt: &decided}
		if outcome == recording.Pending {
			a.DecidedAt, a.Evidence = nil, nil
		}
		return []recording.Attempt{a}
	}
	hold := []recording.Hold{{Origin: recording.Hand}}
	tests := []struct {
		name  string
		state recording.State
		last  []recording.Attempt
		holds []recording.Hold
		link  Link
		want  Words
	}{
		{"at first", recording.StateUnknown, nil, nil, Live,
			Words{State: recording.StateUnknown, Headline: "Not known", Card: cardFirst, Line: "8x8 does not say whether it is recording."}},
		{"asked for", recording.Pausing, attempt(recording.Pause, recording.Pending, ""), hold, Live,
			Words{State: recording.Pausing, Headline: "Pausing", Card: cardNotYet, Line: "Asked for. 8x8 has not answered yet.", Alarm: true}},
		{"sent", recording.StateUnknown, attempt(recording.Pause, recording.Sent, recording.FrameLoad), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Sent, Headline: "Pause not confirmed", Card: cardNotYet, Line: "The request left this browser. 8x8 does not say whether it paused.", Alarm: true}},
		{"accepted", recording.StateUnknown, attempt(recording.Pause, recording.Accepted, recording.PopupClosed), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Accepted, Headline: "Pause not confirmed", Card: cardNotYet, Line: "The window closed by itself: 8x8 took the request. It does not say whether it paused.", Alarm: true}},
		{"accepted by a status", recording.StateUnknown, attempt(recording.Pause, recording.Accepted, recording.Status), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Accepted, Headline: "Pause not confirmed", Card: cardNotYet, Line: "8x8 took the request. It does not say whether it paused.", Alarm: true}},
		{"confirmed", recording.Paused, attempt(recording.Pause, recording.Confirmed, recording.Reported), hold, Live,
			Words{State: recording.Paused, Outcome: recording.Confirmed, Headline: "Paused", Card: cardMay, Line: "8x8 reports that the recording is paused."}},
		{"attested", recording.StateUnknown, attempt(recording.Pause, recording.Attested, recording.Word), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Attested, Headline: "Your word only", Card: "Look at 8x8 before the card", Line: "You said that you paused it in 8x8's own screen. 8x8 has not said so."}},
		{"blocked", recording.StateUnknown, attempt(recording.Pause, recording.Failed, recording.Blocked), nil, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Failed, Headline: "Pause failed", Card: cardNotYet, Line: "The browser blocked the small window. Nothing was sent.", Alarm: true}},
		{"failed while it is known to record", recording.Recording, attempt(recording.Pause, recording.Failed, recording.Offline), nil, Live,
			Words{State: recording.Recording, Outcome: recording.Failed, Headline: "Recording", Card: cardNotYet, Line: "This computer has no network. Nothing was sent.", Alarm: true}},
		{"reconnecting after a confirmed pause", recording.Paused, attempt(recording.Pause, recording.Confirmed, recording.Reported), hold, Reconnecting,
			Words{State: recording.StateUnknown, Outcome: recording.Confirmed, Headline: "Not known", Card: cardNotYet, Line: "Reconnecting. The last word was: paused.", Alarm: true}},
		{"a snapshot that says paused without a confirmed pause", recording.Paused, attempt(recording.Pause, recording.Sent, recording.FrameLoad), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Sent, Headline: "Pause not confirmed", Card: cardNotYet, Line: "The request left this browser. 8x8 does not say whether it paused.", Alarm: true}},
		{"the resume was sent", recording.StateUnknown, attempt(recording.Resume, recording.Sent, recording.FrameLoad), nil, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Sent, Headline: "Resume not confirmed", Card: cardFirst, Line: "The request left this browser. 8x8 does not say whether it resumed."}},
		{"no call", recording.Idle, nil, nil, Live,
			Words{State: recording.Idle, Headline: "No call", Card: cardFirst, Line: "There is no call to record."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Say(View{PlatformKind: "8x8", Link: tt.link, Now: noon, Attempts: tt.last,
				Snapshot: recording.Snapshot{State: tt.state, AsOf: noon, Since: noon, Holds: tt.holds}})
			got.Steps, got.Advice = nil, nil
			if got.State != tt.want.State || got.Outcome != tt.want.Outcome || got.Headline != tt.want.Headline || got.Line != tt.want.Line || got.Card != tt.want.Card || got.Alarm != tt.want.Alarm {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	every(func(v View, _ recording.Outcome) {
		a := v.Attempts[0]
		if !present(v) || a.Call != "" || v.Snapshot.State == recording.Idle {
			return
		}
		switch a.Outcome {
		case recording.Failed, recording.Denied, recording.NoCall, recording.NotEnabled, recording.NotFound, recording.Locked:
			if len(Say(v).Advice) == 0 {
				t.Fatalf("no advice for %+v", a)
			}
		}
	})
}

func TestTheEndOfACallEndsItsAlarm(t *testing.T) {
	ended := noon.Add(time.Minute)
	for _, o := range outcomes[1:] {
		a := recording.Attempt{ID: "1", Action: recording.Pause, Outcome: o, RequestedAt: noon, DecidedAt: &noon}
		v := View{Link: Live, Now: ended, Attempts: []recording.Attempt{a}, Snapshot: recording.Snapshot{State: recording.Idle, Since: ended, AsOf: ended, Attempt: &a}}
		if w := Say(v); w.Alarm || w.Headline != "No call" || len(w.Advice) > 0 {
			t.Errorf("%s: %+v", o, w)
		}
	}
	a := recording.Attempt{ID: "1", Action: recording.Pause, Outcome: recording.NoCall, RequestedAt: noon, DecidedAt: &ended}
	if w := Say(View{Link: Live, Attempts: []recording.Attempt{a}, Snapshot: recording.Snapshot{State: recording.Idle, Since: ended}}); !w.Alarm || len(w.Advice) == 0 {
		t.Errorf("a pause that found no call: %+v", w)
	}
}

func TestTheLaterKnowledgeOfOneAttemptCounts(t *testing.T) {
	pending := recording.Attempt{ID: "1", Action: recording.Pause, RequestedAt: noon}
	done := pending
	done.Outcome, done.DecidedAt = recording.Confirmed, &noon
	for _, v := range []View{
		{Attempts: []recording.Attempt{pending}, Snapshot: recording.Snapshot{Attempt: &done}},
		{Attempts: []recording.Attempt{done}, Snapshot: recording.Snapshot{Attempt: &pending}},
	} {
		if o := Say(v).Outcome; o != recording.Confirmed {
			t.Errorf("outcome %q", o)
		}
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "00:00", 0: "00:00", 61*time.Second + 999*time.Millisecond: "01:01", time.Hour - 1: "59:59", 25*time.Hour + 62*time.Second: "25:01:02"} {
		if got := elapsed(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
