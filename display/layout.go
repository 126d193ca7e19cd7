package display

import (
	"image"
	"math"
)

// Sizes are in units: a landscape panel is at least 800 by 480 units, an upright
// one 480 by 800, whatever its pixels.
const (
	unitMargin = 26
	unitGap    = 14
	unitHead   = 86
	unitTitle  = 38
	unitBody   = 27
	unitBanner = 20
	unitFloor  = 20 // no text is smaller than this,
	pixelFloor = 14 // nor than this many pixels
)

// Text grows to fill a screen that says little, and shrinks to the floor.
const (
	scaleMost = 1.5
	scaleStep = 0.95
)

// layout places one Screen on one panel.
type layout struct {
	c       *canvas
	s       *Screen
	t       theme
	size    image.Point
	u       float64 // pixels per unit
	dense   float64 // what upright spaces are multiplied by
	upright bool
	targets []Target
}

func newLayout(c *canvas, s *Screen, size image.Point) *layout {
	l := &layout{c: c, s: s, t: themes[s.Mood], size: size, upright: size.Y > size.X, dense: 1}
	w, h := 800.0, 480.0
	if l.upright {
		w, h = h, w
	}
	l.u = min(float64(size.X)/w, float64(size.Y)/h)
	return l
}

// px is v units in pixels, at least one.
func (l *layout) px(v float64) int { return max(1, int(math.Round(v*l.u))) }

// tall is v units of height in pixels, less where a screen is crowded.
func (l *layout) tall(v float64) int { return l.px(v * l.dense) }

// floor is the smallest text in pixels.
func (l *layout) floor() int { return max(pixelFloor, l.px(unitFloor)) }

// block is a part of the column with a height of its own.
type block struct {
	h    int
	draw func(r image.Rectangle)
}

// column is what stands above one another beside the panel at the side.
type column struct {
	top    []block // text, facts, field, bar: in the middle of what is free
	bottom []block // token and buttons: at the foot
}

// heights adds blocks up, with gaps between them.
func heights(blocks []block, gap int) int {
	h := max(0, len(blocks)-1) * gap
	for _, b := range blocks {
		h += b.h
	}
	return h
}

// draw places everything, or says why not. Text is kept large first, by giving
// from the spaces and the side panel; only then does it shrink to the floor.
func (l *layout) draw() error {
	side, err := l.side()
	if err != nil {
		return err
	}
	for _, try := range []struct{ dense, least float64 }{{1, 0.93}, {0.84, 0.93}, {0.7, 0}} {
		l.dense = try.dense
		if l.s.QR != "" { // every pixel of a module counts
			l.dense = 0.7
		}
		if ok, err := l.try(side, try.least); ok || err != nil {
			return err
		}
	}
	return errFit
}

// try draws the screen if it fits with the body's scale at least at least.
func (l *layout) try(side sidePanel, least float64) (bool, error) {
	head, err := l.head()
	if err != nil {
		return false, err
	}
	foot, err := l.banner()
	if err != nil {
		return false, err
	}
	m, g := l.px(unitMargin), l.tall(unitGap)
	area := image.Rect(m, head.h+g+g/2, l.size.X-m, l.size.Y-foot.h-g-g/4)
	for _, p := range side.sizes(l, area) {
		main, beside := l.divide(area, p)
		for scale := scaleMost; ; scale *= scaleStep {
			col, ok, err := l.column(main.Dx(), scale, side.hero)
			if err != nil {
				return false, err
			}
			if ok && l.fits(col, main, g) {
				head.draw(image.Rect(0, 0, l.size.X, head.h))
				foot.draw(image.Rect(0, l.size.Y-foot.h, l.size.X, l.size.Y))
				l.place(col, main, g)
				if side.draw != nil {
					side.draw(l, beside)
				}
				return true, nil
			}
			if scale*scaleStep < least || l.textSize(unitBody, scale) <= l.floor() {
				break
			}
		}
	}
	return false, nil
}

// textSize scales units of text to pixels, not below the floor.
func (l *layout) textSize(units, scale float64) int { return max(l.floor(), l.px(units*scale)) }

func (l *layout) fits(col column, r image.Rectangle, gap int) bool {
	h := heights(col.top, gap) + heights(col.bottom, gap)
	if len(col.top) > 0 && len(col.bottom) > 0 {
		h += gap
	}
	return h <= r.Dy()
}

// place draws a column that fits.
func (l *layout) place(col column, r image.Rectangle, gap int) {
	y := r.Max.Y - heights(col.bottom, gap)
	free := y - r.Min.Y - heights(col.top, gap)
	if len(col.bottom) > 0 {
		free -= gap
	}
	for _, b := range col.bottom {
		b.draw(image.Rect(r.Min.X, y, r.Max.X, y+b.h))
		y += b.h + gap
	}
	y = r.Min.Y + max(0, free*9/20)
	for _, b := range col.top {
		b.draw(image.Rect(r.Min.X, y, r.Max.X, y+b.h))
		y += b.h + gap
	}
}

// divide cuts the side panel of size p off: at the end of the lines, or below on
// an upright panel.
func (l *layout) divide(r image.Rectangle, p image.Point) (main, beside image.Rectangle) {
	gap := l.px(1.6 * unitGap)
	switch {
	case p == image.Point{}:
		return r, image.Rectangle{}
	case l.upright:
		beside = image.Rect(r.Min.X, r.Max.Y-p.Y, r.Max.X, r.Max.Y)
		r.Max.Y -= p.Y + gap
	case l.s.RTL:
		beside = image.Rect(r.Min.X, r.Min.Y, r.Min.X+p.X, r.Max.Y)
		r.Min.X += p.X + gap
	default:
		beside = image.Rect(r.Max.X-p.X, r.Min.Y, r.Max.X, r.Max.Y)
		r.Max.X -= p.X + gap
	}
	return r, beside
}

// lead splits r into the w pixels where lines start and the rest.
func (l *layout) lead(r image.Rectangle, w int) (first, rest image.Rectangle) {
	first, rest = r, r
	if l.s.RTL {
		first.Min.X = r.Max.X - w
		rest.Max.X = first.Min.X
	} else {
		first.Max.X = r.Min.X + w
		rest.Min.X = first.Max.X
	}
	return first, rest
}

// column makes the blocks of the main column for a width and a scale.
func (l *layout) column(w int, scale float64, hero bool) (col column, ok bool, err error) {
	add := func(to *[]block, b block, fit bool, e error) {
		if e != nil && err == nil {
			err = e
		}
		if b.draw != nil {
			*to = append(*to, b)
			ok = ok && fit
		}
	}
	ok = true
	for _, text := range l.s.Lines {
		b, fit, e := l.lineBlock(text, w, scale)
		add(&col.top, b, fit, e)
	}
	b, fit, e := l.factsBlock(w, min(scale, 1.2))
	add(&col.top, b, fit, e)
	b, fit, e = l.inputBlock(w, min(scale, 1.2))
	add(&col.top, b, fit, e)
	b, fit, e = l.progressBlock(w, min(scale, 1.2))
	add(&col.top, b, fit, e)
	b, fit, e = l.tokenBlock(w, min(scale, 1.15), hero)
	add(&col.bottom, b, fit, e)
	b, fit, e = l.choicesBlock(w, min(scale, 1.1))
	add(&col.bottom, b, fit, e)
	return col, ok, err
}
