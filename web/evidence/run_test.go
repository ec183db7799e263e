package evidence

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
	"offrecord/web/store"
)

// shelf is an archive in memory.
type shelf struct {
	mu      sync.Mutex
	files   []Recording
	scenes  map[string]truth.Scene
	change  map[string]func([]byte) []byte // what became of the files
	gone    map[string]bool                // listed, and not there
	broken  map[string]error               // on opening
	listErr error
	asked   int
	hold    chan struct{} // opening waits for it
	deleted []string
}

func (s *shelf) add(r Recording, scene truth.Scene) {
	if s.scenes == nil {
		s.scenes, s.gone, s.broken = map[string]truth.Scene{}, map[string]bool{}, map[string]error{}
	}
	s.files = append(s.files, r)
	s.scenes[r.Name] = scene
}

func (s *shelf) List(_ context.Context, from, to time.Time) iter.Seq2[Recording, error] {
	return func(yield func(Recording, error) bool) {
		if s.listErr != nil {
			yield(Recording{}, s.listErr)
			return
		}
		for _, r := range s.files {
			if !r.Start.Before(from) && r.Start.Before(to) && !slices.Contains(s.deleted, r.Name) && !yield(r, nil) {
				return
			}
		}
	}
}

func (s *shelf) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	switch {
	case s.broken[name] != nil:
		return nil, s.broken[name]
	case s.gone[name] || slices.Contains(s.deleted, name):
		return nil, ErrGone
	}
	file := s.scenes[name].Reader(nil)
	change := s.change[name]
	if change == nil {
		return io.NopCloser(file), nil
	}
	whole, err := io.ReadAll(file)
	return io.NopCloser(bytes.NewReader(change(whole))), err
}

func (s *shelf) Delete(_ context.Context, name string) error {
	if err := s.broken[name]; err != nil {
		return err
	}
	s.deleted = append(s.deleted, name)
	return nil
}

// desk is a checker with all that it needs.
type desk struct {
	*Checker
	shelf  *shelf
	log    *audit.Log
	alerts []recording.Alert
	notes  []audit.Record
	now    time.Time
	mu     sync.Mutex
}

var bill = Agent{Email: "bill@acme.example", Platform: "acme", ID: "bill"}

func newDesk(t *testing.T) *desk {
	t.Helper()
	db, err := store.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	key, err := audit.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{shelf: new(shelf), now: noon.Add(72 * time.Hour)}
	dir := t.TempDir()
	if d.log, err = audit.Open(t.Context(), audit.Config{Store: dir + "/log.db", Spool: dir + "/spool", Key: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.log.Close() })
	d.Checker = New(Options{Store: NewStore(db), Audit: d.log, Platforms: []Platform{{Name: "acme", Archive: d.shelf, Agents: []Agent{bill, {Email: "jo@acme.example", Platform: "acme"}}}},
		Alert: func(a recording.Alert) { d.mu.Lock(); d.alerts = append(d.alerts, a); d.mu.Unlock() },
		Note:  func(_ context.Context, r audit.Record) error { d.notes = append(d.notes, r); return nil },
		Now:   func() time.Time { d.mu.Lock(); defer d.mu.Unlock(); return d.now }})
	t.Cleanup(d.Close)
	return d
}

// press writes an attempt into the log.
func (d *desk) press(t *testing.T, who string, action recording.Action, outcome recording.Outcome, origin recording.Origin, at time.Time) string {
	t.Helper()
	id, decided := uuid.NewString(), at.Add(150*time.Millisecond)
	a := recording.Attempt{ID: id, Action: action, Outcome: outcome, Agent: who, Platform: "acme", Origin: cmp.Or(origin, recording.Hand), Route: recording.RouteServer, RequestedAt: at, DecidedAt: &decided,
		Evidence: &recording.Evidence{Kind: recording.Reported, AfterMS: 150}}
	r, err := audit.OfAttempt(a)
	if err == nil {
		_, err = d.log.Append(t.Context(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// call is a recording that begins after noon, with pauses in effect from and to, in seconds of the tape, and written in the log.
func (d *desk) call(t *testing.T, name string, begins time.Duration, fill truth.Fill, leaks []truth.Leak, pauses ...[2]float64) {
	t.Helper()
	s := truth.Scene{Seed: uint64(len(d.shelf.files)) + 9, Format: wav.Format{Codec: wav.PCM, Bits: 16, Rate: 8000, Channels: 1}, Length: 60 * time.Second, Noise: -60, Speech: -22, Leaks: leaks}
	start := noon.Add(begins)
	for _, p := range pauses {
		from, to := time.Duration(p[0]*float64(time.Second)), time.Duration(p[1]*float64(time.Second))
		s.Pauses = append(s.Pauses, truth.Pause{From: from, To: to, Fill: fill})
		d.press(t, bill.Email, recording.Pause, recording.Confirmed, "", start.Add(from-80*time.Millisecond))
		d.press(t, bill.Email, recording.Resume, recording.Confirmed, "", start.Add(to-80*time.Millisecond))
	}
	d.shelf.add(Recording{Name: name, AgentID: "bill", Channel: "8005557780", Phone: "4155551234", Start: start.Truncate(time.Second), Duration: 60 * time.Second}, s)
}

func (d *desk) run(t *testing.T) Run {
	t.Helper()
	run, err := d.Run(t.Context(), Request{From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour), Cause: "button", By: "sue@acme.example", Again: true})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (d *desk) items(t *testing.T) []Item {
	t.Helper()
	items, err := d.Store.Items(t.Context(), Choice{})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func said(items []Item) (all []string) {
	for _, x := range items {
		all = append(all, fmt.Sprintf("%s %s %s", x.Kind, x.Verdict, x.Recording.Name))
	}
	return all
}

func TestRun(t *testing.T) {
	d := newDesk(t)
	d.call(t, "silent.wav", 300*time.Millisecond, truth.Digital, nil, [2]float64{20, 28}, [2]float64{40, 46})
	d.call(t, "leaks.wav", 10*time.Minute, truth.Digital, []truth.Leak{{At: 24 * time.Second, For: 600 * time.Millisecond, Level: -30}}, [2]float64{20, 28})
	d.call(t, "noeffect.wav", 20*time.Minute, truth.None, nil, [2]float64{20, 28})
	d.call(t, "gone.wav", 30*time.Minute, truth.Digital, nil, [2]float64{20, 28})
	d.shelf.gone["gone.wav"] = true
	d.call(t, "broken.wav", 40*time.Minute, truth.Digital, nil, [2]float64{20, 28})
	d.shelf.broken["broken.wav"] = errors.New("the platform hung up")
	d.press(t, bill.Email, recording.Pause, recording.Confirmed, "", noon.Add(50*time.Minute)) // no recording
	d.press(t, bill.Email, recording.Resume, recording.Confirmed, "", noon.Add(51*time.Minute))
	d.press(t, "jo@acme.example", recording.Pause, recording.Confirmed, "", noon.Add(55*time.Minute))   // no agent_id
	d.press(t, "gone@acme.example", recording.Pause, recording.Confirmed, "", noon.Add(56*time.Minute)) // nor the configuration's any more
	// A card field that had the focus while nothing was paused, in a call in which the platform's own screen was used.
	d.call(t, "byhand.wav", 60*time.Minute, truth.Digital, nil)
	s := d.shelf.scenes["byhand.wav"]
	s.Pauses = []truth.Pause{{From: 30 * time.Second, To: 40 * time.Second}}
	d.shelf.scenes["byhand.wav"] = s
	d.press(t, bill.Email, recording.Pause, recording.Failed, "trigger:card-field", noon.Add(60*time.Minute+20*time.Second))
	d.press(t, bill.Email, recording.Pause, recording.NoCall, "trigger:card-field", noon.Add(90*time.Minute)) // and no call

	run := d.run(t)
	want := []string{"pause silent silent.wav", "pause silent silent.wav", "pause audible leaks.wav", "pause audible noeffect.wav", "pause not_checkable gone.wav", "pause not_checkable broken.wav",
		"pause no_recording ", "pause not_checkable ", "pause not_checkable ", "focus no_pause byhand.wav"}
	if got := said(d.items(t)); !slices.Equal(got, want) {
		t.Fatalf("found\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if run.State != Done || run.Windows != 9 || run.Verdicts[Audible] != 2 || len(run.Problems) != 1 || !strings.Contains(run.Problems[0], "broken.wav") {
		t.Errorf("the run: %+v", run)
	}
	leak := d.items(t)[2]
	if l := leak.Leaks(); len(l) != 1 || l[0].From < 23900*time.Millisecond || l[0].To > 24700*time.Millisecond || leak.Uncertainty > 200*time.Millisecond || leak.Close == nil {
		t.Errorf("the leak is heard at %+v, ±%v", l, leak.Uncertainty)
	}
	if len(d.alerts) != 2 || d.alerts[0].Kind != recording.AlertLeak || d.alerts[0].Agent != bill.Email || d.alerts[0].Attempt != leak.Subject {
		t.Errorf("alerts: %+v", d.alerts)
	}
	if len(d.notes) != 1 || d.notes[0].Kind != audit.AuditRead {
		t.Errorf("noted: %+v", d.notes)
	}

	// Again: nothing is found twice, nobody is told twice; and what is final isn't fetched again by night.
	d.run(t)
	if got := said(d.items(t)); !slices.Equal(got, want) || len(d.alerts) != 2 {
		t.Errorf("the second time %q, %d alerts", got, len(d.alerts))
	}
	d.shelf.asked = 0
	again, err := d.Run(t.Context(), Request{From: noon.Add(-time.Hour), To: noon.Add(12 * time.Hour), Cause: "night"})
	if err != nil || d.shelf.asked != 2 || again.Known != 6 { // the two that may be better
		t.Errorf("at night %d recordings are fetched, %d are known: %v", d.shelf.asked, again.Known, err)
	}

	// Every recording: the silence that the platform's own screen made.
	if _, err := d.Run(t.Context(), Request{From: noon.Add(-time.Hour), To: noon.Add(12 * time.Hour), Cause: "command", Every: true}); err != nil {
		t.Fatal(err)
	}
	got := said(d.items(t))
	if i := slices.Index(got, "silence unexplained byhand.wav"); i < 0 {
		t.Errorf("with every recording: %q", got)
	} else if x := d.items(t)[i]; x.Window.From.Round(100*time.Millisecond) != 30*time.Second || x.Window.To.Round(100*time.Millisecond) != 40*time.Second {
		t.Errorf("the silence is %v", x.Window)
	}
	if slices.Contains(got, "silence unexplained silent.wav") {
		t.Error("a pause's own silence is called unexplained")
	}

	// The recording comes into the archive after all.
	delete(d.shelf.broken, "broken.wav")
	d.run(t)
	if got := said(d.items(t)); !slices.Contains(got, "pause silent broken.wav") || slices.Contains(got, "pause not_checkable broken.wav") {
		t.Errorf("once it can be fetched: %q", got)
		for _, x := range d.items(t) {
			t.Logf("%s: %s %+v", x.Recording.Name, x.Reason, x.Finding)
		}
	}
}

func TestPlatformRefuses(t *testing.T) {
	d := newDesk(t)
	d.call(t, "a.wav", 0, truth.Digital, nil, [2]float64{20, 28})
	d.shelf.listErr = errors.New("8x8 refuses the tenant")
	run, err := d.Run(t.Context(), Request{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)})
	if err == nil || run.State != Failed || len(run.Problems) != 1 {
		t.Errorf("%+v, %v", run, err)
	}
	d.Options.Note = func(context.Context, audit.Record) error { return errors.New("disk full") }
	if _, err := d.Run(t.Context(), Request{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("without a log: %v", err)
	}
	if _, err := d.Run(t.Context(), Request{From: noon, To: noon}); err == nil {
		t.Error("an empty period is gone through")
	}
}

func TestDelete(t *testing.T) {
	d := newDesk(t)
	d.call(t, "leaks.wav", 0, truth.None, nil, [2]float64{20, 28})
	d.run(t)
	var notes []audit.Record
	note := func(r audit.Record) error { notes = append(notes, r); return nil }
	if err := d.Delete(t.Context(), "acme", "leaks.wav", "leaks", note); !errors.Is(err, ErrName) || len(notes) > 0 {
		t.Errorf("with another name: %v, %d notes", err, len(notes))
	}
	if err := d.Delete(t.Context(), "acme", "other.wav", "other.wav", note); !errors.Is(err, ErrNotFound) {
		t.Errorf("of one that nobody listened to: %v", err)
	}
	if err := d.Delete(t.Context(), "acme", "leaks.wav", "leaks.wav", func(audit.Record) error { return errors.New("disk full") }); err == nil || len(d.shelf.deleted) > 0 {
		t.Errorf("without a log it is deleted: %v", err)
	}
	d.shelf.broken["leaks.wav"] = errors.New("hung up")
	if err := d.Delete(t.Context(), "acme", "leaks.wav", "leaks.wav", note); err == nil || len(notes) != 2 || notes[1].Outcome != recording.Unknown || !d.items(t)[0].DeletedAt.IsZero() {
		t.Errorf("a deletion that fails: %v, %+v", err, notes)
	}
	delete(d.shelf.broken, "leaks.wav")
	notes = nil
	if err := d.Delete(t.Context(), "acme", "leaks.wav", "leaks.wav", note); err != nil || len(notes) != 2 || notes[0].Kind != audit.Deletion || notes[0].Agent.String() != bill.Email || notes[1].Outcome != recording.Confirmed {
		t.Errorf("a deletion: %v, %+v", err, notes)
	}
	if x := d.items(t)[0]; x.DeletedAt.IsZero() || x.Verdict != Audible {
		t.Errorf("afterwards: %s, deleted %v", x.Verdict, x.DeletedAt)
	}
	// What was found stays, and isn't told anew.
	alerts := len(d.alerts)
	d.run(t)
	if items := d.items(t); items[0].Verdict != Audible || items[0].DeletedAt.IsZero() || len(d.alerts) != alerts {
		t.Errorf("a run later: %q, %d alerts", said(items), len(d.alerts)-alerts)
	}
}

// One run at a time; one that its process didn't survive is gone on with.
func TestOneAtATime(t *testing.T) {
	d := newDesk(t)
	d.call(t, "a.wav", 0, truth.None, nil, [2]float64{20, 28})
	d.shelf.hold = make(chan struct{})
	q := Request{From: noon.Add(-time.Hour), To: noon.Add(time.Hour), Cause: "button"}
	first, err := d.Start(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Start(t.Context(), q); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	beside := New(d.Options)
	if _, err := beside.Run(t.Context(), q); !errors.Is(err, ErrBusy) {
		t.Errorf("one in another process: %v", err)
	}
	if now, ok := d.Current(); !ok || now.ID != first.ID {
		t.Errorf("under way: %+v", now)
	}
	d.Close() // the process ends
	if runs, _ := d.Store.Runs(t.Context(), 9); len(runs) != 1 || runs[0].State != Running {
		t.Fatalf("after the end: %+v", runs)
	}
	close(d.shelf.hold)
	d.mu.Lock()
	d.now = d.now.Add(time.Hour)
	d.mu.Unlock()
	next := New(d.Options)
	next.goOn()
	next.Close()
	if runs, _ := d.Store.Runs(t.Context(), 9); len(runs) != 1 || runs[0].State != Done || runs[0].ID != first.ID || runs[0].Windows != 1 {
		t.Errorf("gone on with: %+v", runs)
	}
	if len(d.alerts) != 1 {
		t.Errorf("%d alerts", len(d.alerts))
	}
}

// A command finds a leak; the server tells of it.
func TestCommandAndServer(t *testing.T) {
	d := newDesk(t)
	d.call(t, "a.wav", 0, truth.None, nil, [2]float64{20, 28})
	o := d.Options
	o.Alert = nil
	command := New(o)
	if _, err := command.Run(t.Context(), Request{From: noon.Add(-time.Hour), To: noon.Add(time.Hour), Cause: "command"}); err != nil || len(d.alerts) > 0 {
		t.Fatal(err, d.alerts)
	}
	d.goOn()
	if len(d.alerts) != 1 {
		t.Errorf("%d alerts", len(d.alerts))
	}
}

// A night comes once a day, about when it should; one that was missed is made up for.
func TestNights(t *testing.T) {
	d := newDesk(t)
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 0, 0, time.UTC) }
	n := Night{At: 2*time.Hour + 30*time.Minute}
	for _, test := range []struct {
		name        string
		now, last   time.Time
		least, most time.Duration
	}{
		{"before it", at(1, 0), time.Time{}, 90 * time.Minute, 105 * time.Minute},
		{"after it, for the first time", at(12, 0), time.Time{}, 14*time.Hour + 30*time.Minute, 14*time.Hour + 45*time.Minute},
		{"after it was made", at(12, 0), at(2, 40), 14*time.Hour + 30*time.Minute, 14*time.Hour + 45*time.Minute},
		{"after it was missed", at(12, 0), at(2, 40).Add(-24 * time.Hour), late, late},
		{"before it, and the last was missed", at(1, 0), at(2, 40).Add(-48 * time.Hour), late, late},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.now = test.now
			if !test.last.IsZero() {
				run := Run{ID: "n", Cause: "night", Began: test.last, State: Done}
				if err := d.Store.begin(t.Context(), run, test.last); err != nil {
					t.Fatal(err)
				}
				if err := d.Store.progress(t.Context(), run, test.last); err != nil {
					t.Fatal(err)
				}
			}
			if got := d.untilNight(n); got < test.least || got > test.most {
				t.Errorf("it is made in %v, expected %v to %v", got, test.least, test.most)
			}
		})
	}
	d.call(t, "a.wav", 0, truth.Digital, nil, [2]float64{20, 28})
	d.now = noon.Add(24 * time.Hour)
	d.night(n)
	if got := said(d.items(t)); !slices.Equal(got, []string{"pause silent a.wav"}) {
		t.Errorf("by night: %q", got)
	}
	if runs, _ := d.Store.Runs(t.Context(), 1); len(runs) != 1 || runs[0].Cause != "night" {
		t.Errorf("the run: %+v", runs)
	}
	d.Retention = 48 * time.Hour
	d.now = noon.Add(30 * 24 * time.Hour)
	d.night(n)
	if items := d.items(t); len(items) > 0 {
		t.Errorf("past the retention: %q", said(items))
	}
}
