package eightbyeight

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"

	"offrecord/web/platform/upstream"
)

// said is a status that a 200 of rccontrol names, as the document writes it; empty if it names none or more than one.
type said string

const (
	success    said = "success"
	nothing    said = "nothing to be modified"
	notEnabled said = "not enabled"
	// noTransaction isn't in the document; a client in the field looks for it.
	noTransaction said = "active transaction does not exist"
)

// longest is the longest text that can be a status, in bytes; a page of prose that happens to hold the word isn't one.
const longest = 256

var (
	successWord = regexp.MustCompile(word(`success|successful|successfully`))
	// contrary are words that don't go with success anywhere in an answer, doubt those that don't in the same text.
	contrary = regexp.MustCompile(word(`false|unable|fail\pL*|err\pL*|denied|reject\pL*`))
	doubt    = regexp.MustCompile(word(`no|not|non|un|without|never|isn't|wasn't|didn't|don't|can't|cannot|couldn't|if|pending|partial\pL*`))
)

// word is a pattern for any of some words, standing alone.
func word(any string) string { return `(^|[^\pL\pN])(` + any + `)([^\pL\pN]|$)` }

// status finds the status in the body of a 200. Its format isn't documented: XML, JSON, HTML and text are read, the words
// looked for in values only, whatever their case. It is in doubt about success, and only about that: what it takes for
// success will be shown as paused.
func status(resp upstream.Response) said {
	if !resp.Whole {
		return ""
	}
	var found []said
	for _, text := range texts(resp.Body) {
		text = fold(text)
		switch {
		case len(text) > longest:
		case strings.Contains(text, string(nothing)):
			found = append(found, nothing)
		case strings.Contains(text, string(notEnabled)):
			found = append(found, notEnabled)
		case strings.Contains(text, string(noTransaction)):
			found = append(found, noTransaction)
		case contrary.MatchString(text), successWord.MatchString(text) && doubt.MatchString(text):
			found = append(found, "")
		case successWord.MatchString(text):
			found = append(found, success)
		}
	}
	if slices.Contains(found, success) && slices.ContainsFunc(found, func(s said) bool { return s != success }) {
		return "" // success, and something else
	}
	for _, s := range []said{noTransaction, nothing, notEnabled, success} {
		if slices.Contains(found, s) {
			return s
		}
	}
	return ""
}

// fold makes a text comparable: lower case, each run of spaces, underscores and hyphens one space.
func fold(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return unicode.IsSpace(r) || r == '_' || r == '-' }), " ")
}

// texts are the values that a body holds, without the names of its fields, elements and attributes.
func texts(body []byte) []string {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) == 0 {
		return nil
	}
	var value any
	if json.Unmarshal(body, &value) == nil {
		return jsonTexts(value)
	}
	if body[0] == '<' {
		if values, err := xmlTexts(body); err == nil {
			return values
		}
		return htmlTexts(body)
	}
	return []string{string(body)}
}

func jsonTexts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, x := range v {
			all = append(all, jsonTexts(x)...)
		}
		return all
	case map[string]any:
		var all []string
		for name, x := range v {
			if yes, ok := x.(bool); ok && fold(name) == string(success) { // {"success": true}
				all = append(all, map[bool]string{true: string(success), false: "no " + string(success)}[yes])
				continue
			}
			all = append(all, jsonTexts(x)...)
		}
		return all
	}
	return nil
}

func xmlTexts(body []byte) ([]string, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	var all []string
	for depth, seen := 0, false; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && seen {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; seen && depth == 1 {
				return nil, errors.New("more than one root")
			}
			seen = true
			if strings.EqualFold(t.Name.Local, "html") {
				return nil, errors.New("a page")
			}
			for _, a := range t.Attr {
				all = append(all, a.Value)
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			all = append(all, string(t))
		}
	}
}

// htmlTexts is the text that a page shows: classes, scripts and styles say "success" for many reasons.
func htmlTexts(body []byte) []string {
	z := html.NewTokenizer(bytes.NewReader(body))
	var all []string
	for hidden := ""; ; {
		switch z.Next() {
		case html.ErrorToken:
			return all
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) == "script" || string(name) == "style" {
				hidden = string(name)
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == hidden {
				hidden = ""
			}
		case html.TextToken:
			if hidden == "" {
				all = append(all, string(z.Text()))
			}
		}
	}
}
