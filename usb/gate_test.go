package usb_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mohr.internal/usb"
	"mohr.internal/usb/usbtest"
)

// closed is a machine whose gate is closed, with a device in port 1-1.
func closed(t *testing.T, d usb.Device) (*usbtest.Tree, usb.Gate, usb.Device) {
	t.Helper()
	tree := usbtest.NewTree(t)
	g := usb.NewGate(tree.Root(), tree.Write)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	tree.Plug("1-1", d)
	all, err := usb.Scan(tree.Root())
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return tree, g, all["1-1"]
}

func on(t *testing.T, tree *usbtest.Tree, want ...string) {
	t.Helper()
	if got := tree.On(); !slices.Equal(got, want) {
		t.Errorf("on: %q, want %q\n%s", got, want, strings.Join(tree.Writes(), "\n"))
	}
}

func TestGate(t *testing.T) {
	tree, g, d := closed(t, device(keyboard, card))
	on(t, tree)
	if err := g.Apply(d, usb.Admission{}); err != nil {
		t.Error(err)
	}
	on(t, tree) // and no write at all was needed for it
	if n := len(tree.Writes()); n != 2 {
		t.Errorf("%d writes", n)
	}
	if err := g.Apply(d, usb.Admission{Interfaces: []uint8{1}}); err != nil {
		t.Error(err)
	}
	on(t, tree, "1-1:1.1")
	writes := len(tree.Writes())
	if err := g.Apply(d, usb.Admission{Interfaces: []uint8{1}}); err != nil || len(tree.Writes()) != writes {
		t.Errorf("%v, %d writes for nothing", err, len(tree.Writes())-writes)
	}
	if err := g.Apply(d, usb.Admission{Interfaces: []uint8{0}, Drivers: true}); err != nil {
		t.Error(err)
	}
	on(t, tree, "1-1:1.0+driver")
	if err := g.Apply(d, usb.Admission{}); err != nil {
		t.Error(err)
	}
	on(t, tree)
}

// A kernel that was started without the gate has everything on.
func TestGateOpenBefore(t *testing.T) {
	tree := usbtest.NewTree(t)
	tree.Plug("1-1", device(card))
	tree.Plug("1-2", device(keyboard))
	tree.Plug("1-3", device(keyboard))
	on(t, tree, "1-1:1.0+driver", "1-2:1.0+driver", "1-3:1.0+driver")
	g := usb.NewGate(tree.Root(), tree.Write)
	all, err := usb.Scan(tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		g.Close(),
		g.Apply(all["1-1"], usb.Admission{Interfaces: []uint8{0}}),
		g.Apply(all["1-2"], usb.Admission{}),
		g.Apply(all["1-3"], usb.Admission{Interfaces: []uint8{0}, Drivers: true}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	on(t, tree, "1-1:1.0", "1-3:1.0+driver")
	tree.Plug("1-4", device(keyboard))
	on(t, tree, "1-1:1.0", "1-3:1.0+driver")
}

// Every write can fail; whichever does, the device ends up off and the error
// says which write it was.
func TestGateFails(t *testing.T) {
	for _, errno := range []error{syscall.EIO, syscall.ENODEV, syscall.EPERM} {
		for _, path := range []string{"1-1/authorized=1", "1-1:1.0/authorized=1", "../drivers_probe=1-1:1.0"} {
			tree, g, d := closed(t, device(keyboard))
			tree.Fail(func(p, v string) error {
				if p+"="+v == path {
					return &os.PathError{Op: "write", Path: p, Err: errno}
				}
				return nil
			})
			err := g.Apply(d, usb.Admission{Interfaces: []uint8{0}, Drivers: true})
			if !errors.Is(err, errno) || !strings.Contains(err.Error(), strings.Split(path, "=")[0]) {
				t.Errorf("%s: %v", path, err)
			}
			on(t, tree)
		}
	}
	// The interfaces' default cannot be set: they would come up with drivers.
	tree, g, d := closed(t, device(card))
	if err := os.WriteFile(filepath.Join(tree.Root(), "bus/usb/devices/usb1/interface_authorized_default"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree.Fail(func(p, _ string) error {
		return map[bool]error{true: syscall.EIO}[strings.HasPrefix(p, "usb1/")]
	})
	if err := g.Apply(d, usb.Admission{Interfaces: []uint8{0}}); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	on(t, tree)
	if err := g.Close(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// The port has another device by now, before the first write or after it, or none.
func TestGateChanged(t *testing.T) {
	admission := usb.Admission{Interfaces: []uint8{0}}
	tree, g, d := closed(t, device(card))
	tree.Unplug("1-1")
	if err := g.Apply(d, admission); !errors.Is(err, usb.ErrChanged) {
		t.Error(err)
	}
	if err := g.Apply(d, usb.Admission{}); err != nil {
		t.Errorf("to switch off what is gone: %v", err)
	}
	tree.Plug("1-1", device(card)) // the same again is another insertion
	if err := g.Apply(d, admission); !errors.Is(err, usb.ErrChanged) {
		t.Error(err)
	}
	on(t, tree)

	for name, other := range map[string]usb.Device{"same kind": device(card), "keyboard": device(keyboard)} {
		tree, g, d := closed(t, device(card))
		tree.Fail(func(p, v string) error {
			if p+"="+v == "1-1/authorized=1" {
				tree.Swap("1-1", other)
			}
			return nil
		})
		if err := g.Apply(d, admission); !errors.Is(err, usb.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		on(t, tree)
	}

	// The kernel made another interface of it than the descriptors promised.
	tree, g, d = closed(t, device(card))
	tree.Fail(func(p, v string) error {
		if p+"="+v == "1-1/authorized=1" {
			tree.Lie("1-1", device(keyboard))
		}
		return nil
	})
	if err := g.Apply(d, admission); !errors.Is(err, usb.ErrChanged) {
		t.Error(err)
	}
	on(t, tree)
}

// The real writer writes what is there and creates nothing.
func TestGateWritesFiles(t *testing.T) {
	tree := usbtest.NewTree(t)
	hub := filepath.Join(tree.Root(), "bus/usb/devices/usb1")
	if err := os.Remove(filepath.Join(hub, "interface_authorized_default")); err != nil { // of an old kernel
		t.Fatal(err)
	}
	if err := usb.NewGate(tree.Root(), nil).Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(hub, "authorized_default")); err != nil || !strings.HasPrefix(string(b), "0") {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(hub, "interface_authorized_default")); !errors.Is(err, os.ErrNotExist) {
		t.Error("an attribute was made")
	}
}
