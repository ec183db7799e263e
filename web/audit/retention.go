package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Prune removes the oldest records, all that come before the first one of the time before or later, and returns how many. A
// time in the future, from a clock that was wrong, holds nothing back. What is removed is verified first; what stands for it
// afterwards is its tree head, signed, from which later verification starts; and a record says what was removed.
func (l *Log) Prune(ctx context.Context, before time.Time) (int64, error) {
	n, err := l.prune(ctx, before)
	if err != nil {
		return n, fmt.Errorf("pruning the audit log: %w", err)
	}
	return n, nil
}

func (l *Log) prune(ctx context.Context, before time.Time) (int64, error) {
	// Go's monotonic clock doesn't step when the system's does.
	if now := time.Now(); now.Round(0).Sub(l.opened.Round(0))-now.Sub(l.opened) > time.Hour {
		return 0, errors.New("the clock was set forward since the start; nothing is removed by such a clock. Check it and restart")
	}
	if err := l.whole(); err != nil {
		return 0, err
	}
	v, err := l.prunable(ctx, before)
	if err != nil {
		return 0, err
	}
	count := int64(0)
	if v != nil {
		if count, err = l.cut(ctx, v, before); err != nil {
			return 0, err
		}
	}
	for more := true; more && err == nil; {
		err = l.do(ctx, func(ctx context.Context) error {
			more, err = l.store.sweep(ctx)
			return err
		})
	}
	return count, err
}

// prunable verifies what is to go. It returns nil if nothing is.
func (l *Log) prunable(ctx context.Context, before time.Time) (v *verifier, err error) {
	tx, err := l.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	var keep int64 // the first record that stays; the last one always does
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT seq FROM record NOT INDEXED WHERE seq > (SELECT size FROM start) AND time >= ? AND time <= ? ORDER BY seq LIMIT 1),
		(SELECT max(seq) FROM record), 0)`, formatTime(before), formatTime(l.config.Now())).Scan(&keep)
	if err != nil {
		return nil, err
	}
	var cut *verifier
	err = walk(ctx, tx, keep, func(keys []string, s start) (steps, error) {
		if v, err = newVerifier(Trust{}, keys, s); err != nil {
			return steps{}, err
		}
		return steps{
			record: func(seq int64, body []byte) error {
				if seq == keep {
					at := *v
					at.tree = v.tree.clone()
					cut = &at
				}
				return v.record(body)
			},
			checkpoint: func(signed []byte) error {
				c, err := OpenCheckpoint(signed, v.keys...)
				if err != nil {
					return err
				}
				return v.expect(c)
			},
		}, nil
	})
	if err == nil {
		_, err = v.end()
	}
	if err != nil || cut == nil || cut.report.Last < cut.report.First {
		return nil, err
	}
	return cut, nil
}

// cut moves the log's beginning.
func (l *Log) cut(ctx context.Context, v *verifier, before time.Time) (int64, error) {
	now := l.config.Now()
	signed, err := l.keys.sign(Checkpoint{Size: v.tree.size, Root: v.tree.root(), Last: v.last, Time: now, Pruned: true})
	if err != nil {
		return 0, err
	}
	count := v.report.Last - v.report.First + 1
	word := Record{Kind: Retention, Time: now, Client: Server, Count: count,
		Detail: NewText(fmt.Sprintf("Records %d to %d, from before %s, were removed.", v.report.First, v.report.Last, before.UTC().Format(time.DateTime)))}
	sealed, err := word.seal(l.identify)
	if err != nil {
		return 0, err
	}
	err = l.do(ctx, func(ctx context.Context) error {
		if err := l.whole(); err != nil {
			return err
		}
		_, err := l.put(ctx, newBatch(), []line{sealed}, func(ctx context.Context, tx *sql.Tx, _ *head) error {
			if _, err := tx.ExecContext(ctx, `UPDATE start SET size = ?, tree = ?, note = ? WHERE size = ?`, v.tree.size, v.tree.bytes(), string(signed), v.report.First-1); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM checkpoint WHERE size < ?`, v.tree.size); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `DELETE FROM open_attempt WHERE NOT EXISTS (SELECT 1 FROM record r
				WHERE r.attempt = open_attempt.attempt AND r.kind = ? AND r.seq > ?)`, string(AttemptBegun), v.tree.size)
			return err
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	for _, s := range l.config.Sinks {
		err = errors.Join(err, s.Send(ctx, signed))
	}
	return count, err
}
