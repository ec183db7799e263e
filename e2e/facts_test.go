package e2e_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	_ "modernc.org/sqlite"

	"offrecord/e2e/browser"
)

// The session route stands on how browsers treat cookies, frames and windows. These tests measure each of those facts in
// the browser at hand, with servers of their own and nothing of the product, so that a browser that changes its mind is
// noticed here first. What is measured is printed.

// A factsHost is a little site whose every request to /hit is kept by its "via" parameter, and answered as its "answer"
// parameter says. All three sites of these tests are one of it; their names make the difference.
type factsHost struct {
	mu       sync.Mutex
	arrivals map[string]chan arrival
	peers    map[string]bool // connections that have carried a request
}

// An arrival is what a request brought along.
type arrival struct {
	cookies       string // the names, in the order none, lax, unset
	referer       string
	storageAccess string // Sec-Fetch-Storage-Access
	used          bool   // its connection had carried a request before
}

func newFactsHost() *factsHost {
	return &factsHost{arrivals: map[string]chan arrival{}, peers: map[string]bool{}}
}

func (h *factsHost) at(via string) chan arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.arrivals[via] == nil {
		h.arrivals[via] = make(chan arrival, 16)
	}
	return h.arrivals[via]
}

// wait is the next request that came by via.
func (h *factsHost) wait(t *testing.T, via string) arrival {
	t.Helper()
	select {
	case a := <-h.at(via):
		return a
	case <-time.After(20 * time.Second):
		t.Fatalf("no request came by %q", via)
		return arrival{}
	}
}

// count is how many requests came by via that nobody waited for.
func (h *factsHost) count(via string) int { return len(h.at(via)) }

// The cookies that the platform sets as a top-level page, named by their SameSite. They last, so that a later browser on the
// same profile has them.
var sameSites = []string{"none", "lax", "unset"}

func (h *factsHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	used := h.peers[r.RemoteAddr]
	h.peers[r.RemoteAddr] = true
	h.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	html := func(body string) {
		fmt.Fprintf(w, "<!doctype html><title>%s</title><link rel=icon href='data:,'><body>%s", r.URL.Path, body)
	}
	for _, name := range []string{"Content-Security-Policy", "Cross-Origin-Opener-Policy", "Referrer-Policy"} {
		if value := r.URL.Query().Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	switch r.URL.Path {
	case "/log-in":
		for _, name := range sameSites {
			c := &http.Cookie{Name: name, Value: "1", Path: "/", Secure: true, HttpOnly: true, MaxAge: 3600}
			switch name {
			case "none":
				c.SameSite = http.SameSiteNoneMode
			case "lax":
				c.SameSite = http.SameSiteLaxMode
			}
			http.SetCookie(w, c)
		}
		html("logged in")
	case "/page": // where tests act: a button whose click runs what a test put into act
		html(`<button onclick="act()">Go</button><script>
			const frame = (src, more) => {
				const f = Object.assign(document.createElement("iframe"), {hidden: true, loads: 0}, more);
				f.onload = () => f.loads++;
				f.src = src;
				document.body.append(f);
				return f;
			};
			const form = (action, target, method) => {
				const f = Object.assign(document.createElement("form"), {action, target, method});
				f.append(Object.assign(document.createElement("input"), {type: "hidden", name: "field", value: "kept"}));
				document.body.append(f);
				f.submit();
			};
		</script>`)
	case "/embed": // frames what it is told to
		html(`<iframe src="` + attribute(r.URL.Query().Get("src")) + `"></iframe>`)
	case "/to": // answers a form with the way to the platform
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusSeeOther)
	case "/hit":
		h.hit(w, r, used, html)
	default:
		http.NotFound(w, r)
	}
}

func (h *factsHost) hit(w http.ResponseWriter, r *http.Request, used bool, html func(string)) {
	var names []string
	for _, name := range sameSites {
		if _, err := r.Cookie(name); err == nil {
			names = append(names, name)
		}
	}
	h.at(r.FormValue("via")) <- arrival{
		cookies:       strings.Join(names, " "),
		referer:       r.Referer(),
		storageAccess: r.Header.Get("Sec-Fetch-Storage-Access"),
		used:          used,
	}
	switch r.FormValue("answer") {
	case "close":
		html("<script>window.close()</script>")
	case "401":
		w.WriteHeader(http.StatusUnauthorized)
		html("no session") // without a body, the browser shows a page of its own
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
		html("broken")
	case "redirect":
		http.Redirect(w, r, "/hit?via=log-in+page", http.StatusFound)
	case "deny":
		w.Header().Set("X-Frame-Options", "DENY")
		html("not to be framed")
	case "204":
		w.WriteHeader(http.StatusNoContent)
	case "drop":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // these sites are served by HTTP/1.1, which can be taken over
		}
		conn.Close()
	default:
		html("here")
	}
}

func attribute(s string) string { return strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace(s) }

// The facts' three sites, all different ones to a browser.
type factsWorld struct {
	net                  *browser.Net
	host                 *factsHost
	panel, platform, crm string
}

func newFactsWorld(t *testing.T) factsWorld {
	w := factsWorld{net: browser.NewNet(t), host: newFactsHost()}
	w.panel = w.net.ServeHTTP1(t, "panel.offrecord.test", w.host).URL
	w.platform = w.net.ServeHTTP1(t, "vcc-na4.eightbyeight.test", w.host).URL
	w.crm = w.net.ServeHTTP1(t, "crm.acme.test", w.host).URL
	return w
}

// hit is the address of a request to the platform.
func (w factsWorld) hit(via, answer string) string {
	return w.platform + "/hit?" + url.Values{"via": {via}, "answer": {answer}}.Encode()
}

// clickRuns makes a real click run the script.
func clickRuns(t *testing.T, tab *browser.Tab, script string) {
	t.Helper()
	browser.Eval[bool](tab, fmt.Sprintf("(window.act = () => { %s }, true)", script))
	tab.Click("button", "Go")
}

// Which of the platform's cookies reach it, by each way in which a page of ours can send a request.
func TestFactsCookies(t *testing.T) {
	w := newFactsWorld(t)
	const all = "none lax unset"
	// A cookie without SameSite is as good as Lax, but goes with a cross-site POST at top level for its first two minutes.
	expected := []struct {
		way                         string
		allowed, blocked, oldCookie string // "*" is: not asked again with old cookies
	}{
		{"hidden iframe, GET", "none", "", "*"},
		{"hidden iframe, POST by form", "none", "", "*"},
		{"hidden iframe, form to us, 303", "none", "", "*"},
		{"nested iframe", "none", "", "*"},
		{"no-cors fetch", "none", "", "*"},
		{"popup, GET", all, all, all},
		{"popup, POST by form", "none unset", "none unset", "none"},
		{"popup, form to us, 303", all, all, all},
		{"own window, navigated later", all, all, all},
		{"iframe in a page of the platform", all, all, "*"},
	}
	measured := map[string]string{}
	for _, cookies := range browser.Worlds() {
		t.Run(cookies.String(), func(t *testing.T) {
			profile := t.TempDir()
			for _, age := range []string{"young", "old"} {
				b := browser.Launch(t, w.net, cookies, browser.Profile(profile))
				tab := b.Tab(t)
				if age == "young" {
					tab.Open(w.platform + "/log-in")
				}
				for way, got := range w.ways(t, tab, age == "young") {
					measured[way+"/"+cookies.String()+"/"+age] = got
				}
				b.Close() // its cookies are on disk now
				if age == "young" {
					w.remembers(t, profile)
					ageCookies(t, profile, len(sameSites), 3*time.Minute)
				}
			}
		})
	}

	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "way\tthird-party allowed\tblocked\tallowed, cookies 3 min old\tblocked, cookies 3 min old\n")
	for _, row := range expected {
		cells := []string{row.way}
		for _, c := range []struct {
			world browser.Cookies
			age   string
			want  string
		}{
			{browser.ThirdPartyAllowed, "young", row.allowed}, {browser.ThirdPartyBlocked, "young", row.blocked},
			{browser.ThirdPartyAllowed, "old", row.oldCookie}, {browser.ThirdPartyBlocked, "old", row.oldCookie},
		} {
			got, asked := measured[row.way+"/"+c.world.String()+"/"+c.age]
			switch {
			case !asked && c.want == "*":
				got = "·"
			case !asked:
				t.Errorf("%s, %s, %s cookies: not measured", row.way, c.world, c.age)
			case got != c.want:
				t.Errorf("%s, %s, %s cookies: the platform got %q, expected %q", row.way, c.world, c.age, got, c.want)
			}
			if got == "" {
				got = "-"
			}
			cells = append(cells, got)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	tw.Flush()
	t.Logf("cookies that reach the platform, by their SameSite:\n%s", table.String())
}

// ways sends a request to the platform in each way and returns which cookies arrived.
func (w factsWorld) ways(t *testing.T, tab *browser.Tab, every bool) map[string]string {
	t.Helper()
	got := map[string]string{}
	arrived := func(way string) {
		t.Helper()
		got[way] = w.host.wait(t, way).cookies
	}
	to := func(way, answer string) string {
		return w.panel + "/to?" + url.Values{"url": {w.hit(way, answer)}}.Encode()
	}
	tab.Open(w.panel + "/page")

	if every {
		browser.Eval[bool](tab, fmt.Sprintf("(frame(%q), true)", w.hit("hidden iframe, GET", "")))
		arrived("hidden iframe, GET")

		browser.Eval[bool](tab, fmt.Sprintf("(frame('about:blank', {name: 'post'}), form(%q, 'post', 'post'), true)",
			w.hit("hidden iframe, POST by form", "")))
		arrived("hidden iframe, POST by form")

		browser.Eval[bool](tab, fmt.Sprintf("(frame('about:blank', {name: 'native'}), form(%q, 'native', 'post'), true)",
			to("hidden iframe, form to us, 303", "")))
		arrived("hidden iframe, form to us, 303")

		browser.Eval[bool](tab, fmt.Sprintf("fetch(%q, {mode: 'no-cors', credentials: 'include'}).then(() => true)",
			w.hit("no-cors fetch", "")))
		arrived("no-cors fetch")
	}

	tab.Popup(func() {
		clickRuns(t, tab, fmt.Sprintf("window.open(%q, 'popup-get', 'width=200,height=200')", w.hit("popup, GET", "close")))
	}).WaitClosed()
	arrived("popup, GET")

	tab.Popup(func() {
		clickRuns(t, tab, fmt.Sprintf("window.open('', 'popup-post', 'width=200,height=200'); form(%q, 'popup-post', 'post')",
			w.hit("popup, POST by form", "close")))
	}).WaitClosed()
	arrived("popup, POST by form")

	tab.Popup(func() {
		clickRuns(t, tab, fmt.Sprintf("window.open('', 'popup-native', 'width=200,height=200'); form(%q, 'popup-native', 'post')",
			to("popup, form to us, 303", "close")))
	}).WaitClosed()
	arrived("popup, form to us, 303")

	helper := tab.Popup(func() {
		clickRuns(t, tab, "window.helper = window.open('/page', 'helper', 'width=200,height=200')")
	})
	browser.Eval[bool](tab, fmt.Sprintf("(helper.location = %q, true)", w.hit("own window, navigated later", "close")))
	arrived("own window, navigated later")
	helper.WaitClosed()

	if every {
		tab.Open(w.crm + "/embed?" + url.Values{"src": {w.panel + "/embed?" + url.Values{"src": {w.hit("nested iframe", "")}}.Encode()}}.Encode())
		arrived("nested iframe")

		tab.Open(w.platform + "/page")
		browser.Eval[bool](tab, fmt.Sprintf("(frame(%q), true)", w.hit("iframe in a page of the platform", "")))
		arrived("iframe in a page of the platform")
	}
	return got
}

// ageCookies makes the cookies in the profile of a browser that has ended older, all of them, so that nobody has to wait.
func ageCookies(t *testing.T, profile string, all int, by time.Duration) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(profile, "Default", "Cookies"))
	if more, merr := filepath.Glob(filepath.Join(profile, "Default", "Network", "Cookies")); merr == nil {
		files = append(files, more...)
	}
	if err != nil || len(files) != 1 {
		t.Fatalf("looking for the profile's cookies: %v, %v", files, err)
	}
	db, err := sql.Open("sqlite", files[0])
	if err != nil {
		t.Fatalf("opening the profile's cookies: %v", err)
	}
	defer db.Close()
	res, err := db.Exec("UPDATE cookies SET creation_utc = creation_utc - ?, last_update_utc = last_update_utc - ?", by.Microseconds(), by.Microseconds())
	if err != nil {
		t.Fatalf("aging the profile's cookies: %v", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(all) {
		t.Fatalf("aged %d cookies (%v), expected %d", n, err, all)
	}
}

// remembers holds what the history of a browser that has ended keeps: the addresses of windows, however short they lived, with all
// that is in them, and neither a form's fields nor the addresses of hidden frames.
func (w factsWorld) remembers(t *testing.T, profile string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(profile, "Default", "History"))
	if err != nil {
		t.Fatalf("opening the profile's history: %v", err)
	}
	defer db.Close()
	var all string
	if err := db.QueryRow("SELECT group_concat(url, char(10)) FROM urls").Scan(&all); err != nil {
		t.Fatalf("reading the profile's history: %v", err)
	}
	for way, want := range map[string]bool{"popup, GET": true, "popup, form to us, 303": true, "own window, navigated later": true, "hidden iframe, GET": false} {
		if got := strings.Contains(all, "via="+url.QueryEscape(way)); got != want {
			t.Errorf("%s: its address is in the history: %t, expected %t\n%s", way, got, want, all)
		}
	}
	if strings.Contains(all, "field=kept") {
		t.Errorf("a form's field is in the history:\n%s", all)
	}
}

// What a page sees of a hidden frame of another site: load, which proves nothing.
func TestFactsFrame(t *testing.T) {
	w := newFactsWorld(t)
	b := browser.Launch(t, w.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow("Failed to load resource|Refused to display|net::ERR_|^csp: ")
	policy := "frame-src " + w.platform + " https://nowhere.invalid"
	tab.Open(w.panel + "/page?" + url.Values{"Content-Security-Policy": {policy}}.Encode())
	browser.Eval[bool](tab, `(window.violations = 0, document.addEventListener("securitypolicyviolation", () => violations++), true)`)

	rows := []struct {
		answer   string
		url      string
		loads    bool
		requests int // that reached the platform
		most     int // as many as requests, unless it is said
	}{
		{"200", w.hit("f200", ""), true, 1, 0},
		{"401", w.hit("f401", "401"), true, 1, 0},
		{"500", w.hit("f500", "500"), true, 1, 0},
		{"redirect to a log-in page", w.hit("fredirect", "redirect"), true, 1, 0},
		{"X-Frame-Options: DENY", w.hit("fdeny", "deny"), true, 1, 0},
		{"DNS failure", "https://nowhere.invalid/", true, 0, 0},
		{"blocked by the page's policy", w.crm + "/hit?via=fcsp", true, 0, 0},
		{"204", w.hit("f204", "204"), false, 1, 0},
		// It is asked again by itself as long as the connection had been used before, and not once more after a new one.
		{"dropped connection", w.hit("fdrop", "drop"), true, 2, 3},
	}
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "answer\tload fires\trequests\tresponseStatus\tpolicy violations")
	for i, row := range rows {
		name := fmt.Sprintf("f%d", i)
		browser.Eval[bool](tab, fmt.Sprintf("(violations = 0, window.%s = frame(%q), true)", name, row.url))
		via := ""
		if u, err := url.Parse(row.url); err == nil {
			via = u.Query().Get("via")
		}
		if row.loads {
			tab.Until(name + ".loads > 0")
		} else {
			// That nothing comes can't be waited for: what was asked for later has come, twice over.
			w.host.wait(t, via)
			w.host.at(via) <- arrival{}
			for range 2 {
				browser.Eval[bool](tab, fmt.Sprintf("(window.later = frame(%q), true)", w.hit("later", "")))
				tab.Until("later.loads > 0")
			}
		}
		loads := browser.Eval[int](tab, name+".loads")
		status := browser.Eval[int](tab, fmt.Sprintf(
			"Math.max(-1, ...performance.getEntriesByType('resource').filter(e => e.name === %q).map(e => e.responseStatus))", row.url))
		violations := browser.Eval[int](tab, "violations")
		requests := w.host.count(via)
		fmt.Fprintf(tw, "%s\t%v\t%d\t%d\t%d\n", row.answer, loads > 0, requests, status, violations)

		if loads > 0 != row.loads {
			t.Errorf("%s: load fired %d times", row.answer, loads)
		}
		if requests < row.requests || requests > max(row.requests, row.most) {
			t.Errorf("%s: %d requests reached the platform, expected %d to %d", row.answer, requests, row.requests, max(row.requests, row.most))
		}
		for n := requests; row.most > 0 && n > 0; n-- {
			if a := w.host.wait(t, via); a.used != (n > 1) {
				t.Errorf("%s: with %d to come, the connection had been used: %t", row.answer, n-1, a.used)
			}
		}
		if status > 0 {
			t.Errorf("%s: the page can read the status %d", row.answer, status)
		}
		if blocked := strings.HasPrefix(row.answer, "blocked"); (violations > 0) != blocked {
			t.Errorf("%s: %d policy violations were reported", row.answer, violations)
		}
	}
	tw.Flush()
	t.Logf("what a page sees of a hidden frame of another site:\n%s", table.String())

	t.Run("a page of the platform can read the status", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Allow("Failed to load resource")
		tab.Open(w.platform + "/page")
		address := w.hit("own", "401")
		browser.Eval[bool](tab, fmt.Sprintf("(window.own = frame(%q), true)", address))
		tab.Until("own.loads > 0")
		tab.Until(fmt.Sprintf("performance.getEntriesByType('resource').some(e => e.name === %q && e.responseStatus === 401)", address))
	})

	t.Run("referrerpolicy", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(w.panel + "/page")
		for policy, want := range map[string]string{"": w.panel + "/", "no-referrer": ""} {
			via := "referrer " + policy
			browser.Eval[bool](tab, fmt.Sprintf("(frame(%q, {referrerPolicy: %q}), true)", w.hit(via, ""), policy))
			if got := w.host.wait(t, via).referer; got != want {
				t.Errorf("referrerpolicy=%q: the platform got the Referer %q, expected %q", policy, got, want)
			}
		}
		tab.Open(w.panel + "/page?Referrer-Policy=no-referrer")
		tab.Popup(func() {
			clickRuns(t, tab, fmt.Sprintf("window.open(%q, 'p', 'width=200,height=200')", w.hit("referrer popup", "close")))
		}).WaitClosed()
		if got := w.host.wait(t, "referrer popup").referer; got != "" {
			t.Errorf("a page's own policy: a popup sent the Referer %q", got)
		}
	})
}

// How a page can know whether third-party cookies are blocked.
func TestFactsStorageAccess(t *testing.T) {
	w := newFactsWorld(t)
	for cookies, want := range map[browser.Cookies]string{browser.ThirdPartyAllowed: "active", browser.ThirdPartyBlocked: "none"} {
		t.Run(cookies.String(), func(t *testing.T) {
			tab := browser.Launch(t, w.net, cookies).Tab(t)
			via := "storage access " + want
			tab.Open(w.crm + "/embed?" + url.Values{"src": {w.panel + "/hit?" + url.Values{"via": {via}}.Encode()}}.Encode())
			if got := w.host.wait(t, via).storageAccess; got != want {
				t.Errorf("Sec-Fetch-Storage-Access is %q, expected %q", got, want)
			}
			has := browser.Eval[bool](tab.Frame(w.panel), "document.hasStorageAccess()")
			if has != (want == "active") {
				t.Errorf("document.hasStorageAccess() says %v", has)
			}
		})
	}
}

// What a page sees of a window that it opened, and when it may open one.
func TestFactsPopup(t *testing.T) {
	w := newFactsWorld(t)
	b := browser.Launch(t, w.net, browser.ThirdPartyBlocked)

	// Two clocks of the browser's own, started first and read last, so that nobody waits for them.
	timed := func(after time.Duration) *browser.Tab {
		tab := b.Tab(t)
		tab.Open(w.panel + "/page")
		clickRuns(t, tab, fmt.Sprintf("setTimeout(() => { window.late = !!window.open('/page', 'late', 'width=200,height=200') }, %d)", after.Milliseconds()))
		return tab
	}
	tooLate, inTime := timed(6*time.Second), timed(500*time.Millisecond)

	// sees opens the address by a click on a page with this policy and returns the tab and the window.
	sees := func(t *testing.T, policy, address, features string) (*browser.Tab, *browser.Popup) {
		t.Helper()
		tab := b.Tab(t)
		tab.Allow("status of 401")
		tab.Open(w.panel + "/page?" + url.Values{"Cross-Origin-Opener-Policy": {policy}}.Encode())
		popup := tab.Popup(func() {
			clickRuns(t, tab, fmt.Sprintf(`window.opened = performance.now();
				window.popup = window.open(%q, "p", %q);
				const look = () => { if (popup?.closed) window.closedAfter = performance.now() - opened; else setTimeout(look, 1) };
				look();`, address, "width=200,height=200"+features))
		})
		return tab, popup
	}

	for _, tt := range []struct {
		name           string
		policy, answer string
		hit            string // a policy of the answer
		open, closed   bool   // whether the window is open, and what the page that opened it believes
	}{
		{"the platform's page closes itself", "", "close", "", false, true},
		{"it closes itself, opener with same-origin-allow-popups", "same-origin-allow-popups", "close", "", false, true},
		{"a refused request stays open", "", "401", "", true, false},
		{"it stays open, opener with same-origin-allow-popups", "same-origin-allow-popups", "401", "", true, false},
		{"an answer with COOP looks closed and is open", "", "", "same-origin", true, true},
		{"it looks closed, opener with same-origin-allow-popups", "same-origin-allow-popups", "", "same-origin", true, true},
		{"an opener with COOP sees closed, and it is open", "same-origin", "", "", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := w.hit(tt.name, tt.answer)
			if tt.hit != "" {
				address += "&Cross-Origin-Opener-Policy=" + tt.hit
			}
			tab, popup := sees(t, tt.policy, address, "")
			w.host.wait(t, tt.name)
			if tt.open {
				inside := popup.Tab()
				inside.Until("location.pathname === '/hit' && document.readyState === 'complete'")
			} else {
				popup.WaitClosed()
			}
			if tt.closed {
				tab.Until("popup.closed")
				t.Logf("closed was true after %.0f ms", browser.Eval[float64](tab, "closedAfter ?? -1"))
			} else if browser.Eval[bool](tab, "popup.closed") {
				t.Error("the page believes that the window is closed")
			}
			if popup.Open() != tt.open {
				t.Errorf("the window is open: %v", popup.Open())
			}
			if tt.open {
				popup.Close()
			}
		})
	}

	t.Run("a person closes it", func(t *testing.T) {
		tab, popup := sees(t, "", w.hit("person", "401"), "")
		w.host.wait(t, "person")
		popup.Close()
		tab.Until("popup.closed")
	})

	t.Run("noopener gives no handle", func(t *testing.T) {
		tab, popup := sees(t, "", w.hit("noopener", "401"), ",noopener")
		w.host.wait(t, "noopener")
		if !browser.Eval[bool](tab, "popup === null") {
			t.Error("there is a handle")
		}
		popup.Close()
	})

	t.Run("no click, no window", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(w.panel + "/page")
		if !browser.Eval[bool](tab, "window.open('/page') === null") {
			t.Error("a window opened without a click")
		}
	})

	t.Run("one click, one window", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(w.panel + "/page")
		popup := tab.Popup(func() {
			clickRuns(t, tab, "window.both = ['a', 'b'].map(name => !!window.open('/page', name, 'width=200,height=200'))")
		})
		if got := browser.Eval[[]bool](tab, "both"); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("two windows in one click: %v", got)
		}
		popup.Close()
	})

	t.Run("half a second after a click", func(t *testing.T) {
		inTime.Until("window.late !== undefined")
		if !browser.Eval[bool](inTime, "late") {
			t.Error("a window was blocked")
		}
	})
	t.Run("six seconds after a click", func(t *testing.T) {
		tooLate.Until("window.late !== undefined")
		if browser.Eval[bool](tooLate, "late") {
			t.Error("a window opened")
		}
	})
}

// The demo's names: plain http on names under localhost is as good as https, and two such names are two sites.
func TestFactsLocalhost(t *testing.T) {
	host := newFactsHost()
	serve := func(name string) string {
		srv := httptest.NewServer(host)
		t.Cleanup(srv.Close)
		return strings.Replace(srv.URL, "127.0.0.1", name, 1)
	}
	panel, platform := serve("panel.localhost"), serve("agui.localhost")
	for cookies, want := range map[browser.Cookies]string{browser.ThirdPartyAllowed: "none", browser.ThirdPartyBlocked: ""} {
		t.Run(cookies.String(), func(t *testing.T) {
			tab := browser.Launch(t, browser.NewNet(t), cookies).Tab(t)
			tab.Open(platform + "/log-in")
			tab.Open(panel + "/page")
			if !browser.Eval[bool](tab, "isSecureContext") {
				t.Error("the page isn't a secure context")
			}
			via := "localhost " + cookies.String()
			browser.Eval[bool](tab, fmt.Sprintf("(frame(%q), true)", platform+"/hit?via="+url.QueryEscape(via)))
			if got := host.wait(t, via).cookies; got != want {
				t.Errorf("a hidden frame brought the cookies %q, expected %q", got, want)
			}

			// Two names under one that is under localhost are one site.
			near := strings.Replace(panel, "panel.", "vcc.agui.", 1)
			tab.Open(near + "/log-in")
			tab.Open(strings.Replace(panel, "panel.", "panel.agui.", 1) + "/page")
			browser.Eval[bool](tab, fmt.Sprintf("(frame(%q), true)", near+"/hit?via=near+"+url.QueryEscape(via)))
			if got := host.wait(t, "near "+via).cookies; got != "none lax unset" {
				t.Errorf("a hidden frame of the same site brought the cookies %q, expected all", got)
			}
		})
	}
}
