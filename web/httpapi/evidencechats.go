package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/deletion"
	"offrecord/web/recordings"
	"offrecord/web/site"
)

// Transcripts is an archive of chats.
type Transcripts interface {
	Transcripts(context.Context, recordings.Query) iter.Seq2[recordings.Transcript, error]
	deletion.Transcripts
}

// Chats are those of one archive.
type Chats struct {
	Platform string // the first that has it, by its name in the configuration
	Archive  Transcripts
	Agents   map[string]string // the agents' addresses, by the archive's ids
}

// agent is who had a chat, by address where the configuration knows one.
func (c *Chats) agent(t recordings.Transcript) string { return cmp.Or(c.Agents[t.AgentID], t.AgentID) }

const (
	// chatsMost bounds how many chats one search reads, searchTime how long it goes on: somebody waits for it, and 8x8 has others to
	// serve.
	chatsMost  = 300
	searchTime = 25 * time.Second
	// deletionTime bounds a deletion, and looking whether it was done.
	deletionTime = 2 * time.Minute
)

var errSearching = &problem{http.StatusConflict, codeInvalid, "Somebody else's search through the chats is under way. Wait half a minute, then try again."}

// chats chooses the archive that is meant; nil where there is none at all.
func (a *API) chats(r *request) (*Chats, error) {
	if a.Evidence == nil {
		return nil, errNoEvidence
	}
	name, all := r.URL.Query().Get("platform"), a.Evidence.Chats
	for i := range all {
		if name == "" || all[i].Platform == name {
			return &all[i], nil
		}
	}
	if len(all) > 0 {
		return nil, invalid("platform must be one of those that /evidence/chats offers.")
	}
	return nil, nil
}

// evidenceChats is GET /evidence/chats: the card numbers in a day's chats. Without a day it reads nothing.
func (a *API) evidenceChats(w http.ResponseWriter, r *request) error {
	chats, err := a.chats(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	for key := range query {
		if key != "day" && key != "platform" {
			return invalid("The address takes day and platform only.")
		}
	}
	page := site.EvidenceChatsPage{Nav: a.nav(r, "/evidence/"), Who: r.principal.Email, Day: today().AddDate(0, 0, -1).Format(time.DateOnly), Platforms: a.evidencePlatforms()}
	if chats == nil {
		return a.page(w, http.StatusOK, "", page)
	}
	for _, c := range a.Evidence.Chats {
		page.Archives = append(page.Archives, site.EvidenceOption{Value: c.Platform, Title: c.Platform, Chosen: c.Platform == chats.Platform})
	}
	asked := query.Get("day")
	if asked == "" {
		return a.page(w, http.StatusOK, "", page)
	}
	day, err := time.Parse(time.DateOnly, asked)
	if err != nil {
		return invalid("day must be one such as 2026-11-20.")
	}
	page.Day, page.Searched = asked, true
	about := audit.Record{Platform: audit.NewText(chats.Platform), Detail: audit.NewText("read: transcripts of " + asked + ", in search of card numbers")}
	if err := a.noteReading(r, "chats "+chats.Platform+" "+asked, about); err != nil {
		return err
	}
	status, err := a.searchChats(r, chats, day, &page)
	if err != nil {
		return err
	}
	return a.page(w, status, "", page)
}

// searchChats puts onto the page what a day's chats hold.
func (a *API) searchChats(r *request, chats *Chats, day time.Time, page *site.EvidenceChatsPage) (status int, err error) {
	bound := cmp.Or(a.Evidence.SearchTime, searchTime)
	ctx, cancel := context.WithTimeout(r.Context(), bound)
	defer cancel()
	select { // one at a time
	case a.searching <- struct{}{}:
		defer func() { <-a.searching }()
	case <-ctx.Done():
		return 0, errSearching
	}
	ctx, cancel = context.WithTimeout(r.Context(), bound)
	defer cancel()
	dates := recordings.Between(day, day.AddDate(0, 0, 1))
	var guids []string
	for t, failed := range chats.Archive.Transcripts(ctx, recordings.Query{Dates: dates}) {
		if err = failed; err != nil || len(guids) > chatsMost {
			break
		}
		if t.GUID != "" && !slices.Contains(guids, t.GUID) {
			guids = append(guids, t.GUID)
		}
	}
	searched, with, sure := 0, 0, 0
	for _, guid := range guids[:min(len(guids), chatsMost)] {
		if err != nil {
			break
		}
		var t recordings.Transcript
		if t, err = chats.Archive.Transcript(ctx, guid); err != nil {
			if errors.Is(err, recordings.ErrNotFound) { // deleted meanwhile
				err = nil
			}
			continue
		}
		searched++
		numbers := t.CardNumbers()
		if len(numbers) > 0 {
			with++
		}
		if slices.ContainsFunc(numbers, func(n recordings.CardNumber) bool { return n.Doubt == "" }) {
			sure++
		}
		for _, n := range numbers {
			page.Rows = append(page.Rows, chatRow(chats, guid, t, n))
		}
	}
	status = http.StatusOK
	if searched > 0 {
		page.Found = chatCounts(with, searched, sure)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		page.Cut = fmt.Sprintf("The search was ended after %d seconds, so this isn't all of the day.", bound/time.Second)
	case err != nil:
		a.Log.Error("chats couldn't be searched", "request_id", r.id, "error", err)
		status, page.Notice = http.StatusBadGateway, "The search broke off: "+said8x8(err)+"."
	case len(guids) > chatsMost:
		page.Cut = fmt.Sprintf("The day has more than the %d chats that are searched here.", chatsMost)
	case searched == 0:
		page.Found = "There is no chat that began on this day."
	}
	if page.Cut != "" {
		page.Command = "offrecord transcripts scan --config FILE --date '" + dates.String() + "'"
		if len(page.Archives) > 1 {
			page.Command += " --platform " + chats.Platform
		}
	}
	return status, nil
}

func chatCounts(with, searched, sure int) string {
	switch with {
	case 0:
		return fmt.Sprintf("None of %d chats holds what may be a card number.", searched)
	case 1:
		return fmt.Sprintf("1 of %d chats holds what may be a card number, %d without a doubt.", searched, sure)
	}
	return fmt.Sprintf("%d of %d chats hold what may be a card number, %d without a doubt.", with, searched, sure)
}

func chatRow(chats *Chats, guid string, t recordings.Transcript, n recordings.CardNumber) site.EvidenceChatRow {
	row := site.EvidenceChatRow{Agent: chats.agent(t), Interaction: guid, Number: n.Masked, Brand: string(n.Brand), Doubt: n.Doubt,
		Delete: "/evidence/chats/" + url.PathEscape(guid) + "/delete?" + url.Values{"platform": {chats.Platform}}.Encode()}
	if !t.Start.IsZero() {
		row.When = t.Start.UTC().Format("2006-01-02 15:04:05")
	}
	for _, s := range n.Spots {
		row.Where = append(row.Where, s.String())
	}
	return row
}

// said8x8 is what is known of a request that failed, as a person may read it: nothing of what a network said.
func said8x8(err error) string {
	var failed *recordings.Error
	switch {
	case errors.As(err, &failed):
		return failed.Err.Error()
	case errors.Is(err, deletion.ErrStill):
		return deletion.ErrStill.Error()
	}
	return "8x8 couldn't be asked"
}

// chat is what the two steps of a deletion are about.
type chat struct {
	*Chats
	guid string
	was  *recordings.Transcript // nil if it couldn't be read, because of why
	why  error
}

// chat reads the chat of a page's address, after it was noted.
func (a *API) chat(ctx context.Context, r *request) (c chat, err error) {
	if c.Chats, err = a.chats(r); err != nil {
		return c, err
	}
	if c.Chats == nil {
		return c, errNoArchive
	}
	c.guid = r.PathValue("id")
	about := audit.Record{Platform: audit.NewText(c.Platform), Call: audit.NewID(c.guid), Detail: audit.NewText("read: a transcript, to delete it")}
	if err := a.noteReading(r, "chat "+c.Platform+" "+c.guid, about); err != nil {
		return c, err
	}
	t, err := c.Archive.Transcript(ctx, c.guid)
	if c.why = err; err == nil {
		c.was = &t
	}
	return c, nil
}

// page is of the chat, without anything that was written in it.
func (c chat) page(a *API, r *request) site.EvidenceChatPage {
	page := site.EvidenceChatPage{Nav: a.nav(r, "/evidence/"), ID: c.guid, Back: "/evidence/chats", About: "Nothing is known of this chat: it couldn't be read."}
	back := url.Values{"platform": {c.Platform}}
	if c.was != nil {
		page.About = fmt.Sprintf("The chat of %s, %s, %d messages.", cmp.Or(c.agent(*c.was), "nobody"), moment(c.was.Start), len(c.was.Messages))
		for _, n := range c.was.CardNumbers() {
			page.Numbers = append(page.Numbers, n.Masked)
		}
		back.Set("day", c.was.Start.UTC().Format(time.DateOnly))
	}
	page.Back += "?" + back.Encode()
	return page
}

// evidenceChatAsk is GET /evidence/chats/{id}/delete: the first step, which asks.
func (a *API) evidenceChatAsk(w http.ResponseWriter, r *request) error {
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	c, err := a.chat(ctx, r)
	switch {
	case err != nil:
		return err
	case errors.Is(c.why, recordings.ErrNotFound):
		return &problem{http.StatusNotFound, codeInvalid, "8x8 has no such chat: it may have been deleted."}
	}
	return a.page(w, http.StatusOK, "", c.page(a, r))
}

// evidenceChatDelete is POST /evidence/chats/{id}/delete: the second step, with the interaction's id.
func (a *API) evidenceChatDelete(w http.ResponseWriter, r *request) error {
	// A browser that goes away leaves neither the deletion nor its record half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), deletionTime)
	defer cancel()
	if err := form(r); err != nil {
		return err
	}
	c, err := a.chat(ctx, r)
	if err != nil {
		return err
	}
	page := c.page(a, r)
	if strings.TrimSpace(r.PostForm.Get("name")) != c.guid {
		page.Notice = "That isn't the interaction's id. Nothing was deleted."
		return a.page(w, http.StatusUnprocessableEntity, "", page)
	}
	about := audit.Record{By: audit.NewID(r.principal.Email), Platform: audit.NewText(c.Platform), Call: audit.NewID(c.guid), Reason: audit.NewText("asked for beside the chat's card numbers")}
	if c.was != nil {
		about.Agent = audit.NewID(c.agent(*c.was))
	}
	end, err := deletion.OfTranscript(c.Archive, c.guid, c.was).Carry(ctx, about, func(_ context.Context, record audit.Record) error { return a.note(r, record) })
	if err != nil {
		a.Log.Error("a transcript couldn't be deleted, or that it was couldn't be noted", "request_id", r.id, "error", err)
	}
	if errors.Is(err, deletion.ErrNotNoted) && end.Outcome == "" {
		return &problem{http.StatusServiceUnavailable, codeLogUnavailable, "The log can't be written, so nothing was deleted. Try again soon."}
	}
	status := http.StatusOK
	switch end.Outcome {
	case recording.Confirmed:
		page.Title, page.Ended = "Deleted", "The chat's messages are deleted for good, and seen to be gone."
		if end.Remains != "" {
			page.Title, page.Ended = "Deleted in part", "The chat's messages are deleted for good, but "+end.Remains+"."
		}
	case recording.Accepted:
		page.Title, page.Ended = "Asked for", "8x8 says that the chat's messages are deleted. It couldn't be asked whether they are gone: look again in a while."
	case recording.NotFound:
		status, page.Title, page.Ended = http.StatusNotFound, "Missing", "8x8 has no such chat, so nothing was deleted."
	case recording.Unknown:
		status, page.Title, page.Ended = http.StatusBadGateway, "Not known", "It isn't known whether the chat's messages were deleted: look for it in 8x8's own screen."
	default:
		status, page.Title, page.Ended = http.StatusBadGateway, "Not deleted", "The chat's messages weren't deleted: "+said8x8(err)+"."
	}
	if errors.Is(err, deletion.ErrNotNoted) {
		page.Ended += " What came of it couldn't be written into the log, which says that it was asked for."
	}
	return a.page(w, status, "", page)
}
