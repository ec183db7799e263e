package recordings

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Query says which records are meant. The zero value means all. Every condition has to hold.
type Query struct {
	// Dates are the days or the range that a record began in.
	Dates Dates
	// Zone is the time zone of days and of times without one, by its name in the tz database; the tenant's if empty.
	Zone string
	// Start finds recordings that began within five seconds of it, Finish those that ended so. Only one of the two: the
	// platform ignores Finish beside Start. They find voice recordings, no transcripts.
	Start, Finish Moment
	// Where finds the records whose fields have exactly these values.
	Where map[Field]string
	// MetaName and MetaValue find the records with such a metadata field: a part of its name or value is enough, upper and
	// lower case matter.
	MetaName, MetaValue string
}

// Field is an output field by which records can be found. Upper and lower case matter to the platform, so fields aren't made
// of just any text: ParseField does it.
type Field string

// Fields of both, of recordings, and of transcripts.
const (
	AgentID       Field = "agentID"
	CaseID        Field = "caseID"
	Duration      Field = "duration"
	QueueID       Field = "queueID"
	QueueName     Field = "queueName"
	TransactionID Field = "transactionID"

	PhoneNumber   Field = "phoneNumber"
	Channel       Field = "channel"
	Filename      Field = "filename"
	AccountNumber Field = "accountNumber"
	ExtVar1       Field = "extVar1"
	ExtVar2       Field = "extVar2"
	OutDialCode   Field = "outDialCode"

	AgentName       Field = "agentName"
	ContactID       Field = "contactID"
	ContactName     Field = "contactName"
	ChannelID       Field = "channelID"
	ChannelName     Field = "channelName"
	TargetIP        Field = "targetIP"
	InteractionGUID Field = "interactionGUID"
	TranscriptType  Field = "transcriptType"
)

// Kind is what a list is of.
type Kind string

// The kinds, by their place in the API.
const (
	Files       Kind = "files"
	Transcripts Kind = "transcripts"
)

// Fields are those by which records of the kind can be found.
func (k Kind) Fields() []Field {
	if k == Transcripts {
		return []Field{AgentID, AgentName, ContactID, ContactName, QueueID, QueueName, ChannelID, ChannelName, CaseID, TargetIP, TransactionID, InteractionGUID,
			TranscriptType, Duration}
	}
	return []Field{AgentID, PhoneNumber, Channel, CaseID, Duration, Filename, QueueID, QueueName, AccountNumber, TransactionID, ExtVar1, ExtVar2, OutDialCode}
}

// ParseField returns the field of that name, and says which one was probably meant if there is none.
func (k Kind) ParseField(name string) (Field, error) {
	for _, f := range k.Fields() {
		if string(f) == name {
			return f, nil
		}
		if strings.EqualFold(string(f), name) {
			return "", fmt.Errorf("there is no field %q, upper and lower case matter: write %s", name, f)
		}
	}
	if strings.EqualFold(strings.ReplaceAll(name, "-", ""), "startDate") {
		return "", fmt.Errorf("%q can't be asked for so: give the time as the one it started at, or a range of dates", name)
	}
	return "", fmt.Errorf("there is no field %q that one can ask for: there are %s", name, fieldList(k.Fields()))
}

func fieldList(fields []Field) string {
	var names []string
	for _, f := range fields {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// Check refuses what the platform would misread, with a sentence for who wrote the query.
func (q Query) Check(k Kind) error {
	if err := q.Dates.check(); err != nil {
		return err
	}
	if q.Zone != "" && !zoneName.MatchString(q.Zone) {
		return fmt.Errorf("%q isn't the name of a time zone: write one such as America/New_York", q.Zone)
	}
	if !q.Start.IsZero() || !q.Finish.IsZero() {
		if k != Files {
			return errors.New("a start or a finish finds voice recordings only: give a range of dates")
		}
		if !q.Start.IsZero() && !q.Finish.IsZero() {
			return errors.New("a start and a finish can't be asked for together, 8x8 would ignore the finish: give a range of dates")
		}
	}
	for f, value := range q.Where {
		if !slices.Contains(k.Fields(), f) {
			return fmt.Errorf("%s have no field %q: there are %s", k, f, fieldList(k.Fields()))
		}
		if err := checkValue(string(f), value); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{"metadata name": q.MetaName, "metadata value": q.MetaValue} {
		if value == "" {
			continue
		}
		if err := checkValue(name, value); err != nil {
			return err
		}
	}
	return nil
}

// maxValue bounds a value, in bytes: the document speaks of "a complete sentence", and an address of some kilobytes is refused
// by many servers.
const maxValue = 1000

func checkValue(name, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s has no value: 8x8 doesn't say what that would find", name)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("the value of %s holds what can't be printed", name)
	case len(value) > maxValue:
		return fmt.Errorf("the value of %s is longer than %d bytes", name, maxValue)
	}
	return nil
}

var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

// encode writes the query as the document does: variables by their exact names, a space as %20. first is the number of the
// first record that is wanted, from 1.
func (q Query) encode(k Kind, first int) (string, error) {
	if err := q.Check(k); err != nil {
		return "", err
	}
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+escape(value))
		}
	}
	add("d", q.Dates.String())
	add("tz", q.Zone)
	add("start-date", q.Start.String())
	add("finish-date", q.Finish.String())
	for _, f := range slices.Sorted(maps.Keys(q.Where)) {
		add(string(f), q.Where[f])
	}
	add("metaData_fieldName", q.MetaName)
	add("metaData_fieldValue", q.MetaValue)
	if first > 1 {
		add("n", fmt.Sprint(first))
	}
	return strings.Join(parts, "&"), nil
}

// escape is url.QueryEscape in the document's manner, which leaves the marks of dates and zones as they are.
var likeTheDocument = strings.NewReplacer("+", "%20", "%2C", ",", "%3A", ":", "%2F", "/")

func escape(s string) string { return likeTheDocument.Replace(url.QueryEscape(s)) }

// Moment is a point in time as a query names it: a day, a time, or a day counted from today. The zero value is none.
type Moment struct {
	form form
	at   time.Time // a day at midnight UTC; a time in UTC; a time of the query's zone as if it were UTC
	back int       // days before today
}

type form int

const (
	none    form = iota
	day          // the beginning of a day in the query's zone
	instant      // a time in UTC
	local        // a time in the query's zone
	today        // the beginning of a day, counted back from the present one
)

// Day is the beginning of a day in the query's zone.
func Day(year int, month time.Month, date int) Moment {
	return Moment{form: day, at: time.Date(year, month, date, 0, 0, 0, 0, time.UTC)}
}

// At is a time, to the second.
func At(t time.Time) Moment { return Moment{form: instant, at: t.UTC().Truncate(time.Second)} }

// LocalTime is what a clock in the query's zone shows: t's own date and time, whatever its location.
func LocalTime(t time.Time) Moment {
	return Moment{form: local, at: time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)}
}

// Today is the beginning of the present day, or of one before it.
func Today(daysBack int) Moment { return Moment{form: today, back: max(daysBack, 0)} }

// IsZero reports whether it is none.
func (m Moment) IsZero() bool { return m.form == none }

// String is the form with separators: 2007-08-05, 2007-08-05 13:15Z, today-1d. Seconds are written only if there are any.
func (m Moment) String() string { return m.write("2006-01-02", " ", "15:04", ":05") }

// Compact is the form without separators: 20070805T1315Z.
func (m Moment) Compact() string { return m.write("20060102", "T", "1504", "05") }

func (m Moment) write(date, between, minutes, seconds string) string {
	layout := date + between + minutes
	if m.at.Second() != 0 {
		layout += seconds
	}
	switch m.form {
	case day:
		return m.at.Format(date)
	case instant:
		return m.at.Format(layout) + "Z"
	case local:
		return m.at.Format(layout)
	case today:
		if m.back == 0 {
			return "today"
		}
		return fmt.Sprintf("today-%dd", m.back)
	}
	return ""
}

// ParseMoment reads a moment: a day or a time of ISO 8601 with or without separators, "today" or "today-7d". A time without a
// designator is the query's zone's; one with an offset becomes UTC.
func ParseMoment(s string) (Moment, error) {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "today"); ok {
		if rest == "" {
			return Today(0), nil
		}
		if m := daysBack.FindStringSubmatch(rest); m != nil {
			var n int
			fmt.Sscan(m[1], &n)
			return Today(n), nil
		}
		return Moment{}, fmt.Errorf("%q isn't a day: write today, or today-7d", s)
	}
	for _, date := range []string{"2006-01-02", "20060102"} {
		if t, err := time.Parse(date, s); err == nil {
			return checkYear(s, Day(t.Date()))
		}
		for _, between := range []string{" ", "T"} {
			for _, clock := range []string{"15:04:05", "15:04", "150405", "1504"} {
				if t, err := time.Parse(date+between+clock, s); err == nil {
					return checkYear(s, LocalTime(t))
				}
				for _, zone := range []string{"Z07:00", "Z0700"} {
					if t, err := time.Parse(date+between+clock+zone, s); err == nil {
						return checkYear(s, At(t))
					}
				}
			}
		}
	}
	return Moment{}, fmt.Errorf("%q isn't a date or time: write 2007-08-05, 2007-08-05 13:15Z, 20070805T1315Z, today or today-1d", s)
}

var daysBack = regexp.MustCompile(`^-([0-9]{1,5})d$`)

func checkYear(s string, m Moment) (Moment, error) {
	if y := m.at.Year(); y < 1970 || y > 9999 {
		return Moment{}, fmt.Errorf("%q lies outside the years 1970 to 9999", s)
	}
	return m, nil
}

// before reports whether m is certainly before o: moments of different forms depend on a zone that isn't known here.
func (m Moment) before(o Moment) (before, known bool) {
	switch {
	case m.form == today && o.form == today:
		return m.back > o.back, true
	case m.form == instant && o.form == instant, (m.form == day || m.form == local) && (o.form == day || o.form == local):
		return m.at.Before(o.at), true
	}
	return false, false
}

// Dates is one day, or a range that begins at From and ends just before To: a day as its end isn't in it ("today-1d,today" is
// yesterday). The zero value is all time.
type Dates struct{ From, To Moment }

// OnDay is one day.
func OnDay(m Moment) Dates { return Dates{From: m} }

// Between is a range of times, to the second; the end is rounded up.
func Between(from, to time.Time) Dates {
	if cut := to.Truncate(time.Second); !cut.Equal(to) {
		to = cut.Add(time.Second)
	}
	return Dates{At(from), At(to)}
}

// ParseDates reads a day or a range with a comma between its ends.
func ParseDates(s string) (Dates, error) {
	from, to, isRange := strings.Cut(s, ",")
	var d Dates
	var err error
	if d.From, err = ParseMoment(from); err != nil {
		return Dates{}, err
	}
	if isRange {
		if d.To, err = ParseMoment(to); err != nil {
			return Dates{}, err
		}
	}
	return d, d.check()
}

// IsZero reports whether all time is meant.
func (d Dates) IsZero() bool { return d.From.IsZero() && d.To.IsZero() }

// String is the value of the query variable d, with separators.
func (d Dates) String() string { return d.join(Moment.String) }

// Compact is the same without separators.
func (d Dates) Compact() string { return d.join(Moment.Compact) }

func (d Dates) join(write func(Moment) string) string {
	if d.To.IsZero() {
		return write(d.From)
	}
	return write(d.From) + "," + write(d.To)
}

func (d Dates) check() error {
	switch {
	case d.IsZero():
		return nil
	case d.From.IsZero():
		return errors.New("the range of dates has no beginning: give both its ends")
	case d.To.IsZero() && (d.From.form == instant || d.From.form == local):
		return errors.New("a time alone is no range: give both its ends, with a comma between them")
	case d.To.IsZero():
		return nil
	}
	if before, known := d.From.before(d.To); known && !before {
		return fmt.Errorf("the range %s holds nothing: its end comes after its beginning and isn't part of it, so today-1d,today is yesterday", d)
	}
	return nil
}
