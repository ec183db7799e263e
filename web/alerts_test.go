package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"offrecord/app/recording"
	"offrecord/web/store"
)

// TestAKillForgetsNoAlert kills the server while its webhook is away, and again when a repeat is due.
func TestAKillForgetsNoAlert(t *testing.T) {
	const id, key = "0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	away, tried := true, make(chan string, 100)
	var took []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || verifier.Verify(body, r.Header) != nil {
			t.Errorf("not ours: %s", body)
		}
		mu.Lock()
		defer mu.Unlock()
		if away {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			var m struct{ Type string }
			json.Unmarshal(body, &m)
			took = append(took, r.Header.Get("webhook-id")+" "+m.Type)
		}
		tried <- r.Header.Get("webhook-id")
	}))
	defer hook.Close()
	next := func() string {
		t.Helper()
		select {
		case id := <-tried:
			return id
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is told")
			return ""
		}
	}
	file := write(t, kept+"alerts: {webhook: '"+hook.URL+"', secret_file: hook}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "hook"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	first := serving(t, file)
	bill := first.signIn("bill@acme.example")
	first.do(bill, "POST", "/api/v1/attempts", `{"id":"`+id+`","action":"pause","transport":"popup"}`)
	first.do(bill, "POST", "/api/v1/attempts/"+id+"/outcome", `{"outcome":"failed","evidence":{"kind":"blocked","after_ms":5}}`)
	message := next()
	if !strings.HasSuffix(message, ".1") {
		t.Errorf("the first message is %s", message)
	}
	first.kill()

	mu.Lock()
	away = false
	mu.Unlock()
	second := serving(t, file)
	if again := next(); again != message {
		t.Errorf("tried as %s, delivered as %s", message, again)
	}
	second.kill()

	// As if it had been away for hours.
	db, err := store.Open(t.Context(), filepath.Join(filepath.Dir(file), "log.data.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `UPDATE alert SET next = '2020-01-01T00:00:00.000000Z', delivered = told`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	third := serving(t, file)
	if due := next(); due != strings.TrimSuffix(message, "1")+"2" {
		t.Errorf("what was due is %s", due)
	}
	var state recording.Snapshot
	third.get(third.signIn("bill@acme.example"), "/api/v1/state", &state)
	if len(state.Alerts) != 1 || state.Alerts[0].Repeated != 1 || state.Alerts[0].Attempt != id {
		t.Errorf("%+v", state.Alerts)
	}
	sue := third.signIn("sue@acme.example")
	if status, text := third.do(sue, "POST", "/api/v1/alerts/"+state.Alerts[0].ID+"/ack", ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	third.kill() // at once: what was answered is kept
	fourth := serving(t, file)
	var page struct{ Items []recording.Alert }
	fourth.get(fourth.signIn("sue@acme.example"), "/api/v1/alerts", &page)
	if len(page.Items) != 1 || page.Items[0].AckedBy != "sue@acme.example" {
		t.Errorf("%+v", page.Items)
	}
	fourth.end()
	mu.Lock()
	defer mu.Unlock()
	took = slices.Compact(took) // what was delivered and not noted as such is delivered again, as the same
	if len(took) < 2 || took[0] != message+" alert.raised" || !strings.HasSuffix(took[1], ".2 alert.repeated") || len(took) > 3 {
		t.Errorf("delivered: %q", took)
	}
}
