package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"offrecord/web/deletion"
	"offrecord/web/recordings"
)

type transcriptsCommands struct {
	List   transcriptsList   `cmd:"" help:"List chat transcripts, without their messages."`
	Show   transcriptsShow   `cmd:"" help:"Show a transcript's messages. Card numbers are masked."`
	Delete transcriptsDelete `cmd:"" help:"Delete all messages of transcripts for good; the interactions stay, each with a dummy message. It asks first, and the log says who deleted what."`
	Scan   transcriptsScan   `cmd:"" help:"Look for card numbers in messages, their translations and metadata, and show them masked. Exits with 1 if there are any."`
}

type transcriptsList struct {
	account
	filters
	Format string `enum:"table,json,csv,xml" default:"table" help:"How to print: ${enum}."`
	Limit  int    `placeholder:"N" help:"At most so many."`
}

func (l transcriptsList) run(ctx context.Context, out, complaints io.Writer) int {
	q, err := l.query(recordings.Transcripts, moments{})
	if err != nil {
		return misused(complaints, err)
	}
	a := l.open(complaints)
	if a == nil {
		return usage
	}
	defer a.Close()
	add, end := transcriptsPrinter(out, l.Format)
	masked := func(t recordings.Transcript) error { return add(t.Masked()) }
	if err := each(a.Transcripts(ctx, q), l.Limit, bar(out, complaints, "transcripts", 0), masked, end); err != nil {
		return failed(complaints, err)
	}
	return good
}

func transcriptsPrinter(out io.Writer, format string) (add func(recordings.Transcript) error, end func() error) {
	if format != "table" {
		w := recordings.NewWriter(out, recordings.Format(format), recordings.Transcripts)
		return w.Transcript, w.Close
	}
	t := newTable(out, "START:26", "LENGTH:8", "TYPE:4", "AGENT:12", "CONTACT:20", "QUEUE:18", "INTERACTION")
	return func(r recordings.Transcript) error {
		return t.line(shown(r.Start), r.Duration, r.Type, r.AgentID, r.ContactName, r.QueueName, r.GUID)
	}, t.to.Flush
}

type transcriptsShow struct {
	account
	Format string `enum:"text,json,csv,xml" default:"text" help:"How to print: text, json, xml. (8x8 gives one transcript not as csv.)"`
	GUID   string `arg:"" name:"interaction" help:"The interaction's id as the list has it."`
}

func (s transcriptsShow) run(ctx context.Context, out, complaints io.Writer) int {
	if s.Format == string(recordings.CSV) {
		return misused(complaints, recordings.ErrNoCSV)
	}
	a := s.open(complaints)
	if a == nil {
		return usage
	}
	defer a.Close()
	if err := a.reads(ctx, s.GUID, "a transcript"); err != nil {
		return failed(complaints, err)
	}
	t, err := a.Transcript(ctx, s.GUID)
	if err != nil {
		return failed(complaints, err)
	}
	t = t.Masked()
	if s.Format == "text" {
		err = printConversation(out, t)
	} else {
		err = recordings.WriteTranscript(out, recordings.Format(s.Format), t)
	}
	if err != nil {
		return failed(complaints, err)
	}
	return good
}

func printConversation(out io.Writer, t recordings.Transcript) error {
	w := bufio.NewWriter(out)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, printable(value))
		}
	}
	line("interaction", t.GUID)
	line("start", shown(t.Start))
	line("length", t.Duration.String())
	line("agent", t.AgentID)
	line("contact", t.ContactName)
	line("queue", t.QueueName)
	line("channel", t.ChannelName)
	for _, m := range t.Metadata {
		line(printable(m.Name), m.Value)
	}
	fmt.Fprintln(w)
	for _, m := range t.Messages {
		fmt.Fprintf(w, "%s %s: %s\n", m.Time.Format("15:04:05"), printable(recordings.Who(m.From)), printable(m.Text))
		if m.Translation != "" {
			fmt.Fprintf(w, "         (%s) %s\n", printable(m.TranslatedLanguage), printable(m.Translation))
		}
	}
	return w.Flush()
}

type transcriptsDelete struct {
	account
	deleting
	GUIDs []string `arg:"" name:"interaction" help:"The interactions' ids as the list has them."`
}

func (d transcriptsDelete) ask(ctx context.Context, in io.Reader, out, complaints io.Writer) int {
	a := d.open(complaints)
	if a == nil {
		return usage
	}
	defer a.Close()
	return a.deleteTranscripts(ctx, d.GUIDs, d.deleting, in, out, complaints)
}

func (a *archive) deleteTranscripts(ctx context.Context, guids []string, d deleting, in io.Reader, out, complaints io.Writer) int {
	victims := make([]victim, len(guids))
	for i, guid := range guids {
		t, err := a.Transcript(ctx, guid)
		if err != nil {
			victims[i] = victim{Thing: deletion.OfTranscript(a, guid, nil)}
			continue
		}
		victims[i] = victim{deletion.OfTranscript(a, guid, &t), t.AgentID,
			fmt.Sprintf("%s, agent %s, contact %s, %d messages", shown(t.Start), t.AgentID, t.Masked().ContactName, len(t.Messages))}
	}
	return a.delete(ctx, victims, d, in, out, complaints)
}

type transcriptsScan struct {
	account
	filters
	deleting
	Delete bool   `help:"Delete the transcripts in which a number is found without a doubt. It asks first."`
	Format string `enum:"table,json,csv" default:"table" help:"How to print what is found: ${enum}. JSON is one object a line."`
}

// foundLine is a card number as the scan prints it.
type foundLine struct {
	Interaction string   `json:"interaction"`
	Start       string   `json:"start"`
	Agent       string   `json:"agent"`
	Number      string   `json:"number"`
	Brand       string   `json:"brand"`
	Where       []string `json:"where"`
	Doubt       string   `json:"doubt,omitempty"`
}

func (s transcriptsScan) ask(ctx context.Context, in io.Reader, out, complaints io.Writer) int {
	q, err := s.query(recordings.Transcripts, moments{})
	if err != nil {
		return misused(complaints, err)
	}
	a := s.open(complaints)
	if a == nil {
		return usage
	}
	defer a.Close()
	if err := a.reads(ctx, "", "transcripts, in search of card numbers"); err != nil {
		return failed(complaints, err)
	}
	status, sure, lines := good, []string(nil), []foundLine(nil)
	scanned, withNumbers, err := a.scan(ctx, q, complaints, func(t recordings.Transcript, numbers []recordings.CardNumber) {
		certain := false
		for _, n := range numbers {
			certain = certain || n.Doubt == ""
			lines = append(lines, lineOf(t, n))
		}
		if certain {
			sure = append(sure, t.GUID)
		}
	})
	// Printed at the end: until then there is the bar.
	if err = errors.Join(err, printFound(out, s.Format, lines)); err != nil {
		status = failed(complaints, err)
	}
	if withNumbers > 0 {
		status = finding
	}
	if s.Format == "table" {
		fmt.Fprintf(out, "%d of %d transcripts hold what may be a card number, %d without a doubt.\n", withNumbers, scanned, len(sure))
	}
	if len(sure) == 0 || err != nil {
		return status
	}
	if !s.Delete {
		if s.Format == "table" {
			fmt.Fprintln(out, "Delete these with --delete, or one by one: offrecord transcripts delete --config "+printable(s.Config)+" "+printable(sure[0]))
		}
		return status
	}
	if s.Format != "table" {
		out = complaints
	}
	return max(status, a.deleteTranscripts(ctx, sure, s.deleting, in, out, complaints))
}

// scan reads every transcript that a query finds and calls found for each in which there is a card number. It says how many it
// read, and in how many there was one.
func (a *archive) scan(ctx context.Context, q recordings.Query, complaints io.Writer, found func(recordings.Transcript, []recordings.CardNumber)) (scanned, with int, err error) {
	var guids []string
	listing := counted(complaints, "transcripts", 0, false)
	for t, err := range a.Transcripts(ctx, q) {
		if err != nil {
			listing.end()
			return 0, 0, err
		}
		guids = append(guids, t.GUID)
		listing.add(1)
	}
	listing.end()
	p := counted(complaints, "scanned", int64(len(guids)), false)
	defer p.end()
	for _, guid := range guids {
		t, err := a.Transcript(ctx, guid)
		switch {
		case errors.Is(err, recordings.ErrNotFound): // deleted meanwhile
			continue
		case err != nil:
			return scanned, with, fmt.Errorf("%s: %w", guid, err)
		}
		scanned++
		if numbers := t.CardNumbers(); len(numbers) > 0 {
			with++
			found(t, numbers)
		}
		p.add(1)
	}
	return scanned, with, nil
}

func lineOf(t recordings.Transcript, n recordings.CardNumber) foundLine {
	l := foundLine{Interaction: t.GUID, Agent: t.AgentID, Number: n.Masked, Brand: string(n.Brand), Doubt: n.Doubt, Where: []string{}}
	if !t.Start.IsZero() {
		l.Start = t.Start.Format("2006-01-02T15:04:05-07:00")
	}
	for _, s := range n.Spots {
		l.Where = append(l.Where, printable(s.String()))
	}
	return l
}

func printFound(out io.Writer, format string, lines []foundLine) error {
	switch format {
	case "json":
		e := json.NewEncoder(out)
		for _, l := range lines {
			if err := e.Encode(l); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		w := csv.NewWriter(out)
		w.Write([]string{"interaction", "start", "agent", "number", "brand", "where", "doubt"})
		for _, l := range lines {
			w.Write([]string{recordings.Cell(l.Interaction), l.Start, recordings.Cell(l.Agent), l.Number, l.Brand, strings.Join(l.Where, "; "), l.Doubt})
		}
		w.Flush()
		return w.Error()
	}
	t := newTable(out, "NUMBER:19", "BRAND:16", "AGENT:12", "INTERACTION:45", "WHERE")
	for _, l := range lines {
		where := strings.Join(l.Where, ", ")
		if l.Doubt != "" {
			where += "; in doubt, because " + l.Doubt
		}
		t.line(l.Number, l.Brand, l.Agent, l.Interaction, where)
	}
	return t.to.Flush()
}
