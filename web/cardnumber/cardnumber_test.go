package cardnumber_test

import (
	"strings"
	"testing"

	"offrecord/web/cardnumber"
)

func TestMask(t *testing.T) {
	const gone = "[card number removed]"
	tests := map[string]string{
		"card":                             "card",
		"paid with 4111 1111 1111 1111 ok": "paid with " + gone + " ok",
		"order 1234567890123456":           "order 1234567890123456", // fails the check
		"4111_1111/1111*1111":              gone,
		"٤١١١ ١١١١ ١١١١ ١١١١":              gone,
		"2026-11-21T09:00:00Z":             "2026-11-21T09:00:00Z",
		"call 4111 of 1111 on 1111 1111":   "call 4111 of 1111 on 1111 1111",
	}
	for in, want := range tests {
		if got := cardnumber.Mask(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzMaskLeavesNothingToFind(f *testing.F) {
	f.Add("4111 1111 1111 1111")
	f.Add("378282246310005, 4222222222222")
	f.Fuzz(func(t *testing.T, s string) {
		masked := cardnumber.Mask(s)
		if runs := cardnumber.Find(masked); len(runs) > 0 {
			t.Errorf("%q became %q, in which %v is found", s, masked, runs)
		}
		if len(cardnumber.Find(s)) == 0 && masked != s {
			t.Errorf("%q was changed to %q", s, masked)
		}
		if strings.Contains(masked, "4111111111111111") {
			t.Errorf("%q is still in %q", "4111111111111111", masked)
		}
	})
}
