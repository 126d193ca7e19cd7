package display

import (
	"image"
	"image/color"
	"math"
	"sync"
)

// engine holds the caches; they change how fast a screen is drawn and nothing
// else. One screen is drawn at a time.
var engine = sync.OnceValue(func() *textEngine {
	s := newShaper()
	return &textEngine{shaper: s, glyphs: newGlyphs(s.faces)}
})

type textEngine struct {
	mu     sync.Mutex
	shaper *shaper
	glyphs *glyphs
}

// align says where lines stand in their box.
type align uint8

const (
	atStart align = iota // left, or right in a screen that reads right to left
	atCentre
)

// textStyle says how a text is set.
type textStyle struct {
	weight weight
	size   int // pixels per em
	align  align
	words  bool // never break within a word
}

// textBox is text broken into lines.
type textBox struct {
	p     *paragraph
	style textStyle
	lines []line
	w, h  int // of the ink of the widest line; of all lines
}

// lineHeight is the distance of base lines at a size.
func lineHeight(size int) int { return int(math.Ceil(leading * float64(size))) }

// set breaks text into lines of a width; ok is false if a word does not fit.
func (c *canvas) set(text string, st textStyle, width int) (b textBox, ok bool, err error) {
	p, err := c.eng.shaper.shape(text, st.weight, c.lang, c.rtl)
	if err != nil {
		return textBox{}, false, err
	}
	b = textBox{p: p, style: st}
	b.lines, ok = p.even(float32(width)/float32(st.size), !st.words)
	for _, l := range b.lines {
		b.w = max(b.w, ceil(l.width*float32(st.size)))
	}
	b.h = len(b.lines) * lineHeight(st.size)
	return b, ok, nil
}

// text draws b with its top at r's and aligned between r's sides.
func (c *canvas) text(b textBox, r image.Rectangle, col color.RGBA) {
	size := float32(b.style.size)
	step := lineHeight(b.style.size)
	base := r.Min.Y + int(math.Round(ascent*float64(b.style.size)+(float64(step)-leading*float64(b.style.size))/2))
	for _, l := range b.lines {
		left := float32(r.Min.X)
		switch free := float32(r.Dx()) - l.width*size; {
		case b.style.align == atCentre:
			left += free / 2
		case c.rtl:
			left += free
		}
		b.p.place(l, func(g glyph, x float32) {
			px := left + (x+g.dx)*size
			py := base - int(math.Round(float64(g.dy*size)))
			q := int(math.Floor(float64(px*4) + 0.5))
			m := c.eng.glyphs.get(maskKey{b.p.weight, g.id, b.style.size, uint8(q & 3)})
			if m != nil {
				blend(c.img, m, q>>2, py, col)
			}
		})
		base += step
	}
}
