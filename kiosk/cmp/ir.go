package cmp

import (
	"crypto"
	"crypto/x509"
	"io"
	"time"
)

// IR is an initialization request on behalf of a citizen whose token is blank
// (RFC 9483, 4.1.1 and 5.3.1): sender is the kiosk with its RA key, the subject
// is the citizen, the new key proves its possession.
//
// The officer's attestation covers the whole message, so it cannot be inside
// it: like a kur, an ir travels in a Nested.
type IR struct {
	Subject       []byte // raw Name
	NewKey        crypto.Signer
	Signer        crypto.Signer // kiosk's RA key
	SignerCert    *x509.Certificate
	Chain         []*x509.Certificate
	TransactionID []byte
	SenderNonce   []byte
	Time          time.Time
	Recipient     []byte // raw Name

	ImplicitConfirm bool
}

// Build returns the message.
func (r IR) Build(rand io.Reader) ([]byte, error) {
	p := protector{r.Signer, r.SignerCert, r.Chain}
	if err := p.check(); err != nil {
		return nil, err
	}
	if r.NewKey == nil {
		return nil, broken(RuleKey, "ir without a new key")
	}
	h, err := requestHeader(r.TransactionID, r.SenderNonce, r.Recipient, r.Time, r.ImplicitConfirm)
	if err != nil {
		return nil, err
	}
	req, err := newCertReqMsg(rand, r.Subject, r.NewKey, nil)
	if err != nil {
		return nil, err
	}
	return p.seal(rand, h, BodyIR, req)
}
