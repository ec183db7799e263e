package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/andybalholm/brotli"

	"offrecord/web/site/build/program"
)

//go:embed pages
var pages embed.FS

// buildHello compiles go-app's hello as the product's program is compiled, and compresses it as the builder does. The
// compression takes a while, so it is kept in dir under a name that changes with the program.
func buildHello(ctx context.Context, root, dir string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making room for hello: %w", err)
	}
	out := filepath.Join(dir, "hello.wasm")
	cmd := program.Build(ctx, root, out)
	last := len(cmd.Args) - 1
	if cmd.Args[last] != program.Package {
		return nil, fmt.Errorf("the builder's command doesn't end in its package any more: %s", cmd)
	}
	cmd.Args[last] = "./e2e/bench/hello"
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("compiling hello: %w", err)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("reading hello: %w", err)
	}
	sum := sha256.Sum256(wasm)
	kept := filepath.Join(dir, "hello."+hex.EncodeToString(sum[:8])+".wasm.br")
	if data, err := os.ReadFile(kept); err == nil {
		return data, nil
	}
	var packed bytes.Buffer
	z := brotli.NewWriterLevel(&packed, brotli.BestCompression)
	if _, err := z.Write(wasm); err != nil {
		return nil, fmt.Errorf("compressing hello: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing hello: %w", err)
	}
	if err := os.WriteFile(kept, packed.Bytes(), 0o644); err != nil {
		return nil, fmt.Errorf("keeping hello: %w", err)
	}
	return packed.Bytes(), nil
}

// helloSite serves hello as the panel is served: everything compressed in advance, the program preloaded and streamed.
func helloSite(ctx context.Context, root string, wasm []byte) (http.Handler, error) {
	loaderFile, err := program.Loader(ctx, root)
	if err != nil {
		return nil, err
	}
	loader, err := os.ReadFile(loaderFile)
	if err != nil {
		return nil, fmt.Errorf("reading the toolchain's loader: %w", err)
	}
	mux := http.NewServeMux()
	give := func(path, contentType string, plain, packed []byte) {
		if packed == nil {
			var b bytes.Buffer
			z := brotli.NewWriterLevel(&b, brotli.BestCompression)
			_, _ = z.Write(plain) // to memory
			_ = z.Close()
			packed = b.Bytes()
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Encoding", "br")
			_, _ = w.Write(packed)
		})
	}
	for _, f := range []struct{ path, file, contentType string }{
		{"/{$}", "pages/hello.html", "text/html; charset=utf-8"},
		{"/hello.js", "pages/hello.js", "text/javascript; charset=utf-8"},
	} {
		data, err := pages.ReadFile(f.file)
		if err != nil {
			return nil, err
		}
		give(f.path, f.contentType, data, nil)
	}
	give("/wasm_exec.js", "text/javascript; charset=utf-8", loader, nil)
	give("/hello.wasm", "application/wasm", nil, wasm)
	return mux, nil
}
