// Package vonage simulates the part of Vonage Contact Center that an agent's recording depends on: tokens by client
// credentials, agents with their current (or previous) call, calls with their recording, and the control of it, which is
// carried out some time after it was accepted. It is as strict as Vonage's documents ("Controlling call recording",
// "Retrieving the call detail", "Getting agent details").
package vonage

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offrecord/e2e/sim/center"
)

// Paths of the token endpoint: without and with a scope.
const (
	TokenPath   = "/v0/oauth2/token"
	ConnectPath = "/Auth/connect/token"
)

// Endpoints, as the ledger and the faults call them.
const (
	Token  = "token"
	Other  = "other"  // nothing that is there
	Agents = "agent"  // GET …/agents/{id}
	Calls  = "call"   // GET …/calls/{guid}
	Action = "action" // POST …/calls/{guid}
)

// Config is how an account is set up. The zero value is an account a1b2c3d4e5 with the agent 462.
type Config struct {
	Account      string
	ClientID     string // default client-1
	ClientSecret string // default: a random one
	Scope        string // what ConnectPath wants; default interaction
	Agents       []center.Agent
	// Lag is the time between accepting a request and carrying it out; default 300 ms, negative: none.
	Lag time.Duration
	// TokenLife is how long a token is good; default an hour.
	TokenLife time.Duration
	// PerSecond is the fair-use limit over all calls; 0 is none.
	PerSecond int
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
	def(&config.Account, "a1b2c3d4e5")
	def(&config.ClientID, "client-1")
	def(&config.ClientSecret, center.Secret())
	def(&config.Scope, "interaction")
	if config.Agents == nil {
		config.Agents = []center.Agent{{ID: "462", Email: "vera@acme.example", Name: "Vera"}}
	}
	if config.Lag == 0 {
		config.Lag = 300 * time.Millisecond
	}
	if config.TokenLife == 0 {
		config.TokenLife = time.Hour
	}
	s := &Simulator{config: config, Center: center.New(center.Config{
		Name: "Vonage", Agents: config.Agents, Secrets: []string{config.ClientSecret}, PanelURL: config.PanelURL,
		Endpoints: []string{Action, Calls, Agents, Token}, Reason: "Started",
	})}
	s.mux.Handle("POST "+TokenPath, s.Handle(Token, s.token))
	s.mux.Handle("POST "+ConnectPath, s.Handle(Token, s.token))
	s.mux.Handle("GET /v0/{account}/agents/{agent}", s.Handle(Agents, s.agent))
	s.mux.Handle("GET /v0/{account}/calls/{call}", s.Handle(Calls, s.call))
	s.mux.Handle("POST /v0/{account}/calls/{call}", s.Handle(Action, s.action))
	s.mux.Handle("/sim/", s.Page())
	s.mux.Handle("/", s.Handle(Other, func(*center.Exchange) center.Answer { return message(http.StatusNotFound, "Not found.") }))
	s.mux.Handle("GET /{$}", http.RedirectHandler("/sim/", http.StatusSeeOther))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// ClientSecret is the secret of the account's API client.
func (s *Simulator) ClientSecret() string { return s.config.ClientSecret }

// RevokeTokens ends every token that was given out.
func (s *Simulator) RevokeTokens() { s.tokens.Revoke() }

func message(status int, text string) center.Answer {
	return center.Answer{Status: status, Body: map[string]string{"message": text}}
}

// token is the token endpoint. The client's id and secret come in the form or by basic authentication, not in both.
func (s *Simulator) token(x *center.Exchange) center.Answer {
	refuse := func(status int, code string) center.Answer {
		return center.Answer{Status: status, Body: map[string]string{"error": code}}
	}
	if err := x.ParseForm(); err != nil {
		return refuse(http.StatusBadRequest, "invalid_request")
	}
	id, secret, basic := x.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = x.PostForm.Get("client_id"), x.PostForm.Get("client_secret")
	}
	switch {
	case basic && x.PostForm.Has("client_secret"):
		return refuse(http.StatusBadRequest, "invalid_request")
	case x.PostForm.Get("grant_type") != "client_credentials":
		return refuse(http.StatusBadRequest, "unsupported_grant_type")
	case id != s.config.ClientID || secret != s.config.ClientSecret:
		return refuse(http.StatusUnauthorized, "invalid_client")
	case x.URL.Path == ConnectPath && x.PostForm.Get("scope") != s.config.Scope:
		return refuse(http.StatusBadRequest, "invalid_scope")
	}
	return center.Answer{Status: http.StatusOK, Body: map[string]any{
		"access_token": s.tokens.Issue(s.config.TokenLife), "token_type": "Bearer", "expires_in": int(s.config.TokenLife / time.Second)}}
}

// refused is what every call of the API is refused for; ok is false if it is.
func (s *Simulator) refused(x *center.Exchange) (a center.Answer, ok bool) {
	switch {
	case s.limit.Exceeded(s.config.PerSecond):
		return center.Answer{Status: http.StatusTooManyRequests, Body: center.Limited(1)}, false
	case !s.tokens.Valid(x.Request):
		return message(http.StatusUnauthorized, "The access token is invalid or has expired."), false
	case x.PathValue("account") != s.config.Account:
		return message(http.StatusForbidden, "The account is not this client's."), false
	}
	return center.Answer{}, true
}

// agent names the agent's current call, or the previous one if there is none.
func (s *Simulator) agent(x *center.Exchange) center.Answer {
	id := x.PathValue("agent")
	x.About(id, "")
	if a, ok := s.refused(x); !ok {
		return a
	}
	if !s.Knows(id) {
		return message(http.StatusNotFound, "The requested resource was not found.")
	}
	body := map[string]any{"id": id, "links": []any{}}
	if call, ok := s.Last(id); ok {
		body["currentCallGuid"] = call.ID
	}
	return center.Answer{Status: http.StatusOK, Body: body}
}

func (s *Simulator) call(x *center.Exchange) center.Answer {
	call, ok := s.Call(x.PathValue("call"))
	x.About(call.Agent, "")
	if a, ok := s.refused(x); !ok {
		return a
	}
	if !ok {
		return message(http.StatusNotFound, "The requested resource was not found.")
	}
	body := map[string]any{"id": call.ID, "to": map[string]string{"agentId": call.Agent}, "status": nil, "recordingStatus": nil}
	if !call.Live() {
		body["result"] = map[string]string{"code": "Success"}
		return center.Answer{Status: http.StatusOK, Body: body}
	}
	body["status"] = "InProgress"
	switch call.Now() {
	case center.Running:
		body["recordingStatus"] = "Started"
	case center.Blank:
		body["recordingStatus"] = "Paused"
	}
	return center.Answer{Status: http.StatusOK, Body: body}
}

func (s *Simulator) action(x *center.Exchange) center.Answer {
	call, ok := s.Call(x.PathValue("call"))
	x.About(call.Agent, "")
	if a, ok := s.refused(x); !ok {
		return a
	}
	var body struct {
		RecordingStatus string `json:"recordingStatus"`
	}
	if !strings.HasPrefix(x.Header.Get("Content-Type"), "application/json") {
		return message(http.StatusUnsupportedMediaType, "The media type is not supported.")
	}
	if err := json.NewDecoder(x.Body).Decode(&body); err != nil {
		return message(http.StatusBadRequest, "The request is invalid.")
	}
	x.About(call.Agent, body.RecordingStatus)
	tape, known := map[string]center.Tape{"Paused": center.Blank, "Started": center.Running}[body.RecordingStatus]
	switch {
	case !ok:
		return message(http.StatusNotFound, "The requested resource was not found.")
	case body.RecordingStatus == "":
		return message(http.StatusBadRequest, "Invalid blank recordingStatus")
	case !known:
		return message(http.StatusBadRequest, `Invalid recordingStatus: valid values "Paused", "Started"`)
	case !call.Live():
		return message(http.StatusBadRequest, "Only calls currently with an agent can be paused or started.")
	}
	if call.Now() != center.Off { // a call that isn't recorded has nothing to pause, and says nothing of it
		x.Apply(call.ID, center.Change{Tape: tape, Reason: body.RecordingStatus}, s.config.Lag)
	}
	return center.Answer{Status: http.StatusAccepted, Body: map[string]string{"recordingStatus": body.RecordingStatus}}
}
