package e2e_test

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// front stands before the companion, as a company's proxy does: what comes through it can be held back or changed, and it
// can go away and come back at the same address. The companion itself goes on, and so do its sessions.
type front struct {
	t       *testing.T
	handler http.Handler
	address string
	tls     func() *http.Server

	mu      sync.Mutex
	server  *http.Server
	gates   map[string]chan struct{} // by a part of the path; closed when let go
	header  func(path string, h http.Header)
	refused string
	bodied  map[string][]string // what was posted, by path
}

// newFront puts a front before the stage; the stage's address is the front's from now on.
func newFront(t *testing.T, s *stage) *front {
	t.Helper()
	f := &front{t: t, address: freeAddress(t), gates: map[string]chan struct{}{}, bodied: map[string][]string{}}
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	f.handler = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		Transport:     s.net.Client().Transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // browsers go away
		ModifyResponse: func(r *http.Response) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			// What can be withheld may not lie in the browser's cache.
			if strings.HasPrefix(r.Request.URL.Path, "/assets/") {
				r.Header.Set("Cache-Control", "no-store")
			}
			if f.header != nil {
				f.header(r.Request.URL.Path, r.Header)
			}
			return nil
		},
	}
	f.tls = func() *http.Server {
		return &http.Server{Handler: http.HandlerFunc(f.serve), TLSConfig: s.net.TLS(t, panelName), ErrorLog: log.New(io.Discard, "", 0)}
	}
	f.back()
	t.Cleanup(f.gone)
	_, port, _ := net.SplitHostPort(f.address)
	s.url = "https://" + panelName + ":" + port
	return f
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the browser went away
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.mu.Lock()
		f.bodied[r.URL.Path] = append(f.bodied[r.URL.Path], string(body))
		f.mu.Unlock()
	}
	f.mu.Lock()
	var gate chan struct{}
	for part, g := range f.gates {
		if strings.Contains(r.URL.Path, part) {
			gate = g
		}
	}
	refused := f.refused != "" && strings.Contains(r.URL.Path, f.refused)
	f.mu.Unlock()
	if refused {
		http.NotFound(w, r)
		return
	}
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		}
	}
	f.handler.ServeHTTP(w, r)
}

// withhold keeps back every answer to a path with this part until letGo is called.
func (f *front) withhold(part string) (letGo func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gates[part] = gate
	return sync.OnceFunc(func() { close(gate) })
}

// rewrite changes the headers of every answer.
func (f *front) rewrite(header func(path string, h http.Header)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.header = header
}

// bodies are what was posted to a path.
func (f *front) bodies(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.bodied[path])
}

// gone cuts every connection and refuses new ones.
func (f *front) gone() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		f.server.Close()
		f.server = nil
	}
}

// back listens again, at the same address.
func (f *front) back() {
	f.t.Helper()
	ln, err := net.Listen("tcp", f.address)
	if err != nil {
		f.t.Fatalf("the front's address: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = f.tls()
	go f.server.ServeTLS(ln, "", "")
}

// refuse answers 404 to every path with this part.
func (f *front) refuse(part string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = part
}
