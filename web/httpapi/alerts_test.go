package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/alert"
	"offrecord/web/httpapi"
	"offrecord/web/store"
)

// withAlerts is a house with alerts: one of bill's, one of vera's, and one of nobody's.
func withAlerts(t *testing.T) (*house, *alert.Alerts) {
	t.Helper()
	db, err := store.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := alert.Open(t.Context(), alert.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { alerts.Close(); db.Close() })
	at := time.Now().Add(-90 * time.Minute)
	for i, a := range []recording.Alert{
		{Kind: recording.AlertFailed, Agent: "bill@acme.example", Platform: "acme", Attempt: id1, Text: "The pause didn't work: <look>."},
		{Kind: recording.AlertOverdue, Agent: "vera@emea.example", Platform: "emea", Call: "c-17", Attempt: id2, Text: "Over its time."},
		{Kind: recording.AlertLog, Text: "The log can't be written."},
	} {
		a.RaisedAt = at.Add(time.Duration(i) * time.Minute)
		alerts.Raise(a)
	}
	return build(t, func(o *httpapi.Options) { o.Alerts = alerts }, nil), alerts
}

func list(t *testing.T, w *httptest.ResponseRecorder) (page alert.Page) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return page
}

func TestSupervisorsSeeAndAcknowledgeAlerts(t *testing.T) {
	h, _ := withAlerts(t)
	sue, bill := h.login("sue@acme.example"), h.login("bill@acme.example")
	for _, path := range []string{"/api/v1/alerts", "/alerts"} {
		if w := h.do(ask{method: "GET", path: path, bearer: bill}); w.Code != http.StatusForbidden {
			t.Errorf("an agent at %s: %d", path, w.Code)
		}
	}
	all := list(t, h.do(ask{method: "GET", path: "/api/v1/alerts?open=true", bearer: sue})).Items
	if len(all) != 3 || all[0].Kind != recording.AlertLog || all[2].Agent != "bill@acme.example" {
		t.Fatalf("%+v", all)
	}
	if w := h.do(ask{method: "POST", path: "/api/v1/alerts/" + all[0].ID + "/ack", bearer: bill}); w.Code != http.StatusForbidden {
		t.Errorf("an agent acknowledges: %d", w.Code)
	}
	for range 2 {
		w := h.do(ask{method: "POST", path: "/api/v1/alerts/" + all[0].ID + "/ack", bearer: sue})
		var acked recording.Alert
		if err := json.Unmarshal(w.Body.Bytes(), &acked); err != nil || w.Code != http.StatusOK || acked.AckedBy != "sue@acme.example" || acked.ID != all[0].ID {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if open := list(t, h.do(ask{method: "GET", path: "/api/v1/alerts?open=1", bearer: sue})).Items; len(open) != 2 {
		t.Errorf("still open: %+v", open)
	}
	first := list(t, h.do(ask{method: "GET", path: "/api/v1/alerts?limit=2", bearer: sue}))
	second := list(t, h.do(ask{method: "GET", path: "/api/v1/alerts?limit=2&cursor=" + url.QueryEscape(first.Next), bearer: sue}))
	if len(first.Items) != 2 || first.Items[0].AckedAt == nil || len(second.Items) != 1 || second.Next != "" {
		t.Errorf("%+v\n%+v", first, second)
	}
	for _, query := range []string{"open=maybe", "limit=0", "limit=1001", "limit=x", "cursor=x", "agent=bill"} {
		if w := h.do(ask{method: "GET", path: "/api/v1/alerts?" + query, bearer: sue}); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
	if p := h.problem(h.do(ask{method: "POST", path: "/api/v1/alerts/nonsense/ack", bearer: sue})); p.Status != http.StatusNotFound {
		t.Errorf("an alert that isn't there: %+v", p)
	}
}

func TestTheAlertsPageNeedsNoScript(t *testing.T) {
	h, alerts := withAlerts(t)
	cookie := h.cookie("sue@acme.example")
	same := map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
	get := func() string {
		t.Helper()
		w := h.do(ask{method: "GET", path: "/alerts", cookie: cookie, header: same})
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	page := get()
	for _, want := range []string{`<title>(3) Alerts`, `role="status">3 alerts are open.`, "bill@acme.example on acme", "The pause didn&#39;t work: &lt;look&gt;.", "for 1 h 30 min", "told once",
		"call c-17", `aria-label="Acknowledge: A pause or resume didn&#39;t work, bill@acme.example on acme"`, "The log can&#39;t be written"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Index(page, "bill@acme.example on acme") > strings.Index(page, "vera@emea.example on emea") || strings.Contains(page, " style=") {
		t.Error("the oldest isn't first, or there are inline styles")
	}
	if strings.Contains(page, `<a href="/">Panel`) {
		t.Error("there is a way to a panel that sue doesn't have")
	}
	id := alerts.Unacknowledged("bill@acme.example")[0].ID
	w := h.do(ask{method: "POST", path: "/alerts", cookie: cookie, body: "id=" + id, contentType: "application/x-www-form-urlencoded", header: same})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/alerts" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if page = get(); !strings.Contains(page, "2 alerts are open.") || !strings.Contains(page, "Acknowledged by sue@acme.example") {
		t.Error("it isn't shown as acknowledged")
	}
	w = h.do(ask{method: "POST", path: "/alerts", cookie: cookie, body: "id=" + id, contentType: "application/x-www-form-urlencoded", header: map[string]string{"Sec-Fetch-Site": "cross-site"}})
	if w.Code != http.StatusForbidden {
		t.Errorf("from another site: %d", w.Code)
	}
	if w := h.do(ask{method: "GET", path: "/alerts?cursor=x", cookie: cookie, header: same}); w.Code != http.StatusBadRequest {
		t.Errorf("a cursor of nobody: %d", w.Code)
	}
	for _, a := range alerts.Unacknowledged("") {
		if _, err := alerts.Ack(t.Context(), a.ID, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if page = get(); !strings.Contains(page, "No alert is open.") || !strings.Contains(page, "Nothing needs anybody now.") || !strings.Contains(page, "<title>Alerts") {
		t.Error("an end isn't shown")
	}
}

// brokenAlerts can't be read, and their webhook takes nothing.
type brokenAlerts struct {
	httpapi.Alerts
	trouble alert.Trouble
}

func (brokenAlerts) List(context.Context, alert.Filter) (alert.Page, error) {
	return alert.Page{}, errors.New("disk full")
}
func (b brokenAlerts) Trouble() alert.Trouble { return b.trouble }

func TestTheAlertsPageSaysWhatIsWrong(t *testing.T) {
	_, alerts := withAlerts(t)
	for says, trouble := range map[string]alert.Trouble{
		"nobody is told by the webhook: the webhook answered HTTP 500. It is tried again": {Why: "the webhook answered HTTP 500", Since: time.Now()},
		"says that it is gone": {Why: "x", Gone: true},
	} {
		h := build(t, func(o *httpapi.Options) { o.Alerts = brokenAlerts{alerts, trouble} }, nil)
		w := h.do(ask{method: "GET", path: "/alerts", bearer: h.login("ann@acme.example"), header: map[string]string{"Accept": "text/html"}})
		if page := w.Body.String(); w.Code != 200 || !strings.Contains(page, says) || !strings.Contains(page, "Earlier alerts can&#39;t be read") || !strings.Contains(page, "3 alerts are open") {
			t.Errorf("%d %s", w.Code, page)
		}
		if p := h.problem(h.do(ask{method: "GET", path: "/api/v1/alerts", bearer: h.login("ann@acme.example")})); p.Code != "log_unavailable" {
			t.Errorf("%+v", p)
		}
	}
}

func TestWhereSupervisorsAreLed(t *testing.T) {
	h, _ := withAlerts(t)
	html := map[string]string{"Accept": "text/html"}
	if w := h.do(ask{method: "GET", path: "/", bearer: h.login("sue@acme.example"), header: html}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/alerts" {
		t.Errorf("a supervisor without a platform: %d %v", w.Code, w.Header())
	}
	w := h.do(ask{method: "GET", path: "/alerts", header: html})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?return=%2Falerts" {
		t.Errorf("nobody yet: %d %v", w.Code, w.Header())
	}
	w = h.do(ask{method: "POST", path: "/login/demo", body: "email=sue@acme.example&return=/alerts", contentType: "application/x-www-form-urlencoded", header: map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/alerts" {
		t.Errorf("logged in: %d %v", w.Code, w.Header())
	}
	w = h.do(ask{method: "GET", path: "/alerts", bearer: h.login("bill@acme.example"), header: html})
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "This is for supervisors") {
		t.Errorf("an agent: %d %s", w.Code, w.Body)
	}
}

// follow reads the events of a stream, as name and data, until enough says so.
func follow(t *testing.T, h *house, bearer string, enough func([][2]string) bool) (seen [][2]string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	defer answer.Body.Close()
	var name string
	for lines := bufio.NewScanner(answer.Body); !enough(seen) && lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = n
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && name != "beat" {
			seen = append(seen, [2]string{name, data})
		}
	}
	return seen
}

func TestAlertsAreStreamedToWhomTheyConcern(t *testing.T) {
	h, alerts := withAlerts(t)
	raise := func(seen [][2]string, at int) { // once, when that much was seen
		if len(seen) == at {
			alerts.Raise(recording.Alert{Kind: recording.AlertUnknown, Agent: "vera@emea.example", Attempt: "33333333-3333-4333-8333-333333333333", Text: "vera's."})
			alerts.Raise(recording.Alert{Kind: recording.AlertUnknown, Agent: "bill@acme.example", Attempt: "44444444-4444-4444-8444-444444444444", Text: "bill's."})
		}
	}
	about := func(seen [][2]string) (all []string) {
		for _, e := range seen {
			var a recording.Alert
			if err := json.Unmarshal([]byte(e[1]), &a); err != nil {
				t.Fatal(err)
			}
			if e[0] == "alert" {
				all = append(all, string(a.Kind)+" "+a.Agent)
			}
		}
		return all
	}
	sue := about(follow(t, h, h.login("sue@acme.example"), func(seen [][2]string) bool { raise(seen, 3); return len(seen) == 5 }))
	if want := []string{"attempt_failed bill@acme.example", "pause_overdue vera@emea.example", "log ", "attempt_unknown vera@emea.example", "attempt_unknown bill@acme.example"}; !slices.Equal(sue, want) {
		t.Errorf("a supervisor without a platform hears of %q", sue)
	}

	h, alerts = withAlerts(t)
	seen := follow(t, h, h.login("bill@acme.example"), func(seen [][2]string) bool {
		raise(seen, 1)
		return slices.ContainsFunc(seen, func(e [2]string) bool { return e[0] == "alert" })
	})
	if bill := about(seen); seen[0][0] != "state" || !slices.Equal(bill, []string{"attempt_unknown bill@acme.example"}) {
		t.Errorf("an agent hears of %q", bill)
	}
}
