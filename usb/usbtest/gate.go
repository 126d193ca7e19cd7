package usbtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mohr.internal/usb"
)

// Write is what the kernel does when an attribute of the tree is written: the
// fake for usb.NewGate. A device gets its interface folders when it is authorised,
// an interface its driver when it is authorised and probed. A file "driver" stands
// for the link.
func (t *Tree) Write(path, value string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, err := filepath.Rel(t.devices(), path)
	if err != nil {
		return err
	}
	t.writes = append(t.writes, name+"="+value)
	if t.fail != nil {
		if err := t.fail(name, value); err != nil {
			return err
		}
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	dir, attribute := filepath.Split(name)
	switch dir = filepath.Clean(dir); {
	case attribute == "drivers_probe":
		if t.get(value, "authorized") != "1" {
			return syscall.ENODEV
		}
		t.file(filepath.Join(t.devices(), value, "driver"), "")
		return nil
	case attribute == "authorized" && !strings.Contains(dir, ":"):
		t.file(path, value)
		if t.deconfigure(dir); value == "1" {
			t.configure(dir)
		}
		return nil
	}
	t.file(path, value)
	return nil
}

// Fail makes writes fail for which f returns an error. The path is relative to
// the folder of all devices.
func (t *Tree) Fail(f func(path, value string) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail = f
}

// Writes are all writes so far, as "path=value".
func (t *Tree) Writes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.writes)
}

// On lists the interfaces that are switched on, as "1-1:1.0", with "+driver" if a
// driver of the kernel has it.
func (t *Tree) On() (on []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	folders, _ := filepath.Glob(filepath.Join(t.devices(), "*:*"))
	for _, folder := range folders {
		name := filepath.Base(folder)
		if t.get(name, "authorized") != "1" {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, "driver")); err == nil {
			name += "+driver"
		}
		on = append(on, name)
	}
	return on
}

// Swap puts another device into a port, from within Fail: the kernel is about to
// look at it.
func (t *Tree) Swap(port string, d usb.Device) {
	t.tb.Helper()
	t.deconfigure(port)
	if err := os.RemoveAll(filepath.Join(t.devices(), port)); err != nil {
		t.tb.Fatalf("usbtest: %v", err)
	}
	t.address++
	t.folder(port, d, Descriptors(d), t.address)
	t.plugged[port] = d
}

// Lie makes a device show other interfaces than its descriptors say, from within
// Fail.
func (t *Tree) Lie(port string, d usb.Device) { t.plugged[port] = d }

// configure makes the folders of a device's interfaces. The lock is held.
func (t *Tree) configure(port string) {
	t.file(filepath.Join(t.devices(), port, "bConfigurationValue"), "1")
	on := t.get("usb1", "interface_authorized_default")
	for _, i := range t.plugged[port].Interfaces {
		if i.Alternate != 0 {
			continue
		}
		dir := filepath.Join(t.devices(), fmt.Sprintf("%s:1.%d", port, i.Number))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.tb.Fatalf("usbtest: %v", err)
		}
		for name, v := range map[string]uint8{"bInterfaceClass": i.Class, "bInterfaceSubClass": i.SubClass, "bInterfaceProtocol": i.Protocol} {
			t.file(filepath.Join(dir, name), fmt.Sprintf("%02x", v))
		}
		t.file(filepath.Join(dir, "authorized"), on)
		if on == "1" {
			t.file(filepath.Join(dir, "driver"), "")
		}
	}
}

func (t *Tree) deconfigure(port string) {
	folders, _ := filepath.Glob(filepath.Join(t.devices(), port+":*"))
	for _, folder := range folders {
		if err := os.RemoveAll(folder); err != nil {
			t.tb.Fatalf("usbtest: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(t.devices(), port)); err == nil {
		t.file(filepath.Join(t.devices(), port, "bConfigurationValue"), "")
	}
}

func (t *Tree) get(name, attribute string) string {
	b, _ := os.ReadFile(filepath.Join(t.devices(), name, attribute))
	return strings.TrimSpace(string(b))
}

// file writes as sysfs does, with a line's end, and whole.
func (t *Tree) file(path, value string) {
	err := os.WriteFile(path+".new", []byte(value+"\n"), 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.tb.Fatalf("usbtest: %v", err)
	}
}
