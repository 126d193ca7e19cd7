package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// device is the bytes of a partition, of which some cannot be read.
type device struct {
	*bytes.Reader
	bad map[int64]bool // pages
}

func newDevice(b []byte) device { return device{bytes.NewReader(b), nil} }

func (d device) ReadAt(b []byte, off int64) (int, error) {
	for p := off / PageSize; p*PageSize < off+int64(len(b)); p++ {
		if d.bad[p] {
			return 0, syscall.EIO
		}
	}
	return d.Reader.ReadAt(b, off)
}

// chain is n records laid out one behind the other, as a copy has them.
func chain(id [8]byte, n int) (b []byte, hashes [][32]byte) {
	var prev [32]byte
	for seq := range uint64(n) {
		data, hash := encodeRecord(id, seq+1, prev, payload(seq+1))
		b, hashes, prev = append(b, data...), append(hashes, hash), hash
	}
	return b, hashes
}

// scanned is what Scan finds, payloads checked against those of the tests.
func scanned(t testing.TB, d device) (found []Found, report *Report) {
	t.Helper()
	report, err := Scan(d, d.Size(), func(f Found) error {
		if !f.Rival && !bytes.Equal(f.Payload, payload(f.Seq)) {
			t.Errorf("record %d: other bytes", f.Seq)
		}
		found = append(found, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, report
}

func TestScan(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	idA, idB := [8]byte{1}, [8]byte{2}
	a, hashes := chain(idA, 30)
	b, _ := chain(idB, 3)
	header := geometry{ID: idA, Pages: 200, Segments: 1}.header(0)
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	gap := func(n int) []byte { return noise(r, n) }
	rival, _ := encodeRecord(idA, 30, hashes[28], []byte("another"))
	foreign, _ := encodeRecord(idA, 31, [32]byte{9}, payload(31))
	hurt := bytes.Clone(a)
	hurt[0*PageSize+200] ^= 1 // record 1
	cut := len(a) - PageSize  // record 30 is in its last page
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, ""},
		{"less than a page", a[:PageSize-1], ""},
		{"rubbish", gap(3 << 20), ""},
		{"one copy", a, "01: 30 to 30, twice 0, missing []; "},
		{"two copies", join(gap(2<<20), header, a, gap(1<<20), header, a, gap(512)), "01: 30 to 30, twice 30, missing [], headers 2 of 2; "},
		{"at a sector", join(gap(512*3), a, gap(512*6), a), "01: 30 to 30, twice 30, missing []; "},
		{"at no sector", join(gap(100), a), ""},
		{"two journals", join(a, b, b), "01: 30 to 30, twice 0, missing []; 02: 3 to 3, twice 3, missing []; "},
		{"three copies", join(a, a, a), "01: 30 to 30, twice 30, missing []; "},
		{"one copy hurt", join(a, hurt), "01: 30 to 30, twice 29, missing []; ruins 1"},
		{"both copies hurt", join(hurt, hurt), "01: 29 to 30, twice 29, missing [1]; ruins 2"},
		{"first part gone", a[PageSize:], "01: 29 to 30, twice 0, missing [1]; "},
		{"last part gone", a[:cut], "01: 29 to 29, twice 0, missing []; "},
		{"last record cut", a[:len(a)-1], "01: 29 to 29, twice 0, missing []; "},
		{"a hole", join(a[:PageSize], a[len(a)-PageSize:]), "01: 2 to 30, twice 0, missing [2-29]; "},
		{"a rival", join(a, rival), "01: 30 to 30, twice 0, missing [], rivals 1; "},
		{"of another chain", join(a, foreign), "01: 31 to 31, twice 0, missing [], unlinked 1; "},
	} {
		d := newDevice(c.bytes)
		_, report := scanned(t, d)
		var got strings.Builder
		for _, m := range report.Journals {
			fmt.Fprintf(&got, "%02x: %d to %d, twice %d, missing %v", m.ID[0], m.Records, m.Last, m.Twice, m.Missing)
			for what, n := range map[string]uint64{"rivals": m.Rivals, "unlinked": m.Unlinked} {
				if n > 0 {
					fmt.Fprintf(&got, ", %s %d", what, n)
				}
			}
			if m.Headers > 0 {
				fmt.Fprintf(&got, ", headers %d of %d", m.Headers, 2*m.Segments)
			}
			got.WriteString("; ")
			if whole := len(m.Missing) == 0 && m.Rivals == 0 && m.Unlinked == 0; whole != m.Whole() {
				t.Errorf("%s: whole %v", c.name, m.Whole())
			}
		}
		if report.RuinCount > 0 {
			fmt.Fprintf(&got, "ruins %d", report.RuinCount)
		}
		if got.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.String(), c.want)
		}
	}
}

// What Found says of each record, on a device with pages that cannot be read.
func TestScanUnreadable(t *testing.T) {
	a, hashes := chain([8]byte{1}, 14)
	d := newDevice(slices.Concat(a, a))
	pages := int64(len(a) / PageSize)
	d.bad = map[int64]bool{2: true, pages: true, pages + 5: true}
	found, report := scanned(t, d)
	if len(found) != 14 || report.Unreadable != 3*PageSize || report.Journals[0].Twice != 11 {
		t.Errorf("%d found, %d bytes unreadable, %+v", len(found), report.Unreadable, report.Journals[0])
	}
	for i, f := range found {
		want := 2
		if slices.Contains([]uint64{1, 3, 5}, f.Seq) {
			want = 1
		}
		if f.Seq != uint64(i+1) || f.Hash != hashes[i] || !f.Linked || f.Rival || len(f.Offsets) != want {
			t.Errorf("record %d: %+v", f.Seq, f.Offsets)
		}
	}
	// Read once, and not when fn is to have it: found in the other copy, or missing.
	for copies, want := range map[int]int{1: 13, 2: 14} {
		d := fading{newDevice(bytes.Repeat(a, copies)), new(int), 0}
		n := 0
		report, err := Scan(d, d.Size(), func(f Found) error { n++; return nil })
		if err != nil || n != want || report.Journals[0].Whole() != (want == 14) {
			t.Errorf("%d copies: %d found, %v", copies, n, err)
		}
	}
}

// fading is a device whose page cannot be read the second time.
type fading struct {
	device
	reads *int
	page  int64
}

func (f fading) ReadAt(b []byte, off int64) (int, error) {
	if off <= f.page*PageSize && f.page*PageSize < off+int64(len(b)) {
		if *f.reads++; *f.reads > 1 {
			return 0, syscall.EIO
		}
	}
	return f.device.ReadAt(b, off)
}

func TestScanBounds(t *testing.T) {
	defer func(n int) { maxHits = n }(maxHits)
	maxHits = 20
	a, _ := chain([8]byte{1}, 14)
	d := newDevice(slices.Concat(a, a))
	if _, err := Scan(d, d.Size(), func(Found) error { return nil }); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	stop := errors.New("stop")
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := Scan(closed, 1<<40, func(Found) error { return nil }); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	d = newDevice(a)
	if _, err := Scan(d, d.Size(), func(Found) error { return stop }); err != stop {
		t.Error(err)
	}
	ruins := bytes.Repeat(append([]byte("mohr.rec"), make([]byte, sectorSize-8)...), 2*maxRuins)
	d = newDevice(ruins)
	if _, report := scanned(t, d); len(report.Ruins) != maxRuins || report.RuinCount <= maxRuins {
		t.Errorf("%d ruins of %d", len(report.Ruins), report.RuinCount)
	}
}

// FuzzScan puts rubbish on a device with two journals: nothing but what was
// written is found, and all of it that is still there.
func FuzzScan(f *testing.F) {
	var a []byte
	prev := [32]byte{}
	for seq := range uint64(7) {
		data, hash := encodeRecord([8]byte{1}, seq+1, prev, short(seq+1))
		a, prev = append(a, data...), hash
	}
	base := slices.Concat(a, geometry{ID: [8]byte{1}, Pages: 65, Segments: 1}.header(0), a)
	f.Add(uint32(0), []byte("mohr.rec\x01\x00\x00\x00\xff\xff\xff\xff"), false)
	f.Add(uint32(len(a)), []byte("mohr.seg"), true)
	f.Add(uint32(PageSize), a[:2*PageSize], true)
	f.Fuzz(func(t *testing.T, at uint32, b []byte, move bool) {
		dev := bytes.Clone(base)
		if at := int(at) % len(dev); move { // pushed in
			dev = slices.Concat(dev[:at], b, dev[at:])
		} else {
			copy(dev[at:], b)
		}
		next := uint64(0)
		d := newDevice(dev)
		report, err := Scan(d, d.Size(), func(f Found) error {
			if f.ID == [8]byte{1} && f.Seq <= 7 && f.Linked && !f.Rival && !bytes.Equal(f.Payload, short(f.Seq)) {
				t.Errorf("record %d: other bytes", f.Seq)
			}
			for _, off := range f.Offsets {
				if r, err := decodeRecord(f.ID, dev[off:]); err != nil || r.Seq != f.Seq {
					t.Errorf("record %d is not at %d: %v", f.Seq, off, err)
				}
			}
			next++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range report.Journals {
			gone := uint64(0)
			for _, r := range m.Missing {
				gone += r.To - r.From + 1
			}
			if m.Last > 0 && m.Records+gone != m.Last && m.Records+gone != m.Last+1 { // record 0 is possible
				t.Errorf("%+v", m)
			}
		}
		if len(b) < PageSize && !move && next < 6 {
			t.Errorf("%d records of 7 in two copies, after %d bytes of rubbish", next, len(b))
		}
	})
}

// The real thing: an ext4 whose first MiB is gone does not mount, and every
// record is found twice.
func TestScanLostFileSystem(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to mount an ext4")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("SKIPPED: needs mkfs.ext4 (e2fsprogs): ", err)
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	const records, mib = 500, 1 << 20
	cmd := start(t, "ext4", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.Output()
	if strings.Contains(string(out), "SKIPPED") {
		t.Skip(string(out))
	}
	if errors.Is(err, syscall.EINVAL) { // in a chroot, "/" is no mount point that could be made private
		t.Skipf("SKIPPED: may not mount here: %v", err)
	}
	if err != nil || len(out) > 0 {
		t.Fatalf("%v %s", err, out)
	}
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(noise(rand.New(rand.NewPCG(1, 1)), mib), 0); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dumpe2fs", "-h", image).CombinedOutput(); err == nil {
		t.Fatalf("there is still a file system: %s", out)
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	report, err := Scan(f, fi.Size(), func(f Found) error {
		if n++; f.Seq != n || len(f.Offsets) != 2 || !f.Linked || !bytes.Equal(f.Payload, short(n)) {
			t.Errorf("record %d: %d, at %v, linked %v", n, f.Seq, f.Offsets, f.Linked)
		}
		return nil
	})
	if err != nil || len(report.Journals) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	m := report.Journals[0]
	if n != records || m.Twice != records || m.Last != records || !m.Whole() || m.Headers != 2*m.Segments {
		t.Errorf("%d records, %+v", n, m)
	}
	t.Logf("%d of %d records found twice, %d of %d segment headers, %d ruins, in %d MiB", m.Twice, records, m.Headers, 2*m.Segments, report.RuinCount, fi.Size()/mib)
}

// short is a payload of 600 to 5,000 bytes.
func short(seq uint64) []byte { return bytes.Repeat(payload(9)[:32], 19+int(seq*37%138)) }

// ext4 runs in a mount namespace of its own: 500 records on a fresh ext4.
func ext4(dir string) error {
	image, mnt := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(64<<20), f.Close(), os.Mkdir(mnt, 0o700)); err != nil {
		return err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-b", "4096", image).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, mnt).CombinedOutput(); err != nil {
		return fmt.Errorf("SKIPPED: no loop mount here: %w: %s", err, out)
	}
	j, err := Create(filepath.Join(mnt, "journal"), Options{})
	if err != nil {
		return err
	}
	for seq := range uint64(500) {
		if _, err := j.Append(short(seq + 1)); err != nil {
			return err
		}
	}
	j.Close()
	if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return nil
}

// The largest record on both sides of the line where what is read has to move.
func TestScanWindowMoves(t *testing.T) {
	b, _ := encodeRecord([8]byte{1}, 1, [32]byte{}, payload(12))
	for at := rawWindow - len(b) - 2*sectorSize; at <= rawWindow-len(b)+2*sectorSize; at += sectorSize {
		d := newDevice(slices.Concat(make([]byte, at), b, make([]byte, PageSize)))
		n := 0
		if _, err := Scan(d, d.Size(), func(Found) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("at %d: %d found, %v", at, n, err)
		}
	}
}
