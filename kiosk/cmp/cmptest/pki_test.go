package cmptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testTime = time.Date(2026, 3, 21, 9, 30, 0, 0, time.UTC)

func newPKI(t testing.TB) *PKI {
	t.Helper()
	p, err := New(Options{Time: testTime, Seed: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// needOpenSSL skips loudly where there is no openssl and logs its version,
// because Debian's changes within a release.
func needOpenSSL(t *testing.T) {
	t.Helper()
	out, err := exec.Command("openssl", "version").Output()
	if err != nil {
		t.Skipf("SKIPPED, nothing was compared with OpenSSL: openssl is not installed: %v", err)
	}
	t.Logf("peer: %s", bytes.TrimSpace(out))
}

func TestCitizenVariants(t *testing.T) {
	p := newPKI(t)
	key := newP256(t)
	crl := func() *x509.RevocationList {
		der, err := p.CRL(testTime.Add(-time.Hour), testTime.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(p.Issuing); err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, tc := range []struct {
		name                    string
		o                       CertOptions
		chain, expired, revoked bool
		days                    int
		usage                   x509.KeyUsage
		serial, title           string
	}{
		{"good", CertOptions{}, true, false, false, 20, 3, "0499370899", ""},
		{"five days", CertOptions{DaysLeft: 5}, true, false, false, 5, 3, "0499370899", ""},
		{"expired", CertOptions{Expired: true, DaysLeft: 1}, true, true, false, -1, 3, "0499370899", ""},
		{"revoked", CertOptions{Revoked: true}, true, false, true, 20, 3, "0499370899", ""},
		{"foreign CA", CertOptions{ForeignCA: true}, false, false, false, 20, 3, "0499370899", ""},
		{"non-repudiation", CertOptions{NonRepudiationOnly: true}, true, false, false, 20, 2, "0499370899", ""},
		{"staff", CertOptions{Person: Staff}, true, false, false, 20, 3, "0790419904", "Chief Executive Officer"},
		{"missing title", CertOptions{MissingTitle: true}, true, false, false, 20, 3, "0790419904", ""},
		{"foreign national", CertOptions{ForeignNational: true}, true, false, false, 20, 3, "900012345678", ""},
		{"bad checksum", CertOptions{BadChecksum: true}, true, false, false, 20, 3, "0499370890", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cert, err := p.Citizen(key.Public(), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cert.Verify(x509.VerifyOptions{
				Roots: p.Roots(), Intermediates: p.Intermediates(), CurrentTime: cert.NotBefore.Add(time.Hour),
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			})
			if (err == nil) != tc.chain {
				t.Errorf("chain: %v, want good %t", err, tc.chain)
			}
			if !bytes.Equal(cert.RawIssuer, p.Issuing.RawSubject) {
				t.Errorf("issuer %s, want the issuing CA's name", cert.Issuer)
			}
			if got := testTime.After(cert.NotAfter); got != tc.expired {
				t.Errorf("expired %t", got)
			}
			if got := int(cert.NotAfter.Sub(testTime).Hours()) / 24; got != tc.days {
				t.Errorf("%d days left, want %d", got, tc.days)
			}
			if p.Revoked(cert) != tc.revoked {
				t.Errorf("revoked %t", p.Revoked(cert))
			}
			if got := slices.ContainsFunc(crl().RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
				return e.SerialNumber.Cmp(cert.SerialNumber) == 0
			}); got != tc.revoked {
				t.Errorf("in the CRL %t", got)
			}
			if cert.KeyUsage != tc.usage {
				t.Errorf("key usage %b, want %b", cert.KeyUsage, tc.usage)
			}
			if cert.Subject.SerialNumber != tc.serial {
				t.Errorf("serialNumber %q, want %q", cert.Subject.SerialNumber, tc.serial)
			}
			if got := attributeText(cert.Subject, oidTitle); got != tc.title {
				t.Errorf("title %q, want %q", got, tc.title)
			}
		})
	}
}

func attributeText(n pkix.Name, oid asn1.ObjectIdentifier) string {
	for _, a := range n.Names {
		if a.Type.Equal(oid) {
			return a.Value.(string)
		}
	}
	return ""
}

func TestSubjectProfile(t *testing.T) {
	raw, err := Staff.RawSubject()
	if err != nil {
		t.Fatal(err)
	}
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) != 0 {
		t.Fatalf("parse: %v, %d bytes left", err, len(rest))
	}
	var got []string
	for _, rdn := range name {
		if len(rdn) != 1 {
			t.Fatalf("RDN with %d attributes", len(rdn))
		}
		got = append(got, rdn[0].Type.String()+"="+rdn[0].Value.(string))
	}
	want := []string{
		"2.5.4.6=IR", "2.5.4.10=Non-Governmental", "2.5.4.11=شرکت نمونهٔ پارس", "2.5.4.11=امور قراردادها",
		"2.5.4.97=10380284790", "2.5.4.8=اصفهان", "2.5.4.7=اصفهان", "2.5.4.12=Chief Executive Officer",
		"2.5.4.4=احمدی", "2.5.4.42=حسین", "2.5.4.5=0790419904", "2.5.4.3=Hossein Ahmadi [Sign]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// Persian must be UTF8String (tag 12): 2.5.4.4 and its value's tag.
	if !bytes.Contains(raw, []byte{0x06, 0x03, 0x55, 0x04, 0x04, 0x0c}) {
		t.Error("surname is not a UTF8String")
	}
}

func TestCheckDigit(t *testing.T) {
	for _, id := range []string{"0499370899", "0790419904", "0084575948", "0963695398"} {
		if got, err := CheckDigit(id[:9]); err != nil || got != id[9] {
			t.Errorf("%s: %c, %v", id, got, err)
		}
	}
	for _, bad := range []string{"", "12345678", "12345678x", "1234567890"} {
		if _, err := CheckDigit(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	for _, p := range []Person{Citizen, Staff, Officer} {
		if got, err := CheckDigit(p.NationalID[:9]); err != nil || got != p.NationalID[9] {
			t.Errorf("%s: check digit of %s should be %c", p.CommonName(), p.NationalID, got)
		}
	}
}

func TestSerialsRepeatWithTheSeed(t *testing.T) {
	a, b := newPKI(t), newPKI(t)
	other, err := New(Options{Time: testTime, Seed: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if a.Root.SerialNumber.Cmp(b.Root.SerialNumber) != 0 {
		t.Error("same seed, other serial")
	}
	if a.Root.SerialNumber.Cmp(other.Root.SerialNumber) == 0 {
		t.Error("other seed, same serial")
	}
	if a.Root.SerialNumber.Cmp(a.Issuing.SerialNumber) == 0 {
		t.Error("serial used twice")
	}
}

func TestNewNeedsATime(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("made a PKI without a time")
	}
}

func TestOfficerList(t *testing.T) {
	p := newPKI(t)
	officer, err := p.Officer(newP256(t).Public(), CertOptions{})
	if err != nil {
		t.Fatal(err)
	}
	citizen, err := p.Citizen(newP256(t).Public(), CertOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !p.IsOfficer(officer) || p.IsOfficer(citizen) {
		t.Errorf("officer %t, citizen %t", p.IsOfficer(officer), p.IsOfficer(citizen))
	}
}

func TestTwin(t *testing.T) {
	p := newPKI(t)
	old := must[*x509.Certificate](t)(p.Citizen(newP256(t).Public(), CertOptions{}))
	next := newP256(t)
	twin := must[*x509.Certificate](t)(p.Twin(old, next.Public(), testTime))
	if twin.SerialNumber.Cmp(old.SerialNumber) != 0 || !bytes.Equal(twin.RawSubject, old.RawSubject) || !next.PublicKey.Equal(twin.PublicKey) {
		t.Errorf("serial %x for %x, subject %s", twin.SerialNumber, old.SerialNumber, twin.Subject)
	}
}

func TestWriteLoad(t *testing.T) {
	for _, rsa := range []bool{false, true} {
		p, err := New(Options{Time: testTime, Seed: `a "b" c`, RSA: rsa})
		if err != nil {
			t.Fatal(err)
		}
		gone, err := p.Citizen(newP256(t).Public(), CertOptions{Revoked: true})
		if err != nil {
			t.Fatal(err)
		}
		officer, err := p.Officer(newP256(t).Public(), CertOptions{})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "pki")
		if err := p.Write(dir, testTime); err != nil {
			t.Fatal(err)
		}
		q, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if q.opts != p.opts || !q.Root.Equal(p.Root) || !q.Kiosk.Equal(p.Kiosk) || !q.Revoked(gone) || !q.IsOfficer(officer) {
			t.Errorf("rsa %t: loaded another PKI: %+v", rsa, q.opts)
		}
		next, err := q.Citizen(newP256(t).Public(), CertOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := next.CheckSignatureFrom(p.Issuing); err != nil {
			t.Errorf("rsa %t: %v", rsa, err)
		}
		if next.SerialNumber.Cmp(officer.SerialNumber) == 0 {
			t.Error("serial used twice after a load")
		}
		info, err := os.Stat(filepath.Join(dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("root.key has mode %v", info.Mode())
		}
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	p := newPKI(t)
	other, err := p.Impostor()
	if err != nil {
		t.Fatal(err)
	}
	foreignKey, err := KeyPEM(other.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	foreignCRL, err := other.CRL(testTime, testTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file    string
		content []byte // nil removes
		want    string
	}{
		{"root.pem", nil, "no such file"},
		{"root.pem", []byte("x"), "no certificate"},
		{"root.key", []byte("x"), "no key"},
		{"root.key", foreignKey, "not the key of root.pem"},
		{"crl.der", []byte("x"), "crl.der"},
		{"crl.der", foreignCRL, "crl.der"},
		{"crl.der", make([]byte, maxFile+1), "more than"},
		{"state", []byte("x"), "fields"},
		{"state", []byte("a b c d e\n"), "state"},
		{"officers.pem", []byte("x"), "no certificate"},
	} {
		dir := t.TempDir()
		if err := p.Write(dir, testTime); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, tc.file)
		if tc.content == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, tc.content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.file, err, tc.want)
		}
	}
}

func TestOpenSSLAcceptsThePKI(t *testing.T) {
	needOpenSSL(t)
	p := newPKI(t)
	dir := t.TempDir()
	for name, o := range map[string]CertOptions{
		"good": {}, "revoked": {Revoked: true}, "expired": {Expired: true}, "foreign": {ForeignCA: true},
	} {
		cert, err := p.Citizen(newP256(t).Public(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".pem"), CertificatesPEM(cert), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Write(dir, testTime); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"good": "good.pem: OK", "responder": "responder.pem: OK", "ra": "ra.pem: OK",
		"revoked": "certificate revoked", "expired": "certificate has expired", "foreign": "unable to get local issuer certificate",
	} {
		cmd := exec.Command("openssl", "verify", "-attime", "1774085400", "-CAfile", "root.pem", "-untrusted", "issuing.pem",
			"-crl_check", "-CRLfile", "crl.pem", name+".pem")
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: want %q in\n%s", name, want, out)
		}
	}
}
