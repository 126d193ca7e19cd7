// Package debian gets the Debian packages that the image's C runtime is made of:
// exactly the versions and bytes that a lock file names, for an architecture that
// need not be the machine's own.
//
// It asks the machine's configured mirrors through apt, with a state folder of its
// own; dpkg, its foreign architectures and what is installed stay untouched, and no
// root is needed. Trust: the lock's SHA-256 is checked on every download and, of the
// packages in the cache, at every build; what was unpacked from them is not read
// again. It does not resolve dependencies; the closure of the ELF files is checked
// instead (package closure).
package debian

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Arches are Debian's names, which are also Go's.
var Arches = []string{"amd64", "arm64"}

// Package is one line of the lock file.
type Package struct {
	Name, Version, Arch string
	SHA256              string // 64 lower-case hexadecimal digits
}

// Lock is a whole lock file: each package once per architecture.
type Lock []Package

// limits that no real package comes near.
const (
	maxLock = 1 << 20
	maxName = 128
)

const head = `# Debian 12 packages of the image's C runtime: name version architecture SHA-256.
# Written by "go run ./image/build -update-lock"; the names are edited in image/runtime.
`

// ParseLock reads a lock file and takes only what String writes, byte for byte.
func ParseLock(data []byte) (Lock, error) {
	if len(data) > maxLock {
		return nil, fmt.Errorf("lock: larger than %d bytes", maxLock)
	}
	rest, found := bytes.CutPrefix(data, []byte(head))
	if !found {
		return nil, errors.New("lock: the first two lines are not those of a lock file")
	}
	var l Lock
	for i, line := range strings.Split(strings.TrimSuffix(string(rest), "\n"), "\n") {
		p, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("lock: line %d: %w", i+3, err)
		}
		l = append(l, p)
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	if string(data) != l.String() {
		return nil, errors.New("lock: not sorted, or not written by -update-lock")
	}
	return l, nil
}

func parseLine(line string) (Package, error) {
	f := strings.Split(line, " ")
	if len(f) != 4 {
		return Package{}, fmt.Errorf("%q has %d fields, want 4", line, len(f))
	}
	p := Package{Name: f[0], Version: f[1], Arch: f[2], SHA256: f[3]}
	if !ValidName(p.Name) {
		return Package{}, fmt.Errorf("%q is not a package name", p.Name)
	}
	if !plain(p.Version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-:~") {
		return Package{}, fmt.Errorf("%q is not a version", p.Version)
	}
	if !slices.Contains(Arches, p.Arch) {
		return Package{}, fmt.Errorf("%q is not an architecture of the image", p.Arch)
	}
	if len(p.SHA256) != 64 || !plain(p.SHA256, "0123456789abcdef") {
		return Package{}, fmt.Errorf("%q is not a SHA-256", p.SHA256)
	}
	return p, nil
}

// ValidName tells whether s is a package name (Debian Policy 5.6.7).
func ValidName(s string) bool {
	return len(s) > 1 && plain(s, "abcdefghijklmnopqrstuvwxyz0123456789.+-") && !strings.ContainsAny(s[:1], ".+-")
}

func plain(s, alphabet string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(alphabet, r) }) < 0
}

// check wants every package for every architecture.
func (l Lock) check() error {
	have := map[string]bool{}
	for _, p := range l {
		key := p.Name + ":" + p.Arch
		if have[key] {
			return fmt.Errorf("lock: %s is there twice", key)
		}
		have[key] = true
	}
	for _, p := range l {
		for _, arch := range Arches {
			if !have[p.Name+":"+arch] {
				return fmt.Errorf("lock: %s is missing for %s", p.Name, arch)
			}
		}
	}
	return nil
}

// String is the lock file.
func (l Lock) String() string {
	l = slices.Clone(l)
	slices.SortFunc(l, func(a, b Package) int {
		return strings.Compare(a.Name+" "+a.Arch, b.Name+" "+b.Arch)
	})
	var b strings.Builder
	b.WriteString(head)
	for _, p := range l {
		fmt.Fprintf(&b, "%s %s %s %s\n", p.Name, p.Version, p.Arch, p.SHA256)
	}
	return b.String()
}

// For returns the packages of one architecture, and refuses a lock whose names are
// not want.
func (l Lock) For(arch string, want []string) ([]Package, error) {
	var out []Package
	for _, p := range l {
		if p.Arch == arch {
			out = append(out, p)
		}
	}
	for _, name := range want {
		if !slices.ContainsFunc(out, func(p Package) bool { return p.Name == name }) {
			return nil, fmt.Errorf("lock: %s:%s is missing; refresh it with -update-lock", name, arch)
		}
	}
	for _, p := range out {
		if !slices.Contains(want, p.Name) {
			return nil, fmt.Errorf("lock: %s:%s is of no use; refresh it with -update-lock", p.Name, arch)
		}
	}
	return out, nil
}
