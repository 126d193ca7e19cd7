package station

import (
	"image"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mohr.internal/display"
	"mohr.internal/display/panel"
	"mohr.internal/kiosk"
)

// glass is a panel in memory.
type glass struct {
	events chan panel.Event
	mu     sync.Mutex
	screen display.Screen
	frame  *display.Frame
}

func (g *glass) Show(s display.Screen, f *display.Frame) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.screen, g.frame = s, f
	return nil
}

func (g *glass) Events() <-chan panel.Event { return g.events }
func (g *glass) Size() image.Point          { return image.Pt(800, 480) }
func (g *glass) Close() error               { close(g.events); return nil }

// touch presses the middle of a target and keeps the finger there for a while.
func (g *glass) touch(t *testing.T, target string, d time.Duration) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.frame.Targets {
		if r.ID == target {
			m := r.Rect.Min.Add(r.Rect.Max).Div(2)
			go func() {
				g.events <- panel.Event{Kind: panel.TouchDown, X: m.X, Y: m.Y}
				time.Sleep(d)
				g.events <- panel.Event{Kind: panel.TouchUp, X: m.X, Y: m.Y}
			}()
			return
		}
	}
	t.Fatalf("no target %q in %v", target, g.frame.Targets)
}

func (g *glass) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.screen.Choices[0].Held
}

var question = display.Screen{
	ID: "sign", Lang: "en", Title: "Hold to agree",
	Choices: []display.Choice{{ID: "ok", Label: "Hold to sign", Key: panel.KeyOK, Hold: true, Primary: true}, {ID: "cancel", Label: "Cancel", Key: 'C'}},
}

// A surface test runs in fake time: holding a button costs nothing.
func onSurface(t *testing.T, test func(t *testing.T, s *Surface, g *glass)) {
	synctest.Test(t, func(t *testing.T) {
		g := &glass{events: make(chan panel.Event)}
		s := NewSurface(g, slog.New(slog.DiscardHandler), nil)
		if err := s.Show(question); err != nil {
			t.Fatal(err)
		}
		test(t, s, g)
		synctest.Wait()
		g.Close()
		for range s.Inputs() { // closed with the panel
		}
	})
}

// answers are the inputs that come within a time.
func answers(s *Surface, d time.Duration) (got []kiosk.Input) {
	timeout := time.After(d)
	for {
		select {
		case in := <-s.Inputs():
			got = append(got, in)
		case <-timeout:
			return got
		}
	}
}

func TestHold(t *testing.T) {
	onSurface(t, func(t *testing.T, s *Surface, g *glass) {
		g.touch(t, "ok", holdTime+50*time.Millisecond)
		got := answers(s, 3*holdTime)
		if len(got) != 1 || got[0] != (kiosk.Input{Target: "ok"}) {
			t.Errorf("answers %v", got)
		}
	})
}

func TestHoldTooShort(t *testing.T) {
	onSurface(t, func(t *testing.T, s *Surface, g *glass) {
		g.touch(t, "ok", holdTime-50*time.Millisecond)
		time.Sleep(holdTime / 2)
		synctest.Wait()
		if g.held() == 0 {
			t.Error("the button does not fill while it is held")
		}
		if got := answers(s, 3*holdTime); len(got) != 0 {
			t.Errorf("answers %v", got)
		}
		if g.held() != 0 {
			t.Error("the button stays filled after it was let go")
		}
	})
}

// A page that goes away takes the hold with it: the finger that is still down
// agrees to nothing.
func TestHoldEndsWithThePage(t *testing.T) {
	onSurface(t, func(t *testing.T, s *Surface, g *glass) {
		g.touch(t, "ok", 2*holdTime)
		time.Sleep(holdTime / 2)
		next := question
		next.ID = "pin"
		if err := s.Show(next); err != nil {
			t.Fatal(err)
		}
		if got := answers(s, 3*holdTime); len(got) != 0 {
			t.Errorf("answers %v", got)
		}
	})
}

// Who has only keys holds the key that is drawn on the button.
func TestHoldByKey(t *testing.T) {
	onSurface(t, func(t *testing.T, s *Surface, g *glass) {
		hold := func(d time.Duration) {
			g.events <- panel.Event{Kind: panel.Key, Key: panel.KeyOK}
			for left := d; left > 0; left -= 100 * time.Millisecond {
				time.Sleep(min(left, 100*time.Millisecond))
				g.events <- panel.Event{Kind: panel.Key, Key: panel.KeyOK} // a keyboard repeats
			}
			g.events <- panel.Event{Kind: panel.KeyUp, Key: panel.KeyOK}
		}
		go hold(holdTime / 2)
		if got := answers(s, 2*holdTime); len(got) != 0 {
			t.Errorf("too short: answers %v", got)
		}
		go hold(holdTime + 50*time.Millisecond)
		if got := answers(s, 3*holdTime); len(got) == 0 || got[0] != (kiosk.Input{Target: "ok"}) {
			t.Errorf("answers %v", got)
		}
	})
}

func TestTouchAndKey(t *testing.T) {
	onSurface(t, func(t *testing.T, s *Surface, g *glass) {
		g.touch(t, "cancel", time.Millisecond)
		if got := answers(s, time.Second); len(got) != 1 || got[0].Target != "cancel" {
			t.Errorf("touch: answers %v", got)
		}
		go func() { g.events <- panel.Event{Kind: panel.TouchDown, X: 799, Y: 0} }()
		if got := answers(s, time.Second); len(got) != 0 {
			t.Errorf("touch beside everything: answers %v", got)
		}
		go func() { g.events <- panel.Event{Kind: panel.Key, Key: '7'} }()
		if got := answers(s, time.Second); len(got) != 1 || got[0] != (kiosk.Input{Key: '7'}) {
			t.Errorf("key: answers %v", got)
		}
	})
}

// A screen with more text than fits is an error, and the one before it stays.
func TestTooMuchText(t *testing.T) {
	onSurface(t, func(t *testing.T, s *Surface, g *glass) {
		long := question
		for range 200 {
			long.Lines = append(long.Lines, "one more sentence")
		}
		if err := s.Show(long); err == nil {
			t.Error("shown")
		}
		if g.screen.ID != "sign" || len(g.screen.Lines) != 0 {
			t.Errorf("on the glass: %q with %d lines", g.screen.ID, len(g.screen.Lines))
		}
	})
}
