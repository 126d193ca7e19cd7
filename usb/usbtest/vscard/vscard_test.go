package vscard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/usb/usbtest/card"
)

// qemu is the device's end of the chardev.
type qemu struct {
	t      *testing.T
	listen net.Listener
	conn   net.Conn
	r      *bufio.Reader
}

func serveTo(t *testing.T, tok *card.Token) *qemu {
	t.Helper()
	old := Settle
	Settle = 50 * time.Millisecond
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, path, tok, nil) }()
	t.Cleanup(func() {
		cancel()
		l.Close()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("Serve goes on")
		}
		Settle = old
	})
	q := &qemu{t: t, listen: l}
	q.accept()
	return q
}

func newToken(t *testing.T) *card.Token {
	t.Helper()
	c := card.New(card.Options{})
	if err := c.Initialise(card.Profile{Label: "Citizen"}); err != nil {
		t.Fatal(err)
	}
	return card.NewToken(c, "", nil)
}

func (q *qemu) accept() {
	q.t.Helper()
	var err error
	if q.conn, err = q.listen.Accept(); err != nil {
		q.t.Fatal(err)
	}
	q.conn.SetDeadline(time.Now().Add(time.Minute))
	q.t.Cleanup(func() { q.conn.Close() })
	q.r = bufio.NewReader(q.conn)
	q.want(Init, noReader, "56534344 00000002 00000000")
}

func (q *qemu) send(kind Type, body string) {
	q.t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(body, " ", ""))
	if err != nil {
		q.t.Fatal(err)
	}
	if _, err := q.conn.Write(encode(kind, firstReader, b)); err != nil {
		q.t.Fatal(err)
	}
}

func (q *qemu) want(kind Type, reader uint32, body string) {
	q.t.Helper()
	k, r, b, err := read(q.r)
	if err != nil || k != kind || r != reader || hex.EncodeToString(b) != strings.ToLower(strings.ReplaceAll(body, " ", "")) {
		q.t.Fatalf("type %d reader %x %x, %v; want type %d %s", k, r, b, err, kind, body)
	}
}

// wantSilence fails if a message comes.
func (q *qemu) wantSilence() {
	q.t.Helper()
	q.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if k, _, b, err := read(q.r); err == nil {
		q.t.Fatalf("type %d %x, want nothing", k, b)
	}
	q.conn.SetReadDeadline(time.Now().Add(time.Minute))
}

const (
	initMessage = "56534344 00000002 00000000"
	login, ask  = "0020000108 31323334FFFFFFFF", "0020000100"
	success     = "00000000"
)

var (
	name = hex.EncodeToString([]byte(readerName))
	atr  = hex.EncodeToString(card.ATRT0)
)

// attach is what happens when QEMU makes its card device.
func (q *qemu) attach() {
	q.t.Helper()
	q.send(Init, initMessage)
	q.want(ReaderAdd, noReader, name)
	q.want(ATR, firstReader, atr)
	q.send(Error, success) // QEMU acknowledges both
	q.send(Error, success)
}

func (q *qemu) apdu(command, answer string) {
	q.t.Helper()
	q.send(APDU, command)
	q.want(APDU, firstReader, answer)
}

func TestConversation(t *testing.T) {
	q := serveTo(t, newToken(t))
	q.wantSilence() // nothing but Init before there is a device
	q.attach()
	q.apdu(login, "9000")
	q.apdu(ask, "9000")
	q.send(Flush, "")
	q.want(FlushComplete, firstReader, "")
	q.send(Type(77), "01")
	q.send(Error, "00000005")
	q.apdu(ask, "9000")
}

// device_del and device_add: QEMU sends Init again on the same connection, and
// the card starts anew.
func TestReplug(t *testing.T) {
	q := serveTo(t, newToken(t))
	q.attach()
	q.apdu(login, "9000")
	q.attach()
	q.apdu(ask, "63C3")
}

// The card is pulled from the reader and put back; an APDU under way is not
// answered.
func TestPullAndInsert(t *testing.T) {
	tok := newToken(t)
	q := serveTo(t, tok)
	q.attach()
	q.apdu(login, "9000")
	if _, err := tok.Do("fault pull=after"); err != nil {
		t.Fatal(err)
	}
	q.send(APDU, ask)
	q.want(CardRemove, firstReader, "")
	begun := time.Now()
	tok.Insert()
	q.want(ATR, firstReader, atr)
	if time.Since(begun) < Settle/2 {
		t.Error("too quick for the guest to see")
	}
	q.apdu(ask, "63C3")
	tok.Pull()
	q.want(CardRemove, firstReader, "")
	q.send(Init, initMessage) // a device is made while the card is out
	q.want(ReaderAdd, noReader, name)
	q.wantSilence()
	tok.Insert()
	q.want(ATR, firstReader, atr)
}

// On a later connection the guest may think that the card never left.
func TestReconnect(t *testing.T) {
	q := serveTo(t, newToken(t))
	q.attach()
	q.apdu(login, "9000")
	q.conn.Close()
	q.accept()
	q.send(Init, initMessage)
	q.want(ReaderAdd, noReader, name)
	q.want(CardRemove, firstReader, "")
	q.want(ATR, firstReader, atr)
	q.apdu(ask, "63C3")
}

func TestTooLong(t *testing.T) {
	q := serveTo(t, newToken(t))
	q.conn.Write([]byte{0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 1})
	q.accept() // it has hung up and comes again
}

func FuzzRead(f *testing.F) {
	f.Add(encode(Init, noReader, initBody))
	f.Add(encode(APDU, firstReader, []byte{0, 0x20, 0, 1, 0}))
	f.Add([]byte{0, 0, 0, 7, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, reader, body, err := read(bytes.NewReader(b))
		if err == nil && !bytes.HasPrefix(b, encode(kind, reader, body)) {
			t.Errorf("%x", b)
		}
	})
}
