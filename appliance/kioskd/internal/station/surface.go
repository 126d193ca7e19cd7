package station

import (
	"fmt"
	"image"
	"log/slog"
	"sync"
	"time"

	"mohr.internal/display"
	"mohr.internal/display/panel"
	"mohr.internal/kiosk"
)

// holdTime is how long a button that asks for it must be held.
const holdTime = 1200 * time.Millisecond

// Surface draws screens on a panel and turns touches and keys into answers.
type Surface struct {
	panel  panel.Panel
	inputs chan kiosk.Input
	log    *slog.Logger
	drawn  func(screen display.Screen, took time.Duration)

	mu     sync.Mutex
	screen display.Screen
	frame  *display.Frame
	spare  *image.RGBA // the picture before: nobody looks at it any more
	held   *hold
}

type hold struct {
	target string
	stop   chan struct{}
}

// NewSurface starts to read the panel's events. drawn, if not nil, is told how
// long each screen took to draw.
func NewSurface(p panel.Panel, log *slog.Logger, drawn func(display.Screen, time.Duration)) *Surface {
	s := &Surface{panel: p, inputs: make(chan kiosk.Input, 16), log: log, drawn: drawn}
	go s.read()
	return s
}

// Inputs are the answers. The channel is closed when the panel is.
func (s *Surface) Inputs() <-chan kiosk.Input { return s.inputs }

// Show draws a screen.
func (s *Surface) Show(screen display.Screen) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && screen.ID != s.screen.ID {
		s.release()
	}
	return s.draw(screen)
}

// Screen is the ID of the screen that is up.
func (s *Surface) Screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.ID
}

func (s *Surface) draw(screen display.Screen) error {
	start := time.Now()
	frame, err := display.RenderOn(screen, s.panel.Size(), s.spare)
	s.spare = nil
	if err != nil {
		return fmt.Errorf("station: %w", err)
	}
	if s.drawn != nil {
		s.drawn(screen, time.Since(start))
	}
	before := s.frame
	s.screen, s.frame = screen, frame
	if err := s.panel.Show(screen, frame); err != nil {
		return err
	}
	if before != nil {
		s.spare = before.Image
	}
	return nil
}

func (s *Surface) read() {
	defer close(s.inputs)
	for e := range s.panel.Events() {
		switch e.Kind {
		case panel.Key:
			s.key(e.Key)
		case panel.TouchDown:
			s.down(image.Pt(e.X, e.Y))
		case panel.TouchUp, panel.KeyUp:
			s.mu.Lock()
			s.release()
			s.mu.Unlock()
		case panel.Resized:
			s.mu.Lock()
			if s.frame != nil {
				if err := s.draw(s.screen); err != nil {
					s.log.Error("cannot redraw", "err", err)
				}
			}
			s.mu.Unlock()
		}
	}
}

// send drops an input that nobody takes: better than a queue of old presses.
func (s *Surface) send(in kiosk.Input) {
	select {
	case s.inputs <- in:
	default:
	}
}

// key is an answer at once, or the beginning of a hold: a person without touch
// agrees by holding the key that is drawn on the button. Repeats of a key that is
// down change nothing.
func (s *Surface) key(k rune) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.screen.Choices {
		if c.Hold && c.Key == k {
			if s.held == nil {
				s.begin(c.ID)
			}
			return
		}
	}
	s.send(kiosk.Input{Key: k})
}

// down is an answer at once, or the beginning of a hold.
func (s *Surface) down(p image.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frame == nil {
		return
	}
	id, ok := s.frame.At(p)
	if !ok {
		return
	}
	for _, c := range s.screen.Choices {
		if c.ID == id && c.Hold {
			s.begin(id)
			return
		}
	}
	s.send(kiosk.Input{Target: id})
}

// begin starts to count a hold; the button fills as it goes.
func (s *Surface) begin(target string) {
	s.release()
	h := &hold{target: target, stop: make(chan struct{})}
	s.held = h
	go func() {
		const steps = 8
		tick := time.NewTicker(holdTime / steps)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-h.stop:
				return
			case <-tick.C:
			}
			s.mu.Lock()
			if s.held != h {
				s.mu.Unlock()
				return
			}
			s.fill(100 * n / steps)
			if n == steps {
				s.held = nil
				s.send(kiosk.Input{Target: target})
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
		}
	}()
}

// release ends a hold that was too short.
func (s *Surface) release() {
	if s.held == nil {
		return
	}
	close(s.held.stop)
	s.held = nil
	s.fill(0)
}

func (s *Surface) fill(percent int) {
	screen := s.screen
	screen.Choices = append([]display.Choice(nil), screen.Choices...)
	for i := range screen.Choices {
		if screen.Choices[i].Hold {
			screen.Choices[i].Held = percent
		}
	}
	if err := s.draw(screen); err != nil {
		s.log.Error("cannot redraw", "err", err)
	}
}
