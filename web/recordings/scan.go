package recordings

import (
	"slices"
	"strconv"
	"time"

	"offrecord/web/cardnumber"
)

// Part is where in a transcript something stands.
type Part string

// The parts.
const (
	InMessage     Part = "message"
	InTranslation Part = "translation"
	InMetadata    Part = "metadata"
)

// CardNumber is one that was found in a transcript. The number itself isn't kept.
type CardNumber struct {
	// Masked is as much of it as may be shown.
	Masked string
	Brand  cardnumber.Brand
	// Doubt says why it may be something else; empty if nothing speaks for that.
	Doubt string
	// Spots are where it stands: in several messages where it was written in several goes or more than once, and in their
	// translations.
	Spots []Spot
}

// Spot is one place of a card number.
type Spot struct {
	Part Part
	// Number is the message's or the field's, from 1.
	Number int
	From   string    // who wrote the message
	Time   time.Time // of the message
}

// String puts the spot into words: message 3 (customer).
func (s Spot) String() string {
	where := string(s.Part) + " " + strconv.Itoa(s.Number)
	if s.From != "" {
		where += " (" + Who(s.From) + ")"
	}
	return where
}

// Who puts a message's From into words; only the customer's sign is documented.
func Who(from string) string {
	if from == Customer {
		return "customer"
	}
	return from
}

// CardNumbers looks for card numbers in the messages, their translations and the metadata.
func (t Transcript) CardNumbers() []CardNumber {
	var all []CardNumber
	for _, part := range []Part{InMessage, InTranslation, InMetadata} {
		lines := t.lines(part)
		for _, h := range cardnumber.Search(lines) {
			i := slices.IndexFunc(all, func(c CardNumber) bool { return c.Masked == h.Masked && c.Brand == h.Brand })
			if i < 0 {
				i, all = len(all), append(all, CardNumber{Masked: h.Masked, Brand: h.Brand, Doubt: h.Doubt})
			}
			if h.Doubt == "" {
				all[i].Doubt = ""
			}
			for _, p := range h.Places {
				s := Spot{Part: part, Number: p.Line + 1}
				if part == InMetadata {
					s.Number = p.Line/2 + 1
				} else {
					s.From, s.Time = t.Messages[p.Line].From, t.Messages[p.Line].Time
				}
				if !slices.Contains(all[i].Spots, s) {
					all[i].Spots = append(all[i].Spots, s)
				}
			}
		}
	}
	return all
}

// lines are a part as it is searched: a message a line, and of the metadata each name, which may say what its value is, and each
// value, which is nobody's continuation.
func (t Transcript) lines(part Part) []cardnumber.Line {
	var lines []cardnumber.Line
	switch part {
	case InMessage:
		for _, m := range t.Messages {
			lines = append(lines, cardnumber.Line{Party: m.From, Language: m.Language, Text: m.Text})
		}
	case InTranslation:
		for _, m := range t.Messages {
			lines = append(lines, cardnumber.Line{Party: m.From, Language: m.TranslatedLanguage, Text: m.Translation})
		}
	case InMetadata:
		for i, m := range t.Metadata {
			own := strconv.Itoa(i)
			lines = append(lines, cardnumber.Line{Party: own + "name", Text: m.Name}, cardnumber.Line{Party: own + "value", Text: m.Value})
		}
	}
	return lines
}

// Masked is the transcript as it may be shown: without the card numbers, the doubtful ones too.
func (t Transcript) Masked() Transcript {
	texts, translations, metadata := cardnumber.Hide(t.lines(InMessage)), cardnumber.Hide(t.lines(InTranslation)), cardnumber.Hide(t.lines(InMetadata))
	t.Messages, t.Metadata = slices.Clone(t.Messages), slices.Clone(t.Metadata)
	for i := range t.Messages {
		t.Messages[i].Text, t.Messages[i].Translation = texts[i], translations[i]
	}
	for i := range t.Metadata {
		t.Metadata[i] = Metadata{metadata[2*i], metadata[2*i+1]}
	}
	t.ContactName = cardnumber.Hide([]cardnumber.Line{{Text: t.ContactName}})[0]
	return t
}
