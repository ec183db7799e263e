package identity

import (
	"fmt"
	"net/http"
	"net/mail"
	"net/netip"
	"strings"
)

// Proxy believes the header in which a proxy in front says who sends a request. Who that proxy is, is told by the network
// address that the connection comes from, and by nothing that the request says. What looks like the header and isn't, such as
// X_Forwarded_Email, might be the sender's own, told apart by one program and not by another: it is never believed, and a
// request that brings it through the proxy is refused.
type Proxy struct {
	// Header is its name, in any case.
	Header string
	// Trusted are the proxy's networks.
	Trusted []netip.Prefix
}

// ErrUntrusted means that someone who isn't the proxy sent the header. It is ErrNoCredentials as well.
var ErrUntrusted = fmt.Errorf("%w that count: the header came from someone who isn't the proxy", ErrNoCredentials)

// Authenticate implements Authenticator.
func (p Proxy) Authenticate(r *http.Request) (Vouched, error) {
	wanted, brought := http.CanonicalHeaderKey(p.Header), false
	var values []string
	like := false
	for name, those := range r.Header {
		switch {
		case name == wanted:
			values, brought = those, true
		case alike(name) == alike(wanted):
			like, brought = true, true
		}
	}
	switch {
	case !brought:
		return Vouched{}, ErrNoCredentials
	case !p.trusts(r.RemoteAddr):
		return Vouched{}, ErrUntrusted
	case like:
		return Vouched{}, fmt.Errorf("%w: a header that looks like the proxy's came with it", ErrRefused)
	case len(values) != 1:
		return Vouched{}, fmt.Errorf("%w: the proxy's header is there %d times", ErrRefused, len(values))
	}
	address, err := mail.ParseAddress(values[0])
	if err != nil || address.Address != values[0] || len(values[0]) > 254 {
		return Vouched{}, fmt.Errorf("%w: the proxy's header holds no email address", ErrRefused)
	}
	return Vouched{Email: values[0]}, nil
}

func (p Proxy) trusts(peer string) bool {
	at, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	for _, network := range p.Trusted {
		if network.Contains(at.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// alike is the same for names that some program takes for one another: gateways turn all but letters and digits into
// underscores (RFC 3875, 4.1.18).
func alike(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}
