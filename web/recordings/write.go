package recordings

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Writer writes a list in one of the platform's own formats, as its document shows it and well-formed. A CSV is also safe to
// open as a spreadsheet: no cell of it is taken for a formula.
type Writer struct {
	to     *bufio.Writer
	csv    *csv.Writer
	format Format
	kind   Kind
	count  int
	err    error
}

// NewWriter begins a list. Close ends it.
func NewWriter(w io.Writer, f Format, k Kind) *Writer {
	l := &Writer{to: bufio.NewWriter(w), format: f, kind: k}
	switch f {
	case CSV:
		l.csv = csv.NewWriter(l.to)
		names := columnsOf(Recording{}.fields())
		if k == Transcripts {
			names = columnsOf(Transcript{}.fields())
		}
		l.keep(l.csv.Write(names))
	case JSON:
		l.say(`{"recordings":{` + strconv.Quote(k.element()) + `:[`)
	default:
		l.say(xmlHead + "<recordings>\n")
	}
	return l
}

const xmlHead = "<?xml version='1.0' encoding='UTF-8' ?>\n"

// element is what a record of the kind is called in XML and JSON.
func (k Kind) element() string {
	if k == Transcripts {
		return "transcript"
	}
	return "file"
}

// Recording adds a recording to a list of such.
func (l *Writer) Recording(r Recording) error { return l.add(r.fields()) }

// Transcript adds a transcript, without its messages, to a list of such.
func (l *Writer) Transcript(t Transcript) error {
	t.Messages = nil
	return l.add(t.fields())
}

// Close ends the list. It doesn't close what is written to.
func (l *Writer) Close() error {
	switch l.format {
	case CSV:
		l.csv.Flush()
		l.keep(l.csv.Error())
	case JSON:
		l.say("]}}\n")
	default:
		l.say("</recordings>\n")
	}
	l.keep(l.to.Flush())
	return l.err
}

func (l *Writer) add(fields []field) error {
	switch l.format {
	case CSV:
		row := make([]string, len(fields))
		for i, f := range fields {
			row[i] = Cell(f.flat())
		}
		l.keep(l.csv.Write(row))
	case JSON:
		if l.count > 0 {
			l.say(",")
		}
		l.say("\n")
		writeJSON(l.to, fields)
	default:
		writeXML(l.to, l.kind.element(), fields)
	}
	l.count++
	return l.err
}

func (l *Writer) say(s string) {
	_, err := l.to.WriteString(s)
	l.keep(err)
}

func (l *Writer) keep(err error) {
	if l.err == nil && err != nil {
		l.err = fmt.Errorf("writing the list: %w", err)
	}
}

// WriteTranscript writes one transcript with its messages, as XML or JSON.
func WriteTranscript(w io.Writer, f Format, t Transcript) error {
	b := bufio.NewWriter(w)
	switch f {
	case CSV:
		return ErrNoCSV
	case JSON:
		b.WriteString(`{"transcript":`)
		writeJSON(b, t.fields())
		b.WriteString("}\n")
	default:
		b.WriteString(xmlHead)
		writeXML(b, "transcript", t.fields())
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing the transcript: %w", err)
	}
	return nil
}

// field is one output field: a text, or what is below it, group by group.
type field struct {
	name, text string
	groups     []field // each with its own below
	array      bool    // JSON writes an array, even of one
	below      []field
}

func (r Recording) fields() []field {
	codes := field{name: "transactionCode", array: true}
	for _, c := range r.WrapUp {
		codes.groups = append(codes.groups, field{below: []field{{name: "listName", text: c.List}, {name: "name", text: c.Name}}})
	}
	return []field{{name: "startDate", text: writeTime(r.Start)}, {name: "agentID", text: r.AgentID}, {name: "phoneNumber", text: r.PhoneNumber}, {name: "channel", text: r.Channel},
		{name: "caseID", text: r.CaseID}, {name: "duration", text: writeSeconds(r.Duration)}, {name: "filename", text: r.Filename}, {name: "queueID", text: r.QueueID},
		{name: "queueName", text: r.QueueName}, {name: "accountNumber", text: r.AccountNumber}, {name: "transactionID", text: r.TransactionID},
		{name: "extVar1", text: r.ExtVar1}, {name: "extVar2", text: r.ExtVar2}, {name: "outDialCode", text: r.OutDialCode},
		{name: "wrapUpCode", below: []field{{name: "transactionCodes", below: []field{codes}}}}}
}

func (t Transcript) fields() []field {
	metadata := field{name: "metaData", array: true}
	for _, m := range t.Metadata {
		metadata.groups = append(metadata.groups, field{below: []field{{name: "fieldName", text: m.Name}, {name: "fieldValue", text: m.Value}}})
	}
	all := []field{{name: "startDate", text: writeTime(t.Start)}, {name: "agentID", text: t.AgentID}, {name: "agentName", text: t.AgentName}, {name: "contactID", text: t.ContactID},
		{name: "contactName", text: t.ContactName}, {name: "queueID", text: t.QueueID}, {name: "queueName", text: t.QueueName}, {name: "channelID", text: t.ChannelID},
		{name: "channelName", text: t.ChannelName}, {name: "caseID", text: t.CaseID}, {name: "targetIP", text: t.TargetIP}, {name: "transactionID", text: t.TransactionID},
		{name: "interactionGUID", text: t.GUID}, {name: "transcriptType", text: t.Type}, {name: "duration", text: writeSeconds(t.Duration)},
		{name: "metaDatas", below: []field{metadata}}}
	if len(t.Messages) == 0 {
		return all
	}
	messages := field{name: "message", array: true}
	for _, m := range t.Messages {
		messages.groups = append(messages.groups, field{below: []field{{name: "messageTime", text: writeTime(m.Time)}, {name: "messageFrom", text: m.From},
			{name: "originalLanguage", text: m.Language}, {name: "originalMessage", text: m.Text}, {name: "translatedLanguage", text: m.TranslatedLanguage},
			{name: "translatedMessage", text: m.Translation}}})
	}
	return append(all, field{name: "messages", below: []field{messages}})
}

func writeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05-07:00") // the document's: UTC isn't written as Z
}

func writeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

func columnsOf(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// flat is a field in a table: what is below it in one line.
func (f field) flat() string {
	var texts []string
	for _, one := range f.groups {
		var pair []string
		for _, b := range one.below {
			pair = append(pair, b.text)
		}
		texts = append(texts, strings.Join(pair, ": "))
	}
	for _, b := range f.below {
		texts = append(texts, b.flat())
	}
	if len(texts) > 0 {
		return strings.Join(texts, "; ")
	}
	return f.text
}

// Cell keeps a spreadsheet from taking a text for a formula (OWASP, "CSV Injection"). A phone number keeps its plus.
func Cell(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	if strings.Trim(s[1:], "0123456789 ") == "" && s[0] == '+' {
		return s
	}
	return "'" + s
}

func writeXML(w *bufio.Writer, name string, fields []field) {
	w.WriteString("<" + name + ">")
	for _, f := range fields {
		switch {
		case f.array:
			for _, one := range f.groups {
				writeXML(w, f.name, one.below)
			}
		case f.below != nil:
			writeXML(w, f.name, f.below)
		case f.text == "":
			w.WriteString("<" + f.name + "/>")
		default:
			w.WriteString("<" + f.name + ">")
			xml.EscapeText(w, []byte(f.text))
			w.WriteString("</" + f.name + ">")
		}
	}
	w.WriteString("</" + name + ">\n")
}

func writeJSON(w *bufio.Writer, fields []field) {
	w.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString(strconv.Quote(f.name) + ":")
		switch {
		case f.array:
			w.WriteByte('[')
			for i, one := range f.groups {
				if i > 0 {
					w.WriteByte(',')
				}
				writeJSON(w, one.below)
			}
			w.WriteByte(']')
		case f.below != nil:
			writeJSON(w, f.below)
		default:
			text, _ := json.Marshal(f.text) // of a string it can't fail
			w.Write(text)
		}
	}
	w.WriteByte('}')
}
