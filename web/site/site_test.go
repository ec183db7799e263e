package site

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/andybalholm/brotli"
)

var program = strings.Repeat("wasm wasm wasm ", 100)

func gzipped(text string) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	io.WriteString(z, text)
	z.Close()
	return buf.Bytes()
}

func brotlied(text string) []byte {
	var buf bytes.Buffer
	z := brotli.NewWriter(&buf)
	io.WriteString(z, text)
	z.Close()
	return buf.Bytes()
}

func built() fstest.MapFS {
	return fstest.MapFS{
		"dist/manifest.json":     {Data: []byte(`{"app.wasm":"app.00aa.wasm","panel.css":"panel.11bb.css","tiny.js":"tiny.22cc.js"}`)},
		"dist/app.00aa.wasm.br":  {Data: brotlied(program)},
		"dist/app.00aa.wasm.gz":  {Data: gzipped(program)},
		"dist/panel.11bb.css":    {Data: []byte(program)},
		"dist/panel.11bb.css.br": {Data: brotlied(program)},
		"dist/panel.11bb.css.gz": {Data: gzipped(program)},
		"dist/tiny.22cc.js":      {Data: []byte("1")},
		"dist/tiny.22cc.js.br":   {Data: brotlied("1")},
		"dist/tiny.22cc.js.gz":   {Data: gzipped("1")},
		"static/panel.css":       {Data: []byte("old")},
	}
}

func TestCodings(t *testing.T) {
	s, err := load(built())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ asset, accept, coding string }{
		{"app.wasm", "gzip, deflate, br, zstd", "br"},
		{"app.wasm", "gzip, deflate", "gzip"},
		{"app.wasm", "br;q=0.5, gzip;q=0.8", "gzip"},
		{"app.wasm", "br;q=0, gzip", "gzip"},
		{"app.wasm", "*", "br"},
		{"app.wasm", "*;q=0.1, br;q=0", "gzip"},
		{"app.wasm", "", ""}, // made anew: the plain bytes aren't kept
		{"app.wasm", "identity", ""},
		{"app.wasm", "identity;q=1, br;q=0.5", "br"},
		{"app.wasm", "br;q=nonsense", ""},
		{"panel.css", "br", "br"},
		{"panel.css", "identity;q=1, br;q=0.5", ""},
		{"panel.css", "", ""},
		{"panel.css", "BR;Q=1", "br"},
		{"panel.css", "x-gzip", "gzip"},
		{"tiny.js", "br, gzip", ""}, // coding it saves nothing
	}
	want := map[string]string{"app.wasm": program, "panel.css": program, "tiny.js": "1"}
	types := map[string]string{"app.wasm": "application/wasm", "panel.css": "text/css; charset=utf-8", "tiny.js": "text/javascript; charset=utf-8"}
	etags := map[string]string{}
	for _, tt := range tests {
		t.Run(tt.asset+" "+tt.accept, func(t *testing.T) {
			r := httptest.NewRequest("GET", s.URL(tt.asset), nil)
			if tt.accept != "" {
				r.Header.Set("Accept-Encoding", tt.accept)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			h := w.Header()
			if w.Code != 200 || h.Get("Content-Encoding") != tt.coding || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Type") != types[tt.asset] ||
				h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
				t.Fatalf("%d %v", w.Code, h)
			}
			var body io.Reader = w.Body
			switch tt.coding {
			case "br":
				body = brotli.NewReader(body)
			case "gzip":
				var err error
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := io.ReadAll(body); err != nil || string(text) != want[tt.asset] {
				t.Errorf("%d bytes, %v", len(text), err)
			}
			etag := h.Get("ETag")
			if of, there := etags[etag]; there && of != tt.asset+tt.coding {
				t.Errorf("%s is the tag of two", etag)
			}
			etags[etag] = tt.asset + tt.coding
			r.Header.Set("If-None-Match", etag)
			w = httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != 304 || w.Body.Len() != 0 {
				t.Errorf("with its tag: %d", w.Code)
			}
		})
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/assets/manifest.json", nil))
	if w.Code != 404 || s.Has("manifest.json") || s.Has("") {
		t.Errorf("the manifest is served: %d", w.Code)
	}
}

func TestWithoutTheBuilderTheSourcesAreServed(t *testing.T) {
	s, err := load(fstest.MapFS{"dist/.keep": {}, "static/panel.css": {Data: []byte("body{}")}, "static/icons/icon.svg": {Data: []byte("<svg/>")}})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL("app.wasm") != "" {
		t.Error("a program out of nothing")
	}
	url := s.URL("panel.css")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
	if w.Code != 200 || w.Body.String() != "body{}" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %s", url, w.Code, w.Body)
	}
	if s.URL("icon.svg") == "" {
		t.Error("no icon")
	}
}

func TestADamagedBuildIsNoticed(t *testing.T) {
	files := built()
	delete(files, "dist/app.00aa.wasm.br")
	delete(files, "dist/app.00aa.wasm.gz")
	if _, err := load(files); err == nil || !strings.Contains(err.Error(), "app.wasm") {
		t.Errorf("%v", err)
	}
	files = built()
	files["dist/manifest.json"] = &fstest.MapFile{Data: []byte("{")}
	if _, err := load(files); err == nil {
		t.Error("a manifest that is none was taken")
	}
}

func TestThePagesSayThatTheProgramIsMissing(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{"built": built(), "not built": {"static/panel.css": {}, "dist/.keep": {}}} {
		s, err := load(files)
		if err != nil {
			t.Fatal(err)
		}
		pages, err := NewPages(s)
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if err := pages.Write(&page, PanelPage{Panel: "<main></main>", View: map[string]string{"Agent": "</script><script>alert(1)</script>"}}); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(page.String(), "was not built"); said != (name == "not built") {
			t.Errorf("%s: %s", name, &page)
		}
		if strings.Contains(page.String(), "<script>alert") {
			t.Errorf("the view ends its element: %s", &page)
		}
		if err := pages.Write(&page, 7); err == nil {
			t.Error("a page of nothing")
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip, br", "*;q=0", "br;q=1.0;x, ;,=", "identity;q=NaN"} {
		f.Add(seed)
	}
	s, err := load(built())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		r := httptest.NewRequest("GET", s.URL("app.wasm"), nil)
		r.Header["Accept-Encoding"] = []string{accept}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%d", w.Code)
		}
	})
}
