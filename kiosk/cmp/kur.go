package cmp

import (
	"crypto"
	"crypto/x509"
	"io"
	"time"
)

// KUR is a key update request (RFC 9810, 5.3.5; RFC 9483, 4.1.3): the citizen's
// old key asks for a certificate with the same subject for a new key, which
// proves its possession. With NewKey nil the old key is kept and proves both.
type KUR struct {
	OldCert       *x509.Certificate
	Chain         []*x509.Certificate // issuers of OldCert; roots are left out
	OldKey        crypto.Signer       // protects the message
	NewKey        crypto.Signer       // nil: renewal of the old key
	TransactionID []byte              // 16 random bytes
	SenderNonce   []byte              // 16 random bytes
	Time          time.Time           // messageTime
	Recipient     []byte              // raw Name of the CA, as in OldCert.RawIssuer

	ImplicitConfirm bool

	// TimeUnproven leaves the old certificate's dates to the CA: Time is all the
	// sender knows, and may be wrong.
	TimeUnproven bool
}

// Build returns the message. It signs twice: with the new key, then with the
// old one; nothing is signed before all parts are checked. A certificate that
// is not valid at Time (unless TimeUnproven) or lacks digitalSignature is refused, since every CA
// would refuse it. rand is handed to the keys. A built message is stored and
// sent as it is, never built again: a CA knows the transactionID by its bytes.
func (k KUR) Build(rand io.Reader) ([]byte, error) {
	p := protector{k.OldKey, k.OldCert, k.Chain}
	if err := p.check(); err != nil {
		return nil, err
	}
	if !k.TimeUnproven && (k.Time.Before(k.OldCert.NotBefore) || k.Time.After(k.OldCert.NotAfter)) {
		return nil, broken(RuleValidity, "old certificate %x is not valid at %s", k.OldCert.SerialNumber, k.Time.UTC().Format(time.RFC3339))
	}
	newKey := k.NewKey
	if newKey == nil {
		newKey = k.OldKey
	}
	h, err := requestHeader(k.TransactionID, k.SenderNonce, k.Recipient, k.Time, k.ImplicitConfirm)
	if err != nil {
		return nil, err
	}
	req, err := newCertReqMsg(rand, k.OldCert.RawSubject, newKey, k.OldCert)
	if err != nil {
		return nil, err
	}
	return p.seal(rand, h, BodyKUR, req)
}

// requestHeader is the header of a first message.
func requestHeader(transactionID, senderNonce, recipient []byte, t time.Time, implicit bool) (Header, error) {
	h := Header{
		Recipient:     recipient,
		Time:          t,
		TransactionID: transactionID,
		SenderNonce:   senderNonce,
	}
	if err := checkIDs(transactionID, senderNonce); err != nil {
		return h, err
	}
	if !isName(recipient) {
		return h, broken(RuleSyntax, "recipient %x is no name", recipient)
	}
	if implicit {
		if err := h.addInfo(oidImplicitConfirm, derNull); err != nil {
			return h, err
		}
	}
	return h, nil
}
