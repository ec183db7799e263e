package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/web/audit"
)

// The page of a link: an address asks and does nothing; a press, or a signature of the agent's own, acts.

// pauseAddress and resumeAddress are what a CRM or a bookmark opens.
const (
	pauseAddress  = "/act?action=pause&reason=card"
	resumeAddress = "/act?action=resume"
)

// bearer logs an agent in without a browser.
func (s *stage) bearer(t *testing.T, email string) string {
	t.Helper()
	body, status := s.call(t, "", http.MethodPost, "/api/v1/login/demo", fmt.Sprintf(`{"email": %q}`, email))
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &session); err != nil || session.AccessToken == "" {
		t.Fatalf("logging in: %d %s", status, body)
	}
	return session.AccessToken
}

// call asks the companion's API.
func (s *stage) call(t *testing.T, bearer, method, path, body string) ([]byte, int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := s.net.Client().Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return text, answer.StatusCode
}

// signedLink is one of an agent's one-click links.
type signedLink struct{ ID, URL string }

// link makes one.
func (s *stage) link(t *testing.T, email, purpose string) signedLink {
	t.Helper()
	body, status := s.call(t, s.bearer(t, email), http.MethodPost, "/api/v1/links", fmt.Sprintf(`{"purpose": %q}`, purpose))
	var made signedLink
	if err := json.Unmarshal(body, &made); err != nil || status != http.StatusCreated {
		t.Fatalf("making a link: %d %s", status, body)
	}
	if u, err := url.Parse(made.URL); err != nil || u.Fragment == "" || strings.Contains(u.RawQuery, u.Fragment) {
		t.Fatalf("the link's address is %q", made.URL)
	}
	return made
}

// crm is a page of another site: with buttons that open an address in a small window, as a script of theirs would.
func (s *stage) crm(t *testing.T, addresses map[string]string) string {
	t.Helper()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>A CRM</title>")
		for name, address := range addresses {
			fmt.Fprintf(w, `<button onclick='window.opened = open(%q, "act", "popup,width=480,height=640")'>%s</button>`, address, name)
		}
	})
	return s.net.Serve(t, "crm.customer.test", page).URL
}

// audited is the whole log as it stands, newest first.
func (s *stage) audited(t *testing.T) []audit.Entry {
	t.Helper()
	log, err := audit.OpenReader(s.config.StoreFile)
	if err != nil {
		t.Fatalf("opening the log: %v", err)
	}
	defer log.Close()
	page, err := log.Query(t.Context(), audit.Filter{Limit: 1000})
	if err != nil || page.Next != "" {
		t.Fatalf("reading the log: %v (more than a thousand records: %v)", err, page.Next != "")
	}
	return page.Items
}

// actSettled waits until the page says what became of it.
func actSettled(tab *browser.Tab) recording.Outcome {
	tab.Wait(`main[data-settled]`)
	return recording.Outcome(browser.Eval[string](tab, `document.querySelector('main').dataset.settled`))
}

// claimsLittle fails if the page of a link claims more than it can know.
func claimsLittle(t *testing.T, tab *browser.Tab) {
	t.Helper()
	text := tab.Text("main")
	if got := tab.Text(".headline"); strings.HasPrefix(strings.ToLower(got), "paused") || strings.Contains(text, "You can take the card") {
		t.Errorf("it claims too much:\n%s", text)
	}
	if !strings.Contains(text, "Do not take the card yet") || tab.Has("button", "I paused it there") != 1 {
		t.Errorf("it doesn't say what to do:\n%s", text)
	}
}

func TestAnAddressAsksAndALinkOfOnesOwnPauses(t *testing.T) {
	for _, world := range browser.Worlds() {
		t.Run(world.String(), func(t *testing.T) {
			t.Parallel() // much of it is waiting
			bill, jo := &desk{name: "bill"}, &desk{name: "jo"}
			s := newStage(t, bill, jo)
			b := browser.Launch(t, s.net, world)
			front := b.Tab(t)
			allowPlatformNoise(front)
			bill.signIn(t, front)
			audible := func() bool { return bill.sim.Recording(bill.agent()) }
			resume := func(t *testing.T, tab *browser.Tab) {
				t.Helper()
				tab.Open(s.url + resumeAddress)
				tab.Click("button", "Resume recording") // which waits until it may be pressed
				bill.await(t, "the resume", audible)
				actSettled(tab)
			}

			t.Run("log in and back", func(t *testing.T) {
				tab := b.Tab(t)
				tab.Allow(`401`)
				tab.Open(s.url + pauseAddress + "#a-signature")
				tab.Until(`!location.hash`)
				tab.Click("link", "Log in")
				tab.Until(`document.cookie.includes("offrecord_tpc=")`)
				tab.Click("button", bill.email()+" "+bill.name)
				tab.Until(`location.pathname === '/act' && location.search.includes('reason=card')`)
				if tab.Has("button", "Pause recording") != 1 || !strings.Contains(tab.Text("main"), "Nothing has been sent yet") {
					t.Errorf("back from the log-in:\n%s", tab.Text("main"))
				}
			})

			t.Run("asked, pressed", func(t *testing.T) {
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				before := len(bill.controls())
				for range 2 {
					tab.Open(s.url + pauseAddress)
				}
				for _, want := range []string{"Pause the recording?", bill.email(), "bill", "card", "This browser asks 8x8", "Nothing has been sent yet"} {
					if !strings.Contains(tab.Text("main"), want) {
						t.Errorf("%q isn't said:\n%s", want, tab.Text("main"))
					}
				}
				if n := len(bill.controls()); n != before || !audible() {
					t.Fatal("an address acted")
				}
				tab.Click("button", "Pause recording")
				bill.await(t, "the pause", func() bool { return !audible() })
				if got, want := actSettled(tab), recording.Sent; got != want && (world == browser.ThirdPartyAllowed || got != recording.Accepted) {
					t.Errorf("the pause is shown as %s", got)
				}
				claimsLittle(t, tab)
				bill.only(t, before+1, "a press")
				resume(t, tab)
			})

			t.Run("signed", func(t *testing.T) {
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				before := len(bill.controls())
				link := s.link(t, bill.email(), "card")
				tab.Open(link.URL)
				if world == browser.ThirdPartyBlocked {
					// A frame would carry no cookie and a window wants a press: this page says so, and nothing went.
					tab.Until(`document.querySelector('.notice').innerText.includes('for a press only')`)
					if n := len(bill.controls()); n != before {
						t.Fatal("something went")
					}
					tab.Click("button", "Pause recording")
				}
				bill.await(t, "the link's pause", func() bool { return !audible() })
				actSettled(tab)
				claimsLittle(t, tab)
				if at := browser.Eval[string](tab, "location.href"); strings.Contains(at, "#") {
					t.Errorf("the signature stays in the address: %s", at)
				}
				bill.only(t, before+1, "a link")
				// A reload, and a tab that is restored, are no presses.
				tab.Open(browser.Eval[string](tab, "location.href"))
				if !strings.Contains(tab.Text("main"), "Nothing has been sent yet") {
					t.Errorf("after a reload:\n%s", tab.Text("main"))
				}
				bill.only(t, before+1, "a reload")
				resume(t, tab)

				// Revoked, it is none. A colleague's never was one. Neither keeps the button from working.
				if _, status := s.call(t, s.bearer(t, bill.email()), http.MethodDelete, "/api/v1/links/"+link.ID, ""); status != http.StatusNoContent {
					t.Fatalf("revoking: %d", status)
				}
				if world == browser.ThirdPartyAllowed {
					for name, address := range map[string]string{"revoked": link.URL, "a colleague's": s.link(t, jo.email(), "card").URL} {
						before := len(bill.controls())
						tab.Allow(`(403|404)`)
						tab.Allow(`frame-ancestors`)
						tab.Open(address)
						if got := actSettled(tab); got != "refused" || len(bill.controls()) != before {
							t.Errorf("%s: %s", name, got)
						}
						if !strings.Contains(tab.Text(".notice"), "Nothing was sent") || tab.Has("button", "Pause recording") != 1 {
							t.Errorf("%s:\n%s", name, tab.Text("main"))
						}
					}
				}
			})

			t.Run("opened by a script of another site", func(t *testing.T) {
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				before := len(bill.controls())
				tab.Open(s.crm(t, map[string]string{"Take a card": s.link(t, bill.email(), "card, from the CRM").URL}))
				popup := tab.Popup(func() { tab.Click("button", "Take a card") })
				bill.await(t, "the link's pause", func() bool { return !audible() })
				if world == browser.ThirdPartyBlocked {
					// The window itself went to the platform, which closed it; who opened it sees that.
					popup.WaitClosed()
					if !browser.Eval[bool](tab, "opened.closed") {
						t.Error("the opener doesn't see it closed")
					}
				} else {
					inside := popup.Tab()
					actSettled(inside)
					claimsLittle(t, inside) // so it stays open
					if browser.Eval[bool](tab, "opened.closed") {
						t.Error("it looks closed to its opener, and isn't")
					}
					popup.Close()
				}
				bill.only(t, before+1, "a link in a window")
				resume(t, b.Tab(t))
			})

			t.Run("without a script", func(t *testing.T) {
				tab := b.Tab(t)
				allowPlatformNoise(tab)
				noScript(tab)
				before := len(bill.controls())
				tab.Open(s.url + pauseAddress)
				tab.Click("button", "Pause recording")
				bill.await(t, "the pause", func() bool { return !audible() })
				bill.only(t, before+1, "a press without a script")
				tab.Open(s.url + resumeAddress)
				armed(t, tab)
				tab.Click("button", "Resume recording")
				bill.await(t, "the resume", audible)
			})

			used := slices.ContainsFunc(s.audited(t), func(e audit.Entry) bool {
				return e.Kind == audit.LinkChanged && strings.HasPrefix(e.Detail.String(), "used ") && e.Origin == recording.Link && e.Attempt != uuid.Nil
			})
			if !used {
				t.Error("the log doesn't say which link paused what")
			}
		})
	}
}

// armed waits until the mouse meets a page's button. Where no script runs nothing can be waited for in the page.
func armed(t *testing.T, tab *browser.Tab) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if browser.Eval[string](tab, `getComputedStyle(document.querySelector('button.primary')).pointerEvents`) == "auto" {
			return
		}
	}
	t.Fatal("the button can never be pressed")
}

// noScript keeps scripts from running in the tab.
func noScript(tab *browser.Tab) {
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

func TestALinkByTheServerSaysWhatThePlatformSays(t *testing.T) {
	t.Parallel()
	s, p := newServerStage(t, posts()["8x8 by the server"])
	b := browser.Launch(t, s.net, browser.ThirdPartyBlocked) // it needs no cookie of anyone else's
	tab := b.Tab(t)
	s.enter(t, tab, &p.desk)
	p.begin()

	// Opened by a script: it pauses, says so because the platform did, and closes itself.
	tab.Open(s.crm(t, map[string]string{"Take a card": s.link(t, p.email(), "card").URL, "Resume": s.url + resumeAddress, "Panel": s.url + "/"}))
	popup := tab.Popup(func() { tab.Click("button", "Take a card") })
	popup.WaitClosed()
	if p.audible(time.Now()) {
		t.Error("it closed itself as if it were paused")
	}

	// A resume asks, and not under the second click of a double click.
	popup = tab.Popup(func() { tab.Click("button", "Resume") })
	inside := popup.Tab()
	inside.Until(`document.querySelector('button.primary')?.disabled`)
	if p.audible(time.Now()) {
		t.Error("an address resumed")
	}
	inside.Click("button", "Resume recording")
	popup.WaitClosed()
	if !p.audible(time.Now()) {
		t.Error("it closed itself as if it were resumed")
	}

	// Nor does the panel, where another site's page opens it: for its first moment the mouse passes the button by.
	popup = tab.Popup(func() { tab.Click("button", "Panel") })
	inside = popup.Tab()
	inside.Wait(`[data-control=resume]`)
	const passedBy = `(() => { const of = document.querySelector('[data-control=%s]'), fresh = of.cloneNode(true); of.after(fresh); const by = getComputedStyle(fresh).pointerEvents; fresh.remove(); return by; })()`
	if resume, pause := browser.Eval[string](inside, fmt.Sprintf(passedBy, "resume")), browser.Eval[string](inside, fmt.Sprintf(passedBy, "pause")); resume != "none" || pause != "auto" {
		t.Errorf("opened by another site's page, the mouse meets Resume: %s, Pause: %s", resume, pause)
	}
	// A refusal can't be taken back, on platforms that have it.
	inside.Open(s.url + "/native/decline")
	if by := browser.Eval[string](inside, `(() => { const of = document.querySelector('button'), fresh = of.cloneNode(true); of.after(fresh); const by = getComputedStyle(fresh).pointerEvents; fresh.remove(); return by; })()`); by != "none" {
		t.Errorf("at the page that asks whether the customer declined, the mouse meets its button: %s", by)
	}
	popup.Close()

	// By keyboard, at the width of a phone, in the dark.
	page := b.Tab(t)
	page.Viewport(320, 700)
	page.Prefer("prefers-color-scheme", "dark")
	page.Open(s.url + pauseAddress)
	if wide := browser.Eval[int](page, "document.documentElement.scrollWidth"); wide > 320 {
		t.Errorf("it is %d pixels wide", wide)
	}
	page.Focus("button", "Pause recording")
	page.Do(chromedp.KeyEvent("\r"))
	if got := actSettled(page); got != recording.Confirmed || page.Text(".headline") != "Paused" || !strings.Contains(page.Text("main"), "You can take the card") {
		t.Errorf("the pause is %s:\n%s", got, page.Text("main"))
	}
	if p.audible(time.Now()) {
		t.Error("paused, and the tape runs")
	}

	// Without a script the answer is a page.
	plain := b.Tab(t)
	noScript(plain)
	plain.Open(s.url + resumeAddress)
	armed(t, plain)
	plain.Click("button", "Resume recording")
	p.await(t, "the resume", func() bool { return p.audible(time.Now()) })
}
