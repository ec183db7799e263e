package config

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"offrecord/web/identity/embedjwt"
)

// headerName is a header's name that no gateway takes for another one's.
var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// taken are headers that everyone may send and that mean something else.
var taken = []string{"Accept", "Authorization", "Connection", "Content-Type", "Cookie", "Forwarded", "Host", "Last-Event-Id", "Origin", "Referer", "User-Agent",
	"Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

func (p *parser) checkIdentity(c *Config) {
	id := &c.Identity
	if id.OIDC != nil {
		p.checkOIDC(c, id.OIDC)
	}
	if id.EmbedJWT != nil {
		p.checkEmbedJWT(id.EmbedJWT)
	}
	if id.Proxy != nil {
		p.checkProxy(id.Proxy)
	}
	if id.Demo {
		if host, _, err := net.SplitHostPort(c.Listen); err == nil && !IsLoopback(host) {
			p.at("identity.demo", "demo believes whoever says an address, so it is for loopback only: listen on 127.0.0.1, or use another identity.")
		}
	}
	if id.OIDC == nil && id.EmbedJWT == nil && id.Proxy == nil && !id.Demo {
		p.at("identity", "Nobody could log in: give identity one way, on loopback for example demo: true.")
	}
}

func (p *parser) checkOIDC(c *Config, o *OIDC) {
	const path = "identity.oidc"
	if o.Issuer.IsZero() {
		p.at(path+".issuer", "issuer is missing: write the provider's issuer, the https address before /.well-known/openid-configuration.")
	} else {
		p.https(path+".issuer", o.Issuer)
	}
	if o.ClientID == "" {
		p.at(path+".client_id", "client_id is missing: register offrecord with the provider and write the id that it gives.")
	}
	o.Key = p.secret(path, "client_secret", o.ClientSecret, o.ClientSecretFile, true, "the client's secret")
	if c.PublicURL.IsZero() {
		p.at(path, "identity.oidc needs public_url: the provider sends browsers back to /login/oidc/callback there.")
	}
}

func (p *parser) checkEmbedJWT(j *EmbedJWT) {
	const path = "identity.embed_jwt"
	if j.Issuer == "" {
		p.at(path+".issuer", "issuer is missing: write what the CRM puts into the tokens' iss.")
	}
	if j.Audience == "" {
		p.at(path+".audience", "audience is missing: write what the CRM puts into the tokens' aud, such as offrecord.")
	}
	at, err := path+".public_key_file", error(nil)
	inline := !j.Secret.IsZero() || j.SecretFile != ""
	switch {
	case j.PublicKeyFile != "" && inline:
		p.at(path, "identity.embed_jwt takes a public_key_file or a secret, not both.")
	case j.PublicKeyFile != "":
		file := p.file(path, "public_key_file", j.PublicKeyFile, true)
		if file == "" {
			return
		}
		var text []byte
		if text, err = os.ReadFile(file); err != nil || len(text) > maxFile {
			p.at(at, "This file can't be read, or is too large for a key: correct its name or its permissions.")
			return
		}
		j.Key, err = embedjwt.PublicKey(text)
	default:
		if at = path + ".secret_file"; !p.given(at) {
			at = path + ".secret"
		}
		text := p.secret(path, "secret", j.Secret, j.SecretFile, true, "the key of HS256, or give public_key_file")
		if text.IsZero() {
			return
		}
		j.Key, err = embedjwt.SharedKey(text)
	}
	if err != nil {
		text := err.Error()
		p.at(at, strings.ToUpper(text[:1])+text[1:]+".")
	}
}

func (p *parser) checkProxy(x *Proxy) {
	const path = "identity.proxy"
	switch {
	case x.Header == "":
		p.at(path+".header", "header is missing: write the name of the header that the proxy sets, such as X-Forwarded-Email.")
	case !headerName.MatchString(x.Header):
		p.at(path+".header", "header must be of letters, digits and dashes: servers take underscores and the like for one another.")
	case slices.Contains(taken, http.CanonicalHeaderKey(x.Header)):
		p.at(path+".header", "This header means something else: have the proxy set one of its own, such as X-Forwarded-Email.")
	}
	if len(x.TrustedCIDRs) == 0 {
		p.at(path, "identity.proxy needs trusted_cidrs: without them anyone could send the header and be anyone.")
	}
	for i, cidr := range x.TrustedCIDRs {
		if prefix, ok := p.prefix(fmt.Sprintf(path+".trusted_cidrs[%d]", i), cidr); ok {
			x.Trusted = append(x.Trusted, prefix)
		}
	}
}
