package display

import (
	"fmt"
	"image"
)

// sidePanel is what stands beside the column: a QR symbol, a keypad, a large
// picture of the token, or nothing.
type sidePanel struct {
	sizes func(l *layout, area image.Rectangle) []image.Point // largest first
	draw  func(l *layout, r image.Rectangle)
	hero  bool // the picture of the token is here, not in the column
}

// side chooses the panel for the screen.
func (l *layout) side() (sidePanel, error) {
	s := l.s
	switch {
	case s.QR != "":
		return l.qrPanel()
	case s.Input != nil && s.Input.Keypad:
		return sidePanel{sizes: padSizes, draw: (*layout).keypad}, nil
	case s.token().State != TokenSilent && len(s.Facts) == 0 && s.Input == nil && len(s.Choices) <= 2 && len(s.Lines) <= 3:
		return sidePanel{sizes: heroSizes, draw: drawHero, hero: true}, nil
	}
	return sidePanel{sizes: func(*layout, image.Rectangle) []image.Point { return []image.Point{{}} }}, nil
}

// padSizes offers a comfortable pad and smaller ones; keys are at least 48 units.
func padSizes(l *layout, area image.Rectangle) []image.Point {
	var sizes []image.Point
	gap := l.px(10)
	most := min((area.Dy()-3*gap)/4, l.px(84))
	if l.upright {
		most = l.px(70)
	}
	for h := most; h >= l.px(48); h -= l.px(6) {
		w := min(h*5/4, (area.Dx()-2*gap)/3)
		if l.upright {
			w = (area.Dx() - 2*gap) / 3
		}
		sizes = append(sizes, image.Pt(3*w+2*gap, 4*h+3*gap))
		if !l.upright {
			sizes[len(sizes)-1].Y = area.Dy()
		}
	}
	return sizes
}

func heroSizes(l *layout, area image.Rectangle) []image.Point {
	if l.upright {
		return []image.Point{{area.Dx(), area.Dy() / 4}, {area.Dx(), area.Dy() / 6}}
	}
	return []image.Point{{area.Dx() * 38 / 100, area.Dy()}, {area.Dx() * 28 / 100, area.Dy()}, {area.Dx() * 20 / 100, area.Dy()}}
}

func drawHero(l *layout, r image.Rectangle) {
	d := min(r.Dx(), r.Dy())
	disc := middle(r, d)
	bg := l.t.tint
	fg := l.t.title
	l.c.fill(shape{star(0.5, 0.5, 0.5)}.within(disc), bg)
	l.c.tokenSign(l.s.token().State, middle(disc, d*70/100), fg, bg)
}

// qrPanel encodes the symbol; its sizes are those of whole pixels per module.
func (l *layout) qrPanel() (sidePanel, error) {
	q, err := encodeQR(l.s.QR)
	if err != nil {
		return sidePanel{}, err
	}
	if q.side()*minModule > min(l.size.X, l.size.Y) {
		return sidePanel{}, fmt.Errorf("%w: QR version %d needs %d pixels", errFit, q.version, q.side()*minModule)
	}
	style := textStyle{size: l.textSize(20, 1), align: atCentre, words: true}
	gap := l.px(4)
	fit := func(area image.Point, px int) (p image.Point, caption textBox, ok bool) {
		side := px * q.side()
		for _, w := range []int{side, side * 5 / 4} { // a little wider, if that saves a line
			caption, fits, err := l.c.set(l.s.QRCaption, style, min(w, area.X))
			p = image.Pt(max(side, caption.w), side+gap+caption.h)
			if err == nil && fits && p.X <= area.X && p.Y <= area.Y {
				return p, caption, true
			}
		}
		return p, caption, false
	}
	sizes := func(l *layout, area image.Rectangle) (out []image.Point) {
		most := area.Size()
		if l.upright {
			most.Y = most.Y * 6 / 10
		} else {
			most.X = most.X * 58 / 100
		}
		for px := most.X / q.side(); px >= minModule; px-- {
			if p, _, ok := fit(most, px); ok {
				out = append(out, p)
			}
		}
		return out
	}
	draw := func(l *layout, r image.Rectangle) {
		for px := r.Dx() / q.side(); px >= minModule; px-- {
			p, caption, ok := fit(r.Size(), px)
			if !ok {
				continue
			}
			side := px * q.side()
			y := r.Min.Y + (r.Dy()-p.Y)/2
			l.c.qr(q, image.Pt(r.Min.X+(r.Dx()-side)/2, y), px)
			l.c.text(caption, image.Rect(r.Min.X, y+side+gap, r.Max.X, r.Max.Y), ink)
			return
		}
	}
	return sidePanel{sizes: sizes, draw: draw}, nil
}
