package config_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offrecord/web/config"
)

// keyed is environment with keys of every kind.
func keyed(t *testing.T) config.Environment {
	t.Helper()
	env := environment(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(env.Dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, key := range map[string]any{"p256": &p256.PublicKey, "p384": &p384.PublicKey, "rsa": &long.PublicKey, "rsa1024": &short.PublicKey, "ed25519": edwards} {
		der, err := x509.MarshalPKIXPublicKey(key)
		write(name, "PUBLIC KEY", der, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p256)
	write("private", "PRIVATE KEY", der, err)
	write("rsa-pkcs1", "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&long.PublicKey), nil)
	write("nonsense", "PUBLIC KEY", []byte{1}, nil)
	one, _ := os.ReadFile(filepath.Join(env.Dir, "p256"))
	two, _ := os.ReadFile(filepath.Join(env.Dir, "rsa"))
	for name, text := range map[string]string{"both": string(one) + string(two), "hs256": strings.Repeat("k", 32), "short": strings.Repeat("k", 31)} {
		if err := os.WriteFile(filepath.Join(env.Dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return env
}

func TestIdentity(t *testing.T) {
	const demo = "identity: {demo: true}\n"
	env := keyed(t)
	oidc := func(change ...string) string {
		text := strings.NewReplacer(change...).Replace("  oidc:\n    issuer: https://id.example\n    client_id: offrecord\n    client_secret_file: token\n")
		return "identity:\n" + text + "public_url: https://offrecord.example\n"
	}
	embed := func(key string) string {
		return "identity:\n  embed_jwt:\n    issuer: https://crm.example\n    audience: offrecord\n    " + key + "\n"
	}
	proxy := func(header, networks string) string {
		return "identity:\n  proxy:\n    header: " + header + "\n    trusted_cidrs: " + networks + "\n"
	}
	tests := []struct {
		name, identity string
		line           int
		says           string // empty: it is taken
	}{
		{"a provider", oidc(), 0, ""},
		{"a provider on loopback", oidc("https://id.example", "http://id.localhost:9000/realm"), 0, ""},
		{"a provider in the open", oidc("https://", "http://"), 4, "loopback only"},
		{"a provider without its issuer", oidc("    issuer: https://id.example\n", ""), 3, "issuer is missing"},
		{"a provider with a query", oidc("id.example", "id.example?x=1"), 4, "before ? and #"},
		{"a provider without our name there", oidc("    client_id: offrecord\n", ""), 3, "client_id is missing"},
		{"a provider without our secret", oidc("    client_secret_file: token\n", ""), 3, "client_secret_file is missing"},
		{"a provider with a secret in the file", oidc("_file: token", ": "+canary), 6, "must not stand in this file"},
		{"a provider that doesn't know the way back", strings.Split(oidc(), "public_url")[0], 3, "needs public_url"},

		{"a CRM with ES256", embed("public_key_file: p256"), 0, ""},
		{"a CRM with RS256", embed("public_key_file: rsa"), 0, ""},
		{"a CRM with RS256, as PKCS #1", embed("public_key_file: rsa-pkcs1"), 0, ""},
		{"a CRM with HS256", embed("secret_file: hs256"), 0, ""},
		{"a CRM with another curve", embed("public_key_file: p384"), 6, "take P-256"},
		{"a CRM with a short RSA key", embed("public_key_file: rsa1024"), 6, "shorter than 2048"},
		{"a CRM with another kind of key", embed("public_key_file: ed25519"), 6, "none of RS256 and ES256"},
		{"a CRM's private key", embed("public_key_file: private"), 6, "belongs to the CRM alone"},
		{"a CRM's two keys", embed("public_key_file: both"), 6, "more than one key"},
		{"a CRM's key that is none", embed("public_key_file: token"), 6, "isn't a public key in PEM"},
		{"a CRM's key that can't be read", embed("public_key_file: nonsense"), 6, "can't be read"},
		{"a CRM's key that isn't there", embed("public_key_file: nowhere"), 6, "can't be opened"},
		{"a public key for a secret", embed("secret_file: rsa"), 6, "no secret of HS256"},
		{"a short secret", embed("secret_file: short"), 6, "at least 32 bytes"},
		{"a short secret of the environment", embed("secret: ${TOKEN}"), 6, "at least 32 bytes"},
		{"a secret in the file", embed("secret: " + canary), 6, "must not stand in this file"},
		{"a key and a secret", embed("public_key_file: p256\n    secret_file: hs256"), 3, "not both"},
		{"neither key nor secret", embed(""), 3, "secret_file is missing"},
		{"a CRM without a name", strings.Replace(embed("secret_file: hs256"), "    issuer: https://crm.example\n", "", 1), 3, "issuer is missing"},
		{"a CRM without us", strings.Replace(embed("secret_file: hs256"), "    audience: offrecord\n", "", 1), 3, "audience is missing"},

		{"a proxy", proxy("X-Forwarded-Email", "[10.0.0.0/8, 127.0.0.1/32]"), 0, ""},
		{"a proxy from anywhere", proxy("X-Forwarded-Email", "[]"), 3, "needs trusted_cidrs"},
		{"a proxy from everywhere", proxy("X-Forwarded-Email", "[0.0.0.0/0]"), 5, "everyone"},
		{"a proxy from everywhere, by IPv6", proxy("X-Forwarded-Email", "['::/0']"), 5, "everyone"},
		{"a proxy's network that is none", proxy("X-Forwarded-Email", "[nginx]"), 5, "a network such as"},
		{"a proxy without a header", proxy("''", "[10.0.0.0/8]"), 4, "header is missing"},
		{"a header with underscores", proxy("X_Forwarded_Email", "[10.0.0.0/8]"), 4, "letters, digits and dashes"},
		{"a header that everyone sends", proxy("x-forwarded-for", "[10.0.0.0/8]"), 4, "means something else"},
		{"a header that is a cookie", proxy("cookie", "[10.0.0.0/8]"), 4, "means something else"},

		{"nobody", "identity: {}\n", 2, "Nobody could log in"},
		{"the demo for all", strings.Replace(demo, "demo: true", "demo: false", 1), 2, "Nobody could log in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good, demo, tt.identity, 1)
			if tt.says != "" {
				refusedIn(t, env, text, tt.line, tt.says)
				return
			}
			c, err := config.Parse([]byte(text), env)
			if err != nil || len(c.Warnings) != 0 {
				t.Fatalf("%v %v", err, c)
			}
			for _, secret := range []string{canary, strings.Repeat("k", 32), fmt.Sprint([]byte(strings.Repeat("k", 32)))} {
				if strings.Contains(fmt.Sprintf("%v %+v %#v %+v %#v %v", c, c, c, c.Identity.OIDC, c.Identity.EmbedJWT, c.Identity.EmbedJWT), strings.Trim(secret, "[]")) {
					t.Error("printing it gives the key away")
				}
			}
		})
	}
	c, err := config.Parse([]byte(strings.Replace(good, demo, "identity:\n  demo: true\n  proxy: {header: X-Email, trusted_cidrs: [127.0.0.1/32]}\n", 1)), env)
	if err != nil || len(c.Warnings) != 1 || c.Warnings[0].Line != 3 || !strings.Contains(c.Warnings[0].Text, "leave demo out") {
		t.Errorf("the demo beside a proxy: %v, %v", err, c)
	}
}
