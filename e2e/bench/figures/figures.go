// Package figures turns measured values into the benchmark's table and holds them against its bars. It measures nothing.
package figures

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
	"unicode/utf8"
)

// A Series is one thing measured again and again, all in one unit.
type Series []float64

// Median is the middle value, or the mean of the two in the middle. An empty series has none: NaN, which meets no bar.
func (s Series) Median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// P95 is the smallest value that at least 95 % of the values don't exceed (the nearest rank: a value that was measured).
func (s Series) P95() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[int(math.Ceil(0.95*float64(len(sorted))))-1]
}

// A Row is a series with what it is of.
type Row struct {
	Name   string
	Series Series
	Digits int // behind the point
}

// A Table is rows of one unit under a title.
type Table struct {
	Title, Unit string
	Rows        []Row
}

// Write prints the table, with n, median, p95 and the extremes of each row.
func (t Table) Write(w io.Writer) error {
	width := len(t.Unit)
	for _, r := range t.Rows {
		width = max(width, utf8.RuneCountInString(r.Name))
	}
	fmt.Fprintf(w, "%s\n", t.Title)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%-*s\tn\tmedian\tp95\tmin\tmax\t\n", width, t.Unit)
	for _, r := range t.Rows {
		if len(r.Series) == 0 {
			fmt.Fprintf(table, "%-*s\t0\t-\t-\t-\t-\t\n", width, r.Name)
			continue
		}
		fmt.Fprintf(table, "%-*s\t%d\t%s\t%s\t%s\t%s\t\n", width, r.Name, len(r.Series), number(r.Series.Median(), r.Digits),
			number(r.Series.P95(), r.Digits), number(slices.Min(r.Series), r.Digits), number(slices.Max(r.Series), r.Digits))
	}
	return table.Flush()
}

func number(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// A Bar is a figure with what it has to be. Got may not exceed Most, nor stay under Least where that is set; a figure that
// couldn't be measured, NaN, misses.
type Bar struct {
	Name        string
	Got         float64
	Most, Least float64 // zero for none
	Digits      int
	Note        string // how it came about
}

// Passes reports whether the figure is as it has to be.
func (b Bar) Passes() bool {
	return !math.IsNaN(b.Got) && (b.Most == 0 || b.Got <= b.Most) && b.Got >= b.Least
}

// WriteBars prints every bar with pass or MISS, and reports how many were missed.
func WriteBars(w io.Writer, bars []Bar) (missed int, err error) {
	fmt.Fprintln(w, "Bars")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, b := range bars {
		verdict := "pass"
		if !b.Passes() {
			verdict = "MISS"
			missed++
		}
		limit := "≤ " + number(b.Most, b.Digits)
		if b.Most == 0 {
			limit = "≥ " + number(b.Least, b.Digits)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", verdict, b.Name, number(b.Got, b.Digits), limit, b.Note)
	}
	return missed, table.Flush()
}
