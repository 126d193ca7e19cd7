// Package vpcd puts a card of package card into the PC/SC daemon of this machine,
// through the reader driver vsmartcard-vpcd: the card is the client, the driver
// listens on TCP (35963 unless configured otherwise).
//
// Each message is a length of two bytes, big-endian, and so many bytes. One byte
// is for the reader: 0 power off, 1 power on, 2 reset, 4 asks for the ATR. All
// else is a command APDU and is answered with the response APDU
// (vsmartcard, virtualsmartcard/src/vpcd/vpcd.h).
//
// # Delayed acknowledgements
//
// The driver of Debian 12 sends length and contents in two writes without
// TCP_NODELAY. So the second waits until our kernel acknowledges the first,
// which it puts off for 40 ms, and pkcs11-tool takes seconds for a hundred
// commands. Therefore the client asks for the acknowledgement at once
// (TCP_QUICKACK) before each read, and answers with a single write. Measured on
// the contract suite of package pkcs11test: 123 s without, 2.5 s with it.
package vpcd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"mohr.internal/usb/usbtest/card"
)

// Address is where the driver listens as Debian configures it.
const Address = "127.0.0.1:35963"

const (
	powerOff = 0
	powerOn  = 1
	reset    = 2
	getATR   = 4
)

// Serve keeps the card in the reader while it is inserted, reconnecting when the
// driver ends, until ctx is done. A pulled card is a closed connection: the
// daemon sees it at its next look, within half a second.
func Serve(ctx context.Context, address string, t *card.Token, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var dialer net.Dialer
	for ctx.Err() == nil {
		in, changed := t.Inserted()
		if !in {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			log.Info("in the reader", "address", address)
			err = serve(ctx, conn, t, changed)
			log.Info("out of the reader", "why", err)
			var lost *saveError
			if errors.As(err, &lost) {
				return lost.err
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// saveError ends Serve: a card whose state is lost answers no more.
type saveError struct{ err error }

func (e *saveError) Error() string { return e.err.Error() }

func serve(ctx context.Context, conn net.Conn, t *card.Token, changed <-chan struct{}) error {
	defer conn.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-changed:
		case <-ctx.Done():
		case <-done:
		}
		conn.Close()
	}()
	t.Reset()
	r := bufio.NewReader(promptConn{conn})
	for {
		message, err := read(r)
		if err != nil {
			return err
		}
		var answer []byte
		switch {
		case len(message) != 1:
			if answer, err = t.Transmit(message); errors.Is(err, card.ErrPulled) {
				return err
			} else if err != nil {
				return &saveError{err}
			}
		case message[0] == getATR:
			answer = t.ATR(card.ATRT1)
		case message[0] == powerOff || message[0] == powerOn || message[0] == reset:
			t.Reset()
			continue
		default:
			return fmt.Errorf("vpcd: control byte %02x", message[0])
		}
		if len(answer) > 0xffff { // an extended Le of 65536 bytes: no such file
			return fmt.Errorf("vpcd: answer of %d bytes", len(answer))
		}
		out := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := conn.Write(append(out, answer...)); err != nil {
			return err
		}
	}
}

func read(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// promptConn acknowledges what has arrived before it waits for more. The kernel
// forgets the option, so it is set each time (tcp(7)).
type promptConn struct{ net.Conn }

func (c promptConn) Read(b []byte) (int, error) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
		}
	}
	return c.Conn.Read(b)
}
