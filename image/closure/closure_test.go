package closure

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mohr.internal/image/closure/closuretest"
)

var targets = map[string]Target{
	"amd64": {elf.EM_X86_64, "x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"},
	"arm64": {elf.EM_AARCH64, "aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1"},
}

func check(t *testing.T, target Target, files []File, byName []string, want ...string) {
	t.Helper()
	got, err := Check(target, files, byName)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCheck(t *testing.T) {
	for arch, target := range targets {
		t.Run(arch, func(t *testing.T) {
			dir := t.TempDir()
			versions := filepath.Join(dir, "map")
			if err := os.WriteFile(versions, []byte("V_1 { global: base; };\nV_2 { global: newer; } V_1;\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			base := closuretest.Library(t, arch, dir, "libbase.so.1", "int base(void){return 1;} int newer(void){return 2;}", "-Wl,--version-script="+versions)
			user := closuretest.Library(t, arch, dir, "libuser.so.1", "int base(void); int newer(void); int f(void){return base()+newer();}", base)
			older := t.TempDir()
			if err := os.WriteFile(versions, []byte("V_1 { global: base; };\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			old := closuretest.Library(t, arch, older, "libbase.so.1", "int base(void){return 1;}", "-Wl,--version-script="+versions)
			lib := "lib/" + target.Triplet + "/"
			withPath := closuretest.Library(t, arch, dir, "libpath.so.1", "int base(void); int f(void){return base();}", base, "-Wl,-rpath,$ORIGIN/own")
			loader := closuretest.Library(t, arch, dir, filepath.Base(target.Loader), "int l(void){return 0;}")
			usesLoader := closuretest.Library(t, arch, dir, "libtls.so.1", "int l(void); int f(void){return l();}", loader)

			for name, c := range map[string]struct {
				files  []File
				byName []string
				want   []string
			}{
				"complete":             {[]File{{Name: lib + "libbase.so.1", Host: base}, {Name: "usr/lib/mohr/libuser.so.1", Host: user}}, []string{"libbase.so.1"}, nil},
				"in the second folder": {[]File{{Name: "usr/" + lib + "libbase.so.1", Host: base}, {Name: "x/libuser.so.1", Host: user}}, nil, nil},
				"behind a link": {[]File{{Name: lib + "libbase.so.1", Link: "libbase.so.1.0"}, {Name: lib + "libbase.so.1.0", Link: "/opt/real"},
					{Name: "opt/real", Host: base}, {Name: "x/libuser.so.1", Host: user}}, nil, nil},
				"missing": {[]File{{Name: "x/libuser.so.1", Host: user}}, nil, []string{"x/libuser.so.1: needs libbase.so.1, which is not in the image"}},
				"not where the loader looks": {[]File{{Name: "opt/libbase.so.1", Host: base}, {Name: "opt/libuser.so.1", Host: user}}, nil,
					[]string{"opt/libuser.so.1: needs libbase.so.1, which is not in the image"}},
				"link to nothing": {[]File{{Name: lib + "libbase.so.1", Link: "gone"}, {Name: "x/libuser.so.1", Host: user}}, nil,
					[]string{"x/libuser.so.1: needs libbase.so.1, which is not in the image"}},
				"link in a circle": {[]File{{Name: lib + "libbase.so.1", Link: "libbase.so.1"}, {Name: "x/libuser.so.1", Host: user}}, nil,
					[]string{"x/libuser.so.1: needs libbase.so.1, which is not in the image"}},
				"too old": {[]File{{Name: lib + "libbase.so.1", Host: old}, {Name: "x/libuser.so.1", Host: user}}, nil,
					[]string{"x/libuser.so.1: needs libbase.so.1 with version V_2, which the image's does not have"}},
				"RUNPATH":               {[]File{{Name: "x/libpath.so.1", Host: withPath}, {Name: "x/own/libbase.so.1", Host: base}}, nil, nil},
				"RUNPATH to nothing":    {[]File{{Name: "x/libpath.so.1", Host: withPath}, {Name: "x/libbase.so.1", Host: base}}, nil, []string{"x/libpath.so.1: needs libbase.so.1, which is not in the image"}},
				"invisible":             {nil, []string{"libgcc_s.so.1"}, []string{"libgcc_s.so.1 is missing; it is loaded by name"}},
				"the loader as library": {[]File{{Name: target.Loader, Host: loader}, {Name: "x/libtls.so.1", Host: usesLoader}}, nil, nil},
				"no loader":             {[]File{{Name: "x/libtls.so.1", Host: usesLoader}}, nil, []string{"x/libtls.so.1: needs " + filepath.Base(target.Loader) + ", which is not in the image"}},
				"a text is no concern":  {[]File{{Name: "etc/hosts", Host: versions}}, nil, nil},
				"a text is no library":  {[]File{{Name: lib + "libbase.so.1", Host: versions}, {Name: "x/libuser.so.1", Host: user}}, nil, []string{"x/libuser.so.1: needs libbase.so.1, which is not in the image"}},
			} {
				t.Run(name, func(t *testing.T) {
					check(t, target, c.files, c.byName, c.want...)
				})
			}
		})
	}
}

func TestCutFile(t *testing.T) {
	data, err := os.ReadFile("testdata/tiny.so")
	if err != nil {
		t.Fatal(err)
	}
	whole, problem := read(targets["amd64"], bytes.NewReader(data))
	if problem != "" || !whole.has["V_1"] {
		t.Fatalf("%v, %q", whole, problem)
	}
	for n := 4; n < len(data); n++ {
		o, problem := read(targets["amd64"], bytes.NewReader(data[:n]))
		if o != nil && !o.has["V_1"] || o == nil && !strings.HasPrefix(problem, "not a readable ELF file") {
			t.Fatalf("cut to %d bytes: %v, %q", n, o, problem)
		}
	}
}

func TestStatic(t *testing.T) {
	dir := t.TempDir()
	alone := closuretest.Library(t, "amd64", dir, "libalone.so", "int f(void){return 1;}")
	needs := closuretest.Library(t, "amd64", dir, "libneeds.so", "int f(void); int g(void){return f();}", alone)
	for host, want := range map[string]bool{alone: true, needs: false} {
		if got, err := Static(host); got != want || err != nil {
			t.Errorf("%s: %t, %v, want %t", host, got, err, want)
		}
	}
	if _, err := Static("closure_test.go"); err == nil {
		t.Error("a text is a program")
	}
}

func TestWrongArchitecture(t *testing.T) {
	arm := closuretest.Library(t, "arm64", t.TempDir(), "libx.so", "int f(void){return 1;}")
	check(t, targets["amd64"], []File{{Name: "usr/lib/mohr/libx.so", Host: arm}}, nil,
		"usr/lib/mohr/libx.so: is built for ELFCLASS64 EM_AARCH64, the image is EM_X86_64")
}

// A program's loader is looked for too. Of what is at hand the test itself may be one.
func TestLoader(t *testing.T) {
	dir := t.TempDir()
	amd := targets["amd64"]
	prog := closuretest.Library(t, "amd64", dir, "prog", `const char i[] __attribute__((section(".interp"))) = "/lib64/ld-linux-x86-64.so.2"; int f(void){return 1;}`)
	check(t, amd, []File{{Name: "user/prog", Host: prog}}, nil, "user/prog: its loader /lib64/ld-linux-x86-64.so.2 is missing")
	loader := closuretest.Library(t, "amd64", dir, "ld", "int l(void){return 0;}")
	check(t, amd, []File{{Name: "user/prog", Host: prog}, {Name: amd.Loader, Host: loader}}, nil)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	if self, err := os.ReadFile("testdata/tiny.so"); err == nil {
		f.Add(self)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, problem := read(targets["amd64"], bytes.NewReader(data))
		if elfLike := bytes.HasPrefix(data, []byte(elf.ELFMAG)); elfLike != (o != nil || problem != "") {
			t.Errorf("ELF: %t, and %v, %q", elfLike, o, problem)
		}
	})
}
