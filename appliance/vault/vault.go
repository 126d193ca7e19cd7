// Package vault seals what the journal keeps about people, so that the bytes of a
// memory card show none of it: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with
// random nonces, one storage key a station.
//
// The kiosk has to open its records again, to deliver a request after weeks. So
// this protects as well as the storage key is kept apart from the journal, and no
// better: a card stolen with both is open. What nobody at the kiosk needs again,
// the evidence, is sealed to the CA instead (package kiosk).
package vault

import (
	"crypto/cipher"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a storage key in bytes.
const KeySize = chacha20poly1305.KeySize

// ErrKey is a record that does not open: another storage key, or changed bytes.
var ErrKey = errors.New("vault: record does not open with this storage key")

// Vault seals and opens with one storage key.
type Vault struct {
	aead cipher.AEAD
	rand io.Reader
}

// New returns the vault of a key of KeySize bytes.
func New(key []byte, rand io.Reader) (*Vault, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return &Vault{aead: aead, rand: rand}, nil
}

// Seal makes nonce and ciphertext of a record.
func (v *Vault) Seal(plain []byte) ([]byte, error) {
	out := make([]byte, v.aead.NonceSize(), v.aead.NonceSize()+len(plain)+v.aead.Overhead())
	if _, err := io.ReadFull(v.rand, out); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return v.aead.Seal(out, out, plain, nil), nil
}

// Open is the inverse of Seal; its error is ErrKey.
func (v *Vault) Open(sealed []byte) ([]byte, error) {
	n := v.aead.NonceSize()
	if len(sealed) < n+v.aead.Overhead() {
		return nil, ErrKey
	}
	plain, err := v.aead.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return nil, ErrKey
	}
	return plain, nil
}

const pemType = "MOHR STORAGE KEY"

// NewKey draws a storage key and returns its file.
func NewKey(rand io.Reader) ([]byte, error) {
	key := make([]byte, KeySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: key}), nil
}

// Load reads the file of a storage key.
func Load(path string, rand io.Reader) (*Vault, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(rest) != 0 {
		return nil, fmt.Errorf("vault: %s is not one %s", path, pemType)
	}
	return New(block.Bytes, rand)
}
