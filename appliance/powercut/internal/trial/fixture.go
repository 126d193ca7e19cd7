package trial

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

const (
	office       = "office-1"
	kioskNumber  = 7
	citizenPIN   = "73918264"
	wrongPIN     = "52847163" // typed at first
	officerPIN   = "64051728"
	citizenCount = 3
	officerStick = citizenCount
)

// people are the citizens and the officer. All are invented; no word of theirs may be
// found on the disk (see scan).
var people = [...]cmptest.Person{
	{Given: "Zharfa", Family: "Khoshghadam", GivenFa: "ژرفا", FamilyFa: "خوش\u200cقدم یکتا", NationalID: "3629147852", Province: "یزد", City: "یزد"},
	{Given: "Bahador", Family: "Kianifar", GivenFa: "بهادر", FamilyFa: "کیانی\u200cفر", NationalID: "4078152635", Province: "یزد", City: "یزد"},
	{Given: "Golnoush", Family: "Parsayan", GivenFa: "گلنوش", FamilyFa: "پارساییان", NationalID: "5291638478", Province: "یزد", City: "یزد"},
	officerStick: {
		Given: "Khashayar", Family: "Vossoughi", GivenFa: "خشایار", FamilyFa: "وثوقی", NationalID: "6184729357", Affiliation: cmptest.Governmental,
		Units: []string{"دفتر پیشخوان نمونه"}, OrganizationID: "10380284790", Title: "Registration Officer", Province: "یزد", City: "یزد",
	},
}

// fixture is an office, its people, their tokens and the CA, as files that
// every process of a run reads.
type fixture struct {
	PKI     string // folder
	Profile []byte
	Receipt []byte   // PKCS #8
	Storage []byte   // key of the vault
	Numbers []string // of the citizens
	Certs   [][]byte // SHA-256 of the citizens' certificates
	Sticks  [][]byte // state of the citizens' tokens, then the officer's
}

// newFixture makes everything, in a folder.
func newFixture(dir string, now time.Time) (*fixture, error) {
	pki, err := cmptest.New(cmptest.Options{Time: now, Seed: "powercut"})
	if err != nil {
		return nil, err
	}
	f := &fixture{PKI: filepath.Join(dir, "pki"), Storage: make([]byte, vault.KeySize)}
	rand.Read(f.Storage)
	for n := range citizenCount {
		cert, err := f.stick(dir, n, pki.Citizen)
		if err != nil {
			return nil, err
		}
		hash := sha256.Sum256(cert.Raw)
		f.Numbers, f.Certs = append(f.Numbers, cert.Subject.SerialNumber), append(f.Certs, hash[:])
	}
	officer, err := f.stick(dir, officerStick, pki.Officer)
	if err != nil {
		return nil, err
	}
	if f.Profile, err = makeProfile(pki, officer, now); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if f.Receipt, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, err
	}
	return f, pki.Write(f.PKI, now)
}

type issuer func(crypto.PublicKey, cmptest.CertOptions) (*x509.Certificate, error)

// stick makes a token with a key and a certificate.
func (f *fixture) stick(dir string, n int, issue issuer) (*x509.Certificate, error) {
	file := filepath.Join(dir, fmt.Sprintf("stick-%d", n))
	t := pkcs11test.New(stickOptions(n, file))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := issue(key.Public(), cmptest.CertOptions{Person: people[n]})
	if err != nil {
		return nil, err
	}
	if err := t.AddKey([]byte{1}, "key", key); err != nil {
		return nil, err
	}
	t.AddCertificate([]byte{1}, "certificate", cert.Raw)
	state, err := os.ReadFile(file)
	f.Sticks = append(f.Sticks, state)
	return cert, err
}

func stickOptions(n int, file string) pkcs11test.Options {
	o := pkcs11test.Options{
		PIN: citizenPIN, Serial: fmt.Sprintf("%04d", n), Label: "Citizen", TellTries: true, File: file,
		NewKey: func(pkcs11.KeyAlgorithm) (crypto.Signer, error) {
			return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		},
	}
	if n == officerStick {
		o.PIN, o.Label = officerPIN, "Officer"
	}
	return o
}

func makeProfile(pki *cmptest.PKI, officer *x509.Certificate, now time.Time) ([]byte, error) {
	p, err := profile.Template("demo")
	if err != nil {
		return nil, err
	}
	sealing, err := age.GenerateX25519Identity() // nobody opens the evidence here
	if err != nil {
		return nil, err
	}
	p.Anchors = []profile.Certificate{{Certificate: pki.Root}}
	p.Chain = []profile.Certificate{{Certificate: pki.Issuing}}
	p.Recipients = []string{sealing.Recipient().String()}
	p.Officers = []profile.Officer{{
		Name: profile.Text{"fa": "خشایار وثوقی", "en": "Khashayar Vossoughi"}, Office: office, Certificate: sha256.Sum256(officer.Raw),
		TrainingUntil: now.AddDate(0, 6, 0), NotAfter: now.AddDate(1, 0, 0),
	}}
	return p.Encode()
}
