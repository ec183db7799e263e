package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watched is a log whose store can be broken and whose health is heard of.
type watched struct {
	*Log
	config  Config
	broken  *atomic.Bool
	changes chan Status
}

func watch(t *testing.T, c Config) *watched {
	t.Helper()
	w := &watched{broken: new(atomic.Bool), changes: make(chan Status, 1000)}
	c.fault = func() error {
		if w.broken.Load() {
			return errors.New("the disk is full")
		}
		return nil
	}
	c.OnStatus = func(s Status) { w.changes <- s }
	w.config = c
	w.Log = open(t, c)
	return w
}

// until waits for a health.
func (w *watched) until(ok func(Status) bool) {
	for !ok(<-w.changes) {
	}
}

// kinds are the kinds of all records, by number.
func allKinds(tb testing.TB, l *Log) (out []Kind) {
	tb.Helper()
	for _, e := range collect(tb, l.each(context.Background(), `SELECT seq, body FROM record ORDER BY seq`)) {
		out = append(out, e.Kind)
	}
	return out
}

func TestTheSpoolIsMergedOnceInOrder(t *testing.T) {
	w := watch(t, testConfig(t))
	put(t, w.Log, Record{Kind: SignIn})
	w.broken.Store(true)
	for _, k := range []Kind{Refused, ConfigLoaded, Deletion} {
		if at := put(t, w.Log, Record{Kind: k}); at != (Receipt{0, InSpool}) {
			t.Errorf("receipt %+v", at)
		}
	}
	if s := w.Status(); s.Store == nil || s.Spooled != 3 || s.Spool != nil {
		t.Errorf("status %+v", s)
	}
	waiting := func(want int64) {
		t.Helper()
		if n, damaged, err := w.Waiting(context.Background(), w.config.Spool); n != want || damaged != 0 || err != nil {
			t.Errorf("%d records wait and %d are damaged, %v", n, damaged, err)
		}
	}
	waiting(3)
	if err := w.Checkpoint(context.Background()); err == nil {
		t.Error("a checkpoint was made of a log that waits in the spool")
	}
	w.broken.Store(false)
	w.until(func(s Status) bool { return s.Store == nil && s.Spooled == 0 })
	waiting(0)
	put(t, w.Log, Record{Kind: SignOut})
	want := []Kind{LogStarted, SignIn, Refused, ConfigLoaded, Deletion, SpoolMerged, SignOut}
	if got := allKinds(t, w.Log); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	page, err := w.Query(context.Background(), Filter{Kind: SpoolMerged})
	if err != nil || len(page.Items) != 1 || page.Items[0].Count != 3 {
		t.Errorf("%+v, %v", page, err)
	}
	verify(t, w.Log)
}

func TestASpoolOfManyChunks(t *testing.T) {
	c := testConfig(t)
	c.Retry = 50 * time.Millisecond
	w := watch(t, c)
	w.broken.Store(true)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range (2*batchMost + 100) / 4 { // and it grows beyond its reserve
				put(t, w.Log, begun("bill@acme.example", noon))
			}
		})
	}
	wg.Wait()
	w.broken.Store(false)
	w.until(func(s Status) bool { return s.Store == nil && s.Spooled == 0 })
	if r := verify(t, w.Log); r.Last != 1+2*batchMost+100+1 {
		t.Errorf("report %+v", r)
	}
}

// TestAKillDuringAMerge puts the spool back as it was before a merge, in whole and after a part: what is in the store already
// isn't merged again.
func TestAKillDuringAMerge(t *testing.T) {
	w := watch(t, testConfig(t))
	w.broken.Store(true)
	for range 5 {
		put(t, w.Log, Record{Kind: Refused})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(w.config.Spool)
	if err != nil {
		t.Fatal(err)
	}
	w.broken.Store(false)
	l := open(t, w.config) // merges
	l.Close()
	if err := os.WriteFile(w.config.Spool, before, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, w.config)
	want := []Kind{LogStarted, Refused, Refused, Refused, Refused, Refused, LogStopped, SpoolMerged, LogStarted, LogStopped, LogStarted}
	if got := allKinds(t, l); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	verify(t, l)
}

// TestACommitThatFailedAndHappened is the case where the disk says no and the transaction is found there after all.
func TestACommitThatFailedAndHappened(t *testing.T) {
	w := watch(t, testConfig(t))
	l := w.Log
	err := l.do(context.Background(), func(ctx context.Context) error {
		var lines []line
		for _, k := range []Kind{Refused, Deletion} {
			sealed, err := Record{Kind: k, Time: noon}.seal(l.identify)
			if err != nil {
				return err
			}
			lines = append(lines, sealed)
		}
		id := newBatch()
		if _, err := l.store.append(ctx, id, lines, nil); err != nil {
			return err
		}
		if err := l.spool.append(id, lines); err != nil {
			return err
		}
		l.setStatus(func(s *Status) { s.Store, s.Spooled = errors.New("commit failed"), l.spool.entries })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.until(func(s Status) bool { return s.Store == nil && s.Spooled == 0 })
	if got, want := allKinds(t, l), []Kind{LogStarted, Refused, Deletion, SpoolMerged}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestATornSpoolIsReadAsFarAsItGoes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		damage  func(b []byte, end int) []byte
		refused int // of three
		damaged int
	}{
		{"torn in the last record", func(b []byte, end int) []byte { return b[:end-5] }, 2, 1},
		{"torn, with room behind it", func(b []byte, end int) []byte { clear(b[end-5 : end]); return b }, 2, 1},
		{"torn in a length", func(b []byte, end int) []byte { return b[:spoolHeader+9] }, 0, 0},
		{"a record changed in the middle", func(b []byte, end int) []byte { b[spoolHeader+(end-spoolHeader)/2] ^= 1; return b }, 2, 1},
		{"all of it lost", func(b []byte, _ int) []byte { return b[:3] }, 0, 1},
		{"another file", func(b []byte, _ int) []byte { return bytes.Repeat([]byte("x"), len(b)) }, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			s, err := openSpool(c.Spool, c.reserve)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				sealed, err := Record{Kind: Refused, Time: noon}.seal(func(s string) string { return s })
				if err != nil {
					t.Fatal(err)
				}
				if err := s.append(newBatch(), []line{sealed}); err != nil {
					t.Fatal(err)
				}
			}
			s.f.Close()
			b, err := os.ReadFile(c.Spool)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.Spool, tt.damage(b, int(s.end)), 0o600); err != nil {
				t.Fatal(err)
			}
			l := open(t, c)
			if got := l.Status().Damaged; got != tt.damaged {
				t.Errorf("%d damaged, want %d", got, tt.damaged)
			}
			page, err := l.Query(context.Background(), Filter{Kind: Refused})
			if err != nil || len(page.Items) != tt.refused {
				t.Errorf("%d records, want %d, %v", len(page.Items), tt.refused, err)
			}
			page, err = l.Query(context.Background(), Filter{Kind: SpoolMerged})
			if err != nil || tt.damaged > 0 && (len(page.Items) != 1 || !strings.Contains(page.Items[0].Detail.String(), "damaged")) {
				t.Errorf("nobody says that records were lost: %+v, %v", page.Items, err)
			}
			verify(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if again := open(t, c); again.Status().Damaged != 0 {
				t.Error("the damage is told of twice")
			}
		})
	}
}

func TestWhenNothingCanBeWritten(t *testing.T) {
	w := watch(t, testConfig(t))
	if err := w.do(context.Background(), func(context.Context) error { return w.spool.f.Close() }); err != nil {
		t.Fatal(err)
	}
	w.broken.Store(true)
	_, err := w.Append(context.Background(), Record{Kind: SignIn})
	if !errors.Is(err, ErrNotWritten) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error %v", err)
	}
	if s := w.Status(); s.Store == nil || s.Spool == nil {
		t.Errorf("status %+v", s)
	}
}

func TestAStoreThatIsReadOnly(t *testing.T) {
	w := watch(t, testConfig(t))
	readOnly := func(value string) {
		t.Helper()
		if err := w.do(context.Background(), func(ctx context.Context) error {
			_, err := w.store.db.ExecContext(ctx, `PRAGMA query_only = `+value)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	readOnly("1")
	if at := put(t, w.Log, Record{Kind: SignIn}); at.Place != InSpool {
		t.Errorf("receipt %+v", at)
	}
	if s := w.Status(); s.Store == nil || !strings.Contains(s.Store.Error(), "readonly") {
		t.Errorf("status %+v", s)
	}
	readOnly("0")
	w.until(func(s Status) bool { return s.Store == nil })
	if got, want := allKinds(t, w.Log), []Kind{LogStarted, SignIn, SpoolMerged}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAStoreThatAnotherProcessHolds(t *testing.T) {
	w := watch(t, testConfig(t))
	other, err := sql.Open("sqlite", dsn(w.config.Store, "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if at := put(t, w.Log, Record{Kind: SignIn}); at.Place != InSpool {
		t.Errorf("receipt %+v", at)
	}
	tx.Rollback()
	w.until(func(s Status) bool { return s.Store == nil })
	verify(t, w.Log)
}

func TestAStoreThatCannotBeOpenedAtFirst(t *testing.T) {
	c := testConfig(t)
	c.Store = filepath.Join(filepath.Dir(c.Store), "later", "log.db")
	w := watch(t, c)
	if s := w.Status(); s.Store == nil {
		t.Fatalf("status %+v", s)
	}
	r := begun("bill@acme.example", noon)
	if at := put(t, w.Log, r); at.Place != InSpool {
		t.Errorf("receipt %+v", at)
	}
	if got := collect(t, w.Undecided(context.Background())); len(got) != 1 || got[0].Attempt != r.Attempt {
		t.Errorf("undecided: %+v", got)
	}
	if err := os.Mkdir(filepath.Dir(c.Store), 0o700); err != nil {
		t.Fatal(err)
	}
	w.until(func(s Status) bool { return s.Store == nil })
	if got, want := allKinds(t, w.Log), []Kind{LogStarted, AttemptBegun, SpoolMerged}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAStoreThatIsNoStoreStopsTheStart(t *testing.T) {
	c := testConfig(t)
	if l, err := Open(context.Background(), c); err != nil {
		t.Fatal(err)
	} else if _, err := l.store.db.Exec(`UPDATE head SET tree = x'00'`); err != nil {
		t.Fatal(err)
	} else {
		l.spool.f.Close() // as a kill would leave it
		l.store.db.Close()
	}
	if _, err := Open(context.Background(), c); err == nil {
		t.Error("a damaged end was taken")
	}
}

func FuzzScanSpool(f *testing.F) {
	path := filepath.Join(f.TempDir(), "spool")
	s, err := openSpool(path, 64)
	if err != nil {
		f.Fatal(err)
	}
	empty, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	for range 3 {
		sealed, err := begun("bill@acme.example", noon).seal(func(s string) string { return s })
		if err != nil {
			f.Fatal(err)
		}
		if err := s.append(newBatch(), []line{sealed}); err != nil {
			f.Fatal(err)
		}
	}
	full, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Fuzz(func(t *testing.T, b []byte) {
		n := int64(0)
		scan, err := scanSpool(bytes.NewReader(b), func(e spooled) error {
			n++
			_, err := e.line.record()
			return err
		})
		if err == nil && (scan.entries != n || scan.end > int64(len(b)) || scan.end < spoolHeader) {
			t.Errorf("%d entries, %+v of %d bytes", n, scan, len(b))
		}
	})
}
