package pkcs11test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"mohr.internal/pkcs11"
)

// find gives the objects of a class that match.
func (t *Token) find(c class, match func(object) bool) (list []object) {
	for _, o := range t.state.Objects {
		if o.Class == c && match(o) {
			list = append(list, o)
		}
	}
	return list
}

func (o object) spki() []byte {
	switch o.Class {
	case publicKey:
		return o.Value
	case privateKey:
		if s := o.signer(); s != nil {
			der, _ := x509.MarshalPKIXPublicKey(s.Public())
			return der
		}
	case certificate:
		der, _ := pkcs11.CertificateKey(o.Value)
		return der
	}
	return nil
}

func (o object) signer() crypto.Signer {
	key, _ := x509.ParsePKCS8PrivateKey(o.Value)
	s, _ := key.(crypto.Signer)
	return s
}

// of matches the objects of one key.
func of(key pkcs11.KeyID) func(object) bool {
	return func(o object) bool {
		spki := o.spki()
		return spki != nil && pkcs11.KeyIDOf(spki) == key
	}
}

func withID(id []byte) func(object) bool { return func(o object) bool { return bytes.Equal(o.ID, id) } }

func (b *backend) Objects() (list []pkcs11.Object, err error) {
	err = b.enter(false)
	defer b.leave(&err)
	if err != nil {
		return nil, err
	}
	t := b.t
	seen := map[pkcs11.KeyID]bool{}
	for _, c := range []class{certificate, publicKey, privateKey} {
		for _, o := range t.find(c, func(object) bool { return c != privateKey || b.loggedIn }) {
			e := pkcs11.Object{ID: o.ID, Label: o.Label, PublicKeyDER: o.spki()}
			if c == certificate {
				e.CertificateDER = o.Value
			}
			if e.PublicKeyDER == nil {
				e.Problem = "public key unreadable"
			} else {
				key := pkcs11.KeyIDOf(e.PublicKeyDER)
				if c != certificate && seen[key] {
					continue
				}
				seen[key] = true
				e.HasPublic = len(t.find(publicKey, of(key))) > 0
				e.HasPrivate = b.loggedIn && len(t.find(privateKey, of(key))) > 0
			}
			list = append(list, e)
		}
	}
	return list, nil
}

func (b *backend) GenerateKey(spec pkcs11.KeySpec) (spki []byte, err error) {
	err = b.enter(true)
	defer b.leave(&err)
	if err != nil {
		return nil, err
	}
	t := b.t
	if b.fault.Kind == LieKey {
		other := map[pkcs11.KeyAlgorithm]pkcs11.KeyAlgorithm{pkcs11.RSA2048: pkcs11.P256, pkcs11.P256: pkcs11.RSA2048}
		key, err := t.opts.NewKey(other[spec.Algorithm])
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(key.Public())
	}
	privs, pubs := t.find(privateKey, withID(spec.ID)), t.find(publicKey, withID(spec.ID))
	for _, priv := range privs {
		for _, pub := range pubs {
			if bytes.Equal(priv.spki(), pub.Value) {
				if !spec.Algorithm.Matches(priv.signer().Public()) {
					return nil, fail(pkcs11.ErrConflict, "key of another kind")
				}
				return pub.Value, nil
			}
		}
	}
	if len(privs) > 0 {
		return nil, fail(pkcs11.ErrHalfMade, "private key without its public key")
	}
	if len(t.find(certificate, withID(spec.ID))) > 0 {
		return nil, fail(pkcs11.ErrConflict, "certificate under this CKA_ID")
	}
	t.drop(func(o object) bool { return o.Class == publicKey && bytes.Equal(o.ID, spec.ID) })
	if err := b.pause(t.opts.KeyDelay); err != nil {
		return nil, err
	}
	key, err := t.opts.NewKey(spec.Algorithm)
	if err != nil {
		return nil, err
	}
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	spki, err = x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	if err := b.add(object{privateKey, spec.ID, spec.Label, priv}, object{publicKey, spec.ID, spec.Label, spki}); err != nil {
		return nil, err
	}
	return spki, nil
}

// pause lets time pass in which the token can be pulled.
func (b *backend) pause(d time.Duration) error {
	if d == 0 {
		return nil
	}
	b.t.mu.Unlock()
	time.Sleep(d)
	b.t.mu.Lock()
	if !b.t.present || b.life != b.t.life {
		return fail(pkcs11.ErrRemoved, "software token pulled")
	}
	return nil
}

// add stores copies of all objects or none: a request's bytes are wiped.
func (b *backend) add(objects ...object) error {
	t := b.t
	size := 0
	for i := range objects {
		o := &objects[i]
		o.ID, o.Value = bytes.Clone(o.ID), bytes.Clone(o.Value)
		size += len(o.Value)
	}
	if b.fault.Kind == Full || (t.opts.Room > 0 && size > t.room()) {
		return &pkcs11.Error{Kind: pkcs11.ErrFull, CKR: 0x31}
	}
	t.state.Objects = append(t.state.Objects, objects...)
	return nil
}

func (t *Token) drop(match func(object) bool) {
	var kept []object
	for _, o := range t.state.Objects {
		if !match(o) {
			kept = append(kept, o)
		}
	}
	t.state.Objects = kept
}

func (b *backend) Sign(key pkcs11.KeyID, hash crypto.Hash, digest []byte) (sig []byte, err error) {
	err = b.enter(true)
	defer b.leave(&err)
	if err != nil {
		return nil, err
	}
	keys := b.t.find(privateKey, of(key))
	if len(keys) == 0 {
		return nil, fail(pkcs11.ErrKeyNotFound, key.String())
	}
	signer := keys[0].signer()
	if b.fault.Kind == LieKey {
		if signer, err = newKey(pkcs11.P256); err != nil {
			return nil, err
		}
	}
	return signer.Sign(rand.Reader, digest, hash)
}

func (b *backend) WriteCertificate(key pkcs11.KeyID, label string, der []byte) (err error) {
	err = b.enter(true)
	defer b.leave(&err)
	if err != nil {
		return err
	}
	if spki, err := pkcs11.CertificateKey(der); err != nil || pkcs11.KeyIDOf(spki) != key {
		return fail(pkcs11.ErrInvalid, "certificate for another key")
	}
	keys := b.t.find(privateKey, of(key))
	if len(keys) == 0 {
		return fail(pkcs11.ErrKeyNotFound, key.String())
	}
	if len(b.t.find(certificate, func(o object) bool { return bytes.Equal(o.Value, der) })) > 0 {
		return nil
	}
	return b.add(object{certificate, keys[0].ID, label, der})
}

func (b *backend) ReadCertificates(key pkcs11.KeyID) (ders [][]byte, err error) {
	err = b.enter(false)
	defer b.leave(&err)
	if err != nil {
		return nil, err
	}
	for _, o := range b.t.find(certificate, of(key)) {
		ders = append(ders, o.Value)
	}
	return ders, nil
}

func (b *backend) Retire(r pkcs11.Retirement) (err error) {
	err = b.enter(true)
	defer b.leave(&err)
	if err != nil {
		return err
	}
	t := b.t
	kept := t.find(certificate, func(o object) bool {
		return of(r.Kept)(o) && sha256.Sum256(o.Value) == r.KeptCertificate
	})
	if r.Old == r.Kept || len(kept) == 0 || len(t.find(privateKey, of(r.Kept))) == 0 {
		return fail(pkcs11.ErrKeepsLast, "")
	}
	before := len(t.state.Objects)
	t.drop(of(r.Old))
	if len(t.state.Objects) == before {
		return fail(pkcs11.ErrKeyNotFound, r.Old.String())
	}
	return nil
}
