package httpapi_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/httpapi"
	"offrecord/web/recordings"
)

// talk is an archive of chats in memory.
type talk struct {
	chats  []recordings.Transcript
	asked  []recordings.Query
	read   []string
	broken error // of reading
	hang   bool  // nothing is answered any more
	said   error // of a deletion
	idle   bool  // a deletion isn't done
	blind  bool  // after a deletion nothing can be read
	sent   []string
}

func (a *talk) Transcripts(ctx context.Context, q recordings.Query) iter.Seq2[recordings.Transcript, error] {
	a.asked = append(a.asked, q)
	return func(yield func(recordings.Transcript, error) bool) {
		if a.broken != nil {
			yield(recordings.Transcript{}, a.broken)
			return
		}
		for _, t := range a.chats {
			t.Messages = nil
			if !yield(t, nil) {
				return
			}
		}
	}
}

func (a *talk) Transcript(ctx context.Context, guid string) (recordings.Transcript, error) {
	a.read = append(a.read, guid)
	if a.hang && len(a.read) > 1 {
		<-ctx.Done()
		return recordings.Transcript{}, ctx.Err()
	}
	if a.blind && len(a.sent) > 0 {
		return recordings.Transcript{}, &recordings.Error{Doing: "fetch transcript", Status: 503, Sent: true, Err: recordings.ErrBusy}
	}
	for _, t := range a.chats {
		if t.GUID == guid {
			return t, nil
		}
	}
	return recordings.Transcript{}, &recordings.Error{Doing: "fetch transcript", Status: 404, Sent: true, Err: recordings.ErrNotFound}
}

func (a *talk) DeleteTranscript(_ context.Context, guid string) (recordings.Deletion, error) {
	a.sent = append(a.sent, guid)
	if a.said != nil {
		return "", a.said
	}
	for i := range a.chats {
		if a.chats[i].GUID != guid {
			continue
		}
		if !a.idle {
			a.chats[i].Messages = []recordings.Message{{From: "S", Text: "removed"}}
		}
		return recordings.Deleted, nil
	}
	return recordings.Missing, nil
}

var chatted = time.Date(2026, 11, 20, 9, 0, 0, 0, time.FixedZone("", -8*3600))

func aChat(guid, text string) recordings.Transcript {
	return recordings.Transcript{GUID: guid, Start: chatted, AgentID: "bill", ContactName: "Zoë", Metadata: []recordings.Metadata{{Name: "Color", Value: "Blue"}},
		Messages: []recordings.Message{{Time: chatted, From: "A", Text: "Hello"}, {Time: chatted, From: "C", Text: text}}}
}

func withChats(t *testing.T) (*house, *book, *talk, *httpapi.Evidence) {
	t.Helper()
	a := &talk{chats: []recordings.Transcript{aChat("int-1", "my card is 4111 1111 1111 1111"), aChat("int-2", "a secret of mine"), aChat("int-3", "order 5555 5555 5555 4444")}}
	desk := &httpapi.Evidence{Chats: []httpapi.Chats{{Platform: "acme", Archive: a, Agents: map[string]string{"bill": "bill@acme.example"}}},
		Platforms: []evidence.ReportPlatform{{Name: "acme", Kind: "8x8", Checkable: true}, {Name: "emea", Kind: "vonage", Note: "Its documents have no recordings API"}}}
	b := new(book)
	return build(t, func(o *httpapi.Options) { o.Audit, o.Evidence = b, desk }, nil), b, a, desk
}

// seen gets a page as the supervisor.
func seen(h *house, path string) (int, string) {
	h.t.Helper()
	w := h.do(ask{method: "GET", path: path, cookie: h.cookie("sue@acme.example"), header: map[string]string{"Accept": "text/html"}})
	if strings.Contains(w.Body.String(), "1111 1111") || strings.Contains(w.Body.String(), "5555 4444") || strings.Contains(w.Body.String(), "secret") {
		h.t.Errorf("%s shows what was written: %s", path, w.Body)
	}
	return w.Code, w.Body.String()
}

func TestChatsAreSearched(t *testing.T) {
	h, b, a, desk := withChats(t)
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	if code, page := seen(h, "/evidence/chats"); code != 200 || !strings.Contains(page, `value="`+yesterday+`"`) || strings.Contains(page, "<select") || len(a.asked) > 0 {
		t.Errorf("without a day: %d, asked %v", code, a.asked)
	}
	code, page := seen(h, "/evidence/chats?day=2026-11-20")
	for _, want := range []string{"2 of 3 chats hold what may be a card number, 1 without a doubt.", "411111******1111", "Visa", "555555******4444", "message 2 (customer)", "in doubt, because it is called &#34;order&#34;",
		"2026-11-20 17:00:00", "bill@acme.example", `href="/evidence/chats/int-1/delete?platform=acme"`, `scope="col"`, `tabindex="0"`} {
		if code != 200 || !strings.Contains(page, want) {
			t.Errorf("%d, the page has no %q: %s", code, want, page)
		}
	}
	if got := a.asked[0].Dates.String(); got != recordings.Between(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)).String() {
		t.Errorf("asked for %s", got)
	}
	seen(h, "/evidence/chats?day=2026-11-20")
	var noted []string
	for _, r := range b.written {
		if r.Kind == audit.AuditRead {
			noted = append(noted, r.Detail.String())
		}
	}
	if !slices.Equal(noted, []string{"read: transcripts of 2026-11-20, in search of card numbers"}) {
		t.Errorf("noted: %q", noted)
	}
	for _, query := range []string{"?day=yesterday", "?day=2026-11-31", "?day=2026-11-20&platform=other", "?month=2026-11"} {
		if code, _ := seen(h, "/evidence/chats"+query); code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, code)
		}
	}
	a.chats = nil
	if _, page := seen(h, "/evidence/chats?day=2026-11-20"); !strings.Contains(page, "no chat that began on this day") {
		t.Error("a day without chats isn't told of")
	}
	a.chats = []recordings.Transcript{aChat("int-4", "hello")}
	if _, page := seen(h, "/evidence/chats?day=2026-11-20"); !strings.Contains(page, "None of 1 chats holds what may be a card number.") {
		t.Error("nothing found isn't told of")
	}
	desk.Chats = append(desk.Chats, httpapi.Chats{Platform: "west", Archive: a})
	if _, page := seen(h, "/evidence/chats?day=2026-11-20&platform=west"); !strings.Contains(page, `<option value="west" selected>`) {
		t.Error("two archives aren't to choose from")
	}
	desk.Chats = nil
	if code, page := seen(h, "/evidence/chats?day=2026-11-20"); code != 200 || !strings.Contains(page, "takes 8x8") || !strings.Contains(page, "emea (vonage)") {
		t.Errorf("without an archive: %d", code)
	}
	if code, _ := seen(h, "/evidence/chats/int-1/delete"); code != http.StatusUnprocessableEntity {
		t.Errorf("without an archive, to delete: %d", code)
	}
}

// What can't be noted isn't read.
func TestChatsAreNotReadUnnoted(t *testing.T) {
	h, b, a, _ := withChats(t)
	h.cookie("sue@acme.example")
	b.err = context.DeadlineExceeded
	for _, path := range []string{"/evidence/chats?day=2026-11-20", "/evidence/chats/int-1/delete"} {
		if code, _ := seen(h, path); code != http.StatusServiceUnavailable || len(a.asked)+len(a.read) > 0 {
			t.Errorf("%s: %d, asked %v, read %v", path, code, a.asked, a.read)
		}
	}
}

func TestASearchThroughChatsIsBounded(t *testing.T) {
	h, _, a, desk := withChats(t)
	for i := range 400 {
		a.chats = append(a.chats, aChat(fmt.Sprintf("more-%d", i), "hello"))
	}
	if _, page := seen(h, "/evidence/chats?day=2026-11-20"); len(a.read) != 300 || !strings.Contains(page, "2 of 300 chats") || !strings.Contains(page, "more than the 300 chats") ||
		!strings.Contains(page, "offrecord transcripts scan --config FILE --date &#39;2026-11-20 00:00Z,2026-11-21 00:00Z&#39;</code>") {
		t.Errorf("%d read: %s", len(a.read), page)
	}
	a.read, a.hang, desk.SearchTime = nil, true, 50*time.Millisecond
	if code, page := seen(h, "/evidence/chats?day=2026-11-20"); code != 200 || !strings.Contains(page, "1 of 1 chats holds") || !strings.Contains(page, "The search was ended after") || !strings.Contains(page, "411111******1111") {
		t.Errorf("out of time: %d %s", code, page)
	}
	a.hang, a.broken = false, &recordings.Error{Doing: "list transcripts", Status: 401, Sent: true, Err: recordings.ErrDenied}
	if code, page := seen(h, "/evidence/chats?day=2026-11-20"); code != http.StatusBadGateway || !strings.Contains(page, "8x8 refuses the tenant or its data token") {
		t.Errorf("refused: %d %s", code, page)
	}
}

func TestChatsAreDeletedInTwoSteps(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*talk)
		code     int
		says     string
		outcome  recording.Outcome
		unsought string // the chat, if it isn't int-1
	}{
		"deleted":       {func(*talk) {}, 200, "deleted for good, and seen to be gone", recording.Confirmed, ""},
		"what remains":  {func(a *talk) { a.chats[0].Metadata[0].Value = "card 5555 5555 5555 4444" }, 200, "its metadata still holds 555555******4444, which 8x8 has no call to delete", recording.Confirmed, ""},
		"missing":       {func(*talk) {}, 404, "8x8 has no such chat", recording.NotFound, "int-9"},
		"accepted":      {func(a *talk) { a.blind = true }, 200, "couldn&#39;t be asked whether they are gone", recording.Accepted, ""},
		"not done":      {func(a *talk) { a.idle = true }, 502, "and still has it", recording.Failed, ""},
		"not answered":  {func(a *talk) { a.said = &recordings.Error{Sent: true, Err: recordings.ErrNoAnswer} }, 502, "It isn&#39;t known whether", recording.Unknown, ""},
		"token refused": {func(a *talk) { a.said = &recordings.Error{Status: 401, Sent: true, Err: recordings.ErrDenied} }, 502, "refuses the tenant", recording.Denied, ""},
		"never sent":    {func(a *talk) { a.said = &recordings.Error{Err: recordings.ErrNoAnswer} }, 502, "weren&#39;t deleted", recording.Failed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, b, a, _ := withChats(t)
			test.change(a)
			guid := "int-1"
			if test.unsought != "" {
				guid = test.unsought
			}
			path := "/evidence/chats/" + guid + "/delete?platform=acme"
			code, page := seen(h, path)
			if guid == "int-9" {
				if code != http.StatusNotFound {
					t.Errorf("the first step of what isn't there: %d", code)
				}
			} else if code != 200 || !strings.Contains(page, guid) || !strings.Contains(page, "411111******1111") || !strings.Contains(page, "day=2026-11-20") {
				t.Errorf("the first step: %d %s", code, page)
			}
			confirm := func(typed string) (int, string) {
				w := h.do(ask{method: "POST", path: path, cookie: h.cookie("sue@acme.example"), contentType: aForm, body: url.Values{"name": {typed}}.Encode(),
					header: map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}})
				return w.Code, w.Body.String()
			}
			if code, page := confirm("int"); code != http.StatusUnprocessableEntity || !strings.Contains(page, "Nothing was deleted") || len(a.sent) > 0 {
				t.Errorf("another id: %d, sent %v", code, a.sent)
			}
			if code, page := confirm(" " + guid + "\n"); code != test.code || !strings.Contains(page, test.says) || !slices.Equal(a.sent, []string{guid}) || strings.Contains(page, "1111 1111") {
				t.Errorf("the second step: %d, sent %v: %s", code, a.sent, page)
			}
			var outcomes []recording.Outcome
			for _, r := range b.written {
				if r.Kind != audit.Deletion {
					continue
				}
				outcomes = append(outcomes, r.Outcome)
				if r.By.String() != "sue@acme.example" || r.Call.String() != guid || guid == "int-1" && r.Agent.String() != "bill@acme.example" || r.Platform.String() != "acme" {
					t.Errorf("noted as %+v", r)
				}
			}
			if !slices.Equal(outcomes, []recording.Outcome{"", test.outcome}) {
				t.Errorf("noted: %q", outcomes)
			}
		})
	}
}

// What can't be noted isn't deleted, though the chat was seen a moment before.
func TestChatsAreNotDeletedUnnoted(t *testing.T) {
	h, b, a, _ := withChats(t)
	sue, path := h.cookie("sue@acme.example"), "/evidence/chats/int-1/delete"
	seen(h, path)
	b.err = context.DeadlineExceeded
	w := h.do(ask{method: "POST", path: path, cookie: sue, contentType: aForm, body: "name=int-1", header: map[string]string{"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}})
	if w.Code != http.StatusServiceUnavailable || len(a.sent) > 0 {
		t.Errorf("%d, sent %v: %s", w.Code, a.sent, w.Body)
	}
	bill := h.cookie("bill@acme.example")
	for _, method := range []string{"GET", "POST"} {
		if w := h.do(ask{method: method, path: path, cookie: bill, contentType: aForm, header: map[string]string{"Sec-Fetch-Site": "same-origin"}}); w.Code != http.StatusForbidden {
			t.Errorf("%s as an agent: %d", method, w.Code)
		}
	}
}
