package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// plain is the log one writes first: a length and the bytes, then fdatasync.
// Filled, it lies in a file of zeros made before, each record at a page.
type plain struct {
	f      *os.File
	off    int64
	filled bool
}

func makePlain(dir string, _ int64) (store, error) {
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	return &plain{f: f}, nil
}

func makeFilled(dir string, quota int64) (store, error) {
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < quota; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), quota-off)], off); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return &plain{f: f, filled: true}, nil
}

func (p *plain) Append(payload []byte) error {
	b := make([]byte, 4, pages(len(payload))+4)
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	if p.filled {
		b = b[:pages(len(payload))]
	}
	if _, err := p.f.WriteAt(b, p.off); err != nil {
		return err
	}
	p.off += int64(len(b))
	return unix.Fdatasync(int(p.f.Fd()))
}

func (p *plain) Close() error { return p.f.Close() }

func readPlain(dir string, fn func(uint64, []byte) error) (int, error) {
	return 0, readLog(dir, false, fn)
}

func readFilled(dir string, fn func(uint64, []byte) error) (int, error) {
	return 0, readLog(dir, true, fn)
}

func readLog(dir string, filled bool, fn func(uint64, []byte) error) error {
	f, err := os.Open(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for seq := uint64(1); ; seq++ {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n == 0 && filled {
			return nil
		}
		if n > 1<<20 {
			return fmt.Errorf("record %d of %d bytes", seq, n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("record %d: %w", seq, err)
		}
		if err := fn(seq, b); err != nil {
			return err
		}
		if filled {
			if _, err := r.Discard(int(pages(len(b)) - 4 - int64(n))); err != nil && err != io.EOF {
				return err
			}
		}
	}
}
