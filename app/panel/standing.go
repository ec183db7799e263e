package panel

import (
	"slices"
	"strconv"

	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/recording"
)

// alertsShown is how many alerts are spelt out; of the others the number is.
const alertsShown = 3

// standing is what the agent must know besides the state: alerts that nobody has acknowledged, the newest first, and notices in
// the server's order.
func standing(v View) app.UI {
	loud, calm := remarks(v)
	var items []app.UI
	for _, s := range loud {
		items = append(items, el("p", "remark", "loud").Text(s))
	}
	for _, s := range calm {
		items = append(items, el("p", "remark").Text(s))
	}
	return el("section", "standing").Body(items...)
}

// remarks are the sentences. One from the server is shown unless it could be read as "paused".
func remarks(v View) (loud, calm []string) {
	if !present(v) {
		return nil, nil // what is told of then is the last word
	}
	logged := false // a notice says so
	for _, n := range v.Snapshot.Notices {
		logged = logged || n.Code == recording.LogSpooled || n.Code == recording.LogUnavailable
		switch s := harmless(n.Text); {
		case n.Code == recording.CallChanged && callChanged(v.Snapshot): // the hero says it
		case n.Code == recording.CallChanged:
			loud = append(loud, callMayRecord+" "+callChangedLine)
		case s != "":
			calm = append(calm, s)
		}
	}
	var alerts []string
	for _, a := range slices.Backward(v.Snapshot.Alerts) {
		if s := alertSentence(a, v); s != "" && (a.Kind != recording.AlertLog || !logged) {
			alerts = append(alerts, s)
		}
	}
	if more := len(alerts) - alertsShown; more > 0 {
		alerts = append(alerts[:alertsShown], "Besides, "+strconv.Itoa(more)+" more that nobody has looked at.")
	}
	return append(loud, alerts...), calm
}

// alertSentence is empty for what the panel says in another place.
func alertSentence(a recording.Alert, v View) string {
	at, unseen := clockTime(a.RaisedAt, v.Now.Location()), " Nobody has looked at it yet."
	switch a.Kind {
	case recording.AlertOverdue:
		if open := overdue(v); open != nil && open.ID == a.ID {
			return "" // it is beside the clock
		}
		return "A pause was over its time at " + at + "." + unseen
	case recording.AlertFailed, recording.AlertUnknown:
		if len(v.Attempts) > 0 && v.Attempts[0].ID == a.Attempt {
			return "" // the hero and the advice say it
		}
		what := "An attempt"
		for _, known := range v.Attempts {
			if known.ID == a.Attempt {
				what = actionName(known.Action)
			}
		}
		if a.Kind == recording.AlertFailed {
			return what + " at " + at + " failed." + unseen
		}
		return what + " at " + at + " may not have worked." + unseen
	case recording.AlertLeak:
		return "A recording can be heard where it shouldn't be. Tell your supervisor."
	case recording.AlertNoProof:
		return "" // the notice says it
	}
	return harmless(a.Text)
}
