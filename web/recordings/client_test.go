package recordings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const canary = "canary-token"

// pipes is a listener in memory, so that time in a test can be the bubble's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fake is a platform: it remembers what it was asked, and answers as a test says.
type fake struct {
	t      testing.TB
	client *Client
	answer http.HandlerFunc

	mu    sync.Mutex
	asked []string // method, path and query
}

func newFake(t testing.TB, f Format, answer http.HandlerFunc) *fake {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	x := &fake{t: t, answer: answer}
	server := &http.Server{Handler: x, ErrorLog: nil}
	go server.Serve(p)
	base, err := url.Parse("http://127.0.0.1:1/prefix")
	if err == nil {
		x.client, err = New(Settings{BaseURL: base, Tenant: "acme", DataToken: secret.New(canary), Format: f}, upstream.Options{Dial: p.dial})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.client.Close()
		server.Close()
		p.Close()
	})
	return x
}

func (x *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := r.Method + " " + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		line += "?" + r.URL.RawQuery
	}
	if v := r.Header.Get("Range"); v != "" {
		line += " " + v
	}
	x.mu.Lock()
	x.asked = append(x.asked, line)
	x.mu.Unlock()
	if user, password, _ := r.BasicAuth(); user != "acme" || password != canary {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	x.answer(w, r)
}

func (x *fake) said() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.asked
	x.asked = nil
	return all
}

// files answers with a page of so many records.
func files(w io.Writer, f Format, from, to int) {
	l := NewWriter(w, f, Files)
	for i := from; i <= to; i++ {
		l.Recording(Recording{Start: documents, Filename: fmt.Sprintf("S/R%d.wav", i)})
	}
	l.Close()
}

func TestPaging(t *testing.T) {
	for _, f := range []Format{XML, JSON, CSV} {
		for _, total := range []int{0, 1, 49, 50, 51, 120} {
			x := newFake(t, f, func(w http.ResponseWriter, r *http.Request) {
				n, err := strconv.Atoi(r.URL.Query().Get("n"))
				if err != nil {
					n = 1
				}
				files(w, f, n, min(n+PageSize-1, total))
			})
			count := 0
			for r, err := range x.client.Recordings(t.Context(), Query{Where: map[Field]string{AgentID: "bill"}}) {
				if count++; err != nil || r.Filename != fmt.Sprintf("S/R%d.wav", count) {
					t.Fatalf("%s, %d: %q, %v", f, count, r.Filename, err)
				}
			}
			var want []string
			for n := 1; n <= total+1 && (n == 1 || n <= total/PageSize*PageSize+1); n += PageSize {
				line := "GET /prefix/api/recordings/files" + map[Format]string{JSON: ".json", CSV: ".csv"}[f] + "?agentID=bill"
				if n > 1 {
					line += fmt.Sprintf("&n=%d", n)
				}
				want = append(want, line)
			}
			if asked := x.said(); count != total || strings.Join(asked, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: %d of %d, asked for\n%s\nwant\n%s", f, count, total, strings.Join(asked, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) { files(w, XML, 1, PageSize) })
	for range x.client.Recordings(t.Context(), Query{}) {
		break
	}
	if asked := x.said(); len(asked) != 1 {
		t.Errorf("who wants one record asks for %q", asked)
	}
	var last error
	count := 0
	for _, err := range x.client.Recordings(t.Context(), Query{}) {
		count++
		last = err
	}
	if !errors.Is(last, ErrRepeats) || count != PageSize+1 {
		t.Errorf("a platform that ignores n: %d, %v", count, last)
	}
}

// A record that comes while pages are fetched moves the others, so that one is met twice.
func TestWhatAPageRepeatsIsLeftOut(t *testing.T) {
	x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("n") == "" {
			files(w, XML, 1, 50)
			return
		}
		files(w, XML, 49, 60)
	})
	var names []string
	for r, err := range x.client.Recordings(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, r.Filename)
	}
	if len(names) != 60 {
		t.Errorf("%d records: %q", len(names), names)
	}
}

func statuses(answers ...any) (http.HandlerFunc, *atomic.Int32) {
	var count atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		a := answers[min(int(count.Add(1)), len(answers))-1]
		switch a := a.(type) {
		case int:
			w.WriteHeader(a)
			io.WriteString(w, canary+" and what the platform wrote")
		case string: // Retry-After of a 503
			w.Header().Set("Retry-After", a)
			w.WriteHeader(http.StatusServiceUnavailable)
		case func(http.ResponseWriter):
			a(w)
		}
	}, &count
}

func good(w http.ResponseWriter) { files(w, XML, 1, 1) }

// broken says that more will come than does.
func broken(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "1000")
	io.WriteString(w, "<recordings>")
	panic(http.ErrAbortHandler)
}

func TestWhatIsAskedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		answers []any
		asked   int
		err     error
		least   time.Duration // that passed
		most    time.Duration
	}{
		"all is well":                    {[]any{good}, 1, nil, 0, 0},
		"busy twice":                     {[]any{503, 503, good}, 3, nil, 1125 * time.Millisecond, 1875 * time.Millisecond},
		"busy for as long as it says":    {[]any{"7", good}, 2, nil, 5 * time.Second, 9 * time.Second},
		"busy for longer than is waited": {[]any{"120", good}, 1, ErrBusy, 0, 0},
		"busy for good":                  {[]any{503}, tries, ErrBusy, 5625 * time.Millisecond, 9375 * time.Millisecond},
		"an error of its own":            {[]any{500, good}, 2, nil, 0, time.Second},
		"a gateway's":                    {[]any{502, 504, good}, 3, nil, 0, 2 * time.Second},
		"broken in the middle":           {[]any{broken, good}, 2, nil, 0, time.Second},
		"a bad request":                  {[]any{400}, 1, ErrBadRequest, 0, 0},
		"a bad token":                    {[]any{401}, 1, ErrDenied, 0, 0},
		"forbidden":                      {[]any{403}, 1, ErrDenied, 0, 0},
		"not found":                      {[]any{404}, 1, ErrNotFound, 0, 0},
		"elsewhere":                      {[]any{302}, 1, ErrElsewhere, 0, 0},
		"nonsense":                       {[]any{418}, 1, ErrUnexpected, 0, 0},
		"a log-in page":                  {[]any{func(w http.ResponseWriter) { io.WriteString(w, "<html>"+canary) }}, 1, ErrUnreadable, 0, 0},
		"a page without end": {[]any{func(w http.ResponseWriter) {
			for range maxAnswer/(1<<20) + 1 {
				w.Write(make([]byte, 1<<20))
			}
		}}, 1, ErrUnreadable, 0, 0},
		"silence":  {[]any{func(w http.ResponseWriter) { time.Sleep(2 * tryTime) }, good}, 2, nil, tryTime, tryTime + time.Second},
		"then not": {[]any{503, 401}, 2, ErrDenied, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answer, count := statuses(tt.answers...)
				x := newFake(t, XML, answer)
				began := time.Now()
				var last error
				for _, err := range x.client.Recordings(t.Context(), Query{}) {
					last = err
				}
				took := time.Since(began)
				if !errors.Is(last, tt.err) || int(count.Load()) != tt.asked || took < tt.least || took > tt.most {
					t.Errorf("%v after %d times and %v", last, count.Load(), took)
				}
				if last != nil && strings.Contains(last.Error(), "canary") {
					t.Errorf("it quotes: %v", last)
				}
				if tt.err == ErrDenied && !strings.Contains(last.Error(), "a new token revokes the old one") {
					t.Errorf("what to do: %v", last)
				}
				time.Sleep(3 * tryTime) // for what still hangs
			})
		})
	}
}

func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer, _ := statuses(503)
		x := newFake(t, XML, answer)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		var last error
		for _, err := range x.client.Recordings(ctx, Query{}) {
			last = err
		}
		if last == nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", last, time.Since(began))
		}
	})
}

func TestDeletionIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		status     int
		file, chat Deletion
		err        error
	}{
		{200, Deleted, Deleted, nil}, {202, Deleted, Deleted, nil}, {204, Deleted, Missing, nil}, {404, Missing, Missing, nil},
		{400, "", "", ErrBadRequest}, {401, "", "", ErrDenied}, {500, "", "", ErrInternal}, {503, "", "", ErrBusy},
	} {
		x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(tt.status) })
		d, err := x.client.DeleteRecording(t.Context(), "S20071220/R200712200316361000.wav")
		if d != tt.file || !errors.Is(err, tt.err) {
			t.Errorf("%d: %q, %v", tt.status, d, err)
		}
		d, err = x.client.DeleteTranscript(t.Context(), "int-1/a b")
		if d != tt.chat || !errors.Is(err, tt.err) {
			t.Errorf("%d: %q, %v", tt.status, d, err)
		}
		want := "DELETE /prefix/api/recordings/files/S20071220/R200712200316361000.wav\nDELETE /prefix/api/recordings/transcripts/int-1%2Fa%20b"
		if asked := strings.Join(x.said(), "\n"); asked != want {
			t.Errorf("%d: asked for\n%s", tt.status, asked)
		}
	}
	x := newFake(t, XML, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := x.client.DeleteRecording(t.Context(), "a.wav")
	var failed *Error
	if !errors.As(err, &failed) || !failed.Sent || !errors.Is(err, ErrNoAnswer) || len(x.said()) != 1 {
		t.Errorf("a connection that broke: %v", err)
	}
}

// A name is one file, never the whole list or another place.
func TestNamesThatLeadElsewhere(t *testing.T) {
	x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) {})
	for _, name := range []string{"", "/", "S/", "/R.wav", "..", "../transcripts/x", "S/../../x", "S//R.wav", "a\nb"} {
		if _, err := x.client.DeleteRecording(t.Context(), name); err == nil {
			t.Errorf("%q was deleted", name)
		}
		if _, err := x.client.Open(t.Context(), name); err == nil {
			t.Errorf("%q was opened", name)
		}
	}
	for _, guid := range []string{"", ".", "..", "\x00"} {
		if _, err := x.client.DeleteTranscript(t.Context(), guid); err == nil {
			t.Errorf("%q was deleted", guid)
		}
		if _, err := x.client.Transcript(t.Context(), guid); err == nil {
			t.Errorf("%q was fetched", guid)
		}
	}
	if asked := x.said(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
	x.client.DeleteRecording(t.Context(), "a?b=c#d;e")
	if asked := x.said(); len(asked) != 1 || asked[0] != "DELETE /prefix/api/recordings/files/a%3Fb=c%23d%3Be" {
		t.Errorf("asked for %q", asked)
	}
}

func TestOneTranscript(t *testing.T) {
	for f, path := range map[Format]string{XML: "int-1", JSON: "int-1.json"} {
		x := newFake(t, f, func(w http.ResponseWriter, r *http.Request) {
			full := theTranscript
			full.Messages = []Message{{From: Customer, Text: "Hi"}}
			WriteTranscript(w, f, full)
		})
		got, err := x.client.Transcript(t.Context(), "int-1")
		if err != nil || len(got.Messages) != 1 {
			t.Errorf("%s: %+v, %v", f, got, err)
		}
		if asked := x.said(); len(asked) != 1 || asked[0] != "GET /prefix/api/recordings/transcripts/"+path {
			t.Errorf("asked for %q", asked)
		}
	}
	x := newFake(t, CSV, func(http.ResponseWriter, *http.Request) {})
	if _, err := x.client.Transcript(t.Context(), "int-1"); !errors.Is(err, ErrNoCSV) || len(x.said()) > 0 {
		t.Errorf("as CSV: %v", err)
	}
}

// tape serves a file and breaks off after so many bytes, each time.
type tape struct {
	body   []byte
	after  int // bytes a connection gives; 0: all
	ranges bool
	tag    string
	plain  bool // without Content-Length
	change func(connection int, body []byte) []byte
	stall  bool // instead of breaking off
	conns  int
}

func (s *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.conns++
	body := s.body
	if s.change != nil {
		body = s.change(s.conns, body)
	}
	from, tag := 0, s.tag
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	asked := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	if s.ranges {
		w.Header().Set("Accept-Ranges", "bytes")
		if cond := r.Header.Get("If-Range"); asked != "" && (cond == "" || cond == tag) {
			from, _ = strconv.Atoi(asked)
			if from >= len(body) {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		}
	}
	rest := body[from:]
	if !s.plain {
		w.Header().Set("Content-Length", strconv.Itoa(len(rest)))
	}
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if s.after > 0 && s.after < len(rest) {
		w.Write(rest[:s.after])
		http.NewResponseController(w).Flush()
		if s.stall {
			time.Sleep(2 * stallTime)
			return
		}
		panic(http.ErrAbortHandler)
	}
	w.Write(rest)
}

func TestDownload(t *testing.T) {
	body := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(body)
	other := bytes.Clone(body)
	other[10] ^= 1
	fromSecond := func(b []byte) func(int, []byte) []byte {
		return func(connection int, body []byte) []byte {
			if connection > 1 {
				return b
			}
			return body
		}
	}
	for name, tt := range map[string]struct {
		tape  tape
		conns int
		err   error
	}{
		"at once":                               {tape{}, 1, nil},
		"without a length":                      {tape{plain: true}, 1, nil},
		"broken, with ranges":                   {tape{after: 300_000, ranges: true, tag: `"v1"`}, 4, nil},
		"broken, with ranges and no tag":        {tape{after: 300_000, ranges: true}, 4, nil},
		"broken, with a weak tag":               {tape{after: 300_000, ranges: true, tag: `W/"v1"`}, 4, nil},
		"changed, with ranges and a tag":        {tape{after: 300_000, ranges: true, tag: `"v1"`, change: fromSecond(body[:900_000])}, 2, ErrChanged},
		"changed in size, with ranges":          {tape{after: 300_000, ranges: true, change: fromSecond(body[:900_000])}, 2, ErrChanged},
		"shorter than what was read":            {tape{after: 300_000, ranges: true, change: fromSecond(body[:200_000])}, 2, ErrChanged},
		"changed, without ranges":               {tape{after: 300_000, change: fromSecond(other)}, 2, ErrChanged},
		"broken for good, a little each time":   {tape{after: 30_000, ranges: true}, 1 + breaks, ErrNoAnswer},
		"broken for good, where it was, before": {tape{after: 300_000}, 1 + breaks, ErrNoAnswer},
		"stalled, with ranges":                  {tape{after: 600_000, ranges: true, stall: true}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.tape.body = body
				x := newFake(t, XML, tt.tape.ServeHTTP)
				d, err := x.client.Open(t.Context(), "S1/R1.wav")
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				got, err := io.ReadAll(d)
				if !errors.Is(err, tt.err) || tt.err == nil && !bytes.Equal(got, body) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if !bytes.HasPrefix(body, got) {
					t.Error("what was read isn't what was recorded")
				}
				if tt.tape.conns != tt.conns || d.Resumed() != tt.conns-1 {
					t.Errorf("%d connections, %d resumed: %q", tt.tape.conns, d.Resumed(), x.said())
				}
				if want := int64(len(body)); !tt.tape.plain && d.Size() != want || tt.tape.plain && d.Size() != -1 {
					t.Errorf("its size is %d", d.Size())
				}
				time.Sleep(3 * stallTime)
			})
		})
	}
}

// A platform without ranges that breaks off later each time is read again from the beginning.
func TestDownloadWithoutRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		s := &tape{body: body, after: 400_000}
		x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) {
			s.after += 300_000
			s.ServeHTTP(w, r)
		})
		d, err := x.client.Open(t.Context(), "R1.wav")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		got, err := io.ReadAll(d)
		if err != nil || !bytes.Equal(got, body) || d.Resumed() != 2 {
			t.Errorf("%d bytes after %d breaks, %v", len(got), d.Resumed(), err)
		}
		if asked := x.said(); len(asked) != 3 || !strings.HasSuffix(asked[1], " bytes=700000-") || !strings.HasSuffix(asked[2], ".wav") {
			t.Errorf("asked for %q", asked)
		}
	})
}

func TestDownloadOfWhatIsNone(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		err    error
	}{
		"there is none":    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, ErrNotFound},
		"the token is old": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, ErrDenied},
		"a log-in page": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}, ErrUnreadable},
		"no content": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, ErrUnreadable},
		"a part that nobody asked for": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-9/10")
			w.WriteHeader(206)
		}, ErrUnreadable},
	} {
		x := newFake(t, XML, tt.answer)
		if d, err := x.client.Open(t.Context(), "R1.wav"); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	// The token may be revoked while a long recording comes.
	synctest.Test(t, func(t *testing.T) {
		s := &tape{body: make([]byte, 1<<20), after: 500_000}
		x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) {
			if s.conns > 0 {
				w.WriteHeader(401)
				return
			}
			s.ServeHTTP(w, r)
		})
		d, err := x.client.Open(t.Context(), "R1.wav")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if n, err := io.Copy(io.Discard, d); !errors.Is(err, ErrDenied) || n != 500_000 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestADownloadThatIsGivenUpEnds(t *testing.T) {
	x := newFake(t, XML, (&tape{body: make([]byte, 1<<20), after: 1000, stall: true}).ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	d, err := x.client.Open(ctx, "R1.wav")
	if err != nil {
		t.Fatal(err)
	}
	go cancel()
	if _, err := io.Copy(io.Discard, d); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	empty := func(w http.ResponseWriter, r *http.Request) { files(w, XML, 1, 0) }
	x := newFake(t, XML, empty)
	if f := x.client.Check(t.Context()); f.Verdict != platform.Good || f.Credential != "data_token" {
		t.Errorf("%+v", f)
	}
	for _, asked := range x.said() {
		if !strings.HasPrefix(asked, "GET /prefix/api/recordings/files?filename=offrecord-check-") {
			t.Errorf("it asked for %s", asked)
		}
	}
	x.client.set.DataToken = secret.New("another")
	if f := x.client.Check(t.Context()); f.Verdict != platform.Bad || !strings.Contains(f.Detail, "revokes the old one") {
		t.Errorf("%+v", f)
	}
	synctest.Test(t, func(t *testing.T) {
		x := newFake(t, XML, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
		if f := x.client.Check(t.Context()); f.Verdict != platform.NotCheckable || !strings.HasSuffix(f.Detail, ".") {
			t.Errorf("%+v", f)
		}
	})
}

func TestSettingsThatCantWork(t *testing.T) {
	base, err := url.Parse("https://vcc-na4.8x8.com")
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := url.Parse("http://vcc-na4.8x8.com")
	for _, s := range []Settings{{BaseURL: base, DataToken: secret.New(canary)}, {BaseURL: base, Tenant: "a:b", DataToken: secret.New(canary)}, {BaseURL: base, Tenant: "acme"},
		{Tenant: "acme", DataToken: secret.New(canary)}, {BaseURL: plain, Tenant: "acme", DataToken: secret.New(canary)}} {
		if _, err := New(s, upstream.Options{}); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
