// Package usb says who is plugged in and what it is.
//
// Device, Event and Watcher are the vocabulary. NewWatcher's Watcher scans
// sysfs (Documentation/ABI/testing/sysfs-bus-usb in the Linux sources) and
// reports the difference between two scans. Kernel uevents (AF_NETLINK,
// protocol NETLINK_KOBJECT_UEVENT) only say when to scan, so a lost, forged or
// malformed uevent can delay an event but not invent one; a periodic scan heals
// it. Interfaces come from the cached descriptors (USB 2.0, section 9.6), which
// can be read without opening the device.
//
// After each insertion a new libusb context is asked whether it sees the device
// as well. The context must be new: libusb without udevd keeps the list it made
// at its start. Where libusb cannot start at all, that question is left open and
// everything else goes on.
//
// Catalogue holds the known token models, see catalogue.csv. A device is matched
// by vendor id, product id and interface class, never by its strings: rebrands
// share silicon, and labels lie. One device can match several models; the token
// itself decides.
//
// Where the kernel is told to keep new devices off, Gate switches on what Admit
// allows: the interfaces of a known token for libusb alone, of a keypad and of a
// hub inside the case for the kernel's drivers, of everything else none.
//
// The package claims no interface and sends nothing to a device.
package usb
