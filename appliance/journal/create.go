package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"mohr.internal/appliance/journal/bounds"
)

// Options say how large a new journal is. Open takes that from the disk.
type Options struct {
	SegmentBytes int64   // of one segment in one copy, a multiple of PageSize; default 1 MiB
	Segments     int     // in each copy; default 8
	ID           [8]byte // of the journal; zero: drawn at random

	// ReadOnly opens beside a running owner: no lock, no healing, no Append.
	// Healed then says what would have to be healed.
	ReadOnly bool

	fs fsys
}

func (o Options) system() fsys {
	if o.fs == nil {
		return osFS{}
	}
	return o.fs
}

func (o Options) geometry() (geometry, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 1 << 20
	}
	if o.Segments == 0 {
		o.Segments = 8
	}
	if err := bounds.Segment(o.SegmentBytes); err != nil {
		return geometry{}, fmt.Errorf("journal: bytes in a segment: %w", err)
	}
	g := geometry{ID: o.ID, Pages: int(o.SegmentBytes / PageSize), Segments: o.Segments}
	if g.ID == [8]byte{} {
		rand.Read(g.ID[:]) // never fails: crypto/rand ends the program instead
	}
	if err := g.check(); err != nil {
		return geometry{}, fmt.Errorf("journal: %w", err)
	}
	return g, nil
}

func segmentName(i int) string { return fmt.Sprintf("%04d.seg", i) }

// copies are the folders of the two copies, in the order they are written.
var copies = [2]string{"a", "b"}

// Create makes a new, empty journal and opens it. dir must not exist or be an
// empty folder, and its parent must exist. All or nothing: the journal is
// built beside its place and moved there in one step.
//
// System calls, with new = dir + ".new":
//
//	mkdir new; flock new; mkdir new/a; for each segment
//	  { open O_EXCL; pwrite…; fsync; rename to its name; fsync new/a }
//	the same for new/b; fsync new; rename new to dir; fsync parent
func Create(dir string, opts Options) (*Journal, error) {
	if opts.ReadOnly {
		return nil, wrap("create "+dir, ErrReadOnly)
	}
	g, err := opts.geometry()
	if err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	fs, fresh := opts.system(), dir+".new"
	if names, err := fs.Names(dir); err == nil && len(names) > 0 {
		return nil, fmt.Errorf("journal: create %s: %w", dir, ErrExists)
	}
	if err := fs.Mkdir(fresh); err != nil && !errors.Is(err, syscall.EEXIST) {
		return nil, wrap("create "+dir, err)
	}
	lock, err := fs.Lock(fresh)
	if err != nil {
		return nil, wrap("create "+dir, err)
	}
	if err := build(fs, fresh, g); err != nil {
		fs.RemoveAll(fresh) // or a full disk stays full; what is left the next Create throws away
		lock.Close()
		return nil, wrap("create "+dir, err)
	}
	err = fs.Rename(fresh, dir)
	if errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOTEMPTY) {
		err = fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err == nil {
		err = fs.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		lock.Close()
		return nil, wrap("create "+dir, err)
	}
	return open(dir, opts, lock)
}

// build fills the folder of a new journal, after throwing away what a Create
// that was cut off has left there.
func build(fs fsys, dir string, g geometry) error {
	left, err := fs.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := fs.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, c := range copies {
		if err := fs.Mkdir(filepath.Join(dir, c)); err != nil {
			return err
		}
		for i := range g.Segments {
			if err := makeSegment(fs, dir, c, g, i, nil); err != nil {
				return err
			}
		}
	}
	return fs.SyncDir(dir)
}

// makeSegment writes a segment of zeros and its header; fill may add to it.
//
//	open new O_EXCL; pwrite…; fsync; rename new to its name; fsync folder
func makeSegment(fs fsys, dir, c string, g geometry, index int, fill func(file) error) error {
	name := filepath.Join(dir, c, segmentName(index))
	if err := fs.RemoveAll(name + ".new"); err != nil {
		return err
	}
	f, err := fs.Create(name + ".new")
	if err != nil {
		return err
	}
	err = zeroFill(f, int64(g.Pages)*PageSize)
	if err == nil {
		err = writeAt(f, g.header(index), 0)
	}
	if err == nil && fill != nil {
		err = fill(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Join(dir, c))
}

// zeroFill writes real zeros: a hole or a reserved extent would have the file
// system allocate, and change its own tables, in the field.
func zeroFill(f file, n int64) error {
	for off := int64(0); off < n; off += int64(len(zeros)) {
		if err := writeAt(f, zeros[:min(int64(len(zeros)), n-off)], off); err != nil {
			return err
		}
	}
	return nil
}
