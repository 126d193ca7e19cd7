package usbtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"mohr.internal/usb"
)

// TB is the part of testing.TB that Tree needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	TempDir() string
}

// Tree is a fake sysfs. Its root is passed where "/sys" would be.
type Tree struct {
	tb   TB
	root string

	mu      sync.Mutex
	address int
	lost    bool
	changed chan struct{}
	plugged map[string]usb.Device
	fail    func(path, value string) error
	writes  []string
}

// NewTree makes a tree with one root hub and nothing plugged in.
func NewTree(tb TB) *Tree {
	tb.Helper()
	t := &Tree{tb: tb, root: tb.TempDir(), changed: make(chan struct{}, 1), plugged: map[string]usb.Device{}}
	t.put("usb1", usb.Device{VID: 0x1d6b, PID: 0x0002}, Descriptors(usb.Device{VID: 0x1d6b, PID: 0x0002}))
	for _, name := range []string{"usb1/authorized_default", "usb1/interface_authorized_default", "../drivers_probe"} {
		t.file(filepath.Join(t.devices(), name), "1")
	}
	return t
}

// Root is the folder that stands for /sys.
func (t *Tree) Root() string { return t.root }

// Uevents has the form of usb.KernelUevents.
func (t *Tree) Uevents(context.Context) (<-chan struct{}, error) { return t.changed, nil }

// LoseUevents makes all later changes silent, or no longer.
func (t *Tree) LoseUevents(lose bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = lose
}

// Plug inserts d into a port. Bus and Address of d are ignored: each insertion
// gets a new address, as from the kernel.
func (t *Tree) Plug(port string, d usb.Device) {
	t.tb.Helper()
	t.PlugRaw(port, d, Descriptors(d))
}

// PlugRaw is Plug with a descriptors file of the caller's making.
func (t *Tree) PlugRaw(port string, d usb.Device, descriptors []byte) {
	t.tb.Helper()
	t.put(port, d, descriptors)
	t.mu.Lock()
	t.plugged[port] = d
	if t.get(port, "authorized") == "1" {
		t.configure(port)
	}
	t.mu.Unlock()
	t.uevent()
}

// Unplug removes the device in a port.
func (t *Tree) Unplug(port string) {
	t.tb.Helper()
	t.mu.Lock()
	delete(t.plugged, port)
	t.deconfigure(port)
	err := os.RemoveAll(filepath.Join(t.devices(), port))
	t.mu.Unlock()
	if err != nil {
		t.tb.Fatalf("usbtest: %v", err)
	}
	t.uevent()
}

// Uevent signals a change where there is none.
func (t *Tree) Uevent() { t.uevent() }

func (t *Tree) devices() string { return filepath.Join(t.root, "bus", "usb", "devices") }

func (t *Tree) uevent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost {
		return
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// put makes the folder under another name and renames it: a scan sees all of a
// device or nothing.
func (t *Tree) put(port string, d usb.Device, descriptors []byte) {
	t.tb.Helper()
	t.mu.Lock()
	t.address++
	address := t.address
	t.mu.Unlock()
	t.folder(port, d, descriptors, address)
}

func (t *Tree) folder(port string, d usb.Device, descriptors []byte, address int) {
	t.tb.Helper()
	files := map[string]string{
		"busnum":      "1\n",
		"devnum":      fmt.Sprintf("%d\n", address),
		"idVendor":    fmt.Sprintf("%04x\n", d.VID),
		"idProduct":   fmt.Sprintf("%04x\n", d.PID),
		"bcdDevice":   fmt.Sprintf("%04x\n", d.Release),
		"descriptors": string(descriptors),
		"authorized":  t.get("usb1", "authorized_default"),

		"bConfigurationValue": "",
	}
	for name, v := range map[string]string{"manufacturer": d.Manufacturer, "product": d.Product, "serial": d.Serial} {
		if v != "" {
			files[name] = v + "\n"
		}
	}
	tmp := filepath.Join(t.devices(), fmt.Sprintf("tmp%d", address))
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		t.tb.Fatalf("usbtest: %v", err)
	}
	for name, v := range files {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(v), 0o644); err != nil {
			t.tb.Fatalf("usbtest: %v", err)
		}
	}
	if err := os.Rename(tmp, filepath.Join(t.devices(), port)); err != nil {
		t.tb.Fatalf("usbtest: %v", err)
	}
}

// Descriptors makes the file of d with one configuration (USB 2.0, section 9.6).
func Descriptors(d usb.Device) []byte {
	dev := []byte{18, 1, 0, 2, d.Class, 0, 0, 64, 0, 0, 0, 0, 0, 0, 1, 2, 3, 1}
	binary.LittleEndian.PutUint16(dev[8:], d.VID)
	binary.LittleEndian.PutUint16(dev[10:], d.PID)
	binary.LittleEndian.PutUint16(dev[12:], d.Release)
	var body []byte
	for _, i := range d.Interfaces {
		body = append(body, 9, 4, i.Number, i.Alternate, 1, i.Class, i.SubClass, i.Protocol, 0)
		if i.Class == usb.ClassCCID {
			body = append(append(body, 54, 0x21), make([]byte, 52)...)
		}
		body = append(body, 7, 5, 0x81, 2, 64, 0, 0)
	}
	config := []byte{9, 2, 0, 0, byte(len(d.Interfaces)), 1, 0, 0x80, 50}
	binary.LittleEndian.PutUint16(config[2:], uint16(9+len(body)))
	return append(append(dev, config...), body...)
}
