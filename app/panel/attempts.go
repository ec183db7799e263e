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
		items = append(items, app.Li().Class("attempt", string(knownOutcome(a.Outcome))).Body(
			app.P().Class("what").Body(
				app.Span().Class("when").Text(clockTime(a.RequestedAt, v.Now.Location())),
				app.Span().Class("action").Text(actionName(a.Action)+byWhom(a.Origin)),
				app.Span().Class("outcome").Text(outcomeName(a.Outcome)),
			),
			app.P().Class("sentence").Text(outcomeSentence(a, platformName(v.PlatformKind))),
			app.P().Class("detail").Text(detail(a)),
		))
	}
	none := ""
	if len(items) == 0 {
		none = "None yet."
	}
	return app.Section().Class("attempts").Body(
		app.H2().Text("Last attempts"),
		app.Ol().Body(items...),
		app.P().Class("small").Text(none),
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
