package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/recordings"
	"offrecord/web/server"
)

// deleting is what a command that deletes asks of who gives it.
type deleting struct {
	DryRun bool   `help:"Say what would be deleted, and delete nothing."`
	Yes    bool   `help:"Don't ask. For scripts."`
	Reason string `placeholder:"TEXT" help:"Why; it goes into the log."`
}

// victim is what is to be deleted.
type victim struct {
	name, what, agent string
	held              string // what is deleted of it, with its article
	about             string // for who is asked; empty if nothing could be found out
}

// The calls of a deletion: do asks for it, and gone looks whether it is, and what remains that nothing can be done about.
type (
	doDelete func(ctx context.Context, name string) (recordings.Deletion, error)
	lookGone func(ctx context.Context, name string) (gone bool, remains string, err error)
)

// delete deletes what was asked for: after it said what, was told to, and has written it down. What came of it is written down,
// too.
func (a *archive) delete(ctx context.Context, victims []victim, d deleting, in io.Reader, out, complaints io.Writer, do doDelete, gone lookGone) int {
	what := victims[0].what + "s"
	if len(victims) == 1 {
		what = victims[0].what
	}
	for _, v := range victims {
		about := v.about
		if about == "" {
			about = "nothing is known of it"
		}
		fmt.Fprintf(out, "%s  %s\n", printable(v.name), printable(about))
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
		ended, err := a.deleteOne(ctx, v, d.Reason, run, do, gone)
		name := printable(v.name)
		switch {
		case errors.Is(err, errNotNoted):
			return failed(complaints, err) // and nothing more is deleted
		case err != nil:
			fmt.Fprintf(out, "failed   %s\n", name)
			status = failed(complaints, err)
			if errors.Is(err, recordings.ErrDenied) || ctx.Err() != nil {
				return status
			}
		case ended.outcome == recording.NotFound:
			fmt.Fprintf(out, "missing  %s\n", name)
			status = finding
		case ended.remains != "":
			fmt.Fprintf(out, "deleted  %s: %s\n", name, printable(ended.remains))
			status = finding
		case ended.outcome == recording.Confirmed:
			fmt.Fprintf(out, "deleted  %s\n", name)
		default:
			fmt.Fprintf(out, "accepted %s: 8x8 took it, and couldn't be asked whether it is gone\n", name)
		}
		p.add(1)
	}
	return status
}

var errNotNoted = errors.New("it couldn't be written down, so no more is deleted")

// ending is what came of a deletion.
type ending struct {
	outcome recording.Outcome
	detail  string // a sentence for the log
	remains string
}

// deleteOne writes down that one is to be deleted, deletes it, looks whether it is gone, and writes that down.
func (a *archive) deleteOne(ctx context.Context, v victim, reason, run string, do doDelete, gone lookGone) (ending, error) {
	note := a.note(v, reason, run)
	note.Detail = audit.NewText("To be deleted: " + v.held + ".")
	if err := server.Note(ctx, a.config, note); err != nil {
		return ending{}, fmt.Errorf("%s: %w: %w", v.name, errNotNoted, err)
	}
	said, err := do(ctx, v.name)
	end, err := judge(ctx, v, said, err, gone)
	note.Outcome, note.Detail = end.outcome, audit.NewText(end.detail)
	var answered *recordings.Error
	if errors.As(err, &answered) && answered.Status != 0 {
		note.PlatformStatus = audit.NewText("HTTP " + strconv.Itoa(answered.Status))
	}
	// What was done is written down also if somebody has lost patience meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if noteErr := server.Note(ctx, a.config, note); noteErr != nil {
		return end, fmt.Errorf("%s: what came of it: %w: %w", v.name, errNotNoted, errors.Join(noteErr, err))
	}
	return end, err
}

// judge tells what came of a deletion from what 8x8 said, and from what it has now.
func judge(ctx context.Context, v victim, said recordings.Deletion, err error, gone lookGone) (ending, error) {
	var answered *recordings.Error
	switch {
	case errors.Is(err, recordings.ErrDenied):
		return ending{outcome: recording.Denied, detail: "8x8 refused the data token, nothing was deleted."}, err
	case errors.As(err, &answered) && answered.Sent && (answered.Status == 0 || answered.Status >= 500):
		return ending{outcome: recording.Unknown, detail: "It isn't known whether it was deleted: " + v.held + "."}, err
	case err != nil:
		return ending{outcome: recording.Failed, detail: "Nothing was deleted."}, err
	case said == recordings.Missing:
		return ending{outcome: recording.NotFound, detail: "8x8 has no such " + v.what + "."}, nil
	}
	isGone, remains, err := gone(ctx, v.name)
	switch {
	case err != nil:
		return ending{outcome: recording.Accepted, detail: "8x8 says that it was deleted: " + v.held + "."}, nil
	case !isGone:
		return ending{outcome: recording.Failed, detail: "8x8 says that it was deleted, and still has it: " + v.held + "."},
			fmt.Errorf("%s: 8x8 says that it was deleted, and still has it: look in 8x8's own screen", v.name)
	}
	end := ending{outcome: recording.Confirmed, detail: "Deleted, and seen to be gone: " + v.held + ".", remains: remains}
	if remains != "" {
		end.detail += " But " + remains + "."
	}
	return end, nil
}
