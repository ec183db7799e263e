package recordings

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The samples are the document's own, to the letter: the transcripts' close <channelName> by </channelname>.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	pacific   = time.FixedZone("", -8*3600)
	documents = time.Date(2007, 12, 19, 19, 16, 36, 0, pacific)
)

var theFile = Recording{Start: documents, Duration: 27 * time.Second, AgentID: "bill", PhoneNumber: "bill", Channel: "5027780", CaseID: "0",
	Filename: "S20071220/R2007122003163601000.wav", QueueID: "fernandez~~queue~~phone~~102", QueueName: "phoneq1", AccountNumber: "0", TransactionID: "1", ExtVar1: "0",
	ExtVar2: "0", WrapUp: []Code{{"Gauffre", "Gauffre 1"}}}

var theTranscript = Transcript{GUID: "int-14a0febe466-bLfK0EF6BKKvFMZmhhFdW14v0-chat-03-tenant", Start: documents, Duration: 54 * time.Second, AgentID: "bill",
	AgentName: "Bill,Jackson", ContactID: "guest_at_dev6chatrec@vm05dev187.dev.whitepj.net/CtlGuest191gafdDQNAStnY7DaKuDKwPwd5jYsoh", ContactName: "Jeff Waugh",
	QueueID: "104", QueueName: "chat_recording_2", ChannelID: "103", ChannelName: "chatrec_channel", CaseID: "24482", TargetIP: "10.191.210.31", TransactionID: "11",
	Type: "A2C", Metadata: []Metadata{{"Color", "Blue"}, {"Fruit", "Cherry"}}}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestTheDocumentsOwnSamplesAreRead(t *testing.T) {
	files, err := readRecordings(XML, sample(t, "files.xml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, files, []Recording{theFile})

	list, err := readTranscripts(XML, sample(t, "transcripts.xml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, list, []Transcript{theTranscript})

	one, err := readTranscript(XML, sample(t, "transcript.xml"))
	if err != nil {
		t.Fatal(err)
	}
	want := theTranscript
	want.Messages = []Message{{Time: documents, From: Customer, Language: "en", Text: "Hi How r u"}}
	same(t, one, want)
}

func TestWhatIsReadTolerantly(t *testing.T) {
	const two = `[{"startDate":"2007-12-19T19:16:36-08:00","duration":27,"filename":"a.wav"},{"filename":"b.wav"}]`
	for name, tt := range map[string]struct {
		format Format
		text   string
		names  string // of the files, or an error if it begins with "!"
	}{
		"an empty list":                      {XML, `<?xml version='1.0' encoding='UTF-8' ?><recordings/>`, ""},
		"tags that never close":              {XML, `<recordings><file><filename>a.wav<file><filename>b.wav</filename></recordings>`, "a.wav"},
		"a stray end tag":                    {XML, `<recordings><file></channel><filename>a.wav</filename></file></x></recordings>`, "a.wav"},
		"upper case":                         {XML, `<Recordings><FILE><FileName>a.wav</FILENAME></File></recordings>`, "a.wav"},
		"an ampersand as it is":              {XML, `<recordings><file><filename>a&b.wav</filename></file></recordings>`, "a&b.wav"},
		"a section and a comment":            {XML, `<recordings><file><filename><![CDATA[a]]>.<!-- -->wav</filename></file></recordings>`, "a.wav"},
		"a character that XML forbids":       {XML, "<recordings><file><filename>\x0ba.wav</filename></file></recordings>", "a.wav"},
		"bytes that aren't UTF-8":            {XML, "<recordings><file><filename>a.wav</filename><agentID>J\xf6</agentID></file></recordings>", "a.wav"},
		"another character set's name":       {XML, "<?xml version='1.0' encoding='ISO-8859-1'?><recordings><file><filename>a.wav</filename></file></recordings>", "a.wav"},
		"an attribute without quotes":        {XML, `<recordings count=1><file><filename>a.wav</filename></file></recordings>`, "a.wav"},
		"a log-in page":                      {XML, `<!DOCTYPE html><html><body><p>Log in<br></body></html>`, "!"},
		"a list of something else":           {XML, string(sample(t, "transcripts.xml")), "!"},
		"nothing at all":                     {XML, "", "!"},
		"text":                               {XML, "Service unavailable", "!"},
		"nested without end":                 {XML, strings.Repeat("<recordings>", 1000), "!"},
		"JSON with an array":                 {JSON, `{"recordings":{"file":` + two + `}}`, "a.wav b.wav"},
		"JSON with one object for the array": {JSON, `{"recordings":{"file":{"filename":"a.wav"}}}`, "a.wav"},
		"JSON with the list itself":          {JSON, `{"file":` + two + `}`, "a.wav b.wav"},
		"JSON without any":                   {JSON, `{"recordings":""}`, ""},
		"JSON with null":                     {JSON, `{"recordings":{"file":null}}`, "!"},
		"JSON with numbers for texts":        {JSON, `{"recordings":{"file":[{"filename":20071220031636010001}]}}`, "20071220031636010001"},
		"JSON of something else":             {JSON, `{"error":"x"}`, "!"},
		"no JSON":                            {JSON, `<html>`, "!"},
		"a table":                            {CSV, "startDate,agentID,filename\r\n2007-12-19T19:16:36-08:00,\"Jackson, Bill\",a.wav\r\n,,b.wav\r\n", "a.wav b.wav"},
		"a table with a mark and spaces":     {CSV, "\ufeffFileName , agentID\na.wav\n", "a.wav"},
		"a table with a bare quote":          {CSV, "filename,agentID\na.wav,the \"big\" one\n", "a.wav"},
		"a table without lines":              {CSV, "filename,agentID\n", ""},
		"an empty table":                     {CSV, "", ""},
		"a table of something else":          {CSV, "interactionGUID\nx\n", "!"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readRecordings(tt.format, []byte(tt.text))
			if (err != nil) != strings.HasPrefix(tt.names, "!") {
				t.Fatalf("%d records, %v", len(got), err)
			}
			var names []string
			for _, r := range got {
				names = append(names, r.Filename)
			}
			if s := strings.Join(names, " "); err == nil && s != tt.names {
				t.Errorf("%q, want %q", s, tt.names)
			}
			if err != nil && strings.Contains(err.Error(), "Service") {
				t.Errorf("the error quotes the platform: %v", err)
			}
		})
	}
}

func TestTimesAndDurations(t *testing.T) {
	for text, want := range map[string]string{
		"2007-12-19T19:16:36-08:00": "2007-12-19T19:16:36-08:00", "2007-12-19T19:16:36-0800": "2007-12-19T19:16:36-08:00", "2007-12-20T03:16:36Z": "2007-12-20T03:16:36Z",
		"2007-12-19 19:16:36+05:30": "2007-12-19T19:16:36+05:30", "20071220T031636Z": "2007-12-20T03:16:36Z", "2007-12-19T19:16:36.25-08:00": "2007-12-19T19:16:36.25-08:00",
		"2007-12-19T19:16:36": "", "yesterday": "", "": "",
	} {
		got := readTime(text)
		if s := got.Format(time.RFC3339Nano); got.IsZero() != (want == "") || want != "" && s != want {
			t.Errorf("%q became %s, not %q", text, s, want)
		}
		if got.Location() == time.Local {
			t.Errorf("%q is in the machine's own zone", text)
		}
	}
	for text, want := range map[string]time.Duration{"27": 27 * time.Second, "27.0": 27 * time.Second, "": 0, "-5": 0, "x": 0, "NaN": 0, "Inf": 0, "1e300": 0, "0": 0} {
		if got := readSeconds(text); got != want {
			t.Errorf("%q became %v", text, got)
		}
	}
}

func TestCallTypes(t *testing.T) {
	for _, tt := range []struct {
		r    Recording
		want CallType
	}{
		{Recording{Channel: "#virtual_outbound#", QueueID: "QUEUE_OUTBOUND", QueueName: "QUEUE_OUTBOUND"}, Outbound},
		{Recording{Channel: "#Virtual_Outbound#"}, Outbound},
		{Recording{QueueName: "QUEUE_OUTBOUND"}, Outbound},
		{Recording{Channel: "#virtual_daa#"}, DirectAgentAccess},
		{Recording{QueueID: "QUEUE_DIRECT_AGENT_ACCESS"}, DirectAgentAccess},
		{Recording{Channel: "*Busy*", QueueID: "q"}, Busy},
		{Recording{QueueID: "102", QueueName: "phoneq1"}, Busy},
		{Recording{Channel: "5027780", QueueID: "102"}, Inbound},
		{Recording{Channel: "5027780"}, Inbound},
		{Recording{}, UnknownType},
	} {
		if got := tt.r.Type(); got != tt.want {
			t.Errorf("%+v is %s, not %s", tt.r, got, tt.want)
		}
	}
	if end := theFile.End(); !end.Equal(documents.Add(27 * time.Second)) {
		t.Errorf("it ends at %s", end)
	}
	if !(Recording{Duration: time.Second}).End().IsZero() {
		t.Error("what has no beginning has an end")
	}
}

// What is written is well-formed, and is read as what it was, by others' readers too.
func TestWriting(t *testing.T) {
	odd := Recording{Start: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC), AgentID: "a<b>&\"c\", d\ne", PhoneNumber: "+14155551234", ExtVar1: "=HYPERLINK(1)", Filename: "x.wav"}
	for _, f := range []Format{XML, JSON, CSV} {
		for _, all := range [][]Recording{nil, {theFile}, {theFile, odd}} {
			var b bytes.Buffer
			w := NewWriter(&b, f, Files)
			for _, r := range all {
				if err := w.Recording(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			wellFormed(t, f, b.Bytes())
			got, err := readRecordings(f, b.Bytes())
			if err != nil || len(got) != len(all) {
				t.Fatalf("%s: %d, %v\n%s", f, len(got), err, &b)
			}
			for i, want := range all {
				if f == CSV { // one column for the codes, and no formulas
					want.WrapUp, got[i].WrapUp = nil, nil
					got[i].ExtVar1 = strings.TrimPrefix(got[i].ExtVar1, "'")
				}
				same(t, got[i], want)
			}
			if strings.Contains(b.String(), "\n=") || f == CSV && strings.Contains(b.String(), ",=") {
				t.Errorf("a formula is in the table:\n%s", &b)
			}
		}
	}
	full := theTranscript
	full.Messages = []Message{{Time: documents, From: Customer, Language: "en", Text: "Hi <b>&"}, {From: "A", Text: "hola", TranslatedLanguage: "en", Translation: "hello"}}
	for _, f := range []Format{XML, JSON} {
		var b bytes.Buffer
		if err := WriteTranscript(&b, f, full); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, f, b.Bytes())
		got, err := readTranscript(f, b.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, &b)
		}
		same(t, got, full)
	}
	if err := WriteTranscript(io.Discard, CSV, full); !errors.Is(err, ErrNoCSV) {
		t.Errorf("a transcript as CSV: %v", err)
	}
	var b bytes.Buffer
	w := NewWriter(&b, CSV, Transcripts)
	w.Transcript(full)
	if w.Close(); !strings.Contains(b.String(), "Color: Blue; Fruit: Cherry") || strings.Contains(b.String(), "hola") {
		t.Errorf("the table of transcripts:\n%s", &b)
	}
}

func wellFormed(t *testing.T, f Format, text []byte) {
	t.Helper()
	var err error
	switch f {
	case XML:
		for d := xml.NewDecoder(bytes.NewReader(text)); err == nil; {
			_, err = d.Token()
		}
		if err == io.EOF {
			err = nil
		}
	case JSON:
		var v any
		err = json.Unmarshal(text, &v)
	case CSV:
		_, err = csv.NewReader(bytes.NewReader(text)).ReadAll()
	}
	if err != nil {
		t.Errorf("%s isn't well-formed: %v\n%s", f, err, text)
	}
}

// What came from outside is read without a panic, and what was understood of it stays the same when it is written and read.
func fuzzList(f *testing.F, format Format, samples ...string) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		readTranscript(format, b)
		if all, err := readTranscripts(format, b); err == nil {
			var again bytes.Buffer
			w := NewWriter(&again, format, Transcripts)
			for _, one := range all {
				w.Transcript(one)
			}
			if w.Close(); len(all) > 0 {
				if back, err := readTranscripts(format, again.Bytes()); err != nil || len(back) != len(all) {
					t.Fatalf("%d became %d, %v", len(all), len(back), err)
				}
			}
		}
		all, err := readRecordings(format, b)
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := NewWriter(&again, format, Files)
		for _, r := range all {
			w.Recording(r)
		}
		w.Close()
		back, err := readRecordings(format, again.Bytes())
		if err != nil || len(back) != len(all) {
			t.Fatalf("%d became %d, %v\n%s", len(all), len(back), err, &again)
		}
		for i := range all {
			a, b := all[i], back[i]
			if format == CSV {
				continue // a cell that looks like a formula isn't the same
			}
			a.Start, b.Start = a.Start.Truncate(time.Second).UTC(), b.Start.UTC()
			a.Duration = a.Duration.Truncate(time.Second)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("%+v\nbecame %+v", a, b)
			}
		}
	})
}

func FuzzXML(f *testing.F) {
	fuzzList(f, XML, string(sample(f, "files.xml")), string(sample(f, "transcripts.xml")), string(sample(f, "transcript.xml")), "<recordings><file><x/></recordings>")
}

func FuzzJSON(f *testing.F) {
	fuzzList(f, JSON, `{"recordings":{"file":[{"filename":"a"}]}}`, `{"recordings":{"transcript":{"metaDatas":{"metaData":{}}}}}`, `{"transcript":{"messages":{"message":[{"messageFrom":"C"}]}}}`)
}

func FuzzCSV(f *testing.F) {
	fuzzList(f, CSV, "filename,agentID,wrapUpCode\na,b,c\n", "interactionGUID,metaDatas\nx,\"a,b\"\n")
}
