package module

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

const (
	maxObjects   = 512 // of one class
	maxAttribute = 1 << 20
)

// object is one token object as read. Handles are good for this session only.
type object struct {
	handle p11.ObjectHandle
	id     []byte
	label  string
	der    []byte // of a certificate

	// Of a certificate, a public key, or an RSA private key: its public key.
	spki []byte
	key  pkcs11.KeyID

	modulus []byte // of an RSA private key
	params  []byte // of an EC private key: CKA_EC_PARAMS

	problem string
}

// inventory is all that matters on a token.
type inventory struct{ certs, pubs, privs []object }

// inventory reads the token, or gives the last reading if nothing changed since.
func (m *Module) inventory() (*inventory, error) {
	if m.inv != nil {
		return m.inv, nil
	}
	var inv inventory
	for _, c := range []struct {
		class uint
		list  *[]object
		read  func(*object) error
	}{
		{p11.CKO_CERTIFICATE, &inv.certs, m.readCertificate},
		{p11.CKO_PUBLIC_KEY, &inv.pubs, m.readPublic},
		{p11.CKO_PRIVATE_KEY, &inv.privs, m.readPrivate},
	} {
		handles, err := m.search(p11.NewAttribute(p11.CKA_CLASS, c.class), p11.NewAttribute(p11.CKA_TOKEN, true))
		if err != nil {
			return nil, err
		}
		for _, h := range handles {
			o := object{handle: h}
			if o.id, err = m.attribute(h, p11.CKA_ID); err != nil {
				return nil, err
			}
			label, err := m.attribute(h, p11.CKA_LABEL)
			if err != nil {
				return nil, err
			}
			o.label = trim(string(label))
			if err := c.read(&o); err != nil {
				return nil, err
			}
			if o.spki != nil {
				o.key = pkcs11.KeyIDOf(o.spki)
			}
			*c.list = append(*c.list, o)
		}
	}
	m.inv = &inv
	return m.inv, nil
}

// search finds objects. Modules with an endless list are stopped.
func (m *Module) search(template ...*p11.Attribute) ([]p11.ObjectHandle, error) {
	if err := m.ctx.FindObjectsInit(m.session, template); err != nil {
		return nil, m.fail("C_FindObjectsInit", err)
	}
	defer m.ctx.FindObjectsFinal(m.session)
	var all []p11.ObjectHandle
	for {
		some, _, err := m.ctx.FindObjects(m.session, 64)
		if err != nil {
			return nil, m.fail("C_FindObjects", err)
		}
		if len(some) == 0 {
			return all, nil
		}
		if all = append(all, some...); len(all) > maxObjects {
			return nil, fail(pkcs11.ErrTooLarge, "more than %d objects", maxObjects)
		}
	}
}

// attribute reads one attribute, nil if the object has none or does not show it.
// They are read one by one, since some modules fail a whole list for one.
func (m *Module) attribute(h p11.ObjectHandle, typ uint) ([]byte, error) {
	list, err := m.ctx.GetAttributeValue(m.session, h, []*p11.Attribute{p11.NewAttribute(typ, nil)})
	switch code(err) {
	case p11.CKR_OK:
	case p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_SENSITIVE:
		return nil, nil
	default:
		return nil, m.fail(fmt.Sprintf("attribute 0x%x", typ), err)
	}
	if len(list) != 1 || len(list[0].Value) > maxAttribute {
		return nil, nil
	}
	return list[0].Value, nil
}

// number reads a CK_ULONG.
func (m *Module) number(h p11.ObjectHandle, typ uint) (uint, bool, error) {
	b, err := m.attribute(h, typ)
	if err != nil || len(b) != 8 {
		return 0, false, err
	}
	return uint(binary.NativeEndian.Uint64(b)), true, nil
}

// flag reads a CK_BBOOL; absent is false.
func (m *Module) flag(h p11.ObjectHandle, typ uint) (bool, error) {
	b, err := m.attribute(h, typ)
	return len(b) == 1 && b[0] != 0, err
}

func (m *Module) readCertificate(o *object) (err error) {
	if o.der, err = m.attribute(o.handle, p11.CKA_VALUE); err != nil {
		return err
	}
	if o.spki, err = pkcs11.CertificateKey(o.der); err != nil {
		o.problem = err.Error()
	}
	if len(o.der) > pkcs11.MaxCertificate {
		o.problem = fmt.Sprintf("certificate of %d bytes", len(o.der))
	}
	return nil
}

func (m *Module) readPublic(o *object) error {
	kind, _, err := m.number(o.handle, p11.CKA_KEY_TYPE)
	if err != nil {
		return err
	}
	var pub crypto.PublicKey
	switch kind {
	case p11.CKK_RSA:
		pub, err = m.rsaKey(o.handle)
	case p11.CKK_EC:
		pub, err = m.ecKey(o)
	default:
		o.problem = fmt.Sprintf("key type %d", kind)
	}
	if err != nil || pub == nil {
		if o.problem == "" {
			o.problem = "public key unreadable"
		}
		return err
	}
	if o.spki, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		o.problem = err.Error()
	}
	return nil
}

// rsaKey reads modulus and exponent; nil if one is missing.
func (m *Module) rsaKey(h p11.ObjectHandle) (crypto.PublicKey, error) {
	n, err := m.attribute(h, p11.CKA_MODULUS)
	if err != nil {
		return nil, err
	}
	e, err := m.attribute(h, p11.CKA_PUBLIC_EXPONENT)
	exponent := new(big.Int).SetBytes(e)
	if err != nil || len(n) == 0 || exponent.BitLen() < 2 || exponent.BitLen() > 31 {
		return nil, err
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

// curves by CKA_EC_PARAMS, the DER of the curve's OID (RFC 5480 section 2.1.1.1).
var curves = map[string]elliptic.Curve{
	"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07": elliptic.P256(),
	"\x06\x05\x2b\x81\x04\x00\x22":             elliptic.P384(),
	"\x06\x05\x2b\x81\x04\x00\x23":             elliptic.P521(),
}

func (m *Module) ecKey(o *object) (crypto.PublicKey, error) {
	params, err := m.attribute(o.handle, p11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	curve := curves[string(params)]
	if curve == nil {
		o.problem = fmt.Sprintf("curve %x", params)
		return nil, nil
	}
	point, err := m.attribute(o.handle, p11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	pub := parsePoint(curve, point)
	if pub == nil {
		o.problem = fmt.Sprintf("EC point of %d bytes", len(point))
		return nil, nil
	}
	return pub, nil
}

// parsePoint reads CKA_EC_POINT: a DER OCTET STRING by the specification, the
// bare point by old modules (Q-EC-POINT). Both begin with 0x04.
func parsePoint(curve elliptic.Curve, b []byte) *ecdsa.PublicKey {
	if pub, err := ecdsa.ParseUncompressedPublicKey(curve, b); err == nil {
		return pub
	}
	var point []byte
	if rest, err := asn1.Unmarshal(b, &point); err != nil || len(rest) != 0 {
		return nil
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil
	}
	return pub
}

func (m *Module) readPrivate(o *object) error {
	kind, _, err := m.number(o.handle, p11.CKA_KEY_TYPE)
	if err != nil {
		return err
	}
	switch kind {
	case p11.CKK_RSA:
		if o.modulus, err = m.attribute(o.handle, p11.CKA_MODULUS); err != nil {
			return err
		}
		if pub, err := m.rsaKey(o.handle); err != nil {
			return err
		} else if pub != nil {
			o.spki, _ = x509.MarshalPKIXPublicKey(pub)
		}
	case p11.CKK_EC:
		if o.params, err = m.attribute(o.handle, p11.CKA_EC_PARAMS); err != nil {
			return err
		}
	default:
		o.problem = fmt.Sprintf("key type %d", kind)
	}
	return nil
}

// private finds the private keys of a public key. Where the token leaves it open
// which one it is, a signature decides.
func (m *Module) private(inv *inventory, key pkcs11.KeyID) (privs []object, spki []byte, err error) {
	ids := map[string]bool{} // CKA_IDs under which this public key is known
	for _, list := range [][]object{inv.pubs, inv.certs, inv.privs} {
		for _, o := range list {
			if o.spki != nil && o.key == key {
				spki = o.spki
				ids[string(o.id)] = true
			}
		}
	}
	if spki == nil {
		return nil, nil, nil
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, spki, nil
	}
	for _, o := range inv.privs {
		switch k := pub.(type) {
		case *rsa.PublicKey:
			if new(big.Int).SetBytes(o.modulus).Cmp(k.N) == 0 {
				privs = append(privs, o)
			}
		case *ecdsa.PublicKey:
			if !ids[string(o.id)] || (curves[string(o.params)] != k.Curve && len(o.params) != 0) || o.modulus != nil || o.problem != "" {
				continue
			}
			if inv.shared(o.id) {
				if !m.loggedIn {
					continue
				}
				proven, err := m.proves(o, pub)
				if errors.Is(err, pkcs11.ErrRemoved) {
					return nil, spki, err
				}
				if !proven { // or not willing to prove it
					continue
				}
			}
			privs = append(privs, o)
		}
	}
	return privs, spki, nil
}

// shared says whether a CKA_ID stands for more than one key.
func (inv *inventory) shared(id []byte) bool {
	keys, privs := map[pkcs11.KeyID]bool{}, 0
	for _, list := range [][]object{inv.pubs, inv.certs} {
		for _, o := range list {
			if o.spki != nil && bytes.Equal(o.id, id) {
				keys[o.key] = true
			}
		}
	}
	for _, o := range inv.privs {
		if bytes.Equal(o.id, id) {
			privs++
		}
	}
	return len(keys) > 1 || privs > 1
}

// Objects reads the token anew and lists certificates, then keys without one.
func (m *Module) Objects() ([]pkcs11.Object, error) {
	if err := m.need(false); err != nil {
		return nil, err
	}
	m.inv = nil
	inv, err := m.inventory()
	if err != nil {
		return nil, err
	}
	var list []pkcs11.Object
	seen := map[pkcs11.KeyID]bool{}
	add := func(o object, isKey bool) error {
		e := pkcs11.Object{ID: o.id, Label: o.label, CertificateDER: o.der, PublicKeyDER: o.spki, Problem: o.problem}
		if o.spki != nil {
			if isKey && seen[o.key] {
				return nil
			}
			seen[o.key] = true
			for _, p := range inv.pubs {
				e.HasPublic = e.HasPublic || (p.spki != nil && p.key == o.key)
			}
			privs, _, err := m.private(inv, o.key)
			if err != nil {
				return err
			}
			e.HasPrivate = len(privs) > 0
		}
		list = append(list, e)
		return nil
	}
	for _, o := range inv.certs {
		if err := add(o, false); err != nil {
			return nil, err
		}
	}
	for _, o := range inv.pubs {
		if err := add(o, true); err != nil {
			return nil, err
		}
	}
	for _, o := range inv.privs { // RSA whose public key is missing; EC of which nothing is known
		switch {
		case o.spki != nil:
			if err := add(o, true); err != nil {
				return nil, err
			}
		case !inv.known(o):
			list = append(list, pkcs11.Object{ID: o.id, Label: o.label, HasPrivate: true, Problem: "private key without a public key"})
		}
	}
	return list, nil
}

// known says whether a private key that does not show its public key has one
// under its CKA_ID.
func (inv *inventory) known(priv object) bool {
	for _, list := range [][]object{inv.pubs, inv.certs} {
		for _, o := range list {
			if o.spki != nil && bytes.Equal(o.id, priv.id) {
				return true
			}
		}
	}
	return false
}
