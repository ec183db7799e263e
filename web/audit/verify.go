package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/pressly/goose/v3"
	"golang.org/x/mod/sumdb/tlog"
)

// Trust is what whoever verifies brings along, kept apart from the log.
type Trust struct {
	// Keys are the log's public keys, newest last. Without one, the log's own are taken, which shows only that it agrees with
	// itself.
	Keys []string
	// Checkpoints are signed notes, as the sinks got them. Without one, a log that was cut short at its own last checkpoint is
	// not told from a shorter one.
	Checkpoints [][]byte
}

// Report is what verifying found of a log that is good.
type Report struct {
	// First and Last are the numbers of the records that were read. Those before First were pruned, by a signed note.
	First, Last int64
	// Vouched is the last record that a signed checkpoint covers. Those after it are linked, and no more: who can write to the
	// store could have added them, or cut others off.
	Vouched int64
	// Checkpoints is how many checkpoints were compared, the log's own and the trusted ones.
	Checkpoints int
	// Unchecked is how many of the trusted checkpoints are of a part that retention has pruned.
	Unchecked int
}

// BadRecord is the first record that isn't as it was written, and why.
type BadRecord struct {
	Seq int64
	Why string
}

// Error implements error.
func (b *BadRecord) Error() string { return fmt.Sprintf("record %d: %s", b.Seq, b.Why) }

// verifier is given a log from its beginning, record by record.
type verifier struct {
	keys   []string
	due    []Checkpoint // not compared yet, by size
	tree   tree
	last   tlog.Hash
	before tree       // without the last record
	doubt  *BadRecord // the last record's link doesn't hold; the next one's tells which of the two was changed
	report Report
}

// newVerifier begins a log at its start. ownKeys are those the log names itself.
func newVerifier(trust Trust, ownKeys []string, s start) (*verifier, error) {
	v := &verifier{keys: trust.Keys, tree: s.tree.clone()}
	if len(v.keys) == 0 {
		v.keys = ownKeys
	}
	if s.size > 0 {
		c, err := OpenCheckpoint(s.note, v.keys...)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the note on what was pruned: %w", err)
		case !c.Pruned, c.Size != s.size, c.Root != s.root():
			return nil, &BadRecord{s.size + 1, fmt.Sprintf("the %d records before it are gone, and no signed note says that they were pruned", s.size)}
		}
		v.last = c.Last
		v.report.Checkpoints++
	} else if len(s.note) > 0 {
		return nil, &BadRecord{1, "a note says that records were pruned, but none were"}
	}
	v.report.First, v.report.Last, v.report.Vouched = s.size+1, s.size, s.size
	for _, signed := range trust.Checkpoints {
		c, err := OpenCheckpoint(signed, v.keys...)
		if err != nil {
			return nil, fmt.Errorf("a trusted checkpoint: %w", err)
		}
		if c.Size < s.size {
			v.report.Unchecked++
			continue
		}
		if err := v.expect(c); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// expect has a checkpoint compared once the log is as long as it says.
func (v *verifier) expect(c Checkpoint) error {
	switch {
	case c.Size == v.tree.size:
		return v.compare(c)
	case c.Size < v.tree.size:
		return &BadRecord{v.tree.size, fmt.Sprintf("a checkpoint of %d records stands after it", c.Size)}
	}
	at, _ := slices.BinarySearchFunc(v.due, c, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	v.due = slices.Insert(v.due, at, c)
	return nil
}

func (v *verifier) record(body []byte) error {
	n := v.tree.size + 1
	l, err := decodeLine(body)
	doubt := v.doubt
	v.doubt = nil
	switch linked := err == nil && l.Prev == v.last; {
	case err != nil && doubt == nil:
		return &BadRecord{n, err.Error()}
	case doubt != nil && !linked && err == nil && l.Seq == n:
		return &BadRecord{n - 1, "it was changed: neither its link to the record before nor the next one's to it holds"}
	case doubt != nil:
		return doubt
	case l.Seq > n:
		return &BadRecord{n, fmt.Sprintf("it is missing: record %d stands in its place", l.Seq)}
	case l.Seq != n:
		return &BadRecord{n, fmt.Sprintf("record %d stands in its place", l.Seq)}
	case !linked && n == v.report.First:
		return &BadRecord{n, "its link to what came before doesn't hold"}
	case !linked:
		v.doubt = &BadRecord{n - 1, "it was changed: the next record's link to it doesn't hold"}
	}
	v.before.size, v.before.hashes = v.tree.size, append(v.before.hashes[:0], v.tree.hashes...)
	v.last = tlog.RecordHash(body)
	v.tree.add(v.last)
	v.report.Last = n
	for len(v.due) > 0 && v.due[0].Size == n {
		c := v.due[0]
		v.due = v.due[1:]
		if err := v.compare(c); err != nil {
			return err
		}
	}
	return nil
}

// compare holds a checkpoint against the log so far, which is of its size.
func (v *verifier) compare(c Checkpoint) error {
	n := v.tree.size
	if c.Root == v.tree.root() && c.Last == v.last && v.doubt == nil {
		v.report.Checkpoints++
		v.report.Vouched = n
		return nil
	}
	if v.doubt != nil && c.Last == v.last {
		return v.doubt
	}
	if as := v.before.clone(); v.doubt != nil || func() bool { as.add(c.Last); return as.root() == c.Root }() {
		return &BadRecord{n, "it was changed: the checkpoint has another hash for it"}
	}
	if v.report.Vouched == n {
		return &BadRecord{n, "two signed checkpoints of this length contradict each other"}
	}
	return &BadRecord{v.report.Vouched + 1, fmt.Sprintf("one of the records %d to %d was changed, added or removed, and the links after it made anew: the checkpoint of %d records doesn't hold",
		v.report.Vouched+1, n, n)}
}

func (v *verifier) end() (Report, error) {
	if v.doubt != nil {
		return v.report, v.doubt
	}
	if len(v.due) > 0 {
		c := v.due[len(v.due)-1]
		return v.report, &BadRecord{v.tree.size + 1, fmt.Sprintf("it is missing: the log ends at record %d, and a checkpoint of %s vouches for %d", v.tree.size, formatTime(c.Time), c.Size)}
	}
	return v.report, nil
}

// Verify checks an export, offline. The error is a *BadRecord, which names the first bad record, or says why the export can't
// be read.
func Verify(r io.Reader, trust Trust) (Report, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), exportMost)
	s.Split(splitLines)
	if !s.Scan() {
		return Report{}, fmt.Errorf("the export is empty or its header is too long: %w", cmp.Or(s.Err(), io.ErrUnexpectedEOF))
	}
	var h exportHeader
	if err := strictJSON(s.Bytes(), &h); err != nil {
		return Report{}, fmt.Errorf("the export's header: %w", err)
	}
	if h.Version != 1 {
		return Report{}, fmt.Errorf("the export has version %d; this program reads version 1", h.Version)
	}
	from, err := parseTree(h.Start, (&tree{hashes: h.Tree}).bytes())
	if err != nil {
		return Report{}, fmt.Errorf("the export's header: %w", err)
	}
	v, err := newVerifier(trust, h.Keys, start{from, []byte(h.Note)})
	if err != nil {
		return Report{}, err
	}
	for s.Scan() {
		line := s.Bytes()
		if body, ok := bytes.CutPrefix(line, []byte(recordPrefix)); ok {
			if body, ok = bytes.CutSuffix(body, []byte("}")); !ok {
				return v.report, v.unreadable("it isn't closed")
			}
			if err := v.record(body); err != nil {
				return v.report, err
			}
			continue
		}
		var c exportCheckpoint
		if err := strictJSON(line, &c); err != nil {
			return v.report, v.unreadable("neither a record nor a checkpoint: " + err.Error())
		}
		opened, err := OpenCheckpoint([]byte(c.Checkpoint), v.keys...)
		if err != nil {
			return v.report, fmt.Errorf("after record %d: %w", v.tree.size, err)
		}
		if err := v.expect(opened); err != nil {
			return v.report, err
		}
	}
	if err := s.Err(); err != nil {
		return v.report, v.unreadable(err.Error())
	}
	return v.end()
}

// unreadable is a line in the next record's place that can't be read; a doubt about an earlier one comes first.
func (v *verifier) unreadable(why string) error {
	if v.doubt != nil {
		return v.doubt
	}
	return &BadRecord{v.tree.size + 1, why}
}

// splitLines is bufio.ScanLines without its kindness to carriage returns and to a last line that was cut.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("the last line was cut off")
	}
	return 0, nil, nil
}

// strictJSON reads the one encoding of a value and no other.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if again, err := json.Marshal(v); err != nil || !bytes.Equal(again, b) {
		return errors.New("not in its canonical form")
	}
	return nil
}

// Verify checks a store, offline or beside a running server, as it is at one moment: its records as Verify does an export's,
// and that its tables, its indexes and its notes about itself agree with them.
func (r *Reader) Verify(ctx context.Context, trust Trust) (Report, error) {
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Report{}, fmt.Errorf("reading the audit store: %w", err)
	}
	defer tx.Rollback()
	if err := checkSchema(ctx, tx); err != nil {
		return Report{}, err
	}
	var v *verifier
	open := map[string]bool{}
	err = walk(ctx, tx, 1<<62, func(keys []string, s start) (steps, error) {
		if v, err = newVerifier(trust, keys, s); err != nil {
			return steps{}, err
		}
		beyond, err := column[string](ctx, tx, `SELECT note FROM checkpoint WHERE size > ? AND size NOT IN (SELECT seq FROM record)`, s.size)
		if err != nil {
			return steps{}, err
		}
		own := func(signed []byte) error {
			c, err := OpenCheckpoint(signed, v.keys...)
			if err != nil {
				return fmt.Errorf("the log's own checkpoint: %w", err)
			}
			return v.expect(c)
		}
		for _, signed := range beyond {
			if err := own([]byte(signed)); err != nil {
				return steps{}, err
			}
		}
		return steps{checkpoint: own, record: func(seq int64, body []byte) error {
			if err := v.record(body); err != nil {
				return err
			}
			if seq != v.tree.size {
				return &BadRecord{v.tree.size, fmt.Sprintf("the store has it as number %d", seq)}
			}
			l, err := decodeLine(body)
			switch l.Kind {
			case AttemptBegun:
				open[l.Attempt] = true
			case AttemptDecided:
				delete(open, l.Attempt)
			}
			return err
		}}, nil
	})
	if err != nil {
		return reportOf(v), err
	}
	report, err := v.end()
	if err != nil {
		return report, err
	}
	h, err := readHead(ctx, tx)
	if err != nil {
		return report, err
	}
	if h.size != v.tree.size || h.last != v.last || !slices.Equal(h.hashes, v.tree.hashes) {
		return report, &BadRecord{min(h.size, v.tree.size) + 1, fmt.Sprintf("the store says that it has %d records; there are %d, or others", h.size, v.tree.size)}
	}
	listed, err := column[string](ctx, tx, `SELECT attempt FROM open_attempt ORDER BY attempt`)
	if err != nil {
		return report, err
	}
	if !slices.Equal(listed, slices.Sorted(maps.Keys(open))) {
		return report, fmt.Errorf("the store's list of undecided attempts has %d, its records %d, or others", len(listed), len(open))
	}
	found, err := column[string](ctx, tx, `PRAGMA integrity_check(1)`)
	if err != nil {
		return report, err
	}
	if !slices.Equal(found, []string{"ok"}) {
		return report, fmt.Errorf("the store's indexes or pages are damaged: %s", found)
	}
	return report, nil
}

func reportOf(v *verifier) Report {
	if v == nil {
		return Report{}
	}
	return v.report
}

// checkSchema compares the tables with what the migrations make: a column that isn't computed from the record any more, or a
// trigger, would let queries tell another story than the log.
func checkSchema(ctx context.Context, tx *sql.Tx) error {
	var version int64
	if err := tx.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&version); err != nil {
		return fmt.Errorf("reading the audit store's version: %w", err)
	}
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, folder)
	if err != nil {
		return err
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		return fmt.Errorf("the audit store has version %d: use the program that made it: %w", version, err)
	}
	const schema = `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY type, name`
	want, err := column[string](ctx, db, schema)
	if err != nil {
		return err
	}
	got, err := column[string](ctx, tx, schema)
	if err != nil {
		return err
	}
	if !slices.Equal(want, got) {
		return errors.New("the store's tables aren't as offrecord makes them")
	}
	return nil
}
