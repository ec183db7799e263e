// Package secret holds what must never be printed. A String shows itself as "[redacted]" in every format, in logs and in
// JSON; only Reveal, called where a request is signed or a page's own API hands it out, gives the text.
package secret

import (
	"fmt"
	"log/slog"
)

// Redacted is what a secret looks like everywhere but on the wire to its owner.
const Redacted = "[redacted]"

// String is a secret text. The zero value is no secret.
type String struct {
	// text is behind a pointer because fmt prints a struct's fields for a verb that it finds wrong, Formatter or not.
	text *string
}

// New wraps a secret text.
func New(text string) String { return String{&text} }

// Reveal returns the text itself, empty for the zero value.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Format implements fmt.Formatter, so that no verb, not even %#v or %x, prints the text.
func (s String) Format(f fmt.State, _ rune) { fmt.Fprint(f, Redacted) }

// String implements fmt.Stringer.
func (s String) String() string { return Redacted }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (s String) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(Redacted) }
