package panel

import (
	"regexp"
	"slices"
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
	kinds = []recording.EvidenceKind{"", recording.FrameLoad, recording.PopupClosed, recording.PopupOpen, recording.CSP, recording.Blocked, recording.Held, recording.Offline,
		recording.Status, recording.Word, recording.Reported, recording.ReadBack, recording.Silence, "paused"}
	// byServer are the kinds of evidence that the server has.
	byServer = []recording.EvidenceKind{"", recording.Blocked, recording.Offline, recording.Status, recording.Reported, recording.ReadBack, recording.Silence}
	// ways are who carried an attempt out, with what the platform said of it, and the server's sentence. None of the words that
	// aren't the panel's may get through as a claim.
	ways = []struct {
		route        recording.Route
		said, detail string
	}{
		{recording.RouteSession, "", "Still paused."},
		{recording.RouteServer, "recordingStatus Paused", "It said last: recordingStatus Paused."},
		{recording.RouteServer, "Recording (Mask)", "It is masked now."},
		{recording.RouteSession, "Stopped", "The tape is silent."},
		{recording.RouteServer, "HTTP 403 Forbidden", "Tell an administrator."},
	}
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
						for flags := range 8 * len(ways) {
							way := ways[flags/8]
							if flags >= 8 && (older != recording.Confirmed || !slices.Contains(byServer, kind)) {
								break // who carried it out is in no sentence about the older one
							}
							a := recording.Attempt{ID: "2", Action: action, Outcome: outcome, RequestedAt: noon.Add(-2 * time.Second), Evidence: &recording.Evidence{Kind: kind, HTTPStatus: 500},
								Route: way.route, PlatformStatus: way.said, Detail: way.detail}
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
		name := platformName(v.PlatformKind)
		out = append(out, actionName(a.Action), outcomeName(a.Outcome), outcomeSentence(a, name), more(a, name))
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
			Words{State: recording.StateUnknown, Outcome: recording.Accepted, Headline: "Pause not confirmed", Card: cardNotYet, Line: "8x8 took the request: its window closed. It does not say whether it paused.", Alarm: true}},
		{"accepted by a status", recording.StateUnknown, attempt(recording.Pause, recording.Accepted, recording.Status), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Accepted, Headline: "Pause not confirmed", Card: cardNotYet, Line: "8x8 took the request. It does not say whether it paused.", Alarm: true}},
		{"confirmed", recording.Paused, attempt(recording.Pause, recording.Confirmed, recording.Reported), hold, Live,
			Words{State: recording.Paused, Outcome: recording.Confirmed, Headline: "Paused", Card: cardMay, Line: "8x8 reports success."}},
		{"attested", recording.StateUnknown, attempt(recording.Pause, recording.Attested, recording.Word), hold, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Attested, Headline: "Your word only", Card: "Look at 8x8 before the card", Line: "You said that you paused it in 8x8's own screen. 8x8 has not said so."}},
		{"blocked", recording.StateUnknown, attempt(recording.Pause, recording.Failed, recording.Blocked), nil, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Failed, Headline: "Pause failed", Card: cardNotYet, Line: "The browser blocked the small window. Nothing was sent.", Alarm: true}},
		{"held back", recording.StateUnknown, attempt(recording.Pause, recording.Failed, recording.Held), nil, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Failed, Headline: "Pause failed", Card: cardNotYet, Line: "It was held back in this browser. Nothing was sent.", Alarm: true}},
		{"closed before", recording.StateUnknown, attempt(recording.Pause, recording.Failed, recording.PopupClosed), nil, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Failed, Headline: "Pause failed", Card: cardNotYet, Line: "The small window was closed before anything was sent.", Alarm: true}},
		{"the platform is out of reach", recording.StateUnknown, attempt(recording.Pause, recording.Failed, recording.FrameLoad), nil, Live,
			Words{State: recording.StateUnknown, Outcome: recording.Failed, Headline: "Pause failed", Card: cardNotYet, Line: "This computer does not reach 8x8. Nothing was sent.", Alarm: true}},
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

// TestWhatTheServerRouteSays: each outcome of each platform in its own words, with what to do.
func TestWhatTheServerRouteSays(t *testing.T) {
	for _, tt := range []struct {
		name       string
		kind       string
		state      recording.State
		a          recording.Attempt
		headline   string
		line       string
		advice     string // all of it, joined
		attributed string // in the list, beside the sentence
	}{
		{"8x8's answer", "8x8", recording.Paused, server(recording.Pause, recording.Confirmed, recording.Reported, 200, "success", "8x8 reports success."), "Paused", "8x8 reports success.", "", ""},
		{"Vonage's status", "vonage", recording.Paused, server(recording.Pause, recording.Confirmed, recording.ReadBack, 200, "recordingStatus Paused", ""), "Paused", "Vonage says Paused.", "", ""},
		{"Vonage's status of a resume", "vonage", recording.Recording, server(recording.Resume, recording.Confirmed, recording.ReadBack, 200, "recordingStatus Started", ""), "Recording", "Vonage reports that it is recording.", "", ""},
		{"CXone's mask", "cxone", recording.Paused, server(recording.Pause, recording.Confirmed, recording.ReadBack, 200, "Recording (Mask)", ""), "Paused", "CXone says that it is masked.", "", ""},
		{"CXone's stop", "cxone", recording.Stopped, server(recording.Pause, recording.Confirmed, recording.ReadBack, 200, "Stopped", ""), "Stopped", "CXone says Stopped. Only a resume starts it again.", "", ""},
		{"CXone's refusal by the customer", "cxone", recording.Declined, server(recording.DoNotRecord, recording.Confirmed, recording.ReadBack, 200, "NoRecording (CustomerDisconsent)", ""), "Not recorded",
			"CXone says that the customer declined. What was recorded before is kept.", "", ""},
		{"not enabled", "8x8", recording.StateUnknown, server(recording.Pause, recording.NotEnabled, recording.Status, 200, "not enabled", "Recording isn't enabled for this agent in 8x8, nothing was done: if that is wrong, tell an administrator."),
			"Pause failed", "Recording is not enabled for you in 8x8.", "Recording isn't enabled for this agent in 8x8, nothing was done: if that is wrong, tell an administrator.",
			"Recording isn't enabled for this agent in 8x8, nothing was done: if that is wrong, tell an administrator. 8x8 said last: not enabled."},
		{"locked", "cxone", recording.StateUnknown, server(recording.Pause, recording.Locked, recording.Status, 425, "HTTP 425 Too Early", ""), "Pause failed", "CXone kept the call locked by an earlier request.",
			"Wait a moment, then press Pause again.", ""},
		{"not found", "8x8", recording.StateUnknown, server(recording.Pause, recording.NotFound, recording.Status, 404, "HTTP 404 Not Found", ""), "Pause failed", "8x8 does not know you as an agent.",
			"Tell your administrator; offrecord can't change it.", ""},
		{"CXone's permission", "cxone", recording.StateUnknown, server(recording.Pause, recording.Denied, recording.Status, 403, "HTTP 403 Forbidden", ""), "Pause refused", "CXone refused offrecord's own credentials (HTTP 403).",
			"Tell your administrator: this needs CXone Multi-ACD and the permission “Multi-ACD Record on Demand API”.", ""},
		{"denied", "vonage", recording.StateUnknown, server(recording.Pause, recording.Denied, recording.Status, 401, "", ""), "Pause refused", "Vonage refused offrecord's own credentials (HTTP 401).",
			"Tell your administrator; signing in again doesn't help.", ""},
		{"too many requests", "vonage", recording.StateUnknown, server(recording.Pause, recording.Failed, recording.Status, 429, "", ""), "Pause failed", "Vonage gets too many requests. It did not take this one.",
			"Wait a moment, then press Pause again.", ""},
		{"unknown, with the last word", "vonage", recording.StateUnknown, server(recording.Pause, recording.Unknown, recording.Silence, 0, "recordingStatus Started", ""), "Pause not confirmed",
			"No answer came in time. It may or may not have worked.", "Look in Vonage, or press Pause again. Vonage said last: recordingStatus Started.", "Vonage said last: recordingStatus Started."},
		{"unknown, and the last word is a claim", "vonage", recording.StateUnknown, server(recording.Pause, recording.Unknown, recording.Silence, 0, "recordingStatus Paused", "It said last: recordingStatus Paused."), "Pause not confirmed",
			"No answer came in time. It may or may not have worked.", "Look in Vonage, or press Pause again.", ""},
		{"no call", "vonage", recording.Idle, server(recording.Pause, recording.NoCall, recording.Status, 404, "", "The agent has no call in Vonage, nothing was done."), "No call",
			"Vonage found no active call.", "The agent has no call in Vonage, nothing was done.", "The agent has no call in Vonage, nothing was done."},
		{"our own log", "vonage", recording.Recording, server(recording.Resume, recording.Failed, "", 0, "", "It couldn't be written down first, so it wasn't sent."), "Recording",
			"Vonage reports that it is recording.", "Resume: It was not carried out. It couldn't be written down first, so it wasn't sent.", "It couldn't be written down first, so it wasn't sent."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := Say(View{PlatformKind: tt.kind, Link: Live, Now: noon, Attempts: []recording.Attempt{tt.a}, Snapshot: recording.Snapshot{State: tt.state, AsOf: noon, Since: noon}})
			if w.Headline != tt.headline || w.Line != tt.line || strings.Join(w.Advice, " ") != tt.advice {
				t.Errorf("%q, %q, %q", w.Headline, w.Line, w.Advice)
			}
			if got := more(tt.a, platformName(tt.kind)); got != tt.attributed {
				t.Errorf("besides: %q", got)
			}
		})
	}
}

func server(action recording.Action, outcome recording.Outcome, kind recording.EvidenceKind, status int, said, detail string) recording.Attempt {
	return recording.Attempt{ID: "1", Action: action, Route: recording.RouteServer, Outcome: outcome, Evidence: &recording.Evidence{Kind: kind, HTTPStatus: status},
		PlatformStatus: said, Detail: detail, RequestedAt: noon, DecidedAt: &noon}
}

// TestACallThatOnlyThePlatformKnows: an attempt isn't another call's because the CRM said nothing of this one.
func TestACallThatOnlyThePlatformKnows(t *testing.T) {
	a := recording.Attempt{ID: "1", Action: recording.Pause, Route: recording.RouteServer, Outcome: recording.Accepted, Call: "c1", RequestedAt: noon,
		Evidence: &recording.Evidence{Kind: recording.Status, HTTPStatus: 202}}
	v := View{PlatformKind: "vonage", Link: Live, Now: noon, Attempts: []recording.Attempt{a}, Snapshot: recording.Snapshot{State: recording.Pausing, Since: noon, AsOf: noon, Attempt: &a}}
	if got, want := Say(v).Line, "Vonage took the request and is carrying it out. Its effect is not seen yet."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	v.Snapshot.Call = "c2"
	if got, want := Say(v).Line, "A pause is wanted, and none is confirmed."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
