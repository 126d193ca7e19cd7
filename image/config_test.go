package image

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mohr.internal/image/runtime"
)

var testBuild = Build{Version: "v1", Sysroot: "/S", Runtime: "/R/runtime", CC: "some-gcc"}

func decode(t *testing.T, data []byte, err error) map[string]any {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, x := range list {
		out = append(out, x.(string))
	}
	return out
}

// TestInstances says, once more and by hand, what each image must be.
func TestInstances(t *testing.T) {
	if len(Instances) != 2 {
		t.Fatalf("%d instances; this test knows rpi and amd64", len(Instances))
	}
	for _, c := range []struct {
		name, goarch, kernel, serial string
		firmware                     bool
		args                         []string
	}{
		{"rpi", "arm64", "github.com/gokrazy/kernel.rpi", "off", true, []string{"usbcore.authorized_default=0"}},
		{"amd64", "amd64", "github.com/gokrazy/kernel.amd64", "ttyS0,115200", false,
			[]string{"rootdelay=0", "rootwait", "usbcore.authorized_default=0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inst, err := ByName(c.name)
			if err != nil {
				t.Fatal(err)
			}
			data, err := inst.Config(testBuild)
			m := decode(t, data, err)
			if got := texts(m["Environment"]); !slices.Equal(got, []string{"GOOS=linux", "GOARCH=" + c.goarch}) {
				t.Errorf("Environment %q", got)
			}
			if m["KernelPackage"] != c.kernel {
				t.Errorf("KernelPackage %q, want %q", m["KernelPackage"], c.kernel)
			}
			if m["SerialConsole"] != c.serial {
				t.Errorf("SerialConsole %q, want %q", m["SerialConsole"], c.serial)
			}
			if got := texts(m["KernelExtraArgs"]); !slices.Equal(got, c.args) {
				t.Errorf("KernelExtraArgs %q, want %q", got, c.args)
			}
			for _, key := range []string{"FirmwarePackage", "EEPROMPackage"} {
				v, given := m[key]
				if c.firmware && given || !c.firmware && (!given || v != "") {
					t.Errorf("%s is %v (given: %t); left out means the Raspberry Pi's, \"\" means none", key, v, given)
				}
			}
			if got := texts(m["GokrazyPackages"]); !slices.Equal(got, system) {
				t.Errorf("GokrazyPackages %q", got)
			}
			if got := texts(m["Packages"]); !slices.Equal(got, []string{Kioskd, Syncd, Tokend}) {
				t.Errorf("Packages %q", got)
			}
		})
	}
}

// TestClosed: whatever opens a gokrazy box is not in any configuration.
func TestClosed(t *testing.T) {
	for _, inst := range Instances {
		data, err := inst.Config(testBuild)
		m := decode(t, data, err)
		for _, word := range []string{"breakglass", "fbstatus", "busybox", "serial-", "WaitForClock", "HTTPPassword", "KeyPEM", "MountDevices", "tailscale"} {
			if strings.Contains(strings.ToLower(string(data)), strings.ToLower(word)) {
				t.Errorf("%s: the configuration has %s", inst.Name, word)
			}
		}
		if u := m["Update"].(map[string]any); u["NoPassword"] != true || u["UseTLS"] != "off" || len(u) != 2 {
			t.Errorf("%s: Update is %v", inst.Name, u)
		}
		if f := m["InternalCompatibilityFlags"].(map[string]any); f["InitPkg"] != Init || len(f) != 1 {
			t.Errorf("%s: InternalCompatibilityFlags is %v", inst.Name, f)
		}
		if !slices.Contains(inst.KernelArgs, "usbcore.authorized_default=0") {
			t.Errorf("%s: USB devices are admitted by the kernel", inst.Name)
		}
	}
}

// TestInitServesNothing: of gokrazy, init may only use what boots. SuperviseServices
// is where the web interface is.
func TestInitServesNothing(t *testing.T) {
	files, err := filepath.Glob("gokrazy/init/*.go")
	if err != nil || len(files) < 3 {
		t.Fatalf("files of init: %v, %v", files, err)
	}
	uses := map[string]bool{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.HasPrefix(i.Path.Value, `"net`) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "gokrazy" {
					uses[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	if len(uses) != 1 || !uses["Boot"] {
		t.Errorf("init uses %v of gokrazy, want Boot alone", uses)
	}
}

// TestStaticAndDynamic: only tokend is linked with C, and nothing tells where it was built.
func TestStaticAndDynamic(t *testing.T) {
	for _, inst := range Instances {
		data, err := inst.Config(testBuild)
		packages := decode(t, data, err)["PackageConfig"].(map[string]any)
		for _, p := range append([]string{Kioskd, Syncd, Tokend, Init}, system...) {
			c, ok := packages[p].(map[string]any)
			if !ok {
				t.Errorf("%s: %s has no build flags", inst.Name, p)
				continue
			}
			want := "CGO_ENABLED=0"
			if p == Tokend {
				want = "CGO_ENABLED=1"
			}
			if env := texts(c["GoBuildEnvironment"]); len(env) == 0 || env[0] != want {
				t.Errorf("%s: %s is built with %q, want %s", inst.Name, p, env, want)
			}
			if flags := texts(c["GoBuildFlags"]); !slices.Contains(flags, "-trimpath") {
				t.Errorf("%s: %s is built without -trimpath", inst.Name, p)
			}
			if _, extra := c["ExtraFilePaths"]; extra != (p == Tokend) {
				t.Errorf("%s: %s brings files: %t", inst.Name, p, extra)
			}
		}
		if len(packages) != 4+len(system) {
			t.Errorf("%s: %d packages are configured", inst.Name, len(packages))
		}
		ld := texts(packages[Tokend].(map[string]any)["GoBuildEnvironment"])[4]
		for _, dir := range []string{"/S/usr/lib/" + inst.Arch.Triplet, "/S/lib/" + inst.Arch.Triplet} {
			if !strings.Contains(ld, "-L"+dir+" ") || !strings.Contains(ld, "-Wl,-rpath-link,"+dir) {
				t.Errorf("%s: %s lacks %s", inst.Name, ld, dir)
			}
		}
	}
}

// TestNoMachinePath: what is committed builds on any machine.
func TestNoMachinePath(t *testing.T) {
	home := regexp.MustCompile(`"/(home|root|work|Users)/`)
	err := filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "modules/amd64" || name == "modules/arm64") {
			return filepath.SkipDir
		}
		if d.Type()&os.ModeSymlink != 0 {
			t.Errorf("%s is a link", name)
		}
		if ext := filepath.Ext(name); ext != ".go" && ext != ".mod" && ext != ".lock" && ext != ".json" && ext != ".txt" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if found := home.Find(data); found != nil {
			t.Errorf("%s contains %s", name, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What init tells the programs to use is in the image.
func TestCertificates(t *testing.T) {
	source, err := os.ReadFile("gokrazy/init/services.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), `"SSL_CERT_FILE=/`+runtime.CertificatesFile+`"`) {
		t.Errorf("init does not set SSL_CERT_FILE to /%s", runtime.CertificatesFile)
	}
	if !slices.Contains(Instances[0].Names(), runtime.CertificatesFile) {
		t.Errorf("%s is not in root.txt", runtime.CertificatesFile)
	}
}

func TestBare(t *testing.T) {
	for _, inst := range Instances {
		data, err := inst.Bare()
		m := decode(t, data, err)
		appliance, err := inst.Config(testBuild)
		a := decode(t, appliance, err)
		for _, key := range []string{"KernelPackage", "GokrazyPackages", "KernelExtraArgs", "SerialConsole", "Environment"} {
			x, _ := json.Marshal(m[key])
			y, _ := json.Marshal(a[key])
			if string(x) != string(y) {
				t.Errorf("%s: %s is %s in the bare image and %s in ours: not comparable", inst.Name, key, x, y)
			}
		}
	}
}

func TestPerm(t *testing.T) {
	for _, inst := range Instances {
		size := inst.PermBytes()
		if size%4096 != 0 || size < 100*mib || PermOffset+size > inst.Bytes-34*512 || inst.Bytes-34*512-PermOffset-size >= 4096 {
			t.Errorf("%s: /perm has %d bytes from %d in an image of %d", inst.Name, size, PermOffset, inst.Bytes)
		}
	}
}

func TestCheckCommandLine(t *testing.T) {
	const good = "title gokrazy\noptions console=tty1 root=PARTUUID=x/PARTNROFF=1 init=/gokrazy/init rootwait usbcore.authorized_default=0   "
	rpi, err := ByName("rpi")
	if err != nil {
		t.Fatal(err)
	}
	if err := rpi.CheckCommandLine(good); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"console=tty1", "console=tty1 console=serial0,115200", "console=serial0,115200 does not belong"},
		{"console=tty1 ", "", "console=tty1 is missing"},
		{"usbcore.authorized_default=0", "", "usbcore.authorized_default=0 is missing"},
		{"usbcore.authorized_default=0", "usbcore.authorized_default=0 usbcore.authorized_default=1", "authorized_default=1 does not belong"},
		{"init=/gokrazy/init", "init=/gokrazy/init init=/perm/sh", "init=/perm/sh does not belong"},
		{"init=/gokrazy/init", "", "init=/gokrazy/init is missing"},
	} {
		if err := rpi.CheckCommandLine(strings.Replace(good, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v", c.new, c.old, err)
		}
	}
	amd, err := ByName("amd64")
	if err != nil {
		t.Fatal(err)
	}
	if err := amd.CheckCommandLine(good); err == nil || !strings.Contains(err.Error(), "console=ttyS0,115200 is missing") {
		t.Errorf("amd64: %v", err)
	}
}

func TestByName(t *testing.T) {
	if _, err := ByName("kiosk"); err == nil || !strings.Contains(err.Error(), `"kiosk": want one of amd64, rpi`) {
		t.Errorf("error %v", err)
	}
	if a, err := runtime.ByName("arm64"); err != nil || a != runtime.ARM64 {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := runtime.ByName("armhf"); err == nil {
		t.Error("armhf is a target")
	}
}
