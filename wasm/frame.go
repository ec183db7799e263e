//go:build js && wasm

package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/hack-pad/safejs"

	"offrecord/app/session"
)

// warmFor is how long a warming frame may take before it is removed.
const warmFor = 10 * time.Second

// Frame implements session.Browser: by address for a GET, by a form aimed at the frame for a POST.
func (p *page) Frame(t session.Target, told func(session.Signal)) (remove func()) {
	name := "offrecord-frame-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	frame, err := p.newFrame(name, "Carries an action to the platform")
	if err != nil {
		return func() {}
	}
	offViolation := p.onViolation(t.URL, func(policy, directive string) {
		told(session.Signal{Refused: true, Policy: policy, Directive: directive})
	})
	var offLoad func()
	remove = func() {
		offViolation()
		offLoad()
		_, _ = frame.Call("remove")
	}
	loaded := func(safejs.Value) { told(session.Signal{}) }
	// An empty frame loads while it is appended: only what comes after that is the platform's.
	_, _ = p.transport.Call("appendChild", frame)
	offLoad = on(frame, "load", loaded)
	if t.Post {
		_ = p.submit(t, name)
	} else { // and no src, which whatever reads the page's elements would read with the token in it
		_, _ = get(get(frame, "contentWindow"), "location").Call("replace", t.URL)
	}
	return remove
}

// Warm implements session.Browser: the platform's harmless address in a frame, because a preconnect would warm another pool.
func (p *page) Warm(address string) {
	frame, err := p.newFrame("", "Keeps the way to the platform open")
	if err != nil {
		return
	}
	var off func()
	var timer *time.Timer
	remove := func() {
		timer.Stop()
		off()
		_, _ = frame.Call("remove")
	}
	timer = time.AfterFunc(warmFor, func() { remove() })
	off = on(frame, "load", func(safejs.Value) { remove() })
	_ = frame.Set("src", address)
	_, _ = p.transport.Call("appendChild", frame)
}

func (p *page) newFrame(name, title string) (safejs.Value, error) {
	frame, err := p.document.Call("createElement", "iframe")
	if err != nil {
		return frame, err
	}
	_ = frame.Set("name", name)
	_ = frame.Set("title", title)
	_ = frame.Set("referrerPolicy", "no-referrer")
	return frame, nil
}

// submit posts a target's fields to the frame or window called name.
func (p *page) submit(t session.Target, name string) error {
	form, err := p.document.Call("createElement", "form")
	if err != nil {
		return err
	}
	_ = form.Set("method", "post")
	_ = form.Set("action", t.URL)
	_ = form.Set("target", name)
	for field, values := range t.Fields {
		for _, value := range values {
			input, err := p.document.Call("createElement", "input")
			if err != nil {
				return err
			}
			_ = input.Set("type", "hidden")
			_ = input.Set("name", field)
			_ = input.Set("value", value)
			_, _ = form.Call("appendChild", input)
		}
	}
	if _, err := p.transport.Call("appendChild", form); err != nil {
		return err
	}
	prototype := get(get(p.window, "HTMLFormElement"), "prototype")
	_, err = get(prototype, "submit").Call("call", form) // a field called "action" or "submit" would hide the method
	_, _ = form.Call("remove")
	return err
}

// onViolation tells of a policy that refused the origin of address, with the policy and its directive.
func (p *page) onViolation(address string, told func(policy, directive string)) (off func()) {
	target, err := url.Parse(address)
	if err != nil {
		return func() {}
	}
	return on(p.document, "securitypolicyviolation", func(e safejs.Value) {
		blocked, err := url.Parse(text(get(e, "blockedURI")))
		if err != nil || blocked.Host != target.Host || text(get(e, "disposition")) != "enforce" {
			return
		}
		switch directive := text(get(e, "effectiveDirective")); directive {
		case "frame-src", "child-src", "form-action":
			told(text(get(e, "originalPolicy")), directive)
		}
	})
}
