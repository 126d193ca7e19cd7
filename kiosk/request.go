package kiosk

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"

	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/pkcs11"
)

// sameKey stands for "keep the old key" where an algorithm is chosen.
const sameKey pkcs11.KeyAlgorithm = 0

// newKeyAlgorithm picks the first of the profile's algorithms that the token can
// make. Without one the old key is kept if the profile allows that.
func (k *Kiosk) newKeyAlgorithm(t pkcs11.Token) (pkcs11.KeyAlgorithm, error) {
	for _, name := range k.Profile.CA.NewKeys {
		switch {
		case name == pkcs11.P256.String() && t.EC:
			return pkcs11.P256, nil
		case name == pkcs11.RSA2048.String() && t.RSA:
			return pkcs11.RSA2048, nil
		}
	}
	if k.Profile.CA.SameKeyRenewal {
		return sameKey, nil
	}
	return 0, refuse(check.KeyAlgorithm, "token makes none of %v", k.Profile.CA.NewKeys)
}

// spaceForRenewal is what a key pair and a certificate need at most, in bytes.
const spaceForRenewal = 4 << 10

// makeKey makes the new pair beside the old one. The intent with the pair's
// CKA_ID is durable before the token is touched, and the token finds a pair with
// this CKA_ID again: however often this is cut off, there is one new pair.
func (k *Kiosk) makeKey(ctx context.Context, c *citizen, id RenewalID, alg pkcs11.KeyAlgorithm) (spki []byte, err error) {
	ready := func(r *Record) {
		key := pkcs11.KeyIDOf(spki)
		r.NewKey = key[:]
	}
	if alg == sameKey {
		spki = c.spki()
		return spki, k.Ledger.advance(id, KeyReady, ready)
	}
	for _, free := range []int64{c.token.FreePublic, c.token.FreePrivate} {
		if free >= 0 && free < spaceForRenewal {
			return nil, refuse(RuleTokenFull, "%d bytes free on the token", free)
		}
	}
	sum := sha256.Sum256(append([]byte("mohr new key\x00"), id[:]...))
	ownID := append([]byte{byte(alg)}, sum[:15]...)
	keyID := k.Ledger.unfinishedKey(c.oldHash())
	if keyID == nil || keyID[0] != byte(alg) {
		keyID = ownID
	}
	spki, err = k.generate(ctx, c, id, alg, keyID)
	if (errors.Is(err, pkcs11.ErrHalfMade) || errors.Is(err, pkcs11.ErrConflict)) && !bytes.Equal(keyID, ownID) {
		spki, err = k.generate(ctx, c, id, alg, ownID) // the one begun earlier is of no use: leave it, as everything is left
	}
	if err != nil {
		return nil, err
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, &Refusal{Rule: RuleTokenProof, Err: err}
	}
	if err := check.NewKey(k.Profile, pub, c.cert).Err(); err != nil {
		return nil, err
	}
	return spki, k.Ledger.advance(id, KeyReady, ready)
}

// generate announces a pair in the journal and has the token make it.
func (k *Kiosk) generate(ctx context.Context, c *citizen, id RenewalID, alg pkcs11.KeyAlgorithm, keyID []byte) ([]byte, error) {
	if err := k.Ledger.note(id, EventKeyIntent, func(r *Record) { r.KeyID = keyID }); err != nil {
		return nil, err
	}
	return c.session.GenerateKey(ctx, pkcs11.KeySpec{ID: keyID, Label: "Mohr", Algorithm: alg})
}

// sign makes the three layers: the holder's kur, the officer's attestation over
// it, the kiosk's nested message around both. Each is verified in software, from
// its bytes, before the next is made.
func (k *Kiosk) sign(ctx context.Context, c *citizen, o *officer, id RenewalID, newKey []byte, e *Evidence) ([]byte, error) {
	if err := k.sameToken(ctx, c); err != nil {
		return nil, err
	}
	if err := k.stillThere(ctx, o); err != nil {
		return nil, err
	}
	sealed, err := e.seal(k.Profile.Recipients)
	if err != nil {
		return nil, err
	}
	if err := k.Ledger.note(id, EventEvidence, func(r *Record) { r.Sealed = sealed }); err != nil {
		return nil, err
	}
	k.Outbox.begin(id)
	kur, err := k.buildRequest(ctx, c, id, newKey)
	if err != nil {
		return nil, err
	}
	attestation, err := k.attest(c, o, kur, sha256.Sum256(sealed))
	if err != nil {
		return nil, err
	}
	return k.nest(kur, attestation)
}

// buildRequest makes the kur and holds it against what was shown.
func (k *Kiosk) buildRequest(ctx context.Context, c *citizen, id RenewalID, newKey []byte) ([]byte, error) {
	old, err := c.session.Signer(ctx, c.spki())
	if err != nil {
		return nil, err
	}
	var fresh crypto.Signer
	if !bytes.Equal(newKey, c.spki()) {
		if fresh, err = c.session.Signer(ctx, newKey); err != nil {
			return nil, err
		}
	}
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(k.Rand, nonce); err != nil {
		return nil, err
	}
	kur, err := cmp.KUR{
		OldCert: c.cert, Chain: c.chain, OldKey: old, NewKey: fresh, TransactionID: id[:], SenderNonce: nonce,
		Time: k.Clock.Now(), Recipient: k.Recipient, ImplicitConfirm: true, TimeUnproven: !k.checkClock().Proven,
	}.Build(k.Rand)
	if err != nil {
		return nil, err
	}
	m, err := cmp.Parse(kur)
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	cert, req, err := m.CheckRequest()
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	if !cert.Equal(c.cert) || !bytes.Equal(req.Subject, c.cert.RawSubject) || !bytes.Equal(req.PublicKey, newKey) {
		return nil, refuse(RuleShown, "request is not for the subject and key that were shown")
	}
	return kur, nil
}

// attest has the officer sign what was done about this very request.
func (k *Kiosk) attest(c *citizen, o *officer, kur []byte, evidence [32]byte) ([]byte, error) {
	s, err := cmp.NewStatement(kur)
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	s.EvidenceHash, s.Profile, s.ProfileVersion = evidence, k.Profile.ID, k.Profile.Version
	s.Renewal, s.Signal = c.decision.Kind(), c.decision.Signal
	s.Office, s.Kiosk, s.Time, s.ClockQuality = k.Office, k.ID, k.Clock.Now().UTC().Truncate(1e9), k.Clock.Quality()
	cms, err := cmp.Attest(s, o.signer, o.cert, k.Profile.Intermediates(), k.Rand)
	if err != nil {
		return nil, err
	}
	officers := cmp.Officers{
		Anchors: k.Profile.Pool(), Intermediates: k.Profile.Intermediates(), Allow: cmp.OfficerList(o.cert),
		AnyTime: !k.checkClock().Proven, // as everywhere, no date is judged by such a clock
	}
	said, _, err := cmp.VerifyAttestation(cms, officers, s.Time)
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	m, err := cmp.Parse(kur)
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	if err := said.CheckRequest(m); err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	return cms, nil
}

// nest adds the kiosk's own protection round both.
func (k *Kiosk) nest(kur, attestation []byte) ([]byte, error) {
	nested, err := cmp.Nested{
		Inner: kur, Key: k.Keys.RA, Cert: k.Keys.RACert, Chain: k.Keys.RAChain, Attestation: attestation,
		Time: k.Clock.Now(), Recipient: k.Recipient,
	}.Build(k.Rand)
	if err != nil {
		return nil, err
	}
	m, err := cmp.Parse(nested)
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	if err := m.VerifyProtection(k.Keys.RACert); err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	inner, err := m.Inner()
	if err != nil {
		return nil, &Refusal{Rule: RuleOwnMessage, Err: err}
	}
	if !bytes.Equal(inner.Raw(), kur) {
		return nil, refuse(RuleOwnMessage, "nested message holds another request")
	}
	return nested, nil
}
