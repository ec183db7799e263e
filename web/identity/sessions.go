package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Way is how a session was begun.
type Way string

// The ways. What a proxy's header says is asked for at each request, so it begins no session.
const (
	ByDemo  Way = "demo"
	ByOIDC  Way = "oidc"
	ByEmbed Way = "embed" // a CRM's token, in its frame
	ByPopup Way = "popup" // handed to a frame by a window that was signed in
)

// Framed reports whether the session lives in a frame of another site's page.
func (w Way) Framed() bool { return w == ByEmbed || w == ByPopup }

// The life of a session. An open panel is a use, so a working day ends by MaxAge, a closed laptop by MaxIdle. A frame's ends
// soon after its page was closed.
const (
	MaxIdle       = 2 * time.Hour
	MaxIdleFramed = 30 * time.Minute
	MaxAge        = 12 * time.Hour
)

// Idle is how long a session of this way lives without a use.
func (w Way) Idle() time.Duration {
	if w.Framed() {
		return MaxIdleFramed
	}
	return MaxIdle
}

const (
	// perPrincipal is how many sessions one address may have; the one that wasn't used for longest gives way: a page that begins
	// one at each load doesn't end the panel beside it.
	perPrincipal = 32
	// useEvery is how much of a session's use may be forgotten at a restart.
	useEvery = time.Minute
	// useWait is how long uses are gathered before they are written.
	useWait = 15 * time.Second
	// storeTime bounds one attempt at the store, storeRetry the wait for the next.
	storeTime  = 5 * time.Second
	storeRetry = time.Second
	// storePatience is how long a log-in or log-out waits to be durable. Both hold in memory at once.
	storePatience = time.Second
)

// SignIn is who signed in and how.
type SignIn struct {
	Email string
	Way   Way
	// Subject and SID are the provider's own names of the person and of its session; empty without a provider.
	Subject, SID string
	// Since is when they signed in, where the session goes on from another; zero for now.
	Since time.Time
}

// Sessions are the live log-ins. Only a hash of each token is kept, so neither a memory dump nor the store gives one away.
// It is safe for concurrent use.
//
// Memory is what counts and the store follows it, so that a store that is slow or fails holds nobody up, lets nobody in and
// throws nobody out. Who a session is of is looked up at each use: who isn't in the directory any more is out.
type Sessions struct {
	directory *Directory
	db        *sql.DB // nil: there is no store
	log       *slog.Logger

	mu      sync.Mutex
	byHash  map[hash]*session
	byEmail map[string][]hash // oldest first

	// The writer's work. A nil session is one that ended.
	dirty   map[hash]*session
	waiting []chan error // who waits for what is dirty now
	loaded  bool
	now     chan struct{} // asks the writer to write at once
	stop    chan struct{}
	gone    chan struct{}
}

type hash = [sha256.Size]byte

type session struct {
	SignIn
	began, usedAt time.Time
	savedUse      time.Time
	ended         chan struct{}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.began) >= MaxAge || now.Sub(s.usedAt) >= s.Way.Idle()
}

// NewSessions returns an empty set that ends with the process.
func NewSessions(d *Directory) *Sessions {
	return &Sessions{directory: d, loaded: true, byHash: map[hash]*session{}, byEmail: map[string][]hash{}}
}

// OpenSessions returns the set that the store holds. If it can't be read, it is tried again: until then those who were logged
// in have to wait or log in anew. Close it.
func OpenSessions(ctx context.Context, d *Directory, db *sql.DB, log *slog.Logger) *Sessions {
	s := NewSessions(d)
	s.db, s.log, s.loaded = db, log, false
	s.dirty, s.now, s.stop, s.gone = map[hash]*session{}, make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	if err := s.load(ctx); err != nil {
		s.log.Error("the sessions can't be read: whoever was logged in has to wait until they can", "error", err)
	}
	go s.write()
	return s
}

// Begin starts a session and returns its token, 256 random bits. A token that was presented with the log-in ends, so that
// nobody can plant a session that a log-in then fills.
func (s *Sessions) Begin(in SignIn, presented string) string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(bits[:])
	now := time.Now()
	s.mu.Lock()
	if presented != "" {
		s.end(sha256.Sum256([]byte(presented)))
	}
	email := Fold(in.Email)
	for _, h := range slices.Clone(s.byEmail[email]) {
		if s.byHash[h].over(now) {
			s.end(h)
		}
	}
	if theirs := s.byEmail[email]; len(theirs) >= perPrincipal {
		s.end(slices.MinFunc(theirs, func(a, b hash) int { return s.byHash[a].usedAt.Compare(s.byHash[b].usedAt) }))
	}
	h := sha256.Sum256([]byte(token))
	began := in.Since
	if began.IsZero() {
		began = now
	}
	s.add(h, &session{SignIn: in, began: began, usedAt: now, savedUse: now})
	s.changed(h)
	s.mu.Unlock()
	s.durable()
	return token
}

// Use returns whose session a token is, and counts as a use of it. In a frame everybody is an agent and no more.
func (s *Sessions) Use(token string) (Principal, bool) {
	if token == "" {
		return Principal{}, false
	}
	h, now := sha256.Sum256([]byte(token)), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byHash[h]
	if !ok {
		return Principal{}, false
	}
	who, known := s.directory.Find(found.Email)
	if !known || found.over(now) {
		s.end(h)
		return Principal{}, false
	}
	if found.Way.Framed() { // begun in another company's page, by its server's word perhaps: an agent is all that is needed there
		who.Role = Agent
	}
	found.usedAt = now
	if s.db != nil && now.Sub(found.savedUse) >= useEvery {
		found.savedUse = now
		s.dirty[h] = found // the writer comes by
	}
	return who, true
}

// Look returns how a token's session was begun, and a channel that is closed when it ends. It is no use of it.
func (s *Sessions) Look(token string) (in SignIn, ended <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byHash[sha256.Sum256([]byte(token))]
	if !ok {
		return SignIn{}, nil, false
	}
	in = found.SignIn
	in.Since = found.began
	return in, found.ended, true
}

// End ends a token's session, if it is one. The error says that a restart could bring it back, because the store couldn't be
// told yet.
func (s *Sessions) End(token string) error {
	s.mu.Lock()
	s.end(sha256.Sum256([]byte(token)))
	s.mu.Unlock()
	return s.durable()
}

// EndOf ends the sessions that a provider names: the one session sid, or without it all of a subject. It says whose they were,
// each once; the error is End's.
func (s *Sessions) EndOf(subject, sid string) (emails []string, err error) {
	s.mu.Lock()
	for h, found := range s.byHash {
		if sid != "" && found.SID == sid && (subject == "" || found.Subject == subject) || sid == "" && subject != "" && found.Subject == subject {
			s.end(h)
			if !slices.Contains(emails, found.Email) {
				emails = append(emails, found.Email)
			}
		}
	}
	loaded := s.loaded
	s.mu.Unlock()
	if !loaded {
		return emails, errNotDurable
	}
	return emails, s.durable()
}

func (s *Sessions) add(h hash, one *session) {
	one.ended = make(chan struct{})
	email := Fold(one.Email)
	s.byHash[h], s.byEmail[email] = one, append(s.byEmail[email], h)
}

func (s *Sessions) end(h hash) {
	found, ok := s.byHash[h]
	if !ok {
		if !s.loaded {
			s.dirty[h] = nil // it may be one of those that are still to be read
		}
		return
	}
	close(found.ended)
	delete(s.byHash, h)
	s.changed(h)
	email := Fold(found.Email)
	left := slices.DeleteFunc(s.byEmail[email], func(other hash) bool { return other == h })
	if len(left) == 0 {
		delete(s.byEmail, email)
		return
	}
	s.byEmail[email] = left
}

// changed has the store told of a session.
func (s *Sessions) changed(h hash) {
	if s.db != nil {
		s.dirty[h] = s.byHash[h]
	}
}

// errNotDurable says that the store didn't take a change in time. It is tried again.
var errNotDurable = errors.New("the store didn't take it yet")

// durable asks the writer for what has changed, and waits for a moment.
func (s *Sessions) durable() error {
	if s.db == nil {
		return nil
	}
	s.mu.Lock()
	if len(s.dirty) == 0 {
		s.mu.Unlock()
		return nil
	}
	done := make(chan error, 1)
	s.waiting = append(s.waiting, done)
	s.mu.Unlock()
	select {
	case s.now <- struct{}{}:
	default: // it has been asked already
	}
	select {
	case err := <-done:
		return err
	case <-time.After(storePatience):
	case <-s.gone:
	}
	return errNotDurable
}

// write is the writer's goroutine.
func (s *Sessions) write() {
	defer close(s.gone)
	failing := false
	for wait := useWait; ; {
		last := false
		select {
		case <-s.now:
		case <-time.After(wait):
		case <-s.stop:
			last = true
		}
		err := s.flush()
		if (err != nil) != failing {
			if failing = err != nil; failing {
				s.log.Error("sessions can't be written: they go on, and a restart would forget what has changed", "error", err)
			} else {
				s.log.Info("sessions are written again")
			}
		}
		if wait = useWait; failing {
			wait = storeRetry
		}
		if last {
			return
		}
	}
}

// flush writes what has changed. What can't be written stays to be.
func (s *Sessions) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	if err := s.load(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	now := time.Now()
	for h, one := range s.byHash {
		if one.over(now) {
			s.end(h)
		}
	}
	changes := make(map[hash]*session, len(s.dirty))
	for h, one := range s.dirty {
		if one == nil {
			changes[h] = nil
			continue
		}
		copied := *one
		changes[h] = &copied
	}
	waiting := s.waiting
	clear(s.dirty)
	s.waiting = nil
	s.mu.Unlock()
	err := s.save(ctx, changes)
	if err != nil {
		s.mu.Lock()
		for h := range changes {
			s.dirty[h] = s.byHash[h] // as it is now
		}
		s.mu.Unlock()
	}
	for _, done := range waiting {
		done <- err
	}
	return err
}

func (s *Sessions) save(ctx context.Context, changes map[hash]*session) (err error) {
	if len(changes) == 0 {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("writing sessions: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing sessions: %w", errors.Join(err, tx.Rollback()))
		}
	}()
	for h, one := range changes {
		if one == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM session WHERE hash = ?`, h[:])
		} else {
			_, err = tx.ExecContext(ctx, `INSERT INTO session (hash, email, way, sub, sid, began, used) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET used = excluded.used`,
				h[:], one.Email, one.Way, one.Subject, one.SID, one.began.UTC().Format(time.RFC3339Nano), one.usedAt.UTC().Format(time.RFC3339Nano))
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// load reads the store, once. What is over, or of nobody, is forgotten there, too.
func (s *Sessions) load(ctx context.Context) (err error) {
	if s.loaded {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading sessions: %w", err)
		}
	}()
	rows, err := s.db.QueryContext(ctx, `SELECT hash, email, way, sub, sid, began, used FROM session ORDER BY began`)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := map[hash]*session{}
	var order []hash
	for rows.Next() {
		var key []byte
		var began, used string
		one := new(session)
		if err := rows.Scan(&key, &one.Email, &one.Way, &one.Subject, &one.SID, &began, &used); err != nil {
			return err
		}
		// What can't be read is over: times are zero.
		one.began, _ = time.Parse(time.RFC3339Nano, began)
		one.usedAt, _ = time.Parse(time.RFC3339Nano, used)
		one.savedUse = one.usedAt
		var h hash
		copy(h[:], key)
		found[h], order = one, append(order, h)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, h := range order {
		_, known := s.directory.Find(found[h].Email)
		if _, newer := s.dirty[h]; newer {
			continue
		}
		if !known || found[h].over(now) || found[h].began.After(now) {
			s.dirty[h] = nil
			continue
		}
		s.add(h, found[h])
	}
	s.loaded = true
	return nil
}

// Close writes what has changed. The store is its opener's to close.
func (s *Sessions) Close() error {
	if s.db == nil {
		return nil
	}
	close(s.stop)
	<-s.gone
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirty) > 0 {
		return fmt.Errorf("%d changed sessions: %w", len(s.dirty), errNotDurable)
	}
	return nil
}
