package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/identity"
	"offrecord/web/secret"
	"offrecord/web/webhook"
)

// The defaults, as the design names them.
const (
	defaultTry       = 5 * time.Second
	defaultAttempt   = 15 * time.Second
	defaultRetention = 8760 * time.Hour // 12 months, PCI DSS 10.5.1
	defaultNightly   = "02:30"
)

// plain is a name that is safe in a URL's path, a log and a page alike.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// check judges the whole file and fills in the defaults.
func (p *parser) check(c *Config) {
	p.checkListener(c)
	p.checkStore(c)
	p.checkIdentity(c)
	p.checkPlatforms(c)
	p.checkAgents(c)
	c.Warnings = p.warnings(c)
}

func (p *parser) checkListener(c *Config) {
	host := p.hostPort("listen", c.Listen, true)
	loopback := IsLoopback(host)
	if c.MetricsListen != "" {
		p.hostPort("metrics_listen", c.MetricsListen, false)
		if c.MetricsListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			p.at("metrics_listen", "Metrics and profiles must not be on the public listener: give metrics_listen a port of its own.")
		}
	}
	if t := c.TLS; t != nil {
		t.CertFile = p.file("tls", "cert_file", t.CertFile, true)
		t.KeyFile = p.file("tls", "key_file", t.KeyFile, true)
	}
	for i, cidr := range c.Proxies {
		if prefix, ok := p.prefix(fmt.Sprintf("trusted_proxies[%d]", i), cidr); ok {
			c.TrustedProxies = append(c.TrustedProxies, prefix)
		}
	}
	if host != "" && !loopback && c.TLS == nil && len(c.Proxies) == 0 {
		p.at("listen", "Plain http is for loopback only: give tls, or name the proxy that ends TLS in trusted_proxies, or listen on 127.0.0.1.")
	}
	if u := c.PublicURL; !u.IsZero() {
		if u.Path != "" && u.Path != "/" {
			p.at("public_url", "public_url must have no path: offrecord needs a host name of its own.")
		}
		p.https("public_url", u)
		if c.TLS != nil && u.Scheme == "http" {
			p.at("public_url", "public_url says http although tls is set: make it https.")
		}
	} else if host != "" && !loopback {
		p.at("listen", "Off loopback, public_url must say the https address that browsers use: add it.")
	}
	for i, origin := range c.EmbedOrigins {
		p.origin(fmt.Sprintf("embed_origins[%d]", i), origin)
	}
}

func (p *parser) checkStore(c *Config) {
	if c.Store != "" {
		name, ok := strings.CutPrefix(c.Store, "sqlite:")
		switch {
		case ok && name != "":
			c.StoreFile = p.resolve(name)
		case strings.HasPrefix(c.Store, "postgres://"):
			p.at("store", "postgres isn't supported by this version: write sqlite: and a file name.")
		default:
			p.at("store", "store must be sqlite: and a file name.")
		}
		beside := strings.TrimSuffix(c.StoreFile, ".db")
		if c.StoreFile != "" {
			c.DataFile = beside + ".data.db"
		}
		c.Spool = p.resolve(cmp.Or(c.Spool, beside+".spool"))
		c.Audit.SigningKeyFile = p.resolve(cmp.Or(c.Audit.SigningKeyFile, beside+".key"))
		if c.Audit.CheckpointFile != "" {
			c.Audit.CheckpointFile = p.resolve(c.Audit.CheckpointFile)
		}
		used := map[string]string{}
		for _, f := range []struct{ key, name string }{{"store", c.StoreFile}, {"spool", c.Spool}, {"audit.signing_key_file", c.Audit.SigningKeyFile}, {"audit.checkpoint_file", c.Audit.CheckpointFile},
			{"store (its .data.db)", c.DataFile}} {
			if other, taken := used[f.name]; taken && f.name != "" {
				p.at(f.key, fmt.Sprintf("%s and %s are the same file: give each its own.", f.key, other))
			}
			used[f.name] = f.key
		}
	}
	if c.LinkLifetime != 0 && c.LinkLifetime < time.Minute {
		p.at("link_lifetime", "link_lifetime must be at least 1m; without it, it is a year, 8760h.")
	}
	switch {
	case c.Retention == 0:
		c.Retention = defaultRetention
	case c.Retention < 24*time.Hour:
		p.at("retention", "retention must be at least 24h: PCI DSS asks for 8760h, 12 months.")
	}
	if a := c.Alerts; a != nil {
		if a.Webhook.IsZero() {
			p.at("alerts", "alerts needs webhook, the https address that is told: add it, or leave alerts out.")
		} else {
			p.https("alerts.webhook", a.Webhook)
		}
		a.Key = p.webhookKey("alerts", "secret", a.Secret, a.SecretFile)
	}
	switch c.Evidence.Nightly {
	case "off":
		c.Evidence.At = -1
	default:
		at, err := time.Parse("15:04", cmp.Or(c.Evidence.Nightly, defaultNightly))
		if err != nil {
			p.at("evidence.nightly", "nightly must be a time of the day in UTC such as 02:30, or off.")
		}
		c.Evidence.At = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	a := &c.Audit
	switch {
	case !a.CheckpointWebhook.IsZero():
		p.https("audit.checkpoint_webhook", a.CheckpointWebhook)
		a.CheckpointKey = p.webhookKey("audit", "checkpoint_secret", a.CheckpointSecret, a.CheckpointSecretFile)
	case !a.CheckpointSecret.IsZero() || a.CheckpointSecretFile != "":
		p.at("audit", "audit's checkpoint_secret is for checkpoint_webhook, the https address that gets checkpoints: add it, or leave both out.")
	}
}

// webhookKey takes the key that a webhook's messages are signed with.
func (p *parser) webhookKey(path, key string, inline Secret, file string) secret.String {
	s := p.secret(path, key, inline, file, true, "the key that its messages are signed with")
	if !s.IsZero() && webhook.CheckKey(s) != nil {
		if file != "" {
			key += "_file"
		}
		p.at(path+"."+key, "This isn't a key of Standard Webhooks, whsec_ and base64 of 24 to 64 random bytes: make one with echo whsec_$(openssl rand -base64 32).")
		return secret.String{}
	}
	return s
}

func (p *parser) checkPlatforms(c *Config) {
	if len(c.Platforms) == 0 {
		p.at("platforms", "There is no platform: add one to platforms.")
	}
	first := map[string]int{}
	for i := range c.Platforms {
		path, platform := fmt.Sprintf("platforms[%d]", i), &c.Platforms[i]
		if !plain.MatchString(platform.Name) {
			p.at(path+".name", "A platform's name must be of letters, digits, dots, dashes and underscores, at most 64.")
		} else if line, there := first[platform.Name]; there {
			p.at(path+".name", fmt.Sprintf("This platform's name is there already, on line %d: give each its own.", line))
		} else {
			first[platform.Name] = p.line(path + ".name")
		}
		p.checkPlatform(path, platform)
	}
}

// takers says which kinds take a setting that not every kind takes.
var takers = map[string][]Kind{
	"tenant": {EightByEight}, "data_tenant": {EightByEight}, "action_token": {EightByEight}, "action_token_file": {EightByEight},
	"data_token": {EightByEight}, "data_token_file": {EightByEight}, "combine": {EightByEight}, "session": {EightByEight},
	"token_url": {Vonage, CXone}, "account": {Vonage}, "scope": {Vonage}, "token_auth": {Vonage},
	"client_id": {Vonage, CXone}, "client_secret": {Vonage, CXone}, "client_secret_file": {Vonage, CXone},
	"access_key_id": {CXone}, "access_key_secret": {CXone}, "access_key_secret_file": {CXone}, "token_form": {CXone},
	"pause_with": {CXone}, "media_type": {CXone}, "api": {CXone}, "status": {CXone},
}

func (p *parser) checkPlatform(path string, x *Platform) {
	if !slices.Contains([]Kind{EightByEight, Vonage, CXone}, x.Kind) {
		p.at(path+".kind", "kind must be 8x8, vonage or cxone.")
		return
	}
	for key, kinds := range takers {
		if p.given(path+"."+key) && !slices.Contains(kinds, x.Kind) {
			p.at(path+"."+key, fmt.Sprintf("%s is no setting of %s: leave it out.", key, x.Kind))
		}
	}
	p.base(path, "base_url", x.BaseURL, true)
	p.timeouts(path, x)
	switch x.OnMaxPause {
	case "", "alert", "resume":
	default:
		p.at(path+".on_max_pause", "on_max_pause must be alert or resume.")
	}
	if x.MaxPause < 0 || x.MaxExtensions < 0 {
		p.at(path, "max_pause and max_extensions must not be negative.")
	} else if x.MaxPause > 0 && x.MaxPause < time.Second {
		p.at(path+".max_pause", "max_pause must be at least 1s: an agent has to finish a card in it.")
	}
	if x.MaxPause == 0 && (x.OnMaxPause != "" || x.MaxExtensions != 0) {
		p.at(path, "on_max_pause and max_extensions need max_pause, such as 3m: add it.")
	}
	p.routes(path, x)
	if x.OnMaxPause == "resume" && !x.Has(recording.RouteServer) {
		p.at(path+".on_max_pause", "on_max_pause: resume needs the server route, because nobody may be at the browser: name server in routes, or write alert.")
	}
	switch x.Kind {
	case EightByEight:
		p.checkEightByEight(path, x)
	case Vonage:
		if p.need(path, "account", x.Account) && !plain.MatchString(x.Account) {
			p.at(path+".account", "account must be the account key: letters, digits, dots, dashes and underscores, at most 64.")
		}
		p.need(path, "client_id", x.ClientID)
		x.ClientSecret.String = p.secret(path, "client_secret", x.ClientSecret, x.ClientSecretFile, true, "the client's secret")
		p.base(path, "token_url", x.TokenURL, false)
		p.oneOf(path, "token_auth", &x.TokenAuth, "form", "basic")
	case CXone:
		p.checkCXone(path, x)
	}
}

func (p *parser) checkEightByEight(path string, x *Platform) {
	if p.need(path, "tenant", x.Tenant) && !plain.MatchString(x.Tenant) {
		p.at(path+".tenant", "tenant must be of letters, digits, dots, dashes and underscores, at most 64.")
	}
	x.ActionToken.String = p.secret(path, "action_token", x.ActionToken, x.ActionTokenFile, true, "the tenant's Action Request Token from Configuration Manager")
	x.DataToken.String = p.secret(path, "data_token", x.DataToken, x.DataTokenFile, false, "the tenant's Data Request Token")
	if x.Combine && (!x.Has(recording.RouteSession) || !x.Has(recording.RouteServer)) {
		p.at(path+".combine", "combine needs both routes: name session and server in routes.")
	}
	switch x.Session.Transport {
	case "":
		x.Session.Transport = recording.TransportAuto
	case recording.TransportAuto, recording.TransportIframe, recording.TransportPopup:
	default:
		p.at(path+".session.transport", "transport must be auto, iframe or popup.")
	}
	p.oneOf(path+".session", "method", &x.Session.Method, "GET", "POST")
}

func (p *parser) checkCXone(path string, x *Platform) {
	p.need(path, "access_key_id", x.AccessKeyID)
	x.AccessKeySecret.String = p.secret(path, "access_key_secret", x.AccessKeySecret, x.AccessKeySecretFile, true, "the access key's secret")
	p.base(path, "token_url", x.TokenURL, true)
	p.oneOf(path, "token_form", &x.TokenForm, "access_key", "password")
	p.oneOf(path, "pause_with", &x.PauseWith, "mask", "stop")
	p.oneOf(path, "media_type", &x.MediaType, "voice", "voiceAndScreen")
	p.oneOf(path, "api", &x.API, "v1", "document")
	p.oneOf(path, "status", &x.Status, "on", "off")
	if x.TokenForm == "password" {
		p.need(path, "client_id", x.ClientID)
		x.ClientSecret.String = p.secret(path, "client_secret", x.ClientSecret, x.ClientSecretFile, true, "the registered application's secret")
	} else if x.ClientID != "" || !x.ClientSecret.IsZero() || x.ClientSecretFile != "" {
		p.at(path+".client_id", "client_id and client_secret are for token_form: password only: add that, or leave them out.")
	}
	if x.PauseWith == "stop" && x.Status == "off" {
		p.at(path+".pause_with", "pause_with: stop needs the status call, or nobody knows whether a resume may start a recording: use mask, or status: on.")
	}
}

// routes judges the order of preference; without one it is all that the kind has.
func (p *parser) routes(path string, x *Platform) {
	has := []recording.Route{recording.RouteServer}
	if x.Kind == EightByEight {
		has = []recording.Route{recording.RouteSession, recording.RouteServer}
	}
	if x.Routes == nil {
		x.Routes = has
	}
	if len(x.Routes) == 0 {
		p.at(path+".routes", "routes must name session, server or both.")
	}
	for i, route := range x.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		switch {
		case route != recording.RouteSession && route != recording.RouteServer:
			p.at(at, "A route is session or server.")
		case !slices.Contains(has, route):
			p.at(at, fmt.Sprintf("%s has no %s route: leave it out.", x.Kind, route))
		case slices.Contains(x.Routes[:i], route):
			p.at(at, "This route is named twice: keep one.")
		}
	}
}

func (p *parser) timeouts(path string, x *Platform) {
	t := &x.Timeouts
	if t.Try < 0 || t.Attempt < 0 {
		p.at(path+".timeouts", "Timeouts must not be negative.")
	}
	if t.Try == 0 {
		t.Try = defaultTry
	}
	if t.Attempt == 0 {
		t.Attempt = max(defaultAttempt, t.Try)
	}
	if t.Try > t.Attempt {
		p.at(path+".timeouts", "One try must not take longer than the whole attempt: lower try or raise attempt.")
	}
	if t.Attempt > 2*time.Minute {
		p.at(path+".timeouts", "An attempt must end within 2m: an agent is waiting for it.")
	}
}

func (p *parser) checkAgents(c *Config) {
	if len(c.Agents) == 0 {
		p.at("agents", "There is no agent: add one to agents.")
	}
	first := map[string]int{}
	for i := range c.Agents {
		path, a := fmt.Sprintf("agents[%d]", i), &c.Agents[i]
		if address, err := mail.ParseAddress(a.Email); err != nil || address.Address != a.Email || len(a.Email) > 254 {
			p.at(path+".email", "email must be an address such as bill@acme.example.")
		} else if line, there := first[identity.Fold(a.Email)]; there {
			p.at(path+".email", fmt.Sprintf("This address is there already, on line %d: one agent, one address.", line))
		} else {
			first[identity.Fold(a.Email)] = p.line(path + ".email")
		}
		switch a.Role {
		case "":
			a.Role = identity.Agent
		case identity.Agent, identity.Supervisor, identity.Admin:
		default:
			p.at(path+".role", "role must be agent, supervisor or admin.")
		}
		if _, ok := c.Platform(a.Platform); !ok && (a.Platform != "" || a.Role == identity.Agent) {
			p.at(path+".platform", "platform must be the name of one of platforms.")
		}
		if a.AgentID != "" && (strings.ContainsAny(a.AgentID, "/\\?#%") || strings.Trim(a.AgentID, ".") == "" || len(a.AgentID) > 128) {
			p.at(path+".agent_id", "agent_id must be the platform's own id, without slashes.")
		}
	}
}

// warnings lists what is allowed and dangerous, and what is asked for and not done yet, so that nobody relies on it.
func (p *parser) warnings(c *Config) []Finding {
	var out []Finding
	warn := func(path, text string) { out = append(out, Finding{p.line(path), text}) }
	if c.Identity.Demo {
		if !c.PublicURL.IsZero() && !IsLoopback(c.PublicURL.Hostname()) {
			warn("identity.demo", "DANGER: demo believes whoever says an address, and public_url is no loopback name: whoever reaches it can pause and resume as any agent. Use it for a trial with nobody's real calls only.")
		}
		if len(c.Proxies) > 0 {
			warn("identity.demo", "DANGER: demo believes whoever says an address, and trusted_proxies pass others on to it: whoever reaches them can pause and resume as any agent. Use it for a trial with nobody's real calls only.")
		}
	}
	if c.Identity.Demo && c.Identity.Proxy != nil {
		warn("identity.demo", "DANGER: demo believes whoever says an address, beside a proxy that knows better: leave demo out.")
	}
	if c.Store == "" {
		warn("", "There is no store: attempts are kept in memory only, and forgotten when the server ends. Write store: sqlite:offrecord.db.")
		for _, key := range []string{"spool", "retention", "audit", "evidence"} {
			if p.given(key) {
				warn(key, key+" does nothing without store.")
			}
		}
	}
	if p.given("evidence") && !slices.ContainsFunc(c.Platforms, func(x Platform) bool { return !x.DataToken.IsZero() }) {
		warn("evidence", "evidence is taken from 8x8's recordings: it does nothing without a platform that has a data_token_file.")
	}
	for i, x := range c.Platforms {
		path := fmt.Sprintf("platforms[%d]", i)
		if x.DataToken.IsZero() && p.given(path+".data_tenant") {
			warn(path+".data_tenant", "data_tenant is the tenant's name in the Recordings API: it does nothing without data_token_file.")
		}
	}
	first := map[[2]string]int{}
	for i, a := range c.Agents {
		path := fmt.Sprintf("agents[%d]", i)
		x, ok := c.Platform(a.Platform)
		if !ok {
			continue
		}
		if a.AgentID == "" {
			if x.Kind != EightByEight && a.Role == identity.Agent {
				warn(path, fmt.Sprintf("%s finds an agent by its own id only: without agent_id this agent can't act.", x.Kind))
			}
			continue
		}
		key := [2]string{a.Platform, a.AgentID}
		if line, there := first[key]; there {
			warn(path, fmt.Sprintf("This agent_id is there already, on line %d: two people would act on one recording, and neither panel would know of the other.", line))
		} else {
			first[key] = p.line(path)
		}
	}
	return out
}

// given reports whether the file has something at a path.
func (p *parser) given(path string) bool {
	_, ok := p.lines[path]
	return ok
}

func (p *parser) hostPort(path, value string, required bool) (host string) {
	if value == "" {
		if required {
			p.at(path, path+" is missing: write listen: 127.0.0.1:8080.")
		}
		return ""
	}
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		p.at(path, path+" must be a host and a port such as 127.0.0.1:8080.")
		return ""
	}
	if host == "" {
		return "0.0.0.0" // every address of the machine
	}
	return host
}

func (p *parser) prefix(path, cidr string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(cidr)
	switch {
	case err != nil:
		p.at(path, "This must be a network such as 10.0.0.0/8.")
		return prefix, false
	case prefix.Bits() == 0:
		p.at(path, "This network is everyone: name the proxy's own.")
		return prefix, false
	}
	return prefix, true
}

func (p *parser) https(path string, u URL) {
	if u.Scheme != "https" && !IsLoopback(u.Hostname()) {
		p.at(path, "Plain http is for loopback only: make the address https.")
	}
}

func (p *parser) base(path, key string, u URL, required bool) {
	if u.IsZero() {
		if required {
			p.at(path+"."+key, key+" is missing: write the platform's https address.")
		}
		return
	}
	p.https(path+"."+key, u)
}

func (p *parser) origin(path, value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") ||
		strings.ContainsAny(value, "*;, \t\r\n'\"") {
		p.at(path, "An origin is a scheme and a host and no more, such as https://acme.my.salesforce.com.")
		return
	}
	p.https(path, URL{u})
}

func (p *parser) need(path, key, value string) bool {
	if value == "" {
		p.at(path+"."+key, key+" is missing: add it to this platform.")
	}
	return value != ""
}

func (p *parser) oneOf(path, key string, value *string, choices ...string) {
	if *value == "" {
		*value = choices[0]
	}
	if !slices.Contains(choices, *value) {
		p.at(path+"."+key, key+" must be "+strings.Join(choices, " or ")+".")
	}
}

// secret takes a secret from the environment or from a file, one of the two.
func (p *parser) secret(path, key string, inline Secret, file string, required bool, what string) secret.String {
	switch {
	case !inline.IsZero() && file != "":
		p.at(path+"."+key, fmt.Sprintf("%s and %s_file are both given: keep one.", key, key))
	case !inline.IsZero() && !p.fromEnv[path+"."+key]:
		p.at(path+"."+key, fmt.Sprintf("%s must not stand in this file: write ${NAME} for an environment variable, or use %s_file.", key, key))
	case !inline.IsZero():
		return inline.String
	case file != "":
		return p.secretFile(path+"."+key+"_file", file)
	case required:
		p.at(path+"."+key, fmt.Sprintf("%s_file is missing: it names the file that holds %s.", key, what))
	}
	return secret.String{}
}

// secretFile reads a secret; the newline that an editor leaves at its end isn't part of it.
func (p *parser) secretFile(path, name string) secret.String {
	f, err := os.Open(p.resolve(name))
	if err != nil {
		p.at(path, "This file can't be opened: create it, readable for offrecord only, or correct its name.")
		return secret.String{}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	text = bytes.TrimRight(text, "\r\n")
	switch {
	case err != nil:
		p.at(path, "This file can't be read: correct its name or its permissions.")
	case len(text) > maxFile:
		p.at(path, "This file is too large for a secret: at most 1 MiB.")
	case len(bytes.TrimSpace(text)) == 0:
		p.at(path, "This file is empty: put the secret into it.")
	default:
		return secret.New(string(text))
	}
	return secret.String{}
}

// file resolves a file's name and refuses one that can't be opened.
func (p *parser) file(path, key, name string, required bool) string {
	if name == "" {
		if required {
			p.at(path+"."+key, key+" is missing: name the file.")
		}
		return ""
	}
	resolved := p.resolve(name)
	f, err := os.Open(resolved)
	if err != nil {
		p.at(path+"."+key, "This file can't be opened: correct its name or its permissions.")
		return ""
	}
	f.Close()
	return resolved
}

func (p *parser) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.env.Dir, name)
}
