package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeyAlgorithm is a kind of key that GenerateKey can make.
type KeyAlgorithm uint8

// The kinds of key. Zero is not one of them.
const (
	RSA2048 KeyAlgorithm = 1
	P256    KeyAlgorithm = 2
)

// String gives the usual name.
func (a KeyAlgorithm) String() string {
	switch a {
	case RSA2048:
		return "RSA-2048"
	case P256:
		return "P-256"
	}
	return fmt.Sprintf("algorithm %d", uint8(a))
}

// Matches says whether pub is a key of this kind.
func (a KeyAlgorithm) Matches(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return a == RSA2048 && k.N.BitLen() == 2048
	case *ecdsa.PublicKey:
		return a == P256 && k.Curve == elliptic.P256()
	}
	return false
}

// KeyID names a key: SHA-256 over its SubjectPublicKeyInfo (DER).
type KeyID [32]byte

// String gives all of it in hex.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// KeyIDOf names the key in a SubjectPublicKeyInfo. A key that Go can parse is
// encoded anew first, so that an odd encoding in a certificate does not give one
// key two names.
func KeyIDOf(spki []byte) KeyID {
	if pub, err := x509.ParsePKIXPublicKey(spki); err == nil {
		if der, err := x509.MarshalPKIXPublicKey(pub); err == nil {
			return sha256.Sum256(der)
		}
	}
	return sha256.Sum256(spki)
}

// CertificateKey takes the SubjectPublicKeyInfo out of a certificate without
// judging the rest of it (RFC 5280 section 4.1): a token may hold certificates
// that crypto/x509 refuses, and they are still to be listed.
func CertificateKey(der []byte) ([]byte, error) {
	var cert struct {
		TBS struct {
			Version    asn1.RawValue `asn1:"optional,explicit,tag:0"`
			Serial     asn1.RawValue
			Algorithm  asn1.RawValue
			Issuer     asn1.RawValue
			Validity   asn1.RawValue
			Subject    asn1.RawValue
			PublicKey  asn1.RawValue
			Extensions []asn1.RawValue `asn1:"optional,omitempty,explicit,tag:3"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &cert)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: certificate: %w", err)
	}
	if len(rest) != 0 {
		return nil, errors.New("pkcs11: certificate: trailing bytes")
	}
	key := cert.TBS.PublicKey
	if key.Class != asn1.ClassUniversal || key.Tag != asn1.TagSequence {
		return nil, errors.New("pkcs11: certificate: no public key")
	}
	return key.FullBytes, nil
}

// VerifySignature verifies what a token signed: PKCS#1 v1.5 or DER ECDSA.
func VerifySignature(pub crypto.PublicKey, hash crypto.Hash, digest, sig []byte) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, digest, sig)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(k, digest, sig) {
			return errors.New("ecdsa: verification error")
		}
		return nil
	}
	return fmt.Errorf("unknown public key %T", pub)
}
