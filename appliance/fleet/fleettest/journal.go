package fleettest

import (
	"fmt"
	"sync"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/journal"
)

// Journal is a hash-chained journal in memory, with the hashes of the real one.
type Journal struct {
	id [8]byte

	mu      sync.Mutex
	records []journal.Record
	changed chan struct{}
}

// NewJournal is an empty journal.
func NewJournal(id [8]byte) *Journal { return &Journal{id: id, changed: make(chan struct{})} }

// Copy is what a cloned or rolled-back card holds: the first n records.
func (j *Journal) Copy(n int) *Journal {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := NewJournal(j.id)
	out.records = append(out.records, j.records[:n]...)
	return out
}

// Append adds a record.
func (j *Journal) Append(payload []byte) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := journal.Record{Seq: uint64(len(j.records)) + 1, Payload: payload}
	if len(j.records) > 0 {
		r.Prev = j.records[len(j.records)-1].Hash
	}
	r.Hash = entry.RecordHash(j.id, r.Seq, r.Prev, payload)
	j.records = append(j.records, r)
	close(j.changed)
	j.changed = make(chan struct{})
	return r.Seq, nil
}

// Wake closes Changed without a new record.
func (j *Journal) Wake() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = make(chan struct{})
}

// Changed is closed at the next record.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// ID tells journals apart.
func (j *Journal) ID() [8]byte { return j.id }

// Head is the last record.
func (j *Journal) Head() (seq uint64, hash [32]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.records); n > 0 {
		return j.records[n-1].Seq, j.records[n-1].Hash
	}
	return 0, hash
}

// Read returns one record.
func (j *Journal) Read(seq uint64) (journal.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq == 0 || seq > uint64(len(j.records)) {
		return journal.Record{}, fmt.Errorf("fleettest: no record %d", seq)
	}
	return j.records[seq-1], nil
}

// Ledger is the journal in the form that the ceremony takes (kiosk.Journal).
func (j *Journal) Ledger() Ledger { return Ledger{j} }

// Ledger is the ceremony's view of a Journal.
type Ledger struct{ *Journal }

// Read returns the bytes of one record.
func (l Ledger) Read(seq uint64) ([]byte, error) {
	r, err := l.Journal.Read(seq)
	return r.Payload, err
}

// Replay calls fn for each record.
func (l Ledger) Replay(fn func(seq uint64, payload []byte) error) error {
	last, _ := l.Head()
	for seq := uint64(1); seq <= last; seq++ {
		b, err := l.Read(seq)
		if err == nil {
			err = fn(seq, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Free is endless.
func (l Ledger) Free() int64 { return 1 << 40 }

// Fill is nothing of it.
func (l Ledger) Fill() float64 { return 0 }
