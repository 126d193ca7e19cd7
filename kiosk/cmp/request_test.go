package cmp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// brokenKey is a token that signs badly.
type brokenKey struct {
	*ecdsa.PrivateKey
	sign func(digest []byte) ([]byte, error)
}

func (k brokenKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return k.sign(digest)
}

var errRemoved = errors.New("device removed")

// TestBuildRefuses: no message is built that a CA would refuse.
func TestBuildRefuses(t *testing.T) {
	old := seededKey("old")
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	huge := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 4096), E: 65537}}
	for _, c := range []struct {
		what string
		rule Rule // empty: an ordinary error
		edit func(k *KUR)
	}{
		{"no old key", "", func(k *KUR) { k.OldKey = nil }},
		{"no old certificate", "", func(k *KUR) { k.OldCert = nil }},
		{"old key of another certificate", RuleKey, func(k *KUR) { k.OldKey = seededKey("other") }},
		{"short transactionID", "", func(k *KUR) { k.TransactionID = k.TransactionID[:15] }},
		{"no transactionID", "", func(k *KUR) { k.TransactionID = nil }},
		{"short senderNonce", "", func(k *KUR) { k.SenderNonce = k.SenderNonce[:15] }},
		{"long senderNonce", "", func(k *KUR) { k.SenderNonce = make([]byte, 65) }},
		{"no recipient", RuleSyntax, func(k *KUR) { k.Recipient = nil }},
		{"recipient with trailing bytes", RuleSyntax, func(k *KUR) { k.Recipient = append(bytes.Clone(k.Recipient), 0) }},
		{"before the old certificate", RuleValidity, func(k *KUR) { k.Time = k.OldCert.NotBefore.Add(-time.Second) }},
		{"after the old certificate", RuleValidity, func(k *KUR) { k.Time = k.OldCert.NotAfter.Add(time.Second) }},
		{"new key on P-384", RuleAlgorithm, func(k *KUR) { k.NewKey = p384 }},
		{"new key of 1024 bits", RuleAlgorithm, func(k *KUR) { k.NewKey = weak }},
		{"new key of 4097 bits", RuleAlgorithm, func(k *KUR) { k.NewKey = huge }},
		{"device removed", "", func(k *KUR) { k.NewKey = brokenKey{old, func([]byte) ([]byte, error) { return nil, errRemoved }} }},
		{"signature as r||s", "", func(k *KUR) {
			k.NewKey = brokenKey{old, func(d []byte) ([]byte, error) { return make([]byte, 64), nil }}
		}},
		{"signature by another key", "", func(k *KUR) {
			k.NewKey = brokenKey{old, func(d []byte) ([]byte, error) { return seededKey("x").Sign(nil, d, crypto.SHA256) }}
		}},
		{"no signature", "", func(k *KUR) { k.NewKey = brokenKey{old, func(d []byte) ([]byte, error) { return nil, nil }} }},
		{"too many certificates", RuleSyntax, func(k *KUR) {
			for range maxCerts {
				k.Chain = append(k.Chain, k.Chain[0])
			}
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t, old)
			k := w.kur(seededKey("new"))
			c.edit(&k)
			der, err := k.Build(nil)
			if err == nil || der != nil || ruleOf(err) != c.rule {
				t.Errorf("%d bytes, %v; want rule %q", len(der), err, c.rule)
			}
			if c.what == "device removed" && !errors.Is(err, errRemoved) {
				t.Errorf("cause lost: %v", err)
			}
		})
	}
	// Both ends of the old certificate's life are inside it.
	w := newWorld(t, old)
	for _, at := range []time.Time{w.citizen.cert.NotBefore, w.citizen.cert.NotAfter} {
		k := w.kur(nil)
		k.Time = at
		must(t)(k.Build(nil))
	}
	// A certificate for nonRepudiation only cannot protect CMP.
	tmpl := citizenTemplate(t, "رضایی", now.Add(-year), now.Add(day))
	tmpl.KeyUsage = x509.KeyUsageContentCommitment
	w.citizen = issue(t, &w.ca, old, tmpl)
	if _, err := w.kur(nil).Build(nil); ruleOf(err) != RuleKeyUsage {
		t.Errorf("nonRepudiation only: %v", err)
	}
}

// TestNames: the subject and issuer are the old certificate's bytes.
func TestNames(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	m := mustParse(t, must(t)(w.kur(seededKey("new")).Build(nil)))
	r, err := m.Request()
	if err != nil {
		t.Fatal(err)
	}
	old := w.citizen.cert
	if !bytes.Equal(r.Subject, citizenName(t, "رضایی")) || !bytes.Equal(m.Header.Sender, old.RawSubject) ||
		!bytes.Equal(r.OldCert.Issuer, old.RawIssuer) || !bytes.Equal(m.Header.SenderKID, old.SubjectKeyId) {
		t.Error("a name or key identifier was not copied")
	}
	certs := m.ExtraCerts()
	if len(certs) != 2 || !certs[0].Equal(old) || !certs[1].Equal(w.ca.cert) {
		t.Errorf("extraCerts: want the old certificate, then the chain without root; got %d", len(certs))
	}
	if !m.Time().Equal(now) || !bytes.Equal(m.TransactionID(), fill('T')) || !bytes.Equal(m.SenderNonce(), fill('N')) || m.RecipNonce() != nil {
		t.Error("header")
	}
}

// editRequest changes the CertRequest and signs proof and message again.
func editRequest(t *testing.T, w *world, der []byte, popKey, key crypto.Signer, f func(r *certReqMsg)) *Message {
	t.Helper()
	m := mustParse(t, der)
	r := m.body.(certReqMsg)
	f(&r)
	if popKey != nil {
		var err error
		if r.popo, err = newProof(nil, popKey, must(t)(build(r.certRequest))); err != nil {
			t.Fatal(err)
		}
	}
	m.body = r
	return mustParse(t, resign(t, m, key))
}

func TestCheckRequest(t *testing.T) {
	newKey := seededKey("new")
	for _, c := range []struct {
		what string
		rule Rule
		make func(t *testing.T, w *world, kur []byte) *Message
	}{
		{"good", "", func(t *testing.T, w *world, kur []byte) *Message { return mustParse(t, kur) }},
		{"issuer in the template", "", func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) {
				r.template = append(certTemplate{{explicit(templateIssuer), w.ca.cert.RawSubject}}, r.template...)
			})
		}},
		{"regInfo", "", func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, nil, w.citizen.key, func(r *certReqMsg) { r.regInfo = r.controls })
		}},
		{"no proof", RulePOP, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, nil, w.citizen.key, func(r *certReqMsg) { r.popo = nil })
		}},
		{"proof left to the RA", RulePOP, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, nil, w.citizen.key, func(r *certReqMsg) { r.popo = &proof{raVerified: true} })
		}},
		{"proof by another key", RulePOP, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, w.citizen.key, w.citizen.key, func(r *certReqMsg) {})
		}},
		{"proof over another request", RulePOP, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, nil, w.citizen.key, func(r *certReqMsg) { r.id = 1 })
		}},
		{"no public key", RulePOP, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) { r.template = r.template[:1] })
		}},
		{"public key that is none", RulePOP, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) {
				r.template = slices.Clone(r.template)
				r.template[1].value = derNull
			})
		}},
		{"no oldCertID", RuleOldCert, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) { r.controls = nil })
		}},
		{"oldCertID twice", RuleOldCert, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) { r.controls = append(r.controls, r.controls[0]) })
		}},
		{"oldCertID is null", RuleOldCert, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) { r.controls[0].Value = derNull })
		}},
		{"oldCertID with another serial", RuleOldCert, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) {
				r.controls[0], _ = CertID{w.ca.cert.RawSubject, big.NewInt(7)}.info()
			})
		}},
		{"oldCertID with another issuer", RuleOldCert, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) {
				r.controls[0], _ = CertID{w.root.cert.RawSubject, w.citizen.cert.SerialNumber}.info()
			})
		}},
		{"another subject", RuleSubject, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, newKey, w.citizen.key, func(r *certReqMsg) {
				r.template = slices.Clone(r.template)
				r.template[0].value = w.officer.cert.RawSubject
			})
		}},
		{"protected by the new key", RuleProtection, func(t *testing.T, w *world, kur []byte) *Message {
			return editRequest(t, w, kur, nil, newKey, func(r *certReqMsg) {})
		}},
		{"not protected", RuleProtection, func(t *testing.T, w *world, kur []byte) *Message {
			m := mustParse(t, kur)
			m.Header.ProtectionAlg, m.protection = nil, nil
			return mustParse(t, must(t)(build(m.marshal)))
		}},
		{"without the old certificate", RuleProtection, func(t *testing.T, w *world, kur []byte) *Message {
			m := mustParse(t, kur)
			m.extraCerts = m.extraCerts[1:]
			return mustParse(t, must(t)(build(m.marshal)))
		}},
		{"an ir", RuleBody, func(t *testing.T, w *world, kur []byte) *Message {
			return mustParse(t, must(t)(w.ir(newKey).Build(nil)))
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t, seededKey("old"))
			m := c.make(t, w, must(t)(w.kur(newKey).Build(nil)))
			old, r, err := m.CheckRequest()
			if ruleOf(err) != c.rule || (err == nil) != (c.rule == "") || (err == nil) != (old != nil && r != nil) {
				t.Errorf("%v; want rule %q", err, c.rule)
			}
		})
	}
}

func TestIR(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	ir := w.ir(seededKey("new"))
	m := mustParse(t, must(t)(ir.Build(nil)))
	signer, err := m.ProtectionCert()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.VerifyProtection(signer), RASigner(signer)); err != nil || CASigner(signer) == nil {
		t.Error(err)
	}
	r, err := m.Request()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.VerifyPOP(); err != nil || r.OldCert != nil || r.IsKUR() || !bytes.Equal(r.Subject, w.citizen.cert.RawSubject) {
		t.Errorf("%+v, %v", r, err)
	}
	ir.NewKey = nil
	if _, err := ir.Build(nil); ruleOf(err) != RuleKey {
		t.Error(err)
	}
	ir = w.ir(seededKey("new"))
	ir.Subject = nil
	if _, err := ir.Build(nil); ruleOf(err) != RuleSubject {
		t.Error(err)
	}
}

func TestNested(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	kur := must(t)(w.kur(seededKey("new")).Build(nil))
	n := Nested{Inner: kur, Key: w.kiosk.key, Cert: w.kiosk.cert, Chain: w.chain(), Time: now, Recipient: w.ca.cert.RawSubject}
	good := mustParse(t, must(t)(n.Build(nil)))
	if !bytes.Equal(good.TransactionID(), fill('T')) || !bytes.Equal(good.SenderNonce(), fill('N')) || good.Attestation() != nil || good.ImplicitConfirm() {
		t.Error("header of nested")
	}
	if _, err := good.Request(); ruleOf(err) != RuleBody {
		t.Error(err)
	}

	twice := n
	twice.Inner = good.Raw()
	if _, err := twice.Build(nil); ruleOf(err) != RuleSyntax {
		t.Errorf("nested in nested: %v", err)
	}
	m := mustParse(t, kur)
	m.Header.ProtectionAlg, m.protection = nil, nil
	open := n
	open.Inner = must(t)(build(m.marshal))
	if _, err := open.Build(nil); ruleOf(err) != RuleNested {
		t.Errorf("unprotected inner: %v", err)
	}
	junk := n
	junk.Attestation = []byte("no DER")
	if _, err := junk.Build(nil); ruleOf(err) != RuleSyntax {
		t.Errorf("attestation that is no DER: %v", err)
	}
	for what, edit := range map[string]func(m *Message){
		"another transactionID": func(m *Message) { m.Header.TransactionID = fill('X') },
		"another senderNonce":   func(m *Message) { m.Header.SenderNonce = fill('X') },
	} {
		m := mustParse(t, good.Raw())
		edit(m)
		m = mustParse(t, resign(t, m, w.kiosk.key))
		if _, err := m.Inner(); ruleOf(err) != RuleNested {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := m.Expect(); ruleOf(err) != RuleNested {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := mustParse(t, kur).Inner(); ruleOf(err) != RuleBody {
		t.Error(err)
	}
	// Two messages inside, or none.
	for n, inner := range [][]byte{nil, append(bytes.Clone(kur), kur...)} {
		m := mustParse(t, good.Raw())
		m.body = rawBody(inner)
		if _, err := Parse(resign(t, m, w.kiosk.key)); ruleOf(err) != RuleSyntax {
			t.Errorf("%d messages inside: %v", n*2, err)
		}
	}
}

// rawBody is the content of a SEQUENCE.
type rawBody []byte

func (r rawBody) marshal(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(r) })
}

func TestConfirmation(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	msgs := w.allMessages(t)
	cert := w.renewed(t, seededKey("new"))
	for _, c := range []struct {
		what string
		cert *x509.Certificate
		rule Rule
	}{
		{"certConf", cert, ""},
		{"certConf", w.citizen.cert, RuleCert},
		{"certConf rejected", cert, RuleStatus},
		{"pkiConf", cert, RuleBody},
	} {
		if err := mustParse(t, msgs[c.what]).Confirmation(c.cert); ruleOf(err) != c.rule || (err == nil) != (c.rule == "") {
			t.Errorf("%s: %v, want %q", c.what, err, c.rule)
		}
	}
	// certHash is by the hash of the certificate's own signature.
	tmpl := citizenTemplate(t, "رضایی", now, now.Add(year))
	for alg, size := range map[x509.SignatureAlgorithm]int{x509.ECDSAWithSHA256: 32, x509.ECDSAWithSHA384: 48, x509.ECDSAWithSHA512: 64} {
		tmpl.SignatureAlgorithm = alg
		if h, err := certHash(issue(t, &w.ca, seededKey("new"), tmpl).cert); err != nil || len(h) != size {
			t.Errorf("%v: %d bytes, %v", alg, len(h), err)
		}
	}
	if _, err := certHash(&x509.Certificate{SignatureAlgorithm: x509.PureEd25519}); ruleOf(err) != RuleAlgorithm {
		t.Error(err)
	}
}

// TestBuildNothing: builders with nothing in them say so.
func TestBuildNothing(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	cert := w.renewed(t, seededKey("new"))
	for what, build := range map[string]func() ([]byte, error){
		"kur":                        func() ([]byte, error) { return KUR{}.Build(nil) },
		"ir":                         func() ([]byte, error) { return IR{}.Build(nil) },
		"nested":                     func() ([]byte, error) { return Nested{}.Build(nil) },
		"certConf":                   func() ([]byte, error) { return CertConf{}.Build(nil) },
		"certConf, certificate only": func() ([]byte, error) { return CertConf{Cert: cert}.Build(nil) },
		"certConf without key": func() ([]byte, error) {
			return CertConf{Cert: cert, TransactionID: fill('T'), SenderNonce: fill('N'), Recipient: emptyName, Time: now}.Build(nil)
		},
		"pollReq": func() ([]byte, error) { return PollReq{}.Build(nil) },
		"pollReq without key": func() ([]byte, error) {
			return PollReq{TransactionID: fill('T'), SenderNonce: fill('N'), Recipient: emptyName, Time: now}.Build(nil)
		},
		"kup":                func() ([]byte, error) { return Reply{}.Issued(nil, nil, false) },
		"kup to nothing":     func() ([]byte, error) { return Reply{}.Issued(nil, cert, false) },
		"kup to nothing, ip": func() ([]byte, error) { return Reply{Body: BodyIP}.Issued(nil, cert, false) },
		"error":              func() ([]byte, error) { return Reply{}.Error(nil, 0) },
		"attestation":        func() ([]byte, error) { return Attest(Statement{}, nil, nil, nil, nil) },
	} {
		if der, err := build(); err == nil || der != nil {
			t.Errorf("%s: %d bytes", what, len(der))
		}
	}
	// Only an unprotected error may answer what could not be read.
	der := must(t)(Reply{Unprotected: true}.Error(nil, FailBadDataFormat))
	if a, err := (Expect{}).Check(der); err != nil || a.Kind != Hint || a.Kind.String() != "hint" {
		t.Errorf("%v, %v", a, err)
	}
}
