package runtime

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// File is one file of the runtime: regular, with its content on this machine, or a link.
type File struct {
	Name string // in the image, without a leading slash
	Host string // content, unless it is a link
	Link string
	Mode uint32
}

// Tree is the runtime's files, sorted by name, each once.
type Tree []File

// Collect finds the runtime's files for a in a folder of unpacked Debian packages.
func Collect(a Arch, sysroot string) (Tree, error) {
	var t Tree
	for _, e := range entries(a) {
		if e.link != "" {
			t = append(t, File{Name: e.to, Link: e.link})
			continue
		}
		if strings.Contains(e.to, "*") {
			found, err := filepath.Glob(filepath.Join(sysroot, e.to))
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				return nil, fmt.Errorf("runtime: no %s in the packages", e.to)
			}
			for _, f := range found {
				t = append(t, File{Name: path.Join(path.Dir(e.to), filepath.Base(f)), Host: f, Mode: e.mode})
			}
			continue
		}
		host, err := find(sysroot, e)
		if err != nil {
			return nil, err
		}
		t = append(t, File{Name: e.to, Host: host, Mode: e.mode})
	}
	return t.Sorted()
}

// WriteCertificates writes Mozilla's list as Debian packages it, in PEM.
func WriteCertificates(w io.Writer, sysroot string) error {
	found, err := filepath.Glob(filepath.Join(sysroot, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("runtime: no certification authorities in the packages")
	}
	slices.Sort(found)
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return fmt.Errorf("runtime: %s is not one certificate", filepath.Base(f))
		}
		if err := pem.Encode(w, block); err != nil {
			return err
		}
	}
	return nil
}

// find looks for e where Debian may have put it: libraries are in /lib or /usr/lib.
func find(sysroot string, e entry) (string, error) {
	from := e.from
	if from == "" {
		from = e.to
	}
	for _, name := range []string{from, "usr/" + from} {
		host, err := resolve(sysroot, name)
		if err == nil {
			return host, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("runtime: %s is in none of the packages", from)
}

// resolve follows symbolic links within sysroot, as they would be followed if it were /.
func resolve(sysroot, name string) (string, error) {
	for range 8 {
		host := filepath.Join(sysroot, filepath.FromSlash(path.Clean("/"+name)))
		st, err := os.Lstat(host)
		if err != nil {
			return "", err
		}
		if st.Mode().IsRegular() {
			return host, nil
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			return "", fmt.Errorf("runtime: %s is not a file", name)
		}
		target, err := os.Readlink(host)
		if err != nil {
			return "", err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		name = target
	}
	return "", fmt.Errorf("runtime: %s: too many links", name)
}

// Sorted returns t in order and refuses a name that is there twice.
func (t Tree) Sorted() (Tree, error) {
	t = slices.Clone(t)
	slices.SortFunc(t, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(t); i++ {
		if t[i].Name == t[i-1].Name {
			return nil, fmt.Errorf("runtime: %s is there twice", t[i].Name)
		}
	}
	return t, nil
}

// stamp is the modification time of every file in the tar.
var stamp = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// WriteTar packs t so that the same files always give the same bytes.
func (t Tree) WriteTar(w io.Writer) error {
	sorted, err := t.Sorted()
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	for _, f := range sorted {
		if err := writeFile(tw, f); err != nil {
			return fmt.Errorf("runtime: %s: %w", f.Name, err)
		}
	}
	return tw.Close()
}

func writeFile(tw *tar.Writer, f File) error {
	h := &tar.Header{Name: f.Name, ModTime: stamp, Format: tar.FormatUSTAR}
	if f.Link != "" {
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Link, 0o777
		return tw.WriteHeader(h)
	}
	src, err := os.Open(f.Host)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Mode, h.Size = tar.TypeReg, int64(f.Mode), st.Size()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(tw, src)
	return err
}
