// Package eightbyeight is 8x8 Contact Center: the session route (controlRecording.php with the agent's cookie) and the
// basic-auth API (rccontrol). Source: 8x8's "Contact Center Recording Control API", updated 2024-03-25.
package eightbyeight

import (
	"fmt"
	"net/http"
	"net/url"

	"offrecord/app/recording"
	"offrecord/web/platform"
	"offrecord/web/secret"
)

// Session is the session route of one tenant.
type Session struct {
	// Base is the tenant's platform address, for example https://vcc-na4.8x8.com, without a path.
	Base *url.URL
	// ActionToken is the tenant's Action Request Token from Configuration Manager.
	ActionToken secret.String
	// Method is GET (the default) or POST.
	Method string
	// Transport is auto (the default), iframe or popup.
	Transport recording.Transport
}

// SessionRoute implements platform.Sessioner.
func (s Session) SessionRoute() platform.SessionRoute {
	route := platform.SessionRoute{
		URL:       s.Base.JoinPath("AGUI", "controlRecording.php").String(),
		Token:     s.ActionToken,
		Method:    s.Method,
		Transport: s.Transport,
		WarmURL:   s.Base.JoinPath("favicon.ico").String(),
	}
	if route.Method == "" {
		route.Method = http.MethodGet
	}
	if route.Transport == "" {
		route.Transport = recording.TransportAuto
	}
	return route
}

// SessionURL implements platform.Sessioner. controlRecording.php knows pause and resume only.
func (s Session) SessionURL(action recording.Action) (string, error) {
	if action != recording.Pause && action != recording.Resume {
		return "", fmt.Errorf("8x8 has no %s: it can pause and resume", action)
	}
	u := s.Base.JoinPath("AGUI", "controlRecording.php")
	u.RawQuery = url.Values{"action": {string(action)}, "token": {s.ActionToken.Reveal()}}.Encode()
	return u.String(), nil
}
