package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"offrecord/web/audit"
	"offrecord/web/httpapi"
)

func TestAWidgetsSessionIsACookieOfItsOwn(t *testing.T) {
	h := build(t, func(o *httpapi.Options) { o.EmbedOrigins = []string{"https://crm.example"} }, nil)
	bearer := h.login("bill@acme.example")
	if w := h.do(ask{method: "POST", path: "/widget/session", body: "{}", cookie: h.cookie("bill@acme.example"), header: map[string]string{"Sec-Fetch-Site": "same-origin"}}); w.Code != http.StatusBadRequest {
		t.Errorf("a cookie became another: %d", w.Code)
	}
	w := h.do(ask{method: "POST", path: "/widget/session", body: "{}", bearer: bearer})
	if w.Code != http.StatusNoContent || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d, cookies %v", w.Code, w.Result().Cookies())
	}
	c := w.Result().Cookies()[0]
	if !c.Partitioned || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteNoneMode || c.Path != "/" || c.Domain != "" || c.Name == "offrecord" {
		t.Errorf("the cookie is %v", c)
	}
	framed := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
	page := h.do(ask{method: "GET", path: "/widget?platform=acme", cookie: c, header: framed}).Body.String()
	if !strings.Contains(page, `id="panel-root"`) || strings.Contains(page, canary) {
		t.Errorf("the widget's page: %s", page)
	}
	if page := h.do(ask{method: "GET", path: "/widget?platform=emea", cookie: c, header: framed}).Body.String(); strings.Contains(page, `id="panel-root"`) || !strings.Contains(page, "this page is about emea") {
		t.Errorf("the widget of another platform: %s", page)
	}
	// Another site's page makes a browser send it, and gets nothing done.
	crossed := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://crm.example"}
	if w := h.do(ask{method: "POST", path: "/api/v1/attempts", cookie: c, header: crossed, body: `{"id":"` + id1 + `","action":"pause","transport":"iframe"}`}); w.Code != http.StatusForbidden {
		t.Errorf("a request that another site made was answered %d", w.Code)
	}
	w = h.do(ask{method: "POST", path: "/widget/logout", cookie: c, header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
	if w.Code != http.StatusNoContent || len(w.Result().Cookies()) != 1 || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("%d, cookies %v", w.Code, w.Result().Cookies())
	}
	if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: bearer}); w.Code != http.StatusUnauthorized {
		t.Errorf("the session outlived its end: %d", w.Code)
	}
}

func TestTheWayPastTheGuardIsWrittenDown(t *testing.T) {
	h, b := withBook(t)
	bearer := h.login("bill@acme.example")
	pass := func(body string) int {
		return h.do(ask{method: "POST", path: "/widget/pass", bearer: bearer, body: body}).Code
	}
	if code := pass(`{"reason":" "}`); code != http.StatusBadRequest {
		t.Errorf("without a reason: %d", code)
	}
	if code := pass(`{"reason":"the line is bad, 4111 1111 1111 1111"}`); code != http.StatusNoContent {
		t.Fatalf("%d", code)
	}
	var found []audit.Record
	for _, r := range b.written {
		if r.Kind == audit.GuardPassed {
			found = append(found, r)
		}
	}
	if len(found) != 1 || found[0].Agent.String() != "bill@acme.example" || !strings.HasPrefix(found[0].Reason.String(), "the line is bad") || strings.Contains(found[0].Reason.String(), "4111") {
		t.Errorf("the log has %+v", found)
	}
}

func TestTheLoaderMayBeLoadedFromAnywhere(t *testing.T) {
	h := build(t, nil, nil)
	for _, name := range []string{"v1.js", "v1.d.ts"} {
		w := h.do(ask{method: "GET", path: "/embed/" + name})
		if w.Code != http.StatusOK || w.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	if w := h.do(ask{method: "GET", path: "/embed/boot.js"}); w.Code != http.StatusNotFound {
		t.Errorf("another file is served as the loader: %d", w.Code)
	}
}

// The sample page of /setup is set by a few choices: what an address says besides is none of its triggers.
func TestTheSamplePageIsOneOfAFew(t *testing.T) {
	h := build(t, func(o *httpapi.Options) { o.PublicURL = "https://offrecord.example" }, nil)
	sue := h.login("sue@acme.example")
	get := func(path string) (string, string) {
		w := h.do(ask{method: "GET", path: path, bearer: sue})
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", path, w.Code)
		}
		_, script, _ := strings.Cut(w.Body.String(), "<script")
		script, _, _ = strings.Cut(script, "</script>")
		return script, w.Header().Get("Content-Security-Policy")
	}
	script, policy := get("/setup/sample?guard=accepted&after=2s&platform=acme&float")
	if !strings.Contains(script, ` data-guard="accepted"`) || !strings.Contains(script, ` data-resume-after="2s"`) || !strings.Contains(script, ` data-platform="acme"`) || !strings.Contains(script, "data-pause-on") {
		t.Errorf("what was chosen isn't set: %s", script)
	}
	if !strings.Contains(policy, "frame-ancestors 'self'") {
		t.Errorf("the sample's policy: %s", policy)
	}
	script, _ = get("/setup/sample?pause-path=*&data-pause-path=*&guard=none&after=1ms&platform=evil&on%22%20data-pause-path=%22*")
	if want := ` async src="/embed/v1.js" data-platform="">`; script != want {
		t.Errorf("an address set the triggers: %s", script)
	}
	for origin, want := range map[string]string{"https://offrecord.example": "frame-ancestors 'self'", "https://evil.example": "frame-ancestors 'none'"} {
		if _, policy := get("/widget?origin=" + origin); !strings.Contains(policy, want) {
			t.Errorf("asked for by %s: %s", origin, policy)
		}
	}
}

func TestSetupHoldsNoSecret(t *testing.T) {
	h := build(t, func(o *httpapi.Options) { o.PublicURL = "https://offrecord.example" }, nil)
	for _, who := range []string{"bill@acme.example", "vera@emea.example", "bea@both.example"} {
		w := h.do(ask{method: "GET", path: "/setup", bearer: h.login(who)})
		page := w.Body.String()
		if w.Code != http.StatusOK || strings.Contains(page, canary) || !strings.Contains(page, "javascript:") || strings.Contains(page, "ZgotmplZ") {
			t.Errorf("%s: %d %.300s", who, w.Code, page)
		}
		if !strings.Contains(page, "will not make a VCC call PCI Compliant") {
			t.Errorf("%s isn't told what a pause doesn't do", who)
		}
	}
	for path, bearer := range map[string]string{"/act/here?action=pause": h.login("bill@acme.example"), "/helper": h.login("bill@acme.example")} {
		if w := h.do(ask{method: "GET", path: path, bearer: bearer}); w.Code != http.StatusOK || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
