package panel

import (
	"fmt"
	"image"
	"image/draw"
	"sync"

	periph "periph.io/x/conn/v3/display"

	"mohr.internal/display"
)

// drawer is a Panel made of a periph display and a source of input.
type drawer struct {
	d      periph.Drawer
	events <-chan Event

	mu  sync.Mutex
	pix *image.RGBA // what is on the display, nil when unknown
}

// FromDrawer makes a Panel of a display that periph, or a driver of its shape,
// knows. Only the rectangle that changed is drawn. events may be nil. Close
// blanks the display and leaves it and events to their owner.
func FromDrawer(d periph.Drawer, events <-chan Event) Panel {
	return &drawer{d: d, events: events}
}

func (p *drawer) Show(s display.Screen, f *display.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.d.Bounds()
	if f == nil || f.Image == nil || f.Image.Rect != (image.Rectangle{Max: b.Size()}) {
		return fmt.Errorf("panel: screen %q: no picture for %v of %v", s.ID, p.d, b)
	}
	dirty := f.Image.Rect
	if p.pix != nil {
		dirty = dirtyRect(p.pix, f.Image)
	}
	if dirty.Empty() {
		return nil
	}
	if err := p.d.Draw(dirty.Add(b.Min), f.Image, dirty.Min); err != nil {
		p.pix = nil // half drawn: the next frame goes out whole
		return fmt.Errorf("panel: screen %q: %w", s.ID, err)
	}
	if p.pix == nil {
		p.pix = image.NewRGBA(f.Image.Rect)
	}
	draw.Draw(p.pix, dirty, f.Image, dirty.Min, draw.Src)
	return nil
}

func (p *drawer) Events() <-chan Event { return p.events }

func (p *drawer) Size() image.Point { return p.d.Bounds().Size() }

func (p *drawer) Close() error { return p.d.Halt() }
