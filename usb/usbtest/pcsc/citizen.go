package pcsc

import (
	"os"
	"path/filepath"
)

// CitizenID is the CKA_ID of what Citizen puts on a card.
const CitizenID = "01"

// Citizen makes of an initialised card one as an office hands it out: an RSA-2048
// key made on the card and a certificate for it, written through OpenSC. Issue
// gets the public key as SubjectPublicKeyInfo and returns the certificate, both
// DER.
func (r *Reader) Citizen(label string, issue func(spki []byte) ([]byte, error)) (certificate []byte) {
	r.tb.Helper()
	dir := r.tb.TempDir()
	r.User("--keypairgen", "--key-type", "rsa:2048", "--id", CitizenID, "--label", label)
	public := filepath.Join(dir, "public.der")
	r.PKCS11("--read-object", "--type", "pubkey", "--id", CitizenID, "--output-file", public)
	spki, err := os.ReadFile(public)
	if err != nil {
		r.tb.Fatal(err)
	}
	if certificate, err = issue(spki); err != nil {
		r.tb.Fatal(err)
	}
	file := filepath.Join(dir, "certificate.der")
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		r.tb.Fatal(err)
	}
	r.User("--write-object", file, "--type", "cert", "--id", CitizenID, "--label", label)
	return certificate
}
