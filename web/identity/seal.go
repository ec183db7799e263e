package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"
)

// Sealer makes short-lived values that only this run of the server can make and read: what a browser carries in a cookie while
// it is signing in. So nobody who asks for sign-ins without end fills anything here.
type Sealer struct{ aead cipher.AEAD }

// NewSealer makes a new key.
func NewSealer() *Sealer {
	var key [32]byte
	rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // a key of 32 bytes is one
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size that it needs
	}
	return &Sealer{aead}
}

type sealed struct {
	Until int64           `json:"u"`
	Value json.RawMessage `json:"v"`
}

// Seal makes a value's text for a purpose, good for life.
func (s *Sealer) Seal(purpose string, value any, life time.Duration) (string, error) {
	inner, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(sealed{time.Now().Add(life).Unix(), inner})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(purpose))), nil
}

// Open reads a text that was made for this purpose. It reports whether it is one that is still good.
func (s *Sealer) Open(purpose, text string, into any) bool {
	box, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	plain, err := s.aead.Open(nil, nil, box, []byte(purpose))
	if err != nil {
		return false
	}
	var found sealed
	if json.Unmarshal(plain, &found) != nil || time.Now().Unix() >= found.Until {
		return false
	}
	return json.Unmarshal(found.Value, into) == nil
}
