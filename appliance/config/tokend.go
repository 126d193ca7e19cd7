package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tokend is the configuration of the program that owns USB and the tokens.
type Tokend struct {
	Socket     string   `json:"socket"` // socket that tokend listens on for kioskd
	USB        USB      `json:"usb"`
	ModuleDirs []string `json:"module_dirs,omitempty"` // optional; searched, in order, for the catalogue's module file names
	Modules    []Module `json:"modules,omitempty"`     // optional; modules that need an exact path or an environment
	PCSCD      string   `json:"pcscd,omitempty"`       // optional; the PC/SC daemon's program, started for each device that needs it; none = somebody else runs it
	Desk       *Desk    `json:"desk,omitempty"`

	Catalogue *Profile `json:"catalogue,omitempty"` // optional; a token catalogue that came later than the program
}

// USB says whether real USB is watched and which port has which role.
type USB struct {
	Enabled bool     `json:"enabled"`
	Sysfs   string   `json:"sysfs"`             // root of sysfs, "/sys"
	Rescan  Duration `json:"rescan"`            // a lost uevent is healed after so long
	Admit   bool     `json:"admit,omitempty"`   // devices are off until they are admitted: on the appliance
	Ports   []Port   `json:"ports,omitempty"`   // a port that is not listed has the role "other"
	Readers []Reader `json:"readers,omitempty"` // optional; the office's card readers
}

// Reader is a card reader (CCID) that the office has. A reader is no token: the
// catalogue has the cards.
type Reader struct {
	VID   Hex16  `json:"vid"`   // four hexadecimal digits
	PID   Hex16  `json:"pid"`   // four hexadecimal digits
	Cards string `json:"cards"` // the catalogue's model of the cards used in it
}

// Port gives the sysfs name of a port ("1-1.2") a role.
type Port struct {
	Port string `json:"port"`
	Role string `json:"role"` // citizen, officer or other
}

// Module says how the module of a catalogue model is loaded on this machine.
type Module struct {
	Model string            `json:"model"` // as in the catalogue
	Path  string            `json:"path"`
	Env   map[string]string `json:"env,omitempty"` // of the worker, which inherits nothing but gets TMPDIR and HOME
}

// Desk is the bench of a desk: devices that are inserted and removed by key
// through a socket instead of by hand. Paths never come from that socket.
type Desk struct {
	Socket  string       `json:"socket"` // socket that tokend listens on for the bench
	Devices []DeskDevice `json:"devices"`
}

// DeskDevice stands for one token on the bench.
type DeskDevice struct {
	Key     string            `json:"key"`
	Role    string            `json:"role"`              // citizen, officer or other
	VID     Hex16             `json:"vid"`               // four hexadecimal digits
	PID     Hex16             `json:"pid"`               // four hexadecimal digits
	Classes []Hex8            `json:"classes,omitempty"` // interface classes, two hexadecimal digits each
	Model   string            `json:"model,omitempty"`
	Module  string            `json:"module,omitempty"` // path; none = only the catalogue can make it supported
	Env     map[string]string `json:"env,omitempty"`
}

// Hex16 is a USB vendor or product id, written "096e".
type Hex16 uint16

// UnmarshalText reads exactly four lower-case hexadecimal digits.
func (h *Hex16) UnmarshalText(b []byte) error {
	v, err := parseHex(b, 4)
	*h = Hex16(v)
	return err
}

// MarshalText writes four hexadecimal digits.
func (h Hex16) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04x", uint16(h)), nil }

// Hex8 is a USB class, written "0b".
type Hex8 uint8

// UnmarshalText reads exactly two lower-case hexadecimal digits.
func (h *Hex8) UnmarshalText(b []byte) error {
	v, err := parseHex(b, 2)
	*h = Hex8(v)
	return err
}

// MarshalText writes two hexadecimal digits.
func (h Hex8) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%02x", uint8(h)), nil }

func parseHex(b []byte, digits int) (uint64, error) {
	v, err := strconv.ParseUint(string(b), 16, 4*digits)
	if err != nil || len(b) != digits || strings.ToLower(string(b)) != string(b) {
		return 0, fmt.Errorf("%q is not %d lower-case hexadecimal digits", b, digits)
	}
	return v, nil
}

// Environ returns env as sorted NAME=value strings.
func Environ(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// Validate names every bad key.
func (t *Tokend) Validate() error {
	var c checker
	c.socket("socket", t.Socket)
	if t.USB.Enabled {
		c.path("usb.sysfs", t.USB.Sysfs)
		c.duration("usb.rescan", t.USB.Rescan, 100*time.Millisecond, time.Hour)
	}
	ports := map[string]bool{}
	for i, p := range t.USB.Ports {
		key := fmt.Sprintf("usb.ports[%d]", i)
		c.name(key+".port", p.Port)
		if t.USB.Admit {
			c.oneOf(key+".role", p.Role, "citizen", "officer", "other", "keypad", "hub")
		} else {
			c.oneOf(key+".role", p.Role, "citizen", "officer", "other")
		}
		if ports[p.Port] {
			c.bad(key+".port", "%q is listed twice", p.Port)
		}
		ports[p.Port] = true
	}
	readers := map[[2]Hex16]bool{}
	for i, r := range t.USB.Readers {
		key := fmt.Sprintf("usb.readers[%d]", i)
		if r.VID == 0 {
			c.bad(key+".vid", "missing or 0000")
		}
		if ids := [2]Hex16{r.VID, r.PID}; readers[ids] {
			c.bad(key, "%04x:%04x is listed twice", uint16(r.VID), uint16(r.PID))
		}
		readers[[2]Hex16{r.VID, r.PID}] = true
		c.text(key+".cards", r.Cards)
	}
	if t.Catalogue != nil {
		t.Catalogue.check(&c, "catalogue")
	}
	if t.PCSCD != "" {
		c.path("pcscd", t.PCSCD)
	}
	for i, d := range t.ModuleDirs {
		c.path(fmt.Sprintf("module_dirs[%d]", i), d)
	}
	models := map[string]bool{}
	for i, m := range t.Modules {
		key := fmt.Sprintf("modules[%d]", i)
		c.text(key+".model", m.Model)
		c.path(key+".path", m.Path)
		c.env(key+".env", m.Env)
		if models[m.Model] {
			c.bad(key+".model", "%q is listed twice", m.Model)
		}
		models[m.Model] = true
	}
	if t.Desk != nil {
		t.Desk.check(&c)
		if t.Desk.Socket == t.Socket {
			c.bad("desk.socket", "is the same as socket")
		}
	}
	return c.err()
}

func (d *Desk) check(c *checker) {
	c.socket("desk.socket", d.Socket)
	c.within("desk.devices", int64(len(d.Devices)), 1, 64)
	keys := map[string]bool{}
	for i, v := range d.Devices {
		key := fmt.Sprintf("desk.devices[%d]", i)
		c.name(key+".key", v.Key)
		if keys[v.Key] {
			c.bad(key+".key", "%q is listed twice", v.Key)
		}
		keys[v.Key] = true
		c.oneOf(key+".role", v.Role, "citizen", "officer", "other")
		if v.VID == 0 {
			c.bad(key+".vid", "missing or 0000")
		}
		if v.Module != "" {
			c.path(key+".module", v.Module)
			c.text(key+".model", v.Model)
		} else if v.Model != "" || len(v.Env) > 0 {
			c.bad(key+".module", "missing, though model or env is given")
		}
		c.env(key+".env", v.Env)
	}
}

// env refuses names that a shell would not take and variables that make the
// loader run other code than the configured module.
func (c *checker) env(key string, env map[string]string) {
	for k, v := range env {
		full := key + "." + k
		switch {
		case k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0):
			c.bad(full, "not a variable: \"=\" or NUL in it")
		case strings.HasPrefix(k, "LD_"):
			c.bad(full, "variables of the dynamic loader are not allowed")
		}
	}
}
