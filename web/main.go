// Command offrecord is the companion's server. It reads a configuration and runs; everything it can do is in the packages
// below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"offrecord/web/config"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/server"
)

// The exit codes.
const (
	good    = 0
	finding = 1 // something is wrong with what was looked at, or went wrong while running
	usage   = 2 // the command line or the configuration
)

type commands struct {
	Serve       serve               `cmd:"" help:"Run the server."`
	Check       check               `cmd:"" help:"Check a configuration, and each credential as far as that touches no recording."`
	Audit       auditCommands       `cmd:"" help:"Verify and export the log of what was asked for, done and refused."`
	Evidence    evidenceCommand     `cmd:"" help:"Listen to 8x8's recordings: was each pause silent? Exit 1 if one is audible."`
	Recordings  recordingsCommands  `cmd:"" help:"List, fetch and delete 8x8's call recordings."`
	Transcripts transcriptsCommands `cmd:"" help:"List, show, search and delete 8x8's chat transcripts."`
	Version     version             `cmd:"" help:"Print the version."`
}

type serve struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration, a YAML file."`
}

type check struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration, a YAML file."`
}

type version struct{}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// exit is what kong ends with; it is caught in run.
type exit int

func run(ctx context.Context, args []string, out, complaints io.Writer) int {
	return runWith(ctx, args, os.Stdin, out, complaints)
}

// runWith is run with what is typed.
func runWith(ctx context.Context, args []string, in io.Reader, out, complaints io.Writer) (status int) {
	defer func() {
		if cause := recover(); cause != nil {
			e, ok := cause.(exit)
			if !ok {
				panic(cause)
			}
			status = int(e)
		}
	}()
	parser, err := kong.New(new(commands), kong.Name("offrecord"), kong.Description("Takes a call recording off the record before the card number is spoken, and back on after."),
		kong.Writers(out, complaints), kong.UsageOnError(), kong.Exit(func(code int) { panic(exit(min(code, usage))) }))
	if err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return usage
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return usage
	}
	switch chosen := command.Selected().Target.Interface().(type) {
	case interface {
		run(ctx context.Context, out, complaints io.Writer) int
	}:
		return chosen.run(ctx, out, complaints)
	case interface { // asks before it goes on
		ask(ctx context.Context, in io.Reader, out, complaints io.Writer) int
	}:
		return chosen.ask(ctx, in, out, complaints)
	default:
		fmt.Fprintln(out, "offrecord", buildVersion())
		return good
	}
}

func load(file string, complaints io.Writer) (*config.Config, bool) {
	c, err := config.Load(file)
	if err == nil {
		return c, true
	}
	var findings config.Findings
	if errors.As(err, &findings) {
		for _, f := range findings {
			fmt.Fprintf(complaints, "%s: %s\n", file, f)
		}
	} else {
		fmt.Fprintln(complaints, "offrecord:", err)
	}
	return nil, false
}

func (s serve) run(ctx context.Context, out, complaints io.Writer) int {
	c, ok := load(s.Config, complaints)
	if !ok {
		return usage
	}
	m := &server.Main{Config: c, Version: buildVersion(), Log: slog.New(slog.NewJSONHandler(complaints, nil))}
	if err := m.Run(ctx); err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return finding
	}
	fmt.Fprintln(out, "listening", m.URL())
	status := good
	select {
	case <-ctx.Done():
	case err := <-m.Failed():
		fmt.Fprintln(complaints, "offrecord:", err)
		status = finding
	}
	if err := m.Close(); err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		status = finding
	}
	return status
}

func (s check) run(ctx context.Context, out, complaints io.Writer) int {
	c, ok := load(s.Config, complaints)
	if !ok {
		return usage
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(out, "%s: %s\n", s.Config, w)
	}
	checked, err := server.Check(ctx, c, upstream.Options{})
	if err != nil {
		fmt.Fprintln(complaints, "offrecord:", err)
		return usage
	}
	status := good
	for _, f := range checked {
		fmt.Fprintf(out, "%s (%s): %s: %s: %s\n", f.Platform, f.Kind, f.Credential, f.Verdict, f.Detail)
		if f.Verdict == platform.Bad {
			status = finding
		}
	}
	return status
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
