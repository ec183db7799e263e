// Package store is the database of everything that isn't the audit log: sessions, links, alerts, evidence.
//
// It is a file of its own, so that nothing here can hold up the log's writer, and so that the log's file stays exactly what
// it claims to be. Each package that keeps something has its own tables and its own migration, and reads no other's. What is
// needed to say what happened belongs into the log and not here: a lost file of this kind costs log-ins, links and computed
// verdicts, never a record.
package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the database at path, made for its owner alone if it isn't there, and brings it up to date. An empty path is a
// database in memory, which ends with the process. It has one connection: a transaction must not wait for anything but the
// disk.
func Open(ctx context.Context, path string) (*sql.DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening the data store: %w", err)
	}
	return db, nil
}

func open(ctx context.Context, path string) (*sql.DB, error) {
	address := "file::memory:?_pragma=foreign_keys(1)"
	if path != "" {
		// SQLite would make it for all to read; what it puts beside it takes after it.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
		address = file.String() + "?_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)&_txlock=immediate"
	}
	db, err := sql.Open("sqlite", address)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // also what keeps a database in memory
	db.SetConnMaxIdleTime(0)
	db.SetConnMaxLifetime(0)
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, folder)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}
