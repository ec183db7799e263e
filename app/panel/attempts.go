package panel

import (
	"strings"

	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/recording"
)

// shown is how many of the last attempts the panel shows.
const shown = 5

// attempts are the last ones, newest first, each with what is known of it.
func attempts(v View) app.UI {
	name := platformName(v.PlatformKind)
	var items []app.UI
	for _, a := range v.Attempts[:min(shown, len(v.Attempts))] {
		items = append(items, el("li").Class("attempt", string(knownOutcome(a.Outcome))).Body(
			el("p", "what").Body(
				el("span", "when").Text(clockTime(a.RequestedAt, v.Now.Location())),
				el("span", "action").Text(actionName(a.Action)+byWhom(a.Origin)),
				el("span", "outcome").Text(outcomeName(a.Outcome)),
			),
			el("p", "sentence").Text(outcomeSentence(a, name)),
			el("p", "detail").Text(more(a, name)),
		))
	}
	none := ""
	if len(items) == 0 {
		none = "None yet."
	}
	return el("section", "attempts").Body(
		el("h2").Text("Last attempts"),
		el("ol").Body(items...),
		el("p", "small").Text(none),
	)
}

func byWhom(o recording.Origin) string {
	switch {
	case o == recording.Link:
		return " by a link"
	case o == recording.Timer:
		return " by the timer"
	case strings.HasPrefix(string(o), "trigger:"):
		return " by a trigger"
	}
	return ""
}

// more is what the server and the platform said besides.
func more(a recording.Attempt, name string) string {
	said := lastSaid(a, name)
	if d := detail(a); d != "" && (said == "" || strings.Contains(d, a.PlatformStatus)) {
		return d
	} else if d != "" {
		return d + " " + said
	}
	return said
}
