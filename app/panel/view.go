// Package panel is what an agent sees: go-app components, one a file, drawn from a View.
//
// The server renders the same components to HTML for the time before the program runs and for browsers where it can't; the
// wasm main mounts them. The components decide nothing: what may be claimed comes from app/recording, what is done by a
// press goes to a Controller. The package may not import net/http or syscall/js, and no outside text may reach an attribute
// (go-app prints attributes with Go quoting, so a quote in a value would end it): outside text goes into text nodes only.
package panel

import (
	"time"

	"offrecord/app/recording"
)

// View is everything the panel shows.
type View struct {
	Agent        string // email address of the signed-in agent
	Platform     string // the platform's name in the configuration
	PlatformKind string // 8x8, vonage, cxone
	Snapshot     recording.Snapshot
	Attempts     []recording.Attempt // newest first; the panel shows the first few
	Readiness    Readiness
	Link         Link
	// Stream counts the streams on which the server was heard. A page that slept believes only what came on a later one.
	Stream int
	// Native is why the Go program isn't running the panel; empty once it does.
	Native Native
	// NativePopup makes the native forms open a window of their own: a hidden frame would carry no cookie in this browser.
	NativePopup bool
	// CanResumeWithoutRecord is set after a resume was refused because it couldn't be written down first.
	CanResumeWithoutRecord bool
	// CanDecline: the account has a way to take the customer's refusal, be it only a pause. CXone's can't be undone.
	CanDecline bool
	// PauseMeans is what the server route sends a pause as: recording.Pause, Mask or Stop; empty without one.
	PauseMeans recording.Action
	// Notice is one sentence about the panel itself (not about an attempt), for example that the program ended.
	Notice string
	// Now is the time the view was made for; the running clock counts from Snapshot.Since to it.
	Now time.Time
}

// Readiness says whether a pause can be expected to reach the platform: *Ready before the card*.
type Readiness struct {
	Checked bool     // false while it is being found out
	Ready   bool     // everything that can be checked is good
	Because []string // why not, each one sentence with what to do
	Notes   []string // what can't be checked, or what is good to know ("a small window will open for a moment")
}

// Link is the panel's connection with the server.
type Link string

// A panel that isn't live never shows a state as present: it says what it knew last and how old that is.
const (
	Live         Link = "live"
	Connecting   Link = "connecting"   // before the first word of the server
	Reconnecting Link = "reconnecting" // the stream broke
	OfflineLink  Link = "offline"      // the browser says that there is no network
)

// Native is why the panel is plain HTML and not the Go program.
type Native string

// The reasons. NativeBefore is the ordinary one: the program is on its way.
const (
	Mounted       Native = ""
	NativeBefore  Native = "before"     // the program hasn't been started yet
	NativeNoWasm  Native = "no-wasm"    // the browser refuses WebAssembly
	NativeStorage Native = "no-storage" // the browser refuses localStorage
	NativeLoad    Native = "load"       // the program couldn't be loaded
	NativeEnded   Native = "ended"      // the program ended
)

// Controller is what a press on the panel asks for. Its methods are called inside the press, because a browser lets a page
// open a window only then, and they return at once.
type Controller interface {
	// Pause and Resume ask for the action by the agent's hand.
	Pause()
	Resume()
	// ResumeWithoutRecord resumes although the attempt couldn't be written down.
	ResumeWithoutRecord()
	// Decline says that the customer declined to be recorded. It is asked for once, and confirmed in the panel before.
	Decline()
	// Extend keeps the open pause for longer than its time.
	Extend()
	// Attest says "I paused it there": the agent paused in the platform's own screen.
	Attest()
	// Intent says that a press is likely soon (pointer or focus on a button), so that the route can be warmed.
	Intent()
	// Watch calls show with each new view until the returned function is called. The first call is immediate.
	Watch(show func(View)) (stop func())
}
