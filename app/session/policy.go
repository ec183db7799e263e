package session

import (
	"net/url"
	"strings"
)

// refusedBeforeSending reports whether a content security policy can't have let a request to address leave, by the
// directive that was violated. It is false wherever some source of the directive might cover the address: the violation
// then belongs to an address that the platform redirected to, and the request was sent. (The event can't say which: for a
// redirect it names the first address, CSP Level 3 section 5.3, so that a page learns nothing of the redirect.)
func refusedBeforeSending(policy, directive, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	sources, found := directiveSources(policy, directive)
	if !found {
		return false
	}
	for _, s := range sources {
		if mayCover(strings.ToLower(s), u) {
			return false
		}
	}
	return true
}

// directiveSources returns the sources that govern directive: its own, else those it falls back to.
func directiveSources(policy, directive string) ([]string, bool) {
	governing := []string{directive}
	switch directive {
	case "frame-src":
		governing = append(governing, "child-src", "default-src")
	case "child-src":
		governing = append(governing, "default-src")
	case "form-action":
	default:
		return nil, false
	}
	for _, name := range governing {
		for part := range strings.SplitSeq(policy, ";") {
			words := strings.Fields(part)
			if len(words) > 0 && strings.EqualFold(words[0], name) {
				return words[1:], true
			}
		}
	}
	return nil, false
}

// mayCover reports whether a source expression might match u; it errs on the side of yes.
func mayCover(source string, u *url.URL) bool {
	if strings.HasPrefix(source, "'") {
		return false // 'self' and 'none': the platform is another origin than the panel
	}
	if scheme, ok := strings.CutSuffix(source, ":"); ok {
		return scheme == u.Scheme || scheme == "http" && u.Scheme == "https"
	}
	if _, rest, ok := strings.Cut(source, "://"); ok {
		source = rest
	}
	host, _, _ := strings.Cut(source, "/")
	host, _, _ = strings.Cut(host, ":")
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		return strings.HasSuffix(u.Hostname(), suffix)
	}
	return strings.EqualFold(host, u.Hostname())
}
