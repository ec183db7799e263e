package e2e_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
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
	"github.com/google/uuid"

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
			for some := range slices.Chunk(pages, 4) { // each starts a program
				do("windows", some, s.url)
			}
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

func sum[K comparable](counts map[K]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// TestHostileMessages: a page that may frame the panel has a script in it that isn't the page's own. It tells the panel whatever it
// likes, as if it were the loader. It gets what a trigger gets and nothing else: no other call of ours is made for it, the agent's
// own hold stays, and nobody's word is given.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	o := newOffice(t, byServer, true)
	b := browser.Launch(t, o.net, browser.ThirdPartyBlocked)
	tab := b.Tab(t)
	o.open(t, tab, "/checkout")
	agent := o.bearer(t, o.d.email())
	if body, status := o.call(t, agent, http.MethodPost, "/api/v1/actions", `{"id":"`+uuid.NewString()+`","action":"pause","reason":"by hand"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	o.awaitTape(t, false, "the hand's pause")
	standing := func() string {
		t.Helper()
		state, _ := o.call(t, agent, http.MethodGet, "/api/v1/state", "")
		var s recording.Snapshot
		if err := json.Unmarshal(state, &s); err != nil {
			t.Fatal(err)
		}
		attempts, _ := o.call(t, agent, http.MethodGet, "/api/v1/attempts", "")
		links, _ := o.call(t, agent, http.MethodGet, "/api/v1/links", "")
		return fmt.Sprintf("%s %v\n%s\n%s", s.State, s.Holds, attempts, links)
	}
	before := standing()
	earlier, _ := o.answered()

	type message struct {
		Type    any `json:"type"`
		Payload any `json:"payload"`
	}
	var all []message
	// Of the window that the loader opened, the attempt's id becomes part of an address: every call of ours, by it.
	for _, r := range httpapi.Routes() {
		path := strings.NewReplacer("{$}", "", "{id}", uuid.NewString(), "{name}", "x").Replace(r.Pattern)
		if r.Method != http.MethodPost {
			continue
		}
		for _, up := range []string{"../../..", "%2e%2e/%2e%2e/%2e%2e", `..\..\..`, "/../../.."} {
			for _, end := range []string{"#", "?", ""} {
				for _, seen := range []string{"closed", "open"} {
					all = append(all, message{"window", map[string]any{"id": up + path + end, "action": "pause", "trigger": "field", "seen": seen, "after": 1}})
				}
			}
		}
	}
	// And each part of what a loader says, as it isn't.
	odd := []any{nil, true, -1, 1e308, "", "x", strings.Repeat("x", 1<<16), "\x00", "hand", "../hand", "trigger:hand", "__proto__", "<img src=x onerror=alert(1)>", []any{}, []any{"x"}, map[string]any{}, map[string]any{"toString": "x"}}
	whole := map[string]map[string]any{
		"pause":    {"trigger": "field", "reason": "card"},
		"resume":   {"trigger": "field", "reason": ""},
		"window":   {"id": uuid.NewString(), "action": "pause", "trigger": "field", "seen": "closed", "after": 80},
		"identify": {"token": "a.b.c"},
		"call":     {"call": "c", "event": "ended"},
	}
	for kind, payload := range whole {
		for part := range payload {
			for _, value := range odd {
				if _, isText := value.(string); isText && (part == "reason" || part == "token" || part == "call" || part == "event" || part == "trigger" && value != "" && value != "\x00" && !strings.ContainsAny(fmt.Sprint(value), "/:<") && len(fmt.Sprint(value)) <= 64) ||
					value == nil && part == "reason" || part == "after" && value == -1 {
					continue // which a loader may say
				}
				changed := maps.Clone(payload)
				changed[part] = value
				all = append(all, message{kind, changed})
			}
		}
		for _, value := range odd {
			all = append(all, message{kind, value})
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	tab.Do(chromedp.Evaluate[chromedp.Void](`(() => {
		const frame = ` + panelFrame + `.contentWindow;
		window.told = new Map();
		addEventListener('message', e => { if (e.source === frame && e.data.type === 'answer') told.set(e.data.id, e.data.payload.error?.code ?? 'done'); });
		` + string(text) + `.forEach((m, i) => frame.postMessage({source: 'offrecord', v: 1, id: 'hostile ' + i, ...m}, '*'));
		// What gets no answer, whatever it is.
		for (const data of [null, 1, 'pause', [], {}, {source: 'offrecord'}, {source: 'offrecord', v: 2, id: 'x', type: 'resume', payload: {trigger: 'field'}}, {source: 'offrecord', v: 1, id: {}, type: 'resume', payload: {trigger: 'field'}},
			...['constructor', '__proto__', 'toString', 'hasOwnProperty', ['resume'], {}, null, 'confirm', 'attest'].map(type => ({source: 'offrecord', v: 1, id: 'x', type, payload: {trigger: 'field'}})),
			...[null, 'x', {theme: null}, {theme: 'x'}, {theme: {ground: 'url(//evil.example)', '--x': 'red', '": 1': 'red'}}].map(payload => ({source: 'offrecord', v: 1, id: 'x', type: 'hello', payload})),
			{offrecord: 'third-party-cookies', world: 'allowed'}, {offrecord: 'whose', challenge: 'x'}, {offrecord: 'mine', challenge: 'x'}]) frame.postMessage(data, '*');
	})(); 0`))
	tab.Until(fmt.Sprintf(`told.size === %d`, len(all)))
	codes := map[string]int{}
	for _, code := range browser.Eval[[]string](tab, `[...told.values()]`) {
		codes[code]++
	}
	if codes["invalid"] != len(all) {
		t.Errorf("of %d messages, these were answered: %v", len(all), codes)
	}
	if got := browser.Eval[string](tab, `offrecord('ready').then(r => r.state + ' ' + r.outcome)`); got != "paused confirmed" { // and everything before it was heard
		t.Errorf("the page is told %s", got)
	}
	if after := standing(); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	later, _ := o.answered()
	for _, r := range httpapi.Routes() {
		name := r.Method + " " + r.Pattern
		if n := sum(later[name]) - sum(earlier[name]); r.Method != http.MethodGet && n != 0 {
			t.Errorf("%s was called %d times", name, n)
		}
	}
	// What a page may do, it still may.
	if got := browser.Eval[string](tab, `offrecord('pause', {name: 'own'}).then(() => offrecord('resume', {name: 'own'})).then(r => r.outcome)`); got != string(recording.Superseded) {
		t.Errorf("the page's own trigger, beside the hand's hold: %s", got)
	}
	if o.recording() {
		t.Error("the page ended the agent's hold")
	}
	t.Logf("%d messages, all refused (%v), and 25 that get no answer; no call was made for any of them", len(all), codes)
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
	section := func(name string) string {
		_, text, _ := strings.Cut(readme(t), "\n## "+name+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
		return text
	}
	security, asvs := section("Security"), readFile(t, "web/ASVS.md")
	for where, text := range map[string]string{"the README": section("Signing in") + security, "web/ASVS.md": asvs} {
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
	for _, line := range strings.Split(section("Signing in")+security, "\n") {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| who |") && !strings.HasPrefix(line, "| who tries |") {
			rows++
			if !strings.Contains(line, "`Test") {
				t.Errorf("no test is named: %s", line)
			}
		}
	}
	if rows < 20 {
		t.Errorf("the README lists %d threats", rows)
	}
	// Each item is one of the standard's, with its level.
	items := 0
	for _, line := range strings.Split(asvs, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !asvsItem.MatchString(cells[1]) {
			continue
		}
		var numbers []string
		if from, to, isRange := strings.Cut(cells[1], " to "); isRange {
			last := asvsItem.FindString(to)
			numbers = asvsItem.FindAllString(from, -1)
			section, first, _ := cutLast(numbers[len(numbers)-1])
			_, end, _ := cutLast(last)
			for n := first + 1; n <= end; n++ {
				numbers = append(numbers, fmt.Sprintf("%s.%d", section, n))
			}
		} else {
			numbers = asvsItem.FindAllString(cells[1], -1)
		}
		levels := map[string]bool{}
		for _, number := range numbers {
			items++
			section, n, err := cutLast(number)
			of := asvsLevels[section]
			if err != nil || n < 1 || n > len(of) {
				t.Errorf("ASVS 5.0 has no item %s", number)
				continue
			}
			levels[of[n-1:n]] = true
		}
		if got, want := strings.TrimSpace(cells[2]), strings.Join(slices.Sorted(maps.Keys(levels)), ", "); got != want {
			t.Errorf("%s: of level %s, not %s", strings.TrimSpace(cells[1]), want, got)
		}
	}
	if items < 100 {
		t.Errorf("%d items of the ASVS", items)
	}
}

var asvsItem = regexp.MustCompile(`\b\d+\.\d+\.\d+\b`)

// cutLast parts an item's number into its section and its place there.
func cutLast(item string) (section string, n int, err error) {
	at := strings.LastIndex(item, ".")
	if at < 0 {
		return "", 0, fmt.Errorf("%q is no item", item)
	}
	n, err = strconv.Atoi(item[at+1:])
	return item[:at], n, err
}

// asvsLevels are the levels of the items of OWASP's ASVS 5.0.0, by section and in order.
var asvsLevels = map[string]string{
	"1.1": "22", "1.2": "1111122223", "1.3": "112222222223", "1.4": "222", "1.5": "123", "2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
	"3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3", "3.7": "22333", "4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
	"5.1": "2", "5.2": "112333", "5.3": "113", "5.4": "222", "6.1": "122", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333", "6.6": "2223", "6.7": "33", "6.8": "2222",
	"7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22", "8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23", "9.1": "111", "9.2": "1222",
	"10.1": "22", "10.2": "223", "10.3": "22223", "10.4": "1111122222233333", "10.5": "22222", "10.6": "22", "10.7": "222",
	"11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23", "11.7": "33", "12.1": "12233", "12.2": "11", "12.3": "22223",
	"13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233", "14.1": "22", "14.2": "12223333", "14.3": "122",
	"15.1": "12233", "15.2": "12233", "15.3": "1222222", "15.4": "3333", "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
}
