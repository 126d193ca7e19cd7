package panel

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"net"
	"slices"
	"sync"
	"time"

	"mohr.internal/display"
)

// framesKept is how many frames wait for a reader of Frames; then the oldest go.
const framesKept = 32

// ErrAway is what Send answers while no kiosk is connected.
var ErrAway = errors.New("panel: no kiosk connected")

// Shown is one frame as the desk has it: the whole picture and what it says.
type Shown struct {
	Image   *image.RGBA     // the whole panel; a copy, the reader's to keep
	Dirty   image.Rectangle // what changed since the frame before
	Seq     uint64          // 1, 2, 3 … within a connection
	Screen  string          // display.Screen's ID
	Mood    string
	Lang    string
	RTL     bool
	Title   string
	Text    string // display.Screen's Text
	Targets []display.Target
}

// Target finds a target by its ID.
func (s Shown) Target(id string) (display.Target, bool) {
	for _, t := range s.Targets {
		if t.ID == id {
			return t, true
		}
	}
	return display.Target{}, false
}

// Server is the desk's end of the socket. It serves one kiosk at a time; a new
// connection takes the place of the one before.
type Server struct {
	l      net.Listener
	size   image.Point
	frames chan Shown
	wg     sync.WaitGroup

	mu     sync.Mutex
	conn   net.Conn // nil while no kiosk is there
	latest *Shown
	lost   int
	closed bool
	err    error // why the last connection ended
}

// Serve accepts kiosks on l and takes over l.
func Serve(l net.Listener, size image.Point) (*Server, error) {
	if err := (hello{wireVersion, size.X, size.Y}).check(); err != nil {
		return nil, err
	}
	s := &Server{l: l, size: size, frames: make(chan Shown, framesKept)}
	s.wg.Add(1)
	go s.accept()
	return s, nil
}

func (s *Server) accept() {
	defer s.wg.Done()
	for {
		conn, err := s.l.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(retryFirst) // too many open files, say: try again
			continue
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return
		}
		if s.conn != nil {
			s.conn.Close()
		}
		s.conn = conn
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serve(conn)
	}
}

// serve speaks with one kiosk until it goes or errs.
func (s *Server) serve(conn net.Conn) {
	defer s.wg.Done()
	err := s.talk(conn)
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.conn, s.err = nil, err
	}
}

func (s *Server) talk(conn net.Conn) error {
	data, err := json.Marshal(hello{wireVersion, s.size.X, s.size.Y})
	if err != nil {
		return err
	}
	conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err := writeMessage(conn, kindHello, data); err != nil {
		return err
	}
	limit := s.size.X*s.size.Y*4 + maxHeader + 5
	whole := image.NewRGBA(image.Rectangle{Max: s.size})
	for seq := uint64(1); ; seq++ {
		kind, body, err := readMessage(conn, limit)
		if err != nil {
			return err
		}
		h, dirty, targets, pix, err := decodeFrame(kind, body, s.size)
		if err != nil {
			return err
		}
		if h.Seq != seq {
			return fmt.Errorf("panel: frame %d, want %d", h.Seq, seq)
		}
		if seq == 1 && dirty != whole.Rect {
			return fmt.Errorf("panel: first frame covers only %v", dirty)
		}
		paste(whole, dirty, pix)
		s.show(conn, Shown{
			Image: &image.RGBA{Pix: slices.Clone(whole.Pix), Stride: whole.Stride, Rect: whole.Rect},
			Dirty: dirty, Seq: h.Seq, Screen: h.Screen, Mood: h.Mood, Lang: h.Lang, RTL: h.RTL,
			Title: h.Title, Text: h.Text, Targets: targets,
		})
	}
}

// show queues a frame; when nobody reads, the oldest one goes.
func (s *Server) show(conn net.Conn, f Shown) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.conn != conn {
		return
	}
	s.latest = &f
	for {
		select {
		case s.frames <- f:
			return
		default:
		}
		select {
		case <-s.frames:
			s.lost++
		default:
		}
	}
}

// Frames gives every frame in order. Of frames that nobody takes the latest 32
// are kept. The channel is closed by Close.
func (s *Server) Frames() <-chan Shown { return s.frames }

// Latest is the frame on the panel now; it stays when the kiosk goes away, as a
// real panel's would.
func (s *Server) Latest() (Shown, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		return Shown{}, false
	}
	return *s.latest, true
}

// Lost is how many frames were dropped because nobody read Frames.
func (s *Server) Lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Connected says whether a kiosk is there, and if not why the last one ended.
func (s *Server) Connected() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil, s.err
}

// Send gives the kiosk an input. It answers ErrAway when there is no kiosk, and
// an error for an event that this panel cannot have.
func (s *Server) Send(e Event) error {
	if err := e.check(s.size); err != nil {
		return err
	}
	data, err := encodeEvent(e)
	if err != nil {
		return fmt.Errorf("panel: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return ErrAway
	}
	s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err := writeMessage(s.conn, kindEvent, data); err != nil {
		s.conn.Close()
		s.conn = nil
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return nil
}

// Tap touches the middle of a target of the latest frame.
func (s *Server) Tap(id string) error {
	f, ok := s.Latest()
	if !ok {
		return fmt.Errorf("panel: no frame yet, nothing to tap for %q", id)
	}
	t, ok := f.Target(id)
	if !ok {
		return fmt.Errorf("panel: screen %q has no target %q", f.Screen, id)
	}
	p := t.Rect.Min.Add(t.Rect.Max).Div(2)
	if err := s.Send(Event{Kind: TouchDown, X: p.X, Y: p.Y}); err != nil {
		return err
	}
	return s.Send(Event{Kind: TouchUp, X: p.X, Y: p.Y})
}

// Close ends the service and waits for it.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
	}
	s.mu.Unlock()
	err := s.l.Close()
	s.wg.Wait()
	close(s.frames)
	return err
}
