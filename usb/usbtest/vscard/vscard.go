// Package vscard puts a card of package card into a reader of QEMU, the device
// usb-ccid with a ccid-card-passthru in it, through a chardev on a Unix socket.
//
//	-device qemu-xhci,id=xhci -chardev socket,id=card,path=PATH,server=on,wait=off
//	device_add driver=usb-ccid,id=ccid0,bus=xhci.0,port=1                     plug in, 1
//	device_add driver=ccid-card-passthru,id=vc0,bus=ccid0.0,chardev=card      plug in, 2
//	device_del id=ccid0                                                       pull out
//
// # Protocol
//
// VSCARD, version 2 (libcacard, src/vscard_common.h): messages with a header of
// three numbers of four bytes, big-endian: type, reader, length. Both sides begin
// with Init; QEMU answers ours with its own and sends one for each card device
// that it makes. To each the card answers ReaderAdd and ATR after a reset, which
// covers a device plugged in anew on the same connection.
//
// # What does not reach the card
//
// The protocol has no power-down and no reset. What the guest does to its reader
// is not seen here: a verified PIN stays verified until the card is pulled or the
// device made anew.
package vscard

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"mohr.internal/usb/usbtest/card"
)

// Type is the kind of a message (VSCMsgType).
type Type uint32

const (
	Init          Type = 1
	Error         Type = 2 // from QEMU also the acknowledgement, with code 0
	ReaderAdd     Type = 3
	ReaderRemove  Type = 4
	ATR           Type = 5
	CardRemove    Type = 6
	APDU          Type = 7
	Flush         Type = 8
	FlushComplete Type = 9
)

// Readers (VSCARD_UNDEFINED_READER_ID, VSCARD_MINIMAL_READER_ID).
const (
	noReader    = 0xffffffff
	firstReader = 0
)

// initBody is the magic number "VSCD", version 2 and no capabilities.
var initBody = []byte("VSCD\x00\x00\x00\x02\x00\x00\x00\x00")

const readerName = "Mohr test token\x00"

// maxBody bounds a message of QEMU; the longest is an APDU.
const maxBody = 64 << 10

// Settle is how long the reader stays empty when the guest has to see that a
// card was changed: a new ATR alone does not power-cycle it.
var Settle = time.Second

// Serve keeps the card in QEMU's reader while it is inserted, reconnecting when
// QEMU ends, until ctx is done.
func Serve(ctx context.Context, path string, t *card.Token, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var dialer net.Dialer
	for again := false; ctx.Err() == nil; {
		conn, err := dialer.DialContext(ctx, "unix", path)
		if err == nil {
			log.Info("connected", "socket", path)
			s := &server{t: t, conn: conn, log: log, again: again}
			err = s.serve(ctx)
			log.Info("disconnected", "why", err)
			var lost *saveError
			if errors.As(err, &lost) {
				return lost.err
			}
			again = true
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

type server struct {
	t     *card.Token
	log   *slog.Logger
	again bool // the guest may still see the card of an earlier connection

	mu       sync.Mutex // one message at a time
	conn     net.Conn
	attached bool // QEMU has its reader
	shown    bool // and in it our card
	removed  time.Time
}

func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { s.watch(ctx) })
	if err := s.send(Init, noReader, initBody); err != nil {
		return err
	}
	r := bufio.NewReader(s.conn)
	for {
		kind, reader, body, err := read(r)
		if err == nil {
			err = s.handle(ctx, kind, reader, body)
		}
		if err != nil {
			return err
		}
	}
}

// watch tells QEMU of insertions and removals, and closes the connection at the
// end.
func (s *server) watch(ctx context.Context) {
	defer s.conn.Close()
	for ctx.Err() == nil {
		in, changed := s.t.Inserted()
		if s.show(ctx, in) != nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// show brings what QEMU knows in line with where the card is. Between two cards
// the reader is empty for a while.
func (s *server) show(ctx context.Context, in bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.attached || s.shown == in:
		return nil
	case in:
		pause(ctx, time.Until(s.removed.Add(Settle)))
		s.shown = true
		return s.write(ATR, firstReader, s.t.ATR(card.ATRT0))
	default:
		s.shown, s.removed = false, time.Now()
		return s.write(CardRemove, firstReader, nil)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// attach answers QEMU's Init. On a connection that is not the first the guest
// may think that the card never left, so it is removed first.
func (s *server) attach(ctx context.Context) error {
	s.t.Reset()
	s.mu.Lock()
	err := s.write(ReaderAdd, noReader, []byte(readerName))
	if err == nil && s.again {
		err = s.write(CardRemove, firstReader, nil)
		s.again, s.removed = false, time.Now()
	}
	s.attached, s.shown = true, false
	s.mu.Unlock()
	if err != nil {
		return err
	}
	in, _ := s.t.Inserted()
	return s.show(ctx, in)
}

func (s *server) handle(ctx context.Context, kind Type, reader uint32, body []byte) error {
	switch kind {
	case Init:
		s.log.Debug("QEMU has a card device")
		return s.attach(ctx)
	case APDU:
		answer, err := s.t.Transmit(body)
		if errors.Is(err, card.ErrPulled) {
			return nil // watch sends CardRemove, which ends the guest's wait
		} else if err != nil {
			return &saveError{err}
		}
		return s.send(APDU, reader, answer)
	case Flush:
		return s.send(FlushComplete, reader, nil)
	case Error:
		if len(body) != 4 {
			return fmt.Errorf("vscard: error of %d bytes", len(body))
		}
		if code := binary.BigEndian.Uint32(body); code != 0 {
			s.log.Warn("QEMU reports an error", "code", code)
		} else {
			s.log.Debug("QEMU accepts")
		}
	default:
		s.log.Warn("message not known", "type", kind)
	}
	return nil
}

func (s *server) send(kind Type, reader uint32, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(kind, reader, body)
}

// write sends a message; the caller holds mu.
func (s *server) write(kind Type, reader uint32, body []byte) error {
	_, err := s.conn.Write(encode(kind, reader, body))
	return err
}

func encode(kind Type, reader uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(kind))
	b = binary.BigEndian.AppendUint32(b, reader)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

func read(r io.Reader) (kind Type, reader uint32, body []byte, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[8:])
	if n > maxBody {
		return 0, 0, nil, fmt.Errorf("vscard: message of %d bytes", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return Type(binary.BigEndian.Uint32(head[:])), binary.BigEndian.Uint32(head[4:]), body, err
}
