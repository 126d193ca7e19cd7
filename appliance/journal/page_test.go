package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRecordIdentity(t *testing.T) {
	for _, n := range []int{0, 1, PageSize - Overhead, PageSize - Overhead + 1, MaxPayload} {
		b, hash := encodeRecord(small.ID, 7, [32]byte{9}, bytes.Repeat([]byte{3}, n))
		if len(b) != pagesFor(n)*PageSize {
			t.Errorf("%d bytes in %d", n, len(b))
		}
		r, err := decodeRecord(small.ID, b)
		if err != nil || r.Hash != hash || r.Seq != 7 || r.Prev != [32]byte{9} || len(r.Payload) != n {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := decodeRecord([8]byte{1}, b); err == nil {
			t.Error("another journal's record taken")
		}
		if _, err := decodeRecord(small.ID, b[:len(b)-PageSize]); err == nil {
			t.Error("a cut record taken")
		}
	}
}

// Every flipped bit of a record is noticed, padding included.
func TestRecordEveryBit(t *testing.T) {
	b, _ := encodeRecord(small.ID, 7, [32]byte{9}, []byte("payload"))
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		if _, err := decodeRecord(small.ID, b); err == nil {
			t.Fatalf("bit %d of byte %d", i%8, i/8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	g := geometry{ID: small.ID, Pages: 65, Segments: 3}
	h := g.header(1)
	for i := range len(h) * 8 {
		h[i/8] ^= 1 << (i % 8)
		if _, _, err := decodeHeader(h); err == nil {
			t.Fatalf("header: bit %d of byte %d", i%8, i/8)
		}
		h[i/8] ^= 1 << (i % 8)
	}
}

func FuzzRecord(f *testing.F) {
	b, _ := encodeRecord(small.ID, 7, [32]byte{9}, []byte("payload"))
	f.Add(b)
	f.Add(geometry{ID: small.ID, Pages: 65, Segments: 3}.header(1))
	f.Add([]byte("mohr.rec\x01\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(small.ID, b); err == nil {
			again, hash := encodeRecord(small.ID, r.Seq, r.Prev, r.Payload)
			if hash != r.Hash || !bytes.Equal(again, b[:len(again)]) {
				t.Fatal("taken, but written differently")
			}
		}
		if g, i, err := decodeHeader(b); err == nil && !bytes.Equal(g.header(i), b[:PageSize]) {
			t.Fatal("header taken, but written differently")
		}
	})
}

// FuzzOpen puts rubbish over both copies: Open gives what was written, or
// less by a tail, or refuses. It never gives other bytes and never panics.
func FuzzOpen(f *testing.F) {
	f.Add(uint16(1), uint16(1), []byte("rubbish"), []byte(nil))
	f.Add(uint16(PageSize+16), uint16(PageSize+16), []byte{3}, []byte{2})
	base := newSim()
	j, err := Create(simDir, with(tiny, base))
	if err != nil {
		f.Fatal(err)
	}
	for seq := range uint64(6) {
		if _, err := j.Append(payload(seq + 1)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, atA, atB uint16, a, b []byte) {
		fs := copyOf(base)
		for i, bytes := range [][]byte{a, b} {
			n, err := fs.find(simDir + "/" + copies[i] + "/0000.seg")
			if err != nil {
				t.Fatal(err)
			}
			at := int([]uint16{atA, atB}[i])
			bytes = bytes[:min(len(bytes), len(n.disk)*PageSize-at)]
			n.disk, n.cache = n.disk.with(at, bytes), n.cache.with(at, bytes)
		}
		j, err := Open(simDir, with(tiny, fs))
		if err != nil {
			return
		}
		seq, _ := j.Head()
		if err := intact(j, seq); err != nil || seq > 6 {
			t.Fatalf("%d records: %v", seq, err)
		}
		if err := fs.same(); err != nil {
			t.Fatal(err)
		}
	})
}

// A journal for the desk has to be there at once.
func TestCreateIsFast(t *testing.T) {
	start := time.Now()
	j, _ := create(t, Options{})
	d := time.Since(start)
	if free := j.Free(); free != 8*255*PageSize {
		t.Errorf("%d bytes free", free)
	}
	t.Logf("2 copies of 8 MiB in %v", d)
	if d > 5*time.Second { // measured: 30 ms; a loaded machine may be slow
		t.Errorf("took %v", d)
	}
}

func BenchmarkAppend(b *testing.B) {
	j, _ := create(b, Options{SegmentBytes: 16 << 20, Segments: 40})
	p := make([]byte, PageSize-Overhead)
	for b.Loop() {
		if _, err := j.Append(p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlain is what Append is compared with: one file, written and
// synced page by page, over zeros as the journal does.
func BenchmarkPlain(b *testing.B) {
	f, err := osFS{}.Create(filepath.Join(b.TempDir(), "plain"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const size = 64 << 20
	if err := zeroFill(f, size); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	p, off := make([]byte, PageSize), int64(0)
	for b.Loop() {
		if _, err := f.WriteAt(p, off%size); err != nil {
			b.Fatal(err)
		}
		if err := f.Datasync(); err != nil {
			b.Fatal(err)
		}
		off += PageSize
	}
}

func BenchmarkOpen(b *testing.B) {
	j, dir := create(b, Options{})
	for j.Free() > 1<<20 {
		if _, err := j.Append(make([]byte, 3*PageSize-Overhead)); err != nil {
			b.Fatal(err)
		}
	}
	j.Close()
	for b.Loop() {
		j, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
	os.RemoveAll(dir)
}
