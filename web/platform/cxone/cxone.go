// Package cxone is NICE CXone: the Record on Demand API of CXone Multi-ACD. Sources: NICE's "Record on Demand APIs" (start,
// stop and do-not-record, with their statuses), the developer portal's form of the same paths with v1 and userId, and, for
// mask, unmask and the status call, clients in the field.
package cxone

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

const who = "CXone"

// What a pause is sent as.
const (
	PauseMask = "mask" // the recording goes on, its content is blanked; the default
	PauseStop = "stop" // the recording stops, and only a start takes it up again
)

// What a start records.
const (
	Voice          = "voice" // the default
	VoiceAndScreen = "voiceAndScreen"
)

// The published forms of the paths.
const (
	APIv1       = "v1"       // …/v1/interactions/{verb}?userId=; the default
	APIDocument = "document" // …/interactions/{verb}?user-id=, as in "Record on Demand APIs"
)

// The forms of the token request.
const (
	TokenAccessKey = "access_key" // JSON with accessKeyId and accessKeySecret; the default
	TokenPassword  = "password"   // the password grant, with the application's id and secret
)

// Whether the status call is there.
const (
	StatusOn  = "on"
	StatusOff = "off"
)

// lookBefore is how long a pause by stop waits for what was being recorded before it: a pause doesn't wait for more.
const lookBefore = 500 * time.Millisecond

// Settings are one account's.
type Settings struct {
	// BaseURL is the API's address, for example https://api-na1.niceincontact.com.
	BaseURL *url.URL
	// TokenURL is where tokens are had: https://{area}.nice-incontact.com/authentication/v1/token/access-key, or, for the
	// password grant, https://cxone.niceincontact.com/auth/token.
	TokenURL *url.URL
	// TokenForm is TokenAccessKey (the default) or TokenPassword.
	TokenForm string
	// AccessKeyID and AccessKeySecret are an access key of a user with the permission "Interactions Hub > APIs > Multi-ACD
	// Record on Demand API".
	AccessKeyID     string
	AccessKeySecret secret.String
	// ClientID and ClientSecret are the registered application's, for TokenPassword only.
	ClientID     string
	ClientSecret secret.String
	// PauseWith is PauseMask (the default) or PauseStop.
	PauseWith string
	// MediaType is what a start records if it isn't asked for something else: Voice (the default) or VoiceAndScreen.
	MediaType string
	// API is the form of the paths: APIv1 (the default) or APIDocument.
	API string
	// Status says whether the status call is there: StatusOn (the default) or StatusOff. It is published with v1 only, so it
	// is called in that form whatever API says.
	Status string
}

// Server is the server route of one account. It implements platform.Server.
//
// An action is on the interaction the agent is in. CXone takes it with 200 or 202 and carries it out later; where the status
// call is there, what came of it is read back.
type Server struct {
	set    Settings
	up     *upstream.Client
	tokens *upstream.Tokens
}

// New makes the server route of an account.
func New(s Settings, o upstream.Options) (*Server, error) {
	choices := []struct {
		name    string
		value   *string
		allowed []string // the first is the default
	}{
		{"token_form", &s.TokenForm, []string{TokenAccessKey, TokenPassword}},
		{"pause_with", &s.PauseWith, []string{PauseMask, PauseStop}},
		{"media_type", &s.MediaType, []string{Voice, VoiceAndScreen}},
		{"api", &s.API, []string{APIv1, APIDocument}},
		{"status", &s.Status, []string{StatusOn, StatusOff}},
	}
	for _, c := range choices {
		if *c.value == "" {
			*c.value = c.allowed[0]
		}
		if *c.value != c.allowed[0] && *c.value != c.allowed[1] {
			return nil, fmt.Errorf("cxone: %s %q: use %s", c.name, *c.value, strings.Join(c.allowed, " or "))
		}
	}
	switch {
	case s.PauseWith == PauseStop && s.Status == StatusOff:
		return nil, errors.New("cxone: pause_with stop needs the status call, or it isn't known whether a resume may start a recording: use mask, or status on")
	case s.AccessKeyID == "":
		return nil, errors.New("cxone: access_key_id is missing")
	case s.AccessKeySecret.IsZero():
		return nil, errors.New("cxone: the access key's secret is missing: set access_key_secret_file")
	case s.TokenForm == TokenPassword && (s.ClientID == "" || s.ClientSecret.IsZero()):
		return nil, errors.New("cxone: the password form needs the application's client_id and client_secret_file")
	}
	up, err := upstream.New(o, s.BaseURL, s.TokenURL)
	if err != nil {
		return nil, fmt.Errorf("cxone: %w", err)
	}
	source := accessKey(up, s.TokenURL, s.AccessKeyID, s.AccessKeySecret)
	if s.TokenForm == TokenPassword {
		source = password(s.TokenURL, s.AccessKeyID, s.AccessKeySecret, s.ClientID, s.ClientSecret)
	}
	return &Server{s, up, upstream.NewTokens(up, source)}, nil
}

// Ability implements platform.Server.
func (s *Server) Ability() platform.Ability {
	a := platform.Ability{
		Does: map[recording.Action]recording.Action{
			recording.Pause: recording.Mask, recording.Resume: recording.Unmask,
			recording.Start: recording.Start, recording.Stop: recording.Stop,
			recording.Mask: recording.Mask, recording.Unmask: recording.Unmask,
			recording.DoNotRecord: recording.DoNotRecord,
		},
		Finds:    platform.ByAgent,
		Verifies: platform.Unverified,
	}
	if s.set.Status == StatusOn {
		a.Verifies, a.Reads, a.CallKnown = platform.ByReading, true, true
	}
	if s.set.PauseWith == PauseStop {
		a.Does[recording.Pause], a.Does[recording.Resume] = recording.Stop, recording.Start
		a.ResumeNeeds = recording.Recording
	}
	return a
}

// verb is the last segment of an action's path.
func verb(a recording.Action) string {
	switch a {
	case recording.Start:
		return "start-recording-on-demand"
	case recording.Stop:
		return "stop-recording-on-demand"
	case recording.DoNotRecord:
		return "do-not-record"
	}
	return string(a) // mask, unmask
}

// Act implements platform.Server.
func (s *Server) Act(ctx context.Context, r platform.Request) platform.Result {
	able := s.Ability()
	as, ok := able.Does[r.Action]
	media := r.Media
	if media == "" {
		media = s.set.MediaType
	}
	switch {
	case !ok:
		return platform.Result{Outcome: recording.Failed, Detail: fmt.Sprintf("CXone has no %s, nothing was done.", r.Action)}
	case r.AgentID == "":
		return platform.Result{Outcome: recording.NotFound,
			Detail: "CXone needs the agent's user id, nothing was done: tell an administrator to set agent_id, and use CXone's own screen."}
	case as == recording.Start && media != Voice && media != VoiceAndScreen:
		return platform.Result{Outcome: recording.Failed, Detail: "CXone can record voice or voiceAndScreen, nothing was done: choose one of them."}
	case r.Action == recording.Resume && able.ResumeNeeds != "" && r.Before != able.ResumeNeeds:
		return platform.Result{Outcome: recording.Failed, Before: r.Before,
			Detail: "This call isn't known to have been recorded before the pause, so it wasn't started: start it by hand if it is to be recorded."}
	}
	before := platform.Reading{State: r.Before}
	if r.Action == recording.Pause && able.ResumeNeeds != "" && r.Before == "" {
		before = s.before(ctx, r.Target)
	}
	path, query := s.path(verb(as), r.AgentID)
	if as == recording.Start {
		query.Set("mediaType", media)
	}
	var result platform.Result
	if resp, err := s.do(ctx, http.MethodPost, path, query); err != nil {
		result = upstream.Failure(who, err)
	} else {
		result = answer(resp, as)
	}
	result.Before, result.Call = before.State, before.Call
	return result
}

// before is what was being recorded just before our own stop, and of which contact; unknown if it doesn't say so at once.
func (s *Server) before(ctx context.Context, t platform.Target) platform.Reading {
	ctx, cancel := context.WithTimeout(ctx, lookBefore)
	defer cancel()
	return s.Read(ctx, t)
}

// answer makes the result of an answer to an action. The meanings are those of the document's list of statuses.
func answer(resp upstream.Response, as recording.Action) platform.Result {
	r := upstream.Answer(who, resp)
	switch resp.Status {
	case http.StatusOK, http.StatusAccepted:
		r.Detail = "CXone took the request and is carrying it out: don't go on before it says that it is done."
		if as == recording.DoNotRecord {
			r.Detail = "CXone took the customer's refusal and is carrying it out; what was recorded so far is kept."
		}
	case http.StatusForbidden:
		r.Detail = `CXone refused it, nothing was done: tell an administrator that this needs CXone Multi-ACD and the permission "Interactions Hub > APIs > Multi-ACD Record on Demand API", and use CXone's own screen.`
	case http.StatusNotFound:
		r.Outcome, r.Detail = recording.NoCall, "CXone sees no active call of this agent, nothing was done: if there is one, use CXone's own screen."
	case http.StatusConflict:
		r.Detail = "CXone can't do that in the call's present state, nothing was done: look at CXone's own screen."
		if as == recording.Start || as == recording.Unmask {
			r.Detail = "CXone can't do that in the call's present state, nothing was done: perhaps the customer declined to be recorded."
		}
	case http.StatusUnprocessableEntity:
		r.Detail = "CXone can't do that for this call (internal calls can't be changed), nothing was done: look at CXone's own screen."
	case http.StatusTooEarly:
		r.Outcome, r.Retry, r.RetryAfter = recording.Locked, platform.DidNotAct, resp.RetryAfter()
		r.Detail = "CXone is still busy with an earlier request for this call, nothing was done: try again, or use CXone's own screen."
	}
	return r
}

// Read implements platform.Server. A call has two recorded directions, to and from the agent: it counts as silent only if
// both are.
func (s *Server) Read(ctx context.Context, t platform.Target) platform.Reading {
	if s.set.Status == StatusOff {
		return platform.Reading{State: recording.StateUnknown, Detail: "This CXone account can't tell whether a recording is masked: look at CXone's own screen."}
	}
	if t.AgentID == "" {
		return platform.Reading{State: recording.StateUnknown, Detail: "CXone needs the agent's user id: tell an administrator to set agent_id."}
	}
	path, query := statusPath(t.AgentID)
	resp, err := s.do(ctx, http.MethodGet, path, query)
	if err != nil {
		return upstream.Unread(who, upstream.Failure(who, err))
	}
	var status status
	switch {
	case resp.Status == http.StatusNotFound && s.set.API == APIv1: // else it may be that there is no such call
		return platform.Reading{State: recording.Idle, Said: platform.StatusText(resp.Status), Detail: "CXone sees no active call of this agent.", Retry: platform.DidNotAct}
	case resp.Status != http.StatusOK || !resp.Whole || json.Unmarshal(resp.Body, &status) != nil:
		return upstream.Unread(who, upstream.Answer(who, resp))
	}
	return status.reading()
}

// status is what the status call answers.
type status struct {
	Contact   string `json:"contactId"`
	ToAgent   string `json:"recordingStatusToAgent"`   // Recording, Stopped, RecordingFailure, NoRecording, PoorRecordingQuality
	FromAgent string `json:"recordingStatusFromAgent"` // the same
	Reason    string `json:"statusReason"`             // Policy, Hold, Mask, RecordOnDemand, BusinessData, StopOnDemand, CustomerDisconsent
}

func (s status) reading() platform.Reading {
	r := platform.Reading{State: recording.StateUnknown, Call: s.Contact, Retry: platform.DidNotAct,
		Detail: "CXone's status of the recording isn't clear: look at CXone's own screen."}
	to, from := direction(s.ToAgent), direction(s.FromAgent)
	if s.FromAgent == "" {
		from = to
	}
	switch reason := strings.ToLower(s.Reason); {
	case to == "" || from == "":
	case to == "RecordingFailure" || from == "RecordingFailure":
		r.Said, r.Detail = "RecordingFailure", "CXone says that the recording fails: tell a supervisor."
	case reason == "mask":
		// Whether a masked recording is called Recording or Stopped isn't documented; the reason is that of the present status.
		r.State, r.Said, r.Detail = recording.Paused, to+" (Mask)", ""
	case to == "Recording" || from == "Recording":
		r.State, r.Said, r.Detail = recording.Recording, "Recording", ""
	case reason == "customerdisconsent":
		r.State, r.Said, r.Detail = recording.Declined, to+" (CustomerDisconsent)", ""
	case reason == "hold":
		r.Said, r.Detail = to+" (Hold)", "The call is on hold and isn't recorded; the recording goes on by itself when the hold ends."
	case to == "Stopped" && from == "Stopped":
		r.State, r.Said, r.Detail = recording.Stopped, "Stopped", ""
	default:
		r.Said, r.Detail = "NoRecording", "CXone isn't recording this call, but may begin to: what isn't recorded can't be masked."
	}
	return r
}

// direction is one direction's status in a known word, empty if it isn't known. A bad recording is a recording.
func direction(s string) string {
	for _, known := range []string{"Recording", "Stopped", "RecordingFailure", "NoRecording"} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	if strings.EqualFold(s, "PoorRecordingQuality") {
		return "Recording"
	}
	return ""
}

// Check implements platform.Server: a token is fetched, and with it the status of a made-up user, where there is one.
func (s *Server) Check(ctx context.Context) []platform.Finding {
	key := platform.Finding{Credential: "access_key_secret", Verdict: platform.NotCheckable}
	right := platform.Finding{Credential: "permission", Verdict: platform.NotCheckable}
	if _, err := s.tokens.Token(ctx); err != nil {
		var refused *upstream.TokenError
		key.Detail = "CXone gave no token: " + err.Error() + "; check token_url and the network."
		if errors.As(err, &refused) && refused.Denied {
			key.Verdict = platform.Bad
			key.Detail = "CXone refuses the access key (" + platform.StatusText(refused.Status) + "): make a new one, and check token_url and token_form."
		}
		right.Detail = "It can't be checked without a token."
		return []platform.Finding{key, right}
	}
	key.Verdict, key.Detail = platform.Good, "CXone gave a token."
	if s.set.Status == StatusOff {
		right.Detail = "Without the status call nothing can be asked that doesn't touch a recording: try a pause in a test call."
		return []platform.Finding{key, right}
	}
	path, query := statusPath("offrecord-check-" + rand.Text())
	resp, err := s.do(ctx, http.MethodGet, path, query)
	switch {
	case err != nil:
		right.Detail = "CXone couldn't be asked: " + err.Error() + "; check base_url and the network."
	case resp.Status == http.StatusUnauthorized, resp.Status == http.StatusForbidden:
		right.Verdict = platform.Bad
		right.Detail = "CXone refuses the API (" + platform.StatusText(resp.Status) + `): it needs CXone Multi-ACD and the permission "Interactions Hub > APIs > Multi-ACD Record on Demand API".`
	case resp.Status == http.StatusOK, resp.Status == http.StatusBadRequest, resp.Status == http.StatusNotFound:
		right.Detail = "CXone let the access key ask for a status; whether it may mask and stop shows in a test call only."
	default:
		right.Detail = "CXone answered " + platform.StatusText(resp.Status) + " to a made-up user, which says nothing of the permission."
	}
	return []platform.Finding{key, right}
}

const service = "interaction-recording-management-service"

// path is an action's path and query in the form of the account's API.
func (s *Server) path(verb, userID string) ([]string, url.Values) {
	if s.set.API == APIDocument {
		return []string{service, "interactions", verb}, url.Values{"user-id": {userID}}
	}
	return []string{service, "v1", "interactions", verb}, url.Values{"userId": {userID}}
}

func statusPath(userID string) ([]string, url.Values) {
	return []string{service, "v1", "interactions", "get-recording-status"}, url.Values{"userId": {userID}}
}

// do sends a request without a body.
func (s *Server) do(ctx context.Context, method string, path []string, query url.Values) (upstream.Response, error) {
	u, err := upstream.Join(s.set.BaseURL, path...)
	if err != nil {
		return upstream.Response{}, err
	}
	u.RawQuery = query.Encode()
	return s.tokens.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		return req, nil
	})
}
