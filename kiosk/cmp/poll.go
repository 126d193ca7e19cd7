package cmp

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER } -- RFC 9810, 5.3.22; here exactly one
type pollReq struct{ id int64 }

func (p pollReq) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) { b.AddASN1Int64(p.id) })
	})
}

func readPollReq(s *cryptobyte.String) (body, error) {
	var seq, one cryptobyte.String
	var p pollReq
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&one, asn1.SEQUENCE) || !seq.Empty() ||
		!one.ReadASN1Integer(&p.id) || !one.Empty() {
		return nil, errors.New("not one certReqId")
	}
	return p, nil
}

// PollRepContent ::= SEQUENCE OF SEQUENCE { -- RFC 9810, 5.3.22; here exactly one
//
//	certReqId   INTEGER,
//	checkAfter  INTEGER,  -- seconds
//	reason      PKIFreeText OPTIONAL }
type pollRep struct {
	id     int64
	after  int64
	reason freeText
}

func (p pollRep) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(p.id)
			b.AddASN1Int64(p.after)
			if p.reason != nil {
				p.reason.marshal(b)
			}
		})
	})
}

func readPollRep(s *cryptobyte.String) (body, error) {
	var seq, one cryptobyte.String
	var p pollRep
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&one, asn1.SEQUENCE) || !seq.Empty() ||
		!one.ReadASN1Integer(&p.id) || !one.ReadASN1Integer(&p.after) || p.after < 0 {
		return nil, errors.New("not one certReqId and checkAfter")
	}
	if !one.Empty() {
		var ok bool
		if p.reason, ok = readFreeText(&one); !ok || !one.Empty() {
			return nil, errors.New("malformed reason")
		}
	}
	return p, nil
}

// PollReq asks for the answer to a request that is waiting (RFC 9483, 4.4). It
// is signed by the key that protected the request; SenderNonce is fresh,
// RecipNonce is the senderNonce of the last answer.
type PollReq struct {
	CertReqID     int64 // Answer.CertReqID of the waiting answer
	Signer        crypto.Signer
	SignerCert    *x509.Certificate
	Chain         []*x509.Certificate
	TransactionID []byte
	SenderNonce   []byte
	RecipNonce    []byte
	Time          time.Time
	Recipient     []byte // raw Name
}

// Build returns the message.
func (p PollReq) Build(rand io.Reader) ([]byte, error) {
	h, err := requestHeader(p.TransactionID, p.SenderNonce, p.Recipient, p.Time, false)
	if err != nil {
		return nil, err
	}
	h.RecipNonce = nonEmpty(p.RecipNonce)
	signer := protector{p.Signer, p.SignerCert, p.Chain}
	if err := signer.check(); err != nil {
		return nil, err
	}
	return signer.seal(rand, h, BodyPollReq, pollReq{p.CertReqID})
}
