package journal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
)

// Journal is an open journal. Its methods may be called from several
// goroutines; appends take turns.
type Journal struct {
	mu       sync.Mutex
	fs       fsys
	dir      string
	readOnly bool
	lock     io.Closer
	broken   error // why nothing can be done any more

	geo       geometry
	seq       uint64
	head      [32]byte
	seg, page int // where the next record goes, if it fits
	index     []place
	healed    []Healing

	files   [2]file // for writing, of segment filesOf
	filesOf int
}

// Open opens a journal that is there, heals what one copy lost and gives
// ErrMissing, ErrReadOnly, ErrLocked, or a *DamagedError with nothing changed.
//
// System calls: flock dir; settle; for each file { open; pread… }; if
// something is to be healed { heal; settle; read all again }; open both copies
// of the last segment for writing.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.ReadOnly {
		// A record that is being written beside us can look like damage.
		for try := 1; ; try++ {
			j, err := open(dir, opts, nil)
			if try == 5 || !errors.Is(err, ErrDamaged) {
				return j, err
			}
		}
	}
	lock, err := opts.system().Lock(dir)
	if err != nil {
		return nil, wrap("open "+dir, err)
	}
	return open(dir, opts, lock)
}

func open(dir string, opts Options, lock io.Closer) (_ *Journal, err error) {
	j := &Journal{fs: opts.system(), dir: dir, readOnly: opts.ReadOnly, lock: lock, filesOf: -1}
	defer func() {
		if err != nil {
			j.Close()
		}
	}()
	names, err := j.fs.Names(dir)
	if err != nil {
		return nil, wrap("open "+dir, err)
	}
	if !slices.Contains(names, copies[0]) && !slices.Contains(names, copies[1]) {
		return nil, fmt.Errorf("journal: open %s: %w", dir, ErrMissing)
	}
	s := &scan{fs: j.fs, dir: dir, readOnly: j.readOnly}
	if err := s.run(); err != nil {
		return nil, wrap("open "+dir, err)
	}
	for _, o := range s.ops {
		j.healed = append(j.healed, o.healing())
	}
	if len(s.ops) > 0 && !j.readOnly {
		if err := s.heal(); err != nil {
			return nil, err
		}
		again := &scan{fs: j.fs, dir: dir}
		if err := again.run(); err != nil {
			return nil, wrap("open "+dir, err)
		}
		if len(again.ops) > 0 {
			return nil, fmt.Errorf("journal: open %s: healing did not last: %s", dir, again.ops[0].healing())
		}
		if again.head != s.head {
			return nil, fmt.Errorf("journal: open %s: ends at record %d after healing, %d before", dir, again.seq, s.seq)
		}
	}
	j.geo, j.seq, j.head, j.index, j.seg, j.page = s.geo, s.seq, s.head, s.index, s.seg, s.page
	if !j.readOnly {
		if err := j.writers(j.seg); err != nil {
			return nil, wrap("open "+dir, err)
		}
	}
	return j, nil
}

// writers opens both copies of a segment for writing.
func (j *Journal) writers(seg int) error {
	if j.filesOf == seg {
		return nil
	}
	var files [2]file
	for c := range copies {
		f, err := j.fs.OpenWrite(filepath.Join(j.dir, copies[c], segmentName(seg)))
		if err != nil {
			if c == 1 {
				files[0].Close()
			}
			return err
		}
		files[c] = f
	}
	j.closeFiles()
	j.files, j.filesOf = files, seg
	return nil
}

func (j *Journal) closeFiles() {
	for c, f := range j.files {
		if f != nil {
			f.Close() // everything written through it has been synced
		}
		j.files[c] = nil
	}
	j.filesOf = -1
}

// Append writes a record and returns when it is durable in both copies. It
// keeps payload in the returned Record and changes nothing in it.
//
// ErrFull and ErrTooLarge leave the journal as it was. After any other error,
// which is ErrPoisoned too, the record may or may not be there, and every call
// gives ErrPoisoned until the journal is closed and opened again: then ask Head.
//
//	pwrite(a) fdatasync(a) pwrite(b) fdatasync(b)
//
// in a new segment after opening its two files.
func (j *Journal) Append(payload []byte) (Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.broken != nil:
		return Record{}, fmt.Errorf("journal: append: %w", j.broken)
	case j.readOnly:
		return Record{}, fmt.Errorf("journal: append: %w", ErrReadOnly)
	case len(payload) > MaxPayload:
		return Record{}, fmt.Errorf("journal: append: %w: %d bytes, at most %d", ErrTooLarge, len(payload), MaxPayload)
	}
	n := pagesFor(len(payload))
	seg, page := j.seg, j.page
	if page+n > j.geo.Pages {
		seg, page = seg+1, 1
	}
	if seg == j.geo.Segments {
		return Record{}, fmt.Errorf("journal: append: %w: no room for %d pages", ErrFull, n)
	}
	if err := j.writers(seg); err != nil {
		return Record{}, j.poison("append", err)
	}
	r := Record{Seq: j.seq + 1, Prev: j.head, Payload: payload}
	var data []byte
	data, r.Hash = encodeRecord(j.geo.ID, r.Seq, r.Prev, payload)
	for c := range copies {
		if err := writeAt(j.files[c], data, int64(page)*PageSize); err != nil {
			return Record{}, j.poison("append", err)
		}
		if err := j.files[c].Datasync(); err != nil {
			return Record{}, j.poison("append", err)
		}
	}
	j.seq, j.head = r.Seq, r.Hash
	j.seg, j.page = seg, page+n
	j.index = append(j.index, place{int32(seg), int16(page), int16(n)})
	return r, nil
}

// poison drops the state: what the kernel holds is not known any more.
func (j *Journal) poison(doing string, err error) error {
	j.broken = ErrPoisoned
	return fmt.Errorf("%w; %w", wrap(doing, err), ErrPoisoned)
}

// Replay calls fn for each record from seq from (0 and 1 are the first) up to
// the head as it was when Replay began, and stops at fn's first error. A
// record that one copy has lost since Open is healed. fn may append; the
// payload is fn's to keep.
func (j *Journal) Replay(from uint64, fn func(Record) error) error {
	last, _ := j.Head()
	var r readers
	defer r.close()
	for seq := max(from, 1); seq <= last; seq++ {
		rec, err := j.read(&r, seq)
		if err != nil {
			return err
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
	return nil
}

// Read returns one record, as Replay does.
func (j *Journal) Read(seq uint64) (Record, error) {
	if last, _ := j.Head(); seq == 0 || seq > last {
		return Record{}, fmt.Errorf("journal: no record %d", seq)
	}
	var r readers
	defer r.close()
	return j.read(&r, seq)
}

// Verify compares the journal with a checkpoint that somebody else has kept:
// ErrDiverged if it is shorter now or holds another record there. Seq 0 with a
// zero hash is in every journal.
func (j *Journal) Verify(seq uint64, hash [32]byte) error {
	last, _ := j.Head()
	if seq > last {
		return fmt.Errorf("journal: %w: checkpoint at record %d, the journal ends at %d", ErrDiverged, seq, last)
	}
	var have [32]byte
	if seq > 0 {
		rec, err := j.Read(seq)
		if err != nil {
			return err
		}
		have = rec.Hash
	}
	if have != hash {
		return fmt.Errorf("journal: %w: record %d is %x, the checkpoint says %x", ErrDiverged, seq, have[:8], hash[:8])
	}
	return nil
}

// Head is the checkpoint of the journal: how many records, and the hash of the
// last, which stands for all. Zero for an empty journal.
func (j *Journal) Head() (seq uint64, hash [32]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq, j.head
}

// ID tells journals apart.
func (j *Journal) ID() [8]byte { return j.geo.ID }

// Free is how many bytes of pages are left in each copy. A record takes whole
// pages, and one that does not fit into the rest of a segment leaves it empty.
func (j *Journal) Free() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.geo.Pages-j.page+(j.geo.Segments-1-j.seg)*(j.geo.Pages-1)) * PageSize
}

// Used is the rest of the quota.
func (j *Journal) Used() int64 { return j.quota() - j.Free() }

func (j *Journal) quota() int64 { return int64(j.geo.Segments) * int64(j.geo.Pages-1) * PageSize }

// Fill is the used part of the quota, 0 to 1.
func (j *Journal) Fill() float64 {
	return 1 - float64(j.Free())/float64(j.quota())
}

// Healed is what has been healed since Open began, in order.
func (j *Journal) Healed() []Healing {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.healed)
}

// Close gives the journal free for others. Nothing is written.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closeFiles()
	j.broken = ErrClosed
	if j.lock == nil {
		return nil
	}
	err := j.lock.Close()
	j.lock = nil
	return err
}
