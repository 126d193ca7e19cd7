package module

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

// GenerateKey makes a key pair, or finds the one with this CKA_ID that an
// interrupted attempt has left. It never deletes a private key; a public key
// alone under this very CKA_ID is such an attempt's litter and is swept.
func (m *Module) GenerateKey(spec pkcs11.KeySpec) ([]byte, error) {
	if err := m.need(true); err != nil {
		return nil, err
	}
	m.inv = nil
	inv, err := m.inventory()
	if err != nil {
		return nil, err
	}
	sameID := func(list []object) (hits []object) {
		for _, o := range list {
			if bytes.Equal(o.id, spec.ID) {
				hits = append(hits, o)
			}
		}
		return hits
	}
	certs, pubs, privs := sameID(inv.certs), sameID(inv.pubs), sameID(inv.privs)
	for _, pub := range pubs {
		if pub.spki == nil {
			continue
		}
		owners, _, err := m.private(inv, pub.key)
		if err != nil {
			return nil, err
		}
		if len(owners) == 0 {
			continue
		}
		if key, err := x509.ParsePKIXPublicKey(pub.spki); err != nil || !spec.Algorithm.Matches(key) {
			return nil, fail(pkcs11.ErrConflict, "not %v", spec.Algorithm)
		}
		return pub.spki, nil
	}
	switch {
	case len(privs) > 0:
		return nil, fail(pkcs11.ErrHalfMade, "private key without its public key")
	case len(certs) > 0:
		return nil, fail(pkcs11.ErrConflict, "certificate under this CKA_ID")
	}
	for _, pub := range pubs {
		if err := m.ctx.DestroyObject(m.session, pub.handle); err != nil {
			return nil, m.fail("sweeping half a key pair", err)
		}
	}
	return m.make(spec)
}

// make is C_GenerateKeyPair and a look at what came of it.
func (m *Module) make(spec pkcs11.KeySpec) ([]byte, error) {
	m.inv = nil
	a := p11.NewAttribute
	public := []*p11.Attribute{a(p11.CKA_TOKEN, true), a(p11.CKA_PRIVATE, false), a(p11.CKA_VERIFY, true),
		a(p11.CKA_ID, spec.ID), a(p11.CKA_LABEL, spec.Label)}
	private := []*p11.Attribute{a(p11.CKA_TOKEN, true), a(p11.CKA_PRIVATE, true), a(p11.CKA_SENSITIVE, true),
		a(p11.CKA_EXTRACTABLE, false), a(p11.CKA_SIGN, true), a(p11.CKA_ID, spec.ID), a(p11.CKA_LABEL, spec.Label)}
	var mech uint
	switch spec.Algorithm {
	case pkcs11.RSA2048:
		mech = p11.CKM_RSA_PKCS_KEY_PAIR_GEN
		public = append(public, a(p11.CKA_MODULUS_BITS, 2048), a(p11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	case pkcs11.P256:
		mech = p11.CKM_EC_KEY_PAIR_GEN
		public = append(public, a(p11.CKA_EC_PARAMS, []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")))
	}
	pub, priv, err := m.ctx.GenerateKeyPair(m.session, []*p11.Mechanism{p11.NewMechanism(mech, nil)}, public, private)
	if err != nil {
		return nil, m.fail("C_GenerateKeyPair", err)
	}
	guarded, err := m.guards(priv)
	if err != nil {
		return nil, err
	}
	if !guarded {
		return nil, fail(pkcs11.ErrWeakKey, "key %x", spec.ID)
	}
	o := object{handle: pub}
	if err := m.readPublic(&o); err != nil {
		return nil, err
	}
	if o.spki == nil {
		return nil, fail(pkcs11.ErrDevice, "new key: %s", o.problem)
	}
	return o.spki, nil
}

// guards says whether the token keeps a private key to itself: not extractable and
// sensitive. OpenSC calls no key sensitive that was made on a card; where the flag
// is missing, the token is asked for the value, and has to refuse
// (Q-NOT-SENSITIVE).
func (m *Module) guards(priv p11.ObjectHandle) (bool, error) {
	extractable, err := m.flag(priv, p11.CKA_EXTRACTABLE)
	if err != nil || extractable {
		return false, err
	}
	sensitive, err := m.flag(priv, p11.CKA_SENSITIVE)
	if err != nil || sensitive {
		return sensitive, err
	}
	for _, typ := range []uint{p11.CKA_VALUE, p11.CKA_PRIVATE_EXPONENT, p11.CKA_PRIME_1} {
		value, err := m.attribute(priv, typ)
		if err != nil || len(value) > 0 {
			clear(value)
			return false, err
		}
	}
	return true, nil
}

// Sign signs with the private key of a public key and verifies the signature.
func (m *Module) Sign(key pkcs11.KeyID, hash crypto.Hash, digest []byte) ([]byte, error) {
	if err := m.need(true); err != nil {
		return nil, err
	}
	inv, err := m.inventory()
	if err != nil {
		return nil, err
	}
	privs, spki, err := m.private(inv, key)
	if err != nil {
		return nil, err
	}
	if len(privs) == 0 {
		return nil, fail(pkcs11.ErrKeyNotFound, "%v", key)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fail(pkcs11.ErrDevice, "%v", err)
	}
	sig, err := m.sign(privs[0], pub, hash, digest)
	if err != nil {
		return nil, err
	}
	if err := pkcs11.VerifySignature(pub, hash, digest, sig); err != nil {
		return nil, fail(pkcs11.ErrDevice, "signature by %v: %v", key, err)
	}
	return sig, nil
}

// digestInfo is what stands before the digest in PKCS#1 v1.5 (RFC 8017 section
// 9.2, note 1).
var digestInfo = map[crypto.Hash]string{
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// sign is one signature in X.509 form, not yet verified.
func (m *Module) sign(priv object, pub crypto.PublicKey, hash crypto.Hash, digest []byte) ([]byte, error) {
	again, err := m.flag(priv.handle, p11.CKA_ALWAYS_AUTHENTICATE)
	if err != nil {
		return nil, err
	}
	if again {
		return nil, fail(pkcs11.ErrReauthenticate, "key %x", priv.id)
	}
	var mech uint
	var input []byte
	switch k := pub.(type) {
	case *rsa.PublicKey:
		mech, input = p11.CKM_RSA_PKCS, append([]byte(digestInfo[hash]), digest...)
	case *ecdsa.PublicKey:
		mech, input = p11.CKM_ECDSA, digest[:min(len(digest), (k.Curve.Params().N.BitLen()+7)/8)]
	default:
		return nil, fail(pkcs11.ErrUnsupported, "%T", pub)
	}
	if err := m.ctx.SignInit(m.session, []*p11.Mechanism{p11.NewMechanism(mech, nil)}, priv.handle); err != nil {
		return nil, m.fail("C_SignInit", err)
	}
	sig, err := m.ctx.Sign(m.session, input)
	if err != nil {
		return nil, m.fail("C_Sign", err)
	}
	if k, ok := pub.(*ecdsa.PublicKey); ok {
		return derSignature(sig, (k.Curve.Params().N.BitLen()+7)/8)
	}
	return sig, nil
}

// derSignature turns PKCS#11's r||s into the SEQUENCE of X.509 (RFC 3279 section
// 2.2.3).
func derSignature(sig []byte, size int) ([]byte, error) {
	if len(sig) != 2*size {
		return nil, fail(pkcs11.ErrDevice, "ECDSA signature of %d bytes", len(sig))
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	return asn1.Marshal(struct{ R, S *big.Int }{r, s})
}

// proves tells by a signature whether priv belongs to pub. Only what the token
// refuses to do is an error.
func (m *Module) proves(priv object, pub crypto.PublicKey) (bool, error) {
	challenge := make([]byte, 32)
	if _, err := rand.Read(challenge); err != nil {
		return false, err
	}
	digest := sha256.Sum256(challenge)
	sig, err := m.sign(priv, pub, crypto.SHA256, digest[:])
	if err != nil {
		return false, err
	}
	return pkcs11.VerifySignature(pub, crypto.SHA256, digest[:], sig) == nil, nil
}

// Random reads from the token's generator.
func (m *Module) Random(n int) ([]byte, error) {
	if err := m.need(false); err != nil {
		return nil, err
	}
	b, err := m.ctx.GenerateRandom(m.session, n)
	if err != nil {
		return nil, m.fail("C_GenerateRandom", err)
	}
	return b, nil
}
