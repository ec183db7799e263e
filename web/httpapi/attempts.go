package httpapi

import (
	"net/http"
	"strconv"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
)

// session is the agent's session route.
func (a *API) session(r *request) (Platform, error) {
	p := a.Platforms[r.principal.Platform]
	if p.Session == nil {
		return p, &problem{http.StatusForbidden, codeForbidden, "Your platform can't be reached from the browser: it has no session route."}
	}
	return p, nil
}

// announce is POST /api/v1/attempts.
func (a *API) announce(w http.ResponseWriter, r *request) error {
	if _, err := a.session(r); err != nil {
		return err
	}
	var body struct {
		ID            string              `json:"id"`
		Action        recording.Action    `json:"action"`
		Transport     recording.Transport `json:"transport"`
		Reason        string              `json:"reason"`
		Call          string              `json:"call"`
		For           string              `json:"for"`
		Origin        recording.Origin    `json:"origin"`
		RequestedAt   string              `json:"requested_at"`
		WithoutRecord bool                `json:"without_record"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := supported(body.Action); err != nil {
		return err
	}
	length, err := lasting(body.For, body.Action)
	if err != nil {
		return err
	}
	attempt, fresh, err := a.Dispatcher.Announce(r.Context(), r.agent(), dispatch.Request{ID: body.ID, Action: body.Action, Transport: body.Transport,
		Origin: body.Origin, Reason: body.Reason, Call: body.Call, For: length, RequestedAt: body.RequestedAt, WithoutRecord: body.WithoutRecord})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if fresh {
		w.Header().Set("Location", "/api/v1/attempts/"+attempt.ID)
		status = http.StatusCreated
	}
	return answer(w, status, attempt)
}

// supported refuses an action that exists and that the session route doesn't have.
func supported(action recording.Action) error {
	if err := knownAction(action); err != nil {
		return err
	}
	if action != recording.Pause && action != recording.Resume {
		return &problem{http.StatusUnprocessableEntity, codeUnsupportedAction, "Your platform can't do this from the browser: it can pause and resume."}
	}
	return nil
}

// outcome is POST /api/v1/attempts/{id}/outcome.
func (a *API) outcome(w http.ResponseWriter, r *request) error {
	var body struct {
		Outcome  recording.Outcome   `json:"outcome"`
		Evidence *recording.Evidence `json:"evidence"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	attempt, err := a.Dispatcher.Report(r.Context(), r.agent(), r.PathValue("id"), dispatch.Report{Outcome: body.Outcome, Evidence: body.Evidence})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, attempt)
}

func (a *API) attempt(w http.ResponseWriter, r *request) error {
	attempt, err := a.Dispatcher.Attempt(r.agent(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, attempt)
}

// attempts is GET /api/v1/attempts?limit=, newest first.
func (a *API) attempts(w http.ResponseWriter, r *request) error {
	limit := 50
	if given := r.URL.Query().Get("limit"); given != "" {
		var err error
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > 500 {
			return invalid("limit must be a number from 1 to 500.")
		}
	}
	return answer(w, http.StatusOK, struct {
		Items []recording.Attempt `json:"items"`
	}{append([]recording.Attempt{}, a.Dispatcher.Attempts(r.agent(), limit)...)})
}

func (a *API) state(w http.ResponseWriter, r *request) error {
	return answer(w, http.StatusOK, a.Dispatcher.Snapshot(r.agent()))
}

// call is POST /api/v1/calls.
func (a *API) call(w http.ResponseWriter, r *request) error {
	var body struct {
		Call  string             `json:"call"`
		Event dispatch.CallEvent `json:"event"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := a.Dispatcher.SetCall(r.Context(), r.agent(), body.Call, body.Event); err != nil {
		return err
	}
	return answer(w, http.StatusOK, a.Dispatcher.Snapshot(r.agent()))
}
