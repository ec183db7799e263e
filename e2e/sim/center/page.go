package center

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"offrecord/e2e/sim/ledger"
)

//go:embed page
var files embed.FS

// Page is what a person sees of a center, under /sim/: the agents' calls with their tapes, what reached the platform and what
// became of it, and the ways to make it misbehave. Tests may use it too:
//
//	GET  /sim/state                                the same as JSON
//	POST /sim/call   do=start|start_internal|end   agent=…
//	POST /sim/record agent=…  on=1|0               whether the agent's next calls are recorded
//	POST /sim/fault  endpoint=…  fault={…}|preset  a Fault as JSON, or a preset's name; none ends it
type Page struct {
	center *Center
	mux    http.ServeMux
}

// Page is the center's page.
func (c *Center) Page() *Page {
	p := &Page{center: c}
	p.mux.HandleFunc("GET /sim/{$}", p.index)
	p.mux.HandleFunc("GET /sim/state", p.state)
	p.mux.HandleFunc("POST /sim/call", p.call)
	p.mux.HandleFunc("POST /sim/record", p.record)
	p.mux.HandleFunc("POST /sim/fault", p.fault)
	for _, name := range []string{"center.css", "center.js"} {
		p.mux.HandleFunc("GET /sim/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, "page/"+name)
		})
	}
	return p
}

// ServeHTTP implements http.Handler. A page of another origin can't change anything.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.NewCrossOriginProtection().Handler(&p.mux).ServeHTTP(w, r)
}

type preset struct {
	Name, Label string
	Fault       Fault
}

func presets() []preset {
	return []preset{
		{"none", "Work as it should", Fault{}},
		{"pretend", "Accept, and do nothing", Fault{Pretend: true}},
		{"slow", "Act, answer 4 s later", Fault{After: 4 * time.Second}},
		{"hang", "Act, never answer", Fault{Hang: true, ActAnyway: true}},
		{"reset", "Reset before acting", Fault{Drop: DropBefore}},
		{"reset-after", "Act, then reset", Fault{Drop: DropAfter}},
		{"error", "Answer 500", Fault{Status: http.StatusInternalServerError}},
		{"locked", "Answer 425 (locked)", Fault{Status: http.StatusTooEarly}},
		{"limited", "Answer 429, retry after 2 s", Fault{Status: http.StatusTooManyRequests, RetryAfter: "2"}},
		{"garbled", "Act, answer nonsense", Fault{Body: BodyGarbled}},
	}
}

func (p *Page) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	t := template.Must(template.ParseFS(files, "page/center.html"))
	c := p.center.config
	t.Execute(w, map[string]any{"Name": c.Name, "Agents": c.Agents, "Endpoints": c.Endpoints, "Presets": presets(), "PanelURL": c.PanelURL})
}

type row struct {
	At     time.Time `json:"at"`
	Agent  string    `json:"agent"`
	Asked  string    `json:"asked"`
	Answer string    `json:"answer"`
	Effect string    `json:"effect"`
}

func (p *Page) state(w http.ResponseWriter, _ *http.Request) {
	type desk struct {
		Agent  string `json:"agent"`
		Call   *Call  `json:"call"`
		Busy   bool   `json:"busy"`
		Record bool   `json:"record"`
	}
	c := p.center
	state := struct {
		Now    time.Time         `json:"now"`
		Desks  []desk            `json:"desks"`
		Faults map[string]string `json:"faults"`
		Rows   []row             `json:"rows"`
	}{Now: time.Now(), Faults: map[string]string{}, Rows: []row{}}
	for _, a := range c.config.Agents {
		d := desk{Agent: a.ID, Record: true}
		if call, ok := c.Live(a.ID); ok {
			call.Tape = ledger.Drawn(call.Tape, func(i Interval) time.Time { return i.To }, state.Now)
			d.Call, d.Busy = &call, c.Busy(call.ID)
		}
		state.Desks = append(state.Desks, d)
	}
	c.mu.Lock()
	for i, a := range c.config.Agents {
		if records, ok := c.records[a.ID]; ok {
			state.Desks[i].Record = records
		}
	}
	for endpoint, f := range c.faults {
		state.Faults[endpoint] = "custom"
		for _, known := range presets() {
			if known.Fault == f {
				state.Faults[endpoint] = known.Name
			}
		}
	}
	requests, did := c.Newest(8, func(r Request) bool { return r.Asked != "" }, func(r Request) int { return r.Seq })
	for i, r := range requests {
		answer := "…"
		switch {
		case r.Dropped:
			answer = "dropped"
		case r.Status != 0:
			answer = fmt.Sprint(r.Status, " ", http.StatusText(r.Status))
		}
		state.Rows = append(state.Rows, row{r.At, r.Agent, r.Asked, answer, string(did[i])})
	}
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(state)
}

func (p *Page) call(w http.ResponseWriter, r *http.Request) {
	agent := r.FormValue("agent")
	if !p.center.Knows(agent) {
		http.Error(w, "no such agent", http.StatusNotFound)
		return
	}
	switch r.FormValue("do") {
	case "start":
		p.center.Start(agent)
	case "start_internal":
		p.center.StartInternal(agent)
	case "end":
		p.center.End(agent)
	default:
		http.Error(w, "do: start, start_internal or end", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *Page) record(w http.ResponseWriter, r *http.Request) {
	if !p.center.Knows(r.FormValue("agent")) {
		http.Error(w, "no such agent", http.StatusNotFound)
		return
	}
	p.center.Record(r.FormValue("agent"), r.FormValue("on") == "1")
	w.WriteHeader(http.StatusNoContent)
}

func (p *Page) fault(w http.ResponseWriter, r *http.Request) {
	value := r.FormValue("fault")
	for _, known := range presets() {
		if known.Name == value {
			p.center.SetFault(r.FormValue("endpoint"), known.Fault)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	var f Fault
	if err := json.Unmarshal([]byte(value), &f); err != nil {
		http.Error(w, "fault: "+err.Error(), http.StatusBadRequest)
		return
	}
	p.center.SetFault(r.FormValue("endpoint"), f)
	w.WriteHeader(http.StatusNoContent)
}
