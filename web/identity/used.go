package identity

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"
)

// Used knows which one-time tokens were used, through restarts.
type Used struct{ db *sql.DB }

// NewUsed keeps them in the store.
func NewUsed(db *sql.DB) *Used { return &Used{db} }

// usedTime bounds the wait for the store.
const usedTime = 2 * time.Second

// Once reports whether this is the first time that the token called id, of an issuer or purpose, is used; it is good until the
// given time. An error says that it isn't known: the token must not be taken then.
func (u *Used) Once(ctx context.Context, of, id string, until time.Time) (bool, error) {
	first, err := u.once(ctx, of, id, until)
	if err != nil {
		return false, fmt.Errorf("looking up whether a token was used: %w", err)
	}
	return first, nil
}

func (u *Used) once(ctx context.Context, of, id string, until time.Time) (first bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, usedTime)
	defer cancel()
	tx, err := u.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, `DELETE FROM used_token WHERE until < ?`, time.Now().Unix()); err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(of + "\x00" + id))
	result, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO used_token (hash, until) VALUES (?, ?)`, sum[:], until.Unix())
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, err
	}
	return n == 1, tx.Commit()
}
