package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// Found is one record of a raw scan. Its hash has been checked.
type Found struct {
	Record
	ID      [8]byte // of the journal
	Offsets []int64 // where it lies, in bytes: two copies are two offsets

	// Linked: the record before was found, and is the one that this one names.
	Linked bool
	// Rival: another record with this sequence number was found. One of the two
	// is from before the journal was put back to an older state.
	Rival bool
}

// Remains is what a raw scan found of one journal.
type Remains struct {
	ID       [8]byte
	Segments int // in each copy, by the headers found; 0: none was
	Pages    int // in a segment
	Headers  int // how many were found, of 2*Segments

	Records  uint64 // different sequence numbers
	Last     uint64 // the greatest; what was behind it nobody can tell
	Twice    uint64 // of Records: found at least twice, alike
	Missing  []Range
	Rivals   uint64 // sequence numbers with different records
	Unlinked uint64 // records whose predecessor is there and is another than the one they name
}

// Whole reports whether a record is there for each sequence number up to Last,
// in one chain.
func (r Remains) Whole() bool { return len(r.Missing) == 0 && r.Rivals == 0 && r.Unlinked == 0 }

// Range is sequence numbers From to To, both included.
type Range struct{ From, To uint64 }

func (r Range) String() string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// Ruin is a place that begins like a record and is none. What it says of itself
// is not proven.
type Ruin struct {
	Offset int64
	ID     [8]byte
	Seq    uint64
	Why    string
}

// Report is what a raw scan found beside the records.
type Report struct {
	Journals   []Remains // in the order in which they appear
	Ruins      []Ruin    // the first maxRuins
	RuinCount  int
	Unreadable int64 // bytes
}

const (
	// Records are looked for at sectors and not only at pages: the partition
	// may begin anywhere on a disk, and a file system may have small blocks.
	sectorSize = 512
	maxRuins   = 1000
	rawWindow  = 1<<20 + maxPages*PageSize
)

// maxHits bounds the memory of a raw scan to some 250 MB: 16 GiB of records.
// A year of a kiosk is 200,000. A variable for the tests.
var maxHits = 4 << 20

// ErrTooMany says that a raw scan found more than it can hold.
var ErrTooMany = errors.New("too many records: scan a part")

// hit is one copy of one record.
type hit struct {
	journal int32
	seq     uint64
	off     int64
	hash    [32]byte
}

// rawScan reads a device from end to end and keeps where the records are.
type rawScan struct {
	r      io.ReaderAt
	size   int64
	ids    map[[8]byte]int32
	hits   []hit
	report *Report
}

// Scan is the last resort when the file system is gone: it finds the records of
// all journals in the raw bytes of a partition, by their magic and hash, and
// gives each once to fn, journal by journal, in order of sequence numbers. It
// stops at fn's first error. The payload is fn's to keep. Nothing is written.
//
// r is read once from end to end, a record then once more for fn. Places that
// cannot be read are counted and passed over, unless r says that it was closed
// or its context canceled. A record whose pages the file
// system has put in two places is found only in the copy where they are
// together.
func Scan(r io.ReaderAt, size int64, fn func(Found) error) (*Report, error) {
	s := &rawScan{r: r, size: max(size, 0), ids: map[[8]byte]int32{}, report: &Report{}}
	if err := s.find(); err != nil {
		return s.report, fmt.Errorf("journal: raw scan: %w", err)
	}
	slices.SortFunc(s.hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.journal, b.journal), cmp.Compare(a.seq, b.seq), bytes.Compare(a.hash[:], b.hash[:]), cmp.Compare(a.off, b.off))
	})
	for hits := s.hits; len(hits) > 0; {
		n := 1
		for n < len(hits) && hits[n].journal == hits[0].journal {
			n++
		}
		if err := s.tell(&s.report.Journals[hits[0].journal], hits[:n], fn); err != nil {
			return s.report, err
		}
		hits = hits[n:]
	}
	return s.report, nil
}

// find looks at every sector.
func (s *rawScan) find() error {
	var (
		buf  = make([]byte, 0, min(rawWindow, s.size))
		base int64 // of buf on the device
	)
	for off := int64(0); off+PageSize <= s.size; {
		if end := base + int64(len(buf)); end < s.size && off+maxPages*PageSize > end {
			kept := 0
			if off < end {
				kept = copy(buf[:cap(buf)], buf[off-base:])
			}
			buf = buf[:min(int64(cap(buf)), s.size-off)]
			base = off
			if err := s.read(buf[kept:], base+int64(kept)); err != nil {
				return err
			}
		}
		n, err := s.look(buf[off-base:], off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// read fills buf; what cannot be read is rubbish in it.
func (s *rawScan) read(buf []byte, off int64) error {
	if _, err := s.r.ReadAt(buf, off); err == nil {
		return nil
	}
	for i := 0; i < len(buf); i += PageSize {
		page := buf[i:min(i+PageSize, len(buf))]
		n, err := s.r.ReadAt(page, off+int64(i))
		switch {
		case n == len(page):
		case errors.Is(err, context.Canceled), errors.Is(err, fs.ErrClosed):
			return err
		default:
			s.report.Unreadable += int64(len(page) - n)
			spoil(page[n:])
		}
	}
	return nil
}

// look takes what begins at b[0] and says how far to go on.
func (s *rawScan) look(b []byte, off int64) (int, error) {
	switch {
	case bytes.HasPrefix(b, recordMagic[:]) && len(b) >= PageSize:
		id := [8]byte(b[24:32])
		r, err := decodeRecord(id, b)
		if err != nil {
			s.ruin(Ruin{Offset: off, ID: id, Seq: binary.LittleEndian.Uint64(b[16:]), Why: err.Error()})
			return sectorSize, nil
		}
		if len(s.hits) == maxHits {
			return 0, fmt.Errorf("%w: %d", ErrTooMany, maxHits)
		}
		journal, err := s.journal(id)
		s.hits = append(s.hits, hit{journal, r.Seq, off, r.Hash})
		return pagesFor(len(r.Payload)) * PageSize, err
	case bytes.HasPrefix(b, segmentMagic[:]):
		g, _, err := decodeHeader(b)
		if err != nil {
			return sectorSize, nil
		}
		journal, err := s.journal(g.ID)
		if err != nil {
			return 0, err
		}
		m := &s.report.Journals[journal]
		m.Headers++
		m.Segments, m.Pages = g.Segments, g.Pages
		return PageSize, nil
	}
	return sectorSize, nil
}

func (s *rawScan) ruin(r Ruin) {
	if s.report.RuinCount++; len(s.report.Ruins) < maxRuins {
		s.report.Ruins = append(s.report.Ruins, r)
	}
}

func (s *rawScan) journal(id [8]byte) (int32, error) {
	n, ok := s.ids[id]
	if !ok {
		if n = int32(len(s.ids)); int(n) == maxHits {
			return 0, fmt.Errorf("%w: of %d journals", ErrTooMany, n)
		}
		s.ids[id] = n
		s.report.Journals = append(s.report.Journals, Remains{ID: id})
	}
	return n, nil
}

// tell gives the records of one journal, sorted hits, to fn and counts them.
func (s *rawScan) tell(m *Remains, hits []hit, fn func(Found) error) error {
	var before []hit // of the sequence number before
	for len(hits) > 0 {
		n := 1
		for n < len(hits) && hits[n].seq == hits[0].seq {
			n++
		}
		same := hits[:n]
		hits = hits[n:]
		told, err := s.tellOne(m, same, before, fn)
		if err != nil {
			return err
		}
		if !told {
			continue
		}
		if same[0].seq > m.Last+1 {
			m.Missing = append(m.Missing, Range{m.Last + 1, same[0].seq - 1})
		}
		m.Records, m.Last, before = m.Records+1, same[0].seq, same
	}
	return nil
}

// tellOne is tell for the copies of one sequence number: alike, or rivals.
func (s *rawScan) tellOne(m *Remains, same, before []hit, fn func(Found) error) (told bool, err error) {
	rival, twice := same[0].hash != same[len(same)-1].hash, false
	if rival {
		m.Rivals++
	}
	for len(same) > 0 {
		f := Found{ID: m.ID, Rival: rival}
		for len(same) > 0 && (f.Offsets == nil || same[0].hash == f.Hash) {
			f.Offsets, f.Hash, f.Seq = append(f.Offsets, same[0].off), same[0].hash, same[0].seq
			same = same[1:]
		}
		if !s.again(&f) {
			continue
		}
		there := len(before) > 0 && before[0].seq+1 == f.Seq
		f.Linked = f.Seq == 1 && f.Prev == [32]byte{} ||
			there && slices.ContainsFunc(before, func(h hit) bool { return h.hash == f.Prev })
		if !f.Linked && (there || f.Seq <= 1) {
			m.Unlinked++
		}
		twice = twice || len(f.Offsets) > 1
		told = true
		if err := fn(f); err != nil {
			return false, err
		}
	}
	if twice {
		m.Twice++
	}
	return told, nil
}

// again reads a record once more, from the first of its places that gives it.
func (s *rawScan) again(f *Found) bool {
	var head [PageSize]byte
	for _, off := range f.Offsets {
		if _, err := s.r.ReadAt(head[:], off); err != nil && err != io.EOF {
			continue
		}
		n := binary.LittleEndian.Uint32(head[12:])
		if n > MaxPayload {
			continue
		}
		buf := make([]byte, pagesFor(int(n))*PageSize)
		if _, err := s.r.ReadAt(buf, off); err != nil && err != io.EOF {
			continue
		}
		if r, err := decodeRecord(f.ID, buf); err == nil && r.Hash == f.Hash {
			f.Record = r
			return true
		}
	}
	for _, off := range f.Offsets {
		s.ruin(Ruin{Offset: off, ID: f.ID, Seq: f.Seq, Why: "was read once and not again"})
	}
	return false
}
