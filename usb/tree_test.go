package usb_test

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"mohr.internal/usb"
	"mohr.internal/usb/usbtest"
)

func TestWatchTree(t *testing.T) {
	tree := usbtest.NewTree(t)
	tree.Plug("1-1", ccid) // plugged in before the start
	tree.Plug("1-4", usb.Device{VID: 0x05e3, PID: 0x0608})
	w := usb.NewWatcher(usb.Options{Sysfs: tree.Root(), Rescan: 50 * time.Millisecond, Uevents: tree.Uevents, Log: slog.New(slog.DiscardHandler)})
	events, err := w.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := func(k usb.Kind, port string) usb.Device {
		t.Helper()
		select {
		case e := <-events:
			if e.Kind != k || e.Device.Port != port {
				t.Fatalf("%v %v, want %v at %s", e.Kind, e.Device, k, port)
			}
			return e.Device
		case <-time.After(time.Minute):
			t.Fatalf("no event, want %v at %s", k, port)
		}
		panic("unreachable")
	}
	d := want(usb.Inserted, "1-1")
	d.Port, d.Bus, d.Address, d.Seen = "", 0, 0, false
	if !reflect.DeepEqual(d, ccid) {
		t.Errorf("%+v, want %+v", d, ccid)
	}
	want(usb.Inserted, "1-4")
	hub := usbtest.Descriptors(usb.Device{VID: 0x1d6b, PID: 1})
	hub[4] = 9
	tree.PlugRaw("1-2", usb.Device{VID: 0x1d6b, PID: 1}, hub) // hubs are not reported
	tree.Plug("1-2.1", ccid)
	want(usb.Inserted, "1-2.1")
	tree.LoseUevents(true)
	tree.Unplug("1-1")
	gone := want(usb.Removed, "1-1")
	tree.Plug("1-1", ccid)
	if again := want(usb.Inserted, "1-1"); again.Address == gone.Address {
		t.Error("two insertions with one address")
	}
}

func TestStringsAreCleaned(t *testing.T) {
	tree := usbtest.NewTree(t)
	d := ccid
	d.Product = "a\x00\x1b[2Jb\u202ec\xffd\ne"
	tree.Plug("1-1", d)
	all, err := usb.Scan(tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	if got := all["1-1"].Product; got != "a[2Jbcde" {
		t.Errorf("%q", got)
	}
}

func TestDescriptorsOfAnother(t *testing.T) {
	tree := usbtest.NewTree(t)
	tree.PlugRaw("1-1", ccid, usbtest.Descriptors(usb.Device{VID: 1, PID: 2, Interfaces: ccid.Interfaces}))
	all, err := usb.Scan(tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	if d := all["1-1"]; d.Problem == "" || d.Interfaces != nil {
		t.Errorf("%+v", d)
	}
}
