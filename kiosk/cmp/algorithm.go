package cmp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384, SHA-512
	"crypto/x509"
	encasn1 "encoding/asn1"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A signature algorithm: PKCS#1 v1.5 (RFC 4055, 5) or ECDSA (RFC 5758, 3.2).
type signatureAlgorithm struct {
	oid  encasn1.ObjectIdentifier
	hash crypto.Hash
	rsa  bool
}

var (
	rsaSHA256   = signatureAlgorithm{encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, crypto.SHA256, true}
	ecdsaSHA256 = signatureAlgorithm{encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, crypto.SHA256, false}

	// The first two are used to sign, all to verify.
	signatureAlgorithms = []signatureAlgorithm{
		rsaSHA256,
		ecdsaSHA256,
		{encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, crypto.SHA384, true},
		{encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, crypto.SHA512, true},
		{encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, crypto.SHA384, false},
		{encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, crypto.SHA512, false},
	}
)

// AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL } -- RFC 5280, 4.1.1.2
//
// RSA carries NULL, ECDSA no parameters.
func (a signatureAlgorithm) der() ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.oid)
			if a.rsa {
				b.AddASN1NULL()
			}
		})
	})
}

// readAlgorithm looks up an AlgorithmIdentifier. For RSA both NULL and absent
// parameters are met in the field.
func readAlgorithm(der []byte) (signatureAlgorithm, error) {
	s := cryptobyte.String(der)
	var seq, null cryptobyte.String
	var oid encasn1.ObjectIdentifier
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !s.Empty() || !seq.ReadASN1ObjectIdentifier(&oid) {
		return signatureAlgorithm{}, broken(RuleAlgorithm, "malformed algorithm identifier %x", der)
	}
	for _, a := range signatureAlgorithms {
		if !a.oid.Equal(oid) {
			continue
		}
		if a.rsa && !seq.Empty() && (!seq.ReadASN1(&null, asn1.NULL) || !null.Empty()) || !seq.Empty() {
			return signatureAlgorithm{}, broken(RuleAlgorithm, "unexpected parameters of algorithm %v", oid)
		}
		return a, nil
	}
	return signatureAlgorithm{}, broken(RuleAlgorithm, "signature algorithm %v not accepted", oid)
}

// checkPublicKey accepts RSA of 2048 to 4096 bits, P-256 and P-384.
func checkPublicKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 4096 {
			return broken(RuleAlgorithm, "rsa key of %d bits, not 2048 to 4096", n)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
		return broken(RuleAlgorithm, "curve %s not accepted", k.Curve.Params().Name)
	}
	return broken(RuleAlgorithm, "public key of type %T not accepted", pub)
}

// checkSubjectKey accepts the keys that are certified: as checkPublicKey, and
// of the curves only P-256.
func checkSubjectKey(pub crypto.PublicKey) error {
	if k, ok := pub.(*ecdsa.PublicKey); ok && k.Curve != elliptic.P256() {
		return broken(RuleAlgorithm, "curve %s not accepted", k.Curve.Params().Name)
	}
	return checkPublicKey(pub)
}

// algorithmFor returns the algorithm a key signs with.
func algorithmFor(pub crypto.PublicKey) (signatureAlgorithm, error) {
	if err := checkSubjectKey(pub); err != nil {
		return signatureAlgorithm{}, err
	}
	if _, ok := pub.(*rsa.PublicKey); ok {
		return rsaSHA256, nil
	}
	return ecdsaSHA256, nil
}

// sign signs data with the key's own algorithm and verifies the outcome: a
// token that answers r||s instead of DER, or with another key, is found here.
func sign(rand io.Reader, key crypto.Signer, data []byte) ([]byte, error) {
	alg, err := algorithmFor(key.Public())
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(rand, digest(alg.hash, data), alg.hash)
	if err != nil {
		return nil, fmt.Errorf("cmp: sign: %w", err)
	}
	if err := verifySignature(key.Public(), alg, data, sig); err != nil {
		return nil, fmt.Errorf("cmp: the key returned a wrong signature: %w", err)
	}
	return sig, nil
}

var errSignature = errors.New("signature is wrong")

// verifySignature verifies sig over data; the algorithm must fit the key.
func verifySignature(pub crypto.PublicKey, alg signatureAlgorithm, data, sig []byte) error {
	if err := checkPublicKey(pub); err != nil {
		return err
	}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if !alg.rsa {
			return broken(RuleAlgorithm, "algorithm %v with an rsa key", alg.oid)
		}
		if rsa.VerifyPKCS1v15(k, alg.hash, digest(alg.hash, data), sig) != nil {
			return errSignature
		}
	case *ecdsa.PublicKey:
		if alg.rsa {
			return broken(RuleAlgorithm, "algorithm %v with an ecdsa key", alg.oid)
		}
		if !ecdsa.VerifyASN1(k, digest(alg.hash, data), sig) {
			return errSignature
		}
	}
	return nil
}

func digest(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

// spkiOf returns the SubjectPublicKeyInfo of a key.
func spkiOf(key crypto.Signer) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("cmp: public key: %w", err)
	}
	return spki, nil
}

// checkKeyOf reports whether key is the private key of cert.
func checkKeyOf(key crypto.Signer, cert *x509.Certificate) error {
	spki, err := spkiOf(key)
	if err != nil {
		return err
	}
	if !bytes.Equal(spki, cert.RawSubjectPublicKeyInfo) {
		return broken(RuleKey, "signing key is not the key of certificate %x", cert.SerialNumber)
	}
	return nil
}

// checkMaySign reports whether a certificate's keyUsage, if it has one, allows
// protection of messages (RFC 9483, 1.2).
func checkMaySign(cert *x509.Certificate) error {
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return broken(RuleKeyUsage, "certificate %x lacks digitalSignature", cert.SerialNumber)
	}
	return nil
}
