package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cache keeps packages under their SHA-256.
type Cache struct{ Dir string }

func (c Cache) path(p Package) string { return filepath.Join(c.Dir, p.SHA256+".deb") }

// Has tells whether p is there, undamaged. A damaged file is removed.
func (c Cache) Has(p Package) (bool, error) {
	sum, err := fileSHA256(c.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if sum != p.SHA256 {
		return false, os.Remove(c.path(p))
	}
	return true, nil
}

// Fetch brings what is missing and returns how many packages that were. A package
// whose bytes are not the locked ones is refused and not kept.
func (c Cache) Fetch(ctx context.Context, a *Apt, list []Package) (int, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return 0, err
	}
	var missing []Package
	for _, p := range list {
		ok, err := c.Has(p)
		if err != nil {
			return 0, err
		}
		if !ok {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return 0, nil
	}
	tmp, err := os.MkdirTemp(c.Dir, "fetch-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	files, err := a.download(ctx, tmp, missing)
	if err != nil {
		return 0, err
	}
	for _, p := range missing {
		sum, err := fileSHA256(files[p.Name])
		if err != nil {
			return 0, err
		}
		if sum != p.SHA256 {
			return 0, fmt.Errorf("%s=%s:%s: the mirror's file has SHA-256 %s, the lock says %s: not used", p.Name, p.Version, p.Arch, sum, p.SHA256)
		}
		if err := os.Rename(files[p.Name], c.path(p)); err != nil {
			return 0, err
		}
	}
	return len(missing), nil
}

// Extract unpacks list into a folder below the cache whose name stands for exactly
// these packages, and returns it. It is done once.
func (c Cache) Extract(ctx context.Context, list []Package) (string, error) {
	h := sha256.New()
	for _, p := range list {
		fmt.Fprintf(h, "%s %s\n", p.SHA256, p.Arch)
	}
	dir := filepath.Join(c.Dir, "sysroot-"+hex.EncodeToString(h.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(c.Dir, "extract-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	for _, p := range list {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", c.path(p), tmp).CombinedOutput(); err != nil {
			return "", fmt.Errorf("dpkg-deb: %s: %w: %s", p.Name, err, strings.TrimSpace(string(out)))
		}
	}
	return dir, os.Rename(tmp, dir)
}

func fileSHA256(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
