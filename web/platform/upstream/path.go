package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errSegment = errors.New("an id that is empty, made of dots or unprintable can't be part of an address")

// Join puts segments below an address, each as exactly one segment of the path, whatever it holds. Segments come from
// outside (email addresses, agent and call ids): empty ones, "." and "..", which servers and proxies take out of a path,
// control characters and invalid UTF-8 are refused, and slashes and the like are escaped.
func Join(base *url.URL, segments ...string) (*url.URL, error) {
	raw := strings.TrimSuffix(base.EscapedPath(), "/")
	before := strings.Count(raw, "/")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return nil, errSegment // it isn't quoted: it may be what a platform wrote
		}
		// A plus is itself in a path, but a server that reads it as in a form would see a space.
		raw += "/" + strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
	}
	if strings.Count(raw, "/") != before+len(segments) {
		return nil, fmt.Errorf("the address has %d path segments, not the %d it was made of", strings.Count(raw, "/"), before+len(segments))
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil, fmt.Errorf("escape the path: %w", err)
	}
	u := *base
	u.Path, u.RawPath = path, raw
	return &u, nil
}
