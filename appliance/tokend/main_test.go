package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/pkcs11"
	"mohr.internal/usb"
	"mohr.internal/usb/usbtest"
)

// The test binary is tokend when it is called like tokend; so is the worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

const canary = "735109" // the PIN; it must never show

// desk is a running tokend with SoftHSM tokens on its bench.
type desk struct {
	*testing.T
	config config.Tokend
	cmd    *exec.Cmd
	stderr bytes.Buffer // read after the end only
	bench  tokenlink.Bench
	client *tokenlink.Client
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	if _, err := exec.LookPath("softhsm2-util"); err != nil {
		t.Skip("softhsm2-util is not installed")
	}
	dir := t.TempDir()
	d := &desk{T: t, config: config.Tokend{
		Socket: filepath.Join(dir, "tokend.sock"),
		Desk:   &config.Desk{Socket: filepath.Join(dir, "bench.sock")},
	}}
	for _, key := range []string{"citizen", "officer"} {
		d.config.Desk.Devices = append(d.config.Desk.Devices, config.DeskDevice{
			Key: key, Role: key, VID: 0x096e, PID: 0x0807, Classes: []config.Hex8{0x0b}, Model: "SoftHSM",
			Module: softHSM, Env: softToken(t, key),
		})
	}
	d.config.Desk.Devices = append(d.config.Desk.Devices,
		config.DeskDevice{Key: "unknown", Role: "citizen", VID: 0x1209, PID: 0x0001, Classes: []config.Hex8{0x0b}},
		config.DeskDevice{Key: "broken", Role: "citizen", VID: 0x1209, PID: 0x0002, Classes: []config.Hex8{0x0b}, Model: "no module", Module: "/nope.so"},
	)
	d.bench = tokenlink.NewBench(d.config.Desk.Socket)
	d.client = tokenlink.NewClient(d.config.Socket, slog.New(slog.DiscardHandler))
	return d
}

// softToken makes a SoftHSM token in a folder of its own.
func softToken(t *testing.T, label string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nlog.level = ERROR\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", canary, "--so-pin", canary)
	cmd.Env = []string{"SOFTHSM2_CONF=" + conf}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return map[string]string{"SOFTHSM2_CONF": conf}
}

func (d *desk) start() {
	d.Helper()
	b, err := json.Marshal(d.config)
	if err != nil {
		d.Fatal(err)
	}
	file := filepath.Join(d.TempDir(), "tokend.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		d.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		d.Fatal(err)
	}
	cmd := exec.Command(self, "-config", file)
	cmd.Stderr = &d.stderr
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.cmd = cmd
	d.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if strings.Contains(d.stderr.String(), canary) {
			d.Errorf("PIN in the log")
		}
		if d.Failed() {
			d.Logf("log:\n%s", &d.stderr)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", d.config.Desk.Socket); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			d.Fatal("tokend does not listen")
		}
	}
}

func (d *desk) watch() <-chan tokenlink.Event {
	d.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d.Cleanup(cancel)
	events, err := d.client.Watch(ctx)
	if err != nil {
		d.Fatal(err)
	}
	return events
}

func (d *desk) next(events <-chan tokenlink.Event, kind tokenlink.Kind) tokenlink.Event {
	d.Helper()
	select {
	case e := <-events:
		if e.Kind == kind {
			return e
		}
		d.Fatalf("%+v, want %s", e, kind)
	case <-time.After(time.Minute):
		d.Fatalf("no event, want %s", kind)
	}
	panic("unreachable")
}

func (d *desk) insert(key string) {
	d.Helper()
	if err := d.bench.Insert(d.Context(), key); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) remove(key string) {
	d.Helper()
	if err := d.bench.Remove(d.Context(), key); err != nil {
		d.Fatal(err)
	}
}

// attach waits for the last worker of the device to be reaped.
func (d *desk) attach(id string) *pkcs11.Session {
	d.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		conn, err := d.client.Attach(d.Context(), id)
		if err == nil {
			s := pkcs11.NewSession(conn)
			d.Cleanup(func() { s.Close() })
			return s
		}
		if !errors.Is(err, tokenlink.ErrBusy) || time.Now().After(deadline) {
			d.Fatal(err)
		}
	}
}

func (d *desk) label(s *pkcs11.Session) string {
	d.Helper()
	tokens, err := s.Tokens(d.Context())
	if err != nil || len(tokens) != 1 {
		d.Fatalf("%d tokens, %v", len(tokens), err)
	}
	return tokens[0].Label
}

// workers lists the processes that tokend started.
func (d *desk) workers() (pids []int) {
	d.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		d.Fatal(err)
	}
	for _, file := range all {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		var pid, parent int
		var state string
		fmt.Sscan(string(b), &pid)
		fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &parent)
		if parent == d.cmd.Process.Pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (d *desk) noWorkers() {
	d.Helper()
	for deadline := time.Now().Add(time.Minute); len(d.workers()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.Fatalf("workers %d are still there", d.workers())
		}
	}
}

func TestDesk(t *testing.T) {
	d := newDesk(t)
	d.start()
	events := d.watch()
	d.next(events, tokenlink.Snapshot)

	d.insert("citizen")
	citizen := d.next(events, tokenlink.Inserted).Device
	d.insert("officer")
	officer := d.next(events, tokenlink.Inserted).Device
	if citizen.Role != tokenlink.Citizen || officer.Role != tokenlink.Officer || !citizen.Supported || citizen.VID != 0x096e || citizen.Classes != "0b" {
		t.Errorf("%+v\n%+v", citizen, officer)
	}
	cs, os := d.attach(citizen.ID), d.attach(officer.ID)
	if d.label(cs) != "citizen" || d.label(os) != "officer" {
		t.Error("each role must reach its own token")
	}
	for _, s := range []*pkcs11.Session{cs, os} {
		if _, err := s.Login(t.Context(), []byte(canary)); err != nil {
			t.Fatal(err)
		}
		spki, err := s.GenerateKey(t.Context(), pkcs11.KeySpec{ID: []byte{1}, Label: "k", Algorithm: pkcs11.P256})
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("x"))
		if _, err := s.Sign(t.Context(), pkcs11.KeyIDOf(spki), crypto.SHA256, digest[:]); err != nil {
			t.Error(err)
		}
	}
	if err := os.Close(); err != nil {
		t.Errorf("exit: %v", err)
	}

	// The citizen pulls the token in a call.
	ended := make(chan error, 1)
	go func() {
		for i := byte(2); ; i++ {
			if _, err := cs.GenerateKey(t.Context(), pkcs11.KeySpec{ID: []byte{i}, Label: "k", Algorithm: pkcs11.RSA2048}); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(100 * time.Millisecond)
	d.remove("citizen")
	if err := <-ended; !errors.Is(err, pkcs11.ErrRemoved) {
		t.Errorf("pulled: %v", err)
	}
	d.next(events, tokenlink.Removed)
	d.noWorkers()

	d.insert("unknown")
	if u := d.next(events, tokenlink.Inserted).Device; u.Supported || u.Reason != tokenlink.RuleUnknown || u.Role != tokenlink.Citizen {
		t.Errorf("%+v", u)
	} else if _, err := d.client.Attach(t.Context(), u.ID); !errors.Is(err, tokenlink.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	d.insert("broken")
	if b := d.next(events, tokenlink.Inserted).Device; b.Supported || b.Reason != tokenlink.RuleNoModule || b.Model != "no module" {
		t.Errorf("%+v", b)
	}
	for _, key := range []string{"broken", "nobody", "/etc/passwd"} {
		if err := d.bench.Insert(t.Context(), key); !errors.Is(err, tokenlink.ErrBench) {
			t.Errorf("insert %s: %v", key, err)
		}
	}
	if err := d.bench.Remove(t.Context(), "citizen"); !errors.Is(err, tokenlink.ErrBench) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestWorkerKilled(t *testing.T) {
	d := newDesk(t)
	d.start()
	d.insert("citizen")
	id := d.next(d.watch(), tokenlink.Snapshot).Devices[0].ID
	for range 3 {
		s := d.attach(id)
		d.label(s)
		pids := d.workers()
		if len(pids) != 1 {
			t.Fatalf("workers %d", pids)
		}
		syscall.Kill(pids[0], syscall.SIGKILL)
		if _, err := s.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
			t.Errorf("%v", err)
		}
	}
	if s := d.attach(id); d.label(s) != "citizen" {
		t.Error("other token after a crash")
	}
}

// After a kill -9 nothing of the old tokend is left in the way of the new one.
func TestPowerCut(t *testing.T) {
	d := newDesk(t)
	d.start()
	events := d.watch()
	d.next(events, tokenlink.Snapshot)
	d.insert("citizen")
	before := d.next(events, tokenlink.Inserted).Device
	s := d.attach(before.ID)
	d.label(s)
	pids := d.workers()
	d.cmd.Process.Kill()
	d.cmd.Wait()
	if got := d.next(events, tokenlink.Removed).Device; got != before {
		t.Errorf("%+v", got)
	}
	if _, err := s.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
		t.Errorf("%v", err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if err := syscall.Kill(pids[0], 0); errors.Is(err, syscall.ESRCH) {
			break
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pids[0]))
		if bytes.Contains(b, []byte(") Z ")) {
			break // dead; whoever is init here has not reaped it yet
		}
		if time.Now().After(deadline) {
			t.Fatalf("worker %d outlived tokend: %s", pids[0], b)
		}
	}
	d.start()
	d.next(events, tokenlink.Snapshot)
	if left, _ := os.ReadDir(d.config.Socket + ".work"); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	d.insert("citizen")
	if after := d.next(events, tokenlink.Inserted).Device; after.ID == before.ID {
		t.Error("an id came back after a restart")
	}
	if _, err := d.client.Attach(t.Context(), before.ID); !errors.Is(err, tokenlink.ErrNoDevice) {
		t.Errorf("old id: %v", err)
	}
}

func TestSIGTERM(t *testing.T) {
	d := newDesk(t)
	d.start()
	d.insert("citizen")
	events := d.watch()
	s := d.attach(d.next(events, tokenlink.Snapshot).Devices[0].ID)
	d.label(s)
	pids := d.workers()
	if other := exec.Command(d.cmd.Path, d.cmd.Args[1:]...); other.Run() == nil {
		t.Error("two tokends on one socket")
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("%v", err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("worker %d is left: %v", pid, err)
		}
	}
	for _, path := range []string{d.config.Socket, d.config.Desk.Socket, d.config.Socket + ".work"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// A hundred insertions with a session each leave no process and no descriptor.
func TestNoLeaks(t *testing.T) {
	d := newDesk(t)
	d.start()
	events := d.watch()
	d.next(events, tokenlink.Snapshot)
	fds := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
		if err != nil {
			t.Skipf("tokend's descriptors cannot be counted, only by root: %v", err)
		}
		return len(all)
	}
	before := 0
	for i := range 100 {
		if i == 3 {
			d.noWorkers()
			before = fds()
		}
		d.insert("citizen")
		s := d.attach(d.next(events, tokenlink.Inserted).Device.ID)
		if i%4 == 0 {
			d.label(s)
		}
		if i%25 == 0 { // by the exit verb, else by the pull
			s.Close()
		}
		d.remove("citizen")
		d.next(events, tokenlink.Removed)
		s.Close()
	}
	d.noWorkers()
	for deadline := time.Now().Add(time.Minute); fds() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", fds(), before)
		}
	}
}

// Noise on either socket ends its own connection; tokend lives on.
func TestHostileClients(t *testing.T) {
	d := newDesk(t)
	d.start()
	for _, path := range []string{d.config.Socket, d.config.Desk.Socket} {
		for i := range 50 {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			noise := sha256.Sum256([]byte{byte(i)})
			noise[0], noise[1], noise[2] = 0, 0, noise[2]%32 // a plausible length for some
			c.Write(noise[:])
			if i%2 == 0 {
				c.Close()
			} else {
				t.Cleanup(func() { c.Close() })
			}
		}
	}
	for _, c := range []string{"/proc/self/exe", "watch\n", `{"op":"watch"}`} {
		conn, err := net.Dial("unix", d.config.Socket)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(c))
		conn.Close()
	}
	if err := d.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatal(err)
	}
	// Clients that hold the table full are thrown out after some seconds.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if d.bench.Insert(t.Context(), "citizen") == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no service after hostile clients")
		}
	}
	if s := d.attach(d.next(d.watch(), tokenlink.Snapshot).Devices[0].ID); d.label(s) != "citizen" {
		t.Error("other token")
	}
}

// USB events come from a fake sysfs, all the rest is real.
func TestUSB(t *testing.T) {
	d := newDesk(t)
	tree := usbtest.NewTree(t)
	d.config.USB = config.USB{
		Enabled: true, Sysfs: tree.Root(), Rescan: config.Duration(100 * time.Millisecond),
		Ports: []config.Port{{Port: "1-1.1", Role: "citizen"}},
	}
	d.config.Modules = []config.Module{{Model: "ePass2003", Path: softHSM, Env: d.config.Desk.Devices[0].Env}}
	d.start()
	events := d.watch()
	d.next(events, tokenlink.Snapshot)
	tree.Plug("1-1.1", usb.Device{VID: 0x096e, PID: 0x0807, Interfaces: []usb.Interface{{Class: 0x0b}}, Product: "ePass"})
	dev := d.next(events, tokenlink.Inserted).Device
	if dev.Role != tokenlink.Citizen || dev.Model != "ePass2003" || dev.Product != "ePass" || dev.Port != "1-1.1" {
		t.Errorf("%+v", dev)
	}
	s := d.attach(dev.ID)
	if d.label(s) != "citizen" {
		t.Error("other token")
	}
	tree.PlugRaw("1-1.2", usb.Device{VID: 0x1234, PID: 0x5678}, []byte("\x12\x01 not descriptors"))
	if bad := d.next(events, tokenlink.Inserted).Device; bad.Reason != tokenlink.RuleDescriptors || bad.Role != tokenlink.Other {
		t.Errorf("%+v", bad)
	}
	tree.Unplug("1-1.1")
	d.next(events, tokenlink.Removed)
	if _, err := s.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
		t.Errorf("%v", err)
	}
}

// Without any USB, as on most desks, tokend says so once and serves the bench.
// With admit the program closes the bus at its start and switches nothing on that
// does not fit. This sysfs has no kernel behind it, so that a token does not come
// up, which is told.
func TestUSBAdmit(t *testing.T) {
	d := newDesk(t)
	tree := usbtest.NewTree(t)
	tree.Plug("1-2", usb.Device{VID: 0x1209, PID: 0x0001, Interfaces: []usb.Interface{{Class: 0x03, SubClass: 1, Protocol: 1}}})
	d.config.USB = config.USB{
		Enabled: true, Sysfs: tree.Root(), Rescan: config.Duration(100 * time.Millisecond), Admit: true,
		Ports: []config.Port{{Port: "1-1", Role: "citizen"}, {Port: "1-2", Role: "officer"}, {Port: "1-3", Role: "keypad"}},
	}
	d.config.Modules = []config.Module{{Model: "ePass2003", Path: softHSM}}
	d.start()
	reads := func(name, want string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(tree.Root(), "bus/usb/devices", name))
		if err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%s is %q (%v), want %s", name, b, err, want)
		}
	}
	events, reasons := d.watch(), map[string]string{}
	see := func() {
		t.Helper()
		select {
		case e := <-events:
			for _, dev := range append(e.Devices, e.Device) {
				reasons[dev.Port] = dev.Reason
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no event after %v", reasons)
		}
	}
	for reasons["1-2"] == "" {
		see()
	}
	reads("usb1/authorized_default", "0")
	reads("usb1/interface_authorized_default", "0")
	reads("1-2/authorized", "0") // it was on before
	tree.Plug("1-1", usb.Device{VID: 0x096e, PID: 0x0807, Interfaces: []usb.Interface{{Class: 0x0b}}})
	for reasons["1-1"] == "" {
		see()
	}
	reads("1-1/authorized", "0")
	if reasons["1-1"] != tokenlink.RuleNoAnswer || reasons["1-2"] != tokenlink.RuleUnknown {
		t.Errorf("%v", reasons)
	}
}

func TestNoUSB(t *testing.T) {
	d := newDesk(t)
	d.config.USB = config.USB{Enabled: true, Sysfs: t.TempDir(), Rescan: config.Duration(100 * time.Millisecond)}
	d.start()
	d.insert("officer")
	if s := d.attach(d.next(d.watch(), tokenlink.Snapshot).Devices[0].ID); d.label(s) != "officer" {
		t.Error("other token")
	}
	time.Sleep(250 * time.Millisecond) // two more scans
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.cmd.Wait()
	if n := strings.Count(d.stderr.String(), "usb not available"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestCommandLine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	os.WriteFile(bad, []byte(`{"socket": "relative.sock"}`), 0o600)
	card := filepath.Join(t.TempDir(), "card.json")
	os.WriteFile(card, []byte(`{"socket": "/nope/s", "usb": {"enabled": false, "sysfs": "/sys", "rescan": "2s",
		"readers": [{"vid": "08e6", "pid": "3437", "cards": "SoftHSM"}]}}`), 0o600)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--help", 0, "Usage: tokend"},
		{"-h", 0, "Usage: tokend"},
		{"--nope", 1, "-nope"},
		{"-config", 1, "needs an argument"},
		{"-config a b", 1, "nothing else"},
		{"-config /nope.json", 1, "/nope.json"},
		{"-config " + bad, 1, `key "socket": "relative.sock" is not an absolute path`},
		{"-config " + card, 1, `key "usb.readers[0].cards": the catalogue has no card "SoftHSM"`},
		{"-log /nope/log -config " + bad, 1, "/nope/log"},
		{"worker", 1, "absolute path of one module"},
		{"worker x.so", 1, "absolute path of one module"},
		{"worker /x.so /y.so", 1, "absolute path of one module"},
		{"worker /x.so", 1, "started by tokend only"},
	} {
		cmd := exec.Command(self, strings.Fields(tt.args)...)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.want) {
			t.Errorf("tokend %s: status %d, want %d with %q:\n%s", tt.args, cmd.ProcessState.ExitCode(), tt.code, tt.want, out)
		}
	}
}
