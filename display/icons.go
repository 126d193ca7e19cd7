package display

import (
	"image"
	"image/color"
	"math"
)

// The signs are drawn on a square of 1 by 1 for a left-to-right screen.

// star is the eight-pointed star of two squares, the ornament of the family and
// the seal of a result.
func star(cx, cy, r float32) []point {
	pts := make([]point, 0, 16)
	inner := r * float32(math.Cos(math.Pi/4)/math.Cos(math.Pi/8))
	for i := range 16 {
		radius := r
		if i%2 == 1 {
			radius = inner
		}
		sin, cos := math.Sincos(float64(i) * math.Pi / 8)
		pts = append(pts, point{cx + radius*float32(cos), cy + radius*float32(sin)})
	}
	return pts
}

// emblemShape is the outline of a mood's emblem: circle, rounded square, triangle,
// star.
func emblemShape(m Mood) shape {
	switch m {
	case Ask:
		return shape{round(0.05, 0.05, 0.95, 0.95, 0.24)}
	case Alarm:
		a, b, c := point{0.5, 0.13}, point{0.93, 0.87}, point{0.07, 0.87}
		return append(stroke(0.14, a, b, c, a), []point{a, b, c})
	case Done:
		return shape{star(0.5, 0.5, 0.53)}
	}
	return shape{circle(0.5, 0.5, 0.46)}
}

// questionMark is the sign of Ask, that of the screen's own script, for an
// emblem of a side.
func (c *canvas) questionMark(side int) (textBox, error) {
	mark := "?"
	if c.rtl {
		mark = "؟"
	}
	b, _, err := c.set(mark, textStyle{weight: bold, size: side * 62 / 100, align: atCentre}, side)
	return b, err
}

// emblem draws a mood's emblem with its sign.
func (c *canvas) emblem(m Mood, r image.Rectangle, t theme, mark textBox) {
	c.fill(emblemShape(m).within(r), t.emblem)
	switch m {
	case Ask:
		top := r.Min.Y + r.Dy()/2 - int((ascent-0.36)*float64(mark.style.size))
		c.text(mark, image.Rect(r.Min.X, top, r.Max.X, top+mark.h), t.sign)
	case Alarm:
		c.fill(stroke(0.1, point{0.5, 0.36}, point{0.5, 0.6}).within(r), t.sign)
		c.fill(shape{circle(0.5, 0.77, 0.065)}.within(r), t.sign)
	case Done:
		c.fill(check.within(r), t.sign)
	default:
		c.fill(ring(0.5, 0.5, 0.36, 0.035, 0, 1).within(r), t.sign)
		c.fill(shape{star(0.5, 0.5, 0.25), reverse(circle(0.5, 0.5, 0.1))}.within(r), t.sign)
	}
}

var (
	check = stroke(0.09, point{0.31, 0.52}, point{0.45, 0.65}, point{0.7, 0.37})
	cross = append(stroke(0.12, point{0.25, 0.25}, point{0.75, 0.75}), stroke(0.12, point{0.75, 0.25}, point{0.25, 0.75})...)
	enter = append(stroke(0.11, point{0.8, 0.22}, point{0.8, 0.6}, point{0.22, 0.6}), stroke(0.11, point{0.4, 0.42}, point{0.22, 0.6}, point{0.4, 0.78})...)
	tick  = stroke(0.12, point{0.2, 0.54}, point{0.42, 0.75}, point{0.82, 0.28})
	erase = backspace()
	globe = globeSign()
)

// backspace is a tag that points left, with a cross cut out.
func backspace() shape {
	s := shape{{{0.02, 0.5}, {0.3, 0.2}, {0.98, 0.2}, {0.98, 0.8}, {0.3, 0.8}}}
	return append(s, reverse(diamondCross(0.63, 0.5, 0.16, 0.05)))
}

// diamondCross is one outline of a slanting cross, so that it can be cut out.
func diamondCross(cx, cy, r, w float32) []point {
	pts := make([]point, 0, 12)
	for i := range 4 {
		sin, cos := math.Sincos(math.Pi/4 + float64(i)*math.Pi/2)
		s, k := float32(sin), float32(cos)
		pts = append(pts,
			point{cx + k*r + s*w, cy + s*r - k*w},
			point{cx + k*r - s*w, cy + s*r + k*w},
			point{cx + (k-s)*w, cy + (s+k)*w})
	}
	return pts
}

func globeSign() shape {
	s := ring(0.5, 0.5, 0.4, 0.09, 0, 1)
	s = append(s, stroke(0.07, point{0.12, 0.5}, point{0.88, 0.5})...)
	var left, right []point
	for i := 0; i <= 16; i++ {
		sin, cos := math.Sincos(math.Pi * (float64(i)/16 - 0.5))
		left = append(left, point{0.5 - 0.18*float32(cos), 0.5 + 0.4*float32(sin)})
		right = append(right, point{0.5 + 0.18*float32(cos), 0.5 + 0.4*float32(sin)})
	}
	return append(append(s, stroke(0.07, left...)...), stroke(0.07, right...)...)
}

// keySign is the sign of a keypad key that is no digit, nil for others.
func keySign(k rune) shape {
	switch k {
	case '\n':
		return enter
	case '\b':
		return erase
	case 'C':
		return cross
	case 'L':
		return globe
	}
	return nil
}

// tokenSign draws a token and its port: on its way in, held by a lock, or on its
// way out. In a wide r the picture keeps its shape of 2 by 1.
func (c *canvas) tokenSign(st TokenState, r image.Rectangle, fg, bg color.RGBA) {
	h := min(r.Dy(), r.Dx()/2)
	mid := r.Min.Add(r.Max).Div(2)
	sq := image.Rect(mid.X-h, mid.Y-h, mid.X+h, mid.Y+h) // unit square; the picture is its middle half
	put := func(s shape, col color.RGBA) {
		if c.rtl {
			s = s.flip()
		}
		c.fill(s.within(sq), col)
	}
	const top, bottom = 0.34, 0.66
	// The port is at the right; the token comes from the left.
	put(shape{{{0.86, 0.26}, {1, 0.26}, {1, 0.74}, {0.86, 0.74}, {0.86, 0.62}, {0.93, 0.62}, {0.93, 0.38}, {0.86, 0.38}}}, fg)
	x := float32(0) // how far the token is from being in
	if st != TokenKeep {
		x = -0.2
	}
	body := shape{round(0.3+x, top, 0.7+x, bottom, 0.06)}
	if st == TokenKeep {
		put(body, fg)
		put(shape{{{0.66, 0.4}, {0.92, 0.4}, {0.92, 0.6}, {0.66, 0.6}}}, fg)
		// A lock on the token.
		put(ring(0.5, 0.47, 0.052, 0.026, 0.5, 1), bg)
		put(shape{round(0.425, 0.475, 0.575, 0.6, 0.02)}, bg)
		return
	}
	put(append(body, reverse(round(0.33+x, top+0.03, 0.67+x, bottom-0.03, 0.04))), fg)
	put(shape{{{0.68 + x, 0.4}, {0.86 + x, 0.4}, {0.86 + x, 0.6}, {0.68 + x, 0.6}},
		{{0.77 + x, 0.45}, {0.77 + x, 0.48}, {0.81 + x, 0.48}, {0.81 + x, 0.45}},
		{{0.77 + x, 0.52}, {0.77 + x, 0.55}, {0.81 + x, 0.55}, {0.81 + x, 0.52}}}, fg)
	arrow := append(stroke(0.028, point{0.36 + x, 0.5}, point{0.62 + x, 0.5}), stroke(0.028, point{0.54 + x, 0.42}, point{0.62 + x, 0.5}, point{0.54 + x, 0.58})...)
	if st == TokenFree {
		for i := range arrow {
			arrow[i] = reverse(arrow[i])
			for j, p := range arrow[i] {
				arrow[i][j] = point{2*(0.49+x) - p.x, p.y}
			}
		}
	}
	put(arrow, fg)
}
