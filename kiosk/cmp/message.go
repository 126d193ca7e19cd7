package cmp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// BodyKind is the tag number of a PKIBody (RFC 9810, 5.1.2).
type BodyKind uint8

const (
	BodyIR       BodyKind = 0  // initialization request
	BodyIP       BodyKind = 1  // initialization response
	BodyCR       BodyKind = 2  // certification request
	BodyCP       BodyKind = 3  // certification response
	BodyKUR      BodyKind = 7  // key update request
	BodyKUP      BodyKind = 8  // key update response
	BodyPKIConf  BodyKind = 19 // confirmation
	BodyNested   BodyKind = 20 // nested message
	BodyError    BodyKind = 23 // error
	BodyCertConf BodyKind = 24 // certificate confirmation
	BodyPollReq  BodyKind = 25 // polling request
	BodyPollRep  BodyKind = 26 // polling response
)

var bodyNames = map[BodyKind]string{
	BodyIR: "ir", BodyIP: "ip", BodyCR: "cr", BodyCP: "cp", BodyKUR: "kur", BodyKUP: "kup", BodyPKIConf: "pkiConf",
	BodyNested: "nested", BodyError: "error", BodyCertConf: "certConf", BodyPollReq: "pollReq", BodyPollRep: "pollRep",
}

func (k BodyKind) String() string {
	if n, ok := bodyNames[k]; ok {
		return n
	}
	return fmt.Sprintf("body %d", uint8(k))
}

// isRequest reports whether the body asks for a certificate.
func (k BodyKind) isRequest() bool { return k == BodyIR || k == BodyCR || k == BodyKUR }

// isAnswer reports whether the body answers such a request.
func (k BodyKind) isAnswer() bool { return k == BodyIP || k == BodyCP || k == BodyKUP }

// A body is the content of a PKIBody, without its tag.
type body interface {
	marshal(b *cryptobyte.Builder)
}

// PKIMessage ::= SEQUENCE { -- RFC 9810, 5.1
//
//	header          PKIHeader,
//	body            PKIBody,
//	protection  [0] BIT STRING OPTIONAL,
//	extraCerts  [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL }
//
// A Message is read only. Its slices point into one copy of the input.
type Message struct {
	Header Header
	Kind   BodyKind

	raw        []byte
	headerDER  []byte
	bodyDER    []byte // with the [n] tag
	body       body
	protection []byte // nil: unprotected
	extraCerts [][]byte
}

// Parse reads one message. The error is a *CheckError with RuleSyntax.
func Parse(der []byte) (*Message, error) {
	return parse(der, true)
}

func parse(der []byte, mayNest bool) (*Message, error) {
	if len(der) > MaxMessage {
		return nil, broken(RuleSyntax, "message of %d bytes, more than %d", len(der), MaxMessage)
	}
	if err := checkDER(der); err != nil {
		return nil, brokenBy(RuleSyntax, err, "not DER")
	}
	m := &Message{raw: bytes.Clone(der)}
	if err := m.read(mayNest); err != nil {
		return nil, brokenBy(RuleSyntax, err, "malformed message")
	}
	again, err := build(m.marshal)
	if err != nil || !bytes.Equal(again, m.raw) {
		return nil, broken(RuleSyntax, "message is not in DER: marshals to other bytes")
	}
	return m, nil
}

func (m *Message) read(mayNest bool) (err error) {
	s := cryptobyte.String(m.raw)
	var seq, content cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !s.Empty() {
		return errors.New("no sequence")
	}
	rest := seq
	if m.Header, err = readHeader(&seq); err != nil {
		return err
	}
	m.headerDER = rest[:len(rest)-len(seq)]
	rest = seq
	var tag asn1.Tag
	if !seq.ReadAnyASN1(&content, &tag) || tag&0xe0 != 0xa0 {
		return errors.New("no body")
	}
	m.bodyDER = rest[:len(rest)-len(seq)]
	m.Kind = BodyKind(tag & 0x1f)
	if m.body, err = readBody(m.Kind, &content, mayNest); err != nil {
		return err
	}
	if !content.Empty() {
		return fmt.Errorf("%v: trailing bytes", m.Kind)
	}
	if seq.PeekASN1Tag(explicit(0)) {
		if !seq.ReadASN1(&content, explicit(0)) || !content.ReadASN1BitStringAsBytes(&m.protection) || !content.Empty() ||
			len(m.protection) == 0 {
			return errors.New("malformed protection")
		}
	}
	if seq.PeekASN1Tag(explicit(1)) {
		if !seq.ReadASN1(&content, explicit(1)) {
			return errors.New("malformed extraCerts")
		}
		if m.extraCerts, err = readCerts(&content); err != nil || !content.Empty() {
			return errors.New("malformed extraCerts")
		}
	}
	if !seq.Empty() {
		return errors.New("trailing fields")
	}
	if (m.protection == nil) != (m.Header.ProtectionAlg == nil) {
		return errors.New("protection without protectionAlg or the reverse")
	}
	return nil
}

func readBody(kind BodyKind, s *cryptobyte.String, mayNest bool) (body, error) {
	switch {
	case kind.isRequest():
		return readCertReqMessages(s)
	case kind.isAnswer():
		return readCertRepMessage(s)
	case kind == BodyPKIConf:
		return readPKIConf(s)
	case kind == BodyNested && mayNest:
		return readNested(s)
	case kind == BodyError:
		return readErrorContent(s)
	case kind == BodyCertConf:
		return readCertConfirm(s)
	case kind == BodyPollReq:
		return readPollReq(s)
	case kind == BodyPollRep:
		return readPollRep(s)
	}
	return nil, fmt.Errorf("%v not accepted here", kind)
}

func (m *Message) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		m.Header.marshal(b)
		b.AddASN1(explicit(uint8(m.Kind)), m.body.marshal)
		if m.protection != nil {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1BitString(m.protection) })
		}
		if m.extraCerts != nil {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { marshalCerts(b, m.extraCerts) })
		}
	})
}

// readCerts reads SEQUENCE SIZE (1..16) OF Certificate, each as it is.
func readCerts(s *cryptobyte.String) ([][]byte, error) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || seq.Empty() {
		return nil, errors.New("no certificates")
	}
	var certs [][]byte
	for !seq.Empty() {
		c, ok := element(&seq, asn1.SEQUENCE)
		if !ok || len(certs) == maxCerts {
			return nil, errors.New("malformed or too many certificates")
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func marshalCerts(b *cryptobyte.Builder, certs [][]byte) {
	addSequence(b, func(b *cryptobyte.Builder) {
		for _, c := range certs {
			b.AddBytes(c)
		}
	})
}

// Raw returns the message as it was read.
func (m *Message) Raw() []byte { return bytes.Clone(m.raw) }

// Digest is SHA-256 of the message with its protection: what an officer attests.
func (m *Message) Digest() [32]byte { return sha256.Sum256(m.raw) }

// TransactionID, SenderNonce, RecipNonce and Time are header fields; nil or
// zero if absent.
func (m *Message) TransactionID() []byte { return bytes.Clone(m.Header.TransactionID) }
func (m *Message) SenderNonce() []byte   { return bytes.Clone(m.Header.SenderNonce) }
func (m *Message) RecipNonce() []byte    { return bytes.Clone(m.Header.RecipNonce) }
func (m *Message) Time() time.Time       { return m.Header.Time }

// Protected reports whether there is a protection; VerifyProtection whether it
// is good.
func (m *Message) Protected() bool { return m.protection != nil }

// ImplicitConfirm reports whether implicit confirmation is asked for (in a
// request) or granted (in an answer), RFC 9810, 5.1.1.1.
func (m *Message) ImplicitConfirm() bool { return m.Header.implicitConfirm() }

// Attestation returns the officer's CMS out of generalInfo, or nil. It is not
// verified; VerifyAttestation does that.
func (m *Message) Attestation() []byte {
	v, _ := m.Header.info(oidAttestation)
	return bytes.Clone(v)
}

// ExtraCerts returns the certificates sent along, the first being the one that
// protects the message (RFC 9483, 3.3). They prove nothing by themselves.
// Those which do not parse are left out.
func (m *Message) ExtraCerts() []*x509.Certificate { return parseCerts(m.extraCerts) }

func parseCerts(ders [][]byte) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, der := range ders {
		if c, err := x509.ParseCertificate(der); err == nil {
			certs = append(certs, c)
		}
	}
	return certs
}
