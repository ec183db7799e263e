package httpapi_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/alert"
	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/link"
	"offrecord/web/store"
)

// callers are who calls each route: nobody, an agent whose things are asked for, another agent of the same platform, an agent
// of another platform, a supervisor and an admin, both without a platform.
var callers = []string{"", "bill@acme.example", "jo@acme.example", "vera@emea.example", "sue@acme.example", "ann@acme.example"}

// asking is a route as it is asked for in TestWhoMayCallWhat.
type asking struct {
	route string
	// statuses are what each of callers is answered with.
	statuses string
	// path is the address; the route's own if empty. {uuid} is a new one each time, {attempt}, {link} and {alert} are bill's.
	path, body  string
	contentType string
}

const (
	aForm   = "application/x-www-form-urlencoded"
	forAll  = "200 200 200 200 200 200"
	theirs  = "401 200 404 404 403 403" // a thing of bill's, for agents
	agents  = "401 200 200 200 403 403"
	heads   = "401 403 403 403 200 200" // supervisors and admins
	unkept  = "401 403 403 403 503 503" // theirs, too, where the server keeps a log, which it doesn't here
	nowhere = "404 404 404 404 404 404" // not configured here, for anyone
)

// everyRoute has a line for each line of the table.
var everyRoute = []asking{
	{route: "GET /{$}", path: "/", statuses: "303 200 200 200 303 303"}, // to the log-in, the panel, the supervisors' page
	{route: "GET /login", statuses: forAll},
	{route: "POST /login/demo", body: "email=bill%40acme.example", contentType: aForm, statuses: "303 303 303 303 303 303"},
	{route: "GET /login/oidc", statuses: "303 303 303 303 303 303"},
	{route: "GET /login/oidc/callback", statuses: "401 401 401 401 401 401"},                                 // without the provider's answer
	{route: "POST /login/oidc/backchannel", body: "logout_token=good", contentType: aForm, statuses: forAll}, // the token decides
	{route: "GET /login/popup", path: "/login/popup?challenge=" + strings.Repeat("A", 43), statuses: forAll},
	{route: "POST /login/popup", body: `{"challenge":"` + strings.Repeat("A", 43) + `"}`, statuses: forAll},
	{route: "GET /login/popup/confirm", statuses: "303 400 400 400 400 400"}, // without a window's errand
	{route: "POST /login/popup/confirm", body: "challenge=x", contentType: aForm, statuses: "401 400 400 400 400 400"},
	{route: "POST /logout", contentType: aForm, statuses: "303 303 303 303 303 303"},
	{route: "GET /panel", statuses: agents},
	{route: "GET /status", statuses: agents},
	{route: "POST /native/pause", contentType: aForm, statuses: "401 303 303 204 403 403"}, // by the platform's page, or by the server
	{route: "POST /native/resume", contentType: aForm, statuses: "401 303 303 204 403 403"},
	{route: "POST /native/attest", contentType: aForm, statuses: "401 303 303 303 403 403"},
	{route: "POST /native/extend", contentType: aForm, body: "pause={attempt}", statuses: "401 303 303 303 403 403"},
	{route: "GET /native/decline", statuses: agents},
	{route: "POST /native/decline", contentType: aForm, statuses: agents},

	{route: "GET /alerts", statuses: heads},
	{route: "POST /alerts", contentType: aForm, body: "id={alert}", statuses: "401 403 403 403 303 303"},
	{route: "GET /evidence", statuses: unkept},
	{route: "POST /evidence", contentType: aForm, statuses: unkept},
	{route: "GET /evidence/chats", statuses: unkept},
	{route: "GET /evidence/chats/{id}/delete", path: "/evidence/chats/x/delete", statuses: unkept},
	{route: "POST /evidence/chats/{id}/delete", path: "/evidence/chats/x/delete", contentType: aForm, body: "name=x", statuses: unkept},
	{route: "GET /evidence/{id}", path: "/evidence/x", statuses: unkept},
	{route: "GET /evidence/{id}/audio", path: "/evidence/x/audio", statuses: unkept},
	{route: "GET /evidence/{id}/delete", path: "/evidence/x/delete", statuses: unkept},
	{route: "POST /evidence/{id}/delete", path: "/evidence/x/delete", contentType: aForm, body: "name=x", statuses: unkept},
	{route: "GET /act", path: "/act?action=pause", statuses: agents},
	{route: "POST /act", contentType: aForm, body: "action=pause&id={uuid}", statuses: "401 303 303 200 403 403"},
	{route: "POST /act/link", contentType: aForm, body: "link=x&id={uuid}", statuses: "401 403 403 403 403 403"},
	{route: "GET /act/said", path: "/act/said?id={attempt}", statuses: theirs},

	{route: "GET /api/v1/me", statuses: "401 200 200 200 200 200"},
	{route: "POST /api/v1/login/demo", body: `{"email":"bill@acme.example"}`, statuses: forAll},
	{route: "POST /api/v1/login/embed", body: `{"token":"x"}`, statuses: forAll},
	{route: "POST /api/v1/login/popup", body: `{"verifier":"` + strings.Repeat("A", 43) + `"}`, statuses: "202 202 202 202 202 202"},
	{route: "POST /api/v1/logout", statuses: "204 204 204 204 204 204"},
	{route: "GET /api/v1/route", statuses: agents},
	{route: "GET /api/v1/state", statuses: agents},
	{route: "GET /api/v1/events", statuses: "401 200 200 200 200 200"},
	{route: "POST /api/v1/attempts", body: `{"id":"{uuid}","action":"pause","transport":"iframe"}`, statuses: "401 201 201 403 403 403"}, // vera's platform has no session route
	{route: "GET /api/v1/attempts", statuses: agents},
	{route: "GET /api/v1/attempts/{id}", path: "/api/v1/attempts/{attempt}", statuses: theirs},
	{route: "POST /api/v1/attempts/{id}/outcome", path: "/api/v1/attempts/{attempt}/outcome", body: `{"outcome":"sent","evidence":{"kind":"frame_load"}}`, statuses: theirs},
	{route: "POST /api/v1/actions", body: `{"id":"{uuid}","action":"resume","agent":"vera@emea.example","reason":"forgotten"}`, statuses: "401 403 403 200 200 200"},
	{route: "POST /api/v1/pauses/{id}/extend", path: "/api/v1/pauses/{attempt}/extend", body: "{}", statuses: "401 409 404 404 403 403"},
	{route: "POST /api/v1/calls", body: `{"call":"c","event":"started"}`, statuses: "401 200 200 200 403 403"},
	{route: "GET /api/v1/audit", statuses: heads},
	{route: "GET /api/v1/audit.csv", statuses: heads},
	{route: "GET /api/v1/alerts", statuses: heads},
	{route: "POST /api/v1/alerts/{id}/ack", path: "/api/v1/alerts/{alert}/ack", statuses: heads},
	{route: "GET /api/v1/evidence", statuses: unkept},
	{route: "GET /api/v1/evidence/runs", statuses: unkept},
	{route: "POST /api/v1/evidence/runs", body: "{}", statuses: unkept},
	{route: "GET /api/v1/evidence/report", statuses: unkept},
	{route: "GET /api/v1/links", statuses: agents},
	{route: "POST /api/v1/links", body: `{"purpose":"x"}`, statuses: "401 201 201 201 403 403"},
	{route: "DELETE /api/v1/links/{id}", path: "/api/v1/links/{link}", statuses: "401 204 404 404 204 204"},
	{route: "GET /api/v1/openapi.json", statuses: forAll},

	{route: "GET /setup", statuses: "401 200 200 200 200 200"},
	{route: "GET /setup/sample", statuses: heads},
	{route: "GET /helper", statuses: agents},
	{route: "POST /helper/next", path: "/helper/next?wait=1ms", statuses: "401 204 204 204 403 403"},
	{route: "POST /helper/take", body: `{"id":"{uuid}"}`, statuses: agents},
	{route: "GET /act/here", path: "/act/here?action=pause", statuses: "401 200 200 303 401 401"},
	{route: "GET /widget/helper", statuses: agents},
	{route: "POST /widget/helper", body: `{"id":"{uuid}","action":"pause","origin":"trigger:x"}`, statuses: "401 404 404 404 403 403"}, // nobody's helper is open
	{route: "GET /widget", statuses: forAll},
	{route: "GET /widget/session", statuses: forAll},
	{route: "POST /widget/session", body: "{}", statuses: "401 204 204 204 204 204"},
	{route: "POST /widget/logout", statuses: "204 204 204 204 204 204"},
	{route: "POST /widget/pass", body: `{"reason":"x"}`, statuses: "401 204 204 204 403 403"},
	{route: "GET /embed/{name}", path: "/embed/v1.js", statuses: forAll},

	{route: "GET /assets/{name}", path: "/assets/nothing", statuses: nowhere},
	{route: "GET /favicon.ico", statuses: "302 302 302 302 302 302"},
	{route: "GET /probe/", statuses: nowhere},
	{route: "GET /healthz", statuses: forAll},
	{route: "GET /readyz", statuses: forAll},
}

// TestWhoMayCallWhat calls every route of the table as everyone. A route that has no line here fails it.
func TestWhoMayCallWhat(t *testing.T) {
	var table, here []string
	for _, r := range httpapi.Table() {
		table = append(table, r.Method+" "+r.Path)
	}
	for _, a := range everyRoute {
		here = append(here, a.route)
	}
	for _, route := range table {
		if !slices.Contains(here, route) {
			t.Errorf("nothing here says who may call %s", route)
		}
	}
	for _, route := range here {
		if !slices.Contains(table, route) {
			t.Errorf("there is no %s any more", route)
		}
	}
	tried, refused := 0, 0
	for _, a := range everyRoute {
		t.Run(a.route, func(t *testing.T) {
			var got []string
			for _, caller := range callers {
				status := a.as(t, caller)
				got = append(got, fmt.Sprint(status))
				tried++
				if status == 401 || status == 403 {
					refused++
				}
			}
			if got := strings.Join(got, " "); got != a.statuses {
				t.Errorf("answered %s, not %s", got, a.statuses)
			}
		})
	}
	t.Logf("%d combinations of a route and a caller tried, %d of them refused", tried, refused)
}

// as asks a server, of which nothing was asked yet, as somebody.
func (a asking) as(t *testing.T, caller string) int {
	t.Helper()
	db, err := store.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	alerts, err := alert.Open(t.Context(), alert.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	defer alerts.Close()
	links, err := link.Open(t.Context(), db, 0)
	if err != nil {
		t.Fatal(err)
	}
	alerts.Raise(recording.Alert{Kind: recording.AlertFailed, Agent: "bill@acme.example", Platform: "acme", Attempt: id1, RaisedAt: time.Now()})
	h, _, crm, _ := withWays(t, func(o *httpapi.Options) { o.Alerts, o.Links = alerts, links })
	crm.Vouched = identity.Vouched{Email: "bill@acme.example", Platform: "acme"}
	bill := h.login("bill@acme.example")
	if w := h.do(ask{method: "POST", path: "/api/v1/attempts", bearer: bill, body: announcement(id1, "pause")}); w.Code != 201 {
		t.Fatal(w.Code, w.Body)
	}
	fill := strings.NewReplacer("{attempt}", id1, "{uuid}", dispatch.NewID(), "{link}", h.link(bill, "x").ID, "{alert}", standing(t, h)).Replace
	method, path, _ := strings.Cut(a.route, " ")
	if a.path != "" {
		path = a.path
	}
	ctx, cancel := context.WithCancel(t.Context())
	if path == "/api/v1/events" {
		cancel() // or it would go on
	}
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, fill(path), strings.NewReader(fill(a.body)))
	r.Header.Set("Accept", "application/json")
	switch {
	case a.contentType != "":
		r.Header.Set("Content-Type", a.contentType)
	case a.body != "":
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Dest", "iframe")
	if caller != "" {
		r.Header.Set("Authorization", "Bearer "+h.login(caller))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// standing is the id of the one alert that there is.
func standing(t *testing.T, h *house) string {
	t.Helper()
	page := list(t, h.do(ask{method: "GET", path: "/api/v1/alerts", bearer: h.login("sue@acme.example")}))
	if len(page.Items) != 1 {
		t.Fatalf("%d alerts", len(page.Items))
	}
	return page.Items[0].ID
}
