package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// simFS is a disk with a page cache. What is written is in the cache; sync
// brings it to the disk; a power cut leaves the disk, and of the rest what
// the mode says. Folders likewise: an entry is safe after SyncDir.
type simFS struct {
	root  *node
	calls int

	failAt int // this call fails, 0 for none
	fault  fault
	cutAt  int // at this call the power goes, 0 for none
	isCut  bool
	trace  []string

	noSync bool // negative control: sync of file contents does nothing
	noDrop bool // negative control: the page cache is believed after an error

	inFlight *node // the write the power cut hit
	at, n    int
}

type node struct {
	kids, safe  map[string]*node // folder
	cache, disk pages            // file
	dirty       map[int]bool     // pages of cache that are not on disk
	bad         map[int]bool     // pages that cannot be read until they are written
	locked      bool
}

// pages are the contents of a file. Pages are never changed in place, so that
// copies of a disk share them; nil is a page of zeros.
type pages [][]byte

func (p pages) page(i int) []byte {
	if i < len(p) && p[i] != nil {
		return p[i]
	}
	return zeros[:PageSize]
}

// with is p with b written at off.
func (p pages) with(off int, b []byte) pages {
	for len(p)*PageSize < off+len(b) {
		p = append(p, nil)
	}
	for len(b) > 0 {
		i, at := off/PageSize, off%PageSize
		n := min(len(b), PageSize-at)
		switch {
		case n == PageSize && blank(b[:n]):
			p[i] = nil
		default:
			page := slices.Clone(p.page(i))
			copy(page[at:], b[:n])
			p[i] = page
		}
		b, off = b[n:], off+n
	}
	return p
}

func (p pages) equal(q pages) bool {
	return slices.EqualFunc(p, q, func(a, b []byte) bool { return string(pages{a}.page(0)) == string(pages{b}.page(0)) })
}

func newFolder() *node { return &node{kids: map[string]*node{}, safe: map[string]*node{}} }

// newSim has an empty folder /perm.
func newSim() *simFS {
	s := &simFS{root: newFolder()}
	s.root.kids["perm"] = newFolder()
	s.root.safe["perm"] = s.root.kids["perm"]
	return s
}

const simDir = "/perm/journal"

// fault is how a call fails.
type fault struct {
	name   string
	err    syscall.Errno // EIO if zero
	anyway bool          // it does its work all the same
	short  bool          // a write stops half-way and names no error
}

var faults = []fault{
	{name: "fails"},
	{name: "fails, but persisted", anyway: true},
	{name: "no space", err: syscall.ENOSPC},
	{name: "short write", short: true},
}

var (
	errCut   = errors.New("power cut")
	errShort = errors.New("short write")
)

// call counts, and says whether to do the work and what to answer.
func (s *simFS) call(what, name string) (do bool, err error) {
	if s.isCut {
		return false, errCut
	}
	s.calls++
	s.trace = append(s.trace, what+" "+strings.TrimPrefix(name, simDir))
	switch s.calls {
	case s.cutAt:
		s.isCut = true
		return true, errCut // the call under way may still have its effect
	case s.failAt:
		if s.fault.short {
			return false, errShort
		}
		return s.fault.anyway, &fs.PathError{Op: what, Path: name, Err: cmp.Or(s.fault.err, syscall.EIO)}
	}
	return true, nil
}

func (s *simFS) find(name string) (*node, error) {
	n := s.root
	for _, part := range strings.Split(strings.Trim(name, "/"), "/") {
		if part == "" {
			continue
		}
		if n.kids == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
		}
		if n = n.kids[part]; n == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
		}
	}
	return n, nil
}

func (s *simFS) parent(name string) (*node, string, error) {
	n, err := s.find(filepath.Dir(name))
	return n, filepath.Base(name), err
}

func (s *simFS) Lock(dir string) (io.Closer, error) {
	if do, err := s.call("lock", dir); err != nil || !do {
		return nil, err
	}
	n, err := s.find(dir)
	if err != nil {
		return nil, err
	}
	if n.locked {
		return nil, syscall.EWOULDBLOCK
	}
	n.locked = true
	return unlock{n}, nil
}

type unlock struct{ n *node }

func (u unlock) Close() error { u.n.locked = false; return nil }

func (s *simFS) Names(dir string) ([]string, error) {
	if do, err := s.call("names", dir); err != nil || !do {
		return nil, err
	}
	n, err := s.find(dir)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.kids)), nil
}

// change runs a change of a folder under the fault rules.
func (s *simFS) change(what, name string, f func(parent *node, base string) error) error {
	do, fault := s.call(what, name)
	if do {
		p, base, err := s.parent(name)
		if err != nil {
			return err
		}
		if err := f(p, base); err != nil {
			return err
		}
	}
	return fault
}

func (s *simFS) Mkdir(dir string) error {
	return s.change("mkdir", dir, func(p *node, base string) error {
		if p.kids[base] != nil {
			return syscall.EEXIST
		}
		p.kids[base] = newFolder()
		return nil
	})
}

func (s *simFS) Create(name string) (file, error) {
	err := s.change("create", name, func(p *node, base string) error {
		if p.kids[base] != nil {
			return syscall.EEXIST
		}
		p.kids[base] = &node{dirty: map[int]bool{}}
		return nil
	})
	if err != nil {
		return nil, err
	}
	n, err := s.find(name)
	return &simFile{s, n, name}, err
}

func (s *simFS) Open(name string) (file, error) {
	if do, err := s.call("open", name); err != nil || !do {
		return nil, err
	}
	n, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return &simFile{s, n, name}, nil
}

func (s *simFS) OpenWrite(name string) (file, error) { return s.Open(name) }

func (s *simFS) Rename(from, to string) error {
	return s.change("rename", from, func(p *node, base string) error {
		q, target, err := s.parent(to)
		if err != nil {
			return err
		}
		if old := q.kids[target]; old != nil && len(old.kids) > 0 {
			return syscall.ENOTEMPTY
		}
		q.kids[target] = p.kids[base]
		delete(p.kids, base)
		return nil
	})
}

func (s *simFS) RemoveAll(name string) error {
	return s.change("remove", name, func(p *node, base string) error { delete(p.kids, base); return nil })
}

func (s *simFS) SyncDir(dir string) error {
	return s.change("syncdir", filepath.Join(dir, "x"), func(p *node, _ string) error { p.safe = maps.Clone(p.kids); return nil })
}

type simFile struct {
	s    *simFS
	n    *node
	name string
}

func (f *simFile) ReadAt(b []byte, off int64) (int, error) {
	if do, err := f.s.call("pread", f.name); err != nil || !do {
		return 0, err
	}
	for p := range f.n.bad {
		if int(off) < (p+1)*PageSize && p*PageSize < int(off)+len(b) {
			return 0, &fs.PathError{Op: "pread", Path: f.name, Err: syscall.EIO}
		}
	}
	n := 0
	for n < len(b) && int(off)+n < f.n.size() {
		at := int(off) + n
		n += copy(b[n:], f.n.cache.page(at / PageSize)[at%PageSize:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) WriteAt(b []byte, off int64) (int, error) {
	do, fault := f.s.call("pwrite", f.name)
	if fault == errCut {
		f.s.inFlight, f.s.at, f.s.n = f.n, int(off), len(b)
	}
	n := len(b)
	if !do {
		n /= 2 // a failed write is half there
	}
	f.n.cache = f.n.cache.with(int(off), b[:n])
	for p := int(off) / PageSize; p*PageSize < int(off)+n; p++ {
		f.n.dirty[p] = true
		delete(f.n.bad, p)
	}
	if fault == errShort {
		return n, nil
	}
	return n, fault
}

// sync brings the dirty pages to the disk. When it fails they are clean all
// the same, with the new contents: so does Linux.
func (f *simFile) sync(what string) error {
	do, fault := f.s.call(what, f.name)
	if f.s.noSync {
		return fault
	}
	if do && fault != errCut {
		f.n.settle(func(int) bool { return true })
	}
	if fault != errCut {
		clear(f.n.dirty)
	}
	return fault
}

func (f *simFile) Sync() error     { return f.sync("fsync") }
func (f *simFile) Datasync() error { return f.sync("fdatasync") }

func (f *simFile) Drop() error {
	do, fault := f.s.call("drop", f.name)
	if do && !f.s.noDrop {
		f.n.drop()
	}
	return fault
}

func (n *node) drop() {
	for p := range n.cache {
		if !n.dirty[p] {
			n.cache[p] = n.disk.page(p)
		}
	}
}

// size is a multiple of the page size: the tests cut files at pages.
func (n *node) size() int { return len(n.cache) * PageSize }

func (f *simFile) Size() (int64, error) {
	if do, err := f.s.call("size", f.name); err != nil || !do {
		return 0, err
	}
	return int64(f.n.size()), nil
}

func (f *simFile) Close() error { return nil }

// settle writes sectors of dirty pages to the disk, as pick says.
func (n *node) settle(pick func(sector int) bool) {
	for len(n.disk) < len(n.cache) {
		n.disk = append(n.disk, nil)
	}
	const sector = 512
	for _, p := range slices.Sorted(maps.Keys(n.dirty)) {
		var picked [PageSize / sector]bool
		for s := range picked {
			picked[s] = pick(p*PageSize/sector + s)
		}
		switch {
		case !slices.Contains(picked[:], true):
			continue
		case !slices.Contains(picked[:], false):
			n.disk[p] = n.cache[p]
			continue
		}
		page := slices.Clone(n.disk.page(p))
		for s, yes := range picked {
			if yes {
				copy(page[s*sector:(s+1)*sector], n.cache.page(p)[s*sector:])
			}
		}
		n.disk[p] = page
	}
}

// cutMode says what of the unsynced writes reaches the disk.
type cutMode struct {
	name  string
	pick  func(r *rand.Rand) func(sector int) bool
	names bool // whether unsynced entries of folders do
	shorn int  // this many bytes round the write in flight become rubbish
}

var cutModes = []cutMode{
	{name: "nothing", pick: func(*rand.Rand) func(int) bool { return func(int) bool { return false } }},
	{name: "everything", pick: func(*rand.Rand) func(int) bool { return func(int) bool { return true } }, names: true},
	{name: "half the pages", pick: func(r *rand.Rand) func(int) bool {
		seed := r.Uint64()
		return func(s int) bool { return rand.New(rand.NewPCG(seed, uint64(s/8))).Uint32()&1 == 0 }
	}},
	{name: "half the sectors", pick: func(r *rand.Rand) func(int) bool { return func(int) bool { return r.Uint32()&1 == 0 } }, names: true},
	{name: "a prefix", pick: func(r *rand.Rand) func(int) bool { n := r.IntN(600); return func(int) bool { n--; return n > 0 } }},
	{name: "shorn 4K", pick: func(r *rand.Rand) func(int) bool { return func(int) bool { return r.Uint32()&1 == 0 } }, shorn: 4 << 10},
	{name: "shorn 16K", pick: func(r *rand.Rand) func(int) bool { return func(int) bool { return r.Uint32()&1 == 0 } }, shorn: 16 << 10},
	{name: "shorn 64K", pick: func(r *rand.Rand) func(int) bool { return func(int) bool { return r.Uint32()&1 == 0 } }, shorn: 64 << 10},
}

// reboot cuts the power and starts again from the disk, without faults.
func (s *simFS) reboot(m cutMode, r *rand.Rand) *simFS {
	if m.shorn > 0 && s.inFlight != nil {
		s.inFlight.settle(m.pick(r))
		from := s.at / m.shorn * m.shorn
		to := (s.at + s.n + m.shorn - 1) / m.shorn * m.shorn
		for i := from / PageSize; i < to/PageSize && i < len(s.inFlight.disk); i++ {
			s.inFlight.disk = s.inFlight.disk.with(i*PageSize, noise(r, PageSize))
		}
		clear(s.inFlight.dirty)
	}
	return &simFS{root: s.root.after(m, r)}
}

func (n *node) after(m cutMode, r *rand.Rand) *node {
	if n.kids == nil {
		c := &node{disk: slices.Clone(n.disk), cache: n.cache, dirty: n.dirty}
		c.settle(m.pick(r))
		c.cache, c.dirty = slices.Clone(c.disk), map[int]bool{}
		return c
	}
	kids := n.safe
	if m.names {
		kids = n.kids
	}
	c := newFolder()
	for _, name := range slices.Sorted(maps.Keys(kids)) {
		c.kids[name] = kids[name].after(m, r)
		c.safe[name] = c.kids[name]
	}
	return c
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

// same compares the two copies as they would be after a power cut, names of
// files included.
func (s *simFS) same() error {
	disk := s.reboot(cutModes[0], nil)
	for i := 0; ; i++ {
		a, errA := disk.find(filepath.Join(simDir, "a", segmentName(i)))
		b, errB := disk.find(filepath.Join(simDir, "b", segmentName(i)))
		if errA != nil && errB != nil && i > 0 {
			return nil
		}
		if errA != nil || errB != nil {
			return fmt.Errorf("segment %d: %v, %v", i, errA, errB)
		}
		if !a.disk.equal(b.disk) {
			return fmt.Errorf("segment %d: the copies differ on disk", i)
		}
	}
}

// readOnlyFS answers as a file system that is mounted read-only.
type readOnlyFS struct{ osFS }

func (readOnlyFS) Mkdir(name string) error {
	return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.EROFS}
}

func (readOnlyFS) OpenWrite(name string) (file, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EROFS}
}
