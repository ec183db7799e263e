package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// renewTime is how often the certificate's files are looked at. A renewal happens days before the old one ends.
const renewTime = 10 * time.Second

// pair is a certificate and its key, as their files have them now. A pair that can't be used changes nothing: the one before
// is served on, and the log says why.
type pair struct {
	certFile, keyFile string
	log               *slog.Logger

	now        atomic.Pointer[tls.Certificate]
	cert, key  []byte // what was looked at last, whether or not it could be used; of one goroutine
	unreadable string // what was said last of files that can't be read
}

// openPair reads the pair for the first time.
func openPair(certFile, keyFile string, log *slog.Logger) (*pair, error) {
	p := &pair{certFile: certFile, keyFile: keyFile, log: log}
	if err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// read looks at the files and takes what is new and good.
func (p *pair) read() error {
	cert, err := os.ReadFile(p.certFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return err
	}
	if bytes.Equal(cert, p.cert) && bytes.Equal(key, p.key) {
		return nil
	}
	p.cert, p.key = cert, key
	made, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	if p.now.Load() != nil && time.Now().After(made.Leaf.NotAfter) { // the first one is better than none
		return fmt.Errorf("the certificate ended on %s", made.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	if p.now.Swap(&made) != nil {
		p.log.Info("the certificate was renewed", "ends", made.Leaf.NotAfter.UTC())
	}
	return nil
}

// again is read where there is a pair already. What is wrong is said once.
func (p *pair) again() {
	err := p.read()
	if err == nil {
		p.unreadable = ""
		return
	}
	if said := err.Error(); said != p.unreadable {
		p.unreadable = said
		p.log.Error("the new certificate of tls can't be used, so the old one is served on: correct its files", "error", err)
	}
}

// watch looks at the files every so often, and at once on SIGHUP, until the context ends.
func (p *pair) watch(ctx context.Context, every time.Duration) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		case <-tick.C:
		}
		p.again()
	}
}

// config is what a listener serves with.
func (p *pair) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.now.Load(), nil }}
}

// http2 bounds what one connection may ask for at once. A browser's tabs share a connection, each with an event stream.
func http2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: 250,
		MaxReadFrameSize:     16 << 10,
		// A reader that went away without a word is found out, and what it was sent isn't kept for it.
		SendPingTimeout:  30 * time.Second,
		PingTimeout:      15 * time.Second,
		WriteByteTimeout: 30 * time.Second,
	}
}
