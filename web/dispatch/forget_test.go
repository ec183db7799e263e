package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
	"offrecord/web/platform"
)

// wish is one thing that happens to an account with a limit.
type wish struct {
	after  time.Duration
	what   string
	origin recording.Origin
	length time.Duration // of a pause that says for how long; of a kill, until the next start
	call   string

	at time.Time // set when it happens, with id
	id string
}

// judge keeps what happened and what was sent, and holds one against the other. It knows nothing of how the dispatcher decides.
type judge struct {
	limit   dispatch.Limit
	names   bool
	slow    time.Duration // the log
	book    *book
	mu      sync.Mutex
	wishes  []wish
	sent    map[string]int  // unattended resumes that may have acted, by attempt
	ended   map[string]bool // pauses and their extensions that were ended or told of, as "pause/nth"
	counts  map[recording.AlertKind]int
	resumes int
	failure string
}

func (j *judge) fail(format string, args ...any) {
	if j.failure == "" {
		j.failure = fmt.Sprintf(format, args...)
	}
}

// happened notes a wish.
func (j *judge) happened(w wish) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wishes = append(j.wishes, w)
}

// nth is how often a pause was extended so far.
func (j *judge) nth(pause string) (n int, until time.Time) {
	_, notes := j.book.read()
	for _, x := range notes {
		if x.Pause == pause && !x.Told {
			n, until = x.Nth, x.Until
		}
	}
	return n, until
}

// told judges an alert.
func (j *judge) told(a recording.Alert) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts[a.Kind]++
	if a.Kind == recording.AlertOverdue {
		n, _ := j.nth(a.Attempt)
		if key := fmt.Sprint(a.Attempt, "/", n); j.ended[key+" resumed"] {
			j.fail("%s was resumed, and then said to be over its time", key)
		} else {
			j.ended[key] = true
		}
	}
}

// resumed judges an unattended resume at the moment at which it is sent.
func (j *judge) resumed(now string, acts bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.resumes++
	t := time.Now()
	attempts, notes := j.book.read()
	outcome, newest := map[string]recording.Attempt{}, recording.Attempt{}
	for _, a := range attempts {
		outcome[a.ID] = a
	}
	for _, a := range outcome {
		if a.Origin == recording.Timer && !a.Settled() && a.RequestedAt.After(newest.RequestedAt) {
			newest = a
		}
	}
	if newest.ID == "" || newest.Settled() || newest.RequestedAt.After(t) {
		j.fail("%s: sent without being written down: %+v", t, newest)
		return
	}
	if acts {
		j.sent[newest.ID]++
		if j.sent[newest.ID] > 2 {
			j.fail("%s: sent %d times", t, j.sent[newest.ID])
		}
	}
	var pause recording.Attempt
	var due time.Time
	for _, a := range outcome {
		if a.AutoResumeAt == nil {
			continue
		}
		dues := []time.Time{*a.AutoResumeAt}
		for _, n := range notes {
			if n.Pause == a.ID && !n.Told {
				dues = append(dues, n.Until)
			}
		}
		for _, d := range dues {
			if dispatch.EndingID(a.ID, d) == newest.ID {
				pause, due = a, d
			}
		}
	}
	if pause.ID == "" {
		j.fail("%s: an unattended resume of nothing: %+v", t, newest)
		return
	}
	n, until := j.nth(pause.ID)
	key := fmt.Sprint(pause.ID, "/", n)
	switch late := t.Sub(due); {
	case late < -time.Millisecond || late >= 10*time.Second:
		j.fail("%s: sent %s after its time", t, late)
	case n > 0 && !until.Equal(due):
		j.fail("%s: it was kept until %s", t, until)
	case j.ended[key]:
		j.fail("%s: %s was said to be over its time, and then resumed", t, key)
	case j.limit.AtMax == dispatch.AtMaxAlert, !j.names && j.limit.AtMax != dispatch.AtMaxResume:
		j.fail("%s: this account doesn't resume by itself", t)
	}
	paused := false // by something that isn't known to have changed nothing
	for _, a := range outcome {
		if a.Action.Silences() && !a.RequestedAt.Before(pause.RequestedAt) && !a.Unsent() && (!a.Outcome.KeepsState() || a.Outcome == recording.Superseded) {
			if paused = true; j.names && (a.Call == "" || a.Call != now) {
				j.fail("%s: the call was %q and is %q", t, a.Call, now)
			}
		}
	}
	if !paused {
		j.fail("%s: nothing was paused", t)
	}
	j.ended[key+" resumed"] = true
	crm, named := "", false
	for _, w := range j.wishes {
		if w.what == "call" && !w.at.After(pause.RequestedAt) {
			switch {
			case w.origin == "started", w.origin == "transferred":
				crm = w.call
			case crm == w.call || crm == "":
				crm = ""
			}
		}
	}
	named = crm != ""
	for _, w := range j.wishes {
		if !w.at.After(pause.RequestedAt) || !w.at.Before(t) {
			continue
		}
		a, known := outcome[w.id]
		switch w.what {
		case "pause", "announce":
			if own := w.at.Add(shorter(w.length, j.limit.Max)); known && own.After(t.Add(time.Millisecond)) {
				j.fail("%s: paused again at %s until %s", t, w.at, own)
			}
		case "resume":
			if known && !a.Unsent() {
				j.fail("%s: a resume was asked for at %s: %+v", t, w.at, a)
			}
		case "call":
			if w.origin != "started" && !(w.origin == "ended" && w.call != crm && crm != "") || w.origin == "started" && w.call != crm {
				j.fail("%s: the call was %s, and %s %s came at %s", t, crm, w.call, w.origin, w.at)
			}
		}
	}
	if !j.names && !named {
		j.fail("%s: nobody named the call", t)
	}
}

func shorter(length, most time.Duration) time.Duration {
	if length == 0 || length > most {
		return most
	}
	return length
}

// witness is a life whose requests are judged.
type witness struct {
	*life
	judge *judge
}

func (w witness) Act(ctx context.Context, r platform.Request) platform.Result {
	if r.Action == recording.Resume && r.Media == "" && !w.ended() { // people's have one here
		w.tape.mu.Lock()
		next, call := w.tape.ways[min(w.tape.asked, len(w.tape.ways)-1)], w.tape.call
		w.tape.mu.Unlock()
		w.judge.resumed(call, next.fate != dropped)
	}
	return w.life.Act(ctx, r)
}

// TestNoPauseIsForgottenAndNoneIsEndedUnsafely runs random histories of pauses with a limit: presses, triggers, extensions, what
// the CRM says and what it doesn't, a platform that delays and loses, and kills.
func TestNoPauseIsForgottenAndNoneIsEndedUnsafely(t *testing.T) {
	histories, resumes, most := 0, 0, 0
	counts := map[recording.AlertKind]int{}
	rapid.Check(t, func(rt *rapid.T) {
		duration := func(name string, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most/time.Millisecond)).Draw(rt, name)) * time.Millisecond
		}
		p := &tape{reads: rapid.Bool().Draw(rt, "reads"), names: rapid.Bool().Draw(rt, "names"), call: "c0"}
		for range rapid.IntRange(1, 12).Draw(rt, "ways") {
			w := way{}
			if rapid.IntRange(0, 2).Draw(rt, "slow") == 0 {
				w = way{before: duration("before", 7*time.Second), after: duration("after", 3*time.Second), fate: fate(rapid.IntRange(0, int(fates)-1).Draw(rt, "fate"))}
			}
			if p.reads {
				w.lag = duration("lag", 2*time.Second)
			}
			p.ways = append(p.ways, w)
		}
		j := &judge{names: p.names, book: new(book), sent: map[string]int{}, ended: map[string]bool{}, counts: map[recording.AlertKind]int{}}
		j.limit = dispatch.Limit{Max: 4*time.Second + duration("max", 20*time.Second), Extensions: rapid.IntRange(0, 2).Draw(rt, "extensions"),
			AtMax: rapid.SampledFrom([]string{"", dispatch.AtMaxResume, dispatch.AtMaxResume, dispatch.AtMaxAlert}).Draw(rt, "at max")}
		if rapid.IntRange(0, 3).Draw(rt, "slow log") == 0 {
			j.slow = duration("slow", 1200*time.Millisecond)
		}
		origins := []recording.Origin{recording.Hand, recording.Hand, "trigger:card", recording.Link}
		var plan []wish
		if rapid.Bool().Draw(rt, "crm") {
			plan = append(plan, wish{what: "call", origin: "started", call: "c0"})
		}
		for range rapid.IntRange(1, 12).Draw(rt, "wishes") {
			w := wish{after: time.Millisecond + duration("wait", 12*time.Second)}
			w.what = rapid.SampledFrom([]string{"pause", "pause", "pause", "pause", "announce", "resume", "extend", "extend", "call", "turn", "deaf", "kill", "kill"}).Draw(rt, "what")
			switch w.what {
			case "pause", "announce", "resume":
				w.origin = rapid.SampledFrom(origins).Draw(rt, "origin")
				if rapid.Bool().Draw(rt, "for") && w.what != "resume" {
					w.length = time.Second + duration("length", 30*time.Second)
				}
			case "call":
				w.origin = rapid.SampledFrom([]recording.Origin{"started", "ended", "transferred"}).Draw(rt, "event")
				w.call = rapid.SampledFrom([]string{"c0", "c0", "c1"}).Draw(rt, "call")
			case "turn":
				w.call = rapid.SampledFrom([]string{"c0", "c1", ""}).Draw(rt, "call")
			case "deaf":
				w.length = duration("deaf", 15*time.Second)
			case "kill":
				w.length = duration("away", 15*time.Second)
			}
			plan = append(plan, w)
		}
		synctest.Test(t, func(t *testing.T) {
			var l *life
			start := func() *dispatch.Dispatcher {
				l = &life{tape: p, book: j.book, slow: j.slow}
				mine := l
				o := upstream(witness{l, j})
				o.Journal, o.Limit = l, func(string) dispatch.Limit { return j.limit }
				o.Alert = func(a recording.Alert) {
					if !mine.ended() {
						j.told(a)
						j.book.told(a)
					}
				}
				d := dispatch.New(o)
				attempts, notes := j.book.read()
				d.Restore(attempts, notes, func(string) (dispatch.Agent, bool) { return vera, true })
				return d
			}
			d := start()
			up := time.Now()
			look := func() { // nothing that is due stays undecided
				synctest.Wait()
				s := d.Snapshot(vera)
				if s.AutoResumeAt != nil && time.Since(*s.AutoResumeAt) > 10*time.Second && time.Since(up) > 10*time.Second {
					j.fail("%s: the pause that was due at %s is forgotten: %+v", time.Now(), s.AutoResumeAt, s)
				}
			}
			for _, w := range plan {
				time.Sleep(w.after)
				look()
				w.at, w.id = time.Now(), dispatch.NewID()
				j.happened(w)
				switch w.what {
				case "pause", "resume":
					o := dispatch.Order{ID: w.id, Action: recording.Action(w.what), Origin: w.origin, For: w.length, Media: "voice"}
					now := d
					go now.Act(context.Background(), vera, o)
				case "announce":
					d.Announce(t.Context(), vera, dispatch.Request{ID: w.id, Action: recording.Pause, Origin: w.origin, For: w.length, Transport: recording.TransportIframe})
				case "extend":
					d.Extend(t.Context(), vera, d.Snapshot(vera).Pause)
				case "call":
					d.SetCall(t.Context(), vera, w.call, dispatch.CallEvent(w.origin))
				case "turn":
					p.turn(w.call)
				case "deaf":
					p.mu.Lock()
					p.deaf = true
					p.mu.Unlock()
					time.AfterFunc(w.length, func() {
						p.mu.Lock()
						defer p.mu.Unlock()
						p.deaf = false
					})
				case "kill":
					l.kill()
					go d.Close()
					time.Sleep(w.length)
					d, up = start(), time.Now()
				}
			}
			for range 20 {
				time.Sleep(5 * time.Second)
				look()
			}
			s := d.Snapshot(vera)
			if s.Pause != "" && s.AutoResumeAt == nil {
				n, due := j.nth(s.Pause)
				if a, err := d.Attempt(vera, s.Pause); n == 0 && err == nil {
					due = *a.AutoResumeAt
				}
				last, err := d.Attempt(vera, dispatch.EndingID(s.Pause, due))
				if key := fmt.Sprint(s.Pause, "/", n); !j.ended[key] && (err != nil || last.Unsent()) {
					j.fail("at the end %s is open, over its time, and nobody was told: %+v", key, s)
				}
			}
			if s.AutoResumeAt != nil {
				j.fail("at the end there is still a time: %+v", s)
			}
			d.Close()
			if j.failure != "" {
				j.failure += fmt.Sprintf("\nlimit %+v, names %v, log %s\n", j.limit, j.names, j.slow)
				for _, w := range j.wishes {
					j.failure += fmt.Sprintf("%s %s %s %s %s %s\n", w.at.Format("04:05.000"), w.what, w.origin, w.length, w.call, w.id)
				}
				for _, a := range d.Attempts(vera, 100) {
					j.failure += fmt.Sprintf("%s %s by %s on %q: %q %s %s\n", a.RequestedAt.Format("04:05.000"), a.Action, a.Origin, a.Call, a.Outcome, a.Detail, a.ID)
				}
			}
		})
		histories++
		resumes += j.resumes
		for kind, n := range j.counts {
			counts[kind] += n
		}
		for _, n := range j.sent {
			most = max(most, n)
		}
		if j.failure != "" {
			rt.Fatal(strings.TrimSpace(j.failure))
		}
	})
	t.Logf("%d histories: %d unattended resumes, each sent %d times at most; alerts %v", histories, resumes, most, counts)
}
