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
	mu      sync.Mutex
	outcome recording.Outcome
	before  recording.State
}

func (p *stopping) says(o recording.Outcome, before recording.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcome, p.before = o, before
}

func (p *stopping) Ability() platform.Ability {
	a := p.tape.Ability()
	a.ResumeNeeds = recording.Recording
	return a
}

func (p *stopping) Act(_ context.Context, r platform.Request) platform.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := r.Before
	if before == "" && r.Action == recording.Pause {
		before = p.before
	}
	return platform.Result{Outcome: p.outcome, HTTPStatus: 200, Before: before}
}

func TestWhatWasRecordedBeforeOurOwnStop(t *testing.T) {
	const confirmed, noCall = recording.Confirmed, recording.NoCall
	type press struct {
		outcome recording.Outcome
		before  recording.State // as the platform shows it then
	}
	tests := map[string]struct {
		pauses []press
		call   dispatch.CallEvent // after the pauses; empty for none
		again  *press             // and a pause after that
		resume recording.Outcome
	}{
		"it was recorded":               {pauses: []press{{confirmed, recording.Recording}}, resume: confirmed},
		"it wasn't":                     {pauses: []press{{confirmed, recording.Stopped}}, resume: recording.Failed},
		"it isn't known":                {pauses: []press{{confirmed, recording.StateUnknown}}, resume: recording.Failed},
		"a second pause finds a stop":   {pauses: []press{{confirmed, recording.Recording}, {confirmed, recording.Stopped}}, resume: confirmed},
		"there was no call at first":    {pauses: []press{{noCall, recording.Idle}, {confirmed, recording.Recording}}, resume: confirmed},
		"it couldn't be read at first":  {pauses: []press{{recording.Failed, recording.StateUnknown}, {confirmed, recording.Recording}}, resume: confirmed},
		"another call that isn't":       {pauses: []press{{confirmed, recording.Recording}}, call: dispatch.CallStarted, again: &press{confirmed, recording.Stopped}, resume: recording.Failed},
		"the same call, transferred":    {pauses: []press{{confirmed, recording.Recording}}, call: dispatch.CallTransferred, again: &press{confirmed, recording.Stopped}, resume: confirmed},
		"no call, then one that is not": {pauses: []press{{confirmed, recording.Recording}, {noCall, recording.Idle}, {confirmed, recording.Stopped}}, resume: recording.Failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &stopping{}
				d := dispatch.New(upstream(p))
				defer d.Close()
				act := func(action recording.Action, of press) recording.Attempt {
					p.says(of.outcome, of.before)
					a, _, err := d.Act(t.Context(), vera, dispatch.Order{ID: dispatch.NewID(), Action: action})
					if err != nil {
						t.Fatal(err)
					}
					return a
				}
				for _, of := range tt.pauses {
					act(recording.Pause, of)
				}
				if tt.call != "" {
					if err := d.SetCall(t.Context(), vera, "call-2", tt.call); err != nil {
						t.Fatal(err)
					}
				}
				if tt.again != nil {
					act(recording.Pause, *tt.again)
				}
				if a := act(recording.Resume, press{outcome: confirmed}); a.Outcome != tt.resume {
					t.Errorf("the resume: %s, want %s: %s", a.Outcome, tt.resume, a.Detail)
				}
			})
		})
	}
}
