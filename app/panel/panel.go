package panel

import (
	"strconv"
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
	next       *time.Timer // until the open pause is to be warned of, or is over its time
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
	if p.next != nil {
		p.next.Stop()
	}
}

func (p *Panel) take(v View) {
	v.Native = Mounted
	v.Now = v.Now.Local()
	if v.Snapshot.Call != p.view.Snapshot.Call {
		p.asking = false // it was asked of another customer
	}
	p.view, p.taken = v, time.Now()
	p.await()
}

// now is the time by the clock that made the view: the browser's own may be set while the panel is open.
func (p *Panel) now() time.Time {
	if p.taken.IsZero() {
		return p.view.Now
	}
	return p.view.Now.Add(time.Since(p.taken))
}

// await draws again when the open pause comes to be warned of, and when it is over its time.
func (p *Panel) await() {
	if p.next != nil {
		p.next.Stop()
		p.next = nil
	}
	if d := nextDue(p.view, p.now()); d > 0 && p.mounted != nil {
		p.next = time.AfterFunc(d, func() { p.mounted.Dispatch(func(app.Context) { p.await() }) })
	}
}

// Render keeps the same sections in the same places, whatever they hold: go-app updates children by position, so a section
// that came and went would turn a focused button into another one.
func (p *Panel) Render() app.UI {
	v, w, now := p.view, Say(p.view), p.now()
	l := limitOf(v, now)
	if w.Card == cardMay && l.Card != "" {
		w.Card = l.Card
	}
	root := el("main").
		Class("panel").
		DataSet("state", string(w.State)).
		DataSet("outcome", string(w.Outcome)).
		DataSet("native", nativeName(v.Native)).
		DataSet("link", linkName(v.Link)).
		DataSet("stream", strconv.Itoa(v.Stream)).
		DataSet("due", string(l.due)).
		DataSet("told", strconv.Itoa(told(v)))
	if v.Native != Mounted { // who follows a plain panel has to ask for the next one
		root = root.DataSet("next", strconv.FormatInt(nextDue(v, now).Milliseconds(), 10))
	}
	return root.
		Body(
			head(v),
			el("div", "desk").Body(
				hero(w, clockOf(v, l, p.taken)),
				p.frozen(),
				p.actions(w),
				p.keep(l),
				p.decline(w),
			),
			el("div", "aside").Body(
				standing(v),
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

func linkName(l Link) string {
	switch l {
	case Live, Connecting, Reconnecting, OfflineLink:
		return string(l)
	}
	return string(Connecting)
}

// frozen is the hero that claims nothing. The style sheet puts it in the first one's place, without a program, where nobody
// follows the recording any more, or not for the moment: the page's script says so at once when the page falls asleep or
// wakes. What was known must not stay on the screen as if it were present.
func (p *Panel) frozen() app.UI {
	v := p.view
	if v.Native == Mounted {
		v.Link = Reconnecting
	} else {
		v.Native = NativeLoad
	}
	w, at := Say(v), &clock{Still: true}
	if as := v.Snapshot.AsOf; !as.IsZero() {
		at.Label = "at " + clockTime(as, v.Now.Location())
	}
	return el("div", "frozen").Body(heroBody("hero", w, el("div", "say"), at.draw()))
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
