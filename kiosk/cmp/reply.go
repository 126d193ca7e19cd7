package cmp

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Reply makes a CA's answers. To is the message answered: of a nested message
// the inner one. It gives transactionID, recipNonce (its senderNonce), recipient
// (its sender) and the kind of the answer.
type Reply struct {
	To          *Message // nil only for an Error to something unreadable
	Key         crypto.Signer
	Cert        *x509.Certificate // with id-kp-cmcCA
	Chain       []*x509.Certificate
	SenderNonce []byte
	Time        time.Time

	Body          BodyKind  // ip, cp or kup; 0: as To asks, needed if To is a pollReq
	GrantImplicit bool      // grant implicitConfirm
	ConfirmWait   time.Time // confirmWaitTime; zero: absent
	Unprotected   bool      // for an Error: Key is not used
	TransactionID []byte    // instead of To's
	RecipNonce    []byte    // instead of To's senderNonce
}

// Issued returns a certificate; modified sets status grantedWithMods. caPubs
// are sent along and not to be trusted.
func (r Reply) Issued(rand io.Reader, cert *x509.Certificate, modified bool, caPubs ...*x509.Certificate) ([]byte, error) {
	if cert == nil {
		return nil, errors.New("cmp: reply: no certificate to return")
	}
	c := certRepMessage{cert: cert.Raw}
	if modified {
		c.status.Status = StatusGrantedWithMods
	}
	for _, ca := range caPubs {
		c.caPubs = append(c.caPubs, ca.Raw)
	}
	return r.certRep(rand, c)
}

// Waiting tells the requester to poll.
func (r Reply) Waiting(rand io.Reader) ([]byte, error) {
	return r.certRep(rand, certRepMessage{status: StatusInfo{Status: StatusWaiting}})
}

// Rejected refuses the request in the body that answers it.
func (r Reply) Rejected(rand io.Reader, fail FailInfo, text ...string) ([]byte, error) {
	return r.certRep(rand, certRepMessage{status: StatusInfo{Status: StatusRejection, Text: text, FailInfo: fail}})
}

func (r Reply) certRep(rand io.Reader, c certRepMessage) ([]byte, error) {
	kind := r.Body
	if kind == 0 && r.To != nil && r.To.Kind.isRequest() {
		kind = r.To.Kind + 1 // ir 0 ip 1, cr 2 cp 3, kur 7 kup 8
	}
	if !kind.isAnswer() {
		return nil, errors.New("cmp: reply: body must be ip, cp or kup")
	}
	return r.seal(rand, kind, c)
}

// Error is an error message with status rejection.
func (r Reply) Error(rand io.Reader, fail FailInfo, text ...string) ([]byte, error) {
	return r.seal(rand, BodyError, errorContent{status: StatusInfo{Status: StatusRejection, Text: text, FailInfo: fail}})
}

// PollRep tells the requester to ask again after the given time.
func (r Reply) PollRep(rand io.Reader, after time.Duration, reason ...string) ([]byte, error) {
	p := pollRep{after: int64(after / time.Second), reason: reason}
	if r.To != nil {
		if q, ok := r.To.body.(pollReq); ok {
			p.id = q.id
		}
	}
	return r.seal(rand, BodyPollRep, p)
}

// PKIConf answers a certConf.
func (r Reply) PKIConf(rand io.Reader) ([]byte, error) {
	return r.seal(rand, BodyPKIConf, pkiConf{})
}

var emptyName = []byte{0x30, 0}

func (r Reply) seal(rand io.Reader, kind BodyKind, content body) ([]byte, error) {
	h := Header{Recipient: emptyName, Time: r.Time, SenderNonce: nonEmpty(r.SenderNonce)}
	if r.To != nil {
		h.Recipient = r.To.Header.Sender
		h.RecipKID = r.To.Header.SenderKID
		h.TransactionID = r.To.Header.TransactionID
		h.RecipNonce = r.To.Header.SenderNonce
	}
	if r.TransactionID != nil {
		h.TransactionID = r.TransactionID
	}
	if r.RecipNonce != nil {
		h.RecipNonce = r.RecipNonce
	}
	if r.GrantImplicit {
		if err := h.addInfo(oidImplicitConfirm, derNull); err != nil {
			return nil, err
		}
	}
	if !r.ConfirmWait.IsZero() {
		t, err := build(func(b *cryptobyte.Builder) { addTime(b, r.ConfirmWait) })
		if err != nil {
			return nil, err
		}
		if err := h.addInfo(oidConfirmWaitTime, t); err != nil {
			return nil, err
		}
	}
	if r.Unprotected {
		h.Sender = emptyName
		if r.Cert != nil {
			h.Sender = r.Cert.RawSubject
		}
		return protector{}.seal(rand, h, kind, content)
	}
	p := protector{r.Key, r.Cert, r.Chain}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p.seal(rand, h, kind, content)
}
