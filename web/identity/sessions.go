package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"
	"time"
)

// The life of a session. An open panel is a use, so a working day ends by MaxAge, a closed laptop by MaxIdle.
const (
	MaxIdle = 2 * time.Hour
	MaxAge  = 12 * time.Hour
)

// perPrincipal is how many sessions one address may have; the oldest gives way.
const perPrincipal = 32

// Sessions are the live log-ins. Only a hash of each token is kept, so a memory dump or a later store gives none away.
// It is safe for concurrent use.
type Sessions struct {
	mu      sync.Mutex
	byHash  map[[sha256.Size]byte]*session
	byEmail map[string][][sha256.Size]byte // oldest first
}

type session struct {
	principal     Principal
	began, usedAt time.Time
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.began) >= MaxAge || now.Sub(s.usedAt) >= MaxIdle
}

// NewSessions returns an empty set.
func NewSessions() *Sessions {
	return &Sessions{byHash: map[[sha256.Size]byte]*session{}, byEmail: map[string][][sha256.Size]byte{}}
}

// Begin starts a session and returns its token, 256 random bits. A token that was presented with the log-in ends, so that
// nobody can plant a session that a log-in then fills.
func (s *Sessions) Begin(p Principal, presented string) string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(bits[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if presented != "" {
		s.end(sha256.Sum256([]byte(presented)))
	}
	now, email := time.Now(), Fold(p.Email)
	for _, hash := range slices.Clone(s.byEmail[email]) {
		if s.byHash[hash].over(now) || len(s.byEmail[email]) >= perPrincipal {
			s.end(hash)
		}
	}
	hash := sha256.Sum256([]byte(token))
	s.byHash[hash] = &session{principal: p, began: now, usedAt: now}
	s.byEmail[email] = append(s.byEmail[email], hash)
	return token
}

// Use returns whose session a token is, and counts as a use of it.
func (s *Sessions) Use(token string) (Principal, bool) {
	if token == "" {
		return Principal{}, false
	}
	hash, now := sha256.Sum256([]byte(token)), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byHash[hash]
	if !ok {
		return Principal{}, false
	}
	if found.over(now) {
		s.end(hash)
		return Principal{}, false
	}
	found.usedAt = now
	return found.principal, true
}

// End ends a token's session, if it is one.
func (s *Sessions) End(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(sha256.Sum256([]byte(token)))
}

func (s *Sessions) end(hash [sha256.Size]byte) {
	found, ok := s.byHash[hash]
	if !ok {
		return
	}
	delete(s.byHash, hash)
	email := Fold(found.principal.Email)
	left := slices.DeleteFunc(s.byEmail[email], func(h [sha256.Size]byte) bool { return h == hash })
	if len(left) == 0 {
		delete(s.byEmail, email)
		return
	}
	s.byEmail[email] = left
}
