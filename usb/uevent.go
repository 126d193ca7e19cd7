package usb

import (
	"errors"
	"fmt"
	"strings"
)

// maxUevent bounds one message. The kernel's buffer for variables has 2048
// bytes (UEVENT_BUFFER_SIZE); the header adds a path.
const maxUevent = 8 << 10

// Uevent is one message of the kernel about a device.
type Uevent struct {
	Action, DevPath string
	Vars            []string // NAME=value, with ACTION and DEVPATH, in the order sent
}

// ParseUevent reads one netlink message: "action@devpath", then variables, each
// ended by a NUL byte (kobject_uevent_net_broadcast in lib/kobject_uevent.c).
// Messages of udevd, which begin with "libudev", are refused.
func ParseUevent(b []byte) (Uevent, error) {
	if len(b) > maxUevent {
		return Uevent{}, fmt.Errorf("usb: uevent: longer than %d bytes", maxUevent)
	}
	head, rest, ok := strings.Cut(string(b), "\x00")
	if !ok {
		return Uevent{}, errors.New("usb: uevent: header is not ended")
	}
	action, path, ok := strings.Cut(head, "@")
	if !ok || action == "" || !strings.HasPrefix(path, "/") {
		return Uevent{}, fmt.Errorf("usb: uevent: header %.64q is not action@path", head)
	}
	u := Uevent{Action: action, DevPath: path}
	seen := map[string]bool{}
	for rest != "" {
		var v string
		if v, rest, ok = strings.Cut(rest, "\x00"); !ok {
			return Uevent{}, errors.New("usb: uevent: last variable is not ended")
		}
		name, _, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return Uevent{}, fmt.Errorf("usb: uevent: %.64q is not NAME=value", v)
		}
		if seen[name] {
			return Uevent{}, fmt.Errorf("usb: uevent: %.64q given twice", name)
		}
		seen[name] = true
		u.Vars = append(u.Vars, v)
	}
	if u.Var("ACTION") != action || u.Var("DEVPATH") != path {
		return Uevent{}, fmt.Errorf("usb: uevent: header %.64q does not agree with ACTION and DEVPATH", head)
	}
	return u, nil
}

// Marshal returns the bytes that ParseUevent reads.
func (u Uevent) Marshal() []byte {
	return []byte(strings.Join(append([]string{u.Action + "@" + u.DevPath}, u.Vars...), "\x00") + "\x00")
}

// Var returns the value of a variable, or "".
func (u Uevent) Var(name string) string {
	for _, v := range u.Vars {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// IsUSB says whether the message is about a USB device or interface.
func (u Uevent) IsUSB() bool { return u.Var("SUBSYSTEM") == "usb" }
