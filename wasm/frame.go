//go:build js && wasm

package main

import (
	"net/url"
	"strconv"

	"github.com/hack-pad/safejs"

	"offrecord/app/session"
)

// carrier is a hidden frame that carries one request.
type carrier struct {
	frame safejs.Value
	name  string
}

// Frame implements session.Browser: by address for a GET, by a form aimed at the frame for a POST. The request goes before
// anything else is done; what is seen of it is told by later tasks.
func (p *page) Frame(t session.Target, told func(session.Signal)) (remove func()) {
	c := p.ready
	if p.ready = nil; c == nil || !truthy(get(c.frame, "isConnected")) {
		var err error
		if c, err = p.newCarrier("Carries an action to the platform"); err != nil {
			return func() {}
		}
	}
	if t.Post {
		_ = p.submit(t, c.name)
	} else {
		c.get(t.URL)
	}
	_, _ = c.frame.Call("removeAttribute", "data-ready")
	offViolation := p.onViolation(t.URL, func(policy, directive string) {
		told(session.Signal{Refused: true, Policy: policy, Directive: directive})
	})
	offLoad := c.onLoad(func() { told(session.Signal{}) })
	return func() {
		offViolation()
		offLoad()
		_, _ = c.frame.Call("remove")
		p.makeReady()
	}
}

// makeReady attaches the frame of the next press, because to make one takes a press some milliseconds.
func (p *page) makeReady() {
	if p.ready != nil {
		return
	}
	if c, err := p.newCarrier("Kept ready to carry an action to the platform"); err == nil {
		_, _ = c.frame.Call("setAttribute", "data-ready", "")
		p.ready = c
	}
}

// Warm implements session.Browser: the platform's harmless address in a frame, because a preconnect would warm another pool.
// The frame stays until the next one stands: as long as the page shows something of the platform's, the browser keeps a process
// for it, and a press needn't wait for one.
func (p *page) Warm(address string) {
	c, err := p.newCarrier("Keeps the way to the platform open")
	if err != nil {
		return
	}
	_, _ = c.frame.Call("setAttribute", "data-warm", "")
	c.get(address)
	if p.warm != nil {
		_, _ = p.warm.frame.Call("remove")
	}
	p.warm = c
}

// newCarrier attaches an empty frame.
func (p *page) newCarrier(title string) (*carrier, error) {
	p.frames++
	c := &carrier{name: "offrecord-frame-" + strconv.Itoa(p.frames)}
	var err error
	if c.frame, err = p.document.Call("createElement", "iframe"); err != nil {
		return nil, err
	}
	_ = c.frame.Set("name", c.name)
	_ = c.frame.Set("title", title)
	_ = c.frame.Set("referrerPolicy", "no-referrer")
	_, err = p.transport.Call("appendChild", c.frame)
	return c, err
}

// get sends the frame to an address. It gets no src, which whatever reads the page's elements would read with the token in
// it.
func (c *carrier) get(address string) {
	_, _ = get(get(c.frame, "contentWindow"), "location").Call("replace", address)
}

// onLoad tells of what the frame loads from elsewhere. The empty document that it begins with, which some browsers load with
// an event of its own and late, can be read, and another site's can't.
func (c *carrier) onLoad(told func()) (off func()) {
	return on(c.frame, "load", func(safejs.Value) {
		if !truthy(get(c.frame, "contentDocument")) {
			told()
		}
	})
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
