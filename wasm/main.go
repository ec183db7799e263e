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

// routePatience is how long the native buttons are left in place for an answer that they don't need and the program does.
const routePatience = 3 * time.Second

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
	go controller.Run(ctx)
	select {
	case <-controller.Routed():
	case <-time.After(routePatience):
	}
	// A press that began on a native button ends on it. From here to the mounted panel nothing waits, so no press comes
	// between.
	if err := page.quiet(ctx); err != nil {
		return fmt.Errorf("waiting for the buttons to be let go: %w", err)
	}
	app.RouteFunc("/", func() app.Composer { return panel.New(controller) })
	app.RunWhenOnBrowser()
	return nil
}

// page is the document, and the browser around it.
type page struct {
	window, document, transport safejs.Value
	channel                     safejs.Value
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

// quiet waits until no pointer or key is down and no native press is under way.
func (p *page) quiet(ctx context.Context) error {
	promise, err := p.window.Call("offrecordQuiet")
	if err != nil {
		return err
	}
	_, err = await(ctx, promise)
	return err
}
