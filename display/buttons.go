package display

import (
	"image"
)

// token is the hint to draw: the screen's own, or what its progress says.
func (s *Screen) token() TokenHint {
	if h := s.Token; h.State != TokenSilent || h.Text != "" || s.Progress == nil {
		return h
	}
	if s.Progress.MayPull {
		return TokenHint{State: TokenFree}
	}
	return TokenHint{State: TokenKeep}
}

// tokenBlock is the strip that says what may be done with the token: solid and
// square for "keep", round and open for "take", framed for "put in".
func (l *layout) tokenBlock(w int, scale float64, hero bool) (block, bool, error) {
	h := l.s.token()
	if h.State == TokenSilent && h.Text == "" || hero && h.Text == "" {
		return block{}, true, nil
	}
	picture := l.px(84)
	if hero || h.State == TokenSilent {
		picture = 0
	}
	pad := l.px(16)
	text, ok, err := l.c.set(h.Text, textStyle{weight: bold, size: l.textSize(24, scale), words: true}, w-picture-3*pad)
	if err != nil {
		return block{}, false, err
	}
	height := max(text.h+l.px(8), l.tall(54))
	ok = ok && len(text.lines) <= 3
	return block{height, func(r image.Rectangle) {
		c := l.c
		fg, bg := l.t.strong, card
		line := l.px(2.5)
		switch h.State {
		case TokenKeep:
			fg, bg = white, ink
			c.panel(r, l.px(6), bg)
		case TokenFree:
			fg = themes[Done].strong
			c.panel(r, height/2, bg)
			c.frame(r, height/2, line, fg)
		default:
			c.panel(r, l.px(12), bg)
			c.frame(r, l.px(12), line, fg)
		}
		in := image.Rect(r.Min.X+pad, r.Min.Y, r.Max.X-pad, r.Max.Y)
		first, rest := l.lead(in, picture)
		if picture > 0 {
			if len(text.lines) == 0 {
				first = in
			}
			first.Min.Y, first.Max.Y = r.Min.Y+l.px(5), r.Max.Y-l.px(5)
			c.tokenSign(h.State, first, fg, bg)
			_, rest = l.lead(rest, pad)
		} else {
			text.style.align = atCentre
		}
		rest.Min.Y += (height - text.h) / 2
		c.text(text, rest, fg)
	}}, ok, nil
}

// buttons is a grid of choices that is set.
type buttons struct {
	cols, w, h int
	labels     []textBox
	cap        int // width of the keypad key on a button, 0 for none
}

// choicesBlock is the grid of buttons, as low as it can be.
func (l *layout) choicesBlock(w int, scale float64) (block, bool, error) {
	n := len(l.s.Choices)
	if n == 0 {
		return block{}, true, nil
	}
	gap := l.tall(unitGap)
	var best buttons
	bestH := 0
	for cols := min(n, 4); cols >= 1; cols-- {
		if n == 4 && cols == 3 {
			continue // three and one looks like a mistake
		}
		b, ok, err := l.buttons(cols, w, gap, scale)
		if err != nil {
			return block{}, false, err
		}
		h := (n+cols-1)/cols*(b.h+gap) - gap
		if ok && (bestH == 0 || h < bestH || h == bestH && n%best.cols != 0 && n%cols == 0) {
			best, bestH = b, h
		}
	}
	if bestH == 0 {
		return block{}, false, nil
	}
	return block{bestH, func(r image.Rectangle) {
		for i := range n {
			x := i % best.cols * (best.w + gap)
			y := r.Min.Y + i/best.cols*(best.h+gap)
			if l.s.RTL {
				x = r.Max.X - x - best.w
			} else {
				x += r.Min.X
			}
			l.button(l.s.Choices[i], best, best.labels[i], image.Rect(x, y, x+best.w, y+best.h))
		}
	}}, true, nil
}

// buttons sets the labels for a number of columns.
func (l *layout) buttons(cols, w, gap int, scale float64) (b buttons, ok bool, err error) {
	b = buttons{cols: cols, w: min((w+gap)/cols-gap, l.px(520)), h: l.tall(62)}
	for _, ch := range l.s.Choices {
		if ch.Key != 0 || ch.Hold {
			b.cap = l.tall(44)
		}
	}
	room := b.w - l.px(24)
	if b.cap > 0 {
		room -= b.cap + l.px(10)
	}
	if room < l.px(60) {
		return b, false, nil
	}
	for _, ch := range l.s.Choices {
		label, fit, err := l.c.set(ch.Label, textStyle{weight: bold, size: l.textSize(25, scale), align: atCentre, words: true}, room)
		if err != nil {
			return b, false, err
		}
		if !fit || len(label.lines) > 3 {
			return b, false, nil
		}
		b.h = max(b.h, label.h+l.px(8))
		b.labels = append(b.labels, label)
	}
	return b, true, nil
}

// button draws one choice and notes its target.
func (l *layout) button(ch Choice, b buttons, label textBox, r image.Rectangle) {
	c := l.c
	radius, line := l.px(12), l.px(2.5)
	fg, bg := l.t.strong, card
	if ch.Primary {
		fg, bg = white, l.t.strong
	}
	c.panel(r, radius, bg)
	if !ch.Primary {
		c.frame(r, radius, line, fg)
	}
	if ch.Hold { // a second line inside, and a ground that fills while it is held
		inner := r.Inset(2 * line)
		if ch.Held > 0 {
			ground := held
			if ch.Primary {
				ground = ink
			}
			part, _ := l.lead(inner, inner.Dx()*ch.Held/100)
			c.panel(part, radius-2*line, ground)
		}
		c.frame(inner, radius-2*line, max(1, line/2), fg)
	}
	in := image.Rect(r.Min.X+l.px(12), r.Min.Y, r.Max.X-l.px(12), r.Max.Y)
	if b.cap > 0 {
		var first image.Rectangle
		first, in = l.lead(in, b.cap)
		mid := (r.Min.Y + r.Max.Y) / 2
		l.keyCap(ch, image.Rect(first.Min.X, mid-b.cap/2, first.Max.X, mid+b.cap/2), fg, bg)
		_, in = l.lead(in, l.px(10))
	}
	in.Min.Y += (b.h - label.h) / 2
	c.text(label, in, fg)
	l.targets = append(l.targets, Target{ch.ID, r})
}
