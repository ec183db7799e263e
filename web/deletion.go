package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/deletion"
	"offrecord/web/recordings"
	"offrecord/web/server"
)

// deleting is what a command that deletes asks of who gives it.
type deleting struct {
	DryRun bool   `help:"Say what would be deleted, and delete nothing."`
	Yes    bool   `help:"Don't ask. For scripts."`
	Reason string `placeholder:"TEXT" help:"Why; it goes into the log."`
}

// victim is what is to be deleted, and whose it is.
type victim struct {
	deletion.Thing
	agent string
	about string // for who is asked; empty if nothing could be found out
}

// delete deletes what was asked for: after it said what, was told to, and has written it down. What came of it is written down,
// too.
func (a *archive) delete(ctx context.Context, victims []victim, d deleting, in io.Reader, out, complaints io.Writer) int {
	what := victims[0].What + "s"
	if len(victims) == 1 {
		what = victims[0].What
	}
	for _, v := range victims {
		about := v.about
		if about == "" {
			about = "nothing is known of it"
		}
		fmt.Fprintf(out, "%s  %s\n", printable(v.Name), printable(about))
	}
	if d.DryRun {
		fmt.Fprintf(out, "%d %s would be deleted; nothing was.\n", len(victims), what)
		return good
	}
	if a.config.StoreFile == "" {
		return misused(complaints, errors.New("a deletion has to be written down, and the configuration has no store: add store: sqlite:offrecord.db"))
	}
	if !d.Yes {
		fmt.Fprintf(out, "Delete %d %s for good? Type %d to go on: ", len(victims), what, len(victims))
		if typed, _ := bufio.NewReader(in).ReadString('\n'); strings.TrimSpace(typed) != strconv.Itoa(len(victims)) {
			fmt.Fprintln(out)
			return misused(complaints, errors.New("nothing was deleted: a script says --yes"))
		}
	}
	p := bar(out, complaints, "deleted", len(victims))
	defer p.end()
	status, run := good, uuid.NewString()
	for _, v := range victims {
		ended, err := v.Carry(ctx, a.note(v.Name, v.agent, d.Reason, run), func(ctx context.Context, r audit.Record) error { return server.Note(ctx, a.config, r) })
		name := printable(v.Name)
		switch {
		case errors.Is(err, deletion.ErrNotNoted):
			return failed(complaints, err) // and nothing more is deleted
		case err != nil:
			fmt.Fprintf(out, "failed   %s\n", name)
			status = failed(complaints, err)
			if errors.Is(err, recordings.ErrDenied) || ctx.Err() != nil {
				return status
			}
		case ended.Outcome == recording.NotFound:
			fmt.Fprintf(out, "missing  %s\n", name)
			status = finding
		case ended.Remains != "":
			fmt.Fprintf(out, "deleted  %s: %s\n", name, printable(ended.Remains))
			status = finding
		case ended.Outcome == recording.Confirmed:
			fmt.Fprintf(out, "deleted  %s\n", name)
		default:
			fmt.Fprintf(out, "accepted %s: 8x8 took it, and couldn't be asked whether it is gone\n", name)
		}
		p.add(1)
	}
	return status
}
