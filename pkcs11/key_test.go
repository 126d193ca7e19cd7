package pkcs11

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

func TestKeyID(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if KeyIDOf(spki) != sha256.Sum256(spki) {
		t.Error("not the SHA-256 of the SubjectPublicKeyInfo")
	}
	if KeyIDOf([]byte("no key")) != sha256.Sum256([]byte("no key")) {
		t.Error("an unreadable key has another name than its hash")
	}
	if !RSA2048.Matches(&key.PublicKey) || P256.Matches(&key.PublicKey) {
		t.Error("RSA-2048 mistaken")
	}
}

func TestSplitCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "c"}, NotAfter: time.Unix(1e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	got, err := SplitCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := asn1.Marshal(cert.SerialNumber)
	if !bytes.Equal(got.PublicKey, cert.RawSubjectPublicKeyInfo) || !bytes.Equal(got.Issuer, cert.RawIssuer) ||
		!bytes.Equal(got.Subject, cert.RawSubject) || !bytes.Equal(got.Serial, serial) {
		t.Errorf("got %+v", got)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "trailing": append(bytes.Clone(der), 0), "cut": der[:len(der)-1],
		"only a key": cert.RawSubjectPublicKeyInfo, "text": []byte("-----BEGIN CERTIFICATE-----")} {
		if _, err := SplitCertificate(bad); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}
