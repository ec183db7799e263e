package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"offrecord/web/site/build/program"
)

func TestPack(t *testing.T) {
	dist := t.TempDir()
	stale := filepath.Join(dist, "app.0000000000000000.wasm.br")
	for _, file := range []string{stale, filepath.Join(dist, ".keep")} {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	css, wasm := bytes.Repeat([]byte("a{b:c}"), 100), bytes.Repeat([]byte("\x00asm"), 100)
	sources := []source{{name: "panel.css", data: css}, {name: "app.wasm", data: wasm, compressedOnly: true}}

	assets, err := pack(dist, sources)
	if err != nil {
		t.Fatal(err)
	}

	var names map[string]string
	if err := json.Unmarshal(read(t, dist, "manifest.json"), &names); err != nil {
		t.Fatal(err)
	}
	for _, src := range sources {
		name := names[src.name]
		if name != assets[src.name].name || !strings.HasSuffix(name, filepath.Ext(src.name)) || name == src.name {
			t.Errorf("%s is called %q", src.name, name)
		}
		if got := unzip(t, read(t, dist, name+".gz")); !bytes.Equal(got, src.data) {
			t.Errorf("%s.gz has other content", name)
		}
		got, err := io.ReadAll(brotli.NewReader(bytes.NewReader(read(t, dist, name+".br"))))
		if err != nil || !bytes.Equal(got, src.data) {
			t.Errorf("%s.br has other content (%v)", name, err)
		}
		if _, err := os.Stat(filepath.Join(dist, name)); (err != nil) != src.compressedOnly {
			t.Errorf("the plain %s: %v", name, err)
		}
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("a former build's asset is still there")
	}
	if _, err := os.Stat(filepath.Join(dist, ".keep")); err != nil {
		t.Error("the file that keeps the folder in the checkout is gone")
	}
}

// The second run of the same sources writes nothing: neither the compression nor the embedding is done again.
func TestPackTwice(t *testing.T) {
	dist := t.TempDir()
	sources := []source{{name: "boot.js", data: []byte("1")}}
	if _, err := pack(dist, sources); err != nil {
		t.Fatal(err)
	}
	before := modified(t, dist)
	first, err := pack(dist, sources)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range modified(t, dist) {
		if before[name] != at {
			t.Errorf("%s was written again", name)
		}
	}
	if a := first["boot.js"]; a.gzip == 0 || a.brotli == 0 {
		t.Errorf("sizes of what was there already: %+v", a)
	}
}

func TestPackRefusesTwoOfAName(t *testing.T) {
	if _, err := pack(t.TempDir(), []source{{name: "a.js"}, {name: "a.js"}}); err == nil {
		t.Error("two assets of one name were packed")
	}
}

func TestWeigh(t *testing.T) {
	for _, tt := range []struct {
		brotli int64
		fails  bool
	}{{program.Gate, false}, {program.Gate + 1, true}} {
		var out strings.Builder
		if err := weigh(&out, asset{raw: 7, gzip: 6, brotli: tt.brotli}); (err != nil) != tt.fails {
			t.Errorf("%d bytes: %v", tt.brotli, err)
		}
		if !strings.Contains(out.String(), "brotli") {
			t.Errorf("printed %q", out.String())
		}
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func unzip(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func modified(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int64{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		times[entry.Name()] = info.ModTime().UnixNano()
	}
	return times
}
