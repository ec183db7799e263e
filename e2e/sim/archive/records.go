package archive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recording is a record, and what its file is made of.
type recording struct {
	start  time.Time // by the platform's clock
	length time.Duration

	agent, phone, channel, queue, queueName, filename, transaction, account string
	codes                                                                   []string // list and name, by turns

	silent   []span
	seed     uint64
	codec    Codec
	channels int
}

// transcript is a chat.
type transcript struct {
	start  time.Time
	length time.Duration

	agent, contact, contactName, queue, queueName, guid, transaction string
	metadata                                                         [][2]string
	lines                                                            []line
	planted                                                          bool // a card number is in it
	deleted                                                          bool
}

type line struct {
	after       time.Duration
	from        string
	language    string
	text        string
	translated  string
	translation string
}

// seconds is how the API tells a duration.
func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// stamp is how it tells a time: in whole seconds, which it cuts.
func (a *Archive) stamp(t time.Time) string {
	return t.In(a.config.Zone).Truncate(time.Second).Format("2006-01-02T15:04:05-07:00")
}

// filename is S and the day, R and the second, in UTC, with five digits more.
func filename(start time.Time, number int) string {
	t := start.UTC()
	return fmt.Sprintf("S%s/R%s%05d.wav", t.Format("20060102"), t.Format("20060102150405"), number)
}

// makeRecordings makes up the past: about ten calls an hour, of half a minute to eight, one in four with a pause.
func makeRecordings(c Config) []*recording {
	all := make([]*recording, c.Recordings)
	t := c.Now
	for i := range all {
		h := func(n uint64) uint64 { return hash(c.Seed, 1, uint64(i), n) }
		length := 30*time.Second + time.Duration(unit(h(0))*450_000)*time.Millisecond
		t = t.Add(-length - time.Duration(unit(h(1))*240_000)*time.Millisecond)
		r := &recording{start: t.Add(c.Skew), length: length, agent: c.Agents[h(2)%uint64(len(c.Agents))], phone: fmt.Sprintf("%d%07d", 212+h(3)%700, h(4)%10_000_000),
			filename: filename(t.Add(c.Skew), int(h(5)%90000)), transaction: strconv.Itoa(100_000 - i), account: strconv.FormatUint(h(6)%100_000, 10),
			seed: h(7), codec: c.Codec, channels: c.Channels}
		switch h(8) % 10 {
		case 0, 1:
			r.channel, r.queue, r.queueName = "#virtual_outbound#", "QUEUE_OUTBOUND", "QUEUE_OUTBOUND"
		case 2:
			r.channel, r.queue, r.queueName = "#virtual_daa#", "QUEUE_DIRECT_AGENT_ACCESS", "QUEUE_DIRECT_AGENT_ACCESS"
		case 3: // busy, outbound
			r.queue, r.queueName = "103", "phoneq2"
		default:
			r.channel, r.queue, r.queueName = []string{"8005557780", "8005551234"}[h(9)%2], c.Agents[0]+"~~queue~~phone~~102", "phoneq1"
		}
		if h(10)%3 == 0 {
			r.codes = []string{"Outcome", []string{"Sold", "Called back", "Wrong & missed <number>"}[h(11)%3]}
		}
		if h(12)%4 == 0 {
			from := time.Duration(unit(h(13)) * 0.6 * float64(length))
			r.silent = []span{{frame(from), frame(from + 5*time.Second + time.Duration(unit(h(14))*20_000)*time.Millisecond)}}
		}
		all[i] = r
	}
	slices.SortFunc(all, func(x, y *recording) int { return x.start.Compare(y.start) })
	return all
}

// field is an output field by which one may ask.
func (r *recording) field(name string) (string, bool) {
	switch name {
	case "agentID":
		return r.agent, true
	case "phoneNumber":
		return r.phone, true
	case "channel":
		return r.channel, true
	case "caseID", "extVar1", "extVar2":
		return "0", true
	case "duration":
		return seconds(r.length), true
	case "filename":
		return r.filename, true
	case "queueID":
		return r.queue, true
	case "queueName":
		return r.queueName, true
	case "accountNumber":
		return r.account, true
	case "transactionID":
		return r.transaction, true
	case "outDialCode":
		return "", true
	}
	return "", false
}

// field is an output field by which one may ask.
func (t *transcript) field(name string) (string, bool) {
	switch name {
	case "agentID":
		return t.agent, true
	case "agentName":
		return strings.ToUpper(t.agent[:1]) + t.agent[1:] + ",Jackson", true
	case "contactID":
		return t.contact, true
	case "contactName":
		return t.contactName, true
	case "queueID":
		return t.queue, true
	case "queueName":
		return t.queueName, true
	case "channelID":
		return "103", true
	case "channelName":
		return "chatrec_channel", true
	case "caseID":
		return "24482", true
	case "targetIP":
		return "10.191.210.31", true
	case "transactionID":
		return t.transaction, true
	case "interactionGUID":
		return t.guid, true
	case "transcriptType":
		return "A2C", true
	case "duration":
		return seconds(t.length), true
	}
	return "", false
}

// Planted are the transcripts that hold a card number, by their interaction's id.
func (a *Archive) Planted() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, t := range a.transcripts {
		if t.planted && !t.deleted {
			all = append(all, t.guid)
		}
	}
	return all
}

// makeTranscripts makes up chats. One in eight has a card number in it, in one of the ways in which people write them; the
// others have the numbers that are taken for one.
func makeTranscripts(c Config) []*transcript {
	all := make([]*transcript, c.Transcripts)
	t := c.Now
	for i := range all {
		h := func(n uint64) uint64 { return hash(c.Seed, 2, uint64(i), n) }
		length := time.Minute + time.Duration(h(0)%600)*time.Second
		t = t.Add(-length - time.Duration(h(1)%1800)*time.Second)
		x := &transcript{start: t.Add(c.Skew), length: length, agent: c.Agents[h(2)%uint64(len(c.Agents))], queue: "104", queueName: "chat_recording_2",
			contact: fmt.Sprintf("guest_at_chat@tenant.example/CtlGuest%d", i), contactName: []string{"Jeff Waugh", "Zoë O'Neill", "Ana & Co"}[h(3)%3],
			guid: fmt.Sprintf("int-%012x-%d-chat-%02d-tenant", h(4)&0xffffffffffff, 1_000_000+i, h(5)%10), transaction: strconv.Itoa(i + 1),
			metadata: [][2]string{{"Color", []string{"Blue", "Red"}[h(6)%2]}, {"Number of alphabets in your native language", "One"}}}
		x.say("C", "en", "Hi How r u", "", "")
		x.say("A", "en", "Hello, this is "+x.agent+". How can I help?", "", "")
		if h(7)%8 == 0 {
			x.planted = true
			x.plant(h(8))
		} else {
			x.decoy(h(8))
		}
		x.say("A", "en", "Thank you. Is there anything else?", "", "")
		x.say("C", "en", "No, bye", "", "")
		all[i] = x
	}
	slices.SortFunc(all, func(x, y *transcript) int { return x.start.Compare(y.start) })
	return all
}

func (t *transcript) say(from, language, text, translated, translation string) {
	t.lines = append(t.lines, line{time.Duration(len(t.lines)*7) * time.Second, from, language, text, translated, translation})
}

// plant writes a card number; they are the card companies' numbers for tests.
func (t *transcript) plant(how uint64) {
	switch how % 6 {
	case 0:
		t.say("C", "en", "my card is 4111 1111 1111 1111, exp 09/27", "", "")
	case 1:
		t.say("C", "en", "5555-5555-5555-4444", "", "")
	case 2:
		t.say("C", "en", "it's 3782 822463", "", "")
		t.say("A", "en", "go on", "", "")
		t.say("C", "en", "10005", "", "")
	case 3:
		t.say("C", "en", "four one one one, one one one one, one one one one, one one one one", "", "")
	case 4:
		t.say("C", "es", "mi tarjeta es 6011111111111117", "en", "my card is 6011111111111117")
	case 5:
		t.metadata = append(t.metadata, [2]string{"Notes", "paid with 3530.1113.3330.0000"})
	}
}

func (t *transcript) decoy(how uint64) {
	switch how % 6 {
	case 0:
		t.say("C", "en", fmt.Sprintf("my order is %016d", 8_000_000_000_000_000+how%1_000_000_000_000), "", "")
	case 1:
		t.say("C", "en", "call me at +49 1512 3456789 please", "", "")
	case 2:
		t.say("C", "en", "IBAN DE89 3704 0044 0532 0130 00", "", "")
	case 3:
		t.say("C", "es", "hola", "en", "hello")
	case 4:
		t.say("C", "en", "it happened on 2026-11-21 09:00:00", "", "")
	}
}
