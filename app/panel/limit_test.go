package panel

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maxence-charriere/go-app/v9/pkg/app"
	"golang.org/x/net/html"

	"offrecord/app/recording"
)

// open is a confirmed pause, asked for at noon, that may last two minutes.
func open(now time.Time, change func(*recording.Snapshot)) View {
	a := recording.Attempt{ID: "p1", Action: recording.Pause, Outcome: recording.Confirmed, RequestedAt: noon, DecidedAt: &noon}
	due := noon.Add(2 * time.Minute)
	v := View{PlatformKind: "vonage", Link: Live, Now: now, Attempts: []recording.Attempt{a}, Snapshot: recording.Snapshot{State: recording.Paused, Since: noon, AsOf: now,
		Attempt: &a, Holds: []recording.Hold{{Origin: recording.Hand}}, Pause: "p1", AutoResumeAt: &due, ExtensionsLeft: 1}}
	if change != nil {
		change(&v.Snapshot)
	}
	return v
}

func overtime(repeated int) func(*recording.Snapshot) {
	return func(s *recording.Snapshot) {
		s.Alerts = []recording.Alert{{ID: "a1", Kind: recording.AlertOverdue, Attempt: "p1", RaisedAt: *s.AutoResumeAt, Repeated: repeated, Text: "The recording is paused."}}
		s.AutoResumeAt = nil
	}
}

func resumes(s *recording.Snapshot) { s.AtMaxPause = recording.Resume }

func TestWhatIsSaidOfAPausesTime(t *testing.T) {
	for _, tt := range []struct {
		name    string
		after   time.Duration
		change  func(*recording.Snapshot)
		due     due
		clock   string // label, figures and note
		warning string
	}{
		{"no limit", time.Minute, func(s *recording.Snapshot) { s.AutoResumeAt = nil }, unlimited, "since 12:00:00 UTC 01:00", ""},
		{"an alert to come", 40 * time.Second, nil, counting, "Over its time in 1:20 resume or keep paused", ""},
		{"a resume to come", 40 * time.Second, resumes, counting, "Resumes by itself in 1:20 since 12:00:00 UTC", ""},
		{"an alert soon", 90 * time.Second, nil, soon, "Over its time in 0:30 resume or keep paused",
			"Over its time in less than 30 seconds. Resume as soon as the card is done. Press Keep paused if you need longer."},
		{"an alert soon, and nothing left", 91 * time.Second, func(s *recording.Snapshot) { s.ExtensionsLeft = 0 }, soon, "Over its time in 0:29 resume in time",
			"Over its time in less than 30 seconds. Resume as soon as the card is done."},
		{"a resume soon", 119500 * time.Millisecond, resumes, soon, "Resumes by itself in 0:01 since 12:00:00 UTC",
			"Resumes by itself in less than 30 seconds. Press Keep paused if you need longer."},
		{"a resume soon, and nothing left", 119 * time.Second, func(s *recording.Snapshot) { resumes(s); s.ExtensionsLeft = 0 }, soon, "Resumes by itself in 0:01 since 12:00:00 UTC",
			"Resumes by itself in less than 30 seconds. Finish the card before that."},
		{"the time is up", 2 * time.Minute, nil, over, "Over its time by 0:00 resume or keep paused",
			"This pause is over its time. Resume as soon as the card is done. Press Keep paused if you need longer."},
		{"an alert was raised", 130 * time.Second, overtime(0), over, "Over its time by 0:10 resume or keep paused",
			"This pause is over its time. Resume as soon as the card is done. Press Keep paused if you need longer."},
		{"and again", 3 * time.Minute, func(s *recording.Snapshot) { overtime(2)(s); s.ExtensionsLeft = 0 }, over, "Over its time by 1:00 resume",
			"Reminder 3. This pause is over its time. Resume as soon as the card is done."},
		{"an alert about another pause", 3 * time.Minute, func(s *recording.Snapshot) { overtime(2)(s); s.Alerts[0].Attempt = "p0" }, unlimited, "since 12:00:00 UTC 03:00", ""},
		{"an alert, and no pause is open", 3 * time.Minute, func(s *recording.Snapshot) { overtime(2)(s); s.Pause = "" }, unlimited, "since 12:00:00 UTC 03:00", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := HTML(open(noon.Add(tt.after), tt.change))
			mounted := app.HTMLString(&Panel{view: open(noon.Add(tt.after), tt.change)})
			if got := attr(elements(t, page, func(n *html.Node) bool { return n.Data == "main" })[0], "data-due"); got != string(tt.due) {
				t.Errorf("data-due %q, want %q", got, tt.due)
			}
			if got := text(elements(t, mounted, func(n *html.Node) bool { return attr(n, "role") == "timer" })[0]); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(tt.clock, " ", "") {
				t.Errorf("the clock says %q, want %q", got, tt.clock)
			}
			for _, drawn := range []string{page, mounted} {
				if got := text(elements(t, drawn, func(n *html.Node) bool { return attr(n, "role") == "alert" })[0]); got != tt.warning {
					t.Errorf("it warns %q, want %q", got, tt.warning)
				}
				if keep := elements(t, drawn, func(n *html.Node) bool { return attr(n, "data-control") == "keep" }); (len(keep) == 1) != (tt.due != unlimited) {
					t.Errorf("%d presses to keep it", len(keep))
				}
			}
		})
	}
}

// A plain page counts nothing: it says when, and when it has to be drawn anew.
func TestAPlainPageSaysWhen(t *testing.T) {
	v := open(noon.Add(40*time.Second), resumes)
	v.Native = NativeBefore
	page := HTML(v)
	if got, want := text(elements(t, page, func(n *html.Node) bool { return attr(n, "role") == "timer" })[0]), "Resumes by itself at 12:02:00 UTC since 12:00:00 UTC"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%q, want %q", got, want)
	}
	for after, want := range map[time.Duration]string{40 * time.Second: "50000", 100 * time.Second: "20000", 3 * time.Minute: "0"} {
		v.Now = noon.Add(after)
		if got := attr(elements(t, HTML(v), func(n *html.Node) bool { return n.Data == "main" })[0], "data-next"); got != want {
			t.Errorf("%s on: data-next %q, want %q", after, got, want)
		}
	}
	form := elements(t, page, func(n *html.Node) bool { return attr(n, "data-native-form") == "keep" })[0]
	if attr(form, "method") != "post" || attr(form, "action") != "/native/extend" || attr(form, "target") != "_self" {
		t.Errorf("%q", form.Attr)
	}
}

func TestTheStatePageSaysWhen(t *testing.T) {
	for after, want := range map[time.Duration][2]string{
		40 * time.Second:  {"Resumes by itself at 12:02:00 UTC", ""},
		100 * time.Second: {"Resumes by itself at 12:02:00 UTC", "Resumes by itself in less than 30 seconds. Press Keep paused if you need longer."},
		3 * time.Minute:   {"Over its time at 12:02:00 UTC", "This pause is over its time. Resume as soon as the card is done. Press Keep paused if you need longer."},
	} {
		if when, warning := Due(open(noon.Add(after), resumes)); when != want[0] || warning != want[1] {
			t.Errorf("%s on: %q, %q", after, when, warning)
		}
	}
	if when, warning := Due(View{Now: noon}); when+warning != "" {
		t.Errorf("without a limit: %q, %q", when, warning)
	}
}

func TestKeepingAsOftenAsIsAllowed(t *testing.T) {
	for left, want := range map[int]string{3: "3 times left", 1: "1 time left", 0: "It was kept as often as your account allows."} {
		page := HTML(open(noon, func(s *recording.Snapshot) { s.ExtensionsLeft = left }))
		button := elements(t, page, func(n *html.Node) bool { return attr(n, "data-control") == "keep" })[0]
		disabled := slices.ContainsFunc(button.Attr, func(a html.Attribute) bool { return a.Key == "disabled" })
		if text(button) != "Keep paused" || disabled != (left == 0) {
			t.Errorf("with %d left: %q, %q", left, text(button), button.Attr)
		}
		if said := elements(t, page, func(n *html.Node) bool { return attr(n, "id") == attr(button, "aria-describedby") }); len(said) != 1 || text(said[0]) != want {
			t.Errorf("with %d left: %q", left, text(said[0]))
		}
	}
	f := &fake{view: open(noon, func(s *recording.Snapshot) { s.ExtensionsLeft = 0 })}
	p := New(f)
	p.view = f.view
	p.onExtend(nil, app.Event{Value: app.Window()})
	p.view.Snapshot.ExtensionsLeft = 2
	p.onExtend(nil, app.Event{Value: app.Window()})
	if !slices.Equal(f.pressed, []string{"extend"}) {
		t.Errorf("%q", f.pressed)
	}
}

// The panel warns by its own clock, once, and the computer's clock has no part in it.
func TestThePanelCountsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := open(noon.Add(time.Minute), resumes) // by the server's clock, which is decades from the bubble's
		f := &fake{view: v}
		p := New(f)
		client := app.NewClientTester(p)
		defer client.Close()
		said, warned := "", 0
		step := func(d time.Duration, want due, figures string) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); {
				time.Sleep(time.Second)
				synctest.Wait()
				client.Consume()
				page := app.HTMLString(p)
				if now := text(elements(t, page, func(n *html.Node) bool { return attr(n, "role") == "alert" })[0]); now != said {
					said = now
					warned++
				}
			}
			client.Consume()
			page := app.HTMLString(p)
			root := elements(t, page, func(n *html.Node) bool { return n.Data == "main" })[0]
			if got := attr(root, "data-due"); got != string(want) || !strings.Contains(page, ">"+figures+"<") {
				t.Errorf("%q, want %q, with %s in %s", got, want, figures, page)
			}
		}
		step(0, counting, "1:00")
		step(29*time.Second, counting, "0:31")
		step(time.Second, soon, "0:30")
		step(29*time.Second, soon, "0:01")
		if warned != 1 {
			t.Errorf("warned %d times in the last half minute", warned)
		}
		step(time.Second, over, "0:00")
		step(5*time.Second, over, "0:05")
		if warned != 2 {
			t.Errorf("warned %d times until it was over", warned)
		}
		if page := app.HTMLString(p); strings.Contains(page, "You can take the card") {
			t.Error("it says to take the card while the platform is asked to record again")
		}
	})
}

func TestARecordingThatIsAboutToResumeIsNoTimeForTheCard(t *testing.T) {
	for after, want := range map[time.Duration]string{0: cardMay, 100 * time.Second: "Finish the card in time", 2 * time.Minute: cardNotYet} {
		if page := HTML(open(noon.Add(after), resumes)); !strings.Contains(page, want) {
			t.Errorf("after %s it doesn't say %q", after, want)
		}
		if page := HTML(open(noon.Add(after), nil)); !strings.Contains(page, cardMay) {
			t.Errorf("after %s, with an alert to come, it doesn't say %q", after, cardMay)
		}
	}
}
