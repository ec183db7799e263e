package httpapi_test

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
)

var (
	pauseAndResume = map[recording.Action]recording.Action{
		recording.Pause: recording.Pause, recording.Resume: recording.Resume, recording.DoNotRecord: recording.Pause}
	all = map[recording.Action]recording.Action{
		recording.Pause: recording.Mask, recording.Resume: recording.Unmask, recording.Start: recording.Start, recording.DoNotRecord: recording.DoNotRecord}
)

// account is a server route whose next outcome a test chooses.
type account struct {
	does    map[recording.Action]recording.Action
	mu      sync.Mutex
	outcome recording.Outcome // Confirmed if empty
	asked   []platform.Request
}

func (a *account) Ability() platform.Ability {
	return platform.Ability{Does: a.does, Finds: platform.ByAgent, Verifies: platform.ByAnswer}
}

func (a *account) Act(_ context.Context, r platform.Request) platform.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r)
	if a.outcome == "" {
		return platform.Result{Outcome: recording.Confirmed, HTTPStatus: 200, Detail: "The platform says so."}
	}
	return platform.Result{Outcome: a.outcome, HTTPStatus: 400, Detail: "It didn't work."}
}

func (a *account) Read(context.Context, platform.Target) platform.Reading {
	return platform.Reading{State: recording.StateUnknown}
}

func (a *account) Check(context.Context) []platform.Finding { return nil }

func (a *account) answers(o recording.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.outcome = o
}

// sent are the actions that reached the platform, and for whom.
func (a *account) sent() (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.asked {
		out = append(out, string(r.Action)+" "+r.AgentID)
	}
	return out
}

func TestTheActionsAPI(t *testing.T) {
	h := build(t, nil, nil)
	bill, vera, nico := h.login("bill@acme.example"), h.login("vera@emea.example"), h.login("nico@cx.example")
	sue, ann := h.login("sue@acme.example"), h.login("ann@acme.example")
	n := 0
	id := func() string {
		n++
		return "00000000-0000-4000-8000-" + strings.Repeat("0", 10) + string(rune('0'+n/10)) + string(rune('0'+n%10))
	}
	body := func(rest string) string { return `{"id":"` + id() + `",` + rest + `}` }
	kept := body(`"action":"pause","reason":"card"`)
	steps := []struct {
		name, as, body string
		platform       recording.Outcome
		status         int
		code           string
		has            string
	}{
		{"a pause", vera, kept, "", 200, "", `"outcome":"confirmed"`},
		{"again", vera, kept, "", 200, "", `"outcome":"confirmed"`},
		{"another body", vera, strings.Replace(kept, "card", "hand", 1), "", 409, "id_reused", ""},
		{"a resume that failed is an answer", vera, body(`"action":"resume"`), recording.Failed, 200, "", `"outcome":"failed"`},
		{"as is one that was refused", vera, body(`"action":"pause"`), recording.Denied, 200, "", `"outcome":"denied"`},
		{"with everything", vera, body(`"action":"pause","reason":"x","call":"c1","for":"1m30s","origin":"trigger:card"`), "", 200, "", `"call":"c1"`},
		{"a start with its medium", nico, body(`"action":"start","media":"voiceAndScreen"`), "", 200, "", `"outcome":"confirmed"`},
		{"the customer declined", nico, body(`"action":"do_not_record"`), "", 200, "", `"state":"declined"`},
		{"what the platform can't", vera, body(`"action":"mask"`), "", 422, "unsupported_action", ""},
		{"without a server route", bill, body(`"action":"pause"`), "", 422, "unsupported_action", ""},
		{"what is no action", vera, body(`"action":"toggle"`), "", 400, "invalid", ""},
		{"no id", vera, `{"action":"pause"}`, "", 400, "invalid", ""},
		{"a card number", vera, body(`"action":"pause","reason":"4111 1111 1111 1111"`), "", 400, "invalid", ""},
		{"an unknown medium", nico, body(`"action":"start","media":"video"`), "", 400, "invalid", ""},
		{"a length that is none", vera, body(`"action":"pause","for":"90"`), "", 400, "invalid", "duration"},
		{"a negative length", vera, body(`"action":"pause","for":"-90s"`), "", 400, "invalid", "from 1s"},
		{"a length of days", vera, body(`"action":"pause","for":"72h"`), "", 400, "invalid", "from 1s"},
		{"the length of a resume", vera, body(`"action":"resume","for":"90s"`), "", 400, "invalid", "leave it out"},
		{"an unknown key", vera, body(`"action":"pause","transport":"iframe"`), "", 400, "invalid", ""},
		{"a supervisor's resume", sue, body(`"action":"resume","agent":"VERA@emea.example","reason":"forgotten"`), "", 200, "", `"by":"sue@acme.example"`},
		{"an admin's", ann, body(`"action":"resume","agent":"vera@emea.example","reason":"forgotten"`), "", 200, "", `"agent":"vera@emea.example"`},
		{"a supervisor's without a reason", sue, body(`"action":"resume","agent":"vera@emea.example","reason":" "`), "", 403, "forbidden", ""},
		{"a supervisor's pause", sue, body(`"action":"pause","agent":"vera@emea.example","reason":"x"`), "", 403, "forbidden", ""},
		{"a supervisor's of nobody", sue, body(`"action":"resume","agent":"eve@evil.example","reason":"x"`), "", 403, "forbidden", ""},
		{"a supervisor's of someone without a platform", sue, body(`"action":"resume","agent":"ann@acme.example","reason":"x"`), "", 403, "forbidden", ""},
		{"a supervisor's own, without a platform", sue, body(`"action":"pause"`), "", 403, "forbidden", ""},
		{"a colleague's resume", nico, body(`"action":"resume","agent":"vera@emea.example","reason":"x"`), "", 403, "forbidden", ""},
		{"one's own address", vera, body(`"action":"resume","agent":"vera@emea.example"`), "", 200, "", `"outcome":"confirmed"`},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			h.t = t
			for _, a := range h.accounts {
				a.answers(s.platform)
			}
			before := len(h.accounts["emea"].sent()) + len(h.accounts["cx"].sent())
			w := h.do(ask{method: "POST", path: "/api/v1/actions", body: s.body, bearer: s.as, header: map[string]string{"Origin": "https://crm.example", "Sec-Fetch-Site": "cross-site"}})
			if w.Code != s.status || !strings.Contains(w.Body.String(), s.has) {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			sent := len(h.accounts["emea"].sent()) + len(h.accounts["cx"].sent()) - before
			switch {
			case s.code != "":
				if p := h.problem(w); p.Code != s.code || sent != 0 {
					t.Errorf("code %s, sent %d: %s", p.Code, sent, p.Detail)
				}
			case s.name == "again":
				if sent != 0 {
					t.Error("it was sent twice")
				}
			case sent != 1:
				t.Errorf("sent %d", sent)
			}
		})
	}
	if got := h.accounts["cx"].sent(); !slices.Equal(got, []string{"start 4711", "do_not_record 4711"}) {
		t.Errorf("cx was sent %q", got)
	}
	if w := h.do(ask{method: "POST", path: "/api/v1/actions", body: body(`"action":"pause"`), cookie: &http.Cookie{Name: "offrecord", Value: vera},
		header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); w.Code != 403 {
		t.Errorf("another site's, with the cookie: %d", w.Code)
	}
}

func TestAnOrderThatCannotBeWrittenDown(t *testing.T) {
	h := build(t, nil, brokenLog{})
	vera := h.login("vera@emea.example")
	resume := `{"id":"` + id1 + `","action":"resume"`
	w := h.do(ask{method: "POST", path: "/api/v1/actions", body: resume + "}", bearer: vera})
	if p := h.problem(w); w.Code != 503 || p.Code != "log_unavailable" || len(h.accounts["emea"].sent()) != 0 {
		t.Errorf("the resume: %d %s", w.Code, p.Code)
	}
	w = h.do(ask{method: "POST", path: "/api/v1/actions", body: resume + `,"without_record":true}`, bearer: vera})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "couldn't be written") {
		t.Errorf("without record: %d %s", w.Code, w.Body)
	}
	w = h.do(ask{method: "POST", path: "/api/v1/actions", body: `{"id":"` + id2 + `","action":"pause"}`, bearer: vera})
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"confirmed"`) {
		t.Errorf("the pause: %d %s", w.Code, w.Body)
	}
}

func TestTheRoute(t *testing.T) {
	h := build(t, nil, nil)
	tests := []struct {
		agent      string
		routes     []string
		session    bool
		combine    bool
		actions    []string
		pauseMeans string
	}{
		{"bill@acme.example", []string{"session"}, true, false, []string{}, "pause"},
		{"bea@both.example", []string{"session", "server"}, true, true, []string{"do_not_record", "pause", "resume"}, "pause"},
		{"vera@emea.example", []string{"server"}, false, false, []string{"do_not_record", "pause", "resume"}, "pause"},
		{"nico@cx.example", []string{"server"}, false, false, []string{"do_not_record", "pause", "resume", "start"}, "mask"},
	}
	for _, tt := range tests {
		t.Run(tt.agent, func(t *testing.T) {
			h.t = t
			w := h.do(ask{method: "GET", path: "/api/v1/route", bearer: h.login(tt.agent)})
			var got struct {
				Routes     []string
				Session    *struct{ URL, Token, Method, Transport string }
				Combine    bool
				Actions    []string
				PauseMeans string `json:"pause_means"`
				Timeout    int    `json:"attempt_timeout_ms"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %s", w.Code, err, w.Body)
			}
			if !slices.Equal(got.Routes, tt.routes) || (got.Session != nil) != tt.session || got.Combine != tt.combine || got.Actions == nil ||
				!slices.Equal(got.Actions, tt.actions) || got.PauseMeans != tt.pauseMeans || got.Timeout != 15000 {
				t.Errorf("%s", w.Body)
			}
			if tt.session && (got.Session.Token != canary || got.Session.Transport != "auto" || got.Session.Method != "GET") {
				t.Errorf("the session: %+v", got.Session)
			}
		})
	}
}

func TestNativeFormsOfTheServerRoute(t *testing.T) {
	h := build(t, nil, nil)
	post := func(as, path, body, dest string) *httptest.ResponseRecorder {
		t.Helper()
		return h.do(ask{method: "POST", path: path, body: body, contentType: "application/x-www-form-urlencoded", cookie: h.cookie(as),
			header: map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": dest, "Accept": "text/html"}})
	}
	newest := func(as, on string) recording.Attempt {
		return h.dispatcher.Attempts(dispatch.Agent{Email: as, Platform: on}, 1)[0]
	}
	const vera, nico, bea, bill = "vera@emea.example", "nico@cx.example", "bea@both.example", "bill@acme.example"

	if w := post(vera, "/native/pause", "id="+id1+"&transport=iframe", "iframe"); w.Code != 204 || w.Header().Get("Location") != "" {
		t.Errorf("in the frame: %d %s", w.Code, w.Body)
	}
	post(vera, "/native/pause", "id="+id1+"&transport=iframe", "iframe") // the second click
	if got := h.accounts["emea"].sent(); len(got) != 1 || newest(vera, "emea").Outcome != recording.Confirmed {
		t.Errorf("sent %q, %+v", got, newest(vera, "emea"))
	}
	if w := post(vera, "/native/resume", "", "document"); w.Code != 200 || !strings.Contains(w.Body.String(), "<h1>Recording") {
		t.Errorf("in a window: %d %s", w.Code, w.Body)
	}
	if w := post(vera, "/native/pause", "id=x", "iframe"); w.Code != 400 {
		t.Errorf("nonsense: %d", w.Code)
	}

	// Both routes as one: the browser fires the pause, the resume goes by the server.
	if w := post(bea, "/native/pause", "id="+id2, "iframe"); w.Code != 303 || !strings.Contains(w.Header().Get("Location"), "action=pause") {
		t.Errorf("the combined pause: %d", w.Code)
	}
	if w := post(bea, "/native/resume", "", "iframe"); w.Code != 204 || newest(bea, "both").Route != recording.RouteServer {
		t.Errorf("the combined resume: %d", w.Code)
	}

	// Declined: asked once more, then done.
	for _, w := range []*httptest.ResponseRecorder{
		post(nico, "/native/decline", "", "document"),
		h.do(ask{method: "GET", path: "/native/decline", cookie: h.cookie(nico)}),
	} {
		page := html.UnescapeString(w.Body.String())
		if w.Code != 200 || strings.Count(page, "<button") != 1 || !strings.Contains(page, "can't be undone") || !strings.Contains(page, "is kept") ||
			!strings.Contains(page, `action="/native/decline" target="_self"`) || !strings.Contains(page, ">Customer declined recording</button>") {
			t.Errorf("the question: %d %s", w.Code, page)
		}
	}
	if got := h.accounts["cx"].sent(); len(got) != 0 {
		t.Errorf("asking sent %q", got)
	}
	for range 2 { // a double click
		if w := post(nico, "/native/decline", "confirmed=yes&id="+id1, "document"); w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Errorf("the answer: %d %s", w.Code, w.Body)
		}
	}
	if got := h.accounts["cx"].sent(); len(got) != 1 || newest(nico, "cx").State != recording.Declined {
		t.Errorf("sent %q, %+v", got, newest(nico, "cx"))
	}
	if page := post(vera, "/native/decline", "", "document").Body.String(); !strings.Contains(page, "nothing stronger than a pause") {
		t.Errorf("where it is a pause: %s", page)
	}
	// Where only the browser reaches the platform, it is the browser's pause.
	if page := post(bill, "/native/decline", "confirmed=yes", "document").Body.String(); !strings.Contains(page, `action="/native/pause" target="offrecord-pause"`) {
		t.Errorf("by the session: %s", page)
	}
	if w := post(bill, "/native/pause", "reason=customer+declined", "document"); w.Code != 303 || newest(bill, "acme").Reason != "customer declined" {
		t.Errorf("by the session: %d", w.Code)
	}
}

func TestTheIcon(t *testing.T) {
	h := build(t, nil, nil)
	w := h.do(ask{method: "GET", path: "/favicon.ico"})
	if w.Code != 302 || !strings.HasPrefix(w.Header().Get("Location"), "/assets/icon.") {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	if w = h.do(ask{method: "GET", path: w.Header().Get("Location")}); w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	if w = h.do(ask{method: "GET", path: "/healthz"}); !strings.Contains(w.Header().Get("Content-Security-Policy"), "img-src 'self'") {
		t.Error("an answer's icon is refused by its policy, which the console tells")
	}
}
