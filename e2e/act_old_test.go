package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
)

// The page of a link that stays open says no more of the recording than what is so now.
func TestThePageOfALinkDoesNotOutliveItsWord(t *testing.T) {
	t.Parallel()
	s, p := newServerStage(t, posts()["vonage"])
	b := browser.Launch(t, s.net, browser.ThirdPartyBlocked)
	tab := b.Tab(t)
	s.enter(t, tab, &p.desk)
	p.begin()
	tab.Open(s.url + pauseAddress)
	tab.Click("button", "Pause recording")
	if got := actSettled(tab); got != recording.Confirmed || !strings.Contains(tab.Text("main"), "You can take the card") {
		t.Fatalf("the pause is %s:\n%s", got, tab.Text("main"))
	}
	const claims = `document.querySelector('main').innerText.includes('You can take the card')`
	bearer := s.bearer(t, p.email())
	order := func(action string) {
		t.Helper()
		if body, status := s.call(t, bearer, http.MethodPost, "/api/v1/actions", `{"id":"`+uuid.NewString()+`","action":"`+action+`"}`); status != http.StatusOK {
			t.Fatalf("%s: %d %s", action, status, body)
		}
	}
	order("resume")
	tab.Until(`!` + claims)
	order("pause")
	tab.Until(claims)
	s.stop(t)
	tab.Allow(`ERR_CONNECTION_REFUSED|Failed to load resource`)
	tab.Until(`!` + claims)
}
