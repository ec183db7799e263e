package server_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/server"
)

// agent asks a server in someone's name.
type agent struct {
	t      *testing.T
	m      *server.Main
	bearer string
}

func signIn(t *testing.T, m *server.Main, email string) agent {
	t.Helper()
	var session struct {
		Token string `json:"access_token"`
	}
	a := agent{t, m, ""}
	if err := json.Unmarshal([]byte(a.must(200, "POST", "/api/v1/login/demo", `{"email":"`+email+`"}`)), &session); err != nil {
		t.Fatal(err)
	}
	a.bearer = session.Token
	return a
}

func (a agent) must(status int, method, path, body string) string {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.m.URL()+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+a.bearer)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		a.t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
	}
	return string(text)
}

func (a agent) pause(id string) {
	a.t.Helper()
	a.must(201, "POST", "/api/v1/attempts", `{"id":"`+id+`","action":"pause","transport":"iframe","reason":"card"}`)
	a.must(200, "POST", "/api/v1/attempts/"+id+"/outcome", `{"outcome":"sent","evidence":{"kind":"frame_load","after_ms":80}}`)
}

func (a agent) call(event string) {
	a.t.Helper()
	a.must(200, "POST", "/api/v1/calls", `{"call":"c-17","event":"`+event+`"}`)
}

func (a agent) state() (s recording.Snapshot) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.must(200, "GET", "/api/v1/state", "")), &s); err != nil {
		a.t.Fatal(err)
	}
	return s
}

const (
	firstID  = "0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d"
	secondID = "7c1e2f3a-1111-4d7b-9d0e-1c2f3a4b5c6d"
)

func TestAStartTakesUpWhatWasKnown(t *testing.T) {
	tests := []struct {
		name  string
		do    func(agent)
		state recording.State
		holds int
		call  string
	}{
		{"nothing", func(agent) {}, recording.StateUnknown, 0, ""},
		{"a pause", func(a agent) { a.pause(firstID) }, recording.StateUnknown, 1, ""},
		{"a call", func(a agent) { a.call("started") }, recording.StateUnknown, 0, "c-17"},
		{"a pause, and the call's end", func(a agent) { a.call("started"); a.pause(firstID); a.call("ended") }, recording.Idle, 0, ""},
		{"a call's end, and a pause", func(a agent) { a.pause(secondID); a.call("ended"); a.call("started"); a.pause(firstID) }, recording.StateUnknown, 1, "c-17"},
	}
	for _, hashed := range []bool{false, true} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, hashed %v", tt.name, hashed), func(t *testing.T) {
				dir := t.TempDir()
				text := configuration + fmt.Sprintf("store: sqlite:log.db\naudit: {hash_identifiers: %v}\n", hashed)
				m, _ := start(t, text, dir)
				a := signIn(t, m, "bill@acme.example")
				tt.do(a)
				before := a.state()
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
				m, log := start(t, text, dir)
				after := signIn(t, m, "bill@acme.example").state()
				if after.State != tt.state || after.State != before.State || len(after.Holds) != tt.holds || len(before.Holds) != tt.holds {
					t.Errorf("before %+v\nafter %+v", before, after)
				}
				if !hashed && after.Call != tt.call {
					t.Errorf("on call %q", after.Call)
				}
				if before.Attempt != nil && (after.Attempt == nil || after.Attempt.ID != before.Attempt.ID || after.Attempt.Agent != "bill@acme.example" || strings.Contains(after.Attempt.Call, "hmac")) {
					t.Errorf("the attempt: %+v", after.Attempt)
				}
				if strings.Contains(log.String(), `"level":"ERROR"`) {
					t.Errorf("the log: %s", log)
				}
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
				stored, err := os.ReadFile(filepath.Join(dir, "log.db"))
				if err != nil || bytes.Contains(stored, []byte("bill@acme.example")) == hashed {
					t.Errorf("the address is where it should not be, or isn't: %v", err)
				}
			})
		}
	}
}

func TestAStoreThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	text := configuration + "store: sqlite:log.db\n"
	m, log := start(t, text, dir)
	a := signIn(t, m, "bill@acme.example")
	if s := a.state(); !s.Ready || s.NotReadyBecause != "" {
		t.Fatalf("at first: %+v", s)
	}
	other, err := sql.Open("sqlite", filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Conn(t.Context())
	if err == nil {
		_, err = tx.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	a.call("started") // with which the log finds out
	spooled := func(s recording.Snapshot) bool {
		return slices.ContainsFunc(s.Notices, func(n recording.Notice) bool { return n.Code == recording.LogSpooled })
	}
	for deadline := time.Now().Add(20 * time.Second); !spooled(a.state()); {
		if time.Now().After(deadline) {
			t.Fatal("nothing is said")
		}
	}
	if s := a.state(); !s.Ready || s.NotReadyBecause != "" {
		t.Errorf("a pause goes all the same: %+v", s)
	}
	a.pause(firstID)
	a.must(200, "GET", "/readyz", "")
	metrics, err := http.Get(m.MetricsURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	counted, _ := io.ReadAll(metrics.Body)
	metrics.Body.Close()
	if !strings.Contains(string(counted), "offrecord_audit_store_failing 1") {
		t.Error("the metrics don't show it")
	}
	if _, err := tx.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	tx.Close()
	for deadline := time.Now().Add(20 * time.Second); spooled(a.state()); {
		if time.Now().After(deadline) {
			t.Fatal("it isn't written again")
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "records go to the spool") {
		t.Errorf("the log: %s", log)
	}
	r, err := audit.OpenReader(filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page, err := r.Query(t.Context(), audit.Filter{Attempt: firstID})
	if err != nil || len(page.Items) != 2 || page.Items[1].Kind != audit.AttemptBegun {
		t.Errorf("what was kept aside: %+v, %v", page.Items, err)
	}
}

// TestALogThatCannotBeHad is a start that would keep nothing: it says so and isn't made.
func TestALogThatCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log.key"), []byte("not a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, configuration+"store: sqlite:log.db\n", dir); err == nil || !strings.Contains(err.Error(), "signing key") {
		t.Errorf("a key that is none: %v", err)
	}
	dir = t.TempDir()
	text := configuration + "store: sqlite:log.db\n"
	start(t, text, dir)
	if err := tryStart(t, text, dir); err == nil {
		t.Error("two servers write one log")
	}
}

func tryStart(t *testing.T, text, dir string) error {
	t.Helper()
	c, err := config.Parse([]byte(text), config.Environment{Dir: dir, Getenv: func(string) (string, bool) { return canary, true }})
	if err != nil {
		t.Fatal(err)
	}
	m := &server.Main{Config: c, Version: "test"}
	if err := m.Run(t.Context()); err != nil {
		return err
	}
	return m.Close()
}
