package cmp

import (
	"bytes"
	"crypto/x509"
	"time"
)

// Sent says which of our messages an answer is expected to.
type Sent uint8

const (
	SentRequest  Sent = iota // kur or ir, nested or not
	SentPollReq              // pollReq
	SentCertConf             // certConf
)

// Expect is what an answer must fit to be believed. Message.Expect fills in
// what our own stored request tells; Anchors and Time must be added.
type Expect struct {
	Sent          Sent
	TransactionID []byte
	Nonce         []byte            // senderNonce of the message answered
	PublicKey     []byte            // SubjectPublicKeyInfo asked for
	Subject       []byte            // raw Name asked for
	OldCert       *x509.Certificate // nil after an ir
	SameKey       bool              // the old key is renewed; otherwise it is refused

	Anchors       *x509.CertPool      // pinned CA, for signer and certificate alike
	Intermediates []*x509.Certificate // known issuers, and the CA's CMP certificate if it is not sent along
	Signers       SignerPolicy        // nil: CASigner
	Time          time.Time           // now
	// TimeUnproven says that Time may be far off. The answer's dates are then judged
	// by its own messageTime, which its protection covers, but by none before
	// Earliest: it is later than that for certain.
	TimeUnproven bool
	Earliest     time.Time
	Skew         time.Duration // how far notBefore may lie after Time
}

// Expect returns what the answer to our own request must fit. Sent is
// SentRequest; Nonce must be replaced after a pollReq or certConf.
func (m *Message) Expect() (Expect, error) {
	if m.Kind == BodyNested {
		inner, err := m.Inner()
		if err != nil {
			return Expect{}, err
		}
		m = inner
	}
	r, err := m.Request()
	if err != nil {
		return Expect{}, err
	}
	e := Expect{
		TransactionID: m.TransactionID(),
		Nonce:         m.SenderNonce(),
		PublicKey:     r.PublicKey,
		Subject:       r.Subject,
	}
	if m.Kind == BodyKUR {
		if e.OldCert, err = m.ProtectionCert(); err != nil {
			return Expect{}, err
		}
		e.SameKey = bytes.Equal(e.PublicKey, e.OldCert.RawSubjectPublicKeyInfo)
	}
	return e, nil
}

// AnswerKind says what an answer means.
type AnswerKind uint8

const (
	// Hint is an unprotected error: anybody on the network may have made it. It
	// may be shown and logged; it must not change any state.
	Hint      AnswerKind = iota
	Issued               // Cert is the certificate asked for
	Waiting              // ask again with a PollReq
	Rejected             // refused by the CA
	Confirmed            // pkiConf: the CA took our certConf
)

func (k AnswerKind) String() string {
	return [...]string{"hint", "issued", "waiting", "rejected", "confirmed"}[k]
}

// Answer is a checked answer of the CA.
type Answer struct {
	Kind   AnswerKind
	Signer *x509.Certificate // who protected it; nil for a Hint

	SenderNonce []byte    // the next message's RecipNonce
	Time        time.Time // messageTime: the CA's clock when it answered; zero: not said
	CertReqID   int64     // the next message's CertReqID
	StatusInfo            // text is cleaned of control characters

	Cert              *x509.Certificate   // Issued
	Chain             []*x509.Certificate // Issued: issuer up to the anchor
	ImplicitConfirmed bool                // Issued: no certConf is needed
	ConfirmWait       time.Time           // Issued: after it the CA may revoke unconfirmed certificates; zero: not said
	CheckAfter        time.Duration       // Waiting: when to ask, at most MaxCheckAfter
}

// WithMods reports whether the CA changed something: to be shown to people.
func (a Answer) WithMods() bool { return a.Kind == Issued && a.Status == StatusGrantedWithMods }

// Duplicate reports whether the CA refused because it has the transaction
// already: our request arrived before, and its answer got lost. It is not a
// refusal of the person.
func (a Answer) Duplicate() bool {
	return a.Kind == Rejected && a.FailInfo&FailTransactionIDInUse != 0
}

// MaxCheckAfter caps how long a CA can make us wait before asking again.
const MaxCheckAfter = 24 * time.Hour
