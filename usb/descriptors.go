package usb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of what is read from a device's descriptors.
const (
	maxDescriptors = 64 << 10
	maxInterfaces  = 256
)

// Descriptor types, USB 2.0, table 9-5.
const (
	descDevice        = 0x01
	descConfiguration = 0x02
	descInterface     = 0x04
)

// Descriptors is what the sysfs file "descriptors" says: the device descriptor
// and the interfaces of all configurations.
type Descriptors struct {
	VID, PID, Release uint16
	Class             uint8
	Interfaces        []Interface
}

// ParseDescriptors reads the device descriptor (USB 2.0, section 9.6.1) and the
// descriptors of each configuration (9.6.3 and 9.6.5) that follow it. Classes
// other than device, configuration and interface are skipped by their length.
// A chain that does not end exactly at the last byte is refused: a device whose
// interfaces are in doubt is not matched at all.
func ParseDescriptors(b []byte) (Descriptors, error) {
	if len(b) > maxDescriptors {
		return Descriptors{}, fmt.Errorf("usb: descriptors: longer than %d bytes", maxDescriptors)
	}
	if len(b) < 18 || b[0] != 18 || b[1] != descDevice {
		return Descriptors{}, errors.New("usb: descriptors: do not begin with an 18-byte device descriptor")
	}
	d := Descriptors{
		Class:   b[4],
		VID:     binary.LittleEndian.Uint16(b[8:]),
		PID:     binary.LittleEndian.Uint16(b[10:]),
		Release: binary.LittleEndian.Uint16(b[12:]),
	}
	config, configs := uint8(0), 0
	for at := 18; at < len(b); {
		rest := b[at:]
		n := int(rest[0])
		if n < 2 || n > len(rest) {
			return Descriptors{}, fmt.Errorf("usb: descriptors: length %d at offset %d of %d", n, at, len(b))
		}
		switch rest[1] {
		case descDevice:
			return Descriptors{}, fmt.Errorf("usb: descriptors: second device descriptor at offset %d", at)
		case descConfiguration:
			if n < 9 {
				return Descriptors{}, fmt.Errorf("usb: descriptors: configuration of %d bytes at offset %d", n, at)
			}
			config = rest[5]
			configs++
		case descInterface:
			if n < 9 || configs == 0 {
				return Descriptors{}, fmt.Errorf("usb: descriptors: interface of %d bytes in configuration %d at offset %d", n, configs, at)
			}
			if len(d.Interfaces) == maxInterfaces {
				return Descriptors{}, fmt.Errorf("usb: descriptors: more than %d interfaces", maxInterfaces)
			}
			d.Interfaces = append(d.Interfaces, Interface{
				Configuration: config, Number: rest[2], Alternate: rest[3],
				Class: rest[5], SubClass: rest[6], Protocol: rest[7],
			})
		}
		at += n
	}
	return d, nil
}
