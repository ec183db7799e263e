package browser

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A Message is something that a page, a popup or a frame wrote to its console, or the browser wrote about it.
type Message struct {
	Kind string // "log", "warning", "error", "exception", "csp" and the like
	Text string
	Page string // the address of the document or script that it came from, as far as known
	bad  bool
	at   runtime.Timestamp
	of   target.ID // the tab that it belongs to, as far as known
}

func (m Message) String() string { return fmt.Sprintf("%s: %s (%s)", m.Kind, m.Text, m.Page) }

// A journal holds the messages of a browser, in order and each once. Its user holds the lock.
type journal struct {
	messages []Message
	allowed  map[testing.TB][]*regexp.Regexp
	seen     map[string]bool
}

// note keeps the message. A target that was attached to late is asked to tell its story again, so the same message can come
// twice; it then has the same time.
func (j *journal) note(m Message) {
	key := fmt.Sprintf("%v %s %s", m.at, m.Kind, m.Text)
	if j.seen == nil {
		j.seen = map[string]bool{}
	}
	if j.seen[key] {
		return
	}
	j.seen[key] = true
	j.messages = append(j.messages, m)
}

// judge takes out the messages that belong to none of the other tabs, and says which of them a test of t should fail for.
func (j *journal) judge(t testing.TB, others map[target.ID]bool) (all, unexpected []Message) {
	var rest []Message
	for _, m := range j.messages {
		if others[m.of] {
			rest = append(rest, m)
			continue
		}
		all = append(all, m)
		if m.bad && !matches(j.allowed[t], m) {
			unexpected = append(unexpected, m)
		}
	}
	j.messages = rest
	return all, unexpected
}

func matches(patterns []*regexp.Regexp, m Message) bool {
	for _, p := range patterns {
		if p.MatchString(m.String()) {
			return true
		}
	}
	return false
}

// message reads what a console event says. Not every event is one.
func message(ev any) (Message, bool) {
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		m := Message{Kind: string(ev.Type), Text: text(ev.Args), at: ev.Timestamp}
		m.bad = ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeAssert
		if ev.StackTrace != nil && len(ev.StackTrace.CallFrames) > 0 {
			m.Page = ev.StackTrace.CallFrames[0].URL
		}
		return m, true
	case *runtime.EventExceptionThrown:
		d := ev.ExceptionDetails
		m := Message{Kind: "exception", Text: d.Text, Page: d.URL, bad: true, at: ev.Timestamp}
		if d.Exception != nil {
			m.Text += " " + d.Exception.Description + string(d.Exception.Value)
		}
		return m, true
	case *cdplog.EventEntryAdded:
		e := ev.Entry
		m := Message{Kind: string(e.Level), Text: e.Text, Page: e.URL, at: e.Timestamp}
		m.bad = e.Level == cdplog.EntryLevelError
		if strings.Contains(e.Text, "Content Security Policy") || strings.Contains(e.Text, "Content-Security-Policy") {
			m.Kind, m.bad = "csp", true
		}
		return m, true
	}
	return Message{}, false
}

func text(args []*runtime.RemoteObject) string {
	var words []string
	for _, arg := range args {
		switch {
		case arg.Type == runtime.RemoteObjectTypeString:
			words = append(words, strings.Trim(string(arg.Value), `"`))
		case arg.Description != "":
			words = append(words, arg.Description)
		default:
			words = append(words, string(arg.Value))
		}
	}
	return strings.Join(words, " ")
}

// hear returns what puts a target's console events in the journal, as of the tab that the target belongs to.
func (b *Browser) hear(of target.ID) func(any) {
	return func(ev any) {
		m, ok := message(ev)
		if !ok {
			return
		}
		m.of = of
		b.mu.Lock()
		defer b.mu.Unlock()
		b.log.note(m)
	}
}

// A page is a popup, or a frame of another site, which is a target of its own.
type page struct {
	info   target.Info
	of     target.ID       // the tab that it came from, by whatever way
	ctx    context.Context // attached to it; nil where nothing is
	cancel context.CancelFunc
	gone   chan struct{} // closed when the browser has closed it
}

// onTarget follows which pages there are. It runs in chromedp's reading loop and may not call the browser.
func (b *Browser) onTarget(ev any) {
	switch ev := ev.(type) {
	case *target.EventTargetCreated:
		b.appeared(*ev.TargetInfo)
	case *target.EventTargetInfoChanged:
		b.mu.Lock()
		if p := b.pages[ev.TargetInfo.TargetID]; p != nil {
			p.info = *ev.TargetInfo
		}
		b.mu.Unlock()
	case *target.EventTargetDestroyed:
		b.mu.Lock()
		p := b.pages[ev.TargetID]
		delete(b.pages, ev.TargetID)
		b.mu.Unlock()
		if p != nil {
			close(p.gone)
			p.cancel()
		}
	}
}

func (b *Browser) appeared(info target.Info) {
	popup := info.Type == "page" && info.OpenerID != ""
	if !popup && info.Type != "iframe" {
		return
	}
	p := &page{info: info, gone: make(chan struct{})}
	// A page that the test is done with isn't closed by the watcher's leaving it.
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(info.TargetID), chromedp.WithDetachOnCancel())
	p.cancel = func() { go cancel() } // cancel calls the browser, and this may be its reading loop

	b.mu.Lock()
	p.of = b.origin(info)
	b.pages[info.TargetID] = p
	if popup {
		for _, o := range b.opened {
			o.offer(p)
		}
	}
	b.mu.Unlock()
	if b.watched {
		go b.watch(ctx, p)
	}
}

// origin is the tab that a new popup or frame comes from. Its user holds the lock.
func (b *Browser) origin(info target.Info) target.ID {
	for _, parent := range []target.ID{info.OpenerID, info.ParentID, target.ID(info.ParentFrameID)} {
		if b.tabs[parent] {
			return parent
		}
		if p := b.pages[parent]; p != nil {
			return p.of
		}
	}
	return ""
}

// watch attaches to a page that appeared by itself. It may have spoken before, so both of its logs are read anew. A page
// can be gone at any step, and then there is nothing to watch.
func (b *Browser) watch(ctx context.Context, p *page) {
	if err := chromedp.Listen(ctx, b.hear(p.of)); err != nil {
		return
	}
	for _, c := range []cdp.Command[cdp.Empty, cdp.Empty]{cdplog.Disable, cdplog.Enable, runtime.Disable, runtime.Enable} {
		if _, err := chromedp.Call(ctx, c, cdp.Empty{}); err != nil {
			return
		}
	}
	b.mu.Lock()
	p.ctx = ctx
	b.mu.Unlock()
}

// attached are the contexts of the pages that are watched now.
func (b *Browser) attached() []context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ctxs []context.Context
	for _, p := range b.pages {
		if p.ctx != nil {
			ctxs = append(ctxs, p.ctx)
		}
	}
	return ctxs
}
