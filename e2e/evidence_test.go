package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/archive"
	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/platform/upstream"
)

// evidenceStage is a stage of two agents of one platform by the server route, with an archive. The platform's clock isn't ours.
// All of its chats are of one day.
func evidenceStage(t *testing.T, chatted time.Time) (s *stage, kept *archive.Archive, bill, becky *desk) {
	t.Helper()
	s = &stage{net: browser.NewNet(t), desks: map[string]*desk{}, log: new(logBuffer)}
	trust := s.net.Client().Transport.(*http.Transport)
	s.upstream = upstream.Options{RootCAs: trust.TLSClientConfig.RootCAs, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return trust.DialContext(ctx, network, address)
	}}
	kept = archive.New(archive.Config{Tenant: "acme01", Transcripts: 40, Now: chatted.AddDate(0, 0, 1), Agents: []string{"bill", "becky"}, Skew: 1700 * time.Millisecond, Channels: 2, Codec: archive.MuLaw})
	t.Cleanup(kept.Close)
	bill, becky = &desk{name: "bill"}, &desk{name: "becky"}
	sim := agui.New(agui.Config{Tenant: "acme01", Agents: []agui.Agent{{ID: "bill", Email: bill.email(), Name: "Bill"}, {ID: "becky", Email: becky.email(), Name: "Becky"}}})
	t.Cleanup(sim.Close)
	mux := http.NewServeMux()
	mux.Handle("/", sim)
	mux.Handle(archive.Path, kept)
	at := s.net.ServeHTTP1(t, platformName, mux).URL
	for _, d := range []*desk{bill, becky} {
		d.sim, d.url = sim, at
		s.desks[d.name] = d
	}
	s.start(t, fmt.Sprintf("  - {name: acme, kind: 8x8, base_url: %q, tenant: acme01, action_token: \"${TOKEN}\", data_token: \"${DATA}\", routes: [server], timeouts: {try: 1s, attempt: %s}}\n", at, attemptTimeout),
		"  - {email: bill@acme.example, role: agent, platform: acme, agent_id: bill}\n  - {email: becky@acme.example, role: agent, platform: acme, agent_id: becky}\n  - {email: sam@acme.example, role: supervisor}\n",
		map[string]string{"TOKEN": sim.ActionToken(), "DATA": kept.DataToken()})
	return s, kept, bill, becky
}

// call is a call of the desk's agent with a pause of two seconds from the panel. It goes into the archive as if it had begun a minute
// before and gone on for half a minute: nobody waits for that here.
func (d *desk) call(t *testing.T, s *stage, kept *archive.Archive, tab *browser.Tab) {
	t.Helper()
	tab.Open(s.url + "/login")
	tab.Until(`document.cookie.includes("offrecord_tpc=")`)
	tab.Click("button", d.email()+" acme")
	tab.Wait(`html[data-program=running]`)
	tab.Wait(`.readiness:not(.checking)`)
	d.sim.StartCall(d.agent())
	tab.Click("button", "Pause recording")
	tab.WaitState(string(recording.Paused))
	tab.Until(`/:0[2-9]|:[1-5]/.test(document.querySelector('.clock .run').innerText)`)
	tab.Click("button", "Resume recording")
	tab.WaitState(string(recording.Recording))
	d.sim.EndCall(d.agent())
	calls := d.sim.Calls(d.agent())
	ended := calls[len(calls)-1]
	long := archive.Call{ID: ended.ID, Agent: ended.Agent, Started: ended.Started.Add(-time.Minute), Ended: ended.Ended.Add(30 * time.Second)}
	for _, i := range ended.Tape {
		if i.Silent {
			long.Silent = append(long.Silent, archive.Interval{From: i.From, To: i.To})
		}
	}
	kept.Keep(long)
}

// picture keeps a picture of a page where OFFRECORD_PICTURES says.
func picture(tab *browser.Tab, name string) {
	dir := os.Getenv("OFFRECORD_PICTURES")
	if dir == "" {
		return
	}
	width := browser.Eval[int64](tab, `innerWidth`)
	tab.Viewport(width, browser.Eval[int64](tab, `document.documentElement.scrollHeight`))
	tab.Screenshot(filepath.Join(dir, name+".png"))
	tab.Viewport(width, 900)
}

// TestEvidence: a pause in the browser is silent on the tape, and one that the platform only pretended to make is audible. The
// supervisor looks from the page, sees both, is alerted, and deletes the recording that leaks.
func TestEvidence(t *testing.T) {
	t.Parallel()
	yesterday := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	s, kept, bill, becky := evidenceStage(t, yesterday)
	tab := browser.Launch(t, s.net, browser.ThirdPartyAllowed).Tab(t)
	bill.call(t, s, kept, tab)
	becky.sim.SetFault(recording.RouteServer, becky.agent(), agui.Fault{Pretend: true})
	becky.call(t, s, kept, tab)

	tab.Open(s.url + "/login")
	tab.Click("button", "sam@acme.example supervisor")
	tab.Wait(`body[data-page=alerts]`)
	tab.Click("link", "Evidence")
	tab.Wait(`body[data-page=evidence]`)
	picture(tab, "evidence-empty")
	browser.Eval[bool](tab, `(document.querySelector('button.check').click(), true)`)
	// The page follows the run.
	tab.Wait(`tr[data-verdict=silent]`)
	tab.Wait(`tr[data-verdict=audible]`)
	if rows := browser.Eval[int](tab, `document.querySelectorAll('tr[data-item]').length`); rows != 2 {
		t.Errorf("%d findings: %s", rows, tab.Text(".findings"))
	}
	picture(tab, "evidence")
	axe := newChecker(t)
	axe.both(t, tab, "/evidence with findings")
	tab.Prefer("prefers-color-scheme", "light")
	narrow := func(name string) {
		t.Helper()
		tab.Viewport(320, 700)
		if wide := browser.Eval[int](tab, `document.documentElement.scrollWidth`); wide > 320 {
			t.Errorf("at 320 px %s is %d px wide", name, wide)
		}
		if beyond := browser.Eval[string](tab, `[...document.querySelectorAll('.stacks td')].filter(cell => cell.getBoundingClientRect().right > 320).map(cell => cell.innerText).join()`); beyond != "" {
			t.Errorf("at 320 px there is beyond the edge of %s: %s", name, beyond)
		}
		axe.check(t, tab, name+" at 320 px")
		picture(tab, name+"-320")
		tab.Viewport(1200, 900)
	}
	narrow("evidence")

	// The call that leaks: its waveform with the pause and the leak over it, and the same as tables.
	browser.Eval[bool](tab, `(document.querySelector('tr[data-verdict=audible] a').click(), true)`)
	tab.Wait(`body[data-page=evidence-call]`)
	for selector, least := range map[string]int{".wave svg path.sound": 4, "rect.band.pause": 2, "rect.band.leak": 2, "rect.band.attempt": 4, "tr.leak": 1, "audio": 1} {
		if n := browser.Eval[int](tab, fmt.Sprintf(`document.querySelectorAll(%q).length`, selector)); n < least {
			t.Errorf("%d of %s", n, selector)
		}
	}
	picture(tab, "evidence-call")
	axe.both(t, tab, "/evidence/{id}")
	picture(tab, "evidence-call-dark")
	tab.Prefer("prefers-color-scheme", "light")
	narrow("evidence-call")

	// It plays, and what leaked doesn't leave the server.
	browser.Eval[bool](tab, `(document.querySelector('audio').play(), true)`)
	tab.Until(`document.querySelector('audio').currentTime > 0.2`)
	tab.Until(`document.querySelector('.wave .cursor').getAttribute('visibility') === 'visible'`)

	// Deletion asks for the name.
	name := browser.Eval[string](tab, `[...document.querySelectorAll('.facts div')].find(d => d.firstChild.innerText === 'Recording').lastChild.innerText`)
	tab.Click("link", "Delete this recording…")
	tab.Wait(`body[data-page=evidence-delete]`)
	picture(tab, "evidence-delete")
	axe.both(t, tab, "/evidence/{id}/delete")
	tab.Focus("textbox", "Type the name to confirm")
	tab.Do(chromedp.KeyEvent(name + "\r"))
	tab.Wait(`body[data-page=evidence-call] .notice`)
	if text := tab.Text(".notice"); !strings.Contains(text, "The recording was deleted on") {
		t.Errorf("the page says: %s", text)
	}
	if tab.Has("link", "Delete this recording…") != 0 || browser.Eval[bool](tab, `!!document.querySelector('audio')`) {
		t.Error("a deleted recording is still offered")
	}

	// Somebody was told.
	tab.Open(s.url + "/alerts")
	tab.Wait(`[data-kind=leak]`)
	if text := tab.Text("[data-kind=leak]"); !strings.Contains(text, "Audible where it was to be silent") || !strings.Contains(text, becky.email()) {
		t.Errorf("the alert says: %s", text)
	}
	tab.Click("link", "What the recording shows")
	tab.Wait(`body[data-page=evidence-call] .finding.audible`)

	chatsStory(t, s, kept, yesterday, tab, axe, narrow)

	// And the report of it all can be verified with the log's key.
	sam := &caller{t: t, stage: s}
	sam.logIn("sam@acme.example")
	key, err := audit.LoadKey(s.config.Audit.SigningKeyFile, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := audit.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "html"} {
		file := sam.fetch("/api/v1/evidence/report?format=" + format)
		if _, err := evidence.VerifyReport(file, public); err != nil {
			t.Errorf("the report as %s: %v", format, err)
		}
		if dir := os.Getenv("OFFRECORD_PICTURES"); dir != "" && format == "html" {
			os.WriteFile(filepath.Join(dir, "report.html"), file, 0o600)
		}
	}
}

// chatsStory: the supervisor searches a day's chats for card numbers, sees them masked, and deletes a chat in two steps.
func chatsStory(t *testing.T, s *stage, kept *archive.Archive, day time.Time, tab *browser.Tab, axe *checker, narrow func(string)) {
	t.Helper()
	tab.Open(s.url + "/evidence")
	tab.Click("link", "Chats")
	tab.Wait(`body[data-page=evidence-chats] #day`)
	found := func() (sure []string) {
		t.Helper()
		tab.Wait(`.found`)
		for _, guid := range browser.Eval[[]string](tab, `[...document.querySelectorAll('tr[data-interaction]:not([data-doubt])')].map(r => r.dataset.interaction)`) {
			if !slices.Contains(sure, guid) {
				sure = append(sure, guid)
			}
		}
		return sure
	}
	// The page offers yesterday, which may be another day by now.
	browser.Eval[string](tab, fmt.Sprintf(`document.querySelector('#day').value = %q`, day.Format(time.DateOnly)))
	tab.Click("button", "Search the day's chats")
	sure, planted := found(), kept.Planted()
	slices.Sort(sure)
	slices.Sort(planted)
	if len(planted) == 0 || !slices.Equal(sure, planted) {
		t.Errorf("found %v, planted %v", sure, planted)
	}
	if text := tab.Text("main"); !strings.Contains(text, "******") || regexp.MustCompile(`(\d[ .-]?){13}`).MatchString(regexp.MustCompile(`int-\S+|\d{4}-\d\d-\d\d`).ReplaceAllString(text, "")) {
		t.Errorf("a number isn't masked: %s", text)
	}
	picture(tab, "chats")
	axe.both(t, tab, "/evidence/chats with numbers")
	picture(tab, "chats-dark")
	tab.Prefer("prefers-color-scheme", "light")
	narrow("chats")

	const row = `[...document.querySelectorAll('tr[data-interaction]:not([data-doubt])')].find(r => r.cells[3].innerText.startsWith('message'))`
	guid := browser.Eval[string](tab, row+`.dataset.interaction`)
	tab.Click("link", "Delete this chat… "+guid)
	tab.Wait(`body[data-page=evidence-chat-delete] #name`)
	picture(tab, "chat-delete")
	axe.both(t, tab, "/evidence/chats/{id}/delete")
	tab.Focus("textbox", "Type the interaction's id to confirm")
	tab.Do(chromedp.KeyEvent(guid + "\r"))
	tab.Wait(`body[data-ended]`)
	if text := tab.Text("main"); !strings.Contains(text, "deleted for good, and seen to be gone") {
		t.Errorf("the page says: %s", text)
	}
	picture(tab, "chat-deleted")
	axe.check(t, tab, "a chat, deleted")
	if slices.Contains(kept.Planted(), guid) {
		t.Error("the archive still has the number")
	}
	tab.Click("link", "Back to the chats")
	if left := found(); len(left) != len(planted)-1 || slices.Contains(left, guid) {
		t.Errorf("afterwards: %v", left)
	}
}

// fetch returns what is at an address.
func (c *caller) fetch(path string) []byte {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.stage.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.bearer)
	answer, err := c.stage.net.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
	return body
}
