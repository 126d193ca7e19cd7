package usb

import (
	"fmt"

	"github.com/google/gousb"
)

// place is where libusb finds a device.
type place struct{ bus, address int }

// listLibusb asks a new libusb context for all devices.
func listLibusb() (map[place]bool, error) { return listWith(gousb.NewContext) }

// listWith is guarded, as gousb panics where libusb cannot start: no /dev/bus/usb,
// no right to it, or no file descriptor left.
func listWith(newContext func() *gousb.Context) (seen map[place]bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			seen, err = nil, fmt.Errorf("%w: libusb: %v", ErrUnavailable, r)
		}
	}()
	ctx := newContext()
	defer ctx.Close()
	seen = map[place]bool{}
	// Nothing is opened; an error is about single devices and does not matter.
	_, _ = ctx.OpenDevices(func(d *gousb.DeviceDesc) bool {
		seen[place{d.Bus, d.Address}] = true
		return false
	})
	return seen, nil
}
