package probe_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"offrecord/web/probe"
)

func TestWhatTheFrameIsTold(t *testing.T) {
	tests := []struct {
		name, cookie, access string
		want                 string
	}{
		{"Chromium, allowed", "1", "active", "allowed"},
		{"Chromium, blocked", "", "inactive", "blocked"},
		{"Chromium, blocked for a site that never asked", "", "none", "blocked"},
		{"a browser that partitions and says nothing", "1", "", "blocked"},
		{"the header alone proves no cookie", "", "active", "blocked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/probe/said.js", nil)
			if tt.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "offrecord_probe", Value: tt.cookie})
			}
			if tt.access != "" {
				r.Header.Set("Sec-Fetch-Storage-Access", tt.access)
			}
			w := httptest.NewRecorder()
			probe.Handler().ServeHTTP(w, r)
			if body := w.Body.String(); !strings.Contains(body, `world: "`+tt.want+`"`) {
				t.Errorf("told %q, want %s", body, tt.want)
			}
			if got := w.Header().Get("Cross-Origin-Resource-Policy"); got != "cross-origin" {
				t.Errorf("resource policy %q: the sandboxed frame couldn't load it", got)
			}
		})
	}
}

func TestTheFrameSetsACookieThatAThirdPartyRequestCarries(t *testing.T) {
	w := httptest.NewRecorder()
	probe.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/probe/frame", nil))
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	if c := cookies[0]; c.SameSite != http.SameSiteNoneMode || !c.Secure || c.Path != "/probe/" || !c.HttpOnly {
		t.Errorf("cookie %s", c)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}
