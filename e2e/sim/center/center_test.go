package center_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"offrecord/e2e/sim/center"
	"offrecord/e2e/sim/cxone"
	"offrecord/e2e/sim/vonage"
)

// serve runs a simulator and returns a function that sends a request to it.
func serve(t *testing.T, sim http.Handler, stop func()) func(method, path, auth, contentType, body string) (int, http.Header, string) {
	t.Helper()
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	t.Cleanup(stop)
	return func(method, path, auth, contentType, body string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		if auth != "" {
			req.Header.Set("Authorization", "Bearer "+auth)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			return 0, nil, ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, nil, string(b)
		}
		return resp.StatusCode, resp.Header, string(b)
	}
}

const form = "application/x-www-form-urlencoded"

func token(t *testing.T, answer string) string {
	t.Helper()
	var a struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || a.Token == "" {
		t.Fatalf("%q: %v", answer, err)
	}
	return a.Token
}

func TestVonageIsAsStrictAsItsDocuments(t *testing.T) {
	sim := vonage.New(vonage.Config{Lag: 20 * time.Millisecond, PerSecond: 1000})
	send := serve(t, sim, sim.Close)
	for body, want := range map[string]int{
		"grant_type=client_credentials&client_id=client-1&client_secret=wrong":                     401,
		"grant_type=password&client_id=client-1&client_secret=" + sim.ClientSecret():               400,
		"grant_type=client_credentials&client_id=client-1&client_secret=" + sim.ClientSecret():     200,
		"grant_type=client_credentials&client_id=client-1&client_secret=" + sim.ClientSecret()[1:]: 401,
	} {
		if status, _, answer := send("POST", vonage.TokenPath, "", form, body); status != want {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	_, _, answer := send("POST", vonage.TokenPath, "", form, "grant_type=client_credentials&client_id=client-1&client_secret="+sim.ClientSecret())
	tk := token(t, answer)
	call := sim.Start("462")
	path := "/v0/a1b2c3d4e5/calls/" + call.ID
	for _, tt := range []struct {
		auth, path, body string
		want             int
		says             string
	}{
		{"wrong", path, `{"recordingStatus":"Paused"}`, 401, "invalid or has expired"},
		{tk, path, `{"recordingStatus":""}`, 400, "Invalid blank recordingStatus"},
		{tk, path, `{"recordingStatus":"paused"}`, 400, "valid values"},
		{tk, "/v0/a1b2c3d4e5/calls/none", `{"recordingStatus":"Paused"}`, 404, "not found"},
		{tk, "/v0/other/calls/" + call.ID, `{"recordingStatus":"Paused"}`, 403, ""},
		{tk, path, `{"recordingStatus":"Paused"}`, 202, "Paused"},
	} {
		status, _, answer := send("POST", tt.path, tt.auth, "application/json", tt.body)
		if status != tt.want || !strings.Contains(answer, tt.says) {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, status, answer)
		}
	}
	if now, _ := sim.Call(call.ID); now.Now() != center.Running {
		t.Error("it was carried out at once")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := sim.WaitFor(ctx, func() bool { now, _ := sim.Call(call.ID); return now.Now() == center.Blank }); err != nil {
		t.Error(err)
	}
	sim.End("462")
	if status, _, answer := send("POST", path, tk, "application/json", `{"recordingStatus":"Started"}`); status != 400 || !strings.Contains(answer, "Only calls currently with an agent") {
		t.Errorf("after the call: %d %s", status, answer)
	}
	if _, _, answer := send("GET", "/v0/a1b2c3d4e5/agents/462", tk, "", ""); !strings.Contains(answer, call.ID) {
		t.Errorf("the previous call isn't named: %s", answer)
	}
	sim.RevokeTokens()
	if status, _, _ := send("GET", path, tk, "", ""); status != 401 {
		t.Errorf("a revoked token: %d", status)
	}
	if text := sim.String(); strings.Contains(text, sim.ClientSecret()) || strings.Contains(text, tk) {
		t.Error("a secret is in the ledger")
	}
}

func TestCXoneLocksAndDeclines(t *testing.T) {
	sim := cxone.New(cxone.Config{Lag: time.Hour})
	send := serve(t, sim, sim.Close)
	_, _, answer := send("POST", cxone.AccessKeyPath, "", "application/json", `{"accessKeyId":"key-1","accessKeySecret":"`+sim.AccessKeySecret()+`"}`)
	tk := token(t, answer)
	path := func(verb string) string {
		return "/interaction-recording-management-service/v1/interactions/" + verb + "?userId=1234567"
	}
	do := func(verb string, want int) {
		t.Helper()
		if status, _, answer := send("POST", path(verb), tk, "", ""); status != want {
			t.Errorf("%s: %d %s", verb, status, answer)
		}
	}
	do("mask", 404)
	sim.Start("1234567")
	do("mask", 202)
	do("unmask", 425) // for an hour
	do("fly", 404)
	sim.StartInternal("1234567")
	do("mask", 422)
	if status, _, _ := send("POST", path("mask"), "wrong", "", ""); status != 401 {
		t.Errorf("a wrong token: %d", status)
	}

	quick := cxone.New(cxone.Config{Lag: -1})
	send = serve(t, quick, quick.Close)
	_, _, answer = send("POST", cxone.AccessKeyPath, "", "application/json", `{"accessKeyId":"key-1","accessKeySecret":"`+quick.AccessKeySecret()+`"}`)
	tk = token(t, answer)
	quick.Start("1234567")
	do("do-not-record", 200)
	do("start-recording-on-demand", 409)
	if call, _ := quick.Live("1234567"); !call.Declined || call.Now() != center.Off {
		t.Errorf("after the customer declined: %+v", call)
	}
	quick.Record("1234567", false)
	quick.Start("1234567")
	do("mask", 200) // without error, and without effect
	if call, _ := quick.Live("1234567"); call.Now() != center.Off {
		t.Errorf("a call that isn't recorded: %+v", call)
	}
}

func TestThePageSetsFaultsAndCalls(t *testing.T) {
	sim := vonage.New(vonage.Config{})
	send := serve(t, sim, sim.Close)
	post := func(path string, fields url.Values, want int) {
		t.Helper()
		if status, _, answer := send("POST", path, "", form, fields.Encode()); status != want {
			t.Errorf("%s %v: %d %s", path, fields, status, answer)
		}
	}
	post("/sim/call", url.Values{"do": {"start"}, "agent": {"462"}}, 204)
	post("/sim/call", url.Values{"do": {"start"}, "agent": {"nobody"}}, 404)
	post("/sim/fault", url.Values{"endpoint": {"token"}, "fault": {`{"status":503,"retry_after":"9","times":1}`}}, 204)
	post("/sim/fault", url.Values{"endpoint": {"token"}, "fault": {"nonsense"}}, 400)
	if status, h, _ := send("POST", vonage.TokenPath, "", form, ""); status != 503 || h.Get("Retry-After") != "9" {
		t.Errorf("the fault wasn't met: %d", status)
	}
	if status, _, _ := send("POST", vonage.TokenPath, "", form, ""); status != 400 {
		t.Errorf("the fault is still there: %d", status)
	}
	post("/sim/fault", url.Values{"endpoint": {"token"}, "fault": {"reset"}}, 204)
	if status, _, _ := send("POST", vonage.TokenPath, "", form, ""); status != 0 {
		t.Errorf("no reset: %d", status)
	}
	if status, _, page := send("GET", "/sim/", "", "", ""); status != 200 || !strings.Contains(page, "Vera") {
		t.Errorf("the page: %d", status)
	}
	if status, _, state := send("GET", "/sim/state", "", "", ""); status != 200 || !strings.Contains(state, `"tape":"running"`) {
		t.Errorf("the state: %d %s", status, state)
	}
}
