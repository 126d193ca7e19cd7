package cmp

import (
	"bytes"
	"crypto"
	"testing"
)

// keyPairs are the combinations a kiosk meets: old key, new key (nil: kept).
func keyPairs() map[string][2]crypto.Signer {
	return map[string][2]crypto.Signer{
		"ec to ec":       {seededKey("old"), seededKey("new")},
		"ec kept":        {seededKey("old"), nil},
		"rsa to rsa":     {rsaKey("old", 2048), rsaKey("new", 2048)},
		"rsa to ec":      {rsaKey("old", 2048), seededKey("new")},
		"rsa kept":       {rsaKey("old", 2048), nil},
		"rsa-4096 to ec": {rsaKey("big", 4096), seededKey("new")},
	}
}

// TestRenewal is the whole conversation: kur, attestation, nested, kup,
// certConf, pkiConf; each side checks all it gets.
func TestRenewal(t *testing.T) {
	for what, pair := range keyPairs() {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, pair[0])
			newKey := pair[1]
			kur := must(t)(w.kur(newKey).Build(nil))
			nested := w.attested(t, kur)
			if newKey == nil {
				newKey = pair[0]
			}

			// The CA.
			outer := mustParse(t, nested)
			if err := outer.VerifyProtection(w.kiosk.cert); err != nil {
				t.Fatal(err)
			}
			inner, err := outer.Inner()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(inner.Raw(), kur) {
				t.Error("the inner message is not the kur, byte for byte")
			}
			s, officer, err := VerifyAttestation(outer.Attestation(), w.officers(), now)
			if err != nil {
				t.Fatal(err)
			}
			if !officer.Equal(w.officer.cert) {
				t.Error("another officer")
			}
			if err := s.CheckRequest(inner); err != nil {
				t.Error(err)
			}
			old, req, err := inner.CheckRequest()
			if err != nil {
				t.Fatal(err)
			}
			if !old.Equal(w.citizen.cert) || !req.IsKUR() || req.ID != 0 || !inner.ImplicitConfirm() {
				t.Error("request lost something")
			}
			spki, _ := spkiOf(newKey)
			if !bytes.Equal(req.PublicKey, spki) {
				t.Error("public key of the template is not the new one")
			}
			cert := w.renewed(t, newKey)
			kup := must(t)(w.reply(inner).Issued(nil, cert, true))

			// The kiosk, from the stored request alone.
			e, err := outer.Expect()
			if err != nil {
				t.Fatal(err)
			}
			e.Anchors, e.Time = w.anchors, now
			a, err := e.Check(kup)
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind != Issued || !a.Cert.Equal(cert) || !a.ImplicitConfirmed || !a.WithMods() || len(a.Chain) != 2 {
				t.Errorf("answer %+v", a)
			}
			conf := must(t)(CertConf{Cert: a.Cert, Signer: w.citizen.key, SignerCert: w.citizen.cert, Chain: w.chain(), TransactionID: e.TransactionID,
				SenderNonce: fill('C'), RecipNonce: a.SenderNonce, Time: now, Recipient: w.ca.cert.RawSubject}.Build(nil))
			m := mustParse(t, conf)
			if err := m.VerifyProtection(w.citizen.cert); err != nil {
				t.Error(err)
			}
			if err := m.Confirmation(cert); err != nil {
				t.Error(err)
			}
			e.Sent, e.Nonce = SentCertConf, fill('C')
			if a, err = e.Check(must(t)(w.reply(m).PKIConf(nil))); err != nil || a.Kind != Confirmed {
				t.Errorf("%v, %v", a.Kind, err)
			}
		})
	}
}
