package audit

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"offrecord/web/secret"
)

func TestStatement(t *testing.T) {
	key, err := GenerateKey("offrecord.example.com")
	if err != nil {
		t.Fatal(err)
	}
	public, err := PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := GenerateKey("offrecord.example.com")
	otherPublic, _ := PublicKey(other)
	document, now := []byte(`{"verdict":"silent"}`), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	signed, err := SignStatement(key, "evidence report", document, now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStatement(signed, document, public)
	if err != nil || s.About != "evidence report" || !s.Time.Equal(now) || s.Origin != "offrecord.example.com" {
		t.Fatalf("%+v, %v", s, err)
	}
	for name, bad := range map[string]func() error{
		"another document": func() error { _, err := OpenStatement(signed, append(document, ' '), public); return err },
		"another key":      func() error { _, err := OpenStatement(signed, document, otherPublic); return err },
		"a changed text": func() error {
			_, err := OpenStatement(bytes.Replace(signed, []byte("2026"), []byte("2027"), 1), document, public)
			return err
		},
		"no key":          func() error { _, err := OpenStatement(signed, document); return err },
		"nothing":         func() error { _, err := OpenStatement(nil, document, public); return err },
		"two lines about": func() error { _, err := SignStatement(key, "a\nb", document, now); return err },
		"a checkpoint":    func() error { return openAsStatement(key.Reveal(), document, public) },
		"as a checkpoint": func() error { _, err := OpenCheckpoint(signed, public); return err },
	} {
		if bad() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	identify, err := Identifier(key, true)
	if err != nil || !strings.HasPrefix(identify("bill@acme.example"), hashedPrefix) {
		t.Errorf("an identifier is stored as %q, %v", identify("bill@acme.example"), err)
	}
}

// openAsStatement signs a checkpoint and passes it off as a statement.
func openAsStatement(signing string, document []byte, public string) error {
	k, err := parseKey(secret.New(signing))
	if err != nil {
		return nil
	}
	signed, err := k.sign(Checkpoint{Size: 1, Time: time.Now()})
	if err != nil {
		return nil
	}
	_, err = OpenStatement(signed, document, public)
	return err
}
