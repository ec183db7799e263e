package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
	"offrecord/web/webhook"
)

// TestAlertsReachASupervisor has an agent's pause fail: it shows on a supervisor's open page by itself, is taken in hand by
// keyboard, and is gone from the agent's state; also across a restart of the server.
func TestAlertsReachASupervisor(t *testing.T) {
	t.Parallel()
	d := &desk{name: "bill", routes: "[server]"}
	s := newStageWith(t, func(s *stage) {
		trust := s.net.Client().Transport.(*http.Transport)
		s.upstream = upstream.Options{RootCAs: trust.TLSClientConfig.RootCAs, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return trust.DialContext(ctx, network, address)
		}}
		s.people = "  - {email: sam@acme.example, role: supervisor}\n"
	}, d)
	d.sim.StartCall(d.agent())
	bill := &caller{t: t, stage: s}
	bill.logIn(d.email())
	d.sim.SetFault(recording.RouteServer, d.agent(), agui.Fault{Status: http.StatusForbidden})

	tab := browser.Launch(t, s.net, browser.ThirdPartyAllowed).Tab(t)
	tab.Allow("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_HTTP2_PROTOCOL_ERROR") // the restart
	tab.Open(s.url + "/login")
	tab.Click("button", "sam@acme.example supervisor")
	tab.Wait(`body[data-page=alerts][data-live]`) // where a supervisor without a platform belongs
	status := func(text string) {
		t.Helper()
		tab.Until(fmt.Sprintf(`document.querySelector('[role=status]').innerText === %q`, text))
	}
	status("No alert is open.")
	browser.Eval[bool](tab, `window.stays = true`)

	first := bill.pause()
	status("One alert is open.")
	if text := tab.Text(".alert.open"); !strings.Contains(text, "A pause or resume didn't work") || !strings.Contains(text, "bill@acme.example on bill") || !strings.Contains(text, "told once") {
		t.Errorf("the page says:\n%s", text)
	}
	if alerts := bill.state().Alerts; len(alerts) != 1 || alerts[0].Attempt != first {
		t.Errorf("the agent's state: %+v", alerts)
	}
	tab.Viewport(320, 700)
	if wide := browser.Eval[int](tab, `document.documentElement.scrollWidth`); wide > 320 {
		t.Errorf("at 320 px the page is %d px wide", wide)
	}
	const button = "Acknowledge: A pause or resume didn't work, bill@acme.example on bill"
	tab.Focus("button", button)
	tab.Do(chromedp.KeyEvent("\r"))
	status("No alert is open.")
	tab.Until(`document.querySelector('.past').innerText.includes('Acknowledged by sam@acme.example')`)
	if got := browser.Eval[string](tab, `document.activeElement.id`); got != "top" {
		t.Errorf("the button is gone, and the focus is on %q", got)
	}
	if alerts := bill.state().Alerts; len(alerts) != 0 {
		t.Errorf("acknowledged, the agent's state has %+v", alerts)
	}

	// Without the server nothing is said to be so; with it, all goes on, and what was told isn't told again.
	s.stop(t)
	status("No alert is open. Reconnecting: this may be old.")
	s.again(t)
	status("No alert is open.")
	bill.pause()
	status("One alert is open.")
	tab.Click("button", button)
	status("No alert is open.")
	if n := browser.Eval[int](tab, `document.querySelectorAll('.past .alert').length`); n != 2 {
		t.Errorf("%d earlier alerts", n)
	}
	if !browser.Eval[bool](tab, `window.stays === true`) {
		t.Error("the page was loaded anew")
	}
}

// TestREADMEsReceiver builds the README's receiver and has it take what is ours, and nothing else.
func TestREADMEsReceiver(t *testing.T) {
	const key, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	source, at := block(t, "go", "standardwebhooks"), freeAddress(t)
	if !strings.Contains(source, `"127.0.0.1:9999"`) {
		t.Fatal("the receiver doesn't name its address")
	}
	dir := t.TempDir()
	file, binary := filepath.Join(dir, "receiver.go"), filepath.Join(dir, "receiver")
	if err := os.WriteFile(file, []byte(strings.Replace(source, "127.0.0.1:9999", at, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	commandOutput(t, nil, "go", "build", "-o", binary, file)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	receiver := exec.CommandContext(ctx, binary)
	receiver.Env = append(os.Environ(), "WEBHOOK_KEY="+key)
	out, err := receiver.StdoutPipe()
	if err == nil {
		err = receiver.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Wait()
	defer cancel()
	send := func(key, id string) webhook.Result {
		t.Helper()
		sender, err := webhook.New(&url.URL{Scheme: "http", Host: at, Path: "/"}, secret.New(key), upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		return webhook.ResultOf(sender.Send(ctx, id, []byte(`{"type":"alert.raised"}`)))
	}
	for ctx.Err() == nil && send(key, "a.1") == webhook.Unreachable { // it is starting
	}
	if got := send(other, "a.2"); got != webhook.Refused {
		t.Errorf("another's message: %s", got)
	}
	if got := send(key, "a.3"); got != webhook.Delivered {
		t.Errorf("ours: %s", got)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{`a.1 {"type":"alert.raised"}`, `a.3 {"type":"alert.raised"}`} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("it printed %q, not %q", lines.Text(), want)
		}
	}
}

// caller is a program that asks the companion in an agent's name.
type caller struct {
	t      *testing.T
	stage  *stage
	bearer string
}

func (c *caller) do(method, path, body string, into any) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.stage.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	answer, err := c.stage.net.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: %s %s %v", method, path, answer.Status, text, err)
	}
}

func (c *caller) logIn(email string) {
	c.t.Helper()
	var session struct {
		Token string `json:"access_token"`
	}
	c.do("POST", "/api/v1/login/demo", fmt.Sprintf(`{"email":%q}`, email), &session)
	c.bearer = session.Token
}

// pause asks for one by the server and returns its id.
func (c *caller) pause() string {
	c.t.Helper()
	var a recording.Attempt
	c.do("POST", "/api/v1/actions", fmt.Sprintf(`{"id":%q,"action":"pause"}`, uuid.NewString()), &a)
	if a.Outcome != recording.Denied {
		c.t.Fatalf("the pause: %+v", a)
	}
	return a.ID
}

func (c *caller) state() (s recording.Snapshot) {
	c.t.Helper()
	c.do("GET", "/api/v1/state", "", &s)
	return s
}
