package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
)

// pauseNeeds are the routes without which an agent can't pause, or can't know of it. They are never rate-limited, and nothing
// else is exempt: who adds a route decides by adding it here or not.
var pauseNeeds = []string{
	"GET /{$}", "GET /panel", "GET /status", "GET /widget", "GET /embed/{name}", "GET /assets/{name}", "GET /favicon.ico", "GET /probe/", "GET /healthz", "GET /readyz",
	"POST /native/pause", "POST /native/resume", "POST /native/attest", "POST /native/extend", "GET /native/decline", "POST /native/decline",
	"GET /act", "POST /act", "POST /act/link", "GET /act/said", "GET /act/here",
	"GET /widget/session", "GET /widget/helper", "POST /widget/helper", "GET /helper", "POST /helper/next", "POST /helper/take",
	"GET /api/v1/route", "GET /api/v1/state", "GET /api/v1/events", "POST /api/v1/attempts", "POST /api/v1/attempts/{id}/outcome", "POST /api/v1/actions", "POST /api/v1/calls", "POST /api/v1/pauses/{id}/extend",
}

func TestWhatAPauseNeedsIsNeverLimitedAndAllElseIs(t *testing.T) {
	free := map[string]bool{}
	for _, r := range pauseNeeds {
		free[r] = true
	}
	for _, r := range httpapi.Routes() {
		name := r.Method + " " + r.Pattern
		if r.Free != free[name] {
			t.Errorf("%s: free %v, and a pause needs it: %v", name, r.Free, free[name])
		}
		delete(free, name)
	}
	if len(free) > 0 {
		t.Errorf("not served: %v", free)
	}

	synctest.Test(t, func(t *testing.T) { // so that no token comes back
		h := build(t, nil, nil)
		defer h.dispatcher.Close()
		defer h.API.Close()
		bill, nico, sue := h.cookie("bill@acme.example"), h.login("nico@cx.example"), h.login("sue@acme.example")
		// Somebody takes all there is, from the one address that a whole center shares.
		exhaust := func(a ask) *httptest.ResponseRecorder {
			t.Helper()
			for range 6000 {
				if w := h.do(a); w.Code == 429 {
					return w
				}
			}
			t.Fatalf("%s %s is never limited", a.method, a.path)
			return nil
		}
		for _, a := range []ask{
			{method: "GET", path: "/api/v1/me", cookie: bill},
			{method: "POST", path: "/api/v1/actions", body: `{"id":"` + id1 + `","action":"resume"}`, bearer: nico},
			{method: "GET", path: "/api/v1/audit", bearer: sue},
			{method: "GET", path: "/api/v1/state"},
			{method: "GET", path: "/nowhere"},
			{method: "POST", path: "/api/v1/login/demo", body: `{"email":"eve@evil.example"}`},
			{method: "POST", path: "/login/demo", body: "email=eve", contentType: "application/x-www-form-urlencoded", header: sameOrigin},
		} {
			w := exhaust(a)
			seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if p := w.Body.String(); err != nil || seconds < 1 || seconds > 60 || !strings.Contains(p, "rate_limited") && !strings.Contains(p, "Wait") {
				t.Errorf("%s %s: Retry-After %q, %s", a.method, a.path, w.Header().Get("Retry-After"), p)
			}
		}
		for i := range 500 {
			id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
			for _, a := range []ask{
				{method: "POST", path: "/api/v1/attempts", body: announcement(id, "pause"), cookie: bill, header: map[string]string{"Sec-Fetch-Site": "same-origin"}},
				{method: "POST", path: "/native/pause", body: "id=" + id, contentType: "application/x-www-form-urlencoded", cookie: bill, header: sameOrigin},
				{method: "GET", path: "/act?action=pause", cookie: bill},
				{method: "GET", path: "/", cookie: bill},
				{method: "GET", path: "/api/v1/route", cookie: bill},
				{method: "POST", path: "/api/v1/actions", body: `{"id":"` + id + `","action":"pause"}`, bearer: nico},
			} {
				if w := h.do(a); w.Code == 429 || w.Code >= 500 {
					t.Fatalf("%s %s: %d", a.method, a.path, w.Code)
				}
			}
		}
		time.Sleep(time.Minute)
		if w := h.do(ask{method: "GET", path: "/api/v1/me", cookie: bill}); w.Code != 200 {
			t.Errorf("a minute later: %d", w.Code)
		}
		if w := h.do(ask{method: "POST", path: "/api/v1/login/demo", body: `{"email":"jo@acme.example"}`}); w.Code != 200 {
			t.Errorf("a log-in a minute later: %d", w.Code)
		}
	})
}

// A whole center may share one address, and somebody there may fail to log in without end.
func TestABadLogInHoldsNobodyElseBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that no token comes back
		h := build(t, nil, nil)
		defer h.dispatcher.Close()
		bad, limited := 0, 0
		for range 1000 {
			w := h.do(ask{method: "POST", path: "/api/v1/login/demo", body: `{"email":"eve@evil.example"}`})
			switch w.Code {
			case 401:
				bad++
			case 429:
				limited++
			default:
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		if bad == 0 || limited == 0 {
			t.Errorf("%d answered, %d limited", bad, limited)
		}
		for _, a := range []ask{
			{method: "POST", path: "/api/v1/login/demo", body: `{"email":"bill@acme.example"}`},
			{method: "GET", path: "/login"},
		} {
			if w := h.do(a); w.Code != 200 {
				t.Errorf("%s %s beside it: %d", a.method, a.path, w.Code)
			}
		}
		t.Logf("%d log-ins that fail: %d judged, %d put off", bad+limited, bad, limited)
	})
}

func TestEventStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, nil, nil)
		bill, jo := h.login("bill@acme.example"), h.login("jo@acme.example")
		var ended []func()
		for range 128 {
			_, wait := h.follow(t.Context(), bill, "")
			ended = append(ended, wait)
		}
		synctest.Wait()
		w := h.do(ask{method: "GET", path: "/api/v1/events", bearer: bill})
		if w.Code != 429 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "rate_limited") {
			t.Errorf("one more: %d %s", w.Code, w.Body)
		}
		_, wait := h.follow(t.Context(), jo, "") // a colleague isn't affected
		synctest.Wait()
		h.API.Close()
		for _, wait := range append(ended, wait) {
			wait()
		}
		again := build(t, nil, nil)
		_ = again
		if w := h.do(ask{method: "GET", path: "/api/v1/events", bearer: bill}); w.Code != 200 {
			t.Errorf("after they ended: %d", w.Code)
		}
		h.dispatcher.Close()
		again.dispatcher.Close()
	})
}

func TestRequestsThatAreLargerThanAnyOfOurs(t *testing.T) {
	h := build(t, nil, nil)
	if w := h.do(ask{method: "GET", path: "/login?x=" + strings.Repeat("a", 9000)}); w.Code != 414 {
		t.Errorf("a long address: %d", w.Code)
	}
	many := map[string]string{}
	for i := range 120 {
		many["X-"+strconv.Itoa(i)] = "x"
	}
	if w := h.do(ask{method: "GET", path: "/login", header: many}); w.Code != 431 {
		t.Errorf("many fields: %d", w.Code)
	}
	bill := h.login("bill@acme.example")
	for _, r := range httpapi.Routes() {
		if r.Method != http.MethodPost {
			continue
		}
		path := strings.NewReplacer("{id}", id1, "/next", "/next?wait=1ms").Replace(r.Pattern)
		for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"} {
			w := h.do(ask{method: "POST", path: path, body: `{"a":"` + strings.Repeat("a", 1<<20) + `"}`, contentType: contentType, bearer: bill,
				header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
			if w.Code >= 500 {
				t.Errorf("%s as %s: %d", path, contentType, w.Code)
			}
		}
	}
}

// Another site may have a browser open a page. It may not have it ask for anything else that is for who is known.
func TestFetchMetadata(t *testing.T) {
	h := build(t, nil, nil)
	cookie := h.cookie("bill@acme.example")
	gone, leave := context.WithCancel(t.Context()) // so that nothing waits for what is to come
	leave()
	tests := []struct {
		name              string
		site, mode, dest  string
		page, other, open bool // whether it may: a page, what is none, and what is for anyone
	}{
		{"a link elsewhere", "cross-site", "navigate", "document", true, false, true},
		{"a link on a sister host", "same-site", "navigate", "document", true, false, true},
		{"a frame elsewhere", "cross-site", "navigate", "iframe", false, false, true},
		{"an object elsewhere", "cross-site", "navigate", "object", false, false, true},
		{"an embed elsewhere", "cross-site", "navigate", "embed", false, false, true},
		{"a picture elsewhere", "cross-site", "no-cors", "image", false, false, true},
		{"a script elsewhere", "cross-site", "no-cors", "script", false, false, true},
		{"a fetch elsewhere", "cross-site", "cors", "empty", false, false, true},
		{"an event stream on a sister host", "same-site", "cors", "empty", false, false, true},
		{"our own page", "same-origin", "cors", "empty", true, true, true},
		{"typed", "none", "navigate", "document", true, true, true},
		{"a browser that says nothing", "", "", "", true, true, true},
	}
	for _, tt := range tests {
		for _, r := range httpapi.Routes() {
			if r.Method != http.MethodGet {
				continue
			}
			path := strings.NewReplacer("{$}", "", "{id}", id1, "{name}", "x").Replace(r.Pattern)
			asked := httptest.NewRequestWithContext(gone, "GET", path, nil)
			asked.AddCookie(cookie)
			for k, v := range map[string]string{"Sec-Fetch-Site": tt.site, "Sec-Fetch-Mode": tt.mode, "Sec-Fetch-Dest": tt.dest} {
				if v != "" {
					asked.Header.Set(k, v)
				}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, asked)
			may := tt.open
			if !r.Open {
				may = tt.other || r.Page && tt.page
			}
			crossed := w.Code == 403 && strings.Contains(w.Body.String(), "came from another site")
			if crossed == may {
				t.Errorf("%s, %s: %d", r.Pattern, tt.name, w.Code)
			}
		}
	}
}

// Every call that changes something is refused where another site's page makes a browser send it, whoever's cookie comes along:
// before anybody looks whether they may.
func TestEveryCallIsForOurOwnPages(t *testing.T) {
	h, _, _, _ := withWays(t, nil)
	tried := 0
	for _, email := range []string{"bill@acme.example", "sue@acme.example"} {
		cookie := h.cookie(email)
		for _, r := range httpapi.Routes() {
			if r.Method == http.MethodGet {
				continue
			}
			path := strings.NewReplacer("{id}", id1).Replace(r.Pattern)
			for name, header := range map[string]map[string]string{
				"another site": {"Sec-Fetch-Site": "cross-site"}, "a sister host": {"Sec-Fetch-Site": "same-site"}, "another site that says it is ours": {"Sec-Fetch-Site": "cross-site", "Origin": "http://example.com"},
				"an old browser elsewhere": {"Origin": "https://evil.example"}, "an old browser in a sandbox": {"Origin": "null"}, "a browser that says nothing": {},
			} {
				for _, contentType := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
					tried++
					w := h.do(ask{method: r.Method, path: path, contentType: contentType, body: "confirmed=yes&action=pause&id=" + id2, cookie: cookie, header: header})
					if w.Code != 403 || !strings.Contains(w.Body.String(), "came from another site") || len(w.Result().Cookies()) != 0 {
						t.Errorf("%s %s from %s, with %s's cookie: %d %s", r.Method, r.Pattern, name, email, w.Code, w.Body)
					}
				}
			}
		}
	}
	t.Logf("%d requests of other sites, all refused", tried)
}

func TestWhatCrossOriginProtectionLetsPass(t *testing.T) {
	h := build(t, func(o *httpapi.Options) { o.Secure = true }, nil)
	cookie := &http.Cookie{Name: "__Host-offrecord", Value: h.login("bill@acme.example")}
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, path string
		cookie     *http.Cookie
		kind, body string
		header     map[string]string
		status     int
	}{
		{"plain http of our own name, by a browser without Sec-Fetch-Site", "/native/pause", cookie, form, "", map[string]string{"Origin": "http://example.com"}, 403},
		{"https of our own name, by such a browser", "/native/pause", cookie, form, "", map[string]string{"Origin": "https://example.com"}, 303},
		{"another port of our own name", "/native/pause", cookie, form, "", map[string]string{"Origin": "https://example.com:8443"}, 403},
		{"no origin", "/native/pause", cookie, form, "", map[string]string{"Origin": "null"}, 403},
		{"a form without either header", "/native/pause", cookie, form, "", nil, 403},
		{"a form that logs in, without either header or a cookie", "/login/demo", nil, form, "email=bill%40acme.example", nil, 403},
		{"a form that logs in by the API", "/api/v1/login/demo", nil, form, "email=bill%40acme.example", nil, 403},
		{"text that is JSON to who doesn't look", "/api/v1/login/demo", nil, "text/plain", `{"email":"bill@acme.example"}`, nil, 403},
		{"a program that logs in", "/api/v1/login/demo", nil, "application/json", `{"email":"bill@acme.example"}`, nil, 200},
		{"nobody logs out", "/api/v1/logout", nil, "", "", nil, 204},
		{"a duplicate of the header", "/native/pause", cookie, form, "", map[string]string{"Sec-Fetch-Site": "same-origin, cross-site"}, 403},
		{"a value that isn't known", "/native/pause", cookie, form, "", map[string]string{"Sec-Fetch-Site": "very-same-origin"}, 403},
	} {
		w := h.do(ask{method: "POST", path: tt.path, body: tt.body, contentType: tt.kind, cookie: tt.cookie, header: tt.header})
		if w.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, w.Code, w.Body, tt.status)
		}
	}
}

// Behind a proxy that asks for a password, a browser sends that along with everything, for whatever page. It is no log-in of ours,
// and excuses nothing.
func TestAProxysOwnPasswordExcusesNothing(t *testing.T) {
	h := build(t, func(o *httpapi.Options) {
		o.Ambient = []identity.Authenticator{identity.Proxy{Header: "X-Forwarded-Email", Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	}, nil)
	cookie := h.cookie("bill@acme.example")
	const form = "application/x-www-form-urlencoded"
	for _, kind := range []string{"Basic dTpw", "Negotiate TlRMTVNTUAAB", "Digest username=x", "Bearers x", "x"} {
		for _, tt := range []struct {
			name, method, path, site, body string
			by                             map[string]string
			cookie                         *http.Cookie
			status                         int
		}{
			{"the agent, by the proxy's word", "GET", "/api/v1/me", "same-origin", "", map[string]string{"X-Forwarded-Email": "bill@acme.example"}, nil, 200},
			{"the agent, by its cookie", "GET", "/api/v1/me", "same-origin", "", nil, cookie, 200},
			{"nobody", "GET", "/api/v1/me", "same-origin", "", nil, nil, 401},
			{"another site pauses", "POST", "/native/pause", "cross-site", "x=y", nil, cookie, 403},
			{"another site resumes, by the proxy's word", "POST", "/native/resume", "cross-site", "x=y", map[string]string{"X-Forwarded-Email": "bill@acme.example"}, nil, 403},
			{"another site reads", "GET", "/api/v1/state", "cross-site", "", nil, cookie, 403},
			{"another site logs in", "POST", "/login/demo", "cross-site", "email=jo%40acme.example", nil, nil, 403},
			{"an old browser elsewhere logs in", "POST", "/login/demo", "", "email=jo%40acme.example", nil, nil, 403},
			{"another site logs out", "POST", "/logout", "cross-site", "", nil, cookie, 403},
		} {
			a := ask{method: tt.method, path: tt.path, body: tt.body, cookie: tt.cookie, header: map[string]string{"Authorization": kind}}
			if tt.body != "" {
				a.contentType = form
			}
			if tt.site != "" {
				a.header["Sec-Fetch-Site"] = tt.site
			}
			for name, value := range tt.by {
				a.header[name] = value
			}
			if w := h.do(a); w.Code != tt.status || len(w.Result().Cookies()) != 0 {
				t.Errorf("%s with %s: %d %v", tt.name, kind, w.Code, w.Result().Cookies())
			}
		}
	}
}

// A request without a form's body isn't taken for a form whose fields are all empty: what is to be resumed by hand resumes by a
// form of our pages.
func TestABodyThatIsNoForm(t *testing.T) {
	h := build(t, nil, nil)
	cookie := h.cookie("vera@emea.example")
	tried := 0
	for _, path := range []string{"/native/pause", "/native/resume", "/native/attest", "/native/extend", "/native/decline", "/act", "/act/link", "/logout", "/login/popup/confirm"} {
		for kind, body := range map[string]string{"application/json": `{"action":"resume","confirmed":"yes"}`, "text/plain;charset=UTF-8": "action=resume", "multipart/form-data; boundary=x": "--x\r\n\r\n", "x/": "x"} {
			tried++
			if w := h.do(ask{method: "POST", path: path, contentType: kind, body: body, cookie: cookie, header: map[string]string{"Sec-Fetch-Site": "same-origin"}}); w.Code != 415 {
				t.Errorf("%s as %s: %d", path, kind, w.Code)
			}
		}
	}
	if n := len(h.dispatcher.Attempts(dispatch.Agent{Email: "vera@emea.example", Platform: "emea"}, 10)); n != 0 {
		t.Errorf("%d attempts", n)
	}
	t.Logf("%d bodies that are no forms, all refused", tried)
}

func TestWhoMayFrameTheWidgetIsWrittenAnew(t *testing.T) {
	for _, tt := range []struct {
		given []string
		want  string // "" if it is refused
	}{
		{nil, "frame-ancestors 'none'"},
		{[]string{"https://acme.my.salesforce.com"}, "frame-ancestors https://acme.my.salesforce.com"},
		{[]string{"HTTPS://ACME.Example:443/", "http://crm.localhost:8080", "https://[::1]:8443"}, "frame-ancestors https://acme.example http://crm.localhost:8080 https://[::1]:8443"},
		{[]string{"https://acme.example:0443", "http://acme.example:0080", "https://acme.example:80"}, "frame-ancestors https://acme.example http://acme.example https://acme.example:80"},
		{[]string{"https://*.example"}, ""}, {[]string{"*"}, ""}, {[]string{"'self'"}, ""}, {[]string{"https://a.example; script-src *"}, ""}, {[]string{"https://a.example https://b.example"}, ""},
		{[]string{"https://a.example/path"}, ""}, {[]string{"https://user@a.example"}, ""}, {[]string{"javascript:alert(1)"}, ""}, {[]string{"data:text/html,x"}, ""}, {[]string{"https://"}, ""},
		{[]string{"https://a.example?x"}, ""}, {[]string{"https://a.example#x"}, ""}, {[]string{"https://bücher.example"}, ""}, {[]string{"null"}, ""}, {[]string{""}, ""},
		{[]string{"https://a.example\r\nX: y"}, ""}, {[]string{"https://a.example:99999"}, ""}, {[]string{"https://[fe80::1%25eth0]"}, ""},
	} {
		policy, err := framePolicy(t, tt.given)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q is taken", tt.given)
			}
			continue
		}
		if err != nil || !strings.Contains(policy+";", tt.want+";") {
			t.Errorf("%q: %v, %s", tt.given, err, policy)
		}
	}
}

// framePolicy is the widget's policy under this configuration.
func framePolicy(t testing.TB, origins []string) (policy string, err error) {
	t.Helper()
	h := build(t, func(o *httpapi.Options) {
		o.EmbedOrigins = origins
		if _, err = httpapi.New(*o); err != nil {
			o.EmbedOrigins = nil
		}
	}, nil)
	defer h.dispatcher.Close()
	return h.do(ask{method: "GET", path: "/widget"}).Header().Get("Content-Security-Policy"), err
}

// forget keeps a long run's log short.
func (l *logs) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

func isBearer(authorization string) bool {
	scheme, _, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(scheme, "bearer")
}

// FuzzHeaders sends headers that say where a request comes from, and who it is for.
func FuzzHeaders(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.1", "example.com", "https://example.com", "same-origin", "Bearer x", "offrecord=x")
	f.Add("10.0.0.1,10.0.0.2,not an address", "evil.example:80", "null", "cross-site", "", "offrecord=x; offrecord=y; __Host-offrecord=z")
	f.Add("::ffff:203.0.113.9%eth0", "[::1]:8080", "http://example.com", "", "basic dTpw", "\x00")
	f.Add(strings.Repeat("10.0.0.1,", 500), "a b", "https://example.com, https://evil.example", "same-origin,cross-site", "bearer", ";;;=")
	h := build(f, func(o *httpapi.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}
		o.Host = func(host string) bool { return host == "example.com" || host == "::1" }
	}, nil)
	cookie := h.cookie("bill@acme.example")
	f.Fuzz(func(t *testing.T, forwarded, host, origin, site, authorization, cookies string) {
		h.t = t
		for _, path := range []string{"/native/pause", "/login/demo", "/api/v1/state"} {
			method := "POST"
			if path == "/api/v1/state" {
				method = "GET"
			}
			r := httptest.NewRequest(method, path, nil)
			r.Header = http.Header{"X-Forwarded-For": {forwarded}, "Origin": {origin}, "Sec-Fetch-Site": {site}, "Cookie": {cookies + "; offrecord=" + cookie.Value}}
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			r.Host = host
			h.log.forget()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			h.sane(w, r)
			written := h.log.String()
			if from := regexp.MustCompile(`"from":"([^"]*)"`).FindStringSubmatch(written); from != nil && from[1] != "" {
				if _, err := netip.ParseAddr(from[1]); err != nil {
					t.Errorf("%q is logged as an address", from[1])
				}
			}
			acted := w.Code == 303 // a bearer isn't the agent's here
			if acted && site != "same-origin" && site != "none" && !(site == "" && (origin == "http://"+host || origin == "https://"+host)) && !(path == "/login/demo" && isBearer(authorization)) {
				t.Errorf("host %q, origin %q, site %q: it acted", host, origin, site)
			}
		}
	})
}
