package pcsc

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/tokend/internal/view"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/module"
	"mohr.internal/usb"
	"mohr.internal/usb/usbtest/card"
	"mohr.internal/usb/usbtest/vpcd"
)

var everything = flag.Bool("token", false, "more insertions with the real daemon")

// The real pcscd with stock OpenSC and a virtual MyEID card per port, behind the
// driver of vsmartcard-vpcd. There is no USB in it: each daemon has a reader of its
// own by its configuration. That a daemon cannot open another one's USB device is
// shown in package view, and by the image in QEMU.
type person struct {
	device usb.Device
	token  *card.Token
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// count says how often a text was logged.
func (l *lockedBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}

const program, driver = "/usr/sbin/pcscd", "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"

func openSC(t *testing.T) string {
	t.Helper()
	modules, _ := filepath.Glob("/usr/lib/*/opensc-pkcs11.so")
	for _, path := range append([]string{program, driver}, modules...) {
		if _, err := os.Stat(path); err != nil || len(modules) == 0 {
			t.Skip("SKIPPED: not installed: Debian packages pcscd, vsmartcard-vpcd, opensc-pkcs11")
		}
	}
	return modules[0]
}

// people have their cards ready behind the ports of the driver.
func people(t *testing.T, names ...string) (*Daemons, []*person) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pcsc")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		os.RemoveAll(dir)
	})
	var all []*person
	for i, name := range names {
		p := &person{device: usb.Device{Port: name, Bus: 1, Address: i + 1}, log: &lockedBuffer{}}
		c := card.New(card.Options{Serial: [10]byte{9: byte(i + 1)}})
		if err := c.Initialise(card.Profile{Label: name}); err != nil {
			t.Fatal(err)
		}
		p.token = card.NewToken(c, "", slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		port := freePorts(t)
		conf := filepath.Join(dir, "conf-"+name)
		if err := os.Mkdir(conf, 0o700); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x%04X\nLIBPATH %s\nCHANNELID 0x%04X\n", port, driver, port)
		if err := os.WriteFile(filepath.Join(conf, "vpcd"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			if err := vpcd.Serve(ctx, fmt.Sprintf("127.0.0.1:%d", port), p.token, nil); err != nil {
				t.Errorf("card: %v", err)
			}
		})
		all = append(all, p)
	}
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	a := New(Options{
		Program: program, Dir: work, Log: slog.New(slog.DiscardHandler),
		Args: func(d usb.Device, _ string) []string {
			return []string{"--foreground", "--config", filepath.Join(dir, "conf-"+d.Port)}
		},
		Confine: func(_ usb.Device, dir string) error {
			if err := os.MkdirAll(runDir, 0o755); err != nil {
				return err
			}
			if err := view.Private(); err != nil {
				return err
			}
			return view.Bind(dir, runDir)
		},
	})
	return a, all
}

// freePorts finds two ports in a row, one for each slot of the driver.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp4", ":0")
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp4", fmt.Sprintf(":%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	t.Fatal("no two free ports in a row")
	return 0
}

// isRoot skips where a daemon cannot have a folder of its own.
func isRoot(t *testing.T) {
	t.Helper()
	err := make(chan error)
	go func() { err <- view.Private() }()
	if err := <-err; err != nil {
		t.Skipf("SKIPPED: mount namespaces want root: %v", err)
	}
}

// worker starts the real worker on a daemon.
func worker(t *testing.T, path, socket string) (*pkcs11.Worker, *pkcs11.Session) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: self, ModulePath: path,
		Env: []string{"PCSC_TEST_WORKER=1", "PCSCLITE_CSOCK_NAME=" + socket, "HOME=/nonexistent"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Kill()
		w.Wait()
	})
	return w, w.Session()
}

// workerMain is TestMain's part for worker.
func workerMain() {
	if os.Getenv("PCSC_TEST_WORKER") == "" {
		return
	}
	conn, err := pkcs11.Inherit()
	if err == nil {
		err = module.Serve(conn, os.Args[len(os.Args)-1], module.Options{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func label(t *testing.T, s *pkcs11.Session) string {
	t.Helper()
	list, err := s.Tokens(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%d tokens, %v", len(list), err)
	}
	return list[0].Label
}

// Whatever the citizen's worker does, a wrong PIN and a new key among it, not one
// command reaches the officer's card, and the officer's session goes on.
func TestTwoCards(t *testing.T) {
	module := openSC(t)
	isRoot(t)
	a, both := people(t, "citizen", "officer")
	citizen, officer := both[0], both[1]
	co, oo := a.Start(citizen.device), a.Start(officer.device)
	defer func() {
		co.Stop()
		oo.Stop()
		empty(t, a)
	}()
	cs, _ := ready(t, co)
	os, _ := ready(t, oo)
	_, o := worker(t, module, os)
	if l := label(t, o); !strings.HasPrefix(l, "officer") {
		t.Fatalf("officer's worker is with %q", l)
	}
	if _, err := o.Login(t.Context(), []byte(card.UserPIN)); err != nil {
		t.Fatal(err)
	}
	spki, err := o.GenerateKey(t.Context(), pkcs11.KeySpec{ID: []byte("officer-0001"), Label: "key", Algorithm: pkcs11.P256})
	if err != nil {
		t.Fatal(err)
	}
	before := officer.log.count("msg=command")

	w, c := worker(t, module, cs)
	if l := label(t, c); !strings.HasPrefix(l, "citizen") {
		t.Fatalf("citizen's worker is with %q", l)
	}
	var refused *pkcs11.PINError
	if _, err := c.Login(t.Context(), []byte("9999")); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if _, err := c.Login(t.Context(), []byte(card.UserPIN)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GenerateKey(t.Context(), pkcs11.KeySpec{ID: []byte("renewal-0001"), Label: "key", Algorithm: pkcs11.P256}); err != nil {
		t.Fatal(err)
	}
	w.Kill() // logged in
	w.Wait()
	resets := citizen.log.count(`msg="card reset"`)
	co.Renew()
	cs, _ = ready(t, co)
	if citizen.log.count(`msg="card reset"`) == resets {
		t.Error("the citizen's card kept its power, and the login with it")
	}
	_, c = worker(t, module, cs)
	label(t, c)
	co.Stop()
	if n := officer.log.count("msg=command"); n != before {
		t.Errorf("%d commands reached the officer's card", n-before)
	}
	if _, err := o.Sign(t.Context(), pkcs11.KeyIDOf(spki), crypto.SHA256, make([]byte, 32)); err != nil {
		t.Errorf("officer: %v", err)
	}
}

// In and out with the real daemon, for each insertion a new one, while the
// officer's stays.
func TestInsertions(t *testing.T) {
	cycles := 3
	if *everything {
		cycles = 50
	}
	module := openSC(t)
	isRoot(t)
	a, both := people(t, "citizen", "officer")
	oo := a.Start(both[1].device)
	socket, _ := ready(t, oo)
	_, o := worker(t, module, socket)
	label(t, o)
	defer empty(t, a)
	defer oo.Stop()
	var slowest time.Duration
	for i := range cycles {
		begin := time.Now()
		d := a.Start(both[0].device)
		socket, lost := ready(t, d)
		w, s := worker(t, module, socket)
		if l := label(t, s); !strings.HasPrefix(l, "citizen") {
			t.Fatalf("%d: %q", i, l)
		}
		slowest = max(slowest, time.Since(begin))
		w.Kill()
		w.Wait()
		d.Stop()
		ends(t, "the daemon", lost)
	}
	t.Logf("%d insertions, the slowest to the name in %v", cycles, slowest.Round(time.Millisecond))
	label(t, o)
	if left, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); left > 0 {
		t.Errorf("process %d was not reaped: %v", left, err)
	}
}
