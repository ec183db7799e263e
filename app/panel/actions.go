package panel

import (
	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/recording"
)

// actions are the two presses. Both are always there, always enabled and always in the same place, whichever is the primary
// one: the second press of a double click can't land on the other. Where the customer declined neither is.
func (p *Panel) actions(w Words) app.UI {
	pause, resume := "primary", "secondary"
	switch {
	case w.State == recording.Declined:
		pause = "secondary"
	case held(p.view):
		pause, resume = resume, pause
	}
	pauseTo, resumeTo := nativeFrame, nativeFrame
	if p.view.NativePopup {
		pauseTo, resumeTo = "offrecord-pause", "offrecord-resume"
	}
	return el("section", "actions").Body(
		p.act(press{name: "pause", action: "/native/pause", target: pauseTo, carried: true, text: "Pause recording", class: pause, on: p.onPause,
			glyph: `<path d="M7 4h4v16H7zM13 4h4v16h-4z" fill="currentColor"/>`}),
		p.act(press{name: "resume", action: "/native/resume", target: resumeTo, carried: true, text: "Resume recording", class: resume, on: p.onResume,
			glyph: `<circle cx="12" cy="12" r="8" fill="currentColor"/>`}),
	)
}

// nativeFrame is the hidden frame, outside of the panel, that takes a form's answer before and without the program.
const nativeFrame = "offrecord-native"

// press is one button. All of it are constants of this package: they become attributes.
type press struct {
	name, action, target string
	id                   string // of the button; may be empty
	text, class, glyph   string
	field                string // the name of a form field that the button sends as yes
	carried              bool   // the form says by which transport it is carried
	describedBy          string // the id of what says more; may be empty
	disabled             bool
	on                   app.EventHandler
}

// act is a button as a form of its own: without the program the browser posts it, with the program its submission is the
// press (a click, Enter and Space alike).
func (p *Panel) act(b press) app.UI {
	button := []app.UI{el("span", "text").Text(b.text)}
	if b.glyph != "" {
		button = []app.UI{app.Raw(`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + b.glyph + `</svg>`), button[0]}
	}
	submit := el("button", "button", b.class).Attr("type", "submit").DataSet("control", b.name)
	if b.id != "" {
		submit = submit.ID(b.id)
	}
	if b.describedBy != "" {
		submit = submit.Aria("describedby", b.describedBy)
	}
	if b.disabled { // false would print the attribute, too
		submit = submit.Attr("disabled", true)
	}
	if b.field != "" {
		submit = submit.Attr("name", b.field).Attr("value", "yes")
	}
	fields := []app.UI{submit.On("pointerenter", p.onIntent, b.name).OnFocus(p.onIntent, b.name).Body(button...)}
	if b.carried {
		transport := recording.TransportIframe
		if p.view.NativePopup {
			transport = recording.TransportPopup
		}
		fields = append(fields, el("input").Attr("type", "hidden").Attr("name", "transport").Attr("value", string(transport)))
	}
	return el("form", "act").Attr("method", "post").Attr("action", b.action).Attr("target", b.target).DataSet("native-form", b.name).
		OnSubmit(b.on, b.name).
		Body(fields...)
}
