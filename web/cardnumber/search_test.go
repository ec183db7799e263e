package cardnumber_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"offrecord/web/cardnumber"
)

// talk makes a conversation of lines such as "C: hello"; one without a party stands alone.
func talk(text string) []cardnumber.Line {
	var lines []cardnumber.Line
	for l := range strings.SplitSeq(text, "\n") {
		party, said, ok := strings.Cut(l, ": ")
		if !ok || len(party) > 1 {
			party, said = "", l
		}
		lines = append(lines, cardnumber.Line{Party: party, Text: said})
	}
	return lines
}

// The corpus. The numbers are the brands' own for tests. Each is what somebody might write in a chat, and what should be found
// in it: the number as it may be shown, or nothing.
var withCards = map[string]string{
	"my card is 4111 1111 1111 1111":                                    "411111******1111",
	"4111111111111111":                                                  "411111******1111",
	"4111-1111-1111-1111 exp 09/27 cvv 123":                             "411111******1111",
	"4111.1111.1111.1111":                                               "411111******1111",
	"4111/1111/1111/1111":                                               "411111******1111",
	"4111_1111_1111_1111":                                               "411111******1111",
	"4111  1111  1111  1111":                                            "411111******1111",
	"4111 - 1111 - 1111 - 1111":                                         "411111******1111",
	"4111*1111*1111*1111":                                               "411111******1111",
	"card 4111, 1111, 1111, 1111":                                       "411111******1111",
	"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1":                                   "411111******1111",
	"41 11 11 11 11 11 11 11":                                           "411111******1111",
	"41111111 11111111":                                                 "411111******1111",
	"4111\u00a01111\u00a01111\u00a01111":                                "411111******1111",
	"4111\u200b1111\u200b1111\u200b1111":                                "411111******1111",
	"4111–1111—1111‑1111":                                               "411111******1111",
	"４１１１ １１１１ １１１１ １１１１":                                               "411111******1111",
	"٤١١١ ١١١١ ١١١١ ١١١١":                                               "411111******1111",
	"4\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e3 111111111111": "411111******1111",
	"Visa4111111111111111":                                              "411111******1111",
	"card number:4111111111111111.":                                     "411111******1111",
	"(4111111111111111)":                                                "411111******1111",
	"«4111 1111 1111 1111»":                                             "411111******1111",
	"4111 1111 1111 1111 0927 123":                                      "411111******1111",
	"4111111111111111 0927 123":                                         "411111******1111",
	"visa 41111111111111110927123":                                      "411111******1111",
	"4222222222222 is my visa":                                          "422222***2222",
	"5555 5555 5555 4444":                                               "555555******4444",
	"5105105105105100":                                                  "510510******5100",
	"2223003122003222":                                                  "222300******3222",
	"3782 822463 10005":                                                 "378282*****0005",
	"371449635398431":                                                   "371449*****8431",
	"3056 930902 5904":                                                  "305693****5904",
	"38520000023237":                                                    "385200****3237",
	"3600 6666 3333 44":                                                 "360066****3344",
	"6011 1111 1111 1117":                                               "601111******1117",
	"6011000990139424":                                                  "601100******9424",
	"3530111333300000":                                                  "353011******0000",
	"3566 0020 2036 0505":                                               "356600******0505",
	"6200000000000005":                                                  "620000******0005",
	"6759 6498 2643 8453":                                               "675964******8453",
	"2200 0000 0000 0053":                                               "220000******0053",
	"four one one one one one one one one one one one one one one one":                                                   "411111******1111",
	"four one one one, one one one one, one one one one, one one one one":                                                "411111******1111",
	"Four-one-one-one, then one-one-one-one and one-one-one-one, one-one-one-one":                                        "411111******1111",
	"four triple one, one one one one, double one double one, one one one one":                                           "411111******1111",
	"forty-one eleven, eleven eleven, eleven eleven, eleven eleven":                                                      "411111******1111",
	"thirty seven eighty two, 822463, one oh oh oh five":                                                                 "378282*****0005",
	"five five five five 5555 five five five five four four four four":                                                   "555555******4444",
	"vier eins eins eins eins eins eins eins eins eins eins eins eins eins eins eins":                                    "411111******1111",
	"cuatro uno uno uno uno uno uno uno uno uno uno uno uno uno uno uno":                                                 "411111******1111",
	"quatre un un un un un un un un un un un un un un un":                                                                "411111******1111",
	"fünf fünf fünf fünf fünf fünf fünf fünf fünf fünf fünf fünf vier vier vier vier":                                    "555555******4444",
	"C: 4111\nC: 1111\nC: 1111\nC: 1111":                                                                                 "411111******1111",
	"C: it's 4111 1111\nA: go on\nC: 1111 1111":                                                                          "411111******1111",
	"C: 3782 822463\nA: yes?\nA: I'm listening\nC: and then 10005, exp 1228":                                             "378282*****0005",
	"C: four one one one\nA: ok\nC: one one one one\nA: ok\nC: one one one one\nA: ok\nC: one one one one\nA: thank you": "411111******1111",
	"A: so that was 4111 1111 1111 1111?\nC: yes":                                                                        "411111******1111",
	"A: May I have the number of your card?\nC: 411111 1111 111111":                                                      "411111******1111",
	"paid with 3530.1113.3330.0000":                                                                                      "353011******0000",
	"please don't call me, charge 4111 1111 1111 1111":                                                                   "411111******1111",
}

var withoutCards = []string{
	"Hi How r u", "", "no numbers at all here", "1234567890123456", "4111 1111 1111 1112", "4111 1111 1111 111", "0000 0000 0000 0000", "4444444444444444444444",
	// Phones, in the manner of many countries.
	"call me at +49 1512 3456789", "+4915123456789", "+44 20 7946 0958", "(415) 555-1234", "+1 415 555 1234 ext 4567", "0049 30 1234567", "+33 6 12 34 56 78", "415-555-1234 or 415-555-4321",
	// Bank accounts.
	"IBAN DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR14 2004 1010 0505 0001 3M02 606", "NL91ABNA0417164300 please", "CH93 0076 2011 6238 5295 7",
	"ES91 2100 0418 4502 0005 1332",
	// Times and dates.
	"it happened on 2026-11-21 09:00:00", "20261121090000", "2026-11-21T09:00:00.123456Z", "1763715600000", "1763715600000000", "21.11.2026 09:00 - 23.11.2026 17:30", "from 2024-01-01 to 2024-12-31",
	// Ids.
	"int-14a0febe466-bLfK0EF6BKKvFMZmhhFdW14v0-chat-03-tenant", "S20071220/R2007122003163601000.wav", "7a0b2c6e-93d4-4c5f-8a61-0d2e4f6a8b10", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"my order is 8000000000001234", "order 8000-0000-0000-1234", "IMEI 490154203237518", "IMEI 353918052345671", "tracking 1Z999AA10123456784", "tracking 9400 1000 0000 0000 0000 00", "VIN 1HGCM82633A004352",
	"ISBN 978-3-16-148410-0", "EAN 4006381333931", "barcode 4003994155486", "lat 52.5200066, long 13.404954", "192.168.100.200:8080", "10.191.210.31", "00:1A:2B:3C:4D:5E",
	// Amounts, lists, other numbers.
	"4500, 1200, 3300, 4000", "1,234,567,890.12", "we have 12 boxes, 24 crates and 36 pallets", "1 2 3 4 5 6 7 8 9 10 11 12 13", "3.14159265358979", "room 4111, floor 11, building 11, gate 11",
	"one two three four five six seven eight nine ten", "one of two, the other one", "the sizes are 4111 of 1111 on 1111 by 1111", "C: 4111 1111\nA: 1111 1111", "C: 4111 1111\nC: sorry, wrong one\nC: 1111 1111",
	"score 4-1, 1-1, 1-1, 1-1, 1-1, 1-1, 1-1, 1-0", "C: is it 2?\nC: or 3",
}

// What is found is measured: with the doubtful ones, and without.
func TestCorpus(t *testing.T) {
	var sure, doubtful, missed, wrong, wrongDoubtful int
	for text, want := range withCards {
		hits := cardnumber.Search(talk(text))
		i := slices.IndexFunc(hits, func(h cardnumber.Hit) bool { return h.Masked == want })
		switch {
		case i < 0:
			missed++
			t.Errorf("missed in %q: %+v", text, hits)
			continue
		case hits[i].Doubt == "":
			sure++
		default:
			doubtful++
			t.Logf("in doubt: %q, because %s", text, hits[i].Doubt)
		}
		if len(hits) > 1 {
			t.Errorf("more than there is in %q: %+v", text, hits)
		}
	}
	for _, text := range withoutCards {
		for _, h := range cardnumber.Search(talk(text)) {
			if h.Doubt == "" {
				wrong++
				t.Errorf("%q is taken for a card's number: %+v", text, h)
			} else {
				wrongDoubtful++
				t.Logf("%q is taken for one that is in doubt because %s", text, h.Doubt)
			}
		}
	}
	report(t, fmt.Sprintf("written by hand, %d with a card and %d without", len(withCards), len(withoutCards)), sure, doubtful, missed, wrong, wrongDoubtful)
	if doubtful > 3 || wrongDoubtful > 4 {
		t.Errorf("%d cards and %d others in doubt", doubtful, wrongDoubtful)
	}
}

func report(t *testing.T, what string, sure, doubtful, missed, wrong, wrongDoubtful int) {
	t.Helper()
	share := func(a, b int) float64 { return float64(a) / float64(max(a+b, 1)) }
	t.Logf("%s: for certain precision %.3f recall %.3f; with the doubtful precision %.3f recall %.3f", what,
		share(sure, wrong), share(sure, doubtful+missed), share(sure+doubtful, wrong+wrongDoubtful), share(sure+doubtful, missed))
}

// number makes a valid number of a beginning and a length.
func number(r *rand.Rand, begin string, length int) string {
	digits := []byte(begin)
	for len(digits) < length-1 {
		digits = append(digits, byte('0'+r.IntN(10)))
	}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return string(digits) + strconv.Itoa((10-sum%10)%10)
}

func random(r *rand.Rand, n int) string {
	b := []byte{byte('1' + r.IntN(9))}
	for len(b) < n {
		b = append(b, byte('0'+r.IntN(10)))
	}
	return string(b)
}

func inFours(s, between string) string {
	var parts []string
	for len(s) > 4 {
		parts, s = append(parts, s[:4]), s[4:]
	}
	return strings.Join(append(parts, s), between)
}

// Numbers at random: cards of each brand in each manner, and what chance makes of others.
func TestAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	spell := func(s string) string {
		var w []string
		for _, c := range []byte(s) {
			w = append(w, names[c-'0'])
		}
		return strings.Join(w, " ")
	}
	manners := []func(string) string{
		func(s string) string { return s },
		func(s string) string { return inFours(s, " ") },
		func(s string) string { return "it is " + inFours(s, "-") + " thanks" },
		func(s string) string { return "my card: " + inFours(s, ".") + ", exp 09/27" },
		spell,
		func(s string) string { return "C: " + s[:8] + "\nA: ok\nC: " + s[8:] },
		func(s string) string { return "C: " + strings.ReplaceAll(inFours(s, " "), " ", "\nC: ") },
	}
	var sure, doubtful, missed, wrong, wrongDoubtful int
	for _, brand := range []struct {
		begin  string
		length int
	}{{"4", 16}, {"51", 16}, {"2720", 16}, {"37", 15}, {"36", 14}, {"6011", 16}, {"3530", 16}, {"62", 16}, {"62", 19}, {"6759", 18}} {
		for range 40 {
			n := number(r, brand.begin, brand.length)
			for _, manner := range manners {
				text := manner(n)
				hits := cardnumber.Search(talk(text))
				want := n[:6] + strings.Repeat("*", len(n)-10) + n[len(n)-4:]
				i := slices.IndexFunc(hits, func(h cardnumber.Hit) bool { return h.Masked == want })
				switch {
				case i < 0:
					missed++
					t.Errorf("missed in %q: %+v", text, hits)
				case hits[i].Doubt == "":
					sure++
				default:
					doubtful++
					t.Logf("in doubt: %q, because %s", text, hits[i].Doubt)
				}
			}
		}
	}
	total := 0
	for _, other := range []func() string{
		func() string { return "order " + random(r, 16) },
		func() string { return "invoice no. " + inFours(random(r, 16), "-") },
		func() string { return "A: What is the tracking number?\nC: " + random(r, 16) },
		func() string { return "+" + random(r, 12+r.IntN(3)) },
		func() string {
			return "call " + random(r, 3) + "-" + random(r, 3) + "-" + random(r, 4) + " or " + random(r, 3) + "-" + random(r, 3) + "-" + random(r, 4)
		},
		func() string {
			return fmt.Sprintf("%d, %d, %d and %d", r.IntN(9999), r.IntN(9999), r.IntN(9999), r.IntN(9999))
		},
		func() string {
			return fmt.Sprintf("2026%02d%02d%02d%02d%02d%03d", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000))
		},
		func() string { return fmt.Sprintf("%x-%x", r.Uint64(), r.Uint64()) },
	} {
		for range 500 {
			total++
			text := other()
			for _, h := range cardnumber.Search(talk(text)) {
				if h.Doubt == "" {
					wrong++
					t.Logf("%q is taken for a card's number", text)
				} else {
					wrongDoubtful++
				}
			}
		}
	}
	report(t, fmt.Sprintf("at random, %d with a card and %d without", 40*10*len(manners), total), sure, doubtful, missed, wrong, wrongDoubtful)
	bare := 0
	for range 10_000 {
		if len(cardnumber.Search(talk(random(r, 16)))) > 0 {
			bare++
		}
	}
	t.Logf("of 10000 numbers of 16 digits with nothing beside them, %d are taken for a card's, as they could be", bare)
	if wrong > total/200 || bare > 500 {
		t.Errorf("%d and %d false alarms", wrong, bare)
	}
}

func TestPlaces(t *testing.T) {
	lines := talk("C: it's 3782 822463 ok?\nA: go on\nC: and 10005, cvv: 1234, thanks")
	hits := cardnumber.Search(talk("C: it's 3782 822463\nA: go on\nC: and 10005, cvv: 1234, thanks"))
	if len(hits) != 1 || len(hits[0].Places) != 2 || hits[0].Brand != cardnumber.AmericanExpress {
		t.Fatalf("%+v", hits)
	}
	if a, b := hits[0].Places[0], hits[0].Places[1]; a.Line != 0 || a.Masked != "378282****" || b.Line != 2 || b.Masked != "*0005" || lines[2].Text[b.From:b.To] != "10005" {
		t.Errorf("%+v", hits[0].Places)
	}
	hidden := cardnumber.Hide(talk("C: it's 3782 822463\nA: go on\nC: and 10005, cvv: 1234, thanks\nC: order 4111 1111 1111 1111"))
	if got := strings.Join(hidden, "|"); got != "it's 378282****|go on|and *0005, cvv: ****, thanks|order 411111******1111" {
		t.Error(got)
	}
}

func TestDoubts(t *testing.T) {
	for text, doubt := range map[string]string{
		"order 4111 1111 1111 1111":                    `it is called "order"`,
		"the order paid by 4111111111111111":           "",
		"order 17, card 4111111111111111":              "",
		"A: Your invoice number?\nC: 4111111111111111": `it is called "invoice"`,
		"A: Your card number?\nC: 4111111111111111":    "",
		"+378282246310005":                             "it is written as a phone number",
		"x4111111111111111":                            "letters are part of it",
		"41 1111 1111 111 111":                         "no card's number is grouped like this",
		"4111, 1111, 1111, 1111":                       "it may be a list of numbers",
		"77123 4111 1111 1111 1111":                    "more digits stand before it",
		"411111111111111109271":                        "it is part of a longer number",
		"4111 1111 1111 1111 09 27 123":                "",
	} {
		hits := cardnumber.Search(talk(text))
		if len(hits) != 1 || hits[0].Doubt != doubt {
			t.Errorf("%q: %+v", text, hits)
		}
	}
}

// FuzzSearch holds that what was found is hidden, and nothing else is touched.
func FuzzSearch(f *testing.F) {
	for text := range withCards {
		f.Add(text)
	}
	for _, text := range withoutCards {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := talk(text)
		hits := cardnumber.Search(lines)
		for _, h := range hits {
			if strings.Trim(h.Masked, "0123456789*") != "" || len(h.Masked) < 13 || len(h.Masked) > 19 || strings.Count(h.Masked, "*") != len(h.Masked)-10 {
				t.Fatalf("%q is shown", h.Masked)
			}
			for _, p := range h.Places {
				if p.Line >= len(lines) || p.From < 0 || p.To > len(lines[p.Line].Text) || p.From >= p.To {
					t.Fatalf("%q: a place outside of it: %+v", text, p)
				}
			}
		}
		hidden := cardnumber.Hide(lines)
		if len(hidden) != len(lines) {
			t.Fatal("lines are lost")
		}
		for i, l := range lines {
			if len(hits) == 0 && !strings.Contains(hidden[i], "***") && hidden[i] != l.Text {
				t.Fatalf("%q was changed to %q", l.Text, hidden[i])
			}
			lines[i].Text = hidden[i]
		}
		for _, again := range cardnumber.Search(lines) { // what is left of one may make another with its neighbours
			if slices.ContainsFunc(hits, func(h cardnumber.Hit) bool { return h.Masked == again.Masked && h.Doubt == "" }) {
				t.Fatalf("%q became %q, in which %+v is found again", text, hidden, again)
			}
		}
	})
}
