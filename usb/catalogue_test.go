package usb_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"mohr.internal/usb"
)

func builtIn(t *testing.T) *usb.Catalogue {
	t.Helper()
	c, err := usb.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(models []usb.Model) (n []string) {
	for _, m := range models {
		n = append(n, m.Name)
	}
	return n
}

func TestLookup(t *testing.T) {
	c := builtIn(t)
	for _, tt := range []struct {
		vid, pid uint16
		classes  []uint8
		want     string // names with / between them
	}{
		{0x096e, 0x0702, []uint8{0xff}, "ePass3003"},
		{0x096e, 0x0702, []uint8{0x03}, "ePass3003"},
		{0x096e, 0x0702, []uint8{0x0b}, ""},
		{0x096e, 0x0703, []uint8{0x08}, "ePass3003Auto"},
		{0x096e, 0x0703, []uint8{0x03}, ""},
		{0x096e, 0x0401, []uint8{0xff}, "ePass3000/ePass3003 OEM variant"}, // more trusted first
		{0x89fa, 0x0703, []uint8{0xff}, "Rastin Gold"},
		{0x096e, 0x0807, []uint8{0x0b}, "ePass2003"},
		{0x096e, 0x080a, []uint8{0x08, 0x0b}, "ePass2003Auto"}, // CCID on the second interface
		{0x096e, 0x080a, []uint8{0x08}, ""},
		{0x055c, 0x0223, []uint8{0xff}, "mToken CryptoID"},
		{0x055c, 0x0223, []uint8{0x08}, ""},
		{0x055c, 0xdb08, []uint8{0x08}, "mToken GM3000 disc"},
		{0x055c, 0xe425, []uint8{0xe0}, "mToken BLE"}, // class not known
		{0x04b9, 0x1203, []uint8{0xff}, "iKey 1000-4000"},
		{0x04b9, 0x1202, []uint8{0xff}, "iKey 2032/iKey 1000-4000"},
		{0x04b9, 0x1207, []uint8{0xff}, ""},
		{0x1050, 0x0407, []uint8{0x03, 0x03, 0x0b}, "YubiKey"},
		{0x1050, 0x0407, nil, ""},
		{0, 0, []uint8{0x0b}, ""}, // rows without ids match nothing
		{0x055c, 0, []uint8{0x0b}, ""},
		{0x1234, 0x5678, []uint8{0x0b}, ""},
	} {
		d := usb.Device{VID: tt.vid, PID: tt.pid}
		for _, cl := range tt.classes {
			d.Interfaces = append(d.Interfaces, usb.Interface{Class: cl})
		}
		if got := strings.Join(names(c.Lookup(d)), "/"); got != tt.want {
			t.Errorf("%04x:%04x %x: %q, want %q", tt.vid, tt.pid, tt.classes, got, tt.want)
		}
		d.Problem = "malformed"
		if got := c.Lookup(d); got != nil {
			t.Errorf("%v with malformed descriptors: %q", d, names(got))
		}
	}
}

// Each model people in the field name has a row, and a model of which no id is
// known has none: an invented one would admit a wrong device.
func TestFieldModels(t *testing.T) {
	c := builtIn(t)
	byName := map[string]usb.Model{}
	for _, m := range c.Models() {
		byName[m.Name] = m
	}
	for _, n := range []string{"Setin", "ST3", "KeyA3", "iKey", "ParsKey"} {
		if m, ok := byName[n]; !ok || m.VID != 0 || m.PIDs != nil || m.Modules != nil || m.Confidence == "H" {
			t.Errorf("%s: %+v", n, m)
		}
	}
	for _, n := range []string{"ePass3003", "ePass3003Auto", "mToken CryptoID", "mToken GM3000 HID", "Rastin Gold"} {
		if m, ok := byName[n]; !ok || m.VID == 0 || m.PIDs == nil {
			t.Errorf("%s: %+v", n, m)
		}
	}
	if m := byName["ePass3003"].Modules; !slices.Equal(m, []string{"libshuttle_p11v220.so", "libshuttle_p11v220.so.1.0.0"}) {
		t.Errorf("modules of ePass3003: %q", m)
	}
	if c.Models()[0].Name = "x"; c.Models()[0].Name == "x" {
		t.Error("a caller can change the catalogue")
	}
}

func TestBadRow(t *testing.T) {
	const head = "version,1\nmodel,vid,pids,classes,others,modules,pcsc,arm64,confidence,note\n"
	const good = "A,096e,0702 0703,!0b,08,a.so /opt/b.so,no,?,H,words\n"
	if c, err := usb.LoadCatalogue(strings.NewReader(head + good)); err != nil || len(c.Models()) != 1 {
		t.Fatalf("%v", err)
	}
	for _, tt := range []struct{ csv, want string }{
		{"", "EOF"},
		{head, "no rows"},
		{strings.Replace(head, "1", "0", 1) + good, "line 1"},
		{strings.Replace(head, "1", "01", 1) + good, "line 1"},
		{strings.Replace(head, "version", "edition", 1) + good, "line 1"},
		{strings.TrimPrefix(head, "version,1\n") + good, "line 1"},
		{strings.Replace(head, "pids", "pid", 1) + good, "line 2: columns"},
		{head + good + good, `line 4 ("A"): model given twice`},
		{head + good + "B,096e\n", "line 4"},
		{head + good + "B,96e,0702,0b,,,no,?,H,\n", `line 4 ("B"): vid "96e"`},
		{head + good + "B,096E,0702,0b,,,no,?,H,\n", `vid "096E"`},
		{head + good + "B,0000,0702,0b,,,no,?,H,\n", `vid "0000"`},
		{head + good + "B,,0702,0b,,,no,?,H,\n", "pids without a vid"},
		{head + good + "B,096e,0702  0703,0b,,,no,?,H,\n", `pid ""`},
		{head + good + "B,096e,0702 0702,0b,,,no,?,H,\n", "given twice"},
		{head + good + "B,096e,702-703,0b,,,no,?,H,\n", `pid "702-703"`},
		{head + good + "B,096e,0702,b,,,no,?,H,\n", `class "b"`},
		{head + good + "B,096e,0702,,,,no,?,H,\n", "classes are empty"},
		{head + good + "B,096e,0702,0b,8,a.so,no,?,H,\n", `other class "8"`},
		{head + good + "B,096e,0702,0b,09,a.so,no,?,H,\n", `other class "09"`},
		{head + good + "B,096e,0702,0b,,../a.so,no,?,H,\n", `module "../a.so"`},
		{head + good + "B,096e,0702,0b,,/opt/../a.so,no,?,H,\n", `module "/opt/../a.so"`},
		{head + good + "B,096e,0702,0b,,lib/a.so,no,?,H,\n", `module "lib/a.so"`},
		{head + good + "B,096e,0702,0b,,..,no,?,H,\n", `module ".."`},
		{head + good + "B,096e,0702,0b,,a.so,maybe,?,H,\n", `"maybe"`},
		{head + good + "B,096e,0702,0b,,a.so,no,,H,\n", `""`},
		{head + good + "B,096e,0702,0b,,a.so,no,?,X,\n", `confidence "X"`},
		{head + good + ",096e,0702,0b,,a.so,no,?,H,\n", "model is empty"},
		{head + good + "B,096e,0702,0b,,a.so,no,?,H,\x1b[2J\n", "note"},
		{head + strings.Repeat(" ", 1<<20), "larger than"},
	} {
		c, err := usb.LoadCatalogue(strings.NewReader(tt.csv))
		if err == nil || c != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.80q: error %v, want %q", tt.csv, err, tt.want)
		}
	}
}

// Of two catalogues the newer one is used, and nothing that is not one.
func TestNewer(t *testing.T) {
	const rest = "\nmodel,vid,pids,classes,others,modules,pcsc,arm64,confidence,note\nSetin,1234,5678,0b,,opensc-pkcs11.so,yes,yes,H,read\n"
	c, err := usb.LoadCatalogue(strings.NewReader("version,7" + rest))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Newer([]byte("version,8" + rest)); err != nil || n.Version() != 8 {
		t.Errorf("%v", err)
	}
	for _, old := range []string{"version,7", "version,6"} {
		if n, err := c.Newer([]byte(old + rest)); !errors.Is(err, usb.ErrOlder) || n != nil {
			t.Errorf("%s: %v", old, err)
		}
	}
	if n, err := c.Newer([]byte("version,8\nmodel\n")); err == nil || n != nil {
		t.Error("a broken one is used")
	}
}

func FuzzLoadCatalogue(f *testing.F) {
	b, err := os.ReadFile("catalogue.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Add("version,1\nmodel,vid,pids,classes,others,modules,pcsc,arm64,confidence,note\nA,096e,0702,!0b 03,08,a.so,no,?,H,\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := usb.LoadCatalogue(strings.NewReader(s))
		if (c == nil) == (err == nil) {
			t.Fatal("catalogue beside an error")
		}
		if c != nil {
			c.Lookup(ccid)
		}
	})
}
