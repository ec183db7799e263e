package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
)

// stopping is an account that pauses by stopping, so that a resume would start what wasn't recorded before. It says what it
// is told to.
type stopping struct {
	tape
	mu   sync.Mutex
	next press
}

// press is what the platform shows when a button is pressed.
type press struct {
	outcome recording.Outcome
	before  recording.State // just before a stop
	call    string
}

func (p *stopping) shows(next press) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = next
}

func (p *stopping) Ability() platform.Ability {
	a := p.tape.Ability()
	a.ResumeNeeds, a.CallKnown = recording.Recording, true
	return a
}

func (p *stopping) Act(_ context.Context, r platform.Request) platform.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	result := platform.Result{Outcome: p.next.outcome, HTTPStatus: 200, Before: r.Before}
	if r.Action == recording.Pause {
		result.Before, result.Call = p.next.before, p.next.call
	}
	return result
}

func (p *stopping) Read(context.Context, platform.Target) platform.Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	return platform.Reading{State: recording.Stopped, Call: p.next.call}
}

func TestWhatWasRecordedBeforeOurOwnStop(t *testing.T) {
	const confirmed, noCall = recording.Confirmed, recording.NoCall
	recorded, stopped := press{confirmed, recording.Recording, "a"}, press{confirmed, recording.Stopped, "a"}
	of := func(p press, call string) press { p.call = call; return p }
	tests := map[string]struct {
		pauses []press
		call   dispatch.CallEvent // after the pauses; empty for none
		again  *press             // and a pause after that
		now    string             // the call when the agent resumes
		resume recording.Outcome
	}{
		"it was recorded":                         {pauses: []press{recorded}, now: "a", resume: confirmed},
		"it wasn't":                               {pauses: []press{stopped}, now: "a", resume: recording.Failed},
		"it isn't known":                          {pauses: []press{{confirmed, recording.StateUnknown, "a"}}, now: "a", resume: recording.Failed},
		"a second pause finds a stop":             {pauses: []press{recorded, stopped}, now: "a", resume: confirmed},
		"there was no call at first":              {pauses: []press{{noCall, recording.Idle, ""}, recorded}, now: "a", resume: confirmed},
		"it couldn't be read at first":            {pauses: []press{{recording.Failed, recording.StateUnknown, ""}, recorded}, now: "a", resume: confirmed},
		"another call that isn't":                 {pauses: []press{recorded}, call: dispatch.CallStarted, again: new(of(stopped, "b")), now: "b", resume: recording.Failed},
		"the same call, transferred":              {pauses: []press{recorded}, call: dispatch.CallTransferred, again: &stopped, now: "a", resume: confirmed},
		"no call, then one that is not":           {pauses: []press{recorded, {noCall, recording.Idle, ""}, stopped}, now: "a", resume: recording.Failed},
		"a call that ended unheard":               {pauses: []press{recorded}, now: "b", resume: recording.Failed},
		"unheard, and the next was paused, too":   {pauses: []press{recorded, of(stopped, "b")}, now: "b", resume: recording.Failed},
		"unheard, and the next was recorded, too": {pauses: []press{recorded, of(recorded, "b")}, now: "b", resume: confirmed},
		"back to the first, which isn't known":    {pauses: []press{recorded, of(recorded, "b")}, now: "a", resume: recording.Failed},
		"the platform doesn't name it now":        {pauses: []press{recorded}, now: "", resume: recording.Failed},
		"the platform didn't name it then":        {pauses: []press{of(recorded, "")}, now: "a", resume: recording.Failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &stopping{}
				d := dispatch.New(upstream(p))
				defer d.Close()
				act := func(action recording.Action, next press) recording.Attempt {
					p.shows(next)
					a, _, err := d.Act(t.Context(), vera, dispatch.Order{ID: dispatch.NewID(), Action: action})
					if err != nil {
						t.Fatal(err)
					}
					return a
				}
				for _, next := range tt.pauses {
					act(recording.Pause, next)
				}
				if tt.call != "" {
					if err := d.SetCall(t.Context(), vera, "call-2", tt.call); err != nil {
						t.Fatal(err)
					}
				}
				if tt.again != nil {
					act(recording.Pause, *tt.again)
				}
				if a := act(recording.Resume, press{outcome: confirmed, call: tt.now}); a.Outcome != tt.resume {
					t.Errorf("the resume: %s, want %s: %s", a.Outcome, tt.resume, a.Detail)
				}
			})
		})
	}
}
