package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/platform/eightbyeight"
	"offrecord/web/secret"
	"offrecord/web/site"
)

// canary is the platform's token: it may be in two answers only.
const canary = "canary-3f1d0c55-token"

// house is an API with everything behind it that a test looks at.
type house struct {
	*httpapi.API
	t          testing.TB
	dispatcher *dispatch.Dispatcher
	accounts   map[string]*account // the platforms' server routes
	limit      dispatch.Limit      // of a pause
	log        *logs
}

type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// brokenLog is a journal that can't write.
type brokenLog struct{ dispatch.Nowhere }

func (brokenLog) Begin(context.Context, recording.Attempt) error { return errors.New("disk full") }

func build(t testing.TB, change func(*httpapi.Options), journal dispatch.Journal) *house {
	t.Helper()
	assets, err := site.New()
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("https://vcc.platform.example")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, log: new(logs)}
	logger := slog.New(slog.NewJSONHandler(h.log, nil))
	servers := map[string]*account{"emea": {does: pauseAndResume}, "both": {does: pauseAndResume}, "cx": {does: all}}
	h.accounts = servers
	h.dispatcher = dispatch.New(dispatch.Options{Journal: journal, Log: logger, Upstream: func(name string) (dispatch.Upstream, bool) {
		server, ok := servers[name]
		return dispatch.Upstream{Server: server, Try: time.Second, Attempt: 3 * time.Second, Combine: name == "both"}, ok
	}, Limit: func(string) dispatch.Limit { return h.limit }})
	session := eightbyeight.Session{Base: base, ActionToken: secret.New(canary)}
	everyone := identity.NewDirectory([]identity.Principal{
		{Email: "bill@acme.example", Role: identity.Agent, Platform: "acme", AgentID: "bill"},
		{Email: "jo@acme.example", Role: identity.Agent, Platform: "acme"},
		{Email: "vera@emea.example", Role: identity.Agent, Platform: "emea"},
		{Email: "nico@cx.example", Role: identity.Agent, Platform: "cx", AgentID: "4711"},
		{Email: "bea@both.example", Role: identity.Agent, Platform: "both", AgentID: "bea"},
		{Email: "ann@acme.example", Role: identity.Admin},
		{Email: "sue@acme.example", Role: identity.Supervisor},
	})
	options := httpapi.Options{
		Log:       logger,
		Version:   "test",
		Directory: everyone,
		Sessions:  identity.NewSessions(everyone),
		Platforms: map[string]httpapi.Platform{
			"acme": {Name: "acme", Kind: "8x8", Routes: []recording.Route{recording.RouteSession}, Session: session, AttemptTimeout: 15 * time.Second},
			"both": {Name: "both", Kind: "8x8", Routes: []recording.Route{recording.RouteSession, recording.RouteServer}, Session: session,
				Ability: servers["both"].Ability(), Combine: true, AttemptTimeout: 15 * time.Second},
			"emea": {Name: "emea", Kind: "vonage", Routes: []recording.Route{recording.RouteServer}, Ability: servers["emea"].Ability(), AttemptTimeout: 15 * time.Second},
			"cx":   {Name: "cx", Kind: "cxone", Routes: []recording.Route{recording.RouteServer}, Ability: servers["cx"].Ability(), AttemptTimeout: 15 * time.Second},
		},
		Dispatcher: h.dispatcher,
		Site:       assets,
		Panel:      panel.HTML,
		Logins:     map[identity.Way]identity.Authenticator{identity.ByDemo: identity.Demo{}},
	}
	if change != nil {
		change(&options)
	}
	if h.API, err = httpapi.New(options); err != nil {
		t.Fatal(err)
	}
	return h
}

// ask is one request.
type ask struct {
	method, path, body string
	contentType        string // application/json if there is a body and it's empty
	bearer             string
	cookie             *http.Cookie
	header             map[string]string
}

func (h *house) do(a ask) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(a.method, a.path, strings.NewReader(a.body))
	if a.contentType == "" && a.body != "" {
		a.contentType = "application/json"
	}
	if a.contentType != "" {
		r.Header.Set("Content-Type", a.contentType)
	}
	if a.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+a.bearer)
	}
	if a.cookie != nil {
		r.AddCookie(a.cookie)
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// login returns a bearer.
func (h *house) login(email string) string {
	h.t.Helper()
	w := h.do(ask{method: "POST", path: "/api/v1/login/demo", body: `{"email":"` + email + `"}`})
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &session); err != nil || session.AccessToken == "" {
		h.t.Fatalf("log-in: %d %s", w.Code, w.Body)
	}
	return session.AccessToken
}

func (h *house) cookie(email string) *http.Cookie {
	h.t.Helper()
	return &http.Cookie{Name: "offrecord", Value: h.login(email)}
}

type document struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

// problem reads a problem document and checks what holds for each.
func (h *house) problem(w *httptest.ResponseRecorder) document {
	h.t.Helper()
	var p document
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		h.t.Fatalf("no problem document but %d %s %q", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if p.Status != w.Code || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") || p.Type == "" || p.Title == "" || !strings.HasSuffix(p.Detail, ".") {
		h.t.Errorf("problem %+v", p)
	}
	return p
}

const (
	id1 = "11111111-1111-4111-8111-111111111111"
	id2 = "22222222-2222-4222-8222-222222222222"
	id3 = "33333333-3333-4333-8333-333333333333"
)

func announcement(id, action string) string {
	return fmt.Sprintf(`{"id":%q,"action":%q,"transport":"iframe"}`, id, action)
}

func TestEveryAnswerHasTheHeadersAndOnlyTheMethodsOfTheTable(t *testing.T) {
	h := build(t, nil, nil)
	methods := map[string][]string{}
	for _, r := range httpapi.Table() {
		methods[r.Path] = append(methods[r.Path], r.Method)
	}
	for path, have := range methods {
		path = strings.NewReplacer("{$}", "", "{method}", "demo", "{id}", id1, "{name}", "nothing.css").Replace(path)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"} {
			w := h.do(ask{method: method, path: path, header: map[string]string{"Accept": "application/json"}})
			opener := "same-origin-allow-popups"
			if strings.HasPrefix(path, "/login/popup") {
				opener = "unsafe-none" // or the frame that opened the window would lose it
			}
			for header, want := range map[string]string{
				"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": opener,
				"Cross-Origin-Resource-Policy": "same-origin",
			} {
				elsewhere := path == "/widget" || strings.HasPrefix(path, "/embed/") // made for other sites' pages
				if got := w.Header().Get(header); got != want && !(elsewhere && header == "Cross-Origin-Resource-Policy" && got == "cross-origin") {
					t.Errorf("%s %s: %s is %q", method, path, header, got)
				}
			}
			for _, header := range []string{"Content-Security-Policy", "Permissions-Policy", "X-Request-Id", "Cache-Control"} {
				if w.Header().Get(header) == "" {
					t.Errorf("%s %s: no %s", method, path, header)
				}
			}
			served := false
			for _, m := range have {
				served = served || m == method
			}
			if served {
				if w.Code == http.StatusMethodNotAllowed {
					t.Errorf("%s %s isn't served", method, path)
				}
				continue
			}
			if w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), have[0]) {
				t.Errorf("%s %s: %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
				continue
			}
			h.problem(w)
		}
	}
	if w := h.do(ask{method: "GET", path: "/nowhere"}); w.Code != 404 {
		t.Errorf("nowhere: %d", w.Code)
	}
}

func TestWithoutASession(t *testing.T) {
	h := build(t, nil, nil)
	for _, r := range httpapi.Table() {
		if r.Open {
			continue
		}
		path := strings.NewReplacer("{$}", "", "{id}", id1).Replace(r.Path)
		for name, a := range map[string]ask{
			"nothing":      {},
			"a bad bearer": {bearer: "nonsense"},
			"a bad cookie": {cookie: &http.Cookie{Name: "offrecord", Value: "nonsense"}, header: map[string]string{"Sec-Fetch-Site": "same-origin"}},
		} {
			a.method, a.path = r.Method, path
			w := h.do(a)
			if to := map[string]string{"/": "/login", "/login/popup/confirm": "/login?return=%2Flogin%2Fpopup%2Fconfirm"}[path]; to != "" && r.Method == "GET" {
				if w.Code != 303 || w.Header().Get("Location") != to {
					t.Errorf("%s with %s: %d", path, name, w.Code)
				}
				continue
			}
			if p := h.problem(w); w.Code != 401 || p.Code != "unauthenticated" {
				t.Errorf("%s %s with %s: %d %s", r.Method, path, name, w.Code, p.Code)
			}
		}
	}
	// A person sees a page.
	w := h.do(ask{method: "POST", path: "/native/pause", header: map[string]string{"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}})
	if w.Code != 401 || !strings.Contains(w.Body.String(), "not logged in") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("a person: %d %s", w.Code, w.Body)
	}
}

func TestWhatAnotherSiteMakesABrowserSend(t *testing.T) {
	h := build(t, nil, nil)
	cookie, bearer := h.cookie("bill@acme.example"), h.login("bill@acme.example")
	tests := []struct {
		name        string
		bearer      bool
		contentType string
		header      map[string]string
		refused     bool
	}{
		{name: "the panel", header: map[string]string{"Sec-Fetch-Site": "same-origin"}},
		{name: "an address typed", header: map[string]string{"Sec-Fetch-Site": "none"}},
		{name: "another site", header: map[string]string{"Sec-Fetch-Site": "cross-site"}, refused: true},
		{name: "another host of the site", header: map[string]string{"Sec-Fetch-Site": "same-site"}, refused: true},
		{name: "an older browser on the panel", header: map[string]string{"Origin": "http://example.com"}},
		{name: "an older browser elsewhere", header: map[string]string{"Origin": "https://evil.example"}, refused: true},
		{name: "a form of the panel, whose origin the policy hides", header: map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}},
		{name: "a sandbox", header: map[string]string{"Origin": "null"}, refused: true},
		{name: "a browser that says nothing", contentType: "text/plain", refused: true},
		{name: "a program with a cookie, which sends JSON as no form can"},
		{name: "a program with a bearer", bearer: true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := ask{method: "POST", path: "/api/v1/attempts", header: tt.header, contentType: tt.contentType}
			a.body = announcement(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), "pause")
			if tt.bearer {
				a.bearer = bearer
			} else {
				a.cookie = cookie
			}
			w := h.do(a)
			if refused := w.Code == 403; refused != tt.refused {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			// What is read nobody else can see; what another site has a browser ask for isn't even looked up.
			elsewhere := strings.HasSuffix(tt.header["Sec-Fetch-Site"], "-site")
			if w := h.do(ask{method: "GET", path: "/api/v1/state", cookie: a.cookie, bearer: a.bearer, header: tt.header}); (w.Code == 403) != elsewhere {
				t.Errorf("reading: %d", w.Code)
			}
		})
	}
	for _, path := range []string{"/api/v1/login/demo", "/login/demo", "/logout", "/api/v1/logout"} {
		if w := h.do(ask{method: "POST", path: path, body: `{"email":"jo@acme.example"}`, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); w.Code != 403 {
			t.Errorf("%s from another site: %d", path, w.Code)
		}
	}
}

func TestLogInAndOut(t *testing.T) {
	for _, secure := range []bool{true, false} {
		h := build(t, func(o *httpapi.Options) { o.Secure = secure }, nil)
		name := "offrecord"
		if secure {
			name = "__Host-offrecord"
		}
		same := map[string]string{"Sec-Fetch-Site": "same-origin"}
		w := h.do(ask{method: "POST", path: "/login/demo", body: "email=Bill%40acme.example", contentType: "application/x-www-form-urlencoded", header: same})
		cookies := w.Result().Cookies()
		if w.Code != 303 || w.Header().Get("Location") != "/" || len(cookies) != 1 {
			t.Fatalf("log-in: %d %s", w.Code, w.Body)
		}
		c := cookies[0]
		if c.Name != name || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 {
			t.Errorf("the cookie: %s", c)
		}
		if got := w.Header().Get("Strict-Transport-Security"); (got != "") != secure {
			t.Errorf("Strict-Transport-Security %q", got)
		}
		w = h.do(ask{method: "GET", path: "/api/v1/me", cookie: c})
		if got := strings.TrimSpace(w.Body.String()); got != `{"email":"bill@acme.example","role":"agent","platform":"acme","agent_id":"bill"}` {
			t.Errorf("me: %s", got)
		}
		// The next log-in ends the session it came with.
		w = h.do(ask{method: "POST", path: "/api/v1/login/demo", body: `{"email":"jo@acme.example"}`, cookie: c, header: same})
		next := w.Result().Cookies()[0]
		if w := h.do(ask{method: "GET", path: "/api/v1/me", cookie: c}); w.Code != 401 || next.Value == c.Value {
			t.Errorf("the session before the log-in lives: %d", w.Code)
		}
		w = h.do(ask{method: "POST", path: "/logout", cookie: next, header: same})
		if gone := w.Result().Cookies()[0]; w.Code != 303 || gone.MaxAge >= 0 || gone.Value != "" {
			t.Errorf("log-out: %d %s", w.Code, gone)
		}
		if w := h.do(ask{method: "GET", path: "/api/v1/me", cookie: next}); w.Code != 401 {
			t.Errorf("after the log-out: %d", w.Code)
		}
		if w := h.do(ask{method: "POST", path: "/api/v1/logout"}); w.Code != 204 {
			t.Errorf("logged out already: %d", w.Code)
		}
	}
}

func TestLogInsThatFail(t *testing.T) {
	h := build(t, nil, nil)
	tests := []struct {
		name, path, contentType, body string
		status                        int
		code                          string
	}{
		{"a stranger", "/api/v1/login/demo", "", `{"email":"eve@evil.example"}`, 401, "unauthenticated"},
		{"nobody", "/api/v1/login/demo", "", `{}`, 400, "invalid"},
		{"nonsense", "/api/v1/login/demo", "", `{`, 400, "invalid"},
		{"another way", "/api/v1/login/oidc", "", `{}`, 404, "invalid"},
		{"too much", "/api/v1/login/demo", "", `{"email":"` + strings.Repeat("a", 70_000) + `"}`, 413, "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := h.do(ask{method: "POST", path: tt.path, body: tt.body, contentType: tt.contentType})
			if p := h.problem(w); w.Code != tt.status || p.Code != tt.code {
				t.Errorf("%d %s", w.Code, p.Code)
			}
			if len(w.Result().Cookies()) != 0 {
				t.Error("a cookie was set")
			}
		})
	}
	w := h.do(ask{method: "POST", path: "/login/demo", body: "email=eve%40evil.example", contentType: "application/x-www-form-urlencoded",
		header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
	if w.Code != 401 || !strings.Contains(w.Body.String(), `role="alert"`) || strings.Contains(w.Body.String(), "eve@") {
		t.Errorf("a person: %d %s", w.Code, w.Body)
	}
}

func TestTheAttemptsAPI(t *testing.T) {
	h := build(t, nil, nil)
	bill, jo, vera, ann := h.login("bill@acme.example"), h.login("jo@acme.example"), h.login("vera@emea.example"), h.login("ann@acme.example")
	steps := []struct {
		name, as, method, path, body string
		status                       int
		code                         string // of the problem, if it is one
		has                          string
	}{
		{"nothing yet", bill, "GET", "/api/v1/attempts", "", 200, "", `{"items":[]}`},
		{"the state", bill, "GET", "/api/v1/state", "", 200, "", `"state":"unknown"`},
		{"no holds are a list", bill, "GET", "/api/v1/state", "", 200, "", `"attempt":null,"holds":[],"ready":true`},
		{"announced", bill, "POST", "/api/v1/attempts", announcement(id1, "pause"), 201, "", `"outcome":""`},
		{"again", bill, "POST", "/api/v1/attempts", announcement(id1, "pause"), 200, "", id1},
		{"another body", bill, "POST", "/api/v1/attempts", announcement(id1, "resume"), 409, "id_reused", ""},
		{"a colleague doesn't see it", jo, "GET", "/api/v1/attempts/" + id1, "", 404, "invalid", ""},
		{"nor decide it", jo, "POST", "/api/v1/attempts/" + id1 + "/outcome", `{"outcome":"sent","evidence":{"kind":"frame_load"}}`, 404, "invalid", ""},
		{"confirmed isn't ours", bill, "POST", "/api/v1/attempts/" + id1 + "/outcome", `{"outcome":"confirmed","evidence":{"kind":"status","http_status":200}}`, 422, "not_yours_to_say", ""},
		{"sent", bill, "POST", "/api/v1/attempts/" + id1 + "/outcome", `{"outcome":"sent","evidence":{"kind":"frame_load","after_ms":81}}`, 200, "", `"after_ms":81`},
		{"sent again", bill, "POST", "/api/v1/attempts/" + id1 + "/outcome", `{"outcome":"sent","evidence":{"kind":"frame_load","after_ms":81}}`, 200, "", `"sent"`},
		{"it stands", bill, "GET", "/api/v1/attempts/" + id1, "", 200, "", `"outcome":"sent"`},
		{"listed", bill, "GET", "/api/v1/attempts?limit=1", "", 200, "", id1},
		{"a limit that is none", bill, "GET", "/api/v1/attempts?limit=0", "", 400, "invalid", ""},
		{"a limit that is no number", bill, "GET", "/api/v1/attempts?limit=x", "", 400, "invalid", ""},
		{"a call", bill, "POST", "/api/v1/calls", `{"call":"c1","event":"started"}`, 200, "", `"call":"c1"`},
		{"its end", bill, "POST", "/api/v1/calls", `{"call":"c1","event":"ended"}`, 200, "", `"state":"idle"`},
		{"a call's nonsense", bill, "POST", "/api/v1/calls", `{"call":"c1","event":"held"}`, 400, "invalid", ""},
		{"an action that the route lacks", bill, "POST", "/api/v1/attempts", announcement(id2, "mask"), 422, "unsupported_action", ""},
		{"a toggle", bill, "POST", "/api/v1/attempts", announcement(id2, "toggle"), 400, "invalid", ""},
		{"a key too many", bill, "POST", "/api/v1/attempts", `{"id":"` + id2 + `","action":"pause","transport":"iframe","agent":"jo@acme.example"}`, 400, "invalid", ""},
		{"two bodies", bill, "POST", "/api/v1/attempts", announcement(id2, "pause") + "{}", 400, "invalid", ""},
		{"no body", bill, "POST", "/api/v1/attempts", "", 415, "invalid", ""},
		{"a card number", bill, "POST", "/api/v1/attempts", `{"id":"` + id2 + `","action":"pause","transport":"iframe","reason":"4111 1111 1111 1111"}`, 400, "invalid", ""},
		{"a time limit that is none", bill, "POST", "/api/v1/attempts", `{"id":"` + id2 + `","action":"pause","transport":"iframe","for":"soon"}`, 400, "invalid", "must be a duration"},
		{"too much", bill, "POST", "/api/v1/attempts", `{"reason":"` + strings.Repeat("a", 70_000) + `"}`, 413, "invalid", ""},
		{"the route", bill, "GET", "/api/v1/route", "", 200, "", `"attempt_timeout_ms":15000`},
		{"no session route to announce on", vera, "POST", "/api/v1/attempts", announcement(id2, "pause"), 403, "forbidden", ""},
		{"no platform", ann, "GET", "/api/v1/state", "", 403, "forbidden", ""},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			h.t = t
			w := h.do(ask{method: s.method, path: s.path, body: s.body, bearer: s.as})
			if w.Code != s.status || !strings.Contains(w.Body.String(), s.has) {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if s.code != "" {
				if p := h.problem(w); p.Code != s.code {
					t.Errorf("code %s: %s", p.Code, p.Detail)
				}
				if strings.Contains(w.Body.String(), "4111 1111") {
					t.Error("the problem repeats what was sent")
				}
			}
		})
	}
	if text := h.log.String(); strings.Contains(text, "limit=") || strings.Contains(text, "4111 1111") {
		t.Error("the log holds a query or what was sent")
	}
}

func TestAResumeThatCannotBeWrittenDown(t *testing.T) {
	h := build(t, nil, brokenLog{})
	bill := h.login("bill@acme.example")
	w := h.do(ask{method: "POST", path: "/api/v1/attempts", body: announcement(id1, "resume"), bearer: bill})
	if p := h.problem(w); w.Code != 503 || p.Code != "log_unavailable" {
		t.Errorf("the resume: %d %s", w.Code, p.Code)
	}
	if w := h.do(ask{method: "POST", path: "/native/resume", bearer: bill}); w.Code != 503 {
		t.Errorf("the native resume: %d", w.Code)
	}
	form := ask{method: "POST", path: "/native/resume", body: "without_record=yes", contentType: "application/x-www-form-urlencoded", bearer: bill}
	if w := h.do(form); w.Code != 303 {
		t.Errorf("without record: %d", w.Code)
	}
	if w := h.do(ask{method: "POST", path: "/api/v1/attempts", body: announcement(id2, "pause"), bearer: bill}); w.Code != 201 || !strings.Contains(w.Body.String(), "couldn't be written") {
		t.Errorf("the pause: %d %s", w.Code, w.Body)
	}
}

func TestNativeForms(t *testing.T) {
	h := build(t, nil, nil)
	cookie := h.cookie("bill@acme.example")
	post := func(path, body string) *httptest.ResponseRecorder {
		t.Helper()
		return h.do(ask{method: "POST", path: path, body: body, contentType: "application/x-www-form-urlencoded", cookie: cookie,
			header: map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "null", "Accept": "text/html"}})
	}
	goesTo := func(w *httptest.ResponseRecorder, action string) {
		t.Helper()
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil || w.Code != 303 || to.Host != "vcc.platform.example" || to.Query().Get("action") != action || to.Query().Get("token") != canary {
			t.Fatalf("%d: not sent to the platform to %s", w.Code, action)
		}
		if strings.Contains(w.Body.String(), canary) || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-store" {
			t.Error("the answer may leak the token")
		}
	}
	attempts := func() []recording.Attempt {
		return h.dispatcher.Attempts(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}, 50)
	}
	goesTo(post("/native/pause", "id="+id1+"&transport=popup"), "pause")
	goesTo(post("/native/pause", "id="+id1+"&transport=popup"), "pause") // the second click of a double click
	if all := attempts(); len(all) != 1 || all[0].Transport != recording.TransportPopup || all[0].Route != recording.RouteSession || all[0].Origin != recording.Hand {
		t.Fatalf("attempts: %+v", all)
	}
	goesTo(post("/native/resume", "id="+id2), "resume")
	goesTo(post("/native/resume", "id="+id2), "resume")
	goesTo(post("/native/pause", ""), "pause")
	if w := post("/native/resume", "id="+id2); w.Code != 200 || w.Header().Get("Location") != "" {
		t.Errorf("an old resume was sent again after a newer pause: %d", w.Code)
	}
	if w := post("/native/pause", "id=nonsense"); w.Code != 400 || !strings.Contains(w.Body.String(), "UUID") {
		t.Errorf("nonsense: %d", w.Code)
	}
	if w := post("/native/pause", "transport=auto"); w.Code != 400 {
		t.Errorf("a transport that is none: %d", w.Code)
	}
	if w := post("/native/attest", ""); w.Code != 303 || w.Header().Get("Location") != "/" || attempts()[0].Outcome != recording.Attested {
		t.Errorf("attest: %d, %q", w.Code, attempts()[0].Outcome)
	}
}

func TestThePages(t *testing.T) {
	h := build(t, nil, nil)
	cookie := h.cookie("bill@acme.example")
	get := func(path string, cookie *http.Cookie) (string, http.Header) {
		t.Helper()
		w := h.do(ask{method: "GET", path: path, cookie: cookie})
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		text := w.Body.String()
		for _, inline := range []string{" style=", "<style", "onclick=", "javascript:"} {
			if strings.Contains(text, inline) {
				t.Errorf("%s holds %q, which its policy refuses", path, inline)
			}
		}
		return text, w.Header()
	}
	page, header := get("/", cookie)
	if !strings.Contains(page, `<body data-page="panel"><div id="panel-root"><main `) {
		t.Error("the panel's root isn't the page's first element")
	}
	for _, button := range []string{"Pause recording", "Resume recording"} {
		if !strings.Contains(page, button) {
			t.Errorf("no button %s", button)
		}
	}
	policy := header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "connect-src 'self' https://vcc.platform.example", "frame-src 'self' https://vcc.platform.example",
		"form-action 'self' https://vcc.platform.example", "worker-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	_, view, ok := strings.Cut(page, `<script type="application/json" id="view">`)
	view, _, _ = strings.Cut(view, "</script>")
	var v panel.View
	if err := json.Unmarshal([]byte(view), &v); !ok || err != nil || v.Agent != "bill@acme.example" || v.PlatformKind != "8x8" {
		t.Errorf("the view: %v %+v", err, v)
	}
	status, header := get("/status", cookie)
	if !strings.Contains(status, `http-equiv="refresh" content="2"`) || strings.Contains(status, "<button") || !strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'self'") {
		t.Errorf("the status: %s", status)
	}
	if fragment, _ := get("/panel", cookie); !strings.HasPrefix(fragment, `<main `) || strings.Contains(fragment, "<html") || strings.Contains(fragment, "Checking") || !strings.Contains(fragment, ">Ready<") {
		t.Errorf("the fragment: %s", fragment)
	}
	if login, _ := get("/login", nil); !strings.Contains(login, "bill@acme.example") {
		t.Error("the log-in doesn't offer the demo's agents")
	}
	if w := h.do(ask{method: "GET", path: "/healthz"}); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
}

func TestOutsideTextStaysText(t *testing.T) {
	h := build(t, nil, nil)
	bill := h.login("bill@acme.example")
	hostile := `"><script>alert(1)</script>`
	body, _ := json.Marshal(map[string]string{"id": id1, "action": "pause", "transport": "iframe", "reason": hostile, "call": `</script><b id="x">`, "origin": "trigger:card"})
	if w := h.do(ask{method: "POST", path: "/api/v1/attempts", body: string(body), bearer: bill}); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/", "/panel", "/status"} {
		page := h.do(ask{method: "GET", path: path, bearer: bill}).Body.String()
		if strings.Contains(page, "<script>alert") || strings.Contains(page, `<b id="x">`) {
			t.Errorf("%s: %s", path, page)
		}
	}
}

func TestReady(t *testing.T) {
	h := build(t, nil, nil)
	if w := h.do(ask{method: "GET", path: "/readyz"}); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h.API.Close()
	if w := h.do(ask{method: "GET", path: "/readyz"}); w.Code != 503 {
		t.Errorf("while it shuts down: %d %s", w.Code, w.Body)
	}
}

func TestAPanicIsAProblemAndSaysNothing(t *testing.T) {
	h := build(t, func(o *httpapi.Options) { o.Panel = func(panel.View) string { panic("canary in a panic") } }, nil)
	w := h.do(ask{method: "GET", path: "/panel", bearer: h.login("bill@acme.example")})
	if p := h.problem(w); w.Code != 500 || p.Code != "internal" || strings.Contains(w.Body.String(), "canary") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := h.log.String(); strings.Contains(text, "canary in a panic") || !strings.Contains(text, "panicked") {
		t.Errorf("the log: %s", text)
	}
}

// TestTheTokenIsInTwoAnswersOnly asks for everything, well and badly, and looks for the canary.
func TestTheTokenIsInTwoAnswersOnly(t *testing.T) {
	h := build(t, nil, nil)
	bill := h.login("bill@acme.example")
	for _, r := range httpapi.Table() {
		path := strings.NewReplacer("{$}", "", "{method}", "demo", "{id}", id1, "{name}", "x").Replace(r.Path)
		if path == "/api/v1/events" {
			continue // it goes on; its events are read elsewhere
		}
		for _, body := range []string{"", "{}", announcement(id1, "pause"), `{"outcome":"sent","evidence":{"kind":"frame_load"}}`, "id=" + id2, "id=x"} {
			for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
				w := h.do(ask{method: r.Method, path: path + "?wait=1ms&token=" + canary[:8], body: body, contentType: contentType, bearer: bill, header: map[string]string{"Accept": "text/html"}})
				if strings.Contains(w.Body.String(), canary) && path != "/api/v1/route" {
					t.Errorf("%s %s gives the token away", r.Method, path)
				}
				for name, values := range w.Header() {
					if strings.Contains(strings.Join(values, ""), canary) && (name != "Location" || !strings.HasPrefix(path, "/native/")) {
						t.Errorf("%s %s gives the token away in %s", r.Method, path, name)
					}
				}
				if path == "/api/v1/route" && w.Header().Get("Cache-Control") != "no-store" {
					t.Error("the route may be stored")
				}
			}
		}
	}
	if strings.Contains(h.log.String(), canary[:8]) {
		t.Error("the log holds the token, or a query")
	}
	if strings.Contains(fmt.Sprintf("%v %+v", h.API, h.API.Platforms), canary) {
		t.Error("printing gives the token away")
	}
}

// stream is a ResponseWriter for an event stream, whose text may be read while it grows.
type stream struct {
	logs
	header http.Header
}

func (s *stream) Header() http.Header              { return s.header }
func (s *stream) WriteHeader(int)                  {}
func (s *stream) Flush()                           {}
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }

func (h *house) follow(ctx context.Context, bearer, last string) (*stream, func()) {
	s := &stream{header: http.Header{}}
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	r.Header.Set("Authorization", "Bearer "+bearer)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	var done sync.WaitGroup
	done.Go(func() { h.ServeHTTP(s, r) })
	return s, done.Wait
}

func TestTheEventStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, nil, nil)
		bill := h.login("bill@acme.example")
		s, ended := h.follow(t.Context(), bill, "")
		synctest.Wait()
		if text := s.String(); strings.Count(text, "event: state\n") != 1 || s.header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("at once: %q", text)
		}
		h.do(ask{method: "POST", path: "/api/v1/attempts", body: announcement(id1, "pause"), bearer: bill})
		synctest.Wait()
		text := s.String()
		if strings.Count(text, "event: state\n") != 2 || strings.Count(text, "event: attempt\n") != 1 || !strings.Contains(text, `"state":"pausing"`) {
			t.Errorf("after an attempt: %q", text)
		}
		last := text[strings.LastIndex(text, "id: ")+4:]
		last, _, _ = strings.Cut(last, "\n")
		time.Sleep(15*time.Second + time.Millisecond)
		synctest.Wait()
		if !strings.Contains(s.String(), ": keep-alive\n\n") {
			t.Error("no keep-alive after 15 s")
		}
		if got := strings.Count(s.String(), "event: beat\ndata: "); got != 3 {
			t.Errorf("%d beats in 15 s", got)
		}

		// Who comes back is told what it missed, which here is the deadline's outcome.
		back, backEnded := h.follow(t.Context(), bill, last)
		synctest.Wait()
		if text := back.String(); strings.Count(text, "event: attempt\n") != 1 || !strings.Contains(text, `"unknown"`) {
			t.Errorf("back: %q", text)
		}
		strange, strangeEnded := h.follow(t.Context(), bill, "another-run-7")
		synctest.Wait()
		if text := strange.String(); strings.Count(text, "event: ") != 1 {
			t.Errorf("another run's id: %q", text)
		}

		// An open panel keeps its session; a log-out ends the stream.
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: bill}); w.Code != 200 {
			t.Errorf("an open panel lost its session: %d", w.Code)
		}
		h.do(ask{method: "POST", path: "/api/v1/logout", bearer: bill})
		time.Sleep(16 * time.Second)
		ended()
		backEnded()
		strangeEnded()

		other := h.login("jo@acme.example")
		_, ended = h.follow(t.Context(), other, "")
		synctest.Wait()
		h.API.Close()
		ended()
		h.dispatcher.Close()
	})
}

func TestAForwardedAddressCountsOnlyFromATrustedProxy(t *testing.T) {
	h := build(t, nil, nil)
	h.do(ask{method: "GET", path: "/healthz", header: map[string]string{"X-Forwarded-For": "203.0.113.9"}})
	if strings.Contains(h.log.String(), "203.0.113.9") {
		t.Error("anyone's word was believed")
	}
}

func TestAServerOfOtherNames(t *testing.T) {
	h := build(t, func(o *httpapi.Options) { o.Host = func(host string) bool { return host == "example.com" } }, nil)
	for host, status := range map[string]int{"example.com": 200, "example.com:8080": 200, "rebound.evil.example:8080": 421} {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}

func FuzzBodies(f *testing.F) {
	f.Add("/api/v1/attempts", announcement(id1, "pause"))
	f.Add("/api/v1/attempts", `{"id":"`+id1+`","action":"resume","transport":"popup","reason":"x","call":"c","origin":"link","requested_at":"2026-11-21T09:00:00Z"}`)
	f.Add("/api/v1/attempts/"+id1+"/outcome", `{"outcome":"accepted","evidence":{"kind":"popup_closed","after_ms":80}}`)
	f.Add("/api/v1/actions", `{"id":"`+id1+`","action":"pause","reason":"card","call":"c","media":"voice","for":"90s","origin":"trigger:x"}`)
	f.Add("/api/v1/actions", `{"id":"`+id1+`","action":"resume","agent":"vera@emea.example","reason":"x"}`)
	f.Add("/api/v1/calls", `{"call":"c1","event":"ended"}`)
	f.Add("/api/v1/login/demo", `{"email":"bill@acme.example"}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" || !strings.HasPrefix(path, "/api/") || u.Path == "/api/v1/events" {
			return
		}
		h := build(t, nil, nil)
		defer h.dispatcher.Close()
		bearer := h.login("bill@acme.example")
		if u.Path == "/api/v1/actions" {
			bearer = h.login("nico@cx.example") // who has a server route
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL = u
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+bearer)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		h.sane(w, r)
	})
}

func FuzzNativeForms(f *testing.F) {
	f.Add("/native/pause", "id="+id1+"&transport=popup")
	f.Add("/native/resume", "without_record=yes")
	f.Add("/native/attest", "")
	f.Add("/native/decline", "confirmed=yes&id="+id1)
	f.Add("/login/demo", "email=bill%40acme.example")
	f.Fuzz(func(t *testing.T, path, body string) {
		if path != "/native/pause" && path != "/native/resume" && path != "/native/attest" && path != "/native/decline" && path != "/login/demo" {
			return
		}
		h := build(t, nil, nil)
		defer h.dispatcher.Close()
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.AddCookie(h.cookie("bill@acme.example"))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		h.sane(w, r)
		if location := w.Header().Get("Location"); location != "" && location != "/" && !strings.HasPrefix(location, "https://vcc.platform.example/AGUI/controlRecording.php?") {
			t.Errorf("sent to %q", location)
		}
	})
}

// sane is what holds for any answer to any input.
func (h *house) sane(w *httptest.ResponseRecorder, r *http.Request) {
	h.t.Helper()
	text, _ := io.ReadAll(w.Body)
	if w.Code >= 500 {
		h.t.Errorf("%d %s", w.Code, text)
	}
	if strings.Contains(string(text), canary) || strings.Contains(h.log.String(), canary) {
		h.t.Error("the token got out")
	}
	if strings.Contains(html.UnescapeString(string(text)), "<script>alert") {
		h.t.Errorf("script: %s", text)
	}
	for _, a := range h.dispatcher.Attempts(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}, 50) {
		if a.Outcome == recording.Confirmed || a.State.OffTape() {
			h.t.Errorf("a browser's input made %+v", a)
		}
	}
}
