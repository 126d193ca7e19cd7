package disk

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Mode says what a power cut does to what was not flushed.
type Mode uint8

const (
	Honest Mode = iota
	Torn
	Reordered
	Garbage4
	Garbage16
	Garbage64
	Forgotten
	modes
)

// Modes lists all of them.
func Modes() (out []Mode) {
	for m := range modes {
		out = append(out, m)
	}
	return out
}

func (m Mode) String() string {
	names := [...]string{"honest", "torn sectors", "reordered", "garbage 4 KiB", "garbage 16 KiB", "garbage 64 KiB", "forgotten flushes"}
	if int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// region is how much becomes rubbish round a write in flight.
func (m Mode) region() int64 {
	switch m {
	case Garbage4:
		return 4 << 10
	case Garbage16:
		return 16 << 10
	case Garbage64:
		return 64 << 10
	}
	return 0
}

// Cut is one power cut. The same log and cut give the same disk.
type Cut struct {
	At   int // events before this one have happened
	Mode Mode
	Seed uint64
}

// maxForgotten is how many flushes a lying disk forgets at most.
const maxForgotten = 16

// Rebuild is the disk as the cut left it, and in words what the cut did.
func (l *Log) Rebuild(c Cut) (*Image, string) {
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.At)))
	forget := 0
	if c.Mode == Forgotten {
		forget = 1 + r.IntN(maxForgotten)
	}
	m, pending, flushed, forgotten := l.flushed(c.At, forget)
	did := fmt.Sprintf("event %d, after flush %d: ", c.At, flushed)
	if c.Mode == Forgotten {
		did = fmt.Sprintf("event %d, flush %d and %d after it forgotten: ", c.At, flushed+1, forgotten-1)
	}
	return m, did + leave(m, pending, c.Mode, r)
}

// flushed is the disk as of the last flush before at, without the last forget
// ones, and the writes since.
func (l *Log) flushed(at, forget int) (m *Image, pending []Event, flushes, forgotten int) {
	for _, e := range l.Events[:at] {
		if e.Kind == Flush {
			flushes++
		}
	}
	forgotten = min(forget, flushes)
	flushes -= forgotten
	m = l.Base.Clone()
	seen := 0
	for _, e := range l.Events[:at] {
		if e.Kind == Flush {
			if seen++; seen <= flushes {
				for _, w := range pending {
					m.put(w)
				}
				pending = nil
			}
		}
		if e.Kind == Write {
			pending = append(pending, e)
		}
	}
	return m, pending, flushes, forgotten
}

func (m *Image) put(w Event) { m.WriteAt(w.Data, w.Off) } // it fitted when it was recorded

// leave puts on the disk what the cut lets through, and says it in words.
func leave(m *Image, pending []Event, mode Mode, r *rand.Rand) string {
	n := len(pending)
	switch mode {
	case Torn:
		return fmt.Sprintf("%d of %s", halfOfSectors(m, pending, r), sectors(pending))
	case Reordered:
		order := make([]Event, n)
		for i, k := range r.Perm(n) {
			order[i] = pending[k]
		}
		return "in another order, " + prefix(m, order, r)
	case Garbage4, Garbage16, Garbage64:
		var did string
		if r.IntN(2) == 0 {
			did = fmt.Sprintf("%d of %s", halfOfSectors(m, pending, r), sectors(pending))
		} else {
			did = honest(m, pending, r)
		}
		if n == 0 {
			return did + ", none in flight"
		}
		return did + ", " + garbage(m, pending[n-1-r.IntN(min(n, 4))], mode.region(), r)
	}
	return honest(m, pending, r)
}

// honest lets nothing through, a torn prefix, or a random half of the writes.
func honest(m *Image, pending []Event, r *rand.Rand) string {
	switch r.IntN(3) {
	case 0:
		return fmt.Sprintf("none of %d writes", len(pending))
	case 1:
		return prefix(m, pending, r)
	}
	kept := 0
	for _, w := range pending {
		if r.IntN(2) == 0 {
			m.put(w)
			kept++
		}
	}
	return fmt.Sprintf("%d of %d writes", kept, len(pending))
}

// prefix lets the first writes through, the last of them in part.
func prefix(m *Image, writes []Event, r *rand.Rand) string {
	if len(writes) == 0 {
		return "no writes"
	}
	last := r.IntN(len(writes))
	for _, w := range writes[:last] {
		m.put(w)
	}
	w := writes[last]
	torn := r.IntN(len(w.Data)/SectorSize+1) * SectorSize
	m.put(Event{Off: w.Off, Data: w.Data[:torn]})
	return fmt.Sprintf("%d writes of %d and %d bytes of %d", last, len(writes), torn, len(w.Data))
}

func halfOfSectors(m *Image, pending []Event, r *rand.Rand) (kept int) {
	for _, w := range pending {
		for at := 0; at < len(w.Data); at += SectorSize {
			if r.IntN(2) == 0 {
				m.put(Event{Off: w.Off + int64(at), Data: w.Data[at:min(at+SectorSize, len(w.Data))]})
				kept++
			}
		}
	}
	return kept
}

func sectors(pending []Event) string {
	n := 0
	for _, w := range pending {
		n += (len(w.Data) + SectorSize - 1) / SectorSize
	}
	return fmt.Sprintf("%d sectors of %d writes", n, len(pending))
}

// garbage spoils the aligned region round a place of the write in flight: with
// noise, or as erased flash reads, ones or zeros.
func garbage(m *Image, w Event, size int64, r *rand.Rand) string {
	at := w.Off + r.Int64N(max(1, int64(len(w.Data))))
	at -= at % size
	kind := [...]string{"noise", "noise", "ones", "zeros"}[r.IntN(4)]
	m.fill(at, size, func() []byte {
		page := make([]byte, PageSize)
		switch kind {
		case "noise":
			for i := 0; i < len(page); i += 8 {
				binary.LittleEndian.PutUint64(page[i:], r.Uint64())
			}
		case "ones":
			for i := range page {
				page[i] = 0xff
			}
		}
		return page
	})
	return fmt.Sprintf("%s of %d KiB at %#x", kind, size>>10, at)
}
