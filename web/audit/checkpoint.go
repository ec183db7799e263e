package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"offrecord/web/secret"
)

// Checkpoint is the log's own word, signed, on what it held at one moment. One that is kept where the log's owner can't
// reach it is what shows a log that was cut short or written anew: the chain alone can't.
//
// It is written as a signed note (golang.org/x/mod/sumdb/note): origin, size and root as in C2SP's tlog-checkpoint, then
// lines of our own: "time …", "last …" (the last record's leaf hash) and, where retention removed all before it, "pruned".
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Last   tlog.Hash
	Time   time.Time
	Pruned bool
}

func (c Checkpoint) text() string {
	text := fmt.Sprintf("%s\n%d\n%s\ntime %s\nlast %s\n", c.Origin, c.Size, c.Root, formatTime(c.Time), c.Last)
	if c.Pruned {
		text += "pruned\n"
	}
	return text
}

func parseCheckpointText(text string) (c Checkpoint, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 5 || len(lines) > 6 {
		return c, fmt.Errorf("a checkpoint of %d lines", len(lines))
	}
	c.Origin, c.Pruned = lines[0], len(lines) == 6
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 1 {
		return c, fmt.Errorf("checkpoint size %q", lines[1])
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return c, fmt.Errorf("checkpoint root: %w", err)
	}
	if c.Time, err = parseTime(strings.TrimPrefix(lines[3], "time ")); err != nil {
		return c, fmt.Errorf("checkpoint time: %w", err)
	}
	if c.Last, err = tlog.ParseHash(strings.TrimPrefix(lines[4], "last ")); err != nil {
		return c, fmt.Errorf("checkpoint's last record: %w", err)
	}
	if c.text() != text {
		return c, errors.New("the checkpoint isn't in its canonical form")
	}
	return c, nil
}

// OpenCheckpoint reads a signed checkpoint and checks its signature with the log's public key, or with the one of several
// that it names: a log whose key was changed has older checkpoints by the older key.
func OpenCheckpoint(signed []byte, publicKeys ...string) (Checkpoint, error) {
	var verifiers []note.Verifier
	for _, key := range publicKeys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return Checkpoint{}, fmt.Errorf("the audit log's public key: %w", err)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := parseCheckpointText(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	by := n.Sigs[0]
	if c.Origin != by.Name {
		return Checkpoint{}, fmt.Errorf("the checkpoint is of %q, the key of %q", c.Origin, by.Name)
	}
	// Neither a further signature nor base64 with stray bits: one checkpoint has one form.
	raw, err := base64.StdEncoding.Strict().DecodeString(by.Base64)
	if err != nil || string(signed) != n.Text+"\n— "+by.Name+" "+base64.StdEncoding.EncodeToString(raw)+"\n" {
		return Checkpoint{}, errors.New("the checkpoint isn't in its canonical form")
	}
	return c, nil
}

// ReadCheckpoints splits a checkpoint file, as FileSink writes it, into its signed notes. What follows the last complete
// note is left out: a kill may have torn it.
func ReadCheckpoints(r io.Reader) (notes [][]byte, err error) {
	var one []byte
	signed := false
	s := bufio.NewScanner(r)
	for s.Scan() {
		switch t := s.Text(); {
		case strings.HasPrefix(t, "— "):
			signed = true
		case t == "" && signed: // the blank line between two
			notes, one, signed = append(notes, one), nil, false
			continue
		}
		one = append(append(one, s.Bytes()...), '\n')
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return notes, nil
}

// Sink takes signed checkpoints to where the log's owner can't change them. Send is called by one goroutine at a time and
// again, with a newer checkpoint, after it failed.
type Sink interface {
	Send(ctx context.Context, signed []byte) error
}

// FileSink appends checkpoints to the file with this name, each followed by a blank line and fsynced.
type FileSink string

// Send implements Sink.
func (path FileSink) Send(_ context.Context, signed []byte) error {
	f, err := os.OpenFile(string(path), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("checkpoint file: %w", err)
	}
	defer f.Close()
	if err := dropTorn(f); err != nil {
		return fmt.Errorf("checkpoint file: %w", err)
	}
	if _, err := f.Write(append(bytes.Clone(signed), '\n')); err != nil {
		return fmt.Errorf("checkpoint file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("checkpoint file: %w", err)
	}
	return nil
}

// dropTorn cuts a last note that a kill or a full disk left incomplete, so that the next one can be read.
func dropTorn(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const most = 4 << 10 // more than a note has
	from := max(0, info.Size()-most)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return err
	}
	if len(tail) == 0 || bytes.HasSuffix(tail, []byte("\n\n")) && signatureLast(tail) {
		return nil
	}
	for end := len(tail); end > 0; {
		end = bytes.LastIndex(tail[:end], []byte("\n\n"))
		if end < 0 {
			break
		}
		if whole := tail[:end+2]; signatureLast(whole) {
			return f.Truncate(from + int64(len(whole)))
		}
	}
	if from == 0 {
		return f.Truncate(0)
	}
	return errors.New("it doesn't end in a checkpoint")
}

// signatureLast reports whether the last line before the closing blank one is a note's signature.
func signatureLast(b []byte) bool {
	b = bytes.TrimSuffix(b, []byte("\n\n"))
	return bytes.HasPrefix(b[bytes.LastIndexByte(b, '\n')+1:], []byte("— "))
}

// keys are what the signing key gives: signatures, and the key of the hashed identifiers.
type keys struct {
	signer      note.Signer
	public      string
	identifiers []byte
}

// GenerateKey makes a new signing key for a log of this name, which its checkpoints carry: no spaces and no "+".
func GenerateKey(name string) (secret.String, error) {
	key, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return secret.String{}, fmt.Errorf("making a signing key: %w", err)
	}
	return secret.New(key), nil
}

// LoadKey reads a signing key from a file, and makes the file, for its owner only, if there is none.
func LoadKey(path, name string) (secret.String, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return secret.New(strings.TrimSpace(string(text))), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return secret.String{}, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := GenerateKey(name)
	if err != nil {
		return secret.String{}, err
	}
	tmp := path + ".new"
	if err := writeSynced(tmp, []byte(key.Reveal()+"\n")); err != nil {
		return secret.String{}, fmt.Errorf("keeping the signing key: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return secret.String{}, fmt.Errorf("keeping the signing key: %w", err)
	}
	return key, syncDir(path)
}

// PublicKey is the key that verifies what the signing key signed, to be kept with those who verify.
func PublicKey(signing secret.String) (string, error) {
	k, err := parseKey(signing)
	return k.public, err
}

// parseKey takes a note key apart: PRIVATE+KEY+name+hash+base64(algorithm, seed).
//
// The identifiers' key is HKDF-SHA-256 of the seed (RFC 5869), so that there is one secret to keep; who has the log and
// its public key but not the signing key can't guess an identifier by trying. A new signing key starts a new set of names.
func parseKey(signing secret.String) (keys, error) {
	signer, err := note.NewSigner(signing.Reveal())
	if err != nil {
		return keys{}, errors.New("the audit log's signing key isn't one: expected PRIVATE+KEY+name+hash+…")
	}
	parts := strings.SplitN(signing.Reveal(), "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return keys{}, errors.New("the audit log's signing key isn't one: its last part is no key")
	}
	identifiers, err := hkdf.Key(sha256.New, raw[1:], nil, "offrecord audit identifiers v1", sha256.Size)
	if err != nil {
		return keys{}, fmt.Errorf("deriving the identifiers' key: %w", err)
	}
	public, err := note.NewEd25519VerifierKey(signer.Name(), ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey))
	if err != nil {
		return keys{}, fmt.Errorf("the signing key's public half: %w", err)
	}
	return keys{signer, public, identifiers}, nil
}

// hashedPrefix marks an identifier that is keyed-hashed.
const hashedPrefix = "hmac:"

// hash is the keyed form of an identifier: HMAC-SHA-256, cut to the 128 bits that tell one from another.
func (k keys) hash(id string) string {
	m := hmac.New(sha256.New, k.identifiers)
	io.WriteString(m, id)
	return hashedPrefix + base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}

func (k keys) sign(c Checkpoint) ([]byte, error) {
	c.Origin = k.signer.Name()
	signed, err := note.Sign(&note.Note{Text: c.text()}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	return signed, nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a file's name as durable as its bytes.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
