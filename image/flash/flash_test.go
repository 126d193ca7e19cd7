package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/journal/bounds"
)

// small is the layout of the images of these tests.
var small = layout{root: 1 << 20, perm: 2 * chunk}

// smallImage is what checkImage takes for an image, with a blank /perm.
func smallImage() []byte {
	img := randomImage()
	clear(img[small.perm:])
	binary.LittleEndian.PutUint16(img[510:], 0xaa55)
	copy(img[small.root:], "hsqs")
	putExt(img[small.perm:], "perm")
	return img
}

func putExt(b []byte, label string) {
	binary.LittleEndian.PutUint16(b[1024+56:], 0xef53)
	copy(b[1024+120:1024+136], label+"\x00")
}

// realJournal is the first segment of a journal with records, as bytes on a disk, and
// the journal's ID.
func realJournal(t *testing.T, records int) ([]byte, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "j")
	j, err := journal.Create(dir, journal.Options{SegmentBytes: bounds.MinSegment, Segments: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if _, err := j.Append(fmt.Appendf(nil, "record %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "a", "0000.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return b, fmt.Sprintf("%x", b[24:32])
}

// desk is a machine with one card in a reader.
type desk struct {
	*app
	m    *machine
	card *fakeCard
	out  bytes.Buffer
	img  string
}

func newDesk(t *testing.T) *desk {
	d := &desk{m: newMachine(t), card: newCard(6 * chunk), img: filepath.Join(t.TempDir(), "rpi.img")}
	d.m.disk(usb+"sdb", "8:16", 6*chunk/512, 2, "removable=1", "device/vendor=SanDisk", "device/model=Ultra")
	if err := os.WriteFile(d.img, smallImage(), 0o644); err != nil {
		t.Fatal(err)
	}
	d.app = &app{
		host: d.m.host(), layout: small, now: ticking(), in: strings.NewReader("sdb\n"), out: &d.out, terminal: true,
		open: func(string) (card, error) { return d.card, nil },
	}
	return d
}

func (d *desk) flash(t *testing.T, more ...string) error {
	t.Helper()
	err := d.run(t.Context(), append([]string{"-dev", "/dev/sdb", "-image", d.img}, more...))
	if err != nil && len(d.card.log) > 0 {
		t.Errorf("refused, and written: %d", d.card.log)
	}
	return err
}

func TestFlash(t *testing.T) {
	d := newDesk(t)
	putExt(d.card.mem[1<<20:], "photos")
	if err := d.flash(t); err != nil {
		t.Fatalf("%v\n%s", err, d.out.String())
	}
	if !bytes.Equal(d.card.mem[:imageSize], smallImage()) || !d.card.closed {
		t.Error("the card has not the image, or is still open")
	}
	for _, want := range []string{"without a station", "/dev/sdb, SanDisk Ultra, USB, 25.2 MB", "sdb1  1.0 MB  ext4     photos", "sdb2  1.0 MB  unknown", "(sdb): ", "read back and compared: SHA-256"} {
		if !strings.Contains(d.out.String(), want) {
			t.Errorf("not said: %q in\n%s", want, d.out.String())
		}
	}
}

func TestAsk(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		terminal bool
		args     []string
		say      string // "": it is written
	}{
		{"typed", "sdb\n", true, nil, ""},
		{"typed without an end of line", "sdb", true, nil, ""},
		{"another name", "sda\n", true, nil, "FLASH-ASK: that is not sdb"},
		{"yes is no name", "yes\n", true, nil, "FLASH-ASK"},
		{"nothing", "", true, nil, "FLASH-ASK"},
		{"no terminal", "sdb\n", false, nil, "add -yes"},
		{"-yes", "", false, []string{"-yes"}, ""},
		{"-yes at a terminal", "", true, []string{"-yes"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.in, d.terminal = strings.NewReader(tt.in), tt.terminal
			err := d.flash(t, tt.args...)
			if tt.say == "" && (err != nil || len(d.card.log) == 0) || tt.say != "" && (err == nil || !strings.Contains(err.Error(), tt.say)) {
				t.Errorf("%v, writes %d", err, d.card.log)
			}
		})
	}
}

// lateReader runs a function before it says anything.
type lateReader struct {
	io.Reader
	first func()
}

func (r *lateReader) Read(b []byte) (int, error) {
	if r.first != nil {
		r.first()
		r.first = nil
	}
	return r.Reader.Read(b)
}

func TestAnotherCard(t *testing.T) {
	t.Run("while it asks", func(t *testing.T) {
		d := newDesk(t)
		d.in = &lateReader{strings.NewReader("sdb\n"), func() { d.m.write("sys/devices/"+usb+"sdb/diskseq", "8\n") }}
		if err := d.flash(t); err == nil || !strings.Contains(err.Error(), "no longer the card that was shown") {
			t.Error(err)
		}
	})
	t.Run("before it is opened", func(t *testing.T) {
		d := newDesk(t)
		d.card.dev = "8:32"
		if err := d.flash(t); err == nil || !strings.Contains(err.Error(), "no longer the disk") {
			t.Error(err)
		}
	})
}

func TestImage(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(img []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"no partition table", func(img []byte) []byte { img[510] = 0; return img }},
		{"no root", func(img []byte) []byte { img[small.root] = 0; return img }},
		{"no /perm", func(img []byte) []byte { img[small.perm+1024+56] = 0; return img }},
		{"cut off", func(img []byte) []byte { return img[:len(img)-1] }},
		{"without its last part", func(img []byte) []byte { return img[:small.perm] }},
	} {
		d := newDesk(t)
		if err := os.WriteFile(d.img, tt.make(smallImage()), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := d.flash(t); err == nil || !strings.Contains(err.Error(), "FLASH-IMAGE") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	d := newDesk(t)
	d.img += "x"
	if err := d.flash(t); err == nil || !strings.Contains(err.Error(), "make image") {
		t.Error(err)
	}
}

// A station's journal on the card is found wherever a kiosk could have it, and is not
// lost unless it was named.
func TestJournal(t *testing.T) {
	seg, id := realJournal(t, 3)
	other, otherID := realJournal(t, 1)
	unused, _ := realJournal(t, 0)
	both := min(id, otherID) + "," + max(id, otherID)
	for _, tt := range []struct {
		name string
		make func(d *desk)
		ids  string // "": nothing to lose
	}{
		{"a fresh card", func(*desk) {}, ""},
		{"where the image has /perm", func(d *desk) { copy(d.card.mem[small.perm+8192:], seg) }, id},
		{"at its very end", func(d *desk) { copy(d.card.mem[imageSize-8192:imageSize], seg) }, id},
		{"at an odd sector", func(d *desk) { copy(d.card.mem[small.perm+512*77:], seg) }, id},
		{"no record yet", func(d *desk) { copy(d.card.mem[small.perm+8192:], unused) }, ""},
		{"of two stations", func(d *desk) {
			copy(d.card.mem[small.perm:], seg)
			copy(d.card.mem[small.perm+chunk:], other)
		}, both},
		{"behind the image, in a partition called perm", func(d *desk) {
			d.m.write("sys/devices/"+usb+"sdb/sdb2/start", fmt.Sprint(5*chunk/512))
			putExt(d.card.mem[5*chunk:], "perm")
			copy(d.card.mem[5*chunk+8192:], seg)
		}, id},
		{"in a partition that begins where /perm does, without a file system", func(d *desk) {
			d.m.write("sys/devices/"+usb+"sdb/sdb2/start", fmt.Sprint(small.perm/512))
			d.m.write("sys/devices/"+usb+"sdb/sdb2/size", fmt.Sprint(4*chunk/512))
			copy(d.card.mem[5*chunk:], seg)
		}, id},
		{"outside all that, as any bytes", func(d *desk) { copy(d.card.mem[5*chunk:], seg) }, ""},
		{"all its records damaged", func(d *desk) {
			copy(d.card.mem[small.perm:], other)
			d.card.mem[small.perm+4096+100] ^= 1
		}, "damaged"},
		{"a card that cannot be read there", func(d *desk) { d.card.failRead = small.perm + 4096 }, "unreadable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			tt.make(d)
			err := d.flash(t, "-yes")
			if tt.ids == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "FLASH-JOURNAL") || !strings.HasSuffix(err.Error(), "-lose-journal "+tt.ids) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{"mohrctl export", "mohrctl journal scan", "put the card back"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("not said: %q in %v", want, err)
				}
			}
			if err := d.flash(t, "-yes", "-lose-journal", "0011223344556677"); err == nil || !strings.Contains(err.Error(), "FLASH-JOURNAL") {
				t.Errorf("another journal's ID: %v", err)
			}
			d.card.failRead = -1
			if err := d.flash(t, "-yes", "-lose-journal", tt.ids); tt.ids == "unreadable" {
				// It can be read now, and there is nothing to lose.
				if err == nil || !strings.Contains(err.Error(), "there is none") {
					t.Errorf("%v", err)
				}
			} else if err != nil {
				t.Errorf("named, and refused: %v", err)
			}
		})
	}
}

func TestImageWithStation(t *testing.T) {
	seg, id := realJournal(t, 0)
	d := newDesk(t)
	img := smallImage()
	copy(img[small.perm+chunk:], seg)
	if err := os.WriteFile(d.img, img, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.flash(t); err != nil {
		t.Fatal(err)
	}
	if want := "with a station's journal " + id; !strings.Contains(d.out.String(), want) {
		t.Errorf("not said: %q in\n%s", want, d.out.String())
	}
}

func TestList(t *testing.T) {
	d := newDesk(t)
	d.m.disk(sata+"sda", "8:0", sd32, 2)
	d.m.disk(usb+"sdc", "8:32", sd32, 1, "removable=1", "device/model=Stick")
	d.m.write("proc/self/mountinfo", "30 1 8:321 / /media/x rw - vfat /dev/sdc1 rw\n")
	if err := d.run(t.Context(), []string{"-list"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/dev/sdb, SanDisk Ultra, USB, 25.2 MB\n  to write it: make flash DEV=/dev/sdb\n", "/dev/sdc, Stick, USB, 34.4 GB\n  not to be written: FLASH-MOUNTED: in use: sdc1 at /media/x\n"} {
		if !strings.Contains(d.out.String(), want) {
			t.Errorf("not said: %q in\n%s", want, d.out.String())
		}
	}
	if strings.Contains(d.out.String(), "sda") {
		t.Errorf("a fixed disk is listed:\n%s", d.out.String())
	}
	d = newDesk(t)
	if err := os.RemoveAll(filepath.Join(d.m.root, "sys/block/sdb")); err != nil {
		t.Fatal(err)
	}
	if err := d.run(t.Context(), []string{"-list"}); err != nil || !strings.Contains(d.out.String(), "No card to write") {
		t.Errorf("%v\n%s", err, d.out.String())
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-dev", "/dev/sdb"}, {"-image", "x"}, {"-list", "x"}, {"-dev", "/dev/sdb", "-image", "x", "y"}, {"-nonsense"}} {
		d := newDesk(t)
		if err := d.run(t.Context(), args); err != errUsage || !strings.Contains(d.out.String(), "usage:") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
