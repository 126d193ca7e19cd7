package usb

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// KernelUevents opens the kernel's netlink socket and signals on the channel
// whenever USB may have changed: a uevent about USB, one that could not be
// parsed, or messages lost in a full socket buffer. Signals that are not yet
// taken are merged. The channel is closed when ctx ends or the socket fails.
func KernelUevents(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("usb: netlink: %w", err)
	}
	const kernelGroup = 1 // group 2 is udevd's
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("usb: netlink: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("usb: netlink: %w", err)
	}
	changed := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer close(changed)
		defer f.Close()
		defer stop()
		buf := make([]byte, maxUevent)
		for {
			var n int
			var from unix.Sockaddr
			var rerr error
			if err := raw.Read(func(fd uintptr) bool {
				n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
				return !errors.Is(rerr, unix.EAGAIN)
			}); err != nil {
				return
			}
			if concerns(buf[:max(n, 0)], from, rerr) {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
			if rerr != nil && !errors.Is(rerr, unix.ENOBUFS) && !errors.Is(rerr, unix.EINTR) {
				return
			}
		}
	}()
	return changed, nil
}

// concerns says whether one received message is a reason to scan.
func concerns(msg []byte, from unix.Sockaddr, err error) bool {
	if err != nil {
		return true
	}
	if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
		return false // not from the kernel
	}
	u, err := ParseUevent(msg)
	return err != nil || u.IsUSB()
}
