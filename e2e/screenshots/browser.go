package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed fonts.conf
var fonts []byte

// failure is a step that couldn't be done.
type failure struct{ error }

// browser is a Chromium for taking pictures: it allows third-party cookies, as Chrome does unless it is told otherwise.
type browser struct {
	ctx  context.Context
	stop func()
}

func launch(ctx context.Context, profile string) (*browser, error) {
	path, err := find()
	if err != nil {
		return nil, err
	}
	settings := filepath.Join(profile, "Default", "Preferences")
	if err := errors.Join(os.MkdirAll(filepath.Dir(settings), 0o700),
		os.WriteFile(settings, []byte(`{"profile":{"cookie_controls_mode":0,"block_third_party_cookies":false}}`), 0o600)); err != nil {
		return nil, fmt.Errorf("preparing the browser's profile: %w", err)
	}
	// What text looks like shouldn't depend on the machine more than it must.
	fontsFile := filepath.Join(profile, "fonts.conf")
	if err := os.WriteFile(fontsFile, fonts, 0o600); err != nil {
		return nil, fmt.Errorf("choosing the fonts: %w", err)
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Env("FONTCONFIG_FILE="+fontsFile),
		chromedp.Flag("lang", "en-GB"), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("disable-lcd-text", true))...)
	quiet := func(string, ...any) {}
	main, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	b := &browser{ctx: main, stop: func() { cancel(); stopAllocator() }}
	if err := chromedp.Do(main); err != nil {
		b.stop()
		return nil, fmt.Errorf("starting Chromium: %w", err)
	}
	return b, nil
}

func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium on this machine: make test installs it where it may")
}

func (b *browser) close() {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	_ = chromedp.Cancel(ctx) // what it could not end in order, stop ends
	b.stop()
}

// tab is a page. Its methods panic with a failure if they can't do what they say.
type tab struct{ ctx context.Context }

// tab opens a page of a size in CSS pixels, in the light.
func (b *browser) tab(width, height int64) *tab {
	ctx, _ := chromedp.NewContext(b.ctx)
	t := &tab{ctx}
	t.do("opening a tab", chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
	t.prefer("light")
	return t
}

func (t *tab) dark() { t.prefer("dark") }

func (t *tab) prefer(scheme string) {
	t.do("choosing the colours", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
}

func (t *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	if err := chromedp.Do(t.ctx, actions...); err != nil {
		panic(failure{fmt.Errorf("%s: %w", what, errors.Join(err, context.Cause(t.ctx)))})
	}
}

func (t *tab) open(url string) { t.do("opening "+url, chromedp.Navigate(url)) }

// run evaluates a JavaScript expression for what it does.
func (t *tab) run(expression string) {
	t.do("evaluating "+expression, chromedp.Evaluate[chromedp.Void](expression))
}

// until waits for a JavaScript expression to become true, through navigations. seconds(selector) in it is the time that a
// clock on the page shows.
func (t *tab) until(expression string) {
	const look = `(() => {
		const seconds = (selector) => {
			const [, minutes, seconds] = document.querySelector(selector).textContent.match(/(\d+):(\d\d)\s*$/) ?? [0, 0, 0];
			return 60 * minutes + 1 * seconds;
		};
		try { return !!(%s); } catch { return false; }
	})()`
	ctx, cancel := context.WithTimeoutCause(t.ctx, time.Minute, fmt.Errorf("waited in vain until %s", expression))
	defer cancel()
	for {
		if ok, _ := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(look, expression))); ok { // an error is a page on its way
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			panic(failure{context.Cause(ctx)})
		}
	}
}

// click clicks the button that shows the text, with the mouse.
func (t *tab) click(text string) {
	find := `[...document.querySelectorAll("button")].find((b) => b.innerText.includes(` + strconv.Quote(text) + `))`
	t.until(find)
	at := t.rect(find)
	t.do("clicking "+text, chromedp.MouseClickXY(at.X+at.Width/2, at.Y+at.Height/2))
}

// rect is where an element lies, by a JavaScript expression for it.
func (t *tab) rect(element string) page.Viewport {
	text, err := chromedp.Run(t.ctx, chromedp.Evaluate[string](`JSON.stringify((({x, y, width, height}) => ({x, y, width, height}))((`+element+`).getBoundingClientRect()))`))
	var at page.Viewport
	if err == nil {
		err = json.Unmarshal([]byte(text), &at)
	}
	if err != nil {
		panic(failure{fmt.Errorf("finding %s: %w", element, err)})
	}
	return at
}

// write makes a page of the HTML and waits for its pictures.
func (t *tab) write(html string) {
	text, err := json.Marshal(html)
	if err == nil {
		_, err = chromedp.Run(t.ctx, chromedp.Evaluate[bool](`(async () => {
			document.open(); document.write(`+string(text)+`); document.close();
			await Promise.all([...document.images].map((i) => i.decode()));
			return true;
		})()`, func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
	}
	if err != nil {
		panic(failure{fmt.Errorf("writing a page: %w", err)})
	}
}

// picture is a PNG of the page from the top of the element that matches the one CSS selector to the bottom of the other's,
// as wide as the page, without a focus ring and the pointer's traces.
func (t *tab) picture(from, to string) []byte {
	t.do("letting go", chromedp.MouseEvent("mouseMoved", 0, 0), chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	find := func(selector string) page.Viewport {
		return t.rect("document.querySelector(" + strconv.Quote(selector) + ")")
	}
	clip, last := find(from), find(to)
	clip.Height, clip.Scale = last.Y+last.Height-clip.Y, 1
	shot, err := chromedp.Call(t.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: &clip, CaptureBeyondViewport: new(true)})
	if err != nil {
		panic(failure{fmt.Errorf("taking a picture of %s: %w", from, err)})
	}
	return shot.Data
}
