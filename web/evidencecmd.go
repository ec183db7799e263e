package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"offrecord/web/config"
	"offrecord/web/evidence"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
	"offrecord/web/server"
	"offrecord/web/store"
)

type evidenceCommand struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration, a YAML file."`
	From   string `placeholder:"DAY" help:"The first day, in UTC, or a time in RFC 3339. Yesterday by default."`
	To     string `placeholder:"DAY" help:"The last day, which is included, or a time, which isn't. Now by default."`
	Every  bool   `help:"Listen to recordings of calls without a pause, too: silences that no pause explains are found so."`
	Known  bool   `help:"Don't listen again where what is known is final."`
	Format string `enum:"table,json,html" default:"table" help:"How to print: ${enum}. json and html are reports signed with the log's key."`
	Out    string `placeholder:"FILE" help:"Where to write; standard output without it. An existing file isn't overwritten."`
}

// day reads a day or a time; a day that ends a period is included.
func day(s string, last bool) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if last {
			t = t.AddDate(0, 0, 1)
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a day such as 2026-11-20 nor a time such as 2026-11-20T09:00:00Z", s)
	}
	return t.UTC(), nil
}

func (e evidenceCommand) period(now time.Time) (from, to time.Time, err error) {
	from, to = now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1), now.UTC()
	if e.From != "" {
		if from, err = day(e.From, false); err != nil {
			return from, to, fmt.Errorf("--from: %w", err)
		}
	}
	if e.To != "" {
		if to, err = day(e.To, true); err != nil {
			return from, to, fmt.Errorf("--to: %w", err)
		}
	}
	return from, to, nil
}

func (e evidenceCommand) run(ctx context.Context, out, complaints io.Writer) int {
	c, ok := load(e.Config, complaints)
	if !ok {
		return usage
	}
	from, to, err := e.period(time.Now())
	if err == nil {
		err = evidence.Request{From: from, To: to}.Check()
	}
	if err == nil && c.StoreFile == "" {
		err = errors.New("the configuration has no store, so there is no log whose pauses could be looked for")
	}
	if err != nil {
		return misused(complaints, err)
	}
	if _, err := os.Lstat(e.Out); e.Out != "" && err == nil { // said before hours are listened to
		return failed(complaints, fmt.Errorf("creating the report: %s exists and isn't overwritten", e.Out))
	}
	log, ok := source{Store: c.StoreFile}.open(complaints)
	if !ok {
		return usage
	}
	defer log.Close()
	db, err := store.Open(ctx, c.DataFile)
	if err != nil {
		return failed(complaints, err)
	}
	defer db.Close()
	kept := evidence.NewStore(db)
	checker, platforms, err := server.EvidenceOffline(c, log, kept, upstream.Options{})
	if err != nil {
		return misused(complaints, err)
	}
	defer checker.Close()
	if len(checker.Platforms) == 0 {
		return misused(complaints, errors.New("no platform's recordings can be asked for: that takes one of kind 8x8 with a data_token_file, which names the file of the tenant's Data Request Token"))
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); watch(watching, checker, complaints) }()
	run, err := checker.Run(ctx, evidence.Request{From: from, To: to, Cause: "command", By: operator().String(), Every: e.Every, Again: !e.Known})
	stop()
	<-watched
	switch {
	case errors.Is(err, evidence.ErrBusy):
		return failed(complaints, errors.New("a run is under way, here or in the server: wait until it has ended"))
	case err != nil:
		return failed(complaints, err)
	}
	for _, p := range run.Problems {
		fmt.Fprintf(complaints, "offrecord: %s\n", printable(p))
	}
	items, err := kept.Items(ctx, evidence.Choice{From: from, To: to})
	if err != nil {
		return failed(complaints, err)
	}
	if err := e.write(c, evidence.NewReport(from, to, time.Now(), operator().String(), buildVersion(), platforms, items), out); err != nil {
		return failed(complaints, err)
	}
	status := good
	if len(run.Problems) > 0 {
		status = finding
	}
	for _, x := range items {
		if x.Verdict == evidence.Audible {
			status = finding
		}
	}
	return status
}

// watch shows how far a run is, on a terminal.
func watch(ctx context.Context, checker *evidence.Checker, complaints io.Writer) {
	p := counted(complaints, "recordings", 0, false)
	defer p.end()
	each := time.NewTicker(200 * time.Millisecond)
	defer each.Stop()
	for last := 0; ; {
		select {
		case <-each.C:
			if run, ok := checker.Current(); ok {
				p.add(int64(run.Recordings - last))
				last = run.Recordings
			}
		case <-ctx.Done():
			return
		}
	}
}

func (e evidenceCommand) write(c *config.Config, r evidence.Report, out io.Writer) error {
	to := out
	if e.Out != "" {
		f, err := os.OpenFile(e.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("creating the report: %w", err)
		}
		defer f.Close()
		to = f
	}
	if e.Format == "table" {
		return e.table(r, to)
	}
	text, err := os.ReadFile(c.Audit.SigningKeyFile)
	if err != nil {
		return fmt.Errorf("reading the log's signing key: %w", err)
	}
	make := r.JSON
	if e.Format == "html" {
		make = r.HTML
	}
	body, err := make(secret.New(strings.TrimSpace(string(text))))
	if err != nil {
		return err
	}
	_, err = to.Write(body)
	return err
}

func (e evidenceCommand) table(r evidence.Report, to io.Writer) error {
	t := newTable(to, "WHEN (UTC):19", "AGENT:26", "VERDICT:24", "CHECKED:23", "CLOCKS:9", "WHAT THE TAPE SHOWS")
	clock := func(ms int64) string {
		return fmt.Sprintf("%d:%02d.%03d", ms/60000, ms/1000%60, ms%1000)
	}
	for _, v := range r.Items {
		checked := "-"
		if v.Checked != nil {
			checked = clock(v.Checked.FromMS) + " to " + clock(v.Checked.ToMS)
		}
		t.line(v.At.Format("2006-01-02 15:04:05"), v.Agent, v.Verdict.Title(), checked, fmt.Sprintf("±%d ms", v.UncertaintyMS), v.Reason)
	}
	if len(r.Items) == 0 {
		fmt.Fprintln(t.to, "(nothing was paused in this period)")
	}
	counts := []string{}
	for _, v := range evidence.Verdicts() {
		if n := r.Verdicts[v]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, strings.ToLower(v.Title())))
		}
	}
	fmt.Fprintf(t.to, "%s. Screen recordings: %s.\n", cmp.Or(strings.Join(counts, ", "), "nothing found"), r.Screen)
	for _, p := range r.Platforms {
		if p.Note != "" {
			fmt.Fprintf(t.to, "%s: %s.\n", printable(p.Name), p.Note)
		}
	}
	return t.to.Flush()
}

// verifyReport checks a report of evidence, or a file that is none.
func verifyReport(file, key string, out, complaints io.Writer) int {
	body, err := os.ReadFile(file)
	if err != nil {
		return misused(complaints, fmt.Errorf("opening the report: %w", err))
	}
	t, err := trust(key, "")
	if err != nil {
		return misused(complaints, err)
	}
	v, err := evidence.VerifyReport(body, t.Keys...)
	switch {
	case errors.Is(err, evidence.ErrNotReport):
		return misused(complaints, fmt.Errorf("%s: %w", file, err))
	case err != nil:
		fmt.Fprintln(out, "bad", err)
		return finding
	}
	signed := fmt.Sprintf("signed by %s on %s", v.Origin, v.Time.UTC().Format("2006-01-02 at 15:04:05 UTC"))
	if v.Keyless { // whoever forges one signs it, too
		fmt.Fprintf(out, "not proven: an evidence report that is as it was %s, by a key that it names itself: bring the log's with --key\n", signed)
		return finding
	}
	fmt.Fprintf(out, "good: an evidence report, %s\n", signed)
	if v.Format == "json" {
		counts, _ := json.Marshal(v.Report.Verdicts)
		fmt.Fprintf(out, "%s to %s: %s\n", v.Report.From.Format(time.RFC3339), v.Report.To.Format(time.RFC3339), counts)
	}
	return good
}
