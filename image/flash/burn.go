package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

const (
	// chunk is the unit of writing, reading back and comparing. The first one holds
	// the partition table and nothing of the boot partition.
	chunk = 4 << 20

	// syncEvery keeps the progress true: without it a machine with much memory says
	// "written" long before the card has anything.
	syncEvery = 8 * chunk
)

// unusable is why a card that writing had begun on must not be used.
type unusable struct {
	doing string
	at    int64 // in bytes; -1: nowhere in particular
	err   error
}

func (u *unusable) Unwrap() error { return u.err }

func (u *unusable) Error() string {
	where := ""
	if u.at >= 0 {
		where = fmt.Sprintf(" at byte %d", u.at)
	}
	return fmt.Sprintf("FLASH-UNUSABLE: %s%s: %v\n  THIS CARD IS NOT USABLE: it has no partition table and does not boot, or is not what it should be.\n"+
		"  Try again, with another reader; if it happens again, throw the card away.", u.doing, where, u.err)
}

// burner writes one image to one card.
type burner struct {
	ctx  context.Context
	card card
	img  io.ReaderAt
	size int64
	p    *progress
	sums [][32]byte // of each chunk, as it was written
}

// burn writes, reads back and compares: the first chunk blank, all others, and only
// when they are right the first. After it returns without an error the card has the
// image, whose SHA-256 is sum.
func (b *burner) burn() (sum [32]byte, err error) {
	head, err := b.load(0, nil)
	if err != nil {
		return sum, fmt.Errorf("nothing was written: %w", errors.Unwrap(err))
	}
	whole := sha256.New()
	whole.Write(head)
	b.sums = [][32]byte{sha256.Sum256(head)}
	if err := b.write(make([]byte, len(head)), 0); err != nil {
		return sum, err
	}
	if err := b.sync(); err != nil {
		return sum, err
	}
	chunks := (b.size + chunk - 1) / chunk
	b.p.begin("writing", b.size-int64(len(head)))
	defer b.p.end()
	buf := make([]byte, chunk)
	for i := int64(1); i < chunks; i++ {
		if buf, err = b.load(i, buf); err != nil {
			return sum, err
		}
		whole.Write(buf)
		b.sums = append(b.sums, sha256.Sum256(buf))
		if err := b.write(buf, i*chunk); err != nil {
			return sum, err
		}
		if (i+1)*chunk%syncEvery == 0 || i == chunks-1 {
			if err := b.sync(); err != nil {
				return sum, err
			}
		}
		b.p.add(int64(len(buf)))
	}
	b.p.end()
	b.p.begin("reading back", b.size)
	if err := b.compare(1, chunks); err != nil {
		return sum, err
	}
	err = b.write(head, 0)
	if err == nil {
		err = b.sync()
	}
	if err == nil {
		err = b.compare(0, 1)
	}
	if err != nil {
		// It must not boot, as far as the card still does what it is told.
		b.card.WriteAt(make([]byte, len(head)), 0)
		b.card.Sync()
		return sum, err
	}
	whole.Sum(sum[:0])
	return sum, nil
}

// load reads chunk i of the image.
func (b *burner) load(i int64, buf []byte) ([]byte, error) {
	n := min(chunk, b.size-i*chunk)
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if err := b.ctx.Err(); err != nil {
		return nil, &unusable{"stopped", i * chunk, err}
	}
	if _, err := io.ReadFull(io.NewSectionReader(b.img, i*chunk, n), buf); err != nil {
		return nil, &unusable{"reading the image", i * chunk, err}
	}
	return buf, nil
}

func (b *burner) write(data []byte, off int64) error {
	n, err := b.card.WriteAt(data, off)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return &unusable{"writing", off + int64(n), err}
	}
	return nil
}

// sync is asked once for each stretch: after a failed one the kernel may have
// forgotten the error together with the data.
func (b *burner) sync() error {
	if err := b.card.Sync(); err != nil {
		return &unusable{"writing", -1, err}
	}
	return nil
}

// compare reads chunks back from the medium.
func (b *burner) compare(from, to int64) error {
	if err := b.card.Drop(); err != nil {
		return &unusable{"reading back", -1, err}
	}
	buf := make([]byte, chunk)
	for i := from; i < to; i++ {
		if err := b.ctx.Err(); err != nil {
			return &unusable{"stopped", i * chunk, err}
		}
		buf = buf[:min(chunk, b.size-i*chunk)]
		if _, err := io.ReadFull(io.NewSectionReader(b.card, i*chunk, int64(len(buf))), buf); err != nil {
			return &unusable{"reading back", i * chunk, err}
		}
		if sha256.Sum256(buf) != b.sums[i] {
			return &unusable{"reading back", i * chunk, errDiffers}
		}
		b.p.add(int64(len(buf)))
	}
	return nil
}

var errDiffers = errors.New("the card gives back other bytes than were written")
