package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
	"offrecord/web/httpapi"
	"offrecord/web/store"
)

// tapes is an archive of recordings in memory, and the log of the pauses in them.
type tapes struct {
	files   map[string][]byte
	list    []evidence.Recording
	entries []audit.Entry
	deleted []string
	refuse  error  // of a deletion
	during  func() // a deletion
}

func (a *tapes) List(context.Context, time.Time, time.Time) iter.Seq2[evidence.Recording, error] {
	return func(yield func(evidence.Recording, error) bool) {
		for _, r := range a.list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// sized is a stream that knows its size, as the platform's.
type sized struct{ *bytes.Reader }

func (sized) Close() error { return nil }

func (a *tapes) Open(_ context.Context, name string) (io.ReadCloser, error) {
	file, ok := a.files[name]
	if !ok || slices.Contains(a.deleted, name) {
		return nil, evidence.ErrGone
	}
	return sized{bytes.NewReader(file)}, nil
}

func (a *tapes) Delete(_ context.Context, name string) error {
	if a.refuse != nil {
		return a.refuse
	}
	a.deleted = append(a.deleted, name)
	if a.during != nil {
		a.during()
	}
	return nil
}

func (a *tapes) Query(_ context.Context, f audit.Filter) (audit.Page, error) {
	var p audit.Page
	for _, e := range a.entries {
		if e.Kind == f.Kind {
			p.Items = append(p.Items, e)
		}
	}
	return p, nil
}

var callBegan = time.Now().UTC().Truncate(time.Hour).Add(-3 * time.Hour)

// call adds a recording of 40 s with a pause from 15 to 22 s.
func (a *tapes) call(t *testing.T, name string, begins time.Duration, fill truth.Fill) {
	t.Helper()
	start := callBegan.Add(begins)
	scene := truth.Scene{Seed: uint64(len(name)), Format: wav.Format{Codec: wav.MuLaw, Bits: 8, Rate: 8000, Channels: 2}, Length: 40 * time.Second, Noise: -60, Speech: -22,
		Pauses: []truth.Pause{{From: 15 * time.Second, To: 22 * time.Second, Fill: fill}}}
	file, err := io.ReadAll(scene.Reader(nil))
	if err != nil {
		t.Fatal(err)
	}
	a.files[name] = file
	a.list = append(a.list, evidence.Recording{Name: name, AgentID: "bill", Channel: "8005557780", Phone: "4155551234", Start: start, Duration: 40 * time.Second})
	for action, at := range map[recording.Action]time.Duration{recording.Pause: 15 * time.Second, recording.Resume: 22 * time.Second} {
		asked := start.Add(at - 50*time.Millisecond)
		a.entries = append(a.entries, audit.Entry{Seq: int64(len(a.entries) + 1), Record: audit.Record{Kind: audit.AttemptDecided, Time: asked.Add(120 * time.Millisecond), Agent: audit.NewID("bill@acme.example"),
			Platform: audit.NewText("acme"), Attempt: uuid.New(), Action: action, Route: recording.RouteServer, Origin: recording.Hand, Outcome: recording.Confirmed, RequestedAt: asked}})
	}
}

func withEvidence(t *testing.T) (*house, *book, *tapes, *httpapi.Evidence) {
	t.Helper()
	a := &tapes{files: map[string][]byte{}}
	a.call(t, "S20261120/R1.wav", 0, truth.Digital)
	a.call(t, "S20261120/R22.wav", 10*time.Minute, truth.None)
	db, err := store.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	kept := evidence.NewStore(db)
	desk := &httpapi.Evidence{Store: kept, Key: key, Platforms: []evidence.ReportPlatform{{Name: "acme", Kind: "8x8", Checkable: true}, {Name: "emea", Kind: "vonage", Note: "Its documents have no recordings API"}}}
	desk.Checker = evidence.New(evidence.Options{Store: kept, Audit: a, Platforms: []evidence.Platform{{Name: "acme", Archive: a, Agents: []evidence.Agent{{Email: "bill@acme.example", Platform: "acme", ID: "bill"}}}}})
	b := new(book)
	h := build(t, func(o *httpapi.Options) { o.Audit, o.Evidence = b, desk }, nil)
	checker := desk.Checker
	t.Cleanup(func() { checker.Close(); db.Close() })
	return h, b, a, desk
}

type evidenceBody struct {
	Screen string
	Items  []struct {
		ID, Verdict, Screen, Pause string
		Recording                  struct{ Name string }
		Checked                    struct {
			From int `json:"from_ms"`
			To   int `json:"to_ms"`
		}
		Sounds []struct {
			From int `json:"from_ms"`
			Leak bool
		}
	}
	Platforms []struct{ Name, Note string }
}

// found goes through the recordings by the API and returns what was found.
func found(t *testing.T, h *house, desk *httpapi.Evidence) evidenceBody {
	t.Helper()
	sue := h.login("sue@acme.example")
	period := fmt.Sprintf(`{"from":%q,"to":%q}`, callBegan.Add(-time.Hour).Format(time.RFC3339), callBegan.Add(time.Hour).Format(time.RFC3339))
	if w := h.do(ask{method: "POST", path: "/api/v1/evidence/runs", body: period, bearer: sue}); w.Code != http.StatusAccepted {
		t.Fatalf("a run: %d %s", w.Code, w.Body)
	}
	for under := true; under; {
		_, under = desk.Checker.Current()
		runtime.Gosched()
	}
	var runs struct{ Items []struct{ State string } }
	if err := json.Unmarshal(h.do(ask{method: "GET", path: "/api/v1/evidence/runs", bearer: sue}).Body.Bytes(), &runs); err != nil || len(runs.Items) != 1 || runs.Items[0].State != "done" {
		t.Fatalf("the runs: %+v, %v", runs, err)
	}
	var body evidenceBody
	w := h.do(ask{method: "GET", path: "/api/v1/evidence", bearer: sue})
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusOK || len(body.Items) != 2 {
		t.Fatalf("the evidence: %d %v %s", w.Code, err, w.Body)
	}
	return body
}

func TestEvidenceAPI(t *testing.T) {
	h, b, _, desk := withEvidence(t)
	body := found(t, h, desk)
	if body.Items[0].Verdict != "silent" || body.Items[1].Verdict != "audible" || body.Items[0].Screen != "not checked" || body.Screen != "not checked" || body.Platforms[1].Note == "" {
		t.Errorf("%+v", body)
	}
	if c := body.Items[0].Checked; c.From < 15000 || c.To > 22000 || c.To-c.From < 6000 {
		t.Errorf("checked from %d to %d", c.From, c.To)
	}
	sue := h.login("sue@acme.example")
	for query, want := range map[string]int{"?verdict=audible": 1, "?verdict=silent&agent=BILL@acme.example": 1, "?agent=jo@acme.example": 0, "?kind=focus": 0, "?from=2020-01-01&to=2020-01-02": 0, "?limit=1": 1} {
		var some evidenceBody
		w := h.do(ask{method: "GET", path: "/api/v1/evidence" + query, bearer: sue})
		if err := json.Unmarshal(w.Body.Bytes(), &some); err != nil || len(some.Items) != want {
			t.Errorf("%s: %d items, %v", query, len(some.Items), err)
		}
	}
	for _, query := range []string{"?verdict=x", "?kind=x", "?from=yesterday", "?from=2026-11-02&to=2026-11-01", "?limit=0", "?x=1"} {
		if p := h.problem(h.do(ask{method: "GET", path: "/api/v1/evidence" + query, bearer: sue})); p.Code != "invalid" {
			t.Errorf("%s: %+v", query, p)
		}
	}
	if p := h.problem(h.do(ask{method: "POST", path: "/api/v1/evidence/runs", body: `{"from":"2020-01-01","to":"2026-01-01"}`, bearer: sue})); p.Code != "invalid" {
		t.Errorf("six years: %+v", p)
	}
	// The reports, as files that can be verified.
	public, _ := audit.PublicKey(desk.Key)
	for _, format := range []string{"json", "html"} {
		w := h.do(ask{method: "GET", path: "/api/v1/evidence/report?format=" + format, bearer: sue})
		v, err := evidence.VerifyReport(w.Body.Bytes(), public)
		if err != nil || v.Format != format || !strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("the report as %s: %v, %v", format, err, w.Header())
		}
	}
	if reads := slices.Index(b.kinds(), audit.AuditRead); reads < 0 {
		t.Errorf("that it was read isn't written down: %v", b.kinds())
	}
	b.err = io.ErrClosedPipe
	if p := h.problem(h.do(ask{method: "GET", path: "/api/v1/evidence", bearer: sue})); p.Code != "log_unavailable" {
		t.Errorf("without a log: %+v", p)
	}
	desk.Checker = nil
	if p := h.problem(h.do(ask{method: "POST", path: "/api/v1/evidence/runs", body: `{}`, bearer: sue})); p.Code != "unsupported_action" {
		t.Errorf("without recordings: %+v", p)
	}
}

func TestEvidencePages(t *testing.T) {
	h, b, _, desk := withEvidence(t)
	sue := h.cookie("sue@acme.example")
	show := func(path string) string {
		t.Helper()
		w := h.do(ask{method: "GET", path: path, cookie: sue, header: map[string]string{"Accept": "text/html"}})
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		if bad := regexp.MustCompile(`(?i) style=|<style|<script>|javascript:|\son[a-z]+=`).FindString(w.Body.String()); bad != "" {
			t.Errorf("%s has %q, which its policy forbids", path, bad)
		}
		return w.Body.String()
	}
	if page := show("/evidence"); !strings.Contains(page, "Nothing was found in this period") || !strings.Contains(page, "Nobody has looked yet") {
		t.Error("an empty page doesn't say so")
	}
	body := found(t, h, desk)
	page := show("/evidence")
	for _, want := range []string{"Screen recordings: not checked", `data-verdict="audible"`, `data-verdict="silent"`, "bill@acme.example", "no recordings API", " Audible,</span>", " Silent,</span>", `aria-current="page"`, "/api/v1/evidence/report?", `/evidence/` + body.Items[0].ID} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if page := show("/evidence?verdict=silent"); strings.Contains(page, `data-verdict="audible"`) {
		t.Error("the filter lets through what wasn't asked for")
	}
	if page := show("/evidence?month=2020-02"); !strings.Contains(page, "February 2020") || strings.Count(page, "<tr><td") != 5 {
		t.Error("February 2020 has five weeks")
	}
	call := show("/evidence/" + body.Items[1].ID)
	for _, want := range []string{"<svg", "<path", `class="band pause"`, `class="band leak"`, "The log's attempts", "leak: sound", "S20261120/R22.wav", "channel 2", "<audio", "/delete", "silenced by the server"} {
		if !strings.Contains(call, want) {
			t.Errorf("the call's page has no %q", want)
		}
	}
	w := h.do(ask{method: "GET", path: "/evidence/" + body.Items[1].ID, cookie: sue})
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "media-src 'self'") {
		t.Errorf("its policy is %s", policy)
	}
	if w := h.do(ask{method: "GET", path: "/evidence/nothing", cookie: sue, header: map[string]string{"Accept": "text/html"}}); w.Code != http.StatusNotFound {
		t.Errorf("no such item: %d", w.Code)
	}
	if w := h.do(ask{method: "POST", path: "/evidence", cookie: sue, contentType: aForm, body: "from=2026-11-01&to=2026-11-02", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); w.Code != http.StatusForbidden {
		t.Errorf("from another site: %d", w.Code)
	}
	// It is one reading, however often the page follows a run.
	reads := 0
	for _, r := range b.written {
		if r.Kind == audit.AuditRead && r.Detail.String() == "GET /evidence" {
			reads++
		}
	}
	show("/evidence")
	for range 3 {
		show("/evidence?verdict=silent")
	}
	for _, r := range b.written {
		if r.Kind == audit.AuditRead && r.Detail.String() == "GET /evidence" {
			reads--
		}
	}
	if reads != 0 {
		t.Errorf("pages that were read before are noted %d times more", -reads)
	}
	if w := h.do(ask{method: "POST", path: "/evidence", cookie: sue, contentType: aForm, body: "from=2026-11-01&to=2026-11-02&every=yes", header: map[string]string{"Sec-Fetch-Site": "same-origin"}}); w.Code != http.StatusSeeOther {
		t.Errorf("the button: %d %s", w.Code, w.Body)
	}
	if runs, err := desk.Store.Runs(t.Context(), 1); err != nil || !runs[0].Every || runs[0].Cause != "button" || runs[0].By != "sue@acme.example" {
		t.Errorf("the button's run: %+v, %v", runs, err)
	}
	// An alert knows the attempt only.
	if page := show("/evidence/" + body.Items[1].Pause); !strings.Contains(page, "S20261120/R22.wav") {
		t.Error("a pause's own address doesn't lead to its recording")
	}
}

// The recording is played with what leaked silenced, whole and by ranges, and once noted.
func TestEvidenceAudio(t *testing.T) {
	h, b, a, desk := withEvidence(t)
	body := found(t, h, desk)
	sue := h.cookie("sue@acme.example")
	play := func(item int, byteRange string) (int, []byte, http.Header) {
		w := h.do(ask{method: "GET", path: "/evidence/" + body.Items[item].ID + "/audio", cookie: sue, header: map[string]string{"Range": byteRange}})
		return w.Code, w.Body.Bytes(), w.Header()
	}
	code, silent, _ := play(0, "")
	if code != 200 || !bytes.Equal(silent, a.files["S20261120/R1.wav"]) {
		t.Errorf("a recording without a leak: %d, %d bytes", code, len(silent))
	}
	file := a.files["S20261120/R22.wav"]
	code, whole, header := play(1, "")
	if code != 200 || len(whole) != len(file) || header.Get("Content-Type") != "audio/wav" || header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("the leak's: %d, %d bytes of %d, %v", code, len(whole), len(file), header)
	}
	at := func(seconds float64) int { return len(file) - 40*8000*2 + int(seconds*8000)*2 }
	if !bytes.Equal(whole[at(15):at(22)], bytes.Repeat([]byte{0xFF}, at(22)-at(15))) {
		t.Error("the leak isn't silenced")
	}
	if !bytes.Equal(whole[:at(8)], file[:at(8)]) || !bytes.Equal(whole[at(30):], file[at(30):]) {
		t.Error("more than the pause is silenced")
	}
	for _, test := range []struct {
		asked    string
		code     int
		from, to int
	}{
		{"bytes=0-", 206, 0, len(file)}, {"bytes=0-99", 206, 0, 100}, {fmt.Sprintf("bytes=%d-%d", at(14), at(23)), 206, at(14), at(23) + 1}, {"bytes=-100", 206, len(file) - 100, len(file)},
		{"bytes=100000-99999999", 206, 100000, len(file)}, {"bytes=9-5", 200, 0, len(file)}, {"bytes=0-5,9-12", 200, 0, len(file)}, {"lines=1-2", 200, 0, len(file)}, {"bytes=99999999-", 416, 0, 0},
	} {
		code, part, header := play(1, test.asked)
		if code != test.code || !bytes.Equal(part, whole[test.from:test.to]) {
			t.Errorf("%s: %d, %d bytes, %s", test.asked, code, len(part), header.Get("Content-Range"))
		}
	}
	played := 0
	for _, r := range b.written {
		if r.Detail.String() == "recording played" {
			played++
		}
	}
	if played != 2 {
		t.Errorf("two playings are noted %d times", played)
	}
}

func TestEvidenceDeletion(t *testing.T) {
	h, b, a, desk := withEvidence(t)
	body := found(t, h, desk)
	sue, path := h.cookie("sue@acme.example"), "/evidence/"+body.Items[1].ID+"/delete"
	ours := map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
	if w := h.do(ask{method: "GET", path: path, cookie: sue, header: ours}); w.Code != 200 || !strings.Contains(w.Body.String(), "S20261120/R22.wav") || len(a.deleted) > 0 {
		t.Fatalf("the first step: %d", w.Code)
	}
	confirm := func(name string) int {
		return h.do(ask{method: "POST", path: path, cookie: sue, contentType: aForm, body: url.Values{"name": {name}}.Encode(), header: ours}).Code
	}
	if code := confirm("R22.wav"); code != http.StatusUnprocessableEntity || len(a.deleted) > 0 {
		t.Errorf("another name: %d", code)
	}
	a.refuse = io.ErrUnexpectedEOF
	if code := confirm("S20261120/R22.wav"); code != http.StatusBadGateway {
		t.Errorf("a platform that hangs up: %d", code)
	}
	a.refuse = nil
	if code := confirm("S20261120/R22.wav"); code != http.StatusSeeOther || !slices.Equal(a.deleted, []string{"S20261120/R22.wav"}) {
		t.Errorf("the second step: %d, deleted %v", code, a.deleted)
	}
	var outcomes []recording.Outcome
	for _, r := range b.written {
		if r.Kind == audit.Deletion {
			outcomes = append(outcomes, r.Outcome)
			if r.By.String() != "sue@acme.example" || r.Agent.String() != "bill@acme.example" || r.Call.String() != "S20261120/R22.wav" {
				t.Errorf("noted as %+v", r)
			}
		}
	}
	if !slices.Equal(outcomes, []recording.Outcome{"", recording.Unknown, "", recording.Confirmed}) {
		t.Errorf("noted: %q", outcomes)
	}
	page := h.do(ask{method: "GET", path: "/evidence/" + body.Items[1].ID, cookie: sue, header: ours}).Body.String()
	if !strings.Contains(page, "The recording was deleted on") || strings.Contains(page, "<audio") || strings.Contains(page, path) {
		t.Error("the page doesn't say that it is deleted, or offers it again")
	}
	for _, again := range []ask{{method: "GET", path: path}, {method: "GET", path: "/evidence/" + body.Items[1].ID + "/audio"}} {
		again.cookie, again.header = sue, ours
		if w := h.do(again); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", again.path, w.Code)
		}
	}
}

// A browser that goes away while a recording is being deleted leaves neither the deletion nor its record half done.
func TestADeletionIsCarriedThrough(t *testing.T) {
	h, _, a, desk := withEvidence(t)
	body := found(t, h, desk)
	ctx, leave := context.WithCancel(t.Context())
	a.during = leave
	r := httptest.NewRequestWithContext(ctx, "POST", "/evidence/"+body.Items[1].ID+"/delete", strings.NewReader(url.Values{"name": {"S20261120/R22.wav"}}.Encode()))
	r.Header.Set("Content-Type", aForm)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(h.cookie("sue@acme.example"))
	h.ServeHTTP(httptest.NewRecorder(), r)
	if x, err := desk.Store.Item(t.Context(), body.Items[1].ID); err != nil || len(a.deleted) != 1 || x.DeletedAt.IsZero() {
		t.Errorf("deleted %v, and known to be since %v (%v)", a.deleted, x.DeletedAt, err)
	}
}
