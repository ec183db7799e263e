// Package vonage is Vonage Contact Center: the Call API that pauses and starts the recording of a call. Sources: Vonage's
// "Controlling call recording" (POST …/calls/{callGuid}), "Retrieving the call detail" (GET …/calls/{callGuid}) and "Getting
// agent details" (GET …/agents/{agentId}).
package vonage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"offrecord/app/recording"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const who = "Vonage"

// The ways to hand the client's id and secret to the token endpoint (RFC 6749, section 2.3.1).
const (
	AuthForm  = "form"  // as client_id and client_secret in the form; the default
	AuthBasic = "basic" // as user name and password of basic authentication
)

// Settings are one account's.
type Settings struct {
	// BaseURL is the region's address: https://emea.cc.vonage.com, nam and apac, or the older *.newvoicemedia.com.
	BaseURL *url.URL
	// Account is the account key, the first segment of every path ("account's API key" in the documents' examples).
	Account string
	// TokenURL is where tokens are had; nil: BaseURL + /v0/oauth2/token ("Getting a bearer access token"). The other form,
	// BaseURL + /Auth/connect/token, wants a Scope.
	TokenURL *url.URL
	// TokenAuth is AuthForm (the default) or AuthBasic.
	TokenAuth string
	// Scope is what a token is asked for; empty: nothing in particular.
	Scope string
	// ClientID and ClientSecret are the API client's, from Vonage's API credentials page.
	ClientID     string
	ClientSecret secret.String
}

// Server is the server route of one account. It implements platform.Server.
//
// An action is on a call. Vonage takes it with a 2xx and carries it out later; whether it did is read back from the call.
type Server struct {
	set    Settings
	tokens *upstream.Tokens
}

// New makes the server route of an account.
func New(s Settings, o upstream.Options) (*Server, error) {
	if err := upstream.CheckURL(s.BaseURL); err != nil {
		return nil, fmt.Errorf("vonage: base_url: %w", err)
	}
	if s.TokenURL == nil {
		s.TokenURL = s.BaseURL.JoinPath("v0", "oauth2", "token")
	}
	style, ok := map[string]oauth2.AuthStyle{"": oauth2.AuthStyleInParams, AuthForm: oauth2.AuthStyleInParams, AuthBasic: oauth2.AuthStyleInHeader}[s.TokenAuth]
	switch {
	case !ok:
		return nil, fmt.Errorf("vonage: token_auth %q: use form or basic", s.TokenAuth)
	case s.ClientID == "":
		return nil, errors.New("vonage: client_id is missing")
	case s.ClientSecret.IsZero():
		return nil, errors.New("vonage: the client's secret is missing: set client_secret_file")
	}
	if _, err := upstream.Join(s.BaseURL, s.Account); err != nil {
		return nil, fmt.Errorf("vonage: account: %w", err)
	}
	up, err := upstream.New(o, s.BaseURL, s.TokenURL)
	if err != nil {
		return nil, fmt.Errorf("vonage: %w", err)
	}
	credentials := &clientcredentials.Config{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret.Reveal(), TokenURL: s.TokenURL.String(), Scopes: strings.Fields(s.Scope), AuthStyle: style,
	}
	return &Server{s, upstream.NewTokens(up, credentials)}, nil
}

// Ability implements platform.Server. What the customer declined is a plain pause here, there is nothing stronger.
func (s *Server) Ability() platform.Ability {
	return platform.Ability{
		Does: map[recording.Action]recording.Action{
			recording.Pause: recording.Pause, recording.Resume: recording.Resume, recording.DoNotRecord: recording.Pause,
		},
		Finds:     platform.ByCall,
		Verifies:  platform.ByReading,
		Reads:     true,
		CallKnown: true,
	}
}

// Act implements platform.Server. Without a call id, the agent's current call is looked up and checked to be live first: the
// platform names an agent's previous call as the current one, too.
func (s *Server) Act(ctx context.Context, r platform.Request) platform.Result {
	verb, ok := s.Ability().Does[r.Action]
	if !ok {
		return platform.Result{Outcome: recording.Failed, Detail: fmt.Sprintf("Vonage has no %s, nothing was done: it can pause and resume.", r.Action)}
	}
	id := r.Call
	if id == "" {
		call, refused := s.current(ctx, r.Target)
		if refused != nil {
			return *refused
		}
		id = call.id
	}
	status := "Paused"
	if verb == recording.Resume {
		status = "Started"
	}
	body, err := json.Marshal(map[string]string{"recordingStatus": status})
	if err != nil {
		return upstream.Failure(who, err)
	}
	resp, err := s.do(ctx, http.MethodPost, body, "calls", id)
	if err != nil {
		result := upstream.Failure(who, err)
		result.Call = id
		return result
	}
	result := answer(resp)
	result.Call = id
	return result
}

// answer makes the result of an answer to the action.
func answer(resp upstream.Response) platform.Result {
	r := upstream.Answer(who, resp)
	switch {
	case resp.Status >= 200 && resp.Status < 300:
		r.Detail = "Vonage took the request and is carrying it out: don't go on before it says that it is done."
	case resp.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(string(resp.Body)), "only calls currently with an agent"):
		r.Outcome, r.Said = recording.NoCall, "only calls currently with an agent can be paused or started"
		r.Detail = "Vonage sees no call with this agent, nothing was done: if there is one, use Vonage's own screen."
	case resp.Status == http.StatusNotFound:
		r.Outcome, r.Detail = recording.NoCall, "Vonage doesn't know this call, nothing was done: if there is one, use Vonage's own screen."
	}
	return r
}

// call is what is used of a call's detail.
type call struct {
	id        string
	status    string // free text; empty once the call is over
	over      bool
	recording string // Started or Paused; empty if Vonage doesn't say
}

// current finds the call the agent is on. What refuses it is never in doubt: nothing was done.
func (s *Server) current(ctx context.Context, t platform.Target) (call, *platform.Result) {
	if t.AgentID == "" {
		return call{}, &platform.Result{Outcome: recording.NotFound,
			Detail: "Vonage needs the agent's own id to find the call, nothing was done: tell an administrator to set agent_id, and use Vonage's own screen."}
	}
	var agent struct {
		CurrentCallGUID string `json:"currentCallGuid"`
	}
	result := s.get(ctx, &agent, "agents", t.AgentID)
	switch {
	case result.HTTPStatus == http.StatusNotFound:
		result.Outcome = recording.NotFound
		result.Detail = "Vonage doesn't know this agent, nothing was done: tell an administrator to check agent_id, and use Vonage's own screen."
	case result.Outcome == recording.Confirmed && agent.CurrentCallGUID == "":
		result.Outcome, result.Detail = recording.NoCall, "The agent has no call in Vonage, nothing was done."
	}
	if result.Outcome != recording.Confirmed {
		return call{}, &result
	}
	found, result := s.call(ctx, agent.CurrentCallGUID)
	switch {
	case result.HTTPStatus == http.StatusNotFound, result.Outcome == recording.Confirmed && found.over:
		result.Outcome, result.Retry, result.Detail = recording.NoCall, platform.Never, "The agent's last call in Vonage is over, nothing was done."
	}
	if result.Outcome != recording.Confirmed {
		return call{}, &result
	}
	return found, nil
}

// call reads a call. The outcome is confirmed if it could be read.
func (s *Server) call(ctx context.Context, id string) (call, platform.Result) {
	var detail struct {
		Status          *string         `json:"status"`
		RecordingStatus *string         `json:"recordingStatus"`
		Result          json.RawMessage `json:"result"`
	}
	r := s.get(ctx, &detail, "calls", id)
	c := call{id: id}
	if detail.Status != nil {
		c.status = *detail.Status
	}
	if detail.RecordingStatus != nil {
		c.recording = *detail.RecordingStatus
	}
	// A call that is over has a result and no status any more. No document lists the statuses of one that isn't; these are
	// what a call might be said to be when it is over all the same.
	c.over = c.status == "" && c.recording == "" || len(detail.Result) > 0 && string(detail.Result) != "null"
	switch strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(c.status)) {
	case "ended", "completed", "complete", "finished", "disconnected", "terminated", "hungup", "closed", "failed", "abandoned", "cleared":
		c.over = true
	}
	return c, r
}

// get reads a resource into v. The outcome is confirmed if that worked; else it says why the action didn't come about.
func (s *Server) get(ctx context.Context, v any, path ...string) platform.Result {
	resp, err := s.do(ctx, http.MethodGet, nil, path...)
	if err != nil {
		return upstream.LookedUp(who, upstream.Failure(who, err))
	}
	r := upstream.Answer(who, resp)
	if resp.Status == http.StatusOK && resp.Whole && json.Unmarshal(resp.Body, v) == nil {
		r.Outcome = recording.Confirmed
		return r
	}
	return upstream.LookedUp(who, r)
}

// Read implements platform.Server.
func (s *Server) Read(ctx context.Context, t platform.Target) platform.Reading {
	var c call
	var r platform.Result
	if t.Call != "" {
		c, r = s.call(ctx, t.Call)
	} else {
		found, refused := s.current(ctx, t)
		if refused != nil && refused.Outcome == recording.NoCall {
			return platform.Reading{State: recording.Idle, Said: "no call", Detail: refused.Detail, Retry: platform.DidNotAct}
		}
		if c, r.Outcome = found, recording.Confirmed; refused != nil {
			r = *refused
		}
	}
	switch {
	case r.HTTPStatus == http.StatusNotFound && r.Outcome != recording.NotFound:
		return platform.Reading{State: recording.Idle, Call: t.Call, Said: r.Said, Detail: "Vonage doesn't know this call any more.", Retry: platform.DidNotAct}
	case r.Outcome != recording.Confirmed:
		return upstream.Unread(who, r)
	}
	reading := platform.Reading{State: recording.StateUnknown, Call: c.id, Retry: platform.DidNotAct}
	switch strings.ToLower(c.recording) {
	case "paused":
		reading.State, reading.Said = recording.Paused, "recordingStatus Paused"
	case "started", "recording":
		reading.State, reading.Said = recording.Recording, "recordingStatus Started"
	default:
		reading.Said, reading.Detail = "no recordingStatus", "Vonage doesn't say whether this call is recorded: look at Vonage's own screen."
	}
	if c.over {
		reading.State, reading.Said, reading.Detail = recording.Idle, "call over", "The call is over."
	}
	return reading
}

// Check implements platform.Server: a token is fetched, and a made-up agent is looked up with it.
func (s *Server) Check(ctx context.Context) []platform.Finding {
	client := platform.Finding{Credential: "client_secret", Verdict: platform.NotCheckable}
	account := platform.Finding{Credential: "account", Verdict: platform.NotCheckable}
	if _, err := s.tokens.Token(ctx); err != nil {
		var refused *upstream.TokenError
		client.Detail = "Vonage gave no token: " + err.Error() + "; check token_url and the network."
		if errors.As(err, &refused) && refused.Denied {
			client.Verdict = platform.Bad
			client.Detail = "Vonage refuses the client id or its secret (" + platform.StatusText(refused.Status) + "): copy both again, and check token_auth and scope."
		}
		account.Detail = "It can't be checked without a token."
		return []platform.Finding{client, account}
	}
	client.Verdict, client.Detail = platform.Good, "Vonage gave a token."
	resp, err := s.do(ctx, http.MethodGet, nil, "agents", "offrecord-check-"+rand.Text())
	switch {
	case err != nil:
		account.Detail = "Vonage couldn't be asked: " + err.Error() + "; check base_url and the network."
	case resp.Status == http.StatusUnauthorized, resp.Status == http.StatusForbidden:
		account.Verdict = platform.Bad
		account.Detail = "Vonage doesn't let this client read the account's agents (" + platform.StatusText(resp.Status) + "): check account and the client's rights."
	case resp.Status == http.StatusNotFound:
		account.Detail = "Vonage let the client ask for an agent, and doesn't know the made-up one; whether the account key is right shows with a real agent only."
	default:
		account.Detail = "Vonage answered " + platform.StatusText(resp.Status) + " to a made-up agent, which says nothing of the account key."
	}
	return []platform.Finding{client, account}
}

// do sends a request to a path below v0/{account}.
func (s *Server) do(ctx context.Context, method string, body []byte, path ...string) (upstream.Response, error) {
	u, err := upstream.Join(s.set.BaseURL, append([]string{"v0", s.set.Account}, path...)...)
	if err != nil {
		return upstream.Response{}, err
	}
	return s.tokens.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		var r io.Reader
		if body != nil {
			r = bytes.NewReader(body)
		}
		req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		switch {
		case body != nil:
			req.Header.Set("Content-Type", "application/json")
		case path[0] == "calls":
			req.Header.Set("Accept", "application/json;version=3") // "Retrieving the call detail" wants a version
		}
		return req, nil
	})
}
