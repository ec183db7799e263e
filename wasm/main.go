//go:build js && wasm

// Command wasm is the program that runs in the browser: it mounts the panel and gives package session its browser and its
// server, one file for each browser interface, through safejs.
//
// It decides nothing: what may be fired and what may be claimed is app/session's. It may not reach go-app's Handler,
// net/http or a template package, which would double its size.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/hack-pad/safejs"
	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/panel"
	"offrecord/app/session"
)

// patienceToMount is how long the native buttons are left in place for an answer that they don't need and the program does.
const patienceToMount = 3 * time.Second

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "offrecord:", err)
		os.Exit(1)
	}
}

// run returns only if the panel can't be mounted. The page's boot script then puts the native panel back.
func run(ctx context.Context) error {
	page, err := openPage()
	if err != nil {
		return fmt.Errorf("looking at the page: %w", err)
	}
	var view panel.View
	if err := page.initial(&view); err != nil {
		return fmt.Errorf("reading the first view: %w", err)
	}
	controller := session.New(page, newServer(page), view)
	go controller.Ask(ctx)
	atMost(patienceToMount, controller.Routed())
	// A press that began on a native button ends on it. From the last quiet to the mounted panel nothing waits, so no press
	// comes between.
	pressed, err := page.quiet(ctx)
	if err == nil && pressed { // the panel has to know of it
		go controller.Run(ctx)
		atMost(patienceToMount, controller.Told())
		_, err = page.quiet(ctx)
	}
	if err != nil {
		return fmt.Errorf("waiting for the buttons to be let go: %w", err)
	}
	page.afterwards(func() {
		page.makeReady()
		if !pressed {
			go controller.Run(ctx)
		}
	})
	page.embed(controller)
	for _, path := range []string{"/", "/widget"} {
		app.RouteFunc(path, func() app.Composer { return panel.New(controller) })
	}
	app.RunWhenOnBrowser()
	return nil
}

func atMost(d time.Duration, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(d):
	}
}

// page is the document, and the browser around it.
type page struct {
	window, document, transport safejs.Value
	channel                     safejs.Value
	ready, warm                 *carrier // for the next press, and what keeps its way open; may be nil
	frames                      int      // made so far
}

var _ session.Browser = (*page)(nil)

func openPage() (*page, error) {
	p := &page{window: safejs.Global()}
	var err error
	if p.document, err = p.window.Get("document"); err != nil {
		return nil, err
	}
	if p.transport, err = p.document.Call("getElementById", "transport"); err != nil {
		return nil, err
	}
	if !truthy(p.transport) {
		return nil, fmt.Errorf("the page has no #transport")
	}
	p.channel = p.openChannel()
	return p, nil
}

// initial reads the view that the server wrote into the page.
func (p *page) initial(view *panel.View) error {
	script, err := p.document.Call("getElementById", "view")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text(get(script, "textContent"))), view)
}

// quiet waits until no pointer or key is down and no native press is under way. It reports whether there was one.
func (p *page) quiet(ctx context.Context) (pressed bool, err error) {
	promise, err := p.window.Call("offrecordQuiet")
	if err != nil {
		return false, err
	}
	answer, err := await(ctx, promise)
	return truthy(answer), err
}
