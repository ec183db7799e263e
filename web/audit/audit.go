// Package audit is the durable, tamper-evident log of everything that offrecord did and refused to do.
//
// A record is on the disk when Append returns: in the store (SQLite, WAL, full sync) or, while the store can't be written,
// in the spool, from which it is merged later, once and in order. Records are numbered without a gap; each holds the hash
// of the one before over the exact bytes that are stored, and all are the leaves of an RFC 6962 tree, whose head is signed
// from time to time. With one such checkpoint kept elsewhere, any edit, deletion, insertion, swap or cut is found by Verify,
// offline and with the public key alone.
//
// What it can't show: records after the newest checkpoint that were cut off the end; and anything at all against who holds
// the signing key and every checkpoint.
//
// Secrets and card data can't reach it by type: a record has closed sets, numbers, times, a UUID, and texts that only exist
// vetted. It may import the recording vocabulary and the secret type, and nothing else of offrecord. It never decides whether
// an action is sent: that a pause goes even without a log is its caller's rule.
package audit

import (
	"offrecord/web/cardnumber"

	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"offrecord/web/secret"
)

// Config is what a log needs. Store, Spool and Key are required.
type Config struct {
	Store string // the database's path; made if missing
	Spool string // the spool's path; better on another disk. One process may use a spool at a time.
	// Key signs checkpoints, and keys the hashes of identifiers; see LoadKey.
	Key secret.String
	// HashIdentifiers keeps agents, addresses and calls as keyed hashes only. Records made before it was set stay as they
	// are. Those who read the log at a start get the hashed form: Log.Identify gives it for a known one.
	HashIdentifiers bool
	// Sinks take each new checkpoint elsewhere.
	Sinks []Sink
	// CheckpointEvery is the time between checkpoints while there is something new: 5 minutes if zero.
	CheckpointEvery time.Duration
	// Retention is how long records are kept, looked at once an hour; zero keeps them for ever.
	Retention time.Duration
	// Retry is how long the store is left alone after it failed: a second if zero.
	Retry time.Duration
	// OnStatus hears of every change of the log's health, from whichever goroutine noticed: it may not wait nor call the log.
	OnStatus func(Status)
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	reserve int64        // for tests: the spool's room
	fault   func() error // for tests: why the store can't be written
}

// Status is the log's health.
type Status struct {
	// Store is why records don't go to the store, nil if they do.
	Store error
	// Spool is why they don't go to the spool either: nothing is written down then.
	Spool error
	// Spooled is how many records wait in the spool.
	Spooled int64
	// Damaged is how many of the spool's records could not be read, in all since the log was opened.
	Damaged int
	// Checkpoint is why the newest checkpoint didn't reach every sink; Retention why the log couldn't be pruned.
	Checkpoint, Retention error
}

// Place is where a record went.
type Place string

// The places.
const (
	InStore Place = "store"
	InSpool Place = "spool"
)

// Receipt says where a record is durable. Seq is its number in the store, 0 in the spool.
type Receipt struct {
	Seq   int64
	Place Place
}

// Errors of Append. ErrNotWritten wraps both causes.
var (
	ErrClosed     = errors.New("the audit log is closed")
	ErrNotWritten = errors.New("the audit log can't be written")
)

// batchMost bounds the records of one transaction. A batch that may or may not have reached the store is at the beginning
// of the spool and is looked for in the first merged chunk, so a chunk is never smaller.
const batchMost = 512

// Log is an open log. Its methods may be called concurrently.
type Log struct {
	Reader
	config Config
	keys   keys
	spool  *spool
	store  *store // nil while it can't be opened
	opened time.Time

	requests chan request
	jobs     chan func(context.Context)
	stop     chan struct{} // closed by Close
	gone     chan struct{} // closed when the writer has ended
	closing  sync.Once
	ticking  sync.WaitGroup
	cancel   context.CancelFunc // ends the ticking

	sending sync.Mutex // held over a checkpoint, so that the sinks get them in order

	mu     sync.Mutex
	status Status

	// Only the writer's:
	retryAt time.Time // the store isn't tried before
	damaged int       // of what is in the spool now
}

type request struct {
	line  line
	reply chan<- answer
}

type answer struct {
	Receipt
	err error
}

// Open opens a log, merges what a former run left in the spool, and starts the record of this one. A store that SQLite
// can't open or write doesn't stop it: records go to the spool, Status says so, and the store is tried again. A store or key
// that is wrong does, and so does a spool that can't be had.
func Open(ctx context.Context, c Config) (*Log, error) {
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = 5 * time.Minute
	}
	if c.Retry == 0 {
		c.Retry = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.reserve == 0 {
		c.reserve = spoolReserve
	}
	k, err := parseKey(c.Key)
	if err != nil {
		return nil, err
	}
	sp, err := openSpool(c.Spool, c.reserve)
	if err != nil {
		return nil, err
	}
	l := &Log{config: c, keys: k, spool: sp, opened: time.Now(), requests: make(chan request, batchMost), jobs: make(chan func(context.Context)),
		stop: make(chan struct{}), gone: make(chan struct{}), damaged: sp.bad}
	if sp.lost {
		l.damaged++
	}
	l.status.Damaged = l.damaged
	reader, err := openReader(c.Store, false)
	if err != nil {
		return nil, errors.Join(err, sp.f.Close())
	}
	l.Reader = *reader
	l.Reader.identify = l.identify
	if err := l.recover(ctx); err != nil && !isSQLite(err) {
		return nil, errors.Join(err, l.Reader.Close(), sp.f.Close())
	}
	ticks, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go l.write()
	if _, err := l.Append(ctx, Record{Kind: LogStarted, Client: Server}); err != nil && !errors.Is(err, ErrNotWritten) {
		return nil, errors.Join(err, l.Close())
	}
	l.ticking.Go(func() { l.tick(ticks) })
	return l, nil
}

// isSQLite tells what the disk or another process did to the store from a store that isn't ours or was damaged.
func isSQLite(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) || errors.Is(err, errMoved)
}

// Identify returns the form in which this log stores an identifier.
func (l *Log) Identify(id string) string { return l.identify(NewID(id).s) }

func (l *Log) identify(id string) string {
	if id == "" {
		return ""
	}
	if l.config.HashIdentifiers || len(cardnumber.Find(id)) > 0 || strings.HasPrefix(id, hashedPrefix) {
		return l.keys.hash(id)
	}
	return id
}

// PublicKey verifies the log's checkpoints. Whoever verifies keeps it, with a checkpoint, apart from the log.
func (l *Log) PublicKey() string { return l.keys.public }

// Append writes a record durably and says where. Concurrent records share a transaction, but none waits for another to come.
// After ErrNotWritten it is nowhere. If ctx ends first, it may still be written.
func (l *Log) Append(ctx context.Context, r Record) (Receipt, error) {
	if r.Time.IsZero() {
		r.Time = l.config.Now()
	}
	sealed, err := r.seal(l.identify)
	if err != nil {
		return Receipt{}, err
	}
	reply := make(chan answer, 1)
	select {
	case <-l.stop:
		return Receipt{}, ErrClosed
	default:
	}
	select {
	case l.requests <- request{sealed, reply}:
	case <-l.gone:
		return Receipt{}, ErrClosed
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("waiting for the audit log: %w", ctx.Err())
	}
	select {
	case a := <-reply:
		return a.Receipt, a.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("waiting for the audit log: %w", ctx.Err())
	case <-l.gone:
		select {
		case a := <-reply:
			return a.Receipt, a.err
		default:
			return Receipt{}, ErrClosed
		}
	}
}

// Status is the log's health now.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// setStatus changes the status and tells of it.
func (l *Log) setStatus(change func(*Status)) {
	l.mu.Lock()
	before := l.status
	change(&l.status)
	after := l.status
	l.mu.Unlock()
	if l.config.OnStatus != nil && !before.same(after) {
		l.config.OnStatus(after)
	}
}

// same compares what a person would call the same health: errors by their text, and whether anything waits, not how much.
func (s Status) same(o Status) bool {
	return fmt.Sprint(s.Store, s.Spool, s.Checkpoint, s.Retention) == fmt.Sprint(o.Store, o.Spool, o.Checkpoint, o.Retention) &&
		(s.Spooled == 0) == (o.Spooled == 0) && s.Damaged == o.Damaged
}

// Close writes that the log stopped, makes a last checkpoint and closes all. Records that are on their way are written first.
func (l *Log) Close() (err error) {
	l.closing.Do(func() {
		l.cancel()
		l.ticking.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err = l.Append(ctx, Record{Kind: LogStopped, Client: Server})
		if l.Status().Store == nil {
			err = errors.Join(err, l.Checkpoint(ctx))
		}
		close(l.stop)
		<-l.gone
		if l.store != nil {
			err = errors.Join(err, l.store.db.Close())
		}
		err = errors.Join(err, l.Reader.Close(), l.spool.f.Close())
	})
	return err
}

// write is the writer's goroutine: the only one that touches the store and the spool. It commits what has come since the
// last commit, so that a lone record waits for nobody and a crowd shares one fsync.
func (l *Log) write() {
	defer close(l.gone)
	ctx := context.Background() // a caller that gives up takes nobody else's record with it
	for {
		var retry <-chan time.Time
		if l.Status().Store != nil {
			retry = time.After(time.Until(l.retryAt))
		}
		select {
		case r := <-l.requests:
			l.commit(ctx, l.gather(r))
		case job := <-l.jobs:
			job(ctx)
		case <-retry:
			l.recover(ctx)
		case <-l.stop:
			for {
				select {
				case r := <-l.requests:
					l.commit(ctx, l.gather(r))
				default:
					return
				}
			}
		}
	}
}

// gather takes what waits already.
func (l *Log) gather(first request) []request {
	batch := []request{first}
	for len(batch) < batchMost {
		select {
		case r := <-l.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch to the store, else to the spool, and answers.
func (l *Log) commit(ctx context.Context, batch []request) {
	lines := make([]line, len(batch))
	for i, r := range batch {
		lines[i] = r.line
	}
	id := newBatch()
	if l.Status().Store != nil && !time.Now().Before(l.retryAt) {
		l.recover(ctx)
	}
	storeErr := l.Status().Store
	if storeErr == nil {
		var first int64
		if first, storeErr = l.put(ctx, id, lines, nil); storeErr == nil {
			for i, r := range batch {
				r.reply <- answer{Receipt: Receipt{first + int64(i), InStore}}
			}
			return
		}
		l.retryAt = time.Now().Add(l.config.Retry)
	}
	a := answer{Receipt: Receipt{Place: InSpool}}
	spoolErr := l.spool.append(id, lines)
	if spoolErr != nil {
		a = answer{err: fmt.Errorf("%w: %w; %w", ErrNotWritten, storeErr, spoolErr)}
	}
	l.setStatus(func(s *Status) { s.Store, s.Spool, s.Spooled = storeErr, spoolErr, l.spool.entries })
	for _, r := range batch {
		r.reply <- a
	}
}

// put is store.append, where a test may stand in the way.
func (l *Log) put(ctx context.Context, batch string, lines []line, also headChange) (int64, error) {
	if l.config.fault != nil {
		if err := l.config.fault(); err != nil {
			return 0, err
		}
	}
	first, err := l.store.append(ctx, batch, lines, also)
	if errors.Is(err, errMoved) { // by a command: see Note
		if err = l.store.load(ctx); err == nil {
			first, err = l.store.append(ctx, batch, lines, also)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("writing the audit store: %w", err)
	}
	return first, nil
}

func newBatch() string {
	var id [batchSize]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// recover opens the store if need be, reads anew where it ends, and merges the spool.
func (l *Log) recover(ctx context.Context) error {
	err := l.recoverStore(ctx)
	if err != nil {
		l.retryAt = time.Now().Add(l.config.Retry)
	}
	l.setStatus(func(s *Status) {
		s.Store, s.Spooled = err, l.spool.entries
		if err == nil {
			s.Spool = nil // it will be tried when it is needed
		}
	})
	return err
}

func (l *Log) recoverStore(ctx context.Context) error {
	if l.store == nil {
		s, err := openStore(ctx, l.config.Store, l.keys.public)
		if err != nil {
			return err
		}
		l.store = s
	} else if err := l.store.load(ctx); err != nil {
		return err
	}
	if l.spool.entries == 0 && l.damaged == 0 {
		return nil
	}
	return l.merge(ctx)
}

// merge brings the spool's records into the store, in chunks, each with the count of what is merged: a kill between two
// continues where it ended. The first batch in the spool may have reached the store after all, when its commit failed; the
// head still names it then.
func (l *Log) merge(ctx context.Context) error {
	generation := l.spool.id()
	merged := int64(0)
	if l.store.head.spool == generation {
		merged = l.store.head.merged
	}
	already := l.store.head.batch
	at, count := int64(0), int64(0)
	var chunk []line
	flush := func(last ...line) error {
		lines := append(chunk, last...)
		_, err := l.put(ctx, newBatch(), lines, headOf(generation, at))
		chunk = chunk[:0]
		return err
	}
	err := l.spool.read(func(e spooled) error {
		at++
		switch {
		case at <= merged:
			count++
			return nil
		case e.batch == already:
			return nil
		}
		count++
		if chunk = append(chunk, e.line); len(chunk) == batchMost {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if at > merged || l.damaged > 0 {
		word := Record{Kind: SpoolMerged, Time: l.config.Now(), Client: Server, Count: count}
		if l.damaged > 0 {
			word.Detail = NewText(fmt.Sprintf("%d records in the spool were torn or damaged and could not be read.", l.damaged))
		}
		sealed, err := word.seal(l.identify)
		if err != nil {
			return err
		}
		if err := flush(sealed); err != nil {
			return err
		}
	}
	l.damaged = 0
	return l.spool.empty()
}

// do runs a job in the writer's goroutine.
func (l *Log) do(ctx context.Context, job func(context.Context) error) error {
	done := make(chan error, 1)
	select {
	case l.jobs <- func(ctx context.Context) { done <- job(ctx) }:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the audit log: %w", ctx.Err())
	case <-l.gone:
		return ErrClosed
	}
	return <-done
}

// whole is nil if the store holds all there is.
func (l *Log) whole() error {
	if err := l.Status().Store; err != nil {
		return fmt.Errorf("not while records wait in the spool: %w", err)
	}
	return nil
}

// Checkpoint signs the log's head, keeps the note, and sends the newest to the sinks. Without a new record it does nothing
// but send again what a sink hasn't taken.
func (l *Log) Checkpoint(ctx context.Context) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	var signed []byte
	err := l.do(ctx, func(ctx context.Context) (err error) {
		if err := l.whole(); err != nil {
			return err
		}
		signed, err = l.store.checkpoint(ctx, l.keys, Checkpoint{Time: l.config.Now()})
		return err
	})
	if err == nil && signed == nil && l.Status().Checkpoint != nil {
		signed, err = l.newestCheckpoint(ctx)
	}
	if err == nil && signed != nil {
		for _, s := range l.config.Sinks {
			err = errors.Join(err, s.Send(ctx, signed))
		}
	}
	if err != nil {
		err = fmt.Errorf("making a checkpoint: %w", err)
	}
	l.setStatus(func(s *Status) { s.Checkpoint = err })
	return err
}

// tick makes checkpoints and prunes.
func (l *Log) tick(ctx context.Context) {
	checkpoint := time.NewTicker(l.config.CheckpointEvery)
	defer checkpoint.Stop()
	retention := time.NewTicker(time.Hour)
	defer retention.Stop()
	for {
		select {
		case <-checkpoint.C:
			l.Checkpoint(ctx) // the status says what went wrong
		case <-retention.C:
			if l.config.Retention > 0 {
				_, err := l.Prune(ctx, l.config.Now().Add(-l.config.Retention))
				l.setStatus(func(s *Status) { s.Retention = err })
			}
		case <-ctx.Done():
			return
		}
	}
}
