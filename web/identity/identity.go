// Package identity knows who is asking: the directory of agents, the ways to log in, and the sessions that follow.
//
// It says who someone is and never what they may do; it knows no routes and no platforms.
package identity

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// Role is what someone is to the contact center.
type Role string

// The roles. A supervisor and an admin are agents as well where the directory gives them a platform.
const (
	Agent      Role = "agent"
	Supervisor Role = "supervisor"
	Admin      Role = "admin"
)

// Supervises reports whether the role is above the agents.
func (r Role) Supervises() bool { return r == Supervisor || r == Admin }

// Principal is someone who is known.
type Principal struct {
	Email    string `json:"email"`
	Role     Role   `json:"role"`
	Platform string `json:"platform"`           // the platform's name in the configuration
	AgentID  string `json:"agent_id,omitempty"` // the platform's own id of the agent; empty where it is addressed by email
}

// Directory is everyone who may log in, by address. The zero value knows nobody.
type Directory struct {
	byEmail map[string]Principal
	all     []Principal
}

// NewDirectory returns a directory. Addresses are compared without regard to case; of two equal ones the first counts.
func NewDirectory(everyone []Principal) *Directory {
	d := &Directory{byEmail: make(map[string]Principal, len(everyone))}
	for _, p := range everyone {
		key := Fold(p.Email)
		if _, there := d.byEmail[key]; there {
			continue
		}
		d.byEmail[key] = p
		d.all = append(d.all, p)
	}
	return d
}

// Find returns the principal with this address.
func (d *Directory) Find(email string) (Principal, bool) {
	p, ok := d.byEmail[Fold(email)]
	return p, ok
}

// All lists everyone in the configuration's order.
func (d *Directory) All() []Principal { return d.all }

// Fold is the form of an address that is compared.
func Fold(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Errors of an Authenticator.
var (
	// ErrNoCredentials means that the request presents nothing of this kind; another way may be tried.
	ErrNoCredentials = errors.New("no credentials were presented")
	// ErrRefused means that what was presented isn't good. What it is wrapped in says why, and repeats nothing of it.
	ErrRefused = errors.New("the log-in was refused")
	// ErrAway means that it can't be judged now: the store or the provider doesn't answer.
	ErrAway = errors.New("the log-in can't be judged now")
)

// Vouched is what a way to log in says of who someone is.
type Vouched struct {
	Email string
	// Platform is the platform that the word is good for; empty for any.
	Platform string
	// Subject and SID are the provider's own names of the person and of its session; empty without a provider.
	Subject, SID string
	// Since is when they showed who they are; zero for now.
	Since time.Time
}

// Authenticator is one way to say who someone is: the demo's bare address, an embed token, a proxy's header. Whether the
// directory knows the address, with that platform, is decided by the caller. The request's body is bounded already and may
// be read.
type Authenticator interface {
	Authenticate(*http.Request) (Vouched, error)
}
