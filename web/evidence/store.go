package evidence

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"offrecord/web/evidence/silence"
)

// Store keeps what was found, in the tables of web/store.
type Store struct{ db *sql.DB }

// NewStore uses a database of web/store.
func NewStore(db *sql.DB) *Store { return &Store{db} }

// stamp is RFC 3339 in UTC with a fixed width, so that times sort as texts do.
const stamp = "2006-01-02T15:04:05.000000Z"

func format(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stamp)
}

func parse(s string) time.Time {
	t, _ := time.Parse(stamp, s)
	return t
}

// ErrNotFound means that there is no such item, tape or run.
var ErrNotFound = errors.New("there is no such evidence")

// put keeps the items of one subject in the place of those that were there. What was done about one that is found again stays.
func (s *Store) put(ctx context.Context, items ...Item) error {
	if len(items) == 0 {
		return nil
	}
	return s.in(ctx, "keeping evidence", func(tx *sql.Tx) error {
		type done struct{ alerted, deleted string }
		before := map[string]done{}
		cleared, deleted := map[string]bool{}, map[string]bool{} // by subject
		for _, x := range items {
			if cleared[x.Subject] {
				continue
			}
			cleared[x.Subject] = true
			rows, err := tx.QueryContext(ctx, `SELECT id, alerted, deleted FROM evidence_item WHERE subject = ?`, x.Subject)
			if err != nil {
				return err
			}
			for rows.Next() {
				var id string
				var d done
				if err := rows.Scan(&id, &d.alerted, &d.deleted); err != nil {
					rows.Close()
					return err
				}
				before[id] = d
				deleted[x.Subject] = deleted[x.Subject] || d.deleted != ""
			}
			if err := rows.Close(); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM evidence_item WHERE subject = ? AND deleted = ''`, x.Subject); err != nil {
				return err
			}
		}
		for _, x := range items {
			d := before[x.ID]
			if d.deleted != "" || x.Verdict == NoRecording && deleted[x.Subject] {
				continue // of a recording that was deleted nothing new can be found, and that it is gone is no finding
			}
			x.AlertedAt, x.DeletedAt = time.Time{}, time.Time{}
			body, err := json.Marshal(x)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO evidence_item (id, subject, kind, platform, agent, at, recording, verdict, final, run, alerted, deleted, body)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, x.ID, x.Subject, x.Kind, x.Platform, x.Agent, format(x.At), x.Recording.Name, x.Verdict, x.Final, x.Run, d.alerted, d.deleted, string(body)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) in(ctx context.Context, doing string, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Choice chooses items. Its zero value chooses all.
type Choice struct {
	From, To time.Time // From is included, To isn't
	Platform string
	Agent    string
	Verdict  Verdict
	Kind     ItemKind
	Newest   bool // first; otherwise the oldest are
	Limit    int  // 0: none
}

// where is the choice as SQL.
func (c Choice) where() (condition string, args []any) {
	condition = " WHERE 1"
	add := func(set bool, one string, arg any) {
		if set {
			condition, args = condition+" AND "+one, append(args, arg)
		}
	}
	add(!c.From.IsZero(), "at >= ?", format(c.From))
	add(!c.To.IsZero(), "at < ?", format(c.To))
	add(c.Platform != "", "platform = ?", c.Platform)
	add(c.Agent != "", "agent = ?", c.Agent)
	add(c.Verdict != "", "verdict = ?", c.Verdict)
	add(c.Kind != "", "kind = ?", c.Kind)
	return condition, args
}

// Items are those that the choice chooses.
func (s *Store) Items(ctx context.Context, c Choice) ([]Item, error) {
	where, args := c.where()
	order := " ORDER BY at, id"
	if c.Newest {
		order = " ORDER BY at DESC, id DESC"
	}
	if c.Limit > 0 {
		order, args = order+" LIMIT ?", append(args, c.Limit)
	}
	return s.items(ctx, `SELECT body, alerted, deleted FROM evidence_item`+where+order, args...)
}

// Counts are how many of the items that the choice chooses have each verdict, whatever its limit.
func (s *Store) Counts(ctx context.Context, c Choice) (map[Verdict]int, error) {
	where, args := c.where()
	rows, err := s.db.QueryContext(ctx, `SELECT verdict, count(*) FROM evidence_item`+where+` GROUP BY verdict`, args...)
	if err != nil {
		return nil, fmt.Errorf("counting evidence: %w", err)
	}
	defer rows.Close()
	counts := map[Verdict]int{}
	for rows.Next() {
		var v Verdict
		var n int
		if err := rows.Scan(&v, &n); err != nil {
			return nil, fmt.Errorf("counting evidence: %w", err)
		}
		counts[v] = n
	}
	return counts, rows.Err()
}

func (s *Store) items(ctx context.Context, query string, args ...any) ([]Item, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	defer rows.Close()
	items := []Item{}
	for rows.Next() {
		var body []byte
		var alerted, deleted string
		var x Item
		if err := rows.Scan(&body, &alerted, &deleted); err != nil {
			return nil, fmt.Errorf("reading evidence: %w", err)
		}
		if err := json.Unmarshal(body, &x); err != nil {
			return nil, fmt.Errorf("reading evidence: %w", err)
		}
		x.AlertedAt, x.DeletedAt = parse(alerted), parse(deleted)
		items = append(items, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	return items, nil
}

// Item is one item, by its id or by the attempt that it is about; ErrNotFound if there is none. Of several about one attempt, as
// where a pause lasted into a second recording, the one that leaks counts.
func (s *Store) Item(ctx context.Context, id string) (Item, error) {
	items, err := s.items(ctx, `SELECT body, alerted, deleted FROM evidence_item WHERE id = ? OR subject = ? ORDER BY verdict = ? DESC, at, id LIMIT 1`, id, id, Audible)
	if err == nil && len(items) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// OfRecording are all items of one recording, oldest first.
func (s *Store) OfRecording(ctx context.Context, platform, name string) ([]Item, error) {
	return s.items(ctx, `SELECT body, alerted, deleted FROM evidence_item WHERE platform = ? AND recording = ? ORDER BY at, id`, platform, name)
}

// unalerted are the leaks that nobody was told of.
func (s *Store) unalerted(ctx context.Context) ([]Item, error) {
	return s.items(ctx, `SELECT body, alerted, deleted FROM evidence_item WHERE verdict = ? AND alerted = '' AND deleted = '' ORDER BY at, id`, Audible)
}

func (s *Store) mark(ctx context.Context, what, where string, args ...any) error {
	if _, err := s.db.ExecContext(ctx, `UPDATE evidence_item SET `+what+` WHERE `+where, args...); err != nil {
		return fmt.Errorf("keeping what was done about evidence: %w", err)
	}
	return nil
}

// final are the subjects since a time whose items would be found again.
func (s *Store) final(ctx context.Context, since time.Time) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT subject, min(final) FROM evidence_item WHERE at >= ? GROUP BY subject`, format(since))
	if err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var subject string
		var final bool
		if err := rows.Scan(&subject, &final); err != nil {
			return nil, fmt.Errorf("reading evidence: %w", err)
		}
		if final {
			all[subject] = true
		}
	}
	return all, rows.Err()
}

// putTape keeps a recording's.
func (s *Store) putTape(ctx context.Context, t Tape) error {
	body, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keeping a recording's silences: %w", err)
	}
	envelope := []byte{}
	for _, e := range t.Envelopes {
		for _, l := range e {
			envelope = append(envelope, byte(l))
		}
	}
	if _, err := s.db.ExecContext(ctx, `INSERT INTO evidence_tape (platform, name, at, body, envelope) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (platform, name) DO UPDATE SET at = excluded.at, body = excluded.body, envelope = excluded.envelope`,
		t.Platform, t.Recording.Name, format(t.Recording.Start), string(body), envelope); err != nil {
		return fmt.Errorf("keeping a recording's silences: %w", err)
	}
	return nil
}

// Tape is a recording's, ErrNotFound if it wasn't listened to.
func (s *Store) Tape(ctx context.Context, platform, name string) (Tape, error) {
	var body, envelope []byte
	err := s.db.QueryRowContext(ctx, `SELECT body, envelope FROM evidence_tape WHERE platform = ? AND name = ?`, platform, name).Scan(&body, &envelope)
	if errors.Is(err, sql.ErrNoRows) {
		return Tape{}, ErrNotFound
	}
	var t Tape
	if err == nil {
		err = json.Unmarshal(body, &t)
	}
	if err != nil {
		return Tape{}, fmt.Errorf("reading a recording's silences: %w", err)
	}
	if channels := len(t.Floors); channels > 0 {
		each := len(envelope) / channels
		for c := range channels {
			levels := make([]silence.Level, each)
			for i, b := range envelope[c*each : (c+1)*each] {
				levels[i] = silence.Level(b)
			}
			t.Envelopes = append(t.Envelopes, levels)
		}
	}
	return t, nil
}

// heard reports whether a recording was listened to.
func (s *Store) heard(ctx context.Context, platform, name string) (bool, error) {
	var n int
	err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM evidence_tape WHERE platform = ? AND name = ?`, platform, name).Scan(&n)
	return n > 0, err
}

// Day is a day of the calendar, in UTC, with how many items have each verdict.
type Day struct {
	Day      string          `json:"day"` // 2026-11-20
	Verdicts map[Verdict]int `json:"verdicts"`
}

// Days are those of a period that have any items.
func (s *Store) Days(ctx context.Context, from, to time.Time) ([]Day, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT substr(at, 1, 10), verdict, count(*) FROM evidence_item WHERE at >= ? AND at < ? GROUP BY 1, 2 ORDER BY 1`, format(from), format(to))
	if err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	defer rows.Close()
	var days []Day
	for rows.Next() {
		var day string
		var verdict Verdict
		var n int
		if err := rows.Scan(&day, &verdict, &n); err != nil {
			return nil, fmt.Errorf("reading evidence: %w", err)
		}
		if len(days) == 0 || days[len(days)-1].Day != day {
			days = append(days, Day{day, map[Verdict]int{}})
		}
		days[len(days)-1].Verdicts[verdict] = n
	}
	return days, rows.Err()
}

// prune deletes what is older than a time, and what was kept of recordings that nothing names any more.
func (s *Store) prune(ctx context.Context, before time.Time) error {
	return s.in(ctx, "removing old evidence", func(tx *sql.Tx) error {
		for _, q := range []string{`DELETE FROM evidence_item WHERE at < ?`, `DELETE FROM evidence_tape WHERE at < ?`, `DELETE FROM evidence_run WHERE began < ?`} {
			if _, err := tx.ExecContext(ctx, q, format(before)); err != nil {
				return err
			}
		}
		return nil
	})
}

// RunState is how far a run is.
type RunState string

// The states. A run that was ended with its process is gone on with by the next one.
const (
	Running RunState = "running"
	Done    RunState = "done"
	Failed  RunState = "failed"
)

// Run is one going through a period.
type Run struct {
	ID    string    `json:"id"`
	Cause string    `json:"cause"` // night, button, command
	By    string    `json:"by,omitempty"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Every says that recordings without a pause are listened to, too.
	Every bool      `json:"every"`
	State RunState  `json:"state"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	Tally
	seen time.Time // when it last showed life
}

// Silenced reports whether a run says that it is under way, and shows no life: its process was ended.
func (r Run) Silenced(now time.Time) bool { return r.State == Running && now.Sub(r.seen) > alive }

// Tally is what a run has found so far.
type Tally struct {
	Windows    int             `json:"windows"`
	Recordings int             `json:"recordings"` // listened to
	Known      int             `json:"known"`      // windows left out because what is known of them is final
	Seconds    float64         `json:"seconds"`    // of sound
	Verdicts   map[Verdict]int `json:"verdicts,omitempty"`
	// Problems are sentences for a person: what couldn't be asked or fetched.
	Problems []string `json:"problems,omitempty"`
}

// ErrBusy means that a run is under way.
var ErrBusy = errors.New("a run is under way: wait until it has ended")

// alive is how long a run may show no life before it counts as ended with its process.
const alive = 2 * time.Minute

// begin keeps a new run, unless one is under way: in this process or in another that uses the same file.
func (s *Store) begin(ctx context.Context, r Run, now time.Time) error {
	return s.in(ctx, "beginning a run", func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM evidence_run WHERE state = ? AND seen > ? AND id <> ?`, Running, format(now.Add(-alive)), r.ID).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return ErrBusy
		}
		if _, err := tx.ExecContext(ctx, `UPDATE evidence_run SET state = ?, ended = ? WHERE state = ? AND id <> ?`, Failed, format(now), Running, r.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO evidence_run (id, cause, by, since, until, every, state, began, seen, ended, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '{}')
			ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, r.ID, r.Cause, r.By, format(r.From), format(r.To), r.Every, Running, format(r.Began), format(now))
		return err
	})
}

// progress keeps how far a run is.
func (s *Store) progress(ctx context.Context, r Run, now time.Time) error {
	body, err := json.Marshal(r.Tally)
	if err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE evidence_run SET state = ?, seen = ?, ended = ?, body = ? WHERE id = ?`, r.State, format(now), format(r.Ended), string(body), r.ID); err != nil {
		return fmt.Errorf("keeping how far a run is: %w", err)
	}
	return nil
}

const runColumns = `id, cause, by, since, until, every, state, began, seen, ended, body`

// Runs are the newest runs, newest first.
func (s *Store) Runs(ctx context.Context, limit int) ([]Run, error) {
	return s.runs(ctx, `SELECT `+runColumns+` FROM evidence_run ORDER BY began DESC, id LIMIT ?`, limit)
}

// interrupted is the newest run of a server that says that it is under way. There is one server at a time, so to one that has just
// started it is one that was ended with its process.
func (s *Store) interrupted(ctx context.Context) (Run, bool, error) {
	runs, err := s.runs(ctx, `SELECT `+runColumns+` FROM evidence_run WHERE state = ? AND cause <> 'command' ORDER BY began DESC LIMIT 1`, Running)
	if err != nil || len(runs) == 0 {
		return Run{}, false, err
	}
	return runs[0], true, nil
}

func (s *Store) runs(ctx context.Context, query string, args ...any) ([]Run, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the runs: %w", err)
	}
	defer rows.Close()
	runs := []Run{}
	for rows.Next() {
		var r Run
		var from, to, began, seen, ended string
		var body []byte
		if err := rows.Scan(&r.ID, &r.Cause, &r.By, &from, &to, &r.Every, &r.State, &began, &seen, &ended, &body); err != nil {
			return nil, fmt.Errorf("reading the runs: %w", err)
		}
		if err := json.Unmarshal(body, &r.Tally); err != nil {
			return nil, fmt.Errorf("reading the runs: %w", err)
		}
		r.From, r.To, r.Began, r.Ended, r.seen = parse(from), parse(to), parse(began), parse(ended), parse(seen)
		runs = append(runs, r)
	}
	return runs, rows.Err()
}
