package figures

import (
	"math"
	"strings"
	"testing"
)

func TestSeries(t *testing.T) {
	hundred := make(Series, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, tt := range []struct {
		name        string
		series      Series
		median, p95 float64
	}{
		{"one", Series{7}, 7, 7},
		{"two", Series{9, 1}, 5, 9},
		{"odd and unsorted", Series{3, 1, 2}, 2, 3},
		{"twenty: p95 is the nineteenth", hundred[80:], 10.5, 19},
		{"a hundred", hundred, 50.5, 95},
	} {
		if got := tt.series.Median(); got != tt.median {
			t.Errorf("%s: median %v, want %v", tt.name, got, tt.median)
		}
		if got := tt.series.P95(); got != tt.p95 {
			t.Errorf("%s: p95 %v, want %v", tt.name, got, tt.p95)
		}
	}
	if hundred[0] != 100 {
		t.Error("the series was sorted in place")
	}
	if !math.IsNaN(Series{}.Median()) || !math.IsNaN(Series{}.P95()) {
		t.Error("nothing has a median")
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		bar    Bar
		passes bool
	}{
		{Bar{Got: 0.35, Most: 0.35}, true},
		{Bar{Got: 0.351, Most: 0.35}, false},
		{Bar{Got: 20, Least: 20}, true},
		{Bar{Got: 19, Least: 20}, false},
		{Bar{Got: math.NaN(), Most: 1}, false},
		{Bar{Got: math.NaN(), Least: 1}, false},
	} {
		if got := tt.bar.Passes(); got != tt.passes {
			t.Errorf("%+v passes: %t", tt.bar, got)
		}
	}
}

func TestWriting(t *testing.T) {
	var out strings.Builder
	table := Table{Title: "Click to arrival", Unit: "ms", Rows: []Row{{Name: "the rival", Series: Series{161.26, 150}, Digits: 1}, {Name: "nobody"}}}
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	missed, err := WriteBars(&out, []Bar{
		{Name: "warm / first", Got: 0.2512, Most: 0.35, Digits: 2, Note: "of medians"},
		{Name: "clicks", Got: 19, Least: 20},
	})
	if err != nil || missed != 1 {
		t.Errorf("%d missed, %v", missed, err)
	}
	const want = `Click to arrival
  ms         n  median    p95    min    max
  the rival  2   155.6  161.3  150.0  161.3
  nobody     0       -      -      -      -
Bars
  pass  warm / first  0.25  ≤ 0.35  of medians
  MISS  clicks        19    ≥ 20    
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}
