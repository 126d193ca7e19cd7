package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeCard is a card in memory with faults.
type fakeCard struct {
	mem []byte
	log []int64

	failWrite, shortWrite, failRead int64 // offset of the chunk; -1: never
	failSync, failDrop              int   // how many go well before; -1: all
	wrap                            int64 // the true size of a card that lies
	rot                             int64 // this byte changes once written; -1: none
	onWrite                         func(off int64)
	closed                          bool
	dev                             string
}

func newCard(size int64) *fakeCard {
	return &fakeCard{mem: bytes.Repeat([]byte{0xaa}, int(size)), failWrite: -1, shortWrite: -1, failRead: -1, failSync: -1, failDrop: -1, rot: -1, dev: "8:16"}
}

func (c *fakeCard) WriteAt(b []byte, off int64) (int, error) {
	c.log = append(c.log, off)
	if c.onWrite != nil {
		c.onWrite(off)
	}
	switch off {
	case c.failWrite:
		return 512, syscall.EIO
	case c.shortWrite:
		copy(c.mem[off:], b[:512])
		return 512, nil
	}
	at := off
	if c.wrap > 0 {
		at %= c.wrap
	}
	copy(c.mem[at:], b)
	if c.rot >= off && c.rot < off+int64(len(b)) {
		c.mem[c.rot] ^= 1
	}
	return len(b), nil
}

func (c *fakeCard) ReadAt(b []byte, off int64) (int, error) {
	if c.failRead >= off && c.failRead < off+int64(len(b)) {
		return 0, syscall.EIO
	}
	if c.wrap > 0 {
		off %= c.wrap
	}
	n := copy(b, c.mem[min(off, int64(len(c.mem))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (c *fakeCard) Sync() error {
	if c.failSync--; c.failSync == -1 {
		return syscall.EIO
	}
	return nil
}

func (c *fakeCard) Drop() error {
	if c.failDrop--; c.failDrop == -1 {
		return syscall.EIO
	}
	return nil
}

func (c *fakeCard) Dev() (string, error) { return c.dev, nil }
func (c *fakeCard) Close() error         { c.closed = true; return nil }

// ticking is a clock that goes on by a second at each look.
func ticking() func() time.Time {
	t := time.Unix(0, 0)
	return func() time.Time { t = t.Add(time.Second); return t }
}

const imageSize = 4*chunk + 512 // an odd end

func randomImage() []byte {
	img := make([]byte, imageSize)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(img); i += 64 {
		img[i] = byte(r.Uint32())
	}
	clear(img[2*chunk : 3*chunk]) // a hole
	img[510], img[511] = 0x55, 0xaa
	return img
}

func burnOn(ctx context.Context, c *fakeCard, img []byte) ([32]byte, error) {
	return (&burner{ctx: ctx, card: c, img: bytes.NewReader(img), size: int64(len(img)), p: &progress{out: io.Discard, now: ticking()}}).burn()
}

func TestBurn(t *testing.T) {
	img := randomImage()
	c := newCard(6 * chunk)
	sum, err := burnOn(t.Context(), c, img)
	if err != nil || sum != sha256.Sum256(img) {
		t.Fatalf("%x, %v", sum, err)
	}
	if !bytes.Equal(c.mem[:imageSize], img) {
		t.Error("the card has not the image")
	}
	if c.mem[imageSize] != 0xaa {
		t.Error("what is behind the image was changed")
	}
	if first, last := c.log[0], c.log[len(c.log)-1]; first != 0 || last != 0 || len(c.log) != 6 {
		t.Errorf("order of writes: %d", c.log)
	}
}

// A card that fails is reported, and whatever it was, it has no partition table.
func TestBurnFails(t *testing.T) {
	img := randomImage()
	for _, tt := range []struct {
		name  string
		fault func(c *fakeCard)
		err   error
		say   string
	}{
		{"error in the middle", func(c *fakeCard) { c.failWrite = 2 * chunk }, syscall.EIO, "writing at byte 8389120"},
		{"short write in the middle", func(c *fakeCard) { c.shortWrite = 3 * chunk }, io.ErrShortWrite, "writing at byte 12583424"},
		{"error at the start", func(c *fakeCard) { c.failWrite = 0 }, syscall.EIO, "writing at byte 512"},
		{"first sync", func(c *fakeCard) { c.failSync = 0 }, syscall.EIO, "writing:"},
		{"second sync", func(c *fakeCard) { c.failSync = 1 }, syscall.EIO, "writing:"},
		{"last sync", func(c *fakeCard) { c.failSync = 2 }, syscall.EIO, "writing:"},
		{"cache cannot be dropped", func(c *fakeCard) { c.failDrop = 0 }, syscall.EIO, "reading back:"},
		{"reading back", func(c *fakeCard) { c.failRead = 3*chunk + 9 }, syscall.EIO, "reading back at byte 12582912"},
		{"another byte comes back", func(c *fakeCard) { c.rot = 2*chunk + 77 }, errDiffers, "reading back at byte 8388608"},
		{"another byte in the odd end", func(c *fakeCard) { c.rot = 4*chunk + 511 }, errDiffers, "reading back at byte 16777216"},
		{"another byte in the first chunk", func(c *fakeCard) { c.rot = 77 }, errDiffers, "reading back at byte 0"},
		{"card that lies about its size", func(c *fakeCard) { c.wrap = 3 * chunk }, errDiffers, "reading back at byte 4194304"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCard(6 * chunk)
			tt.fault(c)
			_, err := burnOn(t.Context(), c, img)
			var u *unusable
			if !errors.As(err, &u) || !errors.Is(err, tt.err) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{tt.say, "FLASH-UNUSABLE", "THIS CARD IS NOT USABLE"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if bytes.Equal(c.mem[510:512], img[510:512]) {
				t.Error("the card has a partition table")
			}
		})
	}
}

func TestBurnStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newCard(6 * chunk)
	c.onWrite = func(off int64) {
		if off == 2*chunk {
			cancel()
		}
	}
	_, err := burnOn(ctx, c, randomImage())
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "NOT USABLE") {
		t.Errorf("%v", err)
	}
	if len(c.log) != 3 || !bytes.Equal(c.mem[:chunk], make([]byte, chunk)) {
		t.Errorf("writes %d, the first chunk is not blank", c.log)
	}
	c = newCard(6 * chunk)
	if _, err := burnOn(ctx, c, randomImage()); err == nil || strings.Contains(err.Error(), "NOT USABLE") || len(c.log) != 0 {
		t.Errorf("stopped before the first byte: %v, writes %d", err, c.log)
	}
}

// An image that shrinks while it is written is not taken for a card's fault only.
func TestBurnShortImage(t *testing.T) {
	img := randomImage()
	c := newCard(6 * chunk)
	_, err := (&burner{ctx: t.Context(), card: c, img: bytes.NewReader(img[:3*chunk]), size: imageSize, p: &progress{out: io.Discard, now: ticking()}}).burn()
	if err == nil || !strings.Contains(err.Error(), "reading the image at byte 12582912") {
		t.Error(err)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, now: ticking()}
	p.begin("writing", 100<<20)
	for range 100 {
		p.add(1 << 20)
	}
	p.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 10 || strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	if want := "writing                   50 of 100 MiB   50 %  1.0 MB/s  0:50 left"; !strings.HasPrefix(lines[4], "writing                   50 of 100 MiB   50 %") || !strings.HasSuffix(lines[4], "left") {
		t.Errorf("got  %q\nlike %q", lines[4], want)
	}
	out.Reset()
	p = &progress{out: &out, terminal: true, now: ticking()}
	p.begin("writing", 10)
	p.add(20) // reads may go back and forth
	p.end()
	p.end()
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "100 %  0.0 MB/s\n") {
		t.Errorf("%q", got)
	}
}
