package server_test

import (
	"crypto/tls"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestARunningServerTakesANewCertificate(t *testing.T) {
	dir, _ := certificate(t)
	m, _ := start(t, strings.Replace(configuration, "identity:", "tls: {cert_file: cert.pem, key_file: key.pem}\nidentity:", 1), dir)
	next, roots := certificate(t)
	for _, name := range []string{"key.pem", "cert.pem"} {
		if err := os.Rename(filepath.Join(next, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	hangup := make(chan os.Signal, 1) // so that a signal before the server listens for it doesn't end the tests
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", strings.TrimPrefix(m.URL(), "https://"), &tls.Config{RootCAs: roots})
		if err == nil {
			conn.Close()
			return
		}
	}
	t.Error("the new certificate is never served")
}
