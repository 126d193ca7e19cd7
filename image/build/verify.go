package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"mohr.internal/image"
	"mohr.internal/image/closure"
	"mohr.internal/image/modules"
	"mohr.internal/image/runtime"
	"mohr.internal/usb"
)

// runtime collects and checks the C part and packs it.
func (b *builder) runtime() (string, error) {
	tree, err := runtime.Collect(b.inst.Arch, b.sysroot)
	if err != nil {
		return "", err
	}
	certificates := filepath.Join(b.dir, b.inst.Name, "ca-certificates.pem")
	if err := writeTo(certificates, func(w io.Writer) error { return runtime.WriteCertificates(w, b.sysroot) }); err != nil {
		return "", err
	}
	tree = append(tree, runtime.File{Name: runtime.CertificatesFile, Host: certificates, Mode: 0o644})
	catalogue, err := usb.BuiltIn()
	if err != nil {
		return "", err
	}
	vendors, err := modules.Load(filepath.Join(b.modules, b.inst.Arch.Name), b.inst.Arch, catalogue.Models())
	if err != nil {
		return "", err
	}
	for _, f := range vendors {
		b.vendors = append(b.vendors, f.Name)
	}
	if tree, err = append(tree, vendors...).Sorted(); err != nil {
		return "", err
	}
	var files []closure.File
	for _, f := range tree {
		files = append(files, closure.File{Name: f.Name, Host: f.Host, Link: f.Link})
	}
	if err := b.closed(files); err != nil {
		if len(vendors) > 0 {
			err = fmt.Errorf("%w\n(a library that a vendor's module needs can lie beside it: README, \"Bring your vendor's module\")", err)
		}
		return "", err
	}
	name := filepath.Join(b.dir, b.inst.Name, "runtime_"+b.inst.Arch.Name+".tar")
	return fmt.Sprintf("%d files, %d of them vendors'", len(tree), len(vendors)), writeTo(name, tree.WriteTar)
}

func writeTo(name string, write func(io.Writer) error) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := write(out); err != nil {
		return err
	}
	return out.Close()
}

func (b *builder) closed(files []closure.File) error {
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[b.inst.Arch.Name]
	problems, err := closure.Check(closure.Target{Machine: machine, Triplet: b.inst.Arch.Triplet, Loader: b.inst.Arch.Loader}, files, runtime.LoadedByName)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}

// bootFiles looks at what the boot loaders will hand to the kernel.
func (b *builder) bootFiles(ctx context.Context, img string) (string, error) {
	for _, name := range []string{"cmdline.txt", "loader/entries/gokrazy.conf"} {
		text, err := command(ctx, b.dir, []string{"MTOOLS_SKIP_CHECK=1"}, "mtype", "-i", fmt.Sprintf("%s@@%d", img, image.BootOffset), "::/"+name)
		if err != nil {
			return "", err
		}
		if err := b.inst.CheckCommandLine(text); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return "", nil
}

// verify unpacks the root that is really in the image and looks at all of it.
func (b *builder) verify(ctx context.Context, img string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, "root-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "root")
	if _, err := command(ctx, dir, nil, "unsquashfs", "-q", "-n", "-no-xattrs", "-o", fmt.Sprint(image.RootOffset), "-d", root, img); err != nil {
		return "", err
	}
	files, err := walk(root)
	if err != nil {
		return "", err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if err := b.inst.CheckNames(names, b.vendors); err != nil {
		return "", err
	}
	if err := b.anonymous(files); err != nil {
		return "", err
	}
	for _, f := range files {
		if dir := path.Dir(f.Name); dir != "user" && dir != "gokrazy" {
			continue
		}
		static, err := closure.Static(f.Host)
		if err != nil {
			return "", err
		}
		if want := f.Name != "user/tokend"; static != want {
			return "", fmt.Errorf("%s is static: %t, want %t", f.Name, static, want)
		}
	}
	return fmt.Sprintf("%d files", len(files)), b.closed(files)
}

func walk(root string) ([]closure.File, error) {
	var files []closure.File
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := closure.File{Name: filepath.ToSlash(rel), Host: name}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			if f.Link, err = os.Readlink(name); err != nil {
				return err
			}
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a link", f.Name)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// paths are what only this machine has. Of the repository not the folder alone: where
// that is "/src", every Go program contains it.
func (b *builder) paths() []string {
	paths := []string{b.cache + "/", b.out + "/"}
	for _, top := range []string{"appliance", "display", "image", "kiosk", "pkcs11", "usb"} {
		paths = append(paths, filepath.Join(b.repo, top)+"/")
	}
	return paths
}

// anonymous refuses files that tell where they were built. The one exception is
// gokrazy's own list of what went in.
func (b *builder) anonymous(files []closure.File) error {
	for _, f := range files {
		if f.Link != "" || f.Name == "etc/gokrazy/sbom.json" {
			continue
		}
		data, err := os.ReadFile(f.Host)
		if err != nil {
			return err
		}
		for _, p := range b.paths() {
			if bytes.Contains(data, []byte(p)) {
				return fmt.Errorf("%s contains the path %s of this machine", f.Name, p)
			}
		}
	}
	return nil
}
