package modules

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mohr.internal/image/closure/closuretest"
	"mohr.internal/image/runtime"
	"mohr.internal/usb"
)

const module = "int C_GetFunctionList(void *p) { return 0; }"

var catalogue = []usb.Model{
	{Name: "Token One", Modules: []string{"libone.so", "libone.so.1"}},
	{Name: "Token Two", Modules: []string{"libone.so"}},
	{Name: "Elsewhere", Modules: []string{"/opt/vendor/libelse.so"}},
	{Name: "None"},
}

func sum(t *testing.T, host string) string {
	t.Helper()
	data, err := os.ReadFile(host)
	if err != nil {
		t.Fatal(err)
	}
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func manifest(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, Manifest), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	for _, arch := range []runtime.Arch{runtime.AMD64, runtime.ARM64} {
		t.Run(arch.Name, func(t *testing.T) {
			dir := t.TempDir()
			one := sum(t, closuretest.Library(t, arch.Name, dir, "libone.so", module))
			other := sum(t, closuretest.Library(t, arch.Name, dir, "libelse.so", module))
			helper := sum(t, closuretest.Library(t, arch.Name, dir, "libhelper.so.3", "int help(void){return 1;}"))
			manifest(t, dir, "# what we have\n"+one+" libone.so Token One\n"+one+"  libone.so  Token Two\n\n"+
				other+" libelse.so Elsewhere\n"+helper+" libhelper.so.3 -\n")
			tree, err := Load(dir, arch, catalogue)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range tree {
				got = append(got, f.Name)
			}
			if want := []string{"lib/" + arch.Triplet + "/libhelper.so.3", "opt/vendor/libelse.so", "usr/lib/mohr/libone.so"}; !slices.Equal(got, want) {
				t.Errorf("files %q, want %q", got, want)
			}
		})
	}
}

func TestLoadNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if tree, err := Load(dir, runtime.ARM64, catalogue); tree != nil || err != nil {
			t.Errorf("%v, %v", tree, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	one := sum(t, closuretest.Library(t, "amd64", dir, "libone.so", module))
	other := sum(t, closuretest.Library(t, "amd64", dir, "libother.so", "int C_GetFunctionList(void *p); int f(void *p) { return C_GetFunctionList(p); }"))
	manifest(t, dir, "")
	text := sum(t, filepath.Join(dir, Manifest))
	if err := os.WriteFile(filepath.Join(dir, "text"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	listed := func(line string) string { // the rest is listed, so that only line can be wrong
		out := line + "\n"
		for file, s := range map[string]string{"libone.so": one, "libother.so": other, "text": text} {
			if !strings.Contains(line, " "+file+" ") {
				out += s + " " + file + " -\n"
			}
		}
		return out
	}
	for name, c := range map[string]struct{ manifest, want string }{
		"hash":           {listed(strings.Repeat("0", 64) + " libone.so Token One"), "libone.so: its SHA-256 is " + one + ", the manifest says 0000"},
		"model":          {listed(one + " libone.so Token Three"), `libone.so: usb/catalogue.csv has no model "Token Three"`},
		"not its module": {listed(one + " libone.so None"), "libone.so: tokend would not look for it"},
		"no function":    {listed(other + " libother.so Token One"), "libother.so: it does not export C_GetFunctionList"},
		"no library":     {listed(text + " text Token One"), "text: not a shared library"},
		"not there":      {listed(one + " libgone.so Token One"), "libgone.so"},
		"not listed":     {one + " libone.so Token One\n", "libother.so is not in manifest.txt"},
		"bad line":       {"libone.so\n", "manifest.txt: line 1: "},
	} {
		manifest(t, dir, c.manifest)
		tree, err := Load(dir, runtime.AMD64, catalogue)
		if err == nil || !strings.Contains(err.Error(), c.want) || tree != nil {
			t.Errorf("%s: %v, %v, want %q", name, tree, err, c.want)
		}
	}
	if err := os.Remove(filepath.Join(dir, Manifest)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, runtime.AMD64, catalogue); err == nil || !strings.Contains(err.Error(), Manifest) {
		t.Errorf("without manifest: %v", err)
	}
	if err := os.Symlink("libone.so", filepath.Join(dir, "liblink.so")); err != nil {
		t.Fatal(err)
	}
	manifest(t, dir, listed(one+" liblink.so Token One"))
	if _, err := Load(dir, runtime.AMD64, catalogue); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a link: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	const s = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for name, c := range map[string]struct{ line, want string }{
		"short hash": {s[2:] + " a.so M", "is not a SHA-256"},
		"upper case": {strings.ToUpper(s) + " a.so M", "is not a SHA-256"},
		"no file":    {s, "is not the name of a file"},
		"path":       {s + " ../a.so M", "is not the name of a file"},
		"hidden":     {s + " .a.so M", "is not the name of a file"},
		"no model":   {s + " a.so", "a.so: no model"},
		"twice":      {s + " a.so M\n" + s + " a.so M", "line 2: a.so for M is there twice"},
		"two hashes": {s + " a.so M\n" + strings.Replace(s, "0", "1", 1) + " a.so N", "line 2: a.so has two different"},
		"too large":  {strings.Repeat("#\n", maxManifest), "larger than"},
	} {
		if got, err := Parse([]byte(c.line)); err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: %v, %v, want %q", name, got, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("# remark\n00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff a.so Token One\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := Parse(data)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, e := range entries {
			if strings.ContainsAny(e.File, "/ \n") || e.Model == "" || len(e.SHA256) != 64 {
				t.Errorf("%q gave %q", data, e)
			}
			again.WriteString(e.SHA256 + " " + e.File + " " + e.Model + "\n")
		}
		if second, err := Parse([]byte(again.String())); err != nil || !slices.Equal(second, entries) {
			t.Errorf("%q, written again: %v, %v", data, second, err)
		}
	})
}
