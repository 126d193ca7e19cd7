package pkcs11

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
)

// Signer gives a crypto.Signer for the key with this public key. It does not ask
// the token: a key that is not there shows at the first signature, as
// ErrKeyNotFound. ctx covers every signature made with it.
func (s *Session) Signer(ctx context.Context, spki []byte) (crypto.Signer, error) {
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: signer: %w", err)
	}
	return &signer{ctx: ctx, session: s, key: KeyIDOf(spki), pub: pub}, nil
}

type signer struct {
	ctx     context.Context
	session *Session
	key     KeyID
	pub     crypto.PublicKey
}

var _ crypto.Signer = (*signer)(nil)

func (s *signer) Public() crypto.PublicKey { return s.pub }

// Sign signs and verifies what comes back; randomness is the token's.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss {
		return nil, &Error{Verb: VerbSign, Kind: ErrUnsupported, Text: "RSA-PSS"}
	}
	hash := opts.HashFunc()
	sig, err := s.session.Sign(s.ctx, s.key, hash, digest)
	if err != nil {
		return nil, err
	}
	if err := VerifySignature(s.pub, hash, digest, sig); err != nil {
		return nil, s.session.lie(VerbSign, "signature: %w", err)
	}
	return sig, nil
}
