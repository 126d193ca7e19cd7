package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/smallstep/pkcs7"
)

// TestCMS: OpenSSL and smallstep/pkcs7 verify the attestation, and notice a
// flipped byte.
func TestCMS(t *testing.T) {
	for what, key := range map[string]crypto.Signer{"ec": seededKey("officer"), "rsa": rsaKey("officer", 2048)} {
		t.Run(what, func(t *testing.T) {
			needOpenSSL(t)
			w := newWorldAt(t, seededKey("old"), today())
			w.officer = issue(t, &w.ca, key, w.eeTemplate("Officer", x509.KeyUsageContentCommitment))
			s := w.statement(t, must(t)(w.kur(seededKey("new")).Build(nil)))
			der := must(t)(Attest(s, w.officer.key, w.officer.cert, w.chain(), nil))
			parses(t, "attestation", der)
			dir := t.TempDir()
			root := writeCert(t, dir, "root.crt", w.root.cert)
			verify := func(der []byte) (content []byte, err error) {
				file := filepath.Join(dir, "content")
				out, err := openssl(t, "cms", "-verify", "-inform", "DER", "-in", write(t, dir, "a.p7", der), "-CAfile", root,
					"-purpose", "any", "-cades", "-binary", "-out", file)
				if err != nil {
					return nil, fmt.Errorf("%w: %s", err, out)
				}
				return os.ReadFile(file)
			}
			content, err := verify(der)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := parseStatement(content); err != nil || back.String() != s.String() {
				t.Errorf("%v, %v", back, err)
			}
			parses(t, "statement", content)
			p7, err := pkcs7.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := p7.VerifyWithChainAtTime(w.anchors, w.now); err != nil {
				t.Error(err)
			}
			flipped := bytes.Clone(der)
			flipped[len(flipped)-1] ^= 1
			if _, err := verify(flipped); err == nil {
				t.Error("openssl takes a flipped last byte")
			}
			if p7, err = pkcs7.Parse(flipped); err == nil && p7.VerifyWithChainAtTime(w.anchors, w.now) == nil {
				t.Error("pkcs7 takes a flipped last byte")
			}
			if _, _, err := VerifyAttestation(flipped, w.officers(), w.now); err == nil {
				t.Error("we take a flipped last byte")
			}
		})
	}
}
