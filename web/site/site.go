// Package site is what the server gives to a browser besides data: the page shells, and the assets under names that change
// with their content, compressed in advance.
//
// It knows nothing of agents or recordings; the builder in its folder runs at build time only and isn't imported.
package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
)

//go:embed all:dist all:static templates
var embedded embed.FS

// Prefix is where the assets are served.
const Prefix = "/assets/"

// Site holds every asset in memory. It doesn't change after New.
type Site struct {
	names  map[string]string // logical name, such as app.wasm, to the hashed one
	assets map[string]asset  // by hashed name
}

// asset is one file in its codings; plain is nil for what is kept compressed only.
type asset struct {
	contentType   string
	etag          string
	plain, br, gz []byte
}

// New loads what the builder made. Without it (the program was never built) the static sources are served under names made
// here, and the program is missing.
func New() (*Site, error) { return load(embedded) }

func load(files fs.FS) (*Site, error) {
	s := &Site{names: map[string]string{}, assets: map[string]asset{}}
	manifest, err := fs.ReadFile(files, "dist/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return s, s.loadStatic(files)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the assets' manifest: %w", err)
	}
	if err := json.Unmarshal(manifest, &s.names); err != nil {
		return nil, fmt.Errorf("reading the assets' manifest: %w", err)
	}
	for logical, name := range s.names {
		a := asset{contentType: contentType(name), etag: `"` + strings.TrimSuffix(name, path.Ext(name)) + `"`}
		for _, coding := range []struct {
			suffix string
			into   *[]byte
		}{{"", &a.plain}, {".br", &a.br}, {".gz", &a.gz}} {
			data, err := fs.ReadFile(files, "dist/"+name+coding.suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("reading the asset %s: %w", logical, err)
			}
			*coding.into = data
		}
		if a.plain == nil && a.br == nil && a.gz == nil {
			return nil, fmt.Errorf("the asset %s is in the manifest and nowhere else: build the assets again", logical)
		}
		s.assets[name] = a.smallest()
	}
	return s, nil
}

// loadStatic takes the sources as they are.
func (s *Site) loadStatic(files fs.FS) error {
	return fs.WalkDir(files, "static", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return fmt.Errorf("reading a static file: %w", err)
		}
		sum, logical, ext := sha256.Sum256(data), entry.Name(), path.Ext(file)
		name := strings.TrimSuffix(logical, ext) + "." + hex.EncodeToString(sum[:8]) + ext
		s.names[logical] = name
		s.assets[name] = asset{contentType: contentType(name), etag: `"` + strings.TrimSuffix(name, ext) + `"`, plain: data}
		return nil
	})
}

// smallest drops codings that save nothing.
func (a asset) smallest() asset {
	if a.plain != nil && len(a.gz) >= len(a.plain) {
		a.gz = nil
	}
	if a.plain != nil && len(a.br) >= len(a.plain) {
		a.br = nil
	}
	return a
}

// URL is where an asset is, by its logical name; empty if there is none.
func (s *Site) URL(logical string) string {
	if name, ok := s.names[logical]; ok {
		return Prefix + name
	}
	return ""
}

// contentType doesn't ask the system's tables, which differ from machine to machine.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".wasm":
		return "application/wasm"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".ts":
		return "text/plain; charset=utf-8" // type definitions; the system's tables know it as video
	case ".json":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// ServeHTTP serves an asset by its hashed name. A name's content never changes, so a browser may keep it for good.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, strings.TrimPrefix(r.URL.Path, Prefix), "public, max-age=31536000, immutable")
}

// ServeLatest serves an asset by its logical name, under an address that stays while its content changes.
func (s *Site) ServeLatest(w http.ResponseWriter, r *http.Request, logical string) {
	s.serve(w, r, s.names[logical], "public, max-age=300")
}

func (s *Site) serve(w http.ResponseWriter, r *http.Request, name, cache string) {
	a, ok := s.assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", cache)
	h.Set("Content-Type", a.contentType)
	h.Add("Vary", "Accept-Encoding")
	coding, body, err := a.choose(r.Header.Get("Accept-Encoding"))
	if err != nil {
		h.Del("Cache-Control")
		http.Error(w, "The asset is damaged.", http.StatusInternalServerError)
		return
	}
	etag := a.etag
	if coding != "" {
		h.Set("Content-Encoding", coding)
		etag = strings.TrimSuffix(etag, `"`) + "-" + coding + `"` // RFC 9110 8.8.3.3: each coding has its own
	}
	h.Set("ETag", etag)
	// http.ServeContent would leave the length out where there is a coding, and ranges of an asset are asked for by nobody.
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // who asked may be gone
	}
}

// choose picks the coding: the smallest that the client takes, else the plain bytes, made anew where only coded ones are kept.
func (a asset) choose(accept string) (coding string, body []byte, err error) {
	br, gz, identity := qualities(accept)
	switch {
	case a.br != nil && br > 0 && br >= gz && br >= identity:
		return "br", a.br, nil
	case a.gz != nil && gz > 0 && gz >= identity:
		return "gzip", a.gz, nil
	case a.br != nil && br > 0 && (identity == 0 || a.plain == nil):
		return "br", a.br, nil
	case a.gz != nil && gz > 0 && a.plain == nil:
		return "gzip", a.gz, nil
	case a.plain != nil:
		return "", a.plain, nil
	case a.br != nil:
		body, err = io.ReadAll(brotli.NewReader(bytes.NewReader(a.br)))
	default:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(a.gz)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	return "", body, err
}

// Has reports whether there is an asset of this hashed name.
func (s *Site) Has(name string) bool {
	_, ok := s.assets[name]
	return ok
}
