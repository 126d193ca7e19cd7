package cmp

import (
	"crypto/x509"
	"time"
)

// A SignerPolicy says whether a certificate that chains to the pinned CA may
// protect answers, or why not.
type SignerPolicy func(cert *x509.Certificate) error

// CASigner is the usual policy: the certificate has id-kp-cmcCA, or is a CA's
// own (RFC 9810, 4.5). A citizen's or officer's certificate
// of the same CA is neither.
func CASigner(cert *x509.Certificate) error {
	if cert.BasicConstraintsValid && cert.IsCA || hasEKU(cert, true) {
		return nil
	}
	return broken(RuleSigner, "certificate %x lacks id-kp-cmcCA", cert.SerialNumber)
}

// RASigner accepts certificates with id-kp-cmcRA: those of kiosks, which may
// nest messages and ask for certificates with the subject of another.
func RASigner(cert *x509.Certificate) error {
	if hasEKU(cert, false) {
		return nil
	}
	return broken(RuleSigner, "certificate %x lacks id-kp-cmcRA", cert.SerialNumber)
}

func hasEKU(cert *x509.Certificate, ca bool) bool {
	want := oidCMCRA
	if ca {
		want = oidCMCCA
	}
	for _, oid := range cert.UnknownExtKeyUsage {
		if oid.Equal(want) {
			return true
		}
	}
	return false
}

// verifyChain verifies cert up to one of the roots at a time and returns the
// chain without cert itself. Roots nil or a zero time would make x509 fall back
// to the system's roots and clock, so both are refused.
func verifyChain(cert *x509.Certificate, roots *x509.CertPool, intermediates []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	if roots == nil || at.IsZero() {
		return nil, broken(RuleChain, "no anchors or no time to verify certificate %x with", cert.SerialNumber)
	}
	pool := x509.NewCertPool()
	for _, c := range intermediates {
		pool.AddCert(c)
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: pool,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, err
	}
	return chains[0][1:], nil
}
