package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestAddSerial(t *testing.T) {
	entry := "title x\nlinux /vmlinuz\noptions console=tty1 root=PARTUUID=1 panic=10" + strings.Repeat(" ", 64)
	got, err := addSerial([]byte(entry))
	if err != nil || len(got) != len(entry) || !strings.Contains(string(got), "console=tty1 console=ttyAMA0,115200 root=") {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", strings.TrimRight(entry, " "), strings.ReplaceAll(entry, "tty1", "tty2"), entry[:len(entry)-42]} {
		if got, err := addSerial([]byte(bad)); err == nil {
			t.Errorf("%q -> %q", bad, got)
		}
	}
}

func TestParseGPT(t *testing.T) {
	good := func() (head, entry []byte) {
		head, entry = make([]byte, 512), make([]byte, 128)
		copy(head, "EFI PART")
		binary.LittleEndian.PutUint64(head[72:], 2)
		binary.LittleEndian.PutUint32(head[84:], 128)
		binary.LittleEndian.PutUint64(entry[32:], 2048)
		binary.LittleEndian.PutUint64(entry[40:], 4095)
		return head, entry
	}
	for _, tt := range []struct {
		name   string
		spoil  func(head, entry []byte)
		err    error
		wanted bool
	}{
		{"good", func(_, _ []byte) {}, nil, true},
		{"no GPT", func(h, _ []byte) { h[0] = 0 }, nil, false},
		{"long entries", func(h, _ []byte) { h[84] = 0; h[85] = 1 }, nil, false},
		{"far table", func(h, _ []byte) { h[79] = 1 }, nil, false},
		{"no partition", func(_, e []byte) { clear(e) }, nil, false},
		{"ends before it begins", func(_, e []byte) { e[41] = 0 }, nil, false},
		{"beyond the disk", func(_, e []byte) { e[42] = 1 }, nil, false},
		{"unreadable", func(_, _ []byte) {}, errors.New("I/O"), false},
	} {
		head, entry := good()
		tt.spoil(head, entry)
		p, err := parseGPT(head, func(at int64) ([]byte, error) {
			if at != 2*512+3*128 {
				t.Errorf("%s: entry at %d", tt.name, at)
			}
			return entry, tt.err
		}, 4<<20)
		if (err == nil) != tt.wanted || tt.wanted && p != (partition{1 << 20, 1 << 20}) {
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
	}
}

func FuzzGPT(f *testing.F) {
	f.Add([]byte("EFI PART"), []byte{})
	f.Fuzz(func(t *testing.T, head, entry []byte) {
		h, e := make([]byte, 512), make([]byte, 128)
		copy(h, head)
		copy(e, entry)
		const size = 1 << 30
		p, err := parseGPT(h, func(int64) ([]byte, error) { return e, nil }, size)
		if err == nil && (p.offset <= 0 || p.size <= 0 || p.offset+p.size > size) {
			t.Errorf("%+v", p)
		}
	})
}

// A site put into a disk can be read from it again; a wiped /perm cannot.
func TestPutSite(t *testing.T) {
	for _, tool := range []string{"mkfs.ext4", "debugfs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %v (package e2fsprogs)", err)
		}
	}
	dir := t.TempDir()
	disk, site := filepath.Join(dir, "disk"), filepath.Join(dir, "site")
	const size, from = 64 << 20, 8 << 20
	image := make([]byte, 2048)
	copy(image[512:], "EFI PART")
	binary.LittleEndian.PutUint64(image[512+72:], 2)
	binary.LittleEndian.PutUint32(image[512+84:], 128)
	binary.LittleEndian.PutUint64(image[1024+3*128+32:], from/512)
	binary.LittleEndian.PutUint64(image[1024+3*128+40:], size/512-35)
	if err := os.WriteFile(disk, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, size); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(site, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(site, "keys", "a"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := putSite(t.Context(), disk, site); err != nil {
		t.Fatal(err)
	}
	if b, err := permFile(t.Context(), disk, "/mohr/keys/a"); err != nil || string(b) != "secret" {
		t.Errorf("%q, %v", b, err)
	}
	if err := wipePerm(disk); err != nil {
		t.Fatal(err)
	}
	if b, err := permFile(t.Context(), disk, "/mohr/keys/a"); err == nil && string(b) == "secret" {
		t.Error("still there")
	}
}

// permFile reads a file of a stopped guest's /perm.
func permFile(ctx context.Context, disk, path string) ([]byte, error) {
	p, err := permPartition(disk)
	if err != nil {
		return nil, err
	}
	out, err := run(ctx, "debugfs", "-R", "cat "+path, disk+"?offset="+strconv.FormatInt(p.offset, 10))
	if err != nil || strings.Contains(string(out), "File not found") {
		return nil, fmt.Errorf("/perm%s: %w", path, err)
	}
	return out, nil
}

// Holes are left out; what is written is in.
func TestExtents(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	data := []byte(strings.Repeat("x", 4096))
	for _, at := range []int64{1 << 20, 32 << 20, 63 << 20} {
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
	}
	all, err := extents(f, partition{16 << 20, 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	covered := false
	for _, e := range all {
		covered = covered || e.offset <= 32<<20 && e.offset+e.size >= 32<<20+4096
		if e.offset < 16<<20 || e.offset+e.size > 48<<20 {
			t.Errorf("%+v is outside", e)
		}
	}
	if !covered {
		t.Errorf("%+v", all)
	}
}
