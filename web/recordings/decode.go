package recordings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// readRecordings reads a page of a list.
func readRecordings(f Format, body []byte) ([]Recording, error) {
	return readList(f, body, "file", recordingOf)
}

func readTranscripts(f Format, body []byte) ([]Transcript, error) {
	return readList(f, body, "transcript", transcriptOf)
}

// readList reads the records of one kind. An answer without a list, such as a log-in page, is an error; an empty list isn't.
func readList[T any](f Format, body []byte, name string, of func(*node) T) ([]T, error) {
	root, err := readTree(f, body)
	if err != nil {
		return nil, err
	}
	list := root.kid("recordings")
	if list == nil && root.kid(name) == nil {
		return nil, errNoList
	}
	var all []T
	root.every([]string{"recordings", name}, func(n *node) {
		if len(n.kids) > 0 {
			all = append(all, of(n))
		}
	})
	if list != nil && len(all) == 0 && len(list.kids) > 0 {
		return nil, errNoList // it is of something else
	}
	return all, nil
}

var errNoList = fmt.Errorf("%w: no list of records is in it", errAnswer)

func readTranscript(f Format, body []byte) (Transcript, error) {
	root, err := readTree(f, body)
	if err != nil {
		return Transcript{}, err
	}
	var found []Transcript
	root.every([]string{"recordings", "transcript"}, func(n *node) { found = append(found, transcriptOf(n)) })
	if len(found) != 1 {
		return Transcript{}, fmt.Errorf("%w: no transcript is in it", errAnswer)
	}
	return found[0], nil
}

func recordingOf(n *node) Recording {
	r := Recording{Start: readTime(n.value("startDate")), Duration: readSeconds(n.value("duration")), AgentID: n.value("agentID"), PhoneNumber: n.value("phoneNumber"),
		Channel: n.value("channel"), CaseID: n.value("caseID"), Filename: n.value("filename"), QueueID: n.value("queueID"), QueueName: n.value("queueName"),
		AccountNumber: n.value("accountNumber"), TransactionID: n.value("transactionID"), ExtVar1: n.value("extVar1"), ExtVar2: n.value("extVar2"),
		OutDialCode: n.value("outDialCode")}
	if w := n.kid("wrapUpCode"); w != nil {
		w.every([]string{"transactionCodes", "transactionCode"}, func(c *node) {
			if c := (Code{c.value("listName"), c.value("name")}); c != (Code{}) {
				r.WrapUp = append(r.WrapUp, c)
			}
		})
		if text := strings.TrimSpace(w.text); len(w.kids) == 0 && text != "" {
			r.WrapUp = []Code{{Name: text}} // a table has one column for all
		}
	}
	return r
}

func transcriptOf(n *node) Transcript {
	t := Transcript{GUID: n.value("interactionGUID"), Start: readTime(n.value("startDate")), Duration: readSeconds(n.value("duration")), AgentID: n.value("agentID"),
		AgentName: n.value("agentName"), ContactID: n.value("contactID"), ContactName: n.value("contactName"), QueueID: n.value("queueID"), QueueName: n.value("queueName"),
		ChannelID: n.value("channelID"), ChannelName: n.value("channelName"), CaseID: n.value("caseID"), TargetIP: n.value("targetIP"),
		TransactionID: n.value("transactionID"), Type: n.value("transcriptType")}
	n.every([]string{"metaDatas", "metaData"}, func(m *node) {
		if m := (Metadata{m.value("fieldName"), m.value("fieldValue")}); m != (Metadata{}) {
			t.Metadata = append(t.Metadata, m)
		}
	})
	if m := n.kid("metaDatas"); m != nil && len(m.kids) == 0 && strings.TrimSpace(m.text) != "" {
		t.Metadata = []Metadata{{Value: strings.TrimSpace(m.text)}}
	}
	n.every([]string{"messages", "message"}, func(m *node) {
		if len(m.kids) == 0 {
			return
		}
		t.Messages = append(t.Messages, Message{Time: readTime(m.value("messageTime")), From: m.value("messageFrom"), Language: m.value("originalLanguage"),
			Text: m.value("originalMessage"), TranslatedLanguage: m.value("translatedLanguage"), Translation: m.value("translatedMessage")})
	})
	return t
}

// readTime reads ISO 8601 with an offset, "2008-02-14T10:12:13-08:00" by the document, and the forms that come near it. A time
// without an offset can't be placed, and is none.
func readTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700", "20060102T150405Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			if _, offset := t.Zone(); t.Location() == time.Local { // not by accident of where this runs
				t = t.In(time.FixedZone("", offset))
			}
			return t
		}
	}
	return time.Time{}
}

// maxSeconds is the longest duration that is believed: a year.
const maxSeconds = 366 * 24 * 3600

// readSeconds reads a duration in seconds; 0 if it isn't one.
func readSeconds(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n <= maxSeconds) {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}
