// Package browser drives a real Chromium for the end-to-end tests: it starts one with its own profile, cookie world and
// names, clicks what a person would click by the name that a screen reader says, waits for states and never for time, and
// fails the test on every console error, exception and policy violation that the test didn't announce.
//
// It knows nothing of offrecord but the attributes that its pages carry for tests, and it may not import anything of it.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long anything may take that a test waits for. It is long, since the machine may be busy, and no passing
// test waits for it.
const patience = 20 * time.Second

// Cookies says what a browser does with third-party cookies. Chrome allows them unless told otherwise, Debian's Chromium
// and many managed browsers block them.
type Cookies int

// The two worlds.
const (
	ThirdPartyAllowed Cookies = iota
	ThirdPartyBlocked
)

func (c Cookies) String() string {
	if c == ThirdPartyBlocked {
		return "third-party blocked"
	}
	return "third-party allowed"
}

// Worlds are both, for tests that hold in each.
func Worlds() []Cookies { return []Cookies{ThirdPartyAllowed, ThirdPartyBlocked} }

// An Option changes how a browser is started.
type Option func(*settings)

type settings struct {
	profile string
	flags   []chromedp.ExecAllocatorOption
	bare    bool
	prefs   map[string]any
}

// Profile keeps the browser's data in dir, so that a later browser finds the cookies of an earlier one.
func Profile(dir string) Option { return func(s *settings) { s.profile = dir } }

// Flag adds a command line switch; value is a string or true.
func Flag(name string, value any) Option {
	return func(s *settings) { s.flags = append(s.flags, chromedp.Flag(name, value)) }
}

// Preference sets a preference of the profile, by its dotted path.
func Preference(path string, value any) Option { return func(s *settings) { s.prefs[path] = value } }

// Unwatched leaves frames of other sites and popups alone: nothing is attached to them, and what they log isn't seen. The
// browser loads all that it comes with. For measurements, where the watcher would weigh in, and which are about the browser
// that people have.
func Unwatched() Option { return func(s *settings) { s.bare = true } }

// A Browser is one Chromium process with one profile.
type Browser struct {
	Profile string  // the folder of its data
	Cookies Cookies // its cookie world

	ctx     context.Context
	cancel  context.CancelFunc
	watched bool

	mu     sync.Mutex
	log    journal
	tabs   map[target.ID]bool
	pages  map[target.ID]*page // popups and frames of other sites, while they live
	opened []*opening          // who waits for a popup
}

// Launch starts a browser that lives in net, in the given cookie world, until the test ends. A machine without Chromium
// fails the test: a test that was skipped proves nothing.
func Launch(t testing.TB, net *Net, cookies Cookies, opts ...Option) *Browser {
	t.Helper()
	s := settings{prefs: map[string]any{}}
	for _, opt := range opts {
		opt(&s)
	}
	if s.profile == "" {
		s.profile = t.TempDir()
	}
	if err := prepare(s.profile, cookies, s.prefs); err != nil {
		t.Fatalf("preparing the browser's profile: %v", err)
	}
	b := &Browser{Profile: s.profile, Cookies: cookies, watched: !s.bare, tabs: map[target.ID]bool{}, pages: map[target.ID]*page{}}

	alloc, stop := chromedp.NewExecAllocator(context.Background(), s.allocator(find(t), net)...)
	b.ctx, b.cancel = chromedp.NewContext(alloc, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	t.Cleanup(func() {
		b.Close()
		stop()
	})
	// The first call binds the browser's life to its context, so this one has no deadline.
	if err := chromedp.Do(b.ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	if err := chromedp.ListenBrowser(b.ctx, b.onTarget); err != nil {
		t.Fatalf("listening to the browser: %v", err)
	}
	return b
}

// Close ends the browser in good order, so that its cookies are on disk when it returns. Launch's cleanup does it otherwise.
func (b *Browser) Close() {
	if b.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_ = chromedp.Cancel(ctx) // what it could not end in order, cancel ends
	b.cancel()
}

// quiet drops chromedp's own remarks: about events that are newer than it, and calls that a closing tab cut off.
func quiet(string, ...any) {}

// find is the Chromium on this machine.
func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium on this machine: run `make test`, which installs it where it may, or install it (on Debian: apt-get install chromium)")
	return ""
}

func (s settings) allocator(path string, net *Net) []chromedp.ExecAllocatorOption {
	opts := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	opts = append(opts,
		chromedp.ExecPath(path),
		chromedp.UserDataDir(s.profile),
		chromedp.WindowSize(1024, 768),
		// chromedp switches the popup blocker off, and with it every truth about popups.
		chromedp.Flag("disable-popup-blocking", false),
		// Every name under .test is this machine; localhost and its like stay; anything else doesn't exist.
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors-spki-list", net.spki()),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("lang", "en-GB"),
	)
	if !s.bare {
		// The address bar's suggestions are pages of their own, loaded at the start: more work than all else until the first tab.
		opts = append(opts, chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,WebUIOmniboxPopup,WebUIOmniboxAimPopup"))
	}
	return append(opts, s.flags...)
}

// prepare writes the profile's preferences: the cookie world is nowhere else. What an earlier browser left is kept.
func prepare(profile string, cookies Cookies, more map[string]any) error {
	file := filepath.Join(profile, "Default", "Preferences")
	prefs := map[string]any{}
	data, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &prefs); err != nil {
			return fmt.Errorf("reading the former preferences: %w", err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	blocked := cookies == ThirdPartyBlocked
	mode := 0 // allow
	if blocked {
		mode = 1 // block third-party
	}
	set(prefs, "profile.cookie_controls_mode", mode)
	set(prefs, "profile.block_third_party_cookies", blocked)
	for path, value := range more {
		set(prefs, path, value)
	}
	if data, err = json.Marshal(prefs); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// set puts value at the dotted path.
func set(prefs map[string]any, path string, value any) {
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		prefs[head] = value
		return
	}
	inner, ok := prefs[head].(map[string]any)
	if !ok {
		inner = map[string]any{}
		prefs[head] = inner
	}
	set(inner, rest, value)
}
