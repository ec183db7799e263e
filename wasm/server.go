//go:build js && wasm

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/hack-pad/safejs"

	"offrecord/app/recording"
	"offrecord/app/session"
)

// patience bounds every request to our own server whose caller sets no time.
const patience = 20 * time.Second

// server is our own API, by fetch with the session cookie.
type server struct{ page *page }

var _ session.Server = server{}

func newServer(p *page) server { return server{p} }

// fetch starts a request and returns its promise. It is given up when ctx ends, which it has to.
func (p *page) fetch(ctx context.Context, address string, options map[string]any) (safejs.Value, error) {
	controller, err := get(p.window, "AbortController").New()
	if err != nil {
		return safejs.Undefined(), err
	}
	options["signal"] = get(controller, "signal")
	promise, err := p.window.Call("fetch", address, options)
	if err != nil {
		return safejs.Undefined(), err
	}
	context.AfterFunc(ctx, func() { _, _ = controller.Call("abort") })
	return promise, nil
}

// call makes a request of the API and decodes its answer into out, if that isn't nil.
func (s server) call(ctx context.Context, method, path string, in, out any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	options := map[string]any{"method": method, "credentials": "same-origin", "cache": "no-store"}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding %s %s: %w", method, path, err)
		}
		options["body"] = string(body)
		options["headers"] = map[string]any{"Content-Type": "application/json"}
		options["keepalive"] = true // what is to be recorded outlives the page
	}
	promise, err := s.page.fetch(ctx, path, options)
	if err != nil {
		return fmt.Errorf("asking %s %s: %w", method, path, err)
	}
	return s.read(ctx, promise, method+" "+path, out)
}

// read takes an answer apart.
func (s server) read(ctx context.Context, promise safejs.Value, what string, out any) error {
	response, err := await(ctx, promise)
	if err != nil {
		return fmt.Errorf("asking %s: %w", what, err)
	}
	reading, err := response.Call("text")
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	body, err := await(ctx, reading)
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	if status := number(get(response, "status")); status < 200 || status > 299 {
		problem := &session.Problem{}
		_ = json.Unmarshal([]byte(text(body)), problem) // a proxy's answer is no problem document
		problem.Status = status
		return problem
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text(body)), out); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// Route implements session.Server. The boot script has asked already while the program was loading.
func (s server) Route(ctx context.Context) (session.Route, error) {
	var route session.Route
	if asked, err := s.page.window.Call("offrecordRoute"); err == nil && truthy(asked) {
		return route, s.read(ctx, asked, "GET /api/v1/route", &route)
	}
	err := s.call(ctx, "GET", "/api/v1/route", nil, &route)
	return route, err
}

// Attempts implements session.Server.
func (s server) Attempts(ctx context.Context, limit int) ([]recording.Attempt, error) {
	var list struct {
		Items []recording.Attempt `json:"items"`
	}
	err := s.call(ctx, "GET", "/api/v1/attempts?limit="+strconv.Itoa(limit), nil, &list)
	return list.Items, err
}

// Announce implements session.Server.
func (s server) Announce(ctx context.Context, a session.Announcement) (recording.Attempt, error) {
	var attempt recording.Attempt
	err := s.call(ctx, "POST", "/api/v1/attempts", a, &attempt)
	return attempt, err
}

// Report implements session.Server. The id is a UUID of ours.
func (s server) Report(ctx context.Context, id string, r session.Report) error {
	return s.call(ctx, "POST", "/api/v1/attempts/"+id+"/outcome", r, nil)
}

// Act implements session.Server.
func (s server) Act(ctx context.Context, o session.Order) (recording.Attempt, error) {
	var attempt recording.Attempt
	err := s.call(ctx, "POST", "/api/v1/actions", o, &attempt)
	return attempt, err
}

// Attempt implements session.Server.
func (s server) Attempt(ctx context.Context, id string) (recording.Attempt, error) {
	var attempt recording.Attempt
	err := s.call(ctx, "GET", "/api/v1/attempts/"+id, nil, &attempt)
	return attempt, err
}

// Extend implements session.Server. The id comes from the server.
func (s server) Extend(ctx context.Context, pause string) (recording.Snapshot, error) {
	var snapshot recording.Snapshot
	err := s.call(ctx, "POST", "/api/v1/pauses/"+url.PathEscape(pause)+"/extend", nil, &snapshot)
	return snapshot, err
}

// Events implements session.Server by EventSource, which mends a broken stream itself unless the server refused it.
func (s server) Events(told func(session.Event)) (stop func()) {
	source, err := get(s.page.window, "EventSource").New("/api/v1/events")
	if err != nil {
		go told(session.Event{Ended: true})
		return func() {}
	}
	const closed = 2
	offs := []func(){
		on(source, "state", func(e safejs.Value) {
			var snapshot recording.Snapshot
			if json.Unmarshal([]byte(text(get(e, "data"))), &snapshot) == nil {
				told(session.Event{Snapshot: &snapshot})
			}
		}),
		on(source, "attempt", func(e safejs.Value) {
			var attempt recording.Attempt
			if json.Unmarshal([]byte(text(get(e, "data"))), &attempt) == nil {
				told(session.Event{Attempt: &attempt})
			}
		}),
		on(source, "beat", func(e safejs.Value) {
			if at, err := time.Parse(time.RFC3339Nano, text(get(e, "data"))); err == nil {
				told(session.Event{Beat: at})
			}
		}),
		on(source, "error", func(safejs.Value) {
			told(session.Event{Lost: true, Ended: number(get(source, "readyState")) == closed})
		}),
	}
	return func() {
		for _, off := range offs {
			off()
		}
		_, _ = source.Call("close")
	}
}
