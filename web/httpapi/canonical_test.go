package httpapi

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func FuzzEmbedOrigins(f *testing.F) {
	for _, s := range []string{"https://acme.my.salesforce.com", "https://a.example; script-src *", "https://[::1]:1", "http://a.example:80/", "https://a.example,https://b.example", "HTTPS://A.Example:0443"} {
		f.Add(s)
	}
	one := regexp.MustCompile(`^https?://[a-z0-9.\[\]:-]+$`)
	f.Fuzz(func(t *testing.T, origin string) {
		out, err := canonical([]string{origin})
		if err != nil {
			return
		}
		if len(out) != 1 || !one.MatchString(out[0]) {
			t.Fatalf("%q became %q", origin, out)
		}
		given, err := url.Parse(origin)
		written, err2 := url.Parse(out[0])
		if err != nil || err2 != nil || !strings.EqualFold(given.Hostname(), written.Hostname()) || !strings.EqualFold(given.Scheme, written.Scheme) {
			t.Errorf("%q became %q", origin, out)
		}
		if again, err := canonical(out); err != nil || again[0] != out[0] {
			t.Errorf("%q became %q, and that %q", origin, out, again)
		}
	})
}
