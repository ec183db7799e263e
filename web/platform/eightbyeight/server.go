package eightbyeight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"offrecord/app/recording"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const who = "8x8"

// Settings are one tenant's, for the server route.
type Settings struct {
	// BaseURL is the tenant's platform address, for example https://vcc-na4.8x8.com ("Platform URL Guide").
	BaseURL *url.URL
	// Tenant is the tenant's id, the user name of rccontrol's basic authentication ("Recording Control API").
	Tenant string
	// ActionToken is the tenant's Action Request Token from Configuration Manager, rccontrol's password.
	ActionToken secret.String
}

// Server is the server route of one tenant: rccontrol. It implements platform.Server.
//
// rccontrol acts on the transaction the agent is on, answers with a status and has no way to read one. The document says
// that "there is no return error for any failure of pausing or resuming": its success is the most that 8x8 ever says.
type Server struct {
	set Settings
	up  *upstream.Client
}

// New makes the server route of a tenant.
func New(s Settings, o upstream.Options) (*Server, error) {
	switch {
	case s.Tenant == "" || strings.Contains(s.Tenant, ":"): // RFC 7617: a colon would end the user name
		return nil, fmt.Errorf("8x8: the tenant %q isn't a tenant id", s.Tenant)
	case s.ActionToken.IsZero():
		return nil, errors.New("8x8: the action token is missing: set action_token_file")
	}
	up, err := upstream.New(o, s.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("8x8: %w", err)
	}
	return &Server{s, up}, nil
}

// Ability implements platform.Server. What the customer declined is a plain pause here, there is nothing stronger.
func (s *Server) Ability() platform.Ability {
	return platform.Ability{
		Does: map[recording.Action]recording.Action{
			recording.Pause: recording.Pause, recording.Resume: recording.Resume, recording.DoNotRecord: recording.Pause,
		},
		Finds:    platform.ByAgent,
		Verifies: platform.ByAnswer,
	}
}

// Act implements platform.Server.
func (s *Server) Act(ctx context.Context, r platform.Request) platform.Result {
	verb, ok := s.Ability().Does[r.Action]
	if !ok {
		return platform.Result{Outcome: recording.Failed, Detail: fmt.Sprintf("8x8 has no %s, nothing was done: it can pause and resume.", r.Action)}
	}
	resp, err := s.put(ctx, string(verb), r.Target, s.set.ActionToken)
	if err != nil {
		return upstream.Failure(who, err)
	}
	result := upstream.Answer(who, resp)
	switch resp.Status {
	case http.StatusOK:
		return s.read(result, resp)
	case http.StatusUnauthorized, http.StatusForbidden:
		result.Detail = "8x8 refused the tenant or its action token, nothing was done: tell an administrator, and use 8x8's own screen."
	case http.StatusNotFound:
		result.Outcome = recording.NotFound
		result.Detail = "8x8 doesn't know this agent, nothing was done: tell an administrator to check agent_id or the email address, and use 8x8's own screen."
	}
	return result
}

// read makes the result of a 200 from the status that its body names.
func (s *Server) read(r platform.Result, resp upstream.Response) platform.Result {
	said := status(resp)
	if said != "" {
		r.Said = string(said)
	}
	switch said {
	case success:
		r.Outcome, r.Detail = recording.Confirmed, "8x8 reports success."
	case nothing, noTransaction:
		r.Outcome = recording.NoCall
		r.Detail = "8x8 sees no active call whose recording could be changed: if there is one, look at 8x8's own screen."
	case notEnabled:
		r.Outcome = recording.NotEnabled
		r.Detail = "Recording isn't enabled for this agent in 8x8, nothing was done: if that is wrong, tell an administrator."
	default:
		if !resp.Whole && len(resp.Body) < upstream.MaxBody { // it broke off, and might have said anything
			r.Outcome, r.Retry = recording.Unknown, platform.Harmless
			r.Detail = "8x8's answer broke off, it isn't known whether it worked: look at 8x8's own screen."
			return r
		}
		r.Detail = "8x8 took the request, but didn't say that it worked: look at 8x8's own screen."
	}
	return r
}

// put calls rccontrol. The document's examples say agenId, its text agentId: the text is right.
func (s *Server) put(ctx context.Context, verb string, t platform.Target, token secret.String) (upstream.Response, error) {
	by, id := "agentId", t.AgentID
	if id == "" {
		by, id = "email", t.Agent
	}
	u, err := upstream.Join(s.set.BaseURL, "api", "tstats", "rccontrol", verb, s.set.Tenant, by, id)
	if err != nil {
		return upstream.Response{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), nil)
	if err != nil {
		return upstream.Response{}, err
	}
	req.SetBasicAuth(s.set.Tenant, token.Reveal())
	return s.up.Do(req)
}

// Read implements platform.Server: 8x8 has no way to tell whether a recording is paused.
func (s *Server) Read(context.Context, platform.Target) platform.Reading {
	return platform.Reading{State: recording.StateUnknown, Detail: "8x8 has no way to tell whether a recording is paused: look at 8x8's own screen."}
}

// Check implements platform.Server. It asks for a made-up action of a made-up agent, which can't touch a recording, and then
// once more with a wrong token: only where 8x8 refuses that one and not ours does its answer say something about ours.
func (s *Server) Check(ctx context.Context) []platform.Finding {
	f := platform.Finding{Credential: "action_token", Verdict: platform.NotCheckable}
	nobody := platform.Target{AgentID: "offrecord-check-" + rand.Text()}
	ours, err := s.put(ctx, "check", nobody, s.set.ActionToken)
	switch {
	case err != nil:
		f.Detail = "8x8 couldn't be asked: " + err.Error() + "; check base_url and the network."
	case ours.Status == http.StatusUnauthorized || ours.Status == http.StatusForbidden:
		f.Verdict, f.Detail = platform.Bad, "8x8 refuses the tenant or its action token ("+platform.StatusText(ours.Status)+"): copy both again from Configuration Manager."
	case ours.Status < 400 || ours.Status >= 500 || ours.Status == http.StatusTooManyRequests:
		f.Detail = "8x8 answered " + platform.StatusText(ours.Status) + " to a made-up action, which says nothing of the action token."
	default:
		wrong, err := s.put(ctx, "check", nobody, secret.New(rand.Text()))
		if err == nil && (wrong.Status == http.StatusUnauthorized || wrong.Status == http.StatusForbidden) {
			f.Verdict, f.Detail = platform.Good, "8x8 takes the tenant and its action token, and refuses a wrong one."
			break
		}
		f.Detail = "8x8 answers a made-up action without looking at the action token: try a pause in a test call."
	}
	return []platform.Finding{f}
}
