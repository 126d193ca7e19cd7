package cmp

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Officers says whose attestations count: certificates that chain to Anchors
// and pass Allow. Chaining alone is not enough, as a citizen's certificate may
// come from the same CA; with Allow nil nobody is an officer.
type Officers struct {
	Anchors       *x509.CertPool
	Intermediates []*x509.Certificate
	Allow         func(cert *x509.Certificate) error
	// AnyTime leaves the officer's dates alone, for a statement whose clockQuality
	// says that its time is not known: the chain is built on the certificate's first day.
	AnyTime bool
}

// OfficerList allows exactly these certificates.
func OfficerList(certs ...*x509.Certificate) func(*x509.Certificate) error {
	return func(cert *x509.Certificate) error {
		for _, c := range certs {
			if c.Equal(cert) {
				return nil
			}
		}
		return broken(RuleOfficer, "certificate %x is not on the list of officers", cert.SerialNumber)
	}
}

// VerifyAttestation verifies an attestation by an officer whose certificate is
// good at the given time, and returns the statement and the officer's
// certificate. Statement.CheckRequest then ties it to a message. Errors are a
// *CheckError with RuleAttest or RuleOfficer.
func VerifyAttestation(der []byte, officers Officers, at time.Time) (Statement, *x509.Certificate, error) {
	fail := func(err error) (Statement, *x509.Certificate, error) { return Statement{}, nil, err }
	a, err := parseAttestation(der)
	if err != nil {
		return fail(err)
	}
	s, err := parseStatement(a.content)
	if err != nil {
		return fail(err)
	}
	if !s.Time.Equal(a.time) {
		return fail(broken(RuleAttest, "signingTime %s is not the statement's time", a.time.Format(time.RFC3339)))
	}
	attrs, err := a.signedAttrs()
	if err != nil {
		return fail(err)
	}
	alg, err := readAlgorithm(a.algorithm)
	if err != nil {
		return fail(brokenBy(RuleAttest, err, "attestation"))
	}
	if want, err := algorithmFor(a.signer.PublicKey); err != nil || alg.hash != want.hash {
		return fail(brokenBy(RuleAttest, err, "attestation not signed with SHA-256 by an accepted key"))
	}
	if err := verifySignature(a.signer.PublicKey, alg, attrs, a.signature); err != nil {
		return fail(brokenBy(RuleAttest, err, "attestation by certificate %x", a.signer.SerialNumber))
	}
	if err := checkMayAttest(a.signer); err != nil {
		return fail(brokenBy(RuleOfficer, err, "officer"))
	}
	if officers.AnyTime {
		at = a.signer.NotBefore
	}
	if _, err := verifyChain(a.signer, officers.Anchors, slices.Concat(parseCerts(a.certs), officers.Intermediates), at); err != nil {
		return fail(brokenBy(RuleOfficer, err, "officer's certificate %x", a.signer.SerialNumber))
	}
	if officers.Allow == nil {
		return fail(broken(RuleOfficer, "no policy says who is an officer"))
	}
	if err := officers.Allow(a.signer); err != nil {
		return fail(brokenBy(RuleOfficer, err, "officer's certificate %x", a.signer.SerialNumber))
	}
	return s, a.signer, nil
}

// parseAttestation accepts exactly the bytes that marshal makes.
func parseAttestation(der []byte) (*attestation, error) {
	if len(der) > MaxMessage {
		return nil, broken(RuleAttest, "attestation of %d bytes, more than %d", len(der), MaxMessage)
	}
	a := new(attestation)
	if err := a.read(bytes.Clone(der)); err != nil {
		return nil, brokenBy(RuleAttest, err, "malformed attestation")
	}
	again, err := build(a.marshal)
	if err != nil || !bytes.Equal(again, der) {
		return nil, broken(RuleAttest, "attestation marshals to other bytes")
	}
	return a, nil
}

// read takes out the variable parts; that the fixed parts are what they should
// be shows when it is marshalled again.
func (a *attestation) read(der []byte) error {
	in := cryptobyte.String(der)
	var outer, explicit0, sd, v, one, info, attrs cryptobyte.String
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() || !outer.SkipASN1(asn1.OBJECT_IDENTIFIER) ||
		!outer.ReadASN1(&explicit0, explicit(0)) || !explicit0.ReadASN1(&sd, asn1.SEQUENCE) {
		return errors.New("no signedData")
	}
	if !sd.SkipASN1(asn1.INTEGER) || !sd.SkipASN1(asn1.SET) || !sd.ReadASN1(&v, asn1.SEQUENCE) ||
		!v.SkipASN1(asn1.OBJECT_IDENTIFIER) || !v.ReadASN1(&one, explicit(0)) || !one.ReadASN1Bytes(&a.content, asn1.OCTET_STRING) {
		return errors.New("no content")
	}
	if !sd.ReadASN1(&v, explicit(0)) {
		return errors.New("no certificates")
	}
	for !v.Empty() {
		c, ok := element(&v, asn1.SEQUENCE)
		if !ok || len(a.certs) == maxOfficerCerts {
			return errors.New("malformed or too many certificates")
		}
		a.certs = append(a.certs, c)
	}
	if !sd.ReadASN1(&v, asn1.SET) || !v.ReadASN1(&info, asn1.SEQUENCE) || !info.SkipASN1(asn1.INTEGER) || !info.ReadASN1(&one, asn1.SEQUENCE) {
		return errors.New("no signerInfo")
	}
	serial := new(big.Int)
	issuer, ok := element(&one, asn1.SEQUENCE)
	if !ok || !one.ReadASN1Integer(serial) {
		return errors.New("malformed signer identifier")
	}
	if !info.SkipASN1(asn1.SEQUENCE) || !info.ReadASN1(&attrs, explicit(0)) {
		return errors.New("no signed attributes")
	}
	if a.algorithm, ok = element(&info, asn1.SEQUENCE); !ok || !info.ReadASN1Bytes(&a.signature, asn1.OCTET_STRING) {
		return errors.New("no signature")
	}
	if err := a.readTime(attrs); err != nil {
		return err
	}
	for _, c := range parseCerts(a.certs) {
		if bytes.Equal(c.RawIssuer, issuer) && c.SerialNumber.Cmp(serial) == 0 {
			a.signer = c
			return nil
		}
	}
	return fmt.Errorf("certificate %x of the signer is not sent along", serial)
}

// readTime finds the signingTime; the other attributes follow from the rest.
func (a *attestation) readTime(attrs cryptobyte.String) error {
	var attr, v cryptobyte.String
	for !attrs.Empty() {
		if !attrs.ReadASN1(&attr, asn1.SEQUENCE) {
			return errors.New("malformed attribute")
		}
		oid, ok := element(&attr, asn1.OBJECT_IDENTIFIER)
		if ok && isOID(oid, oidSigningTime) {
			if !attr.ReadASN1(&v, asn1.SET) || !v.ReadASN1UTCTime(&a.time) {
				return errors.New("malformed signingTime")
			}
			a.time = a.time.UTC()
			return nil
		}
	}
	return errors.New("no signingTime")
}
