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
	var items []app.UI
	for _, a := range v.Attempts[:min(shown, len(v.Attempts))] {
		items = append(items, el("li").Class("attempt", string(knownOutcome(a.Outcome))).Body(
			el("p", "what").Body(
				el("span", "when").Text(clockTime(a.RequestedAt, v.Now.Location())),
				el("span", "action").Text(actionName(a.Action)+byWhom(a.Origin)),
				el("span", "outcome").Text(outcomeName(a.Outcome)),
			),
			el("p", "sentence").Text(outcomeSentence(a, platformName(v.PlatformKind))),
			el("p", "detail").Text(detail(a)),
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
	case strings.HasPrefix(string(o), "trigger:"):
		return " by a trigger"
	}
	return ""
}

// detail is the server's own sentence about an attempt. It is shown only where the outcome is a failure: a sentence that the
// panel didn't write is never beside an outcome with which it could be read as "paused".
func detail(a recording.Attempt) string {
	switch a.Outcome {
	case recording.Failed, recording.Denied, recording.NotEnabled, recording.NotFound, recording.Locked:
		return a.Detail
	}
	return ""
}
