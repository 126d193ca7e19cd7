package vpcd

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/usb/usbtest/card"
)

func newToken(t *testing.T, path string) *card.Token {
	t.Helper()
	c := card.New(card.Options{})
	if err := c.Initialise(card.Profile{Label: "Citizen"}); err != nil {
		t.Fatal(err)
	}
	return card.NewToken(c, path, nil)
}

// driver is the reader driver's end.
type driver struct {
	t      *testing.T
	listen net.Listener
	conn   net.Conn
}

func serveTo(t *testing.T, tok *card.Token) (*driver, chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l.Addr().String(), tok, nil) }()
	t.Cleanup(func() {
		cancel()
		l.Close()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("Serve goes on")
		}
	})
	d := &driver{t: t, listen: l}
	d.accept()
	return d, ended
}

func (d *driver) accept() {
	d.t.Helper()
	var err error
	if d.conn, err = d.listen.Accept(); err != nil {
		d.t.Fatal(err)
	}
	d.conn.SetDeadline(time.Now().Add(time.Minute))
	d.t.Cleanup(func() { d.conn.Close() })
}

// send writes length and contents apart, as the driver does.
func (d *driver) send(message string) {
	d.t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(message, " ", ""))
	if err != nil {
		d.t.Fatal(err)
	}
	d.conn.Write([]byte{byte(len(b) >> 8), byte(len(b))})
	if _, err := d.conn.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) want(message string) {
	d.t.Helper()
	b, err := read(d.conn)
	if got := hex.EncodeToString(b); err != nil || got != strings.ToLower(strings.ReplaceAll(message, " ", "")) {
		d.t.Fatalf("%s, %v; want %s", got, err, message)
	}
}

func (d *driver) wantEnd() {
	d.t.Helper()
	if b, err := io.ReadAll(d.conn); len(b) > 0 {
		d.t.Fatalf("%x, %v; want the end", b, err)
	}
}

const login, ask = "0020000108 31323334FFFFFFFF", "0020000100"

func TestConversation(t *testing.T) {
	d, _ := serveTo(t, newToken(t, ""))
	d.send("01") // power on: no answer
	d.send("04")
	d.want(hex.EncodeToString(card.ATRT1))
	d.send(login)
	d.want("9000")
	d.send(ask)
	d.want("9000")
	for _, control := range []string{"00", "01", "02"} { // each is a reset
		d.send(login)
		d.want("9000")
		d.send(control)
		d.send(ask)
		d.want("63C3")
	}
	d.send("00A4") // too short
	d.want("6700")
	d.send("") // no message of the driver: an APDU of no length
	d.want("6700")
	d.send("09")
	d.wantEnd()
	d.accept() // it comes again
	d.send("04")
	d.want(hex.EncodeToString(card.ATRT1))
}

// A pulled card is a closed connection, and comes back reset when inserted.
func TestPullAndInsert(t *testing.T) {
	tok := newToken(t, "")
	d, _ := serveTo(t, tok)
	d.send(login)
	d.want("9000")
	tok.Pull()
	d.wantEnd()
	tok.Insert()
	d.accept()
	d.send(ask)
	d.want("63C3")
	if _, err := tok.Do("fault n=1,pull=before"); err != nil {
		t.Fatal(err)
	}
	d.send(ask)
	d.wantEnd()
}

// A card that cannot be saved answers no more.
func TestStateLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d, ended := serveTo(t, newToken(t, filepath.Join(dir, "card")))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	d.send(login)
	d.wantEnd()
	err := <-ended
	if ended <- err; err == nil {
		t.Error("no error")
	}
}

// A hundred commands take no time, though the driver writes in two pieces and
// waits for the acknowledgement of the first: 40 ms each otherwise.
func TestPrompt(t *testing.T) {
	d, _ := serveTo(t, newToken(t, ""))
	if err := d.conn.(*net.TCPConn).SetNoDelay(false); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for range 100 {
		d.send(ask)
		d.want("63C3")
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("%v", took)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 1, 4})
	f.Add([]byte{0, 5, 0, 0x20, 0, 1, 0})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		message, err := read(bytes.NewReader(b))
		if err == nil && (len(b) < 2 || !bytes.Equal(b[2:2+len(message)], message)) {
			t.Errorf("%x of %x", message, b)
		}
	})
}
