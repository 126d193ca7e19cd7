package kiosk

import (
	"context"
	"sync"
	"time"

	"mohr.internal/pkcs11"
)

// Role says whose token a port is for.
type Role string

// The two ports a counter has.
const (
	RoleCitizen Role = "citizen"
	RoleOfficer Role = "officer"
)

// Device is a token that is plugged in. ID is new at every insertion.
type Device struct {
	ID        string
	Role      Role
	Model     string
	Supported bool
	Reason    string // rule ID, why not

	// For the page of a device that is refused: "096e:0702", and the text of a QR
	// code that support can make something of.
	USB         string
	Description string
}

// DeviceEvent says that a device came or went. Without a device (Device.ID is empty)
// it says whether the token program itself can be reached.
type DeviceEvent struct {
	Device  Device
	Present bool
}

// Tokens is the kiosk's view of the token program.
type Tokens interface {
	// Events tells what is plugged in, first what is there already.
	Events(ctx context.Context) <-chan DeviceEvent
	// Open starts a session with a device; closing it ends the worker.
	Open(ctx context.Context, deviceID string) (*pkcs11.Session, error)
	// Busy is the time spent so far in waiting for tokens, for the log.
	Busy() time.Duration
}

// presence knows what is plugged in now.
type presence struct {
	mu      sync.Mutex
	devices map[string]Device
	lost    bool // the token program cannot be reached
	changed chan struct{}
}

func newPresence() *presence {
	return &presence{devices: map[string]Device{}, changed: make(chan struct{})}
}

// follow keeps presence up to date until the events end.
func (p *presence) follow(events <-chan DeviceEvent) {
	for e := range events {
		p.mu.Lock()
		switch {
		case e.Device.ID == "":
			p.lost = !e.Present
		case e.Present:
			p.devices[e.Device.ID] = e.Device
		default:
			delete(p.devices, e.Device.ID)
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// look returns the devices of a role and a channel that closes at the next change.
func (p *presence) look(role Role) ([]Device, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []Device
	for _, d := range p.devices {
		if d.Role == role {
			found = append(found, d)
		}
	}
	return found, p.changed
}

// away says whether the token program cannot be reached.
func (p *presence) away() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// wait returns the first device of a role that comes or is there.
func (p *presence) wait(ctx context.Context, role Role) (Device, error) {
	for {
		found, changed := p.look(role)
		if len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-ctx.Done():
			return Device{}, context.Cause(ctx)
		case <-changed:
		}
	}
}

// here says whether the device is plugged in.
func (p *presence) here(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, there := p.devices[id]
	return there
}

// gone waits until the device is no longer there.
func (p *presence) gone(ctx context.Context, id string) error {
	for {
		p.mu.Lock()
		_, there := p.devices[id]
		changed := p.changed
		p.mu.Unlock()
		if !there {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// bind returns a context that ends, with the given refusal as its cause, when the
// device is pulled.
func (p *presence) bind(ctx context.Context, id, rule string) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	go func() {
		if p.gone(bound, id) == nil {
			cancel(&Refusal{Rule: rule})
		}
	}()
	return bound, func() { cancel(context.Canceled) }
}
