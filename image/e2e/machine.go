package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Arch is which emulator a machine is of.
type Arch string

const (
	ARM64 Arch = "arm64" // -M virt with EDK2 and ramfb: the Raspberry Pi's image
	AMD64 Arch = "amd64" // q35 with SeaBIOS and virtio-vga
)

// firmware of QEMU's virt board, from Debian's qemu-efi-aarch64.
const firmware = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"

// Ports of the machine's USB controller, which has the ports 1 to 15. In the guest
// port N is 1-N.
const (
	citizenPort = "1"
	officerPort = "2"
	keypadPort  = "3"
)

// Options of a Machine.
type Options struct {
	Name  string // of the files: console log and pictures
	Arch  Arch
	Disk  string // image that is written to
	RTC   string // "" is the host's clock; else as of QEMU's -rtc base=
	Out   string // folder for the console log
	Ether string // Unix socket of a peer on the guest's network; "" is none

	Keypad bool // a USB keyboard in the keypad's port
}

// Machine is a running QEMU.
type Machine struct {
	Options
	Console *Console
	QMP     *QMP
	Started time.Time // when QEMU was let run, to the guest the power button

	cmd    *exec.Cmd
	dir    string
	done   chan struct{}
	stderr *bounded
	log    *os.File
	kill   sync.Once
}

// CardSocket is where a virtual card meets the machine's reader of a role.
func (m *Machine) CardSocket(role string) string { return filepath.Join(m.dir, role) }

// roles of the readers that a machine can have plugged in.
var readers = map[string]string{"citizen": citizenPort, "officer": officerPort}

// qmpLimit is for commands that QEMU answers by itself.
const qmpLimit = 60 * time.Second

// Start starts QEMU and returns when its monitor answers and the guest runs.
func Start(ctx context.Context, o Options) (*Machine, error) {
	dir, err := os.MkdirTemp("", "mohr-e2e") // a socket's name must be short
	if err != nil {
		return nil, err
	}
	m := &Machine{Options: o, dir: dir, done: make(chan struct{}), stderr: &bounded{}}
	if m.log, err = os.OpenFile(filepath.Join(o.Out, o.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	program, args := m.command()
	m.cmd = exec.CommandContext(ctx, program, args...)
	m.cmd.Stdout, m.cmd.Stderr = m.stderr, m.stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), os.RemoveAll(dir))
	}
	go func() {
		m.cmd.Wait()
		close(m.done)
	}()
	serial, err := m.dial(ctx, "serial")
	if err == nil {
		m.Console = NewConsole(&serialLine{serial, m}, m.log, time.Now)
		var monitor net.Conn
		if monitor, err = m.dial(ctx, "qmp"); err == nil {
			m.QMP, err = NewQMP(monitor, qmpLimit)
		}
	}
	if err == nil {
		m.Started = time.Now()
		err = m.QMP.Do(qmpLimit, "cont", nil, nil)
	}
	if err != nil {
		m.Kill()
		return nil, fmt.Errorf("%s: %w; it said: %s", program, err, m.stderr)
	}
	return m, nil
}

// command is how QEMU is called; the guest waits for "cont".
func (m *Machine) command() (program string, args []string) {
	add := func(words ...string) { args = append(args, words...) }
	switch m.Arch {
	case ARM64:
		program = "qemu-system-aarch64"
		add("-machine", "virt,highmem=off", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024",
			"-bios", firmware, "-device", "ramfb")
	case AMD64:
		program = "qemu-system-x86_64"
		// One processor: with two the kernel may die in sched_clock_cpu under emulation.
		add("-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "512", "-device", "virtio-vga,xres=1920,yres=1080")
	}
	add("-name", m.Name, "-S", "-display", "none", "-nodefaults", "-no-user-config")
	add("-drive", "file="+m.Disk+",format=raw,if=none,id=d0,cache=writeback", "-device", "virtio-blk-pci,drive=d0,bootindex=0")
	add("-device", "qemu-xhci,id=xhci,p2=15,p3=15")
	if m.Keypad {
		add("-device", "usb-kbd,id=keypad,bus=xhci.0,port="+keypadPort)
	}
	for role := range readers {
		add("-chardev", "socket,id=card-"+role+",path="+m.CardSocket(role)+",server=on,wait=off")
	}
	// A hub, so that a peer can look at the guest from its own network.
	add("-netdev", "user,id=n0", "-netdev", "hubport,hubid=0,id=h0,netdev=n0", "-netdev", "hubport,hubid=0,id=h1",
		"-device", "virtio-net-pci,id=nic,netdev=h1,romfile=")
	if m.Ether != "" {
		add("-netdev", "stream,id=s0,server=off,addr.type=unix,addr.path="+m.Ether, "-netdev", "hubport,hubid=0,id=h2,netdev=s0")
	}
	add("-chardev", "socket,id=serial,path="+filepath.Join(m.dir, "serial")+",server=on,wait=off", "-serial", "chardev:serial")
	add("-qmp", "unix:"+filepath.Join(m.dir, "qmp")+",server=on,wait=off")
	if m.RTC != "" {
		add("-rtc", "base="+m.RTC)
	}
	return program, args
}

// serialLine is QEMU's serial socket; its end is told with QEMU's own.
type serialLine struct {
	net.Conn
	m *Machine
}

func (s *serialLine) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil {
		select {
		case <-s.m.done:
			err = fmt.Errorf("%w; QEMU: %v; it said: %q", err, s.m.cmd.ProcessState, s.m.stderr)
		case <-time.After(qmpLimit):
		}
	}
	return n, err
}

// dial connects to one of QEMU's sockets, which may not be there yet.
func (m *Machine) dial(ctx context.Context, name string) (net.Conn, error) {
	for end := time.Now().Add(qmpLimit); ; {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(m.dir, name))
		if err == nil {
			return conn, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("socket %s: %w", name, err)
		}
		select {
		case <-m.done:
			return nil, errors.New("ended at once")
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill is a power cut: SIGKILL, and what was not written to the disk is lost with
// the guest's memory.
func (m *Machine) Kill() {
	m.kill.Do(func() {
		m.cmd.Process.Kill()
		<-m.done
		if m.QMP != nil {
			m.QMP.Close()
		}
		m.log.Close()
		os.RemoveAll(m.dir)
	})
}

// Plug puts a reader with the card behind CardSocket into the port of a role.
func (m *Machine) Plug(role string) error {
	return errors.Join(
		m.QMP.Do(qmpLimit, "device_add", map[string]any{"driver": "usb-ccid", "id": "ccid-" + role, "bus": "xhci.0", "port": readers[role]}, nil),
		m.QMP.Do(qmpLimit, "device_add", map[string]any{"driver": "ccid-card-passthru", "id": "card-" + role, "bus": "ccid-" + role + ".0", "chardev": "card-" + role}, nil))
}

// Cut waits until QEMU has read all that came through one of its sockets, and its end.
func (m *Machine) Cut(chardev string) error {
	for end := time.Now().Add(qmpLimit); ; time.Sleep(5 * time.Millisecond) {
		var all []struct{ Label, Filename string }
		if err := m.QMP.Do(qmpLimit, "query-chardev", nil, &all); err != nil {
			return err
		}
		for _, c := range all {
			if c.Label == chardev && strings.HasPrefix(c.Filename, "disconnected:") {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is still connected after %v", chardev, qmpLimit)
		}
	}
}

// Unplug pulls it out.
func (m *Machine) Unplug(role string) error { return m.remove("ccid-" + role) }

// remove takes a device away and waits until QEMU says that it is gone.
func (m *Machine) remove(id string) error {
	before := m.QMP.Events("DEVICE_DELETED")
	if err := m.QMP.Do(qmpLimit, "device_del", map[string]any{"id": id}, nil); err != nil {
		return err
	}
	for end := time.Now().Add(qmpLimit); m.QMP.Events("DEVICE_DELETED") == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s is not gone within %v", id, qmpLimit)
		}
	}
	return nil
}

// Network joins or cuts the cable of the guest's network card.
func (m *Machine) Network(on bool) error {
	return m.QMP.Do(qmpLimit, "set_link", map[string]any{"name": "nic", "up": on}, nil)
}

// bounded keeps the beginning of what a program says.
type bounded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const maxSaid = 8 << 10

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Write(p[:min(len(p), max(0, maxSaid-b.b.Len()))])
	return len(p), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.b.String())
}

var _ io.Writer = (*bounded)(nil)
