package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cheggaaa/pb/v3"
	"github.com/google/uuid"
	"github.com/mattn/go-isatty"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
	"offrecord/web/server"
)

type recordingsCommands struct {
	List   recordingsList   `cmd:"" help:"List recordings."`
	Get    recordingsGet    `cmd:"" help:"Fetch recordings into files, which it never overwrites. A broken connection is taken up again."`
	Delete recordingsDelete `cmd:"" help:"Delete recordings for good. It asks first, and the log says who deleted what."`
}

// account says whose recordings are meant.
type account struct {
	Config   string `required:"" placeholder:"FILE" help:"The configuration, a YAML file."`
	Platform string `placeholder:"NAME" help:"The platform, by its name in the configuration; left out, the one that has a data_token_file."`
}

// filters choose records. The empty ones are all.
type filters struct {
	Date          string   `placeholder:"DATES" help:"A day or a range, whose end isn't part of it: 2007-08-05 · 2007-08-05,2007-08-07 · '2007-08-05 13:15Z,2007-08-07 14:30Z' · 20070805T1315Z,20070807T1430Z · today-1d,today."`
	TZ            string   `name:"tz" placeholder:"ZONE" help:"The time zone of days and of times without Z, such as America/New_York; left out, the tenant's."`
	Where         []string `sep:"none" placeholder:"FIELD=VALUE" help:"Only records whose field has this value, such as agentID=bill. Upper and lower case matter. Can be repeated."`
	MetadataName  string   `placeholder:"TEXT" help:"Only records with a metadata field whose name holds this text."`
	MetadataValue string   `placeholder:"TEXT" help:"Only records with a metadata field whose value holds this text."`
}

// moments are filters that recordings have and transcripts don't.
type moments struct {
	Started  string `xor:"moment" placeholder:"TIME" help:"Only recordings that began within 5 seconds of it."`
	Finished string `xor:"moment" placeholder:"TIME" help:"Only recordings that ended within 5 seconds of it."`
}

func (f filters) empty() bool {
	return f.Date == "" && len(f.Where) == 0 && f.MetadataName == "" && f.MetadataValue == ""
}

// query makes a query of what was typed.
func (f filters) query(k recordings.Kind, m moments) (q recordings.Query, err error) {
	q = recordings.Query{Zone: f.TZ, MetaName: f.MetadataName, MetaValue: f.MetadataValue}
	if f.Date != "" {
		if q.Dates, err = recordings.ParseDates(f.Date); err != nil {
			return q, err
		}
	}
	for _, moment := range []struct {
		typed string
		to    *recordings.Moment
	}{{m.Started, &q.Start}, {m.Finished, &q.Finish}} {
		if moment.typed == "" {
			continue
		}
		if *moment.to, err = recordings.ParseMoment(moment.typed); err != nil {
			return q, err
		}
	}
	for _, where := range f.Where {
		name, value, ok := strings.Cut(where, "=")
		if !ok {
			return q, fmt.Errorf("%q has no value: write it as agentID=bill", where)
		}
		field, err := k.ParseField(name)
		if err != nil {
			return q, err
		}
		if q.Where == nil {
			q.Where = map[recordings.Field]string{}
		}
		q.Where[field] = value
	}
	return q, q.Check(k)
}

// archive is an open account.
type archive struct {
	*recordings.Client
	config   *config.Config
	platform config.Platform
}

// open opens the account, or says what is wrong and returns nil.
func (a account) open(complaints io.Writer) *archive {
	c, ok := load(a.Config, complaints)
	if !ok {
		return nil
	}
	p, err := a.choose(c)
	if err == nil {
		var client *recordings.Client
		if client, err = server.Recordings(p, recordings.XML, upstream.Options{}); err == nil {
			return &archive{client, c, p}
		}
	}
	fmt.Fprintf(complaints, "offrecord: %v.\n", err)
	return nil
}

func (a account) choose(c *config.Config) (config.Platform, error) {
	if a.Platform != "" {
		p, ok := c.Platform(a.Platform)
		if !ok {
			return p, fmt.Errorf("the configuration has no platform %q", a.Platform)
		}
		return p, nil
	}
	var with []config.Platform
	var names []string
	for _, p := range c.Platforms {
		if !p.DataToken.IsZero() {
			with, names = append(with, p), append(names, p.Name)
		}
	}
	switch {
	case len(with) == 0:
		return config.Platform{}, errors.New("no platform has a data_token_file, which names the file that holds the tenant's Data Request Token: add it to one of kind 8x8")
	case len(with) > 1 && !sameArchive(with):
		return config.Platform{}, fmt.Errorf("several platforms have recordings: choose one with --platform %s", strings.Join(names, " or --platform "))
	}
	return with[0], nil
}

// sameArchive reports whether platforms are one tenant, named more than once for its routes.
func sameArchive(all []config.Platform) bool {
	for _, p := range all[1:] {
		if p.BaseURL.String() != all[0].BaseURL.String() || p.Tenant != all[0].Tenant || p.DataTenant != all[0].DataTenant {
			return false
		}
	}
	return true
}

// failed says what went wrong and returns the exit code.
func failed(complaints io.Writer, err error) int {
	fmt.Fprintf(complaints, "offrecord: %s.\n", printable(err.Error()))
	return finding
}

func misused(complaints io.Writer, err error) int {
	fmt.Fprintf(complaints, "offrecord: %s.\n", printable(err.Error()))
	return usage
}

// printable is a platform's text as a terminal may have it: no control characters, whose sequences move cursors and change
// titles, and nothing that reverses or hides what stands beside it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// progress is a bar on a terminal, and nothing elsewhere. It goes to where complaints go: what is printed stays what was asked for.
type progress struct{ bar *pb.ProgressBar }

// counted is a bar of so many things; of bytes if they are. Without a total it counts.
func counted(to io.Writer, what string, total int64, bytes bool) progress {
	f, ok := to.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return progress{}
	}
	template := `{{string . "what"}} {{counters .}} {{bar .}} {{rtime .}}`
	if total <= 0 {
		template = `{{string . "what"}} {{counters .}} {{etime .}}`
	}
	bar := pb.New64(total).SetTemplateString(template).Set("what", what).Set(pb.Bytes, bytes).SetWriter(f).Set(pb.CleanOnFinish, true)
	return progress{bar.Start()}
}

func (p progress) add(n int64) {
	if p.bar != nil {
		p.bar.Add64(n)
	}
}

// Write counts bytes.
func (p progress) Write(b []byte) (int, error) {
	p.add(int64(len(b)))
	return len(b), nil
}

func (p progress) end() {
	if p.bar != nil {
		p.bar.Finish()
	}
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

// bar counts what is printed line by line, unless the lines are seen to come.
func bar(out, complaints io.Writer, what string, total int) progress {
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return progress{}
	}
	return counted(complaints, what, int64(total), false)
}

// each prints what comes, and ends the print also after an error, so that what was printed can be read.
func each[T any](all iter.Seq2[T, error], limit int, p progress, add func(T) error, end func() error) (err error) {
	defer p.end()
	count := 0
	for one, err2 := range all {
		if err = err2; err != nil {
			break
		}
		if err = add(one); err != nil {
			break
		}
		p.add(1)
		if count++; count == limit {
			break
		}
	}
	return errors.Join(err, end())
}

// table prints lines of columns, as wide as their heads or what is usual for them.
type table struct {
	to     *bufio.Writer
	widths []int
}

func newTable(w io.Writer, columns ...string) table {
	t := table{to: bufio.NewWriter(w)}
	var names []any
	for _, c := range columns {
		name, width, _ := strings.Cut(c, ":")
		n, _ := strconv.Atoi(width)
		t.widths, names = append(t.widths, max(n, len(name))), append(names, name)
	}
	t.line(names...)
	return t
}

func (t table) line(cells ...any) error {
	for i, c := range cells {
		text := printable(fmt.Sprint(c))
		if i == len(cells)-1 {
			_, err := fmt.Fprintln(t.to, text)
			return err
		}
		fmt.Fprintf(t.to, "%-*s  ", t.widths[i], text)
	}
	return nil
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
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
	if err := a.reads(ctx, victim{name: name}, "a recording"); err != nil {
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

// deleting is what a command that deletes asks of who gives it.
type deleting struct {
	DryRun bool   `help:"Say what would be deleted, and delete nothing."`
	Yes    bool   `help:"Don't ask. For scripts."`
	Reason string `placeholder:"TEXT" help:"Why; it goes into the log."`
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
		victims[i] = victim{name: name, what: "recording", held: "the recording"}
		if r, err := a.Recording(ctx, name); err == nil {
			victims[i].agent = r.AgentID
			victims[i].about = fmt.Sprintf("%s, %s, %s, agent %s, number %s", shown(r.Start), r.Duration, r.Type(), r.AgentID, r.PhoneNumber)
		}
	}
	return a.delete(ctx, victims, d.deleting, in, out, complaints, a.DeleteRecording, func(ctx context.Context, name string) (bool, string, error) {
		_, err := a.Recording(ctx, name)
		if errors.Is(err, recordings.ErrNotFound) {
			return true, "", nil
		}
		return false, "", err
	})
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

// errReadUnnoted means that the log, which there is, couldn't be told who is about to read.
var errReadUnnoted = errors.New("it couldn't be written down, so it isn't read")

// reads writes down that somebody reads what may hold a card number, before it is read. Without a store there is no log for
// this, as there is none for anything else.
func (a *archive) reads(ctx context.Context, v victim, what string) error {
	if a.config.StoreFile == "" {
		return nil
	}
	r := a.note(v, "", uuid.NewString())
	r.Kind, r.Detail = audit.AuditRead, audit.NewText("read: "+what)
	if err := server.Note(ctx, a.config, r); err != nil {
		return fmt.Errorf("%s: %w: %w", what, errReadUnnoted, err)
	}
	return nil
}

// operator is who runs the command, and on which machine.
func operator() audit.ID {
	where := "unknown"
	if host, err := os.Hostname(); err == nil {
		where = host
	}
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	return audit.NewID(who + "@" + where)
}

// note is the record of a deletion by who runs the command, without what became of it.
func (a *archive) note(v victim, reason, run string) audit.Record {
	r := audit.Record{Kind: audit.Deletion, By: operator(), Role: audit.Admin, Client: audit.Server, Platform: audit.NewText(a.platform.Name),
		Agent: audit.NewID(v.agent), Call: audit.NewID(v.name), Reason: audit.NewText(reason), Request: audit.NewText(run)}
	for _, known := range a.config.Agents {
		if p, ok := a.config.Platform(known.Platform); ok && v.agent != "" && known.AgentID == v.agent && p.Tenant == a.platform.Tenant {
			r.Agent = audit.NewID(known.Email)
		}
	}
	return r
}
