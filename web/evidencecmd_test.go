package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
	"offrecord/web/recordings"
)

// studio is an archive with tapes: each of 40 s, paused from 15 to 22 s, which are in the log, too.
func studio(t *testing.T, fills ...truth.Fill) (config string, began time.Time) {
	t.Helper()
	s, _ := newShelf(t)
	s.files = nil
	tapes := map[string][]byte{}
	began = time.Now().UTC().Truncate(time.Hour).Add(-3 * time.Hour)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tape, ok := tapes[strings.TrimPrefix(r.URL.Path, "/api/recordings/files/")]; ok && r.Method == http.MethodGet {
			w.Write(tape)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	config = desk(t, srv.URL, withLog)
	log := journalOf(t, config)
	defer log.Close()
	for i, fill := range fills {
		start := began.Add(time.Duration(i) * 10 * time.Minute)
		scene := truth.Scene{Seed: uint64(i), Format: wav.Format{Codec: wav.PCM, Bits: 16, Rate: 8000, Channels: 1}, Length: 40 * time.Second, Noise: -60, Speech: -22,
			Pauses: []truth.Pause{{From: 15 * time.Second, To: 22 * time.Second, Fill: fill}}}
		tape, err := io.ReadAll(scene.Reader(nil))
		if err != nil {
			t.Fatal(err)
		}
		name := "S20261120/R" + string(rune('0'+i)) + ".wav"
		tapes[name] = tape
		s.files = append(s.files, recordings.Recording{Start: start, Duration: 40 * time.Second, AgentID: "bill", Filename: name})
		for action, at := range map[recording.Action]time.Duration{recording.Pause: 15 * time.Second, recording.Resume: 22 * time.Second} {
			asked, decided := start.Add(at-50*time.Millisecond), start.Add(at+50*time.Millisecond)
			r, err := audit.OfAttempt(recording.Attempt{ID: uuid.NewString(), Action: action, Outcome: recording.Confirmed, Agent: "bill@acme.example", Platform: "acme", Route: recording.RouteServer,
				Origin: recording.Hand, RequestedAt: asked, DecidedAt: &decided})
			if err == nil {
				_, err = log.Append(t.Context(), r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return config, began
}

func journalOf(t *testing.T, file string) *audit.Log {
	t.Helper()
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.LoadKey(c.Audit.SigningKeyFile, "offrecord")
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.Context(), audit.Config{Store: c.StoreFile, Spool: c.Spool, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestEvidenceCommand(t *testing.T) {
	file, began := studio(t, truth.Digital, truth.None)
	from := began.Add(-time.Minute).Format(time.RFC3339)
	status, out, complaints := call(t, "", "evidence", "--config", file, "--from", from, "--to", began.Add(5*time.Minute).Format(time.RFC3339))
	if status != good || !strings.Contains(out, "bill@acme.example") || !strings.Contains(out, "Silent") || !strings.Contains(out, "1 silent. Screen recordings: not checked.") || !strings.Contains(out, "emea: Its documents have no recordings API") {
		t.Errorf("%d\n%s%s", status, out, complaints)
	}
	status, out, _ = call(t, "", "evidence", "--config", file, "--from", from)
	if status != finding || !strings.Contains(out, "Audible") || !strings.Contains(out, "1 audible, 1 silent") {
		t.Errorf("a leak: %d\n%s", status, out)
	}
	log, err := audit.OpenReader(filepath.Join(filepath.Dir(file), "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	reads, err := log.Query(t.Context(), audit.Filter{Kind: audit.AuditRead})
	if err != nil || len(reads.Items) != 2 || !strings.HasPrefix(reads.Items[0].Detail.String(), "evidence run from") || !strings.Contains(reads.Items[0].By.String(), "@") {
		t.Errorf("what the log says of it: %+v, %v", reads.Items, err)
	}

	// The reports, verified offline with a key that was kept.
	dir := t.TempDir()
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	status, key, complaints := call(t, "", "audit", "key", "--config", file)
	if status != good || strings.Contains(key, "PRIVATE") || strings.Count(key, "\n") != 1 {
		t.Fatalf("the public key: %d %s%s", status, key, complaints)
	}
	other, err := audit.GenerateKey("offrecord")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := audit.PublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	public, others := filepath.Join(dir, "public.key"), filepath.Join(dir, "others.key")
	os.WriteFile(public, []byte(key), 0o600)
	os.WriteFile(others, []byte(foreign+"\n"), 0o600)
	for _, format := range []string{"json", "html"} {
		report := filepath.Join(dir, "report."+format)
		if status, out, complaints := call(t, "", "evidence", "--config", file, "--from", from, "--known", "--format", format, "--out", report); status != finding || out != "" {
			t.Fatalf("%s: %d %s %s", format, status, out, complaints)
		}
		if status, out, _ := call(t, "", "audit", "verify", "--key", c.Audit.SigningKeyFile, report); status != good || !strings.HasPrefix(out, "good: an evidence report, signed by offrecord") || strings.Contains(out, "note:") {
			t.Errorf("%s: %d %s", format, status, out)
		}
		if status, out, _ := call(t, "", "audit", "verify", report); status != finding || !strings.HasPrefix(out, "not proven: ") {
			t.Errorf("%s without a key: %d %s", format, status, out)
		}
		if status, out, _ := call(t, "", "audit", "verify", "--config", file, report); status != good || strings.Contains(out, "note:") {
			t.Errorf("%s with the configuration's key: %d %s", format, status, out)
		}
		if status, out, _ := call(t, "", "audit", "verify", "--key", public, report); status != good || strings.Contains(out, "note:") {
			t.Errorf("%s with the key that was handed over: %d %s", format, status, out)
		}
		// One that somebody else made and signed agrees with itself only.
		if status, out, _ := call(t, "", "audit", "verify", "--key", others, report); status != finding || !strings.HasPrefix(out, "bad ") {
			t.Errorf("%s with another log's key: %d %s", format, status, out)
		}
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(report, bytes.Replace(text, []byte("udible"), []byte("udibel"), 1), 0o600)
		if status, out, _ := call(t, "", "audit", "verify", "--key", c.Audit.SigningKeyFile, report); status != finding || !strings.HasPrefix(out, "bad ") {
			t.Errorf("%s, changed: %d %s", format, status, out)
		}
		if status, _, complaints := call(t, "", "evidence", "--config", file, "--from", from, "--known", "--format", format, "--out", report); status != finding || !strings.Contains(complaints, "exists") {
			t.Errorf("a file that exists: %d %s", status, complaints)
		}
	}

	for name, args := range map[string][]string{
		"isn't a day":         {"evidence", "--config", file, "--from", "yesterday"},
		"nor a time":          {"evidence", "--config", file, "--to", "21.11.2026"},
		"come before":         {"evidence", "--config", file, "--from", "2026-11-21", "--to", "2026-11-20"},
		"no store":            {"evidence", "--config", desk(t, "http://127.0.0.1:1", "")},
		"no log that a key":   {"audit", "key", "--config", desk(t, "http://127.0.0.1:1", "")},
		"no key yet":          {"audit", "key", "--config", desk(t, "http://127.0.0.1:1", withLog)},
		"verify a report or":  {"audit", "verify", "--export", file, file},
		"neither an evidence": {"audit", "verify", file},
		"opening the report":  {"audit", "verify", filepath.Join(dir, "nothing")},
		"data_token_file":     {"evidence", "--config", withoutDataToken(t)},
	} {
		if name == "isn't a day" || name == "nor a time" {
			name = "neither a day"
		}
		if status, out, complaints := call(t, "", args...); status != usage || !strings.Contains(complaints, name) {
			t.Errorf("%v: %d %s%s", args, status, out, complaints)
		}
	}
}

func withoutDataToken(t *testing.T) string {
	t.Helper()
	file := desk(t, "http://127.0.0.1:1", withLog)
	journalOf(t, file).Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(file, bytes.Replace(text, []byte(", data_token_file: token"), nil, 1), 0o600)
	return file
}

// A platform that refuses us is said, and isn't taken for silence.
func TestEvidenceOfARefusingPlatform(t *testing.T) {
	file, began := studio(t, truth.Digital)
	text, _ := os.ReadFile(file)
	os.WriteFile(file, bytes.Replace(text, []byte("tenant: acme,"), []byte("tenant: other,"), 1), 0o600)
	status, out, complaints := call(t, "", "evidence", "--config", file, "--from", began.Add(-time.Minute).Format(time.RFC3339))
	if status != finding || strings.Contains(out, "Silent") || !strings.Contains(complaints, "refuses") {
		t.Errorf("%d\n%s%s", status, out, complaints)
	}
}
