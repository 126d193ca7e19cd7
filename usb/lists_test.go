package usb_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mohr.internal/usb"
)

// anyOf reads the first file that exists. Its absence is said aloud: the catalogue
// is then held against nothing.
func anyOf(t *testing.T, pkg string, paths ...string) []byte {
	t.Helper()
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil {
			return b
		}
	}
	t.Skipf("SKIPPED: Debian's %s is not installed: the catalogue is NOT compared with it", pkg)
	return nil
}

// notInCCID are rows with CCID whose ids the driver's list does not have, with the
// reason why they stand in the catalogue all the same.
var notInCCID = map[string]string{
	"mToken CryptoID 055c:0223": "field reports; class not verified",
	"HYP2003 2ccf:080a":         "field reports; class not verified",
}

// Each id of a CCID token is one that Debian's CCID driver knows, and no row that says
// "not CCID" has one.
func TestCCIDList(t *testing.T) {
	b := anyOf(t, "libccid", "/etc/libccid_Info.plist", "/usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist")
	readers := plistIDs(t, b)
	if len(readers) < 300 {
		t.Fatalf("%d readers in the list", len(readers))
	}
	compared := 0
	left := map[string]string{}
	for k, v := range notInCCID {
		left[k] = v
	}
	for _, m := range builtIn(t).Models() {
		for _, pid := range m.PIDs {
			id := fmt.Sprintf("%04x:%04x", m.VID, pid)
			name, listed := readers[id]
			key := m.Name + " " + id
			switch {
			case slices.Contains(m.Classes.OneOf, usb.ClassCCID) && listed:
				compared++
			case slices.Contains(m.Classes.OneOf, usb.ClassCCID):
				if _, ok := left[key]; !ok {
					t.Errorf("%s: CCID, but not in the driver's list", key)
				}
				delete(left, key)
			case slices.Contains(m.Classes.Not, usb.ClassCCID) && listed:
				t.Errorf("%s: not CCID, but in the driver's list as %q", key, name)
			}
		}
	}
	for key, why := range left {
		t.Errorf("%s (%s): is in the list now, or in no row", key, why)
	}
	t.Logf("%d ids of the catalogue are in the driver's list of %d", compared, len(readers))
}

// plistIDs reads the three arrays of the driver's property list, which go in step.
func plistIDs(t *testing.T, b []byte) map[string]string {
	t.Helper()
	var p struct {
		Dict struct {
			Keys   []string `xml:"key"`
			Arrays []struct {
				Strings []string `xml:"string"`
			} `xml:"array"`
		} `xml:"dict"`
	}
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.Strict = false
	if err := dec.Decode(&p); err != nil {
		t.Fatal(err)
	}
	a := p.Dict.Arrays
	for len(a) > 3 { // ahead of the ids stand the driver's capabilities
		a = a[1:]
	}
	if len(a) < 3 || len(a[0].Strings) != len(a[1].Strings) || len(a[1].Strings) != len(a[2].Strings) {
		t.Fatal("the arrays of the list are not in step")
	}
	ids := map[string]string{}
	for i, vid := range a[0].Strings {
		id := strings.ToLower(strings.TrimPrefix(vid, "0x") + ":" + strings.TrimPrefix(a[1].Strings[i], "0x"))
		ids[id] = a[2].Strings[i]
	}
	return ids
}

// vendors are how the USB id list calls the makers in the catalogue. Longmai's number
// was another company's before.
var vendors = map[uint16]string{
	0x096e: "Feitian", 0x055c: "Proton", 0x04b9: "Rainbow", 0x0529: "Aladdin", 0x08e6: "Gem", 0x163c: "", 0x25dd: "Bit4id",
	0x0a89: "Aktiv", 0x24dc: "Aladdin R.D.", 0x1050: "Yubico", 0x20a0: "Clay Logic", 0x0dc3: "Athena", 0x2ccf: "Hypersecu", 0x89fa: "", // none: not in the list
}

// Each vendor id is the maker's in the USB id list, and what the list calls an ePass of
// some number is that in the row, too.
func TestUSBIDList(t *testing.T) {
	b := anyOf(t, "usb.ids", "/usr/share/misc/usb.ids", "/var/lib/usbutils/usb.ids", "/usr/share/hwdata/usb.ids")
	line := regexp.MustCompile(`^(\t?)([0-9a-f]{4})  (.+)$`)
	maker, products, in := map[string]string{}, map[string]string{}, ""
	for l := range strings.Lines(string(b)) {
		m := line.FindStringSubmatch(strings.TrimRight(l, "\r\n"))
		switch {
		case strings.HasPrefix(l, "C 00"):
			in = "" // classes follow
		case m == nil:
		case m[1] == "":
			in, maker[m[2]] = m[2], m[3]
		case in != "":
			products[in+":"+m[2]] = m[3]
		}
	}
	if len(maker) < 3000 {
		t.Fatalf("%d makers in the list", len(maker))
	}
	number := regexp.MustCompile(`ePass[0-9]{4}`)
	seen := 0
	for _, m := range builtIn(t).Models() {
		if m.VID == 0 {
			continue
		}
		want, ok := vendors[m.VID]
		if got := maker[fmt.Sprintf("%04x", m.VID)]; !ok || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: vendor %04x is %q, want %q", m.Name, m.VID, got, want)
		}
		for _, pid := range m.PIDs {
			if p, ok := products[fmt.Sprintf("%04x:%04x", m.VID, pid)]; ok {
				seen++
				a, b := number.FindString(m.Name), number.FindString(p)
				if a != "" && b != "" && a != b && !strings.Contains(m.Name, "OEM variant") {
					t.Errorf("%s: %04x:%04x is %q in the list", m.Name, m.VID, pid, p)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d ids of the catalogue are in the list", seen)
	}
	t.Logf("%d ids of the catalogue are in the list", seen)
}
