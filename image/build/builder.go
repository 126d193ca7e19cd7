package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mohr.internal/image"
	"mohr.internal/image/debian"
	"mohr.internal/image/runtime"
)

type builder struct {
	options
	inst image.Instance
	log  *steps

	dir     string // of this instance's intermediate results
	sysroot string
	vendors []string // names in the image of vendors' modules
	cold    bool
	gok     string
}

func (b *builder) img() string { return filepath.Join(b.out, b.inst.Name+".img") }

func (b *builder) build(ctx context.Context) error {
	b.dir = filepath.Join(b.out, "work")
	if err := os.MkdirAll(filepath.Join(b.dir, b.inst.Name), 0o755); err != nil {
		return err
	}
	b.gok = filepath.Join(b.dir, "gok")
	tmp := b.img() + ".new"
	defer os.Remove(tmp)
	for _, s := range []struct {
		what string
		do   func() (string, error)
	}{
		{"Debian packages of the C runtime", func() (string, error) { return b.packages(ctx) }},
		{"runtime and vendors' modules", b.runtime},
		{"gokrazy's packer", func() (string, error) { return b.packer(ctx) }},
		{"programs, kernel, root", func() (string, error) { return b.pack(ctx, tmp) }},
		{"/perm", func() (string, error) { return b.perm(ctx, tmp) }},
		{"the kernel's arguments", func() (string, error) { return b.bootFiles(ctx, tmp) }},
		{"the root's files, names and libraries", func() (string, error) { return b.verify(ctx, tmp) }},
		{"bare gokrazy, to compare", func() (string, error) { return b.bare(ctx) }},
	} {
		if err := b.log.do(s.what, s.do); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, b.img()); err != nil {
		return err
	}
	return b.figures()
}

func (b *builder) packages(ctx context.Context) (string, error) {
	list, err := lockFor(b.repo, b.inst.Arch.Name)
	if err != nil {
		return "", err
	}
	cache := debian.Cache{Dir: b.cache, Pause: 10 * time.Second}
	n, err := cache.Fetch(ctx, &debian.Apt{Dir: filepath.Join(b.cache, "apt-"+b.inst.Arch.Name), Arch: b.inst.Arch.Name}, list)
	if err != nil {
		return "", err
	}
	b.cold = n > 0
	b.sysroot, err = cache.Extract(ctx, list)
	return fmt.Sprintf("%d packages, %d fetched", len(list), n), err
}

// sharing makes all that is compiled compile the same way, so that the standard
// library is compiled once per architecture. gok sets CGO_ENABLED for packages.
var sharing = []string{"GOFLAGS=-trimpath -buildvcs=false", "CGO_ENABLED=0"}

// packer builds the pinned gok. Its module is apart from the product's.
func (b *builder) packer(ctx context.Context) (string, error) {
	before := fileTime(b.gok)
	_, err := command(ctx, filepath.Join(b.repo, "image", "gok"), sharing, "go", "build", "-o", b.gok, "github.com/gokrazy/tools/cmd/gok")
	if before.IsZero() {
		b.cold = true
	}
	return "", err
}

// pack writes the configuration and lets gok compile everything into an image.
func (b *builder) pack(ctx context.Context, img string) (string, error) {
	cc := map[string]string{"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}[b.inst.Arch.Name]
	config, err := b.inst.Config(image.Build{
		Version: b.version(ctx), Sysroot: b.sysroot, Runtime: filepath.Join(b.dir, b.inst.Name, "runtime"), CC: cc,
	})
	if err != nil {
		return "", err
	}
	return "", b.runGok(ctx, b.inst.Name, config, "--full", img, "--target_storage_bytes", fmt.Sprint(b.inst.Bytes))
}

// runGok runs gok on an instance folder made for it. In builddir, the repository
// stands under its module path and the pinned gokrazy under gokrazy's: gok takes the
// nearest go.mod above a package.
func (b *builder) runGok(ctx context.Context, name string, config []byte, args ...string) error {
	dir := filepath.Join(b.dir, name)
	links := map[string]string{
		image.Module:         b.repo,
		"github.com/gokrazy": filepath.Join(b.repo, "image", "gokrazy"),
	}
	if err := os.RemoveAll(filepath.Join(dir, "builddir")); err != nil {
		return err
	}
	for as, to := range links {
		link := filepath.Join(dir, "builddir", filepath.FromSlash(as))
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(to, link); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		return err
	}
	out, err := command(ctx, b.dir, sharing[:1], b.gok, append([]string{"--parent_dir", b.dir, "-i", name, "overwrite"}, args...)...)
	if logErr := os.WriteFile(filepath.Join(dir, "gok.log"), []byte(out), 0o600); err == nil {
		err = logErr
	}
	return err
}

func (b *builder) bare(ctx context.Context) (string, error) {
	config, err := b.inst.Bare()
	if err != nil {
		return "", err
	}
	name := "bare-" + b.inst.Name
	if err := os.MkdirAll(filepath.Join(b.dir, name), 0o755); err != nil {
		return "", err
	}
	return "", b.runGok(ctx, name, config, "--full", filepath.Join(b.out, name+".img"), "--target_storage_bytes", fmt.Sprint(b.inst.Bytes))
}

func (b *builder) version(ctx context.Context) string {
	out, err := command(ctx, b.repo, nil, "git", "describe", "--always", "--dirty")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(out)
}

func (b *builder) figures() error {
	root, err := squashSize(b.img(), image.RootOffset)
	if err != nil {
		return err
	}
	bare, err := squashSize(filepath.Join(b.out, "bare-"+b.inst.Name+".img"), image.RootOffset)
	if err != nil {
		return err
	}
	const mb = 1e6
	heat := "warm"
	if b.cold {
		heat = "cold"
	}
	n := b.inst.Name
	b.log.figure(n+" image", "%s", b.img())
	b.log.figure(n+" root MB", "%.1f (goal 32)", float64(root)/mb)
	b.log.figure(n+" root MB of bare gokrazy", "%.1f", float64(bare)/mb)
	b.log.figure(n+" build seconds, "+heat, "%.0f", time.Since(b.log.began).Seconds())
	return nil
}

func fileTime(name string) time.Time {
	st, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

func lockFor(repo, arch string) ([]debian.Package, error) {
	data, err := os.ReadFile(filepath.Join(repo, "image", "debian.lock"))
	if err != nil {
		return nil, err
	}
	lock, err := debian.ParseLock(data)
	if err != nil {
		return nil, err
	}
	return lock.For(arch, runtime.Packages())
}

func updateLock(ctx context.Context, o options) error {
	var all debian.Lock
	for _, arch := range debian.Arches {
		l, err := (&debian.Apt{Dir: filepath.Join(o.cache, "apt-"+arch), Arch: arch}).Newest(ctx, runtime.Packages())
		if err != nil {
			return err
		}
		all = append(all, l...)
	}
	if _, err := debian.ParseLock([]byte(all.String())); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.repo, "image", "debian.lock"), []byte(all.String()), 0o644)
}
