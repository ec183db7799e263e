package httpapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/audit"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
)

// idp is an identity provider's client that has been asked already: what it answers is decided by the test.
type idp struct {
	who  identity.Vouched
	err  error
	next string // as Begin was told
}

func (p *idp) Host() string { return "id.example" }

func (p *idp) Begin(_ context.Context, next string) (string, string, string, error) {
	p.next = next
	return "https://id.example/auth?state=s", oidcName, "carried", p.err
}

// oidcName is the name of the flow whose state is "s".
var oidcName = func() string {
	sum := sha256.Sum256([]byte("s"))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}()

func (p *idp) Finish(_ context.Context, carried string, answer url.Values) (identity.Vouched, string, error) {
	if carried != "carried" || answer.Get("state") != "s" {
		return identity.Vouched{}, "", fmt.Errorf("%w: for the test", identity.ErrRefused)
	}
	return p.who, p.next, p.err
}

func (p *idp) LogOut(_ context.Context, token string) (string, string, error) {
	if token != "good" {
		return "", "", fmt.Errorf("%w: for the test", identity.ErrRefused)
	}
	return p.who.Subject, p.who.SID, p.err
}

// vouches is a way to log in that believes a test.
type vouches struct {
	identity.Vouched
	err error
}

func (v *vouches) Authenticate(*http.Request) (identity.Vouched, error) { return v.Vouched, v.err }

// withWays is a house with every way to log in, and a log.
func withWays(t testing.TB, change func(*httpapi.Options)) (*house, *idp, *vouches, *book) {
	t.Helper()
	provider, crm, b := &idp{who: identity.Vouched{Email: "bill@acme.example", Subject: "b1", SID: "s1"}}, new(vouches), new(book)
	return build(t, func(o *httpapi.Options) {
		o.Provider, o.Audit, o.EmbedOrigins = provider, b, []string{"https://crm.example"}
		o.Logins[identity.ByEmbed] = crm
		if change != nil {
			change(o)
		}
	}, nil), provider, crm, b
}

func TestTheLoginPageOffersWhatThereIs(t *testing.T) {
	page := func(change func(*httpapi.Options)) string {
		h := build(t, change, nil)
		return h.do(ask{method: "GET", path: "/login?return=%2Fact%3Faction%3Dpause"}).Body.String()
	}
	nothing := func(o *httpapi.Options) { o.Logins = nil }
	tests := []struct {
		name   string
		change func(*httpapi.Options)
		has    []string
		hasNot []string
	}{
		{"the demo", nil, []string{"choose an agent", `value="/act?action=pause"`}, []string{"id.example", "CRM", "no way to log in"}},
		{"a provider", func(o *httpapi.Options) { nothing(o); o.Provider = new(idp) }, []string{`href="/login/oidc?return=%2fact%3faction%3dpause"`, "Log in with id.example"}, []string{"choose an agent", "no way"}},
		{"a proxy", func(o *httpapi.Options) {
			nothing(o)
			o.Ambient = []identity.Authenticator{identity.Proxy{Header: "X-Email"}}
		}, []string{"Your company's own sign-in"}, []string{"no way"}},
		{"a CRM", func(o *httpapi.Options) {
			o.Logins = map[identity.Way]identity.Authenticator{identity.ByEmbed: new(vouches)}
		}, []string{"the CRM logs you in"}, []string{"choose an agent", "no way"}},
		{"nothing", nothing, []string{"no way to log in"}, []string{"id.example", "choose an agent"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.ToLower(page(tt.change))
			for _, want := range tt.has {
				if !strings.Contains(got, strings.ToLower(want)) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			for _, no := range tt.hasNot {
				if strings.Contains(got, strings.ToLower(no)) {
					t.Errorf("%q in\n%s", no, got)
				}
			}
		})
	}
}

func TestALogInWithTheProvider(t *testing.T) {
	const callback = "/login/oidc/callback?state=s&code=c"
	for _, secure := range []bool{true, false} {
		h, provider, _, b := withWays(t, func(o *httpapi.Options) { o.Secure = secure })
		session, flow := "offrecord", "offrecord-"+oidcName
		if secure {
			session, flow = "__Host-"+session, "__Host-"+flow
		}
		w := h.do(ask{method: "GET", path: "/login/oidc?return=" + url.QueryEscape("https://evil.example/")})
		if w.Code != 303 || w.Header().Get("Location") != "https://id.example/auth?state=s" || provider.next != "/" || len(w.Result().Cookies()) != 1 {
			t.Fatalf("%d %v, then to %q", w.Code, w.Header(), provider.next)
		}
		c := w.Result().Cookies()[0]
		if c.Name != flow || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 {
			t.Errorf("the cookie: %s", c)
		}
		before := h.login("jo@acme.example")
		r := httptest.NewRequest("GET", callback, nil)
		r.AddCookie(c)
		r.AddCookie(&http.Cookie{Name: session, Value: before})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		cookies := map[string]*http.Cookie{}
		for _, c := range w.Result().Cookies() {
			cookies[c.Name] = c
		}
		if w.Code != 303 || w.Header().Get("Location") != "/" || cookies[flow] == nil || cookies[flow].MaxAge >= 0 || cookies[session] == nil || cookies[session].Value == before {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: before}); w.Code != 401 {
			t.Errorf("the session before the sign-in: %d", w.Code)
		}
		token := cookies[session].Value
		if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: token}); w.Code != 200 || !strings.Contains(w.Body.String(), "bill@") {
			t.Errorf("%d %s", w.Code, w.Body)
		}

		// The provider's log-out ends it, and what a log-out token isn't ends nothing.
		logout := func(body string) int {
			return h.do(ask{method: "POST", path: "/login/oidc/backchannel", body: body, contentType: "application/x-www-form-urlencoded"}).Code
		}
		for _, body := range []string{"", "logout_token=bad", "logout_token=good&logout_token=good", "token=good"} {
			if code := logout(body); code != 400 {
				t.Errorf("%q: %d", body, code)
			}
		}
		if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: token}); w.Code != 200 {
			t.Errorf("after tokens that are none: %d", w.Code)
		}
		if code := logout("logout_token=good"); code != 200 {
			t.Errorf("the log-out: %d", code)
		}
		if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: token}); w.Code != 401 {
			t.Errorf("after the log-out: %d", w.Code)
		}
		if got := fmt.Sprint(b.kinds()); strings.Count(got, string(audit.SignIn)) != 2 || strings.Count(got, string(audit.SignOut)) != 1 {
			t.Errorf("written: %s", got)
		}
	}
}

func TestALogInWithTheProviderThatFails(t *testing.T) {
	tests := []struct {
		name   string
		cookie string
		change func(*idp)
		status int
		says   string
	}{
		{"another browser", "", nil, 401, "didn&#39;t come to its end"},
		{"a made-up flow", "made up", nil, 401, "didn&#39;t come to its end"},
		{"a stranger", "carried", func(p *idp) { p.who.Email = "eve@evil.example" }, 401, "isn&#39;t known here"},
		{"refused", "carried", func(p *idp) { p.err = fmt.Errorf("%w: canary-why", identity.ErrRefused) }, 401, "didn&#39;t come to its end"},
		{"away", "carried", func(p *idp) { p.err = fmt.Errorf("%w: canary-why", identity.ErrAway) }, 503, "Try again in a moment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, provider, _, _ := withWays(t, nil)
			provider.next = "/act?action=pause"
			if tt.change != nil {
				tt.change(provider)
			}
			w := h.do(ask{method: "GET", path: "/login/oidc/callback?state=s&code=canary-code", cookie: &http.Cookie{Name: "offrecord-" + oidcName, Value: tt.cookie}, header: map[string]string{"Accept": "text/html"}})
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || !strings.Contains(w.Body.String(), "Log in with id.example") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			for _, c := range w.Result().Cookies() {
				if c.Name == "offrecord" {
					t.Error("a session")
				}
			}
			if strings.Contains(w.Body.String(), "canary") || strings.Contains(h.log.String(), "canary-code") {
				t.Errorf("told: %s\n%s", w.Body, h.log)
			}
		})
	}
	h, provider, _, _ := withWays(t, nil)
	// Whoever looks at an address only, as links are looked at, ends no sign-in.
	if w := h.do(ask{method: "HEAD", path: "/login/oidc/callback?state=s&code=c", cookie: &http.Cookie{Name: "offrecord-" + oidcName, Value: "carried"}}); w.Code != 200 || len(w.Result().Cookies()) != 0 {
		t.Errorf("a look at the callback: %d %v", w.Code, w.Result().Cookies())
	}
	provider.err = identity.ErrAway
	if w := h.do(ask{method: "GET", path: "/login/oidc", header: map[string]string{"Accept": "text/html"}}); w.Code != 503 || len(w.Result().Cookies()) != 0 {
		t.Errorf("a start without its provider: %d", w.Code)
	}
	if w := h.do(ask{method: "POST", path: "/login/oidc/backchannel", body: "logout_token=good", contentType: "application/x-www-form-urlencoded"}); w.Code != 503 {
		t.Errorf("a log-out that can't be judged: %d", w.Code)
	}
}

func TestALogInByACRM(t *testing.T) {
	h, _, crm, b := withWays(t, nil)
	try := func(v identity.Vouched, err error) *httptest.ResponseRecorder {
		crm.Vouched, crm.err = v, err
		return h.do(ask{method: "POST", path: "/api/v1/login/embed", body: `{"token":"x"}`, header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
	}
	w := try(identity.Vouched{Email: "Bill@acme.example", Platform: "acme"}, nil)
	var session struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &session); err != nil || w.Code != 200 || session.ExpiresIn != 1800 || len(w.Result().Cookies()) != 0 {
		t.Fatalf("%d %s %v", w.Code, w.Body, w.Result().Cookies())
	}
	if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: session.AccessToken}); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	for name, tt := range map[string]struct {
		who    identity.Vouched
		err    error
		status int
	}{
		"another tenant's":   {identity.Vouched{Email: "bill@acme.example", Platform: "emea"}, nil, 401},
		"a stranger":         {identity.Vouched{Email: "eve@evil.example", Platform: "acme"}, nil, 401},
		"a supervisor's":     {identity.Vouched{Email: "sue@acme.example", Platform: "acme"}, nil, 401}, // she has no platform
		"a bad token":        {identity.Vouched{}, fmt.Errorf("%w: canary-why", identity.ErrRefused), 401},
		"no token":           {identity.Vouched{}, identity.ErrNoCredentials, 400},
		"a store that fails": {identity.Vouched{}, fmt.Errorf("%w: canary-why", identity.ErrAway), 503},
	} {
		w := try(tt.who, tt.err)
		if p := h.problem(w); w.Code != tt.status || strings.Contains(p.Detail, "canary") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if got := len(b.refused); got != 4 {
		t.Errorf("%d refusals are written down", got)
	}
	if w := h.do(ask{method: "POST", path: "/api/v1/login/embed", body: `{"token":"x"}`, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); w.Code != 403 {
		t.Errorf("from another site: %d", w.Code)
	}
}

func TestAProxysWordIsForOneRequest(t *testing.T) {
	h, _, _, b := withWays(t, func(o *httpapi.Options) {
		o.Ambient = []identity.Authenticator{identity.Proxy{Header: "X-Forwarded-Email", Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	})
	session := h.cookie("jo@acme.example")
	ask := func(method, path, peer string, header map[string]string, cookie *http.Cookie) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr = peer
		for name, value := range header {
			r.Header[name] = []string{value}
		}
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const proxy, stranger = "10.0.0.1:1", "192.0.2.1:1"
	bill := map[string]string{"X-Forwarded-Email": "bill@acme.example"}
	tests := []struct {
		name, peer string
		header     map[string]string
		cookie     *http.Cookie
		status     int
		who        string
	}{
		{"the proxy", proxy, bill, nil, 200, "bill@"},
		{"the proxy, over a cookie of somebody else", proxy, bill, session, 200, "bill@"},
		{"the proxy, without a word", proxy, nil, nil, 401, ""},
		{"the proxy, without a word, and a cookie", proxy, nil, session, 200, "jo@"},
		{"a stranger", stranger, bill, nil, 401, ""},
		{"a stranger with a cookie", stranger, bill, session, 200, "jo@"},
		{"a stranger who says that the proxy sent it", stranger, map[string]string{"X-Forwarded-Email": "bill@acme.example", "X-Forwarded-For": "10.0.0.1"}, nil, 401, ""},
		{"somebody unknown", proxy, map[string]string{"X-Forwarded-Email": "eve@evil.example"}, nil, 401, ""},
		{"somebody unknown, over a cookie", proxy, map[string]string{"X-Forwarded-Email": "eve@evil.example"}, session, 401, ""},
		{"with a look-alike", proxy, map[string]string{"X-Forwarded-Email": "bill@acme.example", "X_forwarded_email": "sue@acme.example"}, session, 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask("GET", "/api/v1/me", tt.peer, tt.header, tt.cookie)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.who) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if !strings.Contains(h.log.String(), "is ignored") {
		t.Errorf("a stranger's header isn't noted: %s", h.log)
	}
	if strings.Contains(h.log.String(), "eve@") || len(b.written) == 0 {
		t.Error("what isn't known is in the log")
	}
	// What comes by itself is another site's to misuse, like a cookie.
	for site, want := range map[string]int{"same-origin": 204, "cross-site": 403, "same-site": 403, "": 403} {
		header := map[string]string{"X-Forwarded-Email": "bill@acme.example"}
		if site != "" {
			header["Sec-Fetch-Site"] = site
		}
		if w := ask("POST", "/api/v1/logout", proxy, header, nil); w.Code != want {
			t.Errorf("from %q: %d", site, w.Code)
		}
	}
	if w := ask("GET", "/", proxy, map[string]string{"X-Forwarded-Email": "eve@evil.example", "Accept": "text/html"}, nil); w.Code != 401 || !strings.Contains(w.Body.String(), "isn&#39;t known here") {
		t.Errorf("somebody unknown at the panel: %d %s", w.Code, w.Body)
	}
}

func verifierAndChallenge(c string) (string, string) {
	verifier := strings.Repeat(c, 42) + "A"
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// window is what a browser's window of ours does: it keeps cookies and says where its requests come from.
type window struct {
	h       *house
	cookies map[string]*http.Cookie
}

func (b *window) do(a ask) *httptest.ResponseRecorder {
	b.h.t.Helper()
	r := httptest.NewRequest(a.method, a.path, strings.NewReader(a.body))
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	if a.body != "" {
		r.Header.Set("Content-Type", a.contentType)
		if a.contentType == "" {
			r.Header.Set("Content-Type", "application/json")
		}
	}
	for name, value := range a.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

const formType = "application/x-www-form-urlencoded"

func TestASignInForAFrame(t *testing.T) {
	h, provider, _, b := withWays(t, nil)
	verifier, challenge := verifierAndChallenge("v")
	redeem := func(verifier, code string) (int, map[string]any) {
		w := h.do(ask{method: "POST", path: "/api/v1/login/popup", body: fmt.Sprintf(`{"verifier":%q,"code":%q}`, verifier, code), header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
		said := map[string]any{}
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
			t.Fatal(err)
		}
		return w.Code, said
	}
	win := &window{h, map[string]*http.Cookie{}}

	if w := win.do(ask{method: "GET", path: "/login/popup?challenge=" + challenge}); w.Code != 200 || len(w.Result().Cookies()) != 0 || w.Header().Get("Cross-Origin-Opener-Policy") != "unsafe-none" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for _, path := range []string{"/login/popup", "/login/popup?challenge=x", "/login/popup?challenge=" + verifier + "x"} {
		if w := win.do(ask{method: "GET", path: path}); w.Code != 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	begin := func(proven bool, page, challenge string, header map[string]string) *httptest.ResponseRecorder {
		return win.do(ask{method: "POST", path: "/login/popup", body: fmt.Sprintf(`{"challenge":%q,"proven":%v,"page":%q}`, challenge, proven, page), header: header})
	}
	// Nobody but our own page may begin: a challenge that somebody else made would be called proven.
	for name, header := range map[string]map[string]string{"another site": {"Sec-Fetch-Site": "cross-site"}, "another host": {"Sec-Fetch-Site": "same-site"}, "a program": {"Sec-Fetch-Site": ""}} {
		if w := begin(true, "", challenge, header); w.Code < 400 || len(win.cookies) != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := begin(true, "https://crm.example", "x", nil); w.Code != 400 {
		t.Errorf("no challenge: %d", w.Code)
	}
	w := begin(true, "https://crm.example", challenge, nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"/login?return=%2Flogin%2Fpopup%2Fconfirm"`) || len(win.cookies) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(win.cookies["offrecord-popup"].Value, challenge) {
		t.Error("the cookie tells the challenge")
	}
	if status, said := redeem(verifier, ""); status != 202 || said["code"] != "pending" {
		t.Errorf("too early: %d %v", status, said)
	}

	// It signs in, and nothing is handed over by that.
	provider.next = "/login/popup/confirm"
	win.cookies["offrecord-"+oidcName] = &http.Cookie{Name: "offrecord-" + oidcName, Value: "carried"}
	if w := win.do(ask{method: "GET", path: "/login/oidc/callback?state=s&code=c"}); w.Code != 303 || w.Header().Get("Location") != "/login/popup/confirm" || w.Header().Get("Cross-Origin-Opener-Policy") != "unsafe-none" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	w = win.do(ask{method: "GET", path: "/login/popup/confirm"})
	asked := regexp.MustCompile(`name="challenge" value="([^"]+)"`).FindStringSubmatch(w.Body.String())
	if w.Code != 200 || asked == nil || asked[1] != challenge || !strings.Contains(w.Body.String(), "https://crm.example") || !strings.Contains(w.Body.String(), "Sign in as bill@acme.example") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if status, said := redeem(verifier, ""); status != 202 || said["code"] != "pending" {
		t.Errorf("before it was agreed to: %d %v", status, said)
	}
	// A form of another window's, or of another site, agrees to nothing.
	_, other := verifierAndChallenge("w")
	if w := win.do(ask{method: "POST", path: "/login/popup/confirm", body: "challenge=" + other, contentType: formType}); w.Code != 400 {
		t.Errorf("another window's: %d", w.Code)
	}
	if w := win.do(ask{method: "POST", path: "/login/popup/confirm", body: "challenge=" + challenge, contentType: formType, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); w.Code != 403 {
		t.Errorf("another site's: %d", w.Code)
	}
	w = win.do(ask{method: "POST", path: "/login/popup/confirm", body: "challenge=" + challenge, contentType: formType})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "Signed in") || win.cookies["offrecord-popup"] != nil || strings.Contains(w.Body.String(), "handover-code") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	status, said := redeem(verifier, "")
	token, _ := said["access_token"].(string)
	if status != 200 || token == "" || said["expires_in"] != 1800.0 {
		t.Fatalf("%d %v", status, said)
	}
	if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: token}); w.Code != 200 || !strings.Contains(w.Body.String(), "bill@") || token == win.cookies["offrecord"].Value {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if status, _ := redeem(verifier, ""); status != 401 {
		t.Errorf("a second time: %d", status)
	}
	if w := win.do(ask{method: "GET", path: "/login/popup/confirm"}); w.Code != 400 {
		t.Errorf("the window again: %d", w.Code)
	}
	// Who logs out at the provider is out in the frame, too.
	if w := h.do(ask{method: "POST", path: "/login/oidc/backchannel", body: "logout_token=good", contentType: formType}); w.Code != 200 {
		t.Error(w.Code)
	}
	if w := h.do(ask{method: "GET", path: "/api/v1/me", bearer: token}); w.Code != 401 {
		t.Errorf("the frame after the provider's log-out: %d", w.Code)
	}

	// A window that can't be known to be the frame's: a page that it names isn't shown, and its code is needed.
	win = &window{h, map[string]*http.Cookie{"offrecord": h.cookie("jo@acme.example")}}
	verifier, challenge = verifierAndChallenge("x")
	if w := begin(false, "https://crm.example", challenge, nil); !strings.Contains(w.Body.String(), `"/login/popup/confirm"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := win.do(ask{method: "GET", path: "/login/popup/confirm"}); strings.Contains(w.Body.String(), "crm.example") || !strings.Contains(w.Body.String(), "Go on only if you pressed") {
		t.Error(w.Body)
	}
	w = win.do(ask{method: "POST", path: "/login/popup/confirm", body: "challenge=" + challenge, contentType: formType})
	code := regexp.MustCompile(`handover-code"[^>]*>(\d{6})<`).FindStringSubmatch(w.Body.String())
	if code == nil {
		t.Fatal(w.Body)
	}
	for _, step := range []struct {
		code   string
		status int
		says   string
	}{{"", 202, "code_needed"}, {"1", 202, "code_wrong"}, {code[1], 200, ""}} {
		status, said := redeem(verifier, step.code)
		if got, _ := said["code"].(string); status != step.status || got != step.says {
			t.Errorf("with %q: %d %v", step.code, status, said)
		}
	}

	// A page that isn't one of the known origins isn't named, whatever a frame says.
	win = &window{h, map[string]*http.Cookie{"offrecord": h.cookie("jo@acme.example")}}
	_, challenge = verifierAndChallenge("y")
	begin(true, "https://evil.example", challenge, nil)
	if w := win.do(ask{method: "GET", path: "/login/popup/confirm"}); strings.Contains(w.Body.String(), "evil.example") {
		t.Error(w.Body)
	}
	// Somebody else signs in instead, and comes back to where they were.
	if w := win.do(ask{method: "POST", path: "/logout", body: "return=%2Flogin%2Fpopup%2Fconfirm", contentType: formType}); w.Header().Get("Location") != "/login?return=%2Flogin%2Fpopup%2Fconfirm" {
		t.Error(w.Header())
	}
	for _, body := range []string{"{}", `{"verifier":"x"}`, `{"verifier":"` + strings.Repeat("A", 400) + `"}`, `{"verifier":1}`, `{"challenge":"x"}`} {
		if w := h.do(ask{method: "POST", path: "/api/v1/login/popup", body: body}); w.Code != 400 {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	if got := fmt.Sprint(b.kinds()); strings.Count(got, string(audit.SignIn)) != 5 {
		t.Errorf("written: %s", got)
	}
	if strings.Contains(h.log.String(), verifier) || strings.Contains(h.log.String(), challenge) {
		t.Error("the log tells a verifier or a challenge")
	}
}

// The widget's cookie goes with all that the page around the widget asks of us. It counts for what the widget itself asks, and
// where it is loaded.
func TestTheWidgetsCookieIsTheWidgets(t *testing.T) {
	h, _, _, _ := withWays(t, nil)
	cookie := &http.Cookie{Name: "offrecord-widget", Value: h.login("bill@acme.example")}
	tests := []struct {
		name, method, path string
		header             map[string]string
		status             int
	}{
		{"the widget", "GET", "/api/v1/me", map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}, 200},
		{"the widget acts", "POST", "/api/v1/attempts", map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}, 201},
		{"the page around it", "GET", "/api/v1/me", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "empty"}, 403},
		{"a frame of it that the page made", "GET", "/status", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}, 403},
		{"a page that it opened", "GET", "/status", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}, 401},
		{"a page of the same site", "GET", "/api/v1/me", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a typed address", "GET", "/api/v1/me", map[string]string{"Sec-Fetch-Site": "none"}, 401},
		{"a browser that doesn't say", "GET", "/api/v1/me", nil, 401},
		{"a form of the page's", "POST", "/native/pause", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403},
		{"a request of the page's that a browser doesn't say", "POST", "/api/v1/attempts", nil, 401},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := ask{method: tt.method, path: tt.path, cookie: cookie, header: map[string]string{"Accept": "application/json"}}
			for name, value := range tt.header {
				a.header[name] = value
			}
			if tt.path == "/api/v1/attempts" {
				a.body = announcement(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), "pause")
			}
			if w := h.do(a); w.Code != tt.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	// Loading the widget is the one request of another site that it counts for.
	load := ask{method: "GET", path: "/widget", cookie: cookie, header: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}}
	if w := h.do(load); w.Code != 200 || !strings.Contains(w.Body.String(), "bill@acme.example") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	load.header["Sec-Fetch-Dest"] = "document"
	if w := h.do(load); strings.Contains(w.Body.String(), "bill@acme.example") {
		t.Error("it counts in a window")
	}
}

func TestASessionThatIsHandedOnGrowsNoOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, _, _ := withWays(t, nil)
		me := func(token string) int { return h.do(ask{method: "GET", path: "/api/v1/me", bearer: token}).Code }
		token := h.login("bill@acme.example")
		for range 11*4 + 3 { // a quarter of an hour before its end
			time.Sleep(15 * time.Minute)
			if me(token) != 200 {
				t.Fatal("it ended by itself")
			}
		}
		win := &window{h, map[string]*http.Cookie{"offrecord": {Name: "offrecord", Value: token}}}
		verifier, challenge := verifierAndChallenge("o")
		win.do(ask{method: "POST", path: "/login/popup", body: fmt.Sprintf(`{"challenge":%q,"proven":true}`, challenge)})
		win.do(ask{method: "POST", path: "/login/popup/confirm", body: "challenge=" + challenge, contentType: formType})
		w := win.do(ask{method: "POST", path: "/api/v1/login/popup", body: fmt.Sprintf(`{"verifier":%q}`, verifier)})
		var said struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int    `json:"expires_in"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || me(said.AccessToken) != 200 || said.ExpiresIn != 15*60 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		time.Sleep(15*time.Minute - time.Second)
		if me(said.AccessToken) != 200 {
			t.Error("it ended before its time")
		}
		time.Sleep(time.Second)
		if me(token) != 401 || me(said.AccessToken) != 401 {
			t.Error("who signed in twelve hours ago is signed in still, by handing the session on")
		}
	})
}
