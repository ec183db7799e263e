// Package embedjwt verifies the tokens by which a CRM's server says who is at its page: a JWT (RFC 7519), signed with the one
// configured key, for this server, of this minute, and used once.
//
// The key decides which algorithm is taken; what a token's header says can only differ from it and be refused (RFC 8725, 3.1).
// A token that brings a key, names a place to fetch one, or asks for anything else than a plain signature is refused. What a
// refusal says never repeats a token.
package embedjwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	stdjson "encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses keys that are there twice, and tells large letters from small ones
	"github.com/go-jose/go-jose/v4/jwt"

	"offrecord/web/identity"
	"offrecord/web/secret"
)

const (
	// MaxLife is how long a token may be good for.
	MaxLife = 5 * time.Minute
	// skew is how far the CRM's clock may be ahead of ours.
	skew = 30 * time.Second
	// maxToken and maxID bound a token and the name that it gives itself, in bytes.
	maxToken = 4 << 10
	maxID    = 128
	// minSecret is HS256's shortest key, in bytes (RFC 7518, 3.2).
	minSecret = 32
	minRSA    = 2048
)

// Key verifies signatures of one algorithm. It doesn't print itself.
type Key struct {
	algorithm jose.SignatureAlgorithm
	key       func() any
}

func newKey(algorithm jose.SignatureAlgorithm, key any) Key {
	return Key{algorithm, func() any { return key }}
}

// PublicKey reads a public key in PEM: RSA of at least 2048 bits is for RS256, P-256 for ES256. The error says what to do.
func PublicKey(text []byte) (Key, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return Key{}, errors.New("this isn't a public key in PEM: write the one that begins with -----BEGIN PUBLIC KEY-----")
	case strings.Contains(block.Type, "PRIVATE"):
		return Key{}, errors.New("this is a private key, which belongs to the CRM alone: write its public half")
	case strings.TrimSpace(string(rest)) != "":
		return Key{}, errors.New("there is more than one key in this file: leave the one that the CRM signs with")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return Key{}, errors.New("this isn't a public key in PEM: write the one that begins with -----BEGIN PUBLIC KEY-----")
	}
	if err != nil {
		return Key{}, errors.New("this public key can't be read: export it again")
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return Key{}, errors.New("this RSA key is shorter than 2048 bits: make a longer one")
		}
		return newKey(jose.RS256, key), nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return Key{}, errors.New("this key's curve is for none of RS256 and ES256: take P-256")
		}
		return newKey(jose.ES256, key), nil
	}
	return Key{}, errors.New("this key is for none of RS256 and ES256: take RSA, or ECDSA with P-256")
}

// SharedKey takes the secret of HS256. The error says what to do.
func SharedKey(s secret.String) (Key, error) {
	text := s.Reveal()
	switch {
	case strings.Contains(text, "-----BEGIN"):
		// Whoever knows a public key could sign with it.
		return Key{}, errors.New("this is a key in PEM, and no secret of HS256: for a public key use public_key_file")
	case len(text) < minSecret:
		return Key{}, errors.New("the secret of HS256 must have at least 32 bytes: make a random one")
	}
	return newKey(jose.HS256, []byte(text)), nil
}

// Verifier verifies the tokens of one CRM. Set all fields.
type Verifier struct {
	Issuer, Audience string
	Key              Key
	// Once reports whether a token is used for the first time.
	Once func(ctx context.Context, of, id string, until time.Time) (bool, error)
}

// Claims are what a token says that matters here.
type Claims struct {
	Email, Platform, ID string
	Until               time.Time
}

// Authenticate implements identity.Authenticator: it takes the token from the field token of a JSON object.
func (v Verifier) Authenticate(r *http.Request) (identity.Vouched, error) {
	var body struct {
		Token string `json:"token"`
	}
	d := stdjson.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return identity.Vouched{}, fmt.Errorf("reading the body: %w", err)
	}
	if body.Token == "" {
		return identity.Vouched{}, identity.ErrNoCredentials
	}
	claims, err := v.Verify(body.Token)
	if err != nil {
		return identity.Vouched{Email: claims.Email}, err
	}
	first, err := v.Once(r.Context(), v.Issuer, claims.ID, claims.Until)
	switch {
	case err != nil:
		return identity.Vouched{}, fmt.Errorf("%w: %w", identity.ErrAway, err)
	case !first:
		return identity.Vouched{Email: claims.Email}, refuse("it was used before")
	}
	return identity.Vouched{Email: claims.Email, Platform: claims.Platform}, nil
}

func refuse(why string) error { return fmt.Errorf("%w: the token: %s", identity.ErrRefused, why) }

// Verify checks everything but whether the token was used before.
func (v Verifier) Verify(token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, refuse("it is longer than 4 KiB")
	}
	if strings.ContainsAny(token, "\r\n") { // decoders of base64 pass over them
		return Claims{}, refuse("it isn't a signed JWT")
	}
	if err := checkHeader(token); err != nil {
		return Claims{}, err
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{v.Key.algorithm})
	if err != nil {
		return Claims{}, refuse("it isn't one that is signed with " + string(v.Key.algorithm))
	}
	payload, err := signed.Verify(v.Key.key())
	if err != nil {
		return Claims{}, refuse("its signature isn't the configured key's")
	}
	var said struct {
		Issuer   string           `json:"iss"`
		Audience jwt.Audience     `json:"aud"`
		Subject  string           `json:"sub"`
		Platform string           `json:"platform"`
		ID       string           `json:"jti"`
		IssuedAt *jwt.NumericDate `json:"iat"`
		Expiry   *jwt.NumericDate `json:"exp"`
		Earliest *jwt.NumericDate `json:"nbf"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		return Claims{}, refuse("its claims can't be read")
	}
	claims := Claims{Email: said.Subject, Platform: said.Platform, ID: said.ID}
	now := time.Now()
	switch {
	case said.Issuer != v.Issuer:
		return claims, refuse("iss is another")
	case !said.Audience.Contains(v.Audience):
		return claims, refuse("aud is another")
	case said.Subject == "" || said.Platform == "" || said.ID == "" || said.IssuedAt == nil || said.Expiry == nil:
		return claims, refuse("it lacks one of sub, platform, jti, iat and exp")
	case len(said.ID) > maxID:
		return claims, refuse("jti is longer than 128 bytes")
	}
	issued, until := said.IssuedAt.Time(), said.Expiry.Time()
	claims.Until = until
	switch {
	case issued.After(now.Add(skew)):
		return claims, refuse("iat is in the future")
	case !until.After(now):
		return claims, refuse("it is over")
	case !until.After(issued) || until.Sub(issued) > MaxLife:
		return claims, refuse("exp must be at most 5 minutes after iat")
	case said.Earliest != nil && said.Earliest.Time().After(now.Add(skew)):
		return claims, refuse("nbf is in the future")
	}
	return claims, nil
}

// checkHeader refuses what a plain signed token doesn't need, whatever a library would make of it: crit, b64, embedded keys and
// certificates, addresses of them, nested and compressed contents. kid may be there; there is one key, and it chooses nothing.
func checkHeader(token string) error {
	first, _, ok := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(first)
	var header map[string]any
	if !ok || err != nil || json.Unmarshal(text, &header) != nil {
		return refuse("it isn't a signed JWT")
	}
	for name, value := range header {
		said, isText := value.(string)
		switch {
		case name == "alg", name == "kid" && isText:
		case name == "typ" && strings.EqualFold(said, "JWT"):
		default:
			return refuse("its header has more than alg, kid and typ: JWT")
		}
	}
	return nil
}
