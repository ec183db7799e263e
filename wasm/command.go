//go:build js && wasm

package main

import (
	"encoding/json"

	"github.com/hack-pad/safejs"

	"offrecord/app/recording"
	"offrecord/app/session"
)

// embed gives a page that is embedded in another site's (its script is there, and says so by offrecordTold) a way to ask for
// an action on behalf of a trigger, and tells it what becomes of it. The function that it is handed answers with the
// attempt's id, or with why there is none.
func (p *page) embed(c *session.Controller) {
	told := get(p.window, "offrecordTold")
	if !truthy(told) {
		return
	}
	command, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		if len(args) < 3 {
			return nil
		}
		id, refused := c.Command(recording.Action(text(args[0])), recording.Origin(text(args[1])), text(args[2]))
		return map[string]any{"id": id, "refused": string(refused)}
	})
	if err != nil {
		return
	}
	c.Tell(func(t session.Told) {
		if told, err := json.Marshal(t); err == nil {
			_, _ = p.window.Call("offrecordTold", string(told), command)
		}
	})
}
