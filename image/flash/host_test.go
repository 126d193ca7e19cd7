package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is a sysfs and a proc made for a test.
type machine struct {
	t     *testing.T
	root  string
	nodes map[string]string // path to "8:16"
}

func newMachine(t *testing.T) *machine {
	m := &machine{t, t.TempDir(), map[string]string{}}
	m.write("proc/self/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n")
	m.write("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
	for _, dir := range []string{"sys/block", "sys/dev/block"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) link(to, name string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(m.root, name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(m.root, to), filepath.Join(m.root, name)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) host() host {
	return host{sys: filepath.Join(m.root, "sys"), proc: filepath.Join(m.root, "proc"), node: func(path string) (string, bool, error) {
		dev, ok := m.nodes[path]
		if !ok {
			return "", false, os.ErrNotExist
		}
		return dev, dev != "", nil
	}}
}

// disk adds one at a path below sys/devices, with attributes "name=value", and n
// partitions of 1 MiB, the first at 1 MiB.
func (m *machine) disk(path, dev string, sectors int64, n int, attributes ...string) {
	name, dir := filepath.Base(path), "sys/devices/"+path
	for file, text := range map[string]string{"dev": dev, "size": fmt.Sprint(sectors), "ro": "0", "removable": "0", "diskseq": "7"} {
		m.write(dir+"/"+file, text+"\n")
	}
	for _, a := range attributes {
		file, text, _ := strings.Cut(a, "=")
		m.write(dir+"/"+file, text+"\n")
	}
	m.link(dir, "sys/block/"+name)
	m.link(dir, "sys/dev/block/"+dev)
	m.nodes["/dev/"+name] = dev
	major, minor, _ := strings.Cut(dev, ":")
	infix := ""
	if c := name[len(name)-1]; c >= '0' && c <= '9' {
		infix = "p"
	}
	for i := 1; i <= n; i++ {
		part, dev := fmt.Sprintf("%s%s%d", name, infix, i), fmt.Sprintf("%s:%s%d", major, minor, i)
		sub := dir + "/" + part
		for file, text := range map[string]string{"partition": fmt.Sprint(i), "dev": dev, "start": fmt.Sprint(2048 * i), "size": "2048"} {
			m.write(sub+"/"+file, text+"\n")
		}
		m.link(sub, "sys/dev/block/"+dev)
		m.nodes["/dev/"+part] = dev
	}
}

const (
	gib  = 1 << 30
	sd32 = 32 * gib / 512
	usb  = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/"
	mmc  = "pci0000:00/0000:00:1c.0/mmc_host/mmc0/mmc0:aaaa/block/"
	sata = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/"
)

// TestRefusals is the decision table.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dev   string
		build func(m *machine)
		large bool
		want  string // rules, space separated
		say   string
	}{
		{"removable card", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", sd32, 2, "removable=1", "device/type=0") }, false, "", ""},
		{"USB disk that does not say it is removable", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", sd32, 2) }, false, "", ""},
		{"SD card", "/dev/mmcblk0", func(m *machine) { m.disk(mmc+"mmcblk0", "179:0", sd32, 2, "device/type=SD") }, false, "", ""},
		{"removable, no bus known", "/dev/sdb", func(m *machine) { m.disk(sata+"sdb", "8:16", sd32, 0, "removable=1") }, false, "", ""},
		{"by another name", "/dev/disk/by-id/usb-x", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 0)
			m.nodes["/dev/disk/by-id/usb-x"] = "8:16"
		}, false, "", ""},

		{"nothing", "/dev/sdz", func(*machine) {}, false, "FLASH-NO-DISK", "-list"},
		{"a file", "/tmp/x", func(m *machine) { m.nodes["/tmp/x"] = "" }, false, "FLASH-NOT-A-DISK", "/dev/sdb"},
		{"partition", "/dev/sdb1", func(m *machine) { m.disk(usb+"sdb", "8:16", sd32, 2) }, false, "FLASH-PARTITION", "whole disk: /dev/sdb"},
		{"partition of an SD card", "/dev/mmcblk0p1", func(m *machine) { m.disk(mmc+"mmcblk0", "179:0", sd32, 2, "device/type=SD") }, false, "FLASH-PARTITION", "whole disk: /dev/mmcblk0"},
		{"soldered eMMC", "/dev/mmcblk0", func(m *machine) { m.disk(mmc+"mmcblk0", "179:0", sd32, 2, "device/type=MMC") }, false, "FLASH-FIXED", "USB reader"},
		{"disk inside", "/dev/sda", func(m *machine) { m.disk(sata+"sda", "8:0", sd32, 2) }, false, "FLASH-FIXED", ""},
		{"loop device", "/dev/loop0", func(m *machine) { m.disk("virtual/block/loop0", "7:0", sd32, 0) }, false, "FLASH-FIXED", ""},
		{"optical drive", "/dev/sr0", func(m *machine) { m.disk(usb+"sr0", "11:0", sd32, 0, "removable=1", "device/type=5") }, false, "FLASH-FIXED", ""},
		{"read-only", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", sd32, 0, "ro=1") }, false, "FLASH-READ-ONLY", "lock"},
		{"read-only unknown", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", sd32, 0, "ro=") }, false, "FLASH-READ-ONLY", ""},
		{"too small", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", 2*gib/512-1, 0) }, false, "FLASH-SMALL", "take a card of 2.1 GB or more"},
		{"just large enough", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", 2*gib/512, 0) }, false, "", ""},
		{"empty reader", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", 0, 0) }, false, "FLASH-NO-CARD", ""},
		{"card of 256 GB", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", 500118192, 0) }, false, "", ""},
		{"largest", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", largest/512, 0) }, false, "", ""},
		{"too large", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", largest/512+1, 0) }, false, "FLASH-LARGE", "-large"},
		{"large on purpose", "/dev/sdb", func(m *machine) { m.disk(usb+"sdb", "8:16", largest/512+1, 0) }, true, "", ""},

		{"mounted", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 0)
			m.write("proc/self/mountinfo", `30 1 8:16 / /media/my\040card rw - vfat /dev/sdb rw`+"\n")
		}, false, "FLASH-MOUNTED", "sdb at /media/my card"},
		{"partition mounted", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.write("proc/self/mountinfo", "30 1 8:162 / /media/x rw shared:1 - ext4 /dev/sdb2 rw\n")
		}, false, "FLASH-MOUNTED", "sudo umount /media/x"},
		{"partition mounted, known by name alone", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.write("proc/self/mountinfo", "30 1 0:44 / /media/x rw - btrfs /dev/sdb2 rw\n")
		}, false, "FLASH-MOUNTED", ""},
		{"another disk mounted", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.write("proc/self/mountinfo", "30 1 8:321 / /media/x rw - btrfs /dev/sdb21 rw\n")
		}, false, "", ""},
		{"swap", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.write("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2\n")
		}, false, "FLASH-SWAP", "swapoff /dev/sdb2"},
		{"held", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 0)
			m.link("sys/devices", "sys/devices/"+usb+"sdb/holders/md0")
		}, false, "FLASH-HELD", "md0"},
		{"partition held", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.link("sys/devices", "sys/devices/"+usb+"sdb/sdb2/holders/dm-0")
		}, false, "FLASH-HELD", "dm-0"},
		{"the system's", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.write("proc/self/mountinfo", "30 1 8:162 / / rw - ext4 /dev/root rw\n")
		}, false, "FLASH-SYSTEM", ""},
		{"the system's, encrypted", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.disk("virtual/block/dm-0", "253:0", sd32, 0)
			m.link("sys/devices/"+usb+"sdb/sdb2", "sys/devices/virtual/block/dm-0/slaves/sdb2")
			m.write("proc/self/mountinfo", "30 1 253:0 / / rw - ext4 /dev/mapper/root rw\n")
		}, false, "FLASH-SYSTEM", ""},
		{"the system's, btrfs", "/dev/sdb", func(m *machine) {
			m.disk(usb+"sdb", "8:16", sd32, 2)
			m.write("proc/self/mountinfo", "30 1 0:25 / / rw - btrfs /dev/sdb2 rw\n")
		}, false, "FLASH-SYSTEM", ""},
		{"all at once", "/dev/sda", func(m *machine) {
			m.disk(sata+"sda", "8:0", largest/512+1, 2, "ro=1")
			m.write("proc/swaps", "/dev/sda1 partition 1 0 -2\n")
			m.write("proc/self/mountinfo", "30 1 8:01 / /x rw - ext4 /dev/sda1 rw\n")
		}, false, "FLASH-MOUNTED FLASH-SWAP FLASH-FIXED FLASH-READ-ONLY FLASH-LARGE", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.build(m)
			a := app{host: m.host()}
			d, err := a.examine(options{dev: tt.dev, large: tt.large}, 2*gib)
			var rules []string
			text := ""
			if err != nil {
				text = err.Error()
			}
			for _, f := range strings.Fields(text) {
				if rule, ok := strings.CutSuffix(f, ":"); ok && strings.HasPrefix(rule, "FLASH-") {
					rules = append(rules, rule)
				}
			}
			if got := strings.Join(rules, " "); got != tt.want || (err != nil) != (tt.want != "") || !strings.Contains(text, tt.say) {
				t.Errorf("%+v\ngot  %q\nwant %q with %q", d, text, tt.want, tt.say)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	m := newMachine(t)
	m.disk(usb+"sdb", "8:16", sd32, 2, "removable=1", "device/vendor=Generic-", "device/model=SD/MMC\x1b[2J  Reader")
	m.write("sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/idVendor", "058f\n")
	m.write("sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/serial", "0001\n")
	m.disk(mmc+"mmcblk0", "179:0", sd32, 0, "device/type=SD", "device/name=SL32G", "device/serial=0x12")
	m.disk(usb+"sdc", "8:32", 0, 0, "removable=1") // a reader without a card
	all, err := m.host().disks()
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []string{"/dev/mmcblk0, SL32G, SD, 34.4 GB, serial 0x12", "/dev/sdb, Generic- SD/MMC [2J Reader, USB, 34.4 GB, serial 0001"} {
		if got := all[i].describe(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if p := all[1].Parts; len(p) != 2 || p[1] != (part{"sdb2", "8:162", 2, 2 << 20, 1 << 20}) {
		t.Errorf("%+v", p)
	}
}

func TestMounts(t *testing.T) {
	got := parseMounts("36 35 98:0 /mnt1 /mnt2\\011x rw,noatime master:1 - ext3 /dev/ro\\134ot rw,errors=continue\nrubbish\n1 2 3 - \n1 2 3:4 / /x - t s\n\\")
	want := []mount{{"98:0", "/mnt2\tx", `/dev/ro\ot`}, {"3:4", "/x", "s"}}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := parseSwaps("Filename Type\n/swap\\040file file 1 0 -2\n\nx\n"); !slices.Equal(got, []string{"/swap file"}) {
		t.Errorf("%q", got)
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("36 35 98:0 / /a\\040b rw - ext3 /dev/sda1 rw\n")
	f.Add("/dev/sdb2 partition 1 0 -2\n\\04")
	f.Fuzz(func(t *testing.T, s string) {
		for _, m := range parseMounts(s) {
			if len(m.dev)+len(m.point)+len(m.source) > len(s) {
				t.Errorf("%q is longer than %q", m, s)
			}
		}
		parseSwaps(s)
	})
}

func TestContent(t *testing.T) {
	at := func(off int, text string, more ...string) []byte {
		b := make([]byte, contentBytes)
		copy(b[off:], text)
		if len(more) > 0 {
			copy(b[71:], more[0])
		}
		return b
	}
	ext := at(1024+56, "\x53\xef")
	copy(ext[1024+120:], "perm\x00rubbish")
	for _, tt := range []struct {
		b           []byte
		kind, label string
	}{
		{ext, "ext4", "perm"},
		{at(0, "hsqs"), "squashfs", ""},
		{at(82, "FAT32", "MY\x1bCARD    "), "FAT", "MY CARD"},
		{at(3, "EXFAT   "), "exFAT", ""},
		{at(4086, "SWAPSPACE2"), "swap", ""},
		{make([]byte, contentBytes), "unknown", ""},
		{nil, "unknown", ""},
		{ext[:1100], "unknown", ""},
	} {
		if kind, label := content(tt.b); kind != tt.kind || label != tt.label {
			t.Errorf("%q %q, want %q %q", kind, label, tt.kind, tt.label)
		}
	}
}

func FuzzContent(f *testing.F) {
	f.Add([]byte("hsqs"))
	ext := make([]byte, 1200)
	copy(ext[1024+56:], "\x53\xefxxxx")
	f.Add(ext)
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, label := content(b)
		if kind == "" || label != plain([]byte(label)) {
			t.Errorf("%q %q", kind, label)
		}
	})
}
