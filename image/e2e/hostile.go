package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mohr.internal/display/panel"
)

// keyboardAsToken plugs a keyboard into the citizen's port and types on it. QEMU
// gives keys to the keyboard that came last.
func (s *Suite) keyboardAsToken(ctx context.Context, g *Guest) error {
	s.report.Title("A USB keyboard in the citizen's port, as a token")
	mark, keyboards := g.Console.Mark(), g.Console.Count(0, "input: ", "Keyboard")
	if err := g.QMP.Do(qmpLimit, "device_add", map[string]any{"driver": "usb-kbd", "id": "evil", "bus": "xhci.0", "port": citizenPort}, nil); err != nil {
		return s.report.Check("keyboard plugged in", err)
	}
	// The kernel has seen it when it says so; what the kiosk does is waited for below.
	_, _, err := g.Console.Wait(ctx, screenLimit, "the kernel to see a new USB device", mark, func(l string) bool {
		return has(l, "usb 1-"+citizenPort) || has(l, "port=1-"+citizenPort)
	})
	if s.report.Check("the kernel sees the device", err) != nil {
		return err
	}
	time.Sleep(3 * time.Second) // for whatever would take it in
	if err := g.typeEvil(); err != nil {
		return s.report.Check("keys typed", err)
	}
	err = g.restarted(mark)
	if g.Console.Count(0, "input: ", "Keyboard") != keyboards {
		err = fmt.Errorf("the kernel took it as an input device:\n%s", g.Console.Tail(10))
	}
	for _, l := range g.Console.Lines(mark) {
		if id := screenID(l.Text); err == nil && id != "" && !slices.Contains([]string{"idle", "reading", "refused"}, id) {
			err = fmt.Errorf("screen %s", id)
		}
	}
	s.report.Check("nothing that is typed on it arrives, Ctrl-Alt-Del included", err)
	err = nil
	if g.Console.Count(mark, "rule=USB-UNKNOWN") == 0 {
		err = fmt.Errorf("no rule USB-UNKNOWN in the log:\n%s", g.Console.Tail(10))
	}
	s.report.Check("the kiosk refuses it as a device it does not know", err)
	if err := g.remove("evil"); err != nil {
		return s.report.Check("keyboard pulled out", err)
	}
	g.seen = g.Console.Mark()
	if err := g.Key(panel.KeyOK, tap); err != nil {
		return err
	}
	if _, _, err := g.Await(ctx, screenLimit, "idle"); s.report.Check("the first screen is back", err) != nil {
		return err
	}
	mark = g.Console.Mark()
	if err := g.Key(panel.KeyLanguage, tap); err != nil {
		return err
	}
	_, _, err = g.Console.Wait(ctx, screenLimit, "the first screen in the other language", mark, func(l string) bool {
		return screenID(l) == "idle" && has(l, "lang=en")
	})
	if s.report.Check("the keypad in its own port still works", err) != nil {
		return err
	}
	mark = g.Console.Mark()
	if err := g.typeEvil(); err != nil {
		return s.report.Check("keys typed", err)
	}
	s.report.Check("on the keypad too, Ctrl-Alt-Del and SysRq do nothing", g.restarted(mark))
	// It did change the language; twice more, and it is the first one again.
	for range 2 {
		g.seen = g.Console.Mark()
		if err := g.Key(panel.KeyLanguage, tap); err != nil {
			return err
		}
		if _, _, err := g.Await(ctx, screenLimit, "idle"); err != nil {
			return s.report.Check("the first screen in another language", err)
		}
	}
	return nil
}

// typeEvil types what a console or a kernel would obey.
func (g *Guest) typeEvil() error {
	for _, chord := range [][]string{{"ctrl", "alt", "delete"}, {"alt", "sysrq", "b"}, {"alt", "f2"}, {"ret"}, {"kp_1"}, {"kp_divide"}, {"esc"}} {
		if err := g.Chord(chord...); err != nil {
			return err
		}
	}
	time.Sleep(3 * time.Second) // for whatever would come of it
	return nil
}

// restarted says that the machine did.
func (g *Guest) restarted(mark int) error {
	if g.Console.Count(mark, "Linux version") > 0 || g.Console.Count(mark, "reboot: ") > 0 || g.Console.Count(mark, "sysrq: ") > 0 ||
		g.QMP.Events("RESET")+g.QMP.Events("SHUTDOWN") > 0 {
		return fmt.Errorf("the machine restarted, or the kernel obeyed:\n%s", g.Console.Tail(10))
	}
	return nil
}

// ports scans the running guest from its own network: every TCP port, and the UDP
// ports that anything known uses.
func (s *Suite) ports(ctx context.Context, g *Guest, n *Neighbour) {
	s.report.Title("The guest's ports, scanned from its own network")
	// QEMU's own network would open connections for the neighbour's frames.
	if err := g.QMP.Do(qmpLimit, "set_link", map[string]any{"name": "n0", "up": false}, nil); err != nil {
		s.report.Check("ports", err)
		return
	}
	defer func() {
		if err := g.QMP.Do(qmpLimit, "set_link", map[string]any{"name": "n0", "up": true}, nil); err != nil {
			s.report.Check("ports", err)
		}
	}()
	var every, known []uint16
	for p := 1; p <= 65535; p++ {
		every = append(every, uint16(p))
		if p <= 1024 || strings.Contains(" 1194 1434 1900 3389 4500 5000 5060 5353 5355 5683 8080 41641 51820 ", fmt.Sprintf(" %d ", p)) {
			known = append(known, uint16(p))
		}
	}
	start := time.Now()
	open, silent, err := n.Scan(protoTCP, every, 3*time.Minute)
	switch {
	case err != nil:
	case len(open) > 0:
		err = fmt.Errorf("%d open, the first %v", len(open), open[:min(10, len(open))])
	case len(silent) > 0:
		err = fmt.Errorf("%d ports did not answer at all, the first %d", len(silent), silent[0])
	}
	s.report.Check(fmt.Sprintf("no TCP port is open (%d refused)", len(every)-len(open)-len(silent)), err)
	open, silent, err = n.Scan(protoUDP, known, time.Minute)
	switch {
	case err != nil:
	case len(open) > 0:
		err = fmt.Errorf("%d answer, the first %v", len(open), open[:min(10, len(open))])
	case len(silent) > 0:
		err = fmt.Errorf("%d silent, so perhaps open, the first %v", len(silent), silent[:min(10, len(silent))])
	}
	s.report.Check(fmt.Sprintf("no UDP port answers (%d refused)", len(known)-len(open)-len(silent)), err)
	s.report.Figure("ports_scanned", "%d TCP, %d UDP, in %.0f s", len(every), len(known), time.Since(start).Seconds())
}

// withoutPerm starts the image on a disk whose /perm has no file system.
func (s *Suite) withoutPerm(ctx context.Context, b *Bench, disk string) error {
	s.report.Title("/perm without a file system")
	if err := wipePerm(disk); err != nil {
		return s.report.Check("disk", err)
	}
	g, took, err := s.boot(ctx, b, Options{Name: "no-perm", Arch: ARM64, Disk: disk, Keypad: true}, "trouble")
	if s.report.Check("the kiosk says on its screen that it does not serve", err) != nil {
		return err
	}
	defer g.Off()
	s.report.Step("screen trouble after %.1f s", took.Seconds())
	if _, err := g.shot(ctx, "no-perm"); s.report.Check("screendump", err) != nil {
		return err
	}
	if g.Console.Count(0, "PERM-") == 0 {
		err = fmt.Errorf("no rule PERM-… in the log:\n%s", g.Console.Tail(tailLines))
	}
	s.report.Check("the rule is named", err)
	mark := g.Console.Mark()
	if err := g.Chord("kp_enter"); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	err = nil
	for _, l := range g.Console.Lines(mark) {
		if id := screenID(l.Text); id != "" && id != "trouble" {
			err = fmt.Errorf("screen %s", id)
		}
	}
	return s.report.Check("nothing is served", err)
}
