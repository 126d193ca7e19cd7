package display

import (
	"errors"
	"fmt"
	"image"
	"unicode/utf8"
)

// The least a panel has to have.
const (
	minWidth  = 480
	minHeight = 320
	maxSide   = 4096
)

// Limits of a Screen, far above what a person would read.
const (
	maxRunes = 4000
	maxItems = 32
)

// errFit says that a screen's content does not fit even at the smallest size.
var errFit = errors.New("does not fit at the smallest readable size")

// ErrFit is what Render's error wraps when there is too much on a screen for the
// panel. Anything else that is wrong with a Screen is a mistake in the caller.
var ErrFit = errFit

// Render draws s for a panel of the given size, at least 480x320. It is safe for
// concurrent use. An error names the screen; there is no Frame with it.
func Render(s Screen, size image.Point) (*Frame, error) {
	return RenderOn(s, size, nil)
}

// RenderOn is Render on a picture that is not needed any more, which saves the memory
// of another one: 8 MB on a large panel. old may be nil or of another size; its pixels
// are lost also where there is an error.
func RenderOn(s Screen, size image.Point, old *image.RGBA) (*Frame, error) {
	f, err := render(s, size, old)
	if err != nil {
		return nil, fmt.Errorf("display: screen %q in %q at %dx%d: %w", s.ID, s.Lang, size.X, size.Y, err)
	}
	return f, nil
}

func render(s Screen, size image.Point, img *image.RGBA) (*Frame, error) {
	if size.X < minWidth || size.Y < minHeight || size.X > maxSide || size.Y > maxSide {
		return nil, fmt.Errorf("panel is not between %dx%d and %dx%d", minWidth, minHeight, maxSide, maxSide)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	eng := engine()
	eng.mu.Lock()
	defer eng.mu.Unlock()

	if img == nil || img.Rect != (image.Rectangle{Max: size}) {
		img = image.NewRGBA(image.Rectangle{Max: size})
	}
	c := &canvas{img: img, eng: eng, lang: s.Lang, rtl: s.RTL}
	c.rect(c.img.Rect, paper)
	l := newLayout(c, &s, size)
	if err := l.draw(); err != nil {
		return nil, err
	}
	return &Frame{Image: c.img, Targets: l.targets}, nil
}

// check refuses screens that make no sense.
func (s *Screen) check() error {
	if int(s.Mood) >= len(themes) {
		return fmt.Errorf("no such mood: %v", s.Mood)
	}
	if s.Token.State > TokenFree {
		return fmt.Errorf("no such token state: %v", s.Token.State)
	}
	if len(s.Lines) > maxItems || len(s.Facts) > maxItems || len(s.Choices) > maxItems {
		return fmt.Errorf("more than %d lines, facts or choices", maxItems)
	}
	if n := utf8.RuneCountInString(s.Text()); n > maxRunes {
		return fmt.Errorf("%w: %d characters, most is %d", errFit, n, maxRunes)
	}
	seen := map[string]bool{}
	for _, ch := range s.Choices {
		if ch.ID == "" || seen[ch.ID] {
			return fmt.Errorf("choice ID %q is empty or there twice", ch.ID)
		}
		seen[ch.ID] = true
		if ch.Key != 0 && keySign(ch.Key) == nil && (ch.Key < '0' || ch.Key > '9') {
			return fmt.Errorf("choice %q: no keypad has key %q", ch.ID, ch.Key)
		}
		if ch.Held < 0 || ch.Held > 100 {
			return fmt.Errorf("choice %q: held %d%%", ch.ID, ch.Held)
		}
	}
	if p := s.Progress; p != nil && (p.Total < 1 || p.Done < 0 || p.Done > p.Total) {
		return fmt.Errorf("progress %d of %d", p.Done, p.Total)
	}
	if s.QR != "" && s.Input != nil && s.Input.Keypad {
		return errors.New("a QR symbol and a keypad want the same place")
	}
	return nil
}
