package pkcs11_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The parent's side is pure Go and needs nothing but the standard library; the
// vendor's code is behind the pipe.
func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "mohr.internal/pkcs11", "mohr.internal/pkcs11/pkcs11test")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: go list: %v\n%s", err, out)
	}
	for _, path := range strings.Fields(string(out)) {
		if path != "mohr.internal/pkcs11" && path != "mohr.internal/pkcs11/pkcs11test" {
			t.Errorf("imports %s", path)
		}
	}
}
