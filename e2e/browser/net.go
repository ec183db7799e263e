package browser

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Net is a little internet of its own: names under .test, all of them on loopback, with certificates that a browser of
// [Launch] and the client of [Net.Client] trust. Nothing else has an address in it, so a name that isn't served is a DNS
// failure and no test can reach the world.
type Net struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate

	mu    sync.Mutex
	certs map[string]*tls.Certificate
}

// NewNet makes a key and a certificate authority that live as long as the test.
func NewNet(t testing.TB) *Net {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making the test's key: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "offrecord test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("making the test's authority: %v", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("reading the test's authority: %v", err)
	}
	return &Net{key: key, root: root, certs: map[string]*tls.Certificate{}}
}

// Serve serves h over TLS, by HTTP/2 where the client can, as https://name:PORT until the test ends. The name ends in
// .test. The answer's URL is the one that a browser uses.
func (n *Net) Serve(t testing.TB, name string, h http.Handler) *httptest.Server {
	t.Helper()
	return n.serve(t, name, h, true)
}

// ServeHTTP1 is Serve for a handler that takes over its connection, to drop it.
func (n *Net) ServeHTTP1(t testing.TB, name string, h http.Handler) *httptest.Server {
	t.Helper()
	return n.serve(t, name, h, false)
}

func (n *Net) serve(t testing.TB, name string, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	if !strings.HasSuffix(name, ".test") {
		t.Fatalf("a test serves names under .test, not %s", name)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = http2
	srv.TLS = n.TLS(t, name)
	// A browser that goes away in the middle of a handshake is no news, and closing one is how most tests end.
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatalf("reading the server's address: %v", err)
	}
	srv.URL = "https://" + net.JoinHostPort(name, port)
	return srv
}

// TLS is a server's configuration for the names.
func (n *Net) TLS(t testing.TB, names ...string) *tls.Config {
	t.Helper()
	cert, err := n.leaf(names)
	if err != nil {
		t.Fatalf("making a certificate for %s: %v", names, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}}
}

func (n *Net) leaf(names []string) (*tls.Certificate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := strings.Join(names, " ")
	if cert := n.certs[key]; cert != nil {
		return cert, nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(n.certs) + 2)),
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    n.root.NotBefore,
		NotAfter:     n.root.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, n.root, &n.key.PublicKey, n.key)
	if err != nil {
		return nil, err
	}
	n.certs[key] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.key}
	return n.certs[key], nil
}

// Client is an HTTP client that lives in this net. It follows no redirects, since a test wants to see them.
func (n *Net) Client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(n.root)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				var d net.Dialer
				return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		},
	}
}

// spki is what --ignore-certificate-errors-spki-list wants: the key that a browser takes without knowing its authority.
func (n *Net) spki() string {
	sum := sha256.Sum256(n.root.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
