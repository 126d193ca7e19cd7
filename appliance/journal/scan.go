package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// place is where a record is, the same in both copies.
type place struct {
	seg   int32
	page  int16
	pages int16
}

// op is one run of pages that one copy must be given.
type op struct {
	copy, seg, page, pages int

	what What
	seq  uint64
	why  string
}

// scan is what is found on disk, and what would make both copies whole.
type scan struct {
	fs       fsys
	dir      string
	readOnly bool
	geo      geometry

	seq       uint64 // of the last record
	head      [32]byte
	seg, page int // where the next record goes, if it fits
	index     []place
	ops       []op

	loaded []*segment
}

// findGeometry asks every segment header of both copies. One is enough; two
// that disagree are two journals in one place.
func (s *scan) findGeometry() error {
	found := ""
	for c := range copies {
		names, err := s.fs.Names(filepath.Join(s.dir, copies[c]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, base := range names {
			name := filepath.Join(s.dir, copies[c], base)
			if filepath.Ext(name) != ".seg" {
				continue
			}
			f, err := s.fs.Open(name)
			if err != nil {
				return err
			}
			page := make([]byte, PageSize)
			err = readPages(f, page, 0)
			f.Close()
			if err != nil {
				continue
			}
			g, index, err := decodeHeader(page)
			if err != nil || base != segmentName(index) {
				continue
			}
			if found != "" && g != s.geo {
				return &DamagedError{Segment: index, Why: fmt.Sprintf("%s is of journal %x, %s of %x", found, s.geo.ID, name, g.ID)}
			}
			found, s.geo = name, g
		}
	}
	if found == "" {
		return &DamagedError{Why: "no segment header can be read"}
	}
	return nil
}

// run walks the chain from the first record to the last, then looks at what
// is behind it.
func (s *scan) run() error {
	defer s.done(nil)
	if err := s.settle(); err != nil {
		return err
	}
	if err := s.findGeometry(); err != nil {
		return err
	}
	seg, err := s.load(0, s.geo.Pages)
	if err != nil {
		return err
	}
	for {
		s.header(seg)
		page := 1
		for page < s.geo.Pages {
			n, err := s.record(seg, page)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			page += n
		}
		s.seg, s.page = seg.index, page
		if seg.index+1 == s.geo.Segments {
			return s.free(seg, page)
		}
		next, err := s.load(seg.index+1, s.geo.Pages)
		if err != nil {
			return err
		}
		_, errA := s.follows(next, 0, 1)
		_, errB := s.follows(next, 1, 1)
		if errA == nil || errB == nil {
			s.skipped(seg, page) // the record did not fit here
			s.done(seg)
			seg = next
			continue
		}
		if err := s.free(seg, page); err != nil {
			return err
		}
		s.header(next)
		if err := s.free(next, 1); err != nil {
			return err
		}
		s.done(seg)
		s.done(next)
		break
	}
	// Records are written in order: one that lies further on would leave its
	// mark on the first page of its segment.
	for i := s.seg + 2; i < s.geo.Segments; i++ {
		seg, err := s.load(i, 2)
		if err != nil {
			return err
		}
		s.header(seg)
		if err := s.free(seg, 1); err != nil {
			return err
		}
		s.done(seg)
	}
	return nil
}

func (s *scan) header(seg *segment) {
	for c := range copies {
		if !bytes.Equal(seg.at(c, 0)[:PageSize], s.geo.header(seg.index)) {
			s.add(op{copy: c, seg: seg.index, page: 0, pages: 1, what: Header, why: seg.reason(c, "segment header is damaged")})
		}
	}
}

// follows gives the next record, or says why what copy c holds at a page is not
// it.
func (s *scan) follows(seg *segment, c, page int) (Record, error) {
	r, err := decodeRecord(s.geo.ID, seg.at(c, page))
	switch {
	case err != nil:
		return Record{}, err
	case r.Seq != s.seq+1:
		return Record{}, fmt.Errorf("record %d, want %d", r.Seq, s.seq+1)
	case r.Prev != s.head:
		return Record{}, fmt.Errorf("record %d does not continue the chain", r.Seq)
	}
	return r, nil
}

// record takes the next record if either copy has it, and returns its pages.
func (s *scan) record(seg *segment, page int) (int, error) {
	seg.reach(page)
	r, err := s.follows(seg, 0, page)
	n := pagesFor(len(r.Payload))
	if err != nil || !bytes.Equal(seg.at(0, page)[:n*PageSize], seg.at(1, page)[:n*PageSize]) {
		// They differ: what does b hold?
		other, errB := s.follows(seg, 1, page)
		bad, why := 1, errB
		switch {
		case err == nil && errB == nil:
			return 0, &DamagedError{Seq: r.Seq, Segment: seg.index, Page: page, Why: "the copies hold different records"}
		case err != nil && errB != nil:
			return 0, nil
		case err != nil:
			r, n, bad, why = other, pagesFor(len(other.Payload)), 0, err
		}
		s.differ(seg, page, n, bad, r.Seq, why)
	}
	s.seq, s.head = r.Seq, r.Hash
	s.index = append(s.index, place{int32(seg.index), int16(page), int16(n)})
	return n, nil
}

// differ has the pages copied that one copy of a record has wrong.
func (s *scan) differ(seg *segment, page, n, bad int, seq uint64, err error) {
	why := err.Error()
	if blank(seg.at(bad, page)[:n*PageSize]) {
		why = "record is missing"
	}
	for i := page; i < page+n; i++ {
		if !bytes.Equal(seg.at(0, i)[:PageSize], seg.at(1, i)[:PageSize]) {
			s.add(op{copy: bad, seg: seg.index, page: i, pages: 1, what: Copied, seq: seq, why: seg.reason(bad, why)})
		}
	}
}

// skipped makes the end of a segment blank that the chain has jumped over.
func (s *scan) skipped(seg *segment, from int) {
	for page := from; page < s.geo.Pages; page++ {
		seg.reach(page)
		for c := range copies {
			if !blank(seg.at(c, page)[:PageSize]) {
				s.add(op{copy: c, seg: seg.index, page: page, pages: 1, what: Wiped, why: seg.reason(c, "free space is not blank")})
			}
		}
	}
}

// free makes what lies behind the last record blank, or finds that a record
// is lost there. Copy b is written only after a is safe: a blank b means that
// nothing here was acknowledged.
func (s *scan) free(seg *segment, from int) error {
	for page := from; page < seg.pages; page++ {
		seg.reach(page)
		lost := func(why string) error {
			return &DamagedError{Seq: s.seq + 1, Segment: seg.index, Page: page, Why: why}
		}
		var bad [2]bool
		for c := range copies {
			bad[c] = !blank(seg.at(c, page)[:PageSize])
			if r, err := decodeRecord(s.geo.ID, seg.at(c, page)); err == nil && r.Seq > s.seq {
				return lost(fmt.Sprintf("copy %s still has record %d", copies[c], r.Seq))
			}
		}
		switch {
		case bad[0] && bad[1]:
			return lost(fmt.Sprintf("%s; %s", seg.reason(0, "neither blank nor a record"), seg.reason(1, "neither blank nor a record")))
		case bad[1] && bytes.HasPrefix(seg.at(1, page), recordMagic[:]):
			return lost("copy b holds a damaged record, copy a none")
		}
		for c := range copies {
			if bad[c] {
				s.add(op{copy: c, seg: seg.index, page: page, pages: 1, what: Wiped, why: seg.reason(c, "free space is not blank")})
			}
		}
	}
	return nil
}

func (seg *segment) reason(c int, otherwise string) string {
	if seg.why[c] != "" {
		return seg.why[c]
	}
	return otherwise
}

// add notes an op, as one with its neighbour where it can.
func (s *scan) add(o op) {
	if n := len(s.ops); n > 0 {
		last := &s.ops[n-1]
		if last.copy == o.copy && last.seg == o.seg && last.page+last.pages == o.page && last.what == o.what && last.why == o.why {
			last.pages++
			return
		}
	}
	s.ops = append(s.ops, o)
}
