package audit

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"offrecord/app/recording"
)

// Reader reads a store: the log's own, or any store's file offline. Its methods may be called concurrently.
type Reader struct {
	db       *sql.DB
	identify func(string) string
}

// OpenReader opens a store's file for reading only, beside a running server or without one. It has no key: a filter's agent
// is compared with the form that is stored.
func OpenReader(path string) (*Reader, error) { return openReader(path, true) }

func openReader(path string, alone bool) (*Reader, error) {
	mode := "mode=rw"
	if alone {
		mode = "mode=ro"
	}
	db, err := sql.Open("sqlite", dsn(path, mode+"&_pragma=query_only(1)"))
	if err != nil {
		return nil, fmt.Errorf("opening the audit store to read: %w", err)
	}
	db.SetMaxOpenConns(4)
	r := &Reader{db, func(id string) string { return id }}
	if alone {
		if err := db.Ping(); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the audit store to read: %w", err), db.Close())
		}
	}
	return r, nil
}

// Close closes the reader.
func (r *Reader) Close() error { return r.db.Close() }

// Waiting counts the records of a spool that the store doesn't hold yet, and what of it can't be read: torn by a kill, changed
// since, or beside a running server being written. A spool isn't chained, so what waits in it is no part of a verification.
func (r *Reader) Waiting(ctx context.Context, spoolFile string) (records int64, damaged int, err error) {
	h, err := readHead(ctx, r.db)
	if err != nil {
		return 0, 0, err
	}
	f, err := os.Open(spoolFile)
	if err != nil {
		return 0, 0, fmt.Errorf("opening the spool: %w", err)
	}
	defer f.Close()
	scan, err := scanSpool(f, func(s spooled) error {
		if s.batch != h.batch {
			records++
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	if hex.EncodeToString(scan.generation[:]) == h.spool {
		records = max(records-h.merged, 0)
	}
	return records, scan.bad, nil
}

// Filter chooses records. Its zero value chooses all.
type Filter struct {
	From, To time.Time // From is included, To isn't
	Agent    string    // an email address
	Outcome  recording.Outcome
	Kind     Kind
	Attempt  string // a UUID
	Limit    int    // of a page: 50 if zero, at most 1000
	Cursor   string // Page.Next of the page before
}

// Page is a part of a query's answer.
type Page struct {
	Items []Entry `json:"items"` // newest first
	Next  string  `json:"next,omitempty"`
}

// ErrCursor is a cursor that no page gave.
var ErrCursor = errors.New("the cursor isn't one of this log's: ask again without it")

// Query returns the records that the filter chooses, by their time, newest first. Each of agent, outcome, agent with outcome,
// kind and attempt has an index by time, so a page costs the same however long the log is; kind together with another, and
// attempt, are looked for among what the other index gives.
func (r *Reader) Query(ctx context.Context, f Filter) (Page, error) {
	switch {
	case f.Limit <= 0:
		f.Limit = 50
	case f.Limit > 1000:
		f.Limit = 1000
	}
	query, args, err := f.sql(r.identify)
	if err != nil {
		return Page{}, err
	}
	rows, err := r.db.QueryContext(ctx, query, append(args, f.Limit+1)...)
	if err != nil {
		return Page{}, fmt.Errorf("querying the audit log: %w", err)
	}
	defer rows.Close()
	p := Page{Items: []Entry{}}
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return Page{}, err
		}
		if len(p.Items) == f.Limit {
			last := p.Items[f.Limit-1]
			p.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s|%d", formatTime(last.Time), last.Seq))
			break
		}
		p.Items = append(p.Items, e)
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("querying the audit log: %w", err)
	}
	return p, nil
}

// sql names the index itself: the planner has no statistics to choose by.
func (f Filter) sql(identify func(string) string) (string, []any, error) {
	index := "record_time"
	switch {
	case f.Attempt != "":
		index = "record_attempt"
	case f.Agent != "" && f.Outcome != "":
		index = "record_agent_outcome"
	case f.Agent != "":
		index = "record_agent"
	case f.Outcome != "":
		index = "record_outcome"
	case f.Kind != "":
		index = "record_kind"
	}
	where, args := []string{"seq > (SELECT size FROM start)"}, []any{}
	add := func(set bool, condition string, arg ...any) {
		if set {
			where, args = append(where, condition), append(args, arg...)
		}
	}
	add(f.Attempt != "", "attempt = ?", strings.ToLower(f.Attempt))
	add(f.Agent != "", "agent = ?", identify(NewID(f.Agent).s))
	add(f.Outcome != "", "outcome = ?", string(f.Outcome))
	add(f.Kind != "", "kind = ?", string(f.Kind))
	add(!f.From.IsZero(), "time >= ?", formatTime(f.From))
	add(!f.To.IsZero(), "time < ?", formatTime(f.To))
	if f.Cursor != "" {
		at, seq, err := parseCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		add(true, "(time, seq) < (?, ?)", at, seq)
	}
	return "SELECT seq, body FROM record INDEXED BY " + index + " WHERE " + strings.Join(where, " AND ") + " ORDER BY time DESC, seq DESC LIMIT ?", args, nil
}

func parseCursor(cursor string) (string, int64, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	at, number, ok := strings.Cut(string(raw), "|")
	if err != nil || !ok {
		return "", 0, ErrCursor
	}
	seq, err := strconv.ParseInt(number, 10, 64)
	if _, timeErr := parseTime(at); err != nil || timeErr != nil || at == "" {
		return "", 0, ErrCursor
	}
	return at, seq, nil
}

func scanEntry(rows *sql.Rows) (Entry, error) {
	var seq int64
	var body []byte
	if err := rows.Scan(&seq, &body); err != nil {
		return Entry{}, fmt.Errorf("reading the audit log: %w", err)
	}
	return entry(seq, body)
}

// each runs a query for records.
func (r *Reader) each(ctx context.Context, query string, args ...any) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		rows, err := r.db.QueryContext(ctx, query, args...)
		if err != nil {
			yield(Entry{}, fmt.Errorf("reading the audit log: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanEntry(rows)
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Entry{}, fmt.Errorf("reading the audit log: %w", err))
		}
	}
}

// Undecided are the records of all attempts that were begun and not decided, in the order in which they were written, those in
// the spool last. A server reads them when it starts.
func (l *Log) Undecided(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		size, waiting, err := l.standing(ctx)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		decided, begun := map[string]bool{}, map[string]bool{}
		for _, e := range waiting {
			decided[e.Attempt.String()] = decided[e.Attempt.String()] || e.Kind == AttemptDecided
			begun[e.Attempt.String()] = begun[e.Attempt.String()] || e.Kind == AttemptBegun
		}
		if size > 0 {
			for e, err := range l.each(ctx, `SELECT r.seq, r.body FROM open_attempt o CROSS JOIN record r INDEXED BY record_attempt
				WHERE r.attempt = o.attempt AND r.seq > (SELECT size FROM start) AND r.seq <= ? ORDER BY r.seq`, size) {
				if err == nil && decided[e.Attempt.String()] {
					continue
				}
				begun[e.Attempt.String()] = true
				if !yield(e, err) {
					return
				}
			}
		}
		for _, e := range waiting {
			if id := e.Attempt.String(); begun[id] && !decided[id] && !yield(e, nil) {
				return
			}
		}
	}
}

// Recently is what a log held at one moment of what happened since a time.
type Recently struct {
	log     *Log
	since   time.Time
	size    int64
	waiting []Entry
}

// Recently looks at the log once, so that many agents' records can be asked for. A server rebuilds from them what it knew.
func (l *Log) Recently(ctx context.Context, since time.Time) (Recently, error) {
	size, waiting, err := l.standing(ctx)
	return Recently{l, since, size, waiting}, err
}

// Of are an agent's records, those in the spool first, and then by their time, newest first: who has enough of them stops, and
// a long log costs nothing.
func (r Recently) Of(ctx context.Context, agent string) iter.Seq2[Entry, error] {
	agent = r.log.Identify(agent)
	return func(yield func(Entry, error) bool) {
		for _, e := range slices.Backward(r.waiting) {
			if !e.Time.Before(r.since) && e.Agent.s == agent && !yield(e, nil) {
				return
			}
		}
		if r.size == 0 {
			return
		}
		for e, err := range r.log.each(ctx, `SELECT seq, body FROM record INDEXED BY record_agent
			WHERE agent = ? AND time >= ? AND seq <= ? AND seq > (SELECT size FROM start) ORDER BY time DESC, seq DESC`, agent, formatTime(r.since), r.size) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// standing is how far the store goes and what waits in the spool beyond it, both at one moment.
func (l *Log) standing(ctx context.Context) (size int64, waiting []Entry, err error) {
	err = l.do(ctx, func(context.Context) error {
		merged := int64(0)
		if l.store != nil {
			size = l.store.head.size
			if l.store.head.spool == l.spool.id() {
				merged = l.store.head.merged
			}
		}
		at := int64(0)
		return l.spool.read(func(s spooled) error {
			if at++; at <= merged {
				return nil
			}
			body, err := s.line.encode()
			if err != nil {
				return err
			}
			e, err := entry(0, body)
			waiting = append(waiting, e)
			return err
		})
	})
	return size, waiting, err
}

// newestCheckpoint is the last signed note, nil if there is none.
func (r *Reader) newestCheckpoint(ctx context.Context) ([]byte, error) {
	var signed string
	err := r.db.QueryRowContext(ctx, `SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1`).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return []byte(signed), err
}

var csvHeader = []string{"seq", "time", "kind", "agent", "by", "role", "peer", "client", "platform", "call", "attempt", "action", "route", "transport",
	"origin", "outcome", "state", "evidence", "evidence_after_ms", "http_status", "reason", "detail", "platform_status", "request_id", "requested_at",
	"auto_resume_at", "count", "sent_as"}

// CSV writes what the filter chooses as a table for spreadsheets, newest first and without a limit. It is a view and proves
// nothing; Export is what is verified.
func (r *Reader) CSV(ctx context.Context, w io.Writer, f Filter) error {
	cw := csv.NewWriter(w)
	if err := cw.Write(csvHeader); err != nil {
		return fmt.Errorf("writing the audit log as CSV: %w", err)
	}
	for f.Limit = 1000; ; {
		page, err := r.Query(ctx, f)
		if err != nil {
			return err
		}
		for _, e := range page.Items {
			if err := cw.Write(e.row()); err != nil {
				return fmt.Errorf("writing the audit log as CSV: %w", err)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing the audit log as CSV: %w", err)
	}
	return nil
}

func (e Entry) row() []string {
	var l line
	json.Unmarshal(e.body, &l) // it was read before
	var kind recording.EvidenceKind
	var after, status int
	if e.Evidence != nil {
		kind, after, status = e.Evidence.Kind, e.Evidence.AfterMS, e.Evidence.HTTPStatus
	}
	row := []string{number(e.Seq), l.Time, string(l.Kind), l.Agent, l.By, string(l.Role), l.Peer, string(l.Client), l.Platform, l.Call, l.Attempt,
		string(l.Action), string(l.Route), string(l.Transport), string(l.Origin), string(l.Outcome), string(l.State), string(kind), number(int64(after)),
		number(int64(status)), l.Reason, l.Detail, l.PlatformStatus, l.Request, l.RequestedAt, l.AutoResumeAt, number(l.Count), string(l.SentAs)}
	for i := range row {
		row[i] = cell(row[i])
	}
	return row
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// cell keeps a spreadsheet from taking a text for a formula (OWASP, CSV injection): what begins with one of the characters
// that start one gets an apostrophe in front.
func cell(s string) string {
	if t := strings.TrimLeft(s, " \t\r\n"); t != "" && strings.ContainsAny(t[:1], "=+-@|%") || strings.HasPrefix(t, "＝") ||
		strings.HasPrefix(t, "＋") || strings.HasPrefix(t, "－") || strings.HasPrefix(t, "＠") {
		return "'" + s
	}
	return s
}
