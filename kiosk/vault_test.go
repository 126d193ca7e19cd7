package kiosk

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"testing/iotest"
)

func testVault(t testing.TB, first byte) *Vault {
	t.Helper()
	key := make([]byte, VaultKeySize)
	key[0] = first
	v, err := NewVault(key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVault(t *testing.T) {
	v := testVault(t, 1)
	plain, context := []byte("مریم رضایی 0499370899"), []byte("renewal")
	sealed, err := v.seal(plain, context)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("0499370899")) {
		t.Error("the number shows")
	}
	again, err := v.seal(plain, context)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("the same text seals to the same bytes, %v", err)
	}
	if got, err := v.open(sealed, context); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opens to %q, %v", got, err)
	}
	if _, err := testVault(t, 2).open(sealed, context); !errors.Is(err, ErrVault) {
		t.Errorf("another key: %v", err)
	}
	if _, err := v.open(sealed, []byte("another renewal")); !errors.Is(err, ErrVault) {
		t.Errorf("moved to another renewal: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := v.open(changed, context); !errors.Is(err, ErrVault) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := v.open(sealed[:i], context); !errors.Is(err, ErrVault) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestVaultRefuses(t *testing.T) {
	if _, err := NewVault(make([]byte, 16), rand.Reader); err == nil {
		t.Error("a short key")
	}
	v, err := NewVault(make([]byte, VaultKeySize), iotest.ErrReader(errors.New("no randomness")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.seal([]byte("x"), nil); err == nil {
		t.Error("sealed without randomness")
	}
}
