package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// issue writes a certificate with this number, and its key, in one step each: as programs that renew certificates do.
func issue(t *testing.T, dir string, number int64, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	put(t, filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func put(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// served is the number of the certificate that a new connection is shown, and the HTTP version that it agrees on.
func served(t *testing.T, address string) (int64, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	return state.PeerCertificates[0].SerialNumber.Int64(), state.NegotiatedProtocol
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func TestACertificateIsRenewedWithoutARestart(t *testing.T) {
	dir, log := t.TempDir(), new(lines)
	year := time.Now().Add(365 * 24 * time.Hour)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := openPair(certFile, keyFile, nil); err == nil {
		t.Fatal("opened without files")
	}
	issue(t, dir, 1, year)
	p, err := openPair(certFile, keyFile, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	network, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: p.config(), HTTP2: http2(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go server.ServeTLS(network, "", "") // until it is closed
	defer server.Close()
	address := network.Addr().String()
	expect := func(why string, number int64) {
		t.Helper()
		p.again()
		if got, protocol := served(t, address); got != number || protocol != "h2" {
			t.Errorf("%s: certificate %d by %q, want %d by h2", why, got, protocol, number)
		}
	}
	expect("as it began", 1)
	issue(t, dir, 2, year)
	expect("renewed", 2)

	good, _ := os.ReadFile(certFile)
	goodKey, _ := os.ReadFile(keyFile)
	const refused = "can't be used"
	for name, spoil := range map[string]func(){
		"no certificate":     func() { put(t, certFile, []byte("nonsense")) },
		"half a certificate": func() { put(t, certFile, good[:len(good)/2]) },
		"another's key":      func() { issue(t, dir, 3, year); put(t, certFile, good) },
		"an empty key":       func() { put(t, keyFile, nil) },
		"no key":             func() { os.Remove(keyFile) },
		"an old certificate": func() { issue(t, dir, 4, time.Now().Add(-time.Hour)) },
	} {
		before := log.count(refused)
		spoil()
		expect(name, 2)
		expect(name+", looked at again", 2)
		if n := log.count(refused); n != before+1 {
			t.Errorf("%s: said %d times", name, n-before)
		}
		put(t, certFile, good)
		put(t, keyFile, goodKey)
		expect(name+", mended", 2)
	}

	// As it runs: by itself, and on SIGHUP.
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	look := func(every time.Duration, number int64, then func()) {
		issue(t, dir, number, year)
		watching.Go(func() { p.watch(ctx, every) })
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			then()
			if got, _ := served(t, address); got == number {
				return
			}
		}
		t.Errorf("certificate %d was never served", number)
	}
	look(time.Millisecond, 5, func() {})
	stop()
	watching.Wait()
	ctx, stop = context.WithCancel(t.Context())
	hangup := make(chan os.Signal, 1) // so that a signal before watch listens doesn't end the tests
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	look(time.Hour, 6, func() { syscall.Kill(os.Getpid(), syscall.SIGHUP) })
	stop()
	watching.Wait()
	if text := log.count("PRIVATE"); text != 0 {
		t.Error("the log holds a key")
	}
}
