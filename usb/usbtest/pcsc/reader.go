package pcsc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mohr.internal/usb/usbtest/card"
	"mohr.internal/usb/usbtest/vpcd"
)

// Reader is a reader with a card in it.
type Reader struct {
	Token *card.Token

	// Env is what a program needs in its environment to find the reader, and the
	// PINs of the card for the tools of OpenSC ("env:USER_PIN").
	Env []string

	tb testing.TB
}

// pcscd is the daemon; a normal user has no /usr/sbin in the path.
func pcscd() string {
	for _, path := range []string{"/usr/sbin/pcscd", "/usr/bin/pcscd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func driver() string {
	hits, _ := filepath.Glob("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
	return strings.Join(hits, "")
}

// Module is stock opensc-pkcs11.so, or empty.
func Module() string {
	for _, pattern := range []string{"/usr/lib/*/opensc-pkcs11.so", "/usr/lib/opensc-pkcs11.so"} {
		if hits, _ := filepath.Glob(pattern); len(hits) > 0 {
			return hits[0]
		}
	}
	return ""
}

// need skips the test if something is missing.
func need(tb testing.TB) {
	tb.Helper()
	var missing []string
	for name, path := range map[string]string{"pcscd": pcscd(), "vsmartcard-vpcd": driver(), "opensc-pkcs11": Module()} {
		if path == "" {
			missing = append(missing, name)
		}
	}
	if _, err := exec.LookPath("pkcs15-init"); err != nil {
		missing = append(missing, "opensc")
	}
	if missing != nil {
		tb.Skipf("SKIPPED: not installed: Debian packages %s", strings.Join(missing, ", "))
	}
}

// Start starts a daemon with the card in its reader, and ends both with the test.
func Start(tb testing.TB, t *card.Token) *Reader {
	tb.Helper()
	need(tb)
	dir, err := os.MkdirTemp("", "pcsc") // tb.TempDir may be too long for a socket's name
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	socket, port := filepath.Join(dir, "comm"), freePorts(tb)
	r := &Reader{Token: t, tb: tb, Env: []string{"PCSCLITE_CSOCK_NAME=" + socket, "HOME=" + dir, "LC_ALL=C",
		"USER_PIN=" + card.UserPIN, "USER_PUK=" + card.UserPUK, "SO_PIN=" + card.SOPIN, "SO_PUK=" + card.SOPUK}}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := vpcd.Serve(ctx, fmt.Sprintf("127.0.0.1:%d", port), t, nil); err != nil {
			tb.Errorf("card: %v", err)
		}
	})
	d := startDaemon(tb, dir, socket, port)
	tb.Cleanup(func() {
		d.stop(tb)
		cancel()
		serving.Wait()
	})
	if in, _ := t.Inserted(); in {
		r.Wait(true)
	}
	return r
}

// Wait waits until the daemon sees the card, or sees no card.
func (r *Reader) Wait(present bool) {
	r.tb.Helper()
	var out string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if out, err = r.Try("opensc-tool", "--atr"); (err == nil) == present {
			return
		}
	}
	r.tb.Fatalf("card present %t, not seen by pcscd: %s", present, out)
}

// Insert puts the card back and waits until the daemon sees it.
func (r *Reader) Insert() {
	r.tb.Helper()
	r.Token.Insert()
	r.Wait(true)
}

// Pull takes it out, likewise.
func (r *Reader) Pull() {
	r.tb.Helper()
	r.Token.Pull()
	r.Wait(false)
}

// Try runs a program with the reader and gives what it wrote.
func (r *Reader) Try(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, r.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Run is Try for what must not fail.
func (r *Reader) Run(name string, args ...string) string {
	r.tb.Helper()
	out, err := r.Try(name, args...)
	if err != nil {
		r.tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// PKCS11 runs pkcs11-tool with the module.
func (r *Reader) PKCS11(args ...string) string {
	r.tb.Helper()
	return r.Run("pkcs11-tool", append([]string{"--module", Module()}, args...)...)
}

// User runs pkcs11-tool logged in.
func (r *Reader) User(args ...string) string {
	r.tb.Helper()
	return r.PKCS11(append([]string{"--login", "--pin", "env:USER_PIN"}, args...)...)
}
