package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/dispatch"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/secret"
)

// journal is the audit log as the dispatcher and the handlers need it.
type journal struct {
	*audit.Log
	slog    *slog.Logger
	writing sync.WaitGroup // what nobody waits for
	stop    chan struct{}
	once    sync.Once
	health  chan struct{} // how the log is may have changed
	lock    *os.File      // the signing key's file, held against another server on the same log
	opened  time.Time

	mu     sync.Mutex
	askers map[string]httpapi.Asker // who asked for the attempts that aren't decided, by id
	begun  []string                 // ids, so that the oldest give way
	late   []audit.Record           // outcomes that couldn't be written, oldest first
	lately bool                     // they are being written

	refusals refusals
}

const (
	// askersMost bounds the attempts whose asker is remembered; an older one's outcome is written without.
	askersMost = 10_000
	// lateMost bounds the outcomes that wait for the log in memory; a restart decides those that are lost anew.
	lateMost = 10_000
	// lateEvery is how often they are tried again.
	lateEvery = time.Second
	// noteTime bounds the wait for the log where nobody else does.
	noteTime = time.Second
)

// openJournal opens the log that a configuration names, and makes its signing key if there is none.
func openJournal(ctx context.Context, c *config.Config, log *slog.Logger, now func() time.Time, sinks ...audit.Sink) (*journal, error) {
	_, err := os.Stat(c.Audit.SigningKeyFile)
	isNew := errors.Is(err, fs.ErrNotExist)
	key, err := signingKey(c)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	lock, err := hold(c.Audit.SigningKeyFile)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	// SQLite would make it for all to read; what it puts beside it takes after it.
	if f, err := os.OpenFile(c.StoreFile, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		f.Close()
	}
	if c.Audit.CheckpointFile != "" {
		sinks = append(sinks, audit.FileSink(c.Audit.CheckpointFile))
	}
	j := &journal{slog: log, lock: lock, opened: time.Now(), stop: make(chan struct{}), health: make(chan struct{}, 1), askers: map[string]httpapi.Asker{}}
	j.refusals = refusals{write: func(r audit.Record) { j.writing.Go(func() { j.append(r) }) }}
	j.Log, err = audit.Open(ctx, audit.Config{Store: c.StoreFile, Spool: c.Spool, Key: key, HashIdentifiers: c.Audit.HashIdentifiers, Sinks: sinks,
		Retention: c.Retention, OnStatus: func(s audit.Status) {
			sayHealth(log, s)
			select {
			case j.health <- struct{}{}:
			default:
			}
		}, Now: now})
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	if isNew {
		log.Warn("a signing key for the audit log was made: keep a copy of it in a safe place, and public_key with those who verify", "file", c.Audit.SigningKeyFile, "public_key", j.PublicKey())
	}
	if s := j.Status(); s.Store != nil {
		sayHealth(log, s) // OnStatus heard of it, but perhaps before this log was looked at
	}
	return j, nil
}

// signingKey is the log's key, made if there is none.
func signingKey(c *config.Config) (secret.String, error) {
	name := "offrecord"
	if !c.PublicURL.IsZero() {
		name = c.PublicURL.Hostname()
	}
	return audit.LoadKey(c.Audit.SigningKeyFile, name)
}

// Note writes records into the log of a configuration from outside its server, which may be running. It fails without a store.
func Note(ctx context.Context, c *config.Config, records ...audit.Record) error {
	if c.StoreFile == "" {
		return errors.New("the configuration has no store, so there is no log to write it into: add store: sqlite:offrecord.db")
	}
	key, err := signingKey(c)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	if f, err := os.OpenFile(c.StoreFile, os.O_RDWR|os.O_CREATE, 0o600); err == nil { // for its owner alone, as the server makes it
		f.Close()
	}
	return audit.Note(ctx, audit.Config{Store: c.StoreFile, Key: key, HashIdentifiers: c.Audit.HashIdentifiers}, records...)
}

// hold keeps a second server from the same log, which would take up the same attempts. It ends with the process.
func hold(key string) (*os.File, error) {
	f, err := os.Open(key)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(errors.New("another server writes it: end that one first, or give this one a store of its own"), f.Close())
	} // a file system without locks can't be asked
	return f, nil
}

func sayHealth(log *slog.Logger, s audit.Status) {
	for _, p := range []struct {
		what string
		err  error
	}{{"the audit log can't be written to its store; records go to the spool", s.Store}, {"the audit log can't be written at all", s.Spool},
		{"a checkpoint of the audit log didn't reach every place", s.Checkpoint}, {"the audit log couldn't be pruned", s.Retention}} {
		if p.err != nil {
			log.Error(p.what, "error", p.err)
		}
	}
	if s.Store == nil && s.Checkpoint == nil && s.Retention == nil {
		log.Info("the audit log is written to its store")
	}
}

// append writes a record down where nobody waits for it.
func (j *journal) append(r audit.Record) {
	ctx, cancel := context.WithTimeout(context.Background(), noteTime)
	defer cancel()
	if _, err := j.Append(ctx, r); err != nil {
		j.slog.Error("a record couldn't be written to the audit log", "kind", r.Kind, "error", err)
	}
}

// Begin implements dispatch.Journal.
func (j *journal) Begin(ctx context.Context, a recording.Attempt) error {
	r, err := audit.OfAttempt(a)
	if err != nil {
		return err
	}
	asker := httpapi.AskerOf(ctx)
	j.mu.Lock()
	j.askers[a.ID] = asker
	if j.begun = append(j.begun, a.ID); len(j.begun) > askersMost {
		delete(j.askers, j.begun[0])
		j.begun = j.begun[1:]
	}
	j.mu.Unlock()
	_, err = j.Append(ctx, asker.Sign(r))
	return err
}

// Complete implements dispatch.Journal. An outcome that can't be written now is written as soon as it can.
func (j *journal) Complete(ctx context.Context, a recording.Attempt) error {
	r, err := audit.OfAttempt(a)
	if err != nil {
		return err
	}
	j.mu.Lock()
	asker, ok := j.askers[a.ID]
	delete(j.askers, a.ID)
	j.mu.Unlock()
	if ok {
		r = asker.Sign(r)
	}
	if _, err = j.Append(ctx, r); err != nil {
		j.later(r)
	}
	return err
}

// Note implements dispatch.Journal. What can't be written now is written as soon as it can.
func (j *journal) Note(ctx context.Context, n dispatch.Note) error {
	r := audit.Record{Kind: audit.Call, Time: n.At, Agent: audit.NewID(n.Agent), Platform: audit.NewText(n.Platform), Call: audit.NewID(n.Call), Detail: audit.NewText(string(n.Event))}
	if n.Pause != "" {
		pause, err := uuid.Parse(n.Pause)
		if err != nil {
			return fmt.Errorf("attempt id: %w", err)
		}
		r.Kind, r.Attempt, r.AutoResumeAt, r.Count = audit.Extension, pause, n.Until, int64(n.Nth)
	}
	r = httpapi.AskerOf(ctx).Sign(r)
	_, err := j.Append(ctx, r)
	if err != nil {
		j.later(r)
	}
	return err
}

// later keeps an outcome until the log can be written again.
func (j *journal) later(r audit.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.late) < lateMost {
		j.late = append(j.late, r)
	}
	if j.lately {
		return
	}
	j.lately = true
	j.writing.Go(func() {
		again := time.NewTicker(lateEvery)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				if j.catchUp() {
					return
				}
			case <-j.stop:
				j.catchUp()
				return
			}
		}
	})
}

// catchUp writes what is late and reports whether all was written.
func (j *journal) catchUp() bool {
	for {
		j.mu.Lock()
		if len(j.late) == 0 {
			j.late, j.lately = nil, false
			j.mu.Unlock()
			return true
		}
		r := j.late[0]
		j.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), noteTime)
		_, err := j.Append(ctx, r)
		cancel()
		if err != nil {
			return false
		}
		j.mu.Lock()
		j.late = j.late[1:]
		j.mu.Unlock()
	}
}

// Refuse implements httpapi.Audit.
func (j *journal) Refuse(r audit.Record) { j.refusals.add(r) }

// Close writes what is on its way and closes the log.
func (j *journal) Close() error {
	var err error
	j.once.Do(func() {
		j.refusals.close()
		close(j.stop)
		j.writing.Wait()
		err = errors.Join(j.Log.Close(), j.lock.Close())
	})
	return err
}

// notices are what an agent is told of the log: nothing if all is well.
func notices(s audit.Status) []recording.Notice {
	switch {
	case s.Spool != nil:
		return []recording.Notice{{Code: recording.LogUnavailable,
			Text: "Nothing can be written to the log. A pause is sent all the same; to resume, press Resume without record. Tell who runs offrecord."}}
	case s.Store != nil:
		return []recording.Notice{{Code: recording.LogSpooled, Text: "The log can't be written to its store, so what you do is kept aside and added later. Tell who runs offrecord."}}
	}
	return nil
}

// remembered is how far back from its end a start reads the log; a browser announces nothing older either.
const remembered = 24 * time.Hour

// enough takes of an agent's records, newest first, what the dispatcher would still know had it gone on: its last attempts, and
// whatever may have held a pause before them. That goes back no further than a resume by the agent's hand, which clears all
// holds, so a start costs the same at the end of a busy day as at its beginning. It returns them in the order in which they were
// written.
func enough(newestFirst iter.Seq2[audit.Entry, error]) (all []audit.Entry, err error) {
	const attempts = 64 // a timeline keeps as many
	seen, cleared := map[string]bool{}, map[string]bool{}
	for e, err := range newestFirst {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		a, ok := e.AsAttempt()
		if !ok {
			continue
		}
		seen[a.ID] = true
		if a.Action == recording.Resume && a.Origin == recording.Hand && a.Settled() && !a.Outcome.KeepsState() {
			cleared[a.ID] = true
		}
		if len(seen) >= attempts && cleared[a.ID] && e.Kind == audit.AttemptBegun {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b audit.Entry) int { // what waits in the spool has no number yet, and is the newest
		if a.Seq == 0 || b.Seq == 0 {
			return cmp.Compare(b.Seq, a.Seq)
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
	return all, nil
}

// restore gives the dispatcher what a former run knew: the attempts, calls and extensions of the last day that it wrote, and
// the attempts that were never decided, however old.
func (j *journal) restore(ctx context.Context, d *dispatch.Dispatcher, agents []dispatch.Agent) error {
	byName := map[string]dispatch.Agent{}
	for _, a := range agents {
		byName[a.Email], byName[j.Identify(a.Email)] = a, a
	}
	since := j.opened
	// A pause that was due waits for however long the server was away. Without a store there is the spool, which is read whole.
	if last, err := j.Query(ctx, audit.Filter{To: j.opened, Limit: 1}); err == nil && len(last.Items) > 0 {
		since = last.Items[0].Time
	}
	var attempts []recording.Attempt
	var notes []dispatch.Note
	began := map[string]bool{}
	keep := func(e audit.Entry) {
		who, ok := byName[e.Agent.String()]
		if !ok {
			return
		}
		// The log may hold a keyed hash: of no use to anyone here, and not to be hashed again.
		hashed := strings.HasPrefix(e.Call.String(), "hmac:")
		switch e.Kind {
		case audit.Call:
			notes = append(notes, dispatch.Note{At: e.Time, Agent: who.Email, Platform: e.Platform.String(), Call: e.Call.String(),
				Event: dispatch.CallEvent(e.Detail.String()), Hashed: hashed})
			return
		case audit.Extension:
			notes = append(notes, dispatch.Note{At: e.Time, Agent: who.Email, Platform: e.Platform.String(), Pause: e.Attempt.String(), Until: e.AutoResumeAt, Nth: int(e.Count)})
			return
		case audit.Alert:
			if strings.HasPrefix(e.Detail.String(), string(recording.AlertOverdue)+" ") {
				notes = append(notes, dispatch.Note{At: e.Time, Agent: who.Email, Platform: e.Platform.String(), Pause: e.Attempt.String(), Told: true})
			}
			return
		}
		a, ok := e.AsAttempt()
		if !ok || !a.Settled() && began[a.ID] {
			return
		}
		began[a.ID] = true
		a.Agent = who.Email
		if hashed {
			a.Call = ""
		}
		if strings.HasPrefix(a.By, "hmac:") {
			a.By = ""
		}
		attempts = append(attempts, a)
	}
	for e, err := range j.Undecided(ctx) {
		if err != nil {
			return fmt.Errorf("reading what was undecided: %w", err)
		}
		keep(e)
	}
	lately, err := j.Recently(ctx, since.Add(-remembered))
	if err != nil {
		return fmt.Errorf("reading what happened lately: %w", err)
	}
	for _, a := range agents {
		entries, err := enough(lately.Of(ctx, a.Email))
		if err != nil {
			return fmt.Errorf("reading what happened lately: %w", err)
		}
		for _, e := range entries {
			keep(e)
		}
	}
	d.Restore(attempts, notes, func(email string) (dispatch.Agent, bool) {
		who, ok := byName[email]
		return who, ok
	})
	return nil
}

// acting is everyone who has a recording.
func acting(people *identity.Directory) []dispatch.Agent {
	var agents []dispatch.Agent
	for _, p := range people.All() {
		if p.Platform != "" {
			agents = append(agents, dispatch.Agent{Email: p.Email, Platform: p.Platform, ID: p.AgentID})
		}
	}
	return agents
}

// loaded writes down which configuration is in use.
func (j *journal) loaded(c *config.Config, version string) {
	j.append(audit.Record{Kind: audit.ConfigLoaded, Client: audit.Server,
		Detail: audit.NewText(fmt.Sprintf("sha256 %s; %d platforms, %d people; offrecord %s", c.Digest, len(c.Platforms), len(c.Agents), version))})
}
