package server

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"offrecord/app/recording"
	"offrecord/web/config"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/platform"
	"offrecord/web/platform/eightbyeight"
	"offrecord/web/platform/kinds"
	"offrecord/web/platform/upstream"
)

// account is one platform of the configuration, ready for use.
type account struct {
	config.Platform
	session platform.Sessioner // nil without a session route
	server  platform.Server    // nil without a server route
}

// accounts makes each platform of a configuration. wrap, if it isn't nil, is put around a platform's exchanges.
func accounts(c *config.Config, o upstream.Options, wrap func(config.Platform, http.RoundTripper) http.RoundTripper) (map[string]account, error) {
	out := map[string]account{}
	for _, p := range c.Platforms {
		a := account{Platform: p}
		if p.Kind == config.EightByEight && p.Has(recording.RouteSession) {
			a.session = eightbyeight.Session{Base: p.BaseURL.URL, ActionToken: p.ActionToken.String, Method: p.Session.Method, Transport: p.Session.Transport}
		}
		if p.Has(recording.RouteServer) {
			o := o
			if inner := o.Wrap; wrap != nil {
				o.Wrap = func(next http.RoundTripper) http.RoundTripper {
					if inner != nil {
						next = inner(next)
					}
					return wrap(p, next)
				}
			}
			var err error
			if a.server, err = open(p, o); err != nil {
				return nil, err
			}
		}
		out[p.Name] = a
	}
	return out, nil
}

// open makes a platform's server route.
func open(p config.Platform, o upstream.Options) (platform.Server, error) {
	kind, err := kinds.Named(string(p.Kind))
	if err == nil {
		var server platform.Server
		if server, err = kind.Open(func(settings any) error { return fill(settings, p) }, o); err == nil {
			return server, nil
		}
	}
	return nil, fmt.Errorf("opening the platform %s: %w", p.Name, err)
}

// fill copies a platform's configuration into its kind's Settings: each field from the configuration's of the same name, so
// that a new kind needs nothing here.
func fill(settings any, p config.Platform) error {
	to, from := reflect.ValueOf(settings).Elem(), reflect.ValueOf(p)
	for field := range to.Type().Fields() {
		value := from.FieldByName(field.Name)
		if !value.IsValid() {
			return fmt.Errorf("the configuration has no %s", field.Name)
		}
		switch v := value.Interface().(type) {
		case config.URL:
			value = reflect.ValueOf(v.URL)
		case config.Secret:
			value = reflect.ValueOf(v.String)
		}
		if value.Type() != field.Type {
			return fmt.Errorf("the configuration's %s is another type", field.Name)
		}
		to.FieldByIndex(field.Index).Set(value)
	}
	return nil
}

// asked is what the handlers need to know of an account.
func (a account) asked() httpapi.Platform {
	p := httpapi.Platform{Name: a.Name, Kind: string(a.Kind), Routes: a.Routes, Session: a.session, Combine: a.Combine, AttemptTimeout: a.Timeouts.Attempt}
	if a.server != nil {
		p.Ability = a.server.Ability()
	}
	return p
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

// publicURL is the origin that browsers find the server at; empty if that is where it listens.
func publicURL(c *config.Config) string {
	if c.PublicURL.IsZero() {
		return ""
	}
	return (&url.URL{Scheme: c.PublicURL.Scheme, Host: c.PublicURL.Host}).String()
}

func directory(c *config.Config) *identity.Directory {
	everyone := make([]identity.Principal, len(c.Agents))
	for i, a := range c.Agents {
		everyone[i] = identity.Principal{Email: a.Email, Role: a.Role, Platform: a.Platform, AgentID: a.AgentID}
	}
	return identity.NewDirectory(everyone)
}
