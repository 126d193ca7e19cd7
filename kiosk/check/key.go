package check

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"

	"mohr.internal/kiosk/profile"
)

const (
	minRSABits    = 2048
	maxRSABits    = 4096
	maxParsedBits = 8192 // larger keys cost seconds to verify with and are refused unread
)

// PublicKey checks a key of any certificate, old or new.
func PublicKey(pub crypto.PublicKey) Findings {
	var f Findings
	switch k := pub.(type) {
	case *rsa.PublicKey:
		n := k.N.BitLen()
		switch {
		case n > maxRSABits:
			f.add(KeyKind, Refuse, "RSA of %d bits", n)
		case n < minRSABits || k.E < 65537:
			f.add(KeyWeak, Refuse, "RSA of %d bits, exponent %d", n, k.E)
		}
		if n <= maxParsedBits && isROCA(k.N) {
			f.add(KeyROCA, Refuse, "RSA modulus has the mark of CVE-2017-15361")
		}
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve) {
			f.add(KeyKind, Refuse, "EC on %s", k.Curve.Params().Name)
		}
	default:
		f.add(KeyKind, Refuse, "%T", pub)
	}
	return f
}

// NewKey checks the key a new certificate is asked for. old is nil on the
// first certificate of a token.
func NewKey(p *profile.Profile, pub crypto.PublicKey, old *x509.Certificate) Findings {
	f := PublicKey(pub)
	same := false
	if spki, err := x509.MarshalPKIXPublicKey(pub); err == nil && old != nil {
		same = bytes.Equal(spki, old.RawSubjectPublicKeyInfo)
	}
	switch {
	case same && !p.CA.SameKeyRenewal:
		f.add(KeySame, Refuse, "the profile wants a new key")
	case !same && !slices.Contains(p.CA.NewKeys, algorithm(pub)):
		f.add(KeyAlgorithm, Refuse, "%s is not in the profile", algorithm(pub))
	}
	return f
}

// algorithm is the profile's name of a key's kind.
func algorithm(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return k.Curve.Params().Name
	}
	return fmt.Sprintf("%T", pub)
}

// bits is the size of an RSA modulus, 0 for other keys.
func bits(pub crypto.PublicKey) int {
	if k, ok := pub.(*rsa.PublicKey); ok {
		return k.N.BitLen()
	}
	return 0
}

// isROCA tests for moduli of Infineon's RSALib: modulo every prime up to 167
// they are powers of 65537 (Nemec et al., CCS 2017, section 2.2). A sound key
// passes for one with probability 2^-27.
func isROCA(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power, found := int64(1), false
		for range p {
			found = found || power == rest
			power = power * (65537 % p) % p
		}
		if !found {
			return false
		}
	}
	return true
}
