package site_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// said is a message to one of our pages, as testdata/messages.js takes it.
type said struct {
	Page   string `json:"page"`   // widget, popup, frame, here, loader
	From   string `json:"from"`   // the window: parent, opener, opened, other
	Origin string `json:"origin"` // as the browser says it
	Data   string `json:"data"`   // JSON; CHALLENGE in it is the page's own
}

// made is what the page made of it.
type made struct {
	Requests []struct{ Method, Origin, Path, Query, Body string }
	Commands []struct {
		Action, Origin any
		Reason         any
	}
	Messages  []struct{ To, Origin, Text string }
	Known     bool   // it came from the window, and the origin, that may speak to the page
	Challenge string // the page's own
	Moved     []string
	Thrown    string
}

// scripts runs the pages' scripts.
func scripts(t testing.TB) func(said) made {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the pages' scripts are run by Node: install it (make needs does)")
	}
	command := exec.CommandContext(t.Context(), node, "testdata/messages.js")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		command.Wait() // it ends with what it reads
	})
	lines := bufio.NewReader(out)
	return func(s said) (m made) {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
		answer, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(answer, &m)
		}
		if err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		return m
	}
}

const (
	home     = "https://offrecord.example"
	crm      = "https://crm.example"
	vcc      = "https://vcc.platform.example"
	anID     = `"22222222-2222-4222-8222-222222222222"`
	envelope = `{"source":"offrecord","v":1,"id":"x","type":`
)

// messages are what the pages are told, and what somebody could try instead.
var messages = []said{
	{"widget", "parent", crm, envelope + `"hello","payload":{"theme":{"ground":"#fff","ink":"url(//evil.example)","--x":"red"}}}`},
	{"widget", "parent", crm, envelope + `"pause","payload":{"trigger":"field.ab12","reason":"card"}}`},
	{"widget", "parent", crm, envelope + `"resume","payload":{"trigger":"field.ab12","reason":""}}`},
	{"widget", "parent", crm, envelope + `"resume","payload":{"trigger":"../hand"}}`},
	{"widget", "parent", crm, envelope + `"resume","payload":{"trigger":{"toString":1},"reason":[]}}`},
	{"widget", "parent", crm, envelope + `"window","payload":{"id":` + anID + `,"action":"pause","trigger":"x.1","seen":"closed","after":80}}`},
	{"widget", "parent", crm, envelope + `"window","payload":{"id":` + anID + `,"action":"pause","trigger":"x.1","seen":"blocked","after":8}}`},
	{"widget", "parent", crm, envelope + `"window","payload":{"id":"../../../native/resume#","action":"resume","trigger":"x","seen":"closed","after":1}}`},
	{"widget", "parent", crm, envelope + `"window","payload":{"id":"../../../native/attest?","action":"pause","trigger":"x","seen":"blocked","after":1}}`},
	{"widget", "parent", crm, envelope + `"window","payload":{"id":` + anID + `,"action":"pause","trigger":"x","seen":"__proto__","after":1}}`},
	{"widget", "parent", crm, envelope + `"identify","payload":{"token":"a.eyJzdWIiOiJqb0BhY21lLmV4YW1wbGUifQ.c"}}`},
	{"widget", "parent", crm, envelope + `"call","payload":{"call":"c-1","event":"ended","agent":"jo@acme.example"}}`},
	{"widget", "parent", crm, envelope + `"ready"}`},
	{"widget", "parent", crm, envelope + `"guard","payload":{"shut":true}}`},
	{"widget", "parent", crm, envelope + `"constructor","payload":{}}`},
	{"widget", "parent", crm, envelope + `["pause"],"payload":{"trigger":"x"}}`},
	{"widget", "parent", crm, `null`},
	{"widget", "parent", crm, `"pause"`},
	{"widget", "parent", "https://other.example", envelope + `"pause","payload":{"trigger":"x"}}`}, // may frame us, and doesn't
	{"widget", "parent", "https://crm.example.evil.example", envelope + `"pause","payload":{"trigger":"x"}}`},
	{"widget", "parent", "null", envelope + `"pause","payload":{"trigger":"x"}}`},
	{"widget", "other", crm, envelope + `"pause","payload":{"trigger":"x"}}`}, // a frame beside ours
	{"popup", "opener", home, `{"offrecord":"mine","challenge":"` + strings.Repeat("A", 43) + `","page":"https://crm.example"}`},
	{"popup", "opener", home, `{"offrecord":"mine","challenge":"` + strings.Repeat("B", 43) + `","page":"https://crm.example"}`},
	{"popup", "opener", "https://evil.example", `{"offrecord":"mine","challenge":"` + strings.Repeat("A", 43) + `"}`},
	{"popup", "other", home, `{"offrecord":"mine","challenge":"` + strings.Repeat("A", 43) + `"}`},
	{"frame", "opened", home, `{"offrecord":"whose","challenge":"CHALLENGE"}`},
	{"frame", "opened", home, `{"offrecord":"whose","challenge":"` + strings.Repeat("A", 43) + `"}`},
	{"frame", "opened", "https://evil.example", `{"offrecord":"whose","challenge":"CHALLENGE"}`},
	{"here", "opener", vcc, `{"source":"offrecord","id":"who","type":"here"}`},
	{"here", "opener", vcc, `{"source":"offrecord","id":"who","type":"seen","status":200}`},
	{"here", "opener", "https://evil.example", `{"source":"offrecord","id":"who","type":"here"}`},
	{"loader", "opened", home, envelope + `"hello","payload":{"signed_in":true}}`},
	{"loader", "opened", home, envelope + `"status","payload":{"state":"paused","outcome":"confirmed","live":true,"held":1}}`},
	{"loader", "opened", crm, envelope + `"hello","payload":{}}`},
	{"loader", "other", home, envelope + `"hello","payload":{}}`},
	{"here", "other", vcc, `{"source":"offrecord","id":"who","type":"here"}`},
}

var (
	// A page that frames the widget may have it ask for these, and for nothing else.
	widgetAsks = regexp.MustCompile(`^(POST /api/v1/(login/embed|calls|attempts|attempts/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/outcome)|GET /api/v1/(me|links)|(GET|POST) /widget/session|GET /widget)$`)
	aTrigger   = regexp.MustCompile(`^trigger:[\w.-]{1,64}$`)
)

// judge says what is wrong with what a page made of a message.
func judge(s said, m made) (wrong []string) {
	var data any
	json.Unmarshal([]byte(s.Data), &data)
	plain, _ := json.Marshal(data) // without escapes
	knows := strings.Contains(string(plain), m.Challenge) || strings.Contains(string(plain), "CHALLENGE")
	not := func(is bool, what string) {
		if is {
			wrong = append(wrong, what)
		}
	}
	not(m.Thrown != "", m.Thrown)
	not(len(m.Moved) > 0, "it changed what every object has")
	not(!m.Known && len(m.Requests)+len(m.Commands)+len(m.Messages) > 0, "a stranger was listened to")
	for _, c := range m.Commands {
		action, _ := c.Action.(string)
		origin, _ := c.Origin.(string)
		_, isText := c.Reason.(string)
		not(s.Page != "widget" || action != "pause" && action != "resume" || !aTrigger.MatchString(origin) || !isText, "the program was asked for something else than a trigger's pause or resume")
	}
	for _, r := range m.Requests {
		var body struct {
			Outcome, Origin, Page string
			Proven                bool
		}
		json.Unmarshal([]byte(r.Body), &body) // of another kind, it says nothing of these
		not(r.Origin != home, "another origin was asked: "+r.Origin)
		not(slices.Contains([]string{"confirmed", "attested"}, body.Outcome), "an outcome of the platform's, or of the agent's, was made up: "+r.Body)
		switch s.Page {
		case "widget":
			not(!widgetAsks.MatchString(r.Method+" "+r.Path), "asked for "+r.Method+" "+r.Path)
			not(body.Origin != "" && !aTrigger.MatchString(body.Origin), "on behalf of "+body.Origin)
		case "popup":
			not(r.Path != "/login/popup", "asked for "+r.Path)
			not(body.Proven && !knows, "a window that is nobody's was called the frame's")
		case "frame":
			not(true, "a sign-in's window made the frame ask for "+r.Path)
		case "loader":
			not(true, "it runs in another company's page, and asked for "+r.Path)
		case "here":
			not(!strings.HasPrefix(r.Path, "/api/v1/attempts") && r.Path != "/act/said" && r.Path != "/api/v1/route", "asked for "+r.Path)
		}
	}
	for _, x := range m.Messages {
		want := map[string]said{"widget": {From: "parent", Origin: crm}, "popup": {From: "opener", Origin: home}, "frame": {From: "opened", Origin: home}, "here": {From: "opener", Origin: vcc}, "loader": {From: "opened", Origin: home}}[s.Page]
		not(x.To != want.From || x.Origin != want.Origin, "it told "+x.To+" at "+x.Origin)
		not(s.Page != "here" && strings.Contains(x.Text, "canary"), "it told the token")
		not(s.Page == "frame" && !knows, "it knew a challenge that isn't its own")
	}
	return wrong
}

// TestMessages: what each page makes of what it is told.
func TestMessages(t *testing.T) {
	run := scripts(t)
	heard, unheard := 0, 0
	for _, s := range messages {
		m := run(s)
		for _, wrong := range judge(s, m) {
			t.Errorf("%s from %s at %s: %s\n%s", s.Page, s.From, s.Origin, wrong, s.Data)
		}
		if len(m.Requests)+len(m.Commands)+len(m.Messages) > 0 {
			heard++
		} else {
			unheard++
		}
		t.Logf("%-6s %-6s %-34s %s: %d requests, %d commands, %d messages", s.Page, s.From, s.Origin, s.Data, len(m.Requests), len(m.Commands), len(m.Messages))
	}
	if heard < 8 || unheard < 8 {
		t.Errorf("%d were answered and %d not: this looks at little", heard, unheard)
	}
}

// FuzzMessages tells the pages' scripts anything, from anywhere.
func FuzzMessages(f *testing.F) {
	for _, s := range messages {
		f.Add(s.Page, s.From, s.Origin, s.Data)
	}
	run := scripts(f)
	f.Fuzz(func(t *testing.T, page, from, origin, data string) {
		if !slices.Contains([]string{"widget", "popup", "frame", "here", "loader"}, page) || !slices.Contains([]string{"parent", "opener", "opened", "other"}, from) {
			return
		}
		if !json.Valid([]byte(data)) {
			text, _ := json.Marshal(data)
			data = string(text)
		}
		s := said{page, from, origin, data}
		for _, wrong := range judge(s, run(s)) {
			t.Error(wrong)
		}
	})
}
