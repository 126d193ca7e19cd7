package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"mohr.internal/appliance/journal/bounds"
)

const (
	// PageSize is the unit of every write. A change makes every journal in the
	// field unreadable.
	PageSize = bounds.Page

	// Overhead is what a record costs beside its payload, before padding: a
	// payload of n*PageSize-Overhead wastes nothing.
	Overhead = 96

	// maxPages bounds a record, and with it what Open has to doubt.
	maxPages = bounds.RecordPages

	// MaxPayload is the largest payload: 262,048 bytes.
	MaxPayload = maxPages*PageSize - Overhead

	version = 1
)

var (
	recordMagic  = [8]byte([]byte("mohr.rec"))
	segmentMagic = [8]byte([]byte("mohr.seg"))
	zeros        [1 << 20]byte
)

// Record is one entry. Seq begins at 1; Prev is the hash of the record before
// and zero for the first.
type Record struct {
	Seq     uint64
	Prev    [32]byte
	Hash    [32]byte
	Payload []byte
}

// pagesFor is how many pages a payload of n bytes takes.
func pagesFor(n int) int { return (Overhead + n + PageSize - 1) / PageSize }

// encodeRecord lays a record out in whole pages.
func encodeRecord(id [8]byte, seq uint64, prev [32]byte, payload []byte) ([]byte, [32]byte) {
	b := make([]byte, pagesFor(len(payload))*PageSize)
	copy(b, recordMagic[:])
	binary.LittleEndian.PutUint16(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(b[16:], seq)
	copy(b[24:32], id[:])
	copy(b[32:64], prev[:])
	copy(b[Overhead:], payload)
	hash := recordHash(b, len(payload))
	copy(b[64:96], hash[:])
	return b, hash
}

func recordHash(b []byte, n int) (sum [32]byte) {
	h := sha256.New()
	h.Write(b[:64])
	h.Write(b[Overhead : Overhead+n])
	h.Sum(sum[:0])
	return sum
}

// decodeRecord reads the record that begins at b[0]; b ends with the segment.
// It accepts exactly what encodeRecord writes for this journal: the hash
// covers header and payload, and the padding must be zero. The payload is a
// part of b.
func decodeRecord(id [8]byte, b []byte) (Record, error) {
	if len(b) < PageSize || !bytes.Equal(b[:8], recordMagic[:]) {
		return Record{}, fmt.Errorf("no record")
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return Record{}, fmt.Errorf("record version %d, want %d", v, version)
	}
	if n > MaxPayload || pagesFor(int(n))*PageSize > len(b) {
		return Record{}, fmt.Errorf("record of %d bytes", n)
	}
	if b[10]|b[11] != 0 || !blank(b[Overhead+int(n):pagesFor(int(n))*PageSize]) {
		return Record{}, fmt.Errorf("padding is not zero")
	}
	if !bytes.Equal(b[24:32], id[:]) {
		return Record{}, fmt.Errorf("record of journal %x, want %x", b[24:32], id)
	}
	r := Record{
		Seq:     binary.LittleEndian.Uint64(b[16:]),
		Prev:    [32]byte(b[32:64]),
		Hash:    [32]byte(b[64:96]),
		Payload: b[Overhead : Overhead+int(n) : Overhead+int(n)],
	}
	if recordHash(b, int(n)) != r.Hash {
		return Record{}, fmt.Errorf("hash does not match")
	}
	return r, nil
}

// geometry is what all segments of a journal share.
type geometry struct {
	ID       [8]byte
	Pages    int // in a segment, with its header
	Segments int // in a copy
}

// header is the first page of a segment.
func (g geometry) header(index int) []byte {
	b := make([]byte, PageSize)
	copy(b, segmentMagic[:])
	binary.LittleEndian.PutUint16(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], uint32(g.Pages))
	binary.LittleEndian.PutUint32(b[16:], uint32(g.Segments))
	binary.LittleEndian.PutUint32(b[20:], uint32(index))
	copy(b[24:32], g.ID[:])
	sum := sha256.Sum256(b[:64])
	copy(b[64:], sum[:])
	return b
}

// decodeHeader accepts exactly what header writes.
func decodeHeader(b []byte) (g geometry, index int, err error) {
	if len(b) < PageSize || !bytes.Equal(b[:8], segmentMagic[:]) {
		return g, 0, fmt.Errorf("no segment header")
	}
	g.Pages = int(binary.LittleEndian.Uint32(b[12:]))
	g.Segments = int(binary.LittleEndian.Uint32(b[16:]))
	index = int(binary.LittleEndian.Uint32(b[20:]))
	g.ID = [8]byte(b[24:32])
	if err := g.check(); err != nil {
		return geometry{}, 0, err
	}
	if index >= g.Segments || !bytes.Equal(b[:PageSize], g.header(index)) {
		return geometry{}, 0, fmt.Errorf("segment header does not match its hash")
	}
	return g, index, nil
}

// minSegmentPages is the smallest segment: a header and the largest record.
const minSegmentPages = bounds.MinSegment / PageSize

// check bounds the geometry: a length from disk never sizes anything unchecked.
func (g geometry) check() error {
	if err := bounds.Segment(int64(g.Pages) * PageSize); err != nil {
		return fmt.Errorf("bytes in a segment: %w", err)
	}
	if err := bounds.Segments(g.Segments); err != nil {
		return fmt.Errorf("segments: %w", err)
	}
	return nil
}

// blank reports whether b is all zeros.
func blank(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
