package platform

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"offrecord/app/recording"
)

// Server is the server route of one account: what a platform's own API lets the backend do for an agent.
//
// An implementation sends each request once. It doesn't repeat what may have acted, doesn't sleep, poll or wait for
// another agent's request, and keeps no memory of agents: the order of intentions, retries, breakers and the polling that
// turns accepted into confirmed are the dispatcher's. The context's deadline is the deadline of one try.
type Server interface {
	// Ability says what this account can do. It never changes.
	Ability() Ability
	// Act carries out one action. It always answers with an outcome that is true at that moment.
	Act(context.Context, Request) Result
	// Read asks what the platform says of the recording now. Where Ability.Reads is false it says so and sends nothing.
	Read(context.Context, Target) Reading
	// Check tries each credential without touching any recording.
	Check(context.Context) []Finding
}

// Ability is what an account can do, and how.
type Ability struct {
	// Does maps each action the account takes to what it is sent as: CXone's pause is a mask (or a stop), and the customer's
	// refusal is a plain pause where a platform has nothing stronger. An action that isn't in it can't be carried out.
	Does map[recording.Action]recording.Action
	// Finds is how the target of an action is found.
	Finds Finder
	// Verifies is how it becomes known that an action had its effect.
	Verifies Verification
	// Reads reports whether Read can tell the recording's status.
	Reads bool
	// CallKnown reports whether results and readings name the call, so that a resume can be shown to be of the same one.
	CallKnown bool
	// ResumeNeeds is what Request.Before has to say for a resume to be sent; empty if nothing. On an account that pauses by
	// stopping, a resume is a start, which would override the account's recording policies: so only what was recording
	// before our own stop is started again.
	ResumeNeeds recording.State
}

// Can reports whether the account takes the action.
func (a Ability) Can(action recording.Action) bool { _, ok := a.Does[action]; return ok }

// Actions are those the account takes, sorted by name.
func (a Ability) Actions() []recording.Action { return slices.Sorted(maps.Keys(a.Does)) }

// Effect is the state that a reading shows once the action has had its effect.
func (a Ability) Effect(action recording.Action) recording.State { return a.Does[action].Effect() }

// Shows reports whether a state that was read proves the action's effect, which it does only if no older action can still
// be under way: a platform that carries out requests later may show what was asked for now because of what was before. What
// the customer declined is off the record for good, so it proves every silencing action.
func (a Ability) Shows(action recording.Action, read recording.State) bool {
	if !a.Can(action) {
		return false
	}
	return read == a.Effect(action) || action.Silences() && read == recording.Declined
}

// Finder is how the target of an action is found.
type Finder string

// The ways.
const (
	ByAgent Finder = "agent" // the platform acts on what the agent is on: it is given the agent
	ByCall  Finder = "call"  // the platform acts on a call: the agent's current one is looked up, unless the CRM named it
)

// Verification is how it becomes known that an action had its effect.
type Verification string

// The ways.
const (
	ByAnswer   Verification = "answer"    // the answer to the action names the effect, or nothing ever does
	ByReading  Verification = "read_back" // Read until Ability.Shows
	Unverified Verification = "none"      // the platform doesn't say
)

// Target is whom an action is for.
type Target struct {
	// Agent is the agent's email address.
	Agent string
	// AgentID is the platform's own id of the agent; may be empty where the platform finds agents by email.
	AgentID string
	// Call is the platform's id of the call, as the CRM or an earlier result named it; empty if not known.
	Call string
}

// Request is one action to carry out.
type Request struct {
	Target
	Action recording.Action
	// Media is what a start records, where a platform lets one choose (CXone: voice or voiceAndScreen); empty: as configured.
	Media string
	// Before is the state before our own stop: an earlier Result's, kept by the caller while a pause lasts. It matters only
	// where Ability.ResumeNeeds is set. For a pause it may be given if it is known already; empty: the platform is asked.
	Before recording.State
}

// Retry says whether the same request may be sent again. The zero value is Never.
type Retry int

// The advice.
const (
	Never     Retry = iota // another try would end the same way
	DidNotAct              // it certainly did not act: sending it again is the first time
	Harmless               // it may have acted, and acting again changes nothing, if no newer intention came in between
)

func (r Retry) String() string {
	return [...]string{"never", "did not act", "harmless"}[r]
}

// Result is what is known after one try.
type Result struct {
	// Outcome is never recording.Pending. Accepted may become confirmed by Read, where Ability.Verifies says so.
	Outcome recording.Outcome
	// Detail is one sentence for a person: what happened and, if it isn't good, what to do next.
	Detail string
	// Said is what the platform said, in words that we know, or its HTTP status; never text of an unread body.
	Said string
	// HTTPStatus is the status of the answer that decided the outcome; 0 if there was none.
	HTTPStatus int
	// Call is the call that was acted on, where the platform names it.
	Call string
	// Before is what was recorded just before our own stop; set by a pause where Ability.ResumeNeeds is set.
	Before recording.State
	// Retry says whether to try again; RetryAfter is the least time to wait first, as the platform asked; 0 if it didn't.
	Retry      Retry
	RetryAfter time.Duration
	// Err is the cause, for the log. It holds no secret and nothing that the platform wrote.
	Err error
}

// Evidence is what supports the outcome, seen after the given time.
func (r Result) Evidence(after time.Duration) recording.Evidence {
	e := recording.Evidence{Kind: recording.Silence, AfterMS: int(after.Milliseconds()), HTTPStatus: r.HTTPStatus}
	switch {
	case r.Outcome == recording.Confirmed:
		e.Kind = recording.Reported
	case r.HTTPStatus != 0:
		e.Kind = recording.Status
	}
	return e
}

// Reading is what the platform says of a recording.
type Reading struct {
	// State is recording, paused, stopped, declined, idle (no call), or unknown where it couldn't be read or isn't clear.
	State recording.State
	// Call is the call it was read of, where the platform names it.
	Call string
	// Said is what the platform said, in words that we know.
	Said string
	// Detail says in one sentence why the state is unknown, or what else is to be known; empty if all is clear.
	Detail string
	// Retry is Never if another reading would end the same way, else DidNotAct: reading never acts.
	Retry      Retry
	RetryAfter time.Duration
	// Err is why it couldn't be read, for the log. It holds no secret and nothing that the platform wrote.
	Err error
}

// Verdict is what a check found of a credential.
type Verdict string

// The verdicts.
const (
	Good         Verdict = "good"
	Bad          Verdict = "bad"
	NotCheckable Verdict = "not checkable"
)

// Finding is the result of checking one credential.
type Finding struct {
	// Credential is its name in the configuration, for example action_token.
	Credential string
	Verdict    Verdict
	// Detail is one sentence: what was seen, and what to do if it isn't good.
	Detail string
}

// StatusText is an HTTP status in words, for Result.Said.
func StatusText(code int) string {
	return strings.TrimSpace("HTTP " + strconv.Itoa(code) + " " + http.StatusText(code))
}
