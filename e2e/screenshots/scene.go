package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
)

// column is one state of the panel, and what the tape did at the same time.
type column struct {
	Title, Caption string
	Panel, Tape    []byte
}

//go:embed wide.html
var wide string

// The panel's width on the pictures, in CSS pixels, and how many dots one has.
const (
	panelWidth = 400
	scale      = 2
)

// photograph plays the demo's scenes and returns the pictures by their file names.
func photograph(ctx context.Context, profile string, at map[string]string) (pictures map[string][]byte, err error) {
	b, err := launch(ctx, profile)
	if err != nil {
		return nil, err
	}
	defer b.close()
	defer func() { // a step that can't be done ends the play
		if cause := recover(); cause != nil {
			failed, ours := cause.(failure)
			if !ours {
				panic(cause)
			}
			err = failed.error
		}
	}()

	// Bill, by his browser's session. The platform will say success, and go on recording.
	tape := b.tab(panelWidth, 900)
	tape.open(at["agent-workspace"])
	tape.click("Log in as Bill")
	tape.until(`document.body.dataset.tape === "recording"`)
	tape.run(`(() => { const choice = document.querySelector("select[name=fault]"); choice.value = "pretend"; choice.form.requestSubmit() })()`)

	bill := b.tab(panelWidth, 900)
	logIn(bill, at["panel"], "bill@acme.example")
	bill.until(`document.querySelector(".readiness.ready")`)
	tape.until(`seconds("#length") >= 13`) // the strip is full
	ready := column{Title: "Before the card", Caption: "Ready: everything that can be checked is good.", Panel: bill.picture(".panel", ".panel"), Tape: tape.picture(".tape .state:not(.gone)", ".tape .clocks")}

	bill.click("Pause recording")
	bill.until(`document.querySelector("[data-outcome=sent]")`)
	tape.until(`seconds("#length") >= 20`)
	unknown := column{Title: "Nothing is known", Caption: "8x8 took the request and went on recording. The panel claims nothing.",
		Panel: bill.picture(".panel", ".panel"), Tape: tape.picture(".tape .state:not(.gone)", ".tape .clocks")}

	// The narrow picture is the same moment in the dark.
	bill.dark()
	narrow := bill.picture(".panel", ".panel")

	// Becky, by the server.
	becky := b.tab(panelWidth, 900)
	logIn(becky, strings.Replace(at["panel"], "//", "//becky.", 1), "becky@acme.example")
	becky.until(`document.querySelector(".readiness.ready")`)
	tape.open(at["agent-workspace"] + "AGUI/login.php")
	tape.click("Log in as Becky")
	tape.until(`document.body.dataset.tape === "recording"`)
	becky.click("Pause recording")
	becky.until(`document.querySelector("[data-state=paused][data-outcome=confirmed]")`)
	becky.until(`seconds(".run") <= 173`) // of three minutes
	confirmed := column{Title: "Confirmed by 8x8", Caption: "8x8’s own API reported the pause to the server.",
		Panel: becky.picture(".panel", ".panel"), Tape: tape.picture(".tape .state:not(.gone)", ".tape .clocks")}

	board := b.tab(3*(panelWidth+40)+40, 900)
	board.write(montage(ready, unknown, confirmed))
	return map[string][]byte{"panel.png": board.picture("body", "body"), "panel-dark.png": narrow}, nil
}

func logIn(t *tab, panel, email string) {
	t.open(panel + "login")
	t.until(`document.cookie.includes("offrecord_tpc=")`)
	t.click(email)
	t.until(`document.documentElement.dataset.program === "running"`)
}

// montage puts the columns side by side.
func montage(columns ...column) string {
	var page bytes.Buffer
	t := template.Must(template.New("").Funcs(template.FuncMap{"data": func(png []byte) template.URL {
		return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
	}}).Parse(wide))
	if err := t.Execute(&page, map[string]any{"Columns": columns, "Width": panelWidth}); err != nil {
		panic(failure{fmt.Errorf("putting the pictures together: %w", err)})
	}
	return page.String()
}
