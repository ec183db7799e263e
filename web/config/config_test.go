package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/config"
	"offrecord/web/identity"
)

const canary = "canary-77aa10-secret"

// good is the smallest configuration that is.
const good = `listen: 127.0.0.1:8080
identity: {demo: true}
platforms:
  - name: acme
    kind: 8x8
    base_url: https://vcc-na4.8x8.com
    tenant: acme01
    action_token_file: token
agents:
  - {email: bill@acme.example, platform: acme}
store: sqlite:offrecord.db
`

// hookKey signs webhooks' messages.
const hookKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

// environment has a directory with the files token, hook, empty, cert.pem and key.pem, and the variables TOKEN and HOOK.
func environment(t testing.TB) config.Environment {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"token": canary + "\n", "hook": hookKey + "\n", "empty": "\n", "cert.pem": "x", "key.pem": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Environment{Dir: dir, Getenv: func(name string) (string, bool) {
		value, ok := map[string]string{"TOKEN": canary, "HOOK": hookKey, "LISTEN": "127.0.0.1:8080", "EMPTY": "", "TRY": "3s", "TRUE": "true"}[name]
		return value, ok
	}}
}

func TestTheSmallestConfiguration(t *testing.T) {
	c, err := config.Parse([]byte(good), environment(t))
	if err != nil {
		t.Fatal(err)
	}
	p, ok := c.Platform("acme")
	if !ok || p.ActionToken.Reveal() != canary || p.Session.Transport != recording.TransportAuto || p.Session.Method != "GET" ||
		p.Timeouts != (config.Timeouts{Try: 5 * time.Second, Attempt: 15 * time.Second}) || len(p.Routes) != 2 {
		t.Errorf("the platform: %+v", p)
	}
	if c.Agents[0].Role != identity.Agent || c.Secure() || len(c.Warnings) != 0 {
		t.Errorf("%+v", c)
	}
	if text := fmt.Sprintf("%v %+v %#v %v", c, c, c, p); strings.Contains(text, canary) {
		t.Error("printing the configuration gives the token away")
	}
}

func TestEverySettingOfTheDesign(t *testing.T) {
	text := `
listen: ${LISTEN}
metrics_listen: 127.0.0.1:9090
public_url: https://offrecord.localhost
tls: {cert_file: cert.pem, key_file: key.pem}
store: sqlite:offrecord.db
spool: offrecord.spool
retention: 8760h
audit: {signing_key_file: token, checkpoint_file: checkpoints, hash_identifiers: "${TRUE}", checkpoint_webhook: https://elsewhere.example.com, checkpoint_secret: "${HOOK}"}
alerts: {webhook: https://alerts.example.com/x, secret_file: hook}
evidence: {nightly: "03:15", every: true}
embed_origins: [https://acme.my.salesforce.com]
identity: {demo: true}
platforms:
  - name: acme
    kind: 8x8
    base_url: https://vcc-na4.8x8.com
    tenant: acme01
    data_tenant: acme
    action_token: ${TOKEN}
    data_token_file: token
    routes: [session, server]
    combine: true
    session: {transport: popup, method: POST}
    max_pause: 3m
    on_max_pause: alert
    max_extensions: 1
    timeouts: {try: "${TRY}", attempt: 15s}
  - name: emea
    kind: vonage
    base_url: https://emea.cc.vonage.com
    account: a1b2c3d4e5
    token_url: https://emea.cc.vonage.com/Auth/connect/token
    scope: x
    client_id: id
    client_secret_file: token
    token_auth: basic
  - name: cx
    kind: cxone
    base_url: https://api-na1.niceincontact.com
    token_url: https://na1.nice-incontact.com/authentication/v1/token/access-key
    access_key_id: id
    access_key_secret_file: token
    token_form: password
    client_id: app
    client_secret: ${TOKEN}
    status: on
    pause_with: stop
    media_type: voiceAndScreen
    api: document
agents:
  - {email: bill@acme.example, role: agent, platform: acme, agent_id: bill}
  - {email: vera@acme.example, role: supervisor, platform: acme}
  - {email: ann@acme.example, role: admin}
`
	c, err := config.Parse([]byte(text), environment(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.Platforms[0].Timeouts.Try != 3*time.Second || c.Platforms[1].ClientSecret.Reveal() != canary || c.Platforms[2].AccessKeySecret.Reveal() != canary ||
		!c.Secure() || c.Alerts.Key.Reveal() != hookKey || c.Audit.CheckpointKey.Reveal() != hookKey || !c.Audit.HashIdentifiers ||
		c.Evidence.At != 3*time.Hour+15*time.Minute || !c.Evidence.Every {
		t.Errorf("%+v", c)
	}
	for name, path := range map[string]string{"offrecord.db": c.StoreFile, "offrecord.spool": c.Spool, "token": c.Audit.SigningKeyFile, "checkpoints": c.Audit.CheckpointFile} {
		if !filepath.IsAbs(path) || filepath.Base(path) != name {
			t.Errorf("%s is at %q", name, path)
		}
	}
	// What isn't done is said, one line each.
	for _, w := range c.Warnings {
		if w.Line == 0 || !strings.HasSuffix(w.Text, ".") {
			t.Errorf("warning %+v", w)
		}
	}
	if p := c.Platforms[0]; p.MaxPause != 3*time.Minute || p.OnMaxPause != "alert" || p.MaxExtensions != 1 {
		t.Errorf("how long a pause may last: %+v", p)
	}
}

// TestWhatIsRefused changes one line of the good configuration each time.
func TestWhatIsRefused(t *testing.T) {
	tests := []struct {
		name, old, new string
		line           int
		says           string
	}{
		{"an unknown key", "listen:", "listne:", 1, `"listne" isn't known`},
		{"an unknown key deep inside", "    tenant: acme01", "    tenannt: acme01", 7, `"tenannt" isn't known`},
		{"a key twice", "    tenant: acme01", "    tenant: acme01\n    tenant: acme02", 8, "twice"},
		{"no YAML", "identity: {demo: true}", "identity: {demo: true", 0, "isn't YAML"},
		{"a wrong type", "identity: {demo: true}", "identity: {demo: maybe}", 2, "true or false"},
		{"an anchor", "    tenant: acme01", "    tenant: &x acme01\n    data_tenant: *x", 8, "aliases"},
		{"a merged mapping", "    tenant: acme01", "    tenant: acme01\n    <<: {kind: vonage}", 8, "Merged"},
		{"two documents", "agents:", "---\nagents:", 0, "more than one document"},
		{"a variable that isn't set", "tenant: acme01", "tenant: ${NOWHERE}", 7, "NOWHERE isn't set"},
		{"a variable that is empty", "tenant: acme01", "tenant: ${EMPTY}", 7, "EMPTY isn't set"},
		{"a variable's name that is none", "tenant: acme01", "tenant: ${a b}", 7, "name of an environment variable"},
		{"a secret in the file", "action_token_file: token", "action_token: " + canary, 8, "must not stand in this file"},
		{"a secret partly in the file", "action_token_file: token", "action_token: x${TOKEN}", 8, "must not stand in this file"},
		{"a secret twice", "action_token_file: token", "action_token_file: token\n    action_token: ${TOKEN}", 9, "keep one"},
		{"no secret", "    action_token_file: token\n", "", 4, "action_token_file is missing"},
		{"a secret's file that isn't there", "_file: token", "_file: " + canary, 8, "can't be opened"},
		{"a secret's file that is empty", "_file: token", "_file: empty", 8, "empty"},
		{"no address", "https://vcc-na4.8x8.com", "vcc-na4.8x8.com", 6, "isn't an address"},
		{"another scheme", "https://vcc-na4.8x8.com", "ftp://vcc-na4.8x8.com", 6, "isn't an address"},
		{"a password in an address", "https://vcc-na4.8x8.com", "https://u:" + canary + "@vcc-na4.8x8.com", 6, "password"},
		{"a query in an address", "https://vcc-na4.8x8.com", "https://vcc-na4.8x8.com?x=1", 6, "before ? and #"},
		{"a port that is none", "https://vcc-na4.8x8.com", "https://vcc-na4.8x8.com:70000", 6, "65535"},
		{"plain http", "https://vcc-na4.8x8.com", "http://vcc-na4.8x8.com", 6, "loopback only"},
		{"a name that looks like loopback", "https://vcc-na4.8x8.com", "http://localhost.evil.example", 6, "loopback only"},
		{"no base_url", "    base_url: https://vcc-na4.8x8.com\n", "", 4, "base_url is missing"},
		{"an unknown kind", "kind: 8x8", "kind: zoom", 5, "8x8, vonage or cxone"},
		{"another kind's setting", "    tenant: acme01", "    tenant: acme01\n    pause_with: mask", 8, "no setting of 8x8"},
		{"a platform twice", "agents:", "  - {name: acme, kind: 8x8, base_url: 'https://x.example', tenant: a, action_token_file: token}\nagents:", 9, "on line 4"},
		{"a name for a URL", "name: acme", "name: a/b", 4, "letters, digits"},
		{"a tenant with a slash", "tenant: acme01", "tenant: ../x", 7, "letters, digits"},
		{"an unknown route", "    tenant: acme01", "    tenant: acme01\n    routes: [session, carrier]", 8, "session or server"},
		{"no route", "    tenant: acme01", "    tenant: acme01\n    routes: []", 8, "session, server or both"},
		{"a combination of one", "    tenant: acme01", "    tenant: acme01\n    routes: [session]\n    combine: true", 9, "both routes"},
		{"an unknown transport", "    tenant: acme01", "    tenant: acme01\n    session: {transport: pigeon}", 8, "auto, iframe or popup"},
		{"an unknown method", "    tenant: acme01", "    tenant: acme01\n    session: {method: PUT}", 8, "GET or POST"},
		{"a limit without its length", "    tenant: acme01", "    tenant: acme01\n    on_max_pause: resume", 4, "need max_pause"},
		{"a limit nobody could keep", "    tenant: acme01", "    tenant: acme01\n    max_pause: 3ms", 8, "at least 1s"},
		{"a resume that nobody could send", "    tenant: acme01", "    tenant: acme01\n    routes: [session]\n    max_pause: 3m\n    on_max_pause: resume", 10, "needs the server route"},
		{"a try longer than the attempt", "    tenant: acme01", "    tenant: acme01\n    timeouts: {try: 20s, attempt: 10s}", 8, "longer than the whole attempt"},
		{"an attempt without end", "    tenant: acme01", "    tenant: acme01\n    timeouts: {attempt: 1h}", 8, "within 2m"},
		{"a duration that is none", "    tenant: acme01", "    tenant: acme01\n    timeouts: {attempt: soon}", 8, "a duration"},
		{"an agent twice", "platform: acme}\n", "platform: acme}\n  - {email: BILL@acme.example, platform: acme}\n", 11, "on line 10"},
		{"no email", "email: bill@acme.example", "email: bill", 10, "an address such as"},
		{"an unknown role", "platform: acme}", "platform: acme, role: god}", 10, "agent, supervisor or admin"},
		{"an unknown platform", "platform: acme}", "platform: acne}", 10, "name of one of platforms"},
		{"an agent's id with a slash", "platform: acme}", "platform: acme, agent_id: a/b}", 10, "without slashes"},
		{"an agent's id of dots", "platform: acme}", "platform: acme, agent_id: ..}", 10, "without slashes"},
		{"plain http off loopback", "127.0.0.1:8080", "0.0.0.0:8080", 1, "loopback only"},
		{"every address", "127.0.0.1:8080", ":8080", 1, "loopback only"},
		{"the demo off loopback", "127.0.0.1:8080", "192.0.2.1:8080", 2, "for loopback only"},
		{"a listener that is none", "127.0.0.1:8080", "8080", 1, "a host and a port"},
		{"metrics in public", "identity:", "metrics_listen: 127.0.0.1:8080\nidentity:", 2, "port of its own"},
		{"a link's life that is none", "identity:", "link_lifetime: 1s\nidentity:", 2, "at least 1m"},
		{"a path in public_url", "identity:", "public_url: http://localhost/x\nidentity:", 2, "no path"},
		{"half of tls", "identity:", "tls: {cert_file: cert.pem}\nidentity:", 2, "key_file is missing"},
		{"everyone is a proxy", "identity:", "trusted_proxies: [0.0.0.0/0]\nidentity:", 2, "everyone"},
		{"a proxy that is no network", "identity:", "trusted_proxies: [nginx]\nidentity:", 2, "a network such as"},
		{"an origin with a path", "identity:", "embed_origins: [https://crm.example/x]\nidentity:", 2, "no more"},
		{"any origin", "identity:", "embed_origins: ['https://*.example']\nidentity:", 2, "no more"},
		{"an origin in plain http", "identity:", "embed_origins: [http://crm.example]\nidentity:", 2, "loopback only"},
		{"a short retention", "identity:", "retention: 1h\nidentity:", 2, "at least 24h"},
		{"a spool that is the store", "store:", "spool: offrecord.db\nstore:", 11, "are the same file"},
		{"another store", "sqlite:offrecord.db", "postgres://x", 11, "isn't supported"},
		{"nobody can log in", "identity: {demo: true}", "identity: {}", 2, "Nobody could log in"},
		{"no platform", "platforms:", "platforms: []\nx:", 4, `"x" isn't known`},
		{"a night without a time", "identity:", "evidence: {nightly: soon}\nidentity:", 2, "such as 02:30, or off"},
		{"alerts to nobody", "identity:", "alerts: {secret_file: hook}\nidentity:", 2, "needs webhook"},
		{"alerts in the open", "identity:", "alerts: {webhook: http://alerts.example.com, secret_file: hook}\nidentity:", 2, "loopback only"},
		{"alerts without a key", "identity:", "alerts: {webhook: https://alerts.example.com}\nidentity:", 2, "secret_file is missing"},
		{"alerts with a password for a key", "identity:", "alerts: {webhook: https://alerts.example.com, secret_file: token}\nidentity:", 2, "make one with"},
		{"checkpoints to nobody", "identity:", "audit: {checkpoint_secret_file: hook}\nidentity:", 2, "is for checkpoint_webhook"},
		{"checkpoints with a password for a key", "identity:", "audit: {checkpoint_webhook: https://x.example, checkpoint_secret: '${TOKEN}'}\nidentity:", 2, "make one with"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, good, tt.old, tt.new, tt.line, tt.says)
		})
	}
}

// refused changes a good configuration once and checks that it is refused for that.
func refused(t *testing.T, text, from, to string, line int, says string) {
	t.Helper()
	if !strings.Contains(text, from) {
		t.Fatalf("%q isn't in the good one", from)
	}
	refusedIn(t, environment(t), strings.Replace(text, from, to, 1), line, says)
}

// refusedIn checks that a configuration is refused.
func refusedIn(t *testing.T, env config.Environment, text string, line int, says string) {
	t.Helper()
	c, err := config.Parse([]byte(text), env)
	var findings config.Findings
	if c != nil || !errors.As(err, &findings) || len(findings) == 0 {
		t.Fatalf("it was taken: %v", err)
	}
	found := false
	for _, f := range findings {
		if strings.Contains(f.Text, says) && (line == 0 || f.Line == line) {
			found = true
		}
		if !strings.HasSuffix(f.Text, ".") {
			t.Errorf("no sentence: %q", f.Text)
		}
	}
	if !found {
		t.Errorf("no finding on line %d that says %q:\n%v", line, says, err)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("a finding repeats a value: %v", err)
	}
}

// others are a Vonage and a CXone account.
const others = `listen: 127.0.0.1:8080
identity: {demo: true}
platforms:
  - name: emea
    kind: vonage
    base_url: https://emea.cc.vonage.com
    account: a1b2c3d4e5
    client_id: id
    client_secret_file: token
  - name: cx
    kind: cxone
    base_url: https://api-na1.niceincontact.com
    token_url: https://na1.nice-incontact.com/authentication/v1/token/access-key
    access_key_id: key
    access_key_secret_file: token
agents:
  - {email: vera@emea.example, platform: emea, agent_id: "17"}
  - {email: nico@cx.example, platform: cx, agent_id: "4711"}
store: sqlite:offrecord.db
`

func TestTheOtherKinds(t *testing.T) {
	c, err := config.Parse([]byte(others), environment(t))
	if err != nil || len(c.Warnings) != 0 {
		t.Fatal(err, c.Warnings)
	}
	if v, x := c.Platforms[0], c.Platforms[1]; v.TokenAuth != "form" || !v.Has(recording.RouteServer) || v.Has(recording.RouteSession) ||
		x.TokenForm != "access_key" || x.Status != "on" || x.PauseWith != "mask" || x.MediaType != "voice" || x.API != "v1" || !x.Has(recording.RouteServer) {
		t.Errorf("%+v\n%+v", v, x)
	}
	tests := []struct {
		name, old, new string
		line           int
		says           string
	}{
		{"no account", "    account: a1b2c3d4e5\n", "", 4, "account is missing"},
		{"an account with a slash", "a1b2c3d4e5", "../x", 7, "account key"},
		{"no client", "    client_id: id\n", "", 4, "client_id is missing"},
		{"no client's secret", "    client_secret_file: token\n", "", 4, "client_secret_file is missing"},
		{"plain http for tokens", "    account:", "    token_url: http://emea.cc.vonage.com/token\n    account:", 7, "loopback only"},
		{"an unknown way to hand the secret over", "    account:", "    token_auth: digest\n    account:", 7, "form or basic"},
		{"a session route", "    account:", "    routes: [session, server]\n    account:", 7, "vonage has no session route"},
		{"a combination", "    account:", "    combine: true\n    account:", 7, "no setting of vonage"},
		{"8x8's token", "    account:", "    action_token_file: token\n    account:", 7, "no setting of vonage"},
		{"no access key", "    access_key_id: key\n", "", 10, "access_key_id is missing"},
		{"no access key's secret", "    access_key_secret_file: token\n", "", 10, "access_key_secret_file is missing"},
		{"no address for tokens", "    token_url: https://na1.nice-incontact.com/authentication/v1/token/access-key\n", "", 10, "token_url is missing"},
		{"an unknown pause", "    access_key_id:", "    pause_with: hold\n    access_key_id:", 14, "mask or stop"},
		{"an unknown medium", "    access_key_id:", "    media_type: video\n    access_key_id:", 14, "voice or voiceAndScreen"},
		{"an unknown form of paths", "    access_key_id:", "    api: v2\n    access_key_id:", 14, "v1 or document"},
		{"an unknown form of tokens", "    access_key_id:", "    token_form: saml\n    access_key_id:", 14, "access_key or password"},
		{"an unknown status", "    access_key_id:", "    status: maybe\n    access_key_id:", 14, "on or off"},
		{"the password form without its client", "    access_key_id:", "    token_form: password\n    access_key_id:", 10, "client_id is missing"},
		{"a client that nobody asks for", "    access_key_id:", "    client_id: app\n    access_key_id:", 14, "token_form: password only"},
		{"a stop that can't be looked at", "    access_key_id:", "    pause_with: stop\n    status: off\n    access_key_id:", 14, "needs the status call"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, others, tt.old, tt.new, tt.line, tt.says) })
	}
}

func TestWhatIsDangerousIsSaid(t *testing.T) {
	tests := []struct {
		name, text, old, new string
		line                 int
		says                 string
	}{
		{"the demo under a public name", good, "identity:", "public_url: https://offrecord.example\nidentity:", 3, "no loopback name"},
		{"the demo behind a proxy", good, "identity:", "trusted_proxies: [10.0.0.0/8]\nidentity:", 3, "trusted_proxies"},
		{"no store", good, "store: sqlite:offrecord.db\n", "", 1, "kept in memory only"},
		{"evidence of nothing", good, "identity:", "evidence: {nightly: off}\nidentity:", 2, "does nothing"},
		{"a name for what isn't asked", good, "    tenant: acme01\n", "    tenant: acme01\n    data_tenant: acme\n", 8, "does nothing without data_token_file"},
		{"an agent who can't be found", others, `, agent_id: "17"`, "", 17, "without agent_id"},
		{"two people of one agent", others, "  - {email: nico", "  - {email: vik@emea.example, platform: emea, agent_id: \"17\"}\n  - {email: nico", 18, "on line 17"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(tt.text, tt.old) {
				t.Fatalf("%q isn't in it", tt.old)
			}
			c, err := config.Parse([]byte(strings.Replace(tt.text, tt.old, tt.new, 1)), environment(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Warnings) != 1 || c.Warnings[0].Line != tt.line || !strings.Contains(c.Warnings[0].Text, tt.says) {
				t.Errorf("%v", c.Warnings)
			}
		})
	}
}

func TestAllFindingsAreReportedAtOnce(t *testing.T) {
	text := strings.NewReplacer("https://vcc", "http://vcc", "tenant: acme01", "tenant: a/b", "bill@acme.example", "bill", "_file: token", "_file: nowhere").Replace(good)
	_, err := config.Parse([]byte(text), environment(t))
	var findings config.Findings
	if !errors.As(err, &findings) || len(findings) != 4 {
		t.Errorf("%v", err)
	}
	for i := 1; i < len(findings); i++ {
		if findings[i].Line < findings[i-1].Line {
			t.Errorf("not in the file's order:\n%v", err)
		}
	}
	_, err = config.Parse([]byte("listne: x\nidentity: {demo: maybe}\nfoo: 1\n"), environment(t))
	if !errors.As(err, &findings) || len(findings) != 3 {
		t.Errorf("%v", err)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.10": true, "::1": true, "[::1]": true, "localhost": true, "LOCALHOST": true, "panel.localhost": true, "a.b.localhost.": true,
		"::ffff:127.0.0.1": true, "0.0.0.0": false, "localhost.example": false, "127.0.0.1.example": false, "notlocalhost": false, "": false, "128.0.0.1": false, "::": false,
	} {
		if got := config.IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := environment(t).Dir
	file := filepath.Join(dir, "offrecord.yaml")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file); err != nil {
		t.Error(err) // the token's file is found beside it
	}
	if _, err := config.Load(file + "x"); err == nil {
		t.Error("a file that isn't there was loaded")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("listen: ${LISTEN}\nplatforms: [{name: a, kind: vonage, base_url: 'https://x'}]\nagents: [{email: a@b}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("tls:\n  ? [a]\n  : b\n"))
	f.Add([]byte("identity: null\nplatforms: [null]\nagents: [~, {}]\n"))
	env := environment(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse(text, env)
		if err == nil {
			id := c.Identity
			if len(c.Agents) == 0 || len(c.Platforms) == 0 || !id.Demo && id.OIDC == nil && id.EmbedJWT == nil && (id.Proxy == nil || len(id.Proxy.Trusted) == 0) {
				t.Errorf("nobody could use it: %+v", c)
			}
			return
		}
		var findings config.Findings
		if c != nil || !errors.As(err, &findings) || len(findings) == 0 {
			t.Errorf("refused without a finding: %v", err)
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("a finding repeats a secret: %v", err)
		}
	})
}
