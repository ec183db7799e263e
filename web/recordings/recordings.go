// Package recordings is a client of the 8x8 Recordings API: lists of call recordings and chat transcripts, the recordings
// themselves as streams, the messages of one transcript, and the deletion of either. Source: 8x8's "Recordings API for
// Contact Center" document, called the document below.
//
// It writes exactly what the document says, and reads whatever can be understood: the document's own sample isn't well-formed
// XML. It asks, fetches and deletes; it decides nothing. Only reading is repeated after a failure, a deletion never is. No error
// holds the token or anything that the platform wrote.
package recordings

import (
	"strings"
	"time"
)

// Recording is one call's recording, as a list tells of it. Texts are the platform's own.
type Recording struct {
	// Start is when the recording began, with the offset that the platform gave (its tenant's), in whole seconds. The document
	// doesn't say whether it is cut or rounded, so the recording began within a second of it, on either side. It is zero if the
	// platform gave none, or none that can be placed: a time without an offset isn't one.
	Start time.Time
	// Duration is in whole seconds, too; 0 if the platform gave none.
	Duration time.Duration
	AgentID  string
	// PhoneNumber is the other side's: the caller's, or the one that was dialled.
	PhoneNumber string
	// Channel is the number that was called, or one of the platform's own names; Type reads it.
	Channel       string
	CaseID        string
	Filename      string // for example S20071220/R2007122003163601000.wav; what Open and DeleteRecording take
	QueueID       string
	QueueName     string
	AccountNumber string
	TransactionID string
	ExtVar1       string
	ExtVar2       string
	OutDialCode   string
	WrapUp        []Code
}

// Code is a wrap-up code that the agent chose from a list.
type Code struct{ List, Name string }

// CallType is what kind of call a recording is of.
type CallType string

// The types.
const (
	Inbound           CallType = "inbound"
	Outbound          CallType = "outbound"
	DirectAgentAccess CallType = "direct_agent_access"
	// Busy is a call of the document's first row, "Busy (Inbound/Outbound)", that shows itself as one: an outbound call of a
	// queue, whose channel is left empty. An inbound one can't be told from any other inbound call.
	Busy        CallType = "busy"
	UnknownType CallType = "unknown"
)

// The document's names of channels and queues that aren't numbers.
const (
	virtualOutbound = "#virtual_outbound#"
	virtualDirect   = "#virtual_daa#"
	queueOutbound   = "QUEUE_OUTBOUND"
	queueDirect     = "QUEUE_DIRECT_AGENT_ACCESS"
)

// Type tells the call's type by the document's table of channels and queues.
func (r Recording) Type() CallType {
	named := func(name string, in ...string) bool {
		for _, s := range in {
			if strings.EqualFold(s, name) {
				return true
			}
		}
		return false
	}
	switch {
	case named(virtualOutbound, r.Channel), named(queueOutbound, r.QueueID, r.QueueName):
		return Outbound
	case named(virtualDirect, r.Channel), named(queueDirect, r.QueueID, r.QueueName):
		return DirectAgentAccess
	case named("busy", strings.Trim(r.Channel, "#* ")), r.Channel == "" && r.QueueID != "":
		return Busy
	case r.Channel != "":
		return Inbound
	}
	return UnknownType
}

// End is when the recording ended: two seconds either way, for both its numbers are whole seconds. It is zero if Start is.
func (r Recording) End() time.Time {
	if r.Start.IsZero() {
		return time.Time{}
	}
	return r.Start.Add(r.Duration)
}

// Transcript is one chat. A list has no messages; Client.Transcript has.
type Transcript struct {
	// GUID is the interaction's id, which Transcript and DeleteTranscript take.
	GUID          string
	Start         time.Time // as a Recording's
	Duration      time.Duration
	AgentID       string
	AgentName     string
	ContactID     string
	ContactName   string
	QueueID       string
	QueueName     string
	ChannelID     string
	ChannelName   string
	CaseID        string
	TargetIP      string
	TransactionID string
	Type          string // for example A2C, agent to customer
	Metadata      []Metadata
	Messages      []Message
}

// Metadata is a field that was filled in before the chat.
type Metadata struct{ Name, Value string }

// Message is one message of a chat.
type Message struct {
	Time time.Time // whole seconds
	// From is who wrote it. The document shows C, the customer, and names no other.
	From     string
	Language string // of Text, for example en
	Text     string
	// Translation is empty where nothing was translated.
	TranslatedLanguage string
	Translation        string
}

// Customer is the From of what a customer wrote.
const Customer = "C"

// PageSize is how many records the platform gives at once ("50 records per request").
const PageSize = 50
