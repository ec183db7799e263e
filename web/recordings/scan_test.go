package recordings

import (
	"strings"
	"testing"
	"time"
)

func TestCardNumbersInATranscript(t *testing.T) {
	at := func(s int) time.Time { return documents.Add(time.Duration(s) * time.Second) }
	x := Transcript{ContactName: "4111 1111 1111 1111",
		Metadata: []Metadata{{"Color", "Blue"}, {"Order number", "6011 0009 9013 9424"}, {"Notes", "paid with 3530.1113.3330.0000"}},
		Messages: []Message{{at(0), "C", "es", "mi tarjeta es cinco cinco cinco cinco 5555", "en", "my card is five five five five 5555"}, {at(1), "A", "en", "go on", "es", "siga"},
			{at(2), "C", "es", "5555 4444", "en", "5555 4444"}, {at(3), "C", "en", "and that is all", "", ""}}}
	got := x.CardNumbers()
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	split := got[0]
	if split.Masked != "555555******4444" || split.Doubt != "" || len(split.Spots) != 4 || split.Spots[0] != (Spot{InMessage, 1, "C", at(0)}) || split.Spots[3] != (Spot{InTranslation, 3, "C", at(2)}) {
		t.Errorf("%+v", split)
	}
	if got[1].Masked != "601100******9424" || got[1].Doubt == "" || got[2].Doubt != "" || got[2].Spots[0] != (Spot{Part: InMetadata, Number: 3}) {
		t.Errorf("%+v", got[1:])
	}
	shown := x.Masked()
	var b strings.Builder
	if err := WriteTranscript(&b, JSON, shown); err != nil {
		t.Fatal(err)
	}
	for _, digits := range []string{"4111 1111", "5555 4444", "0009", "1113", "cinco cinco"} {
		if strings.Contains(b.String(), digits) {
			t.Errorf("%q is shown:\n%s", digits, &b)
		}
	}
	if !strings.Contains(b.String(), "mi tarjeta es 555555**") || !strings.Contains(b.String(), "and that is all") || x.Messages[2].Text != "5555 4444" {
		t.Errorf("it became\n%s", &b)
	}
}
