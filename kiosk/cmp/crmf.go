package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	encasn1 "encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// CertReqMessages ::= SEQUENCE SIZE (1..MAX) OF CertReqMsg -- RFC 4211, 3; here exactly one
//
//	CertReqMsg ::= SEQUENCE {
//	   certReq   CertRequest,
//	   popo      ProofOfPossession OPTIONAL,
//	   regInfo   SEQUENCE SIZE (1..MAX) OF AttributeTypeAndValue OPTIONAL }
//
//	CertRequest ::= SEQUENCE { -- RFC 4211, 5
//	   certReqId     INTEGER,
//	   certTemplate  CertTemplate,
//	   controls      SEQUENCE SIZE (1..MAX) OF AttributeTypeAndValue OPTIONAL }
//
// The CRMF module has IMPLICIT tags, the CMP module EXPLICIT ones.
type certReqMsg struct {
	id       int64
	template certTemplate
	controls []Info
	popo     *proof
	regInfo  []Info
}

// CertTemplate ::= SEQUENCE { -- RFC 4211, 5
//
//	version [0], serialNumber [1], signingAlg [2], issuer [3] Name, validity [4],
//	subject [5] Name, publicKey [6] SubjectPublicKeyInfo, issuerUID [7], subjectUID [8],
//	extensions [9] Extensions, all OPTIONAL }
//
// Each field is kept as it came, in ascending order.
type certTemplate []templateField

type templateField struct {
	tag   asn1.Tag
	value []byte // content octets
}

const (
	templateIssuer     = 3
	templateSubject    = 5
	templatePublicKey  = 6
	templateExtensions = 9
)

func (t certTemplate) field(n uint8) []byte {
	for _, f := range t {
		if uint8(f.tag&0x1f) == n {
			return f.value
		}
	}
	return nil
}

func (t certTemplate) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		for _, f := range t {
			b.AddASN1(f.tag, func(b *cryptobyte.Builder) { b.AddBytes(f.value) })
		}
	})
}

func readTemplate(s *cryptobyte.String) (certTemplate, error) {
	var seq, value cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) {
		return nil, errors.New("certTemplate is no sequence")
	}
	var t certTemplate
	for !seq.Empty() {
		var tag asn1.Tag
		if !seq.ReadAnyASN1(&value, &tag) || tag&0xc0 != 0x80 || tag&0x1f > templateExtensions ||
			len(t) > 0 && tag&0x1f <= t[len(t)-1].tag&0x1f {
			return nil, errors.New("malformed field in certTemplate")
		}
		t = append(t, templateField{tag, value})
	}
	for _, n := range []uint8{templateIssuer, templateSubject} {
		if f := t.field(n); f != nil && !isName(f) {
			return nil, errors.New("malformed name in certTemplate")
		}
	}
	return t, nil
}

// certRequest marshals CertRequest, which the proof of possession covers;
// regInfo it does not cover.
func (r certReqMsg) certRequest(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(r.id)
		r.template.marshal(b)
		if r.controls != nil {
			marshalInfos(b, r.controls)
		}
	})
}

func (r certReqMsg) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			r.certRequest(b)
			if r.popo != nil {
				r.popo.marshal(b)
			}
			if r.regInfo != nil {
				marshalInfos(b, r.regInfo)
			}
		})
	})
}

func readCertReqMessages(s *cryptobyte.String) (body, error) {
	var seq, msg, req cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&msg, asn1.SEQUENCE) || !seq.Empty() {
		return nil, errors.New("not one request")
	}
	var r certReqMsg
	var err error
	if !msg.ReadASN1(&req, asn1.SEQUENCE) || !req.ReadASN1Integer(&r.id) {
		return nil, errors.New("malformed certRequest")
	}
	if r.template, err = readTemplate(&req); err != nil {
		return nil, err
	}
	ok := true
	if !req.Empty() {
		if r.controls, ok = readInfos(&req); !ok || !req.Empty() {
			return nil, errors.New("malformed controls")
		}
	}
	if !msg.Empty() && !msg.PeekASN1Tag(asn1.SEQUENCE) {
		if r.popo, err = readProof(&msg); err != nil {
			return nil, err
		}
	}
	if !msg.Empty() {
		if r.regInfo, ok = readInfos(&msg); !ok || !msg.Empty() {
			return nil, errors.New("malformed regInfo")
		}
	}
	return r, nil
}

// newCertReqMsg makes a request for subject and the key's public key, with the
// proof of possession by that key. old is named in oldCertID, or nil.
func newCertReqMsg(rand io.Reader, subject []byte, key crypto.Signer, old *x509.Certificate) (certReqMsg, error) {
	var r certReqMsg
	if !isName(subject) {
		return r, broken(RuleSubject, "subject %x is no name", subject)
	}
	spki, err := spkiOf(key)
	if err != nil {
		return r, err
	}
	s := cryptobyte.String(spki)
	var keyFields cryptobyte.String // [6] is IMPLICIT: the SEQUENCE tag goes
	if !s.ReadASN1(&keyFields, asn1.SEQUENCE) {
		return r, errors.New("cmp: public key is no sequence")
	}
	r.template = certTemplate{
		{explicit(templateSubject), subject}, // Name is a CHOICE, so explicit
		{explicit(templatePublicKey), keyFields},
	}
	if old != nil {
		id, err := CertID{Issuer: old.RawIssuer, Serial: old.SerialNumber}.info()
		if err != nil {
			return r, fmt.Errorf("cmp: oldCertID: %w", err)
		}
		r.controls = []Info{id}
	}
	der, err := build(r.certRequest)
	if err != nil {
		return r, fmt.Errorf("cmp: certRequest: %w", err)
	}
	r.popo, err = newProof(rand, key, der)
	return r, err
}

// CertID ::= SEQUENCE { issuer GeneralName, serialNumber INTEGER } -- RFC 4211, 6.5
type CertID struct {
	Issuer []byte // raw Name
	Serial *big.Int
}

// Names reports whether the CertID is that of cert.
func (id CertID) Names(cert *x509.Certificate) bool {
	return id.Serial != nil && bytes.Equal(id.Issuer, cert.RawIssuer) && id.Serial.Cmp(cert.SerialNumber) == 0
}

func (id CertID) info() (Info, error) {
	typ, err := build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidOldCertID) })
	if err != nil {
		return Info{}, err
	}
	value, err := build(func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			addExplicit(b, 4, id.Issuer)
			b.AddASN1BigInt(id.Serial)
		})
	})
	return Info{Type: typ, Value: value}, err
}

func readCertID(der []byte) (*CertID, error) {
	s := cryptobyte.String(der)
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !s.Empty() {
		return nil, broken(RuleOldCert, "oldCertID is no sequence")
	}
	issuer, ok := readDirectoryName(&seq)
	serial := new(big.Int)
	if !ok || !seq.ReadASN1Integer(serial) || !seq.Empty() {
		return nil, broken(RuleOldCert, "malformed oldCertID")
	}
	return &CertID{Issuer: issuer, Serial: serial}, nil
}

func isOID(der []byte, oid encasn1.ObjectIdentifier) bool {
	want, err := build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	return err == nil && bytes.Equal(der, want)
}
