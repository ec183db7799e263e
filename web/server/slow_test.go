package server_test

import (
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// TestASlowDisk has the log's disk take as long for a pause's record as the platform takes to hear of the pause: the pause is
// sent before its record is durable, a resume only after, and in the end the log holds all of it.
func TestASlowDisk(t *testing.T) {
	heard := make(chan string, 1)
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, verb, _ := strings.Cut(r.URL.Path, "/rccontrol/")
		verb, _, _ = strings.Cut(verb, "/")
		heard <- verb
		io.WriteString(w, "success")
	}))
	defer platform.Close()
	dir := t.TempDir()
	m, _ := start(t, strings.Replace(strings.Replace(configuration, "http://agui.localhost:1", platform.URL, 1), "    tenant:", "    routes: [server]\n    tenant:", 1)+
		"store: sqlite:log.db\n", dir)
	a := signIn(t, m, "bill@acme.example")
	store := filepath.Join(dir, "log.db")
	other, err := sql.Open("sqlite", store)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	disk, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	say := func(statement string) {
		t.Helper()
		if _, err := disk.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	say("PRAGMA busy_timeout = 10000")

	ids := map[string]recording.Action{}
	for range 5 {
		for _, action := range []recording.Action{recording.Pause, recording.Resume} {
			id := uuid.NewString()
			ids[id] = action
			answered := make(chan struct{})
			say("BEGIN IMMEDIATE")
			go func() {
				defer close(answered)
				a.must(200, "POST", "/api/v1/actions", `{"id":"`+id+`","action":"`+string(action)+`"}`)
			}()
			if action == recording.Pause {
				select {
				case verb := <-heard: // while the disk is at it
					if verb != "pause" {
						t.Errorf("the platform heard %s", verb)
					}
				case <-answered:
					t.Error("a pause was answered before the platform heard of it")
				}
			}
			say("ROLLBACK")
			<-answered
			if action == recording.Resume {
				select {
				case <-heard:
				default:
					t.Error("the platform never heard of a resume")
				}
			}
		}
	}
	if s := a.state(); s.State != recording.Recording || s.Attempt.Outcome != recording.Confirmed {
		t.Errorf("at last: %+v", s)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := audit.OpenReader(store)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for id, action := range ids {
		page, err := r.Query(t.Context(), audit.Filter{Attempt: id})
		if err != nil || len(page.Items) < 2 || page.Items[len(page.Items)-1].Kind != audit.AttemptBegun || page.Items[0].Outcome != recording.Confirmed {
			t.Errorf("%s %s: %+v, %v", action, id, page.Items, err)
		}
	}
}
