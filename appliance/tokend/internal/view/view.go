// Package view gives a thread, and what is started from it, a view of the file
// system in which there is one USB device, or none.
//
// Two people's tokens are plugged in at the same time. A program that looks for
// tokens by itself, a PC/SC daemon or a vendor's module, must find the one it is
// for and not be able to open the other. Mount namespaces (mount_namespaces(7))
// belong to threads, and a child inherits that of the thread it is started from.
//
// It is no sandbox: a program of root that wants out gets out.
package view

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// DevUSB is where libusb finds the device nodes.
const DevUSB = "/dev/bus/usb"

// Node is the device node of a USB device.
func Node(bus, address int) string {
	return filepath.Join(DevUSB, fmt.Sprintf("%03d/%03d", bus, address))
}

// Private puts the calling thread into a mount namespace of its own. The
// goroutine is locked to the thread and must never be unlocked: the thread is
// good for nothing else afterwards and ends with the goroutine.
func Private() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("view: unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("view: make mounts private: %w", err)
	}
	return nil
}

// Only leaves in dir, for which DevUSB is meant, the device nodes given and
// nothing else, after Private.
func Only(dir string, nodes ...string) error {
	devices := make([]uint64, len(nodes))
	for i, node := range nodes {
		var st unix.Stat_t
		if err := unix.Stat(node, &st); err != nil {
			return fmt.Errorf("view: %s: %w", node, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFCHR {
			return fmt.Errorf("view: %s is no device node", node)
		}
		devices[i] = st.Rdev
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755"); err != nil {
		return fmt.Errorf("view: %s: %w", dir, err)
	}
	for i, node := range nodes {
		if err := os.MkdirAll(filepath.Dir(node), 0o755); err != nil {
			return fmt.Errorf("view: %w", err)
		}
		if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(devices[i])); err != nil {
			return fmt.Errorf("view: mknod %s: %w", node, err)
		}
	}
	return nil
}

// Bind shows folder from at folder to, after Private. Both must exist.
func Bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("view: %s at %s: %w", from, to, err)
	}
	return nil
}
