package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/link"
	"offrecord/web/store"
)

// withLinks is an API with links and a log.
func withLinks(t testing.TB) (*house, *book) {
	t.Helper()
	db, err := store.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	links, err := link.Open(t.Context(), db, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := new(book)
	return build(t, func(o *httpapi.Options) { o.Links, o.Audit = links, b }, nil), b
}

type linkBody struct {
	ID        string    `json:"id"`
	Agent     string    `json:"agent"`
	Action    string    `json:"action"`
	Purpose   string    `json:"purpose"`
	ExpiresAt time.Time `json:"expires_at"`
	URL       string    `json:"url"`
	Uses      int       `json:"uses"`
}

func (h *house) link(bearer, purpose string) linkBody {
	h.t.Helper()
	w := h.do(ask{method: "POST", path: "/api/v1/links", body: `{"purpose":"` + purpose + `"}`, bearer: bearer})
	var x linkBody
	if err := json.Unmarshal(w.Body.Bytes(), &x); err != nil || w.Code != 201 || w.Header().Get("Location") != "/api/v1/links/"+x.ID {
		h.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return x
}

func (x linkBody) fragment() string {
	_, fragment, _ := strings.Cut(x.URL, "#")
	return fragment
}

var sameOrigin = map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}

// form posts a form of our own pages.
func (h *house) form(path string, cookie *http.Cookie, values url.Values) *httptest.ResponseRecorder {
	h.t.Helper()
	return h.do(ask{method: "POST", path: path, body: values.Encode(), contentType: "application/x-www-form-urlencoded", cookie: cookie, header: sameOrigin})
}

func TestAnAddressOnlyAsks(t *testing.T) {
	h := build(t, nil, nil)
	bill, vera, bea := h.cookie("bill@acme.example"), h.cookie("vera@emea.example"), h.cookie("bea@both.example")
	get := func(path string, c *http.Cookie) *httptest.ResponseRecorder {
		return h.do(ask{method: "GET", path: path, cookie: c, header: map[string]string{"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}})
	}
	for _, tt := range []struct {
		name, path string
		as         *http.Cookie
		has        []string
	}{
		{"a pause from the browser", "/act?action=pause&reason=card", bill, []string{"Pause the recording?", "bill@acme.example", "This browser asks 8x8", `name="reason" value="card"`, `target="offrecord-native-`, `data-route="session"`, "Nothing has been sent yet"}},
		{"a pause by the server", "/act?action=pause", vera, []string{"The server asks Vonage", `target="_self"`, `data-route="server"`}},
		{"a pause both ways", "/act?action=pause", bea, []string{"This browser asks 8x8", "The server asks, too"}},
		{"a resume of those", "/act?action=resume", bea, []string{"The server asks 8x8", "Resume recording"}},
		{"a resume asks", "/act?action=resume&reason=done", bill, []string{"Resume the recording?", `value="resume"`}},
		{"a trigger's, with an id", "/act?action=pause&origin=trigger:card-field&id=" + id1 + "&call=c1&utm_source=x", bill, []string{`name="origin" value="trigger:card-field"`, `name="id" value="` + id1, `name="call" value="c1"`}},
		{"markup", "/act?action=pause&reason=" + url.QueryEscape(`"><script>alert(1)</script>`), bill, []string{`value="&#34;&gt;&lt;script&gt;`}},
	} {
		w := get(tt.path, tt.as)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(w.Header().Get("Content-Security-Policy"), "wasm") {
			t.Errorf("%s: %d, %s", tt.name, w.Code, w.Header().Get("Content-Security-Policy"))
		}
		for _, want := range tt.has {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %q isn't there:\n%s", tt.name, want, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), "<script>alert") {
			t.Errorf("%s: script", tt.name)
		}
	}
	for _, path := range []string{"/act", "/act?action=toggle", "/act?action=pause&reason=4111+1111+1111+1111", "/act?action=pause&reason=a%0Ab", "/act?action=pause&reason=" + strings.Repeat("a", 201),
		"/act?action=pause&origin=hand", "/act?action=pause&origin=link", "/act?action=pause&id=1", "/act?action=do_not_record", "/act?action=pause&call=%ff"} {
		if w := get(path, bill); w.Code != 400 || strings.Contains(w.Body.String(), "4111") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, email := range []string{"bill@acme.example", "vera@emea.example", "bea@both.example"} {
		who, _ := h.Directory.Find(email)
		if all := h.dispatcher.Attempts(dispatch.Agent{Email: email, Platform: who.Platform}, 10); len(all) != 0 {
			t.Errorf("an address acted: %+v", all)
		}
	}
	// Who isn't logged in isn't redirected: a browser would take the fragment along.
	w := get("/act?action=pause&reason=card", nil)
	if w.Code != 401 || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), `href="/login?return=%2Fact%3Faction%3Dpause%26reason%3Dcard"`) {
		t.Errorf("nobody: %d %s", w.Code, w.Body)
	}
}

func TestThePressOnALinksPage(t *testing.T) {
	h := build(t, nil, nil)
	bill, vera := h.cookie("bill@acme.example"), h.cookie("vera@emea.example")
	w := h.form("/act", bill, url.Values{"action": {"pause"}, "id": {id1}, "transport": {"popup"}, "reason": {"card"}, "call": {"c1"}})
	to, _ := url.Parse(w.Header().Get("Location"))
	if w.Code != 303 || to.Host != "vcc.platform.example" || to.Query().Get("action") != "pause" || w.Body.Len() > 0 {
		t.Fatalf("%d to %s", w.Code, to.Host)
	}
	all := h.dispatcher.Attempts(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}, 10)
	if len(all) != 1 || all[0].ID != id1 || all[0].Origin != recording.Hand || all[0].Transport != recording.TransportPopup || all[0].Reason != "card" || all[0].Call != "c1" {
		t.Fatalf("%+v", all)
	}
	said := func(cookie *http.Cookie, id string) (body struct {
		State, Outcome, Headline, Card string
		Settled, Alarm                 bool
		Steps, Advice                  []string
	}) {
		t.Helper()
		w := h.do(ask{method: "GET", path: "/act/said?id=" + id, cookie: cookie})
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 200 || body.Steps == nil || body.Advice == nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return body
	}
	if s := said(bill, id1); s.Settled || s.State != "pausing" || !s.Alarm || s.Card != "Do not take the card yet" {
		t.Errorf("%+v", s)
	}
	if w := h.do(ask{method: "GET", path: "/act/said?id=" + id1, cookie: vera}); w.Code != 404 {
		t.Errorf("a stranger's: %d", w.Code)
	}
	// A trigger's hold is its own.
	h.form("/act", bill, url.Values{"action": {"pause"}, "id": {id2}, "origin": {"trigger:card-field"}})
	if holds := h.dispatcher.Snapshot(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}).Holds; len(holds) != 2 || holds[1].Origin != "trigger:card-field" {
		t.Errorf("%+v", holds)
	}
	h.form("/act", bill, url.Values{"action": {"resume"}})
	if holds := h.dispatcher.Snapshot(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}).Holds; len(holds) != 0 {
		t.Errorf("the hand's resume leaves %+v", holds)
	}
	// By the server: a page that says what is known, and for the script the same as JSON.
	w = h.form("/act", vera, url.Values{"action": {"pause"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), `data-state="paused" data-outcome="confirmed"`) || !strings.Contains(w.Body.String(), "You can take the card") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = h.do(ask{method: "POST", path: "/act", body: "action=resume&id=" + id1, contentType: "application/x-www-form-urlencoded", cookie: vera,
		header: map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"outcome":"confirmed"`) || !strings.Contains(w.Body.String(), `"settled":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h.accounts["emea"].answers(recording.Failed)
	w = h.form("/act", vera, url.Values{"action": {"pause"}})
	if w.Code != 200 || strings.Contains(w.Body.String(), "You can take the card") || !strings.Contains(w.Body.String(), "Do not take the card yet") || !strings.Contains(w.Body.String(), "I paused it there") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// What isn't our own page's doesn't count.
	for name, header := range map[string]map[string]string{
		"another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, "another host of the site": {"Sec-Fetch-Site": "same-site"},
		"a sandbox": {"Origin": "null"}, "an old browser elsewhere": {"Origin": "https://evil.example"}, "a browser that says nothing": {},
	} {
		for _, path := range []string{"/act", "/act/link"} {
			w := h.do(ask{method: "POST", path: path, body: "action=pause", contentType: "application/x-www-form-urlencoded", cookie: bill, header: header})
			if w.Code != 403 {
				t.Errorf("%s, %s: %d", path, name, w.Code)
			}
		}
	}
}

func TestAResumeOfALinksPageThatCannotBeWrittenDown(t *testing.T) {
	h := build(t, nil, brokenLog{})
	bill := h.cookie("bill@acme.example")
	w := h.form("/act", bill, url.Values{"action": {"resume"}})
	if w.Code != 503 || !strings.Contains(w.Body.String(), "Resume without record") || !strings.Contains(w.Body.String(), `name="without_record" value="yes"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w = h.form("/act", bill, url.Values{"action": {"resume"}, "without_record": {"yes"}}); w.Code != 303 {
		t.Errorf("without record: %d", w.Code)
	}
}

func TestALinkPausesForItsAgentOnly(t *testing.T) {
	h, b := withLinks(t)
	bill, jo, vera, sue := h.cookie("bill@acme.example"), h.cookie("jo@acme.example"), h.cookie("vera@emea.example"), h.login("sue@acme.example")
	x := h.link(bill.Value, "card")
	if !strings.HasPrefix(x.URL, "http://example.com/act?action=pause&reason=card#"+x.ID+".") || x.Action != "pause" || x.Agent != "bill@acme.example" {
		t.Errorf("%+v", x)
	}
	billAgent := dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}
	count := func() int { return len(h.dispatcher.Attempts(billAgent, 50)) }
	follow := func(as *http.Cookie, fragment string, more url.Values) *httptest.ResponseRecorder {
		values := url.Values{"link": {fragment}, "transport": {"iframe"}}
		for k, v := range more {
			values[k] = v
		}
		return h.form("/act/link", as, values)
	}
	if w := follow(bill, x.fragment(), url.Values{"id": {id1}, "action": {"resume"}, "reason": {"something else"}}); w.Code != 303 || !strings.Contains(w.Header().Get("Location"), "action=pause") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a, err := h.dispatcher.Attempt(billAgent, id1); err != nil || a.Origin != recording.Link || a.Reason != "card" || a.Action != recording.Pause {
		t.Errorf("%+v, %v", a, err)
	}
	follow(bill, x.fragment(), url.Values{"origin": {"trigger:card-field"}})
	if holds := h.dispatcher.Snapshot(billAgent).Holds; len(holds) != 2 || holds[0].Origin != recording.Link || holds[1].Origin != "trigger:card-field" {
		t.Errorf("%+v", holds)
	}
	before := count()
	for name, w := range map[string]*httptest.ResponseRecorder{
		"a colleague": follow(jo, x.fragment(), nil), "of another platform": follow(vera, x.fragment(), nil), "nothing": follow(bill, "", nil),
		"forged": follow(bill, x.fragment()[:len(x.fragment())-4]+"AAAA", nil),
		"guessed by the browser": h.do(ask{method: "POST", path: "/act/link", body: "link=" + x.fragment(), contentType: "application/x-www-form-urlencoded", cookie: bill,
			header: map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Purpose": "prefetch;prerender"}}),
		"from another site": h.do(ask{method: "POST", path: "/act/link", body: "link=" + x.fragment(), contentType: "application/x-www-form-urlencoded", cookie: bill,
			header: map[string]string{"Sec-Fetch-Site": "cross-site"}}),
	} {
		if w.Code != 403 || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := follow(nil, x.fragment(), nil); w.Code != 401 {
		t.Errorf("without a session: %d", w.Code)
	}
	if count() != before {
		t.Error("something was asked for")
	}

	list := func(bearer string) (items []linkBody) {
		t.Helper()
		var body struct{ Items []linkBody }
		w := h.do(ask{method: "GET", path: "/api/v1/links", bearer: bearer})
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 200 || body.Items == nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return body.Items
	}
	if mine := list(bill.Value); len(mine) != 1 || mine[0].URL != x.URL || mine[0].Uses != 2 {
		t.Errorf("%+v", mine)
	}
	if theirs := list(jo.Value); len(theirs) != 0 {
		t.Errorf("%+v", theirs)
	}
	// Only its owner and a supervisor may revoke it, and then it is none.
	if w := h.do(ask{method: "DELETE", path: "/api/v1/links/" + x.ID, bearer: jo.Value}); w.Code != 404 {
		t.Errorf("a colleague revokes: %d", w.Code)
	}
	if w := h.do(ask{method: "DELETE", path: "/api/v1/links/" + x.ID, bearer: sue}); w.Code != 204 {
		t.Errorf("a supervisor revokes: %d", w.Code)
	}
	if w := h.do(ask{method: "DELETE", path: "/api/v1/links/" + x.ID, bearer: bill.Value}); w.Code != 404 {
		t.Errorf("again: %d", w.Code)
	}
	if w := follow(bill, x.fragment(), nil); w.Code != 403 {
		t.Errorf("revoked: %d", w.Code)
	}
	var told []string
	for _, r := range b.written {
		if r.Kind == audit.LinkChanged {
			told = append(told, fmt.Sprint(r.Detail, " ", r.Reason, " ", r.Agent, " ", r.By, " ", r.Origin, " ", r.Attempt.String() == id1))
		}
	}
	want := []string{"made " + x.ID + " card bill@acme.example   false", "used " + x.ID + " card bill@acme.example  link true", "used " + x.ID + " card bill@acme.example  link false",
		"revoked " + x.ID + " card bill@acme.example sue@acme.example  false"}
	if !slices.Equal(told, want) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	_, signature, _ := strings.Cut(x.fragment(), ".")
	if strings.Contains(h.log.String(), signature) || strings.Contains(fmt.Sprint(b.written, b.refused), signature) {
		t.Error("a signature is written down")
	}
}

func TestTheLinksAPI(t *testing.T) {
	h, _ := withLinks(t)
	bill, ann := h.login("bill@acme.example"), h.login("ann@acme.example")
	for _, tt := range []struct {
		name, as, body string
		status         int
	}{
		{"for a while", bill, `{"purpose":"card","expires_in":"720h","action":"pause"}`, 201},
		{"a resume", bill, `{"purpose":"card","action":"resume"}`, 422},
		{"nothing", bill, `{}`, 400},
		{"too short", bill, `{"purpose":"card","expires_in":"1s"}`, 400},
		{"no duration", bill, `{"purpose":"card","expires_in":"soon"}`, 400},
		{"a card number", bill, `{"purpose":"4111111111111111"}`, 400},
		{"for somebody else", bill, `{"purpose":"card","agent":"jo@acme.example"}`, 400},
		{"without a platform", ann, `{"purpose":"card"}`, 403},
	} {
		if w := h.do(ask{method: "POST", path: "/api/v1/links", body: tt.body, bearer: tt.as}); w.Code != tt.status || strings.Contains(w.Body.String(), "4111") {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
	for range 63 {
		h.link(bill, "card")
	}
	if w := h.do(ask{method: "POST", path: "/api/v1/links", body: `{"purpose":"card"}`, bearer: bill}); w.Code != 409 {
		t.Errorf("one too many: %d", w.Code)
	}
	if w := h.do(ask{method: "DELETE", path: "/api/v1/links/" + id1, bearer: bill}); w.Code != 404 {
		t.Errorf("none: %d", w.Code)
	}
	// Without a store of links there are none, and nothing breaks.
	bare := build(t, nil, nil)
	bill = bare.login("bill@acme.example")
	for _, a := range []ask{{method: "GET", path: "/api/v1/links"}, {method: "POST", path: "/api/v1/links", body: `{"purpose":"card"}`}, {method: "DELETE", path: "/api/v1/links/" + id1},
		{method: "POST", path: "/act/link", body: "link=x.y", contentType: "application/x-www-form-urlencoded"}} {
		a.bearer = bill
		if w, want := bare.do(a), map[string]int{"GET": 200, "DELETE": 404}[a.method]; want != 0 && w.Code != want || w.Code == 500 {
			t.Errorf("%s %s: %d", a.method, a.path, w.Code)
		}
	}
	public := build(t, func(o *httpapi.Options) { o.Links, o.PublicURL = h.Links, "https://offrecord.example.com" }, nil)
	if x := public.link(public.login("jo@acme.example"), "card"); !strings.HasPrefix(x.URL, "https://offrecord.example.com/act?") {
		t.Errorf("%+v", x)
	}
}

// Everywhere that an answer sends a browser is on this list, whatever was asked for.
func TestRedirectsLeadToTheseAddressesOnly(t *testing.T) {
	h, _ := withLinks(t)
	cookie, vera := h.cookie("bill@acme.example"), h.cookie("vera@emea.example")
	fragment := h.link(cookie.Value, "card").fragment()
	known := regexp.MustCompile(`^(/|/login(\?return=(%2F(setup|evidence(%2Fchats)?|alerts|login%2Fpopup%2Fconfirm)|%2Fact%3Faction%3D(pause|resume)[A-Za-z0-9%.+_-]*))?|/alerts|/setup|/evidence|/login/popup/confirm|` +
		`/act\?action=(pause|resume)(&(call|id|origin|reason)=[A-Za-z0-9%.+_-]*)*|/assets/icon\.[0-9a-f]+\.svg|/probe/|/api/v1/(attempts|links)/[0-9a-f-]{36}|` +
		`https://vcc\.platform\.example/AGUI/controlRecording\.php\?[^#]*)$`)
	evil := []string{"", "https://evil.example/", "//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)", "/act?action=pause&reason=card#x", "/act?action=toggle", "/%2f/evil.example",
		"http://evil.example@example.com/", "/login", "/setup?next=//evil.example", "\x00", "/act?action=resume&reason=%22%0d%0aLocation:%20//evil.example", "/alerts#x"}
	methods := []string{"GET", "POST"}
	asked, redirected := 0, map[string]int{}
	for _, r := range httpapi.Routes() {
		if r.Pattern == "/api/v1/events" {
			continue
		}
		path := strings.NewReplacer("{$}", "", "{id}", id1, "{name}", "x").Replace(r.Pattern)
		for _, to := range evil {
			values := url.Values{"wait": {"1ms"}, "action": {"pause"}, "email": {"bill@acme.example"}, "link": {fragment}, "confirmed": {"yes"}}
			for _, key := range []string{"return", "next", "redirect", "redirect_uri", "url", "to", "continue", "state", "code", "challenge", "reason", "call"} {
				values.Set(key, to)
			}
			for _, key := range []string{"reason", "call"} {
				if strings.ContainsAny(to, "\x00\r\n") {
					values.Del(key)
				}
			}
			for _, method := range methods {
				for _, as := range []*http.Cookie{nil, cookie, vera} {
					for _, accept := range []string{"text/html", "application/json"} {
						w := h.do(ask{method: method, path: path + "?" + values.Encode(), body: values.Encode(), contentType: "application/x-www-form-urlencoded", cookie: as,
							header: map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": accept, "X-Forwarded-Host": "evil.example", "X-Original-URL": "//evil.example"}})
						asked++
						location := w.Header().Get("Location")
						if location == "" {
							continue
						}
						redirected[r.Pattern]++
						if !known.MatchString(location) {
							t.Errorf("%s %s with %q leads to %q", method, r.Pattern, to, location)
						}
					}
				}
			}
		}
	}
	for _, path := range []string{"//evil.example/", "//evil.example/%2e%2e", "/\\evil.example", "/a/../login", "/./login", "/login/", "/act/", "/probe", "/%2e%2e/login", "/assets/../../etc/passwd", "/assets/..%2f..%2fetc/passwd", "//", "/x//y"} {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := url.ParseRequestURI(path)
		if err != nil {
			continue
		}
		r.URL, r.RequestURI = u, path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		asked++
		if location := w.Header().Get("Location"); location != "" && !known.MatchString(location) {
			t.Errorf("%s leads to %q", path, location)
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("X-Content-Type-Options") == "" {
			t.Errorf("%s: %d without our headers", path, w.Code)
		}
	}
	t.Logf("%d requests; routes that redirected: %v", asked, redirected)
	if len(redirected) < 5 {
		t.Error("hardly anything redirected: this looks at nothing")
	}
}

// The drawings that the program sets as markup are those that the page's policy takes.
func TestTheProgramsDrawingsAreTrusted(t *testing.T) {
	source, err := os.ReadFile("../site/static/trust.js")
	if err != nil {
		t.Fatal(err)
	}
	attribute := regexp.MustCompile(`const attribute = '(.*)';`).FindSubmatch(source)
	pattern := regexp.MustCompile("new RegExp\\(`(.*)`\\)").FindSubmatch(source)
	if attribute == nil || pattern == nil {
		t.Fatal("trust.js has another shape now")
	}
	taken := regexp.MustCompile(strings.ReplaceAll(string(pattern[1]), "${attribute}", strings.ReplaceAll(string(attribute[1]), `\\`, `\`)))
	drawing := regexp.MustCompile(`(?s)<svg.*?</svg>`)
	seen := map[string]bool{}
	for _, state := range []recording.State{recording.Recording, recording.Pausing, recording.Paused, recording.Resuming, recording.Stopped, recording.Declined, recording.StateUnknown, recording.Idle} {
		decided := time.Now()
		pause := recording.Attempt{ID: id1, Action: recording.Pause, Outcome: recording.Confirmed, RequestedAt: decided, DecidedAt: &decided, State: state}
		for _, draw := range drawing.FindAllString(panel.HTML(panel.View{Link: panel.Live, PlatformKind: "8x8", CanDecline: true, CanResumeWithoutRecord: true, Now: decided,
			Attempts: []recording.Attempt{pause}, Snapshot: recording.Snapshot{State: state, AsOf: decided, Since: decided, Attempt: &pause}}), -1) {
			seen[draw] = true
			if !taken.MatchString(draw) {
				t.Errorf("%s isn't taken", draw)
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("only %d drawings were seen", len(seen))
	}
	for _, evil := range []string{`<svg onload="alert(1)"></svg>`, `<svg class="x"><script>alert(1)</script></svg>`, `<svg><path d="x" onclick="1"/></svg>`, `<svg><use href="x"/></svg>`, `<img src=x>`,
		`<svg class="a"><path d="x"/></svg><b>`, `<svg class="a" style="x"></svg>`, `<svg><a href="x"/></svg>`, ``} {
		if taken.MatchString(evil) {
			t.Errorf("%s is taken", evil)
		}
	}
}

func FuzzActAddress(f *testing.F) {
	for _, s := range []string{"action=pause&reason=card", "action=resume", "action=pause&id=" + id1 + "&origin=trigger:x&call=c", "action=pause&reason=%00", "action=pause&reason=4111111111111111", "a=%zz"} {
		f.Add(s)
	}
	h := build(f, nil, nil)
	cookie := h.cookie("bill@acme.example")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/act", nil)
		r.URL.RawQuery = query
		r.AddCookie(cookie)
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		h.t = t
		h.sane(w, r)
		h.log.forget()
		if w.Header().Get("Location") != "" || len(h.dispatcher.Attempts(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}, 1)) != 0 {
			t.Errorf("%q did something", query)
		}
	})
}

// FuzzLinkForm posts a fragment and what comes with it.
func FuzzLinkForm(f *testing.F) {
	h, b := withLinks(f)
	cookie := h.cookie("bill@acme.example")
	good := h.link(h.login("jo@acme.example"), "card").fragment()
	f.Add("link=" + good)
	f.Add("link=" + id1 + ".AAAA&id=" + id1 + "&transport=popup&call=c&origin=trigger:x")
	f.Add("link=.&link=.")
	f.Add("link=%zz")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/act/link", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		h.t = t
		h.sane(w, r)
		h.log.forget()
		b.mu.Lock()
		b.refused = nil
		b.mu.Unlock()
		if w.Code < 400 || len(h.dispatcher.Attempts(dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}, 1)) != 0 {
			t.Errorf("%q paused: %d", body, w.Code)
		}
	})
}
