package cmp

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// CertRepMessage ::= SEQUENCE { -- RFC 9810, 5.3.4
//
//	caPubs  [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL,
//	response    SEQUENCE OF CertResponse }  -- here exactly one
//
//	CertResponse ::= SEQUENCE {
//	   certReqId         INTEGER,
//	   status            PKIStatusInfo,
//	   certifiedKeyPair  CertifiedKeyPair OPTIONAL,
//	   rspInfo           OCTET STRING OPTIONAL }
//
//	CertifiedKeyPair ::= SEQUENCE {
//	   certOrEncCert       CHOICE { certificate [0] CMPCertificate, ... },
//	   privateKey      [0] ...,                        -- refused
//	   publicationInfo [1] PKIPublicationInfo OPTIONAL }
//
// caPubs are never trusted.
type certRepMessage struct {
	caPubs      [][]byte
	id          int64
	status      StatusInfo
	cert        []byte
	publication []byte // content of [1]
	rspInfo     []byte // with tag
}

func (r certRepMessage) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		if r.caPubs != nil {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { marshalCerts(b, r.caPubs) })
		}
		addSequence(b, func(b *cryptobyte.Builder) {
			addSequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(r.id)
				r.status.marshal(b)
				if r.cert != nil {
					addSequence(b, func(b *cryptobyte.Builder) {
						addExplicit(b, 0, r.cert)
						if r.publication != nil {
							addExplicit(b, 1, r.publication)
						}
					})
				}
				b.AddBytes(r.rspInfo)
			})
		})
	})
}

func readCertRepMessage(s *cryptobyte.String) (body, error) {
	var seq, v, rsps, rsp cryptobyte.String
	var r certRepMessage
	var err error
	if !s.ReadASN1(&seq, asn1.SEQUENCE) {
		return nil, errors.New("answer is no sequence")
	}
	if seq.PeekASN1Tag(explicit(1)) {
		if !seq.ReadASN1(&v, explicit(1)) {
			return nil, errors.New("malformed caPubs")
		}
		if r.caPubs, err = readCerts(&v); err != nil || !v.Empty() {
			return nil, errors.New("malformed caPubs")
		}
	}
	if !seq.ReadASN1(&rsps, asn1.SEQUENCE) || !seq.Empty() || !rsps.ReadASN1(&rsp, asn1.SEQUENCE) || !rsps.Empty() {
		return nil, errors.New("not one response")
	}
	if !rsp.ReadASN1Integer(&r.id) {
		return nil, errors.New("malformed certReqId")
	}
	if r.status, err = readStatusInfo(&rsp); err != nil {
		return nil, err
	}
	if rsp.PeekASN1Tag(asn1.SEQUENCE) {
		var pair cryptobyte.String
		if !rsp.ReadASN1(&pair, asn1.SEQUENCE) || !pair.ReadASN1(&v, explicit(0)) {
			return nil, errors.New("no plain certificate in certifiedKeyPair")
		}
		var ok bool
		if r.cert, ok = element(&v, asn1.SEQUENCE); !ok || !v.Empty() {
			return nil, errors.New("malformed certificate")
		}
		if !pair.Empty() {
			if !pair.ReadASN1(&v, explicit(1)) || !pair.Empty() {
				return nil, errors.New("private key or unknown field in certifiedKeyPair")
			}
			r.publication = v
		}
	}
	if !rsp.Empty() {
		var ok bool
		if r.rspInfo, ok = element(&rsp, asn1.OCTET_STRING); !ok || !rsp.Empty() {
			return nil, errors.New("malformed rspInfo")
		}
	}
	return r, nil
}

// ErrorMsgContent ::= SEQUENCE { -- RFC 9810, 5.3.21
//
//	pKIStatusInfo  PKIStatusInfo,
//	errorCode      INTEGER OPTIONAL,
//	errorDetails   PKIFreeText OPTIONAL }
type errorContent struct {
	status  StatusInfo
	code    []byte // INTEGER, with tag
	details freeText
}

func (e errorContent) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		e.status.marshal(b)
		b.AddBytes(e.code)
		if e.details != nil {
			e.details.marshal(b)
		}
	})
}

func readErrorContent(s *cryptobyte.String) (body, error) {
	var seq cryptobyte.String
	var e errorContent
	var err error
	if !s.ReadASN1(&seq, asn1.SEQUENCE) {
		return nil, errors.New("error is no sequence")
	}
	if e.status, err = readStatusInfo(&seq); err != nil {
		return nil, err
	}
	ok := true
	if seq.PeekASN1Tag(asn1.INTEGER) {
		if e.code, ok = element(&seq, asn1.INTEGER); !ok {
			return nil, errors.New("malformed errorCode")
		}
	}
	if !seq.Empty() {
		if e.details, ok = readFreeText(&seq); !ok || !seq.Empty() {
			return nil, errors.New("malformed errorDetails")
		}
	}
	return e, nil
}

// PKIConfirmContent ::= NULL -- RFC 9810, 5.3.17
type pkiConf struct{}

func (pkiConf) marshal(b *cryptobyte.Builder) { b.AddASN1NULL() }

func readPKIConf(s *cryptobyte.String) (body, error) {
	var null cryptobyte.String
	if !s.ReadASN1(&null, asn1.NULL) {
		return nil, errors.New("pkiConf is not null")
	}
	return pkiConf{}, nil
}
