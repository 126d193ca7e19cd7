package usb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// ErrUnavailable means that this machine has no USB to look at: sysfs shows no
// USB bus, or libusb cannot start.
var ErrUnavailable = errors.New("usb not available")

const maxDevices = 1024

// devicePort is the name of a device that is plugged into a port: bus, then the
// ports on the way. Root hubs ("usb1") and interfaces ("1-1:1.0") have others.
var devicePort = regexp.MustCompile(`^[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}$`)

// Scan reads all devices but root hubs below root, which is "/sys" or a copy of it.
// A device that goes away while it is read is left out. An error means that the
// scan is incomplete and says nothing about who is plugged in; it is
// ErrUnavailable if there is no USB bus.
func Scan(root string) (map[string]Device, error) {
	dir := filepath.Join(root, "bus", "usb", "devices")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("usb: %w: no %s", ErrUnavailable, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("usb: scan: %w", err)
	}
	if len(entries) > maxDevices {
		return nil, fmt.Errorf("usb: scan: more than %d entries", maxDevices)
	}
	devices := map[string]Device{}
	for _, e := range entries {
		if !devicePort.MatchString(e.Name()) {
			continue
		}
		d, err := readDevice(dir, e.Name())
		switch {
		case gone(err):
		case err != nil:
			return nil, fmt.Errorf("usb: scan %s: %w", e.Name(), err)
		default:
			devices[d.Port] = d
		}
	}
	return devices, nil
}

// gone says whether a file vanished with its device.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)
}

func readDevice(dir, port string) (d Device, err error) {
	file := func(name string, limit int64) ([]byte, error) {
		f, err := os.Open(filepath.Join(dir, port, name))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, limit))
	}
	number := func(name string, base, bits int) int {
		var b []byte
		if err != nil {
			return 0
		}
		if b, err = file(name, 16); err != nil {
			return 0
		}
		var n uint64
		if n, err = strconv.ParseUint(strings.TrimSpace(string(b)), base, bits); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return int(n)
	}
	text := func(name string) string {
		b, err := file(name, 256) // absent if the device does not say
		if err != nil {
			return ""
		}
		return printable(string(b))
	}
	d = Device{
		Port: port, Bus: number("busnum", 10, 16), Address: number("devnum", 10, 16),
		VID: uint16(number("idVendor", 16, 16)), PID: uint16(number("idProduct", 16, 16)),
		Release: uint16(number("bcdDevice", 16, 16)),
	}
	if err != nil {
		return Device{}, err
	}
	raw, err := file("descriptors", maxDescriptors+1)
	if err != nil {
		return Device{}, err
	}
	desc, perr := ParseDescriptors(raw)
	d.Class = desc.Class
	switch {
	case perr != nil:
		d.Problem = perr.Error()
	case desc.VID != d.VID || desc.PID != d.PID:
		d.Problem = fmt.Sprintf("usb: descriptors say %04x:%04x", desc.VID, desc.PID)
	default:
		d.Interfaces = desc.Interfaces
	}
	d.Manufacturer, d.Product, d.Serial = text("manufacturer"), text("product"), text("serial")
	return d, nil
}

// printable makes a device's string fit for a log line or a screen.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.TrimSpace(s)
}
