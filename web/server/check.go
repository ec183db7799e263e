package server

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"offrecord/web/config"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
	"offrecord/web/webhook"
)

// Checked is what was found of one credential of one platform, of the identity provider (then Platform is "identity"), or of a
// webhook ("alerts", "audit").
type Checked struct {
	Platform string
	Kind     config.Kind
	platform.Finding
}

// Check tries each platform's credentials without touching any recording, all platforms at once, each within its attempt's
// deadline. The findings are in the configuration's order, the identity provider's and the webhooks' first. An 8x8 tenant's action token is one and the same for both routes,
// so it is tried even where only the browser is to use it.
func Check(ctx context.Context, c *config.Config, o upstream.Options) ([]Checked, error) {
	servers, archives := make([]platform.Server, len(c.Platforms)), make([]*recordings.Client, len(c.Platforms))
	for i, p := range c.Platforms {
		var err error
		if servers[i], err = open(p, o); err != nil {
			return nil, err
		}
		if p.DataToken.IsZero() {
			continue
		}
		if archives[i], err = Recordings(p, recordings.XML, o); err != nil {
			return nil, err
		}
	}
	found := make([][]platform.Finding, len(servers))
	var checks sync.WaitGroup
	for i, p := range c.Platforms {
		checks.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, p.Timeouts.Attempt)
			defer cancel()
			found[i] = servers[i].Check(ctx)
			if archives[i] != nil {
				found[i] = append(found[i], archives[i].Check(ctx))
			}
		})
	}
	var provider *platform.Finding
	if c.Identity.OIDC != nil {
		checks.Go(func() { provider = checkProvider(ctx, c, o) })
	}
	var alerts *platform.Finding
	if c.Alerts != nil {
		checks.Go(func() { alerts = checkAlerts(ctx, c, o) })
	}
	checks.Wait()
	var all []Checked
	if provider != nil {
		all = append(all, Checked{"identity", "oidc", *provider})
	}
	if alerts != nil {
		all = append(all, Checked{"alerts", "webhook", *alerts})
	}
	if !c.Audit.CheckpointWebhook.IsZero() {
		all = append(all, Checked{"audit", "webhook", platform.Finding{Credential: "checkpoint_secret", Verdict: platform.NotCheckable,
			Detail: "Whoever keeps checkpoints would keep a made-up one, too. A real one is sent at each start, and an alert says if they don't arrive."}})
	}
	for i, p := range c.Platforms {
		for _, f := range found[i] {
			all = append(all, Checked{p.Name, p.Kind, f})
		}
	}
	return all, nil
}

// checkAlerts delivers a message that is about no alert: a webhook that doesn't take it would be found out by the first fault.
func checkAlerts(ctx context.Context, c *config.Config, o upstream.Options) *platform.Finding {
	f := &platform.Finding{Credential: "secret", Verdict: platform.Good, Detail: "The webhook took a signed message of type check."}
	text, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Text      string    `json:"text"`
	}{"check", time.Now().UTC(), "offrecord check: alerts arrive here. Nothing is wrong."})
	if err == nil {
		var to *webhook.Sender
		if to, err = webhook.New(c.Alerts.Webhook.URL, c.Alerts.Key, o); err == nil {
			defer to.Close()
			err = to.Send(ctx, "check_"+uuid.NewString(), text)
		}
	}
	if err != nil {
		f.Verdict, f.Detail = platform.Bad, "Nobody would hear of an alert: "+err.Error()+"."
	}
	return f
}
