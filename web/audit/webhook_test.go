package audit

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
	"offrecord/web/webhook"
)

// What a webhook was sent is what shows that a log was cut: verify takes it, and finds the cut.
func TestACheckpointKeptByAWebhook(t *testing.T) {
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	var kept bytes.Buffer // as the README has a receiver keep them
	var ids []string
	away := true
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || verifier.Verify(body, r.Header) != nil {
			t.Errorf("a message that isn't ours: %v %s", r.Header, body)
		}
		var m struct {
			Type string
			Data struct {
				Checkpoint, Origin string
				Size               int64
			}
		}
		if err := json.Unmarshal(body, &m); err != nil || m.Type != "audit.checkpoint" || m.Data.Size == 0 || m.Data.Origin != "test/audit" {
			t.Errorf("%s: %v", body, err)
		}
		kept.WriteString(m.Data.Checkpoint + "\n")
		ids = append(ids, r.Header.Get("webhook-id"))
	}))
	defer receiver.Close()
	roots := x509.NewCertPool()
	roots.AddCert(receiver.Certificate())
	to, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := webhook.New(to, secret.New(key), upstream.Options{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()

	c := testConfig(t)
	c.CheckpointEvery = time.Hour
	c.Sinks = []Sink{WebhookSink(sender.Send)}
	l := open(t, c)
	put(t, l, begun("bill@acme.example", noon))
	if err := l.Checkpoint(t.Context()); err == nil || l.Status().Checkpoint == nil || strings.Contains(err.Error(), receiver.URL) {
		t.Errorf("a receiver that is away: %v", err)
	}
	away = false
	for range 2 {
		if err := l.Checkpoint(t.Context()); err != nil {
			t.Error(err)
		}
		put(t, l, begun("bill@acme.example", noon))
	}
	notes, err := ReadCheckpoints(&kept)
	if err != nil || len(notes) != 2 || ids[0] == ids[1] {
		t.Fatalf("%d checkpoints, %v, %v", len(notes), ids, err)
	}
	trust := Trust{Keys: []string{l.PublicKey()}, Checkpoints: notes}
	report, err := l.Verify(t.Context(), trust)
	if err != nil || report.Vouched != 3 {
		t.Errorf("%+v, %v", report, err)
	}

	// Somebody who can write to the store takes the end away, and the log's own checkpoints of it.
	var export bytes.Buffer
	if err := l.Export(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	var cut bytes.Buffer
	for line := range bytes.Lines(export.Bytes()) {
		if !bytes.Contains(line, []byte(`"seq":3,`)) && !bytes.Contains(line, []byte(`"seq":4,`)) && !bytes.Contains(line, []byte(`\n3\n`)) {
			cut.Write(line)
		}
	}
	if _, err := Verify(&cut, trust); err == nil {
		t.Error("a cut log is taken")
	}
}

func TestWhatIsNoCheckpointIsNotSent(t *testing.T) {
	sink := WebhookSink(func(context.Context, string, []byte) error { t.Error("it was"); return nil })
	if err := sink.Send(t.Context(), []byte("x")); err == nil {
		t.Error("no error")
	}
}
