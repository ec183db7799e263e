package audit

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func deletion(file string) Record {
	return Record{Kind: Deletion, By: NewID("root"), Client: Server, Platform: NewText("acme"), Call: NewID(file), Reason: NewText("leak")}
}

// A command's records and the server's make one chain, and the server's health doesn't suffer for it.
func TestNotesBesideAServer(t *testing.T) {
	c := testConfig(t)
	c.OnStatus = func(s Status) { t.Errorf("the log's health changed: %+v", s) }
	l := open(t, c)
	const each = 20
	var all sync.WaitGroup
	all.Go(func() {
		for range each {
			put(t, l, begun("bill@acme.example", noon))
		}
	})
	for range 2 {
		all.Go(func() {
			for range each / 2 {
				if err := Note(context.Background(), c, deletion("a.wav"), deletion("b.wav")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := l.Checkpoint(context.Background()); err != nil {
		t.Error(err)
	}
	put(t, l, begun("bill@acme.example", noon))
	if r := verify(t, l); r.Last != 1+each+2*each+1 {
		t.Errorf("the log has %d records", r.Last)
	}
	page, err := l.Query(context.Background(), Filter{Kind: Deletion, Limit: 100})
	if err != nil || len(page.Items) != 2*each || page.Items[0].Call.String() != "b.wav" {
		t.Fatalf("%d deletions, %v", len(page.Items), err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Without a server, a note makes the log, and the next server goes on from it.
func TestNotesWithoutAServer(t *testing.T) {
	c := testConfig(t)
	c.HashIdentifiers = true
	if err := Note(context.Background(), c, deletion("a.wav")); err != nil {
		t.Fatal(err)
	}
	l := open(t, c)
	page, err := l.Query(context.Background(), Filter{Kind: Deletion})
	if err != nil || len(page.Items) != 1 || !strings.HasPrefix(page.Items[0].Call.String(), hashedPrefix) || page.Items[0].Time.IsZero() {
		t.Errorf("%+v, %v", page, err)
	}
	if r := verify(t, l); r.First != 1 || r.Last != 2 {
		t.Errorf("%+v", r)
	}
}

func TestWhatCantBeNotedIsAnError(t *testing.T) {
	c := testConfig(t)
	if err := Note(context.Background(), c, Record{Kind: "nonsense"}); err == nil {
		t.Error("nonsense was written")
	}
	if err := Note(context.Background(), c, deletion("a.wav")); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn(c.Store, "_txlock=exclusive"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := Note(context.Background(), c, deletion("b.wav")); err == nil {
		t.Error("a store that another holds was written")
	}
	wrong := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(wrong, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Store = wrong
	if err := Note(context.Background(), c, deletion("c.wav")); err == nil {
		t.Error("what is no store was written")
	}
}
