package desk

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/appliance/config"
)

// needTokens skips a test where the tools that make tokens are missing.
func needTokens(t testing.TB) {
	t.Helper()
	for _, tool := range []string{"softhsm2-util", "pkcs11-tool", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %s is not installed (apt-get install softhsm2 opensc openssl)", tool)
		}
	}
	if _, err := os.Stat(SoftHSM); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no SoftHSM module (apt-get install libsofthsm2): %v", err)
	}
}

// provision makes a place with some devices.
func provision(t testing.TB, kinds ...Kind) *Place {
	t.Helper()
	return provisionWith(t, Options{Kinds: kinds})
}

func provisionWith(t testing.TB, o Options) *Place {
	t.Helper()
	needTokens(t)
	dir, err := os.MkdirTemp("", "desk-") // short: sockets live in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o.Dir, o.Time = dir, time.Now()
	p, err := Provision(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProvision makes one of each device and looks at all of it from outside.
func TestProvision(t *testing.T) {
	begin := time.Now()
	p := provision(t, EveryKind()...)
	t.Logf("%d devices in %v", len(p.Devices), time.Since(begin).Round(time.Millisecond))

	if c, err := config.LoadKioskd(p.ConfigFile("kioskd")); err != nil || c.Office != office {
		t.Errorf("kioskd: %v", err)
	}
	if c, err := config.LoadTokend(p.ConfigFile("tokend")); err != nil || len(c.Desk.Devices) != len(p.Devices) {
		t.Errorf("tokend: %v", err)
	}
	if off, err := config.ReadOffset(p.Kioskd.Clock.Path); err != nil || off != 0 {
		t.Errorf("clock: %v, %v", off, err)
	}
	for _, d := range p.Devices {
		t.Run(string(d.Kind), func(t *testing.T) { checkDevice(t, p, d) })
	}
	if got := len(p.Profile.Officers); got != 1 {
		t.Errorf("%d officers in the profile, want 1", got)
	}

	// OpenSSL's opinion of what is on the tokens.
	for kind, want := range map[Kind]string{
		Citizen: "OK", Second: "OK", Officer: "OK", P256: "OK", Expired: "expired", Revoked: "revoked", Foreign: "unable to get local issuer certificate",
	} {
		cert := filepath.Join(p.Device(kind).Token.Dir, "certificate-01.der")
		pem := filepath.Join(t.TempDir(), "c.pem")
		if out, err := exec.Command("openssl", "x509", "-inform", "DER", "-in", cert, "-out", pem).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", kind, err, out)
		}
		out, _ := exec.Command("openssl", "verify", "-crl_check", "-CAfile", p.Path("pki", "root.pem"),
			"-untrusted", p.Path("pki", "issuing.pem"), "-CRLfile", p.Path("pki", "crl.pem"), pem).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("openssl verify of %s says %q, want %q", kind, out, want)
		}
	}
}

func checkDevice(t *testing.T, p *Place, d *Device) {
	if d.Token == nil {
		return
	}
	// Before the first login, which resets it.
	if low := tokenFlag(t, d, "user PIN count low"); low != (d.Kind == LowTries) {
		t.Errorf("PIN count low: %v", low)
	}
	out, err := d.Token.Tool(t.Context(), "--login", "--pin", d.Token.PIN, "--list-objects")
	if err != nil {
		t.Fatal(err)
	}
	if d.Kind == Bare {
		if len(bytes.TrimSpace(out)) != 0 {
			t.Errorf("a bare token has objects:\n%s", out)
		}
		return
	}
	for _, want := range []string{"Private Key Object", "Public Key Object", "Certificate Object"} {
		if n := bytes.Count(out, []byte(want)); n != 1 {
			t.Errorf("%d of %q, want 1:\n%s", n, want, out)
		}
	}
	file := filepath.Join(t.TempDir(), "cert.der")
	if _, err := d.Token.Tool(t.Context(), "--read-object", "--type", "cert", "--id", "01", "--output-file", file); err != nil {
		t.Fatal(err)
	}
	der, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(der, d.Certificate.Raw) {
		t.Error("the certificate on the token is not the one that was issued")
	}
	// The subject profile: a Persian family name in UTF-8, the number in serialNumber.
	subject := d.Certificate.Subject
	if subject.SerialNumber != d.Person.NationalID && d.Kind != Checksum {
		t.Errorf("serialNumber %q, want %q", subject.SerialNumber, d.Person.NationalID)
	}
	surname := ""
	for _, n := range subject.Names {
		if n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 4}) {
			surname, _ = n.Value.(string)
		}
	}
	if surname != d.Person.FamilyFa || surname == "" {
		t.Errorf("surname %q, want %q", surname, d.Person.FamilyFa)
	}
	if d.Kind == Citizen {
		left := time.Until(d.Certificate.NotAfter).Hours() / 24
		if left < 20 || left > 21 {
			t.Errorf("%.2f days left, want 20", left)
		}
		if d.Certificate.PublicKeyAlgorithm != x509.RSA {
			t.Errorf("key is %v", d.Certificate.PublicKeyAlgorithm)
		}
	}
}

// tokenFlag says whether pkcs11-tool names a flag of the token.
func tokenFlag(t *testing.T, d *Device, flag string) bool {
	t.Helper()
	out, err := d.Token.run(t.Context(), "pkcs11-tool", "--module", d.Token.Module, "--list-slots")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(out), flag)
}

func TestProvisionRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no folder": {Time: time.Now()},
		"no time":   {Dir: t.TempDir()},
		"twice":     {Dir: t.TempDir(), Time: time.Now(), Kinds: []Kind{Unknown, Unknown}},
		"unknown":   {Dir: t.TempDir(), Time: time.Now(), Kinds: []Kind{"nothing"}},
		"long path": {Dir: t.TempDir() + "/" + strings.Repeat("long/", 20), Time: time.Now(), Kinds: []Kind{Unknown}},
	} {
		if _, err := Provision(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
