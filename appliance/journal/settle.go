package journal

import (
	"errors"
	"io/fs"
	"path/filepath"
)

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
