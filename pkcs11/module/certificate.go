package module

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

// WriteCertificate puts a certificate under the CKA_ID of its private key, once:
// modules store a second copy without complaint (Q-DUPLICATES).
func (m *Module) WriteCertificate(key pkcs11.KeyID, label string, der []byte) error {
	if err := m.need(true); err != nil {
		return err
	}
	fields, err := pkcs11.SplitCertificate(der)
	if err != nil || pkcs11.KeyIDOf(fields.PublicKey) != key {
		return fail(pkcs11.ErrInvalid, "certificate for another key")
	}
	m.inv = nil
	inv, err := m.inventory()
	if err != nil {
		return err
	}
	privs, _, err := m.private(inv, key)
	if err != nil {
		return err
	}
	if len(privs) == 0 {
		return fail(pkcs11.ErrKeyNotFound, "%v", key)
	}
	id := privs[0].id
	if inv.holds(id, der) {
		return nil
	}
	m.inv = nil
	a := p11.NewAttribute
	if _, err := m.ctx.CreateObject(m.session, []*p11.Attribute{
		a(p11.CKA_CLASS, p11.CKO_CERTIFICATE), a(p11.CKA_CERTIFICATE_TYPE, p11.CKC_X_509),
		a(p11.CKA_TOKEN, true), a(p11.CKA_PRIVATE, false), a(p11.CKA_ID, id), a(p11.CKA_LABEL, label),
		a(p11.CKA_SUBJECT, fields.Subject), a(p11.CKA_ISSUER, fields.Issuer), a(p11.CKA_SERIAL_NUMBER, fields.Serial),
		a(p11.CKA_VALUE, der),
	}); err != nil {
		return inv.clash(id, m.fail("C_CreateObject", err))
	}
	if inv, err = m.inventory(); err != nil {
		return err
	}
	if !inv.holds(id, der) {
		return fail(pkcs11.ErrNotWritten, "certificate under %x", id)
	}
	return nil
}

// clash names the reason for an unclear refusal: some modules take one certificate
// to a CKA_ID and say CKR_GENERAL_ERROR to a second (Q-ONE-CERTIFICATE).
func (inv *inventory) clash(id []byte, err error) error {
	if !errors.Is(err, pkcs11.ErrDevice) {
		return err
	}
	for _, o := range inv.certs {
		if bytes.Equal(o.id, id) {
			return fail(pkcs11.ErrConflict, "certificate under %x; %v", id, err)
		}
	}
	return err
}

func (inv *inventory) holds(id, der []byte) bool {
	for _, o := range inv.certs {
		if bytes.Equal(o.id, id) && bytes.Equal(o.der, der) {
			return true
		}
	}
	return false
}

// ReadCertificates reads the token anew. A copy under a second CKA_ID is the
// same certificate.
func (m *Module) ReadCertificates(key pkcs11.KeyID) (ders [][]byte, err error) {
	if err := m.need(false); err != nil {
		return nil, err
	}
	m.inv = nil
	inv, err := m.inventory()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, o := range inv.certs {
		if o.spki != nil && o.key == key && !seen[string(o.der)] {
			seen[string(o.der)] = true
			ders = append(ders, o.der)
		}
	}
	return ders, nil
}

// Retire deletes a key pair and its certificates, after the replacement has
// proven itself: the certificate named is on the token, and its key signs. What
// is deleted is proven too: a private key goes only if its modulus is the old
// key's or its signature verifies with it.
//
// The order leaves something that this function finds again, wherever it is cut:
// certificates, private key, public key.
func (m *Module) Retire(r pkcs11.Retirement) error {
	if err := m.need(true); err != nil {
		return err
	}
	m.inv = nil
	inv, err := m.inventory()
	if err != nil {
		return err
	}
	if err := m.keeps(inv, r); err != nil {
		return err
	}
	privs, spki, err := m.private(inv, r.Old)
	if err != nil {
		return err
	}
	if spki == nil {
		return fail(pkcs11.ErrKeyNotFound, "%v", r.Old)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return fail(pkcs11.ErrDevice, "%v", err)
	}
	var doomed []object
	for _, o := range inv.certs {
		if o.spki != nil && o.key == r.Old {
			doomed = append(doomed, o)
		}
	}
	for _, priv := range privs {
		if priv.modulus == nil {
			if proven, err := m.proves(priv, pub); err != nil || !proven {
				return fail(pkcs11.ErrDevice, "key %x does not prove to be the old one: %v", priv.id, err)
			}
		}
		doomed = append(doomed, priv)
	}
	for _, o := range inv.pubs {
		if o.spki != nil && o.key == r.Old {
			doomed = append(doomed, o)
		}
	}
	for _, o := range doomed {
		m.inv = nil
		if err := m.ctx.DestroyObject(m.session, o.handle); err != nil {
			return m.fail("C_DestroyObject", err)
		}
	}
	if inv, err = m.inventory(); err != nil {
		return err
	}
	if _, spki, err := m.private(inv, r.Old); err != nil || spki != nil {
		return fail(pkcs11.ErrDevice, "old key is still there after its deletion: %v", err)
	}
	return m.keeps(inv, r)
}

// keeps demands the key and certificate that are to stay.
func (m *Module) keeps(inv *inventory, r pkcs11.Retirement) error {
	if r.Old == r.Kept {
		return fail(pkcs11.ErrKeepsLast, "old and kept key are the same")
	}
	written := false
	for _, o := range inv.certs {
		written = written || (o.spki != nil && o.key == r.Kept && sha256.Sum256(o.der) == r.KeptCertificate)
	}
	if !written {
		return fail(pkcs11.ErrKeepsLast, "certificate %x is not on the token", r.KeptCertificate[:4])
	}
	privs, spki, err := m.private(inv, r.Kept)
	if err != nil {
		return err
	}
	if len(privs) == 0 {
		return fail(pkcs11.ErrKeepsLast, "no private key %v", r.Kept)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return fail(pkcs11.ErrKeepsLast, "%v", err)
	}
	proven, err := m.proves(privs[0], pub)
	if err != nil {
		return err
	}
	if !proven {
		return fail(pkcs11.ErrKeepsLast, "key %v does not verify", r.Kept)
	}
	return nil
}
