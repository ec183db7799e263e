package alert

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/cardnumber"
	"offrecord/web/store"
	"offrecord/web/webhook"
)

const (
	attempt1 = "11111111-1111-4111-8111-111111111111"
	attempt2 = "22222222-2222-4222-8222-222222222222"
)

var failed = recording.Alert{Kind: recording.AlertFailed, Agent: "bill@acme.example", Platform: "acme", Attempt: attempt1, Text: "The pause didn't work: look in 8x8's own screen."}

// post is a webhook's other end: it keeps what it took.
type post struct {
	mu    sync.Mutex
	ids   []string
	types []string
	at    []time.Time
	err   error // what it says instead
	tries int
}

func (p *post) take(_ context.Context, id string, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.err != nil {
		return p.err
	}
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return err
	}
	p.ids, p.types, p.at = append(p.ids, id), append(p.types, strings.TrimPrefix(m.Type, "alert.")), append(p.at, time.Now())
	return nil
}

func (p *post) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *post) took() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.types, " ")
}

func opened(t *testing.T, db *sql.DB, change func(*Options)) *Alerts {
	t.Helper()
	o := Options{DB: db, Link: "https://offrecord.example.com/alerts"}
	if change != nil {
		change(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func database(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// inTime runs a test in virtual time, with a store in memory.
func inTime(t *testing.T, test func(*testing.T, *sql.DB)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := database(t, "")
		defer db.Close()
		test(t, db)
	})
}

func TestItIsToldAgainUntilSomeoneTakesItInHand(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		s := opened(t, db, func(o *Options) { o.Post = p.take })
		defer s.Close()
		began := time.Now()
		s.Raise(failed)
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		var after []time.Duration
		for _, at := range p.at {
			after = append(after, at.Sub(began))
		}
		want := []time.Duration{0, 1, 3, 8, 18, 38, 68, 128, 188} // minutes
		for i := range want {
			want[i] *= time.Minute
		}
		if !slices.Equal(after, want) {
			t.Errorf("told after %v", after)
		}
		open := s.Unacknowledged("bill@acme.example")
		if len(open) != 1 || open[0].Repeated != 8 || open[0].ID == "" || !open[0].RaisedAt.Equal(began) {
			t.Fatalf("open: %+v", open)
		}
		for i, id := range p.ids {
			if id != fmt.Sprintf("%s.%d", open[0].ID, i+1) {
				t.Errorf("message %d has the id %s", i, id)
			}
		}
		a, err := s.Ack(t.Context(), open[0].ID, "sam@acme.example")
		if err != nil || a.AckedBy != "sam@acme.example" || a.AckedAt == nil || a.Open() {
			t.Errorf("%+v, %v", a, err)
		}
		if again, err := s.Ack(t.Context(), a.ID, "eve@acme.example"); err != nil || again.AckedBy != "sam@acme.example" {
			t.Errorf("a second time: %+v, %v", again, err)
		}
		s.Raise(failed)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if p.took() != "raised"+strings.Repeat(" repeated", 8)+" acknowledged" || len(s.Unacknowledged("")) != 0 {
			t.Errorf("in hand: %s", p.took())
		}
		if _, err := s.Ack(t.Context(), attempt2, "sam@acme.example"); !errors.Is(err, ErrNotFound) {
			t.Errorf("one that isn't there: %v", err)
		}
	})
}

func TestOneAlertAFault(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		s := opened(t, db, nil)
		defer s.Close()
		with := func(change func(*recording.Alert)) recording.Alert {
			a := failed
			change(&a)
			return a
		}
		for _, a := range []recording.Alert{
			failed, failed,
			with(func(a *recording.Alert) { a.Text = "Said otherwise." }),
			with(func(a *recording.Alert) { a.Attempt = attempt2 }),
			with(func(a *recording.Alert) { a.Kind = recording.AlertUnknown }),
			{Kind: recording.AlertLog, Text: "x"}, {Kind: recording.AlertLog, Text: "x"},
			{Kind: recording.AlertNoProof, Platform: "acme", Text: "x"}, {Kind: recording.AlertNoProof, Platform: "acme", Text: "x"},
			{Kind: recording.AlertNoProof, Platform: "emea", Text: "x"},
			{Kind: recording.AlertOverdue, Platform: "acme", Agent: "jo@acme.example", Text: "x"},
		} {
			s.Raise(a)
			time.Sleep(time.Millisecond)
		}
		all := s.Unacknowledged("")
		var kinds []recording.AlertKind
		for _, a := range all {
			kinds = append(kinds, a.Kind)
		}
		if want := []recording.AlertKind{recording.AlertFailed, recording.AlertFailed, recording.AlertUnknown, recording.AlertLog, recording.AlertNoProof, recording.AlertNoProof,
			recording.AlertOverdue}; !slices.Equal(kinds, want) {
			t.Errorf("open, oldest first: %v", kinds)
		}
		if all[0].Text != failed.Text {
			t.Errorf("an attempt's: %q", all[0].Text)
		}
		if len(s.Unacknowledged("bill@acme.example")) != 3 || len(s.Unacknowledged("jo@acme.example")) != 1 || len(s.Unacknowledged("eve@acme.example")) != 0 {
			t.Error("an agent's own")
		}
		if s.Count(recording.AlertFailed) != 2 || s.Count(recording.AlertLog) != 1 || s.Count(recording.AlertLeak) != 0 {
			t.Error("counted")
		}
	})
}

func TestAFaultThatIsOver(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		s := opened(t, db, func(o *Options) { o.Post = p.take })
		defer s.Close()
		log := recording.Alert{Kind: recording.AlertLog, Text: "The log can't be written."}
		s.Settle(log) // there is none
		s.Raise(log)
		synctest.Wait()
		s.Settle(recording.Alert{Kind: recording.AlertLog})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if p.took() != "raised settled" || len(s.Unacknowledged("")) != 0 {
			t.Errorf("over: %s", p.took())
		}
		// Acknowledged, it is still told that it is over; and the next time is another fault.
		s.Raise(log)
		synctest.Wait()
		if _, err := s.Ack(t.Context(), s.Unacknowledged("")[0].ID, "sam@acme.example"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Raise(log)
		s.Settle(log)
		time.Sleep(time.Second)
		synctest.Wait()
		s.Raise(log)
		synctest.Wait()
		if p.took() != "raised settled raised acknowledged settled raised" {
			t.Errorf("again: %s", p.took())
		}
		page, err := s.List(t.Context(), Filter{})
		if err != nil || len(page.Items) != 3 || !page.Items[0].Open() || page.Items[1].SettledAt == nil || page.Items[1].AckedBy != "sam@acme.example" || page.Items[2].SettledAt == nil {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// A standing fault that got worse is said in other words.
func TestAFaultThatChanges(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		s := opened(t, db, func(o *Options) { o.Post = p.take })
		defer s.Close()
		aside, gone := recording.Alert{Kind: recording.AlertLog, Text: "Records are kept aside."}, recording.Alert{Kind: recording.AlertLog, Text: "Nothing is written down."}
		s.Raise(aside)
		time.Sleep(30 * time.Minute) // the next is 8 minutes away
		synctest.Wait()
		before := p.took()
		s.Raise(gone)
		if open := s.Unacknowledged(""); len(open) != 1 || open[0].Text != gone.Text {
			t.Errorf("%+v", open)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.took() != before+" repeated" {
			t.Errorf("told: %s, and before that it changed: %s", p.took(), before)
		}
		if _, err := s.Ack(t.Context(), s.Unacknowledged("")[0].ID, "sam@acme.example"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Raise(gone)
		if open := s.Unacknowledged(""); len(open) != 0 {
			t.Errorf("the same again: %+v", open)
		}
		s.Raise(aside)
		synctest.Wait()
		if open := s.Unacknowledged(""); len(open) != 1 || !strings.HasSuffix(p.took(), "acknowledged raised") {
			t.Errorf("another again: %+v, %s", open, p.took())
		}
	})
}

func TestARestart(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		run := func() *Alerts { return opened(t, db, func(o *Options) { o.Post = p.take }) }
		s := run()
		s.Raise(failed)
		s.Raise(recording.Alert{Kind: recording.AlertNoProof, Platform: "acme", Text: "x"})
		s.Raise(recording.Alert{Kind: recording.AlertUnknown, Attempt: attempt2, Text: "x"})
		synctest.Wait()
		for _, a := range s.Unacknowledged("") {
			if a.Kind != recording.AlertFailed {
				if _, err := s.Ack(t.Context(), a.ID, "sam@acme.example"); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.Settle(recording.Alert{Kind: recording.AlertUnknown, Attempt: attempt2})
		synctest.Wait()
		s.Close()
		p.ids, p.types = nil, nil

		time.Sleep(3 * time.Hour) // many repeats were due
		s = run()
		synctest.Wait()
		if p.took() != "repeated" {
			t.Errorf("at once, and once: %q", p.took())
		}
		s.Raise(failed)                                                                     // the dispatcher finds it, too
		s.Raise(recording.Alert{Kind: recording.AlertNoProof, Platform: "acme", Text: "x"}) // in hand
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		if open := s.Unacknowledged(""); p.took() != "repeated repeated" || len(open) != 1 || open[0].Repeated != 2 {
			t.Errorf("then: %q, %+v", p.took(), open)
		}
		s.Raise(recording.Alert{Kind: recording.AlertUnknown, Attempt: attempt2, Text: "x"}) // that was over
		if len(s.Unacknowledged("")) != 2 {
			t.Error("a new fault isn't raised")
		}
		s.Close()

		// A clock that went back years isn't waited for.
		if _, err := db.ExecContext(t.Context(), `UPDATE alert SET next = '2199-01-01T00:00:00.000000Z'`); err != nil {
			t.Fatal(err)
		}
		p.ids, p.types = nil, nil
		s = run()
		defer s.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if !strings.Contains(p.took(), "repeated") {
			t.Error("it isn't told again")
		}
	})
}

// What the webhook hadn't taken when the run ended, the next one delivers, as the same message.
func TestWhatWasNotDelivered(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := &post{err: errors.New("away")}
		s := opened(t, db, func(o *Options) { o.Post = p.take })
		s.Raise(failed)
		s.Raise(recording.Alert{Kind: recording.AlertLog, Text: "x"})
		synctest.Wait()
		s.Settle(recording.Alert{Kind: recording.AlertLog})
		id := s.Unacknowledged("")[0].ID
		time.Sleep(30 * time.Second)
		s.Close()
		p.refuse(nil)
		s = opened(t, db, func(o *Options) { o.Post = p.take })
		defer s.Close()
		synctest.Wait()
		if types := strings.Fields(p.took()); len(types) != 2 || !slices.Contains(types, "raised") || !slices.Contains(types, "settled") || !slices.Contains(p.ids, id+".1") {
			t.Errorf("delivered: %v as %v", types, p.ids)
		}
	})
}

func TestAFailingWebhook(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := &post{err: &webhook.Error{Err: errors.New("said no"), Result: webhook.Failing}}
		results := map[string]int{}
		s := opened(t, db, func(o *Options) { o.Post, o.Tried = p.take, func(r string) { results[r]++ } })
		defer s.Close()
		s.Raise(failed)
		time.Sleep(time.Hour)
		synctest.Wait()
		// 2, 4, 8, 16 and 32 seconds, then a minute, each with up to a quarter more.
		if p.tries < 45 || p.tries > 66 || results["failing"] != p.tries {
			t.Errorf("%d tries in an hour, %v", p.tries, results)
		}
		if trouble := s.Trouble(); trouble.Why == "" || trouble.Gone || time.Since(trouble.Since) != time.Hour {
			t.Errorf("%+v", trouble)
		}
		p.refuse(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if p.took() != "repeated" || s.Trouble() != (Trouble{}) { // the newest says it all
			t.Errorf("once it works: %q, %+v", p.took(), s.Trouble())
		}

		// It asks for an hour, and gets it.
		p.refuse(&webhook.Error{Err: errors.New("said no"), Result: webhook.Limited, RetryAfter: time.Hour})
		before := p.tries
		s.Raise(recording.Alert{Kind: recording.AlertLog, Text: "x"})
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if p.tries != before+1 {
			t.Errorf("%d tries before it may", p.tries-before)
		}
		p.refuse(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !strings.HasSuffix(p.took(), "repeated") {
			t.Errorf("after it: %q", p.took())
		}

		p.refuse(&webhook.Error{Err: errors.New("said no"), Result: webhook.Gone})
		s.Raise(recording.Alert{Kind: recording.AlertOverdue, Attempt: attempt2, Text: "x"})
		synctest.Wait()
		before = p.tries
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if !s.Trouble().Gone || p.tries != before || len(s.post.queue) != 0 {
			t.Errorf("gone: %+v, %d tries", s.Trouble(), p.tries-before)
		}
	})
}

// One message that is refused for what it says doesn't hold up the others, and those of alerts that need nobody end.
func TestARefusedMessageHoldsUpNoOther(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		s := opened(t, db, func(o *Options) {
			o.Post = func(ctx context.Context, id string, body []byte) error {
				if strings.Contains(string(body), attempt1) {
					return &webhook.Error{Err: errors.New("said no"), Result: webhook.Refused}
				}
				return p.take(ctx, id, body)
			}
		})
		defer s.Close()
		s.Raise(failed)
		s.Raise(recording.Alert{Kind: recording.AlertLog, Text: "x"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p.took() != "raised" {
			t.Errorf("taken: %q", p.took())
		}
		s.Settle(failed)
		s.Settle(recording.Alert{Kind: recording.AlertLog})
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if len(s.post.queue) != 0 || len(s.byID) != 0 {
			t.Errorf("%d messages and %d alerts are kept", len(s.post.queue), len(s.byID))
		}
	})
}

// A store that fails keeps nobody waiting and nothing from being told.
func TestAFailingStore(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		s := opened(t, db, func(o *Options) { o.Post = p.take })
		defer s.Close()
		s.Raise(failed)
		synctest.Wait()
		if _, err := db.ExecContext(t.Context(), `ALTER TABLE alert RENAME TO away`); err != nil {
			t.Fatal(err)
		}
		s.Raise(recording.Alert{Kind: recording.AlertLog, Text: "x"})
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.took() != "raised raised repeated repeated" {
			t.Errorf("told: %s", p.took())
		}
		page, err := s.List(t.Context(), Filter{Open: true})
		if err != nil || len(page.Items) != 2 {
			t.Errorf("open: %+v, %v", page, err)
		}
		if _, err := s.List(t.Context(), Filter{}); err == nil {
			t.Error("all are listed")
		}
		if _, err := s.Ack(t.Context(), page.Items[0].ID, "sam@acme.example"); err != nil || len(s.Unacknowledged("")) != 1 {
			t.Errorf("acknowledged: %v", err)
		}
		if _, err := db.ExecContext(t.Context(), `ALTER TABLE away RENAME TO alert`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM alert WHERE acked_by = 'sam@acme.example'`).Scan(&n); err != nil || n != 1 {
			t.Errorf("written at last: %d, %v", n, err)
		}
	})
}

// A store that hangs holds up nobody who raises, and the webhook for a moment only.
func TestAHangingStore(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		p := new(post)
		s := opened(t, db, func(o *Options) { o.Post = p.take })
		synctest.Wait()
		only, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.Raise(failed)
		s.Settle(recording.Alert{Kind: recording.AlertLog})
		if open := s.Unacknowledged("bill@acme.example"); len(open) != 1 || time.Since(began) != 0 {
			t.Errorf("%+v after %v", open, time.Since(began))
		}
		time.Sleep(2 * writeTime)
		synctest.Wait()
		if p.took() != "raised" || p.at[0].Sub(began) > writeTime {
			t.Errorf("told %q after %v", p.took(), p.at)
		}
		only.Close()
		s.Close()
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM alert`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d kept, %v", n, err)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	db := database(t, filepath.Join(t.TempDir(), "data.db"))
	defer db.Close()
	p := new(post)
	s := opened(t, db, func(o *Options) { o.Post = p.take })
	watched, stop := s.Watch()
	defer stop()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 25 {
				a := recording.Alert{Kind: recording.AlertFailed, Agent: fmt.Sprint(i), Attempt: fmt.Sprint(i, " ", j), Text: "x"}
				s.Raise(a)
				s.Raise(a)
				switch open := s.Unacknowledged(a.Agent); j % 3 {
				case 0:
					if _, err := s.Ack(t.Context(), open[len(open)-1].ID, "sam@acme.example"); err != nil {
						t.Error(err)
					}
				case 1:
					s.Settle(a)
				}
				if _, err := s.List(t.Context(), Filter{Limit: 5}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(s.Unacknowledged("")); n != 8*8 {
		t.Errorf("%d are open", n)
	}
	s.Close()
	if len(watched) == 0 {
		t.Error("nothing was watched")
	}
	again := opened(t, db, nil)
	defer again.Close()
	page, err := again.List(t.Context(), Filter{Limit: 1000})
	if err != nil || len(page.Items) != 8*25 || len(again.Unacknowledged("")) != 8*8 {
		t.Errorf("%d kept, %d open, %v", len(page.Items), len(again.Unacknowledged("")), err)
	}
}

func TestPages(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		var pruned int64
		s := opened(t, db, func(o *Options) { o.Retention, o.Pruned = 48*time.Hour, func(n int64) { pruned += n } })
		defer s.Close()
		for i := range 7 {
			s.Raise(recording.Alert{Kind: recording.AlertNoProof, Platform: fmt.Sprint("p", i/2), Agent: fmt.Sprint(i), Text: "x"}) // two at one moment
			if i%2 == 1 {
				time.Sleep(time.Second)
			}
		}
		for i := range 3 {
			if _, err := s.Ack(t.Context(), s.Unacknowledged(fmt.Sprint(i))[0].ID, "sam@acme.example"); err != nil {
				t.Fatal(err)
			}
		}
		for open, want := range map[bool]int{false: 7, true: 4} {
			var seen []string
			for f := (Filter{Open: open, Limit: 2}); ; {
				page, err := s.List(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range page.Items {
					if slices.Contains(seen, a.ID) || open && !a.Open() {
						t.Errorf("%+v is there twice, or isn't open", a)
					}
					seen = append(seen, a.ID)
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			if len(seen) != want {
				t.Errorf("open %v: %d alerts", open, len(seen))
			}
		}
		for _, cursor := range []string{"x", "fA", "MjAyNg"} {
			if _, err := s.List(t.Context(), Filter{Cursor: cursor}); !errors.Is(err, ErrCursor) {
				t.Errorf("%q: %v", cursor, err)
			}
		}
		time.Sleep(73 * time.Hour)
		synctest.Wait()
		page, err := s.List(t.Context(), Filter{})
		if err != nil || len(page.Items) != 4 || pruned != 3 {
			t.Errorf("after the retention %d, %d pruned, %v", len(page.Items), pruned, err)
		}
	})
}

func TestWhatIsHeard(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		var heard []string
		type key struct{}
		s := opened(t, db, func(o *Options) {
			o.Heard = func(ctx context.Context, what What, a recording.Alert) {
				heard = append(heard, fmt.Sprint(what, ctx.Value(key{}), a.AckedBy))
			}
		})
		watched, stop := s.Watch()
		slow, _ := s.Watch()
		s.Raise(failed)
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := s.Ack(context.WithValue(t.Context(), key{}, "asked"), s.Unacknowledged("")[0].ID, "sam@acme.example"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []string{"raised<nil>", "repeated<nil>", "acknowledgedaskedsam@acme.example"}; !slices.Equal(heard, want) {
			t.Errorf("heard: %q", heard)
		}
		var seen []*recording.Alert
		for range 3 {
			seen = append(seen, <-watched)
		}
		if seen[0].Repeated != 0 || seen[1].Repeated != 1 || seen[2].AckedAt == nil {
			t.Errorf("watched: %+v", seen)
		}
		stop()
		stop()
		if _, ok := <-watched; ok {
			t.Error("it goes on")
		}
		for i := range newsMost + 1 {
			s.Raise(recording.Alert{Kind: recording.AlertOverdue, Agent: fmt.Sprint(i), Text: "x"})
		}
		for range slow { // ends, because it fell behind
		}
		s.Close()
	})
}

// A flood is bounded, and a person hears that it was.
func TestAFlood(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		s := opened(t, db, nil)
		defer s.Close()
		for i := range openMost + 50 {
			s.Raise(recording.Alert{Kind: recording.AlertFailed, Attempt: fmt.Sprint(i), Text: "x"})
		}
		if len(s.Unacknowledged("")) != openMost {
			t.Errorf("%d open", len(s.Unacknowledged("")))
		}
		synctest.Wait()
		if s.lost != 0 {
			t.Error("it isn't said")
		}
	})
}

// Announcements are never held back, so one agent can make as many faults as it likes. They don't drown the others'.
func TestAFloodOfOneAgent(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		s := opened(t, db, nil)
		defer s.Close()
		for i := range openMost + 50 {
			s.Raise(recording.Alert{Kind: recording.AlertFailed, Agent: "mallory@acme.example", Attempt: fmt.Sprint(i), Text: "x"})
		}
		s.Raise(failed)
		if len(s.Unacknowledged(failed.Agent)) != 1 {
			t.Error("another agent's isn't told")
		}
		if got := len(s.Unacknowledged("mallory@acme.example")); got != openEach {
			t.Errorf("%d open of the one", got)
		}
	})
}

func TestNoCardNumberIsKeptOrSent(t *testing.T) {
	inTime(t, func(t *testing.T, db *sql.DB) {
		const card = "4111 1111 1111 1111"
		var sent []string
		s := opened(t, db, func(o *Options) {
			o.Post = func(_ context.Context, _ string, body []byte) error { sent = append(sent, string(body)); return nil }
		})
		defer s.Close()
		a := failed
		a.Text, a.Call = "Took "+card+"\nand more.\u202e", card
		s.Raise(a)
		synctest.Wait()
		got := s.Unacknowledged("")[0]
		if got.Text != "Took [card number removed] and more." || got.Call != "[card number removed]" || got.Attempt != attempt1 {
			t.Errorf("%+v", got)
		}
		if len(sent) != 1 || strings.Contains(sent[0], "1111 1111") {
			t.Errorf("sent: %s", sent)
		}
	})
}

func TestAMessage(t *testing.T) {
	s := &Alerts{o: Options{Link: "https://offrecord.example.com/alerts"}}
	at := time.Date(2026, 11, 21, 14, 3, 0, 0, time.UTC)
	a := failed
	a.ID, a.RaisedAt = attempt2, at
	for _, tt := range []struct {
		change     func(*recording.Alert)
		kind, text string
	}{
		{func(*recording.Alert) {}, "alert.raised", "bill@acme.example on acme: The pause didn't work: look in 8x8's own screen. https://offrecord.example.com/alerts"},
		{func(a *recording.Alert) { a.Repeated = 3 }, "alert.repeated", "Told 4 times, open since 14:03 UTC on 21 November: bill@acme.example on acme: The pause didn't work: look in 8x8's own screen. https://offrecord.example.com/alerts"},
		{func(a *recording.Alert) { a.AckedAt, a.AckedBy = &at, "sam@acme.example" }, "alert.acknowledged", "Acknowledged by sam@acme.example: bill@acme.example on acme: The pause didn't work: look in 8x8's own screen. https://offrecord.example.com/alerts"},
		{func(a *recording.Alert) { a.SettledAt = &at; a.Agent = "" }, "alert.settled", "Over: acme: The pause didn't work: look in 8x8's own screen. https://offrecord.example.com/alerts"},
	} {
		a := a
		tt.change(&a)
		id, body, err := s.message(a, 7)
		if err != nil || id != attempt2+".7" {
			t.Fatal(id, err)
		}
		var m struct {
			Type, Timestamp, Text string
			Data                  map[string]any
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		if m.Type != tt.kind || m.Text != tt.text || m.Data["id"] != attempt2 || m.Data["link"] == "" || m.Data["title"] != "A pause or resume didn't work" {
			t.Errorf("%s", body)
		}
	}
	for _, kind := range []recording.AlertKind{recording.AlertFailed, recording.AlertUnknown, recording.AlertOverdue, recording.AlertRestart, recording.AlertLog,
		recording.AlertNoProof, recording.AlertLeak, recording.AlertCheckpoint} {
		if Title(kind) == Title("") {
			t.Errorf("%s has no title", kind)
		}
	}
}

// A file keeps what a run knew.
func TestAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.db")
	db := database(t, path)
	s := opened(t, db, nil)
	s.Raise(failed)
	id := s.Unacknowledged("")[0].ID
	s.Close()
	db.Close()
	db = database(t, path)
	defer db.Close()
	s = opened(t, db, nil)
	defer s.Close()
	if open := s.Unacknowledged(""); len(open) != 1 || open[0].ID != id {
		t.Errorf("%+v", open)
	}
	if _, err := s.Ack(t.Context(), id, "sam@acme.example"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM alert WHERE acked <> ''`).Scan(&n); err != nil || n != 1 {
		t.Errorf("when Ack returned %d were acknowledged, %v", n, err)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("MjAyNi0xMS0yMVQxNDowMzowMC4wMDAwMDBafGE")
	f.Fuzz(func(t *testing.T, cursor string) {
		at, id, err := parseCursor(cursor)
		if err == nil && cursor != "" && (at.IsZero() || id == "" || len(format(at)) != len(stamp)) {
			t.Errorf("%q is %v and %q", cursor, at, id)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add("a\nb \u202e4111111111111111")
	f.Fuzz(func(t *testing.T, text string) {
		a := clean(recording.Alert{Text: text, Call: text, Agent: text})
		if strings.ContainsAny(a.Text+a.Call+a.Agent, "\n\r\u2028\u2029") || len(a.Agent) > maxText || len(cardnumber.Find(a.Text+"|"+a.Call)) > 0 {
			t.Errorf("%q became %+v", text, a)
		}
	})
}
