package trial

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/powercut/internal/disk"
)

// order is what a worker is to do with a disk.
type order struct {
	Disk    string // file
	Mount   string // empty folder
	Scratch string // folder for the tokens
	Fixture *fixture

	Record  bool // a story, else examine
	Story   int
	Control Control

	Notes []note // what the world knows
	Lying bool   // the disk has forgotten flushes: loss must be detected
	Deep  bool   // the citizen comes back
	Mend  bool   // e2fsck first
}

// Control is a kiosk that is broken on purpose: a power cut must show it.
type Control uint8

const (
	NoControl Control = iota
	NoSync            // fsync and fdatasync do nothing and say that all is well
	NoBarrier         // the file system writes, but never flushes the disk
)

func (c Control) String() string {
	return [...]string{"", "without fdatasync", "without barriers"}[c]
}

// answer is what a worker says: notes, which are to be confirmed, and at the
// end the result.
type answer struct {
	Note   *note
	Begin  bool // the recording begins here, likewise to be confirmed
	End    bool // and ends here
	Done   bool
	Result Result
	Err    string // of the trial itself, not of what is tried
}

// Work is a worker's life: orders come on file 3, answers go to file 4. It is a
// process of its own because it uses disks that the process above it serves,
// and because what it runs may crash.
func Work() error {
	orders, answers := gob.NewDecoder(os.NewFile(3, "orders")), gob.NewEncoder(os.NewFile(4, "answers"))
	say := func(a answer) error {
		if err := answers.Encode(a); err != nil {
			return err
		}
		var ok bool
		return orders.Decode(&ok)
	}
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		last := answer{Done: true}
		var err error
		if o.Record {
			err = o.record(say)
		} else {
			last.Result, err = o.examine(say)
		}
		if err != nil {
			last.Err = err.Error()
		}
		if err := answers.Encode(last); err != nil {
			return err
		}
	}
}

func (o order) counter(w *world, say func(answer) error) (*counter, error) {
	tell := func(n note) error { return say(answer{Note: &n}) }
	s := stories[o.Story]
	return newCounter(o.Fixture, o.Scratch, filepath.Join(o.Mount, "journal"), w, tell, s.ca)
}

// record runs a story on a formatted disk. Everything is on the disk when the
// recording begins.
func (o order) record(say func(answer) error) (err error) {
	options := ""
	if o.Control == NoBarrier {
		options = "barrier=0"
	}
	m, err := disk.Mount(o.Disk, o.Mount, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	c, err := o.counter(&world{}, say)
	if err != nil {
		return err
	}
	if err := prepare(c); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	defer c.close()
	if err := settle(o.Mount); err != nil {
		return err
	}
	if err := say(answer{Begin: true}); err != nil {
		return err
	}
	f, err := read(c.journal)
	if err != nil {
		return err
	}
	for i := range f.records {
		if err := c.note(note{What: acked, Seq: uint64(i + 1), Hash: f.hashes[i], Payload: f.payloads[i]}); err != nil {
			return err
		}
	}
	if o.Control == NoSync {
		if err := disk.PretendSync(); err != nil {
			return err
		}
	}
	if err := stories[o.Story].act(c); err != nil {
		return err
	}
	if err := c.halt(); err != nil {
		return err
	}
	return say(answer{End: true}) // before anything is unmounted: nobody does that to a kiosk
}

// examine mounts what a power cut has left and has the kiosk start on it.
func (o order) examine(say func(answer) error) (res Result, err error) {
	w, err := newWorld(o.Notes)
	if err != nil {
		return res, err
	}
	if o.Mend {
		if err := disk.Check(o.Disk); err != nil {
			return Result{Outcome: NoMount, Why: err.Error()}, nil
		}
	}
	m, err := disk.Mount(o.Disk, o.Mount, "")
	var no *disk.MountError
	if errors.As(err, &no) {
		return Result{Outcome: NoMount, Why: err.Error()}, nil
	}
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	c, err := o.counter(w, say)
	if err != nil {
		return res, err
	}
	return examine(c, w, o.Lying, o.Deep), nil
}

// clean unmounts what a worker that died has left.
func clean(mount string) { unix.Unmount(mount, unix.MNT_DETACH) }

// unshare gives this thread a mount namespace in which nothing that is mounted
// is seen outside. The caller goes on by exec, which takes it along.
func unshare() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}
