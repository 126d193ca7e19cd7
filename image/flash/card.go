package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// card is an opened disk.
type card interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error          // what was written is on the medium
	Drop() error          // what was read is forgotten; the next read is from the medium
	Dev() (string, error) // "8:16"
}

type blockDevice struct{ *os.File }

// openCard opens a disk for this program alone: O_EXCL on a block device fails while a
// file system, swap, a volume or another such program has it or a partition of it.
func openCard(node string) (card, error) {
	f, err := os.OpenFile(node, os.O_RDWR|unix.O_EXCL, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, refusal{"FLASH-BUSY", node + " is in use, by what is not visible here: a volume, another container, or another flash", "find who has it (lsblk, fuser " + node + "), or take the card out and put it in again"}
	case errors.Is(err, os.ErrPermission):
		return nil, refusal{"FLASH-ROOT", err.Error(), "run it with sudo; make flash does so by itself"}
	case errors.Is(err, unix.EROFS):
		return nil, refusal{"FLASH-READ-ONLY", err.Error(), "move the lock on the side of the card or its adapter"}
	case errors.Is(err, unix.ENOMEDIUM):
		return nil, refusal{"FLASH-NO-DISK", err.Error(), "put a card into the reader"}
	case err != nil:
		return nil, err
	}
	return blockDevice{f}, nil
}

// Drop writes out and forgets the kernel's copy of the disk.
func (b blockDevice) Drop() error {
	if err := unix.IoctlSetInt(int(b.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("BLKFLSBUF: %w", err)
	}
	return nil
}

func (b blockDevice) Sync() error { return unix.Fdatasync(int(b.Fd())) }

func (b blockDevice) Dev() (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(b.Fd()), &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))), nil
}
