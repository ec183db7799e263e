package panel

import "github.com/maxence-charriere/go-app/v9/pkg/app"

// readiness says before the card whether a pause can be expected to reach the platform.
func readiness(v View) app.UI {
	r := v.Readiness
	class, head := "checking", "Checking whether a pause can reach "+platformName(v.PlatformKind)
	var because []string
	switch {
	case !present(v):
		head = "Not checked while there is no word from the server"
	case !r.Checked:
	case r.Ready:
		class, head = "ready", "Ready"
	default:
		class, head, because = "not-ready", "Not ready, because…", r.Because
	}
	var notes []string
	if present(v) {
		notes = r.Notes
	}
	return el("section", "readiness", class).Body(
		el("h2").Text(head),
		list("because", because),
		list("remarks", notes),
	)
}

func list(class string, all []string) app.UI {
	var items []app.UI
	for _, s := range all {
		items = append(items, el("li").Text(s))
	}
	return el("ul", class).Body(items...)
}
