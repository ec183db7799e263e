package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"offrecord/app/recording"
	"offrecord/web/webhook"
)

const (
	// againFirst and againMost bound the wait after a try that failed; it doubles from one to the other.
	againFirst = 2 * time.Second
	againMost  = time.Minute
	// staleAfter is how long the webhook is still to hear that an alert needs nobody any more.
	staleAfter = 24 * time.Hour
)

// outbox is what the webhook hasn't taken, in the order in which it is tried. Of an alert only its newest message is worth
// delivering: it says all that the older ones did.
type outbox struct {
	queue   []*entry
	wake    chan struct{}
	trouble Trouble
}

// Trouble is why nobody is told by the webhook; the zero value is none.
type Trouble struct {
	Since time.Time // the first try that failed and wasn't followed by one that didn't
	Why   string    // in a few words; empty if there is none
	Gone  bool      // the receiver said that it is gone: nothing is sent there until the next start
}

// Trouble is what keeps the webhook from telling anyone, if something does.
func (s *Alerts) Trouble() Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.post.trouble
}

// add puts an entry's newest message last. The lock is held.
func (b *outbox) add(e *entry) {
	b.remove(e)
	b.queue = append(b.queue, e)
}

func (b *outbox) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *outbox) remove(e *entry) {
	for i, other := range b.queue {
		if other == e {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			return
		}
	}
}

// deliver hands the messages to the webhook, one after the other: a receiver that fails or hangs does so for all of them. It
// is left alone for a moment then, or for as long as it asks.
func (s *Alerts) deliver(ctx context.Context) {
	wait := againFirst
	for {
		e, a, number := s.first(time.Now())
		if e == nil {
			select {
			case <-s.post.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		id, message, err := s.message(a, number)
		if err == nil {
			err = s.o.Post(ctx, id, message)
		}
		if ctx.Err() != nil {
			return
		}
		s.o.Tried(string(webhook.ResultOf(err)))
		s.tried(e, number, err)
		if err == nil {
			wait = againFirst
			continue
		}
		s.o.Log.Error("an alert's message wasn't delivered", "alert", a.ID, "message", id, "error", err)
		alone := wait + rand.N(wait/4) // not in step with whoever else was sent away
		var refusal *webhook.Error
		if errors.As(err, &refusal) {
			alone = max(alone, refusal.RetryAfter)
		}
		wait = min(2*wait, againMost)
		timer := time.NewTimer(alone)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// first is the message to be tried next: an alert as it stands now, and the message's number. An alert is saved before it is
// told, so that the next run knows it by the same name; but one that can't be is told all the same.
func (s *Alerts) first(now time.Time) (*entry, recording.Alert, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.post.queue) > 0 {
		e := s.post.queue[0]
		if e.saved == 0 && !s.failed {
			return nil, recording.Alert{}, 0
		}
		if !s.post.trouble.Gone && (e.Open() || now.Sub(e.changed) < staleAfter) {
			return e, e.Alert, e.told
		}
		s.post.queue = s.post.queue[1:]
		e.delivered = e.told
		s.changed(e)
	}
	return nil, recording.Alert{}, 0
}

// tried takes note of what became of a try.
func (s *Alerts) tried(e *entry, number int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.post.trouble.Why == "" {
			s.post.trouble.Since = time.Now().UTC()
		}
		s.post.trouble.Why, s.post.trouble.Gone = err.Error(), webhook.ResultOf(err) == webhook.Gone
		if len(s.post.queue) > 0 && s.post.queue[0] == e {
			s.post.queue = append(s.post.queue[1:], e) // what this one is refused for may be its own
		}
		return
	}
	s.post.trouble = Trouble{}
	e.delivered = max(e.delivered, number)
	if e.delivered == e.told {
		s.post.remove(e)
	}
	s.changed(e)
}

// Message is what the webhook gets. It holds no secret and no card data: an alert's texts are masked when it is raised.
type Message struct {
	Type      string    `json:"type"` // alert.raised, alert.repeated, alert.acknowledged or alert.settled
	Timestamp time.Time `json:"timestamp"`
	Text      string    `json:"text"` // for a person
	Data      struct {
		recording.Alert
		Title string `json:"title"`
		Link  string `json:"link,omitempty"`
	} `json:"data"`
}

// message writes the alert's message of this number. Its id depends on nothing else, so that a message that is delivered
// again, even by another run, is known as the same.
func (s *Alerts) message(a recording.Alert, number int) (id string, body []byte, err error) {
	m := Message{Type: "alert." + string(now(a)), Timestamp: time.Now().UTC(), Text: Sentence(a)}
	m.Data.Alert, m.Data.Title, m.Data.Link = a, Title(a.Kind), s.o.Link
	if s.o.Link != "" {
		m.Text += " " + s.o.Link
	}
	body, err = json.Marshal(m)
	return fmt.Sprintf("%s.%d", a.ID, number), body, err
}

// now is what happened to an alert last.
func now(a recording.Alert) What {
	switch {
	case a.SettledAt != nil:
		return Settled
	case a.AckedAt != nil:
		return Acknowledged
	case a.Repeated > 0:
		return Repeated
	}
	return Raised
}

// Title says what a kind of alert is about, in a few words.
func Title(kind recording.AlertKind) string {
	switch kind {
	case recording.AlertFailed:
		return "A pause or resume didn't work"
	case recording.AlertUnknown:
		return "Nobody knows whether it worked"
	case recording.AlertOverdue:
		return "A pause is over its time"
	case recording.AlertRestart:
		return "Not known since a restart"
	case recording.AlertLog:
		return "The log can't be written"
	case recording.AlertNoProof:
		return "This account can't confirm a pause"
	case recording.AlertLeak:
		return "Audible where it was to be silent"
	case recording.AlertCheckpoint:
		return "Checkpoints of the log don't arrive"
	}
	return "Something needs a person"
}

// Sentence says what there is to say of an alert now, to someone who sees nothing else.
func Sentence(a recording.Alert) string {
	about := a.Text
	if who := Whose(a); who != "" {
		about = who + ": " + about
	}
	switch now(a) {
	case Settled:
		return "Over: " + about
	case Acknowledged:
		return "Acknowledged by " + a.AckedBy + ": " + about
	case Repeated:
		return fmt.Sprintf("Told %d times, open since %s: %s", a.Repeated+1, a.RaisedAt.UTC().Format("15:04 UTC on 2 January"), about)
	}
	return about
}

// Whose is the agent and the account that an alert is about, as far as it is about one.
func Whose(a recording.Alert) string {
	switch {
	case a.Agent != "" && a.Platform != "":
		return a.Agent + " on " + a.Platform
	case a.Agent != "":
		return a.Agent
	}
	return a.Platform
}
