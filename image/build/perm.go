package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mohr.internal/image"
)

// perm formats the image's last partition. Blocks of 4096 bytes, so that neighbouring
// records do not share one; no metadata_csum, because such a file system may refuse to
// be mounted after a power cut during a mount (make powercut); read-only after the first
// damage the kernel meets, which kioskd then says on the screen (PERM-READONLY).
func (b *builder) perm(ctx context.Context, img string) (string, error) {
	private, err := os.MkdirTemp(b.dir, "perm-") // nobody else reads the keys meanwhile
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(private)
	dir := filepath.Join(private, "perm")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	what := "empty"
	if b.site != "" {
		n, err := copyTree(filepath.Join(dir, "mohr"), b.site)
		if err != nil {
			return "", fmt.Errorf("-site: %w", err)
		}
		what = fmt.Sprintf("mohr with %d files", n)
		if err := os.Chmod(img, 0o600); err != nil { // it is about to hold keys
			return "", err
		}
	}
	_, err = command(ctx, b.dir, nil, "/sbin/mkfs.ext4", "-q", "-F", "-L", "perm", "-b", "4096", "-O", "^metadata_csum", "-e", "remount-ro",
		"-E", fmt.Sprintf("offset=%d,root_owner=0:0", image.PermOffset), "-d", dir, img, fmt.Sprintf("%dk", b.inst.PermBytes()/1024))
	return what, err
}

// copyTree copies files and folders with their modes, and refuses everything else. What
// is in a folder that its owner may not write to has to go in, and out again, too.
func copyTree(to, from string) (files int, _ error) {
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			if err := os.Mkdir(target, 0o700); err != nil {
				return err
			}
			return os.Chmod(target, info.Mode().Perm()|0o700)
		case d.Type().IsRegular():
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(target, data, 0o600); err != nil {
				return err
			}
			files++
		default:
			return fmt.Errorf("%s is neither a file nor a folder", name)
		}
		return os.Chmod(target, info.Mode().Perm())
	})
	return files, err
}

// squashSize reads from a squashfs superblock how long the file system is.
func squashSize(img string, offset int64) (int64, error) {
	f, err := os.Open(img)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sb := make([]byte, 96)
	if _, err := f.ReadAt(sb, offset); err != nil {
		return 0, fmt.Errorf("%s: %w", img, err)
	}
	if string(sb[:4]) != "hsqs" {
		return 0, fmt.Errorf("%s: no squashfs at byte %d", img, offset)
	}
	return int64(binary.LittleEndian.Uint64(sb[40:])), nil
}
