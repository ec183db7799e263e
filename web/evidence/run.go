package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

// Platform is an account whose recordings can be checked.
type Platform struct {
	Name    string
	Archive Archive
	Agents  []Agent
}

// Options are what a Checker is made of. All but the marked ones are required.
type Options struct {
	Store     *Store
	Audit     Log
	Platforms []Platform
	Log       *slog.Logger
	// Alert raises an alert and doesn't wait; nil where nobody can be told: then a server that uses the same store does.
	Alert func(recording.Alert)
	// Note writes into the audit log; optional. A run that can't be noted isn't made.
	Note func(context.Context, audit.Record) error
	// Gentle leaves half of a processor's time to others: a pause comes first.
	Gentle bool
	// Retention is how long what was found is kept; 0: for ever.
	Retention time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Checker goes through periods, one at a time.
type Checker struct {
	Options
	running sync.Mutex

	mu      sync.Mutex
	current *Run // nil while nothing runs
	waiting sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

// New makes a checker. It does nothing by itself; see Nightly.
func New(o Options) *Checker {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Checker{Options: o}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Close ends what runs and waits for it. A run that is ended so goes on at the next start.
func (c *Checker) Close() {
	c.stop()
	c.waiting.Wait()
}

// Request is a period to go through.
type Request struct {
	From, To time.Time
	Cause    string
	By       string
	Every    bool // recordings without a pause, too
	Again    bool // also where what is known is final
}

// maxPeriod bounds one run.
const maxPeriod = 366 * 24 * time.Hour

// Check says what is wrong with a request, in a sentence for a person.
func (q Request) Check() error {
	switch {
	case q.From.IsZero() || q.To.IsZero() || !q.From.Before(q.To):
		return errors.New("the period's beginning must come before its end")
	case q.To.Sub(q.From) > maxPeriod:
		return errors.New("the period must not be longer than a year")
	}
	return nil
}

// Run goes through a period and returns when it is done. An error is one that ended the run; what couldn't be asked or fetched
// is among its problems, and what concerns is not checkable.
func (c *Checker) Run(ctx context.Context, q Request) (Run, error) {
	if !c.running.TryLock() {
		return Run{}, ErrBusy
	}
	defer c.running.Unlock()
	run, err := c.begin(ctx, q, Run{})
	if err != nil {
		return run, err
	}
	return c.do(ctx, run, q)
}

// Start begins a run that goes on when the caller is gone.
func (c *Checker) Start(ctx context.Context, q Request) (Run, error) {
	if !c.running.TryLock() {
		return Run{}, ErrBusy
	}
	run, err := c.begin(ctx, q, Run{})
	if err != nil {
		c.running.Unlock()
		return run, err
	}
	c.waiting.Go(func() {
		defer c.running.Unlock()
		if _, err := c.do(c.ctx, run, q); err != nil && c.ctx.Err() == nil {
			c.Log.Error("a run through the recordings failed", "run", run.ID, "error", err)
		}
	})
	return run, nil
}

// begin keeps a run, or takes up the given one.
func (c *Checker) begin(ctx context.Context, q Request, run Run) (Run, error) {
	if err := q.Check(); err != nil {
		return run, err
	}
	if run.ID == "" {
		run = Run{ID: uuid.NewString(), Cause: q.Cause, By: q.By, From: q.From.UTC(), To: q.To.UTC(), Every: q.Every, State: Running, Began: c.Now().UTC()}
		if c.Note != nil {
			err := c.Note(ctx, audit.Record{Kind: audit.AuditRead, By: audit.NewID(q.By), Detail: audit.NewText(fmt.Sprintf("evidence run from %s to %s (%s)", q.From.UTC().Format(time.RFC3339), q.To.UTC().Format(time.RFC3339), q.Cause))})
			if err != nil {
				return run, fmt.Errorf("noting the run in the audit log: %w", err)
			}
		}
	}
	run.Tally = Tally{Verdicts: map[Verdict]int{}}
	if err := c.Store.begin(ctx, run, c.Now()); err != nil {
		return run, err
	}
	c.mu.Lock()
	c.current = &run
	c.mu.Unlock()
	return run, nil
}

// Current is the run under way in this process.
func (c *Checker) Current() (Run, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return Run{}, false
	}
	r := *c.current
	r.Verdicts, r.Problems = maps.Clone(r.Verdicts), slices.Clone(r.Problems)
	return r, true
}

// tell changes what is known of the run under way.
func (c *Checker) tell(change func(*Run)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.current)
}

// do goes through the period of a run that was begun.
func (c *Checker) do(ctx context.Context, run Run, q Request) (Run, error) {
	beating, stop := context.WithCancel(ctx)
	var life sync.WaitGroup
	life.Go(func() {
		each := time.NewTicker(alive / 8)
		defer each.Stop()
		for {
			select {
			case <-each.C:
				if r, ok := c.Current(); ok {
					c.Store.progress(beating, r, c.Now())
				}
			case <-beating.Done():
				return
			}
		}
	})
	err := c.through(ctx, q)
	stop()
	life.Wait()
	r, _ := c.Current()
	defer func() {
		c.mu.Lock()
		c.current = nil
		c.mu.Unlock()
	}()
	if ctx.Err() != nil && c.ctx.Err() != nil {
		return r, err // ended with the process: it goes on at the next start
	}
	r.State, r.Ended = Done, c.Now().UTC()
	if err != nil {
		r.State, r.Problems = Failed, append(r.Problems, sentence(err))
	}
	if kept := c.Store.progress(context.WithoutCancel(ctx), r, c.Now()); kept != nil {
		err = errors.Join(err, kept)
	}
	c.alert(context.WithoutCancel(ctx))
	return r, err
}

func (c *Checker) through(ctx context.Context, q Request) error {
	known := map[string]bool{}
	if !q.Again {
		var err error
		if known, err = c.Store.final(ctx, q.From.Add(-reach)); err != nil {
			return err
		}
	}
	var failed []error
	for _, p := range c.Platforms {
		if err := c.platform(ctx, p, q, known); err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed = append(failed, fmt.Errorf("%s: %w", p.Name, err))
		}
	}
	return errors.Join(failed...)
}

// batch is a day of a platform's recordings: what they say together of its clock is taken from no more, because clocks drift.
const batch = 24 * time.Hour

// platform goes through one platform's period, day by day.
func (c *Checker) platform(ctx context.Context, p Platform, q Request, known map[string]bool) error {
	for from := q.From; from.Before(q.To); from = from.Add(batch) {
		to := from.Add(batch)
		if to.After(q.To) {
			to = q.To
		}
		if err := c.day(ctx, p, q, from, to, known); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checker) day(ctx context.Context, p Platform, q Request, from, to time.Time, known map[string]bool) error {
	windows, focus, err := Windows(ctx, c.Audit, p.Name, p.Agents, from, to)
	if err != nil {
		return err
	}
	n := len(windows) + len(focus)
	windows = slices.DeleteFunc(windows, func(w Window) bool { return known[w.Pause] })
	focus = slices.DeleteFunc(focus, func(f Focus) bool { return known[f.Attempt.ID] })
	c.tell(func(r *Run) { r.Known += n - len(windows) - len(focus) })
	if len(windows)+len(focus) == 0 && !q.Every {
		return nil
	}
	// A recording that a pause lies in began before it, and less than a day: a day is longer than any call.
	since, until := from.Add(-reach), to.Add(matching)
	if !q.Every {
		since, until = to, from
		reaches := func(begin, end time.Time) {
			if begin = begin.Add(-reach); begin.Before(since) {
				since = begin
			}
			if end = end.Add(matching); end.After(until) {
				until = end
			}
		}
		for _, w := range windows {
			reaches(w.From.Latest, latest(w.From.Latest, w.To.Latest, w.Until))
		}
		for _, f := range focus {
			reaches(f.At, f.At)
		}
	}
	var all []Recording
	for r, err := range p.Archive.List(ctx, since, until) {
		if err != nil {
			return err
		}
		if !r.Start.IsZero() && r.Name != "" {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Recording) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Name, b.Name)) })

	// Which windows lie in which recording.
	byName := map[string]*hearing{}
	var hearings []*hearing
	hear := func(r Recording) *hearing {
		h := byName[r.Name]
		if h == nil {
			h = &hearing{recording: r}
			byName[r.Name], hearings = h, append(hearings, h)
		}
		return h
	}
	items := map[string][]Item{} // by subject
	for i := range windows {
		w := &windows[i]
		in := among(w, all)
		for _, r := range in {
			h := hear(r)
			h.windows = append(h.windows, w)
		}
		if len(in) == 0 {
			x := c.without(w, p.Name)
			items[x.Subject] = append(items[x.Subject], x)
		}
	}
	for _, f := range focus {
		r, ok := during(f.Agent, f.At, all)
		if !ok && f.Attempt.Outcome == recording.NoCall {
			continue // nothing was recorded
		}
		x := Item{Kind: OfFocus, Subject: f.Attempt.ID, Platform: p.Name, Agent: f.Agent.Email, Call: f.Attempt.Call, At: f.At, Attempts: []Attempt{f.Attempt}, Recording: r,
			Final: ok, Finding: Finding{Verdict: NoPause, Reason: fmt.Sprintf("A card field had the focus, and the pause for it came to nothing (%s).", f.Attempt.Outcome)}}
		x.identify()
		items[x.Subject] = append(items[x.Subject], x)
	}
	byID := map[string]Agent{}
	for _, a := range p.Agents {
		if a.ID != "" {
			byID[a.ID] = a
		}
	}
	if q.Every {
		for _, r := range all {
			if _, ours := byID[r.AgentID]; !ours || r.Start.Before(from) || !r.Start.Before(to) {
				continue
			}
			if heard, err := c.Store.heard(ctx, p.Name, r.Name); err == nil && (!heard || q.Again) {
				hear(r)
			}
		}
	}

	for _, h := range hearings {
		if err := c.listen(ctx, p, h); err != nil {
			return err
		}
	}
	conclude(hearings)
	for _, h := range hearings {
		agent := byID[h.recording.AgentID].Email
		for i, w := range h.windows {
			x := h.item(i, p.Name)
			x.Final = h.tape != nil || h.lasting
			items[w.Pause] = append(items[w.Pause], x)
		}
		if h.tape == nil {
			continue
		}
		for _, x := range h.unexplained(p.Name, agent) {
			items[x.Subject] = append(items[x.Subject], x)
		}
		t := h.record(p.Name, agent)
		t.CheckedAt = c.Now().UTC()
		if err := c.Store.putTape(ctx, t); err != nil {
			return err
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(items)) {
		run, _ := c.Current()
		of := items[subject]
		for i := range of {
			of[i].Run, of[i].CheckedAt = run.ID, c.Now().UTC()
		}
		if err := c.Store.put(ctx, of...); err != nil {
			return err
		}
		c.tell(func(r *Run) {
			for _, x := range of {
				r.Verdicts[x.Verdict]++
			}
			if of[0].Kind == OfWindow {
				r.Windows++
			}
		})
	}
	c.alert(ctx)
	return nil
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// without is a window that no recording was found for.
func (c *Checker) without(w *Window, platform string) Item {
	x := windowItem(w, platform)
	old := c.Now().Sub(latest(w.From.Latest, w.To.Latest, w.Until))
	switch {
	case w.Agent.ID == "":
		x.Finding = Finding{Verdict: NotCheckable, Reason: "The configuration has no agent_id of this agent, by which its recordings are found."}
	case old < settling:
		x.Finding = Finding{Verdict: NotCheckable, Reason: "It is less than an hour ago, and its recording isn't in the archive yet."}
	default:
		x.Finding = Finding{Verdict: NoRecording, Reason: "The archive has no recording of this agent at that time: the call wasn't recorded, its recording was deleted, or agent_id isn't the platform's."}
		x.Final = old > 2*24*time.Hour
	}
	x.identify()
	return x
}

// listen fetches a recording and listens to it. An error ends the run: a platform that refuses us does so for all of them.
func (c *Checker) listen(ctx context.Context, p Platform, h *hearing) error {
	stream, err := p.Archive.Open(ctx, h.recording.Name)
	if err == nil {
		err = h.listen(ctx, stream, c.pace())
		stream.Close()
	} else {
		h.closely()
	}
	switch {
	case err == nil:
		h.lasting = h.err != nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrGone):
		h.err = errors.New("the archive lists it and doesn't have it")
	default:
		h.err = errors.New("fetching it failed")
		c.Log.Warn("a recording couldn't be fetched", "platform", p.Name, "recording", h.recording.Name, "error", err)
		c.tell(func(r *Run) {
			if len(r.Problems) < 20 {
				r.Problems = append(r.Problems, fmt.Sprintf("%s: %s", h.recording.Name, sentence(err)))
			}
		})
	}
	c.tell(func(r *Run) {
		r.Recordings++
		if h.tape != nil {
			r.Seconds += h.tape.Duration.Seconds()
		}
	})
	return nil
}

// pace sleeps as long as was worked, if others come first.
func (c *Checker) pace() func() {
	if !c.Gentle {
		return nil
	}
	last := time.Now()
	return func() {
		time.Sleep(min(time.Since(last), 50*time.Millisecond))
		last = time.Now()
	}
}

// alert tells of the leaks that nobody was told of.
func (c *Checker) alert(ctx context.Context) {
	if c.Alert == nil {
		return
	}
	leaks, err := c.Store.unalerted(ctx)
	if err != nil {
		c.Log.Error("leaks can't be looked for", "error", err)
		return
	}
	for _, x := range leaks {
		c.Alert(recording.Alert{Kind: recording.AlertLeak, Agent: x.Agent, Platform: x.Platform, Call: x.Call, Attempt: x.Subject,
			Text: fmt.Sprintf("A recording is audible where it was paused, on %s: look at it under Evidence, and delete it if it holds card data.", x.At.UTC().Format("2006-01-02 at 15:04 UTC"))})
		if err := c.Store.mark(ctx, "alerted = ?", "id = ?", format(c.Now()), x.ID); err != nil {
			c.Log.Error("it can't be kept that a leak was told", "error", err)
		}
	}
}

// sentence is an error for a person.
func sentence(err error) string {
	s := err.Error()
	return capital(s)
}

// Platform is the platform with this name.
func (c *Checker) Platform(name string) (Platform, bool) {
	for _, p := range c.Platforms {
		if p.Name == name {
			return p, true
		}
	}
	return Platform{}, false
}

// ErrName means that a deletion was confirmed with another name than the recording's.
var ErrName = errors.New("that isn't the recording's name: type it as it is shown")

// Delete deletes a recording, after it was confirmed with its name. It is written down before and after; without the first
// nothing is deleted.
func (c *Checker) Delete(ctx context.Context, platform, name, confirmed string, note func(audit.Record) error) error {
	p, ok := c.Platform(platform)
	if !ok {
		return ErrNotFound
	}
	tape, err := c.Store.Tape(ctx, platform, name)
	if err != nil {
		return err
	}
	if confirmed != name {
		return ErrName
	}
	reason := "asked for beside its evidence"
	items, err := c.Store.OfRecording(ctx, platform, name)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(items, func(x Item) bool { return x.Verdict == Audible }) {
		reason = "evidence of a leak"
	}
	about := audit.Record{Kind: audit.Deletion, Agent: audit.NewID(tape.Agent), Platform: audit.NewText(platform), Call: audit.NewID(name), Reason: audit.NewText(reason),
		Detail: audit.NewText("asked for")}
	if err := note(about); err != nil {
		return fmt.Errorf("noting the deletion in the audit log: %w", err)
	}
	err = p.Archive.Delete(ctx, name)
	about.Outcome, about.Detail = recording.Confirmed, audit.NewText("8x8 doesn't list it any more")
	if err != nil {
		about.Outcome, about.Detail = recording.Unknown, audit.NewText("it isn't known whether it was deleted")
	}
	noted := note(about)
	if err != nil {
		return fmt.Errorf("deleting the recording: %w", err)
	}
	if noted != nil {
		c.Log.Error("a recording was deleted, and the log couldn't take it", "platform", platform, "recording", name, "error", noted)
	}
	return c.Store.mark(ctx, "deleted = ?", "platform = ? AND recording = ?", format(c.Now()), platform, name)
}
