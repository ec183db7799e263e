package agui

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"time"

	"offrecord/app/recording"
	"offrecord/e2e/sim/ledger"
)

//go:embed page
var files embed.FS

func parsePages() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.Format("15:04:05") },
		"span":  span,
	}).ParseFS(files, "page/*.html"))
}

type message struct {
	Title, Text string
	Status      int
}

type loginView struct {
	Agents      []Agent
	CallAtLogin bool
	Error       string
}

// deskView is the workspace page.
type deskView struct {
	Agent    Agent
	Tape     string // recording, silent, unrecorded or none: the page's data-tape
	Since    time.Time
	Now      time.Time
	Call     *Call      // with the end of its tape
	Silences []Interval // the newest, oldest first
	Earlier  int        // silences before these
	Records  bool
	Requests []row
	Fault    string // the chosen preset; empty if a test set another
	Faults   []preset
	PanelURL string
}

// row is a request that asked something of the tape, for a person.
type row struct {
	At     time.Time
	Action recording.Action
	Via    string
	Answer string
	Effect string
}

// fragment writes a template as it is.
func (s *Simulator) fragment(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// page writes a page of the simulator's own.
func (s *Simulator) page(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
		"img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'")
	s.fragment(w, status, name, data)
}

func (s *Simulator) workspace(w http.ResponseWriter, r *http.Request) {
	agent := s.agentOf(r)
	if agent == "" {
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
		return
	}
	s.page(w, http.StatusOK, "workspace", s.view(agent))
}

// listed is how many requests, and how many silences, the page has room for.
const listed = 6

// view is what the agent's page shows now.
func (s *Simulator) view(agent string) deskView {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.desk(agent)
	v := deskView{Agent: d.agent, Tape: "none", Now: time.Now(), Records: !d.plain, PanelURL: s.config.PanelURL, Faults: presets()}
	for _, p := range v.Faults {
		if p.Fault == s.faults[faultKey{recording.RouteSession, agent}] {
			v.Fault = p.Name
		}
	}
	if c := d.active(); c != nil {
		call := *c
		call.Tape = ledger.Drawn(c.Tape, func(i Interval) time.Time { return i.To }, v.Now)
		v.Call, v.Since, v.Tape = &call, call.Started, "unrecorded"
		if call.Recorded {
			last := call.Tape[len(call.Tape)-1]
			v.Since, v.Tape = last.From, "recording"
			if last.Silent {
				v.Tape = "silent"
			}
		}
		for _, i := range slices.Backward(c.Tape) {
			switch {
			case !i.Silent:
			case len(v.Silences) < listed:
				v.Silences = append(v.Silences, i)
			default:
				v.Earlier++
			}
		}
		slices.Reverse(v.Silences)
	}
	v.Requests = s.rows(agent)
	return v
}

// rows returns the last requests that asked something of the agent's tape, or came without a session, newest first. The
// lock is held.
func (s *Simulator) rows(agent string) []row {
	requests, did := s.Newest(listed, func(r Request) bool { return r.Action != "" && (r.Agent == "" || r.Agent == agent) }, func(r Request) int { return r.Seq })
	var rows []row
	for i, r := range requests {
		w := row{At: r.At, Action: r.Action, Via: string(r.Via()), Answer: fmt.Sprint(r.Status), Effect: "no change"}
		switch {
		case r.Path == "/AGUI/desk":
			w.Via, w.Answer = "this page", ""
		case r.Method == http.MethodPut:
			w.Via = "server"
		case r.Via() == ViaOther:
			w.Via = "no browser"
		}
		switch {
		case r.Answered.IsZero():
			w.Answer = "…"
		case r.Dropped:
			w.Answer = "dropped"
		case r.Status == http.StatusUnauthorized && !r.Cookie:
			w.Answer = "401, no cookie"
		}
		switch did[i] {
		case Paused:
			w.Effect = "tape silent"
		case Resumed:
			w.Effect = "tape running"
		}
		rows = append(rows, w)
	}
	return rows
}

// live is an event of the page's stream.
type live struct {
	Tape    string     `json:"tape"`
	Now     time.Time  `json:"now"`
	Since   time.Time  `json:"since"`
	Started *time.Time `json:"started"`
	Track   []Interval `json:"track"`
	Records bool       `json:"records"`
	Fault   string     `json:"fault"`
	Call    string     `json:"call"`
	HTML    string     `json:"html"` // the template live
	Log     string     `json:"log"`  // the template log
}

// events streams the agent's desk, at once and after every change.
func (s *Simulator) events(w http.ResponseWriter, r *http.Request) {
	agent := s.agentOf(r)
	if agent == "" {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	var last []byte
	for {
		changed := s.Changed()
		if s.agentOf(r) == "" {
			io.WriteString(w, "event: expired\ndata: {}\n\n")
			return // the page says so and doesn't come back
		}
		v := s.view(agent)
		var html, log bytes.Buffer
		if s.pages.ExecuteTemplate(&html, "live", v) != nil || s.pages.ExecuteTemplate(&log, "log", v) != nil {
			return
		}
		e := live{Tape: v.Tape, Since: v.Since, Records: v.Records, Fault: v.Fault, HTML: html.String(), Log: log.String()}
		if v.Call != nil {
			e.Call, e.Started, e.Track = v.Call.ID, &v.Call.Started, v.Call.Tape
		}
		now, err := json.Marshal(e)
		if err != nil {
			return
		}
		if !bytes.Equal(now, last) {
			last = now
			e.Now = v.Now
			data, err := json.Marshal(e)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "event: desk\ndata: %s\n\n", data); err != nil || stream.Flush() != nil {
				return
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
}

// span is a duration as m:ss.
func span(from, to time.Time) string {
	seconds := int(to.Sub(from) / time.Second)
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// built is when the static files last changed, as far as a browser is told: long ago, so that it caches them by heuristics
// as it does an ordinary server's. A companion that means to open a connection with /favicon.ico has to know that.
var built = time.Date(2024, 3, 25, 0, 0, 0, 0, time.UTC)

func asset(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, files, "page/"+name)
	}
}

func favicon(w http.ResponseWriter, r *http.Request) {
	data, err := files.ReadFile("page/favicon.svg")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	http.ServeContent(w, r, "", built, bytes.NewReader(data))
}
