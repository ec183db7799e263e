package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"offrecord/e2e/browser"
	"offrecord/e2e/sim/idp"
	"offrecord/web/config"
	"offrecord/web/platform/upstream"
)

// Signing in: with a provider, in a frame of another company's page, and through a restart.

const (
	providerName = "id.keyring.test"
	frameName    = "desk.alder.test"   // the company whose page has a frame of ours
	strangerName = "post.bramble.test" // nobody that we know
)

// reception is a stage whose people sign in with a provider.
type reception struct {
	*stage
	d        *desk
	provider *idp.Provider
	issuer   string
	page     string // the origin of the page that has a frame of ours
	secret   string
	opener   string // the policy of that page
}

func newReception(t *testing.T) *reception {
	t.Helper()
	r := &reception{d: &desk{name: "bill"}, secret: rand.Text()}
	file := filepath.Join(t.TempDir(), "client-secret")
	if err := os.WriteFile(file, []byte(r.secret), 0o600); err != nil {
		t.Fatal(err)
	}
	r.stage = newStageWith(t, func(s *stage) {
		r.issuer = s.net.Serve(t, providerName, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.provider.ServeHTTP(w, q) })).URL
		var err error
		if r.provider, err = idp.New(r.issuer); err != nil {
			t.Fatal(err)
		}
		r.page = s.net.Serve(t, frameName, http.HandlerFunc(r.serveFrame)).URL
		trust := s.net.Client().Transport.(*http.Transport)
		s.upstream = upstream.Options{RootCAs: trust.TLSClientConfig.RootCAs, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return trust.DialContext(ctx, network, address)
		}}
		s.identity = fmt.Sprintf(", oidc: {issuer: %q, client_id: offrecord, client_secret_file: %q}", r.issuer, file)
		s.more = fmt.Sprintf("public_url: https://%s:{PORT}\nembed_origins: [%q]\n", panelName, r.page)
	}, r.d)
	r.provider.Client = idp.Client{ID: "offrecord", Secret: r.secret, Redirect: r.url + "/login/oidc/callback", Logout: r.url + "/login/oidc/backchannel"}
	r.provider.People = []string{r.d.email(), "eve@strangers.example"}
	t.Cleanup(func() {
		if strings.Contains(r.log.String(), r.secret) {
			t.Error("the companion's log has the client's secret")
		}
	})
	return r
}

// serveFrame is a page with nothing but a frame of ours in its upper left corner.
func (r *reception) serveFrame(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	if r.opener != "" {
		w.Header().Set("Cross-Origin-Opener-Policy", r.opener)
	}
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>A desk</title><link rel="icon" href="data:,"><style>body{margin:0}iframe{border:0;width:480px;height:900px}</style>
<iframe title="offrecord" src="%s/widget?%s"></iframe>`, r.url, url.Values{"origin": {r.page}}.Encode())
}

// clickFrame clicks with the mouse on an element of the frame: inside it, a press is the frame's own.
func clickFrame(tab, frame *browser.Tab, selector string) {
	frame.Wait(selector)
	x, y := middle(frame, `document.querySelector('`+selector+`')`)
	tab.Do(chromedp.MouseClickXY(x, y))
}

// signInThere signs in with the provider, whose page the tab shows or will show, as the button says.
func (r *reception) signInThere(tab *browser.Tab, who string) {
	tab.Until(`location.origin === "` + r.issuer + `"`)
	tab.Click("button", who)
}

// TestSignInWithAProvider is a working day: in, a restart of the companion, and out at the provider.
func TestSignInWithAProvider(t *testing.T) {
	t.Parallel()
	r := newReception(t)
	b := browser.Launch(t, r.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Allow("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_HTTP2|ERR_NETWORK|ERR_EMPTY_RESPONSE|ERR_CONNECTION_CLOSED|ERR_CONNECTION_RESET") // while the companion restarts
	tab.Allow("status of 401")                                                                                                                              // after the log-out

	// Who changes their mind is told what to do, and who isn't in the directory, too.
	tab.Open(r.url + "/")
	for _, tt := range []struct{ who, says string }{{"I don't want to", "didn't come to its end"}, {"eve@strangers.example", "isn't known here"}} {
		tab.Until(`document.body?.dataset.page === "login"`)
		tab.Click("link", "Log in with "+providerName)
		r.signInThere(tab, tt.who)
		tab.Until(`document.querySelector("[role=alert]")?.innerText.includes("` + tt.says + `")`)
		if n := len(r.cookies(tab, "__Host-offrecord")); n != 0 {
			t.Errorf("%s: %d session cookies", tt.who, n)
		}
		r.provider.LogOut(t.Context(), r.net.Client(), tt.who)
	}

	tab.Click("link", "Log in with "+providerName)
	r.signInThere(tab, r.d.email())
	tab.Wait(`html[data-program=running]`)
	if at := browser.Eval[string](tab, "location.href"); at != r.url+"/" {
		t.Errorf("signed in, at %s", at)
	}
	if history := browser.Eval[string](tab, "document.referrer"); history != "" {
		t.Errorf("the page knows that it came from %s", history)
	}
	if n := len(r.cookies(tab, "__Host-offrecord-")); n != 0 {
		t.Errorf("%d cookies of the sign-in are left", n)
	}
	session := r.cookies(tab, "__Host-offrecord")
	if len(session) != 1 {
		t.Fatalf("%d session cookies", len(session))
	}

	// A restart logs nobody out: the panel hears again by itself, and a reload is the panel.
	live := `document.querySelector("main.panel")?.dataset.link === "live"`
	tab.Until(live)
	r.stop(t)
	tab.Until("!(" + live + ")")
	r.again(t)
	tab.Until(live)
	tab.Open(r.url + "/")
	tab.Wait(`html[data-program=running]`)
	tab.Until(live)

	// Keys change; the next one to sign in doesn't notice.
	if err := r.provider.Rotate(); err != nil {
		t.Fatal(err)
	}

	// Whoever logs out at the provider is out here, at once, and the open panel says so.
	tokens, err := r.provider.LogOut(t.Context(), r.net.Client(), r.d.email())
	if err != nil || len(tokens) != 1 {
		t.Fatalf("%d log-out tokens, %v", len(tokens), err)
	}
	tab.Until(`document.querySelector("main.panel").innerText.includes("signed out") && document.querySelector("main.panel").innerText.includes("Sign in again")`)
	if got := r.me(t, session[0].Name, session[0].Value); got != http.StatusUnauthorized {
		t.Errorf("the session after its log-out: %d", got)
	}
	if status, err := r.provider.Tell(t.Context(), r.net.Client(), tokens[0]); err != nil || status != http.StatusBadRequest {
		t.Errorf("the same log-out token again: %d, %v", status, err)
	}
	tab.Open(r.url + "/")
	tab.Click("link", "Log in with "+providerName)
	r.signInThere(tab, r.d.email())
	tab.Wait(`html[data-program=running]`)
}

// cookies are the companion's in this browser whose names begin so; the bare name is that one alone.
func (r *reception) cookies(tab *browser.Tab, name string) (found []*http.Cookie) {
	for _, c := range tab.Cookies(r.url) {
		if c.Name == name || strings.HasSuffix(name, "-") && strings.HasPrefix(c.Name, name) {
			found = append(found, c)
		}
	}
	return found
}

// me asks the companion who a cookie is.
func (r *reception) me(t *testing.T, name, value string) int {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/api/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.AddCookie(&http.Cookie{Name: name, Value: value})
	answer, err := r.net.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// TestSignInInAFrame signs a frame in by a window, with each of what may cut the two apart; and the next load of the page begins
// signed in.
func TestSignInInAFrame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		world          browser.Cookies
		provider, page string // their opener policies
		code, already  bool
	}{
		{name: "signing in with the provider", world: browser.ThirdPartyAllowed},
		{name: "a provider that cuts the tie", world: browser.ThirdPartyBlocked, provider: "same-origin"},
		{name: "a page that cuts the tie", world: browser.ThirdPartyAllowed, page: "same-origin", code: true},
		{name: "signed in already, in a tab", world: browser.ThirdPartyBlocked, already: true},
	} {
		t.Run(tt.world.String()+"/"+tt.name, func(t *testing.T) {
			r := newReception(t)
			r.provider.Opener, r.opener = tt.provider, tt.page
			b := browser.Launch(t, r.net, tt.world)
			tab := b.Tab(t)
			tab.Allow("status of 401")
			if tt.already {
				r.logIn(t, tab, r.d)
			}
			tab.Open(r.page)
			frame := tab.Frame(r.url + "/widget")
			frame.Wait(`html[data-embedded] body[data-page=widget]`)
			popup := tab.Popup(func() { clickFrame(tab, frame, "[data-widget=in]") })
			window := popup.Tab()
			if !tt.already {
				window.Until(`document.body?.dataset.page === "login"`)
				window.Click("link", "Log in with "+providerName)
				r.signInThere(window, r.d.email())
			}
			window.Until(`document.body?.dataset.page === "confirm"`)
			if named := browser.Eval[bool](window, `document.querySelector(".origin")?.innerText === "`+r.page+`"`); named == tt.code {
				t.Errorf("the window says whose page it is for: %v", named)
			}
			window.Click("button", "Sign in as "+r.d.email())
			if tt.code {
				window.Until(`document.body?.dataset.page === "handed"`)
				code := window.Text(".handover-code")
				frame.Until(`document.activeElement?.name === "code"`)
				clickFrame(tab, frame, "[name=code]")
				tab.Do(chromedp.KeyEvent("another\r"))
				frame.Until(`document.querySelector(".notice").innerText.includes("another code")`)
				browser.Eval[bool](frame, `(document.querySelector("[name=code]").value = "", true)`)
				clickFrame(tab, frame, "[name=code]")
				tab.Do(chromedp.KeyEvent(code + "\r"))
				popup.Close()
			}
			frame.Wait(`body[data-page=panel]`)
			if !tt.code && tt.provider == "" {
				popup.WaitClosed()
			}
			if who := browser.Eval[string](frame, `fetch("/api/v1/me").then(a => a.json()).then(me => me.email)`); who != r.d.email() {
				t.Errorf("the frame is signed in as %q", who)
			}

			// The next page begins with it. It is the frame's alone: out in a tab isn't out in it.
			if tt.already {
				tab := b.Tab(t)
				tab.Open(r.url + "/")
				tab.Wait(`body[data-page=panel]`)
				tab.Click("button", "Log out")
				tab.Until(`document.body?.dataset.page === "login"`)
			}
			again := b.Tab(t)
			again.Open(r.page)
			again.Frame(r.url + "/widget").Wait(`body[data-page=panel]`)
			if asked := r.provider.Asked("/auth"); !tt.already && asked != 2 { // its page, and that page's form
				t.Errorf("the provider was asked %d times", asked)
			}
		})
	}
}

// TestAStrangersWindow: somebody makes a verifier of his own and gets people to open our sign-in window with its hash: by a
// link, from a page of his own that opens it and stays, or that goes to our widget to look like the frame. They sign in and
// agree. He gets nothing without the code that only their window shows.
func TestAStrangersWindow(t *testing.T) {
	t.Parallel()
	r := newReception(t)
	var lure, challenge string
	stranger := r.net.Serve(t, strangerName, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>A prize</title><link rel="icon" href="data:,"><a href="%s">Claim it</a>
<button onclick="w = open('%[1]s', 'w', 'popup'); setInterval(() => w.postMessage({offrecord: 'mine', challenge: '%s', page: '%s'}, '*'), 10)">Win</button>
<button onclick="w = open('%[1]s', 'w', 'popup'); location.href = '%[4]s'">Win more</button>`, lure, challenge, r.page, r.url+"/widget?origin="+url.QueryEscape(r.page))
	})).URL
	b := browser.Launch(t, r.net, browser.ThirdPartyAllowed)
	first := b.Tab(t)
	r.logIn(t, first, r.d) // the worst case: one press is enough
	for _, way := range []string{"Claim it", "Win", "Win more"} {
		t.Run(way, func(t *testing.T) {
			var verifier string
			verifier, challenge = newVerifier()
			lure = r.url + "/login/popup?challenge=" + challenge
			tab := b.Tab(t)
			tab.Allow("postMessage")
			tab.Open(stranger)
			window := tab
			if way == "Claim it" {
				tab.Click("link", way)
			} else {
				window = tab.Popup(func() { tab.Click("button", way) }).Tab()
			}
			window.Until(`document.body?.dataset.page === "confirm"`)
			if said := window.Text("main"); !strings.Contains(said, "Go on only if you pressed") || strings.Contains(said, strangerName) || strings.Contains(said, frameName) {
				t.Errorf("it asks: %s", said)
			}
			if status, body := r.redeem(t, verifier, ""); status != http.StatusAccepted || body["code"] != "pending" {
				t.Errorf("before anybody agreed: %d %v", status, body)
			}
			window.Click("button", "Sign in as "+r.d.email())
			window.Until(`document.body?.dataset.page === "handed"`)
			code := window.Text(".handover-code")
			if said := window.Text("main"); len(code) != 6 || !strings.Contains(said, "Tell it to nobody") {
				t.Errorf("it says: %s", said)
			}
			for _, guess := range []string{"", "", "000000x", "x", "y", code, ""} {
				if status, body := r.redeem(t, verifier, guess); status == http.StatusOK || body["access_token"] != nil {
					t.Fatalf("the stranger is in, with %q: %d %v", guess, status, body)
				}
			}
		})
	}
}

func newVerifier() (verifier, challenge string) {
	var bits [32]byte
	rand.Read(bits[:])
	verifier = base64.RawURLEncoding.EncodeToString(bits[:])
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// redeem asks for what was handed to a verifier, as a program does.
func (r *reception) redeem(t *testing.T, verifier, code string) (int, map[string]any) {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"verifier": verifier, "code": code})
	answer, err := r.net.Client().Post(r.url+"/api/v1/login/popup", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said := map[string]any{}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, said
}

// TestTheProvidersAnswerIsForOneBrowserOnce follows a sign-in by hand: what each of its addresses is worth to somebody else, or
// a second time.
func TestTheProvidersAnswerIsForOneBrowserOnce(t *testing.T) {
	r := newReception(t)
	visitor := func() *http.Client {
		c := r.net.Client()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Jar = jar
		return c
	}
	get := func(c *http.Client, address string) *http.Response {
		t.Helper()
		answer, err := c.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, answer.Body)
		return answer
	}
	// signIn goes as far as the provider's answer.
	signIn := func(c *http.Client, who string) (callback string) {
		t.Helper()
		start := get(c, r.url+"/login/oidc?return="+url.QueryEscape("https://evil.example/"))
		there := start.Header.Get("Location")
		if start.StatusCode != http.StatusSeeOther || !strings.HasPrefix(there, r.issuer+"/auth?") {
			t.Fatalf("%s to %s", start.Status, there)
		}
		answer, err := c.PostForm(there, url.Values{"email": {who}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.Header.Get("Location")
	}
	in := func(c *http.Client) bool { return get(c, r.url+"/api/v1/me").StatusCode == http.StatusOK }

	bill, eve := visitor(), visitor()
	callback := signIn(bill, r.d.email())
	if answer := get(eve, callback); answer.StatusCode != http.StatusUnauthorized || in(eve) {
		t.Errorf("another browser: %s", answer.Status)
	}
	// It was not spent by that.
	answer := get(bill, callback)
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" || !in(bill) {
		t.Errorf("the browser itself: %s to %s", answer.Status, answer.Header.Get("Location"))
	}
	asked := r.provider.Asked("/token")
	if answer := get(bill, callback); answer.StatusCode != http.StatusUnauthorized || r.provider.Asked("/token") != asked {
		t.Errorf("a second time: %s", answer.Status)
	}
	if !in(bill) {
		t.Error("and that ended the session")
	}

	// Somebody makes a browser end a sign-in that he began, to have its owner work as him.
	attackers := signIn(eve, r.d.email())
	victim := visitor()
	mine := signIn(victim, r.d.email())
	swapped, _ := url.Parse(mine)
	theirs, _ := url.Parse(attackers)
	q := swapped.Query()
	q.Set("code", theirs.Query().Get("code"))
	swapped.RawQuery = q.Encode()
	for _, address := range []string{attackers, swapped.String(), r.url + "/login/oidc/callback?code=x&state=y", r.url + "/login/oidc/callback"} {
		if answer := get(victim, address); answer.StatusCode != http.StatusUnauthorized || in(victim) {
			t.Errorf("%s: %s", address, answer.Status)
		}
	}

	// A session that was there before is over after a sign-in.
	before := visitor()
	get(before, signIn(before, r.d.email()))
	root, _ := url.Parse(r.url)
	old := before.Jar.Cookies(root)
	get(before, signIn(before, r.d.email()))
	if !in(before) || len(old) != 1 || r.me(t, old[0].Name, old[0].Value) != http.StatusUnauthorized {
		t.Errorf("the session before the sign-in lives: %v", old)
	}
}

// TestACompanionWithoutItsProvider starts, serves who is in, says what is wrong, and gets well by itself.
func TestACompanionWithoutItsProvider(t *testing.T) {
	r := newReception(t)
	client := r.net.Client()
	token := func() string {
		t.Helper()
		answer, err := client.Post(r.url+"/api/v1/login/demo", "application/json", strings.NewReader(`{"email":"`+r.d.email()+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status)
		}
		return answer.Cookies()[0].Value
	}()
	var gone bool
	dial := r.upstream.Dial
	r.upstream.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if gone && strings.HasPrefix(address, providerName) {
			return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		}
		return dial(ctx, network, address)
	}
	r.stop(t)
	gone = true
	r.again(t)
	if status := r.me(t, "__Host-offrecord", token); status != http.StatusOK {
		t.Errorf("who was in: %d", status)
	}
	answer, err := client.Get(r.url + "/login/oidc")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(said), "Try again in a moment") {
		t.Errorf("%s %s %v", answer.Status, said, err)
	}
	r.stop(t)
	gone = false
	r.again(t)
	for end := time.Now().Add(patience); ; {
		answer, err := client.Get(r.url + "/login/oidc")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusSeeOther {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with its provider: %s", answer.Status)
		}
	}
}

// The README's ways to sign in are taken, in its own configuration.
func TestREADMEsIdentitiesAreTaken(t *testing.T) {
	ways := block(t, "yaml", "embed_jwt:")
	text := regexp.MustCompile(`(?m)^(public_url|listen):.*\n`).ReplaceAllString(block(t, "yaml", "platforms:"), "")
	text = "listen: 127.0.0.1:0\n" + ways + regexp.MustCompile(`(?s)identity:.*?\n(platforms:)`).ReplaceAllString(text, "$1")
	dir := t.TempDir()
	for _, m := range regexp.MustCompile(`_file: (\S+)`).FindAllStringSubmatch(text, -1) {
		file, content := filepath.Join(dir, m[1]), "secret\n"
		if strings.HasSuffix(file, ".pem") {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			content = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Parse([]byte(text), config.Environment{Dir: dir, Getenv: func(string) (string, bool) { return "secret", true }})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if id := c.Identity; id.OIDC == nil || id.EmbedJWT == nil || id.Proxy == nil || len(c.Warnings) != 0 {
		t.Errorf("%+v %v", id, c.Warnings)
	}
	// What shows that a trick fails is there.
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z]+)`").FindAllStringSubmatch(readme(t), -1) {
		if out := commandOutput(t, nil, "git", "grep", "-lE", "^func "+m[1]+`\(`, "--", "*_test.go"); out == "" {
			t.Errorf("there is no %s", m[1])
		}
	}
}
