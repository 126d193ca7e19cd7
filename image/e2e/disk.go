package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Where gokrazy puts things on a disk of 512-byte sectors.
const (
	sector     = 512
	bootOffset = 4 << 20 // p1, FAT
	permEntry  = 4       // p4, /perm
)

// run runs a program that must end well.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// copyDisk copies an image with its holes.
func copyDisk(ctx context.Context, from, to string) error {
	_, err := run(ctx, "cp", "--sparse=always", "--reflink=auto", from, to)
	return err
}

// serialInVirt makes the copy of a Raspberry Pi's image speak on the serial port of
// QEMU's virt board. The product has no serial console. Only the one file that UEFI
// reads, and the Pi's firmware does not, is changed, and its length stays.
func serialInVirt(ctx context.Context, disk string) error {
	const entry = "::/loader/entries/gokrazy.conf"
	at := disk + "@@" + strconv.Itoa(bootOffset)
	text, err := run(ctx, "mtype", "-i", at, entry)
	if err != nil {
		return err
	}
	changed, err := addSerial(text)
	if err != nil {
		return fmt.Errorf("%s: %w", entry, err)
	}
	tmp := disk + ".conf"
	defer os.Remove(tmp)
	if err := os.WriteFile(tmp, changed, 0o600); err != nil {
		return err
	}
	_, err = run(ctx, "mcopy", "-o", "-i", at, tmp, entry)
	return err
}

// addSerial adds a console to the kernel's command line, in place of padding.
func addSerial(entry []byte) ([]byte, error) {
	const first, more = "console=tty1 ", "console=ttyAMA0,115200 "
	padding := bytes.Repeat([]byte(" "), len(more))
	if bytes.Count(entry, []byte(first)) != 1 || !bytes.HasSuffix(entry, padding) {
		return nil, fmt.Errorf("not one console=tty1, or no padding, in %q", entry)
	}
	return bytes.Replace(entry[:len(entry)-len(padding)], []byte(first), []byte(first+more), 1), nil
}

// partition is a stretch of a disk in bytes.
type partition struct{ offset, size int64 }

// permPartition reads where /perm is from the GUID partition table (UEFI 2.10, 5.3).
func permPartition(disk string) (partition, error) {
	f, err := os.Open(disk)
	if err != nil {
		return partition{}, err
	}
	defer f.Close()
	var head [sector]byte
	if _, err := f.ReadAt(head[:], sector); err != nil {
		return partition{}, fmt.Errorf("%s: partition table: %w", disk, err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return partition{}, err
	}
	p, err := parseGPT(head[:], func(at int64) ([]byte, error) {
		var e [128]byte
		_, err := f.ReadAt(e[:], at)
		return e[:], err
	}, size)
	if err != nil {
		return partition{}, fmt.Errorf("%s: partition table: %w", disk, err)
	}
	return p, nil
}

func parseGPT(head []byte, entry func(at int64) ([]byte, error), size int64) (partition, error) {
	if !bytes.HasPrefix(head, []byte("EFI PART")) {
		return partition{}, errors.New("no GPT")
	}
	first := binary.LittleEndian.Uint64(head[72:])
	each := binary.LittleEndian.Uint32(head[84:])
	if each != 128 || first < 2 || first > 1<<20 {
		return partition{}, fmt.Errorf("entries of %d bytes at sector %d", each, first)
	}
	e, err := entry(int64(first)*sector + (permEntry-1)*128)
	if err != nil {
		return partition{}, err
	}
	from, to := binary.LittleEndian.Uint64(e[32:]), binary.LittleEndian.Uint64(e[40:])
	if from == 0 || to < from || to >= uint64(size)/sector {
		return partition{}, fmt.Errorf("partition %d from sector %d to %d on a disk of %d bytes", permEntry, from, to, size)
	}
	return partition{int64(from) * sector, int64(to-from+1) * sector}, nil
}

// putSite makes the file system of /perm anew with a site's folder in it.
func putSite(ctx context.Context, disk, site string) error {
	p, err := permPartition(disk)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "mohr-perm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if _, err := run(ctx, "cp", "-a", "--sparse=never", site, filepath.Join(root, "mohr")); err != nil {
		return err
	}
	_, err = run(ctx, "mkfs.ext4", "-q", "-F", "-L", "perm", "-b", "4096", "-O", "^metadata_csum", "-e", "remount-ro", "-E",
		"root_owner=0:0,offset="+strconv.FormatInt(p.offset, 10), "-d", root, disk, strconv.FormatInt(p.size>>10, 10)+"k")
	return err
}

// wipePerm leaves /perm without a file system.
func wipePerm(disk string) error {
	p, err := permPartition(disk)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 1<<20), p.offset); err != nil {
		return err
	}
	return f.Close()
}
