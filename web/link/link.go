// Package link makes and checks signed one-click links: who follows one of theirs has the recording paused without a further
// press.
//
// A link is no log-in. It says that this pause was prepared by this agent, which a page of another site can't say; who is
// asking, the session says, and both have to agree. So a link that gets into wrong hands pauses nothing by itself, and in its
// own agent's browser it can pause and never resume. The signature travels in an address's fragment, which a browser sends to
// no server and in no Referer.
//
// The package may not act on a recording, and it has no link but for a pause.
package link

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/cardnumber"
)

const (
	// Lifetime is how long a link lives unless it is said otherwise.
	Lifetime = 8760 * time.Hour
	// shortest is the least that a link may live.
	shortest = time.Minute
	// maxPurpose bounds a purpose, in characters. It is the reason of the pause, too.
	maxPurpose = 60
	// perAgent is how many links one agent may have.
	perAgent = 64
	// keyAge is how long new links are signed with the same key.
	keyAge = 90 * 24 * time.Hour
)

// Errors that a caller tells apart.
var (
	// ErrInvalid means that a signature is good for nothing: forged, of another agent, or of a link that was revoked or is over.
	// Which of these isn't said.
	ErrInvalid = errors.New("the link isn't valid, or not any more")
	// ErrNotFound means that there is no such link.
	ErrNotFound = errors.New("there is no such link")
	// ErrTooMany means that the agent has as many links as one may have.
	ErrTooMany = errors.New("there are too many links: revoke one first")
)

// PurposeError is a purpose that can't be taken. Its text is for a person and repeats nothing that was sent.
type PurposeError string

func (e PurposeError) Error() string { return string(e) }

// Link is one link. Its JSON is an item of GET /api/v1/links, which adds the address.
type Link struct {
	ID        string           `json:"id"`
	Agent     string           `json:"agent"`
	Action    recording.Action `json:"action"` // always pause
	Purpose   string           `json:"purpose"`
	MadeAt    time.Time        `json:"made_at"`
	ExpiresAt time.Time        `json:"expires_at"`
	UsedAt    *time.Time       `json:"used_at,omitempty"`
	Uses      int              `json:"uses"`

	key int64
}

// Links are all links that live. They are kept in memory, too, because a pause must not wait for a disk. It is safe for
// concurrent use.
type Links struct {
	db       *sql.DB
	lifetime time.Duration

	making sync.Mutex // one at a time makes a link
	mu     sync.Mutex
	links  map[string]Link
	keys   map[int64]key
	newest int64
}

type key struct {
	secret []byte
	made   time.Time
}

// Open reads the links of a data store (web/store). A new link lives for lifetime, or for Lifetime if that is 0.
func Open(ctx context.Context, db *sql.DB, lifetime time.Duration) (*Links, error) {
	l := &Links{db: db, lifetime: cmp.Or(lifetime, Lifetime), links: map[string]Link{}, keys: map[int64]key{}}
	if err := l.load(ctx); err != nil {
		return nil, fmt.Errorf("reading the links: %w", err)
	}
	return l, nil
}

func (l *Links) load(ctx context.Context) error {
	if err := l.forget(ctx, time.Now()); err != nil {
		return err
	}
	// Keys that nothing needs any more go, too; the newest is for the next link.
	if _, err := l.db.ExecContext(ctx, `DELETE FROM link_key WHERE number NOT IN (SELECT key FROM link) AND number < (SELECT max(number) FROM link_key)`); err != nil {
		return err
	}
	err := rows(ctx, l.db, `SELECT number, secret, made FROM link_key`, func(scan func(...any) error) error {
		var number int64
		var secret []byte
		var made string
		if err := scan(&number, &secret, &made); err != nil {
			return err
		}
		at, err := time.Parse(stamp, made)
		if err != nil || len(secret) != sha256.Size {
			return fmt.Errorf("key %d is damaged: restore the data store, or delete its links", number)
		}
		l.keys[number], l.newest = key{secret, at}, max(l.newest, number)
		return nil
	})
	if err != nil {
		return err
	}
	return rows(ctx, l.db, `SELECT id, key, agent, purpose, made, expires, used, uses FROM link`, func(scan func(...any) error) error {
		x := Link{Action: recording.Pause}
		var made, expires, used string
		err := scan(&x.ID, &x.key, &x.Agent, &x.Purpose, &made, &expires, &used, &x.Uses)
		if err == nil {
			x.MadeAt, err = time.Parse(stamp, made)
		}
		if err == nil {
			x.ExpiresAt, err = time.Parse(stamp, expires)
		}
		if err == nil && used != "" {
			var at time.Time
			at, err = time.Parse(stamp, used)
			x.UsedAt = &at
		}
		l.links[x.ID] = x
		return err
	})
}

// forget drops the links that are over.
func (l *Links) forget(ctx context.Context, now time.Time) error {
	l.mu.Lock()
	maps.DeleteFunc(l.links, func(_ string, x Link) bool { return !now.Before(x.ExpiresAt) })
	l.mu.Unlock()
	_, err := l.db.ExecContext(ctx, `DELETE FROM link WHERE expires <= ?`, format(now))
	return err
}

func rows(ctx context.Context, db *sql.DB, query string, each func(scan func(...any) error) error) error {
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := each(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}

// stamp is RFC 3339 in UTC with a fixed width, so that times sort as texts do.
const stamp = "2006-01-02T15:04:05Z"

func format(t time.Time) string { return t.UTC().Format(stamp) }

// fold is the form of an address that is compared; a link is of whoever has its address.
func fold(agent string) string { return strings.ToLower(strings.TrimSpace(agent)) }

// Make makes a link that pauses the agent's recording, for a purpose such as "card". It lives for lifetime, or as long as is
// usual if that is 0.
func (l *Links) Make(ctx context.Context, agent, purpose string, lifetime time.Duration) (Link, error) {
	purpose = strings.TrimSpace(purpose)
	if err := checkPurpose(purpose); err != nil {
		return Link{}, err
	}
	if lifetime == 0 {
		lifetime = l.lifetime
	}
	lifetime = min(max(lifetime, shortest), l.lifetime)
	now := time.Now().UTC().Truncate(time.Second)
	x := Link{ID: uuid.NewString(), Agent: agent, Action: recording.Pause, Purpose: purpose, MadeAt: now, ExpiresAt: now.Add(lifetime)}
	l.making.Lock()
	defer l.making.Unlock()
	if len(l.Of(agent)) >= perAgent {
		return Link{}, ErrTooMany
	}
	err := l.forget(ctx, now)
	if err == nil {
		x.key, err = l.signing(ctx, now)
	}
	if err == nil {
		_, err = l.db.ExecContext(ctx, `INSERT INTO link (id, key, agent, purpose, made, expires, used, uses) VALUES (?, ?, ?, ?, ?, ?, '', 0)`,
			x.ID, x.key, x.Agent, x.Purpose, format(x.MadeAt), format(x.ExpiresAt))
	}
	if err != nil {
		return Link{}, fmt.Errorf("storing a link: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links[x.ID] = x
	return x, nil
}

func checkPurpose(purpose string) error {
	switch {
	case purpose == "":
		return PurposeError("purpose is missing: say in a word or two what the link is for, such as card.")
	case !utf8.ValidString(purpose), utf8.RuneCountInString(purpose) > maxPurpose:
		return PurposeError(fmt.Sprintf("purpose must be text of at most %d characters.", maxPurpose))
	case strings.ContainsFunc(purpose, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return PurposeError("purpose must be one line of plain text.")
	case len(cardnumber.Find(purpose)) > 0:
		return PurposeError("purpose looks as if it held a card number: leave card data out of it.")
	}
	return nil
}

// signing is the number of the key for new links: the newest, or a new one where that has served its time. What it signed
// stays good. Its caller holds making.
func (l *Links) signing(ctx context.Context, now time.Time) (int64, error) {
	l.mu.Lock()
	number := l.newest
	last, ok := l.keys[number]
	l.mu.Unlock()
	if ok && now.Sub(last.made) < keyAge {
		return number, nil
	}
	next := key{make([]byte, sha256.Size), now}
	rand.Read(next.secret) // never fails
	if _, err := l.db.ExecContext(ctx, `INSERT INTO link_key (number, secret, made) VALUES (?, ?, ?)`, number+1, next.secret, format(now)); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest = number + 1
	l.keys[l.newest] = next
	return l.newest, nil
}

// Of are an agent's links that live, oldest first.
func (l *Links) Of(agent string) []Link {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := slices.Collect(maps.Values(l.links))
	mine = slices.DeleteFunc(mine, func(x Link) bool { return fold(x.Agent) != fold(agent) || !now.Before(x.ExpiresAt) })
	slices.SortFunc(mine, func(a, b Link) int { return cmp.Or(a.MadeAt.Compare(b.MadeAt), strings.Compare(a.ID, b.ID)) })
	return mine
}

// Get returns a link that lives, whoever it belongs to.
func (l *Links) Get(id string) (Link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.links[id]
	if !ok || !time.Now().Before(x.ExpiresAt) {
		return Link{}, ErrNotFound
	}
	return x, nil
}

// Fragment is what follows the # of a link's address: its id and its signature. It is a secret, though a small one.
func (l *Links) Fragment(x Link) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return x.ID + "." + x.sign(l.keys[x.key].secret)
}

// sign covers everything that the link says. No part can hold a line's end.
func (x Link) sign(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "offrecord link 1\n%s\n%s\n%s\n%s\n%s\n", x.ID, fold(x.Agent), x.Action, x.Purpose, format(x.ExpiresAt))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Redeem returns the link that a fragment is the proof of, if it is one of this agent's.
func (l *Links) Redeem(agent, fragment string) (Link, error) {
	id, signature, _ := strings.Cut(fragment, ".")
	l.mu.Lock()
	x, known := l.links[id]
	secret := l.keys[x.key].secret
	l.mu.Unlock()
	// Who guesses is told the same in about the same time, whatever of it was right.
	if good := hmac.Equal([]byte(x.sign(secret)), []byte(signature)); !good || !known || len(secret) == 0 || fold(x.Agent) != fold(agent) || !time.Now().Before(x.ExpiresAt) {
		return Link{}, ErrInvalid
	}
	return x, nil
}

// Used counts a use of a link.
func (l *Links) Used(ctx context.Context, id string) error {
	at := time.Now().UTC().Truncate(time.Second)
	l.mu.Lock()
	x, ok := l.links[id]
	if ok {
		x.UsedAt, x.Uses = &at, x.Uses+1
		l.links[id] = x
	}
	l.mu.Unlock()
	if _, err := l.db.ExecContext(ctx, `UPDATE link SET used = ?, uses = uses + 1 WHERE id = ?`, format(at), id); err != nil {
		return fmt.Errorf("counting a link's use: %w", err)
	}
	return nil
}

// Revoke ends a link. If that can't be stored, the link is ended for as long as this process runs, and the error says so.
func (l *Links) Revoke(ctx context.Context, id string) error {
	l.mu.Lock()
	delete(l.links, id)
	l.mu.Unlock()
	if _, err := l.db.ExecContext(ctx, `DELETE FROM link WHERE id = ?`, id); err != nil {
		return fmt.Errorf("revoking a link for good: %w", err)
	}
	return nil
}
