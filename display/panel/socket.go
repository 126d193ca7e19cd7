package panel

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"net"
	"sync"
	"time"

	periph "periph.io/x/conn/v3/display"

	"mohr.internal/display"
)

const (
	sendTimeout  = 2 * time.Second // a desk slower than this is dropped
	helloTimeout = 2 * time.Second
	retryFirst   = 20 * time.Millisecond
	retryMost    = time.Second
	eventsKept   = 64
)

// ErrClosed is what a closed panel answers.
var ErrClosed = errors.New("panel: closed")

// Socket is a panel at the far end of a Unix socket, the kiosk's side. When the
// far end goes away it keeps the latest frame, tries to come back by itself and
// then sends that frame whole.
type Socket struct {
	path   string
	ctx    context.Context
	cancel context.CancelFunc
	events chan Event
	ready  chan struct{} // closed at the first hello
	ended  chan struct{} // closed when run has returned

	mu     sync.Mutex
	size   image.Point
	conn   net.Conn // nil while the desk is away
	seq    uint64   // of the last frame sent on conn
	screen display.Screen
	target []display.Target
	pix    *image.RGBA // the latest frame, nil before the first
}

var (
	_ Panel         = (*Socket)(nil)
	_ periph.Drawer = (*Socket)(nil)
)

// Dial connects to the desk that listens at path. ctx bounds only the wait for
// the first connection, so that the panel's size is known on return.
func Dial(ctx context.Context, path string) (*Socket, error) {
	s := &Socket{
		path: path, events: make(chan Event, eventsKept),
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	select {
	case <-s.ready:
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, fmt.Errorf("panel: no desk at %s: %w", path, ctx.Err())
	}
}

// run connects, reads events until the connection ends, and starts again.
func (s *Socket) run() {
	defer close(s.ended)
	defer close(s.events)
	wait := retryFirst
	for s.ctx.Err() == nil {
		if conn, size, err := s.connect(); err == nil {
			s.attach(conn, size)
			s.read(conn, size)
			s.detach(conn)
			wait = retryFirst
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMost)
	}
}

// connect dials and reads the hello.
func (s *Socket) connect() (net.Conn, image.Point, error) {
	d := net.Dialer{Timeout: helloTimeout}
	conn, err := d.DialContext(s.ctx, "unix", s.path)
	if err != nil {
		return nil, image.Point{}, err
	}
	conn.SetReadDeadline(time.Now().Add(helloTimeout))
	kind, body, err := readMessage(conn, maxInput)
	if err == nil {
		var size image.Point
		if size, err = decodeHello(kind, body); err == nil {
			conn.SetReadDeadline(time.Time{})
			return conn, size, nil
		}
	}
	conn.Close()
	return nil, image.Point{}, err
}

// attach takes a new connection into use and sends the latest frame whole.
func (s *Socket) attach(conn net.Conn, size image.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		conn.Close()
		return
	}
	s.conn, s.seq = conn, 0
	if first := s.size == (image.Point{}); first {
		s.size = size
		close(s.ready)
	} else if s.size != size {
		s.size, s.pix = size, nil
		s.deliver(Event{Kind: Resized})
	}
	if s.pix != nil {
		s.send(s.pix.Rect)
	}
}

// read hands on events until the connection ends or babbles.
func (s *Socket) read(conn net.Conn, size image.Point) {
	for {
		kind, body, err := readMessage(conn, maxInput)
		if err != nil {
			return
		}
		e, err := decodeEvent(kind, body, size)
		if err != nil {
			return
		}
		s.deliver(e)
	}
}

// deliver drops the event when nobody has listened for a long time: old key
// presses must not be acted on late, and a full queue must not block.
func (s *Socket) deliver(e Event) {
	select {
	case s.events <- e:
	default:
	}
}

func (s *Socket) detach(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.conn = nil
	}
}

// send writes the pixels of r with what describes them, or drops the connection.
// The caller holds mu and has a conn.
func (s *Socket) send(r image.Rectangle) {
	s.seq++
	head, err := encodeHeader(s.seq, s.screen, s.target, r)
	if err == nil {
		s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
		err = writeMessage(s.conn, kindFrame, head, cut(s.pix, r))
	}
	if err != nil {
		s.conn.Close() // read sees it and run comes back
		s.conn = nil
	}
}

// Show sends what changed since the last frame. It waits at most two seconds,
// and only for a desk that does not read.
func (s *Socket) Show(screen display.Screen, f *display.Frame) error {
	if f == nil || f.Image == nil {
		return fmt.Errorf("panel: screen %q: no picture", screen.ID)
	}
	if _, err := encodeHeader(0, screen, f.Targets, image.Rectangle{}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	if f.Image.Rect != (image.Rectangle{Max: s.size}) {
		return fmt.Errorf("panel: screen %q: picture of %v for a panel of %v", screen.ID, f.Image.Rect, s.size)
	}
	s.screen, s.target = screen, f.Targets
	dirty := f.Image.Rect
	if s.pix == nil {
		s.pix = image.NewRGBA(dirty)
	} else {
		dirty = dirtyRect(s.pix, f.Image)
	}
	draw.Draw(s.pix, dirty, f.Image, dirty.Min, draw.Src)
	if s.conn != nil {
		if s.seq == 0 {
			dirty = s.pix.Rect
		}
		s.send(dirty)
	}
	return nil
}

// Events implements Panel.
func (s *Socket) Events() <-chan Event { return s.events }

// Size implements Panel.
func (s *Socket) Size() image.Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Connected says whether the desk is there now.
func (s *Socket) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// Close ends the connection and waits for it.
func (s *Socket) Close() error {
	s.cancel()
	s.mu.Lock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	s.mu.Unlock()
	<-s.ended
	return nil
}

// String implements conn.Resource.
func (s *Socket) String() string { return "panel socket " + s.path }

// Halt implements conn.Resource: it blanks the panel.
func (s *Socket) Halt() error {
	return s.Draw(s.Bounds(), image.Black, image.Point{})
}

// ColorModel implements periph's display.Drawer.
func (s *Socket) ColorModel() color.Model { return color.RGBAModel }

// Bounds implements periph's display.Drawer.
func (s *Socket) Bounds() image.Rectangle { return image.Rectangle{Max: s.Size()} }

// Draw implements periph's display.Drawer, for pictures that are no screen.
func (s *Socket) Draw(r image.Rectangle, src image.Image, sp image.Point) error {
	size := s.Size()
	m := image.NewRGBA(image.Rectangle{Max: size})
	s.mu.Lock()
	if s.pix != nil && s.pix.Rect == m.Rect {
		copy(m.Pix, s.pix.Pix)
	}
	s.mu.Unlock()
	draw.Draw(m, r, src, sp, draw.Src)
	return s.Show(display.Screen{}, &display.Frame{Image: m})
}
