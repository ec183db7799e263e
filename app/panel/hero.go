package panel

import (
	"github.com/maxence-charriere/go-app/v9/pkg/app"

	"offrecord/app/recording"
)

// hero is what one sees from a metre away: the state in words and as a shape, what it means for the card, and how long it
// has lasted. Its words are the page's live region; the clock isn't in it, because it would be read out each second.
func hero(w Words, c app.UI) app.UI {
	return heroBody("hero live", w, el("div", "say").Role("status").ID(stateID).TabIndex(-1), c)
}

// stateID is the live region's id, for the focus.
const stateID = "state"

func heroBody(class string, w Words, say app.HTMLElem, c app.UI) app.UI {
	kind := string(w.State)
	if w.Alarm {
		kind += " alarm"
	}
	return el("section", class, kind).Body(
		el("div", "face").Body(
			el("div", "sign").Body(app.Raw(glyph(w.State))),
			say.Body(
				el("p", "headline").Text(w.Headline),
				el("p", "card").Text(w.Card),
				el("p", "line").Text(w.Line),
			),
		),
		c,
	)
}

// glyph is the state's shape. The drawings are constants: nothing from outside is ever in one.
func glyph(s recording.State) string {
	const open, end = `<svg class="glyph" viewBox="0 0 64 64" aria-hidden="true" focusable="false">`, `</svg>`
	const way = `<circle class="way" cx="32" cy="32" r="27" fill="none" stroke="currentColor" stroke-width="5" stroke-dasharray="15.9 12.4"/>`
	const bars = `<rect x="12" y="8" width="15" height="48" rx="3" fill="currentColor"/><rect x="37" y="8" width="15" height="48" rx="3" fill="currentColor"/>`
	switch s {
	case recording.Recording:
		return open + `<circle cx="32" cy="32" r="27" fill="currentColor"/>` + end
	case recording.Pausing:
		return open + way + `<path d="M26 22v20M38 22v20" stroke="currentColor" stroke-width="5"/>` + end
	case recording.Paused:
		return open + bars + end
	case recording.Resuming:
		return open + way + `<circle cx="32" cy="32" r="10" fill="none" stroke="currentColor" stroke-width="4"/>` + end
	case recording.Stopped:
		return open + `<rect x="9" y="9" width="46" height="46" rx="4" fill="currentColor"/>` + end
	case recording.Declined:
		return open + `<circle cx="32" cy="32" r="26" fill="none" stroke="currentColor" stroke-width="7"/><path d="M14 14l36 36" stroke="currentColor" stroke-width="7"/>` + end
	case recording.Idle:
		return open + `<circle cx="32" cy="32" r="28" fill="none" stroke="currentColor" stroke-width="3"/><path d="M22 32h20" stroke="currentColor" stroke-width="5"/>` + end
	}
	return open + `<circle cx="32" cy="32" r="27" fill="none" stroke="currentColor" stroke-width="8" stroke-dasharray="3 4.07"/>` +
		`<path d="M24.5 26a7.5 7.5 0 1 1 11.2 6.5c-2.5 1.4-3.7 2.7-3.7 5v1" fill="none" stroke="currentColor" stroke-width="5"/><circle cx="32" cy="46" r="3.4" fill="currentColor"/>` + end
}
