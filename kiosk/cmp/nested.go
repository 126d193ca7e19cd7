package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// NestedMessageContent ::= PKIMessages ::= SEQUENCE SIZE (1..MAX) OF PKIMessage -- RFC 9810, 5.1.3.5
//
// Exactly one message here, itself not nested.
type nestedContent struct{ inner *Message }

func (n nestedContent) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) { b.AddBytes(n.inner.raw) })
}

func readNested(s *cryptobyte.String) (body, error) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) {
		return nil, errors.New("nested is no sequence")
	}
	der, ok := element(&seq, asn1.SEQUENCE)
	if !ok || !seq.Empty() {
		return nil, errors.New("not one nested message")
	}
	inner, err := parse(der, false)
	if err != nil {
		return nil, err
	}
	return nestedContent{inner}, nil
}

// Nested adds the kiosk's protection to a citizen's message (RFC 9483,
// 5.2.2.1). Inner goes in unchanged, protection included; transactionID and
// senderNonce are copied from it. Receivers that do not know the attestation
// ignore it.
type Nested struct {
	Inner       []byte // one PKIMessage
	Key         crypto.Signer
	Cert        *x509.Certificate // with id-kp-cmcRA
	Chain       []*x509.Certificate
	Attestation []byte // CMS of Attest, or nil
	Time        time.Time
	Recipient   []byte // raw Name
}

// Build returns the message.
func (n Nested) Build(rand io.Reader) ([]byte, error) {
	inner, err := parse(n.Inner, false)
	if err != nil {
		return nil, err
	}
	if !inner.Protected() {
		return nil, broken(RuleNested, "inner %v is not protected", inner.Kind)
	}
	p := protector{n.Key, n.Cert, n.Chain}
	if err := p.check(); err != nil {
		return nil, err
	}
	h, err := requestHeader(inner.Header.TransactionID, inner.Header.SenderNonce, n.Recipient, n.Time, false)
	if err != nil {
		return nil, err
	}
	h.RecipNonce = inner.Header.RecipNonce
	if n.Attestation != nil {
		if err := h.addInfo(oidAttestation, n.Attestation); err != nil {
			return nil, err
		}
	}
	return p.seal(rand, h, BodyNested, nestedContent{inner})
}

// Inner returns the message inside a nested one, after checking that both carry
// the same transactionID and senderNonce. Neither protection is verified.
func (m *Message) Inner() (*Message, error) {
	n, ok := m.body.(nestedContent)
	if !ok {
		return nil, broken(RuleBody, "%v is not nested", m.Kind)
	}
	if !bytes.Equal(m.Header.TransactionID, n.inner.Header.TransactionID) {
		return nil, broken(RuleNested, "nested transactionID is not that of the inner message")
	}
	if !bytes.Equal(m.Header.SenderNonce, n.inner.Header.SenderNonce) {
		return nil, broken(RuleNested, "nested senderNonce is not that of the inner message")
	}
	return n.inner, nil
}
