package journal

import (
	"fmt"
	"path/filepath"
)

// readers are the files of the segment that was read last.
type readers struct {
	seg   int32
	files [2]file
}

func (r *readers) close() {
	for c, f := range r.files {
		if f != nil {
			f.Close()
		}
		r.files[c] = nil
	}
}

// read returns a record from the copy that has it and heals the other.
func (j *Journal) read(r *readers, seq uint64) (Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return Record{}, fmt.Errorf("journal: read record %d: %w", seq, j.broken)
	}
	at := j.index[seq-1]
	if r.files[0] == nil && r.files[1] == nil || r.seg != at.seg {
		r.close()
		r.seg = at.seg
		for c := range copies {
			// A copy that cannot be opened is like one that cannot be read.
			if f, err := j.fs.Open(filepath.Join(j.dir, copies[c], segmentName(int(at.seg)))); err == nil {
				r.files[c] = f
			}
		}
	}
	var why [2]error
	for c := range copies {
		buf := make([]byte, int(at.pages)*PageSize)
		rec, err := j.readCopy(r.files[c], at, seq, buf)
		if err != nil {
			why[c] = err
			continue
		}
		if c == 1 && !j.readOnly {
			if err := j.mend(at, seq, buf, why[0]); err != nil {
				return Record{}, err
			}
		}
		return rec, nil
	}
	return Record{}, &DamagedError{Seq: seq, Segment: int(at.seg), Page: int(at.page), Why: fmt.Sprintf("a: %v; b: %v", why[0], why[1])}
}

func (j *Journal) readCopy(f file, at place, seq uint64, buf []byte) (Record, error) {
	if f == nil {
		return Record{}, fmt.Errorf("file cannot be opened")
	}
	if _, err := f.ReadAt(buf, int64(at.page)*PageSize); err != nil {
		return Record{}, err
	}
	rec, err := decodeRecord(j.geo.ID, buf)
	if err != nil {
		return Record{}, err
	}
	if rec.Seq != seq {
		return Record{}, fmt.Errorf("record %d, want %d", rec.Seq, seq)
	}
	return rec, nil
}

// mend gives copy a, while the journal is open, a record that only b has.
//
//	open; pwrite; fdatasync
func (j *Journal) mend(at place, seq uint64, data []byte, why error) error {
	f, err := j.fs.OpenWrite(filepath.Join(j.dir, copies[0], segmentName(int(at.seg))))
	if err != nil {
		return j.poison("mend", err)
	}
	defer f.Close()
	if err := writeAt(f, data, int64(at.page)*PageSize); err != nil {
		return j.poison("mend", err)
	}
	if err := f.Datasync(); err != nil {
		return j.poison("mend", err)
	}
	j.healed = append(j.healed, Healing{
		Copy: copies[0], Segment: int(at.seg), Page: int(at.page), Pages: int(at.pages), What: Copied, Seq: seq, Why: why.Error(),
	})
	return nil
}
