package cmp

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"sort"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The officer's attestation is a CMS SignedData (RFC 5652, 5.1) over a
// Statement, CAdES-B in substance (EN 319 122-1): SHA-256, one signer, content
// attached, signed attributes contentType, messageDigest, signingTime and ESS
// signingCertificateV2 (RFC 5035, 3). It is written here and not by a CMS
// library, because the clock is passed in and because only these bytes and no
// others are to be accepted; two independent libraries examine it in the tests.
//
//	ContentInfo ::= SEQUENCE { id-signedData, [0] SignedData }
//
//	SignedData ::= SEQUENCE {
//	   version           INTEGER (3),  -- since eContentType is not id-data
//	   digestAlgorithms  SET { SHA-256 },
//	   encapContentInfo  SEQUENCE { Statement's OID, [0] OCTET STRING },
//	   certificates  [0] IMPLICIT SET OF Certificate,
//	   signerInfos       SET { SignerInfo } }
//
//	SignerInfo ::= SEQUENCE {
//	   version             INTEGER (1),
//	   sid                 SEQUENCE { issuer Name, serialNumber INTEGER },
//	   digestAlgorithm     SHA-256,
//	   signedAttrs     [0] IMPLICIT SET OF Attribute,
//	   signatureAlgorithm  AlgorithmIdentifier,
//	   signature           OCTET STRING }
type attestation struct {
	content   []byte   // DER of the Statement
	certs     [][]byte // the officer's first
	signer    *x509.Certificate
	time      time.Time
	algorithm []byte
	signature []byte
}

const maxOfficerCerts = 8

// Attest signs a statement with the officer's key.
func Attest(s Statement, officer crypto.Signer, cert *x509.Certificate, chain []*x509.Certificate, rand io.Reader) ([]byte, error) {
	if officer == nil || cert == nil {
		return nil, errors.New("cmp: attestation needs the officer's key and certificate")
	}
	if err := checkKeyOf(officer, cert); err != nil {
		return nil, err
	}
	if err := checkMayAttest(cert); err != nil {
		return nil, err
	}
	content, err := s.der()
	if err != nil {
		return nil, err
	}
	a := attestation{content: content, signer: cert, time: s.Time, certs: protector{cert: cert, chain: chain}.extraCerts()}
	alg, err := algorithmFor(officer.Public())
	if err != nil {
		return nil, err
	}
	if a.algorithm, err = alg.der(); err != nil {
		return nil, err
	}
	attrs, err := a.signedAttrs()
	if err != nil {
		return nil, err
	}
	if a.signature, err = sign(rand, officer, attrs); err != nil {
		return nil, err
	}
	der, err := build(a.marshal)
	if err != nil {
		return nil, err
	}
	if _, err := parseAttestation(der); err != nil {
		return nil, err
	}
	return der, nil
}

// checkMayAttest reports whether a certificate's keyUsage, if it has one, is for
// signing: unlike the protection of messages, an attestation is a commitment to
// its content, so nonRepudiation alone will do.
func checkMayAttest(cert *x509.Certificate) error {
	if cert.KeyUsage != 0 && cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return broken(RuleKeyUsage, "certificate %x lacks digitalSignature and nonRepudiation", cert.SerialNumber)
	}
	return nil
}

// signedAttrs is the SET OF Attribute that is signed (RFC 5652, 5.4), its
// elements in the order of their encodings.
func (a *attestation) signedAttrs() ([]byte, error) {
	sum, essHash := sha256.Sum256(a.content), sha256.Sum256(a.signer.Raw)
	attrs := []cryptobyte.BuilderContinuation{
		func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidContentType)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidStatement) })
		},
		func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidMessageDigest)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })
		},
		func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSigningTime)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(a.time.UTC()) })
		},
		func(b *cryptobyte.Builder) {
			// SigningCertificateV2 ::= SEQUENCE { certs SEQUENCE OF SEQUENCE { certHash OCTET STRING } };
			// hashAlgorithm SHA-256 is the default and so absent.
			b.AddASN1ObjectIdentifier(oidSigningCertificateV2)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				addSequence(b, func(b *cryptobyte.Builder) {
					addSequence(b, func(b *cryptobyte.Builder) {
						addSequence(b, func(b *cryptobyte.Builder) { b.AddASN1OctetString(essHash[:]) })
					})
				})
			})
		},
	}
	var ders [][]byte
	for _, f := range attrs {
		der, err := build(func(b *cryptobyte.Builder) { addSequence(b, f) })
		if err != nil {
			return nil, err
		}
		ders = append(ders, der)
	}
	return build(func(b *cryptobyte.Builder) { addSetOf(b, asn1.SET, ders) })
}

// addSetOf adds elements in the order DER asks for (X.690, 11.6).
func addSetOf(b *cryptobyte.Builder, tag asn1.Tag, ders [][]byte) {
	sorted := append([][]byte(nil), ders...)
	sort.Slice(sorted, func(i, j int) bool { return bytes.Compare(sorted[i], sorted[j]) < 0 })
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, d := range sorted {
			b.AddBytes(d)
		}
	})
}

func addSHA256(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidSHA256) }) // parameters absent: RFC 5754, 2
}

func (a *attestation) marshal(b *cryptobyte.Builder) {
	attrs, err := a.signedAttrs()
	if err != nil {
		b.SetError(err)
		return
	}
	set := cryptobyte.String(attrs)
	var attrsContent cryptobyte.String
	if !set.ReadASN1(&attrsContent, asn1.SET) {
		b.SetError(errors.New("signed attributes are no set"))
		return
	}
	addSequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			addSequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(asn1.SET, addSHA256)
				addSequence(b, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidStatement)
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(a.content) })
				})
				addSetOf(b, explicit(0), a.certs)
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
					addSequence(b, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(1)
						addSequence(b, func(b *cryptobyte.Builder) {
							b.AddBytes(a.signer.RawIssuer)
							b.AddASN1BigInt(a.signer.SerialNumber)
						})
						addSHA256(b)
						addExplicit(b, 0, attrsContent)
						b.AddBytes(a.algorithm)
						b.AddASN1OctetString(a.signature)
					})
				})
			})
		})
	})
}
