package panel

import "github.com/maxence-charriere/go-app/v9/pkg/app"

// head says whose panel it is.
func head(v View) app.UI {
	return app.Header().Class("head").Body(
		app.H1().Class("brand").Text("offrecord"),
		app.P().Class("whose").Body(
			app.Span().Class("agent").Text(v.Agent),
			app.Span().Class("platform").Text(v.Platform),
		),
	)
}
