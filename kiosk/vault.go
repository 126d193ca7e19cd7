package kiosk

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// VaultKeySize is the length of a vault's key in bytes.
const VaultKeySize = chacha20poly1305.KeySize

// ErrVault is a private part that does not open: another key, or changed bytes.
var ErrVault = errors.New("kiosk: private part does not open with this key")

// Vault seals what a record says about people, so that the journal's bytes show
// none of it (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha; random nonces). The
// kiosk has to open it again, to deliver a request after weeks; so it protects
// as well as the storage key is kept apart from the journal, and no better.
type Vault struct {
	aead cipher.AEAD
	rand io.Reader
}

// NewVault returns the vault of a key of VaultKeySize bytes.
func NewVault(key []byte, rand io.Reader) (*Vault, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("kiosk: vault: %w", err)
	}
	return &Vault{aead: aead, rand: rand}, nil
}

// seal makes nonce and ciphertext. context is bound in and must be given again.
func (v *Vault) seal(plain, context []byte) ([]byte, error) {
	out := make([]byte, v.aead.NonceSize(), v.aead.NonceSize()+len(plain)+v.aead.Overhead())
	if _, err := io.ReadFull(v.rand, out); err != nil {
		return nil, fmt.Errorf("kiosk: vault: %w", err)
	}
	return v.aead.Seal(out, out, plain, context), nil
}

func (v *Vault) open(sealed, context []byte) ([]byte, error) {
	n := v.aead.NonceSize()
	if len(sealed) < n+v.aead.Overhead() {
		return nil, ErrVault
	}
	plain, err := v.aead.Open(nil, sealed[:n], sealed[n:], context)
	if err != nil {
		return nil, ErrVault
	}
	return plain, nil
}
