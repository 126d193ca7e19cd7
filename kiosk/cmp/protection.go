package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
)

// ProtectedPart ::= SEQUENCE { header PKIHeader, body PKIBody } -- RFC 9810, 5.1.3
//
// It is signed but does not occur as such in the message; the body carries its
// [n] tag.
func protectedPart(header, body []byte) ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			b.AddBytes(header)
			b.AddBytes(body)
		})
	})
}

// VerifyProtection verifies that the message was protected by the key of cert,
// that sender and senderKID name it, and that its keyUsage allows it. Whether
// cert itself is to be trusted is the caller's question.
func (m *Message) VerifyProtection(cert *x509.Certificate) error {
	if m.protection == nil {
		return broken(RuleProtection, "%v is not protected", m.Kind)
	}
	if !m.namesSender(cert) {
		return broken(RuleProtection, "sender is not the subject and key of certificate %x", cert.SerialNumber)
	}
	if err := checkMaySign(cert); err != nil {
		return err
	}
	alg, err := readAlgorithm(m.Header.ProtectionAlg)
	if err != nil {
		return err
	}
	part, err := protectedPart(m.headerDER, m.bodyDER)
	if err != nil {
		return err
	}
	err = verifySignature(cert.PublicKey, alg, part, m.protection)
	if errors.Is(err, errSignature) {
		return brokenBy(RuleProtection, err, "protection of %v by certificate %x", m.Kind, cert.SerialNumber)
	}
	return err
}

// namesSender reports whether sender and senderKID fit a certificate.
func (m *Message) namesSender(cert *x509.Certificate) bool {
	if !bytes.Equal(m.Header.Sender, cert.RawSubject) {
		return false
	}
	return m.Header.SenderKID == nil || cert.SubjectKeyId == nil || bytes.Equal(m.Header.SenderKID, cert.SubjectKeyId)
}

// ProtectionCert returns the first of the certificates sent along that fits
// sender and senderKID.
func (m *Message) ProtectionCert() (*x509.Certificate, error) {
	for _, c := range m.ExtraCerts() {
		if m.namesSender(c) {
			return c, nil
		}
	}
	return nil, broken(RuleProtection, "%v carries no certificate of its sender", m.Kind)
}

// A protector signs messages. With a nil key it sends them unprotected.
type protector struct {
	key   crypto.Signer
	cert  *x509.Certificate
	chain []*x509.Certificate
}

// check reports whether the parts fit, before a PIN is spent on them.
func (p protector) check() error {
	if p.key == nil || p.cert == nil {
		return errors.New("cmp: protection needs a key and its certificate")
	}
	if err := checkKeyOf(p.key, p.cert); err != nil {
		return err
	}
	return checkMaySign(p.cert)
}

// seal fills in the fields of the header that name the signer, signs, and
// reads the outcome back: what leaves here is what Parse accepts.
func (p protector) seal(rand io.Reader, h Header, kind BodyKind, content body) ([]byte, error) {
	m := &Message{Header: h, Kind: kind, body: content}
	h = Header{}
	if p.key != nil {
		if err := p.check(); err != nil {
			return nil, err
		}
		alg, err := algorithmFor(p.key.Public())
		if err != nil {
			return nil, err
		}
		if m.Header.ProtectionAlg, err = alg.der(); err != nil {
			return nil, err
		}
		m.Header.SenderKID = nonEmpty(p.cert.SubjectKeyId)
		m.extraCerts = p.extraCerts()
	}
	m.Header.Version = version2
	if m.Header.Sender == nil {
		m.Header.Sender = p.cert.RawSubject
	}
	header, err := build(m.Header.marshal)
	if err != nil {
		return nil, fmt.Errorf("cmp: header: %w", err)
	}
	bodyDER, err := build(func(b *cryptobyte.Builder) { b.AddASN1(explicit(uint8(kind)), content.marshal) })
	if err != nil {
		return nil, fmt.Errorf("cmp: %v: %w", kind, err)
	}
	if p.key != nil {
		part, err := protectedPart(header, bodyDER)
		if err != nil {
			return nil, err
		}
		if m.protection, err = sign(rand, p.key, part); err != nil {
			return nil, err
		}
	}
	der, err := build(m.marshal)
	if err != nil {
		return nil, fmt.Errorf("cmp: %v: %w", kind, err)
	}
	if _, err := Parse(der); err != nil {
		return nil, err
	}
	return der, nil
}

// extraCerts are the signer's certificate, then the chain without roots
// (RFC 9483, 3.3).
func (p protector) extraCerts() [][]byte {
	certs := [][]byte{p.cert.Raw}
	for _, c := range p.chain {
		if !bytes.Equal(c.RawIssuer, c.RawSubject) && !bytes.Equal(c.Raw, p.cert.Raw) {
			certs = append(certs, c.Raw)
		}
	}
	return certs
}

func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
