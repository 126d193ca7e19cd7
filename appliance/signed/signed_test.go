package signed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := func(name string, pub any) string {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		return write(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := ed25519.GenerateKey(rand.Reader)
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	words := []byte("what is signed")
	sig := ed25519.Sign(private, words)
	file, good, publisher := write("file", words), write("sig", sig), key("key", pub)
	if b, err := Read(file, good, publisher, 100); err != nil || !bytes.Equal(b, words) {
		t.Fatalf("%q, %v", b, err)
	}
	for name, row := range map[string]struct {
		file, sig, key string
		want           string
	}{
		"changed file":     {write("changed", append(words, '!')), good, publisher, "not signed"},
		"other key":        {file, good, key("other", other), "not signed"},
		"short signature":  {file, write("short", sig[:63]), publisher, "not signed"},
		"long signature":   {file, write("long", append(sig, 0)), publisher, "larger than 64"},
		"file too large":   {write("large", make([]byte, 101)), good, publisher, "larger than 100"},
		"no file":          {"/nope", good, publisher, "/nope"},
		"no signature":     {file, "/nope", publisher, "/nope"},
		"no key":           {file, good, "/nope", "/nope"},
		"key of a curve":   {file, good, key("curve", curve.Public()), "want Ed25519"},
		"key is no key":    {file, good, file, "no PUBLIC KEY"},
		"key with no key":  {file, good, write("junk", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"})), "junk"},
		"folder as a file": {dir, good, publisher, "directory"},
	} {
		b, err := Read(row.file, row.sig, row.key, 100)
		if err == nil || b != nil || !strings.Contains(err.Error(), row.want) || errors.Is(err, ErrUnsigned) != (row.want == "not signed") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
