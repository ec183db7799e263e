// Package cxone simulates the part of NICE CXone that an agent's recording depends on: tokens by access key and by the
// password grant, and Record on Demand with its locks, in both published forms of its paths. A request is carried out some
// time after it was accepted, and until then the interaction is locked. It is as strict as NICE's "Record on Demand APIs".
package cxone

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offrecord/e2e/sim/center"
)

// Paths of the token endpoint: by access key, and by the password grant.
const (
	AccessKeyPath = "/authentication/v1/token/access-key"
	PasswordPath  = "/auth/token"
)

// Endpoints, as the ledger and the faults call them.
const (
	Token  = "token"
	Other  = "other"  // nothing that is there
	Status = "status" // GET get-recording-status
	Action = "action" // the POSTs
)

// Config is how an account is set up. The zero value is an account with the agent 1234567.
type Config struct {
	AccessKeyID     string // default key-1
	AccessKeySecret string // default: a random one
	ClientID        string // of the registered application, for PasswordPath; default app-1
	ClientSecret    string // default: a random one
	Agents          []center.Agent
	// Lag is the time between accepting a request and carrying it out, while the interaction is locked; default 300 ms,
	// negative: none, and the answer is 200 instead of 202.
	Lag time.Duration
	// TokenLife is how long a token is good; default an hour.
	TokenLife time.Duration
	// PerSecond is a limit over all calls; 0 is none.
	PerSecond int
	// NoPermission refuses with 403: not Multi-ACD, or the permission is missing.
	NoPermission bool
	// NoStatus leaves the status call out: it isn't part of every account's API.
	NoStatus bool
	// PanelURL is the panel that the page leads to, if it isn't empty.
	PanelURL string
}

// Simulator is one account. Calls are started and ended, faults set and the ledger asked by the Center's methods.
type Simulator struct {
	*center.Center
	config Config
	tokens center.Tokens
	limit  center.Limit
	mux    http.ServeMux
}

// New makes an account.
func New(config Config) *Simulator {
	def := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	def(&config.AccessKeyID, "key-1")
	def(&config.AccessKeySecret, center.Secret())
	def(&config.ClientID, "app-1")
	def(&config.ClientSecret, center.Secret())
	if config.Agents == nil {
		config.Agents = []center.Agent{{ID: "1234567", Email: "nico@acme.example", Name: "Nico"}}
	}
	if config.Lag == 0 {
		config.Lag = 300 * time.Millisecond
	}
	if config.TokenLife == 0 {
		config.TokenLife = time.Hour
	}
	s := &Simulator{config: config, Center: center.New(center.Config{
		Name: "NICE CXone", Agents: config.Agents, Secrets: []string{config.AccessKeySecret, config.ClientSecret}, PanelURL: config.PanelURL,
		Endpoints: []string{Action, Status, Token}, Reason: "Policy",
	})}
	s.mux.Handle("POST "+AccessKeyPath, s.Handle(Token, s.accessKey))
	s.mux.Handle("POST "+PasswordPath, s.Handle(Token, s.password))
	const service = "/interaction-recording-management-service"
	s.mux.Handle("POST "+service+"/v1/interactions/{verb}", s.Handle(Action, func(x *center.Exchange) center.Answer { return s.action(x, "userId") }))
	s.mux.Handle("POST "+service+"/interactions/{verb}", s.Handle(Action, func(x *center.Exchange) center.Answer { return s.action(x, "user-id") }))
	s.mux.Handle("GET "+service+"/v1/interactions/get-recording-status", s.Handle(Status, s.status))
	s.mux.Handle("/sim/", s.Page())
	s.mux.Handle("/", s.Handle(Other, func(*center.Exchange) center.Answer { return message(http.StatusNotFound, "Not found.") }))
	s.mux.Handle("GET /{$}", http.RedirectHandler("/sim/", http.StatusSeeOther))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// AccessKeySecret is the secret of the account's access key.
func (s *Simulator) AccessKeySecret() string { return s.config.AccessKeySecret }

// ClientSecret is the secret of the registered application.
func (s *Simulator) ClientSecret() string { return s.config.ClientSecret }

// RevokeTokens ends every token that was given out.
func (s *Simulator) RevokeTokens() { s.tokens.Revoke() }

func message(status int, text string) center.Answer {
	return center.Answer{Status: status, Body: map[string]any{"errorCode": status, "errorMessage": text}}
}

func (s *Simulator) grant() center.Answer {
	return center.Answer{Status: http.StatusOK, Body: map[string]any{
		"access_token": s.tokens.Issue(s.config.TokenLife), "token_type": "Bearer", "expires_in": int(s.config.TokenLife / time.Second)}}
}

func (s *Simulator) accessKey(x *center.Exchange) center.Answer {
	var body struct {
		ID     string `json:"accessKeyId"`
		Secret string `json:"accessKeySecret"`
	}
	if !strings.HasPrefix(x.Header.Get("Content-Type"), "application/json") || json.NewDecoder(x.Body).Decode(&body) != nil {
		return message(http.StatusBadRequest, "The request is invalid.")
	}
	if body.ID != s.config.AccessKeyID || body.Secret != s.config.AccessKeySecret {
		return message(http.StatusUnauthorized, "The access key is not valid.")
	}
	return s.grant()
}

func (s *Simulator) password(x *center.Exchange) center.Answer {
	refuse := func(status int, code string) center.Answer {
		return center.Answer{Status: status, Body: map[string]string{"error": code}}
	}
	if err := x.ParseForm(); err != nil {
		return refuse(http.StatusBadRequest, "invalid_request")
	}
	id, secret, _ := x.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	switch {
	case id != s.config.ClientID || secret != s.config.ClientSecret:
		return refuse(http.StatusUnauthorized, "invalid_client")
	case x.PostForm.Get("grant_type") != "password":
		return refuse(http.StatusBadRequest, "unsupported_grant_type")
	case x.PostForm.Get("username") != s.config.AccessKeyID || x.PostForm.Get("password") != s.config.AccessKeySecret:
		return refuse(http.StatusBadRequest, "invalid_grant")
	}
	return s.grant()
}

// refused is what every call of the API is refused for; ok is false if it is.
func (s *Simulator) refused(x *center.Exchange) (a center.Answer, ok bool) {
	switch {
	case s.limit.Exceeded(s.config.PerSecond):
		return center.Answer{Status: http.StatusTooManyRequests, Body: center.Limited(1)}, false
	case !s.tokens.Valid(x.Request):
		return message(http.StatusUnauthorized, "The requesting user failed to authenticate."), false
	case s.config.NoPermission:
		return message(http.StatusForbidden, "The requesting user is not authorized to perform the operation."), false
	}
	return center.Answer{}, true
}

// action is a Record on Demand request. Each form of the path knows its own parameter only.
func (s *Simulator) action(x *center.Exchange, parameter string) center.Answer {
	verb, user := x.PathValue("verb"), x.URL.Query().Get(parameter)
	x.About(user, verb)
	if a, ok := s.refused(x); !ok {
		return a
	}
	change, known := map[string]center.Change{
		"start-recording-on-demand": {Tape: center.Running, Reason: "RecordOnDemand"},
		"stop-recording-on-demand":  {Tape: center.Off, Reason: "StopOnDemand"},
		"do-not-record":             {Tape: center.Off, Reason: "CustomerDisconsent", Decline: true},
		"mask":                      {Tape: center.Blank, Reason: "Mask"},
		"unmask":                    {Tape: center.Running, Reason: "Policy"},
	}[verb]
	media := x.URL.Query().Get("mediaType")
	call, ok := s.Live(user)
	switch {
	case !known:
		return message(http.StatusNotFound, "Not found.")
	case user == "", media != "" && (verb != "start-recording-on-demand" || media != "voice" && media != "voiceAndScreen"):
		return message(http.StatusBadRequest, "Bad request.")
	case !ok:
		return message(http.StatusNotFound, "No active interactions were found.")
	case call.Internal:
		return message(http.StatusUnprocessableEntity, "The interaction is internal.")
	case s.Busy(call.ID):
		return message(http.StatusTooEarly, "The interaction is locked while processing a previous request.")
	case call.Declined && verb == "start-recording-on-demand":
		return message(http.StatusConflict, "The request cannot be executed due to the service state.")
	}
	masking := verb == "mask" || verb == "unmask"
	if !masking || call.Now() != center.Off { // mask does nothing, without error, when the call isn't recorded
		x.Apply(call.ID, change, s.config.Lag)
	}
	if s.config.Lag < 0 {
		return center.Answer{Status: http.StatusOK}
	}
	return center.Answer{Status: http.StatusAccepted}
}

func (s *Simulator) status(x *center.Exchange) center.Answer {
	user := x.URL.Query().Get("userId")
	x.About(user, "")
	if a, ok := s.refused(x); !ok {
		return a
	}
	call, ok := s.Live(user)
	switch {
	case s.config.NoStatus:
		return message(http.StatusNotFound, "Not found.")
	case !ok:
		return message(http.StatusNotFound, "No active interactions were found.")
	}
	status := map[center.Tape]string{center.Running: "Recording", center.Blank: "Stopped", center.Off: "Stopped"}[call.Now()]
	if call.Now() == center.Off && call.Reason == "" {
		status = "NoRecording"
	}
	return center.Answer{Status: http.StatusOK, Body: map[string]string{
		"contactId": call.ID, "interactionId": call.ID, "statusReason": call.Reason,
		"recordingStatusToAgent": status, "recordingStatusFromAgent": status,
	}}
}
