package site

// EvidencePage is what the recordings show: a calendar, a table, and how to look again.
type EvidencePage struct {
	Nav Nav
	Who string
	// From and To are days, both included.
	From, To, Agent string
	Verdicts        []EvidenceOption
	Kinds           []EvidenceOption
	Calendar        EvidenceCalendar
	Counts          []EvidenceCount
	Rows            []EvidenceRow
	More            bool // there are more than are shown
	Runs            []EvidenceRun
	Running         string // how far the run is that is under way; empty without one
	CanRun          bool
	Platforms       []EvidencePlatform
	HTML, JSON      string // the reports
}

// EvidenceOption is a choice of a filter.
type EvidenceOption struct {
	Value, Title string
	Chosen       bool
}

// EvidenceCalendar is one month.
type EvidenceCalendar struct {
	Title          string
	Earlier, Later string // addresses
	Weeks          [][]EvidenceDay
}

// EvidenceDay is a day of it; the zero value one of another month.
type EvidenceDay struct {
	Day     int
	Address string // empty where there is nothing
	Counts  []EvidenceCount
	Chosen  bool
}

// EvidenceCount is how often there is a verdict.
type EvidenceCount struct {
	Verdict, Sign, Title string
	N                    int
}

// EvidenceRow is a finding.
type EvidenceRow struct {
	ID, When, Agent, Platform  string
	Kind, Verdict, Sign, Title string
	Reason, Certainty, Deleted string
	Seconds                    string // how long the pause was
}

// EvidenceRun is one going through the recordings.
type EvidenceRun struct{ When, Cause, Period, State, Found string }

// EvidencePlatform is an account, and what can be checked of it.
type EvidencePlatform struct {
	Name, Kind, Note string
	Checkable        bool
}

// EvidenceCallPage is one recording with all that was found in it.
type EvidenceCallPage struct {
	Nav       Nav
	Who       string
	Title     string // of the call
	Agent     string
	Facts     [][2]string
	Whole     *EvidenceWave // nil if the recording couldn't be read
	Findings  []EvidenceFinding
	Tape      []EvidenceStretch
	Audio     string // its address; empty where it isn't offered
	AudioNote string
	Delete    string // its address; empty where there is nothing to delete
	Deleted   string
}

// EvidenceWave is a picture.
type EvidenceWave struct {
	Picture any // an evidence.Wave
	About   string
	ID      string
	From    float64 // what it shows, in seconds
	Seconds float64
}

// EvidenceFinding is one of the call's findings.
type EvidenceFinding struct {
	EvidenceRow
	Here     bool // the one that was asked for
	Facts    [][2]string
	Close    *EvidenceWave
	Sounds   []EvidenceStretch
	Attempts []EvidenceAttempt
}

// EvidenceStretch is a stretch of the tape.
type EvidenceStretch struct {
	From, To, What, Channel, Level string
	At                             float64 // in seconds
	Leak                           bool
}

// EvidenceAttempt is an attempt of the log.
type EvidenceAttempt struct{ When, Tape, Action, Origin, Outcome, Seq string }

// EvidenceDeletePage asks for the recording's name before it is deleted for good.
type EvidenceDeletePage struct {
	Nav               Nav
	Name, Back, About string
	Notice            string
}

// EvidenceChatsPage is a day's chats, searched for card numbers.
type EvidenceChatsPage struct {
	Nav       Nav
	Who, Day  string
	Archives  []EvidenceOption // to choose from; none where no chats can be asked for
	Searched  bool
	Found     string // how many there are
	Cut       string // why it isn't all of the day, and the command that goes on
	Command   string
	Notice    string // why it broke off
	Rows      []EvidenceChatRow
	Platforms []EvidencePlatform
}

// EvidenceChatRow is what may be a card number. The number itself and what was written around it aren't here.
type EvidenceChatRow struct {
	When, Agent, Interaction string
	Number, Brand, Doubt     string
	Where                    []string
	Delete                   string // the address of the deletion's first step
}

// EvidenceChatPage asks for the interaction's id before its messages are deleted for good, and says what came of it.
type EvidenceChatPage struct {
	Nav          Nav
	ID           string
	Back, About  string
	Numbers      []string // masked
	Notice       string
	Title, Ended string // what came of it; empty before
}
