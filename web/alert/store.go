package alert

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"offrecord/app/recording"
)

// stamp is RFC 3339 in UTC with a fixed width, so that times sort as texts do.
const stamp = "2006-01-02T15:04:05.000000Z"

func format(t time.Time) string { return t.UTC().Format(stamp) }

func formatIf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return format(*t)
}

const columns = `id, kind, agent, platform, call, attempt, text, raised, repeated, next, acked, acked_by, settled, told, delivered, changed`

// save writes what changed since it was last written. What can't be written is written later.
func (s *Alerts) save(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	var all []entry
	for _, e := range s.byID {
		if e.unsaved() {
			all = append(all, *e)
		}
	}
	s.mu.Unlock()
	err := s.write(ctx, all)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err != nil
	for _, written := range all {
		if e := s.byID[written.ID]; err == nil {
			e.saved = written.edits
			if e.SettledAt != nil && !e.unsaved() && e.delivered == e.told {
				delete(s.byID, e.ID)
			}
		}
	}
	s.post.nudge()
	if err != nil && ctx.Err() == nil {
		s.o.Log.Error("alerts can't be kept, and are told again after a restart at worst", "error", err)
	}
	return err
}

// writeTime bounds a write: a store that hangs must not keep alerts from being told.
const writeTime = 3 * time.Second

func (s *Alerts) write(ctx context.Context, all []entry) error {
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	tx, err := s.o.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("keeping alerts: %w", err)
	}
	defer tx.Rollback()
	put, err := tx.PrepareContext(ctx, `INSERT INTO alert (`+columns+`) VALUES (?`+strings.Repeat(", ?", strings.Count(columns, ","))+`)
		ON CONFLICT (id) DO UPDATE SET text = excluded.text, repeated = excluded.repeated, next = excluded.next, acked = excluded.acked, acked_by = excluded.acked_by,
		settled = excluded.settled, told = excluded.told, delivered = excluded.delivered, changed = excluded.changed`)
	if err != nil {
		return fmt.Errorf("keeping alerts: %w", err)
	}
	defer put.Close()
	for _, e := range all {
		if _, err := put.ExecContext(ctx, e.ID, string(e.Kind), e.Agent, e.Platform, e.Call, e.Attempt, e.Text, format(e.RaisedAt), e.Repeated, format(e.next),
			formatIf(e.AckedAt), e.AckedBy, formatIf(e.SettledAt), e.told, e.delivered, format(e.changed)); err != nil {
			return fmt.Errorf("keeping alerts: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("keeping alerts: %w", err)
	}
	return nil
}

// load reads what stood when the last run ended.
func (s *Alerts) load(ctx context.Context, now time.Time) error {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT `+columns+` FROM alert INDEXED BY alert_standing
		WHERE settled = '' AND (acked = '' OR attempt = '' OR raised > ?)
		UNION ALL SELECT `+columns+` FROM alert INDEXED BY alert_changed WHERE settled <> '' AND delivered < told AND changed > ?
		ORDER BY changed`, format(now.Add(-remembered)), format(now.Add(-staleAfter)))
	if err != nil {
		return fmt.Errorf("reading the alerts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return fmt.Errorf("reading the alerts: %w", err)
		}
		if latest := now.Add(pause(e.Repeated)); e.next.After(latest) {
			e.next = latest // the clock went backwards
		}
		if s.o.Post == nil {
			e.delivered = e.told
		} else if e.delivered < e.told {
			s.post.add(e)
		}
		if e.SettledAt == nil {
			s.standing[faultOf(e.Alert)] = e
		} else if e.delivered == e.told {
			continue
		}
		if s.byID[e.ID] = e; e.Open() {
			s.open[faultOf(e.Alert)] = e
		}
	}
	return rows.Err()
}

type scanner interface{ Scan(...any) error }

func scan(row scanner) (*entry, error) {
	e := entry{edits: 1, saved: 1}
	var raised, next, acked, settled, changed string
	if err := row.Scan(&e.ID, &e.Kind, &e.Agent, &e.Platform, &e.Call, &e.Attempt, &e.Text, &raised, &e.Repeated, &next, &acked, &e.AckedBy, &settled,
		&e.told, &e.delivered, &changed); err != nil {
		return nil, err
	}
	var problems []error
	parse := func(text string) time.Time {
		t, err := time.Parse(stamp, text)
		problems = append(problems, err)
		return t
	}
	e.RaisedAt, e.next, e.changed = parse(raised), parse(next), parse(changed)
	if acked != "" {
		t := parse(acked)
		e.AckedAt = &t
	}
	if settled != "" {
		t := parse(settled)
		e.SettledAt = &t
	}
	return &e, errors.Join(problems...)
}

// stored reads one alert.
func (s *Alerts) stored(ctx context.Context, id string) (recording.Alert, error) {
	e, err := scan(s.o.DB.QueryRowContext(ctx, `SELECT `+columns+` FROM alert WHERE id = ?`, id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return recording.Alert{}, ErrNotFound
	case err != nil:
		return recording.Alert{}, fmt.Errorf("reading an alert: %w", err)
	}
	return e.Alert, nil
}

// Filter chooses alerts. Its zero value chooses all.
type Filter struct {
	Open   bool   // those that wait for a person only
	Limit  int    // of a page: 50 if zero, at most 1000
	Cursor string // Page.Next of the page before
}

// Page is a part of a list.
type Page struct {
	Items []recording.Alert `json:"items"` // newest first
	Next  string            `json:"next,omitempty"`
}

// ErrCursor is a cursor that no page gave.
var ErrCursor = errors.New("the cursor isn't one of this list's: ask again without it")

// List returns alerts, newest first.
func (s *Alerts) List(ctx context.Context, f Filter) (Page, error) {
	switch {
	case f.Limit <= 0:
		f.Limit = 50
	case f.Limit > 1000:
		f.Limit = 1000
	}
	at, id, err := parseCursor(f.Cursor)
	if err != nil {
		return Page{}, err
	}
	if err := s.save(ctx); err != nil && !f.Open {
		return Page{}, err
	}
	var all []recording.Alert
	if f.Open { // the store may be what is failing
		for _, a := range s.Unacknowledged("") {
			if f.Cursor == "" || newestFirst(recording.Alert{RaisedAt: at, ID: id}, a) < 0 {
				all = append([]recording.Alert{a}, all...)
			}
		}
		all = all[:min(len(all), f.Limit+1)]
	} else if all, err = s.list(ctx, at, id, f.Limit+1); err != nil {
		return Page{}, err
	}
	p := Page{Items: all}
	if len(all) > f.Limit {
		p.Items = all[:f.Limit]
		last := p.Items[f.Limit-1]
		p.Next = base64.RawURLEncoding.EncodeToString([]byte(format(last.RaisedAt) + "|" + last.ID))
	}
	if p.Items == nil {
		p.Items = []recording.Alert{} // [] and not null
	}
	return p, nil
}

func (s *Alerts) list(ctx context.Context, at time.Time, id string, limit int) (all []recording.Alert, err error) {
	where, args := "1", []any{}
	if !at.IsZero() {
		where, args = "(raised, id) < (?, ?)", []any{format(at), id}
	}
	rows, err := s.o.DB.QueryContext(ctx, `SELECT `+columns+` FROM alert INDEXED BY alert_raised WHERE `+where+` ORDER BY raised DESC, id DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("reading the alerts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the alerts: %w", err)
		}
		all = append(all, e.Alert)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the alerts: %w", err)
	}
	return all, nil
}

func parseCursor(cursor string) (at time.Time, id string, err error) {
	if cursor == "" {
		return time.Time{}, "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	text, id, ok := strings.Cut(string(raw), "|")
	if err != nil || !ok || id == "" {
		return time.Time{}, "", ErrCursor
	}
	if at, err = time.Parse(stamp, text); err != nil || at.IsZero() {
		return time.Time{}, "", ErrCursor
	}
	return at, id, nil
}

// prune deletes what is past its retention, and forgets which attempts' alerts were acknowledged long ago.
func (s *Alerts) prune(ctx context.Context) {
	now := time.Now()
	s.mu.Lock()
	for f, e := range s.standing {
		if e.AckedAt != nil && e.Attempt != "" && now.Sub(e.RaisedAt) > remembered && !e.unsaved() && e.delivered == e.told {
			delete(s.standing, f)
			delete(s.byID, e.ID)
		}
	}
	s.mu.Unlock()
	if s.o.Retention <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	result, err := s.o.DB.ExecContext(ctx, `DELETE FROM alert WHERE raised < ? AND (acked <> '' OR settled <> '')`, format(now.Add(-s.o.Retention)))
	if err != nil {
		s.o.Log.Error("old alerts couldn't be deleted", "error", err)
		return
	}
	if n, err := result.RowsAffected(); err == nil && n > 0 {
		s.o.Pruned(n)
	}
}
