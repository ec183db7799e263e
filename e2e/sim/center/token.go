package center

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Tokens are the access tokens that were given out. The zero value has none.
type Tokens struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// Issue gives out a token.
func (t *Tokens) Issue(life time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.until == nil {
		t.until = map[string]time.Time{}
	}
	token := Secret()
	t.until[token] = time.Now().Add(life)
	return token
}

// Revoke ends all tokens.
func (t *Tokens) Revoke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.until)
}

// Valid reports whether a request carries a token that hasn't ended.
func (t *Tokens) Valid(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t.mu.Lock()
	defer t.mu.Unlock()
	until, known := t.until[token]
	return ok && known && time.Now().Before(until)
}

// Limit is a rate limit: so many requests in each second; 0 is none.
type Limit struct {
	mu     sync.Mutex
	second int64
	count  int
}

// Exceeded counts a request and reports whether it is one too many.
func (l *Limit) Exceeded(perSecond int) bool {
	if perSecond <= 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now().Unix(); now != l.second {
		l.second, l.count = now, 0
	}
	l.count++
	return l.count > perSecond
}
