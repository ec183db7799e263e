package server

import (
	"fmt"
	"slices"
	"strings"

	"offrecord/app/recording"
	"offrecord/web/config"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/platform/eightbyeight"
)

// platforms makes each platform of a configuration.
func platforms(c *config.Config) (map[string]httpapi.Platform, error) {
	out := map[string]httpapi.Platform{}
	for _, p := range c.Platforms {
		made := httpapi.Platform{Name: p.Name, Kind: string(p.Kind), AttemptTimeout: p.Timeouts.Attempt}
		switch p.Kind {
		case config.EightByEight:
			if slices.Contains(p.Routes, recording.RouteSession) {
				made.Session = eightbyeight.Session{Base: p.BaseURL.URL, ActionToken: p.ActionToken.String, Method: p.Session.Method, Transport: p.Session.Transport}
			}
		case config.Vonage, config.CXone: // no session route
		default:
			return nil, fmt.Errorf("platform %s is of an unknown kind", p.Name)
		}
		out[p.Name] = made
	}
	return out, nil
}

// hosts says by which names the server may be asked; nil for any. Only the demo needs it, and only without TLS: a certificate
// is for our own names.
func hosts(c *config.Config) func(string) bool {
	if !c.Identity.Demo || c.TLS != nil {
		return nil
	}
	return func(host string) bool {
		return config.IsLoopback(host) || (!c.PublicURL.IsZero() && strings.EqualFold(host, c.PublicURL.Hostname()))
	}
}

func directory(c *config.Config) *identity.Directory {
	everyone := make([]identity.Principal, len(c.Agents))
	for i, a := range c.Agents {
		everyone[i] = identity.Principal{Email: a.Email, Role: a.Role, Platform: a.Platform, AgentID: a.AgentID}
	}
	return identity.NewDirectory(everyone)
}
