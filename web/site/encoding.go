package site

import (
	"strconv"
	"strings"
)

// qualities reads Accept-Encoding (RFC 9110 12.5.3) for brotli, gzip and no coding at all. No header means plain bytes.
func qualities(header string) (br, gz, identity float64) {
	given := map[string]float64{}
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		q := 1.0
		if key, value, ok := strings.Cut(params, "="); ok && strings.EqualFold(strings.TrimSpace(key), "q") {
			parsed, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(parsed >= 0 && parsed <= 1) {
				parsed = 0 // what can't be read isn't asked for
			}
			q = parsed
		}
		if name == "x-gzip" {
			name = "gzip"
		}
		given[name] = q
	}
	of := func(name string) (float64, bool) {
		q, ok := given[name]
		if !ok {
			q, ok = given["*"]
		}
		return q, ok
	}
	br, _ = of("br")
	gz, _ = of("gzip")
	var ok bool
	if identity, ok = of("identity"); !ok {
		identity = 0.001 // acceptable, and liked least
	}
	return br, gz, identity
}
