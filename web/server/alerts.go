package server

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/alert"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/platform/upstream"
	"offrecord/web/webhook"
)

// openAlerts starts the keeping of alerts, and of the webhook that is told of them.
func (m *Main) openAlerts(ctx context.Context, counted *metrics) (err error) {
	o := alert.Options{DB: m.data, Log: m.Log, Link: origin(m.Config) + "/alerts", Heard: m.heard(counted), Tried: counted.tried, Retention: m.Config.Retention,
		Pruned: func(n int64) {
			m.record(audit.Record{Kind: audit.Deletion, Client: audit.Server, Count: n, Detail: audit.NewText("alerts past their retention")})
		}}
	if a := m.Config.Alerts; a != nil {
		sender, err := webhook.New(a.Webhook.URL, a.Key, m.outside())
		if err != nil {
			return fmt.Errorf("opening the alerts: %w", err)
		}
		o.Post = sender.Send
	}
	if m.alerts, err = alert.Open(ctx, o); err != nil {
		return fmt.Errorf("opening the alerts: %w", err)
	}
	counted.alerts(m.alerts.Count)
	return nil
}

// closeAlerts has what is said of alerts on its way to the log, and ends them. What isn't delivered is the next run's.
func (m *Main) closeAlerts() {
	if m.alerts != nil {
		m.alerts.Close()
	}
}

// outside is how what isn't a platform is reached: as they are, and uncounted.
func (m *Main) outside() upstream.Options {
	return upstream.Options{RootCAs: m.Upstream.RootCAs, Dial: m.Upstream.Dial}
}

// origin is where people find the server.
func origin(c *config.Config) string {
	scheme := "http"
	if c.TLS != nil {
		scheme = "https"
	}
	return cmp.Or(publicURL(c), scheme+"://"+c.Listen)
}

// sinks are where the log's checkpoints go besides a file.
func (m *Main) sinks() ([]audit.Sink, error) {
	a := m.Config.Audit
	if a.CheckpointWebhook.IsZero() {
		return nil, nil
	}
	sender, err := webhook.New(a.CheckpointWebhook.URL, a.CheckpointKey, m.outside())
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return []audit.Sink{audit.WebhookSink(func(ctx context.Context, id string, message []byte) error {
		ctx, cancel := context.WithTimeout(ctx, sinkTime)
		defer cancel()
		return sender.Send(ctx, id, message)
	})}, nil
}

// sinkTime is how long a checkpoint's receiver may take: the server's end waits for the last one.
const sinkTime = 3 * time.Second

// heard writes down and counts what happens to alerts.
func (m *Main) heard(counted *metrics) func(context.Context, alert.What, recording.Alert) {
	return func(ctx context.Context, what alert.What, a recording.Alert) {
		r := audit.Record{Kind: audit.Alert, Time: a.RaisedAt, Agent: audit.NewID(a.Agent), Platform: audit.NewText(a.Platform), Call: audit.NewID(a.Call),
			Detail: audit.NewText(fmt.Sprintf("%s %s: %s", a.Kind, a.ID, a.Text))}
		r.Attempt, _ = uuid.Parse(a.Attempt) // an alert may be about none
		switch what {
		case alert.Raised:
			counted.raised(a.Kind)
		case alert.Repeated:
			return // the log has it once
		case alert.Acknowledged:
			r.Kind, r.Time, r.By = audit.AlertAcked, *a.AckedAt, audit.NewID(a.AckedBy)
		case alert.Settled:
			r.Time, r.Detail = *a.SettledAt, audit.NewText(fmt.Sprintf("over: %s %s", a.Kind, a.ID))
		}
		asker := httpapi.AskerOf(ctx)
		if r.Agent == (audit.ID{}) && asker != (httpapi.Asker{}) {
			r.Agent = r.By
		}
		m.record(asker.Sign(r))
	}
}

// record writes a record down where nobody waits for it: now, or as soon as the log can be written.
func (m *Main) record(r audit.Record) {
	if m.journal == nil {
		return
	}
	j := m.journal
	j.writing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), noteTime)
		defer cancel()
		if _, err := j.Append(ctx, r); err != nil {
			j.later(r)
		}
	})
}

const (
	// asideAfter is how long records may go to the spool before that is an alert: the store may be locked for a moment.
	asideAfter = 5 * time.Second
	// checkpointLate is how long checkpoints may fail to arrive before that is one: three times the time between them.
	checkpointLate = 15 * time.Minute
)

// What the log's alerts say.
const (
	logAside       = "The log can't be written to its store. Records are kept in the spool and added later: look at the store's disk and permissions."
	logGone        = "The log can't be written at all. Pauses are sent all the same; whoever resumes has to do it without a record: look at the disks of the store and the spool now."
	checkpointText = "The log's checkpoints don't reach where they are to be kept, so a log that was cut wouldn't show it: look at the file and the webhook of audit in the configuration."
)

// guard raises an alert while the log is in trouble, and settles it when it isn't.
type guard struct {
	status        func() audit.Status
	raise, settle func(recording.Alert)
	refresh       func() // panels say how the log is

	aside, behind time.Time // since when; zero while all is well
	said          audit.Status
}

// run looks whenever changed says so, and when something has lasted long enough.
func (g *guard) run(ctx context.Context, changed <-chan struct{}) {
	for {
		again := time.NewTimer(g.look(time.Now()))
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
		again.Stop()
	}
}

// look raises and settles by how the log is now, and returns when to look again at the latest.
func (g *guard) look(now time.Time) time.Duration {
	s, next := g.status(), time.Hour
	lasts := func(since *time.Time, bad bool, most time.Duration) bool {
		switch {
		case !bad:
			*since = time.Time{}
			return false
		case since.IsZero():
			*since = now
		}
		left := most - now.Sub(*since)
		if left > 0 {
			next = min(next, left)
		}
		return left <= 0
	}
	log := recording.Alert{Kind: recording.AlertLog, Text: logAside}
	switch aside := lasts(&g.aside, s.Store != nil, asideAfter); {
	case s.Spool != nil:
		log.Text = logGone
		g.raise(log)
	case aside:
		g.raise(log)
	case s.Store == nil:
		g.settle(log)
	}
	// While the store fails there are no checkpoints, and that is said already.
	checkpoint := recording.Alert{Kind: recording.AlertCheckpoint, Text: checkpointText}
	if lasts(&g.behind, s.Checkpoint != nil && s.Store == nil, checkpointLate) {
		g.raise(checkpoint)
	} else if s.Checkpoint == nil {
		g.settle(checkpoint)
	}
	if (s.Store == nil) != (g.said.Store == nil) || (s.Spool == nil) != (g.said.Spool == nil) {
		g.refresh()
	}
	g.said = s
	return next
}

// follow keeps the panels' alerts as they are, and watches the log's health, until the end.
func (m *Main) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	m.unfollow = cancel
	if m.journal != nil {
		g := guard{status: m.journal.Status, raise: m.alerts.Raise, settle: m.alerts.Settle, refresh: m.dispatcher.Refresh}
		m.running.Go(func() { g.run(ctx, m.journal.health) })
	}
	m.running.Go(func() { refreshWith(ctx, m.alerts, m.dispatcher) })
}

// refreshApart is the least time between two refreshes: a panel that gets more than it reads is cut off.
const refreshApart = 100 * time.Millisecond

// refreshWith has the panels told when an agent's alerts change. What comes at once is told once.
func refreshWith(ctx context.Context, alerts *alert.Alerts, d *dispatch.Dispatcher) {
	changes, stop := alerts.Watch()
	defer func() { stop() }()
	pending, resting := false, (<-chan time.Time)(nil)
	for {
		select {
		case a, ok := <-changes:
			if !ok { // it fell behind, so anything may have changed
				changes, stop = alerts.Watch()
			}
			pending = pending || !ok || a.Agent != ""
		case <-resting:
			resting = nil
		case <-ctx.Done():
			return
		}
		if pending && resting == nil {
			d.Refresh()
			pending, resting = false, time.After(refreshApart)
		}
	}
}
