package recordings

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Format is how answers are written.
type Format string

// The formats. XML is the platform's default, and the one that its document shows.
const (
	XML  Format = "xml"
	JSON Format = "json"
	CSV  Format = "csv"
)

// node is what the formats have in common: a name, and either text or what is below it. An array of JSON is as many nodes of
// one name, as it is in XML.
type node struct {
	name, text string
	kids       []node
}

// maxDepth is how deep an answer may be nested; the document's go seven deep.
const maxDepth = 32

var (
	errDepth  = errors.New("it is nested too deep")
	errAnswer = errors.New("it isn't what was asked for")
)

// readTree reads an answer in a format. What is below the returned root is what the answer holds.
func readTree(f Format, body []byte) (node, error) {
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	switch f {
	case JSON:
		return readJSON(body)
	case CSV:
		return readCSV(body)
	}
	return readXML(body)
}

// readXML reads what means to be XML. The document's own sample closes <channelName> by </channelname>, so an end tag closes the
// nearest element that was opened under its name, in upper or lower case; one that closes nothing is passed over, and what
// is still open at the end is closed there.
func readXML(body []byte) (node, error) {
	if slices.ContainsFunc(body, mayBeIllegal) {
		body = bytes.Map(func(r rune) rune {
			if illegal(r) {
				return ' '
			}
			return r
		}, body)
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // made valid above
	type element struct {
		node
		text []byte
	}
	open := []element{{}}
	shut := func() {
		last := len(open) - 1
		n := open[last].node
		n.text = string(open[last].text)
		open[last].text = open[last].text[:0]
		open = open[:last]
		open[last-1].kids = append(open[last-1].kids, n)
	}
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return node{}, fmt.Errorf("%w: not XML", errAnswer)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) > maxDepth {
				return node{}, errDepth
			}
			var room []byte
			if cap(open) > len(open) {
				room = open[:len(open)+1][len(open)].text[:0] // of one that was shut
			}
			open = append(open, element{node{name: t.Name.Local}, room})
		case xml.EndElement:
			for i := len(open) - 1; i > 0; i-- {
				if strings.EqualFold(open[i].name, t.Name.Local) {
					for len(open) > i {
						shut()
					}
					break
				}
			}
		case xml.CharData:
			n := &open[len(open)-1]
			n.text = append(n.text, t...)
		}
	}
	for len(open) > 1 {
		shut()
	}
	return open[0].node, nil
}

// mayBeIllegal finds the bytes that illegal characters have in UTF-8, quickly.
func mayBeIllegal(b byte) bool { return b < ' ' && b != '\t' && b != '\n' && b != '\r' || b == 0xEF }

// illegal are the characters that XML 1.0 forbids (2.2), which a decoder refuses and platforms write all the same.
func illegal(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

func readJSON(body []byte) (node, error) {
	if !json.Valid(body) {
		return node{}, fmt.Errorf("%w: not JSON", errAnswer)
	}
	w, root := walker{body: body}, node{}
	if err := w.value(&root, "", 0); err != nil {
		return node{}, err
	}
	if len(root.kids) == 1 && root.kids[0].name == "" { // the answer itself is an object
		return root.kids[0], nil
	}
	return root, nil
}

// walker goes through JSON that is known to be valid: decoding into maps takes five times as long.
type walker struct {
	body []byte
	at   int
}

// next is the next character that isn't a space, which it doesn't pass.
func (w *walker) next() byte {
	for w.body[w.at] <= ' ' {
		w.at++
	}
	return w.body[w.at]
}

// value puts a value below n. Numbers are kept as they are written: an id of many digits stays one.
func (w *walker) value(n *node, name string, depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	switch w.next() {
	case '[':
		for w.at++; w.next() != ']'; {
			if w.body[w.at] == ',' {
				w.at++
			}
			if err := w.value(n, name, depth+1); err != nil {
				return err
			}
		}
		w.at++
	case '{':
		below := node{name: name, kids: make([]node, 0, 16)}
		for w.at++; w.next() != '}'; {
			if w.body[w.at] == ',' {
				w.at++
				w.next()
			}
			key := w.text()
			w.next()
			w.at++ // the colon
			if err := w.value(&below, key, depth+1); err != nil {
				return err
			}
		}
		w.at++
		n.kids = append(n.kids, below)
	case '"':
		n.kids = append(n.kids, node{name: name, text: w.text()})
	default:
		from := w.at
		for w.at < len(w.body) && !bytes.ContainsRune([]byte(" \t\r\n,]}"), rune(w.body[w.at])) {
			w.at++
		}
		text := string(w.body[from:w.at])
		if text == "null" {
			text = ""
		}
		n.kids = append(n.kids, node{name: name, text: text})
	}
	return nil
}

// text reads a quoted text.
func (w *walker) text() string {
	from, plain := w.at, true
	for w.at++; w.body[w.at] != '"'; w.at++ {
		if w.body[w.at] == '\\' {
			plain = false
			w.at++
		}
	}
	w.at++
	quoted := w.body[from:w.at]
	if plain {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	json.Unmarshal(quoted, &s) // it is valid
	return s
}

// readCSV reads a table: each line becomes a record whose fields are named by the first one.
func readCSV(body []byte) (node, error) {
	r := csv.NewReader(bytes.NewReader(body))
	r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = -1, true, true
	names, err := r.Read()
	if err == io.EOF {
		return node{name: "", kids: []node{{name: "recordings"}}}, nil
	}
	if err != nil {
		return node{}, fmt.Errorf("%w: not CSV", errAnswer)
	}
	names = slices.Clone(names)
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	list, name := node{name: "recordings"}, recordName(names)
	for {
		line, err := r.Read()
		if err == io.EOF {
			return node{kids: []node{list}}, nil
		}
		if err != nil {
			return node{}, fmt.Errorf("%w: not CSV", errAnswer)
		}
		one := node{name: name, kids: make([]node, 0, len(names))}
		for i, value := range line[:min(len(line), len(names))] {
			one.kids = append(one.kids, node{name: names[i], text: value})
		}
		list.kids = append(list.kids, one)
	}
}

// recordName tells what a table is of: only recordings have file names, and only transcripts an interaction's id.
func recordName(columns []string) string {
	for _, c := range columns {
		switch {
		case strings.EqualFold(c, string(Filename)):
			return "file"
		case strings.EqualFold(c, string(InteractionGUID)):
			return "transcript"
		}
	}
	return ""
}

// kid returns the first node of that name, in upper or lower case; nil if there is none.
func (n *node) kid(name string) *node {
	for i := range n.kids {
		if strings.EqualFold(n.kids[i].name, name) {
			return &n.kids[i]
		}
	}
	return nil
}

// every calls do for each node of that name that is to be found along a path of containers, whichever of them are there.
func (n *node) every(path []string, do func(*node)) {
	for i := range n.kids {
		k := &n.kids[i]
		for at, name := range path {
			if !strings.EqualFold(k.name, name) {
				continue
			}
			if at == len(path)-1 {
				do(k)
			} else {
				k.every(path[at+1:], do)
			}
			break
		}
	}
}

// value is the text of the first node of that name, without spaces around it.
func (n *node) value(name string) string {
	if k := n.kid(name); k != nil {
		return strings.TrimSpace(k.text)
	}
	return ""
}
