package usb

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gousb"
	"golang.org/x/sys/unix"
)

func TestGuardAgainstPanic(t *testing.T) {
	seen, err := listWith(func() *gousb.Context { panic("libusb: input/output error [code -99]") })
	if seen != nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "code -99") {
		t.Errorf("%v, %v", seen, err)
	}
	// On this machine libusb starts or not; neither may panic.
	seen, err = listLibusb()
	if (seen == nil) == (err == nil) {
		t.Errorf("%v, %v", seen, err)
	}
	t.Logf("libusb here: %d devices, %v", len(seen), err)
}

func TestConcerns(t *testing.T) {
	kernel, other := &unix.SockaddrNetlink{}, &unix.SockaddrNetlink{Pid: 1000}
	usb := []byte("add@/x\x00ACTION=add\x00DEVPATH=/x\x00SUBSYSTEM=usb\x00")
	net := []byte("add@/x\x00ACTION=add\x00DEVPATH=/x\x00SUBSYSTEM=net\x00")
	for _, tt := range []struct {
		name string
		msg  []byte
		from unix.Sockaddr
		err  error
		want bool
	}{
		{"usb", usb, kernel, nil, true},
		{"net", net, kernel, nil, false},
		{"malformed", []byte("add"), kernel, nil, true},
		{"messages lost", nil, nil, unix.ENOBUFS, true},
		{"from a process", usb, other, nil, false},
		{"no sender", usb, nil, nil, false},
	} {
		if got := concerns(tt.msg, tt.from, tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestKernelUevents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := KernelUevents(ctx)
	if err != nil {
		cancel()
		t.Skipf("no netlink here: %v", err)
	}
	cancel()
	for range c { // closed by the end of ctx, perhaps after a real event
	}
}

// A scan that cannot be completed must not read as "all tokens removed".
func TestFailedScanRemovesNothing(t *testing.T) {
	root := t.TempDir()
	dev := filepath.Join(root, "bus/usb/devices/1-1")
	for name, v := range map[string]string{"busnum": "1", "devnum": "2", "idVendor": "096e", "idProduct": "0807", "bcdDevice": "0100",
		"descriptors": "\x12\x01\x00\x02\x00\x00\x00\x40\x6e\x09\x07\x08\x00\x01\x00\x00\x00\x00"} {
		os.MkdirAll(dev, 0o755)
		if err := os.WriteFile(filepath.Join(dev, name), []byte(v), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	w := &watcher{
		Options: Options{Sysfs: root, Log: slog.New(slog.NewTextHandler(&log, nil))},
		list:    func() (map[place]bool, error) { return map[place]bool{{1, 2}: true}, nil },
		present: map[string]Device{},
	}
	step := func(want ...Kind) []Event {
		t.Helper()
		got := w.step()
		if len(got) != len(want) {
			t.Fatalf("events %v, want %v", got, want)
		}
		for i := range got {
			if got[i].Kind != want[i] {
				t.Fatalf("events %v, want %v", got, want)
			}
		}
		return got
	}
	if e := step(Inserted); !e[0].Device.Seen {
		t.Error("libusb's answer is lost")
	}
	step()
	write := func(name, v string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dev, name), []byte(v), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("devnum", "x")
	step()
	step()
	write("devnum", "2")
	step()
	write("devnum", "3") // a quick swap between two scans
	step(Removed, Inserted)
	os.Remove(filepath.Join(dev, "descriptors")) // on its way out
	step(Removed)
	write("descriptors", "\x12\x01")
	if e := step(Inserted); e[0].Device.Problem == "" || e[0].Device.VID != 0x096e {
		t.Errorf("%+v", e[0].Device)
	}
	os.RemoveAll(filepath.Join(root, "bus"))
	step(Removed)
	if n := strings.Count(log.String(), "no scan"); n != 2 {
		t.Errorf("%d lines about failed scans, want 2:\n%s", n, log.String())
	}
}

// The clock of the test is synctest's: the periodic scan costs nothing.
func TestRescanAndUevents(t *testing.T) {
	root := t.TempDir()
	plug := func(port, devnum string) {
		dev := filepath.Join(root, "bus/usb/devices", port)
		os.MkdirAll(dev, 0o755)
		for name, v := range map[string]string{"busnum": "1", "devnum": devnum, "idVendor": "096e", "idProduct": "0807", "bcdDevice": "0100",
			"descriptors": "\x12\x01\x00\x02\x00\x00\x00\x40\x6e\x09\x07\x08\x00\x01\x00\x00\x00\x00"} {
			os.WriteFile(filepath.Join(dev, name), []byte(v), 0o644)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		changed := make(chan struct{}, 1)
		w := &watcher{
			Options: Options{
				Sysfs: root, Rescan: time.Minute, Log: slog.New(slog.DiscardHandler),
				Uevents: func(context.Context) (<-chan struct{}, error) { return changed, nil },
			},
			list: func() (map[place]bool, error) { return nil, ErrUnavailable },
		}
		events, err := w.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		none := func() {
			t.Helper()
			synctest.Wait()
			select {
			case e := <-events:
				t.Fatalf("unexpected %v", e)
			default:
			}
		}
		start := time.Now()
		want := func(k Kind, port string, after time.Duration) {
			t.Helper()
			e := <-events
			if e.Kind != k || e.Device.Port != port || time.Since(start) != after {
				t.Fatalf("%v %v after %v, want %v %v after %v", e.Kind, e.Device, time.Since(start), k, port, after)
			}
		}
		none() // no bus at all
		plug("1-1", "2")
		changed <- struct{}{}
		want(Inserted, "1-1", settle)
		none()
		plug("1-2", "3") // its uevent is lost
		none()
		want(Inserted, "1-2", time.Minute)
		os.RemoveAll(filepath.Join(root, "bus/usb/devices/1-1"))
		want(Removed, "1-1", 2*time.Minute)
		os.RemoveAll(filepath.Join(root, "bus/usb/devices/1-2"))
		close(changed) // the socket fails; the periodic scan goes on
		want(Removed, "1-2", 2*time.Minute)
		cancel()
		if _, ok := <-events; ok {
			t.Error("event after the end")
		}
	})
}

func TestWatchNeedsOptions(t *testing.T) {
	for _, o := range []Options{{}, {Sysfs: "/sys"}, {Sysfs: "/sys", Rescan: 1}} {
		if _, err := NewWatcher(o).Watch(t.Context()); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
