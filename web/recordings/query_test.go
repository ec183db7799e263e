package recordings

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{ // with separators, and without
		"2007-08-05":                "2007-08-05 20070805",
		"20070805":                  "2007-08-05 20070805",
		"2007-08-05 13:15Z":         "2007-08-05 13:15Z 20070805T1315Z",
		"20070805T1315Z":            "2007-08-05 13:15Z 20070805T1315Z",
		"2007-12-19 19:16:58Z":      "2007-12-19 19:16:58Z 20071219T191658Z",
		"2007-12-19T19:16:58-08:00": "2007-12-20 03:16:58Z 20071220T031658Z",
		"20071219T191658-0800":      "2007-12-20 03:16:58Z 20071220T031658Z",
		"2007-12-19 19:16:58":       "2007-12-19 19:16:58 20071219T191658",
		"20071219T1916":             "2007-12-19 19:16 20071219T1916",
		"today":                     "today today",
		"today-1d":                  "today-1d today-1d",
		" today-7d ":                "today-7d today-7d",
	} {
		m, err := ParseMoment(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.String() + " " + m.Compact(); got != want {
			t.Errorf("%q is written %q, not %q", text, got, want)
		}
		for _, written := range []string{m.String(), m.Compact()} {
			if again, err := ParseMoment(written); err != nil || again != m {
				t.Errorf("%q is read as %+v, %v", written, again, err)
			}
		}
	}
	for _, text := range []string{"", "yesterday", "2007-13-01", "2007-02-30", "2007-8-5", "today+1d", "today-d", "today-1h", "Today", "1315Z", "0001-01-01", "2007-08-05 25:00", "2007-08-05,2007-08-06"} {
		if m, err := ParseMoment(text); err == nil {
			t.Errorf("%q was taken for %s", text, m)
		}
	}
	noon := time.Date(2026, 11, 21, 12, 0, 0, 999, time.FixedZone("", 3600))
	if got := At(noon).String() + ", " + LocalTime(noon).String() + ", " + Day(2026, 11, 21).String() + ", " + Today(0).String(); got != "2026-11-21 11:00Z, 2026-11-21 12:00, 2026-11-21, today" {
		t.Error(got)
	}
}

func TestDates(t *testing.T) {
	for text, want := range map[string]string{
		"2007-08-05":                          "2007-08-05",
		"2007-08-05,2007-08-07":               "2007-08-05,2007-08-07",
		"2007-08-05 13:15Z,2007-08-07 14:30Z": "2007-08-05 13:15Z,2007-08-07 14:30Z",
		"20070805T1315Z,20070807T1430Z":       "2007-08-05 13:15Z,2007-08-07 14:30Z",
		"today-1d,today":                      "today-1d,today",
		"today":                               "today",
		"2007-08-05,today":                    "2007-08-05,today",
	} {
		if d, err := ParseDates(text); err != nil || d.String() != want {
			t.Errorf("%q is %q, %v", text, d, err)
		}
	}
	for text, why := range map[string]string{
		"2007-08-07,2007-08-05": "holds nothing", "2007-08-05,2007-08-05": "holds nothing", "today,today-1d": "holds nothing", "today,today": "holds nothing",
		"2007-08-05 13:15Z": "both its ends", "2007-08-05 13:15": "both its ends", "2007-08-05,": "isn't a date", ",2007-08-05": "isn't a date", "": "isn't a date",
		"2007-08-05,2007-08-06,2007-08-07": "isn't a date",
	} {
		if d, err := ParseDates(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
	from := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	if got := Between(from, from.Add(1500*time.Millisecond)).Compact(); got != "20261121T1200Z,20261121T120002Z" {
		t.Error(got)
	}
}

// Every query of the document, as its URLs have it.
func TestQueriesAreWrittenAsTheDocumentDoes(t *testing.T) {
	dates := func(s string) Dates {
		d, err := ParseDates(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	moment := func(s string) Moment {
		m, err := ParseMoment(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, tt := range []struct {
		q     Query
		first int
		want  string
	}{
		{Query{}, 1, ""},
		{Query{}, 101, "n=101"},
		{Query{Dates: dates("2007-08-05"), Zone: "America/New_York"}, 1, "d=2007-08-05&tz=America/New_York"},
		{Query{Dates: dates("2007-08-05,2007-08-07")}, 1, "d=2007-08-05,2007-08-07"},
		{Query{Dates: dates("2007-08-05 13:15Z,2007-08-07 14:30Z")}, 1, "d=2007-08-05%2013:15Z,2007-08-07%2014:30Z"},
		{Query{Dates: dates("today-1d,today"), Zone: "America/Denver"}, 51, "d=today-1d,today&tz=America/Denver&n=51"},
		{Query{Where: map[Field]string{Channel: "8005551234"}}, 1, "channel=8005551234"},
		{Query{Finish: moment("2007-12-19 19:16:58Z"), Where: map[Field]string{AgentID: "bill", Channel: "8005557780", PhoneNumber: "4155551234"}}, 1,
			"finish-date=2007-12-19%2019:16:58Z&agentID=bill&channel=8005557780&phoneNumber=4155551234"},
		{Query{Start: moment("2007-12-19")}, 1, "start-date=2007-12-19"},
		{Query{MetaName: "alphabets in", MetaValue: "a+b&c=d"}, 1, "metaData_fieldName=alphabets%20in&metaData_fieldValue=a%2Bb%26c%3Dd"},
		{Query{Where: map[Field]string{Channel: "#virtual_daa#"}}, 1, "channel=%23virtual_daa%23"},
	} {
		got, err := tt.q.encode(Files, tt.first)
		if err != nil || got != tt.want {
			t.Errorf("%q, not %q, %v", got, tt.want, err)
		}
	}
}

func TestQueriesThatWouldBeMisread(t *testing.T) {
	at := At(documents)
	for why, tt := range map[string]struct {
		q Query
		k Kind
	}{
		"can't be asked for together":   {Query{Start: at, Finish: at}, Files},
		"finds voice recordings only":   {Query{Start: at}, Transcripts},
		"has no value":                  {Query{Where: map[Field]string{AgentID: ""}}, Files},
		"what can't be printed":         {Query{Where: map[Field]string{AgentID: "a\nb"}}, Files},
		"longer than":                   {Query{MetaValue: strings.Repeat("x", 2000)}, Transcripts},
		`transcripts have no field "ch`: {Query{Where: map[Field]string{Channel: "1"}}, Transcripts},
		`files have no field "agentid"`: {Query{Where: map[Field]string{"agentid": "1"}}, Files},
		"isn't the name of a time zone": {Query{Zone: "America/New York"}, Files},
		"both its ends":                 {Query{Dates: Dates{From: at}}, Files},
		"no beginning":                  {Query{Dates: Dates{To: at}}, Files},
	} {
		if s, err := tt.q.encode(tt.k, 1); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %q, %v", why, s, err)
		}
	}
}

func TestFields(t *testing.T) {
	if f, err := Files.ParseField("agentID"); err != nil || f != AgentID {
		t.Error(f, err)
	}
	for name, why := range map[string]string{"agentid": "write agentID", "AgentID": "write agentID", "startDate": "range of dates", "start-date": "range of dates", "wrapUpCode": "there are agentID, phoneNumber",
		"interactionGUID": "there is no field"} {
		if f, err := Files.ParseField(name); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %s, %v", name, f, err)
		}
	}
}

// FuzzQuery holds that a query says what it was made of and nothing more, whatever a person types.
func FuzzQuery(f *testing.F) {
	f.Add("today-1d,today", "America/Denver", "bill", "a&n=1")
	f.Add("20070805T1315Z,20070807T1430Z", "UTC", "#virtual_daa#", "100% ü")
	f.Fuzz(func(t *testing.T, dates, zone, value, meta string) {
		d, err := ParseDates(dates)
		if err != nil {
			d = Dates{}
		} else if again, err := ParseDates(d.Compact()); err != nil || again.String() != d.String() {
			t.Fatalf("%q became %s, %v", dates, again, err)
		}
		text, err := Query{Dates: d, Zone: zone, Where: map[Field]string{AgentID: value}, MetaValue: meta}.encode(Files, 51)
		if err != nil {
			return
		}
		got, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{"agentID": {value}, "n": {"51"}}
		for name, v := range map[string]string{"d": d.String(), "tz": zone, "metaData_fieldValue": meta} {
			if v != "" {
				want[name] = []string{v}
			}
		}
		if got.Encode() != want.Encode() {
			t.Fatalf("%q says %v, not %v", text, got, want)
		}
	})
}
