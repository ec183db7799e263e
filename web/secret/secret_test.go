package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"offrecord/web/secret"
)

func TestNoFormatPrintsTheText(t *testing.T) {
	const text = "canary-3f9c"
	s := secret.New(text)
	holder := struct {
		Token secret.String
		Ptr   *secret.String
	}{s, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", s, holder)
	}
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "holder", holder)
	hexed := fmt.Sprintf("%x", text)
	for _, leak := range []string{text, hexed, strings.ToUpper(hexed)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in\n%s", leak, out.String())
		}
	}
	if s.Reveal() != text {
		t.Error("Reveal lost the text")
	}
}
