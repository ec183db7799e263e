package panel

import "github.com/maxence-charriere/go-app/v9/pkg/app"

// head says whose panel it is.
func head(v View) app.UI {
	return el("header", "head").Body(
		el("h1", "brand").Text("offrecord"),
		el("p", "whose").Body(
			el("span", "agent").Text(v.Agent),
			el("span", "platform").Text(v.Platform),
		),
	)
}
