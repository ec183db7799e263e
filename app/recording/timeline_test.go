package recording_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"offrecord/app/recording"
)

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// step is one thing that happens to a timeline: an attempt asked for (ask) or decided (id and outcome), or a call.
type step struct {
	ask     recording.Action
	origin  recording.Origin
	decide  string
	outcome recording.Outcome
	polled  bool // the outcome isn't final yet
	call    *string

	transferred bool
}

func call(id string) *string { return &id }

// play runs steps a second apart; the n-th attempt asked for has the id "n", from 1.
func play(t *testing.T, steps []step) *recording.Timeline {
	t.Helper()
	var line recording.Timeline
	asked := 0
	for i, s := range steps {
		at := start.Add(time.Duration(i) * time.Second)
		switch {
		case s.ask != "":
			asked++
			origin := s.origin
			if origin == "" {
				origin = recording.Hand
			}
			line.Add(recording.Attempt{ID: fmt.Sprint(asked), Action: s.ask, Origin: origin, RequestedAt: at})
		case s.decide != "":
			if _, err := line.Decide(s.decide, s.outcome, nil, "", at, !s.polled); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		default:
			line.SetCall(*s.call, s.transferred, at)
		}
	}
	return &line
}

func TestWhatMayBeSaid(t *testing.T) {
	pause := step{ask: recording.Pause}
	resume := step{ask: recording.Resume}
	decide := func(id string, o recording.Outcome) step { return step{decide: id, outcome: o} }
	trigger := func(a recording.Action) step { return step{ask: a, origin: "trigger:card"} }
	tests := []struct {
		name  string
		steps []step
		want  recording.State
		holds []recording.Origin
	}{
		{"nothing is known at first", nil, recording.StateUnknown, nil},
		{"asked for", []step{pause}, recording.Pausing, []recording.Origin{"hand"}},
		{"confirmed is the only way to paused", []step{pause, decide("1", recording.Confirmed)}, recording.Paused, []recording.Origin{"hand"}},
		{"accepted, while it is polled", []step{pause, {decide: "1", outcome: recording.Accepted, polled: true}}, recording.Pausing, []recording.Origin{"hand"}},
		{"accepted for good", []step{pause, decide("1", recording.Accepted)}, recording.StateUnknown, []recording.Origin{"hand"}},
		{"sent", []step{pause, decide("1", recording.Sent)}, recording.StateUnknown, []recording.Origin{"hand"}},
		{"attested is never paused", []step{pause, decide("1", recording.Sent), decide("1", recording.Attested)}, recording.StateUnknown, []recording.Origin{"hand"}},
		{"failed leaves the state and holds nothing", []step{pause, decide("1", recording.Failed)}, recording.StateUnknown, nil},
		{"failed resume leaves paused, and held", []step{pause, decide("1", recording.Confirmed), resume, decide("2", recording.Failed)}, recording.Paused, []recording.Origin{"hand"}},
		{"a second pause that fails keeps the first's hold", []step{pause, decide("1", recording.Confirmed), pause, decide("2", recording.Failed)}, recording.Paused, []recording.Origin{"hand"}},
		{"no call", []step{pause, decide("1", recording.NoCall)}, recording.Idle, nil},
		{"no call after a pause that is believed", []step{pause, decide("1", recording.Confirmed), pause, decide("2", recording.NoCall)}, recording.StateUnknown, []recording.Origin{"hand"}},
		{"a late answer doesn't overwrite the newer one", []step{resume, pause, decide("2", recording.Confirmed), decide("1", recording.Unknown)}, recording.Paused, []recording.Origin{"hand"}},
		{"a late answer does count where the newer one did nothing", []step{pause, decide("1", recording.Confirmed), resume, pause, decide("3", recording.Failed), decide("2", recording.Confirmed)}, recording.Recording, nil},
		{"the trigger's resume leaves the hand's hold", []step{pause, decide("1", recording.Confirmed), trigger(recording.Pause), decide("2", recording.Confirmed), trigger(recording.Resume)}, recording.Paused, []recording.Origin{"hand"}},
		{"the hand's resume clears them all", []step{pause, trigger(recording.Pause), resume, decide("3", recording.Confirmed)}, recording.Recording, nil},
		{"the end of the call", []step{{call: call("c1")}, pause, decide("1", recording.Confirmed), {call: call("")}}, recording.Idle, nil},
		{"a new call while paused: nothing is known of it, the hold stays", []step{{call: call("c1")}, pause, decide("1", recording.Confirmed), {call: call("c2")}}, recording.StateUnknown, []recording.Origin{"hand"}},
		{"the customer declined: nothing is held, because nothing can be resumed", []step{pause, {ask: recording.DoNotRecord}, decide("2", recording.Confirmed)}, recording.Declined, nil},
		{"the customer's word holds through a transfer", []step{{call: call("c1")}, {ask: recording.DoNotRecord}, decide("1", recording.Confirmed), {call: call("c2"), transferred: true}}, recording.Declined, nil},
		{"and not for the next customer", []step{{call: call("c1")}, {ask: recording.DoNotRecord}, decide("1", recording.Confirmed), {call: call("c2")}}, recording.StateUnknown, nil},
		{"stopped", []step{{ask: recording.Stop}, decide("1", recording.Confirmed)}, recording.Stopped, []recording.Origin{"hand"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := play(t, tt.steps)
			if got, _ := line.State(); got != tt.want {
				t.Errorf("state %q, want %q", got, tt.want)
			}
			var holds []recording.Origin
			for _, h := range line.Holds() {
				holds = append(holds, h.Origin)
			}
			if !slices.Equal(holds, tt.holds) {
				t.Errorf("holds %q, want %q", holds, tt.holds)
			}
		})
	}
}

func TestATriggersResumeIsNotCarriedOutUnderAHandsHold(t *testing.T) {
	line := play(t, []step{{ask: recording.Pause}, {ask: recording.Pause, origin: "trigger:card"}})
	a, carry := line.Add(recording.Attempt{ID: "3", Action: recording.Resume, Origin: "trigger:card", RequestedAt: start.Add(time.Minute)})
	if carry || a.Outcome != recording.Superseded || !a.Settled() {
		t.Errorf("carried out: %v, outcome %q, settled %v", carry, a.Outcome, a.Settled())
	}
}

func TestAnAttemptThatIsAnnouncedLateTakesItsPlace(t *testing.T) {
	line := play(t, []step{{ask: recording.Resume}, {decide: "1", outcome: recording.Confirmed}})
	line.Add(recording.Attempt{ID: "kept", Action: recording.Pause, Origin: recording.Hand, RequestedAt: start.Add(-time.Minute)})
	if state, _ := line.State(); state != recording.Recording {
		t.Errorf("an older pause overwrote the newer resume: %q", state)
	}
	if holds := line.Holds(); len(holds) > 0 {
		t.Errorf("an older pause holds after the newer resume: %v", holds)
	}
}

func TestASettledAttemptTakesOnlyTheAgentsWord(t *testing.T) {
	line := play(t, []step{{ask: recording.Pause}, {decide: "1", outcome: recording.Sent}})
	if _, err := line.Decide("1", recording.Accepted, nil, "", start, true); err != recording.ErrSettled {
		t.Errorf("accepted after sent: %v", err)
	}
	if _, err := line.Decide("1", recording.Attested, nil, "", start, true); err != nil {
		t.Errorf("attested after sent: %v", err)
	}
	line = play(t, []step{{ask: recording.Pause}, {decide: "1", outcome: recording.Confirmed}})
	if _, err := line.Decide("1", recording.Attested, nil, "", start, true); err != recording.ErrSettled {
		t.Errorf("attested after confirmed: %v", err)
	}
	if _, err := line.Decide("9", recording.Sent, nil, "", start, true); err != recording.ErrNoSuchAttempt {
		t.Errorf("an unknown attempt: %v", err)
	}
}

func TestAWindowLastsFromTheFirstHoldToNone(t *testing.T) {
	pause, resume := step{ask: recording.Pause}, step{ask: recording.Resume}
	trigger := func(a recording.Action) step { return step{ask: a, origin: "trigger:card"} }
	timer := step{ask: recording.Resume, origin: recording.Timer}
	decide := func(id string, o recording.Outcome) step { return step{decide: id, outcome: o} }
	started := step{call: call("c1")}
	moved := recording.Window{Pause: "1", Moved: true}
	tests := []struct {
		name  string
		steps []step
		want  recording.Window
		moved bool // it is said that the call may be recording
	}{
		{"nothing", nil, recording.Window{}, false},
		{"a pause", []step{pause}, recording.Window{Pause: "1"}, false},
		{"a pause that failed", []step{pause, decide("1", recording.Failed)}, recording.Window{}, false},
		{"a pause without a call", []step{pause, decide("1", recording.NoCall)}, recording.Window{}, false},
		{"a pause that failed, and the agent's word", []step{pause, decide("1", recording.Failed), decide("1", recording.Attested)}, recording.Window{Pause: "1"}, false},
		{"a second pause begins none", []step{pause, trigger(recording.Pause), pause}, recording.Window{Pause: "1"}, false},
		{"nor ends it with its own", []step{pause, trigger(recording.Pause), trigger(recording.Resume)}, recording.Window{Pause: "1"}, false},
		{"the first hold may go", []step{trigger(recording.Pause), pause, trigger(recording.Resume)}, recording.Window{Pause: "1"}, false},
		{"a resume ends it", []step{pause, trigger(recording.Pause), resume}, recording.Window{}, false},
		{"one that failed contradicts it", []step{pause, resume, decide("2", recording.Denied)}, recording.Window{Pause: "1", Contradicted: true}, false},
		{"the next pause begins another", []step{pause, resume, decide("2", recording.Confirmed), pause}, recording.Window{Pause: "3"}, false},
		{"the end of its time ends it", []step{pause, trigger(recording.Pause), timer}, recording.Window{}, false},
		{"but not if it was called off", []step{pause, trigger(recording.Pause), timer, decide("3", recording.Superseded)}, recording.Window{Pause: "1"}, false},
		{"a stop is one, too", []step{pause, {ask: recording.Stop}}, recording.Window{Pause: "1"}, false},
		{"the customer's refusal ends it", []step{pause, {ask: recording.DoNotRecord}}, recording.Window{}, false},
		{"another call doesn't", []step{pause, started}, moved, true},
		{"nor a transfer of the same", []step{started, pause, {call: call("c1"), transferred: true}}, moved, true},
		{"the same call again says nothing", []step{started, pause, started}, recording.Window{Pause: "1"}, false},
		{"its end does", []step{started, pause, {call: call("")}}, recording.Window{}, false},
		{"a new pause says how the call stands", []step{pause, started, pause}, moved, false},
		{"not if it fails", []step{pause, started, pause, decide("2", recording.Failed)}, moved, true},
		{"an effect does, too", []step{pause, started, resume, decide("2", recording.Confirmed)}, recording.Window{}, false},
		{"not knowing doesn't", []step{pause, started, resume, decide("2", recording.Unknown)}, recording.Window{}, true},
		{"another call that isn't paused is another matter", []step{pause, started, resume, decide("2", recording.Unknown), {call: call("c2")}}, recording.Window{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := play(t, tt.steps)
			if got := line.Window(); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if line.CallMoved() != tt.moved {
				t.Errorf("moved: %v", line.CallMoved())
			}
		})
	}
	var line recording.Timeline
	line.Add(recording.Attempt{ID: "1", Action: recording.Pause, Origin: recording.Hand, Reason: recording.ReasonDeclined, RequestedAt: start})
	if w := line.Window(); !w.Declined {
		t.Errorf("a pause that stands for the customer's refusal: %+v", w)
	}
}

func TestACallThatIsForgottenChangesNothingElse(t *testing.T) {
	line := play(t, []step{{call: call("c1")}, {ask: recording.Pause}, {decide: "1", outcome: recording.Confirmed}})
	line.ForgetCall()
	if state, _ := line.State(); line.Call() != "" || state != recording.Paused || line.Window().Pause != "1" {
		t.Errorf("call %q, state %q", line.Call(), state)
	}
}

// TestPausedIsOnlySaidOfAConfirmedPause runs random histories: whatever happens, the tape is called silent only where the
// newest attempt that may have changed anything is a confirmed silencing one.
func TestPausedIsOnlySaidOfAConfirmedPause(t *testing.T) {
	actions := []recording.Action{recording.Pause, recording.Resume, recording.Start, recording.Stop, recording.Mask, recording.Unmask, recording.DoNotRecord}
	outcomes := []recording.Outcome{recording.Confirmed, recording.Accepted, recording.Sent, recording.NoCall, recording.NotEnabled, recording.Locked,
		recording.Denied, recording.NotFound, recording.Failed, recording.Unknown, recording.Attested}
	rapid.Check(t, func(t *rapid.T) {
		var line recording.Timeline
		at := start
		var ids []string
		var turned time.Time // the call changed, or was transferred
		n := rapid.IntRange(1, 150).Draw(t, "steps")
		for i := range n {
			at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "gap")) * time.Second)
			switch {
			case len(ids) == 0 || rapid.Bool().Draw(t, "ask"):
				id := fmt.Sprint(i)
				asked := at.Add(-time.Duration(rapid.IntRange(0, 2).Draw(t, "kept")) * time.Second) // announced late
				line.Add(recording.Attempt{ID: id, Action: rapid.SampledFrom(actions).Draw(t, "action"),
					Origin: rapid.SampledFrom([]recording.Origin{recording.Hand, "trigger:a", recording.Link}).Draw(t, "origin"), RequestedAt: asked})
				ids = append(ids, id)
			case rapid.IntRange(0, 20).Draw(t, "call") == 0:
				id, transferred := rapid.SampledFrom([]string{"", "c1", "c2"}).Draw(t, "id"), rapid.Bool().Draw(t, "transferred")
				if id != line.Call() || transferred {
					turned = at
				}
				line.SetCall(id, transferred, at)
			default:
				id := rapid.SampledFrom(ids).Draw(t, "id")
				line.Decide(id, rapid.SampledFrom(outcomes).Draw(t, "outcome"), nil, "", at, rapid.Bool().Draw(t, "final"))
			}
		}
		state, _ := line.State()
		if !state.OffTape() {
			return
		}
		for _, a := range line.Attempts() { // newest first
			if a.Outcome == recording.Superseded && a.Evidence == nil {
				continue
			}
			if a.Outcome.KeepsState() || state == recording.Declined && a.RequestedAt.Before(turned) { // what was declined stays so through a transfer
				continue
			}
			if a.Outcome != recording.Confirmed || !a.Action.Silences() {
				t.Fatalf("state %q, but the newest attempt that may have changed anything is %s with outcome %q", state, a.Action, a.Outcome)
			}
			return
		}
	})
}

func TestALongDayCostsNoMoreThanAShortOne(t *testing.T) {
	var line recording.Timeline
	for i := range 10_000 {
		at := start.Add(time.Duration(i) * time.Second)
		action := recording.Pause
		if i%2 == 1 {
			action = recording.Resume
		}
		line.Add(recording.Attempt{ID: fmt.Sprint(i), Action: action, Origin: recording.Hand, RequestedAt: at})
		line.Decide(fmt.Sprint(i), recording.Confirmed, nil, "", at, true)
	}
	if n := len(line.Attempts()); n > 64 {
		t.Errorf("%d attempts are kept", n)
	}
	if state, since := line.State(); state != recording.Recording || !since.Equal(start.Add(9_999*time.Second)) {
		t.Errorf("state %q since %s", state, since)
	}
}

func TestNotKnowingHasABeginning(t *testing.T) {
	line := play(t, []step{{ask: recording.Pause}, {decide: "1", outcome: recording.Sent}})
	if _, since := line.State(); !since.Equal(start.Add(time.Second)) {
		t.Errorf("unknown since %s", since)
	}
	line = play(t, []step{{ask: recording.Pause}, {decide: "1", outcome: recording.Failed}})
	if _, since := line.State(); !since.IsZero() {
		t.Errorf("a pause that changed nothing began something at %s", since)
	}
}
