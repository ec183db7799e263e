package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/identity"
	"offrecord/web/link"
)

// addressed is a link with its address, as only its own agent gets it.
type addressed struct {
	link.Link
	URL string `json:"url"`
}

// addressed adds the address: the fragment, which carries the signature, is sent to no server.
func (a *API) addressed(r *request, x link.Link) addressed {
	at := wish{Action: recording.Pause, Reason: x.Purpose}
	return addressed{x, a.home(r) + at.address() + "#" + a.Links.Fragment(x)}
}

// home is the origin that a browser finds this server at.
func (a *API) home(r *request) string {
	if a.PublicURL != "" {
		return a.PublicURL
	}
	return a.here(r)
}

// here is the origin that it was found at this time.
func (a *API) here(r *request) string {
	scheme := "http"
	if a.Secure {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host}).String()
}

// links is GET /api/v1/links: the agent's own.
func (a *API) links(w http.ResponseWriter, r *request) error {
	items := []addressed{}
	if a.Links != nil {
		for _, x := range a.Links.Of(r.principal.Email) {
			items = append(items, a.addressed(r, x))
		}
	}
	return answer(w, http.StatusOK, struct {
		Items []addressed `json:"items"`
	}{items})
}

var errNoLinks = &problem{http.StatusServiceUnavailable, codeInternal, "Links can't be kept now. Try again; if it stays, tell who runs this server."}

// makeLink is POST /api/v1/links.
func (a *API) makeLink(w http.ResponseWriter, r *request) error {
	var body struct {
		Action  recording.Action `json:"action"`
		Purpose string           `json:"purpose"`
		Expires string           `json:"expires_in"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Action != "" && body.Action != recording.Pause {
		return &problem{http.StatusUnprocessableEntity, codeUnsupportedAction, "A link without a further press is for pause only: what resumes always asks."}
	}
	var lifetime time.Duration
	if body.Expires != "" {
		var err error
		if lifetime, err = time.ParseDuration(body.Expires); err != nil || lifetime < time.Minute {
			return invalid("expires_in must be a duration such as 720h, and at least 1m.")
		}
	}
	if a.Links == nil {
		return errNoLinks
	}
	ctx, cancel := context.WithTimeout(r.Context(), linkTime)
	defer cancel()
	x, err := a.Links.Make(ctx, r.principal.Email, body.Purpose, lifetime)
	var wrong link.PurposeError
	switch {
	case errors.As(err, &wrong):
		return invalid(wrong.Error())
	case errors.Is(err, link.ErrTooMany):
		return &problem{http.StatusConflict, codeInvalid, "You have as many links as one may have. Revoke one first."}
	case err != nil:
		a.Log.Error("a link couldn't be made", "request_id", r.id, "error", err)
		return errNoLinks
	}
	a.noteLink(r, x, "", "made")
	w.Header().Set("Location", "/api/v1/links/"+x.ID)
	return answer(w, http.StatusCreated, a.addressed(r, x))
}

// revokeLink is DELETE /api/v1/links/{id}: one's own, and a supervisor anyone's. It ends the link at once.
func (a *API) revokeLink(w http.ResponseWriter, r *request) error {
	missing := &problem{http.StatusNotFound, codeInvalid, "There is no such link of yours, or not any more."}
	if a.Links == nil {
		return missing
	}
	x, err := a.Links.Get(r.PathValue("id"))
	if err != nil || identity.Fold(x.Agent) != identity.Fold(r.principal.Email) && !r.principal.Role.Supervises() {
		return missing
	}
	ctx, cancel := context.WithTimeout(r.Context(), linkTime)
	defer cancel()
	if err := a.Links.Revoke(ctx, x.ID); err != nil {
		a.Log.Error("a link couldn't be revoked for good", "request_id", r.id, "error", err)
		return &problem{http.StatusServiceUnavailable, codeInternal, "The link doesn't work any more, but that couldn't be stored: revoke it again after a restart."}
	}
	a.noteLink(r, x, "", "revoked")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// noteLink writes down what became of a link, by its id and never with its signature.
func (a *API) noteLink(r *request, x link.Link, attempt, what string) {
	record := audit.Record{Kind: audit.LinkChanged, Agent: audit.NewID(x.Agent), Action: x.Action, Reason: audit.NewText(x.Purpose), Detail: audit.NewText(what + " " + x.ID)}
	if identity.Fold(x.Agent) != identity.Fold(r.principal.Email) {
		record.By = audit.NewID(r.principal.Email)
	}
	if id, err := uuid.Parse(attempt); err == nil {
		record.Attempt, record.Origin = id, recording.Link
	}
	a.note(r, record)
}
