package panel

import "github.com/maxence-charriere/go-app/v9/pkg/app"

// advice is what to do when something is wrong: with the last attempt, with a pause that isn't known to have worked, or with
// a resume that can't be written down. Its three parts keep their places when they are empty.
func (p *Panel) advice(w Words) app.UI {
	class := "advice"
	if w.Alarm {
		class += " alarm"
	}
	return el("section", class).Body(
		el("div", "part").Body(sentences(w.Advice)...),
		el("div", "part").Body(p.makeSure(w)...),
		el("div", "part").Body(p.withoutRecord()...),
	)
}

func (p *Panel) makeSure(w Words) []app.UI {
	if !w.Alarm {
		return nil
	}
	var items []app.UI
	for _, s := range w.Steps {
		items = append(items, el("li").Text(s))
	}
	return []app.UI{
		el("h2").Text("Make sure yourself"),
		el("ol", "steps").Body(items...),
		p.act(press{name: "attest", action: "/native/attest", target: "_self", text: "I paused it there", class: "plain", on: p.onAttest}),
		el("p", "small").Text("This is logged as your word, not as confirmed."),
	}
}

func (p *Panel) withoutRecord() []app.UI {
	if !p.view.CanResumeWithoutRecord {
		return nil
	}
	return []app.UI{
		el("h2").Text("The resume was not sent"),
		el("p").Text("It could not be written down first. You can resume all the same; nothing will then show when you did."),
		p.act(press{name: "resume-without-record", action: "/native/resume", target: nativeFrame, text: "Resume without record", class: "plain",
			field: "without_record", on: p.onResumeWithoutRecord}),
	}
}

func sentences(all []string) []app.UI {
	var out []app.UI
	for _, s := range all {
		out = append(out, el("p").Text(s))
	}
	return out
}
