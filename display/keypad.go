package display

import (
	"image"
	"image/color"
)

// keyCap draws the keypad key that does the same as a button; a ring round it
// means "hold down" and closes as it is held.
func (l *layout) keyCap(ch Choice, r image.Rectangle, fg, bg color.RGBA) {
	c := l.c
	if ch.Hold {
		side := float32(r.Dx())
		cx, cy := float32(r.Min.X+r.Max.X)/2, float32(r.Min.Y+r.Max.Y)/2
		c.fill(ring(cx, cy, side*0.46, side*0.05, 0, 1), fg)
		if ch.Held > 0 {
			c.fill(ring(cx, cy, side*0.41, side*0.15, -0.25, -0.25+float64(ch.Held)/100), fg)
		}
		if ch.Key == 0 {
			c.fill(shape{circle(cx, cy, side*0.14)}, fg)
		}
	} else if ch.Key != 0 {
		c.frame(r.Inset(l.px(1)), l.px(9), max(1, l.px(2)), fg)
	}
	if ch.Key == 0 {
		return
	}
	l.keyLabel(ch.Key, r, r.Dy()*58/100, fg)
}

// keyLabel writes a key's sign or digit in the middle of r.
func (l *layout) keyLabel(k rune, r image.Rectangle, size int, fg color.RGBA) {
	if sign := keySign(k); sign != nil {
		l.c.fill(sign.within(middle(r, size)), fg)
		return
	}
	b, _, err := l.c.set(string(k), textStyle{weight: bold, size: size, align: atCentre}, r.Dx())
	if err != nil {
		return // one digit: the tests draw all ten
	}
	top := (r.Min.Y+r.Max.Y)/2 - int((ascent-capHeight/2)*float64(size))
	l.c.text(b, image.Rect(r.Min.X, top, r.Max.X, top+b.h), fg)
}

// middle is the square of a side at r's centre.
func middle(r image.Rectangle, side int) image.Rectangle {
	p := r.Min.Add(r.Max).Div(2)
	return image.Rect(p.X-side/2, p.Y-side/2, p.X-side/2+side, p.Y-side/2+side)
}

var padKeys = [4][3]rune{{'1', '2', '3'}, {'4', '5', '6'}, {'7', '8', '9'}, {'\b', '0', '\n'}}

// keypad draws the digits in the order of a telephone, in every language, like
// the real keypad beside the panel.
func (l *layout) keypad(r image.Rectangle) {
	gap := l.px(10)
	w := (r.Dx() - 2*gap) / 3
	h := (r.Dy() - 3*gap) / 4
	for y, keys := range padKeys {
		for x, k := range keys {
			p := image.Pt(r.Min.X+x*(w+gap), r.Min.Y+y*(h+gap))
			key := image.Rect(p.X, p.Y, p.X+w, p.Y+h)
			id, fg, bg, radius := "key:"+string(k), ink, card, l.px(12)
			switch k {
			case '\b':
				id = "key:back"
			case '\n':
				id, fg, bg = "key:ok", white, l.t.strong
			}
			l.c.panel(key, radius, bg)
			if k != '\n' {
				l.c.frame(key, radius, max(1, l.px(1.5)), muted)
			}
			size := min(w, h) * 60 / 100
			if k == '\n' {
				l.c.fill(tick.within(middle(key, size)), fg)
			} else {
				l.keyLabel(k, key, size, fg)
			}
			l.targets = append(l.targets, Target{id, key})
		}
	}
}
