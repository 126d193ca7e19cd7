package panel

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fbFile is a real framebuffer. Pixels go through pwrite(2): drivers that draw from
// a shadow learn in this way what changed, and a device that vanishes is an error
// and not a SIGBUS, as with mmap(2).
type fbFile struct{ *os.File }

func openFB(path string) (fbDevice, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return fbFile{f}, nil
}

func (f fbFile) info(v *[sizeVScreenInfo]byte, fix *[sizeFScreenInfo]byte) error {
	if err := ioctl(f.File, fbioGetVScreenInfo, unsafe.Pointer(v)); err != nil {
		return fmt.Errorf("FBIOGET_VSCREENINFO: %w", err)
	}
	if err := ioctl(f.File, fbioGetFScreenInfo, unsafe.Pointer(fix)); err != nil {
		return fmt.Errorf("FBIOGET_FSCREENINFO: %w", err)
	}
	return nil
}

// ioctl gives the kernel a pointer. It leaves the file as it is; f.Fd would make it
// blocking.
func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	return control(f, func(fd uintptr) unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		return errno
	})
}

// ioctlInt gives the kernel a number.
func ioctlInt(f *os.File, request uintptr, arg int) error {
	return control(f, func(fd uintptr) unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		return errno
	})
}

func control(f *os.File, call func(fd uintptr) unix.Errno) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := conn.Control(func(fd uintptr) { errno = call(fd) }); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// Requests of linux/kd.h.
const (
	kdSetMode   = 0x4B3A
	kdGetMode   = 0x4B3B
	kdGetKBMode = 0x4B44
	kdSetKBMode = 0x4B45

	kdGraphics = 1
	kbOff      = 4
)

// vt is an open virtual terminal.
type vt interface {
	get(request uintptr) (int, error)
	set(request uintptr, value int) error
	Close() error
}

type vtFile struct{ *os.File }

func openVT(path string) (vt, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return vtFile{f}, nil
}

func (f vtFile) get(request uintptr) (int, error) {
	var v int32
	err := ioctl(f.File, request, unsafe.Pointer(&v))
	return int(v), err
}

func (f vtFile) set(request uintptr, value int) error {
	return ioctlInt(f.File, request, value)
}

// console is the text console behind the picture, kept silent: it draws nothing
// (KD_GRAPHICS) and takes no key from any keyboard (K_OFF), so that a keypad says
// nothing to it even before it is grabbed.
type console struct {
	vt                 vt
	mode, keyboardMode int // as they were
}

// takeConsole silences a console. A kernel without it has none to silence.
func takeConsole(path string, open func(string) (vt, error)) (*console, error) {
	if path == "" {
		return nil, nil
	}
	v, err := open(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("panel: console: %w", err)
	}
	c := &console{vt: v}
	for _, step := range []struct {
		name     string
		get, set uintptr
		value    int
		old      *int
	}{
		{"KDSKBMODE", kdGetKBMode, kdSetKBMode, kbOff, &c.keyboardMode},
		{"KDSETMODE", kdGetMode, kdSetMode, kdGraphics, &c.mode},
	} {
		if *step.old, err = v.get(step.get); err == nil {
			err = v.set(step.set, step.value)
		}
		if err != nil {
			v.Close()
			return nil, fmt.Errorf("panel: console %s: %s: %w", path, step.name, err)
		}
	}
	return c, nil
}

// restore puts the console back as it was.
func (c *console) restore() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.vt.set(kdSetMode, c.mode), c.vt.set(kdSetKBMode, c.keyboardMode), c.vt.Close())
}
