package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// disk is a closed journal of n records on a simulated disk: the damage is
// done below the file system, and a thousand times in a second.
type disk struct {
	good *simFS
	fs   *simFS
	n    uint64
}

func newDisk(t *testing.T, n int) *disk {
	t.Helper()
	fs := newSim()
	j, err := Create(simDir, with(small, fs))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, n)
	j.Close()
	return &disk{good: copyOf(fs), fs: copyOf(fs), n: uint64(n)}
}

func (d *disk) restore() { d.fs = copyOf(d.good) }

func (d *disk) file(c string, seg int) *node {
	n, err := d.fs.find(simDir + "/" + c + "/" + segmentName(seg))
	if err != nil {
		panic(err)
	}
	return n
}

// flip changes one bit, put overwrites a part of a file.
func (d *disk) flip(c string, seg, off, bit int) {
	d.put(c, seg, off, []byte{d.file(c, seg).disk.page(off / PageSize)[off%PageSize] ^ 1<<bit})
}

func (d *disk) put(c string, seg, off int, b []byte) {
	n := d.file(c, seg)
	n.disk, n.cache = n.disk.with(off, b), n.cache.with(off, b)
}

func (d *disk) cut(c string, seg, pages int) {
	n := d.file(c, seg)
	n.disk, n.cache = n.disk[:pages], n.cache[:pages]
}

// remove takes a file, or a folder, away.
func (d *disk) remove(name string) {
	p, base, err := d.fs.parent(simDir + "/" + name)
	if err != nil {
		panic(err)
	}
	delete(p.kids, base)
	delete(p.safe, base)
}

// healed opens, and wants all records, something healed, copies as they were
// on the disk, and nothing left to heal the next time.
func (d *disk) healed() error { return healedAs(d, small) }

func healedAs(d *disk, opts Options) error {
	for round := range 2 {
		j, err := Open(simDir, with(Options{}, d.fs))
		if err != nil {
			return err
		}
		err = intact(j, d.n)
		n := len(j.Healed())
		j.Close()
		if err != nil {
			return err
		}
		if (n > 0) != (round == 0) {
			return fmt.Errorf("round %d: healed %v", round, j.Healed())
		}
	}
	for i := range opts.Segments {
		for _, c := range copies {
			want, err := d.good.find(simDir + "/" + c + "/" + segmentName(i))
			if err != nil {
				return err
			}
			if !d.file(c, i).disk.equal(want.disk) {
				return fmt.Errorf("%s/%s is not as before", c, segmentName(i))
			}
		}
	}
	return nil
}

// Every byte of what a segment's header and a record's header say: one bit in
// one copy is healed. Anywhere else: TestDamageTable.
func TestOneBit(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 3)
	for i := 0; i < 2*Overhead; i += thin {
		at := i
		if i >= Overhead {
			at += PageSize - Overhead
		}
		d.restore()
		d.flip(copies[i%2], 0, at, i%8)
		if err := d.healed(); err != nil {
			t.Errorf("%s byte %d: %v", copies[i%2], at, err)
		}
	}
}

// A page of rubbish or of zeros, a run of pages, a file cut or gone, all of a
// copy gone.
func TestDamageInOneCopy(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 14)
	r := rand.New(rand.NewPCG(4, 1))
	for i := range 100 / thin {
		c, seg := copies[r.IntN(2)], r.IntN(2)
		page := r.IntN(minSegmentPages)
		d.restore()
		switch i % 5 {
		case 0:
			d.put(c, seg, page*PageSize, noise(r, PageSize))
		case 1: // a header or a record becomes blank
			seg, page = 0, r.IntN(10)
			d.put(c, seg, page*PageSize, make([]byte, PageSize))
		case 2:
			d.put(c, seg, page*PageSize, noise(r, (1+r.IntN(minSegmentPages-page))*PageSize))
		case 3:
			d.cut(c, seg, r.IntN(minSegmentPages))
		case 4:
			d.remove(c + "/" + segmentName(r.IntN(small.Segments)))
		}
		if err := d.healed(); err != nil {
			t.Errorf("case %d, %s segment %d page %d: %v", i%5, c, seg, page, err)
		}
	}
	for _, c := range copies {
		d.restore()
		d.remove(c)
		if err := d.healed(); err != nil {
			t.Errorf("copy %s gone: %v", c, err)
		}
	}
}

// Both copies of one record: refused by name with nothing changed; a healthy
// page put back into one copy makes both good.
func TestDamageInBothCopies(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 14)
	page := 1
	var pages []int // of records 1 to 11, all in segment 0
	for seq := uint64(1); seq <= 11; seq++ {
		pages = append(pages, page)
		page += pagesFor(len(payload(seq)))
	}
	for i, p := range pages {
		for _, off := range []int{0, 5, 17, 40, 70, 90}[:min(6, 24/thin)] {
			d.restore()
			d.flip("a", 0, p*PageSize+off, 2)
			d.flip("b", 0, p*PageSize+off, 2)
			for _, opts := range []Options{{}, {ReadOnly: true}} {
				_, err := Open(simDir, with(opts, d.fs))
				var damaged *DamagedError
				if !errors.As(err, &damaged) || damaged.Seq != uint64(i+1) || damaged.Segment != 0 || damaged.Page < p {
					t.Errorf("record %d byte %d: %v", i+1, off, err)
				}
			}
			d.flip("b", 0, p*PageSize+off, 2)
			if err := d.healed(); err != nil {
				t.Errorf("record %d put back: %v", i+1, err)
			}
		}
	}
	// Blank in both, with records behind it: lost, and not the end.
	d.restore()
	d.put("a", 0, pages[4]*PageSize, make([]byte, (pages[5]-pages[4])*PageSize))
	d.put("b", 0, pages[4]*PageSize, make([]byte, (pages[5]-pages[4])*PageSize))
	var damaged *DamagedError
	if _, err := Open(simDir, with(Options{}, d.fs)); !errors.As(err, &damaged) || damaged.Seq != 5 {
		t.Errorf("blank in both: %v", err)
	}
	// Different records in the two copies: both healed.
	d.restore()
	d.put("a", 0, pages[3]*PageSize+100, []byte{1, 2, 3})
	d.put("b", 0, pages[7]*PageSize+100, []byte{1, 2, 3})
	if err := d.healed(); err != nil {
		t.Errorf("different records: %v", err)
	}
	// One segment gone in both copies, used or not.
	for seg := range small.Segments {
		d.restore()
		d.remove("a/" + segmentName(seg))
		d.remove("b/" + segmentName(seg))
		if _, err := Open(simDir, with(Options{}, d.fs)); !errors.Is(err, ErrDamaged) {
			t.Errorf("segment %d gone: %v", seg, err)
		}
	}
}

// Both sides of the lines that Open draws behind the last record. Records 1 to
// 5 take a page each in this journal, and page 6 is free.
func TestBehindTheHead(t *testing.T) {
	fs := newSim()
	j, err := Create(simDir, with(small, fs))
	if err != nil {
		t.Fatal(err)
	}
	var prev [32]byte
	for range 5 {
		r, err := j.Append([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		prev = r.Hash
	}
	j.Close()
	d := &disk{good: copyOf(fs)}
	record := func(seq uint64, prev [32]byte) []byte {
		b, _ := encodeRecord(small.ID, seq, prev, []byte("y"))
		return b
	}
	blankPage, six := make([]byte, PageSize), record(6, prev)
	torn := append(bytes.Clone(six[:80]), blankPage[80:]...)
	rubbish := bytes.Repeat([]byte{0x5a}, PageSize)
	at := func(c string, seg, page int, b []byte) func() { return func() { d.put(c, seg, page*PageSize, b) } }
	for _, c := range []struct {
		name string
		do   []func()
		head uint64 // 0: refused
	}{
		{"as it was", nil, 5},
		{"a has one more", []func(){at("a", 0, 6, six)}, 6},
		{"b has one more", []func(){at("b", 0, 6, six)}, 6},
		{"torn in a", []func(){at("a", 0, 6, torn)}, 5},
		{"torn in b", []func(){at("a", 0, 6, six), at("b", 0, 6, torn)}, 6},
		{"torn in b, a blank", []func(){at("b", 0, 6, torn)}, 0},
		{"torn in both", []func(){at("a", 0, 6, torn), at("b", 0, 6, torn)}, 0},
		{"rubbish in a", []func(){at("a", 0, 6, rubbish)}, 5},
		{"rubbish in b", []func(){at("b", 0, 6, rubbish)}, 5},
		{"rubbish in both", []func(){at("a", 0, 6, rubbish), at("b", 0, 6, rubbish)}, 0},
		{"rubbish in both, at different pages", []func(){at("a", 0, 6, rubbish), at("b", 0, 7, rubbish)}, 5},
		{"record 6 of another chain in a", []func(){at("a", 0, 6, record(6, [32]byte{1}))}, 0},
		{"record 6 of another chain in a, ours in b", []func(){at("a", 0, 6, record(6, [32]byte{1})), at("b", 0, 6, six)}, 6},
		{"two records 6", []func(){at("a", 0, 6, six), at("b", 0, 6, record(6, prev)), at("b", 0, 6, func() []byte {
			b, _ := encodeRecord(small.ID, 6, prev, []byte("z"))
			return b
		}())}, 0},
		{"record 7 behind a hole in a", []func(){at("a", 0, 7, record(7, prev))}, 0},
		{"record 7 behind a hole in b", []func(){at("b", 0, 7, record(7, prev))}, 0},
		{"record 7 in the next segment", []func(){at("a", 1, 1, record(7, prev))}, 0},
		{"record 6 in the next segment", []func(){at("a", 1, 1, six)}, 6},
		{"record 9 in the last segment", []func(){at("a", 3, 1, record(9, prev))}, 0},
		{"rubbish in the last segment", []func(){at("a", 3, 1, rubbish)}, 5},
		{"an old record again", []func(){at("a", 0, 6, record(3, prev))}, 5},
		{"last record damaged in both", []func(){at("a", 0, 5, rubbish), at("b", 0, 5, rubbish)}, 0},
		{"last record damaged in b, blank in a", []func(){at("a", 0, 5, blankPage), at("b", 0, 5, torn)}, 0},
	} {
		d.restore()
		for _, f := range c.do {
			f()
		}
		before := copyOf(d.fs)
		j, err := Open(simDir, with(Options{}, d.fs))
		if c.head == 0 {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", c.name, err)
			}
			for i := range small.Segments {
				for _, copy := range copies {
					if was, _ := before.find(simDir + "/" + copy + "/" + segmentName(i)); !was.disk.equal(d.file(copy, i).disk) {
						t.Errorf("%s: refused, and changed", c.name)
					}
				}
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if seq, _ := j.Head(); seq != c.head || (len(j.Healed()) > 0) != (len(c.do) > 0) {
			t.Errorf("%s: head %d, want %d, healed %v", c.name, seq, c.head, j.Healed())
		}
		if err := d.fs.same(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		j.Close()
	}
}

// A sector that cannot be read is damage like any other.
func TestUnreadablePage(t *testing.T) {
	d := newDisk(t, 14)
	for _, c := range copies {
		for _, page := range []int{0, 1, 5, minSegmentPages - 1} {
			d.restore()
			d.file(c, 0).bad = map[int]bool{page: true}
			if err := d.healed(); err != nil {
				t.Errorf("%s page %d: %v", c, page, err)
			}
		}
	}
}

// Two copies of two journals are not one journal.
func TestCopiesOfTwoJournals(t *testing.T) {
	other := small
	other.ID[0]++
	j, dir := create(t, small)
	j2, dir2 := create(t, other)
	fill(t, j, 3)
	fill(t, j2, 5)
	j.Close()
	j2.Close()
	os.RemoveAll(filepath.Join(dir, "b"))
	if err := os.Rename(filepath.Join(dir2, "b"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// A copy put back from yesterday is brought up to date; both are a journal
// that is shorter, which only a checkpoint kept elsewhere finds.
func TestRolledBack(t *testing.T) {
	j, dir := create(t, small)
	fill(t, j, 4)
	name := func(c string) string { return filepath.Join(dir, c, segmentName(0)) }
	old, _ := os.ReadFile(name("a"))
	fill(t, j, 3)
	seq, head := j.Head()
	j.Close()
	for _, c := range copies {
		os.WriteFile(name(c), old, 0o600)
		j = reopen(t, dir, Options{})
		if err := intact(j, 7); err != nil || len(j.Healed()) == 0 {
			t.Errorf("copy %s rolled back: %v", c, err)
		}
		j.Close()
		same(t, dir)
	}
	for _, c := range copies {
		os.WriteFile(name(c), old, 0o600)
	}
	j = reopen(t, dir, Options{})
	if err := intact(j, 4); err != nil {
		t.Error(err)
	}
	if err := j.Verify(seq, head); !errors.Is(err, ErrDiverged) {
		t.Errorf("checkpoint: %v", err)
	}
}

// Damage that comes while the journal is open is healed by reading.
func TestHealedByReplay(t *testing.T) {
	j, dir := create(t, small)
	fill(t, j, 8)
	hurt := func(c string) {
		f, err := os.OpenFile(filepath.Join(dir, c, segmentName(0)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.WriteAt([]byte{0xff}, 3*PageSize+10)
	}
	hurt("a")
	if err := intact(j, 8); err != nil {
		t.Fatal(err)
	}
	if h := j.Healed(); len(h) != 1 || h[0].Copy != "a" || h[0].What != Copied {
		t.Errorf("healed %v", h)
	}
	same(t, dir)
	hurt("a")
	hurt("b")
	if err := intact(j, 8); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// The same on the simulated disk: what was mended is synced, and a record that
// stands in the place of another is not taken for it.
func TestMendIsDurable(t *testing.T) {
	d := newDisk(t, 8)
	j, err := Open(simDir, with(Options{}, d.fs))
	if err != nil {
		t.Fatal(err)
	}
	d.flip("a", 0, 3*PageSize+10, 1)
	if err := intact(j, 8); err != nil {
		t.Fatal(err)
	}
	if err := d.fs.same(); err != nil {
		t.Error(err)
	}
	first := bytes.Clone(d.file("a", 0).disk.page(1))
	d.put("a", 0, 2*PageSize, first)
	if r, err := j.Read(2); err != nil || r.Seq != 2 {
		t.Errorf("record 2 is %d, %v", r.Seq, err)
	}
	d.put("a", 0, 2*PageSize, first)
	d.put("b", 0, 2*PageSize, first)
	if r, err := j.Read(2); !errors.Is(err, ErrDamaged) {
		t.Errorf("record 2 is %d, %v", r.Seq, err)
	}
}

// Segments longer than the window that Open reads them through: damage, and
// the ends of records, on both sides of where the window moves.
func TestLongSegments(t *testing.T) {
	t.Parallel()
	long := Options{SegmentBytes: (2*windowPages + 100) * PageSize, Segments: 2, ID: small.ID}
	fs := newSim()
	j, err := Create(simDir, with(long, fs))
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for j.seg == 0 || j.page < windowPages+maxPages {
		n++
		if _, err := j.Append(payload(n)); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	d := &disk{good: copyOf(fs), n: n}
	r := rand.New(rand.NewPCG(5, 1))
	pages := []int{windowPages - 1, windowPages, windowPages + 1, 2*windowPages - 1, 2 * windowPages, 2*windowPages + 99}
	for range 30 / thin {
		pages = append(pages, r.IntN(2*windowPages+100))
	}
	for i, page := range pages {
		c, seg := copies[i%2], r.IntN(2)
		d.restore()
		switch i % 3 {
		case 0:
			d.flip(c, seg, page*PageSize+r.IntN(PageSize), r.IntN(8))
		case 1:
			d.put(c, seg, page*PageSize, noise(r, (1+r.IntN(2*windowPages+100-page))*PageSize))
		case 2:
			d.cut(c, seg, page)
		}
		if err := healedAs(d, long); err != nil {
			t.Errorf("case %d, %s segment %d page %d: %v", i%3, c, seg, page, err)
		}
	}
	d.restore()
	for _, c := range copies {
		d.remove(c + "/" + segmentName(map[string]int{"a": 0, "b": 1}[c]))
	}
	if err := healedAs(d, long); err != nil {
		t.Errorf("one segment gone in each copy: %v", err)
	}
}

// The largest record on both sides of the line where the window has to move.
func TestWindowMoves(t *testing.T) {
	t.Parallel()
	long := Options{SegmentBytes: (windowPages + 2*maxPages) * PageSize, Segments: 1, ID: small.ID}
	for before := windowPages - maxPages - 2; before <= windowPages-maxPages+1; before++ {
		fs := newSim()
		j, err := Create(simDir, with(long, fs))
		if err != nil {
			t.Fatal(err)
		}
		for range before {
			if _, err := j.Append(nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.Append(payload(12)); err != nil || len(payload(12)) != MaxPayload {
			t.Fatal(err)
		}
		j.Close()
		j, err = Open(simDir, with(Options{}, fs))
		if err != nil {
			t.Fatal(err)
		}
		if seq, _ := j.Head(); seq != uint64(before+1) || len(j.Healed()) > 0 {
			t.Errorf("%d records before it: head %d, healed %v", before, seq, j.Healed())
		}
		j.Close()
	}
}
