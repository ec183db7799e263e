package panel

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"offrecord/app/recording"
)

// Words is what the panel says of a View, and the state and outcome that it may show. They are the panel's own: no sentence
// of a platform or of the server is among them.
type Words struct {
	// State may be shown as present: StateUnknown whenever the View's own isn't the server's present word.
	State recording.State
	// Outcome is the last attempt's, Pending before the first.
	Outcome recording.Outcome
	// Current: that attempt is of the call as it is now, and this is the server's present word.
	Current bool
	// Headline is read from a metre away; Line says how it is known; Card says what it means for the card.
	Headline, Line, Card string
	// Alarm: a pause is wanted and nothing shows that it worked.
	Alarm bool
	// Steps are what to do in the platform's own screen, in order; only with Alarm.
	Steps []string
	// Advice is what went wrong with the last attempt and what to do about it, one sentence each.
	Advice []string
}

// The three things that can be said about the card, and the one for the agent's own word.
const (
	cardNotYet = "Do not take the card yet"
	cardMay    = "You can take the card"
	cardFirst  = "Pause before you take the card"
)

// What is said when the call changed under an open pause, whose platform goes on recording the new one.
const (
	callMayRecord   = "This call may be recording."
	callChangedLine = "The call changed after the last pause. Press Pause recording for this one."
)

// Say finds the words for a view.
//
// That the tape is silent is said on two conditions together: the present state says so, and the newest silencing attempt is
// a confirmed one. The second follows from the first in a correct Timeline; asking for both keeps one mistake from becoming
// a false "paused".
func Say(v View) Words {
	name := platformName(v.PlatformKind)
	last, asked := newest(v, func(recording.Attempt) bool { return true })
	silencing, silenced := newest(v, func(a recording.Attempt) bool { return a.Action.Silences() })
	silenced = silenced && silencing.Outcome == recording.Confirmed
	isPresent, current := present(v), asked && !past(last, v.Snapshot)
	changed := isPresent && callChanged(v.Snapshot)

	w := Words{State: knownState(v.Snapshot.State, silenced), Outcome: knownOutcome(last.Outcome), Current: isPresent && current && !changed}
	before := w.State
	if !isPresent || changed {
		w.State = recording.StateUnknown
	}
	wanted := len(v.Snapshot.Holds) > 0 || before == recording.Pausing || current && last.Action.Silences()
	attested := isPresent && !changed && current && last.Action.Silences() && last.Outcome == recording.Attested && w.State == recording.StateUnknown
	w.Alarm = (wanted || changed) && !w.State.OffTape() && !attested

	w.Headline, w.Line = stateWords(w.State, name)
	if how := reported(silencing, name); w.State.OffTape() && how != "" {
		w.Line = strings.TrimSpace(how + " " + meaning(w.State))
	}
	switch {
	case !isPresent:
		w.Headline, w.Line = absentWords(v, before)
	case changed:
		w.Headline, w.Line = callMayRecord, callChangedLine
	case attested:
		w.Headline, w.Line = "Your word only", outcomeSentence(last, name)
	case w.State == recording.StateUnknown && current:
		w.Headline, w.Line = lastHeadline(last), outcomeSentence(last, name)
		if last.Outcome == recording.Confirmed || last.Outcome == recording.Superseded {
			w.Line = name + " does not say whether it is recording now."
		}
	case w.Alarm && current && last.Action.Silences():
		w.Line = outcomeSentence(last, name)
	case w.Alarm:
		w.Line = "A pause is wanted, and none is confirmed."
	}

	w.Line = upper(w.Line)

	w.Card = cardFirst
	switch {
	case w.Alarm:
		w.Card, w.Steps = cardNotYet, steps(v.PlatformKind)
	case w.State.OffTape():
		w.Card = cardMay
	case attested:
		w.Card = "Look at " + name + " before the card"
	}
	if isPresent && current && !v.CanResumeWithoutRecord { // which says the same, with the way out
		w.Advice = advice(last, name, w.Line)
	}
	return w
}

// knownState is the state that may be shown for one that the server told.
func knownState(s recording.State, silenced bool) recording.State {
	switch s {
	case recording.Recording, recording.Pausing, recording.Resuming, recording.Idle:
		return s
	case recording.Paused, recording.Stopped, recording.Declined:
		if silenced {
			return s
		}
	}
	return recording.StateUnknown
}

// knownOutcome is the outcome, or Unknown for a word that this program doesn't know: an attribute carries it.
func knownOutcome(o recording.Outcome) recording.Outcome {
	if o == recording.Pending {
		return o
	}
	if _, err := recording.ParseOutcome(string(o)); err != nil {
		return recording.Unknown
	}
	return o
}

// newest is the attempt asked for last among those that match, in the list or the snapshot. The two may hold the same
// attempt at different ages; the one decided later counts.
func newest(v View, match func(recording.Attempt) bool) (found recording.Attempt, ok bool) {
	consider := func(a recording.Attempt) {
		if !match(a) {
			return
		}
		later := a.RequestedAt.After(found.RequestedAt)
		if a.ID == found.ID && a.Settled() {
			later = !found.Settled() || a.DecidedAt.After(*found.DecidedAt)
		}
		if !ok || later {
			found, ok = a, true
		}
	}
	for _, a := range v.Attempts {
		consider(a)
	}
	if v.Snapshot.Attempt != nil {
		consider(*v.Snapshot.Attempt)
	}
	return found, ok
}

// callChanged reports whether the call changed while it was paused, and no platform and no newer press has said anything since.
func callChanged(s recording.Snapshot) bool {
	return (s.State.OffTape() || s.State == recording.StateUnknown) &&
		slices.ContainsFunc(s.Notices, func(n recording.Notice) bool { return n.Code == recording.CallChanged })
}

// past reports whether the attempt belongs to a call that has ended. An attempt belongs to this one where either isn't known.
func past(a recording.Attempt, s recording.Snapshot) bool {
	if a.Call != "" && s.Call != "" && a.Call != s.Call { // the platform may know the call where the CRM didn't name it
		return true
	}
	if s.State != recording.Idle || !a.Settled() {
		return false
	}
	return a.DecidedAt.Before(s.Since) || a.Outcome == recording.Unknown // what was open when the call ended is settled as unknown
}

// platformName is what an agent calls a platform of this kind.
func platformName(kind string) string {
	switch kind {
	case "8x8":
		return "8x8"
	case "vonage":
		return "Vonage"
	case "cxone":
		return "CXone"
	}
	return "the platform"
}

// screen is the window in which the agent takes calls on a platform of this kind.
func screen(kind string) string {
	switch kind {
	case "8x8":
		return "8x8 Agent Workspace"
	case "vonage":
		return "Vonage ContactPad"
	case "cxone":
		return "your CXone agent window"
	}
	return "the window where you take calls"
}

func steps(kind string) []string {
	return []string{
		"Go to " + screen(kind) + ".",
		"If the recording isn't shown as paused there, pause it there.",
		"When you see that it shows paused, press the button below.",
	}
}

// stateWords are the headline and the sentence of a state that is known at present.
func stateWords(s recording.State, name string) (headline, line string) {
	switch s {
	case recording.Recording:
		return "Recording", name + " reports that it is recording."
	case recording.Pausing:
		return "Pausing", name + " has not confirmed the pause yet."
	case recording.Paused:
		return "Paused", name + " reports that the recording is paused."
	case recording.Resuming:
		return "Resuming", name + " has not confirmed the resume yet."
	case recording.Stopped:
		return "Stopped", name + " reports that the recording is stopped. " + meaning(s)
	case recording.Declined:
		return "Not recorded", "The customer declined. " + meaning(s)
	case recording.Idle:
		return "No call", "There is no call to record."
	}
	return "Not known", name + " does not say whether it is recording."
}

// meaning is what a silent state means for what comes next, where its name doesn't say it.
func meaning(s recording.State) string {
	switch s {
	case recording.Stopped:
		return "Only a resume starts it again."
	case recording.Declined:
		return "What was recorded before is kept."
	}
	return ""
}

// reported is how the platform said that a confirmed attempt had its effect; empty where only that is known. Of what it said
// the words that are known are shown, in ours.
func reported(a recording.Attempt, name string) string {
	if a.Evidence == nil || a.Outcome != recording.Confirmed {
		return ""
	}
	said := a.PlatformStatus
	if a.Evidence.Kind == recording.Reported {
		return name + " reports success."
	}
	if a.Evidence.Kind != recording.ReadBack {
		return ""
	}
	if !a.Action.Silences() {
		switch said {
		case "recordingStatus Started":
			return name + " says Started."
		case "Recording":
			return name + " says Recording."
		}
		return ""
	}
	switch {
	case said == "recordingStatus Paused":
		return name + " says Paused."
	case said == "Stopped":
		return name + " says Stopped."
	case strings.HasSuffix(said, " (Mask)"):
		return name + " says that it is masked."
	case strings.HasSuffix(said, " (CustomerDisconsent)"):
		return name + " says that the customer declined."
	}
	return ""
}

// absentWords are for a panel without the server's present word: what was known last, never as present.
func absentWords(v View, before recording.State) (headline, line string) {
	headline = "Not known"
	switch {
	case v.Native != Mounted && v.Native != NativeBefore:
		line = "This page may be old."
	case v.Link == Reconnecting:
		line = "Reconnecting."
	case v.Link == OfflineLink:
		headline, line = "Offline", "This computer has no network."
	default:
		headline, line = "Connecting", "Waiting for the server's first word."
	}
	if v.Snapshot.AsOf.IsZero() {
		return headline, line
	}
	return headline, line + " The last word was: " + lastWord(before) + "."
}

func lastWord(s recording.State) string {
	switch s {
	case recording.Recording:
		return "recording"
	case recording.Pausing:
		return "pausing, not confirmed"
	case recording.Paused:
		return "paused"
	case recording.Resuming:
		return "resuming, not confirmed"
	case recording.Stopped:
		return "stopped"
	case recording.Declined:
		return "not recorded"
	case recording.Idle:
		return "no call"
	}
	return "not known"
}

// actionName is an action as a noun, as it begins a line.
func actionName(a recording.Action) string {
	switch a {
	case recording.Pause:
		return "Pause"
	case recording.Resume:
		return "Resume"
	case recording.Start:
		return "Start"
	case recording.Stop:
		return "Stop"
	case recording.Mask:
		return "Mask"
	case recording.Unmask:
		return "Unmask"
	case recording.DoNotRecord:
		return "Decline"
	}
	return "Request"
}

// lastHeadline is the headline where no state is known, from the last attempt.
func lastHeadline(a recording.Attempt) string {
	what := actionName(a.Action)
	switch a.Outcome {
	case recording.Confirmed, recording.Superseded:
		return "Not known"
	case recording.Denied:
		return what + " refused"
	case recording.Failed, recording.Locked, recording.NotFound, recording.NotEnabled:
		return what + " failed"
	}
	return what + " not confirmed"
}

// outcomeName is an outcome in at most three words.
func outcomeName(o recording.Outcome) string {
	switch o {
	case recording.Pending:
		return "Waiting"
	case recording.Confirmed:
		return "Confirmed"
	case recording.Accepted:
		return "Taken, not confirmed"
	case recording.Sent:
		return "Sent, not confirmed"
	case recording.NoCall:
		return "No call"
	case recording.NotEnabled:
		return "Not enabled"
	case recording.Locked:
		return "Locked"
	case recording.Denied:
		return "Refused"
	case recording.NotFound:
		return "Agent not found"
	case recording.Failed:
		return "Failed"
	case recording.Superseded:
		return "Not carried out"
	case recording.Attested:
		return "Your word"
	}
	return "Not known"
}

// outcomeSentence says what is known of an attempt, and how.
func outcomeSentence(a recording.Attempt, name string) string { return upper(known(a, name)) }

func known(a recording.Attempt, name string) string {
	var seen recording.Evidence
	if a.Evidence != nil {
		seen = *a.Evidence
	}
	switch a.Outcome {
	case recording.Pending:
		return "Asked for. " + name + " has not answered yet."
	case recording.Confirmed:
		if how := reported(a, name); how != "" && (!a.Action.Silences() || a.Evidence.Kind == recording.Reported) {
			return how
		}
		if seen.Kind == recording.ReadBack {
			return name + "'s own status shows the effect."
		}
		return name + " reported the effect."
	case recording.Accepted:
		took := name + " took the request. "
		if served(a) && !a.Settled() {
			return name + " took the request and is carrying it out. Its effect is not seen yet."
		}
		if seen.Kind == recording.PopupClosed {
			took = name + " took the request: its window closed. "
		}
		if !a.Settled() {
			return took + "Its effect is not seen yet."
		}
		return took + "It does not say whether it " + done(a.Action) + "."
	case recording.Sent:
		return "The request left this browser. " + name + " does not say whether it " + done(a.Action) + "."
	case recording.NoCall:
		return name + " found no active call."
	case recording.NotEnabled:
		return "Recording is not enabled for you in " + name + "."
	case recording.Locked:
		return name + " kept the call locked by an earlier request."
	case recording.Denied:
		switch {
		case served(a):
			return name + " refused offrecord's own credentials" + httpStatus(seen) + "."
		case seen.Kind == recording.PopupOpen:
			return name + " did not take the request. Its own window says why."
		}
		return name + " refused the request" + httpStatus(seen) + "."
	case recording.NotFound:
		return name + " does not know you as an agent."
	case recording.Failed:
		switch {
		case seen.Kind == recording.Offline:
			return "This computer has no network. Nothing was sent."
		case served(a) && seen.HTTPStatus == 429:
			return name + " gets too many requests. It did not take this one."
		case served(a) && seen.HTTPStatus != 0:
			return name + " refused the request" + httpStatus(seen) + ". Nothing was done."
		case served(a):
			return "It was not carried out."
		}
		switch seen.Kind {
		case recording.FrameLoad:
			return "This computer does not reach " + name + ". Nothing was sent."
		case recording.PopupClosed:
			return "The small window was closed before anything was sent."
		case recording.Held:
			return "It was held back in this browser. Nothing was sent."
		case recording.CSP:
			return "This page's security policy held the request back. Nothing was sent."
		case recording.Blocked:
			return "The browser blocked the small window. Nothing was sent."
		case recording.Status:
			return name + " answered with an error" + httpStatus(seen) + "."
		}
		return "It did not work."
	case recording.Superseded:
		return "Something newer, or another hold, came first."
	case recording.Attested:
		did := didIt
		if p := done(a.Action); p != didIt {
			did = p + " it"
		}
		return "You said that you " + did + " in " + name + "'s own screen. " + name + " has not said so."
	}
	switch seen.Kind {
	case recording.PopupOpen:
		return "The small window is still open. It may or may not have worked."
	case recording.Silence:
		return "No answer came in time. It may or may not have worked."
	case recording.Status:
		return name + " answered with an error" + httpStatus(seen) + ". It may or may not have worked."
	}
	return "It may or may not have worked."
}

// served reports whether the attempt's outcome is the server's: it went by the server route, or the server confirmed what
// the browser fired.
func served(a recording.Attempt) bool {
	return a.Route == recording.RouteServer || a.PlatformStatus != ""
}

// done is an action as something done.
func done(a recording.Action) string {
	switch a {
	case recording.Pause:
		return "paused"
	case recording.Resume:
		return "resumed"
	case recording.Start:
		return "started"
	case recording.Stop:
		return "stopped"
	case recording.Mask:
		return "masked"
	case recording.Unmask:
		return "unmasked"
	}
	return didIt
}

const didIt = "did it"

func httpStatus(e recording.Evidence) string {
	if e.HTTPStatus == 0 {
		return ""
	}
	return " (HTTP " + strconv.Itoa(e.HTTPStatus) + ")"
}

// advice is what to do about the last attempt; nil if there is nothing to do. Its sentence comes first, unless the line
// says it already. Of what the server did, its own sentence says best what to do next; so does what the platform said last.
func advice(a recording.Attempt, name, line string) []string {
	do := remedy(a, name)
	if do == "" {
		return nil
	}
	var all []string
	if sentence := outcomeSentence(a, name); sentence != line {
		all = append(all, actionName(a.Action)+": "+sentence)
	}
	if d := detail(a); d != "" && (served(a) || a.Evidence != nil && a.Evidence.Kind == recording.Held) {
		do = d
	}
	all = append(all, do)
	if said := lastSaid(a, name); said != "" && !strings.Contains(do, a.PlatformStatus) && a.Outcome == recording.Unknown {
		all = append(all, said)
	}
	return all
}

// detail is the server's own sentence about an attempt. It is shown only where the outcome is a failure, or not known of what
// the server did: a sentence that the panel didn't write is never beside an outcome with which it could be read as "paused".
func detail(a recording.Attempt) string {
	switch a.Outcome {
	case recording.Failed, recording.Denied, recording.NotEnabled, recording.NotFound, recording.Locked:
		return harmless(a.Detail)
	case recording.NoCall, recording.Unknown:
		if served(a) {
			return harmless(a.Detail)
		}
	}
	return ""
}

// lastSaid is what the platform said of an attempt that isn't confirmed.
func lastSaid(a recording.Attempt, name string) string {
	if a.PlatformStatus == "" || a.Outcome == recording.Confirmed || strings.HasPrefix(a.PlatformStatus, "HTTP ") || harmless(a.PlatformStatus) == "" {
		return "" // an HTTP status is in the sentence
	}
	return upper(name) + " said last: " + a.PlatformStatus + "."
}

// harmless is a sentence that isn't the panel's own, or nothing if it could be read as saying that the tape is silent.
func harmless(s string) string {
	low := strings.ToLower(s)
	for _, word := range [...]string{"paused", "stopped", "masked", "(mask)", "silen", "not recorded", "isn't recorded", "off the record", "muted", "take the card", "norecording"} {
		if strings.Contains(low, word) {
			return ""
		}
	}
	return s
}

func remedy(a recording.Attempt, name string) string {
	var seen recording.EvidenceKind
	if a.Evidence != nil {
		seen = a.Evidence.Kind
	}
	again := "press " + actionName(a.Action) + " again."
	switch a.Outcome {
	case recording.Denied:
		switch {
		case served(a) && name == "CXone" && a.Evidence != nil && a.Evidence.HTTPStatus == 403:
			return "Tell your administrator: this needs CXone Multi-ACD and the permission “Multi-ACD Record on Demand API”."
		case served(a):
			return "Tell your administrator; signing in again doesn't help."
		case seen == recording.PopupOpen:
			return "Read the small window, sign in to " + name + " there if it asks, then " + again
		}
		return "Sign in to " + name + " again in this browser, then " + again
	case recording.NotEnabled, recording.NotFound:
		return "Tell your administrator; offrecord can't change it."
	case recording.Locked:
		return "Wait a moment, then " + again
	case recording.NoCall:
		return "If you are on a call, look in " + name + " whether it is the active one, then " + again
	case recording.Failed:
		if served(a) && seen != recording.Offline {
			return "Wait a moment, then " + again
		}
		switch seen {
		case recording.CSP:
			return "Tell your administrator that this page may not reach " + name + "'s address."
		case recording.Blocked:
			return "Allow pop-up windows for this page in the address bar, then " + again
		case recording.Offline:
			return "Check the network, then " + again
		case recording.FrameLoad:
			return "Check the network or the VPN, then " + again
		case recording.PopupClosed:
			return "Leave the small window to close by itself, and " + again
		}
		return upper(again)
	case recording.Unknown:
		if seen == recording.PopupOpen {
			return "Read the small window and close it, then " + again
		}
		return "Look in " + name + ", or " + again
	case recording.Accepted, recording.Sent:
		if a.Settled() && !a.Action.Silences() {
			return "Look in " + name + " whether it records again."
		}
	}
	return ""
}

// upper begins a sentence.
func upper(s string) string {
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// nativeSentence says why the page is plain HTML and what to do. There is none while the program runs or is on its way.
func nativeSentence(n Native) string {
	switch n {
	case NativeNoWasm:
		return "This browser refuses WebAssembly. The panel works without it, by plain buttons."
	case NativeStorage:
		return "This browser refuses storage for this page. The panel works without it, by plain buttons."
	case NativeLoad:
		return "The panel's program could not be loaded. The buttons work; reload the page to try again."
	case NativeEnded:
		return "The panel's program ended. The buttons work; reload the page to start it again."
	}
	return ""
}

// clockTime is a time of day in the view's own place. The server doesn't know where the agent is, and says UTC.
func clockTime(t time.Time, place *time.Location) string {
	s := t.In(place).Format("15:04:05")
	if place == time.UTC {
		s += " UTC"
	}
	return s
}

// elapsed is a duration as mm:ss, or h:mm:ss from one hour on. One that is negative, because two clocks differ, is zero.
func elapsed(d time.Duration) string {
	s := max(0, int(d/time.Second))
	two := func(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
	if s >= 3600 {
		return strconv.Itoa(s/3600) + ":" + two(s/60%60) + ":" + two(s%60)
	}
	return two(s/60) + ":" + two(s%60)
}
