package journal

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// fsys is what the journal asks of the system. Tests put a simulated disk
// here, that fails at the n-th call and forgets what was not synced.
type fsys interface {
	Lock(dir string) (io.Closer, error)  // exclusive, at once or EWOULDBLOCK
	Names(dir string) ([]string, error)  // what is in it
	Mkdir(dir string) error              // mkdir
	Open(name string) (file, error)      // existing, for reading
	OpenWrite(name string) (file, error) // existing, for reading and writing
	Create(name string) (file, error)    // new, or EEXIST
	Rename(from, to string) error        // over an empty folder too
	RemoveAll(name string) error
	SyncDir(dir string) error // fsync
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Sync() error     // fsync: contents and size
	Datasync() error // fdatasync: contents
	Drop() error     // forget cached pages, so that reading asks the medium
}

// writeAt is pwrite of all of b. A write that ends early without an error is
// one that failed.
func writeAt(f file, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

type osFS struct{}

func (osFS) Lock(dir string) (io.Closer, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: dir, Err: err}
	}
	return f, nil
}

func (osFS) Names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (osFS) Mkdir(dir string) error { return os.Mkdir(dir, 0o700) }

func (osFS) Open(name string) (file, error) { return openOS(name, os.O_RDONLY) }

func (osFS) OpenWrite(name string) (file, error) { return openOS(name, os.O_RDWR) }

func (osFS) Create(name string) (file, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Rename is rename(2): os.Rename refuses a target that is a folder.
func (osFS) Rename(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (osFS) RemoveAll(name string) error { return os.RemoveAll(name) }

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct{ *os.File }

// openOS follows no symbolic link at the last step: segments are plain files.
func openOS(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (f osFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

func (f osFile) Drop() error {
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return &os.PathError{Op: "fadvise", Path: f.Name(), Err: err}
	}
	return nil
}
