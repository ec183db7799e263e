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

// judge takes the messages out of the journal and returns those that a test of t should fail for.
func (j *journal) judge(t testing.TB) (all, unexpected []Message) {
	all, j.messages = j.messages, nil
	for _, m := range all {
		if m.bad && !matches(j.allowed[t], m) {
			unexpected = append(unexpected, m)
		}
	}
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

// hear puts a target's console events in the journal.
func (b *Browser) hear(ev any) {
	m, ok := message(ev)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.note(m)
}

// A page is a popup, or a frame of another site, which is a target of its own.
type page struct {
	info   target.Info
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

// watch attaches to a page that appeared by itself. It may have spoken before, so both of its logs are read anew. A page
// can be gone at any step, and then there is nothing to watch.
func (b *Browser) watch(ctx context.Context, p *page) {
	if err := chromedp.Listen(ctx, b.hear); err != nil {
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
