package usb

import (
	"context"
	"fmt"
	"slices"
)

// Device is one plugged-in USB device, as the kernel enumerated it.
type Device struct {
	VID, PID   uint16
	Release    uint16 // bcdDevice
	Class      uint8  // of the device as a whole; 0 = see the interfaces
	Port       string // sysfs name of the port, e.g. "1-1.2"; stays with the socket
	Bus        int
	Address    int // the kernel gives a new one at each insertion
	Interfaces []Interface

	// Strings the device says about itself. For people to read, not to decide by.
	Manufacturer, Product, Serial string

	// Seen is set when a new libusb context lists the device too. Not set where
	// libusb is not available.
	Seen bool

	// Problem says why the descriptors could not be read; Interfaces is empty then.
	Problem string
}

// Interface is one alternate setting of one interface of one configuration.
type Interface struct {
	Configuration, Number, Alternate uint8
	Class, SubClass, Protocol        uint8
}

// ClassCCID is the interface class of smart-card readers (USB CCID, Rev 1.1).
const ClassCCID = 0x0b

// Interface classes of what else a port may have.
const (
	ClassHID    = 0x03
	ClassHub    = 0x09
	classVendor = 0xff
)

// Hub says whether the device calls itself a hub.
func (d Device) Hub() bool { return d.Class == ClassHub }

// HasClass says whether any interface has the class, as CCID can sit on any
// interface of a composite device.
func (d Device) HasClass(class uint8) bool {
	return slices.ContainsFunc(d.Interfaces, func(i Interface) bool { return i.Class == class })
}

func (d Device) String() string {
	return fmt.Sprintf("%04x:%04x at %s", d.VID, d.PID, d.Port)
}

// same says whether a and b are one insertion. Strings are left out: a read that
// failed once must not look like a new device.
func same(a, b Device) bool {
	return a.Port == b.Port && a.Bus == b.Bus && a.Address == b.Address &&
		a.VID == b.VID && a.PID == b.PID && a.Release == b.Release && a.Class == b.Class &&
		a.Problem == b.Problem && slices.Equal(a.Interfaces, b.Interfaces)
}

// Kind is what happened to a device.
type Kind int

const (
	Inserted Kind = iota + 1
	Removed
)

func (k Kind) String() string {
	switch k {
	case Inserted:
		return "inserted"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("usb.Kind(%d)", int(k))
}

// Event is an insertion or a removal. The Device of a removal is the one of the
// insertion before it.
type Event struct {
	Kind   Kind
	Device Device
}

// Watcher reports insertions and removals. The channel first brings an
// insertion for each device that is already there. It is closed when ctx ends;
// until then the watcher waits for its reader and loses nothing.
type Watcher interface {
	Watch(ctx context.Context) (<-chan Event, error)
}
