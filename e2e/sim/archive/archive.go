// Package archive simulates the 8x8 Recordings API: lists of recordings and chat transcripts, the recordings as real WAV files,
// their deletion, and every error and limit that 8x8's document names.
//
// A recording is what its tape really holds: speech all along, but for the stretches in which it was paused, where there is
// nothing at all. A call whose pause was answered with success and not carried out can therefore be heard. Where the document is
// silent, the simulator does what is hardest for a client, or has a setting. It makes up thousands of records from a seed and
// the sound of each only while it is fetched. Like the other simulators, it imports nothing of the companion.
package archive

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Path is where the API begins.
const Path = "/api/recordings/"

// Config is how a tenant's archive is set up. The zero value is a good start.
type Config struct {
	Tenant    string // default acme01
	DataToken string // the tenant's Data Request Token; a random one by default
	// Recordings and Transcripts are how many are made up, of the time before Now. None by default.
	Recordings, Transcripts int
	// Seed makes others of them.
	Seed uint64
	// Now is when the made-up past ends; the time of New by default.
	Now time.Time
	// Agents are whose they are; default ann, bob and cid.
	Agents []string
	// Zone is the tenant's; default eight hours behind UTC, as in the document's samples.
	Zone *time.Location
	// Codec and Channels are how recordings are made: PCM of 16 bits at 8 kHz by default, with agent and customer in one channel.
	Codec    Codec
	Channels int
	// Skew is how far the platform's clock is ahead of the true one, in what it says of times.
	Skew time.Duration
	// NoRanges makes it ignore a request for a part of a file.
	NoRanges bool
	// Lenient makes what the document shows or leaves open easier: well-formed XML, and arrays of JSON even of one or of none.
	Lenient bool
}

// Archive is one tenant's. It is an http.Handler for the paths below Path, and safe for concurrent use.
type Archive struct {
	config Config
	closed chan struct{}
	once   sync.Once

	mu          sync.Mutex
	token       string
	recordings  []*recording // oldest first
	transcripts []*transcript
	faults      map[What]Fault
	requests    []Request
	kept        int
}

// Call is a call that has ended, with its tape.
type Call struct {
	ID             string
	Agent          string
	Started, Ended time.Time
	// Silent are the stretches in which what was said is not on the tape.
	Silent []Interval
}

// Interval is a stretch of time.
type Interval struct{ From, To time.Time }

// New sets up an archive.
func New(c Config) *Archive {
	if c.Tenant == "" {
		c.Tenant = "acme01"
	}
	if c.DataToken == "" {
		c.DataToken = newToken()
	}
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	if len(c.Agents) == 0 {
		c.Agents = []string{"ann", "bob", "cid"}
	}
	if c.Zone == nil {
		c.Zone = time.FixedZone("", -8*3600)
	}
	if c.Channels == 0 {
		c.Channels = 1
	}
	a := &Archive{config: c, token: c.DataToken, faults: map[What]Fault{}, closed: make(chan struct{})}
	a.recordings = makeRecordings(c)
	a.transcripts = makeTranscripts(c)
	return a
}

func newToken() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Tenant is the user of the API, DataToken its password.
func (a *Archive) Tenant() string { return a.config.Tenant }

// DataToken is the tenant's Data Request Token.
func (a *Archive) DataToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

// Revoke makes a new token, which "will immediately revoke the existing token", and returns it.
func (a *Archive) Revoke() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = newToken()
	return a.token
}

// Close cuts every delay short.
func (a *Archive) Close() { a.once.Do(func() { close(a.closed) }) }

// Keep files the recording of a call that has ended, and returns its file's name.
func (a *Archive) Keep(c Call) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept++
	started := c.Started.Add(a.config.Skew)
	r := &recording{start: started, length: c.Ended.Sub(c.Started), agent: c.Agent, phone: fmt.Sprintf("415555%04d", a.kept%10000), channel: "8005557780", queue: "102",
		queueName: "phoneq1", transaction: c.ID, seed: hash(a.config.Seed, 1<<40, uint64(a.kept)), codec: a.config.Codec, channels: a.config.Channels,
		filename: filename(started, 90000+a.kept%10000)}
	for _, i := range c.Silent {
		r.silent = append(r.silent, span{frame(i.From.Sub(c.Started)), frame(i.To.Sub(c.Started))})
	}
	at, _ := slices.BinarySearchFunc(a.recordings, r, func(x, y *recording) int { return x.start.Compare(y.start) })
	a.recordings = slices.Insert(a.recordings, at, r)
	return r.filename
}

// Past are the made-up calls, oldest first, as they truly were.
func (a *Archive) Past() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	var calls []Call
	for _, r := range a.recordings {
		started := r.start.Add(-a.config.Skew)
		c := Call{ID: r.transaction, Agent: r.agent, Started: started, Ended: started.Add(r.length)}
		for _, s := range r.silent {
			c.Silent = append(c.Silent, Interval{started.Add(length(s.from)), started.Add(length(s.to))})
		}
		calls = append(calls, c)
	}
	return calls
}

// Files are the names of all recordings that there are, oldest first.
func (a *Archive) Files() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, r := range a.recordings {
		names = append(names, r.filename)
	}
	return names
}

// Request is one that came, and what was answered.
type Request struct {
	Method, Path, Query, Range string
	Status                     int
}

// Requests returns those that came, in their order.
func (a *Archive) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// What is what a request is for.
type What string

// The kinds.
const (
	Listing  What = "list"
	Fetching What = "fetch" // a file, or one transcript
	Deleting What = "delete"
)

// Fault is how requests of a kind are met. The zero value is the platform at its best.
type Fault struct {
	// Status is answered instead of what is due, without doing anything; RetryAfter comes with it.
	Status     int
	RetryAfter string
	// Before is waited before doing anything.
	Before time.Duration
	// Cut drops the connection after so many bytes of the body; below 0, before the answer but after doing what was asked.
	Cut int64
	// Rate is how many bytes a second are sent; 0: as many as can be.
	Rate int
	// Page answers 200 with a log-in page.
	Page bool
	// Times is how many requests meet the fault before it is gone; 0 is until it is set anew.
	Times int
}

// SetFault sets how requests of a kind are met from now on; the zero Fault ends it.
func (a *Archive) SetFault(w What, f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults[w] = f; f == (Fault{}) {
		delete(a.faults, w)
	}
}

// meet returns the fault that a request meets, and counts it.
func (a *Archive) meet(w What) Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.faults[w]
	if f.Times > 0 {
		left := f
		if left.Times--; left.Times == 0 {
			delete(a.faults, w)
		} else {
			a.faults[w] = left
		}
	}
	return f
}

func (a *Archive) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.closed:
	}
}

// ServeHTTP implements http.Handler.
func (a *Archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	seen := &answer{ResponseWriter: w, archive: a, place: len(a.requests)}
	a.requests = append(a.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Range: r.Header.Get("Range")})
	a.mu.Unlock()
	user, password, _ := r.BasicAuth()
	if user != a.config.Tenant || password != a.DataToken() {
		w.Header().Set("WWW-Authenticate", `Basic realm="recordings"`)
		http.Error(seen, "Unauthorized", http.StatusUnauthorized)
		return
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Path), "/")
	kind, format := cutFormat(kind)
	what := Listing
	switch {
	case r.Method == http.MethodDelete:
		what = Deleting
	case rest != "":
		what = Fetching
	}
	seen.fault = a.meet(what)
	a.wait(seen.fault.Before)
	if f := seen.fault; f.Status != 0 {
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		http.Error(seen, http.StatusText(f.Status), f.Status)
		return
	}
	if seen.fault.Page {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		seen.Write([]byte("<!DOCTYPE html><html><head><title>Log in</title><body><form action=/login><p>Your session has expired.<br></form></body></html>"))
		return
	}
	switch {
	case kind != "files" && kind != "transcripts", rest != "" && format != "":
		http.Error(seen, "Not found", http.StatusNotFound)
	case r.Method == http.MethodDelete && kind == "files":
		a.deleteFile(seen, rest)
	case r.Method == http.MethodDelete:
		a.deleteTranscript(seen, rest)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(seen, "Bad request", http.StatusBadRequest)
	case kind == "files" && rest == "":
		a.listFiles(seen, r, format)
	case kind == "files":
		a.file(seen, r, rest)
	case rest == "":
		a.listTranscripts(seen, r, format)
	default:
		a.transcript(seen, rest)
	}
}

// cutFormat takes the format off a resource's name.
func cutFormat(s string) (name, format string) {
	for _, f := range []string{"xml", "json", "csv"} {
		if name, ok := strings.CutSuffix(s, "."+f); ok {
			return name, f
		}
	}
	return s, ""
}

// answer notes the status, and carries out what a fault does to a body.
type answer struct {
	http.ResponseWriter
	archive *Archive
	place   int // of its request among those that came
	fault   Fault
	begun   bool
	sent    int64
}

func (w *answer) WriteHeader(status int) {
	if w.fault.Cut < 0 {
		panic(http.ErrAbortHandler)
	}
	w.begun = true
	w.archive.mu.Lock()
	w.archive.requests[w.place].Status = status
	w.archive.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	written := 0
	for len(p) > 0 {
		n := len(p)
		if w.fault.Cut > 0 {
			n = int(min(int64(n), w.fault.Cut-w.sent))
		}
		if w.fault.Rate > 0 {
			n = min(n, max(w.fault.Rate/10, 1))
			w.archive.wait(100 * time.Millisecond)
		}
		m, err := w.ResponseWriter.Write(p[:n])
		written, w.sent = written+m, w.sent+int64(m)
		if err != nil {
			return written, err
		}
		if p = p[n:]; w.fault.Rate > 0 || w.fault.Cut > 0 && w.sent >= w.fault.Cut {
			http.NewResponseController(w.ResponseWriter).Flush()
		}
		if w.fault.Cut > 0 && w.sent >= w.fault.Cut && len(p) > 0 {
			panic(http.ErrAbortHandler)
		}
	}
	return written, nil
}
