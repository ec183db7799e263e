package ledger_test

import (
	"slices"
	"testing"
	"time"

	"offrecord/e2e/sim/ledger"
)

func TestDrawn(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	to := func(t time.Time) time.Time { return t }
	for name, test := range map[string]struct{ tape, want []time.Time }{
		"nothing":                {},
		"one that goes on":       {[]time.Time{{}}, []time.Time{{}}},
		"what left the strip":    {[]time.Time{ago(90), ago(31), ago(29), ago(1), {}}, []time.Time{ago(29), ago(1), {}}},
		"a call that ended late": {[]time.Time{ago(40), ago(2)}, []time.Time{ago(2)}},
		"a call of yesterday's":  {[]time.Time{ago(90000), ago(86400)}, nil},
	} {
		if got := ledger.Drawn(test.tape, to, now); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
