package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers every question for an address with one.
func nameServer(t *testing.T, with netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			header := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
			switch {
			case q.Type == dnsmessage.TypeA && with.Is4():
				m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: with.As4()}}}
			case q.Type == dnsmessage.TypeAAAA && with.Is6():
				m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: with.As16()}}}
			}
			if answer, err := m.Pack(); err == nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestANameThatLeadsWhereNoServiceIsIsNotDialled(t *testing.T) {
	for _, address := range []string{"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "64:ff9b::a9fe:a9fe", "fe80::1", "224.0.0.1", "0.0.0.0", "0.0.0.1"} {
		conn, err := dialer(nameServer(t, netip.MustParseAddr(address)))(t.Context(), "tcp", "hooks.example.com:443")
		if !errors.Is(err, errMisled) {
			t.Errorf("%s: %v, %v", address, conn, err)
		}
		if got := reason(err); got != errMisled {
			t.Errorf("%s: said as %v", address, got)
		}
	}
}

func TestANameOfThisMachineAndAnAddressAreDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "x")
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"hooks.example.com", "127.0.0.1"} {
		conn, err := dialer(nameServer(t, netip.MustParseAddr("127.0.0.1")))(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		conn.Close()
	}
}

func TestWhoseAddress(t *testing.T) {
	for address, nobodys := range map[string]bool{
		"10.1.2.3": false, "192.168.1.1": false, "127.0.0.1": false, "::1": false, "fd12:3456::1": false, "203.0.113.7": false, "2001:db8::1": false, "64:ff9b::cb00:7107": false,
		"::ffff:169.254.169.254": true, "169.254.0.1": true, "fe80::1%eth0": true, "ff02::1": true, "::": true, "255.255.255.255": false,
	} {
		if got := isNobodys(netip.MustParseAddr(address)); got != nobodys {
			t.Errorf("%s: %v", address, got)
		}
	}
}
