package cmptest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"maps"
	"slices"
	"time"
)

// CertOptions bend a certificate away from a good one with 20 days left.
type CertOptions struct {
	Person   Person    // zero means Citizen, or Officer for an officer
	At       time.Time // the day DaysLeft counts from; zero means the PKI's time
	DaysLeft int       // zero means 20 for a citizen and 300 for others

	Expired            bool // ran out DaysLeft days ago
	Revoked            bool // entered into the CRL, a day before At
	ForeignCA          bool // issued by the impostor: same names, same serials, other keys
	NonRepudiationOnly bool // keyUsage without digitalSignature: cannot protect CMP
	MissingTitle       bool // a company's staff without T; Person defaults to Staff
	ForeignNational    bool // Person defaults to ForeignNational
	BadChecksum        bool // last digit of the national ID is wrong

	Policies   []x509.OID       // certificate policies
	Extensions []pkix.Extension // added as they are
}

// validity is how long the certificates of people are issued for.
const validity = 365 * 24 * time.Hour

// slack keeps a certificate made with n days left at n, not n-1, during the
// hour after its making.
const slack = time.Hour

func (o CertOptions) person(byDefault Person) Person {
	p := o.Person
	if p.NationalID == "" && p.Family == "" {
		switch p = byDefault; {
		case o.ForeignNational:
			p = ForeignNational
		case o.MissingTitle:
			p = Staff
		}
	}
	if o.MissingTitle {
		p.Title = ""
	}
	if o.BadChecksum {
		p.NationalID = badChecksum(p.NationalID)
	}
	return p
}

func (o CertOptions) dates(now time.Time, days int) (notBefore, notAfter time.Time) {
	if !o.At.IsZero() {
		now = o.At.UTC().Truncate(time.Second)
	}
	if o.DaysLeft != 0 {
		days = o.DaysLeft
	}
	if o.Expired {
		notAfter = now.AddDate(0, 0, -days)
	} else {
		notAfter = now.AddDate(0, 0, days).Add(slack)
	}
	return notAfter.Add(-validity), notAfter
}

// Citizen issues to a citizen whose key is on a token.
func (p *PKI) Citizen(key crypto.PublicKey, o CertOptions) (*x509.Certificate, error) {
	return p.personal(key, o, Citizen, 20)
}

// Officer issues to a registration officer and enters the certificate into the
// list of officers, see [PKI.IsOfficer].
func (p *PKI) Officer(key crypto.PublicKey, o CertOptions) (*x509.Certificate, error) {
	cert, err := p.personal(key, o, Officer, 300)
	if err != nil {
		return nil, err
	}
	p.AddOfficer(cert)
	return cert, nil
}

// AddOfficer enters a certificate made elsewhere into the list of officers.
func (p *PKI) AddOfficer(cert *x509.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.officers[sha256.Sum256(cert.Raw)] = cert
}

// IsOfficer reports whether exactly this certificate was issued to an officer.
// The certificates of citizens and officers differ in nothing else.
func (p *PKI) IsOfficer(cert *x509.Certificate) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.officers[sha256.Sum256(cert.Raw)]
	return ok
}

// Officers returns the list of officers, ordered by serial number.
func (p *PKI) Officers() []*x509.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Collect(maps.Values(p.officers))
	slices.SortFunc(list, func(a, b *x509.Certificate) int { return a.SerialNumber.Cmp(b.SerialNumber) })
	return list
}

// KioskRA issues to a kiosk: extended key usage id-kp-cmcRA.
func (p *PKI) KioskRA(name string, key crypto.PublicKey, o CertOptions) (*x509.Certificate, error) {
	return p.system(name, key, OIDCMCRA, o)
}

// Twin issues what OpenSSL's mock server must be given as its -rsp_cert: the old
// certificate's subject and serial number for the new key. The mock of OpenSSL
// 3.0 cannot issue, and compares oldCertID with the certificate it returns.
func (p *PKI) Twin(old *x509.Certificate, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	now = now.UTC().Truncate(time.Second)
	cert, err := p.issue(&x509.Certificate{
		SerialNumber: old.SerialNumber, RawSubject: old.RawSubject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		BasicConstraintsValid: true, KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage,
	}, key)
	if err != nil {
		return nil, fmt.Errorf("cmptest: %w", err)
	}
	return cert, nil
}

func (p *PKI) personal(key crypto.PublicKey, o CertOptions, byDefault Person, days int) (*x509.Certificate, error) {
	subject, err := o.person(byDefault).RawSubject()
	if err != nil {
		return nil, err
	}
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if o.NonRepudiationOnly {
		usage = x509.KeyUsageContentCommitment
	}
	return p.leaf(&x509.Certificate{
		RawSubject:  subject,
		KeyUsage:    usage,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection},
	}, key, o, days)
}

func (p *PKI) system(name string, key crypto.PublicKey, purpose asn1.ObjectIdentifier, o CertOptions) (*x509.Certificate, error) {
	subject, err := systemName("Systems", name)
	if err != nil {
		return nil, err
	}
	return p.leaf(&x509.Certificate{
		RawSubject:         subject,
		KeyUsage:           x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{purpose},
	}, key, o, 300)
}

func (p *PKI) leaf(template *x509.Certificate, key crypto.PublicKey, o CertOptions, days int) (*x509.Certificate, error) {
	issuer := p
	if o.ForeignCA {
		other, err := p.Impostor()
		if err != nil {
			return nil, err
		}
		issuer = other
	}
	template.NotBefore, template.NotAfter = o.dates(p.opts.Time, days)
	template.BasicConstraintsValid = true
	template.Policies = o.Policies
	template.ExtraExtensions = o.Extensions
	cert, err := issuer.issue(template, key)
	if err != nil {
		return nil, fmt.Errorf("cmptest: %w", err)
	}
	if o.Revoked {
		at := p.opts.Time
		if !o.At.IsZero() {
			at = o.At
		}
		p.Revoke(cert, at.AddDate(0, 0, -1))
	}
	return cert, nil
}
