package upstream

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// dialer dials what the configuration names. An address in it is the operator's word. What a name leads to is the name
// server's, so it may be a private network's host, as in-house services are, but nothing that no service of anyone's has:
// link-local addresses, where clouds hand out their machines' credentials, and the like. TLS proves the name to the rest.
//
// (github.com/doyensec/safeurl is made for addresses that strangers give, and refuses private networks or all but a list.)
func dialer(r *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{KeepAlive: 30 * time.Second, Resolver: r}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if _, notAddress := netip.ParseAddr(host); notAddress != nil {
			d.Control = func(_, resolved string, _ syscall.RawConn) error { // after the look-up, for each address of its answer
				if at, err := netip.ParseAddrPort(resolved); err != nil || isNobodys(at.Addr()) {
					return errMisled
				}
				return nil
			}
		}
		return d.DialContext(ctx, network, address)
	}
}

// metadata are the clouds' services for a machine itself that aren't link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("168.63.129.16"),   // Azure
}

var (
	nat64    = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the IPv4 address is in the last four bytes
	thisHost = netip.MustParsePrefix("0.0.0.0/8")    // RFC 1122, 3.2.1.3
)

func isNobodys(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return !a.IsValid() || a.IsUnspecified() || thisHost.Contains(a) || a.IsLinkLocalUnicast() || a.IsMulticast() || slices.Contains(metadata, a.WithZone(""))
}
