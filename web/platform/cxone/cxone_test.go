package cxone_test

import (
	"context"
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
	"offrecord/web/platform/cxone"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const key = "canary-cxone"

// account answers actions with one status, and the status call with one body, and keeps what was asked.
type account struct {
	mu     sync.Mutex
	action int
	status string // "" is a 404
	asked  []string
	token  []string // what the token endpoint was sent
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case strings.Contains(r.URL.Path, "token"):
		_, password, _ := r.BasicAuth()
		a.token = append(a.token, r.URL.Path, r.Header.Get("Content-Type"), string(body), password)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"canary-bearer","token_type":"Bearer","expires_in":3600}`)
	case r.Header.Get("Authorization") != "Bearer canary-bearer":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodGet:
		if a.asked = append(a.asked, "GET "+r.RequestURI); a.status == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, a.status)
	default:
		a.asked = append(a.asked, r.Method+" "+r.RequestURI+string(body))
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(a.action)
	}
}

func serve(t testing.TB, a *account, change func(*cxone.Settings)) *cxone.Server {
	t.Helper()
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	set := cxone.Settings{BaseURL: base, TokenURL: base.JoinPath("authentication/v1/token/access-key"), AccessKeyID: "key-1", AccessKeySecret: secret.New(key)}
	if change != nil {
		change(&set)
	}
	s, err := cxone.New(set, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(action recording.Action) platform.Request {
	return platform.Request{Target: platform.Target{Agent: "nico@acme.example", AgentID: "1234567"}, Action: action}
}

const v1 = "/interaction-recording-management-service/v1/interactions/"

func TestWhatIsSent(t *testing.T) {
	recordingNow := `{"contactId":"4711","recordingStatusToAgent":"Recording","statusReason":"Policy"}`
	read := "GET " + v1 + "get-recording-status?userId=1234567"
	stop := func(s *cxone.Settings) { s.PauseWith = cxone.PauseStop }
	tests := []struct {
		name   string
		change func(*cxone.Settings)
		ask    platform.Request
		want   []string
	}{
		{"pause", nil, request(recording.Pause), []string{"POST " + v1 + "mask?userId=1234567"}},
		{"resume", nil, request(recording.Resume), []string{"POST " + v1 + "unmask?userId=1234567"}},
		{"mask", stop, request(recording.Mask), []string{"POST " + v1 + "mask?userId=1234567"}},
		{"unmask", nil, request(recording.Unmask), []string{"POST " + v1 + "unmask?userId=1234567"}},
		{"stop", nil, request(recording.Stop), []string{"POST " + v1 + "stop-recording-on-demand?userId=1234567"}},
		{"start", nil, request(recording.Start), []string{"POST " + v1 + "start-recording-on-demand?mediaType=voice&userId=1234567"}},
		{"start, as configured", func(s *cxone.Settings) { s.MediaType = cxone.VoiceAndScreen }, request(recording.Start), []string{"POST " + v1 + "start-recording-on-demand?mediaType=voiceAndScreen&userId=1234567"}},
		{"start, as asked", nil, platform.Request{Target: platform.Target{AgentID: "1&x=2/.."}, Action: recording.Start, Media: cxone.VoiceAndScreen}, []string{"POST " + v1 + "start-recording-on-demand?mediaType=voiceAndScreen&userId=1%26x%3D2%2F.."}},
		{"start of what there isn't", nil, platform.Request{Target: platform.Target{AgentID: "1"}, Action: recording.Start, Media: "hologram"}, nil},
		{"declined", nil, request(recording.DoNotRecord), []string{"POST " + v1 + "do-not-record?userId=1234567"}},
		{"the document's form", func(s *cxone.Settings) { s.API = cxone.APIDocument }, request(recording.Pause), []string{"POST /interaction-recording-management-service/interactions/mask?user-id=1234567"}},
		{"no user id", nil, platform.Request{Target: platform.Target{Agent: "nico@acme.example"}, Action: recording.Pause}, nil},
		{"pause by stop", stop, request(recording.Pause), []string{read, "POST " + v1 + "stop-recording-on-demand?userId=1234567"}},
		{"pause by stop, known before", stop, platform.Request{Target: request("").Target, Action: recording.Pause, Before: recording.Recording}, []string{"POST " + v1 + "stop-recording-on-demand?userId=1234567"}},
		{"resume by start", stop, platform.Request{Target: request("").Target, Action: recording.Resume, Before: recording.Recording}, []string{"POST " + v1 + "start-recording-on-demand?mediaType=voice&userId=1234567"}},
		{"resume of what wasn't recorded", stop, platform.Request{Target: request("").Target, Action: recording.Resume, Before: recording.Stopped}, nil},
		{"resume of what isn't known", stop, request(recording.Resume), nil},
	}
	for _, tt := range tests {
		a := &account{action: 202, status: recordingNow}
		r := serve(t, a, tt.change).Act(t.Context(), tt.ask)
		if !slices.Equal(a.asked, tt.want) {
			t.Errorf("%s: asked %q, not %q", tt.name, a.asked, tt.want)
		}
		if sent := len(tt.want) > 0; sent != (r.Outcome == recording.Accepted) || !sent && !r.Outcome.KeepsState() || r.Detail == "" {
			t.Errorf("%s: %s, %q", tt.name, r.Outcome, r.Detail)
		}
		if tt.name == "pause by stop" && (r.Before != recording.Recording || r.Call != "4711") {
			t.Errorf("before the stop it was %s, of call %q", r.Before, r.Call)
		}
	}
}

func TestEachStatusHasItsOutcome(t *testing.T) {
	for status, want := range map[int]struct {
		outcome recording.Outcome
		retry   platform.Retry
	}{
		200: {recording.Accepted, platform.Never}, 202: {recording.Accepted, platform.Never}, 204: {recording.Accepted, platform.Never},
		400: {recording.Failed, platform.Never}, 401: {recording.Denied, platform.Never}, 403: {recording.Denied, platform.Never},
		404: {recording.NoCall, platform.Never}, 409: {recording.Failed, platform.Never}, 422: {recording.Failed, platform.Never},
		425: {recording.Locked, platform.DidNotAct}, 429: {recording.Failed, platform.DidNotAct},
		500: {recording.Unknown, platform.Harmless}, 504: {recording.Unknown, platform.Harmless},
	} {
		r := serve(t, &account{action: status}, nil).Act(t.Context(), request(recording.Pause))
		if r.Outcome != want.outcome || r.Retry != want.retry || r.HTTPStatus != status {
			t.Errorf("%d: %s, %s", status, r.Outcome, r.Retry)
		}
		if status >= 425 && r.RetryAfter.Seconds() != 3 {
			t.Errorf("%d: retry after %s", status, r.RetryAfter)
		}
		if (status == 403) != strings.Contains(r.Detail, "Multi-ACD Record on Demand API") {
			t.Errorf("%d: %s", status, r.Detail)
		}
		if strings.Contains(fmt.Sprintf("%+v", r), "canary") {
			t.Errorf("%d: a secret is in %+v", status, r)
		}
	}
}

var readings = []struct {
	body string
	want recording.State
}{
	{`{"recordingStatusToAgent":"Recording","recordingStatusFromAgent":"Recording","statusReason":"Policy","contactId":"c1"}`, recording.Recording},
	{`{"recordingStatusToAgent":"Recording"}`, recording.Recording},
	{`{"recordingStatusToAgent":"PoorRecordingQuality","statusReason":"Policy"}`, recording.Recording},
	{`{"recordingStatusToAgent":"Stopped","recordingStatusFromAgent":"Stopped","statusReason":"Mask"}`, recording.Paused},
	{`{"recordingStatusToAgent":"Recording","recordingStatusFromAgent":"Recording","statusReason":"Mask"}`, recording.Paused},
	{`{"recordingStatusToAgent":"Stopped","recordingStatusFromAgent":"Stopped","statusReason":"StopOnDemand"}`, recording.Stopped},
	{`{"recordingStatusToAgent":"Stopped","recordingStatusFromAgent":"Recording","statusReason":"StopOnDemand"}`, recording.Recording},
	{`{"recordingStatusToAgent":"Stopped","recordingStatusFromAgent":"Stopped","statusReason":"CustomerDisconsent"}`, recording.Declined},
	{`{"recordingStatusToAgent":"NoRecording","statusReason":"CustomerDisconsent"}`, recording.Declined},
	{`{"recordingStatusToAgent":"Recording","statusReason":"CustomerDisconsent"}`, recording.Recording},
	{`{"recordingStatusToAgent":"Stopped","statusReason":"Hold"}`, recording.StateUnknown},
	{`{"recordingStatusToAgent":"NoRecording"}`, recording.StateUnknown},
	{`{"recordingStatusToAgent":"RecordingFailure","statusReason":"Mask"}`, recording.StateUnknown},
	{`{"recordingStatusToAgent":"Stopped","recordingStatusFromAgent":"Sideways","statusReason":"Mask"}`, recording.StateUnknown},
	{`{"statusReason":"Mask"}`, recording.StateUnknown},
	{`{"recordingStatusToAgent":{},"statusReason":"Mask"}`, recording.StateUnknown},
	{`Mask`, recording.StateUnknown}, {`<Mask/>`, recording.StateUnknown}, {`[]`, recording.StateUnknown}, {`{}`, recording.StateUnknown},
	{"", recording.Idle}, // the account's 404
}

func TestReading(t *testing.T) {
	for _, tt := range readings {
		s := serve(t, &account{status: tt.body}, nil)
		r := s.Read(t.Context(), request("").Target)
		if r.State != tt.want || r.State == recording.StateUnknown && r.Detail == "" {
			t.Errorf("%s: %s, %q", tt.body, r.State, r.Detail)
		}
	}
	off := func(s *cxone.Settings) { s.Status = cxone.StatusOff }
	a := &account{status: readings[0].body}
	if r := serve(t, a, off).Read(t.Context(), request("").Target); r.State != recording.StateUnknown || len(a.asked) > 0 {
		t.Errorf("without the status call: %s after %q", r.State, a.asked)
	}
	document := func(s *cxone.Settings) { s.API = cxone.APIDocument }
	if r := serve(t, &account{}, document).Read(t.Context(), request("").Target); r.State != recording.StateUnknown {
		t.Errorf("a 404 that may mean that there is no status call: %s", r.State)
	}
}

func TestAReadingProvesOnlyWhatItShows(t *testing.T) {
	mask, stop := serve(t, &account{}, nil).Ability(), serve(t, &account{}, func(s *cxone.Settings) { s.PauseWith = cxone.PauseStop }).Ability()
	for _, tt := range []struct {
		ability platform.Ability
		action  recording.Action
		read    recording.State
		want    bool
	}{
		{mask, recording.Pause, recording.Paused, true}, {mask, recording.Pause, recording.Stopped, false}, {mask, recording.Pause, recording.Declined, true},
		{mask, recording.Pause, recording.Recording, false}, {mask, recording.Pause, recording.StateUnknown, false}, {mask, recording.Resume, recording.Recording, true},
		{mask, recording.Resume, recording.Declined, false}, {mask, recording.DoNotRecord, recording.Declined, true}, {mask, recording.DoNotRecord, recording.Paused, false},
		{stop, recording.Pause, recording.Stopped, true}, {stop, recording.Pause, recording.Paused, false}, {stop, recording.Resume, recording.Recording, true},
		{stop, "fly", recording.Recording, false},
	} {
		if got := tt.ability.Shows(tt.action, tt.read); got != tt.want {
			t.Errorf("%s, read as %s: %v", tt.action, tt.read, got)
		}
	}
}

func TestTheTokenForms(t *testing.T) {
	a := &account{action: 202}
	serve(t, a, nil).Act(t.Context(), request(recording.Pause))
	if want := []string{"/authentication/v1/token/access-key", "application/json", `{"accessKeyId":"key-1","accessKeySecret":"` + key + `"}`, ""}; !slices.Equal(a.token, want) {
		t.Errorf("access key: %q", a.token)
	}
	a = &account{action: 202}
	serve(t, a, func(s *cxone.Settings) {
		s.TokenForm, s.ClientID, s.ClientSecret, s.TokenURL = cxone.TokenPassword, "app-1", secret.New("app-secret"), s.BaseURL.JoinPath("auth", "token")
	}).Act(t.Context(), request(recording.Pause))
	if want := []string{"/auth/token", "application/x-www-form-urlencoded", "grant_type=password&password=" + key + "&username=key-1", "app-secret"}; !slices.Equal(a.token, want) {
		t.Errorf("password: %q", a.token)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "api-na1.niceincontact.com"}
	for name, change := range map[string]func(*cxone.Settings){
		"pause_with": func(s *cxone.Settings) { s.PauseWith = "unplug" }, "media_type": func(s *cxone.Settings) { s.MediaType = "screen" },
		"api": func(s *cxone.Settings) { s.API = "v2" }, "status": func(s *cxone.Settings) { s.Status = "maybe" }, "token_form": func(s *cxone.Settings) { s.TokenForm = "x" },
		"stop without the status call": func(s *cxone.Settings) { s.PauseWith, s.Status = cxone.PauseStop, cxone.StatusOff },
		"no id":                        func(s *cxone.Settings) { s.AccessKeyID = "" }, "no secret": func(s *cxone.Settings) { s.AccessKeySecret = secret.String{} },
		"no application": func(s *cxone.Settings) { s.TokenForm = cxone.TokenPassword }, "no address": func(s *cxone.Settings) { s.BaseURL = nil }, "no token address": func(s *cxone.Settings) { s.TokenURL = nil },
	} {
		set := cxone.Settings{BaseURL: base, TokenURL: base, AccessKeyID: "key-1", AccessKeySecret: secret.New(key)}
		change(&set)
		if _, err := cxone.New(set, upstream.Options{}); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", name, err)
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
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// FuzzRead holds that a reading is off the record only if the body names both a status and a reason for it.
func FuzzRead(f *testing.F) {
	for _, r := range readings {
		f.Add([]byte(r.body))
	}
	base := &url.URL{Scheme: "https", Host: "platform.example"}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := cxone.New(cxone.Settings{BaseURL: base, TokenURL: base.JoinPath("token"), AccessKeyID: "k", AccessKeySecret: secret.New(key)},
			upstream.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return body(b) }})
		if err != nil {
			t.Fatal(err)
		}
		r := s.Read(context.Background(), request("").Target)
		if r.State == "" || r.State == recording.StateUnknown && r.Detail == "" {
			t.Fatalf("%q: %+v", b, r)
		}
		if r.State.OffTape() && len(b) < len(`{"recordingStatusToAgent":"Stopped"}`) {
			t.Fatalf("%q is read as %s", b, r.State)
		}
	})
}
