package recording

import (
	"errors"
	"slices"
	"time"
)

// keep is how many attempts a timeline keeps apart; older ones are folded into its base.
const keep = 64

// Errors of a timeline.
var (
	ErrNoSuchAttempt = errors.New("no such attempt")
	ErrSettled       = errors.New("the attempt is settled already")
)

// Timeline derives what may be said of one agent's recording, and what holds it paused, from the attempts in the order in
// which they were asked for.
//
// Neither is ever stored: both are folded anew from the attempts, so a late answer to an old attempt, or one that was kept
// in a browser and announced late, takes its place below the newer ones and can't overwrite them. The zero value knows
// nothing: its state is StateUnknown.
//
// A Timeline isn't safe for concurrent use.
type Timeline struct {
	base      standing  // what the attempts that are no longer kept left behind
	callSince time.Time // attempts before it belong to a call that is over
	attempts  []Attempt // by RequestedAt, then by arrival
	call      string
	folded    *standing // what stands after all of them; nil once something changed
}

// standing is what the fold derives.
type standing struct {
	state  State
	since  time.Time
	holds  Holds
	window Window
	moved  bool // the call changed under a hold, and nothing since says how that one stands
}

// Window is an open pause: it lasts from the first live hold until there is none. Further holds don't begin another.
type Window struct {
	Pause string // the attempt that opened it; empty if none is open
	// Contradicted says that a resume was asked for since and left it open: it failed.
	Contradicted bool
	// Declined says that the customer's refusal is among what holds it.
	Declined bool
	// Moved says that the CRM named another call since, or a transfer.
	Moved bool
}

// after is the window that an attempt leaves open, with the holds that are left.
func (w Window) after(a Attempt, holds Holds) Window {
	switch {
	case len(holds) == 0:
		return Window{}
	case w.Pause == "":
		w.Pause = a.ID
	}
	w.Contradicted = w.Contradicted || !a.Action.Silences() && !a.Unsent()
	w.Declined = w.Declined || a.Declines() && !a.Outcome.KeepsState()
	return w
}

// Add puts an attempt in its place by the time it was asked for. It reports whether the action is to be carried out: a
// resume isn't while another hold is live, and it is then settled as Superseded.
func (t *Timeline) Add(a Attempt) (Attempt, bool) {
	if a.Call == "" {
		a.Call = t.call
	}
	at := len(t.attempts)
	for at > 0 && t.attempts[at-1].RequestedAt.After(a.RequestedAt) {
		at--
	}
	t.attempts, t.folded = slices.Insert(t.attempts, at, a), nil
	carry := true
	if left := t.fold(at + 1).holds; !a.Settled() && !a.Action.Silences() && len(left) > 0 {
		carry = false
		decided := a.RequestedAt
		t.attempts[at].Outcome, t.attempts[at].DecidedAt = Superseded, &decided
		t.attempts[at].Detail = "Still paused: another hold is live. Resume by hand to clear them all."
		t.folded = nil
	}
	t.attempts[at].State, _ = t.State()
	a = t.attempts[at]
	t.trim()
	return a, carry
}

// Decide records what is known of an attempt. A final outcome carries the time it was decided in at; while the platform is
// still being asked, final is false and a later Decide may follow. The agent's own word (Attested) may follow any outcome
// that isn't Confirmed; nothing else changes a settled attempt.
func (t *Timeline) Decide(id string, outcome Outcome, evidence *Evidence, detail string, at time.Time, final bool) (Attempt, error) {
	i := t.find(id)
	if i < 0 {
		return Attempt{}, ErrNoSuchAttempt
	}
	a := &t.attempts[i]
	if a.Settled() && (outcome != Attested || a.Outcome == Confirmed) {
		return *a, ErrSettled
	}
	a.Outcome, a.Detail, t.folded = outcome, detail, nil
	if evidence != nil {
		a.Evidence = evidence
	}
	if final {
		a.DecidedAt = &at
	}
	a.State, _ = t.State()
	return *a, nil
}

// Amend lets change add to what is known of an attempt besides its outcome, such as what the platform called it.
func (t *Timeline) Amend(id string, change func(*Attempt)) {
	if i := t.find(id); i >= 0 {
		change(&t.attempts[i])
		t.folded = nil
	}
}

// SetCall says which call the agent is on. The end of a call (an empty id) leaves nothing to hold: the state is Idle.
// A new call or a transfer keeps the holds, because card data may still be spoken, but nothing is known of the recording any
// more, unless it is the same contact, transferred, and the customer declined: that holds for the whole contact.
func (t *Timeline) SetCall(call string, transferred bool, at time.Time) {
	if call == t.call && call != "" && !transferred {
		return
	}
	declined := false
	if state, _ := t.State(); transferred && state == Declined {
		declined = true
	}
	t.call = call
	for i := range t.attempts { // they belong to the call that is over
		if !t.attempts[i].Settled() {
			t.attempts[i].Outcome, t.attempts[i].DecidedAt = Unknown, &at
			t.attempts[i].Detail = "The call changed before anything was heard."
		}
	}
	now := t.fold(len(t.attempts))
	t.base, t.callSince, t.folded = standing{state: StateUnknown, since: at}, at, nil
	switch {
	case call == "":
		t.base.state = Idle
		return
	case declined:
		t.base.state = Declined
	}
	if len(now.holds) > 0 {
		now.window.Moved = true
		t.base.holds, t.base.window, t.base.moved = now.holds, now.window, true
	}
}

// ForgetCall leaves all as it is, but for the call's id, which isn't known any more.
func (t *Timeline) ForgetCall() { t.call = "" }

// Window is the open pause; its zero value if there is none.
func (t *Timeline) Window() Window { return t.now().window }

// CallMoved reports whether the call changed while it was paused, and nothing since says how the new one stands: no confirmed
// effect and no new pause. That call may be recording.
func (t *Timeline) CallMoved() bool { return t.now().moved }

// Call is the call the agent is on, as far as the CRM said.
func (t *Timeline) Call() string { return t.call }

// Holds are the live holds, oldest first.
func (t *Timeline) Holds() Holds { return slices.Clone(t.now().holds) }

// Attempt returns the attempt with this id.
func (t *Timeline) Attempt(id string) (Attempt, bool) {
	if i := t.find(id); i >= 0 {
		return t.attempts[i], true
	}
	return Attempt{}, false
}

// Attempts are the kept attempts, newest first.
func (t *Timeline) Attempts() []Attempt {
	out := slices.Clone(t.attempts)
	slices.Reverse(out)
	return out
}

// Newest is the attempt asked for last.
func (t *Timeline) Newest() (Attempt, bool) {
	if len(t.attempts) == 0 {
		return Attempt{}, false
	}
	return t.attempts[len(t.attempts)-1], true
}

// IsNewest reports whether no newer intention exists than the attempt with this id. A resume that wasn't carried out, because
// another hold was live, is none, and the agent's own word isn't either.
func (t *Timeline) IsNewest(id string) bool {
	for i := len(t.attempts) - 1; i >= 0; i-- {
		switch a := t.attempts[i]; {
		case a.ID == id:
			return true
		case !a.Unsent():
			return false
		}
	}
	return false
}

// Precedes reports whether the attempt with the id a was asked for before b.
func (t *Timeline) Precedes(a, b string) bool {
	i, j := t.find(a), t.find(b)
	return i >= 0 && i < j
}

// State is what may be said now, and since when.
func (t *Timeline) State() (State, time.Time) {
	return t.now().state, t.now().since
}

// StateBefore is what could be said before the attempt with this id, leaving it and all newer ones aside.
func (t *Timeline) StateBefore(id string) State {
	if i := t.find(id); i >= 0 {
		return t.fold(i).state
	}
	state, _ := t.State()
	return state
}

// now is what stands after all attempts.
func (t *Timeline) now() *standing {
	if t.folded == nil {
		now := t.fold(len(t.attempts))
		t.folded = &now
	}
	return t.folded
}

// fold derives what stands after the first n attempts.
func (t *Timeline) fold(n int) standing {
	now := t.base
	now.holds = slices.Clone(now.holds)
	if now.state == "" {
		now.state = StateUnknown
	}
	for _, a := range t.attempts[:n] {
		if a.RequestedAt.Before(t.callSince) {
			continue
		}
		before := now.state
		if now.state = after(before, a); now.state != before || now.since.IsZero() && !a.Outcome.KeepsState() {
			now.since = a.RequestedAt
			if a.DecidedAt != nil {
				now.since = *a.DecidedAt
			}
		}
		switch {
		case a.Outcome.KeepsState() && a.Outcome != Superseded, now.state == Idle && a.Action.Silences(), a.Origin == Timer && a.Unsent():
			// It changed nothing: a pause that failed holds nothing, a resume that failed releases nothing. Nor does the end of a
			// pause's time, if it was called off; a person who resumes means to release, be it too late.
		case a.Action == DoNotRecord && a.SentAs == "":
			now.holds = nil // nothing can be resumed any more, so there is nothing to hold
		case !a.Action.Silences():
			now.holds = now.holds.release(a.Origin)
		default:
			now.holds = now.holds.add(Hold{Origin: a.Origin, Since: a.RequestedAt, Reason: a.Reason})
		}
		now.window = now.window.after(a, now.holds)
		now.moved = now.moved && a.Outcome != Confirmed && (!a.Action.Silences() || a.Outcome.KeepsState())
	}
	return now
}

// after is the state that an attempt leaves behind.
func after(before State, a Attempt) State {
	switch {
	case a.Outcome == Superseded && !a.Unsent():
		return StateUnknown // it was sent before a newer intention came
	case a.Outcome.KeepsState():
		return before
	case a.Outcome == Pending, a.Outcome == Accepted && !a.Settled():
		return a.Action.Transitional()
	case a.Outcome == Confirmed:
		return a.Effect()
	case a.Outcome == NoCall:
		if a.Action.Silences() && before != Idle && (before.OffTape() || before == Pausing) {
			return StateUnknown // "nothing to be modified" may mean "already paused"
		}
		return Idle
	default: // accepted and no more to come, sent, unknown, attested
		return StateUnknown
	}
}

func (t *Timeline) find(id string) int {
	return slices.IndexFunc(t.attempts, func(a Attempt) bool { return a.ID == id })
}

// trim folds the oldest settled attempts into the base, so that a long day costs no more than a short one.
func (t *Timeline) trim() {
	for len(t.attempts) > keep && t.attempts[0].Settled() {
		t.base = t.fold(1)
		t.attempts = t.attempts[1:]
	}
}
