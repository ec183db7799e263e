//go:build js && wasm

package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hack-pad/safejs"

	"offrecord/app/session"
)

// reachTimeout is how long the platform may take to show that it is there.
const reachTimeout = 4 * time.Second

// Online implements session.Browser.
func (p *page) Online() bool {
	online, err := get(get(p.window, "navigator"), "onLine").Bool()
	return err != nil || online
}

// Visible implements session.Browser.
func (p *page) Visible() bool { return text(get(p.document, "visibilityState")) != "hidden" }

// Cookies implements session.Browser: the boot script has found it out and left it in a first-party cookie.
func (p *page) Cookies() session.Cookies {
	prefix := "" // boot.js says why
	if text(get(get(p.window, "location"), "protocol")) == "https:" {
		prefix = "__Host-"
	}
	for pair := range strings.SplitSeq(text(get(p.document, "cookie")), ";") {
		pair, own := strings.CutPrefix(strings.TrimSpace(pair), prefix)
		if !own {
			continue
		}
		switch pair {
		case "offrecord_tpc=allowed":
			return session.CookiesAllowed
		case "offrecord_tpc=blocked":
			return session.CookiesBlocked
		}
	}
	return session.CookiesUnknown
}

// Reach implements session.Browser: a request whose answer can't be read, but whose failure can be seen.
func (p *page) Reach(address string, told func(session.Reach)) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), reachTimeout)
		defer cancel()
		promise, err := p.fetch(ctx, address, map[string]any{
			"mode": "no-cors", "credentials": "omit", "cache": "no-store", "referrerPolicy": "no-referrer",
		})
		if err == nil {
			_, err = await(ctx, promise)
		}
		switch {
		case err == nil:
			told(session.Reached)
		case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
			told(session.ReachUnknown)
		default:
			told(session.Unreached)
		}
	}()
}

// Listen implements session.Browser.
func (p *page) Listen(l session.Listener) (stop func()) {
	changed := func(safejs.Value) { l.Changed() }
	offs := []func(){
		on(p.window, "online", changed),
		on(p.window, "offline", changed),
		on(p.document, "visibilitychange", changed),
		on(p.document, "offrecord:cookies", changed),
		on(p.document, "offrecord:slept", func(safejs.Value) { l.Slept() }), // the boot script watches for it
	}
	if truthy(p.channel) {
		offs = append(offs, on(p.channel, "message", func(e safejs.Value) { l.Heard(text(get(e, "data"))) }))
	}
	return func() {
		for _, off := range offs {
			off()
		}
	}
}

// openChannel joins the other tabs of this origin. A browser without the interface has none to tell.
func (p *page) openChannel() safejs.Value {
	channel, err := get(p.window, "BroadcastChannel").New("offrecord")
	if err != nil {
		return safejs.Undefined()
	}
	return channel
}

// Tell implements session.Browser.
func (p *page) Tell(message string) {
	if truthy(p.channel) {
		_, _ = p.channel.Call("postMessage", message)
	}
}
