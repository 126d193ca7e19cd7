package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"mohr.internal/appliance/journal"
)

func testVault(t testing.TB, first byte) *Vault {
	t.Helper()
	key := make([]byte, KeySize)
	key[0] = first
	v, err := New(key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVault(t *testing.T) {
	v := testVault(t, 1)
	plain := []byte("مریم رضایی 0499370899")
	sealed, err := v.Seal(plain)
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Seal(plain)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("the same text seals to the same bytes, %v", err)
	}
	if got, err := v.Open(sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opens to %q, %v", got, err)
	}
	if _, err := testVault(t, 2).Open(sealed); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := v.Open(changed); !errors.Is(err, ErrKey) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := v.Open(sealed[:i]); !errors.Is(err, ErrKey) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	if _, err := New(make([]byte, 16), rand.Reader); err == nil {
		t.Error("a short key")
	}
	v, err := New(make([]byte, KeySize), iotest.ErrReader(errors.New("no randomness")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Seal([]byte("x")); err == nil {
		t.Error("sealed without randomness")
	}
}

func TestKeyFile(t *testing.T) {
	file, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "storage.key")
	for name, content := range map[string][]byte{
		"empty": nil, "no PEM": []byte("x"), "trailing": append(bytes.Clone(file), 'x'), "cut": file[:len(file)/2],
		"another kind": bytes.ReplaceAll(file, []byte("STORAGE"), []byte("PRIVATE")),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, rand.Reader); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, rand.Reader); err != nil {
		t.Error(err)
	}
	if _, err := Load(path+".none", rand.Reader); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A journal over the vault gives back what went in, and its files show none of it.
func TestJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "j")
	j, err := journal.Create(dir, journal.Options{SegmentBytes: 1 << 20, Segments: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	sealed := Over(j, testVault(t, 1))
	canary := []byte("0499370899 مریم")
	seq, err := sealed.Append(canary)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sealed.Read(seq); err != nil || !bytes.Equal(got, canary) {
		t.Errorf("read %q, %v", got, err)
	}
	if err := Over(j, testVault(t, 2)).Replay(func(uint64, []byte) error { return nil }); !errors.Is(err, ErrKey) {
		t.Errorf("replay with another key: %v", err)
	}
	found := 0
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, canary[:10]) {
			t.Errorf("%s shows the number", path)
		}
		found++
		return err
	})
	if err != nil || found < 2 {
		t.Errorf("%d files, %v", found, err)
	}
}
