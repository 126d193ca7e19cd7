package disk

import (
	"errors"
	"sync"
)

// Kind of an event.
type Kind uint8

const (
	Write Kind = iota // Data at Off
	Flush             // everything before it is on the medium
	Note              // Data says what the world was told
)

// Event is one thing that happened, in order.
type Event struct {
	Kind Kind
	Off  int64
	Data []byte
}

// Log is what happened to a disk from a moment on at which all was flushed.
type Log struct {
	Base   *Image
	Events []Event
}

// Count is how many events of a kind there are.
func (l *Log) Count(k Kind) (n int) {
	for _, e := range l.Events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// Notes are the notes before a moment, the index of an event.
func (l *Log) Notes(at int) (out [][]byte) {
	for _, e := range l.Events[:at] {
		if e.Kind == Note {
			out = append(out, e.Data)
		}
	}
	return out
}

// Disk is an image that is written to, and a log while it records. It is safe
// for concurrent use; events are in one order.
type Disk struct {
	mu    sync.Mutex
	image *Image
	log   *Log
	fault Fault
}

// Fault is an error at a write or flush to come.
type Fault struct {
	At      int  // 1: the next one; 0: never
	Anyway  bool // what was asked for is done all the same
	Forever bool // all later ones fail as well
}

// ErrFault is what a disk answers that was broken on purpose.
var ErrFault = errors.New("disk: broken on purpose")

// Break sets a fault, or with the zero Fault takes it away.
func (d *Disk) Break(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// try counts a write or flush: whether to do it, and what to answer.
func (d *Disk) try() (do bool, err error) {
	if d.fault.At == 0 {
		return true, nil
	}
	if d.fault.At--; d.fault.At > 0 {
		return true, nil
	}
	do = d.fault.Anyway
	if d.fault.Forever {
		d.fault = Fault{At: 1, Forever: true}
	}
	return do, ErrFault
}

// NewDisk is a disk of zeros.
func NewDisk(size int64) *Disk { return &Disk{image: NewImage(size)} }

// Load puts other contents on the disk and ends a recording and a fault. The image must
// not be used by the caller any more. Nobody may have the disk mounted.
func (d *Disk) Load(m *Image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.image, d.log, d.fault = m, nil, Fault{}
}

// Image is a copy of what is on the disk.
func (d *Disk) Image() *Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image.Clone()
}

// Record begins a recording. Whoever calls it has flushed everything.
func (d *Disk) Record() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = &Log{Base: d.image.Clone()}
}

// Stop ends the recording and returns it, nil if there is none.
func (d *Disk) Stop() *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.log
	d.log = nil
	return l
}

// Note adds a note to the recording, if there is one: from here on the world
// knows what it says.
func (d *Disk) Note(data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(Event{Kind: Note, Data: data})
}

// Flush notes that the disk was asked to flush its cache.
func (d *Disk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	do, err := d.try()
	if do {
		d.add(Event{Kind: Flush})
	}
	return err
}

func (d *Disk) add(e Event) {
	if d.log != nil {
		d.log.Events = append(d.log.Events, e)
	}
}

// Size is the disk's size in bytes.
func (d *Disk) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image.Size()
}

// ReadAt implements io.ReaderAt.
func (d *Disk) ReadAt(b []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image.ReadAt(b, off)
}

// WriteAt implements io.WriterAt.
func (d *Disk) WriteAt(b []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do, fault := d.try()
	if !do {
		return 0, fault
	}
	n, err := d.image.WriteAt(b, off)
	if err == nil {
		d.add(Event{Kind: Write, Off: off, Data: append([]byte(nil), b...)})
		err = fault
	}
	return n, err
}
