package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"

	"offrecord/e2e/bench/figures"
)

// good is a result that passes every bar.
func good() *result {
	return &result{
		rivalFirst: figures.Series{160}, rivalSecond: figures.Series{40}, cold: figures.Series{160}, warm: figures.Series{40},
		paint: figures.Series{200}, earlyClick: figures.Series{210}, earlyEffect: figures.Series{400}, mounted: figures.Series{600},
		helloPaint: figures.Series{180}, helloMounted: figures.Series{500},
		bytes: figures.Series{1.6e6}, wasm: figures.Series{1.55e6}, helloBytes: figures.Series{1.45e6}, helloWasm: figures.Series{1.43e6},
		bareWork: figures.Series{20}, embedWork: figures.Series{60}, bareShift: figures.Series{0}, embedShift: figures.Series{0},
		loader: figures.Series{4600}, focus: figures.Series{50},
		once: 1,
	}
}

func TestEachBarCanBeMissed(t *testing.T) {
	o := options{samples: 1, rtt: 50 * time.Millisecond}
	for _, tt := range []struct {
		bar   string
		spoil func(*result)
	}{
		{"", func(*result) {}},
		{"warm / the sample's first", func(r *result) { r.rivalFirst, r.cold = figures.Series{100}, figures.Series{100} }},
		{"warm / the sample's second", func(r *result) { r.warm = figures.Series{43} }},
		{"cold / the sample's first", func(r *result) { r.cold = figures.Series{170} }},
		{"clicks at first paint", func(r *result) { r.once = 0 }},
		{"mounted / go-app's hello", func(r *result) { r.mounted = figures.Series{651} }},
		{"focus in another company's page", func(r *result) { r.focus = figures.Series{90} }},
		{"the loader, bytes", func(r *result) { r.loader = figures.Series{5001} }},
		{"the loader's work", func(r *result) { r.embedWork = figures.Series{121} }},
		{"pages of another company", func(r *result) { r.embedShift = figures.Series{0.001} }},
		{"the program, MB", func(r *result) { r.wasm = figures.Series{1.61e6} }},
		{"the program, MB", func(r *result) { r.wasm = nil }},
	} {
		r := good()
		tt.spoil(r)
		var out strings.Builder
		err := r.report(&out, o)
		var missed []string
		for line := range strings.Lines(out.String()) {
			if bar, ok := strings.CutPrefix(strings.TrimSpace(line), "MISS  "); ok {
				missed = append(missed, bar)
			}
		}
		switch {
		case tt.bar == "" && (err != nil || len(missed) > 0):
			t.Errorf("a good result: %v, missed %q", err, missed)
		case tt.bar != "" && (!errors.Is(err, errMissed) || len(missed) != 1 || !strings.HasPrefix(missed[0], tt.bar)):
			t.Errorf("%s: %v, missed %q", tt.bar, err, missed)
		}
	}
}

func TestTheRivalIsToldWhereAndWithWhat(t *testing.T) {
	platform := &url.URL{Scheme: "https", Host: "vcc.example.test:4433"}
	answer := httptest.NewRecorder()
	crm(platform, "0123abcd").ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	page := answer.Body.String()
	for _, want := range []string{
		`var url = "https://vcc.example.test:4433/AGUI/controlRecording.php?" + query.join("&");`,
		`"token=0123abcd"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't have %s", want)
		}
	}
}

func TestHelloIsServedAsThePanelIs(t *testing.T) {
	site, err := helloSite(t.Context(), "../..", []byte("packed already"))
	if err != nil {
		t.Fatal(err)
	}
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/hello.js": "text/javascript; charset=utf-8",
		"/wasm_exec.js": "text/javascript; charset=utf-8", "/hello.wasm": "application/wasm",
	} {
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		header := answer.Header()
		if answer.Code != http.StatusOK || header.Get("Content-Type") != contentType || header.Get("Content-Encoding") != "br" {
			t.Errorf("%s: %d %v", path, answer.Code, header)
		}
		if path == "/hello.wasm" {
			continue
		}
		if data, err := io.ReadAll(brotli.NewReader(answer.Body)); err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
}

func TestHarness(t *testing.T) {
	for name, tt := range map[string]struct {
		measure func(*harness)
		fails   string
	}{
		"good":             {func(*harness) {}, ""},
		"fatal":            {func(h *harness) { h.Fatalf("no %s", "browser") }, "no browser"},
		"an error is kept": {func(h *harness) { h.Errorf("console") }, "a step failed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &harness{log: io.Discard}
			var cleaned []int
			h.Cleanup(func() { cleaned = append(cleaned, 1) })
			h.Cleanup(func() { cleaned = append(cleaned, 2) })
			err := h.run(func() { tt.measure(h) })
			if (err == nil) != (tt.fails == "") || err != nil && !strings.HasPrefix(err.Error(), tt.fails) {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(cleaned, []int{2, 1}) {
				t.Errorf("cleaned up in the order %v", cleaned)
			}
		})
	}
}
