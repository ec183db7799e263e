package server

import (
	"context"
	"sync"

	"offrecord/web/config"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
)

// Checked is what was found of one credential of one platform, or of the identity provider: then Platform is "identity".
type Checked struct {
	Platform string
	Kind     config.Kind
	platform.Finding
}

// Check tries each platform's credentials without touching any recording, all platforms at once, each within its attempt's
// deadline. The findings are in the configuration's order, the identity provider's first. An 8x8 tenant's action token is one and the same for both routes,
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
	checks.Wait()
	var all []Checked
	if provider != nil {
		all = append(all, Checked{"identity", "oidc", *provider})
	}
	for i, p := range c.Platforms {
		for _, f := range found[i] {
			all = append(all, Checked{p.Name, p.Kind, f})
		}
	}
	return all, nil
}
