package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"offrecord/web/deletion"
	"offrecord/web/recordings"
)

type recordingsCommands struct {
	List   recordingsList   `cmd:"" help:"List recordings."`
	Get    recordingsGet    `cmd:"" help:"Fetch recordings into files, which it never overwrites. A broken connection is taken up again."`
	Delete recordingsDelete `cmd:"" help:"Delete recordings for good. It asks first, and the log says who deleted what."`
}

type recordingsList struct {
	account
	filters
	moments
	Format string `enum:"table,json,csv,xml" default:"table" help:"How to print: ${enum}."`
	Limit  int    `placeholder:"N" help:"At most so many."`
}

func (l recordingsList) run(ctx context.Context, out, complaints io.Writer) int {
	q, err := l.query(recordings.Files, l.moments)
	if err != nil {
		return misused(complaints, err)
	}
	a := l.open(complaints)
	if a == nil {
		return usage
	}
	defer a.Close()
	add, end := recordingsPrinter(out, l.Format)
	if err := each(a.Recordings(ctx, q), l.Limit, bar(out, complaints, "recordings", 0), add, end); err != nil {
		return failed(complaints, err)
	}
	return good
}

func recordingsPrinter(out io.Writer, format string) (add func(recordings.Recording) error, end func() error) {
	if format != "table" {
		w := recordings.NewWriter(out, recordings.Format(format), recordings.Files)
		return w.Recording, w.Close
	}
	t := newTable(out, "START:26", "LENGTH:8", "TYPE:19", "AGENT:12", "NUMBER:15", "CHANNEL:18", "FILE")
	return func(r recordings.Recording) error {
		return t.line(shown(r.Start), r.Duration, r.Type(), r.AgentID, r.PhoneNumber, r.Channel, r.Filename)
	}, t.to.Flush
}

type recordingsGet struct {
	account
	filters
	moments
	Output string   `default:"." placeholder:"FOLDER" help:"Where to put the files; - prints a single one."`
	Names  []string `arg:"" optional:"" help:"The files' names as the list has them. Without any, the filters choose."`
}

func (g recordingsGet) run(ctx context.Context, out, complaints io.Writer) int {
	a, names, status := chosen(ctx, g.account, g.filters, g.moments, g.Names, complaints)
	if a == nil {
		return status
	}
	defer a.Close()
	if g.Output == "-" && len(names) != 1 {
		return misused(complaints, fmt.Errorf("%d recordings can't be printed as one: name a folder with --output", len(names)))
	}
	if g.Output != "-" {
		if err := os.MkdirAll(g.Output, 0o700); err != nil {
			return misused(complaints, fmt.Errorf("the folder for the files can't be made: %w", err))
		}
	}
	for _, name := range names {
		to, err := a.get(ctx, name, g.Output, out, complaints)
		if err != nil {
			failed(complaints, err)
			if status = finding; ctx.Err() != nil || errors.Is(err, recordings.ErrDenied) || errors.Is(err, errReadUnnoted) {
				break
			}
			continue
		}
		if to != "" {
			fmt.Fprintln(out, to)
		}
	}
	return status
}

// chosen opens an account and says which recordings are meant, by their names or by filters; never all of them by mistake. A nil
// archive comes with the exit code.
func chosen(ctx context.Context, acc account, f filters, m moments, names []string, complaints io.Writer) (*archive, []string, int) {
	byFilter := !f.empty() || m != (moments{})
	if byFilter == (len(names) > 0) {
		return nil, nil, misused(complaints, errors.New("name the files, or choose them by filters, one of the two"))
	}
	q, err := f.query(recordings.Files, m)
	if err != nil {
		return nil, nil, misused(complaints, err)
	}
	a := acc.open(complaints)
	if a == nil || !byFilter {
		return a, names, map[bool]int{true: good, false: usage}[a != nil]
	}
	p := counted(complaints, "recordings", 0, false)
	defer p.end()
	for r, err := range a.Recordings(ctx, q) {
		if err != nil {
			a.Close()
			return nil, nil, failed(complaints, err)
		}
		names = append(names, r.Filename)
		p.add(1)
	}
	if len(names) == 0 {
		a.Close()
		fmt.Fprintln(complaints, "offrecord: no recording is as asked for.")
		return nil, nil, finding
	}
	return a, names, good
}

var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// get fetches one recording into a file of its own name, and returns where it is.
func (a *archive) get(ctx context.Context, name, folder string, out, complaints io.Writer) (string, error) {
	base := path.Base(name)
	if folder != "-" && !fileName.MatchString(base) {
		return "", fmt.Errorf("%q is no name for a file here", name)
	}
	final := filepath.Join(folder, base)
	if _, err := os.Lstat(final); folder != "-" && err == nil {
		return "", fmt.Errorf("%s is there already and isn't overwritten", final)
	}
	if err := a.reads(ctx, name, "a recording"); err != nil {
		return "", err
	}
	d, err := a.Open(ctx, name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer d.Close()
	p := counted(complaints, base, d.Size(), true)
	defer p.end()
	if folder == "-" {
		_, err := io.Copy(io.MultiWriter(out, p), d)
		return "", err
	}
	part, err := os.OpenFile(final+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("creating a file: %w", err)
	}
	defer os.Remove(part.Name())
	defer part.Close()
	if _, err := io.Copy(io.MultiWriter(part, p), d); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if err := errors.Join(part.Sync(), part.Close()); err != nil {
		return "", fmt.Errorf("writing a file: %w", err)
	}
	err = os.Link(part.Name(), final) // unlike a renaming, it overwrites nothing that was made meanwhile
	if err != nil && !errors.Is(err, os.ErrExist) {
		err = os.Rename(part.Name(), final) // a file system without links
	}
	if err != nil {
		return "", fmt.Errorf("naming a file: %w", err)
	}
	return final, nil
}

type recordingsDelete struct {
	account
	filters
	moments
	deleting
	Names []string `arg:"" optional:"" help:"The files' names as the list has them. Without any, the filters choose."`
}

func (d recordingsDelete) ask(ctx context.Context, in io.Reader, out, complaints io.Writer) int {
	a, names, status := chosen(ctx, d.account, d.filters, d.moments, d.Names, complaints)
	if a == nil {
		return status
	}
	defer a.Close()
	victims := make([]victim, len(names))
	for i, name := range names {
		victims[i] = victim{Thing: deletion.OfRecording(a, name)}
		if r, err := a.Recording(ctx, name); err == nil {
			victims[i].agent = r.AgentID
			victims[i].about = fmt.Sprintf("%s, %s, %s, agent %s, number %s", shown(r.Start), r.Duration, r.Type(), r.AgentID, r.PhoneNumber)
		}
	}
	return a.delete(ctx, victims, d.deleting, in, out, complaints)
}
