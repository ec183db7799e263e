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
//
// A wish that was written to a connection may have reached nobody, and may reach somebody later than anyone wants: a late
// resume would end a newer pause. So a helper acts only after it was told that the wish is still wanted, and who wishes is told
// that it is carried out only then.

const (
	// helperPoll is how long a helper's question waits for an answer.
	helperPoll = 20 * time.Second
	// helperGap is the time between two questions of a helper that is open, and how long a wish waits for one.
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
	asked  time.Time // when the newest one began
	left   time.Time // when the last one ended
	deaf   time.Time // when it was last given a wish that it left alone
	wishes chan wanted
	open   map[string]chan struct{} // wishes that nobody has taken yet, by id; closed by who takes one
}

func (h *helpers) of(email string) *helper {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[string]*helper{}
	}
	x := h.open[identity.Fold(email)]
	if x == nil {
		x = &helper{wishes: make(chan wanted), open: map[string]chan struct{}{}}
		h.open[identity.Fold(email)] = x
	}
	return x
}

// is reports whether the agent's helper is open.
func (h *helpers) is(email string) bool {
	x := h.of(email)
	h.mu.Lock()
	defer h.mu.Unlock()
	return (x.asking > 0 || time.Since(x.left) < helperGap) && x.asked.After(x.deaf)
}

// give hands a wish to the agent's helper, and reports whether the helper took it. Where it didn't, it never will: one that was
// closed a moment ago doesn't ask again, one without a network doesn't answer, and who is told that it acts would look for no
// other way.
func (h *helpers) give(ctx context.Context, email string, w wanted) bool {
	if !h.is(email) {
		return false
	}
	x, taken := h.of(email), make(chan struct{})
	h.mu.Lock()
	x.open[w.ID] = taken
	h.mu.Unlock()
	patience := time.NewTimer(helperGap)
	defer patience.Stop()
	wishes, given := x.wishes, time.Now()
	for {
		select {
		case wishes <- w:
			wishes, given = nil, time.Now() // it is on its way
			continue
		case <-taken:
			return true
		case <-patience.C:
		case <-ctx.Done():
		}
		if !h.take(email, w.ID) {
			return true // in this very moment
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		x.deaf = given
		return false
	}
}

// take is the helper's word that it acts now. It reports whether the wish is still wanted.
func (h *helpers) take(email, id string) bool {
	x := h.of(email)
	h.mu.Lock()
	defer h.mu.Unlock()
	taken, wanted := x.open[id]
	if wanted {
		delete(x.open, id)
		close(taken)
	}
	return wanted
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
	x.asking, x.asked = x.asking+1, time.Now()
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

// helperTake is POST /helper/take: a helper that has a wish asks whether to carry it out.
func (a *API) helperTake(w http.ResponseWriter, r *request) error {
	var body struct {
		ID string `json:"id"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]bool{"wanted": a.helpers.take(r.principal.Email, body.ID)})
}
