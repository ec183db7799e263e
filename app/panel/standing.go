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

// remarks are the sentences. They are the panel's own wherever it knows what is meant, because a sentence from elsewhere
// could be read as "paused".
func remarks(v View) (loud, calm []string) {
	if !present(v) {
		return nil, nil // what is told of then is the last word
	}
	name := platformName(v.PlatformKind)
	logged := false // a notice says so
	shown := Say(v).Headline
	for _, n := range v.Snapshot.Notices {
		logged = logged || n.Code == recording.LogSpooled || n.Code == recording.LogUnavailable
		switch s := noticeSentence(n, name); {
		case s == "", n.Code == recording.CallChanged && shown == callMayRecord:
		case n.Code == recording.CallChanged:
			loud = append(loud, s)
		default:
			calm = append(calm, s)
		}
	}
	var alerts []string
	for _, a := range slices.Backward(v.Snapshot.Alerts) {
		if s := alertSentence(a, v, name); s != "" && (a.Kind != recording.AlertLog || !logged) {
			alerts = append(alerts, s)
		}
	}
	if more := len(alerts) - alertsShown; more > 0 {
		alerts = append(alerts[:alertsShown], "Besides, "+strconv.Itoa(more)+" more that nobody has looked at.")
	}
	return append(loud, alerts...), calm
}

func noticeSentence(n recording.Notice, name string) string {
	switch n.Code {
	case recording.CallChanged:
		return callMayRecord + " " + callChangedLine
	case recording.LogSpooled:
		return "The log is kept aside for now, and nothing is lost. Tell your administrator."
	case recording.LogUnavailable:
		return "Nothing can be written to the log now. A pause goes all the same; a resume needs Resume without record. Tell your administrator."
	case recording.PlatformAway:
		return upper(name) + " isn't answering just now. A pause is sent all the same: see that it works."
	case recording.CannotConfirm:
		return upper(name) + " never says on this account whether a pause worked. Look in its own screen each time."
	}
	return harmless(n.Text)
}

func alertSentence(a recording.Alert, v View, name string) string {
	switch a.Kind {
	case recording.AlertOverdue:
		if open := overdue(v); open != nil && open.ID == a.ID {
			return "" // it is beside the clock
		}
		return "A pause was over its time at " + clockTime(a.RaisedAt, v.Now.Location()) + ". Nobody has looked at it yet."
	case recording.AlertFailed, recording.AlertUnknown:
		if len(v.Attempts) > 0 && v.Attempts[0].ID == a.Attempt {
			return "" // the hero and the advice say it
		}
		s := "An attempt"
		for _, known := range v.Attempts {
			if known.ID == a.Attempt {
				s = actionName(known.Action)
			}
		}
		s += " at " + clockTime(a.RaisedAt, v.Now.Location())
		if a.Kind == recording.AlertFailed {
			return s + " failed. Nobody has looked at it yet."
		}
		return s + " may not have worked. Nobody has looked at it yet."
	case recording.AlertRestart:
		return "offrecord was started anew while something was under way. Look in " + name + " whether it records."
	case recording.AlertLog:
		return "The log is in trouble. Tell your administrator."
	case recording.AlertLeak:
		return "A recording can be heard where it shouldn't be. Tell your supervisor."
	case recording.AlertNoProof:
		return "" // the notice says it
	}
	return harmless(a.Text)
}
