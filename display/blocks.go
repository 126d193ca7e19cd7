package display

import "image"

// lineBlock is one paragraph of the body.
func (l *layout) lineBlock(text string, w int, scale float64) (block, bool, error) {
	size := l.textSize(unitBody, scale)
	b, ok, err := l.c.set(text, textStyle{size: size, words: size > l.floor()}, w)
	if err != nil || len(b.lines) == 0 {
		return block{}, true, err
	}
	return block{b.h, func(r image.Rectangle) { l.c.text(b, r, ink) }}, ok, nil
}

// row is one fact, set.
type row struct {
	label, value textBox
	y, h         int
}

// factsBlock is a card of rows; labels stand beside the values or, where that is
// too narrow, above them.
func (l *layout) factsBlock(w int, scale float64) (block, bool, error) {
	if len(l.s.Facts) == 0 {
		return block{}, true, nil
	}
	best, bestOK, err := l.factRows(w, scale, false)
	if err != nil {
		return block{}, false, err
	}
	if !bestOK || best.wraps {
		stacked, ok, err := l.factRows(w, scale, true)
		if err != nil {
			return block{}, false, err
		}
		if ok && (!bestOK || stacked.h <= best.h) {
			best, bestOK = stacked, true
		}
	}
	return block{best.h, func(r image.Rectangle) { l.drawFacts(best, r) }}, bestOK, nil
}

// facts is a table that is set.
type facts struct {
	rows    []row
	labelW  int // 0 when stacked
	h       int
	pad     int
	wraps   bool
	stacked bool
}

func (l *layout) factRows(w int, scale float64, stacked bool) (f facts, ok bool, err error) {
	labelSize, valueSize := l.textSize(22, scale), l.textSize(25, scale)
	words := valueSize > l.floor()
	f.pad, f.stacked = l.px(16), stacked
	inner := w - 2*f.pad
	labelW, valueW := inner, inner
	if !stacked {
		for _, fact := range l.s.Facts {
			b, _, err := l.c.set(fact.Label, textStyle{size: labelSize}, 1<<15)
			if err != nil {
				return facts{}, false, err
			}
			f.labelW = max(f.labelW, b.w+1)
		}
		f.labelW = min(f.labelW, inner*45/100)
		labelW, valueW = f.labelW, inner-f.labelW-l.px(18)
	}
	ok = true
	y := l.tall(5)
	for _, fact := range l.s.Facts {
		value := fact.Value
		if fact.LTR {
			value = "\u2066" + value + "\u2069"
		}
		r := row{y: y}
		var okL, okV bool
		if r.label, okL, err = l.c.set(fact.Label, textStyle{size: labelSize, words: words}, labelW); err != nil {
			return facts{}, false, err
		}
		if r.value, okV, err = l.c.set(value, textStyle{weight: bold, size: valueSize, words: words}, valueW); err != nil {
			return facts{}, false, err
		}
		ok = ok && okL && okV
		f.wraps = f.wraps || len(r.value.lines) > 1 || len(r.label.lines) > 1
		r.h = max(r.label.h, r.value.h)
		if stacked {
			r.h = r.label.h + r.value.h
		}
		r.h += l.tall(7)
		y += r.h
		f.rows = append(f.rows, r)
	}
	f.h = y + l.tall(5)
	return f, ok, nil
}

func (l *layout) drawFacts(f facts, r image.Rectangle) {
	c := l.c
	c.panel(r, l.px(14), rule)
	c.panel(r.Inset(max(1, l.px(1))), l.px(13), card)
	for i, row := range f.rows {
		in := image.Rect(r.Min.X+f.pad, r.Min.Y+row.y, r.Max.X-f.pad, r.Min.Y+row.y+row.h)
		if i > 0 {
			c.rect(image.Rect(in.Min.X, in.Min.Y, in.Max.X, in.Min.Y+max(1, l.px(1))), rule)
		}
		in.Min.Y += l.tall(3.5)
		if f.stacked {
			c.text(row.label, in, muted)
			in.Min.Y += row.label.h
			c.text(row.value, in, ink)
			continue
		}
		first, rest := l.lead(in, f.labelW)
		_, rest = l.lead(rest, l.px(18))
		// The first lines of both stand on one base line.
		first.Min.Y += int(ascent*float64(row.value.style.size)) - int(ascent*float64(row.label.style.size))
		c.text(row.label, first, muted)
		c.text(row.value, rest, ink)
	}
}

// inputBlock is a prompt above a field. What is typed reads left to right.
func (l *layout) inputBlock(w int, scale float64) (block, bool, error) {
	in := l.s.Input
	if in == nil {
		return block{}, true, nil
	}
	prompt, okP, err := l.c.set(in.Prompt, textStyle{size: l.textSize(24, scale), words: true}, w)
	if err != nil {
		return block{}, false, err
	}
	pad := l.px(16)
	var value textBox
	okV := false
	for size := 40 * scale; ; size *= scaleStep {
		px := l.textSize(size, 1)
		st := textStyle{weight: bold, size: px, align: atCentre, words: px > l.floor()}
		if value, okV, err = l.c.set("\u2066"+in.Value+"\u2069", st, w-2*pad); err != nil {
			return block{}, false, err
		}
		if okV && len(value.lines) == 1 || px == l.floor() {
			break
		}
	}
	field := max(value.h, l.tall(60*scale)) + l.px(4)
	gap := l.tall(4)
	if prompt.h == 0 {
		gap = 0
	}
	return block{prompt.h + gap + field, func(r image.Rectangle) {
		c := l.c
		c.text(prompt, r, muted)
		r.Min.Y += prompt.h + gap
		c.panel(r, l.px(12), card)
		c.frame(r, l.px(12), l.px(2.5), l.t.strong)
		top := r.Min.Y + (field-value.h)/2
		if len(value.lines) == 1 { // digits look right when their own middle is in the middle
			top = r.Min.Y + field/2 - int((ascent-capHeight/2)*float64(value.style.size))
		}
		width := value.w
		if n := masked(in.Value); n > 0 {
			width = l.dots(n, r.Inset(pad))
		} else {
			c.text(value, image.Rect(r.Min.X, top, r.Max.X, top+value.h), ink)
		}
		caret := l.px(3)
		x := (r.Min.X+r.Max.X)/2 + width/2 + 2*caret
		if in.Value == "" {
			x = (r.Min.X + r.Max.X) / 2
		}
		if x < r.Max.X-2*caret && len(value.lines) <= 1 {
			c.rect(image.Rect(x, r.Min.Y+field/4, x+caret, r.Max.Y-field/4), l.t.strong)
		}
	}}, okP && okV, nil
}

// masked says of how many masks a value consists, 0 if there is anything else.
func masked(value string) int {
	n := 0
	for _, r := range value {
		if r != '●' && r != '•' && r != '*' {
			return 0
		}
		n++
	}
	return n
}

// dots draws n masks, larger than a font's, and returns their width.
func (l *layout) dots(n int, r image.Rectangle) int {
	step := min(l.px(30), r.Dx()/n)
	radius := float32(step) * 0.3
	x := float32(r.Min.X+r.Max.X-(n-1)*step) / 2
	for range n {
		l.c.fill(shape{circle(x, float32(r.Min.Y+r.Max.Y)/2, radius)}, ink)
		x += float32(step)
	}
	return n * step
}

// manySteps is from where on a bar is drawn in one piece.
const manySteps = 12

// progressBlock is a text above a bar that fills in reading direction.
func (l *layout) progressBlock(w int, scale float64) (block, bool, error) {
	p := l.s.Progress
	if p == nil {
		return block{}, true, nil
	}
	text, ok, err := l.c.set(p.Text, textStyle{size: l.textSize(25, scale), words: true}, w)
	if err != nil {
		return block{}, false, err
	}
	bar, gap := l.px(20), l.tall(8)
	return block{text.h + gap + bar, func(r image.Rectangle) {
		l.c.text(text, r, ink)
		r.Min.Y += text.h + gap
		steps, done := p.Total, p.Done
		if steps > manySteps {
			steps, done = 1, 0
			if p.Done == p.Total {
				done = 1
			}
		}
		space := l.px(6)
		for i := range steps {
			x0 := r.Min.X + (r.Dx()+space)*i/steps
			x1 := r.Min.X + (r.Dx()+space)*(i+1)/steps - space
			piece := image.Rect(x0, r.Min.Y, x1, r.Max.Y)
			if l.s.RTL {
				piece = image.Rect(r.Min.X+r.Max.X-x1, r.Min.Y, r.Min.X+r.Max.X-x0, r.Max.Y)
			}
			if i < done {
				l.c.panel(piece, bar/2, l.t.strong)
				continue
			}
			l.c.panel(piece, bar/2, card)
			l.c.frame(piece, bar/2, l.px(2.5), l.t.strong)
			if p.Total > manySteps && p.Done > 0 {
				part, _ := l.lead(piece, max(bar, int(int64(piece.Dx())*int64(p.Done)/int64(p.Total))))
				l.c.panel(part, bar/2, l.t.strong)
			}
		}
	}}, ok, nil
}
