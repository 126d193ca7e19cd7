package profile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"crypto/x509"
	"crypto/x509/pkix"
)

// publisher is a fixed key pair for tests.
var publisher = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func public() ed25519.PublicKey { return publisher.Public().(ed25519.PublicKey) }

func TestOpen(t *testing.T) {
	p := template(t)
	p.Version = 5
	file, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := Sign(file, publisher)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	end := p.ValidUntil
	for _, tt := range []struct {
		why       string
		file, sig []byte
		key       ed25519.PublicKey
		version   int
		now       time.Time
		want      error
	}{
		{"as signed", file, sig, public(), 0, end, nil},
		{"same version again", file, sig, public(), 5, end, nil},
		{"rollback", file, sig, public(), 6, end, ErrRollback},
		{"expired", file, sig, public(), 5, end.Add(1), ErrExpired},
		{"clock not proven", file, sig, public(), 5, time.Time{}, nil},
		{"no signature", file, nil, public(), 0, end, ErrUnsigned},
		{"short signature", file, sig[:63], public(), 0, end, ErrUnsigned},
		{"long signature", file, append(bytes.Clone(sig), 0), public(), 0, end, ErrUnsigned},
		{"signature flipped", file, flip(sig, 40), public(), 0, end, ErrUnsigned},
		{"file flipped", flip(file, 100), sig, public(), 0, end, ErrUnsigned},
		{"file longer", append(bytes.Clone(file), '\n'), sig, public(), 0, end, ErrUnsigned},
		{"other publisher", file, sig, other, 0, end, ErrUnsigned},
	} {
		got, err := Open(tt.file, tt.sig, tt.key, tt.version, tt.now)
		if !errors.Is(err, tt.want) || (got == nil) != (tt.want != nil) {
			t.Errorf("%s: %v, want %v", tt.why, err, tt.want)
		}
		if got != nil && got.Digest != Digest(sha256.Sum256(file)) {
			t.Errorf("%s: digest %s", tt.why, got.Digest)
		}
	}
	if _, err := Open(file, sig, nil, 0, end); err == nil {
		t.Error("opened without a publisher's key")
	}
	if _, err := Open(make([]byte, MaxSize+1), sig, public(), 0, end); err == nil {
		t.Error("opened a file over the limit")
	}
	broken := []byte(edit(t, `"stopAt": 1,`, `"stopAt": 0,`))
	if p, err := Open(broken, ed25519.Sign(publisher, broken), public(), 0, end); err == nil || p != nil {
		t.Error("a signature makes a bad file good")
	}
	if _, err := Sign(broken, publisher); err == nil {
		t.Error("signed a bad file")
	}
	if _, err := Sign(file, publisher[:32]); err == nil {
		t.Error("signed with half a key")
	}
}

// TestFilledIn is the office's way: template, fill in, encode, sign, open.
func TestFilledIn(t *testing.T) {
	p := template(t)
	p.Anchors = []Certificate{{authority(t, 1, true)}}
	p.Chain = []Certificate{{authority(t, 2, true)}}
	p.Officers = []Officer{officer(1)}
	p.Recipients = []string{"age1" + strings.Repeat("q", 58)}
	p.Renewal.Renewed = []Digest{{9}}
	file, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := Sign(file, publisher)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Open(file, sig, public(), 0, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if !q.Anchors[0].Equal(p.Anchors[0].Certificate) || q.Officers[0].Certificate != p.Officers[0].Certificate ||
		q.Renewal.Renewed[0] != (Digest{9}) || len(q.Intermediates()) != 1 || !q.Pool().Equal(p.Pool()) {
		t.Errorf("came back as %+v", q)
	}
	p.Anchors = append(p.Anchors, p.Anchors[0])
	if _, err := p.Encode(); err == nil || !strings.Contains(err.Error(), "anchors[1]: certificate appears twice") {
		t.Errorf("doubled anchor: %v", err)
	}
	p.Anchors = []Certificate{{authority(t, 3, false)}}
	if _, err := p.Encode(); err == nil || !strings.Contains(err.Error(), "anchors[0]: not a CA certificate") {
		t.Errorf("anchor that is no CA: %v", err)
	}
	p = template(t)
	p.Anchors = nil
	if _, err := p.Encode(); err == nil || !strings.Contains(err.Error(), "anchors: want a list, found null") {
		t.Errorf("nil list: %v", err)
	}
	p.Anchors = []Certificate{}
	p.Version = 0
	if _, err := p.Encode(); err == nil {
		t.Error("encoded a bad value")
	}
}

func authority(t *testing.T, serial int64, ca bool) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "CA"}, IsCA: ca, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, publisher.Public(), publisher)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPEM(t *testing.T) {
	cert := authority(t, 1, true)
	good, err := Certificate{cert}.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for why, text := range map[string]string{
		"empty":       "",
		"two blocks":  string(good) + string(good),
		"text before": "x\n" + string(good),
		"text after":  string(good) + "x",
		"other type":  strings.ReplaceAll(string(good), "CERTIFICATE", "PUBLIC KEY"),
		"header":      strings.Replace(string(good), "-----\n", "-----\nA: b\n\n", 1),
		"no DER":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
		"too long":    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: make([]byte, MaxCertificate+1)})),
	} {
		if err := new(Certificate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	if err := new(Certificate).UnmarshalText(good); err != nil {
		t.Error(err)
	}
	if _, err := (Certificate{}).MarshalText(); err == nil {
		t.Error("no certificate is encoded")
	}
}

func TestDigestAndOID(t *testing.T) {
	for _, s := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("A", 64), strings.Repeat("g", 64)} {
		if err := new(Digest).UnmarshalText([]byte(s)); err == nil {
			t.Errorf("digest %q is accepted", s)
		}
	}
	for _, s := range []string{"", "1", "1.", ".1", "1.2.x", "1.2.-3", "1.2.+3", "1.2.03", "3.1", "1.40", "1.2." + strings.Repeat("9", 12), strings.Repeat("1.", 20) + "1"} {
		if err := new(OID).UnmarshalText([]byte(s)); err == nil {
			t.Errorf("identifier %q is accepted", s)
		}
	}
	var o OID
	if err := o.UnmarshalText([]byte("2.5.4.5")); err != nil || !o.Is([]int{2, 5, 4, 5}) || o.String() != "2.5.4.5" {
		t.Errorf("2.5.4.5: %v, %v", o, err)
	}
}

// TestTermsHash: the hash is that of the text alone, so anybody can make it.
func TestTermsHash(t *testing.T) {
	p := template(t)
	for _, lang := range p.Languages {
		if p.Terms.Hash(lang) != sha256.Sum256([]byte(p.Terms.Text.In(lang))) {
			t.Errorf("hash in %s", lang)
		}
	}
	if p.Terms.Hash("fa") == p.Terms.Hash("en") {
		t.Error("one hash for two texts")
	}
	if _, err := File("../profile"); err == nil {
		t.Error("a path is a name")
	}
	if _, err := Template("nowhere"); err == nil {
		t.Error("a template that is not there")
	}
	if _, offset := p.ValidUntil.In(p.Clock.Location()).Zone(); offset != 3*3600+1800 {
		t.Errorf("zone is %d s east", offset)
	}
}
