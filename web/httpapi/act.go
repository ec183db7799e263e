package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/web/cardnumber"
	"offrecord/web/dispatch"
	"offrecord/web/link"
	"offrecord/web/site"
)

// wish is what an address of /act asks for. The address alone does nothing: it leads to a button.
type wish struct {
	Action       recording.Action
	Reason, Call string
	// Origin is whose hold a pause is to be, where that isn't the agent's hand: trigger: and a name.
	Origin recording.Origin
	// ID is the attempt's, made by who opens the page to follow it; empty for one of ours.
	ID string
}

// wished reads a wish. What it doesn't know is left alone, since pages add their own to addresses.
func wished(from url.Values) (wish, error) {
	x := wish{Action: recording.Action(from.Get("action")), Reason: from.Get("reason"), Call: from.Get("call"), Origin: recording.Origin(from.Get("origin")), ID: from.Get("id")}
	switch {
	case x.Action != recording.Pause && x.Action != recording.Resume:
		return x, invalid("The address must say action=pause or action=resume.")
	case !plainText(x.Reason, 200), !plainText(x.Call, 128):
		return x, invalid("The address's reason and call must be short plain text, without card data.")
	case x.Origin != "" && !strings.HasPrefix(string(x.Origin), "trigger:"), !plainText(string(x.Origin), 80):
		return x, invalid("The address's origin must be trigger: and a name.")
	case x.ID != "" && !dispatch.IsID(x.ID):
		return x, invalid("The address's id must be a UUID in lower case.")
	}
	return x, nil
}

func plainText(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) && len(cardnumber.Find(s)) == 0
}

// address is the wish's own address, made from its parts.
func (x wish) address() string {
	query := url.Values{"action": {string(x.Action)}}
	for key, value := range map[string]string{"reason": x.Reason, "call": x.Call, "origin": string(x.Origin), "id": x.ID} {
		if value != "" {
			query.Set(key, value)
		}
	}
	return "/act?" + query.Encode()
}

// returnTo is where a log-in leads, of the few places that there are: whatever is asked for, no other site and no address
// that isn't ours is among them.
func returnTo(asked string) string {
	u, err := url.Parse(asked)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.User != nil || u.Host != "" {
		return "/"
	}
	switch u.Path {
	case "/setup", "/evidence", "/evidence/chats", "/alerts", confirmPath:
		return u.Path
	case "/act":
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			return "/"
		}
		if x, err := wished(query); err == nil {
			return x.address()
		}
	}
	return "/"
}

// actPage is GET /act. It changes nothing.
func (a *API) actPage(w http.ResponseWriter, r *request) error {
	x, err := wished(r.URL.Query())
	if err != nil {
		return err
	}
	return a.showAct(w, r, http.StatusOK, x, site.ActPage{})
}

// logInToAct is for who follows an address of /act and isn't logged in. It is no redirect: a browser would carry the
// address's fragment along, and a link's signature with it.
func (a *API) logInToAct(w http.ResponseWriter, r *request) error {
	x, err := wished(r.URL.Query())
	if err != nil {
		x = wish{}
	}
	page := site.ActPage{Title: "Log in first", Action: x.Action, LogIn: "/login"}
	if x.Action != "" {
		page.LogIn += "?" + url.Values{"return": {x.address()}}.Encode()
	}
	return a.page(w, http.StatusUnauthorized, "", page)
}

// showAct writes the page for a wish: before anything was done, or with what came of it.
func (a *API) showAct(w http.ResponseWriter, r *request, status int, x wish, page site.ActPage) error {
	v := a.view(r)
	p := a.Platforms[v.Platform]
	page.Action, page.Reason, page.Call, page.Origin, page.ID = x.Action, x.Reason, x.Call, x.Origin, x.ID
	page.Agent, page.Platform, page.Kind, page.Words = v.Agent, v.Platform, p.Kind, panel.Say(v)
	page.Title, page.Button = "Pause the recording?", "Pause recording"
	if x.Action == recording.Resume {
		page.Title, page.Button = "Resume the recording?", "Resume recording"
	}
	if page.WithoutRecord {
		page.Button = "Resume without record"
	}
	if page.Done {
		page.Title = strings.TrimSuffix(page.Title, "?")
		page.ID = "" // the next press is another attempt
	}
	if page.ID == "" {
		page.ID = dispatch.NewID()
	}
	page.Route, page.Target, page.How = recording.RouteServer, "_self", "The server asks "+brand(p.Kind)+"."
	if !p.byServer(x.Action) {
		page.Route, page.Transport, page.Popup = recording.RouteSession, p.Session.SessionRoute().Transport, v.NativePopup
		page.Target, page.How = "offrecord-native", "This browser asks "+brand(p.Kind)+", as the agent that is signed in to it here."
		if page.Popup {
			page.Target = "offrecord-" + string(x.Action)
		}
		if p.Combine {
			page.How += " The server asks, too."
		}
	}
	// Who opened the page may watch its window close, which is all that can be known of some pauses. The page has nothing
	// that a handle on it could reach.
	w.Header().Set("Cross-Origin-Opener-Policy", "unsafe-none")
	return a.page(w, status, a.origin[p.Name], page)
}

// brand is a kind of platform as agents know it.
func brand(kind string) string {
	switch kind {
	case "8x8":
		return "8x8"
	case "vonage":
		return "Vonage"
	case "cxone":
		return "CXone"
	}
	return "the platform"
}

// actForm is POST /act: the button of the page.
func (a *API) actForm(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	x, err := wished(r.PostForm)
	if err != nil {
		return err
	}
	return a.actOn(w, r, x, dispatch.Order{Origin: x.Origin})
}

// actLink is POST /act/link: a signed link that its page's script read from the address. The session says who asks, the link
// that this pause was prepared by the same agent.
func (a *API) actLink(w http.ResponseWriter, r *request) error {
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		return &problem{http.StatusForbidden, codeForbidden, "The browser was only guessing. Nothing was sent."}
	}
	if err := form(r); err != nil {
		return err
	}
	if a.Links == nil {
		return errBadLink
	}
	followed, err := a.Links.Redeem(r.principal.Email, r.PostForm.Get("link"))
	if err != nil {
		return errBadLink
	}
	r.PostForm.Set("action", string(followed.Action))
	r.PostForm.Set("reason", followed.Purpose)
	x, err := wished(r.PostForm)
	if err != nil {
		return err
	}
	if x.ID == "" {
		x.ID = dispatch.NewID()
	}
	order := dispatch.Order{Origin: recording.Link}
	if x.Origin != "" {
		order.Origin = x.Origin
	}
	if err := a.actOn(w, r, x, order); err != nil {
		return err
	}
	http.NewResponseController(w).Flush() // who asked waits for nothing of what follows; not every writer can
	a.followed(r, followed, x.ID)
	return nil
}

var errBadLink = &problem{http.StatusForbidden, codeForbidden, "This link isn't valid, or not any more. Nothing was sent: press the button, and make a new link."}

// actOn carries a wish out and answers: with the way to the platform, or with what is known.
func (a *API) actOn(w http.ResponseWriter, r *request, x wish, order dispatch.Order) error {
	order.ID, order.Action, order.Reason, order.Call = x.ID, x.Action, x.Reason, x.Call
	order.WithoutRecord = r.PostForm.Get("without_record") == "yes" && x.Action == recording.Resume
	served, attempt, err := a.carry(w, r, order, recording.Transport(r.PostForm.Get("transport")))
	html := !strings.Contains(r.Header.Get("Accept"), "application/json")
	if err != nil && html && x.Action == recording.Resume && asProblem(err).code == codeLogUnavailable {
		return a.showAct(w, r, http.StatusServiceUnavailable, x, site.ActPage{Notice: asProblem(err).detail, WithoutRecord: true})
	}
	switch {
	case err != nil || !served:
		return err
	case html:
		return a.showAct(w, r, http.StatusOK, x, site.ActPage{Done: true})
	}
	return answer(w, http.StatusOK, a.sayOf(r, attempt))
}

// said is what the page's script shows: the panel's own words, and whether more is to come of the attempt.
type said struct {
	ID       string            `json:"id"`
	State    recording.State   `json:"state"`
	Outcome  recording.Outcome `json:"outcome"`
	Settled  bool              `json:"settled"`
	Headline string            `json:"headline"`
	Card     string            `json:"card"`
	Line     string            `json:"line"`
	Alarm    bool              `json:"alarm"`
	Steps    []string          `json:"steps"`
	Advice   []string          `json:"advice"`
}

func (a *API) sayOf(r *request, attempt recording.Attempt) said {
	say := panel.Say(a.view(r))
	return said{ID: attempt.ID, State: say.State, Outcome: say.Outcome, Settled: attempt.Settled(), Headline: say.Headline, Card: say.Card, Line: say.Line, Alarm: say.Alarm,
		Steps: append([]string{}, say.Steps...), Advice: append([]string{}, say.Advice...)}
}

// actSaid is GET /act/said?id=: what is known now, after one of the agent's own attempts.
func (a *API) actSaid(w http.ResponseWriter, r *request) error {
	attempt, err := a.Dispatcher.Attempt(r.agent(), r.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, a.sayOf(r, attempt))
}

// followed writes down that a link was used, for which attempt, after the attempt itself.
func (a *API) followed(r *request, x link.Link, attempt string) {
	a.noteLink(r, x, attempt, "used")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), linkTime)
	defer cancel()
	if err := a.Links.Used(ctx, x.ID); err != nil {
		a.Log.Warn("a link's use wasn't counted", "request_id", r.id, "error", err)
	}
}

// linkTime bounds a change of the links.
const linkTime = 5 * time.Second
