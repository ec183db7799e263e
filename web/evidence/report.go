package evidence

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"offrecord/web/audit"
	"offrecord/web/secret"
)

// Report is the evidence of a period, for people who weren't there. Times on tapes are in milliseconds from their beginning,
// levels in dBFS over 10 ms, where 0 is the power of a square wave at full scale.
type Report struct {
	Kind      string           `json:"kind"` // reportKind
	Version   int              `json:"version"`
	From      time.Time        `json:"from"`
	To        time.Time        `json:"to"` // not included
	MadeAt    time.Time        `json:"made_at"`
	MadeBy    string           `json:"made_by,omitempty"`
	Program   string           `json:"program"` // its version
	Screen    string           `json:"screen"`  // screen recordings aren't looked at
	Platforms []ReportPlatform `json:"platforms"`
	Verdicts  map[Verdict]int  `json:"verdicts"`
	Method    []string         `json:"method"`
	Items     []View           `json:"items"`
	// Key is the log's public key. One that was kept elsewhere is what shows that the report is the log's.
	Key string `json:"key"`
}

// ReportPlatform is an account, and whether its recordings can be checked at all.
type ReportPlatform struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Checkable bool   `json:"checkable"`
	Note      string `json:"note,omitempty"`
}

// reportKind is what a report calls itself.
const reportKind = "offrecord evidence report"

// method says how it was found out. It is part of each report, so that nobody has to look elsewhere.
func method() []string {
	return []string{
		"A pause reaches from its effect to its resume's, by the audit log; where an effect's moment isn't known, its bounds are, and what lies between them isn't judged.",
		fmt.Sprintf("The difference of the two clocks is taken from the tape's own silences and from other recordings of the day, never from more than %.0f s apart; each verdict says how much of it stayed open.", Clocks.Seconds()),
		"Only what lies in the pause whatever the clocks is judged (\"checked\"). A platform whose pauses all come late by the same time can't be told from one whose clock is behind.",
		"A sound counts from 10 dB over the floor on, in each channel, for at least 30 ms. The floor is the pause's own: the noise or silence that lies beneath it, and at least what the codec can tell from nothing.",
		"Steady noise, tones and music aren't speech; where speech could hide beneath them, the pause is not checkable. Everything else counts as something that may have been said; touch tones count as keyed in.",
		"Screen recordings pause too and were not checked.",
	}
}

// View is an item for people and programs outside.
type View struct {
	ID            string         `json:"id"`
	Kind          ItemKind       `json:"kind"`
	Platform      string         `json:"platform"`
	Agent         string         `json:"agent"`
	Call          string         `json:"call,omitempty"`
	At            time.Time      `json:"at"`
	Verdict       Verdict        `json:"verdict"`
	Reason        string         `json:"reason"`
	Pause         string         `json:"pause,omitempty"`     // the attempt that began it
	Certainty     string         `json:"certainty,omitempty"` // its outcome
	From          *Bounds        `json:"from,omitempty"`
	To            *Bounds        `json:"to,omitempty"`
	Recording     *ViewRecording `json:"recording,omitempty"`
	Window        *ViewSpan      `json:"window,omitempty"`
	UncertaintyMS int64          `json:"uncertainty_ms"`
	Checked       *ViewSpan      `json:"checked,omitempty"`
	Channels      []ViewChannel  `json:"channels,omitempty"`
	Sounds        []ViewSound    `json:"sounds,omitempty"`
	Attempts      []ViewAttempt  `json:"attempts,omitempty"`
	Screen        string         `json:"screen"`
	CheckedAt     time.Time      `json:"checked_at"`
	DeletedAt     *time.Time     `json:"deleted_at,omitempty"`
}

// ViewSpan is a stretch of a tape.
type ViewSpan struct {
	FromMS int64 `json:"from_ms"`
	ToMS   int64 `json:"to_ms"`
}

// ViewRecording is a recording without the other side's number.
type ViewRecording struct {
	Name            string    `json:"name"`
	Channel         string    `json:"channel,omitempty"`
	Start           time.Time `json:"start"`
	DurationSeconds int64     `json:"duration_seconds"`
}

// ViewChannel is what a channel's silence is made of.
type ViewChannel struct {
	Ground    string  `json:"ground"`
	Floor     float64 `json:"floor_dbfs"`
	Threshold float64 `json:"threshold_dbfs"`
}

// ViewSound is something heard.
type ViewSound struct {
	ViewSpan
	Channel int     `json:"channel"`
	Kind    string  `json:"kind"`
	Peak    float64 `json:"peak_dbfs"`
	Over    float64 `json:"over_floor_db"`
	Leak    bool    `json:"leak"`
}

// ViewAttempt is an attempt of the log.
type ViewAttempt struct {
	ID          string     `json:"id"`
	Seq         int64      `json:"seq"` // its record in the log
	Action      string     `json:"action"`
	Origin      string     `json:"origin"`
	Outcome     string     `json:"outcome"`
	RequestedAt time.Time  `json:"requested_at"`
	DecidedAt   *time.Time `json:"decided_at,omitempty"`
}

// View is the item as it is shown outside.
func (i Item) View() View {
	v := View{ID: i.ID, Kind: i.Kind, Platform: i.Platform, Agent: i.Agent, Call: i.Call, At: i.At.UTC(), Verdict: i.Verdict, Reason: i.Reason, Certainty: string(i.Certainty),
		UncertaintyMS: i.Uncertainty.Milliseconds(), Screen: "not checked", CheckedAt: i.CheckedAt.UTC()}
	if i.Kind == OfWindow {
		v.Pause, v.From = i.Subject, utc(i.From)
		if !i.To.Latest.IsZero() {
			v.To = utc(i.To)
		}
	}
	if r := i.Recording; r.Name != "" {
		v.Recording = &ViewRecording{r.Name, r.Channel, r.Start.UTC(), int64(r.Duration / time.Second)}
	}
	if i.Window.Length() > 0 {
		v.Window = &ViewSpan{i.Window.From.Milliseconds(), i.Window.To.Milliseconds()}
	}
	if i.Checked.Length() > 0 {
		v.Checked = &ViewSpan{i.Checked.From.Milliseconds(), i.Checked.To.Milliseconds()}
	}
	for _, g := range i.Grounds {
		v.Channels = append(v.Channels, ViewChannel{string(g.Kind), g.Floor, g.Threshold})
	}
	for _, s := range i.Sounds {
		v.Sounds = append(v.Sounds, ViewSound{ViewSpan{s.From.Milliseconds(), s.To.Milliseconds()}, s.Channel, string(s.Kind), s.Peak, math.Round(s.Over*10) / 10, s.Leak})
	}
	for _, a := range i.Attempts {
		v.Attempts = append(v.Attempts, ViewAttempt{a.ID, a.Seq, string(a.Action), string(a.Origin), string(a.Outcome), a.RequestedAt.UTC(), a.DecidedAt})
	}
	if !i.DeletedAt.IsZero() {
		v.DeletedAt = &i.DeletedAt
	}
	return v
}

func utc(b Bounds) *Bounds { return &Bounds{b.Earliest.UTC(), b.Latest.UTC()} }

// NewReport makes the report of a period's items.
func NewReport(from, to, now time.Time, by, program string, platforms []ReportPlatform, items []Item) Report {
	r := Report{Kind: reportKind, Version: 1, From: from.UTC(), To: to.UTC(), MadeAt: now.UTC().Truncate(time.Second), MadeBy: by, Program: program, Screen: "not checked",
		Platforms: platforms, Verdicts: map[Verdict]int{}, Method: method(), Items: []View{}}
	for _, x := range items {
		r.Verdicts[x.Verdict]++
		r.Items = append(r.Items, x.View())
	}
	return r
}

// signedReport is a report's JSON as it is handed out. What is signed are the report's very bytes.
type signedReport struct {
	Report    json.RawMessage `json:"report"`
	Signature string          `json:"signature"`
}

// about is what the statements of reports are about.
const (
	aboutJSON = "evidence report, json"
	aboutHTML = "evidence report, html"
)

// JSON is the report, signed with the audit log's key.
func (r Report) JSON(signing secret.String) ([]byte, error) {
	var err error
	if r.Key, err = audit.PublicKey(signing); err != nil {
		return nil, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	signature, err := audit.SignStatement(signing, aboutJSON, body, r.MadeAt)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(signedReport{body, string(signature)})
	return append(out, '\n'), err
}

//go:embed report.html
var reportPage string

// The signature stands at the end of a report's page, as a comment.
const (
	signatureBegins = "\n<!--offrecord-signature\n"
	signatureEnds   = "-->\n"
)

// HTML is the report as a page that stands alone and prints well, signed with the audit log's key.
func (r Report) HTML(signing secret.String) ([]byte, error) {
	var err error
	if r.Key, err = audit.PublicKey(signing); err != nil {
		return nil, err
	}
	page, err := template.New("report").Funcs(words()).Parse(reportPage)
	if err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, r); err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	signature, err := audit.SignStatement(signing, aboutHTML, b.Bytes(), r.MadeAt)
	if err != nil {
		return nil, err
	}
	b.WriteString(signatureBegins)
	b.Write(signature)
	b.WriteString(signatureEnds)
	return b.Bytes(), nil
}

// VerifiedReport is a report that is as it was signed.
type VerifiedReport struct {
	audit.Statement
	Format string // json or html
	// Keyless says that no key was brought along: the report only agrees with itself.
	Keyless bool
	// Report is what it says, of the JSON.
	Report Report
}

// ErrNotReport is a file that isn't a report of evidence.
var ErrNotReport = errors.New("this is neither an evidence report nor an export of the log")

var keyInPage = regexp.MustCompile(`<meta name="offrecord-key" content="([^"]*)">`)

// VerifyReport checks a report's signature with the log's public keys; without any, with the one that it names itself.
func VerifyReport(file []byte, keys ...string) (VerifiedReport, error) {
	v := VerifiedReport{Keyless: len(keys) == 0}
	document, signature, own, about := []byte(nil), []byte(nil), "", ""
	if trimmed := bytes.TrimLeft(file, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("{")) {
		var s signedReport
		if err := json.Unmarshal(file, &s); err != nil || len(s.Report) == 0 || s.Signature == "" {
			return v, ErrNotReport
		}
		if err := json.Unmarshal(s.Report, &v.Report); err != nil || v.Report.Kind != reportKind {
			return v, ErrNotReport
		}
		if v.Report.Version != 1 {
			return v, fmt.Errorf("the report has version %d; this program reads version 1", v.Report.Version)
		}
		v.Format, document, signature, own, about = "json", s.Report, []byte(s.Signature), v.Report.Key, aboutJSON
	} else {
		at := bytes.LastIndex(file, []byte(signatureBegins))
		if at < 0 || !bytes.HasSuffix(file, []byte(signatureEnds)) {
			return v, ErrNotReport
		}
		v.Format, document, about = "html", file[:at], aboutHTML
		signature = bytes.TrimSuffix(file[at+len(signatureBegins):], []byte(signatureEnds))
		if m := keyInPage.FindSubmatch(document); m != nil {
			own = strings.NewReplacer("&#43;", "+", "&amp;", "&").Replace(string(m[1]))
		}
	}
	if v.Keyless {
		keys = []string{own}
	}
	var err error
	if v.Statement, err = audit.OpenStatement(signature, document, keys...); err != nil {
		return v, err
	}
	if v.About != about {
		return v, fmt.Errorf("what is signed is a statement about %q", v.About)
	}
	return v, nil
}

// Titles of the verdicts, for people, in the order in which they are told.
var verdicts = []struct {
	Verdict
	title, sign string
}{
	{Audible, "Audible", "!"},
	{NotCheckable, "Not checkable", "?"},
	{NoRecording, "No recording", "∅"},
	{NoPause, "Card field without a pause", "‼"},
	{Unexplained, "Silence without a pause", "…"},
	{Silent, "Silent", "✓"},
}

// Verdicts are all verdicts, the worst first.
func Verdicts() (all []Verdict) {
	for _, v := range verdicts {
		all = append(all, v.Verdict)
	}
	return all
}

// Title is the verdict in words.
func (v Verdict) Title() string {
	for _, x := range verdicts {
		if x.Verdict == v {
			return x.title
		}
	}
	return string(v)
}

// Sign is a character that tells the verdicts apart without colour.
func (v Verdict) Sign() string {
	for _, x := range verdicts {
		if x.Verdict == v {
			return x.sign
		}
	}
	return "·"
}

// period is a stretch of time for a person: as days, where it is whole ones.
func period(from, to time.Time) string {
	const day = 24 * time.Hour
	if !from.Truncate(day).Equal(from) || !to.Truncate(day).Equal(to) {
		return from.Format("2 January 2006, 15:04") + " to " + to.Format("2 January 2006, 15:04 UTC")
	}
	last := to.Add(-day)
	switch {
	case last.Equal(from):
		return from.Format("2 January 2006")
	case from.Year() != last.Year():
		return from.Format("2 January 2006") + " to " + last.Format("2 January 2006")
	case from.Month() != last.Month():
		return from.Format("2 January") + " to " + last.Format("2 January 2006")
	}
	return from.Format("2") + " to " + last.Format("2 January 2006")
}

// words are what a page needs to say things.
func words() template.FuncMap {
	return template.FuncMap{
		"time":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"clock":  func(ms int64) string { return clock(time.Duration(ms) * time.Millisecond) },
		"millis": func(ms int64) string { return millis(time.Duration(ms) * time.Millisecond) },
		"period": period,
		"inc":    func(i int) int { return i + 1 },
		"all":    Verdicts,
		"leaks": func(sounds []ViewSound) []ViewSound {
			return slices.DeleteFunc(slices.Clone(sounds), func(s ViewSound) bool { return !s.Leak })
		},
		"level":     func(x float64) string { return fmt.Sprintf("%.0f", x) },
		"underline": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
	}
}
