package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Features are those of the ext4, as mkfs.ext4 -O takes them.
//
// With metadata_csum, mke2fs's default, a superblock has its checksum in its
// second sector and all that changes at a mount in its first. A power cut
// between the two, at the moment when /perm is mounted, leaves a file system
// that the kernel will not mount again ("invalid superblock checksum") until
// somebody runs e2fsck, which the appliance does not have. Without it one sector
// is all that matters, and rubbish in the tables was survived no worse: what the
// journal keeps has its own hashes.
const Features = "^metadata_csum"

// Format makes an ext4 with blocks of 4096 on a disk's file. Nothing is left
// for the kernel to do later, when it is being recorded.
func Format(path, features string) error {
	return command("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4", "-N", "256", "-O", features,
		"-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", path)
}

// Check has e2fsck mend what it finds, asking nobody.
func Check(path string) error {
	err := command("e2fsck", "-fy", path)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() <= 3 { // 1, 2: errors corrected
		return nil
	}
	return err
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("disk: %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Mounted is an ext4 on a loop device on a disk's file. The device is given
// back by the kernel when the last user is gone, however it went.
type Mounted struct {
	Dir  string
	loop *os.File
}

// Mount puts the ext4 of a disk's file into a folder.
func Mount(path, dir, options string) (*Mounted, error) {
	loop, err := attach(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Mount(loop.Name(), dir, "ext4", 0, options); err != nil {
		loop.Close()
		return nil, &MountError{err}
	}
	return &Mounted{dir, loop}, nil
}

// MountError says that the kernel will not mount what is on the disk.
type MountError struct{ Err error }

func (e *MountError) Error() string { return fmt.Sprintf("disk: mount: %v", e.Err) }
func (e *MountError) Unwrap() error { return e.Err }

// Close unmounts.
func (m *Mounted) Close() error {
	err := unix.Unmount(m.Dir, 0)
	for n := 0; err == unix.EBUSY && n < 50; n++ {
		time.Sleep(10 * time.Millisecond)
		err = unix.Unmount(m.Dir, 0)
	}
	if err != nil {
		err = fmt.Errorf("disk: unmount %s: %w", m.Dir, err)
	}
	return errors.Join(err, m.loop.Close())
}

// attach puts a loop device on a file: one that is free now, taken in one step.
func attach(path string) (*os.File, error) {
	backing, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	defer control.Close()
	for try := 0; ; try++ {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("disk: no free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("disk: %w", err)
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: SectorSize}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		copy(config.Info.File_name[:len(config.Info.File_name)-1], path)
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if err != unix.EBUSY || try == 100 { // else somebody else was quicker
			return nil, fmt.Errorf("disk: loop device %d: %w", n, err)
		}
	}
}
