package agent

import (
	"fmt"
	"sync"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/usb"
)

// deskPort is the port of a desk's device. The kernel names no port like this.
func deskPort(key string) string { return "desk-" + key }

// Bench makes USB events from the keys of a desk's devices. It implements
// tokenlink.BenchAgent.
type Bench struct {
	handle func(usb.Event)

	mu      sync.Mutex
	devices map[string]usb.Device
	in      map[string]bool
	address int
}

var _ tokenlink.BenchAgent = (*Bench)(nil)

// NewBench returns the bench of a configuration, with nothing plugged in. handle
// takes the events: Agent.Handle.
func NewBench(c *config.Desk, handle func(usb.Event)) *Bench {
	b := &Bench{handle: handle, devices: map[string]usb.Device{}, in: map[string]bool{}}
	for _, d := range c.Devices {
		dev := usb.Device{VID: uint16(d.VID), PID: uint16(d.PID), Port: deskPort(d.Key)}
		for i, class := range d.Classes {
			dev.Interfaces = append(dev.Interfaces, usb.Interface{Configuration: 1, Number: uint8(i), Class: uint8(class)})
		}
		b.devices[d.Key] = dev
	}
	return b
}

// Insert plugs the device with the key in.
func (b *Bench) Insert(key string) error { return b.set(key, true) }

// Remove pulls it out.
func (b *Bench) Remove(key string) error { return b.set(key, false) }

func (b *Bench) set(key string, in bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.devices[key]
	switch {
	case !ok:
		return fmt.Errorf("%w: no device %q is configured", tokenlink.ErrBench, cut(key))
	case b.in[key] == in && in:
		return fmt.Errorf("%w: %q is inserted already", tokenlink.ErrBench, key)
	case b.in[key] == in:
		return fmt.Errorf("%w: %q is not inserted", tokenlink.ErrBench, key)
	}
	kind := usb.Removed
	if in {
		kind = usb.Inserted
		b.address++
	}
	d.Address = b.address
	b.in[key] = in
	b.handle(usb.Event{Kind: kind, Device: d})
	return nil
}
