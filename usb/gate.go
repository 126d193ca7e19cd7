package usb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrChanged means that the port no longer has the device that was judged.
var ErrChanged = errors.New("another device in the port")

// Gate switches devices on and off at the bus (Documentation/usb/authorization.rst
// in the Linux sources). With it every interface is off until it is switched on
// by name, and gets a driver only if that is wanted.
type Gate struct {
	root  string
	write func(path, value string) error
}

// NewGate returns the gate of the sysfs at root. write is os.WriteFile without
// creating anything if it is nil, or a fake.
func NewGate(root string, write func(path, value string) error) Gate {
	if write == nil {
		write = writeAttribute
	}
	return Gate{root, write}
}

func writeAttribute(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func (g Gate) devices() string { return filepath.Join(g.root, "bus", "usb", "devices") }

func (g Gate) read(parts ...string) (string, error) {
	b, err := os.ReadFile(filepath.Join(append([]string{g.devices()}, parts...)...))
	return strings.TrimSpace(string(b)), err
}

// set writes an attribute unless it has the value already.
func (g Gate) set(value string, parts ...string) error {
	if now, err := g.read(parts...); err != nil || now == value {
		return err
	}
	return g.write(filepath.Join(append([]string{g.devices()}, parts...)...), value)
}

// Close makes every root hub keep new devices and their interfaces off. The
// kernel's command line has to do it too (usbcore.authorized_default=0), for what
// is there before this program.
func (g Gate) Close() error {
	hubs, err := filepath.Glob(filepath.Join(g.devices(), "usb[0-9]*"))
	if err != nil {
		return fmt.Errorf("usb: gate: %w", err)
	}
	var errs []error
	for _, hub := range hubs {
		for _, name := range []string{"authorized_default", "interface_authorized_default"} {
			if err := g.set("0", filepath.Base(hub), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("usb: gate: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// Apply brings the device to what a allows. If that fails, or the device is no
// longer the one that was judged, it is switched off. A device that is gone is no
// error if nothing of it was to be switched on.
func (g Gate) Apply(d Device, a Admission) error {
	if len(a.Interfaces) == 0 {
		return g.off(d)
	}
	err := g.on(d, a)
	if err != nil {
		err = fmt.Errorf("usb: admit %v: %w", d, errors.Join(err, g.off(d)))
	}
	return err
}

func (g Gate) off(d Device) error {
	if err := g.set("0", d.Port, "authorized"); err != nil && !gone(err) {
		return fmt.Errorf("usb: switch off %v: %w", d, err)
	}
	return nil
}

func (g Gate) on(d Device, a Admission) error {
	if err := g.set("0", fmt.Sprintf("usb%d", d.Bus), "interface_authorized_default"); err != nil {
		return err // its interfaces would come up with drivers
	}
	if err := g.unchanged(d); err != nil {
		return err
	}
	if already, err := g.already(d, a); err != nil || already {
		return err // as an earlier life of this program left it
	}
	if err := g.off(d); err != nil {
		return err
	}
	if err := g.set("1", d.Port, "authorized"); err != nil {
		return err
	}
	if err := g.unchanged(d); err != nil {
		return err
	}
	names, err := g.interfaces(d, a)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := g.set("1", name, "authorized"); err != nil {
			return err
		}
		if !a.Drivers {
			continue
		}
		if err := g.write(filepath.Join(g.root, "bus", "usb", "drivers_probe"), name); err != nil {
			return fmt.Errorf("drivers_probe %s: %w", name, err)
		}
	}
	return nil
}

// unchanged reads the device again.
func (g Gate) unchanged(d Device) error {
	now, err := readDevice(g.devices(), d.Port)
	switch {
	case gone(err):
		return fmt.Errorf("%w: it is empty", ErrChanged)
	case err != nil:
		return err
	case !same(now, d):
		return fmt.Errorf("%w: %v", ErrChanged, now)
	}
	return nil
}

// interfaces names the admitted interfaces of the active configuration, after the
// kernel has made their folders.
func (g Gate) interfaces(d Device, a Admission) (names []string, err error) {
	text, err := g.read(d.Port, "bConfigurationValue")
	if err != nil {
		return nil, err
	}
	active, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return nil, fmt.Errorf("configuration %q", text)
	}
	for _, number := range a.Interfaces {
		name := fmt.Sprintf("%s:%d.%d", d.Port, active, number)
		if err := g.judged(d, uint8(active), number, name); errors.Is(err, fs.ErrNotExist) {
			continue // of another configuration
		} else if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("configuration %d has none of the interfaces %d", active, a.Interfaces)
	}
	return names, nil
}

// judged says whether an interface is still what its descriptor said.
func (g Gate) judged(d Device, active, number uint8, name string) error {
	var now [3]uint8
	for i, file := range []string{"bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol"} {
		text, err := g.read(name, file)
		if err != nil {
			return err
		}
		v, err := strconv.ParseUint(text, 16, 8)
		if err != nil {
			return fmt.Errorf("%s of %s is %q", file, name, text)
		}
		now[i] = uint8(v)
	}
	if !slices.ContainsFunc(d.Interfaces, func(i Interface) bool {
		return i.Configuration == active && i.Number == number && now == [3]uint8{i.Class, i.SubClass, i.Protocol}
	}) {
		return fmt.Errorf("%w: interface %s has class %x", ErrChanged, name, now)
	}
	return nil
}

// already says whether the admitted interfaces and no others are on.
func (g Gate) already(d Device, a Admission) (bool, error) {
	if on, err := g.read(d.Port, "authorized"); err != nil || on != "1" {
		return false, err
	}
	folders, err := filepath.Glob(filepath.Join(g.devices(), d.Port+":*"))
	if err != nil || len(folders) == 0 {
		return false, err
	}
	for _, folder := range folders {
		name := filepath.Base(folder)
		var number int
		if _, err := fmt.Sscanf(name[strings.LastIndexByte(name, '.')+1:], "%d", &number); err != nil {
			return false, nil
		}
		on, err := g.read(name, "authorized")
		if err != nil || (on == "1") != slices.Contains(a.Interfaces, uint8(number)) {
			return false, err
		}
		if _, err := os.Lstat(filepath.Join(folder, "driver")); err == nil && on == "1" && !a.Drivers {
			return false, nil // of a kernel that was started without the gate, or a program that uses it
		}
	}
	return true, nil
}
