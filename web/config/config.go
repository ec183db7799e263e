// Package config reads the configuration: one YAML file, typed, in which nothing is ignored. Every finding has its line and
// says what to do, and all of them are reported at once.
//
// It opens no connection and writes nothing; of the file system it reads the secrets that the file names. No finding repeats
// a value of the file, because a value may be a secret in the wrong place.
package config

import (
	"net/netip"
	"net/url"
	"slices"
	"time"

	"offrecord/app/recording"
	"offrecord/web/identity"
	"offrecord/web/identity/embedjwt"
	"offrecord/web/secret"
)

// Config is the whole file after its checks.
type Config struct {
	Listen         string         `yaml:"listen"`         // host:port; port 0 takes a free one
	MetricsListen  string         `yaml:"metrics_listen"` // empty: no metrics and no profiles
	PublicURL      URL            `yaml:"public_url"`     // where browsers find the server; unset: where it listens
	TLS            *TLS           `yaml:"tls"`
	TrustedProxies []netip.Prefix `yaml:"-"`
	Proxies        []string       `yaml:"trusted_proxies"`
	Store          string         `yaml:"store"` // sqlite: and a file's name; without one, attempts are kept in memory only
	StoreFile      string         `yaml:"-"`     // its path
	DataFile       string         `yaml:"-"`     // the path of what isn't the log, beside it; empty without a store
	Spool          string         `yaml:"spool"` // where records go while the store can't be written
	Retention      time.Duration  `yaml:"retention"`
	Audit          Audit          `yaml:"audit"`
	Alerts         *Alerts        `yaml:"alerts"`
	Evidence       Evidence       `yaml:"evidence"`
	LinkLifetime   time.Duration  `yaml:"link_lifetime"` // how long a one-click link lives at most; 0: as package link has it
	EmbedOrigins   []string       `yaml:"embed_origins"` // origins such as https://acme.my.salesforce.com
	Identity       Identity       `yaml:"identity"`
	Platforms      []Platform     `yaml:"platforms"`
	Agents         []Agent        `yaml:"agents"`

	// Digest is the SHA-256 of the file's bytes, in hexadecimal: it tells one configuration from another.
	Digest string `yaml:"-"`
	// Warnings are what is allowed and dangerous, or configured and not done by this version: a sentence or two with its line
	// each.
	Warnings []Finding `yaml:"-"`
}

// TLS is the server's own certificate, for where no proxy ends TLS before it.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Audit is how the log of attempts is kept.
type Audit struct {
	SigningKeyFile  string `yaml:"signing_key_file"` // made if it isn't there
	CheckpointFile  string `yaml:"checkpoint_file"`  // empty: checkpoints are in the store only
	HashIdentifiers bool   `yaml:"hash_identifiers"`

	// Checkpoints as signed messages to somewhere else.
	CheckpointWebhook    URL           `yaml:"checkpoint_webhook"`
	CheckpointSecret     Secret        `yaml:"checkpoint_secret"`
	CheckpointSecretFile string        `yaml:"checkpoint_secret_file"`
	CheckpointKey        secret.String `yaml:"-"`
}

// Evidence is when the recordings are listened to, where a platform has a data token.
type Evidence struct {
	Nightly string        `yaml:"nightly"` // a time of the day in UTC, 02:30 if left out, or off
	Every   bool          `yaml:"every"`   // also recordings of calls without a pause
	At      time.Duration `yaml:"-"`       // Nightly after midnight; negative: off
}

// Alerts is who is told when something needs a person, besides the supervisors' page. Messages are signed by the Standard
// Webhooks scheme.
type Alerts struct {
	Webhook    URL           `yaml:"webhook"`
	Secret     Secret        `yaml:"secret"`
	SecretFile string        `yaml:"secret_file"`
	Key        secret.String `yaml:"-"`
}

// Identity is how people log in.
type Identity struct {
	OIDC     *OIDC     `yaml:"oidc"`
	EmbedJWT *EmbedJWT `yaml:"embed_jwt"`
	Proxy    *Proxy    `yaml:"proxy"`
	Demo     bool      `yaml:"demo"` // whoever says an address is believed; refused unless listen is loopback
}

// OIDC is a log-in by OpenID Connect.
type OIDC struct {
	Issuer           URL    `yaml:"issuer"`
	ClientID         string `yaml:"client_id"`
	ClientSecret     Secret `yaml:"client_secret"`
	ClientSecretFile string `yaml:"client_secret_file"`

	Key secret.String `yaml:"-"` // the client's secret
}

// EmbedJWT is a log-in by a token that a CRM's server signs.
type EmbedJWT struct {
	Issuer        string `yaml:"issuer"`
	Audience      string `yaml:"audience"`
	PublicKeyFile string `yaml:"public_key_file"`
	Secret        Secret `yaml:"secret"`
	SecretFile    string `yaml:"secret_file"`

	Key embedjwt.Key `yaml:"-"`
}

// Proxy is a log-in by a header of a proxy in front.
type Proxy struct {
	Header       string   `yaml:"header"`
	TrustedCIDRs []string `yaml:"trusted_cidrs"`

	Trusted []netip.Prefix `yaml:"-"`
}

// Kind is a kind of platform.
type Kind string

// The kinds.
const (
	EightByEight Kind = "8x8"
	Vonage       Kind = "vonage"
	CXone        Kind = "cxone"
)

// Platform is one contact-center account. Which settings it takes depends on its kind.
type Platform struct {
	Name          string        `yaml:"name"`
	Kind          Kind          `yaml:"kind"`
	BaseURL       URL           `yaml:"base_url"`
	MaxPause      time.Duration `yaml:"max_pause"`      // 0: no limit
	OnMaxPause    string        `yaml:"on_max_pause"`   // alert or resume; empty: resume where the platform names the call, else alert
	MaxExtensions int           `yaml:"max_extensions"` // how often an agent may keep paused
	Timeouts      Timeouts      `yaml:"timeouts"`
	// Routes are in order of preference; left out, they are all that the kind has: session and then server on 8x8, server on
	// the others.
	Routes []recording.Route `yaml:"routes"`

	// 8x8
	Tenant          string  `yaml:"tenant"`
	DataTenant      string  `yaml:"data_tenant"` // the tenant's name in the Recordings API, where it differs
	ActionToken     Secret  `yaml:"action_token"`
	ActionTokenFile string  `yaml:"action_token_file"`
	DataToken       Secret  `yaml:"data_token"`
	DataTokenFile   string  `yaml:"data_token_file"`
	Combine         bool    `yaml:"combine"` // the session fires, the server confirms
	Session         Session `yaml:"session"`

	// Vonage and CXone
	TokenURL         URL    `yaml:"token_url"`
	ClientID         string `yaml:"client_id"` // on CXone for token_form: password only, as is the secret
	ClientSecret     Secret `yaml:"client_secret"`
	ClientSecretFile string `yaml:"client_secret_file"`

	// Vonage
	Account   string `yaml:"account"`
	Scope     string `yaml:"scope"`
	TokenAuth string `yaml:"token_auth"` // form or basic

	// CXone
	TokenForm           string `yaml:"token_form"` // access_key or password
	AccessKeyID         string `yaml:"access_key_id"`
	AccessKeySecret     Secret `yaml:"access_key_secret"`
	AccessKeySecretFile string `yaml:"access_key_secret_file"`
	PauseWith           string `yaml:"pause_with"` // mask or stop
	MediaType           string `yaml:"media_type"` // voice or voiceAndScreen
	API                 string `yaml:"api"`        // v1 or document
	Status              string `yaml:"status"`     // on or off: whether the account has the status call
}

// Session is how the session route is taken.
type Session struct {
	Transport recording.Transport `yaml:"transport"`
	Method    string              `yaml:"method"`
}

// Timeouts bound an action: one try, and the whole attempt.
type Timeouts struct {
	Try     time.Duration `yaml:"try"`
	Attempt time.Duration `yaml:"attempt"`
}

// Agent is someone who may log in.
type Agent struct {
	Email    string        `yaml:"email"`
	Role     identity.Role `yaml:"role"`
	Platform string        `yaml:"platform"`
	AgentID  string        `yaml:"agent_id"` // empty: addressed by email
}

// Secret is a secret that the file names inline, by ${ENV} only.
type Secret struct{ secret.String }

// URL is an absolute http or https address. The zero value is none.
type URL struct{ *url.URL }

// IsZero reports whether there is no address.
func (u URL) IsZero() bool { return u.URL == nil }

// Has reports whether a route may be taken.
func (p Platform) Has(r recording.Route) bool { return slices.Contains(p.Routes, r) }

// SameArchive reports whether two platforms have their recordings in one archive: a tenant may be named more than once, for its
// routes.
func (p Platform) SameArchive(q Platform) bool {
	return p.BaseURL.String() == q.BaseURL.String() && p.Tenant == q.Tenant && p.DataTenant == q.DataTenant
}

// Platform returns the platform with this name.
func (c *Config) Platform(name string) (Platform, bool) {
	for _, p := range c.Platforms {
		if p.Name == name {
			return p, true
		}
	}
	return Platform{}, false
}

// Secure reports whether browsers reach the server by https: then its cookies say so.
func (c *Config) Secure() bool {
	return c.TLS != nil || (!c.PublicURL.IsZero() && c.PublicURL.Scheme == "https")
}
