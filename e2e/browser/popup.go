package browser

import (
	"strings"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A Popup is a window that a page opened.
type Popup struct {
	tab  *Tab
	page *page
}

// An opening is someone's wait for a popup of theirs. Its user holds the browser's lock.
type opening struct {
	opener target.ID
	got    chan *page
}

func (o *opening) offer(p *page) {
	if p.info.OpenerID != o.opener {
		return
	}
	select {
	case o.got <- p:
	default: // it has one already
	}
}

// Popup waits for the window that trigger opens. The wait is on before the trigger is pulled, since a popup may close
// itself within milliseconds.
func (tab *Tab) Popup(trigger func()) *Popup {
	tab.t.Helper()
	o := &opening{opener: tab.id(), got: make(chan *page, 1)}
	tab.b.mu.Lock()
	tab.b.opened = append(tab.b.opened, o)
	tab.b.mu.Unlock()
	defer func() {
		tab.b.mu.Lock()
		defer tab.b.mu.Unlock()
		tab.b.opened = without(tab.b.opened, o)
	}()
	trigger()
	select {
	case p := <-o.got:
		return &Popup{tab: tab, page: p}
	case <-time.After(patience):
		tab.t.Fatal("no popup opened")
		return nil
	}
}

func without(all []*opening, o *opening) []*opening {
	var rest []*opening
	for _, other := range all {
		if other != o {
			rest = append(rest, other)
		}
	}
	return rest
}

// Popups is how many windows are open that the tab's page opened.
func (tab *Tab) Popups() int {
	self := tab.id()
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	n := 0
	for _, p := range tab.b.pages {
		if p.info.OpenerID == self {
			n++
		}
	}
	return n
}

// WaitClosed waits for the window to close.
func (p *Popup) WaitClosed() {
	p.tab.t.Helper()
	select {
	case <-p.page.gone:
	case <-time.After(patience):
		p.tab.t.Fatal("the popup stayed open")
	}
}

// Open reports whether the window is open.
func (p *Popup) Open() bool {
	select {
	case <-p.page.gone:
		return false
	default:
		return true
	}
}

// URL is the address that the window shows.
func (p *Popup) URL() string {
	p.tab.b.mu.Lock()
	defer p.tab.b.mu.Unlock()
	return p.page.info.URL
}

// Close closes the window as a person does, by its frame.
func (p *Popup) Close() {
	p.tab.t.Helper()
	ctx, cancel := p.tab.limited()
	defer cancel()
	if _, err := chromedp.CallBrowser(ctx, target.CloseTarget, target.CloseTargetParams{TargetID: p.page.info.TargetID}); err != nil {
		p.tab.t.Fatalf("closing the popup: %v", err)
	}
	p.WaitClosed()
}

// Tab is the window as a tab, to look inside. It has to be one that stays open.
func (p *Popup) Tab() *Tab { return p.tab.attach(p.page) }

// Frame is the tab's frame of another site whose address begins with prefix, as a tab. It waits for it to appear. A frame that
// navigates to yet another site is a new one.
func (tab *Tab) Frame(prefix string) *Tab {
	tab.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		tab.b.mu.Lock()
		var found *page
		for _, p := range tab.b.pages {
			if p.of == tab.root && p.info.Type == "iframe" && strings.HasPrefix(p.info.URL, prefix) {
				found = p
			}
		}
		tab.b.mu.Unlock()
		if found != nil {
			return tab.attach(found)
		}
		ctx, cancel := tab.limited()
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](frame, await))
		cancel()
		if err != nil {
			tab.t.Fatalf("waiting for the frame %s: %v", prefix, err)
		}
	}
	tab.t.Fatalf("there is no frame %s", prefix)
	return nil
}

func (tab *Tab) attach(p *page) *Tab {
	tab.t.Helper()
	ctx, cancel := chromedp.NewContext(tab.b.ctx, chromedp.WithTargetID(p.info.TargetID), chromedp.WithDetachOnCancel())
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		tab.t.Fatalf("attaching to %s: %v", p.info.URL, err)
	}
	tab.t.Cleanup(cancel)
	return &Tab{Ctx: ctx, b: tab.b, t: tab.t, root: tab.root}
}
