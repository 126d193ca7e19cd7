package usb

import "slices"

// Admission is what of a device is switched on at the bus. The zero Admission is
// nothing: the device gets no configuration, and so no interface, no driver and
// no input or storage node.
type Admission struct {
	Interfaces []uint8 // numbers, ascending

	// Drivers lets the kernel's drivers have the interfaces. A token is for libusb
	// alone; what looks like a keyboard in it types nothing.
	Drivers bool
}

// Admit says what of d the model needs, or that d has what the model is not known
// to have. All configurations and alternate settings count: a device that could
// turn into something else is refused as that.
//
// Where the classes of a model are not known, vendor-specific and HID ones are
// taken; those are what tokens without CCID have.
func (m Model) Admit(d Device) (Admission, bool) {
	use := m.Classes.OneOf
	if len(use) == 0 {
		use = []uint8{ClassHID, classVendor}
	}
	return admit(d, func(i Interface) bool { return slices.Contains(use, i.Class) },
		func(i Interface) bool { return slices.Contains(m.Others, i.Class) }, false)
}

// AdmitKeypad takes a keyboard of the boot protocol (HID 1.11, section 4.2).
// Further HID interfaces, which many keypads have for their volume keys, stay off.
func AdmitKeypad(d Device) (Admission, bool) {
	return admit(d, func(i Interface) bool { return i.Class == ClassHID && i.SubClass == 1 && i.Protocol == 1 },
		func(i Interface) bool { return i.Class == ClassHID }, true)
}

// AdmitHub takes a hub that is nothing else. What is plugged into it is judged
// by its own port.
func AdmitHub(d Device) (Admission, bool) {
	if !d.Hub() {
		return Admission{}, false
	}
	return admit(d, func(i Interface) bool { return i.Class == ClassHub }, func(Interface) bool { return false }, true)
}

// admit switches on the interfaces that are of use in all their settings, and
// wants every other setting to be one that is known.
func admit(d Device, use, known func(Interface) bool, drivers bool) (Admission, bool) {
	if d.Problem != "" || d.Class == ClassHub && !drivers {
		return Admission{}, false
	}
	a := Admission{Drivers: drivers}
	off := map[uint8]bool{}
	for _, i := range d.Interfaces {
		switch {
		case use(i):
			a.Interfaces = append(a.Interfaces, i.Number)
		case known(i):
			off[i.Number] = true
		default:
			return Admission{}, false
		}
	}
	slices.Sort(a.Interfaces)
	a.Interfaces = slices.DeleteFunc(slices.Compact(a.Interfaces), func(n uint8) bool { return off[n] })
	if len(a.Interfaces) == 0 {
		return Admission{}, false
	}
	return a, true
}
