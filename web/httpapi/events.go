package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
)

const (
	// keepAlive is how often a quiet stream shows to what lies between that it lives, and asks whether its session still does.
	keepAlive = 15 * time.Second
	// beat is how often a stream shows it to its page, which sees no comments: by an event "beat" with the server's clock. A
	// page that hears nothing for more than two of them takes its stream for dead, and shows no state as present.
	beat = 5 * time.Second
	// eventTime is how long a reader may take for one event.
	eventTime = 10 * time.Second
)

// events is GET /api/v1/events: server-sent events as the HTML standard has them. The first is the whole state, and for a
// supervisor, who may have no recording of its own, every alert that is open. A stream
// ends when the server shuts down, when its session ends, and when its reader falls behind; browsers come back by themselves.
func (a *API) events(w http.ResponseWriter, r *request) error {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // the server's is for requests; it would end the stream
	var events <-chan dispatch.Event     // none for a supervisor without a platform
	if a.may(r.principal, agents) == nil {
		watcher := a.Dispatcher.Watch(r.agent(), a.lastSeen(r.Header.Get("Last-Event-ID")))
		defer watcher.Stop()
		events = watcher.Events()
	}
	alerts, stop := a.Alerts.Watch()
	defer stop()
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	send := func(format string, args ...any) error {
		control.SetWriteDeadline(time.Now().Add(eventTime))
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		err := control.Flush()
		// Over HTTP/2 a write deadline ends the stream when it passes, whether anything is being written or not.
		control.SetWriteDeadline(time.Time{})
		return err
	}
	_, ended, _ := a.Sessions.Look(r.token) // nil without a session of ours
	if err := send("retry: 1000\n\n"); err != nil {
		return err
	}
	// An alert's event has no id: whoever comes back is told all that are open.
	tell := func(alert recording.Alert) error {
		if !concerns(r.principal, alert) {
			return nil
		}
		data, err := json.Marshal(alert)
		if err != nil {
			return err
		}
		return send("event: alert\ndata: %s\n\n", data)
	}
	if r.principal.Role.Supervises() { // an agent's are in its state
		for _, alert := range a.Alerts.Unacknowledged("") {
			if err := tell(alert); err != nil {
				return nil
			}
		}
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	pulse := time.NewTicker(beat)
	defer pulse.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-a.done:
			return nil
		case <-ended:
			return nil
		case <-pulse.C:
			if err := send("event: beat\ndata: %s\n\n", time.Now().UTC().Format(time.RFC3339Nano)); err != nil {
				return nil
			}
		case <-alive.C:
			if r.token != "" {
				if _, ok := a.Sessions.Use(r.token); !ok {
					return nil
				}
			}
			if err := send(": keep-alive\n\n"); err != nil {
				return nil // the reader went away
			}
		case alert, ok := <-alerts:
			if !ok {
				return nil
			}
			if err := tell(*alert); err != nil {
				return nil
			}
		case event, ok := <-events:
			if !ok {
				return nil
			}
			name, data, err := encode(event)
			if err != nil {
				return err
			}
			if err := send("id: %s-%d\nevent: %s\ndata: %s\n\n", a.boot, event.Seq, name, data); err != nil {
				return nil
			}
		}
	}
}

func encode(e dispatch.Event) (name string, data []byte, err error) {
	if e.Attempt != nil {
		data, err = json.Marshal(e.Attempt)
		return "attempt", data, err
	}
	data, err = json.Marshal(e.State)
	return "state", data, err
}

// lastSeen is the number of the event that a browser saw last, 0 if it saw none of this run's.
func (a *API) lastSeen(id string) uint64 {
	boot, number, _ := strings.Cut(id, "-")
	if boot != a.boot {
		return 0
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
