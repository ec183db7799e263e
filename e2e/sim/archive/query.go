package archive

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// pageSize is how many records an answer has at most.
const pageSize = 50

var errSyntax = errors.New("bad syntax")

// window is what the dates of a query choose.
type window struct {
	from, to time.Time // begun in [from, to); zero: all time
	around   time.Time // begun, or ended, within five seconds of it
	ended    bool
}

// dates reads d, tz, start-date and finish-date.
func (a *Archive) dates(q url.Values) (w window, err error) {
	zone := a.config.Zone
	if name := q.Get("tz"); name != "" {
		if zone, err = time.LoadLocation(name); err != nil {
			return w, errSyntax
		}
	}
	if d := q.Get("d"); d != "" {
		from, to, isRange := strings.Cut(d, ",")
		begin, whole, err := a.moment(from, zone)
		if err != nil {
			return w, err
		}
		w.from = begin
		switch {
		case isRange:
			if w.to, _, err = a.moment(to, zone); err != nil {
				return w, err
			}
		case whole:
			w.to = begin.AddDate(0, 0, 1)
		default:
			return w, errSyntax
		}
	}
	// "If you still try to use both variables in a same query, only start-date will be used."
	if s := q.Get("start-date"); s != "" {
		w.around, _, err = a.moment(s, zone)
	} else if s := q.Get("finish-date"); s != "" {
		w.ended = true
		w.around, _, err = a.moment(s, zone)
	}
	return w, err
}

var (
	written = regexp.MustCompile(`^(\d{4})-?(\d\d)-?(\d\d)(?:[ T](\d\d):?(\d\d)(?::?(\d\d))?(Z)?)?$`)
	ago     = regexp.MustCompile(`^today(?:-(\d+)d)?$`)
)

// moment reads one date, and says whether it is a whole day.
func (a *Archive) moment(s string, zone *time.Location) (t time.Time, day bool, err error) {
	if m := ago.FindStringSubmatch(s); m != nil {
		back, _ := strconv.Atoi(m[1])
		y, mon, d := time.Now().Add(a.config.Skew).In(zone).Date()
		return time.Date(y, mon, d-back, 0, 0, 0, 0, zone), true, nil
	}
	m := written.FindStringSubmatch(s)
	if m == nil {
		return t, false, errSyntax
	}
	n := make([]int, 7)
	for i := 1; i < 7; i++ {
		n[i], _ = strconv.Atoi(m[i])
	}
	if m[7] == "Z" {
		zone = time.UTC
	}
	t = time.Date(n[1], time.Month(n[2]), n[3], n[4], n[5], n[6], 0, zone)
	if t.Month() != time.Month(n[2]) || t.Day() != n[3] || n[4] > 23 || n[5] > 59 {
		return t, false, errSyntax
	}
	return t, m[4] == "", nil
}

// holds reports whether a record is in the window. Its times are in whole seconds, as it is told.
func (w window) holds(start time.Time, length time.Duration) bool {
	start = start.Truncate(time.Second)
	if !w.from.IsZero() && (start.Before(w.from) || !start.Before(w.to)) {
		return false
	}
	if w.around.IsZero() {
		return true
	}
	if w.ended {
		start = start.Add(length.Truncate(time.Second))
	}
	off := start.Sub(w.around)
	return off >= -5*time.Second && off <= 5*time.Second
}

// first reads n.
func first(q url.Values) (int, error) {
	if !q.Has("n") {
		return 1, nil
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 1 {
		return 0, errSyntax
	}
	return n, nil
}

// matches reports whether a record's fields have the values that the query asks for. A variable that isn't known, such as one
// in another case, asks for nothing: who mistypes one gets everything.
func matches(q url.Values, field func(string) (string, bool)) bool {
	for name, values := range q {
		if has, known := field(name); known && has != values[0] {
			return false
		}
	}
	return true
}

// page cuts a page out of what was found.
func page[T any](found []T, n int) []T {
	if n > len(found) {
		return nil
	}
	return found[n-1 : min(n-1+pageSize, len(found))]
}
