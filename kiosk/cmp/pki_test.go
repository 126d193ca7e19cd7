package cmp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"
)

// now is the clock of these tests.
var now = time.Date(2026, 5, 4, 9, 30, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// seededKey is a P-256 key that is the same in each run, so that seeds of fuzz
// targets stay meaningful. Test only.
func seededKey(name string) *ecdsa.PrivateKey {
	for n := byte(0); ; n++ {
		d := sha256.Sum256(append([]byte(name), n))
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:]); err == nil {
			return k
		}
	}
}

// rsaKey makes RSA keys once per run: they are slow.
var rsaKey = func() func(name string, bits int) *rsa.PrivateKey {
	var mu sync.Mutex
	keys := map[string]*rsa.PrivateKey{}
	return func(name string, bits int) *rsa.PrivateKey {
		mu.Lock()
		defer mu.Unlock()
		if keys[name] == nil {
			k, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				panic(err)
			}
			keys[name] = k
		}
		return keys[name]
	}
}()

// party is a key and its certificate.
type party struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// issue makes a certificate. With an ECDSA issuer the outcome is the same in
// each run, as the signature is deterministic without a source of randomness.
func issue(t testing.TB, issuer *party, key crypto.Signer, tmpl x509.Certificate) party {
	t.Helper()
	if tmpl.SerialNumber == nil {
		h := sha256.Sum256(append([]byte(tmpl.Subject.String()), tmpl.NotAfter.String()...))
		tmpl.SerialNumber = new(big.Int).SetBytes(h[:8])
		tmpl.SerialNumber.SetBit(tmpl.SerialNumber, 62, 1)
	}
	if tmpl.SubjectKeyId == nil {
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256(spki)
		tmpl.SubjectKeyId = h[:20]
	}
	tmpl.BasicConstraintsValid = true
	parent, signer := &tmpl, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(nil, &tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return party{key, cert}
}

// world is a small PKI: root, issuing CA, its CMP certificate, a kiosk, an
// officer and a citizen.
type world struct {
	now                                          time.Time
	root, ca, responder, kiosk, officer, citizen party
	anchors                                      *x509.CertPool
}

func name(cn string) pkix.Name {
	return pkix.Name{Country: []string{"IR"}, Organization: []string{"Mohr Test"}, CommonName: cn}
}

// citizenName mixes PrintableString and UTF8String, in an order Go would not
// choose: it must be copied, not rebuilt.
func citizenName(t testing.TB, last string) []byte {
	t.Helper()
	type atv struct {
		Type  asn1.ObjectIdentifier
		Value any
	}
	type rdn []atv
	utf8 := func(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)} }
	printable := func(s string) asn1.RawValue {
		return asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte(s)}
	}
	var ders [][]byte
	for _, a := range []atv{
		{asn1.ObjectIdentifier{2, 5, 4, 5}, utf8("0012345679")},
		{asn1.ObjectIdentifier{2, 5, 4, 3}, utf8("مریم " + last)},
		{asn1.ObjectIdentifier{2, 5, 4, 6}, printable("IR")},
		{asn1.ObjectIdentifier{2, 5, 4, 10}, utf8("Unaffiliated")},
	} {
		der, err := asn1.MarshalWithParams(rdn{a}, "set")
		if err != nil {
			t.Fatal(err)
		}
		ders = append(ders, der)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(ders, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (w *world) caTemplate(cn string) x509.Certificate {
	return x509.Certificate{Subject: name(cn), IsCA: true, NotBefore: w.now.Add(-5 * year), NotAfter: w.now.Add(10 * year),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature}
}

func citizenTemplate(t testing.TB, last string, from, to time.Time) x509.Certificate {
	return x509.Certificate{RawSubject: citizenName(t, last), NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment}
}

// eeTemplate is a certificate of somebody who is no citizen.
func (w *world) eeTemplate(cn string, usage x509.KeyUsage, ekus ...asn1.ObjectIdentifier) x509.Certificate {
	return x509.Certificate{Subject: name(cn), KeyUsage: usage, UnknownExtKeyUsage: ekus, NotBefore: w.now.Add(-year), NotAfter: w.now.Add(year)}
}

// newWorld makes the PKI with the given citizen key; all else is P-256.
func newWorld(t testing.TB, citizen crypto.Signer) *world { return newWorldAt(t, citizen, now) }

func newWorldAt(t testing.TB, citizen crypto.Signer, at time.Time) *world {
	t.Helper()
	w := &world{now: at}
	const sign = x509.KeyUsageDigitalSignature
	w.root = issue(t, nil, seededKey("root"), w.caTemplate("Root"))
	w.ca = issue(t, &w.root, seededKey("ca"), w.caTemplate("Issuing CA"))
	w.responder = issue(t, &w.ca, seededKey("responder"), w.eeTemplate("CMP", sign, oidCMCCA))
	w.kiosk = issue(t, &w.ca, seededKey("kiosk"), w.eeTemplate("Kiosk 7", sign, oidCMCRA))
	w.officer = issue(t, &w.ca, seededKey("officer"), w.eeTemplate("Officer", x509.KeyUsageContentCommitment))
	w.citizen = issue(t, &w.ca, citizen, citizenTemplate(t, "رضایی", at.Add(-year), at.Add(20*day)))
	w.anchors = x509.NewCertPool()
	w.anchors.AddCert(w.root.cert)
	return w
}

func (w *world) chain() []*x509.Certificate { return []*x509.Certificate{w.ca.cert, w.root.cert} }

func fill(b byte) []byte { return bytes.Repeat([]byte{b}, 16) }

func (w *world) kur(newKey crypto.Signer) KUR {
	return KUR{OldCert: w.citizen.cert, Chain: w.chain(), OldKey: w.citizen.key, NewKey: newKey,
		TransactionID: fill('T'), SenderNonce: fill('N'), Time: w.now, Recipient: w.ca.cert.RawSubject, ImplicitConfirm: true}
}

func (w *world) statement(t testing.TB, request []byte) Statement {
	t.Helper()
	s, err := NewStatement(request)
	if err != nil {
		t.Fatal(err)
	}
	s.EvidenceHash = sha256.Sum256([]byte("evidence"))
	s.Profile, s.ProfileVersion = "ir-gica", 3
	s.Renewal, s.Signal = RenewalFirst, "unknown"
	if s.OldCertHash == [32]byte{} {
		s.Renewal = Activation
	}
	s.Office, s.Kiosk = "دفتر ۱۴", "kiosk-7"
	s.Time, s.ClockQuality = w.now, "synced"
	return s
}

func (w *world) officers() Officers {
	return Officers{Anchors: w.anchors, Intermediates: w.chain(), Allow: OfficerList(w.officer.cert)}
}

// attested is a nested message with everything in it.
func (w *world) attested(t testing.TB, request []byte) []byte {
	t.Helper()
	att, err := Attest(w.statement(t, request), w.officer.key, w.officer.cert, w.chain(), nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := Nested{Inner: request, Key: w.kiosk.key, Cert: w.kiosk.cert, Chain: w.chain(), Attestation: att,
		Time: w.now, Recipient: w.ca.cert.RawSubject}.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// renewed is the certificate a good CA issues.
func (w *world) renewed(t testing.TB, key crypto.Signer) *x509.Certificate {
	return issue(t, &w.ca, key, citizenTemplate(t, "رضایی", w.now, w.now.Add(year))).cert
}

func (w *world) reply(to *Message) Reply {
	return Reply{To: to, Key: w.responder.key, Cert: w.responder.cert, Chain: w.chain(), SenderNonce: fill('R'), Time: w.now, GrantImplicit: true}
}

func mustParse(t testing.TB, der []byte) *Message {
	t.Helper()
	m, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func must(t testing.TB) func(der []byte, err error) []byte {
	return func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
}

func ruleOf(err error) Rule {
	var e *CheckError
	if errors.As(err, &e) {
		return e.Rule
	}
	return ""
}

func (w *world) ir(newKey crypto.Signer) IR {
	return IR{Subject: w.citizen.cert.RawSubject, NewKey: newKey, Signer: w.kiosk.key, SignerCert: w.kiosk.cert, Chain: w.chain(),
		TransactionID: fill('T'), SenderNonce: fill('N'), Time: w.now, Recipient: w.ca.cert.RawSubject, ImplicitConfirm: true}
}

// allMessages is one message of each kind.
func (w *world) allMessages(t testing.TB) map[string][]byte {
	t.Helper()
	ok := must(t)
	newKey := seededKey("new")
	k := w.kur(newKey)
	kur, ir := ok(k.Build(nil)), ok(w.ir(newKey).Build(nil))
	to := mustParse(t, kur)
	r := w.reply(to)
	r.ConfirmWait = w.now.Add(day)
	cert := w.renewed(t, newKey)
	poll := ok(PollReq{Signer: k.OldKey, SignerCert: k.OldCert, Chain: k.Chain, TransactionID: k.TransactionID, SenderNonce: fill('P'),
		RecipNonce: fill('R'), Time: w.now, Recipient: k.Recipient}.Build(nil))
	conf := ok(CertConf{Cert: cert, Signer: k.OldKey, SignerCert: k.OldCert, Chain: k.Chain, TransactionID: k.TransactionID, SenderNonce: fill('C'),
		RecipNonce: fill('R'), Time: w.now, Recipient: k.Recipient}.Build(nil))
	reject := ok(CertConf{Cert: cert, Reject: &StatusInfo{Status: StatusRejection, FailInfo: FailBadCertTemplate, Text: []string{"wrong name"}},
		Signer: k.OldKey, SignerCert: k.OldCert, TransactionID: k.TransactionID, SenderNonce: fill('C'), Time: w.now, Recipient: k.Recipient}.Build(nil))
	unprotected := r
	unprotected.Unprotected = true
	return map[string][]byte{
		"kur":               kur,
		"kur kept":          ok(w.kur(nil).Build(nil)),
		"ir":                ir,
		"nested kur":        w.attested(t, kur),
		"nested ir":         w.attested(t, ir),
		"kup":               ok(r.Issued(nil, cert, true, w.ca.cert)),
		"ip":                ok(w.reply(mustParse(t, ir)).Issued(nil, cert, false)),
		"kup waiting":       ok(r.Waiting(nil)),
		"kup rejected":      ok(r.Rejected(nil, FailBadPOP|FailDuplicateCertReq, "نه", "no")),
		"error":             ok(r.Error(nil, FailTransactionIDInUse, "again")),
		"error unprotected": ok(unprotected.Error(nil, FailSystemFailure)),
		"pollReq":           poll,
		"pollRep":           ok(w.reply(mustParse(t, poll)).PollRep(nil, 90*time.Second, "wait")),
		"certConf":          conf,
		"certConf rejected": reject,
		"pkiConf":           ok(w.reply(mustParse(t, conf)).PKIConf(nil)),
	}
}
