package audit

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"golang.org/x/mod/sumdb/tlog"
	"io"
)

// exportHeader is the first line of an export. Tree are the hashes that stand for the pruned records.
type exportHeader struct {
	Version int         `json:"offrecord_audit"`
	Keys    []string    `json:"keys"`
	Start   int64       `json:"start"`
	Tree    []tlog.Hash `json:"tree"`
	Note    string      `json:"note"`
}

type exportCheckpoint struct {
	Checkpoint string `json:"checkpoint"`
}

const (
	recordPrefix = `{"record":`
	exportMost   = maxBody + 1<<12 // the longest line
)

// Export writes the log as JSON Lines: a header with the public keys and, if records were pruned, the signed note that says so;
// then {"record":…}, in order, each with exactly the stored bytes; and {"checkpoint":…} after the record that it reaches.
func (r *Reader) Export(ctx context.Context, w io.Writer) error {
	bw := bufio.NewWriter(w)
	put := func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = bw.Write(append(b, '\n'))
		return err
	}
	err := r.walk(ctx, func(keys []string, s start) (steps, error) {
		h := exportHeader{Version: 1, Keys: keys, Start: s.size, Tree: s.hashes, Note: string(s.note)}
		return steps{
			record: func(_ int64, body []byte) error {
				_, err := fmt.Fprintf(bw, "%s%s}\n", recordPrefix, body)
				return err
			},
			checkpoint: func(signed []byte) error { return put(exportCheckpoint{string(signed)}) },
		}, put(h)
	})
	if err == nil {
		err = bw.Flush()
	}
	if err != nil {
		return fmt.Errorf("exporting the audit log: %w", err)
	}
	return nil
}

// Export is Reader.Export with a checkpoint of its own, so that the export's last record is vouched for.
func (l *Log) Export(ctx context.Context, w io.Writer) error {
	if err := l.Checkpoint(ctx); err != nil {
		return err
	}
	return l.Reader.Export(ctx, w)
}

// steps are what a walk through a store calls, in order.
type steps struct {
	record     func(seq int64, body []byte) error
	checkpoint func(signed []byte) error
}

// walk goes through a store, as it is at one moment, from its beginning.
func (r *Reader) walk(ctx context.Context, begin func(keys []string, s start) (steps, error)) error {
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("reading the audit store: %w", err)
	}
	defer tx.Rollback()
	return walk(ctx, tx, 1<<62, begin)
}

func walk(ctx context.Context, tx *sql.Tx, to int64, begin func(keys []string, s start) (steps, error)) error {
	s, err := readStart(ctx, tx)
	if err != nil {
		return err
	}
	keys, err := column[string](ctx, tx, `SELECT key FROM signer ORDER BY id`)
	if err != nil {
		return err
	}
	visit, err := begin(keys, s)
	if err != nil {
		return err
	}
	// One more column than there are records: what is vouched for at a size comes after the record of that number.
	rows, err := tx.QueryContext(ctx, `SELECT r.seq, CAST(r.body AS BLOB), coalesce(c.note, '') FROM record r LEFT JOIN checkpoint c ON c.size = r.seq
		WHERE r.seq > ? AND r.seq <= ? ORDER BY r.seq`, s.size, to)
	if err != nil {
		return fmt.Errorf("reading the audit store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var body, signed sql.RawBytes
		if err := rows.Scan(&seq, &body, &signed); err != nil {
			return fmt.Errorf("reading the audit store: %w", err)
		}
		if err := visit.record(seq, body); err != nil {
			return err
		}
		if len(signed) > 0 {
			if err := visit.checkpoint(bytes.Clone(signed)); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the audit store: %w", err)
	}
	return nil
}

func column[T any](ctx context.Context, q queryer, query string, args ...any) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the audit store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("reading the audit store: %w", err)
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
