package e2e_test

import (
	"fmt"
	"net/url"
	"testing"

	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// The simulated platform's own page shows a person what the ledger says, whole on a narrow screen too, and claims nothing that it
// can't see any more.
func TestThePlatformsPageShowsTheTape(t *testing.T) {
	n := browser.NewNet(t)
	sim := agui.New(agui.Config{PanelURL: "https://" + panelName + "/"})
	at := n.ServeHTTP1(t, platformName, sim).URL
	t.Cleanup(sim.Close)
	tab := browser.Launch(t, n, browser.ThirdPartyAllowed).Tab(t)
	tab.Open(at + agui.LoginPath)
	tab.Click("button", "Log in as Bill bill@acme.example")

	shows := func(tape, word string, recording bool) {
		t.Helper()
		tab.Until(fmt.Sprintf(`document.body.dataset.tape === %q && document.body.dataset.link === 'live' && document.querySelector('#live .word').innerText === %q`, tape, word))
		if sim.Recording("bill") != recording {
			t.Errorf("the page shows %q, and the tape runs: %t", word, !recording)
		}
		for _, scheme := range []string{"light", "dark"} {
			tab.Prefer("prefers-color-scheme", scheme)
			for _, width := range []int64{320, 1024} {
				tab.Viewport(width, 640)
				if cut := browser.Eval[string](tab, `[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && !e.closest('svg') &&
					(e.getBoundingClientRect().right > innerWidth || e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible')).map(e => e.outerHTML.slice(0, 80)).join('\n')`); cut != "" {
					t.Errorf("%s, %s, %d px wide, cut off or outside:\n%s", word, scheme, width, cut)
				}
			}
		}
	}
	shows("none", "No call", false)
	tab.Click("button", "Start a call")
	shows("recording", "Recording", true)
	stranger, err := n.Client().Get(at + agui.ControlPath + "?" + url.Values{"action": {"resume"}, "token": {sim.ActionToken()}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	stranger.Body.Close()
	for range 8 {
		tab.Click("button", "Pause here")
		tab.Click("button", "Resume here")
	}
	shows("recording", "Recording", true)
	tab.Click("button", "Pause here")
	shows("silent", "Silent", false)
	tab.Until(`document.querySelector('.silences').innerText.startsWith('3 earlier') && document.querySelector('.silences').innerText.endsWith('now')`)

	tab.Click("button", "End call")
	shows("none", "No call", false)
	tab.Click("checkbox", "Record Bill’s calls from the next one on")
	tab.Click("button", "Start a call")
	shows("unrecorded", "Not recorded", false)

	sim.Expire("bill")
	tab.Until(`document.querySelector('[role=alert]:not([hidden])')?.innerText.startsWith('Your session has expired.') && document.querySelector('.gone .word').innerText === 'Not known'`)
	if text := tab.Text("main"); browser.Eval[bool](tab, `!!document.getElementById('live').offsetParent`) {
		t.Errorf("a page that sees nothing says:\n%s", text)
	}
}
