package e2e_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/chromedp/chromedp"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/httpapi"
	"offrecord/web/platform/upstream"
	"offrecord/web/server"
)

// A hostile site: an agent who is logged in, on a call that is recorded, has a page open that tries everything that a page can
// do against every page and call of ours. They are taken from the table of routes, so that a new one is tried without anybody
// thinking of it. Nothing may change, and nothing may be read.

// hostileNames are the sites: one of another registrable name, and a sister host of the panel's, whose requests carry the
// agent's cookie.
var hostileNames = []string{"evil.attacker.test", "evil.offrecord.test"}

//go:embed hostile.js
var hostileScript string

// hostile serves pages that hold nothing, redirects, and policies whose reports go to us.
func hostile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/redirect":
		code, err := strconv.Atoi(q.Get("code"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Location", q.Get("to"))
		w.WriteHeader(code)
	case "/report":
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "img-src 'none'; report-uri "+q.Get("to"))
		io.WriteString(w, `<!doctype html><img src="/violation">`)
	case "/style.css":
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprintf(w, "@import %q; body { background: url(%q) }", q.Get("to"), q.Get("to"))
	case "/hostile.js":
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, hostileScript)
	case "/favicon.ico":
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><title>A harmless page</title><h1>You have won</h1><script src="/hostile.js"></script>`)
	}
}

// target is a route as a page elsewhere would address it.
type target struct {
	Method string `json:"method"`
	Home   string `json:"home"` // the companion's origin
	URL    string `json:"url"`
	Name   string `json:"name"` // of the route
	Form   string `json:"form"`
	JSON   string `json:"json"`
	page   bool
}

// targets are all routes, with what would make each do the most harm.
func (s *stage) targets(link, foreign signedLink) (all []target) {
	form := url.Values{"action": {"pause"}, "confirmed": {"yes"}, "email": {"jo@acme.example"}, "transport": {"iframe"}, "reason": {"hostile"}, "link": {fragmentOf(foreign)}, "return": {"//evil.attacker.test"}}.Encode()
	body := func(action string) string {
		return fmt.Sprintf(`{"id":"99999999-0000-4000-8000-%012d","action":%q,"transport":"iframe","reason":"hostile"}`, len(all), action)
	}
	for _, r := range httpapi.Routes() {
		path := strings.NewReplacer("{$}", "", "{id}", link.ID, "{name}", "v1.js").Replace(r.Pattern)
		t := target{Method: r.Method, Home: s.url, URL: s.url + path, Name: r.Method + " " + r.Pattern, Form: form, JSON: body("pause"), page: r.Page}
		switch r.Pattern {
		case "/act":
			t.URL += "?action=pause&reason=hostile"
		case "/api/v1/links":
			t.JSON = `{"purpose":"hostile"}`
		case "/api/v1/calls":
			t.JSON = `{"call":"hostile","event":"ended"}`
		case "/api/v1/login/demo":
			t.JSON = `{"email":"jo@acme.example"}`
		}
		all = append(all, t)
	}
	// Links that are another agent's or nobody's, and what resumes.
	for _, more := range []string{pauseAddress + "#" + fragmentOf(foreign), pauseAddress + "#" + link.ID + ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", resumeAddress} {
		all = append(all, target{Method: http.MethodGet, Home: s.url, URL: s.url + more, Name: "GET /act", page: true})
	}
	return all
}

func fragmentOf(link signedLink) string {
	_, fragment, _ := strings.Cut(link.URL, "#")
	return fragment
}

// standing is everything that a hostile page could want to change.
type standing struct {
	Platform []string // what reached the platform
	State    recording.State
	Attempts int
	Links    string
	Alerts   string
	Log      []string // but what was refused
	Me       string
	Session  string // the browser's cookie
}

func (s *stage) standing(t *testing.T, p *post, tab *browser.Tab, agent, supervisor string) standing {
	t.Helper()
	read := func(bearer, path string) string {
		t.Helper()
		body, status := s.call(t, bearer, http.MethodGet, path, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		return string(body)
	}
	now := standing{Platform: p.asked(), Links: read(agent, "/api/v1/links"), Alerts: read(supervisor, "/api/v1/alerts"), Me: read(agent, "/api/v1/me")}
	for _, c := range tab.Cookies(s.url) {
		if c.Name == "__Host-offrecord" {
			now.Session = c.Value
		}
	}
	for _, r := range p.controls() {
		now.Platform = append(now.Platform, fmt.Sprint("control ", r.Action))
	}
	var state recording.Snapshot
	if err := json.Unmarshal([]byte(read(agent, "/api/v1/state")), &state); err != nil {
		t.Fatal(err)
	}
	var attempts struct{ Items []recording.Attempt }
	if err := json.Unmarshal([]byte(read(agent, "/api/v1/attempts")), &attempts); err != nil {
		t.Fatal(err)
	}
	now.State, now.Attempts = state.State, len(attempts.Items)
	for _, e := range s.audited(t) {
		if e.Kind != audit.Refused && e.Kind != audit.AuditRead {
			now.Log = append(now.Log, fmt.Sprint(e.Kind, " ", e.Agent, " ", e.Detail))
		}
	}
	return now
}

// answered counts the companion's answers by route and status, of all and of those that came with the agent's session.
func (s *stage) answered() (byRoute map[string]map[int]int, known int) {
	byRoute = map[string]map[int]int{}
	for line := range strings.Lines(s.log.String()) {
		var l struct {
			Msg, Route, Agent string
			Status            int
		}
		if json.Unmarshal([]byte(line), &l) != nil || l.Msg != "answered" {
			continue
		}
		if byRoute[l.Route] == nil {
			byRoute[l.Route] = map[int]int{}
		}
		byRoute[l.Route][l.Status]++
		if l.Agent != "" && l.Status == http.StatusForbidden {
			known++
		}
	}
	return byRoute, known
}

func TestAHostileSiteChangesNothingAndReadsNothing(t *testing.T) {
	var said sync.Map
	t.Run("worlds", func(t *testing.T) {
		for _, world := range browser.Worlds() {
			t.Run(world.String(), func(t *testing.T) {
				t.Parallel() // much of it is waiting
				said.Store(world, hostileWorld(t, world))
			})
		}
	})
	for _, world := range browser.Worlds() {
		if text, ok := said.Load(world); ok {
			t.Logf("%s:\n%s", world, text)
		}
	}
}

func hostileWorld(t *testing.T, world browser.Cookies) string {
	s := &stage{net: browser.NewNet(t), desks: map[string]*desk{}, log: new(logBuffer)}
	p := posts()["8x8 combined"](t, s.net)
	trust := s.net.Client().Transport.(*http.Transport)
	s.upstream = upstream.Options{RootCAs: trust.TLSClientConfig.RootCAs, Dial: trust.DialContext}
	s.start(t, fmt.Sprintf("  - {name: bill, %s, timeouts: {try: 2s, attempt: 8s}}\n", p.platform),
		"  - {email: bill@acme.example, platform: bill, agent_id: bill}\n  - {email: jo@acme.example, platform: bill, agent_id: jo}\n  - {email: sue@acme.example, role: supervisor}\n",
		map[string]string{"TOKEN": p.token})
	agent, supervisor := s.bearer(t, "bill@acme.example"), s.bearer(t, "sue@acme.example")
	link, foreign := s.link(t, "bill@acme.example", "card"), s.link(t, "jo@acme.example", "card")

	// A hostile page may open as many windows as it likes here: a stronger one than there is.
	b := browser.Launch(t, s.net, world, browser.Flag("disable-popup-blocking", true), browser.Unwatched())
	victim := b.Tab(t)
	allowPlatformNoise(victim)
	p.signIn(t, victim)
	s.enter(t, victim, &p.desk)
	before := s.standing(t, p, victim, agent, supervisor)
	earlier, _ := s.answered()

	all := s.targets(link, foreign)
	tried := map[string]int{}
	for _, name := range hostileNames {
		sister := strings.HasSuffix(name, strings.TrimPrefix(panelName, "panel"))
		if sister && world == browser.ThirdPartyBlocked {
			continue // its requests are the first party's in either world
		}
		// What doesn't depend on the cookies that come along is tried by one of the three: it takes a browser a while.
		thorough := !sister && world == browser.ThirdPartyAllowed
		site := s.net.Serve(t, name, http.HandlerFunc(hostile)).URL
		tab := b.Tab(t)
		tab.Allow(`.`) // its console is full of refusals
		do := func(call string, arguments ...any) {
			t.Helper()
			var texts []string
			for _, a := range arguments {
				text, err := json.Marshal(a)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, string(text))
			}
			tab.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("window.busy = Promise.resolve(hostile.%s(%s)).then(() => { window.busy = null; }); 0", call, strings.Join(texts, ", "))))
			tab.Until("!window.busy")
		}
		tab.Open(site)
		for some := range slices.Chunk(all, 8) {
			do("attack", some, thorough)
		}
		var pages []target
		var addresses []string
		for _, x := range all {
			if x.Method == http.MethodGet {
				addresses = append(addresses, x.URL)
				if x.page && !strings.Contains(x.Name, "{$}") { // which starts a program for each
					pages = append(pages, x)
				}
			}
		}
		if thorough {
			do("windows", pages, s.url)
		}
		do("ahead", addresses)
		for way, n := range browser.Eval[map[string]int](tab, "hostile.tried") {
			tried[way] += n
		}
		for _, what := range browser.Eval[[]string](tab, "hostile.readable") {
			if !strings.Contains(what, "/embed/") { // which is for other sites' pages
				t.Errorf("%s read %s", name, what)
			}
		}
		// And as what a person sees: each page, and each form's answer, in this very window.
		for _, x := range all {
			if x.Method == http.MethodGet && !x.page || x.Method == http.MethodPost && !thorough || x.Method == http.MethodDelete || sister {
				continue
			}
			tab.Open(site)
			tab.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`hostile.leave({method: %q, url: %q, form: %q}); 0`, x.Method, x.URL, x.Form)))
			tab.Until(`location.host !== ` + strconv.Quote(strings.TrimPrefix(site, "https://")))
			tried["this window, "+x.Method]++
		}
		tab.Open("about:blank")
	}

	after := s.standing(t, p, victim, agent, supervisor)
	for i := range reflect.TypeFor[standing]().NumField() {
		field := reflect.TypeFor[standing]().Field(i).Name
		if was, is := reflect.ValueOf(before).Field(i).Interface(), reflect.ValueOf(after).Field(i).Interface(); !reflect.DeepEqual(was, is) {
			t.Errorf("%s was %v\nand is %v", field, was, is)
		}
	}
	// The agent's browser is as it was: a press of its own acts.
	victim.Open(s.url + pauseAddress)
	victim.Click("button", "Pause recording")
	p.await(t, "a press of the agent's own", func() bool { return !p.sim.Recording("bill") })

	routes, known := s.answered()
	if known == 0 {
		t.Error("no refused request came with the agent's session: this proves nothing")
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	total, refused := 0, 0
	for _, r := range httpapi.Routes() {
		name := r.Method + " " + r.Pattern
		var statuses []string
		n := 0
		for status, count := range routes[name] {
			count -= earlier[name][status]
			if count == 0 {
				continue
			}
			n += count
			if status >= 400 {
				refused += count
			}
			statuses = append(statuses, fmt.Sprintf("%d×%d", status, count))
		}
		slices.Sort(statuses)
		total += n
		fmt.Fprintf(w, "%s\t%d requests\t%s\n", name, n, strings.Join(statuses, " "))
		if n == 0 && r.Method != http.MethodDelete { // which needs leave that isn't given
			t.Errorf("%s was never reached", name)
		}
	}
	w.Flush()
	var ways []string
	for way, n := range tried {
		ways = append(ways, fmt.Sprintf("%s ×%d", way, n))
	}
	slices.Sort(ways)
	return fmt.Sprintf("%d inputs in %d ways: %s\n%d requests reached the routes, %d were refused, %d of those with the agent's own session\n%s",
		sum(tried), len(ways), strings.Join(ways, ", "), total, refused, known, &table)
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// A name of somebody else's that is pointed at this machine (DNS rebinding) makes a page of theirs a page of the companion's
// origin, as far as a browser can tell. It is refused by its name, also where a log-in needs no secret.
func TestANamePointedAtThisMachineIsRefused(t *testing.T) {
	text := "listen: 127.0.0.1:0\nidentity: {demo: true}\nplatforms:\n  - {name: acme, kind: 8x8, base_url: 'http://127.0.0.1:1', tenant: acme01, action_token: '${TOKEN}'}\n" +
		"agents:\n  - {email: bill@acme.example, platform: acme, agent_id: bill}\n"
	c, err := config.Parse([]byte(text), config.Environment{Getenv: func(string) (string, bool) { return "token", true }})
	if err != nil {
		t.Fatal(err)
	}
	log := new(logBuffer)
	m := &server.Main{Config: c, Version: "test", Log: slog.New(slog.NewJSONHandler(log, nil))}
	if err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := browser.Launch(t, browser.NewNet(t), browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow(`.`)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(m.URL(), "http://"))
	for name, status := range map[string]int{"rebound.attacker.test": http.StatusMisdirectedRequest, "panel.localhost": http.StatusOK} {
		tab.Open("http://" + name + ":" + port + "/login")
		got := browser.Eval[[]int](tab, `(async () => {
			const login = await fetch('/api/v1/login/demo', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"email":"bill@acme.example"}'});
			const {access_token} = await login.json();
			const state = await fetch('/api/v1/state', {headers: {Authorization: 'Bearer ' + access_token}});
			return [login.status, state.status];
		})()`)
		if !slices.Equal(got, []int{status, status}) {
			t.Errorf("a page of %s: %v, want %d", name, got, status)
		}
	}
}

// What the README's Security part and the list of the ASVS say is held by a test is held by a test of that name.
func TestTheTestsThatSecurityNamesAreThere(t *testing.T) {
	tests := map[string]bool{}
	for _, file := range projectFiles(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(house, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
			tests[string(m[1])] = true
		}
	}
	_, security, _ := strings.Cut(readme(t), "\n## Security\n")
	security, _, _ = strings.Cut(security, "\n## ")
	for where, text := range map[string]string{"the README": security, "web/ASVS.md": readFile(t, "web/ASVS.md")} {
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(text, -1)
		if len(named) < 20 {
			t.Errorf("%s names %d tests", where, len(named))
		}
		for _, m := range named {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which is no test", where, m[1])
			}
		}
	}
	// Each row of the threats says which test shows it.
	rows := 0
	for _, line := range strings.Split(security, "\n") {
		if strings.HasPrefix(line, "| ") && strings.Count(line, "|") == 6 && !strings.HasPrefix(line, "| who |") && !strings.HasPrefix(line, "|---") {
			rows++
			if !strings.Contains(line, "`Test") {
				t.Errorf("no test is named: %s", line)
			}
		}
	}
	if rows < 12 {
		t.Errorf("the README lists %d threats", rows)
	}
}
