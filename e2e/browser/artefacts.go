package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/chromedp/chromedp"
)

// Screenshot writes a picture of what is in view to the file.
func (tab *Tab) Screenshot(file string) {
	tab.t.Helper()
	ctx, cancel := tab.limited()
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatalf("taking a picture: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tab.t.Fatalf("making room for a picture: %v", err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		tab.t.Fatalf("writing a picture: %v", err)
	}
}

// leave keeps what the page looked like when its test failed, and logs where.
func (tab *Tab) leave(messages []Message) {
	dir := filepath.Join(root(), "e2e", "failures", unsafe.ReplaceAllString(tab.t.Name(), "_"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tab.t.Logf("keeping what the failed page looked like: %v", err)
		return
	}
	// A test can have several tabs.
	name := filepath.Join(dir, string(tab.id()))
	ctx, cancel := tab.limited()
	defer cancel()
	if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		_ = os.WriteFile(name+".png", png, 0o644)
	}
	if html, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.documentElement.outerHTML")); err == nil {
		_ = os.WriteFile(name+".html", []byte(html), 0o644)
	}
	var console strings.Builder
	for _, m := range messages {
		fmt.Fprintln(&console, m)
	}
	_ = os.WriteFile(name+".console.txt", []byte(console.String()), 0o644)
	tab.t.Logf("what the page looked like: %s.png, .html, .console.txt", name)
}

var unsafe = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// root is the module's root above the working directory, or the working directory itself.
func root() string {
	wd, err := os.Getwd()
	if err != nil {
		return "."
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return wd
		}
	}
}
