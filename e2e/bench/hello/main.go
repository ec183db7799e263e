// Command hello is the smallest go-app program there is: what any panel made with go-app costs before it does a thing. The
// benchmark compiles it with the product's own flags, serves it as the product is served, and holds the panel's time to
// mounted against it. It has no build tag; outside a browser it does nothing.
package main

import "github.com/maxence-charriere/go-app/v9/pkg/app"

type hello struct {
	app.Compo
}

// Render implements app.Composer.
func (*hello) Render() app.UI { return app.H1().Text("Hello") }

func main() {
	app.Route("/", &hello{})
	app.RunWhenOnBrowser()
}
