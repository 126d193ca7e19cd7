package pcsc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Client protocol of pcsc-lite, winscard_msg.h: a request is the length of what
// follows, the command and that; an answer has no header. Numbers are in the
// order of the machine, little-endian on all that the kiosk runs on.
const (
	cmdVersion      = 0x11
	cmdReaderStates = 0x12

	protocolMajor, protocolMinor = 4, 4

	maxReaders  = 16  // PCSCLITE_MAX_READERS_CONTEXTS
	sizeReader  = 184 // READER_STATE, eventhandler.h
	sizeName    = 128 // MAX_READERNAME
	cardPresent = 0x04
	cardPowered = 0x10
)

// reader is what the daemon says of one reader.
type reader struct {
	Present bool // a card is in
	Powered bool // and has answered the reset
}

// probeTime is for one question; the daemon answers from memory.
const probeTime = 2 * time.Second

var errProtocol = errors.New("pcsc: daemon speaks protocol")

// dial connects to a daemon and agrees on the protocol.
func dial(path string) (net.Conn, error) {
	c, err := net.DialTimeout("unix", path, probeTime)
	if err != nil {
		return nil, fmt.Errorf("pcsc: %w", err)
	}
	answer, err := ask(c, cmdVersion, words(protocolMajor, protocolMinor, 0), 12)
	if err == nil {
		if major, minor, rv := word(answer, 0), word(answer, 4), word(answer, 8); rv != 0 || major != protocolMajor {
			err = fmt.Errorf("%w %d:%d, status %#x", errProtocol, major, minor, rv)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// readers asks which readers there are.
func readers(c net.Conn) ([]reader, error) {
	answer, err := ask(c, cmdReaderStates, nil, maxReaders*sizeReader)
	if err != nil {
		return nil, err
	}
	return states(answer), nil
}

// states reads the daemon's table of readers; a row without a name is not in use.
func states(b []byte) (list []reader) {
	for ; len(b) >= sizeReader; b = b[sizeReader:] {
		name, _, _ := bytes.Cut(b[:sizeName], []byte{0})
		if len(name) == 0 {
			continue
		}
		state := word(b, sizeName+4)
		list = append(list, reader{Present: state&cardPresent != 0, Powered: state&cardPowered != 0})
	}
	return list
}

func ask(c net.Conn, command uint32, body []byte, size int) ([]byte, error) {
	c.SetDeadline(time.Now().Add(probeTime))
	if _, err := c.Write(append(words(uint32(len(body)), command), body...)); err != nil {
		return nil, fmt.Errorf("pcsc: %w", err)
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, fmt.Errorf("pcsc: %w", err)
	}
	return answer, nil
}

func words(v ...uint32) (b []byte) {
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func word(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
