//go:build js && wasm

package main

import (
	"fmt"

	"github.com/hack-pad/safejs"

	"offrecord/app/recording"
	"offrecord/app/session"
)

// windowFeatures make the browser open a small window and not a tab: large enough to read what the platform says.
const windowFeatures = "popup,width=480,height=320"

type popup struct {
	page   *page
	window safejs.Value
	name   string
}

// Window implements session.Browser. Each action has a window of its own, so that a pause never navigates one in which a
// resume is under way, and a window that was left open is used again.
func (p *page) Window(action recording.Action) session.Window {
	name := "offrecord-" + string(action)
	w, err := p.window.Call("open", "about:blank", name, windowFeatures)
	if err != nil || !truthy(w) {
		return nil
	}
	return &popup{p, w, name}
}

// Go implements session.Window.
func (w *popup) Go(t session.Target) error {
	if t.Post {
		return w.page.submit(t, w.name)
	}
	if _, err := get(w.window, "location").Call("replace", t.URL); err != nil {
		return fmt.Errorf("sending the window to the platform: %w", err)
	}
	return nil
}

// Closed implements session.Window.
func (w *popup) Closed() bool { return truthy(get(w.window, "closed")) }

// Close implements session.Window.
func (w *popup) Close() { _, _ = w.window.Call("close") }
