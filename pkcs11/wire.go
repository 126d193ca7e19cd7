package pkcs11

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Bounds of the values inside a payload.
const (
	maxPIN         = 255
	maxID          = 255
	maxText        = 255 // label, serial, error text: one length byte
	maxTokens      = 32
	MaxCertificate = 32 << 10 // a longer one is listed with a Problem, never carried
	maxKey         = 4 << 10  // SubjectPublicKeyInfo
	maxSignature   = 2 << 10
	maxDigest      = 64
	maxRandom      = 1 << 10
	maxObjects     = 512 // on one token
)

// writer appends values; it cannot fail, since what is too long is refused
// before (Session) or cut before (Serve).
type writer struct{ b []byte }

func (w *writer) u8(v uint8)   { w.b = append(w.b, v) }
func (w *writer) u16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) raw(v []byte) { w.b = append(w.b, v...) }

func (w *writer) bool(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

// short is one length byte and the bytes.
func (w *writer) short(v []byte) { w.u8(uint8(len(v))); w.raw(v) }

// long is two length bytes and the bytes.
func (w *writer) long(v []byte) { w.u16(uint16(len(v))); w.raw(v) }

func (w *writer) text(v string) { w.u8(uint8(len(v))); w.b = append(w.b, v...) }

// reader takes values off a payload. After the first error every further value
// is zero. Slices point into the payload: no copy of a PIN is made.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("pkcs11: %s: %w", fmt.Sprintf(format, args...), ErrFrame)
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b) {
		r.fail("%d bytes wanted, %d left", n, len(r.b))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) bool() bool {
	v := r.u8()
	if v > 1 {
		r.fail("boolean %d", v)
	}
	return v == 1
}

func (r *reader) short(min, max int) []byte { return r.sized(int(r.u8()), min, max) }
func (r *reader) long(min, max int) []byte  { return r.sized(int(r.u16()), min, max) }

func (r *reader) sized(n, min, max int) []byte {
	if r.err == nil && (n < min || n > max) {
		r.fail("length %d outside %d..%d", n, min, max)
	}
	if n == 0 {
		return nil
	}
	return r.take(n)
}

func (r *reader) text() string {
	v := r.short(0, maxText)
	if !utf8.Valid(v) {
		r.fail("text is not UTF-8")
	}
	return string(v)
}

func (r *reader) key() (k KeyID) {
	copy(k[:], r.take(len(k)))
	return k
}

// end is the last call: an error met, or bytes left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail("%d trailing bytes", len(r.b))
	}
	return r.err
}
