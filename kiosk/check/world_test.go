package check

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
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mohr.internal/kiosk/profile"
)

// now is the tests' time: noon in Tehran, 20 days before the leaf ends.
var now = time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC)

const day = 24 * time.Hour

// world is everything a check looks at. newWorld makes one in which no rule
// has anything to say; a test changes what it is about.
type world struct {
	t        testing.TB
	profile  *profile.Profile
	clock    Clock
	root     x509.Certificate // templates, used by build
	issuing  x509.Certificate
	leaf     x509.Certificate
	subject  []pkix.AttributeTypeAndValue
	key      crypto.PublicKey // of the leaf
	issuer   *ecdsa.PrivateKey
	crls     []crl
	register *Register
	renewals int // of the leaf in the register; -1: not in it
	remote   int
	presence time.Time
	holders  []*x509.Certificate
	weak     x509.SignatureAlgorithm // pretend the leaf was signed with it
}

// crl is a template of the issuing CA's list, or of the root's.
type crl struct {
	byRoot  bool
	forged  bool
	at      time.Time
	next    time.Time
	revoked []x509.RevocationListEntry
	ext     []pkix.Extension
}

// Keys are fixed, so that fuzzing, which runs in several processes, sees one PKI.
var (
	rootKey, issuingKey, leafKey, otherKey = ecKey(1), ecKey(2), ecKey(3), ecKey(4)
	rsaKey                                 = sync.OnceValue(func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return k
	})
)

func ecKey(n byte) *ecdsa.PrivateKey {
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err)
	}
	return k
}

var (
	leafSerial    = big.NewInt(0x1234)
	issuingSerial = big.NewInt(2)
)

func newWorld(t testing.TB) *world {
	t.Helper()
	p, err := profile.Template("demo")
	if err != nil {
		t.Fatal(err)
	}
	p.Recipients = []string{"age1" + strings.Repeat("q", 58)}
	authority := x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: now.Add(-1000 * day), NotAfter: now.Add(1000 * day),
	}
	w := &world{
		t: t, profile: p, clock: Clock{now, true}, root: authority, issuing: authority,
		leaf: x509.Certificate{
			SerialNumber: leafSerial, NotBefore: now.Add(-345 * day), NotAfter: now.Add(20 * day),
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		},
		subject: []pkix.AttributeTypeAndValue{
			{Type: oidCountry, Value: "IR"}, {Type: oidOrganization, Value: "Unaffiliated"},
			{Type: oidProvince, Value: "تهران"}, {Type: oidLocality, Value: "تهران"},
			{Type: oidCommonName, Value: "Maryam Rezaei [Sign]"}, {Type: oidSerial, Value: "0499370899"},
			{Type: oidSurname, Value: "رضایی"}, {Type: oidGivenName, Value: "مریم"},
		},
		key: leafKey.Public(), issuer: issuingKey,
		crls:     []crl{{at: now.Add(-day), next: now.Add(day)}},
		register: &Register{Date: now, Entries: map[[32]byte]Entry{}},
	}
	w.root.SerialNumber, w.root.Subject = big.NewInt(1), pkix.Name{CommonName: "Root"}
	w.issuing.SerialNumber, w.issuing.Subject = issuingSerial, pkix.Name{CommonName: "Issuing"}
	return w
}

var (
	oidSerial = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidOrgID  = asn1.ObjectIdentifier{2, 5, 4, 97}
)

// set replaces the values of an attribute of the leaf's subject; none removes it.
func (w *world) set(oid asn1.ObjectIdentifier, values ...string) *world {
	w.subject = slices.DeleteFunc(slices.Clone(w.subject), func(a pkix.AttributeTypeAndValue) bool { return a.Type.Equal(oid) })
	for _, v := range values {
		w.subject = append(w.subject, pkix.AttributeTypeAndValue{Type: oid, Value: v})
	}
	return w
}

func (w *world) sign(template, parent *x509.Certificate, pub crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	w.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return cert
}

// build makes root, issuing CA and leaf; and pins the root if nothing is yet.
func (w *world) build() (root, issuing, leaf *x509.Certificate) {
	w.t.Helper()
	root = w.sign(&w.root, &w.root, rootKey.Public(), rootKey)
	issuing = w.sign(&w.issuing, root, issuingKey.Public(), rootKey)
	w.leaf.Subject = pkix.Name{ExtraNames: w.subject}
	parent := issuing
	if w.issuer != issuingKey {
		parent = w.impostor(issuing)
	}
	leaf = w.sign(&w.leaf, parent, w.key, w.issuer)
	if w.weak != 0 {
		leaf.SignatureAlgorithm = w.weak
	}
	if len(w.profile.Anchors) == 0 {
		w.profile.Anchors = []profile.Certificate{{Certificate: root}}
		w.profile.Chain = []profile.Certificate{{Certificate: issuing}}
	}
	return root, issuing, leaf
}

// input is the world as Certificate takes it.
func (w *world) input() Input {
	w.t.Helper()
	root, issuing, leaf := w.build()
	in := Input{Profile: w.profile, Leaf: leaf, Clock: w.clock, Register: w.register, Holders: w.holders}
	if w.register != nil && w.renewals >= 0 {
		w.register.Entries[CertificateID(leaf)] = Entry{w.renewals, w.remote, w.presence}
	}
	for i, c := range w.crls {
		ca, key := issuing, issuingKey
		if c.byRoot {
			ca, key = root, rootKey
		}
		if c.forged {
			key, ca = otherKey, w.impostor(ca)
		}
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(int64(i + 1)), ThisUpdate: c.at, NextUpdate: c.next,
			RevokedCertificateEntries: c.revoked, ExtraExtensions: c.ext,
		}, ca, key)
		if err != nil {
			w.t.Fatal(err)
		}
		list, err := ParseCRL(der)
		if err != nil {
			w.t.Fatal(err)
		}
		in.CRLs = append(in.CRLs, list)
	}
	return in
}

// impostor has the CA's name and another key.
func (w *world) impostor(ca *x509.Certificate) *x509.Certificate {
	template := x509.Certificate{
		SerialNumber: big.NewInt(9), RawSubject: ca.RawSubject, IsCA: true, BasicConstraintsValid: true, KeyUsage: ca.KeyUsage,
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, SubjectKeyId: ca.SubjectKeyId,
	}
	return w.sign(&template, &template, otherKey.Public(), otherKey)
}

// certificate runs all checks on the holder's certificate.
func (w *world) certificate() Result {
	w.t.Helper()
	return Certificate(w.input())
}

// officer lists the leaf as an officer and runs the officer's checks.
func (w *world) officer(change func(o *profile.Officer), holder Holder) Findings {
	w.t.Helper()
	in := w.input()
	o := profile.Officer{
		Name: profile.Text{"fa": "رضا", "en": "Reza"}, Office: "t-1", Certificate: sha256.Sum256(in.Leaf.Raw),
		TrainingUntil: now.Add(day), NotAfter: now.Add(day),
	}
	change(&o)
	w.profile.Officers = []profile.Officer{{Certificate: profile.Digest{1}}, o}
	_, f := Officer(w.profile, in.Leaf, "t-1", holder, in.CRLs, w.clock)
	return f
}

// rsaModulus is a number of so many bits that no faulty generator makes.
func rsaModulus(bits int) *rsa.PublicKey {
	n := new(big.Int).SetBytes(bytes.Repeat([]byte{0xb7}, bits/8+1))
	n.Mod(n, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	n.SetBit(n, bits-1, 1)
	n.SetBit(n, 0, 1)
	return &rsa.PublicKey{N: n, E: 65537}
}

// rocaModulus is a number of 2048 bits with the mark of the faulty generator.
func rocaModulus() *rsa.PublicKey {
	m := big.NewInt(2)
	for p := int64(3); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), m)
	times := new(big.Int).Lsh(big.NewInt(3), 2046)
	n.Add(n, m.Mul(m, times.Div(times, m)))
	return &rsa.PublicKey{N: n, E: 65537}
}

// rules are the sorted rule IDs of findings.
func rules(f Findings) []string {
	set := make(map[string]bool)
	for _, one := range f {
		set[one.Rule] = true
	}
	return slices.Sorted(maps.Keys(set))
}
