package panel

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	keypadPoll  = 500 * time.Millisecond
	maxKeypads  = 4           // input nodes of one device: a keypad has one or two
	eventsAtOne = 64          // events of one read
	eviocGrab   = 0x4004_4590 // _IOW('E', 0x90, int)
)

// inputDevice is an open /dev/input/eventN.
type inputDevice interface {
	io.ReadCloser
	grab() error
}

// inputFiles is where input devices are. The zero value is the real place.
type inputFiles struct {
	sysfs string // "/sys/class/input"
	dev   string // "/dev/input"
	open  func(path string) (inputDevice, error)
}

// keypad listens to the input devices of one USB port. There is no udev: sysfs is
// looked at twice a second, for ever, as the device may be admitted late and may be
// pulled and put back. A device that cannot be grabbed is not listened to.
type keypad struct {
	port    string
	files   inputFiles
	press   func(rune) bool
	release func(rune)
	log     *slog.Logger

	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[string]inputDevice // by node name
}

func (k *keypad) run(ctx context.Context) {
	if k.files.sysfs == "" {
		k.files.sysfs = "/sys/class/input"
	}
	if k.files.dev == "" {
		k.files.dev = "/dev/input"
	}
	if k.files.open == nil {
		k.files.open = openInput
	}
	k.open = map[string]inputDevice{}
	defer k.wg.Wait()
	defer k.closeAll()
	failed := map[string]string{} // by node name: said already
	tick := time.NewTicker(keypadPoll)
	defer tick.Stop()
	for {
		found := k.find()
		for name := range failed {
			if !found[name] {
				delete(failed, name)
			}
		}
		for name := range found {
			if err := k.start(name); err != nil && failed[name] != err.Error() {
				failed[name] = err.Error()
				k.log.Error("keypad cannot be used", "port", k.port, "node", name, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// find names the input devices in the port.
func (k *keypad) find() map[string]bool {
	found := map[string]bool{}
	entries, err := os.ReadDir(k.files.sysfs)
	if err != nil {
		return found // no input device at all so far
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "event") && len(found) < maxKeypads && k.inPort(e.Name()) {
			found[e.Name()] = true
		}
	}
	return found
}

// inPort says whether an input device belongs to the USB device in our port. A device
// behind a hub in that port is in another one, "1-3.1".
func (k *keypad) inPort(name string) bool {
	path, err := filepath.EvalSymlinks(filepath.Join(k.files.sysfs, name))
	return err == nil && usbPort(path) == k.port
}

var (
	usbRootHub = regexp.MustCompile(`^usb[0-9]+$`)
	usbDevice  = regexp.MustCompile(`^[0-9]+-[0-9]+(\.[0-9]+)*$`)
)

// usbPort is the port in the path of a device in sysfs: the last of the components
// usb1/1-1/1-1.2 before the interface, 1-1.2:1.0.
func usbPort(path string) (port string) {
	inUSB := false
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case usbRootHub.MatchString(part):
			inUSB, port = true, ""
		case inUSB && usbDevice.MatchString(part):
			port = part
		case inUSB:
			if strings.HasPrefix(part, port+":") && port != "" {
				return port
			}
			return ""
		}
	}
	return ""
}

// start opens and grabs one device and reads it until it is gone.
func (k *keypad) start(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open[name] != nil {
		return nil
	}
	d, err := k.files.open(filepath.Join(k.files.dev, name))
	if err != nil {
		return err
	}
	// The number may have gone to another device between looking and opening.
	if !k.inPort(name) {
		d.Close()
		return fmt.Errorf("panel: keypad: %s is in another port by now", name)
	}
	if err := d.grab(); err != nil {
		d.Close()
		return fmt.Errorf("panel: keypad: EVIOCGRAB %s: %w", name, err)
	}
	k.open[name] = d
	k.log.Info("keypad", "port", k.port, "node", name)
	k.wg.Add(1)
	go k.read(name, d)
	return nil
}

func (k *keypad) read(name string, d inputDevice) {
	defer k.wg.Done()
	var keys keyboard
	var buf [eventsAtOne * sizeInputEvent]byte
	var err error
	for err == nil {
		var n int
		if n, err = d.Read(buf[:]); n > 0 {
			if bad := keys.read(buf[:n], k.press, k.release); bad != nil {
				err = bad
			}
		}
	}
	keys.releaseAll(k.release)
	clear(buf[:]) // digits of a PIN may be in it
	d.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open[name] == d {
		delete(k.open, name)
	}
	k.log.Info("keypad gone", "port", k.port, "node", name, "err", err)
}

func (k *keypad) closeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.open {
		d.Close()
	}
}

// inputFile is a real input device.
type inputFile struct{ *os.File }

// openInput opens without blocking, so that Close wakes a reader.
func openInput(path string) (inputDevice, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return inputFile{os.NewFile(uintptr(fd), path)}, nil
}

func (f inputFile) grab() error { return ioctlInt(f.File, eviocGrab, 1) }
