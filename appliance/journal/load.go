package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// segment is what the two copies hold of one segment. Pages that are not
// there, or cannot be read, are filled with rubbish: never blank, never valid.
type segment struct {
	index int
	buf   [2][]byte
	why   [2]string // why a copy could not be read in full
}

const rubbish = 0xa5

func (s *segment) at(c, page int) []byte { return s.buf[c][page*PageSize:] }

// load reads the first pages of both copies of a segment. A copy that is
// short or missing is read to its end, so that all of it is made again. What
// cannot be opened for another reason is no damage, and an error.
func (s *scan) load(index, pages int) (*segment, error) {
	seg := &segment{index: index}
	var files [2]file
	for c := range copies {
		f, err := s.fs.Open(filepath.Join(s.dir, copies[c], segmentName(index)))
		if errors.Is(err, fs.ErrNotExist) {
			seg.why[c], pages = "file is missing", s.geo.Pages
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files[c] = f
		size, err := f.Size()
		if err != nil {
			return nil, err
		}
		if size < int64(s.geo.Pages)*PageSize {
			seg.why[c], pages = fmt.Sprintf("file is cut at %d bytes", size), s.geo.Pages
		}
	}
	for c := range copies {
		seg.buf[c] = s.buffer(pages * PageSize)
		if files[c] == nil {
			spoil(seg.buf[c])
			continue
		}
		if err := readPages(files[c], seg.buf[c]); err != nil && seg.why[c] == "" {
			seg.why[c] = err.Error()
		}
	}
	return seg, nil
}

// buffer gives memory that holds anything; done takes it back.
func (s *scan) buffer(n int) []byte {
	if last := len(s.spare) - 1; last >= 0 && cap(s.spare[last]) >= n {
		b := s.spare[last]
		s.spare = s.spare[:last]
		return b[:n]
	}
	return make([]byte, n, max(n, s.geo.Pages*PageSize))
}

func (s *scan) done(seg *segment) { s.spare = append(s.spare, seg.buf[0], seg.buf[1]) }

func spoil(b []byte) {
	for i := range b {
		b[i] = rubbish
	}
}

// readPages reads as much as there is. One bad sector costs its page only.
func readPages(f file, buf []byte) error {
	n, err := f.ReadAt(buf, 0)
	if err == nil {
		return nil
	}
	for i := n / PageSize * PageSize; i < len(buf); i += PageSize {
		page := buf[i : i+PageSize]
		if _, e := f.ReadAt(page, int64(i)); e != nil {
			spoil(page)
		}
	}
	return err
}

// settle makes reading ask the medium: what a process that failed has left
// unwritten in the page cache is written, what the kernel could not write but
// still shows is forgotten. The same for the names of the files.
//
//	for each file { open; fdatasync; fadvise }; fsync a, b, dir and its parent
func (s *scan) settle() error {
	for _, c := range copies {
		folder := filepath.Join(s.dir, c)
		names, err := s.fs.Names(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, name := range names {
			if err == nil && filepath.Ext(name) == ".seg" {
				err = s.settleFile(filepath.Join(folder, name))
			}
		}
		if err == nil && !s.readOnly {
			err = s.fs.SyncDir(folder)
		}
		if err != nil {
			return err
		}
	}
	if s.readOnly {
		return nil
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	// Who may not look into the parent has not made the journal either.
	if err := s.fs.SyncDir(filepath.Dir(s.dir)); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func (s *scan) settleFile(name string) error {
	f, err := s.fs.Open(name)
	if err != nil {
		return err
	}
	if !s.readOnly {
		err = f.Datasync()
	}
	if err == nil {
		err = f.Drop()
	}
	return errors.Join(err, f.Close())
}
