package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
)

// How long an open pause may last, as an agent sees and hears it. The platform's ledger judges what becomes of it.

// timed opens a platform whose pauses last so long.
func timed(platform, limits string) func(*testing.T, *browser.Net) *post {
	return func(t *testing.T, n *browser.Net) *post {
		p := posts()[platform](t, n)
		p.platform += ", " + limits
		return p
	}
}

func TestHowLongAPauseLasts(t *testing.T) {
	for name, story := range map[string]func(*testing.T){
		"counted down, warned of and kept": countedDown,
		"kept by a form":                   keptByAForm,
		"resumed by itself":                resumedByItself,
		"over its time":                    overItsTime,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			story(t)
		})
	}
}

// ears counts what a page makes of sounds and notifications, in a browser that has asked nobody yet, while the agent looks at
// another window; and it writes down each thing that the page says in its alert.
const ears = `
	window.heard = {tones: 0, notes: [], asked: 0, said: []};
	const make = AudioContext.prototype.createOscillator;
	AudioContext.prototype.createOscillator = function() { heard.tones++; return make.call(this); };
	window.Notification = class {
		static permission = 'default';
		static requestPermission() { heard.asked++; Notification.permission = 'granted'; return Promise.resolve('granted'); }
		constructor(title, options) { heard.notes.push(title + ': ' + options.body); }
		close() {}
	};
	document.hasFocus = () => false;
	new MutationObserver(() => {
		const text = document.querySelector('[role=alert]')?.textContent;
		if (text !== undefined && text !== heard.said.at(-1)) heard.said.push(text);
	}).observe(document, {subtree: true, childList: true, characterData: true});`

// heard is what ears took down.
type heard struct {
	Tones, Asked int
	Notes, Said  []string
}

func hear(tab *browser.Tab) heard { return browser.Eval[heard](tab, `window.heard`) }

// due waits for an open pause to stand so.
func due(tab *browser.Tab, want string) {
	tab.Wait(`main.panel[data-due="` + want + `"]`)
}

// icon is the name of the tab's icon, without its hash.
func icon(tab *browser.Tab) string {
	name, _, _ := strings.Cut(browser.Eval[string](tab, `document.querySelector('link[rel=icon]').href.split('/').pop()`), ".")
	return name
}

// countedDown: the count, the warning half a minute before the end, and Keep paused, in the program's panel and in a plain one.
func countedDown(t *testing.T) {
	s, p := newServerStage(t, timed("8x8 by the server", "max_pause: 31500ms, on_max_pause: resume, max_extensions: 2"))
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	tab, plain := b.Tab(t), b.Tab(t)
	tab.Before(ears)
	s.openPanel(t, tab, &p.desk)
	plain.Before(`delete window.WebAssembly`)
	plain.Open(s.url + "/")
	plain.Wait(`html[data-program=refused]`)
	p.begin()
	call(tab, "c1", "started") // 8x8 names no call, and without one nothing would resume by itself

	tab.Click("checkbox", "Notification with a warning")
	tab.Until(`heard.asked === 1`)
	if got := p.press(tab, "Pause recording"); got != recording.Confirmed {
		t.Fatalf("the pause: %s", got)
	}
	tab.Until(`document.querySelector('.hero.live .since').textContent === 'Resumes by itself in' && /^0:(3[0-2]|2\d)$/.test(document.querySelector('.hero.live .run').textContent)`)
	plain.Until(`/^Resumes by itself at \d\d:\d\d:\d\d UTC$/.test(document.querySelector('.hero.live .since').textContent)`)

	const warning = "Resumes by itself in less than 30 seconds. Press Keep paused if you need longer."
	for _, x := range []*browser.Tab{tab, plain} {
		due(x, "soon")
		x.Until(`document.querySelector('[role=alert]').textContent === "` + warning + `"`)
		x.Until(`document.title === '⚠ Paused, time nearly up · offrecord'`)
		if got := icon(x); got != "state-alarm" {
			t.Errorf("the tab's icon is %s", got)
		}
	}
	says(t, tab, "2 times left", "Finish the card in time")
	tab.Until(`/^0:2[0-8]$/.test(document.querySelector('.hero.live .run').textContent)`) // it goes on counting, and says no more
	if got := hear(tab); got.Tones == 0 || len(got.Notes) != 1 || got.Notes[0] != "⚠ Paused, time nearly up · offrecord: "+warning ||
		!slices.Equal(slices.DeleteFunc(got.Said, func(s string) bool { return s == "" }), []string{warning}) {
		t.Errorf("noticed: %+v", got)
	}

	before := p.snapshot(tab)
	tab.Click("button", "Keep paused")
	for _, x := range []*browser.Tab{tab, plain} {
		due(x, "counting")
		x.Until(`document.title === 'Paused · offrecord'`)
	}
	says(t, tab, "1 time left", "You can take the card")
	if got := p.snapshot(tab); got.ExtensionsLeft != 1 || got.AutoResumeAt.Sub(*before.AutoResumeAt) != 31500*time.Millisecond {
		t.Errorf("kept until %s, before it was %s; %d left", got.AutoResumeAt, before.AutoResumeAt, got.ExtensionsLeft)
	}
	if got := icon(tab); got != "state-paused" {
		t.Errorf("the tab's icon is %s", got)
	}
	if p.audible(time.Now()) {
		t.Error("the tape runs")
	}

	if got := p.press(tab, "Resume recording"); got != recording.Confirmed {
		t.Errorf("the resume: %s", got)
	}
	for _, x := range []*browser.Tab{tab, plain} {
		due(x, "")
		x.Until(`document.title === 'Recording · offrecord'`)
	}
	if n := tab.Has("button", "Keep paused"); n != 0 {
		t.Error("nothing is open, and it can be kept")
	}
	if got := p.asked(); !slices.Equal(got, []string{"pause", "resume"}) {
		t.Errorf("the platform was asked for %q", got)
	}
}

// snapshot is what the server says now.
func (p *post) snapshot(tab *browser.Tab) recording.Snapshot {
	return browser.Eval[recording.Snapshot](tab, `fetch('/api/v1/state').then(r => r.json())`)
}

// keptByAForm: without the program the press is a form, and what can't be kept any more says so.
func keptByAForm(t *testing.T) {
	s, p := newServerStage(t, timed("8x8 by the server", "max_pause: 25s, max_extensions: 1"))
	b := browser.Launch(t, s.net, browser.ThirdPartyBlocked)
	tab := b.Tab(t)
	tab.Before(`delete window.WebAssembly`)
	s.logIn(t, tab, &p.desk)
	tab.Wait(`html[data-program=refused]`)
	p.begin()
	tab.Click("button", "Pause recording")
	due(tab, "soon")
	says(t, tab, "1 time left")
	browser.Eval[bool](tab, `window.before = true`)
	tab.Click("button", "Keep paused")
	tab.Until(`!window.before && document.documentElement.dataset.program === 'refused'`) // the form's answer is the page anew
	due(tab, "counting")
	tab.Until(`document.querySelector('main').innerText.includes('It was kept as often as your account allows.')`)
	tab.Until(`document.querySelector('[data-control=keep]').disabled`)
	if got := p.snapshot(tab); got.ExtensionsLeft != 0 || got.State != recording.Paused {
		t.Errorf("%d left, %s", got.ExtensionsLeft, got.State)
	}
}

// resumedByItself, where the platform names the call; and no panel says paused while the tape runs.
func resumedByItself(t *testing.T) {
	s, p := newServerStage(t, timed("vonage", "max_pause: 3s"))
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	seen := testify(t, tab, &p.desk)
	s.openPanel(t, tab, &p.desk)
	p.begin()
	tab.Click("button", "Pause recording")
	p.await(t, "the pause", func() bool { return !p.audible(time.Now()) })
	silent := time.Now()
	p.await(t, "the resume", func() bool { return p.audible(time.Now()) })
	t.Logf("the tape was silent for %s", time.Since(silent).Round(10*time.Millisecond))
	tab.Until(`document.querySelector('.attempt .action').innerText === 'Resume by the timer'`)
	tab.WaitState(string(recording.Recording))
	due(tab, "")
	if got := p.asked(); !slices.Equal(got, []string{"Paused", "Started"}) {
		t.Errorf("the platform was asked for %q", got)
	}
	for _, c := range seen.claims() {
		if recording.State(c.State).OffTape() && p.audible(c.at()) {
			t.Errorf("shown while the tape ran: %+v", c)
		}
	}
}

// overItsTime: it is said, and it stays a pause where nothing is to resume by itself.
func overItsTime(t *testing.T) {
	s, p := newServerStage(t, timed("8x8 by the server", "max_pause: 2s, on_max_pause: alert, max_extensions: 1"))
	b := browser.Launch(t, s.net, browser.ThirdPartyAllowed)
	tab := b.Tab(t)
	tab.Before(ears)
	s.openPanel(t, tab, &p.desk)
	p.begin()
	if got := p.press(tab, "Pause recording"); got != recording.Confirmed {
		t.Fatalf("the pause: %s", got)
	}
	due(tab, "over")
	tab.Until(`+document.querySelector('main.panel').dataset.told >= 1`)
	says(t, tab, "Over its time by", "This pause is over its time. Resume as soon as the card is done. Press Keep paused if you need longer.", "Paused")
	tab.Until(`document.title === '⚠ Paused, over its time · offrecord'`)
	if got := hear(tab); got.Tones < 4 {
		t.Errorf("heard: %+v", got) // two steps, the second louder
	}
	if p.audible(time.Now()) {
		t.Error("it resumed")
	}
	tab.Click("button", "Keep paused")
	tab.Until(`document.querySelector('[data-control=keep]')?.disabled`)
	due(tab, "over") // soon once more
	if got := p.press(tab, "Resume recording"); got != recording.Confirmed {
		t.Errorf("the resume: %s", got)
	}
	due(tab, "")
	if got := p.asked(); !slices.Equal(got, []string{"pause", "resume"}) {
		t.Errorf("the platform was asked for %q", got)
	}
}
