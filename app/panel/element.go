package panel

import "github.com/maxence-charriere/go-app/v9/pkg/app"

// el is an element with its classes. go-app has a type for each HTML element, and each that is used adds some 25 KB to the
// program; this one serves them all.
func el(tag string, classes ...string) app.HTMLElem { return app.Elem(tag).Class(classes...) }
