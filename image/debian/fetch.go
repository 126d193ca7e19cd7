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
	"time"
)

// Cache keeps packages under their SHA-256.
type Cache struct {
	Dir   string
	Pause time.Duration // before a failed download is tried again
}

// attempts at a download. Mirrors refuse connections now and then; apt's own retries
// come too soon after one another to help.
const attempts = 4

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
	fetched := 0
	for attempt := 1; ; attempt++ {
		missing, err := c.missing(list)
		if err != nil || len(missing) == 0 {
			return fetched, err
		}
		n, err := c.get(ctx, a, missing)
		fetched += n
		if err != nil && (attempt == attempts || errors.Is(err, ErrGone) || errors.Is(err, errOther)) {
			return fetched, err
		}
		if err != nil {
			select {
			case <-ctx.Done():
				return fetched, ctx.Err()
			case <-time.After(c.Pause):
			}
		}
	}
}

func (c Cache) missing(list []Package) ([]Package, error) {
	var missing []Package
	for _, p := range list {
		ok, err := c.Has(p)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// errOther is a file that is not what the lock says.
var errOther = errors.New("not used")

// get downloads once and keeps what has come.
func (c Cache) get(ctx context.Context, a *Apt, list []Package) (int, error) {
	tmp, err := os.MkdirTemp(c.Dir, "fetch-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	files, failed := a.download(ctx, tmp, list)
	kept := 0
	for _, p := range list {
		sum, err := fileSHA256(files[p.Name])
		if errors.Is(err, fs.ErrNotExist) && failed != nil {
			continue
		}
		if err != nil {
			return kept, err
		}
		if sum != p.SHA256 {
			return kept, fmt.Errorf("%s=%s:%s: the mirror's file has SHA-256 %s, the lock says %s: %w", p.Name, p.Version, p.Arch, sum, p.SHA256, errOther)
		}
		if err := os.Rename(files[p.Name], c.path(p)); err != nil {
			return kept, err
		}
		kept++
	}
	return kept, failed
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
