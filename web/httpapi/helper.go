package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/identity"
	"offrecord/web/site"
)

// A helper is a window of ours that an agent keeps open, and that may open windows without a click. What a trigger in a CRM's
// frame can't do there is asked of it. Frame and window share nothing in the browser, so the server carries the wish over.

const (
	// helperPoll is how long a helper's question waits for an answer.
	helperPoll = 20 * time.Second
	// helperGap is the time between two questions of a helper that is open.
	helperGap = 2 * time.Second
	// maxHelpers is how many windows of one agent may wait for an answer.
	maxHelpers = 8
)

// wanted is what a trigger asks of the helper.
type wanted struct {
	ID     string           `json:"id"`
	Action recording.Action `json:"action"`
	Origin recording.Origin `json:"origin"`
	Reason string           `json:"reason"`
}

// helpers are the windows that are open, by agent. The zero value knows none.
type helpers struct {
	mu   sync.Mutex
	open map[string]*helper
}

type helper struct {
	asking int       // questions that wait
	left   time.Time // when the last one ended
	wishes chan wanted
}

func (h *helpers) of(email string) *helper {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[string]*helper{}
	}
	x := h.open[identity.Fold(email)]
	if x == nil {
		x = &helper{wishes: make(chan wanted)}
		h.open[identity.Fold(email)] = x
	}
	return x
}

// is reports whether the agent's helper is open.
func (h *helpers) is(email string) bool {
	x := h.of(email)
	h.mu.Lock()
	defer h.mu.Unlock()
	return x.asking > 0 || time.Since(x.left) < helperGap
}

// give hands a wish to the agent's helper. It reports whether the helper took it: one that was closed a moment ago doesn't ask
// again, and who is told that it acts would look for no other way.
func (h *helpers) give(ctx context.Context, email string, w wanted) bool {
	if !h.is(email) {
		return false
	}
	patience := time.NewTimer(helperGap)
	defer patience.Stop()
	select {
	case h.of(email).wishes <- w:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// helperPage is GET /helper.
func (a *API) helperPage(w http.ResponseWriter, r *request) error {
	p := a.Platforms[r.principal.Platform]
	return a.page(w, http.StatusOK, a.origin[p.Name], site.HelperPage{Agent: r.principal.Email, Platform: p.Name})
}

// helperNext is POST /helper/next?wait=: the helper's question what to do. It waits a while for something. It is no GET, because
// whoever is answered has taken the wish: nobody else is told of it.
func (a *API) helperNext(w http.ResponseWriter, r *request) error {
	x := a.helpers.of(r.principal.Email)
	a.helpers.mu.Lock()
	if x.asking >= maxHelpers {
		a.helpers.mu.Unlock()
		return limited(w, helperGap)
	}
	x.asking++
	a.helpers.mu.Unlock()
	defer func() {
		a.helpers.mu.Lock()
		x.asking, x.left = x.asking-1, time.Now()
		a.helpers.mu.Unlock()
	}()
	wait := helperPoll
	if asked, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
		wait = min(wait, asked)
	}
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case wish := <-x.wishes:
		return answer(w, http.StatusOK, wish)
	case <-patience.C:
	case <-a.done:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// helperOpen is GET /widget/helper.
func (a *API) helperOpen(w http.ResponseWriter, r *request) error {
	return answer(w, http.StatusOK, map[string]bool{"open": a.helpers.is(r.principal.Email)})
}

// helperAsk is POST /widget/helper: a trigger asks the agent's own helper.
func (a *API) helperAsk(w http.ResponseWriter, r *request) error {
	var x wanted
	if err := read(r, &x); err != nil {
		return err
	}
	if _, err := wished(map[string][]string{"action": {string(x.Action)}, "origin": {string(x.Origin)}, "reason": {x.Reason}, "id": {x.ID}}); err != nil || !dispatch.IsID(x.ID) {
		return invalid("id, action, origin or reason is wrong.")
	}
	if !a.helpers.give(r.Context(), r.principal.Email, x) {
		return &problem{http.StatusNotFound, codeInvalid, "No helper window is open. Open one at /setup."}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
