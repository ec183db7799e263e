package panel

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"offrecord/app/recording"
)

// A call that changed under an open pause may be recording, whatever the snapshot's state says; a newer word ends that.
func TestTheCallChangedWhileItWasPaused(t *testing.T) {
	changed := []recording.Notice{{Code: recording.CallChanged, Text: "The call changed while it was paused: this call may be recording."}}
	every(func(v View, _ recording.Outcome) {
		if v.Attempts[0].Evidence.Kind != "" { // how an attempt is known is no part of it
			return
		}
		v.Snapshot.Notices = changed
		w := Say(v)
		known := v.Snapshot.State == recording.Recording || v.Snapshot.State == recording.Pausing || v.Snapshot.State == recording.Resuming || v.Snapshot.State == recording.Idle
		if w.State.OffTape() || w.Card == cardMay {
			t.Fatalf("shown as silent: %+v for %+v", w, v)
		}
		if strings.TrimSpace(string(v.Snapshot.State)) != string(v.Snapshot.State) || v.Snapshot.State == "" || !present(v) {
			return
		}
		if loud := w.Headline == "This call may be recording."; loud == known || loud && (!w.Alarm || w.Card != cardNotYet) {
			t.Fatalf("%+v for %+v", w, v)
		}
		if loud, _ := remarks(v); slices.Contains(loud, "This call may be recording. "+callChangedLine) != known {
			t.Fatalf("%q for %+v", loud, v)
		}
	})
}

func TestNoticesAndAlerts(t *testing.T) {
	at := noon.Add(-time.Minute)
	alert := func(kind recording.AlertKind, attempt string) recording.Alert {
		return recording.Alert{ID: string(kind) + attempt, Kind: kind, Attempt: attempt, RaisedAt: at, Text: "Look in the platform's own screen."}
	}
	resume := recording.Attempt{ID: "1", Action: recording.Resume, Outcome: recording.Confirmed, RequestedAt: noon, DecidedAt: &noon}
	pause := recording.Attempt{ID: "0", Action: recording.Pause, Outcome: recording.Failed, RequestedAt: at, DecidedAt: &at}
	for _, tt := range []struct {
		name       string
		notices    []recording.Notice
		alerts     []recording.Alert
		link       Link
		loud, calm []string
	}{
		{name: "nothing"},
		{name: "in the server's order", notices: []recording.Notice{{Code: recording.LogUnavailable, Text: "Nothing can be written."}, {Code: recording.PlatformAway, Text: "It isn't answering."}},
			calm: []string{"Nothing can be written.", "It isn't answering."}},
		{name: "one that is new", notices: []recording.Notice{{Code: "tea", Text: "There is tea."}, {Code: "lie", Text: "The recording is paused."}}, calm: []string{"There is tea."}},
		{name: "the newest alert first", alerts: []recording.Alert{alert(recording.AlertFailed, "0"), alert(recording.AlertUnknown, "9"), alert(recording.AlertRestart, "")},
			loud: []string{"Look in the platform's own screen.",
				"An attempt at 11:59:00 UTC may not have worked. Nobody has looked at it yet.", "Pause at 11:59:00 UTC failed. Nobody has looked at it yet."}},
		{name: "many", alerts: []recording.Alert{alert(recording.AlertLeak, "a"), alert(recording.AlertLeak, "b"), alert(recording.AlertLeak, "c"), alert(recording.AlertLeak, "d"), alert(recording.AlertLeak, "e")},
			loud: []string{"A recording can be heard where it shouldn't be. Tell your supervisor.", "A recording can be heard where it shouldn't be. Tell your supervisor.",
				"A recording can be heard where it shouldn't be. Tell your supervisor.", "Besides, 2 more that nobody has looked at."}},
		{name: "what is said already", notices: []recording.Notice{{Code: recording.LogSpooled, Text: "It is kept aside."}}, alerts: []recording.Alert{alert(recording.AlertLog, ""), alert(recording.AlertFailed, "1"), alert(recording.AlertNoProof, "")},
			calm: []string{"It is kept aside."}},
		{name: "the log's alert alone", alerts: []recording.Alert{alert(recording.AlertLog, "")}, loud: []string{"Look in the platform's own screen."}},
		{name: "a pause that was over its time", alerts: []recording.Alert{alert(recording.AlertOverdue, "0")}, loud: []string{"A pause was over its time at 11:59:00 UTC. Nobody has looked at it yet."}},
		{name: "one that could be read as a claim", alerts: []recording.Alert{{ID: "x", Kind: "tea", Text: "The recording is paused."}}},
		{name: "without a present word", link: Reconnecting, notices: []recording.Notice{{Code: recording.LogSpooled, Text: "It is kept aside."}}, alerts: []recording.Alert{alert(recording.AlertRestart, "")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := View{PlatformKind: "vonage", Link: tt.link, Now: noon, Attempts: []recording.Attempt{resume, pause},
				Snapshot: recording.Snapshot{State: recording.Recording, Since: noon, AsOf: noon, Notices: tt.notices, Alerts: tt.alerts}}
			if v.Link == "" {
				v.Link = Live
			}
			loud, calm := remarks(v)
			if !slices.Equal(loud, tt.loud) || !slices.Equal(calm, tt.calm) {
				t.Errorf("loud %q, calm %q", loud, calm)
			}
			for _, s := range append(loud, calm...) {
				if claims(s) {
					t.Errorf("%q could be read as: the tape is silent", s)
				}
			}
			var drawn []string
			for _, n := range elements(t, HTML(v), func(n *html.Node) bool { return n.Data == "p" && strings.HasPrefix(attr(n, "class"), "remark") }) {
				drawn = append(drawn, text(n))
			}
			if !slices.Equal(drawn, append(slices.Clone(loud), calm...)) {
				t.Errorf("drawn: %q", drawn)
			}
		})
	}
}
