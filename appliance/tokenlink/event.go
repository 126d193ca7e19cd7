package tokenlink

import (
	"errors"
	"fmt"
	"strings"
)

// Role is what a port is for.
type Role string

const (
	Citizen Role = "citizen"
	Officer Role = "officer"
	Other   Role = "other"
)

// Rule ids in Device.Reason: why a device is not supported.
const (
	RuleUnknown     = "USB-UNKNOWN"     // no row of the catalogue fits
	RuleNoModule    = "USB-NO-MODULE"   // the model is known, but no PKCS#11 module for it is on this machine
	RuleForeign     = "USB-FOREIGN"     // the model is known, and its modules exist for x86 processors only
	RuleDescriptors = "USB-DESCRIPTORS" // the device's descriptors are malformed
	RuleInterfaces  = "USB-INTERFACES"  // a known token with something in it that this model does not have
	RuleNoAnswer    = "TOKEN-NO-ANSWER" // could not be switched on at the bus
)

// Device is one inserted device.
type Device struct {
	ID        string `json:"id"` // of this insertion
	Role      Role   `json:"role"`
	VID       uint16 `json:"vid"`
	PID       uint16 `json:"pid"`
	Model     string `json:"model,omitempty"` // catalogue name, if known
	Supported bool   `json:"supported"`
	Reason    string `json:"reason,omitempty"` // rule id if not supported

	// For the record of an unknown token. The texts are the device's own words.
	Port         string `json:"port,omitempty"`
	Classes      string `json:"classes,omitempty"` // interface classes, e.g. "03 0b"
	Manufacturer string `json:"manufacturer,omitempty"`
	Product      string `json:"product,omitempty"`
	Serial       string `json:"serial,omitempty"`

	// Description is for the screen of a device that is refused: what staff send in
	// as a QR code (usb.Description), without serial numbers.
	Description string `json:"description,omitempty"`
}

// What a description may be: it goes on a screen as it is, where nothing else must
// be taken for a receipt.
const (
	maxDescription = 320
	base32         = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

func (d *Device) check() error {
	if d.Role != Citizen && d.Role != Officer && d.Role != Other {
		return fmt.Errorf("role %.16q", d.Role)
	}
	if d.Supported != (d.Reason == "") {
		return fmt.Errorf("supported %v with reason %.32q", d.Supported, d.Reason)
	}
	if s, ok := strings.CutPrefix(d.Description, "MT1:"); ok != (d.Description != "") || len(s) > maxDescription || strings.Trim(s, base32) != "" {
		return fmt.Errorf("description %.32q of %d bytes", d.Description, len(d.Description))
	}
	errs := []error{checkText("id", d.ID, 1)}
	for name, s := range map[string]string{
		"model": d.Model, "reason": d.Reason, "port": d.Port, "classes": d.Classes,
		"manufacturer": d.Manufacturer, "product": d.Product, "serial": d.Serial,
	} {
		errs = append(errs, checkText(name, s, 0))
	}
	return errors.Join(errs...)
}

// Kind is what an event says.
type Kind string

const (
	Snapshot Kind = "snapshot" // Devices are all that are inserted; forget what was known before
	Inserted Kind = "inserted" // Device is new
	Removed  Kind = "removed"  // Device is gone; its id will not come back
	Away     Kind = "away"     // tokend cannot be reached; of the Client only, never on the wire
)

// Event is one change.
type Event struct {
	Kind    Kind     `json:"kind"`
	Device  Device   `json:"device,omitzero"`   // Inserted and Removed
	Devices []Device `json:"devices,omitempty"` // Snapshot, oldest insertion first
}

func (e *Event) check() error {
	if len(e.Devices) == 0 {
		e.Devices = nil
	}
	switch e.Kind {
	case Snapshot:
		if e.Device != (Device{}) || len(e.Devices) > maxDevices {
			return fmt.Errorf("snapshot of %d devices", len(e.Devices))
		}
		for i := range e.Devices {
			if err := e.Devices[i].check(); err != nil {
				return err
			}
		}
		return nil
	case Inserted, Removed:
		if e.Devices != nil {
			return fmt.Errorf("%s without one device", e.Kind)
		}
		return e.Device.check()
	}
	return fmt.Errorf("kind %.16q", e.Kind)
}

// Errors of Attach and of the bench.
var (
	ErrNoDevice    = errors.New("no such device") // removed, or of an earlier life of tokend
	ErrUnsupported = errors.New("device is not supported")
	ErrBusy        = errors.New("device is in use")
	ErrWorker      = errors.New("worker did not start")
	ErrRequest     = errors.New("bad request")
	ErrBench       = errors.New("bench refuses") // unknown key, or already so
)

// codes are the errors on the wire.
var codes = map[string]error{
	"no-device": ErrNoDevice, "unsupported": ErrUnsupported, "busy": ErrBusy,
	"worker": ErrWorker, "request": ErrRequest, "bench": ErrBench,
}

// replyTo makes the reply for the outcome err of a request.
func replyTo(err error) *reply {
	if err == nil {
		return &reply{OK: true}
	}
	r := &reply{Error: "worker", Text: err.Error()}
	for code, e := range codes {
		if errors.Is(err, e) {
			r.Error = code
		}
	}
	if len(r.Text) > maxText {
		r.Text = r.Text[:maxText]
	}
	return r
}

// err is the outcome that a reply tells.
func (r *reply) err() error {
	if r.OK {
		return nil
	}
	return fmt.Errorf("tokenlink: %w: %s", codes[r.Error], r.Text)
}
