// Package pcsctest is a PC/SC daemon without a reader: a process that answers the
// questions tokend asks, or does not.
package pcsctest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// What a fake daemon does.
const (
	Good     = "good"
	Slow     = "slow"      // its reader comes after a while
	NoReader = "no-reader" // never
	NoCard   = "no-card"   // a reader with nothing in it
	Stubborn = "stubborn"  // ignores SIGTERM
	Dies     = "dies"      // when a client says so
	AtOnce   = "at-once"   // dies at its start
	Foreign  = "foreign"   // speaks another protocol
)

const first = "fake-pcscd"

// Args are the arguments with which a test binary that calls Main is the fake.
func Args(behaviour, dir string) []string { return []string{first, behaviour, dir} }

// Main is the fake's main function; in any other process it does nothing.
func Main() {
	if len(os.Args) != 4 || os.Args[1] != first {
		return
	}
	fmt.Fprintln(os.Stderr, run(os.Args[2], filepath.Join(os.Args[3], "pcscd.comm")))
	os.Exit(1)
}

// run serves until an error.
func run(behaviour, socket string) error {
	switch behaviour {
	case AtOnce:
		return fmt.Errorf("bang")
	case Stubborn:
		signal.Ignore(syscall.SIGTERM)
	}
	begin := time.Now()
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for serve(c, behaviour, begin) {
			}
		}()
	}
}

// serve answers one question.
func serve(c net.Conn, behaviour string, begin time.Time) bool {
	var head [8]byte
	if n, err := io.ReadFull(c, head[:]); err != nil {
		if behaviour == Dies && n == 3 {
			fmt.Fprintln(os.Stderr, "bang")
			os.Exit(3)
		}
		return false
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.LittleEndian.Uint32(head[:]))); err != nil {
		return false
	}
	var answer []byte
	switch command := binary.LittleEndian.Uint32(head[4:]); {
	case command == 0x11 && behaviour == Foreign:
		answer = []byte{5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	case command == 0x11:
		answer = []byte{4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}
	case command == 0x12:
		there := behaviour != NoReader && (behaviour != Slow || time.Since(begin) > 300*time.Millisecond)
		answer = States(there, behaviour != NoCard)
	}
	_, err := c.Write(answer)
	return err == nil && answer != nil
}

// States is the daemon's list of readers with one reader or none.
func States(there, card bool) []byte {
	b := make([]byte, 16*184)
	if there {
		copy(b, "Fake reader 00 00")
		b[128+4] = 0x02 // SCARD_ABSENT
		if card {
			b[128+4] = 0x34 // present, powered, negotiable
		}
	}
	return b
}
