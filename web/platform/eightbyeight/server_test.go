package eightbyeight_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"offrecord/app/recording"
	"offrecord/web/platform"
	"offrecord/web/platform/eightbyeight"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const token = "canary-8x8"

// serve runs rccontrol as h and returns the server route to it.
func serve(t testing.TB, h http.HandlerFunc) *eightbyeight.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := eightbyeight.New(eightbyeight.Settings{BaseURL: base, Tenant: "acme01", ActionToken: secret.New(token)}, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pause(agent, id string) platform.Request {
	return platform.Request{Target: platform.Target{Agent: agent, AgentID: id}, Action: recording.Pause}
}

func TestWhatIsSent(t *testing.T) {
	for _, tt := range []struct {
		action    recording.Action
		agent, id string
		want      string // empty: nothing is sent
	}{
		{recording.Pause, "bill@acme.example", "bill", "/api/tstats/rccontrol/pause/acme01/agentId/bill"},
		{recording.Resume, "jo+x@acme.example", "", "/api/tstats/rccontrol/resume/acme01/email/jo%2Bx@acme.example"},
		{recording.DoNotRecord, "", "bill", "/api/tstats/rccontrol/pause/acme01/agentId/bill"},
		{recording.Pause, "", "../../resume/acme01/agentId/bill", "/api/tstats/rccontrol/pause/acme01/agentId/..%2F..%2Fresume%2Facme01%2FagentId%2Fbill"},
		{recording.Pause, "", "..", ""}, {recording.Pause, ".", "", ""}, {recording.Pause, "", "", ""},
		{recording.Start, "", "bill", ""}, {recording.Mask, "", "bill", ""},
	} {
		var got string
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.RequestURI
			user, password, _ := r.BasicAuth()
			body, err := io.ReadAll(r.Body)
			if r.Method != http.MethodPut || user != "acme01" || password != token || len(body) > 0 || err != nil || r.Header.Get("Cookie") != "" {
				t.Errorf("%s by %s with %q", r.Method, user, body)
			}
			io.WriteString(w, "success")
		})
		result := s.Act(t.Context(), platform.Request{Target: platform.Target{Agent: tt.agent, AgentID: tt.id}, Action: tt.action})
		if got != tt.want {
			t.Errorf("%s %q %q: sent %q, not %q", tt.action, tt.agent, tt.id, got, tt.want)
		}
		if want := map[bool]recording.Outcome{true: recording.Failed, false: recording.Confirmed}[tt.want == ""]; result.Outcome != want {
			t.Errorf("%s %q %q: %s", tt.action, tt.agent, tt.id, result.Outcome)
		}
	}
}

func TestEachStatusHasItsOutcome(t *testing.T) {
	for status, want := range map[int]struct {
		outcome recording.Outcome
		retry   platform.Retry
	}{
		400: {recording.Failed, platform.Never}, 401: {recording.Denied, platform.Never}, 403: {recording.Denied, platform.Never},
		404: {recording.NotFound, platform.Never}, 405: {recording.Failed, platform.Never}, 409: {recording.Failed, platform.Never},
		429: {recording.Failed, platform.DidNotAct}, 500: {recording.Unknown, platform.Harmless}, 502: {recording.Unknown, platform.Harmless},
		201: {recording.Accepted, platform.Never}, 204: {recording.Accepted, platform.Never},
		301: {recording.Failed, platform.Never}, 302: {recording.Unknown, platform.Never}, 303: {recording.Unknown, platform.Never},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			if status != 204 {
				io.WriteString(w, "Status: success "+token)
			}
		})
		r := s.Act(t.Context(), pause("", "bill"))
		if r.Outcome != want.outcome || r.Retry != want.retry || r.HTTPStatus != status {
			t.Errorf("%d: %s, %s, %d", status, r.Outcome, r.Retry, r.HTTPStatus)
		}
		if r.Detail == "" || strings.Contains(r.Detail+r.Said, token) {
			t.Errorf("%d: %q %q", status, r.Detail, r.Said)
		}
	}
}

// bodies are answers with 200, and what they say.
var bodies = []struct {
	body string
	want recording.Outcome
}{
	{"success", recording.Confirmed},
	{"Status: success\n", recording.Confirmed},
	{"SUCCESS", recording.Confirmed},
	{`{"status":"Success"}`, recording.Confirmed},
	{`{"response":{"status":["success"],"code":0,"error":null}}`, recording.Confirmed},
	{`{"success":true}`, recording.Confirmed},
	{"\ufeff<?xml version='1.0' encoding='UTF-8'?>\n<response><status>success</status><code>0</code></response>", recording.Confirmed},
	{`<response status="success"/>`, recording.Confirmed},
	{"<!DOCTYPE html><html><head><title>Recording control</title><script>fail()</script></head><body>Status: success<br></body></html>", recording.Confirmed},
	{"Request successfully processed", recording.Confirmed},

	{"nothing to be modified", recording.NoCall},
	{"<r><status>Nothing to be modified.</status></r>", recording.NoCall},
	{`{"status":"NOTHING_TO_BE_MODIFIED"}`, recording.NoCall},
	{"Active transaction does not exist", recording.NoCall},
	{"not enabled", recording.NotEnabled},
	{`{"status":"Not Enabled"}`, recording.NotEnabled},

	{"", recording.Accepted},
	{"OK", recording.Accepted},
	{"unsuccessful", recording.Accepted},
	{"not successful", recording.Accepted},
	{"un-successful", recording.Accepted},
	{`{"success":false}`, recording.Accepted},
	{`{"success":"false"}`, recording.Accepted},
	{`{"status":"failed","hint":"success is not guaranteed"}`, recording.Accepted},
	{"<r><status>success</status><error>recording server: failure</error></r>", recording.Accepted},
	{"<r><status>success</status><status>nothing to be modified</status></r>", recording.Accepted},
	{`<html><body><div class="alert-success">Please log in</div></body></html>`, recording.Accepted},
	{"<html><script>success</script><style>success</style>", recording.Accepted},
	{"<success/>", recording.Accepted},
	{"If you see success, it worked", recording.Accepted},
	{strings.Repeat("success is a long story ", 40), recording.Accepted},
	{strings.Repeat(" ", 10<<20) + "success", recording.Accepted},
	{"{\"status\":\"succ\xff\xfe\x00<resp", recording.Accepted},
	{"\x00\x01\x02", recording.Accepted},
}

func TestWhatA200Says(t *testing.T) {
	for _, tt := range bodies {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, tt.body) })
		if r := s.Act(t.Context(), pause("", "bill")); r.Outcome != tt.want {
			t.Errorf("%.80q: %s, not %s", tt.body, r.Outcome, tt.want)
		}
	}
}

func TestAnAnswerThatBreaksOffIsUnknown(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "<status>success</status>")
	})
	if r := s.Act(t.Context(), pause("", "bill")); r.Outcome != recording.Unknown || r.Retry != platform.Harmless {
		t.Errorf("%s, %s", r.Outcome, r.Retry)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "vcc-na4.8x8.com"}
	for name, s := range map[string]eightbyeight.Settings{
		"no tenant": {BaseURL: base, ActionToken: secret.New(token)}, "a colon": {BaseURL: base, Tenant: "a:b", ActionToken: secret.New(token)},
		"no token": {BaseURL: base, Tenant: "a"}, "no address": {Tenant: "a", ActionToken: secret.New(token)},
		"plain http": {BaseURL: &url.URL{Scheme: "http", Host: "vcc-na4.8x8.com"}, Tenant: "a", ActionToken: secret.New(token)},
	} {
		if _, err := eightbyeight.New(s, upstream.Options{}); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckSaysOnlyWhatItKnows(t *testing.T) {
	deny := func(w http.ResponseWriter, r *http.Request) bool {
		_, password, _ := r.BasicAuth()
		if password != token {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return password != token
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   platform.Verdict
	}{
		"refuses the wrong one only": {func(w http.ResponseWriter, r *http.Request) {
			if !deny(w, r) {
				w.WriteHeader(http.StatusBadRequest)
			}
		}, platform.Good},
		"refuses ours":                 {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, platform.Bad},
		"looks at the action first":    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadRequest) }, platform.NotCheckable},
		"answers anything with a page": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "success") }, platform.NotCheckable},
		"is broken":                    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, platform.NotCheckable},
		"is broken with a wrong one only": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(map[bool]int{true: http.StatusBadRequest, false: http.StatusInternalServerError}[strings.HasSuffix(r.Header.Get("Authorization"), "OA==")])
		}, platform.NotCheckable},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/pause/") || strings.Contains(r.URL.Path, "/resume/") {
				t.Error("a check asked for a real action")
			}
			tt.answer(w, r)
		})
		if f := s.Check(t.Context()); len(f) != 1 || f[0].Verdict != tt.want || f[0].Detail == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// body is a network that answers every request with a body.
type body []byte

func (b body) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(b))), Request: r}, nil
}

// FuzzAnswer holds that no body breaks the reading, and that a 200 is never taken for anything but what one can say.
func FuzzAnswer(f *testing.F) {
	for _, b := range bodies {
		if len(b.body) < 1<<10 {
			f.Add([]byte(b.body))
		}
	}
	base := &url.URL{Scheme: "https", Host: "platform.example"}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := eightbyeight.New(eightbyeight.Settings{BaseURL: base, Tenant: "acme01", ActionToken: secret.New(token)},
			upstream.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return body(b) }})
		if err != nil {
			t.Fatal(err)
		}
		r := s.Act(context.Background(), pause("", "bill"))
		switch r.Outcome {
		case recording.Confirmed, recording.NoCall, recording.NotEnabled, recording.Accepted, recording.Unknown:
		default:
			t.Fatalf("%q: %s", b, r.Outcome)
		}
	})
}
