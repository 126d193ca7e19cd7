// Package signed reads what a publisher signs and offices only carry: a file with a
// detached Ed25519 signature (RFC 8032, 64 bytes) over its bytes, and the
// publisher's public key in PEM (PKIX). What the file means, and whether it is newer
// than another, is for the reader of its format: kiosk/profile, usb.
package signed

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrUnsigned means that the signature is not the publisher's over this file.
var ErrUnsigned = errors.New("not signed by the publisher")

const maxKey = 64 << 10

// Key reads a publisher's public key.
func Key(path string) (ed25519.PublicKey, error) {
	b, err := read(path, maxKey)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("signed: no PUBLIC KEY in %s", path)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signed: %s: %w", path, err)
	}
	key, ok := pub.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("signed: %s: %T, want Ed25519", path, pub)
	}
	return key, nil
}

// Read returns a file of at most limit bytes if its signature is good.
func Read(file, signature, publisher string, limit int) ([]byte, error) {
	key, err := Key(publisher)
	if err != nil {
		return nil, err
	}
	b, err := read(file, limit)
	if err != nil {
		return nil, err
	}
	sig, err := read(signature, ed25519.SignatureSize)
	if err != nil {
		return nil, err
	}
	if len(sig) != ed25519.SignatureSize || !ed25519.Verify(key, b, sig) {
		return nil, fmt.Errorf("signed: %s: %w", file, ErrUnsigned)
	}
	return b, nil
}

func read(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("signed: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("signed: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("signed: %s: larger than %d bytes", path, limit)
	}
	return b, nil
}
