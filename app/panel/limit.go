package panel

import (
	"strconv"
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/recording"
)

// due is how far an open pause is from the end of its time. The panel's root carries it, for the style sheet and for what is
// noticed from outside of the page.
type due string

const (
	unlimited due = ""
	counting  due = "counting"
	soon      due = "soon" // the last half minute
	over      due = "over"
)

// warnBefore is how long before its end an open pause is warned of.
const warnBefore = 30 * time.Second

// dueAt is where the open pause stands at now, by the clock that made the view.
func dueAt(v View, now time.Time) due {
	switch at := v.Snapshot.AutoResumeAt; {
	case at != nil && now.Before(at.Add(-warnBefore)):
		return counting
	case at != nil && now.Before(*at):
		return soon
	case at != nil, overdue(v) != nil:
		return over
	}
	return unlimited
}

// nextDue is the time from now until dueAt changes by itself; zero if it won't.
func nextDue(v View, now time.Time) time.Duration {
	switch dueAt(v, now) {
	case counting:
		return v.Snapshot.AutoResumeAt.Add(-warnBefore).Sub(now)
	case soon:
		return v.Snapshot.AutoResumeAt.Sub(now)
	}
	return 0
}

// overdue is the alert about the pause that is open now; nil if there is none. One about a pause that is over is history.
func overdue(v View) *recording.Alert {
	for i, a := range v.Snapshot.Alerts {
		if a.Kind == recording.AlertOverdue && v.Snapshot.Pause != "" && (a.Attempt == "" || a.Attempt == v.Snapshot.Pause) {
			return &v.Snapshot.Alerts[i]
		}
	}
	return nil
}

// told is how often it was said that the open pause is over its time.
func told(v View) int {
	if a := overdue(v); a != nil {
		return 1 + max(0, a.Repeated)
	}
	return 0
}

// limit is what is said of an open pause's time: Label and Note are the clock's, Warning is said once, and Card, where it
// isn't empty, takes the place of "You can take the card".
type limit struct {
	due                        due
	Label, Note, Warning, Card string
	From                       time.Time // the clock counts to it, and on from it
}

func limitOf(v View, now time.Time) limit {
	s := v.Snapshot
	l := limit{due: dueAt(v, now)}
	resumes, more := s.AtMaxPause == recording.Resume, s.ExtensionsLeft > 0
	if s.AutoResumeAt != nil {
		l.From = *s.AutoResumeAt
	} else if a := overdue(v); a != nil {
		l.From = a.RaisedAt
	}
	longer := ""
	if more {
		longer = " Press Keep paused if you need longer."
	}
	switch l.due {
	case unlimited:
		return l
	case over:
		l.Label = "Over its time by"
		if resumes && s.AutoResumeAt != nil { // it is about to
			l.Card = cardNotYet
		}
		l.Warning = "This pause is over its time. Resume as soon as the card is done." + longer
		if n := told(v); n > 1 {
			l.Warning = "Reminder " + strconv.Itoa(n) + ". " + l.Warning
		}
	default:
		l.Label = "Over its time in"
		if resumes {
			l.Label = "Resumes by itself in"
		}
		if l.due == soon {
			l.Warning = l.Label + " less than 30 seconds."
			if resumes {
				l.Card = "Finish the card in time"
			}
			switch {
			case !resumes:
				l.Warning += " Resume as soon as the card is done." + longer
			case more:
				l.Warning += longer
			default:
				l.Warning += " Finish the card before that."
			}
		}
	}
	switch {
	case resumes && l.due != over:
		l.Note = "since " + clockTime(s.Since, v.Now.Location())
	case more:
		l.Note = "resume or keep paused"
	default:
		l.Note = "resume in time"
		if l.due == over {
			l.Note = "resume"
		}
	}
	return l
}

// Due is what is said of the open pause's time where nothing counts: when, and the warning that goes with it. Both are empty
// without a limit.
func Due(v View) (when, warning string) {
	l := limitOf(v, v.Now)
	if l.due == unlimited {
		return "", ""
	}
	return l.when(v.Now.Location()), l.Warning
}

// when is the label without its figures.
func (l limit) when(place *time.Location) string {
	return strings.TrimSuffix(strings.TrimSuffix(l.Label, " in"), " by") + " at " + clockTime(l.From, place)
}

// keepLeftID is the id of what is said beside the button.
const keepLeftID = "keep-left"

// keep is the press that gives an open pause more time, and the warning. It stands below the two presses, and the warning
// below it, so that nothing that is about to be pressed moves when it comes and goes.
func (p *Panel) keep(l limit) app.UI {
	var offer []app.UI
	if l.due != unlimited {
		left := p.view.Snapshot.ExtensionsLeft
		many := strconv.Itoa(left) + " times left"
		switch {
		case left <= 0:
			many = "It was kept as often as your account allows."
		case left == 1:
			many = "1 time left"
		}
		offer = []app.UI{
			p.act(press{name: "keep", action: "/native/extend", target: "_self", text: "Keep paused", class: "secondary", describedBy: keepLeftID, disabled: left <= 0, on: p.onExtend}),
			el("p", "small").ID(keepLeftID).Text(many),
		}
	}
	return el("section", "keep").Body(
		el("div", "offer").Body(offer...),
		el("p", "warning").Role("alert").Text(l.Warning),
	)
}

func (p *Panel) onExtend(_ app.Context, e app.Event) {
	e.PreventDefault()
	if p.view.Snapshot.ExtensionsLeft <= 0 {
		return
	}
	p.controller.Extend()
	if p.view.Snapshot.ExtensionsLeft == 1 {
		focus(stateID) // the button is about to take no more presses
	}
}
