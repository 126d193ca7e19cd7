package display

import (
	"unicode"

	"github.com/go-text/typesetting/bidi"
)

// line is a part of a paragraph: runes start to end are on it, those from trim
// to end being white space that takes no room.
type line struct {
	start, trim, end int
	width            float32 // in ems
}

// wrap breaks p into lines of at most width ems, as few as greed finds. A word
// that is too long by itself is broken only if inWords allows it; otherwise, or
// when not even one character fits, ok is false.
func (p *paragraph) wrap(width float32, inWords bool) (lines []line, ok bool) {
	n := len(p.text)
	ok = true
	for start := 0; start < n; {
		l := line{start: start}
		l.extend(p, start)
		for i, w := start, float32(0); i < n; {
			next := i + 1
			for next < n && !p.brk[next] {
				next++
			}
			piece, all := p.measure(i, next)
			if w+piece > width && (l.end > start || inWords) {
				if l.end == start { // one word, too long: as much as fits
					l = p.force(start, next, width)
					ok = ok && l.width <= width
				}
				break
			}
			ok = ok && w+piece <= width
			l.end, l.width = next, w+piece
			w += all
			i = next
		}
		l.extend(p, l.end)
		lines = append(lines, l)
		start = l.end
	}
	return lines, ok
}

// even breaks p like wrap and then, where the last line would be a lonely short
// one, narrows the others as far as takes no line more.
func (p *paragraph) even(width float32, inWords bool) (lines []line, ok bool) {
	lines, ok = p.wrap(width, inWords)
	if !ok || len(lines) < 2 || len(lines) > 6 {
		return lines, ok
	}
	for w := width * 0.96; w > width*0.5; w *= 0.96 {
		last, widest := lines[len(lines)-1], float32(0)
		for _, l := range lines {
			widest = max(widest, l.width)
		}
		if last.width >= widest*0.4 {
			break
		}
		tried, fit := p.wrap(w, inWords)
		if !fit || len(tried) > len(lines) {
			break
		}
		lines = tried
	}
	return lines, ok
}

// extend sets the end of a line and takes white space off it.
func (l *line) extend(p *paragraph, end int) {
	l.end, l.trim = end, end
	for l.trim > l.start && unicode.IsSpace(p.text[l.trim-1]) {
		l.trim--
	}
}

// measure gives the width of runes i to j without and with trailing space.
func (p *paragraph) measure(i, j int) (trimmed, all float32) {
	for k := i; k < j; k++ {
		all += p.adv[k]
		if !unicode.IsSpace(p.text[k]) {
			trimmed = all
		}
	}
	return trimmed, all
}

// force breaks within a word, between clusters; at least one goes on the line.
func (p *paragraph) force(start, end int, width float32) line {
	l := line{start: start, end: start}
	for i := start; i < end; {
		next := i + 1
		for next < end && !p.start[next] {
			next++
		}
		_, w := p.measure(i, next)
		if l.end > start && l.width+w > width {
			break
		}
		l.end, l.width = next, l.width+w
		i = next
	}
	return l
}

// place calls put for each glyph of l, left to right, x in ems from the line's
// left edge. Runs go by their levels (UAX #9, rule L2); white space at the end
// has no room (L1), so its level does not matter.
func (p *paragraph) place(l line, put func(g glyph, x float32)) {
	var order [32]int
	vis := order[:0]
	most, least := bidi.Level(0), bidi.Level(127)
	for i, r := range p.runs {
		if r.start < l.trim && r.end > l.start {
			vis = append(vis, i)
			most = max(most, r.level)
			if r.level%2 == 1 {
				least = min(least, r.level)
			}
		}
	}
	for level := most; level >= least; level-- {
		for i := 0; i < len(vis); i++ {
			j := i
			for j < len(vis) && p.runs[vis[j]].level >= level {
				j++
			}
			for a, b := i, j-1; a < b; a, b = a+1, b-1 {
				vis[a], vis[b] = vis[b], vis[a]
			}
			i = j
		}
	}
	x := float32(0)
	for _, i := range vis {
		for _, g := range p.runs[i].glyphs {
			if g.cluster >= l.start && g.cluster < l.trim {
				put(g, x)
				x += g.adv
			}
		}
	}
}
