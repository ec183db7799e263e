package identity_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/identity"
)

func TestAProxysWord(t *testing.T) {
	proxy := identity.Proxy{Header: "x-forwarded-EMAIL", Trusted: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	const trusted, stranger = "10.1.2.3:4567", "10.2.2.3:4567"
	one := func(value string) map[string][]string { return map[string][]string{"X-Forwarded-Email": {value}} }
	tests := []struct {
		name, peer string
		header     map[string][]string
		email      string
		err        error
	}{
		{"the proxy", trusted, one("bill@acme.example"), "bill@acme.example", nil},
		{"the proxy, by IPv6", "[fd00::1]:99", one("bill@acme.example"), "bill@acme.example", nil},
		{"the proxy, as an IPv4 in IPv6", "[::ffff:10.1.2.3]:99", one("bill@acme.example"), "bill@acme.example", nil},
		{"nothing", trusted, nil, "", identity.ErrNoCredentials},
		{"nothing from a stranger", stranger, nil, "", identity.ErrNoCredentials},
		{"a stranger", stranger, one("bill@acme.example"), "", identity.ErrUntrusted},
		{"a stranger who says where it came from", stranger, map[string][]string{"X-Forwarded-Email": {"bill@acme.example"}, "X-Forwarded-For": {"10.1.2.3"}, "X-Real-Ip": {"10.1.2.3"}, "Forwarded": {"for=10.1.2.3"}}, "", identity.ErrUntrusted},
		{"a stranger with a look-alike", stranger, map[string][]string{"X_forwarded_email": {"bill@acme.example"}}, "", identity.ErrUntrusted},
		{"no peer", "", one("bill@acme.example"), "", identity.ErrUntrusted},
		{"a peer that is none", "@", one("bill@acme.example"), "", identity.ErrUntrusted},
		{"twice", trusted, map[string][]string{"X-Forwarded-Email": {"bill@acme.example", "jo@acme.example"}}, "", identity.ErrRefused},
		{"twice the same", trusted, map[string][]string{"X-Forwarded-Email": {"bill@acme.example", "bill@acme.example"}}, "", identity.ErrRefused},
		{"two in one", trusted, one("bill@acme.example, jo@acme.example"), "", identity.ErrRefused},
		{"empty", trusted, one(""), "", identity.ErrRefused},
		{"no address", trusted, one("bill"), "", identity.ErrRefused},
		{"a name and an address", trusted, one("Bill <bill@acme.example>"), "", identity.ErrRefused},
		{"an address in brackets", trusted, one("<bill@acme.example>"), "", identity.ErrRefused},
		{"a space before it", trusted, one(" bill@acme.example"), "", identity.ErrRefused},
		{"a long one", trusted, one(strings.Repeat("a", 300) + "@acme.example"), "", identity.ErrRefused},
		{"with an underscored one", trusted, map[string][]string{"X-Forwarded-Email": {"bill@acme.example"}, "X_forwarded_email": {"jo@acme.example"}}, "", identity.ErrRefused},
		{"only an underscored one", trusted, map[string][]string{"X_Forwarded_Email": {"jo@acme.example"}}, "", identity.ErrRefused},
		{"with a dotted one", trusted, map[string][]string{"X-Forwarded-Email": {"bill@acme.example"}, "X.forwarded.email": {"jo@acme.example"}}, "", identity.ErrRefused},
		{"with one in another case", trusted, map[string][]string{"X-Forwarded-Email": {"bill@acme.example"}, "x-forwarded-email": {"jo@acme.example"}}, "", identity.ErrRefused},
		{"with one that only begins alike", trusted, map[string][]string{"X-Forwarded-Email": {"bill@acme.example"}, "X-Forwarded-Email2": {"jo@acme.example"}}, "bill@acme.example", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			for name, values := range tt.header {
				r.Header[name] = values
			}
			vouched, err := proxy.Authenticate(r)
			if vouched.Email != tt.email || !errors.Is(err, tt.err) {
				t.Errorf("%+v, %v", vouched, err)
			}
			if err != nil && (strings.Contains(err.Error(), "@")) {
				t.Errorf("the error repeats what came: %v", err)
			}
		})
	}
	if !errors.Is(identity.ErrUntrusted, identity.ErrNoCredentials) {
		t.Error("who may not say it has said something")
	}
}

// Whatever headers come, only the trusted peer's one and exact header makes somebody of a request.
func FuzzAProxysWord(f *testing.F) {
	f.Add("X-Forwarded-Email", "bill@acme.example", "X_Forwarded_Email", "jo@acme.example", "10.1.2.3:1")
	f.Add("x-forwarded-email", "a@b", "X-Forwarded-For", "10.1.2.3", "[::1]:1")
	proxy := identity.Proxy{Header: "X-Forwarded-Email", Trusted: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, peer string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[name1] = append(r.Header[name1], value1)
		r.Header[name2] = append(r.Header[name2], value2)
		r.RemoteAddr = peer
		vouched, err := proxy.Authenticate(r)
		if err != nil {
			return
		}
		at, bad := netip.ParseAddrPort(peer)
		if own := r.Header["X-Forwarded-Email"]; bad != nil || !proxy.Trusted[0].Contains(at.Addr().Unmap()) || len(own) != 1 || own[0] != vouched.Email || !strings.Contains(vouched.Email, "@") {
			t.Errorf("%q from %q says %q", r.Header, peer, vouched.Email)
		}
	})
}

func TestSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type errand struct{ A, B string }
		s := identity.NewSealer()
		text, err := s.Seal("x", errand{"1", "2"}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var got errand
		if !s.Open("x", text, &got) || got != (errand{"1", "2"}) {
			t.Errorf("%+v", got)
		}
		if strings.Contains(text, "errand") || s.Open("y", text, &got) || identity.NewSealer().Open("x", text, &got) || s.Open("x", "", &got) || s.Open("x", text[:len(text)-4], &got) {
			t.Error("opened by another, for another purpose, or in part")
		}
		box, _ := base64.RawURLEncoding.DecodeString(text)
		for i := range box {
			box[i] ^= 1
			if s.Open("x", base64.RawURLEncoding.EncodeToString(box), &got) {
				t.Errorf("byte %d may be changed", i)
			}
			box[i] ^= 1
		}
		again, _ := s.Seal("x", errand{"1", "2"}, time.Minute)
		if again == text {
			t.Error("two are alike")
		}
		time.Sleep(time.Minute)
		if s.Open("x", text, &got) {
			t.Error("it outlived its time")
		}
	})
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestAHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mine, other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		in := identity.SignIn{Email: "bill@acme.example", Way: identity.ByPopup, SID: "s"}
		take := func(h *identity.Handovers, verifier, code string, want identity.Taking) {
			t.Helper()
			got, state := h.Take(verifier, code)
			if state != want || (state == identity.Taken) != (got == in) {
				t.Errorf("%v, %+v; expected %v", state, got, want)
			}
		}
		if identity.ValidChallenge("") || identity.ValidChallenge(mine+"A") || identity.ValidChallenge(strings.Repeat("!", 43)) || !identity.ValidChallenge(challenge(mine)) {
			t.Error("what a challenge is")
		}

		// A window that is known to be the frame's: once, by the verifier alone.
		h := identity.NewHandovers()
		take(h, mine, "", identity.Pending)
		if code, given := h.Give(challenge(mine), in, nil, true); !given || code != "" {
			t.Errorf("%q %v", code, given)
		}
		take(h, other, "", identity.Pending)
		take(h, challenge(mine), "", identity.Pending) // the address of the window tells nobody the verifier
		take(h, mine, "", identity.Taken)
		take(h, mine, "", identity.Over)
		if _, again := h.Give(challenge(mine), in, nil, true); again {
			t.Error("a challenge is good twice")
		}

		// A window of unknown origin: who made the verifier gets nothing without the code that the window shows.
		code, _ := h.Give(challenge(other), in, nil, false)
		if len(code) != 6 {
			t.Fatalf("the code %q", code)
		}
		take(h, other, "", identity.NeedsCode)
		take(h, other, "x", identity.WrongCode)
		take(h, other, code[:5], identity.WrongCode)
		take(h, other, code, identity.Taken)

		h = identity.NewHandovers()
		code, _ = h.Give(challenge(mine), in, nil, false)
		for _, want := range []identity.Taking{identity.WrongCode, identity.WrongCode, identity.Over} {
			take(h, mine, "wrong", want)
		}
		take(h, mine, code, identity.Over)

		// It ends by time, and with the session that it came from.
		h = identity.NewHandovers()
		h.Give(challenge(mine), in, nil, true)
		time.Sleep(identity.HandoverTime)
		take(h, mine, "", identity.Pending)
		if _, given := h.Give(challenge(mine), in, nil, true); !given {
			t.Error("what is over is in the way")
		}
		s := identity.NewSessions(everyone)
		token := s.Begin(as(bill), "")
		_, ended, _ := s.Look(token)
		h.Give(challenge(other), in, ended, true)
		s.End(token)
		take(h, other, "", identity.Over)
	})
}

func TestTwoWhoTakeAtOnce(t *testing.T) {
	h := identity.NewHandovers()
	verifier := strings.Repeat("A", 43)
	h.Give(challenge(verifier), identity.SignIn{Email: "bill@acme.example"}, nil, true)
	taken := make(chan identity.Taking, 20)
	for range cap(taken) {
		go func() {
			_, state := h.Take(verifier, "")
			taken <- state
		}()
	}
	n := 0
	for range cap(taken) {
		if <-taken == identity.Taken {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d got it", n)
	}
}
