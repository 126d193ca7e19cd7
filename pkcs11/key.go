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

// CertificateFields are the parts of a certificate that PKCS#11 wants beside it,
// each a DER value as it stands in the certificate.
type CertificateFields struct {
	Serial, Issuer, Subject, PublicKey []byte
}

// SplitCertificate takes a certificate apart without judging it (RFC 5280
// section 4.1): a token may hold certificates that crypto/x509 refuses, and they
// are still to be listed.
func SplitCertificate(der []byte) (CertificateFields, error) {
	var cert struct {
		TBS struct {
			Version   asn1.RawValue `asn1:"optional,explicit,tag:0"`
			Serial    asn1.RawValue
			Algorithm asn1.RawValue
			Issuer    asn1.RawValue
			Validity  asn1.RawValue
			Subject   asn1.RawValue
			PublicKey asn1.RawValue
			// what may follow is skipped by encoding/asn1
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &cert)
	if err != nil {
		return CertificateFields{}, fmt.Errorf("pkcs11: certificate: %w", err)
	}
	if len(rest) != 0 {
		return CertificateFields{}, errors.New("pkcs11: certificate: trailing bytes")
	}
	t := cert.TBS
	for _, v := range []struct {
		name  string
		value asn1.RawValue
		tag   int
	}{{"serial", t.Serial, asn1.TagInteger}, {"issuer", t.Issuer, asn1.TagSequence},
		{"subject", t.Subject, asn1.TagSequence}, {"public key", t.PublicKey, asn1.TagSequence}} {
		if v.value.Class != asn1.ClassUniversal || v.value.Tag != v.tag {
			return CertificateFields{}, fmt.Errorf("pkcs11: certificate: no %s", v.name)
		}
	}
	return CertificateFields{t.Serial.FullBytes, t.Issuer.FullBytes, t.Subject.FullBytes, t.PublicKey.FullBytes}, nil
}

// CertificateKey is the SubjectPublicKeyInfo of a certificate.
func CertificateKey(der []byte) ([]byte, error) {
	fields, err := SplitCertificate(der)
	return fields.PublicKey, err
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
