package panel

import (
	"time"

	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/recording"
)

// Ids of the refusal's parts, for the focus and for the name that a screen reader gives the question.
const (
	declineID  = "decline"
	questionID = "decline-question"
)

// steady is how long the question's answer can't be given: it is about where the button was, and a person may double-click.
const steady = 500 * time.Millisecond

// decline is the third press, apart from the two: the customer's refusal. One press asks, a second one confirms. Without the
// program the server asks, on a page of its own.
func (p *Panel) decline(w Words) app.UI {
	if !p.view.CanDecline || w.State == recording.Declined {
		return el("section", "decline")
	}
	if !p.asking {
		return el("section", "decline").Body(
			p.act(press{name: "decline", id: declineID, action: "/native/decline", target: "_self", text: "Customer declined recording", class: "quiet", on: p.onDecline}),
			el("div"),
		)
	}
	return el("section", "decline").Body(
		el("div"),
		el("div", "question").Role("group").Aria("labelledby", questionID).On("keydown", p.onKey).Body(
			el("p").ID(questionID).TabIndex(-1).Text(declineQuestion(p.view)),
			el("p", "answers").Body(
				button("declined", "Yes, the customer declined", p.onDeclined),
				button("keep", "Cancel", p.onKeep),
			),
		),
	)
}

func button(name, text string, on app.EventHandler) app.UI {
	return el("button", "button", "plain").Attr("type", "button").DataSet("control", name).OnClick(on, name).Body(el("span", "text").Text(text))
}

// declineQuestion says what the refusal does on this account.
func declineQuestion(v View) string {
	name := platformName(v.PlatformKind)
	if v.PlatformKind == "cxone" {
		return "This can't be undone for this call: " + name + " records no more of it, through transfers too. What was recorded so far is kept."
	}
	return "On " + name + " this is a pause without a timer: it lasts until you resume. What was recorded so far is kept."
}

func (p *Panel) onDecline(_ app.Context, e app.Event) {
	e.PreventDefault()
	p.asking, p.asked = true, time.Now()
	p.focusAfter(questionID)
}

func (p *Panel) onDeclined(app.Context, app.Event) {
	if !p.asking || time.Since(p.asked) < steady {
		return
	}
	p.asking = false
	p.controller.Decline()
	focus(stateID)
}

func (p *Panel) onKeep(app.Context, app.Event) {
	if time.Since(p.asked) < steady {
		return
	}
	p.asking = false
	p.focusAfter(declineID)
}

func (p *Panel) onKey(_ app.Context, e app.Event) {
	if e.Get("key").String() == "Escape" {
		p.asking = false
		p.focusAfter(declineID)
	}
}

// focusAfter moves the focus to what is drawn because of an event. The event's own context is of no use: what it happened on
// is gone by then.
func (p *Panel) focusAfter(id string) {
	if p.mounted != nil {
		p.mounted.Defer(func(app.Context) { focus(id) })
	}
}

func focus(id string) {
	if there := app.Window().GetElementByID(id); there.Truthy() {
		there.Call("focus")
	}
}
