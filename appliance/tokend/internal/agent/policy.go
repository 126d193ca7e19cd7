package agent

import (
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/usb"
)

// Module is a PKCS#11 module as one worker loads it.
type Module struct {
	Model string
	Path  string
	Env   []string // the worker's environment
}

// Policy is what is known of ports, models and modules.
type Policy struct {
	Lookup func(usb.Device) []usb.Model // the catalogue
	Roles  map[string]tokenlink.Role    // by port; another port is tokenlink.Other
	Desk   map[string]Module            // by port: the bench's devices that bring their module
	Models map[string]Module            // by model: exact module and environment
	Dirs   []string                     // searched for the catalogue's module names

	// Ports that are not for tokens. They have a meaning only where devices are
	// admitted at the bus.
	Keypads, Hubs map[string]bool
	Admit         bool // devices are off until they are admitted

	Arch string // of the machine as in GOARCH; "" is this one

	// Loadable says why a file cannot be a module on this machine; LoadableELF,
	// or a fake.
	Loadable func(path string) error
}

// NewPolicy makes the policy of a configuration.
func NewPolicy(c *config.Tokend, catalogue *usb.Catalogue) Policy {
	p := Policy{
		Lookup: lookup(c.USB.Readers, catalogue), Dirs: c.ModuleDirs, Loadable: LoadableELF,
		Roles: map[string]tokenlink.Role{}, Desk: map[string]Module{}, Models: map[string]Module{},
		Keypads: map[string]bool{}, Hubs: map[string]bool{}, Admit: c.USB.Admit,
	}
	for _, port := range c.USB.Ports {
		switch port.Role {
		case "keypad":
			p.Keypads[port.Port] = true
		case "hub":
			p.Hubs[port.Port] = true
		default:
			p.Roles[port.Port] = tokenlink.Role(port.Role)
		}
	}
	for _, m := range c.Modules {
		p.Models[m.Model] = Module{m.Model, m.Path, config.Environ(m.Env)}
	}
	if c.Desk != nil {
		for _, d := range c.Desk.Devices {
			p.Roles[deskPort(d.Key)] = tokenlink.Role(d.Role)
			if d.Module != "" {
				p.Desk[deskPort(d.Key)] = Module{d.Model, d.Module, config.Environ(d.Env)}
			}
		}
	}
	return p
}

// lookup is the catalogue's, with the office's card readers: a reader has no
// model of its own, its cards have.
func lookup(readers []config.Reader, catalogue *usb.Catalogue) func(usb.Device) []usb.Model {
	return func(d usb.Device) []usb.Model {
		found := catalogue.Lookup(d)
		for _, r := range readers {
			if d.VID == uint16(r.VID) && d.PID == uint16(r.PID) && d.Problem == "" && d.HasClass(usb.ClassCCID) {
				found = append(found, catalogue.Cards(r.Cards)...)
			}
		}
		return found
	}
}

// verdict is what the policy says of an insertion.
type verdict struct {
	device tokenlink.Device // without id
	module Module           // if the device is supported
	pcsc   bool             // the module reaches it through the PC/SC daemon

	admission usb.Admission // what is switched on at the bus
	silent    bool          // a keypad or a hub in its place: no news for kioskd
}

// judge decides by port, ids and interface classes. Of the candidate models the
// first whose module is on this machine wins; the token itself has the last word
// when the module looks for it.
func (p Policy) judge(d usb.Device) verdict {
	v := verdict{device: tokenlink.Device{
		Role: tokenlink.Other, VID: d.VID, PID: d.PID, Port: cut(d.Port), Classes: classes(d),
		Manufacturer: cut(d.Manufacturer), Product: cut(d.Product), Serial: cut(d.Serial), Description: usb.Describe(d).Text(),
	}}
	if role, ok := p.Roles[d.Port]; ok {
		v.device.Role = role
	}
	refuse := func(model, rule string) verdict {
		v.device.Model, v.device.Reason = model, rule
		return v
	}
	admit := func(m Module) verdict {
		v.device.Model, v.device.Supported, v.module = m.Model, true, m
		return v
	}
	if d.Problem != "" {
		return refuse("", tokenlink.RuleDescriptors)
	}
	if p.Keypads[d.Port] || p.Hubs[d.Port] {
		allowed := usb.AdmitKeypad
		if p.Hubs[d.Port] {
			allowed = usb.AdmitHub
		}
		if v.admission, v.silent = allowed(d); !v.silent {
			return refuse("", tokenlink.RuleUnknown)
		}
		return v
	}
	if m, ok := p.Desk[d.Port]; ok {
		if p.Loadable(m.Path) != nil {
			return refuse(m.Model, tokenlink.RuleNoModule)
		}
		return admit(m)
	}
	candidates := p.Lookup(d)
	if len(candidates) == 0 {
		return refuse("", tokenlink.RuleUnknown)
	}
	if p.Admit {
		if v.device.Role == tokenlink.Other {
			return refuse("", tokenlink.RuleUnknown) // no port for tokens
		}
		candidates = slices.DeleteFunc(candidates, func(m usb.Model) bool {
			_, ok := m.Admit(d)
			return !ok
		})
		if len(candidates) == 0 {
			return refuse("", tokenlink.RuleInterfaces)
		}
	}
	for _, model := range candidates {
		if m, ok := p.find(model); ok {
			v.admission, _ = model.Admit(d)
			v.pcsc = model.PCSC == usb.Yes || model.PCSC == usb.Unknown && d.HasClass(usb.ClassCCID)
			return admit(m)
		}
	}
	if candidates[0].ForeignTo(p.arch()) {
		return refuse(candidates[0].Name, tokenlink.RuleForeign)
	}
	return refuse(candidates[0].Name, tokenlink.RuleNoModule)
}

func (p Policy) arch() string {
	if p.Arch != "" {
		return p.Arch
	}
	return runtime.GOARCH
}

// find looks for a model's module on this machine: the configured one and no
// other, else the catalogue's names in their order.
func (p Policy) find(model usb.Model) (Module, bool) {
	if m, ok := p.Models[model.Name]; ok {
		return m, p.Loadable(m.Path) == nil
	}
	for _, name := range model.Modules {
		paths := []string{name}
		if !filepath.IsAbs(name) {
			paths = nil
			for _, dir := range p.Dirs {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
		for _, path := range paths {
			if p.Loadable(path) == nil {
				return Module{Model: model.Name, Path: path}, true
			}
		}
	}
	return Module{}, false
}

// machines are the ELF machines of the architectures the kiosk runs on.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// LoadableELF says whether a file is a shared object for this architecture: a
// process loads only modules of its own, and most vendors' modules exist for
// x86-64 only.
func LoadableELF(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("agent: module %s: %w", path, err)
	}
	defer f.Close()
	if f.Machine != machines[runtime.GOARCH] {
		return fmt.Errorf("agent: module %s: for %v, not for %s", path, f.Machine, runtime.GOARCH)
	}
	if f.Type != elf.ET_DYN {
		return errors.New("agent: module " + path + ": not a shared object")
	}
	return nil
}

// classes lists the interface classes once each, e.g. "03 0b".
func classes(d usb.Device) string {
	var all []string
	for _, i := range d.Interfaces {
		all = append(all, fmt.Sprintf("%02x", i.Class))
	}
	slices.Sort(all)
	return cut(strings.Join(slices.Compact(all), " "))
}

// cut keeps a text within the bounds of a message, at a character's edge.
func cut(s string) string {
	const maxText = 256
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
