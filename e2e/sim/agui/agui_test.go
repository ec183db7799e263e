package agui_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/archive"
	"offrecord/e2e/sim/ledger"
)

// start runs a tenant with two agents on TLS.
func start(t *testing.T, config agui.Config) (*agui.Simulator, *httptest.Server) {
	t.Helper()
	if config.Agents == nil {
		config.Agents = []agui.Agent{{ID: "bill", Email: "bill@acme.example", Name: "Bill"}, {ID: "jo", Email: "jo@acme.example"}}
	}
	sim := agui.New(config)
	srv := httptest.NewTLSServer(sim)
	t.Cleanup(srv.Close)
	t.Cleanup(sim.Close)
	return sim, srv
}

// browser is a client with its own cookies, logged in through the page unless agent is empty. It follows no redirects.
func browser(t *testing.T, srv *httptest.Server, agent string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: srv.Client().Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if agent != "" {
		if status, _, _ := send(t, c, post(srv.URL+agui.LoginPath, url.Values{"agent": {agent}})); status != http.StatusSeeOther {
			t.Fatalf("log-in answered %d", status)
		}
	}
	return c
}

func get(u string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		panic(err)
	}
	return r
}

func post(u string, form url.Values) *http.Request {
	r, err := http.NewRequest(http.MethodPost, u, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func send(t *testing.T, c *http.Client, r *http.Request) (int, http.Header, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func control(sim *agui.Simulator, srv *httptest.Server, action string) *http.Request {
	return get(srv.URL + agui.ControlPath + "?" + url.Values{"action": {action}, "token": {sim.ActionToken()}}.Encode())
}

func TestControlAnswersAsTheDocumentSays(t *testing.T) {
	const call, paused, plain, none = "call", "paused call", "call without recording", "none"
	for _, tt := range []struct {
		name          string
		desk          string
		agent         string
		action, token string // token "" is the right one
		status        int
		recording     bool // afterwards
	}{
		{"pause", call, "bill", "pause", "", 200, false},
		{"Pause, as the older edition writes it", call, "bill", "Pause", "", 200, false},
		{"Resume, as the older edition writes it", paused, "bill", "Resume", "", 200, true},
		{"resume", paused, "bill", "resume", "", 200, true},
		{"pause twice", paused, "bill", "pause", "", 200, false},
		{"resume of a running tape", call, "bill", "resume", "", 200, true},
		{"no call is ignored with 200", "", "bill", "pause", "", 200, false},
		{"no recording is ignored with 200", plain, "bill", "pause", "", 200, false},
		{"resume never starts a recording", plain, "bill", "resume", "", 200, false},
		{"unknown action", call, "bill", "toggle", "", 400, true},
		{"no action", call, "bill", "", "", 400, true},
		{"a spelling of neither edition", call, "bill", "PAUSE", "", 400, true},
		{"no token", call, "bill", "pause", none, 401, true},
		{"a bad token comes before an unknown action", call, "bill", "toggle", "wrong", 401, true},
		{"bad token", call, "bill", "pause", "wrong", 401, true},
		{"no session", call, "", "pause", "", 401, true},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(tt.name+" by "+method, func(t *testing.T) {
				sim, srv := start(t, agui.Config{})
				c := browser(t, srv, tt.agent)
				sim.Record("bill", tt.desk != plain)
				if tt.desk != "" {
					sim.StartCall("bill")
				}
				if tt.desk == paused {
					sim.Pause("bill")
				}
				form := url.Values{"action": {tt.action}, "token": {tt.token}}
				switch tt.token {
				case "":
					form.Set("token", sim.ActionToken())
				case none:
					form.Del("token")
				}
				r := post(srv.URL+agui.ControlPath, form)
				if method == http.MethodGet {
					r = get(srv.URL + agui.ControlPath + "?" + form.Encode())
				}
				status, header, body := send(t, c, r)
				if status != tt.status {
					t.Errorf("status %d, want %d", status, tt.status)
				}
				if got := sim.Recording("bill"); got != tt.recording {
					t.Errorf("recording %t, want %t", got, tt.recording)
				}
				if got := header.Get("Content-Security-Policy"); got != "frame-ancestors 'self'" {
					t.Errorf("Content-Security-Policy %q", got)
				}
				if closes := strings.Contains(body, "window.close()"); closes != (tt.status == 200) {
					t.Errorf("the page tries to close its window: %t", closes)
				}
				if strings.Contains(body, sim.ActionToken()) {
					t.Error("the answer repeats the token")
				}
			})
		}
	}
}

func TestSessionCookie(t *testing.T) {
	for name, tt := range map[string]struct {
		config http.SameSite
		want   http.SameSite
	}{
		"by default None":        {0, http.SameSiteNoneMode},
		"None":                   {http.SameSiteNoneMode, http.SameSiteNoneMode},
		"Lax":                    {http.SameSiteLaxMode, http.SameSiteLaxMode},
		"unset has no attribute": {http.SameSiteDefaultMode, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, srv := start(t, agui.Config{SameSite: tt.config})
			resp, err := browser(t, srv, "").Do(post(srv.URL+agui.LoginPath, url.Values{"agent": {"bill@acme.example"}}))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if len(resp.Cookies()) != 1 {
				t.Fatalf("cookies: %v", resp.Cookies())
			}
			c := resp.Cookies()[0]
			if c.Name != "wpj_agui" || !c.HttpOnly || !c.Secure || c.Path != "/" || c.SameSite != tt.want {
				t.Errorf("cookie %s", c.Raw)
			}
		})
	}
}

func TestStrangersAndExpiredSessions(t *testing.T) {
	sim, srv := start(t, agui.Config{CallAtLogin: true})
	stranger := browser(t, srv, "")
	if status, _, _ := send(t, stranger, post(srv.URL+agui.LoginPath, url.Values{"agent": {"eve"}})); status != http.StatusUnauthorized {
		t.Errorf("a stranger's log-in answered %d", status)
	}
	if status, header, _ := send(t, stranger, get(srv.URL+agui.WorkspacePath)); status != http.StatusSeeOther || header.Get("Location") != agui.LoginPath {
		t.Errorf("a stranger's workspace answered %d to %q", status, header.Get("Location"))
	}
	c := browser(t, srv, "bill")
	if !sim.Recording("bill") {
		t.Error("no call started at log-in")
	}
	sim.Expire("bill")
	status, _, body := send(t, c, control(sim, srv, "pause"))
	if status != http.StatusUnauthorized || !strings.Contains(body, "Log in") {
		t.Errorf("an expired session was answered %d %s", status, body)
	}
	if !sim.Recording("bill") {
		t.Error("an expired session paused the tape")
	}
	if got := sim.Requests(agui.Filter{Path: agui.ControlPath}); len(got) != 1 || !got[0].Cookie || got[0].Agent != "" {
		t.Errorf("the ledger has %+v", got)
	}
}

func TestHTTPSOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		allow      bool
		host, peer string
		status     int
	}{
		"plain http is refused":            {false, "agui.localhost:8088", "127.0.0.1:5", 403},
		"the demo may, on a loopback name": {true, "agui.localhost:8088", "127.0.0.1:5", 200},
		"and on IPv6":                      {true, "[::1]:8088", "[::1]:5", 200},
		"but not under another name":       {true, "agui.example.com", "127.0.0.1:5", 403},
		"nor for another machine":          {true, "agui.localhost", "192.0.2.7:5", 403},
		"nor a name that only begins so":   {true, "localhost.example.com", "127.0.0.1:5", 403},
	} {
		t.Run(name, func(t *testing.T) {
			sim := agui.New(agui.Config{PlainLoopback: tt.allow})
			sim.StartCall("bill")
			r := httptest.NewRequest(http.MethodGet, agui.ControlPath+"?action=pause&token="+sim.ActionToken(), nil)
			r.Host, r.RemoteAddr = tt.host, tt.peer
			r.AddCookie(sim.Login("bill"))
			w := httptest.NewRecorder()
			sim.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if sim.Recording("bill") == (tt.status == 200) {
				t.Errorf("recording %t after %d", sim.Recording("bill"), w.Code)
			}
		})
	}
}

func TestEachAgentHasItsOwnTape(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	bill, jo := browser(t, srv, "bill"), browser(t, srv, "jo")
	sim.StartCall("bill")
	sim.StartCall("jo")
	send(t, bill, control(sim, srv, "pause"))
	if sim.Recording("bill") || !sim.Recording("jo") {
		t.Fatal("bill's pause should silence bill's tape and no other")
	}
	send(t, jo, control(sim, srv, "pause"))
	send(t, bill, control(sim, srv, "resume"))
	if !sim.Recording("bill") || sim.Recording("jo") {
		t.Fatal("bill's resume should start bill's tape and no other")
	}
	if n := len(sim.Effects("bill")); n != 3 {
		t.Errorf("bill has %d effects, want 3", n)
	}
	if n := len(sim.Effects("")); n != 5 {
		t.Errorf("there are %d effects, want 5", n)
	}
}

func TestTape(t *testing.T) {
	sim, _ := start(t, agui.Config{})
	first := sim.StartCall("bill")
	if again := sim.StartCall("bill"); again.ID != first.ID {
		t.Error("a second call started beside the first")
	}
	sim.Pause("bill")
	sim.EndCall("bill")
	sim.EndCall("bill")
	sim.StartCall("bill")
	if !sim.Recording("bill") {
		t.Error("a new call should be recorded although the last one ended paused")
	}
	calls := sim.Calls("bill")
	if len(calls) != 2 || calls[0].Active() || !calls[1].Active() {
		t.Fatalf("calls: %+v", calls)
	}
	tape := calls[0].Tape
	if len(tape) != 2 || tape[0].Silent || !tape[1].Silent || tape[0].To != tape[1].From || tape[1].To != calls[0].Ended {
		t.Errorf("tape: %+v", tape)
	}
	if !calls[0].Audible(tape[0].From) || calls[0].Audible(tape[1].From) || calls[0].Audible(calls[0].Ended) {
		t.Error("what was said in the pause, or after the call, is on the tape")
	}
	var kinds []ledger.EffectKind
	for _, e := range sim.Effects("bill") {
		kinds = append(kinds, e.Kind)
	}
	want := []ledger.EffectKind{agui.CallStarted, agui.Paused, agui.CallEnded, agui.CallStarted}
	if len(kinds) != len(want) {
		t.Fatalf("effects %q, want %q", kinds, want)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Errorf("effects %q, want %q", kinds, want)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault     agui.Fault
		status    int // 0: dropped
		recording bool
	}{
		"pretend":                      {agui.Fault{Pretend: true}, 200, true},
		"204 acts":                     {agui.Fault{Status: 204}, 204, false},
		"redirect to log-in":           {agui.Fault{Status: 302}, 302, true},
		"500":                          {agui.Fault{Status: 500}, 500, true},
		"500 that worked":              {agui.Fault{Status: 500, ActAnyway: true}, 500, false},
		"dropped before acting":        {agui.Fault{Drop: agui.DropBefore}, 0, true},
		"dropped after acting":         {agui.Fault{Drop: agui.DropAfter}, 0, false},
		"dropped after not acting":     {agui.Fault{Drop: agui.DropAfter, Pretend: true}, 0, true},
		"COOP":                         {agui.Fault{COOP: true}, 200, false},
		"slow":                         {agui.Fault{Before: time.Millisecond, After: time.Millisecond}, 200, false},
		"once, of which none was left": {agui.Fault{Status: 500, Times: 1}, 500, true},
	} {
		t.Run(name, func(t *testing.T) {
			sim, srv := start(t, agui.Config{})
			c := browser(t, srv, "bill")
			// net/http, like a browser, would repeat a GET over a reused connection that was cut.
			c.Transport.(*http.Transport).DisableKeepAlives = true
			sim.StartCall("bill")
			sim.SetFault(recording.RouteSession, "", tt.fault)
			resp, err := c.Do(control(sim, srv, "pause"))
			if (err != nil) != (tt.status == 0) {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != tt.status {
					t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
				}
				if got := resp.Header.Get("Cross-Origin-Opener-Policy") == "same-origin"; got != tt.fault.COOP {
					t.Errorf("COOP sent: %t", got)
				}
				if tt.status == 302 && resp.Header.Get("Location") != agui.LoginPath {
					t.Errorf("redirected to %q", resp.Header.Get("Location"))
				}
			}
			if got := sim.Recording("bill"); got != tt.recording {
				t.Errorf("recording %t, want %t", got, tt.recording)
			}
			// The client may hear of a cut before the ledger does.
			if err := sim.WaitFor(t.Context(), func() bool { return !sim.Requests(agui.Filter{Path: agui.ControlPath})[0].Answered.IsZero() }); err != nil {
				t.Fatal(err)
			}
			entry := sim.Requests(agui.Filter{Path: agui.ControlPath})[0]
			if entry.Dropped != (tt.status == 0) || entry.Status != tt.status {
				t.Errorf("the ledger has %+v", entry)
			}
			if tt.fault.Times == 1 {
				if status, _, _ := send(t, c, control(sim, srv, "pause")); status != 200 || sim.Recording("bill") {
					t.Errorf("the fault outlived its one time: %d", status)
				}
			}
		})
	}
}

func TestAnAgentsOwnFaultGoesBeforeEverybodys(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	bill, jo := browser(t, srv, "bill"), browser(t, srv, "jo")
	sim.SetFault(recording.RouteSession, "", agui.Fault{Status: 500})
	sim.SetFault(recording.RouteSession, "jo", agui.Fault{Pretend: true})
	if status, _, _ := send(t, bill, control(sim, srv, "pause")); status != 500 {
		t.Errorf("bill was answered %d", status)
	}
	if status, _, _ := send(t, jo, control(sim, srv, "pause")); status != 200 {
		t.Errorf("jo was answered %d", status)
	}
	sim.SetFault(recording.RouteSession, "", agui.Fault{})
	if status, _, _ := send(t, bill, control(sim, srv, "pause")); status != 200 {
		t.Errorf("bill was answered %d after the fault", status)
	}
}

// A browser that goes away doesn't take back what it sent.
func TestASlowActionOutlivesItsRequest(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	c := browser(t, srv, "bill")
	sim.StartCall("bill")
	sim.SetFault(recording.RouteSession, "bill", agui.Fault{Before: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		resp, err := c.Do(control(sim, srv, "pause").WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
	}()
	arrived := func() bool { return len(sim.Requests(agui.Filter{Action: recording.Pause})) == 1 }
	if err := sim.WaitFor(t.Context(), arrived); err != nil {
		t.Fatal(err)
	}
	leave()
	<-gone
	if !sim.Recording("bill") {
		t.Fatal("the tape was paused before its time")
	}
	sim.Close() // cuts the hour short
	if err := sim.WaitFor(t.Context(), func() bool { return !sim.Recording("bill") }); err != nil {
		t.Fatal(err)
	}
}

func TestWaitForTellsWhatItHasSeen(t *testing.T) {
	sim, _ := start(t, agui.Config{})
	sim.StartCall("bill")
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	err := sim.WaitFor(ctx, func() bool { return false })
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "call started agent=bill") {
		t.Errorf("error %v", err)
	}
}

func TestLedger(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	c := browser(t, srv, "bill")
	sim.StartCall("bill")
	mark := sim.Mark()
	r := control(sim, srv, "Pause")
	for k, v := range map[string]string{
		"Referer": "https://panel.example/" + sim.ActionToken() + "?token=" + sim.ActionToken(), "Origin": "https://panel.example",
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Storage-Access": "none",
	} {
		r.Header.Set(k, v)
	}
	send(t, c, r)
	send(t, c, get(srv.URL+"/"+sim.ActionToken()))

	all := sim.Requests(agui.Filter{After: mark})
	if len(all) != 2 {
		t.Fatalf("%d requests after the mark, want 2", len(all))
	}
	q := all[0]
	if q.Action != recording.Pause || q.Agent != "bill" || !q.Cookie || q.Via() != agui.ViaFrame || q.Status != 200 ||
		q.Site != "cross-site" || q.StorageAccess != "none" || q.Origin != "https://panel.example" ||
		q.Referer != "https://panel.example/[redacted]" || q.Answered.Before(q.At) {
		t.Errorf("the ledger has %+v", q)
	}
	if effects := sim.Effects("bill"); effects[1].Request != q.Seq || effects[1].Kind != agui.Paused {
		t.Errorf("the effects are %+v", effects)
	}
	if text := sim.String(); strings.Contains(text, sim.ActionToken()) || !strings.Contains(text, "action=pause") {
		t.Errorf("the ledger as text:\n%s", text)
	}
	if got := sim.Requests(agui.Filter{Path: "/AGUI/", Method: http.MethodGet, Status: 200, Agent: "bill", Action: recording.Pause}); len(got) != 1 {
		t.Errorf("the filter picked %+v", got)
	}
}

func TestVia(t *testing.T) {
	for dest, want := range map[string]agui.Via{"document": agui.ViaWindow, "iframe": agui.ViaFrame, "frame": agui.ViaFrame, "empty": agui.ViaScript, "": agui.ViaOther} {
		if got := (agui.Request{Dest: dest}).Via(); got != want {
			t.Errorf("%q came by %s, want %s", dest, got, want)
		}
	}
}

func TestAPI(t *testing.T) {
	for name, tt := range map[string]struct {
		path         string
		user, secret string
		desk         func(*agui.Simulator)
		config       agui.Config
		fault        agui.Fault
		status       int
		body         string
		recording    bool
	}{
		"pause by id":    {path: "pause/acme01/agentId/bill", status: 200, body: "<status>success</status>"},
		"pause by email": {path: "pause/acme01/email/bill@acme.example", status: 200, body: "success"},
		"paused already": {path: "pause/acme01/agentId/bill", desk: func(s *agui.Simulator) { s.Pause("bill") }, status: 200, body: "success"},
		"paused already, on a platform that says so": {path: "pause/acme01/agentId/bill", desk: func(s *agui.Simulator) { s.Pause("bill") },
			config: agui.Config{NothingIfAlready: true}, status: 200, body: "nothing to be modified"},
		"no call":         {path: "pause/acme01/agentId/bill", desk: func(s *agui.Simulator) { s.EndCall("bill") }, status: 200, body: "nothing to be modified"},
		"another wording": {path: "pause/acme01/agentId/bill", desk: func(s *agui.Simulator) { s.EndCall("bill") }, fault: agui.Fault{Words: "Active transaction does not exist"}, status: 200, body: "Active transaction"},
		"not enabled":     {path: "pause/acme01/agentId/jo", desk: func(s *agui.Simulator) { s.Record("jo", false); s.StartCall("jo") }, status: 200, body: "not enabled", recording: true},
		"unknown action":  {path: "toggle/acme01/agentId/bill", status: 400, recording: true},
		"bad token":       {path: "pause/acme01/agentId/bill", secret: "wrong", status: 401, recording: true},
		"another user":    {path: "pause/acme01/agentId/bill", user: "umbrella", status: 401, recording: true},
		"another tenant":  {path: "pause/umbrella/agentId/bill", status: 401, recording: true},
		"unknown agent":   {path: "pause/acme01/agentId/eve", status: 404, recording: true},
		"the misprint":    {path: "pause/acme01/agenId/bill", status: 404, recording: true},
		"unknown email":   {path: "pause/acme01/email/eve@acme.example", status: 404, recording: true},
		"500":             {path: "pause/acme01/agentId/bill", fault: agui.Fault{Status: 500}, status: 500, recording: true},
		"pretended":       {path: "pause/acme01/agentId/bill", fault: agui.Fault{Pretend: true}, status: 200, body: "success", recording: true},
		"json":            {path: "pause/acme01/agentId/bill", fault: agui.Fault{Body: agui.BodyJSON}, status: 200, body: `{"status":"success"}`},
		"text":            {path: "pause/acme01/agentId/bill", fault: agui.Fault{Body: agui.BodyText}, status: 200, body: "Status: success\n"},
		"empty":           {path: "pause/acme01/agentId/bill", fault: agui.Fault{Body: agui.BodyEmpty}, status: 200},
		"garbled":         {path: "pause/acme01/agentId/bill", fault: agui.Fault{Body: agui.BodyGarbled}, status: 200, body: "\xff"},
		"huge":            {path: "pause/acme01/agentId/bill", fault: agui.Fault{Body: agui.BodyHuge}, status: 200, body: "success"},
	} {
		t.Run(name, func(t *testing.T) {
			sim, srv := start(t, tt.config)
			sim.StartCall("bill")
			if tt.desk != nil {
				tt.desk(sim)
			}
			sim.SetFault(recording.RouteServer, "", tt.fault)
			r, err := http.NewRequest(http.MethodPut, srv.URL+agui.APIPath+"/"+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			user, secret := sim.Tenant(), sim.ActionToken()
			if tt.user != "" {
				user = tt.user
			}
			if tt.secret != "" {
				secret = tt.secret
			}
			r.SetBasicAuth(user, secret)
			status, _, body := send(t, srv.Client(), r)
			if status != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("answered %d %.200q, want %d %q", status, body, tt.status, tt.body)
			}
			if name == "huge" && len(body) < 10<<20 {
				t.Errorf("%d bytes are not huge", len(body))
			}
			if len(sim.Calls("bill")) == 1 && sim.Calls("bill")[0].Active() && sim.Recording("bill") != tt.recording {
				t.Errorf("recording %t, want %t", sim.Recording("bill"), tt.recording)
			}
		})
	}
}

func TestBothRoutesMoveTheSameTape(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	c := browser(t, srv, "bill")
	sim.StartCall("bill")
	send(t, c, control(sim, srv, "pause"))
	r, err := http.NewRequest(http.MethodPut, srv.URL+agui.APIPath+"/resume/acme01/agentId/bill", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(sim.Tenant(), sim.ActionToken())
	send(t, srv.Client(), r)
	if !sim.Recording("bill") || len(sim.Effects("bill")) != 3 {
		t.Errorf("the ledger has\n%s", sim)
	}
}

func TestWorkspacePage(t *testing.T) {
	sim, srv := start(t, agui.Config{PanelURL: "http://panel.localhost:8080/"})
	c := browser(t, srv, "bill")
	page := func() string {
		t.Helper()
		status, header, body := send(t, c, get(srv.URL+agui.WorkspacePath))
		if status != 200 || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Fatalf("the page answered %d", status)
		}
		return body
	}
	do := func(form url.Values) {
		t.Helper()
		if status, _, _ := send(t, c, post(srv.URL+"/AGUI/desk", form)); status != http.StatusSeeOther {
			t.Fatalf("%v answered %d", form, status)
		}
	}
	for _, step := range []struct {
		form url.Values
		tape string
	}{
		{nil, "none"},
		{url.Values{"do": {"start"}}, "recording"},
		{url.Values{"do": {"pause"}}, "silent"},
		{url.Values{"do": {"resume"}}, "recording"},
		{url.Values{"do": {"end"}}, "none"},
		{url.Values{"do": {"record"}}, "none"},
		{url.Values{"do": {"start"}}, "unrecorded"},
	} {
		if step.form != nil {
			do(step.form)
		}
		body := page()
		if !strings.Contains(body, `data-tape="`+step.tape+`"`) || !strings.Contains(body, "http://panel.localhost:8080/") {
			t.Errorf("after %v the page doesn't say %s:\n%s", step.form, step.tape, body)
		}
		if strings.Contains(body, sim.ActionToken()) {
			t.Error("the page shows the token")
		}
	}
	do(url.Values{"do": {"fault"}, "fault": {"error"}})
	if status, _, _ := send(t, c, control(sim, srv, "pause")); status != 500 {
		t.Errorf("the page's fault wasn't met: %d", status)
	}
	do(url.Values{"do": {"expire"}})
	if status, _, _ := send(t, c, get(srv.URL+agui.WorkspacePath)); status != http.StatusSeeOther {
		t.Errorf("the page is open to an expired session: %d", status)
	}
}

// A call that is paused all day is drawn as large as any: the page is in the browser of the tests that measure.
func TestWorkspacePageStaysSmall(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	c := browser(t, srv, "bill")
	sim.StartCall("bill")
	paused := func(times int) string {
		t.Helper()
		for range times {
			if !sim.Pause("bill") || !sim.Resume("bill") {
				t.Fatal("the tape didn't change")
			}
		}
		_, _, page := send(t, c, get(srv.URL+agui.WorkspacePath))
		return page
	}
	if page := paused(6); strings.Count(page, "(0:00)") != 6 || strings.Contains(page, "earlier") {
		t.Errorf("six silences:\n%s", page)
	}
	if page := paused(500); strings.Count(page, "(0:00)") != 6 || !strings.Contains(page, ">500 earlier<") {
		t.Errorf("506 silences:\n%s", page)
	}
}

// The page's own controls take no orders from another site, whatever cookie comes along; controlRecording.php does.
func TestOtherSites(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	c := browser(t, srv, "bill")
	sim.StartCall("bill")
	r := post(srv.URL+"/AGUI/desk", url.Values{"do": {"end"}})
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if status, _, _ := send(t, c, r); status != http.StatusForbidden || !sim.Recording("bill") {
		t.Errorf("another site's order was answered %d", status)
	}
	r = post(srv.URL+agui.ControlPath, url.Values{"action": {"pause"}, "token": {sim.ActionToken()}})
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if status, _, _ := send(t, c, r); status != 200 || sim.Recording("bill") {
		t.Errorf("another site's pause was answered %d", status)
	}
}

func TestEvents(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	c := browser(t, srv, "bill")
	if status, _, _ := send(t, browser(t, srv, ""), get(srv.URL+"/AGUI/events")); status != http.StatusUnauthorized {
		t.Errorf("a stranger's stream was answered %d", status)
	}
	resp, err := c.Do(get(srv.URL + "/AGUI/events"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended before %s", want)
	}
	next(`"tape":"none"`)
	sim.StartCall("bill")
	next(`"tape":"recording"`)
	sim.Pause("bill")
	next(`"tape":"silent"`)
	sim.Expire("bill")
	next("event: expired")
}

func TestFaviconIsCacheable(t *testing.T) {
	_, srv := start(t, agui.Config{})
	status, header, body := send(t, srv.Client(), get(srv.URL+agui.FaviconPath))
	if status != 200 || header.Get("Last-Modified") == "" || header.Get("Cache-Control") != "" || body == "" {
		t.Errorf("answered %d %v", status, header)
	}
}

// Many browsers at once, while a test asks and waits: the ledger loses none and the tape ends as the last effect says.
func TestConcurrency(t *testing.T) {
	sim, srv := start(t, agui.Config{})
	sim.StartCall("bill")
	sim.StartCall("jo")
	const clients, rounds = 8, 20
	var all sync.WaitGroup
	for i := range clients {
		agent := []string{"bill", "jo"}[i%2]
		c := browser(t, srv, agent)
		all.Go(func() {
			for n := range rounds {
				resp, err := c.Do(control(sim, srv, []string{"pause", "resume"}[n%2]))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				sim.SetFault(recording.RouteServer, agent, agui.Fault{Times: n})
				_ = sim.Recording(agent)
			}
		})
	}
	answered := func() bool {
		return len(sim.Requests(agui.Filter{Path: agui.ControlPath, Status: 200})) == clients*rounds
	}
	if err := sim.WaitFor(t.Context(), answered); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for _, agent := range []string{"bill", "jo"} {
		effects := sim.Effects(agent)
		for i := 1; i < len(effects); i++ {
			if effects[i].Kind == effects[i-1].Kind || effects[i].Seq <= effects[i-1].Seq {
				t.Fatalf("the effects don't alternate:\n%s", sim)
			}
		}
		if last := effects[len(effects)-1]; sim.Recording(agent) != (last.Kind != agui.Paused) {
			t.Errorf("recording %t after %q", sim.Recording(agent), last.Kind)
		}
	}
}

// A call that has ended can be heard: its recording is silent while it was paused, and only then, whatever was answered.
func TestTheTapeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := archive.New(archive.Config{})
		sim := agui.New(agui.Config{Archive: kept, PlainLoopback: true})
		ask := func(method, path, password string) *httptest.ResponseRecorder {
			r, w := httptest.NewRequest(method, "http://localhost"+path, nil), httptest.NewRecorder()
			r.RemoteAddr = "127.0.0.1:1"
			r.SetBasicAuth("acme01", password)
			sim.ServeHTTP(w, r)
			return w
		}
		pause := func() {
			if w := ask("PUT", agui.APIPath+"/pause/acme01/agentId/bill", sim.ActionToken()); !strings.Contains(w.Body.String(), "success") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		sim.StartCall("bill")
		time.Sleep(3 * time.Second)
		pause()
		time.Sleep(2 * time.Second)
		sim.Resume("bill")
		time.Sleep(time.Second)
		sim.SetFault(recording.RouteServer, "bill", agui.Fault{Pretend: true})
		pause()
		time.Sleep(2 * time.Second)
		if len(kept.Files()) != 0 {
			t.Error("a call that goes on is in the archive")
		}
		sim.EndCall("bill")

		if w := ask("GET", archive.Path+"files", sim.ActionToken()); w.Code != http.StatusUnauthorized {
			t.Errorf("the action token is taken: %d", w.Code)
		}
		list := ask("GET", archive.Path+"files?agentID=bill", kept.DataToken()).Body.String()
		if !strings.Contains(list, "<duration>8</duration>") || !strings.Contains(list, "<startDate>1999-12-31T16:00:00-08:00</startDate>") {
			t.Errorf("the list is %s", list)
		}
		samples := ask("GET", archive.Path+"files/"+kept.Files()[0], kept.DataToken()).Body.Bytes()[44:]
		if len(samples) != 8*8000*2 {
			t.Fatalf("%d bytes", len(samples))
		}
		for second := range 8 {
			part := samples[second*16000:][:16000]
			if silent, paused := bytes.Count(part, []byte{0}) == len(part), second == 3 || second == 4; silent != paused {
				t.Errorf("second %d is silent: %t", second, silent)
			}
		}
	})
}
