package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/secret"
	"offrecord/web/server"
)

type auditCommands struct {
	Verify auditVerify `cmd:"" help:"Check that no record was changed, added, removed or cut off; names the first bad one. Reads only, beside a running server too."`
	Export auditExport `cmd:"" help:"Write the log as JSON Lines with its checkpoints and public keys, to be verified anywhere. With --config the log says that it was exported, if it can be written."`
	Key    auditKey    `cmd:"" help:"Print the log's public key, for who verifies what it signed."`
}

// source says which log is meant.
type source struct {
	Config string `xor:"log" placeholder:"FILE" help:"The configuration: its store, its key and its checkpoint file are taken."`
	Store  string `xor:"log" placeholder:"FILE" help:"The store."`
	spool  string // the configuration's
}

type auditVerify struct {
	source
	Export      string `xor:"log" placeholder:"FILE" help:"An export instead of a store."`
	Checkpoints string `placeholder:"FILE" help:"Checkpoints that were kept elsewhere. Without any, a log that was cut at its own last checkpoint isn't told from a shorter one."`
	Key         string `placeholder:"FILE" help:"The log's public key, or its signing key, kept elsewhere. Without it, the log shows only that it agrees with itself."`
	Report      string `arg:"" optional:"" placeholder:"FILE" help:"A report of evidence instead, as a page or as JSON."`
}

type auditExport struct {
	source
	Output string `placeholder:"FILE" help:"Where to write; standard output without it. An existing file isn't overwritten."`
}

type auditKey struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration, whose key is meant."`
}

// find fills in the store, and from a configuration the key and the checkpoints that weren't given. It returns false after
// having said what is wrong.
func (s *source) find(key, checkpoints *string, complaints io.Writer) bool {
	if s.Config == "" {
		return true
	}
	c, ok := load(s.Config, complaints)
	if !ok {
		return false
	}
	if c.StoreFile == "" {
		fmt.Fprintln(complaints, "offrecord: the configuration has no store, so there is no log.")
		return false
	}
	s.Store, s.spool = c.StoreFile, c.Spool
	if *key == "" {
		if _, err := os.Stat(c.Audit.SigningKeyFile); err == nil {
			*key = c.Audit.SigningKeyFile
		}
	}
	if *checkpoints == "" && c.Audit.CheckpointFile != "" {
		if _, err := os.Stat(c.Audit.CheckpointFile); err == nil {
			*checkpoints = c.Audit.CheckpointFile
		}
	}
	return true
}

// open opens the store to read.
func (s source) open(complaints io.Writer) (*audit.Reader, bool) {
	if s.Store == "" {
		fmt.Fprintln(complaints, "offrecord: say which log: --config or --store.")
		return nil, false
	}
	if _, err := os.Stat(s.Store); err != nil { // SQLite's own words don't say which file
		fmt.Fprintln(complaints, "offrecord: opening the store:", err)
		return nil, false
	}
	r, err := audit.OpenReader(s.Store)
	if err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return nil, false
	}
	return r, true
}

// trust reads what is brought along to verify with.
func trust(key, checkpoints string) (audit.Trust, error) {
	var t audit.Trust
	if key != "" {
		text, err := os.ReadFile(key)
		if err != nil {
			return t, fmt.Errorf("reading the key: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "PRIVATE+KEY+") {
				if line, err = audit.PublicKey(secret.New(line)); err != nil {
					return t, err
				}
			}
			if line != "" {
				t.Keys = append(t.Keys, line)
			}
		}
		if len(t.Keys) == 0 {
			return t, fmt.Errorf("there is no key in %s", key)
		}
	}
	if checkpoints != "" {
		f, err := os.Open(checkpoints)
		if err != nil {
			return t, fmt.Errorf("reading the checkpoints: %w", err)
		}
		defer f.Close()
		if t.Checkpoints, err = audit.ReadCheckpoints(f); err != nil {
			return t, err
		}
		if len(t.Checkpoints) == 0 {
			return t, fmt.Errorf("there is no whole checkpoint in %s", checkpoints)
		}
	}
	return t, nil
}

func (v auditVerify) run(ctx context.Context, out, complaints io.Writer) int {
	if v.Report != "" {
		if v.Store != "" || v.Export != "" || v.Checkpoints != "" {
			return misused(complaints, errors.New("verify a report or a log: leave the report out, or --store, --export and --checkpoints"))
		}
		if v.Config != "" && !v.find(&v.Key, &v.Checkpoints, complaints) {
			return usage
		}
		return verifyReport(v.Report, v.Key, out, complaints)
	}
	if !v.find(&v.Key, &v.Checkpoints, complaints) {
		return usage
	}
	t, err := trust(v.Key, v.Checkpoints)
	if err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return usage
	}
	var report audit.Report
	var waiting int64
	var damaged int
	if v.Export != "" {
		f, openErr := os.Open(v.Export)
		if openErr != nil {
			fmt.Fprintln(complaints, "offrecord: opening the export:", openErr)
			return usage
		}
		defer f.Close()
		report, err = audit.Verify(bufio.NewReader(f), t)
	} else {
		r, ok := v.open(complaints)
		if !ok {
			return usage
		}
		defer r.Close()
		if report, err = r.Verify(ctx, t); err == nil && v.spool != "" {
			if waiting, damaged, err = r.Waiting(ctx, v.spool); errors.Is(err, fs.ErrNotExist) {
				err = nil // a log that was copied without it
			}
		}
	}
	var bad *audit.BadRecord
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(complaints, "offrecord: it was interrupted, so nothing is known.")
		return usage
	case errors.As(err, &bad):
		fmt.Fprintln(out, "bad", bad)
		return finding
	case err != nil:
		fmt.Fprintln(out, "bad", err)
		return finding
	}
	fmt.Fprintf(out, "good: records %d to %d, %d checkpoints\n", report.First, report.Last, report.Checkpoints)
	if after := report.Last - report.Vouched; after > 0 {
		fmt.Fprintf(out, "note: no checkpoint covers the last %d: they are linked, but who can write to the store could have added them, or cut others off\n", after)
	}
	if report.Unchecked > 0 {
		fmt.Fprintf(out, "note: %d of the checkpoints are of records that retention has removed\n", report.Unchecked)
	}
	if waiting > 0 || damaged > 0 {
		fmt.Fprintf(out, "note: %d records wait in the spool to be added, and %d parts of it can't be read: they are no part of this check\n", waiting, damaged)
	}
	if len(t.Keys) == 0 {
		fmt.Fprintln(out, "note: without --key the log shows only that it agrees with itself")
	}
	if len(t.Checkpoints) == 0 {
		fmt.Fprintln(out, "note: without --checkpoints a log that was cut at its own last checkpoint isn't told from a shorter one")
	}
	return good
}

func (x auditExport) run(ctx context.Context, out, complaints io.Writer) int {
	var key, checkpoints string
	if !x.find(&key, &checkpoints, complaints) {
		return usage
	}
	r, ok := x.open(complaints)
	if !ok {
		return usage
	}
	defer r.Close()
	to := out
	if x.Output != "" {
		f, err := os.OpenFile(x.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			fmt.Fprintln(complaints, "offrecord: creating the export:", err)
			return usage
		}
		defer f.Close()
		to = f
	}
	// Who exports takes away what people did, so it is written down. A log that can't be written is exported all the same: it may
	// be what somebody looks into.
	if x.Config != "" && key != "" {
		if err := noteExport(ctx, x.Config); err != nil {
			fmt.Fprintf(complaints, "note: that the log was exported couldn't be written into it: %s\n", printable(err.Error()))
		}
	}
	buffered := bufio.NewWriter(to)
	err := r.Export(ctx, buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if f, ok := to.(*os.File); err == nil && ok && x.Output != "" {
		err = f.Sync()
	}
	if err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return finding
	}
	return good
}

func noteExport(ctx context.Context, file string) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	return server.Note(ctx, c, audit.Record{Kind: audit.AuditRead, By: operator(), Role: audit.Admin, Client: audit.Server, Detail: audit.NewText("the log was exported")})
}

func (k auditKey) run(_ context.Context, out, complaints io.Writer) int {
	c, ok := load(k.Config, complaints)
	if !ok {
		return usage
	}
	t, err := trust(c.Audit.SigningKeyFile, "")
	switch {
	case c.Audit.SigningKeyFile == "":
		return misused(complaints, errors.New("the configuration has no store, so there is no log that a key would sign"))
	case errors.Is(err, fs.ErrNotExist):
		return misused(complaints, errors.New("there is no key yet: it is made at the server's first start"))
	case err != nil:
		return misused(complaints, err)
	}
	fmt.Fprintln(out, t.Keys[0])
	return good
}
