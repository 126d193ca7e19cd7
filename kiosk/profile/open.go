package profile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of Open that callers branch on.
var (
	ErrUnsigned = errors.New("profile: not signed by the publisher")
	ErrRollback = errors.New("profile: older than the version in use")
	ErrExpired  = errors.New("profile: past its validity")
)

// Open checks a signed profile file and parses it. The signature is looked at
// before anything is parsed. minVersion is the highest version seen so far; the
// same version may be opened again. now is the kiosk's proven time; the zero
// time means the clock is not proven, and then the age is not judged here.
func Open(file, sig []byte, publisher ed25519.PublicKey, minVersion int, now time.Time) (*Profile, error) {
	if len(file) > MaxSize {
		return nil, fmt.Errorf("profile: file of %d bytes, limit %d", len(file), MaxSize)
	}
	if len(publisher) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("profile: publisher's key of %d bytes", len(publisher))
	}
	if len(sig) != ed25519.SignatureSize || !ed25519.Verify(publisher, file, sig) {
		return nil, ErrUnsigned
	}
	p, err := Parse(file)
	if err != nil {
		return nil, err
	}
	if p.Version < minVersion {
		return nil, fmt.Errorf("%w: version %d, in use %d", ErrRollback, p.Version, minVersion)
	}
	if !now.IsZero() && now.After(p.ValidUntil) {
		return nil, fmt.Errorf("%w: valid until %s", ErrExpired, p.ValidUntil.Format(time.RFC3339))
	}
	return p, nil
}

// Sign makes the detached signature over a file's bytes. It refuses a file
// that Parse refuses, so a mistake is found where it can be mended.
func Sign(file []byte, publisher ed25519.PrivateKey) ([]byte, error) {
	if len(publisher) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("profile: publisher's private key of %d bytes", len(publisher))
	}
	if _, err := Parse(file); err != nil {
		return nil, err
	}
	return ed25519.Sign(publisher, file), nil
}

// Parse reads a profile file without looking at a signature.
func Parse(file []byte) (*Profile, error) {
	p := new(Profile)
	if err := decode(file, p); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p.Digest = sha256.Sum256(file)
	return p, nil
}

// Encode writes a profile as the file Parse reads: the way to fill in anchors,
// officers and recipients. It refuses what Parse would refuse.
func (p *Profile) Encode() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("profile: encode: %w", err)
	}
	if _, err := Parse(b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
