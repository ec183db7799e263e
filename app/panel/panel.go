package panel

import (
	"time"

	"github.com/maxence-charriere/go-app/v9/pkg/app"
)

// Panel is the root component. It follows a Controller while it is mounted and hands it every press.
//
// Its fields are unexported on purpose: go-app overwrites a mounted component's exported ones on a navigation.
type Panel struct {
	app.Compo

	controller Controller
	view       View
	taken      time.Time // when the view arrived, by the browser's own clock; zero on the server
	asking     bool      // whether the customer really declined
	asked      time.Time
	stop       func()
	mounted    app.Context // nil before it is
}

// New returns the panel of a controller, to be mounted once.
func New(c Controller) *Panel { return &Panel{controller: c} }

// HTML is the panel as a server sends it before the program runs: one root element, no text of the view in any attribute.
// Its times are in UTC and its clock stands, because no program moves it.
func HTML(v View) string {
	v.Now = v.Now.UTC()
	return app.HTMLString(&Panel{view: v})
}

// OnInit draws the first view already, so that no empty panel is ever mounted.
func (p *Panel) OnInit() { p.controller.Watch(p.take)() }

// OnMount follows the controller.
func (p *Panel) OnMount(ctx app.Context) {
	p.mounted = ctx
	p.stop = p.controller.Watch(func(v View) {
		ctx.Dispatch(func(app.Context) { p.take(v) })
	})
}

// OnDismount lets the controller go.
func (p *Panel) OnDismount() {
	if p.stop != nil {
		p.stop()
	}
}

func (p *Panel) take(v View) {
	v.Native = Mounted
	v.Now = v.Now.Local()
	if v.Snapshot.Call != p.view.Snapshot.Call {
		p.asking = false // it was asked of another customer
	}
	p.view, p.taken = v, time.Now()
}

// Render keeps the same sections in the same places, whatever they hold: go-app updates children by position, so a section
// that came and went would turn a focused button into another one.
func (p *Panel) Render() app.UI {
	v, w := p.view, Say(p.view)
	return el("main").
		Class("panel").
		DataSet("state", string(w.State)).
		DataSet("outcome", string(w.Outcome)).
		DataSet("native", nativeName(v.Native)).
		Body(
			head(v),
			el("div", "desk").Body(
				hero(w, clockOf(v, p.taken)),
				p.frozen(),
				p.actions(w),
				p.decline(w),
			),
			el("div", "aside").Body(
				p.advice(w),
				notes(v),
				readiness(v),
				attempts(v),
			),
		)
}

func nativeName(n Native) string {
	switch n {
	case Mounted, NativeBefore, NativeNoWasm, NativeStorage, NativeLoad, NativeEnded:
		return string(n)
	}
	return string(NativeLoad)
}

// frozen is the hero that a plain page shows once it is known that no program will follow the recording: the style sheet
// puts it in the first one's place by data-native, without a program. What the server knew when it wrote the page must not
// stay on the screen as if it were present.
func (p *Panel) frozen() app.UI {
	if p.view.Native == Mounted {
		return el("div", "frozen")
	}
	v := p.view
	v.Native = NativeLoad
	w := Say(v)
	return el("div", "frozen").Body(heroBody("hero", w, el("div", "say"), clockOf(v, time.Time{})))
}

func (p *Panel) onPause(_ app.Context, e app.Event) {
	e.PreventDefault()
	p.controller.Pause()
}

func (p *Panel) onResume(_ app.Context, e app.Event) {
	e.PreventDefault()
	p.controller.Resume()
}

func (p *Panel) onResumeWithoutRecord(_ app.Context, e app.Event) {
	e.PreventDefault()
	p.controller.ResumeWithoutRecord()
	focus(stateID)
}

func (p *Panel) onAttest(_ app.Context, e app.Event) {
	e.PreventDefault()
	p.controller.Attest()
	focus(stateID) // the button that has it is about to go
}

func (p *Panel) onIntent(app.Context, app.Event) { p.controller.Intent() }

// present reports whether the view's state is the server's present word.
func present(v View) bool {
	return v.Link == Live && (v.Native == Mounted || v.Native == NativeBefore)
}

// held reports whether something keeps the recording paused, as far as what was asked for goes.
func held(v View) bool { return len(v.Snapshot.Holds) > 0 }
