package pcsc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/pkcs11"
	"mohr.internal/usb/usbtest/card"
)

var everything = flag.Bool("token", false, "run OpenSC's tools on the virtual token too: half a minute")

func slow(t *testing.T) {
	t.Helper()
	if !*everything {
		t.Skip("SKIPPED: OpenSC's tools on the virtual token: make test-token, or go test -args -token")
	}
}

// has fails unless all texts are in out.
func has(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Fatalf("no %q in:\n%s", text, out)
		}
	}
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pkcs15-init turns a card from the factory into what Initialise makes of it.
func TestInit(t *testing.T) {
	slow(t)
	r := Start(t, card.NewToken(card.New(card.Options{Serial: [10]byte{9: 7}}), "", nil))
	r.Run("pkcs15-init", "-E")
	r.Run("pkcs15-init", "-C", "--so-pin", "env:SO_PIN", "--so-puk", "env:SO_PUK", "--label", "Citizen")
	r.Run("pkcs15-init", "-P", "-a", "1", "-l", "User", "--pin", "env:USER_PIN", "--puk", "env:USER_PUK", "--so-pin", "env:SO_PIN")
	r.Run("pkcs15-init", "-F")
	out := r.PKCS11("--list-slots")
	has(t, out, "Citizen (User)", "Aventra Ltd.", "token initialized, PIN initialized", "0000000000000007")
	if err := r.Token.Replace(newCard(t)); err != nil {
		t.Fatal(err)
	}
	has(t, strings.ReplaceAll(r.PKCS11("--list-slots"), "0000000000000001", "0000000000000007"), out)
}

// Keys are made, used and deleted, certificates written and read.
func TestTools(t *testing.T) {
	slow(t)
	r := Start(t, newToken(t))
	dir := t.TempDir()
	message := write(t, filepath.Join(dir, "message"), []byte("a request"))
	for _, k := range []struct{ id, kind, mechanism, hashed string }{
		{"01", "rsa:2048", "RSA-PKCS", "SHA256-RSA-PKCS"}, {"02", "EC:prime256v1", "ECDSA", "ECDSA-SHA256"}, {"03", "EC:secp384r1", "ECDSA", "ECDSA-SHA384"},
		{"04", "rsa:3072", "RSA-PKCS", "SHA256-RSA-PKCS"},
	} {
		has(t, r.User("--keypairgen", "--key-type", k.kind, "--id", k.id, "--label", "key "+k.id), "Key pair generated")
		public := filepath.Join(dir, "public"+k.id) // pkcs11-tool 0.23 cannot read a P-384 key
		r.Run("pkcs15-tool", "--read-public-key", k.id, "--output", public)
		signature := filepath.Join(dir, "signature"+k.id)
		r.User("--sign", "--mechanism", k.hashed, "--id", k.id, "--input-file", message, "--output-file", signature, "--signature-format", "openssl")
		digest := "-sha256"
		if strings.HasSuffix(k.hashed, "384") {
			digest = "-sha384"
		}
		has(t, r.Run("openssl", "dgst", digest, "-verify", public, "-signature", signature, message), "Verified OK")
		if k.id < "03" {
			sum := sha256.Sum256(read(t, message))
			in := sum[:]
			if k.mechanism == "RSA-PKCS" {
				in = append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), in...)
			}
			input := write(t, filepath.Join(dir, "digest"), in)
			r.User("--sign", "--mechanism", k.mechanism, "--id", k.id, "--input-file", input, "--output-file", signature, "--signature-format", "openssl")
			verify(t, read(t, public), sum[:], read(t, signature))
		}
	}
	has(t, r.User("--list-objects", "--type", "privkey"), "key 01", "key 02", "key 03", "key 04")

	certificate := selfSigned(t)
	file := write(t, filepath.Join(dir, "certificate"), certificate)
	for _, id := range []string{"01", "02"} {
		r.User("--write-object", file, "--type", "cert", "--id", id, "--label", "certificate "+id)
		back := filepath.Join(dir, "back"+id)
		r.PKCS11("--read-object", "--type", "cert", "--id", id, "--output-file", back)
		if string(read(t, back)) != string(certificate) {
			t.Errorf("certificate %s is not read as written", id)
		}
	}
	// A certificate renames its key: keys are never found by label.
	has(t, r.User("--list-objects", "--type", "privkey"), "certificate 01")

	for _, kind := range []string{"cert", "privkey", "pubkey"} {
		r.User("--delete-object", "--type", kind, "--id", "01")
	}
	if out := r.User("--list-objects"); strings.Contains(out, "ID:         01") {
		t.Errorf("still there after deletion:\n%s", out)
	}
	has(t, r.User("--list-objects"), "certificate 02", "key 03")
	if out := r.PKCS11("--generate-random", "16", "--output-file", filepath.Join(dir, "random")); len(read(t, filepath.Join(dir, "random"))) != 16 {
		t.Error(out)
	}
}

func verify(t *testing.T, public, digest, signature []byte) {
	t.Helper()
	block, _ := pem.Decode(public)
	if block == nil {
		t.Fatalf("no PEM: %s", public)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature); err != nil {
			t.Error(err)
		}
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, digest, signature) {
			t.Error("ECDSA signature does not verify")
		}
	}
}

func selfSigned(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "مریم آزمون"}, NotAfter: time.Unix(1.9e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A wrong PIN leads to the last try and to the lock; the PUK opens it.
func TestPINs(t *testing.T) {
	slow(t)
	r := Start(t, newToken(t))
	flags := func(want string, not ...string) {
		t.Helper()
		out := r.PKCS11("--list-token-slots")
		has(t, out, want)
		for _, text := range not {
			if strings.Contains(out, text) {
				t.Errorf("%q in:\n%s", text, out)
			}
		}
	}
	r.Env = append(r.Env, "BAD_PIN=9999", "NEW_PIN=567890")
	bad := func(want string) {
		t.Helper()
		if out, err := r.Try("pkcs11-tool", "--module", Module(), "--login", "--pin", "env:BAD_PIN", "--list-objects"); err == nil {
			t.Errorf("a wrong PIN is taken:\n%s", out)
		} else {
			has(t, out, want)
		}
	}
	flags("PIN initialized", "final user PIN try", "user PIN locked", "user PIN count low")
	bad("CKR_PIN_INCORRECT")
	flags("PIN initialized", "final user PIN try", "user PIN count low") // OpenSC does not warn here
	bad("CKR_PIN_INCORRECT")
	flags("final user PIN try", "user PIN locked")
	bad("CKR_PIN_LOCKED") // the very try that locks
	flags("user PIN locked")
	if out, err := r.Try("pkcs11-tool", "--module", Module(), "--login", "--pin", "env:USER_PIN", "--list-objects"); err == nil {
		t.Errorf("the PIN is not locked:\n%s", out)
	}
	r.Run("pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--puk", "env:USER_PUK", "--new-pin", "env:NEW_PIN")
	flags("PIN initialized", "user PIN locked", "final user PIN try")
	r.PKCS11("--login", "--pin", "env:NEW_PIN", "--list-objects")
	r.PKCS11("--login", "--pin", "env:NEW_PIN", "--change-pin", "--new-pin", "env:USER_PIN")
	r.User("--list-objects")
	if pin, puk, _ := triesLeft(t, r); pin != 3 || puk != 10 {
		t.Errorf("%d tries, %d of the PUK", pin, puk)
	}
}

func triesLeft(t *testing.T, r *Reader) (pin, puk int, ok bool) {
	t.Helper()
	if err := r.Token.Use(func(c *card.Card) { pin, puk, ok = c.PINTries(1) }); err != nil {
		t.Fatal(err)
	}
	return
}

// A key that wants consent is asked for its PIN at each signature.
func TestConsent(t *testing.T) {
	slow(t)
	r := Start(t, newToken(t))
	dir := t.TempDir()
	r.User("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--always-auth")
	input := write(t, filepath.Join(dir, "digest"), make([]byte, 32))
	sign := []string{"--sign", "--mechanism", "ECDSA", "--id", "01", "--input-file", input, "--output-file", filepath.Join(dir, "signature")}
	for range 2 {
		r.User(sign...)
	}
	s := r.open(t)
	login(t, s)
	_, err := s.Sign(t.Context(), keyOf(t, s), crypto.SHA256, make([]byte, 32))
	if !errors.Is(err, pkcs11.ErrReauthenticate) {
		t.Errorf("got %v", err)
	}
}

func login(t *testing.T, s *pkcs11.Session) {
	t.Helper()
	if _, err := s.Login(t.Context(), []byte(card.UserPIN)); err != nil {
		t.Fatal(err)
	}
}

func keyOf(t *testing.T, s *pkcs11.Session) pkcs11.KeyID {
	t.Helper()
	list, err := s.Objects(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	id, _ := list[0].Key()
	return id
}

// The state file carries a citizen's card from one daemon to another.
func TestCitizen(t *testing.T) {
	slow(t)
	path := filepath.Join(t.TempDir(), "card")
	var certificate []byte
	t.Run("made", func(t *testing.T) {
		r := Start(t, card.NewToken(newCard(t), path, nil))
		certificate = r.Citizen("Citizen", selfMade)
	})
	c, err := card.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := Start(t, card.NewToken(c, path, nil))
	s := r.open(t)
	login(t, s)
	list, err := s.Objects(t.Context())
	if err != nil || len(list) != 1 || string(list[0].CertificateDER) != string(certificate) || !list[0].HasPrivate {
		t.Fatalf("%+v, %v", list, err)
	}
	key, _ := list[0].Key()
	if _, err := s.Sign(t.Context(), key, crypto.SHA256, make([]byte, 32)); err != nil {
		t.Error(err)
	}
}

// selfMade issues a certificate for a key.
func selfMade(spki []byte) ([]byte, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	issuer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "مریم آزمون"}}
	return x509.CreateCertificate(rand.Reader, template, template, key, issuer)
}

// A card that Issue made is one that OpenSC reads and that signs by its certificate's key.
func TestIssued(t *testing.T) {
	slow(t)
	c := newCard(t)
	var spki []byte
	certificate, err := c.Issue(card.UserPIN, "Citizen", func(public []byte) ([]byte, error) {
		spki = public
		return selfMade(public)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := Start(t, card.NewToken(c, "", nil)).open(t)
	login(t, s)
	list, err := s.Objects(t.Context())
	if err != nil || len(list) != 1 || string(list[0].CertificateDER) != string(certificate) || !list[0].HasPrivate {
		t.Fatalf("%+v, %v", list, err)
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("anything"))
	key, _ := list[0].Key()
	sig, err := s.Sign(t.Context(), key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], sig); err != nil {
		t.Error(err)
	}
}
