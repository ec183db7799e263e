package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/archive"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
	"offrecord/web/secret"
)

// The README's lines about recordings are run as they stand, against the simulated archive.
func TestREADMEsRecordingsWork(t *testing.T) {
	dir := t.TempDir()
	commandOutput(t, nil, "go", "build", "-o", filepath.Join(dir, "offrecord"), "./web")
	kept := archive.New(archive.Config{Agents: []string{"bill", "becky"}, Recordings: 400, Transcripts: 100})
	defer kept.Close()
	sim := agui.New(agui.Config{Archive: kept, PlainLoopback: true})
	srv := httptest.NewServer(sim)
	defer srv.Close()
	defer sim.Close()
	for name, text := range map[string]string{"action-token": sim.ActionToken(), "data-token": kept.DataToken(), "offrecord.yaml": fmt.Sprintf(`listen: 127.0.0.1:0
store: sqlite:offrecord.db
identity: {demo: true}
platforms: [{name: acme, kind: 8x8, base_url: '%s', tenant: acme01, action_token_file: action-token, data_token_file: data-token}]
agents: [{email: bill@acme.example, platform: acme, agent_id: bill}]
`, srv.URL)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	run := exec.CommandContext(ctx, "bash", "-u", "-c", block(t, "sh", "offrecord recordings"))
	run.Dir, run.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	var complaints bytes.Buffer
	run.Stderr = &complaints
	out, err := run.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, out, &complaints)
	}
	for _, want := range []string{"START  ", "bill  ", "startDate,agentID,phoneNumber", "wav/R", "1 recording would be deleted; nothing was.", "Type 1 to go on: deleted  S",
		"transcripts hold what may be a card number", "interaction  int-", "customer: Hi How r u"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q isn't in what came:\n%s", want, out)
		}
	}
	if len(kept.Files()) != 399 {
		t.Errorf("%d recordings are left of 400", len(kept.Files()))
	}
	fetched, err := filepath.Glob(filepath.Join(dir, "wav", "R*.wav"))
	if err != nil || len(fetched) != 1 {
		t.Errorf("fetched %q, %v", fetched, err)
	}
	// And so are those about evidence: of a log without a pause, but signed and verified as any other.
	listened := exec.CommandContext(ctx, "bash", "-eu", "-c", block(t, "sh", "offrecord evidence"))
	listened.Dir, listened.Env = run.Dir, run.Env
	if said, err := listened.CombinedOutput(); err != nil || !strings.Contains(string(said), "nothing was paused in this period") || !strings.Contains(string(said), "good: an evidence report, signed by offrecord") {
		t.Errorf("the README's lines about evidence: %v\n%s", err, said)
	}
	verified := exec.CommandContext(ctx, filepath.Join(dir, "offrecord"), "audit", "verify", "--config", filepath.Join(dir, "offrecord.yaml"))
	if said, err := verified.CombinedOutput(); err != nil || !strings.Contains(string(said), "good: records 1 to ") {
		t.Errorf("the log: %v\n%s", err, said)
	}
}

// Every card number that the simulator wrote into its chats is found, and no other chat is taken for one that has one.
func TestPlantedCardNumbersAreFound(t *testing.T) {
	kept := archive.New(archive.Config{Transcripts: 400})
	defer kept.Close()
	srv := httptest.NewServer(kept)
	defer srv.Close()
	client := recordingsOf(t, srv.URL, kept)
	planted := map[string]bool{}
	for _, guid := range kept.Planted() {
		planted[guid] = true
	}
	found, wrong, scanned := 0, 0, 0
	for listed, err := range client.Transcripts(t.Context(), recordings.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		whole, err := client.Transcript(t.Context(), listed.GUID)
		if err != nil {
			t.Fatal(err)
		}
		scanned++
		certain := false
		for _, n := range whole.CardNumbers() {
			certain = certain || n.Doubt == ""
		}
		switch {
		case certain && planted[whole.GUID]:
			found++
		case certain:
			wrong++
			t.Errorf("%s is taken to hold one: %+v", whole.GUID, whole.Messages)
		case planted[whole.GUID]:
			t.Errorf("%s holds one: %+v %+v", whole.GUID, whole.Messages, whole.Metadata)
		}
	}
	t.Logf("card numbers in chats: %d of %d found, %d false alarms in %d chats without", found, len(planted), wrong, scanned-len(planted))
	if len(planted) < 20 {
		t.Errorf("only %d were planted", len(planted))
	}
}

// recordingsOf is a client of a simulated archive.
func recordingsOf(t *testing.T, at string, kept *archive.Archive) *recordings.Client {
	t.Helper()
	base, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	client, err := recordings.New(recordings.Settings{BaseURL: base, Tenant: kept.Tenant(), DataToken: secret.New(kept.DataToken())}, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
