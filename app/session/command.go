package session

import (
	"slices"

	"offrecord/app/panel"
	"offrecord/app/recording"
)

// Refusal is why a command was not taken up.
type Refusal string

// The refusals.
const (
	// NeedsWindow: the platform's cookie goes only with a window, which the page that heard the event has to open itself.
	NeedsWindow Refusal = "window"
	// NothingHeld: the origin holds nothing that it could give back.
	NothingHeld Refusal = "nothing"
)

// Command is a press by another origin than the agent's hand: a trigger of the page that the panel is embedded in. What it
// asks for reaches the platform as a press does, but by the server where a window would be needed. It returns the attempt's
// id, which is an older one's where the same origin asked for the same and that is still under way.
func (c *Controller) Command(action recording.Action, origin recording.Origin, reason string) (id string, refused Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.show()
	if len(c.attempts) > 0 {
		if a := c.attempts[0]; a.Action == action && a.Origin == origin && !a.Settled() {
			c.retry() // of what the server hasn't heard
			return a.ID, ""
		}
	}
	held := func(h recording.Hold) bool { return h.Origin == origin }
	if !action.Silences() && !slices.ContainsFunc(c.overlay().Holds, held) {
		return "", NothingHeld
	}
	route, window := c.unattended(action)
	if window {
		return "", NeedsWindow
	}
	c.noRecord, c.notice, c.detour = false, "", ""
	s := c.begin(route, asked{action: action, origin: origin, reason: reason}, false)
	c.warmed.used()
	return s.attempt.ID, ""
}

// unattended is the route of an action that nobody presses a button of ours for, and whether it needs a window all the same.
func (c *Controller) unattended(action recording.Action) (route recording.Route, window bool) {
	route = c.way(action)
	if route == recording.RouteSession && c.transport() == recording.TransportPopup {
		if c.route.serves(action) {
			return recording.RouteServer, false
		}
		return route, true
	}
	return route, false
}

// Told is what the page around the panel is told: no more than the panel shows.
type Told struct {
	State recording.State `json:"state"`
	// Outcome is the newest attempt's, while it says something of the present: a page may open its card fields for it.
	Outcome recording.Outcome `json:"outcome"`
	Action  recording.Action  `json:"action"` // the newest attempt's
	// At is the server's time, in milliseconds since 1970.
	At int64 `json:"at"`
	// Live says that it is the server's present word.
	Live  bool `json:"live"`
	Ready bool `json:"ready"`
	// Because says why it isn't ready.
	Because []string `json:"because"`
	// Holds are the origins that hold the pause.
	Holds []recording.Origin `json:"holds"`
	// Window says which of pause and resume need a window.
	Window []recording.Action `json:"window"`
	// Attempts are the newest ones, by id: what became of each, and whether that is final.
	Attempts []ToldAttempt `json:"attempts"`
}

// ToldAttempt is an attempt of Told.
type ToldAttempt struct {
	ID      string            `json:"id"`
	Outcome recording.Outcome `json:"outcome"`
	State   recording.State   `json:"state"`
	Detail  string            `json:"detail"`
	Settled bool              `json:"settled"`
}

// toldAttempts is how many attempts are told of.
const toldAttempts = 5

// Tell calls told with each change, at once with what is so now, until stop is called.
func (c *Controller) Tell(told func(Told)) (stop func()) {
	return c.Watch(func(v panel.View) {
		say := panel.Say(v)
		t := Told{State: say.State, At: v.Now.UnixMilli(), Live: v.Link == panel.Live, Ready: v.Readiness.Ready, Because: v.Readiness.Because}
		for _, h := range v.Snapshot.Holds {
			t.Holds = append(t.Holds, h.Origin)
		}
		for _, action := range []recording.Action{recording.Pause, recording.Resume} {
			if _, window := c.unattended(action); window {
				t.Window = append(t.Window, action)
			}
		}
		for _, a := range v.Attempts[:min(toldAttempts, len(v.Attempts))] {
			t.Attempts = append(t.Attempts, ToldAttempt{a.ID, a.Outcome, a.State, a.Detail, a.Settled()})
		}
		if a := v.Snapshot.Attempt; a != nil {
			if t.Action = a.Action; say.Current {
				t.Outcome = a.Outcome
			}
		}
		told(t)
	})
}
