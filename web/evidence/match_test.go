package evidence

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Which recordings a pause may lie in, if two calls follow closely on one another.
func TestAmong(t *testing.T) {
	// The second call begins three seconds after the first one has ended.
	all := []Recording{
		{Name: "first", AgentID: "bill", Phone: "4155551234", Transaction: "11", Start: noon, Duration: 60 * time.Second},
		{Name: "other", AgentID: "jo", Phone: "4155559999", Transaction: "13", Start: noon, Duration: 600 * time.Second},
		{Name: "second", AgentID: "bill", Phone: "4155555678", Transaction: "12", Start: noon.Add(63 * time.Second), Duration: 60 * time.Second},
	}
	for _, test := range []struct {
		call     string
		from, to float64 // seconds after noon
		want     string
	}{
		{"", 30, 40, "first"},
		{"", 61, 70, "first second"}, // by clocks that differ, either
		{"", 65, 70, "second"},
		{"", 30, 90, "first second"}, // forgotten, it lasted into the next call
		{"", 180, 190, ""},
		{"11", 61, 62, "first"},
		{"12", 61, 70, "second"},
		{"12", 59.5, 70, "second"},              // our clock is behind
		{"11", 65, 70, "first"},                 // or before
		{"+1 (415) 555-5678", 61, 70, "second"}, // with the country's code
		{"415-555-5678", 61, 70, "second"},
		{"crm-4711", 61, 70, "first second"},
		{"11", 30, 90, "first second"},
		{"12", 180, 190, ""},
		{"13", 65, 70, "second"}, // another agent's
	} {
		at := func(s float64) Bounds {
			return Bounds{noon.Add(time.Duration(s * float64(time.Second))), noon.Add(time.Duration(s * float64(time.Second)))}
		}
		var got []string
		for _, r := range among(&Window{Agent: bill, Call: test.call, From: at(test.from), To: at(test.to)}, all) {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, expected %q", fmt.Sprint(test.call, " from ", test.from, " to ", test.to), got, test.want)
		}
	}
}
