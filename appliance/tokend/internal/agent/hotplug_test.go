package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mohr.internal/appliance/tokend/internal/pcsc"
	"mohr.internal/appliance/tokend/internal/pcsc/pcsctest"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/pkcs11"
	"mohr.internal/usb"
	"mohr.internal/usb/usbtest"
)

// limit is for what only a bug makes late.
const limit = 30 * time.Second

// machine is an appliance: a fake sysfs whose kernel keeps devices off, the real
// watcher and gate, PC/SC daemons that are processes, workers that are processes.
type machine struct {
	*rig
	tree    *usbtest.Tree
	events  <-chan tokenlink.Event
	daemons *pcsc.Daemons
}

const keypadPort, hubPort = "1-1.3", "1-1"

// newMachine starts one; before is called ahead of tokend's start.
func newMachine(t *testing.T, behaviour string, before func(*usbtest.Tree)) *machine {
	t.Helper()
	m := &machine{rig: newRig(t), tree: usbtest.NewTree(t)}
	gate := usb.NewGate(m.tree.Root(), m.tree.Write)
	if before != nil {
		before(m.tree)
	}
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tokend")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(m.log, nil))
	m.daemons = pcsc.New(pcsc.Options{
		Program: self, Dir: dir, Log: log,
		Args:    func(_ usb.Device, dir string) []string { return pcsctest.Args(behaviour, dir) },
		Confine: func(usb.Device, string) error { return nil },
	})
	m.agent.Policy.Admit = true
	m.agent.Policy.Keypads = map[string]bool{keypadPort: true}
	m.agent.Policy.Hubs = map[string]bool{hubPort: true}
	m.agent.Apply = gate.Apply
	m.agent.Reader = func(d usb.Device) Reader { return m.daemons.Start(d) }
	ctx, cancel := context.WithCancel(context.Background())
	events, err := usb.NewWatcher(usb.Options{Sysfs: m.tree.Root(), Rescan: time.Hour, Hubs: true, Uevents: m.tree.Uevents, Log: log}).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var following sync.WaitGroup
	following.Go(func() { m.agent.Follow(events) })
	t.Cleanup(func() {
		cancel()
		following.Wait()
		m.agent.Close()
		m.daemons.Wait()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in the working folder: %v, %v", left, err)
		}
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("log:\n%s", m.log)
		}
	})
	m.events = m.watch()
	m.event(tokenlink.Snapshot)
	return m
}

// event is next with patience.
func (m *machine) event(kind tokenlink.Kind) tokenlink.Event {
	m.t.Helper()
	select {
	case e := <-m.events:
		if e.Kind != kind {
			m.t.Fatalf("%+v, want %s", e, kind)
		}
		return e
	case <-time.After(limit):
		m.t.Fatalf("no event, want %s\n%s", kind, m.log)
	}
	panic("unreachable")
}

// in plugs a device in and gives what tokend says of it.
func (m *machine) in(port string, d usb.Device) tokenlink.Device {
	m.t.Helper()
	m.tree.Plug(port, d)
	return m.event(tokenlink.Inserted).Device
}

func (m *machine) out(port string) {
	m.t.Helper()
	m.tree.Unplug(port)
	m.event(tokenlink.Removed)
}

// until waits for something that no event tells.
func (m *machine) until(what string, ok func() bool) {
	m.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("never: %s\n%s\n%s", what, strings.Join(m.tree.Writes(), "\n"), m.log)
		}
	}
}

func (m *machine) on(want ...string) {
	m.t.Helper()
	if got := m.tree.On(); !slices.Equal(got, want) {
		m.t.Errorf("on: %q, want %q", got, want)
	}
}

// interfaces numbers what a device has, given as class, subclass and protocol.
func interfaces(triples ...[3]uint8) (all []usb.Interface) {
	for n, c := range triples {
		all = append(all, usb.Interface{Configuration: 1, Number: uint8(n), Class: c[0], SubClass: c[1], Protocol: c[2]})
	}
	return all
}

var (
	ccid     = [3]uint8{0x0b}
	hid      = [3]uint8{0x03}
	kbd      = [3]uint8{0x03, 1, 1}
	disk     = [3]uint8{0x08, 6, 0x50}
	ethernet = [3]uint8{0x02, 6}
	hubs     = [3]uint8{0x09}
)

func known(triples ...[3]uint8) usb.Device {
	return usb.Device{VID: 0x096e, PID: 0x0807, Interfaces: interfaces(triples...)}
}

func some(class uint8, triples ...[3]uint8) usb.Device {
	return usb.Device{VID: 0x1209, PID: 0x0001, Class: class, Interfaces: interfaces(triples...)}
}

// Each port gets what its role allows; nothing else has a single interface on.
func TestAdmission(t *testing.T) {
	m := newMachine(t, pcsctest.Good, nil)
	yubikey := usb.Device{VID: 0x1050, PID: 0x0407, Interfaces: interfaces(kbd, hid, ccid)}
	direct := usb.Device{VID: 0x096e, PID: 0x0702, Interfaces: interfaces(hid)}
	for _, tt := range []struct {
		name, port string
		device     usb.Device
		reason     string   // rule; "-": nothing is said
		on         []string // after the port's name
	}{
		{"token", citizenPort, known(ccid), "", []string{":1.0"}},
		{"token in the officer's port", officerPort, known(ccid), "", []string{":1.0"}},
		{"token that is a keyboard too", citizenPort, known(ccid, kbd), tokenlink.RuleInterfaces, nil},
		{"token that is a disk too", citizenPort, known(disk, ccid), tokenlink.RuleInterfaces, nil},
		{"token that is a network too", officerPort, known(ccid, ethernet), tokenlink.RuleInterfaces, nil},
		{"token with a keyboard that its model has", citizenPort, yubikey, "", []string{":1.2"}},
		{"token for its module alone", citizenPort, direct, "", []string{":1.0"}},
		{"keyboard", citizenPort, some(0, kbd), tokenlink.RuleUnknown, nil},
		{"keyboard in the officer's port", officerPort, some(0, kbd), tokenlink.RuleUnknown, nil},
		{"disk", citizenPort, some(0, disk), tokenlink.RuleUnknown, nil},
		{"network", citizenPort, some(0, ethernet), tokenlink.RuleUnknown, nil},
		{"hub", citizenPort, some(9, hubs), tokenlink.RuleUnknown, nil},
		{"reader that nobody listed", citizenPort, some(0, ccid), tokenlink.RuleUnknown, nil},
		{"token behind a hub in the citizen's port", citizenPort + ".1", known(ccid), tokenlink.RuleUnknown, nil},
		{"token in a port that is not listed", "1-1.4", known(ccid), tokenlink.RuleUnknown, nil},
		{"keyboard in a port that is not listed", "1-1.4", some(0, kbd), tokenlink.RuleUnknown, nil},
		{"token in the keypad's port", keypadPort, known(ccid), tokenlink.RuleUnknown, nil},
		{"disk in the keypad's port", keypadPort, some(0, kbd, disk), tokenlink.RuleUnknown, nil},
		{"disk in the hub's port", hubPort, some(9, disk), tokenlink.RuleUnknown, nil},
		{"keypad", keypadPort, some(0, kbd), "-", []string{":1.0+driver"}},
		{"keypad with volume keys", keypadPort, some(0, kbd, hid), "-", []string{":1.0+driver"}},
		{"hub inside the case", hubPort, some(9, hubs), "-", []string{":1.0+driver"}},
	} {
		var want []string
		for _, s := range tt.on {
			want = append(want, tt.port+s)
		}
		if tt.reason == "-" {
			m.tree.Plug(tt.port, tt.device)
			m.until(tt.name, func() bool { return slices.Equal(m.tree.On(), want) })
			m.until(tt.name, func() bool { return strings.Contains(m.log.String(), "msg=admitted") })
			m.tree.Unplug(tt.port)
			continue
		}
		d := m.in(tt.port, tt.device)
		if d.Reason != tt.reason || d.Supported != (tt.reason == "") {
			t.Errorf("%s: %+v", tt.name, d)
		}
		if got := m.tree.On(); !slices.Equal(got, want) {
			t.Errorf("%s: on %q, want %q", tt.name, got, want)
		}
		m.out(tt.port)
	}
	malformed := usbtest.Descriptors(known(ccid))
	m.tree.PlugRaw(citizenPort, known(ccid), malformed[:len(malformed)-1])
	if d := m.event(tokenlink.Inserted).Device; d.Reason != tokenlink.RuleDescriptors {
		t.Errorf("malformed: %+v", d)
	}
	m.on()
}

// What is in at the start is judged like what comes; what came up without leave
// goes off. What goes into a port after a token is judged anew.
func TestAdmissionAtStart(t *testing.T) {
	m := newMachine(t, pcsctest.Good, func(tree *usbtest.Tree) { // the kernel has let all in
		tree.Plug(citizenPort, known(ccid))
		tree.Plug(officerPort, some(0, kbd))
		tree.Plug(keypadPort, some(0, kbd))
		tree.Plug(hubPort, some(9, hubs))
	})
	seen := map[string]string{}
	all := m.agent.Watch(t.Context())
	for len(seen) < 2 {
		select {
		case e := <-all:
			for _, d := range append(e.Devices, e.Device) {
				if d.ID != "" {
					seen[d.Port] = d.Reason
				}
			}
		case <-time.After(limit):
			t.Fatal(seen)
		}
	}
	if seen[citizenPort] != "" || seen[officerPort] != tokenlink.RuleUnknown {
		t.Error(seen)
	}
	m.until("all in place", func() bool {
		return slices.Equal(m.tree.On(), []string{citizenPort + ":1.0", keypadPort + ":1.0+driver", hubPort + ":1.0+driver"})
	})
}

func TestReplugIsJudgedAnew(t *testing.T) {
	m := newMachine(t, pcsctest.Good, nil)
	m.in(citizenPort, known(ccid))
	m.on(citizenPort + ":1.0")
	m.tree.LoseUevents(true)
	m.tree.Unplug(citizenPort) // so quick that nobody saw the port empty
	m.tree.LoseUevents(false)
	m.tree.Plug(citizenPort, known(ccid, kbd))
	m.event(tokenlink.Removed)
	if d := m.event(tokenlink.Inserted).Device; d.Reason != tokenlink.RuleInterfaces {
		t.Errorf("%+v", d)
	}
	m.on()
}

// The kernel's refusal is told, costs nothing else, and the next try counts.
func TestWritesFail(t *testing.T) {
	m := newMachine(t, pcsctest.Good, nil)
	officer := m.in(officerPort, known(ccid))
	for _, errno := range []error{syscall.EIO, syscall.ENODEV} {
		m.tree.Fail(func(path, value string) error {
			return map[bool]error{true: errno}[path == citizenPort+"/authorized" && value == "1"]
		})
		d := m.in(citizenPort, known(ccid))
		if d.Supported || d.Reason != tokenlink.RuleNoAnswer {
			t.Errorf("%v: %+v", errno, d)
		}
		if _, err := m.client.Attach(t.Context(), d.ID); !errors.Is(err, tokenlink.ErrUnsupported) {
			t.Errorf("%v: attach: %v", errno, err)
		}
		m.on(officerPort + ":1.0")
		m.out(citizenPort)
	}
	m.tree.Fail(nil)
	for _, d := range []tokenlink.Device{officer, m.in(citizenPort, known(ccid))} {
		m.label(m.attach(d.ID))
	}
}

// A device whose switching on takes for ever holds nobody else up, and is told as
// nothing when it goes.
func TestSlowDevice(t *testing.T) {
	m := newMachine(t, pcsctest.Good, nil)
	blocked, release := make(chan struct{}), make(chan struct{})
	m.agent.Apply = func(apply func(usb.Device, usb.Admission) error) func(usb.Device, usb.Admission) error {
		return func(d usb.Device, a usb.Admission) error {
			if d.Port == citizenPort && d.Product == "slow" {
				close(blocked)
				<-release
			}
			return apply(d, a)
		}
	}(m.agent.Apply)
	slow := known(ccid)
	slow.Product = "slow"
	m.tree.Plug(citizenPort, slow)
	<-blocked
	officer := m.in(officerPort, known(ccid))
	m.label(m.attach(officer.ID))
	m.out(officerPort)
	m.tree.Unplug(citizenPort)
	m.tree.Plug(citizenPort, known(ccid)) // waits for its port
	m.until("the slow one is gone", func() bool { return strings.Contains(m.log.String(), `msg=removed id=test-1 `) })
	close(release)
	d := m.event(tokenlink.Inserted).Device
	if d.Product != "" || !d.Supported {
		t.Errorf("%+v", d)
	}
	m.label(m.attach(d.ID))
	m.on(citizenPort + ":1.0")
}

// The daemon dies in a session: the worker goes with it, the token can be attached
// again, and the other person notices nothing.
func TestDaemonDies(t *testing.T) {
	m := newMachine(t, pcsctest.Good, nil)
	citizen, officer := m.in(citizenPort, known(ccid)), m.in(officerPort, known(ccid))
	c, o := m.attach(citizen.ID), m.attach(officer.ID)
	m.label(c)
	m.label(o)
	pids := m.daemonPIDs()
	if len(pids) != 2 {
		t.Fatalf("daemons %v", pids)
	}
	syscall.Kill(pids[citizenPort], syscall.SIGKILL)
	m.until("the citizen's session ends", func() bool {
		_, err := c.Tokens(t.Context())
		return errors.Is(err, pkcs11.ErrRemoved)
	})
	m.label(o)
	m.said(`why="PC/SC daemon ended"`)
	m.label(m.attach(citizen.ID))
	if now := m.daemonPIDs(); now[officerPort] != pids[officerPort] || now[citizenPort] == pids[citizenPort] {
		t.Errorf("daemons %v before, %v after", pids, now)
	}
}

// A session that ends by exit leaves the daemon; one that is cut off does not.
func TestCutSessionRenewsDaemon(t *testing.T) {
	m := newMachine(t, pcsctest.Good, nil)
	d := m.in(citizenPort, known(ccid))
	s := m.attach(d.ID)
	m.label(s)
	first := m.daemonPIDs()[citizenPort]
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	m.gone()
	kept := m.attachWhenFree(d.ID)
	if again := m.daemonPIDs()[citizenPort]; again != first {
		t.Errorf("daemon %d, then %d", first, again)
	}
	kept.cut()
	m.label(m.attachWhenFree(d.ID).Session)
	if again := m.daemonPIDs()[citizenPort]; again == first {
		t.Error("the daemon of a session that was cut off is kept")
	}
}

// cutSession is a session whose connection can be cut.
type cutSession struct {
	*pkcs11.Session
	cut func() error
}

// attachWhenFree attaches once the last worker has been reaped.
func (m *machine) attachWhenFree(id string) (s *cutSession) {
	m.t.Helper()
	m.until("attach", func() bool {
		conn, err := m.client.Attach(m.t.Context(), id)
		if errors.Is(err, tokenlink.ErrBusy) {
			return false
		}
		if err != nil {
			m.t.Fatal(err)
		}
		s = &cutSession{pkcs11.NewSession(conn), conn.Close}
		m.t.Cleanup(func() { conn.Close() })
		return true
	})
	return s
}

// daemonPIDs reads from the log which daemon was ready last in each port.
func (m *machine) daemonPIDs() map[string]int {
	pids := map[string]int{}
	for line := range strings.Lines(m.log.String()) {
		var port string
		var pid int
		if _, rest, ok := strings.Cut(line, `msg="PC/SC daemon is ready" `); ok {
			if _, err := fmt.Sscanf(rest, "port=%s pid=%d", &port, &pid); err != nil {
				m.t.Fatalf("%q: %v", line, err)
			}
			pids[port] = pid
		}
	}
	return pids
}

// A reader that never comes up is said to be no working token, after a while and
// not never.
func TestDaemonNeverReady(t *testing.T) {
	m := newMachine(t, pcsctest.AtOnce, nil)
	d := m.in(citizenPort, known(ccid))
	if _, err := m.client.Attach(t.Context(), d.ID); !errors.Is(err, tokenlink.ErrWorker) {
		t.Errorf("%v", err)
	}
	waits := make(chan error, 1)
	m.out(citizenPort)
	d = m.in(citizenPort, known(ccid))
	go func() {
		_, err := m.client.Attach(t.Context(), d.ID)
		waits <- err
	}()
	m.out(citizenPort) // while somebody waits for it
	select {
	case err := <-waits:
		if !errors.Is(err, tokenlink.ErrWorker) && !errors.Is(err, tokenlink.ErrNoDevice) {
			t.Errorf("%v", err)
		}
	case <-time.After(limit):
		t.Error("still waiting after the removal")
	}
}

// Two hundred times in and out, each with a daemon and some with a session that
// ends by exit or by the pull, while the officer's session goes on: nothing is
// left and nothing grows.
func TestTwoHundredInsertions(t *testing.T) {
	cycles := 200
	if testing.Short() {
		cycles = 20
	}
	m := newMachine(t, pcsctest.Good, nil)
	officer := m.attach(m.in(officerPort, known(ccid)).ID)
	m.label(officer)
	count := func() (goroutines, descriptors, children, folders int) {
		runtime.GC()
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := os.ReadDir(m.daemons.Dir)
		if err != nil {
			t.Fatal(err)
		}
		tasks, err := filepath.Glob("/proc/self/task/*/children")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			b, _ := os.ReadFile(task) // a thread may have ended
			children += len(strings.Fields(string(b)))
		}
		return runtime.NumGoroutine(), len(fds), children, len(dirs)
	}
	var before [4]int
	for i := range cycles {
		d := m.in(citizenPort, known(ccid))
		m.on(citizenPort+":1.0", officerPort+":1.0")
		var s *pkcs11.Session
		if i%5 < 2 { // the others are pulled at once
			s = m.attach(d.ID)
			if l := m.label(s); l != "ePass2003" {
				t.Fatalf("%d: label %q", i, l)
			}
		}
		if i%5 == 1 {
			s.Close()
		}
		m.out(citizenPort)
		if s != nil {
			if _, err := s.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
				t.Fatalf("%d: session after the pull: %v", i, err)
			}
			s.Close()
		}
		m.on(officerPort + ":1.0")
		if i == 9 {
			settled(t, func() bool { _, _, children, folders := count(); return children == 2 && folders == 1 })
			before[0], before[1], before[2], before[3] = count()
		}
	}
	m.label(officer)
	var after [4]int
	settled(t, func() bool {
		after[0], after[1], after[2], after[3] = count()
		return after[0] <= before[0] && after[1] <= before[1] && after[2] == 2 && after[3] == 1
	})
	t.Logf("after 10 and after %d insertions: goroutines %d %d, descriptors %d %d, children %d %d, folders %d %d", cycles,
		before[0], after[0], before[1], after[1], before[2], after[2], before[3], after[3])
}

// settled waits until what is ending has ended.
func settled(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("left behind")
			return
		}
	}
}
