package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
)

// segment is a window on what the two copies hold of one segment; it moves
// forward with reach. Pages that are not there, or cannot be read, are filled
// with rubbish: never blank, never valid.
type segment struct {
	index int
	pages int // how many are looked at
	files [2]file
	from  int // the window's first page
	buf   [2][]byte
	why   [2]string // why a copy could not be read in full
}

const rubbish = 0xa5

// windowPages is what is read at once. It takes the largest record and moves
// little of it twice.
const windowPages = 4 * maxPages

func (seg *segment) at(c, page int) []byte { return seg.buf[c][(page-seg.from)*PageSize:] }

// load opens both copies of a segment and reads its first pages. A copy that is
// short or missing is looked at to its end, so that all of it is made again.
// What cannot be opened for another reason is no damage, and an error.
func (s *scan) load(index, pages int) (*segment, error) {
	seg := &segment{index: index, pages: pages}
	s.loaded = append(s.loaded, seg)
	for c := range copies {
		f, err := s.fs.Open(filepath.Join(s.dir, copies[c], segmentName(index)))
		if errors.Is(err, fs.ErrNotExist) {
			seg.why[c], seg.pages = "file is missing", s.geo.Pages
			continue
		}
		if err != nil {
			return nil, err
		}
		seg.files[c] = f
		size, err := f.Size()
		if err != nil {
			return nil, err
		}
		if size < int64(s.geo.Pages)*PageSize {
			seg.why[c], seg.pages = fmt.Sprintf("file is cut at %d bytes", size), s.geo.Pages
		}
	}
	for c := range copies {
		seg.buf[c] = windows.Get().(*window)[:min(seg.pages, windowPages)*PageSize]
		seg.read(c, 0)
	}
	return seg, nil
}

// read fills the window of one copy from its n-th byte on.
func (seg *segment) read(c, n int) {
	buf := seg.buf[c][n:]
	if seg.files[c] == nil {
		spoil(buf)
		return
	}
	if err := readPages(seg.files[c], buf, int64(seg.from)*PageSize+int64(n)); err != nil && seg.why[c] == "" {
		seg.why[c] = err.Error()
	}
}

// reach moves the window so that all of a record that begins at page is in it.
func (seg *segment) reach(page int) {
	held := seg.from + len(seg.buf[0])/PageSize
	if held == seg.pages || page+maxPages <= held {
		return
	}
	keep := (held - page) * PageSize
	size := min(seg.pages-page, windowPages) * PageSize
	for c := range copies {
		copy(seg.buf[c], seg.at(c, page))
		seg.buf[c] = seg.buf[c][:size]
	}
	seg.from = page
	for c := range copies {
		seg.read(c, keep)
	}
}

// window is memory that holds anything; done gives it back.
type window [windowPages * PageSize]byte

var windows = sync.Pool{New: func() any { return new(window) }}

// done gives up a segment, or all that are left.
func (s *scan) done(seg *segment) {
	left := s.loaded[:0]
	for _, l := range s.loaded {
		if seg != nil && l != seg {
			left = append(left, l)
			continue
		}
		for c, f := range l.files {
			if f != nil {
				f.Close()
			}
			if l.buf[c] != nil {
				windows.Put((*window)(l.buf[c][:windowPages*PageSize]))
			}
		}
	}
	s.loaded = left
}

func spoil(b []byte) {
	for i := range b {
		b[i] = rubbish
	}
}

// readPages reads as much as there is. One bad sector costs its page only.
func readPages(f io.ReaderAt, buf []byte, off int64) error {
	n, err := f.ReadAt(buf, off)
	if err == nil {
		return nil
	}
	for i := n / PageSize * PageSize; i < len(buf); i += PageSize {
		page := buf[i:min(i+PageSize, len(buf))]
		if _, e := f.ReadAt(page, off+int64(i)); e != nil {
			spoil(page)
		}
	}
	return err
}
