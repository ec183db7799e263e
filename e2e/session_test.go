package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/browser"
	"offrecord/e2e/sim/agui"
)

// row is one way in which a pause can go: a browser's cookie world, a platform's cookie, a transport, and what goes wrong.
type row struct {
	name  string
	world browser.Cookies
	desk  *desk
	// before is done at the platform before the press.
	before func(*desk)
	// silent is whether the tape has to fall silent; the ledger says whether it did.
	silent bool
	// shown is the outcome that the panel has to show, and resumed that of the resume afterwards, when what went wrong is over.
	shown, resumed recording.Outcome
	// old makes the platform's cookie three minutes old.
	old bool
}

// rows is the matrix: every cookie world, cookie, transport and method as things are when all is well, then every fault in
// each world's own transport.
func rows() []row {
	var all []row
	add := func(r row) {
		r.desk.name = fmt.Sprintf("row%02d", len(all)+1)
		if r.shown == recording.Unknown && r.resumed == recording.Unknown {
			r.desk.attempt = "1s" // what stays open stays so until then
		}
		all = append(all, r)
	}
	for _, world := range browser.Worlds() {
		for _, cookie := range []struct {
			name string
			mode http.SameSite
		}{{"none", http.SameSiteNoneMode}, {"lax", http.SameSiteLaxMode}, {"unset", http.SameSiteDefaultMode}} {
			other := recording.TransportPopup // that auto doesn't choose
			if world == browser.ThirdPartyBlocked {
				other = recording.TransportIframe
			}
			for _, way := range []struct {
				transport recording.Transport
				method    string
			}{{recording.TransportAuto, "GET"}, {recording.TransportAuto, "POST"}, {other, "GET"}, {other, "POST"}} {
				r := row{name: fmt.Sprintf("%s, cookie %s, %s %s", world, cookie.name, way.transport, way.method), world: world,
					desk: &desk{sameSite: cookie.mode, transport: way.transport, method: way.method}}
				switch {
				case way.transport == recording.TransportIframe || way.transport == recording.TransportAuto && world == browser.ThirdPartyAllowed:
					// A hidden frame carries only a SameSite=None cookie, and none where third-party cookies are blocked.
					r.silent, r.shown = cookie.mode == http.SameSiteNoneMode && world == browser.ThirdPartyAllowed, recording.Sent
				case way.method == http.MethodPost && cookie.mode == http.SameSiteLaxMode:
					// A cross-site POST doesn't carry a Lax cookie, so the platform's refusal stays on the screen.
					r.silent, r.shown = false, recording.Unknown
				default:
					r.silent, r.shown = true, recording.Accepted
				}
				r.resumed = r.shown
				add(r)
			}
		}
		// A cookie without SameSite goes with a cross-site POST for its first two minutes only.
		add(row{name: fmt.Sprintf("%s, cookie unset, %s POST, three minutes later", world, recording.TransportPopup), world: world, old: true,
			desk:   &desk{sameSite: http.SameSiteDefaultMode, transport: recording.TransportPopup, method: http.MethodPost},
			silent: false, shown: recording.Unknown, resumed: recording.Unknown})
		ok, refused := recording.Sent, recording.Sent
		if world == browser.ThirdPartyBlocked {
			ok, refused = recording.Accepted, recording.Unknown
		}
		fault := func(f agui.Fault) func(*desk) {
			return func(d *desk) { d.sim.SetFault(recording.RouteSession, d.agent(), f) }
		}
		for _, f := range []struct {
			name   string
			before func(*desk)
			silent bool
			shown  recording.Outcome
		}{
			{"success, but still recording", fault(agui.Fault{Pretend: true}), false, ok},
			{"slow", fault(agui.Fault{Before: 700 * time.Millisecond}), true, ok},
			{"slow to answer", fault(agui.Fault{After: 700 * time.Millisecond}), true, ok},
			// Nothing may be concluded: a frame's load fires all the same, a window shows the browser's error page.
			{"dropped before acting", fault(agui.Fault{Drop: agui.DropBefore}), false, refused},
			{"dropped after acting", fault(agui.Fault{Drop: agui.DropAfter}), true, refused},
			{"204", fault(agui.Fault{Status: http.StatusNoContent}), true, recording.Unknown},
			{"cross-origin opener policy", fault(agui.Fault{COOP: true}), true, ok},
			{"to the log-in page", fault(agui.Fault{Status: http.StatusFound}), false, refused},
			{"500", fault(agui.Fault{Status: http.StatusInternalServerError}), false, refused},
			{"500, but it worked", fault(agui.Fault{Status: http.StatusInternalServerError, ActAnyway: true}), true, refused},
			{"expired session", func(d *desk) { d.sim.Expire(d.agent()) }, false, refused},
			{"no call", func(d *desk) { d.sim.EndCall(d.agent()) }, true, ok}, // without a call, nothing is on a tape
			{"a call that isn't recorded", func(d *desk) { d.sim.EndCall(d.agent()); d.sim.Record(d.agent(), false); d.sim.StartCall(d.agent()) }, true, ok},
		} {
			resumed := ok // by then all is well
			if f.name == "expired session" {
				resumed = refused
			}
			add(row{name: fmt.Sprintf("%s, %s", world, f.name), world: world, desk: &desk{}, before: f.before, silent: f.silent, shown: f.shown, resumed: resumed})
		}
	}
	return all
}

// TestTheMatrix runs a pause and a resume through every row, and holds all that the panel showed against the ledger. Its
// count of false claims is what this project is for.
func TestTheMatrix(t *testing.T) {
	all := rows()
	var desks []*desk
	for _, r := range all {
		desks = append(desks, r.desk)
	}
	s := newStage(t, desks...)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\tpause shown\ttape\tresume shown\ttape\tclaims\tfalse")
	results := make([]result, len(all))
	t.Run("rows", func(t *testing.T) {
		for _, world := range browser.Worlds() { // side by side: most of a row is waiting
			t.Run(world.String(), func(t *testing.T) {
				t.Parallel()
				b := browser.Launch(t, s.net, world)
				s.logIn(t, b.Tab(t), all[0].desk) // the log-in page finds out which world this is
				for i, r := range all {
					if r.world == world {
						t.Run(r.name, func(t *testing.T) { results[i] = s.row(t, b, r) })
					}
				}
			})
		}
	})
	claims, lies := 0, 0
	for i, r := range all {
		x := results[i]
		claims, lies = claims+x.claims, lies+x.lies
		if x.resumed == "" {
			fmt.Fprintf(w, "%s\tFAILED\n", r.name)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", r.name, x.paused, tape(x.silentAfterPause), x.resumed, tape(x.silentAfterResume), x.claims, x.lies)
	}
	w.Flush()
	t.Logf("the panel against the ledger, %d rows:\n%s", len(all), &table)
	t.Logf("%d claims were looked at; \"confirmed\" or \"paused\" shown while the ledger says recording: %d", claims, lies)
	if claims < 3*len(all) {
		t.Errorf("only %d claims were seen: the watch doesn't work", claims)
	}
}

// result is what a row came to.
type result struct {
	paused, resumed                     recording.Outcome
	silentAfterPause, silentAfterResume bool
	claims, lies                        int
}

// row runs one row in a browser of its world, which has no other row at the time.
func (s *stage) row(t *testing.T, b *browser.Browser, r row) (x result) {
	d := r.desk
	if r.old {
		b = s.later(t, r)
	}
	tab := b.Tab(t)
	allowPlatformNoise(tab)
	if !r.old {
		d.signIn(t, tab)
	}
	s.enter(t, tab, d)
	seen := s.watch(t, tab, d)
	tab.Open(s.url + "/")
	tab.Wait(`html[data-program=running]`)
	tab.Wait(`.readiness:not(.checking)`)
	if r.before != nil {
		r.before(d)
	}

	tab.Click("button", "Pause recording")
	x.paused = recording.Outcome(tab.WaitOutcome(decided...))
	if x.paused != r.shown {
		t.Errorf("the pause is shown as %q, want %q", x.paused, r.shown)
	}
	if r.silent {
		d.await(t, "the pause", func() bool { return !d.sim.Recording(d.agent()) })
	} else if !d.sim.Recording(d.agent()) {
		t.Error("the tape fell silent, which this row says it can't")
	}
	x.silentAfterPause = !d.sim.Recording(d.agent())
	if headline := tab.Text(".headline"); x.paused != recording.Confirmed && !strings.Contains(tab.Text("[data-state]"), "Do not take the card yet") {
		t.Errorf("%q isn't followed by what to do", headline)
	}

	d.sim.SetFault(recording.RouteSession, d.agent(), agui.Fault{})
	before := len(d.controls())
	tab.Click("button", "Resume recording")
	d.await(t, "the resume's arrival", func() bool { return len(d.controls()) > before })
	tab.Until(`document.querySelector('.attempt .action').innerText === 'Resume'`)
	resumed := recording.Outcome(tab.WaitOutcome(decided...))
	if resumed != r.resumed {
		t.Errorf("the resume is shown as %q, want %q", resumed, r.resumed)
	}
	if slices.ContainsFunc(d.sim.Effects(d.agent()), func(e agui.Effect) bool { return e.Kind == agui.Paused }) {
		d.await(t, "the resume", func() bool { return d.sim.Recording(d.agent()) })
	}
	x.resumed, x.claims, x.lies, x.silentAfterResume = resumed, len(seen.claims()), len(seen.lies()), !d.sim.Recording(d.agent())
	return x
}

// later is a browser in which the agent signed in to the platform three minutes ago.
func (s *stage) later(t *testing.T, r row) *browser.Browser {
	t.Helper()
	profile := t.TempDir()
	b := browser.Launch(t, s.net, r.world, browser.Profile(profile))
	cookie := r.desk.sim.Login(r.desk.agent())
	cookie.MaxAge = 3600 // only such a one is written down
	b.Tab(t).SetCookie(r.desk.url, cookie)
	b.Close()
	ageCookies(t, profile, 1, 3*time.Minute)
	r.desk.sim.StartCall(r.desk.agent())
	return browser.Launch(t, s.net, r.world, browser.Profile(profile))
}

// decided are the outcomes of an attempt that is over.
var decided = []string{"confirmed", "accepted", "sent", "no_call", "not_enabled", "locked", "denied", "not_found", "failed", "unknown", "superseded"}

func tape(silent bool) string {
	if silent {
		return "silent"
	}
	return "recording"
}

// allowPlatformNoise declares what the platform's own pages make a browser write to its console: its policy forbids being
// framed, and its refusals are error statuses.
func allowPlatformNoise(tab *browser.Tab) {
	tab.Allow(`frame-ancestors 'self'`)
	tab.Allow(platformName + `.*(favicon|controlRecording|login)`)
	tab.Allow(`Failed to load resource.*(` + platformName + `|chrome-error:)`)
}
