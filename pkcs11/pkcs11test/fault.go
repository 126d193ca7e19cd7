package pkcs11test

import (
	"encoding/binary"
	"io"
	"time"

	"mohr.internal/pkcs11"
)

// Kind is a way to fail.
type Kind int

// The ways to fail. "After" means that the token has done what was asked, and
// only the reply is missing.
const (
	_              Kind = iota
	Crash               // the worker ends, nothing done
	CrashAfter          // done, then the worker ends without a reply
	Hang                // no reply until the connection is closed, nothing done
	HangAfter           // done, no reply until the connection is closed
	Slow                // done after Delay
	Truncate            // half a reply, then the end
	Twice               // the same reply twice
	Trailing            // one byte too many inside the frame
	Babble              // text in place of a reply
	WrongVersion        // a reply of another protocol version
	WrongVerb           // a reply to another verb, not always a known one
	WrongID             // a reply to another request
	HugeLength          // a length field of 4 GiB
	Empty               // a frame without payload
	Echo                // the request sent back
	Pull                // the token is pulled before it does anything
	PullAfter           // done, then pulled: the reply says removed
	Full                // no room on the token
	GeneralError        // CKR_GENERAL_ERROR, the token still there, nothing done
	LieKey              // Sign with another key, GenerateKey returns another key
	ExitAfterReply      // a good reply, then the worker ends

	// Of a process only (StartWorker); a token in process ignores them.
	Segfault       // SIGSEGV
	Killed         // SIGKILL
	Exit0          // status 0 in place of a reply
	Exit2          // status 2 in place of a reply, as Go ends after a fault in C
	Exit0After     // a good reply, then status 0
	SegfaultAfter  // a good reply, then SIGSEGV
	Stopped        // SIGSTOP: a hang that notices nothing
	Stdout         // text on standard output, then a good reply
	StderrFlood    // a megabyte on stderr, then a good reply
	Grandchild     // starts a program that outlives it, then SIGKILL
	StaysAfterExit // does not end after the exit verb's reply
	Report         // its own limits and descriptors on stderr, then a good reply
)

// Fault makes one request fail.
type Fault struct {
	Kind  Kind
	Verb  pkcs11.Verb // 0: any verb
	Nth   int         // the n-th request it matches, 1 if 0
	Delay time.Duration
	seen  int
	spent bool
}

// Inject adds faults. Each strikes once.
func (t *Token) Inject(faults ...Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range faults {
		t.faults = append(t.faults, &f)
	}
}

// strike counts a request and gives the fault it meets.
func (t *Token) strike(v pkcs11.Verb) Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[v]++
	var hit Fault
	for _, f := range t.faults {
		if f.spent || (f.Verb != 0 && f.Verb != v) {
			continue
		}
		if f.seen++; f.seen >= max(f.Nth, 1) && hit.Kind == 0 {
			f.spent, hit = true, *f
		}
	}
	return hit
}

// Serve answers on conn like a worker, faults included, until the conversation
// is over.
func (t *Token) Serve(conn io.ReadWriteCloser) error {
	b := &backend{t: t, life: -1}
	return pkcs11.Serve(&faultyConn{conn: conn, b: b}, b)
}

// faultyConn sits between the server loop and the connection. It reads a frame
// at a time, so that it knows which request the next reply is for.
type faultyConn struct {
	conn   io.ReadWriteCloser
	b      *backend
	in     []byte
	req    []byte
	before func(Kind) // faults of a process, done before the request
	after  func(Kind) // and after the reply
}

func (c *faultyConn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		f, err := pkcs11.ReadFrame(c.conn)
		if err != nil {
			return 0, err
		}
		c.b.fault = c.b.t.strike(f.Verb)
		if c.before != nil {
			c.before(c.b.fault.Kind)
		}
		switch c.b.fault.Kind {
		case Crash:
			c.conn.Close()
			return 0, io.ErrUnexpectedEOF
		case Hang:
			c.wait()
			return 0, io.ErrUnexpectedEOF
		case Slow:
			time.Sleep(c.b.fault.Delay)
		}
		var buf buffer
		if _, err := pkcs11.WriteFrame(&buf, f); err != nil {
			return 0, err
		}
		f.Wipe()
		c.in, c.req = buf, append(c.req[:0], buf...)
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

// wait blocks until the other side gives up.
func (c *faultyConn) wait() { io.Copy(io.Discard, c.conn) }

// Write gets a whole frame at a time.
func (c *faultyConn) Write(p []byte) (int, error) {
	end := false
	p = append([]byte(nil), p...)
	n := len(p)
	switch c.b.fault.Kind {
	case CrashAfter:
		c.conn.Close()
		return 0, io.ErrClosedPipe
	case HangAfter:
		c.wait()
		return 0, io.ErrClosedPipe
	case Truncate:
		p, end = p[:len(p)/2], true
	case Twice:
		go c.conn.Write(append(p, p...)) // nobody may read the second
		return n, nil
	case Trailing:
		p = append(p, 0)
		binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	case Babble:
		p = []byte("Please insert your token and press any key to continue...\n")
	case WrongVersion:
		p[4]++
	case WrongVerb:
		p[5] ^= 3
	case WrongID:
		p[9]++
	case HugeLength:
		p = append([]byte{0xff, 0xff, 0xff, 0xff}, p[4:]...)
	case Empty:
		p = append([]byte{0, 0, 0, 6}, p[4:10]...)
	case Echo:
		p = c.req
	case ExitAfterReply:
		end = true
	}
	if _, err := c.conn.Write(p); err != nil {
		return 0, err
	}
	if c.after != nil {
		c.after(c.b.fault.Kind)
	}
	if end {
		c.conn.Close()
		return 0, io.ErrClosedPipe
	}
	return n, nil
}
