// Command build makes what the server serves to browsers: it compiles the program, takes the style sheet, the scripts and
// the icons beside it, names each by its content, compresses each as far as it goes, and leaves all in web/site/dist, where
// the server's package embeds it.
//
// It runs at build time only; the server may not import it. The same sources give the same files.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/js"

	"offrecord/web/site/build/program"
)

func main() {
	root := flag.String("root", ".", "the module's root")
	size := flag.Bool("size", false, "print the program's size, and fail if it is over the gate")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *root, *size, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, size bool, out io.Writer) error {
	sources, err := collect(ctx, root)
	if err != nil {
		return err
	}
	assets, err := pack(filepath.Join(root, "web", "site", "dist"), sources)
	if err != nil {
		return err
	}
	if size {
		return weigh(out, assets["app.wasm"])
	}
	return nil
}

// collect compiles the program and gathers everything that is served beside it.
func collect(ctx context.Context, root string) ([]source, error) {
	sources, err := static(filepath.Join(root, "web", "site", "static"))
	if err != nil {
		return nil, fmt.Errorf("reading the static sources: %w", err)
	}

	loader, err := program.Loader(ctx, root)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(loader)
	if err != nil {
		return nil, fmt.Errorf("reading the toolchain's loader: %w", err)
	}
	sources = append(sources, source{name: "wasm_exec.js", data: data})

	wasm, err := compile(ctx, root)
	if err != nil {
		return nil, err
	}
	// Every browser that runs the program takes brotli or gzip: seven megabytes that nobody asks for stay out of the server.
	return append(sources, source{name: "app.wasm", data: wasm, compressedOnly: true}), nil
}

// static reads the folder and what is below it. Folders only keep its sources in order: an asset is called by its file's name.
func static(folder string) ([]source, error) {
	var sources []source
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err == nil && entry.Name() == loader {
			data, err = minified(data)
		}
		sources = append(sources, source{name: entry.Name(), data: data})
		return err
	})
	return sources, err
}

// loader is what other companies' pages include: every byte of it is theirs to wait for.
const loader = "v1.js"

// minified is a script without what only people need: comments, spaces, the names of what is local.
func minified(script []byte) ([]byte, error) {
	m := minify.New()
	m.AddFunc("text/javascript", js.Minify)
	small, err := m.Bytes("text/javascript", script)
	if err != nil {
		return nil, fmt.Errorf("minifying %s: %w", loader, err)
	}
	return small, nil
}

func compile(ctx context.Context, root string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "offrecord-build-")
	if err != nil {
		return nil, fmt.Errorf("making room for the compiler: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "app.wasm")
	cmd := program.Build(ctx, root, file)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("compiling the browser's program (%s): %w", program.Package, err)
	}
	return os.ReadFile(file)
}

// weigh prints the program's size and returns an error if it is over the gate.
func weigh(out io.Writer, wasm asset) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "app.wasm\traw\tgzip\tbrotli\tgate\t")
	fmt.Fprintf(table, "\t%d\t%d\t%d\t%d\t\n", wasm.raw, wasm.gzip, wasm.brotli, program.Gate)
	if err := table.Flush(); err != nil {
		return err
	}
	if wasm.brotli > program.Gate {
		return fmt.Errorf("app.wasm is %d bytes over the gate: -ldflags=-dumpdep says what is linked and why", wasm.brotli-program.Gate)
	}
	return nil
}
