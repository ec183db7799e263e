package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
)

func (h *house) state(bearer string) (s recording.Snapshot) {
	h.t.Helper()
	w := h.do(ask{method: "GET", path: "/api/v1/state", bearer: bearer})
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != 200 {
		h.t.Fatalf("the state: %d %s", w.Code, w.Body)
	}
	return s
}

func TestKeepPaused(t *testing.T) {
	h := build(t, nil, nil)
	h.limit = dispatch.Limit{Max: 3 * time.Minute, Extensions: 1}
	const id = "0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d"
	bill, jo := h.login("bill@acme.example"), h.login("jo@acme.example")
	if w := h.do(ask{method: "POST", path: "/api/v1/attempts", bearer: bill, body: `{"id":"` + id + `","action":"pause","transport":"iframe","for":"1m30s"}`}); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	before := h.state(bill)
	if before.AutoResumeAt == nil || before.AutoResumeAt.Sub(before.Attempt.RequestedAt) != 90*time.Second || before.Pause != id || before.ExtensionsLeft != 1 {
		t.Fatalf("%+v", before)
	}
	extend := func(bearer, id string, status int, says string) recording.Snapshot {
		t.Helper()
		w := h.do(ask{method: "POST", path: "/api/v1/pauses/" + id + "/extend", bearer: bearer})
		if w.Code != status {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var s recording.Snapshot
		if status != 200 {
			if p := h.problem(w); p.Code != "invalid" && bearer != "" || !strings.Contains(p.Detail, says) {
				t.Errorf("%+v", p)
			}
		} else if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	extend("", id, 401, "")
	extend(jo, id, 404, "no such pause")
	extend(bill, "7c1e2f3a-1111-4d7b-9d0e-1c2f3a4b5c6d", 404, "no such pause")
	extend(bill, "x", 404, "no such pause")
	for range 2 { // the second is the same press
		if s := extend(bill, id, 200, ""); s.ExtensionsLeft != 0 || !s.AutoResumeAt.Equal(before.AutoResumeAt.Add(3*time.Minute)) {
			t.Errorf("%+v", s)
		}
	}
	// Whoever signs out and in again finds the pause as it was.
	if w := h.do(ask{method: "POST", path: "/api/v1/logout", bearer: bill}); w.Code/100 != 2 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	bill = h.login("bill@acme.example")
	if s := h.state(bill); s.Pause != id || s.AutoResumeAt == nil || len(s.Holds) != 1 || s.ExtensionsLeft != 0 {
		t.Errorf("signed in again: %+v", s)
	}
	if w := h.do(ask{method: "POST", path: "/api/v1/attempts", bearer: bill, body: `{"id":"7c1e2f3a-1111-4d7b-9d0e-1c2f3a4b5c6d","action":"resume","transport":"iframe"}`}); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	extend(bill, id, 409, "isn't open")
	if s := h.state(bill); s.AutoResumeAt != nil || s.Pause != "" {
		t.Errorf("resumed: %+v", s)
	}
}

func TestThePanelsFormKeepsPaused(t *testing.T) {
	h := build(t, nil, nil)
	h.limit = dispatch.Limit{Max: 3 * time.Minute, Extensions: 1}
	vera := h.login("vera@emea.example")
	cookie := h.cookie("vera@emea.example")
	for _, open := range []bool{false, true} { // with nothing to keep, it shows the panel
		if open {
			if w := h.do(ask{method: "POST", path: "/api/v1/actions", bearer: vera, body: `{"id":"0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d","action":"pause"}`}); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		if w := h.form("/native/extend", cookie, nil); w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if s := h.state(vera); s.ExtensionsLeft != 0 || s.AutoResumeAt.Sub(s.Attempt.RequestedAt) != 6*time.Minute {
		t.Errorf("%+v", s)
	}
	if w := h.form("/native/extend", cookie, nil); w.Code != 303 {
		t.Errorf("once too often: %d %s", w.Code, w.Body)
	}
}

func TestNobodyAsksInTheServersName(t *testing.T) {
	h := build(t, nil, nil)
	for path, who := range map[string]string{"/api/v1/actions": "vera@emea.example", "/api/v1/attempts": "bill@acme.example"} {
		body := `{"id":"0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d","action":"resume","origin":"timer"`
		if path == "/api/v1/attempts" {
			body += `,"transport":"iframe"`
		}
		if w := h.do(ask{method: "POST", path: path, bearer: h.login(who), body: body + "}"}); w.Code != 400 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
