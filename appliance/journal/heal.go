package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// What is what a healing did.
type What string

const (
	Copied What = "copied" // a record, from the other copy
	Header What = "header" // a segment's header was written again
	Wiped  What = "wiped"  // the remains of a record that was never acknowledged, or rubbish in free space
)

// Healing is one run of pages that was made good in one copy.
type Healing struct {
	Copy    string // "a" or "b"
	Segment int
	Page    int
	Pages   int
	What    What
	Seq     uint64 // the first record of the run, 0 for none
	Why     string
}

func (h Healing) String() string {
	s := fmt.Sprintf("%s/%s pages %d+%d: %s: %s", h.Copy, segmentName(h.Segment), h.Page, h.Pages, h.What, h.Why)
	if h.Seq != 0 {
		s += fmt.Sprintf(" (record %d)", h.Seq)
	}
	return s
}

func (o op) healing() Healing {
	return Healing{Copy: copies[o.copy], Segment: o.seg, Page: o.page, Pages: o.pages, What: o.what, Seq: o.seq, Why: o.why}
}

// heal carries out the ops of a scan, file by file, copy a first. What is
// written to one copy is never the only good one: it comes from the other, or
// is blank.
//
// For each file: pwrite…; fdatasync. For a file that is missing: makeSegment.
func (s *scan) heal() error {
	for c := range copies {
		for i := range s.geo.Segments {
			var mine []op
			for _, o := range s.ops {
				if o.copy == c && o.seg == i {
					mine = append(mine, o)
				}
			}
			if len(mine) == 0 {
				continue
			}
			if err := s.healFile(c, i, mine); err != nil {
				return wrap(fmt.Sprintf("heal %s/%s/%s", s.dir, copies[c], segmentName(i)), err)
			}
		}
	}
	return nil
}

func (s *scan) healFile(c, index int, ops []op) error {
	write := func(f file) error {
		for _, o := range ops {
			// Piece by piece: a run can be as long as the segment.
			for from, to := o.page, o.page+o.pages; from < to; from += windowPages {
				data := make([]byte, min(to-from, windowPages)*PageSize)
				switch o.what {
				case Copied:
					if err := s.readOther(c, index, data, int64(from)*PageSize); err != nil {
						return err
					}
				case Header:
					copy(data, s.geo.header(index))
				}
				if err := writeAt(f, data, int64(from)*PageSize); err != nil {
					return err
				}
			}
		}
		return nil
	}
	folder := filepath.Join(s.dir, copies[c])
	f, err := s.fs.OpenWrite(filepath.Join(folder, segmentName(index)))
	if errors.Is(err, fs.ErrNotExist) {
		switch _, err := s.fs.Names(folder); {
		case errors.Is(err, fs.ErrNotExist):
			if err := s.fs.Mkdir(folder); err != nil {
				return err
			}
			if err := s.fs.SyncDir(s.dir); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		return makeSegment(s.fs, s.dir, copies[c], s.geo, index, write)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Datasync()
	}
	return errors.Join(err, f.Close())
}

// readOther reads what the other copy than c has.
func (s *scan) readOther(c, index int, data []byte, off int64) error {
	f, err := s.fs.Open(filepath.Join(s.dir, copies[1-c], segmentName(index)))
	if err != nil {
		return err
	}
	_, err = f.ReadAt(data, off)
	return errors.Join(err, f.Close())
}
