package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math/big"
	"sync"
	"time"
)

const (
	// HandoverTime is how long a frame has to fetch what was handed to it.
	HandoverTime = 2 * time.Minute
	// codeTries is how often its code may be wrong.
	codeTries = 3
	// maxHandovers bounds what waits. Only who is signed in can add to it.
	maxHandovers = 10_000
)

// Handovers carry a sign-in from the window in which it was done to a frame in another site's page, which has no cookie in
// common with it. The frame made a verifier, 32 random bytes, and opened the window with its hash, the challenge; who has the
// verifier can fetch what was handed to the challenge, once.
//
// Whoever can make somebody open such a window has made the verifier himself. So the window is asked whether it was opened by
// a frame of ours that knows the challenge (the caller finds that out in the browser, and says so by proven); where it can't
// be known, because a page on the way cut the two apart, a code is made that its owner has to carry over by hand.
type Handovers struct {
	mu sync.Mutex
	of map[string]*handover
}

type handover struct {
	SignIn
	ended <-chan struct{} // of the session that it was handed over by
	code  string
	wrong int
	taken bool
	until time.Time
}

// NewHandovers returns an empty set.
func NewHandovers() *Handovers { return &Handovers{of: map[string]*handover{}} }

// ValidChallenge reports whether a text can be a challenge: 32 bytes in base64url.
func ValidChallenge(challenge string) bool {
	bytes, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(bytes) == sha256.Size
}

// Give hands a sign-in to the challenge, for as long as the session that it comes from lives. Unless the window is proven to be
// the frame's, it returns the code that the frame has to be told.
func (h *Handovers) Give(challenge string, in SignIn, ended <-chan struct{}, proven bool) (code string, given bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for old, one := range h.of {
		if !now.Before(one.until) {
			delete(h.of, old)
		}
	}
	if _, again := h.of[challenge]; again || len(h.of) >= maxHandovers {
		return "", false
	}
	if !proven {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			panic(err) // never: crypto/rand ends the program first
		}
		code = fmt.Sprintf("%06d", n)
	}
	h.of[challenge] = &handover{SignIn: in, ended: ended, code: code, until: now.Add(HandoverTime)}
	return code, true
}

// Taking is what became of an attempt to fetch a sign-in.
type Taking int

// The outcomes. Nothing tells a challenge that is still to be given something from one that never will be.
const (
	Pending   Taking = iota
	Taken            // it is the caller's
	NeedsCode        // the code is asked for
	WrongCode        // it was another; it may be tried again
	Over             // it was taken before, the code was wrong too often, or the session has ended
)

// Take fetches what was given to the verifier's challenge.
func (h *Handovers) Take(verifier, code string) (SignIn, Taking) {
	sum := sha256.Sum256([]byte(verifier))
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.of[base64.RawURLEncoding.EncodeToString(sum[:])]
	if !ok || !time.Now().Before(one.until) {
		return SignIn{}, Pending
	}
	select {
	case <-one.ended: // nil where no session of ours is behind it
		return SignIn{}, Over
	default:
	}
	switch {
	case one.taken, one.wrong >= codeTries:
		return SignIn{}, Over
	case one.code == "":
	case code == "":
		return SignIn{}, NeedsCode
	case subtle.ConstantTimeCompare([]byte(code), []byte(one.code)) != 1:
		if one.wrong++; one.wrong >= codeTries {
			return SignIn{}, Over
		}
		return SignIn{}, WrongCode
	}
	one.taken = true
	return one.SignIn, Taken
}
