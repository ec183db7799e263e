package embedjwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/identity"
	"offrecord/web/identity/embedjwt"
	"offrecord/web/secret"
)

// crm is a CRM with a key of each kind. It signs whatever it is told to, by hand: no library would make most of it.
type crm struct {
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	shared []byte
}

func newCRM(t testing.TB) crm {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return crm{r, e, []byte(strings.Repeat("shared-secret-", 3))}
}

func public(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// verifiers are ours for each of its keys.
func (c crm) verifiers(t testing.TB) map[string]embedjwt.Verifier {
	t.Helper()
	out := map[string]embedjwt.Verifier{}
	add := func(algorithm string, key embedjwt.Key, err error) {
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		out[algorithm] = embedjwt.Verifier{Issuer: "https://crm.example", Audience: "offrecord", Key: key, Once: func(_ context.Context, of, id string, _ time.Time) (bool, error) {
			first := !used[of+id]
			used[of+id] = true
			return first, nil
		}}
	}
	key, err := embedjwt.PublicKey(public(t, &c.rsa.PublicKey))
	add("RS256", key, err)
	key, err = embedjwt.PublicKey(public(t, &c.ec.PublicKey))
	add("ES256", key, err)
	key, err = embedjwt.SharedKey(secret.New(string(c.shared)))
	add("HS256", key, err)
	return out
}

type object = map[string]any

func encode(v any) string {
	text, ok := v.(string)
	if !ok {
		raw, _ := json.Marshal(v)
		text = string(raw)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// sign makes a token of a header and claims as they are given, signed with the key of an algorithm.
func (c crm) sign(by string, header, claims any) string {
	input := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	switch by {
	case "RS256":
		signature, _ = rsa.SignPKCS1v15(rand.Reader, c.rsa, crypto.SHA256, sum[:])
	case "ES256":
		r, s, _ := ecdsa.Sign(rand.Reader, c.ec, sum[:])
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "HS256":
		signature = mac(c.shared, input)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func mac(key []byte, input string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(input))
	return m.Sum(nil)
}

func good() object {
	now := time.Now().Unix()
	return object{"iss": "https://crm.example", "aud": "offrecord", "sub": "bill@acme.example", "platform": "acme", "iat": now, "exp": now + 300, "jti": rand.Text()}
}

// with is a good token's claims, changed; nil takes one away.
func with(changes object) object {
	claims := good()
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

func TestTokens(t *testing.T) {
	c := newCRM(t)
	now := time.Now().Unix()
	refused, taken := 0, 0
	for algorithm, v := range c.verifiers(t) {
		plain := object{"alg": algorithm, "typ": "JWT"}
		headed := func(more object) object {
			h := maps.Clone(plain)
			maps.Copy(h, more)
			return h
		}
		tests := []struct {
			name, token string
			good        bool
		}{
			{"a good one", c.sign(algorithm, plain, good()), true},
			{"without typ", c.sign(algorithm, object{"alg": algorithm}, good()), true},
			{"with a key's name", c.sign(algorithm, headed(object{"kid": "../../etc/passwd' OR 1=1 --"}), good()), true}, // it chooses nothing
			{"for several", c.sign(algorithm, plain, with(object{"aud": []string{"other", "offrecord"}})), true},
			{"of half a minute ahead", c.sign(algorithm, plain, with(object{"iat": now + 20, "exp": now + 320})), true},

			{"another issuer", c.sign(algorithm, plain, with(object{"iss": "https://evil.example"})), false},
			{"no issuer", c.sign(algorithm, plain, with(object{"iss": nil})), false},
			{"an issuer that begins alike", c.sign(algorithm, plain, with(object{"iss": "https://crm.example.evil"})), false},
			{"an issuer in other letters", c.sign(algorithm, plain, with(object{"iss": "https://CRM.example"})), false},
			{"another audience", c.sign(algorithm, plain, with(object{"aud": "billing"})), false},
			{"no audience", c.sign(algorithm, plain, with(object{"aud": nil})), false},
			{"an empty audience", c.sign(algorithm, plain, with(object{"aud": []string{}})), false},
			{"an audience that is an object", c.sign(algorithm, plain, with(object{"aud": object{"offrecord": true}})), false},
			{"nobody", c.sign(algorithm, plain, with(object{"sub": nil})), false},
			{"somebody who is a list", c.sign(algorithm, plain, with(object{"sub": []string{"bill@acme.example"}})), false},
			{"no platform", c.sign(algorithm, plain, with(object{"platform": nil})), false},
			{"no name of its own", c.sign(algorithm, plain, with(object{"jti": nil})), false},
			{"an empty name", c.sign(algorithm, plain, with(object{"jti": ""})), false},
			{"a long name", c.sign(algorithm, plain, with(object{"jti": strings.Repeat("j", 129)})), false},
			{"without end", c.sign(algorithm, plain, with(object{"exp": nil})), false},
			{"without beginning", c.sign(algorithm, plain, with(object{"iat": nil})), false},
			{"for six minutes", c.sign(algorithm, plain, with(object{"exp": now + 360})), false},
			{"for ever", c.sign(algorithm, plain, with(object{"exp": 1e300})), false},
			{"over", c.sign(algorithm, plain, with(object{"iat": now - 301, "exp": now - 1})), false},
			{"over this very second", c.sign(algorithm, plain, with(object{"iat": now - 10, "exp": now})), false},
			{"of the future", c.sign(algorithm, plain, with(object{"iat": now + 60, "exp": now + 120})), false},
			{"that ends before it begins", c.sign(algorithm, plain, with(object{"iat": now + 20, "exp": now + 10})), false},
			{"not yet good", c.sign(algorithm, plain, with(object{"nbf": now + 120})), false},
			{"of times in words", c.sign(algorithm, plain, with(object{"exp": "tomorrow"})), false},
			{"of claims in other letters", c.sign(algorithm, plain, with(object{"iss": nil, "ISS": "https://crm.example"})), false},
			{"of two subjects", c.sign(algorithm, plain, strings.Replace(string(raw(good())), `{`, `{"sub":"jo@acme.example",`, 1)), false},
			{"whose claims are a list", c.sign(algorithm, plain, []string{"x"}), false},
			{"whose claims are another token", c.sign(algorithm, headed(object{"cty": "JWT"}), c.sign(algorithm, plain, good())), false},
			{"whose claims are nothing", c.sign(algorithm, plain, "null"), false},

			{"unsigned", encode(object{"alg": "none"}) + "." + encode(good()) + ".", false},
			{"unsigned, in capitals", encode(object{"alg": "NONE"}) + "." + encode(good()) + ".", false},
			{"said to be unsigned, with a signature", c.sign(algorithm, object{"alg": "none"}, good()), false},
			{"without alg", c.sign(algorithm, object{"typ": "JWT"}, good()), false},
			{"alg in small letters", c.sign(algorithm, object{"alg": strings.ToLower(algorithm)}, good()), false},
			{"alg twice", c.sign(algorithm, fmt.Sprintf(`{"alg":"none","alg":%q}`, algorithm), good()), false},
			{"alg that is a list", c.sign(algorithm, object{"alg": []string{algorithm}}, good()), false},
			{"a stronger algorithm's name", c.sign(algorithm, object{"alg": strings.Replace(algorithm, "256", "512", 1)}, good()), false},
			{"crit", c.sign(algorithm, headed(object{"crit": []string{"exp"}, "exp": now}), good()), false},
			{"crit of what the library knows", c.sign(algorithm, headed(object{"crit": []string{"b64"}, "b64": true}), good()), false},
			{"claims as they are", c.sign(algorithm, headed(object{"b64": false}), good()), false},
			{"a key inside", c.sign(algorithm, headed(object{"jwk": object{"kty": "oct", "k": "AAAA"}}), good()), false},
			{"a key's address", c.sign(algorithm, headed(object{"jku": "https://evil.example/keys"}), good()), false},
			{"a certificate's address", c.sign(algorithm, headed(object{"x5u": "https://evil.example/cert"}), good()), false},
			{"a certificate inside", c.sign(algorithm, headed(object{"x5c": []string{"AAAA"}}), good()), false},
			{"compressed", c.sign(algorithm, headed(object{"zip": "DEF"}), good()), false},
			{"encrypted", c.sign(algorithm, object{"alg": "dir", "enc": "A256GCM"}, good()), false},
			{"another type", c.sign(algorithm, headed(object{"typ": "at+jwt"}), good()), false},
			{"a key's name that is an object", c.sign(algorithm, headed(object{"kid": object{}}), good()), false},

			{"empty", "", false},
			{"nonsense", "a.b.c", false},
			{"two parts", strings.Join(strings.Split(c.sign(algorithm, plain, good()), ".")[:2], "."), false},
			{"four parts", c.sign(algorithm, plain, good()) + ".AAAA", false},
			{"in JSON", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":"AAAA"}`, encode(plain), encode(good())), false},
			{"padded", strings.Replace(c.sign(algorithm, plain, good()), ".", "=.", 1), false},
			{"with a line's end inside", strings.Replace(c.sign(algorithm, plain, good()), ".", ".\n", 1), false},
			{"too long", c.sign(algorithm, plain, with(object{"more": strings.Repeat("x", 4096)})), false},
			{"a header too deep", c.sign(algorithm, strings.Repeat(`{"alg":`, 500)+`1`+strings.Repeat("}", 500), good()), false},
			{"changed claims", swap(c.sign(algorithm, plain, good()), encode(with(object{"sub": "jo@acme.example"}))), false},
			{"no signature", strings.TrimRight(c.sign("", plain, good()), "A"), false},
			{"a signature of zeros", c.sign("", plain, good()) + strings.Repeat("A", 86), false},
		}
		// Signed by each other key, under each name: the public key as HS256's secret is the oldest trick.
		for _, by := range []string{"RS256", "ES256", "HS256"} {
			for _, named := range []string{"RS256", "ES256", "HS256"} {
				if by == algorithm && named == algorithm {
					continue
				}
				tests = append(tests, struct {
					name, token string
					good        bool
				}{"signed by " + by + "'s key, called " + named, c.sign(by, object{"alg": named, "typ": "JWT"}, good()), false})
			}
		}
		for name, key := range map[string][]byte{"the RSA key": public(t, &c.rsa.PublicKey), "the RSA key, trimmed": []byte(strings.TrimSpace(string(public(t, &c.rsa.PublicKey)))), "the EC key": public(t, &c.ec.PublicKey), "nothing": nil} {
			for _, named := range []string{"HS256", "RS256", "ES256"} {
				input := encode(object{"alg": named, "typ": "JWT"}) + "." + encode(good())
				tests = append(tests, struct {
					name, token string
					good        bool
				}{"signed by a secret that is " + name + ", called " + named, input + "." + base64.RawURLEncoding.EncodeToString(mac(key, input)), false})
			}
		}
		for _, tt := range tests {
			t.Run(algorithm+"/"+tt.name, func(t *testing.T) {
				claims, err := v.Verify(tt.token)
				if (err == nil) != tt.good {
					t.Fatalf("%+v, %v", claims, err)
				}
				if err == nil {
					taken++
					if claims.Email != "bill@acme.example" || claims.Platform != "acme" || claims.ID == "" {
						t.Errorf("%+v", claims)
					}
					return
				}
				refused++
				if !errors.Is(err, identity.ErrRefused) {
					t.Errorf("another kind of error: %v", err)
				}
				if part := strings.Split(tt.token, "."); len(part) > 1 && len(part[1]) > 40 && strings.Contains(err.Error(), part[1][:40]) || strings.Contains(err.Error(), "@") {
					t.Errorf("the error repeats the token: %v", err)
				}
			})
		}
	}
	t.Logf("%d tokens tried, %d of them refused", taken+refused, refused)
}

func raw(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}

func swap(token, claims string) string {
	parts := strings.Split(token, ".")
	parts[1] = claims
	return strings.Join(parts, ".")
}

func TestATokenIsForThisMoment(t *testing.T) {
	c := newCRM(t)
	v := c.verifiers(t)["ES256"]
	synctest.Test(t, func(t *testing.T) {
		token := c.sign("ES256", object{"alg": "ES256"}, good())
		time.Sleep(299 * time.Second)
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if _, err := v.Verify(token); err == nil {
			t.Error("it outlived its time")
		}
	})
}

func TestAuthenticate(t *testing.T) {
	c := newCRM(t)
	v := c.verifiers(t)["RS256"]
	ask := func(v embedjwt.Verifier, body string) (identity.Vouched, error) {
		return v.Authenticate(httptest.NewRequest("POST", "/api/v1/login/embed", strings.NewReader(body)))
	}
	token := c.sign("RS256", object{"alg": "RS256"}, good())
	body := string(raw(object{"token": token}))
	if who, err := ask(v, body); err != nil || who != (identity.Vouched{Email: "bill@acme.example", Platform: "acme"}) {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := ask(v, body); !errors.Is(err, identity.ErrRefused) {
		t.Errorf("a second time: %v", err)
	}
	for name, body := range map[string]string{"nonsense": "[", "more than that": `{"token":"x","email":"jo@acme.example"}`, "a number": `{"token":1}`} {
		if _, err := ask(v, body); err == nil || errors.Is(err, identity.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ask(v, "{}"); !errors.Is(err, identity.ErrNoCredentials) {
		t.Errorf("nothing: %v", err)
	}
	v.Once = func(context.Context, string, string, time.Time) (bool, error) { return false, errors.New("disk full") }
	if who, err := ask(v, string(raw(object{"token": c.sign("RS256", object{"alg": "RS256"}, good())}))); !errors.Is(err, identity.ErrAway) || who != (identity.Vouched{}) {
		t.Errorf("where it can't be known whether it was used: %+v, %v", who, err)
	}
}

// FuzzVerify: nothing that our key didn't sign is taken, and nothing makes it panic.
func FuzzVerify(f *testing.F) {
	c := newCRM(f)
	verifiers := c.verifiers(f)
	for algorithm := range verifiers {
		f.Add(c.sign(algorithm, object{"alg": algorithm, "typ": "JWT"}, good()))
		f.Add(c.sign(algorithm, object{"alg": "none", "crit": []string{"x"}}, good()))
	}
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(`{"payload":"e30","signatures":[{"protected":"e30","signature":""}]}`)
	f.Fuzz(func(t *testing.T, token string) {
		for algorithm, v := range verifiers {
			claims, err := v.Verify(token)
			if err != nil {
				continue
			}
			// It can only be one of the seeds, while it lives.
			if claims.Email != "bill@acme.example" || claims.Platform != "acme" {
				t.Errorf("%s: %q is of %+v", algorithm, token, claims)
			}
		}
	})
}
