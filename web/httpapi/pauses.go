package httpapi

import (
	"errors"
	"net/http"

	"offrecord/web/dispatch"
)

// extend is POST /api/v1/pauses/{id}/extend: the agent keeps paused. The id is the one that the state names as the open pause's.
func (a *API) extend(w http.ResponseWriter, r *request) error {
	now, err := a.Dispatcher.Extend(r.Context(), r.agent(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, now)
}

// nativeExtend is POST /native/extend, the panel's button: it is the open pause that is kept, and if it isn't open any more the
// panel shows that.
func (a *API) nativeExtend(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	pause := a.Dispatcher.Snapshot(r.agent()).Pause
	var refused dispatch.RefusedError
	if _, err := a.Dispatcher.Extend(r.Context(), r.agent(), pause); err != nil && !errors.Is(err, dispatch.ErrNoPause) && !errors.As(err, &refused) {
		return err
	}
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}
