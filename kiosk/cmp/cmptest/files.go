package cmptest

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Files written by [PKI.Write], beside a .key for each of root, issuing,
// responder and ra:
//
//	root.pem issuing.pem responder.pem ra.pem  one certificate each; ra is the first kiosk
//	chain.pem                                  issuing, then root
//	officers.pem                               the list of officers, absent if there are none
//	crl.pem crl.der                            the issuing CA's CRL, from an hour ago, good for a week
//	state                                      time, seed, counters and kind of keys; for Load
const (
	stateFile    = "state"
	officersFile = "officers.pem"
	maxFile      = 1 << 20
)

// Write puts the PKI into dir as files for OpenSSL and for [Load], private keys
// readable by their owner alone. now dates the CRL.
func (p *PKI) Write(dir string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cmptest: write pki: %w", err)
	}
	crl, err := p.CRL(now.Add(-crlAge), now.Add(crlLife))
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"root.pem":      CertificatesPEM(p.Root),
		"issuing.pem":   CertificatesPEM(p.Issuing),
		"chain.pem":     CertificatesPEM(p.Issuing, p.Root),
		"responder.pem": CertificatesPEM(p.Responder),
		"ra.pem":        CertificatesPEM(p.Kiosk),
		"crl.der":       crl,
		"crl.pem":       pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}),
		stateFile:       p.state(),
	}
	if officers := p.Officers(); len(officers) > 0 {
		files[officersFile] = CertificatesPEM(officers...)
	}
	for name, key := range map[string]crypto.Signer{
		"root.key": p.rootKey, "issuing.key": p.issuingKey,
		"responder.key": p.ResponderKey, "ra.key": p.KioskKey,
	} {
		if files[name], err = KeyPEM(key); err != nil {
			return err
		}
	}
	for name, content := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".key") {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, mode); err != nil {
			return fmt.Errorf("cmptest: write pki: %w", err)
		}
	}
	return nil
}

// Load reads what [PKI.Write] wrote.
func Load(dir string) (*PKI, error) {
	p, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("cmptest: load pki from %s: %w", dir, err)
	}
	return p, nil
}

func load(dir string) (*PKI, error) {
	p := &PKI{
		revoked:  make(map[string]x509.RevocationListEntry),
		officers: make(map[[32]byte]*x509.Certificate),
	}
	state, err := readFile(dir, stateFile)
	if err != nil {
		return nil, err
	}
	if err := p.parseState(state); err != nil {
		return nil, err
	}
	for name, to := range map[string]struct {
		cert **x509.Certificate
		key  *crypto.Signer
	}{
		"root": {&p.Root, &p.rootKey}, "issuing": {&p.Issuing, &p.issuingKey},
		"responder": {&p.Responder, &p.ResponderKey}, "ra": {&p.Kiosk, &p.KioskKey},
	} {
		if *to.cert, *to.key, err = readPair(dir, name); err != nil {
			return nil, err
		}
	}
	der, err := readFile(dir, "crl.der")
	if err != nil {
		return nil, err
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("crl.der: %w", err)
	}
	if err := crl.CheckSignatureFrom(p.Issuing); err != nil {
		return nil, fmt.Errorf("crl.der: %w", err)
	}
	for _, e := range crl.RevokedCertificateEntries {
		p.revoked[e.SerialNumber.String()] = x509.RevocationListEntry{
			SerialNumber: e.SerialNumber, RevocationTime: e.RevocationTime, ReasonCode: e.ReasonCode,
		}
	}
	officers, err := readFile(dir, officersFile)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	} else if err != nil {
		return nil, err
	}
	certs, err := ParseCertificatesPEM(officers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", officersFile, err)
	}
	for _, c := range certs {
		p.AddOfficer(c)
	}
	return p, nil
}

func (p *PKI) state() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Appendf(nil, "%s %d %d %t %q\n", p.opts.Time.Format(time.RFC3339), p.counter, p.crlNum, p.opts.RSA, p.opts.Seed)
}

func (p *PKI) parseState(text []byte) error {
	fields := strings.SplitN(strings.TrimSuffix(string(text), "\n"), " ", 5)
	if len(fields) != 5 {
		return fmt.Errorf("%s: %d fields, want 5", stateFile, len(fields))
	}
	var err [5]error
	p.opts.Time, err[0] = time.Parse(time.RFC3339, fields[0])
	p.counter, err[1] = strconv.ParseUint(fields[1], 10, 64)
	p.crlNum, err[2] = strconv.ParseInt(fields[2], 10, 64)
	p.opts.RSA, err[3] = strconv.ParseBool(fields[3])
	p.opts.Seed, err[4] = strconv.Unquote(fields[4])
	if e := errors.Join(err[:]...); e != nil {
		return fmt.Errorf("%s: %w", stateFile, e)
	}
	return nil
}

// CertificatesPEM encodes certificates one after the other.
func CertificatesPEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// ParseCertificatesPEM decodes one or more certificates and nothing else.
func ParseCertificatesPEM(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("unexpected %s", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate")
	}
	return certs, nil
}

// KeyPEM encodes a private key as PKCS #8.
func KeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cmptest: encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func readPair(dir, name string) (*x509.Certificate, crypto.Signer, error) {
	text, err := readFile(dir, name+".pem")
	if err != nil {
		return nil, nil, err
	}
	certs, err := ParseCertificatesPEM(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.pem: %w", name, err)
	}
	if text, err = readFile(dir, name+".key"); err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("%s.key: no key", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.key: %w", name, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s.key: %T cannot sign", name, parsed)
	}
	if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(certs[0].PublicKey) {
		return nil, nil, fmt.Errorf("%s.key: not the key of %s.pem", name, name)
	}
	return certs[0], key, nil
}

func readFile(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, more than %d", name, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}
