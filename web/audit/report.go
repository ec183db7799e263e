package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"offrecord/web/secret"
)

// Statement is the log's word on a document that isn't part of it, such as a report of evidence: that who holds the log's key
// made these very bytes, and when. It is a signed note, whose second line tells it from a checkpoint.
type Statement struct {
	Origin string
	About  string // what the document is, for example "evidence report"
	Hash   [sha256.Size]byte
	Time   time.Time
}

const statementLine = "offrecord statement v1"

func (s Statement) text() string {
	return fmt.Sprintf("%s\n%s\nabout %s\nsha256 %s\ntime %s\n", s.Origin, statementLine, s.About, base64.StdEncoding.EncodeToString(s.Hash[:]), formatTime(s.Time))
}

// SignStatement signs a document with the log's key.
func SignStatement(signing secret.String, about string, document []byte, now time.Time) ([]byte, error) {
	k, err := parseKey(signing)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(about, "\n") || about == "" {
		return nil, errors.New("a statement is about something that has one line")
	}
	s := Statement{Origin: k.signer.Name(), About: about, Hash: sha256.Sum256(document), Time: now}
	signed, err := note.Sign(&note.Note{Text: s.text()}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("signing a document: %w", err)
	}
	return signed, nil
}

// OpenStatement reads a signed statement, checks its signature with one of the log's public keys, and that it is about this
// document.
func OpenStatement(signed, document []byte, publicKeys ...string) (Statement, error) {
	var verifiers []note.Verifier
	for _, key := range publicKeys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return Statement{}, fmt.Errorf("the audit log's public key: %w", err)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Statement{}, fmt.Errorf("its signature: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 6 || lines[1] != statementLine {
		return Statement{}, errors.New("what is signed isn't a statement about a document")
	}
	s := Statement{Origin: lines[0], About: strings.TrimPrefix(lines[2], "about ")}
	hash, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[3], "sha256 "))
	if err != nil || copy(s.Hash[:], hash) != len(s.Hash) || len(hash) != len(s.Hash) {
		return Statement{}, errors.New("the statement has no hash")
	}
	if s.Time, err = parseTime(strings.TrimPrefix(lines[4], "time ")); err != nil {
		return Statement{}, fmt.Errorf("the statement's time: %w", err)
	}
	if s.text() != n.Text {
		return Statement{}, errors.New("the statement isn't in its canonical form")
	}
	if s.Origin != n.Sigs[0].Name {
		return Statement{}, fmt.Errorf("the statement is of %q, the key of %q", s.Origin, n.Sigs[0].Name)
	}
	if of := sha256.Sum256(document); !bytes.Equal(of[:], s.Hash[:]) {
		return Statement{}, errors.New("the document isn't as it was signed: it was changed")
	}
	return s, nil
}

// Identifier returns the form in which a log with this key stores an identifier, for who reads its store without opening it.
func Identifier(signing secret.String, hashed bool) (func(string) string, error) {
	k, err := parseKey(signing)
	if err != nil {
		return nil, err
	}
	l := &Log{config: Config{HashIdentifiers: hashed}, keys: k}
	return l.Identify, nil
}
