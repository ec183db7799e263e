package identity_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/identity"
	"offrecord/web/store"
)

func openStore(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// run is one start of the server: it returns its sessions and what ends it.
func run(t *testing.T, file string, d *identity.Directory) (*identity.Sessions, func()) {
	t.Helper()
	db := openStore(t, file)
	s := identity.OpenSessions(t.Context(), d, db, slog.New(slog.DiscardHandler))
	return s, func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		db.Close()
	}
}

func TestARestartLogsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data.db")
		s, end := run(t, file, everyone)
		begun := time.Now()
		kept := s.Begin(identity.SignIn{Email: "bill@acme.example", Way: identity.ByOIDC, Subject: "b1", SID: "s1"}, "")
		ended := s.Begin(as(jo), "")
		if err := s.End(ended); err != nil {
			t.Error(err)
		}
		forgotten := s.Begin(as(jo), "")
		framed := s.Begin(identity.SignIn{Email: "jo@acme.example", Way: identity.ByPopup}, "")
		time.Sleep(identity.MaxIdleFramed - time.Minute)
		if who, ok := s.Use(kept); !ok || who != bill {
			t.Fatal("it isn't known")
		}
		end()

		time.Sleep(2 * time.Minute)
		s, end = run(t, file, everyone)
		if who, ok := s.Use(kept); !ok || who != bill {
			t.Error("a restart ended it")
		}
		if in, _, ok := s.Look(kept); !ok || in.Subject != "b1" || in.SID != "s1" || in.Way != identity.ByOIDC {
			t.Errorf("%+v", in)
		}
		if _, ok := s.Use(forgotten); !ok {
			t.Error("a restart ended one that wasn't used since")
		}
		for name, token := range map[string]string{"one that was ended": ended, "a frame's, after its time": framed} {
			if _, ok := s.Use(token); ok {
				t.Errorf("a restart brought back %s", name)
			}
		}
		// The limits count from before the restart.
		time.Sleep(time.Until(begun.Add(identity.MaxIdle)))
		if _, ok := s.Use(kept); !ok {
			t.Error("it ended although it was used")
		}
		for time.Since(begun) < identity.MaxAge-time.Hour {
			time.Sleep(time.Hour)
			s.Use(kept)
		}
		end()
		s, end = run(t, file, everyone)
		if _, ok := s.Use(kept); !ok {
			t.Error("it ended before its whole time")
		}
		time.Sleep(time.Until(begun.Add(identity.MaxAge)))
		if _, ok := s.Use(kept); ok {
			t.Error("restarts lengthen its life")
		}
		end()

		// Who isn't in the configuration any more is out, and stays so.
		s, end = run(t, file, everyone)
		fresh := s.Begin(as(bill), "")
		end()
		s, end = run(t, file, identity.NewDirectory([]identity.Principal{jo}))
		if _, ok := s.Use(fresh); ok {
			t.Error("somebody who was taken out of the configuration is in")
		}
		end()
		s, end = run(t, file, everyone)
		if _, ok := s.Use(fresh); ok {
			t.Error("and in again")
		}
		again := s.Begin(as(bill), "")
		end()
		// A role is the configuration's, not the session's.
		s, end = run(t, file, identity.NewDirectory([]identity.Principal{{Email: "bill@acme.example", Role: identity.Supervisor}}))
		if who, ok := s.Use(again); !ok || who.Role != identity.Supervisor || who.Platform != "" {
			t.Errorf("%+v %v", who, ok)
		}
		end()
	})
}

func TestNoTokenIsInTheStore(t *testing.T) {
	db := openStore(t, "")
	defer db.Close()
	s := identity.OpenSessions(t.Context(), everyone, db, slog.New(slog.DiscardHandler))
	defer s.Close()
	token := s.Begin(as(bill), "")
	rows := 0
	err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM session WHERE email = 'bill@acme.example' AND length(hash) = 32 AND instr(hash, ?) = 0`, token).Scan(&rows)
	if err != nil || rows != 1 {
		t.Errorf("%d, %v", rows, err)
	}
}

// hold keeps the store's one connection until it is let go.
func hold(t *testing.T, db *sql.DB) (release func()) {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { conn.Close() })
}

func TestASlowStoreHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data.db")
		db := openStore(t, file)
		s := identity.OpenSessions(t.Context(), everyone, db, slog.New(slog.DiscardHandler))
		token := s.Begin(as(bill), "")
		other := s.Begin(as(jo), "")

		release := hold(t, db)
		time.Sleep(2 * time.Minute) // a use is due to be written
		began := time.Now()
		for range 1000 {
			if _, ok := s.Use(token); !ok {
				t.Fatal("logged out")
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("uses took %v", took)
		}
		during := s.Begin(as(bill), "")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a log-in took %v", took)
		}
		if err := s.End(other); err == nil {
			t.Error("a log-out that isn't written was called durable")
		}
		if _, ok := s.Use(other); ok {
			t.Error("a log-out waits for the store")
		}
		if whose, err := s.EndOf("nobody", ""); len(whose) != 0 || err == nil {
			t.Errorf("%v, %v", whose, err)
		}
		release()
		time.Sleep(10 * time.Second)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		db.Close()

		s, end := run(t, file, everyone)
		defer end()
		for name, token := range map[string]string{"before": token, "during": during} {
			if _, ok := s.Use(token); !ok {
				t.Errorf("the session that was begun %s is lost", name)
			}
		}
		if _, ok := s.Use(other); ok {
			t.Error("the log-out is lost")
		}
	})
}

func TestAStoreThatFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data.db")
	s, end := run(t, file, everyone)
	stored := s.Begin(as(jo), "")
	end()

	db := openStore(t, file)
	db.Close() // every use of it is an error now
	s = identity.OpenSessions(t.Context(), everyone, db, slog.New(slog.DiscardHandler))
	if _, ok := s.Use(stored); ok {
		t.Error("a store that can't be read signed somebody in")
	}
	token := s.Begin(as(bill), "")
	if _, ok := s.Use(token); !ok {
		t.Error("nobody can log in")
	}
	if whose, err := s.EndOf("b1", ""); len(whose) != 0 || err == nil {
		t.Errorf("sessions that were never read are said to be ended: %v, %v", whose, err)
	}
	if err := s.Close(); err == nil {
		t.Error("what wasn't written was called written")
	}
}

// A store that comes back brings back who was logged in, but for those who have logged out meanwhile.
func TestAStoreThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data.db")
		s, end := run(t, file, everyone)
		kept, ended := s.Begin(as(jo), ""), s.Begin(as(jo), "")
		end()
		db := openStore(t, file)
		release := hold(t, db)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s = identity.OpenSessions(ctx, everyone, db, slog.New(slog.DiscardHandler))
		if _, ok := s.Use(kept); ok {
			t.Error("known out of nothing")
		}
		s.End(ended)
		release()
		time.Sleep(time.Minute)
		if _, ok := s.Use(kept); !ok {
			t.Error("who was logged in is still out")
		}
		if _, ok := s.Use(ended); ok {
			t.Error("who logged out is in again")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		db.Close()
	})
}

func TestAProviderEndsSessions(t *testing.T) {
	s := identity.NewSessions(everyone)
	begin := func(subject, sid string) (string, <-chan struct{}) {
		token := s.Begin(identity.SignIn{Email: "bill@acme.example", Way: identity.ByOIDC, Subject: subject, SID: sid}, "")
		_, ended, ok := s.Look(token)
		if !ok {
			t.Fatal("it isn't there")
		}
		return token, ended
	}
	one, oneEnded := begin("b", "1")
	two, _ := begin("b", "2")
	three, _ := begin("b", "4")
	other, _ := begin("c", "3")
	demo := s.Begin(as(bill), "")
	tests := []struct {
		subject, sid string
		ends         bool
	}{{"", "", false}, {"b", "9", false}, {"c", "1", false}, {"", "1", true}, {"b", "1", false}, {"b", "", true}, {"", "3", true}}
	for _, tt := range tests {
		want := "[]"
		if tt.ends {
			want = "[bill@acme.example]"
		}
		if whose, err := s.EndOf(tt.subject, tt.sid); fmt.Sprint(whose) != want || err != nil {
			t.Errorf("%q %q: %v, %v", tt.subject, tt.sid, whose, err)
		}
	}
	select {
	case <-oneEnded:
	default:
		t.Error("who follows a session isn't told of its end")
	}
	for _, token := range []string{one, two, three, other} {
		if _, ok := s.Use(token); ok {
			t.Error("it lives")
		}
	}
	if _, ok := s.Use(demo); !ok {
		t.Error("a session of no provider's was ended")
	}
}

func TestATokenIsUsedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data.db")
		db := openStore(t, file)
		once := func(of, id string) bool {
			t.Helper()
			first, err := identity.NewUsed(db).Once(t.Context(), of, id, time.Now().Add(5*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			return first
		}
		if !once("crm", "1") || !once("crm", "2") || !once("other", "1") {
			t.Error("a new one was used")
		}
		if once("crm", "1") || once("other", "1") {
			t.Error("a used one is new")
		}
		var wins int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if first, err := identity.NewUsed(db).Once(t.Context(), "crm", "raced", time.Now().Add(time.Minute)); first && err == nil {
					mu.Lock()
					wins++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if wins != 1 {
			t.Errorf("%d of twenty were the first", wins)
		}
		db.Close()
		if first, err := identity.NewUsed(db).Once(t.Context(), "crm", "3", time.Now().Add(time.Minute)); first || err == nil {
			t.Error("without a store it is a first")
		}
		db = openStore(t, file)
		defer db.Close()
		if once("crm", "1") {
			t.Error("a restart forgot it")
		}
		time.Sleep(time.Hour)
		once("crm", "4")
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM used_token`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d are kept, %v", n, err)
		}
	})
}

func BenchmarkUse(b *testing.B) {
	var people []identity.Principal
	for i := range 1000 {
		people = append(people, identity.Principal{Email: fmt.Sprintf("a%d@acme.example", i)})
	}
	s := identity.NewSessions(identity.NewDirectory(people))
	token := s.Begin(as(people[500]), "")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Use(token)
		}
	})
}
