package panel

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maxence-charriere/go-app/v9/pkg/app"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"offrecord/app/recording"
)

// rich is a view in which every text field holds s and every part of the panel is drawn.
func rich(s string) View {
	a := recording.Attempt{ID: s, Action: recording.Pause, Agent: s, Platform: s, Call: s, Reason: s, Detail: s, PlatformStatus: s, Outcome: recording.Failed,
		Origin: recording.Origin("trigger:" + s), RequestedAt: noon, DecidedAt: &noon, Evidence: &recording.Evidence{Kind: recording.Blocked}}
	return View{Agent: s, Platform: s, PlatformKind: "8x8", Link: Live, Native: NativeBefore, Notice: s, Now: noon, CanResumeWithoutRecord: true, CanDecline: true, PauseMeans: recording.Action(s),
		Attempts:  []recording.Attempt{a, a},
		Readiness: Readiness{Checked: true, Because: []string{s, s}, Notes: []string{s}},
		Snapshot: recording.Snapshot{Agent: s, Platform: s, Call: s, State: recording.StateUnknown, Since: noon, AsOf: noon, Attempt: &a, NotReadyBecause: s,
			Holds: []recording.Hold{{Origin: recording.Origin(s), Reason: s}}}}
}

// shape is the elements of a panel in their order, each with its attributes and their values, and no text.
func shape(t testing.TB, s string) string {
	t.Helper()
	nodes, err := html.ParseFragment(strings.NewReader(s), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(*html.Node, int)
	walk = func(n *html.Node, depth int) {
		switch n.Type {
		case html.ElementNode:
			attrs := slices.Clone(n.Attr)
			slices.SortFunc(attrs, func(a, b html.Attribute) int { return strings.Compare(a.Key, b.Key) })
			fmt.Fprintf(&b, "%*s%s %q\n", depth, "", n.Data, attrs)
		case html.TextNode:
		default:
			fmt.Fprintf(&b, "%*snode of type %d\n", depth, "", n.Type)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, depth+1)
		}
	}
	for _, n := range nodes {
		walk(n, 0)
	}
	return b.String()
}

func FuzzNoTextBecomesMarkup(f *testing.F) {
	for _, s := range []string{
		``, `x`, `"`, `'`, `" onload="alert(1)`, `"><script>alert(1)</script>`, `</main><main data-state="paused">`, "<!--", "]]>", "&quot;&#34;", "\\\"", "`", "a\x00b",
		"\u2028", `</p></section><svg onload=alert(1)>`, "<textarea>", "<plaintext>", "{{.}}", "\xff\xfe", "\r\n", "style=x", `javascript:alert(1)`,
	} {
		f.Add(s)
	}
	want := shape(f, HTML(rich("benign")))
	f.Fuzz(func(t *testing.T, s string) {
		if got := shape(t, HTML(rich(s))); got != want {
			t.Errorf("%q changes the markup:\n%s\nwant:\n%s", s, got, want)
		}
	})
}

// Words that select what is drawn come from closed sets, whatever the server says.
func TestNoForeignWordIsAnAttribute(t *testing.T) {
	const evil = `x" onclick="y`
	v := rich("benign")
	v.PlatformKind, v.Link, v.Native = evil, Link(evil), Native(evil)
	v.Snapshot.State = recording.State(evil)
	for i := range v.Attempts {
		v.Attempts[i].Outcome, v.Attempts[i].Action, v.Attempts[i].Route, v.Attempts[i].State = recording.Outcome(evil), recording.Action(evil), recording.Route(evil), recording.State(evil)
		v.Attempts[i].Evidence = &recording.Evidence{Kind: recording.EvidenceKind(evil)}
	}
	v.Snapshot.Attempt = &v.Attempts[0]
	if got := HTML(v); strings.Contains(got, "onclick") {
		t.Error(got)
	}
}

// elements are the elements of a panel that match.
func elements(t *testing.T, s string, match func(*html.Node) bool) (found []*html.Node) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && match(n) {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestTheContractOfThePage(t *testing.T) {
	sent := recording.Attempt{ID: "1", Action: recording.Pause, Outcome: recording.Sent, RequestedAt: noon, DecidedAt: &noon}
	v := View{PlatformKind: "8x8", Link: Live, Native: NativeBefore, Now: noon, CanResumeWithoutRecord: true, CanDecline: true, Attempts: []recording.Attempt{sent},
		Snapshot: recording.Snapshot{State: recording.StateUnknown, Attempt: &sent, Holds: []recording.Hold{{Origin: recording.Hand}}}}
	page := HTML(v)
	root := elements(t, page, func(n *html.Node) bool { return n.Data == "main" })[0]
	if attr(root, "class") != "panel" || attr(root, "data-state") != "unknown" || attr(root, "data-outcome") != "sent" || attr(root, "data-native") != "before" {
		t.Errorf("root: %q", root.Attr)
	}
	if n := elements(t, page, func(n *html.Node) bool { return attr(n, "role") == "status" }); len(n) != 1 || text(n[0]) != "Pause not confirmed Do not take the card yet The request left this browser. 8x8 does not say whether it paused." {
		t.Errorf("live region: %d, %q", len(n), text(n[0]))
	}
	if n := elements(t, page, func(n *html.Node) bool { return attr(n, "style") != "" || attr(n, "disabled") != "" }); len(n) > 0 {
		t.Errorf("a style or a disabled control: %q", n[0].Attr)
	}
	want := []struct{ name, action, target, text string }{
		{"pause", "/native/pause", "offrecord-native", "Pause recording"},
		{"resume", "/native/resume", "offrecord-native", "Resume recording"},
		{"decline", "/native/decline", "_self", "Customer declined recording"},
		{"attest", "/native/attest", "_self", "I paused it there"},
		{"resume-without-record", "/native/resume", "offrecord-native", "Resume without record"},
	}
	forms := elements(t, page, func(n *html.Node) bool { return n.Data == "form" })
	if len(forms) != len(want) {
		t.Fatalf("%d forms", len(forms))
	}
	for i, f := range forms {
		var buttons []*html.Node
		for n := range f.Descendants() {
			if n.Data == "button" {
				buttons = append(buttons, n)
			}
		}
		if w := want[i]; attr(f, "method") != "post" || attr(f, "action") != w.action || attr(f, "target") != w.target || attr(f, "data-native-form") != w.name ||
			len(buttons) != 1 || attr(buttons[0], "type") != "submit" || attr(buttons[0], "data-control") != w.name || text(buttons[0]) != w.text {
			t.Errorf("form %d: %q, want %v", i, f.Attr, w)
		}
	}
	if n := elements(t, page, func(n *html.Node) bool { return attr(n, "class") == "button primary" }); len(n) != 1 || text(n[0]) != "Resume recording" {
		t.Error("the primary press isn't Resume while a hold is live")
	}
	v.Snapshot.Holds = nil
	if n := elements(t, HTML(v), func(n *html.Node) bool { return attr(n, "class") == "button primary" }); len(n) != 1 || text(n[0]) != "Pause recording" {
		t.Error("the primary press isn't Pause without a hold")
	}
}

// TestAPlainPageDoesNotGoOnClaiming: the server's last word is in the page, and so is a hero that claims nothing, for the
// style sheet to show once no program will follow.
func TestAPlainPageDoesNotGoOnClaiming(t *testing.T) {
	a := recording.Attempt{ID: "1", Action: recording.Pause, Outcome: recording.Confirmed, RequestedAt: noon, DecidedAt: &noon}
	v := View{PlatformKind: "8x8", Link: Live, Native: NativeBefore, Now: noon, Attempts: []recording.Attempt{a},
		Snapshot: recording.Snapshot{State: recording.Paused, AsOf: noon, Attempt: &a, Holds: []recording.Hold{{Origin: recording.Hand}}}}
	frozen := elements(t, HTML(v), func(n *html.Node) bool { return attr(n, "class") == "frozen" })
	if got, want := text(frozen[0]), "Not known Do not take the card yet This page may be old. The last word was: paused. at 12:00:00 UTC"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	v.Native = NativeEnded
	if root := elements(t, HTML(v), func(n *html.Node) bool { return n.Data == "main" })[0]; attr(root, "data-state") != "unknown" {
		t.Errorf("data-state %q", attr(root, "data-state"))
	}
}

func TestAtMostFiveAttemptsAreShown(t *testing.T) {
	v := rich("x")
	for range 9 {
		v.Attempts = append(v.Attempts, v.Attempts[0])
	}
	if n := elements(t, HTML(v), func(n *html.Node) bool { return strings.HasPrefix(attr(n, "class"), "attempt ") }); len(n) != 5 {
		t.Errorf("%d attempts", len(n))
	}
}

func TestTheServersSentenceIsOnlyShownBesideAFailure(t *testing.T) {
	for _, o := range outcomes {
		failure := slices.Contains([]recording.Outcome{recording.Failed, recording.Denied, recording.NotEnabled, recording.NotFound, recording.Locked}, o)
		if got := detail(recording.Attempt{Outcome: o, Detail: "Ask."}) != ""; got != failure {
			t.Errorf("%q: shown %v", o, got)
		}
		failure = failure || o == recording.NoCall || o == recording.Unknown
		if got := detail(recording.Attempt{Outcome: o, Detail: "Ask.", Route: recording.RouteServer}) != ""; got != failure {
			t.Errorf("%q by the server: shown %v", o, got)
		}
		if got := detail(recording.Attempt{Outcome: o, Detail: "Still paused.", Route: recording.RouteServer}); got != "" {
			t.Errorf("%q: %q", o, got)
		}
	}
}

// fake is a controller that counts.
type fake struct {
	mu      sync.Mutex
	view    View
	show    map[int]func(View)
	watched int
	pressed []string
}

func (f *fake) press(s string)       { f.mu.Lock(); defer f.mu.Unlock(); f.pressed = append(f.pressed, s) }
func (f *fake) Pause()               { f.press("pause") }
func (f *fake) Resume()              { f.press("resume") }
func (f *fake) ResumeWithoutRecord() { f.press("resume without record") }
func (f *fake) Decline()             { f.press("decline") }
func (f *fake) Extend()              { f.press("extend") }
func (f *fake) Attest()              { f.press("attest") }
func (f *fake) Intent()              { f.press("intent") }

func (f *fake) Watch(show func(View)) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watched++
	n := f.watched
	if f.show == nil {
		f.show = map[int]func(View){}
	}
	f.show[n] = show
	show(f.view)
	return func() { f.mu.Lock(); defer f.mu.Unlock(); delete(f.show, n) }
}

func (f *fake) tell(v View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = v
	for _, show := range f.show {
		show(v)
	}
}

func TestThePanelFollowsItsControllerAndLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		f := &fake{view: View{PlatformKind: "8x8", Link: Live, Now: now, Native: NativeBefore, Snapshot: recording.Snapshot{State: recording.Recording, Since: now}}}
		p := New(f)
		client := app.NewClientTester(p)
		wants := func(want string) {
			t.Helper()
			client.Consume()
			if page := app.HTMLString(p); !strings.Contains(page, want) {
				t.Errorf("%q isn't in %s", want, page)
			}
		}
		wants("Recording")
		wants(">00:00<")
		for range 3 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		wants(">00:03<")
		a := recording.Attempt{ID: "1", Action: recording.Pause, RequestedAt: time.Now()}
		f.tell(View{PlatformKind: "8x8", Link: Live, Now: time.Now(), Attempts: []recording.Attempt{a},
			Snapshot: recording.Snapshot{State: recording.Pausing, Since: time.Now(), Attempt: &a, Holds: []recording.Hold{{Origin: recording.Hand}}}})
		wants("Pausing")
		wants("Do not take the card yet")
		wants(">00:00<")
		for range 1000 { // as a morning does
			f.tell(f.view)
			client.Consume()
		}
		if len(f.show) != 1 {
			t.Errorf("%d watchers", len(f.show))
		}
		client.Close()
		if len(f.show) != 0 {
			t.Errorf("%d watchers after the panel is gone", len(f.show))
		}
		// synctest fails the test if the clock's goroutine is still there.
	})
}

// TestTheLiveRegionIsSilentWhileTheClockRuns: a screen reader would read each second out.
func TestTheLiveRegionIsSilentWhileTheClockRuns(t *testing.T) {
	region := func(v View) string {
		return text(elements(t, HTML(v), func(n *html.Node) bool { return attr(n, "role") == "status" })[0])
	}
	for _, link := range []Link{Live, Reconnecting} {
		v := View{PlatformKind: "8x8", Link: link, Now: noon, Snapshot: recording.Snapshot{State: recording.Recording, Since: noon, AsOf: noon}}
		before := region(v)
		v.Now = noon.Add(7 * time.Second)
		if after := region(v); after != before {
			t.Errorf("%q became %q", before, after)
		}
	}
}

func TestAPressReachesTheController(t *testing.T) {
	f := &fake{}
	p := New(f)
	event := app.Event{Value: app.Window()}
	p.onPause(nil, event)
	p.onResume(nil, event)
	p.onResumeWithoutRecord(nil, event)
	p.onAttest(nil, event)
	p.onIntent(nil, event)
	if want := []string{"pause", "resume", "resume without record", "attest", "intent"}; !slices.Equal(f.pressed, want) {
		t.Errorf("%q, want %q", f.pressed, want)
	}
}

// TestTheCustomersRefusalIsConfirmedOnce: one press asks, a second one confirms; a double click does only the first.
func TestTheCustomersRefusalIsConfirmedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{view: View{PlatformKind: "cxone", Link: Live, Now: time.Now(), CanDecline: true, Snapshot: recording.Snapshot{State: recording.Recording, Call: "c1"}}}
		p := New(f)
		client := app.NewClientTester(p)
		defer client.Close()
		event := app.Event{Value: app.Window()}
		buttons := func() (names []string) {
			f.tell(f.view) // draws
			client.Consume()
			for _, n := range elements(t, app.HTMLString(p), func(n *html.Node) bool { return n.Data == "button" }) {
				names = append(names, text(n))
			}
			return names[2:]
		}
		asks := func(want ...string) {
			t.Helper()
			if got := buttons(); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
		const press, yes, no = "Customer declined recording", "Yes, the customer declined", "Cancel"
		asks(press)
		p.onDecline(nil, event)
		p.onDeclined(nil, event) // of a double click
		asks(yes, no)
		if got := app.HTMLString(p); !strings.Contains(got, "can't be undone for this call") && !strings.Contains(got, "can&#39;t be undone for this call") {
			t.Error("it doesn't say that it can't be undone")
		}
		time.Sleep(time.Second)
		p.onKeep(nil, event)
		asks(press)
		p.onDecline(nil, event)
		time.Sleep(time.Second)
		v := f.view
		v.Snapshot.Call = "c2"
		f.tell(v)
		asks(press) // it was asked of another customer
		p.onDeclined(nil, event)
		if len(f.pressed) != 0 {
			t.Errorf("%q without a confirmation", f.pressed)
		}
		p.onDecline(nil, event)
		time.Sleep(time.Second)
		p.onDeclined(nil, event)
		p.onDeclined(nil, event)
		asks(press)
		if !slices.Equal(f.pressed, []string{"decline"}) {
			t.Errorf("%q", f.pressed)
		}
		done := recording.Attempt{ID: "1", Action: recording.DoNotRecord, Outcome: recording.Confirmed, DecidedAt: &noon}
		v.Snapshot.State, v.Snapshot.Attempt = recording.Declined, &done
		f.tell(v)
		asks()
		v.CanDecline, v.Snapshot.State, v.Snapshot.Attempt = false, recording.Recording, nil
		f.tell(v)
		asks()
	})
}

func TestANativePressOpensAWindowWhereAFrameCarriesNoCookie(t *testing.T) {
	for popup, want := range map[bool][]string{false: {`target="offrecord-native"`, `value="iframe"`}, true: {`target="offrecord-pause"`, `target="offrecord-resume"`, `value="popup"`}} {
		html := HTML(View{PlatformKind: "8x8", Native: NativeBefore, NativePopup: popup})
		for _, part := range want {
			if !strings.Contains(html, part) {
				t.Errorf("with popup %v there is no %s", popup, part)
			}
		}
	}
}
