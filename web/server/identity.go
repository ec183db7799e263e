package server

import (
	"context"

	"offrecord/web/config"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/identity/embedjwt"
	"offrecord/web/identity/oidc"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
)

// ways are how people log in, as configured.
type ways struct {
	logins   map[identity.Way]identity.Authenticator
	provider httpapi.Provider
	ambient  []identity.Authenticator
}

// ways makes them. A provider that is away is looked for until ctx ends; the server doesn't wait for it.
func (m *Main) ways(ctx context.Context) ways {
	used := identity.NewUsed(m.data)
	id, w := m.Config.Identity, ways{logins: map[identity.Way]identity.Authenticator{}}
	if id.Demo {
		w.logins[identity.ByDemo] = identity.Demo{}
	}
	if j := id.EmbedJWT; j != nil {
		w.logins[identity.ByEmbed] = embedjwt.Verifier{Issuer: j.Issuer, Audience: j.Audience, Key: j.Key, Once: used.Once}
	}
	if x := id.Proxy; x != nil {
		w.ambient = append(w.ambient, identity.Proxy{Header: x.Header, Trusted: x.Trusted})
	}
	if id.OIDC != nil {
		client := oidc.New(providerOf(m.Config, oidc.Config{Upstream: m.Upstream, Log: m.Log, Once: used.Once}))
		w.provider = client
		ctx, m.forget = context.WithCancel(context.WithoutCancel(ctx))
		m.running.Go(func() { client.Find(ctx) })
	}
	return w
}

// providerOf adds what the configuration says of the provider.
func providerOf(c *config.Config, o oidc.Config) oidc.Config {
	x := c.Identity.OIDC
	o.Issuer, o.ClientID, o.Secret, o.Redirect = x.Issuer.String(), x.ClientID, x.Key, c.PublicURL.JoinPath("login", "oidc", "callback").String()
	return o
}

// checkProvider looks whether the provider answers. The client's secret can be tried by a sign-in only.
func checkProvider(ctx context.Context, c *config.Config, o upstream.Options) *platform.Finding {
	f := &platform.Finding{Credential: "issuer", Verdict: platform.Good, Detail: "It answers and can be used; client_id and client_secret are tried by the first sign-in."}
	if err := oidc.New(providerOf(c, oidc.Config{Upstream: o})).Check(ctx); err != nil {
		f.Verdict, f.Detail = platform.Bad, "Nobody can sign in with it now: "+err.Error()+"."
	}
	return f
}
