// Package program says how the program that runs in the browser is compiled: which package, for which platform and with
// which flags. The builder and the tests that ask what is linked share it, so that both speak of the same program.
//
// It only describes and starts the go command; what becomes of the result is the builder's business.
package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// Package is the browser's program, relative to the module's root.
	Package = "./wasm"

	// Gate is the most that the program may weigh on the wire, in bytes of brotli at its best quality. A panel that takes
	// long to arrive is a panel whose clock and words arrive after the card number.
	Gate = 1_600_000
)

// target is the environment that makes the go command build for the browser.
var target = [...]string{"GOOS=js", "GOARCH=wasm"}

// Env is the process's environment, aimed at the browser.
func Env() []string { return append(os.Environ(), target[:]...) }

// Build is the command that compiles the program to the file out; root is the module's root. Further linker flags, such as
// -dumpdep, come after the program's own.
func Build(ctx context.Context, root, out string, linker ...string) *exec.Cmd {
	// No symbol table, no paths of the machine and no commit: the same sources give the same bytes, so the hashed name of
	// the file changes only when the program does.
	ldflags := strings.Join(append([]string{"-s", "-w"}, linker...), " ")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", out, Package)
	cmd.Dir, cmd.Env = root, Env()
	return cmd
}

// Loader is the path of wasm_exec.js, the toolchain's own half of the program. It has to be of the toolchain that compiled
// the program.
func Loader(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking the go command for its GOROOT: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "lib", "wasm", "wasm_exec.js"), nil
}
