package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"mohr.internal/appliance/tokenlink"
	"mohr.internal/pkcs11"
	"mohr.internal/usb"
)

// Options of New.
type Options struct {
	Policy Policy

	// Start starts a worker. It is called without a lock held.
	Start func(Job) (*pkcs11.Worker, error)

	// Apply brings a device at the bus to what was decided. It can take long, and is
	// called without a lock held. nil: the bus admits everything by itself.
	Apply func(usb.Device, usb.Admission) error

	// Reader starts the PC/SC daemon of a device that was inserted. nil: none is
	// managed here, as on a desk.
	Reader func(usb.Device) Reader

	Deadlines pkcs11.Deadlines // overrides for tests

	// Life tells the ids of this life of tokend from those of another one.
	Life string

	Log *slog.Logger
}

// Job is what a worker is started for.
type Job struct {
	Module
	Device usb.Device
	PCSC   string // socket of the device's own PC/SC daemon, if it has one
}

// Reader is the PC/SC daemon of one device.
type Reader interface {
	// Ready waits until the daemon serves the device, and gives its socket. lost
	// is closed when that daemon ends.
	Ready(context.Context) (socket string, lost <-chan struct{}, err error)
	// Renew brings the daemon and the token into the state of an insertion; Ready
	// waits for that. Stop ends the daemon. Neither waits.
	Renew()
	Stop()
}

// Limits against enumeration storms and readers that do not read.
const (
	maxDevices = 64
	maxUnread  = 256
	maxApplied = 8 // devices being switched on at a time, as each may take seconds to fail
)

// Agent holds who is plugged in. It implements tokenlink.Agent.
type Agent struct {
	Options

	mu       sync.Mutex
	inserted int                    // counts insertions for ids
	applying int                    // devices being switched on or off
	ports    map[string]*sync.Mutex // one at a time in each port
	slots    []*slot
	watchers map[chan tokenlink.Event]bool
}

// slot is one inserted device.
type slot struct {
	port   string
	device tokenlink.Device
	usb    usb.Device
	module Module        // if supported
	pcsc   bool          // it needs a reader
	reader Reader        // nil: none is needed, or none is managed
	shown  bool          // watchers know it
	busy   bool          // attached, or its last worker is not yet reaped
	gone   chan struct{} // closed at removal
}

var _ tokenlink.Agent = (*Agent)(nil)

// New returns an agent with nothing plugged in.
func New(o Options) *Agent {
	return &Agent{Options: o, watchers: map[chan tokenlink.Event]bool{}, ports: map[string]*sync.Mutex{}}
}

// Follow handles events until the channel is closed.
func (a *Agent) Follow(events <-chan usb.Event) {
	for e := range events {
		a.Handle(e)
	}
}

// Handle takes one USB event: the worker of a removed device is being killed and
// all watchers have the event in their queue when it returns. Where devices are
// admitted at the bus, an insertion is told after that.
func (a *Agent) Handle(e usb.Event) {
	var v verdict
	if e.Kind == usb.Inserted {
		v = a.Policy.judge(e.Device) // looks at files: before the lock
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(e.Device.Port) // also if an insertion takes the port over
	if e.Kind != usb.Inserted {
		return
	}
	if len(a.slots) == maxDevices {
		a.Log.Warn("too many devices", "limit", maxDevices, "port", e.Device.Port)
		return
	}
	a.inserted++
	s := &slot{port: e.Device.Port, device: v.device, usb: e.Device, module: v.module, pcsc: v.pcsc, gone: make(chan struct{})}
	s.device.ID = fmt.Sprintf("%s-%d", a.Life, a.inserted)
	a.slots = append(a.slots, s)
	if a.Apply == nil {
		a.show(s)
		return
	}
	if a.applying++; a.applying > maxApplied {
		a.applying--
		a.Log.Warn("too many devices at a time", "limit", maxApplied, "port", s.port)
		s.refuse(tokenlink.RuleNoAnswer)
		a.show(s)
		return
	}
	port := a.ports[s.port]
	if port == nil {
		port = &sync.Mutex{}
		a.ports[s.port] = port
	}
	go func() {
		port.Lock()
		defer port.Unlock()
		a.apply(s, v)
	}()
}

// apply admits a device at the bus, or refuses it there, and then shows it.
func (a *Agent) apply(s *slot, v verdict) {
	var err error
	if !over(s.gone) { // else the port is another device's
		err = a.Apply(s.usb, v.admission)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.applying--
	if err != nil {
		a.Log.Error("not admitted", "id", s.device.ID, "port", s.port, "err", err)
	}
	switch {
	case over(s.gone):
	case v.silent && err == nil:
		a.Log.Info("admitted", "id", s.device.ID, "port", s.port, "interfaces", fmt.Sprint(v.admission.Interfaces))
	case err != nil && s.device.Reason == "":
		s.refuse(tokenlink.RuleNoAnswer)
		fallthrough
	default:
		a.show(s)
	}
}

func over(gone <-chan struct{}) bool {
	select {
	case <-gone:
		return true
	default:
		return false
	}
}

// refuse takes back that the device is supported.
func (s *slot) refuse(rule string) { s.device.Supported, s.device.Reason, s.pcsc = false, rule, false }

// show makes a device known. The lock is held.
func (a *Agent) show(s *slot) {
	s.shown = true
	d := s.device
	a.Log.Info("inserted", "id", d.ID, "port", d.Port, "role", d.Role, "usb", fmt.Sprintf("%04x:%04x", d.VID, d.PID),
		"classes", d.Classes, "model", d.Model, "reason", d.Reason, "problem", s.usb.Problem)
	if s.pcsc && a.Reader != nil {
		s.reader = a.Reader(s.usb)
	}
	a.tell(tokenlink.Event{Kind: tokenlink.Inserted, Device: d})
}

// remove drops the device in a port, if there is one. The lock is held.
func (a *Agent) remove(port string) {
	i := slices.IndexFunc(a.slots, func(s *slot) bool { return s.port == port })
	if i < 0 {
		return
	}
	s := a.slots[i]
	a.slots = slices.Delete(a.slots, i, i+1)
	close(s.gone)
	if s.reader != nil {
		s.reader.Stop()
	}
	a.Log.Info("removed", "id", s.device.ID, "port", port, "attached", s.busy)
	if s.shown {
		a.tell(tokenlink.Event{Kind: tokenlink.Removed, Device: s.device})
	}
}

// tell queues an event for all watchers. The lock is held.
func (a *Agent) tell(e tokenlink.Event) {
	for w := range maps.Keys(a.watchers) {
		select {
		case w <- e:
		default:
			a.Log.Warn("watcher does not read", "unread", maxUnread)
			a.drop(w)
		}
	}
}

// Close removes all devices.
func (a *Agent) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.slots) > 0 {
		a.remove(a.slots[0].port)
	}
}

// drop ends a watcher once. The lock is held.
func (a *Agent) drop(w chan tokenlink.Event) {
	if a.watchers[w] {
		delete(a.watchers, w)
		close(w)
	}
}

// Watch implements tokenlink.Agent.
func (a *Agent) Watch(ctx context.Context) <-chan tokenlink.Event {
	w := make(chan tokenlink.Event, maxUnread)
	a.mu.Lock()
	defer a.mu.Unlock()
	all := tokenlink.Event{Kind: tokenlink.Snapshot}
	for _, s := range a.slots {
		if s.shown {
			all.Devices = append(all.Devices, s.device)
		}
	}
	w <- all
	a.watchers[w] = true
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.drop(w)
	})
	return w
}

// claim finds a device that can be attached and marks it busy.
func (a *Agent) claim(id string) (*slot, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.slots, func(s *slot) bool { return s.shown && s.device.ID == id })
	switch {
	case i < 0:
		return nil, tokenlink.ErrNoDevice
	case !a.slots[i].device.Supported:
		return nil, fmt.Errorf("%w: %s", tokenlink.ErrUnsupported, a.slots[i].device.Reason)
	case a.slots[i].busy:
		return nil, tokenlink.ErrBusy
	}
	a.slots[i].busy = true
	return a.slots[i], nil
}

func (a *Agent) release(s *slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.busy = false
}
