// Package modules takes vendors' PKCS#11 modules into the image. They are not free to
// pass on, so none is in the repository: whoever builds puts them into
// image/modules/<arch>/ (amd64 or arm64) with a manifest, and git ignores both.
//
// manifest.txt has one line per file and model:
//
//	SHA256 FILE MODEL
//
// MODEL is the first column of usb/catalogue.csv and may contain spaces; a file may
// serve several models, one line each. A library that a module needs, and that is no
// module itself, has "-" instead and lies beside the C library. Lines that begin with
// "#" are remarks. A file that is in the folder and not in the manifest is refused.
//
// Whether a module finds the libraries it needs is checked with all the rest
// (package closure). That it works is not: it is run by nobody here.
package modules

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mohr.internal/image/runtime"
	"mohr.internal/usb"
)

// Manifest is the name of the list.
const Manifest = "manifest.txt"

// library stands for a model in the line of a file that is no module.
const library = "-"

// limits on what is read.
const (
	maxManifest = 64 << 10
	maxFile     = 64 << 20
)

// Entry is a line of the manifest.
type Entry struct {
	SHA256, File, Model string
}

// Parse reads a manifest.
func Parse(data []byte) ([]Entry, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("larger than %d bytes", maxManifest)
	}
	var out []Entry
	sums := map[string]string{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if slices.Contains(out, e) {
			return nil, fmt.Errorf("line %d: %s for %s is there twice", n, e.File, e.Model)
		}
		if sum, ok := sums[e.File]; ok && sum != e.SHA256 {
			return nil, fmt.Errorf("line %d: %s has two different SHA-256", n, e.File)
		}
		sums[e.File] = e.SHA256
		out = append(out, e)
	}
	return out, nil
}

func parseLine(line string) (Entry, error) {
	sum, rest, _ := strings.Cut(line, " ")
	file, model, _ := strings.Cut(strings.TrimSpace(rest), " ")
	model = strings.TrimSpace(model)
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || strings.ToLower(sum) != sum {
		return Entry{}, fmt.Errorf("%q is not a SHA-256 in lower-case hexadecimal", sum)
	}
	if file == "" || strings.ContainsAny(file, "/\\\x00") || strings.HasPrefix(file, ".") || len(file) > 255 {
		return Entry{}, fmt.Errorf("%q is not the name of a file in this folder", file)
	}
	if model == "" {
		return Entry{}, fmt.Errorf("%s: no model; want the name in usb/catalogue.csv, or - for a library", file)
	}
	return Entry{sum, file, model}, nil
}

// Load reads the folder of one architecture; one that is not there is empty. The files
// are returned under the names they will have in the image.
func Load(dir string, arch runtime.Arch, catalogue []usb.Model) (runtime.Tree, error) {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, Manifest))
	if err != nil {
		return nil, fmt.Errorf("modules: %w (README, \"Bring your vendor's module\")", err)
	}
	entries, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("modules: %s: %w", filepath.Join(dir, Manifest), err)
	}
	for _, f := range found {
		if f.Name() != Manifest && !slices.ContainsFunc(entries, func(e Entry) bool { return e.File == f.Name() }) {
			return nil, fmt.Errorf("modules: %s is not in %s", filepath.Join(dir, f.Name()), Manifest)
		}
	}
	var tree runtime.Tree
	for _, e := range entries {
		host := filepath.Join(dir, e.File)
		if err := check(host, e); err != nil {
			return nil, fmt.Errorf("modules: %s: %w", host, err)
		}
		name, err := place(e, arch, catalogue)
		if err != nil {
			return nil, fmt.Errorf("modules: %s: %w", host, err)
		}
		f := runtime.File{Name: name, Host: host, Mode: 0o755}
		if !slices.Contains(tree, f) {
			tree = append(tree, f)
		}
	}
	return tree.Sorted()
}

// place says where tokend will look for the file.
func place(e Entry, arch runtime.Arch, catalogue []usb.Model) (string, error) {
	if e.Model == library {
		return "lib/" + arch.Triplet + "/" + e.File, nil
	}
	i := slices.IndexFunc(catalogue, func(m usb.Model) bool { return m.Name == e.Model })
	if i < 0 {
		return "", fmt.Errorf("usb/catalogue.csv has no model %q", e.Model)
	}
	names := catalogue[i].Modules
	if slices.Contains(names, e.File) {
		return runtime.ModuleDir + "/" + e.File, nil
	}
	for _, n := range names {
		if path.IsAbs(n) && path.Base(n) == e.File {
			return path.Clean(n)[1:], nil
		}
	}
	return "", fmt.Errorf("tokend would not look for it: usb/catalogue.csv lists %q for %s", names, e.Model)
}

// check looks at the file alone: its hash, and that it is a PKCS#11 module. Its
// architecture and what it needs are seen by package closure.
func check(host string, e Entry) error {
	st, err := os.Lstat(host)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return fmt.Errorf("not a regular file of at most %d MiB", maxFile>>20)
	}
	data, err := os.ReadFile(host)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != e.SHA256 {
		return fmt.Errorf("its SHA-256 is %x, the manifest says %s", sum, e.SHA256)
	}
	f, err := elf.Open(host)
	if err != nil {
		return fmt.Errorf("not a shared library for Linux: %w", err)
	}
	defer f.Close()
	if f.Type != elf.ET_DYN {
		return fmt.Errorf("not a shared library but %s", f.Type)
	}
	if e.Model == library {
		return nil
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("its symbols cannot be read: %w", err)
	}
	if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == "C_GetFunctionList" && s.Section != elf.SHN_UNDEF }) {
		return errors.New("it does not export C_GetFunctionList, so it is no PKCS#11 module")
	}
	return nil
}
