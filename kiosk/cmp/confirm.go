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

// CertConfirmContent ::= SEQUENCE OF CertStatus -- RFC 9810, 5.3.18; here exactly one
//
//	CertStatus ::= SEQUENCE {
//	   certHash    OCTET STRING,
//	   certReqId   INTEGER,
//	   statusInfo  PKIStatusInfo OPTIONAL,
//	   hashAlg [0] AlgorithmIdentifier OPTIONAL }  -- pvno 3 only, refused here
type certConfirm struct {
	hash   []byte
	id     int64
	status *StatusInfo
}

func (c certConfirm) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		addSequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(c.hash)
			b.AddASN1Int64(c.id)
			if c.status != nil {
				c.status.marshal(b)
			}
		})
	})
}

func readCertConfirm(s *cryptobyte.String) (body, error) {
	var seq, one cryptobyte.String
	var c certConfirm
	var ok bool
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&one, asn1.SEQUENCE) || !seq.Empty() {
		return nil, errors.New("not one certStatus")
	}
	if c.hash, ok = readOctets(&one); !ok || !one.ReadASN1Integer(&c.id) {
		return nil, errors.New("malformed certHash or certReqId")
	}
	if !one.Empty() {
		i, err := readStatusInfo(&one)
		if err != nil {
			return nil, err
		}
		c.status = &i
	}
	if !one.Empty() {
		return nil, errors.New("trailing fields in certStatus")
	}
	return c, nil
}

// certHash is the hash of the certificate by the hash of the certificate's own
// signature algorithm (RFC 9810, 5.3.18).
func certHash(cert *x509.Certificate) ([]byte, error) {
	var h crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = crypto.SHA512
	default:
		return nil, broken(RuleAlgorithm, "no certHash for a certificate signed with %v", cert.SignatureAlgorithm)
	}
	return digest(h, cert.Raw), nil
}

// CertConf confirms that the issued certificate is accepted, or with Reject
// that it is not (RFC 9483, 4.1.1). It must be signed by the key that protected
// the request: the old key for a kur. SenderNonce is fresh; RecipNonce is the
// senderNonce of the answer.
type CertConf struct {
	Cert          *x509.Certificate // the new certificate
	CertReqID     int64             // 0 (RFC 9483, 4.1)
	Reject        *StatusInfo       // nil: accepted
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
func (c CertConf) Build(rand io.Reader) ([]byte, error) {
	if c.Cert == nil {
		return nil, errors.New("cmp: certConf without a certificate")
	}
	hash, err := certHash(c.Cert)
	if err != nil {
		return nil, err
	}
	h, err := requestHeader(c.TransactionID, c.SenderNonce, c.Recipient, c.Time, false)
	if err != nil {
		return nil, err
	}
	h.RecipNonce = nonEmpty(c.RecipNonce)
	p := protector{c.Signer, c.SignerCert, c.Chain}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p.seal(rand, h, BodyCertConf, certConfirm{hash: hash, id: c.CertReqID, status: c.Reject})
}

// Confirmation returns what a certConf says about cert: nil if it accepts it, a
// *CheckError if it is for another certificate or rejects this one. The
// protection is the caller's to verify.
func (m *Message) Confirmation(cert *x509.Certificate) error {
	c, ok := m.body.(certConfirm)
	if !ok {
		return broken(RuleBody, "%v is no certConf", m.Kind)
	}
	want, err := certHash(cert)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.hash, want) {
		return broken(RuleCert, "certHash %x is not that of certificate %x", c.hash, cert.SerialNumber)
	}
	if c.status != nil && c.status.Status != StatusAccepted && c.status.Status != StatusGrantedWithMods {
		return broken(RuleStatus, "certificate %x not accepted: %v", cert.SerialNumber, *c.status)
	}
	return nil
}
