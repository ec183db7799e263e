package httpapi_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a helper is said to have taken is what one has taken: a trigger that is told so looks for no other way.
func TestAWishIsHandedToAHelperOrToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, nil, nil)
		bill := h.login("bill@acme.example")
		next := func(wait string) (int, string) {
			w := h.do(ask{method: "POST", path: "/helper/next?wait=" + wait, bearer: bill})
			return w.Code, w.Body.String()
		}
		wish := func(id string) int {
			return h.do(ask{method: "POST", path: "/widget/helper", body: `{"id":"` + id + `","action":"pause","origin":"trigger:field"}`, bearer: bill}).Code
		}
		if got := wish(id1); got != 404 {
			t.Errorf("without a helper: %d", got)
		}
		next("1ms") // and then it was closed
		if got := wish(id1); got != 404 {
			t.Errorf("just after the helper was closed: %d", got)
		}

		next("1ms")
		time.AfterFunc(time.Second, func() {
			if code, body := next("1s"); code != 200 || !strings.Contains(body, id2) {
				t.Errorf("the helper's next question: %d %s", code, body)
			}
		})
		if got := wish(id2); got != 204 {
			t.Errorf("between two questions: %d", got)
		}
		synctest.Wait()

		// A look takes nothing, and windows without end are none.
		for _, method := range []string{"GET", "HEAD"} {
			if w := h.do(ask{method: method, path: "/helper/next?wait=1ms", bearer: bill}); w.Code != 405 {
				t.Errorf("%s: %d", method, w.Code)
			}
		}
		for range 8 {
			go next("10s")
		}
		synctest.Wait()
		if code, _ := next("10s"); code != 429 {
			t.Errorf("one window more: %d", code)
		}
		time.Sleep(11 * time.Second)
		if code, _ := next("1ms"); code != 204 {
			t.Errorf("after they were closed: %d", code)
		}
	})
}

func TestThePageOfABookmarkThatResumesWaitsForItsOpener(t *testing.T) {
	h := build(t, nil, nil)
	w := h.do(ask{method: "GET", path: "/act/here?action=resume", cookie: h.cookie("bill@acme.example"), header: map[string]string{
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}})
	_, button, found := strings.Cut(w.Body.String(), "<button")
	if button, _, _ = strings.Cut(button, ">"); w.Code != 200 || !found || !strings.Contains(button+" ", " disabled ") {
		t.Errorf("%d: whoever opens it can put its button under somebody's second click: <button%s>", w.Code, button)
	}
}
