package pkcs11

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// Version is the protocol's version. Both ends are one program at one build, so
// there is nothing to negotiate: another version is an error.
const Version = 1

const (
	// MaxFrame is the most that may follow the length field.
	MaxFrame = 64 << 10

	headerLen = 6 // version, verb, request id
	replyBit  = 0x80

	// MaxPayload is what is left of a frame for its payload.
	MaxPayload = MaxFrame - headerLen
)

// Frame is one message:
//
//	u32 length of what follows, u8 version, u8 verb, u32 request id, payload
//
// all big-endian. A reply has the verb and id of its request, and the verb's top
// bit set: an echo of a request would else pass for a reply, and show a PIN as
// the text of an error.
type Frame struct {
	Reply   bool
	Verb    Verb
	ID      uint32
	Payload []byte
}

// ErrFrame is wrapped by every error about a malformed frame or payload.
var ErrFrame = errors.New("malformed frame")

// Wipe overwrites the payload, and what a PIN in it left in the thread.
func (f *Frame) Wipe() {
	Wipe(f.Payload)
	if f.Verb.SpendsTry() && !f.Reply {
		scrub()
	}
}

// Wipe overwrites b with zeros.
func Wipe(b []byte) { clear(b) }

// ReadFrame reads one frame. It reads no byte too many and keeps no copy, so a
// PIN is in the returned payload and nowhere else. io.EOF means that the other
// side closed between frames.
func ReadFrame(r io.Reader) (Frame, error) {
	var head [4 + headerLen]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return Frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < headerLen || n > MaxFrame {
		return Frame{}, fmt.Errorf("pkcs11: length %d: %w", n, ErrFrame)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return Frame{}, midFrame(err)
	}
	if head[4] != Version {
		return Frame{}, fmt.Errorf("pkcs11: version %d: %w", head[4], ErrFrame)
	}
	f := Frame{Reply: head[5]&replyBit != 0, Verb: Verb(head[5] &^ replyBit), ID: binary.BigEndian.Uint32(head[6:])}
	if !f.Verb.Known() {
		return Frame{}, fmt.Errorf("pkcs11: verb %d: %w", head[5], ErrFrame)
	}
	f.Payload = make([]byte, n-headerLen)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		f.Wipe()
		return Frame{}, midFrame(err)
	}
	return f, nil
}

// midFrame tells an end inside a frame from an end between two.
func midFrame(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteFrame writes one frame in one Write and wipes its own copy of it. The
// number of bytes written tells the caller whether the other side can have a
// whole frame.
func WriteFrame(w io.Writer, f Frame) (int, error) {
	if len(f.Payload) > MaxPayload {
		return 0, fmt.Errorf("pkcs11: payload of %d bytes: %w", len(f.Payload), ErrFrame)
	}
	if f.Verb.SpendsTry() && !f.Reply {
		runtime.LockOSThread() // so that the registers cleared are those of the copy
		defer runtime.UnlockOSThread()
		defer clearRegisters()
	}
	buf := make([]byte, 4+headerLen+len(f.Payload))
	defer Wipe(buf)
	binary.BigEndian.PutUint32(buf, uint32(headerLen+len(f.Payload)))
	buf[4] = Version
	buf[5] = byte(f.Verb)
	if f.Reply {
		buf[5] |= replyBit
	}
	binary.BigEndian.PutUint32(buf[6:], f.ID)
	copy(buf[10:], f.Payload)
	return w.Write(buf)
}
