package runtime

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sysroot makes a folder that has what the packages would bring, laid out as Debian
// does: libraries under /usr/lib or /lib behind links, a plist that points to /etc.
func sysroot(t *testing.T, a Arch) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		host := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(host, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range entries(a) {
		switch {
		case e.link != "":
		case strings.Contains(e.to, "*"):
			write("usr/share/opensc/myeid.profile", "profile")
		case e.from != "":
			write(e.from, "plist")
			link(e.to, "/"+e.from)
		case strings.HasPrefix(e.to, "lib/") && i%2 == 0:
			write("usr/"+e.to+".1.0", e.to)
			link("usr/"+e.to, filepath.Base(e.to)+".1.0")
		default:
			write(e.to, e.to)
		}
	}
	return dir
}

func TestCollectAndTar(t *testing.T) {
	for _, a := range []Arch{AMD64, ARM64} {
		dir := sysroot(t, a)
		tree, err := Collect(a, dir)
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := tree.WriteTar(&first); err != nil {
			t.Fatal(err)
		}
		// Neither the order nor the files' times may show.
		slices.Reverse(tree)
		for _, f := range tree {
			if f.Host != "" {
				if err := os.Chtimes(f.Host, time.Now(), time.Unix(12345, 0)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := tree.WriteTar(&second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two tars of the same files differ", a.Name)
		}
		r := tar.NewReader(&first)
		var names []string
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, h.Name)
			if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(stamp) {
				t.Errorf("%s: owner %d:%d %q, time %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			switch h.Name {
			case "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist":
				if string(content) != "plist" || h.Typeflag != tar.TypeReg {
					t.Errorf("%s is %q, not the file behind Debian's link", h.Name, content)
				}
			case ModuleDir + "/opensc-pkcs11.so":
				if h.Typeflag != tar.TypeSymlink || h.Linkname != "../"+a.Triplet+"/opensc-pkcs11.so" {
					t.Errorf("%s points to %q", h.Name, h.Linkname)
				}
			case "lib/" + a.Triplet + "/libc.so.6":
				if string(content) != h.Name || h.Mode != 0o755 {
					t.Errorf("%s holds %q, mode %o", h.Name, content, h.Mode)
				}
			}
		}
		if !slices.IsSorted(names) || !slices.Contains(names, a.Loader) || !slices.Contains(names, "usr/share/opensc/myeid.profile") {
			t.Errorf("%s: names %q", a.Name, names)
		}
	}
}

func TestWriteCertificates(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "usr/share/ca-certificates/mozilla")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteCertificates(io.Discard, dir); err == nil {
		t.Error("an empty list was written")
	}
	one, two := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
	for name, content := range map[string]string{"b.crt": two, "a.crt": one, "README": "no"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := WriteCertificates(&out, dir); err != nil || out.String() != one+two {
		t.Errorf("%q, %v", out.String(), err)
	}
	for _, bad := range []string{"", one + two, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(filepath.Join(folder, "c.crt"), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := WriteCertificates(io.Discard, dir); err == nil || !strings.Contains(err.Error(), "c.crt") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestCollectNamesWhatIsMissing(t *testing.T) {
	for _, gone := range []string{"usr/sbin/pcscd", "usr/share/opensc/myeid.profile", "etc/libccid_Info.plist"} {
		dir := sysroot(t, ARM64)
		if err := os.Remove(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
		want := filepath.Base(gone)
		if strings.HasSuffix(gone, ".profile") {
			want = "*.profile"
		}
		if _, err := Collect(ARM64, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", gone, err)
		}
	}
}

func TestSortedRefusesTwice(t *testing.T) {
	if _, err := (Tree{{Name: "a"}, {Name: "b"}, {Name: "a"}}).Sorted(); err == nil || !strings.Contains(err.Error(), "a is there twice") {
		t.Errorf("error %v", err)
	}
}

// A link may not lead out of the sysroot to this machine's files, nor in a circle.
func TestResolveStaysInside(t *testing.T) {
	dir := t.TempDir()
	for name, to := range map[string]string{"up": "../../../../../../etc/passwd", "abs": "/etc/passwd", "circle": "circle"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if host, err := resolve(dir, name); err == nil {
			t.Errorf("%s -> %s was found as %s", name, to, host)
		}
	}
}

func TestPackages(t *testing.T) {
	names := Packages()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("packages %q", names)
	}
	for _, n := range names {
		if strings.Contains(n, "softhsm") {
			t.Errorf("%s is in the product", n)
		}
	}
}
