package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/dispatch"
)

var bill = dispatch.Agent{Email: "bill@acme.example", Platform: "acme"}

// id makes the n-th UUID.
func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func pause(n int) dispatch.Request {
	return dispatch.Request{ID: id(n), Action: recording.Pause, Transport: recording.TransportIframe}
}

func resume(n int) dispatch.Request {
	return dispatch.Request{ID: id(n), Action: recording.Resume, Transport: recording.TransportIframe}
}

func saw(outcome recording.Outcome, kind recording.EvidenceKind) dispatch.Report {
	return dispatch.Report{Outcome: outcome, Evidence: &recording.Evidence{Kind: kind, AfterMS: 80}}
}

// journal remembers what was written down, and fails or waits as it is told.
type journal struct {
	mu       sync.Mutex
	lines    []string
	beginErr error
	wait     time.Duration // before Begin answers
}

func (j *journal) Begin(ctx context.Context, a recording.Attempt) error {
	j.mu.Lock()
	wait, err := j.wait, j.beginErr
	j.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	j.write("begin " + string(a.Action) + " " + a.ID[35:])
	return nil
}

func (j *journal) Complete(_ context.Context, a recording.Attempt) error {
	j.write("complete " + string(a.Outcome) + " " + a.ID[35:])
	return nil
}

func (j *journal) Note(_ context.Context, n dispatch.Note) error {
	if n.Event != "" {
		j.write(string(n.Event) + " " + n.Call)
	} else {
		j.write(fmt.Sprintf("extension %d of %s", n.Nth, n.Pause[35:]))
	}
	return nil
}

func (j *journal) write(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) written() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.beginErr = err
}

func announce(t *testing.T, d *dispatch.Dispatcher, r dispatch.Request) recording.Attempt {
	t.Helper()
	a, _, err := d.Announce(t.Context(), bill, r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnAttemptIsWrittenDownBeforeItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		d := dispatch.New(dispatch.Options{Journal: log})
		announce(t, d, pause(1))
		for _, report := range []dispatch.Report{saw(recording.Sent, recording.FrameLoad), {Outcome: recording.Attested}} {
			if _, err := d.Report(t.Context(), bill, id(1), report); err != nil {
				t.Fatal(err)
			}
		}
		d.Close()
		if got, want := log.written(), []string{"begin pause 1", "complete sent 1", "complete attested 1"}; !slices.Equal(got, want) {
			t.Errorf("written %q, want %q", got, want)
		}
	})
}

func TestTheSameIDIsTheSameAttempt(t *testing.T) {
	log := &journal{}
	d := dispatch.New(dispatch.Options{Journal: log})
	defer d.Close()
	first, fresh, err := d.Announce(t.Context(), bill, pause(1))
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	again, fresh, err := d.Announce(t.Context(), bill, pause(1))
	if err != nil || fresh || again != first {
		t.Errorf("again: %+v, fresh %v, %v", again, fresh, err)
	}
	if _, _, err := d.Announce(t.Context(), bill, resume(1)); !errors.Is(err, dispatch.ErrIDReused) {
		t.Errorf("another body: %v", err)
	}
	if n := len(log.written()); n != 1 {
		t.Errorf("written %d times", n)
	}
	// Another agent's ids are its own.
	if _, fresh, err := d.Announce(t.Context(), dispatch.Agent{Email: "jo@acme.example", Platform: "acme"}, resume(1)); err != nil || !fresh {
		t.Errorf("another agent: fresh %v, %v", fresh, err)
	}
}

func TestTwoOfTheSameAtOnceAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{wait: 300 * time.Millisecond}
		d := dispatch.New(dispatch.Options{Journal: log})
		var fresh [8]bool
		var all sync.WaitGroup
		for i := range fresh {
			all.Go(func() {
				var err error
				if _, fresh[i], err = d.Announce(t.Context(), bill, resume(1)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		n := 0
		for _, f := range fresh {
			if f {
				n++
			}
		}
		if n != 1 || len(log.written()) != 1 {
			t.Errorf("%d were new, %d written", n, len(log.written()))
		}
		d.Close()
	})
}

func TestAPauseStandsWithoutARecordAndAResumeDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{beginErr: errors.New("disk full")}
		d := dispatch.New(dispatch.Options{Journal: log})
		a := announce(t, d, pause(1))
		if !strings.Contains(a.Detail, "couldn't be written") || d.Snapshot(bill).State != recording.Pausing {
			t.Errorf("the pause: %q, state %q", a.Detail, d.Snapshot(bill).State)
		}
		if _, _, err := d.Announce(t.Context(), bill, resume(2)); !errors.Is(err, dispatch.ErrLog) {
			t.Fatalf("the resume: %v", err)
		}
		if got := d.Snapshot(bill); got.Attempt.ID != id(1) || got.State != recording.Pausing {
			t.Errorf("the refused resume left a trace: %+v", got)
		}
		// The reason stays with the outcome.
		if a, err := d.Report(t.Context(), bill, id(1), saw(recording.Sent, recording.FrameLoad)); err != nil || !strings.Contains(a.Detail, "couldn't be written") {
			t.Errorf("%q, %v", a.Detail, err)
		}
		request := resume(2)
		request.WithoutRecord = true
		if a := announce(t, d, request); a.Outcome != recording.Pending || !strings.Contains(a.Detail, "couldn't be written") {
			t.Errorf("without record: %q %q", a.Outcome, a.Detail)
		}
		// The refused id is free again once the log works.
		log.fail(nil)
		if a := announce(t, d, resume(3)); a.Detail != "" {
			t.Errorf("detail %q", a.Detail)
		}
		d.Close()
	})
}

func TestASlowLogHoldsAPauseBackForASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New(dispatch.Options{Journal: &journal{wait: time.Minute}})
		var asked sync.WaitGroup
		asked.Go(func() { d.Announce(t.Context(), bill, resume(1)) })
		synctest.Wait()
		began := time.Now()
		announce(t, d, pause(2))
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		asked.Wait()
		d.Close()
	})
}

// A resume that waited for the log while a pause came must not be carried out after it.
func TestAResumeThatAPauseOvertookIsSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{wait: 500 * time.Millisecond}
		d := dispatch.New(dispatch.Options{Journal: log})
		var got recording.Attempt
		var asked sync.WaitGroup
		asked.Go(func() { got, _, _ = d.Announce(t.Context(), bill, resume(1)) })
		time.Sleep(100 * time.Millisecond)
		announce(t, d, pause(2))
		asked.Wait()
		if got.Outcome != recording.Superseded {
			t.Errorf("outcome %q", got.Outcome)
		}
		if s := d.Snapshot(bill); s.State != recording.Pausing || s.Attempt.ID != id(2) {
			t.Errorf("state %q by %s", s.State, s.Attempt.ID)
		}
		d.Close()
	})
}

func TestWhatIsNotHeardOfIsUnknownAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		d := dispatch.New(dispatch.Options{Journal: log, AttemptTimeout: func(string) time.Duration { return 15 * time.Second }})
		announce(t, d, pause(1))
		time.Sleep(15*time.Second - time.Millisecond)
		synctest.Wait()
		if a, _ := d.Attempt(bill, id(1)); a.Settled() {
			t.Fatalf("settled before its deadline: %q", a.Outcome)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		a, _ := d.Attempt(bill, id(1))
		if a.Outcome != recording.Unknown || a.Evidence.Kind != recording.Silence || d.Snapshot(bill).State != recording.StateUnknown {
			t.Errorf("%q by %+v, state %q", a.Outcome, a.Evidence, d.Snapshot(bill).State)
		}
		// What comes late changes nothing, but for the agent's word.
		if late, err := d.Report(t.Context(), bill, id(1), saw(recording.Accepted, recording.PopupClosed)); err != nil || late.Outcome != recording.Unknown {
			t.Errorf("late: %q, %v", late.Outcome, err)
		}
		if a, ok := d.Attest(t.Context(), bill); !ok || a.Outcome != recording.Attested || d.Snapshot(bill).State != recording.StateUnknown {
			t.Errorf("attested: %v %q, state %q", ok, a.Outcome, d.Snapshot(bill).State)
		}
		d.Close()
		if got := log.written(); !slices.Equal(got, []string{"begin pause 1", "complete unknown 1", "complete attested 1"}) {
			t.Errorf("written %q", got)
		}
	})
}

func TestWhatABrowserMayReport(t *testing.T) {
	status := func(outcome recording.Outcome, code int) dispatch.Report {
		return dispatch.Report{Outcome: outcome, Evidence: &recording.Evidence{Kind: recording.Status, HTTPStatus: code}}
	}
	tests := []struct {
		name   string
		report dispatch.Report
		refuse bool
		yours  bool
		says   string // in the sentence for a person
	}{
		{name: "sent", report: saw(recording.Sent, recording.FrameLoad)},
		{name: "accepted by a window that closed", report: saw(recording.Accepted, recording.PopupClosed)},
		{name: "accepted by a status", report: status(recording.Accepted, 200)},
		{name: "a load is never more than sent", report: saw(recording.Accepted, recording.FrameLoad), refuse: true},
		{name: "accepted by a refusal", report: status(recording.Accepted, 401), refuse: true},
		{name: "denied", report: status(recording.Denied, 401)},
		{name: "failed", report: saw(recording.Failed, recording.CSP)},
		{name: "held back by the panel", report: saw(recording.Failed, recording.Held), says: "held it back"},
		{name: "a window that was blocked", report: saw(recording.Failed, recording.Blocked), says: "blocked the small window"},
		{name: "a window that was closed first", report: saw(recording.Failed, recording.PopupClosed), says: "closed before"},
		{name: "a platform out of reach", report: saw(recording.Failed, recording.FrameLoad), says: "didn't reach the platform"},
		{name: "no network", report: saw(recording.Failed, recording.Offline), says: "was offline"},
		{name: "unknown", report: saw(recording.Unknown, recording.PopupOpen), says: "stayed open"},
		{name: "unknown, out of reach afterwards", report: saw(recording.Unknown, recording.FrameLoad), says: "reached just afterwards"},
		{name: "unknown, pointed elsewhere", report: saw(recording.Unknown, recording.CSP), says: "signed in"},
		{name: "unknown, unheard", report: saw(recording.Unknown, recording.Silence), says: "in time"},
		{name: "attested", report: dispatch.Report{Outcome: recording.Attested}},
		{name: "attested with when", report: saw(recording.Attested, recording.Word)},
		{name: "a word is evidence for nothing else", report: saw(recording.Sent, recording.Word), refuse: true},
		{name: "confirmed", report: saw(recording.Confirmed, recording.Reported), refuse: true, yours: true},
		{name: "no_call", report: saw(recording.NoCall, recording.Status), refuse: true},
		{name: "superseded", report: saw(recording.Superseded, recording.FrameLoad), refuse: true},
		{name: "nothing", report: saw("", recording.FrameLoad), refuse: true},
		{name: "nonsense", report: saw("paused", recording.FrameLoad), refuse: true},
		{name: "a platform's evidence", report: saw(recording.Sent, recording.ReadBack), refuse: true},
		{name: "no evidence", report: dispatch.Report{Outcome: recording.Sent}, refuse: true},
		{name: "a time before the request", report: dispatch.Report{Outcome: recording.Sent, Evidence: &recording.Evidence{Kind: recording.FrameLoad, AfterMS: -1}}, refuse: true},
		{name: "a status that is none", report: status(recording.Denied, 1000), refuse: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := dispatch.New(dispatch.Options{})
			defer d.Close()
			announce(t, d, pause(1))
			a, err := d.Report(t.Context(), bill, id(1), tt.report)
			var invalid dispatch.InvalidError
			switch {
			case tt.yours && !errors.Is(err, dispatch.ErrNotYours):
				t.Errorf("error %v", err)
			case tt.refuse && !tt.yours && !errors.As(err, &invalid):
				t.Errorf("error %v", err)
			case !tt.refuse && (err != nil || a.Outcome != tt.report.Outcome || a.Detail == "" || !strings.Contains(a.Detail, tt.says)):
				t.Errorf("%q %q, %v", a.Outcome, a.Detail, err)
			}
			if state := d.Snapshot(bill).State; state.OffTape() {
				t.Errorf("state %q on a browser's word", state)
			}
		})
	}
	d := dispatch.New(dispatch.Options{})
	defer d.Close()
	if _, err := d.Report(t.Context(), bill, id(9), saw(recording.Sent, recording.FrameLoad)); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("an attempt that isn't there: %v", err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	now := time.Now()
	tests := map[string]func(*dispatch.Request){
		"no id":              func(r *dispatch.Request) { r.ID = "" },
		"an id in braces":    func(r *dispatch.Request) { r.ID = "{" + id(1) + "}" },
		"an id in capitals":  func(r *dispatch.Request) { r.ID = "ABCDEF00-0000-4000-8000-000000000000" },
		"no action":          func(r *dispatch.Request) { r.Action = "" },
		"a toggle":           func(r *dispatch.Request) { r.Action = "toggle" },
		"no transport":       func(r *dispatch.Request) { r.Transport = "" },
		"a setting":          func(r *dispatch.Request) { r.Transport = recording.TransportAuto },
		"an unknown origin":  func(r *dispatch.Request) { r.Origin = "cat" },
		"a nameless trigger": func(r *dispatch.Request) { r.Origin = "trigger:" },
		"a long reason":      func(r *dispatch.Request) { r.Reason = strings.Repeat("a", 201) },
		"two lines":          func(r *dispatch.Request) { r.Reason = "a\nb" },
		"not UTF-8":          func(r *dispatch.Request) { r.Reason = "\xff" },
		"a card number":      func(r *dispatch.Request) { r.Reason = "card 4111 1111 1111 1111" },
		"a long call":        func(r *dispatch.Request) { r.Call = strings.Repeat("1", 129) },
		"no time":            func(r *dispatch.Request) { r.RequestedAt = "yesterday" },
		"the future":         func(r *dispatch.Request) { r.RequestedAt = now.Add(time.Hour).Format(time.RFC3339Nano) },
		"long ago":           func(r *dispatch.Request) { r.RequestedAt = now.Add(-25 * time.Hour).Format(time.RFC3339Nano) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			d := dispatch.New(dispatch.Options{})
			defer d.Close()
			r := pause(1)
			spoil(&r)
			_, _, err := d.Announce(t.Context(), bill, r)
			var invalid dispatch.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error(), "4111") {
				t.Error("the error repeats what was sent")
			}
			if d.Snapshot(bill).Attempt != nil {
				t.Error("an attempt was recorded")
			}
		})
	}
}

func TestCardNumbersInAReason(t *testing.T) {
	tests := map[string]bool{
		"card":                      false,
		"order 1234567890123456":    false, // fails Luhn
		"4111111111111111":          true,
		"4111-1111-1111-1111":       true,
		"4111.1111.1111.1111":       true,
		"4111 1111 1111 1111 12/29": true,
		"x4111111111111111y":        true,
		"3782 822463 10005":         true, // 15 digits
		"4222222222222":             true, // 13 digits
		"6011000990139424 000":      true, // with its code after it
		"４１１１１１１１１１１１１１１１":               true,  // full width
		"4111–1111–1111–1111":            true,  // dashes
		"411111111111":                   false, // 12 digits
		"call 4111 of 1111 on 1111 1111": false,
	}
	for reason, card := range tests {
		d := dispatch.New(dispatch.Options{})
		r := pause(1)
		r.Reason = reason
		if _, _, err := d.Announce(t.Context(), bill, r); (err != nil) != card {
			t.Errorf("%q: %v", reason, err)
		}
		d.Close()
	}
}

func TestAnAnnouncementThatWasKeptTakesItsPlace(t *testing.T) {
	d := dispatch.New(dispatch.Options{})
	defer d.Close()
	announce(t, d, resume(1))
	kept := pause(2)
	kept.RequestedAt = time.Now().Add(-time.Minute).Format(time.RFC3339Nano)
	a := announce(t, d, kept)
	if s := d.Snapshot(bill); s.Attempt.ID != id(1) || s.State != recording.Resuming || len(s.Holds) != 0 {
		t.Errorf("the older pause counts as the newest: %+v", s)
	}
	if time.Since(a.RequestedAt) < 59*time.Second {
		t.Errorf("requested at %v", a.RequestedAt)
	}
	ahead := pause(3)
	ahead.RequestedAt = time.Now().Add(time.Minute).Format(time.RFC3339Nano)
	if a := announce(t, d, ahead); a.RequestedAt.After(time.Now()) {
		t.Errorf("a clock that runs ahead was believed: %v", a.RequestedAt)
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		d := dispatch.New(dispatch.Options{Journal: log})
		set := func(call string, event dispatch.CallEvent) {
			t.Helper()
			if err := d.SetCall(t.Context(), bill, call, event); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		set("c1", dispatch.CallStarted)
		if a := announce(t, d, pause(1)); a.Call != "c1" {
			t.Errorf("call %q", a.Call)
		}
		set("c9", dispatch.CallEnded) // another one
		if s := d.Snapshot(bill); s.State != recording.Pausing || s.Call != "c1" {
			t.Errorf("after another call's end: %q %q", s.State, s.Call)
		}
		set("c1", dispatch.CallEnded)
		if s := d.Snapshot(bill); s.State != recording.Idle || len(s.Holds) != 0 || s.Call != "" {
			t.Errorf("after its end: %q %v %q", s.State, s.Holds, s.Call)
		}
		var invalid dispatch.InvalidError
		if err := d.SetCall(t.Context(), bill, "c1", "held"); !errors.As(err, &invalid) {
			t.Errorf("an unknown event: %v", err)
		}
		if err := d.SetCall(t.Context(), bill, "", dispatch.CallEnded); !errors.As(err, &invalid) {
			t.Errorf("no call: %v", err)
		}
		d.Close()
		got := log.written()
		slices.Sort(got)
		if !slices.Equal(got, []string{"begin pause 1", "complete unknown 1", "ended c1", "ended c9", "started c1"}) {
			t.Errorf("written %q", got)
		}
	})
}

func TestWatchersHearEverythingAndASlowOneHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New(dispatch.Options{})
		slow, quick := d.Watch(bill, 0), d.Watch(bill, 0)
		heard := 0
		var reading sync.WaitGroup
		reading.Go(func() {
			for range quick.Events() {
				heard++
			}
		})
		for n := range 200 {
			announce(t, d, pause(n))
			synctest.Wait()
		}
		quick.Stop()
		reading.Wait()
		if heard != 1+2*200 {
			t.Errorf("%d events", heard)
		}
		first, n := <-slow.Events(), 1
		if first.State == nil || first.State.Attempt != nil {
			t.Errorf("the first event: %+v", first)
		}
		for range slow.Events() { // ends, because it was dropped
			n++
		}
		if n > 128 {
			t.Errorf("%d events were held for a reader that doesn't read", n)
		}
		slow.Stop() // twice is no harm
		d.Close()
	})
}

func TestWhoComesBackHearsWhatItMissed(t *testing.T) {
	d := dispatch.New(dispatch.Options{})
	w := d.Watch(bill, 0)
	<-w.Events()
	announce(t, d, pause(1))
	last := (<-w.Events()).Seq
	w.Stop()
	announce(t, d, pause(2))
	back := d.Watch(bill, last)
	if e := <-back.Events(); e.State == nil || e.State.Attempt.ID != id(2) {
		t.Errorf("first: %+v", e)
	}
	if e := <-back.Events(); e.Attempt == nil || e.Attempt.ID != id(2) {
		t.Errorf("then: %+v", e)
	}
	d.Close()
	if _, ok := <-back.Events(); ok {
		t.Error("the stream outlives the dispatcher")
	}
	if _, ok := <-d.Watch(bill, 0).Events(); ok {
		t.Error("a stream of a closed dispatcher")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New(dispatch.Options{})
		for n := range 1000 { // nothing is ever heard of them, and all within their deadline
			announce(t, d, pause(n))
		}
		if n := len(d.Attempts(bill, 1<<20)); n > 256+64 {
			t.Errorf("%d attempts are kept", n)
		}
		if s := d.Snapshot(bill); s.State != recording.Pausing {
			t.Errorf("state %q", s.State)
		}
		var watchers []*dispatch.Watcher
		for range 200 {
			watchers = append(watchers, d.Watch(bill, 0))
		}
		open := 0
		for _, w := range watchers {
			<-w.Events()
			select {
			case _, ok := <-w.Events():
				if ok {
					t.Error("an event out of nothing")
				}
			default:
				open++
			}
		}
		if open > 128 {
			t.Errorf("%d streams are open", open)
		}
		d.Close()
	})
}

func TestAReasonIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	d := dispatch.New(dispatch.Options{Journal: &journal{beginErr: errors.New("disk full")}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer d.Close()
	for _, reason := range []string{"canary reason", "4111111111111111"} {
		r := pause(1)
		r.Reason = reason
		d.Announce(t.Context(), bill, r)
	}
	if text := log.String(); text == "" || strings.Contains(text, "canary") || strings.Contains(text, "4111111111111111") {
		t.Errorf("the log: %s", text)
	}
}

func FuzzAnnounce(f *testing.F) {
	f.Add(id(1), "pause", "iframe", "hand", "card", "c1", "")
	f.Add(id(1), "resume", "popup", "trigger:card-field", "4111 1111 1111 1111", "", "2026-11-21T09:00:00Z")
	f.Fuzz(func(t *testing.T, id, action, transport, origin, reason, call, at string) {
		d := dispatch.New(dispatch.Options{})
		defer d.Close()
		request := dispatch.Request{ID: id, Action: recording.Action(action), Transport: recording.Transport(transport), Origin: recording.Origin(origin),
			Reason: reason, Call: call, RequestedAt: at}
		a, _, err := d.Announce(t.Context(), bill, request)
		if err != nil {
			var invalid dispatch.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, fresh, err := d.Announce(t.Context(), bill, request); err != nil || fresh || again.ID != a.ID {
			t.Fatalf("again: %v %v", fresh, err)
		}
		if a.RequestedAt.After(time.Now()) || len(a.Reason) > 200 || d.Snapshot(bill).State.OffTape() {
			t.Fatalf("%+v", a)
		}
	})
}
