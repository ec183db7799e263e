package archive

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// out is a piece of an answer: an element with text, or with elements in it.
type out struct {
	name, text string
	in         []out
}

func (a *Archive) listFiles(w http.ResponseWriter, r *http.Request, format string) {
	q := r.URL.Query()
	when, err := a.dates(q)
	n, bad := first(q)
	if err != nil || bad != nil {
		http.Error(w, "Bad request", http.StatusBadRequest)
		return
	}
	if q.Has("metaData_fieldName") || q.Has("metaData_fieldValue") { // recordings have none
		a.list(w, format, "file", nil)
		return
	}
	a.mu.Lock()
	var found []*recording
	for _, r := range a.recordings {
		if when.holds(r.start, r.length) && matches(q, r.field) {
			found = append(found, r)
		}
	}
	a.mu.Unlock()
	var all []out
	for _, r := range page(found, n) {
		codes := out{name: "wrapUpCode"}
		if len(r.codes) > 0 {
			codes.in = []out{{name: "transactionCodes", in: []out{{name: "transactionCode", in: []out{{name: "listName", text: r.codes[0]}, {name: "name", text: r.codes[1]}}}}}}
		}
		all = append(all, out{name: "file", in: append(append([]out{{name: "startDate", text: a.stamp(r.start)}},
			fields(r.field, "agentID", "phoneNumber", "channel", "caseID", "duration", "filename", "queueID", "queueName", "accountNumber", "transactionID", "extVar1", "extVar2", "outDialCode")...), codes)})
	}
	a.list(w, format, "file", all)
}

func fields(of func(string) (string, bool), names ...string) []out {
	var all []out
	for _, name := range names {
		text, _ := of(name)
		all = append(all, out{name: name, text: text})
	}
	return all
}

func (a *Archive) listTranscripts(w http.ResponseWriter, r *http.Request, format string) {
	q := r.URL.Query()
	when, err := a.dates(q)
	n, bad := first(q)
	if err != nil || bad != nil {
		http.Error(w, "Bad request", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	var found []*transcript
	for _, t := range a.transcripts {
		if when.holds(t.start, t.length) && matches(q, t.field) && t.about(q.Get("metaData_fieldName"), q.Get("metaData_fieldValue")) {
			found = append(found, t)
		}
	}
	var all []out
	for _, t := range page(found, n) {
		all = append(all, a.head(t))
	}
	a.mu.Unlock()
	a.list(w, format, "transcript", all)
}

// about reports whether a chat's metadata has a field of such a name and value, of which a part is enough.
func (t *transcript) about(name, value string) bool {
	if name == "" && value == "" {
		return true
	}
	for _, m := range t.metadata {
		if strings.Contains(m[0], name) && strings.Contains(m[1], value) {
			return true
		}
	}
	return false
}

func (a *Archive) head(t *transcript) out {
	metadata := out{name: "metaDatas"}
	for _, m := range t.metadata {
		metadata.in = append(metadata.in, out{name: "metaData", in: []out{{name: "fieldName", text: m[0]}, {name: "fieldValue", text: m[1]}}})
	}
	return out{name: "transcript", in: append(append([]out{{name: "startDate", text: a.stamp(t.start)}},
		fields(t.field, "agentID", "agentName", "contactID", "contactName", "queueID", "queueName", "channelID", "channelName", "caseID", "targetIP", "transactionID",
			"interactionGUID", "transcriptType", "duration")...), metadata)}
}

// transcript is one chat with its messages. The document: it "does not give a CSV response".
func (a *Archive) transcript(w http.ResponseWriter, rest string) {
	guid, format := cutFormat(rest)
	if format == "csv" {
		http.Error(w, "Bad request", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	t := a.chat(guid)
	deleted := t != nil && t.deleted
	a.mu.Unlock()
	if t == nil {
		http.Error(w, "Not found", http.StatusNotFound)
		return
	}
	lines := t.lines // they never change
	if deleted {
		lines = []line{{from: "S", language: "en", text: "The messages of this interaction have been removed."}}
	}
	messages := out{name: "messages"}
	for _, l := range lines {
		messages.in = append(messages.in, out{name: "message", in: []out{{name: "messageTime", text: a.stamp(t.start.Add(l.after))}, {name: "messageFrom", text: l.from},
			{name: "originalLanguage", text: l.language}, {name: "originalMessage", text: l.text}, {name: "translatedLanguage", text: l.translated},
			{name: "translatedMessage", text: l.translation}}})
	}
	whole := a.head(t)
	whole.in = append(whole.in, messages)
	a.write(w, format, whole)
}

func (a *Archive) chat(guid string) *transcript {
	for _, t := range a.transcripts {
		if t.guid == guid {
			return t
		}
	}
	return nil
}

func (a *Archive) deleteTranscript(w http.ResponseWriter, guid string) {
	a.mu.Lock()
	t, status := a.chat(guid), http.StatusNoContent
	if t != nil {
		t.deleted, status = true, http.StatusOK
	}
	a.mu.Unlock()
	w.WriteHeader(status)
}

// find returns where a file is among the recordings; -1 if it isn't. The lock is held.
func (a *Archive) find(name string) int {
	for i, r := range a.recordings {
		if r.filename == name || strings.TrimSuffix(r.filename, ".wav") == name {
			return i
		}
	}
	return -1
}

func (a *Archive) deleteFile(w http.ResponseWriter, name string) {
	a.mu.Lock()
	i, status := a.find(name), http.StatusNotFound
	if i >= 0 {
		a.recordings, status = append(a.recordings[:i:i], a.recordings[i+1:]...), http.StatusOK
	}
	a.mu.Unlock()
	w.WriteHeader(status)
}

func (a *Archive) file(w http.ResponseWriter, r *http.Request, name string) {
	a.mu.Lock()
	i := a.find(name)
	var found *recording
	if i >= 0 {
		found = a.recordings[i]
	}
	a.mu.Unlock()
	if found == nil {
		http.Error(w, "Not found", http.StatusNotFound)
		return
	}
	sound := newWave(found)
	w.Header().Set("Content-Type", "audio/x-wav")
	if a.config.NoRanges {
		w.Header().Set("Content-Length", strconv.FormatInt(sound.size(), 10))
		if r.Method == http.MethodGet {
			io.Copy(w, io.NewSectionReader(sound, 0, sound.size()))
		}
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, found.seed))
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(sound, 0, sound.size()))
}

// list writes a page.
func (a *Archive) list(w http.ResponseWriter, format, name string, all []out) {
	if format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		table(w, name, all)
		return
	}
	a.write(w, format, out{name: "recordings", in: all})
}

func (a *Archive) write(w http.ResponseWriter, format string, o out) {
	if format == "json" {
		w.Header().Set("Content-Type", "application/json")
		text, err := json.Marshal(map[string]any{o.name: a.object(o)})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Write(text)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0' encoding='UTF-8' ?> ")
	a.xml(&b, o)
	w.Write(b.Bytes())
}

// xml writes as the document's samples are written: <channelName> is closed by </channelname>.
func (a *Archive) xml(b *bytes.Buffer, o out) {
	switch {
	case len(o.in) == 0 && o.text == "":
		b.WriteString("<" + o.name + " /> ")
		return
	case len(o.in) == 0:
		b.WriteString("<" + o.name + ">" + html.EscapeString(o.text))
	default:
		b.WriteString("<" + o.name + "> ")
		for _, in := range o.in {
			a.xml(b, in)
		}
	}
	end := o.name
	if end == "channelName" && !a.config.Lenient {
		end = "channelname"
	}
	b.WriteString("</" + end + "> ")
}

// object is what a converter from XML makes of an element: what is there once is no array, what is empty is a text, and what
// looks like a number is one.
func (a *Archive) object(o out) any {
	if len(o.in) == 0 {
		isList := o.name == "recordings" || o.name == "messages" || o.name == "metaDatas"
		if n, err := strconv.ParseInt(o.text, 10, 64); err == nil && strconv.FormatInt(n, 10) == o.text && !a.config.Lenient {
			return n
		}
		if isList && a.config.Lenient {
			return map[string]any{}
		}
		return o.text
	}
	all := map[string]any{}
	for _, in := range o.in {
		v := a.object(in)
		many := a.config.Lenient && (in.name == "file" || in.name == "transcript" || in.name == "message" || in.name == "metaData" || in.name == "transactionCode")
		switch have := all[in.name].(type) {
		case nil:
			if many {
				v = []any{v}
			}
			all[in.name] = v
		case []any:
			all[in.name] = append(have, v)
		default:
			all[in.name] = []any{have, v}
		}
	}
	return all
}

// table writes a page as CSV, with the fields' names first.
func table(w io.Writer, name string, all []out) {
	names := strings.Fields("startDate agentID phoneNumber channel caseID duration filename queueID queueName accountNumber transactionID extVar1 extVar2 outDialCode wrapUpCode")
	if name == "transcript" {
		names = strings.Fields("startDate agentID agentName contactID contactName queueID queueName channelID channelName caseID targetIP transactionID interactionGUID transcriptType duration metaDatas")
	}
	c := csv.NewWriter(w)
	c.Write(names)
	for _, o := range all {
		var row []string
		for _, in := range o.in {
			row = append(row, in.flat())
		}
		c.Write(row)
	}
	c.Flush()
}

func (o out) flat() string {
	if len(o.in) == 0 {
		return o.text
	}
	var texts []string
	for _, in := range o.in {
		texts = append(texts, in.flat())
	}
	return strings.Join(texts, " ")
}
