package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/identity"
)

// longestPause is how long a pause may be asked to last at most; longer than that is a slip of the pen.
const longestPause = 24 * time.Hour

// lasting reads for: how long a pause is to last, as a duration such as 90s, 2m or 1m30s. It is 0 if there is none.
func lasting(text string, action recording.Action) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, invalid("for must be a duration such as 90s, 2m or 1m30s.")
	case d < time.Second || d > longestPause:
		return 0, invalid("for must be from 1s to 24h.")
	case !action.Silences() || action == recording.DoNotRecord:
		return 0, invalid("for is the length of a pause: leave it out here.")
	}
	return d, nil
}

// knownAction refuses what is no action at all.
func knownAction(action recording.Action) error {
	if _, err := recording.ParseAction(string(action)); err != nil {
		return invalid("action must be pause, resume, start, stop, mask, unmask or do_not_record.")
	}
	return nil
}

// act is POST /api/v1/actions: one action by the server route. Whatever its outcome, the answer is the attempt; a problem
// means that nothing was sent.
func (a *API) act(w http.ResponseWriter, r *request) error {
	var body struct {
		ID            string           `json:"id"`
		Action        recording.Action `json:"action"`
		Reason        string           `json:"reason"`
		Call          string           `json:"call"`
		Media         string           `json:"media"`
		For           string           `json:"for"`
		Origin        recording.Origin `json:"origin"`
		Agent         string           `json:"agent"`
		WithoutRecord bool             `json:"without_record"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := knownAction(body.Action); err != nil {
		return err
	}
	if !body.Action.Silences() {
		if err := a.pay(w, r, ordinary); err != nil {
			return err
		}
	}
	length, err := lasting(body.For, body.Action)
	if err != nil {
		return err
	}
	order := dispatch.Order{ID: body.ID, Action: body.Action, Origin: body.Origin, Reason: body.Reason, Call: body.Call, Media: body.Media, For: length,
		WithoutRecord: body.WithoutRecord}
	who := r.principal
	if body.Agent != "" && identity.Fold(body.Agent) != identity.Fold(who.Email) {
		if who, err = a.supervised(r, body.Agent, order); err != nil {
			return err
		}
		order.By = r.principal.Email
	}
	if _, ok := a.Platforms[who.Platform]; !ok {
		return errNoPlatform
	}
	attempt, err := a.order(w, r, who, order)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, attempt)
}

// supervised is the agent on whose behalf a supervisor orders something, which may be a resume with a reason only.
func (a *API) supervised(r *request, email string, order dispatch.Order) (identity.Principal, error) {
	forbidden := func(detail string) error { return &problem{http.StatusForbidden, codeForbidden, detail} }
	if !r.principal.Role.Supervises() {
		return identity.Principal{}, forbidden("An agent acts for itself only. Leave agent out.")
	}
	if order.Action != recording.Resume || strings.TrimSpace(order.Reason) == "" {
		return identity.Principal{}, forbidden("A supervisor may resume for an agent, with a reason, and nothing else.")
	}
	who, ok := a.Directory.Find(email)
	if !ok || who.Platform == "" {
		return identity.Principal{}, forbidden("There is no such agent with a recording. Check the address.")
	}
	return who, nil
}

// order carries an action out by the server route, whether or not who asked for it stays.
func (a *API) order(w http.ResponseWriter, r *request, who identity.Principal, order dispatch.Order) (recording.Attempt, error) {
	// The server's deadline is for reading requests; it would end a long wait for the platform.
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // not every writer can
	attempt, _, err := a.Dispatcher.Act(context.WithoutCancel(r.Context()), agentOf(who), order)
	return attempt, err
}

// route is GET /api/v1/route: what the browser needs to act. It is the one place that hands the action token out.
func (a *API) route(w http.ResponseWriter, r *request) error {
	type session struct {
		URL       string              `json:"url"`
		Token     string              `json:"token"`
		Method    string              `json:"method"`
		Transport recording.Transport `json:"transport"`
		WarmURL   string              `json:"warm_url,omitempty"`
	}
	p := a.Platforms[r.principal.Platform]
	body := struct {
		Platform         string             `json:"platform"`
		Kind             string             `json:"kind"`
		Routes           []recording.Route  `json:"routes"`
		Session          *session           `json:"session,omitempty"`
		Combine          bool               `json:"combine"`
		Actions          []recording.Action `json:"actions"`
		PauseMeans       recording.Action   `json:"pause_means"`
		AttemptTimeoutMS int64              `json:"attempt_timeout_ms"`
	}{Platform: p.Name, Kind: p.Kind, Routes: p.Routes, Combine: p.Combine, Actions: append([]recording.Action{}, p.Ability.Actions()...),
		PauseMeans: recording.Pause, AttemptTimeoutMS: p.AttemptTimeout.Milliseconds()}
	if means, ok := p.Ability.Does[recording.Pause]; ok {
		body.PauseMeans = means
	}
	if p.Session != nil {
		s := p.Session.SessionRoute()
		body.Session = &session{s.URL, s.Token.Reveal(), s.Method, s.Transport, s.WarmURL}
	}
	return answer(w, http.StatusOK, body)
}
