package vonage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"offrecord/app/recording"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/platform/vonage"
	"offrecord/web/secret"
)

const (
	key    = "canary-vonage"
	bearer = "canary-bearer"
	guid   = "94e5928c-7f7e-4645-ad72-61010f906449"
)

// account answers each "METHOD path" with a status and a body, and keeps what was asked.
type account struct {
	mu     sync.Mutex
	answer map[string]string // "200 {…}"
	asked  []string
	bodies []string
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/token") {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, bearer)
		a.bodies = append(a.bodies, string(body))
		return
	}
	what := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/v0/a1b2c3d4e5/")
	a.asked = append(a.asked, what)
	a.bodies = append(a.bodies, string(body))
	answer, ok := a.answer[what]
	if !ok || r.Header.Get("Authorization") != "Bearer "+bearer {
		answer = `404 {"message":"The requested resource was not found."}`
	}
	var status int
	rest := ""
	fmt.Sscanf(answer, "%d", &status)
	if len(answer) > 4 {
		rest = answer[4:]
	}
	w.Header().Set("Retry-After", "7")
	w.WriteHeader(status)
	io.WriteString(w, rest)
}

func serve(t testing.TB, a *account, change func(*vonage.Settings)) *vonage.Server {
	t.Helper()
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	set := vonage.Settings{BaseURL: base, Account: "a1b2c3d4e5", ClientID: "client-1", ClientSecret: secret.New(key)}
	if change != nil {
		change(&set)
	}
	s, err := vonage.New(set, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	agentPath = "GET agents/462"
	callPath  = "GET calls/" + guid
	actPath   = "POST calls/" + guid
	onCall    = `200 {"id":"462","currentCallGuid":"` + guid + `"}`
	live      = `200 {"status":"InProgress","recordingStatus":"Started"}`
)

func TestTheCallIsFoundAndCheckedFirst(t *testing.T) {
	vera := platform.Target{Agent: "vera@acme.example", AgentID: "462"}
	all := []string{agentPath, callPath, actPath}
	for _, tt := range []struct {
		name    string
		target  platform.Target
		answer  map[string]string
		outcome recording.Outcome
		retry   platform.Retry
		asked   []string
	}{
		{"on a call", vera, map[string]string{agentPath: onCall, callPath: live, actPath: `202 {"recordingStatus":"Paused"}`}, recording.Accepted, platform.Never, all},
		{"201, as the document says too", vera, map[string]string{agentPath: onCall, callPath: live, actPath: `201`}, recording.Accepted, platform.Never, all},
		{"the CRM's call", platform.Target{Call: guid}, map[string]string{actPath: `202`}, recording.Accepted, platform.Never, []string{actPath}},
		{"no call", vera, map[string]string{agentPath: `200 {"id":"462"}`}, recording.NoCall, platform.Never, all[:1]},
		{"the previous call", vera, map[string]string{agentPath: onCall, callPath: `200 {"status":null,"recordingStatus":null,"result":{"code":"Success"}}`}, recording.NoCall, platform.Never, all[:2]},
		{"the previous call, in words", vera, map[string]string{agentPath: onCall, callPath: `200 {"status":"Completed","recordingStatus":"Paused"}`}, recording.NoCall, platform.Never, all[:2]},
		{"a call that is gone", vera, map[string]string{agentPath: onCall}, recording.NoCall, platform.Never, all[:2]},
		{"an agent who isn't known", vera, nil, recording.NotFound, platform.Never, all[:1]},
		{"no agent id", platform.Target{Agent: "vera@acme.example"}, nil, recording.NotFound, platform.Never, nil},
		{"the look-up is denied", vera, map[string]string{agentPath: `403`}, recording.Denied, platform.Never, all[:1]},
		{"the look-up is limited", vera, map[string]string{agentPath: `429`}, recording.Failed, platform.DidNotAct, all[:1]},
		{"the look-up fails", vera, map[string]string{agentPath: onCall, callPath: `503`}, recording.Failed, platform.DidNotAct, all[:2]},
		{"the look-up is nonsense", vera, map[string]string{agentPath: `200 <html>`}, recording.Failed, platform.DidNotAct, all[:1]},
		{"the call isn't one id", platform.Target{Call: ".."}, nil, recording.Failed, platform.Never, nil},
	} {
		a := &account{answer: tt.answer}
		r := serve(t, a, nil).Act(t.Context(), platform.Request{Target: tt.target, Action: recording.Pause})
		if r.Outcome != tt.outcome || r.Retry != tt.retry || !slices.Equal(a.asked, tt.asked) {
			t.Errorf("%s: %s, %s (%s) after %q", tt.name, r.Outcome, r.Retry, r.Detail, a.asked)
		}
		if tt.outcome == recording.Accepted && r.Call != guid {
			t.Errorf("%s: the call is %q", tt.name, r.Call)
		}
		if strings.Contains(fmt.Sprintf("%+v", r), "canary") {
			t.Errorf("%s: a secret is in %+v", tt.name, r)
		}
	}
}

func TestEachAnswerHasItsOutcome(t *testing.T) {
	for answer, want := range map[string]struct {
		outcome recording.Outcome
		retry   platform.Retry
	}{
		`400 {"message":"Only calls currently with an agent can be paused or started."}`: {recording.NoCall, platform.Never},
		`400 Invalid blank recordingStatus`:                                              {recording.Failed, platform.Never},
		`401 expired`:                                                                    {recording.Denied, platform.Never},
		`403`:                                                                            {recording.Denied, platform.Never},
		`404`:                                                                            {recording.NoCall, platform.Never},
		`409`:                                                                            {recording.Failed, platform.Never},
		`422`:                                                                            {recording.Failed, platform.Never},
		`429`:                                                                            {recording.Failed, platform.DidNotAct},
		`500`:                                                                            {recording.Unknown, platform.Harmless},
		`504`:                                                                            {recording.Unknown, platform.Harmless},
		`200 nonsense`:                                                                   {recording.Accepted, platform.Never},
	} {
		a := &account{answer: map[string]string{actPath: answer}}
		r := serve(t, a, nil).Act(t.Context(), platform.Request{Target: platform.Target{Call: guid}, Action: recording.Resume})
		if r.Outcome != want.outcome || r.Retry != want.retry || r.Detail == "" {
			t.Errorf("%s: %s, %s, %q", answer, r.Outcome, r.Retry, r.Detail)
		}
		if r.Outcome == recording.Failed && r.Retry == platform.DidNotAct && r.RetryAfter.Seconds() != 7 {
			t.Errorf("%s: retry after %s", answer, r.RetryAfter)
		}
		var body map[string]string
		if json.Unmarshal([]byte(a.bodies[len(a.bodies)-1]), &body) != nil || body["recordingStatus"] != "Started" || len(body) != 1 {
			t.Errorf("sent %q", a.bodies)
		}
	}
}

func TestReading(t *testing.T) {
	for answer, want := range map[string]recording.State{
		`200 {"status":"InProgress","recordingStatus":"Paused"}`:             recording.Paused,
		`200 {"status":"InProgress","recordingStatus":"Started"}`:            recording.Recording,
		`200 {"status":"InProgress","recordingStatus":"started"}`:            recording.Recording,
		`200 {"recordingStatus":"Paused"}`:                                   recording.Paused,
		`200 {"status":"InProgress","recordingStatus":null}`:                 recording.StateUnknown,
		`200 {"status":"InProgress","recordingStatus":"Pausing"}`:            recording.StateUnknown,
		`200 {"status":null,"recordingStatus":null,"result":{}}`:             recording.Idle,
		`200 {"status":null,"recordingStatus":"Paused","result":{"code":1}}`: recording.Idle,
		`200 {"status":17}`: recording.StateUnknown,
		`200 Paused`:        recording.StateUnknown,
		`200`:               recording.StateUnknown,
		`202 {"status":"InProgress","recordingStatus":"Paused"}`: recording.StateUnknown,
		`404`: recording.Idle,
		`403`: recording.StateUnknown,
		`429`: recording.StateUnknown,
		`500`: recording.StateUnknown,
	} {
		a := &account{answer: map[string]string{callPath: answer}}
		r := serve(t, a, nil).Read(t.Context(), platform.Target{Call: guid})
		if r.State != want || r.State == recording.StateUnknown && r.Detail == "" {
			t.Errorf("%s: %s, %q", answer, r.State, r.Detail)
		}
	}
}

func TestTheTokenForms(t *testing.T) {
	for name, change := range map[string]func(*vonage.Settings){
		"form": nil,
		"basic, with a scope": func(s *vonage.Settings) {
			s.TokenAuth, s.Scope, s.TokenURL = vonage.AuthBasic, "interaction", s.BaseURL.JoinPath("Auth", "connect", "token")
		},
	} {
		a := &account{answer: map[string]string{actPath: "202"}}
		if r := serve(t, a, change).Act(t.Context(), platform.Request{Target: platform.Target{Call: guid}, Action: recording.Pause}); r.Outcome != recording.Accepted {
			t.Fatalf("%s: %s", name, r.Detail)
		}
		form, err := url.ParseQuery(a.bodies[0])
		if err != nil || form.Get("grant_type") != "client_credentials" || form.Has("client_secret") != (change == nil) || form.Has("scope") != (change != nil) {
			t.Errorf("%s: %v, %v", name, form, err)
		}
	}
}

// body is a network that gives a token and answers everything else with a body.
type body []byte

func (b body) RoundTrip(r *http.Request) (*http.Response, error) {
	text := string(b)
	if strings.HasSuffix(r.URL.Path, "/token") {
		text = `{"access_token":"x","expires_in":3600}`
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{live[4:], onCall[4:], `{"recordingStatus":"Paused"}`, `{"status":{},"recordingStatus":[]}`, `[]`, "", "\xff", `{"currentCallGuid":".."}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		base := &url.URL{Scheme: "https", Host: "platform.example"}
		s, err := vonage.New(vonage.Settings{BaseURL: base, Account: "a", ClientID: "c", ClientSecret: secret.New(key)},
			upstream.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return body(b) }})
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []platform.Target{{Call: guid}, {AgentID: "462"}} {
			if r := s.Read(context.Background(), target); r.State == recording.Paused && !strings.Contains(strings.ToLower(string(b)), "paused") {
				return // written with escapes
			} else if r.State == "" {
				t.Fatalf("%q has no state", b)
			}
		}
	})
}
