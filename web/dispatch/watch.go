package dispatch

import (
	"slices"

	"offrecord/app/recording"
)

const (
	// maxWatchers is how many streams an agent may have open; the oldest gives way.
	maxWatchers = 128
	// backlog is how many events a stream may lag behind before it is ended. Who comes back gets the whole state at once.
	backlog = 64
)

// Event is one piece of news: exactly one of State and Attempt is set.
type Event struct {
	Seq     uint64
	State   *recording.Snapshot
	Attempt *recording.Attempt
}

// Watcher is one stream of an agent's events.
type Watcher struct {
	events chan Event
	stop   func()
}

// Events delivers the state as it is, then what follows. It is closed when the dispatcher closes, or when the reader fell
// behind: a slow reader never holds anything up.
func (w *Watcher) Events() <-chan Event { return w.events }

// Stop ends the stream.
func (w *Watcher) Stop() { w.stop() }

// Watch opens a stream. Its first event is the whole state; attempts that were published after the event numbered last are
// repeated after it, as far as they are remembered.
func (d *Dispatcher) Watch(agent Agent, last uint64) *Watcher {
	l := d.line(agent)
	w := &Watcher{events: make(chan Event, backlog+maxRecent+1)}
	w.stop = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(w)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		close(w.events)
		return w
	}
	if len(l.watchers) >= maxWatchers {
		l.drop(l.watchers[0])
	}
	l.watchers = append(l.watchers, w)
	now := d.snapshot(l)
	w.events <- Event{Seq: l.seq, State: &now}
	if last > 0 {
		for _, e := range l.recent {
			if e.Seq > last {
				w.events <- e
			}
		}
	}
	return w
}

// drop removes a watcher and ends its stream. The line is locked.
func (l *line) drop(w *Watcher) {
	if i := slices.Index(l.watchers, w); i >= 0 {
		l.watchers = slices.Delete(l.watchers, i, i+1)
		close(w.events)
	}
}

// maxRecent is how many attempts are remembered for who comes back.
const maxRecent = 32

// remember numbers an attempt's event and sends it. The line is locked.
func (l *line) remember(a recording.Attempt) {
	l.seq++
	e := Event{Seq: l.seq, Attempt: &a}
	if l.recent = append(l.recent, e); len(l.recent) > maxRecent {
		l.recent = slices.Delete(l.recent, 0, len(l.recent)-maxRecent)
	}
	l.send(e)
}

// publish tells the watchers of an attempt and of the state it left. The line is locked.
func (d *Dispatcher) publish(l *line, a recording.Attempt) {
	l.remember(a)
	d.publishState(l)
}

// publishState tells the watchers of the state, after every change of it. The line is locked.
func (d *Dispatcher) publishState(l *line) {
	d.arm(l)
	l.seq++
	if len(l.watchers) == 0 {
		return
	}
	now := d.snapshot(l)
	l.send(Event{Seq: l.seq, State: &now})
}

// send never waits: who has fallen behind is dropped. The line is locked.
func (l *line) send(e Event) {
	for _, w := range slices.Clone(l.watchers) {
		select {
		case w.events <- e:
		default:
			l.drop(w)
		}
	}
}
