package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net"
	"slices"
	"sync"
	"time"

	"mohr.internal/display"
	"mohr.internal/display/panel"
)

// Shot is one picture of the kiosk's screen, with what the kiosk says about it. A Shot never changes.
type Shot struct {
	Seq     uint64 // counts pictures from 1; it goes on over restarts of the kiosk
	ID      string // the screen's ID
	Mood    string
	Lang    string
	Title   string
	Text    string // everything a person can read on it
	Image   *image.RGBA
	Targets []display.Target

	png func() ([]byte, error)
}

// PNG is the picture as a PNG file. It is made once.
func (s Shot) PNG() ([]byte, error) { return s.png() }

// Target returns the rectangle of one target.
func (s Shot) Target(id string) (image.Rectangle, bool) {
	for _, t := range s.Targets {
		if t.ID == id {
			return t.Rect, true
		}
	}
	return image.Rectangle{}, false
}

// Glass is the desk's end of the panel: the last picture the kiosk has drawn, and the way back for
// touches and keys. While no kiosk is connected the glass is dark.
type Glass struct {
	news *notice

	mu   sync.Mutex
	shot Shot
	lit  bool
	send func(panel.Event) error // nil while dark
	down map[rune]panel.Event    // keys, and under 0 the touch, that were not let go yet
	eyes []func(Shot)            // see every picture, in order
}

// errDark says that there is nobody to take an event.
var errDark = errors.New("desk: the kiosk's screen is dark: no kiosk is connected to the panel")

// NewGlass returns a dark glass.
func NewGlass() *Glass { return &Glass{news: new(notice)} }

// Show puts a new picture on the glass. One goroutine calls it at a time.
func (g *Glass) Show(s Shot) {
	g.mu.Lock()
	s.Seq = g.shot.Seq + 1
	img := s.Image
	s.png = sync.OnceValues(func() ([]byte, error) {
		var b bytes.Buffer
		err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img)
		return b.Bytes(), err
	})
	g.shot, g.lit = s, true
	eyes := g.eyes
	g.mu.Unlock()
	for _, see := range eyes {
		see(s)
	}
	g.news.tell()
}

// observe has see called with every picture from now on, the present one first.
func (g *Glass) observe(see func(Shot)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.eyes = append(slices.Clip(g.eyes), see)
	if g.lit {
		see(g.shot)
	}
}

// connect lights the glass's way back to the kiosk; with nil it goes dark.
func (g *Glass) connect(send func(panel.Event) error) {
	g.mu.Lock()
	g.send, g.down = send, make(map[rune]panel.Event)
	if send == nil {
		g.lit = false
	}
	g.mu.Unlock()
	g.news.tell()
}

// Latest returns the last picture; ok is false while the glass is dark.
func (g *Glass) Latest() (shot Shot, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shot, g.lit
}

// Changed returns a channel that is closed at the next picture, or when the glass lights or darkens.
func (g *Glass) Changed() <-chan struct{} { return g.news.changed() }

// Send hands a touch or a key to the kiosk.
func (g *Glass) Send(e panel.Event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.send == nil {
		return errDark
	}
	switch e.Kind {
	case panel.TouchDown, panel.Key:
		g.down[e.Key] = e
	case panel.TouchUp, panel.KeyUp:
		delete(g.down, e.Key)
	}
	return g.send(e)
}

// Lift lets go of everything that is still held down. It is for a hand that went away without a word, as
// when the browser is closed: a button that has to be held must not stay held.
func (g *Glass) Lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, up := range g.down {
		up.Kind = panel.KeyUp
		if key == 0 {
			up.Kind = panel.TouchUp
		}
		delete(g.down, key)
		_ = g.send(up) // dark: then nothing is held either
	}
}

// lookEvery is how often the glass looks whether the kiosk is still there: the panel tells of pictures,
// not of their end.
const lookEvery = 20 * time.Millisecond

// Serve is the desk's end of the panel's Unix socket, until ctx ends.
func (g *Glass) Serve(ctx context.Context, socket string, size image.Point) error {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("desk: panel: %w", err)
	}
	server, err := panel.Serve(ln, size)
	if err != nil {
		ln.Close()
		return fmt.Errorf("desk: %w", err)
	}
	go func() {
		defer g.connect(nil)
		defer server.Close()
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case f, ok := <-server.Frames():
				if !ok {
					return
				}
				if f.Seq == 1 { // the first picture of a connection
					g.connect(server.Send)
				}
				g.Show(Shot{ID: f.Screen, Mood: f.Mood, Lang: f.Lang, Title: f.Title, Text: f.Text, Image: f.Image, Targets: f.Targets})
			case <-tick.C:
				if there, _ := server.Connected(); !there && g.live() && len(server.Frames()) == 0 {
					g.connect(nil)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

func (g *Glass) live() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.send != nil
}
