// Command screenshots makes the README's pictures: it starts the demo as `make run` does, drives it in a browser as an agent
// would, and photographs what is there. Nothing on the pictures is drawn by hand but the captions.
//
// It drives the built binary and imports nothing of the server or the panel.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long all of it may take.
const patience = 3 * time.Minute

// heaviest is how large a picture may be, in bytes: a README is read on slow lines, too.
const heaviest = 300_000

func main() {
	root := flag.String("root", ".", "the module's `root`")
	binary := flag.String("offrecord", filepath.Join("bin", "offrecord"), "the companion's `binary`")
	to := flag.String("to", ".github", "the `folder` that the pictures go to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *root, *binary, *to, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, binary, to string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took longer than %v", patience))
	defer cancel()
	dir, err := os.MkdirTemp("", "offrecord-screenshots-")
	if err != nil {
		return fmt.Errorf("making a place for the demo: %w", err)
	}
	defer os.RemoveAll(dir) // a browser that is on its way out may still write
	at, stop, err := startDemo(ctx, root, binary, filepath.Join(dir, "demo"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	pictures, err := photograph(ctx, filepath.Join(dir, "profile"), at)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("making room for the pictures: %w", err)
	}
	for name, picture := range pictures {
		small, err := reduce(picture)
		if err != nil {
			return fmt.Errorf("reducing %s: %w", name, err)
		}
		if len(small) > heaviest {
			return fmt.Errorf("%s has %d bytes, and at most %d are wanted: show less on it", name, len(small), heaviest)
		}
		file := filepath.Join(to, name)
		if err := os.WriteFile(file, small, 0o644); err != nil {
			return fmt.Errorf("writing a picture: %w", err)
		}
		fmt.Fprintf(out, "%s %d bytes\n", file, len(small))
	}
	return nil
}

// startDemo builds the demo as binary and starts it with the companion. It returns the addresses that it prints, by their names, and what ends it.
func startDemo(ctx context.Context, root, companion, binary string) (at map[string]string, stop func() error, err error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./e2e/demo")
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("building the demo: %w\n%s", err, said)
	}
	var complaints bytes.Buffer
	demo := exec.Command(binary, "-offrecord", companion)
	demo.Stderr = &complaints
	// An interrupt in the terminal is for this program, which then ends the demo.
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := demo.StdoutPipe()
	if err == nil {
		err = demo.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("starting the demo: %w", err)
	}
	stop = func() error {
		if err := demo.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("ending the demo: %w", err)
		}
		if err := demo.Wait(); err != nil {
			return fmt.Errorf("the demo didn't end well: %w\n%s", err, &complaints)
		}
		return nil
	}
	at = map[string]string{}
	for lines := bufio.NewScanner(stdout); len(at) < 4 && lines.Scan(); {
		if name, url, ok := strings.Cut(lines.Text(), " "); ok {
			at[name] = url
		}
	}
	if len(at) < 4 {
		return nil, nil, errors.Join(errors.New("the demo didn't say where it is"), stop())
	}
	return at, stop, nil
}
