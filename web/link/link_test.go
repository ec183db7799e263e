package link_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/link"
	"offrecord/web/store"
)

const bill, jo = "bill@acme.example", "jo@acme.example"

func database(t testing.TB, file string) *sql.DB {
	t.Helper()
	db, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func open(t testing.TB, db *sql.DB) *link.Links {
	t.Helper()
	links, err := link.Open(t.Context(), db, 0)
	if err != nil {
		t.Fatal(err)
	}
	return links
}

func made(t testing.TB, links *link.Links, agent, purpose string, lifetime time.Duration) link.Link {
	t.Helper()
	x, err := links.Make(t.Context(), agent, purpose, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestALinkIsGoodForItsAgentAndNobodyElse(t *testing.T) {
	links := open(t, database(t, ""))
	x := made(t, links, bill, "  card ", 0)
	if x.Action != recording.Pause || x.Purpose != "card" || x.ExpiresAt.Sub(x.MadeAt) != link.Lifetime {
		t.Errorf("%+v", x)
	}
	other := made(t, links, bill, "bank account", 0)
	fragment := links.Fragment(x)
	id, signature, _ := strings.Cut(fragment, ".")
	_, otherSignature, _ := strings.Cut(links.Fragment(other), ".")
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(raw) != 32 || id != x.ID {
		t.Fatalf("%s: %v", fragment, err)
	}
	raw[31] ^= 1
	tests := []struct {
		name, agent, fragment string
		good                  bool
	}{
		{"its own", bill, fragment, true},
		{"its own, written otherwise", " Bill@ACME.example", fragment, true},
		{"a colleague's", jo, fragment, false},
		{"nobody's", "", fragment, false},
		{"another link's signature", bill, id + "." + otherSignature, false},
		{"one bit off", bill, id + "." + base64.RawURLEncoding.EncodeToString(raw), false},
		{"no signature", bill, id, false},
		{"an empty signature", bill, id + ".", false},
		{"a part of the signature", bill, fragment[:len(fragment)-2], false},
		{"a second encoding of the same", bill, fragment[:len(fragment)-1] + string(fragment[len(fragment)-1]+1), false},
		{"a line's end in it", bill, id + "." + signature[:10] + "\n" + signature[10:], false},
		{"padded", bill, fragment + "=", false},
		{"unknown", bill, "11111111-1111-4111-8111-111111111111." + signature, false},
		{"nothing", bill, "", false},
		{"a dot", bill, ".", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := links.Redeem(tt.agent, tt.fragment)
			if tt.good != (err == nil) || tt.good && got.ID != x.ID || !tt.good && !errors.Is(err, link.ErrInvalid) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestARevokedLinkIsNone(t *testing.T) {
	db := database(t, "")
	links := open(t, db)
	x, kept := made(t, links, bill, "card", 0), made(t, links, bill, "bank", 0)
	fragment := links.Fragment(x)
	if err := links.Revoke(t.Context(), x.ID); err != nil {
		t.Fatal(err)
	}
	for _, now := range []*link.Links{links, open(t, db)} {
		if _, err := now.Redeem(bill, fragment); !errors.Is(err, link.ErrInvalid) {
			t.Errorf("redeemed: %v", err)
		}
		if _, err := now.Get(x.ID); !errors.Is(err, link.ErrNotFound) {
			t.Errorf("found: %v", err)
		}
		if all := now.Of(bill); len(all) != 1 || all[0].ID != kept.ID {
			t.Errorf("%+v", all)
		}
	}
	// A disk that fails ends it all the same, for now, and says so.
	db.Close()
	if err := links.Revoke(t.Context(), kept.ID); err == nil {
		t.Error("stored without a store")
	}
	if _, err := links.Redeem(bill, links.Fragment(kept)); !errors.Is(err, link.ErrInvalid) {
		t.Errorf("redeemed: %v", err)
	}
}

func TestLinksOutliveARestartAndAreCounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data.db")
	db := database(t, file)
	links := open(t, db)
	x := made(t, links, bill, "card", 0)
	fragment := links.Fragment(x)
	for range 2 {
		if err := links.Used(t.Context(), x.ID); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	again := open(t, database(t, file))
	got, err := again.Redeem(bill, fragment)
	if err != nil || got.Uses != 2 || got.UsedAt == nil || !got.ExpiresAt.Equal(x.ExpiresAt) || again.Fragment(got) != fragment {
		t.Errorf("%+v, %v", got, err)
	}
	// A link is good while the store can't be written: only counting waits for a disk.
	if _, err := links.Redeem(bill, fragment); err != nil {
		t.Errorf("without a disk: %v", err)
	}
	if err := links.Used(t.Context(), x.ID); err == nil {
		t.Error("counted without a disk")
	}
	// Nothing in the store is a fragment that could be followed.
	_, signature, _ := strings.Cut(fragment, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(signature)
	for _, name := range []string{file, file + "-wal"} {
		if data, err := os.ReadFile(name); err == nil && (bytes.Contains(data, []byte(signature)) || bytes.Contains(data, raw)) {
			t.Errorf("%s holds the signature", name)
		}
	}
}

func TestLinksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := database(t, "")
		links := open(t, db)
		short, long, more := made(t, links, bill, "short", time.Hour), made(t, links, bill, "long", 0), made(t, links, bill, "more", 100*link.Lifetime)
		if !more.ExpiresAt.Equal(long.ExpiresAt) {
			t.Errorf("longer than links live: %s", more.ExpiresAt)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if _, err := links.Redeem(bill, links.Fragment(short)); err != nil {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := links.Redeem(bill, links.Fragment(short)); !errors.Is(err, link.ErrInvalid) {
			t.Errorf("at its end: %v", err)
		}
		if _, err := links.Get(short.ID); !errors.Is(err, link.ErrNotFound) {
			t.Errorf("at its end: %v", err)
		}
		// A new key comes with the season; what older ones signed stays good until it ends.
		fragment := links.Fragment(long)
		time.Sleep(100 * 24 * time.Hour)
		newer := made(t, links, bill, "newer", 0)
		if n := keys(t, db); n != 2 {
			t.Errorf("%d keys after a season", n)
		}
		again := open(t, db)
		for _, f := range []string{fragment, links.Fragment(newer)} {
			if _, err := again.Redeem(bill, f); err != nil {
				t.Errorf("after a rotation: %v", err)
			}
		}
		time.Sleep(link.Lifetime - 100*24*time.Hour)
		again = open(t, db)
		if _, err := again.Redeem(bill, fragment); !errors.Is(err, link.ErrInvalid) {
			t.Errorf("after a year: %v", err)
		}
		if all, n := again.Of(bill), keys(t, db); n != 1 || len(all) != 1 || all[0].ID != newer.ID {
			t.Errorf("%d keys, %+v", n, all)
		}
		db.Close() // its goroutines are of this bubble
	})
}

func keys(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM link_key`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatALinkMayBeFor(t *testing.T) {
	links := open(t, database(t, ""))
	for purpose, want := range map[string]string{
		"":                        "is missing",
		" \t":                     "is missing",
		strings.Repeat("é", 61):   "at most 60",
		"\xff":                    "at most 60",
		"a\nb":                    "one line",
		"a\u202eb":                "one line",
		"4111 1111 1111 1111 now": "card number",
	} {
		_, err := links.Make(t.Context(), bill, purpose, 0)
		var wrong link.PurposeError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "4111") {
			t.Errorf("%q: %v", purpose, err)
		}
	}
	for range 64 {
		made(t, links, bill, "card", 0)
	}
	if _, err := links.Make(t.Context(), bill, "card", 0); !errors.Is(err, link.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	made(t, links, jo, "card", 0)
	seen := map[string]bool{}
	for _, x := range links.Of(bill) {
		seen[x.ID] = true
	}
	if len(seen) != 64 {
		t.Errorf("%d ids", len(seen))
	}
}

func TestAStoreThatFails(t *testing.T) {
	db := database(t, "")
	links := open(t, db)
	if _, err := db.ExecContext(t.Context(), `INSERT INTO link_key (number, secret, made) VALUES (7, x'00', '2026-11-21T12:00:00Z')`); err != nil {
		t.Fatal(err)
	}
	if _, err := link.Open(t.Context(), db, 0); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged key: %v", err)
	}
	db.Close()
	if _, err := links.Make(t.Context(), bill, "card", 0); err == nil {
		t.Error("made without a store")
	}
	if _, err := link.Open(context.Background(), db, 0); err == nil {
		t.Error("opened without a store")
	}
}

func FuzzRedeem(f *testing.F) {
	db := database(f, "")
	links := open(f, db)
	x := made(f, links, bill, "card", 0)
	good := links.Fragment(x)
	f.Add(bill, "")
	f.Add(bill, x.ID+".")
	f.Add(jo, x.ID+".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add(bill, "00000000-0000-0000-0000-000000000000.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, agent, fragment string) {
		_, err := links.Redeem(agent, fragment)
		if fragment != good && err == nil {
			t.Errorf("%q is taken", fragment)
		}
		if _, err := links.Redeem(bill, good); err != nil {
			t.Errorf("the good one isn't taken any more: %v", err)
		}
	})
}
