package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/andybalholm/brotli"
)

// A source is one file as it was written or compiled.
type source struct {
	name           string
	data           []byte
	compressedOnly bool // the plain bytes are not kept
}

// An asset is what became of a source: its name in dist, and its sizes in bytes.
type asset struct {
	name              string
	raw, gzip, brotli int64
}

// manifest is the file that says which hashed name each asset has.
const manifest = "manifest.json"

// pack writes the sources to dist under names that change with their content, compressed twice, with a manifest of the
// names. What a former run left there goes; what it left with the same content stays as it is, since the best compression
// takes a quarter of a minute.
func pack(dist string, sources []source) (map[string]asset, error) {
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of assets: %w", err)
	}
	assets := map[string]asset{}
	names := map[string]string{}
	keep := map[string]bool{".keep": true, manifest: true}
	for _, src := range sources {
		if _, twice := assets[src.name]; twice {
			return nil, fmt.Errorf("two assets are called %s", src.name)
		}
		a := asset{name: hashedName(src), raw: int64(len(src.data))}
		if !src.compressedOnly {
			if _, err := write(filepath.Join(dist, a.name), plain(src.data)); err != nil {
				return nil, err
			}
			keep[a.name] = true
		}
		var err error
		if a.gzip, err = write(filepath.Join(dist, a.name+".gz"), gzipped(src.data)); err != nil {
			return nil, err
		}
		if a.brotli, err = write(filepath.Join(dist, a.name+".br"), brotlied(src.data)); err != nil {
			return nil, err
		}
		keep[a.name+".gz"], keep[a.name+".br"] = true, true
		assets[src.name], names[src.name] = a, a.name
	}
	if err := writeManifest(filepath.Join(dist, manifest), names); err != nil {
		return nil, err
	}
	return assets, sweep(dist, keep)
}

// hashedName puts the content's hash before the extension: panel.css becomes panel.0123456789abcdef.css. Sixty-four bits
// tell builds apart; they are no proof of integrity.
func hashedName(src source) string {
	sum := sha256.Sum256(src.data)
	ext := path.Ext(src.name)
	return strings.TrimSuffix(src.name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
}

type encoder func(io.Writer) error

func plain(data []byte) encoder {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

func gzipped(data []byte) encoder {
	return func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		return errors.Join(second(z.Write(data)), z.Close())
	}
}

func brotlied(data []byte) encoder {
	return func(w io.Writer) error {
		z := brotli.NewWriterLevel(w, brotli.BestCompression)
		return errors.Join(second(z.Write(data)), z.Close())
	}
}

func second(_ int, err error) error { return err }

// write makes the file unless it is there, and returns its size. Its name holds the hash of its content, so a file that is
// there is the right one; it appears at once or not at all.
func write(file string, encode encoder) (int64, error) {
	info, err := os.Stat(file)
	if err == nil {
		return info.Size(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("looking for a former asset: %w", err)
	}
	var buf bytes.Buffer
	if err := encode(&buf); err != nil {
		return 0, fmt.Errorf("making %s: %w", filepath.Base(file), err)
	}
	return int64(buf.Len()), replace(file, buf.Bytes())
}

// writeManifest leaves a manifest that is right already untouched, so that the go command need not embed it anew.
func writeManifest(file string, names map[string]string) error {
	data, err := json.MarshalIndent(names, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	data = append(data, '\n')
	if former, err := os.ReadFile(file); err == nil && bytes.Equal(former, data) {
		return nil
	}
	return replace(file, data)
}

// replace puts a whole file in place in one step: a build that is cut off leaves no half asset behind.
func replace(file string, data []byte) error {
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return fmt.Errorf("writing an asset: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("putting an asset in place: %w", err)
	}
	return nil
}

// sweep removes what is in dist and not to be kept.
func sweep(dist string, keep map[string]bool) error {
	entries, err := os.ReadDir(dist)
	if err != nil {
		return fmt.Errorf("listing the assets: %w", err)
	}
	for _, entry := range entries {
		if keep[entry.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dist, entry.Name())); err != nil {
			return fmt.Errorf("removing a former asset: %w", err)
		}
	}
	return nil
}
