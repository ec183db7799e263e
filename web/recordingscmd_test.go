package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"offrecord/web/audit"
	"offrecord/web/recordings"
)

// shelf is 8x8's archive, as small as these tests need it.
type shelf struct {
	mu       sync.Mutex
	files    []recordings.Recording
	chats    map[string]recordings.Transcript
	refuse   int  // the status of every deletion, if it isn't 0
	stubborn bool // it says that it deletes, and doesn't
	down     bool // nothing but deletions is answered
}

func newShelf(t *testing.T) (*shelf, string) {
	t.Helper()
	began := time.Date(2026, 11, 20, 9, 0, 0, 0, time.FixedZone("", -8*3600))
	s := &shelf{chats: map[string]recordings.Transcript{}}
	for i, agent := range []string{"bill", "bill", "ann"} {
		s.files = append(s.files, recordings.Recording{Start: began.Add(time.Duration(i) * time.Hour), Duration: 27 * time.Second, AgentID: agent, PhoneNumber: "4155550100",
			Channel: "8005557780", Filename: fmt.Sprintf("S20261120/R%d.wav", i)})
	}
	s.files[2].QueueName = "a\x1b]0;title\x07\u202eb"
	for guid, text := range map[string]string{"int-1": "my card is 4111 1111 1111 1111", "int-2": "hello", "int-3": "order 4111 1111 1111 1111"} {
		s.chats[guid] = recordings.Transcript{GUID: guid, Start: began, Duration: time.Minute, AgentID: "bill", ContactName: "Zoë \x1b[31m", Metadata: []recordings.Metadata{{Name: "Color", Value: "Blue"}},
			Messages: []recordings.Message{{Time: began, From: "C", Language: "en", Text: text}, {Time: began, From: "A", Text: "ok", TranslatedLanguage: "es", Translation: "vale"}}}
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, password, _ := r.BasicAuth(); user != "acme" || password != "canary-token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.down && r.Method != http.MethodDelete {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodDelete && s.refuse != 0 {
		w.WriteHeader(s.refuse)
		return
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/recordings/"), "/")
	q := r.URL.Query()
	switch {
	case kind == "files" && name == "":
		l := recordings.NewWriter(w, recordings.XML, recordings.Files)
		for _, f := range s.files {
			if (!q.Has("agentID") || q.Get("agentID") == f.AgentID) && (!q.Has("filename") || q.Get("filename") == f.Filename) {
				l.Recording(f)
			}
		}
		l.Close()
	case kind == "transcripts" && name == "":
		l := recordings.NewWriter(w, recordings.XML, recordings.Transcripts)
		for _, guid := range []string{"int-1", "int-2", "int-3"} {
			l.Transcript(s.chats[guid])
		}
		l.Close()
	case kind == "files":
		for i, f := range s.files {
			if f.Filename != name {
				continue
			}
			if r.Method == http.MethodDelete && !s.stubborn {
				s.files = append(s.files[:i:i], s.files[i+1:]...)
			}
			if r.Method == http.MethodGet {
				io.WriteString(w, "RIFF of "+name)
			}
			return
		}
		w.WriteHeader(http.StatusNotFound)
	default:
		chat, ok := s.chats[name]
		switch {
		case !ok && r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodDelete && !s.stubborn:
			chat.Messages = []recordings.Message{{From: "S", Text: "removed"}}
			s.chats[name] = chat
		case r.Method == http.MethodGet:
			recordings.WriteTranscript(w, recordings.XML, chat)
		}
	}
}

// desk is a configuration for the shelf.
func desk(t *testing.T, at, store string) string {
	t.Helper()
	return write(t, fmt.Sprintf(`listen: 127.0.0.1:0
%s
identity: {demo: true}
platforms:
  - {name: acme, kind: 8x8, base_url: '%s', tenant: acme, action_token_file: token, data_token_file: token}
  - {name: emea, kind: vonage, base_url: 'https://emea.cc.vonage.com', account: a1, client_id: id, client_secret_file: token}
agents: [{email: bill@acme.example, platform: acme, agent_id: bill}]
`, store, at))
}

const withLog = "store: sqlite:log.db"

// call runs a command with something typed.
func call(t *testing.T, typed string, args ...string) (status int, out, complaints string) {
	t.Helper()
	var o, c bytes.Buffer
	status = runWith(t.Context(), args, strings.NewReader(typed), &o, &c)
	if strings.Contains(o.String()+c.String(), "canary") {
		t.Error("the token was printed")
	}
	for _, r := range o.String() + c.String() {
		if r < ' ' && r != '\n' && r != '\r' || r == 0x7f || r == '\u202e' {
			t.Errorf("%q reached the terminal: %q", r, o.String())
			break
		}
	}
	return status, o.String(), c.String()
}

func TestRecordingsAreListed(t *testing.T) {
	_, at := newShelf(t)
	file := desk(t, at, withLog)
	for name, tt := range map[string]struct {
		args            []string
		status          int
		out, complaints string
	}{
		"a table":             {nil, 0, "2026-11-20 09:00:00 -08:00  27s       inbound", ""},
		"by a field":          {[]string{"--where", "agentID=ann"}, 0, "ann           4155550100       8005557780          S20261120/R2.wav\n", ""},
		"JSON":                {[]string{"--format", "json", "--limit", "1"}, 0, `"filename":"S20261120/R0.wav"`, ""},
		"XML":                 {[]string{"--format", "xml", "--limit", "1"}, 0, "<filename>S20261120/R0.wav</filename>", ""},
		"CSV":                 {[]string{"--format", "csv", "--limit", "1"}, 0, "2026-11-20T09:00:00-08:00,bill,4155550100,", ""},
		"by dates":            {[]string{"--date", "today-1d,today", "--tz", "America/Denver"}, 0, "START", ""},
		"a field in no case":  {[]string{"--where", "agentid=ann"}, 2, "", "write agentID"},
		"no value":            {[]string{"--where", "agentID"}, 2, "", "has no value"},
		"no date":             {[]string{"--date", "yesterday"}, 2, "", "isn't a date"},
		"two moments":         {[]string{"--started", "2026-11-20 17:00Z", "--finished", "2026-11-20 17:01Z"}, 2, "", "can't be used together"},
		"another platform":    {[]string{"--platform", "emea"}, 2, "", "emea is on vonage, whose documents have no recordings API"},
		"none such":           {[]string{"--platform", "x"}, 2, "", `no platform "x"`},
		"an unknown format":   {[]string{"--format", "yaml"}, 2, "", "must be one of"},
		"where it is refused": {[]string{"--platform", "acme"}, 0, "START", ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, complaints := call(t, "", append([]string{"recordings", "list", "--config", file}, tt.args...)...)
			if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(complaints, tt.complaints) {
				t.Errorf("status %d\n%s\n%s", status, out, complaints)
			}
		})
	}
	none := write(t, working)
	if status, _, complaints := call(t, "", "recordings", "list", "--config", none); status != 2 || !strings.Contains(complaints, "data_token_file") {
		t.Errorf("without a token: %d, %s", status, complaints)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "token"), []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, complaints := call(t, "", "recordings", "list", "--config", file); status != 1 || !strings.Contains(complaints, "a new token revokes the old one") {
		t.Errorf("with an old token: %d, %s", status, complaints)
	}
}

func TestRecordingsAreFetched(t *testing.T) {
	_, at := newShelf(t)
	file, dir := desk(t, at, withLog), t.TempDir()
	status, out, complaints := call(t, "", "recordings", "get", "--config", file, "--output", dir, "S20261120/R0.wav", "S20261120/R9.wav", "S20261120/R2.wav")
	if status != 1 || out != filepath.Join(dir, "R0.wav")+"\n"+filepath.Join(dir, "R2.wav")+"\n" || !strings.Contains(complaints, "R9.wav") {
		t.Errorf("%d\n%s\n%s", status, out, complaints)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "R0.wav")); err != nil || string(text) != "RIFF of S20261120/R0.wav" {
		t.Errorf("%q, %v", text, err)
	}
	status, _, complaints = call(t, "", "recordings", "get", "--config", file, "--output", dir, "--where", "agentID=bill")
	if status != 1 || !strings.Contains(complaints, "R0.wav is there already and isn't overwritten") {
		t.Errorf("%d, %s", status, complaints)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 3 {
		t.Errorf("%v, %v", names, err)
	}
	for _, n := range names {
		if info, err := n.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is for all to read: %v", n.Name(), info.Mode())
		}
	}
	if status, out, _ := call(t, "", "recordings", "get", "--config", file, "--output", "-", "S20261120/R1.wav"); status != 0 || out != "RIFF of S20261120/R1.wav" {
		t.Errorf("%d, %q", status, out)
	}
	for _, args := range [][]string{{}, {"--output", "-", "a", "b"}, {"--where", "agentID=bill", "a"}} {
		if status, _, complaints := call(t, "", append([]string{"recordings", "get", "--config", file}, args...)...); status != 2 || complaints == "" {
			t.Errorf("%q: %d, %s", args, status, complaints)
		}
	}
	if status, _, complaints := call(t, "", "recordings", "get", "--config", file, "--output", dir, "S20261120/.."); status != 1 || !strings.Contains(complaints, "is no name for a file") {
		t.Errorf("%d, %s", status, complaints)
	}
	// Who fetched what is in the log: also what isn't there, and nothing of what wasn't asked for.
	var want []string
	for _, n := range []int{0, 9, 2, 1, 1} {
		want = append(want, fmt.Sprintf("S20261120/R%d.wav", n))
	}
	if got := writtenOf(t, file, audit.AuditRead); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What can't be written down isn't read.
func TestNothingIsReadUnwritten(t *testing.T) {
	_, at := newShelf(t)
	file, dir := desk(t, at, withLog), t.TempDir()
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "log.db"), bytes.Repeat([]byte("no database "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"recordings", "get", "--config", file, "--output", dir, "S20261120/R0.wav", "S20261120/R1.wav"},
		{"transcripts", "show", "--config", file, "int-1"},
		{"transcripts", "scan", "--config", file},
	} {
		if status, out, complaints := call(t, "", args...); status != 1 || out != "" || strings.Count(complaints, "it couldn't be written down, so it isn't read") != 1 {
			t.Errorf("%s %s: %d, %s%s", args[0], args[1], status, out, complaints)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
	// Where no log is kept, of anything, there is nothing to write.
	if status, _, complaints := call(t, "", "recordings", "get", "--config", desk(t, at, ""), "--output", dir, "S20261120/R0.wav"); status != 0 {
		t.Errorf("%d, %s", status, complaints)
	}
}

// written is what the log has of deletions, oldest first: what, of whom, and what came of it.
func written(t *testing.T, config string) []string {
	t.Helper()
	return writtenOf(t, config, audit.Deletion)
}

func writtenOf(t *testing.T, config string, kind audit.Kind) []string {
	t.Helper()
	r, err := audit.OpenReader(filepath.Join(filepath.Dir(config), "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page, err := r.Query(context.Background(), audit.Filter{Kind: kind, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range page.Items {
		if !strings.Contains(e.By.String(), "@") || e.Platform.String() != "acme" || e.Request.String() == "" {
			t.Errorf("who and where: %+v", e.Record)
		}
		all = append([]string{strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Call, e.Agent, e.Outcome, e.Reason))}, all...)
	}
	return all
}

func TestDeletionIsAskedForAndWrittenDown(t *testing.T) {
	shelf, at := newShelf(t)
	file := desk(t, at, withLog)
	one := []string{"recordings", "delete", "--config", file, "--reason", "leak", "S20261120/R0.wav"}
	if status, out, _ := call(t, "", append(one, "--dry-run")...); status != 0 || !strings.Contains(out, "2026-11-20 09:00:00 -08:00, 27s, inbound, agent bill, number 4155550100") ||
		!strings.Contains(out, "1 recording would be deleted; nothing was") {
		t.Errorf("dry: %d\n%s", status, out)
	}
	for _, typed := range []string{"", "\n", "y\n", "2\n", "yes\n"} {
		if status, _, complaints := call(t, typed, one...); status != 2 || !strings.Contains(complaints, "nothing was deleted") {
			t.Errorf("%q: %d, %s", typed, status, complaints)
		}
	}
	if len(shelf.files) != 3 {
		t.Fatal("something was deleted")
	}
	if status, out, _ := call(t, "1\n", one...); status != 0 || !strings.HasSuffix(out, "deleted  S20261120/R0.wav\n") || len(shelf.files) != 2 {
		t.Errorf("%d\n%s", status, out)
	}
	if status, out, _ := call(t, "", append(one, "--yes")...); status != 1 || !strings.HasSuffix(out, "missing  S20261120/R0.wav\n") {
		t.Errorf("once more: %d\n%s", status, out)
	}
	if status, out, _ := call(t, "", "recordings", "delete", "--config", file, "--yes", "--where", "agentID=bill"); status != 0 || !strings.HasSuffix(out, "deleted  S20261120/R1.wav\n") {
		t.Errorf("by a filter: %d\n%s", status, out)
	}
	shelf.stubborn = true
	if status, out, complaints := call(t, "", "recordings", "delete", "--config", file, "--yes", "S20261120/R2.wav"); status != 1 || !strings.HasSuffix(out, "failed   S20261120/R2.wav\n") || !strings.Contains(complaints, "still has it") {
		t.Errorf("one that isn't done: %d\n%s%s", status, out, complaints)
	}
	shelf.refuse = 500
	if status, _, complaints := call(t, "", "recordings", "delete", "--config", file, "--yes", "S20261120/R2.wav"); status != 1 || !strings.Contains(complaints, "HTTP 500") {
		t.Errorf("%d, %s", status, complaints)
	}
	shelf.refuse = 401
	if status, _, complaints := call(t, "", "recordings", "delete", "--config", file, "--yes", "S20261120/R2.wav", "S20261120/R3.wav"); status != 1 || !strings.Contains(complaints, "refuses") {
		t.Errorf("%d, %s", status, complaints)
	}
	shelf.refuse, shelf.down = 0, true
	if status, out, _ := call(t, "", "recordings", "delete", "--config", file, "--yes", "S20261120/R2.wav"); status != 0 || !strings.Contains(out, "accepted S20261120/R2.wav") {
		t.Errorf("%d\n%s", status, out)
	}
	want := []string{"S20261120/R0.wav bill@acme.example  leak", "S20261120/R0.wav bill@acme.example confirmed leak", "S20261120/R0.wav   leak", "S20261120/R0.wav  not_found leak",
		"S20261120/R1.wav bill@acme.example", "S20261120/R1.wav bill@acme.example confirmed", "S20261120/R2.wav ann", "S20261120/R2.wav ann failed",
		"S20261120/R2.wav ann", "S20261120/R2.wav ann unknown", "S20261120/R2.wav ann", "S20261120/R2.wav ann denied", "S20261120/R2.wav", "S20261120/R2.wav  accepted"}
	if got := written(t, file); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What can't be written down isn't done.
func TestNothingIsDeletedUnwritten(t *testing.T) {
	shelf, at := newShelf(t)
	file := desk(t, at, "")
	if status, _, complaints := call(t, "", "recordings", "delete", "--config", file, "--yes", "S20261120/R0.wav"); status != 2 || !strings.Contains(complaints, "add store") {
		t.Errorf("%d, %s", status, complaints)
	}
	file = desk(t, at, withLog)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "log.db"), bytes.Repeat([]byte("no database "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, complaints := call(t, "", "recordings", "delete", "--config", file, "--yes", "S20261120/R0.wav"); status != 1 || !strings.Contains(complaints, "couldn't be written down") {
		t.Errorf("%d, %s", status, complaints)
	}
	if len(shelf.files) != 3 {
		t.Error("it was deleted")
	}
}

func TestTranscripts(t *testing.T) {
	shelf, at := newShelf(t)
	file := desk(t, at, withLog)
	for name, tt := range map[string]struct {
		args            []string
		status          int
		out, complaints string
	}{
		"listed":        {[]string{"list", "--config", file}, 0, "int-3\n", ""},
		"as CSV":        {[]string{"list", "--config", file, "--format", "csv"}, 0, "interactionGUID", ""},
		"shown":         {[]string{"show", "--config", file, "int-1"}, 0, "09:00:00 customer: my card is 411111******1111\n09:00:00 A: ok\n         (es) vale\n", ""},
		"shown as JSON": {[]string{"show", "--config", file, "--format", "json", "int-1"}, 0, `"originalMessage":"my card is 411111******1111"`, ""},
		"shown as CSV":  {[]string{"show", "--config", file, "--format", "csv", "int-1"}, 2, "", "for compatibility reasons"},
		"not there":     {[]string{"show", "--config", file, "int-9"}, 1, "", "no such record"},
		"scanned":       {[]string{"scan", "--config", file}, 1, "2 of 3 transcripts hold what may be a card number, 1 without a doubt.\nDelete these with --delete", ""},
		"scanned, JSON": {[]string{"scan", "--config", file, "--format", "json"}, 1, `"where":["message 1 (customer)"],"doubt":"it is called \"order\""}`, ""},
		"scanned, CSV":  {[]string{"scan", "--config", file, "--format", "csv"}, 1, "int-1,2026-11-20T09:00:00-08:00,bill,411111******1111,Visa,message 1 (customer),\n", ""},
		"by a moment":   {[]string{"list", "--config", file, "--started", "today"}, 2, "", "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, complaints := call(t, "", append([]string{"transcripts"}, tt.args...)...)
			if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(complaints, tt.complaints) {
				t.Errorf("status %d\n%s\n%s", status, out, complaints)
			}
			if strings.Contains(out, "1111 1111") {
				t.Errorf("a card number is shown:\n%s", out)
			}
		})
	}
	if status, out, _ := call(t, "1\n", "transcripts", "scan", "--config", file, "--delete", "--reason", "card"); status != 1 || !strings.HasSuffix(out, "Type 1 to go on: deleted  int-1\n") {
		t.Errorf("%d\n%s", status, out)
	}
	if len(shelf.chats["int-1"].Messages) != 1 || len(shelf.chats["int-3"].Messages) != 2 {
		t.Error("other messages were deleted than those with a number")
	}
	if status, out, _ := call(t, "2\n", "transcripts", "delete", "--config", file, "int-2", "int-9"); status != 1 || !strings.Contains(out, "deleted  int-2\nmissing  int-9\n") {
		t.Errorf("%d\n%s", status, out)
	}
	chat := shelf.chats["int-3"]
	chat.Metadata = append(chat.Metadata, recordings.Metadata{Name: "Notes", Value: "card 5555 5555 5555 4444"})
	shelf.chats["int-3"] = chat
	if status, out, _ := call(t, "", "transcripts", "delete", "--yes", "--config", file, "int-3"); status != 1 || !strings.Contains(out, "deleted  int-3: its metadata still holds 555555******4444") {
		t.Errorf("%d\n%s", status, out)
	}
	if got, want := strings.Join(written(t, file), "\n"), "int-1 bill@acme.example  card\nint-1 bill@acme.example confirmed card\nint-2 bill@acme.example\nint-2 bill@acme.example confirmed\nint-9\nint-9  not_found\nint-3 bill@acme.example\nint-3 bill@acme.example confirmed"; got != want {
		t.Errorf("the log has\n%s\nwant\n%s", got, want)
	}
	if status, out, _ := call(t, "", "transcripts", "scan", "--config", file, "--where", "agentID=ann"); status != 1 || !strings.Contains(out, "1 of 3") {
		t.Errorf("afterwards: %d\n%s", status, out)
	}
}

func TestCheckTriesTheDataToken(t *testing.T) {
	_, at := newShelf(t)
	file := desk(t, at, withLog)
	const line = "acme (8x8): data_token: "
	if _, out, _ := call(t, "", "check", "--config", file); !strings.Contains(out, line+"good: 8x8 takes the tenant and its data token") {
		t.Error(out)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "token"), []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := call(t, "", "check", "--config", file); status != 1 || !strings.Contains(out, line+"bad: 8x8 refuses the tenant or its data token: a new token revokes the old one") {
		t.Errorf("%d, %s", status, out)
	}
}
