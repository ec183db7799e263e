package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"offrecord/e2e/browser"
)

const page = `<!doctype html><title>page</title><link rel=icon href="data:,">
<main data-state="idle"><button onclick="this.parentElement.dataset.state='paused'">Pause recording</button>
<button style="position:absolute;top:3000px;left:20px" onclick="document.title='far'">Far away</button>
<button onclick="window.open('/stays','p','width=300,height=200')">Open</button>
<button onclick="window.open('/closes','q','width=300,height=200')">Open and close</button>
<button onclick="document.body.append(Object.assign(document.createElement('iframe'),{src:document.body.dataset.other}))">Frame</button>
</main>`

func site(other string) http.Handler {
	mux := http.NewServeMux()
	html := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, body)
		})
	}
	html("/{$}", strings.Replace(page, "<main", `<body data-other="`+other+`"><main`, 1))
	html("/stays", `<!doctype html><title>popup</title><link rel=icon href="data:,"><script>console.error("from the popup")</script>`)
	html("/closes", `<!doctype html><title>popup</title><link rel=icon href="data:,"><script>window.close()</script>`)
	html("/framed", `<!doctype html><link rel=icon href="data:,"><h1>in the frame</h1><script>console.error("from the frame")</script>`)
	mux.HandleFunc("/csp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:")
		io.WriteString(w, `<!doctype html><link rel=icon href="data:,"><style>p{color:red}</style>`)
	})
	return mux
}

// One browser for the harness's own tests, which say what its users may rely on.
func TestHarness(t *testing.T) {
	net := browser.NewNet(t)
	other := net.Serve(t, "platform.example.test", site(""))
	home := net.Serve(t, "panel.offrecord.test", site(other.URL+"/framed"))
	b := browser.Launch(t, net, browser.ThirdPartyBlocked)

	t.Run("clicks by name and waits by state", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(home.URL)
		tab.Click("button", "Pause recording")
		if got := tab.WaitState("pausing", "paused"); got != "paused" {
			t.Errorf("state %q", got)
		}
		tab.Click("button", "Far away")
		tab.Until("document.title === 'far'")
		if n := tab.Has("button", "Nothing of the kind"); n != 0 {
			t.Errorf("%d buttons that aren't there", n)
		}
	})

	t.Run("presses, and the keyboard", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(home.URL)
		release := tab.Press("button", "Pause recording")
		if !browser.Eval[bool](tab, "document.querySelector('button').matches(':active')") {
			t.Error("the button isn't pressed")
		}
		tab.WaitState("idle")
		release()
		tab.WaitState("paused")
		tab.Focus("button", "Far away")
		tab.Do(chromedp.KeyEvent(kb.Enter))
		tab.Until("document.title === 'far'")
	})

	t.Run("a popup that stays is watched", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Allow("from the popup")
		tab.Open(home.URL)
		popup := tab.Popup(func() { tab.Click("button", "Open") })
		popup.Tab().Until("document.title === 'popup'")
		if !popup.Open() || tab.Popups() != 1 || !strings.HasSuffix(popup.URL(), "/stays") {
			t.Errorf("open %v, %d popups, at %s", popup.Open(), tab.Popups(), popup.URL())
		}
		tab.WaitMessage("from the popup")
		popup.Close()
	})

	t.Run("a popup that closes itself is seen", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(home.URL)
		tab.Popup(func() { tab.Click("button", "Open and close") }).WaitClosed()
	})

	t.Run("the popup blocker is on", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(home.URL)
		if !browser.Eval[bool](tab, "window.open('/stays') === null") {
			t.Error("a popup opened without a click")
		}
	})

	t.Run("a frame of another site is watched", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Allow("from the frame")
		tab.Open(home.URL)
		tab.Click("button", "Frame")
		if got := tab.Frame(other.URL).Text("h1"); got != "in the frame" {
			t.Errorf("the frame says %q", got)
		}
		tab.WaitMessage("from the frame")
	})

	t.Run("a policy violation is one", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Allow("^csp: ")
		tab.Open(home.URL + "/csp")
		tab.WaitMessage("csp: ")
	})

	t.Run("offline", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Allow("ERR_INTERNET_DISCONNECTED")
		tab.Open(home.URL)
		const fetched = "fetch('/').then(() => true, () => false)"
		for _, offline := range []bool{true, false} {
			tab.Offline(offline)
			if online := browser.Eval[bool](tab, "navigator.onLine"); online == offline {
				t.Errorf("told offline=%v, the page believes to be online: %v", offline, online)
			}
			if ok := browser.Eval[bool](tab, fetched); ok == offline {
				t.Errorf("told offline=%v, a fetch succeeds: %v", offline, ok)
			}
		}
	})

	t.Run("looks", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Open(home.URL)
		tab.Viewport(320, 640)
		tab.Prefer("prefers-color-scheme", "dark")
		if !browser.Eval[bool](tab, "innerWidth === 320 && matchMedia('(prefers-color-scheme: dark)').matches") {
			t.Error("the page isn't small and dark")
		}
		tab.Screenshot(filepath.Join(t.TempDir(), "page.png"))
		if c := tab.Counters(); c.Nodes == 0 || c.Heap == 0 {
			t.Errorf("counted %+v", c)
		}
	})

	t.Run("nothing but loopback exists", func(t *testing.T) {
		tab := b.Tab(t)
		tab.Allow("ERR_NAME_NOT_RESOLVED")
		tab.Open(home.URL)
		if browser.Eval[bool](tab, "fetch('https://example.com/', {mode: 'no-cors'}).then(() => true, () => false)") {
			t.Error("a name of the world was reached")
		}
	})
}

// The client of the test's net trusts its servers, which a browser can't show.
func TestClient(t *testing.T) {
	net := browser.NewNet(t)
	srv := net.Serve(t, "panel.offrecord.test", site(""))
	res, err := net.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		t.Errorf("status %d by HTTP/%d", res.StatusCode, res.ProtoMajor)
	}
}

// A cookie outlives its browser in the profile.
func TestProfile(t *testing.T) {
	net := browser.NewNet(t)
	srv := net.Serve(t, "panel.offrecord.test", site(""))
	dir := t.TempDir()
	for run := range 2 {
		b := browser.Launch(t, net, browser.ThirdPartyAllowed, browser.Profile(dir))
		tab := b.Tab(t)
		tab.Open(srv.URL)
		if got := browser.Eval[string](tab, "document.cookie"); (got == "run=0") != (run == 1) {
			t.Errorf("run %d has the cookies %q", run, got)
		}
		browser.Eval[string](tab, fmt.Sprintf("document.cookie = 'run=%d; max-age=600; secure'", run))
		b.Close()
	}
}

// What a test didn't announce fails it, and leaves behind what the page looked like.
func TestUnexpected(t *testing.T) {
	net := browser.NewNet(t)
	srv := net.Serve(t, "panel.offrecord.test", site(""))
	b := browser.Launch(t, net, browser.ThirdPartyAllowed)
	for _, script := range []string{
		"console.error('wrong')",
		"setTimeout(() => { throw new Error('wrong') })",
		"Promise.reject(new Error('wrong'))",
		"document.body.append(Object.assign(new Image(), {src: '/wrong'}))",
	} {
		r := &recorder{TB: t}
		tab := b.Tab(r)
		tab.Open(srv.URL)
		tab.Do(chromedp.Evaluate[chromedp.Void](script))
		tab.WaitMessage("")
		r.end()
		if len(r.errors) != 1 {
			t.Errorf("%s: the test was told %q", script, r.errors)
		}
		if len(r.logs) != 1 {
			t.Fatalf("%s: logged %q", script, r.logs)
		}
		kept, ok := strings.CutPrefix(r.logs[0], "what the page looked like: ")
		if !ok {
			t.Fatalf("%s: nothing was left behind: %s", script, r.logs[0])
		}
		picture, _, _ := strings.Cut(kept, ", ")
		for _, ext := range []string{".png", ".html", ".console.txt"} {
			if _, err := os.Stat(strings.TrimSuffix(picture, ".png") + ext); err != nil {
				t.Errorf("%s: %v", script, err)
			}
		}
		if err := os.RemoveAll(filepath.Dir(picture)); err != nil {
			t.Error(err)
		}
	}
}

// A recorder is a test that keeps what it is told.
type recorder struct {
	testing.TB
	errors, logs []string
	cleanups     []func()
}

func (r *recorder) Name() string { return "recorded/" + r.TB.Name() }
func (r *recorder) Helper()      {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}
func (r *recorder) Failed() bool     { return len(r.errors) > 0 }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}
