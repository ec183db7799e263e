package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"offrecord/app/recording"
	"offrecord/web/alert"
	"offrecord/web/identity"
	"offrecord/web/site"
)

// Alerts are the faults that need a person, as the handlers need them.
type Alerts interface {
	// Unacknowledged are those that wait for a person, oldest first: of an agent, or all if agent is empty.
	Unacknowledged(agent string) []recording.Alert
	List(context.Context, alert.Filter) (alert.Page, error)
	Ack(ctx context.Context, id, by string) (recording.Alert, error)
	// Watch delivers every alert as it stands after each change, until stop is called or the reader falls behind.
	Watch() (alerts <-chan *recording.Alert, stop func())
	// Trouble is what keeps others than this server's pages from being told.
	Trouble() alert.Trouble
}

// noAlerts is a server without any.
type noAlerts struct{}

func (noAlerts) Unacknowledged(string) []recording.Alert { return nil }
func (noAlerts) List(context.Context, alert.Filter) (alert.Page, error) {
	return alert.Page{Items: []recording.Alert{}}, nil
}
func (noAlerts) Ack(context.Context, string, string) (recording.Alert, error) {
	return recording.Alert{}, alert.ErrNotFound
}
func (noAlerts) Watch() (<-chan *recording.Alert, func()) { return nil, func() {} }
func (noAlerts) Trouble() alert.Trouble                   { return alert.Trouble{} }

// concerns reports whether someone is to hear of an alert: a supervisor of all, an agent of those about its own recording.
func concerns(p identity.Principal, a recording.Alert) bool {
	return p.Role.Supervises() || a.Agent != "" && a.Agent == p.Email
}

// alerts is GET /api/v1/alerts, newest first.
func (a *API) alerts(w http.ResponseWriter, r *request) error {
	f := alert.Filter{}
	for key, values := range r.URL.Query() {
		var err error
		switch value := values[0]; key {
		case "open":
			if f.Open, err = strconv.ParseBool(value); err != nil {
				return invalid("open must be true or false.")
			}
		case "limit":
			if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 || f.Limit > 1000 {
				return invalid("limit must be a number from 1 to 1000.")
			}
		case "cursor":
			f.Cursor = value
		default:
			return invalid("The address takes open, limit and cursor only.")
		}
	}
	page, err := a.listAlerts(r, f)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, page)
}

func (a *API) listAlerts(r *request, f alert.Filter) (alert.Page, error) {
	page, err := a.Alerts.List(r.Context(), f)
	if errors.Is(err, alert.ErrCursor) {
		return page, invalid("cursor isn't one that an earlier answer gave as next. Ask again without it.")
	}
	if err != nil {
		a.Log.Error("the alerts can't be read", "request_id", r.id, "error", err)
		return page, &problem{http.StatusServiceUnavailable, codeLogUnavailable, "The alerts can't be read now; those that are open can, with open=true. Tell who runs this server."}
	}
	return page, nil
}

// acknowledge is POST /api/v1/alerts/{id}/ack. It is no mistake to acknowledge what needs nobody any more.
func (a *API) acknowledge(w http.ResponseWriter, r *request) error {
	acked, err := a.ack(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, acked)
}

func (a *API) ack(r *request, id string) (recording.Alert, error) {
	acked, err := a.Alerts.Ack(r.Context(), id, r.principal.Email)
	if errors.Is(err, alert.ErrNotFound) {
		return acked, &problem{http.StatusNotFound, codeInvalid, "There is no such alert."}
	}
	return acked, err
}

// alertsForm is POST /alerts, the page's buttons.
func (a *API) alertsForm(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	if _, err := a.ack(r, r.PostForm.Get("id")); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/alerts", http.StatusSeeOther)
	return nil
}

// pastAlerts is how many of those that need nobody any more a page shows.
const pastAlerts = 25

// alertsPage is GET /alerts: those that are open, the oldest first, and what became of earlier ones.
func (a *API) alertsPage(w http.ResponseWriter, r *request) error {
	page, now := site.AlertsPage{Nav: a.nav(r, "/alerts"), Who: r.principal.Email}, time.Now().UTC()
	for _, x := range a.Alerts.Unacknowledged("") {
		page.Open = append(page.Open, alertItem(x, now))
	}
	list, err := a.listAlerts(r, alert.Filter{Limit: pastAlerts, Cursor: r.URL.Query().Get("cursor")})
	if p := asProblem(err); err != nil && p.status == http.StatusBadRequest {
		return err
	} else if err != nil {
		page.Notice = "Earlier alerts can't be read now. Those that are open are all here."
	}
	for _, x := range list.Items {
		if !x.Open() {
			page.Past = append(page.Past, alertItem(x, now))
		}
	}
	if list.Next != "" {
		page.Older = "/alerts?" + url.Values{"cursor": {list.Next}}.Encode()
	}
	switch trouble := a.Alerts.Trouble(); {
	case trouble.Gone:
		page.Webhook = "The webhook's receiver says that it is gone. Nobody is told by it until the server is started again: correct the configuration, then do that."
	case trouble.Why != "":
		page.Webhook = fmt.Sprintf("Since %s nobody is told by the webhook: %s. It is tried again.", moment(trouble.Since), trouble.Why)
	}
	return a.page(w, http.StatusOK, "", page)
}

func alertItem(x recording.Alert, now time.Time) site.AlertItem {
	i := site.AlertItem{Alert: x, Title: alert.Title(x.Kind), Whose: alert.Whose(x), Since: moment(x.RaisedAt), Told: "told once"}
	if x.Kind == recording.AlertLeak && x.Attempt != "" {
		i.Evidence = "/evidence/" + x.Attempt
	}
	if x.Repeated > 0 {
		i.Told = fmt.Sprintf("told %d times", x.Repeated+1)
	}
	switch {
	case x.AckedAt != nil && x.SettledAt != nil:
		i.Ended = fmt.Sprintf("Acknowledged by %s, %s; over by %s", x.AckedBy, moment(*x.AckedAt), moment(*x.SettledAt))
	case x.AckedAt != nil:
		i.Ended = fmt.Sprintf("Acknowledged by %s, %s", x.AckedBy, moment(*x.AckedAt))
	case x.SettledAt != nil:
		i.Ended = "Over by itself, " + moment(*x.SettledAt)
	default:
		i.Age = span(now.Sub(x.RaisedAt))
	}
	return i
}

// moment is a time for a person.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

// span is a length of time for a person.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// nav is the way between the pages that someone may open, of which one is at; none where there is no other.
func (a *API) nav(r *request, at string) site.Nav {
	var nav site.Nav
	for _, page := range []struct{ path, name string }{{"/", "Panel"}, {"/alerts", "Alerts"}, {"/evidence", "Evidence"}, {"/setup", "Setup"}} {
		who, served := a.pageFor[page.path]
		if page.path == "/" {
			who, served = agents, true // others have no panel there
		}
		if served && a.may(r.principal, who) == nil {
			nav = append(nav, site.NavLink{Path: page.path, Name: page.name, Here: page.path == at})
		}
	}
	if len(nav) < 2 {
		return nil
	}
	return nav
}
