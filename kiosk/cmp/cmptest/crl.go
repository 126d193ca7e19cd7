package cmptest

import (
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// CRL dates round the PKI's time, used by [PKI.Write].
const (
	crlAge  = time.Hour
	crlLife = 7 * 24 * time.Hour
)

// keyCompromise is the reason code of every revocation (RFC 5280, 5.3.1).
const keyCompromise = 1

// Revoke enters cert into the list of revoked certificates.
func (p *PKI) Revoke(cert *x509.Certificate, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked[cert.SerialNumber.String()] = x509.RevocationListEntry{
		SerialNumber:   cert.SerialNumber,
		RevocationTime: at.UTC().Truncate(time.Second),
		ReasonCode:     keyCompromise,
	}
}

// Unrevoke takes cert off the list again.
func (p *PKI) Unrevoke(cert *x509.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.revoked, cert.SerialNumber.String())
}

// Revoked reports whether the issuing CA has revoked the serial number of cert.
func (p *PKI) Revoked(cert *x509.Certificate) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.revoked[cert.SerialNumber.String()]
	return ok
}

// CRL returns the issuing CA's revocation list in DER.
func (p *PKI) CRL(thisUpdate, nextUpdate time.Time) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crlNum++
	list := &x509.RevocationList{
		Number:     big.NewInt(p.crlNum),
		ThisUpdate: thisUpdate.UTC().Truncate(time.Second),
		NextUpdate: nextUpdate.UTC().Truncate(time.Second),
	}
	for _, e := range p.revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, e)
	}
	slices.SortFunc(list.RevokedCertificateEntries, func(a, b x509.RevocationListEntry) int {
		return cmp.Or(a.RevocationTime.Compare(b.RevocationTime), a.SerialNumber.Cmp(b.SerialNumber))
	})
	der, err := x509.CreateRevocationList(rand.Reader, list, p.Issuing, p.issuingKey)
	if err != nil {
		return nil, fmt.Errorf("cmptest: crl: %w", err)
	}
	return der, nil
}
