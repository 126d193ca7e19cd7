package cmp

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ProofOfPossession ::= CHOICE { -- RFC 4211, 4
//
//	raVerified  [0] NULL,
//	signature   [1] POPOSigningKey, ... }
//
//	POPOSigningKey ::= SEQUENCE { -- RFC 4211, 4.1
//	   poposkInput      [0] POPOSigningKeyInput OPTIONAL,
//	   algorithmIdentifier  AlgorithmIdentifier,
//	   signature            BIT STRING }
//
// poposkInput is absent, because the template has subject and publicKey; the
// signature is over CertRequest.
type proof struct {
	raVerified bool
	algorithm  []byte
	signature  []byte
}

func newProof(rand io.Reader, key crypto.Signer, certRequest []byte) (*proof, error) {
	alg, err := algorithmFor(key.Public())
	if err != nil {
		return nil, err
	}
	p := new(proof)
	if p.algorithm, err = alg.der(); err != nil {
		return nil, err
	}
	p.signature, err = sign(rand, key, certRequest)
	return p, err
}

func (p *proof) marshal(b *cryptobyte.Builder) {
	if p.raVerified {
		b.AddASN1(asn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
		return
	}
	b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { // IMPLICIT SEQUENCE
		b.AddBytes(p.algorithm)
		b.AddASN1BitString(p.signature)
	})
}

func readProof(s *cryptobyte.String) (*proof, error) {
	var v cryptobyte.String
	if ra := asn1.Tag(0).ContextSpecific(); s.PeekASN1Tag(ra) {
		if !s.ReadASN1(&v, ra) || !v.Empty() {
			return nil, errors.New("malformed raVerified")
		}
		return &proof{raVerified: true}, nil
	}
	if !s.ReadASN1(&v, explicit(1)) {
		return nil, errors.New("proof of possession of a kind not accepted")
	}
	p := new(proof)
	var ok bool
	if p.algorithm, ok = element(&v, asn1.SEQUENCE); !ok || !v.ReadASN1BitStringAsBytes(&p.signature) || !v.Empty() {
		return nil, errors.New("malformed proof of possession")
	}
	return p, nil
}

// verify verifies the proof over certRequest by the key in spki.
func (p *proof) verify(spki, certRequest []byte) error {
	if p == nil {
		return broken(RulePOP, "no proof of possession")
	}
	if p.raVerified {
		return broken(RulePOP, "proof of possession left to the RA")
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return brokenBy(RulePOP, err, "new public key")
	}
	if err := checkSubjectKey(pub); err != nil {
		return err
	}
	alg, err := readAlgorithm(p.algorithm)
	if err != nil {
		return err
	}
	if err := verifySignature(pub, alg, certRequest, p.signature); err != nil {
		return brokenBy(RulePOP, err, "proof of possession")
	}
	return nil
}
