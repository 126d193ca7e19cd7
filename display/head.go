package display

import "image"

// titleTries are sizes in units and how many lines they may take.
var titleTries = []struct {
	size  float64
	lines int
}{{unitTitle, 1}, {34, 1}, {31, 1}, {31, 2}, {28, 2}, {25, 2}, {22, 3}, {20, 4}}

// head is emblem and title.
func (l *layout) head() (block, error) {
	c, t := l.c, l.t
	m := l.px(unitMargin)
	emblem := l.tall(62)
	width := l.size.X - 2*m - emblem - l.px(20)
	var title textBox
	found := false
	for _, try := range titleTries {
		b, ok, err := c.set(l.s.Title, textStyle{weight: bold, size: l.textSize(try.size, 1), words: true}, width)
		if err != nil {
			return block{}, err
		}
		if found = ok && len(b.lines) <= try.lines; found {
			title = b
			break
		}
	}
	if !found {
		return block{}, errFit
	}
	mark, err := c.questionMark(emblem)
	if err != nil {
		return block{}, err
	}
	h := max(l.tall(unitHead), title.h+l.px(18))
	return block{h, func(band image.Rectangle) {
		c.rect(band, t.tint)
		l.ornament(band, l.size.X-2*m-emblem-l.px(40)-title.w)
		l.edge(h)
		mid := (h - l.px(4)) / 2 // of what is above the edge
		first, rest := l.lead(image.Rect(m, 0, l.size.X-m, h), emblem)
		first.Min.Y = mid - emblem/2
		first.Max.Y = first.Min.Y + emblem
		c.emblem(l.s.Mood, first, t, mark)
		_, rest = l.lead(rest, l.px(20))
		rest.Min.Y = mid - title.h/2
		c.text(title, rest, t.title)
	}}, nil
}

// ornament draws a row of stars at the far end of the head, quietly, as many as
// there is room for beside the title.
func (l *layout) ornament(band image.Rectangle, room int) {
	r := float32(band.Dy()) * 0.42
	for i := range 3 {
		if r*(1.5+2*float32(i)) > float32(room+l.px(unitMargin)) {
			break
		}
		x := float32(band.Max.X) - r*(0.5+2.0*float32(i))
		if l.s.RTL {
			x = r * (0.5 + 2.0*float32(i))
		}
		y := float32(band.Dy()) / 2
		l.c.fill(shape{star(x, y, r), reverse(star(x, y, r*0.86))}, l.t.motif)
		l.c.fill(shape{star(x, y, r*0.46), reverse(star(x, y, r*0.36))}, l.t.motif)
	}
}

// edge draws the line under the head: thin, thick, striped or double by mood.
func (l *layout) edge(y int) {
	full := func(y0, y1 int) image.Rectangle { return image.Rect(0, y0, l.size.X, y1) }
	h := l.px(5)
	switch l.s.Mood {
	case Ask:
		l.c.rect(full(y-h, y), l.t.strong)
	case Done:
		l.c.rect(full(y-h/2, y), l.t.strong)
		l.c.rect(full(y-2*h, y-2*h+max(1, h/2)), l.t.strong)
	case Alarm:
		h = l.px(9)
		l.c.rect(full(y-h, y), white)
		step := float32(2 * h)
		for x := -step; x < float32(l.size.X)+step; x += 2 * step {
			top, bottom := float32(y-h), float32(y)
			l.c.fill(shape{{{x + float32(h), top}, {x + float32(h) + step, top}, {x + step, bottom}, {x, bottom}}}, l.t.strong)
		}
	default:
		l.c.rect(full(y-max(1, h/3), y), l.t.strong)
	}
}

// banner is the line at the foot.
func (l *layout) banner() (block, error) {
	if l.s.Banner == "" {
		return block{0, func(image.Rectangle) {}}, nil
	}
	m := l.px(unitMargin)
	b, ok, err := l.c.set(l.s.Banner, textStyle{size: l.textSize(unitBanner, 1)}, l.size.X-2*m)
	if err != nil {
		return block{}, err
	}
	if !ok || len(b.lines) > 2 {
		return block{}, errFit
	}
	return block{b.h + l.px(6), func(r image.Rectangle) {
		r.Min.X, r.Max.X = r.Min.X+m, r.Max.X-m
		l.c.rect(image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+l.px(1)), rule)
		r.Min.Y += l.px(3)
		l.c.text(b, r, muted)
	}}, nil
}
