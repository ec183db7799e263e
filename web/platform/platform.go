// Package platform says what offrecord asks of a contact-center platform. Each kind (8x8, Vonage, NICE CXone) is one package
// below it; the rest of the server knows none of them by name. It may not import them, nor any other package of web but
// web/secret.
package platform

import (
	"offrecord/app/recording"
	"offrecord/web/secret"
)

// SessionRoute is what a browser needs to act with the platform's own cookie.
type SessionRoute struct {
	// URL is the address without its parameters; the browser adds action and token.
	URL string
	// Token is the tenant's action token: handed only to a signed-in agent of this platform, never put into HTML.
	Token secret.String
	// Method is GET, or POST where the cookie allows it.
	Method string
	// Transport is the configured transport, TransportAuto by default.
	Transport recording.Transport
	// WarmURL is a harmless resource of the same host, to open a connection with.
	WarmURL string
}

// Sessioner is a platform with a session route.
type Sessioner interface {
	SessionRoute() SessionRoute
	// SessionURL is the complete GET address of an action, for a redirect answer. It carries the token.
	SessionURL(recording.Action) (string, error)
}
