package main

import (
	"bytes"
	"encoding/binary"
	"io"
)

// contentBytes is how much of a partition content looks at.
const contentBytes = 8192

// content says what the beginning of a partition is, for people, and its label.
func content(b []byte) (kind, label string) {
	at := func(off, n int) []byte {
		if len(b) < off+n {
			return nil
		}
		return b[off : off+n]
	}
	is := func(off int, magic string) bool { return string(at(off, len(magic))) == magic }
	switch {
	case isExt(b): // ext4's super block lies at 1024; s_volume_name at 120 in it
		name, _, _ := bytes.Cut(at(1024+120, 16), []byte{0})
		return "ext4", plain(name)
	case is(0, "hsqs"):
		return "squashfs", ""
	case is(82, "FAT32"):
		return "FAT", plain(at(71, 11))
	case is(54, "FAT"):
		return "FAT", plain(at(43, 11))
	case is(3, "EXFAT   "):
		return "exFAT", ""
	case is(3, "NTFS    "):
		return "NTFS", ""
	case is(0, "LUKS\xba\xbe"):
		return "encrypted (LUKS)", ""
	case is(4086, "SWAPSPACE2"):
		return "swap", ""
	}
	return "unknown", ""
}

// isExt reports whether b begins with an ext2, 3 or 4 file system, by s_magic.
func isExt(b []byte) bool {
	return len(b) >= 1024+136 && binary.LittleEndian.Uint16(b[1024+56:]) == 0xef53
}

// contentAt is content of a disk at off. What cannot be read is unknown.
func contentAt(r io.ReaderAt, off int64) (kind, label string) {
	b := make([]byte, contentBytes)
	n, _ := r.ReadAt(b, off)
	return content(b[:max(n, 0)])
}
