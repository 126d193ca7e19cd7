package cmptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// Extended key usages of CMP (RFC 6402, 2.10; RFC 9810, 4.5).
var (
	OIDCMCCA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 27} // id-kp-cmcCA
	OIDCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28} // id-kp-cmcRA
)

// Options of a new PKI.
type Options struct {
	Time time.Time // now; every date in the PKI is counted from it
	Seed string    // serial numbers are derived from it and a counter
	RSA  bool      // RSA-2048 for the PKI's own keys, as in the field; otherwise P-256, which is fast
}

// PKI is a root, one issuing CA and the certificates made by it. It may be used
// by several goroutines.
type PKI struct {
	Root, Issuing, Responder, Kiosk *x509.Certificate
	ResponderKey, KioskKey          crypto.Signer

	opts                Options
	rootKey, issuingKey crypto.Signer

	mu       sync.Mutex
	counter  uint64
	revoked  map[string]x509.RevocationListEntry
	crlNum   int64
	officers map[[32]byte]*x509.Certificate
	impostor *PKI
}

// New makes a PKI with fresh keys.
func New(opts Options) (*PKI, error) {
	if opts.Time.IsZero() {
		return nil, errors.New("cmptest: new pki: no time given")
	}
	opts.Time = opts.Time.UTC().Truncate(time.Second)
	p := &PKI{
		opts:     opts,
		revoked:  make(map[string]x509.RevocationListEntry),
		officers: make(map[[32]byte]*x509.Certificate),
	}
	if err := p.makeAuthorities(); err != nil {
		return nil, fmt.Errorf("cmptest: new pki: %w", err)
	}
	return p, nil
}

func (p *PKI) makeAuthorities() error {
	var err error
	keys := []*crypto.Signer{&p.rootKey, &p.issuingKey, &p.ResponderKey, &p.KioskKey}
	for _, k := range keys {
		if *k, err = p.NewKey(); err != nil {
			return err
		}
	}
	now := p.opts.Time
	authority := x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	root := authority
	root.NotBefore, root.NotAfter = now.AddDate(-8, 0, 0), now.AddDate(12, 0, 0)
	if root.RawSubject, err = systemName("Certification", "Mohr Demo Root CA"); err != nil {
		return err
	}
	if p.Root, err = p.sign(&root, &root, p.rootKey.Public(), p.rootKey); err != nil {
		return err
	}
	issuing := authority
	issuing.MaxPathLen, issuing.MaxPathLenZero = 0, true
	issuing.NotBefore, issuing.NotAfter = now.AddDate(-4, 0, 0), now.AddDate(6, 0, 0)
	if issuing.RawSubject, err = systemName("Certification", "Mohr Demo Issuing CA"); err != nil {
		return err
	}
	if p.Issuing, err = p.sign(&issuing, p.Root, p.issuingKey.Public(), p.rootKey); err != nil {
		return err
	}
	if p.Responder, err = p.system("Mohr Demo CMP Responder", p.ResponderKey.Public(), OIDCMCCA, CertOptions{}); err != nil {
		return err
	}
	p.Kiosk, err = p.KioskRA("Kiosk 1", p.KioskKey.Public(), CertOptions{})
	return err
}

// NewKey returns a key of the PKI's kind.
func (p *PKI) NewKey() (crypto.Signer, error) {
	if p.opts.RSA {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// Time returns the moment the PKI was made for.
func (p *PKI) Time() time.Time { return p.opts.Time }

// Chain returns the certificates above a leaf, issuing CA first, root last.
func (p *PKI) Chain() []*x509.Certificate { return []*x509.Certificate{p.Issuing, p.Root} }

// Roots returns a pool with the root.
func (p *PKI) Roots() *x509.CertPool { return pool(p.Root) }

// Intermediates returns a pool with the issuing CA.
func (p *PKI) Intermediates() *x509.CertPool { return pool(p.Issuing) }

// Impostor returns another PKI with the same names and the same serial numbers,
// but other keys. It is made at the first call.
func (p *PKI) Impostor() (*PKI, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.impostor == nil {
		other, err := New(p.opts)
		if err != nil {
			return nil, fmt.Errorf("cmptest: impostor: %w", err)
		}
		p.impostor = other
	}
	return p.impostor, nil
}

// sign issues template for key, with the next serial number and a subject key
// identifier where template has none.
func (p *PKI) sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		template.SerialNumber = p.nextSerial()
	}
	if template.SubjectKeyId == nil {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
		id := sha256.Sum256(spki)
		template.SubjectKeyId = id[:20]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("issue %x: %w", template.SerialNumber, err)
	}
	return x509.ParseCertificate(der)
}

// issue signs template with the issuing CA.
func (p *PKI) issue(template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	return p.sign(template, p.Issuing, key, p.issuingKey)
}

// nextSerial returns 16 bytes that look random and are the same in every run
// with the same seed.
func (p *PKI) nextSerial() *big.Int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counter++
	in := binary.BigEndian.AppendUint64([]byte("serial "+p.opts.Seed+" "), p.counter)
	h := sha256.Sum256(in)
	h[0] = h[0]&0x3f | 0x40 // positive, and always 16 bytes long
	return new(big.Int).SetBytes(h[:16])
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}
