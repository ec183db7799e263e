package evidence

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/evidence/silence"
)

func sample() Report {
	leak := Item{ID: "1", Subject: "a0", Kind: OfWindow, Platform: "acme", Agent: `<b>"bill"</b>@acme.example`, At: noon, Certainty: recording.Confirmed,
		From: Bounds{noon, noon.Add(time.Second)}, To: Bounds{noon.Add(9 * time.Second), noon.Add(10 * time.Second)},
		Recording: Recording{Name: "S1/R1.wav", Start: noon.Add(-20 * time.Second), Duration: time.Minute, Phone: "4155551234"},
		Finding: Finding{Verdict: Audible, Reason: "It is heard.", Window: silence.Span{From: 20 * time.Second, To: 28 * time.Second}, Checked: silence.Span{From: 20500 * time.Millisecond, To: 27500 * time.Millisecond},
			Uncertainty: 120 * time.Millisecond, Grounds: []Ground{{silence.Nothing, -78, -68, 0}},
			Sounds: []Sound{{Span: silence.Span{From: 22 * time.Second, To: 22400 * time.Millisecond}, Channel: 1, Kind: silence.Sound, Peak: -20, Mean: -24, Over: 58, Leak: true}}}}
	silent := Item{ID: "2", Subject: "a1", Kind: OfWindow, Platform: "acme", Agent: "jo@acme.example", At: noon.Add(time.Hour), Finding: Finding{Verdict: Silent, Reason: "Digital silence."}}
	return NewReport(noon.Add(-12*time.Hour), noon.Add(12*time.Hour), noon.Add(24*time.Hour), "sue@acme.example", "v1", []ReportPlatform{{Name: "acme", Kind: "8x8", Checkable: true}, {Name: "emea", Kind: "vonage", Note: "Its documents have no recordings API"}},
		[]Item{leak, silent})
}

func TestReport(t *testing.T) {
	key, err := audit.GenerateKey("offrecord.example.com")
	if err != nil {
		t.Fatal(err)
	}
	public, _ := audit.PublicKey(key)
	other, _ := audit.GenerateKey("offrecord.example.com")
	otherPublic, _ := audit.PublicKey(other)
	asJSON, err := sample().JSON(key)
	if err != nil {
		t.Fatal(err)
	}
	asHTML, err := sample().HTML(key)
	if err != nil {
		t.Fatal(err)
	}
	for format, file := range map[string][]byte{"json": asJSON, "html": asHTML} {
		v, err := VerifyReport(file, public)
		if err != nil || v.Format != format || v.Keyless || v.Origin != "offrecord.example.com" {
			t.Errorf("%s: %+v, %v", format, v, err)
		}
		if v, err := VerifyReport(file); err != nil || !v.Keyless {
			t.Errorf("%s without a key: %+v, %v", format, v, err)
		}
		if _, err := VerifyReport(file, otherPublic); err == nil {
			t.Errorf("%s is taken for another key's", format)
		}
		// Any change of a byte shows, but of white space around the JSON's two parts.
		for i := 0; i < len(file)-1; i += 37 {
			changed := bytes.Clone(file)
			changed[i] ^= 1
			if _, err := VerifyReport(changed, public); err == nil && format == "html" {
				t.Errorf("%s: byte %d (%q) changed, and nobody notices", format, i, file[max(i-20, 0):i+1])
			} else if err == nil {
				var a, b signedReport
				if json.Unmarshal(file, &a) != nil || json.Unmarshal(changed, &b) != nil || !bytes.Equal(a.Report, b.Report) {
					t.Errorf("%s: byte %d changed the report, and nobody notices", format, i)
				}
			}
		}
		if strings.Contains(string(file), "4155551234") {
			t.Errorf("%s holds the caller's number", format)
		}
	}
	var out signedReport
	var r Report
	if err := json.Unmarshal(asJSON, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Report, &r); err != nil || r.Verdicts[Audible] != 1 || r.Verdicts[Silent] != 1 || r.Items[0].Sounds[0].FromMS != 22000 || r.Items[0].Screen != "not checked" || r.Screen != "not checked" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, want := range []string{"&lt;b&gt;", "0:22.000 to 0:22.400", "Screen recordings: not checked", "no recordings API", "Audible", "±120 ms"} {
		if !strings.Contains(string(asHTML), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, bad := range []string{"<b>", "<script", "http://", "https://"} {
		if strings.Contains(string(asHTML), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for name, file := range map[string]string{"nothing": "", "a page": "<!doctype html><p>Hello", "other JSON": `{"a":1}`, "an export": `{"version":1,"start":0}` + "\n", "no report": `{"report":{},"signature":"x"}`} {
		if _, err := VerifyReport([]byte(file), public); err != ErrNotReport {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The page's signature isn't the data's.
	swapped, _ := json.Marshal(signedReport{out.Report, strings.TrimSuffix(string(asHTML[bytes.LastIndex(asHTML, []byte(signatureBegins))+len(signatureBegins):]), signatureEnds)})
	if _, err := VerifyReport(swapped, public); err == nil {
		t.Error("another document's signature is taken")
	}
}

func TestPeriod(t *testing.T) {
	for want, span := range map[string][2]string{
		"20 November 2026":                                       {"2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"},
		"1 to 30 November 2026":                                  {"2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
		"30 October to 2 November 2026":                          {"2026-10-30T00:00:00Z", "2026-11-03T00:00:00Z"},
		"31 December 2025 to 1 January 2026":                     {"2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z"},
		"20 November 2026, 09:30 to 20 November 2026, 10:00 UTC": {"2026-11-20T09:30:00Z", "2026-11-20T10:00:00Z"},
	} {
		from, _ := time.Parse(time.RFC3339, span[0])
		to, _ := time.Parse(time.RFC3339, span[1])
		if got := period(from, to); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}

func FuzzVerifyReport(f *testing.F) {
	key, err := audit.GenerateKey("test")
	if err != nil {
		f.Fatal(err)
	}
	asJSON, _ := sample().JSON(key)
	asHTML, _ := sample().HTML(key)
	f.Add(asJSON)
	f.Add(asHTML)
	f.Add([]byte("{}"))
	other, _ := audit.GenerateKey("test")
	public, _ := audit.PublicKey(other)
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := VerifyReport(file, public); err == nil {
			t.Fatal("it is taken for this key's, which signed nothing")
		}
	})
}

func TestDraw(t *testing.T) {
	levels := [][]silence.Level{make([]silence.Level, 100), make([]silence.Level, 100)}
	for i := range levels[0] {
		levels[0][i] = silence.LevelOf(-20)
	}
	w := Draw(silence.Span{From: 10 * time.Second, To: 20 * time.Second}, levels, 100*time.Millisecond, []Mark{
		{Span: silence.Span{From: 12 * time.Second, To: 14 * time.Second}, Kind: "pause", Label: "1"},
		{Span: silence.Span{From: 13 * time.Second, To: 13 * time.Second}, Kind: "leak", Channel: 2},
		{Span: silence.Span{From: 0, To: 5 * time.Second}, Kind: "silence"}, // elsewhere
		{Span: silence.Span{From: 19 * time.Second, To: time.Minute}, Kind: "silence"},
	})
	if len(w.Lanes) != 2 || w.Lanes[1].Name != "channel 2" || len(w.Bands) != 3 || len(w.Ticks) < 4 || len(w.Ticks) > 11 {
		t.Fatalf("%d lanes, %d bands, %d ticks", len(w.Lanes), len(w.Bands), len(w.Ticks))
	}
	if b := w.Bands[0]; b.X != 192 || b.W != 192 {
		t.Errorf("the pause is drawn at %v for %v", b.X, b.W)
	}
	if b := w.Bands[1]; b.W != 1 || b.Y != w.Lanes[1].Y {
		t.Errorf("the leak is drawn at %v for %v", b.Y, b.W)
	}
	if b := w.Bands[2]; b.X+b.W > waveWidth {
		t.Errorf("what lasts longer is drawn to %v", b.X+b.W)
	}
	if strings.Contains(w.Lanes[0].Path, "NaN") || Draw(silence.Span{}, nil, 0, nil).Width != waveWidth {
		t.Error("nothing can't be drawn")
	}
}
