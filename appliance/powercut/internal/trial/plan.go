package trial

import (
	"fmt"
	"math/rand/v2"

	"mohr.internal/appliance/powercut/internal/disk"
)

// recording is a story as it happened to a disk.
type recording struct {
	Story   int
	Control Control
	leaky   bool // see scan
	Log     *disk.Log
	Said    []byte // the kiosk's own log

	notes []note // decoded, in order
	upTo  []int  // how many of them come before an event
}

func (r *recording) decode() error {
	r.notes, r.upTo = nil, make([]int, 0, len(r.Log.Events)+1)
	for _, e := range r.Log.Events {
		r.upTo = append(r.upTo, len(r.notes))
		if e.Kind != disk.Note {
			continue
		}
		n, err := decodeNote(e.Data)
		if err != nil {
			return err
		}
		r.notes = append(r.notes, n)
	}
	r.upTo = append(r.upTo, len(r.notes))
	return nil
}

// known is what the world knew at a moment.
func (r *recording) known(at int) []note { return r.notes[:r.upTo[at]] }

// first is the event with which the story begins: before it stand the notes of
// what was there already.
func (r *recording) first() (first int) {
	if stories[r.Story].new {
		return 0
	}
	for i, e := range r.Log.Events {
		if e.Kind != disk.Note {
			continue
		}
		if n := r.notes[r.upTo[i]]; n.What == acked && n.Payload != nil || n.What == created {
			first = i + 1
		}
	}
	return first
}

func (r *recording) String() string {
	name := stories[r.Story].name
	if r.Control != NoControl {
		name += ", " + r.Control.String()
	}
	acks := 0
	for _, n := range r.known(len(r.Log.Events))[len(r.known(r.first())):] {
		if n.What == acked {
			acks++
		}
	}
	return fmt.Sprintf("%s: %d records, %d writes, %d flushes", name, acks, r.Log.Count(disk.Write), r.Log.Count(disk.Flush))
}

// row of the table: what kind of power cut.
type row uint8

const (
	boundary row = iota // at a flush: all of them, once before it is done and once after
	honest
	torn
	reordered
	garbage4
	garbage16
	garbage64
	forgotten
	twice   // honest, and again while the kiosk comes back
	failing // no power cut at first: the disk answers a write or flush with an error, each of them once
	control // honest, on a broken kiosk
	controlBarrier
	rows
)

func (r row) String() string {
	return [...]string{
		"every flush boundary", "honest", "torn sectors", "reordered", "garbage 4 KiB", "garbage 16 KiB", "garbage 64 KiB",
		"1-16 flushes forgotten", "cut again in recovery", "error at every call", "CONTROL " + NoSync.String(), "CONTROL " + NoBarrier.String(),
	}[r]
}

func (r row) isControl() bool { return r >= control }

func (r row) mode() disk.Mode {
	if r >= torn && r <= forgotten {
		return disk.Mode(r - honest)
	}
	return disk.Honest
}

// point is one power cut.
type point struct {
	Number    int
	Row       row
	Recording int
	Story     int
	Cut       disk.Cut
	Fault     disk.Fault
	Deep      bool
}

// deepEvery is how often the citizen comes back after the power cut and is
// served to the end.
const deepEvery = 5

// plan chooses n power cuts, and controls beside them. The same recordings and
// seed give the same points.
func plan(recordings []*recording, n int, seed uint64) (points []point) {
	add := func(p point) {
		p.Number, p.Story = len(points), recordings[p.Recording].Story
		p.Cut.Seed = rand.New(rand.NewPCG(seed, uint64(p.Number))).Uint64()
		p.Deep = !p.Row.isControl() && p.Number%deepEvery == 0
		points = append(points, p)
	}
	full := recordings[0]
	var bounds []int
	for i := full.first(); i < len(full.Log.Events); i++ {
		if full.Log.Events[i].Kind == disk.Flush {
			bounds = append(bounds, i, i+1)
		}
	}
	// All of them, unless that were more than a third.
	calls := full.Log.Count(disk.Write) + full.Log.Count(disk.Flush)
	every := max(1, (len(bounds)+calls)*3/max(1, n))
	for i := 0; i < len(bounds); i += every {
		add(point{Row: boundary, Cut: disk.Cut{At: bounds[i]}})
	}
	for i := 0; i < calls; i += every {
		flavour := rand.New(rand.NewPCG(seed, uint64(i))).IntN(4)
		add(point{Row: failing, Cut: disk.Cut{At: full.first()}, Fault: disk.Fault{At: i + 1, Anyway: flavour&1 != 0, Forever: flavour&2 != 0}})
	}
	r := rand.New(rand.NewPCG(seed, 1<<63))
	var good, broken []int
	for i, rec := range recordings {
		if rec.Control == NoControl {
			good = append(good, i)
		} else {
			broken = append(broken, i)
		}
	}
	for i := 0; len(points) < n; i++ {
		kind := honest + row(i)%(failing-honest)
		which := good[r.IntN(len(good))]
		at := recordings[which].anyEvent(r, kind)
		add(point{Row: kind, Recording: which, Cut: disk.Cut{At: at, Mode: kind.mode()}})
	}
	for range max(20, n/20) {
		for _, which := range broken {
			rec := recordings[which]
			add(point{Row: control + row(rec.Control-NoSync), Recording: which, Cut: disk.Cut{At: rec.anyAck(r)}})
		}
	}
	return points
}

// anyEvent chooses a moment. For rubbish it is in the middle of a write.
func (r *recording) anyEvent(rng *rand.Rand, kind row) int {
	first := r.first()
	for {
		at := first + rng.IntN(len(r.Log.Events)-first+1)
		if kind < garbage4 || kind > garbage64 || at > first && r.Log.Events[at-1].Kind == disk.Write {
			return at
		}
	}
}

// anyAck chooses a moment just after an acknowledgement.
func (r *recording) anyAck(rng *rand.Rand) int {
	var acks []int
	for i := r.first(); i < len(r.Log.Events); i++ {
		if r.Log.Events[i].Kind == disk.Note && r.notes[r.upTo[i]].What == acked {
			acks = append(acks, i+1)
		}
	}
	return acks[rng.IntN(len(acks))]
}

// anyRecovery chooses a moment of a recovery: every second time before the
// journal is open, which is when the file system recovers and the journal heals.
func (r *recording) anyRecovery(seed uint64) int {
	end := len(r.Log.Events)
	if seed%2 == 0 {
		for i, e := range r.Log.Events {
			if e.Kind == disk.Note {
				end = i
				break
			}
		}
	}
	return int(seed / 2 % uint64(end+1))
}
