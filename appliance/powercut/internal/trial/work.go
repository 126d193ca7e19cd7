package trial

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

	Record  bool // a story from the start
	Act     bool // a story on a disk that is prepared, and that may fail; else examine
	Story   int
	Control Control
	Leak    bool // the kiosk writes into a file what it must not, and deletes it

	Notes []note // what the world knows
	Lying bool   // the disk has forgotten flushes: loss must be detected
	Deep  bool   // the citizen comes back
	Mend  bool   // e2fsck first

	fault disk.Fault // of the disk after Begin; the worker is not told
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
	Begin  bool   // the recording begins here, likewise to be confirmed
	Break  bool   // from here on the disk has its fault
	End    bool   // the recording ends here, and the fault
	Log    []byte // End: what the kiosk has logged
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
		switch {
		case o.Record:
			err = o.record(say)
		case o.Act:
			last.Result, err = o.act(say)
		default:
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
	c, err := newCounter(o.Fixture, o.Scratch, filepath.Join(o.Mount, "journal"), w, tell, s.ca)
	if err == nil {
		c.busy = s.busy
	}
	return c, err
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
	defer c.close()
	var log bytes.Buffer
	c.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	fresh := stories[o.Story].new
	if !fresh {
		if err := prepare(c); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	if err := settle(o.Mount); err != nil {
		return err
	}
	if err := say(answer{Begin: true}); err != nil {
		return err
	}
	if !fresh {
		if err := c.tellAll(); err != nil {
			return err
		}
	}
	if o.Control == NoSync {
		if err := disk.PretendSync(); err != nil {
			return err
		}
	}
	unleak := func() error { return nil }
	if o.Leak {
		if unleak, err = c.leakInto(filepath.Join(o.Mount, "leak")); err != nil {
			return err
		}
	}
	stop := func() {}
	if stories[o.Story].busy {
		stop = neighbour(o.Mount)
	}
	err = stories[o.Story].act(c)
	stop()
	if err = errors.Join(err, c.halt(), unleak()); err != nil {
		return err
	}
	return say(answer{End: true, Log: log.Bytes()}) // before anything is unmounted: nobody does that to a kiosk
}

// tellAll notes what is there when a recording begins.
func (c *counter) tellAll() error {
	f, err := read(c.journal)
	if err != nil {
		return err
	}
	if err := c.note(note{What: created}); err != nil {
		return err
	}
	for i := range f.records {
		if err := c.note(note{What: acked, Seq: uint64(i + 1), Hash: f.hashes[i], Payload: f.payloads[i]}); err != nil {
			return err
		}
	}
	return nil
}

// act runs a story until it ends or the journal fails, and then opens the
// journal again without a power cut, as kioskd does after a while.
func (o order) act(say func(answer) error) (res Result, err error) {
	m, err := disk.Mount(o.Disk, o.Mount, "")
	if err != nil {
		return res, err
	}
	defer m.Close() // fails where the fault has
	if err := say(answer{Begin: true}); err != nil {
		return res, err
	}
	w, err := newWorld(o.Notes)
	if err != nil {
		return res, err
	}
	var lies error
	c, err := o.counter(w, func(a answer) error {
		if a.Note != nil && lies == nil {
			lies = w.add(*a.Note)
		}
		return say(a)
	})
	if err != nil {
		return res, err
	}
	if err := c.open(); err != nil {
		return res, err
	}
	if err := c.replay(); err != nil {
		return res, err
	}
	if err := c.start(); err != nil {
		return res, err
	}
	if err := say(answer{Break: true}); err != nil {
		return res, err
	}
	failed := stories[o.Story].act(c)
	c.halt()
	if failed != nil && c.ledger.Failed() == nil {
		res = bad("the journal has not failed: %v", failed)
	}
	c.close()
	if lies != nil {
		res = bad("%v", lies)
	}
	if res.Outcome == Good {
		if c, err = o.counter(w, say); err != nil {
			return res, err
		}
		res = examine(c, w, false, false)
	}
	return res, say(answer{End: true})
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

// unshare gives this thread a mount namespace in which nothing that is mounted
// is seen outside. The caller goes on by exec, which takes it along.
func unshare() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}
