package evidence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offrecord/app/recording"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// attempt is "pause confirmed 10-10.2 hand": asked and decided at seconds after noon.
func attempt(t *testing.T, seq int, text string) Attempt {
	t.Helper()
	var action, outcome, origin string
	var asked, decided float64
	if n, err := fmt.Sscanf(strings.Replace(text, "-", " ", 1), "%s %s %f %f %s", &action, &outcome, &asked, &decided, &origin); n < 4 {
		t.Fatalf("%q: %v", text, err)
	}
	at := func(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }
	end := at(decided)
	if origin == "" {
		origin = "hand"
	}
	route := recording.RouteServer
	if rest, ok := strings.CutPrefix(origin, "session:"); ok {
		route, origin = recording.RouteSession, rest
	}
	return Attempt{recording.Attempt{ID: fmt.Sprint(seq), Action: recording.Action(action), Outcome: recording.Outcome(outcome), Origin: recording.Origin(origin), RequestedAt: at(asked), DecidedAt: &end, Route: route}, int64(seq)}
}

func TestWindows(t *testing.T) {
	for _, test := range []struct {
		name     string
		attempts []string
		ends     []float64 // of calls
		want     []string  // windows: certainty from-from to-to
		focus    int
	}{
		{"a pause and its resume", []string{"pause confirmed 10-10.2", "resume confirmed 20-20.3"}, nil, []string{"confirmed 10-10.2 20-20.3"}, 0},
		{"what isn't known to have worked counts, too", []string{"pause sent 10-12", "resume unknown 20-25"}, nil, []string{"sent 10-12 20-25"}, 0},
		{"what is known not to have worked doesn't", []string{"pause failed 10-10.2", "pause denied 12-12.2", "resume confirmed 20-20.3"}, nil, nil, 0},
		{"a resume that failed ends nothing", []string{"pause confirmed 10-10.2", "resume failed 15-15.1", "resume confirmed 20-20.3"}, nil, []string{"confirmed 10-10.2 20-20.3"}, 0},
		{"a resume that is asked for again", []string{"pause confirmed 10-10.2", "resume unknown 20-25", "resume confirmed 30-30.2"}, nil, []string{"confirmed 10-10.2 20-30.2"}, 0},
		{"a pause that is asked for again", []string{"pause unknown 10-15", "pause confirmed 16-16.5", "resume confirmed 20-20.3"}, nil, []string{"confirmed 10-16.5 20-20.3"}, 0},
		{"the agent's word", []string{"pause attested 10-30", "resume confirmed 40-40.3"}, nil, []string{"attested 10-30 40-40.3"}, 0},
		{"superseded", []string{"pause superseded 9-9", "pause confirmed 10-10.2", "resume superseded 12-12", "resume confirmed 20-20.3"}, nil, []string{"confirmed 10-10.2 20-20.3"}, 0},
		{"never resumed", []string{"pause confirmed 10-10.2"}, nil, []string{"confirmed 10-10.2 open"}, 0},
		{"ended with the call", []string{"pause confirmed 10-10.2", "pause confirmed 100-100.2"}, []float64{60}, []string{"confirmed 10-10.2 open until 60", "confirmed 100-100.2 open"}, 0},
		{"ended with the call that comes last", []string{"pause confirmed 10-10.2"}, []float64{5, 60}, []string{"confirmed 10-10.2 open until 60"}, 0},
		{"a resume of no call", []string{"pause confirmed 10-10.2", "resume no_call 20-20.1"}, nil, []string{"confirmed 10-10.2 open until 20.1"}, 0},
		{"by the browser, perhaps before it was announced", []string{"pause accepted 10-10.2 session:hand", "resume accepted 20-20.3 session:hand"}, nil, []string{"accepted 9-10.2 20-20.3"}, 0},
		{"two", []string{"pause confirmed 10-10.2", "resume confirmed 20-20.3", "pause confirmed 30-30.2", "resume confirmed 40-40.3"}, nil, []string{"confirmed 10-10.2 20-20.3", "confirmed 30-30.2 40-40.3"}, 0},
		{"a resume without a pause", []string{"resume confirmed 20-20.3"}, nil, nil, 0},
		{"a card field without a pause", []string{"pause failed 10-10.2 trigger:card-field"}, nil, nil, 1},
		{"a card field whose pause worked at once after all", []string{"pause unknown 10-10 trigger:x", "resume confirmed 11-11", "pause failed 20-20.2 trigger:card-field", "pause confirmed 21-21.2", "resume confirmed 30-30"}, nil,
			[]string{"unknown 10-10 11-11", "confirmed 21-21.2 30-30"}, 0},
		{"a card field while it was paused", []string{"pause confirmed 10-10.2", "pause failed 12-12.2 trigger:card-field", "resume confirmed 20-20.3"}, nil, []string{"confirmed 10-10.2 20-20.3"}, 0},
		{"a card field long before a pause", []string{"pause no_call 10-10.2 trigger:card-field", "pause confirmed 40-40.2", "resume confirmed 50-50"}, nil, []string{"confirmed 40-40.2 50-50"}, 1},
		{"the customer declined", []string{"do_not_record confirmed 10-10.2"}, []float64{99}, []string{"confirmed 10-10.2 open until 99"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []Attempt
			for i, text := range test.attempts {
				all = append(all, attempt(t, i+1, text))
			}
			var ends []time.Time
			for _, s := range test.ends {
				ends = append(ends, noon.Add(time.Duration(s*float64(time.Second))))
			}
			windows, focus := windowsOf(Agent{Email: "bill@acme.example", ID: "bill"}, all, ends)
			var got []string
			s := func(at time.Time) string { return fmt.Sprint(at.Sub(noon).Seconds()) }
			for _, w := range windows {
				said := fmt.Sprintf("%s %s-%s", w.Certainty, s(w.From.Earliest), s(w.From.Latest))
				switch {
				case !w.To.Latest.IsZero():
					said += fmt.Sprintf(" %s-%s", s(w.To.Earliest), s(w.To.Latest))
				case !w.Until.IsZero():
					said += " open until " + s(w.Until)
				default:
					said += " open"
				}
				got = append(got, said)
			}
			if strings.Join(got, ", ") != strings.Join(test.want, ", ") || len(focus) != test.focus {
				t.Errorf("windows %q and %d card fields, expected %q and %d", got, len(focus), test.want, test.focus)
			}
		})
	}
}

// What a browser saw bounds an effect better than when the server heard of it; what the server measured began later than the press.
func TestEffect(t *testing.T) {
	for _, test := range []struct {
		attempt string
		kind    recording.EvidenceKind
		want    time.Duration
	}{
		{"pause accepted 10-13 session:hand", recording.PopupClosed, 10121 * time.Millisecond},
		{"pause unknown 10-13 session:hand", recording.Silence, 13 * time.Second}, // nothing was seen
		{"pause attested 10-13 session:hand", recording.Word, 13 * time.Second},
		{"pause confirmed 10-13", recording.Reported, 13 * time.Second},
	} {
		a := attempt(t, 1, test.attempt)
		a.Evidence = &recording.Evidence{Kind: test.kind, AfterMS: 120}
		if got := effect(a).Latest.Sub(noon); got != test.want {
			t.Errorf("%s, %s: in effect by %v at the latest, expected %v", test.attempt, test.kind, got, test.want)
		}
	}
}
