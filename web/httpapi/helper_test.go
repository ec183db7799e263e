package httpapi_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a helper is said to have taken is what one has taken: a trigger that is told so looks for no other way. And what a helper
// didn't take in time it may not carry out any more: by then there is another way, or a newer wish.
func TestAWishIsHandedToAHelperOrToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, nil, nil)
		bill := h.login("bill@acme.example")
		next := func(wait string) (int, string) {
			w := h.do(ask{method: "POST", path: "/helper/next?wait=" + wait, bearer: bill})
			return w.Code, w.Body.String()
		}
		take := func(bearer, id string) bool {
			return strings.Contains(h.do(ask{method: "POST", path: "/helper/take", body: `{"id":"` + id + `"}`, bearer: bearer}).Body.String(), `"wanted":true`)
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
			if take(h.login("jo@acme.example"), id2) {
				t.Error("another agent's helper took it")
			}
			if !take(bill, id2) {
				t.Error("nobody wants what was asked for a second ago")
			}
			if take(bill, id2) {
				t.Error("it was taken twice")
			}
		})
		if got := wish(id2); got != 204 {
			t.Errorf("between two questions: %d", got)
		}
		synctest.Wait()

		// The answer to its question reaches the helper late, as after a network that was away.
		go next("1s")
		synctest.Wait()
		began := time.Now()
		if got := wish(id3); got != 404 || time.Since(began) > 2*time.Second {
			t.Errorf("a helper without a network: %d after %v", got, time.Since(began))
		}
		if take(bill, id3) {
			t.Error("what was given up is carried out")
		}

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
