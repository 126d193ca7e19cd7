package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"mohr.internal/appliance/journal"
)

// store keeps records in order.
type store interface {
	Append(payload []byte) error // durable when it returns
	Close() error
}

// kind is one way to keep records.
type kind struct {
	name string
	make func(dir string, quota int64) (store, error)
	// batch, if there is one, is a faster way to make a large store.
	batch func(dir string, quota int64) (store, error)
	// read opens what is in dir and gives all records in order. healed is how
	// many places it says it has mended.
	read func(dir string, fn func(seq uint64, payload []byte) error) (healed int, err error)
	// scratch are files that are made anew at each start: not worth damaging.
	scratch []string
}

var kinds = []kind{
	{name: "own journal, two copies", make: makeOwn, read: readOwn},
	{name: "plain file, growing", make: makePlain, read: readPlain},
	{name: "plain file, zero-filled", make: makeFilled, read: readFilled},
	{name: "bbolt 1.5.0", make: makeBolt, batch: batchBolt, read: readBolt},
	{name: "SQLite 1.61.1 WAL FULL psow=0", make: makeSQLite, batch: batchSQLite, read: readSQLite, scratch: []string{"db-shm"}},
}

func kindNamed(name string) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("no store %q", name)
}

// payload is record seq, as large as a kiosk's: 600 to 5,000 bytes.
func payload(seq uint64) []byte {
	r := rand.New(rand.NewPCG(seq, 42))
	b := make([]byte, 600+r.IntN(4401))
	for i := 0; i < len(b); i += 8 {
		v := r.Uint64()
		for k := i; k < min(i+8, len(b)); k++ {
			b[k] = byte(v)
			v >>= 8
		}
	}
	return b
}

// quota is room for n payloads in the journal, a little more than they take.
func quota(n int) (bytes int64) {
	for seq := range uint64(n) {
		bytes += pages(len(payload(seq + 1)))
	}
	return bytes
}

func pages(n int) int64 {
	return (int64(n) + journal.Overhead + journal.PageSize - 1) / journal.PageSize * journal.PageSize
}

type own struct{ *journal.Journal }

func (o own) Append(b []byte) error {
	_, err := o.Journal.Append(b)
	return err
}

func makeOwn(dir string, quota int64) (store, error) {
	segment := int64(512 << 10)
	for segment < 16<<20 && quota/segment > 64 {
		segment *= 2
	}
	// A header and what does not fit at the end cost up to three pages each.
	n := quota/(segment-3*journal.PageSize) + 1
	j, err := journal.Create(filepath.Join(dir, "journal"), journal.Options{SegmentBytes: segment, Segments: int(n)})
	if err != nil {
		return nil, err
	}
	return own{j}, nil
}

func readOwn(dir string, fn func(uint64, []byte) error) (int, error) {
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{})
	if err != nil {
		return 0, err
	}
	defer j.Close()
	err = j.Replay(0, func(r journal.Record) error { return fn(r.Seq, r.Payload) })
	return len(j.Healed()), err
}

// files are all files in dir, without scratch.
func (k kind) files(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		for _, s := range k.scratch {
			if rel == s {
				return err
			}
		}
		names = append(names, rel)
		return err
	})
	if err == nil && len(names) == 0 {
		err = errors.New("no files")
	}
	return names, err
}
