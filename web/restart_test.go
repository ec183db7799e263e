package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// asProgram makes this test binary the program itself, so that a test can kill it.
const asProgram = "OFFRECORD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// child is a server in a process of its own.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	at  string
	log *bytes.Buffer // read it after the end
}

func serving(t *testing.T, file string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], "serve", "--config", file), log: new(bytes.Buffer)}
	c.cmd.Env, c.cmd.Stderr = append(os.Environ(), asProgram+"=yes"), c.log
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	var ok bool
	if c.at, ok = strings.CutPrefix(strings.TrimSpace(line), "listening "); err != nil || !ok {
		c.kill()
		t.Fatalf("it said %q, %v; its log:\n%s", line, err, c.log)
	}
	return c
}

// kill ends it as a power cut would, as far as a process can tell.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// end asks it to end, and waits.
func (c *child) end() {
	c.t.Helper()
	c.cmd.Process.Signal(syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("it ended with %v; its log:\n%s", err, c.log)
	}
}

// do asks the server and returns the status and the body.
func (c *child) do(bearer, method, path, body string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.at+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (c *child) signIn(email string) string {
	c.t.Helper()
	var session struct {
		Token string `json:"access_token"`
	}
	status, text := c.do("", "POST", "/api/v1/login/demo", `{"email":"`+email+`"}`)
	if err := json.Unmarshal([]byte(text), &session); err != nil || status != 200 {
		c.t.Fatalf("%s signing in: %d %s", email, status, text)
	}
	return session.Token
}

// get reads a JSON answer.
func (c *child) get(bearer, path string, into any) {
	c.t.Helper()
	status, text := c.do(bearer, "GET", path, "")
	if err := json.Unmarshal([]byte(text), into); err != nil || status != 200 {
		c.t.Fatalf("%s: %d %s", path, status, text)
	}
}

type record struct {
	Seq                                                      int64
	Kind, Agent, Role, Peer, Client, Attempt, Outcome, Route string
	Request                                                  string `json:"request_id"`
	Detail, Time                                             string
	Count                                                    int64
}

const kept = `listen: 127.0.0.1:0
identity: {demo: true}
store: sqlite:log.db
audit: {checkpoint_file: checkpoints}
platforms: [{name: acme, kind: 8x8, base_url: 'http://agui.localhost:1', tenant: acme01, action_token_file: token, routes: [session]}]
agents: [{email: bill@acme.example, platform: acme}, {email: sue@acme.example, role: supervisor}]
`

// TestARestartForgetsNothing kills the server and starts it again, and then tampers with what it wrote.
func TestARestartForgetsNothing(t *testing.T) {
	const id, open, body = "0b8f6d0e-6a51-4d7b-9d0e-1c2f3a4b5c6d", "7c1e2f3a-1111-4d7b-9d0e-1c2f3a4b5c6d", `,"action":"pause","transport":"iframe","reason":"card"}`
	file := write(t, kept)
	dir := filepath.Dir(file)

	first := serving(t, file)
	bill := first.signIn("bill@acme.example")
	if status, text := first.do("", "POST", "/api/v1/login/demo", `{"email":"eve@evil.example"}`); status != 401 {
		t.Fatalf("a stranger: %d %s", status, text)
	}
	for range 50 {
		if status, text := first.do(bill, "GET", "/api/v1/audit", ""); status != 403 {
			t.Fatalf("the log for an agent: %d %s", status, text)
		}
	}
	if status, text := first.do(bill, "POST", "/api/v1/calls", `{"call":"c-17","event":"started"}`); status != 200 {
		t.Fatalf("a call: %d %s", status, text)
	}
	if status, text := first.do(bill, "POST", "/api/v1/attempts", `{"id":"`+id+`"`+body); status != 201 {
		t.Fatalf("announcing: %d %s", status, text)
	}
	if status, text := first.do(bill, "POST", "/api/v1/attempts/"+id+"/outcome", `{"outcome":"sent","evidence":{"kind":"frame_load","after_ms":80}}`); status != 200 {
		t.Fatalf("reporting: %d %s", status, text)
	}
	if status, text := first.do(bill, "POST", "/api/v1/attempts", `{"id":"`+open+`"`+body); status != 201 {
		t.Fatalf("announcing another: %d %s", status, text)
	}
	var before recording.Snapshot
	first.get(bill, "/api/v1/state", &before)
	awaitOutcome(t, first)
	first.kill()
	tool := func(args ...string) (int, string) {
		var out, complaints bytes.Buffer
		status := run(t.Context(), append([]string{"audit"}, args...), &out, &complaints)
		return status, out.String() + complaints.String()
	}
	if status, said := tool("verify", "--config", file); status != 0 || !strings.HasPrefix(said, "good: records 1 to ") || !strings.Contains(said, "note: no checkpoint covers") {
		t.Fatalf("verifying what a kill left: %d %s", status, said)
	}

	second := serving(t, file)
	bill = second.signIn("bill@acme.example")
	var after recording.Snapshot
	second.get(bill, "/api/v1/state", &after)
	if after.State != before.State || after.Call != "" && after.Call != "c-17" || len(after.Holds) != 1 || after.Attempt == nil || after.Attempt.ID != open {
		t.Errorf("after the restart: %+v, before: %+v", after, before)
	}
	var attempt recording.Attempt
	second.get(bill, "/api/v1/attempts/"+id, &attempt)
	if attempt.Outcome != recording.Sent || attempt.Reason != "card" || attempt.Call != "c-17" {
		t.Errorf("the attempt: %+v", attempt)
	}
	// The same id again is the same attempt, and what was open takes its outcome still.
	if status, text := second.do(bill, "POST", "/api/v1/attempts", `{"id":"`+id+`"`+body); status != 200 {
		t.Errorf("the same id: %d %s", status, text)
	}
	if status, text := second.do(bill, "POST", "/api/v1/attempts/"+open+"/outcome", `{"outcome":"sent","evidence":{"kind":"frame_load","after_ms":90}}`); status != 200 || !strings.Contains(text, `"outcome":"sent"`) {
		t.Errorf("the open one's outcome: %d %s", status, text)
	}

	sue := second.signIn("sue@acme.example")
	var page struct {
		Items []record
		Next  string
	}
	second.get(sue, "/api/v1/audit?limit=1000", &page)
	count, decided := map[string]int{}, int64(0)
	for i, r := range page.Items {
		if i > 0 && r.Time > page.Items[i-1].Time { // what nobody waits for may be numbered later than what came after it
			t.Errorf("record %d after %d: not newest first", r.Seq, page.Items[i-1].Seq)
		}
		count[r.Kind]++
		if r.Attempt == id && r.Kind == "attempt_decided" {
			decided = r.Seq
		}
		if r.Kind == "attempt_begun" && (r.Agent != "bill@acme.example" || r.Role != "agent" || r.Peer != "127.0.0.1" || len(r.Request) != 26 || r.Route != "session") {
			t.Errorf("who asked from where: %+v", r)
		}
		if r.Kind == "refused" && (r.Outcome != "denied" || r.Agent != "bill@acme.example" || !strings.Contains(r.Detail, "/api/v1/audit: forbidden")) {
			t.Errorf("what was refused: %+v", r)
		}
	}
	for kind, n := range map[string]int{"log_started": 2, "config_loaded": 2, "sign_in": 5, "refused": 1, "call": 1, "attempt_begun": 2, "attempt_decided": 2} {
		if count[kind] != n {
			t.Errorf("%d records of %s, want %d: %v", count[kind], kind, n, count)
		}
	}
	page.Items = nil
	second.get(sue, "/api/v1/audit?limit=1&agent=BILL@acme.example&outcome=sent", &page)
	if len(page.Items) != 1 || page.Items[0].Outcome != "sent" || page.Next == "" {
		t.Errorf("the first page: %+v", page)
	}
	newest := page.Items[0].Seq
	page.Items = nil
	second.get(sue, "/api/v1/audit?limit=1&agent=bill@acme.example&outcome=sent&cursor="+page.Next, &page)
	if len(page.Items) != 1 || page.Items[0].Seq >= newest {
		t.Errorf("the second page: %+v", page)
	}
	for _, query := range []string{"?from=yesterday", "?limit=0", "?outcome=paused", "?cursor=x", "?who=bill"} {
		if status, text := second.do(sue, "GET", "/api/v1/audit"+query, ""); status != 400 {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
	status, text := second.do(sue, "GET", "/api/v1/audit.csv?agent=bill@acme.example", "")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || status != 200 || len(rows) < 5 || rows[0][0] != "seq" {
		t.Errorf("the table: %d, %d rows, %v", status, len(rows), err)
	}
	if status, said := tool("verify", "--config", file); status != 0 {
		t.Errorf("verifying beside a running server: %d %s", status, said)
	}
	second.end()

	if status, said := tool("verify", "--config", file); status != 0 || !strings.HasPrefix(said, "good: records 1 to ") || strings.Contains(said, "note:") {
		t.Fatalf("verify: %d %s", status, said)
	}
	export := filepath.Join(dir, "export.jsonl")
	if status, said := tool("export", "--config", file, "--output", export); status != 0 {
		t.Fatalf("export: %d %s", status, said)
	}
	if status, said := tool("verify", "--export", export, "--key", filepath.Join(dir, "log.key")); status != 0 {
		t.Fatalf("verifying the export: %d %s", status, said)
	}
	if text, err := os.ReadFile(export); err != nil || !strings.Contains(string(text), "the log was exported") {
		t.Errorf("the export doesn't say that it was made: %v", err)
	}
	for _, name := range []string{"log.db", "log.key", "log.spool", "checkpoints"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is not for its owner only: %v", name, info.Mode())
		}
	}
	for _, args := range [][]string{{"verify"}, {"verify", "--store", filepath.Join(dir, "nothing.db")}, {"export", "--config", file, "--output", export},
		{"verify", "--config", file, "--key", filepath.Join(dir, "nothing.key")}, {"verify", "--store", filepath.Join(dir, "log.db"), "--export", export}} {
		if status, said := tool(args...); status != 2 {
			t.Errorf("%v: %d %s", args, status, said)
		}
	}
	for _, changed := range []string{export, filepath.Join(dir, "log.db")} {
		flip(t, changed, `"after_ms":80`, `"after_ms":81`)
	}
	bad := fmt.Sprintf("bad record %d: ", decided)
	if status, said := tool("verify", "--export", export); status != 1 || !strings.HasPrefix(said, bad) {
		t.Errorf("a changed export: %d %s, want %s", status, said, bad)
	}
	if status, said := tool("verify", "--store", filepath.Join(dir, "log.db")); status != 1 || !strings.HasPrefix(said, bad) {
		t.Errorf("a changed store: %d %s, want %s", status, said, bad)
	}
}

// awaitOutcome waits until an outcome is written, which nobody who reports one does.
func awaitOutcome(t *testing.T, c *child) {
	t.Helper()
	sue := c.signIn("sue@acme.example")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		var page struct{ Items []record }
		c.get(sue, "/api/v1/audit?outcome=sent", &page)
		if len(page.Items) > 0 {
			return
		}
	}
	t.Fatal("the outcome wasn't written")
}

// flip changes the first place in a file that holds a text.
func flip(t *testing.T, file, old, changed string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil && !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s isn't in %s", old, file)
	}
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(changed), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// killCycles is how often the next test kills the server; the long run takes more.
const killCycles = "OFFRECORD_KILL_CYCLES"

// TestKilledUnderLoad kills the server again and again while agents press, and looks for what it had acknowledged.
func TestKilledUnderLoad(t *testing.T) {
	cycles := 6
	if s := os.Getenv(killCycles); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", killCycles, err)
		}
		cycles = n
	}
	file := write(t, kept)
	dir := filepath.Dir(file)
	var mu sync.Mutex
	acknowledged, last, unwritten := []string{}, "", 0
	for range cycles {
		c := serving(t, file)
		bill := c.signIn("bill@acme.example")
		if last != "" { // what was acknowledged last is there at once
			if status, text := c.do(bill, "GET", "/api/v1/attempts/"+last, ""); status != 200 {
				t.Fatalf("after a kill, attempt %s: %d %s", last, status, text)
			}
		}
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				for i := 0; ; i++ {
					id, action := uuid.NewString(), []string{"pause", "resume"}[i%2]
					r, err := http.NewRequest("POST", c.at+"/api/v1/attempts", strings.NewReader(`{"id":"`+id+`","action":"`+action+`","transport":"iframe"}`))
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Authorization", "Bearer "+bill)
					r.Header.Set("Content-Type", "application/json")
					answer, err := http.DefaultClient.Do(r)
					if err != nil {
						return // killed
					}
					text, err := io.ReadAll(answer.Body)
					answer.Body.Close()
					if err != nil {
						return // killed
					}
					mu.Lock()
					switch {
					case action == "resume" && answer.StatusCode == http.StatusServiceUnavailable, strings.Contains(string(text), "couldn't be written"):
						unwritten++ // the disk was slow, and that was said
					case answer.StatusCode != http.StatusCreated:
						t.Errorf("%s: %d %s", action, answer.StatusCode, text)
					default:
						acknowledged, last = append(acknowledged, id), id
					}
					mu.Unlock()
				}
			})
		}
		time.AfterFunc(time.Duration(50+rand.IntN(250))*time.Millisecond, func() { c.cmd.Process.Kill() })
		load.Wait()
		c.kill()
	}
	var out, complaints bytes.Buffer
	if status := run(t.Context(), []string{"audit", "verify", "--config", file}, &out, &complaints); status != 0 {
		t.Errorf("verify: %d %s%s", status, &out, &complaints)
	}
	r, err := audit.OpenReader(filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lost := 0
	for _, id := range acknowledged {
		page, err := r.Query(t.Context(), audit.Filter{Attempt: id})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) == 0 {
			lost++
		}
	}
	t.Logf("%d kills, %d attempts acknowledged, %d lost, %d said not to be written; %s", cycles, len(acknowledged), lost, unwritten, strings.TrimSpace(out.String()))
	if lost > 0 || len(acknowledged) == 0 {
		t.Errorf("%d of %d acknowledged attempts were lost", lost, len(acknowledged))
	}
}
