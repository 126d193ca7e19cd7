package check

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"mohr.internal/kiosk/profile"
)

// FuzzCertificate: whatever bytes a token calls a certificate, nothing panics,
// and a stranger's certificate is always refused.
func FuzzCertificate(f *testing.F) {
	w := newWorld(f)
	in := w.input()
	good, ca := in.Leaf, w.profile.Chain[0].Certificate
	f.Add(good.Raw)
	for _, b := range subjectBoundaries[:12] {
		other := newWorld(f)
		b.bad(other)
		_, _, leaf := other.build()
		f.Add(leaf.Raw)
	}
	f.Add(ca.Raw)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		if len(der) == 0 {
			return
		}
		objects := []Object{{ID: []byte{1}, CertificateDER: der, HasPrivate: true}, {ID: []byte{1}, PublicKeyDER: der, HasPrivate: true}}
		choice := Choose(w.profile, objects, true, w.clock)
		SubjectFields(der)
		cert, err := ParseCertificate(der)
		if err != nil {
			return
		}
		in := in
		in.Leaf, in.Extra, in.Holders = cert, append(choice.CAs, cert), append(choice.Holders, cert)
		r := Certificate(in)
		if r.Err() == nil && cert.CheckSignatureFrom(ca) != nil {
			t.Errorf("accepted %x", der)
		}
		if _, err := SubjectFields(cert.RawSubject); err == nil && len(cert.RawSubject) > MaxCertificate {
			t.Error("subject over the limit")
		}
		p := *w.profile
		p.Officers = []profile.Officer{{Certificate: sha256.Sum256(cert.Raw)}}
		Officer(&p, cert, "", r.Holder, in.CRLs, w.clock)
		TypedID(&p, r.Holder, string(der), true)
		NewKey(&p, cert.PublicKey, good)
	})
}

// FuzzCRL: no list makes a check panic, and only a signed one revokes.
func FuzzCRL(f *testing.F) {
	w := newWorld(f)
	for _, change := range []func(w *world){
		asIs, extended(oidDistributionPoint, true, []byte{0x30, 3, 0x81, 1, 0xff}), extended(oidDistributionPoint, true, []byte{4, 0}),
		func(w *world) { w.crls[0].forged, w.crls[0].revoked = true, revoked(1) },
	} {
		other := newWorld(f)
		change(other)
		f.Add(other.input().CRLs[0].Raw)
	}
	in := w.input()
	ca := w.profile.Chain[0].Certificate
	f.Fuzz(func(t *testing.T, der []byte) {
		list, err := ParseCRL(der)
		if err != nil {
			return
		}
		complete(list)
		lookUp(list, in.Leaf)
		in := in
		in.CRLs = append([]*x509.RevocationList{list}, in.CRLs...)
		if r := Certificate(in); r.Has(CertRevoked) && list.CheckSignatureFrom(ca) != nil {
			t.Errorf("revoked by %x", der)
		}
	})
}

// FuzzDistributionPoint is the one extension of a CRL parsed here.
func FuzzDistributionPoint(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add([]byte{0x30, 3, 0x84, 1, 0xff})
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) { coversHolders(value) })
}
