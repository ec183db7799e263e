package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// harness lets the end-to-end tests' browser harness, which reports to a testing.TB, report to a program. What it doesn't
// implement the harness doesn't use.
type harness struct {
	testing.TB
	log      io.Writer
	cleanups []func()
	failed   bool
}

// failure is what ends a run early.
type failure struct{ text string }

func (f failure) Error() string { return f.text }

// run calls measure, cleans up after it, and returns how it failed.
func (h *harness) run(measure func()) (err error) {
	defer func() {
		for _, clean := range slices.Backward(h.cleanups) {
			clean()
		}
	}()
	defer func() {
		cause := recover()
		f, ours := cause.(failure)
		switch {
		case cause != nil && !ours:
			panic(cause)
		case ours:
			err = f
		case h.failed:
			err = failure{"a step failed; what it said is above"}
		}
	}()
	measure()
	return nil
}

func (h *harness) Name() string         { return "bench" }
func (h *harness) Helper()              {}
func (h *harness) Failed() bool         { return h.failed }
func (h *harness) Cleanup(clean func()) { h.cleanups = append(h.cleanups, clean) }

func (h *harness) Log(args ...any)                 { fmt.Fprintln(h.log, args...) }
func (h *harness) Logf(format string, args ...any) { fmt.Fprintf(h.log, format+"\n", args...) }

func (h *harness) Errorf(format string, args ...any) {
	h.failed = true
	h.Logf(format, args...)
}

func (h *harness) Fatal(args ...any)                 { panic(failure{fmt.Sprint(args...)}) }
func (h *harness) Fatalf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func (h *harness) TempDir() string {
	dir, err := os.MkdirTemp("", "offrecord-bench-")
	if err != nil {
		h.Fatalf("making a temporary folder: %v", err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) }) // a browser that is on its way out may still write
	return dir
}
