package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct{ dev, point, source string }

func parseMounts(text string) []mount {
	var all []mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if ok && len(f) >= 5 && len(g) >= 2 {
			all = append(all, mount{f[2], unescape(f[4]), unescape(g[1])})
		}
	}
	return all
}

// parseSwaps returns the files and partitions of /proc/swaps.
func parseSwaps(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "Filename" {
			all = append(all, unescape(f[0]))
		}
	}
	return all
}

// unescape turns \040 into a space, and so on.
func unescape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if s[0] == '\\' && len(s) >= 4 {
			if n, err := strconv.ParseUint(s[1:4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				s = s[4:]
				continue
			}
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

// use says who uses a disk.
type use struct {
	system bool     // the system runs from it
	mounts []string // "sdb1 at /media/x"
	points []string // the same mounts, for umount
	swaps  []string // /dev/sdb2
}

// uses looks at mounts and swap on d and on its partitions. Mounts that another
// container has are not seen here; opening the disk finds those.
func (h host) uses(d disk) (use, error) {
	var u use
	text, err := os.ReadFile(filepath.Join(h.proc, "self", "mountinfo"))
	if err != nil {
		return u, err
	}
	swaps, err := os.ReadFile(filepath.Join(h.proc, "swaps"))
	if err != nil && !os.IsNotExist(err) { // a kernel without swap
		return u, err
	}
	parts := append([]part{{Name: d.Name, Dev: d.Dev}}, d.Parts...)
	// A file system over several disks, like btrfs, has a number of its own and only
	// the name tells.
	is := func(dev, source string) (string, bool) {
		i := slices.IndexFunc(parts, func(p part) bool { return p.Dev == dev || "/dev/"+p.Name == source })
		if i < 0 {
			return "", false
		}
		return parts[i].Name, true
	}
	for _, m := range parseMounts(string(text)) {
		if name, ok := is(m.dev, m.source); ok {
			u.mounts = append(u.mounts, name+" at "+plain([]byte(m.point)))
			u.points = append(u.points, plain([]byte(m.point)))
		}
		if m.point != "/" && m.point != "/boot" && m.point != "/usr" {
			continue
		}
		below := h.below(m.dev, 0)
		if dev, block, err := h.node(m.source); err == nil && block {
			below = append(below, h.below(dev, 0)...)
		}
		u.system = u.system || slices.Contains(below, d.Name)
	}
	for _, s := range parseSwaps(string(swaps)) {
		if name, ok := is("", s); ok {
			u.swaps = append(u.swaps, "/dev/"+name)
		}
	}
	return u, nil
}
