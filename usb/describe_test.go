package usb_test

import (
	"reflect"
	"strings"
	"testing"

	"mohr.internal/usb"
)

// crowded is the device with the longest description.
func crowded() usb.Device {
	d := usb.Device{VID: 0xffff, PID: 0xffff, Release: 0xffff, Class: 0xff, Manufacturer: strings.Repeat("m", 99), Product: strings.Repeat("پ", 99)}
	for i := range 99 {
		d.Interfaces = append(d.Interfaces, usb.Interface{Configuration: 1, Number: uint8(i), Class: 0xff})
	}
	return d
}

func TestDescribe(t *testing.T) {
	broken := ccid
	broken.Problem = "length 0"
	for name, d := range map[string]usb.Device{"token": ccid, "nothing": {}, "crowded": crowded(), "broken": broken} {
		want := usb.Describe(d)
		text := want.Text()
		got, err := usb.ParseDescription(text)
		if err != nil || !reflect.DeepEqual(got, want) && len(want.Interfaces) > 0 {
			t.Errorf("%s: %s: %+v, want %+v, %v", name, text, got, want, err)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:") != "" || len(text) > usb.MaxDescription {
			t.Errorf("%s: text %s", name, text)
		}
	}
	if n := len(usb.Describe(crowded()).Text()); n != usb.MaxDescription {
		t.Errorf("longest text is %d, not %d", n, usb.MaxDescription)
	}
	if d := usb.Describe(ccid); d.VID != 0x096e || d.PID != 0x080a || d.Product != "ePass2003Auto" || len(d.Interfaces) != 2 || d.More || d.Malformed {
		t.Errorf("%+v", d)
	}
	if d := usb.Describe(crowded()); !d.More || len(d.Interfaces) != 12 {
		t.Errorf("%+v", d)
	}
	if d := usb.Describe(broken); !d.Malformed || d.Interfaces != nil {
		t.Errorf("%+v", d)
	}
}

// What may be the serial number of somebody's token is not sent anywhere.
func TestNoSerial(t *testing.T) {
	for _, row := range []struct{ serial, product, want string }{
		{"0102", "ePass2003Auto", "ePass2003Auto"},
		{"ab12", "Token ab12", "Token #"},
		{"", "mToken CryptoID 3.0", "mToken CryptoID 3.0"},
		{"", "Token 0499370899", "Token #"},
		{"", "Token SN:04993708", "Token #"},
		{"", "Token deadbeef1", "Token #"},
		{"", "Feedface", "Feedface"},
		{"", "Token 12 34 56 78", "Token ## ## ## ##"},
		{"", "توکن ۰۴۹۹۳۷", "توکن #"},
		{"", "a\x1b[2J\u202eb", "a[2Jb"},
	} {
		if got := usb.Describe(usb.Device{Serial: row.serial, Product: row.product, Manufacturer: row.product}); got.Product != row.want || got.Manufacturer != row.want {
			t.Errorf("%q: %q and %q, want %q", row.product, got.Product, got.Manufacturer, row.want)
		}
	}
}

func TestParseDescription(t *testing.T) {
	good := usb.Describe(ccid).Text()
	raw := func(d usb.Description) string { return d.Text() }
	for name, text := range map[string]string{
		"empty": "", "no prefix": good[4:], "other prefix": "MT2:" + good[4:], "only the prefix": "MT1:", "cut": good[:len(good)-4],
		"longer": good + "AAAAAAAA", "lower case": strings.ToLower(good), "padding": good + "=", "line end": good + "\n",
		"too long":           "MT1:" + strings.Repeat("A", 1000),
		"thirteen":           raw(usb.Description{Interfaces: make([]usb.Interface, 13)}),
		"more than few":      raw(usb.Description{More: true}),
		"malformed with one": raw(usb.Description{Malformed: true, Interfaces: make([]usb.Interface, 1)}),
		"a serial number":    raw(usb.Description{Product: "0499370899"}),
		"control character":  raw(usb.Description{Product: "\x1b[2J"}),
		"not UTF-8":          raw(usb.Description{Product: "\xff"}),
		"long text":          raw(usb.Description{Product: strings.Repeat("x", 33)}),
	} {
		if d, err := usb.ParseDescription(text); err == nil || !reflect.DeepEqual(d, usb.Description{}) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func FuzzParseDescription(f *testing.F) {
	f.Add(usb.Describe(ccid).Text())
	f.Add(usb.Describe(usb.Device{}).Text())
	f.Add(usb.Describe(crowded()).Text())
	f.Add("MT1:")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := usb.ParseDescription(s)
		if err == nil && d.Text() != s || err != nil && !reflect.DeepEqual(d, usb.Description{}) {
			t.Errorf("%q: %+v, %v", s, d, err)
		}
	})
}

// A device can say what it likes: its description is one that is read again.
func FuzzDescribe(f *testing.F) {
	f.Add(uint16(0x096e), uint8(3), "FS", "ePass2003 0102030405", "0102")
	f.Add(uint16(0), uint8(99), "\xff\u202e", strings.Repeat("1a", 99), "1a1a")
	f.Fuzz(func(t *testing.T, vid uint16, n uint8, manufacturer, product, serial string) {
		want := usb.Describe(usb.Device{VID: vid, Interfaces: make([]usb.Interface, n), Manufacturer: manufacturer, Product: product, Serial: serial})
		text := want.Text()
		got, err := usb.ParseDescription(text)
		if err != nil || got.Product != want.Product || got.Manufacturer != want.Manufacturer || len(text) > usb.MaxDescription {
			t.Errorf("%+v: %+v, %v", want, got, err)
		}
	})
}
