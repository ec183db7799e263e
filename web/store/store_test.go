package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"offrecord/web/store"
)

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a folder?", "data.db")
	if _, err := store.Open(t.Context(), file); err == nil {
		t.Error("a folder that isn't there was no error")
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file, ""} { // a second time it is there already
		db, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM session`).Scan(&n); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
