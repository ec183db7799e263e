package archive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/e2e/sim/archive"
	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
	"offrecord/web/secret"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func start(t testing.TB, c archive.Config) (*archive.Archive, func(recordings.Format) *recordings.Client) {
	t.Helper()
	c.Now = now
	sim := archive.New(c)
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	t.Cleanup(sim.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return sim, func(f recordings.Format) *recordings.Client {
		client, err := recordings.New(recordings.Settings{BaseURL: base, Tenant: sim.Tenant(), DataToken: secret.New(sim.DataToken()), Format: f}, upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
}

func collect[T any](t testing.TB, seq func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	for one, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// The three formats say the same, whether or not they are written as the document's samples are.
func TestFormatsAgree(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		sim, client := start(t, archive.Config{Recordings: 333, Transcripts: 61, Lenient: lenient})
		var first []recordings.Recording
		var chats []recordings.Transcript
		for _, f := range []recordings.Format{recordings.XML, recordings.JSON, recordings.CSV} {
			all := collect(t, client(f).Recordings(t.Context(), recordings.Query{}))
			list := collect(t, client(f).Transcripts(t.Context(), recordings.Query{}))
			if len(all) != 333 || len(list) != 61 || len(sim.Files()) != 333 {
				t.Fatalf("%s: %d recordings, %d transcripts", f, len(all), len(list))
			}
			if f == recordings.XML {
				first, chats = all, list
			}
			for i := range all {
				a, b := all[i], first[i]
				if f == recordings.CSV {
					a.WrapUp, b.WrapUp = nil, nil
				}
				if !a.Start.Equal(b.Start) || a.Filename != b.Filename || a.Duration != b.Duration || a.PhoneNumber != b.PhoneNumber || a.QueueName != b.QueueName || !slices.Equal(a.WrapUp, b.WrapUp) {
					t.Fatalf("%s: %+v\nXML: %+v", f, a, b)
				}
			}
			for i := range list {
				if list[i].GUID != chats[i].GUID || list[i].ContactName != chats[i].ContactName || f != recordings.CSV && !slices.Equal(list[i].Metadata, chats[i].Metadata) {
					t.Fatalf("%s: %+v\nXML: %+v", f, list[i], chats[i])
				}
			}
		}
		for _, c := range chats[:10] {
			x, err := client(recordings.XML).Transcript(t.Context(), c.GUID)
			if err != nil {
				t.Fatal(err)
			}
			j, err := client(recordings.JSON).Transcript(t.Context(), c.GUID)
			if err != nil || len(x.Messages) < 4 || len(j.Messages) != len(x.Messages) || j.Messages[2].Text != x.Messages[2].Text || x.ChannelName != "chatrec_channel" {
				t.Fatalf("%+v\n%+v, %v", x, j, err)
			}
		}
		types := map[recordings.CallType]int{}
		for _, r := range first {
			types[r.Type()]++
		}
		if len(types) != 4 || types[recordings.UnknownType] > 0 {
			t.Errorf("calls by their types: %v", types)
		}
	}
}

// What a query finds is what a reader of the whole list would choose.
func TestQueries(t *testing.T) {
	_, client := start(t, archive.Config{Recordings: 500, Transcripts: 100})
	c := client(recordings.XML)
	all, chats := collect(t, c.Recordings(t.Context(), recordings.Query{})), collect(t, c.Transcripts(t.Context(), recordings.Query{}))
	one := all[200]
	day, _ := time.LoadLocation("America/New_York")
	dates := func(s string) recordings.Dates {
		d, err := recordings.ParseDates(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	near := func(a, b time.Time) bool { d := a.Sub(b); return d >= -5*time.Second && d <= 5*time.Second }
	for name, tt := range map[string]struct {
		q      recordings.Query
		chosen func(recordings.Recording) bool
	}{
		"an agent": {recordings.Query{Where: map[recordings.Field]string{recordings.AgentID: one.AgentID}}, func(r recordings.Recording) bool { return r.AgentID == one.AgentID }},
		"an agent's channel": {recordings.Query{Where: map[recordings.Field]string{recordings.AgentID: "bob", recordings.Channel: "#virtual_outbound#"}},
			func(r recordings.Recording) bool {
				return r.AgentID == "bob" && r.Type() == recordings.Outbound
			}},
		"a day of a zone":       {recordings.Query{Dates: dates("2026-11-20"), Zone: "America/New_York"}, func(r recordings.Recording) bool { return r.Start.In(day).Format("0102") == "1120" }},
		"a day of the tenant's": {recordings.Query{Dates: dates("20261120")}, func(r recordings.Recording) bool { return r.Start.Format("0102") == "1120" }},
		"a range": {recordings.Query{Dates: dates("20261120T1015Z,20261120T2030Z")}, func(r recordings.Recording) bool {
			return !r.Start.Before(time.Date(2026, 11, 20, 10, 15, 0, 0, time.UTC)) && r.Start.Before(time.Date(2026, 11, 20, 20, 30, 0, 0, time.UTC))
		}},
		"by typed times": {recordings.Query{Dates: recordings.Between(one.Start, one.Start.Add(time.Hour))}, func(r recordings.Recording) bool {
			return !r.Start.Before(one.Start) && r.Start.Before(one.Start.Add(time.Hour))
		}},
		"a start":     {recordings.Query{Start: recordings.At(one.Start.Add(4 * time.Second))}, func(r recordings.Recording) bool { return near(r.Start, one.Start.Add(4*time.Second)) }},
		"a finish":    {recordings.Query{Finish: recordings.At(one.End().Add(-5 * time.Second))}, func(r recordings.Recording) bool { return near(r.End(), one.End().Add(-5*time.Second)) }},
		"a file":      {recordings.Query{Where: map[recordings.Field]string{recordings.Filename: one.Filename}}, func(r recordings.Recording) bool { return r.Filename == one.Filename }},
		"nobody":      {recordings.Query{Where: map[recordings.Field]string{recordings.AgentID: "BOB"}}, func(recordings.Recording) bool { return false }},
		"a time past": {recordings.Query{Dates: dates("today-1d,today")}, func(r recordings.Recording) bool { return false }},
	} {
		if name == "a time past" { // by the true clock, of which the made-up past knows nothing
			now := time.Now().In(one.Start.Location())
			midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, one.Start.Location())
			tt.chosen = func(r recordings.Recording) bool {
				return !r.Start.Before(midnight.AddDate(0, 0, -1)) && r.Start.Before(midnight)
			}
		}
		var want []string
		for _, r := range all {
			if tt.chosen(r) {
				want = append(want, r.Filename)
			}
		}
		var got []string
		for _, r := range collect(t, c.Recordings(t.Context(), tt.q)) {
			got = append(got, r.Filename)
		}
		if !slices.Equal(got, want) || len(want) == 0 && name != "nobody" && name != "a time past" {
			t.Errorf("%s: %d, want %d", name, len(got), len(want))
		}
	}
	found := collect(t, c.Transcripts(t.Context(), recordings.Query{MetaName: "alphabets in", MetaValue: "On"}))
	blue := collect(t, c.Transcripts(t.Context(), recordings.Query{MetaValue: "Blue"}))
	none := collect(t, c.Transcripts(t.Context(), recordings.Query{MetaValue: "blue"}))
	if len(found) != len(chats) || len(blue) == 0 || len(blue) == len(chats) || len(none) != 0 {
		t.Errorf("by metadata: %d, %d and %d of %d", len(found), len(blue), len(none), len(chats))
	}
}

// sound is a file's samples by channel, read by hand.
func sound(t testing.TB, file []byte) (codec uint16, channels [][]float64) {
	t.Helper()
	le := binary.LittleEndian
	if string(file[:4]) != "RIFF" || int(le.Uint32(file[4:])) != len(file)-8 || string(file[8:12]) != "WAVE" {
		t.Fatalf("no WAVE: %q", file[:12])
	}
	count := 0
	for at := 12; at+8 <= len(file); {
		id, body := string(file[at:at+4]), file[at+8:][:le.Uint32(file[at+4:])]
		at += 8 + len(body)
		switch id {
		case "fmt ":
			codec, count = le.Uint16(body), int(le.Uint16(body[2:]))
			if le.Uint32(body[4:]) != 8000 {
				t.Fatalf("%d frames a second", le.Uint32(body[4:]))
			}
			channels = make([][]float64, count)
		case "data":
			for i := 0; len(body) > 0; i++ {
				var v float64
				if codec == 1 {
					v, body = float64(int16(le.Uint16(body))), body[2:]
				} else {
					v, body = linear(body[0]), body[1:]
				}
				channels[i%count] = append(channels[i%count], v/32768)
			}
		}
	}
	return codec, channels
}

// linear reads µ-law by G.711.
func linear(b byte) float64 {
	b = ^b
	v := float64(int(b&0x0f)<<3+0x84)*math.Pow(2, float64(b>>4&7)) - 0x84
	if b&0x80 != 0 {
		return -v
	}
	return v
}

func level(samples []float64) float64 {
	sum := 0.0
	for _, v := range samples {
		sum += v * v
	}
	return 10 * math.Log10(sum/float64(len(samples))+1e-12)
}

// A tape is silent exactly where it was paused, and speech is on it all along elsewhere.
func TestATapeHoldsWhatWasRecorded(t *testing.T) {
	for name, c := range map[string]archive.Config{"PCM": {}, "µ-law": {Codec: archive.MuLaw}, "stereo": {Channels: 2}, "stereo, µ-law": {Codec: archive.MuLaw, Channels: 2}} {
		t.Run(name, func(t *testing.T) {
			sim, client := start(t, c)
			began := now.Add(123 * time.Millisecond)
			file := sim.Keep(archive.Call{ID: "7", Agent: "bill", Started: began, Ended: began.Add(30 * time.Second),
				Silent: []archive.Interval{{From: began.Add(5 * time.Second), To: began.Add(11*time.Second + 500*time.Millisecond)}, {From: began.Add(20 * time.Second), To: began.Add(30 * time.Second)}}})
			r, err := client(recordings.XML).Recording(t.Context(), file)
			if err != nil || r.AgentID != "bill" || r.Duration != 30*time.Second || !r.Start.Equal(now) || r.TransactionID != "7" {
				t.Fatalf("%+v, %v", r, err)
			}
			d, err := client(recordings.XML).Open(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			body, err := io.ReadAll(d)
			if err != nil {
				t.Fatal(err)
			}
			codec, channels := sound(t, body)
			if (codec == 7) != (c.Codec == archive.MuLaw) || len(channels) != max(c.Channels, 1) || len(channels[0]) != 30*8000 {
				t.Fatalf("codec %d, %d channels of %d", codec, len(channels), len(channels[0]))
			}
			for _, samples := range channels {
				for i, v := range samples {
					if paused := i >= 5*8000 && i < 11.5*8000 || i >= 20*8000; paused && v != 0 {
						t.Fatalf("%v at %d, where it was paused", v, i)
					}
				}
			}
			mix := make([]float64, len(channels[0]))
			for _, samples := range channels {
				for i, v := range samples {
					mix[i] += v
				}
			}
			loud := 0
			for i := 0; i < 5*8000; i += 800 {
				if level(mix[i:i+800]) > -30 {
					loud++
				}
				if l := level(mix[i : i+800]); l < -70 || l > -6 {
					t.Errorf("%.0f dB at %d", l, i)
				}
			}
			if loud < 40 {
				t.Errorf("there is speech in %d of 50 pieces", loud)
			}
		})
	}
}

// Any part of a file is the same as in the whole.
func TestRanges(t *testing.T) {
	sim, client := start(t, archive.Config{Codec: archive.MuLaw, Channels: 2})
	file := sim.Keep(archive.Call{Started: now, Ended: now.Add(30 * time.Second)})
	whole := fetch(t, client(recordings.XML), file)
	sim.SetFault(archive.Fetching, archive.Fault{Cut: 200_001, Times: 2})
	if again := fetch(t, client(recordings.XML), file); !bytes.Equal(again, whole) {
		t.Error("it became another file")
	}
	parts := 0
	for _, r := range sim.Requests() {
		if r.Range != "" && r.Status == http.StatusPartialContent {
			parts++
		}
	}
	if parts != 2 {
		t.Errorf("%d parts were fetched", parts)
	}
}

// Without ranges a broken download is read again from the beginning, and a slow one comes in its time.
func TestWithoutRanges(t *testing.T) {
	sim, client := start(t, archive.Config{NoRanges: true})
	file := sim.Keep(archive.Call{Started: now, Ended: now.Add(2 * time.Second)})
	whole := fetch(t, client(recordings.XML), file)
	sim.SetFault(archive.Fetching, archive.Fault{Cut: 20_000, Times: 1})
	if again := fetch(t, client(recordings.XML), file); !bytes.Equal(again, whole) {
		t.Error("it became another file")
	}
	sim.SetFault(archive.Fetching, archive.Fault{Rate: 200_000, Times: 1})
	began := time.Now()
	if again := fetch(t, client(recordings.XML), file); !bytes.Equal(again, whole) || time.Since(began) < 150*time.Millisecond {
		t.Errorf("%d bytes in %v", len(again), time.Since(began))
	}
	for _, r := range sim.Requests() {
		if r.Status == http.StatusPartialContent {
			t.Error("a part was given")
		}
	}
}

func fetch(t testing.TB, c *recordings.Client, name string) []byte {
	t.Helper()
	d, err := c.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	body, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDeletions(t *testing.T) {
	sim, client := start(t, archive.Config{Recordings: 10, Transcripts: 10})
	c := client(recordings.JSON)
	name := sim.Files()[4]
	for i, want := range []recordings.Deletion{recordings.Deleted, recordings.Missing} {
		if d, err := c.DeleteRecording(t.Context(), name); err != nil || d != want {
			t.Errorf("time %d: %s, %v", i, d, err)
		}
	}
	if _, err := c.Open(t.Context(), name); !errors.Is(err, recordings.ErrNotFound) || len(sim.Files()) != 9 {
		t.Errorf("it is still there: %v", err)
	}
	if d, err := c.DeleteRecording(t.Context(), strings.TrimSuffix(sim.Files()[0], ".wav")); err != nil || d != recordings.Deleted {
		t.Errorf("without its ending: %s, %v", d, err)
	}
	guid := collect(t, c.Transcripts(t.Context(), recordings.Query{}))[3].GUID
	if d, err := c.DeleteTranscript(t.Context(), guid); err != nil || d != recordings.Deleted {
		t.Errorf("%s, %v", d, err)
	}
	after, err := c.Transcript(t.Context(), guid)
	if err != nil || len(after.Messages) != 1 || after.AgentID == "" {
		t.Errorf("the interaction should be there, with one message: %+v, %v", after, err)
	}
	if d, err := c.DeleteTranscript(t.Context(), "int-nobody"); err != nil || d != recordings.Missing {
		t.Errorf("%s, %v", d, err)
	}
}

func TestErrors(t *testing.T) {
	sim, client := start(t, archive.Config{Recordings: 120, Transcripts: 3})
	c := client(recordings.XML)
	sim.SetFault(archive.Listing, archive.Fault{Status: 503, Times: 1})
	if n := len(collect(t, c.Recordings(t.Context(), recordings.Query{}))); n != 120 {
		t.Errorf("%d recordings after a burst of 503", n)
	}
	for status, want := range map[int]error{400: recordings.ErrBadRequest, 401: recordings.ErrDenied, 404: recordings.ErrNotFound} {
		sim.SetFault(archive.Listing, archive.Fault{Status: status, Times: 1})
		for _, err := range c.Recordings(t.Context(), recordings.Query{}) {
			if !errors.Is(err, want) {
				t.Errorf("%d: %v", status, err)
			}
			break
		}
	}
	sim.SetFault(archive.Listing, archive.Fault{Page: true, Times: 1})
	for _, err := range c.Recordings(t.Context(), recordings.Query{}) {
		if !errors.Is(err, recordings.ErrUnreadable) {
			t.Errorf("a log-in page: %v", err)
		}
		break
	}
	sim.SetFault(archive.Listing, archive.Fault{Cut: 500, Times: 1})
	if n := len(collect(t, c.Recordings(t.Context(), recordings.Query{}))); n != 120 {
		t.Errorf("%d recordings after a page that broke off", n)
	}
	sim.SetFault(archive.Deleting, archive.Fault{Cut: -1, Times: 1})
	var failed *recordings.Error
	if _, err := c.DeleteRecording(t.Context(), sim.Files()[0]); !errors.As(err, &failed) || !failed.Sent || len(sim.Files()) != 119 {
		t.Errorf("a deletion that worked and wasn't answered: %v", err)
	}
	if f := c.Check(t.Context()); f.Verdict != platform.Good {
		t.Errorf("%+v", f)
	}
	sim.Revoke()
	if f := c.Check(t.Context()); f.Verdict != platform.Bad {
		t.Errorf("%+v", f)
	}
	if f := client(recordings.XML).Check(t.Context()); f.Verdict != platform.Good {
		t.Errorf("the new token: %+v", f)
	}
}
