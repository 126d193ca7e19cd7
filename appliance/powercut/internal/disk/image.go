package disk

import (
	"fmt"
	"io"
	"slices"
)

const (
	// PageSize is the unit in which images share their contents.
	PageSize = 4096
	// SectorSize is the unit that a disk writes whole.
	SectorSize = 512
)

var zeroPage [PageSize]byte

// Image is the contents of a disk. Its pages are never changed in place, so
// that clones share them; nil is a page of zeros. It is not safe for
// concurrent use.
type Image struct{ pages [][]byte }

// NewImage is a disk of zeros of a size that is rounded up to whole pages.
func NewImage(size int64) *Image {
	return &Image{make([][]byte, (size+PageSize-1)/PageSize)}
}

// Clone is a copy that changes by itself.
func (m *Image) Clone() *Image { return &Image{slices.Clone(m.pages)} }

// Size is the disk's size in bytes.
func (m *Image) Size() int64 { return int64(len(m.pages)) * PageSize }

func (m *Image) page(i int64) []byte {
	if p := m.pages[i]; p != nil {
		return p
	}
	return zeroPage[:]
}

// ReadAt implements io.ReaderAt.
func (m *Image) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off >= 0 && off < m.Size() {
		c := copy(b[n:], m.page(off / PageSize)[off%PageSize:])
		n, off = n+c, off+int64(c)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt. It keeps no reference to b.
func (m *Image) WriteAt(b []byte, off int64) (n int, err error) {
	if off < 0 || off+int64(len(b)) > m.Size() {
		return 0, fmt.Errorf("disk: write of %d bytes at %d, the disk has %d", len(b), off, m.Size())
	}
	for n < len(b) {
		i, at := off/PageSize, off%PageSize
		page := make([]byte, PageSize)
		if at != 0 || len(b)-n < PageSize {
			copy(page, m.page(i))
		}
		c := copy(page[at:], b[n:])
		m.pages[i] = page
		n, off = n+c, off+int64(c)
	}
	return n, nil
}

// fill makes a region hold what next gives, page by page; what lies outside the
// disk is left out.
func (m *Image) fill(off, size int64, next func() []byte) {
	for i := off / PageSize; i < (off+size)/PageSize && i < int64(len(m.pages)); i++ {
		m.pages[i] = next()
	}
}
