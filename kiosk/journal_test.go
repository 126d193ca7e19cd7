package kiosk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
)

var errDisk = errors.New("disk: input/output error")

// memJournal is a journal in memory that fails on demand. The n-th append from
// now fails, in one of two flavours: nothing was written, or the record is on
// disk all the same. After a failure it stays failed, as the real one does.
type memJournal struct {
	mu       sync.Mutex
	records  [][]byte
	appends  int
	failAt   int // 1: the next append; 0: never
	persists bool
	cause    error // errDisk if nil
	failed   bool
	twist    func(seq uint64, b []byte) []byte // what Read returns instead
	free     int64
	fill     float64
	under    Journal // a real one that is written first and says how full it is
}

func newJournal(records ...[]byte) *memJournal {
	return &memJournal{records: slices.Clone(records), free: 1 << 30}
}

func (j *memJournal) Append(payload []byte) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.appends++
	if j.failAt > 0 {
		j.failAt--
	}
	hit := j.failAt == 0 && j.cause != nil
	if j.under != nil {
		if _, err := j.under.Append(payload); err != nil {
			return 0, err
		}
	}
	if j.failed || hit {
		if hit && !j.failed && j.persists {
			j.records = append(j.records, bytes.Clone(payload))
		}
		j.failed = true
		return 0, j.cause
	}
	j.records = append(j.records, bytes.Clone(payload))
	return uint64(len(j.records)), nil
}

// fail makes the n-th append from now fail.
func (j *memJournal) fail(n int, persists bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failAt, j.persists, j.cause = n, persists, errDisk
}

func (j *memJournal) Read(seq uint64) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq == 0 || seq > uint64(len(j.records)) {
		return nil, errors.New("no such record")
	}
	b := bytes.Clone(j.records[seq-1])
	if j.twist != nil {
		b = j.twist(seq, b)
	}
	return b, nil
}

func (j *memJournal) Replay(fn func(uint64, []byte) error) error {
	for i, b := range j.bytes() {
		if err := fn(uint64(i+1), b); err != nil {
			return err
		}
	}
	return nil
}

// Head chains the records' hashes as the real one does.
func (j *memJournal) Head() (seq uint64, hash [32]byte) {
	records := j.bytes()
	for _, b := range records {
		hash = sha256.Sum256(append(hash[:], b...))
	}
	return uint64(len(records)), hash
}

func (j *memJournal) Fill() float64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.under != nil {
		return j.under.Fill()
	}
	return j.fill
}

func (j *memJournal) Free() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.under != nil {
		return j.under.Free()
	}
	return j.free
}

// bytes are the records on disk.
func (j *memJournal) bytes() [][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.records)
}

// parsed are the records on disk; one that does not parse is left out, which
// the tests of Ledger would notice.
func (j *memJournal) parsed() (out []Record) {
	for _, b := range j.bytes() {
		if r, err := ParseRecord(b); err == nil {
			out = append(out, r)
		}
	}
	return out
}
