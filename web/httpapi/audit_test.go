package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/httpapi"
)

// book is an audit log in memory.
type book struct {
	mu      sync.Mutex
	written []audit.Record
	refused []audit.Record
	asked   audit.Filter
	err     error // of writing
	broken  error // of reading
}

func (b *book) Append(_ context.Context, r audit.Record) (audit.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return audit.Receipt{}, b.err
	}
	b.written = append(b.written, r)
	return audit.Receipt{Seq: int64(len(b.written)), Place: audit.InStore}, nil
}

func (b *book) Refuse(r audit.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = append(b.refused, r)
}

func (b *book) Query(_ context.Context, f audit.Filter) (audit.Page, error) {
	b.asked = f
	return audit.Page{Items: []audit.Entry{}, Next: "n"}, b.broken
}

func (b *book) CSV(_ context.Context, w io.Writer, f audit.Filter) error {
	b.asked = f
	io.WriteString(w, "seq,time\n")
	return b.broken
}

func (b *book) kinds() (all []audit.Kind) {
	for _, r := range b.written {
		all = append(all, r.Kind)
	}
	return all
}

func withBook(t *testing.T) (*house, *book) {
	b := new(book)
	return build(t, func(o *httpapi.Options) { o.Audit = b }, nil), b
}

func bearer(h *house, email string) string {
	h.t.Helper()
	answer := h.do(ask{method: "POST", path: "/api/v1/login/demo", body: `{"email":"` + email + `"}`})
	var session struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &session); err != nil || answer.Code != http.StatusOK {
		h.t.Fatalf("%s: %d %s", email, answer.Code, answer.Body)
	}
	return session.Token
}

func TestWhatPeopleDoIsWrittenDown(t *testing.T) {
	h, b := withBook(t)
	bill := bearer(h, "bill@acme.example")
	h.do(ask{method: "GET", path: "/", header: map[string]string{"Accept": "text/html"}}) // led to the log-in, not refused
	h.do(ask{method: "POST", path: "/api/v1/logout", bearer: bill})
	h.do(ask{method: "POST", path: "/api/v1/logout", bearer: bill})
	if want := []audit.Kind{audit.SignIn, audit.SignOut}; !slices.Equal(b.kinds(), want) || len(b.refused) != 0 {
		t.Errorf("written %v, refused %v", b.kinds(), b.refused)
	}
	for _, r := range b.written {
		if r.Agent != audit.NewID("bill@acme.example") || r.Role != audit.Agent || r.Peer != audit.NewID("192.0.2.1") || r.Client != audit.OtherClient || len(r.Request.String()) != 26 {
			t.Errorf("who, from where: %+v", r)
		}
	}
	b.refused = nil
	h.do(ask{method: "GET", path: "/api/v1/state", bearer: bill})
	h.do(ask{method: "POST", path: "/api/v1/login/demo", body: `{"email":"eve@evil.example"}`})
	h.do(ask{method: "POST", path: "/login/demo", contentType: "application/x-www-form-urlencoded", body: "email=eve@evil.example",
		header: map[string]string{"Sec-Fetch-Site": "same-origin"}})
	h.do(ask{method: "GET", path: "/api/v1/audit", bearer: bearer(h, "bill@acme.example")})
	h.do(ask{method: "POST", path: "/logout", header: map[string]string{"Sec-Fetch-Site": "cross-site"}})
	var got []string
	for _, r := range b.refused {
		got = append(got, strings.TrimSpace(string(r.Kind)+" "+r.Agent.String()+" "+r.Detail.String()))
		if r.Outcome != recording.Denied {
			t.Errorf("%+v", r)
		}
	}
	want := []string{"refused  GET /api/v1/state: unauthenticated", "sign_in eve@evil.example by demo", "sign_in eve@evil.example by demo",
		"refused bill@acme.example GET /api/v1/audit: forbidden", "refused  POST /logout: forbidden"}
	if !slices.Equal(got, want) {
		t.Errorf("refused:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheLogIsForSupervisorsAndReadingItIsWrittenDown(t *testing.T) {
	h, b := withBook(t)
	for email, status := range map[string]int{"bill@acme.example": 403, "sue@acme.example": 200, "ann@acme.example": 200} {
		for _, path := range []string{"/api/v1/audit", "/api/v1/audit.csv"} {
			b.written = nil
			answer := h.do(ask{method: "GET", path: path, bearer: bearer(h, email)})
			if answer.Code != status || slices.Contains(b.kinds(), audit.AuditRead) != (status == 200) {
				t.Errorf("%s, %s: %d, %v", email, path, answer.Code, b.kinds())
			}
		}
	}
	sue := bearer(h, "sue@acme.example")
	tests := []struct {
		query  string
		status int
	}{
		{"?from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00%2B01:00&agent=BILL@acme.example&outcome=denied", 200},
		{"?limit=1000&cursor=x", 200}, {"?limit=1001", 400}, {"?limit=0", 400}, {"?limit=many", 400}, {"?from=2026-11-21", 400}, {"?to=0000-01-01T00:00:00Z", 400},
		{"?outcome=paused", 400}, {"?agents=bill", 400}, {"?outcome=", 200},
	}
	for _, tt := range tests {
		if answer := h.do(ask{method: "GET", path: "/api/v1/audit" + tt.query, bearer: sue}); answer.Code != tt.status {
			t.Errorf("%s: %d %s", tt.query, answer.Code, answer.Body)
		}
		if strings.Contains(tt.query, "agent=") && (b.asked.Agent != "bill@acme.example" || b.asked.Outcome != recording.Denied || b.asked.To.Sub(b.asked.From).Hours() != 23) {
			t.Errorf("%s: %+v", tt.query, b.asked)
		}
	}
	if answer := h.do(ask{method: "GET", path: "/api/v1/audit.csv?limit=3", bearer: sue}); answer.Code != 400 {
		t.Errorf("a table with pages: %d", answer.Code)
	}
	answer := h.do(ask{method: "GET", path: "/api/v1/audit.csv", bearer: sue})
	if answer.Header().Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(answer.Header().Get("Content-Disposition"), "attachment") || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the table's headers: %v", answer.Header())
	}
	b.broken = audit.ErrCursor
	if answer := h.do(ask{method: "GET", path: "/api/v1/audit?cursor=x", bearer: sue}); answer.Code != 400 {
		t.Errorf("another's cursor: %d", answer.Code)
	}
	b.broken = errors.New("disk gone")
	if answer := h.do(ask{method: "GET", path: "/api/v1/audit", bearer: sue}); answer.Code != 503 || !strings.Contains(answer.Body.String(), "log_unavailable") {
		t.Errorf("a log that can't be read: %d %s", answer.Code, answer.Body)
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("half a table looks whole")
			}
		}()
		h.do(ask{method: "GET", path: "/api/v1/audit.csv", bearer: sue})
	}()
}

func TestALogThatCannotBeWrittenKeepsNobodyOut(t *testing.T) {
	h, b := withBook(t)
	b.err = errors.New("disk full")
	sue := bearer(h, "sue@acme.example")
	answer := h.do(ask{method: "GET", path: "/api/v1/audit", bearer: sue})
	if answer.Code != 503 || !strings.Contains(answer.Body.String(), "log_unavailable") {
		t.Errorf("reading without a record of it: %d %s", answer.Code, answer.Body)
	}
	if answer := h.do(ask{method: "POST", path: "/api/v1/logout", bearer: sue}); answer.Code != 204 {
		t.Errorf("logging out: %d", answer.Code)
	}
	if !strings.Contains(h.log.String(), "disk full") {
		t.Error("nobody is told")
	}
	without := build(t, nil, nil)
	if answer := without.do(ask{method: "GET", path: "/api/v1/audit", bearer: bearer(without, "sue@acme.example")}); answer.Code != 503 {
		t.Errorf("without a log: %d", answer.Code)
	}
}
