package panel

import (
	"context"
	"fmt"
	"image"
	"io"
	"log/slog"
	"sync"
	"time"

	"mohr.internal/display"
)

const (
	fbRetry = time.Second
	// fbRepaint is how often the whole picture is written again: a monitor that was
	// away, or a kernel that painted over it, must not leave a wrong screen for long.
	fbRepaint = 30 * time.Second
	// keysKept leaves room in the queue of events for those that are no keys.
	keysKept = eventsKept - 8
)

// FramebufferOptions name the devices of a Framebuffer.
type FramebufferOptions struct {
	Path    string // "/dev/fb0"
	Console string // "/dev/tty1": its text is kept off the screen; "" for none
	Log     *slog.Logger

	open        func(path string) (fbDevice, error) // nil: the real one
	openConsole func(path string) (vt, error)
	input       inputFiles
}

// fbDevice is an open framebuffer. info fills in what the two ioctls answer.
type fbDevice interface {
	io.WriterAt
	io.Closer
	info(v *[sizeVScreenInfo]byte, f *[sizeFScreenInfo]byte) error
}

// Framebuffer is a panel on a Linux framebuffer device with a USB keypad. Only what
// changed is written, and nothing is ever read from the device. When the device
// goes away it is opened again until it is back.
type Framebuffer struct {
	o       FramebufferOptions
	events  chan Event
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	console *console

	mu     sync.Mutex
	dev    fbDevice // nil while it is away
	geo    geometry
	latest *image.RGBA        // what is to be seen; nil before the first
	shown  *image.RGBA        // what is on the glass; nil when unknown
	row    []byte             // scratch
	keypad context.CancelFunc // ends listening; nil when nothing is listened to
}

var _ Panel = (*Framebuffer)(nil)

// OpenFramebuffer opens the device, keeps the console's text away from it and asks
// the driver how pixels are laid out. A screen that was not plugged in at boot has no
// device: the caller tries again.
func OpenFramebuffer(o FramebufferOptions) (*Framebuffer, error) {
	if o.open == nil {
		o.open = openFB
	}
	if o.openConsole == nil {
		o.openConsole = openVT
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Framebuffer{o: o, events: make(chan Event, eventsKept)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	// The console first: while it draws text it may also scroll, which moves the origin.
	var err error
	if p.console, err = takeConsole(o.Console, o.openConsole); err != nil {
		p.cancel()
		return nil, err
	}
	if err := p.reopen(); err != nil {
		p.cancel()
		p.console.restore()
		return nil, err
	}
	o.Log.Info("framebuffer", "path", o.Path, "geometry", fmt.Sprintf("%+v", p.geo))
	p.wg.Add(1)
	go p.tend()
	return p, nil
}

// reopen opens the device and learns its geometry. The caller holds mu, or is alone.
func (p *Framebuffer) reopen() error {
	dev, err := p.o.open(p.o.Path)
	if err != nil {
		return fmt.Errorf("panel: framebuffer: %w", err)
	}
	g, err := readGeometry(dev)
	if err != nil {
		dev.Close()
		return err
	}
	p.dev, p.shown = dev, nil
	p.adopt(g)
	return nil
}

func readGeometry(dev fbDevice) (geometry, error) {
	var v [sizeVScreenInfo]byte
	var f [sizeFScreenInfo]byte
	if err := dev.info(&v, &f); err != nil {
		return geometry{}, fmt.Errorf("panel: framebuffer: %w", err)
	}
	return parseGeometry(&v, &f)
}

// adopt takes a geometry into use. When the size is another one, the picture has to
// be rendered again and is waited for.
func (p *Framebuffer) adopt(g geometry) {
	if g == p.geo {
		return
	}
	first := p.geo == geometry{}
	resized := g.size != p.geo.size
	p.geo, p.shown = g, nil
	if first || !resized {
		return
	}
	p.latest = nil
	select {
	case p.events <- Event{Kind: Resized}:
	default: // cannot be: keys leave room
	}
}

// Show puts a frame on the glass. The picture is kept until the next one.
func (p *Framebuffer) Show(s display.Screen, f *display.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return ErrClosed
	}
	if f == nil || f.Image == nil {
		return fmt.Errorf("panel: screen %q: no picture", s.ID)
	}
	if f.Image.Rect != (image.Rectangle{Max: p.geo.size}) {
		return fmt.Errorf("panel: screen %q: picture of %v for a panel of %v", s.ID, f.Image.Rect, p.geo.size)
	}
	p.latest = f.Image
	p.paint()
	return nil
}

// paint brings the glass up to date, or notes that the device is away. The caller
// holds mu.
func (p *Framebuffer) paint() {
	if p.dev == nil {
		return
	}
	g, err := readGeometry(p.dev)
	if err == nil {
		p.adopt(g)
		if p.latest == nil {
			return
		}
		dirty := p.latest.Rect
		if p.shown != nil {
			dirty = dirtyRect(p.shown, p.latest)
		}
		err = p.write(dirty)
	}
	if err != nil {
		p.o.Log.Error("framebuffer lost", "path", p.o.Path, "err", err)
		p.dev.Close()
		p.dev, p.shown = nil, nil
		return
	}
	p.shown = p.latest
}

// fbChunk is about how many bytes are written at a time, where rows touch.
const fbChunk = 64 << 10

// write converts and writes the rows of a rectangle of the latest picture: several at
// a time where the rectangle is wide and lines lie close together in memory.
func (p *Framebuffer) write(r image.Rectangle) error {
	rows := 1
	if whole := p.latest.Rect; p.geo.line == whole.Dx()*p.geo.pixel && r.Dx() > whole.Dx()/2 {
		r.Min.X, r.Max.X = whole.Min.X, whole.Max.X
		rows = max(1, fbChunk/p.geo.line)
	}
	for y := r.Min.Y; y < r.Max.Y; {
		at := p.geo.at(r.Min.X, y)
		p.row = p.row[:0]
		for end := min(y+rows, r.Max.Y); y < end; y++ {
			i := p.latest.PixOffset(r.Min.X, y)
			p.row = p.geo.appendPixels(p.row, p.latest.Pix[i:i+r.Dx()*4])
		}
		if _, err := p.dev.WriteAt(p.row, at); err != nil {
			return err
		}
	}
	return nil
}

// tend brings a lost device back and repaints now and then.
func (p *Framebuffer) tend() {
	defer p.wg.Done()
	tick := time.NewTicker(fbRetry)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		switch {
		case p.dev == nil:
			if p.reopen() == nil {
				p.o.Log.Info("framebuffer is back", "path", p.o.Path)
				p.paint()
			}
		case n%int(fbRepaint/fbRetry) == 0:
			p.shown = nil
			p.paint()
		}
		p.mu.Unlock()
	}
}

// Listen takes keys from the keyboard in one USB port, like "1-3", and from no other.
// It may come and go. A port listened to before is let go; "" is none.
func (p *Framebuffer) Listen(port string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keypad != nil {
		p.keypad()
		p.keypad = nil
	}
	if port == "" || p.ctx.Err() != nil {
		return
	}
	var ctx context.Context
	ctx, p.keypad = context.WithCancel(p.ctx)
	k := &keypad{port: port, files: p.o.input, press: p.press, release: p.release, log: p.o.Log}
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		k.run(ctx)
	}()
}

// press hands on a key that went down, if there is room.
func (p *Framebuffer) press(key rune) bool {
	if len(p.events) >= keysKept {
		return false
	}
	select {
	case p.events <- Event{Kind: Key, Key: key}:
		return true
	default:
		return false
	}
}

// release hands on that a key was let go. It is never dropped: something may be
// held for as long as the key is.
func (p *Framebuffer) release(key rune) {
	select {
	case p.events <- Event{Kind: KeyUp, Key: key}:
	case <-p.ctx.Done():
	}
}

// Events implements Panel.
func (p *Framebuffer) Events() <-chan Event { return p.events }

// Size implements Panel.
func (p *Framebuffer) Size() image.Point {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.geo.size
}

// Close gives the console back. The last picture stays until something draws over it.
func (p *Framebuffer) Close() error {
	p.mu.Lock()
	if p.ctx.Err() != nil {
		p.mu.Unlock()
		return nil
	}
	p.cancel()
	p.mu.Unlock()
	p.wg.Wait()
	close(p.events)
	if p.dev != nil {
		p.dev.Close()
	}
	return p.console.restore()
}
