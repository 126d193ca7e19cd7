package cmp

import (
	"bytes"
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// CertRequest is what an ir, cr or kur asks for. Fields absent in the message
// are nil.
type CertRequest struct {
	Kind       BodyKind
	ID         int64   // certReqId, 0 by RFC 9483, 4.1
	Subject    []byte  // raw Name
	Issuer     []byte  // raw Name
	PublicKey  []byte  // SubjectPublicKeyInfo
	Extensions []byte  // Extensions, as a SEQUENCE
	OldCert    *CertID // control oldCertID

	der  []byte // CertRequest
	popo *proof
}

// Request returns what the message asks for. A nested message must be opened
// with Inner first.
func (m *Message) Request() (*CertRequest, error) {
	msg, ok := m.body.(certReqMsg)
	if !ok {
		return nil, broken(RuleBody, "%v is no certificate request", m.Kind)
	}
	r := &CertRequest{
		Kind:    m.Kind,
		ID:      msg.id,
		Subject: bytes.Clone(msg.template.field(templateSubject)),
		Issuer:  bytes.Clone(msg.template.field(templateIssuer)),
		popo:    msg.popo,
	}
	var err error
	if r.der, err = build(msg.certRequest); err != nil {
		return nil, err
	}
	// publicKey [6] and extensions [9] are IMPLICIT: put the SEQUENCE tag back.
	for n, out := range map[uint8]*[]byte{templatePublicKey: &r.PublicKey, templateExtensions: &r.Extensions} {
		if v := msg.template.field(n); v != nil {
			*out, err = build(func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(v) })
			})
			if err != nil {
				return nil, err
			}
		}
	}
	for _, c := range msg.controls {
		if !isOID(c.Type, oidOldCertID) {
			continue
		}
		if r.OldCert != nil {
			return nil, broken(RuleOldCert, "oldCertID twice")
		}
		if r.OldCert, err = readCertID(c.Value); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// IsKUR reports whether the request is a key update.
func (r *CertRequest) IsKUR() bool { return r.Kind == BodyKUR }

// VerifyPOP verifies the proof of possession by the new key.
func (r *CertRequest) VerifyPOP() error {
	if r.PublicKey == nil {
		return broken(RulePOP, "no public key in the template")
	}
	return r.popo.verify(r.PublicKey, r.der)
}

// CheckRequest verifies a citizen's own kur as a whole, the way a kiosk checks
// its message before it is stored and a CA before it issues: protection by the
// certificate sent along, oldCertID naming that certificate, subject unchanged,
// proof of possession. It returns the old certificate, whose chain, validity
// and revocation are the caller's questions.
func (m *Message) CheckRequest() (*x509.Certificate, *CertRequest, error) {
	if m.Kind != BodyKUR {
		return nil, nil, broken(RuleBody, "%v, not kur", m.Kind)
	}
	old, err := m.ProtectionCert()
	if err != nil {
		return nil, nil, err
	}
	if err := m.VerifyProtection(old); err != nil {
		return nil, nil, err
	}
	r, err := m.Request()
	if err != nil {
		return nil, nil, err
	}
	if r.OldCert == nil || !r.OldCert.Names(old) {
		return nil, nil, broken(RuleOldCert, "oldCertID is not certificate %x, which protects the message", old.SerialNumber)
	}
	if !bytes.Equal(r.Subject, old.RawSubject) {
		return nil, nil, broken(RuleSubject, "subject is not that of the old certificate")
	}
	if err := r.VerifyPOP(); err != nil {
		return nil, nil, err
	}
	return old, r, nil
}

var errShortID = errors.New("cmp: transactionID and senderNonce must have 16 to 64 bytes")

// checkIDs holds to RFC 9483, 3.1: at least 128 random bits each.
func checkIDs(transactionID, senderNonce []byte) error {
	for _, id := range [][]byte{transactionID, senderNonce} {
		if len(id) < 16 || len(id) > maxOctets {
			return errShortID
		}
	}
	return nil
}
