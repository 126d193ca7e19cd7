// Package closuretest compiles tiny shared libraries for tests.
package closuretest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Compilers by architecture.
var Compilers = map[string]string{"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}

// Library compiles C source into dir/name and returns the path. More are further
// arguments of gcc, such as libraries to link with. Without that compiler the test is
// skipped, aloud.
func Library(t *testing.T, arch, dir, name, source string, more ...string) string {
	t.Helper()
	cc := Compilers[arch]
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("SKIPPED: no %s: nothing is known of %s (Debian package gcc or gcc-aarch64-linux-gnu)", cc, arch)
	}
	src := filepath.Join(t.TempDir(), "x.c")
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, name)
	args := append([]string{"-shared", "-fPIC", "-nostdlib", "-Wl,-soname," + name, "-o", out, src}, more...)
	if msg, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", cc, args, err, msg)
	}
	return out
}
