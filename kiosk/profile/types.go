package profile

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Text is a text in each of the profile's languages, by language code.
type Text map[string]string

// In returns the text in a language, "" if it is not there.
func (t Text) In(lang string) string { return t[lang] }

// Hash is the SHA-256 of the terms in one language, exactly the UTF-8 bytes
// shown, so that sha256sum of a published text file gives the same.
func (t Terms) Hash(lang string) [32]byte { return sha256.Sum256([]byte(t.Text[lang])) }

// Location is the zone for dates on screens.
func (c ClockRule) Location() *time.Location {
	return time.FixedZone(c.Zone, c.OffsetMins*60)
}

// Digest is a SHA-256 value, in JSON 64 lower-case hex digits.
type Digest [32]byte

// String is the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(d) || hex.EncodeToString(b) != string(text) {
		return errors.New("want 64 lower-case hex digits")
	}
	copy(d[:], b)
	return nil
}

// OID is an object identifier, in JSON dotted decimal.
type OID asn1.ObjectIdentifier

// String is the dotted form.
func (o OID) String() string { return asn1.ObjectIdentifier(o).String() }

// Is compares with an identifier found in a certificate.
func (o OID) Is(other asn1.ObjectIdentifier) bool {
	return asn1.ObjectIdentifier(o).Equal(other)
}

// MarshalText implements encoding.TextMarshaler.
func (o OID) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *OID) UnmarshalText(text []byte) error {
	var out OID
	for _, arc := range strings.Split(string(text), ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != arc {
			return fmt.Errorf("%q is not an object identifier", arc)
		}
		out = append(out, int(n))
	}
	if len(out) < 2 || len(out) > 20 || out[0] > 2 || out[0] < 2 && out[1] > 39 {
		return errors.New("not an object identifier")
	}
	*o = out
	return nil
}

// Certificate is an X.509 certificate, in JSON one PEM block.
type Certificate struct{ *x509.Certificate }

// MarshalText implements encoding.TextMarshaler.
func (c Certificate) MarshalText() ([]byte, error) {
	if c.Certificate == nil {
		return nil, errors.New("profile: no certificate")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), nil
}

// MaxCertificate bounds a certificate in bytes of DER.
const MaxCertificate = 16 << 10

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Certificate) UnmarshalText(text []byte) error {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) != 0 || len(bytes.TrimSpace(rest)) != 0 ||
		!bytes.HasPrefix(text, []byte("-----BEGIN CERTIFICATE-----")) {
		return errors.New("want one PEM block CERTIFICATE")
	}
	if len(block.Bytes) > MaxCertificate {
		return fmt.Errorf("certificate of %d bytes, limit %d", len(block.Bytes), MaxCertificate)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	c.Certificate = cert
	return nil
}

// Pool holds the pinned CA certificates.
func (p *Profile) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, a := range p.Anchors {
		pool.AddCert(a.Certificate)
	}
	return pool
}

// Intermediates are the CA certificates that help to build a path.
func (p *Profile) Intermediates() []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range p.Chain {
		out = append(out, c.Certificate)
	}
	return out
}
