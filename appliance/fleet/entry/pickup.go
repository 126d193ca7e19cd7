package entry

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
)

// MaxPickup bounds one pick-up.
const MaxPickup = 64 << 10

const maxChain = 8

// KeyID names a public key: SHA-256 over its SubjectPublicKeyInfo in DER.
type KeyID [32]byte

// KeyIDOf is the name of a public key.
func KeyIDOf(spki []byte) KeyID { return sha256.Sum256(spki) }

// String is the name in hex, the key in the bucket.
func (k KeyID) String() string { return fmt.Sprintf("%x", k[:]) }

// Pickup is an issued certificate that waits for its token at any kiosk.
type Pickup struct {
	Renewal     [16]byte `cbor:"0,keyasint"`
	Certificate []byte   `cbor:"1,keyasint"` // DER
	Chain       [][]byte `cbor:"2,keyasint"` // DER, issuer first
	// Answer is the CA's message that brought it, where a certConf is still owed: who
	// loads the certificate has to answer that message.
	Answer []byte `cbor:"3,keyasint,omitempty"`
	// Request is the nested PKIMessage as it was stored: it ties the certificate to the
	// old one on the token and to who asked for it.
	Request []byte `cbor:"4,keyasint,omitempty"`
}

// box is a sealed pick-up. NotAfter is in clear so that the newer of two
// certificates for one key can be told without opening either.
type box struct {
	Version  int    `cbor:"0,keyasint"`
	NotAfter int64  `cbor:"1,keyasint"` // Unix seconds
	Sealed   []byte `cbor:"2,keyasint"`
}

// Seal encrypts a pick-up for whoever knows the public key. The same pick-up gives
// the same bytes: the nonce is a MAC of what is encrypted, so nothing else is ever
// encrypted under it (as in RFC 8452, without its block cipher).
func (p Pickup) Seal(spki []byte, notAfter int64) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	plain, err := encoder.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("entry: encode pick-up: %w", err)
	}
	aead, mac, err := pickupKeys(spki)
	if err != nil {
		return nil, err
	}
	extra := []byte(fmt.Sprintf("%d", notAfter))
	mac.Write(extra)
	mac.Write([]byte{0})
	mac.Write(plain)
	nonce := mac.Sum(nil)[:aead.NonceSize()]
	b, err := encoder.Marshal(box{version, notAfter, aead.Seal(nonce, nonce, plain, extra)})
	if err != nil {
		return nil, fmt.Errorf("entry: encode pick-up: %w", err)
	}
	if len(b) > MaxPickup {
		return nil, fmt.Errorf("entry: pick-up of %d bytes, at most %d", len(b), MaxPickup)
	}
	return b, nil
}

// OpenPickup is the inverse of Seal. What is in it is to be checked like any answer
// of the CA: it comes from a network.
func OpenPickup(b, spki []byte) (Pickup, error) {
	s, err := parseBox(b)
	if err != nil {
		return Pickup{}, err
	}
	aead, _, err := pickupKeys(spki)
	if err != nil {
		return Pickup{}, err
	}
	if len(s.Sealed) < aead.NonceSize() {
		return Pickup{}, fmt.Errorf("entry: sealed pick-up of %d bytes", len(s.Sealed))
	}
	nonce, text := s.Sealed[:aead.NonceSize()], s.Sealed[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, text, []byte(fmt.Sprintf("%d", s.NotAfter)))
	if err != nil {
		return Pickup{}, errors.New("entry: pick-up is not for this key")
	}
	var p Pickup
	if err := decoder.Unmarshal(plain, &p); err != nil {
		return Pickup{}, fmt.Errorf("entry: pick-up: %w", err)
	}
	if err := p.check(); err != nil {
		return Pickup{}, err
	}
	if again, err := encoder.Marshal(p); err != nil || !bytes.Equal(again, plain) {
		return Pickup{}, errors.New("entry: pick-up is not in deterministic form")
	}
	return p, nil
}

// PickupNotAfter is the end of the certificate inside, as whoever sealed it said.
func PickupNotAfter(b []byte) (int64, error) {
	s, err := parseBox(b)
	return s.NotAfter, err
}

func parseBox(b []byte) (box, error) {
	if len(b) > MaxPickup {
		return box{}, fmt.Errorf("entry: pick-up of %d bytes, at most %d", len(b), MaxPickup)
	}
	var s box
	if err := decoder.Unmarshal(b, &s); err != nil {
		return box{}, fmt.Errorf("entry: pick-up: %w", err)
	}
	if s.Version != version {
		return box{}, fmt.Errorf("entry: pick-up version %d, know %d", s.Version, version)
	}
	if again, err := encoder.Marshal(s); err != nil || !bytes.Equal(again, b) {
		return box{}, errors.New("entry: pick-up is not in deterministic form")
	}
	return s, nil
}

func (p Pickup) check() error {
	if len(p.Certificate) == 0 || len(p.Chain) > maxChain {
		return fmt.Errorf("entry: pick-up with a certificate of %d bytes and %d issuers", len(p.Certificate), len(p.Chain))
	}
	return nil
}

// pickupKeys are derived from the public key alone (HKDF, RFC 5869).
func pickupKeys(spki []byte) (cipher.AEAD, hash.Hash, error) {
	keys, err := hkdf.Key(sha256.New, spki, nil, "mohr fleet pickup 1", 64)
	if err != nil {
		return nil, nil, fmt.Errorf("entry: %w", err)
	}
	block, err := aes.NewCipher(keys[:32])
	if err != nil {
		return nil, nil, fmt.Errorf("entry: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("entry: %w", err)
	}
	return aead, hmac.New(sha256.New, keys[32:]), nil
}
