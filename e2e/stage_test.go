package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
	"offrecord/web/config"
	"offrecord/web/platform/upstream"
	"offrecord/web/server"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// panelName and platformName are of two registrable names, so the panel and the platform are different sites.
const (
	panelName    = "panel.offrecord.test"
	platformName = "vcc-na4.eightbyeight.test"
)

// desk is one platform account with one agent, and how the companion reaches it.
type desk struct {
	name      string // the platform's name in the configuration; the agent is name@acme.example
	sameSite  http.SameSite
	transport recording.Transport
	method    string
	routes    string // [session] unless it is said
	attempt   string // how long an attempt may take; attemptTimeout unless it is said
	sim       *agui.Simulator
	url       string // of the simulator
	base      string // the platform's address in the configuration, where it isn't the simulator's
	gone      func() // takes the simulator off the net
}

func (d *desk) agent() string { return d.name }
func (d *desk) email() string { return d.name + "@acme.example" }

// stage is the whole: one companion, and a simulator for each desk, over TLS.
type stage struct {
	net  *browser.Net
	url  string // of the companion
	main *server.Main

	upstream upstream.Options // how the companion reaches the platforms
	identity string           // of the configuration, besides demo
	more     string           // lines of the configuration; {PORT} is the companion's
	people   string           // who else is there, as lines of the configuration's agents
	config   *config.Config
	desks    map[string]*desk
	log      *logBuffer

	mu        sync.Mutex
	witnesses map[*browser.Tab]*witness // of the desks that the server doesn't reach
}

// attemptTimeout keeps what ends only by its deadline short.
const attemptTimeout = "3s"

// newStage starts it. Each desk gets a simulator of its own, so that no desk sees another's session.
func newStage(t *testing.T, desks ...*desk) *stage {
	t.Helper()
	return newStageWith(t, func(*stage) {}, desks...)
}

// newStageWith is newStage with a companion that is configured otherwise.
func newStageWith(t *testing.T, prepare func(*stage), desks ...*desk) *stage {
	t.Helper()
	s := &stage{net: browser.NewNet(t), desks: map[string]*desk{}, log: new(logBuffer)}
	prepare(s)
	var platforms, agents strings.Builder
	environment := map[string]string{}
	for _, d := range desks {
		d.sim = agui.New(agui.Config{SameSite: d.sameSite, Agents: []agui.Agent{{ID: d.agent(), Email: d.email(), Name: d.name}}})
		// HTTP/1.1, because a fault cuts the connection.
		srv := s.net.ServeHTTP1(t, platformName, d.sim)
		t.Cleanup(d.sim.Close)
		d.url = srv.URL
		d.gone = func() { srv.CloseClientConnections(); srv.Listener.Close() }
		token := "TOKEN_" + strings.ReplaceAll(d.name, "-", "_")
		environment[token] = d.sim.ActionToken()
		fmt.Fprintf(&platforms, "  - {name: %s, kind: 8x8, base_url: %q, tenant: %s, action_token: \"${%s}\", routes: %s, session: {transport: %s, method: %s}, timeouts: {try: 1s, attempt: %s}}\n",
			d.name, or(d.base, d.url), d.sim.Tenant(), token, or(d.routes, "[session]"), or(string(d.transport), "auto"), or(d.method, "GET"), or(d.attempt, attemptTimeout))
		fmt.Fprintf(&agents, "  - {email: %s, role: agent, platform: %s, agent_id: %s}\n", d.email(), d.name, d.agent())
		s.desks[d.name] = d
	}
	s.start(t, platforms.String(), agents.String()+s.people, environment)
	return s
}

// start starts the companion with a certificate of the test's net.
func (s *stage) start(t *testing.T, platforms, agents string, environment map[string]string) {
	t.Helper()
	cert, key := s.certificate(t)
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	text := fmt.Sprintf("listen: %s\ntls: {cert_file: %q, key_file: %q}\nstore: %q\nidentity: {demo: true%s}\n%splatforms:\n%sagents:\n%s",
		address, cert, key, "sqlite:"+filepath.Join(t.TempDir(), "offrecord.db"), s.identity, strings.ReplaceAll(s.more, "{PORT}", port), platforms, agents)
	c, err := config.Parse([]byte(text), config.Environment{
		Getenv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
	})
	if err != nil {
		t.Fatalf("the stage's configuration: %v\n%s", err, text)
	}
	s.config = c
	s.again(t)
	t.Cleanup(func() {
		s.stop(t)
		s.judge(t)
		if t.Failed() {
			t.Logf("the companion's log:\n%s", s.log)
		}
	})
	s.url = fmt.Sprintf("https://%s:%s", panelName, port)
}

// watch gives the tab a witness, if the desk is reached by the browser's session alone, once.
func (s *stage) watch(t *testing.T, tab *browser.Tab, d *desk) *witness {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.witnesses[tab] == nil && s.desks[d.name] == d && !strings.Contains(d.routes, "server") {
		if s.witnesses == nil {
			s.witnesses = map[*browser.Tab]*witness{}
		}
		s.witnesses[tab] = testify(t, tab, d)
	}
	return s.witnesses[tab]
}

// judge holds for every story: nothing that acts carries a Referer, the companion's log has no token, and no panel showed a pause
// while the tape ran.
func (s *stage) judge(t *testing.T) {
	t.Helper()
	claims, lies := 0, 0
	for _, w := range s.witnesses {
		shown := w.claims()
		claims += len(shown)
		if !slices.ContainsFunc(shown, func(c claim) bool { return c.State != "" }) {
			t.Errorf("a panel of %s was never seen: the watch doesn't work", w.desk.name)
		}
		for _, c := range w.lies() {
			lies++
			t.Errorf("shown to %s while the tape ran: %+v", w.desk.name, c)
		}
	}
	if len(s.witnesses) > 0 {
		t.Logf("%d claims of %d panels were held against the ledger; \"confirmed\" or \"paused\" shown while it says recording: %d", claims, len(s.witnesses), lies)
	}
	for _, d := range s.desks {
		for _, r := range d.controls() {
			if r.Referer != "" {
				t.Errorf("a control request of %s came with the Referer %q", d.name, r.Referer)
			}
		}
		if strings.Contains(s.log.String(), d.sim.ActionToken()) {
			t.Errorf("the companion's log has the token of %s", d.name)
		}
	}
}

// again starts a companion that knows nothing of an earlier one, at the same address.
func (s *stage) again(t *testing.T) {
	t.Helper()
	s.main = &server.Main{Config: s.config, Version: "test", Upstream: s.upstream, Log: slog.New(slog.NewJSONHandler(s.log, nil))}
	if err := s.main.Run(t.Context()); err != nil {
		t.Fatalf("starting the companion: %v", err)
	}
}

// stop stops the companion; a companion that is stopped stays so.
func (s *stage) stop(t *testing.T) {
	t.Helper()
	if s.main == nil {
		return
	}
	if err := s.main.Close(); err != nil {
		t.Errorf("stopping the companion: %v", err)
	}
	s.main = nil
}

func (s *stage) certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	pair := s.net.TLS(t, panelName).Certificates[0]
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var b bytes.Buffer
		for _, block := range blocks {
			if err := pem.Encode(&b, block); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var chain []*pem.Block
	for _, der := range pair.Certificate {
		chain = append(chain, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return write("cert.pem", chain...), write("key.pem", private(t, pair))
}

func private(t *testing.T, pair tls.Certificate) *pem.Block {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
}

// freeAddress is a loopback address that nobody listens on. The port has to be known before the companion starts, because
// it is part of its public address.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// signIn signs the desk's agent in to the platform, by its log-in page, and starts a call. The platform's page, which draws a
// tape for a person many times a second, isn't left on: nobody looks, and it took a quarter of the processors.
func (d *desk) signIn(t *testing.T, tab *browser.Tab) {
	t.Helper()
	tab.Open(d.url + agui.LoginPath)
	tab.Click("button", fmt.Sprintf("Log in as %s %s", d.name, d.email()))
	tab.Until(`location.pathname === "` + agui.WorkspacePath + `"`)
	tab.Open("about:blank")
	d.sim.StartCall(d.agent())
}

// openPanel logs the desk's agent in to the companion and waits for the program to run and the panel to know whether it is
// ready.
func (s *stage) openPanel(t *testing.T, tab *browser.Tab, d *desk) {
	t.Helper()
	s.logIn(t, tab, d)
	tab.Wait(`html[data-program=running]`)
	tab.Wait(`.readiness:not(.checking)`)
}

// logIn logs the desk's agent in to the companion, which leads to the panel.
func (s *stage) logIn(t *testing.T, tab *browser.Tab, d *desk) {
	t.Helper()
	s.watch(t, tab, d)
	tab.Open(s.url + "/login")
	tab.Until(`document.cookie.includes("offrecord_tpc=")`)
	if button := d.email() + " " + d.name; tab.Has("button", button) == 1 {
		tab.Click("button", button)
	} else { // a long list isn't shown whole
		tab.Focus("textbox", "Another email address")
		tab.Do(chromedp.KeyEvent(d.email() + "\r"))
	}
	tab.Wait(`body[data-page=panel]`)
}

// enter is logIn by request, for a page that has to be the first one of its browser: it makes the session, and opens nothing.
func (s *stage) enter(t *testing.T, tab *browser.Tab, d *desk) {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"email": %q}`, d.email()))
	answer, err := s.net.Client().Post(s.url+"/api/v1/login/demo", "application/json", body)
	if err != nil {
		t.Fatalf("logging in: %v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || len(answer.Cookies()) != 1 {
		t.Fatalf("logging in: %s, %d cookies", answer.Status, len(answer.Cookies()))
	}
	tab.SetCookie(s.url, answer.Cookies()[0])
}

// await waits for the ledger.
func (d *desk) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := d.sim.WaitFor(ctx, ok); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// controls are the requests that reached controlRecording.php.
func (d *desk) controls() []agui.Request { return d.sim.Requests(agui.Filter{Path: agui.ControlPath}) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// logBuffer is written by a running server and read by a test.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
