package main

import (
	"encoding/binary"
	"path/filepath"

	"go.etcd.io/bbolt"
)

var bucket = []byte("records")

// bolt is bbolt with its defaults, which sync at each commit.
type bolt struct {
	db    *bbolt.DB
	seq   uint64
	batch int // records in a transaction
	tx    *bbolt.Tx
}

func makeBolt(dir string, _ int64) (store, error) { return newBolt(dir, 1) }

func batchBolt(dir string, _ int64) (store, error) { return newBolt(dir, 1000) }

func newBolt(dir string, batch int) (store, error) {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	return &bolt{db: db, batch: batch}, err
}

func (b *bolt) Append(payload []byte) error {
	if b.tx == nil {
		tx, err := b.db.Begin(true)
		if err != nil {
			return err
		}
		b.tx = tx
	}
	b.seq++
	if err := b.tx.Bucket(bucket).Put(binary.BigEndian.AppendUint64(nil, b.seq), payload); err != nil {
		return err
	}
	if b.seq%uint64(b.batch) != 0 {
		return nil
	}
	tx := b.tx
	b.tx = nil
	return tx.Commit()
}

func (b *bolt) Close() error {
	if b.tx != nil {
		if err := b.tx.Commit(); err != nil {
			return err
		}
	}
	return b.db.Close()
}

func readBolt(dir string, fn func(uint64, []byte) error) (int, error) {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, nil)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return 0, db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			return nil // as empty as a fresh one
		}
		return b.ForEach(func(k, v []byte) error {
			if len(k) != 8 {
				return fn(0, v)
			}
			return fn(binary.BigEndian.Uint64(k), v)
		})
	})
}
