package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// host is where the kernel tells of disks. Tests have a copy of it.
type host struct {
	sys, proc string
	node      func(path string) (dev string, block bool, err error) // dev is "8:16"
}

// node looks at a file in /dev.
func node(path string) (dev string, block bool, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", false, err
	}
	rdev := uint64(st.Rdev)
	return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev)), st.Mode&unix.S_IFMT == unix.S_IFBLK, nil
}

// disk is what sysfs says of a whole disk (Documentation/ABI/stable/sysfs-block in the
// Linux sources).
type disk struct {
	Name      string // sdb
	Dev       string // 8:16
	Bytes     int64
	ReadOnly  bool
	Removable bool   // the medium can be taken out
	Bus       string // USB, SD, or another
	Vendor    string
	Model     string
	Serial    string
	Seq       string // changes with every medium
	Parts     []part
	Holders   []string // who has the disk or a part of it: dm-0, md0
}

type part struct {
	Name   string // sdb1
	Dev    string
	Number int
	Start  int64 // in bytes
	Bytes  int64
}

// Node is the disk's file, as people know it.
func (d disk) Node() string { return "/dev/" + d.Name }

// find returns the disk that the file path stands for. If it stands for a partition,
// of is its disk's name.
func (h host) find(path string) (d disk, of string, err error) {
	dev, block, err := h.node(path)
	switch {
	case err != nil:
		return disk{}, "", refusal{"FLASH-NO-DISK", fmt.Sprintf("%s: %v", path, err), "`flash -list` shows the cards of this machine"}
	case !block:
		return disk{}, "", refusal{"FLASH-NOT-A-DISK", path + " is a file and not a disk", "name a disk like /dev/sdb; `flash -list` shows the cards of this machine"}
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "dev", "block", dev))
	if err != nil {
		return disk{}, "", fmt.Errorf("%s: sysfs does not know it: %w", path, err)
	}
	if attribute(dir, "partition") != "" {
		return disk{}, filepath.Base(filepath.Dir(dir)), nil
	}
	d, err = h.inspect(dir)
	return d, "", err
}

// disks are all of this machine, sorted by name.
func (h host) disks() ([]disk, error) {
	entries, err := os.ReadDir(filepath.Join(h.sys, "block"))
	if err != nil {
		return nil, err
	}
	var all []disk
	for _, e := range entries {
		dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "block", e.Name()))
		if err != nil {
			continue // just taken out
		}
		if d, err := h.inspect(dir); err == nil && d.Bytes > 0 {
			all = append(all, d)
		}
	}
	return all, nil
}

var usbBus = regexp.MustCompile(`/usb[0-9]+/`)

func (h host) inspect(dir string) (disk, error) {
	d := disk{
		Name: filepath.Base(dir), Dev: attribute(dir, "dev"), ReadOnly: attribute(dir, "ro") != "0",
		Removable: attribute(dir, "removable") == "1", Seq: attribute(dir, "diskseq"),
		Vendor: attribute(dir, "device/vendor"), Model: attribute(dir, "device/model"),
		Serial: first(attribute(dir, "device/serial"), attribute(dir, "serial")),
	}
	var err error
	if d.Bytes, err = sectors(dir, "size"); err != nil {
		return disk{}, err
	}
	kind := attribute(dir, "device/type")
	switch {
	case usbBus.MatchString(dir):
		d.Bus, d.Removable = "USB", true
		for up := dir; len(up) > len(h.sys); up = filepath.Dir(up) {
			if attribute(up, "idVendor") != "" {
				d.Serial = first(attribute(up, "serial"), d.Serial)
				d.Vendor = first(d.Vendor, attribute(up, "manufacturer"))
				d.Model = first(d.Model, attribute(up, "product"))
				break
			}
		}
	case strings.Contains(dir, "/mmc_host/"):
		// MMC is soldered eMMC, the disk of many small computers.
		d.Bus, d.Removable, d.Model = first(kind, "MMC"), kind == "SD", attribute(dir, "device/name")
		kind = "0"
	case strings.Contains(dir, "/devices/virtual/"):
		d.Bus = "virtual"
	}
	if kind != "" && kind != "0" { // SCSI peripheral device type (SPC-4, 6.6.2): 5 is an optical drive
		d.Removable = false
	}
	d.Holders = names(filepath.Join(dir, "holders"))
	for _, name := range names(dir) {
		sub := filepath.Join(dir, name)
		p := part{Name: name, Dev: attribute(sub, "dev")}
		if p.Number, err = strconv.Atoi(attribute(sub, "partition")); err != nil {
			continue // not a partition
		}
		if p.Start, err = sectors(sub, "start"); err != nil {
			return disk{}, err
		}
		if p.Bytes, err = sectors(sub, "size"); err != nil {
			return disk{}, err
		}
		d.Holders = append(d.Holders, names(filepath.Join(sub, "holders"))...)
		d.Parts = append(d.Parts, p)
	}
	slices.SortFunc(d.Parts, func(a, b part) int { return a.Number - b.Number })
	return d, nil
}

// below are the whole disks that the block device dev lies on, through partitions,
// encryption, volumes and arrays.
func (h host) below(dev string, depth int) []string {
	dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "dev", "block", dev))
	if err != nil || depth > 8 {
		return nil
	}
	if attribute(dir, "partition") != "" {
		dir = filepath.Dir(dir)
	}
	all := []string{filepath.Base(dir)}
	for _, s := range names(filepath.Join(dir, "slaves")) {
		all = append(all, h.below(attribute(filepath.Join(dir, "slaves", s), "dev"), depth+1)...)
	}
	return all
}

// attribute reads a small file of sysfs for people's eyes: nothing in it can move
// the cursor. "" means that there is none.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return plain(b)
}

// plain is text of at most 64 characters without control characters.
func plain(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(b[:min(len(b), 256)]))
	r := []rune(strings.Join(strings.Fields(s), " "))
	return string(r[:min(len(r), 64)])
}

// sectors reads a number of 512-byte sectors and returns bytes. Sysfs counts in them
// whatever the disk's own are.
func sectors(dir, name string) (int64, error) {
	n, err := strconv.ParseInt(attribute(dir, name), 10, 54)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s/%s: %q is no number of sectors", dir, name, attribute(dir, name))
	}
	return n * 512, nil
}

// names lists a folder; none is an empty one.
func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
