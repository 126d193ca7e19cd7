// Command init is the first process of the appliance: it brings the system up with
// gokrazy's Boot (file systems, host name, loopback, watchdog) and then keeps a fixed
// list of programs running. It stands in for the init that gokrazy generates, and does
// three things differently, all for the closed box:
//
//   - It never calls gokrazy.SuperviseServices, which is the one place that opens the
//     web interface and the update handlers, as TCP listeners or as a Unix socket. So
//     there is nothing to configure away, and no file on /perm (gokr-pw.txt,
//     http-port.txt, remote_syslog) has a reader left.
//   - It never reads the console. gokrazy's own starts /perm/sh there on the first key.
//   - /perm may hold data only: no programs, no libraries, no devices.
//
// What the programs print goes to the console; gokrazy would keep it in memory for the
// web interface. Nothing here can be changed at run time, and nothing is read from
// /perm. The machine is stopped by cutting the power.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gokrazy/gokrazy"
	"golang.org/x/sys/unix"
)

// version is set by the linker: what `mohr image` this is.
var version = "unknown"

func main() {
	// dhcp sends SIGHUP for each lease, a console keyboard's Ctrl-Alt-Del arrives as
	// SIGINT; as the first process we must survive both, and obey nobody. They are
	// received and dropped: what is ignored would stay so in the programs.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	say("mohr image %s", version)
	if err := gokrazy.Boot(version); err != nil {
		say("boot: %v", err)
	}
	closeDoors()
	if err := os.Mkdir("/run/mohr", 0o700); err != nil { // for the programs' sockets
		say("%v", err)
	}

	// Children get an empty input and the console as output.
	out, err := os.OpenFile("/dev/console", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		say("%v", err)
		out = os.Stderr
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		say("%v", err)
		null = out
	}
	newSupervisor(null, out, say).run(services(), time.Now)
}

// closeDoors takes away what the running kernel still offers to a keyboard, and to
// whoever could write to /perm. Each step that fails is said and the next one tried:
// the programs refuse to serve by themselves where /perm is not what it must be.
func closeDoors() {
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		say("ctrl-alt-del: %v", err)
	}
	if err := os.WriteFile("/proc/sys/kernel/sysrq", []byte("0"), 0); err != nil {
		say("sysrq: %v", err)
	}
	if err := deafen("/dev/tty1"); err != nil {
		say("keyboard of the console: %v", err)
	}
	if err := unix.Mount("", "/perm", "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""); err != nil {
		say("/perm without programs: %v", err)
	}
}

// deafen makes a console take no keys: no change of console, and no scroll lock, which
// would stop whoever writes to it. The keypad is read as an event device.
func deafen(tty string) error {
	const (
		kdskbmode = 0x4b45 // linux/kd.h
		kOff      = 4
	)
	f, err := os.OpenFile(tty, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetInt(int(f.Fd()), kdskbmode, kOff)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "init: "+format+"\n", args...)
}
