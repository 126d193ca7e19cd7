package usb_test

import (
	"slices"
	"testing"

	"mohr.internal/usb"
)

// Interfaces, as class, subclass and protocol.
var (
	keyboard = usb.Interface{Class: 0x03, SubClass: 1, Protocol: 1}
	mouse    = usb.Interface{Class: 0x03, SubClass: 1, Protocol: 2}
	hid      = usb.Interface{Class: 0x03}
	storage  = usb.Interface{Class: 0x08, SubClass: 6, Protocol: 0x50}
	network  = usb.Interface{Class: 0x02, SubClass: 6}
	audio    = usb.Interface{Class: 0x01, SubClass: 1}
	card     = usb.Interface{Class: 0x0b}
	vendor   = usb.Interface{Class: 0xff}
	hub      = usb.Interface{Class: 0x09}
)

// device numbers the interfaces in their order.
func device(interfaces ...usb.Interface) usb.Device {
	d := usb.Device{VID: 1, PID: 1, Bus: 1, Interfaces: slices.Clone(interfaces)}
	for i := range d.Interfaces {
		d.Interfaces[i].Configuration, d.Interfaces[i].Number = 1, uint8(i)
	}
	return d
}

// at makes an interface another setting of one of the others.
func at(i usb.Interface, configuration, number, alternate uint8) usb.Interface {
	i.Configuration, i.Number, i.Alternate = configuration, number, alternate
	return i
}

func with(d usb.Device, more ...usb.Interface) usb.Device {
	d.Interfaces = append(d.Interfaces, more...)
	return d
}

func classed(d usb.Device, class uint8) usb.Device {
	d.Class = class
	return d
}

func malformed(d usb.Device) usb.Device {
	d.Problem = "malformed"
	return d
}

func TestAdmit(t *testing.T) {
	ccid := usb.Model{Classes: usb.ClassRule{OneOf: []uint8{0x0b}}}
	composite := usb.Model{Classes: usb.ClassRule{OneOf: []uint8{0x0b}}, Others: []uint8{0x03}}
	either := usb.Model{Classes: usb.ClassRule{OneOf: []uint8{0x0b, 0xff}}}
	direct := usb.Model{Classes: usb.ClassRule{Not: []uint8{0x0b}}}
	disc := usb.Model{Classes: usb.ClassRule{OneOf: []uint8{0x08}}}
	for _, tt := range []struct {
		name    string
		admit   func(usb.Device) (usb.Admission, bool)
		device  usb.Device
		want    []uint8 // none: refused
		drivers bool
	}{
		{"card", ccid.Admit, device(card), []uint8{0}, false},
		{"two cards", ccid.Admit, device(card, card), []uint8{0, 1}, false},
		{"card and keyboard", ccid.Admit, device(keyboard, card), nil, false},
		{"card and disk", ccid.Admit, device(card, storage), nil, false},
		{"card and network", ccid.Admit, device(card, network), nil, false},
		{"card and vendor's", ccid.Admit, device(card, vendor), nil, false},
		{"card and hub", ccid.Admit, device(card, hub), nil, false},
		{"card that says it is a hub", ccid.Admit, classed(device(card), 9), nil, false},
		{"card whose other setting is a keyboard", ccid.Admit, with(device(card), at(keyboard, 1, 0, 1)), nil, false},
		{"card whose other configuration is a disk", ccid.Admit, with(device(card), at(storage, 2, 0, 0)), nil, false},
		{"card, malformed", ccid.Admit, malformed(device(card)), nil, false},
		{"nothing", ccid.Admit, device(), nil, false},
		{"known composite: its keyboard stays off", composite.Admit, device(keyboard, hid, card), []uint8{2}, false},
		{"known composite with a disk", composite.Admit, device(keyboard, card, storage), nil, false},
		{"known composite without its card", composite.Admit, device(keyboard), nil, false},
		{"known composite that turns a card into a keyboard", composite.Admit, with(device(card), at(keyboard, 1, 0, 1)), nil, false},
		{"one of two classes", either.Admit, device(vendor), []uint8{0}, false},
		{"classes not known: vendor's", direct.Admit, device(vendor), []uint8{0}, false},
		{"classes not known: HID, without a driver", direct.Admit, device(hid), []uint8{0}, false},
		{"classes not known: disk", direct.Admit, device(storage), nil, false},
		{"classes not known: network", direct.Admit, device(vendor, network), nil, false},
		{"token that is a disc", disc.Admit, device(storage), []uint8{0}, false},

		{"keypad", usb.AdmitKeypad, device(keyboard), []uint8{0}, true},
		{"keypad with volume keys", usb.AdmitKeypad, device(hid, keyboard), []uint8{1}, true},
		{"keypad and mouse: no mouse", usb.AdmitKeypad, device(keyboard, mouse), []uint8{0}, true},
		{"mouse", usb.AdmitKeypad, device(mouse), nil, false},
		{"keypad and disk", usb.AdmitKeypad, device(keyboard, storage), nil, false},
		{"keypad and network", usb.AdmitKeypad, device(keyboard, network), nil, false},
		{"keypad and audio", usb.AdmitKeypad, device(keyboard, audio), nil, false},
		{"keypad and card", usb.AdmitKeypad, device(keyboard, card), nil, false},
		{"card as keypad", usb.AdmitKeypad, device(card), nil, false},
		{"hub as keypad", usb.AdmitKeypad, classed(device(hub), 9), nil, false},
		{"keypad, malformed", usb.AdmitKeypad, malformed(device(keyboard)), nil, false},

		{"hub", usb.AdmitHub, classed(device(hub), 9), []uint8{0}, true},
		{"hub with two settings", usb.AdmitHub, with(classed(device(hub), 9), at(hub, 1, 0, 1)), []uint8{0}, true},
		{"hub and disk", usb.AdmitHub, classed(device(hub, storage), 9), nil, false},
		{"disk that says it is a hub", usb.AdmitHub, classed(device(storage), 9), nil, false},
		{"hub that does not say so", usb.AdmitHub, device(hub), nil, false},
		{"card as hub", usb.AdmitHub, device(card), nil, false},
	} {
		a, ok := tt.admit(tt.device)
		if ok != (tt.want != nil) || !slices.Equal(a.Interfaces, tt.want) || a.Drivers != tt.drivers {
			t.Errorf("%s: %+v, %v", tt.name, a, ok)
		}
	}
}

// What each model of the catalogue may have beside itself never gets a driver,
// and no row lets a device be a card and something unknown.
func TestAdmitCatalogue(t *testing.T) {
	for _, m := range builtIn(t).Models() {
		for _, i := range []usb.Interface{network, audio, hub, {Class: 0xe0}, {Class: 0x0e}} {
			for _, base := range []usb.Interface{card, vendor, hid, storage} {
				if a, ok := m.Admit(device(base, i)); ok {
					t.Errorf("%s admits class %02x beside %02x: %+v", m.Name, i.Class, base.Class, a)
				}
			}
		}
		if a, ok := m.Admit(device(card)); ok && a.Drivers {
			t.Errorf("%s gets drivers", m.Name)
		}
	}
}
