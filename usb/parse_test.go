package usb_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"mohr.internal/usb"
	"mohr.internal/usb/usbtest"
)

var ccid = usb.Device{
	VID: 0x096e, PID: 0x080a, Release: 0x0110,
	Interfaces: []usb.Interface{
		{Configuration: 1, Number: 0, Class: 0x03},
		{Configuration: 1, Number: 1, Class: usb.ClassCCID},
	},
	Manufacturer: "FS", Product: "ePass2003Auto", Serial: "0102",
}

func TestParseDescriptors(t *testing.T) {
	good := usbtest.Descriptors(ccid)
	d, err := usb.ParseDescriptors(good)
	if err != nil {
		t.Fatal(err)
	}
	if d.VID != ccid.VID || d.PID != ccid.PID || d.Release != ccid.Release || !reflect.DeepEqual(d.Interfaces, ccid.Interfaces) {
		t.Errorf("%+v", d)
	}
	edit := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	second := append(bytes.Clone(good), 9, 2, 18, 0, 1, 2, 0, 0x80, 50, 9, 4, 0, 0, 0, 0xff, 0, 0, 0)
	if d, err := usb.ParseDescriptors(second); err != nil || len(d.Interfaces) != 3 || d.Interfaces[2].Configuration != 2 || d.Interfaces[2].Class != 0xff {
		t.Errorf("second configuration: %+v, %v", d, err)
	}
	if _, err := usb.ParseDescriptors(good[:18]); err != nil {
		t.Errorf("no configuration: %v", err)
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "begin with"},
		{"short", good[:17], "begin with"},
		{"length of the device descriptor", edit(0, 17), "begin with"},
		{"type of the device descriptor", edit(1, 2), "begin with"},
		{"cut", good[:len(good)-1], "length 7 at offset"},
		{"zero length", edit(18, 0), "length 0 at offset 18"},
		{"length one", edit(18, 1), "length 1 at offset 18"},
		{"longer than the rest", edit(len(good)-7, 8), "length 8"},
		{"one byte more", append(bytes.Clone(good), 2), "length 2"},
		{"second device descriptor", edit(19, 1), "second device"},
		{"interface without configuration", edit(19, 0x41), "interface"},
		{"too long", make([]byte, 64<<10+1), "longer than"},
		{"too many interfaces", append(bytes.Clone(good), bytes.Repeat([]byte{9, 4, 0, 0, 0, 0, 0, 0, 0}, 255)...), "more than 256"},
	} {
		d, err := usb.ParseDescriptors(tt.b)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
		if !reflect.DeepEqual(d, usb.Descriptors{}) {
			t.Errorf("%s: result beside an error", tt.name)
		}
	}
}

func FuzzParseDescriptors(f *testing.F) {
	f.Add(usbtest.Descriptors(ccid))
	f.Add(usbtest.Descriptors(usb.Device{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := usb.ParseDescriptors(b)
		if len(d.Interfaces) > len(b)/9 || err != nil && d.Interfaces != nil {
			t.Errorf("%d interfaces out of %d bytes, %v", len(d.Interfaces), len(b), err)
		}
	})
}

const added = "add@/devices/pci0/usb1/1-1\x00ACTION=add\x00DEVPATH=/devices/pci0/usb1/1-1\x00SUBSYSTEM=usb\x00DEVTYPE=usb_device\x00PRODUCT=96e/807/110\x00SEQNUM=2201\x00"

func TestParseUevent(t *testing.T) {
	u, err := usb.ParseUevent([]byte(added))
	if err != nil {
		t.Fatal(err)
	}
	if u.Action != "add" || u.DevPath != "/devices/pci0/usb1/1-1" || !u.IsUSB() || u.Var("SEQNUM") != "2201" || u.Var("SEQ") != "" {
		t.Errorf("%+v", u)
	}
	if string(u.Marshal()) != added {
		t.Errorf("%q", u.Marshal())
	}
	for _, tt := range []struct{ name, msg string }{
		{"empty", ""},
		{"only a header", "add@/x\x00"},
		{"no end of the header", "add@/x"},
		{"no end of a variable", strings.TrimSuffix(added, "\x00")},
		{"no action", "@/x\x00ACTION=\x00DEVPATH=/x\x00"},
		{"path not absolute", "add@x\x00ACTION=add\x00DEVPATH=x\x00"},
		{"other action", strings.Replace(added, "ACTION=add", "ACTION=remove", 1)},
		{"other path", strings.Replace(added, "DEVPATH=/devices", "DEVPATH=/device", 1)},
		{"twice", added + "SUBSYSTEM=usb\x00"},
		{"no equals sign", added + "X\x00"},
		{"no name", added + "=X\x00"},
		{"empty variable", added + "\x00"},
		{"udevd", "libudev\x00\xfe\xed\xca\xfe"},
		{"too long", added + strings.Repeat("A", 8<<10) + "=\x00"},
	} {
		if u, err := usb.ParseUevent([]byte(tt.msg)); err == nil || u.Action != "" {
			t.Errorf("%s: %+v, %v", tt.name, u, err)
		}
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte(added))
	f.Add([]byte("remove@/x\x00ACTION=remove\x00DEVPATH=/x\x00SUBSYSTEM=net\x00"))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := usb.ParseUevent(b)
		if err == nil && !bytes.Equal(u.Marshal(), b) {
			t.Errorf("%q -> %q", b, u.Marshal())
		}
	})
}
