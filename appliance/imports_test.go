package appliance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a package or program must not be linked with, directly or through others.
// A name that ends in / stands for everything below it.
var forbidden = []struct {
	packages []string
	cgo      string // CGO_ENABLED for the listing
	mustNot  []string
	why      string
}{
	{
		[]string{"kiosk", "kiosk/check", "kiosk/cmp", "kiosk/persian", "kiosk/nationalid", "kiosk/profile", "kiosk/receipt", "kiosk/words"}, "1",
		[]string{"github.com/google/gousb", "github.com/miekg/pkcs11", "periph.io/", "net/http", "mohr.internal/appliance/", "mohr.internal/usb"},
		"the ceremony knows no device, no network and no program",
	},
	{
		[]string{"appliance/kioskd"}, "0",
		[]string{"runtime/cgo", "net/http", "crypto/tls", "github.com/google/gousb", "github.com/miekg/pkcs11", "mohr.internal/pkcs11/module",
			"mohr.internal/appliance/courier", "mohr.internal/appliance/fleet", "github.com/nats-io/", "mohr.internal/usb"},
		"kioskd has no network, no vendor code and no C",
	},
	{
		[]string{"appliance/syncd"}, "0",
		[]string{"mohr.internal/pkcs11", "mohr.internal/kiosk", "mohr.internal/appliance/journal", "mohr.internal/display", "mohr.internal/usb",
			"mohr.internal/appliance/tokenlink", "mohr.internal/appliance/fleetlog", "github.com/nats-io/nats-server/"},
		"syncd sees no token, no PIN and no journal",
	},
	{
		[]string{"appliance/tokend"}, "1",
		[]string{"net/http", "mohr.internal/kiosk", "mohr.internal/appliance/journal", "mohr.internal/display"},
		"tokend has no network and no journal",
	},
	{
		[]string{"pkcs11", "pkcs11/pkcs11test"}, "0",
		[]string{"github.com/", "golang.org/", "runtime/cgo", "mohr.internal/kiosk", "mohr.internal/usb"},
		"the parent's side of the worker is the standard library alone",
	},
	{[]string{"usb"}, "1", []string{"mohr.internal/kiosk", "mohr.internal/pkcs11", "mohr.internal/appliance/tokenlink"}, "usb detects, others drive"},
	{[]string{"display"}, "1", []string{"periph.io/", "mohr.internal/kiosk", "net", "os/exec"}, "drawing is pure"},
	{[]string{"display/panel"}, "1", []string{"mohr.internal/kiosk", "net/http"}, "panels know pixels only"},
	{[]string{"appliance/journal"}, "1", []string{"mohr.internal/kiosk", "net", "github.com/"}, "the journal keeps opaque bytes"},
	{[]string{"appliance/config"}, "1", []string{"mohr.internal/kiosk", "mohr.internal/usb", "mohr.internal/pkcs11", "net/http"}, "configuration is data"},
}

// The borders of the house hold through every layer of imports.
func TestImports(t *testing.T) {
	for _, rule := range forbidden {
		for _, p := range rule.packages {
			for _, dep := range deps(t, "mohr.internal/"+p, rule.cgo) {
				if slices.ContainsFunc(rule.mustNot, func(not string) bool {
					return dep == not || strings.HasSuffix(not, "/") && strings.HasPrefix(dep, not)
				}) {
					t.Errorf("%s is linked with %s: %s", p, dep, rule.why)
				}
			}
		}
	}
}

// The ceremony's own files call for no clock, file or socket.
func TestCeremonyIsPure(t *testing.T) {
	for _, p := range []string{"kiosk", "kiosk/check", "kiosk/cmp", "kiosk/persian", "kiosk/receipt", "kiosk/profile", "kiosk/words"} {
		files, err := filepath.Glob(filepath.Join("..", p, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", p, len(files), err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				noClock(t, file)
			}
		}
		for _, imported := range list(t, "1", "-f", `{{join .Imports "\n"}}`, "mohr.internal/"+p) {
			switch imported {
			case "os", "net", "os/exec", "syscall", "unsafe", "C":
				t.Errorf("%s imports %s", p, imported)
			}
		}
	}
}

// noClock fails for a file that asks for the time by itself.
func noClock(t *testing.T, file string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since" || sel.Sel.Name == "Until") {
			t.Errorf("%s calls time.%s", file, sel.Sel.Name)
		}
		return true
	})
}

func deps(t *testing.T, pkg, cgo string) []string { return list(t, cgo, "-deps", pkg) }

func list(t *testing.T, cgo string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}
