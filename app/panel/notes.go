package panel

import "github.com/maxence-charriere/go-app/v9/pkg/app"

// notes are sentences about the panel itself. A plain page holds one for each reason that may keep the program from running,
// and the style sheet shows the one that data-native names: whoever finds the reason out then has no program to draw with.
func notes(v View) app.UI {
	var native []app.UI
	if v.Native != Mounted {
		for _, n := range []Native{NativeNoWasm, NativeStorage, NativeLoad, NativeEnded} {
			native = append(native, el("p").Class("native-note", string(n)).Text(nativeSentence(n)))
		}
	}
	return el("section", "notes").Body(
		el("p", "notice").Text(v.Notice),
		el("div").Body(native...),
	)
}
