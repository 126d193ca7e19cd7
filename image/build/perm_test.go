package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mohr.internal/image"
)

func TestCopyTree(t *testing.T) {
	from := t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"kioskd.json": 0o644, "keys/storage.key": 0o600} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(from, "keys"), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(from, "keys"), 0o700) })
	to := filepath.Join(t.TempDir(), "mohr")
	if n, err := copyTree(to, from); err != nil || n != 2 {
		t.Fatalf("%d files, %v", n, err)
	}
	for name, mode := range map[string]os.FileMode{"kioskd.json": 0o644, "keys/storage.key": 0o600, "keys": os.ModeDir | 0o700} {
		if st, err := os.Stat(filepath.Join(to, name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v, want mode %v", name, st, err, mode)
		}
	}
	if err := os.RemoveAll(to); err != nil {
		t.Errorf("the copy, with keys in it, cannot be removed: %v", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := copyTree(filepath.Join(t.TempDir(), "mohr"), from); err == nil || !strings.Contains(err.Error(), "link is neither a file nor a folder") {
		t.Errorf("a link: %v", err)
	}
}

// TestPerm formats a real, sparse image and lets e2fsprogs look at it.
func TestPerm(t *testing.T) {
	for _, tool := range []string{"/sbin/mkfs.ext4", "/sbin/dumpe2fs", "/sbin/debugfs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: no %s (Debian package e2fsprogs)", tool)
		}
	}
	inst, err := image.ByName("amd64")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	if err := os.Mkdir(site, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(site, "kioskd.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(dir, "x.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, inst.Bytes); err != nil {
		t.Fatal(err)
	}
	b := &builder{options: options{site: site}, inst: inst, dir: dir}
	if what, err := b.perm(t.Context(), img); err != nil || what != "mohr with 1 files" {
		t.Fatalf("%q, %v", what, err)
	}
	if st, err := os.Stat(img); err != nil || st.Size() != inst.Bytes || st.Mode() != 0o600 {
		t.Fatalf("the image with keys in it is now %v, %v", st, err)
	}
	at := img + "?offset=1157627904"
	info, err := command(t.Context(), dir, nil, "/sbin/dumpe2fs", "-h", at)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Filesystem volume name:   perm", "Block size:               4096", "has_journal", "Errors behavior:          Remount read-only"} {
		if !strings.Contains(info, want) {
			t.Errorf("dumpe2fs does not say %q:\n%s", want, info)
		}
	}
	if strings.Contains(info, "metadata_csum") {
		t.Error("the file system has metadata_csum")
	}
	ls, err := command(t.Context(), dir, nil, "/sbin/debugfs", "-R", "ls -l mohr", at)
	if err != nil || !strings.Contains(ls, "100600") || !strings.Contains(ls, "kioskd.json") {
		t.Errorf("%s, %v", ls, err)
	}
}

func TestSquashSize(t *testing.T) {
	img := filepath.Join(t.TempDir(), "i")
	sb := make([]byte, 200)
	copy(sb[100:], "hsqs")
	binary.LittleEndian.PutUint64(sb[140:], 12345678)
	if err := os.WriteFile(img, sb, 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := squashSize(img, 100); n != 12345678 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, offset := range []int64{0, 150, 1000} {
		if n, err := squashSize(img, offset); err == nil {
			t.Errorf("at %d: %d", offset, n)
		}
	}
}
