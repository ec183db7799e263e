package audit

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	"golang.org/x/mod/sumdb/tlog"
	"modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// head is where the log ends, as the table of that name has it.
type head struct {
	tree
	last   tlog.Hash
	batch  string // the transaction that wrote last
	spool  string // the spool's generation that was merged last
	merged int64  // how many of its records
}

// store is the open database. It belongs to the log's writer; readers have their own connections.
type store struct {
	db   *sql.DB
	head head
	// What every write says is compiled once.
	put, begin, decide, move *sql.Stmt
}

// dsn is the address of a database. A write waits half a second for another process's lock, then goes to the spool.
func dsn(path string, query string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	return u.String() + "?_pragma=busy_timeout(500)&" + query
}

// openStore opens the database, and makes or migrates it.
func openStore(ctx context.Context, path string, publicKey string) (*store, error) {
	db, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)&_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("opening the audit store: %w", err)
	}
	db.SetMaxOpenConns(1)
	s := &store{db: db}
	if err := s.prepare(ctx, path, publicKey); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening the audit store: %w", err)
	}
	return s, nil
}

func (s *store) prepare(ctx context.Context, path, publicKey string) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.db, folder)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, `INSERT INTO signer (key) VALUES (?) ON CONFLICT DO NOTHING`, publicKey); err != nil {
		return err
	}
	for _, statement := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&s.put, `INSERT INTO record (seq, body) VALUES (?, ?)`},
		{&s.begin, `INSERT INTO open_attempt (attempt) VALUES (?) ON CONFLICT DO NOTHING`},
		{&s.decide, `DELETE FROM open_attempt WHERE attempt = ?`},
		{&s.move, `UPDATE head SET size = ?, last = ?, tree = ?, batch = ?, spool = ?, merged = ? WHERE size = ? AND last = ?`},
	} {
		if *statement.to, err = s.db.PrepareContext(ctx, statement.query); err != nil { // they end with the database
			return err
		}
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	return syncDir(path)
}

// load reads where the log ends: at the start, and after a failed write, whose fate is unknown.
func (s *store) load(ctx context.Context) error {
	h, err := readHead(ctx, s.db)
	if err == nil {
		s.head = h
	}
	return err
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readHead(ctx context.Context, q queryer) (h head, err error) {
	var size int64
	var last, hashes []byte
	err = q.QueryRowContext(ctx, `SELECT size, last, tree, batch, spool, merged FROM head`).Scan(&size, &last, &hashes, &h.batch, &h.spool, &h.merged)
	if err != nil {
		return h, fmt.Errorf("reading the log's end: %w", err)
	}
	if h.tree, err = parseTree(size, hashes); err != nil {
		return h, fmt.Errorf("reading the log's end: %w", err)
	}
	if len(last) != tlog.HashSize {
		return h, errors.New("reading the log's end: the last record's hash is damaged")
	}
	h.last = tlog.Hash(last)
	return h, nil
}

// errMoved is a head that another process has moved on.
var errMoved = errors.New("another process writes to the same log")

// headChange is what a transaction changes besides adding records.
type headChange func(context.Context, *sql.Tx, *head) error

// headOf notes how much of a spool is merged.
func headOf(generation string, merged int64) headChange {
	return func(_ context.Context, _ *sql.Tx, h *head) error {
		h.spool, h.merged = generation, merged
		return nil
	}
}

// append writes lines in one durable transaction, with whatever else the caller has for it, and returns the first's number.
func (s *store) append(ctx context.Context, batch string, lines []line, also headChange) (int64, error) {
	next := s.head
	next.tree = s.head.tree.clone()
	next.batch = batch
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if len(lines) > 0 {
		if err := s.insert(ctx, tx, &next, lines); err != nil {
			return 0, err
		}
	}
	if also != nil {
		if err := also(ctx, tx, &next); err != nil {
			return 0, err
		}
	}
	done, err := tx.StmtContext(ctx, s.move).ExecContext(ctx, next.size, next.last[:], next.tree.bytes(), next.batch, next.spool, next.merged, s.head.size, s.head.last[:])
	if err != nil {
		return 0, err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return 0, errors.Join(errMoved, err)
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	first := s.head.size + 1
	s.head = next
	return first, nil
}

func (s *store) insert(ctx context.Context, tx *sql.Tx, h *head, lines []line) error {
	put, begin, decide := tx.StmtContext(ctx, s.put), tx.StmtContext(ctx, s.begin), tx.StmtContext(ctx, s.decide)
	for _, l := range lines {
		l.Seq, l.Prev = h.size+1, h.last
		body, err := l.encode()
		if err != nil {
			return err
		}
		if _, err := put.ExecContext(ctx, l.Seq, string(body)); err != nil {
			var taken *sqlite.Error
			if errors.As(err, &taken) && taken.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
				return errors.Join(errMoved, err)
			}
			return err
		}
		h.last = tlog.RecordHash(body)
		h.add(h.last)
		switch l.Kind {
		case AttemptBegun:
			_, err = begin.ExecContext(ctx, l.Attempt)
		case AttemptDecided:
			_, err = decide.ExecContext(ctx, l.Attempt)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkpoint signs the log's end and keeps the note; nil if the last one still stands.
func (s *store) checkpoint(ctx context.Context, k keys, c Checkpoint) ([]byte, error) {
	if s.head.size == 0 {
		return nil, nil
	}
	var held int64
	if err := s.db.QueryRowContext(ctx, `SELECT coalesce(max(size), 0) FROM checkpoint`).Scan(&held); err != nil {
		return nil, err
	}
	if held == s.head.size {
		return nil, nil
	}
	c.Size, c.Root, c.Last = s.head.size, s.head.root(), s.head.last
	signed, err := k.sign(c)
	if err != nil {
		return nil, err
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO checkpoint (size, note) VALUES (?, ?)`, c.Size, string(signed))
	return signed, err
}

// start is where the log begins, as the table of that name has it.
type start struct {
	tree
	note []byte
}

func readStart(ctx context.Context, q queryer) (start, error) {
	var size int64
	var hashes []byte
	var signed string
	if err := q.QueryRowContext(ctx, `SELECT size, tree, note FROM start`).Scan(&size, &hashes, &signed); err != nil {
		return start{}, fmt.Errorf("reading the log's beginning: %w", err)
	}
	t, err := parseTree(size, hashes)
	if err != nil {
		return start{}, fmt.Errorf("reading the log's beginning: %w", err)
	}
	return start{t, []byte(signed)}, nil
}

// pruneChunk is how many records one transaction removes, so that a pause never waits long behind retention.
const pruneChunk = 500

// sweep removes some of the records before the log's beginning and reports whether there may be more.
func (s *store) sweep(ctx context.Context) (bool, error) {
	done, err := s.db.ExecContext(ctx, `DELETE FROM record WHERE seq IN (SELECT seq FROM record WHERE seq <= (SELECT size FROM start) ORDER BY seq LIMIT ?)`, pruneChunk)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == pruneChunk, err
}
