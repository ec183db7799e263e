package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
)

// vonage is a platform outside of the server's process, so that it outlives a kill: each agent is on one call.
type vonage struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string]string // by agent
	tape  map[string]string // recordingStatus by call
	acted []acted
}

type acted struct {
	call, status string
	at           time.Time
}

func newVonage(t *testing.T) *vonage {
	v := &vonage{calls: map[string]string{}, tape: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v0/oauth2/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"x","token_type":"Bearer","expires_in":3600}`)
	})
	mux.HandleFunc("GET /v0/a1/agents/{id}", func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		json.NewEncoder(w).Encode(map[string]string{"currentCallGuid": v.calls[r.PathValue("id")]})
	})
	mux.HandleFunc("GET /v0/a1/calls/{id}", func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		json.NewEncoder(w).Encode(map[string]string{"status": "Connected", "recordingStatus": v.tape[r.PathValue("id")]})
	})
	mux.HandleFunc("POST /v0/a1/calls/{id}", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ RecordingStatus string }
		json.NewDecoder(r.Body).Decode(&body)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.tape[r.PathValue("id")] = body.RecordingStatus
		v.acted = append(v.acted, acted{r.PathValue("id"), body.RecordingStatus, time.Now()})
		w.WriteHeader(http.StatusAccepted)
	})
	v.Server = httptest.NewServer(mux)
	t.Cleanup(v.Close)
	return v
}

// turn puts an agent on a new call, which is recorded, and returns it.
func (v *vonage) turn(agent string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	call := uuid.NewString()
	v.calls[agent], v.tape[call] = call, "Started"
	return call
}

// runs reports whether a call is being recorded.
func (v *vonage) runs(call string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tape[call] == "Started"
}

// did is what was done to a call, oldest first.
func (v *vonage) did(call string) (all []acted) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range v.acted {
		if a.call == call {
			all = append(all, a)
		}
	}
	return all
}

func limited(t *testing.T, v *vonage, agents ...string) string {
	text := "listen: 127.0.0.1:0\nidentity: {demo: true}\nstore: sqlite:log.db\nplatforms:\n" +
		"  - {name: emea, kind: vonage, base_url: '" + v.URL + "', account: a1, client_id: x, client_secret_file: token, max_pause: 3s, max_extensions: 1}\n" +
		"  - {name: acme, kind: 8x8, base_url: 'http://agui.localhost:1', tenant: acme01, action_token_file: token, routes: [session], max_pause: 3s}\n" +
		"agents:\n  - {email: sue@acme.example, role: supervisor}\n  - {email: bill@acme.example, platform: acme}\n"
	for _, a := range agents {
		text += "  - {email: " + a + "@emea.example, platform: emea, agent_id: " + a + "}\n"
	}
	return write(t, text)
}

func (c *child) pause(bearer string) recording.Attempt {
	c.t.Helper()
	status, text := c.do(bearer, "POST", "/api/v1/actions", `{"id":"`+uuid.NewString()+`","action":"pause"}`)
	var a recording.Attempt
	if err := json.Unmarshal([]byte(text), &a); err != nil || status != 200 {
		c.t.Fatalf("pausing: %d %s", status, text)
	}
	await(c.t, "a pause that is confirmed", func() bool {
		s := c.state(bearer) // which may be asked for as often as one likes
		return s.Attempt.ID != a.ID || s.Attempt.Outcome == recording.Confirmed
	})
	return a
}

func (c *child) state(bearer string) (s recording.Snapshot) {
	c.t.Helper()
	c.get(bearer, "/api/v1/state", &s)
	return s
}

// overdue are the pauses that are said to be over their time.
func (c *child) overdue(supervisor string) (pauses []string) {
	c.t.Helper()
	var page struct{ Items []recording.Alert }
	c.get(supervisor, "/api/v1/alerts", &page)
	for _, a := range page.Items {
		if a.Kind == recording.AlertOverdue {
			pauses = append(pauses, a.Attempt)
		}
	}
	return pauses
}

// logged waits until the log has what became of an attempt.
func (c *child) logged(supervisor, attempt string) {
	c.t.Helper()
	for range 50 {
		var page struct{ Items []record }
		c.get(supervisor, "/api/v1/audit?outcome=confirmed", &page)
		if slices.ContainsFunc(page.Items, func(r record) bool { return r.Attempt == attempt }) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	c.t.Fatal("the outcome isn't in the log")
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestWhatIsDueOutlivesTheServer kills the server while pauses are open, and starts it when the time of some is up.
func TestWhatIsDueOutlivesTheServer(t *testing.T) {
	t.Parallel() // it waits, most of the time
	v := newVonage(t)
	file := limited(t, v, "due", "turned", "kept", "named")
	first := serving(t, file)
	bearers, calls, pauses := map[string]string{}, map[string]string{}, map[string]recording.Attempt{}
	for _, who := range []string{"due", "turned", "kept", "named"} {
		bearers[who], calls[who] = first.signIn(who+"@emea.example"), v.turn(who)
	}
	bill, late := first.signIn("bill@acme.example"), uuid.NewString()
	pauses["due"] = first.pause(bearers["due"])
	pauses["kept"] = first.pause(bearers["kept"])
	if status, text := first.do(bearers["kept"], "POST", "/api/v1/pauses/"+pauses["kept"].ID+"/extend", ""); status != 200 {
		t.Fatalf("keeping: %d %s", status, text)
	}
	kept := *first.state(bearers["kept"]).AutoResumeAt
	pauses["named"] = first.pause(bearers["named"])
	if status, text := first.do(bearers["named"], "POST", "/api/v1/calls", `{"call":"another","event":"started"}`); status != 200 {
		t.Fatalf("a call: %d %s", status, text)
	}
	// A pause of which the server heard late is over its time at once, but for the resume that may come with it.
	if status, text := first.do(bill, "POST", "/api/v1/attempts", `{"id":"`+late+`","action":"pause","transport":"iframe","requested_at":"`+
		time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano)+`"}`); status != 201 {
		t.Fatalf("announcing: %d %s", status, text)
	}
	pauses["turned"] = first.pause(bearers["turned"])
	// Only what is in the log is known afterwards; nobody who asks for a pause waits for its outcome to get there.
	first.logged(first.signIn("sue@acme.example"), pauses["due"].ID)
	first.kill()
	v.turn("turned")
	time.Sleep(time.Until(pauses["turned"].AutoResumeAt.Add(200 * time.Millisecond)))

	second := serving(t, file)
	for who := range bearers {
		bearers[who] = second.signIn(who + "@emea.example")
	}
	if s := second.state(bearers["kept"]); s.State != recording.Paused || s.AutoResumeAt == nil || !s.AutoResumeAt.Equal(kept) || s.ExtensionsLeft != 0 || s.Pause != pauses["kept"].ID {
		t.Errorf("what was kept: %+v", s)
	}
	if s := second.state(bearers["named"]); !slices.ContainsFunc(s.Notices, func(n recording.Notice) bool { return n.Code == recording.CallChanged }) || s.Call != "another" {
		t.Errorf("what the CRM said: %+v", s)
	}
	await(t, "a resume of what was due", func() bool { return v.runs(calls["due"]) })
	sue := second.signIn("sue@acme.example")
	want := []string{pauses["turned"].ID, pauses["named"].ID, late}
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(15 * time.Second); !slices.Equal(got, want); time.Sleep(300 * time.Millisecond) { // it isn't to be had as often as one likes
		if time.Now().After(deadline) {
			t.Fatalf("over their time: %v, want turned, named and late of %v and %s; %+v", got, pauses, late, v.acted)
		}
		got = second.overdue(sue)
		slices.Sort(got)
	}
	if s := second.state(bearers["due"]); s.Attempt.Origin != recording.Timer || s.Attempt.Reason != "max_pause" || s.AutoResumeAt != nil || s.Pause != "" {
		t.Errorf("%+v", s)
	}
	second.kill()
	time.Sleep(time.Until(kept))

	third := serving(t, file)
	await(t, "a resume of what was kept", func() bool { return v.runs(calls["kept"]) })
	if got := third.overdue(third.signIn("sue@acme.example")); len(got) != 3 {
		t.Errorf("over their time: %v", got)
	}
	third.kill()
	for who, call := range calls {
		var did []string
		for _, a := range v.did(call) {
			did = append(did, a.status)
			if due := *pauses[who].AutoResumeAt; a.status == "Started" && (a.at.Before(due) || who == "kept" && a.at.Before(kept)) {
				t.Errorf("%s: resumed before its time", who)
			}
		}
		want := "Paused Started"
		if who == "turned" || who == "named" {
			want = "Paused"
		}
		if got := strings.Join(did, " "); got != want {
			t.Errorf("%s: the platform was asked for %s, want %s", who, got, want)
		}
	}
}

// TestKilledWithPausesOpen kills the server again and again about when pauses end, and looks whether each was dealt with.
func TestKilledWithPausesOpen(t *testing.T) {
	t.Parallel() // it waits, most of the time
	cycles := 1
	if s := os.Getenv(killCycles); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", killCycles, err)
		}
		cycles = max(1, n/3) // each kills three times
	}
	v := newVonage(t)
	const each = 6
	var everyone []string // new ones for each cycle: what was under way before a kill makes the next pause uncertain for a while
	for n := range each * cycles {
		everyone = append(everyone, fmt.Sprintf("agent%d", n))
	}
	file := limited(t, v, everyone...)
	resumed, told, twice := 0, 0, 0
	for agents := range slices.Chunk(everyone, each) {
		c := serving(t, file)
		began := time.Now()
		calls, pauses := map[string]string{}, map[string]recording.Attempt{}
		for _, a := range agents {
			calls[a] = v.turn(a)
			pauses[a] = c.pause(c.signIn(a + "@emea.example"))
		}
		for range 2 { // about the pauses' end, and again while what was due is decided
			time.Sleep(time.Until(began.Add(1500*time.Millisecond + rand.N(1500*time.Millisecond))))
			c.kill()
			if rand.N(2) == 0 {
				v.turn(agents[rand.N(len(agents))])
			}
			c, began = serving(t, file), time.Now().Add(-1500*time.Millisecond)
		}
		for _, a := range agents {
			bearer := c.signIn(a + "@emea.example")
			starts, alerted := 0, false
			await(t, a+"'s pause resumed, or an alert", func() bool {
				starts = 0
				for _, d := range v.did(calls[a]) {
					if d.status == "Started" {
						starts++
					}
				}
				now := c.state(bearer)
				alerted = slices.ContainsFunc(now.Alerts, func(x recording.Alert) bool {
					return x.Attempt == pauses[a].ID || now.Attempt.Origin == recording.Timer && x.Attempt == now.Attempt.ID
				})
				return now.AutoResumeAt == nil && (starts > 0 || alerted)
			})
			for _, d := range v.did(calls[a]) {
				if d.status == "Started" && d.at.Before(*pauses[a].AutoResumeAt) {
					t.Errorf("%s was resumed %s before its time", a, pauses[a].AutoResumeAt.Sub(d.at))
				}
			}
			switch {
			case starts > 2:
				t.Errorf("%s was resumed %d times", a, starts)
			case starts == 0:
				told++
			default:
				resumed++
			}
			if starts == 2 {
				twice++
			}
		}
		c.kill()
	}
	t.Logf("%d kills, %d pauses: %d resumed (%d of them twice), %d said to be over their time or not known", 3*cycles, len(everyone), resumed, twice, told)
}
